"""From candidate pairs to what is said about them: one sale, ambiguous, one too many, or split. Pure.

A pair is certain only when it is the best of both its orders by MARGIN. Nothing is chosen between two that are about
as good, and no choice rests on an earlier choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from ordersync.reconcile.rules import adds_up
from ordersync.reconcile.suggest import MARGIN, SCORE_MIN, TOLERANCE_MINOR, Candidates, Pool

DUPLICATE_MIN = 92
"""Same total, e-mail and items within an hour: below it a second order is another order."""
SPLIT_WITHIN_S = 86_400
SPLIT_BLOCK_MAX = 12
"""Unpaired orders of one buyer at one shop that are tried two by two."""


class Pair(NamedTuple):
    left: int
    right: int
    points: int


class Several(NamedTuple):
    """One order of one shop and several of the other. `left_is_one`: the one is of the first pool."""

    left_is_one: bool
    one: int
    several: tuple[int, ...]


class Choice(NamedTuple):
    certain: list[Pair]
    ambiguous: list[tuple[Pair, ...]]
    """Pairs that hang together; at most one can be right for each order."""
    duplicates: list[Several]
    splits: list[Several]


class Chains:
    """Which things hang together, when told which two do."""

    def __init__(self) -> None:
        self._next: dict[object, object] = {}

    def head(self, thing: object) -> object:
        """The same for all things that hang together."""
        while (after := self._next.get(thing, thing)) != thing:
            self._next[thing] = self._next.get(after, after)
            thing = after
        return thing

    def join(self, one: object, other: object) -> None:
        head, tail = self.head(one), self.head(other)
        if head != tail:
            self._next[tail] = head


class _Best:
    """Per order the points of its best candidate and of the next."""

    def __init__(self, size: int) -> None:
        self.best = bytearray(size)
        self.second = bytearray(size)

    def see(self, place: int, points: int) -> None:
        if points > self.best[place]:
            self.second[place] = self.best[place]
            self.best[place] = points
        else:
            self.second[place] = max(self.second[place], points)


def choose(candidates: Candidates, parted: Collection[tuple[int, int]] = ()) -> Choice:
    """`parted`: (left, right) places a person took apart; they are no candidates."""
    one, other = candidates.one, candidates.other
    taken_left, taken_right = _taken(one, other), _taken(other, one)
    left, right = _Best(len(one)), _Best(len(other))
    mirrors: list[Pair] = []
    for pair in _pairs(candidates, parted):
        if not taken_left[pair.left] and not taken_right[pair.right]:
            left.see(pair.left, pair.points)
            right.see(pair.right, pair.points)
        elif pair.points >= DUPLICATE_MIN and taken_left[pair.left] != taken_right[pair.right]:
            mirrors.append(pair)
    certain: list[Pair] = []
    settled_left, settled_right = bytearray(taken_left), bytearray(taken_right)
    for pair in _pairs(candidates, parted):
        if taken_left[pair.left] or taken_right[pair.right] or _joins_links(one, other, pair):
            continue
        rivals = max(
            left.second[pair.left],
            right.second[pair.right],
            left.best[pair.left] if left.best[pair.left] > pair.points else 0,
            right.best[pair.right] if right.best[pair.right] > pair.points else 0,
            candidates.unseen_left[pair.left],
            candidates.unseen_right[pair.right],
        )
        if pair.points - rivals >= MARGIN:
            certain.append(pair)
            settled_left[pair.left] = settled_right[pair.right] = 1
    open_pairs = [
        pair
        for pair in _pairs(candidates, parted)
        if not settled_left[pair.left]
        and not settled_right[pair.right]
        and pair.points > max(left.best[pair.left], right.best[pair.right]) - MARGIN
    ]
    duplicates, ambiguous = _sort_out(open_pairs)
    duplicates += _second_mirrors(one, other, mirrors, left, right)
    for found in duplicates:
        mine, theirs = (settled_left, settled_right) if found.left_is_one else (settled_right, settled_left)
        mine[found.one] = 1
        for place in found.several:
            theirs[place] = 1
    return Choice(certain, ambiguous, duplicates, list(_splits(one, other, settled_left, settled_right)))


def _pairs(candidates: Candidates, parted: Collection[tuple[int, int]]) -> Iterator[Pair]:
    for left, right, points in candidates:
        if not parted or (left, right) not in parted:
            yield Pair(left, right, points)


def _taken(pool: Pool, other: Pool) -> bytearray:
    """Orders whose link has an order of the other shop already."""
    links = set(other.links)
    links.discard(-1)
    return bytearray(link in links for link in pool.links)


def _joins_links(one: Pool, other: Pool, pair: Pair) -> bool:
    return one.links[pair.left] >= 0 and other.links[pair.right] >= 0


def _sort_out(pairs: list[Pair]) -> tuple[list[Several], list[tuple[Pair, ...]]]:
    """Pairs that hang together: one order with several equals on the other side is a duplicate, else ambiguous."""
    chains = Chains()
    for pair in pairs:
        chains.join((True, pair.left), (False, pair.right))
    groups: dict[object, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(chains.head((True, pair.left)), []).append(pair)
    duplicates: list[Several] = []
    ambiguous: list[tuple[Pair, ...]] = []
    for group in groups.values():
        lefts, rights = sorted({p.left for p in group}), sorted({p.right for p in group})
        strong = all(pair.points >= DUPLICATE_MIN for pair in group) and len(group) > 1
        if strong and len(lefts) == 1:
            duplicates.append(Several(left_is_one=True, one=lefts[0], several=tuple(rights)))
        elif strong and len(rights) == 1:
            duplicates.append(Several(left_is_one=False, one=rights[0], several=tuple(lefts)))
        else:
            ambiguous.append(tuple(sorted(group)))
    return duplicates, sorted(ambiguous)


def _second_mirrors(one: Pool, other: Pool, mirrors: list[Pair], left: _Best, right: _Best) -> list[Several]:
    """Free orders without a free candidate that equal an order whose link has another of their shop."""
    in_link_left = {link: place for place, link in enumerate(one.links) if link >= 0} if mirrors else {}
    in_link_right = {link: place for place, link in enumerate(other.links) if link >= 0} if mirrors else {}
    found: dict[tuple[bool, int], set[int]] = {}
    for pair in mirrors:
        mine, theirs = one.links[pair.left], other.links[pair.right]
        if mine in in_link_right and theirs < 0 and right.best[pair.right] < SCORE_MIN:
            found.setdefault((True, pair.left), {in_link_right[mine]}).add(pair.right)
        elif theirs in in_link_left and mine < 0 and left.best[pair.left] < SCORE_MIN:
            found.setdefault((False, pair.right), {in_link_left[theirs]}).add(pair.left)
    return [
        Several(left_is_one=left_is_one, one=place, several=tuple(sorted(several)))
        for (left_is_one, place), several in sorted(found.items())
    ]


def _splits(one: Pool, other: Pool, settled_left: bytearray, settled_right: bytearray) -> Iterator[Several]:
    mine, theirs = _by_buyer(one, settled_left), _by_buyer(other, settled_right)
    seen: set[Several] = set()
    for key, lefts in mine.items():
        rights = theirs.get(key, [])
        if not rights or len(lefts) > SPLIT_BLOCK_MAX or len(rights) > SPLIT_BLOCK_MAX:
            continue
        for found in (
            *_split_in(one, lefts, other, rights, left_is_one=True),
            *_split_in(other, rights, one, lefts, left_is_one=False),
        ):
            if found not in seen:
                seen.add(found)
                yield found


def _by_buyer(pool: Pool, settled: bytearray) -> dict[int, list[int]]:
    blocks: dict[int, list[int]] = {}
    for place in range(len(pool)):
        if not settled[place] and pool.links[place] < 0:
            for key in pool.by_buyer(place):
                blocks.setdefault(key, []).append(place)
    return blocks


def _split_in(
    one: Pool, wholes: list[int], other: Pool, parts: list[int], *, left_is_one: bool
) -> Iterator[Several]:
    for whole in wholes:
        all_of_it = one.traits(whole)
        near = [
            (place, traits)
            for place in parts
            for traits in (other.traits(place),)
            if traits.placed is None
            or all_of_it.placed is None
            or abs(traits.placed - all_of_it.placed) <= SPLIT_WITHIN_S
        ]
        for index, (first, mine) in enumerate(near):
            for second, theirs in near[index + 1 :]:
                if adds_up(all_of_it, [mine, theirs], TOLERANCE_MINOR):
                    yield Several(left_is_one=left_is_one, one=whole, several=(first, second))
