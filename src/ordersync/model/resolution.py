"""What a person can answer to a hold, and the answer as data: who, why, bound to what was seen."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import AwareDatetime

from ordersync.model.link import Action, ActionState, Hold, stable_hash
from ordersync.model.order import Frozen, OrderRef

APPROVED_FOR = timedelta(hours=72)


class Verb(StrEnum):
    LOOK = "look"
    """Read everything concerned again; what is no longer so closes."""
    LEAVE = "leave"
    """Accept the difference: it is not carried and not asked about again."""
    DONE = "done"
    """A doubtful refund did happen: this record of the platform is it."""
    RESEND = "resend"
    """A doubtful write did not happen: look, then send it once more."""
    APPROVE = "approve"
    """Let exactly this write (or exactly this batch of writes) go, once."""
    COMPARE = "compare"
    """Take the amounts of orders with different totals as they are, for as long as these totals stay."""


_DOUBT = (Verb.LOOK, Verb.DONE, Verb.RESEND, Verb.LEAVE)
_ASK = (Verb.LOOK, Verb.APPROVE, Verb.LEAVE)
_DIFFERENCE = (Verb.LOOK, Verb.LEAVE)

VERBS: dict[str, tuple[Verb, ...]] = {
    "in_doubt": _DOUBT,
    "not_visible": (Verb.LOOK, Verb.DONE, Verb.LEAVE),
    "limit_reached": _ASK,
    "different_totals": (Verb.LOOK, Verb.COMPARE, Verb.LEAVE),
    "needs_approval": _ASK,
    "old_fact": _ASK,
    "differs_at_link": _ASK,
    "looks_like_repeat": _ASK,
    "now_possible": _ASK,
    "member_unreadable": (Verb.LOOK,),
    "parked": (Verb.LOOK,),
    "unauthorized": (Verb.LOOK,),
    "reference_unconfirmed": (Verb.LEAVE,),
    "duplicate_mirror": (Verb.LEAVE,),
    "split_sale": (Verb.LEAVE,),
    "unreadable_row": (Verb.LEAVE,),
}
"""The verbs of a reason code where they are not `look` and `leave`."""


def verbs_of(code: str) -> tuple[Verb, ...]:
    return VERBS.get(code, _DIFFERENCE)


class Resolution(Frozen):
    """One answer of one person to one hold. It is kept for ever; an approval is also used up by its write."""

    number: int
    hold: str
    """`H-31`."""
    hold_key: str
    code: str
    verb: Verb
    link_id: str | None = None
    target: OrderRef | None = None
    """None: every member."""
    facts: tuple[str, ...] = ()
    digest: str
    """What the person saw: an approval holds for exactly this, a left hold stays shut while it is still this."""
    who: str
    why: str | None = None
    at: AwareDatetime
    expires_at: AwareDatetime | None = None
    used_at: AwareDatetime | None = None
    used_by: str | None = None
    """Key of the write that used an approval."""

    def covers(self, fact_id: str, target: OrderRef) -> bool:
        return fact_id in self.facts and self.target in (None, target)


def seen_digest(hold: Hold) -> str:
    """What an answer to this hold is bound to: the money it was derived from, else what it says."""
    return hold.digest or stable_hash(hold.message, *hold.evidence, str(hold.money))[:32]


def may_have_happened(state: ActionState) -> bool:
    """Counts in every bound although nothing shows it: open, in doubt, or left in doubt by a person."""
    return state.is_open or state is ActionState.LEFT


def fact_of(action: Action) -> tuple[str, ...]:
    return (action.fact_id,) if action.fact_id else ()
