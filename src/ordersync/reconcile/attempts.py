"""What earlier tries mean for something that moves no money: a parcel, a step of progress."""

from __future__ import annotations

from ordersync.model import ActionState, CellState, OrderRef
from ordersync.reconcile.decide import Case
from ordersync.reconcile.refunds import UNSEEN_AFTER


def after_attempts(case: Case, fact_id: str, target: OrderRef, what: str) -> tuple[CellState, str] | None:
    """The cell's state and reason while an earlier try stands in the way; None when the next step may be planned.

    A try that was seen stands in nobody's way: several steps may lead to one fact (pack, then ship).
    """
    for record in case.attempts(target, fact_id):
        if record.state is ActionState.DOUBT:
            return CellState.SENT, "in_doubt"
        if record.state in (ActionState.INTENDED, ActionState.SENDING):
            case.wait("in_flight", f"{what} at {target} is being sent", target, fact_id)
            return CellState.SENT, "in_flight"
        if record.state is ActionState.RECEIPTED:
            since = record.answered_at or record.intended_at
            if case.now - since < UNSEEN_AFTER:
                case.wait("not_yet_visible", f"{target} accepted {what}", target, fact_id, since + UNSEEN_AFTER)
            else:
                case.hold(
                    "not_visible",
                    f"{target} accepted {what} an hour ago and still does not show it",
                    record.action.key,
                    target=target,
                )
            return CellState.SENT, "not_visible"
        if record.state is ActionState.LEFT:
            case.hold_tried(record.action)
            return CellState.SENT, "tried_before"
        if record.state is ActionState.REFUSED:
            said = f": {record.answer}" if record.answer else ""
            case.hold("refused", f"{target} refused {what}{said}", record.action.key, target=target)
            return CellState.FAILED, "refused"
    return None
