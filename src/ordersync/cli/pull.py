"""`ordersync pull`: read what changed on every shop into the store, and link what names each other."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import app
from ordersync.cli.printing import count, say, say_json
from ordersync.cli.run import JsonOption, Run, command, show_error
from ordersync.errors import OrdersyncError

if TYPE_CHECKING:
    from ordersync.engine.pull import FeedReport, PullReport
    from ordersync.engine.shops import Shop

LOG_EVERY_S = 5.0


class _Stopped(Exception):
    """Ctrl-C: raised between two pages, after the last one was stored."""


@command(app, "pull")
def pull(
    run: Run,
    shop: Annotated[str | None, typer.Option("--shop", metavar="S", help="Only this shop.")] = None,
    json: JsonOption = False,
) -> int:
    """Read what changed on the shops into the store.

    Writes to no platform; safe to stop and to repeat.

    Orders that cannot be understood become holds and the others go on. Afterwards the link rules are tried.
    --json: {"shops": [{shop, new, changed, unchanged, parked, vanished, pages, error}], "links_made", "new_holds"}.
    """
    from ordersync.engine.linking import link_by_rules

    before = {one.number for one in run.store.holds()}
    started = time.monotonic()
    results = _read_all(run, run.shops([shop] if shop else None))
    links_before = run.store.link_count()
    linked = link_by_rules(run.store, run.config.settings.to_rules(), run.now)
    links_made = run.store.link_count() - links_before
    new_holds = [one.number for one in run.store.holds() if one.number not in before]
    errors = [result for result in results.values() if isinstance(result, OrdersyncError)]
    if json:
        say_json(
            {
                "shops": [_as_json(name, result) for name, result in results.items()],
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


def _read_all(run: Run, shops: dict[str, Shop]) -> dict[str, PullReport | OrdersyncError]:
    """Every shop at once, one thread each: a shop's own rate is the bottleneck. One's failure stops no other."""
    progress = _Progress(run)
    store, read_from, now = run.store, run.config.settings.read_from, run.now
    results: dict[str, PullReport | OrdersyncError] = {}

    def read(one: Shop) -> PullReport:
        from ordersync.engine.pull import pull as pull_shop

        return pull_shop(
            store, one, read_from=read_from, now=now, on_page=lambda feed: progress.page(one.name, feed)
        )

    with ThreadPoolExecutor(max_workers=len(shops), thread_name_prefix="pull") as pool:
        futures: dict[str, Future[PullReport]] = {name: pool.submit(read, one) for name, one in shops.items()}
        try:
            for name, future in futures.items():
                try:
                    results[name] = future.result()
                except OrdersyncError as failed:
                    results[name] = failed
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
        if self.stopping.is_set():
            raise _Stopped
        with self._lock:
            if self._on_terminal:
                self._shown[shop] = f"{shop} {feed.feed} page {feed.pages}, {feed.rows:,} rows"
                sys.stderr.write("\r\033[K" + "   ".join(self._shown.values())[:79])
                sys.stderr.flush()
                return
            now = time.monotonic()
            if now - self._said_at.get(shop, 0.0) >= LOG_EVERY_S or feed.finished:
                self._said_at[shop] = now
                self._log.info("page_stored", shop=shop, feed=feed.feed, pages=feed.pages, rows=feed.rows)

    def end(self) -> None:
        if self._on_terminal and self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _say_results(results: dict[str, PullReport | OrdersyncError], seconds: float) -> None:
    width = max(len(name) for name in results)
    for name, result in results.items():
        if isinstance(result, OrdersyncError):
            say(f"{name:<{width}}  FAILED, see below; what was read until then is stored")
            continue
        figures = f"{result.new:,} new, {result.changed:,} changed, {result.unchanged:,} unchanged"
        extra = f", {result.parked:,} not understood (held)" if result.parked else ""
        extra += f", {result.vanished:,} gone (held)" if result.vanished else ""
        say(f"{name:<{width}}  {figures}{extra}")
    say(f"Read in {seconds:.1f} s. Next: ordersync plan")


def _as_json(name: str, result: PullReport | OrdersyncError) -> dict[str, Any]:
    if isinstance(result, OrdersyncError):
        return {"shop": name, "error": result.fields()}
    return {
        "shop": name,
        "new": result.new,
        "changed": result.changed,
        "unchanged": result.unchanged,
        "parked": result.parked,
        "vanished": result.vanished,
        "pages": sum(part.pages for part in result.parts),
        "error": None,
    }
