"""A shop in memory that keeps state and can lie: for scenarios about the protocol, not about any platform."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from ordersync.connector import (
    CancelRequest,
    CaptureRequest,
    Connector,
    Feed,
    Page,
    RawOrder,
    Receipt,
    RefundRequest,
    ShopFacts,
    ShopSettings,
    Window,
)
from ordersync.engine.shops import Normalised, Shop
from ordersync.errors import NotFound, OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.model import Cancellation, Order, Progress, Refund, RefundState
from ordersync.model.semantics import Semantics

ANSWERS = ("ok", "unknown_done", "unknown_not_done", "not_sent", "refused", "late", "unauthorized")


class FakeConnector:
    platform: ClassVar[str] = "fake"
    version: ClassVar[str] = "1"
    Settings: ClassVar[type[ShopSettings]] = ShopSettings
    feeds: ClassVar[tuple[Feed, ...]] = ()
    semantics: ClassVar[Semantics] = Semantics(
        cancel_refunds="all", cancel_restocks="unknown", refund_token_field="note"
    )
    mapping: ClassVar[str] = "fake"

    def __init__(self, shop: str, settings: ShopSettings | None = None) -> None:
        self.shop = shop
        self.orders: dict[str, Order] = {}
        self.answers: list[str] = []
        """How the next writes are answered; "ok" when empty."""
        self.hidden: list[Order] = []
        self.calls: list[str] = []
        self.open_changes: list[str] = []
        self.shows_status = True
        """False: completing, archiving and cancelling leave no trace in the order."""

    def check(self) -> ShopFacts:
        return ShopFacts()

    def close(self) -> None:
        self.calls.append("close")

    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        return Page()

    def blockers(self, order_id: str) -> Sequence[str]:
        return list(self.open_changes)

    def fetch(self, order_id: str) -> RawOrder:
        if order_id not in self.orders:
            raise NotFound("no such order", shop=self.shop, order=order_id)
        shown = next((o for o in self.hidden if o.order_id == order_id), self.orders[order_id])
        return RawOrder(order_id=order_id, payload=shown.model_dump_json().encode(), sent_at=datetime.now(UTC))

    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        order = self.orders[order_id]
        record = Refund(
            id=f"{self.shop}-refund-{len(order.refunds or ()) + 1}",
            status=RefundState.COMPLETED,
            amount=request.amount,
            note=f"{request.reason} {request.token}",
            payment_id=request.payment_id,
            created_at=datetime.now(UTC),
        )
        after = order.model_copy(update={"refunds": (*(order.refunds or ()), record)})
        return self._answer("refund", order, after, record.id)

    def cancel(self, order_id: str, request: CancelRequest, key: str) -> Receipt:
        order = self.orders[order_id]
        after = order.model_copy(update={"cancellation": Cancellation(cancelled_at=datetime.now(UTC))})
        return self._answer("cancel", order, after if self.shows_status else order, None)

    def capture(self, order_id: str, request: CaptureRequest, key: str) -> Receipt:
        order = self.orders[order_id]
        done = tuple(
            p.model_copy(update={"captured": p.captured + (request.amount or (p.amount - p.captured))})
            if p.id == request.payment_id
            else p
            for p in order.payments or ()
        )
        return self._answer("capture", order, order.model_copy(update={"payments": done}), request.payment_id)

    def complete(self, order_id: str, key: str) -> Receipt:
        order = self.orders[order_id]
        after = order.model_copy(update={"progress": Progress.COMPLETED})
        return self._answer("complete", order, after if self.shows_status else order, None)

    def archive(self, order_id: str, key: str) -> Receipt:
        order = self.orders[order_id]
        after = order.model_copy(update={"archived": True})
        return self._answer("archive", order, after if self.shows_status else order, None)

    def _answer(self, call: str, before: Order, after: Order, ref: str | None) -> Receipt:
        self.calls.append(call)
        how = self.answers.pop(0) if self.answers else "ok"
        if how == "not_sent":
            raise Transient("no connection", shop=self.shop)
        if how == "refused":
            raise Refused("the platform says no", shop=self.shop)
        if how == "unauthorized":
            raise Unauthorized("the key was revoked", shop=self.shop)
        if how == "unknown_not_done":
            raise OutcomeUnknown("no answer", shop=self.shop)
        self.orders[after.order_id] = after
        if how == "late":
            self.hidden.append(before)
        if how == "unknown_done":
            raise OutcomeUnknown("no answer", shop=self.shop)
        return Receipt(platform_ref=ref)


def fake_shop(name: str, *orders: Order) -> tuple[Shop, FakeConnector]:
    connector = FakeConnector(name)
    connector.orders = {order.order_id: order for order in orders}

    def normalise(raw: RawOrder) -> Normalised:
        return Normalised(Order.model_validate_json(raw.payload), raw.payload)

    typed: Connector = connector
    shop = Shop(
        name=name,
        connector=typed,
        capabilities=frozenset({"refund", "cancel", "capture", "blockers"}),
        semantics=connector.semantics,
        normalise=normalise,
    )
    return shop, connector


class FakeClock:
    def __init__(self, start: datetime | None = None) -> None:
        self.now = start or datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)
