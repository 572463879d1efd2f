"""A shop that does not answer: one of three members is silent for a day.

Money is decided on a fresh look at every member, so the sale waits as a whole, and says for whom. Sales of the other
shops go on. When the shop is back, what happened meanwhile arrives there once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from tests.scenarios.stage import NAMES, Stage

from ordersync.engine.pull import pull
from ordersync.errors import Transient


@pytest.fixture(autouse=True)
def _reads_are_tried_once() -> Iterator[None]:
    """Only so that the silence is not waited for; the patience of reads has tests of its own."""
    stamina.set_testing(True)
    yield
    stamina.set_testing(False)


def read_all(stage: Stage, silent: str) -> None:
    """As `ordersync pull` does: the failure of one shop stops no other."""
    for name, shop in stage.shops.items():
        if name == silent:
            with pytest.raises(Transient):
                pull(stage.store, shop, read_from=stage.store.birth_at, now=stage.clock())
        else:
            pull(stage.store, shop, read_from=stage.store.birth_at, now=stage.clock())


@pytest.mark.parametrize("silent", NAMES)
def test_a_silent_member_holds_up_its_own_sales_and_gets_each_refund_once_when_it_is_back(
    stage: Stage, silent: str
) -> None:
    here, third = (name for name in NAMES if name != silent)
    first = stage.sale(*NAMES, pays=silent)
    second = stage.sale(*NAMES, pays=silent)
    elsewhere = stage.sale(here, third, pays=third)
    stage.silence(silent)
    for sale in (first, second, elsewhere):
        stage.refund(here, sale, "20.00")
    stage.wait(hours=24)
    read_all(stage, silent)
    report = stage.apply()

    assert [stage.told(one.action) for one in report.results] == [f"refund {third}#3 20.00 USD TO BUYER"]
    assert [link for link, _ in report.left] == ["L1", "L2"]
    left = [stage.plain(why) for _, why in report.left]
    assert left[0].startswith(f"{silent}: fetch")
    assert left[1].startswith(f"shop {silent} does not answer: "), "it is not waited for at each of its sales"
    assert stage.refunds(first) == {name: (["20.00"] if name == here else []) for name in NAMES}, (
        "the third member waits too: nobody knows what happened in the silent one"
    )
    assert not [sent for sent in stage.sent() if sent.startswith(silent)]
    assert f"refund {silent} 20.00 USD TO BUYER" in stage.plan(), "it is still due, and plan says so"

    stage.speak(silent)
    assert len(stage.sync()) == 4
    for sale in (first, second):
        assert stage.refunds(sale) == {name: ["20.00"] for name in NAMES}
        assert stage.to_buyer(sale) == "20.00"
    assert stage.refunds(elsewhere) == {here: ["20.00"], third: ["20.00"]}
    assert stage.to_buyer(elsewhere) == "20.00"
    assert stage.codes() == []
    assert stage.sync() == []


@pytest.mark.parametrize("silent", NAMES)
def test_what_was_done_by_hand_in_the_silence_is_not_done_again(stage: Stage, silent: str) -> None:
    """Somebody did not wait: the same refund was made in the silent shop's admin, which ordersync could not see."""
    here, third = (name for name in NAMES if name != silent)
    sale = stage.sale(*NAMES, pays=silent)
    stage.silence(silent)
    stage.refund(here, sale, "20.00")
    stage.refund(silent, sale, "20.00", why="did not want to wait")
    stage.wait(hours=1)
    read_all(stage, silent)
    assert [link for link, _ in stage.apply().left] == ["L1"]
    assert stage.sent() == []

    stage.speak(silent)
    assert stage.sync() == [f"refund {third} 20.00 USD"]
    assert stage.refunds(sale) == {name: ["20.00"] for name in NAMES}
    assert stage.to_buyer(sale) == "20.00"
    assert stage.codes() == []
