"""Every stored order as text, sorted and byte for byte the same for the same orders; no buyer data unless asked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from ordersync.model import Money, Order
from ordersync.store import Store

_BUYER_FIELDS = {"buyer", "shipping_address", "billing_address", "note", "references"}
"""Left out unless asked for: a buyer may have written into the note and the references."""
_BUYER_COLUMNS = ("buyer_name", "buyer_email", "buyer_phone", "ship_to_country")
CSV_COLUMNS = (
    "shop",
    "order_id",
    "number",
    "placed_at",
    "updated_at",
    "currency",
    "total",
    "captured",
    "refunded",
    "refund_pending",
    "order_status",
    "payment_status",
    "fulfillment_status",
    "draft",
    "archived",
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_orders(store: Store, shop: str | None = None, buyer: bool = False) -> Iterator[str]:
    """JSON Lines: one canonical order a line without line end, keys sorted, orders sorted by (shop, order id)."""
    for stored in store.orders(shop):
        yield json.dumps(
            exported(stored.order, buyer=buyer), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )


def export_csv(store: Store, shop: str | None = None, buyer: bool = False) -> Iterator[str]:
    """CSV lines with a header, without line ends, in the same order; amounts in major units beside their currency.

    Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    columns = (*CSV_COLUMNS, *(_BUYER_COLUMNS if buyer else ()))
    yield _csv_line(columns)
    for stored in store.orders(shop):
        cells = _cells(stored.order)
        yield _csv_line([cells[name] for name in columns])


def exported(order: Order, *, buyer: bool) -> dict[str, Any]:
    """The canonical order as JSON values, with the derived statuses and sums beside what the platform said."""
    document = order.model_dump(mode="json", exclude=None if buyer else _BUYER_FIELDS)
    derived = {"captured": order.captured, "refunded": order.refunded, "refund_pending": order.refund_pending}
    document |= {name: None if value is None else value.model_dump() for name, value in derived.items()}
    document |= {
        "order_status": order.order_status.value,
        "payment_status": order.payment_status.value,
        "fulfillment_status": order.fulfillment_status.value,
    }
    return document


def _cells(order: Order) -> dict[str, str]:
    buyer, address = order.buyer, order.shipping_address
    return {
        "shop": order.shop,
        "order_id": order.order_id,
        "number": order.number or "",
        "placed_at": order.placed_at.isoformat() if order.placed_at else "",
        "updated_at": order.updated_at.isoformat() if order.updated_at else "",
        "currency": order.currency,
        "total": _amount(order.totals.total),
        "captured": _amount(order.captured),
        "refunded": _amount(order.refunded),
        "refund_pending": _amount(order.refund_pending),
        "order_status": order.order_status.value,
        "payment_status": order.payment_status.value,
        "fulfillment_status": order.fulfillment_status.value,
        "draft": "true" if order.draft else "false",
        "archived": "true" if order.archived else "false",
        "buyer_name": (buyer.name if buyer else None) or "",
        "buyer_email": (buyer.email if buyer else None) or "",
        "buyer_phone": (buyer.phone if buyer else None) or "",
        "ship_to_country": (address.country_code if address else None) or "",
    }


def _amount(money: Money | None) -> str:
    return "" if money is None else str(money)


def _csv_line(cells: tuple[str, ...] | list[str]) -> str:
    buffer = io.StringIO()
    safe = [f"'{cell}" if cell.startswith(_FORMULA_STARTS) and not _is_amount(cell) else cell for cell in cells]
    csv.writer(buffer, lineterminator="").writerow(safe)
    return buffer.getvalue()


def _is_amount(cell: str) -> bool:
    """A negative amount begins like a formula and is none."""
    return cell[1:2].isdigit() and cell[-4:-3] == " " and cell[-3:].isalpha()
