"""`make laws`: the decision walked through every small state, mutants of its code, and ordinary stories.

Three parts, each printed; exit 1 when a law breaks, a mutant survives, or fewer than nine in ten ordinary stories end
without a hold.

The walk is the one `make test` runs (tests/unit/test_reconcile_laws.py and test_reconcile_goods_laws.py). A mutant is
one line of the decision changed in a copy of the package; the walk and the readable situations must turn red on it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.unit import test_reconcile_goods_laws as goods
from tests.unit import test_reconcile_laws as money

from ordersync.model import CellState, Order, Progress, Purse, RefundState
from ordersync.testing.orders import R, build_order

ROOT = Path(__file__).resolve().parents[1]
WALKS = ("tests/unit/test_reconcile_laws.py", "tests/unit/test_reconcile_goods_laws.py")
SITUATIONS = (
    "tests/unit/test_reconcile.py",
    "tests/unit/test_reconcile_goods.py",
    "tests/unit/test_reconcile_memory.py",
)
ENOUGH = 0.9


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    line: str
    instead: str


MUTANTS = (
    Mutant("no purse check", "conflicts.py", "if len(paying) > 1 and", "if len(paying) > 9 and"),
    Mutant("no bound by what was captured", "refunds.py", "if after > member.bound_minor:", "if False:"),
    Mutant(
        "no bound by the highest refund elsewhere",
        "refunds.py",
        "if after > max(m.refunded_minor for m in others) + TOLERANCE_MINOR:",
        "if False:",
    ),
    Mutant("pair by amount without multiplicity", "pairing.py", "if len(counts) > 1:", "if len(counts) > 9:"),
    Mutant("pending counts as done", "refunds.py", "if not _completed(_counted(case, row)):", "if False:"),
    Mutant(
        "local facts are carried",
        "refunds.py",
        "if amount is None or not _carried(case, row):",
        "if amount is None:",
    ),
    Mutant("cancel before its refund", "cancels.py", "if left > 0:", "if left > 10**9:"),
    Mutant("doubt is forgotten", "decide.py", "if record.state is ActionState.DOUBT:", "if False:"),
    Mutant(
        "old facts are carried",
        "decide.py",
        "if happened_at is None or happened_at <= self.live_from:",
        "if False:",
    ),
    Mutant("crossing refunds are carried", "conflicts.py", "if not crossing:", "if True:"),
    Mutant(
        "several writes to one order at once",
        "refunds.py",
        '    if busy:\n        case.wait("one_at_a_time"',
        '    if False:\n        case.wait("one_at_a_time"',
    ),
    Mutant("goods claimed twice", "shipments.py", "left[key] -= count", "left[key] -= 0"),
    Mutant("our parcel is news", "shipments.py", "or _ours(case, one) or", "or"),
)


def run_tests(folder: Path, *files: str) -> int:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder / "src", folder)))}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False).returncode


def walk() -> bool:
    started = time.monotonic()
    pairs = len(money.SIDES) ** 2 * len(money.POLICIES) * len(money.SEMANTICS)
    trios = len([s for s in money.SIDES if s.refunds in ("none", "500", "all") and s.purse != "gateway"]) ** 3
    parcels = (len(goods.PARCELS) * len(goods.STEPS)) ** 2 * len(goods.POLICIES) * 2
    broken = run_tests(ROOT, *WALKS)
    print(f"states   two members, money {pairs:,}; three members {trios:,}; goods and progress {parcels:,}")
    print(f"         {'0 broken' if not broken else 'BROKEN'}, {time.monotonic() - started:.0f} s")
    return not broken


def kill_mutants() -> bool:
    survived = []
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        for name in ("src", "tests", "connectors", "mappings", "tools"):
            shutil.copytree(
                ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", folder)
        for mutant in MUTANTS:
            file = folder / "src/ordersync/reconcile" / mutant.file
            text = file.read_text(encoding="utf-8")
            if mutant.line not in text:
                print(f"mutant   {mutant.name}: its line is no longer in {mutant.file}")
                survived.append(mutant.name)
                continue
            file.write_text(text.replace(mutant.line, mutant.instead, 1), encoding="utf-8")
            red = next((files for files in (SITUATIONS, WALKS) if run_tests(folder, *files) == 1), None)
            file.write_text(text, encoding="utf-8")
            by = "nothing" if red is None else "a situation" if red is SITUATIONS else "the walk"
            print(f"mutant   {mutant.name}: {'SURVIVED' if red is None else 'red, by ' + by}")
            if red is None:
                survived.append(mutant.name)
    return not survived


def stories(purse: Purse) -> dict[str, Order]:
    """What happens at the origin in an ordinary day; the other side is untouched."""
    done = RefundState.COMPLETED
    return {
        "cancel unpaid": build_order("a", captured=0, cancelled_minutes_ago=30),
        "cancel paid, refunded": build_order("a", purse=purse, refunds=[R("1", 10_000)], cancelled_minutes_ago=30),
        "full refund": build_order("a", purse=purse, refunds=[R("1", 10_000)]),
        "partial refund": build_order("a", purse=purse, refunds=[R("1", 1_250)]),
        "two refunds in a day": build_order("a", purse=purse, refunds=[R("1", 1_250), R("2", 700, done, 20)]),
        "refund, then cancel": build_order(
            "a", purse=purse, refunds=[R("1", 1_250), R("2", 8_750, done, 20)], cancelled_minutes_ago=15
        ),
        "partial refund by line": build_order("a", purse=purse, refunds=[R("1", 5_000, lines=[("line-1", 1)])]),
        "ship, then partial refund": build_order("a", purse=purse, shipped=2, refunds=[R("1", 700)]),
    }


def tell_stories() -> bool:
    """Every story between two members, to the end, with both kinds of cancel; counted without a hold.

    At most one side holds the buyer's money: two paying sides are always the hold `two_purses`, by design, and are
    told apart here instead of being left out in silence.
    """
    told = clean = 0
    held: Counter[str] = Counter()
    layouts = ((Purse.GATEWAY, Purse.BOOKS), (Purse.BOOKS, Purse.GATEWAY), (Purse.BOOKS, Purse.BOOKS))
    for (mine, theirs), semantics in itertools.product(layouts, money.SEMANTICS.values()):
        for name, origin in stories(mine).items():
            other = build_order("b", purse=theirs, captured=0 if name == "cancel unpaid" else None)
            orders = {"a": origin.model_copy(update={"progress": Progress.PENDING}), "b": other}
            last, _ = money.converge(orders, money.POLICIES["any"], semantics)
            told += 1
            codes = sorted({hold.code for hold in last.holds})
            stuck = [c.reason for row in last.ledger.rows for c in row.cells if c.state is CellState.OWED]
            if codes or stuck:
                held[f"{name}: {', '.join(codes) or stuck}"] += 1
            else:
                clean += 1
    print(f"stories  {clean} of {told} ordinary ones end without a hold ({clean / told:.0%})")
    print("         where at most one side pays the buyer; shipping is not carried in them")
    both = [_two_paying_sides(name, origin) for name, origin in stories(Purse.GATEWAY).items()]
    print(f"         with two paying sides {sum(both)} of {len(both)} are held, {len(both) - sum(both)} are not")
    for why, count in held.most_common():
        print(f"         {count} x {why}")
    return clean / told >= ENOUGH


def _two_paying_sides(name: str, origin: Order) -> bool:
    """Whether the story is held where both sides hold the buyer's money."""
    other = build_order("b", purse=Purse.GATEWAY, captured=0 if name == "cancel unpaid" else None)
    last, _ = money.converge({"a": origin, "b": other}, money.POLICIES["any"], money.SEMANTICS["all"])
    return bool(last.holds)


def main() -> int:
    good = [walk(), tell_stories(), kill_mutants()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
