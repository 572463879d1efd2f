"""Many links in one transaction: all of them, or none and the reason for each that cannot be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ordersync.errors import UsageError
from ordersync.model import Link, LinkOrigin, OrderRef
from ordersync.store.links import checked_members, joined_text, link_of_row
from ordersync.store.part import Part
from ordersync.store.tables import LINKS, MEMBERS

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class NewLink:
    members: tuple[OrderRef, ...]
    origin: LinkOrigin
    rule: str | None = None
    joins: bool = False
    """Members that are linked already may all be of one link: the others join it."""


class LinksRefused(UsageError):
    """Nothing was stored. `reasons`: per place in the list that was given, why that link cannot be made."""

    def __init__(self, reasons: Mapping[int, UsageError]) -> None:
        first = next(iter(reasons.values()))
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        super().__init__(
            f"{first.message}{more}; nothing was linked",
            code=first.code,
            next_step=first.next_step or "see the links there are: ordersync links list",
        )
        self.reasons = dict(reasons)


class ManyLinks(Part):
    def add_links(self, wanted: Sequence[NewLink], now: datetime) -> list[Link]:
        """Store these links in one transaction and return them in their order; each is dirty at once.

        Errors: LinksRefused with `too_few_members`, `same_shop_twice`, `link_exists`, `already_linked` or
        `ref_in_two_links` (an order stands in two of the new links) per place. Nothing is stored then.
        """
        with self.db.write() as connection:
            batch = _Batch(connection, wanted, now)
            if batch.refused:
                raise LinksRefused(batch.refused)
            numbers = _insert(connection, [wanted[place] for place in batch.new], batch, now)
            for number in sorted(batch.grown):
                grown = batch.live[number]
                members = json.dumps(grown.members, ensure_ascii=False)
                joined = joined_text(grown.joined)
                connection.execute(
                    update(LINKS)
                    .where(LINKS.c.number == number)
                    .values(members=members, joined=joined, version=LINKS.c.version + 1)
                )
            rows = [
                {"shop": ref.shop, "order_id": ref.order_id, "link": link}
                for place, refs in batch.joining.items()
                for link in (numbers[place] if place in numbers else batch.into[place],)
                for ref in refs
            ]
            if rows:
                connection.execute(insert(MEMBERS), rows)
        return [
            batch.live[batch.into[place]]
            if place in batch.into
            else Link(
                link_id=f"L{numbers[place]}",
                members=batch.joining[place],
                origin=one.origin,
                rule=one.rule,
                made_at=now,
            )
            for place, one in enumerate(wanted)
        ]

    def link_numbers(self, refs: Sequence[OrderRef]) -> dict[OrderRef, int]:
        """The number of the link each of these orders is in; orders without one are left out."""
        with self.db.read() as connection:
            return _links_of(connection, refs)

    def unlinked_pairs(self) -> set[frozenset[OrderRef]]:
        """Pairs of orders a person took out of a link: neither a rule nor a suggestion joins them again."""
        with self.db.read() as connection:
            texts = connection.scalars(select(LINKS.c.members).where(LINKS.c.removed_at.is_not(None)))
            pairs: set[frozenset[OrderRef]] = set()
            for text in texts:
                members = [OrderRef(*pair) for pair in json.loads(text)]
                pairs |= {frozenset((one, other)) for one in members for other in members if one < other}
        return pairs


class _Batch:
    """Which of the wanted links are new, which grow a link there is, and which cannot be."""

    def __init__(self, connection: Connection, wanted: Sequence[NewLink], now: datetime) -> None:
        self.now = now
        self.refused: dict[int, UsageError] = {}
        self.new: list[int] = []
        self.into: dict[int, int] = {}
        self.grown: set[int] = set()
        self.joining: dict[int, tuple[OrderRef, ...]] = {}
        """Per place the members to be written: all of a new link, the free ones of one that grows."""
        taken = _links_of(connection, [ref for one in wanted for ref in one.members])
        self.live = _live(connection, sorted(set(taken.values())))
        claimed: set[OrderRef] = set()
        for place, one in enumerate(wanted):
            try:
                self._place(place, one, taken, claimed)
            except UsageError as wrong:
                self.refused[place] = wrong

    def _place(self, place: int, one: NewLink, taken: Mapping[OrderRef, int], claimed: set[OrderRef]) -> None:
        members = checked_members(one.members)
        twice = next((ref for ref in members if ref in claimed), None)
        if twice is not None:
            raise UsageError(f"{twice} stands in two of the new links", code="ref_in_two_links")
        numbers = sorted({taken[ref] for ref in members if ref in taken})
        free = tuple(ref for ref in members if ref not in taken)
        if numbers and not (one.joins and len(numbers) == 1 and free):
            link = self.live[numbers[0]]
            if set(members) <= set(link.members):
                raise UsageError(f"these orders are linked already: {link.link_id}", code="link_exists")
            ref = next(ref for ref in members if ref in taken)
            raise UsageError(
                f"{ref} belongs to link {self.live[taken[ref]].link_id} already",
                code="already_linked",
                shop=ref.shop,
                order=ref.order_id,
            )
        if numbers:
            grown = self.live[numbers[0]]
            joined = (*grown.joined, *((ref.shop, self.now) for ref in free))
            members = checked_members([*grown.members, *free])
            self.live[numbers[0]] = grown.model_copy(update={"members": members, "joined": joined})
            self.into[place] = numbers[0]
            self.grown.add(numbers[0])
        else:
            self.new.append(place)
        self.joining[place] = free
        claimed.update(free)


def _links_of(connection: Connection, refs: Sequence[OrderRef]) -> dict[OrderRef, int]:
    found: dict[OrderRef, int] = {}
    for shop in sorted({ref.shop for ref in refs}):
        ids = iter([ref.order_id for ref in refs if ref.shop == shop])
        while chunk := list(islice(ids, _CHUNK)):
            rows = connection.execute(
                select(MEMBERS.c.order_id, MEMBERS.c.link).where(
                    MEMBERS.c.shop == shop, MEMBERS.c.order_id.in_(chunk)
                )
            )
            found.update({OrderRef(shop, row.order_id): row.link for row in rows})
    return found


def _live(connection: Connection, numbers: Sequence[int]) -> dict[int, Link]:
    found: dict[int, Link] = {}
    wanted = iter(numbers)
    while chunk := list(islice(wanted, _CHUNK)):
        rows = connection.execute(select(LINKS).where(LINKS.c.number.in_(chunk)))
        found.update({int(row.number): link_of_row(row) for row in rows})
    return found


def _insert(connection: Connection, links: Sequence[NewLink], batch: _Batch, now: datetime) -> dict[int, int]:
    """Numbers of the new links, by their place in what was wanted."""
    if not links:
        return {}
    rows: list[dict[str, Any]] = [
        {
            "members": json.dumps(batch.joining[place], ensure_ascii=False),
            "origin": one.origin.value,
            "rule": one.rule,
            "made_at": now,
            "version": 1,
            "clean_version": 0,
        }
        for place, one in zip(batch.new, links, strict=True)
    ]
    numbers = connection.scalars(insert(LINKS).returning(LINKS.c.number, sort_by_parameter_order=True), rows)
    return dict(zip(batch.new, numbers, strict=True))
