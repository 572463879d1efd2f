"""What a platform does on its own when asked to cancel or refund; data, the same for every shop of a kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from ordersync.model.order import Frozen


class Semantics(Frozen):
    cancel_refunds: Literal["all", "none", "unknown"]
    cancel_restocks: Literal["always", "on_request", "never", "unknown"]
    idempotency_key_life: timedelta | None = None
    refund_names_payment: bool = False
    """A refund must name the payment it is taken from."""
    refund_can_only_mark: bool = False
    """A refund of money a gateway holds can be asked to mark only; elsewhere the payment alone decides."""
    refund_token_field: str | None = None
    """Canonical field of a refund record that brings our token back when the order is read."""
    cancel_token_field: str | None = None
    records_cancel: bool = True
    """The cancel marker can be read back."""
    records_progress: bool = True
    mutes_buyer_mail: bool = True
    visibility_lag: timedelta = timedelta(0)
    answer_within_s: float = 30.0
