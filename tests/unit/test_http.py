"""ShopClient against real sockets on loopback: what is retried, what never is, and how each end is named."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import stamina

from ordersync.errors import (
    BrokenAnswer,
    NotFound,
    OrdersyncError,
    OutcomeUnknown,
    Refused,
    Transient,
    Unauthorized,
    UsageError,
)
from ordersync.http import (
    MAX_WAIT_S,
    RateLimit,
    ShopClient,
    send_within,
)


@dataclass
class Said:
    """One scripted answer: bytes to send, then what to do with the connection."""

    wire: bytes = b""
    then: str = "keep"  # keep, close, or the whole answer one byte at a time: drip


@dataclass
class Scripted:
    """A server that answers each request with the next line of its script, and the last one for ever."""

    script: list[Said]
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.02)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def stop(self) -> None:
        self._ends.set()
        self._thread.join(timeout=5)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ends.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, connection.makefile("rb") as stream:
            while not self._ends.is_set():
                head = b""
                try:
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        head += line
                except (TimeoutError, ConnectionError):
                    return
                if not head:
                    return
                text = head.decode()
                sizes = [h.split(":")[1] for h in text.splitlines() if h.lower().startswith("content-length")]
                self.heads.append(text)
                self.bodies.append(stream.read(int(sizes[0])) if sizes else b"")
                said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                self._say(connection, said)
                if said.then != "keep":
                    return

    def _say(self, connection: socket.socket, said: Said) -> None:
        try:
            if said.then == "drip":
                for byte in said.wire:
                    connection.sendall(bytes([byte]))
                    if self._ends.wait(0.02):
                        return
            else:
                connection.sendall(said.wire)
        except (TimeoutError, ConnectionError):
            return


def reply(status: int = 200, body: bytes = b"{}", *headers: str, then: str = "keep") -> Said:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return Said("\r\n".join(lines).encode() + b"\r\n\r\n" + body, then)


Serve = Callable[..., Scripted]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Scripted] = []

    def start(*script: Said) -> Scripted:
        running.append(Scripted(list(script)))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


ClientOf = Callable[..., ShopClient]


@pytest.fixture
def client_of() -> Iterator[ClientOf]:
    made: list[ShopClient] = []

    def error_text(status: int, body: bytes) -> tuple[str | None, str | None]:
        return (f"CODE_{status}", body.decode("utf-8", "replace"))

    def connect(server: Scripted, **settings: Any) -> ShopClient:
        options = {"timeout_s": 2.0, "rate": RateLimit(10_000.0, burst=100), **settings}
        made.append(ShopClient("web", f"{server.base_url}/v1", auth=None, error_text=error_text, **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def error_of(call: Callable[[], object]) -> OrdersyncError:
    with pytest.raises(OrdersyncError) as caught:
        call()
    return caught.value


# Reads


def test_a_read_is_retried_until_it_works(serve: Serve, client_of: ClientOf, no_backoff: None) -> None:
    server = serve(reply(500), reply(502, b"<html>"), reply(200, b'{"n": 1.10}'))
    answer = client_of(server).read("/orders", {"limit": 1}, operation="list")
    assert answer.json() == {"n": Decimal("1.10")}
    assert [head.split()[1] for head in server.heads] == ["/v1/orders?limit=1"] * 3


def test_a_read_gives_up_after_four_attempts(serve: Serve, client_of: ClientOf, no_backoff: None) -> None:
    server = serve(reply(503))
    error = error_of(lambda: client_of(server).read("/orders", operation="list"))
    assert type(error) is Transient
    assert len(server.heads) == 4


def test_a_cut_body_of_a_read_is_retried(serve: Serve, client_of: ClientOf, no_backoff: None) -> None:
    torn = Said(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b'{"half":', "close")
    server = serve(torn, reply(200, b'{"whole": true}'))
    assert client_of(server).read("/o", operation="list").json() == {"whole": True}
    assert len(server.heads) == 2


@pytest.mark.parametrize(
    "status, kind", [(401, Unauthorized), (403, Unauthorized), (404, NotFound), (409, Refused)]
)
def test_a_read_that_is_answered_no_is_not_retried(
    serve: Serve, client_of: ClientOf, no_backoff: None, status: int, kind: type[OrdersyncError]
) -> None:
    server = serve(reply(status, b"no", "X-Request-Id: r-1"))
    error = error_of(lambda: client_of(server).read("/o", operation="list", order="o1"))
    assert type(error) is kind
    assert (error.shop, error.order, error.operation, error.request_id) == ("web", "o1", "list", "r-1")
    assert error.code == f"CODE_{status}"
    assert len(server.heads) == 1


def test_retry_after_is_waited_for_and_no_longer(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(429, b"", "Retry-After: 0.3"), reply(200))
    began = time.monotonic()
    client_of(server).read("/o", operation="list")
    assert 0.3 <= time.monotonic() - began < 2.0
    assert len(server.heads) == 2


def test_retry_after_zero_is_a_retry_at_once(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(429, b"", "Retry-After: 0"), reply(200))
    began = time.monotonic()
    client_of(server).read("/o", operation="list")
    assert time.monotonic() - began < 0.4


def test_a_retry_after_beyond_a_minute_is_told_instead_of_waited(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(429, b"", f"Retry-After: {MAX_WAIT_S + 540:.0f}"))
    error = error_of(lambda: client_of(server).read("/o", operation="list"))
    assert isinstance(error, Transient)
    assert (error.code, error.retry_after_s) == ("rate_limited", 600.0)
    assert len(server.heads) == 1


def test_a_429_makes_the_whole_shop_wait_not_only_its_request(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(429, b"", "Retry-After: 0.4"), reply(200))
    rate = RateLimit(100.0, burst=100)
    client = client_of(server, rate=rate)
    began = time.monotonic()
    error_of(lambda: client.write("POST", "/o", {}, operation="refund"))
    client.write("POST", "/o", {}, operation="refund")
    assert time.monotonic() - began >= 0.4


def test_a_redirect_is_never_followed(serve: Serve, client_of: ClientOf) -> None:
    elsewhere = serve(reply(200))
    server = serve(reply(302, b"", f"Location: {elsewhere.base_url}/"))
    error = error_of(lambda: client_of(server).read("/o", operation="list"))
    assert (type(error), error.code) == (BrokenAnswer, "redirected")
    assert len(server.heads) == 1
    assert elsewhere.heads == []


@pytest.mark.parametrize("other", ["http://127.0.0.2:9/x", "http://127.0.0.1:9/x", "https://127.0.0.1/x"])
def test_a_next_link_to_another_origin_is_not_followed(serve: Serve, client_of: ClientOf, other: str) -> None:
    server = serve(reply(200))
    error = error_of(lambda: client_of(server).read(other, operation="list"))
    assert (type(error), error.code) == (BrokenAnswer, "another_host")
    assert server.heads == []


def test_a_next_link_to_the_same_origin_is_followed(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(200))
    assert client_of(server).read(f"{server.base_url}/v1/o?after=1", operation="list").status == 200
    assert server.heads[0].startswith("GET /v1/o?after=1 ")


def test_a_too_large_answer_is_not_read_to_its_end_nor_asked_for_again(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(200, b"x" * 5000))
    error = error_of(lambda: client_of(server, max_answer_bytes=1000).read("/o", operation="list"))
    assert (type(error), error.code) == (BrokenAnswer, "answer_too_large")
    assert len(server.heads) == 1


def test_a_compressed_answer_is_measured_unpacked(serve: Serve, client_of: ClientOf) -> None:
    import gzip

    server = serve(reply(200, gzip.compress(b"0" * 100_000), "Content-Encoding: gzip"))
    error = error_of(lambda: client_of(server, max_answer_bytes=50_000).read("/o", operation="list"))
    assert error.code == "answer_too_large"


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"half":', b"[" * 100_000])
def test_a_read_that_is_not_json_is_a_broken_answer_without_its_content(
    serve: Serve, client_of: ClientOf, no_backoff: None, body: bytes
) -> None:
    answer = client_of(serve(reply(200, body))).read("/o", operation="list", order="o1")
    error = error_of(answer.json)
    assert type(error) is BrokenAnswer
    assert (error.shop, error.order, error.code) == ("web", "o1", "broken_json")
    assert "half" not in str(error)


# Writes


@pytest.mark.parametrize(
    "said",
    [
        reply(500),
        reply(503, b"", "Retry-After: 1"),
        reply(302, b"", "Location: /x"),
        reply(408),
        Said(b"", "close"),
        Said(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "close"),
        Said(b"not http at all\r\n\r\n", "close"),
        reply(200, b"x" * 5000),
    ],
    ids=["500", "503", "redirect", "408", "no answer", "torn", "garbage", "too large"],
)
def test_a_write_without_a_clear_answer_is_doubt_and_is_sent_once(
    serve: Serve, client_of: ClientOf, said: Said
) -> None:
    server = serve(said)
    write = client_of(server, max_answer_bytes=1000)
    error = error_of(lambda: write.write("POST", "/o/refunds", {"amount": 1}, operation="refund", order="o1"))
    assert type(error) is OutcomeUnknown
    assert (error.shop, error.order, error.operation) == ("web", "o1", "refund")
    assert len(server.heads) == 1
    assert server.bodies == [b'{"amount":1}']


@pytest.mark.parametrize("body", [b"", b"<html></html>", b'{"id":'])
def test_a_write_answered_with_2xx_that_is_not_json_is_doubt(
    serve: Serve, client_of: ClientOf, body: bytes
) -> None:
    answer = client_of(serve(reply(201, body))).write("POST", "/o", {}, operation="refund", order="o1")
    error = error_of(answer.json)
    assert type(error) is OutcomeUnknown
    assert (error.shop, error.order, error.code) == ("web", "o1", "broken_json")


def test_a_write_that_times_out_is_doubt(serve: Serve, client_of: ClientOf) -> None:
    server = serve(Said(b""))
    error = error_of(lambda: client_of(server, timeout_s=0.3).write("POST", "/o", {}, operation="refund"))
    assert type(error) is OutcomeUnknown
    assert len(server.heads) == 1


def test_an_answer_that_trickles_is_doubt_in_time(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(200, b"x" * 900, then="drip"))
    began = time.monotonic()
    error = error_of(lambda: client_of(server, timeout_s=0.3).write("POST", "/o", {}, operation="refund"))
    assert type(error) is OutcomeUnknown
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_write_answered_no_is_refused(serve: Serve, client_of: ClientOf, status: int) -> None:
    server = serve(reply(status, b"no"))
    error = error_of(lambda: client_of(server).write("POST", "/o", {}, operation="refund"))
    assert isinstance(error, Refused)
    assert error.http_status == status
    assert len(server.heads) == 1


def test_a_write_answered_429_certainly_did_not_happen_and_is_not_repeated(
    serve: Serve, client_of: ClientOf
) -> None:
    server = serve(reply(429, b"", "Retry-After: 2"))
    error = error_of(lambda: client_of(server).write("POST", "/o", {}, operation="refund"))
    assert isinstance(error, Transient)
    assert error.retry_after_s == 2.0
    assert len(server.heads) == 1


def test_a_write_without_a_connection_certainly_did_not_happen(client_of: ClientOf) -> None:
    gone = Scripted([reply()])
    client = client_of(gone)
    gone.stop()
    error = error_of(lambda: client.write("POST", "/o", {}, operation="refund"))
    assert (type(error), error.code) == (Transient, "no_connection")


def test_a_connection_the_other_side_closed_meanwhile_does_not_put_a_write_in_doubt(
    serve: Serve, client_of: ClientOf
) -> None:
    """Each answer is followed by a silent close, as proxies do with idle connections."""
    server = serve(reply(200, b"{}", then="close"))
    client = client_of(server)
    for _ in range(5):
        assert client.write("POST", "/o", {}, operation="refund").status == 200
        time.sleep(0.02)
    assert server.connections == 5


def test_a_write_does_not_travel_on_a_connection_kept_from_a_read(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(200))
    client = client_of(server)
    client.read("/o", operation="fetch")
    client.read("/o", operation="fetch")
    assert server.connections == 1
    client.write("POST", "/o", {}, operation="refund")
    assert server.connections == 2


def test_a_value_that_cannot_be_sent_is_said_before_anything_is_sent(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(200))
    client = client_of(server)
    for call in (
        lambda: client.write("POST", "/o", {"reason": "\udc80"}, operation="refund"),
        lambda: client.write("POST", "/o\x00", {}, operation="refund"),
        lambda: client.write("POST", "/o", {}, operation="refund", headers={"Idempotency-Key": "ключ"}),
    ):
        error = error_of(call)
        assert (type(error), error.code) == (UsageError, "unsendable")
    assert server.heads == []


def test_bytes_on_the_wire_are_json_with_the_type_the_caller_chose(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reply(200))
    client_of(server).write(
        "POST", "/o", {"reason": "고객"}, operation="x", headers={"Content-Type": "application/json"}
    )
    client_of(server).write("POST", "/o", None, operation="x")
    assert server.bodies == ['{"reason":"고객"}'.encode(), b""]
    assert "content-type: application/json\r\n" in server.heads[0].lower()
    assert "content-type" not in server.heads[1].lower()


# What may be said


def test_what_a_platform_says_is_quoted_without_people_and_keys(serve: Serve, client_of: ClientOf) -> None:
    body = (
        b"no order for kim.doe+x@example.com or kim%40example.com, +82-10-1234-5678,\n"
        b" key sk_live_abc123, Authorization: Bearer eyJh.eyJi.c"
    )
    error = error_of(lambda: client_of(serve(reply(400, body))).write("POST", "/o", {}, operation="refund"))
    said = f"{error} {error.fields()}"
    for private in ("kim", "example.com", "1234", "abc123", "eyJ"):
        assert private not in said
    assert "no order for <e-mail> or <e-mail>, <phone>, key <key>" in said


def test_urls_with_an_e_mail_in_the_query_are_not_logged(
    serve: Serve, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client_of(serve(reply(200))).read("/lookup", {"email": "kim@example.com"}, operation="lookup")
    assert "kim" not in caplog.text


def test_clock_skew_is_read_from_the_date_header(serve: Serve, client_of: ClientOf) -> None:
    import email.utils

    ahead = email.utils.formatdate(time.time() + 90, usegmt=True)
    answer = client_of(serve(reply(200, b"{}", f"Date: {ahead}"))).read("/o", operation="check")
    assert answer.clock_skew_s == pytest.approx(90, abs=3)
    silent = client_of(serve(reply(200))).read("/o", operation="check")
    assert silent.clock_skew_s is None


def test_a_write_that_did_not_begin_in_time_is_not_sent_and_a_read_still_is(
    serve: Serve, client_of: ClientOf
) -> None:
    server = serve(reply(200, b"{}"), reply(200, b"{}"))
    client = client_of(server)
    with send_within(0):
        late = error_of(lambda: client.write("POST", "/refunds", {}, operation="refund"))
        assert (type(late), late.code) == (Transient, "too_late")
        assert server.heads == []
        client.read("/orders", operation="list")
    with send_within(30):
        client.write("POST", "/refunds", {}, operation="refund")
    assert [head.split()[0] for head in server.heads] == ["GET", "POST"]
