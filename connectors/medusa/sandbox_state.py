"""What happens to the orders of a Medusa sandbox: every effect, and which clock it moves, as measured on 2.21.2.

Nothing here knows HTTP. An action that the platform refuses raises `Rule`, also where the platform acts first and
then refuses (an open order change).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ordersync_connectors.medusa.sandbox_amounts import order_total, pending_difference
from ordersync_connectors.medusa.sandbox_records import (
    ZERO,
    Capture,
    Change,
    Collection,
    CreditLine,
    Fulfillment,
    Item,
    Label,
    Order,
    Payment,
    Refund,
    Return,
    Rule,
    Transaction,
)

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
OTHER_KEY = "apk_01SANDBOXOTHERKEY000000000"
"""`created_by` of what a person or another program did; ordersync's own key has another id."""
REASONS = {
    "refr_01SANDBOXDAMAGED0000000000": ("Damaged", "damaged"),
    "refr_01SANDBOXRETURNED000000000": ("Return", "return"),
    "refr_01SANDBOXCOURTESY000000000": ("Courtesy", "courtesy"),
}


class MedusaState:
    """All orders of one shop. `at` overrides the clock while the past is seeded."""

    def __init__(self, dice: random.Random, clock: Callable[[], datetime]) -> None:
        self.orders: dict[str, Order] = {}
        self.at: datetime | None = None
        self._dice = dice
        self._clock = clock
        self._numbers = 0

    def now(self) -> datetime:
        """The platform keeps milliseconds."""
        moment = self.at or self._clock()
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def new_id(self, prefix: str) -> str:
        """A prefixed ULID: ids made later sort later."""
        stamp = int(self.now().timestamp() * 1000)
        time_part = "".join(_CROCKFORD[stamp >> shift & 31] for shift in range(45, -5, -5))
        return f"{prefix}_{time_part}{''.join(self._dice.choices(_CROCKFORD, k=16))}"

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def copy(self) -> dict[str, Order]:
        return copy.deepcopy(self.orders)

    # Look up.

    def order(self, order_id: str) -> Order:
        if order_id not in self.orders:
            raise Rule(404, "not_found", f"Order id not found: {order_id}")
        return self.orders[order_id]

    def find_payment(self, payment_id: str) -> tuple[Order, Collection, Payment] | None:
        for order in self.orders.values():
            for collection in order.collections:
                for payment in collection.payments:
                    if payment.id == payment_id:
                        return order, collection, payment
        return None

    def payment(self, payment_id: str) -> tuple[Order, Collection, Payment]:
        found = self.find_payment(payment_id)
        if found is None:
            raise Rule(404, "not_found", f"Payment id not found: {payment_id}")
        return found

    # Payments.

    def authorise(self, order: Order, provider_id: str, amount: Decimal | None = None) -> Payment:
        """A collection with one authorised payment. `amount`: what the collection asks, else the order's total."""
        now, asked = self.now(), order_total(order) if amount is None else amount
        payment = Payment(self.new_id("pay"), self.new_id("payses"), provider_id, asked, now, now)
        collection = Collection(self.new_id("pay_col"), asked, "authorized", now, now, payments=[payment])
        order.collections.append(collection)
        return payment

    def capture(self, payment_id: str, amount: Decimal | None, by: str) -> None:
        """Moves the payment's clock only when it becomes fully captured; never the order's."""
        order, collection, payment = self.payment(payment_id)
        if payment.canceled_at:
            raise Rule(400, "invalid_data", f"The payment: {payment_id} has been canceled.")
        if payment.captured_at:
            return
        rest = payment.amount - payment.captured
        wanted = payment.amount if amount is None else amount
        if wanted > rest:
            raise Rule(
                400,
                "invalid_data",
                "You cannot capture more than the authorized amount substracted by what is already captured.",
            )
        now = self.now()
        capture = Capture(self.new_id("capt"), wanted, now, by)
        payment.captures.append(capture)
        self._enter(order, "capture", capture.id, wanted)
        collection.updated_at = now
        if payment.captured >= payment.amount:
            payment.captured_at = payment.updated_at = collection.completed_at = now
            collection.status = "completed"

    def refund(
        self, payment_id: str, amount: Decimal | None, note: str | None, reason_id: str | None, by: str
    ) -> Refund:
        """The record is written before the order change is checked: a refusal for an open change has refunded."""
        order, collection, payment = self.payment(payment_id)
        if reason_id is not None and reason_id not in REASONS:
            raise Rule(404, "not_found", f"RefundReason id not found: {reason_id}")
        wanted = payment.amount if amount is None else amount
        slack = Decimal(1).scaleb(-order.digits)
        if not payment.captures or wanted > payment.captured - payment.refunded + slack:
            # Two checks, and only the second one looks at a call that names no amount [measured].
            first = "You are not allowed to refund more than the captured amount"
            second = "You cannot refund more than what is captured on the payment."
            raise Rule(400, "invalid_data", second if amount is None and payment.captures else first)
        now = self.now()
        refund = Refund(self.new_id("ref"), wanted, now, by, note, reason_id)
        payment.refunds.append(refund)
        self._refuse_open_change(order)
        owed = max(ZERO, -pending_difference(order))
        # A refund that was refused for an open change enters the ledger with the next one [measured].
        entered = {row.reference_id for row in order.transactions}
        for record in payment.refunds:
            if record.id not in entered:
                self._enter(order, "refund", record.id, -record.amount)
        collection.updated_at = now
        if wanted > owed:
            label, code = REASONS.get(reason_id or "", ("payment_collection", collection.id))
            self._credit(order, [(wanted - owed, label, code)], by)
        return refund

    def void_and_pay_back(self, order: Order, by: str) -> Decimal:
        """What cancel does to money; returns the sum refunded. No record carries a note or reason."""
        now, back = self.now(), ZERO
        for collection in order.collections:
            for payment in collection.payments:
                rest = payment.captured - payment.refunded
                if rest > 0:
                    payment.refunds.append(Refund(self.new_id("ref"), rest, now, by))
                    back += rest
                elif not payment.captures and payment.canceled_at is None:
                    payment.canceled_at = payment.updated_at = now
        return back

    # Order status.

    def cancel(self, order_id: str, by: str) -> None:
        order = self.order(order_id)
        if order.status == "canceled":
            raise Rule(400, "invalid_data", f"Order with id {order_id} has been canceled.")
        if order.status == "completed":
            raise Rule(
                400,
                "not_allowed",
                "Cannot cancel a completed order. Please use the return process to handle refunds or exchanges.",
            )
        if any(parcel.canceled_at is None for parcel in order.fulfillments):
            raise Rule(400, "not_allowed", "All fulfillments must be canceled before canceling an order")
        refunded_before = {payment.id: payment.refunded for payment in order.payments}
        back = self.void_and_pay_back(order, by)
        self._refuse_open_change(order)
        now = self.now()
        for payment in order.payments:
            moved = payment.refunded - refunded_before[payment.id]
            if moved:
                # The ledger names the payment, not the refund [measured]: no join by refund id.
                self._enter(order, "refund", payment.id, -moved)
        new_lines = [(back, "payment_collection", collection.id) for collection in order.collections[:1]]
        for collection in order.collections:
            collection.status, collection.updated_at = "canceled", now
        order.status, order.canceled_at = "canceled", now
        self._credit(order, new_lines, by)

    def complete(self, order_id: str) -> None:
        order = self.order(order_id)
        if order.status == "canceled":
            raise Rule(400, "invalid_data", f"Orders {order_id} are canceled and cannot be completed")
        if order.status != "completed":
            order.status, order.is_draft = "completed", False
            order.updated_at = self.now()

    def archive(self, order_id: str) -> None:
        order = self.order(order_id)
        if order.status not in ("completed", "canceled", "draft"):
            # The text says the opposite of the rule [measured].
            raise Rule(
                400,
                "invalid_data",
                f"Orders {order_id} are completed, canceled, or in draft and cannot be archived",
            )
        order.status = "archived"
        order.updated_at = self.now()

    def update(self, order_id: str, fields: dict[str, Any], by: str = OTHER_KEY) -> None:
        """Metadata merges at the top level: "" deletes a key, null for the whole clears it. What changes nothing
        moves nothing."""
        order = self.order(order_id)
        metadata = order.metadata
        if "metadata" in fields:
            merged = {**(metadata or {}), **(fields["metadata"] or {})}
            metadata = {key: value for key, value in merged.items() if value != ""} if fields["metadata"] else None
            if fields["metadata"] == {}:
                metadata = order.metadata
        email = fields.get("email", order.email)
        shipping = {**order.address, **(fields.get("shipping_address") or {})}
        billing = {**order.billing, **(fields.get("billing_address") or {})}
        if (metadata, email, shipping, billing) == (order.metadata, order.email, order.address, order.billing):
            return
        moved = (
            ("metadata", order.metadata or {}, fields.get("metadata", order.metadata) or {}),
            ("email", order.email, email),
            ("shipping_address", order.address, shipping),
            ("billing_address", order.billing, billing),
        )
        order.metadata, order.email, order.address, order.billing_address = metadata, email, shipping, billing
        order.updated_at = self.now()
        change = Change(self.new_id("ordch"), order.version, "update_order", "confirmed", order.updated_at, by, by)
        change.actions = [
            {"action": "UPDATE_ORDER_PROPERTIES", "details": {"new": new, "old": old, "type": kind}}
            for kind, old, new in moved
            if old != new
        ]
        order.changes.append(change)

    # Fulfillments.

    def fulfil(
        self,
        order_id: str,
        lines: Sequence[tuple[str, int]],
        by: str,
        metadata: dict[str, Any] | None = None,
    ) -> Fulfillment:
        order = self.order(order_id)
        self._refuse_cancelled(order)
        self._refuse_open_change(order)
        wanted: dict[str, int] = {}
        for item_id, quantity in lines:
            item = order.item(item_id)
            wanted[item_id] = wanted.get(item_id, 0) + quantity
            if wanted[item_id] > item.quantity - item.fulfilled:
                raise Rule(400, "invalid_data", _too_many(item))
        now = self.now()
        rows = [(self.new_id("fulit"), item_id, quantity) for item_id, quantity in lines]
        parcel = Fulfillment(self.new_id("ful"), rows, now, now, self.new_id("fuladdr"), metadata=metadata)
        parcel.by = by
        order.fulfillments.append(parcel)
        self._move_items(order, parcel, "fulfilled", "FULFILL_ITEM", by)
        return parcel

    def ship(
        self,
        order_id: str,
        fulfillment_id: str,
        labels: Iterable[dict[str, str]],
        by: str,
        items: Iterable[str] = (),
    ) -> None:
        """The parcel leaves whole: `items` of the call are only looked up [source]."""
        order, parcel = self._parcel(order_id, fulfillment_id)
        self._refuse_cancelled(order)
        for item_id in items:
            order.item(item_id)
        self._refuse_open_change(order)
        if parcel.shipped_at:
            raise Rule(400, "not_allowed", "Shipment has already been created")
        if parcel.canceled_at:
            raise Rule(400, "not_allowed", "Cannot create shipment for a canceled fulfillment")
        now = self.now()
        for label in labels:
            words = (label["tracking_number"], label["tracking_url"], label["label_url"])
            parcel.labels.append(Label(self.new_id("fulla"), *words, now))
        parcel.shipped_at, parcel.shipped_by = now, by
        self._move_items(order, parcel, "shipped", "SHIP_ITEM", by)

    def deliver(self, order_id: str, fulfillment_id: str) -> None:
        order, parcel = self._parcel(order_id, fulfillment_id)
        self._refuse_cancelled(order)
        self._refuse_open_change(order)
        if parcel.canceled_at:
            raise Rule(400, "not_allowed", "Cannot deliver an already canceled fulfillment")
        if parcel.delivered_at:
            raise Rule(400, "not_allowed", "Fulfillment has already been marked delivered")
        parcel.delivered_at = self.now()
        self._move_items(order, parcel, "delivered", "DELIVER_ITEM", None)

    def cancel_fulfillment(self, order_id: str, fulfillment_id: str) -> None:
        order, parcel = self._parcel(order_id, fulfillment_id)
        if parcel.shipped_at:
            raise Rule(
                400,
                "not_allowed",
                "The fulfillment has already been shipped. Shipped fulfillments cannot be canceled",
            )
        if parcel.canceled_at:
            raise Rule(400, "not_allowed", "The fulfillment is already canceled")
        self._refuse_open_change(order)
        parcel.canceled_at = self.now()
        self._move_items(order, parcel, "fulfilled", "CANCEL_ITEM_FULFILLMENT", None, sign=-1)

    # Returns, order edits: what opens an order change.

    def open_change(self, order_id: str, change_type: str, by: str | None, return_id: str | None = None) -> Change:
        order = self.order(order_id)
        self._refuse_open_change(order)
        change = Change(
            self.new_id("ordch"), order.version + 1, change_type, "pending", self.now(), by, return_id=return_id
        )
        order.changes.append(change)
        return change

    def drop_change(self, order_id: str) -> None:
        order = self.order(order_id)
        order.changes = [change for change in order.changes if change.status not in ("pending", "requested")]

    def receive_return(self, order_id: str, item_id: str, quantity: int, by: str) -> Return:
        """A return begun, requested and received: the amount is owed to the buyer, nothing is paid back."""
        order = self.order(order_id)
        now = self.now()
        record = Return(
            self.new_id("return"), len(order.returns) + 1, "received", now, now, order.version, now, now
        )
        order.returns.append(record)
        for change_type in ("return_request", "return_receive"):
            order.version += 1
            change = Change(
                self.new_id("ordch"), order.version, change_type, "confirmed", now, by, return_id=record.id
            )
            order.changes.append(change)
        order.item(item_id).return_received += quantity
        order.updated_at = now
        return record

    # Inside.

    def _refuse_cancelled(self, order: Order) -> None:
        if order.canceled_at:
            raise Rule(400, "invalid_data", f"Order with id {order.id} has been canceled.")

    def _refuse_open_change(self, order: Order) -> None:
        if order.has_open_change:
            raise Rule(400, "invalid_data", f"Order ({order.id}) already has an existing active order change")

    def _parcel(self, order_id: str, fulfillment_id: str) -> tuple[Order, Fulfillment]:
        order = self.order(order_id)
        for parcel in order.fulfillments:
            if parcel.id == fulfillment_id:
                return order, parcel
        raise Rule(404, "not_found", f"Fulfillment with id: {fulfillment_id} was not found")

    def _move_items(
        self, order: Order, parcel: Fulfillment, word: str, action: str, by: str | None, *, sign: int = 1
    ) -> None:
        self._touch(order)
        parcel.updated_at = order.updated_at
        rows: list[dict[str, Any]] = []
        for _, item_id, quantity in parcel.lines:
            item: Item = order.item(item_id)
            setattr(item, word, getattr(item, word) + sign * quantity)
            row = {"action": action, "item_id": item_id, "quantity": quantity}
            rows.append({**row, "reference": "fulfillment", "reference_id": parcel.id})
        change = Change(self.new_id("ordch"), order.version, None, "confirmed", order.updated_at, by, actions=rows)
        order.changes.append(change)

    def _touch(self, order: Order) -> None:
        order.updated_at = self.now()
        order.version += 1
        for line in order.credit_lines:
            # Every new version writes the credit lines anew: their ids are no key [measured].
            line.id, line.version = self.new_id("ordcl"), order.version

    def _credit(self, order: Order, new_lines: list[tuple[Decimal, str, str]], by: str) -> None:
        """A new version with these credit lines; the summary counts only the newest ones [measured]."""
        if order.credit_lines:
            order.first_total = order_total(order)
        self._touch(order)
        order.last_credit = sum((amount for amount, _, _ in new_lines), ZERO)
        for amount, reference, reference_id in new_lines:
            line = CreditLine(
                self.new_id("ordcl"),
                amount,
                reference,
                reference_id,
                order.version,
                order.updated_at,
                order.version,
            )
            order.credit_lines.append(line)
        if new_lines:
            rows = [
                {
                    "action": "CREDIT_LINE_ADD",
                    "amount": amount,
                    "reference": reference,
                    "reference_id": reference_id,
                }
                for amount, reference, reference_id in new_lines
            ]
            # Nobody's: not even the key's whose refund it is [measured].
            change = Change(
                self.new_id("ordch"), order.version, "credit_line", "confirmed", order.updated_at, None
            )
            change.actions = rows
            order.changes.append(change)

    def _enter(self, order: Order, reference: str, reference_id: str, amount: Decimal) -> None:
        row = Transaction(self.new_id("ordtrx"), amount, reference, reference_id, order.version, self.now())
        order.transactions.append(row)


def _too_many(item: Item) -> str:
    """Goods of the catalogue are reserved on stock, and that is looked at first [measured]."""
    if item.variant_id is None:
        return f"Cannot fulfill more items than ordered for item {item.id}"
    return f"No stock reservation found for item {item.id} - {item.title} ({item.variant_title})"
