"""The records a Medusa sandbox keeps: plain data in major units as Decimal, unrounded as the platform keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
OPEN_CHANGE = ("pending", "requested")


class Rule(Exception):
    """The platform says no: what its error body holds."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


@dataclass(slots=True)
class Item:
    id: str
    title: str
    sku: str
    unit_price: Decimal
    quantity: int
    rate_percent: Decimal = ZERO
    """Zero: no tax line at all, as in a region without automatic taxes."""
    tax_inclusive: bool = False
    variant_id: str | None = None
    product_id: str | None = None
    variant_title: str | None = None
    promotion: tuple[str, Decimal] | None = None
    """(code, percent off)"""
    metadata: dict[str, Any] = field(default_factory=dict)
    child_ids: dict[str, str] = field(default_factory=dict)
    """Ids of the records below the item (tax line, adjustment, detail)."""
    fulfilled: int = 0
    shipped: int = 0
    delivered: int = 0
    return_received: int = 0

    @property
    def kept(self) -> int:
        return self.quantity - self.return_received


@dataclass(slots=True)
class Shipping:
    id: str
    name: str
    amount: Decimal
    rate_percent: Decimal = ZERO
    tax_inclusive: bool = False
    child_ids: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Capture:
    id: str
    amount: Decimal
    at: datetime
    by: str


@dataclass(slots=True)
class Refund:
    id: str
    amount: Decimal
    at: datetime
    by: str
    note: str | None = None
    reason_id: str | None = None


@dataclass(slots=True)
class Payment:
    id: str
    session_id: str
    provider_id: str
    amount: Decimal
    created_at: datetime
    updated_at: datetime
    captured_at: datetime | None = None
    canceled_at: datetime | None = None
    captures: list[Capture] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)

    @property
    def captured(self) -> Decimal:
        return sum((capture.amount for capture in self.captures), ZERO)

    @property
    def refunded(self) -> Decimal:
        return sum((refund.amount for refund in self.refunds), ZERO)


@dataclass(slots=True)
class Collection:
    id: str
    amount: Decimal
    status: str
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    payments: list[Payment] = field(default_factory=list)

    @property
    def captured(self) -> Decimal:
        return sum((payment.captured for payment in self.payments), ZERO)

    @property
    def refunded(self) -> Decimal:
        return sum((payment.refunded for payment in self.payments), ZERO)


@dataclass(slots=True)
class CreditLine:
    id: str
    amount: Decimal
    reference: str
    reference_id: str
    version: int
    at: datetime
    made_in: int
    """The version that brought it; `version` moves on."""


@dataclass(slots=True)
class Transaction:
    id: str
    amount: Decimal
    reference: str
    reference_id: str
    version: int
    at: datetime


@dataclass(slots=True)
class Label:
    id: str
    tracking_number: str
    tracking_url: str
    label_url: str
    at: datetime


@dataclass(slots=True)
class Fulfillment:
    id: str
    lines: list[tuple[str, str, int]]
    """(record id, line item id, quantity)"""
    created_at: datetime
    updated_at: datetime
    address_id: str
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    canceled_at: datetime | None = None
    by: str | None = None
    shipped_by: str | None = None
    labels: list[Label] = field(default_factory=list)
    metadata: dict[str, Any] | None = None

    @property
    def state(self) -> str:
        marks = (("cancelled", self.canceled_at), ("delivered", self.delivered_at), ("shipped", self.shipped_at))
        return next((word for word, at in marks if at), "packed")


@dataclass(slots=True)
class Return:
    id: str
    display_id: int
    status: str
    created_at: datetime
    updated_at: datetime
    order_version: int
    requested_at: datetime | None = None
    received_at: datetime | None = None


@dataclass(slots=True)
class Change:
    id: str
    version: int
    change_type: str | None
    status: str
    at: datetime
    by: str | None
    confirmed_by: str | None = None
    return_id: str | None = None
    actions: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Order:
    id: str
    display_id: int
    currency: str
    """Lower case."""
    digits: int
    created_at: datetime
    updated_at: datetime
    email: str
    region_id: str
    customer: dict[str, Any]
    address: dict[str, Any]
    """Where it is shipped to."""
    address_ids: tuple[str, str]
    items: list[Item]
    shipping: list[Shipping]
    metadata: dict[str, Any] | None = None
    status: str = "pending"
    version: int = 1
    canceled_at: datetime | None = None
    is_draft: bool = False
    first_total: Decimal = ZERO
    """`summary.original_order_total`: unreliable on the platform too."""
    last_credit: Decimal = ZERO
    """`summary.credit_line_total`: only what the newest version added."""
    collections: list[Collection] = field(default_factory=list)
    credit_lines: list[CreditLine] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    fulfillments: list[Fulfillment] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    billing_address: dict[str, Any] | None = None
    """None: the same as `address`."""

    @property
    def billing(self) -> dict[str, Any]:
        return self.address if self.billing_address is None else self.billing_address

    @property
    def payments(self) -> list[Payment]:
        return [payment for collection in self.collections for payment in collection.payments]

    @property
    def captured(self) -> Decimal:
        return sum((payment.captured for payment in self.payments), ZERO)

    @property
    def refunded(self) -> Decimal:
        return sum((payment.refunded for payment in self.payments), ZERO)

    @property
    def has_open_change(self) -> bool:
        return any(change.status in OPEN_CHANGE for change in self.changes)

    def item(self, item_id: str) -> Item:
        for item in self.items:
            if item.id == item_id:
                return item
        raise Rule(
            400, "invalid_data", f"Order items with ids {item_id} does not exist in order with id {self.id}"
        )

    def payment_status(self) -> str:
        """As the platform computes it, its wrong word included: part captured and any of it refunded reads
        `refunded`."""
        if not self.collections:
            return "not_paid"
        if self.refunded > 0:
            part_captured = any(c.captured and c.captured < c.amount for c in self.collections)
            return "refunded" if part_captured or self.refunded >= self.captured else "partially_refunded"
        if self.captured > 0:
            asked = sum((c.amount for c in self.collections if c.status != "canceled"), ZERO)
            return "captured" if self.captured >= asked else "partially_captured"
        if all(c.status == "canceled" for c in self.collections):
            return "canceled"
        return "authorized" if all(c.payments for c in self.collections) else "not_paid"

    def fulfillment_status(self) -> str:
        if not self.fulfillments:
            return "not_fulfilled"
        if all(parcel.canceled_at for parcel in self.fulfillments):
            return "canceled"
        for word in ("delivered", "shipped", "fulfilled"):
            done = [getattr(item, word) for item in self.items]
            if any(done):
                whole = all(count >= item.quantity for count, item in zip(done, self.items, strict=True))
                return word if whole else f"partially_{word}"
        return "not_fulfilled"
