"""What people do in a Medusa shop: buyers over the store API, staff over the admin API with a login of their own.

Every order comes through the real flows of the server. Amounts are major units, as the platform takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.live.medusa_server import MedusaServer
from tests.live.postgres import NotStarted

COUNTRIES = {"usd": "us", "eur": "de", "krw": "kr", "jpy": "jp"}
PROVIDER = "pp_system_default"


@dataclass(frozen=True, slots=True)
class Said:
    """A request's answer, whatever it is."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Opened:
    """A shop that is ready for orders. `key` is ordersync's own; nobody else uses it."""

    key: str = field(repr=False)
    key_id: str
    publishable: str = field(repr=False)
    channel: str
    location: str
    option: str
    regions: dict[str, str]
    """By currency, with its taxes."""
    untaxed: dict[str, str]
    variants: dict[str, str]
    """By SKU."""


class Admin:
    """The staff's requests."""

    def __init__(self, origin: str, authorization: str) -> None:
        headers = {"Authorization": authorization}
        self._admin = httpx.Client(base_url=origin, headers=headers, trust_env=False, timeout=60)

    def close(self) -> None:
        self._admin.close()

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Said:
        answer = self._admin.request(method, path, json=body, params=query or None)
        return Said(answer.status_code, answer.json() if answer.content else None)

    def get(self, path: str, **query: Any) -> Any:
        return good(self.ask("GET", path, **query), path)

    def post(self, path: str, body: Any = None) -> Any:
        return good(self.ask("POST", path, {} if body is None else body), path)


class Staff(Admin):
    """What staff does to orders, over calls that the sandbox answers too."""

    location = ""

    def order(self, order_id: str, fields: str = "*payment_collections.payments") -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/admin/orders/{order_id}", fields=fields)["order"]
        return found

    def payment(self, order_id: str) -> str:
        """The order's first payment."""
        found: str = self.order(order_id)["payment_collections"][0]["payments"][0]["id"]
        return found

    def refunds(self, order_id: str) -> list[dict[str, Any]]:
        """Every refund record of the order, as the server tells them."""
        fields = "*payment_collections.payments.refunds"
        collections = self.order(order_id, fields)["payment_collections"]
        return [row for one in collections for payment in one["payments"] for row in payment["refunds"]]

    def capture(self, order_id: str, amount: float | None = None) -> None:
        body = {} if amount is None else {"amount": amount}
        self.post(f"/admin/payments/{self.payment(order_id)}/capture", body)

    def refund(self, order_id: str, amount: float, note: str | None = None) -> Said:
        body = {"amount": amount, **({"note": note} if note else {})}
        return self.ask("POST", f"/admin/payments/{self.payment(order_id)}/refund", body)

    def cancel(self, order_id: str) -> Said:
        return self.ask("POST", f"/admin/orders/{order_id}/cancel", {})

    def step(self, order_id: str, verb: str) -> None:
        """complete or archive."""
        self.post(f"/admin/orders/{order_id}/{verb}")

    def lines(self, order_id: str) -> list[dict[str, Any]]:
        """All items of the order, as a parcel's calls take them."""
        items = self.order(order_id, "*items")["items"]
        return [{"id": item["id"], "quantity": item["quantity"]} for item in items]

    def pack(self, order_id: str, lines: Sequence[Mapping[str, Any]] | None = None) -> str:
        before = {row["id"] for row in self.order(order_id, "*fulfillments")["fulfillments"]}
        body = {"items": lines or self.lines(order_id), "location_id": self.location}
        self.post(f"/admin/orders/{order_id}/fulfillments", body)
        after = self.order(order_id, "*fulfillments")["fulfillments"]
        [made] = {row["id"] for row in after} - before
        parcel: str = made
        return parcel

    def ship(self, order_id: str, parcel: str, number: str) -> None:
        label = {"tracking_number": number, "tracking_url": "#", "label_url": "#"}
        body = {"items": self.lines(order_id), "labels": [label]}
        self.post(f"/admin/orders/{order_id}/fulfillments/{parcel}/shipments", body)

    def deliver(self, order_id: str, parcel: str) -> None:
        self.post(f"/admin/orders/{order_id}/fulfillments/{parcel}/mark-as-delivered")

    def begin_edit(self, order_id: str) -> None:
        self.post("/admin/order-edits", {"order_id": order_id})

    def drop_edit(self, order_id: str) -> None:
        good(self.ask("DELETE", f"/admin/order-edits/{order_id}"), "order edit")


class BackOffice(Staff):
    """An opened shop, its buyers and its staff."""

    def __init__(self, server: MedusaServer, opened: Opened) -> None:
        super().__init__(server.origin, f"Bearer {server.login()}")
        self.server = server
        self.opened = opened
        self.location = opened.location
        headers = {"x-publishable-api-key": opened.publishable}
        self._store = httpx.Client(base_url=server.origin, headers=headers, trust_env=False, timeout=60)

    def close(self) -> None:
        super().close()
        self._store.close()

    # Buyers.

    def place(
        self,
        currency: str = "usd",
        goods: Mapping[str, int] | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        promotion: bool = False,
    ) -> str:
        """A buyer's order through a cart, with an authorised payment; its id."""
        address = {
            "first_name": "Ada",
            "last_name": "Example",
            "address_1": "1 Sample Street",
            "city": "Sample",
            "postal_code": "10115",
            "country_code": COUNTRIES[currency],
        }
        variants = self.opened.variants
        items = [{"variant_id": variants[sku], "quantity": n} for sku, n in (goods or {"TEE-S": 2}).items()]
        cart = self._buy(
            "/store/carts",
            {
                "region_id": self.opened.regions[currency],
                "sales_channel_id": self.opened.channel,
                "email": "buyer@example.com",
                "items": items,
                "shipping_address": address,
                "billing_address": address,
                "metadata": dict(metadata or {}),
            },
        )["cart"]["id"]
        if promotion:
            self._buy(f"/store/carts/{cart}/promotions", {"promo_codes": ["TENOFF"]})
        self._buy(f"/store/carts/{cart}/shipping-methods", {"option_id": self.opened.option})
        collection = self._buy("/store/payment-collections", {"cart_id": cart})["payment_collection"]["id"]
        session = f"/store/payment-collections/{collection}/payment-sessions"
        self._buy(session, {"provider_id": PROVIDER})
        order_id: str = self._buy(f"/store/carts/{cart}/complete", {})["order"]["id"]
        return order_id

    def _buy(self, path: str, body: Any) -> Any:
        answer = self._store.post(path, json=body)
        return good(Said(answer.status_code, answer.json()), path)

    # The staff: returns, drafts and copies.

    def begin_return(self, order_id: str, item_id: str, quantity: int = 1) -> str:
        """Left open: items are chosen, nothing is requested yet."""
        body = {"order_id": order_id, "location_id": self.opened.location}
        made: str = self.post("/admin/returns", body)["return"]["id"]
        items = {"items": [{"id": item_id, "quantity": quantity}]}
        self.post(f"/admin/returns/{made}/request-items", items)
        return made

    def receive_return(self, order_id: str, item_id: str, quantity: int = 1) -> None:
        """Begun, requested and received: the money is owed and not paid back."""
        made = self.begin_return(order_id, item_id, quantity)
        self.post(f"/admin/returns/{made}/request")
        self.post(f"/admin/returns/{made}/receive")
        items = {"items": [{"id": item_id, "quantity": quantity}]}
        self.post(f"/admin/returns/{made}/receive-items", items)
        self.post(f"/admin/returns/{made}/receive/confirm")

    def mirror(self, currency: str, lines: Sequence[Mapping[str, Any]], external_id: str) -> str:
        """Another shop's sale, copied by a draft order: its total is the sale's own. Not paid; its id."""
        order_id: str = self.draft(currency, lines, external_id)
        self.post(f"/admin/draft-orders/{order_id}/convert-to-order")
        return order_id

    def draft(self, currency: str, lines: Sequence[Mapping[str, Any]], external_id: str) -> str:
        body = {
            "region_id": self.opened.untaxed[currency],
            "sales_channel_id": self.opened.channel,
            "currency_code": currency,
            "email": "buyer@example.com",
            "no_notification_order": True,
            "items": list(lines),
            "metadata": {"source": "shopline", "external_id": external_id},
        }
        order_id: str = self.post("/admin/draft-orders", body)["draft_order"]["id"]
        return order_id

    def mark_paid(self, order_id: str, amount: float | None = None) -> None:
        """Paid elsewhere: a system payment that moves no money."""
        asked = self.order(order_id, "+total")["total"] if amount is None else amount
        collection = self.post("/admin/payment-collections", {"order_id": order_id, "amount": asked})
        made = collection["payment_collection"]["id"]
        self.post(f"/admin/payment-collections/{made}/mark-as-paid", {"order_id": order_id})


def good(said: Said, what: str) -> Any:
    if said.status != 200:
        raise NotStarted(f"{what}: Medusa answered {said.status}: {said.body}")
    return said.body
