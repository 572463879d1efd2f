"""Cutting answers into orders without parsing them: each order keeps the bytes it was sent with."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec

from ordersync.connector import MAX_ORDER_BYTES, RawOrder
from ordersync.http import NOT_JSON, Answer, describe_broken

ORDER_FIELDS = ",".join(
    (
        "+email,+currency_code,+customer_id,+sales_channel_id,+region_id,+canceled_at,+is_draft_order",
        "+subtotal,+tax_total,+discount_total,+discount_tax_total,+shipping_total,+shipping_subtotal",
        "+shipping_tax_total,+item_total,+item_subtotal,+item_tax_total,+original_total,+original_subtotal",
        "+original_tax_total,+original_item_total,+original_item_subtotal,+original_item_tax_total",
        "+original_shipping_total,+original_shipping_subtotal,+original_shipping_tax_total",
        "+credit_line_total,+credit_line_subtotal,+credit_line_tax_total,*credit_lines",
        "*items,*items.detail,*items.tax_lines,*items.adjustments,*shipping_methods",
        "*shipping_address,*billing_address,*customer,*sales_channel",
        # Without these two a payment row has neither provider nor amount: whose purse it is would stay unknown.
        "*payment_collections,*payment_collections.payments",
        "*payment_collections.payments.refunds,*payment_collections.payments.captures",
        "*fulfillments,*fulfillments.items,*fulfillments.labels,*transactions,*returns",
    )
)
"""`fields` of every order read, list and detail alike, so that both give the same order."""
PAYMENT_FIELDS = ",".join(
    (
        "+updated_at,+created_at,+canceled_at,+provider_id,*captures,*refunds",
        "+payment_collection.order.id,+payment_collection.order.display_id",
    )
)
WHOLE_ORDER = ("items", "payment_collections", "fulfillments")
"""A row without one of these is only part of an order."""


class _Row(msgspec.Struct):
    """The few fields of a listed order or payment that paging needs; the rest is skipped unparsed."""

    id: Any = None
    updated_at: Any = None
    created_at: Any = None
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payment_collections: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    fulfillments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payment_collection: Any = None
    order_id: Any = None


class _List(msgspec.Struct):
    orders: list[msgspec.Raw] | None = None
    payments: list[msgspec.Raw] | None = None
    count: int | None = None


_ROW = msgspec.json.Decoder(_Row)
_LIST = msgspec.json.Decoder(_List)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Row(msgspec.Struct, frozen=True):
    """One listed order or payment: its bytes and what paging needs to know of it."""

    payload: bytes
    row_id: str | None
    updated_at: datetime | None
    moved_at: datetime | None
    """`updated_at`, else `created_at`."""
    whole: bool
    order_id: str | None
    """Of a payment: the order it belongs to, where the row says."""
    owner_told: bool
    """Of a payment: the row shows its collection or order, even if that has no order."""

    @property
    def key(self) -> str:
        """Its id; its bytes' checksum where it has none, so that paging knows it again."""
        return self.row_id or f"#{zlib.crc32(self.payload):08x}"


class Listing(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    count: int | None
    """The platform's own count of everything that matches."""
    broken: int
    """Rows that are not even an object."""


def read_list(answer: Answer, name: str) -> Listing:
    """A list answer in either form: `{name: […], count}` or a bare array. BrokenAnswer for anything else."""
    body = answer.body.lstrip()
    try:
        if body.startswith(b"["):
            raws, count = _ARRAY.decode(body), None
        else:
            listed = _LIST.decode(body)
            found = listed.orders if name == "orders" else listed.payments
            if found is None:
                raise answer.broken(f"the answer holds no {name}", code="no_list")
            raws, count = found, listed.count
    except NOT_JSON as bad:
        raise answer.broken(describe_broken(answer.body), code="broken_json") from bad
    rows = [_row(bytes(raw)) for raw in raws]
    return Listing(tuple(row for row in rows if row), count, sum(row is None for row in rows))


def _row(payload: bytes) -> Row | None:
    try:
        head = _ROW.decode(payload)
    except NOT_JSON:
        return None
    updated_at = read_date(head.updated_at)
    collection = head.payment_collection if isinstance(head.payment_collection, dict) else {}
    owner = collection.get("order")
    order_id = owner.get("id") if isinstance(owner, dict) else head.order_id
    return Row(
        payload=payload,
        row_id=head.id if isinstance(head.id, str) and head.id else None,
        updated_at=updated_at,
        moved_at=updated_at or read_date(head.created_at),
        whole=all(getattr(head, name) is not msgspec.UNSET for name in WHOLE_ORDER),
        order_id=order_id if isinstance(order_id, str) and order_id else None,
        owner_told=bool(collection) or isinstance(order_id, str),
    )


def raw_orders(rows: Sequence[Row], sent_at: datetime) -> tuple[tuple[RawOrder, ...], list[str]]:
    """(orders, sentences about rows that are no order that can be kept)."""
    orders: list[RawOrder] = []
    unreadable: list[str] = []
    for row in rows:
        if row.row_id is None:
            unreadable.append(f"a listed order of {len(row.payload)} bytes has no id")
        elif len(row.payload) > MAX_ORDER_BYTES:
            unreadable.append(f"order {row.row_id} is {len(row.payload)} bytes, more than {MAX_ORDER_BYTES}")
        else:
            orders.append(
                RawOrder(order_id=row.row_id, payload=row.payload, sent_at=sent_at, partial=not row.whole)
            )
    return tuple(orders), unreadable


def unwrap(answer: Answer, name: str) -> bytes:
    """The bytes of the one object in an answer, in either form: `{name: {…}}` or bare."""
    try:
        fields = _FIELDS.decode(answer.body)
    except NOT_JSON as bad:
        raise answer.broken(describe_broken(answer.body), code="broken_json") from bad
    if name in fields and "id" not in fields:
        return bytes(fields[name])
    return bytes(answer.body)


def id_of(payload: bytes) -> str | None:
    """The id of one order; None when it has none or is no object."""
    row = _row(payload)
    return row.row_id if row else None


def read_date(value: Any) -> datetime | None:
    """ISO 8601 text, or a Java `OffsetDateTime` as an object; None for anything else."""
    offset_s = 0
    if isinstance(value, dict):
        offset = value.get("offset")
        stated = offset.get("totalSeconds") if isinstance(offset, dict) else None
        offset_s = stated if isinstance(stated, int) and abs(stated) < 86_400 else 0
        value = value.get("dateTime")
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone(timedelta(seconds=offset_s)))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
