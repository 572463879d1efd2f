"""The canonical order: what every platform's payload becomes.

Totals are the platform's own. `None` for a list means "not loaded", an empty tuple means "none".
The three status axes are derived from the facts in the order, never read from one word.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ordersync.model.money import Money, total

NO_CURRENCY = "XXX"
"""ISO 4217 for "no currency": a partial list row whose currency was not loaded."""


class OrderRef(NamedTuple):
    """(shop, platform order id): the only way an order is named across shops."""

    shop: str
    order_id: str

    def __str__(self) -> str:
        return f"{self.shop}:{self.order_id}"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Purse(StrEnum):
    GATEWAY = "gateway"
    """Refunding this payment sends money to the buyer."""
    BOOKS = "books"
    """Refunding this payment only marks it."""


class PaymentState(StrEnum):
    PENDING = "pending"
    AUTHORIZED = "authorized"
    COMPLETED = "completed"
    FAILED = "failed"
    VOIDED = "voided"
    REFUNDED = "refunded"
    """Completed, and since refunded in full: still counts as captured."""


class RefundState(StrEnum):
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class FulfillmentState(StrEnum):
    PACKED = "packed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class Progress(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    COMPLETED = "completed"

    @property
    def rank(self) -> int:
        return list(Progress).index(self)


class OrderStatus(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The platform states no progress and no cancel marker (the Medusa-style dialect)."""


class PaymentStatus(StrEnum):
    UNPAID = "unpaid"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"
    """Payments were not loaded."""


class FulfillmentStatus(StrEnum):
    UNFULFILLED = "unfulfilled"
    PARTIALLY_FULFILLED = "partially_fulfilled"
    FULFILLED = "fulfilled"
    UNKNOWN = "unknown"
    """Fulfillments or line items were not loaded."""


class Address(Frozen):
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    line1: str | None = None
    line2: str | None = None
    district: str | None = None
    city: str | None = None
    province: str | None = None
    postal_code: str | None = None
    country_code: str | None = None
    phone: str | None = None


class Buyer(Frozen):
    customer_id: str | None = None
    email: str | None = None
    name: str | None = None
    phone: str | None = None


class TaxLine(Frozen):
    title: str | None = None
    rate_percent: str | None = None
    """Decimal as text, in percent: "8.25"."""
    amount: Money | None = None


class Discount(Frozen):
    code: str | None = None
    title: str | None = None
    kind: str | None = None
    amount: Money | None = None


class LineItem(Frozen):
    id: str
    sku: str | None = None
    variant_id: str | None = None
    product_id: str | None = None
    title: str | None = None
    variant_title: str | None = None
    quantity: int
    unit_price: Money | None = None
    """None only in a partial row that does not tell its currency."""
    presentment_unit_price: Money | None = None
    discount: Money | None = None
    tax: Money | None = None
    total: Money | None = None
    fulfilled_quantity: int | None = None
    refunded_quantity: int | None = None
    tax_lines: tuple[TaxLine, ...] = ()


class ShippingLine(Frozen):
    id: str | None = None
    title: str | None = None
    price: Money | None = None
    presentment_price: Money | None = None
    discounted_price: Money | None = None
    tax_lines: tuple[TaxLine, ...] = ()


class Totals(Frozen):
    """As the platform states them; nothing here is recomputed."""

    subtotal: Money | None = None
    discount: Money | None = None
    shipping: Money | None = None
    tax: Money | None = None
    total: Money | None = None
    """What the platform calls the total now; on Medusa it falls with refunds."""
    first_charged: Money | None = None
    """What was first asked of the buyer, where the platform lets us know."""
    refunded: Money | None = None
    """What the platform says was refunded; `Order.refunded` is what its records say."""


class Payment(Frozen):
    id: str
    provider: str | None = None
    provider_id: str | None = None
    purse: Purse
    status: PaymentState
    amount: Money
    captured: Money
    presentment_captured: Money | None = None
    created_at: AwareDatetime | None = None
    captured_at: AwareDatetime | None = None


class RefundLine(Frozen):
    line_item_id: str
    quantity: int
    amount: Money | None = None


class Refund(Frozen):
    id: str
    status: RefundState
    amount: Money
    """Money moved or to be moved; 0 for a record that moves none."""
    presentment_amount: Money | None = None
    lines: tuple[RefundLine, ...] = ()
    shipping: Money | None = None
    note: str | None = None
    payment_id: str | None = None
    restock: bool | None = None
    created_at: AwareDatetime | None = None
    created_by: str | None = None


class FulfillmentLine(Frozen):
    line_item_id: str
    quantity: int


class Fulfillment(Frozen):
    id: str
    status: FulfillmentState
    lines: tuple[FulfillmentLine, ...] | None = ()
    """None: the platform does not tell what is inside (the Medusa-style dialect)."""
    carrier: str | None = None
    tracking_numbers: tuple[str, ...] = ()
    tracking_urls: tuple[str, ...] = ()
    created_at: AwareDatetime | None = None
    shipped_at: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None
    cancelled_at: AwareDatetime | None = None
    note: str | None = None
    """The mark of whoever made the parcel, where the platform keeps one: `Semantics.parcel_token_field`."""


class Cancellation(Frozen):
    cancelled_at: AwareDatetime | None = None
    reason: str | None = None


class IntegrityNote(Frozen):
    """A disagreement inside the platform's own payload; shown, never repaired."""

    code: str
    detail: str


class Order(Frozen):
    shop: str
    order_id: str
    number: str | None = None
    placed_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    currency: Annotated[str, Field(min_length=3, max_length=3)]
    """`NO_CURRENCY` in a partial row that does not tell it; such a row carries no amounts."""
    presentment_currency: str | None = None
    buyer: Buyer | None = None
    shipping_address: Address | None = None
    billing_address: Address | None = None
    line_items: tuple[LineItem, ...] | None = None
    shipping_lines: tuple[ShippingLine, ...] | None = None
    discounts: tuple[Discount, ...] | None = None
    tax_lines: tuple[TaxLine, ...] | None = None
    totals: Totals = Totals()
    presentment_totals: Totals | None = None
    payments: tuple[Payment, ...] | None = None
    refunds: tuple[Refund, ...] | None = None
    fulfillments: tuple[Fulfillment, ...] | None = None
    cancellation: Cancellation | None = None
    progress: Progress | None = None
    draft: bool = False
    archived: bool = False
    note: str | None = None
    tags: tuple[str, ...] = ()
    references: dict[str, str] = {}
    """Free-form keys a merchant or buyer wrote (metadata, note attributes), flattened to text."""
    platform_words: dict[str, str] = {}
    """The platform's own status words, as sent."""
    integrity: tuple[IntegrityNote, ...] = ()

    @property
    def ref(self) -> OrderRef:
        return OrderRef(self.shop, self.order_id)

    @property
    def captured(self) -> Money | None:
        """Captured and not given back by a void: payments completed or since refunded. None: not loaded."""
        if self.payments is None:
            return None
        return total((payment.captured for payment in self.payments), self.money_currency)

    @property
    def refunded(self) -> Money | None:
        """Sum of completed refund records. None: not loaded."""
        return self._refund_sum(RefundState.COMPLETED)

    @property
    def refund_pending(self) -> Money | None:
        """Sum of pending refund records. None: not loaded."""
        return self._refund_sum(RefundState.PENDING)

    @property
    def money_currency(self) -> str:
        """The currency of the money records (payments, refunds); the order's own when there are none."""
        for payment in self.payments or ():
            return payment.captured.currency
        for refund in self.refunds or ():
            return refund.amount.currency
        return self.totals.total.currency if self.totals.total else self.currency

    @property
    def first_charged(self) -> Money | None:
        """What the buyer was first asked for, as far as the platform lets us know."""
        return self.totals.first_charged or self.totals.total

    @property
    def is_cancelled(self) -> bool:
        """The cancel marker is set; a word alone does not count."""
        return self.cancellation is not None

    @property
    def order_status(self) -> OrderStatus:
        if self.is_cancelled:
            return OrderStatus.CANCELLED
        if self.draft:
            return OrderStatus.DRAFT
        if self.progress is None:
            return OrderStatus.UNKNOWN
        return OrderStatus.COMPLETED if self.progress is Progress.COMPLETED else OrderStatus.OPEN

    @property
    def payment_status(self) -> PaymentStatus:
        captured, refunded = self.captured, self.refunded
        if captured is None or refunded is None:
            return PaymentStatus.UNKNOWN
        if captured.amount_minor <= 0:
            return PaymentStatus.UNPAID
        if refunded.amount_minor >= captured.amount_minor:
            return PaymentStatus.REFUNDED
        if refunded.amount_minor > 0:
            return PaymentStatus.PARTIALLY_REFUNDED
        asked = self.first_charged
        short = asked is not None and asked.currency == captured.currency and captured < asked
        return PaymentStatus.PARTIALLY_PAID if short else PaymentStatus.PAID

    @property
    def fulfillment_status(self) -> FulfillmentStatus:
        """From parcels that left the house: packed is not shipped."""
        if self.fulfillments is None or self.line_items is None:
            return FulfillmentStatus.UNKNOWN
        gone = [
            parcel
            for parcel in self.fulfillments
            if parcel.status in (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED)
        ]
        if not gone:
            return FulfillmentStatus.UNFULFILLED
        sent: dict[str, int] = {}
        for parcel in gone:
            if parcel.lines is None:
                return FulfillmentStatus.UNKNOWN
            for line in parcel.lines:
                sent[line.line_item_id] = sent.get(line.line_item_id, 0) + line.quantity
        whole = all(sent.get(line.id, 0) >= line.quantity for line in self.line_items)
        return FulfillmentStatus.FULFILLED if whole else FulfillmentStatus.PARTIALLY_FULFILLED

    def _refund_sum(self, state: RefundState) -> Money | None:
        if self.refunds is None:
            return None
        return total((r.amount for r in self.refunds if r.status is state), self.money_currency)
