"""The three platforms' sandboxes as benches of the conformance suite."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ordersync_connectors.headless import HeadlessConnector
from ordersync_connectors.headless.sandbox import HeadlessSandbox
from ordersync_connectors.medusa import MedusaConnector
from ordersync_connectors.medusa.sandbox import MedusaSandbox
from ordersync_connectors.shopline import ShoplineConnector
from ordersync_connectors.shopline.sandbox import ShoplineSandbox

from ordersync.testing import SandboxBench
from ordersync.testing.sales import SaleSpec

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


class HeadlessBench(SandboxBench):
    deciding_word = (b'"status":"confirmed"', b'"status":"frozen"')

    def __init__(self, connector: type[HeadlessConnector] = HeadlessConnector) -> None:
        super().__init__(connector, HeadlessSandbox(now=lambda: NOW), page_limit=self.page_size)

    def ready_for(self, call: str) -> str:
        order_id = self.place(self.sale(paid=call not in ("confirm", "capture")))
        if call == "complete":
            self.sandbox.state.move(order_id, "processing")
        return order_id

    def words(self, order_id: str) -> str:
        order = self.sandbox.state.order(order_id)
        return f"{order['status']} paid {[payment['status'] for payment in order['payments']]}"

    def tie(self, order_ids: Iterable[str]) -> None:
        for order_id in order_ids:
            self.sandbox.state.order(order_id)["created_at"] = "2026-11-02T11:00:00Z"

    def move(self, order_id: str) -> None:
        self.sandbox.state.move(order_id, "processing")


class ShoplineBench(SandboxBench):
    deciding_word = (b'"financial_status":"paid"', b'"financial_status":"frozen"')

    def __init__(self) -> None:
        super().__init__(ShoplineConnector, ShoplineSandbox(now=lambda: NOW), page_limit=self.page_size)

    def sale(self, *, paid: bool = True, **changes: Any) -> SaleSpec:
        return super().sale(paid=paid, **{"provider": "SLpayments", **changes})

    def words(self, order_id: str) -> str:
        return f"hidden {self.sandbox.order(order_id).get('hidden_order')}"

    def tie(self, order_ids: Iterable[str]) -> None:
        for order_id in order_ids:
            self.sandbox.touch(order_id, at=NOW - timedelta(minutes=30))

    def move(self, order_id: str) -> None:
        self.sandbox.touch(order_id, at=NOW - timedelta(minutes=1))


class MedusaBench(SandboxBench):
    deciding_word = (b'"status":"pending"', b'"status":"frozen"')

    def __init__(self, dialect: str = "medusa") -> None:
        ticks = itertools.count()
        sandbox = MedusaSandbox(dialect, now=lambda: NOW + timedelta(milliseconds=next(ticks)))  # type: ignore[arg-type]  # one of its two words
        super().__init__(MedusaConnector, sandbox, page_limit=self.page_size)

    def ready_for(self, call: str) -> str:
        order_id = self.place(self.sale(paid=call != "capture"))
        if call == "archive":
            self.sandbox.state.complete(order_id)
        return order_id

    def words(self, order_id: str) -> str:
        order = self.sandbox.state.order(order_id)
        return f"{order.status} captured {[len(payment.captures) for payment in order.payments]}"

    def tie(self, order_ids: Iterable[str]) -> None:
        for order_id in order_ids:
            self.sandbox.state.order(order_id).updated_at = NOW

    def move(self, order_id: str) -> None:
        self.sandbox.state.update(order_id, {"metadata": {"seen": "yes"}})
