"""Drops secret fields from a payload before it goes to disk. The payload itself is never changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Branch = dict[str, "Branch | None"]


class Scrubber:
    """Built once from the `secret` paths of a mapping file; `**` in a path reaches any depth below its head."""

    def __init__(self, secret: Iterable[str]) -> None:
        self._tree: Branch = {}
        self._deep: list[re.Pattern[str]] = []
        for path in secret:
            if "*" in path:
                self._deep.append(_regex(path))
            else:
                self._plant(path.replace("[]", "").split("."))

    def _plant(self, names: list[str]) -> None:
        branch: Branch = self._tree
        for name in names[:-1]:
            inner = branch.setdefault(name, {})
            if inner is None:
                return
            branch = inner
        branch[names[-1]] = None

    def scrub(self, payload: dict[str, Any]) -> dict[str, Any]:
        """A copy without the secret fields; only what leads to them is copied."""
        clean: dict[str, Any] = _without(payload, self._tree)
        return self._sweep(clean, "") if self._deep else clean

    def _sweep(self, node: Any, path: str) -> Any:
        if type(node) is list:
            return [self._sweep(item, path) for item in node]
        if type(node) is not dict:
            return node
        kept = {}
        for key, value in node.items():
            here = f"{path}.{key}"
            if any(pattern.fullmatch(here) for pattern in self._deep):
                continue
            kept[key] = self._sweep(value, here) if type(value) in (dict, list) else value
        return kept


def _without(node: Any, tree: Branch) -> Any:
    if type(node) is list:
        return [_without(item, tree) for item in node]
    if type(node) is not dict:
        return node
    kept = dict(node)
    for name, branch in tree.items():
        if name not in kept:
            continue
        if branch is None:
            del kept[name]
        else:
            kept[name] = _without(kept[name], branch)
    return kept


def _regex(path: str) -> re.Pattern[str]:
    parts = []
    for part in path.replace("[]", "").split("."):
        parts.append(r"(?:\.[^.]+)*" if part == "**" else r"\." + re.escape(part).replace(r"\*", r"[^.]*"))
    return re.compile("".join(parts), re.DOTALL)
