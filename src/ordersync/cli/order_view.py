"""One canonical order for a person and as JSON; the buyer's data only where it was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ordersync.cli.printing import cells, plain, say, without_addresses, wrapped
from ordersync.log import hide_emails
from ordersync.model import Money, Order

BUYER_KEYS = ("buyer", "shipping_address", "billing_address", "note")
"""Left out without --buyer; a note is free text that buyers write."""


def order_json(order: Order, *, buyer: bool) -> dict[str, Any]:
    """The canonical order with its derived figures; money as {amount_minor, currency}, times in RFC 3339."""
    found = order.model_dump(mode="json", exclude=None if buyer else set(BUYER_KEYS))
    found |= {
        "captured": _money(order.captured),
        "refunded": _money(order.refunded),
        "refund_pending": _money(order.refund_pending),
        "order_status": order.order_status.value,
        "payment_status": order.payment_status.value,
        "fulfillment_status": order.fulfillment_status.value,
    }
    hidden: dict[str, Any] = found if buyer else without_addresses(found)
    return hidden


def order_lines(order: Order, *, buyer: bool) -> Iterable[str]:
    """The order on a screen, 80 columns."""
    yield f"{order.shop}:{order.number or order.order_id}   id {plain(order.order_id)}"
    yield f"order {order.order_status}   payment {order.payment_status}   fulfillment {order.fulfillment_status}"
    if order.platform_words:
        words = ", ".join(f"{key} {plain(word)}" for key, word in sorted(order.platform_words.items()))
        yield from wrapped(f"the platform says: {words}")
    yield f"placed {_when(order.placed_at)}   updated {_when(order.updated_at)}"
    yield (
        f"total {_shown(order.totals.total)}   first charged {_shown(order.first_charged)}   "
        f"captured {_shown(order.captured)}"
    )
    yield f"refunded {_shown(order.refunded)}   refunds pending {_shown(order.refund_pending)}"
    if order.cancellation:
        reason = f'   "{_text(order.cancellation.reason, buyer)}"' if order.cancellation.reason else ""
        yield f"cancelled {_when(order.cancellation.cancelled_at)}{reason}"
    flags = [name for name, on in (("draft", order.draft), ("archived", order.archived)) if on]
    if flags:
        yield f"flags {', '.join(flags)}"
    yield from _section("lines", (_line_text(line) for line in order.line_items or ()), order.line_items is None)
    yield from _section(
        "payments",
        (
            f"{plain(p.id)}  {plain(p.provider or '?')}  {p.status}  captured {p.captured}  "
            f"{'a refund pays the buyer' if p.purse == 'gateway' else 'books only'}"
            for p in order.payments or ()
        ),
        order.payments is None,
    )
    yield from _section(
        "refunds",
        (
            f"{plain(r.id)}  {r.status}  {r.amount}" + (f'  "{_text(r.note, buyer)}"' if r.note else "")
            for r in order.refunds or ()
        ),
        order.refunds is None,
    )
    yield from _section(
        "parcels",
        (
            f"{plain(f.id)}  {f.status}  {plain(f.carrier or '')} {plain(', '.join(f.tracking_numbers))}".rstrip()
            for f in order.fulfillments or ()
        ),
        order.fulfillments is None,
    )
    for note in order.integrity:
        yield from wrapped(f"{note.code}: {_text(note.detail, buyer)}", "check     ")
    if buyer:
        yield from _buyer_lines(order)


def say_order(order: Order, *, buyer: bool) -> None:
    for line in order_lines(order, buyer=buyer):
        say(line)


def _buyer_lines(order: Order) -> Iterable[str]:
    who = order.buyer
    if who is not None:
        parts = (who.name, who.email, who.phone, who.customer_id)
        yield from wrapped(", ".join(plain(part) for part in parts if part) or "unknown", "buyer     ")
    for label, address in (("ships to  ", order.shipping_address), ("billed to ", order.billing_address)):
        if address is not None:
            parts = tuple(value for value in address.model_dump().values() if value)
            yield from wrapped(", ".join(plain(part) for part in parts) or "nothing stated", label)
    if order.note:
        yield from wrapped(plain(order.note), "note      ")


def _section(name: str, lines: Iterable[str], unloaded: bool) -> Iterable[str]:
    if unloaded:
        yield f"{name:<10}not loaded"
        return
    for number, line in enumerate(lines):
        label = f"{name if number == 0 else '':<10}"
        yield from wrapped(line, label) if cells(label + line) > 80 else [label + line]


def _line_text(line: Any) -> str:
    named = plain(line.sku or line.variant_id or line.id)
    title = f"  {plain(line.title)}" if line.title else ""
    done = f"  fulfilled {line.fulfilled_quantity}" if line.fulfilled_quantity else ""
    return f"{line.quantity} x {named}{title}  {line.unit_price}{done}"


def _money(amount: Money | None) -> dict[str, Any] | None:
    return amount.model_dump() if amount is not None else None


def _shown(amount: Money | None) -> str:
    return str(amount) if amount is not None else "unknown"


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "not stated"


def _text(value: str | None, buyer: bool) -> str:
    shown = plain(value or "")
    return shown if buyer else hide_emails(shown)
