"""How far a run may go without a person: counts and values.

Twice: `weigh` counts everything a run would write before its first write of a kind, and what crosses a limit stops
that kind whole, as one hold over exactly that batch. `check_limits` guards each intent inside its own transaction,
for what two processes, or a change during the run, add meanwhile. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from ordersync.model import (
    Action,
    ActionKind,
    Batched,
    CellState,
    Decision,
    FactKind,
    Hold,
    Money,
    OrderRef,
    Resolution,
    Verb,
    hold_key,
    stable_hash,
)
from ordersync.reconcile.policy import Limits, LimitSet

LIMIT_REACHED = "limit_reached"
LIMITED = (ActionKind.REFUND, ActionKind.CANCEL)
_KIND_OF = {FactKind.REFUND: ActionKind.REFUND, FactKind.CANCELLATION: ActionKind.CANCEL}
_FOLLOWS = ("one_at_a_time", "refunds_first")
NAMED_MAX = 10


class Tally(Protocol):
    """Writes that may have happened, open and doubtful ones included."""

    def count(self, kind: ActionKind) -> int: ...

    def value(self, currency: str) -> Money: ...

    def money_facts(self, link_id: str, members: Collection[OrderRef] = ()) -> frozenset[str]: ...


class Approvals:
    """What people let pass beyond the limits and no write has used up yet: each is for one write of a batch."""

    def __init__(self, given: Sequence[Resolution], now: datetime) -> None:
        self._open: dict[tuple[str, OrderRef | None], list[Resolution]] = {}
        for one in given:
            live = one.used_at is None and one.expires_at is not None and one.expires_at > now
            if one.code == LIMIT_REACHED and one.verb is Verb.APPROVE and live:
                for fact_id in one.facts:
                    self._open.setdefault((fact_id, one.target), []).append(one)

    def of(self, action: Action) -> Resolution | None:
        """The approval of exactly this write, on the money it was approved on."""
        return next((r for r in self._about(action) if r.digest == action.digest), None)

    def outdated(self, action: Action) -> Resolution | None:
        """It was approved, but what was seen then has changed since."""
        found = self._about(action)
        return found[0] if found and self.of(action) is None else None

    def _about(self, action: Action) -> list[Resolution]:
        return self._open.get((action.fact_id or "", action.target), [])


class Coming(NamedTuple):
    """A write that follows in the same run once another one is seen."""

    kind: ActionKind
    value: Money | None
    fact_id: str


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the limits say about a whole plan."""

    holds: tuple[Hold, ...] = ()
    closed: frozenset[ActionKind] = frozenset()
    """Kinds of which nothing is written without an approval."""
    closed_links: frozenset[str] = frozenset()

    def closes(self, action: Action) -> bool:
        """Not to be written unless a person approved just this."""
        return action.kind in LIMITED and (action.kind in self.closed or action.link_id in self.closed_links)


def weigh(decisions: Sequence[Decision], run: Tally, day: Tally, limits: Limits, approvals: Approvals) -> Weighed:
    """Count what these decisions would write, with what was written already, before anything of it is.

    What follows in the same run (a cancel after its refund) counts too. Approved writes count and are never stopped.
    """
    due = [a for d in decisions for a in d.actions if a.kind in LIMITED]
    coming = [one for d in decisions for one in _coming(d)]
    holds: list[Hold] = []
    closed_links: set[str] = set()
    for decision in decisions:
        facts = _money_facts(decision, day)
        if len(facts) <= limits.money_facts_per_link_day:
            continue
        closed_links.add(decision.link_id)
        stopped = [a for a in due if a.link_id == decision.link_id and approvals.of(a) is None]
        if stopped:
            said = f"makes {len(facts)} facts with money of one link in 24 h, of {limits.money_facts_per_link_day}"
            holds.append(_hold(f"link:{decision.link_id}", stopped, [said], approvals))
    closed: set[ActionKind] = set()
    for kind in LIMITED:
        crossed = [
            said
            for name, tally, bound in (("run", run, limits.run), ("day", day, limits.day))
            for said in _crossed(kind, due, coming, tally, bound, name)
        ]
        if not crossed:
            continue
        closed.add(kind)
        stopped = [a for a in due if a.kind is kind and a.link_id not in closed_links and approvals.of(a) is None]
        if stopped:
            holds.append(_hold(f"run:{kind}", stopped, crossed, approvals))
    return Weighed(tuple(holds), frozenset(closed), frozenset(closed_links))


def check_limits(
    action: Action, run: Tally, day: Tally, limits: Limits, members: Collection[OrderRef] = ()
) -> Hold | None:
    """The guard of one intent: the hold that stops this write, or None. `members`: the orders of its link."""
    for name, tally, bound in (("run", run, limits.run), ("day", day, limits.day)):
        crossed = _crossed(action.kind, [action], [], tally, bound, name)
        if crossed:
            return _hold(f"run:{action.kind}", [action], crossed, None)
    if action.link_id is not None and action.fact_id is not None and action.kind.moves_money:
        facts = day.money_facts(action.link_id, members) | {action.fact_id}
        if len(facts) > limits.money_facts_per_link_day:
            said = f"makes {len(facts)} facts with money of one link in 24 h, of {limits.money_facts_per_link_day}"
            return _hold(f"link:{action.link_id}", [action], [said], None)
    return None


def _coming(decision: Decision) -> list[Coming]:
    busy = {action.target for action in decision.actions}
    found: dict[tuple[str, OrderRef], Coming] = {}
    for wait in decision.waits:
        row = next((r for r in decision.ledger.rows if r.fact.fact_id == wait.fact_id), None)
        kind = _KIND_OF.get(row.fact.kind) if row is not None else None
        if row is None or kind is None or wait.code not in _FOLLOWS or wait.target not in busy:
            continue
        cell = row.cell(wait.target)
        if cell is not None and cell.state in (CellState.OWED, CellState.CANNOT):
            value = row.fact.amount if kind is ActionKind.REFUND else None
            found[wait.fact_id, wait.target] = Coming(kind, value, wait.fact_id)
    return list(found.values())


def _money_facts(decision: Decision, day: Tally) -> frozenset[str]:
    """Facts of a link for which money moves or moved within a day; none of ours: nothing is to be limited."""
    due = {a.fact_id for a in decision.actions if a.kind in LIMITED and a.fact_id is not None}
    if not due:
        return frozenset()
    members = {cell.member for row in decision.ledger.rows for cell in row.cells}
    coming = {one.fact_id for one in _coming(decision)}
    return day.money_facts(decision.link_id, members) | due | coming


def _crossed(
    kind: ActionKind, due: Sequence[Action], coming: Sequence[Coming], tally: Tally, bound: LimitSet, name: str
) -> list[str]:
    """Which limits of one set this kind would cross, as a person reads it."""
    found: list[str] = []
    span = "in this run" if name == "run" else "in 24 h"
    count_max = {ActionKind.CANCEL: bound.cancel, ActionKind.REFUND: bound.refund}.get(kind)
    planned = sum(1 for a in due if a.kind is kind) + sum(1 for c in coming if c.kind is kind)
    written = tally.count(kind)
    if count_max is not None and planned and written + planned > count_max:
        found.append(f"crosses limits.{name}.{kind}: {written} {span} and {planned} due, of {count_max}")
    values = [(a.kind, a.value) for a in due] + [(c.kind, c.value) for c in coming]
    for currency in sorted({v.currency for k, v in values if k is kind and v is not None}):
        asked = sum(v.amount_minor for _, v in values if v is not None and v.currency == currency)
        gone, allowed = tally.value(currency), bound.value_limit(currency)
        if gone.amount_minor + asked > allowed:
            found.append(
                f"crosses limits.{name}.refund_value: {gone} {span} and "
                f"{Money(amount_minor=asked, currency=currency)} due, of "
                f"{Money(amount_minor=allowed, currency=currency)}"
            )
    return found


def _hold(subject: str, stopped: Sequence[Action], crossed: Sequence[str], approvals: Approvals | None) -> Hold:
    batch = tuple(sorted((batched(a) for a in stopped), key=lambda b: (b.target, b.key)))
    digest = stable_hash(*(part for one in batch for part in (one.key, one.digest)))[:32]
    amounts = [a.value for a in stopped if a.value is not None]
    money = None
    if amounts and len({m.currency for m in amounts}) == 1:
        money = Money(amount_minor=sum(m.amount_minor for m in amounts), currency=amounts[0].currency)
    kinds = sorted({a.kind.value for a in stopped})
    what = f"{len(batch)} {' and '.join(kinds)}{'s' if len(batch) != 1 else ''}" + (f", {money}" if money else "")
    where = f" on {subject.removeprefix('link:')}" if subject.startswith("link:") else ""
    outdated = [(a, found) for a in stopped if approvals and (found := approvals.outdated(a)) is not None]
    return Hold(
        key=hold_key(LIMIT_REACHED, subject, digest),
        code=LIMIT_REACHED,
        subject=subject,
        message=f"{what}{where}: none is written, it {crossed[0]}",
        evidence=(*crossed, *(_changed_since(action, found) for action, found in outdated[:NAMED_MAX])),
        next_steps=("ordersync plan   shows what else is due", "limits: in the configuration sets them"),
        money=money,
        digest=digest,
        batch=batch,
    )


def _changed_since(action: Action, given: Resolution) -> str:
    amount = f" {action.amount}" if action.amount else ""
    return f"{action.kind} {action.target}{amount} changed since {given.who} approved it in {given.hold}"


def batched(action: Action) -> Batched:
    return Batched(
        key=action.key,
        kind=action.kind,
        target=action.target,
        link_id=action.link_id,
        fact_id=action.fact_id,
        amount=action.value,
        pays_buyer=action.pays_buyer,
        digest=action.digest,
    )


def action_hold_key(code: str, action: Action) -> str:
    """A hold that stops one action: it closes when the action is sent or no longer due."""
    return hold_key(code, f"action:{action.key}")
