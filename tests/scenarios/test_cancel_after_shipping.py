"""A cancel after shipping: one shop has sent the parcel, and somebody cancels the sale in the other.

Given a paid sale of 100.00 in two shops. The goods are on their way; whether to call them back, to cancel the order
in the books or to undo the cancel is a person's decision, even where the platform would take the cancel. What the
cancel gave back by itself waits with it: the buyer has the parcel.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, PURSES, Stage

from ordersync.model import Verb

CANCELLERS = [(here, there, purse) for here, there, purse in PURSES if here != "office"]
"""Medusa itself refuses to cancel what it has shipped."""


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_the_shipped_order_is_not_cancelled_and_the_cancelled_one_ships_nothing(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    """Both happened between two looks."""
    sale = stage.sale(here, there, pays=purse)
    stage.ship(there, sale, tracking="SF1")
    stage.cancel(here, sale)
    stage.wait(minutes=11)

    assert stage.sync() == [], "the buyer is not paid for a parcel that is on its way to him"
    assert stage.codes() == ["cancel_after_shipping", "shipped_but_cancelled"]
    held = stage.hold("cancel_after_shipping")
    assert held.message == (
        f"{here} was cancelled but {there} is already shipped; "
        "the 100.00 USD given back with the cancel is not refunded there either"
    )
    assert str(held.money) == "100.00 USD"
    assert stage.hold("shipped_but_cancelled").message == f"{there} was shipped but {here} is cancelled"
    assert f"held cancel_after_shipping: {held.message}" in stage.explain(sale)
    stage.wait(days=1)
    assert stage.sync() == []
    assert stage.cancelled(sale) == [here]
    assert stage.shipped(sale) == {here: 0, there: 3}
    assert stage.refunds(sale) == {here: ["100.00"], there: []}
    assert stage.to_buyer(sale) == ("100.00" if purse == here else "0.00")
    assert stage.sent() == []


@pytest.mark.parametrize("here, there, purse", PURSES[:3])
def test_a_person_who_pays_the_buyer_settles_the_money_and_the_cancel_stays_held(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse)
    stage.ship(there, sale)
    stage.cancel(here, sale)
    stage.wait(minutes=11)
    stage.sync()
    stage.refund(there, sale, "100.00", why="the parcel is on its way back")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.hold("cancel_after_shipping").message == f"{here} was cancelled but {there} is already shipped"
    assert stage.refunds(sale) == {here: ["100.00"], there: ["100.00"]}
    assert stage.to_buyer(sale) == "100.00"


@pytest.mark.parametrize("here, there, purse", PURSES[:3])
def test_a_refund_from_before_the_cancel_is_carried_and_only_the_rest_waits(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=5)
    stage.ship(there, sale)
    stage.cancel(here, sale)
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {there} 20.00 USD" + (" TO BUYER" if purse == there else "")]
    assert "the 80.00 USD given back with the cancel" in stage.hold("cancel_after_shipping").message
    assert stage.refunds(sale) == {here: ["20.00", "80.00"], there: ["20.00"]}


@pytest.mark.parametrize("here, there, purse", CANCELLERS)
def test_shipped_everywhere_and_then_cancelled_in_one(stage: Stage, here: str, there: str, purse: str) -> None:
    sale = stage.sale(here, there, pays=purse)
    stage.ship(there, sale, tracking="SF1")
    stage.wait(minutes=11)
    stage.sync()
    assert stage.shipped(sale) == {here: 3, there: 3}
    stage.cancel(here, sale)
    stage.wait(minutes=11)

    stage.sync()
    assert stage.codes() == ["cancel_after_shipping"]
    assert stage.cancelled(sale) == [here]
    assert stage.shipped(sale) == {here: 3, there: 3}, "nothing is taken back"
    assert stage.refunds(sale) == {here: ["100.00"], there: []}
    assert stage.to_buyer(sale) == ("100.00" if purse == here else "0.00")


@pytest.mark.parametrize("here, there", PAIRS)
def test_left_as_it_is_it_stays_so(stage: Stage, here: str, there: str) -> None:
    sale = stage.sale(here, there, pays=here)
    stage.ship(there, sale)
    stage.cancel(here, sale)
    stage.wait(minutes=11)
    stage.sync()

    stage.answer("cancel_after_shipping", Verb.LEAVE, why="the parcel comes back, the order stays")
    stage.answer("shipped_but_cancelled", Verb.LEAVE, why="it was sent from the other shop")
    stage.wait(days=1)
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.cancelled(sale) == [here]
    assert stage.to_buyer(sale) == "100.00"
    assert stage.refunds(sale) == {here: ["100.00"], there: []}, "one answer for the cancel and its money"
    assert "refund 100.00 USD: " in "".join(stage.ledger(sale))
    assert f"{there} waived" in next(line for line in stage.ledger(sale) if line.startswith("refund"))


@pytest.mark.parametrize("here, there", PAIRS)
def test_unpaid_and_shipped_it_is_held_without_any_money(stage: Stage, here: str, there: str) -> None:
    """Cash on delivery: the parcel left, nobody paid yet."""
    sale = stage.sale(here, there, unpaid=[here, there])
    if there == "web":
        stage.admins["web"].box.state.move(sale.orders["web"].order_id, "confirmed")
    stage.ship(there, sale)
    stage.cancel(here, sale)
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert "cancel_after_shipping" in stage.codes()
    assert stage.cancelled(sale) == [here]
    assert stage.sent() == []
