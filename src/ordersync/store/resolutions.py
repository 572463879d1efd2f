"""What people answered to holds: one answer per open hold, kept for ever; an approval is used up by one write."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from ordersync.errors import Held, UsageError
from ordersync.model import Action, Hold, OrderRef, Resolution, Verb, hold_key, seen_digest
from ordersync.store.part import Part
from ordersync.store.records import Answer
from ordersync.store.tables import HOLDS, LEDGER, LINKS, RESOLUTIONS, instant_text

LETS_GO = (Verb.APPROVE.value, Verb.RESEND.value)


class Resolutions(Part):
    def resolve(self, number: str, answer: Answer, now: datetime) -> Resolution:
        """Store a person's answer and close the hold with it, in one transaction: of two people one wins.

        Its link is looked at again. A hold over a batch gets one row for each of its writes, so that each is used up
        by itself; the first is returned. Errors: UsageError `unknown_hold`; Held `hold_closed` (it was answered, or
        closed itself, meanwhile).
        """
        digits = int(number.removeprefix("H-"))
        with self.db.write() as connection:
            row = connection.execute(select(HOLDS).where(HOLDS.c.number == digits)).first()
            if row is None:
                raise UsageError(
                    f"there is no hold {number}", code="unknown_hold", next_step="ordersync holds list"
                )
            if row.closed_at is not None:
                raise hold_closed(number, row.closed_because)
            hold = Hold.model_validate_json(row.hold)
            given = [
                connection.execute(insert(RESOLUTIONS).values(hold=digits, at=now, **values)).inserted_primary_key
                for values in _values(hold, answer)
            ]
            made = given[0]
            said = f"{answer.verb} by {answer.who}" + (f": {answer.why}" if answer.why else "")
            connection.execute(
                update(HOLDS).where(HOLDS.c.number == digits).values(closed_at=now, closed_because=said)
            )
            for link_id in sorted({hold.link_id, *(one.link_id for one in hold.batch)} - {None}, key=str):
                link = int(str(link_id).removeprefix("L"))
                connection.execute(
                    delete(LEDGER).where(LEDGER.c.link == link, LEDGER.c.fact_id.in_(answer.forget))
                )
                connection.execute(update(LINKS).where(LINKS.c.number == link).values(version=LINKS.c.version + 1))
            stored = connection.execute(
                select(RESOLUTIONS).where(RESOLUTIONS.c.number == (made[0] if made else None))
            ).one()
        return resolution_of_row(stored)

    def resolutions(self, link_id: str | None = None, hold: str | None = None) -> list[Resolution]:
        """Every answer, oldest first; of one link or one hold."""
        query = select(RESOLUTIONS).order_by(RESOLUTIONS.c.number)
        if link_id is not None:
            query = query.where(RESOLUTIONS.c.link_id == link_id)
        if hold is not None:
            query = query.where(RESOLUTIONS.c.hold == int(hold.removeprefix("H-")))
        with self.db.read() as connection:
            return [resolution_of_row(row) for row in connection.execute(query)]

    def unused_approvals(self, code: str, now: datetime) -> list[Resolution]:
        """Approvals of holds with this reason that no write has used up and that are still in force."""
        query = (
            select(RESOLUTIONS)
            .where(
                RESOLUTIONS.c.verb == Verb.APPROVE.value,
                RESOLUTIONS.c.code == code,
                RESOLUTIONS.c.used_at.is_(None),
                RESOLUTIONS.c.expires_at > now,
            )
            .order_by(RESOLUTIONS.c.number)
        )
        with self.db.read() as connection:
            return [resolution_of_row(row) for row in connection.execute(query)]


def _values(hold: Hold, answer: Answer) -> list[dict[str, Any]]:
    """The rows of one answer: one, or one for each write of a batch, bound to what was seen of that write."""
    said = {
        "code": hold.code,
        "verb": answer.verb.value,
        "who": answer.who,
        "why": answer.why,
        "expires_at": answer.expires_at,
    }
    if not hold.batch:
        return [
            {
                **said,
                "hold_key": hold.key,
                "link_id": hold.link_id,
                "shop": hold.target.shop if hold.target else None,
                "order_id": hold.target.order_id if hold.target else None,
                "facts": json.dumps(answer.facts),
                "digest": answer.digest,
            }
        ]
    return [
        {
            **said,
            "hold_key": hold_key(hold.code, f"action:{one.key}"),
            "link_id": one.link_id,
            "shop": one.target.shop,
            "order_id": one.target.order_id,
            "facts": json.dumps([one.fact_id] if one.fact_id else []),
            "digest": one.digest,
        }
        for one in hold.batch
    ]


def hold_closed(number: str, because: str | None) -> Held:
    return Held(
        f"{number} is closed already: {because}",
        code="hold_closed",
        next_step="what is still open: ordersync holds list",
    )


def use_approvals(connection: Connection, action: Action, now: datetime) -> None:
    """Use up the approvals a write needs, in the transaction of its intent.

    Errors: Held `approval_used`, `approval_expired`, `approval_stale` (given for other money, or not known).
    """
    for number in action.approvals:
        row = connection.execute(select(RESOLUTIONS).where(RESOLUTIONS.c.number == number)).first()
        about = {"shop": action.target.shop, "order": action.target.order_id, "operation": action.kind.value}
        again = "ordersync plan   holds it again; then approve the new hold"
        if row is None or row.verb not in LETS_GO or not _fits(row, action):
            raise Held(
                "the approval was given for something else than this write",
                code="approval_stale",
                next_step=again,
                **about,
            )
        if row.used_at is not None:
            raise Held(
                f"the approval by {row.who} was used already, by the write of {instant_text(row.used_at)[:16]}",
                code="approval_used",
                next_step=again,
                **about,
            )
        if row.expires_at is None or row.expires_at <= now:
            raise Held(
                f"the approval by {row.who} is older than three days",
                code="approval_expired",
                next_step=again,
                **about,
            )
        connection.execute(
            update(RESOLUTIONS).where(RESOLUTIONS.c.number == number).values(used_at=now, used_by=action.key)
        )


def _fits(row: Row[tuple[object, ...]], action: Action) -> bool:
    """Given for this fact at this order; where money moves, on just this money."""
    if action.fact_id not in json.loads(row.facts) or (row.shop, row.order_id) != tuple(action.target):
        return False
    return not action.kind.moves_money or row.digest == action.digest


def free_approvals(connection: Connection, key: str) -> None:
    """The write was certainly not made: what a person approved is still approved."""
    connection.execute(update(RESOLUTIONS).where(RESOLUTIONS.c.used_by == key).values(used_at=None, used_by=None))


def left_as_is(connection: Connection, hold: Hold) -> str | None:
    """Number of the hold a person left just as this one is; then it does not open again."""
    found = connection.scalars(
        select(RESOLUTIONS.c.hold).where(
            RESOLUTIONS.c.hold_key == hold.key,
            RESOLUTIONS.c.verb == Verb.LEAVE.value,
            RESOLUTIONS.c.digest == seen_digest(hold),
        )
    ).first()
    return None if found is None else f"H-{found}"


def resolution_of_row(row: Row[tuple[object, ...]]) -> Resolution:
    return Resolution(
        number=row.number,
        hold=f"H-{row.hold}",
        hold_key=row.hold_key,
        code=row.code,
        verb=Verb(row.verb),
        link_id=row.link_id,
        target=None if row.shop is None else OrderRef(row.shop, row.order_id),
        facts=tuple(json.loads(row.facts)),
        digest=row.digest,
        who=row.who,
        why=row.why,
        at=row.at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        used_by=row.used_by,
    )
