"""A parcel made by an ordersync that this database knows nothing of: two at one shop would ship twice. Pure."""

from __future__ import annotations

from ordersync.model import ActionKind, FactKind, fact_id_of, token_of
from ordersync.reconcile.decide import Case
from ordersync.reconcile.members import token_in


def hold_foreign_parcels(case: Case) -> None:
    """A mark is known when this journal wrote it, or names a parcel of this very sale (after a lost database)."""
    known = {record.action.token for record in case.journal}
    known |= {row.fact.token for row in (*case.rows, *case.previous.rows)}
    parcels = [(m.ref, p) for m in case.members for p in (m.order.fulfillments if m.order else None) or ()]
    known |= {token_of(fact_id_of(ref, FactKind.SHIPMENT, p.id)) for ref, p in parcels}
    foreign = [
        (ref, p, mark) for ref, p in parcels if (mark := token_in(p.note)) is not None and mark not in known
    ]
    if not foreign:
        return
    case.hold(
        "another_installation",
        "a parcel carries an ordersync mark that this database did not write: "
        + ", ".join(f"{ref} {p.id} {mark}" for ref, p, mark in foreign),
        *(f"{ref}/{p.id}" for ref, p, _mark in foreign),
    )
    for action in [a for a in case.actions if a.kind in (ActionKind.PACK, ActionKind.SHIP)]:
        case.actions.remove(action)
