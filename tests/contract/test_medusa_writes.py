"""Medusa connector's writes against its sandbox: the wire, the receipts, and what a refusal proves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.medusa_shop import SECRETS, MedusaShop, medusa_shop

from ordersync.connector import CancelRequest, CaptureRequest, RefundRequest, Window
from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.model import Money
from ordersync.testing.sandbox import Fault, Reply

KEY = "action-1"


@pytest.fixture
def office() -> Iterator[MedusaShop]:
    with medusa_shop() as shop:
        yield shop


@pytest.fixture(params=["medusa", "style"])
def either(request: pytest.FixtureRequest) -> Iterator[MedusaShop]:
    with medusa_shop(request.param) as shop:
        yield shop


def money(text: str) -> Money:
    return Money.parse(text)


def refund_of(shop: MedusaShop, order_id: str, amount: str = "5.00 USD", **more: Any) -> RefundRequest:
    payment_id = shop.sandbox.payment_of(order_id).id
    return RefundRequest(**{"amount": money(amount), "payment_id": payment_id, "token": "os-abcdefgh", **more})


def notes(shop: MedusaShop) -> list[tuple[int, str | None]]:
    return [(minor, note) for _, _, minor, _, _, note in shop.sandbox.own_refunds()]


# refund


def test_a_refund_writes_an_exact_number_and_a_note_with_our_token(either: MedusaShop) -> None:
    order = either.sale()
    receipt = either.connector.refund(order.id, refund_of(either, order.id, "32.45 USD", reason="damaged"), KEY)
    sent = either.one("POST")
    payment_id = either.sandbox.payment_of(order.id).id
    assert sent.path == f"/admin/payments/{payment_id}/refund"
    assert sent.body == b'{"amount":32.45,"note":"damaged os-abcdefgh"}'
    assert "idempotency-key" not in sent.headers
    [(order_id, refund_id, minor, currency, status, note)] = either.sandbox.own_refunds()
    assert receipt.platform_ref == refund_id
    assert (order_id, minor, currency, status) == (order.id, 3245, "USD", "completed")
    assert note == "damaged os-abcdefgh"


@pytest.mark.parametrize("currency, text, wire", [("KRW", "28000 KRW", b"28000"), ("USD", "0.07 USD", b"0.07")])
def test_amounts_have_the_digits_of_their_currency(
    either: MedusaShop, currency: str, text: str, wire: bytes
) -> None:
    order = either.sale(cents=28000, currency=currency)
    either.connector.refund(order.id, refund_of(either, order.id, text), KEY)
    assert either.one("POST").body.startswith(b'{"amount":' + wire + b",")


def test_the_receipt_names_our_refund_and_not_an_older_equal_one(either: MedusaShop) -> None:
    order = either.sale()
    by_hand = either.sandbox.refund(order.id, Decimal(5), "by hand")
    receipt = either.connector.refund(order.id, refund_of(either, order.id), KEY)
    assert receipt.platform_ref not in (None, by_hand)
    assert notes(either) == [(500, "by hand"), (500, "os-abcdefgh")]


def test_what_cannot_be_said_to_medusa_is_refused_before_sending(either: MedusaShop) -> None:
    order = either.sale()
    wrong: dict[str, Callable[[], object]] = {
        "payment_required": lambda: either.connector.refund(
            order.id, refund_of(either, order.id, payment_id=None), KEY
        ),
        "lines_not_possible": lambda: either.connector.refund(
            order.id, refund_of(either, order.id, shipping=money("1.00 USD")), KEY
        ),
        "restock_not_possible": lambda: either.connector.refund(
            order.id, refund_of(either, order.id, restock=True), KEY
        ),
        "amount_not_positive": lambda: either.connector.refund(
            order.id, refund_of(either, order.id, "0.00 USD"), KEY
        ),
        "amount_not_possible": lambda: either.connector.cancel(
            order.id, CancelRequest(amount=money("1.00 USD")), KEY
        ),
    }
    for code, call in wrong.items():
        error = error_of(call)
        assert isinstance(error, Refused)
        assert (error.code, error.order) == (code, order.id)
    assert either.sandbox.requests("POST") == []


def test_more_than_was_captured_is_refused_and_nothing_happened(either: MedusaShop) -> None:
    order = either.sale()
    error = error_of(lambda: either.connector.refund(order.id, refund_of(either, order.id, "33.00 USD"), KEY))
    assert isinstance(error, Refused)
    assert "more than the captured amount" in error.message
    assert error.http_status == 400
    assert notes(either) == []


def test_one_smallest_unit_too_much_is_accepted_by_the_platform(office: MedusaShop) -> None:
    order = office.sale()
    office.connector.refund(order.id, refund_of(office, order.id, "32.46 USD"), KEY)
    assert notes(office) == [(3246, "os-abcdefgh")]


def test_the_same_refund_twice_is_two_refunds(either: MedusaShop) -> None:
    order = either.sale()
    for _ in range(2):
        either.connector.refund(order.id, refund_of(either, order.id), KEY)
    assert notes(either) == [(500, "os-abcdefgh")] * 2


def test_a_refusal_for_an_open_order_change_is_doubt_because_it_has_refunded(office: MedusaShop) -> None:
    order = office.sale()
    office.sandbox.begin_order_edit(order.id)
    before = order.updated_at
    error = error_of(lambda: office.connector.refund(order.id, refund_of(office, order.id), KEY), *SECRETS)
    assert isinstance(error, OutcomeUnknown)
    assert error.code == "refused_after_acting"
    assert notes(office) == [(500, "os-abcdefgh")]
    assert order.updated_at == before


def test_a_refusal_nobody_has_measured_is_doubt_for_money_and_a_refusal_elsewhere(office: MedusaShop) -> None:
    order = office.sale()
    unknown = office.connector
    office.sandbox.over_quota = lambda request, fault: teapot()  # type: ignore[method-assign]  # an answer of its own
    office.sandbox.add_fault(Fault("429", "POST", times=3))
    assert isinstance(error_of(lambda: unknown.refund(order.id, refund_of(office, order.id), KEY)), OutcomeUnknown)
    assert isinstance(error_of(lambda: unknown.cancel(order.id, CancelRequest(), KEY)), OutcomeUnknown)
    assert isinstance(error_of(lambda: unknown.complete(order.id, KEY)), Refused)


def teapot() -> Reply:
    return Reply(409, {"type": "conflict", "code": "invalid_state_error", "message": "The request conflicted"})


def test_a_refund_of_an_unknown_payment_is_refused(office: MedusaShop) -> None:
    order = office.sale()
    request = refund_of(office, order.id, payment_id="pay_unknown")
    error = error_of(lambda: office.connector.refund(order.id, request, KEY))
    assert isinstance(error, Refused)
    assert error.http_status == 404


# cancel


def test_a_cancel_has_no_body_and_pays_back_the_rest_without_a_note(either: MedusaShop) -> None:
    order = either.sale()
    either.sandbox.refund(order.id, Decimal(5), "by hand")
    either.connector.cancel(order.id, CancelRequest(reason="changed mind", token="os-abcdefgh"), KEY)
    sent = either.one("POST")
    assert (sent.path, sent.body) == (f"/admin/orders/{order.id}/cancel", b"")
    assert notes(either) == [(500, "by hand"), (2745, None)]
    [(cancelled_id, _, reason)] = either.sandbox.own_cancels()
    assert (cancelled_id, reason) == (order.id, None)


def test_a_cancel_voids_what_was_only_authorised(either: MedusaShop) -> None:
    order = either.sale(paid=False)
    either.connector.cancel(order.id, CancelRequest(), KEY)
    assert either.sandbox.payment_of(order.id).canceled_at is not None
    assert notes(either) == []


def test_an_order_cancelled_already_is_success_and_is_looked_at(either: MedusaShop) -> None:
    order = either.sale()
    either.sandbox.cancel(order.id)
    receipt = either.connector.cancel(order.id, CancelRequest(), KEY)
    assert receipt.already_done
    assert len(either.sandbox.own_refunds()) == 1
    either.one("GET", f"/admin/orders/{order.id}$")


def test_a_cancel_refused_for_an_open_order_change_is_doubt_because_it_has_refunded(office: MedusaShop) -> None:
    order = office.sale()
    office.sandbox.begin_order_edit(order.id)
    error = error_of(lambda: office.connector.cancel(order.id, CancelRequest(), KEY))
    assert isinstance(error, OutcomeUnknown)
    assert order.status == "pending"
    assert notes(office) == [(3245, None)]


def test_a_completed_or_packed_order_cannot_be_cancelled(either: MedusaShop) -> None:
    done, packed = either.sale(1), either.sale(2)
    either.sandbox.state.complete(done.id)
    either.sandbox.fulfil(packed.id)
    for order, said in ((done, "Cannot cancel a completed order"), (packed, "All fulfillments must be canceled")):
        error = error_of(lambda order=order: either.connector.cancel(order.id, CancelRequest(), KEY))  # type: ignore[misc]  # bound per turn
        assert isinstance(error, Refused)
        assert said in error.message
    assert notes(either) == []


# capture, complete, archive


def test_a_capture_takes_a_part_and_then_the_named_rest(either: MedusaShop) -> None:
    order = either.sale(paid=False)
    payment = either.sandbox.payment_of(order.id)
    part = CaptureRequest(payment_id=payment.id, amount=money("20.00 USD"))
    assert either.connector.capture(order.id, part, KEY).platform_ref == payment.id
    assert either.one("POST").body == b'{"amount":20}'
    error = error_of(lambda: either.connector.capture(order.id, CaptureRequest(payment_id=payment.id), KEY))
    assert isinstance(error, Refused)
    rest = CaptureRequest(payment_id=payment.id, amount=money("12.45 USD"))
    either.connector.capture(order.id, rest, KEY)
    assert payment.captured == Decimal("32.45")


def test_a_whole_capture_sends_no_amount_and_may_be_repeated(either: MedusaShop) -> None:
    order = either.sale(paid=False)
    request = CaptureRequest(payment_id=either.sandbox.payment_of(order.id).id)
    for _ in range(2):
        either.connector.capture(order.id, request, KEY)
    assert [r.body for r in either.sandbox.requests("POST")] == [b"{}", b"{}"]
    assert len(either.sandbox.payment_of(order.id).captures) == 1


def test_a_capture_must_name_its_payment(either: MedusaShop) -> None:
    error = error_of(lambda: either.connector.capture(either.sale().id, CaptureRequest(), KEY))
    assert (type(error), error.code) == (Refused, "payment_required")


def test_complete_then_archive(office: MedusaShop) -> None:
    order = office.sale()
    early = error_of(lambda: office.connector.archive(order.id, KEY))
    assert isinstance(early, Refused)
    assert "cannot be archived" in early.message
    assert office.connector.complete(order.id, KEY).status == "completed"
    assert office.connector.archive(order.id, KEY).status == "archived"
    assert [r.body for r in office.sandbox.requests("POST")] == [b""] * 3


# what a failure on the way proves


@pytest.mark.parametrize(
    "kind, error_type, refunds",
    [
        ("429", Transient, 0),
        ("500_before", OutcomeUnknown, 0),
        ("500_after", OutcomeUnknown, 1),
        ("502_html", OutcomeUnknown, 0),
        ("cut_before", OutcomeUnknown, 0),
        ("cut_after", OutcomeUnknown, 1),
        ("torn_body", OutcomeUnknown, 1),
        ("empty_200", OutcomeUnknown, 1),
    ],
)
@pytest.mark.parametrize("call", ["refund", "cancel"])
def test_a_write_is_sent_once_whatever_comes_back(
    either: MedusaShop, call: str, kind: Any, error_type: type[Exception], refunds: int
) -> None:
    order = either.sale()
    either.sandbox.add_fault(Fault(kind, "POST", times=2))
    writes: dict[str, Callable[[], object]] = {
        "refund": lambda: either.connector.refund(order.id, refund_of(either, order.id), KEY),
        "cancel": lambda: either.connector.cancel(order.id, CancelRequest(), KEY),
    }
    error = error_of(writes[call], *SECRETS, "buyer1@example.com")
    assert type(error) is error_type
    assert len(either.sandbox.requests("POST")) == 1
    assert len(either.sandbox.own_refunds()) == refunds


def test_a_write_that_cannot_connect_certainly_did_not_happen(office: MedusaShop) -> None:
    order = office.sale()
    office.server.stop()
    error = error_of(lambda: office.connector.cancel(order.id, CancelRequest(), KEY), *SECRETS)
    assert (type(error), error.code) == (Transient, "no_connection")


def test_a_write_with_a_refused_key_is_unauthorized(office: MedusaShop) -> None:
    order = office.sale()
    stranger = office.connect(token="sk_" + "00" * 32)
    error = error_of(lambda: stranger.cancel(order.id, CancelRequest(), KEY), "sk_00")
    assert isinstance(error, Unauthorized)


def test_a_refund_may_be_invisible_for_a_while(office: MedusaShop) -> None:
    order = office.sale()
    office.sandbox.add_fault(Fault("late_visibility", "POST", seconds=0.4))
    office.connector.refund(order.id, refund_of(office, order.id), KEY)
    assert b'"refunds":[]' in office.connector.fetch(order.id).payload
    assert len(office.sandbox.own_refunds()) == 1


# the ten calls of the description


def test_the_ten_calls_of_the_description_are_on_the_wire_as_it_says() -> None:
    with medusa_shop("style") as shop:
        order, other = shop.sale(1, paid=False), shop.sale(2)
        payment_id = shop.sandbox.payment_of(order.id).id
        asked = shop.connector
        asked.pull("orders", Window(), None)
        asked.fetch(order.id)
        asked.payments()
        asked.payment_providers()
        asked.payment(payment_id)
        asked.capture(order.id, CaptureRequest(payment_id=payment_id), KEY)
        asked.refund(order.id, refund_of(shop, order.id), KEY)
        asked.complete(order.id, KEY)
        asked.archive(order.id, KEY)
        asked.cancel(other.id, CancelRequest(), KEY)
        assert [(r.method, r.path, r.body) for r in shop.sandbox.requests()] == [
            ("GET", "/admin/orders", b""),
            ("GET", f"/admin/orders/{order.id}", b""),
            ("GET", "/admin/payments", b""),
            ("GET", "/admin/payments/payment-providers", b""),
            ("GET", f"/admin/payments/{payment_id}", b""),
            ("POST", f"/admin/payments/{payment_id}/capture", b"{}"),
            ("POST", f"/admin/payments/{payment_id}/refund", b'{"amount":5,"note":"os-abcdefgh"}'),
            ("POST", f"/admin/orders/{order.id}/complete", b""),
            ("POST", f"/admin/orders/{order.id}/archive", b""),
            ("POST", f"/admin/orders/{other.id}/cancel", b""),
        ]
        assert {name for r in shop.sandbox.requests() for name, _ in r.query} == {"limit", "offset"}
