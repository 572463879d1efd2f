"""Old facts after a long pause: ordersync stood still for days, and finds what happened meanwhile.

People did not wait: much of it was settled by hand, on the phone, in cash. So nothing older than three days is
carried without a person; what happened since is. One is approved, another is left.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, Stage

from ordersync.model import Verb

BOTH_WAYS = [*PAIRS, *((other, one) for one, other in PAIRS)]


@pytest.mark.parametrize("here, purse", BOTH_WAYS)
def test_old_refunds_wait_for_a_person_and_a_new_one_does_not(stage: Stage, here: str, purse: str) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.refund(here, sale, "30.00")
    day = f"{stage.clock():%Y-%m-%d}"
    stage.wait(days=4)
    stage.refund(here, sale, "10.00")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {purse} 10.00 USD TO BUYER"]
    assert stage.codes() == ["old_fact", "old_fact"]
    assert stage.hold("old_fact", "20.00").message == (
        f"{here} was refunded 20.00 USD on {day} and {purse} was not; old differences are not carried without you"
    )
    assert f"held old_fact: {here} was refunded 30.00 USD on {day}" in stage.explain(sale)
    assert stage.to_buyer(sale) == "10.00"

    stage.answer("old_fact", Verb.APPROVE, about="20.00")
    stage.answer("old_fact", Verb.LEAVE, about="30.00", why="paid in cash")
    assert stage.sync() == [f"refund {purse} 20.00 USD TO BUYER"]
    stage.wait(days=30)
    assert stage.sync() == [], "what was left stays left"
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00", "30.00", "10.00"], purse: ["10.00", "20.00"]}
    assert stage.to_buyer(sale) == "30.00", "the new one and the approved one, each once"
    assert "paid in cash" in stage.explain(sale), "and who asks later is told why"


@pytest.mark.parametrize("here, there", PAIRS)
def test_old_cancellations_are_not_replayed(stage: Stage, here: str, there: str) -> None:
    wanted = stage.sale(here, there, unpaid=(here, there))
    unwanted = stage.sale(here, there, unpaid=(here, there))
    stage.cancel(here, wanted)
    stage.cancel(here, unwanted)
    stage.wait(days=5)

    assert stage.sync() == []
    assert stage.codes() == ["old_fact", "old_fact"]
    stage.answer("old_fact", Verb.APPROVE, about=f"{here} was")
    stage.answer("old_fact", Verb.LEAVE, about=f"{here}#2 was", why="ordered again by phone")
    assert stage.sync() == [f"cancel {there}"]
    assert stage.cancelled(wanted) == [here, there]
    assert stage.cancelled(unwanted) == [here]
    stage.wait(days=5)
    assert stage.sync() == []
    assert stage.codes() == []


@pytest.mark.parametrize("here, there", PAIRS)
def test_old_parcels_do_not_leave_a_second_time(stage: Stage, here: str, there: str) -> None:
    sale = stage.sale(here, there)
    stage.ship(here, sale, "SF100", TEE_M=2)
    stage.wait(days=4)
    stage.ship(here, sale, "SF200", LAMP_01=1)
    stage.wait(minutes=11)

    done = stage.sync()
    assert done[-1] == f"ship {there}"
    assert stage.shipped(sale) == {here: 3, there: 1}, "the new parcel goes, the old one waits"
    assert stage.codes() == ["old_fact"]
    stage.answer("old_fact", Verb.APPROVE)
    assert stage.sync()[-1] == f"ship {there}"
    assert stage.shipped(sale) == {here: 3, there: 3}
    assert stage.codes() == []


@pytest.mark.parametrize("here, purse", PAIRS)
def test_a_weekend_is_no_long_pause(stage: Stage, here: str, purse: str) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.wait(hours=71)
    assert stage.sync() == [f"refund {purse} 20.00 USD TO BUYER"]
    assert stage.codes() == []
    assert stage.to_buyer(sale) == "20.00"
