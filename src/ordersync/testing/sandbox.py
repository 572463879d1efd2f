"""The kit every sandbox is built from: a loopback HTTP server with state, a request log, quotas and faults.

A platform's sandbox subclasses `Sandbox`, registers routes with `@route`, and keeps its own state. The server
binds 127.0.0.1 on a free port, stops by itself with the process, and can be driven from another process through
`/_sandbox/...` (faults, request log), which no platform has.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal, TypeVar, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

FaultKind = Literal[
    "latency",  # wait `seconds`, then answer
    "429",  # refuse before the effect
    "500_before",  # fail before the effect
    "500_after",  # act, then fail
    "502_html",  # a proxy's page, before the effect
    "cut_before",  # close the connection before the effect
    "cut_after",  # act, then close without an answer
    "torn_body",  # act, announce the whole answer, send half
    "empty_200",  # act, answer 200 without a body
    "late_visibility",  # act, but reads show the state from before for `seconds`
]


@dataclass(slots=True)
class Fault:
    """Strikes the next `times` requests whose method and path match."""

    kind: FaultKind
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    seconds: float = 0.0
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """Without the query, still percent-decoded by no one."""
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes
    at: datetime

    def json(self) -> Any:
        """ValueError when the body is not JSON."""
        return json.loads(self.body, parse_float=Decimal) if self.body else None

    def arg(self, name: str, default: str | None = None) -> str | None:
        return next((value for key, value in self.query if key == name), default)

    def args(self, *names: str) -> list[str]:
        """Every value of a repeated parameter, under any of its spellings (`status[]`, `status[0]`)."""
        wanted = set(names)
        return [value for key, value in self.query if key in wanted]


@dataclass(slots=True)
class Reply:
    status: int = 200
    body: Any = None
    """dict or list is sent as JSON (Decimal as a number), str and bytes as they are, None as no body."""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"


class HttpError(Exception):
    """Raised by a route to end the request with the platform's own error body."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"HTTP {reply.status}")
        self.reply = reply


Route = Callable[..., Reply]
_RouteT = TypeVar("_RouteT", bound=Callable[..., Reply])


def route(method: str, pattern: str) -> Callable[[_RouteT], _RouteT]:
    """Register a method of a sandbox for `METHOD /path/{name}`; names become keyword arguments."""

    def mark(function: _RouteT) -> _RouteT:
        marks: list[tuple[str, str]] = getattr(function, "_sandbox_routes", [])
        function._sandbox_routes = [*marks, (method, pattern)]  # type: ignore[attr-defined]  # a mark on the function
        return function

    return mark


class Sandbox:
    """State, routes, quota and faults of one shop; subclass it per platform.

    Override `authenticate`, `not_found`, `over_quota` and `broken` with the platform's own bodies. Routes run under
    one lock, one after another, except where the subclass says otherwise.
    """

    platform: ClassVar[str]
    base_path: ClassVar[str] = ""

    def __init__(self, *, seed: int = 1, now: Callable[[], datetime] | None = None) -> None:
        self.random = random.Random(seed)  # noqa: S311  # reproducible test data, not a secret
        self.now = now or (lambda: datetime.now(UTC))
        self.lock = threading.RLock()
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.log_limit = 100_000
        self.log_answers: list[tuple[str, str, int]] = []
        self.quota_per_s: float | None = None
        self.quota_burst = 40
        self._tokens = float(self.quota_burst)
        self._tokens_at = time.monotonic()
        self._late_until = 0.0
        self._late_state: Any = None
        self._routes: list[tuple[str, re.Pattern[str], Route]] = []
        for name in dir(self):
            member = getattr(type(self), name, None)
            for method, pattern in getattr(member, "_sandbox_routes", ()):
                expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
                self._routes.append((method, re.compile(f"^{expression}$"), getattr(self, name)))

    # What a platform's sandbox defines.

    def authenticate(self, request: Request) -> None:
        """Raise HttpError with the platform's 401 or 403."""

    def not_found(self, request: Request) -> Reply:
        return Reply(404, {"message": f"no route {request.method} {request.path}"})

    def over_quota(self, request: Request, fault: Fault | None) -> Reply:
        headers = {} if fault is None or fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return Reply(429, {"message": "Too many requests"}, headers)

    def broken(self, request: Request) -> Reply:
        return Reply(500, {"message": "internal error"})

    def copy_visible_state(self) -> Any:
        """A deep copy of what reads show, for late visibility. None: the sandbox does not support it."""
        return None

    def show_state(self, state: Any) -> Any:
        """Swap the state that reads show for `state`; returns the one shown until now."""
        return state

    def set_quota(self, per_s: float | None, burst: int = 40) -> None:
        """Answer 429 beyond `burst` requests and `per_s` a second; None: no quota."""
        with self.lock:
            self.quota_per_s, self.quota_burst = per_s, burst
            self._tokens, self._tokens_at = float(burst), time.monotonic()

    # Faults and the request log, also over HTTP for other processes.

    def add_fault(self, fault: Fault) -> None:
        with self.lock:
            self.faults.append(fault)

    def clear_faults(self) -> None:
        with self.lock:
            self.faults.clear()

    def requests(self, method: str = ".*", path: str = ".*") -> list[Request]:
        with self.lock:
            return [r for r in self.log if re.fullmatch(method, r.method) and re.search(path, r.path)]

    def answer(self, request: Request) -> tuple[Reply | None, str]:
        """The reply and how to send it: "whole", "torn" or "cut" (no reply at all)."""
        if request.path.startswith("/_sandbox/"):
            return self._control(request), "whole"
        with self.lock:
            self.log.append(request)
            del self.log[: -self.log_limit]
            fault = self._take_fault(request)
            limited = self._over_quota_now()
        if fault and fault.kind == "latency":
            time.sleep(fault.seconds)
        if limited or (fault and fault.kind == "429"):
            return self.over_quota(request, fault), "whole"
        if fault and fault.kind == "500_before":
            return self.broken(request), "whole"
        if fault and fault.kind == "502_html":
            page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Reply(502, page, content_type="text/html"), "whole"
        if fault and fault.kind == "cut_before":
            return None, "cut"
        with self.lock:
            before = self.copy_visible_state() if fault and fault.kind == "late_visibility" else None
            reply = self._dispatch(request)
            if fault and before is not None:
                self._late_state = before
                self._late_until = time.monotonic() + fault.seconds
        if fault and fault.kind == "500_after":
            return self.broken(request), "whole"
        if fault and fault.kind == "cut_after":
            return None, "cut"
        if fault and fault.kind == "torn_body":
            return reply, "torn"
        if fault and fault.kind == "empty_200":
            return Reply(200, None), "whole"
        return reply, "whole"

    def _dispatch(self, request: Request) -> Reply:
        path = request.path.removeprefix(self.base_path) if self.base_path else request.path
        if self.base_path and not request.path.startswith(self.base_path + "/"):
            return self.not_found(request)
        late = request.method == "GET" and self._late_state is not None
        if late and time.monotonic() >= self._late_until:
            self._late_state, late = None, False
        current = self.show_state(self._late_state) if late else None
        try:
            self.authenticate(request)
            for method, pattern, function in self._routes:
                if method == request.method and (match := pattern.match(path)):
                    return function(request, **{name: unquote(part) for name, part in match.groupdict().items()})
            return self.not_found(request)
        except HttpError as ended:
            return ended.reply
        finally:
            if late:
                self.show_state(current)

    def _take_fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if re.fullmatch(fault.method, request.method) and re.search(fault.path, request.path):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def _over_quota_now(self) -> bool:
        if self.quota_per_s is None:
            return False
        now = time.monotonic()
        self._tokens = min(self.quota_burst, self._tokens + (now - self._tokens_at) * self.quota_per_s)
        self._tokens_at = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False

    def _control(self, request: Request) -> Reply:
        if request.method == "POST" and request.path == "/_sandbox/faults":
            try:
                fault = Fault(**json.loads(request.body))
                re.compile(fault.method), re.compile(fault.path)
            except (TypeError, ValueError, re.error) as wrong:
                return Reply(400, {"message": f"not a fault: {wrong}"})
            if fault.kind not in get_args(FaultKind):
                return Reply(400, {"message": f"kind is one of {', '.join(get_args(FaultKind))}"})
            self.add_fault(fault)
            return Reply(200, {"faults": len(self.faults)})
        if request.method == "DELETE" and request.path == "/_sandbox/faults":
            self.clear_faults()
            return Reply(200, {"faults": 0})
        if request.method == "POST" and request.path == "/_sandbox/quota":
            try:
                asked = json.loads(request.body)
                per_s, burst = asked.get("per_s"), int(asked.get("burst", 40))
                self.set_quota(None if per_s is None else float(per_s), burst)
            except (AttributeError, TypeError, ValueError) as wrong:
                return Reply(400, {"message": f"not a quota: {wrong}"})
            return Reply(200, {"per_s": per_s, "burst": burst})
        if request.method == "GET" and request.path == "/_sandbox/log":
            with self.lock:
                rows = [
                    {
                        "method": r.method,
                        "path": r.path,
                        "query": list(r.query),
                        "headers": {k: v for k, v in r.headers.items() if k != "authorization"},
                        "scheme": r.headers.get("authorization", "").partition(" ")[0],
                        "body": r.body.decode("utf-8", "replace"),
                    }
                    for r in self.log
                ]
            return Reply(200, {"requests": rows})
        return Reply(404, {"message": "no such sandbox control"})


class SandboxServer:
    """Serves one sandbox on a free loopback port until `stop` or the end of the process."""

    def __init__(self, sandbox: Sandbox, *, port: int = 0) -> None:
        self.sandbox = sandbox
        self._handler: type[_Handler] = type("Handler", (_Handler,), {"sandbox": sandbox})
        self._server = _Server(("127.0.0.1", port), self._handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base_url(self) -> str:
        return self.origin + self.sandbox.base_path

    def start(self) -> SandboxServer:
        self._thread.start()
        return self

    def serve(self, sandbox: Sandbox) -> None:
        """From now on the same address is this other sandbox: a shop put back to an earlier moment."""
        self.sandbox = self._handler.sandbox = sandbox

    def stop(self) -> None:
        """Also closes connections kept open: a stopped shop answers nobody. Harmless when repeated."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()
        self._server.hang_up_all()

    def __enter__(self) -> SandboxServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up_all(self) -> None:
        with self._open_lock:
            still_open = list(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is not the sandbox's error; anything else is shown."""
        import sys

        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    sandbox: ClassVar[Sandbox]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Quiet: the sandbox keeps its own request log."""

    def _serve(self) -> None:
        stated = self.headers.get("Content-Length") or "0"
        if not stated.isdecimal() or self.headers.get("Transfer-Encoding"):
            self.send_error(411, "Content-Length needed")
            self.close_connection = True
            return
        length = int(stated)
        split = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=split.path,
            query=tuple(parse_qsl(split.query, keep_blank_values=True)),
            headers={key.lower(): value for key, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
            at=self.sandbox.now(),
        )
        reply, how = self.sandbox.answer(request)
        if reply is None:
            self._hang_up()
            return
        self.sandbox.log_answers.append((request.method, request.path, reply.status))
        body = encode_body(reply.body)
        self.send_response_only(reply.status)
        if "Date" not in reply.headers:
            self.send_header("Date", self.date_time_string(self.sandbox.now().timestamp()))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if how == "torn":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self._hang_up()
            return
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # http.server looks these names up


def encode_body(body: Any) -> bytes:
    """JSON bytes; Decimal is written as the plain number it is."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, default=_as_number, ensure_ascii=False, separators=(",", ":")).encode()


def _as_number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"a sandbox reply holds a {type(value).__name__}")
