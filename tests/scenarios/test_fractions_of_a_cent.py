"""32.45 of 32.45335: Medusa keeps every digit of a tax, the other platforms keep cents.

Given a mug at 29.98 with 8.25 % tax on top: 32.45335 in office (Medusa), 32.45 everywhere else. A third of a cent is
no difference between shops, is never owed to anybody, and never becomes a refund of its own.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.scenarios.stage import Sale, Stage

from ordersync.testing.sales import SaleLine

MUG = (SaleLine("MUG-01", "Mug", 1, 2998),)
DEARER_MUG = (SaleLine("MUG-02", "Dearer mug", 1, 3002),)
"""3.002 with its tax is 32.49665: here the cents of the others are more than Medusa captured."""
TAX = {"asia": "8.25", "office": "8.25", "web": "8.25"}


def digits(stage: Stage, sale: Sale) -> list[str]:
    """Medusa's own refund records, to the last digit."""
    order = stage.admins["office"].box.state.order(sale.orders["office"].order_id)
    return [f"{refund.amount.normalize():f}" for payment in order.payments for refund in payment.refunds]


@pytest.mark.parametrize("purse_here", [True, False], ids=["office marks", "office pays"])
@pytest.mark.parametrize("here", ["asia", "web"])
def test_the_whole_sale_in_cents_is_carried_in_cents(stage: Stage, here: str, *, purse_here: bool) -> None:
    sale = stage.sale(here, "office", pays=here if purse_here else "office", lines=MUG, tax=TAX)
    stage.refund(here, sale, "32.45")
    stage.wait(minutes=11)

    assert stage.sync() == ["refund office 32.45 USD" + ("" if purse_here else " TO BUYER")]
    stage.wait(days=1)
    assert stage.sync() == [], "0.00335 is owed to nobody"
    assert stage.codes() == []
    assert digits(stage, sale) == ["32.45"]
    assert stage.to_buyer(sale) == "32.45"


@pytest.mark.parametrize("purse_here", [True, False], ids=["office pays", "office marks"])
@pytest.mark.parametrize("there", ["asia", "web"])
def test_every_digit_of_medusa_is_carried_as_cents(stage: Stage, there: str, *, purse_here: bool) -> None:
    sale = stage.sale("office", there, pays="office" if purse_here else there, lines=MUG, tax=TAX)
    stage.refund("office", sale, "32.45335")
    stage.wait(minutes=11)

    assert stage.sync() == [f"refund {there} 32.45 USD" + ("" if purse_here else " TO BUYER")]
    assert stage.codes() == []
    assert stage.refunds(sale)[there] == ["32.45"]
    assert digits(stage, sale) == ["32.45335"]


@pytest.mark.parametrize("purse", ["asia", "office"])
def test_by_hand_on_both_sides_they_are_the_same_refund(stage: Stage, purse: str) -> None:
    sale = stage.sale("asia", "office", pays=purse, lines=MUG, tax=TAX)
    stage.refund("asia", sale, "32.45")
    stage.refund("office", sale, "32.45335")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.sent() == []


@pytest.mark.parametrize("purse", ["asia", "office"])
def test_a_cancel_after_it_leaves_medusa_to_round_off_and_nothing_follows(stage: Stage, purse: str) -> None:
    """Medusa's cancel gives back what it thinks is left; that record is worth no cent and is no fact."""
    sale = stage.sale("asia", "office", pays=purse, lines=MUG, tax=TAX)
    stage.refund("asia", sale, "32.45")
    stage.cancel("asia", sale)
    stage.wait(minutes=11)

    assert stage.sync() == [
        "refund office 32.45 USD" + (" TO BUYER" if purse == "office" else ""),
        "cancel office",
    ]
    assert digits(stage, sale) == ["32.45", "0.00335"]
    stage.wait(days=1)
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.cancelled(sale) == ["asia", "office"]
    assert stage.refunds(sale) == {"asia": ["32.45"], "office": ["32.45"]}
    assert stage.to_buyer(sale) == "32.45"


@pytest.mark.parametrize("purse", ["asia", "office"])
def test_where_the_cents_are_more_than_medusa_captured_it_is_still_the_whole_sale(
    stage: Stage, purse: str
) -> None:
    sale = stage.sale("asia", "office", pays=purse, lines=DEARER_MUG, tax=TAX)
    stage.refund("asia", sale, "32.50")
    stage.wait(minutes=11)

    assert stage.sync() == ["refund office 32.50 USD" + (" TO BUYER" if purse == "office" else "")]
    assert stage.codes() == []
    assert Decimal(digits(stage, sale)[0]) - Decimal("32.49665") < Decimal("0.005"), "not a whole cent too much"
