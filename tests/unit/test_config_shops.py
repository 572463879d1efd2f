"""From settings to a shop: what it may do, how its payloads are read, and where its parts are found."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ordersync.bootstrap import (
    allowed,
    build_shop,
    mapping_folder,
    mapping_version,
    mappings_of,
    open_store,
    profile_of,
    sandbox_of,
)
from ordersync.config import Config, load_config
from ordersync.connector import RawOrder, ShopSettings
from ordersync.errors import ConfigError, MappingError
from ordersync.mapping import Profile

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ORDER = {
    "id": "ord_1",
    "number": 1,
    "status": "confirmed",
    "payment_status": "paid",
    "fulfillment_status": "unfulfilled",
    "total": {"amount": 1000, "currency": "USD"},
    "refunded_total": {"amount": 0, "currency": "USD"},
    "lines": [],
    "payments": [
        {
            "id": "pay_1",
            "provider": "manual",
            "status": "completed",
            "amount": {"amount": 1000, "currency": "USD"},
            "created_at": "2026-11-01T10:00:00Z",
        }
    ],
    "fulfillments": [],
    "refunds": [],
    "created_at": "2026-11-01T10:00:00Z",
}


def config(tmp_path: Path, more: str = "", shop: str = "") -> Config:
    path = tmp_path / "ordersync.yaml"
    path.write_text(f"{more}shops:\n  web: {{connector: headless, api_key: sk_test_1{shop}}}\n")
    return load_config(path, {})


def raw(order: dict[str, object]) -> RawOrder:
    return RawOrder(order_id="ord_1", payload=json.dumps(order).encode(), sent_at=NOW)


def test_allow_takes_writes_away_and_leaves_reads() -> None:
    can = frozenset({"cancel", "refund", "complete", "archive", "fetch_many", "lookup"})
    assert allowed(can, ShopSettings(connector="x")) == can
    assert allowed(can, ShopSettings(connector="x", allow=())) == {"fetch_many", "lookup"}
    assert allowed(can, ShopSettings(connector="x", allow=("refund", "progress"))) == {
        *("refund", "complete", "fetch_many", "lookup")
    }


def test_a_shop_is_built_without_any_network(tmp_path: Path) -> None:
    shop = build_shop(config(tmp_path), "web")
    try:
        assert {"cancel", "refund", "lookup"} <= shop.capabilities
        assert shop.semantics == shop.connector.semantics
        assert shop.mapping_version
    finally:
        shop.connector.close()


def test_books_only_of_the_configuration_decides_the_purse(tmp_path: Path) -> None:
    for setting, purse in (("", "gateway"), (", books_only: [manual]", "books")):
        shop = build_shop(config(tmp_path, shop=setting), "web")
        shop.connector.close()
        found = shop.normalise(raw(ORDER))
        assert found.order.payments is not None
        assert found.order.payments[0].purse == purse
        assert found.order.shop == "web"


def test_what_cannot_be_read_as_json_has_no_scrubbed_payload(tmp_path: Path) -> None:
    shop = build_shop(config(tmp_path), "web")
    shop.connector.close()
    broken = RawOrder(order_id="ord_1", payload=b'{"id": "ord', sent_at=NOW)
    with pytest.raises(MappingError):
        shop.normalise(broken)
    assert shop.scrub(broken) is None
    assert json.loads(shop.scrub(raw(ORDER)) or b"") == ORDER


def test_the_mapping_version_moves_with_whatever_changes_the_order() -> None:
    package = "ordersync_connectors.headless"
    base = mapping_version("a: 1", package, Profile(shop="web"))
    assert base == mapping_version("a: 1", package, Profile(shop="web"))
    others = {
        mapping_version("a: 2", package, Profile(shop="web")),
        mapping_version("a: 1", "ordersync_connectors.shopline", Profile(shop="web")),
        mapping_version("a: 1", package, Profile(shop="web", books_only=frozenset({"manual"}))),
        mapping_version("a: 1", package, Profile(shop="web", exponents={"TWD": 0})),
    }
    assert base not in others
    assert len(others) == 4


def test_a_mapping_folder_replaces_the_shipped_file(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with_folder = config(tmp_path, "mappings: mine\n")
    assert mapping_folder(with_folder) == folder
    (folder / "headless.yaml").write_text("platform: headless\n")
    with pytest.raises(ConfigError, match=r"headless\.yaml"):
        build_shop(with_folder, "web")
    folder.joinpath("headless.yaml").unlink()
    build_shop(with_folder, "web").connector.close()


def test_a_missing_mapping_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        mapping_folder(config(tmp_path, "mappings: nowhere\n"))


def test_one_platform_may_bring_several_dialects() -> None:
    assert [mapping.file for mapping in mappings_of("headless")] == ["headless.yaml"]
    assert [mapping.file for mapping in mappings_of("medusa")] == ["medusa.yaml", "medusa_style.yaml"]


@pytest.mark.parametrize("name", ["headless", "shopline", "medusa"])
def test_every_shipped_connector_brings_its_sandbox(name: str) -> None:
    assert sandbox_of(name).platform == name


def test_a_profile_holds_what_the_shop_settings_say() -> None:
    settings = ShopSettings(connector="x", books_only=("COD",), exponents={"TWD": 0})
    assert profile_of("asia", settings) == Profile("asia", frozenset({"COD"}), {"TWD": 0})


def test_the_store_lies_beside_the_configuration(tmp_path: Path) -> None:
    store = open_store(config(tmp_path))
    store.close()
    assert (tmp_path / "ordersync.db").exists()
