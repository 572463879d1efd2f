"""What each Medusa feed sees of what happens to an order, and what only the member sweep sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from ordersync_connectors.medusa.sandbox_records import Rule
from tests.contract.common import pull_all
from tests.contract.medusa_shop import NOW, MedusaShop, medusa_shop

from ordersync.connector import Window


@pytest.fixture
def office() -> Iterator[MedusaShop]:
    with medusa_shop() as shop:
        yield shop


PLACED = NOW - timedelta(days=1)
JUST_NOW = Window(since=NOW)


def _capture_all(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.capture(order_id)


def _capture_part(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.capture(order_id, Decimal(1))


def _refund(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.capture(order_id)
    shop.sandbox.payment_of(order_id).updated_at = PLACED
    shop.sandbox.refund(order_id, Decimal(1))


def _refund_what_is_owed(shop: MedusaShop, order_id: str) -> None:
    order = shop.sandbox.state.order(order_id)
    shop.sandbox.capture(order_id)
    shop.sandbox.state.receive_return(order_id, order.items[0].id, 1, "apk_x")
    order.updated_at = shop.sandbox.payment_of(order_id).updated_at = PLACED
    shop.sandbox.refund(order_id, Decimal(1))


def _refund_refused(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.capture(order_id)
    shop.sandbox.payment_of(order_id).updated_at = PLACED
    shop.sandbox.begin_order_edit(order_id)
    payment_id = shop.sandbox.payment_of(order_id).id
    error_of_rule(lambda: shop.sandbox.state.refund(payment_id, Decimal(1), None, None, "apk_x"))
    assert len(shop.sandbox.own_refunds()) == 1


def error_of_rule(call: Callable[[], object]) -> None:
    with pytest.raises(Rule, match="existing active order change"):
        call()


def _cancel_authorised(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.cancel(order_id)


def _cancel_captured(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.capture(order_id)
    shop.sandbox.payment_of(order_id).updated_at = PLACED
    shop.sandbox.cancel(order_id)


def _pack(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.fulfil(order_id)


def _complete(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.state.complete(order_id)


def _begin_edit(shop: MedusaShop, order_id: str) -> None:
    shop.sandbox.begin_order_edit(order_id)


@pytest.mark.parametrize(
    "happens, by_orders, by_payments, version",
    [
        (_capture_all, False, True, 1),
        (_capture_part, False, False, 1),
        (_refund, True, False, 2),
        (_refund_what_is_owed, False, False, 3),
        (_refund_refused, False, False, 1),
        (_cancel_authorised, True, True, 2),
        (_cancel_captured, True, False, 2),
        (_pack, True, False, 2),
        (_complete, True, False, 1),
        (_begin_edit, False, False, 1),
    ],
)
def test_each_feed_sees_what_the_platform_lets_it_see(
    office: MedusaShop,
    happens: Callable[[MedusaShop, str], None],
    by_orders: bool,
    by_payments: bool,
    version: int,
) -> None:
    order = office.sale(paid=False)
    happens(office, order.id)
    assert (order.id in pull_all(office.connector, "orders", JUST_NOW).ids) is by_orders
    assert (order.id in office.to_look_at(JUST_NOW)) is by_payments
    assert order.version == version


def test_the_member_sweep_sees_what_no_feed_sees(office: MedusaShop) -> None:
    order = office.sale(paid=False)
    before = office.connector.fetch_many([order.id])[0].payload
    office.sandbox.capture(order.id, Decimal(1))
    assert office.connector.fetch_many([order.id])[0].payload != before
