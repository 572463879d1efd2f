"""Feed positions: a page's rows and the cursor behind it are stored together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from ordersync.model import Hold
from ordersync.store import holds, saving
from ordersync.store.part import Part
from ordersync.store.records import FeedPass, FeedPosition, Observation, PageResult, Parked, Same
from ordersync.store.tables import FEEDS, LISTED, ORDERS, PASSES

_UPSERT_FEED = upsert(FEEDS)
_UPSERT_FEED = _UPSERT_FEED.on_conflict_do_update(
    index_elements=["shop", "feed"],
    set_={c.name: _UPSERT_FEED.excluded[c.name] for c in FEEDS.c if c.name not in ("shop", "feed")},
)


class Feeds(Part):
    def position(self, shop: str, feed: str) -> FeedPosition | None:
        with self.db.read() as connection:
            row = connection.execute(select(FEEDS).where(FEEDS.c.shop == shop, FEEDS.c.feed == feed)).first()
        return None if row is None else FeedPosition(**row._asdict())

    def save_page(
        self,
        position: FeedPosition,
        observations: Sequence[Observation],
        parked: Sequence[Parked],
        look_again: Sequence[str],
        *,
        same: Sequence[Same] = (),
        listed: Sequence[str] | None = None,
        held: Sequence[Hold] = (),
        now: datetime | None = None,
    ) -> PageResult:
        """Store one page and how far its feed got, in ONE transaction.

        `position` is the state after the page; without a cursor the pass is finished and its completeness record is
        written. `look_again`: orders to be fetched by a request sent after `now`. `listed`: every order id of the
        page, for a feed whose finished pass is the whole set of open orders: what is open here and was on none of
        its pages is then marked to be looked at. `held`: holds about the page itself.
        """
        moment = now or datetime.now(UTC)
        with self.db.write() as connection:
            outcomes = saving.save_all(connection, observations, moment)
            outcomes += saving.save_same(connection, same, moment)
            for one in parked:
                saving.park(connection, one, moment)
            saving.mark(connection, position.shop, dict.fromkeys(look_again, moment))
            if listed is not None:
                _remember_listed(connection, position, listed)
                if position.cursor is None:
                    gone = _left_the_set(connection, position)
                    saving.mark(connection, position.shop, dict.fromkeys(gone, moment))
            for hold in held:
                holds.open_in(connection, hold, moment)
            connection.execute(_UPSERT_FEED, asdict(position))
            if position.cursor is None:
                connection.execute(insert(PASSES), _pass_row(position, moment))
        return PageResult(
            new=outcomes.count("new"),
            changed=outcomes.count("changed"),
            unchanged=outcomes.count("unchanged"),
            stale=outcomes.count("stale"),
            parked=len(parked),
        )

    def forget_cursor(self, shop: str, feed: str) -> None:
        """Give up an unfinished pass: the next one begins at the watermark again."""
        with self.db.write() as connection:
            connection.execute(update(FEEDS).where(FEEDS.c.shop == shop, FEEDS.c.feed == feed).values(cursor=None))

    def passes(self, shop: str | None = None, feed: str | None = None) -> list[FeedPass]:
        """Completeness records, oldest first."""
        query = select(*(c for c in PASSES.c if c.name != "id")).order_by(PASSES.c.id)
        if shop is not None:
            query = query.where(PASSES.c.shop == shop)
        if feed is not None:
            query = query.where(PASSES.c.feed == feed)
        with self.db.read() as connection:
            return [FeedPass(**row._asdict()) for row in connection.execute(query)]

    def pass_during(self, shop: str, at: datetime) -> FeedPass | None:
        """The latest finished pass of any feed of the shop that was under way at that instant."""
        query = (
            select(*(c for c in PASSES.c if c.name != "id"))
            .where(PASSES.c.shop == shop, PASSES.c.started_at <= at, PASSES.c.finished_at >= at)
            .order_by(PASSES.c.id.desc())
            .limit(1)
        )
        with self.db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else FeedPass(**row._asdict())


def _remember_listed(connection: Connection, position: FeedPosition, order_ids: Sequence[str]) -> None:
    if position.pages <= 1:
        connection.execute(delete(LISTED).where(LISTED.c.shop == position.shop, LISTED.c.feed == position.feed))
    rows = [{"shop": position.shop, "feed": position.feed, "order_id": order_id} for order_id in order_ids]
    if rows:
        connection.execute(upsert(LISTED).on_conflict_do_nothing(), rows)


def _left_the_set(connection: Connection, position: FeedPosition) -> list[str]:
    """Orders open here that no page of the pass listed."""
    listed = select(LISTED.c.order_id).where(LISTED.c.shop == position.shop, LISTED.c.feed == position.feed)
    return list(
        connection.scalars(
            select(ORDERS.c.order_id).where(
                ORDERS.c.shop == position.shop, ORDERS.c.is_open, ORDERS.c.order_id.not_in(listed)
            )
        )
    )


def _pass_row(position: FeedPosition, finished_at: datetime) -> dict[str, object]:
    row = {name: value for name, value in asdict(position).items() if name not in ("cursor", "watermark")}
    return {**row, "finished_at": finished_at}
