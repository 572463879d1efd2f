"""A sale that was shipped in one place and cancelled in another: nothing more is shipped or cancelled unasked."""

from __future__ import annotations

from tools.decision_looks import PAYING, answered, goods, look, parcel, side

from ordersync.model import ActionKind, CellState, Decision, FactKind, FulfillmentState, OrderRef, Verb


def codes(decision: Decision) -> list[tuple[str, str | None]]:
    return sorted((hold.code, hold.target.shop if hold.target else None) for hold in decision.holds)


def kinds(decision: Decision) -> list[tuple[ActionKind, str]]:
    return [(action.kind, action.target.shop) for action in decision.actions]


def test_a_sale_that_is_being_cancelled_is_not_shipped_elsewhere() -> None:
    shipped_then_cancelled = goods("A", parcel(minutes_ago=45), cancelled_minutes_ago=30)
    decision = look(shipped_then_cancelled, side("B", semantics=PAYING))
    assert decision.actions == ()
    assert {wait.code for wait in decision.waits} == {"money_not_back", "cancel_first"}


def test_a_cancelled_order_is_not_asked_to_ship_what_another_cancelled_order_shipped() -> None:
    shipped_then_cancelled = goods("A", parcel(minutes_ago=45), cancelled_minutes_ago=30)
    decision = look(shipped_then_cancelled, side("B", cancelled_minutes_ago=20))
    assert decision.agrees
    assert look(shipped_then_cancelled, side("B", cancelled_minutes_ago=20), before=decision).agrees
    [row] = [row for row in decision.ledger.rows if row.fact.kind is FactKind.SHIPMENT]
    cell = row.cell(OrderRef("B", "1"))
    assert cell is not None
    assert (cell.state, cell.reason) == (CellState.CANNOT, "cancelled_since")


def test_a_third_order_is_not_cancelled_while_one_says_cancelled_and_another_shipped() -> None:
    decision = look(side("A", cancelled_minutes_ago=30), side("B"), goods("C", parcel()))
    assert kinds(decision) == []
    assert codes(decision) == [
        ("cancel_after_shipping", "B"),
        ("cancel_after_shipping", "C"),
        ("shipped_but_cancelled", "A"),
    ]


def test_once_the_cancel_is_left_the_parcel_goes_on() -> None:
    sides = (side("A", cancelled_minutes_ago=30), side("B"), goods("C", parcel()))
    left = answered(Verb.LEAVE, look(*sides).holds)
    assert kinds(look(*sides, answers=left)) == [(ActionKind.SHIP, "B")]


def test_a_cancelled_parcel_is_not_shipped_again_because_its_twin_stands() -> None:
    both = look(goods("A", parcel()), goods("B", parcel("q1")))
    assert both.agrees
    cancelled = goods("A", parcel(state=FulfillmentState.CANCELLED))
    decision = look(cancelled, goods("B", parcel("q1")), before=both)
    assert kinds(decision) == []
    assert codes(decision) == [("shipment_went_back", None)]
    later = look(
        cancelled, goods("B", parcel("q1")), before=decision, answers=answered(Verb.LEAVE, decision.holds)
    )
    assert later.actions == ()
    assert later.holds == ()


def test_a_new_parcel_after_a_cancelled_one_is_covered_by_the_twin() -> None:
    both = look(goods("A", parcel()), goods("B", parcel("q1")))
    again = goods("A", parcel(state=FulfillmentState.CANCELLED), parcel("p2", minutes_ago=5))
    decision = look(again, goods("B", parcel("q1")), before=both)
    assert kinds(decision) == []
    assert codes(decision) == [("shipment_went_back", None)]


def test_goods_that_also_left_an_order_that_goes_on_are_asked_about_whatever_the_shops_are_called() -> None:
    for goes_on, cancelled in (("A", "C"), ("C", "A")):
        shipped_and_cancelled = goods(cancelled, parcel(), cancelled_minutes_ago=90)
        decision = look(side("B", cancelled_minutes_ago=90), goods(goes_on, parcel()), shipped_and_cancelled)
        assert ("shipped_but_cancelled", "B") in codes(decision), goes_on
        assert decision.actions == ()
