"""An order of two lines on the SHOPLINE sandbox, and requests about its lines, for the contract tests."""

from __future__ import annotations

from typing import Any

from tests.contract.shopline_shop import EMAIL, NOW, ShoplineShop

from ordersync.bootstrap import mappings_of, normaliser, profile_of
from ordersync.connector import LineQuantity, RefundRequest
from ordersync.model import Money, Order
from ordersync.testing.sales import SaleLine, SaleSpec

TOKEN = "os-7k2m9qab"
TWO_LINES = (SaleLine("MUG-01", "Mug", 3, 1250), SaleLine("TEA-02", "Tea", 2, 900))


def shop_order(shop: ShoplineShop) -> str:
    """Three mugs and two packets of tea, paid; returns the order id."""
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


def as_read(shop: ShoplineShop, order_id: str) -> Order:
    """The canonical order."""
    normalise = normaliser(mappings_of("shopline")[0], profile_of("asia", shop.connector.settings))
    return normalise(shop.connector.fetch(order_id)).order
