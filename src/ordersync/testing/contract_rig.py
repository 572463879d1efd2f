"""One case's stage: the platform, a proxy before it, the connector on the proxy, and how writes are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import stamina

from ordersync.bootstrap import normaliser_of
from ordersync.connector import (
    WRITE_CALLS,
    CancelRequest,
    CaptureRequest,
    Connector,
    DeliverRequest,
    LineQuantity,
    PackRequest,
    Page,
    RawOrder,
    Receipt,
    RefundRequest,
    ShipRequest,
    ShopSettings,
    Window,
    capabilities,
)
from ordersync.errors import BrokenAnswer, OrdersyncError
from ordersync.model import Fulfillment, FulfillmentState, Money, Order
from ordersync.testing.bench import Bench, Truth
from ordersync.testing.proxy import FaultProxy
from ordersync.testing.sandbox import Reply, Request, Sandbox, SandboxServer, route

TOKEN = "os-7k2m9qab"  # noqa: S105  # the mark of a fact, no secret
KEY = "k-contract-1"
REFUND_MINOR = 500
TRACKING = "6400 1234 5678".replace(" ", "")
MOST_PAGES = 400
PROXY_ANSWERS = "proxy_answers"
VISIBLE_WITHIN_S = 30.0
"""How long a platform may take to show what it accepted."""


_Case = TypeVar("_Case", bound=Callable[..., None])


def proxy_answers(case: _Case) -> _Case:
    """Marks a case in which the suite's proxy answers what the case is about, and the platform never sees it."""
    vars(case)[PROXY_ANSWERS] = True
    return case


class Elsewhere(Sandbox):
    """Another host: nothing of ours may ever arrive here."""

    platform = "elsewhere"

    def not_found(self, request: Request) -> Reply:
        return Reply(200, {"order": {}, "orders": []})

    @route("GET", "/nothing")
    def nothing(self, request: Request) -> Reply:
        return Reply(204)


class Rig:
    """What a case works with. `connector` speaks through `proxy`; `direct` does not."""

    def __init__(self, bench: Bench, stack: ExitStack) -> None:
        self.bench = bench
        self._stack = stack
        self.proxy = FaultProxy(bench.origin)
        stack.callback(self.proxy.close)
        self.origin = stack.enter_context(SandboxServer(self.proxy)).origin
        self.settings = bench.settings(self.origin)
        self.connector = self.another()
        self.direct = self.another(bench.origin)
        self._normalise = _normaliser(self.connector, self.settings)

    def another(self, origin: str | None = None) -> Connector:
        """A new connector on the proxy, or on `origin`."""
        settings = self.settings if origin is None else self.bench.settings(origin)
        made = self.bench.connect(settings)
        self._stack.callback(made.close)
        return made

    @property
    def can(self) -> frozenset[str]:
        return capabilities(self.connector)

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(call for call in WRITE_CALLS if call in self.can)

    def needs(self, call: str) -> None:
        """End the case here when the connector does not have this call: another case says that it has not."""
        if call not in self.can:
            pytest.skip(f"{self.connector.platform} has no {call}")

    # Reading.

    def order(self, order_id: str) -> Order:
        """The order as the engine would see it, read past the proxy."""
        return self.normalise(self.direct.fetch(order_id))

    def normalise(self, raw: RawOrder) -> Order:
        order: Order = self._normalise(raw).order
        return order

    def until(self, order_id: str, holds: Callable[[Order], bool]) -> Order:
        """The order once `holds`, or as it is after VISIBLE_WITHIN_S."""
        end = time.monotonic() + VISIBLE_WITHIN_S
        order = self.order(order_id)
        while not holds(order) and time.monotonic() < end and self.direct.semantics.visibility_lag:
            time.sleep(0.2)
            order = self.order(order_id)
        return order

    def truth(self, order_id: str) -> Truth:
        return self.bench.truth(order_id)

    @property
    def window(self) -> Window:
        """From a day before the platform's now: everything the suite places."""
        return Window(since=self.bench.now - timedelta(days=1))

    def pages(
        self,
        feed: str,
        connector: Connector | None = None,
        cursor: str | None = None,
        window: Window | None = None,
    ) -> Iterator[Page]:
        """Every page of a whole pass, from a cursor on. As the engine, it takes a cursor that came before for a
        broken answer. AssertionError when it does not end."""
        asked, window = connector or self.connector, window or self.window
        known = {cursor}
        for _ in range(MOST_PAGES):
            page = asked.pull(feed, window, cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in known:
                raise BrokenAnswer(f"{feed}: a cursor came twice", code="repeated_cursor")
            known.add(cursor)
        raise AssertionError(f"{feed} did not end within {MOST_PAGES} pages")

    def error(self, call: Callable[[], object]) -> OrdersyncError:
        """The error of `call`, which must be one of ours and tell no secret."""
        with pytest.raises(OrdersyncError) as caught:
            call()
        told = f"{caught.value!r} {caught.value} {caught.value.fields()}"
        for secret in self.bench.secrets:
            assert secret not in told, "the error tells a secret"
        return caught.value

    # Writing.

    def prepare(self, call: str) -> tuple[str, Callable[[Connector], Receipt]]:
        """An order on which `call` is possible, and the call itself, to be made by any connector."""
        order_id = self.bench.ready_for(call)
        if call in ("ship", "deliver") and self.direct.semantics.ship_needs_pack:
            self._do("pack", order_id)
        if call == "deliver":
            self._do("ship", order_id)
        request = self.request(call, self.order(order_id))
        self.proxy.clear()

        def send(connector: Connector, key: str = KEY) -> Receipt:
            receipt: Receipt = getattr(connector, call)(order_id, *request, key)
            return receipt

        return order_id, send

    def _do(self, call: str, order_id: str) -> None:
        getattr(self.direct, call)(order_id, *self.request(call, self.order(order_id)), f"{KEY}-{call}")

    def request(self, call: str, order: Order) -> tuple[Any, ...]:
        """The arguments of a write between order id and key, possible on this order."""
        semantics = self.direct.semantics
        if call == "cancel":
            return (CancelRequest(reason="contract", token=TOKEN),)
        if call == "refund":
            return (self.refund(order),)
        if call == "capture":
            return (CaptureRequest(payment_id=(order.payments or ())[0].id),)
        if call == "pack":
            tracking = {"carrier": "cj", "tracking_number": TRACKING} if semantics.tracking_at_pack else {}
            return (PackRequest(lines=one_unit(order), token=TOKEN, **tracking),)
        if call == "ship":
            at_ship = semantics.tracking and not semantics.tracking_at_pack
            tracking = {"carrier": "cj", "tracking_number": TRACKING} if at_ship else {}
            packed = self._parcel(order, FulfillmentState.PACKED) if semantics.ship_needs_pack else None
            lines = one_unit(order) if packed is None else inside(packed)
            parcel_id = packed.id if packed else None
            return (ShipRequest(fulfillment_id=parcel_id, lines=lines, token=TOKEN, **tracking),)
        if call == "deliver":
            return (DeliverRequest(fulfillment_id=self._parcel(order, FulfillmentState.SHIPPED).id),)
        return ()

    def refund(self, order: Order, minor: int = REFUND_MINOR, **more: Any) -> RefundRequest:
        payment = next((p for p in order.payments or () if p.captured.amount_minor > 0), None)
        named = payment.id if payment and self.direct.semantics.refund_names_payment else None
        asked = {"payment_id": named, "reason": "contract", "token": TOKEN, **more}
        return RefundRequest(amount=Money(amount_minor=minor, currency=order.money_currency), **asked)

    def _parcel(self, order: Order, state: FulfillmentState) -> Fulfillment:
        return next(parcel for parcel in order.fulfillments or () if parcel.status is state)


def one_unit(order: Order) -> tuple[LineQuantity, ...]:
    """One unit of the order's first line."""
    return (LineQuantity(line_item_id=(order.line_items or ())[0].id, quantity=1),)


def inside(parcel: Fulfillment) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_item_id=x.line_item_id, quantity=x.quantity) for x in parcel.lines or ())


def names_of(order: Order) -> tuple[str, ...]:
    """Every id by which an answer can say which order it is about."""
    return (
        order.order_id,
        *(payment.id for payment in order.payments or ()),
        *(parcel.id for parcel in order.fulfillments or ()),
        *(line.id for line in order.line_items or ()),
    )


def of_another(names: tuple[str, ...]) -> Callable[[Request, Reply], Reply]:
    """An answer as it would be about another order: every id in it ends differently."""

    def changed(_: Request, reply: Reply) -> Reply:
        body = reply.body
        for name in names:
            twin = name[:-1] + ("7" if name[-1] != "7" else "3")
            body = body.replace(name.encode(), twin.encode())
        assert body != reply.body, "the answer names nothing of the order"
        reply.body = body
        return reply

    return changed


def no_such(platform_id: str) -> str:
    """An id of the same form that names nothing."""
    return platform_id[:-4] + ("0000" if platform_id[-4:] != "0000" else "1111")


Normaliser = Callable[[RawOrder], Any]
_NORMALISERS: dict[str, Normaliser] = {}


def _normaliser(connector: Connector, settings: ShopSettings) -> Normaliser:
    """Kept between cases: reading a mapping file takes longer than most of them."""
    about = f"{type(connector)} {connector.mapping} {settings.books_only} {settings.exponents}"
    if about not in _NORMALISERS:
        _NORMALISERS[about] = normaliser_of(connector, settings)
    return _NORMALISERS[about]


@contextmanager
def rig_on(bench: Bench) -> Iterator[Rig]:
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        yield Rig(bench, stack)


def status_reply(status: int, said: str) -> Reply:
    """An error answer as platforms of every kind word one, so that each connector finds its words in it."""
    return Reply(
        status,
        {
            "message": said,
            "errors": said,
            "type": "invalid_data",
            "code": "invalid_request_error",
            "error": {"type": "invalid_request_error", "code": "VALIDATION_ERROR", "message": said},
        },
    )
