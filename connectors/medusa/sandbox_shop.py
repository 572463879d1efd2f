"""The shop behind a Medusa sandbox: its state, its keys, what a person does in the back office, and its evidence."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

from ordersync_connectors.medusa import sandbox_seed
from ordersync_connectors.medusa.sandbox_query import ServerError
from ordersync_connectors.medusa.sandbox_records import Order, Payment, Rule
from ordersync_connectors.medusa.sandbox_state import OTHER_KEY, MedusaState

from ordersync.model import minor_units
from ordersync.testing.sales import SaleSpec
from ordersync.testing.sandbox import HttpError, Reply, Request, Sandbox, SandboxServer

SECRET_KEY = "sk_" + "5a" * 32
PUBLISHABLE_KEY = "pk_" + "3c" * 32
JWT = "eyJhbGciOiJub25lIn0.c2FuZGJveA.none"
OWN_KEY_ID = "apk_01SANDBOXORDERSYNC00000000"
"""`created_by` of what the secret key did."""
PERSON = "user_01SANDBOXSESSION0000000000"
"""Who made the key: parcels made with a key say that person [measured]."""
_KEY_AS_BEARER = (
    "A secret API key was passed as a Bearer token. Secret API keys must be sent using HTTP Basic authentication "
    "instead (Authorization: Basic <secret-api-key>)."
)
_LARGEST_BODY = 100 * 1024
_HTML_404 = "<!DOCTYPE html><html><body><pre>Cannot {method} {path}</pre></body></html>"


class MedusaShop(Sandbox):
    """State, credentials and evidence of one shop; `MedusaSandbox` adds the routes.

    `list_form`: "array" or "envelope", how the style dialect wraps lists. `honours_paging`: whether it minds
    `limit` and `offset`. Neither is stated by the description.
    """

    platform: ClassVar[str] = "medusa"

    def __init__(
        self,
        dialect: Literal["medusa", "style"] = "medusa",
        *,
        seed: int = 1,
        now: Callable[[], datetime] | None = None,
        auth: Literal["basic", "bearer"] = "basic",
        list_form: Literal["array", "envelope"] = "array",
        honours_paging: bool = True,
    ) -> None:
        super().__init__(seed=seed, now=now)
        self.dialect = dialect
        self.auth = auth
        self.list_form = list_form
        self.honours_paging = honours_paging
        self.state = MedusaState(self.random, lambda: self.now())

    # The shop as a configuration, as a world in which things happen, and as evidence.

    def settings_for(self, server: SandboxServer) -> dict[str, Any]:
        """The configuration keys of this shop."""
        return {
            "connector": "medusa",
            "base_url": server.origin,
            "auth": self.auth,
            "token": SECRET_KEY if self.auth == "basic" else JWT,
            "dialect": self.dialect,
            "books_only": [sandbox_seed.SYSTEM_PROVIDER],
        }

    def add_sale(self, spec: SaleSpec) -> Order:
        with self.lock:
            return sandbox_seed.add_sale(self.state, spec)

    def seed_orders(self, n: int, *, start: datetime | None = None) -> list[str]:
        """`n` mixed orders (USD, EUR, KRW, JPY in every state), a quarter of an hour apart; their ids."""
        first = start or self.now() - timedelta(minutes=15 * n)
        with self.lock:
            return [
                sandbox_seed.add_mixed(self.state, self.random, number, first + timedelta(minutes=15 * number)).id
                for number in range(n)
            ]

    def add_draft(self, spec: SaleSpec) -> Order:
        """A draft order: in no list, but answered by id."""
        order = self.add_sale(spec)
        with self.lock:
            order.is_draft, order.status = True, "draft"
        return order

    def payment_of(self, order_id: str) -> Payment:
        return self.state.order(order_id).payments[0]

    def capture(self, order_id: str, amount: Decimal | None = None) -> None:
        """A person captures in the back office, as `refund`, `cancel` and the rest below."""
        with self.lock:
            self.state.capture(self.payment_of(order_id).id, amount, OTHER_KEY)

    def refund(self, order_id: str, amount: Decimal, note: str | None = None) -> str:
        """A refund by hand; returns its id."""
        with self.lock:
            return self.state.refund(self.payment_of(order_id).id, amount, note, None, OTHER_KEY).id

    def cancel(self, order_id: str) -> None:
        with self.lock:
            self.state.cancel(order_id, OTHER_KEY)

    def fulfil(self, order_id: str, lines: list[tuple[str, int]] | None = None) -> str:
        """Pack all lines, or the given (line item id, quantity); returns the fulfillment id."""
        with self.lock:
            order = self.state.order(order_id)
            wanted = lines or [(item.id, item.quantity) for item in order.items]
            return self.state.fulfil(order_id, wanted, OTHER_KEY).id

    def ship(self, order_id: str, fulfillment_id: str, tracking_number: str) -> None:
        label = {"tracking_number": tracking_number, "tracking_url": "#", "label_url": "#"}
        with self.lock:
            self.state.ship(order_id, fulfillment_id, [label], OTHER_KEY)

    def deliver(self, order_id: str, fulfillment_id: str) -> None:
        with self.lock:
            self.state.deliver(order_id, fulfillment_id)

    def begin_order_edit(self, order_id: str) -> None:
        """Opens an order change: refunds and cancels now act and answer 400."""
        with self.lock:
            self.state.open_change(order_id, "edit", OTHER_KEY)

    def drop_order_edit(self, order_id: str) -> None:
        with self.lock:
            self.state.drop_change(order_id)

    def own_refunds(self) -> list[tuple[str, str, int, str, str, str | None]]:
        """(order id, refund id, amount in minor units, currency, status, note) of every refund record."""
        with self.lock:
            return [
                (order.id, refund.id, minor_units(refund.amount, currency), currency, "completed", refund.note)
                for order in self.state.orders.values()
                for currency in (order.currency.upper(),)
                for payment in order.payments
                for refund in payment.refunds
            ]

    def own_cancels(self) -> list[tuple[str, datetime, None]]:
        """(order id, when, reason): this platform keeps no reason."""
        with self.lock:
            orders = self.state.orders.values()
            return [(order.id, order.canceled_at, None) for order in orders if order.canceled_at]

    def own_parcels(self) -> list[tuple[str, str, str, dict[str, int], str | None]]:
        """(order id, parcel id, packed|shipped|delivered|cancelled, units by line item id, tracking number)."""
        with self.lock:
            return [
                (
                    order.id,
                    parcel.id,
                    parcel.state,
                    {item_id: quantity for _, item_id, quantity in parcel.lines},
                    parcel.labels[0].tracking_number if parcel.labels else None,
                )
                for order in self.state.orders.values()
                for parcel in order.fulfillments
            ]

    # The kit's hooks.

    def authenticate(self, request: Request) -> None:
        if request.path == "/health":
            return
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic" and value:
            try:
                decoded = base64.b64decode(value, validate=True).decode()
            except (ValueError, UnicodeDecodeError):
                decoded = value
            if SECRET_KEY in (decoded, decoded.removesuffix(":"), value):
                return
        if scheme.lower() == "bearer":
            if value == JWT:
                return
            if value.startswith("sk_"):
                raise HttpError(Reply(401, {"message": _KEY_AS_BEARER}))
        raise HttpError(Reply(401, {"message": "Unauthorized"}))

    def not_found(self, request: Request) -> Reply:
        page = _HTML_404.format(method=request.method, path=request.path)
        return Reply(404, page, content_type="text/html; charset=utf-8")

    def broken(self, request: Request) -> Reply:
        body = {"code": "unknown_error", "type": "unknown_error", "message": "An unknown error occurred."}
        return Reply(500, body)

    def copy_visible_state(self) -> Any:
        return self.state.copy()

    def show_state(self, state: Any) -> Any:
        shown, self.state.orders = self.state.orders, state
        return shown

    def _dispatch(self, request: Request) -> Reply:
        if len(request.body) > _LARGEST_BODY:
            return Reply(413, {"message": "request entity too large", "type": "unknown_error"})
        try:
            return super()._dispatch(request)
        except Rule as said:
            return Reply(said.status, {"type": said.kind, "message": said.message})
        except ServerError:
            return self.broken(request)

    def _caller(self, request: Request) -> str:
        """Who a record says made it: the key's own id, or a user's with a JWT."""
        is_key = request.headers.get("authorization", "").lower().startswith("basic")
        return OWN_KEY_ID if is_key else PERSON
