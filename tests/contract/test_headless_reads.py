"""Headless connector against its sandbox: check, fetch, fetch_many, look-up, keys, and how errors are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ordersync_connectors.headless import HeadlessConnector
from ordersync_connectors.headless.settings import HeadlessSettings
from ordersync_connectors.headless.writes import error_text
from pydantic import ValidationError
from tests.contract.common import error_of
from tests.contract.headless_shop import HeadlessShop, headless_shop

from ordersync.connector import MAX_ORDER_BYTES, CancelRequest, Connector, Window, capabilities, load
from ordersync.errors import (
    BrokenAnswer,
    ConfigError,
    MappingError,
    NotFound,
    OrdersyncError,
    Transient,
    Unauthorized,
    UsageError,
)
from ordersync.testing.sales import sales
from ordersync.testing.sandbox import Fault

EXPAND = "lines,customer,payments,fulfillments,refunds"


@pytest.fixture
def web() -> Iterator[HeadlessShop]:
    with headless_shop() as shop:
        shop.sandbox.seed_orders(6)
        yield shop


def test_the_entry_point_leads_to_a_connector() -> None:
    assert load("headless") is HeadlessConnector


def test_the_connector_has_what_the_platform_has_and_no_archive(web: HeadlessShop) -> None:
    assert isinstance(web.connector, Connector)
    parcels = {"pack", "ship", "deliver"}
    progress = {"confirm", "process", "complete"}
    others = {"cancel", "refund", "capture", "fetch_many", "lookup"}
    assert capabilities(web.connector) == parcels | progress | others


# check


def test_check_tells_the_store_its_orders_and_a_test_key(web: HeadlessShop) -> None:
    facts = web.connector.check()
    assert (facts.name, facts.currency, facts.orders) == ("Web Sandbox", "USD", 6)
    assert any("test key" in warning for warning in facts.warnings)


def test_check_warns_of_a_key_of_the_other_mode_and_of_a_wrong_clock() -> None:
    with headless_shop(now=lambda: datetime.now(UTC) + timedelta(minutes=5)) as shop:
        facts = shop.connect(environment="live").check()
    assert facts.clock_skew_s == pytest.approx(300, abs=5)
    assert any("test key, the shop is meant to be live" in warning for warning in facts.warnings)
    assert any("clock" in warning for warning in facts.warnings)


def test_check_is_two_cheap_requests_with_the_secret_key(web: HeadlessShop) -> None:
    web.connector.check()
    asked = web.sandbox.requests()
    assert [(r.method, r.path, r.query) for r in asked] == [
        ("GET", "/v1/admin/store", ()),
        ("GET", "/v1/admin/orders", (("limit", "1"),)),
    ]
    assert {r.headers["authorization"] for r in asked} == {f"Bearer {web.sandbox.secret_key}"}


# fetch


def test_fetch_brings_the_bytes_as_they_were_sent_expanded(web: HeadlessShop) -> None:
    raw = web.connector.fetch("ord_1004")
    asked = web.one("GET")
    assert (asked.path, asked.query) == ("/v1/admin/orders/ord_1004", (("expand", EXPAND),))
    assert (raw.order_id, raw.partial) == ("ord_1004", False)
    assert json.loads(raw.payload) == web.sandbox.state.order("ord_1004")


def test_fetch_works_where_arrays_come_only_on_request() -> None:
    with headless_shop(expand_needed=True) as shop:
        [order_id] = shop.sandbox.seed_orders(1)
        order = json.loads(shop.connector.fetch(order_id).payload)
        assert {"lines", "payments", "fulfillments", "refunds"} <= order.keys()
        bare = json.loads(shop.connect(expand_value="lines").fetch(order_id).payload)
        assert "payments" not in bare


def test_a_missing_order_is_not_found(web: HeadlessShop) -> None:
    error = error_of(lambda: web.connector.fetch("ord_9"), *web.secrets)
    assert type(error) is NotFound
    assert (error.shop, error.order, error.code) == ("web", "ord_9", "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("order_id", ["../store", "ord_1001/cancel", "ord_1001?x=1", "ord 1001#"])
def test_an_odd_id_never_reaches_another_resource(web: HeadlessShop, order_id: str) -> None:
    assert type(error_of(lambda: web.connector.fetch(order_id))) is NotFound
    assert web.one("GET").path.startswith("/v1/admin/orders/")


def test_dots_are_not_an_id(web: HeadlessShop) -> None:
    assert type(error_of(lambda: web.connector.fetch(".."))) is UsageError
    assert web.sandbox.requests() == []


def test_an_answer_about_another_order_is_broken(web: HeadlessShop) -> None:
    web.sandbox.state.orders["ord_1001"]["id"] = "ord_1002"
    error = error_of(lambda: web.connector.fetch("ord_1001"))
    assert (type(error), error.code) == (BrokenAnswer, "another_order")


def test_an_order_larger_than_the_limit_is_named_and_not_stored(web: HeadlessShop) -> None:
    web.sandbox.state.orders["ord_1001"]["note"] = "x" * (MAX_ORDER_BYTES + 1)
    error = error_of(lambda: web.connector.fetch("ord_1001"))
    assert (type(error), error.code, error.order) == (MappingError, "order_too_large", "ord_1001")
    assert len(str(error)) < 300


def test_fetch_many_leaves_out_what_is_gone(web: HeadlessShop) -> None:
    found = web.connector.fetch_many(["ord_1002", "ord_9", "ord_1001"])
    assert [raw.order_id for raw in found] == ["ord_1002", "ord_1001"]


def test_one_order_that_cannot_be_read_does_not_stop_the_others(web: HeadlessShop) -> None:
    web.sandbox.state.orders["ord_1002"]["note"] = "x" * (MAX_ORDER_BYTES + 1)
    web.sandbox.state.orders["ord_1003"]["id"] = "ord_1004"
    web.sandbox.add_fault(Fault("empty_200", path="ord_1004", times=99))
    found = web.connector.fetch_many([f"ord_100{place}" for place in range(1, 6)])
    assert [raw.order_id for raw in found] == ["ord_1001", "ord_1005"]


def test_fetch_many_does_not_take_an_outage_for_absence(web: HeadlessShop) -> None:
    web.sandbox.add_fault(Fault("500_before", times=99, path="ord_1001"))
    assert type(error_of(lambda: web.connector.fetch_many(["ord_1002", "ord_1001"]))) is Transient


# Broken answers to reads


@pytest.mark.parametrize("kind", ["500_before", "502_html", "cut_before", "torn_body"])
def test_a_read_survives_two_failures(web: HeadlessShop, kind: Any) -> None:
    web.sandbox.add_fault(Fault(kind, times=2))
    assert web.connector.fetch("ord_1001").order_id == "ord_1001"
    assert len(web.sandbox.requests("GET")) == 3


@pytest.mark.parametrize("kind", ["500_before", "502_html", "cut_before", "torn_body", "429"])
def test_a_read_that_keeps_failing_is_transient_and_never_an_absence(web: HeadlessShop, kind: Any) -> None:
    web.sandbox.add_fault(Fault(kind, times=99))
    error = error_of(lambda: web.connector.fetch("ord_1001"), *web.secrets)
    assert isinstance(error, Transient)
    assert len(web.sandbox.requests("GET")) == 4


def test_an_empty_200_is_a_broken_answer(web: HeadlessShop) -> None:
    web.sandbox.add_fault(Fault("empty_200", times=99))
    assert type(error_of(lambda: web.connector.fetch("ord_1001"))) is BrokenAnswer


# Keys


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.check(),
        lambda c: c.fetch("ord_1001"),
        lambda c: c.pull("new", Window(), None),
        lambda c: c.cancel("ord_1001", CancelRequest(), "k"),
    ],
    ids=["check", "fetch", "pull", "cancel"],
)
def test_a_publishable_key_is_refused_for_admin_calls_before_any_request(web: HeadlessShop, call: Any) -> None:
    connector = web.connect(api_key=web.sandbox.publishable_key, publishable_key=None)
    error = error_of(lambda: call(connector), *web.secrets)
    assert (type(error), error.code) == (Unauthorized, "publishable_key")
    assert "sk_" in (error.next_step or "")
    assert web.sandbox.requests() == []


def test_a_wrong_key_is_unauthorized_and_not_told(web: HeadlessShop) -> None:
    wrong = "sk_live_wrongwrongwrong"
    error = error_of(lambda: web.connect(api_key=wrong).fetch("ord_1001"), wrong)
    assert (type(error), error.code) == (Unauthorized, "INVALID_API_KEY")
    assert len(web.sandbox.requests()) == 1


@pytest.mark.parametrize("key", ["", "sk_live with blank", "sk_live_\n", "sk_лайв"])
def test_a_key_no_header_can_carry_is_a_settings_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HeadlessSettings.model_validate({"connector": "headless", "api_key": key})
    assert not key or key not in str(caught.value)


def test_a_secret_key_in_the_publishable_place_is_a_settings_error() -> None:
    with pytest.raises(ValidationError, match="belongs in api_key") as caught:
        HeadlessSettings.model_validate(
            {"connector": "headless", "api_key": "sk_test_1", "publishable_key": "sk_test_2"}
        )
    assert "sk_test_2" not in str(caught.value)


def test_keys_do_not_show_in_the_settings(web: HeadlessShop) -> None:
    config = web.sandbox.settings_for(web.server)
    shown = repr(HeadlessSettings.model_validate(config)) + repr(vars(web.connector))
    for secret in web.secrets:
        assert secret not in shown


# Look-up


def guest(web: HeadlessShop, order_id: str = "ord_1001") -> str:
    return str(web.sandbox.state.order(order_id)["email"])


def test_lookup_asks_as_the_vendor_page_says(web: HeadlessShop) -> None:
    raw = web.connector.lookup("1001", guest(web))
    asked = web.one("GET")
    assert asked.path == "/v1/storefront/orders/lookup"
    assert asked.query == (("number", "1001"), ("email", guest(web)))
    assert asked.headers["authorization"] == f"Bearer {web.sandbox.publishable_key}"
    assert "x-customer-token" not in asked.headers
    assert (raw.order_id, json.loads(raw.payload)["number"]) == ("ord_1001", 1001)


@pytest.mark.parametrize("kind", ["secret_key", "publishable_key"])
def test_lookup_works_with_either_key_alone(web: HeadlessShop, kind: str) -> None:
    key = getattr(web.sandbox, kind)
    connector = web.connect(api_key=key, publishable_key=None)
    assert connector.lookup("1001", guest(web)).order_id == "ord_1001"
    assert web.one("GET").headers["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize("number", ["#1001", " 1001 ", "# 1001"])
def test_lookup_takes_a_number_as_people_write_it(web: HeadlessShop, number: str) -> None:
    assert web.connector.lookup(number, f" {guest(web)} ").order_id == "ord_1001"


@pytest.mark.parametrize("number", ["ord_1001", "", "#", "10O1", "-1", "1e3", "١٠٠١", "1" * 30])
def test_lookup_does_not_ask_for_what_is_no_number(web: HeadlessShop, number: str) -> None:
    assert type(error_of(lambda: web.connector.lookup(number, guest(web)))) is UsageError
    assert web.sandbox.requests() == []


def test_lookup_tries_once_more_in_lower_case(web: HeadlessShop) -> None:
    assert web.connector.lookup("1001", guest(web).upper()).order_id == "ord_1001"
    assert [r.arg("email") for r in web.sandbox.requests()] == [guest(web).upper(), guest(web)]


@pytest.mark.parametrize("number, email", [("1001", "Nobody@example.com"), ("9999", "nobody@example.com")])
def test_lookup_of_a_mismatch_is_not_found_and_names_nobody(web: HeadlessShop, number: str, email: str) -> None:
    error = error_of(lambda: web.connector.lookup(number, email), email, email.lower(), *web.secrets)
    assert type(error) is NotFound
    assert len(web.sandbox.requests()) == (2 if email != email.lower() else 1)


def test_lookup_of_another_order_than_asked_is_broken(web: HeadlessShop) -> None:
    web.sandbox.state.orders["ord_1002"] |= {"number": 1001, "email": "other@example.com"}
    web.sandbox.unknowns.number_as_text = True
    assert web.connector.lookup("1001", guest(web)).order_id == "ord_1001"
    email = guest(web)
    del web.sandbox.state.orders["ord_1001"]
    web.sandbox.state.orders["ord_1002"] |= {"email": email, "id": 7}
    assert error_of(lambda: web.connector.lookup("1001", email)).code == "another_order"


# Errors


SAMPLES: list[tuple[Any, tuple[str | None, str | None]]] = [
    ({"code": "A", "message": "M", "details": {"field": "email", "message": "bad"}}, ("A", "M (email: bad)")),
    (
        {
            "code": "V",
            "message": "M",
            "details": [{"field": "a.0", "message": "x"}, {"field": "c", "message": "y"}],
        },
        ("V", "M (a.0: x; c: y)"),
    ),
    ({"code": "R", "message": "gone", "details": {"resource": "Order", "id": "1"}}, ("R", "gone")),
    ({"code": 7, "message": None}, (None, None)),
    ("text", (None, None)),
    (None, (None, None)),
]


@pytest.mark.parametrize("error, told", SAMPLES)
def test_error_bodies_in_every_form_are_told(error: Any, told: tuple[str | None, str | None]) -> None:
    assert error_text(400, json.dumps({"error": error}).encode()) == told


@pytest.mark.parametrize("body", [b'["error"]', b"<html><h1>502 Bad Gateway</h1></html>", b"", b'{"error":'])
def test_a_body_that_is_no_error_body_tells_nothing(body: bytes) -> None:
    assert error_text(502, body) == (None, None)


def test_every_error_has_shop_operation_and_no_secret(web: HeadlessShop) -> None:
    web.sandbox.add_fault(Fault("502_html", times=4))
    errors: list[OrdersyncError] = [
        error_of(lambda: web.connector.fetch("ord_1001"), *web.secrets),
        error_of(lambda: web.connector.fetch("nope"), *web.secrets),
        error_of(lambda: web.connector.cancel("nope", CancelRequest(), "k"), *web.secrets),
    ]
    assert all(error.shop == "web" and error.operation for error in errors)


def test_an_unknown_feed_is_a_configuration_error(web: HeadlessShop) -> None:
    assert type(error_of(lambda: web.connector.pull("changed", Window(), None))) is ConfigError


def test_the_rate_setting_holds_requests_back(web: HeadlessShop) -> None:
    import time

    connector = web.connect(rate="20/s")
    began = time.monotonic()
    for _ in range(7):
        connector.fetch("ord_1001")
    assert time.monotonic() - began >= 0.2


def test_two_shops_can_have_the_same_sale() -> None:
    [sale] = sales(3, 1)
    with headless_shop() as one, headless_shop() as two:
        assert one.sandbox.add_sale(sale) == two.sandbox.add_sale(sale)
        raws = [shop.connector.fetch(f"ord_{sale.number}") for shop in (one, two)]
    assert raws[0].payload == raws[1].payload
    order = json.loads(raws[0].payload)
    assert order["total"] == {"amount": sale.total_minor, "currency": "USD"}
