"""A SHOPLINE sandbox on loopback with a connector on it, for the contract tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import stamina
from ordersync_connectors.shopline import ShoplineConnector, ShoplineSettings
from ordersync_connectors.shopline.sandbox import ShoplineSandbox

from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Request, SandboxServer

NOW = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
EMAIL = "kim.archer.7@example.com"


@dataclass
class ShoplineShop:
    sandbox: ShoplineSandbox
    server: SandboxServer
    connector: ShoplineConnector
    connect: Callable[..., ShoplineConnector]
    """Another connector on the same sandbox, with other settings."""

    def one(self, method: str, path: str = ".*") -> Request:
        """The only such request the store got."""
        [request] = self.sandbox.requests(method, path)
        return request

    def sell(self, number: int = 1001, at: datetime = NOW, **more: Any) -> str:
        """Place one sale of 42.50 USD, paid unless said otherwise; returns its id."""
        spec = SaleSpec(
            number=number,
            email=EMAIL,
            currency=self.sandbox.currency,
            lines=(SaleLine("MUG-01", "Mug", 3, 1250),),
            shipping_minor=500,
            placed_at=at,
            **{"provider": "SLpayments", "first_name": "Kim", "last_name": "Archer", **more},
        )
        return self.sandbox.add_sale(spec)


@contextmanager
def shopline_shop(**options: Any) -> Iterator[ShoplineShop]:
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        sandbox = ShoplineSandbox(**{"now": lambda: NOW, **options})
        server = stack.enter_context(SandboxServer(sandbox))

        def connect(**settings: Any) -> ShoplineConnector:
            config = {**sandbox.settings_for(server), "rate": "5000/s", **settings}
            connector = ShoplineConnector("asia", ShoplineSettings.model_validate(config))
            stack.callback(connector.close)
            return connector

        yield ShoplineShop(sandbox, server, connect(), connect)
