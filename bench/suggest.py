"""How long it takes to propose links: `python -m bench.suggest [--orders N]` prints a Markdown table.

Builds N sales on each of two shops into a new SQLite file (made-up buyers, 500 skus, 400 days), then, each in a
process of its own: scores all pairs, proposes rules, follows a rule for the first time, and follows it again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.ingest import _peak_mb
from ordersync.engine.linking import link_by_rules
from ordersync.engine.propose import propose
from ordersync.engine.suggest import suggest
from ordersync.model import Buyer, LineItem, Money, Order, Totals
from ordersync.reconcile.rules import LinkRule
from ordersync.store import Observation, Store

SHOPS = ("asia", "office")
START = datetime(2025, 1, 1, tzinfo=UTC)
PAGE = 2_000
RULE = LinkRule(source="office", field="metadata.external_id", to_shop="asia", strip="SL-")


BEST_SELLER = (
    (LineItem(id="1", sku="SKU-1", quantity=1),),
    Money(amount_minor=1_990, currency="USD"),
)


def sales(count: int) -> Iterator[tuple[Order, Order]]:
    """The same sale on both shops, as untidy as shops are.

    One in five has no e-mail in the office, one in fifty another total there. One in ten is the same best-seller at
    the same price. One in a hundred is one reseller's, always the same; one in two hundred is mirrored twice.
    """
    chance = random.Random(7)
    span_s = 400 * 86_400
    for number in range(count):
        placed = START + timedelta(seconds=number * span_s // count)
        lines = tuple(
            LineItem(id=str(place), sku=f"SKU-{chance.randrange(500)}", quantity=chance.randint(1, 3))
            for place in range(chance.randint(1, 3))
        )
        total = Money(amount_minor=chance.randrange(500, 20_000, 5), currency="USD")
        buyer = Buyer(email=f"buyer{chance.randrange(count // 3 + 1)}@example.com")
        kind = chance.random()
        if kind < 0.1:
            lines, total = BEST_SELLER
        elif kind < 0.11:
            (lines, total), buyer = BEST_SELLER, Buyer(email="reseller@example.com")
        asia = Order(
            shop="asia",
            order_id=f"21{number:024d}",
            number=str(1000 + number),
            placed_at=placed,
            currency="USD",
            buyer=buyer,
            line_items=lines,
            totals=Totals(total=total),
        )
        other = Money(amount_minor=total.amount_minor + 825, currency="USD")
        office = asia.model_copy(
            update={
                "shop": "office",
                "order_id": f"order_{number:026d}",
                "number": str(number + 1),
                "placed_at": placed + timedelta(seconds=chance.randrange(240)),
                "buyer": None if chance.random() < 0.2 else buyer,
                "totals": Totals(total=other) if chance.random() < 0.02 else asia.totals,
                "references": {"external_id": f"SL-{asia.number}", "channel": "web"},
            }
        )
        yield asia, office
        if chance.random() < 0.005:
            yield asia, office.model_copy(update={"order_id": f"order_{number:026d}b", "number": f"{number + 1}b"})


def build(database: Path, count: int) -> float:
    began = time.perf_counter()
    with Store.open(f"sqlite:///{database}") as store:
        waiting: list[Observation] = []
        for pair in sales(count):
            waiting += [Observation(order, b"{}", START, mapping_version="bench") for order in pair]
            if len(waiting) >= PAGE:
                store.save_observations(waiting)
                waiting.clear()
        store.save_observations(waiting)
    return time.perf_counter() - began


def step(name: str, database: str) -> dict[str, float | str]:
    now = datetime.now(UTC)
    with Store.open(f"sqlite:///{database}") as store:
        began = time.perf_counter()
        if name == "suggest pairs":
            found = suggest(store, SHOPS)
            said = (
                f"{len(found.pairs):,} pairs, {len(found.ambiguous):,} ambiguous groups, {found.crowded:,} crowded"
            )
            right = sum(1 for one in found.pairs if int(one.members[0][1][2:]) == int(one.members[1][1][6:32]))
            said += f", {len(found.holds):,} held, {len(found.pairs) - right:,} wrong"
        elif name == "propose rules":
            said = "; ".join(f"{one.field} {one.counts}" for one in propose(store, SHOPS, ()))
        else:
            report = link_by_rules(store, [RULE], now)
            said = (
                f"{len(report.made):,} made, {report.agreed:,} there already, {len(report.new_holds):,} new holds"
            )
        return {"seconds": time.perf_counter() - began, "peak_mb": _peak_mb(), "said": said}


STEPS = ("suggest pairs", "propose rules", "follow a rule, nothing linked", "follow it again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200_000, help="sales on each of the two shops")
    parser.add_argument("--step", nargs=2, metavar=("NAME", "DATABASE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(step(*asked.step)))
        return
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "bench.db"
        seconds = build(database, asked.orders)
        size = database.stat().st_size
        print(f"{asked.orders:,} orders on each of two shops, {size / 1e6:,.0f} MB, built in {seconds:.0f} s\n")
        print("| step | seconds | peak memory | result |")
        print("| --- | ---: | ---: | --- |", flush=True)
        for name in STEPS:
            command = [sys.executable, "-m", "bench.suggest", "--step", name, str(database)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=1800)
            result = json.loads(done.stdout)
            print(
                f"| {name} | {result['seconds']:.1f} | {result['peak_mb']:.0f} MB | {result['said']} |", flush=True
            )


if __name__ == "__main__":
    main()
