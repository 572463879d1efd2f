"""Whose word counts, and how far a run may go without a person. Pure data."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from ordersync.model import FactKind, Frozen, Money


class KindPolicy(Frozen):
    """Policy for one kind of fact."""

    sources: Literal["any", "none"] | tuple[str, ...] = "none"
    """Shops whose facts are carried; facts of others are `local`: shown and counted, not carried."""
    approve_over: tuple[Money, ...] = ()
    """Above this amount (per currency) a person decides each one."""
    restock: Literal["never", "as_origin"] = "never"
    notify_buyer: bool = False
    carry_after: timedelta | None = None
    """How old a fact must be; None: the target platform's visibility lag, at least ten minutes for a write that
    pays a buyer."""

    def counts(self, shop: str) -> bool:
        if isinstance(self.sources, str):
            return self.sources == "any"
        return shop in self.sources


class Policy(Frozen):
    cancel: KindPolicy = KindPolicy(sources="any")
    refund: KindPolicy = KindPolicy()
    """No default: until the merchant names the shops, no refund is carried."""
    fulfill: KindPolicy = KindPolicy()
    progress: KindPolicy = KindPolicy()
    old_after: timedelta = timedelta(days=3)
    """A fact that first becomes an action later than this after it happened waits for a person."""
    total_tolerance_minor: int = 1

    def of(self, kind: FactKind) -> KindPolicy:
        return {
            FactKind.CANCELLATION: self.cancel,
            FactKind.REFUND: self.refund,
            FactKind.SHIPMENT: self.fulfill,
            FactKind.PROGRESS: self.progress,
        }[kind]


class LimitSet(Frozen):
    cancel: int = 10
    refund: int = 20
    refund_value: tuple[Money, ...] = ()
    """Per currency; an unlisted currency is 0."""

    def value_limit(self, currency: str) -> int:
        return next((m.amount_minor for m in self.refund_value if m.currency == currency), 0)


class Limits(Frozen):
    run: LimitSet = LimitSet()
    day: LimitSet = LimitSet(cancel=30, refund=60)
    money_facts_per_link_day: int = 3
