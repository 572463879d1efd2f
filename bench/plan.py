"""What a million linked orders cost: `python -m bench.plan [--orders N] [--keep FOLDER]` prints a Markdown table.

Builds the store (bench/million.py; a quarter of an hour for a million orders, kept and used again with --keep), then
times real `ordersync` processes on it: first nothing changed, then one order in a thousand. Wall clock and processor
seconds are the middle of several runs, peak memory the highest (the kernel's `ru_maxrss`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bench.million import READ_AT, SALES, Ids, build
from ordersync.config import Config, load_config
from ordersync.model import (
    Cancellation,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Money,
    Order,
    OrderRef,
    Refund,
    RefundState,
)
from ordersync.store import Observation, Store

RUNS = 5
PAGE = 100
PLAIN = 3
"""The first sales of every batch of templates: nothing happened to them before."""
_MEASURED = """
import json, os, sys, time
began = time.perf_counter()
process = os.fork()
if process == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - began
code = os.waitstatus_to_exitcode(status)
print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, code]))
"""
"""Starts the command from a small process: what is measured as its memory includes who started it."""


class Cost(NamedTuple):
    seconds: float
    processor_s: float
    peak_mb: float
    code: int


def measure(folder: Path, *arguments: str, runs: int = RUNS) -> Cost:
    """The middle of several runs of one command, and the highest memory; its exit code must not be an error's."""
    command = [str(Path(sys.executable).with_name("ordersync")), *arguments]
    costs: list[Cost] = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MEASURED, *command],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        cost = Cost(*json.loads(done.stdout))
        if cost.code not in (0, 3):
            raise SystemExit(f"ordersync {' '.join(arguments)} ended with {cost.code}: {done.stderr}")
        costs.append(cost)
    middle = [statistics.median(column) for column in zip(*costs, strict=True)]
    return Cost(middle[0], middle[1], max(cost.peak_mb for cost in costs), costs[-1].code)


def change(config: Config, sales: int, changes: int) -> None:
    """One order of each of so many sales is seen changed, spread over the whole store; every kind of news."""
    with Store.open(config.store_url) as store:
        seen: list[Observation] = []
        now = datetime.now(UTC)
        for place, sale in enumerate(_spread(sales, changes)):
            ids = Ids(sale)
            shop = "office" if place % 10 == 9 else "asia"
            ref = OrderRef(shop, ids.order_id[shop])
            stored, raw = store.order(ref), store.raw(ref)
            assert stored is not None
            assert raw is not None
            seen.append(Observation(_changed(stored.order, place % 10, now), raw, now, raw_digest=b"changed"))
            if len(seen) == PAGE:
                store.save_observations(seen)
                seen.clear()
        store.save_observations(seen)


def _spread(sales: int, changes: int) -> Iterator[int]:
    step = max(sales // changes, SALES)
    for place in range(min(changes, sales // SALES)):
        yield place * step // SALES * SALES + place % PLAIN


def _changed(order: Order, kind: int, now: datetime) -> Order:
    """Four in ten change nothing that is carried; the others are refunded, shipped or cancelled."""
    if kind < 4:
        return order.model_copy(update={"tags": (*order.tags, "gift")})
    if kind < 8:
        at = now - timedelta(hours=1) if kind < 7 else READ_AT - timedelta(days=30)
        amount = Money(amount_minor=150, currency=order.money_currency)
        refund = Refund(id="r-new", status=RefundState.COMPLETED, amount=amount, note="late", created_at=at)
        return order.model_copy(update={"refunds": (*(order.refunds or ()), refund)})
    if kind == 8:
        lines = tuple(FulfillmentLine(line_item_id=x.id, quantity=x.quantity) for x in order.line_items or ())
        parcel = Fulfillment(
            id="f-new", status=FulfillmentState.SHIPPED, lines=lines, shipped_at=now - timedelta(hours=1)
        )
        return order.model_copy(update={"fulfillments": (*(order.fulfillments or ()), parcel)})
    return order.model_copy(update={"cancellation": Cancellation(cancelled_at=now - timedelta(hours=2))})


def say(state: str, name: str, cost: Cost) -> None:
    print(
        f"| {state} | `{name}` | {cost.seconds * 1000:,.0f} | {cost.processor_s * 1000:,.0f} | {cost.peak_mb:.0f} |"
    )


def measure_all(folder: Path, state: str, *, runs: int) -> None:
    sale = f"asia:{Ids(0).number['asia']}"
    for arguments in (
        ("plan",),
        ("status",),
        ("orders", "explain", sale),
        ("orders", "show", sale),
        ("orders", "list"),
        ("links", "list"),
        ("holds", "list"),
        ("--help",),
    ):
        say(state, f"ordersync {' '.join(arguments)}", measure(folder, *arguments, runs=runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--keep", type=Path, help="build the store here, and use the one that is here already")
    chosen = parser.parse_args()
    sales = chosen.orders // 2
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="ordersync-bench-"))
    try:
        folder.mkdir(exist_ok=True)
        if not (folder / "ordersync.yaml").exists():
            build(folder, sales)
        config = load_config(folder / "ordersync.yaml")
        print(f"{sales:,} links of two orders, {(folder / 'ordersync.db').stat().st_size / 1e9:.1f} GB\n")
        print("| changed | command | ms | processor ms | peak MB |\n| --- | --- | ---: | ---: | ---: |")
        measure_all(folder, "nothing", runs=chosen.runs)
        changes = sales // 500
        change(config, sales, changes)
        say(f"{changes:,} orders", "ordersync plan, the first", measure(folder, "plan", runs=1))
        measure_all(folder, f"{changes:,} orders", runs=chosen.runs)
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
