"""The shops' own lists, read over HTTP as anybody with the key could, without ordersync's connectors or store."""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from ordersync.model import Money

_WAIT_S = 30
_PAGE = 100
_MEDUSA_FIELDS = (
    "id,display_id,status,+canceled_at,+currency_code,*items,*payment_collections,*payment_collections.payments,"
    "*payment_collections.payments.refunds,*payment_collections.payments.captures,*fulfillments,"
    "*fulfillments.items,*fulfillments.labels"
)


@dataclass(slots=True)
class ShownRefund:
    minor: int
    state: str
    """completed, pending or failed."""
    note: str


@dataclass(slots=True)
class ShownParcel:
    state: str
    """packed, shipped, delivered or cancelled."""
    units: Counter[str]
    tracking: str


@dataclass(slots=True)
class Shown:
    """One order as its shop lists it; refunds that moved no money are left out."""

    cancelled: bool
    completed: bool
    captured_minor: int
    refunds: dict[str, ShownRefund] = field(default_factory=dict)
    parcels: dict[str, ShownParcel] = field(default_factory=dict)

    @property
    def sent(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for parcel in self.parcels.values():
            if parcel.state in ("shipped", "delivered"):
                total.update(parcel.units)
        return total

    def refunded_minor(self) -> int:
        return sum(refund.minor for refund in self.refunds.values() if refund.state == "completed")


def read_list(platform: str, settings: Mapping[str, Any]) -> dict[str, Shown]:
    """Every order of a shop by its id. `settings` as the sandbox states them. Errors: OSError, ValueError."""
    rows = {"shopline": _shopline, "medusa": _medusa, "headless": _headless}[platform](settings)
    return dict(rows)


def _get(url: str, authorization: str) -> tuple[Any, str]:
    """The parsed answer and its Link header. Only the sandboxes' own loopback addresses are asked."""
    if not url.startswith("http://127.0.0.1:"):
        raise ValueError(f"{url} is not a sandbox")
    request = urllib.request.Request(url, headers={"Authorization": authorization})  # noqa: S310  # checked above
    with urllib.request.urlopen(request, timeout=_WAIT_S) as answer:  # noqa: S310  # checked above
        return json.loads(answer.read(), parse_float=Decimal), answer.headers.get("Link", "")


def _minor(major: Any, currency: str) -> int:
    return Money.from_major(Decimal(str(major)), currency).amount_minor


def _shopline(settings: Mapping[str, Any]) -> Iterator[tuple[str, Shown]]:
    """Archived orders are listed apart."""
    for hidden in ("false", "true"):
        query = urlencode({"limit": _PAGE, "hidden_order": hidden})
        url = f"{settings['base_url']}/orders.json?{query}"
        while url:
            body, link = _get(url, f"Bearer {settings['token']}")
            for order in body["orders"]:
                yield order["id"], _shopline_order(order)
            following = re.search(r'<([^>]+)>; rel="next"', link)
            url = following.group(1) if following else ""


def _shopline_order(order: Mapping[str, Any]) -> Shown:
    words = {"success": "completed", "pending": "pending", "failure": "failed", "error": "failed"}
    paid = [slip for slip in order["payment_details"] if slip["pay_status"] == "paid"]
    shown = Shown(
        cancelled=bool(order["cancelled_at"]),
        completed=False,
        captured_minor=sum(_minor(slip["settle_pay_amount"], slip["settle_currency"]) for slip in paid),
    )
    for record in order["refunds"]:
        for moved in record["transactions"]:
            minor = _minor(moved["amount"], moved["currency"])
            if minor:
                shown.refunds[record["id"]] = ShownRefund(minor, words[moved["status"]], record["note"] or "")
    skus = {line["id"]: line["sku"] for line in order["line_items"]}
    for parcel in order["fulfillments"]:
        units = Counter({skus[line["id"]]: line["fulfillment_quantity"] for line in parcel["line_items"]})
        state = "cancelled" if parcel["status"] == "cancelled" else "shipped"
        shown.parcels[parcel["id"]] = ShownParcel(state, units, parcel["tracking_number"] or "")
    return shown


def _medusa(settings: Mapping[str, Any]) -> Iterator[tuple[str, Shown]]:
    key = base64.b64encode(f"{settings['token']}:".encode()).decode()
    offset, count = 0, 1
    while offset < count:
        query = urlencode({"limit": _PAGE, "offset": offset, "order": "id", "fields": _MEDUSA_FIELDS})
        body, _link = _get(f"{settings['base_url']}/admin/orders?{query}", f"Basic {key}")
        for order in body["orders"]:
            yield order["id"], _medusa_order(order)
        offset, count = offset + _PAGE, body["count"]


def _medusa_order(order: Mapping[str, Any]) -> Shown:
    currency = order["currency_code"].upper()
    payments = [payment for part in order["payment_collections"] for payment in part["payments"]]
    shown = Shown(
        cancelled=bool(order["canceled_at"]),
        completed=order["status"] in ("completed", "archived"),
        captured_minor=sum(
            _minor(capture["amount"], currency) for payment in payments for capture in payment["captures"]
        ),
    )
    for payment in payments:
        for record in payment["refunds"]:
            shown.refunds[record["id"]] = ShownRefund(
                _minor(record["amount"], currency), "completed", record["note"] or ""
            )
    skus = {item["id"]: item["variant_sku"] for item in order["items"]}
    for parcel in order["fulfillments"]:
        marks = (("cancelled", "canceled_at"), ("delivered", "delivered_at"), ("shipped", "shipped_at"))
        state = next((word for word, mark in marks if parcel[mark]), "packed")
        units = Counter({skus[line["line_item_id"]]: int(line["quantity"]) for line in parcel["items"]})
        tracking = next((label["tracking_number"] for label in parcel["labels"]), "")
        shown.parcels[parcel["id"]] = ShownParcel(state, units, tracking)
    return shown


def _headless(settings: Mapping[str, Any]) -> Iterator[tuple[str, Shown]]:
    after: str | None = None
    while True:
        query = urlencode({"limit": _PAGE, **({"starting_after": after} if after else {})})
        body, _link = _get(f"{settings['base_url']}/admin/orders?{query}", f"Bearer {settings['api_key']}")
        for order in body["data"]:
            yield order["id"], _headless_order(order)
        if not body["has_more"]:
            return
        after = body["next_cursor"]


def _headless_order(order: Mapping[str, Any]) -> Shown:
    paid = [payment for payment in order["payments"] if payment["status"] in ("completed", "refunded")]
    shown = Shown(
        cancelled=order["status"] == "cancelled",
        completed=order["status"] == "completed",
        captured_minor=sum(payment["amount"]["amount"] for payment in paid),
    )
    for record in order["refunds"]:
        shown.refunds[record["id"]] = ShownRefund(
            record["amount"]["amount"], record["status"], record["reason"] or ""
        )
    skus = {line["id"]: line["sku"] for line in order["lines"]}
    words = {"pending": "packed"}
    for parcel in order["fulfillments"]:
        units = Counter({skus[line["order_line_id"]]: line["quantity"] for line in parcel["lines"]})
        state = words.get(parcel["status"], parcel["status"])
        shown.parcels[parcel["id"]] = ShownParcel(state, units, parcel["tracking_number"] or "")
    return shown


Lists = Mapping[str, Mapping[str, Shown]]
"""By shop, then by order id."""
