"""Seeded mutants of the decision: each changes a line or two in a copy of the package and must turn red."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("src", "tests", "connectors", "mappings", "tools")
SITUATIONS = (
    "tests/unit/test_reconcile.py",
    "tests/unit/test_reconcile_agreement.py",
    "tests/unit/test_reconcile_goods.py",
    "tests/unit/test_reconcile_memory.py",
    "tests/unit/test_pairing_goods.py",
    "tests/unit/test_late_cancels.py",
)


@dataclass(frozen=True)
class Mutant:
    """In src/ordersync/reconcile/`file` each first text says the second."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]


def _one(name: str, file: str, line: str, instead: str) -> Mutant:
    return Mutant(name, file, ((line, instead),))


MUTANTS = (
    _one("no purse check", "conflicts.py", "if len(paying) > 1 and", "if len(paying) > 9 and"),
    Mutant(
        "pairs by amount without multiplicity",
        "goods_named.py",
        (
            ("if len(places) == len(mine) else None", "if places else None"),
            ("return None if left else pairs", "return pairs"),
        ),
    ),
    _one("pays what a late cancel gave back", "refunds.py", "if late is not None:", "if late == 'never':"),
    _one("pairs different goods", "goods_named.py", "else mine == theirs", "else mine != {}"),
    _one("pending counts as done", "refunds.py", "if not _completed(_counted(case, row)):", "if False:"),
    _one(
        "local facts are carried",
        "refunds.py",
        "if r.token is None and case.policy.refund.counts(r.member.shop)]",
        "if r.token is None]",
    ),
    _one("cancel before its refund", "cancels.py", "if left > 0:", "if left > 10**9:"),
    _one("no bound by what was captured", "refunds.py", "if after > member.bound_minor:", "if after > 10**9:"),
    _one(
        "no bound by the highest refund elsewhere",
        "refunds.py",
        "if after > max(m.refunded_minor for m in others) + TOLERANCE_MINOR:",
        "if after > 10**9:",
    ),
    _one("doubt is forgotten", "decide.py", "if record.state is ActionState.DOUBT:", "if False:"),
    _one(
        "a doubt stops no other money",
        "decide.py",
        "case.money_blocked = case.money_blocked or action.kind.moves_money",
        "pass",
    ),
    _one(
        "what is older than the store is carried",
        "decide.py",
        "if happened_at is None or happened_at <= live_from:",
        "if False:",
    ),
    _one("crossing refunds are carried", "conflicts.py", "if not crossing:", "if True:"),
    _one(
        "several writes to one order at once",
        "refunds.py",
        '    if busy:\n        case.wait("one_at_a_time"',
        '    if False:\n        case.wait("one_at_a_time"',
    ),
    _one("our mark is not read", "members.py", "token=token_in(refund.note),", "token=None,"),
    _one(
        "a refusal is asked again", "refunds.py", "(ActionState.SEEN, ActionState.REFUSED)", "(ActionState.SEEN,)"
    ),
    _one("a refund that went back is no news", "pairing.py", "if gone and carried:", "if False:"),
    _one("a shop's name decides a tie", "members.py", "return (at, record.amount.amount_minor,", "return (at, 0,"),
    _one("approve_over is not asked", "refunds.py", "if over is not None and over < amount and", "if False and"),
    _one(
        "equal sums in other parts are a conflict",
        "pairing.py",
        "if _pair_off(list(by_member.values())):",
        "if True:",
    ),
    _one("goods claimed twice", "shipments.py", "left[key] -= count", "left[key] -= 0"),
    _one(
        "a cancel of what was shipped",
        "late_cancels.py",
        "if member.has_parcel(*GONE):",
        "if False:",
    ),
    _one(
        "a step backwards", "progress.py", "if step.rank < p.rank <= wanted.rank]", "if 0 < p.rank <= wanted.rank]"
    ),
)


def kill_all() -> bool:
    """Show every mutant to the slice of the walk, and to the readable situations if that lets it live.

    The code as it is goes first: it must stay green in the same copy under the same commands.
    """
    survived = 0
    with tempfile.TemporaryDirectory() as room, ThreadPoolExecutor(2) as pool:
        untouched = Mutant("nothing changed", "decide.py", ())
        places = (Path(room) / str(number) for number in range(len(MUTANTS) + 1))
        first, *killers = pool.map(_killer, places, (untouched, *MUTANTS))
        if first is not None:
            print(f"mutant   nothing is changed and it is {first}: no mutant can be judged")
            return False
        for mutant, killer in zip(MUTANTS, killers, strict=True):
            print(f"mutant   {mutant.name}: {killer or 'SURVIVED'}")
            survived += killer is None
    print(
        f"         {len(MUTANTS) - survived} of {len(MUTANTS)} mutants are red, and the code as it is stays green"
    )
    return survived == 0


def _killer(folder: Path, mutant: Mutant) -> str | None:
    """What turned red, in a few words; None when nothing did, or a line to change is not there (once)."""
    for name in PARTS:
        hidden = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=hidden)
    shutil.copy(ROOT / "pyproject.toml", folder)
    file = folder / "src/ordersync/reconcile" / mutant.file
    text = file.read_text(encoding="utf-8")
    for line, instead in mutant.changes:
        if text.count(line) != 1:
            return None
        text = text.replace(line, instead)
    file.write_text(text, encoding="utf-8")
    walked = _run(folder, "-m", "tools.laws", "--first-broken")
    law = re.search(r"^law (\d)", walked.stdout, re.MULTILINE)
    if walked.returncode != 0:
        return f"red, by the walk (law {law.group(1)})" if law else "red, by the walk (it breaks down)"
    tested = _run(folder, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *SITUATIONS)
    return "red, by a situation" if tested.returncode != 0 else None


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder / "src", folder)))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
