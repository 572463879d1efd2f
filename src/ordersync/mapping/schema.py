"""What a mapping file may say, and strict YAML to say it in.

Only `true` and `false` are booleans, dates stay text, a key written twice is an error. Every complaint is a
ConfigError that names the file, the place in it and the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from ordersync.errors import ConfigError
from ordersync.mapping.paths import is_glob, is_path

LISTS = ("line_items", "shipping_lines", "discounts", "tax_lines", "payments", "refunds", "fulfillments")
_TEXTS = ("platform", "api_version", "source")
_TOP = (*_TEXTS, "recognise", "unwrap", "shape", "totals_add_up", "order", *LISTS, "tables", "ignored", "secret")

Word = str | bool | None


@dataclass(frozen=True, slots=True)
class At:
    """A place in a mapping file."""

    file: str
    path: str = ""

    def __truediv__(self, key: str) -> At:
        return At(self.file, f"{self.path}.{key}" if self.path else key)

    def fail(self, complaint: str, value: object = None) -> NoReturn:
        shown = "" if value is None else f" (found: {_short(value)})"
        where = f"{self.file}: {self.path}" if self.path else self.file
        raise ConfigError(
            f"mapping {where}: {complaint}{shown}",
            code="bad_mapping",
            next_step="correct the mapping file and run the command again",
        )


@dataclass(frozen=True, slots=True)
class Table:
    """One vocabulary. A word maps to ours, to several that agree with it, or to null: it states nothing."""

    name: str
    decides: bool
    words: dict[str, tuple[Word, ...]]


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping file whose outer form is right; fields are compiled from here."""

    at: At
    platform: str
    api_version: str
    source: str
    has: tuple[str, ...]
    lacks: tuple[str, ...]
    unwrap: tuple[str, ...]
    shape: str | None
    shape_reads: tuple[str, ...]
    totals_add_up: bool
    order: dict[str, Any]
    lists: dict[str, dict[str, Any]]
    tables: dict[str, Table]
    ignored: tuple[str, ...] = field(default=())
    secret: tuple[str, ...] = field(default=())


class _Strict(yaml.SafeLoader):
    """SafeLoader without YAML 1.1's surprises: `no`, `1_0` and dates are texts."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(None, None, "a key must be a plain word", key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"the key {key.value!r} is written twice", key.start_mark)
            seen.add(key.value)
        return node


_Strict.yaml_implicit_resolvers = {}
_Strict.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), ["t", "f"])
_Strict.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(?:~|null|)$"), ["~", "n", ""])
_Strict.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^(?:<<)$"), ["<"])


def read(text: str, name: str) -> Document:
    """Parse and check the outer form. ConfigError."""
    at = At(name)
    try:
        tree = yaml.load(text, _Strict)  # noqa: S506 - _Strict is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" in line {mark.line + 1}" if mark else ""
        at.fail(f"not readable as YAML{line}: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError):
        at.fail("not readable as YAML")
    return _document(tree, at)


def _document(tree: object, at: At) -> Document:
    top = section(tree, at, allowed=_TOP)
    texts = {key: text(top.get(key), at / key) for key in _TEXTS}
    recognise = section(top.get("recognise"), at / "recognise", allowed=("has", "lacks"))
    shape = section(top.get("shape") or {}, at / "shape", allowed=("name", "reads"))
    if "order" not in top:
        at.fail("the section `order` is missing")
    inside = next((name for name in LISTS if name in section(top["order"], at / "order")), None)
    if inside is not None:
        (at / "order").fail(f"{inside} is a section of its own, beside `order`")
    add_up = top.get("totals_add_up", False)
    if not isinstance(add_up, bool):
        (at / "totals_add_up").fail("write true or false", add_up)
    return Document(
        at=at,
        **texts,
        has=paths(recognise.get("has"), at / "recognise.has", at_least_one=True),
        lacks=paths(recognise.get("lacks", []), at / "recognise.lacks"),
        unwrap=_envelopes(top.get("unwrap"), at / "unwrap"),
        shape=text(shape.get("name"), at / "shape.name") if shape else None,
        shape_reads=paths(shape.get("reads", []), at / "shape.reads"),
        totals_add_up=add_up,
        order=section(top["order"], at / "order"),
        lists={key: section(top[key], at / key) for key in LISTS if key in top},
        tables=_tables(top.get("tables", {}), at / "tables"),
        ignored=paths(top.get("ignored", []), at / "ignored", globs=True),
        secret=paths(top.get("secret", []), at / "secret", globs=True),
    )


def section(value: object, at: At, allowed: Iterable[str] | None = None) -> dict[str, Any]:
    """`value` as a map with known keys."""
    if not isinstance(value, dict):
        at.fail("a map of keys is wanted here", value if value is not None else "nothing")
    known = None if allowed is None else tuple(allowed)
    for key in value:
        if not isinstance(key, str):
            at.fail("a key must be a word", key)
        if known is not None and key not in known:
            at.fail(f"the key {key!r} is not known here; known are: {', '.join(known)}")
    return value


def text(value: object, at: At) -> str:
    if not isinstance(value, str) or not value:
        at.fail("a text is wanted here", value if value is not None else "nothing")
    return value


def paths(value: object, at: At, *, globs: bool = False, at_least_one: bool = False) -> tuple[str, ...]:
    """A list of paths, none of them twice."""
    if not isinstance(value, list) or (at_least_one and not value):
        at.fail("a list of paths is wanted here", value if value is not None else "nothing")
    good = is_glob if globs else is_path
    for item in value:
        if not good(item):
            at.fail("this is not a path", item)
        if value.count(item) > 1:
            at.fail("this path is listed twice", item)
    return tuple(value)


def _envelopes(value: object, at: At) -> tuple[str, ...]:
    """Like paths; `[]` is a bare list, `[].x` a list of objects that hold the order at `x`."""
    if not isinstance(value, list) or not value:
        at.fail("a list of envelopes is wanted here", value if value is not None else "nothing")
    for item in value:
        bare = item.removeprefix("[].") if isinstance(item, str) else item
        if bare != "[]" and not is_path(bare):
            at.fail("this is not an envelope", item)
    return tuple(value)


def _tables(value: object, at: At) -> dict[str, Table]:
    found = {}
    for name, body in section(value, at).items():
        here = at / name
        table = section(body, here, allowed=("decides", "words"))
        decides = table.get("decides")
        if not isinstance(decides, bool):
            (here / "decides").fail("say true or false: does an unknown word stop the order?", decides)
        words = section(table.get("words"), here / "words")
        if not words:
            (here / "words").fail("a table needs words")
        meanings = {word: _meaning(meaning, here / "words" / word) for word, meaning in words.items()}
        found[name] = Table(name, decides, meanings)
    return found


def _meaning(value: object, at: At) -> tuple[Word, ...]:
    meanings = value if isinstance(value, list) and value else [value]
    for meaning in meanings:
        if meaning is not None and not isinstance(meaning, str | bool):
            at.fail("a word means a word, true, false, null, or a list of these", meaning)
    return tuple(meanings)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
