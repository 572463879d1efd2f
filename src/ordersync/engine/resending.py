"""Send a write once more that a person says did not happen: under a new key, past every check of a new write."""

from __future__ import annotations

from ordersync.engine.apply import CLAIM_FOR
from ordersync.engine.byhand import Wish, perform, prepare
from ordersync.engine.look import make_plan
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shops
from ordersync.engine.writes import Clock, Writer, WriteResult
from ordersync.errors import Held
from ordersync.model import Action, Purse
from ordersync.reconcile import Limits, Policy
from ordersync.store import Store, new_owner


def send_again(
    store: Store, shops: Shops, policy: Policy, limits: Limits, sent_log: SentLog, action: Action, clock: Clock
) -> WriteResult | None:
    """The write under its next generation; None when the decision no longer asks for it (or not yet).

    The earlier try is in the journal as not done. Errors: Held `claimed`, and those of a write typed by hand.
    """
    link = store.link_of(action.target)
    if action.fact_id is None or link is None:
        wish = Wish(
            action.kind,
            amount=action.amount,
            reason=action.reason,
            payment_id=action.payment_id,
            to_books=None if action.purse is None else action.purse is Purse.BOOKS,
            restock=action.restock,
            notify_buyer=action.notify_buyer,
            processed_at=action.processed_at,
        )
        return perform(store, shops, prepare(store, shops, action.target, wish), sent_log)
    owner = new_owner()
    if not store.claim(link.members, owner, clock(), CLAIM_FOR):
        raise Held(
            f"another ordersync process took {action.target} over; it may send it now",
            code="claimed",
            next_step="see: ordersync orders explain " + str(action.target),
        )
    try:
        plan = make_plan(store, shops, policy, clock(), only=[link.link_id])
        due = plan.decisions[0].actions if plan.decisions else ()
        same = next((a for a in due if (a.fact_id, a.target) == (action.fact_id, action.target)), None)
        if same is None:
            return None
        return Writer(store, sent_log, limits, clock(), clock).write(shops[action.target.shop], same)
    finally:
        store.release(owner)
