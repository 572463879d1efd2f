"""The inbox: everything that waits for a person, opened once per key and closed with a reason."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from ordersync.model import Hold
from ordersync.store.part import Part
from ordersync.store.records import StoredHold
from ordersync.store.resolutions import left_as_is
from ordersync.store.tables import HOLDS

_CHUNK = 500


class Holds(Part):
    def open_hold(self, hold: Hold, now: datetime) -> tuple[str, bool]:
        """(number, is_new). An open hold with the same key keeps its number and takes the newer text.

        One that a person left exactly as it is does not open again: its old number comes back.
        """
        with self.db.write() as connection:
            return open_in(connection, hold, now)

    def derive_holds(
        self, found: Sequence[Hold], codes: Collection[str], origin: str, now: datetime, why: str
    ) -> list[str]:
        """Open these holds and close the other open ones of the same kind, in one transaction; numbers of new ones.

        Of the same kind: one of `codes`, and evidence that begins with `origin` (several parts of ordersync may
        derive holds with one code, each closes only its own).
        """
        keep = {hold.key for hold in found}
        with self.db.write() as connection:
            opened = [open_in(connection, hold, now) for hold in found]
            query = select(HOLDS.c.number, HOLDS.c.key, HOLDS.c.hold).where(
                HOLDS.c.closed_at.is_(None), HOLDS.c.sticky.is_(False), HOLDS.c.code.in_(codes)
            )
            gone = [
                row.number
                for row in connection.execute(query)
                if row.key not in keep and _begins(Hold.model_validate_json(row.hold), origin)
            ]
            for number in gone:
                connection.execute(
                    update(HOLDS).where(HOLDS.c.number == number).values(closed_at=now, closed_because=why)
                )
        return [number for number, is_new in opened if is_new]

    def close_hold(self, key: str, now: datetime, why: str) -> bool:
        """Close the open hold with this key; False when there is none."""
        with self.db.write() as connection:
            return close_in(connection, key, now, why)

    def holds(self, open_only: bool = True, code: str | None = None) -> list[StoredHold]:
        """Oldest first; of every reason, or of one."""
        query = select(HOLDS).order_by(HOLDS.c.number)
        if code is not None:
            query = query.where(HOLDS.c.code == code)
        if open_only:
            query = query.where(HOLDS.c.closed_at.is_(None))
        with self.db.read() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def hold_count(self) -> dict[str, int]:
        """How many holds are open, by reason code."""
        query = select(HOLDS.c.code, func.count()).where(HOLDS.c.closed_at.is_(None)).group_by(HOLDS.c.code)
        with self.db.read() as connection:
            return dict(sorted((str(code), int(number)) for code, number in connection.execute(query)))

    def held_links(self, link_ids: Sequence[str]) -> set[str]:
        """Those of these links that have an open hold."""
        found: set[str] = set()
        with self.db.read() as connection:
            for start in range(0, len(link_ids), _CHUNK):
                query = select(HOLDS.c.link_id).where(
                    HOLDS.c.link_id.in_(link_ids[start : start + _CHUNK]), HOLDS.c.closed_at.is_(None)
                )
                found.update(str(link_id) for link_id in connection.scalars(query))
        return found

    def hold_numbers(self, keys: Sequence[str]) -> dict[str, str]:
        """The numbers (`H-31`) of the open holds among these keys."""
        found: dict[str, str] = {}
        with self.db.read() as connection:
            for start in range(0, len(keys), _CHUNK):
                query = select(HOLDS.c.key, HOLDS.c.number).where(
                    HOLDS.c.key.in_(keys[start : start + _CHUNK]), HOLDS.c.closed_at.is_(None)
                )
                found.update((key, f"H-{number}") for key, number in connection.execute(query))
        return found

    def holds_about(self, link_id: str | None, subjects: Collection[str]) -> list[StoredHold]:
        """Open and closed holds of a link or with one of these subjects, oldest first."""
        about = or_(HOLDS.c.subject.in_(sorted(subjects)), HOLDS.c.link_id == (link_id or ""))
        with self.db.read() as connection:
            rows = connection.execute(select(HOLDS).where(about).order_by(HOLDS.c.number))
            return [_stored(row) for row in rows]

    def hold(self, number: str) -> StoredHold | None:
        """By its number, open or closed: `H-31`, also typed as `h-31`, `H31` or `31`."""
        digits = number.strip().upper().removeprefix("H").removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            return None
        with self.db.read() as connection:
            row = connection.execute(select(HOLDS).where(HOLDS.c.number == int(digits))).first()
        return _stored(row) if row else None


def open_in(connection: Connection, hold: Hold, now: datetime) -> tuple[str, bool]:
    text = hold.model_dump_json()
    found = connection.execute(
        select(HOLDS.c.number, HOLDS.c.hold).where(HOLDS.c.key == hold.key, HOLDS.c.closed_at.is_(None))
    ).first()
    if found is not None:
        if found.hold != text:
            connection.execute(
                update(HOLDS)
                .where(HOLDS.c.number == found.number)
                .values(hold=text, sticky=hold.sticky, link_id=hold.link_id)
            )
        return f"H-{found.number}", False
    left = left_as_is(connection, hold)
    if left is not None:
        return left, False
    made = connection.execute(
        insert(HOLDS).values(
            key=hold.key,
            code=hold.code,
            subject=hold.subject,
            link_id=hold.link_id,
            sticky=hold.sticky,
            hold=text,
            opened_at=now,
        )
    )
    assert made.inserted_primary_key is not None
    return f"H-{made.inserted_primary_key[0]}", True


def close_in(connection: Connection, key: str, now: datetime, why: str) -> bool:
    closed = connection.execute(
        update(HOLDS)
        .where(HOLDS.c.key == key, HOLDS.c.closed_at.is_(None))
        .values(closed_at=now, closed_because=why)
    )
    return closed.rowcount > 0


def close_about(connection: Connection, code: str, subjects: Container[str], now: datetime, why: str) -> None:
    """Close the open holds of one code whose subject is among `subjects`."""
    open_ones = connection.execute(
        select(HOLDS.c.number, HOLDS.c.subject).where(HOLDS.c.code == code, HOLDS.c.closed_at.is_(None))
    ).all()
    gone = [number for number, subject in open_ones if subject in subjects]
    if gone:
        connection.execute(update(HOLDS).where(HOLDS.c.number.in_(gone)).values(closed_at=now, closed_because=why))


def close_derived(connection: Connection, link_id: str, keep: Sequence[str], now: datetime, why: str) -> None:
    """Close the open, not sticky holds of a link whose keys are not in `keep`."""
    connection.execute(
        update(HOLDS)
        .where(
            HOLDS.c.link_id == link_id,
            HOLDS.c.closed_at.is_(None),
            HOLDS.c.sticky.is_(False),
            HOLDS.c.key.not_in(keep),
        )
        .values(closed_at=now, closed_because=why)
    )


def _begins(hold: Hold, origin: str) -> bool:
    return bool(hold.evidence) and hold.evidence[0].startswith(origin)


def close_on_actions(connection: Connection, link_id: str, now: datetime, why: str) -> None:
    """Close the holds that stopped a write of this link (limits, open order changes)."""
    connection.execute(
        update(HOLDS)
        .where(HOLDS.c.link_id == link_id, HOLDS.c.closed_at.is_(None), HOLDS.c.subject.startswith("action:"))
        .values(closed_at=now, closed_because=why)
    )


def _stored(row: Row[tuple[object, ...]]) -> StoredHold:
    return StoredHold(
        number=f"H-{row.number}",
        hold=Hold.model_validate_json(row.hold),
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        closed_because=row.closed_because,
    )
