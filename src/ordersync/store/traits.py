"""What is compared and followed when links are made: read as narrow rows, never from documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Subquery, and_, case, func, select

from ordersync.model import OrderRef
from ordersync.model.traits import Traits, reference_fields
from ordersync.store.part import Part
from ordersync.store.tables import MEMBERS, ORDERS, PARKED, REFERENCES, TRAITS

_CHUNK = 500


class Reference(NamedTuple):
    """Which field of which orders of `source` names an order of `to_shop`, as a rule says it."""

    source: str
    field: str
    strip: str
    where: Mapping[str, str]
    to_shop: str
    to_field: str


class Naming(NamedTuple):
    """One order that says `text`, and one order of the other shop called that (None: there is none)."""

    text: str
    order_id: str
    named_id: str | None
    link: int | None
    named_link: int | None


class Followed(NamedTuple):
    pending: list[Naming]
    """Of orders that name a known order and are not linked with it, sorted by text."""
    agreed: int
    unmatched: int
    """Orders that name no known order (yet)."""


class Pooled(NamedTuple):
    """One order as a candidate for pairs; `link` is the number of the link it belongs to."""

    order_id: str
    traits: Traits
    link: int | None


class Accuracy(NamedTuple):
    """How well one field names the orders of another shop."""

    orders: int
    """Orders that have the field, drafts left out."""
    named: int
    """Of these, how many name exactly one order of the other shop that no other of them names."""
    zero: int
    twice: int
    disagree: int
    """Of those that name one order, how many differ from it in currency, total or items."""


class TraitRows(Part):
    def traits(self, refs: Sequence[OrderRef]) -> dict[OrderRef, Traits]:
        """Of every order that was read; parked and unknown ones are left out."""
        found: dict[OrderRef, Traits] = {}
        with self.db.read() as connection:
            for shop in sorted({ref.shop for ref in refs}):
                ids = iter({ref.order_id for ref in refs if ref.shop == shop})
                while chunk := list(islice(ids, _CHUNK)):
                    rows = connection.execute(
                        select(*TRAITS.c).where(TRAITS.c.shop == shop, TRAITS.c.order_id.in_(chunk))
                    )
                    found.update({OrderRef(row[0], row[1]): Traits(*row[2:]) for row in rows})
        return found

    def pooled(self, shop: str) -> Iterator[Pooled]:
        """Every order of a shop that is no draft, by id; streamed in chunks of one small row each."""
        columns = [column for column in TRAITS.c if column.name not in ("shop", "order_id")]
        query = (
            select(TRAITS.c.order_id, MEMBERS.c.link, *columns)
            .outerjoin(MEMBERS, (MEMBERS.c.shop == TRAITS.c.shop) & (MEMBERS.c.order_id == TRAITS.c.order_id))
            .where(TRAITS.c.shop == shop, TRAITS.c.draft.is_(False))
            .order_by(TRAITS.c.order_id)
            .limit(20 * _CHUNK)
        )
        after = ""
        while True:
            with self.db.read() as connection:
                rows = connection.execute(query.where(TRAITS.c.order_id > after)).all()
            for row in rows:
                yield Pooled(row[0], Traits(*row[2:]), row[1])
            if len(rows) < 20 * _CHUNK:
                return
            after = rows[-1][0]

    def followed(self, rule: Reference) -> Followed:
        """What each order of a shop names, as far as it is not linked with it yet."""
        named = _named(rule)
        query = select(named).order_by(named.c.text, named.c.order_id)
        pending: list[Naming] = []
        agreed = unmatched = 0
        with self.db.read() as connection:
            rows = connection.execution_options(yield_per=_CHUNK).execute(query)
            for _, group in groupby(rows, key=lambda row: row[1]):
                found = [Naming(*row) for row in group]
                if any(one.link is not None and one.link == one.named_link for one in found):
                    agreed += 1
                elif found[0].named_id is None:
                    unmatched += 1
                else:
                    pending += found
        return Followed(pending, agreed, unmatched)

    def linked_in(self, shop: str, links: Sequence[int]) -> dict[int, OrderRef]:
        """Per link its member of `shop`, where it has one."""
        found: dict[int, OrderRef] = {}
        ids = iter(sorted(set(links)))
        with self.db.read() as connection:
            while chunk := list(islice(ids, _CHUNK)):
                rows = connection.execute(
                    select(MEMBERS.c.link, MEMBERS.c.order_id).where(
                        MEMBERS.c.shop == shop, MEMBERS.c.link.in_(chunk)
                    )
                )
                found.update({row.link: OrderRef(shop, row.order_id) for row in rows})
        return found

    def reference_counts(self, shop: str) -> dict[str, int]:
        """Fields of `reference_texts` that a shop's orders have, and how many have each."""
        query = (
            select(REFERENCES.c.field, func.count()).where(REFERENCES.c.shop == shop).group_by(REFERENCES.c.field)
        )
        with self.db.read() as connection:
            return {field: int(count) for field, count in connection.execute(query)}

    def sample_texts(self, shop: str, field: str, every: int) -> list[str]:
        """Each `every`-th text of a field (as a rule writes it), evenly over the shop's orders, by order id."""
        stated = _stated(Reference(shop, field, "", {}, shop, "number"))
        place = func.row_number().over(order_by=stated.c.order_id).label("place")
        numbered = select(stated.c.text, place).subquery()
        with self.db.read() as connection:
            return list(connection.scalars(select(numbered.c.text).where(numbered.c.place % every == 0)))

    def names_any(self, to_shop: str, to_field: str, texts: Sequence[str]) -> int:
        """How many of these texts are the number (or id) of an order of a shop."""
        column = ORDERS.c.number if to_field == "number" else ORDERS.c.order_id
        wanted, hits = iter(texts), 0
        with self.db.read() as connection:
            while chunk := list(islice(wanted, _CHUNK)):
                known = set(connection.scalars(select(column).where(ORDERS.c.shop == to_shop, column.in_(chunk))))
                hits += sum(text in known for text in chunk)
        return hits

    def accuracy(self, rule: Reference, tolerance_minor: int) -> Accuracy:
        """Count, in the database, how every order of a shop fares under a rule."""
        named = _named(rule, linked=False)
        per_order = (
            select(
                named.c.order_id,
                func.max(named.c.text).label("text"),
                func.count(named.c.named_id).label("hits"),
                func.max(named.c.named_id).label("named_id"),
            )
            .group_by(named.c.order_id)
            .subquery()
        )
        claims = (
            select(per_order.c.named_id, func.count().label("claims"))
            .where(per_order.c.hits == 1)
            .group_by(per_order.c.named_id)
            .subquery()
        )
        mine, theirs = TRAITS.alias("mine"), TRAITS.alias("theirs")
        agrees = and_(
            mine.c.currency == theirs.c.currency,
            mine.c.charged_currency == theirs.c.charged_currency,
            (mine.c.charged - theirs.c.charged).between(-tolerance_minor, tolerance_minor),
            mine.c["items"] == theirs.c["items"],
            theirs.c.draft.is_(False),
        )
        once = and_(per_order.c.hits == 1, claims.c.claims == 1)
        query = (
            select(
                func.count(),
                func.coalesce(func.sum(case((once, 1), else_=0)), 0),
                func.coalesce(func.sum(case((per_order.c.hits == 0, 1), else_=0)), 0),
                func.coalesce(func.sum(case((and_(once, agrees), 1), else_=0)), 0),
            )
            .select_from(per_order)
            .outerjoin(claims, claims.c.named_id == per_order.c.named_id)
            .outerjoin(mine, and_(mine.c.shop == rule.source, mine.c.order_id == per_order.c.order_id))
            .outerjoin(theirs, and_(theirs.c.shop == rule.to_shop, theirs.c.order_id == per_order.c.named_id))
        )
        with self.db.read() as connection:
            orders, named_once, zero, agree = (int(one) for one in connection.execute(query).one())
        return Accuracy(orders, named_once, zero, orders - named_once - zero, named_once - agree)


def _stated(rule: Reference) -> Subquery:
    """(order_id, text): what each order says in the rule's field; drafts and orders `where` excludes are left out."""
    joined: FromClause = TRAITS
    joined, text = _text_of(joined, rule.field)
    chosen = [TRAITS.c.shop == rule.source, TRAITS.c.draft.is_(False)]
    for field, value in sorted(rule.where.items()):
        joined, stated = _text_of(joined, field)
        chosen.append(stated == value)
    if rule.strip:
        length = len(rule.strip)
        text = case((func.substr(text, 1, length) == rule.strip, func.substr(text, length + 1)), else_=text)
    whole = select(TRAITS.c.order_id, text.label("text")).select_from(joined).where(*chosen).subquery()
    return select(whole).where(func.coalesce(whole.c.text, "") != "").subquery()


def _text_of(joined: FromClause, field: str) -> tuple[FromClause, ColumnElement[str]]:
    """Join what holds a field of the orders in TRAITS, and say where its text is."""
    if field == "number":
        own = ORDERS.alias()
        on = and_(own.c.shop == TRAITS.c.shop, own.c.order_id == TRAITS.c.order_id)
        return joined.join(own, on), func.trim(own.c.number)
    texts: list[ColumnElement[str]] = []
    for key in reference_fields(field):
        one = REFERENCES.alias()
        on = and_(one.c.shop == TRAITS.c.shop, one.c.order_id == TRAITS.c.order_id, one.c.field == key)
        joined = joined.outerjoin(one, on)
        texts.append(one.c.value)
    return joined, func.coalesce(*texts) if len(texts) > 1 else texts[0]


def _named(rule: Reference, *, linked: bool = True) -> Subquery:
    """(order_id, text, link, named_id, named_link), one row per order it could be; `linked=False`: without links.

    An order that could never be read is known by its id only.
    """
    stated = _stated(rule)
    columns: list[ColumnElement[Any]] = [stated.c.text, stated.c.order_id]
    if rule.to_field == "number":
        joined = stated.outerjoin(ORDERS, and_(ORDERS.c.shop == rule.to_shop, ORDERS.c.number == stated.c.text))
        named_id: ColumnElement[Any] = ORDERS.c.order_id
    else:
        joined = stated.outerjoin(ORDERS, and_(ORDERS.c.shop == rule.to_shop, ORDERS.c.order_id == stated.c.text))
        unread = and_(PARKED.c.shop == rule.to_shop, PARKED.c.order_id == stated.c.text)
        joined = joined.outerjoin(PARKED, unread)
        named_id = func.coalesce(ORDERS.c.order_id, PARKED.c.order_id)
    columns.append(named_id.label("named_id"))
    if linked:
        mine, theirs = MEMBERS.alias(), MEMBERS.alias()
        joined = joined.outerjoin(mine, and_(mine.c.shop == rule.source, mine.c.order_id == stated.c.order_id))
        joined = joined.outerjoin(theirs, and_(theirs.c.shop == rule.to_shop, theirs.c.order_id == named_id))
        columns += [mine.c.link.label("link"), theirs.c.link.label("named_link")]
    return select(*columns).select_from(joined).subquery()
