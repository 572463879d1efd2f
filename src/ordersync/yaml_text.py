"""Reads a YAML file strictly: every value stays the text that was written, and every key remembers its line.

Only plain `true` and `false` are booleans and only `null`, `~` or nothing is null, so `NO`, `on`, `1_000` and
`2026-10-01` stay text. A key written twice is an error. Tags, anchors that contain themselves and several
documents in one file are errors too. It knows nothing about what the keys mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from ordersync.errors import ConfigError

KeyPath = tuple[str | int, ...]
_MAX_DEPTH = 20
_MAX_VALUES = 100_000
"""Beyond this a file multiplies itself through anchors."""
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
)


@dataclass(frozen=True, slots=True)
class YamlText:
    """`tree` holds dict, list, str, bool and None only; `lines` has the 1-based line of every key and item."""

    name: str
    tree: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line_of(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest key above it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


def parse_yaml(text: str, name: str) -> YamlText:
    """ConfigError names the file, the line and what is wrong; it never quotes a value, which may be a secret."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as bad:
        mark = bad.problem_mark or bad.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(
            f"{name}:{line}: not valid YAML: {_problem(bad)}",
            code="broken_yaml",
            next_step=f"correct line {line} (quotes and indentation are the usual causes)",
        ) from None  # the original message quotes the line, which may hold a secret
    except yaml.YAMLError:
        raise ConfigError(
            f"{name}: not valid YAML: it holds characters YAML does not allow",
            code="broken_yaml",
            next_step="save the file as UTF-8 text without control characters",
        ) from None  # the original message quotes the text
    found = YamlText(name, None if node is None else {}, {})
    if node is None:
        return found
    return YamlText(name, _value(node, (), found), found.lines)


def _value(node: yaml.Node, path: KeyPath, into: YamlText) -> Any:
    line = node.start_mark.line + 1
    into.lines.setdefault(path, line)
    if len(path) > _MAX_DEPTH or len(into.lines) > _MAX_VALUES:
        raise ConfigError(
            f"{into.name}:{line}: nested more than {_MAX_DEPTH} levels deep, or too many values",
            code="broken_yaml",
            next_step="remove the anchor that contains itself, or flatten the file",
        )
    if node.tag not in _PLAIN_TAGS:
        raise ConfigError(
            f"{into.name}:{line}: the tag {node.tag} is not accepted",
            code="broken_yaml",
            next_step="write the plain value",
        )
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, into)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), into) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: KeyPath, into: YamlText) -> dict[str, Any]:
    result: dict[str, Any] = {}
    first_line: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(
                f"{into.name}:{line}: a key must be a plain word",
                code="broken_yaml",
                next_step="write `key: value`; values with braces or brackets need quotes",
            )
        key = str(key_node.value)
        if key in result:
            raise ConfigError(
                f"{into.name}:{line}: {'.'.join(str(p) for p in (*path, key))} is written twice "
                f"(first on line {first_line[key]})",
                code="duplicate_key",
                next_step="keep one of the two lines",
            )
        first_line[key] = into.lines[(*path, key)] = line
        result[key] = _value(value_node, (*path, key), into)
    return result


def _scalar(node: yaml.Node) -> str | bool | None:
    text = str(node.value)
    if getattr(node, "style", None) is None:
        if text in ("true", "false"):
            return text == "true"
        if text in ("null", "~", ""):
            return None
    return text


def _problem(bad: yaml.MarkedYAMLError) -> str:
    """The parser's words without the quoted source; it names characters and tokens only."""
    return str(bad.problem or bad.context or "it cannot be read").split("\n", 1)[0]
