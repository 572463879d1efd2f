"""100 against payments of 60 and 40: the buyer paid in two parts in one shop, and the other refunds it all in one.

Given a sale of 100.00, paid whole here and as 60.00 + 40.00 there. A refund belongs to one payment, and ordersync
does not split one silently: a person makes the parts, however slowly, and that is the end of it.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, PURSES, Stage

PARTS = ("60.00", "40.00")


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_one_refund_is_not_split_and_a_person_who_makes_the_parts_ends_it(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse, payments={there: PARTS})
    stage.refund(here, sale, "100.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == ["split_over_payments"]
    assert stage.hold("split_over_payments").message == (
        f"{there} was paid in 2 parts and no single one of them can take the refund of 100.00 USD"
    )
    stage.refund(there, sale, "60.00")
    stage.wait(minutes=11)
    assert stage.sync() == [], "half of it is not yet the same"
    assert "ambiguous_refund" in stage.codes()
    stage.refund(there, sale, "40.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == [], "100.00 here and 100.00 there"
    assert len(stage.ledger(sale)) == 1
    assert stage.refunds(sale) == {here: ["100.00"], there: ["60.00", "40.00"]}
    assert stage.to_buyer(sale) == "100.00"
    assert stage.sent() == []
    stage.wait(days=1)
    assert stage.sync() == []
    assert "held" not in stage.explain(sale)


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_whole_here_and_in_parts_there_between_two_looks_is_one_refund(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse, payments={there: PARTS})
    stage.refund(here, sale, "100.00")
    stage.refund(there, sale, "60.00")
    stage.refund(there, sale, "40.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.to_buyer(sale) == "100.00"
    assert stage.sent() == []


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_refunds_of_the_parts_are_carried_one_by_one(stage: Stage, here: str, there: str, purse: str) -> None:
    """Refunded in two parts where it was paid in two parts; the other shop has one payment and takes both."""
    sale = stage.sale(here, there, pays=purse, payments={here: PARTS})
    stage.refund(here, sale, "60.00")
    stage.refund(here, sale, "40.00")
    stage.wait(minutes=11)

    to_buyer = " TO BUYER" if purse == there else ""
    assert stage.sync() == [f"refund {there} 60.00 USD{to_buyer}", f"refund {there} 40.00 USD{to_buyer}"]
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["60.00", "40.00"], there: ["60.00", "40.00"]}
    assert stage.to_buyer(sale) == "100.00"


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_refund_that_fits_one_payment_takes_that_one(stage: Stage, here: str, there: str) -> None:
    sale = stage.sale(here, there, pays=there, payments={there: PARTS})
    stage.refund(here, sale, "55.00")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {there} 55.00 USD TO BUYER"]
    assert stage.codes() == []
    assert stage.to_buyer(sale) == "55.00"


@pytest.mark.parametrize("purse", ["asia", "web"])
def test_a_third_shop_gets_the_whole_once(stage: Stage, purse: str) -> None:
    sale = stage.sale("asia", "office", "web", pays=purse, payments={"office": PARTS})
    stage.refund("asia", sale, "100.00")
    stage.refund("office", sale, "60.00")
    stage.refund("office", sale, "40.00")
    stage.wait(minutes=11)

    assert stage.sync() == ["refund web 100.00 USD" + (" TO BUYER" if purse == "web" else "")]
    assert stage.codes() == []
    assert stage.refunds(sale) == {"asia": ["100.00"], "office": ["60.00", "40.00"], "web": ["100.00"]}
    assert stage.to_buyer(sale) == "100.00"
