"""What is recorded from a real Medusa and replayed anywhere: for each take the order it needs, and the calls.

`play` makes the same calls to the server and to its recording, and says what they must bring.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vcr
from ordersync_connectors.medusa import MedusaConnector
from ordersync_connectors.medusa.settings import MedusaSettings
from tests.contract.common import error_of, pull_all

from ordersync.connector import (
    CancelRequest,
    CaptureRequest,
    DeliverRequest,
    LineQuantity,
    PackRequest,
    RefundRequest,
    ShipRequest,
)
from ordersync.errors import NotFound, OrdersyncError, OutcomeUnknown, Refused
from ordersync.model import Money

FOLDER = Path(__file__).resolve().parents[1] / "cassettes" / "medusa"
IDS = FOLDER / "ids.json"
HOST = "https://medusa.example.com"
TOKEN = "os-abcdefgh"
KEY = "action-1"
_MATCH = ("method", "path", "query", "body")
_KEPT = ("content-type", "date")
Ids = dict[str, str]


def connector_at(base_url: str, token: str) -> MedusaConnector:
    config = {"connector": "medusa", "base_url": base_url, "token": token, "rate": "900/s", "page_limit": 6}
    return MedusaConnector("office", MedusaSettings.model_validate(config))


def cassette(name: str, record_mode: str) -> Any:
    """One take's recording: without credentials, cookies and the address it was made at."""
    return vcr.VCR(
        record_mode=record_mode,
        match_on=_MATCH,
        before_record_request=_scrub_request,
        before_record_response=_scrub_response,
        decode_compressed_response=True,
    ).use_cassette(str(FOLDER / f"{name}.yaml"))


def _scrub_request(request: Any) -> Any:
    path_and_query = "/" + request.uri.split("/", 3)[3]
    request.uri = HOST + path_and_query
    request.headers = {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
    return request


def _scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    headers: Mapping[str, Any] = response["headers"]
    response["headers"] = {name: value for name, value in headers.items() if name.lower() in _KEPT}
    return response


@dataclass(frozen=True)
class Take:
    needs: str
    """Which order: "seeded" for those of the whole shop, "placed", "paid" or "edited" for one of its own."""
    play: Callable[[MedusaConnector, Ids], None]


def order_of(connector: MedusaConnector, ids: Ids) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(connector.fetch(ids["order"]).payload)
    return order


def refunds_in(order: dict[str, Any]) -> list[tuple[float, str | None]]:
    return [
        (row["amount"], row["note"])
        for collection in order["payment_collections"]
        for payment in collection["payments"]
        for row in payment["refunds"]
    ]


def refund_of(ids: Ids, text: str, reason: str | None = None) -> RefundRequest:
    return RefundRequest(amount=Money.parse(text), payment_id=ids["payment"], token=TOKEN, reason=reason)


def _check(connector: MedusaConnector, ids: Ids) -> None:
    facts = connector.check()
    assert facts.orders is not None
    assert facts.orders >= 15
    assert facts.warnings == ()


def _orders(connector: MedusaConnector, ids: Ids) -> None:
    read = pull_all(connector, "orders")
    assert len(read.pages) > 2
    assert len(read.ids) == len(set(read.ids))
    assert set(ids.values()) <= set(read.ids)
    assert read.unreadable == []


def _payments(connector: MedusaConnector, ids: Ids) -> None:
    seen = {order_id for page in pull_all(connector, "payments").pages for order_id in page.seen_ids}
    assert set(ids.values()) - seen == {ids["mirrored"]}


def _orders_by_id(connector: MedusaConnector, ids: Ids) -> None:
    wanted = [ids[name] for name in ("part_captured", "part_refunded", "returned", "shipped")]
    found = connector.fetch_many([*wanted, "order_01KUNKNOWN000000000000000"])
    assert {raw.order_id for raw in found} == set(wanted)
    for order_id in wanted:
        assert connector.fetch(order_id).order_id == order_id
    missing = error_of(lambda: connector.fetch("order_01KUNKNOWN000000000000000"))
    assert isinstance(missing, NotFound)


def _refund(connector: MedusaConnector, ids: Ids) -> None:
    assert connector.blockers(ids["order"]) == []
    receipt = connector.refund(ids["order"], refund_of(ids, "5.00 USD", "damaged"), KEY)
    assert receipt.platform_ref is not None
    assert receipt.platform_ref.startswith("ref_")
    assert refunds_in(order_of(connector, ids)) == [(5, f"damaged {TOKEN}")]


def _refund_refused(connector: MedusaConnector, ids: Ids) -> None:
    error = error_of(lambda: connector.refund(ids["order"], refund_of(ids, "9999.00 USD"), KEY))
    assert (type(error), error.code) == (Refused, "invalid_data")
    assert refunds_in(order_of(connector, ids)) == []


def _refund_that_acted(connector: MedusaConnector, ids: Ids) -> None:
    """400, and the refund is there."""
    assert len(connector.blockers(ids["order"])) == 1
    doubt = error_of(lambda: connector.refund(ids["order"], refund_of(ids, "5.00 USD"), KEY))
    assert (type(doubt), doubt.code) == (OutcomeUnknown, "refused_after_acting")
    order = order_of(connector, ids)
    assert refunds_in(order) == [(5, TOKEN)]
    assert [row["reference"] for row in order["transactions"]] == ["capture"]


def _cancel(connector: MedusaConnector, ids: Ids) -> None:
    assert connector.cancel(ids["order"], CancelRequest(reason="changed mind"), KEY).status == "canceled"
    assert connector.cancel(ids["order"], CancelRequest(), KEY).already_done
    order = order_of(connector, ids)
    assert refunds_in(order) == [(order["payment_collections"][0]["captured_amount"], None)]


def _cancel_that_acted(connector: MedusaConnector, ids: Ids) -> None:
    """400, all money is paid back, and the order is still pending."""
    doubt = error_of(lambda: connector.cancel(ids["order"], CancelRequest(), KEY))
    assert isinstance(doubt, OutcomeUnknown)
    order = order_of(connector, ids)
    assert (order["status"], order["canceled_at"], len(refunds_in(order))) == ("pending", None, 1)


def _capture(connector: MedusaConnector, ids: Ids) -> None:
    part = CaptureRequest(payment_id=ids["payment"], amount=Money.parse("20.00 USD"))
    assert connector.capture(ids["order"], part, KEY).platform_ref == ids["payment"]
    whole = CaptureRequest(payment_id=ids["payment"])
    assert isinstance(error_of(lambda: connector.capture(ids["order"], whole, KEY)), Refused)
    order = order_of(connector, ids)
    assert order["payment_status"] == "partially_captured"


def _parcel(connector: MedusaConnector, ids: Ids) -> None:
    items = order_of(connector, ids)["items"]
    lines = tuple(LineQuantity(line_item_id=item["id"], quantity=item["quantity"]) for item in items)
    packed = connector.pack(ids["order"], PackRequest(lines=lines, token=TOKEN), KEY)
    assert packed.platform_ref is not None
    ship = ShipRequest(fulfillment_id=packed.platform_ref, lines=lines, tracking_number="TRK-1", token=TOKEN)
    assert [connector.ship(ids["order"], ship, KEY).already_done for _ in range(2)] == [False, True]
    deliver = DeliverRequest(fulfillment_id=packed.platform_ref)
    assert [connector.deliver(ids["order"], deliver, KEY).already_done for _ in range(2)] == [False, True]
    [parcel] = order_of(connector, ids)["fulfillments"]
    assert (parcel["metadata"], parcel["labels"][0]["tracking_number"]) == ({"ordersync": TOKEN}, "TRK-1")


def _complete(connector: MedusaConnector, ids: Ids) -> None:
    assert isinstance(error_of(lambda: connector.archive(ids["order"], KEY)), Refused)
    assert connector.complete(ids["order"], KEY).status == "completed"
    refused: OrdersyncError = error_of(lambda: connector.cancel(ids["order"], CancelRequest(), KEY))
    assert isinstance(refused, Refused)
    assert connector.archive(ids["order"], KEY).status == "archived"


TAKES = {
    "check": Take("seeded", _check),
    "pull_orders": Take("seeded", _orders),
    "pull_payments": Take("seeded", _payments),
    "fetch": Take("seeded", _orders_by_id),
    "refund": Take("paid", _refund),
    "refund_refused": Take("paid", _refund_refused),
    "refund_that_acted": Take("edited", _refund_that_acted),
    "cancel": Take("paid", _cancel),
    "cancel_that_acted": Take("edited", _cancel_that_acted),
    "capture": Take("placed", _capture),
    "parcel": Take("paid", _parcel),
    "complete_archive": Take("paid", _complete),
}
