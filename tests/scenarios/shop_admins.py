"""People in the shops' admin pages: what they place, refund, cancel and ship leaves no ordersync mark.

One class for each platform, all with the same doings, done to the sandbox's own state and not through a connector.
Amounts are what a person types, so a Medusa refund may have any number of digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from ordersync_connectors.medusa.sandbox_amounts import order_total
from ordersync_connectors.medusa.sandbox_seed import add_sale, provider_id
from ordersync_connectors.medusa.sandbox_state import OTHER_KEY
from ordersync_connectors.shopline.sandbox_records import RefundedLine, settle_words

from ordersync.testing.sales import SaleSpec

CARRIER = "SF"


class Paid(NamedTuple):
    """One payment of a sale: how much, and with whom."""

    minor: int
    provider: str


@dataclass(frozen=True, slots=True)
class Placing:
    """A sale as one shop has it. `tax_percent` comes on top of the prices; no `payments`: one over everything."""

    spec: SaleSpec
    tax_percent: Decimal = Decimal(0)
    payments: tuple[Paid, ...] = ()

    def tax_minor(self, line_minor: int) -> int:
        return round(line_minor * self.tax_percent / 100)


class Admin(Protocol):
    """`units` is by sku; what a platform cannot do there is an AttributeError, as the button is missing."""

    box: Any
    own_payment: str
    """A payment method of this platform that pays the buyer back when it is refunded."""
    books: str
    """One whose refunds only mark."""

    def place(self, placing: Placing) -> str: ...

    def refund(self, order_id: str, amount: Decimal, why: str, units: Mapping[str, int]) -> None: ...

    def cancel(self, order_id: str, why: str) -> None: ...

    def ship(self, order_id: str, units: Mapping[str, int], tracking: str) -> str: ...

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None: ...

    def mark_paid(self, order_id: str) -> None: ...


class ShoplineAdmin:
    own_payment, books = "SLpayments", "COD"

    def __init__(self, box: Any) -> None:
        self.box = box

    def place(self, placing: Placing) -> str:
        spec, state = placing.spec, self.box.state
        with self.box.lock:
            sale = state.sale(spec)
            taxed = [
                line._replace(tax_minor=placing.tax_minor(line.quantity * line.unit_minor)) for line in sale.lines
            ]
            sale = replace(sale, lines=tuple(taxed))
            slips = [
                state.slip(sale, one.provider, paid=spec.paid)._replace(amount_minor=one.minor)
                for one in placing.payments
            ]
            return str(
                state.place(
                    replace(sale, slips=tuple(slips) or (state.slip(sale, spec.provider, paid=spec.paid),))
                )
            )

    def refund(self, order_id: str, amount: Decimal, why: str, units: Mapping[str, int]) -> None:
        lines = [
            RefundedLine(line["id"], units[line["sku"]], "Unshipped")
            for line in self.box.order(order_id)["line_items"]
            if line["sku"] in units
        ]
        self.box.refund(order_id, int(amount * 100), note=why, status="success", lines=lines)

    def cancel(self, order_id: str, why: str) -> None:
        self.box.cancel(order_id, reason=why)

    def ship(self, order_id: str, units: Mapping[str, int], tracking: str) -> str:
        lines = {
            line["id"]: units.get(line["sku"], 0) if units else line["fulfillable_quantity"]
            for line in self.box.order(order_id)["line_items"]
        }
        return str(self.box.ship(order_id, lines, tracking=(CARRIER, tracking, "")))

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None:
        self.box.unship(order_id, parcel_id)

    def mark_paid(self, order_id: str) -> None:
        with self.box.lock, self.box.state.edit(order_id) as order:
            for slip in order["payment_details"]:
                slip.update(pay_status="paid", processed_at=order["updated_at"])
            order["total_outstanding"] = "0.00"
            settle_words(order)

    def archive(self, order_id: str, *, hidden: bool = True) -> None:
        self.box.archive(order_id, hidden=hidden)


class MedusaAdmin:
    own_payment, books = "stripe", "pp_system_default"

    def __init__(self, box: Any) -> None:
        self.box = box

    def place(self, placing: Placing) -> str:
        spec, state = placing.spec, self.box.state
        with self.box.lock:
            order = add_sale(state, replace(spec, paid=False))
            state.at = spec.placed_at
            for item in order.items if placing.tax_percent else ():
                item.rate_percent = placing.tax_percent
                item.child_ids["tax_line"] = state.new_id("ordlitxl")
            order.first_total = order_total(order)
            order.collections.clear()
            for one in placing.payments or (None,):
                amount = None if one is None else Decimal(one.minor).scaleb(-order.digits)
                payment = state.authorise(order, provider_id(one.provider if one else spec.provider), amount)
                if spec.paid:
                    state.capture(payment.id, None, OTHER_KEY)
            state.at = None
        return str(order.id)

    def refund(self, order_id: str, amount: Decimal, why: str, units: Mapping[str, int]) -> None:
        """From the first payment that still holds the amount."""
        if units:
            raise AttributeError("refunds are amounts here, without lines")
        with self.box.lock:
            payments = self.box.state.order(order_id).payments
            slack = Decimal("0.01")
            holds = next(one for one in payments if one.captured - one.refunded + slack >= amount)
            self.box.state.refund(holds.id, amount, why, None, OTHER_KEY)

    def cancel(self, order_id: str, why: str) -> None:
        """There is no place to type why."""
        with self.box.lock:
            self.box.state.cancel(order_id, OTHER_KEY)

    def ship(self, order_id: str, units: Mapping[str, int], tracking: str) -> str:
        state = self.box.state
        with self.box.lock:
            lines = [
                (item.id, left)
                for item in state.order(order_id).items
                if (left := units.get(item.sku, 0) if units else item.quantity - item.fulfilled)
            ]
            parcel = state.fulfil(order_id, lines, OTHER_KEY)
            label = {"tracking_number": tracking, "tracking_url": "#", "label_url": "#"}
            state.ship(order_id, parcel.id, [label] if tracking else [], OTHER_KEY)
        return str(parcel.id)

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None:
        with self.box.lock:
            self.box.state.cancel_fulfillment(order_id, parcel_id)

    def mark_paid(self, order_id: str) -> None:
        with self.box.lock:
            for payment in self.box.state.order(order_id).payments:
                self.box.state.capture(payment.id, None, OTHER_KEY)

    def complete(self, order_id: str) -> None:
        with self.box.lock:
            self.box.state.complete(order_id)

    def archive(self, order_id: str) -> None:
        with self.box.lock:
            self.box.state.archive(order_id)


class HeadlessAdmin:
    own_payment, books = "stripe", "manual"

    def __init__(self, box: Any) -> None:
        self.box = box

    def place(self, placing: Placing) -> str:
        spec, state = placing.spec, self.box.state
        with self.box.lock:
            order_id = str(state.add_sale(replace(spec, paid=False)))
            order = state.order(order_id)
            tax = 0
            for line in order["lines"]:
                line["tax_amount"]["amount"] = placing.tax_minor(line["line_total"]["amount"])
                tax += line["tax_amount"]["amount"]
            order["tax_total"]["amount"] = tax
            order["total"]["amount"] += tax
            order["payments"].clear()
            for one in placing.payments or (Paid(order["total"]["amount"], spec.provider),):
                payment = state.record_payment(order_id, one.minor, one.provider, at=spec.placed_at)
                if spec.paid:
                    state.complete_payment(payment["id"])
            if spec.paid:
                state.move(order_id, "confirmed", at=spec.placed_at)
        return order_id

    def refund(self, order_id: str, amount: Decimal, why: str, units: Mapping[str, int]) -> None:
        with self.box.lock:
            lines = [(line["id"], units[line["sku"]]) for line in self._lines(order_id) if line["sku"] in units]
            self.box.state.refund(order_id, int(amount * 100), why, restock=False, lines=lines)

    def cancel(self, order_id: str, why: str) -> None:
        with self.box.lock:
            self.box.state.cancel(order_id, why)

    def ship(self, order_id: str, units: Mapping[str, int], tracking: str) -> str:
        state = self.box.state
        with self.box.lock:
            lines = [
                (line["id"], left)
                for line in self._lines(order_id)
                if (left := units.get(line["sku"], 0) if units else line["quantity"] - line["fulfilled_quantity"])
            ]
            parcel = state.fulfill(order_id, lines, carrier=CARRIER, tracking_number=tracking or None)
            state.send(parcel["id"], "shipped")
        return str(parcel["id"])

    def cancel_parcel(self, order_id: str, parcel_id: str) -> None:
        with self.box.lock:
            self.box.state.cancel_parcel(parcel_id)

    def mark_paid(self, order_id: str) -> None:
        with self.box.lock:
            for payment in self.box.state.order(order_id)["payments"]:
                self.box.state.complete_payment(payment["id"])
            self.box.state.move(order_id, "confirmed")

    def move(self, order_id: str, step: str) -> None:
        """confirmed, processing or completed."""
        with self.box.lock:
            self.box.state.move(order_id, step)

    def _lines(self, order_id: str) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self.box.state.order(order_id)["lines"]
        return lines


def admin_of(box: Any) -> Admin:
    kinds: dict[str, type[Admin]] = {"shopline": ShoplineAdmin, "medusa": MedusaAdmin, "headless": HeadlessAdmin}
    return kinds[box.platform](box)  # type: ignore[call-arg]  # a Protocol has no constructor of its own
