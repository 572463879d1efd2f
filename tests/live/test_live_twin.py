"""The Medusa sandbox beside the real server: the same calls on the same order, and every answer is the same.

Where they differ the sandbox is wrong. Each story is told to both; statuses, bodies, the order as ordersync reads it,
its payments and its order changes are compared after every step.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ordersync_connectors.medusa import sandbox_seed
from ordersync_connectors.medusa.rows import ORDER_FIELDS, PAYMENT_FIELDS
from ordersync_connectors.medusa.sandbox import SECRET_KEY, MedusaSandbox
from tests.live.back_office import BackOffice, Said, Staff
from tests.live.likeness import differences, plain

from ordersync.testing.sandbox import SandboxServer

NATURAL = re.compile(
    "|".join(
        (
            r"\.(city|province|phone|postal_code|customer|sales_channel)\b",  # where and who the buyer is
            r"\.(product|variant|thumbnail|product_\w+|variant_\w+|subtitle|title|tax_rate_id)\b",  # the catalogue
            r"\.tax_lines\[\d+\]\.(description|code|provider_id)",
            r"\.fulfillments\[\d+\]\.(shipping_option|delivery_address|provider)",
        )
    )
)


class Teller:
    """One server's part of a story: asks, and remembers every answer and what the order became."""

    def __init__(self, staff: Staff, order_id: str) -> None:
        self.staff = staff
        self.order_id = order_id
        self.payment_id = staff.payment(order_id)
        self.total = float(staff.order(order_id, "+total")["total"])
        self.told: list[tuple[str, Any]] = []
        self._look("placed")

    def ask(self, method: str, path: str, body: Any = None) -> Said:
        said = self.staff.ask(method, path, body)
        self.told.append((f"{method} {plain(path)}", plain({"status": said.status, "body": said.body})))
        self._look(f"after {plain(path)}")
        return said

    def _look(self, when: str) -> None:
        path = f"/admin/orders/{self.order_id}"
        for name, query in (
            (path, {"fields": ORDER_FIELDS}),
            (f"{path}/changes", {}),
            (f"/admin/payments/{self.payment_id}", {"fields": PAYMENT_FIELDS}),
        ):
            said = self.staff.ask("GET", name, **query)
            self.told.append((f"{when}: {name.split('/')[2]}", plain({"status": said.status, "body": said.body})))

    # The calls of the stories.

    def capture(self, amount: float | None = None) -> None:
        self.ask(
            "POST", f"/admin/payments/{self.payment_id}/capture", {} if amount is None else {"amount": amount}
        )

    def refund(self, amount: float | None, **more: Any) -> None:
        body = more if amount is None else {"amount": amount, **more}
        self.ask("POST", f"/admin/payments/{self.payment_id}/refund", body)

    def step(self, verb: str) -> None:
        self.ask("POST", f"/admin/orders/{self.order_id}/{verb}", {})

    def edit(self) -> None:
        self.ask("POST", "/admin/order-edits", {"order_id": self.order_id})

    def drop(self) -> None:
        self.ask("DELETE", f"/admin/order-edits/{self.order_id}")

    def items(self, count: int | None = None) -> list[dict[str, Any]]:
        rows = self.staff.order(self.order_id, "*items")["items"]
        rows.sort(key=lambda row: str(row["variant_sku"]))
        return [{"id": row["id"], "quantity": row["quantity"]} for row in rows[:count]]

    def pack(self, count: int | None = None, **more: Any) -> str:
        before = self._parcels()
        body = {"items": self.items(count), "location_id": self.staff.location, **more}
        self.ask("POST", f"/admin/orders/{self.order_id}/fulfillments", body)
        return next(iter(self._parcels() - before), "ful_01KUNKNOWN0000000000000000")

    def _parcels(self) -> set[str]:
        return {row["id"] for row in self.staff.order(self.order_id, "*fulfillments")["fulfillments"]}

    def send(self, parcel: str, verb: str, body: Any) -> None:
        self.ask("POST", f"/admin/orders/{self.order_id}/fulfillments/{parcel}/{verb}", body)

    def ship(self, parcel: str, count: int | None = None) -> None:
        label = {"tracking_number": "TRK-1", "tracking_url": "", "label_url": "#"}
        body = {"items": self.items(count), "labels": [label], "no_notification": True}
        self.send(parcel, "shipments", body)


def _captured(one: Teller) -> None:
    one.capture()
    one.capture()


def _captured_in_parts(one: Teller) -> None:
    one.capture(20)
    one.capture()
    one.refund(5)
    one.capture(round(one.total - 20, 6))


def _refunded_in_parts(one: Teller) -> None:
    one.refund(1)
    one.capture()
    one.refund(5, note="first os-aaaaaaaa")
    one.refund(5, note="first os-aaaaaaaa")
    one.refund(None)
    one.refund(one.total)
    one.refund(round(one.total - 10, 6))
    one.refund(0.01)


def _wrongly_refunded(one: Teller) -> None:
    one.capture()
    one.refund(5, refund_reason_id="refr_01UNKNOWN000000000000000")
    one.refund(-1)
    one.refund(5, amounts=1)
    one.ask("POST", f"/admin/payments/{one.payment_id}/refund", {"amount": "5"})
    one.ask("POST", "/admin/payments/pay_01UNKNOWN0000000000000000/refund", {"amount": 5})


def _cancelled_unpaid(one: Teller) -> None:
    one.step("cancel")
    one.step("cancel")
    one.capture()
    one.step("complete")
    one.step("archive")


def _cancelled_paid(one: Teller) -> None:
    one.capture()
    one.refund(5, note="os-aaaaaaaa")
    one.step("cancel")
    one.step("archive")
    one.step("complete")


def _cancelled_refunded(one: Teller) -> None:
    one.capture()
    one.refund(one.total, note="os-aaaaaaaa")
    one.step("cancel")


def _cancelled_partly_captured(one: Teller) -> None:
    one.capture(20)
    one.step("cancel")


def _completed(one: Teller) -> None:
    one.step("archive")
    one.step("complete")
    one.step("complete")
    one.step("cancel")
    one.step("archive")
    one.step("archive")


def _edited(one: Teller) -> None:
    one.capture()
    one.edit()
    one.edit()
    one.refund(5, note="os-aaaaaaaa")
    one.pack()
    one.drop()
    one.refund(5, note="os-bbbbbbbb")


def _edited_and_cancelled(one: Teller) -> None:
    one.capture()
    one.edit()
    one.step("cancel")
    one.drop()
    one.step("cancel")


def _edited_and_voided(one: Teller) -> None:
    one.edit()
    one.step("cancel")
    one.drop()
    one.step("cancel")


def _sent(one: Teller) -> None:
    one.capture()
    first = one.pack(1, metadata={"ordersync": "os-aaaaaaaa"}, no_notification=True)
    one.step("cancel")
    one.ship(first, 1)
    one.ship(first, 1)
    one.send(first, "cancel", {})
    one.pack()
    one.send(first, "mark-as-delivered", {})
    one.send(first, "mark-as-delivered", {})


def _parcel_cancelled(one: Teller) -> None:
    one.capture()
    parcel = one.pack()
    one.send(parcel, "cancel", {})
    one.send(parcel, "cancel", {})
    one.ship(parcel)
    one.send(parcel, "mark-as-delivered", {})
    one.ship(one.pack())


def _sent_while_edited(one: Teller) -> None:
    one.capture()
    parcel = one.pack()
    one.edit()
    one.ship(parcel)
    one.send(parcel, "mark-as-delivered", {})
    one.send(parcel, "cancel", {})


def _noted(one: Teller) -> None:
    path = f"/admin/orders/{one.order_id}"
    one.ask("POST", path, {"metadata": {"a": "1", "b": "2"}})
    one.ask("POST", path, {"metadata": {"a": ""}})
    one.ask("POST", path, {"nonsense": 1})


STORIES: dict[str, Callable[[Teller], None]] = {
    story.__name__.strip("_"): story
    for story in (
        _captured,
        _captured_in_parts,
        _refunded_in_parts,
        _wrongly_refunded,
        _cancelled_unpaid,
        _cancelled_paid,
        _cancelled_refunded,
        _cancelled_partly_captured,
        _completed,
        _edited,
        _edited_and_cancelled,
        _edited_and_voided,
        _sent,
        _parcel_cancelled,
        _sent_while_edited,
        _noted,
    )
}


@pytest.fixture(scope="module")
def real(office: BackOffice) -> Iterator[Staff]:
    staff = Staff(office.server.origin, _basic(office.opened.key))
    staff.location = office.opened.location
    yield staff
    staff.close()


@pytest.fixture(scope="module")
def sandbox() -> MedusaSandbox:
    return MedusaSandbox()


@pytest.fixture(scope="module")
def imitated(sandbox: MedusaSandbox) -> Iterator[Staff]:
    with SandboxServer(sandbox) as server:
        staff = Staff(server.origin, _basic(SECRET_KEY))
        staff.location = "sloc_01SANDBOXWAREHOUSE0000000"
        yield staff
        staff.close()


def _basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


@pytest.mark.parametrize("name", STORIES)
def test_the_sandbox_answers_as_the_real_server_does(
    name: str, office: BackOffice, real: Staff, sandbox: MedusaSandbox, imitated: Staff
) -> None:
    currency, promotion = ("jpy", False) if name.startswith("cancelled") else ("usd", name == "sent")
    goods = {"TEE-S": 2, "HOOD-L": 1}
    theirs = Teller(real, office.place(currency, goods, promotion=promotion))
    with sandbox.lock:
        order = sandbox_seed.place(sandbox.state, currency, goods, promotion=promotion)
    ours = Teller(imitated, order.id)
    STORIES[name](theirs)
    STORIES[name](ours)
    assert [step for step, _ in theirs.told] == [step for step, _ in ours.told]
    found = [
        f"{number} {step}{line}"
        for number, ((step, there), (_, here)) in enumerate(zip(theirs.told, ours.told, strict=True))
        for line in differences(there, here, NATURAL)
    ]
    assert found == []
