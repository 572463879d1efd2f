"""Goods and progress through the real connectors: three sandbox shops on loopback, one sale on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ordersync.bootstrap import build_shop, open_store
from ordersync.cli.sandbox import SHOPS, make_sandbox
from ordersync.config import load_config
from ordersync.connector import CanShip, LineQuantity, RefundRequest, ShipRequest
from ordersync.engine.apply import Applier, ApplyReport
from ordersync.engine.observe import observe
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shop
from ordersync.model import ActionState, LinkOrigin, Money, Order, OrderRef, Progress
from ordersync.reconcile import KindPolicy, Policy
from ordersync.store import Store
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import Fault, SandboxServer
from ordersync.testing.story import BOOKS_ONLY, PROVIDERS

ANY = KindPolicy(sources="any", carry_after=timedelta(0))
POLICY = Policy(
    cancel=ANY, refund=ANY, fulfill=ANY, progress=KindPolicy(sources=("web",), carry_after=timedelta(0))
)
SALE = SaleSpec(
    number=1001,
    email="kim@example.com",
    currency="USD",
    lines=(SaleLine("MUG-01", "Mug", 2, 1250), SaleLine("TEE-M", "Tee", 1, 1795)),
    shipping_minor=0,
    placed_at=datetime(2026, 11, 1, 9, 0, tzinfo=UTC),
)
NAMES = ("asia", "office", "web")


@dataclass
class Street:
    store: Store
    shops: dict[str, Shop]
    sandboxes: dict[str, Any]
    log: SentLog
    limits: Any
    refs: dict[str, OrderRef] = field(default_factory=dict)

    def read(self) -> dict[str, Order]:
        return {name: observe(self.store, self.shops[name], ref.order_id) for name, ref in self.refs.items()}

    def apply(self) -> ApplyReport:
        self.read()
        return Applier(self.store, self.shops, POLICY, self.limits, self.log).run()

    def lines(self, name: str, **units: int) -> tuple[LineQuantity, ...]:
        """Units by sku, in the shop's own line ids."""
        order = self.store.order(self.refs[name])
        assert order is not None
        return tuple(
            LineQuantity(line_item_id=line.id, quantity=units[sku])
            for line in order.order.line_items or ()
            if (sku := (line.sku or "").replace("-", "_")) in units
        )

    def shipped(self) -> dict[str, int]:
        return {
            name: sum(
                sum(parcel[3].values()) for parcel in box.own_parcels() if parcel[2] in ("shipped", "delivered")
            )
            for name, box in self.sandboxes.items()
        }

    def refunds(self) -> dict[str, list[int]]:
        return {name: [row[2] for row in box.own_refunds() if row[2] > 0] for name, box in self.sandboxes.items()}

    def codes(self) -> set[str]:
        return {stored.hold.code for stored in self.store.holds()}


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    boxes = {spec.name: make_sandbox(spec, seed=1) for spec in SHOPS if spec.name in NAMES}
    servers = {name: SandboxServer(box).start() for name, box in boxes.items()}
    for name, box in boxes.items():
        box.add_sale(replace(SALE, provider=PROVIDERS[name]))
    settings = {
        "shops": {
            name: {**box.settings_for(servers[name]), "rate": "500/s", "books_only": BOOKS_ONLY[name]}
            for name, box in boxes.items()
        },
        "limits": {which: {"cancel": 10, "refund": 20, "refund_value": ["1000 USD"]} for which in ("run", "day")},
    }
    file = tmp_path / "ordersync.yaml"
    file.write_text(yaml.safe_dump(settings))
    config = load_config(file)
    store = open_store(config)
    shops = {name: build_shop(config, name) for name in NAMES}
    made = Street(store, shops, boxes, SentLog(tmp_path / "sent.log"), config.settings.to_limits())
    from ordersync.engine.pull import pull

    for name, shop in shops.items():
        pull(store, shop, read_from=datetime(2026, 1, 1, tzinfo=UTC), now=datetime.now(UTC))
        made.refs[name] = next(iter(store.orders(name))).order.ref
    store.add_link(made.refs.values(), LinkOrigin.HAND, None, datetime.now(UTC) + timedelta(days=0))
    while datetime.now(UTC) <= store.birth_at.replace(microsecond=0) + timedelta(seconds=1):
        continue
    made.apply()
    yield made
    for shop in shops.values():
        shop.connector.close()
    store.close()
    for server in servers.values():
        server.stop()


def test_a_parcel_shipped_in_one_shop_leaves_the_others_once_with_its_tracking(street: Street) -> None:
    asia = street.shops["asia"].connector
    assert isinstance(asia, CanShip)
    request = ShipRequest(lines=street.lines("asia", MUG_01=2, TEE_M=1), carrier="SF", tracking_number="SF99")
    asia.ship(street.refs["asia"].order_id, request, "by hand")
    report = street.apply()
    assert {r.state for r in report.results} == {ActionState.SEEN}
    assert street.shipped() == {"asia": 3, "office": 3, "web": 3}
    numbers = {name: [parcel[4] for parcel in box.own_parcels()] for name, box in street.sandboxes.items()}
    assert numbers == {"asia": ["SF99"], "office": ["SF99"], "web": ["SF99"]}
    assert street.apply().results == []
    assert street.codes() == set()


def test_two_partial_shipments_are_carried_one_after_the_other(street: Street) -> None:
    asia = street.shops["asia"].connector
    assert isinstance(asia, CanShip)
    order_id = street.refs["asia"].order_id
    asia.ship(order_id, ShipRequest(lines=street.lines("asia", MUG_01=1)), "one")
    street.apply()
    assert street.shipped() == {"asia": 1, "office": 1, "web": 1}
    asia.ship(order_id, ShipRequest(lines=street.lines("asia", MUG_01=1, TEE_M=1)), "two")
    street.apply()
    assert street.shipped() == {"asia": 3, "office": 3, "web": 3}
    assert street.apply().results == []


@pytest.mark.parametrize("kind", ["cut_after", "500_after"])
def test_a_parcel_whose_answer_never_came_is_found_and_not_made_again(street: Street, kind: Any) -> None:
    for name in ("office", "web"):
        street.sandboxes[name].add_fault(Fault(kind, method="POST", path=r"fulfillments|ship", times=1))
    asia = street.shops["asia"].connector
    assert isinstance(asia, CanShip)
    asia.ship(street.refs["asia"].order_id, ShipRequest(lines=street.lines("asia", MUG_01=2, TEE_M=1)), "by hand")
    street.apply()
    street.apply()
    assert street.shipped() == {"asia": 3, "office": 3, "web": 3}
    assert all(len(box.own_parcels()) == 1 for box in street.sandboxes.values())
    assert street.codes() == set()


def test_a_refund_by_line_items_is_carried_by_line_where_that_can_be_told(street: Street) -> None:
    asia = street.shops["asia"].connector
    before = street.read()["asia"]
    payment = (before.payments or ())[0]
    request = RefundRequest(
        amount=Money(amount_minor=1250, currency="USD"),
        lines=street.lines("asia", MUG_01=1),
        payment_id=payment.id,
        reason="one mug broken",
    )
    asia.refund(before.order_id, request, "by hand")  # type: ignore[attr-defined]  # SHOPLINE can refund
    street.apply()
    assert street.refunds() == {"asia": [1250], "office": [1250], "web": [1250]}
    after = street.read()
    web = (after["web"].refunds or ())[0]
    mug = next(line for line in after["web"].line_items or () if line.sku == "MUG-01")
    assert [(line.line_item_id, line.quantity) for line in web.lines] == [(mug.id, 1)]
    assert (after["office"].refunds or ())[0].lines == (), "Medusa takes amounts only"
    assert street.apply().results == []
    assert street.codes() == set()


def test_progress_moves_forwards_where_the_platform_has_the_step(street: Street) -> None:
    web = street.sandboxes["web"]
    order_id = street.refs["web"].order_id
    for step in ("processing", "completed"):
        web.state.move(order_id, step)
    street.apply()
    after = street.read()
    assert after["office"].progress is Progress.COMPLETED
    assert after["asia"].progress is Progress.PENDING, "SHOPLINE has no such step"
    assert street.codes() == set()
