"""Headless parcels, refunds by line and steps of progress over real HTTP: the wire, the answers, the failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.headless_shop import NOW, HeadlessShop, headless_shop

from ordersync.connector import (
    DeliverRequest,
    LineQuantity,
    PackRequest,
    Receipt,
    RefundRequest,
    ShipRequest,
)
from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.model import Money
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Fault, Reply

TOKEN = "os-7k2m9qaa"
KEY = "a1b2c3"
PAID, OTHER, UNPAID = "ord_2001", "ord_2002", "ord_2003"
TEE, MUG = "ol_2001_1", "ol_2001_2"


def sale(number: int, **changes: Any) -> SaleSpec:
    lines = (SaleLine("TEE-M", "T-Shirt", 2, 1795), SaleLine("MUG", "Mug", 3, 900))
    spec = {"shipping_minor": 799, "placed_at": NOW - timedelta(days=1), "lines": lines, **changes}
    return SaleSpec(number=number, email=f"buyer{number}@example.com", currency="USD", **spec)


@pytest.fixture
def web() -> Iterator[HeadlessShop]:
    with headless_shop() as shop:
        shop.sandbox.add_sale(sale(2001))
        shop.sandbox.add_sale(sale(2002))
        shop.sandbox.add_sale(sale(2003, provider="bank_transfer", paid=False))
        yield shop


def lines(**quantities: int) -> tuple[LineQuantity, ...]:
    ids = {"tee": TEE, "mug": MUG}
    return tuple(LineQuantity(line_item_id=ids[name], quantity=count) for name, count in quantities.items())


def pack(web: HeadlessShop, key: str = KEY, **quantities: int) -> Receipt:
    return web.connector.pack(PAID, PackRequest(lines=lines(**quantities), token=TOKEN), key)


def ship_request(parcel: str | None, **quantities: int) -> ShipRequest:
    return ShipRequest(fulfillment_id=parcel, lines=lines(**quantities), token=TOKEN)


def parcels(web: HeadlessShop, order_id: str = PAID) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = web.sandbox.state.order(order_id)["fulfillments"]
    return found


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


# Pack


def test_a_parcel_is_packed_with_its_tracking_and_our_token(web: HeadlessShop) -> None:
    request = PackRequest(
        lines=lines(tee=1, mug=3),
        carrier="cj",
        tracking_number="640012345678",
        tracking_url="https://trace.example.com/cj/640012345678",
        token=TOKEN,
    )
    receipt = web.connector.pack(PAID, request, KEY)
    asked = web.one("POST")
    assert asked.path == f"/v1/admin/orders/{PAID}/fulfillments"
    assert asked.headers["idempotency-key"] == KEY
    assert asked.json() == {
        "lines": [{"order_line_id": TEE, "quantity": 1}, {"order_line_id": MUG, "quantity": 3}],
        "carrier": "cj",
        "tracking_number": "640012345678",
        "tracking_url": "https://trace.example.com/cj/640012345678",
        "metadata": {"ordersync": TOKEN},
    }
    assert (receipt.platform_ref, receipt.status) == ("ful_2001_1", "pending")
    order = json.loads(web.connector.fetch(PAID).payload)
    assert order["fulfillment_status"] == "partially_fulfilled"
    assert order["fulfillments"][0]["tracking_number"] == "640012345678"


def test_a_parcel_without_tracking_or_token_says_only_its_lines(web: HeadlessShop) -> None:
    web.connector.pack(PAID, PackRequest(lines=lines(tee=2)), KEY)
    assert web.one("POST").json() == {"lines": [{"order_line_id": TEE, "quantity": 2}]}


def test_our_token_comes_back_only_where_the_shop_shows_metadata() -> None:
    for shown in (True, False):
        with headless_shop(fulfillment_metadata_shown=shown) as shop:
            shop.sandbox.add_sale(sale(2001))
            pack(shop, tee=1)
            [parcel] = json.loads(shop.connector.fetch(PAID).payload)["fulfillments"]
            assert parcel.get("metadata") == ({"ordersync": TOKEN} if shown else None)
            assert shop.connector.semantics.parcel_token_field is None


def test_more_than_is_left_cannot_be_packed(web: HeadlessShop) -> None:
    pack(web, tee=1)
    error = error_of(lambda: pack(web, "k2", tee=2), *web.secrets)
    assert isinstance(error, Refused)
    assert (error.http_status, error.code, error.order) == (400, "VALIDATION_ERROR", PAID)
    assert "More than is left to fulfill" in error.message
    assert len(parcels(web)) == 1


def test_an_order_that_is_not_confirmed_or_is_cancelled_cannot_be_packed(web: HeadlessShop) -> None:
    web.sandbox.state.cancel(PAID, None)
    for order_id, line in ((PAID, TEE), (UNPAID, "ol_2003_1")):
        request = PackRequest(lines=(LineQuantity(line_item_id=line, quantity=1),))
        error = error_of(lambda order_id=order_id, request=request: web.connector.pack(order_id, request, KEY))  # type: ignore[misc]  # bound per turn
        assert isinstance(error, Refused)
        assert error.http_status == 409
        assert parcels(web, order_id) == []


def test_a_line_of_another_order_cannot_be_packed(web: HeadlessShop) -> None:
    request = PackRequest(lines=(LineQuantity(line_item_id="ol_2002_1", quantity=1),))
    error = error_of(lambda: web.connector.pack(PAID, request, KEY))
    assert isinstance(error, Refused)
    assert "Unknown order line" in error.message


def test_a_key_used_for_another_parcel_is_doubt_and_not_a_second_parcel(web: HeadlessShop) -> None:
    assert pack(web, tee=1).platform_ref == pack(web, tee=1).platform_ref
    error = error_of(lambda: pack(web, mug=1))
    assert (type(error), error.code) == (OutcomeUnknown, "answer_differs")
    assert len(parcels(web)) == 1


def test_a_cancelled_parcel_frees_its_units_for_a_new_one(web: HeadlessShop) -> None:
    first = pack(web, tee=2, mug=3).platform_ref
    assert first is not None
    web.sandbox.state.cancel_parcel(first)
    order = json.loads(web.connector.fetch(PAID).payload)
    assert order["fulfillment_status"] == "unfulfilled"
    assert [line["fulfilled_quantity"] for line in order["lines"]] == [0, 0]
    error = error_of(lambda: web.connector.ship(PAID, ship_request(first, tee=2, mug=3), "k2"))
    assert (type(error), error.code) == (Refused, "INVALID_STATE_TRANSITION")
    again = pack(web, "k3", tee=2, mug=3)
    web.connector.ship(PAID, ship_request(again.platform_ref, tee=2, mug=3), "k4")
    assert [parcel["status"] for parcel in parcels(web)] == ["cancelled", "shipped"]
    assert web.sandbox.own_parcels() == [
        (PAID, first, "cancelled", {TEE: 2, MUG: 3}, None),
        (PAID, again.platform_ref, "shipped", {TEE: 2, MUG: 3}, None),
    ]


# Ship, deliver


def test_ship_and_deliver_are_posts_without_a_body(web: HeadlessShop) -> None:
    parcel = pack(web, tee=2).platform_ref
    assert parcel is not None
    shipped = web.connector.ship(PAID, ship_request(parcel, tee=2), "k2")
    delivered = web.connector.deliver(PAID, DeliverRequest(fulfillment_id=parcel), "k3")
    assert [(r.path, r.body, r.headers["idempotency-key"]) for r in web.sandbox.requests("POST")[1:]] == [
        (f"/v1/admin/fulfillments/{parcel}/ship", b"", "k2"),
        (f"/v1/admin/fulfillments/{parcel}/deliver", b"", "k3"),
    ]
    assert (shipped.platform_ref, shipped.status) == (parcel, "shipped")
    assert (delivered.platform_ref, delivered.status) == (parcel, "delivered")
    [kept] = json.loads(web.connector.fetch(PAID).payload)["fulfillments"]
    assert kept["shipped_at"]
    assert kept["delivered_at"]


def test_shipping_and_delivering_again_is_already_done(web: HeadlessShop) -> None:
    parcel = pack(web, tee=2).platform_ref
    assert parcel is not None
    web.sandbox.state.send(parcel, "shipped")
    assert web.connector.ship(PAID, ship_request(parcel, tee=2), "k2").already_done
    web.sandbox.state.send(parcel, "delivered")
    late = web.connector.ship(PAID, ship_request(parcel, tee=2), "k3")
    assert (late.already_done, late.status) == (True, "delivered")
    assert web.connector.deliver(PAID, DeliverRequest(fulfillment_id=parcel), "k4").already_done


def test_a_shipped_parcel_with_other_contents_is_not_already_done(web: HeadlessShop) -> None:
    parcel = pack(web, tee=2).platform_ref
    assert parcel is not None
    web.sandbox.state.send(parcel, "shipped")
    error = error_of(lambda: web.connector.ship(PAID, ship_request(parcel, tee=1), "k2"))
    assert (type(error), error.code) == (Refused, "INVALID_STATE_TRANSITION")


def test_a_packed_parcel_is_not_delivered(web: HeadlessShop) -> None:
    parcel = pack(web, tee=2).platform_ref
    assert parcel is not None
    error = error_of(lambda: web.connector.deliver(PAID, DeliverRequest(fulfillment_id=parcel), "k2"))
    assert type(error) is Refused
    assert parcels(web)[0]["status"] == "pending"


def test_nothing_leaves_for_a_cancelled_order(web: HeadlessShop) -> None:
    parcel = pack(web, tee=2).platform_ref
    web.sandbox.state.cancel(PAID, None)
    error = error_of(lambda: web.connector.ship(PAID, ship_request(parcel, tee=2), "k2"))
    assert type(error) is Refused
    assert parcels(web)[0]["status"] == "pending"


def test_shipping_a_parcel_that_holds_something_else_is_doubt(web: HeadlessShop) -> None:
    parcel = pack(web, tee=2).platform_ref
    error = error_of(lambda: web.connector.ship(PAID, ship_request(parcel, tee=1), "k2"))
    assert (type(error), error.code) == (OutcomeUnknown, "answer_differs")


def test_shipping_a_parcel_of_another_order_is_doubt(web: HeadlessShop) -> None:
    web.sandbox.state.fulfill(OTHER, [("ol_2002_1", 2)])
    request = DeliverRequest(fulfillment_id="ful_2002_1")
    web.sandbox.state.send("ful_2002_1", "shipped")
    error = error_of(lambda: web.connector.deliver(PAID, request, KEY))
    assert (type(error), error.code, error.order) == (OutcomeUnknown, "answer_differs", PAID)


def test_an_unknown_parcel_is_refused(web: HeadlessShop) -> None:
    error = error_of(lambda: web.connector.ship(PAID, ship_request("ful_9", tee=1), KEY))
    assert isinstance(error, Refused)
    assert error.http_status == 404


@pytest.mark.parametrize(
    "call, code",
    [
        (
            lambda c: c.pack(PAID, PackRequest(lines=lines(tee=1), notify_buyer=True), KEY),
            "pack_notify_unsupported",
        ),
        (lambda c: c.ship(PAID, ship_request(None, tee=1), KEY), "ship_fulfillment_id_unsupported"),
        (
            lambda c: c.ship(PAID, ShipRequest(fulfillment_id="f", lines=lines(tee=1), tracking_number="1"), KEY),
            "ship_tracking_unsupported",
        ),
        (
            lambda c: c.ship(PAID, ShipRequest(fulfillment_id="f", lines=lines(tee=1), notify_buyer=True), KEY),
            "ship_notify_unsupported",
        ),
        (
            lambda c: c.refund(PAID, RefundRequest(amount=usd(5), lines=lines(tee=1), shipping=usd(1)), KEY),
            "refund_shipping_unsupported",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_before_sending(
    web: HeadlessShop, call: Callable[[Any], Receipt], code: str
) -> None:
    error = error_of(lambda: call(web.connector))
    assert (type(error), error.code, error.order) == (Refused, code, PAID)
    assert web.sandbox.requests() == []


# Refund by line


def test_a_refund_by_line_sends_lines_and_their_amount_together(web: HeadlessShop) -> None:
    request = RefundRequest(amount=usd(4967), lines=lines(tee=1, mug=2), restock=True, reason="hole", token=TOKEN)
    receipt = web.connector.refund(PAID, request, KEY)
    assert web.one("POST").json() == {
        "amount": 4967,
        "reason": f"hole {TOKEN}",
        "restock": True,
        "lines": [{"order_line_id": TEE, "quantity": 1}, {"order_line_id": MUG, "quantity": 2}],
    }
    assert receipt.platform_ref == "ref_2001_1"
    order = json.loads(web.connector.fetch(PAID).payload)
    assert [line["refunded_quantity"] for line in order["lines"]] == [1, 2]
    assert order["refunds"][0]["lines"] == web.one("POST").json()["lines"]
    assert [(variant, count) for _, variant, count in web.sandbox.state.restocked] == [
        ("var_tee-m", 1),
        ("var_mug", 2),
    ]


def test_a_refund_by_line_may_leave_its_amount_to_the_platform_which_must_find_the_same(web: HeadlessShop) -> None:
    connector = web.connect(refund_send_amount_with_lines=False)
    connector.refund(PAID, RefundRequest(amount=usd(1795), lines=lines(tee=1)), KEY)
    assert "amount" not in web.one("POST").json()
    error = error_of(lambda: connector.refund(PAID, RefundRequest(amount=usd(1700), lines=lines(tee=1)), "k2"))
    assert (type(error), error.code) == (OutcomeUnknown, "answer_differs")


def test_a_platform_that_wants_lines_takes_a_refund_by_line() -> None:
    with headless_shop(refund_lines_required=True) as shop:
        shop.sandbox.add_sale(sale(2001))
        request = RefundRequest(amount=usd(1795), lines=lines(tee=1))
        assert shop.connector.refund(PAID, request, KEY).status == "completed"


def test_more_units_than_are_left_cannot_be_refunded(web: HeadlessShop) -> None:
    web.connector.refund(PAID, RefundRequest(amount=usd(1795), lines=lines(tee=1)), KEY)
    again = RefundRequest(amount=usd(100), lines=lines(tee=2))
    error = error_of(lambda: web.connector.refund(PAID, again, "k2"))
    assert isinstance(error, Refused)
    assert "More than is left to refund" in error.message
    assert len(web.sandbox.own_refunds()) == 1


def test_a_key_used_for_a_refund_of_other_lines_is_doubt(web: HeadlessShop) -> None:
    web.connector.refund(PAID, RefundRequest(amount=usd(900), lines=lines(mug=1)), KEY)
    error = error_of(lambda: web.connector.refund(PAID, RefundRequest(amount=usd(900), lines=lines(tee=1)), KEY))
    assert (type(error), error.code) == (OutcomeUnknown, "answer_differs")
    assert len(web.sandbox.own_refunds()) == 1


# Progress


def test_an_order_is_moved_on_one_step_at_a_time(web: HeadlessShop) -> None:
    web.sandbox.state.complete_payment("pay_2003_1")
    assert type(error_of(lambda: web.connector.process(UNPAID, "k0"))) is Refused
    statuses = [
        web.connector.confirm(UNPAID, "k1").status,
        web.connector.process(UNPAID, "k2").status,
        web.connector.complete(UNPAID, "k3").status,
    ]
    assert statuses == ["confirmed", "processing", "completed"]
    posts = web.sandbox.requests("POST")[1:]
    assert [(r.path, r.body, r.headers["idempotency-key"]) for r in posts] == [
        (f"/v1/admin/orders/{UNPAID}/confirm", b"", "k1"),
        (f"/v1/admin/orders/{UNPAID}/process", b"", "k2"),
        (f"/v1/admin/orders/{UNPAID}/complete", b"", "k3"),
    ]


def test_a_step_taken_already_is_already_done_and_one_that_is_passed_is_refused(web: HeadlessShop) -> None:
    assert web.connector.confirm(PAID, "k1").already_done
    web.connector.process(PAID, "k2")
    assert web.connector.process(PAID, "k3").already_done
    assert type(error_of(lambda: web.connector.confirm(PAID, "k4"))) is Refused


# Failures on the way

WRITES: dict[str, Callable[[HeadlessShop], Receipt]] = {
    "pack": lambda web: pack(web, mug=1),
    "ship": lambda web: web.connector.ship(PAID, ship_request("ful_2001_1", tee=1), KEY),
    "deliver": lambda web: web.connector.deliver(PAID, DeliverRequest(fulfillment_id="ful_2001_2"), KEY),
    "refund": lambda web: web.connector.refund(PAID, RefundRequest(amount=usd(100), lines=lines(tee=1)), KEY),
    "confirm": lambda web: web.connector.confirm(UNPAID, KEY),
    "process": lambda web: web.connector.process(PAID, KEY),
}


@pytest.fixture
def ready(web: HeadlessShop) -> HeadlessShop:
    """One packed and one shipped parcel."""
    web.sandbox.state.fulfill(PAID, [(TEE, 1)])
    web.sandbox.state.fulfill(PAID, [(TEE, 1)])
    web.sandbox.state.send("ful_2001_2", "shipped")
    return web


def effects(web: HeadlessShop) -> int:
    """How many of the six writes have had their effect."""
    steps = {PAID: "processing", UNPAID: "confirmed"}
    moved = [order_id for order_id, word in steps.items() if web.sandbox.state.order(order_id)["status"] == word]
    packed, shipped, *more = (str(parcel["status"]) for parcel in parcels(web))
    changed = int(packed != "pending") + int(shipped != "shipped") + len(more)
    return len(moved) + changed + len(web.sandbox.own_refunds())


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
def test_a_write_that_failed_before_acting_is_doubt_too(ready: HeadlessShop, name: str, kind: Any) -> None:
    ready.sandbox.add_fault(Fault(kind, method="POST", times=99))
    assert type(error_of(lambda: WRITES[name](ready), *ready.secrets)) is OutcomeUnknown
    assert len(ready.sandbox.requests()) == 1
    assert effects(ready) == 0


@pytest.mark.parametrize("name", WRITES)
def test_a_429_or_no_connection_means_not_done(ready: HeadlessShop, name: str) -> None:
    ready.sandbox.add_fault(Fault("429", method="POST", retry_after_s=7))
    assert isinstance(error_of(lambda: WRITES[name](ready)), Transient)
    assert len(ready.sandbox.requests()) == 1
    ready.server.stop()
    assert error_of(lambda: WRITES[name](ready), *ready.secrets).code == "no_connection"
    assert effects(ready) == 0


@pytest.mark.parametrize("name", ["ship", "deliver", "confirm", "process"])
def test_only_a_204_may_come_without_a_body(
    ready: HeadlessShop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.sandbox.add_fault(Fault("empty_200", method="POST"))
    assert type(error_of(lambda: WRITES[name](ready))) is OutcomeUnknown
    assert effects(ready) == 1
    monkeypatch.setattr(ready.sandbox, "_dispatch", lambda _request: Reply(204))
    receipt = WRITES[name](ready)
    assert (receipt.status, receipt.already_done) == (None, False)


@pytest.mark.parametrize("name", ["ship", "deliver", "confirm", "process"])
@pytest.mark.parametrize("body", [{}, {"id": "another"}, []])
def test_an_answer_about_something_else_is_doubt(
    ready: HeadlessShop, name: str, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready.sandbox, "_dispatch", lambda _request: Reply(200, body))
    assert type(error_of(lambda: WRITES[name](ready))) is OutcomeUnknown


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, []])
def test_an_answer_to_pack_that_names_no_parcel_is_doubt(
    web: HeadlessShop, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    monkeypatch.setattr(web.sandbox, "_dispatch", lambda _request: Reply(201, body))
    assert type(error_of(lambda: pack(web, tee=1))) is OutcomeUnknown


def test_a_wrong_key_is_unauthorized_and_did_nothing(ready: HeadlessShop) -> None:
    connector = ready.connect(api_key="sk_live_wrong")
    request = PackRequest(lines=lines(mug=1))
    assert type(error_of(lambda: connector.pack(PAID, request, KEY), "sk_live_wrong")) is Unauthorized
    assert effects(ready) == 0
