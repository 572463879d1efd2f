"""Decide links from what the store holds: the road that plan, apply and status share."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ordersync.engine.shops import Shop, Shops
from ordersync.model import Decision, Hold, Link, OrderRef, stable_hash
from ordersync.model.semantics import Semantics
from ordersync.reconcile import Member, Policy, reconcile
from ordersync.reconcile.decide import LIVE_BEFORE_LINK
from ordersync.store import Decided, LinkState, ParkedAnswer, Store, StoredOrder

_NOTHING_KNOWN = Semantics(cancel_refunds="unknown", cancel_restocks="unknown")


@dataclass(slots=True)
class Plan:
    """What would be done now. Nothing in it was written to a platform."""

    made_at: datetime
    links: int = 0
    """Every live link; 0 where only some were asked about."""
    looked: int = 0
    decisions: list[Decision] = field(default_factory=list)
    """Of the links that do not agree or have a write not read back; of all that were asked about, where only some
    were."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(link, why) of everything deliberately not carried on the links that were looked at."""
    new_holds: list[str] = field(default_factory=list)
    limit_holds: list[Hold] = field(default_factory=list)
    """What the limits stop of it, once it was weighed."""

    @property
    def agree(self) -> int:
        """Links that were looked at and agree."""
        return self.looked - sum(1 for decision in self.decisions if not decision.agrees)


def make_plan(
    store: Store, shops: Shops, policy: Policy, now: datetime, only: Collection[str] | None = None
) -> Plan:
    """Decide every link that changed or does not agree yet; store ledgers and holds, write nothing anywhere.

    `only` limits it to some link ids. Links that agree are marked clean and skipped until a member changes, or the
    policy, or what a shop can do. A link that waits for its time is never clean, so it is decided each time.
    """
    store.decided_under(_rules_digest(shops, policy))
    plan = Plan(made_at=now, links=store.link_count() if only is None else 0)
    for states in store.unsettled(only):
        decided = [_decided(shops, state, policy, store.birth_at, now) for state in states]
        plan.new_holds += store.save_decisions(decided, now)
        plan.looked += len(decided)
        for one in decided:
            plan.skipped += [(one.decision.link_id, why) for why in one.decision.skipped]
        # Links that agree are many after a first pull: none of them is kept in memory.
        plan.decisions += [one.decision for one in decided if not one.settled or only is not None]
    return plan


def _decided(shops: Shops, state: LinkState, policy: Policy, birth_at: datetime, now: datetime) -> Decided:
    """A write not read back keeps its link in sight, also where the members agree already."""
    decision = decide(shops, state, policy, birth_at, now)
    return Decided(state, decision, settled=decision.agrees and not state.write_open)


def skipped_where_settled(store: Store, shops: Shops, policy: Policy, now: datetime) -> Iterator[tuple[str, str]]:
    """(link, why) of what stays local on links that agree and did not change: a plan does not look at them."""
    for states in store.skipping():
        for state in states:
            decision = decide(shops, state, policy, store.birth_at, now)
            yield from ((decision.link_id, why) for why in decision.skipped)


def _rules_digest(shops: Shops, policy: Policy) -> str:
    abilities = [
        f"{name}: {' '.join(sorted(shop.capabilities))} {shop.semantics.model_dump_json()} {shop.mapping_version}"
        for name, shop in sorted(shops.items())
    ]
    return stable_hash(policy.model_dump_json(), *abilities)


def decide_link(store: Store, shops: Shops, link: Link, policy: Policy, now: datetime) -> Decision:
    """One link, settled or not, from all that is stored of it."""
    return decide(shops, store.link_state(link), policy, store.birth_at, now)


def decide(shops: Shops, state: LinkState, policy: Policy, birth_at: datetime, now: datetime) -> Decision:
    """One link, from the stored observations of its members and everything ever sent to them."""
    link = state.link
    return reconcile(
        link,
        state.ledger,
        [
            _member(shops, ref, state.orders.get(ref), state.parked.get(ref), gone=ref in state.vanished)
            for ref in link.members
        ],
        state.journal,
        policy,
        now,
        live_from=max(birth_at, link.made_at - LIVE_BEFORE_LINK),
        approvals=state.answers,
    )


def member_of(store: Store, shops: Shops, ref: OrderRef) -> Member:
    """The newest stored observation of one order, or why there is none to decide on."""
    parked = next(iter(store.parked(ref)), None)
    answer = None if parked is None else ParkedAnswer(parked.sent_at, parked.message)
    return _member(shops, ref, store.order(ref), answer, gone=False)


def _member(
    shops: Shops, ref: OrderRef, stored: StoredOrder | None, parked: ParkedAnswer | None, *, gone: bool
) -> Member:
    shop: Shop | None = shops.get(ref.shop)
    if shop is None:
        return Member(ref, None, frozenset(), _NOTHING_KNOWN, "its shop is not in the configuration")
    problem: str | None = None
    if parked is not None and (stored is None or parked.sent_at >= stored.sent_at):
        problem = f"its newest answer could not be understood ({parked.message})"
    elif stored is None:
        problem = "it was never read"
    elif gone:
        problem = "its platform says that it does not exist (any more)"
    elif stored.order.payments is None or stored.order.refunds is None or stored.order.fulfillments is None:
        problem = "its payments, refunds or fulfillments were not loaded"
    return Member(ref, stored.order if stored else None, shop.capabilities, shop.semantics, problem)
