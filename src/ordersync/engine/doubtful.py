"""The doubtful write behind a hold: in the journal, or sent by an earlier life of the database and only logged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ordersync.engine.sentlog import SentLog
from ordersync.errors import Held, UsageError
from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    Decision,
    Hold,
    Money,
    OrderRef,
    Refund,
    RefundState,
)
from ordersync.reconcile import token_in
from ordersync.reconcile.pairing import TOLERANCE_MINOR
from ordersync.store import Store, lives, process_number

UNSURE = (ActionState.DOUBT, ActionState.RECEIPTED)
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Doubtful:
    action: Action
    record: ActionRecord | None
    """None: only the log of sends knows it."""
    lost_keys: tuple[str, ...] = ()

    def end(
        self, store: Store, state: ActionState, said: str, now: datetime, platform_ref: str | None = None
    ) -> bool:
        """Enter in the journal how a person says it ended; False when it was settled meanwhile."""
        if self.record is not None:
            return store.advance(
                self.record.action.key, self.record.state, state, at=now, answer=said, platform_ref=platform_ref
            )
        ended = [
            store.record_past(self.action.model_copy(update={"key": key}), state, now, said, platform_ref)
            for key in self.lost_keys
        ]
        return any(ended)


def find_doubtful(store: Store, sent_log: SentLog, hold: Hold, decision: Decision | None) -> Doubtful | None:
    """The write a hold is in doubt about; None for holds about anything else."""
    if hold.code not in ("in_doubt", "not_visible") or hold.target is None:
        return None
    for record in store.actions(target=hold.target, open_only=True):
        if record.state in UNSURE:
            return Doubtful(record.action, record)
    due = decision.actions if decision is not None else ()
    action = next((a for a in due if hold.subject == f"action:{a.key}"), None)
    if action is None:
        return None
    lost = sorted(k for k in sent_log.sends(action.key, action.target, action.token) if store.action(k) is None)
    return Doubtful(action, None, tuple(lost)) if lost else None


def matching_record(store: Store, action: Action, record_id: str) -> tuple[str, tuple[str, ...]]:
    """The refund a person names as the doubtful one, and facts to forget: it may have been taken for one of its own.

    Errors: UsageError `no_such_record`, `not_a_refund`; Held `amount_differs`, `record_taken`.
    """
    if action.kind is not ActionKind.REFUND or action.amount is None:
        raise UsageError(
            f"a {action.kind} leaves no record to name",
            code="not_a_refund",
            next_step="look: it settles when the order shows it",
        )
    target = action.target
    stored = store.order(target)
    records = [r for r in (stored.order.refunds if stored else None) or () if r.status is not RefundState.FAILED]
    found = next((r for r in records if r.id == record_id), None)
    if found is None:
        shown = ", ".join(f"{r.id} {r.amount}" for r in records) or "none"
        raise UsageError(
            f"{target} has no refund {record_id}", code="no_such_record", next_step=f"its refunds: {shown}"
        )
    if not _equal(found.amount, action.amount):
        raise Held(
            f"{record_id} is {found.amount}, and {action.amount} was sent",
            code="amount_differs",
            next_step=f"see its refunds: ordersync orders show {target} --fresh",
        )
    return found.id, _facts_to_forget(store, action, found)


def _facts_to_forget(store: Store, action: Action, found: Refund) -> tuple[str, ...]:
    target = action.target
    taken = Held(
        f"{found.id} is another refund already",
        code="record_taken",
        next_step=f"see which: ordersync orders explain {target}",
    )
    if token_in(found.note) not in (None, action.token):
        raise taken
    if any(a.platform_ref == found.id for a in store.actions(target=target) if a.action.key != action.key):
        raise taken
    link = store.link_of(target)
    alone: list[str] = []
    for row in store.ledger(link.link_id).rows if link else ():
        holding = [cell for cell in row.cells if cell.record_ids]
        if row.fact.fact_id == action.fact_id or not any(
            c.member == target and found.id in c.record_ids for c in holding
        ):
            continue
        if [(c.member, c.record_ids) for c in holding] != [(target, (found.id,))]:
            raise taken
        alone.append(row.fact.fact_id)
    return tuple(alone)


def check_amount(action: Action, typed: Money | None, number: str) -> None:
    """The person typed the money that leaves once more. UsageError `amount_missing`, `amount_differs`."""
    if action.amount is None or typed == action.amount:
        return
    raise UsageError(
        f"sending it again needs its amount typed: it is {action.amount}"
        + (f", not {typed}" if typed is not None else ""),
        code="amount_missing" if typed is None else "amount_differs",
        next_step=f'ordersync holds resolve {number} resend --amount "{action.amount}"',
    )


def check_unanswered(store: Store, doubtful: Doubtful, number: str) -> None:
    """No refund of that amount without our mark appeared since it was sent. Held `may_have_happened`."""
    action = doubtful.action
    if action.kind is not ActionKind.REFUND or action.amount is None:
        return
    sent_at = None if doubtful.record is None else doubtful.record.sent_at or doubtful.record.intended_at
    for refund in _refunds(store, action.target):
        if refund.status is RefundState.FAILED or not _equal(refund.amount, action.amount):
            continue
        old = sent_at is not None and refund.created_at is not None and refund.created_at < sent_at - CLOCKS_DIFFER
        if token_in(refund.note) is not None or old:
            continue
        raise Held(
            f"{action.target} shows a refund of {refund.amount} that may be it: {refund.id}; nothing was sent",
            code="may_have_happened",
            next_step=f"ordersync holds resolve {number} done --record {refund.id}, or leave it",
        )


def check_sender_gone(store: Store, doubtful: Doubtful, number: str) -> None:
    """A process that was frozen before it sent would still send when it wakes. Held `sender_alive`.

    One that stored the doubt itself has its answer, or none, behind it.
    """
    record = doubtful.record
    if record is None or record.answered_at is not None:
        return
    sender = store.sender(record.action.key)
    if sender is not None and lives(sender):
        pid = process_number(sender)
        raise Held(
            f"the process that was sending it (number {pid}) is still there and may send it yet; nothing was done",
            code="sender_alive",
            next_step=f"end it: kill -9 {pid}; then: ordersync holds resolve {number} look",
        )


def _refunds(store: Store, ref: OrderRef) -> tuple[Refund, ...]:
    stored = store.order(ref)
    return (stored.order.refunds if stored else None) or ()


def _equal(one: Money, other: Money) -> bool:
    return one.currency == other.currency and abs(one.amount_minor - other.amount_minor) <= TOLERANCE_MINOR
