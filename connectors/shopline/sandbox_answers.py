"""What the SHOPLINE sandbox answers to writes: partial, and not the shape a list shows afterwards."""

from __future__ import annotations

from datetime import datetime

from .sandbox_orders import JsonObject
from .sandbox_records import minor_of, prices_of

_LIST_ONLY = (
    *(
        "adjust_price",
        "adjust_price_set",
        "buyer_note",
        "checkout_language",
        "contract_seq",
        "fulfillment_status_v2",
    ),
    *("hidden_order", "landing_site", "order_at", "payment_terms", "referring_site", "return_info", "service"),
    *("source_identifier", "source_name", "source_url", "status", "tax_description", "utm_parameters"),
)
_LIST_ONLY_IN_LINES = (
    *("bundle_parent_variant_id", "customized_attributes", "image_url", "is_bundle", "is_bundle_component"),
)
_REFUND_MOVE = (
    *("amount", "created_at", "currency", "id", "kind", "order_id", "processed_at", "status", "user_id"),
)


def update_answer(order: JsonObject) -> JsonObject:
    """The order without `status` and more, but with `app_id` and `total_outstanding_set`."""
    prices = prices_of(order, two_decimals="." in order["current_total_price"])
    outstanding = minor_of(order["total_outstanding"], prices.currency)
    answer = {name: value for name, value in order.items() if name not in _LIST_ONLY}
    answer["app_id"] = "SL201"
    answer["total_outstanding_set"] = prices.pair(outstanding)
    answer["line_items"] = [
        {name: value for name, value in line.items() if name not in _LIST_ONLY_IN_LINES}
        for line in order["line_items"]
    ]
    return answer


def cancel_answer(order: JsonObject, record: JsonObject) -> JsonObject:
    """As `update_answer`; the refund made by the cancel has no lines, no note, and always one successful
    transaction, of "0.0" where no money moved. A later read shows that very record without any transaction."""
    answer = update_answer(order)
    moved = (record["transactions"] or [None])[0]
    shown = {
        "amount": "0.0",
        "created_at": record["created_at"],
        "currency": order["currency"],
        "id": record["id"],
        "kind": "refund",
        "order_id": order["id"],
        "processed_at": None,
        "status": "success",
        "user_id": order["user_id"],
    }
    if moved:
        shown = {name: moved[name] for name in _REFUND_MOVE}
    bare = {
        "created_at": record["created_at"],
        "id": record["id"],
        "note": None,
        "order_id": order["id"],
        "processed_at": None,
        "refund_line_items": None,
        "transactions": [shown],
        "user_id": order["user_id"],
    }
    answer["refunds"] = [bare if known["id"] == record["id"] else known for known in order["refunds"]]
    return answer


def refund_answer(record: JsonObject, now: datetime) -> JsonObject:
    """`create_at` (sic) in milliseconds as text; no `created_at`."""
    moved = [{name: move[name] for name in _REFUND_MOVE} for move in record["transactions"]]
    return {
        "id": record["id"],
        "order_id": record["order_id"],
        "note": record["note"],
        "create_at": str(int(now.timestamp() * 1000)),
        "transactions": moved,
        "refund_line_items": record["refund_line_items"],
        "order_adjustments": record["order_adjustments"],
        "total_duties_set": None,
    }


_PARCEL_LINE = (
    *("fulfillable_quantity", "fulfillment_quantity", "grams", "name", "price", "price_set", "product_id"),
    *("quantity", "requires_shipping", "sku", "tax_lines", "taxable", "title", "variant_id", "variant_title"),
)


def fulfillment_answer(order: JsonObject, parcel: JsonObject) -> JsonObject:
    """Line ids are numbers here, the name has another form, and tracking is told once more as lists; no
    `shipment_status` (recorded)."""
    info = parcel["tracking_info_list"]
    place = [known["id"] for known in order["fulfillments"]].index(parcel["id"]) + 1
    answer = {name: value for name, value in parcel.items() if name != "shipment_status"}
    prices = prices_of(order, two_decimals="." in order["current_total_price"])
    rest = {**prices.both("total_discount", 0), "version": "0"}
    return {
        **answer,
        "line_items": [
            {**{name: line[name] for name in _PARCEL_LINE}, "id": int(line["id"]), **rest}
            for line in parcel["line_items"]
        ],
        "name": f"#{order['name']}.{place}",
        "tracking_numbers": [one["tracking_number"] for one in info],
        "tracking_urls": [one["tracking_url"] for one in info],
    }
