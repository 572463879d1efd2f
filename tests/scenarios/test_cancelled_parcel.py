"""A cancelled parcel, then a new one: the label was wrong, and the goods are sent under another number.

What counts is the goods that left, not how many labels were printed. A parcel that other shops know already and that
is taken back is shown to a person; nothing is un-shipped, and its goods do not leave the other shops a second time.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import Sale, Stage

from ordersync.model import Verb

WAYS = [("asia", "office"), ("asia", "web"), ("web", "asia"), ("web", "office")]
"""From shops in which a parcel that left can be cancelled; Medusa has no such button."""


def tracking(stage: Stage, shop: str, sale: Sale) -> list[tuple[str, str | None]]:
    """(state, number) of the order's parcels, in the shop's own list."""
    rows = stage.admins[shop].box.own_parcels()
    return [(row[2], row[4]) for row in rows if row[0] == sale.orders[shop].order_id]


@pytest.mark.parametrize("here, there", WAYS)
def test_cancelled_before_anybody_looked_only_the_new_one_is_carried(stage: Stage, here: str, there: str) -> None:
    sale = stage.sale(here, there)
    wrong = stage.ship(here, sale, "SF100", TEE_M=2)
    stage.cancel_parcel(here, sale, wrong)
    stage.ship(here, sale, "SF200", TEE_M=2)
    stage.wait(minutes=11)
    assert stage.sync()[-1] == f"ship {there}"
    assert tracking(stage, there, sale) == [("shipped", "SF200")]
    assert stage.shipped(sale) == {here: 2, there: 2}
    assert stage.codes() == []


@pytest.mark.parametrize("here, there", WAYS)
def test_cancelled_after_it_was_carried_the_same_goods_do_not_leave_twice(
    stage: Stage, here: str, there: str
) -> None:
    sale = stage.sale(here, there)
    wrong = stage.ship(here, sale, "SF100", TEE_M=2)
    stage.wait(minutes=11)
    assert stage.sync()[-1] == f"ship {there}"
    stage.cancel_parcel(here, sale, wrong)
    stage.wait(minutes=11)
    assert stage.sync() == [], "nothing is un-shipped"
    assert stage.codes() == ["shipment_went_back"]
    assert stage.hold("shipment_went_back").message == (
        f"a parcel that was counted was cancelled or vanished: {here} {wrong}"
    )

    stage.ship(here, sale, "SF200", TEE_M=2)
    stage.wait(minutes=11)
    assert stage.sync() == [], "these goods have left there already"
    assert stage.shipped(sale) == {here: 2, there: 2}
    assert "held shipment_went_back: a parcel that was counted was cancelled" in stage.explain(sale)
    stage.ship(here, sale, "SF300", LAMP_01=1)
    stage.wait(minutes=11)
    assert stage.sync()[-1] == f"ship {there}", "other goods go on"
    assert stage.shipped(sale) == {here: 3, there: 3}

    stage.answer("shipment_went_back", Verb.LEAVE, why="wrong label")
    assert stage.sync() == []
    assert stage.codes() == []
    assert tracking(stage, there, sale) == [("shipped", "SF100"), ("shipped", "SF300")]
    assert stage.shipped(sale) == {here: 3, there: 3}, "three were sold, three left"


@pytest.mark.parametrize("here, there", WAYS)
def test_what_a_person_takes_back_is_not_shipped_again_because_another_shop_still_shows_it(
    stage: Stage, here: str, there: str
) -> None:
    """Both were shipped by hand; one is taken back. The other is no news."""
    sale = stage.sale(here, there)
    wrong = stage.ship(here, sale, "SF100", TEE_M=2)
    stage.ship(there, sale, "SF100", TEE_M=2)
    stage.wait(minutes=11)
    assert stage.sync() == []
    stage.cancel_parcel(here, sale, wrong)
    stage.wait(minutes=11)
    for _ in range(2):
        assert stage.sync() == []
        assert stage.codes() == ["shipment_went_back"]
        stage.wait(hours=30)
    stage.answer("shipment_went_back", Verb.LEAVE, why="stays here after all")
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.shipped(sale) == {here: 0, there: 2}
    assert stage.sent() == []


@pytest.mark.parametrize("there", ["asia", "web"])
def test_a_parcel_packed_and_unpacked_in_the_back_office_is_no_news(stage: Stage, there: str) -> None:
    """Medusa: a parcel can be cancelled until it leaves."""
    sale = stage.sale("office", there)
    box = stage.admins["office"].box
    packed = box.fulfil(sale.orders["office"].order_id)
    stage.wait(minutes=11)
    assert stage.sync() == []
    stage.cancel_parcel("office", sale, packed)
    stage.wait(minutes=11)
    assert stage.sync() == []
    stage.ship("office", sale, "SF200", TEE_M=2)
    stage.wait(minutes=11)
    assert stage.sync()[-1] == f"ship {there}"
    assert tracking(stage, there, sale) == [("shipped", "SF200")]
    assert stage.shipped(sale) == {"office": 2, there: 2}
    assert stage.codes() == []
