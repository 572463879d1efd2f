"""How fast orders come in: `python -m bench.ingest [--orders N]` prints a Markdown table.

Four figures: parsing pages, normalising, storing, and the whole pull from a loopback server in a process of its own
into a new SQLite file, with the peak memory of the pulling process. The pull is repeated: the second one finds
nothing changed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import msgspec
from ordersync_connectors.shopline.rows import split

from bench.server import build_orders
from ordersync.bootstrap import mapping_version, normaliser, profile_of, scrubber, shapes_of
from ordersync.connector import RawOrder, capabilities, load
from ordersync.engine.observe import read_payload
from ordersync.engine.pull import collect_garbage_less, pull
from ordersync.engine.shops import Shop
from ordersync.http import Answer
from ordersync.mapping import decode, load_mapping
from ordersync.store import FeedPosition, Observation, Store

PAGE = 100
SHOP = "bench"


def build_shop(base_url: str) -> Shop:
    """The SHOPLINE shop as the configuration would build it, without its rate limit."""
    kind = load("shopline")
    settings = kind.Settings.model_validate(
        {
            "connector": "shopline",
            "handle": "bench",
            "token": "bench-token",
            "base_url": base_url,
            "rate": "99999/s",
        }
    )
    text = (resources.files("ordersync_mappings") / "shopline.yaml").read_text(encoding="utf-8")
    package = kind.__module__.rpartition(".")[0]
    mapping = load_mapping(text, "shopline.yaml", shapes_of(package))
    profile = profile_of(SHOP, settings)
    connector = kind(SHOP, settings)
    return Shop(
        name=SHOP,
        connector=connector,
        capabilities=capabilities(connector),
        semantics=connector.semantics,
        normalise=normaliser(mapping, profile),
        scrub=scrubber(mapping),
        mapping_version=mapping_version(text, package, profile),
    )


def parts(count: int) -> dict[str, float]:
    """Seconds that each part takes by itself, page by page as in a pull: nothing piles up in memory."""
    shop = build_shop("http://127.0.0.1:1/admin/openapi/v20250601")
    now = datetime.now(UTC)
    spent: dict[str, float] = {}
    collect_garbage_less()
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/bench.db") as store:
        position = FeedPosition(SHOP, "changed", "c", None, None, None, now)
        orders = build_orders(count, now - timedelta(days=1))
        for at in range(0, count, PAGE):
            body = b'{"orders":[' + b",".join(orders[at : at + PAGE]) + b"]}"
            answer = Answer(200, httpx.Headers(), body, now, None)
            with _timed(spent, "parse: split pages into rows"):
                rows: tuple[RawOrder, ...] = split(answer).orders
            with _timed(spent, "parse: decode rows, numbers exact"):
                for row in rows:
                    decode(row.payload)
            with _timed(spent, "normalise (decode, scrub, encode and hash included)"):
                seen = [read_payload(shop, row) for row in rows]
            observations = [one for one in seen if isinstance(one, Observation)]
            assert len(observations) == len(rows), "every order of the benchmark can be normalised"
            with _timed(spent, "store, new"):
                store.save_page(position, observations, [], [])
            later = [replace(one, sent_at=one.sent_at + timedelta(minutes=1)) for one in observations]
            with _timed(spent, "store, unchanged"):
                store.save_page(position, later, [], [])
    return spent


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - began


def whole(base_url: str, since: str, until: str, database: str) -> dict[str, float]:
    """One pull of the whole window in this process: seconds, orders, peak memory, seconds spent in each step."""
    shop = build_shop(base_url)
    spent: dict[str, float] = {}
    connector: Any = shop.connector
    connector.pull = _counted(spent, "asking", connector.pull)
    shop = replace(shop, normalise=_counted(spent, "normalising", shop.normalise))
    with Store.open(f"sqlite:///{database}") as store:
        save_page: Any = store.save_page
        store.save_page = _counted(spent, "storing", save_page)  # type: ignore[method-assign]  # timed from outside
        with store.db.write() as connection:
            connection.exec_driver_sql("DELETE FROM feeds")  # the second pull reads the whole window again, too
        before = _peak_mb()
        began = time.perf_counter()
        report = pull(store, shop, read_from=datetime.fromisoformat(since), now=datetime.fromisoformat(until))
        seconds = time.perf_counter() - began
    shop.connector.close()
    return {
        "seconds": seconds,
        "new": report.new,
        "unchanged": report.unchanged,
        "parked": report.parked,
        "pages": sum(part.pages for part in report.parts),
        "start_mb": before,
        "peak_mb": _peak_mb(),
        **spent,
    }


def _peak_mb() -> float:
    """Peak memory of this process. Not `ru_maxrss`: that remembers the parent from before the exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the peak memory is read from /proc, which this system does not have")


def _counted(spent: dict[str, float], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - began

    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--whole", nargs=4, metavar=("URL", "SINCE", "UNTIL", "DATABASE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.whole:
        print(json.dumps(whole(*asked.whole)))
        return
    measured = parts(asked.orders)
    server = subprocess.Popen([sys.executable, "-m", "bench.server", str(asked.orders)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        facts = msgspec.json.decode(server.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder) / "bench.db"
            runs = [_whole_in_its_own_process(facts, database) for _ in range(2)]
            size = database.stat().st_size
    finally:
        server.terminate()
        server.wait(timeout=10)
    _print(asked.orders, facts["bytes"], size, measured, runs)


def _whole_in_its_own_process(facts: dict[str, Any], database: Path) -> dict[str, float]:
    """A process of its own, so that its memory is that of a pull and of nothing else."""
    command = [sys.executable, "-m", "bench.ingest", "--whole", facts["base_url"], facts["since"], facts["until"]]
    done = subprocess.run([*command, str(database)], stdout=subprocess.PIPE, check=True, timeout=600)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _print(count: int, sent: int, size: int, measured: dict[str, float], runs: list[dict[str, float]]) -> None:
    print(
        f"{count:,} orders of {sent / count / 1000:.1f} KB; the database is {size / count / 1000:.1f} KB an order\n"
    )
    print("| step | orders/s | µs an order |")
    print("| --- | ---: | ---: |")
    for name, seconds in measured.items():
        print(f"| {name} | {count / seconds:,.0f} | {seconds / count * 1e6:,.0f} |")
    for name, run in zip(("whole pull, all new", "whole pull again, none changed"), runs, strict=True):
        print(f"| **{name}** | **{count / run['seconds']:,.0f}** | {run['seconds'] / count * 1e6:,.0f} |")
    print()
    for name, run in zip(("all new", "none changed"), runs, strict=True):
        known = ("asking", "normalising", "storing")
        where = ", ".join(f"{part} {run.get(part, 0.0):.1f} s" for part in known)
        print(
            f"{name}: {run['seconds']:.1f} s ({where}; asking runs beside the rest), {run['pages']:.0f} pages, "
            f"{run['new']:.0f} new, {run['unchanged']:.0f} unchanged, {run['parked']:.0f} parked, "
            f"peak memory {run['peak_mb']:.0f} MB ({run['start_mb']:.0f} MB before the first page)"
        )


if __name__ == "__main__":
    main()
