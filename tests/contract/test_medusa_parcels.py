"""Medusa's parcels over real HTTP: packed, shipped with labels, delivered; what refuses, and what is doubt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ordersync_connectors.medusa.sandbox_records import Order
from tests.contract.common import error_of
from tests.contract.medusa_shop import NOW, SECRETS, MedusaShop, medusa_shop

from ordersync.bootstrap import mappings_of, normaliser, profile_of
from ordersync.connector import (
    DeliverRequest,
    LineQuantity,
    PackRequest,
    RawOrder,
    Receipt,
    RefundRequest,
    ShipRequest,
)
from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.model import Fulfillment, FulfillmentState, Money
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Fault, Reply

KEY = "action-1"
TOKEN = "os-abcdefgh"


@pytest.fixture
def office() -> Iterator[MedusaShop]:
    with medusa_shop() as shop:
        yield shop


@pytest.fixture
def order(office: MedusaShop) -> Order:
    """Two tees and three mugs, paid."""
    lines = (SaleLine("TEE-M", "T-Shirt", 2, 1795), SaleLine("MUG", "Mug", 3, 900))
    spec = SaleSpec(
        number=1, email="buyer1@example.com", currency="USD", lines=lines, shipping_minor=799, placed_at=NOW
    )
    return office.sandbox.add_sale(spec)


def lines(order: Order, **quantities: int) -> tuple[LineQuantity, ...]:
    ids = {"tee": order.items[0].id, "mug": order.items[1].id}
    return tuple(LineQuantity(line_item_id=ids[name], quantity=count) for name, count in quantities.items())


def pack(office: MedusaShop, order: Order, token: str | None = TOKEN, **quantities: int) -> str:
    receipt = office.connector.pack(order.id, PackRequest(lines=lines(order, **quantities), token=token), KEY)
    assert receipt.platform_ref is not None
    return receipt.platform_ref


def ship_request(order: Order, parcel: str | None, number: str | None = None, **quantities: int) -> ShipRequest:
    return ShipRequest(
        fulfillment_id=parcel, lines=lines(order, **quantities), tracking_number=number, token=TOKEN
    )


def as_read(office: MedusaShop, order: Order) -> tuple[Fulfillment, ...]:
    """The parcels as the canonical order has them."""
    raw: RawOrder = office.connector.fetch(order.id)
    profile = profile_of("office", office.connector._settings)
    parcels = normaliser(mappings_of("medusa")[0], profile)(raw).order.fulfillments
    assert parcels is not None
    return parcels


# Pack


def test_a_parcel_is_packed_silently_with_our_token_and_read_back(office: MedusaShop, order: Order) -> None:
    before = order.updated_at, order.version
    parcel = pack(office, order, tee=1, mug=3)
    asked = office.one("POST")
    assert asked.path == f"/admin/orders/{order.id}/fulfillments"
    assert asked.json() == {
        "items": [{"id": order.items[0].id, "quantity": 1}, {"id": order.items[1].id, "quantity": 3}],
        "no_notification": True,
        "metadata": {"ordersync": TOKEN},
    }
    [kept] = as_read(office, order)
    assert (kept.id, kept.status, kept.note) == (parcel, FulfillmentState.PACKED, TOKEN)
    assert kept.note == getattr(kept, office.connector.semantics.parcel_token_field or "")
    assert {line.line_item_id: line.quantity for line in kept.lines or ()} == {
        order.items[0].id: 1,
        order.items[1].id: 3,
    }
    assert order.updated_at > before[0]
    assert order.version == before[1] + 1


def test_the_buyer_is_told_only_when_asked(office: MedusaShop, order: Order) -> None:
    office.connector.pack(order.id, PackRequest(lines=lines(order, tee=1), notify_buyer=True), KEY)
    assert office.one("POST").json() == {
        "items": [{"id": order.items[0].id, "quantity": 1}],
        "no_notification": False,
    }


def test_the_receipt_names_our_parcel_and_not_an_equal_one_by_hand(office: MedusaShop, order: Order) -> None:
    by_hand = office.sandbox.fulfil(order.id, [(order.items[1].id, 1)])
    ours = pack(office, order, mug=1)
    assert ours != by_hand
    without_token = pack(office, order, None, mug=1)
    assert without_token not in (ours, by_hand)
    assert [parcel.note for parcel in as_read(office, order)] == [None, TOKEN, None]


def test_more_than_is_left_cannot_be_packed(office: MedusaShop, order: Order) -> None:
    pack(office, order, tee=1)
    error = error_of(lambda: pack(office, order, tee=2), *SECRETS)
    assert isinstance(error, Refused)
    assert "Cannot fulfill more items than ordered" in error.message
    assert len(order.fulfillments) == 1


def test_a_cancelled_order_and_one_with_an_open_change_cannot_be_packed(office: MedusaShop, order: Order) -> None:
    office.sandbox.begin_order_edit(order.id)
    assert type(error_of(lambda: pack(office, order, tee=1))) is Refused
    office.sandbox.drop_order_edit(order.id)
    office.sandbox.cancel(order.id)
    error = error_of(lambda: pack(office, order, tee=1))
    assert isinstance(error, Refused)
    assert "has been canceled" in error.message
    assert order.fulfillments == []


def test_a_line_of_another_order_cannot_be_packed(office: MedusaShop, order: Order) -> None:
    other = office.sale(2)
    request = PackRequest(lines=(LineQuantity(line_item_id=other.items[0].id, quantity=1),))
    error = error_of(lambda: office.connector.pack(order.id, request, KEY))
    assert isinstance(error, Refused)
    assert "does not exist in order" in error.message


def test_a_cancelled_parcel_frees_its_units_and_cannot_be_shipped(office: MedusaShop, order: Order) -> None:
    first = pack(office, order, tee=2, mug=3)
    office.sandbox.state.cancel_fulfillment(order.id, first)
    error = error_of(lambda: office.connector.ship(order.id, ship_request(order, first, tee=2, mug=3), KEY))
    assert isinstance(error, Refused)
    assert "canceled fulfillment" in error.message
    second = pack(office, order, tee=2, mug=3)
    office.connector.ship(order.id, ship_request(order, second, tee=2, mug=3), KEY)
    states = [parcel.status for parcel in as_read(office, order)]
    assert states == [FulfillmentState.CANCELLED, FulfillmentState.SHIPPED]
    assert order.fulfillment_status() == "shipped"


# Ship, deliver


def test_a_shipment_has_a_label_with_all_three_keys(office: MedusaShop, order: Order) -> None:
    parcel = pack(office, order, tee=2)
    request = ShipRequest(
        fulfillment_id=parcel,
        lines=lines(order, tee=2),
        carrier="cj",
        tracking_number="640012345678",
        tracking_url="https://trace.example.com/640012345678",
    )
    receipt = office.connector.ship(order.id, request, KEY)
    asked = office.sandbox.requests("POST")[1]
    assert asked.path == f"/admin/orders/{order.id}/fulfillments/{parcel}/shipments"
    assert asked.json() == {
        "items": [{"id": order.items[0].id, "quantity": 2}],
        "no_notification": True,
        "labels": [
            {
                "tracking_number": "640012345678",
                "tracking_url": "https://trace.example.com/640012345678",
                "label_url": "",
            }
        ],
    }
    assert (receipt.platform_ref, receipt.status, receipt.already_done) == (parcel, "shipped", False)
    [kept] = as_read(office, order)
    assert (kept.status, kept.tracking_numbers) == (FulfillmentState.SHIPPED, ("640012345678",))
    assert order.fulfillment_status() == "partially_shipped"
    waiting = pack(office, order, mug=1)
    assert office.sandbox.own_parcels() == [
        (order.id, parcel, "shipped", {order.items[0].id: 2}, "640012345678"),
        (order.id, waiting, "packed", {order.items[1].id: 1}, None),
    ]


def test_a_shipment_without_tracking_has_no_label(office: MedusaShop, order: Order) -> None:
    parcel = pack(office, order, tee=2)
    office.connector.ship(order.id, ship_request(order, parcel, tee=2), KEY)
    assert "labels" not in office.sandbox.requests("POST")[1].json()


def test_a_number_without_a_url_sends_an_empty_url(office: MedusaShop, order: Order) -> None:
    parcel = pack(office, order, tee=2)
    office.connector.ship(order.id, ship_request(order, parcel, "T1", tee=2), KEY)
    [label] = office.sandbox.requests("POST")[1].json()["labels"]
    assert label == {"tracking_number": "T1", "tracking_url": "", "label_url": ""}


def test_a_delivery_has_an_empty_body_and_moves_the_parcel_on(office: MedusaShop, order: Order) -> None:
    parcel = pack(office, order, tee=2, mug=3)
    office.connector.ship(order.id, ship_request(order, parcel, tee=2, mug=3), KEY)
    receipt = office.connector.deliver(order.id, DeliverRequest(fulfillment_id=parcel), KEY)
    asked = office.sandbox.requests("POST")[2]
    assert asked.path == f"/admin/orders/{order.id}/fulfillments/{parcel}/mark-as-delivered"
    assert asked.body == b"{}"
    assert (receipt.platform_ref, receipt.status) == (parcel, "delivered")
    assert [one.status for one in as_read(office, order)] == [FulfillmentState.DELIVERED]
    assert office.connector.deliver(order.id, DeliverRequest(fulfillment_id=parcel), KEY).already_done


def test_a_parcel_shipped_before_is_already_done_only_with_its_lines_and_tracking(
    office: MedusaShop, order: Order
) -> None:
    parcel = pack(office, order, tee=2)
    office.sandbox.ship(order.id, parcel, "T1")
    for request in (ship_request(order, parcel, "T1", tee=2), ship_request(order, parcel, tee=2)):
        assert office.connector.ship(order.id, request, KEY).already_done
    for request in (ship_request(order, parcel, "T2", tee=2), ship_request(order, parcel, "T1", tee=1)):
        error = error_of(lambda request=request: office.connector.ship(order.id, request, KEY))  # type: ignore[misc]  # bound per turn
        assert isinstance(error, Refused)
        assert "already been created" in error.message
    assert len(order.fulfillments[0].labels) == 1


def test_a_parcel_shipped_before_whose_order_cannot_be_read_stays_refused(
    office: MedusaShop, order: Order
) -> None:
    parcel = pack(office, order, tee=2)
    office.sandbox.ship(order.id, parcel, "T1")
    office.sandbox.add_fault(Fault("500_before", "GET", times=99))
    error = error_of(lambda: office.connector.ship(order.id, ship_request(order, parcel, "T1", tee=2), KEY))
    assert type(error) is Refused


def test_shipping_a_parcel_that_holds_something_else_is_doubt(office: MedusaShop, order: Order) -> None:
    """The platform ships the parcel whole, whatever lines the call names."""
    parcel = pack(office, order, tee=2)
    error = error_of(lambda: office.connector.ship(order.id, ship_request(order, parcel, tee=1), KEY))
    assert (type(error), error.code) == (OutcomeUnknown, "not_as_asked")
    assert order.fulfillments[0].shipped_at is not None


@pytest.mark.parametrize("call", ["ship", "deliver"])
def test_an_open_order_change_stops_a_parcel_and_nothing_has_moved(
    office: MedusaShop, order: Order, call: str
) -> None:
    parcel = pack(office, order, tee=2)
    office.sandbox.begin_order_edit(order.id)
    calls: dict[str, Callable[[], Receipt]] = {
        "ship": lambda: office.connector.ship(order.id, ship_request(order, parcel, tee=2), KEY),
        "deliver": lambda: office.connector.deliver(order.id, DeliverRequest(fulfillment_id=parcel), KEY),
    }
    error = error_of(calls[call])
    assert (type(error), error.order) == (Refused, order.id)
    assert (order.fulfillments[0].shipped_at, order.fulfillments[0].delivered_at) == (None, None)


def test_an_unknown_parcel_is_refused(office: MedusaShop, order: Order) -> None:
    error = error_of(lambda: office.connector.ship(order.id, ship_request(order, "ful_0", tee=2), KEY))
    assert isinstance(error, Refused)
    assert error.http_status == 404


def test_what_cannot_be_said_is_refused_before_sending(office: MedusaShop, order: Order) -> None:
    packed = PackRequest(lines=lines(order, tee=1), tracking_number="T1")
    refund = RefundRequest(
        amount=Money.parse("5.00 USD"), payment_id=order.payments[0].id, lines=lines(order, tee=1)
    )
    wrong: dict[str, Callable[[], Receipt]] = {
        "tracking_not_possible": lambda: office.connector.pack(order.id, packed, KEY),
        "parcel_required": lambda: office.connector.ship(order.id, ship_request(order, None, tee=1), KEY),
        "lines_not_possible": lambda: office.connector.refund(order.id, refund, KEY),
    }
    for code, call in wrong.items():
        error = error_of(call)
        assert isinstance(error, Refused)
        assert (error.code, error.order) == (code, order.id)
    assert office.sandbox.requests("POST") == []


def test_the_bare_dialect_says_that_it_has_no_parcels() -> None:
    with medusa_shop("style") as shop:
        told = shop.connector.semantics
        assert (told.ship_needs_pack, told.tracking, told.deliver, told.parcel_token_field) == (
            False,
            False,
            False,
            None,
        )
        assert told.refund_by == {"amount"}


# Failures on the way

WRITES = ("pack", "ship", "deliver")


def write(office: MedusaShop, order: Order, name: str) -> Receipt:
    packed, shipped = order.fulfillments[:2]
    calls: dict[str, Callable[[], Receipt]] = {
        "pack": lambda: office.connector.pack(order.id, PackRequest(lines=lines(order, mug=1), token=TOKEN), KEY),
        "ship": lambda: office.connector.ship(order.id, ship_request(order, packed.id, "T1", tee=1), KEY),
        "deliver": lambda: office.connector.deliver(order.id, DeliverRequest(fulfillment_id=shipped.id), KEY),
    }
    return calls[name]()


@pytest.fixture
def ready(office: MedusaShop, order: Order) -> MedusaShop:
    """One packed and one shipped parcel."""
    tee = order.items[0].id
    office.sandbox.fulfil(order.id, [(tee, 1)])
    office.sandbox.ship(order.id, office.sandbox.fulfil(order.id, [(tee, 1)]), "T0")
    return office


def effects(order: Order) -> int:
    packed, shipped, *more = order.fulfillments
    return (packed.shipped_at is not None) + (shipped.delivered_at is not None) + len(more)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", ["500_after", "cut_after", "torn_body", "empty_200"])
def test_a_write_that_acted_and_then_failed_is_doubt_and_was_sent_once(
    ready: MedusaShop, order: Order, name: str, kind: Any
) -> None:
    ready.sandbox.add_fault(Fault(kind, "POST", times=2))
    error = error_of(lambda: write(ready, order, name), *SECRETS, "buyer1@example.com")
    assert type(error) is OutcomeUnknown
    assert (error.shop, error.order, error.operation) == ("office", order.id, name)
    assert len(ready.sandbox.requests("POST")) == 1
    assert effects(order) == 1


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", ["500_before", "502_html", "cut_before"])
def test_a_write_that_failed_before_acting_is_doubt_too(
    ready: MedusaShop, order: Order, name: str, kind: Any
) -> None:
    ready.sandbox.add_fault(Fault(kind, "POST", times=2))
    assert type(error_of(lambda: write(ready, order, name), *SECRETS)) is OutcomeUnknown
    assert len(ready.sandbox.requests("POST")) == 1
    assert effects(order) == 0


@pytest.mark.parametrize("name", WRITES)
def test_a_429_or_no_connection_means_not_done(ready: MedusaShop, order: Order, name: str) -> None:
    ready.sandbox.add_fault(Fault("429", "POST"))
    assert isinstance(error_of(lambda: write(ready, order, name)), Transient)
    ready.server.stop()
    assert error_of(lambda: write(ready, order, name), *SECRETS).code == "no_connection"
    assert effects(order) == 0


@pytest.mark.parametrize("name", WRITES)
def test_an_answer_without_the_parcel_or_of_another_order_is_doubt(
    ready: MedusaShop, order: Order, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for told in ({"id": order.id}, {"id": order.id, "fulfillments": [None, {"id": 1}]}, {"id": "order_0"}):
        monkeypatch.setattr(ready.sandbox, "_dispatch", lambda _request, told=told: Reply(200, {"order": told}))
        assert type(error_of(lambda: write(ready, order, name))) is OutcomeUnknown


def test_an_answer_that_leaves_contents_and_labels_out_contradicts_nothing(
    ready: MedusaShop, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = order.fulfillments[0].id
    for told, error in (({}, None), ({"items": []}, OutcomeUnknown), ({"labels": []}, OutcomeUnknown)):
        parcel = {"id": packed, "shipped_at": "2026-11-02T12:00:00.000Z", **told}
        body = {"order": {"id": order.id, "fulfillments": [parcel]}}
        monkeypatch.setattr(ready.sandbox, "_dispatch", lambda _request, body=body: Reply(200, body))
        if error is None:
            assert write(ready, order, "ship").status == "shipped"
        else:
            assert type(error_of(lambda: write(ready, order, "ship"))) is error


def test_a_wrong_key_is_unauthorized(ready: MedusaShop, order: Order) -> None:
    stranger = ready.connect(token="sk_" + "00" * 32)
    request = PackRequest(lines=lines(order, mug=1))
    assert type(error_of(lambda: stranger.pack(order.id, request, KEY), "sk_00")) is Unauthorized
    assert effects(order) == 0


def test_a_parcel_may_be_invisible_for_a_while(ready: MedusaShop, order: Order) -> None:
    ready.sandbox.add_fault(Fault("late_visibility", "POST", seconds=0.4))
    write(ready, order, "pack")
    assert len(json.loads(ready.connector.fetch(order.id).payload)["fulfillments"]) == 2
    assert len(order.fulfillments) == 3
