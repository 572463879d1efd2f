"""`make crash`: processes killed before and after every commit and send, bad answers, meddling people, and mutants.

Real `ordersync` processes against loopback shops, killed with SIGKILL. After each kill cron goes on: pull and apply,
at once and later. Then the shops' own lists are compared with those of a run that nobody disturbed. A point ends
`once` (nothing differs), or `held` (not more than once, and exactly one hold asks a person). Anything else is WRONG,
and the exit code is 1. Last, the protocol is broken on purpose in known ways; each break must be found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.crashing.cases import ORIGIN, carried, meddled, troubled, typed
from tools.crashing.judge import HELD, ONCE, Findings, judge_kills, judge_pull, judge_trouble

ROOT = Path(__file__).resolve().parents[1]
MUTANT_TIME_S = 900


@dataclass(frozen=True, slots=True)
class Mutant:
    """A known way to break the protocol: a text of a file, what is put there, and the case that must notice."""

    name: str
    file: str
    text: str
    instead: str
    case: str


MUTANTS = (
    Mutant(
        "retry on timeout",
        "src/ordersync/engine/writes.py",
        "            receipt = call(shop, action)\n",
        "            try:\n                receipt = call(shop, action)\n"
        "            except OutcomeUnknown:\n                receipt = call(shop, action)\n",
        "refund, booked, cut_after -> office",
    ),
    Mutant(
        "settle by amount alone",
        "src/ordersync/engine/effects.py",
        "(refund.id for refund in paid if token_in(refund.note) == action.token)",
        "(refund.id for refund in paid if refund.amount == action.amount)",
        "refund in doubt, then an equal one by hand, asia pays, cut_before -> office",
    ),
    Mutant(
        "receipt before the call",
        "src/ordersync/engine/writes.py",
        "        try:\n            receipt = call(shop, action)\n",
        '        self._store_answer(action, ActionState.RECEIPTED, "accepted")\n'
        "        try:\n            receipt = call(shop, action)\n",
        "refund, booked -> office",
    ),
    Mutant(
        "no fresh look before the write",
        "src/ordersync/engine/apply.py",
        "                observe(self.store, shop, ref.order_id)\n",
        "                observe if False else None\n",
        "refund, made by hand there just before, asia pays -> office",
    ),
    Mutant(
        "intent after the call",
        "src/ordersync/engine/writes.py",
        "        self._log_send(action)\n        sending_at",
        "        call(shop, action)\n        self._log_send(action)\n        sending_at",
        "refund, booked -> office",
    ),
)


def jobs(every: int) -> dict[str, Callable[[], Findings]]:
    """Every case by its title."""
    found: dict[str, Callable[[], Findings]] = {
        f"pull {shop}": partial(judge_pull, shop, every) for shop in ORIGIN
    }
    found |= {case.title: partial(judge_kills, case, every) for case in (*carried(), *typed())}
    found |= {case.title: partial(judge_trouble, case) for case in (*troubled(), *meddled())}
    return found


def judge_all(titles: Sequence[str], every: int, processes: int) -> list[Findings]:
    """Print a line a case, as they end."""
    done: list[Findings] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        for future in as_completed([pool.submit(_judge, title, every) for title in titles]):
            findings = future.result()
            done.append(findings)
            wrong = f"  {len(findings.wrong)} WRONG" if findings.wrong else ""
            ends = findings.ends
            print(f"{findings.case:<66}{findings.points:>5}{ends[ONCE]:>6}{ends[HELD]:>6}{wrong}", flush=True)
    return done


def _judge(title: str, every: int) -> Findings:
    """A case that breaks is a finding too, and the others go on."""
    try:
        return jobs(every)[title]()
    except Exception as broken:  # noqa: BLE001  # whatever broke, it is reported as wrong
        return Findings(title, points=1, wrong=[f"{title}: {type(broken).__name__}: {broken}"])


def kill_mutants() -> list[str]:
    """Names of the mutants that no case noticed."""
    survived = []
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as room:
            folder = Path(room)
            for name in ("src", "connectors", "mappings", "tests", "tools"):
                shutil.copytree(
                    ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
                )
            file = folder / mutant.file
            text = file.read_text(encoding="utf-8")
            if text.count(mutant.text) != 1:
                print(f"mutant   {mutant.name}: its text is no longer once in {mutant.file}")
                survived.append(mutant.name)
                continue
            file.write_text(text.replace(mutant.text, mutant.instead), encoding="utf-8")
            ended = _in(folder, "--only", mutant.case, "--no-mutants")
            said = next((line for line in ended.stdout.splitlines() if line.startswith("WRONG")), "")
            caught = ended.returncode == 1 and bool(said)
            print(f"mutant   {mutant.name:<32}{'caught: ' + said[6:] if caught else 'SURVIVED'}", flush=True)
            if not caught:
                survived.append(mutant.name)
    return survived


def _in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The harness of a changed copy, in that copy."""
    places = (folder / "src", folder / "tools/typing", folder)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    command = [sys.executable, "-m", "tools.crash", *arguments]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=MUTANT_TIME_S, check=False
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make crash", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth point")
    parser.add_argument(
        "--only", metavar="TITLE", help="only the case of this title; a part of it with a * behind"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--no-mutants", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [
        title
        for title in jobs(options.every)
        if options.only is None
        or title == options.only
        or (options.only.endswith("*") and title.startswith(options.only[:-1]))
    ]
    if not chosen:
        print(f"no case is called {options.only!r}; there are:", *jobs(1), sep="\n  ")
        return 2
    started = time.monotonic()
    print(f"{'what was under way':<66}{'points':>6}{'once':>5}{'held':>6}")
    done = judge_all(chosen, options.every, options.processes)
    wrong = [text for findings in done for text in findings.wrong]
    for text in wrong:
        print(f"WRONG {text}")
    points = sum(findings.points for findings in done)
    once, held = (sum(findings.ends[end] for findings in done) for end in (ONCE, HELD))
    print(
        f"{len(done)} cases, {points} points: {once} once, {held} held, {len(wrong)} wrong; "
        f"{time.monotonic() - started:.0f} s"
    )
    survived = [] if options.no_mutants else kill_mutants()
    return 1 if wrong or survived else 0


if __name__ == "__main__":
    sys.exit(main())
