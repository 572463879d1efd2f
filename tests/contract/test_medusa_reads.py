"""Medusa connector against its sandbox, both dialects: check, fetch, fetch_many, payments, blockers, keys, errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ordersync_connectors.medusa import MedusaConnector
from ordersync_connectors.medusa.sandbox import JWT, PUBLISHABLE_KEY, SECRET_KEY
from tests.contract.common import error_of
from tests.contract.medusa_shop import SECRETS, MedusaShop, medusa_shop

from ordersync.connector import MAX_ORDER_BYTES, Connector, capabilities, load
from ordersync.errors import (
    BrokenAnswer,
    ConfigError,
    MappingError,
    NotFound,
    Transient,
    Unauthorized,
    UsageError,
)
from ordersync.testing.sales import sales
from ordersync.testing.sandbox import Fault


@pytest.fixture
def office() -> Iterator[MedusaShop]:
    with medusa_shop() as shop:
        yield shop


@pytest.fixture(params=["medusa", "style"])
def either(request: pytest.FixtureRequest) -> Iterator[MedusaShop]:
    with medusa_shop(request.param) as shop:
        yield shop


def order_in(payload: bytes) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(payload)
    return order


def test_the_entry_point_leads_to_a_connector() -> None:
    assert load("medusa") is MedusaConnector


def test_the_connector_has_what_the_platform_has(either: MedusaShop) -> None:
    assert isinstance(either.connector, Connector)
    parcels = set() if either.sandbox.dialect == "style" else {"pack", "ship", "deliver"}
    assert capabilities(either.connector) == parcels | {
        "cancel",
        "refund",
        "complete",
        "archive",
        "capture",
        "fetch_many",
        "blockers",
        "payments",
        "payment_providers",
        "payment",
    }


def test_mapping_feeds_and_semantics_are_those_of_the_dialect(office: MedusaShop) -> None:
    real, style = office.connector, office.connect(dialect="style")
    assert (real.mapping, style.mapping) == ("medusa", "medusa_style")
    assert [feed.name for feed in real.feeds] == ["orders", "payments"]
    assert [(feed.name, feed.by_watermark) for feed in style.feeds] == [("orders", False)]
    assert (real.semantics.records_cancel, style.semantics.records_cancel) == (True, False)
    assert MedusaConnector.mapping == "medusa"


# check and keys


def test_check_counts_the_orders_and_reads_the_providers(office: MedusaShop) -> None:
    office.sandbox.seed_orders(7)
    facts = office.connector.check()
    assert (facts.orders, facts.warnings) == (7, ())
    assert [r.path for r in office.sandbox.requests()] == ["/admin/orders", "/admin/payments/payment-providers"]


def test_check_warns_of_a_books_only_provider_that_is_not_there(either: MedusaShop) -> None:
    [warning] = either.connect(books_only=["pp_stripe_stripe"]).check().warnings
    assert "pp_stripe_stripe" in warning
    assert "pp_system_default" in warning


def test_the_secret_key_travels_as_basic_with_an_empty_password(either: MedusaShop) -> None:
    either.connector.check()
    expected = base64.b64encode(f"{SECRET_KEY}:".encode()).decode()
    assert {r.headers["authorization"] for r in either.sandbox.requests()} == {f"Basic {expected}"}


def test_a_jwt_travels_as_bearer(either: MedusaShop) -> None:
    either.connect(auth="bearer", token=JWT).check()
    assert {r.headers["authorization"] for r in either.sandbox.requests()} == {f"Bearer {JWT}"}


@pytest.mark.parametrize(
    "settings, said, fix",
    [
        ({"token": PUBLISHABLE_KEY}, "publishable key", "sk_"),
        ({"token": " "}, "empty token", "secret API key"),
        ({"auth": "bearer"}, "as Bearer", "auth: basic"),
        ({"token": JWT}, "JWT as Basic", "auth: bearer"),
    ],
)
def test_a_key_of_the_wrong_kind_is_told_before_anything_is_sent(
    office: MedusaShop, settings: dict[str, str], said: str, fix: str
) -> None:
    error = error_of(lambda: office.connect(**settings), *SECRETS, PUBLISHABLE_KEY)
    assert isinstance(error, ConfigError)
    assert said in error.message
    assert fix in (error.next_step or "")
    assert office.sandbox.requests() == []


def test_a_refused_key_is_unauthorized_and_not_repeated(either: MedusaShop) -> None:
    wrong = "sk_" + "00" * 32
    error = error_of(lambda: either.connect(token=wrong).check(), wrong)
    assert isinstance(error, Unauthorized)
    assert len(either.sandbox.requests()) == 1


# fetch


def test_fetch_brings_the_order_with_its_money_parcels_and_returns(office: MedusaShop) -> None:
    order_id = office.sandbox.seed_orders(14)[13]
    raw = office.connector.fetch(order_id)
    order = order_in(raw.payload)
    assert (raw.order_id, raw.partial, order["id"]) == (order_id, False, order_id)
    assert {"email", "currency_code", "canceled_at", "transactions", "returns", "customer"} <= order.keys()
    assert order["returns"][0]["status"] == "received"
    assert order["fulfillments"][0]["labels"][0]["tracking_number"].startswith("TRK-")
    assert order["payment_collections"][0]["payments"][0]["provider_id"] == "pp_system_default"


def test_fetch_of_the_dialect_is_bare_with_java_dates_and_no_status() -> None:
    with medusa_shop("style") as shop:
        order = order_in(shop.connector.fetch(shop.sale().id).payload)
    assert "status" not in order
    assert "order" not in order
    assert order["created_at"] == {"dateTime": "2026-11-01T12:00:10.000", "offset": {"totalSeconds": 0}}
    assert order["payment_collections"][0]["payments"][0]["captured_amount"] == 32.45


def test_fetch_answers_for_a_draft_that_no_list_shows(office: MedusaShop) -> None:
    draft = office.sandbox.add_draft(next(sales(1, 1)))
    assert order_in(office.connector.fetch(draft.id).payload)["is_draft_order"] is True
    assert office.connector.fetch_many([draft.id]) == []


def test_an_unknown_order_is_not_found(either: MedusaShop) -> None:
    error = error_of(lambda: either.connector.fetch("order_unknown"), *SECRETS)
    assert isinstance(error, NotFound)
    assert error.code == "not_found"


def test_a_web_page_with_404_is_a_wrong_base_url_and_not_a_missing_order(office: MedusaShop) -> None:
    elsewhere = office.connect(base_url=f"{office.server.origin}/admin")
    error = error_of(lambda: elsewhere.fetch(office.sale().id), *SECRETS)
    assert isinstance(error, BrokenAnswer)
    assert error.code == "not_the_admin_api"
    assert "without /admin" in (error.next_step or "")


def test_an_id_that_would_be_another_path_is_refused(either: MedusaShop) -> None:
    assert isinstance(error_of(lambda: either.connector.fetch("..")), UsageError)
    assert either.sandbox.requests() == []


def test_an_order_over_two_megabytes_is_named_and_not_kept(either: MedusaShop) -> None:
    order = either.sale()
    order.metadata = {"note": "x" * MAX_ORDER_BYTES}
    error = error_of(lambda: either.connector.fetch(order.id))
    assert isinstance(error, MappingError)
    assert error.code == "order_too_large"
    assert order.id in error.message


def test_fetch_many_asks_for_a_hundred_at_a_time_and_leaves_out_the_absent(office: MedusaShop) -> None:
    ids = office.sandbox.seed_orders(130)
    found = office.connector.fetch_many([*ids, "order_gone"])
    assert {raw.order_id for raw in found} == set(ids)
    assert not any(raw.partial for raw in found)
    asked = office.sandbox.requests("GET", "/admin/orders$")
    assert [(len(r.args("id[]")), r.arg("limit")) for r in asked] == [(100, "100"), (31, "31")]


def test_fetch_many_of_the_dialect_asks_one_by_one() -> None:
    with medusa_shop("style") as shop:
        ids = shop.sandbox.seed_orders(3)
        found = shop.connector.fetch_many([*ids, "order_gone"])
        assert [raw.order_id for raw in found] == ids
        assert len(shop.sandbox.requests("GET", "/admin/orders/order_")) == 4


def test_a_listed_order_is_the_same_order_as_the_fetched_one(office: MedusaShop) -> None:
    ids = office.sandbox.seed_orders(14)
    for raw in office.connector.fetch_many(ids):
        fetched = order_in(office.connector.fetch(raw.order_id).payload)
        for item in fetched["items"]:
            item.pop("variant", None)
        assert order_in(raw.payload) == fetched


# payments


def test_payments_are_listed_with_their_order_and_records(office: MedusaShop) -> None:
    order = office.sale()
    [payment] = office.connector.payments()["payments"]
    assert payment["payment_collection"]["order"] == {"id": order.id, "display_id": 1}
    assert payment["captures"][0]["created_at"] == "2026-11-01T12:00:11.000Z"


def test_one_payment_is_read_and_an_unknown_one_is_not_found(either: MedusaShop) -> None:
    payment_id = either.sandbox.payment_of(either.sale().id).id
    answered = either.connector.payment(payment_id)
    assert answered.get("payment", answered)["id"] == payment_id
    assert isinstance(error_of(lambda: either.connector.payment("pay_unknown")), NotFound)


def test_payment_providers_are_listed(either: MedusaShop) -> None:
    answered = either.connector.payment_providers()
    rows = answered["payment_providers"] if isinstance(answered, dict) else answered
    assert rows == [{"id": "pp_system_default", "is_enabled": True}]


# blockers


def test_an_open_order_edit_is_a_blocker_and_a_dropped_one_is_not(office: MedusaShop) -> None:
    order = office.sale()
    assert office.connector.blockers(order.id) == []
    office.sandbox.begin_order_edit(order.id)
    [said] = office.connector.blockers(order.id)
    assert said.startswith("edit ordch_")
    assert said.endswith("is still pending")
    assert office.sandbox.requests("GET", "/changes")[-1].args("status[]") == ["pending", "requested"]
    office.sandbox.drop_order_edit(order.id)
    assert office.connector.blockers(order.id) == []


def test_confirmed_changes_are_no_blockers(office: MedusaShop) -> None:
    order = office.sale()
    office.sandbox.ship(order.id, office.sandbox.fulfil(order.id), "TRK-1")
    assert len(order.changes) == 2
    assert office.connector.blockers(order.id) == []


def test_the_dialect_names_no_call_for_order_changes() -> None:
    with medusa_shop("style") as shop:
        assert shop.connector.blockers(shop.sale().id) == ()
        assert shop.sandbox.requests() == []


# errors of reads


@pytest.mark.parametrize("kind", ["500_before", "502_html", "cut_before", "torn_body", "429"])
def test_a_read_that_fails_once_is_repeated(either: MedusaShop, kind: Any) -> None:
    order = either.sale()
    either.sandbox.add_fault(Fault(kind, "GET", "/admin/orders/"))
    assert either.connector.fetch(order.id).order_id == order.id
    assert len(either.sandbox.requests("GET", "/admin/orders/")) == 2


def test_a_read_that_always_fails_ends_after_four_tries(either: MedusaShop) -> None:
    order = either.sale()
    either.sandbox.add_fault(Fault("500_before", "GET", "/admin/orders/", times=99))
    error = error_of(lambda: either.connector.fetch(order.id), *SECRETS, "buyer1@example.com")
    assert isinstance(error, Transient)
    assert error.code == "unknown_error"
    assert len(either.sandbox.requests("GET", "/admin/orders/")) == 4


def test_an_empty_answer_is_broken_and_never_an_empty_list(either: MedusaShop) -> None:
    either.sale()
    either.sandbox.add_fault(Fault("empty_200", "GET", "/admin/orders", times=99))
    error = error_of(lambda: either.connector.check())
    assert isinstance(error, BrokenAnswer)
    assert "empty" in error.message
