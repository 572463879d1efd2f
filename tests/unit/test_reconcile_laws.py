"""The laws of the decision (DESIGN 7) over a slice of every alphabet; `make laws` walks them whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from tests.laws.rules import Tally
from tests.laws.sides import ALPHABETS, World
from tests.laws.stories import LAYOUTS, STORIES, platforms, tell, tellable
from tests.laws.walk import walk_all
from tools.mutants import MUTANTS, ROOT

from ordersync.reconcile import conflicts, decide, pairing, refunds

EVERY = {"money, two members": 331, "every policy": 211, "parcels and progress": 211, "three members": 61}
"""Not a divisor of how the alphabets repeat, so that a slice meets every letter."""


def sliced(name: str, every: int, *, stop_at_first: bool = False) -> Tally:
    tally = Tally()
    worlds = itertools.islice(ALPHABETS[name](), every // 2, None, every)
    walk_all(name, worlds, tally, stop_at_first=stop_at_first)
    return tally


@pytest.mark.parametrize("name", ALPHABETS)
def test_the_laws_hold_in_every_world_of_a_slice(name: str) -> None:
    tally = sliced(name, EVERY.get(name, 101))
    assert tally.examples == []
    assert tally.walked[name] > 50
    assert all(tally.writes.total() > 20 and tally.checked[law] > 20 for law in (1, 3, 4, 6, 7, 8)), tally


def test_every_letter_stands_beside_every_other() -> None:
    """The alphabet of money leaves no pair of records out."""
    seen = {frozenset(side.records for side in world.sides) for world in ALPHABETS["money, two members"]()}
    letters = {records for pair in seen for records in pair}
    assert len(letters) == 25
    assert {frozenset(pair) for pair in itertools.combinations_with_replacement(letters, 2)} == seen


@pytest.mark.parametrize(
    "law, where, name, says, alphabet",
    [
        (4, pairing, "_pair_off", lambda _: True, "money, two members"),
        (5, conflicts, "_to_be_carried", lambda *_: False, "money, two members"),
        (6, refunds, "_would_hurt", lambda *_: False, "money, two members"),
        (7, refunds, "_counted", lambda _, row: [r for r in row.all_records if not r.token], "every policy"),
        (8, decide.Case, "ill_dated", lambda *_: None, "parcels and progress"),
    ],
)
def test_a_broken_decision_breaks_its_law(
    law: int, where: object, name: str, says: Callable[..., object], alphabet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, says)
    assert list(sliced(alphabet, 61, stop_at_first=True).broken) == [law]


def test_the_walk_compares_mirror_images(monkeypatch: pytest.MonkeyPatch) -> None:
    carried = refunds._carried
    monkeypatch.setattr(refunds, "_carried", lambda case, row: row.fact.origin.shop != "b" and carried(case, row))
    assert list(sliced("every policy", 61, stop_at_first=True).broken) == [2]


def test_every_mutant_finds_its_lines() -> None:
    for mutant in MUTANTS:
        text = (ROOT / "src/ordersync/reconcile" / mutant.file).read_text(encoding="utf-8")
        assert [text.count(line) for line, _ in mutant.changes] == [1] * len(mutant.changes), mutant.name
    assert len(MUTANTS) >= 10


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("name", STORIES)
def test_an_ordinary_story_ends_without_a_hold_unless_two_orders_would_pay(name: str, layout: int) -> None:
    """Between one pair of platforms each; `make laws` tells them between every two."""
    here, there = platforms()[layout % 2], platforms()[2 - layout % 2]
    assert tellable(STORIES[name], here)
    told = tell(name, here, there, LAYOUTS[layout])
    carries_money = name != "cancel unpaid"
    assert told.holds == ({"two_purses"} if LAYOUTS[layout].both_pay and carries_money else set())
    assert told.clean == (not told.holds)
    assert told.writes > 0 or told.holds


def test_there_is_no_world_twice() -> None:
    for name, made in ALPHABETS.items():
        worlds: list[World] = list(itertools.islice(made(), 20_000))
        assert len(set(worlds)) == len(worlds), name
