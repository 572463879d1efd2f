"""The headless sandbox itself: its shapes and bodies are those of the samples, its state moves as the sheet says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from ordersync_connectors.headless.sandbox import HeadlessSandbox
from tests.contract.headless_shop import NOW, HeadlessShop, headless_shop

from ordersync.mapping import Profile, decode, load_mapping
from ordersync.model import PaymentStatus
from ordersync.testing.sales import sales
from ordersync.testing.sandbox import Fault

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "headless"


@pytest.fixture
def web() -> Iterator[HeadlessShop]:
    with headless_shop() as shop:
        yield shop


@pytest.fixture
def http(web: HeadlessShop) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {web.sandbox.secret_key}"}
    with httpx.Client(base_url=web.server.base_url, headers=headers, timeout=5, trust_env=False) as client:
        yield client


def sample(name: str) -> Any:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("the samples are not beside this repository")
    return json.loads(path.read_text(encoding="utf-8"))


def paths(value: Any, at: str = "") -> set[str]:
    """Every field path, lists as `[]`, without the keys of free-form metadata."""
    if isinstance(value, dict) and not at.endswith(".metadata"):
        return {at}.union(*(paths(inner, f"{at}.{key}") for key, inner in value.items()))
    if isinstance(value, list):
        return {at}.union(*(paths(inner, f"{at}[]") for inner in value))
    return {at}


# Shapes


def test_seeded_orders_have_the_shape_of_the_samples_and_nothing_else(web: HeadlessShop) -> None:
    known: set[str] = set()
    names = [path.name for path in SAMPLES.glob("order_*.json")] or ["order_paid_krw.json"]
    for name in names:
        known |= paths(sample(name))
    web.sandbox.seed_orders(44)
    made: set[str] = set()
    for order in web.sandbox.state.orders.values():
        made |= paths(order)
        assert list(order) == list(sample("order_paid_krw.json"))
    assert made - known == set()
    assert {path for path in known - made if "applied_discounts" not in path} == set()


def test_seeded_orders_show_every_word_of_the_three_statuses(web: HeadlessShop) -> None:
    web.sandbox.seed_orders(33)
    orders = web.sandbox.state.orders.values()
    assert {order["status"] for order in orders} >= {
        "draft", "pending", "confirmed", "processing", "completed", "cancelled",
    }  # fmt: skip
    assert {order["payment_status"] for order in orders} >= {"unpaid", "paid", "partially_refunded", "refunded"}
    assert {order["fulfillment_status"] for order in orders} == {
        "unfulfilled", "partially_fulfilled", "fulfilled", "returned",
    }  # fmt: skip
    assert {order["total"]["currency"] for order in orders} == {"USD", "KRW"}
    assert all(order["created_at"] < "2026-10-01T12:00:00Z" for order in orders)


def test_the_same_seed_makes_the_same_shop_and_another_another() -> None:
    def shop(seed: int) -> HeadlessSandbox:
        made = HeadlessSandbox(seed=seed, now=lambda: NOW)
        made.seed_orders(12)
        return made

    assert shop(1).state.orders == shop(1).state.orders
    assert shop(1).secret_key == shop(1).secret_key
    assert shop(1).state.orders != shop(2).state.orders


def test_further_orders_are_numbered_after_those_that_exist(web: HeadlessShop) -> None:
    for sale in sales(1, 2, first_number=5000):
        web.sandbox.add_sale(sale)
    assert web.sandbox.seed_orders(2) == ["ord_5002", "ord_5003"]
    with pytest.raises(ValueError, match="5001 is taken"):
        web.sandbox.add_sale(next(sales(1, 1, first_number=5001)))


@pytest.mark.parametrize("unknowns", [{}, {"number_as_text": True, "extra_fields": True}])
def test_every_seeded_order_becomes_a_canonical_order_with_nothing_unmapped(unknowns: dict[str, Any]) -> None:
    text = files("ordersync_mappings").joinpath("headless.yaml").read_text(encoding="utf-8")
    mapping = load_mapping(text, "headless", None)
    with headless_shop(**unknowns) as shop:
        ids = shop.sandbox.seed_orders(44)
        for order_id in ids:
            payload = decode(shop.connector.fetch(order_id).payload)
            order = mapping.normalise(payload, Profile(shop="web", books_only=frozenset({"manual"})))
            assert mapping.unmapped(payload) == []
            assert order.number == order_id.removeprefix("ord_")
            packed_whole = any(parcel["status"] == "pending" for parcel in payload["fulfillments"])
            noted = {note.code for note in order.integrity}
            # The platform calls an order fulfilled once it is packed; ours counts what left the house.
            assert noted <= ({"fulfillment_differs"} if packed_whole else set())
            stated = payload["payment_status"]
            if stated == "awaiting_payment":
                stated = "unpaid"
            assert order.payment_status == PaymentStatus(stated)
            assert order.is_cancelled == (payload["status"] == "cancelled")


# Bodies


def test_error_bodies_are_those_of_the_samples(web: HeadlessShop, http: httpx.Client) -> None:
    def body(name: str) -> tuple[int, Any]:
        told = sample(f"errors/{name}.json")
        return told["http_status"], told["body"]

    def got(answer: httpx.Response) -> tuple[int, Any]:
        return answer.status_code, answer.json()

    def key(value: str) -> dict[str, str]:
        return {"Authorization": value}

    assert got(http.get("/admin/orders/ord_missing")) == body("404_order_not_found")
    assert got(http.get("/admin/store", headers=key("Bearer sk_no"))) == body("401_invalid_api_key")
    assert got(http.get("/admin/store", headers=key(""))) == body("401_missing_api_key")
    public = key(f"Bearer {web.sandbox.publishable_key}")
    assert got(http.get("/admin/store", headers=public)) == body("403_publishable_key_on_admin")
    [order_id] = web.sandbox.seed_orders(1)
    web.sandbox.state.cancel(order_id, None)
    assert got(http.post(f"/admin/orders/{order_id}/confirm")) == body("409_invalid_state_transition")
    web.sandbox.add_fault(Fault("429"))
    assert got(http.get("/admin/store")) == body("429_rate_limit")
    web.sandbox.add_fault(Fault("500_before"))
    assert got(http.get("/admin/store")) == body("500_internal")
    missing = http.get("/storefront/orders/lookup", params={"number": 1, "email": "a@example.com"})
    assert missing.json() == sample("storefront_guest_lookup_404.json")
    assert http.get("/admin/orders").status_code == 200


def test_lists_have_the_envelope_of_the_samples(web: HeadlessShop, http: httpx.Client) -> None:
    assert http.get("/admin/orders").json() == sample("list_orders_admin_empty.json")
    web.sandbox.seed_orders(25)
    page = http.get("/admin/orders").json()
    assert list(page) == list(sample("list_orders_admin_page1.json"))
    assert len(page["data"]) == 20
    assert (page["total_count"], page["has_more"], page["next_cursor"]) == (25, True, page["data"][-1]["id"])
    last = http.get("/admin/orders", params={"starting_after": page["next_cursor"]}).json()
    assert (len(last["data"]), last["has_more"], last["next_cursor"]) == (5, False, None)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=ten", "created_after=soon", "starting_after=ord_x"]
)
def test_a_list_refuses_what_it_does_not_understand(web: HeadlessShop, http: httpx.Client, query: str) -> None:
    web.sandbox.seed_orders(1)
    answer = http.get(f"/admin/orders?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"


def test_lists_filter_as_asked(web: HeadlessShop, http: httpx.Client) -> None:
    web.sandbox.seed_orders(33)
    for name, value in (("status", "draft"), ("payment_status", "paid"), ("fulfillment_status", "returned")):
        rows = http.get("/admin/orders", params={name: value, "limit": 100}).json()["data"]
        assert rows
        assert {row[name] for row in rows} == {value}
    email = web.sandbox.state.order("ord_1004")["email"]
    assert [row["id"] for row in http.get("/admin/orders", params={"q": email}).json()["data"]] == ["ord_1004"]


def test_rows_lack_their_arrays_where_the_switch_says_so() -> None:
    with headless_shop(list_expanded=False, expand_needed=True) as shop:
        [order_id] = shop.sandbox.seed_orders(1)
        headers = {"Authorization": f"Bearer {shop.sandbox.secret_key}"}
        with httpx.Client(base_url=shop.server.base_url, headers=headers, trust_env=False) as http:
            [row] = http.get("/admin/orders").json()["data"]
            bare = http.get(f"/admin/orders/{order_id}").json()
            some = http.get(f"/admin/orders/{order_id}?expand=lines,payments").json()
    assert list(row) == list(bare) == list(sample("variant_order_not_expanded.json"))
    assert set(some) - set(bare) == {"lines", "payments"}


def test_an_unknown_switch_is_an_error() -> None:
    with pytest.raises(ValueError, match="cancel_refund"):
        HeadlessSandbox(cancel_refund="all")


# What may happen to an order


def test_an_order_lives_from_payment_to_delivery_over_http(web: HeadlessShop, http: httpx.Client) -> None:
    from dataclasses import replace

    order_id = web.sandbox.add_sale(replace(next(sales(4, 1)), paid=False, provider="bank_transfer"))
    order = http.get(f"/admin/orders/{order_id}").json()
    assert (order["status"], order["payment_status"]) == ("pending", "unpaid")
    payment = order["payments"][0]
    assert list(payment) == list(sample("responses/payment_created.json"))
    assert http.post(f"/admin/payments/{payment['id']}/complete").json()["status"] == "completed"
    assert http.post(f"/admin/orders/{order_id}/process").status_code == 409
    assert http.post(f"/admin/orders/{order_id}/confirm").json()["status"] == "confirmed"
    assert http.post(f"/admin/orders/{order_id}/process").json()["status"] == "processing"
    wanted = {"lines": [{"order_line_id": order["lines"][0]["id"], "quantity": 1}], "carrier": "cj"}
    made = http.post(f"/admin/orders/{order_id}/fulfillments", json=wanted)
    assert made.status_code == 201
    parcel = made.json()
    assert list(parcel) == list(sample("responses/fulfillment_created.json"))
    assert http.post(f"/admin/fulfillments/{parcel['id']}/deliver").status_code == 409
    assert http.post(f"/admin/fulfillments/{parcel['id']}/ship").json()["status"] == "shipped"
    assert http.patch(f"/admin/fulfillments/{parcel['id']}", json={"tracking_number": "T1"}).status_code == 200
    assert (
        http.post(f"/admin/fulfillments/{parcel['id']}/deliver").json()["delivered_at"] == "2026-10-01T12:00:00Z"
    )
    done = http.post(f"/admin/orders/{order_id}/complete").json()
    assert (done["status"], done["completed_at"]) == ("completed", "2026-10-01T12:00:00Z")
    assert done["fulfillments"][0]["tracking_number"] == "T1"
    assert "updated_at" not in done


def test_refund_by_lines_counts_units_stock_and_money(web: HeadlessShop, http: httpx.Client) -> None:
    [order_id] = web.sandbox.seed_orders(1)
    line = web.sandbox.state.order(order_id)["lines"][0]
    body = {"reason": "damaged", "restock": True, "lines": [{"order_line_id": line["id"], "quantity": 1}]}
    made = http.post(f"/admin/orders/{order_id}/refunds", json=body)
    assert made.status_code == 201
    assert list(made.json()) == list(sample("responses/refund_created.json"))
    assert made.json()["amount"]["amount"] == line["unit_price"]["amount"]
    order = http.get(f"/admin/orders/{order_id}").json()
    assert order["lines"][0]["refunded_quantity"] == 1
    assert order["refunded_total"] == made.json()["amount"]
    assert web.sandbox.state.restocked == [(order_id, line["variant_id"], 1)]


@pytest.mark.parametrize(
    "body, field",
    [
        ({"amount": 1}, "reason"),
        ({"reason": "x"}, "amount"),
        ({"reason": "x", "amount": "1"}, "amount"),
        ({"reason": "x", "amount": 0}, "amount"),
        ({"reason": "x", "amount": True}, "amount"),
        ({"reason": "x", "amount": 10**9}, "amount"),
        ({"reason": "x", "lines": [{"order_line_id": "ol_x", "quantity": 1}]}, "lines.order_line_id"),
        ({"reason": "x", "lines": [{"order_line_id": "ol_1001_1", "quantity": 99}]}, "lines.quantity"),
        ({"reason": "x", "amount": 1, "restock": "no"}, "restock"),
        ([], "body"),
    ],
)
def test_a_refund_that_makes_no_sense_is_a_400_naming_the_field(
    web: HeadlessShop, http: httpx.Client, body: Any, field: str
) -> None:
    [order_id] = web.sandbox.seed_orders(1)
    answer = http.post(f"/admin/orders/{order_id}/refunds", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["field"] == field
    assert web.sandbox.own_refunds() == []


def test_a_body_that_is_not_declared_as_json_is_refused(web: HeadlessShop, http: httpx.Client) -> None:
    [order_id] = web.sandbox.seed_orders(1)
    answer = http.post(f"/admin/orders/{order_id}/cancel", content=b'{"reason":"x"}')
    assert answer.status_code == 400
    assert web.sandbox.own_cancels() == []


def test_a_cancel_that_refunds_books_what_is_left_once() -> None:
    with headless_shop(cancel_refunds="all", cancel_restocks=True) as shop:
        [order_id] = shop.sandbox.seed_orders(1)
        state = shop.sandbox.state
        total = state.order(order_id)["total"]["amount"]
        state.refund(order_id, 100, "first", restock=False)
        state.cancel(order_id, "gone")
        assert [refund[2] for refund in shop.sandbox.own_refunds()] == [100, total - 100]
        assert state.refundable(state.order(order_id)) == 0
        units = sum(line["quantity"] for line in state.order(order_id)["lines"])
        assert sum(quantity for _, _, quantity in state.restocked) == units


def test_a_pending_refund_reserves_and_may_fail() -> None:
    with headless_shop(refund_starts_pending=True, cancel_refunds="none") as shop:
        [order_id] = shop.sandbox.seed_orders(1)
        state = shop.sandbox.state
        order = state.order(order_id)
        state.refund(order_id, order["total"]["amount"], "all")
        assert (order["payment_status"], state.refundable(order)) == ("paid", 0)
        assert state.settle_refunds("failed") == 1
        assert (order["payment_status"], state.refundable(order)) == ("paid", order["total"]["amount"])


def test_an_unpaid_cancel_moves_no_money(web: HeadlessShop) -> None:
    from dataclasses import replace

    order_id = web.sandbox.add_sale(replace(next(sales(4, 1)), paid=False))
    order = web.sandbox.state.cancel(order_id, "never paid", at=NOW - timedelta(hours=1))
    assert (order["payment_status"], order["payments"][0]["status"]) == ("unpaid", "cancelled")
    assert web.sandbox.own_refunds() == []
    assert web.sandbox.own_cancels() == [(order_id, "2026-10-01T11:00:00Z", "never paid")]


def test_silent_changes_move_no_timestamp(web: HeadlessShop, http: httpx.Client) -> None:
    [order_id] = web.sandbox.seed_orders(1)

    def instants() -> list[str]:
        told = json.dumps(http.get(f"/admin/orders/{order_id}").json())
        return [part for part in told.split('"') if "T" in part and part.endswith("Z")]

    before = instants()
    assert len(before) == 2
    changed = http.patch(f"/admin/orders/{order_id}", json={"note": "ring twice", "status": "completed"}).json()
    assert (changed["note"], changed["status"]) == ("ring twice", "confirmed")
    assert http.post(f"/admin/orders/{order_id}/process").json()["status"] == "processing"
    assert instants() == before
