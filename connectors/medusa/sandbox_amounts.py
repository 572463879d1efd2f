"""The sums of a Medusa order: tax and discount leave long fractions, and nothing is rounded to the currency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from ordersync_connectors.medusa.sandbox_records import ZERO, Item, Order, Shipping

PRECISION = 20
"""Significant digits the platform keeps, stated in every `raw_*` field."""


@dataclass(frozen=True, slots=True)
class Sums:
    """One line's (or all lines') amounts. `subtotal` is before tax and discount, `total` after both."""

    subtotal: Decimal = ZERO
    total: Decimal = ZERO
    tax: Decimal = ZERO
    original_total: Decimal = ZERO
    original_tax: Decimal = ZERO
    discount: Decimal = ZERO
    discount_subtotal: Decimal = ZERO
    discount_tax: Decimal = ZERO


def line_sums(price: Decimal, rate_percent: Decimal, *, inclusive: bool, off_percent: Decimal = ZERO) -> Sums:
    """The amounts of one line whose listed price is `price`, with or without the tax in it."""
    with localcontext() as context:
        context.prec = PRECISION
        rate = rate_percent / 100
        subtotal = price / (1 + rate) if inclusive else price
        original_total = price if inclusive else price * (1 + rate)
        share = off_percent / 100
        discount_subtotal = subtotal * share
        discount = original_total * share
        original_tax = original_total - subtotal
        return Sums(
            subtotal=subtotal,
            total=original_total - discount,
            tax=original_tax - original_tax * share,
            original_total=original_total,
            original_tax=original_tax,
            discount=discount,
            discount_subtotal=discount_subtotal,
            discount_tax=discount - discount_subtotal,
        )


def item_sums(item: Item, quantity: int | None = None) -> Sums:
    """The amounts of the kept quantity: returned items no longer count."""
    count = item.kept if quantity is None else quantity
    off = item.promotion[1] if item.promotion else ZERO
    return line_sums(item.unit_price * count, item.rate_percent, inclusive=item.tax_inclusive, off_percent=off)


def shipping_sums(method: Shipping) -> Sums:
    return line_sums(method.amount, method.rate_percent, inclusive=method.tax_inclusive)


def add_up(parts: Iterable[Sums]) -> Sums:
    """Field by field."""
    parts = list(parts)
    return Sums(**{name: sum((getattr(part, name) for part in parts), ZERO) for name in Sums.__slots__})


def credit_total(order: Order) -> Decimal:
    return sum((line.amount for line in order.credit_lines), ZERO)


def order_total(order: Order) -> Decimal:
    """`order.total`: not what the buyer paid; it falls with refunds (credit lines) and returned items."""
    goods = add_up(item_sums(item) for item in order.items)
    carriage = add_up(shipping_sums(method) for method in order.shipping)
    return goods.total + carriage.total - credit_total(order)


def ledger_total(order: Order) -> Decimal:
    return sum((entry.amount for entry in order.transactions), ZERO)


def pending_difference(order: Order) -> Decimal:
    """Negative: owed to the buyer."""
    return order_total(order) - ledger_total(order)


def plain(amount: Decimal) -> str:
    """The exact decimal text of a `raw_*` value."""
    return format(amount.normalize(), "f") if amount else "0"


def raw(amount: Decimal) -> dict[str, Any]:
    return {"value": plain(amount), "precision": PRECISION}


def with_raw(amounts: dict[str, Decimal]) -> dict[str, Any]:
    """The amounts and a `raw_` twin of each."""
    twins = {f"raw_{name}": raw(amount) for name, amount in amounts.items()}
    return {**amounts, **twins}
