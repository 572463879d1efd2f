"""Partial cancels: no connected platform can be told to cancel a part of an order, so one is a hold, never a whole
cancel and never silent.

It shows as a refund record that names units and moves no money on an order that is not cancelled (SHOPLINE, unpaid),
or as an order whose line items became fewer than those of the same sale elsewhere (an edited Medusa order). One that
refunds money is a refund fact like any other.
"""

from __future__ import annotations

from ordersync.model import Order, RefundState
from ordersync.reconcile.decide import Case
from ordersync.reconcile.lines import Key, table_of
from ordersync.reconcile.members import Member


def hold_partial_cancels(case: Case) -> None:
    for member in case.members:
        if member.order is not None and not member.order.is_cancelled:
            _hold(case, member, _unpaid_units(member.order), "named in a refund of no money")
    orders = [m.order for m in case.members if m.order is not None]
    if len(orders) < len(case.members) or any(order.is_cancelled for order in orders):
        return
    most = _most_ordered(orders)
    for member, order in zip(case.members, orders, strict=True):
        ordered = _ordered(order)
        if most is not None and ordered is not None:
            fewer = [f"{key[1]} {ordered[key]} of {most[key]}" for key in sorted(most) if ordered[key] < most[key]]
            _hold(case, member, fewer, "fewer than another order of the sale has")


def _hold(case: Case, member: Member, units: list[str], said: str) -> None:
    if not units:
        return
    if not case.policy.cancel.counts(member.ref.shop):
        case.skipped.append(f"{member.ref} cancelled in part: local, its shop is not among policy.cancel.from")
        return
    case.hold(
        "partial_cancel",
        f"{member.ref} seems to be cancelled in part ({', '.join(units)}: {said}); a part is never cancelled by "
        "ordersync",
        said,
        target=member.ref,
        next_steps=("do the same at the other orders by hand, or accept the difference", *case.look_steps()),
    )


def _unpaid_units(order: Order) -> list[str]:
    return [
        f"line {line.line_item_id} {line.quantity}"
        for refund in order.refunds or ()
        if refund.amount.amount_minor == 0 and refund.status is not RefundState.FAILED
        for line in refund.lines or ()
        if line.quantity > 0
    ]


def _most_ordered(orders: list[Order]) -> dict[Key, int] | None:
    """Per sku the most units any order has; None unless all name the very same skus."""
    counted = [_ordered(order) for order in orders]
    if any(one is None for one in counted):
        return None
    whole = [one for one in counted if one is not None]
    if len({tuple(sorted(one)) for one in whole}) != 1:
        return None
    return {key: max(one[key] for one in whole) for key in whole[0]}


def _ordered(order: Order) -> dict[Key, int] | None:
    table = table_of(order, "sku") if order.line_items else None
    return table.ordered if table is not None else None
