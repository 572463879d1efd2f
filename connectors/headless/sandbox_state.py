"""The orders of the headless sandbox and what may happen to them; no HTTP in here.

Orders are kept as the JSON the platform would send, all arrays loaded. What the vendor does not say is a switch
of `Unknowns`, so that tests can run both ways. Shapes follow the vendor's pages; see SOURCES of the samples.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ordersync.testing.sales import SaleSpec

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Unknowns:
    """Facts nobody could find out (fact sheet, section 15). Defaults follow the vendor's examples where there
    are any, else the harsher guess; tests run both ways."""

    cancel_refunds: Literal["none", "all"] = "all"
    cancel_restocks: bool = False
    cancellable: tuple[str, ...] = ("draft", "pending", "confirmed", "processing")
    refund_starts_pending: bool = False
    refund_lines_required: bool = False
    pending_counts_as_refunded: bool = False
    """`refunded_total` also counts pending refunds."""
    list_expanded: bool = True
    """List rows carry lines, payments, fulfillments and refunds."""
    expand_needed: bool = False
    """A single order carries its arrays only when `expand` names them."""
    number_as_text: bool = False
    extra_fields: bool = False
    """Replies carry what is only documented elsewhere: updated_at, confirmed_at, currency, cancel_reason, ..."""
    created_after_inclusive: bool = True
    oldest_first: bool = False
    lookup_ignores_case: bool = False
    replays_every_post: bool = False
    """Idempotency-Key also works where it is not documented: process, complete, ship, deliver."""
    fulfillment_metadata_shown: bool = False
    """A parcel's `metadata`, which packing accepts, is on the replies."""


class Conflict(Exception):
    """409: the order's status does not allow it."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(f"Cannot move order from {before} to {after}")
        self.before, self.after = before, after


class Invalid(Exception):
    """400: a field of the request is not accepted."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class Absent(Exception):
    """404."""

    def __init__(self, resource: str, record_id: str) -> None:
        super().__init__(f"{resource} with id '{record_id}' not found")
        self.resource, self.record_id = resource, record_id


class HeadlessState:
    def __init__(self, unknowns: Unknowns, now: Callable[[], datetime]) -> None:
        self.unknowns = unknowns
        self.now = now
        self.orders: dict[str, JsonObject] = {}
        self.cancel_reasons: dict[str, str | None] = {}
        """Kept by the platform, shown on no documented reply."""
        self.restocked: list[tuple[str, str, int]] = []
        """(order id, variant id, quantity) of every movement back into stock."""

    # Looking

    def order(self, order_id: str) -> JsonObject:
        if order_id not in self.orders:
            raise Absent("Order", order_id)
        return self.orders[order_id]

    def payment(self, payment_id: str) -> tuple[JsonObject, JsonObject]:
        for order in self.orders.values():
            for payment in order["payments"]:
                if payment["id"] == payment_id:
                    return order, payment
        raise Absent("Payment", payment_id)

    def fulfillment(self, fulfillment_id: str) -> tuple[JsonObject, JsonObject]:
        for order in self.orders.values():
            for parcel in order["fulfillments"]:
                if parcel["id"] == fulfillment_id:
                    return order, parcel
        raise Absent("Fulfillment", fulfillment_id)

    def captured(self, order: JsonObject) -> int:
        paid = (p for p in order["payments"] if p["status"] in ("completed", "refunded"))
        return sum(int(p["amount"]["amount"]) for p in paid)

    def refundable(self, order: JsonObject) -> int:
        given = (r for r in order["refunds"] if r["status"] != "failed")
        return self.captured(order) - sum(int(r["amount"]["amount"]) for r in given)

    # Placing

    def add_sale(self, spec: SaleSpec, *, draft: bool = False) -> str:
        """The order of one sale: confirmed when paid, pending with an open payment when not. Returns its id."""
        number = spec.number
        order_id = f"ord_{number}"
        if order_id in self.orders:
            raise ValueError(f"order number {number} is taken")
        zero = self._money(0, spec.currency)
        address = None if draft else _address(spec)
        self.orders[order_id] = {
            "id": order_id,
            "number": number,
            "status": "draft" if draft else "pending",
            "payment_status": "unpaid",
            "fulfillment_status": "unfulfilled",
            "customer_id": None,
            "email": spec.email,
            "shipping_address": address,
            "billing_address": copy.deepcopy(address),
            "lines": [
                {
                    "id": f"ol_{number}_{place}",
                    "variant_id": f"var_{line.sku.lower()}",
                    "product_id": f"prod_{line.sku.lower().partition('-')[0]}",
                    "product_name": line.title,
                    "variant_name": None,
                    "sku": line.sku,
                    "image_url": None,
                    "quantity": line.quantity,
                    "unit_price": self._money(line.unit_price_minor, spec.currency),
                    "line_discount": dict(zero),
                    "line_total": self._money(line.quantity * line.unit_price_minor, spec.currency),
                    "tax_amount": dict(zero),
                    "fulfilled_quantity": 0,
                    "refunded_quantity": 0,
                }
                for place, line in enumerate(spec.lines, start=1)
            ],
            "subtotal": self._money(spec.subtotal_minor, spec.currency),
            "discount_total": dict(zero),
            "shipping_total": self._money(spec.shipping_minor, spec.currency),
            "tax_total": dict(zero),
            "total": self._money(spec.total_minor, spec.currency),
            "refunded_total": dict(zero),
            "applied_discounts": [],
            "shipping_method_name": None if draft else "Standard",
            "note": None,
            "payments": [],
            "fulfillments": [],
            "refunds": [],
            "metadata": dict(spec.references),
            "created_at": stamp(spec.placed_at),
            "cancelled_at": None,
            "completed_at": None,
        }
        if not draft:
            payment = self.record_payment(order_id, spec.total_minor, spec.provider, at=spec.placed_at)
            if spec.paid:
                self.complete_payment(payment["id"])
                self.move(order_id, "confirmed", at=spec.placed_at)
        return order_id

    # Status

    def move(self, order_id: str, target: str, *, at: datetime | None = None) -> JsonObject:
        """pending -> confirmed -> processing -> completed, one step at a time."""
        order = self.order(order_id)
        before = {"confirmed": "pending", "processing": "confirmed", "completed": "processing"}[target]
        if order["status"] != before:
            raise Conflict(order["status"], target)
        order["status"] = target
        if target == "completed":
            order["completed_at"] = stamp(at or self.now())
        return order

    def cancel(self, order_id: str, reason: str | None, *, at: datetime | None = None) -> JsonObject:
        order = self.order(order_id)
        if order["status"] not in self.unknowns.cancellable:
            raise Conflict(order["status"], "cancelled")
        moment = at or self.now()
        order["status"] = "cancelled"
        order["cancelled_at"] = stamp(moment)
        self.cancel_reasons[order_id] = reason
        for payment in order["payments"]:
            if payment["status"] == "pending":
                payment["status"] = "cancelled"
        left = self.refundable(order)
        if self.unknowns.cancel_refunds == "all" and left > 0:
            unsent = [
                (line["id"], line["quantity"] - line["refunded_quantity"])
                for line in order["lines"]
                if line["quantity"] > line["refunded_quantity"]
            ]
            restock = self.unknowns.cancel_restocks
            self._add_refund(order, left, reason or "Order cancelled", unsent, restock=restock, at=moment)
        self._settle(order)
        return order

    # Money

    def record_payment(
        self, order_id: str, amount: int, provider: str, *, at: datetime | None = None
    ) -> JsonObject:
        order = self.order(order_id)
        if amount <= 0:
            raise Invalid("amount", "Must be greater than 0")
        if order["status"] == "cancelled":
            raise Conflict("cancelled", "paid")
        number = order["number"]
        place = len(order["payments"]) + 1
        payment = {
            "id": f"pay_{number}_{place}",
            "order_id": order_id,
            "provider": provider,
            "provider_id": None if provider in ("manual", "bank_transfer") else f"pi_sandbox_{number}_{place}",
            "amount": self._money(amount, order["total"]["currency"]),
            "status": "pending",
            "created_at": stamp(at or self.now()),
        }
        order["payments"].append(payment)
        self._settle(order)
        return payment

    def complete_payment(self, payment_id: str) -> JsonObject:
        order, payment = self.payment(payment_id)
        if payment["status"] != "pending":
            raise Conflict(payment["status"], "completed")
        payment["status"] = "completed"
        self._settle(order)
        return payment

    def refund(
        self,
        order_id: str,
        amount: int | None,
        reason: str,
        *,
        restock: bool = True,
        lines: list[tuple[str, int]] | None = None,
        at: datetime | None = None,
    ) -> JsonObject:
        """By amount, by lines, or both; lines without an amount are worth their share of `line_total`."""
        order = self.order(order_id)
        chosen = lines or []
        if self.unknowns.refund_lines_required and not chosen:
            raise Invalid("lines", "Required")
        worth = 0
        known = {line["id"]: line for line in order["lines"]}
        for line_id, quantity in chosen:
            line = known.get(line_id)
            if line is None:
                raise Invalid("lines.order_line_id", "Unknown order line")
            if not 0 < quantity <= line["quantity"] - line["refunded_quantity"]:
                raise Invalid("lines.quantity", "More than is left to refund")
            worth += line["line_total"]["amount"] * quantity // line["quantity"]
        wanted = worth if amount is None else amount
        if wanted <= 0:
            raise Invalid("amount", "Must be greater than 0")
        if wanted > self.refundable(order):
            raise Invalid("amount", "More than is left to refund")
        refund = self._add_refund(order, wanted, reason, chosen, restock=restock, at=at or self.now())
        self._settle(order)
        return refund

    def settle_refunds(self, to: Literal["completed", "failed"] = "completed") -> int:
        """What the payment provider does later: every pending refund ends. Returns how many."""
        ended = 0
        for order in self.orders.values():
            for refund in order["refunds"]:
                if refund["status"] == "pending":
                    refund["status"] = to
                    ended += 1
            self._settle(order)
        return ended

    def settle_refund(self, refund_id: str, to: Literal["completed", "failed"] = "completed") -> None:
        """What the payment provider does later with one pending refund."""
        for order in self.orders.values():
            for refund in order["refunds"]:
                if refund["id"] == refund_id:
                    refund["status"] = to
                    self._settle(order)
                    return
        raise Absent("Refund", refund_id)

    def _add_refund(
        self,
        order: JsonObject,
        amount: int,
        reason: str,
        lines: list[tuple[str, int]],
        *,
        restock: bool,
        at: datetime,
    ) -> JsonObject:
        known = {line["id"]: line for line in order["lines"]}
        for line_id, quantity in lines:
            known[line_id]["refunded_quantity"] += quantity
            if restock:
                self.restocked.append((order["id"], known[line_id]["variant_id"], quantity))
        refund = {
            "id": f"ref_{order['number']}_{len(order['refunds']) + 1}",
            "order_id": order["id"],
            "amount": self._money(amount, order["total"]["currency"]),
            "reason": reason,
            "restock": restock,
            "status": "pending" if self.unknowns.refund_starts_pending else "completed",
            "lines": [{"order_line_id": line_id, "quantity": quantity} for line_id, quantity in lines],
            "created_at": stamp(at),
        }
        order["refunds"].append(refund)
        return refund

    def _settle(self, order: JsonObject) -> None:
        """Derive `refunded_total`, `payment_status` and the payments' status from the records."""
        counted = ("completed", "pending") if self.unknowns.pending_counts_as_refunded else ("completed",)
        refunded = sum(int(r["amount"]["amount"]) for r in order["refunds"] if r["status"] in counted)
        captured = self.captured(order)
        order["refunded_total"] = self._money(refunded, order["total"]["currency"])
        if captured and refunded >= captured:
            for payment in order["payments"]:
                if payment["status"] == "completed":
                    payment["status"] = "refunded"
        if not captured:
            waiting = self.unknowns.extra_fields and any(p["status"] == "pending" for p in order["payments"])
            order["payment_status"] = "awaiting_payment" if waiting else "unpaid"
        elif refunded:
            order["payment_status"] = "refunded" if refunded >= captured else "partially_refunded"
        else:
            order["payment_status"] = "paid" if captured >= order["total"]["amount"] else "partially_paid"

    # Parcels

    def fulfill(
        self,
        order_id: str,
        lines: list[tuple[str, int]],
        *,
        carrier: str | None = None,
        tracking_number: str | None = None,
        tracking_url: str | None = None,
        metadata: JsonObject | None = None,
        at: datetime | None = None,
    ) -> JsonObject:
        """A parcel is packed: its units count as fulfilled from now on. Refunded units may still be sent."""
        order = self.order(order_id)
        if order["status"] not in ("confirmed", "processing"):
            raise Conflict(order["status"], "fulfilled")
        known = {line["id"]: line for line in order["lines"]}
        if not lines:
            raise Invalid("lines", "Required")
        wanted: dict[str, int] = {}
        for line_id, quantity in lines:
            if line_id not in known:
                raise Invalid("lines.order_line_id", "Unknown order line")
            wanted[line_id] = wanted.get(line_id, 0) + quantity
            left = known[line_id]["quantity"] - known[line_id]["fulfilled_quantity"]
            if quantity <= 0 or wanted[line_id] > left:
                raise Invalid("lines.quantity", "More than is left to fulfill")
        for line_id, quantity in lines:
            known[line_id]["fulfilled_quantity"] += quantity
        parcel: JsonObject = {
            "id": f"ful_{order['number']}_{len(order['fulfillments']) + 1}",
            "order_id": order_id,
            "status": "pending",
            "tracking_number": tracking_number,
            "tracking_url": tracking_url,
            "carrier": carrier,
            "lines": [{"order_line_id": line_id, "quantity": quantity} for line_id, quantity in lines],
            "created_at": stamp(at or self.now()),
            "shipped_at": None,
            "delivered_at": None,
        }
        if self.unknowns.fulfillment_metadata_shown:
            parcel["metadata"] = metadata or {}
        order["fulfillments"].append(parcel)
        self._count_parcels(order)
        return parcel

    def cancel_parcel(self, fulfillment_id: str) -> JsonObject:
        """By a person in the dashboard: no call for it is known. Its units can be packed again."""
        order, parcel = self.fulfillment(fulfillment_id)
        if parcel["status"] in ("delivered", "cancelled"):
            raise Conflict(parcel["status"], "cancelled")
        parcel["status"] = "cancelled"
        known = {line["id"]: line for line in order["lines"]}
        for row in parcel["lines"]:
            known[row["order_line_id"]]["fulfilled_quantity"] -= row["quantity"]
        self._count_parcels(order)
        return parcel

    @staticmethod
    def _count_parcels(order: JsonObject) -> None:
        some = any(line["fulfilled_quantity"] for line in order["lines"])
        whole = all(line["fulfilled_quantity"] >= line["quantity"] for line in order["lines"])
        word = "fulfilled" if whole else "partially_fulfilled" if some else "unfulfilled"
        order["fulfillment_status"] = word

    def send(self, fulfillment_id: str, target: str, *, at: datetime | None = None) -> JsonObject:
        """pending -> shipped -> delivered; nothing leaves for a cancelled order."""
        order, parcel = self.fulfillment(fulfillment_id)
        if order["status"] == "cancelled" and target == "shipped":
            raise Conflict("cancelled", target)
        before = {"shipped": "pending", "delivered": "shipped"}[target]
        if parcel["status"] != before:
            raise Conflict(parcel["status"], target)
        parcel["status"] = target
        parcel[f"{target}_at"] = stamp(at or self.now())
        return parcel

    @staticmethod
    def _money(amount: int, currency: str) -> JsonObject:
        return {"amount": amount, "currency": currency}


def stamp(moment: datetime) -> str:
    """As in every example of the vendor: whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _address(spec: SaleSpec) -> JsonObject:
    return {
        "name": spec.name,
        "company": None,
        "line1": spec.line1,
        "line2": None,
        "city": spec.city,
        "state": spec.province,
        "postal_code": spec.postal_code,
        "country": spec.country_code,
        "phone": spec.phone,
    }
