"""A slice of `make crash`: real processes killed at points, and the judge that must be able to say WRONG."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tools.crash import MUTANTS, ROOT, jobs
from tools.crashing.cases import carried, meddled, troubled, typed
from tools.crashing.judge import HELD, ONCE, Outcome, doubted, judge_kills, judge_pull, judge_trouble, verdict
from tools.crashing.world import Effects

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CASES = {case.title: case for case in (*carried(), *typed(), *troubled(), *meddled())}
REFUNDED = Effects(
    (1250,), cancelled=0, units_gone=0, parcels=0, captured=4795, progress="pending", archived=False
)
GOOD = Outcome({"office": REFUNDED}, ("refund: asia present, office present",), (), ())


@pytest.mark.parametrize(
    ("title", "every"),
    [("refund, booked -> office", 9), ("refund, to the buyer -> asia", 11), ("pack and ship -> web", 17)],
)
def test_a_process_killed_at_a_point_leaves_each_effect_once_or_one_hold(title: str, every: int) -> None:
    found = judge_kills(CASES[title], every)
    assert found.wrong == []
    assert found.points == found.ends[ONCE] + found.ends[HELD] >= 4


def test_a_pull_killed_at_a_point_ends_in_the_same_store() -> None:
    found = judge_pull("web", every=13)
    assert found.wrong == []
    assert found.points == found.ends[ONCE] >= 4


@pytest.mark.parametrize(
    "title", ["refund, booked, cut_after -> office", "refund, to the buyer, torn_body -> asia"]
)
def test_an_answer_that_got_lost_makes_no_second_refund(title: str) -> None:
    found = judge_trouble(CASES[title])
    assert (found.wrong, found.points) == ([], 1)


def test_an_equal_refund_by_hand_does_not_settle_a_doubt() -> None:
    found = judge_trouble(CASES["refund in doubt, then an equal one by hand, asia pays, cut_before -> office"])
    assert found.wrong == []
    assert found.ends == {HELD: 1}


def test_every_mutant_names_a_case_and_a_text_that_are_there() -> None:
    titles = jobs(1)
    for mutant in MUTANTS:
        assert mutant.case in titles, mutant.name
        assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.text) == 1, mutant.name


def test_every_kind_of_write_is_killed_on_every_platform_that_has_it() -> None:
    killed = {(case.target, case.name) for case in (*carried(), *typed())}
    for shop in ("asia", "office", "web"):
        for kind in (
            "refund, booked",
            "refund, to the buyer",
            "cancel, unpaid",
            "refund, then cancel",
            "pack and ship",
        ):
            assert (shop, kind) in killed
    assert {shop for shop, kind in killed if "complete" in kind} == {"office", "web"}, "SHOPLINE has no such step"


def with_office(**changes: object) -> Outcome:
    return replace(GOOD, effects={"office": replace(REFUNDED, **changes)})  # type: ignore[arg-type]  # fields by name


def test_the_judge_accepts_what_an_undisturbed_run_leaves() -> None:
    assert verdict(GOOD, GOOD) == ONCE


def test_the_judge_accepts_less_when_exactly_one_hold_says_so() -> None:
    less = replace(with_office(refunds=()), holds=("in_doubt",))
    assert verdict(less, GOOD) == HELD
    assert verdict(replace(less, holds=("in_doubt", "not_visible")), GOOD) not in (ONCE, HELD)
    assert verdict(replace(less, holds=()), GOOD) not in (ONCE, HELD)


@pytest.mark.parametrize(
    "more", [{"refunds": (1250, 1250)}, {"refunds": (1300,)}, {"cancelled": 1}, {"units_gone": 1}, {"parcels": 1}]
)
def test_the_judge_accepts_nothing_more_than_an_undisturbed_run_leaves(more: dict[str, object]) -> None:
    assert verdict(with_office(**more), GOOD) not in (ONCE, HELD)
    assert verdict(replace(with_office(**more), holds=("in_doubt",)), GOOD) not in (ONCE, HELD)


def test_the_judge_notices_what_is_left_unsettled_or_differs_in_the_ledger() -> None:
    assert verdict(replace(GOOD, unsettled=("refund doubt",)), GOOD) not in (ONCE, HELD)
    assert verdict(replace(GOOD, ledger=()), GOOD) not in (ONCE, HELD)


def test_a_doubt_that_is_not_held_is_a_guess() -> None:
    assert doubted(replace(GOOD, holds=("ambiguous_refund",)), GOOD) not in (ONCE, HELD)
    assert doubted(replace(GOOD, holds=("ambiguous_refund", "in_doubt")), GOOD) == HELD
