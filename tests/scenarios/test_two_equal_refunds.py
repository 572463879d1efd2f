"""Two genuine equal refunds: 20.00 for a late delivery on Monday, 20.00 for a scratch on Wednesday.

Given a sale of 100.00 in two shops. Equal is not the same: refunds days apart are two, and each is carried once, to
whichever side holds the purse.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, PURSES, Stage

from ordersync.testing.sales import SaleLine

MUG_AND_TEA = (SaleLine("MUG-01", "Mug", 1, 3000), SaleLine("TEA-GRN", "Green Tea", 1, 3000))


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


@pytest.mark.parametrize("here, there", [("asia", "office"), ("web", "asia")])
def test_equal_refunds_of_different_goods_on_one_day_are_no_double_click(
    stage: Stage, here: str, there: str
) -> None:
    sale = stage.sale(here, there, pays=there, lines=MUG_AND_TEA)
    stage.refund(here, sale, "30.00", MUG_01=1)
    stage.refund(here, sale, "30.00", TEA_GRN=1)
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {there} 30.00 USD TO BUYER"] * 2
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["30.00", "30.00"], there: ["30.00", "30.00"]}
    assert stage.to_buyer(sale) == "60.00"


@pytest.mark.parametrize("here, there", [("asia", "office"), ("web", "asia")])
def test_two_of_the_same_goods_on_one_day_might_be_one(stage: Stage, here: str, there: str) -> None:
    """Two shirts were sold, and one shirt was refunded twice: both shirts, or one and a double click."""
    sale = stage.sale(here, there, pays=there)
    stage.refund(here, sale, "30.00", TEE_M=1)
    stage.refund(here, sale, "30.00", TEE_M=1)
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == ["looks_like_repeat", "looks_like_repeat"]
    assert stage.to_buyer(sale) == "0.00"
