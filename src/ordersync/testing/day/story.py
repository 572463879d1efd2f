"""The day's plot: which sales there are, where and when they are placed, and what becomes of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ordersync.testing.day.book import ASIA, OFFICE, WEB, Book, DaySale, Steps
from ordersync.testing.day.fates import CHANCES, Fate
from ordersync.testing.day.persons import PERSONS, DayClock
from ordersync.testing.sales import SaleSpec, sales
from ordersync.testing.story import PROVIDERS

HOUR = timedelta(hours=1)
PLACED_WITHIN = 12
"""Hours in which the day's sales are placed; what happens to them takes up to half a day more."""
LONGEST = 48
"""Hours after which a story that has not ended is an error in the story."""
RULES = (
    {"from": OFFICE, "field": "metadata.external_id", "strip": "SL-", "to": f"{ASIA}.number"},
    {"from": WEB, "field": "metadata.external_id", "strip": "SL-", "to": f"{ASIA}.number"},
    {"from": WEB, "field": "metadata.office_number", "strip": "OF-", "to": f"{OFFICE}.number"},
)
"""What a configuration must say for the day's sales to be linked."""
FATES: Mapping[str, Fate] = {chance.fate.__name__: chance.fate for chance in CHANCES}
_LEAST_MINOR = 2000
"""Smaller sales have no room for several different refunds."""


@dataclass(slots=True)
class DayStory:
    """`play` one hour after the other until `ended`."""

    book: Book
    sales: list[DaySale]
    born: dict[int, int]
    """Hour in which each sale is placed, by its number."""
    start: datetime
    _going: dict[int, tuple[int, Steps]] = field(default_factory=dict)
    hour: int = 0

    @property
    def ended(self) -> bool:
        return self.hour > PLACED_WITHIN and not self._going

    def play(self) -> int:
        """One hour: sales are placed, persons act. Returns how many deeds there were."""
        before = self.book.deeds
        self.book.clock.move_to(self.start + self.hour * HOUR)
        awake = [sale for sale in self.sales if self._due(sale)]
        self.book.dice.shuffle(awake)
        for sale in awake:
            number = sale.spec.number
            if self.born[number] == self.hour:
                self._place(sale)
                self._going[number] = (self.hour, FATES[sale.fate](self.book, sale))
            self._go_on(number)
        self.hour += 1
        if self.hour > LONGEST:
            raise RuntimeError(f"the day does not end: {sorted(self._going)}")
        return self.book.deeds - before

    def _due(self, sale: DaySale) -> bool:
        going = self._going.get(sale.spec.number)
        return self.born[sale.spec.number] == self.hour if going is None else going[0] <= self.hour

    def _place(self, sale: DaySale) -> None:
        for shop in sale.shops:
            self.book.place(sale, shop)

    def _go_on(self, number: int) -> None:
        wake, steps = self._going[number]
        while wake <= self.hour:
            pause = next(steps, None)
            if pause is None:
                del self._going[number]
                return
            wake += pause
        self._going[number] = (wake, steps)


def make_day(seed: int, count: int, sandboxes: Mapping[str, Any], clock: DayClock) -> DayStory:
    """`count` sales over the three shops; the same seed gives the same day."""
    dice = random.Random(seed)  # noqa: S311  # reproducible test data, not a secret
    persons = {name: PERSONS[box.platform](box) for name, box in sandboxes.items()}

    def place_as(shop: str, sale: DaySale) -> SaleSpec:
        references: dict[str, str] = {}
        if shop != ASIA and ASIA in sale.shops:
            references = {"external_id": f"SL-{sale.spec.number}"}
        elif shop == WEB:
            references = {"office_number": f"OF-{persons[OFFICE].number(sale.ids[OFFICE])}"}
        return replace(sale.spec, provider=PROVIDERS[shop], references=references)

    def refunds_of(shop: str, order_id: str) -> dict[str, int]:
        return {row[1]: row[2] for row in sandboxes[shop].own_refunds() if row[0] == order_id and row[2] > 0}

    book = Book(clock, persons, place_as, refunds_of, dice)
    made: list[DaySale] = []
    specs = sales(seed, count * 4 + 20, first_number=10_001)
    for spec in [spec for spec in specs if spec.total_minor >= _LEAST_MINOR][:count]:
        [chance] = dice.choices(CHANCES, [one.weight for one in CHANCES])
        two = [(ASIA, OFFICE), (ASIA, WEB), (OFFICE, WEB)]
        shops = (ASIA, OFFICE, WEB) if dice.random() < 0.5 else dice.choice(two)
        if chance.late:
            shops = (ASIA, OFFICE)
        made.append(
            DaySale(
                replace(spec, paid=chance.paid),
                shops,
                chance.fate.__name__,
                chance.calm,
            )
        )
    born = {sale.spec.number: dice.randrange(PLACED_WITHIN + 1) for sale in made}
    return DayStory(book, made, born, clock.at)
