"""Reads a page of orders without decoding the orders: rows as the bytes that came, and where the next page is.

Knows the list envelope, the `Link` header and the three fields of an order that the connector itself needs.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ordersync.connector import MAX_ORDER_BYTES, RawOrder
from ordersync.http import NOT_JSON, Answer

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r";\s*rel\s*=\s*\"?\s*([A-Za-z]+)", re.IGNORECASE)


class _Envelope(msgspec.Struct):
    orders: list[msgspec.Raw]


class _Head(msgspec.Struct):
    id: Any = None
    updated_at: Any = None


class Marks(msgspec.Struct):
    """The two facts a write asks about after it was refused."""

    cancelled_at: str | None = None
    hidden_order: bool | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_HEAD = msgspec.json.Decoder(_Head)
_MARKS = msgspec.json.Decoder(Marks)


class Unreadable(NamedTuple):
    """A row that cannot be kept, and why; no buyer data."""

    code: str
    sentence: str


class Listing(NamedTuple):
    """One answered page."""

    orders: tuple[RawOrder, ...]
    unreadable: tuple[Unreadable, ...]
    next_url: str | None
    """As the platform gave it; the client refuses to follow it to another host."""
    moved_at: tuple[datetime, ...]
    """`updated_at` of the rows that state one."""
    answered_at: datetime
    """By the platform's clock; by ours when it was asked where it tells none."""

    @property
    def size(self) -> int:
        """Rows on the page, readable or not."""
        return len(self.orders) + len(self.unreadable)


def split(answer: Answer) -> Listing:
    """The page's rows, each with exactly the bytes the platform sent.

    Errors: BrokenAnswer when it is not JSON, has no list `orders`, or a `Link` header that cannot be read: none
    of these may pass for a last page.
    """
    try:
        rows = _ENVELOPE.decode(answer.body).orders
    except msgspec.ValidationError:
        raise answer.broken("the answer has no list `orders`", code="broken_page") from None
    except NOT_JSON:
        answer.json()  # raises the error that says whether it is empty, a web page or cut
        raise answer.broken("the page cannot be read", code="broken_page") from None
    orders: list[RawOrder] = []
    unreadable: list[Unreadable] = []
    moved_at: list[datetime] = []
    for place, raw in enumerate(rows, start=1):
        payload = bytes(raw)
        order_id, moved = _head_of(payload)
        if moved is not None:
            moved_at.append(moved)
        if order_id is None:
            unreadable.append(
                Unreadable("no_id", f"row {place} of a page ({len(payload)} bytes) has no id as text")
            )
        elif len(payload) > MAX_ORDER_BYTES:
            size = f"{len(payload)} bytes, more than the {MAX_ORDER_BYTES} that are kept"
            unreadable.append(Unreadable("order_too_large", f"order {order_id[:100]} has {size}"))
        else:
            orders.append(RawOrder(order_id=order_id, payload=payload, sent_at=answer.sent_at))
    answered_at = answer.dated_at or answer.sent_at
    return Listing(tuple(orders), tuple(unreadable), next_link(answer), tuple(moved_at), answered_at)


def next_link(answer: Answer) -> str | None:
    """The URL with rel="next" of the `Link` header; None when there is none, which means the last page."""
    header = answer.headers.get("link", "").strip()
    if not header:
        return None
    links = _LINK.findall(header)
    relations = [_REL.search(parameters) for _, parameters in links]
    if not links or not all(relations):
        raise answer.broken("the Link header cannot be read", code="broken_link")
    found = {
        url
        for (url, _), relation in zip(links, relations, strict=True)
        if relation and _is_next(relation.group(1))
    }
    if len(found) > 1:
        raise answer.broken("the Link header names two next pages", code="broken_link")
    url = found.pop() if found else None
    if url == "":
        raise answer.broken("the Link header has an empty next page", code="broken_link")
    return url


def marks(payload: bytes) -> Marks:
    """Whether an order is cancelled or archived. Nothing stated when these fields are not what they should be."""
    try:
        return _MARKS.decode(payload)
    except NOT_JSON:
        return Marks()


def _is_next(relation: str) -> bool:
    return relation.lower() == "next"


def _head_of(payload: bytes) -> tuple[str | None, datetime | None]:
    """The id, which is promised as text (26 digits do not fit a number), and `updated_at` where it is an instant."""
    try:
        head = _HEAD.decode(payload)
    except NOT_JSON:
        return None, None
    order_id = head.id if isinstance(head.id, str) and head.id.strip() else None
    return order_id, _instant(head.updated_at)


def _instant(stated: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(stated) if isinstance(stated, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
