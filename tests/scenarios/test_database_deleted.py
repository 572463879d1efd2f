"""The database is deleted: everything is read again, linked again, and nothing is written again.

Our marks in the shops' own records say what was done. What was written a moment ago and does not show yet is older
than the new database, and what is older is not carried without a person.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import NAMES, PAIRS, Stage

from ordersync.model import ActionState, Verb
from ordersync.reconcile.rules import LinkRule

BOTH_WAYS = [*PAIRS, *((other, one) for one, other in PAIRS)]
KEY = "external_id"
RULES = [LinkRule(source=shop, field=f"metadata.{KEY}", to_shop="asia") for shop in ("office", "web")]


@pytest.mark.parametrize(
    "log_too", [False, True], ids=["the log of sends is left", "the log of sends is lost too"]
)
@pytest.mark.parametrize("purse", NAMES)
def test_a_new_database_finds_everything_done_and_writes_nothing(stage: Stage, purse: str, log_too: bool) -> None:
    sales = []
    for number in range(1001, 1004):
        written = {shop: {KEY: str(number)} for shop in ("office", "web")}
        sales.append(stage.sale(*NAMES, pays=purse, references=written, linked=False))
    assert len(stage.follow(*RULES)) == 3
    assert stage.sync() == []
    refunded, cancelled, shipped = sales
    stage.refund("asia", refunded, "20.00")
    stage.refund("office", cancelled, "100.00")
    stage.cancel("office", cancelled)
    stage.ship("web", shipped, "SF100", TEE_M=2)
    stage.wait(minutes=11)
    assert len(stage.sync()) == 9
    before = [(stage.refunds(sale), stage.cancelled(sale), stage.shipped(sale)) for sale in sales]
    sent = stage.sent()

    stage.lose_database(log_too=log_too)
    assert len(stage.follow(*RULES)) == 3, "the rules link the same sales again"
    assert stage.plan() == []
    assert stage.sync() == []
    assert stage.codes() == []
    stage.wait(days=2)
    assert stage.sync() == []
    assert stage.sent() == sent
    assert [(stage.refunds(sale), stage.cancelled(sale), stage.shipped(sale)) for sale in sales] == before
    assert [stage.to_buyer(sale) for sale in sales] == ["20.00", "100.00", "0.00"]


@pytest.mark.parametrize(
    "log_too", [False, True], ids=["the log of sends is left", "the log of sends is lost too"]
)
@pytest.mark.parametrize("here, purse", BOTH_WAYS)
def test_a_refund_that_does_not_show_yet_is_not_sent_again_by_a_new_database(
    stage: Stage, here: str, purse: str, log_too: bool
) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.show_only(purse, stage.photo(purse))
    stage.pull()
    assert [result.state for result in stage.apply().results] == [ActionState.RECEIPTED]
    assert stage.to_buyer(sale) == "20.00"

    stage.lose_database(log_too=log_too)
    stage.pull()
    stage.link(*sale.orders.values())
    assert stage.plan() == []
    assert stage.sync() == []
    assert stage.codes() == ["differs_at_link"]
    day = f"{stage.clock():%Y-%m-%d}"
    assert stage.hold("differs_at_link").message == (
        f"{here} was refunded 20.00 USD on {day} and {purse} was not; old differences are not carried without you"
    )
    assert f"held differs_at_link: {here} was refunded 20.00 USD" in stage.explain(sale)
    assert stage.to_buyer(sale) == "20.00"

    stage.show_all(purse)
    stage.wait(minutes=1)
    stage.sweep()
    assert stage.sync() == []
    assert stage.codes() == [], "it shows, with our mark, and the hold closes by itself"
    assert stage.refunds(sale) == {here: ["20.00"], purse: ["20.00"]}
    assert stage.to_buyer(sale) == "20.00"


@pytest.mark.parametrize("here, purse", PAIRS)
def test_the_log_of_sends_stops_even_a_person_who_approves_too_early(stage: Stage, here: str, purse: str) -> None:
    sale = stage.sale(here, purse, pays=purse)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=11)
    stage.show_only(purse, stage.photo(purse))
    stage.pull()
    stage.apply()
    stage.lose_database()
    stage.pull()
    stage.link(*sale.orders.values())
    assert stage.sync() == []

    stage.answer("differs_at_link", Verb.APPROVE)
    stage.pull()
    report = stage.apply()
    assert [(result.state, result.hold and result.hold.code) for result in report.results] == [
        (ActionState.EXPIRED, "in_doubt")
    ]
    assert "sent" in stage.hold("in_doubt").message
    assert "by an earlier life of this database" in stage.hold("in_doubt").message
    assert stage.to_buyer(sale) == "20.00", "not a second time"

    stage.show_all(purse)
    stage.sweep()
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["20.00"], purse: ["20.00"]}
