"""Which orders of two shops are probably the same sale: scored, never guessed. Pure.

Only orders that share a block are compared: the same e-mail hash, the same phone hash, or the same items within an
hour, each together with currency and total. Every pair that can reach SCORE_MIN shares one of these, so nothing is
lost; a block that is too large to compare (a best-seller, one buyer's hundred equal orders) is not, and then no order
in it is suggested on evidence that an unseen order of the block could match.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ordersync.model.traits import Traits

SCORE_MIN = 50
"""Below this a pair is chance."""
MARGIN = 15
"""A pair is suggested only when every other candidate of both orders is worse by this much."""
STRONG = 60
"""Only with the same buyer: totals, items and times alone do not reach it."""
TOLERANCE_MINOR = 1
COMMON_MAX = 200
"""Orders of one shop with one e-mail address (or phone); beyond it the address is a placeholder or a till's."""
BLOCK_MAX = 64
"""Orders of one shop in one block; at most this many squared pairs are compared."""
_WITHOUT_BUYER_MAX = 55
_MINUTES_5, _HOUR, _DAY = 300, 3600, 86_400
_UNKNOWN = -1


class Score(NamedTuple):
    points: int
    """0 to 100; 0 where currency, total or a draft rules the pair out."""
    evidence: tuple[str, ...]
    """In words, without the buyer's data; the same total goes without saying."""


def score(one: Traits, other: Traits) -> Score:
    """Symmetric. Total 10, e-mail 45 (phone 30), items 25, time 20; what differs takes points away."""
    if one.draft or other.draft or one.charged is None or other.charged is None:
        return Score(0, ())
    if (one.currency, one.charged_currency) != (other.currency, other.charged_currency):
        return Score(0, ())
    if abs(one.charged - other.charged) > TOLERANCE_MINOR:
        return Score(0, ())
    points = 10
    evidence: list[str] = []
    if one.buyer is not None and one.buyer == other.buyer:
        points += 45
        evidence.append("same e-mail")
    elif one.phone is not None and one.phone == other.phone:
        points += 30
        evidence.append("same phone")
    elif one.buyer is not None and other.buyer is not None:
        points -= 40
        evidence.append("another e-mail")
    if one.items is None or other.items is None:
        evidence.append("items unknown")
    elif one.items == other.items:
        points += 25
        evidence.append("same items")
    else:
        points -= 20
        evidence.append("other items")
    if one.placed is None or other.placed is None:
        evidence.append("time unknown")
    else:
        apart = abs(one.placed - other.placed)
        points += 20 if apart <= _MINUTES_5 else 17 if apart <= _HOUR else 10 if apart <= _DAY else 0
        evidence.append(_apart(apart))
    return Score(max(0, points), tuple(evidence))


def _apart(seconds: int) -> str:
    if seconds <= _HOUR:
        return f"{seconds // 60} min apart"
    return f"{seconds // _HOUR} h apart" if seconds <= 2 * _DAY else f"{seconds // _DAY} d apart"


class Pool:
    """The orders of one shop in columns: 200,000 of them take about 30 MB."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._money = array("q")
        self._charged = array("q")
        self._items = array("q")
        self._placed = array("q")
        self._buyer = array("q")
        self._phone = array("q")
        self.links = array("q")
        """Number of the link each belongs to; -1 for none."""
        self._codes: list[tuple[str, str | None]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, order_id: str, traits: Traits, link: int | None) -> None:
        """Drafts and orders without a known total are nobody's pair and are left out."""
        if traits.draft or traits.charged is None:
            return
        money = (traits.currency, traits.charged_currency)
        if money not in self._codes:
            self._codes.append(money)
        self.ids.append(order_id)
        self._money.append(self._codes.index(money))
        self._charged.append(traits.charged)
        for column, value in (
            (self._items, traits.items),
            (self._placed, traits.placed),
            (self._buyer, traits.buyer),
            (self._phone, traits.phone),
            (self.links, link),
        ):
            column.append(_UNKNOWN if value is None else value)

    def forget_common(self) -> None:
        """Call once all orders are in: an address or phone of very many orders is the shop's own, not a buyer's."""
        for column in (self._buyer, self._phone):
            often = {value for value, count in Counter(column).items() if count > COMMON_MAX}
            for place, value in enumerate(column):
                if value in often:
                    column[place] = _UNKNOWN

    def traits(self, place: int) -> Traits:
        currency, charged_currency = self._codes[self._money[place]]
        return Traits(
            currency,
            self._charged[place],
            charged_currency,
            _known(self._items[place]),
            _known(self._placed[place]),
            _known(self._buyer[place]),
            _known(self._phone[place]),
            draft=False,
        )

    def money(self, place: int) -> int:
        """The same number for the same currencies in every pool of one run."""
        return hash(self._codes[self._money[place]])

    def by_email(self, place: int, cents: int = 0, _hours: int = 0) -> int | None:
        buyer = self._buyer[place]
        return None if buyer < 0 else hash((buyer, self.money(place), self._charged[place] + cents))

    def by_phone(self, place: int, cents: int = 0, _hours: int = 0) -> int | None:
        phone = self._phone[place]
        return None if phone < 0 else hash((phone, self.money(place), self._charged[place] + cents))

    def by_items(self, place: int, cents: int = 0, hours: int = 0) -> int | None:
        items, placed = self._items[place], self._placed[place]
        if items < 0 or placed < 0:
            return None
        return hash((items, self.money(place), self._charged[place] + cents, placed // _HOUR + hours))

    def by_buyer(self, place: int) -> Iterator[int]:
        """Blocks for split sales: one buyer in one currency, whatever the totals."""
        for kind, value in (("mail", self._buyer[place]), ("phone", self._phone[place])):
            if value >= 0:
                yield hash((kind == "mail", value, self.money(place)))


def _known(value: int) -> int | None:
    return None if value == _UNKNOWN else value


class Candidates:
    """Pairs of two pools that reach SCORE_MIN, in columns, and how good a pair nobody looked at could be."""

    def __init__(self, one: Pool, other: Pool) -> None:
        self.one, self.other = one, other
        self.left = array("q")
        self.right = array("q")
        self.points = array("b")
        self.unseen_left = bytearray(len(one))
        """Per order of `one` the most points a candidate in a block that was too large could have."""
        self.unseen_right = bytearray(len(other))
        cents = range(-TOLERANCE_MINOR, TOLERANCE_MINOR + 1)
        near = [(cent, 0) for cent in cents]
        self._block(Pool.by_email, near, 100, ())
        self._block(Pool.by_phone, near, 100, ("buyer",))
        hours = [(cent, hour) for cent in cents for hour in (-1, 0, 1)]
        self._block(Pool.by_items, hours, _WITHOUT_BUYER_MAX, ("buyer", "phone"))

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return zip(self.left, self.right, self.points, strict=True)

    def _block(
        self,
        key: Callable[..., int | None],
        steps: Iterable[tuple[int, int]],
        best_unseen: int,
        seen_by: tuple[str, ...],
    ) -> None:
        """Compare the orders whose keys meet. Pairs that share one of `seen_by` were compared by an earlier key."""
        mine, theirs = _blocks(self.one, key), _blocks(self.other, key)
        steps = list(steps)
        crowded: set[int] = set()
        for block in mine.values():
            for cents, hours in steps:
                met = key(self.one, block[0], cents, hours)
                others = theirs.get(met) if met is not None else None
                if not others:
                    continue
                if len(block) > BLOCK_MAX or len(others) > BLOCK_MAX:
                    _raise_to(self.unseen_left, block, best_unseen)
                    crowded.add(others[0])
                    continue
                for left in block:
                    self._compare(left, others, seen_by)
        for block in theirs.values():
            if block[0] in crowded:
                _raise_to(self.unseen_right, block, best_unseen)

    def _compare(self, left: int, others: Iterable[int], seen_by: tuple[str, ...]) -> None:
        mine = self.one.traits(left)
        for right in others:
            theirs = self.other.traits(right)
            if any(
                getattr(mine, name) is not None and getattr(mine, name) == getattr(theirs, name)
                for name in seen_by
            ):
                continue
            points = score(mine, theirs).points
            if points >= SCORE_MIN:
                self.left.append(left)
                self.right.append(right)
                self.points.append(points)


def _blocks(pool: Pool, key: Callable[..., int | None]) -> dict[int, array[int]]:
    """Places by key."""
    blocks: dict[int, array[int]] = {}
    for place in range(len(pool)):
        value = key(pool, place)
        if value is not None:
            if value in blocks:
                blocks[value].append(place)
            else:
                blocks[value] = array("q", (place,))
    return blocks


def _raise_to(unseen: bytearray, places: Iterable[int], points: int) -> None:
    for place in places:
        unseen[place] = max(unseen[place], points)
