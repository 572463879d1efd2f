"""The Medusa sandbox against what a real 2.21.2 server sent: shapes, error bodies, `fields`, filters and bugs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from ordersync_connectors.medusa import shape
from ordersync_connectors.medusa.rows import ORDER_FIELDS
from ordersync_connectors.medusa.sandbox import JWT, OWN_KEY_ID, PUBLISHABLE_KEY, SECRET_KEY
from ordersync_connectors.medusa.sandbox_seed import LIVES
from tests.contract.common import pull_all
from tests.contract.medusa_shop import NOW, MedusaShop, medusa_shop

from ordersync.mapping import Mapping, Profile, decode, load_mapping
from ordersync.model import Order
from ordersync.testing.sales import sales

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT.parent / "shared" / "samples" / "medusa"
SEED = ROOT.parent / "shared" / "seeds" / "004_6d7cd9973f683728.txt"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the recorded samples are not beside the repository"
)


@pytest.fixture
def office() -> Iterator[MedusaShop]:
    with medusa_shop() as shop:
        yield shop


def ask(shop: MedusaShop, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
    """Any request with the secret key, past the connector."""
    with httpx.Client(base_url=shop.server.origin, auth=(SECRET_KEY, ""), trust_env=False) as client:
        return client.request(method, path, json=body, params=query or None)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_bytes())


def paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from paths(item, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for item in value:
            yield from paths(item, f"{path}[]")
    else:
        yield f"{path}{{}}" if isinstance(value, dict) else path


def names(value: Any, path: str = "") -> Iterator[str]:
    """Every field path, those of objects included."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{path}.{name}"
            yield from names(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from names(item, f"{path}[]")


def mapping_of(name: str) -> Mapping:
    text = (ROOT / "mappings" / f"{name}.yaml").read_text(encoding="utf-8")
    return load_mapping(text, name, lambda wanted: getattr(shape, wanted))


# shapes


@needs_samples
def test_seeded_orders_have_no_field_that_a_real_order_lacks(office: MedusaShop) -> None:
    ids = office.sandbox.seed_orders(30)
    mine = {path for order_id in ids for path in paths(json.loads(office.connector.fetch(order_id).payload))}
    files = [file.name for file in SAMPLES.glob("order_*.json") if "changes" not in file.name]
    theirs = {path for name in files for path in paths(sample(name)["order"])}
    assert mine - theirs == set()


@needs_samples
@pytest.mark.parametrize(
    "name, number",
    [
        ("order_usd_multi_placed", 0),
        ("order_eur_partial_capture", 2),
        ("order_eur_partial_refund", 3),
        ("order_krw_full_refund", 4),
        ("order_eur_shipped", 6),
        ("order_usd_canceled_captured", 10),
        ("order_jpy_archived", 11),
        ("order_eur_returned", 13),
    ],
)
def test_a_seeded_order_has_every_field_of_the_sample_of_its_kind(
    office: MedusaShop, name: str, number: int
) -> None:
    order_id = office.sandbox.seed_orders(14)[number]
    mine = json.loads(office.connector.fetch(order_id).payload)
    theirs = sample(f"{name}.json")["order"]
    assert theirs["status"] == mine["status"]
    assert theirs["payment_status"] == mine["payment_status"]
    assert theirs["fulfillment_status"] == mine["fulfillment_status"]
    shape_of_theirs = {path.removesuffix("{}") for path in paths(theirs) if not path.startswith(".metadata")}
    optional = {path for path in shape_of_theirs if ".adjustments" in path or ".raw_unit_price" in path}
    shape_of_mine = {path.removesuffix("{}") for path in paths(mine)}
    assert shape_of_theirs - optional - shape_of_mine - {".items[].tax_lines"} == set()


@needs_samples
def test_default_fields_of_list_and_detail_are_those_of_the_server(office: MedusaShop) -> None:
    order_id = office.sandbox.seed_orders(2)[1]
    listed = ask(office, "GET", "/admin/orders", limit=3, order="-created_at").json()
    assert listed["orders"][0].keys() == sample("orders_list_default_page.json")["orders"][0].keys()
    assert {name: listed[name] for name in ("count", "offset", "limit")} == {"count": 2, "offset": 0, "limit": 3}
    detail = ask(office, "GET", f"/admin/orders/{order_id}").json()["order"]
    assert detail.keys() == sample("order_default_fields_usd_promo_captured.json")["order"].keys()


@needs_samples
def test_payment_rows_and_write_answers_have_the_fields_of_the_server(office: MedusaShop) -> None:
    order = office.sale()
    payment_id = office.sandbox.payment_of(order.id).id
    fields = "+created_at,+updated_at,+canceled_at,+provider_id,*captures,*refunds"
    fields += ",+payment_collection.status,+payment_collection.order.id"
    refunded = ask(office, "POST", f"/admin/payments/{payment_id}/refund", {"amount": 5, "note": "scratched"})
    theirs = sample("payment_refund_response.json")["payment"]
    assert refunded.json()["payment"].keys() == theirs.keys()
    assert refunded.json()["payment"]["refunds"][0].keys() == theirs["refunds"][0].keys()
    [mine] = ask(office, "GET", "/admin/payments", fields=fields).json()["payments"]
    theirs = sample("payments_list.json")["payments"][3]
    assert mine["captures"][0].keys() == theirs["captures"][0].keys()
    assert mine["refunds"][0].keys() == theirs["refunds"][0].keys()
    assert mine["payment_collection"].keys() == theirs["payment_collection"].keys()
    assert mine.keys() == theirs.keys()


@pytest.mark.skipif(not SEED.is_file(), reason="the vendor page is not beside the repository")
def test_orders_of_the_dialect_have_only_fields_its_description_shows() -> None:
    page = SEED.read_text(encoding="utf-8")
    described, _ = json.JSONDecoder().raw_decode(page[page.index("例\n{") + 2 :])
    with medusa_shop("style") as shop:
        shop.sandbox.seed_orders(4 * len(LIVES))
        rows = [json.loads(raw.payload) for raw in pull_all(shop.connector, "orders").orders]
    shown = {path for row in rows for path in names(row) if not path.startswith(".metadata.")}
    theirs = set(names(described))
    assert shown - theirs == set()
    assert described.keys() == rows[0].keys()


@pytest.mark.parametrize("dialect, mapping", [("medusa", "medusa"), ("style", "medusa_style")])
def test_every_seeded_order_normalises_with_nothing_unmapped(dialect: Any, mapping: str) -> None:
    compiled = mapping_of(mapping)
    profile = Profile("office", frozenset({"pp_system_default"}))
    with medusa_shop(dialect) as shop:
        shop.sandbox.seed_orders(4 * len(LIVES))
        for spec in sales(3, 4, currency="KRW"):
            shop.sandbox.add_sale(spec)
        for raw in pull_all(shop.connector, "orders").orders:
            payload = decode(raw.payload)
            assert isinstance(compiled.normalise(payload, profile), Order)
            assert compiled.unmapped(payload) == []


@pytest.mark.parametrize("dialect, mapping", [("medusa", "medusa"), ("style", "medusa_style")])
def test_a_sale_is_worth_what_its_spec_says(dialect: Any, mapping: str) -> None:
    compiled = mapping_of(mapping)
    with medusa_shop(dialect) as shop:
        for currency in ("USD", "KRW"):
            spec = next(sales(8, 1, currency=currency))
            order = shop.sandbox.add_sale(spec)
            seen = compiled.normalise(decode(shop.connector.fetch(order.id).payload), Profile("office"))
            assert (seen.currency, seen.captured and seen.captured.amount_minor) == (currency, spec.total_minor)
            assert seen.line_items is not None
            assert [(line.sku, line.quantity) for line in seen.line_items] == [
                (x.sku, x.quantity) for x in spec.lines
            ]


def test_a_listed_order_normalises_to_the_same_order_as_the_fetched_one(office: MedusaShop) -> None:
    compiled, profile = mapping_of("medusa"), Profile("office")
    office.sandbox.seed_orders(14)
    for raw in pull_all(office.connector, "orders").orders:
        fetched = compiled.normalise(decode(office.connector.fetch(raw.order_id).payload), profile)
        assert compiled.normalise(decode(raw.payload), profile) == fetched


# error bodies


@needs_samples
def test_error_bodies_are_the_recorded_ones(office: MedusaShop) -> None:
    pending, cancelled, completed, packed = (office.sale(number) for number in range(4))
    office.sandbox.cancel(cancelled.id)
    office.sandbox.state.complete(completed.id)
    office.sandbox.fulfil(packed.id)
    payment_id = office.sandbox.payment_of(pending.id).id
    cases: list[tuple[str, str, str, Any]] = [
        ("error_400_over_refund", "POST", f"/admin/payments/{payment_id}/refund", {"amount": 1000}),
        ("error_400_cancel_fulfilled", "POST", f"/admin/orders/{packed.id}/cancel", {}),
        ("error_400_cancel_already_canceled", "POST", f"/admin/orders/{cancelled.id}/cancel", {}),
        ("error_400_cancel_completed", "POST", f"/admin/orders/{completed.id}/cancel", {}),
        ("error_400_archive_pending", "POST", f"/admin/orders/{pending.id}/archive", {}),
        ("error_404_order", "GET", "/admin/orders/order_unknown", None),
        ("error_500_bad_date_filter", "GET", "/admin/orders?updated_at[$gte]=not-a-date", None),
    ]
    for name, method, path, body in cases:
        answered = ask(office, method, path, body)
        theirs = json.dumps(sample(f"{name}.json"))
        for order in (pending, cancelled):
            theirs = theirs.replace(sample_order_id(theirs), order.id) if order.id in answered.text else theirs
        assert answered.json() == json.loads(theirs), name
        assert answered.status_code == int(name.split("_")[1])
    with httpx.Client(base_url=office.server.origin, trust_env=False) as nobody:
        assert nobody.get("/admin/orders").json() == sample("error_401_no_credentials.json")


def sample_order_id(text: str) -> str:
    start = text.index("order_01")
    return text[start : start + 32]


@pytest.mark.parametrize(
    "query, status",
    [
        ("order=total", 500),
        ("order=created_at,id", 500),
        ("order=customer.email", 200),
        ("limit=-1", 500),
        ("limit=abc", 400),
        ("status=nonsense", 500),
        ("updated_at[$gte]=2026-11-02T12:00:00+09:00", 500),
        ("updated_at[$gte]=2026-11-02T12:00:00%2B09:00", 200),
        ("sales_channel_id=sc_1", 400),
    ],
)
def test_bad_queries_are_answered_as_rudely_as_the_platform_does(
    office: MedusaShop, query: str, status: int
) -> None:
    assert ask(office, "GET", f"/admin/orders?{query}").status_code == status


@pytest.mark.parametrize(
    "query, count",
    [
        ("payment_status=captured", 14),
        ("email=nobody@example.com", 14),
        ("updated_at[gte]=2030-01-01", 14),
        ("status=draft", 0),
        ("status[]=canceled&status[]=archived", 3),
        ("status[$nin][]=pending", 4),
        ("total[$lte]=0", 2),
        ("created_at[$gt]=2030-01-01T00:00:00Z", 0),
        ("q=buyer3@", 1),
        ("limit=0", 14),
    ],
)
def test_filters_work_or_are_ignored_without_a_word(office: MedusaShop, query: str, count: int) -> None:
    office.sandbox.seed_orders(14)
    office.sandbox.add_draft(next(sales(1, 1)))
    answered = ask(office, "GET", f"/admin/orders?{query}")
    assert answered.json()["count"] == count


def test_fields_add_remove_replace_and_open_relations(office: MedusaShop) -> None:
    order_id = office.sandbox.seed_orders(4)[3]

    def fields(text: str) -> dict[str, Any]:
        order: dict[str, Any] = ask(office, "GET", f"/admin/orders/{order_id}", fields=text).json()["order"]
        return order

    always = {"id", "status", "version", "items", "payment_status", "fulfillment_status"}
    assert fields("email,nonsense").keys() == always | {"email"}
    assert "total" not in fields("id")["items"][0]
    assert "total" in fields("id,*items")["items"][0]
    assert {"email", "total"} <= fields("+email").keys()
    assert "metadata" not in fields("-metadata")
    [collection] = fields("id,*payment_collections.payments.refunds")["payment_collections"]
    assert collection.keys() == {"id", "status", "amount", "captured_amount", "refunded_amount", "payments"}
    assert collection["payments"][0].keys() == {"id", "refunds"}


# keys


@pytest.mark.parametrize(
    "header, status",
    [
        (f"Bearer {JWT}", 200),
        (f"basic {SECRET_KEY}", 200),
        (f"Bearer {SECRET_KEY}", 401),
        (f"Basic {PUBLISHABLE_KEY}", 401),
        ("", 401),
    ],
)
def test_which_credentials_open_the_admin_api(office: MedusaShop, header: str, status: int) -> None:
    with httpx.Client(base_url=office.server.origin, trust_env=False, headers={"Authorization": header}) as client:
        assert client.get("/admin/orders").status_code == status
        assert client.get("/health").text == "OK"


# money and bugs


def test_the_word_refunded_is_wrong_where_part_was_captured(office: MedusaShop) -> None:
    order = office.sale(paid=False)
    office.sandbox.capture(order.id, Decimal(20))
    office.sandbox.refund(order.id, Decimal(5))
    assert order.payment_status() == "refunded"


def test_a_refund_lowers_the_total_and_a_capture_moves_nothing(office: MedusaShop) -> None:
    order = office.sale(paid=False)
    before = order.updated_at
    office.sandbox.capture(order.id)
    assert (order.updated_at, order.version) == (before, 1)
    office.sandbox.refund(order.id, Decimal("2.45"))
    seen = json.loads(office.connector.fetch(order.id).payload)
    assert (seen["total"], seen["original_total"], seen["version"]) == (30, 32.45, 2)
    assert seen["summary"]["pending_difference"] == 0
    assert order.updated_at > before


def test_an_archived_cancelled_order_can_still_be_completed(office: MedusaShop) -> None:
    order = office.sale()
    office.sandbox.cancel(order.id)
    for verb in ("archive", "complete"):
        assert ask(office, "POST", f"/admin/orders/{order.id}/{verb}").status_code == 200
    assert order.status == "completed"
    assert order.canceled_at is not None


def test_amounts_are_not_rounded_to_the_currency(office: MedusaShop) -> None:
    ids = office.sandbox.seed_orders(60)
    totals = [json.loads(raw.payload)["total"] for raw in office.connector.fetch_many(ids)]
    assert any(round(total, 2) != total for total in totals)


def test_records_say_which_key_made_them(office: MedusaShop) -> None:
    order = office.sale()
    payment_id = office.sandbox.payment_of(order.id).id
    office.sandbox.refund(order.id, Decimal(1), "by hand")
    ask(office, "POST", f"/admin/payments/{payment_id}/refund", {"amount": 1})
    assert [refund.by == OWN_KEY_ID for refund in office.sandbox.payment_of(order.id).refunds] == [False, True]


def test_an_order_edit_is_begun_seen_and_dropped_over_http(office: MedusaShop) -> None:
    order = office.sale()
    assert ask(office, "POST", "/admin/order-edits", {"order_id": order.id}).json()["order_change"]["id"]
    blocked = ask(office, "POST", f"/admin/orders/{order.id}/fulfillments", {"items": [_first_item(order)]})
    assert (blocked.status_code, order.fulfillments) == (400, [])
    assert ask(office, "GET", f"/admin/orders/{order.id}/changes", limit=1).status_code == 400
    assert ask(office, "DELETE", f"/admin/order-edits/{order.id}").json()["deleted"] is True
    assert office.connector.blockers(order.id) == []


def test_a_parcel_is_packed_shipped_and_delivered_over_http(office: MedusaShop) -> None:
    order = office.sale()
    base = f"/admin/orders/{order.id}/fulfillments"
    assert ask(office, "POST", base, {"items": [_first_item(order)]}).status_code == 200
    parcel = order.fulfillments[0]
    label = {"tracking_number": "T1", "tracking_url": "", "label_url": "#"}
    items = {"items": [_first_item(order)]}
    assert ask(office, "POST", f"{base}/{parcel.id}/shipments", {**items, "labels": [{}]}).status_code == 400
    assert ask(office, "POST", f"{base}/{parcel.id}/shipments", {**items, "labels": [label]}).status_code == 200
    assert ask(office, "POST", f"{base}/{parcel.id}/cancel", {}).status_code == 400
    assert ask(office, "POST", f"{base}/{parcel.id}/mark-as-delivered", {}).status_code == 200
    seen = json.loads(office.connector.fetch(order.id).payload)
    assert (seen["fulfillment_status"], seen["version"]) == ("delivered", 4)
    assert seen["fulfillments"][0]["labels"][0]["tracking_number"] == "T1"


def test_the_dialect_has_only_the_calls_it_describes() -> None:
    with medusa_shop("style") as shop:
        order = shop.sale()
        assert ask(shop, "GET", f"/admin/orders/{order.id}/changes").status_code == 404
        assert ask(shop, "POST", f"/admin/orders/{order.id}", {"metadata": {}}).status_code == 404


def test_the_same_seed_makes_the_same_shop() -> None:
    def shop_of(seed: int) -> bytes:
        with medusa_shop(seed=seed) as shop:
            shop.sandbox.seed_orders(6, start=NOW)
            return ask(shop, "GET", "/admin/orders", fields=ORDER_FIELDS).content

    assert shop_of(5) == shop_of(5)
    assert shop_of(5) != shop_of(6)


def _first_item(order: Any) -> dict[str, Any]:
    return {"id": order.items[0].id, "quantity": order.items[0].quantity}
