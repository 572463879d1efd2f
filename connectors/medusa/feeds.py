"""How the Medusa feeds walk: by `updated_at` through real Medusa, by overlapping offset through the dialect.

A cursor is a short JSON text. It is moved only from what an answer really held: filters and sorting the platform
ignored are found out here and are an error, never an end and never a wider sync.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, TypeVar

import msgspec
from ordersync_connectors.medusa.rows import Listing, Row, raw_orders, read_list

from ordersync.connector import Page, Window
from ordersync.errors import ConfigError
from ordersync.http import NOT_JSON, Answer

MAX_PASSES = 5
"""Over one instant, and steps back in a moving list, before the platform is said to move too fast."""
_ABOUT_NOW = timedelta(minutes=15)
_UNKNOWN = -1
_MOVED = -2
Ask = Callable[[Sequence[tuple[str, str | int]]], Answer]

_T = TypeVar("_T")


class _Cursor(msgspec.Struct, omit_defaults=True):
    """Where a walk stands.

    `edge`: everything before this instant was read; `seen`: ids read at it. `expect`: at least so many rows are
    there from the edge on; with fewer the walk goes back to `edge_before`. `tied`: more rows share the edge than
    fit a page, so the walk steps through that one instant by `offset`, sorted by id.
    """

    edge: str = ""
    seen: list[str] = []
    expect: int = 0
    edge_before: str = ""
    seen_before: list[str] = []
    tied: bool = False
    offset: int = 0
    count: int = _UNKNOWN
    passes: int = 0


class _Offset(msgspec.Struct, omit_defaults=True):
    """Where an offset walk stands: `head` and `tail` are the first and last row of the page before."""

    offset: int = 0
    head: str = ""
    tail: str = ""
    steps_back: int = 0


class UpdatedWalk:
    """`order=updated_at` from the edge on, 50 rows at a time.

    The lower bound is inclusive, so a page begins with rows already read. Rows that move while the walk is under
    way move to its end. Rows that share one instant with more than a page of others are read sorted by id.
    """

    def __init__(
        self, ask: Ask, name: Literal["orders", "payments"], fields: str, limit: int, window: Window
    ) -> None:
        self._ask = ask
        self._name = name
        self._fields = fields
        self._limit = limit
        self._window = window
        self._since = _text(window.since) if window.since else ""

    def page(self, cursor: str | None) -> Page:
        if cursor is None:
            return self._from_edge(_Cursor(edge=self._since), first=True)
        at = _decode(cursor, _Cursor)
        return self._inside_one_instant(at) if at.tied else self._from_edge(at)

    def _from_edge(self, at: _Cursor, *, first: bool = False) -> Page:
        params: list[tuple[str, str | int]] = [("order", "updated_at")]
        if at.edge:
            params.append(("updated_at[$gte]", at.edge))
        answer, listing = self._list(params)
        self._verify(answer, listing, lowest=at.edge)
        if listing.count is not None and listing.count < at.expect:
            # The last row of the page before had moved to the end as it was read, and took the edge along: rows
            # between would be lost. Rows only ever move to the end, so there cannot be fewer from an edge on.
            return self._from_edge(_Cursor(edge=at.edge_before, seen=at.seen_before))
        end = _end_of(self._window, answer)
        total = listing.count if first and end is None else None
        got = len(listing.rows) + listing.broken
        dated = [row for row in listing.rows if row.updated_at]
        more = listing.count > got if listing.count is not None else got >= self._limit
        if not more or (dated and end is not None and _moved(dated[-1]) > end):
            return self._give(answer, listing, at.seen, None, total)
        if not dated:
            raise answer.broken("a page without a dated row is not the end", code="empty_page")
        low, high = _stamp(dated[0]), _stamp(dated[-1])
        if low == high:
            # The whole page is one instant: nothing says that the instant ends with the page.
            follow = _Cursor(edge=high, seen=_all_seen(at, dated), tied=True)
            return self._give(answer, listing, at.seen, follow, total)
        earlier = sum(_stamp(row) < high for row in dated)
        undated = got - len(dated)
        follow = _Cursor(
            edge=high,
            seen=[row.key for row in dated if _stamp(row) == high],
            expect=max(0, (listing.count or 0) - earlier - undated),
            edge_before=at.edge,
            seen_before=at.seen,
        )
        return self._give(answer, listing, at.seen, follow, total)

    def _inside_one_instant(self, at: _Cursor) -> Page:
        """All rows of exactly `edge`, sorted by id, by offset; once more when one left meanwhile."""
        end = _text(datetime.fromisoformat(at.edge) + timedelta(milliseconds=1))
        answer, listing = self._list(
            [("order", "id"), ("updated_at[$gte]", at.edge), ("updated_at[$lt]", end), ("offset", at.offset)]
        )
        self._verify(answer, listing, lowest=at.edge, highest=at.edge)
        got = len(listing.rows) + listing.broken
        reached = at.offset + got
        count = _UNKNOWN if listing.count is None else listing.count
        if not got and reached < count:
            raise answer.broken("an empty page where rows are counted is not the end", code="empty_page")
        moved = at.count not in (_UNKNOWN, count)
        seen = _all_seen(at, listing.rows)
        if got and (count == _UNKNOWN or reached < count):
            shown = _MOVED if moved else count
            follow = _Cursor(edge=at.edge, seen=seen, tied=True, offset=reached, count=shown, passes=at.passes)
        elif moved:
            # A row left this instant as we stepped through it, and those behind it slid forward past us.
            if at.passes >= MAX_PASSES:
                raise answer.broken("the list moves faster than it can be read", code="list_moved")
            follow = _Cursor(edge=at.edge, seen=seen, tied=True, passes=at.passes + 1)
        else:
            follow = _Cursor(edge=end)
        return self._give(answer, listing, at.seen, follow, None)

    def _list(self, params: list[tuple[str, str | int]]) -> tuple[Answer, Listing]:
        answer = self._ask([*params, ("limit", self._limit), ("fields", self._fields)])
        return answer, read_list(answer, self._name)

    def _verify(self, answer: Answer, listing: Listing, *, lowest: str, highest: str = "") -> None:
        """Unknown filters are ignored without a word on this platform: look at the rows."""
        stamps = [_stamp(row) for row in listing.rows if row.updated_at]
        if any(stamp < lowest or (highest and stamp > highest) for stamp in stamps):
            raise answer.broken("the platform ignored the updated_at filter", code="filter_ignored")
        if any(before > after for before, after in pairwise(stamps)):
            raise answer.broken("the platform ignored order=updated_at", code="order_ignored")

    def _give(
        self, answer: Answer, listing: Listing, seen: Sequence[str], follow: _Cursor | None, total: int | None
    ) -> Page:
        cursor = None if follow is None else msgspec.json.encode(follow).decode()
        already = frozenset(seen)
        end = _end_of(self._window, answer)
        rows = [
            row
            for row in listing.rows
            if row.key not in already and (end is None or row.updated_at is None or row.updated_at <= end)
        ]
        covered = _covered_until(self._window, answer) if follow is None else None
        lost = [f"{listing.broken} listed {self._name} could not be read"] if listing.broken else []
        if self._name == "orders":
            orders, unreadable = raw_orders(rows, answer.sent_at)
            return Page(
                orders=orders,
                next_cursor=cursor,
                total=total,
                unreadable=(*lost, *unreadable),
                covered_until=covered,
            )
        owners = tuple(dict.fromkeys(row.order_id for row in rows if row.order_id))
        # A payment whose collection has no order is a checkout that was never finished.
        lost += [
            f"payment {row.row_id or 'without an id'} does not say which order it is for"
            for row in rows
            if not row.owner_told
        ]
        return Page(
            next_cursor=cursor, seen_ids=owners, total=total, unreadable=tuple(lost), covered_until=covered
        )


class OffsetWalk:
    """Everything by `limit` and `offset`, for a platform that promises neither.

    Pages overlap by one row: when the last row read is not on the next page, rows have moved and the walk steps
    back. A platform that ignores paging gives everything at once, which is noticed.
    """

    def __init__(self, ask: Ask, limit: int, window: Window) -> None:
        self._ask = ask
        self._limit = limit
        self._window = window

    def page(self, cursor: str | None) -> Page:
        at = _Offset() if cursor is None else _decode(cursor, _Offset)
        answer = self._ask([("limit", self._limit), ("offset", at.offset)])
        listing = read_list(answer, "orders")
        ids = [row.key for row in listing.rows]
        if at.offset and (not ids or (at.tail and at.tail not in ids)):
            if at.steps_back >= MAX_PASSES:
                raise answer.broken("the list moves faster than it can be read", code="list_moved")
            follow = _Offset(offset=max(0, at.offset - self._limit), steps_back=at.steps_back + 1)
            return self._give(answer, listing, listing.rows, follow)
        if not ids:
            if listing.count or listing.broken:
                raise answer.broken("an empty page where rows are counted is not the end", code="empty_page")
            return self._give(answer, listing, (), None)
        follow = _Offset(offset=at.offset + len(ids) - 1, head=ids[0], tail=ids[-1])
        if not at.tail:
            follow.steps_back = at.steps_back
            return self._give(answer, listing, listing.rows, follow)
        fresh = listing.rows[ids.index(at.tail) + 1 :]
        if fresh:
            return self._give(answer, listing, fresh, follow)
        same_again = len(ids) > 1 and ids[0] == at.head
        if same_again and len(ids) == self._limit and listing.count != len(ids):
            raise answer.broken("the same page comes again whatever the offset", code="repeated_page")
        return self._give(answer, listing, (), None)

    def _give(self, answer: Answer, listing: Listing, rows: Sequence[Row], follow: _Offset | None) -> Page:
        cursor = None if follow is None else msgspec.json.encode(follow).decode()
        since, end = self._window.since, _end_of(self._window, answer)
        inside = [
            row
            for row in rows
            if row.moved_at is None
            or ((since is None or row.moved_at >= since) and (end is None or row.moved_at <= end))
        ]
        orders, unreadable = raw_orders(inside, answer.sent_at)
        if listing.broken:
            unreadable.append(f"{listing.broken} listed orders could not be read")
        return Page(orders=orders, next_cursor=cursor, unreadable=tuple(unreadable))


def _text(moment: datetime) -> str:
    """ISO 8601 in UTC to the millisecond: texts compare as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moved(row: Row) -> datetime:
    assert row.updated_at is not None
    return row.updated_at


def _stamp(row: Row) -> str:
    return _text(_moved(row))


def _platform_now(answer: Answer) -> datetime:
    """The platform's clock, to the second below; ours where it tells none."""
    return answer.sent_at + timedelta(seconds=answer.clock_skew_s or 0)


def _end_of(window: Window, answer: Answer) -> datetime | None:
    """Where to stop. A window that ends about now ends at the platform's now, whatever our clock says: the newest
    rows must not wait for clocks to agree."""
    if window.until is None or window.until > _platform_now(answer) - _ABOUT_NOW:
        return None
    return window.until


def _covered_until(window: Window, answer: Answer) -> datetime | None:
    """Where the next pass may start: not later than the platform's own clock."""
    now = _platform_now(answer)
    return now if window.until is not None and now < window.until else None


def _all_seen(at: _Cursor, rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys([*at.seen, *(row.key for row in rows)]))


def _decode(cursor: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(cursor, type=kind)
    except NOT_JSON as bad:
        raise ConfigError(
            "the stored position of this feed is not one of this connector",
            code="bad_cursor",
            next_step="start the feed again from its beginning",
        ) from bad
