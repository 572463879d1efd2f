"""A full day over three shops: hundreds of sales, persons in every shop, and a referee who knows what they did.

More seeds: ORDERSYNC_DAY_SEEDS=1,2,3 make test, or `ordersync demo --sales 300 --seed N`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ORDERSYNC = Path(sys.executable).with_name("ordersync")
SEEDS = os.environ.get("ORDERSYNC_DAY_SEEDS", "7").split(",")
SALES = 300
HELD_MOST = 0.15
"""Every tenth sale of the story is of a kind that a person should look at; more held would be needless."""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ORDERSYNC, *arguments], cwd=folder, capture_output=True, text=True, timeout=800, check=False
    )


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: every write waits for the disk, and this is no test of that."""
    shared_memory = Path("/dev/shm")  # noqa: S108  # a folder of its own is made in it, readable by nobody else
    if not os.access(shared_memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_full_day_in_three_shops_ends_without_a_surprise(memory: Path, seed: str) -> None:
    shown = run(memory, "demo", "--sales", str(SALES), "--seed", seed)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80
    text = " ".join(shown.stdout.split())
    assert f"{SALES} sales, each in 2 or 3 shops" in text
    assert "after apply: 0 orders changed, 0 writes, 0 waits" in text
    assert re.search(r"the database deleted and \d+ orders read again: 0 writes planned", text)
    assert "0 surprises: lists, ledger and referee agree" in text
    held = re.search(rf"held (\d+) sales? of {SALES}", text)
    carried = re.search(r"(\d+) refunds \((\d+) carried\), (\d+) cancelled orders, (\d+) parcels", text)
    assert held is not None
    assert 0 < int(held.group(1)) <= SALES * HELD_MOST
    assert carried is not None
    assert min(int(count) for count in carried.groups()) >= 50, "a day on which little happens proves little"
    _what_it_left_can_be_explored(memory / "ordersync-demo")


def _what_it_left_can_be_explored(folder: Path) -> None:
    """Without the shops: every hold has its reason and its next command."""
    holds = json.loads(run(folder, "holds", "list", "--json").stdout)["holds"]
    told = run(folder, "holds", "show", holds[0]["hold"])
    assert told.returncode == 0, told.stderr
    assert "ordersync" in told.stdout


def test_a_small_day_is_soon_over(tmp_path: Path) -> None:
    shown = run(tmp_path, "demo", "--sales", "8", "--seed", "3")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "0 surprises" in " ".join(shown.stdout.split())


def test_a_day_without_sales_is_refused(tmp_path: Path) -> None:
    refused = run(tmp_path, "demo", "--sales", "0")
    assert refused.returncode == 2
    assert "--sales" in refused.stderr
    assert not (tmp_path / "ordersync-demo").exists()
