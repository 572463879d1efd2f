"""The kit the sandboxes are built from: routes, faults before and after the effect, quota, log, stopping."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

import httpx
import pytest

from ordersync.testing.sales import sales
from ordersync.testing.sandbox import Fault, HttpError, Reply, Request, Sandbox, SandboxServer, encode_body, route


class Counter(Sandbox):
    """A shop with one number."""

    platform: ClassVar[str] = "counter"
    base_path: ClassVar[str] = "/v1"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.value = 0

    @route("GET", "/value")
    def read(self, request: Request) -> Reply:
        return Reply(200, {"value": self.value})

    @route("POST", "/value")
    def add(self, request: Request) -> Reply:
        self.value += 1
        return Reply(201, {"value": self.value})

    @route("GET", "/named/{name}/{part}")
    def echo(self, request: Request, name: str, part: str) -> Reply:
        return Reply(200, [name, part, request.args("a", "a[]")])

    @route("GET", "/refused")
    def refuse(self, request: Request) -> Reply:
        raise HttpError(Reply(418, {"message": "short and stout"}))

    def copy_visible_state(self) -> Any:
        return self.value

    def show_state(self, state: Any) -> Any:
        shown, self.value = self.value, state
        return shown


@pytest.fixture
def shop() -> Counter:
    return Counter()


@pytest.fixture
def server(shop: Counter) -> Iterator[SandboxServer]:
    with SandboxServer(shop) as running:
        yield running


@pytest.fixture
def http(server: SandboxServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=5, trust_env=False) as client:
        yield client


def test_routes_answer_below_the_base_path_only(http: httpx.Client, server: SandboxServer) -> None:
    assert http.get("/value").json() == {"value": 0}
    assert http.get(f"{server.origin}/value").status_code == 404
    assert http.get("/other").status_code == 404
    assert http.delete("/value").status_code == 404
    assert http.get("/refused").status_code == 418


def test_parts_of_a_path_arrive_decoded_and_lists_in_any_spelling(http: httpx.Client) -> None:
    assert http.get("/named/a%2Fb/%C3%A9?a=1&a[]=2&b=3").json() == ["a/b", "é", ["1", "2"]]


def test_a_number_is_sent_as_it_is_kept() -> None:
    assert encode_body({"a": Decimal("1"), "b": Decimal("1.5")}) == b'{"a":1,"b":1.5}'
    with pytest.raises(TypeError):
        encode_body({"a": object()})


@pytest.mark.parametrize("kind, status", [("429", 429), ("500_before", 500), ("502_html", 502)])
def test_a_fault_before_the_effect_leaves_the_state_alone(
    shop: Counter, http: httpx.Client, kind: Any, status: int
) -> None:
    shop.add_fault(Fault(kind, method="POST", retry_after_s=3))
    assert http.get("/value").status_code == 200
    answer = http.post("/value")
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == ("3" if kind == "429" else None)
    assert shop.value == 0
    assert http.post("/value").status_code == 201


def test_a_fault_after_the_effect_has_acted(shop: Counter, http: httpx.Client) -> None:
    shop.add_fault(Fault("500_after", method="POST"))
    assert http.post("/value").status_code == 500
    assert shop.value == 1
    shop.add_fault(Fault("empty_200", method="POST"))
    assert http.post("/value").content == b""
    assert shop.value == 2


@pytest.mark.parametrize("kind, acted", [("cut_before", 0), ("cut_after", 1), ("torn_body", 1)])
def test_a_cut_connection_is_an_error_for_the_client(
    shop: Counter, http: httpx.Client, kind: Any, acted: int
) -> None:
    shop.add_fault(Fault(kind, method="POST"))
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/value")
    assert shop.value == acted


def test_late_visibility_shows_reads_the_state_from_before(shop: Counter, http: httpx.Client) -> None:
    shop.add_fault(Fault("late_visibility", method="POST", seconds=0.3))
    assert http.post("/value").json() == {"value": 1}
    assert http.get("/value").json() == {"value": 0}
    assert http.post("/value").json() == {"value": 2}
    time.sleep(0.35)
    assert http.get("/value").json() == {"value": 2}


def test_latency_waits_and_then_answers(shop: Counter, http: httpx.Client) -> None:
    shop.add_fault(Fault("latency", seconds=0.2))
    began = time.monotonic()
    assert http.get("/value").status_code == 200
    assert time.monotonic() - began >= 0.2


def test_a_fault_strikes_as_often_as_told_and_can_be_cleared(shop: Counter, http: httpx.Client) -> None:
    shop.add_fault(Fault("500_before", times=2))
    assert [http.get("/value").status_code for _ in range(3)] == [500, 500, 200]
    shop.add_fault(Fault("500_before", times=2))
    shop.clear_faults()
    assert http.get("/value").status_code == 200


def test_a_quota_refuses_what_comes_too_fast(shop: Counter, http: httpx.Client) -> None:
    shop.quota_per_s, shop.quota_burst = 5.0, 3
    shop._tokens = 3.0  # start with a full bucket of the smaller size
    statuses = [http.get("/value").status_code for _ in range(5)]
    assert statuses[:3] == [200] * 3
    assert 429 in statuses[3:]
    time.sleep(0.25)
    assert http.get("/value").status_code == 200


def test_the_log_keeps_what_was_asked_and_never_the_key(
    shop: Counter, http: httpx.Client, server: SandboxServer
) -> None:
    http.post("/value?a=1", headers={"Authorization": "Bearer sk_secret"}, content=b'{"n":1}')
    [asked] = shop.requests("POST", "/value$")
    assert (asked.query, asked.json(), asked.headers["authorization"]) == (
        (("a", "1"),),
        {"n": 1},
        "Bearer sk_secret",
    )
    told = http.get(f"{server.origin}/_sandbox/log").text
    assert "sk_secret" not in told
    assert json.loads(told)["requests"][0]["scheme"] == "Bearer"


def test_faults_can_be_set_from_another_process(http: httpx.Client, server: SandboxServer) -> None:
    control = f"{server.origin}/_sandbox/faults"
    assert http.post(control, json={"kind": "500_before", "method": "GET"}).json() == {"faults": 1}
    assert http.get("/value").status_code == 500
    assert http.post(control, json={"kind": "500_before"}).json() == {"faults": 1}
    assert http.delete(control).json() == {"faults": 0}
    assert http.get("/value").status_code == 200
    assert http.get(f"{server.origin}/_sandbox/other").status_code == 404


@pytest.mark.parametrize("fault", [{"kind": "earthquake"}, {"sort": "429"}, {"kind": "429", "path": "("}, [], "x"])
def test_what_is_not_a_fault_is_refused(http: httpx.Client, server: SandboxServer, fault: Any) -> None:
    assert http.post(f"{server.origin}/_sandbox/faults", json=fault).status_code == 400
    assert http.get("/value").status_code == 200


def test_the_date_header_follows_the_sandbox_clock() -> None:
    with SandboxServer(Counter(now=lambda: datetime(2026, 3, 1, 12, 0, tzinfo=UTC))) as running:
        answer = httpx.get(f"{running.base_url}/value", trust_env=False)
    assert answer.headers["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"


def test_a_body_of_unknown_length_is_refused(server: SandboxServer) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(server.origin).port or 0), timeout=5) as raw:
        raw.sendall(b"POST /v1/value HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n")
        assert raw.recv(64).startswith(b"HTTP/1.1 411 ")


def test_a_stopped_server_answers_nobody_also_not_on_a_kept_connection(shop: Counter) -> None:
    running = SandboxServer(shop).start()
    with httpx.Client(base_url=running.base_url, timeout=5, trust_env=False) as http:
        assert http.get("/value").status_code == 200
        running.stop()
        with pytest.raises(httpx.TransportError):
            http.get("/value")
    running.stop()


def test_a_server_that_never_started_can_be_stopped(shop: Counter) -> None:
    SandboxServer(shop).stop()


def test_seeded_sales_are_the_same_each_time_and_name_nobody_real() -> None:
    once, again = list(sales(7, 50)), list(sales(7, 50))
    assert once == again
    assert once != list(sales(8, 50))
    assert len({sale.number for sale in once}) == 50
    assert all(sale.email.endswith("@example.com") for sale in once)
    assert [sale.placed_at for sale in once] == sorted(sale.placed_at for sale in once)
    for sale in once:
        assert sale.total_minor == sum(n * price for _, _, n, price in sale.lines) + sale.shipping_minor
        assert len({line.sku for line in sale.lines}) == len(sale.lines)


def test_a_quota_is_set_from_another_process() -> None:
    with SandboxServer(Sandbox()) as server, httpx.Client(base_url=server.origin, trust_env=False) as client:
        assert client.post("/_sandbox/quota", json={"per_s": 0.01, "burst": 2}).status_code == 200
        assert [client.get("/anything").status_code for _ in range(3)] == [404, 404, 429]
        assert client.post("/_sandbox/quota", json={"per_s": None}).status_code == 200
        assert client.get("/anything").status_code == 404
        assert client.post("/_sandbox/quota", content=b"[]").status_code == 400
