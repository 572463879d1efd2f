"""Reading a SHOPLINE store: check, fetch, fetch_many, rows that cannot be used, and every shape of an error."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from ordersync_connectors.shopline import ShoplineConnector, ShoplineSettings
from ordersync_connectors.shopline.settings import token_end
from pydantic import ValidationError
from tests.contract.common import error_of, pull_all
from tests.contract.shopline_shop import EMAIL, NOW, ShoplineShop, shopline_shop

from ordersync.connector import MAX_ORDER_BYTES, Window, capabilities
from ordersync.errors import (
    BrokenAnswer,
    ConfigError,
    MappingError,
    NotFound,
    OrdersyncError,
    Refused,
    Transient,
    Unauthorized,
)
from ordersync.testing.sandbox import Fault, Reply, Request


@pytest.fixture
def shop() -> Iterator[ShoplineShop]:
    with shopline_shop() as shop:
        yield shop


def answer_always(shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, reply: Reply, part: str = "") -> None:
    """Every request whose path holds `part` gets this answer."""
    answered = shop.sandbox.answer

    def answer(request: Request) -> tuple[Reply | None, str]:
        if part in request.path:
            return Reply(reply.status, reply.body, dict(reply.headers), reply.content_type), "whole"
        return answered(request)

    monkeypatch.setattr(shop.sandbox, "answer", answer)


def test_check_says_which_store_this_is_and_how_many_orders_it_has(shop: ShoplineShop) -> None:
    shop.sandbox.seed_orders(14)

    facts = shop.connector.check()

    assert (facts.name, facts.currency, facts.orders) == ("Tea Sandbox", "USD", 14)
    assert len(shop.sandbox.log) == 3
    for request in shop.sandbox.log:
        assert request.headers["authorization"] == f"Bearer {shop.sandbox.token}"
        assert request.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("state, word", [(1, "not activated"), (3, "closed"), (4, "frozen"), (5, "deactivated")])
def test_check_warns_of_a_store_that_is_not_open(shop: ShoplineShop, state: int, word: str) -> None:
    shop.sandbox.store_state = state
    assert any(word in warning for warning in shop.connector.check().warnings)
    shop.sandbox.store_state = 2
    assert not any("the store" in warning for warning in shop.connector.check().warnings)


def test_check_warns_of_a_missing_scope_it_can_do_without_and_of_a_wrong_clock(shop: ShoplineShop) -> None:
    shop.sandbox.scopes.discard("read_store_information")
    facts = shop.connector.check()
    assert facts.name is None
    assert any("read_store_information" in warning for warning in facts.warnings)
    assert any("clock" in warning for warning in facts.warnings)  # the sandbox's clock stands in the past


def test_check_refuses_a_key_that_may_not_read_orders(shop: ShoplineShop) -> None:
    shop.sandbox.scopes.discard("read_orders")
    refused = error_of(shop.connector.check, shop.sandbox.token)
    assert isinstance(refused, Unauthorized)
    assert "read_orders" in refused.message


def test_a_wrong_token_is_named_and_never_shown(shop: ShoplineShop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    connector = shop.connect(token="a-wrong-but-secret-token")
    refused = error_of(connector.check, "a-wrong-but-secret-token", shop.sandbox.token)
    assert isinstance(refused, Unauthorized)
    assert refused.code == "http_401"
    assert "a-wrong-but-secret-token" not in caplog.text
    assert "a-wrong-but-secret-token" not in repr(connector.settings)


def test_the_end_of_a_token_is_read_from_the_token_itself() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1769927492}).encode()).rstrip(b"=").decode()
    ends_at = token_end(f"eyJhbGciOiJIUzUxMiJ9.{claims}.signature")
    assert ends_at is not None
    assert ends_at.isoformat() == "2026-02-01T06:31:32+00:00"
    for other in ("opaque", "a.b.c", "..", f"x.{base64.urlsafe_b64encode(b'[1]').decode()}.y", "a.é.c"):
        assert token_end(other) is None


def test_check_warns_of_a_token_that_ends(shop: ShoplineShop) -> None:
    claims = base64.urlsafe_b64encode(b'{"exp": 1769927492}').rstrip(b"=").decode()
    shop.sandbox.token = f"eyJhbGciOiJIUzUxMiJ9.{claims}.signature"
    warnings = shop.connect(token=shop.sandbox.token).check().warnings
    assert any("the token ends 2026-02-01" in warning for warning in warnings)


def test_an_order_is_fetched_by_listing_its_id(shop: ShoplineShop) -> None:
    order_id = shop.sell()

    raw = shop.connector.fetch(order_id)

    request = shop.one("GET")
    assert request.path == "/admin/openapi/v20250601/orders.json"
    assert dict(request.query) == {"ids": order_id, "status": "any", "hidden_order": "false", "limit": "100"}
    assert json.loads(raw.payload)["id"] == raw.order_id == order_id
    assert raw.payload == shop.sandbox.state.row(order_id).bytes()
    assert not raw.partial


def test_an_archived_order_is_fetched_too_and_gone_means_gone_everywhere(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    shop.sandbox.archive(order_id)
    assert json.loads(shop.connector.fetch(order_id).payload)["hidden_order"] is True

    shop.sandbox.log.clear()
    gone = error_of(lambda: shop.connector.fetch("21" + "9" * 24))
    assert isinstance(gone, NotFound)
    assert [request.arg("hidden_order") for request in shop.sandbox.log] == ["false", "true", "false"]


def test_an_order_unarchived_between_the_questions_is_found(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    shop.sandbox.archive(order_id)

    def unarchive(request: Request) -> None:
        if request.arg("hidden_order") == "true":
            shop.sandbox.archive(order_id, hidden=False)

    shop.sandbox.on_list = unarchive
    assert shop.connector.fetch(order_id).order_id == order_id


@pytest.mark.parametrize("bad", ["1,2", "../shop", "", " ", "21?ids=1", "x" * 65, "é"])
def test_what_cannot_be_an_order_id_is_not_asked_for(shop: ShoplineShop, bad: str) -> None:
    assert error_of(lambda: shop.connector.fetch(bad)).code == "bad_id"
    assert shop.connector.fetch_many([bad]) == []
    assert shop.sandbox.log == []


def test_many_orders_are_fetched_a_hundred_a_call_in_the_order_asked(shop: ShoplineShop) -> None:
    ids = shop.sandbox.seed_orders(130)
    absent = "21" + "8" * 24
    hidden = [order_id for order_id in ids if shop.sandbox.order(order_id)["hidden_order"]]
    assert hidden

    found = shop.connector.fetch_many([*ids, absent, ids[0]])

    assert [raw.order_id for raw in found] == ids
    asked = [len((request.arg("ids") or "").split(",")) for request in shop.sandbox.log]
    assert asked == [100, 31, len(hidden) + 1]


@pytest.mark.parametrize("archived", [False, True])
def test_answers_about_other_orders_are_not_believed(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, archived: bool
) -> None:
    order_id = shop.sell()
    answer_always(shop, monkeypatch, Reply(200, {"orders": [{"id": "217", "hidden_order": archived}]}))
    for call in (lambda: shop.connector.fetch(order_id), lambda: shop.connector.fetch_many([order_id])):
        broken = error_of(call)
        assert isinstance(broken, BrokenAnswer)
        assert broken.code == "other_orders"


def test_rows_that_cannot_be_used_are_named_and_the_others_go_on(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"id": "21050342939778451436179579", "email": EMAIL, "note": "ok"}
    large = {"id": "21050342939778451436179580", "note": "x" * (MAX_ORDER_BYTES + 1), "email": EMAIL}
    rows = [{"email": EMAIL}, good, {"id": 21050342939778451436179581}, {"id": " "}, "text", None, 7, large]
    answer_always(shop, monkeypatch, Reply(200, {"orders": rows}), "/orders.json")

    page = shop.connector.pull("changed", Window(), None)

    assert [raw.order_id for raw in page.orders] == [good["id"]]
    assert json.loads(page.orders[0].payload) == good
    assert len(page.unreadable) == 7
    assert "21050342939778451436179580" in page.unreadable[-1]
    assert str(MAX_ORDER_BYTES) in page.unreadable[-1]
    assert EMAIL not in " ".join(page.unreadable)
    assert page.next_cursor


def test_an_order_too_large_to_keep_is_a_mapping_error_of_its_own(shop: ShoplineShop) -> None:
    order_id, other = shop.sell(), shop.sell(1002)
    with shop.sandbox.state.edit(order_id) as order:
        order["note"] = "x" * (5 * 1024 * 1024)

    parked = error_of(lambda: shop.connector.fetch(order_id))

    assert isinstance(parked, MappingError)
    assert parked.code == "order_too_large"
    assert parked.order == order_id
    assert [raw.order_id for raw in shop.connector.fetch_many([order_id, other])] == [other]
    done = pull_all(shop.connector, "changed")
    assert done.ids == [other]
    assert done.unreadable


def test_bytes_are_kept_as_sent(shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd spaces, duplicate keys, escapes and 19 digits survive: nothing is decoded and encoded again."""
    row = b'{ "note":"caf\\u00e9 \xe8\x8c\xb6", "id" : "217" ,"x": 1000000.0000000000001, "note":"b" }'
    answer_always(shop, monkeypatch, Reply(200, b'{"orders":[' + row + b"]}"), "/orders.json")
    assert shop.connector.fetch("217").payload == row


@pytest.mark.parametrize(
    "reply, code",
    [
        (Reply(200, None), "broken_json"),
        (Reply(200, "<html>busy</html>", content_type="text/html"), "broken_json"),
        (Reply(200, '{"orders":[{"id":"21'), "broken_json"),
        (Reply(200, {"data": []}), "broken_page"),
        (Reply(200, {"orders": None}), "broken_page"),
        (Reply(200, {"orders": {"id": "1"}}), "broken_page"),
        (Reply(200, [{"id": "1"}]), "broken_page"),
        (Reply(200, "[" * 100_000), "broken_page"),
        (Reply(200, '{"orders":[' + "[" * 100_000), "broken_json"),
        (Reply(302, None, {"Location": "http://evil.example/orders.json"}), "redirected"),
    ],
)
def test_an_answer_that_is_not_a_page_is_broken_not_empty(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, reply: Reply, code: str
) -> None:
    answer_always(shop, monkeypatch, reply, "/orders.json")
    calls: list[Callable[[], object]] = [
        lambda: shop.connector.fetch("217"),
        lambda: shop.connector.fetch_many(["217"]),
        lambda: shop.connector.pull("changed", Window(), None),
    ]
    for call in calls:
        broken = error_of(call, shop.sandbox.token)
        assert isinstance(broken, BrokenAnswer)
        assert broken.code == code
        assert broken.shop == "asia"


@pytest.mark.parametrize("body", ["{}", '{"count":"12"}', '{"count":null}', "", "<html>"])
def test_a_broken_count_is_broken(shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    answer_always(shop, monkeypatch, Reply(200, body), "count.json")
    assert error_of(lambda: shop.connector.pull("changed", Window(), None)).code == "broken_count"


ERROR_BODIES = [
    ({"errors": "bad request"}, "bad request"),
    ({"errors": ["a is wrong", "b is wrong"]}, "a is wrong; b is wrong"),
    ({"errors": {"line_items": ["is invalid"], "email": "is invalid"}}, "line_items is invalid; email is invalid"),
    ({"message": "said elsewhere", "code": "X"}, "said elsewhere"),
    ({"errors": None}, None),
    ({"errors": ""}, None),
    ([1], None),
    ("", None),
    ("plain words", None),
    ("<html>nginx</html>", None),
]


@pytest.mark.parametrize("body, said", ERROR_BODIES)
@pytest.mark.parametrize("status", [400, 406, 412, 422])
def test_every_shape_of_an_error_body_is_a_refusal_with_its_words(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, status: int, body: object, said: str | None
) -> None:
    answer_always(shop, monkeypatch, Reply(status, body, {"traceid": "6a982bc1"}))
    refused = error_of(lambda: shop.connector.fetch("217"), shop.sandbox.token)
    assert isinstance(refused, Refused)
    assert refused.http_status == status
    assert refused.request_id == "6a982bc1"
    assert refused.message.endswith(said if said else str(status))


def test_buyer_data_and_keys_in_an_error_are_not_quoted(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"user {EMAIL} phone +1 212 555 0100 token Bearer {shop.sandbox.token}"
    answer_always(shop, monkeypatch, Reply(400, {"errors": {"email": text}}))
    error_of(lambda: shop.connector.fetch("217"), EMAIL, "555 0100", shop.sandbox.token)


@pytest.mark.parametrize(
    "status, kind, code",
    [
        (401, Unauthorized, "http_401"),
        (402, Refused, "store_frozen"),
        (403, Unauthorized, "http_403"),
        (404, Refused, "no_such_address"),
        (423, Refused, "store_locked"),
        (433, Refused, "blocked"),
        (436, Refused, "blocked"),
        (429, Transient, "rate_limited"),
        (500, Transient, "http_500"),
        (501, Transient, "http_501"),
        (503, Transient, "http_503"),
        (504, Transient, "http_504"),
    ],
)
def test_every_status_says_what_happens_next(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[OrdersyncError], code: str
) -> None:
    answer_always(shop, monkeypatch, Reply(status, {"errors": "The words"}))
    failed = error_of(lambda: shop.connector.fetch("217"), shop.sandbox.token)
    assert type(failed) is kind
    assert failed.code == code


def test_blocked_and_locked_stores_are_not_hammered(shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    for status in (402, 423, 433):

        def answer(request: Request, status: int = status) -> tuple[Reply | None, str]:
            asked.append(status)
            return Reply(status, {"errors": "no"}), "whole"

        monkeypatch.setattr(shop.sandbox, "answer", answer)
        error_of(lambda: shop.connector.fetch("217"))
    assert asked == [402, 423, 433]


@pytest.mark.parametrize(
    "fault", ["429", "500_before", "500_after", "502_html", "cut_before", "cut_after", "torn_body"]
)
def test_a_read_that_failed_for_a_moment_is_asked_again(shop: ShoplineShop, fault: str) -> None:
    order_id = shop.sell()
    shop.sandbox.add_fault(Fault(fault, path="orders.json", times=2))  # type: ignore[arg-type]  # the names above
    assert shop.connector.fetch(order_id).order_id == order_id
    assert len(shop.sandbox.requests("GET", "orders.json")) == 3


def test_requests_that_fit_the_queue_wait_and_the_excess_is_refused_without_a_date(shop: ShoplineShop) -> None:
    order_id = shop.sell()
    shop.sandbox.requests_per_s = 200.0
    shop.sandbox._queue_free_at += 30 / 200.0  # thirty requests of somebody else are waiting
    assert shop.connector.fetch(order_id).order_id == order_id
    shop.sandbox._queue_free_at += 3600.0
    refused = error_of(lambda: shop.connector.fetch(order_id))
    assert isinstance(refused, Transient)
    assert (refused.code, refused.retry_after_s) == ("rate_limited", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"handle": "Bad Handle"},
        {"handle": "x.evil.example/"},
        {"handle": ""},
        {"api_version": "20250601"},
        {"page_limit": 101},
        {"page_limit": 0},
        {"overlap_minutes": 1, "lag_seconds": 60},
        {"unknown": 1},
        {"token": None},
    ],
)
def test_wrong_settings_are_refused_before_anything_is_sent(wrong: dict[str, object]) -> None:
    right = {"connector": "shopline", "handle": "open001", "token": "secret-secret"}
    assert (
        ShoplineSettings.model_validate(right).origin == "https://open001.myshopline.com/admin/openapi/v20250601"
    )
    with pytest.raises(ValidationError) as caught:
        ShoplineSettings.model_validate({**right, **wrong})
    assert "secret-secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_cannot_be_sent_is_a_configuration_error(token: str) -> None:
    settings = ShoplineSettings.model_validate({"connector": "shopline", "handle": "open001", "token": token})
    wrong = error_of(lambda: ShoplineConnector("asia", settings), *[part for part in [token] if len(part) > 3])
    assert isinstance(wrong, ConfigError)
    assert wrong.code == "bad_token"


def test_capabilities_are_what_the_platform_documents() -> None:
    assert capabilities(ShoplineConnector) == {"fetch_many", "cancel", "refund", "ship", "archive"}
    assert ShoplineConnector.semantics.cancel_refunds == "unknown"
    assert ShoplineConnector.semantics.idempotency_key_life is None


def test_late_visibility_shows_reads_the_state_from_before(shop: ShoplineShop) -> None:
    order_id = shop.sell(at=NOW - timedelta(days=1))
    shop.sandbox.add_fault(Fault("late_visibility", method="PUT", seconds=0.3))
    shop.connector.archive(order_id, "key")
    assert json.loads(shop.connector.fetch(order_id).payload)["hidden_order"] is False
    assert shop.sandbox.order(order_id)["hidden_order"] is True
