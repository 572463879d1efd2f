"""The rows below a sandbox order (money, parcels, returns, changes) as a real 2.21.2 server writes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from ordersync_connectors.medusa.sandbox_amounts import with_raw
from ordersync_connectors.medusa.sandbox_records import (
    Change,
    Collection,
    Fulfillment,
    Item,
    Order,
    Payment,
    Refund,
    Return,
)
from ordersync_connectors.medusa.sandbox_state import REASONS

SHIPPING_OPTION_ID = "so_01SANDBOXSTANDARD000000000"
LOCATION_ID = "sloc_01SANDBOXWAREHOUSE0000000"


def when(moment: datetime | None) -> str | None:
    """ISO 8601, UTC, milliseconds, `Z`."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dates(created: datetime, updated: datetime | None = None) -> dict[str, Any]:
    return {"created_at": when(created), "updated_at": when(updated or created), "deleted_at": None}


def credit_line_row(order: Order, index: int) -> dict[str, Any]:
    line = order.credit_lines[index]
    return {
        "id": line.id,
        "version": line.version,
        "reference": line.reference,
        "reference_id": line.reference_id,
        "metadata": {"created_in_version": line.made_in},
        "order_id": order.id,
        **dates(line.at),
        **with_raw({"amount": line.amount, "subtotal": line.amount, "total": line.amount}),
    }


def transaction_row(order: Order, index: int) -> dict[str, Any]:
    row = order.transactions[index]
    none: dict[str, Any] = dict.fromkeys(("return_id", "return", "exchange_id", "exchange", "claim_id", "claim"))
    return {
        "id": row.id,
        "version": row.version,
        "currency_code": order.currency,
        "reference": row.reference,
        "reference_id": row.reference_id,
        "order_id": order.id,
        **none,
        **dates(row.at),
        **with_raw({"amount": row.amount}),
    }


def return_row(order: Order, record: Return) -> dict[str, Any]:
    return {
        "id": record.id,
        "order_version": record.order_version,
        "display_id": record.display_id,
        "status": record.status,
        "location_id": LOCATION_ID,
        "no_notification": None,
        "created_by": None,
        "metadata": None,
        "requested_at": when(record.requested_at),
        "received_at": when(record.received_at),
        "canceled_at": None,
        "order_id": order.id,
        "exchange": None,
        "claim": None,
        **dates(record.created_at, record.updated_at),
        "raw_refund_amount": None,
        "refund_amount": None,
    }


def collection_row(order: Order, collection: Collection) -> dict[str, Any]:
    return {
        "id": collection.id,
        "currency_code": order.currency,
        "completed_at": when(collection.completed_at),
        "status": collection.status,
        "metadata": None,
        **dates(collection.created_at, collection.updated_at),
        "payments": [_payment_row(order, collection, payment) for payment in collection.payments],
        **with_raw(
            {
                "amount": collection.amount,
                "authorized_amount": collection.amount,
                "captured_amount": collection.captured,
                "refunded_amount": collection.refunded,
            }
        ),
    }


def _payment_row(order: Order, collection: Collection, payment: Payment) -> dict[str, Any]:
    return {
        "id": payment.id,
        "currency_code": order.currency,
        "provider_id": payment.provider_id,
        "data": {},
        "metadata": None,
        "captured_at": when(payment.captured_at),
        "canceled_at": when(payment.canceled_at),
        "payment_collection_id": collection.id,
        "payment_session": {"id": payment.session_id},
        "payment_session_id": payment.session_id,
        **dates(payment.created_at, payment.updated_at),
        "refunds": [_refund(payment, refund) for refund in payment.refunds],
        "captures": [
            {
                "id": capture.id,
                "payment_id": payment.id,
                "metadata": None,
                "created_by": capture.by,
                **dates(capture.at),
                **with_raw({"amount": capture.amount}),
            }
            for capture in payment.captures
        ],
        **with_raw({"amount": payment.amount}),
    }


def _refund(payment: Payment, refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "payment_id": payment.id,
        "refund_reason_id": refund.reason_id,
        "refund_reason": {"id": refund.reason_id} if refund.reason_id else None,
        "note": refund.note,
        "created_by": refund.by,
        "metadata": None,
        **dates(refund.at),
        **with_raw({"amount": refund.amount}),
    }


def payment_document(order: Order, collection: Collection, payment: Payment) -> dict[str, Any]:
    """A row of `/admin/payments` with everything: no status, the order only through the collection."""
    document = _payment_row(order, collection, payment)
    for refund in document["refunds"]:
        reason = REASONS.get(refund["refund_reason_id"] or "")
        refund["refund_reason"] = reason and {
            "label": reason[0],
            "code": reason[1],
            "id": refund["refund_reason_id"],
        }
    owner = {"id": order.id, "display_id": order.display_id}
    document["payment_collection"] = {"id": collection.id, "status": collection.status, "order": owner}
    return document


def fulfillment_row(order: Order, parcel: Fulfillment) -> dict[str, Any]:
    items = {item.id: item for item in order.items}
    return {
        "id": parcel.id,
        "location_id": LOCATION_ID,
        "packed_at": when(parcel.created_at),
        "shipped_at": when(parcel.shipped_at),
        "marked_shipped_by": parcel.shipped_by,
        "created_by": parcel.by,
        "delivered_at": when(parcel.delivered_at),
        "canceled_at": when(parcel.canceled_at),
        "data": {},
        "requires_shipping": True,
        "provider": {"id": "manual_manual"},
        "provider_id": "manual_manual",
        "shipping_option_id": SHIPPING_OPTION_ID,
        "shipping_option": {"id": SHIPPING_OPTION_ID},
        "delivery_address": {"id": parcel.address_id},
        "delivery_address_id": parcel.address_id,
        "metadata": parcel.metadata,
        **dates(parcel.created_at, parcel.updated_at),
        "items": [
            {
                "id": line_id,
                "title": items[item_id].variant_title or items[item_id].title,
                "sku": items[item_id].sku,
                "barcode": "",
                "line_item_id": item_id,
                "inventory_item_id": inventory_item_id(items[item_id]),
                "fulfillment_id": parcel.id,
                **dates(parcel.created_at),
                **with_raw({"quantity": Decimal(quantity)}),
            }
            for line_id, item_id, quantity in parcel.lines
        ],
        "labels": [
            {
                "id": label.id,
                "tracking_number": label.tracking_number,
                "tracking_url": label.tracking_url,
                "label_url": label.label_url,
                "fulfillment_id": parcel.id,
                **dates(label.at),
            }
            for label in parcel.labels
        ],
    }


def inventory_item_id(item: Item) -> str | None:
    """Only goods of the catalogue are on stock."""
    return f"iitem_01SANDBOX{item.sku.replace('-', '')}000000000000" if item.variant_id else None


def change_document(order: Order, change: Change) -> dict[str, Any]:
    """A row of `/admin/orders/{id}/changes`."""
    confirmed = when(change.at) if change.status == "confirmed" else None
    empty = (
        "claim_id",
        "exchange_id",
        "description",
        "internal_note",
        "requested_by",
        "requested_at",
        "declined_by",
        "declined_reason",
        "metadata",
        "declined_at",
        "canceled_by",
        "canceled_at",
        "carry_over_promotions",
        "no_notification",
    )
    return {
        **dict.fromkeys(empty),
        "id": change.id,
        "order_id": order.id,
        "return_id": change.return_id,
        "version": change.version,
        "change_type": change.change_type,
        "status": change.status,
        "created_by": change.by,
        "confirmed_by": change.confirmed_by,
        "confirmed_at": confirmed,
        "created_at": when(change.at),
        "updated_at": when(change.at),
        "actions": [_action_row(order, change, number) for number in range(len(change.actions))],
    }


def _action_row(order: Order, change: Change, number: int) -> dict[str, Any]:
    """Goods are moved by `details`, money by `amount`."""
    row = change.actions[number]
    money = row.get("amount")
    details = row.get("details")
    if details is None:
        # A parcel's own record keeps the quantity as text; only packing takes it from the call [measured].
        quantity = row.get("quantity")
        count = quantity if row["action"] == "FULFILL_ITEM" else str(quantity)
        details = {} if money is not None else {"quantity": count, "reference_id": row["item_id"]}
    return {
        **dict.fromkeys(("return_id", "claim_id", "exchange_id", "internal_note", "deleted_at")),
        "id": f"ordchact_{change.id.removeprefix('ordch_')[:22]}{number:04d}",
        "order_id": order.id,
        "order_change_id": change.id,
        "ordering": number + 1,
        "version": change.version,
        "action": row["action"],
        "reference": row.get("reference"),
        "reference_id": row.get("reference_id"),
        "details": details,
        "applied": True,
        "created_at": when(change.at),
        "updated_at": when(change.at),
        **({"amount": None, "raw_amount": None} if money is None else with_raw({"amount": money})),
    }
