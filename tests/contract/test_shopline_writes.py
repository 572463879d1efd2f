"""Writing to a SHOPLINE store: what is on the wire, what the answer means, and what happens when there is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.shopline_shop import EMAIL, NOW, ShoplineShop, shopline_shop

from ordersync.connector import CancelRequest, Receipt, RefundRequest
from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.model import Money
from ordersync.testing.sandbox import Fault, Reply, Request

TOKEN = "os-7k2m9qab"


@pytest.fixture
def shop() -> Iterator[ShoplineShop]:
    with shopline_shop() as shop:
        yield shop


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def slip_of(shop: ShoplineShop, order_id: str) -> str:
    return str(shop.sandbox.order(order_id)["payment_details"][0]["pay_seq"])


def refund_of(shop: ShoplineShop, order_id: str, minor: int = 1250, **more: Any) -> RefundRequest:
    values = {
        "amount": usd(minor),
        "payment_id": slip_of(shop, order_id),
        "reason": "damaged",
        "token": TOKEN,
        **more,
    }
    return RefundRequest(**values)


def test_cancel_sends_the_six_fields_of_the_vendors_page(shop: ShoplineShop) -> None:
    """Seed page 002: flat body; amount a number, email and restock booleans, processed_at with its offset."""
    order_id = shop.sell()

    receipt = shop.connector.cancel(
        order_id,
        CancelRequest(
            reason="不想买了",
            amount=usd(4250),
            restock=True,
            notify_buyer=True,
            processed_at=datetime(2023, 4, 12, 22, 59, 52, tzinfo=timezone(timedelta(hours=8))),
            token=TOKEN,
        ),
        "key",
    )

    request = shop.one("POST")
    assert request.path == f"/admin/openapi/v20250601/orders/{order_id}/cancel.json"
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["authorization"] == f"Bearer {shop.sandbox.token}"
    assert b'"amount":42.50' in request.body
    body = json.loads(request.body)
    assert body == {
        "amount": 42.5,
        "cancel_reason": f"不想买了 {TOKEN}",
        "currency": "USD",
        "email": True,
        "processed_at": "2023-04-12T22:59:52+08:00",
        "restock": True,
    }
    assert (receipt.already_done, receipt.status) == (False, "cancelled")
    assert receipt.request_id
    [cancelled] = shop.sandbox.own_cancels()
    assert (cancelled.order_id, cancelled.reason) == (order_id, f"不想买了 {TOKEN}")


def test_a_bare_cancel_says_what_it_does_not_want(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    shop.connector.cancel(order_id, CancelRequest(), "key")
    assert shop.one("POST").json() == {"email": False, "restock": False}


def test_cancelling_what_is_cancelled_is_success_after_one_look(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    shop.sandbox.cancel(order_id, reason="by hand")
    shop.sandbox.archive(order_id)

    receipt = shop.connector.cancel(order_id, CancelRequest(token=TOKEN), "key")

    assert receipt.already_done
    assert len(shop.sandbox.requests("POST")) == 1
    assert len(shop.sandbox.own_cancels()) == 1


def test_a_refused_cancel_of_an_order_that_is_not_cancelled_stays_refused() -> None:
    with shopline_shop(cancel_fulfilled_allowed=False) as shop:
        order_id = shop.sell()
        shop.sandbox.ship(order_id)
        refused = error_of(lambda: shop.connector.cancel(order_id, CancelRequest(), "key"))
        assert isinstance(refused, Refused)
        assert refused.http_status == 422
        assert shop.sandbox.own_cancels() == []


def test_a_refused_cancel_whose_look_fails_stays_refused(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    shop.sandbox.cancel(order_id)
    shop.sandbox.add_fault(Fault("500_before", method="GET", times=50))
    refused = error_of(lambda: shop.connector.cancel(order_id, CancelRequest(), "key"))
    assert isinstance(refused, Refused)


@pytest.mark.parametrize("status", [402, 423, 433, 434, 435, 436])
def test_a_store_that_shuts_us_out_is_not_asked_what_became_of_a_write(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    asked: list[str] = []

    def answer(request: Request) -> tuple[Reply | None, str]:
        asked.append(request.method)
        return Reply(status, {"errors": "no"}), "whole"

    monkeypatch.setattr(shop.sandbox, "answer", answer)
    assert type(error_of(lambda: shop.connector.cancel("217", CancelRequest(token="os-7k2m9qaa"), "k"))) is Refused
    assert type(error_of(lambda: shop.connector.archive("217", "k"))) is Refused
    assert asked == ["POST", "PUT"]


@pytest.mark.parametrize("refunds_paid", [True, False])
def test_a_cancel_without_amount_refunds_or_not_as_the_switch_says(refunds_paid: bool) -> None:
    with shopline_shop(cancel_refunds_paid=refunds_paid) as shop:
        order_id = shop.sell()
        shop.connector.cancel(order_id, CancelRequest(), "key")
        moved = [(refund.amount_minor, refund.status) for refund in shop.sandbox.own_refunds()]
        assert moved == ([(4250, "success")] if refunds_paid else [])


def test_a_refund_by_amount_names_the_payment_and_carries_our_token(shop: ShoplineShop) -> None:
    order_id = shop.sell()

    receipt = shop.connector.refund(order_id, refund_of(shop, order_id, processed_at=NOW), "key")

    request = shop.one("POST")
    assert request.path == "/admin/openapi/v20250601/order/refund.json"
    assert request.json() == {
        "order_id": order_id,
        "transactions": [
            {
                "id": slip_of(shop, order_id),
                "amount": "12.50",
                "kind": "refund",
                "type": True,
                "currency": "USD",
            }
        ],
        "currency": "USD",
        "note": f"damaged {TOKEN}",
        "notify": False,
        "processed_at": "2026-10-01T12:00:00+00:00",
    }
    [made] = shop.sandbox.own_refunds()
    assert made == (order_id, receipt.platform_ref, 1250, "USD", "success", f"damaged {TOKEN}")
    assert receipt.status == "success"
    reread = json.loads(shop.connector.fetch(order_id).payload)
    assert reread["refunds"][0]["note"].endswith(TOKEN)
    assert reread["financial_status"] == "partially_refunded"


def test_a_refund_to_the_books_is_only_marked_and_may_start_pending() -> None:
    with shopline_shop(refund_starts_pending=True) as shop:
        order_id = shop.sell()
        receipt = shop.connector.refund(order_id, refund_of(shop, order_id, to="books", notify_buyer=True), "key")
        body = shop.one("POST").json()
        assert body["transactions"][0]["type"] is False
        assert body["notify"] is True
        assert receipt.status == "pending"
        assert receipt.platform_ref
        shop.sandbox.settle_refund(order_id, receipt.platform_ref, "failure")
        assert [refund.status for refund in shop.sandbox.own_refunds()] == ["failure"]


@pytest.mark.parametrize("two_decimals", [True, False])
def test_yen_are_sent_with_two_decimals_whichever_way_they_are_shown(two_decimals: bool) -> None:
    with shopline_shop(currency="JPY", jpy_two_decimals=two_decimals) as shop:
        order_id = shop.sell()
        yen = Money(amount_minor=700, currency="JPY")
        shop.connector.refund(order_id, refund_of(shop, order_id, amount=yen), "key")
        assert shop.one("POST").json()["transactions"][0]["amount"] == "700.00"
        assert shop.sandbox.own_refunds()[0].amount_minor == 700


@pytest.mark.parametrize(
    "change, code",
    [
        ({"payment_id": None}, "payment_needed"),
        ({"amount": usd(0)}, "amount_not_positive"),
        ({"amount": usd(-1)}, "amount_not_positive"),
        ({"amount": Money(amount_minor=12345, currency="KWD")}, "amount_not_expressible"),
        ({"restock": True}, "cannot_restock"),
    ],
)
def test_what_cannot_be_said_exactly_is_refused_and_not_sent(
    shop: ShoplineShop, change: dict[str, Any], code: str
) -> None:
    order_id = shop.sell()
    refused = error_of(lambda: shop.connector.refund(order_id, refund_of(shop, order_id, **change), "key"))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.shop, refused.order) == (code, "asia", order_id)
    assert shop.sandbox.log == []


@pytest.mark.parametrize(
    "change, status, words",
    [
        ({"amount": usd(4251)}, 422, "exceeds the refundable amount"),
        ({"amount": Money(amount_minor=100, currency="EUR")}, 400, "settlement currency of the payment:USD"),
        ({"payment_id": "2399"}, 422, "payment does not exist"),
    ],
)
def test_what_the_platform_refuses_is_refused_with_its_words(
    shop: ShoplineShop, change: dict[str, Any], status: int, words: str
) -> None:
    order_id = shop.sell()
    refused = error_of(lambda: shop.connector.refund(order_id, refund_of(shop, order_id, **change), "key"))
    assert isinstance(refused, Refused)
    assert refused.http_status == status
    assert words in refused.message
    assert shop.sandbox.own_refunds() == []


def test_archive_hides_the_order_and_twice_is_success(shop: ShoplineShop) -> None:
    order_id = shop.sell()

    first = shop.connector.archive(order_id, "key")
    second = shop.connector.archive(order_id, "key")

    request = shop.sandbox.requests("PUT")[0]
    assert request.path == f"/admin/openapi/v20250601/orders/{order_id}/hide_mark.json"
    assert request.body == b""
    assert shop.sandbox.order(order_id)["hidden_order"] is True
    assert (first.already_done, second.already_done) == (False, True)
    assert first.status == second.status == "archived"


def test_a_200_with_user_errors_is_a_refusal(shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = shop.sell()
    said = {"order": None, "user_errors": [{"code": "X", "message": f"not now, {EMAIL}", "field": ["id"]}]}
    answered = shop.sandbox.answer

    def refuse(request: Request) -> tuple[Reply | None, str]:
        return (Reply(200, said), "whole") if request.method == "PUT" else answered(request)

    monkeypatch.setattr(shop.sandbox, "answer", refuse)
    refused = error_of(lambda: shop.connector.archive(order_id, "key"), EMAIL)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.http_status) == ("user_errors", 200)
    assert "not now" in refused.message


Write = Callable[[ShoplineShop, str], Receipt]
WRITES: dict[str, Write] = {
    "cancel": lambda shop, order_id: shop.connector.cancel(order_id, CancelRequest(token=TOKEN), "key"),
    "refund": lambda shop, order_id: shop.connector.refund(order_id, refund_of(shop, order_id), "key"),
    "archive": lambda shop, order_id: shop.connector.archive(order_id, "key"),
}


def effects(shop: ShoplineShop, order_id: str) -> int:
    order = shop.sandbox.order(order_id)
    return len(order["refunds"]) + bool(order["cancelled_at"]) + bool(order["hidden_order"])


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("fault", ["500_before", "502_html", "cut_before"])
def test_a_write_that_failed_before_the_effect_is_in_doubt_and_sent_once(
    shop: ShoplineShop, name: str, fault: str
) -> None:
    order_id = shop.sell()
    shop.sandbox.add_fault(Fault(fault, method="POST|PUT"))  # type: ignore[arg-type]  # the names above
    assert isinstance(error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token), OutcomeUnknown)
    assert effects(shop, order_id) == 0
    assert len(shop.sandbox.requests("POST|PUT")) == 1


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("fault", ["500_after", "cut_after", "torn_body", "empty_200"])
def test_a_write_that_failed_after_the_effect_is_in_doubt_and_sent_once(
    shop: ShoplineShop, name: str, fault: str
) -> None:
    order_id = shop.sell()
    shop.sandbox.add_fault(Fault(fault, method="POST|PUT"))  # type: ignore[arg-type]  # the names above
    unknown = error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token)
    assert isinstance(unknown, OutcomeUnknown)
    assert unknown.order == order_id
    assert effects(shop, order_id) >= 1
    assert len(shop.sandbox.requests("POST|PUT")) == 1


@pytest.mark.parametrize("name", WRITES)
def test_a_throttled_write_certainly_did_not_happen(shop: ShoplineShop, name: str) -> None:
    order_id = shop.sell()
    shop.sandbox.add_fault(Fault("429", method="POST|PUT"))
    assert isinstance(error_of(lambda: WRITES[name](shop, order_id)), Transient)
    assert effects(shop, order_id) == 0
    assert len(shop.sandbox.requests("POST|PUT")) == 1


@pytest.mark.parametrize("name", WRITES)
def test_a_store_that_is_gone_certainly_did_nothing(shop: ShoplineShop, name: str) -> None:
    order_id = shop.sell()
    shop.server.stop()
    assert isinstance(error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token), Transient)
    assert effects(shop, order_id) == 0


@pytest.mark.parametrize("name", WRITES)
def test_a_key_that_may_not_write_is_unauthorized(shop: ShoplineShop, name: str) -> None:
    order_id = shop.sell()
    shop.sandbox.scopes.discard("write_orders")
    refused = error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token)
    assert isinstance(refused, Unauthorized)
    assert "write_orders" in refused.message


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    "body", [{}, [], {"order": None}, {"order": {"id": "1"}}, {"data": {"order_id": "1", "id": "2"}}]
)
def test_a_200_that_says_nothing_of_our_order_is_in_doubt(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, name: str, body: object
) -> None:
    order_id = shop.sell()
    request = refund_of(shop, order_id)
    monkeypatch.setattr(shop.sandbox, "answer", lambda _: (Reply(200, body), "whole"))
    calls: dict[str, Callable[[], Receipt]] = {
        "cancel": lambda: shop.connector.cancel(order_id, CancelRequest(), "key"),
        "refund": lambda: shop.connector.refund(order_id, request, "key"),
        "archive": lambda: shop.connector.archive(order_id, "key"),
    }
    assert isinstance(error_of(calls[name]), OutcomeUnknown)


@pytest.mark.parametrize("name", ["cancel", "archive", "refund"])
def test_a_write_to_what_is_no_order_id_is_not_sent(shop: ShoplineShop, name: str) -> None:
    calls: dict[str, Callable[[], Receipt]] = {
        "cancel": lambda: shop.connector.cancel("1/../2", CancelRequest(), "key"),
        "archive": lambda: shop.connector.archive("1/../2", "key"),
        "refund": lambda: shop.connector.refund("1/../2", RefundRequest(amount=usd(1), payment_id="2"), "key"),
    }
    assert error_of(calls[name]).code == "bad_id"
    assert shop.sandbox.log == []


def test_the_token_outlives_a_reason_that_is_too_long_and_is_not_written_twice(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    shop.connector.refund(order_id, refund_of(shop, order_id, reason="long \n" * 200), "key")
    shop.connector.refund(order_id, refund_of(shop, order_id, reason=f"typed {TOKEN}"), "key")
    first, second = (refund.note for refund in shop.sandbox.own_refunds())
    assert first is not None
    assert first.endswith(f" {TOKEN}")
    assert len(first) <= 220
    assert second == f"typed {TOKEN}"


def test_digits_of_a_currency_set_in_the_configuration_are_used_on_the_wire(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    connector = shop.connect(exponents={"USD": 0})
    connector.refund(order_id, refund_of(shop, order_id, 12), "key")
    assert shop.one("POST").json()["transactions"][0]["amount"] == "12.00"
    assert NOW.tzinfo is UTC
