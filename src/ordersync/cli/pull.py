"""`ordersync pull`: read what changed on every shop into the store, and link what names each other."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import app
from ordersync.cli.printing import count, say, say_json
from ordersync.cli.run import JsonOption, Run, command, error_json, show_error
from ordersync.errors import OrdersyncError, Unauthorized, UsageError

if TYPE_CHECKING:
    from ordersync.engine.linking import LinkReport
    from ordersync.engine.observe import Looked
    from ordersync.engine.pull import FeedReport, PullReport
    from ordersync.engine.shops import Shop

LOG_EVERY_S = 5.0
LINK_TRIES = 50
LINKED_MEANWHILE = ("already_linked", "link_exists", "same_shop_twice")
"""How the store refuses a link when another command linked one of its orders since it was looked up."""


class _Stopped(Exception):
    """Ctrl-C: raised between two pages, after the last one was stored."""


@dataclass(slots=True)
class _Read:
    """What reading one shop came to; with an error, what was read until then is stored."""

    report: PullReport | None = None
    swept: Looked | None = None
    error: OrdersyncError | None = None


@command(app, "pull")
def pull(
    run: Run,
    shop: Annotated[str | None, typer.Option("--shop", metavar="S", help="Only this shop.")] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Then read every linked order again by its id.")] = False,
    json: JsonOption = False,
) -> int:
    """Read what changed on the shops into the store.

    Writes to no platform; safe to stop and to repeat.

    Orders that cannot be understood become holds and the others go on. Afterwards the link rules are tried.

    Some changes appear in no platform's list of changes: on Medusa a partial capture, or the refund of a received
    return. --sweep finds them: it reads every linked order, and every order not understood, once more by its id. Once
    a day is usual.

    --json: {"shops": [{shop, new, changed, unchanged, parked, vanished, pages, swept, error}], "links_made",
    "new_holds"}; swept is {orders, changed, unchanged, parked, vanished, failed}, or null without --sweep.
    """
    before = {one.number for one in run.store.holds()}
    started = time.monotonic()
    results = _read_all(run, run.shops([shop] if shop else None), sweep=sweep)
    links_before = run.store.link_count()
    linked = _link(run)
    links_made = run.store.link_count() - links_before
    new_holds = [one.number for one in run.store.holds() if one.number not in before]
    _hold_refused_shops(run, results)
    errors = [result.error for result in results.values() if result.error is not None]
    if json:
        say_json(
            {
                "shops": [_as_json(run, name, result) for name, result in results.items()],
                "links_made": links_made,
                "new_holds": new_holds,
            }
        )
    else:
        _say_results(results, time.monotonic() - started)
        if linked.made or linked.new_holds:
            doubtful = f", {count(len(linked.new_holds), 'doubtful reference')} held" if linked.new_holds else ""
            say(f"links: {links_made} new by rule, {len(linked.made)} references followed{doubtful}")
        if new_holds:
            more = " …" if len(new_holds) > 8 else ""
            say(f"New holds: {', '.join(new_holds[:8])}{more}. Look: ordersync holds list")
    for error in errors:
        show_error(error, run)
    return max([error.exit_code for error in errors] + [3 if new_holds else 0])


def _hold_refused_shops(run: Run, results: dict[str, _Read]) -> None:
    """A shop that refuses its key waits for a person, as a hold that `status` shows; it closes when the key works.

    It is the same hold that apply opens. The exit code stays that of the error, which names the key each time.
    """
    from ordersync.model import Hold, hold_key

    for name, result in results.items():
        key = hold_key("unauthorized", f"shop:{name}")
        if result.error is None:
            run.store.close_hold(key, run.now, "the shop takes the key")
        elif isinstance(result.error, Unauthorized):
            hold = Hold(
                key=key,
                code="unauthorized",
                subject=f"shop:{name}",
                message=result.error.message,
                next_steps=("ordersync check", f"correct the key of shop {name}, then run: ordersync pull"),
            )
            run.store.open_hold(hold, run.now)


def _link(run: Run) -> LinkReport:
    """Follow the link rules; a link that another command made in the meantime is no error: they are tried again."""
    from ordersync.engine.linking import link_by_rules

    rules = run.config.settings.to_rules()
    for _ in range(LINK_TRIES - 1):
        try:
            return link_by_rules(run.store, rules, run.now)
        except UsageError as raced:
            if raced.code not in LINKED_MEANWHILE:
                raise
    return link_by_rules(run.store, rules, run.now)


def _read_all(run: Run, shops: dict[str, Shop], *, sweep: bool) -> dict[str, _Read]:
    """Every shop at once, one thread each: a shop's own rate is the bottleneck. One's failure stops no other."""
    progress = _Progress(run)
    store, read_from, now = run.store, run.config.settings.read_from, run.now
    results: dict[str, _Read] = {}

    def read(one: Shop) -> _Read:
        from ordersync.engine.pull import pull as pull_shop
        from ordersync.engine.sweep import sweep as sweep_shop

        result = _Read()
        try:
            result.report = pull_shop(
                store, one, read_from=read_from, now=now, on_page=lambda feed: progress.page(one.name, feed)
            )
            if sweep:
                result.swept = sweep_shop(store, one, lambda done, of: progress.swept(one.name, done, of))
                result.error = next(iter(result.swept.failed.values()), None)
        except OrdersyncError as failed:
            result.error = failed
        return result

    with ThreadPoolExecutor(max_workers=len(shops), thread_name_prefix="pull") as pool:
        futures: dict[str, Future[_Read]] = {name: pool.submit(read, one) for name, one in shops.items()}
        try:
            for name, future in futures.items():
                results[name] = future.result()
        except (KeyboardInterrupt, _Stopped):
            progress.stopping.set()
            raise KeyboardInterrupt from None
        finally:
            progress.end()
    return results


class _Progress:
    """Pages as they are stored: one line that moves on a terminal, log lines elsewhere."""

    def __init__(self, run: Run) -> None:
        import structlog

        self.stopping = threading.Event()
        self._debug = run.debug
        self._on_terminal = sys.stderr.isatty()
        self._log = structlog.get_logger()
        self._lock = threading.Lock()
        self._said_at: dict[str, float] = {}
        self._shown: dict[str, str] = {}

    def page(self, shop: str, feed: FeedReport) -> None:
        shown = f"{feed.feed} page {feed.pages}, {feed.rows:,} rows"
        self._say(
            shop, shown, "page_stored", finished=feed.finished, feed=feed.feed, pages=feed.pages, rows=feed.rows
        )

    def swept(self, shop: str, done: int, of: int) -> None:
        self._say(shop, f"sweep {done:,} of {of:,}", "orders_swept", finished=done == of, orders=done, of=of)

    def _say(self, shop: str, shown: str, event: str, *, finished: bool, **fields: object) -> None:
        if self.stopping.is_set():
            raise _Stopped
        with self._lock:
            if self._on_terminal:
                self._shown[shop] = f"{shop} {shown}"
                sys.stderr.write("\r\033[K" + "   ".join(self._shown.values())[:79])
                sys.stderr.flush()
                return
            now = time.monotonic()
            if now - self._said_at.get(shop, 0.0) >= LOG_EVERY_S or finished:
                self._said_at[shop] = now
                self._log.info(event, shop=shop, **fields)

    def end(self) -> None:
        if self._on_terminal and self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _say_results(results: dict[str, _Read], seconds: float) -> None:
    width = max(len(name) for name in results)
    for name, result in results.items():
        if result.report is None:
            say(f"{name:<{width}}  FAILED, see below; what was read until then is stored")
            continue
        report = result.report
        figures = f"{report.new:,} new, {report.changed:,} changed, {report.unchanged:,} unchanged"
        extra = f", {report.parked:,} not understood (held)" if report.parked else ""
        extra += f", {report.vanished:,} gone (held)" if report.vanished else ""
        say(f"{name:<{width}}  {figures}{extra}")
        if result.swept is not None:
            say(f"{'':<{width}}  sweep: {_swept_words(result.swept)}")
        elif result.error is not None:
            say(f"{'':<{width}}  sweep: FAILED, see below; what was read until then is stored")
    failed = sum(1 for result in results.values() if result.error is not None)
    again = f"; {failed} of {count(len(results), 'shop')} failed" if failed else ""
    say(f"Read in {seconds:.1f} s{again}. Next: ordersync plan")


def _swept_words(swept: Looked) -> str:
    figures = _swept_json(swept)
    said = f"{count(figures['orders'], 'linked order')} read again, {figures['changed']:,} changed"
    for key, words in (("parked", "not understood (held)"), ("vanished", "gone (held)"), ("failed", "failed")):
        said += f", {figures[key]:,} {words}" if figures[key] else ""
    return said


def _swept_json(swept: Looked) -> dict[str, int]:
    outcomes = list(swept.outcomes.values())
    changed = sum(1 for outcome in outcomes if outcome in ("new", "changed"))
    return {
        "orders": len(outcomes) + len(swept.parked) + len(swept.vanished) + len(swept.failed),
        "changed": changed,
        "unchanged": len(outcomes) - changed,
        "parked": len(swept.parked),
        "vanished": len(swept.vanished),
        "failed": len(swept.failed),
    }


def _as_json(run: Run, name: str, result: _Read) -> dict[str, Any]:
    """The same keys for every shop; without a report the figures are null."""
    report = result.report
    return {
        "shop": name,
        "new": report.new if report else None,
        "changed": report.changed if report else None,
        "unchanged": report.unchanged if report else None,
        "parked": report.parked if report else None,
        "vanished": report.vanished if report else None,
        "pages": sum(part.pages for part in report.parts) if report else None,
        "swept": _swept_json(result.swept) if result.swept else None,
        "error": error_json(result.error, run) if result.error else None,
    }
