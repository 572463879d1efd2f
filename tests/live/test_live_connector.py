"""The Medusa connector on the real server and on the sandbox: the same calls, the same receipts and errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from ordersync_connectors.medusa import MedusaConnector, sandbox_seed
from ordersync_connectors.medusa.sandbox import PUBLISHABLE_KEY, SECRET_KEY, MedusaSandbox
from ordersync_connectors.medusa.settings import MedusaSettings
from tests.contract.common import error_of, pull_all
from tests.live.back_office import BackOffice, Staff

from ordersync.connector import (
    CancelRequest,
    CaptureRequest,
    DeliverRequest,
    LineQuantity,
    PackRequest,
    Receipt,
    RefundRequest,
    ShipRequest,
)
from ordersync.errors import NotFound, OutcomeUnknown, Refused, Unauthorized
from ordersync.model import Money
from ordersync.testing.sandbox import SandboxServer

KEY = "action-1"
TOKEN = "os-abcdefgh"


@dataclass
class Bench:
    staff: Staff
    place: Callable[[], str]
    """A buyer's order, USD, two of one thing and one of another; authorised."""
    connect: Callable[..., MedusaConnector]
    connector: MedusaConnector

    def paid(self) -> str:
        order_id = self.place()
        self.staff.capture(order_id)
        return order_id

    def refund(self, order_id: str, text: str, reason: str | None = None) -> RefundRequest:
        payment = self.staff.payment(order_id)
        return RefundRequest(amount=Money.parse(text), payment_id=payment, token=TOKEN, reason=reason)

    def order(self, order_id: str) -> dict[str, Any]:
        order: dict[str, Any] = json.loads(self.connector.fetch(order_id).payload)
        return order

    def lines(self, order_id: str) -> tuple[LineQuantity, ...]:
        rows = self.staff.lines(order_id)
        return tuple(LineQuantity(line_item_id=row["id"], quantity=row["quantity"]) for row in rows)


@pytest.fixture(scope="module", params=["sandbox", "real"])
def bench(request: pytest.FixtureRequest, office: BackOffice) -> Iterator[Bench]:
    goods = {"TEE-S": 2, "HOOD-L": 1}
    sandbox = MedusaSandbox()
    with SandboxServer(sandbox) as server:
        if request.param == "real":
            origin, key, location = office.server.origin, office.opened.key, office.opened.location

            def place() -> str:
                return office.place("usd", goods)
        else:
            origin, key, location = server.origin, SECRET_KEY, "sloc_01SANDBOXWAREHOUSE0000000"

            def place() -> str:
                with sandbox.lock:
                    return sandbox_seed.place(sandbox.state, "usd", goods).id

        made: list[MedusaConnector] = []

        def connect(**settings: Any) -> MedusaConnector:
            config = {"connector": "medusa", "base_url": origin, "token": key, "rate": "900/s", **settings}
            made.append(MedusaConnector("office", MedusaSettings.model_validate(config)))
            return made[-1]

        staff = Staff(origin, "Basic " + base64.b64encode(f"{key}:".encode()).decode())
        staff.location = location
        yield Bench(staff, place, connect, connect())
        staff.close()
        for one in made:
            one.close()


def test_check_counts_orders_and_knows_the_providers(bench: Bench) -> None:
    bench.place()
    facts = bench.connector.check()
    assert facts.orders is not None
    assert facts.orders >= 1
    assert (abs(facts.clock_skew_s or 0) < 5, facts.warnings) == (True, ())
    [warning] = bench.connect(books_only=["pp_stripe_stripe"]).check().warnings
    assert "pp_system_default" in warning


@pytest.mark.parametrize("wrong", [PUBLISHABLE_KEY.replace("pk_", "sk_"), "sk_" + "00" * 32])
def test_a_wrong_key_is_unauthorized(bench: Bench, wrong: str) -> None:
    assert isinstance(error_of(lambda: bench.connect(token=wrong).check(), wrong), Unauthorized)


def test_a_fetched_order_is_the_listed_one(bench: Bench) -> None:
    order_id = bench.paid()
    fetched = bench.order(order_id)
    [many] = bench.connector.fetch_many([order_id, "order_01KUNKNOWN000000000000000"])
    listed = next(raw for raw in pull_all(bench.connector, "orders").orders if raw.order_id == order_id)
    for row in (many, listed):
        other = json.loads(row.payload)
        for order in (fetched, other):
            for item in order["items"]:
                item.pop("variant", None)
        assert _sorted(other) == _sorted(fetched)


def _sorted(value: Any) -> Any:
    """Arrays have no promised order."""
    if isinstance(value, dict):
        return {name: _sorted(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def test_unknown_records_are_not_found(bench: Bench) -> None:
    assert isinstance(error_of(lambda: bench.connector.fetch("order_01KUNKNOWN000000000000000")), NotFound)
    assert isinstance(error_of(lambda: bench.connector.payment("pay_01KUNKNOWN000000000000000")), NotFound)


def test_a_refund_brings_back_its_id_and_our_token(bench: Bench) -> None:
    order_id = bench.paid()
    first = bench.connector.refund(order_id, bench.refund(order_id, "5.00 USD", "damaged"), KEY)
    second = bench.connector.refund(order_id, bench.refund(order_id, "5.00 USD"), KEY)
    records = {row["id"]: (row["amount"], row["note"]) for row in bench.staff.refunds(order_id)}
    assert records == {first.platform_ref: (5, f"damaged {TOKEN}"), second.platform_ref: (5, TOKEN)}
    order = bench.order(order_id)
    assert order["payment_status"] == "partially_refunded"
    assert {line["reference"] for line in order["credit_lines"]} == {"payment_collection"}
    assert order["summary"]["credit_line_total"] == 5


def test_more_than_is_there_is_refused_and_proven_not_done(bench: Bench) -> None:
    order_id = bench.place()
    assert isinstance(
        error_of(lambda: bench.connector.refund(order_id, bench.refund(order_id, "1.00 USD"), KEY)), Refused
    )
    bench.staff.capture(order_id)
    error = error_of(lambda: bench.connector.refund(order_id, bench.refund(order_id, "9999.00 USD"), KEY))
    assert (type(error), error.code) == (Refused, "invalid_data")
    assert bench.staff.refunds(order_id) == []


def test_an_open_edit_is_a_blocker_and_a_refund_under_it_is_doubt(bench: Bench) -> None:
    order_id = bench.paid()
    assert bench.connector.blockers(order_id) == []
    bench.staff.begin_edit(order_id)
    [said] = bench.connector.blockers(order_id)
    assert said.startswith("edit ordch_")
    error = error_of(lambda: bench.connector.refund(order_id, bench.refund(order_id, "5.00 USD"), KEY))
    assert (type(error), error.code) == (OutcomeUnknown, "refused_after_acting")
    assert [row["note"] for row in bench.staff.refunds(order_id)] == [TOKEN]
    error = error_of(lambda: bench.connector.cancel(order_id, CancelRequest(), KEY))
    assert isinstance(error, OutcomeUnknown)
    assert len(bench.staff.refunds(order_id)) == 2
    bench.staff.drop_edit(order_id)
    assert bench.connector.blockers(order_id) == []
    assert bench.connector.cancel(order_id, CancelRequest(), KEY).status == "canceled"
    assert len(bench.staff.refunds(order_id)) == 2


def test_a_cancel_pays_back_the_rest_and_a_second_one_is_already_done(bench: Bench) -> None:
    order_id = bench.paid()
    assert bench.connector.cancel(order_id, CancelRequest(reason="changed mind"), KEY).status == "canceled"
    assert bench.connector.cancel(order_id, CancelRequest(), KEY).already_done
    order = bench.order(order_id)
    assert order["canceled_at"] is not None
    [record] = bench.staff.refunds(order_id)
    assert (record["note"], record["amount"]) == (None, order["payment_collections"][0]["captured_amount"])


def test_a_capture_takes_a_part_and_then_the_rest(bench: Bench) -> None:
    order_id = bench.place()
    payment = bench.staff.payment(order_id)
    part = CaptureRequest(payment_id=payment, amount=Money.parse("20.00 USD"))
    assert bench.connector.capture(order_id, part, KEY).platform_ref == payment
    assert isinstance(
        error_of(lambda: bench.connector.capture(order_id, CaptureRequest(payment_id=payment), KEY)), Refused
    )
    assert bench.order(order_id)["payment_collections"][0]["captured_amount"] == 20
    other = bench.place()
    whole = CaptureRequest(payment_id=bench.staff.payment(other))
    for _ in range(2):
        bench.connector.capture(other, whole, KEY)
    assert len(bench.order(other)["payment_collections"][0]["payments"][0]["captures"]) == 1


def test_complete_then_archive(bench: Bench) -> None:
    order_id = bench.paid()
    assert isinstance(error_of(lambda: bench.connector.archive(order_id, KEY)), Refused)
    assert bench.connector.complete(order_id, KEY).status == "completed"
    assert isinstance(error_of(lambda: bench.connector.cancel(order_id, CancelRequest(), KEY)), Refused)
    assert bench.connector.archive(order_id, KEY).status == "archived"


def test_a_parcel_is_packed_shipped_and_delivered_and_each_again_is_already_done(bench: Bench) -> None:
    order_id = bench.paid()
    lines = bench.lines(order_id)
    packed = bench.connector.pack(order_id, PackRequest(lines=lines, token=TOKEN), KEY)
    assert packed.platform_ref is not None
    assert isinstance(error_of(lambda: bench.connector.cancel(order_id, CancelRequest(), KEY)), Refused)
    assert isinstance(error_of(lambda: bench.connector.pack(order_id, PackRequest(lines=lines), KEY)), Refused)
    ship = ShipRequest(fulfillment_id=packed.platform_ref, lines=lines, tracking_number="TRK-1", token=TOKEN)
    deliver = DeliverRequest(fulfillment_id=packed.platform_ref)
    for again in (False, True):
        shipped = bench.connector.ship(order_id, ship, KEY)
        assert (shipped.platform_ref, shipped.already_done) == (packed.platform_ref, again)
    for again in (False, True):
        delivered = bench.connector.deliver(order_id, deliver, KEY)
        assert (delivered.status, delivered.already_done) == ("delivered", again)
    [parcel] = bench.order(order_id)["fulfillments"]
    assert parcel["metadata"] == {"ordersync": TOKEN}
    assert [label["tracking_number"] for label in parcel["labels"]] == ["TRK-1"]


def test_parcels_under_an_open_edit_do_not_move(bench: Bench) -> None:
    order_id = bench.paid()
    lines = bench.lines(order_id)
    packed = bench.connector.pack(order_id, PackRequest(lines=lines, token=TOKEN), KEY)
    assert packed.platform_ref is not None
    parcel_id = packed.platform_ref
    bench.staff.begin_edit(order_id)
    ship = ShipRequest(fulfillment_id=parcel_id, lines=lines, tracking_number="TRK-1")
    deliver = DeliverRequest(fulfillment_id=parcel_id)
    calls: tuple[Callable[[], Receipt], ...] = (
        lambda: bench.connector.ship(order_id, ship, KEY),
        lambda: bench.connector.deliver(order_id, deliver, KEY),
    )
    for call in calls:
        error = error_of(call)
        assert isinstance(error, Refused)
        assert "existing active order change" in error.message
    [parcel] = bench.order(order_id)["fulfillments"]
    assert (parcel["shipped_at"], parcel["delivered_at"], parcel["labels"]) == (None, None, [])
