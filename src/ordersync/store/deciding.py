"""What deciding links needs, read for many links at once, and what was decided, stored for all of them in one go.

Links are walked in chunks by their number: memory stays flat however many there are, and a link costs a share of a
few statements instead of a dozen of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from ordersync.model import ActionRecord, Decision, Ledger, LedgerRow, Link, OrderRef, Resolution, hold_key
from ordersync.store import holds
from ordersync.store.journal import record_of_row
from ordersync.store.links import link_number, link_of_row
from ordersync.store.orders import stored_of_row, stored_query
from ordersync.store.part import Part
from ordersync.store.records import DirtyLink, StoredOrder
from ordersync.store.resolutions import resolution_of_row
from ordersync.store.saving import VANISHED
from ordersync.store.tables import ACTIONS, HOLDS, LEDGER, LINKS, ORDERS, PARKED, RESOLUTIONS

CHUNK = 100
"""Links decided at a time: their writes are one transaction, which others wait for some tenths of a second."""
_UNSETTLED = and_(LINKS.c.removed_at.is_(None), LINKS.c.version > LINKS.c.clean_version)
_MARK_CLEAN = (
    update(LINKS)
    .where(LINKS.c.number == bindparam("b_number"), LINKS.c.clean_version < bindparam("b_version"))
    .values(clean_version=bindparam("b_version"))
)
_COUNT = (
    update(LINKS)
    .where(LINKS.c.number == bindparam("b_number"))
    .values(waits=bindparam("b_waits"), skips=bindparam("b_skips"))
)
Refs = Sequence[OrderRef]


class OpenHold(NamedTuple):
    key: str
    subject: str
    sticky: bool


OpenHolds = dict[str, list[OpenHold]]
"""By link id, of the links that have any."""


class ParkedAnswer(NamedTuple):
    """The newest answer about an order could not be understood; when it was asked for, and why."""

    sent_at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class LinkState:
    """One link and all that is known of it, seen in one transaction."""

    link: Link
    version: int
    """Hand it back with the decision: what changed since keeps the link unsettled."""
    ledger: Ledger
    orders: Mapping[OrderRef, StoredOrder]
    parked: Mapping[OrderRef, ParkedAnswer]
    vanished: frozenset[OrderRef]
    """Members their platforms no longer have."""
    journal: tuple[ActionRecord, ...]
    """Everything ever sent to the members, member by member, oldest first."""
    answers: tuple[Resolution, ...]
    waits: int = 0
    skips: int | None = None
    """How many reasons to skip something its last decision gave; None: it was never decided, or before 0004."""

    @property
    def write_open(self) -> bool:
        """A write to a member is not read back yet."""
        return any(record.state.is_open for record in self.journal)


class Decided(NamedTuple):
    state: LinkState
    decision: Decision
    settled: bool
    """Nothing is left to do or to wait for: the link is not looked at again before something changes."""


class Deciding(Part):
    def dirty_links(self, only: Collection[str] | None = None) -> list[DirtyLink]:
        """Live links a member of which changed, or that were never settled, oldest first; `only`: of these ids."""
        with self.db.read() as connection:
            rows = connection.execute(_links(_UNSETTLED, only)).all()
        return [DirtyLink(link_of_row(row), int(row.version)) for row in rows]

    def dirty_count(self) -> int:
        with self.db.read() as connection:
            return connection.execute(select(func.count()).select_from(LINKS).where(_UNSETTLED)).scalar_one()

    def unsettled(self, only: Collection[str] | None = None) -> Iterator[list[LinkState]]:
        """The links that must be decided, oldest first, in chunks; `only`: of these ids."""
        return self._walk(_links(_UNSETTLED, only))

    def skipping(self) -> Iterator[list[LinkState]]:
        """Settled links something of which is deliberately not carried, in chunks."""
        settled = and_(
            LINKS.c.removed_at.is_(None),
            LINKS.c.version <= LINKS.c.clean_version,
            or_(LINKS.c.skips.is_(None), LINKS.c.skips > 0),
        )
        return self._walk(_links(settled))

    def link_state(self, link: Link) -> LinkState:
        """All that is known of one link, settled or not."""
        with self.db.read() as connection:
            row = connection.execute(select(LINKS).where(LINKS.c.number == link_number(link.link_id))).one()
            return _states(connection, [row])[0]

    def _walk(self, query: Select[Any]) -> Iterator[list[LinkState]]:
        after = -1
        while True:
            with self.db.read() as connection:
                rows = connection.execute(query.where(LINKS.c.number > after).limit(CHUNK)).all()
                states = _states(connection, rows)
            if states:
                yield states
            if len(rows) < CHUNK:
                return
            after = int(rows[-1].number)

    def save_decision(self, decision: Decision, now: datetime, *, version: int | None = None) -> list[str]:
        """Store the ledger and the holds of one link in one transaction; returns the numbers of new holds.

        With `version` (of the link when it was decided) nothing is stored where the link has changed since: it is
        dirty and is decided again from what is known now. Open holds of this link (`hold.link_id`) that are not
        sticky and not in the decision close themselves.
        """
        number = link_number(decision.link_id)
        with self.db.write() as connection:
            if version is not None and _versions(connection, [number]).get(number) != version:
                return []
            _save_ledger(connection, number, decision.ledger)
            counted = {"b_number": number, "b_waits": len(decision.waits), "b_skips": len(decision.skipped)}
            connection.execute(_COUNT, [counted])
            return _save_holds(connection, decision, now, _open_holds(connection, [decision.link_id]))

    def save_decisions(self, decided: Sequence[Decided], now: datetime) -> list[str]:
        """Store these decisions in one transaction; returns the numbers of new holds.

        As `save_decision` does each, and besides: holds that stopped a write close where that write is no longer
        due, and the settled links are marked so. A link that changed since its state was read is left as it is.
        """
        new_holds: list[str] = []
        with self.db.write() as connection:
            versions = _versions(connection, [link_number(one.decision.link_id) for one in decided])
            current = [
                one for one in decided if versions.get(link_number(one.decision.link_id)) == one.state.version
            ]
            opened = _open_holds(connection, [one.decision.link_id for one in current])
            clean: list[dict[str, int]] = []
            counts: list[dict[str, int]] = []
            for state, decision, settled in current:
                number = link_number(decision.link_id)
                if decision.ledger != state.ledger:
                    _save_ledger(connection, number, decision.ledger)
                waits, skips = len(decision.waits), len(decision.skipped)
                if (waits, skips) != (state.waits, state.skips):
                    counts.append({"b_number": number, "b_waits": waits, "b_skips": skips})
                if decision.holds or decision.link_id in opened:
                    new_holds += _save_holds(connection, decision, now, opened)
                    _close_undue(connection, decision, now, opened)
                if settled:
                    clean.append({"b_number": number, "b_version": state.version})
            for statement, rows in ((_COUNT, counts), (_MARK_CLEAN, clean)):
                if rows:
                    connection.execute(statement, rows)
        return new_holds


def _links(which: ColumnElement[bool], only: Collection[str] | None = None) -> Select[Any]:
    query = select(LINKS).where(which).order_by(LINKS.c.number)
    return query if only is None else query.where(LINKS.c.number.in_([link_number(one) for one in only]))


def _states(connection: Connection, rows: Sequence[Row[Any]]) -> list[LinkState]:
    if not rows:
        return []
    links = [link_of_row(row) for row in rows]
    refs = [ref for link in links for ref in link.members]
    ledgers = _ledgers(connection, [int(row.number) for row in rows])
    orders = _orders(connection, refs)
    parked = _parked(connection, refs)
    vanished = _vanished(connection, refs)
    journal = _journal(connection, refs)
    answers = _answers(connection, [link.link_id for link in links])
    return [
        LinkState(
            link=link,
            version=int(row.version),
            ledger=Ledger(rows=tuple(ledgers.get(int(row.number), ()))),
            orders={ref: orders[ref] for ref in link.members if ref in orders},
            parked={ref: parked[ref] for ref in link.members if ref in parked},
            vanished=vanished.intersection(link.members),
            journal=tuple(record for ref in link.members for record in journal.get(ref, ())),
            answers=tuple(answers.get(link.link_id, ())),
            waits=int(row.waits),
            skips=row.skips,
        )
        for link, row in zip(links, rows, strict=True)
    ]


def _ledgers(connection: Connection, numbers: Sequence[int]) -> dict[int, list[LedgerRow]]:
    query = select(LEDGER.c.link, LEDGER.c.row).where(LEDGER.c.link.in_(numbers))
    found: dict[int, list[LedgerRow]] = {}
    for number, text in connection.execute(query.order_by(LEDGER.c.link, LEDGER.c.position)):
        found.setdefault(number, []).append(LedgerRow.model_validate_json(text))
    return found


def _orders(connection: Connection, refs: Refs) -> dict[OrderRef, StoredOrder]:
    found: dict[OrderRef, StoredOrder] = {}
    for shop, ids in _by_shop(refs):
        rows = connection.execute(stored_query().where(ORDERS.c.shop == shop, ORDERS.c.order_id.in_(ids)))
        found.update({stored.order.ref: stored for stored in (stored_of_row(*row) for row in rows)})
    return found


def _parked(connection: Connection, refs: Refs) -> dict[OrderRef, ParkedAnswer]:
    found: dict[OrderRef, ParkedAnswer] = {}
    for shop, ids in _by_shop(refs):
        query = select(PARKED.c.order_id, PARKED.c.sent_at, PARKED.c.message)
        rows = connection.execute(query.where(PARKED.c.shop == shop, PARKED.c.order_id.in_(ids)))
        found.update({OrderRef(shop, row.order_id): ParkedAnswer(row.sent_at, row.message) for row in rows})
    return found


def _vanished(connection: Connection, refs: Refs) -> frozenset[OrderRef]:
    keys = {hold_key(VANISHED, f"order:{ref}"): ref for ref in refs}
    query = select(HOLDS.c.key).where(HOLDS.c.key.in_(list(keys)), HOLDS.c.closed_at.is_(None))
    return frozenset(keys[key] for key in connection.scalars(query))


def _journal(connection: Connection, refs: Refs) -> dict[OrderRef, list[ActionRecord]]:
    found: dict[OrderRef, list[ActionRecord]] = {}
    for shop, ids in _by_shop(refs):
        query = select(ACTIONS).where(ACTIONS.c.shop == shop, ACTIONS.c.order_id.in_(ids))
        for row in connection.execute(query.order_by(ACTIONS.c.intended_at, ACTIONS.c.key)):
            found.setdefault(OrderRef(shop, row.order_id), []).append(record_of_row(row))
    return found


def _by_shop(refs: Refs) -> list[tuple[str, list[str]]]:
    """Each shop by itself: pairs (shop, id) in one IN are answered by SQLite by reading every order."""
    shops = sorted({ref.shop for ref in refs})
    return [(shop, [ref.order_id for ref in refs if ref.shop == shop]) for shop in shops]


def _answers(connection: Connection, link_ids: Sequence[str]) -> dict[str, list[Resolution]]:
    query = select(RESOLUTIONS).where(RESOLUTIONS.c.link_id.in_(link_ids)).order_by(RESOLUTIONS.c.number)
    found: dict[str, list[Resolution]] = {}
    for row in connection.execute(query):
        found.setdefault(row.link_id, []).append(resolution_of_row(row))
    return found


def _versions(connection: Connection, numbers: Sequence[int]) -> dict[int, int]:
    """Of the live ones among these links."""
    found: dict[int, int] = {}
    wanted = iter(numbers)
    while chunk := list(islice(wanted, CHUNK)):
        query = select(LINKS.c.number, LINKS.c.version).where(
            LINKS.c.number.in_(chunk), LINKS.c.removed_at.is_(None)
        )
        found.update({int(number): int(version) for number, version in connection.execute(query)})
    return found


def _open_holds(connection: Connection, link_ids: Sequence[str]) -> OpenHolds:
    found: OpenHolds = {}
    query = select(HOLDS.c.link_id, HOLDS.c.key, HOLDS.c.subject, HOLDS.c.sticky)
    query = query.where(HOLDS.c.link_id.in_(link_ids), HOLDS.c.closed_at.is_(None))
    for link_id, key, subject, sticky in connection.execute(query):
        found.setdefault(str(link_id), []).append(OpenHold(key, subject, sticky))
    return found


def _save_ledger(connection: Connection, number: int, ledger: Ledger) -> None:
    connection.execute(delete(LEDGER).where(LEDGER.c.link == number))
    rows = [
        {"link": number, "fact_id": row.fact.fact_id, "position": position, "row": row.model_dump_json()}
        for position, row in enumerate(ledger.rows)
    ]
    if rows:
        connection.execute(insert(LEDGER), rows)


def _save_holds(connection: Connection, decision: Decision, now: datetime, opened: OpenHolds) -> list[str]:
    numbers = [holds.open_in(connection, hold, now) for hold in decision.holds]
    keep = {hold.key for hold in decision.holds}
    if any(not row.sticky and row.key not in keep for row in opened.get(decision.link_id, ())):
        holds.close_derived(connection, decision.link_id, sorted(keep), now, why="no longer so at the last look")
    return [number for number, is_new in numbers if is_new]


def _close_undue(connection: Connection, decision: Decision, now: datetime, opened: OpenHolds) -> None:
    due = {f"action:{action.key}" for action in decision.actions}
    for row in opened.get(decision.link_id, ()):
        if row.subject.startswith("action:") and row.subject not in due:
            holds.close_in(connection, row.key, now, "the write it stopped is no longer due")
