"""The limits over a whole run: what it would write is counted before its first write of a kind (DESIGN 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ordersync.model import Action, ActionKind, Decision
from ordersync.reconcile import Limits
from ordersync.reconcile.limits import LIMIT_REACHED, Approvals, Weighed, weigh
from ordersync.store import Spent, Store


@dataclass(slots=True)
class Gate:
    """Which writes of a run the limits let pass: weighed before its first write; a refused intent closes more."""

    store: Store
    limits: Limits
    run_started_at: datetime
    weighed: Weighed = field(default_factory=Weighed)
    refused: set[ActionKind] = field(default_factory=set)
    """Kinds that crossed a limit during the run, by what another process or a newer look added."""
    incomplete: bool = False
    """Something was stopped that no hold lists yet: it came due during the run."""

    def weigh(self, decisions: Sequence[Decision], now: datetime, *, whole: bool = True) -> list[str]:
        """Count these decisions, open the holds they need, and remember what is stopped; numbers of new holds.

        `whole`: these are all decisions there are, so holds about any other batch no longer stand.
        """
        self.weighed, new = weigh_plan(
            self.store, decisions, self.limits, now, run_started_at=self.run_started_at, whole=whole
        )
        return new

    def stops(self, action: Action, now: datetime) -> bool:
        if not (action.kind in self.refused or self.weighed.closes(action)):
            return False
        if approvals_of(self.store, now).of(action) is not None:
            return False
        self.incomplete |= all(action.key != one.key for hold in self.weighed.holds for one in hold.batch)
        return True


def weigh_plan(
    store: Store,
    decisions: Sequence[Decision],
    limits: Limits,
    now: datetime,
    *,
    run_started_at: datetime | None = None,
    whole: bool = True,
) -> tuple[Weighed, list[str]]:
    """What the limits say about a plan, and the numbers of the holds that are new. They are opened in the store."""
    spent = store.spent(now)
    run = Spent(now, ()) if run_started_at is None else spent.since(run_started_at)
    weighed = weigh(decisions, run, spent, limits, approvals_of(store, now))
    if whole:
        why = "this batch no longer stands before a limit"
        return weighed, store.derive_holds(weighed.holds, [LIMIT_REACHED], "", now, why)
    opened = [store.open_hold(hold, now) for hold in weighed.holds]
    return weighed, [number for number, is_new in opened if is_new]


def approvals_of(store: Store, now: datetime) -> Approvals:
    return Approvals(store.unused_approvals(LIMIT_REACHED, now), now)


def stopped_in(store: Store, weighed: Weighed, decisions: Iterable[Decision], now: datetime) -> set[str]:
    """Keys of the writes in a plan that the limits stop."""
    approvals = approvals_of(store, now)
    return {a.key for d in decisions for a in d.actions if weighed.closes(a) and approvals.of(a) is None}
