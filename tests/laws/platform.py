"""What a platform does when it is written to, exactly: the truth the laws are checked against."""

from __future__ import annotations

from datetime import datetime

from ordersync.model import (
    Action,
    ActionKind,
    Cancellation,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Order,
    Progress,
    Purse,
    Refund,
    RefundLine,
    RefundState,
)
from ordersync.model.semantics import Semantics
from ordersync.testing.orders import NOON

STEPS = {
    ActionKind.CONFIRM: Progress.CONFIRMED,
    ActionKind.PROCESS: Progress.PROCESSING,
    ActionKind.COMPLETE: Progress.COMPLETED,
}
GONE = (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED)


def happen(order: Order, action: Action, semantics: Semantics, at: datetime = NOON) -> tuple[Order, str]:
    """The order after the write, and the id of what was made. What is unknown of a platform happens at its worst."""
    if action.kind is ActionKind.REFUND:
        return _refund(order, action, at)
    if action.kind is ActionKind.CANCEL:
        return _cancel(order, semantics, at), "cancel"
    if action.kind in STEPS:
        return order.model_copy(update={"progress": STEPS[action.kind]}), action.kind.value
    return _parcel(order, action, at)


def _refund(order: Order, action: Action, at: datetime) -> tuple[Order, str]:
    assert action.amount is not None, "a refund has an amount"
    made = Refund(
        id=f"by-us-{len(order.refunds or ())}",
        status=RefundState.COMPLETED,
        amount=action.amount,
        note=f"{action.reason} {action.token}".strip(),
        created_at=at,
        payment_id=action.payment_id,
        lines=tuple(RefundLine(line_item_id=x.line_item_id, quantity=x.quantity) for x in action.refund_lines),
        shipping=action.shipping,
        restock=action.restock,
    )
    return order.model_copy(update={"refunds": (*(order.refunds or ()), made)}), made.id


def _cancel(order: Order, semantics: Semantics, at: datetime) -> Order:
    """A cancel gives back what is left, unless the platform is known not to."""
    update: dict[str, object] = {"cancellation": Cancellation(cancelled_at=at)}
    left = captured(order) - refunded(order)
    if semantics.cancel_refunds != "none" and left > 0 and order.payments:
        amount = order.payments[0].captured.model_copy(update={"amount_minor": left})
        by_itself = Refund(id="by-itself", status=RefundState.COMPLETED, amount=amount, created_at=at)
        update["refunds"] = (*(order.refunds or ()), by_itself)
    return order.model_copy(update=update)


def _parcel(order: Order, action: Action, at: datetime) -> tuple[Order, str]:
    assert action.parcel is not None, "a parcel holds lines"
    parcels = list(order.fulfillments or ())
    name = action.parcel.fulfillment_id
    if action.kind is ActionKind.SHIP and name is not None:
        sent = {"status": FulfillmentState.SHIPPED, "shipped_at": at}
        parcels = [p.model_copy(update=sent) if p.id == name else p for p in parcels]
    else:
        name = f"ours-{len(parcels)}"
        packed = action.kind is ActionKind.PACK
        parcels.append(
            Fulfillment(
                id=name,
                status=FulfillmentState.PACKED if packed else FulfillmentState.SHIPPED,
                lines=tuple(
                    FulfillmentLine(line_item_id=x.line_item_id, quantity=x.quantity) for x in action.parcel.lines
                ),
                created_at=at,
                shipped_at=None if packed else at,
            )
        )
    return order.model_copy(update={"fulfillments": tuple(parcels)}), name


def captured(order: Order) -> int:
    return sum(p.captured.amount_minor for p in order.payments or ())


def refunded(order: Order, *states: RefundState) -> int:
    """Refund records in minor units; without `states` the completed and the pending ones."""
    wanted = states or (RefundState.COMPLETED, RefundState.PENDING)
    return sum(r.amount.amount_minor for r in order.refunds or () if r.status in wanted)


def completed(order: Order) -> int:
    return refunded(order, RefundState.COMPLETED)


def pays_buyer(order: Order) -> bool:
    return any(p.purse is Purse.GATEWAY and p.captured.amount_minor > 0 for p in order.payments or ())


def units(order: Order, *states: FulfillmentState) -> int:
    """Units in parcels of these states."""
    return sum(line.quantity for p in order.fulfillments or () if p.status in states for line in p.lines or ())


def in_parcels(order: Order, *states: FulfillmentState) -> bool:
    return any(p.status in states for p in order.fulfillments or ())
