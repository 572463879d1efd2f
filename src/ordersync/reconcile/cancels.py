"""Cancellations: refunds first, then the cancel, and never one that would move money by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from ordersync.model import (
    NO_CURRENCY,
    Action,
    ActionKind,
    ActionState,
    Cell,
    CellState,
    Fact,
    FactKind,
    LedgerRow,
    Money,
    Purse,
    fact_id_of,
    stable_hash,
)
from ordersync.reconcile.decide import Case
from ordersync.reconcile.late_cancels import hold_too_late
from ordersync.reconcile.members import Member, in_flight_minor, money_digest
from ordersync.reconcile.refunds import UNSEEN_AFTER

RECORD_ID = "cancel"
MONEY_BACK_WITHIN = timedelta(hours=1)


def decide_cancel(case: Case) -> None:
    """One cancellation per link: the earliest; every member cancelled is present, the others may be owed it."""
    previous = next((r for r in case.previous.rows if r.fact.kind is FactKind.CANCELLATION), None)
    cancelled = sorted(
        (m for m in case.members if m.order is not None and m.order.is_cancelled),
        key=lambda m: (_cancelled_at(m) or case.now, m.ref),
    )
    if previous is not None:
        gone = [c.member for c in previous.cells if c.state is CellState.PRESENT]
        gone = [
            ref
            for ref in gone
            if all(m.ref != ref for m in cancelled) and not case.waived(previous.fact.fact_id, ref, None)
        ]
        if gone:
            case.hold(
                "cancellation_vanished",
                f"{', '.join(map(str, gone))} was cancelled and no longer is; nothing is un-cancelled by ordersync",
                previous.fact.fact_id,
                sticky=True,
            )
            case.rows.append(previous)
            return
    if not cancelled:
        return
    fact = previous.fact if previous is not None else _fact_of(cancelled[0])
    cells = tuple(_cell(case, fact, member, previous) for member in case.members)
    case.rows.append(LedgerRow(fact=fact, cells=cells))


def _fact_of(origin: Member) -> Fact:
    cancellation = origin.order.cancellation if origin.order else None
    return Fact(
        fact_id=fact_id_of(origin.ref, FactKind.CANCELLATION, RECORD_ID),
        kind=FactKind.CANCELLATION,
        origin=origin.ref,
        record_id=RECORD_ID,
        happened_at=cancellation.cancelled_at if cancellation else None,
        reason=cancellation.reason if cancellation else None,
    )


def _cell(case: Case, fact: Fact, member: Member, previous: LedgerRow | None) -> Cell:
    if member.order is not None and member.order.is_cancelled:
        return Cell(member=member.ref, state=CellState.PRESENT, record_ids=(RECORD_ID,))
    before = previous.cell(member.ref) if previous else None
    waived = case.waived(fact.fact_id, member.ref, before)
    if waived is not None:
        return waived
    sources = [m for m in case.members if m.order is not None and m.order.is_cancelled and not _ours(case, m)]
    if not any(case.policy.cancel.counts(m.ref.shop) for m in sources):
        case.skipped.append(f"{fact.origin} cancelled: local, its shop is not among policy.cancel.from")
        return Cell(member=member.ref, state=CellState.LOCAL, reason="not_in_policy")
    state, reason = _owed(case, fact, member, before)
    return Cell(member=member.ref, state=state, reason=reason)


def _ours(case: Case, member: Member) -> bool:
    """This member was cancelled by a carried write of ours, so its word is not its own."""
    return any(
        a.action.target == member.ref
        and a.action.kind is ActionKind.CANCEL
        and a.action.fact_id is not None
        and a.state in (ActionState.SEEN, ActionState.RECEIPTED, ActionState.LEFT)
        for a in case.journal
    )


def _owed(case: Case, fact: Fact, member: Member, before: Cell | None) -> tuple[CellState, str | None]:
    target = member.ref
    attempts = case.attempts(target, fact.fact_id)
    for record in attempts:
        if record.state is ActionState.DOUBT:
            return CellState.SENT, "in_doubt"
        if record.state in (ActionState.INTENDED, ActionState.SENDING):
            case.wait("in_flight", f"a cancel of {target} is being sent", target, fact.fact_id)
            return CellState.SENT, "in_flight"
        if record.state is ActionState.RECEIPTED:
            since = record.answered_at or record.intended_at
            if case.now - since < UNSEEN_AFTER:
                case.wait(
                    "not_yet_visible", f"{target} accepted the cancel", target, fact.fact_id, since + UNSEEN_AFTER
                )
            else:
                case.hold(
                    "not_visible",
                    f"{target} accepted a cancel an hour ago and still does not show it",
                    record.action.key,
                    target=target,
                )
            return CellState.SENT, "not_visible"
        if record.state is ActionState.LEFT:
            case.hold_tried(record.action)
            return CellState.SENT, "tried_before"
        if record.state is ActionState.REFUSED:
            said = f": {record.answer}" if record.answer else ""
            case.hold(
                "refused",
                f"{target} refused the cancel{said}",
                record.action.key,
                target=target,
                next_steps=case.cancel_steps(target),
            )
            return CellState.FAILED, "refused"
        if record.state is ActionState.SEEN:
            case.hold(
                "cancellation_vanished",
                f"{target} showed our cancel and no longer does",
                record.action.key,
                target=target,
                sticky=True,
            )
            return CellState.FAILED, "went_back"
    if "cancel" not in member.capabilities or not member.semantics.records_cancel:
        case.skipped.append(f"{target} cancel: cannot, its platform has no cancel that can be read back")
        return CellState.CANNOT, "no_cancel_call"
    unable = before is not None and before.state is CellState.CANNOT
    if unable and not case.approved("now_possible", fact.fact_id, target, None):
        case.hold(
            "now_possible",
            f"{target} could not be cancelled before and now could",
            fact.fact_id,
            target=target,
            next_steps=case.cancel_steps(target),
        )
        return CellState.CANNOT, "now_possible"
    why = _too_late(case, fact, member) or _not_now(case, fact, member)
    if why is not None:
        # What could not be done stays so until it was done: an approval lets it pass this once.
        return CellState.CANNOT if unable else CellState.OWED, why
    _plan(case, fact, member, sum(1 for a in attempts if a.state is ActionState.EXPIRED))
    return CellState.CANNOT if unable else CellState.OWED, None


def _too_late(case: Case, fact: Fact, member: Member) -> str | None:
    """Held because of what became of the order there, or because of the cancel's age."""
    code, target = hold_too_late(case, member, fact), member.ref
    if code is not None:
        return code
    happened_at = fact.happened_at
    ill_dated = case.ill_dated(fact, target)
    if ill_dated is not None and not case.approved(ill_dated[0], fact.fact_id, target, None):
        code, reason = ill_dated
        case.hold(
            code,
            f"{fact.origin} was cancelled"
            + (f" on {happened_at:%Y-%m-%d}" if happened_at else " at an unknown time")
            + f" and {target} is not; {reason}",
            fact.fact_id,
            target=target,
            next_steps=case.cancel_steps(target),
        )
    return code


def _not_now(case: Case, fact: Fact, member: Member) -> str | None:
    """Refunds come first, nothing may be unclear there, and the cancel must not move money itself."""
    target = member.ref
    busy = [*case.open_actions(target), *(a for a in case.actions if a.target == target)]
    if busy:
        case.wait(
            "refunds_first", f"{target} is cancelled after the write before it is seen", target, fact.fact_id
        )
        return "refunds_first"
    if member.pending_minor or in_flight_minor(target, case.journal, member.records):
        case.wait("refunds_first", f"{target} has a refund that is not completed yet", target, fact.fact_id)
        return "refunds_first"
    if member.semantics.cancel_refunds == "none":
        owed = [cell for row in case.rows if (cell := row.cell(target)) and cell.state is CellState.OWED]
        if owed:
            case.wait("refunds_first", f"{target} is owed a refund before its cancel", target, fact.fact_id)
            return "refunds_first"
        return _carry_after(case, fact, member)
    if case.money_blocked and (member.captured_minor or member.open_authorization):
        case.wait("money_held", "a hold on this link stops its money", target, fact.fact_id)
        return "money_held"
    left = member.captured_minor - member.refunded_minor
    if left > 0:
        _money_not_back(case, fact, member, left)
        return "money_not_back"
    return _carry_after(case, fact, member)


def _money_not_back(case: Case, fact: Fact, member: Member, left: int) -> None:
    target = member.ref
    currency = member.order.money_currency if member.order else NO_CURRENCY
    money = Money(amount_minor=left, currency=currency)
    # Of unknown age it got here by a person's approval, which ends every wait.
    patience_ends = fact.happened_at + MONEY_BACK_WITHIN if fact.happened_at else case.now
    if case.now < patience_ends:
        case.wait(
            "money_not_back",
            f"{target} still holds {money}; the cancel waits for its refund",
            target,
            fact.fact_id,
            patience_ends,
        )
        return
    case.hold(
        "money_not_back",
        f"{fact.origin} was cancelled, but {money} of {target} is not refunded; a cancel there could pay the buyer",
        fact.fact_id,
        money=money,
        target=target,
        next_steps=(
            f'ordersync orders refund {target} --amount "{money}"   then the cancel follows by itself',
            *case.look_steps(),
        ),
    )


def _carry_after(case: Case, fact: Fact, member: Member) -> str | None:
    lag = case.policy.cancel.carry_after
    if lag is None:
        lag = member.semantics.visibility_lag
    ready_at = fact.happened_at + lag if fact.happened_at else case.now
    if case.now < ready_at:
        case.wait("carry_after", f"carried once it is {lag} old", member.ref, fact.fact_id, ready_at)
        return "carry_after"
    return None


def _plan(case: Case, fact: Fact, member: Member, generation: int) -> None:
    at = f" {fact.happened_at:%Y-%m-%d %H:%M}" if fact.happened_at else ""
    case.actions.append(
        Action(
            key=stable_hash(
                fact.fact_id, str(member.ref), "cancel", "", str(member.refunded_minor), str(generation)
            )[:40],
            kind=ActionKind.CANCEL,
            target=member.ref,
            link_id=case.link.link_id,
            fact_id=fact.fact_id,
            token=fact.token,
            purse=Purse.BOOKS,
            reason=f"cancelled on {fact.origin.shop}",
            restock=False,
            notify_buyer=case.policy.cancel.notify_buyer,
            because=f"{fact.origin} cancelled{at}",
            digest=money_digest(case.members, fact.fact_id, str(member.ref), "cancel", cancels=False),
            approvals=case.approvals(member.ref, fact.fact_id),
        )
    )


def _cancelled_at(member: Member) -> datetime | None:
    return member.order.cancellation.cancelled_at if member.order and member.order.cancellation else None
