"""The same refund by hand on both sides: support refunds the buyer in one shop and marks it in the other as well.

Given a sale of 100.00, paid into one purse. Agreement is not conflict: what both shops show is settled, however it
came about, and a third shop is told once.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PURSES, Stage


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_equal_refunds_on_both_sides_are_one_refund_and_nothing_is_written(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse)
    stage.refund(here, sale, "20.00", why="late delivery")
    stage.wait(minutes=3)
    stage.refund(there, sale, "20.00", why="as agreed on the phone")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.ledger(sale) == [
        f"refund 20.00 USD: {', '.join(f'{shop} present' for shop in sorted((here, there)))}"
    ]
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"
    assert stage.sent() == []
    stage.wait(days=2)
    assert stage.sync() == [], "and it stays so"


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_a_copy_by_hand_before_ours_is_due_is_found_and_not_made_again(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    """ordersync saw the first one and was about to carry it; a person was quicker."""
    sale = stage.sale(here, there, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.pull()
    stage.plan()
    stage.refund(there, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.apply().results == [], "the apply looks again before it writes"
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"


@pytest.mark.parametrize("purse", ["asia", "office", "web"])
def test_a_third_shop_is_told_once(stage: Stage, purse: str) -> None:
    sale = stage.sale("asia", "office", "web", pays=purse)
    first, second, third = sorted(sale.orders, key=lambda shop: shop != purse)
    stage.refund(first, sale, "20.00")
    stage.refund(second, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {third} 20.00 USD"]
    assert stage.codes() == []
    assert stage.refunds(sale) == {shop: ["20.00"] for shop in sale.orders}
    assert stage.to_buyer(sale) == "20.00"


def test_when_the_third_shop_is_the_purse_the_buyer_is_paid_once_for_two_marks(stage: Stage) -> None:
    sale = stage.sale("asia", "office", "web", pays="asia")
    stage.refund("office", sale, "20.00")
    stage.refund("web", sale, "20.00")

    assert stage.sync() == [], "ten minutes are given to a refund that is not visible yet"
    assert stage.waits(sale) == ["asia carry_after"]
    stage.wait(minutes=11)
    assert stage.sync() == ["refund asia 20.00 USD TO BUYER"]
    assert stage.refunds(sale) == {"asia": ["20.00"], "office": ["20.00"], "web": ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"
