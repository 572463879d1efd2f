"""A write nobody knows the outcome of is looked for twice before a person is asked. Pure.

A request that got no answer may still stand in the platform's queue: what is not there yet may come. So a look counts
only when the platform had its time to answer, to work off its queue and to show what it did, and the second one only
that long after the first. An earlier look may find the write; that it did not proves nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ordersync.model import ActionKind, ActionRecord, ActionState
from ordersync.model.semantics import Semantics

LOOKS = 2


def look_gap(semantics: Semantics) -> timedelta:
    """How long the platform may take until what was sent shows."""
    return timedelta(seconds=semantics.answer_within_s + semantics.queue_s) + semantics.visibility_lag


def next_look_at(record: ActionRecord, semantics: Semantics) -> datetime | None:
    """From when on a look at this doubt counts; None when it was looked for often enough."""
    due = (record.sent_at or record.intended_at) + look_gap(semantics)
    for _ in range(LOOKS):
        looked = min((at for at in record.looked_at if at >= due), default=None)
        if looked is None:
            return due
        due = looked + look_gap(semantics)
    return None


def lets_goods_pass(record: ActionRecord, semantics: Semantics) -> bool:
    """A refund whose hold stands may stay in doubt for days: parcels and steps of its order do not wait for it."""
    return (
        record.state is ActionState.DOUBT
        and record.action.kind is ActionKind.REFUND
        and next_look_at(record, semantics) is None
    )
