"""Real input, exact canonical results: the list this project promised to show, one test a line."""

from __future__ import annotations

import pytest
from tests.payloads.corpus import HERE, RECORDED, read

from ordersync.model import FulfillmentState, FulfillmentStatus, Money, OrderStatus, PaymentStatus, RefundState


def money(text: str) -> Money:
    return Money.parse(text)


def test_medusa_eur_partial_refund() -> None:
    order = read(HERE / "medusa" / "order_eur_partial_refund.json")
    assert order.captured == money("44.40 EUR")
    assert order.refunded == money("10.50 EUR")
    assert order.payment_status is PaymentStatus.PARTIALLY_REFUNDED


def test_medusa_krw_full_refund_although_its_total_is_zero() -> None:
    order = read(HERE / "medusa" / "order_krw_full_refund.json")
    assert order.totals.total == money("0 KRW")
    assert order.captured == order.refunded == order.first_charged == money("88410 KRW")


def test_medusa_usd_canceled_captured_is_quantised_to_cents() -> None:
    order = read(HERE / "medusa" / "order_usd_canceled_captured.json")
    assert order.captured == order.refunded == money("32.45 USD")
    assert order.is_cancelled
    assert order.order_status is OrderStatus.CANCELLED


def test_medusa_usd_partially_fulfilled_is_packed_not_shipped() -> None:
    order = read(HERE / "medusa" / "order_usd_partially_fulfilled.json")
    assert order.fulfillments is not None
    assert [parcel.status for parcel in order.fulfillments] == [FulfillmentState.PACKED]
    assert order.fulfillment_status is FulfillmentStatus.UNFULFILLED


def test_medusa_jpy_captured_has_no_fraction_of_a_yen() -> None:
    assert read(HERE / "medusa" / "order_jpy_captured.json").captured == money("9100 JPY")


def test_shopline_recorded_cancel_is_cancelled_unpaid_and_refunded_nothing() -> None:
    path = RECORDED / "cancel_order.json"
    if not path.exists():
        pytest.skip("the licensed recordings are not beside this repository")
    order = read(path, "shopline")
    assert order.order_status is OrderStatus.CANCELLED
    assert order.refunded == money("0.00 USD")
    assert order.payment_status is PaymentStatus.UNPAID


def test_shopline_partially_refunded_has_one_completed_and_one_pending_refund() -> None:
    order = read(HERE / "shopline" / "order_partially_refunded.json")
    assert order.refunds is not None
    assert [(one.status, one.amount) for one in order.refunds] == [
        (RefundState.COMPLETED, money("30.00 USD")),
        (RefundState.PENDING, money("5.00 USD")),
    ]
    assert order.refunded == money("30.00 USD")
    assert order.refund_pending == money("5.00 USD")


def test_headless_usd_partially_refunded_has_two_completed_refunds() -> None:
    order = read(HERE / "headless" / "order_usd_partially_refunded.json")
    assert order.refunds is not None
    assert [(one.status, one.amount) for one in order.refunds] == [
        (RefundState.COMPLETED, money("49.67 USD")),
        (RefundState.COMPLETED, money("5.00 USD")),
    ]
