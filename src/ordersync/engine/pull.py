"""Reading what changed on one shop: every feed to its end, then the orders something hinted at.

A feed's cursor moves only together with the rows of its page, in one transaction: killed anywhere, the same pull run
again ends in the same store. An empty, failed or repeated page is never "the end".
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ordersync.connector import Feed, Page, RawOrder, Window
from ordersync.engine.ahead import Ahead
from ordersync.engine.observe import Looked, observe_many, read_payload
from ordersync.engine.shops import Shop
from ordersync.errors import BrokenAnswer, ConfigError, MappingError, NotFound, OrdersyncError, Refused, UsageError
from ordersync.model import Hold, hold_key
from ordersync.store import FeedPosition, Observation, Outcome, PageResult, Parked, Same, Store

_LOOK_AT_ONCE = 100
_EVIDENCE_MOST = 10
_GC_THRESHOLD = 20_000
"""New objects between two collections. An order is thousands of objects that live as long as their page and hold no
cycles; at Python's 700 the collector walks them again and again, a tenth of the whole pull (bench/README.md)."""


@dataclass(slots=True)
class FeedReport:
    """What one pass of one feed did, in this run; `pages` and `rows` of the whole pass are in the position."""

    feed: str
    pages: int = 0
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    stale: int = 0
    hinted: int = 0
    """Orders marked to be looked at: rows without details, and ids alone."""
    parked: int = 0
    unreadable: int = 0
    total: int | None = None
    """The platform's own count for the window, where it gives one."""
    resumed: bool = False
    finished: bool = False

    def add(self, page: Page, result: PageResult) -> None:
        partial = sum(1 for raw in page.orders if raw.partial)
        self.pages += 1
        self.rows += len(page.orders)
        self.new += result.new
        self.changed += result.changed
        self.unchanged += result.unchanged
        self.stale += result.stale - partial
        self.hinted += partial + len(page.seen_ids)
        self.parked += result.parked
        self.unreadable += len(page.unreadable)
        self.total = page.total if page.total is not None else self.total


@dataclass(slots=True)
class PullReport:
    """What one pull of one shop did."""

    shop: str
    feeds: list[FeedReport] = field(default_factory=list)
    looked: FeedReport = field(default_factory=lambda: FeedReport("look again"))
    """Orders fetched by id because something hinted at them; its `rows` are orders asked for."""
    vanished: int = 0

    @property
    def new(self) -> int:
        return sum(part.new for part in self.parts)

    @property
    def changed(self) -> int:
        return sum(part.changed for part in self.parts)

    @property
    def unchanged(self) -> int:
        return sum(part.unchanged for part in self.parts)

    @property
    def parked(self) -> int:
        return sum(part.parked for part in self.parts)

    @property
    def parts(self) -> list[FeedReport]:
        return [*self.feeds, self.looked]


OnPage = Callable[[FeedReport], None]


def pull(
    store: Store,
    shop: Shop,
    *,
    read_from: datetime | None,
    now: datetime,
    feeds: Collection[str] | None = None,
    on_page: OnPage | None = None,
) -> PullReport:
    """Read every feed of the shop (or those named) to its end, then fetch what was hinted at.

    `read_from`: where the first pass of a feed begins. `now`: where this pass ends. `on_page` is called after each
    stored page.

    Errors: Transient, Unauthorized as the connector raises them. A BrokenAnswer ends its feed only: it is raised
    after the other feeds. What was stored until then stays, and the next pull goes on there.
    """
    collect_garbage_less()
    report = PullReport(shop.name)
    started_at = datetime.now(UTC)
    failed: OrdersyncError | None = None
    _read_parked_again(store, shop, report.looked)
    for feed in _wanted(shop, feeds):
        feed_report = FeedReport(feed.name)
        report.feeds.append(feed_report)
        try:
            _Pass(store, shop, feed, feed_report, on_page).run(read_from, now)
        except BrokenAnswer as broken:
            failed = failed or broken
    failed = _look_again(store, shop, report, started_at) or failed
    if failed is not None:
        raise failed
    return report


def collect_garbage_less() -> None:
    """Raise the collector's threshold for this process; where it is switched off, or higher, it stays."""
    if 0 < gc.get_threshold()[0] < _GC_THRESHOLD:
        gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])


class _Pass:
    """One pass of one feed: from its cursor, or from a new window, to the end."""

    def __init__(self, store: Store, shop: Shop, feed: Feed, report: FeedReport, on_page: OnPage | None) -> None:
        self._store = store
        self._shop = shop
        self._feed = feed
        self._report = report
        self._on_page = on_page
        self._unreadable: list[str] = []
        self._cursors: set[int] = set()
        """Hashes of every cursor of this pass: a known one means that the platform runs in circles."""

    def run(self, read_from: datetime | None, now: datetime) -> None:
        position = self._store.position(self._shop.name, self._feed.name)
        if position is not None and position.cursor is not None:
            self._report.resumed = True
            try:
                self._to_the_end(position)
                return
            except (Refused, NotFound, ConfigError):
                # A cursor may expire at the platform, or be one of an older version of the connector: the window
                # is read from its start. A pass begun in this run does not get here: its refusals are real.
                if self._report.pages:
                    raise
                position = replace(position, cursor=None, pages=0, rows=0, total=None)
        else:
            position = self._begin(position, read_from, now)
        self._to_the_end(position)

    def _begin(self, last: FeedPosition | None, read_from: datetime | None, now: datetime) -> FeedPosition:
        watermark = last.watermark if last else None
        since = read_from
        if self._feed.lists_open:
            since = None  # the whole set, or "absent" would mean nothing
        elif self._feed.look_back is not None:
            since = now - self._feed.look_back
            since = max(since, read_from) if read_from else since
        elif self._feed.by_watermark and watermark is not None:
            since = watermark
        return FeedPosition(
            shop=self._shop.name,
            feed=self._feed.name,
            cursor=None,
            since=since,
            until=now,
            watermark=watermark,
            started_at=now,
        )

    def _to_the_end(self, position: FeedPosition) -> None:
        window = Window(since=position.since, until=position.until)
        ahead = Ahead(lambda cursor: self._shop.connector.pull(self._feed.name, window, cursor))
        ahead.ask(position.cursor)
        self._remember(position.cursor)
        while True:
            page = ahead.answer()
            going_on = page.next_cursor is not None
            repeated = going_on and not self._remember(page.next_cursor)
            if going_on and not repeated:
                # The next page travels while this one is stored. That is safe: it is stored after this one.
                ahead.ask(page.next_cursor)
            if repeated:
                self._store_page(page, position)
                if self._report.resumed:
                    # Twice the same circle: the next pull begins this window anew.
                    self._store.forget_cursor(self._shop.name, self._feed.name)
                raise BrokenAnswer(
                    f"feed {self._feed.name} came back to a page it had given before",
                    code="repeated_cursor",
                    shop=self._shop.name,
                    operation=f"pull {self._feed.name}",
                    next_step="nothing is lost; run the command again, and tell the platform if it stays",
                )
            position = replace(
                position,
                cursor=page.next_cursor,
                watermark=position.watermark if going_on else page.covered_until or position.until,
                pages=position.pages + 1,
                rows=position.rows + len(page.orders),
                total=page.total if page.total is not None else position.total,
            )
            self._store_page(page, position)
            if not going_on:
                self._report.finished = True
                self._close_unreadable()
                return

    def _remember(self, cursor: str | None) -> bool:
        """False when this pass was there before."""
        mark = hash(cursor)
        known = mark in self._cursors
        self._cursors.add(mark)
        return not known

    def _store_page(self, page: Page, position: FeedPosition) -> None:
        name, store = self._shop.name, self._store
        same, others = _sort_out(store, self._shop, page.orders)
        seen = [read_payload(self._shop, raw) for raw in others]
        self._unreadable += page.unreadable
        result = store.save_page(
            position,
            [one for one in seen if isinstance(one, Observation)],
            [one for one in seen if isinstance(one, Parked)],
            page.seen_ids,
            same=same,
            listed=[*(raw.order_id for raw in page.orders), *page.seen_ids] if self._feed.lists_open else None,
            held=[_unreadable_hold(name, self._feed.name, self._unreadable)] if page.unreadable else (),
        )
        self._report.add(page, result)
        if self._on_page is not None:
            self._on_page(self._report)

    def _close_unreadable(self) -> None:
        """A whole pass without an unreadable row: the hold about them is over."""
        if not self._unreadable and not self._report.resumed:
            key = _unreadable_key(self._shop.name, self._feed.name)
            self._store.close_hold(key, datetime.now(UTC), "a whole pass had none")


def _sort_out(store: Store, shop: Shop, raws: Sequence[RawOrder]) -> tuple[list[Same], list[RawOrder]]:
    """(unchanged to the byte since this very mapping read them, all others)."""
    whole = [raw for raw in raws if not raw.partial]
    if not shop.mapping_version or not whole:
        return [], list(raws)
    stored = store.digests(shop.name, [raw.order_id for raw in whole], shop.mapping_version)
    same: list[Same] = []
    others: list[RawOrder] = []
    for raw in raws:
        before = None if raw.partial else stored.get(raw.order_id)
        if before is not None and before == hashlib.sha256(raw.payload).digest():
            same.append(Same(shop.name, raw.order_id, before, raw.sent_at))
        else:
            others.append(raw)
    return same, others


def _wanted(shop: Shop, feeds: Collection[str] | None) -> list[Feed]:
    known = {feed.name: feed for feed in shop.connector.feeds}
    for name in feeds or ():
        if name not in known:
            raise UsageError(
                f"{shop.name} has no feed {name!r}", shop=shop.name, next_step=f"its feeds are {', '.join(known)}"
            )
    return [feed for feed in known.values() if feeds is None or feed.name in feeds]


def _read_parked_again(store: Store, shop: Shop, report: FeedReport) -> None:
    """A corrected mapping may read what was parked; what it cannot read is fetched: the platform may have mended it
    without moving any time a feed looks at."""
    for parked in store.parked(shop=shop.name):
        if parked.raw is None:
            store.look_again(shop.name, [parked.order_id], datetime.now(UTC))
            continue
        raw = RawOrder(order_id=parked.order_id, payload=parked.raw, sent_at=parked.sent_at)
        try:
            normalised = shop.normalise(raw)
        except MappingError:
            store.look_again(shop.name, [parked.order_id], datetime.now(UTC))
            continue
        outcome = store.save_observation(Observation(normalised.order, normalised.raw, parked.sent_at))
        _count(report, outcome)


def _look_again(store: Store, shop: Shop, report: PullReport, started_at: datetime) -> OrdersyncError | None:
    """Fetch every marked order and every one with a pending refund once; the first failure, if any."""
    failed: OrdersyncError | None = None
    pending = sorted(store.pending_refund_ids(shop.name, not_seen_since=started_at))
    for start in range(0, len(pending), _LOOK_AT_ONCE):
        failed = _look(store, shop, report, pending[start : start + _LOOK_AT_ONCE]) or failed
    after = ""
    while marked := store.to_look_at(shop.name, _LOOK_AT_ONCE, after):
        after = marked[-1]
        failed = _look(store, shop, report, marked) or failed
    return failed


def _look(store: Store, shop: Shop, report: PullReport, order_ids: Sequence[str]) -> OrdersyncError | None:
    looked: Looked = observe_many(store, shop, order_ids)
    report.looked.rows += len(order_ids)
    report.looked.parked += len(looked.parked)
    report.vanished += len(looked.vanished)
    for outcome in looked.outcomes.values():
        _count(report.looked, outcome)
    return next(iter(looked.failed.values()), None)


def _count(report: FeedReport, outcome: Outcome) -> None:
    setattr(report, outcome, getattr(report, outcome) + 1)


def _unreadable_key(shop: str, feed: str) -> str:
    return hold_key("unreadable_row", f"shop:{shop}", feed)


def _unreadable_hold(shop: str, feed: str, rows: Sequence[str]) -> Hold:
    shown = tuple(rows[:_EVIDENCE_MOST])
    more = (f"and {len(rows) - len(shown)} more",) if len(rows) > len(shown) else ()
    return Hold(
        key=_unreadable_key(shop, feed),
        code="unreadable_row",
        subject=f"shop:{shop}",
        message=f"feed {feed} of {shop} brought {len(rows)} rows that cannot be kept (no id, or too large)",
        evidence=(*shown, *more),
        next_steps=(
            "look in the shop's admin for orders that are missing here",
            "run: ordersync pull (the hold closes after a whole pass without such rows)",
        ),
    )
