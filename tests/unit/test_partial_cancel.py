"""A partial cancel, as each platform would show it, is a hold: never a whole cancel, never silent.

No fact sheet names a call that cancels a part. SHOPLINE records one on an unpaid order as a refund of no money that
names units; on a paid one it is a refund like any other. Medusa edits the order; headless has no call at all, so only
its line items could tell.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.payloads.corpus import HERE, PROFILE, mapping

from ordersync.mapping import Profile, decode
from ordersync.model import Decision, Ledger, Link, LinkOrigin, Order, OrderRef, Verb, seen_digest
from ordersync.model.resolution import Resolution
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile

CAN = frozenset({"cancel", "refund"})
ASKING = Semantics(cancel_refunds="none", cancel_restocks="unknown", refund_token_field="note")
ANY = KindPolicy(sources="any", carry_after=timedelta(0))
CARRIED = Policy(cancel=ANY, refund=ANY, fulfill=ANY, progress=ANY)
LOCAL = Policy(cancel=KindPolicy(sources="none"), refund=ANY)


def order(shop: str, payload: dict[str, Any], platform: str) -> Order:
    profile = Profile(shop=shop, books_only=PROFILE.books_only)
    return mapping(platform).normalise(decode(json.dumps(payload).encode()), profile)


def payload_of(path: str) -> dict[str, Any]:
    platform, _, name = path.partition("/")
    (one,) = mapping(platform).unwrap(decode(Path(HERE / platform / f"{name}.json").read_bytes()))
    return json.loads(json.dumps(one, default=str))  # type: ignore[no-any-return]  # a JSON object


def shopline_unpaid() -> tuple[Order, Order]:
    """One of two lamps taken off an unpaid order."""
    part = payload_of("shopline/own_cancelled_unpaid_zero_refund")
    part |= {"status": "open", "cancelled_at": None, "cancel_reason": None}
    for line in part["refunds"][0]["refund_line_items"]:
        line["quantity"] = 1
    return order("a", {**part, "refunds": []}, "shopline"), order("b", part, "shopline")


def medusa_edited() -> tuple[Order, Order]:
    whole = payload_of("medusa/order_jpy_captured")
    part = json.loads(json.dumps(whole))
    part["items"][0]["quantity"] = 2
    return order("a", whole, "medusa"), order("b", part, "medusa")


def headless_fewer() -> tuple[Order, Order]:
    whole = payload_of("headless/order_paid_krw")
    part = json.loads(json.dumps(whole))
    part["lines"][0]["quantity"] = 1
    return order("a", whole, "headless"), order("b", part, "headless")


def look(*orders: Order, policy: Policy = CARRIED, given: tuple[Resolution, ...] = ()) -> Decision:
    now = max(o.placed_at for o in orders if o.placed_at is not None) + timedelta(minutes=30)
    members = tuple(sorted(o.ref for o in orders))
    link = Link(link_id="L1", members=members, origin=LinkOrigin.HAND, made_at=now)
    seen = [Member(o.ref, o, CAN, ASKING) for o in orders]
    return reconcile(link, Ledger(), seen, (), policy, now, now - timedelta(days=30), given)


STATES = {
    "shopline": (shopline_unpaid, "line 301 1: named in a refund of no money"),
    "medusa": (medusa_edited, "TEE-L 2 of 3"),
    "headless": (headless_fewer, "TEE-BLK-M 1 of 2"),
}


@pytest.mark.parametrize("platform", STATES)
def test_a_partial_cancel_is_held_and_nothing_is_cancelled(platform: str) -> None:
    make, said = STATES[platform]
    whole, part = make()
    assert not part.is_cancelled
    found = look(whole, part)
    assert [(h.code, h.target) for h in found.holds] == [("partial_cancel", part.ref)]
    assert said in found.holds[0].message
    assert found.actions == ()
    assert look(part, whole).holds == found.holds, "whichever side it is on"


@pytest.mark.parametrize("platform", STATES)
def test_where_nothing_was_taken_off_nothing_is_held(platform: str) -> None:
    whole, _part = STATES[platform][0]()
    twin = whole.model_copy(update={"shop": "b"})
    assert look(whole, twin).agrees


@pytest.mark.parametrize("platform", STATES)
def test_a_partial_cancel_a_person_left_stays_closed(platform: str) -> None:
    whole, part = STATES[platform][0]()
    (hold,) = look(whole, part).holds
    assert whole.placed_at is not None
    left = Resolution(
        number=1,
        hold="H-1",
        hold_key=hold.key,
        code=hold.code,
        verb=Verb.LEAVE,
        link_id="L1",
        target=OrderRef(part.shop, part.order_id),
        digest=seen_digest(hold),
        who="kim",
        why="did the same by hand",
        at=whole.placed_at,
    )
    assert look(whole, part, given=(left,)).agrees


@pytest.mark.parametrize("platform", STATES)
def test_in_a_shop_whose_cancels_do_not_count_it_is_said_and_not_held(platform: str) -> None:
    whole, part = STATES[platform][0]()
    found = look(whole, part, policy=LOCAL)
    assert found.holds == ()
    assert any("cancelled in part: local" in why for why in found.skipped)


def test_a_whole_cancel_of_an_unpaid_shopline_order_is_no_partial_one() -> None:
    """It too leaves a refund of no money that names every unit."""
    payload = payload_of("shopline/own_cancelled_unpaid_zero_refund")
    cancelled = order("b", payload, "shopline")
    still_open = {**payload, "status": "open", "cancelled_at": None, "cancel_reason": None, "refunds": []}
    assert cancelled.is_cancelled
    found = look(order("a", still_open, "shopline"), cancelled)
    assert "partial_cancel" not in {h.code for h in found.holds}
