"""A loopback door in front of the real server: requests pass, and a test may act, or cut the line, as one does."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

import httpx

_DROPPED = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive"}
Cut = Literal["before", "after", None]


@dataclass(slots=True)
class _Watch:
    method: str
    path: str
    act: Callable[[], object] | None
    cut: Cut
    times: int


@dataclass(frozen=True, slots=True)
class Passed:
    method: str
    path: str
    body: bytes
    status: int | None
    """What the server answered; None when the request never reached it."""


@dataclass(slots=True)
class Turnstile:
    """Serves `origin` on a free port until the `with` block ends."""

    target: str
    passed: list[Passed] = field(default_factory=list)
    _watches: list[_Watch] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer = field(init=False)
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        handler = type("Door", (_Door,), {"turnstile": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._client = httpx.Client(base_url=self.target, trust_env=False, timeout=60)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def watch(
        self, method: str, path: str, act: Callable[[], object] | None = None, *, cut: Cut = None, times: int = 1
    ) -> None:
        """The next `times` requests that match: `act` first; then the line is cut before or after the server."""
        with self._lock:
            self._watches.append(_Watch(method, path, act, cut, times))

    def sent(self, method: str, path: str) -> list[Passed]:
        """The requests that matched, as far as they came."""
        with self._lock:
            return [one for one in self.passed if one.method == method and re.search(path, one.path)]

    def forget(self) -> None:
        """No watches, no memory of requests."""
        with self._lock:
            self._watches.clear()
            self.passed.clear()

    def taken(self, method: str, path: str) -> _Watch | None:
        with self._lock:
            for watch in self._watches:
                if watch.method == method and re.search(watch.path, path):
                    watch.times -= 1
                    if watch.times == 0:
                        self._watches.remove(watch)
                    return watch
        return None

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        return self._client.request(method, path, headers=headers, content=body)

    def remember(self, passed: Passed) -> None:
        with self._lock:
            self.passed.append(passed)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.close()


class _Door(BaseHTTPRequestHandler):
    turnstile: Turnstile
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Quiet: `Turnstile.passed` tells."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        watch = self.turnstile.taken(self.command, self.path)
        if watch and watch.act:
            watch.act()
        if watch and watch.cut == "before":
            self.turnstile.remember(Passed(self.command, self.path, body, None))
            self._hang_up()
            return
        dropped = {"host", "connection", "accept-encoding"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        answer = self.turnstile.forward(self.command, self.path, headers, body)
        self.turnstile.remember(Passed(self.command, self.path, body, answer.status_code))
        if watch and watch.cut == "after":
            self._hang_up()
            return
        self.send_response_only(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _DROPPED:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # http.server looks these names up
