"""Refunds by amount: which are carried where, which wait, which a person must see."""

from __future__ import annotations

from datetime import timedelta

from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    Cell,
    CellState,
    LedgerRow,
    Money,
    Payment,
    Purse,
    RefundState,
    stable_hash,
)
from ordersync.reconcile.conflicts import hold_conflicts
from ordersync.reconcile.decide import Case
from ordersync.reconcile.late_cancels import of_one_cancel, waits_with_cancel
from ordersync.reconcile.members import Member, RefundRecord, in_flight_minor, money_digest
from ordersync.reconcile.pairing import TOLERANCE_MINOR, Row
from ordersync.reconcile.refund_lines import Unsayable, purpose_at

PAYING_LAG = timedelta(minutes=10)
REPEAT_WITHIN = timedelta(hours=24)
UNSEEN_AFTER = timedelta(hours=1)


def decide_refunds(case: Case) -> None:
    """Fill the ledger's refund rows and plan what is owed, after every reason not to."""
    for problem in case.pairing.problems:
        case.money_blocked |= case.hold(
            problem.code,
            problem.message,
            *(f"{r.member}/{r.record_id}" for r in problem.records),
            problem.fact.fact_id if problem.fact else "",
            money=problem.money,
            sticky=problem.code == "refund_went_back",
        )
    hold_conflicts(case)
    for row in case.pairing.rows:
        cells = tuple(_cell(case, row, member) for member in case.members)
        case.rows.append(LedgerRow(fact=row.fact, cells=cells))
    if case.money_blocked:
        # A later row may have been the one to stop the link's money.
        for action in case.actions:
            case.wait("money_held", "a hold on this link stops its money", action.target, action.fact_id or "")
        case.actions.clear()


def _cell(case: Case, row: Row, member: Member) -> Cell:
    """What this fact is at this member; plans the write when it is owed and nothing speaks against it."""
    amount = row.fact.amount
    records = row.records.get(member.ref, [])
    before = row.previous.cell(member.ref) if row.previous else None
    there = sum(r.amount.amount_minor for r in records)
    ids = tuple(r.record_id for r in records)
    if before is not None and (amount is None or there < amount.amount_minor - TOLERANCE_MINOR):
        # Records once counted stay in the cell until others make up for them: what is gone is missed at every look.
        ids = tuple(dict.fromkeys((*before.record_ids, *ids)))
    if records:
        pending = any(r.state is RefundState.PENDING for r in records)
        if pending and (any(r.token for r in records) or _completed(row.all_records)):
            case.wait(
                "refund_pending", f"{member.ref} has the refund, not yet completed", member.ref, row.fact.fact_id
            )
        return Cell(
            member=member.ref,
            state=CellState.PRESENT,
            record_ids=ids,
            amount=Money(amount_minor=there, currency=records[0].amount.currency),
            reason="pending" if pending else None,
        )
    waived = case.waived(row.fact.fact_id, member.ref, before)
    if waived is not None:
        return waived
    if ids:
        return Cell(member=member.ref, state=CellState.FAILED, record_ids=ids, amount=amount, reason="went_back")
    if amount is None or not _carried(case, row):
        case.skipped.append(f"{row.fact.origin} refund {amount}: local, its shop is not among policy.refund.from")
        return Cell(member=member.ref, state=CellState.LOCAL, reason="not_in_policy")
    state, reason = _owed(case, row, member, amount, before)
    return Cell(member=member.ref, state=state, amount=amount, reason=reason)


def _carried(case: Case, row: Row) -> bool:
    """A member whose word counts shows it as its own, not as a copy we wrote."""
    return bool(_counted(case, row))


def _completed(records: list[RefundRecord]) -> bool:
    return any(r.state is RefundState.COMPLETED for r in records)


def _counted(case: Case, row: Row) -> list[RefundRecord]:
    return [r for r in row.all_records if r.token is None and case.policy.refund.counts(r.member.shop)]


def _owed(
    case: Case, row: Row, member: Member, amount: Money, before: Cell | None
) -> tuple[CellState, str | None]:
    """Owed here: act, wait, or hold. Returns the cell's state and reason."""
    fact = row.fact
    attempts = case.attempts(member.ref, fact.fact_id)
    settled = _after_attempts(case, row, member, attempts)
    if settled is not None:
        return settled
    cannot = _cannot(member, amount)
    if cannot is not None:
        case.skipped.append(f"{member.ref} refund {amount}: cannot, {cannot}")
        return CellState.CANNOT, cannot
    # What could not be done stays so until it was done: the next look must not take it for owed.
    due = CellState.CANNOT if before is not None and before.state is CellState.CANNOT else CellState.OWED
    why = _not_now(case, row, member, amount, before)
    if why is not None:
        return due, why
    payment = _payment(case, row, member, amount)
    if payment is None:
        return due, "no_single_payment"
    if _would_hurt(case, row, member, amount, payment):
        return due, "held"
    try:
        purpose = purpose_at(case, member, _counted(case, row))
    except Unsayable as why_not:
        case.hold(
            "refund_has_lines",
            f"{fact.origin} was refunded {amount} for certain line items or with stock returned: {why_not}",
            fact.fact_id,
            money=amount,
            target=member.ref,
            next_steps=case.refund_steps(member.ref, amount, "carries the amount alone"),
        )
        return due, "refund_has_lines"
    generation = sum(1 for a in attempts if a.state is ActionState.EXPIRED)
    there = case.spoken_for_minor(member)
    case.actions.append(
        Action(
            key=stable_hash(fact.fact_id, str(member.ref), "refund", payment.id, str(there), str(generation))[:40],
            kind=ActionKind.REFUND,
            target=member.ref,
            link_id=case.link.link_id,
            fact_id=fact.fact_id,
            token=fact.token,
            amount=amount,
            payment_id=payment.id,
            purse=payment.purse,
            reason=f"refund of {fact.origin.shop}",
            notify_buyer=case.policy.refund.notify_buyer,
            refund_lines=purpose.lines,
            shipping=purpose.shipping,
            restock=purpose.restock,
            because=_because(row),
            digest=money_digest(case.members, fact.fact_id, str(member.ref), str(amount), copies=fact.token),
            approvals=case.approvals(member.ref, fact.fact_id),
        )
    )
    return due, None


def _because(row: Row) -> str:
    at = f" {row.fact.happened_at:%Y-%m-%d %H:%M}" if row.fact.happened_at else ""
    return f"{row.fact.origin} refunded{at}"


def _after_attempts(
    case: Case, row: Row, member: Member, attempts: list[ActionRecord]
) -> tuple[CellState, str | None] | None:
    """What earlier tries mean for a cell whose record is not (yet) seen; None: nothing was tried that counts."""
    for record in attempts:
        action = record.action
        if record.state is ActionState.DOUBT:
            return CellState.SENT, "in_doubt"
        if record.state in (ActionState.INTENDED, ActionState.SENDING):
            case.wait("in_flight", f"a refund to {member.ref} is being sent", member.ref, row.fact.fact_id)
            return CellState.SENT, "in_flight"
        if record.state is ActionState.RECEIPTED:
            return _unseen(case, row, member, record)
        if record.state is ActionState.LEFT:
            case.hold_tried(action)
            return CellState.SENT, "tried_before"
        if record.state in (ActionState.SEEN, ActionState.REFUSED):
            said = f": {record.answer}" if record.answer else ""
            seen = record.state is ActionState.SEEN
            held = case.hold(
                "refund_went_back" if seen else "refused",
                f"{member.ref} showed the refund of {action.amount} and no longer does"
                if seen
                else f"{member.ref} refused the refund of {action.amount}{said}",
                action.key,
                money=action.amount,
                sticky=seen,
                target=member.ref,
                next_steps=case.refund_steps(member.ref, action.amount, "if it is still owed"),
            )
            case.money_blocked |= seen and held
            return CellState.FAILED, "went_back" if seen else "refused"
    return None


def _unseen(case: Case, row: Row, member: Member, record: ActionRecord) -> tuple[CellState, str | None]:
    since = record.answered_at or record.intended_at
    if case.now - since < UNSEEN_AFTER:
        case.wait(
            "not_yet_visible",
            f"{member.ref} accepted the refund; it does not show it yet",
            member.ref,
            row.fact.fact_id,
            since + UNSEEN_AFTER,
        )
    else:
        case.money_blocked = True
        case.hold(
            "not_visible",
            f"{member.ref} accepted a refund of {record.action.amount} an hour ago and still does not show it",
            record.action.key,
            money=record.action.amount,
            target=member.ref,
        )
    return CellState.SENT, "not_visible"


def _cannot(member: Member, amount: Money) -> str | None:
    if "refund" not in member.capabilities:
        return "no_refund_call"
    if member.order is None or member.order.refunds is None or member.order.payments is None:
        return "money_not_loaded"
    if member.captured_minor <= 0:
        return "nothing_captured"
    if member.semantics.refund_token_field is None:
        return "cannot_be_read_back"
    del amount
    return None


def _not_now(case: Case, row: Row, member: Member, amount: Money, before: Cell | None) -> str | None:
    """Reasons to wait or to ask a person that have nothing to do with the amounts there."""
    fact, target = row.fact, member.ref
    if not _completed(_counted(case, row)):
        case.wait("refund_pending", f"{fact.origin} refund of {amount} is not completed yet", target, fact.fact_id)
        return "pending"
    late = waits_with_cancel(case, fact, _counted(case, row), member)
    if late is not None:
        return late
    unable = before is not None and before.state is CellState.CANNOT
    if unable and not case.approved("now_possible", fact.fact_id, target, amount):
        case.hold(
            "now_possible",
            f"{target} could not take the refund of {amount} before and now could",
            fact.fact_id,
            money=amount,
            target=target,
            next_steps=case.refund_steps(target, amount, "if it is still owed"),
        )
        return "now_possible"
    if case.money_blocked:
        case.wait("money_held", "a hold on this link stops its money", target, fact.fact_id)
        return "money_held"
    ill_dated = case.ill_dated(fact, target)
    if ill_dated is not None and not case.approved(ill_dated[0], fact.fact_id, target, amount):
        code, reason = ill_dated
        case.hold(
            code,
            f"{fact.origin} was refunded {amount}"
            + (f" on {fact.happened_at:%Y-%m-%d}" if fact.happened_at else " at an unknown time")
            + f" and {target} was not; {reason}",
            fact.fact_id,
            money=amount,
            target=target,
            next_steps=case.refund_steps(target, amount, "if it is still owed"),
        )
        return code
    over = next((m for m in case.policy.refund.approve_over if m.currency == amount.currency), None)
    if over is not None and over < amount and not case.approved("needs_approval", fact.fact_id, target, amount):
        case.hold(
            "needs_approval",
            f"a refund of {amount} is above policy.refund.approve_over ({over})",
            fact.fact_id,
            money=amount,
            target=target,
            next_steps=case.refund_steps(target, amount, "carries it by hand"),
        )
        return "needs_approval"
    busy = [*case.open_actions(target), *(a for a in case.actions if a.target == target)]
    if busy:
        case.wait("one_at_a_time", f"{target} gets one write at a time", target, fact.fact_id)
        return "one_at_a_time"
    return None


def _payment(case: Case, row: Row, member: Member, amount: Money) -> Payment | None:
    """The one payment at the target that still holds the amount; a refund is never split silently."""
    paid = member.paid_payments
    flying = in_flight_minor(member.ref, case.journal, member.records)
    if len(paid) == 1:
        return paid[0]
    of_payment = {r.record_id: _payment_of(case, r) for r in member.records if r.state is not RefundState.FAILED}
    fitting: list[Payment] = []
    for payment in paid:
        # A record that names no payment may be of any of them.
        gone = sum(
            r.amount.amount_minor for r in member.records if of_payment.get(r.record_id, "") in (payment.id, None)
        )
        if payment.captured.amount_minor - gone - flying >= amount.amount_minor:
            fitting.append(payment)
    if len(fitting) == 1 or (fitting and len({p.purse for p in fitting}) == 1):
        return fitting[0]
    which = (
        "which of them still holds it cannot be told, so a person must make"
        if None in of_payment.values()
        else "no single one of them can take"
    )
    case.hold(
        "split_over_payments",
        f"{member.ref} was paid in {len(paid)} parts and {which} the refund of {amount}",
        row.fact.fact_id,
        money=amount,
        target=member.ref,
        next_steps=case.refund_steps(member.ref, amount, "in parts, each with --payment ID"),
    )
    return None


def _payment_of(case: Case, record: RefundRecord) -> str | None:
    """The payment a refund is of, as it says itself or as the journal says of ours; None when nobody says."""
    ours = (
        one.action.payment_id
        for one in case.journal
        if one.action.target == record.member and record.token == one.action.token
    )
    return record.payment_id or next(ours, None)


def _would_hurt(case: Case, row: Row, member: Member, amount: Money, payment: Payment) -> bool:
    """Conservation, the highest completed refund elsewhere, repeats, and time to become visible."""
    target, fact = member.ref, row.fact
    after = case.spoken_for_minor(member) + amount.amount_minor
    if after > member.bound_minor:
        case.hold(
            "exceeds_captured",
            f"{target} was paid {Money(amount_minor=member.bound_minor, currency=amount.currency)}; a refund of "
            f"{amount} more would exceed it",
            fact.fact_id,
            money=amount,
            target=target,
        )
        return True
    others = case.others(target)
    if after > max(m.refunded_minor for m in others) + TOLERANCE_MINOR:
        if after <= max(m.refunded_minor + m.pending_minor for m in others) + TOLERANCE_MINOR:
            case.wait("refund_pending", "another refund of this sale is not completed yet", target, fact.fact_id)
            return True
        case.hold(
            "ambiguous_refund",
            f"carrying {amount} to {target} would refund more there than any other side of the sale shows: "
            + ", ".join(
                f"{m.ref} {Money(amount_minor=m.refunded_minor, currency=amount.currency)}" for m in case.members
            ),
            fact.fact_id,
            evidence=[f"{r.member} {r.record_id} {r.amount} {r.state}" for m in case.members for r in m.records],
            money=amount,
            target=target,
        )
        return True
    repeat = _repeat(case, row, payment)
    if repeat is not None and not case.approved("looks_like_repeat", fact.fact_id, target, amount):
        first, second = repeat
        case.hold(
            "looks_like_repeat",
            f"{first.member} shows {first.amount} twice within a day; a double click would look the same",
            fact.fact_id,
            evidence=[f"{r.record_id} {r.amount} {_when(r)}" for r in (first, second)],
            money=amount,
            target=target,
            next_steps=case.refund_steps(target, amount, "if the second one was meant"),
        )
        return True
    if payment.purse is Purse.GATEWAY or case.policy.refund.carry_after is not None:
        default = max(PAYING_LAG, member.semantics.visibility_lag)
        lag = case.policy.refund.carry_after if case.policy.refund.carry_after is not None else default
        # Of unknown age it got here by a person's approval, which ends the wait.
        ready_at = fact.happened_at + lag if fact.happened_at else case.now
        if case.now < ready_at:
            case.wait("carry_after", f"carried once it is {lag} old", target, fact.fact_id, ready_at)
            return True
    return False


def _repeat(case: Case, row: Row, payment: Payment) -> tuple[RefundRecord, RefundRecord] | None:
    """An equal refund at the same member within a day of one of this fact's own records."""
    # What a person typed through ordersync bears a mark in the shop and none here: it is theirs.
    paired = {r.slot: r for one in case.pairing.rows for r in one.all_records}
    for record in row.all_records:
        if record.token is not None or record.created_at is None:
            continue
        for other in case.member(record.member).records:
            if other.slot == record.slot or other.amount != record.amount or other.created_at is None:
                continue
            if other.state is RefundState.FAILED:
                continue
            if record.lines and other.lines and record.lines != other.lines:
                continue  # other goods: nobody clicked the same twice
            if of_one_cancel(case.member(record.member), record, other):
                continue
            ours = paired.get(other.slot, other).token is not None
            if abs(other.created_at - record.created_at) <= REPEAT_WITHIN and (
                payment.purse is Purse.GATEWAY or ours
            ):
                return record, other
    return None


def _when(record: RefundRecord) -> str:
    return f"{record.created_at:%Y-%m-%d %H:%M:%S}" if record.created_at else "at an unknown time"
