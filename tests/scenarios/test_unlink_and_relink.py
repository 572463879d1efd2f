"""Unlinked and linked again: somebody takes a link apart and thinks better of it.

What was written to an order stays written: the journal and its keys outlive the link, and our marks are read again.
What happened while the two were apart is carried if it is younger than two days, else a person is asked.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, Stage

from ordersync.errors import Held
from ordersync.model import ActionState

BOTH_WAYS = [*PAIRS, *((other, one) for one, other in PAIRS)]


@pytest.mark.parametrize("here, purse", BOTH_WAYS)
def test_nothing_is_done_twice_however_often_a_sale_is_linked(stage: Stage, here: str, purse: str) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.ship(purse, sale, "SF100", TEE_M=1)
    stage.wait(minutes=11)
    assert f"refund {purse} 20.00 USD TO BUYER" in stage.sync()
    sent = stage.sent()
    for _ in range(2):
        stage.unlink(sale)
        assert stage.sync() == []
        stage.link(*sale.orders.values())
        assert stage.sync() == []
    assert stage.sent() == sent
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00"], purse: ["20.00"]}
    assert stage.shipped(sale) == {here: 1, purse: 1}
    assert stage.to_buyer(sale) == "20.00"
    assert "L3 made by hand" in stage.explain(sale)
    assert f"refund {purse} 20.00 USD: read back" in stage.explain(sale), "what was done under the first link"


@pytest.mark.parametrize("here, purse", BOTH_WAYS)
def test_what_happened_while_apart_is_carried_while_it_is_fresh(stage: Stage, here: str, purse: str) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()
    stage.unlink(sale)
    stage.refund(here, sale, "30.00")
    stage.wait(hours=3)
    assert stage.sync() == [], "apart, nothing is carried"
    assert stage.to_buyer(sale) == "20.00"
    stage.link(*sale.orders.values())
    assert stage.sync() == [f"refund {purse} 30.00 USD TO BUYER"]
    stage.unlink(sale)
    stage.refund(here, sale, "5.00")
    day = f"{stage.clock():%Y-%m-%d}"
    stage.wait(hours=49)
    stage.link(*sale.orders.values())
    assert stage.sync() == []
    assert stage.codes() == ["differs_at_link"]
    assert stage.hold("differs_at_link").message == (
        f"{here} was refunded 5.00 USD on {day} and {purse} was not; old differences are not carried without you"
    )
    assert stage.refunds(sale) == {here: ["20.00", "30.00", "5.00"], purse: ["20.00", "30.00"]}
    assert stage.to_buyer(sale) == "50.00"


@pytest.mark.parametrize("here, purse", PAIRS)
def test_a_link_with_a_write_that_does_not_show_yet_stays(stage: Stage, here: str, purse: str) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.show_only(purse, stage.photo(purse))
    stage.pull()
    assert [result.state for result in stage.apply().results] == [ActionState.RECEIPTED]
    with pytest.raises(Held) as refused:
        stage.unlink(sale)
    assert refused.value.code == "write_open"
    stage.show_all(purse)
    stage.sweep()
    assert stage.sync() == []
    stage.unlink(sale)
    stage.link(*sale.orders.values())
    assert stage.sync() == []
    assert stage.to_buyer(sale) == "20.00"


@pytest.mark.parametrize("here, purse", PAIRS)
def test_the_journal_of_the_old_link_still_counts_when_a_shop_shows_an_old_state(
    stage: Stage, here: str, purse: str
) -> None:
    """A restored replica at the platform: our refund was there and is not; the new link knows it was made."""
    sale = stage.sale(here, purse, pays=purse)
    before = stage.photo(purse)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {purse} 20.00 USD TO BUYER"]
    stage.unlink(sale)
    stage.show_only(purse, before)
    stage.link(*sale.orders.values())
    stage.sweep()
    assert stage.sync() == []
    assert stage.codes() == ["refund_went_back"]
    assert stage.hold("refund_went_back").message == (f"{purse} showed the refund of 20.00 USD and no longer does")
    assert stage.to_buyer(sale) == "20.00", "not sent again"
    stage.show_all(purse)
    stage.sweep()
    assert stage.sync() == []
    assert stage.refunds(sale) == {here: ["20.00"], purse: ["20.00"]}
