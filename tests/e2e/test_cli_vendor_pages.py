"""Each call of the five vendor pages the project started from, typed on the command line.

The sandbox's request log says what was on the wire.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.e2e.cli_process import Cli, Shops


@pytest.fixture(scope="module")
def cli(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = shops.cli(tmp_path_factory.mktemp("own"))
    cli.typed("pull")
    return cli


def sent(shops: Shops, shop: str, method: str, ending: str) -> dict[str, Any]:
    """The one request of that method whose path ends so."""
    found = [r for r in shops.log(shop) if r["method"] == method and r["path"].endswith(ending)]
    assert len(found) == 1, [f"{r['method']} {r['path']}" for r in shops.log(shop)]
    return found[0]


def order_id(cli: Cli, ref: str) -> str:
    found: str = cli.ok("orders", "show", ref, "--json").json["order"]["order_id"]
    return found


def test_headless_cancel_sends_the_reason(cli: Cli, shops: Shops) -> None:
    cli.typed("orders", "cancel", "web:2003", "--reason", "ordered twice", "--yes")
    request = sent(shops, "web", "POST", f"/v1/admin/orders/{order_id(cli, 'web:2003')}/cancel")
    assert request["scheme"] == "Bearer"
    assert request["headers"]["content-type"].startswith("application/json")
    assert json.loads(request["body"]) == {"reason": "ordered twice"}
    assert cli.ok("orders", "show", "web:2003", "--json").json["order"]["order_status"] == "cancelled"


def test_headless_order_is_read_by_its_id(cli: Cli, shops: Shops) -> None:
    order = order_id(cli, "web:2004")
    before = len(shops.log("web"))
    shown = cli.typed("orders", "show", "web:2004", "--fresh", "--json").json["order"]
    asked = shops.log("web")[before:]
    assert [(r["method"], r["path"], r["scheme"]) for r in asked] == [
        ("GET", f"/v1/admin/orders/{order}", "Bearer")
    ]
    assert shown["number"] == "2004"


def test_shopline_cancel_sends_every_field_of_the_page(cli: Cli, shops: Shops) -> None:
    cli.typed(
        *("orders", "cancel", "asia:2005", "--amount", "10.50 USD", "--reason", "changed mind", "--email"),
        *("--processed-at", "2026-11-20T10:00:00+08:00", "--restock", "--yes"),
    )
    request = sent(
        shops, "asia", "POST", f"/admin/openapi/v20250601/orders/{order_id(cli, 'asia:2005')}/cancel.json"
    )
    assert request["scheme"] == "Bearer"
    assert request["headers"]["content-type"] == "application/json; charset=utf-8"
    body = json.loads(request["body"])
    assert body["amount"] == 10.5
    assert body["cancel_reason"] == "changed mind"
    assert (body["currency"], body["email"], body["restock"]) == ("USD", True, True)
    assert body["processed_at"] == "2026-11-20T10:00:00+08:00"
    assert set(body) == {"amount", "cancel_reason", "currency", "email", "processed_at", "restock"}


def test_shopline_cancel_says_what_is_off_too(cli: Cli, shops: Shops) -> None:
    cli.typed("orders", "cancel", "asia:2006", "--yes")
    body = json.loads(sent(shops, "asia", "POST", f"/orders/{order_id(cli, 'asia:2006')}/cancel.json")["body"])
    assert (body["email"], body["restock"]) == (False, False)


def test_headless_guest_lookup_asks_by_number_and_email(cli: Cli, shops: Shops) -> None:
    email = cli.ok("orders", "show", "web:2007", "--json", "--buyer").json["order"]["buyer"]["email"]
    found = cli.typed("orders", "lookup", "--shop", "web", "--number", "#2007", "--email", email, "--json")
    assert found.json["order"]["number"] == "2007"
    assert email not in found.out
    request = sent(shops, "web", "GET", "/v1/storefront/orders/lookup")
    assert dict(request["query"]) == {"number": "2007", "email": email}
    assert request["scheme"] == "Bearer"


def test_a_guest_lookup_that_fits_nothing_is_a_named_error(cli: Cli, shops: Shops) -> None:
    ended = cli("orders", "lookup", "--shop", "web", "--number", "2008", "--email", "nobody@example.com")
    ended.failed(2, "no order has this number together with this e-mail address")
    assert "nobody@example.com" not in ended.err


def test_medusa_style_orders_are_listed_read_completed_archived_and_cancelled(cli: Cli, shops: Shops) -> None:
    assert any(r["path"] == "/admin/orders" for r in shops.log("depot"))
    done, other = order_id(cli, "depot:8"), order_id(cli, "depot:9")
    cli.ok("orders", "show", "depot:8", "--fresh")
    assert any((r["method"], r["path"]) == ("GET", f"/admin/orders/{done}") for r in shops.log("depot"))
    for verb, order in (("complete", done), ("archive", done), ("cancel", other)):
        cli.typed("orders", verb, f"depot:{order}", "--yes")
        assert sent(shops, "depot", "POST", f"/admin/orders/{order}/{verb}")["scheme"] == "Basic"


@pytest.mark.parametrize("shop", ["office", "depot"])
def test_medusa_payments_are_listed_and_read(cli: Cli, shops: Shops, shop: str) -> None:
    listed = cli.typed("payments", "list", "--shop", shop, "--limit", "3", "--json").json
    rows = listed["payments"] if isinstance(listed, dict) else listed
    assert len(rows) == 3
    assert all("data" not in row for row in rows)
    assert shops.log(shop)[-1]["path"] == "/admin/payments"
    assert dict(shops.log(shop)[-1]["query"])["limit"] == "3"
    providers = cli.typed("payments", "providers", "--shop", shop).out
    assert "pp_system_default" in providers
    sent(shops, shop, "GET", "/admin/payments/payment-providers")
    assert rows[0]["id"] in cli.typed("payments", "show", rows[0]["id"], "--shop", shop).out
    sent(shops, shop, "GET", f"/admin/payments/{rows[0]['id']}")


@pytest.mark.parametrize("shop", ["office", "depot"])
def test_medusa_payment_is_refunded_by_amount(cli: Cli, shops: Shops, shop: str) -> None:
    payment = cli.ok("orders", "show", f"{shop}:10", "--json").json["order"]["payments"][0]["id"]
    cli.ok(
        "orders", "refund", f"{shop}:10", "--amount", "1.25 USD", "--reason", "late", "--payment", payment, "--yes"
    )
    body = json.loads(sent(shops, shop, "POST", f"/admin/payments/{payment}/refund")["body"])
    assert body["amount"] == 1.25
    shown = cli.ok("orders", "show", f"{shop}:10", "--json").json["order"]
    assert shown["refunded"] == {"amount_minor": 125, "currency": "USD"}


@pytest.mark.parametrize("shop", ["office", "depot"])
def test_medusa_payment_is_captured(cli: Cli, shops: Shops, shop: str) -> None:
    orders = cli.ok("orders", "list", "--shop", shop, "--json").json["orders"]
    waiting = next(o for o in orders if o["payments"] and o["payments"][0]["status"] == "authorized")
    payment = waiting["payments"][0]["id"]
    cli.typed("orders", "capture", f"{shop}:{waiting['order_id']}", "--payment", payment, "--yes")
    sent(shops, shop, "POST", f"/admin/payments/{payment}/capture")
    assert cli.ok("orders", "show", f"{shop}:{waiting['order_id']}", "--json").json["order"]["captured"][
        "amount_minor"
    ]


def test_medusa_basic_auth_is_used_for_a_secret_key(cli: Cli, shops: Shops) -> None:
    assert {r["scheme"] for r in shops.log("office")} == {"Basic"}
