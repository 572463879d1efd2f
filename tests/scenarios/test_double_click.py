"""A double click: somebody presses Refund twice in one shop, and two refunds of 20.00 are made within seconds.

Given a sale of 100.00 in two shops and one purse. Where the copies would come out of the purse, a person decides
each of them; where they only mark, the books follow the shop's own list.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import BOTH_WAYS, PAIRS, Stage

from ordersync.model import Verb


@pytest.mark.parametrize("here, purse", BOTH_WAYS)
def test_what_was_clicked_twice_on_the_books_pays_nobody_until_a_person_says_so(
    stage: Stage, here: str, purse: str
) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == ["looks_like_repeat", "looks_like_repeat"], "nobody knows which of the two was meant"
    assert stage.hold("looks_like_repeat").message == (
        f"{here} shows 20.00 USD twice within a day; a double click would look the same"
    )
    assert f"held looks_like_repeat: {here} shows 20.00 USD twice within a day" in stage.explain(sale)
    stage.wait(hours=30)
    assert stage.sync() == [], "it does not expire by itself"
    assert stage.to_buyer(sale) == "0.00"

    stage.answer("looks_like_repeat", Verb.APPROVE)
    assert stage.sync() == [f"refund {purse} 20.00 USD TO BUYER"]
    stage.answer("looks_like_repeat", Verb.LEAVE, why="clicked twice")
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00", "20.00"], purse: ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"


@pytest.mark.parametrize("purse, books", PAIRS)
def test_what_was_paid_twice_is_marked_twice_in_the_books(stage: Stage, purse: str, books: str) -> None:
    """The money has gone, and the books must say so; nothing more reaches the buyer."""
    sale = stage.sale(purse, books, pays=purse)
    stage.refund(purse, sale, "20.00")
    stage.refund(purse, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {books} 20.00 USD", f"refund {books} 20.00 USD"]
    assert stage.codes() == []
    assert stage.refunds(sale) == {purse: ["20.00", "20.00"], books: ["20.00", "20.00"]}
    assert stage.to_buyer(sale) == "40.00", "what was clicked, and not a cent more"
