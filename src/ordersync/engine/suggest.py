"""Propose links and rules from what is stored, and make those a person accepts. Writes to no platform."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import NamedTuple

from ordersync.errors import UsageError
from ordersync.model import Hold, Link, LinkOrigin, OrderRef, stable_hash
from ordersync.reconcile.choose import Chains, Choice, Pair, Several, choose
from ordersync.reconcile.references import several_hold
from ordersync.reconcile.rules import DUPLICATE_MIRROR, SPLIT_SALE
from ordersync.reconcile.suggest import SCORE_MIN, Candidates, Pool, score
from ordersync.store import NewLink, Store

BY_SUGGESTION = "suggested: "
"""How the evidence of holds begins that were found here."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Orders that are probably one sale. `joins`: the link some of them are in already, which would grow."""

    members: tuple[OrderRef, ...]
    points: int
    evidence: tuple[str, ...]
    joins: int | None = None

    @property
    def number(self) -> str:
        """Made from the members: it names the same suggestion at every run."""
        return suggestion_number(self.members)


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Orders of which only some belong together, and nothing says which."""

    members: tuple[OrderRef, ...]
    points: int


class _Sale(NamedTuple):
    one: OrderRef
    other: OrderRef
    points: int
    evidence: tuple[str, ...]


@dataclass(slots=True)
class Suggestions:
    pairs: list[Suggestion] = field(default_factory=list)
    """Best first."""
    ambiguous: list[Ambiguous] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    """Split sales and duplicates: never linked, see `hold_them`."""
    orders: int = 0
    crowded: int = 0
    """Orders with too many equal ones to compare them all."""


def suggestion_number(members: Iterable[OrderRef]) -> str:
    digest = stable_hash(*(part for ref in sorted(members) for part in ref))
    return "s-" + base64.b32encode(bytes.fromhex(digest[:10])).decode().lower()


def suggest(store: Store, shops: Sequence[str]) -> Suggestions:
    """Compare the orders of every two shops. Memory grows by about 150 bytes an order."""
    found = Suggestions()
    pools = {shop: _pool(store, shop) for shop in shops}
    found.orders = sum(len(pool) for pool in pools.values())
    parted = store.unlinked_pairs()
    certain: list[_Sale] = []
    crowded: set[tuple[str, int]] = set()
    for one, other in combinations(shops, 2):
        candidates = Candidates(pools[one], pools[other])
        for shop, unseen in ((one, candidates.unseen_left), (other, candidates.unseen_right)):
            crowded |= {(shop, place) for place, points in enumerate(unseen) if points}
        choice = choose(candidates, _places(parted, one, pools[one], other, pools[other]))
        del candidates
        names = _Names(one, pools[one], other, pools[other])
        certain += [names.of(pair) for pair in choice.certain]
        found.ambiguous += [names.ambiguous(group) for group in choice.ambiguous]
        found.holds += names.holds(choice)
    found.crowded = len(crowded)
    _merge(certain, pools, parted, found)
    found.pairs.sort(key=lambda one: (-one.points, one.members))
    found.ambiguous.sort(key=lambda one: (-one.points, one.members))
    return found


def hold_them(store: Store, found: Suggestions, now: datetime) -> list[str]:
    """Open the holds that were found, close those that are no longer so; the numbers of new ones."""
    return store.derive_holds(
        found.holds, (SPLIT_SALE, DUPLICATE_MIRROR), BY_SUGGESTION, now, "no longer so at the last look"
    )


def chosen(found: Suggestions, numbers: Collection[str], min_score: int | None) -> list[Suggestion]:
    """The suggestions a person means: by number, or all of at least a score.

    UsageError `unknown_suggestion` names numbers that are not suggested (any more).
    """
    if min_score is not None and not SCORE_MIN <= min_score <= 100:
        raise UsageError(
            f"a score is {SCORE_MIN} to 100", code="bad_score", next_step="see them: ordersync links suggest"
        )
    wanted = {number.strip().lower() for number in numbers}
    missing = wanted - {one.number for one in found.pairs}
    if missing:
        raise UsageError(
            f"not suggested (any more): {', '.join(sorted(missing))}; nothing was linked",
            code="unknown_suggestion",
            next_step="see what is: ordersync links suggest",
        )
    return [
        one
        for one in found.pairs
        if one.number in wanted or (min_score is not None and not wanted and one.points >= min_score)
    ]


def adopt(store: Store, accepted: Sequence[Suggestion], now: datetime) -> list[Link]:
    """Make these links in one transaction, or none: LinksRefused when an order was linked meanwhile."""
    return store.add_links(
        [
            NewLink(one.members, LinkOrigin.SUGGESTION, f"score {one.points}", joins=one.joins is not None)
            for one in accepted
        ],
        now,
    )


def _pool(store: Store, shop: str) -> Pool:
    pool = Pool()
    for row in store.pooled(shop):
        pool.add(row.order_id, row.traits, row.link)
    pool.forget_common()
    return pool


def _places(
    parted: Collection[frozenset[OrderRef]], one: str, mine: Pool, other: str, theirs: Pool
) -> set[tuple[int, int]]:
    """Pairs of these two shops that a person took apart, by their places in the pools."""
    named = [{ref.shop: ref.order_id for ref in pair} for pair in parted]
    pairs = [(pair[one], pair[other]) for pair in named if one in pair and other in pair]
    if not pairs:
        return set()
    left, right = ({order_id: place for place, order_id in enumerate(pool.ids)} for pool in (mine, theirs))
    return {(left[a], right[b]) for a, b in pairs if a in left and b in right}


class _Names:
    """From places in two pools to orders."""

    def __init__(self, one: str, mine: Pool, other: str, theirs: Pool) -> None:
        self._left = (one, mine)
        self._right = (other, theirs)

    def ref(self, place: int, *, left: bool) -> OrderRef:
        shop, pool = self._left if left else self._right
        return OrderRef(shop, pool.ids[place])

    def of(self, pair: Pair) -> _Sale:
        evidence = score(self._left[1].traits(pair.left), self._right[1].traits(pair.right)).evidence
        return _Sale(self.ref(pair.left, left=True), self.ref(pair.right, left=False), pair.points, evidence)

    def ambiguous(self, group: Sequence[Pair]) -> Ambiguous:
        refs = {ref for pair in group for ref in self.of(pair)[:2]}
        return Ambiguous(tuple(sorted(refs)), max(pair.points for pair in group))

    def holds(self, choice: Choice) -> list[Hold]:
        return [
            *(self._hold(DUPLICATE_MIRROR, several) for several in choice.duplicates),
            *(self._hold(SPLIT_SALE, several) for several in choice.splits),
        ]

    def _hold(self, code: str, found: Several) -> Hold:
        whole = self.ref(found.one, left=found.left_is_one)
        parts = [self.ref(place, left=not found.left_is_one) for place in found.several]
        why = "same e-mail, items and total" if code == DUPLICATE_MIRROR else "same buyer, items and totals add up"
        return several_hold(code, whole, parts, (f"{BY_SUGGESTION}{why}",))


def _merge(
    certain: Sequence[_Sale], pools: dict[str, Pool], parted: Collection[frozenset[OrderRef]], found: Suggestions
) -> None:
    """Pairs that share an order (or a link) are one sale, unless a shop would be in it twice."""
    links = _links_of({ref for sale in certain for ref in sale[:2]}, pools)
    chains = Chains()
    for sale in certain:
        chains.join(links.get(sale.one, sale.one), links.get(sale.other, sale.other))
    groups: dict[object, list[_Sale]] = {}
    for sale in certain:
        groups.setdefault(chains.head(links.get(sale.one, sale.one)), []).append(sale)
    for sales in groups.values():
        refs = tuple(sorted({ref for sale in sales for ref in sale[:2]}))
        weakest = min(sales, key=lambda sale: sale.points)
        joined = {links[ref] for ref in refs if ref in links}
        free = [ref.shop for ref in refs if ref not in links]
        apart = parted and any(frozenset(two) in parted for two in combinations(refs, 2))
        if len(joined) > 1 or len(set(free)) < len(free) or apart:
            found.ambiguous.append(Ambiguous(refs, weakest.points))
            continue
        joins = joined.pop() if joined else None
        found.pairs.append(Suggestion(refs, weakest.points, weakest.evidence, joins))


def _links_of(refs: Collection[OrderRef], pools: dict[str, Pool]) -> dict[OrderRef, int]:
    return {
        OrderRef(shop, pool.ids[place]): link
        for shop, pool in pools.items()
        for place, link in enumerate(pool.links)
        if link >= 0 and OrderRef(shop, pool.ids[place]) in refs
    }
