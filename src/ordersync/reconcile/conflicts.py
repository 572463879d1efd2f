"""What makes the money of a whole link undecidable: nothing on it is refunded before a person has looked."""

from __future__ import annotations

from itertools import combinations

from ordersync.model import Money, RefundState
from ordersync.reconcile.decide import Case
from ordersync.reconcile.members import totals_digest
from ordersync.reconcile.pairing import TOLERANCE_MINOR, Row


def hold_conflicts(case: Case) -> None:
    """Open the money holds that concern the link as a whole, and block its money."""
    for row in case.pairing.rows:
        _hold_overshoot(case, row)
    _hold_incomparable(case)
    _hold_crossing(case)


def _hold_overshoot(case: Case, row: Row) -> None:
    """More refunded at a member than the fact is worth: money has left twice, or a copy is larger than its fact."""
    amount = row.fact.amount
    if amount is None:
        return
    for member in case.members:
        there = row.sum_minor(member.ref, RefundState.COMPLETED, RefundState.PENDING)
        surplus = there - amount.amount_minor
        if there and surplus > TOLERANCE_MINOR:
            case.money_blocked |= case.hold(
                "overshoot",
                f"{member.ref} shows {Money(amount_minor=there, currency=amount.currency)} refunded for a "
                f"refund of {amount} on {row.fact.origin}",
                row.fact.fact_id,
                evidence=[f"{r.member} {r.record_id} {r.amount} {r.state}" for r in row.all_records],
                money=Money(amount_minor=surplus, currency=amount.currency),
                sticky=True,
                target=member.ref,
            )
        elif there and surplus < -TOLERANCE_MINOR:
            case.money_blocked |= case.hold(
                "refund_differs",
                f"{member.ref} shows {Money(amount_minor=there, currency=amount.currency)} of a refund of "
                f"{amount} on {row.fact.origin}",
                row.fact.fact_id,
                money=Money(amount_minor=-surplus, currency=amount.currency),
                target=member.ref,
            )


def _hold_incomparable(case: Case) -> None:
    """Amounts of members can only be compared in one currency and over one total; and one purse may pay."""
    if not any(m.records for m in case.members):
        return
    orders = [m.order for m in case.members if m.order is not None]
    currencies = sorted({order.money_currency for order in orders})
    if len(currencies) > 1:
        case.money_blocked = True
        case.hold("different_currencies", f"members are in different currencies: {', '.join(currencies)}")
        return
    charged = {str(order.ref): order.first_charged for order in orders if order.first_charged is not None}
    minors = [money.amount_minor for money in charged.values()]
    if minors and max(minors) - min(minors) > case.policy.total_tolerance_minor:
        said = ", ".join(f"{ref} {money}" for ref, money in charged.items())
        chosen = case.answers.compares(totals_digest(case.members))
        if chosen is not None:
            case.skipped.append(f"different totals ({said}): {chosen.who} chose to take amounts as they are")
        else:
            case.money_blocked = True
            case.hold("different_totals", f"members were charged different totals: {said}")
    paying = [str(m.ref) for m in case.members if m.holds_gateway_money]
    if len(paying) > 1 and any(_to_be_carried(case, row) for row in case.pairing.rows):
        case.money_blocked = True
        case.hold(
            "two_purses",
            f"{' and '.join(paying)} each hold money that a refund would pay out; one sale can have only one",
            next_steps=(
                "ordersync check   shows which payments count as paying",
                "list the payment providers that only mark under books_only: of their shop",
            ),
        )


def _to_be_carried(case: Case, row: Row) -> bool:
    """A shop that counts shows this refund as its own, and another order lacks it: what all show needs no purse."""
    own = any(r.token is None and case.policy.refund.counts(r.member.shop) for r in row.all_records)
    return own and any(m.ref not in row.records for m in case.members)


def _hold_crossing(case: Case) -> None:
    """One side shows a refund the other lacks, and the other way round: one refund typed differently, or two?

    Carrying both would refund more on each side than any side shows, so carrying either is a guess.
    """
    shown = {
        row.fact.fact_id: frozenset(r.member for r in row.all_records if r.state is RefundState.COMPLETED)
        for row in case.pairing.rows
        if not _left_where_it_lacks(case, row)
    }
    crossing = {
        fact_id
        for one, other in combinations(sorted(shown), 2)
        if shown[one] - shown[other] and shown[other] - shown[one]
        for fact_id in (one, other)
    }
    if not crossing:
        return
    rows = [row for row in case.pairing.rows if row.fact.fact_id in crossing]
    case.money_blocked |= case.hold(
        "ambiguous_refund",
        "members show different refunds; whether they are the same one is not for ordersync to guess: "
        + ", ".join(f"{r.member} {r.amount}" for row in rows for r in row.all_records),
        *sorted(crossing),
        evidence=[f"{r.member} {r.record_id} {r.amount} {r.state}" for row in rows for r in row.all_records],
        money=max((row.fact.amount for row in rows if row.fact.amount), key=lambda m: m.amount_minor),
    )


def _left_where_it_lacks(case: Case, row: Row) -> bool:
    """A person chose not to have it carried to any member that lacks it: it crosses nothing any more."""
    lacking = [m.ref for m in case.members if m.ref not in row.records]
    cells = {ref: row.previous.cell(ref) if row.previous else None for ref in lacking}
    return bool(lacking) and all(case.waived(row.fact.fact_id, ref, cells[ref]) for ref in lacking)
