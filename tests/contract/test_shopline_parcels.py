"""SHOPLINE parcels, refunds by line and of shipping: the wire, the answers, and what is refused before sending."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.shopline_shop import EMAIL, NOW, ShoplineShop, shopline_shop

from ordersync.bootstrap import mappings_of, normaliser, profile_of
from ordersync.connector import LineQuantity, Receipt, RefundRequest, ShipRequest
from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.model import FulfillmentState, Money, Order
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Fault, Reply

TOKEN = "os-7k2m9qab"
TWO_LINES = (SaleLine("MUG-01", "Mug", 3, 1250), SaleLine("TEA-02", "Tea", 2, 900))


@pytest.fixture
def shop() -> Iterator[ShoplineShop]:
    with shopline_shop() as shop:
        yield shop


@pytest.fixture
def order_id(shop: ShoplineShop) -> str:
    """Three mugs and two packets of tea, paid."""
    return shop_order(shop)


def shop_order(shop: ShoplineShop) -> str:
    spec = SaleSpec(
        number=1001,
        email=EMAIL,
        currency=shop.sandbox.currency,
        lines=TWO_LINES,
        shipping_minor=500,
        placed_at=NOW,
        provider="SLpayments",
    )
    return shop.sandbox.add_sale(spec)


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def line_ids(shop: ShoplineShop, order_id: str) -> tuple[str, str]:
    mug, tea = (str(line["id"]) for line in shop.sandbox.order(order_id)["line_items"])
    return mug, tea


def lines(shop: ShoplineShop, order_id: str, mug: int = 0, tea: int = 0) -> tuple[LineQuantity, ...]:
    wanted = zip(line_ids(shop, order_id), (mug, tea), strict=True)
    return tuple(LineQuantity(line_item_id=line_id, quantity=count) for line_id, count in wanted if count)


def refund_of(shop: ShoplineShop, order_id: str, minor: int, **more: Any) -> RefundRequest:
    counts = {name: more.pop(name, 0) for name in ("mug", "tea")}
    slip = str(shop.sandbox.order(order_id)["payment_details"][0]["pay_seq"])
    asked = lines(shop, order_id, **counts)
    return RefundRequest(**{"amount": usd(minor), "payment_id": slip, "lines": asked, "token": TOKEN, **more})


def ship(shop: ShoplineShop, order_id: str, mug: int = 0, tea: int = 0, **more: Any) -> Receipt:
    return shop.connector.ship(order_id, ShipRequest(lines=lines(shop, order_id, mug, tea), **more), "key")


def as_read(shop: ShoplineShop, order_id: str) -> Order:
    """The canonical order."""
    normalise = normaliser(mappings_of("shopline")[0], profile_of("asia", shop.connector.settings))
    return normalise(shop.connector.fetch(order_id)).order


# Ship


def test_a_parcel_is_made_and_shipped_by_one_call(shop: ShoplineShop, order_id: str) -> None:
    mug, tea = line_ids(shop, order_id)
    receipt = ship(
        shop,
        order_id,
        mug=2,
        tea=2,
        carrier="FedEx",
        tracking_number="1234567890",
        tracking_url="https://trace.example.com/1234567890",
        token=TOKEN,
    )
    request = shop.one("POST")
    assert request.path == f"/admin/openapi/v20250601/orders/{order_id}/fulfillments.json"
    assert request.json() == {
        "fulfillment": {
            "line_items": [{"id": mug, "quantity": 2}, {"id": tea, "quantity": 2}],
            "notify_customer": False,
            "tracking_info_list": [
                {
                    "tracking_company": "FedEx",
                    "tracking_number": "1234567890",
                    "tracking_url": "https://trace.example.com/1234567890",
                }
            ],
        }
    }
    assert (receipt.status, receipt.already_done) == ("shipped", False)
    [parcel] = as_read(shop, order_id).fulfillments or ()
    assert (parcel.id, parcel.status) == (receipt.platform_ref, FulfillmentState.SHIPPED)
    assert (parcel.carrier, parcel.tracking_numbers) == ("FedEx", ("1234567890",))
    assert {line.line_item_id: line.quantity for line in parcel.lines or ()} == {mug: 2, tea: 2}
    assert shop.sandbox.order(order_id)["fulfillment_status"] == "partial"


def test_a_parcel_without_tracking_says_none_and_mails_only_when_asked(shop: ShoplineShop, order_id: str) -> None:
    ship(shop, order_id, mug=1, notify_buyer=True)
    stated = shop.one("POST").json()["fulfillment"]
    assert set(stated) == {"line_items", "notify_customer"}
    assert stated["notify_customer"] is True


@pytest.mark.parametrize(
    "told", [{"carrier": "FedEx"}, {"tracking_number": "1"}, {"tracking_url": "https://t.example"}]
)
def test_of_tracking_all_three_fields_are_sent_empty_where_unknown(
    shop: ShoplineShop, order_id: str, told: dict[str, Any]
) -> None:
    ship(shop, order_id, mug=1, **told)
    [info] = shop.one("POST").json()["fulfillment"]["tracking_info_list"]
    assert set(info) == {"tracking_company", "tracking_number", "tracking_url"}
    assert sorted(info.values()) == ["", "", *told.values()]


def test_a_shipment_moves_updated_at() -> None:
    clock = [NOW]
    with shopline_shop(now=lambda: clock[0]) as shop:
        order_id = shop_order(shop)
        before = shop.sandbox.order(order_id)["updated_at"]
        clock[0] = NOW.replace(hour=13)
        ship(shop, order_id, mug=1)
        assert shop.sandbox.order(order_id)["updated_at"] > before


def test_more_than_is_left_cannot_be_shipped(shop: ShoplineShop, order_id: str) -> None:
    ship(shop, order_id, mug=2)
    refused = error_of(lambda: ship(shop, order_id, mug=2), shop.sandbox.token)
    assert isinstance(refused, Refused)
    assert (refused.http_status, refused.order) == (422, order_id)
    assert len(shop.sandbox.order(order_id)["fulfillments"]) == 1


def test_a_cancelled_order_ships_nothing(shop: ShoplineShop, order_id: str) -> None:
    shop.sandbox.cancel(order_id)
    assert type(error_of(lambda: ship(shop, order_id, mug=1))) is Refused


def test_the_same_parcel_twice_is_two_parcels_while_units_are_left(shop: ShoplineShop, order_id: str) -> None:
    assert ship(shop, order_id, mug=1).platform_ref != ship(shop, order_id, mug=1).platform_ref
    assert len(shop.sandbox.order(order_id)["fulfillments"]) == 2


def test_a_cancelled_parcel_frees_its_units_for_a_new_one(shop: ShoplineShop, order_id: str) -> None:
    first = ship(shop, order_id, mug=3, tea=2).platform_ref
    assert first is not None
    assert shop.sandbox.order(order_id)["fulfillment_status"] == "fulfilled"
    shop.sandbox.unship(order_id, first)
    assert shop.sandbox.order(order_id)["fulfillment_status"] == "null"
    ship(shop, order_id, mug=3, tea=2)
    states = [parcel.status for parcel in as_read(shop, order_id).fulfillments or ()]
    assert states == [FulfillmentState.CANCELLED, FulfillmentState.SHIPPED]


def test_there_is_no_packed_parcel_to_ship(shop: ShoplineShop, order_id: str) -> None:
    refused = error_of(lambda: ship(shop, order_id, mug=1, fulfillment_id="22"))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.order) == ("no_packed_parcels", order_id)
    assert shop.sandbox.log == []


@pytest.mark.parametrize(
    "told",
    [
        {"id": "22", "line_items": [{"id": 1, "fulfillment_quantity": 1}]},
        {"id": "22", "line_items": [None]},
        {"id": "22", "order_id": "21"},
        {"id": ""},
        None,
    ],
)
def test_an_answer_about_another_parcel_is_doubt(
    shop: ShoplineShop, order_id: str, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ShipRequest(lines=lines(shop, order_id, mug=1))
    monkeypatch.setattr(shop.sandbox, "answer", lambda _: (Reply(200, {"fulfillment": told}), "whole"))
    assert type(error_of(lambda: shop.connector.ship(order_id, asked, "key"))) is OutcomeUnknown


# Refund by line and of shipping


def test_a_refund_of_units_that_have_not_left_is_told_as_unshipped(shop: ShoplineShop, order_id: str) -> None:
    mug, tea = line_ids(shop, order_id)
    request = refund_of(shop, order_id, 2150, mug=1, tea=1, reason="sold out")
    receipt = shop.connector.refund(order_id, request, "key")
    body = shop.one("POST").json()
    assert body["refund_line_items"] == [
        {"line_item_id": int(mug), "quantity": 1, "type": "Unshipped", "restock_type": "no_restock"},
        {"line_item_id": int(tea), "quantity": 1, "type": "Unshipped", "restock_type": "no_restock"},
    ]
    assert body["transactions"][0]["amount"] == "21.50"
    assert body["notify"] is False
    assert "shipping" not in body
    [refund] = as_read(shop, order_id).refunds or ()
    assert (refund.id, refund.amount, refund.restock) == (receipt.platform_ref, usd(2150), False)
    assert {line.line_item_id: line.quantity for line in refund.lines} == {mug: 1, tea: 1}
    assert [line["fulfillable_quantity"] for line in shop.sandbox.order(order_id)["line_items"]] == [2, 1]


def test_a_refund_of_units_that_have_left_is_told_as_returned(shop: ShoplineShop, order_id: str) -> None:
    mug, _ = line_ids(shop, order_id)
    shop.sandbox.ship(order_id)
    shop.connector.refund(order_id, refund_of(shop, order_id, 1250, mug=1, restock=True), "key")
    assert shop.one("POST").json()["refund_line_items"] == [
        {"line_item_id": int(mug), "quantity": 1, "type": "Returned", "restock_type": "return"}
    ]
    [refund] = as_read(shop, order_id).refunds or ()
    assert refund.restock is True


def test_all_of_a_partly_shipped_line_is_told_in_two_rows(shop: ShoplineShop, order_id: str) -> None:
    mug, _ = line_ids(shop, order_id)
    shop.sandbox.ship(order_id, {mug: 1})
    shop.connector.refund(order_id, refund_of(shop, order_id, 3750, mug=3, restock=True), "key")
    rows = [
        (row["quantity"], row["type"], row["restock_type"]) for row in shop.one("POST").json()["refund_line_items"]
    ]
    assert rows == [(2, "Unshipped", "cancel"), (1, "Returned", "return")]
    assert shop.sandbox.own_refunds()[0].amount_minor == 3750


def test_some_of_a_partly_shipped_line_is_refused_because_nobody_can_say_which(
    shop: ShoplineShop, order_id: str
) -> None:
    mug, _ = line_ids(shop, order_id)
    shop.sandbox.ship(order_id, {mug: 1})
    refused = error_of(lambda: shop.connector.refund(order_id, refund_of(shop, order_id, 1250, mug=1), "key"))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.shop, refused.order) == ("line_partly_shipped", "asia", order_id)
    assert shop.sandbox.requests("POST") == []


@pytest.mark.parametrize("lowers", [True, False])
def test_the_rest_of_a_line_is_refunded_after_a_part_whatever_became_of_its_units(lowers: bool) -> None:
    with shopline_shop(refund_lowers_fulfillable=lowers) as shop:
        order_id = shop_order(shop)
        shop.connector.refund(order_id, refund_of(shop, order_id, 1250, mug=1), "key")
        shop.connector.refund(order_id, refund_of(shop, order_id, 2500, mug=2), "key")
        too_many = error_of(lambda: shop.connector.refund(order_id, refund_of(shop, order_id, 1, mug=1), "key"))
        assert (type(too_many), too_many.code) == (Refused, "too_many_units")
        assert [refund.amount_minor for refund in shop.sandbox.own_refunds()] == [1250, 2500]


def test_shipping_is_refunded_by_its_amount_beside_lines_or_alone(shop: ShoplineShop, order_id: str) -> None:
    shop.connector.refund(order_id, refund_of(shop, order_id, 1500, mug=1, shipping=usd(250)), "key")
    shop.connector.refund(order_id, refund_of(shop, order_id, 200, shipping=usd(200)), "key")
    bodies = [request.json() for request in shop.sandbox.requests("POST")]
    assert [body["shipping"] for body in bodies] == [
        {"full_refund": False, "amount": "2.50"},
        {"full_refund": False, "amount": "2.00"},
    ]
    assert "refund_line_items" not in bodies[1]
    refunds = as_read(shop, order_id).refunds or ()
    assert [(refund.amount, refund.shipping) for refund in refunds] == [
        (usd(1500), usd(250)),
        (usd(200), usd(200)),
    ]


def test_money_that_is_neither_lines_nor_shipping_is_a_discrepancy(shop: ShoplineShop, order_id: str) -> None:
    shop.connector.refund(order_id, refund_of(shop, order_id, 1000, mug=1), "key")
    [record] = shop.sandbox.order(order_id)["refunds"]
    assert [(row["kind"], row["amount"]) for row in record["order_adjustments"]] == [
        ("refund_discrepancy", "-2.50")
    ]


@pytest.mark.parametrize(
    "change, code",
    [
        ({"shipping": usd(0)}, "shipping_not_a_part"),
        ({"shipping": usd(1251)}, "shipping_not_a_part"),
        ({"shipping": Money(amount_minor=5, currency="EUR")}, "shipping_not_a_part"),
        ({"payment_id": None}, "payment_needed"),
        ({"amount": usd(0)}, "amount_not_positive"),
    ],
)
def test_what_cannot_be_said_is_refused_before_any_request(
    shop: ShoplineShop, order_id: str, change: dict[str, Any], code: str
) -> None:
    request = refund_of(shop, order_id, 1250, **{"mug": 1, **change})
    refused = error_of(lambda: shop.connector.refund(order_id, request, "key"))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.shop, refused.order) == (code, "asia", order_id)
    assert shop.sandbox.log == []


@pytest.mark.parametrize("line_id", ["7", "mug", "١٢"])
def test_a_line_the_order_does_not_have_is_refused_and_not_sent(
    shop: ShoplineShop, order_id: str, line_id: str
) -> None:
    wrong = (LineQuantity(line_item_id=line_id, quantity=1),)
    request = refund_of(shop, order_id, 1250, lines=wrong)
    refused = error_of(lambda: shop.connector.refund(order_id, request, "key"))
    assert (type(refused), refused.code) == (Refused, "no_such_line")
    assert shop.sandbox.requests("POST") == []


def test_an_order_that_does_not_say_what_has_left_is_refused(shop: ShoplineShop, order_id: str) -> None:
    shop.sandbox.order(order_id)["line_items"][0]["fulfillable_quantity"] = None
    request = refund_of(shop, order_id, 1250, mug=1)
    refused = error_of(lambda: shop.connector.refund(order_id, request, "key"))
    assert (type(refused), refused.code) == (Refused, "units_not_told")


def test_an_order_that_cannot_be_read_first_gets_no_refund(shop: ShoplineShop, order_id: str) -> None:
    request = refund_of(shop, order_id, 1250, mug=1)
    shop.sandbox.add_fault(Fault("500_before", method="GET", times=50))
    assert isinstance(error_of(lambda: shop.connector.refund(order_id, request, "key")), Transient)
    shop.sandbox.clear_faults()
    shop.sandbox.state.delete(order_id)
    missing = error_of(lambda: shop.connector.refund(order_id, request, "key"))
    assert (type(missing), missing.code) == (Refused, "no_such_record")
    assert shop.sandbox.requests("POST") == []


def test_a_look_that_took_too_long_is_not_acted_on(
    shop: ShoplineShop, order_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = refund_of(shop, order_id, 1250, mug=1)
    fetch = shop.connector.fetch
    clock = [0.0]

    def slow(asked: str) -> Any:
        clock[0] += 21
        return fetch(asked)

    monkeypatch.setattr(shop.connector, "fetch", slow)
    monkeypatch.setattr("ordersync_connectors.shopline.connector.time", _Clock(clock))
    late = error_of(lambda: shop.connector.refund(order_id, request, "key"))
    assert (type(late), late.code) == (Transient, "look_too_slow")
    assert shop.sandbox.requests("POST") == []


class _Clock:
    """Stands in for the module `time` of the connector alone."""

    def __init__(self, now: list[float]) -> None:
        self._now = now

    def monotonic(self) -> float:
        return self._now[0]


def test_the_platform_refuses_more_units_than_have_left(shop: ShoplineShop, order_id: str) -> None:
    """Asked past the connector: the order may change between the look and the refund."""
    mug, _ = line_ids(shop, order_id)
    slip = shop.sandbox.order(order_id)["payment_details"][0]["pay_seq"]
    row = {"line_item_id": int(mug), "quantity": 1, "type": "Returned"}
    move = {"id": slip, "amount": "12.50", "kind": "refund", "type": True, "currency": "USD"}
    body = {"order_id": order_id, "transactions": [move], "refund_line_items": [row]}
    refused = error_of(lambda: shop.connector._write("POST", "order/refund.json", body, "refund", order_id))
    assert isinstance(refused, Refused)
    assert "exceeds the refundable quantity" in refused.message
    assert shop.sandbox.own_refunds() == []


# Failures on the way

Write = Callable[[ShoplineShop, str], Receipt]
WRITES: dict[str, Write] = {
    "ship": lambda shop, order_id: ship(shop, order_id, mug=1),
    "refund": lambda shop, order_id: shop.connector.refund(
        order_id, refund_of(shop, order_id, 1250, mug=1), "key"
    ),
}


def effects(shop: ShoplineShop, order_id: str) -> int:
    order = shop.sandbox.order(order_id)
    return len(order["refunds"]) + len(order["fulfillments"])


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("fault", ["500_before", "502_html", "cut_before"])
def test_a_write_that_failed_before_the_effect_is_in_doubt_and_sent_once(
    shop: ShoplineShop, order_id: str, name: str, fault: Any
) -> None:
    shop.sandbox.add_fault(Fault(fault, method="POST"))
    unknown = error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token)
    assert (type(unknown), unknown.operation) == (OutcomeUnknown, name)
    assert effects(shop, order_id) == 0
    assert len(shop.sandbox.requests("POST")) == 1


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("fault", ["500_after", "cut_after", "torn_body", "empty_200"])
def test_a_write_that_failed_after_the_effect_is_in_doubt_and_sent_once(
    shop: ShoplineShop, order_id: str, name: str, fault: Any
) -> None:
    shop.sandbox.add_fault(Fault(fault, method="POST"))
    unknown = error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token)
    assert (type(unknown), unknown.order) == (OutcomeUnknown, order_id)
    assert effects(shop, order_id) == 1
    assert len(shop.sandbox.requests("POST")) == 1


@pytest.mark.parametrize("name", WRITES)
def test_a_throttled_or_unreachable_store_certainly_did_nothing(
    shop: ShoplineShop, order_id: str, name: str
) -> None:
    shop.sandbox.add_fault(Fault("429", method="POST"))
    assert isinstance(error_of(lambda: WRITES[name](shop, order_id)), Transient)
    assert len(shop.sandbox.requests("POST")) == 1
    shop.server.stop()
    assert isinstance(error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token), Transient)
    assert effects(shop, order_id) == 0


@pytest.mark.parametrize("name", WRITES)
def test_a_key_that_may_not_write_is_unauthorized(shop: ShoplineShop, order_id: str, name: str) -> None:
    shop.sandbox.scopes.discard("write_orders")
    assert isinstance(error_of(lambda: WRITES[name](shop, order_id), shop.sandbox.token), Unauthorized)
    assert effects(shop, order_id) == 0


def test_a_shipment_to_what_is_no_order_id_is_not_sent(shop: ShoplineShop, order_id: str) -> None:
    asked = ShipRequest(lines=lines(shop, order_id, mug=1))
    assert error_of(lambda: shop.connector.ship("1/../2", asked, "key")).code == "bad_id"
    assert shop.sandbox.log == []


def test_a_parcel_may_be_invisible_for_a_while(shop: ShoplineShop, order_id: str) -> None:
    shop.sandbox.add_fault(Fault("late_visibility", method="POST", seconds=0.3))
    ship(shop, order_id, mug=1)
    assert json.loads(shop.connector.fetch(order_id).payload)["fulfillments"] == []
    time.sleep(0.35)
    assert len(json.loads(shop.connector.fetch(order_id).payload)["fulfillments"]) == 1
