"""Shipments, progress, and refunds that name goods: one readable situation each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    CellState,
    Decision,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Ledger,
    LineItem,
    LineUnits,
    Link,
    LinkOrigin,
    Order,
    OrderRef,
    Progress,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, R, build_order, usd

ANY = KindPolicy(sources="any", carry_after=timedelta(0))
ALL = Policy(cancel=ANY, refund=ANY, fulfill=ANY, progress=ANY)
ONCE = Semantics(cancel_refunds="none", cancel_restocks="unknown", refund_token_field="note", tracking=True)
TWICE = ONCE.model_copy(update={"ship_needs_pack": True})
BY_LINES = ONCE.model_copy(update={"refund_by": frozenset({"amount", "lines"}), "refund_restocks": "with_lines"})
CAN = frozenset({"cancel", "refund", "pack", "ship", "confirm", "process", "complete"})


def parcel(
    name: str,
    units: int = 2,
    state: FulfillmentState = FulfillmentState.SHIPPED,
    minutes_ago: int = 30,
    tracking: str | None = None,
    line: str = "line-1",
) -> Fulfillment:
    return Fulfillment(
        id=name,
        status=state,
        lines=(FulfillmentLine(line_item_id=line, quantity=units),),
        carrier="SF" if tracking else None,
        tracking_numbers=(tracking,) if tracking else (),
        created_at=NOON - timedelta(minutes=minutes_ago + 5),
        shipped_at=NOON - timedelta(minutes=minutes_ago) if state is FulfillmentState.SHIPPED else None,
    )


def order(
    shop: str, *parcels: Fulfillment, progress: Progress | None = Progress.PENDING, cancelled: bool = False
) -> Order:
    made = build_order(shop, progress=progress, cancelled_minutes_ago=20 if cancelled else None)
    return made.model_copy(update={"fulfillments": parcels})


def look(
    *orders: Order,
    policy: Policy = ALL,
    ledger: Ledger | None = None,
    journal: Sequence[ActionRecord] = (),
    semantics: Semantics = ONCE,
    can: frozenset[str] = CAN,
) -> Decision:
    link = Link(
        link_id="L1",
        members=tuple(sorted(o.ref for o in orders)),
        origin=LinkOrigin.HAND,
        made_at=NOON - timedelta(days=1),
    )
    members = [Member(o.ref, o, can, semantics) for o in orders]
    return reconcile(link, ledger or Ledger(), members, journal, policy, NOON, NOON - timedelta(days=10))


def codes(decision: Decision) -> set[str]:
    return {hold.code for hold in decision.holds}


def only(decision: Decision) -> Action:
    assert codes(decision) == set()
    assert len(decision.actions) == 1, decision.actions
    return decision.actions[0]


def seen(action: Action, ref: str | None = None) -> ActionRecord:
    return ActionRecord(action=action, state=ActionState.SEEN, intended_at=NOON, platform_ref=ref)


def test_a_parcel_that_left_is_shipped_at_the_other_side_with_its_tracking() -> None:
    action = only(look(order("a", parcel("p1", tracking="SF1")), order("b")))
    assert (action.kind, action.target) == (ActionKind.SHIP, OrderRef("b", "1"))
    assert action.parcel is not None
    assert action.parcel.lines == (LineUnits(line_item_id="line-1", quantity=2),)
    assert (action.parcel.carrier, action.parcel.tracking_number) == ("SF", "SF1")
    assert action.notify_buyer is False


def test_packed_is_no_news() -> None:
    assert look(order("a", parcel("p1", state=FulfillmentState.PACKED)), order("b")).agrees


def test_where_packing_comes_first_it_takes_two_looks() -> None:
    a = order("a", parcel("p1"))
    first = look(a, order("b"), semantics=TWICE)
    pack = only(first)
    assert pack.kind is ActionKind.PACK
    packed = order("b", parcel("f1", state=FulfillmentState.PACKED))
    ship = only(look(a, packed, semantics=TWICE, ledger=first.ledger, journal=[seen(pack, "f1")]))
    assert ship.kind is ActionKind.SHIP
    assert ship.parcel is not None
    assert ship.parcel.fulfillment_id == "f1"
    assert ship.key != pack.key


def test_what_is_shipped_by_hand_on_both_sides_is_agreement_however_it_was_parcelled() -> None:
    one = order("a", parcel("p1", 2))
    two = order("b", parcel("x", 1), parcel("y", 1, minutes_ago=10))
    assert look(one, two).agrees
    assert look(two, one).agrees


def test_equal_goods_under_two_tracking_numbers_may_be_two_parcels_and_a_person_says() -> None:
    one = order("a", parcel("p1", 1, tracking="SF1"))
    two = order("b", parcel("x", 1, minutes_ago=10, tracking="SF2"))
    for decision in (look(one, two), look(two, one)):
        assert codes(decision) == {"parcels_differ"}
        assert decision.actions == (), "one unit or two: shipping either way would be a guess"


def test_equal_goods_are_one_parcel_where_there_are_no_goods_for_a_second_one() -> None:
    one = order("a", parcel("p1", 2, tracking="SF1"))
    two = order("b", parcel("x", 2, minutes_ago=10, tracking="SF2"))
    assert look(one, two).agrees


def test_a_tracking_number_corrected_after_it_was_carried_is_no_second_parcel() -> None:
    first = look(order("a", parcel("p1", 1, tracking="SF1")), order("b"))
    copy = order("b", parcel("x", 1, tracking="SF1"))
    corrected = order("a", parcel("p1", 1, tracking="SF9"))
    assert look(corrected, copy, ledger=first.ledger, journal=[seen(only(first), "x")]).agrees


def test_only_the_units_that_are_missing_are_shipped() -> None:
    action = only(look(order("a", parcel("p1", 2)), order("b", parcel("x", 1))))
    assert action.parcel is not None
    assert action.parcel.lines == (LineUnits(line_item_id="line-1", quantity=1),)
    assert action.parcel.shipped_after == (LineUnits(line_item_id="line-1", quantity=2),)


def test_more_units_shipped_than_ordered_where_we_shipped_is_a_surplus() -> None:
    a = order("a", parcel("p1"))
    first = look(a, order("b"))
    ours = seen(only(first), "ours")
    twice = order("b", parcel("ours"), parcel("again", minutes_ago=10))
    found = look(a, twice, journal=[ours], ledger=first.ledger)
    (hold,) = [h for h in found.holds if h.code == "overshoot"]
    assert (hold.target, hold.sticky) == (OrderRef("b", "1"), True)
    assert "4 of 2" in hold.message
    assert found.actions == ()
    assert codes(look(a, order("b", parcel("ours")), journal=[ours], ledger=first.ledger)) == set()


def test_our_own_parcel_is_a_copy_and_not_news() -> None:
    a = order("a", parcel("p1"))
    first = look(a, order("b"), order("c"))
    to_b = next(x for x in first.actions if x.target.shop == "b")
    after = look(a, order("b", parcel("ours")), order("c"), journal=[seen(to_b, "ours")], ledger=first.ledger)
    assert [x.target.shop for x in after.actions] == ["c"]
    assert after.actions[0].fact_id == to_b.fact_id


def test_a_parcel_cancelled_after_it_was_carried_is_held_and_nothing_is_undone() -> None:
    before = look(order("a", parcel("p1")), order("b", parcel("x")))
    assert before.agrees
    after = look(
        order("a", parcel("p1", state=FulfillmentState.CANCELLED), parcel("p2", minutes_ago=1)),
        order("b", parcel("x")),
        ledger=before.ledger,
    )
    assert codes(after) == {"shipment_went_back"}
    assert after.holds[0].sticky
    assert not after.actions


def test_goods_of_a_cancelled_parcel_are_not_shipped_again_because_another_side_still_shows_them() -> None:
    """Both sides were shipped by hand: one fact. What is left of it on one side is no fact of its own."""
    before = look(order("a", parcel("p1")), order("b", parcel("x", minutes_ago=20)))
    assert before.agrees
    ledger, taken_back = before.ledger, order("a", parcel("p1", state=FulfillmentState.CANCELLED))
    for _ in range(2):
        after = look(taken_back, order("b", parcel("x", minutes_ago=20)), ledger=ledger)
        assert codes(after) == {"shipment_went_back"}
        assert not after.actions
        ledger = after.ledger


def test_what_the_other_side_ships_after_a_cancelled_parcel_is_news() -> None:
    a, b = order("a", parcel("p1", 1)), order("b", parcel("x", 1, minutes_ago=20))
    before = look(a, b)
    assert before.agrees
    taken_back = order("a", parcel("p1", 1, state=FulfillmentState.CANCELLED))
    after = look(taken_back, order("b", parcel("x", 1, minutes_ago=20), parcel("y", 1)), ledger=before.ledger)
    assert codes(after) == {"shipment_went_back"}
    assert [(x.target.shop, x.parcel and x.parcel.lines[0].quantity) for x in after.actions] == [("a", 1)]


def test_our_copy_of_a_parcel_that_was_cancelled_is_not_carried_on_as_news() -> None:
    first = look(order("a", parcel("p1")), order("b"), order("c"))
    to_b = next(x for x in first.actions if x.target.shop == "b")
    after = look(
        order("a", parcel("p1", state=FulfillmentState.CANCELLED)),
        order("b", parcel("ours")),
        order("c"),
        journal=[seen(to_b, "ours")],
    )
    assert not after.actions


def test_a_parcel_cancelled_before_it_was_carried_is_forgotten() -> None:
    before = look(order("a", parcel("p1")), order("b"), can=frozenset())
    after = look(
        order("a", parcel("p1", state=FulfillmentState.CANCELLED)),
        order("b"),
        ledger=before.ledger,
        can=frozenset(),
    )
    assert after.agrees


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (order("b", cancelled=True), "shipped_but_cancelled"),
        (order("b", parcel("x", 1, state=FulfillmentState.PACKED)), "packed_differently"),
    ],
)
def test_a_parcel_that_cannot_go_is_held(other: Order, code: str) -> None:
    policy = ALL.model_copy(update={"cancel": KindPolicy(sources="none")})
    decision = look(order("a", parcel("p1", 2)), other, semantics=TWICE, policy=policy)
    assert code in codes(decision)
    assert not decision.actions


def test_lines_match_by_sku_else_variant_else_title_and_price() -> None:
    def with_line(shop: str, **about: object) -> Order:
        line = LineItem.model_validate({"id": f"{shop}-line", "quantity": 2, "unit_price": usd(5000), **about})
        made = order(shop, *([parcel("p1", line="a-line")] if shop == "a" else []))
        return made.model_copy(update={"line_items": (line,)})

    for about in ({"sku": "TEE"}, {"variant_id": "v1"}, {"title": "Tee"}):
        action = only(look(with_line("a", **about), with_line("b", **about)))
        assert action.parcel is not None
        assert action.parcel.lines == (LineUnits(line_item_id="b-line", quantity=2),)
    different = look(with_line("a", sku="TEE"), with_line("b", sku="MUG"))
    assert codes(different) == {"lines_do_not_match"}
    assert not different.actions


def test_a_shipment_is_not_stopped_by_a_money_hold() -> None:
    a = order("a", parcel("p1")).model_copy(
        update={"refunds": build_order("a", refunds=[R("r", 500, note="os-aaaaaaaa")]).refunds}
    )
    decision = look(a, order("b"))
    assert codes(decision) == {"another_installation"}
    assert [x.kind for x in decision.actions] == [ActionKind.SHIP]


def test_shops_the_policy_does_not_name_ship_for_themselves() -> None:
    policy = Policy(fulfill=KindPolicy(sources=("b",)))
    decision = look(order("a", parcel("p1")), order("b"), policy=policy)
    assert decision.agrees
    assert decision.skipped


def test_a_step_of_progress_seen_while_linked_is_carried_one_call_at_a_time() -> None:
    first = look(order("a"), order("b"))
    assert first.agrees
    moved = order("a", progress=Progress.PROCESSING)
    step = look(moved, order("b"), ledger=first.ledger)
    assert only(step).kind is ActionKind.CONFIRM
    confirmed = order("b", progress=Progress.CONFIRMED)
    then = look(moved, confirmed, ledger=step.ledger, journal=[seen(only(step))])
    assert only(then).kind is ActionKind.PROCESS


def test_progress_that_differs_at_the_first_look_is_older_than_the_link() -> None:
    decision = look(order("a", progress=Progress.COMPLETED), order("b"))
    assert codes(decision) == {"differs_at_link"}
    assert not decision.actions


def test_progress_never_goes_back() -> None:
    first = look(order("a", progress=Progress.COMPLETED), order("b", progress=Progress.COMPLETED))
    after = look(
        order("a", progress=Progress.PENDING), order("b", progress=Progress.COMPLETED), ledger=first.ledger
    )
    assert {a.kind for a in after.actions} <= {ActionKind.CONFIRM, ActionKind.PROCESS, ActionKind.COMPLETE}
    assert all(a.target.shop == "a" for a in after.actions)


def test_a_platform_without_the_step_cannot_express_it_and_that_is_shown() -> None:
    can = frozenset({"complete"})
    first = look(order("a"), order("b"), can=can)
    confirmed = look(order("a", progress=Progress.CONFIRMED), order("b"), ledger=first.ledger, can=can)
    assert confirmed.agrees
    assert any("cannot express confirmed" in said for said in confirmed.skipped)
    assert [c.state for c in confirmed.ledger.rows[-1].cells] == [CellState.PRESENT, CellState.CANNOT]
    done = look(order("a", progress=Progress.COMPLETED), order("b"), ledger=first.ledger, can=can)
    assert only(done).kind is ActionKind.COMPLETE


def test_a_refund_says_what_it_is_for_where_the_platform_takes_lines() -> None:
    a = build_order("a", refunds=[R("r", 5000, lines=[("line-1", 1)])])
    by_lines = only(look(a, build_order("b"), semantics=BY_LINES))
    assert by_lines.refund_lines == (LineUnits(line_item_id="line-1", quantity=1),)
    assert by_lines.amount == usd(5000)
    assert by_lines.restock is False
    by_amount = only(look(a, build_order("b")))
    assert by_amount.refund_lines == ()
    assert by_amount.amount == usd(5000)


def test_stock_returns_only_where_the_policy_and_the_platform_say_so() -> None:
    made = build_order("a", refunds=[R("r", 5000, lines=[("line-1", 1)])])
    assert made.refunds is not None
    a = made.model_copy(update={"refunds": (made.refunds[0].model_copy(update={"restock": True}),)})
    as_origin = ALL.model_copy(update={"refund": ANY.model_copy(update={"restock": "as_origin"})})
    assert only(look(a, build_order("b"), semantics=BY_LINES, policy=as_origin)).restock is True
    assert only(look(a, build_order("b"), semantics=BY_LINES)).restock is False
    held = look(a, build_order("b"), policy=as_origin)
    assert codes(held) == {"refund_has_lines"}
    assert not held.actions


def test_lines_refunded_already_are_not_named_again() -> None:
    a = build_order("a", refunds=[R("r", 5000, lines=[("line-1", 2)])])
    b = build_order("b", refunds=[R("x", 300, lines=[("line-1", 1)], minutes_ago=10_000)])
    a = a.model_copy(update={"refunds": (*(a.refunds or ()), *(b.refunds or ()))})
    action = only(look(a, b, semantics=BY_LINES))
    assert action.amount == usd(5000)
    assert action.refund_lines == (), "two units do not fit beside the one refunded before: the amount alone goes"


def test_a_parcel_of_another_installation_stops_the_goods_of_its_link() -> None:
    """A second ordersync at work on the same shops would ship what this one ships."""
    foreign = parcel("q1", 1).model_copy(update={"note": "ordersync os-aaaaaaaa"})
    decision = look(order("a", parcel("p1")), order("b", foreign))
    assert codes(decision) == {"another_installation"}
    assert "b:1 q1 os-aaaaaaaa" in decision.holds[0].message
    assert not decision.actions


def test_a_parcel_of_ours_is_known_after_the_database_was_lost() -> None:
    action = only(look(order("a", parcel("p1")), order("b")))
    ours = parcel("q1").model_copy(update={"note": f"ordersync {action.token}"})
    assert look(order("a", parcel("p1")), order("b", ours)).agrees
