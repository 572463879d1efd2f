"""Decide links from what the store holds: the road that plan, apply and status share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ordersync.engine.shops import Shop, Shops
from ordersync.model import Decision, Hold, Link, OrderRef, stable_hash
from ordersync.model.semantics import Semantics
from ordersync.reconcile import Member, Policy, reconcile
from ordersync.store import Store

LIVE_BEFORE_LINK = timedelta(hours=48)
"""Facts older than this when their link was made are not carried without a person."""

_NOTHING_KNOWN = Semantics(cancel_refunds="unknown", cancel_restocks="unknown")


@dataclass(slots=True)
class Plan:
    """What would be done now. Nothing in it was written to a platform."""

    made_at: datetime
    links: int = 0
    looked: int = 0
    decisions: list[Decision] = field(default_factory=list)
    new_holds: list[str] = field(default_factory=list)
    limit_holds: list[Hold] = field(default_factory=list)
    """What the limits stop of it, once it was weighed."""


def make_plan(
    store: Store, shops: Shops, policy: Policy, now: datetime, only: Iterable[str] | None = None
) -> Plan:
    """Decide every link that changed or does not agree yet; store ledgers and holds, write nothing anywhere.

    `only` limits it to some link ids. Links that agree are marked clean and skipped until a member changes, or the
    policy, or what a shop can do.
    """
    store.decided_under(_rules_digest(shops, policy))
    wanted = None if only is None else set(only)
    plan = Plan(made_at=now, links=store.link_count())
    open_holds = [stored.hold for stored in store.holds()]
    on_actions = [hold for hold in open_holds if hold.subject.startswith("action:")]
    vanished = frozenset(h.target for h in open_holds if h.code == "order_vanished" and h.target is not None)
    for dirty in store.dirty_links():
        if wanted is not None and dirty.link.link_id not in wanted:
            continue
        decision = decide_link(store, shops, dirty.link, policy, now, vanished)
        plan.new_holds += store.save_decision(decision, now, version=dirty.version)
        plan.looked += 1
        due = {f"action:{action.key}" for action in decision.actions}
        for hold in on_actions:
            if hold.link_id == decision.link_id and hold.subject not in due:
                store.close_hold(hold.key, now, "the write it stopped is no longer due")
        if decision.agrees and not _unsettled(store, dirty.link):
            store.mark_clean(dirty.link.link_id, dirty.version)
        plan.decisions.append(decision)
    return plan


def _unsettled(store: Store, link: Link) -> bool:
    """A write not read back keeps its link in sight, also where the members agree already."""
    return any(store.actions(target=ref, open_only=True) for ref in link.members)


def _rules_digest(shops: Shops, policy: Policy) -> str:
    abilities = [
        f"{name}: {' '.join(sorted(shop.capabilities))} {shop.semantics.model_dump_json()} {shop.mapping_version}"
        for name, shop in sorted(shops.items())
    ]
    return stable_hash(policy.model_dump_json(), *abilities)


def decide_link(
    store: Store,
    shops: Shops,
    link: Link,
    policy: Policy,
    now: datetime,
    vanished: Collection[OrderRef] = (),
) -> Decision:
    """One link, from the stored observations of its members and everything ever sent to them.

    `vanished` are orders their platforms no longer have: what is stored of them decides nothing.
    """
    journal = [record for ref in link.members for record in store.actions(target=ref)]
    return reconcile(
        link,
        store.ledger(link.link_id),
        [member_of(store, shops, ref, gone=ref in vanished) for ref in link.members],
        journal,
        policy,
        now,
        live_from=max(store.birth_at, link.made_at - LIVE_BEFORE_LINK),
        approvals=store.resolutions(link_id=link.link_id),
    )


def member_of(store: Store, shops: Shops, ref: OrderRef, *, gone: bool = False) -> Member:
    """The newest stored observation of one order, or why there is none to decide on."""
    shop: Shop | None = shops.get(ref.shop)
    if shop is None:
        return Member(ref, None, frozenset(), _NOTHING_KNOWN, "its shop is not in the configuration")
    stored = store.order(ref)
    problem: str | None = None
    parked = next(iter(store.parked(ref)), None)
    if parked is not None and (stored is None or parked.sent_at >= stored.sent_at):
        problem = f"its newest answer could not be understood ({parked.message})"
    elif stored is None:
        problem = "it was never read"
    elif gone:
        problem = "its platform says that it does not exist (any more)"
    elif stored.order.payments is None or stored.order.refunds is None or stored.order.fulfillments is None:
        problem = "its payments, refunds or fulfillments were not loaded"
    return Member(ref, stored.order if stored else None, shop.capabilities, shop.semantics, problem)
