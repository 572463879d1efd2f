"""Reading on the command line: pull, link by rule, status, plan, export, and what no output may hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.e2e.cli_process import EXECUTABLE, Cli, Shops, running

FOUR = ["asia", "office", "web", "depot"]


@pytest.fixture(scope="module")
def cli(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = shops.cli(tmp_path_factory.mktemp("own"))
    first = cli.ok("pull", "--json").json
    assert [(one["shop"], one["new"], one["error"]) for one in first["shops"]] == [
        (name, 20, None) for name in FOUR
    ]
    assert first["links_made"] == 15
    return cli


def test_a_second_pull_reports_nothing_changed(cli: Cli) -> None:
    again = cli.real("pull", "--json").json
    assert [(one["new"], one["changed"], one["parked"]) for one in again["shops"]] == [(0, 0, 0)] * 4
    assert again["links_made"] == 0
    assert "0 new, 0 changed" in cli.ok("pull", "--shop", "asia").out


def test_the_same_store_exports_the_same_bytes(cli: Cli) -> None:
    first, second = cli.ok("orders", "export").out, cli.ok("orders", "export").out
    assert first == second
    orders = [json.loads(line) for line in first.splitlines()]
    assert len(orders) == 80
    assert [(o["shop"], o["order_id"]) for o in orders] == sorted((o["shop"], o["order_id"]) for o in orders)


def test_an_export_to_a_file_is_for_its_owner_only(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "orders.jsonl"
    cli.ok("orders", "export", "--shop", "web", "--out", str(target))
    assert len(target.read_text().splitlines()) == 20
    assert target.stat().st_mode & 0o777 == 0o600
    cli("orders", "export", "--out", str(tmp_path / "no" / "such")).failed(2, "cannot be written")


def test_no_buyer_data_without_asking_for_it(cli: Cli) -> None:
    for arguments in (
        ("orders", "list"),
        ("orders", "list", "--json"),
        ("orders", "show", "web:2001"),
        ("orders", "show", "web:2001", "--json"),
        ("orders", "export"),
        ("plan", "--all"),
        ("payments", "list", "--shop", "office", "--json"),
        ("payments", "list", "--shop", "depot", "--json"),
    ):
        out = cli.ok(*arguments).out
        assert "@example.com" not in out, arguments
        assert "Sample Street" not in out, arguments
    assert "@example.com" in cli.ok("orders", "show", "web:2001", "--buyer").out
    assert "@example.com" in cli.ok("orders", "list", "--shop", "web", "--json", "--buyer").out


def test_everything_fits_in_80_columns(cli: Cli) -> None:
    for arguments in (
        ("orders", "list", "--limit", "80"),
        ("orders", "show", "asia:2001"),
        ("links", "list"),
        ("status",),
        ("plan", "--all"),
        ("check",),
        ("connectors", "list"),
        ("payments", "list", "--shop", "office"),
        ("pull",),
    ):
        longest = max(cli(*arguments).out.splitlines(), key=len)
        assert len(longest) <= 80, f"{arguments}: {longest}"


def test_orders_linked_by_rule_agree_and_nothing_is_due(cli: Cli) -> None:
    plan = cli.ok("plan", "--json").json
    assert plan["writes"] == []
    assert plan["holds"] == []
    links = cli.ok("links", "list", "--json").json["links"]
    assert len(links) == 15
    assert {tuple(m["shop"] for m in link["members"]) for link in links} == {("asia", "depot", "office", "web")}


def test_status_needs_no_network(cli: Cli, shops: Shops) -> None:
    before = {name: len(shops.log(name)) for name in FOUR}
    facts = cli.ok("status", "--json").json
    assert {name: len(shops.log(name)) for name in FOUR} == before
    assert [(s["shop"], s["orders"]) for s in facts["shops"]] == [(name, 20) for name in FOUR]
    assert facts["holds"] == {"open": 0, "by_code": {}}


def test_check_says_what_each_shop_is_and_can(cli: Cli) -> None:
    parts = cli.ok("check", "--json").json["parts"]
    assert {part["part"] for part in parts} >= {"config", "store", *FOUR, "purse"}
    assert any(part["part"] == "office" and "refund" in part["text"] for part in parts)
    assert all(part["state"] in ("ok", "warn") for part in parts)


def test_check_says_that_refunds_are_local_until_a_shop_is_named(shops: Shops, tmp_path: Path) -> None:
    cli = shops.cli(tmp_path, policy={"cancel": {"from": "any"}}, schedule={"sync": "every 5m"}, only=["web"])
    parts = cli.ok("check", "--json").json["parts"]
    assert any("refunds are local" in p["text"] and "policy: {refund" in p["fix"] for p in parts)
    assert any(p["text"] == "not acted on yet: schedule" for p in parts)


def test_connectors_list_says_what_each_can(cli: Cli) -> None:
    found = {c["name"]: c for c in cli.ok("connectors", "list", "--json").json["connectors"]}
    assert found.keys() >= {"headless", "shopline", "medusa"}
    assert "lookup" in found["headless"]["reads"]
    assert found["shopline"]["writes"] == ["cancel", "refund", "ship", "archive"]
    assert {"payments", "payment_providers", "payment"} <= set(found["medusa"]["reads"])
    assert all(c["version"] and c["feeds"] for c in found.values())
    shown = " ".join(cli.ok("connectors", "list").out.split())
    for name, one in found.items():
        assert f"{name} writes: {', '.join(one['writes'])} " in f"{shown} "


def test_links_are_made_listed_and_removed_by_hand(cli: Cli) -> None:
    made = cli.ok("links", "list", "--json").json["links"][0]
    cli("links", "add", "asia:2001", "office:6").failed(2, "already")
    cli.ok("links", "remove", made["link"])
    cli("links", "remove", made["link"]).failed(2, "there is no link")
    again = cli.ok("links", "add", "asia:2001", "web:2001", "--json").json["links"][0]
    assert [m["shop"] for m in again["members"]] == ["asia", "web"]
    cli("links", "add", "asia:2001", "asia:2002").failed(2, "asia")


def test_stopping_a_pull_is_clean_and_the_next_one_goes_on(shops: Shops, tmp_path: Path) -> None:
    cli = shops.cli(tmp_path, only=["web"], shops={"web": {"page_limit": 1}})
    shops.fault("web", kind="latency", path="/admin/orders", times=1000, seconds=0.3)
    try:
        process = subprocess.Popen(
            [str(EXECUTABLE), "pull"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "ORDERSYNC_CONFIG": str(cli.config)},
        )
        asked = len(shops.log("web"))
        while len(shops.log("web")) < asked + 4 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        shops.clear_faults("web")
    assert process.returncode == 130, err
    assert "Traceback" not in err + out
    assert "the same command goes on" in err
    cli.ok("pull")
    assert len(cli.ok("orders", "list", "--json").json["orders"]) == 20


def test_a_closed_pipe_is_no_error(cli: Cli) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{EXECUTABLE}' orders export | head -c 10; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env={**os.environ, "ORDERSYNC_CONFIG": str(cli.config)},
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.endswith(("141\n", "0\n"))


def test_a_sandbox_of_another_seed_has_other_orders(tmp_path: Path) -> None:
    with running(tmp_path, "--orders", "4", "--seed", "5") as other:
        assert set(other.by_name) == set(FOUR)
        assert other.by_name["web"]["base_url"].endswith("/v1")
        assert {"api_key", "publishable_key"} <= other.by_name["web"]["settings"].keys()
        assert "writes: false" in other.config.read_text()
        assert other.config.stat().st_mode & 0o777 == 0o600
