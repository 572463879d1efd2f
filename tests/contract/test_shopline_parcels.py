"""SHOPLINE parcels: the wire, the answers, and writes of lines that fail on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.shopline_lines import TOKEN, as_read, line_ids, lines, refund_of, shop_order
from tests.contract.shopline_shop import NOW, ShoplineShop, shopline_shop

from ordersync.connector import Receipt, ShipRequest
from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.model import FulfillmentState
from ordersync.testing.sandbox import Fault, Reply


@pytest.fixture
def shop() -> Iterator[ShoplineShop]:
    with shopline_shop() as shop:
        yield shop


@pytest.fixture
def order_id(shop: ShoplineShop) -> str:
    """Three mugs and two packets of tea, paid."""
    return shop_order(shop)


def ship(shop: ShoplineShop, order_id: str, mug: int = 0, tea: int = 0, **more: Any) -> Receipt:
    return shop.connector.ship(order_id, ShipRequest(lines=lines(shop, order_id, mug, tea), **more), "key")


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
    again = ship(shop, order_id, mug=3, tea=2, tracking_number="T2")
    mug, tea = line_ids(shop, order_id)
    assert shop.sandbox.own_parcels() == [
        (order_id, first, "cancelled", {mug: 3, tea: 2}, None),
        (order_id, again.platform_ref, "shipped", {mug: 3, tea: 2}, "T2"),
    ]
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
