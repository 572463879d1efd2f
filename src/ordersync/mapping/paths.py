"""Paths of a mapping file: `a.b`, lists as `items[]`, `.` the node itself, `^.x` the enclosing element, `$.x` the
root of the payload. Globs (`*` one name, `**` any depth) are for the lists of ignored and secret fields only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ordersync.mapping.converters import Bad, Context, kind_of

Node = dict[str, Any]
Getter = Callable[[Node, Context], Any]

_PATH = re.compile(r"\.|((\$|\^)\.)?[A-Za-z0-9_-]+(\[\])?(\.[A-Za-z0-9_-]+(\[\])?)*", re.ASCII)
_GLOB = re.compile(r"(\*\*|[A-Za-z0-9_*-]+(\[\])?)(\.(\*\*|[A-Za-z0-9_*-]+(\[\])?))*", re.ASCII)


def is_path(text: object) -> bool:
    return isinstance(text, str) and _PATH.fullmatch(text) is not None


def is_glob(text: object) -> bool:
    return isinstance(text, str) and not text.endswith("**") and _GLOB.fullmatch(text) is not None


def absolute(path: str, base: str, parent: str) -> str:
    """`path` as seen from the root: `base` is where its node is, `parent` where the enclosing element is."""
    if path == ".":
        return base
    if path.startswith("$."):
        return path[2:]
    if path.startswith("^."):
        base, path = parent, path[2:]
    return f"{base}.{path}" if base else path


def promised_object(node: object) -> Node:
    if type(node) is dict:
        return node
    raise Bad(f"an object is promised here, but {kind_of(node)} came")


def promised_list(node: object, path: str) -> list[Any]:
    if type(node) is list:
        return node
    raise Bad(f"a list is promised here, but {kind_of(node)} came", path=path)


def getter(path: str) -> Getter:
    """A function that takes the value at `path`, None where it is absent. Bad where a step is no object."""
    if path == ".":
        return lambda node, ctx: node
    if path.startswith("$."):
        inner = getter(path[2:])
        return lambda node, ctx: inner(ctx.root, ctx)
    if path.startswith("^."):
        inner = getter(path[2:])
        return lambda node, ctx: inner(ctx.parent, ctx)
    if "[]" in path:
        return _collector(path)
    names = path.split(".")
    if len(names) == 1:
        name = names[0]
        return lambda node, ctx: node.get(name)
    if len(names) == 2:
        return _two(names[0], names[1])
    return _deep(names)


def _two(first: str, second: str) -> Getter:
    def get(node: Node, _ctx: Context) -> Any:
        inner = node.get(first)
        if inner is None:
            return None
        if type(inner) is not dict:
            raise Bad(f"an object is promised here, but {kind_of(inner)} came", path=first)
        return inner.get(second)

    return get


def _deep(names: list[str]) -> Getter:
    *steps, last = names

    def get(node: Node, _ctx: Context) -> Any:
        for index, name in enumerate(steps):
            inner = node.get(name)
            if inner is None:
                return None
            if type(inner) is not dict:
                where = ".".join(steps[: index + 1])
                raise Bad(f"an object is promised here, but {kind_of(inner)} came", path=where)
            node = inner
        return node.get(last)

    return get


def _collector(path: str) -> Getter:
    """All values below a path with lists in it, nulls left out; None where the outermost list is absent."""
    head, _, tail = path.partition("[]")
    outer = getter(head)
    inner = getter(tail.removeprefix(".") or ".")

    def get(node: Node, ctx: Context) -> Any:
        found = outer(node, ctx)
        if found is None:
            return None
        result: list[Any] = []
        for index, item in enumerate(promised_list(found, head)):
            if item is None:
                continue
            try:
                value = inner(item if tail == "" else promised_object(item), ctx)
            except Bad as bad:
                raise bad.under(f"{head}[{index}]") from None
            if type(value) is list and "[]" in tail:
                result.extend(value)
            elif value is not None:
                result.append(value)
        return result

    return get


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Every field path without something below it, lists as `items[]`, and whether it holds a value (not null,
    {} or [])."""
    stack: list[tuple[Any, str]] = [(value, path)]
    while stack:
        node, here = stack.pop()
        if isinstance(node, dict) and node:
            stack.extend((item, f"{here}.{key}" if here else key) for key, item in node.items())
        elif isinstance(node, list) and node:
            stack.extend((item, f"{here}[]") for item in node)
        else:
            yield here, not (node is None or isinstance(node, dict | list))


class Known:
    """A set of paths and globs; a path covers everything below it."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._above: set[str] = set()
        globs: list[str] = []
        for pattern in patterns:
            if "*" in pattern:
                globs.append(_regex(pattern) + r"(\[\]|\..*)?")
            else:
                self._exact.add(pattern)
                self._above.update(prefixes(pattern))
        self._globs = re.compile("|".join(f"(?:{glob})" for glob in globs) or r"(?!)")

    def covers(self, path: str) -> bool:
        """True when `path` or something above it is listed."""
        if path in self._exact or any(prefix in self._exact for prefix in prefixes(path)):
            return True
        return self._globs.fullmatch(path) is not None

    def leads_to(self, path: str) -> bool:
        """True when something below `path` is listed: an empty container there is nothing unknown."""
        return path in self._above


def prefixes(path: str) -> Iterator[str]:
    """Everything above `path`: `a`, `a[]`, `a[].b` for `a[].b.c`."""
    for position, char in enumerate(path):
        if position and char in ".[":
            yield path[:position]


def _regex(pattern: str) -> str:
    parts = []
    for part in pattern.split("."):
        if part == "**":
            parts.append(r"(?:[^.]+\.)*")
            continue
        parts.append(re.escape(part).replace(r"\*", r"[^.\[]*") + r"(?:\[\])?" + r"\.")
    return "".join(parts).removesuffix(r"\.")
