"""A cancel that comes too late for another order of the sale, and the money that was given back with it. Pure.

Whether goods that have left are called back is a person's decision, and so is whether the buyer gets his money before
they are: what a platform refunds by itself when it cancels is not carried where the cancel is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ordersync.model import Fact, FulfillmentState, Money, OrderRef, OrderStatus, RefundState
from ordersync.reconcile.decide import Case
from ordersync.reconcile.members import Member, RefundRecord

MADE_WITH = timedelta(minutes=1)
"""A platform may store the refund of a cancel a moment before the cancel itself."""
GONE = (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED)


def too_late(case: Case, member: Member) -> tuple[str, str] | None:
    """Code and words for a state in which a cancel is a person's decision, even where the platform would take it."""
    order = member.order
    if member.has_parcel(*GONE):
        return "cancel_after_shipping", "already shipped"
    if member.has_parcel(FulfillmentState.PACKED):
        return "cancel_with_parcels", "packed for shipping"
    if order is not None and order.order_status is OrderStatus.COMPLETED:
        return "cancel_completed", "completed"
    if order is not None and order.archived:
        return "cancel_archived", "archived"
    left = _left_elsewhere(case, member.ref)
    return (
        None if left is None else ("cancel_after_shipping", f"the same sale as {left}, which is already shipped")
    )


def waits_with_cancel(case: Case, fact: Fact, counted: Sequence[RefundRecord], member: Member) -> str | None:
    """The code of the hold this refund shares with the cancel it was made with; None: it is a refund of its own.

    It is remembered for the target, so that one hold says both things.
    """
    order = member.order
    late = None if order is None or order.is_cancelled else too_late(case, member)
    if late is None or not counted or not all(_made_with_cancel(case.member(r.member), r) for r in counted):
        return None
    case.with_cancel.setdefault(member.ref, []).append(fact)
    return late[0]


def hold_too_late(case: Case, member: Member, cancel: Fact | None) -> str | None:
    """Hold the cancel, where it is one to be carried, and every refund that waits with it; the hold's code."""
    late, target = too_late(case, member), member.ref
    refunds = case.with_cancel.pop(target, [])
    if late is None:
        return None
    code, said = late
    money = _sum([fact.amount for fact in refunds if fact.amount is not None])
    origin = cancel.origin if cancel is not None else refunds[0].origin
    given_back = f"; the {money} given back with the cancel is not refunded there either" if money else ""
    case.hold(
        code,
        f"{origin} was cancelled but {target} is {said}{given_back}",
        *([cancel.fact_id] if cancel is not None else []),
        *sorted(fact.fact_id for fact in refunds),
        money=money,
        target=target,
        next_steps=(
            *(
                [f'ordersync orders refund {target} --amount "{money}"   if the buyer gets it back']
                if money
                else []
            ),
            *case.cancel_steps(target),
        ),
    )
    return code


def hold_money_alone(case: Case) -> None:
    """Refunds made with a cancel that is itself left, local or impossible where they would be carried."""
    for ref in sorted(case.with_cancel):
        hold_too_late(case, case.member(ref), None)


def of_one_cancel(member: Member, one: RefundRecord, other: RefundRecord) -> bool:
    """One cancel gave them back, each of another payment: equal amounts there are no double click."""
    at = member.order.cancellation.cancelled_at if member.order and member.order.cancellation else None
    if at is None or one.payment_id is None or other.payment_id is None or one.payment_id == other.payment_id:
        return False
    times = [
        record.created_at for record in (one, other) if record.token is None and record.created_at is not None
    ]
    return len(times) > 1 and all(abs(time - at) <= MADE_WITH for time in times)


def _left_elsewhere(case: Case, target: OrderRef) -> OrderRef | None:
    """Another order of the sale whose goods have left and that is not cancelled: one says cancel, one says sent."""
    found = [m for m in case.others(target) if m.has_parcel(*GONE) and m.order and not m.order.is_cancelled]
    return found[0].ref if found else None


def _made_with_cancel(member: Member, record: RefundRecord) -> bool:
    """The platform gave it back as it cancelled, as far as the times do not say otherwise."""
    order = member.order
    if order is None or order.cancellation is None:
        return False
    cancelled_at = order.cancellation.cancelled_at
    if cancelled_at is None or record.created_at is None or record.created_at >= cancelled_at - MADE_WITH:
        return True
    if member.semantics.cancel_refunds == "none":
        return False
    counting = [r for r in member.records if r.state is not RefundState.FAILED]
    return member.refunded_minor + member.pending_minor >= member.captured_minor and counting[-1] == record


def _sum(amounts: Sequence[Money]) -> Money | None:
    if not amounts:
        return None
    return Money(amount_minor=sum(m.amount_minor for m in amounts), currency=amounts[0].currency)
