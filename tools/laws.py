"""`make laws`: the decision walked through every small state, ordinary stories, and mutants of its code.

Three parts, each printed; exit 1 when a law breaks, too few ordinary stories end without a hold, or a
mutant survives.

1. The walk (tests/laws): every world of every alphabet from its first look to its last, with the laws of DESIGN 7
   checked at each step. `make test` walks a slice of it.
2. Ordinary stories between every two platforms: how many end without a hold.
3. Mutants: one line of the decision changed in a copy of the package. A slice of the walk must break a law; a mutant
   it lets live is shown to the readable situations of tests/unit, and lives only if they stay green too.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.laws.rules import LAWS, Tally
from tests.laws.sides import ALPHABETS
from tests.laws.stories import LAYOUTS, Told, tell_all
from tests.laws.walk import walk_all
from tools.mutants import kill_all

ENOUGH = 0.9
SHARES = 24
"""Each alphabet is cut into so many shares, so that no process waits long for the last one."""
SLICE, SLICES = 23, 9
"""For a mutant every 23rd world is walked, in nine rounds over all alphabets, to the first broken law."""


def share_of(name: str, start: int) -> Tally:
    """One share of the worlds of one alphabet."""
    gc.disable()  # nothing here makes cycles, and looking for them takes a fifth of the time
    tally = Tally()
    walk_all(name, itertools.islice(ALPHABETS[name](), start, None, SHARES), tally)
    return tally


def walk(processes: int) -> bool:
    started = time.monotonic()
    total = Tally()
    with ProcessPoolExecutor(processes) as pool:
        shares = [pool.submit(share_of, name, start) for name in ALPHABETS for start in range(SHARES)]
        for share in shares:
            total.add(share.result())
    for name in ALPHABETS:
        print(f"walked   {total.walked[name]:>7,} worlds: {name}")
    print(f"         {sum(total.walked.values()):>7,} worlds, {total.looks:,} looks, {_counted(total.writes)}")
    for law, said in LAWS.items():
        print(f"law {law}    {said}: {total.checked[law]:,} checked, {total.broken[law]} broken")
    for example in total.examples:
        print(f"BROKEN   {example}")
    print(f"         {time.monotonic() - started:.0f} s on {processes} processes")
    return not total.broken and all(total.checked[law] for law in LAWS)


def _counted(writes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in writes.most_common())


def first_broken() -> str | None:
    """What a slice of the walk finds first; None when every law holds in it."""
    worlds = {name: list(itertools.islice(made(), SLICE // 2, None, SLICE)) for name, made in ALPHABETS.items()}
    for start, name in itertools.product(range(SLICES), worlds):
        tally = Tally()
        walk_all(name, worlds[name][start::SLICES], tally, stop_at_first=True)
        if tally.examples:
            return tally.examples[0]
    return None


def tell_stories() -> bool:
    """Print how many ordinary stories end without a hold, over all layouts and in each, and why the rest do not."""
    told = list(tell_all())
    clean = [t for t in told if t.clean]
    print(f"stories  {_share(clean, told)} of all ordinary stories end without a hold, in every layout of purses:")
    good = True
    for layout in LAYOUTS:
        mine = [t for t in told if t.layout == layout.name]
        ended = [t for t in mine if t.clean]
        print(f"         {layout.name}: {_share(ended, mine)}")
        if layout.both_pay:
            good &= all(t.clean or t.holds == {"two_purses"} for t in mine)
        else:
            good &= len(ended) >= ENOUGH * len(mine)
    held = Counter((t.layout, _why(t), t.story) for t in told if not t.clean)
    for (layout_name, why, story), count in held.items():
        print(f"held     {count:>3} x {story}, {layout_name}: {why}")
    cannot = Counter((why, t.there) for t in clean for why in t.cannot)
    for (why, there), count in cannot.items():
        print(f"cannot   {count:>3} x {there} has no call for it, said and not held: {why}")
    return good


def _share(some: list[Told], of: list[Told]) -> str:
    return f"{len(some)} of {len(of)} ({len(some) / len(of):.0%})"


def _why(told: Told) -> str:
    return ", ".join(sorted(told.holds) or sorted(told.owed))


def _parts() -> Iterator[bool]:
    processes = min(os.cpu_count() or 1, 8)
    yield walk(processes)
    yield tell_stories()
    yield kill_all()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.laws", description="Walk the laws of the decision.")
    parser.add_argument("--first-broken", action="store_true", help="only a slice, to the first broken law")
    asked = parser.parse_args()
    if asked.first_broken:
        found = first_broken()
        print(found or "0 broken")
        return 1 if found else 0
    return 0 if all(list(_parts())) else 1


if __name__ == "__main__":
    sys.exit(main())
