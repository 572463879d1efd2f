"""How far a run may go without a person: counts and values, checked in the intent's own transaction."""

from __future__ import annotations

from typing import Protocol

from ordersync.model import Action, ActionKind, Hold, Money, fact_of, hold_key
from ordersync.reconcile.policy import Limits, LimitSet


class Tally(Protocol):
    """Writes that may have happened, open and doubtful ones included."""

    def count(self, kind: ActionKind) -> int: ...

    def value(self, currency: str) -> Money: ...

    def money_facts(self, link_id: str) -> frozenset[str]: ...


def check_limits(action: Action, run: Tally, day: Tally, limits: Limits) -> Hold | None:
    """The hold that stops this action, or None. A limit stops its kind of write before the first beyond it."""
    for name, tally, bound in (("run", run, limits.run), ("day", day, limits.day)):
        crossed = _crossed(action, tally, bound)
        if crossed is not None:
            return _hold(action, name, crossed)
    if action.link_id is not None and action.fact_id is not None and action.kind.moves_money:
        facts = day.money_facts(action.link_id) | {action.fact_id}
        if len(facts) > limits.money_facts_per_link_day:
            return _hold(action, "link", f"more than {limits.money_facts_per_link_day} facts with money in a day")
    return None


def _crossed(action: Action, tally: Tally, bound: LimitSet) -> str | None:
    if action.kind is ActionKind.CANCEL and tally.count(ActionKind.CANCEL) + 1 > bound.cancel:
        return f"cancels {bound.cancel}"
    if action.kind is ActionKind.REFUND and tally.count(ActionKind.REFUND) + 1 > bound.refund:
        return f"refunds {bound.refund}"
    value = action.value
    if value is None:
        return None
    allowed = Money(amount_minor=bound.value_limit(value.currency), currency=value.currency)
    if allowed < tally.value(value.currency) + value:
        return f"refund_value {allowed}"
    return None


def _hold(action: Action, which: str, crossed: str) -> Hold:
    what = f"{action.kind} {action.value}" if action.value else action.kind.value
    key = f"limits.{which}.{crossed.split()[0]}" if which != "link" else "3 facts with money per link and day"
    return Hold(
        key=action_hold_key("limit", action),
        code="limit",
        subject=f"action:{action.key}",
        message=f"{what} on {action.target} would cross the limit {crossed} ({key})",
        evidence=(action.because,),
        next_steps=(
            f"raise {key} in the configuration" if which != "link" else "look at the link's refunds first",
            "then run: ordersync apply",
        ),
        money=action.value,
        sticky=True,
        link_id=action.link_id,
        target=action.target,
        facts=fact_of(action),
        digest=action.digest,
    )


def action_hold_key(code: str, action: Action) -> str:
    """A hold that stops one action: it closes when the action is sent or no longer due."""
    return hold_key(code, f"action:{action.key}")
