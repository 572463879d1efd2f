"""`pause` and `resume` as processes: they need no database, and everything says what stands still."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.e2e.cli_process import Cli

from ordersync.model import Action, ActionKind, Hold, Money, OrderRef
from ordersync.store import Observation, Store
from ordersync.testing.orders import NOON, build_order

SOON = NOON + timedelta(seconds=20)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    config = tmp_path / "ordersync.yaml"
    shops = "".join(
        f"  {name}: {{connector: headless, api_key: sk_test_{name}, base_url: 'http://127.0.0.1:9/v1'}}\n"
        for name in ("web", "asia")
    )
    config.write_text(f"shops:\n{shops}writes: true\n")
    with Store.open(f"sqlite:///{tmp_path / 'ordersync.db'}") as store:
        for shop in ("web", "asia"):
            store.save_observation(Observation(order=build_order(shop), raw=b"{}", sent_at=NOON))
    return Cli(config, tmp_path, frozenset({"sk_test_web", "sk_test_asia"}))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another program holds the whole database, readers shut out as well."""
    with closing(sqlite3.connect(folder / "ordersync.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.execute("ROLLBACK")


def intend(folder: Path) -> None:
    action = Action(
        key="k",
        kind=ActionKind.REFUND,
        target=OrderRef("web", "1"),
        token="os-aaaaaaaa",
        amount=Money.parse("5.00 USD"),
        because="test",
        digest="d",
    )
    with Store.open(f"sqlite:///{folder / 'ordersync.db'}") as store:
        store.intend(action, NOON, SOON, lambda _spent: None)


def test_pause_works_while_the_database_is_locked(cli: Cli, tmp_path: Path) -> None:
    with locked(tmp_path):
        said = cli.typed("pause", "--reason", "stock take").out
        assert "PAUSED  all shops are paused: by " in said
        assert "stock take" in said
        assert "cannot be read now" in said
        flag = tmp_path / "ordersync.db.pause"
        assert stat.S_IMODE(flag.stat().st_mode) == 0o600
        assert "may go on" in cli.typed("resume").out
        assert not flag.exists()
        cli.typed("pause")
    cli("orders", "refund", "web:1", "--amount", "5 USD", "--yes").failed(3, "all shops are paused", "(paused)")


def test_pause_lists_what_is_in_flight_and_pausing_again_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    assert "Nothing is in flight." in cli.ok("pause", "--shop", "asia").out
    assert "already paused" in cli.ok("pause", "--shop", "asia", "--reason", "other").out
    intend(tmp_path)
    out = cli.ok("pause").out
    assert "In flight, and not called back: 1 write" in out
    assert "refund web:1  intended" in out
    told = cli.ok("pause", "--json").json
    assert told["in_flight"] == [{"target": "web:1", "kind": "refund", "state": "intended"}]
    assert told["new"] is False
    asia = cli.ok("pause", "--shop", "asia", "--json").json
    assert asia["in_flight"] == [], "what is in flight at another shop is not listed"


def test_status_check_and_resume_say_what_is_paused_and_how_it_goes_on(cli: Cli, tmp_path: Path) -> None:
    cli.ok("pause", "--shop", "asia", "--reason", "stock take")
    surplus = Hold(
        key="k",
        code="overshoot",
        subject="link:L1",
        message="web:1 shows 20.00 USD refunded for a refund of 10.00 USD",
        sticky=True,
        target=OrderRef("web", "1"),
    )
    with Store.open(f"sqlite:///{tmp_path / 'ordersync.db'}") as store:
        store.open_hold(surplus, NOON)
    status = cli("status")
    flat = " ".join(status.out.split())
    assert status.code == 3
    assert "shop asia is paused: by" in flat
    assert "shop web is paused: surplus money or goods, H-1" in flat
    assert "to go on: ordersync holds show H-1" in flat
    assert {one["shop"] for one in cli("status", "--json").json["paused"]} == {"asia", "web"}
    checked = cli("check", "--json").json["parts"]
    assert {p["part"] for p in checked if "paused:" in p["text"]} == {"asia", "web"}
    resumed = " ".join(cli.ok("resume", "--shop", "asia").out.split())
    assert "Writes to shop asia may go on." in resumed
    assert "shop web is still paused" in resumed
    assert "There was no pause of every shop." in cli.ok("resume").out


def test_a_shop_that_does_not_exist_cannot_be_paused(cli: Cli, tmp_path: Path) -> None:
    cli("pause", "--shop", "nowhere").failed(2, "there is no shop", "(unknown_shop)")
    cli("resume", "--shop", "../web").failed(2, "(unknown_shop)")
    assert sorted(p.name for p in tmp_path.glob("*.pause*")) == []


def test_a_folder_that_cannot_be_written_says_that_nothing_is_paused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "ordersync.db.pause").mkdir()
    assert "already paused" in cli.ok("pause").out, "whatever has that name pauses"
    cli("resume").failed(2, "it is still paused", "(pause_unwritable)")
