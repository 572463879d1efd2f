"""Reading a real Medusa whole, and what only the sweep sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ordersync_connectors.medusa import MedusaConnector
from ordersync_connectors.medusa.settings import MedusaSettings
from tests.contract.common import pull_all
from tests.live.back_office import BackOffice
from tests.live.street import PRICE_MINOR, Street, street


@pytest.fixture(scope="module")
def shops(office: BackOffice, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(office, tmp_path_factory.mktemp("street"), overlap="0s") as made:
        yield made


def plain_listing(office: BackOffice, path: str, name: str) -> list[dict[str, Any]]:
    """Every row by limit and offset, with nothing of ordersync but its key."""
    rows: list[dict[str, Any]] = []
    with httpx.Client(base_url=office.server.origin, auth=(office.opened.key, ""), trust_env=False) as client:
        while True:
            query: dict[str, Any] = {"limit": 7, "offset": len(rows), "order": "created_at"}
            if name == "payments":
                query["fields"] = "+payment_collection.order.id"
            page = client.get(path, params=query, timeout=60).json()
            rows += page[name]
            if len(rows) >= page["count"]:
                return rows


@pytest.mark.parametrize("page_limit", [3, 50])
def test_a_full_pull_equals_a_plain_listing(office: BackOffice, page_limit: int) -> None:
    config = {"connector": "medusa", "base_url": office.server.origin, "token": office.opened.key, "rate": "200/s"}
    connector = MedusaConnector("office", MedusaSettings.model_validate({**config, "page_limit": page_limit}))
    try:
        read = pull_all(connector, "orders")
        paid_for = {order_id for page in pull_all(connector, "payments").pages for order_id in page.seen_ids}
    finally:
        connector.close()
    listed = plain_listing(office, "/admin/orders", "orders")
    assert len(listed) > page_limit or page_limit == 50
    assert sorted(read.ids) == sorted(row["id"] for row in listed)
    assert read.unreadable == []
    told = {row["id"]: (row["status"], row["payment_status"], row["version"]) for row in listed}
    orders = [json.loads(raw.payload) for raw in read.orders]
    assert {o["id"]: (o["status"], o["payment_status"], o["version"]) for o in orders} == told
    payments = plain_listing(office, "/admin/payments", "payments")
    assert paid_for == {row["payment_collection"]["order"]["id"] for row in payments}


def test_the_store_holds_what_a_plain_listing_shows(shops: Street, office: BackOffice, tmp_path: Path) -> None:
    cli = shops.cli_of_its_own(tmp_path)
    assert cli.typed("pull", "--shop", "office").code == 0
    listed = plain_listing(office, "/admin/orders", "orders")
    stored = cli.ok("orders", "list", "--shop", "office", "--limit", "9999", "--json").json["orders"]
    assert {row["order_id"] for row in stored} == {row["id"] for row in listed}
    refunded = {row["order_id"]: row["refunded"]["amount_minor"] for row in stored if row["refunded"]}
    by_hand = {
        row["id"]: sum(round(one["amount"] * _units(row)) for one in office.refunds(row["id"]))
        for row in office.get("/admin/orders", limit=500, fields="+currency_code")["orders"]
        if row["payment_status"] in ("refunded", "partially_refunded")
    }
    assert {order_id: refunded[order_id] for order_id in by_hand} == by_hand
    assert cli.ok("holds", "list", "--json").json["holds"] == []


def _units(row: dict[str, Any]) -> int:
    return 1 if row["currency_code"] in ("krw", "jpy") else 100


def linked(shops: Street, office_order: str) -> str:
    """The order, linked to some SHOPLINE order, so that the sweep reads it."""
    other = shops.sale_at_asia()
    shops.read()
    shops.cli.ok("links", "add", f"asia:{other}", f"office:{office_order}")
    shops.read_past()
    return f"office:{office_order}"


def seen(shops: Street, ref: str, what: str) -> int:
    found: int = shops.cli.ok("orders", "show", ref, "--json").json["order"][what]["amount_minor"]
    return found


def test_a_partial_capture_is_found_by_the_sweep_alone(shops: Street, office: BackOffice) -> None:
    order_id = office.place("usd")
    ref = linked(shops, order_id)
    office.capture(order_id, 20)
    shops.read()
    assert seen(shops, ref, "captured") == 0
    shops.cli.ok("pull", "--sweep")
    assert seen(shops, ref, "captured") == 2000


def test_a_full_capture_is_found_by_the_payments_feed(shops: Street, office: BackOffice) -> None:
    order_id = office.place("usd", {"STK-1": 3})
    ref = linked(shops, order_id)
    office.capture(order_id)
    shops.read()
    assert seen(shops, ref, "captured") > 0


def test_a_refund_of_a_received_return_is_found_by_the_sweep_alone(shops: Street, office: BackOffice) -> None:
    order_id = office.place("usd", {"TEE-S": 1})
    office.capture(order_id)
    parcel = office.pack(order_id)
    office.ship(order_id, parcel, "TRK-R")
    office.deliver(order_id, parcel)
    office.receive_return(order_id, office.lines(order_id)[0]["id"])
    ref = linked(shops, order_id)
    before = office.order(order_id, "+updated_at,+summary")
    owed = -before["summary"]["pending_difference"]
    assert owed > 0
    assert office.refund(order_id, owed).status == 200
    assert office.order(order_id, "+updated_at")["updated_at"] == before["updated_at"]
    shops.read()
    assert seen(shops, ref, "refunded") == 0
    shops.cli.ok("pull", "--sweep")
    assert seen(shops, ref, "refunded") == round(owed * 100)


def test_a_refund_that_was_refused_is_found_by_the_sweep_alone(shops: Street, office: BackOffice) -> None:
    """By a person, while an order edit is open: 400, and yet it is there."""
    pair = shops.sale()
    office.begin_edit(pair.office)
    shops.read_past()
    assert office.refund(pair.office, 3).status == 400
    office.drop_edit(pair.office)
    shops.read()
    assert seen(shops, f"office:{pair.office}", "refunded") == 0
    shops.cli.ok("pull", "--sweep")
    assert seen(shops, f"office:{pair.office}", "refunded") == 300
    assert seen(shops, f"office:{pair.office}", "captured") == PRICE_MINOR
