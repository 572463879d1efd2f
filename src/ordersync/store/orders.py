"""Orders as they were last seen, their history, the parked ones, and those to look at again.

Two rules guard every row: an observation whose request was sent earlier never overwrites a later one, and a partial
one is never stored, it only marks the order.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import Select, delete, func, select, tuple_

from ordersync.model import Hold, Order, OrderRef
from ordersync.store import document, holds, saving
from ordersync.store.links import mark_members_dirty
from ordersync.store.part import Part
from ordersync.store.records import FieldChange, Observation, OrderChange, Outcome, Parked, StoredOrder
from ordersync.store.tables import CHANGES, DOCUMENTS, LOOK_AGAIN, ORDERS, PARKED

_CHUNK = 200
"""Orders read at a time while iterating: a few megabytes."""


class Orders(Part):
    def save_observation(self, observation: Observation) -> Outcome:
        """Store one order as it was seen; a link it belongs to becomes dirty when it is new or changed."""
        with self.db.write() as connection:
            return saving.save_all(connection, [observation], now=datetime.now(UTC))[0]

    def save_observations(
        self, observations: Sequence[Observation], parked: Sequence[Parked] = ()
    ) -> list[Outcome]:
        """Store several orders in one transaction; one outcome per observation, in their order."""
        with self.db.write() as connection:
            now = datetime.now(UTC)
            outcomes = saving.save_all(connection, observations, now)
            for one in parked:
                saving.park(connection, one, now)
        return outcomes

    def park(self, parked: Parked) -> str | None:
        """Keep an order that could not be normalised and open its hold; the hold's number when it is a new one."""
        with self.db.write() as connection:
            return saving.park(connection, parked, now=datetime.now(UTC))

    def order(self, ref: OrderRef) -> StoredOrder | None:
        with self.db.read() as connection:
            row = connection.execute(
                stored_query().where(ORDERS.c.shop == ref.shop, ORDERS.c.order_id == ref.order_id)
            ).first()
        return None if row is None else stored_of_row(*row)

    def orders(self, shop: str | None = None) -> Iterator[StoredOrder]:
        """Every stored order sorted by (shop, order id), read in chunks: memory stays flat."""
        query = stored_query().order_by(ORDERS.c.shop, ORDERS.c.order_id).limit(_CHUNK)
        if shop is not None:
            query = query.where(ORDERS.c.shop == shop)
        after: tuple[str, str] | None = None
        while True:
            chunk = query if after is None else query.where(tuple_(ORDERS.c.shop, ORDERS.c.order_id) > after)
            with self.db.read() as connection:
                rows = connection.execute(chunk).all()
            for row in rows:
                stored = stored_of_row(*row)
                after = (stored.order.shop, stored.order.order_id)
                yield stored
            if len(rows) < _CHUNK:
                return

    def order_count(self, shop: str) -> int:
        with self.db.read() as connection:
            count = select(func.count()).select_from(ORDERS).where(ORDERS.c.shop == shop)
            return connection.execute(count).scalar_one()

    def raw(self, ref: OrderRef) -> bytes | None:
        """The payload as it was stored: JSON without its secret fields; None when it is not kept (any more)."""
        with self.db.read() as connection:
            stored = connection.execute(
                select(DOCUMENTS.c.raw).where(DOCUMENTS.c.shop == ref.shop, DOCUMENTS.c.order_id == ref.order_id)
            ).scalar_one_or_none()
        return None if stored is None else document.decompress(stored)

    def find(self, shop: str, text: str) -> list[OrderRef]:
        """Orders of a shop whose id or number is `text`, parked ones by id too; sorted."""
        return self.find_all(shop, [text]).get(text, [])

    def find_all(self, shop: str, texts: Collection[str]) -> dict[str, list[OrderRef]]:
        """`find` for many texts at once; texts that name nothing are left out."""
        found: dict[str, set[str]] = {}
        wanted = iter(set(texts))
        with self.db.read() as connection:
            while chunk := list(islice(wanted, _CHUNK)):
                # Three questions, not one with OR: SQLite answers that by reading every order of the shop.
                for table, named in (
                    (ORDERS, ORDERS.c.order_id),
                    (PARKED, PARKED.c.order_id),
                    (ORDERS, ORDERS.c.number),
                ):
                    rows = connection.execute(
                        select(named, table.c.order_id).where(table.c.shop == shop, named.in_(chunk))
                    )
                    for text, order_id in rows:
                        found.setdefault(text, set()).add(order_id)
        return {text: [OrderRef(shop, order_id) for order_id in sorted(ids)] for text, ids in found.items()}

    def unique_numbers(self, refs: Sequence[OrderRef]) -> dict[OrderRef, str]:
        """The number of each of these orders, where it has one that names no other order of its shop."""
        found: dict[OrderRef, str] = {}
        for shop in sorted({ref.shop for ref in refs}):
            ids = [ref.order_id for ref in refs if ref.shop == shop]
            numbers: dict[str, str] = {}
            with self.db.read() as connection:
                for start in range(0, len(ids), _CHUNK):
                    rows = connection.execute(
                        select(ORDERS.c.order_id, ORDERS.c.number).where(
                            ORDERS.c.shop == shop,
                            ORDERS.c.order_id.in_(ids[start : start + _CHUNK]),
                            ORDERS.c.number.is_not(None),
                        )
                    )
                    numbers.update((row.order_id, row.number) for row in rows)
            named = self.find_all(shop, set(numbers.values()))
            found.update(
                (OrderRef(shop, order_id), number)
                for order_id, number in numbers.items()
                if len(named.get(number, ())) == 1
            )
        return found

    def history(self, ref: OrderRef) -> list[OrderChange]:
        """What changed at each observation after the first, oldest first."""
        query = select(CHANGES).where(CHANGES.c.shop == ref.shop, CHANGES.c.order_id == ref.order_id)
        with self.db.read() as connection:
            return [
                OrderChange(
                    row.sent_at, row.cause, tuple(FieldChange(*change) for change in json.loads(row.fields))
                )
                for row in connection.execute(query.order_by(CHANGES.c.id))
            ]

    def parked(self, ref: OrderRef | None = None, shop: str | None = None) -> list[Parked]:
        """Parked orders, all, of one shop or the one named; sorted."""
        query = select(PARKED).order_by(PARKED.c.shop, PARKED.c.order_id)
        if ref is not None:
            query = query.where(PARKED.c.shop == ref.shop, PARKED.c.order_id == ref.order_id)
        if shop is not None:
            query = query.where(PARKED.c.shop == shop)
        with self.db.read() as connection:
            return [
                Parked(
                    shop=row.shop,
                    order_id=row.order_id,
                    code=row.code,
                    message=row.message,
                    path=row.path,
                    raw=None if row.raw is None else document.decompress(row.raw),
                    sent_at=row.sent_at,
                )
                for row in connection.execute(query)
            ]

    def look_again(self, shop: str, order_ids: Sequence[str], hinted_at: datetime) -> None:
        """Something hints that these changed: they wait until an observation sent after `hinted_at` is stored."""
        with self.db.write() as connection:
            saving.mark(connection, shop, dict.fromkeys(order_ids, hinted_at))

    def vanished(self, ref: OrderRef, hold: Hold, now: datetime) -> str | None:
        """The platform no longer has this order: what is known stays, `hold` opens, hints about it are done.

        Only a known order can vanish; for one never read nothing is opened. Returns the hold's number if it is new.
        """
        with self.db.write() as connection:
            of_ref = (LOOK_AGAIN.c.shop == ref.shop) & (LOOK_AGAIN.c.order_id == ref.order_id)
            connection.execute(delete(LOOK_AGAIN).where(of_ref))
            known = [
                connection.execute(
                    select(table.c.order_id).where(table.c.shop == ref.shop, table.c.order_id == ref.order_id)
                ).first()
                for table in (ORDERS, PARKED)
            ]
            if known == [None, None]:
                return None
            number, is_new = holds.open_in(connection, hold, now)
            mark_members_dirty(connection, ref.shop, [ref.order_id])
            return number if is_new else None

    def to_look_at(self, shop: str, limit: int, after: str = "") -> list[str]:
        """Ids of marked orders, sorted, at most `limit` of those greater than `after`."""
        query = (
            select(LOOK_AGAIN.c.order_id)
            .where(LOOK_AGAIN.c.shop == shop, LOOK_AGAIN.c.order_id > after)
            .order_by(LOOK_AGAIN.c.order_id)
            .limit(limit)
        )
        with self.db.read() as connection:
            return list(connection.scalars(query))

    def open_order_ids(self, shop: str) -> set[str]:
        """Orders neither cancelled, completed nor archived."""
        with self.db.read() as connection:
            return set(
                connection.scalars(select(ORDERS.c.order_id).where(ORDERS.c.shop == shop, ORDERS.c.is_open))
            )

    def pending_refund_ids(self, shop: str, not_seen_since: datetime | None = None) -> set[str]:
        """Orders with a refund that is neither completed nor failed; only those not read since that instant."""
        query = select(ORDERS.c.order_id).where(ORDERS.c.shop == shop, ORDERS.c.refund_pending)
        if not_seen_since is not None:
            query = query.where(ORDERS.c.sent_at < not_seen_since)
        with self.db.read() as connection:
            return set(connection.scalars(query))

    def digests(self, shop: str, order_ids: Sequence[str], mapping_version: str) -> dict[str, bytes]:
        """SHA-256 of the payload each of these orders was last normalised from by this very mapping.

        Parked orders are left out: they must be read again.
        """
        query = (
            select(ORDERS.c.order_id, ORDERS.c.raw_digest)
            .outerjoin(PARKED, (PARKED.c.shop == ORDERS.c.shop) & (PARKED.c.order_id == ORDERS.c.order_id))
            .where(
                ORDERS.c.shop == shop,
                ORDERS.c.order_id.in_(order_ids),
                ORDERS.c.mapping_version == mapping_version,
                PARKED.c.order_id.is_(None),
            )
        )
        with self.db.read() as connection:
            return {row.order_id: row.raw_digest for row in connection.execute(query)}


def stored_query() -> Select[str, datetime, str, datetime, datetime]:
    joined = ORDERS.join(
        DOCUMENTS, (DOCUMENTS.c.shop == ORDERS.c.shop) & (DOCUMENTS.c.order_id == ORDERS.c.order_id)
    )
    return select(
        DOCUMENTS.c.canonical,
        ORDERS.c.sent_at,
        ORDERS.c.fingerprint,
        ORDERS.c.first_seen_at,
        ORDERS.c.changed_at,
    ).select_from(joined)


def stored_of_row(
    canonical: str, sent_at: datetime, fingerprint: str, first_seen_at: datetime, changed_at: datetime
) -> StoredOrder:
    return StoredOrder(Order.model_validate_json(canonical), sent_at, fingerprint, first_seen_at, changed_at)
