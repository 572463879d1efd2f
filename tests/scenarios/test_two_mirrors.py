"""Two mirrors of one order: somebody's script ran twice, and one shop has the sale two times.

A link holds one order of each shop. Which of the two is one too many only a person knows, so nothing is linked (or
the link there is stays as it is), and no refund is marked or paid on both.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, Sale, Stage

from ordersync.reconcile.rules import LinkRule

BOTH_WAYS = [*PAIRS, *((other, one) for one, other in PAIRS)]
KEY = "external_id"


def rule(mirror: str, first: str) -> LinkRule:
    return LinkRule(source=mirror, field=f"metadata.{KEY}", to_shop=first)


def naming(stage: Stage, shop: str, sale: Sale) -> dict[str, str]:
    found = stage.store.order(sale.orders[shop])
    assert found is not None
    return {KEY: found.order.number or ""}


@pytest.mark.parametrize("first, mirror", BOTH_WAYS)
def test_two_equal_mirrors_are_held_until_a_person_picks_one(stage: Stage, first: str, mirror: str) -> None:
    sale = stage.sale(first, linked=False)
    written = {mirror: naming(stage, first, sale)}
    one = stage.sale(mirror, pays=mirror, references=written, linked=False)
    two = stage.sale(mirror, pays=mirror, references=written, linked=False)

    assert stage.follow(rule(mirror, first)) == []
    assert stage.codes() == ["duplicate_mirror"]
    held = stage.hold("duplicate_mirror")
    assert held.message in (
        f"{mirror}, {mirror}#2 are all the same sale as {first}, and a link holds one order of each shop",
        f"{mirror}#2, {mirror} are all the same sale as {first}, and a link holds one order of each shop",
    )
    assert "held duplicate_mirror" in stage.explain(sale)
    stage.refund(first, sale, "20.00")
    stage.wait(minutes=11)
    assert stage.sync() == [], "paid on neither"

    stage.cancel(mirror, two, "one too many")
    stage.link(sale.orders[first], one.orders[mirror])
    stage.follow(rule(mirror, first))
    assert stage.sync() == [f"refund {mirror} 20.00 USD TO BUYER"]
    assert stage.refunds(one) == {mirror: ["20.00"]}
    assert stage.to_buyer(one) == "20.00", "once, whatever the cancelled one gave back"
    assert stage.cancelled(one) == [], "the cancel of the one that was too many is not carried"
    assert stage.cancelled(sale) == []
    assert stage.sync() == []


@pytest.mark.parametrize("first, mirror", PAIRS)
def test_a_second_mirror_of_a_linked_sale_is_held_and_gets_nothing(stage: Stage, first: str, mirror: str) -> None:
    sale = stage.sale(first, linked=False)
    written = {mirror: naming(stage, first, sale)}
    one = stage.sale(mirror, pays=mirror, references=written, linked=False)
    both = " ".join(sorted((first, mirror)))
    assert stage.follow(rule(mirror, first)) == [both]
    two = stage.sale(mirror, pays=mirror, references=written, linked=False)

    assert stage.follow(rule(mirror, first)) == [both]
    assert stage.codes() == ["duplicate_mirror"]
    stage.refund(first, sale, "20.00")
    stage.refund(mirror, two, "20.00", why="by hand, on the wrong one")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {mirror} 20.00 USD TO BUYER"], "the link goes on"
    assert stage.refunds(one) == {mirror: ["20.00"]}
    assert stage.refunds(two) == {mirror: ["20.00"]}, "only what the person did there"
    assert stage.refunds(sale) == {first: ["20.00"]}, "and that is not carried back"
    assert "held duplicate_mirror" in stage.explain(sale), "it still waits for a person"
