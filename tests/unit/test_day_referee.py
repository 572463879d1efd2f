"""The referee of a full day must be able to say no: each kind of surprise, made on purpose."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ordersync.testing.day.book import DaySale, Deal
from ordersync.testing.day.lists import Shown, ShownParcel, ShownRefund
from ordersync.testing.day.referee import HeldSale, Verdict, judge
from ordersync.testing.sales import SaleLine, SaleSpec

SPEC = SaleSpec(
    number=1001,
    email="kim@example.com",
    currency="USD",
    lines=(SaleLine("MUG-01", "Mug", 2, 1250),),
    shipping_minor=0,
    placed_at=datetime(2026, 11, 1, 9, 0, tzinfo=UTC),
)
COPY = ShownRefund(500, "completed", "os-abcdefgh refund of asia")
PARCEL = ShownParcel("shipped", Counter({"MUG-01": 1}), "SF1")


def day(*, calm: bool = True) -> tuple[DaySale, dict[str, dict[str, Shown]]]:
    """A refund of 5.00 and a parcel of one mug made at asia, both carried to web."""
    sale = DaySale(SPEC, ("asia", "web"), "made_up", calm, ids={"asia": "a1", "web": "w1"})
    sale.refunds = [Deal(500, records={"asia": ["r1"]})]
    sale.parcels = [Deal(units=Counter({"MUG-01": 1}), tracking="SF1", records={"asia": ["p1"]})]
    asia = Shown(False, False, 2500, {"r1": ShownRefund(500, "completed", "by a person")}, {"p1": PARCEL})
    web = Shown(False, False, 2500, {"r9": COPY}, {"p9": PARCEL})
    return sale, {"asia": {"a1": asia}, "web": {"w1": web}}


def verdict(sale: DaySale, lists: dict[str, dict[str, Shown]], *holds: HeldSale) -> Verdict:
    return judge([sale], lists, {1001: holds} if holds else {})


def test_what_persons_did_shown_once_everywhere_is_no_surprise() -> None:
    found = verdict(*day())
    assert found.surprises == []
    assert (found.refunds, found.copies, found.parcels) == (2, 1, 2)
    assert found.least_minor == found.paid_minor == found.most_minor == 500


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ({}, "a refund of 500 is missing and nothing says why"),
        ({"r9": COPY, "r10": COPY}, "is one too many"),
        ({"r9": replace(COPY, minor=501)}, "is one too many"),
        ({"r9": replace(COPY, note="")}, "nobody made the refund r9"),
        ({"r9": replace(COPY, state="pending")}, "the copy r9 is pending"),
    ],
)
def test_a_refund_that_is_missing_doubled_or_of_nobody_is_a_surprise(
    records: dict[str, ShownRefund], said: str
) -> None:
    sale, lists = day()
    lists["web"]["w1"].refunds = records
    assert said in " ".join(verdict(sale, lists).surprises)


def test_a_second_payment_to_the_buyer_is_a_surprise() -> None:
    sale, lists = day()
    lists["asia"]["a1"].refunds["r2"] = COPY
    said = " ".join(verdict(sale, lists).surprises)
    assert "refund r2 of 500 is one too many" in said
    assert "buyers got 1000, not between 500 and 500" in said


def test_a_refund_a_person_made_that_is_gone_is_a_surprise() -> None:
    sale, lists = day()
    del lists["asia"]["a1"].refunds["r1"]
    assert "the refund r1 a person made is gone or changed" in " ".join(verdict(sale, lists).surprises)


def test_what_is_missing_must_be_held_by_name() -> None:
    sale, lists = day(calm=False)
    lists["web"]["w1"].refunds = {}
    hold = HeldSale("H-1", "looks_like_repeat", "asia shows 5.00 USD twice", "web")
    assert verdict(sale, lists, hold).surprises == []
    for other in (
        replace(hold, shop="asia"),
        replace(hold, text="3.00 USD"),
        replace(hold, code="parcels_differ"),
    ):
        assert "is missing and nothing says why" in " ".join(verdict(sale, lists, other).surprises)


@pytest.mark.parametrize("call", ["pack", "ship"])
def test_a_doubtful_parcel_says_why_the_goods_have_not_left_and_nothing_about_money(call: str) -> None:
    sale, lists = day(calm=False)
    lists["web"]["w1"].parcels = {}
    doubt = HeldSale("H-1", "in_doubt", f"a {call} was sent to web:w1 and no clear answer came.", "web")
    assert verdict(sale, lists, doubt).surprises == []
    lists["web"]["w1"].refunds = {}
    assert "a refund of 500 is missing and nothing says why" in " ".join(verdict(sale, lists, doubt).surprises)


def test_a_hold_on_an_ordinary_sale_is_a_surprise() -> None:
    sale, lists = day()
    assert "held without need" in " ".join(
        verdict(sale, lists, HeldSale("H-1", "old_fact", "5.00 USD", "web")).surprises
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cancelled": True}, "nobody cancelled it"),
        ({"completed": True}, "nobody completed it"),
        ({"captured_minor": 400}, "500 are refunded of 400"),
        ({"parcels": {}}, "should have left and nothing says why not"),
        ({"parcels": {"p9": PARCEL, "p10": PARCEL}}, "left, which nobody sent"),
        ({"parcels": {"p9": replace(PARCEL, tracking="SF2")}}, "tracking number SF2 of nobody"),
        ({"parcels": {"p9": replace(PARCEL, tracking="")}}, "left without its tracking number"),
    ],
)
def test_every_other_thing_that_nobody_did_or_that_is_missing_is_a_surprise(
    change: dict[str, object], said: str
) -> None:
    sale, lists = day()
    for name, value in change.items():
        setattr(lists["web"]["w1"], name, value)
    assert said in " ".join(verdict(sale, lists).surprises)


def test_a_cancel_that_is_missing_and_an_order_of_nobody_are_surprises() -> None:
    sale, lists = day()
    sale.cancelled = {"asia"}
    lists["web"]["w9"] = Shown(False, False, 0)
    said = " ".join(verdict(sale, lists).surprises)
    assert "its cancel is missing and nothing says why" in said
    assert "web:w9 was placed by nobody" in said
