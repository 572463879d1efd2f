"""Answers recorded from a real SHOPLINE store, served again on loopback: a bench that can only be read.

The recordings are third-party data: read where they lie, beside the repository, and never copied. The rows go out as
they were recorded. Which of them a question is answered with (ids, window, archive) is this file's own doing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ordersync_connectors.shopline import ShoplineConnector, ShoplineSettings

from ordersync.connector import Connector, ShopSettings
from ordersync.testing import Bench
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Reply, Request, Sandbox, SandboxServer, route

RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "shopline" / "recorded"
_LISTS = ("get_order_by_ids", "list_orders_first_page")
_TOKEN = "not-the-token-of-the-recording"  # nobody asks for it


def recorded_orders() -> list[dict[str, Any]]:
    """Every order of the recorded lists, the one that was asked for by its id first."""
    answers = [json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8")) for name in _LISTS]
    return [order for answer in answers for order in answer["body"]["orders"]]


class Replay(Sandbox):
    """`GET orders.json` and nothing else; every other address is a 404, as nothing of it was recorded."""

    platform = "shopline"
    base_path = "/admin/openapi/v20260601"

    def __init__(self, now: datetime) -> None:
        super().__init__(now=lambda: now)
        self.orders = recorded_orders()

    def not_found(self, request: Request) -> Reply:
        return Reply(404, {"errors": "not recorded"})

    @route("GET", "/orders.json")
    def list_orders(self, request: Request) -> Reply:
        asked = request.arg("ids")
        low, high = (request.arg(name) for name in ("updated_at_min", "updated_at_max"))
        return Reply(
            body={
                "orders": [
                    order
                    for order in self.orders
                    if (asked is None or order["id"] in asked.split(","))
                    and (low is None or _instant(order["updated_at"]) >= _instant(low))
                    and (high is None or _instant(order["updated_at"]) <= _instant(high))
                    and str(order["hidden_order"]).lower() == request.arg("hidden_order", "false")
                ]
            }
        )


class RecordedBench(Bench):
    """ "Placing" an order takes the next of the recorded ones; `sale` says what the recording shows of it."""

    deciding_word = (b'"financial_status":"unpaid"', b'"financial_status":"frozen"')

    def __init__(self) -> None:
        orders = recorded_orders()
        self._now = max(_instant(order["updated_at"]) for order in orders) + timedelta(hours=1)
        self.replay = Replay(self._now)
        self._server = SandboxServer(self.replay).start()
        self._left = [order["id"] for order in orders]
        self.origin = self._server.origin
        self.secrets = (_TOKEN,)

    @property
    def now(self) -> datetime:
        return self._now

    def settings(self, origin: str) -> ShopSettings:
        config = {"connector": "shopline", "handle": "recorded", "api_version": "v20260601", "token": _TOKEN}
        base_url = f"{origin}{self.replay.base_path}"
        return ShoplineSettings.model_validate({**config, "base_url": base_url, "rate": "9000/s"})

    def connect(self, settings: ShopSettings) -> Connector:
        assert isinstance(settings, ShoplineSettings)
        return ShoplineConnector("recorded", settings)

    def sale(self, *, paid: bool = True, **changes: Any) -> SaleSpec:
        """The next order's goods and total, read from the recording without the connector or its mapping."""
        order = next(order for order in self.replay.orders if order["id"] == self._left[0])
        lines = tuple(
            SaleLine(line["sku"], line["title"], line["quantity"], int(Decimal(line["price"]) * 100))
            for line in order["line_items"]
        )
        told = {"currency": order["currency"], "lines": lines, "placed_at": _instant(order["created_at"])}
        charged = int(Decimal(order["current_total_price"]) * 100)
        shipping_minor = charged - sum(line.quantity * line.unit_price_minor for line in lines)
        return super().sale(paid=paid, **{**told, "shipping_minor": shipping_minor, **changes})

    def place(self, sale: SaleSpec) -> str:
        if not self._left:
            self.cannot(f"hold more than {len(self.replay.orders)} recorded orders")
        order_id: str = self._left.pop(0)
        return order_id

    def close(self) -> None:
        self._server.stop()


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
