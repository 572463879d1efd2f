"""What a refund is for, said in the target's own lines, as far as its platform can be told and the policy asks."""

from __future__ import annotations

from dataclasses import dataclass

from ordersync.model import LineUnits, Money, Refund, RefundState
from ordersync.reconcile.decide import Case
from ordersync.reconcile.lines import line_tables
from ordersync.reconcile.members import Member, RefundRecord


class Unsayable(Exception):
    """The refund cannot be carried as the policy asks; the words say why."""


@dataclass(slots=True)
class Purpose:
    """Lines, shipping part and restock that go with the amount."""

    lines: tuple[LineUnits, ...] = ()
    shipping: Money | None = None
    restock: bool = False


def purpose_at(case: Case, member: Member, counted: list[RefundRecord]) -> Purpose:
    """How the refund is put to `member`'s platform.

    Lines are told where the platform takes them and they match; else the amount alone, unless stock is to return.
    Errors: Unsayable.
    """
    result = Purpose()
    source = next((r for r in counted if r.state is RefundState.COMPLETED), None)
    origin = case.member(source.member) if source else None
    refund = _refund(origin, source.record_id) if origin and source else None
    if refund is None or origin is None or origin.order is None or member.order is None:
        return result
    semantics = member.semantics
    wants_restock = case.policy.refund.restock == "as_origin" and bool(refund.restock)
    if refund.lines and "lines" in semantics.refund_by:
        tables = line_tables([origin.order, member.order])
        units = tables[0].units([(x.line_item_id, x.quantity) for x in refund.lines]) if tables else None
        mine = tables[1].spread(units, _refunded_units(member)) if tables and units is not None else None
        if mine is not None:
            result.lines = mine
            if refund.shipping is not None and "shipping" in semantics.refund_by:
                result.shipping = refund.shipping
    if wants_restock:
        possible = semantics.refund_restocks == "on_request" or (
            semantics.refund_restocks == "with_lines" and bool(result.lines)
        )
        if not possible:
            raise Unsayable(f"{member.ref} cannot be told to return its stock")
        result.restock = True
    if not result.lines and "amount" not in semantics.refund_by:
        raise Unsayable(f"{member.ref} takes refunds by line items only, and they do not match")
    return result


def _refund(member: Member, record_id: str) -> Refund | None:
    refunds = (member.order.refunds if member.order else None) or ()
    return next((r for r in refunds if r.id == record_id), None)


def _refunded_units(member: Member) -> dict[str, int]:
    """Units of each line that are refunded already, by the larger of the two ways a platform tells it."""
    order = member.order
    listed: dict[str, int] = {}
    for refund in (order.refunds if order else None) or ():
        for line in refund.lines if refund.status is not RefundState.FAILED else ():
            listed[line.line_item_id] = listed.get(line.line_item_id, 0) + line.quantity
    for item in (order.line_items if order else None) or ():
        listed[item.id] = max(listed.get(item.id, 0), item.refunded_quantity or 0)
    return listed
