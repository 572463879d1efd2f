"""What the persons of a day did, sale by sale: the referee's only source."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ordersync.testing.day.persons import DayClock, Person, Units
from ordersync.testing.sales import SaleSpec

Steps = Iterator[int]
"""A sale's day: yields how many rounds pass before it goes on."""
ASIA, OFFICE, WEB = "asia", "office", "web"
PAYING = ASIA
"""The shop whose refunds pay the buyer; the others keep books."""


@dataclass(slots=True)
class Deal:
    """One refund or one parcel as the merchant means it, however many shops it was typed in."""

    minor: int = 0
    units: Counter[str] = field(default_factory=Counter)
    tracking: str = ""
    records: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the records persons made, by shop."""
    counts: bool = True
    """False while a refund is pending, after it failed, and for a parcel that was taken back or never left."""


@dataclass(slots=True)
class DaySale:
    spec: SaleSpec
    shops: tuple[str, ...]
    fate: str
    calm: bool
    """Nothing about it needs a person: a hold on it is a surprise."""
    ids: dict[str, str] = field(default_factory=dict)
    refunds: list[Deal] = field(default_factory=list)
    parcels: list[Deal] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    completed: set[str] = field(default_factory=set)

    def sent(self) -> Counter[str]:
        """Units that left, by sku, as the merchant means it."""
        total: Counter[str] = Counter()
        for deal in self.parcels:
            if deal.counts:
                total.update(deal.units)
        return total

    def left_to_send(self) -> Counter[str]:
        return Counter({line.sku: line.quantity for line in self.spec.lines}) - self.sent()

    def left_minor(self) -> int:
        return self.spec.total_minor - sum(deal.minor for deal in self.refunds if deal.counts)


@dataclass(slots=True)
class Book:
    """Persons act through it, so that what they did is written down with them doing it."""

    clock: DayClock
    persons: Mapping[str, Person]
    place_as: Callable[[str, DaySale], SaleSpec]
    """How a sale is placed in a shop: its provider and what names it elsewhere."""
    refunds_of: Callable[[str, str], Mapping[str, int]]
    """(shop, order id) to the refund records there and their minor units: what a cancel gave back is seen there."""
    dice: random.Random
    deeds: int = 0
    _parcels: int = 0

    def can(self, shop: str, *skills: str) -> bool:
        return set(skills) <= self.persons[shop].can

    def one_of(self, sale: DaySale, *skills: str) -> str | None:
        """A shop of the sale whose person can do all that; None: no shop."""
        able = [shop for shop in sale.ids if self.can(shop, *skills)]
        return self.dice.choice(able) if able else None

    def _acts(self, shop: str) -> Person:
        self.deeds += 1
        self.clock.move_to(self.clock.at + timedelta(seconds=self.dice.randint(2, 20)))
        return self.persons[shop]

    def place(self, sale: DaySale, shop: str) -> None:
        person = self._acts(shop)
        spec = replace(self.place_as(shop, sale), placed_at=self.clock.at.replace(microsecond=0))
        sale.ids[shop] = person.place(spec)

    def pay(self, sale: DaySale, *shops: str) -> None:
        """In these shops, or in all of them, each by its own person."""
        for shop in shops or sale.ids:
            self._acts(shop).pay(sale.ids[shop])

    def refund(
        self,
        sale: DaySale,
        shop: str,
        minor: int,
        *,
        units: Units | None = None,
        shipping_minor: int = 0,
        pending: bool = False,
        same_as: Deal | None = None,
    ) -> Deal:
        record = self._acts(shop).refund(
            sale.ids[shop], minor, units=units or {}, shipping_minor=shipping_minor, pending=pending
        )
        deal = same_as or Deal(minor, counts=not pending)
        deal.records.setdefault(shop, []).append(record)
        if same_as is None:
            sale.refunds.append(deal)
        return deal

    def settle(self, sale: DaySale, deal: Deal, *, well: bool) -> None:
        for shop, records in deal.records.items():
            for record in records:
                self._acts(shop).settle(sale.ids[shop], record, well=well)
        deal.counts = well

    def cancel(self, sale: DaySale, shop: str) -> None:
        """The platform may give back by itself what is left; that is a refund of its own."""
        before = self.refunds_of(shop, sale.ids[shop])
        self._acts(shop).cancel(sale.ids[shop])
        sale.cancelled.add(shop)
        for record, minor in self.refunds_of(shop, sale.ids[shop]).items():
            if record not in before:
                sale.refunds.append(Deal(minor, records={shop: [record]}))

    def pack(self, sale: DaySale, shop: str, units: Units) -> Deal:
        self._parcels += 1
        deal = Deal(units=Counter(units), tracking=f"SF{self._parcels:07}", counts=False)
        parcel = self._acts(shop).pack(sale.ids[shop], units, deal.tracking)
        deal.records[shop] = [parcel]
        sale.parcels.append(deal)
        return deal

    def send(
        self,
        sale: DaySale,
        shop: str,
        units: Units | None = None,
        *,
        packed: Deal | None = None,
        same_as: Deal | None = None,
    ) -> Deal:
        """A parcel leaves: packed before, or packed and sent at once; None: all that is left."""
        what = Counter(packed.units if packed else units or sale.left_to_send())
        known = packed or same_as
        if known is None:
            self._parcels += 1
            known = Deal(units=what, tracking=f"SF{self._parcels:07}")
            sale.parcels.append(known)
        ready = packed.records[shop][0] if packed else None
        parcel = self._acts(shop).send(sale.ids[shop], what, ready, known.tracking)
        known.records[shop] = [parcel]
        known.counts = True
        return known

    def deliver(self, sale: DaySale, deal: Deal) -> None:
        for shop, parcels in deal.records.items():
            if self.can(shop, "deliver"):
                for parcel in parcels:
                    self._acts(shop).deliver(sale.ids[shop], parcel)

    def take_back(self, sale: DaySale, deal: Deal) -> None:
        """A parcel is cancelled in the shop it was made in."""
        for shop, parcels in deal.records.items():
            for parcel in parcels:
                self._acts(shop).cancel_parcel(sale.ids[shop], parcel)
        deal.counts = False

    def complete(self, sale: DaySale, shop: str) -> None:
        self._acts(shop).complete(sale.ids[shop])
        sale.completed.add(shop)

    def archive(self, sale: DaySale, shop: str, *, hidden: bool) -> None:
        self._acts(shop).archive(sale.ids[shop], hidden=hidden)

    def edit(self, sale: DaySale, shop: str) -> None:
        self._acts(shop).edit(sale.ids[shop], f"call back, {self.dice.randint(1, 99)}")

    def edit_reference(self, sale: DaySale, shop: str) -> None:
        self._acts(shop).edit_reference(sale.ids[shop], f"SL-{self.dice.randint(9_000_000, 9_999_999)}")
