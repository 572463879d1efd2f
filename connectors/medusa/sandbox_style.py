"""The same orders in the words of the "Medusa-style admin" description: bare, Java dates as objects, no status.

What the description shows and a real Medusa lacks is added (`gift_card_total`, sums on payments, `country` objects);
what it does not show is left out (`status`, `canceled_at`, `raw_*`, credit lines, returns, tracking).
"""

from __future__ import annotations

import re
from typing import Any

_DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
_ORDER_ONLY_REAL = frozenset(
    [
        "status",
        "canceled_at",
        "custom_display_id",
        "locale",
        "is_draft_order",
        "credit_lines",
        "credit_line_total",
        "credit_line_subtotal",
        "credit_line_tax_total",
        "returns",
    ]
)
_ITEM_ONLY_REAL = frozenset(
    [
        "is_custom_price",
        "is_giftcard",
        "line_item_metadata",
        "discount_subtotal",
        "fulfilled_total",
        "shipped_total",
        "return_requested_total",
        "return_received_total",
        "return_dismissed_total",
        "write_off_total",
        "deleted_at",
    ]
)
_PARCEL_ONLY_REAL = (
    "items",
    "labels",
    "provider",
    "shipping_option",
    "delivery_address",
    "delivery_address_id",
    "marked_shipped_by",
    "created_by",
    "deleted_at",
)
_LEDGER_ONLY_REAL = (
    "return",
    "return_id",
    "exchange",
    "exchange_id",
    "claim",
    "claim_id",
    "version",
    "deleted_at",
)
_ZERO_OFFSET = {"totalSeconds": 0}


def java_date(text: str | None) -> dict[str, Any] | None:
    """`OffsetDateTime` as Java's reflection writes it."""
    return None if text is None else {"dateTime": text.removesuffix("Z"), "offset": dict(_ZERO_OFFSET)}


def style_order(document: dict[str, Any]) -> dict[str, Any]:
    """A whole order document of the real shape in the dialect's."""
    order = {name: value for name, value in document.items() if name not in _ORDER_ONLY_REAL}
    order["gift_card_total"] = order["gift_card_tax_total"] = 0
    order["summary"] = _summary(document)
    order["items"] = [_item(row) for row in document["items"]]
    order["shipping_methods"] = [_shipping_method(row) for row in document["shipping_methods"]]
    order["fulfillments"] = [_keep(row, drop=_PARCEL_ONLY_REAL) for row in document["fulfillments"]]
    order["payment_collections"] = [_collection(document, row) for row in document["payment_collections"]]
    order["transactions"] = [
        {**_keep(row, drop=_LEDGER_ONLY_REAL), "metadata": {}} for row in document["transactions"]
    ]
    order["shipping_address"] = _address(document["shipping_address"])
    order["billing_address"] = _address(document["billing_address"])
    order["customer"] = {
        **document["customer"],
        "groups": [],
        "addresses": [],
        "default_billing_address_id": None,
        "default_shipping_address_id": None,
    }
    plain: dict[str, Any] = _java_dates(order)
    return plain


def style_payment(order: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A payment of `/admin/payments` in the dialect; `order` is the whole real document it belongs to."""
    payment: dict[str, Any] = _java_dates(_payment(order, document))
    return payment


def _shipping_method(row: dict[str, Any]) -> dict[str, Any]:
    kept = _keep(row, drop=("is_custom_amount", "discount_subtotal", "deleted_at"))
    detail = _keep(row["detail"], drop=("deleted_at", "order_id", "version"))
    taxes = [_keep(line, drop=("data", "metadata", "deleted_at")) for line in row["tax_lines"]]
    return {**kept, "tax_lines": taxes, "detail": {**detail, "shipping_method": {}}}


def _summary(document: dict[str, Any]) -> dict[str, Any]:
    summary = document["summary"]
    items = document["items"]
    return {
        "total": document["total"],
        "subtotal": document["subtotal"],
        "total_tax": document["tax_total"],
        "ordered_total": summary["original_order_total"],
        "fulfilled_total": sum(row["fulfilled_total"] for row in items),
        "returned_total": sum(row["return_received_total"] for row in items),
        "return_request_total": 0,
        "write_off_total": 0,
        "paid_total": summary["paid_total"],
        "refunded_total": summary["refunded_total"],
    }


def _item(row: dict[str, Any]) -> dict[str, Any]:
    item = {name: value for name, value in row.items() if name not in _ITEM_ONLY_REAL}
    variant = row.get("variant") or {}
    item["variant"] = {**_keep(variant, drop=("product", "thumbnail")), "prices": [], "options": []}
    item["product"] = {**variant.get("product", {}), "images": [], "tags": [], "options": [], "variants": []}
    item["item_total"] = row["total"]
    item["item_subtotal"] = row["subtotal"]
    item["item_tax_total"] = row["tax_total"]
    item["detail"] = {}
    for name in ("tax_lines", "adjustments"):
        drop: tuple[str, ...] = ("data", "metadata", "deleted_at", "is_tax_inclusive", "version")
        if name == "adjustments":
            drop = (*drop, "subtotal", "total")
        item[name] = [{**_keep(line, drop=drop), "item": {}} for line in row[name]]
    return item


def _collection(document: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return {
        **_keep(row, drop=("deleted_at",)),
        "region_id": document["region_id"],
        "payment_providers": [{"id": payment["provider_id"], "is_enabled": True} for payment in row["payments"]],
        "payment_sessions": [],
        "payments": [_payment(document, payment) for payment in row["payments"]],
    }


def _payment(order: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    kept = _keep(row, drop=("payment_collection_id", "payment_session_id", "deleted_at", "metadata"))
    return {
        **kept,
        "authorized_amount": row["amount"],
        "captured_amount": sum(capture["amount"] for capture in row["captures"]),
        "refunded_amount": sum(refund["amount"] for refund in row["refunds"]),
        "cart_id": None,
        "order_id": order["id"],
        "order_edit_id": None,
        "customer_id": order["customer_id"],
        "captures": [_record(capture) for capture in row["captures"]],
        "refunds": [_record(refund) for refund in row["refunds"]],
        "payment_collection": {},
        "payment_session": {"id": row["payment_session_id"]},
    }


def _record(row: dict[str, Any]) -> dict[str, Any]:
    return {**_keep(row, drop=("payment_id", "metadata", "updated_at", "deleted_at")), "payment": {}}


def _address(row: dict[str, Any]) -> dict[str, Any]:
    code = str(row["country_code"] or "")
    return {
        **_keep(row, drop=("deleted_at",)),
        "country": {"iso_2": code, "id": code},
        "address_name": None,
        "is_default_shipping": False,
        "is_default_billing": False,
    }


def _keep(row: dict[str, Any], *, drop: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in drop}


def _java_dates(value: Any) -> Any:
    """Replace every date text and drop every `raw_*` twin, however deep."""
    if isinstance(value, dict):
        return {name: _java_dates(item) for name, item in value.items() if not name.startswith("raw_")}
    if isinstance(value, list):
        return [_java_dates(item) for item in value]
    if isinstance(value, str) and _DATE.match(value):
        return java_date(value)
    return value
