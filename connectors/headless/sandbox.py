"""A headless shop on loopback: state, paging, keys, error bodies, Idempotency-Key, and the unknowns as switches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from ordersync_connectors.headless.paging import CHILDREN, instant
from ordersync_connectors.headless.sandbox_seed import seed_orders
from ordersync_connectors.headless.sandbox_state import (
    Absent,
    Conflict,
    HeadlessState,
    Invalid,
    JsonObject,
    Unknowns,
)

from ordersync.testing.sales import SaleSpec
from ordersync.testing.sandbox import Fault, HttpError, Reply, Request, Sandbox, SandboxServer, encode_body, route

PageQuirk = Literal[
    "repeat_cursor",  # every page after the first leads to itself
    "circle",  # the last page leads back to the first cursor
    "has_more_without_cursor",
    "empty_page",  # says there is more, brings nothing
    "torn_page",  # a whole HTTP answer, half of the JSON
    "ignored_filters",  # every filter is accepted and ignored
]
_KEPT = timedelta(hours=24)


class HeadlessSandbox(Sandbox):
    platform: ClassVar[str] = "headless"
    base_path: ClassVar[str] = "/v1"

    def __init__(
        self,
        *,
        seed: int = 1,
        now: Callable[[], datetime] | None = None,
        name: str = "Web Sandbox",
        **unknowns: Any,
    ) -> None:
        """`unknowns` are the fields of `Unknowns`; `self.unknowns` may also be changed later."""
        super().__init__(seed=seed, now=now)
        known = {field.name for field in fields(Unknowns)}
        if not known >= unknowns.keys():
            raise ValueError(f"no such switch: {', '.join(sorted(unknowns.keys() - known))}")
        self.name = name
        self.currency = "USD"
        self.unknowns = Unknowns(**unknowns)
        self.state = HeadlessState(self.unknowns, self.now)
        self.page_quirks: set[PageQuirk] = set()
        self.secret_key = f"sk_test_sandbox{self.random.getrandbits(64):016x}"
        self.publishable_key = f"pk_test_sandbox{self.random.getrandbits(64):016x}"
        self._seed = seed
        self._replies: dict[str, tuple[datetime, Reply, Request]] = {}

    # For tests, the demo and `ordersync sandbox`

    def settings_for(self, server: SandboxServer) -> dict[str, Any]:
        """The configuration keys of this shop."""
        return {
            "connector": self.platform,
            "base_url": server.base_url,
            "api_key": self.secret_key,
            "publishable_key": self.publishable_key,
            "rate": "500/s",
        }

    def seed_orders(self, n: int, *, first_number: int | None = None, end: datetime | None = None) -> list[str]:
        """`n` orders in every state there is, numbered after those that exist; returns their ids, oldest first."""
        with self.lock:
            if first_number is None:
                first_number = 1 + max(
                    (int(order["number"]) for order in self.state.orders.values()), default=1000
                )
            until = end or self.now().astimezone(UTC).replace(microsecond=0)
            return seed_orders(self.state, n, seed=self._seed, first_number=first_number, end=until)

    def add_sale(self, spec: SaleSpec) -> str:
        with self.lock:
            return self.state.add_sale(spec)

    def own_refunds(self) -> list[tuple[str, str, int, str, str, str | None]]:
        """(order id, refund id, minor units, currency, status, reason) of every refund this shop knows."""
        with self.lock:
            return [
                (order["id"], r["id"], r["amount"]["amount"], r["amount"]["currency"], r["status"], r["reason"])
                for order in self.state.orders.values()
                for r in order["refunds"]
            ]

    def own_cancels(self) -> list[tuple[str, str, str | None]]:
        """(order id, cancelled_at, reason) of every cancelled order."""
        with self.lock:
            return [
                (order["id"], order["cancelled_at"], self.state.cancel_reasons.get(order["id"]))
                for order in self.state.orders.values()
                if order["cancelled_at"]
            ]

    def own_parcels(self) -> list[tuple[str, str, str, dict[str, int], str | None]]:
        """(order id, parcel id, packed|shipped|delivered|cancelled, units by line id, tracking number)."""
        with self.lock:
            return [
                (
                    order["id"],
                    parcel["id"],
                    {"pending": "packed"}.get(parcel["status"], parcel["status"]),
                    {row["order_line_id"]: row["quantity"] for row in parcel["lines"]},
                    parcel["tracking_number"],
                )
                for order in self.state.orders.values()
                for parcel in order["fulfillments"]
            ]

    def copy_visible_state(self) -> Any:
        return copy.deepcopy(self.state.orders)

    def show_state(self, state: Any) -> Any:
        shown, self.state.orders = self.state.orders, state
        return shown

    # Keys and error bodies

    def authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise _error(401, "authentication_error", "MISSING_API_KEY", "No API key provided")
        if key == self.publishable_key:
            if request.path.startswith(f"{self.base_path}/admin/"):
                raise _error(403, "permission_error", "FORBIDDEN", "Secret key required for Admin API")
        elif key != self.secret_key:
            raise _error(401, "authentication_error", "INVALID_API_KEY", "Invalid API key")

    def not_found(self, request: Request) -> Reply:
        return _error(404, "not_found", "RESOURCE_NOT_FOUND", f"No route {request.method} {request.path}").reply

    def over_quota(self, request: Request, fault: Fault | None) -> Reply:
        reply = _error(429, "rate_limit", "RATE_LIMIT_EXCEEDED", "Too many requests").reply
        if fault is not None and fault.retry_after_s is not None:
            reply.headers["Retry-After"] = f"{fault.retry_after_s:g}"
        return reply

    def broken(self, request: Request) -> Reply:
        return _error(500, "server_error", "INTERNAL_ERROR", "Unexpected server error").reply

    def answer(self, request: Request) -> tuple[Reply | None, str]:
        """Only 2xx replies are kept under an Idempotency-Key: one that failed after its effect is not."""
        reply, how = super().answer(request)
        key = request.headers.get("idempotency-key")
        if key and reply is not None and reply.status >= 300:
            with self.lock:
                kept = self._replies.get(key)
                if kept is not None and kept[2] is request:
                    del self._replies[key]
        return reply, how

    def _post(self, request: Request, act: Callable[[], Any], status: int = 200, *, keyed: bool = True) -> Reply:
        """Run a POST once per Idempotency-Key; the same key replays the first reply, whatever the body says."""
        key = request.headers.get("idempotency-key") if keyed or self.unknowns.replays_every_post else None
        if key:
            kept = self._replies.get(key)
            if kept is not None and self.now() - kept[0] < _KEPT:
                return kept[1]
        try:
            made = act()
        except Absent as absent:
            details = {"resource": absent.resource, "id": absent.record_id}
            raise _error(404, "not_found", "RESOURCE_NOT_FOUND", str(absent), details) from absent
        except Conflict as conflict:
            details = {"from": conflict.before, "to": conflict.after}
            raise _error(409, "conflict", "INVALID_STATE_TRANSITION", str(conflict), details) from conflict
        except Invalid as invalid:
            raise _invalid(invalid.field, str(invalid)) from invalid
        reply = Reply(status, encode_body(made))
        if key:
            self._replies[key] = (self.now(), reply, request)
        return reply

    # Reading

    @route("GET", "/admin/store")
    def get_store(self, request: Request) -> Reply:
        store = {"id": "store_sandbox", "name": self.name, "currency": self.currency, "timezone": "UTC"}
        return Reply(200, {**store, "prices_include_tax": True, "tax_rate": 0})

    @route("GET", "/admin/orders")
    def list_orders(self, request: Request) -> Reply:
        limit_text = request.arg("limit", "20") or ""
        limit = int(limit_text) if limit_text.isdecimal() and limit_text.isascii() else 0
        if not 1 <= limit <= 100:
            raise _invalid("limit", "Must be between 1 and 100")
        found = [order for order in self.state.orders.values() if self._matches(order, request)]
        found.sort(key=lambda order: (order["created_at"], order["id"]), reverse=not self.unknowns.oldest_first)
        start = 0
        after = request.arg("starting_after")
        if after is not None:
            places = [place for place, order in enumerate(found) if order["id"] == after]
            if not places:
                raise _invalid("starting_after", "No such record")
            start = places[0] + 1
        part = found[start : start + limit]
        has_more = start + limit < len(found)
        names = set(CHILDREN) if self.unknowns.list_expanded else set()
        page = {
            "data": [self._shown(order, names) for order in part],
            "total_count": len(found),
            "has_more": has_more,
            "next_cursor": part[-1]["id"] if has_more and part else None,
        }
        return self._with_quirks(page, after, found, limit)

    def _matches(self, order: JsonObject, request: Request) -> bool:
        if "ignored_filters" in self.page_quirks:
            return True
        for name in ("status", "payment_status", "fulfillment_status"):
            wanted = request.arg(name)
            if wanted is not None and order[name] != wanted:
                return False
        placed_at = instant(order["created_at"])
        for name in ("created_after", "created_before"):
            text = request.arg(name)
            if text is None:
                continue
            bound = instant(text)
            if bound is None or placed_at is None:
                raise _invalid(name, "Invalid date-time")
            inside = placed_at > bound if name == "created_after" else placed_at < bound
            if not inside and not (self.unknowns.created_after_inclusive and placed_at == bound):
                return False
        words = (request.arg("q") or "").lower()
        return words in order["email"].lower() or words in str(order["number"])

    def _with_quirks(self, page: JsonObject, after: str | None, found: list[JsonObject], limit: int) -> Reply:
        quirks = self.page_quirks
        if "repeat_cursor" in quirks and after is not None:
            page |= {"has_more": True, "next_cursor": after}
        if "circle" in quirks and not page["has_more"] and len(found) > limit:
            page |= {"has_more": True, "next_cursor": found[limit - 1]["id"]}
        if "has_more_without_cursor" in quirks and page["has_more"]:
            page["next_cursor"] = None
        if "empty_page" in quirks and after is not None:
            page |= {"data": [], "has_more": True, "next_cursor": after + "_on"}
        body = encode_body(page)
        return Reply(200, body[: len(body) // 2] if "torn_page" in quirks else body)

    def _shown(self, order: JsonObject, names: set[str]) -> JsonObject:
        """The order as a reply: arrays only when named, plus what the switches add."""
        shown = {key: value for key, value in order.items() if key not in CHILDREN or key in names}
        if self.unknowns.number_as_text:
            shown["number"] = str(shown["number"])
        if "customer" in names and shown["customer_id"]:
            shown["customer"] = {"id": shown["customer_id"], "email": shown["email"], "status": "active"}
        if self.unknowns.extra_fields:
            shown["currency"] = order["total"]["currency"]
            shown["cancel_reason"] = self.state.cancel_reasons.get(order["id"])
            shown["updated_at"] = order["cancelled_at"] or order["completed_at"] or order["created_at"]
            shown["confirmed_at"] = None
            shown["events"] = [{"type": "order.created", "created_at": order["created_at"]}]
        return copy.deepcopy(shown)

    @route("GET", "/admin/orders/{order_id}")
    def get_order(self, request: Request, order_id: str) -> Reply:
        order = self.state.orders.get(order_id)
        if order is None:
            details = {"resource": "Order", "id": order_id}
            raise _error(404, "not_found", "RESOURCE_NOT_FOUND", f"Order with id '{order_id}' not found", details)
        named = set((request.arg("expand") or "").split(","))
        return Reply(200, self._shown(order, named if self.unknowns.expand_needed else named | set(CHILDREN)))

    @route("GET", "/storefront/orders/lookup")
    def lookup_order(self, request: Request) -> Reply:
        number, email = request.arg("number") or "", request.arg("email")
        if not number.isdecimal():
            raise _invalid("number", "Expected an integer")
        if not email:
            raise _invalid("email", "Required")
        if self.unknowns.lookup_ignores_case:
            email = email.lower()
        for order in self.state.orders.values():
            own = order["email"].lower() if self.unknowns.lookup_ignores_case else order["email"]
            if order["number"] == int(number) and own == email:
                return Reply(200, self._shown(order, set(CHILDREN)))
        raise _error(404, "not_found", "RESOURCE_NOT_FOUND", "Order not found")

    # Changing orders

    @route("PATCH", "/admin/orders/{order_id}")
    def update_order(self, request: Request, order_id: str) -> Reply:
        changes = {k: v for k, v in _body(request).items() if k in ("shipping_address", "note", "metadata")}

        def act() -> JsonObject:
            self.state.order(order_id).update(changes)
            return self._whole(order_id)

        return self._post(request, act, keyed=False)

    @route("POST", "/admin/orders/{order_id}/confirm")
    def confirm(self, request: Request, order_id: str) -> Reply:
        return self._moved(request, order_id, "confirmed", keyed=True)

    @route("POST", "/admin/orders/{order_id}/process")
    def process(self, request: Request, order_id: str) -> Reply:
        return self._moved(request, order_id, "processing")

    @route("POST", "/admin/orders/{order_id}/complete")
    def complete(self, request: Request, order_id: str) -> Reply:
        return self._moved(request, order_id, "completed")

    def _moved(self, request: Request, order_id: str, target: str, *, keyed: bool = False) -> Reply:
        def act() -> JsonObject:
            self.state.move(order_id, target)
            return self._whole(order_id)

        return self._post(request, act, keyed=keyed)

    @route("POST", "/admin/orders/{order_id}/cancel")
    def cancel(self, request: Request, order_id: str) -> Reply:
        reason = _body(request).get("reason")
        if reason is not None and not isinstance(reason, str):
            raise _invalid("reason", "Expected string")

        def act() -> JsonObject:
            self.state.cancel(order_id, reason)
            return self._whole(order_id)

        return self._post(request, act)

    def _whole(self, order_id: str) -> JsonObject:
        return self._shown(self.state.order(order_id), set(CHILDREN))

    # Money

    @route("POST", "/admin/orders/{order_id}/payments")
    def create_payment(self, request: Request, order_id: str) -> Reply:
        body = _body(request)
        amount, provider = _integer(body, "amount"), _string(body, "provider")
        return self._post(request, lambda: self.state.record_payment(order_id, amount, provider), 201)

    @route("POST", "/admin/payments/{payment_id}/complete")
    def complete_payment(self, request: Request, payment_id: str) -> Reply:
        return self._post(request, lambda: self.state.complete_payment(payment_id))

    @route("POST", "/admin/orders/{order_id}/refunds")
    def create_refund(self, request: Request, order_id: str) -> Reply:
        body = _body(request)
        reason, lines = _string(body, "reason"), _lines(body)
        amount = _integer(body, "amount") if lines is None or "amount" in body else None
        restock = body.get("restock", True)
        if not isinstance(restock, bool):
            raise _invalid("restock", "Expected boolean")

        def act() -> JsonObject:
            return self.state.refund(order_id, amount, reason, restock=restock, lines=lines)

        return self._post(request, act, 201)

    # Parcels

    @route("POST", "/admin/orders/{order_id}/fulfillments")
    def create_fulfillment(self, request: Request, order_id: str) -> Reply:
        body = _body(request)
        told = {name: body.get(name) for name in ("carrier", "tracking_number", "tracking_url", "metadata")}
        return self._post(request, lambda: self.state.fulfill(order_id, _lines(body) or [], **told), 201)

    @route("PATCH", "/admin/fulfillments/{fulfillment_id}")
    def update_fulfillment(self, request: Request, fulfillment_id: str) -> Reply:
        names = ("carrier", "tracking_number", "tracking_url")  # metadata too, which no reply shows
        changes = {key: value for key, value in _body(request).items() if key in names}

        def act() -> JsonObject:
            _, parcel = self.state.fulfillment(fulfillment_id)
            parcel.update(changes)
            return parcel

        return self._post(request, act, keyed=False)

    @route("POST", "/admin/fulfillments/{fulfillment_id}/ship")
    def ship(self, request: Request, fulfillment_id: str) -> Reply:
        return self._post(request, lambda: self.state.send(fulfillment_id, "shipped"), keyed=False)

    @route("POST", "/admin/fulfillments/{fulfillment_id}/deliver")
    def deliver(self, request: Request, fulfillment_id: str) -> Reply:
        return self._post(request, lambda: self.state.send(fulfillment_id, "delivered"), keyed=False)


def _error(status: int, kind: str, code: str, message: str, details: Any = None) -> HttpError:
    error: JsonObject = {"type": kind, "code": code, "message": message}
    if details is not None:
        error["details"] = details
    return HttpError(Reply(status, {"error": error}))


def _invalid(field: str, message: str) -> HttpError:
    details = {"field": field, "message": message}
    return _error(400, "invalid_request", "VALIDATION_ERROR", "Validation failed", details)


def _body(request: Request) -> JsonObject:
    if not request.body:
        return {}
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise _invalid("Content-Type", "Must be application/json")
    try:
        body = request.json()
    except ValueError as broken:
        raise _invalid("body", "Invalid JSON") from broken
    if not isinstance(body, dict):
        raise _invalid("body", "Expected object")
    return body


def _integer(body: JsonObject, name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _invalid(name, "Required" if value is None else "Expected integer")
    return value


def _string(body: JsonObject, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(name, "Required" if value is None else "Expected string")
    return value


def _lines(body: JsonObject) -> list[tuple[str, int]] | None:
    lines = body.get("lines")
    if lines is None:
        return None
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise _invalid("lines", "Expected array of objects")
    return [(_string(line, "order_line_id"), _integer(line, "quantity")) for line in lines]
