"""The real Medusa as a bench of the conformance suite: orders by draft, truth by the staff's own requests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ordersync_connectors.medusa import MedusaConnector
from ordersync_connectors.medusa.settings import MedusaSettings
from tests.live.back_office import BackOffice

from ordersync.connector import Connector, ShopSettings
from ordersync.testing import Bench
from ordersync.testing.bench import Truth
from ordersync.testing.sales import SaleSpec


class RealMedusaBench(Bench):
    """Every case begins with a bench of its own on the one shop of the run."""

    deciding_word = (b'"status":"pending"', b'"status":"frozen"')

    def __init__(self, office: BackOffice) -> None:
        self._office = office
        self.origin = office.server.origin
        self.secrets = (office.opened.key,)
        self._began_at = super().now

    @property
    def now(self) -> datetime:
        """A day after the case began: the window of the suite, a day long, then holds the case's orders alone."""
        return self._began_at + timedelta(days=1)

    def settings(self, origin: str) -> ShopSettings:
        config = {
            "connector": "medusa",
            "base_url": origin,
            "token": self._office.opened.key,
            "overlap": timedelta(0),
        }
        return MedusaSettings.model_validate(
            {**config, "rate": "9000/s", "page_limit": self.page_size, "timeout_s": 20}
        )

    def connect(self, settings: ShopSettings) -> Connector:
        assert isinstance(settings, MedusaSettings)
        return MedusaConnector("bench", settings)

    def sale(self, *, paid: bool = True, **changes: Any) -> SaleSpec:
        """Goods alone: they come through a draft, which has no carriage of its own."""
        return super().sale(paid=paid, **{"shipping_minor": 0, **changes})

    def place(self, sale: SaleSpec) -> str:
        units = 1 if sale.currency in ("KRW", "JPY") else 100
        lines = [
            {
                "title": line.title,
                "variant_sku": line.sku,
                "quantity": line.quantity,
                "unit_price": line.unit_price_minor / units,
            }
            for line in sale.lines
        ]
        order_id = self._office.mirror(sale.currency.lower(), lines, f"SL-{sale.number}")
        if sale.paid:
            self._office.mark_paid(order_id)
        return order_id

    def ready_for(self, call: str) -> str:
        if call == "capture":
            return self._office.place("usd")
        order_id = self.place(self.sale())
        if call == "archive":
            self._office.step(order_id, "complete")
        return order_id

    def truth(self, order_id: str) -> Truth:
        order = self._office.order(
            order_id, "+canceled_at,*payment_collections.payments.captures,*fulfillments,*fulfillments.items"
        )
        payments = [payment for one in order["payment_collections"] for payment in one.get("payments") or ()]
        return Truth(
            refunds=tuple(sorted(round(row["amount"] * 100) for row in self._office.refunds(order_id))),
            cancelled=order["canceled_at"] is not None,
            parcels=tuple(
                sorted(
                    (_word(parcel), sum(item["quantity"] for item in parcel["items"]))
                    for parcel in order["fulfillments"]
                    if parcel["canceled_at"] is None
                )
            ),
            more=f"{order['status']} captured {[len(payment['captures']) for payment in payments]}",
        )

    def move(self, order_id: str) -> None:
        self._office.post(f"/admin/orders/{order_id}", {"metadata": {"seen": "yes"}})


def _word(parcel: dict[str, object]) -> str:
    if parcel["delivered_at"] is not None:
        return "delivered"
    return "packed" if parcel["shipped_at"] is None else "shipped"
