"""The feed `changed`: every order whose `updated_at` lies in a closed window, archived or not.

SHOPLINE sorts by id and order time only, so a row that is touched while its window is paged through may shift
others across a page edge. Only an answer that came as one page is a picture of one moment. Hence the window is cut
until each piece fits one page; a piece of one second that does not fit is paged through until two rounds agree.
Pieces share their end points: whether the filters compare whole seconds or milliseconds is not documented.

The position is the cursor: a killed pull goes on where its last stored page ended. Knows nothing of HTTP: it is
given the two questions it may ask.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec

from ordersync.connector import Page, Window
from ordersync.errors import BrokenAnswer, ConfigError, NotFound, Refused, Transient

from .rows import Listing

FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)
"""Before SHOPLINE existed: where a window without a beginning begins."""
_FILL = 0.8
"""How full a page is aimed to be: one cut too wide costs two calls, one too narrow a fifth of one."""
_MEMORY = 0.7
"""Weight of what was learnt about the density before, when a piece has been read."""
_WIDEN_MOST = 8
_MOST_ROUNDS = 8
_MOST_RESTARTS = 3
_MOST_PAGES = 2_000
_ROUNDING = timedelta(seconds=1)
"""How far a row's date may lie outside the seconds asked for: whether milliseconds are cut is not documented."""
_JUST_NOW = timedelta(minutes=5)
"""A row may still be listed where it was before somebody touched it: for so long, generously."""


class Counted(NamedTuple):
    """What `orders/count.json` said."""

    orders: int | None
    platform_now: datetime | None
    """The platform's clock, from the answer's Date header."""


class Questions(Protocol):
    """What the scan may ask the platform."""

    def listing(self, first_s: int, last_s: int, *, hidden: bool) -> Listing: ...

    def follow(self, url: str) -> Listing: ...

    def count(self, first_s: int, last_s: int, status: str) -> Counted: ...


class _Rounds(msgspec.Struct, forbid_unknown_fields=True):
    """Paging through the last second below `top`, which does not fit one page."""

    url: str | None = None
    """The next page; None: the round begins."""
    number: int = 1
    size: int = 0
    digest: int = 0
    """Sum of the ids' hashes in this round: says whether two rounds saw the same rows, in any order."""
    before: tuple[int, int] | None = None
    """Size and digest of the round before."""
    seen: list[str] = []
    """Short hashes of this round's next links: a known one means the platform runs in circles."""
    restarts: int = 0


class _Position(msgspec.Struct, forbid_unknown_fields=True):
    """Unix seconds. Everything above `top` has been read in this pass."""

    low: int
    high: int
    top: int
    width: int
    passes: str
    """What is left to do, the current pass first: `h` hidden (archived), `v` visible."""
    total: int | None
    hidden: int | None
    rows: float = 0.0
    seconds: float = 0.0
    """Rows found in how many seconds lately: their density chooses the next width."""
    rounds: _Rounds | None = None
    version: int = 1


class Limits(NamedTuple):
    page_limit: int
    lag: timedelta
    overlap: timedelta


class ChangedScan:
    """One pull's way through its window; `step` asks for one page."""

    def __init__(self, ask: Questions, limits: Limits, *, shop: str) -> None:
        self._ask = ask
        self._limits = limits
        self._shop = shop
        self._rounds_here = 0
        """Rounds ended in this process without agreement. Not in the cursor: a later run gets its own chances."""

    def step(self, window: Window, cursor: str | None) -> Page:
        """The next page. Errors: what the questions raise; ConfigError for a cursor that is not ours."""
        at = self._load(cursor) if cursor else self._open(window)
        if at is None:  # the platform's clock has not reached the window yet
            return Page(covered_until=window.since)
        return self._round_page(at, at.rounds) if at.rounds else self._piece(at)

    def _open(self, window: Window) -> _Position | None:
        """Close the window by the platform's clock: what it has not reached yet is left to the next pass."""
        now = datetime.now(UTC)
        first = max((window.since or FIRST_DAY) - self._limits.overlap, FIRST_DAY)
        last = window.until or now
        counted = self._ask.count(_second(first), _second(last), "any")
        platform_now = counted.platform_now or now
        last = min(last, platform_now - self._limits.lag)
        low, high = _second(first), _second(last)
        if high < low:
            return None
        if high == low:
            low -= 1
        hidden = None
        passes = "hvh"
        if counted.orders is not None and counted.orders > self._limits.page_limit:
            hidden = self._ask.count(low, high, "hidden").orders
            if hidden is not None and 2 * hidden > counted.orders:
                passes = "vhv"  # the same guarantee; the smaller half is the one read twice
        at = _Position(low, high, high, high - low, passes, counted.orders, hidden)
        self._begin_pass(at)
        return at

    def _piece(self, at: _Position) -> Page:
        """Read the piece below `top` if it fits one page; otherwise make it narrower and say where to go on."""
        first = max(at.low, at.top - at.width)
        hidden = at.passes[0] == "h"
        found = self._asked_for(self._ask.listing(first, at.top, hidden=hidden), at, first)
        full = found.size >= self._limits.page_limit
        if found.next_url is None and not full:
            self._done(at, first, found.size)
            return _page(at, found)
        if at.top - first > 1:
            self._narrow(at, first)
            return Page(next_cursor=_text(at), total=at.total)
        if found.next_url is None:
            self._expect(first, at, found.size)
            self._done(at, first, found.size)
            return _page(at, found)
        at.rounds = _Rounds()
        return self._take(at, at.rounds, found)

    def _narrow(self, at: _Position, first: int) -> None:
        """Half as wide, or as narrow as the platform's count suggests. The count guides, it proves nothing."""
        span = at.top - first
        counted = self._ask.count(first, at.top, "hidden" if at.passes[0] == "h" else "any").orders
        at.width = max(1, span // 2)
        if counted:
            at.width = max(1, min(at.width, int(span * self._target / counted)))
            at.rows, at.seconds = float(counted), float(span)

    def _expect(self, first: int, at: _Position, size: int) -> None:
        """A full page without a next link, one second wide: only the count can tell whether the link was lost."""
        counted = self._ask.count(first, at.top, "hidden" if at.passes[0] == "h" else "any").orders
        if counted is not None and at.passes[0] == "v":
            counted -= self._ask.count(first, at.top, "hidden").orders or 0
        if counted is not None and counted > size:
            raise Transient(
                f"a page of {size} orders names no next page, but the platform counts {counted}",
                code="page_without_cursor",
                shop=self._shop,
                operation="list orders",
                next_step="run the same command again; if it stays, something between removes the Link header",
            )

    def _done(self, at: _Position, first: int, rows: int) -> None:
        """Move below the piece that was read, choosing the next width from the density met lately."""
        span = max(1, at.top - first)
        at.rows = at.rows * _MEMORY + rows
        at.seconds = at.seconds * _MEMORY + span
        fitting = self._target * at.seconds / at.rows if at.rows > 0 else float("inf")
        at.width = max(1, int(min(fitting, span * _WIDEN_MOST)))
        at.top = first
        at.rounds = None
        if at.top <= at.low:
            at.passes = at.passes[1:]
            self._begin_pass(at)

    def _begin_pass(self, at: _Position) -> None:
        at.top = at.high
        at.width = span = at.high - at.low
        at.rows, at.seconds = 0.0, 0.0
        if not at.passes or at.total is None:
            return
        expected = at.hidden if at.passes[0] == "h" else at.total - (at.hidden or 0)
        if expected is not None and expected > self._target:
            at.rows, at.seconds = float(expected), float(span)
            at.width = max(1, int(span * self._target / expected))

    @property
    def _target(self) -> float:
        return max(1.0, self._limits.page_limit * _FILL)

    def _round_page(self, at: _Position, rounds: _Rounds) -> Page:
        try:
            if rounds.url is None:
                found = self._ask.listing(max(at.low, at.top - 1), at.top, hidden=at.passes[0] == "h")
            else:
                found = self._ask.follow(rounds.url)
        except (NotFound, Refused):
            if rounds.url is None or rounds.restarts >= _MOST_RESTARTS:
                raise
            # How long a cursor lives is not documented: one that is refused starts its round again.
            at.rounds = _Rounds(number=rounds.number, before=rounds.before, restarts=rounds.restarts + 1)
            return Page(next_cursor=_text(at), total=at.total)
        return self._take(at, rounds, self._asked_for(found, at, max(at.low, at.top - 1)))

    def _asked_for(self, found: Listing, at: _Position, first: int) -> Listing:
        """The page, if its rows lie between `first` and `top`. A cache that takes two questions for one answers
        with rows of other seconds; taken for an answer, it would end the piece with its orders missing.

        A row that was touched after the pass had begun may still stand where it stood: beside others that fit.
        """
        low, high = (datetime.fromtimestamp(second, UTC) for second in (first, at.top))
        outside = [moved for moved in found.moved_at if not low - _ROUNDING <= moved <= high + _ROUNDING]
        began = max(datetime.fromtimestamp(at.high, UTC), found.answered_at - _JUST_NOW)
        if not outside or (len(outside) < found.size and min(outside) > began):
            return found
        raise BrokenAnswer(
            f"list orders: {len(outside)} of {found.size} rows have an updated_at outside the window asked for",
            code="outside_window",
            shop=self._shop,
            operation="list orders",
            next_step="run the same command again; if it stays, something between answers with old pages",
        )

    def _take(self, at: _Position, rounds: _Rounds, found: Listing) -> Page:
        """Add a page to its round; at the round's end compare it with the one before."""
        only_page = rounds.url is None and found.next_url is None
        rounds.size += found.size
        for order in found.orders:
            hashed = hashlib.blake2b(order.order_id.encode(), digest_size=7).digest()
            rounds.digest = (rounds.digest + int.from_bytes(hashed)) % 2**56
        if found.next_url is not None:
            mark = hashlib.blake2b(found.next_url.encode(), digest_size=6).hexdigest()
            if mark in rounds.seen or len(rounds.seen) >= _MOST_PAGES:
                raise self._circling(repeated=mark in rounds.seen)
            rounds.seen.append(mark)
            rounds.url = found.next_url
            return _page(at, found)
        this = (rounds.size, rounds.digest)
        if only_page or this == rounds.before:
            # The density of such a second says nothing about its neighbours: go on as after an empty piece.
            at.rows, at.seconds = 0.0, 0.0
            self._rounds_here = 0
            self._done(at, max(at.low, at.top - 1), 0)
            return _page(at, found)
        self._rounds_here += 1
        if self._rounds_here >= _MOST_ROUNDS:
            self._rounds_here = 0
            raise Transient(
                f"the orders of one second were paged through {_MOST_ROUNDS} times and differed each time",
                code="rows_keep_moving",
                shop=self._shop,
                operation="list orders",
                next_step="run the same command again when the shop is quieter",
            )
        at.rounds = _Rounds(number=rounds.number + 1, before=this)
        return _page(at, found)

    def _circling(self, *, repeated: bool) -> BrokenAnswer:
        why = "gave a page_info it had given before" if repeated else f"gave more than {_MOST_PAGES} pages"
        return BrokenAnswer(
            f"list orders: the platform {why} for the orders of one second",
            code="repeated_cursor",
            shop=self._shop,
            operation="list orders",
            next_step="run the same command again; nothing that was stored is lost",
        )

    def _load(self, cursor: str) -> _Position:
        try:
            at = _POSITION.decode(cursor.encode())
        except (msgspec.DecodeError, UnicodeError):
            at = None
        if at is None or at.version != 1 or not at.passes or set(at.passes) - {"h", "v"} or at.low > at.top:
            raise ConfigError(
                "the stored position of feed changed cannot be read",
                code="bad_cursor",
                shop=self._shop,
                operation="list orders",
                next_step="check that the shop's connector was not changed in the configuration",
            )
        return at


_POSITION = msgspec.json.Decoder(_Position)


def _page(at: _Position, found: Listing) -> Page:
    return Page(
        orders=found.orders,
        next_cursor=_text(at) if at.passes else None,
        total=at.total,
        unreadable=tuple(row.sentence for row in found.unreadable),
        covered_until=None if at.passes else datetime.fromtimestamp(at.high, UTC),
    )


def _text(at: _Position) -> str:
    return msgspec.json.encode(at).decode()


def _second(moment: datetime) -> int:
    return int(moment.timestamp())
