"""An unpaid mirror later marked paid: the sale was paid in one shop, and its copy in the other never was.

Given a sale of 100.00, paid here and unpaid there. A refund cannot be made where nothing was paid; when somebody
later marks the mirror as paid, the old refund must not come up and be paid out by itself.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, PURSES, Stage

from ordersync.model import Verb


@pytest.mark.parametrize("here, there, purse", PURSES[:3])
def test_a_refund_cannot_be_made_where_nothing_was_paid(stage: Stage, here: str, there: str, purse: str) -> None:
    sale = stage.sale(here, there, pays=purse, unpaid=[there])
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == [], "nobody can do anything about it"
    assert f"skipped: {there} refund 20.00 USD: cannot, nothing_captured" in stage.explain(sale)
    assert f"{there} cannot" in stage.ledger(sale)[0]
    assert stage.sent() == []


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_marked_paid_later_it_asks_and_pays_once_when_told_to(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse, unpaid=[there])
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()

    stage.mark_paid(there, sale)
    stage.wait(minutes=11)
    assert stage.sync() == []
    assert stage.codes() == ["now_possible"]
    assert stage.hold("now_possible").message == (
        f"{there} could not take the refund of 20.00 USD before and now could"
    )
    stage.wait(hours=12)
    assert stage.sync() == [], "it asks, however long it takes"
    assert stage.refunds(sale) == {here: ["20.00"], there: []}

    stage.answer("now_possible", Verb.APPROVE)
    assert stage.sync() == [f"refund {there} 20.00 USD" + (" TO BUYER" if purse == there else "")]
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"
    assert len(stage.sent()) == 1


@pytest.mark.parametrize("here, there, purse", PURSES[3:])
def test_marked_paid_and_left_it_never_pays(stage: Stage, here: str, there: str, purse: str) -> None:
    sale = stage.sale(here, there, pays=purse, unpaid=[there])
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()
    stage.mark_paid(there, sale)
    stage.sync()
    stage.answer("now_possible", Verb.LEAVE, why="the mirror took 80.00 only")

    stage.wait(days=1)
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00"], there: []}
    assert stage.sent() == []


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_refund_after_it_was_marked_paid_is_an_ordinary_one(stage: Stage, here: str, there: str) -> None:
    sale = stage.sale(here, there, pays=there, unpaid=[there])
    stage.sync()
    stage.mark_paid(there, sale)
    stage.sync()
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {there} 20.00 USD TO BUYER"]
    assert stage.codes() == []
    assert stage.to_buyer(sale) == "20.00"
