"""Pages of `GET /admin/orders`: taken apart without decoding the orders, and what comes next.

Knows the envelope `{data, total_count, has_more, next_cursor}` and nothing of HTTP. A broken envelope is never
"the end": every doubt is an error (fact sheet, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ordersync.connector import MAX_ORDER_BYTES
from ordersync.errors import ConfigError
from ordersync.http import NOT_JSON, Answer

CHILDREN = ("lines", "payments", "fulfillments", "refunds")
"""Arrays an order may lack unless expanded: an absent key means "not loaded", never "none"."""
_LONGEST_CURSOR = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One order of a page: its bytes as sent, and the few fields paging itself needs."""

    order_id: str
    payload: bytes
    status: str | None
    created_at: datetime | None
    whole: bool


@dataclass(frozen=True, slots=True)
class ListPage:
    rows: tuple[Row, ...]
    unreadable: tuple[str, ...]
    next_after: str | None
    """Id to continue after; None is the end of the list."""
    total: int | None


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a feed got; as JSON it is the opaque cursor the engine stores."""

    after: str | None = None
    status: str | None = None
    """The chain being read, for the feed of open orders."""
    counted: int = 0
    """The platform's own counts of the chains already finished."""
    covered: datetime | None = None
    """The platform's clock at the first page: nothing later was listed, whatever the window's end says."""

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def of(cls, cursor: str | None, feed: str) -> Position:
        if cursor is None:
            return cls()
        try:
            return msgspec.json.decode(cursor.encode(), type=cls)
        except (msgspec.DecodeError, UnicodeError) as broken:
            raise ConfigError(
                f"the stored position of feed {feed} is not one of this connector",
                code="bad_cursor",
                next_step="check that the shop's connector was not changed in the configuration",
            ) from broken


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool
    next_cursor: str | None = None
    total_count: int | None = None


class _Fields(msgspec.Struct):
    """What a row says about itself; wrong types are the mapping's to complain about, not paging's."""

    id: Any = None
    status: Any = None
    created_at: Any = None
    lines: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    fulfillments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    refunds: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_FIELDS = msgspec.json.Decoder(_Fields)


def split(answer: Answer, *, cursor_from_last_id: bool = False) -> ListPage:
    """Take one page apart. BrokenAnswer when the envelope is not what the platform promises."""
    try:
        envelope = _ENVELOPE.decode(answer.body)
    except msgspec.ValidationError as wrong:
        why = "the page lacks data, has_more or next_cursor, or has them in another form"
        raise answer.broken(why, code="broken_page") from wrong
    except NOT_JSON:
        answer.json()  # raises the error that says whether it is empty, a web page or cut
        raise answer.broken("the page is not JSON", code="broken_json") from None
    rows: list[Row] = []
    unreadable: list[str] = []
    for place, raw in enumerate(envelope.data, start=1):
        row = _row(place, bytes(raw))
        if isinstance(row, Row):
            rows.append(row)
        else:
            unreadable.append(row)
    return ListPage(
        rows=tuple(rows),
        unreadable=tuple(unreadable),
        next_after=_next_after(answer, envelope, rows, cursor_from_last_id=cursor_from_last_id),
        total=envelope.total_count,
    )


def _next_after(answer: Answer, envelope: _Envelope, rows: list[Row], *, cursor_from_last_id: bool) -> str | None:
    if not envelope.has_more:
        return None
    if not envelope.data:
        raise answer.broken("an empty page says that there is more", code="empty_page")
    after = envelope.next_cursor
    if not after and cursor_from_last_id and rows and rows[-1].payload == bytes(envelope.data[-1]):
        after = rows[-1].order_id
    if not after:
        raise answer.broken("the page says that there is more, but not where", code="no_cursor")
    if len(after) > _LONGEST_CURSOR:
        raise answer.broken("the page's cursor is absurdly long", code="broken_page")
    return after


def _row(place: int, payload: bytes) -> Row | str:
    """The row, or one sentence why it cannot be used (no buyer data)."""
    try:
        fields = _FIELDS.decode(payload)
    except NOT_JSON:
        return f"row {place} of the page is not a JSON object"
    if not isinstance(fields.id, str) or not fields.id.strip():
        found = "no id" if fields.id is None else f"a {_json_word(fields.id)} where its id should be"
        return f"row {place} of the page ({len(payload)} bytes) has {found}"
    if len(payload) > MAX_ORDER_BYTES:
        return f"order {fields.id[:100]} has {len(payload)} bytes, more than the {MAX_ORDER_BYTES} that are read"
    return Row(
        order_id=fields.id,
        payload=payload,
        status=fields.status if isinstance(fields.status, str) else None,
        created_at=instant(fields.created_at),
        whole=all(_loaded(getattr(fields, child)) for child in CHILDREN),
    )


def _loaded(child: msgspec.Raw | msgspec.UnsetType) -> bool:
    return child is not msgspec.UNSET and bytes(child) != b"null"


def instant(value: Any) -> datetime | None:
    """An aware instant from ISO 8601 text; None when it is not one."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _json_word(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "blank text"
    return "number" if isinstance(value, int | float) else "list" if isinstance(value, list) else "object"


class Loops:
    """Remembers which cursor led where during a pass, so that a list that runs in circles is noticed.

    Asking again for the same page is no loop; arriving at a known cursor from another page is.
    """

    def __init__(self) -> None:
        self._came_from: dict[tuple[str, ...], dict[str, str | None]] = {}

    def repeats(self, chain: tuple[str, ...], asked_after: str | None, next_after: str) -> bool:
        if asked_after is None:
            self._came_from[chain] = {}
        seen = self._came_from.setdefault(chain, {})
        if next_after == asked_after:
            return True
        return seen.setdefault(next_after, asked_after) != asked_after

    def forget(self, chain: tuple[str, ...]) -> None:
        """The chain came to its end."""
        self._came_from.pop(chain, None)
