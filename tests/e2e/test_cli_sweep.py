"""`ordersync pull --sweep`: what no list of changes shows is found by reading linked orders by their id."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.cli_process import Cli, Shops

KEYS = {"shop", "new", "changed", "unchanged", "parked", "vanished", "pages", "swept", "error"}


def in_the_admin(shops: Shops, path: str, body: dict[str, Any]) -> None:
    """What a person does on the Medusa shop, past ordersync."""
    token = base64.b64encode(f"{shops.by_name['office']['settings']['token']}:".encode()).decode()
    request = urllib.request.Request(
        shops.origin("office") + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def pulled(cli: Cli, *more: str) -> dict[str, Any]:
    """The office part of one pull."""
    shops: list[dict[str, Any]] = cli.ok("pull", "--json", *more).json["shops"]
    assert all(set(one) == KEYS for one in shops)
    return next(one for one in shops if one["shop"] == "office")


def test_a_partial_capture_that_no_feed_shows_is_found_by_the_sweep(shops: Shops, tmp_path: Path) -> None:
    cli = shops.cli(tmp_path, only=["asia", "office"])
    cli.ok("pull")
    orders = cli.ok("orders", "list", "--shop", "office", "--json").json["orders"]
    waiting = next(o for o in orders if o["payments"] and o["payments"][0]["status"] == "authorized")
    partner = cli.ok("orders", "list", "--shop", "asia", "--json").json["orders"][0]
    ref = f"office:{waiting['order_id']}"
    cli.ok("links", "add", ref, f"asia:{partner['order_id']}")
    cli.ok("pull")
    in_the_admin(shops, f"/admin/payments/{waiting['payments'][0]['id']}/capture", {"amount": 1})

    by_feeds = pulled(cli)
    assert (by_feeds["changed"], by_feeds["swept"]) == (0, None)
    assert cli.ok("orders", "show", ref, "--json").json["order"]["captured"]["amount_minor"] == 0

    swept = pulled(cli, "--sweep")["swept"]
    assert swept == {"orders": 1, "changed": 1, "unchanged": 0, "parked": 0, "vanished": 0, "failed": 0}
    assert cli.ok("orders", "show", ref, "--json").json["order"]["captured"]["amount_minor"] > 0
    assert pulled(cli, "--sweep")["swept"]["changed"] == 0
    assert "sweep: 1 linked order read again, 0 changed" in cli.ok("pull", "--sweep", "--shop", "office").out


def test_a_sweep_that_fails_keeps_what_the_feeds_brought_and_is_try_again(shops: Shops, tmp_path: Path) -> None:
    cli = shops.cli(tmp_path)
    cli.ok("pull")
    shops.fault("office", kind="502_html", method="GET", path="/admin/orders/order_", times=500)
    shops.fault("office", kind="502_html", method="GET", path="/admin/orders$", times=500)
    try:
        ended = cli("pull", "--sweep").failed(1, "office")
    finally:
        shops.clear_faults("office")
    assert "1 of 4 shops failed" in ended.out
    assert "20 " in cli.ok("status").out
    assert pulled(cli, "--sweep")["swept"]["failed"] == 0


def test_an_order_that_was_not_understood_is_read_again_by_the_next_pull(shops: Shops, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from ordersync.store import Parked, Store

    cli = shops.cli(tmp_path, only=["asia"])
    cli.ok("pull")
    known = cli.ok("orders", "list", "--json").json["orders"][0]["order_id"]
    with Store.open(f"sqlite:///{tmp_path / 'own.db'}") as store:
        store.park(Parked("asia", known, "unknown_word", "status: unknown", "status", b"{}", datetime.now(UTC)))
    assert cli("orders", "show", f"asia:{known}").code == 3
    cli.ok("pull")
    cli.ok("orders", "show", f"asia:{known}")
