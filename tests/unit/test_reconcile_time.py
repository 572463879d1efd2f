"""Time alone never unsettles a link that agrees: this is why a plan may leave such links unread for years.

A link that waits for its time does not agree, so it stays unsettled and every plan decides it again.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from ordersync.model import Decision, Ledger, Link, LinkOrigin, Order, Progress, Purse, RefundState
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, R, build_order

LATER = [timedelta(minutes=30), timedelta(hours=2), timedelta(days=4), timedelta(days=400)]
REFUNDS: tuple[tuple[R, ...], ...] = (
    (),
    (R("1", 500),),
    (R("1", 500, RefundState.PENDING),),
    (R("1", 500), R("2", 500, minutes_ago=20)),
    (R("4", 10_000),),
)
ANY, ONLY_A, NONE = KindPolicy(sources="any"), KindPolicy(sources=("a",)), KindPolicy()
POLICIES = {
    "any": Policy(cancel=ANY, refund=ANY, fulfill=ANY, progress=ANY),
    "only a": Policy(cancel=ONLY_A, refund=ONLY_A, fulfill=ONLY_A, progress=ONLY_A),
    "none": Policy(cancel=NONE, refund=NONE, fulfill=NONE, progress=NONE),
}
CAN = frozenset({"cancel", "refund", "ship", "complete", "confirm", "process"})
SEMANTICS = Semantics(cancel_refunds="all", cancel_restocks="unknown", refund_token_field="note")


def states(shop: str) -> list[Order]:
    money = [
        build_order(shop, refunds=refunds, purse=purse, cancelled_minutes_ago=cancelled)
        for refunds, purse, cancelled in itertools.product(REFUNDS, (Purse.GATEWAY, Purse.BOOKS), (None, 90))
    ]
    unpaid = [build_order(shop, captured=0, cancelled_minutes_ago=cancelled) for cancelled in (None, 90)]
    goods = [
        build_order(shop, shipped=shipped, packed=packed, progress=progress)
        for shipped, packed, progress in (
            (1, 0, Progress.PENDING),
            (2, 0, Progress.PENDING),
            (0, 1, Progress.PENDING),
            (2, 0, Progress.COMPLETED),
            (0, 0, Progress.COMPLETED),
            (0, 0, None),
        )
    ]
    return [*money, *unpaid, *goods]


def decide(one: Order, other: Order, policy: Policy, ledger: Ledger, now: datetime) -> Decision:
    link = Link(
        link_id="L1", members=(one.ref, other.ref), origin=LinkOrigin.HAND, made_at=NOON - timedelta(days=1)
    )
    members = [Member(order.ref, order, CAN, SEMANTICS) for order in (one, other)]
    return reconcile(link, ledger, members, [], policy, now, NOON - timedelta(days=7))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_link_that_agrees_still_agrees_however_late_it_is_decided_again(policy: str) -> None:
    agreeing = 0
    for one, other in itertools.product(states("a"), states("b")):
        first = decide(one, other, POLICIES[policy], Ledger(), NOON)
        if not first.agrees:
            continue
        agreeing += 1
        for later in LATER:
            again = decide(one, other, POLICIES[policy], first.ledger, NOON + later)
            assert again.agrees, (later, one, other, again.holds, again.waits, again.actions)
            assert again.ledger == first.ledger, (later, one, other)
            assert again.skipped == first.skipped
    assert agreeing > 50
