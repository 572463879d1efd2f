"""The export: sorted, the same bytes for the same orders, no buyer data unless asked, safe for a spreadsheet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ordersync.engine.export import CSV_COLUMNS, export_csv, export_orders
from ordersync.model import Address, Buyer, Money, Order, Payment, PaymentState, Purse, Refund, RefundState, Totals
from ordersync.store import Observation, Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUYER_WORDS = ("Ada", "ada@example.com", "+44 1", "1 Low Road", "ring twice", "gift for Tim")


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def sale(order_id: str = "1", shop: str = "asia", **fields: object) -> Order:
    paid = Payment(
        id="p", purse=Purse.GATEWAY, status=PaymentState.COMPLETED, amount=usd(5000), captured=usd(5000)
    )
    return Order.model_validate(
        {
            "shop": shop,
            "order_id": order_id,
            "number": "1001",
            "currency": "USD",
            "placed_at": NOW,
            "buyer": Buyer(name="Ada", email="ada@example.com", phone="+44 1"),
            "shipping_address": Address(name="Ada", line1="1 Low Road", country_code="GB"),
            "note": "ring twice",
            "references": {"message": "gift for Tim"},
            "totals": Totals(total=usd(5000)),
            "payments": (paid,),
            "refunds": (Refund(id="r", status=RefundState.COMPLETED, amount=usd(1250)),),
            **fields,
        }
    )


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def put(store: Store, *orders: Order) -> None:
    store.save_observations([Observation(order, b"{}", NOW) for order in orders])


def test_orders_come_sorted_with_derived_words_and_sums(store: Store) -> None:
    put(store, sale("2"), sale("10"), sale("1", "web"))
    lines = [json.loads(line) for line in export_orders(store)]
    assert [(line["shop"], line["order_id"]) for line in lines] == [("asia", "10"), ("asia", "2"), ("web", "1")]
    assert lines[0]["captured"] == {"amount_minor": 5000, "currency": "USD"}
    assert lines[0]["refunded"] == {"amount_minor": 1250, "currency": "USD"}
    assert lines[0]["refund_pending"] == {"amount_minor": 0, "currency": "USD"}
    assert (lines[0]["payment_status"], lines[0]["order_status"]) == ("partially_refunded", "unknown")
    assert [json.loads(line)["shop"] for line in export_orders(store, "web")] == ["web"]


def test_what_was_not_loaded_is_null_and_not_zero(store: Store) -> None:
    put(store, sale(payments=None, refunds=None))
    (line,) = (json.loads(text) for text in export_orders(store))
    assert (line["captured"], line["refunded"], line["payment_status"]) == (None, None, "unknown")


def test_no_buyer_data_unless_asked(store: Store) -> None:
    put(store, sale())
    for lines in (export_orders(store), export_csv(store)):
        text = "\n".join(lines)
        assert not [word for word in BUYER_WORDS if word in text]
    (asked,) = export_orders(store, buyer=True)
    assert all(word in asked for word in BUYER_WORDS)


def test_the_bytes_do_not_depend_on_the_order_in_which_things_were_stored(store: Store) -> None:
    first, second = sale("1", references={"a": "1", "b": "2"}), sale("2")
    put(store, first, second)
    with Store.open("sqlite://") as other:
        put(other, second)
        put(other, sale("1", references={"b": "2", "a": "1"}))
        assert list(export_orders(store, buyer=True)) == list(export_orders(other, buyer=True))


def test_csv_has_a_header_major_units_and_one_line_an_order(store: Store) -> None:
    put(store, sale("1"), sale("2", number='10"02, x'))
    rows = list(csv.DictReader(export_csv(store, buyer=True)))
    assert [row["number"] for row in rows] == ["1001", '10"02, x']
    assert (rows[0]["total"], rows[0]["refunded"]) == ("50.00 USD", "12.50 USD")
    assert (rows[0]["buyer_email"], rows[0]["ship_to_country"]) == ("ada@example.com", "GB")
    header = next(export_csv(store))
    assert header.split(",") == list(CSV_COLUMNS)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "@x", "-2+3", "\tx"])
def test_a_spreadsheet_does_not_take_text_for_a_formula(store: Store, formula: str) -> None:
    put(store, sale("1", number=formula))
    (row,) = csv.DictReader(export_csv(store))
    assert row["number"] == f"'{formula}"


def test_a_negative_amount_stays_a_number(store: Store) -> None:
    put(store, sale("1", totals=Totals(total=usd(-250))))
    (row,) = csv.DictReader(export_csv(store))
    assert row["total"] == "-2.50 USD"
