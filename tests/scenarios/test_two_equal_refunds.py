"""Two genuine equal refunds: 20.00 for a late delivery on Monday, 20.00 for a scratch on Wednesday.

Given a sale of 100.00 in two shops. Equal is not the same: refunds days apart are two, and each is carried once, to
whichever side holds the purse.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, PURSES, Stage


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_equal_refunds_two_days_apart_are_both_carried(stage: Stage, here: str, there: str, purse: str) -> None:
    sale = stage.sale(here, there, pays=purse)
    to_buyer = " TO BUYER" if purse == there else ""
    stage.refund(here, sale, "20.00", why="late delivery")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {there} 20.00 USD{to_buyer}"]

    stage.wait(days=2)
    stage.refund(here, sale, "20.00", why="a scratch")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {there} 20.00 USD{to_buyer}"]

    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00", "20.00"], there: ["20.00", "20.00"]}
    assert stage.to_buyer(sale) == "40.00"
    assert len(stage.sent()) == 2


@pytest.mark.parametrize("here, there", PAIRS)
def test_both_found_in_one_look_are_still_two(stage: Stage, here: str, there: str) -> None:
    """ordersync did not look for two days."""
    sale = stage.sale(here, there, pays=there)
    stage.refund(here, sale, "20.00")
    stage.wait(days=1, hours=2)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {there} 20.00 USD TO BUYER"] * 2
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00", "20.00"], there: ["20.00", "20.00"]}
    assert stage.to_buyer(sale) == "40.00"


@pytest.mark.parametrize("here, there", PAIRS)
def test_one_made_here_and_later_another_there_are_two(stage: Stage, here: str, there: str) -> None:
    """Once the first is settled on both sides, an equal one on the other side is a new refund."""
    sale = stage.sale(here, there, pays=here)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()
    stage.wait(days=2)
    stage.refund(there, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {here} 20.00 USD TO BUYER"]
    assert stage.refunds(sale) == {here: ["20.00", "20.00"], there: ["20.00", "20.00"]}
    assert stage.to_buyer(sale) == "40.00"
