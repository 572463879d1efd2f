"""What a platform does on its own when asked to cancel or refund; data, the same for every shop of a kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import field_serializer

from ordersync.model.order import Frozen

RefundBy = Literal["amount", "lines", "shipping"]


class Semantics(Frozen):
    cancel_refunds: Literal["all", "none", "unknown"]
    cancel_restocks: Literal["always", "on_request", "never", "unknown"]
    idempotency_key_life: timedelta | None = None
    refund_names_payment: bool = False
    """A refund must name the payment it is taken from."""
    refund_can_only_mark: bool = False
    """A refund of money a gateway holds can be asked to mark only; elsewhere the payment alone decides."""
    refund_by: frozenset[RefundBy] = frozenset({"amount"})
    """What a refund can be told besides its money: a bare amount, the lines it is for, its shipping part."""
    refund_lines_need_amount: bool = True
    """A refund by lines must name its sum as well; elsewhere the platform can work it out."""
    refund_restocks: Literal["on_request", "with_lines", "never", "unknown"] = "unknown"
    """`with_lines`: on request, and only for lines the refund names."""
    ship_needs_pack: bool = False
    """A parcel is packed by one call and shipped by the next; elsewhere one call makes a shipped parcel."""
    tracking: bool = False
    """A parcel can be given carrier and tracking, and they are there when the order is read."""
    tracking_at_pack: bool = False
    """Tracking is told when packing: shipping has no place for it."""
    deliver: bool = False
    """A shipped parcel can be marked as delivered, and that can be read back."""
    parcel_token_field: str | None = None
    """Canonical field of a fulfillment that brings our token back when the order is read."""
    refund_token_field: str | None = None
    """Canonical field of a refund record that brings our token back when the order is read."""
    cancel_token_field: str | None = None
    records_cancel: bool = True
    """The cancel marker can be read back."""
    records_progress: bool = True
    mutes_buyer_mail: bool = True
    visibility_lag: timedelta = timedelta(0)
    answer_within_s: float = 30.0
    queue_s: float = 0.0
    """How long a write may stand in the platform's queue after its caller gave up."""

    @field_serializer("refund_by")
    def _in_order(self, words: frozenset[RefundBy]) -> list[str]:
        """A set has no order of its own, and the text of semantics is compared between runs."""
        return sorted(words)
