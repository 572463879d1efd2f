"""Reading back: whether an order shows that a write happened. The only proof there is."""

from __future__ import annotations

from ordersync.engine.shops import Shop
from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    FulfillmentState,
    Order,
    OrderStatus,
    Parcel,
    Progress,
    Refund,
)
from ordersync.reconcile import token_in
from ordersync.reconcile.pairing import TOLERANCE_MINOR


def never_shows(action: Action, shop: Shop, order: Order) -> bool:
    """This platform's orders do not tell what the action changed: its answer is all there will ever be."""
    if action.kind is ActionKind.CANCEL:
        return not shop.semantics.records_cancel
    silent = not shop.semantics.records_progress and order.order_status is OrderStatus.UNKNOWN
    return silent and action.kind in (ActionKind.COMPLETE, ActionKind.ARCHIVE)


def effect_of(action: Action, record: ActionRecord, order: Order) -> str | None:
    """Id of the record that shows the action happened, or None while nothing shows it."""
    if action.kind is ActionKind.REFUND:
        paid = [refund for refund in order.refunds or () if refund.amount.amount_minor > 0]
        marked = next((refund.id for refund in paid if token_in(refund.note) == action.token), None)
        named = next((refund.id for refund in paid if _is_named(refund, action, record)), None)
        return marked or named
    shown = _shows(action, order)
    return record.platform_ref or action.kind.value if shown else None


def _is_named(refund: Refund, action: Action, record: ActionRecord) -> bool:
    """The receipt names it and it may be it: a platform that answers with a record that was there before, of another
    amount or of another mark, has not shown that it did anything."""
    asked = action.amount
    return (
        refund.id == record.platform_ref
        and token_in(refund.note) in (None, action.token)
        and asked is not None
        and refund.amount.currency == asked.currency
        and abs(refund.amount.amount_minor - asked.amount_minor) <= TOLERANCE_MINOR
    )


def _captured(action: Action, order: Order) -> bool:
    """The payment shows at least what the capture was to leave behind."""
    wanted = action.captured_after
    return wanted is not None and any(
        p.id == action.payment_id and p.captured.currency == wanted.currency and wanted <= p.captured
        for p in order.payments or ()
    )


def _shows(action: Action, order: Order) -> bool:
    """Whether the order is as the action leaves it."""
    if action.kind is ActionKind.CANCEL:
        return order.is_cancelled
    if action.kind is ActionKind.ARCHIVE:
        return order.archived
    if action.kind is ActionKind.CAPTURE:
        return _captured(action, order)
    if action.kind in (ActionKind.PACK, ActionKind.SHIP):
        return action.parcel is not None and _in_parcels(action.kind, action.parcel, order)
    wanted = {
        ActionKind.CONFIRM: Progress.CONFIRMED,
        ActionKind.PROCESS: Progress.PROCESSING,
        ActionKind.COMPLETE: Progress.COMPLETED,
    }.get(action.kind)
    return wanted is not None and order.progress is not None and order.progress.rank >= wanted.rank


def _in_parcels(kind: ActionKind, parcel: Parcel, order: Order) -> bool:
    """As many units of each line are packed, or have left, as the write was to leave behind."""
    gone = (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED)
    counted = gone if kind is ActionKind.SHIP else (FulfillmentState.PACKED, *gone)
    units: dict[str, int] = {}
    for one in order.fulfillments or ():
        for line in (one.lines or ()) if one.status in counted else ():
            units[line.line_item_id] = units.get(line.line_item_id, 0) + line.quantity
    return all(units.get(line.line_item_id, 0) >= line.quantity for line in parcel.shipped_after)
