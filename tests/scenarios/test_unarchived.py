"""Taken out of the archive: a SHOPLINE order was archived, something happened elsewhere, and it comes back.

An archived order is not cancelled by ordersync: somebody put it away on purpose. Archiving may or may not move the
order's time, so it may be seen only by the daily look at every linked order. Back in the list, it gets what it
missed, once.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import Stage

from ordersync.model import Verb

OTHERS = ("office", "web")
MOVES = pytest.mark.parametrize(
    "moves", [True, False], ids=["archiving is seen at once", "only the daily look sees it"]
)


def archive(stage: Stage, order_id: str, *, hidden: bool) -> None:
    stage.wait(minutes=1)
    stage.admins["asia"].box.archive(order_id, hidden=hidden)


@MOVES
@pytest.mark.parametrize("other", OTHERS)
def test_a_cancel_waits_for_the_archived_order_and_reaches_it_once(stage: Stage, other: str, moves: bool) -> None:
    stage.admins["asia"].box.unknowns.archive_moves_updated_at = moves
    sale = stage.sale("asia", other, unpaid=("asia", other))
    order_id = sale.orders["asia"].order_id
    archive(stage, order_id, hidden=True)
    stage.cancel(other, sale)
    stage.wait(minutes=11)
    stage.pull()
    stage.apply()
    assert stage.cancelled(sale) == [other]
    assert stage.codes() == ["cancel_archived"]
    assert stage.hold("cancel_archived").message == f"{other} was cancelled but asia is archived"
    assert f"held cancel_archived: {other} was cancelled but asia is archived" in stage.explain(sale)
    stage.sweep()
    assert stage.sync() == []
    assert stage.sent() == []

    archive(stage, order_id, hidden=False)
    if not moves:
        assert stage.sync() == []
        assert stage.codes() == ["cancel_archived"], "nothing in the shop's lists told of it"
        stage.sweep()
    assert stage.sync() == ["cancel asia"]
    assert sorted(stage.cancelled(sale)) == sorted(["asia", other])
    assert stage.codes() == []
    archive(stage, order_id, hidden=True)
    archive(stage, order_id, hidden=False)
    stage.sweep()
    assert stage.sync() == []
    assert stage.cancelled(sale).count("asia") == 1


@pytest.mark.parametrize("other", OTHERS)
def test_a_person_who_took_it_out_of_the_archive_need_not_wait_for_the_daily_look(
    stage: Stage, other: str
) -> None:
    sale = stage.sale("asia", other, unpaid=("asia", other))
    order_id = sale.orders["asia"].order_id
    archive(stage, order_id, hidden=True)
    stage.cancel(other, sale)
    stage.wait(minutes=11)
    stage.pull()
    stage.apply()
    assert not stage.answer("cancel_archived", Verb.LOOK).closed
    archive(stage, order_id, hidden=False)
    assert stage.answer("cancel_archived", Verb.LOOK).closed
    assert stage.sync() == ["cancel asia"]
    assert sorted(stage.cancelled(sale)) == sorted(["asia", other])


@MOVES
@pytest.mark.parametrize("other", OTHERS)
def test_money_goes_on_while_it_is_archived_and_is_not_paid_again_when_it_is_back(
    stage: Stage, other: str, moves: bool
) -> None:
    stage.admins["asia"].box.unknowns.archive_moves_updated_at = moves
    sale = stage.sale("asia", other, pays="asia")
    order_id = sale.orders["asia"].order_id
    archive(stage, order_id, hidden=True)
    stage.refund(other, sale, "20.00")
    stage.wait(minutes=11)
    assert stage.sync() == ["refund asia 20.00 USD TO BUYER"]
    stage.wait(days=1)
    stage.sweep()
    assert stage.sync() == []
    assert stage.codes() == [], "an archived order has not vanished"

    archive(stage, order_id, hidden=False)
    stage.sweep()
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.refunds(sale) == {"asia": ["20.00"], other: ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"
