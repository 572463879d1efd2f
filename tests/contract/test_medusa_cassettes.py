"""The Medusa connector on what a real 2.21.2 server answered: tests/cassettes/medusa, replayed without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ordersync_connectors.medusa import MedusaConnector, shape
from tests.contract.common import pull_all
from tests.contract.medusa_takes import FOLDER, HOST, IDS, TAKES, cassette, connector_at

from ordersync.mapping import Profile, decode, load_mapping

RECORDINGS = sorted(FOLDER.glob("*.yaml"))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def connector() -> Iterator[MedusaConnector]:
    made = connector_at(HOST, "sk_" + "00" * 32)
    yield made
    made.close()


def ids_of(name: str) -> dict[str, str]:
    ids: dict[str, str] = json.loads(IDS.read_text())[name]
    return ids


@pytest.mark.parametrize("name", TAKES)
def test_a_take_plays_as_it_did_on_the_server(connector: MedusaConnector, name: str) -> None:
    with cassette(name, "none") as played:
        TAKES[name].play(connector, ids_of(name))
    assert played.all_played, "fewer requests were made than the server was asked"


def test_a_request_that_was_not_recorded_is_not_answered(connector: MedusaConnector) -> None:
    ids = {**ids_of("refund"), "payment": "pay_01KANOTHER0000000000000000"}
    with cassette("refund", "none"), pytest.raises(Exception, match="no recorded interaction"):
        TAKES["refund"].play(connector, ids)


def test_recorded_orders_mean_what_happened_to_them(connector: MedusaConnector) -> None:
    """Captured and refunded in minor units, and the state of parcels, of every seeded order of the recorded list."""
    text = (ROOT / "mappings" / "medusa.yaml").read_text(encoding="utf-8")
    mapping = load_mapping(text, "medusa", lambda wanted: getattr(shape, wanted))
    with cassette("pull_orders", "none"):
        raws = {raw.order_id: decode(raw.payload) for raw in pull_all(connector, "orders").orders}
    profile = Profile("office", frozenset({"pp_system_default"}))
    orders = {name: mapping.normalise(raws[order_id], profile) for name, order_id in ids_of("pull_orders").items()}
    assert [name for name, order in orders.items() if mapping.unmapped(raws[order.ref.order_id])] == []
    money = {
        name: (order.currency, _minor(order.captured), _minor(order.refunded)) for name, order in orders.items()
    }
    assert money["part_captured"] == ("EUR", 2000, 0)
    assert money["part_refunded"][0] == "EUR"
    assert money["part_refunded"][2] == 500
    assert money["refunded"][1] == money["refunded"][2] > 0
    assert money["cancelled_captured"][1] == money["cancelled_captured"][2] > 0
    assert money["cancelled_authorised"][1:] == money["placed"][1:] == money["mirrored"][1:] == (0, 0)
    assert {name for name, order in orders.items() if order.is_cancelled} == {
        "cancelled_authorised",
        "cancelled_captured",
    }
    assert {name for name, order in orders.items() if order.archived} == {"archived"}
    parcels = {name: sorted(p.status.value for p in order.fulfillments or ()) for name, order in orders.items()}
    assert parcels["packed"] == ["packed"]
    assert parcels["shipped"] == ["shipped"]
    assert parcels["delivered"] == parcels["returned"] == parcels["open_return"] == ["delivered"]


def _minor(amount: Any) -> int:
    return 0 if amount is None else int(amount.amount_minor)


def test_there_is_a_recording_of_every_take_and_no_other() -> None:
    assert [path.stem for path in RECORDINGS] == sorted(TAKES)
    assert sorted(json.loads(IDS.read_text())) == sorted(TAKES)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings_hold_no_secret_no_cookie_no_person_and_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    secrets = (r"[sp]k_[0-9a-f]{16}", r"eyJ[\w-]{10}")
    places = (r"127\.0\.0\.1", "localhost", r"[ '\"](/tmp|/home|/root)/")
    for wrong in (*secrets, *places):
        assert not re.search(wrong, text), wrong
    assert set(re.findall(r"[\w.+-]+@[\w.-]+", text)) <= {"buyer@example.com"}
    for interaction in yaml.safe_load(text)["interactions"]:
        headers = {name.lower() for part in ("request", "response") for name in interaction[part]["headers"]}
        assert headers <= {"content-type", "date"}
        assert interaction["request"]["uri"].startswith(f"{HOST}/admin/")
