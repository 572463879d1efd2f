"""Refunds and fulfillments as the SHOPLINE sandbox writes them into an order, and the sums and words that follow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ordersync.model import Money

from .sandbox_orders import JsonObject, Prices, time_text

_PARCEL_LINE = (
    *(
        "attribute",
        "bundle_parent_variant_id",
        "fulfillable_quantity",
        "fulfillment_quantity",
        "fulfillment_service",
    ),
    *("fulfillment_status", "grams", "id", "image_url", "is_bundle", "is_bundle_component", "location_id", "name"),
    *("price", "price_set", "product_id", "quantity", "requires_shipping", "sku", "tax_lines", "taxable", "title"),
    *("variant_id", "variant_title", "vendor"),
)


def minor_of(amount: Any, currency: str) -> int:
    return Money.from_major(Decimal(amount), currency).amount_minor


def paid_minor(order: JsonObject) -> int:
    paid = [slip for slip in order["payment_details"] if slip["pay_status"] == "paid"]
    return sum(minor_of(slip["settle_pay_amount"], slip["settle_currency"]) for slip in paid)


def refunded_minor(order: JsonObject, words: tuple[str, ...] = ("success", "pending")) -> int:
    return sum(
        minor_of(moved["amount"], moved["currency"])
        for record in order["refunds"]
        for moved in record["transactions"]
        if moved["status"] in words
    )


def refund_record(
    order: JsonObject,
    minor: int,
    when: datetime,
    note: str | None,
    *,
    refund_id: str,
    prices: Prices,
    status: str = "success",
) -> JsonObject:
    """A refund with one transaction, as an order lists it. It does not say which payment slip it came from."""
    at = time_text(when)
    moved = {
        "amount": prices.text(minor),
        "channel_refund_id": f"re_3SANDBOX{refund_id[-6:]}" if status == "success" else "",
        "created_at": at,
        "currency": prices.currency,
        "gateway": next((slip["gateway"] for slip in order["payment_details"]), "CUSTOM"),
        "id": refund_id,
        "kind": "refund",
        "order_id": order["id"],
        "processed_at": at,
        "settle_amount": prices.text(minor),
        "settle_currency": prices.currency,
        "status": status,
        "status_update_at": at,
        "user_id": order["user_id"],
    }
    return {
        "created_at": at,
        "id": refund_id,
        "note": note,
        "order_adjustments": [],
        "order_id": order["id"],
        "processed_at": at,
        "refund_line_items": [],
        "transactions": [moved],
        "user_id": order["user_id"],
    }


def parcel_of(
    order: JsonObject,
    lines: list[JsonObject],
    when: datetime,
    tracking: tuple[str, str, str],
    *,
    fulfillment_id: str,
) -> JsonObject:
    company, number, url = tracking
    info = {"tracking_company": company, "tracking_number": number, "tracking_url": url}
    return {
        "created_at": time_text(when),
        "id": fulfillment_id,
        "line_items": [{key: line[key] for key in _PARCEL_LINE} for line in lines],
        "name": f"{order['name']}-F{len(order['fulfillments']) + 1}",
        "order_id": order["id"],
        "shipment_status": None,
        "status": "success",
        **info,
        "tracking_info_list": [info] if any(tracking) else [],
        "updated_at": time_text(when),
    }


def parcels_of(order: Mapping[str, Any]) -> list[tuple[str, str, str, dict[str, int], str | None]]:
    """(order id, parcel id, shipped|delivered|cancelled, units by line id, tracking number) of an order's parcels."""
    return [
        (
            order["id"],
            parcel["id"],
            "cancelled"
            if parcel["status"] == "cancelled"
            else ("delivered" if parcel["shipment_status"] == "delivered" else "shipped"),
            {line["id"]: line["fulfillment_quantity"] for line in parcel["line_items"]},
            parcel["tracking_number"] or None,
        )
        for parcel in order["fulfillments"]
    ]


def settle_words(order: JsonObject) -> None:
    """The status words follow the records; an unpaid order stays `unpaid` when it is cancelled."""
    paid, given_back = paid_minor(order), refunded_minor(order, ("success",))
    if paid:
        order["financial_status"] = (
            "paid" if not given_back else "refunded" if given_back >= paid else "partially_refunded"
        )
    sent: dict[str, int] = {}
    for parcel in order["fulfillments"]:
        if parcel["status"] == "success":
            for line in parcel["line_items"]:
                sent[line["id"]] = sent.get(line["id"], 0) + line["fulfillment_quantity"]
    for line in order["line_items"]:
        done = sent.get(line["id"], 0)
        line["fulfillment_status"] = "null" if not done else "fulfilled" if done >= line["quantity"] else "partial"
    words = {line["fulfillment_status"] for line in order["line_items"]}
    word = words.pop() if len(words) == 1 else "partial"
    order["fulfillment_status"] = word
    order["fulfillment_status_v2"] = {"null": "unshipped", "fulfilled": "shipped"}.get(word, "partial")


def refund_line(
    line: Mapping[str, Any], prices: Prices, number: str, *, stock: str, quantity: int | None = None
) -> JsonObject:
    """One row of `refund_line_items`: some units or the whole line, with JSON numbers for its sums."""
    units = int(line["quantity"]) if quantity is None else quantity
    minor = minor_of(line["price"], prices.currency) * units
    shown = (
        *("attribute", "fulfillable_quantity", "fulfillment_service", "fulfillment_status", "grams", "id", "name"),
        *("price", "price_set", "product_id", "quantity", "requires_shipping", "sku", "tax_lines", "taxable"),
        *("title", "variant_id", "variant_title", "vendor"),
    )
    return {
        "id": f"RDP{number}",
        "line_item": {name: line[name] for name in shown},
        "line_item_id": line["id"],
        "quantity": units,
        "restock_type": stock,
        "subtotal": prices.number(minor),
        "subtotal_set": prices.pair(minor),
        "total_tax": 0,
        "total_tax_set": prices.pair(0),
    }


class RefundedLine(NamedTuple):
    """What a refund says of one line. `kind`: Unshipped or Returned; `stock`: no_restock, cancel or return."""

    line_id: str
    quantity: int
    kind: str
    stock: str = "no_restock"


def refunded_units(order: Mapping[str, Any], line_id: str) -> int:
    return sum(
        int(row["quantity"])
        for record in order["refunds"]
        for row in record["refund_line_items"]
        if row["line_item_id"] == line_id
    )


def sent_units(order: Mapping[str, Any], line_id: str) -> int:
    """Units of a line in parcels that are not cancelled."""
    return sum(
        int(line["fulfillment_quantity"])
        for parcel in order["fulfillments"]
        if parcel["status"] == "success"
        for line in parcel["line_items"]
        if line["id"] == line_id
    )


def adjustment(
    order_id: str, minor: int, prices: Prices, number: str, kind: str = "refund_discrepancy"
) -> JsonObject:
    """`order_adjustments`: what was refunded differs from what the returned lines were worth, or is for shipping
    (`shipping_refund`)."""
    return {
        "amount": prices.text(minor),
        "amount_set": prices.pair(minor, numbers=True),
        "id": f"RAP{number}",
        "kind": kind,
        "order_id": order_id,
        "reason": "Refund discrepancy" if kind == "refund_discrepancy" else "",
        "refund_id": f"27{number}",
        "tax_amount": prices.text(0),
        "tax_amount_set": prices.pair(0, numbers=True),
    }


def prices_of(order: Mapping[str, Any], *, two_decimals: bool) -> Prices:
    """How an order that exists writes its amounts."""
    pair = order["current_total_price_set"]
    shop, seen = pair["shop_money"], pair["presentment_money"]
    if shop["currency_code"] == seen["currency_code"] or not Decimal(shop["amount"]):
        return Prices(shop["currency_code"], two_decimals)
    rate = Decimal(seen["amount"]) / Decimal(shop["amount"])
    return Prices(shop["currency_code"], two_decimals, seen["currency_code"], rate)
