"""The store the benchmark of plans builds is the one that reading, linking and planning the same orders leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from bench.million import NAMES, READ_AT, REFUNDED, SALES, Ids, SaleTemplate, build, read_templates, write
from bench.plan import change

from ordersync.bootstrap import build_shop
from ordersync.config import Config
from ordersync.connector import Feed, Page, RawOrder, ShopFacts, ShopSettings, Window
from ordersync.engine.linking import link_by_rules
from ordersync.engine.look import make_plan
from ordersync.engine.pull import pull
from ordersync.engine.shops import Shop
from ordersync.errors import NotFound
from ordersync.model.semantics import Semantics
from ordersync.store import Store
from ordersync.store.document import decompress

COUNT = 2 * SALES + 5
"""Every template at least twice, one batch not whole."""
TABLES = {
    "orders": "shop, order_id",
    "order_documents": "shop, order_id",
    "order_traits": "shop, order_id",
    "order_references": "shop, order_id, field",
    "links": "number",
    "link_members": "link, shop",
    "ledger": "link, position",
}


class Served:
    """Lists the payloads of the copies, a page at a time."""

    platform: ClassVar[str] = "served"
    version: ClassVar[str] = "1"
    Settings: ClassVar[type[ShopSettings]] = ShopSettings
    feeds: ClassVar[tuple[Feed, ...]] = (Feed(name="changed", catches="changes", complete=True),)
    semantics: ClassVar[Semantics] = Semantics(cancel_refunds="none", cancel_restocks="never")
    mapping: ClassVar[str] = "served"

    def __init__(self, shop: str, payloads: Mapping[str, str]) -> None:
        self.shop = shop
        self.orders = [
            RawOrder(order_id=order_id, payload=text.encode(), sent_at=READ_AT)
            for order_id, text in payloads.items()
        ]

    def check(self) -> ShopFacts:
        return ShopFacts(name=self.shop)

    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        start = int(cursor or 0)
        later = start + 30
        return Page(
            orders=tuple(self.orders[start:later]), next_cursor=str(later) if later < len(self.orders) else None
        )

    def fetch(self, order_id: str) -> RawOrder:
        raise NotFound("only listed", shop=self.shop, order=order_id)

    def close(self) -> None:
        return None


def served(config: Config, templates: Sequence[SaleTemplate], name: str) -> Shop:
    shop = build_shop(config, name)
    shop.connector.close()
    payloads: dict[str, str] = {}
    for sale in range(COUNT):
        ids = Ids(sale)
        for template in templates[sale % len(templates)].orders:
            if template.shop == name:
                payloads[ids.order_id[name]] = template.said(template.payload, ids)
    return replace(shop, connector=Served(name, payloads))


def contents(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row, payloads as text; a payload's digest is of the bytes as they came."""
    found: dict[str, list[dict[str, Any]]] = {}
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        for table, order in TABLES.items():
            query = f"SELECT * FROM {table} ORDER BY {order}"  # noqa: S608  # names of this file
            rows = [dict(row) for row in connection.execute(query)]
            for row in rows:
                if row.get("raw") is not None:
                    row["raw"] = decompress(row["raw"]).decode()
            found[table] = rows
        rules = connection.execute("SELECT value FROM meta WHERE key = 'rules_digest'").fetchall()
        found["rules"] = [dict(row) for row in rules]
    connection.close()
    return found


@pytest.mark.slow
def test_a_store_built_by_copying_is_the_one_the_real_road_leaves(tmp_path: Path) -> None:
    config, templates = read_templates(tmp_path)
    built, real = tmp_path / "built.db", tmp_path / "real.db"
    shops = {name: served(config, templates, name) for name in NAMES}
    with Store.open(f"sqlite:///{real}", now=READ_AT) as store:
        for shop in shops.values():
            report = pull(store, shop, read_from=None, now=READ_AT)
            assert (report.new, report.parked) == (COUNT, 0)
        assert len(link_by_rules(store, config.settings.to_rules(), READ_AT).made) == COUNT
        # What the connectors can do is part of the rules: the sandboxes' own decide, as in the benchmark.
        able = {name: build_shop(config, name, offline=True) for name in NAMES}
        plan = make_plan(store, able, config.settings.to_policy(), datetime.now(UTC))
        assert (plan.looked, plan.agree, plan.new_holds) == (COUNT, COUNT, [])
    Store.open(f"sqlite:///{built}", now=READ_AT).close()
    with sqlite3.connect(built) as connection:
        write(connection, templates, range(COUNT))
        template = sqlite3.connect(tmp_path / "template.db")
        rules = template.execute("SELECT key, value FROM meta WHERE key = 'rules_digest'").fetchone()
        template.close()
        connection.execute("INSERT INTO meta (key, value) VALUES (?, ?)", rules)
    connection.close()
    expected, found = contents(real), contents(built)
    assert expected["ledger"], "some sales were refunded, cancelled and shipped"
    for table, rows in expected.items():
        assert found[table] == rows, table


@pytest.mark.slow
def test_nothing_of_a_built_store_is_decided_again_and_of_a_changed_one_only_what_changed(tmp_path: Path) -> None:
    config = build(tmp_path, 10 * SALES)
    shops = {name: build_shop(config, name, offline=True) for name in NAMES}
    policy = config.settings.to_policy()
    with Store.open(config.store_url) as store:
        plan = make_plan(store, shops, policy, datetime.now(UTC))
        assert (plan.links, plan.looked, plan.decisions) == (10 * SALES, 0, [])
    change(config, 10 * SALES, 10)
    with Store.open(config.store_url) as store:
        plan = make_plan(store, shops, policy, datetime.now(UTC))
        assert (plan.links, plan.looked, plan.agree) == (10 * SALES, 10, 4)
        codes = sorted(hold.code for decision in plan.decisions for hold in decision.holds)
        kinds = sorted(action.kind.value for decision in plan.decisions for action in decision.actions)
        assert kinds == ["pack", "refund", "refund", "refund"]
        assert codes == ["differs_at_link", "money_not_back"]
        again = make_plan(store, shops, policy, datetime.now(UTC))
        assert again.looked == 6, "those that agree are settled, the others are decided again"


def test_the_templates_are_sales_to_which_things_happened(tmp_path: Path) -> None:
    _config, templates = read_templates(tmp_path)
    assert len(templates) == SALES
    kinds = {kind.value for template in templates for _shop, kind, _id, _row in template.rows}
    assert kinds == {"refund", "cancellation", "shipment"}
    assert [bool(template.rows) for template in templates[: REFUNDED[0] + 1]] == [False] * 4 + [True]
