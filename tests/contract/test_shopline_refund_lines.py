"""SHOPLINE refunds by line and of shipping: what each unit is told as, and what is refused before sending."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.common import error_of
from tests.contract.shopline_lines import as_read, line_ids, refund_of, shop_order, usd
from tests.contract.shopline_shop import ShoplineShop, shopline_shop

from ordersync.connector import LineQuantity
from ordersync.errors import Refused, Transient
from ordersync.model import Money
from ordersync.testing.sandbox import Fault


@pytest.fixture
def shop() -> Iterator[ShoplineShop]:
    with shopline_shop() as shop:
        yield shop


@pytest.fixture
def order_id(shop: ShoplineShop) -> str:
    """Three mugs and two packets of tea, paid."""
    return shop_order(shop)


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
