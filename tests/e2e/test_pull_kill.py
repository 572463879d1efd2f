"""A pull of over a hundred pages a shop, killed with SIGKILL and run again, ends in the store of one never killed.

Real `ordersync pull` processes against sandboxes in another process; the stores are compared by their exports, byte
for byte, buyer data included.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.cli_process import EXECUTABLE, Cli, Shops, running

SHOPS = ["asia", "office", "web"]
ORDERS = 110
SMALL_PAGES = {"asia": {"page_limit": 3}, "office": {"page_limit": 2, "rate": "500/s"}, "web": {"page_limit": 2}}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Uninterrupted:
    shops: Shops
    export: str
    pages: dict[str, int]
    listings: int
    """Requests of the whole pull."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uninterrupted]:
    with running(tmp_path_factory.mktemp("sandboxes"), "--orders", str(ORDERS)) as shops:
        cli = own_cli(shops, tmp_path_factory.mktemp("whole"))
        report = cli("pull", "--json").json
        assert [(one["shop"], one["new"], one["error"]) for one in report["shops"]] == [
            (name, ORDERS, None) for name in SHOPS
        ]
        pages = {one["shop"]: one["pages"] for one in report["shops"]}
        yield Uninterrupted(shops, exported(cli), pages, requests(shops))


def own_cli(shops: Shops, folder: Path) -> Cli:
    return shops.cli(folder, only=SHOPS, shops=SMALL_PAGES)


def requests(shops: Shops) -> int:
    return sum(len(shops.log(name)) for name in SHOPS)


def exported(cli: Cli) -> str:
    text = cli.ok("orders", "export", "--buyer").out
    assert len(text.splitlines()) == ORDERS * len(SHOPS)
    return text


def kill_pull_after(cli: Cli, pages: int) -> None:
    """Start a pull and kill it with SIGKILL once it has stored so many pages more."""
    assert cli.folder is not None
    start = stored_pages(cli)
    process = subprocess.Popen(
        [str(EXECUTABLE), "pull", "--config", str(cli.config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=cli.folder,
    )
    try:
        deadline = time.monotonic() + 60
        while stored_pages(cli) - start < pages and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        process.kill()
        _, said = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL, f"the pull ended before it could be killed: {said.decode()}"


def stored_pages(cli: Cli) -> int:
    """Pages in the store as another process sees it: those of finished passes and of the ones under way."""
    assert cli.folder is not None
    path = cli.folder / "own.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        query = (
            "SELECT (SELECT total(pages) FROM passes) + (SELECT total(pages) FROM feeds WHERE cursor IS NOT NULL)"
        )
        return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # the process is just making the tables
    finally:
        connection.close()


def unfinished(cli: Cli) -> list[tuple[str, str, int]]:
    """(shop, feed, pages) of the passes that were interrupted, as the killed process left the file."""
    assert cli.folder is not None
    with sqlite3.connect(cli.folder / "own.db") as connection:
        rows = connection.execute("SELECT shop, feed, pages FROM feeds WHERE cursor IS NOT NULL").fetchall()
    connection.close()
    return rows


def test_the_pull_has_more_than_a_hundred_pages_on_every_shop(whole: Uninterrupted) -> None:
    assert all(pages > 100 for pages in whole.pages.values()), whole.pages


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.8])
def test_a_killed_pull_run_again_ends_in_the_same_store(
    whole: Uninterrupted, tmp_path: Path, share: float
) -> None:
    cli = own_cli(whole.shops, tmp_path)
    kill_pull_after(cli, int(sum(whole.pages.values()) * share))
    left = unfinished(cli)
    assert left, "killed in the middle of a pass"
    before = requests(whole.shops)
    assert cli("pull", "--json").json["new_holds"] == []
    assert exported(cli) == whole.export
    assert unfinished(cli) == []
    kept = sum(pages for _, _, pages in left)
    assert requests(whole.shops) - before <= whole.listings - kept // 2, "what was stored is not asked for again"


def test_a_pull_killed_again_and_again_still_ends_in_the_same_store(whole: Uninterrupted, tmp_path: Path) -> None:
    cli = own_cli(whole.shops, tmp_path)
    for _ in range(4):
        kill_pull_after(cli, sum(whole.pages.values()) // 7)
    cli("pull")
    assert exported(cli) == whole.export
    again = cli("pull", "--json").json
    assert again["new_holds"] == []
    assert [(one["new"], one["changed"], one["parked"]) for one in again["shops"]] == [(0, 0, 0)] * len(SHOPS)
