"""How results look: 80 columns, plain text that no platform value can break, money and ages in words."""

from __future__ import annotations

import io
import json
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

WIDTH = 80
NARROWEST = 6
"""A column is never cut below this; a very long name rather makes its line longer."""
_UNPRINTABLE = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))


def say(text: str = "") -> None:
    print(text)


def warn(text: str) -> None:
    print(text, file=sys.stderr)


def replace_what_cannot_be_shown(stream: object) -> None:
    """On a terminal that is not UTF-8 a character it lacks becomes `?`, rather than the end of the command."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def stdout_for_json() -> TextIO:
    """stdout in UTF-8 whatever the terminal is: that is what JSON is, and what another program reads."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="strict")
    return sys.stdout


def say_json(value: Any, *, buyer: bool = False) -> None:
    """One JSON document on stdout, keys in the order given; e-mail addresses hidden unless `buyer`."""
    shown = value if buyer else without_addresses(value)
    print(json.dumps(shown, ensure_ascii=False, indent=2), file=stdout_for_json())


def without_addresses(value: Any) -> Any:
    """The same JSON value, e-mail addresses inside any of its texts hidden."""
    from ordersync.log import hide_emails

    if isinstance(value, str):
        return hide_emails(value)
    if isinstance(value, list):
        return [without_addresses(item) for item in value]
    if isinstance(value, dict):
        return {key: without_addresses(item) for key, item in value.items()}
    return value


def plain(text: object) -> str:
    """Text from a platform on one line: control and direction characters cannot move a terminal's cursor."""
    shown = (" " if char in "\n\r\t" else char for char in str(text))
    return "".join("?" if unicodedata.category(char) in _UNPRINTABLE else char for char in shown)


def cells(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def fit(text: str, width: int) -> str:
    """`text` cut to `width` columns, with an ellipsis where it was cut."""
    if cells(text) <= width:
        return text
    kept = ""
    for char in text:
        if cells(kept + char) > width - 1:
            break
        kept += char
    return kept + "…"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, width: int = WIDTH) -> list[str]:
    """Lines of a table. Where the columns do not fit the last is cut, then the widest; the first names things
    and stays whole."""
    texts = [[plain(value) for value in row] for row in rows]
    widths = [max([cells(name), *(cells(row[i]) for row in texts)]) for i, name in enumerate(head)]
    room = width - 2 * (len(head) - 1)
    last = len(head) - 1
    widths[last] = min(widths[last], max(cells(head[last]), 8, room - sum(widths[:last])))
    while sum(widths) > room:
        widest = max(range(1, len(widths)), key=lambda i: widths[i], default=0)
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    return [_row(head, widths), *(_row(row, widths) for row in texts)] if texts else []


def _row(values: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for value, width in zip(values, widths, strict=True):
        shown = fit(value, width)
        padded.append(shown + " " * (width - cells(shown)))
    return "  ".join(padded).rstrip()


def say_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    lines = table(head, rows)
    for line in lines or [empty]:
        say(line)


def wrapped(text: str, label: str = "", width: int = WIDTH) -> list[str]:
    """`text` in lines of `width`, after `label`, the following lines under the first."""
    return textwrap.wrap(
        text,
        width=width,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def age(since: datetime | None, now: datetime) -> str:
    """ "3 min ago", "2 h ago", "5 d ago"; "never" for None."""
    if since is None:
        return "never"
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h ago"
    return f"{seconds // 86400} d ago"


def count(number: int, one: str, many: str | None = None) -> str:
    """ "1 order", "2 orders"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
