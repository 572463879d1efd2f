"""Scoring and choosing pairs: symmetric, nothing lost to blocks, and nothing chosen between equals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersync.model.traits import ITEMS_MODULUS, Traits
from ordersync.reconcile.choose import Choice, Pair, Several, choose
from ordersync.reconcile.prefixes import prefixes
from ordersync.reconcile.rules import adds_up
from ordersync.reconcile.suggest import BLOCK_MAX, COMMON_MAX, MARGIN, SCORE_MIN, STRONG, Candidates, Pool, score

T0 = 1_700_000_000
KIM, LEE = 111, 222
MUG, TEE = 1_000, 2_000


def traits(
    charged: int | None = 2_000,
    *,
    currency: str = "USD",
    items: int | None = MUG,
    placed: int | None = T0,
    buyer: int | None = KIM,
    phone: int | None = None,
    draft: bool = False,
) -> Traits:
    return Traits(currency, charged, currency, items, placed, buyer, phone, draft)


def pool(orders: Sequence[Traits], links: Sequence[int | None] = ()) -> Pool:
    made = Pool()
    for place, order in enumerate(orders):
        made.add(str(place), order, links[place] if place < len(links) else None)
    return made


def chosen(
    left: Sequence[Traits],
    right: Sequence[Traits],
    links_left: Sequence[int | None] = (),
    links_right: Sequence[int | None] = (),
) -> Choice:
    return choose(Candidates(pool(left, links_left), pool(right, links_right)))


some_traits = st.builds(
    traits,
    st.sampled_from([2_000, 2_001, 2_002, 4_000]),
    currency=st.sampled_from(["USD", "EUR"]),
    items=st.sampled_from([MUG, TEE, 2 * MUG, None]),
    placed=st.one_of(st.none(), st.integers(T0 - 4_000, T0 + 4_000), st.just(T0 + 90_000)),
    buyer=st.sampled_from([KIM, LEE, None]),
    phone=st.sampled_from([5, 6, None]),
)
shops = st.lists(some_traits, max_size=7)


@given(some_traits, some_traits)
def test_a_score_is_the_same_from_both_sides_and_at_most_100(one: Traits, other: Traits) -> None:
    assert score(one, other) == score(other, one)
    assert 0 <= score(one, other).points <= 100


@given(some_traits)
def test_what_is_the_same_in_everything_known_scores_no_less_than_anything_else(one: Traits) -> None:
    assert score(one, one).points >= score(one, one._replace(buyer=999, phone=None)).points
    assert score(one, one).points >= score(one, one._replace(items=777)).points


@pytest.mark.parametrize(
    "other, points",
    [
        (traits(), 100),
        (traits(2_001), 100),
        (traits(2_002), 0),
        (traits(currency="EUR"), 0),
        (traits(draft=True), 0),
        (traits(None), 0),
        (traits(placed=T0 + 1_800), 97),
        (traits(placed=T0 + 40_000), 90),
        (traits(placed=T0 + 400_000), 80),
        (traits(placed=None), 80),
        (traits(items=None), 75),
        (traits(items=TEE), 55),
        (traits(buyer=None), 55),
        (traits(buyer=LEE), 15),
    ],
)
def test_each_piece_of_evidence_counts(other: Traits, points: int) -> None:
    assert score(traits(), other).points == points


def test_without_the_same_buyer_no_pair_is_strong() -> None:
    nothing_more = traits(buyer=None)
    assert SCORE_MIN <= score(nothing_more, nothing_more).points < STRONG
    assert score(nothing_more._replace(phone=5), nothing_more._replace(phone=5)).points >= STRONG


def test_evidence_never_holds_the_buyers_data() -> None:
    for word in score(traits(), traits()).evidence:
        assert str(KIM) not in word


@settings(max_examples=300)
@given(shops, shops)
def test_blocks_lose_no_pair(left: list[Traits], right: list[Traits]) -> None:
    found = sorted(Candidates(pool(left), pool(right)))
    every = [
        (i, j, score(one, other).points)
        for i, one in enumerate(left)
        for j, other in enumerate(right)
        if score(one, other).points >= SCORE_MIN
    ]
    assert found == every


@settings(max_examples=300)
@given(shops, shops)
def test_a_chosen_pair_stands_out_from_every_other_of_both_its_orders(
    left: list[Traits], right: list[Traits]
) -> None:
    choice = chosen(left, right)
    assert len({pair.left for pair in choice.certain}) == len(choice.certain)
    assert len({pair.right for pair in choice.certain}) == len(choice.certain)
    for i, j, points in choice.certain:
        assert points == score(left[i], right[j]).points >= SCORE_MIN
        others = [score(left[i], right[k]).points for k in range(len(right)) if k != j]
        others += [score(left[k], right[j]).points for k in range(len(left)) if k != i]
        assert all(points - other >= MARGIN for other in others if other >= SCORE_MIN)
    in_doubt = {pair for group in choice.ambiguous for pair in group}
    assert not in_doubt & set(choice.certain)


@settings(max_examples=200)
@given(shops, shops)
def test_choosing_is_the_same_with_the_shops_exchanged(left: list[Traits], right: list[Traits]) -> None:
    one, other = chosen(left, right), chosen(right, left)
    assert sorted(one.certain) == sorted(Pair(p.right, p.left, p.points) for p in other.certain)
    assert {frozenset((p.left, p.right) for p in group) for group in one.ambiguous} == {
        frozenset((p.right, p.left) for p in group) for group in other.ambiguous
    }
    for mine, theirs in ((one.duplicates, other.duplicates), (one.splits, other.splits)):
        assert set(mine) == {s._replace(left_is_one=not s.left_is_one) for s in theirs}


def test_two_equally_good_partners_are_one_too_many_and_neither_is_chosen() -> None:
    choice = chosen([traits()], [traits(placed=T0 + 60), traits(placed=T0 + 90)])
    assert choice.certain == []
    assert choice.duplicates == [Several(left_is_one=True, one=0, several=(0, 1))]


def test_two_equal_orders_on_both_sides_are_ambiguous() -> None:
    choice = chosen([traits(), traits(placed=T0 + 600)], [traits(placed=T0 + 60), traits(placed=T0 + 660)])
    assert (choice.certain, choice.duplicates) == ([], [])
    assert [len(group) for group in choice.ambiguous] == [4]


def test_a_monthly_order_finds_the_one_of_its_month() -> None:
    month = 30 * 86_400
    orders = [traits(placed=T0 + index * month) for index in range(12)]
    mirrors = [traits(placed=T0 + index * month + 60) for index in range(12)]
    assert chosen(orders, mirrors).certain == [Pair(index, index, 100) for index in range(12)]


def test_in_a_block_too_large_to_compare_nothing_is_chosen_on_its_evidence() -> None:
    many = [traits(buyer=None) for _ in range(BLOCK_MAX + 1)]
    choice = chosen([traits(buyer=None)], many)
    assert (choice.certain, choice.ambiguous) == ([], [])
    crowd = Candidates(pool([traits(buyer=None)]), pool(many))
    assert crowd.unseen_left[0] > 0
    assert all(crowd.unseen_right)
    with_buyer = chosen([traits()], [traits(), *many])
    assert with_buyer.certain == [Pair(0, 0, 100)], "the buyer tells it from the best-seller's other orders"


def test_a_sale_that_was_split_is_found_from_either_side_and_never_chosen() -> None:
    whole, parts = traits(5_000, items=MUG + TEE), [traits(2_000, items=MUG), traits(3_000, items=TEE)]
    choice = chosen([whole], parts)
    assert choice.certain == []
    assert choice.splits == [Several(left_is_one=True, one=0, several=(0, 1))]
    assert chosen(parts, [whole]).splits == [Several(left_is_one=False, one=0, several=(0, 1))]
    assert chosen([whole], [traits(2_000, items=MUG), traits(3_000, items=MUG)]).splits == []
    assert chosen([whole], [parts[0], parts[1]._replace(placed=T0 + 200_000)]).splits == []


def test_parts_add_up_only_in_one_currency_and_with_all_items() -> None:
    whole = traits(5_000, items=(3 * MUG) % ITEMS_MODULUS)
    one, two = traits(2_000, items=MUG), traits(3_000, items=2 * MUG)
    assert adds_up(whole, [one, two])
    assert adds_up(whole, [one, two._replace(charged=3_001)])
    for other in (
        two._replace(charged=3_002),
        two._replace(currency="EUR"),
        two._replace(items=None),
        two._replace(draft=True),
    ):
        assert not adds_up(whole, [one, other])
    assert not adds_up(whole, [whole])


def test_an_order_that_is_linked_already_is_no_candidate_and_no_rival() -> None:
    choice = chosen([traits(), traits()], [traits(), traits()], [7, None], [7, None])
    assert choice.certain == [Pair(1, 1, 100)]


def test_a_second_mirror_of_a_linked_order_is_one_too_many() -> None:
    choice = chosen([traits()], [traits(), traits(placed=T0 + 120)], [7], [7, None])
    assert choice.certain == []
    assert choice.duplicates == [Several(left_is_one=True, one=0, several=(0, 1))]


def test_an_address_of_very_many_orders_is_no_buyer() -> None:
    till = [traits(placed=T0 + place * 90_000, items=place) for place in range(COMMON_MAX + 1)]
    left, right = pool(till), pool(till[:3])
    left.forget_common()
    right.forget_common()
    assert {left.traits(place).buyer for place in range(len(left))} == {None}
    assert [right.traits(place).buyer for place in range(3)] == [KIM] * 3
    assert [pair.points for pair in choose(Candidates(left, right)).certain] == [55] * 3


def test_two_links_are_never_joined() -> None:
    assert chosen([traits()], [traits()], [7], [8]).certain == []
    assert chosen([traits()], [traits()], [7], [None]).certain == [Pair(0, 0, 100)]


def test_a_pair_a_person_took_apart_is_no_candidate() -> None:
    candidates = Candidates(pool([traits()]), pool([traits(), traits()]))
    assert choose(candidates, {(0, 0)}).certain == [Pair(0, 1, 100)]


@pytest.mark.parametrize(
    "texts, tried",
    [
        (["SL-1043", "SL-1044", "SL-1045"], ["", "SL-"]),
        (["#1", "#2", "#3", "see above"], ["", "#"]),
        (["gid://x/Order/1", "gid://x/Order/2"], ["", "gid://x/Order/"]),
        (["SO1043", "SO1044"], ["", "SO"]),
        (["1043", "1044"], [""]),
        (["SL-1043", "a", "b", "c"], [""]),
        ([], [""]),
    ],
)
def test_a_common_prefix_is_worth_trying(texts: list[str], tried: list[str]) -> None:
    assert prefixes(texts) == tried
