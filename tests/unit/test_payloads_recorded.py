"""Recordings of the live SHOPLINE API, read in place: licensed third-party data that is never copied here."""

from __future__ import annotations

import pytest
from tests.payloads.corpus import PROFILE, RECORDED, mapping, orders_in, read

from ordersync.model import FulfillmentState, Money, OrderStatus, PaymentStatus, Progress

pytestmark = pytest.mark.skipif(
    not RECORDED.exists(), reason="the licensed recordings are not beside this repository"
)


def test_a_cancelled_unpaid_order_holds_a_refund_record_of_nothing() -> None:
    order = read(RECORDED / "cancel_order.json", "shopline")
    assert order.cancellation is not None
    assert order.cancellation.reason == "Test cancellation"
    assert order.refunds is not None
    assert [(one.amount, one.lines) for one in order.refunds] == [(Money.parse("0 USD"), ())]
    assert order.captured == Money.parse("0 USD")
    assert order.totals.total == Money.parse("1000000.00 USD")
    assert order.progress is None, "the cancel answer has no status word"
    assert order.integrity == ()


def test_paid_without_a_payment_slip_is_not_captured_and_says_so() -> None:
    first, second = orders_in(RECORDED / "list_orders_first_page.json", "shopline")
    for payload in (first, second):
        order = mapping("shopline").normalise(payload, PROFILE)
        assert order.platform_words["payment"] == "paid"
        assert order.captured == Money.parse("0 USD")
        assert order.payment_status is PaymentStatus.UNPAID
        assert [note.code for note in order.integrity] == ["payment_differs"]


def test_a_cancelled_fulfillment_does_not_ship_anything() -> None:
    _, payload = orders_in(RECORDED / "list_orders_first_page.json", "shopline")
    order = mapping("shopline").normalise(payload, PROFILE)
    assert order.fulfillments is not None
    assert [parcel.status for parcel in order.fulfillments] == [FulfillmentState.CANCELLED]
    assert order.fulfillment_status == "unfulfilled"
    assert order.platform_words["fulfillment"] == "null"


def test_one_order_by_id_is_open_and_unpaid() -> None:
    order = read(RECORDED / "get_order_by_ids.json", "shopline")
    assert order.order_status is OrderStatus.OPEN
    assert order.progress is Progress.PENDING
    assert order.payment_status is PaymentStatus.UNPAID
    assert len(order.order_id) == 26


def test_a_create_answer_of_nulls_loads_nothing_it_does_not_tell() -> None:
    order = read(RECORDED / "create_order.json", "shopline")
    assert order.payments is None
    assert order.refunds is None
    assert order.fulfillments is None
    assert order.updated_at is None
    assert order.order_status is OrderStatus.UNKNOWN
    assert order.payment_status is PaymentStatus.UNKNOWN


def test_an_update_answer_without_status_keeps_progress_unknown() -> None:
    order = read(RECORDED / "update_order.json", "shopline")
    assert order.progress is None
    assert not order.is_cancelled
    assert "status" not in order.platform_words


def test_times_with_an_eastern_offset_are_kept_in_utc() -> None:
    order = read(RECORDED / "cancel_order.json", "shopline")
    assert order.updated_at is not None
    assert order.updated_at.isoformat() == "2026-09-02T13:59:29+00:00"
