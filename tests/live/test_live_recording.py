"""Writes tests/cassettes/medusa anew, when asked to: make live LIVE=--record.

Alone, on a server that has just been seeded: the lists then hold the seeded orders and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from ordersync_connectors.medusa import MedusaConnector
from tests.contract.medusa_takes import FOLDER, IDS, TAKES, Ids, cassette, connector_at
from tests.live.back_office import BackOffice
from tests.live.state import RECORD, Live


@pytest.fixture
def connector(office: BackOffice) -> Iterator[MedusaConnector]:
    made = connector_at(office.server.origin, office.opened.key)
    yield made
    made.close()


def _ids(needs: str, office: BackOffice, live: Live) -> Ids:
    if needs == "seeded":
        return dict(live.seeded)
    order_id = office.place("usd", {"TEE-S": 2})
    if needs in ("paid", "edited"):
        office.capture(order_id)
    if needs == "edited":
        office.begin_edit(order_id)
    return {"order": order_id, "payment": office.payment(order_id)}


@pytest.mark.skipif(RECORD not in os.environ, reason="recordings are only written by: make live LIVE=--record")
def test_every_take_is_recorded(connector: MedusaConnector, office: BackOffice, live: Live) -> None:
    for old in FOLDER.glob("*.yaml"):
        old.unlink()
    told: dict[str, Ids] = {}
    for name, take in TAKES.items():
        told[name] = _ids(take.needs, office, live)
        with cassette(name, "once"):
            take.play(connector, told[name])
    IDS.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
