"""A refund here and another there between two looks: 30.00 in one shop, 20.00 in the other, and nobody saw either.

Given a sale of 100.00 in two or three shops. It may be one refund typed differently, or two that both are due; only
the people know. Guessing one way pays the buyer twice, guessing the other way keeps his money, so nothing is written.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PURSES, Stage

from ordersync.model import Verb


def said(first: str, second: str) -> str:
    return (
        "members show different refunds; whether they are the same one is not for ordersync to guess: "
        f"{first} 30.00 USD, {second} 20.00 USD"
    )


@pytest.mark.parametrize("here, there, purse", PURSES)
def test_neither_is_carried_and_both_are_shown_to_a_person(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse)
    stage.refund(here, sale, "30.00")
    stage.refund(there, sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == ["ambiguous_refund"]
    assert stage.hold("ambiguous_refund").message == said(here, there)
    assert f"held ambiguous_refund: {said(here, there)}" in stage.explain(sale)
    stage.wait(days=1)
    assert stage.sync() == []
    assert stage.refunds(sale) == {here: ["30.00"], there: ["20.00"]}
    assert stage.to_buyer(sale) == {here: "30.00", there: "20.00"}[purse]
    assert stage.sent() == []


@pytest.mark.parametrize("here, there, purse", PURSES[:3])
def test_one_refund_typed_differently_is_left_and_never_carried(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse)
    stage.refund(here, sale, "30.00")
    stage.refund(there, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()

    stage.answer("ambiguous_refund", Verb.LEAVE, why="one refund, typed differently")
    stage.wait(days=1)
    assert stage.sync() == []
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["30.00"], there: ["20.00"]}
    assert "closed: leave by kim: one refund, typed differently" in stage.explain(sale)


@pytest.mark.parametrize("here, there, purse", PURSES[:3])
def test_where_two_were_due_a_person_makes_one_and_the_other_follows(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    """The person makes the first shop's refund in the second as well: now only one is missing, in one place."""
    sale = stage.sale(here, there, pays=purse)
    stage.refund(here, sale, "30.00")
    stage.refund(there, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()

    stage.refund(there, sale, "30.00")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {here} 20.00 USD" + (" TO BUYER" if here == purse else "")]
    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["30.00", "20.00"], there: ["20.00", "30.00"]}
    assert stage.to_buyer(sale) == "50.00"


@pytest.mark.parametrize("purse", ["asia", "office", "web"])
def test_a_third_shop_is_told_neither(stage: Stage, purse: str) -> None:
    sale = stage.sale("asia", "office", "web", pays=purse)
    stage.refund("asia", sale, "30.00")
    stage.refund("office", sale, "20.00")
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == ["ambiguous_refund"]
    assert stage.refunds(sale) == {"asia": ["30.00"], "office": ["20.00"], "web": []}
    assert stage.sent() == []


@pytest.mark.parametrize("here, there, purse", PURSES[:3])
def test_with_a_look_in_between_they_are_two_and_each_is_carried(
    stage: Stage, here: str, there: str, purse: str
) -> None:
    sale = stage.sale(here, there, pays=purse)
    stage.refund(here, sale, "30.00")
    stage.wait(minutes=11)
    stage.sync()
    stage.refund(there, sale, "20.00")
    stage.wait(minutes=11)
    stage.sync()

    assert stage.codes() == []
    assert stage.refunds(sale) == {here: ["30.00", "20.00"], there: ["30.00", "20.00"]}
    assert stage.to_buyer(sale) == "50.00"
    assert len(stage.sent()) == 2


@pytest.mark.parametrize("purse", ["asia", "web"])
def test_one_amount_for_a_lamp_here_and_a_shirt_there_is_not_one_refund(stage: Stage, purse: str) -> None:
    """Both shops keep what a refund was for; nobody looked between the two."""
    sale = stage.sale("asia", "web", pays=purse)
    stage.refund("asia", sale, "30.00", LAMP_01=1)
    stage.refund("web", sale, "30.00", TEE_M=1)
    stage.wait(minutes=11)

    assert stage.sync() == []
    assert stage.codes() == ["ambiguous_refund"]
    assert stage.refunds(sale) == {"asia": ["30.00"], "web": ["30.00"]}
    stage.refund("asia", sale, "30.00", TEE_M=1)
    stage.wait(minutes=11)
    assert stage.sync() == ["refund web 30.00 USD" + (" TO BUYER" if purse == "web" else "")], (
        "the shirt is in both shops now, only the lamp is missing in one"
    )
    assert stage.codes() == []
    assert stage.to_buyer(sale) == "60.00"
    assert len(stage.sent()) == 1
