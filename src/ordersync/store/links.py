"""Links, their members and the ledger: which orders are one sale, and what was decided about each fact."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, delete, exists, func, insert, select, tuple_, update

from ordersync.errors import Held, UsageError
from ordersync.model import Ledger, LedgerRow, Link, LinkOrigin, OrderRef
from ordersync.store import holds
from ordersync.store.part import Part
from ordersync.store.tables import ACTIONS, LEDGER, LINKS, MEMBERS, META, ORDERS, UNSETTLED, instant_text

RULES_DIGEST = "rules_digest"


class Links(Part):
    def add_link(self, members: Iterable[OrderRef], origin: LinkOrigin, rule: str | None, now: datetime) -> Link:
        """Store a link and return it; it is dirty at once.

        Errors: UsageError `too_few_members`, `same_shop_twice`, `link_exists` (just this link is there already),
        `already_linked` (a member belongs to another link). Nothing is stored then.
        """
        sorted_members = checked_members(members)
        with self.db.write() as connection:
            _refuse_linked(connection, sorted_members)
            text = json.dumps(sorted_members, ensure_ascii=False)
            made = connection.execute(
                insert(LINKS).values(
                    members=text, origin=origin.value, rule=rule, made_at=now, version=1, clean_version=0
                )
            )
            number = made.inserted_primary_key[0] if made.inserted_primary_key else None
            rows = [{"shop": ref.shop, "order_id": ref.order_id, "link": number} for ref in sorted_members]
            connection.execute(insert(MEMBERS), rows)
        return Link(link_id=f"L{number}", members=sorted_members, origin=origin, rule=rule, made_at=now)

    def remove_link(self, link_id: str, now: datetime | None = None) -> None:
        """Free the members; the ledger, the journal and their keys stay. Holds that would close themselves close,
        and those that stopped one of its writes.

        Errors: UsageError `unknown_link`; Held `write_open` while any member has an open, unseen or doubtful write.
        """
        moment = now or datetime.now(UTC)
        with self.db.write() as connection:
            link = link_of_row(_live_row(connection, link_id))
            pairs = tuple_(ACTIONS.c.shop, ACTIONS.c.order_id)
            open_target = connection.execute(
                select(ACTIONS.c.shop, ACTIONS.c.order_id)
                .where(UNSETTLED, (ACTIONS.c.link_id == link_id) | pairs.in_(list(link.members)))
                .limit(1)
            ).first()
            if open_target is not None:
                target = OrderRef(*open_target)
                raise Held(
                    f"link {link_id} has a write to {target} that is not settled yet",
                    code="write_open",
                    operation="remove_link",
                    next_step="run: ordersync apply (it looks again), or resolve its hold: ordersync holds list",
                )
            number = link_number(link_id)
            connection.execute(delete(MEMBERS).where(MEMBERS.c.link == number))
            connection.execute(update(LINKS).where(LINKS.c.number == number).values(removed_at=moment))
            holds.close_derived(connection, link_id, keep=(), now=moment, why="the link was removed")
            holds.close_on_actions(connection, link_id, moment, why="the link was removed")

    def link(self, link_id: str) -> Link | None:
        """A live link, or None."""
        with self.db.read() as connection:
            row = connection.execute(
                select(LINKS).where(LINKS.c.number == link_number(link_id), LINKS.c.removed_at.is_(None))
            ).first()
        return link_of_row(row) if row else None

    def link_of(self, ref: OrderRef) -> Link | None:
        with self.db.read() as connection:
            row = connection.execute(
                select(LINKS)
                .join(MEMBERS, MEMBERS.c.link == LINKS.c.number)
                .where(MEMBERS.c.shop == ref.shop, MEMBERS.c.order_id == ref.order_id)
            ).first()
        return link_of_row(row) if row else None

    def links(self, limit: int | None = None, shop: str | None = None) -> list[Link]:
        """Live links, oldest first: all, the first `limit`, those with an order of `shop`."""
        query = select(LINKS).where(LINKS.c.removed_at.is_(None)).order_by(LINKS.c.number).limit(limit)
        if shop is not None:
            query = query.where(exists().where(MEMBERS.c.link == LINKS.c.number, MEMBERS.c.shop == shop))
        with self.db.read() as connection:
            return [link_of_row(row) for row in connection.execute(query)]

    def link_count(self) -> int:
        """How many live links there are."""
        with self.db.read() as connection:
            return connection.execute(
                select(func.count()).select_from(LINKS).where(LINKS.c.removed_at.is_(None))
            ).scalar_one()

    def waiting(self) -> int:
        """Writes of live links that waited for their time at the last decision."""
        with self.db.read() as connection:
            total = select(func.coalesce(func.sum(LINKS.c.waits), 0)).where(
                LINKS.c.removed_at.is_(None), LINKS.c.waits > 0
            )
            return int(connection.execute(total).scalar_one())

    def oldest_unread(self, shops: Iterable[str]) -> dict[str, datetime]:
        """Per shop, when the linked order that was not read for longest was last read; none where none is linked."""
        linked = exists().where(MEMBERS.c.shop == ORDERS.c.shop, MEMBERS.c.order_id == ORDERS.c.order_id)
        query = select(ORDERS.c.sent_at).where(linked).order_by(ORDERS.c.sent_at).limit(1)
        with self.db.read() as connection:
            found = {shop: connection.scalars(query.where(ORDERS.c.shop == shop)).first() for shop in shops}
        return {shop: moment for shop, moment in found.items() if moment is not None}

    def link_version(self, link_id: str) -> int:
        """The version to hand to `mark_clean` after a decision made from what is stored now."""
        with self.db.read() as connection:
            return int(_live_row(connection, link_id).version)

    def mark_clean(self, link_id: str, version: int) -> None:
        """The link was settled as of `version`; what changed since keeps it dirty."""
        with self.db.write() as connection:
            connection.execute(
                update(LINKS)
                .where(LINKS.c.number == link_number(link_id), LINKS.c.clean_version < version)
                .values(clean_version=version)
            )

    def mark_dirty(self, link_id: str) -> None:
        """Have the link looked at again (a policy changed, a hold was resolved)."""
        with self.db.write() as connection:
            connection.execute(
                update(LINKS).where(LINKS.c.number == link_number(link_id)).values(version=LINKS.c.version + 1)
            )

    def decided_under(self, rules_digest: str) -> bool:
        """Remember by which policy and abilities links are decided; where they changed, every link is dirty again.

        Returns whether they changed. Links that were settled under other rules must not stay unseen.
        """
        with self.db.write() as connection:
            known = connection.execute(select(META.c.value).where(META.c.key == RULES_DIGEST)).scalar_one_or_none()
            if known == rules_digest:
                return False
            connection.execute(delete(META).where(META.c.key == RULES_DIGEST))
            connection.execute(insert(META).values(key=RULES_DIGEST, value=rules_digest))
            if known is not None:
                connection.execute(
                    update(LINKS).where(LINKS.c.removed_at.is_(None)).values(version=LINKS.c.version + 1)
                )
        return known is not None

    def ledger(self, link_id: str) -> Ledger:
        with self.db.read() as connection:
            rows = connection.execute(
                select(LEDGER.c.row).where(LEDGER.c.link == link_number(link_id)).order_by(LEDGER.c.position)
            ).scalars()
            return Ledger(rows=tuple(LedgerRow.model_validate_json(row) for row in rows))


def mark_members_dirty(connection: Connection, shop: str, order_ids: Sequence[str]) -> None:
    """Raise the version of every link one of these orders belongs to."""
    if not order_ids:
        return
    touched = list(
        connection.scalars(
            select(MEMBERS.c.link).where(MEMBERS.c.shop == shop, MEMBERS.c.order_id.in_(order_ids)).distinct()
        )
    )
    if touched:
        connection.execute(update(LINKS).where(LINKS.c.number.in_(touched)).values(version=LINKS.c.version + 1))


def checked_members(members: Iterable[OrderRef]) -> tuple[OrderRef, ...]:
    refs = tuple(sorted(set(members)))
    if len(refs) < 2:
        raise UsageError(
            "a link needs two different orders", code="too_few_members", next_step="name orders of two shops"
        )
    shops = [ref.shop for ref in refs]
    for shop in shops:
        if shops.count(shop) > 1:
            raise UsageError(
                f"a link holds one order per shop, and {shop} is named twice",
                code="same_shop_twice",
                shop=shop,
                next_step="name one order of each shop",
            )
    return refs


def _refuse_linked(connection: Connection, members: Sequence[OrderRef]) -> None:
    for ref in members:
        row = connection.execute(
            select(LINKS)
            .join(MEMBERS, MEMBERS.c.link == LINKS.c.number)
            .where(MEMBERS.c.shop == ref.shop, MEMBERS.c.order_id == ref.order_id)
        ).first()
        if row is None:
            continue
        link = link_of_row(row)
        if link.members == tuple(members):
            raise UsageError(f"these orders are linked already: {link.link_id}", code="link_exists")
        raise UsageError(
            f"{ref} belongs to link {link.link_id} already",
            code="already_linked",
            shop=ref.shop,
            order=ref.order_id,
            next_step=f"see it: ordersync links list; to free it: ordersync links remove {link.link_id}",
        )


def _live_row(connection: Connection, link_id: str) -> Row[tuple[object, ...]]:
    row = connection.execute(
        select(LINKS).where(LINKS.c.number == link_number(link_id), LINKS.c.removed_at.is_(None))
    ).first()
    if row is None:
        raise UsageError(
            f"there is no link {link_id}", code="unknown_link", next_step="see them: ordersync links list"
        )
    return row


def link_number(link_id: str) -> int:
    """-1 for anything that is not a link's name: no row has it."""
    digits = link_id[1:]
    return int(digits) if link_id[:1] in ("L", "l") and digits.isascii() and digits.isdigit() else -1


def link_of_row(row: Row[tuple[object, ...]]) -> Link:
    return Link(
        link_id=f"L{row.number}",
        members=tuple(OrderRef(shop, order_id) for shop, order_id in json.loads(row.members)),
        origin=LinkOrigin(row.origin),
        rule=row.rule,
        made_at=row.made_at,
        joined=joined_of(row.joined),
    )


def joined_of(text: str | None) -> tuple[tuple[str, datetime], ...]:
    """(shop, instant) of the members that came later, as stored."""
    told = json.loads(text) if text else {}
    return tuple((shop, datetime.fromisoformat(at)) for shop, at in sorted(told.items()))


def joined_text(joined: Iterable[tuple[str, datetime]]) -> str:
    return json.dumps({shop: instant_text(at) for shop, at in joined}, ensure_ascii=False)
