"""Headless writes that fail: each is sent once, and named by whether it may have happened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.headless_shop import NOW, HeadlessShop, headless_shop

from ordersync.connector import CancelRequest, CaptureRequest, RefundRequest
from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized, UsageError
from ordersync.model import Money
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Fault, Reply, Request

TOKEN = "os-7k2m9qaa"
KEY = "a1b2c3"
PAID, UNPAID = "ord_2001", "ord_2002"


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


def answers_with(web: HeadlessShop, monkeypatch: pytest.MonkeyPatch, instead: Reply) -> None:
    """The shop acts on a POST, and then answers something else."""
    real = web.sandbox.answer

    def answer(request: Request) -> tuple[Reply | None, str]:
        reply, how = real(request)
        return (instead if request.method == "POST" else reply), how

    monkeypatch.setattr(web.sandbox, "answer", answer)


WRITES: dict[str, Callable[[HeadlessShop], Any]] = {
    "cancel": lambda web: web.connector.cancel(PAID, CancelRequest(token=TOKEN), KEY),
    "refund": lambda web: web.connector.refund(PAID, RefundRequest(amount=usd(100), token=TOKEN), KEY),
    "complete": lambda web: web.connector.complete("ord_2003", KEY),
    "capture": lambda web: web.connector.capture(UNPAID, CaptureRequest(payment_id="pay_2002_1"), KEY),
}


def effects(web: HeadlessShop) -> int:
    """How many of the four writes have had their effect."""
    state = web.sandbox.state
    refunds = [refund for refund in web.sandbox.own_refunds() if refund[2] == 100]
    completed = state.order("ord_2003")["status"] == "completed"
    paid = state.order(UNPAID)["payment_status"] == "paid"
    return len(web.sandbox.own_cancels()) + len(refunds) + int(completed) + int(paid)


@pytest.fixture
def ready(web: HeadlessShop) -> HeadlessShop:
    web.sandbox.add_sale(sale(2003))
    web.sandbox.state.move("ord_2003", "processing")
    return web


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", ["500_after", "cut_after", "torn_body"])
def test_a_write_that_acted_and_then_failed_is_doubt_and_was_sent_once(
    ready: HeadlessShop, name: str, kind: Any
) -> None:
    ready.sandbox.add_fault(Fault(kind, method="POST", times=99))
    error = error_of(lambda: WRITES[name](ready), *ready.secrets)
    assert type(error) is OutcomeUnknown
    assert (error.shop, error.operation) == ("web", name)
    assert len(ready.sandbox.requests()) == 1
    assert effects(ready) == 1


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", ["500_before", "502_html", "cut_before"])
def test_a_write_that_failed_before_acting_is_doubt_too_because_nobody_can_tell(
    ready: HeadlessShop, name: str, kind: Any
) -> None:
    ready.sandbox.add_fault(Fault(kind, method="POST", times=99))
    assert type(error_of(lambda: WRITES[name](ready), *ready.secrets)) is OutcomeUnknown
    assert len(ready.sandbox.requests()) == 1
    assert effects(ready) == 0


@pytest.mark.parametrize("name", WRITES)
def test_an_empty_200_to_a_write_is_doubt(ready: HeadlessShop, name: str) -> None:
    ready.sandbox.add_fault(Fault("empty_200", method="POST"))
    assert type(error_of(lambda: WRITES[name](ready), *ready.secrets)) is OutcomeUnknown
    assert effects(ready) == 1


@pytest.mark.parametrize("name", ["cancel", "complete", "capture"])
def test_a_204_is_enough_where_no_record_is_made(
    ready: HeadlessShop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's SDK expects it of any call; the effect is read back anyway."""
    answers_with(ready, monkeypatch, Reply(204))
    assert WRITES[name](ready).status is None
    assert effects(ready) == 1


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": "another"}, [], "done"])
@pytest.mark.parametrize("name", ["cancel", "complete", "capture"])
def test_an_answer_that_is_not_the_record_it_was_sent_to_is_doubt(
    ready: HeadlessShop, name: str, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_with(ready, monkeypatch, Reply(200, body))
    assert type(error_of(lambda: WRITES[name](ready), *ready.secrets)) is OutcomeUnknown
    assert len(ready.sandbox.requests()) == 1


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"amount": {"amount": 100, "currency": "USD"}}])
def test_a_refund_answered_without_its_record_is_doubt(
    ready: HeadlessShop, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_with(ready, monkeypatch, Reply(201, body))
    assert type(error_of(lambda: WRITES["refund"](ready), *ready.secrets)) is OutcomeUnknown
    assert effects(ready) == 1


@pytest.mark.parametrize("name", WRITES)
def test_a_429_means_not_done_and_is_not_repeated(ready: HeadlessShop, name: str) -> None:
    ready.sandbox.add_fault(Fault("429", method="POST", retry_after_s=7))
    error = error_of(lambda: WRITES[name](ready))
    assert isinstance(error, Transient)
    assert error.retry_after_s == 7
    assert len(ready.sandbox.requests()) == 1
    assert effects(ready) == 0


@pytest.mark.parametrize("name", WRITES)
def test_a_shop_that_cannot_be_reached_did_nothing(ready: HeadlessShop, name: str) -> None:
    ready.server.stop()
    error = error_of(lambda: WRITES[name](ready), *ready.secrets)
    assert (type(error), error.code) == (Transient, "no_connection")


def test_a_refund_sent_again_with_its_key_after_a_cut_answer_is_made_once(ready: HeadlessShop) -> None:
    ready.sandbox.add_fault(Fault("cut_after", method="POST"))
    assert type(error_of(lambda: WRITES["refund"](ready))) is OutcomeUnknown
    assert WRITES["refund"](ready).platform_ref == "ref_2001_1"
    assert effects(ready) == 1


def test_a_refund_that_answered_500_after_acting_is_made_twice_when_sent_again(ready: HeadlessShop) -> None:
    """Only 2xx answers are kept under a key: why doubt is looked into and never just repeated."""
    ready.sandbox.add_fault(Fault("500_after", method="POST"))
    assert type(error_of(lambda: WRITES["refund"](ready))) is OutcomeUnknown
    WRITES["refund"](ready)
    assert effects(ready) == 2


def test_our_token_is_found_after_doubt_also_when_it_shows_late(ready: HeadlessShop) -> None:
    ready.sandbox.add_fault(Fault("late_visibility", method="POST", seconds=0.4))
    WRITES["refund"](ready)
    assert json.loads(ready.connector.fetch(PAID).payload)["refunds"] == []
    time.sleep(0.45)
    [refund] = json.loads(ready.connector.fetch(PAID).payload)["refunds"]
    assert TOKEN in refund["reason"]


def test_a_write_with_a_wrong_key_is_unauthorized_and_did_nothing(ready: HeadlessShop) -> None:
    connector = ready.connect(api_key="sk_live_wrong")
    error = error_of(lambda: connector.refund(PAID, RefundRequest(amount=usd(100)), KEY), "sk_live_wrong")
    assert type(error) is Unauthorized
    assert effects(ready) == 0


def test_an_id_that_would_reach_another_resource_is_not_sent(ready: HeadlessShop) -> None:
    assert type(error_of(lambda: ready.connector.cancel("..", CancelRequest(), KEY))) is UsageError
    error = error_of(lambda: ready.connector.cancel(f"{PAID}/complete?x=", CancelRequest(), KEY))
    assert isinstance(error, Refused)
    assert effects(ready) == 0
