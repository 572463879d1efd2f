"""Builders of canonical orders for tests: short to write, whole to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ordersync.model import (
    Cancellation,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    LineItem,
    Money,
    Order,
    Payment,
    PaymentState,
    Progress,
    Purse,
    Refund,
    RefundLine,
    RefundState,
    Totals,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class R(NamedTuple):
    """A refund record: amount in minor units, and how long before NOON it was made."""

    id: str
    amount: int
    state: RefundState = RefundState.COMPLETED
    minutes_ago: int = 30
    note: str | None = None
    lines: Sequence[tuple[str, int]] = ()
    payment_id: str | None = None


def usd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="USD")


def build_order(
    shop: str,
    order_id: str = "1",
    *,
    charged: int = 10_000,
    captured: int | Sequence[int] | None = None,
    purse: Purse = Purse.BOOKS,
    refunds: Iterable[R] = (),
    cancelled_minutes_ago: int | None = None,
    shipped: int = 0,
    packed: int = 0,
    progress: Progress | None = Progress.PENDING,
    archived: bool = False,
    currency: str = "USD",
    references: dict[str, str] | None = None,
    sku: str = "TEE-M",
    number: str | None = None,
) -> Order:
    """One order of two units. `captured` None means all that was charged, 0 unpaid, a list several payments."""

    def money(minor: int) -> Money:
        return Money(amount_minor=minor, currency=currency)

    parts = [charged] if captured is None else [captured] if isinstance(captured, int) else list(captured)
    payments = tuple(
        Payment(
            id=f"pay-{shop}-{index}",
            provider="card",
            purse=purse,
            status=PaymentState.COMPLETED if part else PaymentState.PENDING,
            amount=money(part or charged),
            captured=money(part),
        )
        for index, part in enumerate(parts, 1)
    )
    parcels = [
        Fulfillment(
            id=f"parcel-{state}",
            status=state,
            lines=(FulfillmentLine(line_item_id="line-1", quantity=units),),
            shipped_at=NOON if state is FulfillmentState.SHIPPED else None,
        )
        for state, units in ((FulfillmentState.SHIPPED, shipped), (FulfillmentState.PACKED, packed))
        if units
    ]
    cancelled_at = None if cancelled_minutes_ago is None else NOON - timedelta(minutes=cancelled_minutes_ago)
    return Order(
        shop=shop,
        order_id=order_id,
        number=number or order_id,
        placed_at=NOON - timedelta(days=1),
        currency=currency,
        line_items=(LineItem(id="line-1", sku=sku, title="Tee", quantity=2, unit_price=money(charged // 2)),),
        totals=Totals(total=money(charged), first_charged=money(charged)),
        payments=payments,
        refunds=tuple(
            Refund(
                id=r.id,
                status=r.state,
                amount=money(r.amount),
                note=r.note,
                lines=tuple(RefundLine(line_item_id=line, quantity=units) for line, units in r.lines),
                payment_id=r.payment_id,
                created_at=NOON - timedelta(minutes=r.minutes_ago),
            )
            for r in refunds
        ),
        fulfillments=tuple(parcels),
        cancellation=None if cancelled_at is None else Cancellation(cancelled_at=cancelled_at),
        progress=progress,
        archived=archived,
        references=references or {},
    )
