"""Persons at the shops' admin pages, one kind a platform: they act on the sandbox itself, without marks.

Goods are named by sku, money is in minor units. What a platform has no button for, its person cannot do (`can`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, Protocol

from ordersync.testing.sales import SaleSpec

Units = Mapping[str, int]
"""Units by sku; every sku is on one line of a sale."""

PERSON = "user_01SANDBOXSESSION0000000000"


@dataclass(slots=True)
class DayClock:
    """The time of the day's shops and of ordersync: moved by the story, a millisecond on at every look."""

    at: datetime
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> datetime:
        with self._lock:
            self.at += timedelta(milliseconds=1)
            return self.at

    def move_to(self, moment: datetime) -> None:
        """Forwards only."""
        with self._lock:
            self.at = max(self.at, moment)


class Person(Protocol):
    """Errors: whatever the sandbox refuses with; a story never asks for what its platform would refuse."""

    can: ClassVar[frozenset[str]]

    def place(self, spec: SaleSpec) -> str: ...

    def number(self, order_id: str) -> str: ...

    def pay(self, order_id: str) -> None: ...

    def refund(self, order_id: str, minor: int, *, units: Units, shipping_minor: int, pending: bool) -> str: ...

    def settle(self, order_id: str, refund_id: str, *, well: bool) -> None: ...

    def cancel(self, order_id: str) -> None: ...

    def pack(self, order_id: str, units: Units, tracking: str) -> str: ...

    def send(self, order_id: str, units: Units, parcel_id: str | None, tracking: str) -> str: ...

    def deliver(self, order_id: str, parcel_id: str) -> None: ...

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None: ...

    def complete(self, order_id: str) -> None: ...

    def archive(self, order_id: str, *, hidden: bool) -> None: ...

    def edit(self, order_id: str, text: str) -> None: ...

    def edit_reference(self, order_id: str, text: str) -> None: ...


class _Line(NamedTuple):
    """What the SHOPLINE admin says of a refunded line."""

    line_id: str
    quantity: int
    kind: str
    stock: str = "no_restock"


class _Nothing:
    """The buttons a platform does not have."""

    def settle(self, order_id: str, refund_id: str, *, well: bool) -> None:
        raise LookupError(f"no such button: settle {order_id} {refund_id} {well}")

    def pack(self, order_id: str, units: Units, tracking: str) -> str:
        raise LookupError(f"no such button: pack {order_id} {units} {tracking}")

    def deliver(self, order_id: str, parcel_id: str) -> None:
        raise LookupError(f"no such button: deliver {order_id} {parcel_id}")

    def complete(self, order_id: str) -> None:
        raise LookupError(f"no such button: complete {order_id}")

    def archive(self, order_id: str, *, hidden: bool) -> None:
        raise LookupError(f"no such button: archive {order_id} {hidden}")


class ShoplinePerson(_Nothing):
    can: ClassVar[frozenset[str]] = frozenset({"lines", "shipping", "pending", "archive", "take_back_sent"})

    def __init__(self, sandbox: Any) -> None:
        self._box = sandbox

    def place(self, spec: SaleSpec) -> str:
        return str(self._box.add_sale(spec))

    def number(self, order_id: str) -> str:
        return str(self._box.order(order_id)["name"])

    def pay(self, order_id: str) -> None:
        with self._box.lock:
            self._box.state.pay(order_id)

    def refund(self, order_id: str, minor: int, *, units: Units, shipping_minor: int, pending: bool) -> str:
        order = self._box.order(order_id)
        lines = [
            _Line(line["id"], count, "Unshipped" if line["fulfillable_quantity"] >= count else "Returned")
            for line in order["line_items"]
            if (count := units.get(line["sku"], 0))
        ]
        return str(
            self._box.refund(
                order_id,
                minor,
                note="by a person",
                lines=lines,
                shipping_minor=shipping_minor,
                status="pending" if pending else "success",
            )
        )

    def settle(self, order_id: str, refund_id: str, *, well: bool) -> None:
        self._box.settle_refund(order_id, refund_id, "success" if well else "failure")

    def cancel(self, order_id: str) -> None:
        self._box.cancel(order_id, reason="by a person")

    def send(self, order_id: str, units: Units, parcel_id: str | None, tracking: str) -> str:
        ids = {line["sku"]: line["id"] for line in self._box.order(order_id)["line_items"]}
        lines = {ids[sku]: count for sku, count in units.items()}
        return str(self._box.ship(order_id, lines, tracking=("SF", tracking, "")))

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None:
        self._box.unship(order_id, parcel_id)

    def archive(self, order_id: str, *, hidden: bool) -> None:
        self._box.archive(order_id, hidden=hidden)

    def edit(self, order_id: str, text: str) -> None:
        with self._box.lock:
            self._box.state.update(order_id, {"tags": text})

    def edit_reference(self, order_id: str, text: str) -> None:
        with self._box.lock:
            self._box.state.update(order_id, {"note_attributes": [{"name": "order", "value": text}]})


class MedusaPerson(_Nothing):
    can: ClassVar[frozenset[str]] = frozenset({"pack", "deliver", "complete"})

    def __init__(self, sandbox: Any) -> None:
        self._box = sandbox

    def place(self, spec: SaleSpec) -> str:
        return str(self._box.add_sale(spec).id)

    def number(self, order_id: str) -> str:
        with self._box.lock:
            return str(self._box.state.order(order_id).display_id)

    def pay(self, order_id: str) -> None:
        self._box.capture(order_id)

    def refund(self, order_id: str, minor: int, *, units: Units, shipping_minor: int, pending: bool) -> str:
        """The admin takes an amount, whatever it is for."""
        return str(self._box.refund(order_id, Decimal(minor) / 100, "by a person"))

    def cancel(self, order_id: str) -> None:
        self._box.cancel(order_id)

    def pack(self, order_id: str, units: Units, tracking: str) -> str:
        with self._box.lock:
            ids = {item.sku: item.id for item in self._box.state.order(order_id).items}
        return str(self._box.fulfil(order_id, [(ids[sku], count) for sku, count in units.items()]))

    def send(self, order_id: str, units: Units, parcel_id: str | None, tracking: str) -> str:
        parcel = parcel_id or self.pack(order_id, units, tracking)
        self._box.ship(order_id, parcel, tracking)
        return parcel

    def deliver(self, order_id: str, parcel_id: str) -> None:
        self._box.deliver(order_id, parcel_id)

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None:
        with self._box.lock:
            self._box.state.cancel_fulfillment(order_id, parcel_id)

    def complete(self, order_id: str) -> None:
        with self._box.lock:
            self._box.state.complete(order_id)

    def edit(self, order_id: str, text: str) -> None:
        with self._box.lock:
            self._box.state.update(order_id, {"metadata": {"remark": text}}, PERSON)

    def edit_reference(self, order_id: str, text: str) -> None:
        with self._box.lock:
            self._box.state.update(order_id, {"metadata": {"external_id": text}}, PERSON)


class HeadlessPerson(_Nothing):
    can: ClassVar[frozenset[str]] = frozenset(
        {"lines", "pending", "pack", "deliver", "complete", "take_back_sent"}
    )

    def __init__(self, sandbox: Any) -> None:
        self._box = sandbox

    def place(self, spec: SaleSpec) -> str:
        return str(self._box.add_sale(spec))

    def number(self, order_id: str) -> str:
        with self._box.lock:
            return str(self._box.state.order(order_id)["number"])

    def pay(self, order_id: str) -> None:
        with self._box.lock:
            state = self._box.state
            for payment in state.order(order_id)["payments"]:
                state.complete_payment(payment["id"])
            state.move(order_id, "confirmed")

    def refund(self, order_id: str, minor: int, *, units: Units, shipping_minor: int, pending: bool) -> str:
        with self._box.lock:
            state = self._box.state
            ids = {line["sku"]: line["id"] for line in state.order(order_id)["lines"]}
            lines = [(ids[sku], count) for sku, count in units.items()]
            before, state.unknowns.refund_starts_pending = state.unknowns.refund_starts_pending, pending
            try:
                record = state.refund(order_id, minor, "by a person", restock=False, lines=lines)
            finally:
                state.unknowns.refund_starts_pending = before
            return str(record["id"])

    def settle(self, order_id: str, refund_id: str, *, well: bool) -> None:
        with self._box.lock:
            self._box.state.settle_refund(refund_id, "completed" if well else "failed")

    def cancel(self, order_id: str) -> None:
        with self._box.lock:
            self._box.state.cancel(order_id, "by a person")

    def pack(self, order_id: str, units: Units, tracking: str) -> str:
        with self._box.lock:
            state = self._box.state
            ids = {line["sku"]: line["id"] for line in state.order(order_id)["lines"]}
            lines = [(ids[sku], count) for sku, count in units.items()]
            return str(state.fulfill(order_id, lines, carrier="SF", tracking_number=tracking)["id"])

    def send(self, order_id: str, units: Units, parcel_id: str | None, tracking: str) -> str:
        parcel = parcel_id or self.pack(order_id, units, tracking)
        with self._box.lock:
            self._box.state.send(parcel, "shipped")
        return parcel

    def deliver(self, order_id: str, parcel_id: str) -> None:
        with self._box.lock:
            self._box.state.send(parcel_id, "delivered")

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None:
        with self._box.lock:
            self._box.state.cancel_parcel(parcel_id)

    def complete(self, order_id: str) -> None:
        """One step after the other, as the dashboard's buttons are."""
        with self._box.lock:
            steps = ("pending", "confirmed", "processing", "completed")
            now = self._box.state.order(order_id)["status"]
            for step in steps[steps.index(now) + 1 :]:
                self._box.state.move(order_id, step)

    def edit(self, order_id: str, text: str) -> None:
        with self._box.lock:
            self._box.state.order(order_id)["note"] = text

    def edit_reference(self, order_id: str, text: str) -> None:
        with self._box.lock:
            self._box.state.order(order_id)["metadata"]["external_id"] = text


PERSONS: Mapping[str, Callable[[Any], Person]] = {
    "shopline": ShoplinePerson,
    "medusa": MedusaPerson,
    "headless": HeadlessPerson,
}
