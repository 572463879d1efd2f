"""A sandbox order as the whole JSON document a real 2.21.2 server gives when everything is asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ordersync_connectors.medusa.sandbox_amounts import (
    Sums,
    add_up,
    credit_total,
    item_sums,
    ledger_total,
    order_total,
    shipping_sums,
    with_raw,
)
from ordersync_connectors.medusa.sandbox_records import ZERO, Item, Order, Shipping
from ordersync_connectors.medusa.sandbox_rows import (
    SHIPPING_OPTION_ID,
    collection_row,
    credit_line_row,
    dates,
    fulfillment_row,
    return_row,
    transaction_row,
    when,
)

SALES_CHANNEL_ID = "sc_01SANDBOXWEBSHOP0000000000"
_UNMEASURED = ("height", "hs_code", "length", "material", "mid_code", "origin_country", "weight", "width")
_QUANTITIES = (
    "fulfilled",
    "delivered",
    "shipped",
    "return_requested",
    "return_received",
    "return_dismissed",
    "written_off",
)


def order_document(order: Order) -> dict[str, Any]:
    """Every field and relation; `sandbox_query.select` cuts it down to what a call gives."""
    goods = add_up(item_sums(item) for item in order.items)
    carriage = add_up(shipping_sums(method) for method in order.shipping)
    both = add_up((goods, carriage))
    credit = credit_total(order)
    return {
        "id": order.id,
        "display_id": order.display_id,
        "custom_display_id": None,
        "status": order.status,
        "version": order.version,
        "summary": _summary(order),
        "total": order_total(order),
        "metadata": order.metadata,
        "locale": None,
        "created_at": when(order.created_at),
        "updated_at": when(order.updated_at),
        "region_id": order.region_id,
        "subtotal": both.subtotal,
        "tax_total": both.tax,
        "discount_total": both.discount,
        "discount_tax_total": both.discount_tax,
        "original_total": both.original_total,
        "original_subtotal": both.subtotal,
        "original_tax_total": both.original_tax,
        **_part("item", goods),
        **_part("shipping", carriage),
        "credit_line_total": credit,
        "credit_line_subtotal": credit,
        "credit_line_tax_total": ZERO,
        "email": order.email,
        "currency_code": order.currency,
        "customer_id": order.customer["id"],
        "sales_channel_id": SALES_CHANNEL_ID,
        "canceled_at": when(order.canceled_at),
        "is_draft_order": order.is_draft,
        "items": [_item(order, item) for item in order.items],
        "credit_lines": [credit_line_row(order, index) for index in range(len(order.credit_lines))],
        "shipping_address": _address(order, order.address, order.address_ids[0]),
        "billing_address": _address(order, order.billing, order.address_ids[1]),
        "shipping_methods": [_shipping_method(order, method) for method in order.shipping],
        "transactions": [transaction_row(order, index) for index in range(len(order.transactions))],
        "returns": [return_row(order, record) for record in order.returns],
        "customer": {**order.customer, **dates(order.created_at)},
        "sales_channel": {
            "id": SALES_CHANNEL_ID,
            "name": "Web shop",
            "description": "sandbox",
            "is_disabled": False,
            "metadata": None,
            **dates(order.created_at),
        },
        "payment_collections": [collection_row(order, collection) for collection in order.collections],
        "fulfillments": [fulfillment_row(order, parcel) for parcel in order.fulfillments],
        "payment_status": order.payment_status(),
        "fulfillment_status": order.fulfillment_status(),
    }


def _part(name: str, sums: Sums) -> dict[str, Decimal]:
    return {
        f"{name}_total": sums.total,
        f"{name}_subtotal": sums.subtotal,
        f"{name}_tax_total": sums.tax,
        f"original_{name}_total": sums.original_total,
        f"original_{name}_subtotal": sums.subtotal,
        f"original_{name}_tax_total": sums.original_tax,
    }


def _summary(order: Order) -> dict[str, Any]:
    total = order_total(order)
    paid = sum((row.amount for row in order.transactions if row.amount > 0), ZERO)
    back = -sum((row.amount for row in order.transactions if row.amount < 0), ZERO)
    return with_raw(
        {
            "paid_total": paid,
            "refunded_total": back,
            "accounting_total": total,
            "credit_line_total": order.last_credit,
            "transaction_total": ledger_total(order),
            "pending_difference": total - ledger_total(order),
            "current_order_total": total,
            "original_order_total": order.first_total,
        }
    )


def _item(order: Order, item: Item) -> dict[str, Any]:
    sums = item_sums(item)
    each = sums.total / item.kept if item.kept else ZERO
    full = item_sums(item, item.quantity)
    whole_each = full.total / item.quantity if item.quantity else ZERO
    variant_known = item.variant_id is not None
    return {
        "id": item.id,
        "title": item.title,
        "subtitle": item.variant_title,
        "thumbnail": None,
        "variant_id": item.variant_id,
        "product_id": item.product_id,
        "product_title": item.title if variant_known else None,
        "product_description": None,
        "product_subtitle": None,
        "product_type": None,
        "product_type_id": None,
        "product_collection": None,
        "product_handle": item.title.lower().replace(" ", "-") if variant_known else None,
        "variant_sku": item.sku,
        "variant_barcode": None,
        "variant_title": item.variant_title,
        "variant_option_values": None,
        "requires_shipping": variant_known,
        "is_giftcard": False,
        "is_discountable": True,
        "is_tax_inclusive": item.tax_inclusive,
        "is_custom_price": not variant_known,
        "metadata": item.metadata,
        "compare_at_unit_price": None,
        "raw_compare_at_unit_price": None,
        **with_raw({"unit_price": item.unit_price}),
        **dates(order.created_at),
        "tax_lines": _tax_lines(order, item, sums, "item_id", item.id),
        "adjustments": _adjustments(order, item, sums),
        **with_raw({"quantity": Decimal(item.quantity)}),
        "line_item_metadata": item.metadata,
        "detail": _detail(order, item),
        **with_raw(
            {
                "subtotal": sums.subtotal,
                "total": sums.total,
                "original_subtotal": sums.subtotal,
                "original_total": sums.original_total,
                "discount_subtotal": sums.discount_subtotal,
                "discount_tax_total": sums.discount_tax,
                "discount_total": sums.discount,
                "tax_total": sums.tax,
                "original_tax_total": sums.original_tax,
                "refundable_total_per_unit": each,
                "refundable_total": sums.total,
                "fulfilled_total": whole_each * item.fulfilled,
                "shipped_total": whole_each * item.shipped,
                "return_requested_total": ZERO,
                "return_received_total": whole_each * item.return_received,
                "return_dismissed_total": ZERO,
                "write_off_total": ZERO,
            }
        ),
        **({"variant": _variant(order, item)} if variant_known else {}),
    }


def _tax_lines(order: Order, line: Item | Shipping, sums: Sums, owner: str, owner_id: str) -> list[dict[str, Any]]:
    if not line.rate_percent:
        return []
    return [
        {
            "id": line.child_ids["tax_line"],
            "description": f"Standard {line.rate_percent.normalize():f}%",
            "tax_rate_id": f"txr_01SANDBOX{order.currency.upper()}00000000000000",
            "code": f"{order.currency.upper()}-STD",
            "provider_id": "system",
            "metadata": None,
            "data": None,
            owner: owner_id,
            **dates(order.created_at),
            **with_raw({"rate": line.rate_percent, "total": sums.tax, "subtotal": sums.original_tax}),
        }
    ]


def _adjustments(order: Order, item: Item, sums: Sums) -> list[dict[str, Any]]:
    if item.promotion is None:
        return []
    amounts = {"amount": sums.discount_subtotal, "subtotal": sums.discount_subtotal, "total": sums.discount}
    return [
        {
            "id": item.child_ids["adjustment"],
            "version": order.version,
            "description": None,
            "promotion_id": "promo_01SANDBOXTENOFF0000000000",
            "code": item.promotion[0],
            "provider_id": None,
            "is_tax_inclusive": False,
            "item_id": item.id,
            **dates(order.created_at),
            **with_raw(amounts),
        }
    ]


def _detail(order: Order, item: Item) -> dict[str, Any]:
    """The price is repeated here only from the second version on [measured]."""
    price = with_raw({"unit_price": item.unit_price}) if order.version > 1 else {"unit_price": None}
    counts = {f"{word}_quantity": Decimal(getattr(item, word, 0)) for word in _QUANTITIES}
    return {
        "id": item.child_ids["detail"],
        "version": order.version,
        "metadata": item.metadata,
        "order_id": order.id,
        "item_id": item.id,
        "raw_unit_price": None,
        "compare_at_unit_price": None,
        "raw_compare_at_unit_price": None,
        **price,
        **with_raw({"quantity": Decimal(item.quantity), **counts}),
        **dates(order.created_at, order.updated_at),
    }


def _variant(order: Order, item: Item) -> dict[str, Any]:
    shared: dict[str, Any] = dict.fromkeys(_UNMEASURED)
    return {
        "id": item.variant_id,
        "title": item.variant_title,
        "sku": item.sku,
        "barcode": None,
        "ean": None,
        "upc": None,
        "allow_backorder": False,
        "manage_inventory": True,
        **shared,
        "metadata": None,
        "variant_rank": 0,
        "thumbnail": None,
        "product_id": item.product_id,
        "product": {
            "id": item.product_id,
            "title": item.title,
            "handle": item.title.lower().replace(" ", "-"),
            "subtitle": None,
            "description": None,
            "is_giftcard": False,
            "status": "published",
            "thumbnail": None,
            **shared,
            "discountable": True,
            "external_id": None,
            "metadata": None,
            "type_id": None,
            "type": None,
            "collection_id": None,
            "collection": None,
            **dates(order.created_at),
        },
        **dates(order.created_at),
    }


def _shipping_method(order: Order, method: Shipping) -> dict[str, Any]:
    sums = shipping_sums(method)
    return {
        "id": method.id,
        "name": method.name,
        "description": None,
        "is_tax_inclusive": method.tax_inclusive,
        "is_custom_amount": False,
        "shipping_option_id": SHIPPING_OPTION_ID,
        "data": {},
        "metadata": None,
        **dates(order.created_at),
        "tax_lines": _tax_lines(order, method, sums, "shipping_method_id", method.id),
        "adjustments": [],
        "order_id": order.id,
        "detail": {
            "id": method.child_ids["detail"],
            "version": order.version,
            "order_id": order.id,
            "return_id": None,
            "exchange_id": None,
            "claim_id": None,
            **dates(order.created_at),
            "shipping_method_id": method.id,
        },
        **with_raw(
            {
                "amount": method.amount,
                "subtotal": sums.subtotal,
                "total": sums.total,
                "original_subtotal": sums.subtotal,
                "original_total": sums.original_total,
                "discount_total": ZERO,
                "discount_subtotal": ZERO,
                "discount_tax_total": ZERO,
                "tax_total": sums.tax,
                "original_tax_total": sums.original_tax,
            }
        ),
    }


def _address(order: Order, address: dict[str, Any], address_id: str) -> dict[str, Any]:
    return {"id": address_id, **address, **dates(order.created_at)}
