"""Progress: forwards only, one step a write, and only steps the platform has a call for."""

from __future__ import annotations

from ordersync.model import (
    Action,
    ActionKind,
    ActionState,
    Cell,
    CellState,
    Fact,
    FactKind,
    LedgerRow,
    OrderRef,
    Progress,
    fact_id_of,
    stable_hash,
)
from ordersync.reconcile.attempts import after_attempts
from ordersync.reconcile.decide import Case
from ordersync.reconcile.members import Member

CALLS = {
    Progress.CONFIRMED: ActionKind.CONFIRM,
    Progress.PROCESSING: ActionKind.PROCESS,
    Progress.COMPLETED: ActionKind.COMPLETE,
}


def decide_progress(case: Case) -> None:
    """The furthest step of a shop that counts is owed to the others.

    Orders do not say when they moved on, so a step counts from the look that first showed it; what differs at the
    first look of a link is older than the link.
    """
    previous = next((r for r in case.previous.rows if r.fact.kind is FactKind.PROGRESS), None)
    steps = {m.ref: m.order.progress for m in case.members if m.order and m.order.progress is not None}
    if not steps or any(m.order is None or m.order.is_cancelled for m in case.members):
        case.rows += [previous] if previous else []
        return
    counted = {ref: step for ref, step in steps.items() if case.policy.progress.counts(ref.shop)}
    if not counted:
        if len(set(steps.values())) > 1:
            said = ", ".join(f"{ref} {step}" for ref, step in steps.items())
            case.skipped.append(f"progress differs ({said}): local, not among policy.progress.from")
        case.rows += [previous] if previous else []
        return
    furthest = max(counted.values(), key=lambda step: step.rank)
    origin = min(ref for ref, step in counted.items() if step is furthest)
    fact = _fact(case, origin, furthest, previous)
    cells = tuple(_cell(case, fact, furthest, m, steps.get(m.ref), previous) for m in case.members)
    case.rows.append(LedgerRow(fact=fact, cells=cells))


def _fact(case: Case, origin: OrderRef, step: Progress, previous: LedgerRow | None) -> Fact:
    if previous is not None and previous.fact.record_id == step.value:
        return previous.fact
    return Fact(
        fact_id=fact_id_of(origin, FactKind.PROGRESS, step.value),
        kind=FactKind.PROGRESS,
        origin=origin,
        record_id=step.value,
        happened_at=None if previous is None else case.now,
    )


def _cell(
    case: Case,
    fact: Fact,
    wanted: Progress,
    member: Member,
    step: Progress | None,
    previous: LedgerRow | None,
) -> Cell:
    target = member.ref
    if step is not None and step.rank >= wanted.rank:
        return Cell(member=target, state=CellState.PRESENT, record_ids=(step.value,))
    before = previous.cell(target) if previous and previous.fact.fact_id == fact.fact_id else None
    waived = case.waived(fact.fact_id, target, before)
    if waived is not None:
        return waived
    tried = after_attempts(case, fact.fact_id, target, f"the step to {wanted}")
    if tried is not None:
        return Cell(member=target, state=tried[0], reason=tried[1])
    call = _next_call(member, step, wanted)
    if call is None:
        case.skipped.append(f"{target} cannot express {wanted}")
        return Cell(member=target, state=CellState.CANNOT, reason="cannot_express")
    reason = _not_now(case, fact, wanted, member, before)
    if reason is None:
        _act(case, fact, wanted, call, member, step)
    unable = before is not None and before.state is CellState.CANNOT
    state = CellState.CANNOT if unable else CellState.OWED
    return Cell(member=target, state=state, reason=reason)


def _next_call(member: Member, step: Progress | None, wanted: Progress) -> ActionKind | None:
    """The first call that leads from here towards `wanted`; None when the platform cannot get there."""
    order = member.order
    if step is None or order is None or order.draft or order.archived or not member.semantics.records_progress:
        return None
    ahead = [p for p in Progress if step.rank < p.rank <= wanted.rank]
    calls = [CALLS[p] for p in ahead if CALLS[p].value in member.capabilities]
    reaches = bool(calls) and CALLS[wanted] is calls[-1]
    return calls[0] if reaches else None


def _not_now(case: Case, fact: Fact, wanted: Progress, member: Member, before: Cell | None) -> str | None:
    target = member.ref
    unable = before is not None and before.state is CellState.CANNOT
    if unable and not case.approved("now_possible", fact.fact_id, target, None):
        case.hold(
            "now_possible",
            f"{target} could not express {wanted} before and now could",
            fact.fact_id,
            target=target,
        )
        return "now_possible"
    ill_dated = case.ill_dated(fact, target)
    if ill_dated is not None and not case.approved(ill_dated[0], fact.fact_id, target, None):
        code, why = ill_dated
        case.hold(code, f"{fact.origin} is {wanted} and {target} is not; {why}", fact.fact_id, target=target)
        return code
    if case.keeps_goods_waiting(target):
        case.wait("one_at_a_time", f"{target} gets one write at a time", target, fact.fact_id)
        return "one_at_a_time"
    return None


def _act(
    case: Case, fact: Fact, wanted: Progress, kind: ActionKind, member: Member, step: Progress | None
) -> None:
    generation = sum(
        1
        for a in case.attempts(member.ref, fact.fact_id)
        if a.action.kind is kind and a.state is ActionState.EXPIRED
    )
    case.actions.append(
        Action(
            key=stable_hash(fact.fact_id, str(member.ref), kind.value, str(step), str(generation))[:40],
            kind=kind,
            target=member.ref,
            link_id=case.link.link_id,
            fact_id=fact.fact_id,
            token=fact.token,
            because=f"{fact.origin} is {wanted}",
            digest=stable_hash(fact.fact_id, str(member.ref), kind.value, str(step))[:32],
            # The step that arrives uses the approval up; those on the way to it go under it.
            approvals=case.approvals(member.ref, fact.fact_id) if kind is CALLS[wanted] else (),
        )
    )
