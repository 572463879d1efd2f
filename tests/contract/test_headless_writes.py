"""Headless writes over real HTTP: the bytes on the wire, what each answer means, and that nothing happens twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.headless_shop import NOW, HeadlessShop, headless_shop

from ordersync.connector import CancelRequest, CaptureRequest, RefundRequest
from ordersync.errors import OutcomeUnknown, Refused
from ordersync.model import Money
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Fault, Reply

TOKEN = "os-7k2m9qaa"
KEY = "a1b2c3"
SEEDS = Path(__file__).resolve().parents[2].parent / "shared" / "seeds"
PAID, UNPAID = "ord_2001", "ord_2002"
TOTAL = 4389


def sale(number: int, **changes: Any) -> SaleSpec:
    lines = (SaleLine("TEE-M", "T-Shirt", 2, 1795),)
    spec = {"shipping_minor": 799, "placed_at": NOW - timedelta(days=1), "lines": lines, **changes}
    return SaleSpec(number=number, email=f"buyer{number}@example.com", currency="USD", **spec)


@pytest.fixture
def web() -> Iterator[HeadlessShop]:
    with headless_shop() as shop:
        shop.sandbox.add_sale(sale(2001, provider="stripe"))
        shop.sandbox.add_sale(sale(2002, provider="bank_transfer", paid=False))
        yield shop


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def order_of(web: HeadlessShop, order_id: str = PAID) -> dict[str, Any]:
    return web.sandbox.state.order(order_id)


# The vendor's pages


def test_cancel_is_what_the_vendor_page_says(web: HeadlessShop) -> None:
    receipt = web.connector.cancel(PAID, CancelRequest(reason="Changed mind"), KEY)
    asked = web.one("POST")
    assert (asked.method, asked.path, asked.query) == ("POST", f"/v1/admin/orders/{PAID}/cancel", ())
    assert asked.headers["authorization"] == f"Bearer {web.sandbox.secret_key}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.json() == {"reason": "Changed mind"}
    assert (receipt.status, receipt.already_done) == ("cancelled", False)


def test_the_vendor_page_of_cancel_says_so() -> None:
    page = SEEDS / "000_6e4d51833cf55742.txt"
    if not page.exists():
        pytest.skip("the vendor's pages are not beside this repository")
    text = page.read_text(encoding="utf-8")
    for said in (
        "--request POST",
        "/v1/admin/orders/{id}/cancel",
        "Bearer <token>",
        "Content-Type: application/json",
    ):
        assert said in text
    assert '"reason": "<string>"' in text


# Cancel


def test_cancel_carries_our_token_behind_the_reason_once(web: HeadlessShop) -> None:
    web.connector.cancel(PAID, CancelRequest(reason=" Changed mind ", token=TOKEN), KEY)
    web.connector.cancel(UNPAID, CancelRequest(reason=f"again {TOKEN}", token=TOKEN), "k2")
    assert [cancel[2] for cancel in web.sandbox.own_cancels()] == [f"Changed mind {TOKEN}", f"again {TOKEN}"]


def test_cancel_without_a_reason_says_only_our_token_or_nothing(web: HeadlessShop) -> None:
    web.connector.cancel(PAID, CancelRequest(token=TOKEN), KEY)
    web.connector.cancel(UNPAID, CancelRequest(), "k2")
    assert [request.json() for request in web.sandbox.requests("POST")] == [{"reason": TOKEN}, {}]


def test_cancel_of_a_cancelled_order_is_already_done(web: HeadlessShop) -> None:
    web.sandbox.state.cancel(PAID, "by hand")
    receipt = web.connector.cancel(PAID, CancelRequest(reason="again", token=TOKEN), KEY)
    assert (receipt.already_done, receipt.status) == (True, "cancelled")
    assert [request.method for request in web.sandbox.requests()] == ["POST", "GET"]
    assert [cancel[2] for cancel in web.sandbox.own_cancels()] == ["by hand"]


def test_cancel_of_a_completed_order_is_refused(web: HeadlessShop) -> None:
    for step in ("processing", "completed"):
        web.sandbox.state.move(PAID, step)
    error = error_of(lambda: web.connector.cancel(PAID, CancelRequest(), KEY), *web.secrets)
    assert isinstance(error, Refused)
    assert (error.code, error.http_status, error.order) == ("INVALID_STATE_TRANSITION", 409, PAID)
    assert web.sandbox.own_cancels() == []


def test_a_conflict_whose_order_cannot_be_read_stays_refused(web: HeadlessShop) -> None:
    web.sandbox.state.cancel(PAID, "by hand")
    web.sandbox.add_fault(Fault("500_before", method="GET", times=99))
    assert type(error_of(lambda: web.connector.cancel(PAID, CancelRequest(), KEY))) is Refused


def test_cancel_of_a_missing_order_is_refused_without_looking(web: HeadlessShop) -> None:
    error = error_of(lambda: web.connector.cancel("ord_9", CancelRequest(), KEY))
    assert isinstance(error, Refused)
    assert error.http_status == 404
    assert len(web.sandbox.requests()) == 1


@pytest.mark.parametrize("cancel_refunds", ["none", "all"])
def test_cancel_leaves_the_money_to_the_platform_whatever_it_does(cancel_refunds: str) -> None:
    with headless_shop(cancel_refunds=cancel_refunds) as shop:
        shop.sandbox.add_sale(sale(2001))
        shop.connector.cancel(PAID, CancelRequest(reason="x", token=TOKEN), KEY)
        order = json.loads(shop.connector.fetch(PAID).payload)
        assert order["status"] == "cancelled"
        assert order["refunded_total"]["amount"] == (TOTAL if cancel_refunds == "all" else 0)
        assert order["payment_status"] == ("refunded" if cancel_refunds == "all" else "paid")


@pytest.mark.parametrize(
    "request_, code",
    [
        (CancelRequest(amount=usd(100)), "cancel_amount_unsupported"),
        (CancelRequest(restock=True), "cancel_restock_unsupported"),
        (CancelRequest(notify_buyer=True), "cancel_notify_unsupported"),
    ],
)
def test_what_a_cancel_cannot_carry_is_refused_before_sending(
    web: HeadlessShop, request_: CancelRequest, code: str
) -> None:
    error = error_of(lambda: web.connector.cancel(PAID, request_, KEY))
    assert (type(error), error.code) == (Refused, code)
    assert web.sandbox.requests() == []


# Refund


def test_refund_sends_an_amount_a_reason_and_an_explicit_restock(web: HeadlessShop) -> None:
    request = RefundRequest(amount=usd(1795), reason="damaged", token=TOKEN)
    receipt = web.connector.refund(PAID, request, KEY)
    asked = web.one("POST")
    assert asked.path == f"/v1/admin/orders/{PAID}/refunds"
    assert asked.json() == {"amount": 1795, "reason": f"damaged {TOKEN}", "restock": False}
    assert asked.headers["idempotency-key"] == KEY
    assert asked.headers["content-type"] == "application/json"
    assert (receipt.platform_ref, receipt.status) == ("ref_2001_1", "completed")
    assert web.sandbox.own_refunds() == [(PAID, "ref_2001_1", 1795, "USD", "completed", f"damaged {TOKEN}")]


def test_the_token_of_a_refund_comes_back_with_the_order(web: HeadlessShop) -> None:
    web.connector.refund(PAID, RefundRequest(amount=usd(5), token=TOKEN), KEY)
    order = json.loads(web.connector.fetch(PAID).payload)
    assert [TOKEN in refund["reason"] for refund in order["refunds"]] == [True]
    assert web.connector.semantics.refund_token_field == "note"


def test_a_reason_is_always_sent_because_the_platform_requires_one(web: HeadlessShop) -> None:
    web.connector.refund(PAID, RefundRequest(amount=usd(5), restock=True), KEY)
    assert web.one("POST").json() == {"amount": 5, "reason": "refund", "restock": True}


def test_a_pending_refund_is_told_as_pending() -> None:
    with headless_shop(refund_starts_pending=True) as shop:
        shop.sandbox.add_sale(sale(2001))
        assert shop.connector.refund(PAID, RefundRequest(amount=usd(100)), KEY).status == "pending"
        assert json.loads(shop.connector.fetch(PAID).payload)["refunded_total"]["amount"] == 0
        shop.sandbox.state.settle_refunds()
        assert json.loads(shop.connector.fetch(PAID).payload)["refunded_total"]["amount"] == 100


def test_won_have_no_cents() -> None:
    with headless_shop() as shop:
        shop.sandbox.add_sale(
            SaleSpec(
                3001, "a@example.com", "KRW", (SaleLine("MUG", "Mug", 1, 45000),), 3000, NOW, provider="manual"
            )
        )
        amount = Money(amount_minor=48000, currency="KRW")
        shop.connector.refund("ord_3001", RefundRequest(amount=amount), KEY)
        assert shop.one("POST").json()["amount"] == 48000
        assert json.loads(shop.connector.fetch("ord_3001").payload)["payment_status"] == "refunded"


def test_more_than_is_left_is_refused_by_the_platform_with_its_details(web: HeadlessShop) -> None:
    error = error_of(lambda: web.connector.refund(PAID, RefundRequest(amount=usd(TOTAL + 1)), KEY))
    assert isinstance(error, Refused)
    assert (error.code, error.http_status) == ("VALIDATION_ERROR", 400)
    assert "amount: More than is left" in error.message
    assert web.sandbox.own_refunds() == []


def test_a_platform_that_wants_lines_refuses_and_no_lines_are_invented() -> None:
    with headless_shop(refund_lines_required=True) as shop:
        shop.sandbox.add_sale(sale(2001))
        error = error_of(lambda: shop.connector.refund(PAID, RefundRequest(amount=usd(100)), KEY))
        assert isinstance(error, Refused)
        assert "lines" in error.message
        assert len(shop.sandbox.requests()) == 1


@pytest.mark.parametrize("minor", [0, -5])
def test_nothing_and_less_are_refused_before_sending(web: HeadlessShop, minor: int) -> None:
    error = error_of(lambda: web.connector.refund(PAID, RefundRequest(amount=usd(minor)), KEY))
    assert isinstance(error, Refused)
    assert web.sandbox.requests() == []


@pytest.mark.parametrize("amount", [{"amount": 99, "currency": "USD"}, {"amount": 100, "currency": "KRW"}, 99])
def test_an_answer_about_another_amount_is_doubt(
    web: HeadlessShop, monkeypatch: pytest.MonkeyPatch, amount: Any
) -> None:
    made = {"id": "ref_1", "order_id": PAID, "status": "completed", "amount": amount}
    monkeypatch.setattr(web.sandbox, "_dispatch", lambda _request: Reply(201, made))
    error = error_of(lambda: web.connector.refund(PAID, RefundRequest(amount=usd(100)), KEY))
    assert (type(error), error.code, error.order) == (OutcomeUnknown, "answer_differs", PAID)


def test_an_answer_about_another_order_is_doubt(web: HeadlessShop) -> None:
    web.connector.refund(PAID, RefundRequest(amount=usd(100)), KEY)
    error = error_of(lambda: web.connector.refund(UNPAID, RefundRequest(amount=usd(100)), KEY))
    assert (type(error), error.code) == (OutcomeUnknown, "answer_differs")


def test_a_refund_that_must_only_be_booked_is_refused_where_every_provider_pays(web: HeadlessShop) -> None:
    request = RefundRequest(amount=usd(100), to="books")
    error = error_of(lambda: web.connector.refund(PAID, request, KEY))
    assert (type(error), error.code) == (Refused, "refund_to_books_unsupported")
    assert web.sandbox.requests() == []
    assert web.connect(books_only=("manual",)).refund(PAID, request, KEY).platform_ref == "ref_2001_1"


# Idempotency-Key


def test_the_same_key_never_refunds_twice_within_a_day(web: HeadlessShop) -> None:
    request = RefundRequest(amount=usd(100), token=TOKEN)
    first = web.connector.refund(PAID, request, KEY)
    again = web.connector.refund(PAID, request, KEY)
    assert first.platform_ref == again.platform_ref
    assert len(web.sandbox.own_refunds()) == 1
    other = web.connector.refund(PAID, request, "another key")
    assert other.platform_ref != first.platform_ref


def test_a_key_is_forgotten_after_its_life() -> None:
    clock = [NOW]
    with headless_shop(now=lambda: clock[0]) as shop:
        shop.sandbox.add_sale(sale(2001))
        request = RefundRequest(amount=usd(100))
        life = shop.connector.semantics.idempotency_key_life
        assert life is not None
        for later, refunds in ((timedelta(0), 1), (life - timedelta(minutes=1), 1), (life, 2)):
            clock[0] = NOW + later
            shop.connector.refund(PAID, request, KEY)
            assert len(shop.sandbox.own_refunds()) == refunds


def test_only_answers_that_say_done_are_kept_under_a_key(web: HeadlessShop) -> None:
    too_much = RefundRequest(amount=usd(TOTAL + 1))
    assert type(error_of(lambda: web.connector.refund(PAID, too_much, KEY))) is Refused
    assert web.connector.refund(PAID, RefundRequest(amount=usd(1)), KEY).platform_ref == "ref_2001_1"


def test_every_write_carries_its_key(web: HeadlessShop) -> None:
    web.connector.capture(UNPAID, CaptureRequest(payment_id="pay_2002_1"), "k1")
    web.sandbox.state.move(PAID, "processing")
    web.connector.complete(PAID, "k2")
    web.connector.refund(PAID, RefundRequest(amount=usd(1)), "k3")
    web.connector.cancel(UNPAID, CancelRequest(), "k4")
    assert [request.headers["idempotency-key"] for request in web.sandbox.requests()] == ["k1", "k2", "k3", "k4"]


# Complete, capture


def test_complete_is_a_post_without_a_body(web: HeadlessShop) -> None:
    web.sandbox.state.move(PAID, "processing")
    assert web.connector.complete(PAID, KEY).status == "completed"
    asked = web.one("POST")
    assert (asked.path, asked.body) == (f"/v1/admin/orders/{PAID}/complete", b"")
    assert web.connector.complete(PAID, "k2").already_done


def test_complete_of_an_order_not_yet_processing_is_refused(web: HeadlessShop) -> None:
    assert type(error_of(lambda: web.connector.complete(PAID, KEY))) is Refused
    assert order_of(web)["status"] == "confirmed"


def test_capture_completes_the_payment_named(web: HeadlessShop) -> None:
    receipt = web.connector.capture(UNPAID, CaptureRequest(payment_id="pay_2002_1"), KEY)
    asked = web.one("POST")
    assert (asked.path, asked.body) == ("/v1/admin/payments/pay_2002_1/complete", b"")
    assert (receipt.platform_ref, receipt.status) == ("pay_2002_1", "completed")
    assert order_of(web, UNPAID)["payment_status"] == "paid"
    assert web.connector.capture(UNPAID, CaptureRequest(payment_id="pay_2002_1"), "k2").already_done


def test_capture_of_a_cancelled_payment_is_refused(web: HeadlessShop) -> None:
    web.sandbox.state.cancel(UNPAID, None)
    request = CaptureRequest(payment_id="pay_2002_1")
    assert type(error_of(lambda: web.connector.capture(UNPAID, request, KEY))) is Refused


@pytest.mark.parametrize(
    "request_, code",
    [
        (CaptureRequest(), "capture_payment_id_unsupported"),
        (CaptureRequest(payment_id="pay_2002_1", amount=usd(1)), "capture_amount_unsupported"),
    ],
)
def test_what_a_capture_cannot_carry_is_refused_before_sending(
    web: HeadlessShop, request_: CaptureRequest, code: str
) -> None:
    error = error_of(lambda: web.connector.capture(UNPAID, request_, KEY))
    assert (type(error), error.code) == (Refused, code)
    assert web.sandbox.requests() == []
