"""A Medusa sandbox on loopback with a connector on it, for the contract tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import stamina
from ordersync_connectors.medusa import MedusaConnector
from ordersync_connectors.medusa.sandbox import JWT, SECRET_KEY, MedusaSandbox
from ordersync_connectors.medusa.sandbox_records import Order
from ordersync_connectors.medusa.settings import MedusaSettings
from tests.contract.common import pull_all

from ordersync.connector import Window
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Request, SandboxServer

Dialect = Literal["medusa", "style"]
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECRETS = (SECRET_KEY, JWT)


@dataclass
class MedusaShop:
    sandbox: MedusaSandbox
    server: SandboxServer
    connector: MedusaConnector
    connect: Callable[..., MedusaConnector]
    """Another connector on the same sandbox, with other settings."""

    def one(self, method: str, path: str = ".*") -> Request:
        """The only such request the shop got."""
        [request] = self.sandbox.requests(method, path)
        return request

    def sale(self, number: int = 1, *, cents: int = 3245, currency: str = "USD", paid: bool = True) -> Order:
        """A sale of one thing, captured unless it is not paid."""
        return self.sandbox.add_sale(
            SaleSpec(
                number=number,
                email=f"buyer{number}@example.com",
                currency=currency,
                lines=(SaleLine("MUG-01", "Mug", 1, cents),),
                shipping_minor=0,
                placed_at=NOW - timedelta(days=1) + timedelta(seconds=10 * number),
                paid=paid,
            )
        )

    def to_look_at(self, window: Window) -> set[str]:
        """Orders the payments feed says to look at, over a whole pass."""
        pages = pull_all(self.connector, "payments", window).pages
        return {order_id for page in pages for order_id in page.seen_ids}

    def same_instant(self, count: int, moment: datetime = NOW) -> set[str]:
        """So many orders whose `updated_at` is one and the same; their ids."""
        orders = [self.sale(number) for number in range(count)]
        for order in orders:
            order.updated_at = moment
        return {order.id for order in orders}


@contextmanager
def medusa_shop(dialect: Dialect = "medusa", **unknowns: Any) -> Iterator[MedusaShop]:
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        ticks = itertools.count()
        sandbox = MedusaSandbox(dialect, **{"now": lambda: NOW + timedelta(milliseconds=next(ticks)), **unknowns})
        server = stack.enter_context(SandboxServer(sandbox))

        def connect(**settings: Any) -> MedusaConnector:
            config = {**sandbox.settings_for(server), "rate": "9000/s", "page_limit": 5, **settings}
            connector = MedusaConnector("office", MedusaSettings.model_validate(config))
            stack.callback(connector.close)
            return connector

        yield MedusaShop(sandbox, server, connect(), connect)
