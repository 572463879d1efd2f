"""Two answers of two servers, compared: what differs by nature (ids, moments, names of goods) is taken out first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

_ID = re.compile(r"\b([a-z_]+)_01[0-9A-Z]{20,26}\b")
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
_RUNNING = ("ordering", "display_id")
"""One number for all records of a shop."""
_DIGITS = 9


def plain(value: Any) -> Any:
    """Ids as the kind of record, moments as a word, amounts to nine digits, lists in an order of their own."""
    if isinstance(value, dict):
        return {name: "<number>" if name in _RUNNING else plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return _rounded(Decimal(str(value)))
    if isinstance(value, str):
        if _MOMENT.match(value):
            return "<moment>"
        try:
            return f"decimal {_rounded(Decimal(value))}" if value[:1] in "-0123456789" else _ID.sub(r"\1#", value)
        except ArithmeticError:
            return _ID.sub(r"\1#", value)
    raise AssertionError(f"JSON has no {type(value).__name__}")


def _rounded(number: Decimal) -> str:
    """Both servers compute with long fractions; the last digits are the arithmetic's own."""
    return format(round(number, _DIGITS).normalize() + 0, "f")


def differences(real: Any, sandbox: Any, ignored: re.Pattern[str], path: str = "") -> Iterator[str]:
    """Where the sandbox says something else, or has what the real server lacks, or lacks what it has."""
    if ignored.search(path):
        return
    if isinstance(real, dict) and isinstance(sandbox, dict):
        for name in sorted(real.keys() | sandbox.keys()):
            here = f"{path}.{name}"
            if name not in sandbox or name not in real:
                if not ignored.search(here):
                    yield f"{here}: {'missing' if name in real else 'too much'} in the sandbox"
            else:
                yield from differences(real[name], sandbox[name], ignored, here)
    elif isinstance(real, list) and isinstance(sandbox, list):
        if len(real) != len(sandbox):
            yield f"{path}: {len(real)} rows, {len(sandbox)} in the sandbox"
        for index, (one, other) in enumerate(zip(real, sandbox, strict=False)):
            yield from differences(one, other, ignored, f"{path}[{index}]")
    elif real != sandbox:
        yield f"{path}: {real!r}, in the sandbox {sandbox!r}"
