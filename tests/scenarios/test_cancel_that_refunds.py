"""A cancel that refunds by itself: the platforms give back what was captured when a paid order is cancelled.

Given a paid sale of 100.00 in two shops. The money and the cancel are carried one after the other, the refund first,
so that the second shop's cancel finds nothing left to give back: 100.00 in all, whoever is cancelled first.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import BOTH_WAYS, PAIRS, Stage


@pytest.mark.parametrize("here, books", PAIRS)
def test_cancelled_where_the_money_is_the_books_follow_at_once(stage: Stage, here: str, books: str) -> None:
    sale = stage.sale(here, books, pays=here)
    stage.cancel(here, sale)

    assert stage.sync() == [f"refund {books} 100.00 USD", f"cancel {books}"]
    assert stage.codes() == []
    assert stage.cancelled(sale) == [here, books]
    assert stage.refunds(sale) == {here: ["100.00"], books: ["100.00"]}
    assert stage.to_buyer(sale) == "100.00"
    stage.wait(days=1)
    assert stage.sync() == []
    assert len(stage.sent()) == 2


@pytest.mark.parametrize("here, purse", BOTH_WAYS)
def test_cancelled_in_the_books_the_buyer_is_paid_once_and_the_cancel_waits_for_it(
    stage: Stage, here: str, purse: str
) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.cancel(here, sale)

    assert stage.sync() == []
    assert stage.waits(sale) == [f"{purse} carry_after", f"{purse} money_not_back"]
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {purse} 100.00 USD TO BUYER", f"cancel {purse}"]
    assert stage.codes() == []
    assert stage.cancelled(sale) == [here, purse]
    assert stage.refunds(sale) == {here: ["100.00"], purse: ["100.00"]}
    assert stage.to_buyer(sale) == "100.00", "the cancel found nothing left to give back"
    stage.wait(days=1)
    assert stage.sync() == []


@pytest.mark.parametrize("here, purse", PAIRS)
def test_after_a_partial_refund_only_the_rest_goes_back(stage: Stage, here: str, purse: str) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "30.00")
    stage.wait(minutes=11)
    stage.sync()
    stage.cancel(here, sale)
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {purse} 70.00 USD TO BUYER", f"cancel {purse}"]
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["30.00", "70.00"], purse: ["30.00", "70.00"]}
    assert stage.to_buyer(sale) == "100.00"


@pytest.mark.parametrize("purse", ["asia", "office", "web"])
def test_three_shops_are_cancelled_and_one_of_them_pays(stage: Stage, purse: str) -> None:
    sale = stage.sale("asia", "office", "web", pays=purse)
    stage.cancel("web", sale)
    stage.sync()
    stage.wait(minutes=11)
    stage.sync()

    assert stage.codes() == []
    assert stage.cancelled(sale) == ["asia", "office", "web"]
    assert stage.refunds(sale) == {shop: ["100.00"] for shop in sale.orders}
    assert stage.to_buyer(sale) == "100.00"
    assert len(stage.sent()) == 4


@pytest.mark.parametrize("here, there", PAIRS)
def test_cancelled_by_hand_on_both_sides_it_is_settled(stage: Stage, here: str, there: str) -> None:
    """With one purse; each shop gave back its own 100.00, and only one of them was money."""
    sale = stage.sale(here, there, pays=here)
    stage.cancel(here, sale)
    stage.cancel(there, sale)
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.to_buyer(sale) == "100.00"
    assert stage.sent() == []


@pytest.mark.parametrize("purse", ["asia", "office"])
def test_a_cancel_that_gave_nothing_back_does_not_set_off_one_that_would(stage: Stage, purse: str) -> None:
    """Where web's cancel leaves the money alone, a person says what becomes of it."""
    stage.admins["web"].box.unknowns.cancel_refunds = "none"
    sale = stage.sale("web", purse, pays=purse)
    stage.cancel("web", sale)
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.waits(sale) == [f"{purse} money_not_back"]
    stage.wait(hours=1)
    assert stage.sync() == []
    assert stage.codes() == ["money_not_back"]
    assert stage.hold("money_not_back").message == (
        f"web was cancelled, but 100.00 USD of {purse} is not refunded; a cancel there could pay the buyer"
    )
    assert stage.cancelled(sale) == ["web"]
    assert stage.to_buyer(sale) == "0.00"

    stage.refund(purse, sale, "100.00", why="order cancelled")
    stage.wait(minutes=11)
    done = stage.sync()
    assert f"cancel {purse}" in done, "then the cancel follows by itself"
    assert stage.to_buyer(sale) == "100.00"
