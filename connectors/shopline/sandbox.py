"""A SHOPLINE store on loopback: state, paging, partial answers, the queue of 40, and the unknowns as switches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import urlencode

from ordersync.testing.sales import SaleSpec, sales
from ordersync.testing.sandbox import Fault, HttpError, Reply, Request, Sandbox, SandboxServer, route

from .sandbox_answers import cancel_answer, fulfillment_answer, refund_answer, update_answer
from .sandbox_list import count, list_page
from .sandbox_orders import JsonObject
from .sandbox_records import RefundedLine, minor_of, parcels_of
from .sandbox_seed import place_mixed
from .sandbox_state import OwnCancel, OwnRefund, Problem, Row, ShoplineState, Unknowns

QUEUE_DEPTH = 40
_NINE_DAYS = timedelta(days=9)


class ShoplineSandbox(Sandbox):
    platform: ClassVar[str] = "shopline"
    base_path: ClassVar[str] = "/admin/openapi/v20250601"

    def __init__(
        self,
        *,
        seed: int = 1,
        now: Callable[[], datetime] | None = None,
        name: str = "Tea Sandbox",
        currency: str = "USD",
        handle: str = "open001",
        **unknowns: Any,
    ) -> None:
        """`unknowns` are the fields of `Unknowns`; `self.unknowns` may also be changed later."""
        super().__init__(seed=seed, now=now)
        known = {field.name for field in fields(Unknowns)}
        if not known >= unknowns.keys():
            raise ValueError(f"no such switch: {', '.join(sorted(unknowns.keys() - known))}")
        self.name, self.currency, self.handle = name, currency, handle
        self.unknowns = Unknowns(**unknowns)
        self.state = ShoplineState(
            now=self.now, dice=self.random, unknowns=self.unknowns, currency=currency, handle=handle
        )
        self.token = f"sandbox-token-{self.random.getrandbits(64):016x}"
        self.scopes = {"read_orders", "write_orders", "read_store_information"}
        self.store_state = 2
        self.on_list: Callable[[Request], None] | None = None
        """Called before each page of a list is made: what happens on a shop while it is being paged through."""
        self.requests_per_s: float | None = None
        """The platform's own limit (4 a second): requests that fit the queue wait, the excess gets 429."""
        self._queue_free_at = time.monotonic()
        self._trace = 0
        self._seed = seed

    # For tests, the demo and `ordersync sandbox`.

    def settings_for(self, server: SandboxServer) -> dict[str, Any]:
        """The configuration keys of this shop. No lag: the sandbox lists a change at once."""
        return {
            "connector": self.platform,
            "handle": self.handle,
            "api_version": self.base_path.rpartition("/")[2],
            "token": self.token,
            "base_url": server.base_url,
            "lag_seconds": 0,
            "rate": "500/s",
        }

    def seed_orders(self, n: int, *, first_number: int = 1001, end: datetime | None = None) -> list[str]:
        """`n` mixed orders, the last of them placed nine days before `end` (now); returns their ids."""
        specs = list(
            sales(self._seed, n, currency=self.currency, provider="SLpayments", first_number=first_number)
        )
        if not specs:
            return []
        until = end or self.now().astimezone(UTC).replace(microsecond=0)
        shift = until - specs[-1].placed_at
        with self.lock:
            moved = [replace(spec, placed_at=spec.placed_at + shift - _NINE_DAYS) for spec in specs]
            return place_mixed(self.state, moved)

    def add_sale(self, spec: SaleSpec) -> str:
        with self.lock:
            return self.state.place(self.state.sale(spec))

    def order(self, order_id: str) -> JsonObject:
        """The order as a list shows it now."""
        with self.lock:
            return self.state.row(order_id).payload

    def refund(self, order_id: str, amount_minor: int, **more: Any) -> str:
        """A person refunds in the admin; returns the refund id. See `ShoplineState.refund`."""
        with self.lock:
            return str(self.state.refund(order_id, amount_minor, **more)["id"])

    def settle_refund(self, order_id: str, refund_id: str, status: str = "success") -> None:
        with self.lock:
            self.state.settle_refund(order_id, refund_id, status)

    def cancel(self, order_id: str, **more: Any) -> None:
        with self.lock:
            self.state.cancel(order_id, **more)

    def ship(self, order_id: str, quantities: dict[str, int] | None = None, **more: Any) -> str:
        with self.lock:
            return str(self.state.ship(order_id, quantities, **more)["id"])

    def unship(self, order_id: str, fulfillment_id: str) -> None:
        """A person cancels a parcel: it stays in the list, and its units can be sent again."""
        with self.lock:
            self.state.unship(order_id, fulfillment_id)

    def archive(self, order_id: str, *, hidden: bool = True) -> None:
        with self.lock:
            self.state.archive(order_id, hidden=hidden)

    def touch(self, order_id: str, *, at: datetime | None = None) -> None:
        """Something changed that we do not model: only `updated_at` moves."""
        with self.lock:
            self.state.update(order_id, {}, at=at)

    def own_refunds(self) -> list[OwnRefund]:
        with self.lock:
            return self.state.own_refunds()

    def own_cancels(self) -> list[OwnCancel]:
        with self.lock:
            return self.state.own_cancels()

    def own_parcels(self) -> list[tuple[str, str, str, dict[str, int], str | None]]:
        with self.lock:
            return [parcel for row in self.state.rows.values() for parcel in parcels_of(row.payload)]

    # The kit's hooks.

    def authenticate(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise HttpError(Reply(401, {"errors": "Invalid access token"}))
        if request.method in ("POST", "PUT") and not request.headers.get("content-type", "").startswith(
            "application/json"
        ):
            raise HttpError(Reply(400, {"errors": "Content-Type must be application/json; charset=utf-8"}))

    def not_found(self, request: Request) -> Reply:
        return Reply(404, {"errors": "Not Found"})

    def set_quota(self, per_s: float | None, burst: int = 40) -> None:
        """The platform's leaky bucket: its depth is fixed, `burst` changes nothing."""
        with self.lock:
            self.requests_per_s = per_s

    def over_quota(self, request: Request, fault: Fault | None) -> Reply:
        """Says nothing about when to come back."""
        headers = {} if fault is None or fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return Reply(429, {"errors": "Too many request"}, headers)

    def broken(self, request: Request) -> Reply:
        return Reply(500, {"errors": "Internal Server Error"})

    def copy_visible_state(self) -> dict[str, Row]:
        return dict(self.state.rows)

    def show_state(self, state: Any) -> dict[str, Row]:
        return self.state.show(state)

    def answer(self, request: Request) -> tuple[Reply | None, str]:
        if not request.path.startswith("/_sandbox/") and not self._queued():
            with self.lock:
                self.log.append(request)
            reply: Reply | None = self.over_quota(request, None)
            how = "whole"
        else:
            reply, how = super().answer(request)
        if reply is not None:
            with self.lock:
                self._trace += 1
                reply.headers.setdefault("traceid", f"{self._seed:016x}{self._trace:016x}")
        return reply, how

    def _dispatch(self, request: Request) -> Reply:
        try:
            return super()._dispatch(request)
        except Problem as refused:
            return Reply(refused.status, {"errors": refused.text})

    def _queued(self) -> bool:
        """Wait for this request's turn; False when the queue is full."""
        if self.requests_per_s is None:
            return True
        with self.lock:
            now = time.monotonic()
            turn = max(now, self._queue_free_at)
            if (turn - now) * self.requests_per_s >= QUEUE_DEPTH:
                return False
            self._queue_free_at = turn + 1 / self.requests_per_s
        time.sleep(turn - now)
        return True

    # Reading.

    @route("GET", "/merchants/shop.json")
    def get_store(self, request: Request) -> Reply:
        self._scope("read_store_information")
        store = {
            "id": self.state.store_id,
            "merchant_id": "4201057379",
            "name": self.name,
            "domain": f"{self.handle}.myshopline.com",
            "currency": self.currency,
            "iana_timezone": "Asia/Hong_Kong",
            "location_country_code": "HK",
            "biz_store_status": self.store_state,
        }
        return Reply(200, {"data": store})

    @route("GET", "/orders.json")
    def list_orders(self, request: Request) -> Reply:
        self._scope("read_orders")
        if self.on_list is not None:
            self.on_list(request)
        ids, following, previous = list_page(self.state, request)
        links = []
        host = request.headers.get("host", "127.0.0.1")
        for page_info, relation in ((following, "next"), (previous, "previous")):
            if page_info:
                query = urlencode({"limit": request.arg("limit") or 20, "page_info": page_info})
                links.append(f'<http://{host}{self.base_path}/orders.json?{query}>; rel="{relation}"')
        body = b'{"orders":[' + b",".join(self.state.rows[order_id].bytes() for order_id in ids) + b"]}"
        return Reply(200, body, {"link": ",".join(links)} if links else {})

    @route("GET", "/orders/count.json")
    def count_orders(self, request: Request) -> Reply:
        self._scope("read_orders")
        return Reply(200, {"count": count(self.state, request)})

    @route("GET", "/orders/{order_id}/refunds.json")
    def list_refunds(self, request: Request, order_id: str) -> Reply:
        self._scope("read_orders")
        return Reply(200, {"refunds": self.state.row(order_id).payload["refunds"]})

    @route("GET", "/orders/{order_id}/refunds/{refund_id}.json")
    def get_refund(self, request: Request, order_id: str, refund_id: str) -> Reply:
        self._scope("read_orders")
        for record in self.state.row(order_id).payload["refunds"]:
            if record["id"] == refund_id:
                return Reply(200, {"refund": record})
        raise Problem(404, "The refund does not exist.")

    @route("GET", "/orders/{order_id}/fulfillments.json")
    def list_fulfillments(self, request: Request, order_id: str) -> Reply:
        self._scope("read_orders")
        return Reply(200, {"fulfillments": self.state.row(order_id).payload["fulfillments"]})

    @route("POST", "/transactions/query.json")
    def query_transactions(self, request: Request) -> Reply:
        self._scope("read_orders")
        order_id = _field(_body(request), "order_id")
        return Reply(200, {"transaction_list": self.state.row(order_id).payload["payment_details"]})

    # Writing. No call has an idempotency key.

    @route("POST", "/orders/{order_id}/cancel.json")
    def post_cancel(self, request: Request, order_id: str) -> Reply:
        self._scope("write_orders")
        body = _body(request)
        for name, kind in (("email", bool), ("restock", bool), ("cancel_reason", str), ("currency", str)):
            if name in body and not isinstance(body[name], kind):
                raise Problem(400, f"{name} has the wrong type")
        amount, currency = body.get("amount"), body.get("currency")
        if amount is not None and (isinstance(amount, str | bool) or not isinstance(amount, int | Decimal)):
            raise Problem(400, "amount has the wrong type")
        order = self.state.row(order_id).payload
        if currency is not None and currency != order["currency"]:
            raise Problem(422, f"currency must be {order['currency']}")
        minor = None if amount is None else minor_of(amount, order["currency"])
        record = self.state.cancel(
            order_id,
            reason=body.get("cancel_reason"),
            restock=body.get("restock", False),
            amount_minor=minor,
        )
        return Reply(200, {"order": cancel_answer(self.state.row(order_id).payload, record)})

    @route("POST", "/order/refund.json")
    def post_refund(self, request: Request) -> Reply:
        self._scope("write_orders")
        body = _body(request)
        order_id = _field(body, "order_id")
        order = self.state.row(order_id).payload
        moves = body.get("transactions")
        if not isinstance(moves, list) or len(moves) != 1 or not isinstance(moves[0], dict):
            raise Problem(400, "transactions is required")
        move = moves[0]
        slip_id, amount = _field(move, "id"), _field(move, "amount")
        slip = next((slip for slip in order["payment_details"] if slip["pay_seq"] == slip_id), None)
        if slip is not None and move.get("currency") not in (None, slip["settle_currency"]):
            raise Problem(
                400, f"the input currency must be the settlement currency of the payment:{slip['settle_currency']}"
            )
        if not isinstance(move.get("type", False), bool):
            raise Problem(400, "type has the wrong type")
        try:
            minor = minor_of(amount, order["currency"])
        except (ArithmeticError, ValueError):
            raise Problem(400, "amount is invalid") from None
        record = self.state.refund(
            order_id,
            minor,
            note=body.get("note"),
            payment_id=slip_id,
            lines=_refunded_lines(body),
            shipping_minor=_shipping_minor(body, order["currency"]),
        )
        return Reply(200, {"data": refund_answer(record, self.state.now())})

    @route("PUT", "/orders/{order_id}/hide_mark.json")
    def put_hide_mark(self, request: Request, order_id: str) -> Reply:
        return self._mark(order_id, hidden=True)

    @route("PUT", "/orders/{order_id}/cancel_hide_mark.json")
    def put_cancel_hide_mark(self, request: Request, order_id: str) -> Reply:
        return self._mark(order_id, hidden=False)

    def _mark(self, order_id: str, *, hidden: bool) -> Reply:
        """An error comes with 200 here."""
        self._scope("write_orders")
        errors = []
        try:
            self.state.archive(order_id, hidden=hidden)
        except Problem as refused:
            if refused.status != 200:
                raise
            errors.append({"code": "HIDE_MARK_ERROR", "message": refused.text, "field": ["id"]})
        answer = update_answer(self.state.row(order_id).payload)
        return Reply(200, {"order": answer, "user_errors": errors})

    @route("PUT", "/orders/{order_id}.json")
    def put_order(self, request: Request, order_id: str) -> Reply:
        self._scope("write_orders")
        stated = _body(request).get("order")
        if not isinstance(stated, dict):
            raise Problem(400, "order is required")
        if "phone" in stated and "area_code" not in stated:
            raise Problem(422, "area_code is required")
        self.state.update(order_id, stated)
        return Reply(200, {"order": update_answer(self.state.row(order_id).payload)})

    @route("DELETE", "/orders/{order_id}.json")
    def delete_order(self, request: Request, order_id: str) -> Reply:
        self._scope("write_orders")
        self.state.delete(order_id)
        return Reply(200, {})

    @route("POST", "/orders/{order_id}/fulfillments.json")
    def post_fulfillment(self, request: Request, order_id: str) -> Reply:
        self._scope("write_orders")
        stated = _body(request).get("fulfillment")
        lines = stated.get("line_items") if isinstance(stated, dict) else None
        if not isinstance(stated, dict) or not isinstance(lines, list):
            raise Problem(400, "line_items is required")
        if not isinstance(stated.get("notify_customer", False), bool):
            raise Problem(400, "notify_customer has the wrong type")
        info = (stated.get("tracking_info_list") or [{}])[0]
        tracking = tuple(str(info.get(f"tracking_{name}") or "") for name in ("company", "number", "url"))
        wanted: dict[str, int] = {}
        for line in lines:
            line_id, quantity = _field(line, "id"), line.get("quantity")
            wanted[line_id] = wanted.get(line_id, 0) + _quantity(quantity)
        parcel = self.state.ship(order_id, wanted, tracking=(tracking[0], tracking[1], tracking[2]))
        return Reply(200, {"fulfillment": fulfillment_answer(self.state.row(order_id).payload, parcel)})

    @route("POST", "/orders/{order_id}/fulfillments/{fulfillment_id}/cancel.json")
    def post_cancel_fulfillment(self, request: Request, order_id: str, fulfillment_id: str) -> Reply:
        """The order id comes first here; the platform's own Go SDK puts it second."""
        self._scope("write_orders")
        return Reply(200, {"fulfillment": self.state.unship(order_id, fulfillment_id)})

    def _scope(self, name: str) -> None:
        if name not in self.scopes:
            raise Problem(403, f"This action requires {name} scope")


def _body(request: Request) -> dict[str, Any]:
    try:
        said = request.json()
    except ValueError:
        raise Problem(400, "The request body is not JSON") from None
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise Problem(400, "The request body must be an object")
    return said


def _refunded_lines(body: Mapping[str, Any]) -> list[RefundedLine]:
    """`refund_line_items` of a refund: ids are numbers here, and each row must say what kind it is."""
    rows = body.get("refund_line_items") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Problem(400, "refund_line_items has the wrong type")
    found = []
    for row in rows:
        line_id, stock = row.get("line_item_id"), row.get("restock_type", "no_restock")
        if not isinstance(line_id, int) or isinstance(line_id, bool):
            raise Problem(400, "line_item_id has the wrong type")
        if row.get("type") not in ("Unshipped", "Returned"):
            raise Problem(400, "type value is illegal")
        if stock not in ("no_restock", "cancel", "return"):
            raise Problem(400, "restock_type value is illegal")
        found.append(RefundedLine(str(line_id), _quantity(row.get("quantity")), row["type"], stock))
    return found


def _shipping_minor(body: Mapping[str, Any], currency: str) -> int:
    shipping = body.get("shipping")
    if shipping is None:
        return 0
    if not isinstance(shipping, dict) or not isinstance(shipping.get("full_refund"), bool):
        raise Problem(400, "shipping has the wrong type")
    try:
        return minor_of(_field(shipping, "amount"), currency)
    except (ArithmeticError, ValueError):
        raise Problem(400, "amount is invalid") from None


def _quantity(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise Problem(400, "quantity must be greater than 0")
    return value


def _field(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Problem(400, f"{name} is required and must be a string")
    return value
