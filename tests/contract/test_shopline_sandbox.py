"""The SHOPLINE sandbox behaves as the fact sheet says, and its orders have the shape of the samples."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ordersync_connectors.shopline.sandbox import ShoplineSandbox
from tests.contract.shopline_shop import NOW, ShoplineShop, shopline_shop

from ordersync.bootstrap import mappings_of
from ordersync.connector import CancelRequest
from ordersync.mapping import Profile, decode
from ordersync.testing.sandbox import encode_body

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "shopline"


@pytest.fixture
def shop() -> Iterator[ShoplineShop]:
    with shopline_shop() as shop:
        yield shop


def ask(
    shop: ShoplineShop, path: str, method: str = "GET", body: Any = None, /, **query: str | int
) -> tuple[int, Any, str]:
    """Status, decoded body and Link header of a plain request."""
    url = f"{shop.server.base_url}/{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {shop.sandbox.token}")
    request.add_header("Content-Type", "application/json; charset=utf-8")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["traceid"]
            return answer.status, json.loads(answer.read()), answer.headers.get("link") or ""
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read()), ""


def names(shop: ShoplineShop, **query: str | int) -> list[str]:
    status, body, _ = ask(shop, "orders.json", **query)
    assert status == 200, body
    return [order["name"] for order in body["orders"]]


def fields(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, f"{path}[]")
    else:
        yield path


@pytest.mark.parametrize("currency", ["USD", "TWD", "JPY"])
def test_every_seeded_order_normalises_with_nothing_unmapped(currency: str) -> None:
    [mapping] = mappings_of("shopline")
    sandbox = ShoplineSandbox(currency=currency)
    states = set()
    for order_id in sandbox.seed_orders(24):
        payload = decode(encode_body(sandbox.order(order_id)))
        assert mapping.unmapped(payload) == []
        order = mapping.normalise(payload, Profile(shop="asia"))
        states.add((order.order_status.value, order.payment_status.value, order.archived))
    assert {state[1] for state in states} >= {"paid", "unpaid", "refunded"}
    assert {state[0] for state in states} == {"open", "cancelled"}
    assert {state[2] for state in states} == {True, False}


def test_seeded_orders_hold_no_field_the_samples_do_not_hold() -> None:
    constructed = SAMPLES / "constructed"
    if not constructed.is_dir():
        pytest.skip("the shared samples are not beside the repository")
    known = {
        field
        for file in constructed.glob("order_*.json")
        for field in fields(json.loads(file.read_text(encoding="utf-8")))
    }
    sandbox = ShoplineSandbox()
    for order_id in sandbox.seed_orders(24):
        made = set(fields(json.loads(encode_body(sandbox.order(order_id)))))
        assert {field for field in made - known if not _is_null(sandbox.order(order_id), field)} == set()


def _is_null(order: dict[str, Any], field: str) -> bool:
    """A null where the sample holds an object."""
    value: Any = order
    for part in field.strip(".").split("."):
        if part.endswith("[]") or not isinstance(value, dict):
            return False
        value = value[part]
    return value is None


def test_a_cancel_answer_has_no_field_the_recorded_one_has_not() -> None:
    """Compared by field names only, in place: the recording is third-party data."""
    recorded = SAMPLES / "recorded" / "cancel_order.json"
    if not recorded.is_file():
        pytest.skip("the shared recordings are not beside the repository")
    theirs = json.loads(recorded.read_text(encoding="utf-8"))["body"]["order"]
    with shopline_shop() as shop:
        order_id = shop.sell(paid=False, provider="COD")
        _, body, _ = ask(shop, f"orders/{order_id}/cancel.json", "POST", {"cancel_reason": "x"})
        ours = body["order"]
        assert theirs.keys() - ours.keys() == set()
        assert "status" not in ours
        refund = theirs["refunds"][0]
        assert ours["refunds"][0].keys() == refund.keys()
        assert ours["refunds"][0]["transactions"][0].keys() == refund["transactions"][0].keys()


def test_a_fulfillment_answer_has_the_fields_of_the_recorded_one() -> None:
    """Compared by field names and types only, in place: the recording is third-party data."""
    recorded = SAMPLES / "recorded" / "create_fulfillment.json"
    if not recorded.is_file():
        pytest.skip("the shared recordings are not beside the repository")
    theirs = json.loads(recorded.read_text(encoding="utf-8"))["body"]["fulfillment"]
    with shopline_shop() as shop:
        order_id = shop.sell()
        line = shop.sandbox.order(order_id)["line_items"][0]
        info = {"tracking_company": "FedEx", "tracking_number": "1", "tracking_url": ""}
        stated = {"line_items": [{"id": line["id"], "quantity": 1}], "tracking_info_list": [info]}
        _, body, _ = ask(shop, f"orders/{order_id}/fulfillments.json", "POST", {"fulfillment": stated})
        ours = body["fulfillment"]
    assert {name: type(value) for name, value in ours.items()} == {
        name: type(value) for name, value in theirs.items()
    }
    assert {name: type(value) for name, value in ours["line_items"][0].items()} == {
        name: type(value) for name, value in theirs["line_items"][0].items()
    }


def test_cancelling_an_unpaid_order_leaves_a_refund_that_moved_nothing(shop: ShoplineShop) -> None:
    order_id = shop.sell(paid=False, provider="COD")

    _, body, _ = ask(shop, f"orders/{order_id}/cancel.json", "POST", {})

    [shown] = body["order"]["refunds"]
    assert shown["transactions"][0]["amount"] == "0.0"
    assert shown["transactions"][0]["status"] == "success"
    assert shown["refund_line_items"] is None
    _, body, _ = ask(shop, "orders.json", ids=order_id)
    [order] = body["orders"]
    [read] = order["refunds"]
    assert read["id"] == shown["id"]
    assert read["transactions"] == []
    assert read["note"] == "Seller cancels order"
    assert read["order_adjustments"][0]["amount"] == "42.50"
    assert read["order_adjustments"][0]["amount_set"]["shop_money"]["amount"] == 42.5
    assert read["order_adjustments"][0]["refund_id"] != read["id"]
    assert (order["financial_status"], order["total_outstanding"]) == ("unpaid", "42.50")
    assert order["current_total_price"] == "42.50"
    assert order["status"] == "cancelled"
    assert shop.sandbox.own_refunds() == []


def test_a_list_without_limit_has_twenty_rows_and_hides_archived_orders(shop: ShoplineShop) -> None:
    ids = [shop.sell(1001 + i) for i in range(30)]
    shop.sandbox.archive(ids[0])
    shop.sandbox.cancel(ids[1])
    shop.sandbox.ship(ids[2])

    assert names(shop) == [str(number) for number in range(1002, 1022)]
    assert names(shop, hidden_order="true") == ["1001"]
    assert len(names(shop, limit=250)) == 29


def test_filters_have_their_own_words(shop: ShoplineShop) -> None:
    plain, cancelled, shipped, unpaid = (shop.sell(n) for n in (1, 2, 3, 4))
    unpaid = shop.sell(5, paid=False)
    shop.sandbox.cancel(cancelled)
    shop.sandbox.ship(shipped)

    assert names(shop, status="cancelled") == ["2"]
    assert names(shop, status="open") == ["1", "3", "4", "5"]
    assert names(shop, fulfillment_status="shipped") == ["3"]
    assert names(shop, fulfillment_status="unshipped") == ["1", "2", "4", "5"]
    assert names(shop, financial_status="unpaid") == ["5"]
    assert names(shop, name="3") == ["3"]
    assert names(shop, since_id=shipped) == ["4", "5"]
    assert names(shop, sort_condition="id:desc") == ["5", "4", "3", "2", "1"]
    assert names(shop, sort_condition="updated_at:desc") == ["1", "2", "3", "4", "5"]
    assert names(shop, ids=f"{plain},{unpaid}") == ["1", "5"]
    for wrong in ({"fulfillment_status": "fulfilled"}, {"financial_status": "voided"}, {"status": "closed"}):
        assert ask(shop, "orders.json", **wrong)[0] == 400
    assert ask(shop, "orders.json", fulfillment_status="null")[1] == {
        "errors": "fulfillment status value is illegal"
    }


def test_windows_are_closed_at_both_ends_and_a_bare_plus_is_a_space(shop: ShoplineShop) -> None:
    for i in range(5):
        shop.sell(i, at=NOW + timedelta(seconds=i))

    assert names(
        shop, updated_at_min="2026-10-01T20:00:01+08:00", updated_at_max="2026-10-01T12:00:03Z", limit=100
    ) == ["1", "2", "3"]
    assert names(shop, created_at_min="2026-10-01T12:00:04Z") == ["4"]
    url = f"{shop.server.base_url}/orders.json?updated_at_min=2026-10-01T20:00:01+08:00"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {shop.sandbox.token}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 400
    refused.value.close()


def test_page_info_ignores_every_other_filter_and_links_both_ways(shop: ShoplineShop) -> None:
    for i in range(5):
        shop.sell(i)
    _, first, link = ask(shop, "orders.json", limit=2, sort_condition="id:desc")
    assert [order["name"] for order in first["orders"]] == ["4", "3"]
    assert 'rel="previous"' not in link
    page_info = urllib.parse.parse_qs(urllib.parse.urlsplit(link.split(">")[0].strip("<")).query)["page_info"][0]
    assert len(page_info) >= 900

    _, second, link = ask(shop, "orders.json", limit=2, page_info=page_info, name="0", status="cancelled")

    assert [order["name"] for order in second["orders"]] == ["2", "1"]
    assert 'rel="next"' in link
    assert 'rel="previous"' in link
    assert ask(shop, "orders.json", page_info="AA")[0] == 400


def test_counts_use_other_words_than_the_list(shop: ShoplineShop) -> None:
    ids = [shop.sell(i) for i in range(6)]
    shop.sandbox.cancel(ids[0])
    shop.sandbox.cancel(ids[1])
    shop.sandbox.archive(ids[1])
    shop.sandbox.archive(ids[2])

    found = {
        s: ask(shop, "orders/count.json", status=s)[1]["count"] for s in ("any", "open", "cancelled", "hidden")
    }
    assert found == {"any": 6, "open": 3, "cancelled": 1, "hidden": 2}
    assert ask(shop, "orders/count.json")[1] == {"count": 6}


def test_unfulfilled_is_the_word_null_and_tags_read_back_as_a_list_in_a_string(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    assert ask(shop, f"orders/{order_id}.json", "PUT", {"order": {"tags": "a, b"}})[0] == 200
    assert ask(shop, f"orders/{order_id}.json", "PUT", {"order": {"phone": "123"}})[0] == 422

    [order] = ask(shop, "orders.json", ids=order_id)[1]["orders"]

    assert order["tags"] == '["a","b"]'
    assert order["fulfillment_status"] == "null"
    assert order["line_items"][0]["fulfillment_status"] == "null"
    assert order["line_items"][0]["id"].isdecimal()
    assert len(order["line_items"][0]["id"]) <= 6
    assert order["updated_at"].endswith("+08:00")
    assert isinstance(order["payment_details"][0]["pay_amount"], float)
    assert order["current_total_price"] == "42.50"


def test_fulfillments_are_made_cancelled_and_stay_listed(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    line = shop.sandbox.order(order_id)["line_items"][0]["id"]
    body = {
        "fulfillment": {
            "line_items": [{"id": line, "quantity": 2}],
            "tracking_info_list": [{"tracking_number": "T1"}],
        }
    }

    _, made, _ = ask(shop, f"orders/{order_id}/fulfillments.json", "POST", body)

    assert shop.sandbox.order(order_id)["fulfillment_status"] == "partial"
    parcel = made["fulfillment"]["id"]
    assert ask(shop, f"orders/{order_id}/fulfillments/{parcel}/cancel.json", "POST", {})[0] == 200
    assert ask(shop, f"orders/{order_id}/fulfillments/{parcel}/cancel.json", "POST", {})[0] == 422
    assert shop.sandbox.order(order_id)["fulfillment_status"] == "null"
    listed = ask(shop, f"orders/{order_id}/fulfillments.json")[1]["fulfillments"]
    assert [fulfillment["status"] for fulfillment in listed] == ["cancelled"]
    assert listed[0]["tracking_number"] == "T1"


def test_refunds_are_listed_one_by_one_and_payments_queried(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    refund_id = shop.sandbox.refund(order_id, 500, note="late")

    assert ask(shop, f"orders/{order_id}/refunds.json")[1]["refunds"][0]["id"] == refund_id
    assert ask(shop, f"orders/{order_id}/refunds/{refund_id}.json")[1]["refund"]["note"] == "late"
    assert ask(shop, f"orders/{order_id}/refunds/26.json")[0] == 404
    paid = ask(shop, "transactions/query.json", "POST", {"order_id": order_id})[1]["transaction_list"]
    assert paid[0]["pay_seq"].startswith("23")
    assert ask(shop, f"orders/{order_id}.json", "DELETE") == (200, {}, "")
    assert names(shop, ids=order_id) == []


@pytest.mark.parametrize("moves", [True, False])
def test_what_moves_updated_at_is_a_switch_where_nobody_knows(moves: bool) -> None:
    switches = ("refund_moves_updated_at", "refund_status_moves_updated_at", "archive_moves_updated_at")
    with shopline_shop(**dict.fromkeys(switches, moves)) as shop:
        order_id = shop.sell(at=NOW - timedelta(days=1))
        before = shop.sandbox.order(order_id)["updated_at"]
        refund_id = shop.sandbox.refund(order_id, 500, status="pending")
        shop.sandbox.settle_refund(order_id, refund_id)
        shop.sandbox.archive(order_id)
        assert (shop.sandbox.order(order_id)["updated_at"] != before) is moves
        assert shop.sandbox.order(order_id)["refunds"][0]["transactions"][0]["status"] == "success"


def test_wrong_keys_bodies_and_routes_get_the_platforms_error_bodies(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    assert ask(shop, "orders/1/cancel.json", "POST", {}) == (404, {"errors": "The order does not exist."}, "")
    assert ask(shop, "nothing.json") == (404, {"errors": "Not Found"}, "")
    for wrong in ({"amount": "12"}, {"email": "yes"}, {"restock": 1}, {"amount": True}):
        assert ask(shop, f"orders/{order_id}/cancel.json", "POST", wrong)[0] == 400
    assert ask(shop, f"orders/{order_id}/cancel.json", "POST", {"currency": "EUR"})[0] == 422
    assert ask(shop, f"orders/{order_id}/cancel.json", "POST", [1])[0] == 400
    shop.sandbox.scopes.discard("write_orders")
    assert ask(shop, f"orders/{order_id}/cancel.json", "POST", {})[1] == {
        "errors": "This action requires write_orders scope"
    }
    shop.sandbox.token = "changed"
    shop.sandbox.scopes.add("write_orders")
    assert shop.sandbox.own_cancels() == []


def test_the_same_seed_makes_the_same_shop() -> None:
    first, second = (ShoplineSandbox(seed=7, now=lambda: NOW) for _ in range(2))
    assert [first.order(i) for i in first.seed_orders(24)] == [second.order(i) for i in second.seed_orders(24)]
    assert first.token == second.token


def test_a_wrong_switch_is_named() -> None:
    with pytest.raises(ValueError, match="no such switch: cancel_refund"):
        ShoplineSandbox(cancel_refund=True)


def test_the_connector_and_the_sandbox_agree_on_a_sale(shop: ShoplineShop) -> None:
    """One order through everything: read, refunded, shipped, cancelled, archived, and normalised at the end."""
    [mapping] = mappings_of("shopline")
    order_id = shop.sell(references={"external_id": "EXT-9"})
    shop.sandbox.refund(order_id, 1250, note="by hand")
    shop.sandbox.ship(order_id)
    shop.connector.cancel(order_id, CancelRequest(reason="late", token="os-abcdefgh"), "key")
    shop.connector.archive(order_id, "key")

    payload = decode(shop.connector.fetch(order_id).payload)

    assert mapping.unmapped(payload) == []
    order = mapping.normalise(payload, Profile(shop="asia"))
    assert order.is_cancelled
    assert order.archived
    assert (str(order.captured), str(order.refunded)) == ("42.50 USD", "42.50 USD")
    assert order.references["external_id"] == "EXT-9"
    assert order.cancellation is not None
    assert order.cancellation.reason == "late os-abcdefgh"
