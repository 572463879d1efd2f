"""The canonical order: the three axes follow from facts, and `not loaded` is not `none`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ordersync.model import (
    Cancellation,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    FulfillmentStatus,
    LineItem,
    Money,
    Order,
    OrderStatus,
    Payment,
    PaymentState,
    PaymentStatus,
    Progress,
    Purse,
    Refund,
    RefundState,
    Totals,
)


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def payment(captured: int, state: PaymentState = PaymentState.COMPLETED) -> Payment:
    return Payment(
        id=f"p{captured}", purse=Purse.GATEWAY, status=state, amount=usd(captured), captured=usd(captured)
    )


def refund(minor: int, state: RefundState = RefundState.COMPLETED) -> Refund:
    return Refund(id=f"r{minor}{state}", status=state, amount=usd(minor))


def parcel(state: FulfillmentState, *quantities: int) -> Fulfillment:
    lines = tuple(FulfillmentLine(line_item_id=f"l{n}", quantity=q) for n, q in enumerate(quantities))
    return Fulfillment(id="f", status=state, lines=lines)


def order(**fields: Any) -> Order:
    base: dict[str, Any] = {"shop": "s", "order_id": "1", "currency": "USD", "payments": (), "refunds": ()}
    return Order(**{**base, **fields})


def bought(*quantities: int) -> tuple[LineItem, ...]:
    return tuple(LineItem(id=f"l{n}", quantity=q, unit_price=usd(100)) for n, q in enumerate(quantities))


amounts = st.lists(st.integers(0, 50_000), max_size=4)
states = st.sampled_from(RefundState)


@given(amounts, st.lists(st.tuples(st.integers(0, 50_000), states), max_size=5), st.integers(0, 100_000))
def test_the_payment_axis_follows_from_captured_and_completed_refunds(
    paid: list[int], given_back: list[tuple[int, RefundState]], asked: int
) -> None:
    found = order(
        payments=tuple(payment(p) for p in paid),
        refunds=tuple(refund(minor, state) for minor, state in given_back),
        totals=Totals(total=usd(asked)),
    )
    captured = sum(paid)
    refunded = sum(minor for minor, state in given_back if state is RefundState.COMPLETED)
    pending = sum(minor for minor, state in given_back if state is RefundState.PENDING)
    assert (found.captured, found.refunded, found.refund_pending) == (usd(captured), usd(refunded), usd(pending))
    if captured == 0:
        expected = PaymentStatus.UNPAID
    elif refunded >= captured:
        expected = PaymentStatus.REFUNDED
    elif refunded:
        expected = PaymentStatus.PARTIALLY_REFUNDED
    else:
        expected = PaymentStatus.PARTIALLY_PAID if captured < asked else PaymentStatus.PAID
    assert found.payment_status is expected


@given(
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.sampled_from(Progress)),
)
def test_only_the_marker_cancels_and_the_rest_follows_from_progress(
    cancelled: bool, draft: bool, progress: Progress | None
) -> None:
    found = order(cancellation=Cancellation() if cancelled else None, draft=draft, progress=progress)
    if cancelled:
        expected = OrderStatus.CANCELLED
    elif draft:
        expected = OrderStatus.DRAFT
    elif progress is None:
        expected = OrderStatus.UNKNOWN
    else:
        expected = OrderStatus.COMPLETED if progress is Progress.COMPLETED else OrderStatus.OPEN
    assert found.order_status is expected
    assert found.is_cancelled is cancelled


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_the_fulfillment_axis_counts_what_left_the_house(quantities: list[int], data: st.DataObject) -> None:
    parcels = []
    gone = [0] * len(quantities)
    for _ in range(data.draw(st.integers(0, 3))):
        state = data.draw(st.sampled_from(FulfillmentState))
        inside = [data.draw(st.integers(0, q)) for q in quantities]
        parcels.append(parcel(state, *inside))
        if state in (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED):
            gone = [have + more for have, more in zip(gone, inside, strict=True)]
    left = [one for one in parcels if one.status in (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED)]
    found = order(line_items=bought(*quantities), fulfillments=tuple(parcels)).fulfillment_status
    if not left:
        assert found is FulfillmentStatus.UNFULFILLED
    elif all(have >= want for have, want in zip(gone, quantities, strict=True)):
        assert found is FulfillmentStatus.FULFILLED
    else:
        assert found is FulfillmentStatus.PARTIALLY_FULFILLED


def test_not_loaded_is_not_none() -> None:
    found = order(payments=None, refunds=None)
    assert (found.captured, found.refunded, found.refund_pending) == (None, None, None)
    assert found.payment_status is PaymentStatus.UNKNOWN
    assert order(payments=(payment(5),), refunds=None).payment_status is PaymentStatus.UNKNOWN
    assert order().fulfillment_status is FulfillmentStatus.UNKNOWN
    assert order(line_items=(), fulfillments=()).fulfillment_status is FulfillmentStatus.UNFULFILLED


def test_a_shipped_parcel_of_unknown_contents_leaves_the_axis_unknown() -> None:
    sealed = Fulfillment(id="f", status=FulfillmentState.SHIPPED, lines=None)
    assert order(line_items=bought(1), fulfillments=(sealed,)).fulfillment_status is FulfillmentStatus.UNKNOWN
    packed = Fulfillment(id="f", status=FulfillmentState.PACKED, lines=None)
    assert order(line_items=bought(1), fulfillments=(packed,)).fulfillment_status is FulfillmentStatus.UNFULFILLED


def test_an_order_and_its_json_are_the_same_order() -> None:
    found = order(
        payments=(payment(500),),
        refunds=(refund(200), refund(100, RefundState.PENDING)),
        line_items=bought(2),
        fulfillments=(parcel(FulfillmentState.SHIPPED, 1),),
        placed_at=datetime(2026, 1, 1, tzinfo=UTC),
        references={"external_id": "7"},
        progress=Progress.CONFIRMED,
    )
    assert Order.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "fields",
    [
        {"surprise": 1},
        {"currency": "US"},
        {"placed_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - a time without a zone is what must be refused
        {"progress": "frozen"},
        {"order_id": 7},
    ],
)
def test_an_order_refuses_what_it_does_not_know(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        order(**fields)
