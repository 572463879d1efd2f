"""A mirror with tax added: 100.00 in one shop, 108.25 in the other, because the second adds its own sales tax.

Given two orders that a person linked although their totals differ. 20.00 here need not be 20.00 there: until a person
says how to compare them, no money moves on either side, and everything else goes on.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, Stage

from ordersync.model import Verb

TAXED = [(here, there, purse) for here, there in PAIRS for purse in (here, there)]


def said(here: str, there: str) -> str:
    amounts = {here: "100.00 USD", there: "108.25 USD"}
    told = ", ".join(f"{shop} {amounts[shop]}" for shop in sorted(amounts))
    return f"members were charged different totals: {told}"


@pytest.mark.parametrize("here, there, purse", TAXED)
def test_a_refund_is_held_and_nothing_is_written(stage: Stage, here: str, there: str, purse: str) -> None:
    sale = stage.sale(here, there, pays=purse, tax={there: "8.25"})
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == ["different_totals"]
    assert stage.hold("different_totals").message == said(here, there)
    assert said(here, there) in stage.explain(sale)
    assert stage.refunds(sale) == {here: ["20.00"], there: []}
    assert stage.sent() == []


@pytest.mark.parametrize("here, there, purse", TAXED)
def test_a_whole_cancelled_sale_is_held_too(stage: Stage, here: str, there: str, purse: str) -> None:
    """The other shop's cancel would give back 108.25 by itself."""
    sale = stage.sale(here, there, pays=purse, tax={there: "8.25"})
    stage.cancel(here, sale)
    stage.wait(hours=2)

    assert stage.sync() == []
    assert stage.codes() == ["different_totals"]
    assert stage.cancelled(sale) == [here]
    assert stage.refunds(sale) == {here: ["100.00"], there: []}
    assert stage.sent() == []


@pytest.mark.parametrize("here, there", PAIRS)
def test_without_money_the_totals_do_not_matter(stage: Stage, here: str, there: str) -> None:
    sale = stage.sale(here, there, pays=here, tax={there: "8.25"})
    stage.ship(here, sale, tracking="SF1")
    stage.wait(minutes=11)

    assert len(stage.sync()) > 0
    assert stage.codes() == []
    assert stage.shipped(sale) == {here: 3, there: 3}
    assert stage.to_buyer(sale) == "0.00"


@pytest.mark.parametrize("here, there, purse", TAXED[::3])
def test_once_a_person_chose_to_compare_them_as_they_are_it_is_carried_once(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse, tax={there: "8.25"})
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()

    stage.answer("different_totals", Verb.COMPARE, why="the tax stays with the buyer")
    assert stage.sync() == [f"refund {there} 20.00 USD" + (" TO BUYER" if purse == there else "")]
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"
