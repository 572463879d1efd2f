"""ShopClient over real TLS on loopback: certificates that are not to be trusted, and connections that break.

A certificate is judged before anything is sent, so a write it stops was certainly not sent. What breaks after the
request may have been acted on. The certificates are made with `openssl` for one run.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import stamina

from ordersync import http
from ordersync.errors import OutcomeUnknown, Transient
from ordersync.http import RateLimit, ShopClient

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs openssl to make a certificate")
KEY = "sk_live_never_to_be_told"  # no real key
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\nConnection: close\r\n\r\n{"


class Key(httpx.Auth):
    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]  # a generator httpx drives
        request.headers["Authorization"] = f"Bearer {KEY}"
        yield request


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """(certificate, key), self-made, valid for a day."""
    assert OPENSSL is not None
    certificate, key = folder / f"{host}.pem", folder / f"{host}.key"
    name = f"IP:{host}" if host[0].isdigit() else f"DNS:{host}"
    subprocess.run(  # fixed arguments
        [
            *(OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={host}"),
            *("-addext", f"subjectAltName={name}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return certificate, key


@dataclass
class Told:
    """A TLS server that answers every request with the same bytes and then breaks off."""

    certificate: Path
    key: Path
    wire: bytes
    requests: list[bytes] = field(default_factory=list)
    """What arrived after a finished handshake."""

    def __enter__(self) -> Told:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.02)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(timeout=10)
        self._listener.close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while not self._ends.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(5)
            try:
                with self._context.wrap_socket(connection, server_side=True) as wrapped:
                    self.requests.append(_whole_request(wrapped))
                    wrapped.sendall(self.wire)
                    # No close_notify: the connection breaks as a cable does.
            except OSError:
                connection.close()


def _whole_request(connection: ssl.SSLSocket) -> bytes:
    """Head and body; closing on unread bytes would take the answer back."""
    with connection.makefile("rb") as stream:
        head = b""
        while (line := stream.readline()) not in (b"\r\n", b""):
            head += line
        sizes = [line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length")]
        return head + (stream.read(int(sizes[0])) if sizes else b"")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("certificates")
    made: dict[str, tuple[Path, Path]] = {}

    def of(host: str) -> tuple[Path, Path]:
        if host not in made:
            made[host] = make_certificate(folder, host)
        return made[host]

    return of


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """There is no setting to trust a certificate of one's own, so the client's own list is added to here."""

    def add(certificate: Path) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_verify_locations(certificate)
        monkeypatch.setattr(http, "_tls", lambda: context)

    return add


def client(url: str) -> ShopClient:
    return ShopClient(
        "office",
        url,
        auth=Key(),
        rate=RateLimit(500.0),
        error_text=lambda _status, _body: (None, None),
        timeout_s=5,
    )


Certificates = Callable[[str], tuple[Path, Path]]
Trust = Callable[[Path], None]


def test_a_trusted_certificate_is_served(certificates: Certificates, trust: Trust) -> None:
    own = certificates("127.0.0.1")
    trust(own[0])
    with Told(*own, WHOLE) as server:
        assert client(server.url).write("POST", "/refunds", {}, operation="refund").status == 200
        assert len(server.requests) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "shop.example.com"])
def test_a_certificate_not_to_be_trusted_stops_a_write_before_it_is_sent(
    certificates: Certificates, trust: Trust, host: str
) -> None:
    """Nobody known made it, or it is another host's."""
    own = certificates(host)
    if host != "127.0.0.1":
        trust(own[0])
    with Told(*own, WHOLE) as server:
        with pytest.raises(Transient) as write:
            client(server.url).write("POST", "/refunds", {}, operation="refund", order="1")
        with pytest.raises(Transient) as read:
            client(server.url).read("/orders/1", operation="fetch", order="1")
        assert server.requests == [], "neither the request nor the key left"
    for caught in (write, read):
        error = caught.value
        assert error.code == "bad_certificate"
        assert "certificate" in error.message
        assert "nothing was sent" in error.message
        assert "base_url" in (error.next_step or "")
        assert KEY not in f"{error!r} {error.fields()}"


def test_a_certificate_not_to_be_trusted_is_not_asked_for_again_and_again(certificates: Certificates) -> None:
    own = certificates("127.0.0.1")
    handshakes: list[int] = []
    with Told(*own, WHOLE) as server:
        accept = server._context.wrap_socket

        def counted(connection: socket.socket, *, server_side: bool) -> ssl.SSLSocket:
            handshakes.append(1)
            return accept(connection, server_side=server_side)

        server._context.wrap_socket = counted  # type: ignore[method-assign,assignment]  # only counts
        with pytest.raises(Transient):
            client(server.url).read("/orders/1", operation="fetch")
    assert len(handshakes) == 1


def test_a_write_whose_tls_answer_breaks_in_its_body_is_in_doubt_and_was_sent_once(
    certificates: Certificates, trust: Trust
) -> None:
    own = certificates("127.0.0.1")
    trust(own[0])
    with Told(*own, CUT) as server:
        with pytest.raises(OutcomeUnknown) as caught:
            client(server.url).write("POST", "/refunds", {}, operation="refund", order="1")
        assert len(server.requests) == 1
    assert "do not send it again" in (caught.value.next_step or "")
    assert KEY not in f"{caught.value!r} {caught.value.fields()}"


def test_a_read_whose_tls_answer_breaks_in_its_body_is_tried_again_and_named(
    certificates: Certificates, trust: Trust
) -> None:
    own = certificates("127.0.0.1")
    trust(own[0])
    with Told(*own, CUT) as server:
        with pytest.raises(Transient) as caught:
            client(server.url).read("/orders/1", operation="fetch")
        assert len(server.requests) == http.READ_ATTEMPTS
    assert caught.value.code == "no_answer"


def test_a_server_that_speaks_no_tls_gets_nothing(certificates: Certificates) -> None:
    """base_url says https, and there a plain server answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    arrived: list[bytes] = []

    def once() -> None:
        connection, _ = listener.accept()
        with connection:
            arrived.append(connection.recv(65_536))
            connection.sendall(WHOLE)

    thread = threading.Thread(target=once, daemon=True)
    thread.start()
    with pytest.raises(Transient) as caught:
        client(f"https://127.0.0.1:{listener.getsockname()[1]}").write("POST", "/refunds", {}, operation="refund")
    thread.join(timeout=10)
    listener.close()
    assert "nothing was sent" in caught.value.message
    assert KEY.encode() not in b"".join(arrived)
