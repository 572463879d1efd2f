"""The shop that the other tests use: what its orders went through is what the server says of them."""

from __future__ import annotations

from tests.live.back_office import BackOffice
from tests.live.state import Live

_WORDS = {
    "placed": ("pending", "authorized", "not_fulfilled"),
    "captured": ("pending", "captured", "not_fulfilled"),
    "part_captured": ("pending", "partially_captured", "not_fulfilled"),
    "part_refunded": ("pending", "partially_refunded", "not_fulfilled"),
    "refunded": ("pending", "refunded", "not_fulfilled"),
    "packed": ("pending", "captured", "partially_fulfilled"),
    "shipped": ("pending", "captured", "shipped"),
    "delivered": ("pending", "captured", "delivered"),
    "returned": ("pending", "captured", "delivered"),
    "open_return": ("pending", "captured", "delivered"),
    "open_edit": ("pending", "captured", "not_fulfilled"),
    "cancelled_authorised": ("canceled", "canceled", "not_fulfilled"),
    "cancelled_captured": ("canceled", "refunded", "not_fulfilled"),
    "archived": ("archived", "captured", "not_fulfilled"),
    "mirrored": ("pending", "not_paid", "not_fulfilled"),
}


def test_every_seeded_order_went_through_what_it_is_named_for(live: Live, office: BackOffice) -> None:
    found = {}
    for name, order_id in live.seeded.items():
        order = office.order(order_id)
        found[name] = (order["status"], order["payment_status"], order["fulfillment_status"])
    assert found == _WORDS


def test_open_order_changes_are_open(live: Live, office: BackOffice) -> None:
    for name, kind in (("open_return", "return_request"), ("open_edit", "edit")):
        changes = office.get(f"/admin/orders/{live.seeded[name]}/changes")["order_changes"]
        assert [row["change_type"] for row in changes if row["status"] == "pending"] == [kind]
