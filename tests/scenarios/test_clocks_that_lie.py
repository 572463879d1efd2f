"""Clocks: the platform's is half a day off, or our machine's was wrong and is put right between two looks.

Observations are ordered by our own clock and facts are dated by the platform's. Neither may let a refund be made
twice, and none may let an order fall out of sight without a word.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import pytest
from tests.scenarios.stage import PAIRS, Stage

from ordersync.engine.observe import observe
from ordersync.model import ActionState

HALF_A_DAY = timedelta(hours=14)


class MachineClock:
    """The clock of this machine, as far as looks at orders are dated by it."""

    ahead = timedelta(0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> MachineClock:
    clock = MachineClock()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain datetime will do
            return datetime.now(tz) + clock.ahead

    for module in ("http", "store.orders", "engine.observe"):
        monkeypatch.setattr(f"ordersync.{module}.datetime", Shifted)
    return clock


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_look_dated_ahead_of_time_does_not_hide_what_a_person_refunded_since(
    stage: Stage, machine: MachineClock, here: str, there: str
) -> None:
    """The machine's clock was three hours ahead at the last look at one shop, and is put right. A person refunds on
    both sides: the look after that is the newer one, whatever the clock said before."""
    sale = stage.sale(here, there, pays=there)
    machine.ahead = timedelta(hours=3)
    observe(stage.store, stage.shops[there], sale.orders[there].order_id)
    machine.ahead = timedelta(0)
    stage.refund(here, sale, "20.00")
    stage.refund(there, sale, "20.00", why="by hand as well")
    stage.wait(minutes=15)

    assert stage.sync() == []
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}
    assert stage.codes() == []


@pytest.mark.parametrize("here, there", PAIRS)
@pytest.mark.parametrize("back", [timedelta(seconds=5), HALF_A_DAY], ids=["5 s", "14 h"])
def test_a_clock_put_back_between_the_last_look_and_the_read_back_changes_nothing(
    stage: Stage, machine: MachineClock, here: str, there: str, back: timedelta
) -> None:
    sale = stage.sale(here, there, pays=there)
    machine.ahead = back
    stage.pull()
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=15)
    stage.pull()
    machine.ahead = timedelta(0)

    (result,) = stage.apply().results
    assert result.state is ActionState.SEEN
    assert stage.sync() == []
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}
    assert stage.codes() == []
