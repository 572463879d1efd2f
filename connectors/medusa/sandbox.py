"""A loopback Medusa: the admin API as measured on 2.21.2, or in the words of the "Medusa-style admin" description.

`MedusaSandbox(dialect="style")` serves the same state bare, with Java date objects and without a status. What the
description does not say (whether lists page, how they are wrapped) has switches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from ordersync_connectors.medusa import sandbox_seed
from ordersync_connectors.medusa.sandbox_query import (
    DETAIL_DEFAULTS,
    LIST_DEFAULTS,
    NOT_AFTER_A_MOVE,
    PAYMENT_DEFAULTS,
    filter_orders,
    page_of,
    parse_date,
    select,
    sort_and_cut,
    wanted_fields,
)
from ordersync_connectors.medusa.sandbox_records import Collection, Order, Payment
from ordersync_connectors.medusa.sandbox_render import order_document
from ordersync_connectors.medusa.sandbox_rows import change_document, payment_document
from ordersync_connectors.medusa.sandbox_shop import JWT as JWT
from ordersync_connectors.medusa.sandbox_shop import OWN_KEY_ID as OWN_KEY_ID
from ordersync_connectors.medusa.sandbox_shop import PERSON, MedusaShop
from ordersync_connectors.medusa.sandbox_shop import PUBLISHABLE_KEY as PUBLISHABLE_KEY
from ordersync_connectors.medusa.sandbox_shop import SECRET_KEY as SECRET_KEY
from ordersync_connectors.medusa.sandbox_style import style_order, style_payment

from ordersync.testing.sandbox import HttpError, Reply, Request, route

_Row = TypeVar("_Row")
_PaymentRow = tuple[Order, Collection, Payment]
_PAYMENT_PARAMS = frozenset(
    {
        "id",
        "payment_session_id",
        "created_at",
        "updated_at",
        "deleted_at",
        "q",
        "limit",
        "offset",
        "order",
        "fields",
    }
)


_ADDRESS = frozenset(
    (
        *("first_name", "last_name", "company", "phone", "address_1", "address_2", "city", "province"),
        *("postal_code", "country_code", "metadata"),
    )
)


def invalid(message: str) -> HttpError:
    return HttpError(Reply(400, {"type": "invalid_data", "message": f"Invalid request: {message}"}))


class MedusaSandbox(MedusaShop):
    """The routes of one shop, measured bugs included."""

    # Orders.

    @route("GET", "/health")
    def health(self, request: Request) -> Reply:
        return Reply(200, "OK", content_type="text/plain")

    @route("GET", "/admin/orders")
    def list_orders(self, request: Request) -> Reply:
        if self.dialect == "style":
            return self._style_list(
                request, "orders", self._style_orders(), lambda order: style_order(order_document(order))
            )
        rows = filter_orders(self.state.orders.values(), request.query)
        page, limit, offset = sort_and_cut(rows, request.query, 15, getattr, lambda order: order.id)
        wanted = wanted_fields(request.arg("fields"), LIST_DEFAULTS)
        body = [select(order_document(order), wanted) for order in page]
        return Reply(200, {"orders": body, "count": len(rows), "offset": offset, "limit": limit})

    @route("GET", "/admin/orders/{order_id}")
    def get_order(self, request: Request, order_id: str) -> Reply:
        return self._one_order(request, order_id)

    @route("POST", "/admin/orders/{order_id}/cancel")
    def cancel_order(self, request: Request, order_id: str) -> Reply:
        self.state.cancel(order_id, self._caller(request))
        return self._moved_order(request, order_id)

    @route("POST", "/admin/orders/{order_id}/complete")
    def complete_order(self, request: Request, order_id: str) -> Reply:
        self._body(request, allowed=())
        self.state.complete(order_id)
        return self._moved_order(request, order_id)

    @route("POST", "/admin/orders/{order_id}/archive")
    def archive_order(self, request: Request, order_id: str) -> Reply:
        self.state.archive(order_id)
        return self._moved_order(request, order_id)

    # Payments.

    @route("GET", "/admin/payments/payment-providers")
    def list_providers(self, request: Request) -> Reply:
        names = {payment.provider_id for order in self.state.orders.values() for payment in order.payments}
        rows = [{"id": name, "is_enabled": True} for name in sorted(names | {sandbox_seed.SYSTEM_PROVIDER})]
        if self.dialect == "style":
            return self._style_list(request, "payment_providers", rows, dict)
        return Reply(200, {"payment_providers": rows, "count": len(rows), "offset": 0, "limit": 20})

    @route("GET", "/admin/payments")
    def list_payments(self, request: Request) -> Reply:
        everything = [
            (order, collection, payment)
            for order in self.state.orders.values()
            for collection in order.collections
            for payment in collection.payments
        ]
        if self.dialect == "style":
            return self._style_list(request, "payments", everything, self._style_payment)
        rows = self._filter_payments(request, everything)
        page, limit, offset = sort_and_cut(
            rows, request.query, 20, lambda row, name: getattr(row[2], name), lambda row: row[2].id
        )
        wanted = wanted_fields(request.arg("fields"), PAYMENT_DEFAULTS)
        body = [select(payment_document(*row), wanted) for row in page]
        return Reply(200, {"payments": body, "count": len(rows), "offset": offset, "limit": limit})

    @route("GET", "/admin/payments/(?!payment-providers$){payment_id}")
    def get_payment(self, request: Request, payment_id: str) -> Reply:
        """An unknown id answers 200 `{}` [measured]."""
        if self.state.find_payment(payment_id) is None:
            return Reply(200, {})
        return self._one_payment(request, payment_id)

    @route("POST", "/admin/payments/{payment_id}/capture")
    def capture_payment(self, request: Request, payment_id: str) -> Reply:
        body = self._body(request, allowed=("amount",))
        self.state.capture(payment_id, self._amount(body), self._caller(request))
        return self._one_payment(request, payment_id)

    @route("POST", "/admin/payments/{payment_id}/refund")
    def refund_payment(self, request: Request, payment_id: str) -> Reply:
        """Twice the same, with or without an Idempotency-Key, is two refunds."""
        body = self._body(request, allowed=("amount", "refund_reason_id", "note"))
        reason, note = body.get("refund_reason_id"), body.get("note")
        if note is not None and not isinstance(note, str):
            raise invalid("Expected type: 'string' for field 'note', got: 'object'")
        self.state.refund(payment_id, self._amount(body), note, reason, self._caller(request))
        return self._one_payment(request, payment_id)

    # The back office: only in the real dialect.

    @route("POST", "/admin/orders/{order_id}")
    def update_order(self, request: Request, order_id: str) -> Reply:
        self._only_real(request)
        body = self._body(request, allowed=("email", "shipping_address", "billing_address", "locale", "metadata"))
        for name in ("shipping_address", "billing_address"):
            unknown = set(body.get(name) or {}) - _ADDRESS
            if unknown:
                raise invalid(f"Unrecognized fields: '{name}, {min(unknown)}'")
        self.state.update(order_id, body, self._caller(request))
        return self._moved_order(request, order_id)

    @route("GET", "/admin/orders/{order_id}/changes")
    def list_changes(self, request: Request, order_id: str) -> Reply:
        """Oldest first, not paged: `limit` is a 400."""
        self._only_real(request)
        if request.arg("limit") is not None:
            raise invalid("Unrecognized fields: 'limit'")
        order = self.state.order(order_id)
        statuses = request.args("status", "status[]", *(f"status[{index}]" for index in range(9)))
        rows = [change for change in order.changes if not statuses or change.status in statuses]
        return Reply(200, {"order_changes": [change_document(order, change) for change in rows]})

    @route("POST", "/admin/order-edits")
    def begin_edit(self, request: Request) -> Reply:
        self._only_real(request)
        order_id = str(self._body(request, allowed=("order_id",)).get("order_id"))
        change = self.state.open_change(order_id, "edit", None)
        document = change_document(self.state.order(order_id), change)
        return Reply(200, {"order_change": {**document, "deleted_at": None}})

    @route("DELETE", "/admin/order-edits/{order_id}")
    def drop_edit(self, request: Request, order_id: str) -> Reply:
        self._only_real(request)
        self.state.drop_change(order_id)
        return Reply(200, {"id": order_id, "object": "order-edit", "deleted": True})

    @route("POST", "/admin/orders/{order_id}/fulfillments")
    def create_fulfillment(self, request: Request, order_id: str) -> Reply:
        self._only_real(request)
        fields = ("items", "location_id", "shipping_option_id", "no_notification", "metadata")
        body = self._body(request, allowed=fields)
        lines = _items(body)
        self.state.fulfil(order_id, lines, PERSON, body.get("metadata"))
        return self._moved_order(request, order_id)

    @route("POST", "/admin/orders/{order_id}/fulfillments/{fulfillment_id}/shipments")
    def create_shipment(self, request: Request, order_id: str, fulfillment_id: str) -> Reply:
        self._only_real(request)
        body = self._body(request, allowed=("items", "labels", "no_notification", "metadata"))
        labels = body.get("labels") or []
        for place, label in enumerate(labels):
            for name in ("tracking_number", "tracking_url", "label_url"):
                if not isinstance(label.get(name), str):
                    raise invalid(f"Field 'labels, {place}, {name}' is required")
        items = [item_id for item_id, _ in _items(body)]
        self.state.ship(order_id, fulfillment_id, labels, PERSON, items)
        return self._moved_order(request, order_id)

    @route("POST", "/admin/orders/{order_id}/fulfillments/{fulfillment_id}/mark-as-delivered")
    def mark_delivered(self, request: Request, order_id: str, fulfillment_id: str) -> Reply:
        self._only_real(request)
        self._body(request, allowed=())
        self.state.deliver(order_id, fulfillment_id)
        return self._moved_order(request, order_id)

    @route("POST", "/admin/orders/{order_id}/fulfillments/{fulfillment_id}/cancel")
    def cancel_parcel(self, request: Request, order_id: str, fulfillment_id: str) -> Reply:
        self._only_real(request)
        self.state.cancel_fulfillment(order_id, fulfillment_id)
        return self._moved_order(request, order_id)

    # Inside.

    def _one_order(self, request: Request, order_id: str) -> Reply:
        document = order_document(self.state.order(order_id))
        if self.dialect == "style":
            return Reply(200, style_order(document))
        return Reply(200, {"order": select(document, wanted_fields(request.arg("fields"), DETAIL_DEFAULTS))})

    def _moved_order(self, request: Request, order_id: str) -> Reply:
        """The answer of a call below one order: without its words for payment and parcels [measured]."""
        reply = self._one_order(request, order_id)
        if self.dialect == "medusa":
            for name in NOT_AFTER_A_MOVE:
                if name not in (request.arg("fields") or ""):
                    reply.body["order"].pop(name, None)
        return reply

    def _one_payment(self, request: Request, payment_id: str) -> Reply:
        row = self.state.payment(payment_id)
        if self.dialect == "style":
            return Reply(200, self._style_payment(row))
        wanted = wanted_fields(request.arg("fields"), PAYMENT_DEFAULTS)
        return Reply(200, {"payment": select(payment_document(*row), wanted)})

    def _filter_payments(self, request: Request, rows: list[_PaymentRow]) -> list[_PaymentRow]:
        """`id` and dates; a parameter it does not know is a 400."""
        for name, text in request.query:
            field, _, rest = name.partition("[")
            if field not in _PAYMENT_PARAMS:
                raise invalid(f"Unrecognized fields: '{field}'")
            if field == "id" and rest.startswith("$"):
                raise invalid("Expected type: 'string, array' for field 'id', got: '[object Object]'")
            if field in ("created_at", "updated_at"):
                moment, operator = parse_date(text), rest.rstrip("]") or "$eq"
                rows = [row for row in rows if _in_order(getattr(row[2], field), operator, moment)]
        ids = request.args("id", "id[]")
        return [row for row in rows if row[2].id in ids] if ids else rows

    def _style_orders(self) -> list[Order]:
        """Newest first: the description does not say, and a connector must not rely on either."""
        orders = [order for order in self.state.orders.values() if not order.is_draft]
        return sorted(orders, key=lambda order: order.id, reverse=True)

    def _style_payment(self, row: _PaymentRow) -> dict[str, Any]:
        return style_payment(order_document(row[0]), payment_document(*row))

    def _style_list(
        self, request: Request, name: str, rows: Sequence[_Row], write: Callable[[_Row], dict[str, Any]]
    ) -> Reply:
        count = len(rows)
        if self.honours_paging:
            limit, offset = page_of(request.query, 15)
            rows = rows[offset : offset + limit]
        written = [write(row) for row in rows]
        return Reply(200, written if self.list_form == "array" else {name: written, "count": count})

    def _only_real(self, request: Request) -> None:
        if self.dialect == "style":
            raise HttpError(self.not_found(request))

    def _body(self, request: Request, allowed: tuple[str, ...] | None = None) -> dict[str, Any]:
        try:
            body = request.json() or {}
        except ValueError:
            message = "Unexpected token in JSON at position 0"
            raise HttpError(Reply(400, {"type": "invalid_data", "message": message})) from None
        unknown = [name for name in body if allowed is not None and name not in allowed]
        if unknown:
            raise invalid(f"Unrecognized fields: '{unknown[0]}'")
        result: dict[str, Any] = body
        return result

    def _amount(self, body: dict[str, Any]) -> Decimal | None:
        """A JSON number above zero, or absent."""
        amount = body.get("amount")
        if amount is None:
            return None
        if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
            raise invalid(f"Expected type: 'number' for field 'amount', got: '{amount}'")
        if amount <= 0:
            raise invalid("Value for field 'amount' too small, expected at least: '0'")
        return Decimal(amount)


def _items(body: dict[str, Any]) -> list[tuple[str, int]]:
    """`items` of a parcel's calls: at least one, ids as text, quantities as numbers."""
    rows = body.get("items")
    if not isinstance(rows, list):
        raise invalid("Field 'items' is required")
    if not rows:
        raise invalid("Value for field 'items' too small, expected at least: '1'")
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise invalid(f"Field 'items, {place}, id' is required")
        if not isinstance(row.get("quantity"), int) or isinstance(row["quantity"], bool):
            raise invalid(f"Expected type: 'number' for field 'items, {place}, quantity', got: 'object'")
    if "no_notification" in body and not isinstance(body["no_notification"], bool):
        raise invalid("Expected type: 'boolean' for field 'no_notification', got: 'object'")
    return [(row["id"], row["quantity"]) for row in rows]


def _in_order(have: datetime, operator: str, want: datetime) -> bool:
    return {
        "$gt": have > want,
        "$gte": have >= want,
        "$lt": have < want,
        "$lte": have <= want,
        "$eq": have == want,
    }.get(operator, True)
