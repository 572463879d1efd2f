"""The one httpx client: timeouts, read retries, rate limit, size limit, and errors named by what happens next.

Reads are retried (bounded, with backoff, honouring Retry-After). Writes are sent once: what follows says whether
they certainly did not happen (`Transient`, `Refused`) or whether nobody knows (`OutcomeUnknown`). Redirects are
never followed: credentials must not travel to another host. What a platform says in an error is quoted without
e-mail addresses, phone numbers and keys.
"""

from __future__ import annotations

import email.utils
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import httpx
import msgspec
import stamina

from ordersync.errors import (
    BrokenAnswer,
    ConfigError,
    NotFound,
    OrdersyncError,
    OutcomeUnknown,
    Refused,
    Transient,
    Unauthorized,
    UsageError,
)
from ordersync.rate import RateLimit as RateLimit
from ordersync.rate import parse_rate as parse_rate
from ordersync.wire import LOOK_FIRST, keys_in, no_answer, no_connection, without_keys
from ordersync.wire import describe_broken as describe_broken
from ordersync.wire import path_segment as path_segment
from ordersync.wire import retry_after_s as retry_after_s
from ordersync.wire import safe_text as safe_text

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs whole URLs: a look-up's holds an e-mail

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding an answer can raise: cut or of another form, not UTF-8, nested without end."""
READ_ATTEMPTS = 4
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_WAIT_S = 60.0
WRITE_WAITS_AT_MOST_S = 10.0
"""A write is announced before it is sent; waiting longer for the quota would let others take it for lost."""
_SEND_BY: ContextVar[datetime | None] = ContextVar("ordersync_send_by", default=None)
Params = Mapping[str, str | int] | Sequence[tuple[str, str | int]]
ErrorText = Callable[[int, bytes], tuple[str | None, str | None]]
"""(status, body) -> (the platform's code, its message), either None when the body does not say."""


@contextmanager
def send_within(seconds: float) -> Iterator[None]:
    """Writes made inside that are not on their way by then fail with Transient `too_late`, and were not sent.

    A process may be stopped and wake up long after others took its write for lost.
    """
    token = _SEND_BY.set(datetime.now(UTC) + timedelta(seconds=seconds))
    try:
        yield
    finally:
        _SEND_BY.reset(token)


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer."""

    status: int
    headers: httpx.Headers
    body: bytes
    sent_at: datetime
    request_id: str | None
    about: Mapping[str, Any] = field(default_factory=dict)
    """Shop, order, operation and request id, for errors found out later."""
    written: bool = False
    """The answer of a write: being unreadable then means nobody knows what was done."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """What the request was authorised with."""

    def quote(self, text: str) -> str:
        """What the platform said in this answer, fit for a message."""
        return safe_text(without_keys(text, self.keys))

    def json(self) -> Any:
        """Decode exactly (numbers with a point become Decimal).

        Errors: when it is not JSON, BrokenAnswer for a read and OutcomeUnknown for a write.
        """
        try:
            return _DECODER.decode(self.body)
        except NOT_JSON as broken:
            raise self.broken(describe_broken(self.body), code="broken_json") from broken

    def broken(self, why: str, *, code: str = "broken_answer") -> OrdersyncError:
        """The error to raise when this answer is not what the platform promises; `why` quotes no values."""
        what = f"{self.about.get('operation') or 'request'}: {why}"
        if self.written:
            return OutcomeUnknown(what, code=code, next_step=LOOK_FIRST, **self.about)
        return BrokenAnswer(what, code=code, next_step="run the same command again later", **self.about)

    @property
    def dated_at(self) -> datetime | None:
        """The platform's own clock when it answered, to the second, from its Date header."""
        try:
            stated = email.utils.parsedate_to_datetime(self.headers.get("date", ""))
        except (TypeError, ValueError):
            return None
        return stated.astimezone(UTC) if stated.tzinfo else None

    @property
    def clock_skew_s(self) -> float | None:
        """The platform's clock minus ours, in seconds."""
        return (self.dated_at - self.sent_at).total_seconds() if self.dated_at else None


class ShopClient:
    """All HTTP of one shop."""

    def __init__(
        self,
        shop: str,
        base_url: str,
        *,
        auth: httpx.Auth | None,
        rate: RateLimit,
        error_text: ErrorText,
        timeout_s: float = 30.0,
        request_id_header: str = "x-request-id",
        headers: Mapping[str, str] | None = None,
        extra_transient: frozenset[int] = frozenset(),
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self.shop = shop
        self._rate = rate
        self._error_text = error_text
        self._request_id_header = request_id_header
        self._doubtful = _DOUBTFUL_STATUSES | extra_transient
        self._timeout_s = timeout_s
        self._max_answer_bytes = max_answer_bytes
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as bad:
            raise ConfigError(f"base_url of shop {shop} is not a URL", shop=shop) from bad
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(
                f"base_url of shop {shop} must start with https://", shop=shop, next_step="correct shops:"
            )
        if url.scheme == "http" and url.host not in ("127.0.0.1", "localhost", "::1"):
            raise ConfigError(
                f"base_url of shop {shop} would send its key unencrypted",
                shop=shop,
                next_step="use https:// (http:// is only accepted for this machine)",
            )

        def client(keep_open: int) -> httpx.Client:
            return httpx.Client(
                base_url=url,
                auth=auth,
                timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
                limits=httpx.Limits(max_keepalive_connections=keep_open),
                verify=_tls(),
                follow_redirects=False,
                trust_env=False,
                headers={"User-Agent": "ordersync", "Accept": "application/json", **(headers or {})},
            )

        self._client = client(20)
        # A kept connection may be closed by the other side just as we send on it: for a read that is a retry,
        # for a write it would be a doubt that no platform record ever settles. So writes connect afresh.
        self._writer = client(0)

    def close(self) -> None:
        self._client.close()
        self._writer.close()

    @property
    def base_url(self) -> httpx.URL:
        return self._client.base_url

    def read(
        self,
        path: str,
        params: Params | None = None,
        *,
        operation: str,
        order: str | None = None,
        method: str = "GET",
        json: Any = None,
    ) -> Answer:
        """A request that changes nothing, retried. `path` may be an absolute URL of the same host."""
        for attempt in stamina.retry_context(
            on=_wait_before_retry, attempts=READ_ATTEMPTS, timeout=180.0, wait_initial=0.5, wait_max=15.0
        ):
            with attempt:
                return self._once(method, path, params, json, None, operation, order, writing=False)
        raise AssertionError("stamina ends by returning or raising")

    def write(
        self,
        method: str,
        path: str,
        json: Any,
        *,
        operation: str,
        order: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Params | None = None,
    ) -> Answer:
        """A request that changes something, sent at most once.

        Errors: Transient when it was certainly not acted on (no connection, 429), Refused on 4xx,
        OutcomeUnknown when no whole answer came or the platform failed after receiving it.
        """
        return self._once(method, path, params, json, headers, operation, order, writing=True)

    def _once(
        self,
        method: str,
        path: str,
        params: Params | None,
        json: Any,
        headers: Mapping[str, str] | None,
        operation: str,
        order: str | None,
        *,
        writing: bool,
    ) -> Answer:
        about: dict[str, Any] = {"shop": self.shop, "order": order, "operation": operation}
        client = self._writer if writing else self._client
        request = self._build(client, method, path, params, json, headers, about)
        if self._rate.wait(WRITE_WAITS_AT_MOST_S if writing else None) is None:
            raise Transient(
                f"{operation}: {self.shop} is to be left alone for a while; nothing was sent",
                code="quota_wait",
                next_step="run the same command again in a minute",
                **about,
            )
        sent_at = datetime.now(UTC)
        send_by = _SEND_BY.get()
        if writing and send_by is not None and sent_at >= send_by:
            raise Transient(
                f"{operation}: it took too long to begin; nothing was sent",
                code="too_late",
                next_step="run the same command again",
                **about,
            )
        try:
            response = client.send(request, stream=True)
            try:
                body = self._body(response, writing=writing)
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as lost:
            raise no_connection(lost, about) from lost
        except _Unread as unread:
            if writing:
                raise no_answer(str(unread), about, writing=True) from unread
            raise BrokenAnswer(f"{operation}: {unread}", code=unread.code, **about) from unread
        except httpx.HTTPError as lost:
            raise no_answer(type(lost).__name__, about, writing=writing) from lost
        return self._judge(response, body, sent_at, about, writing=writing)

    def _build(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        params: Params | None,
        json: Any,
        headers: Mapping[str, str] | None,
        about: dict[str, Any],
    ) -> httpx.Request:
        """The request, checked; nothing was sent when this raises."""
        query: Any = None
        if params is not None:
            query = list(params.items()) if isinstance(params, Mapping) else list(params)
        sent_headers = dict(headers or {})
        try:
            content = None if json is None else msgspec.json.encode(json)
            if content is not None:
                sent_headers.setdefault("Content-Type", "application/json; charset=utf-8")
            request = client.build_request(method, path, params=query, content=content, headers=sent_headers)
        except (UnicodeError, httpx.InvalidURL) as unsendable:
            raise UsageError(
                f"{about['operation']}: the request holds characters that cannot be sent; nothing was sent",
                code="unsendable",
                next_step="retype the value, without control characters",
                **about,
            ) from unsendable
        here = client.base_url
        if (request.url.scheme, request.url.host, request.url.port) != (here.scheme, here.host, here.port):
            raise BrokenAnswer(
                f"{about['operation']}: the platform pointed to another host; not followed",
                code="another_host",
                **about,
            )
        return request

    def _body(self, response: httpx.Response, *, writing: bool) -> bytes:
        """The whole body, bounded in size and in time: a body that trickles must not hold a claim for ever."""
        within_s = self._timeout_s if writing else 4 * self._timeout_s
        end = time.monotonic() + within_s
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._max_answer_bytes:
                raise _Unread(
                    "answer_too_large",
                    f"the answer is larger than {self._max_answer_bytes} bytes; not read further",
                )
            if time.monotonic() > end:
                raise _Unread(
                    "answer_too_slow", f"the answer was not whole after {within_s:g} s; not read further"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _judge(
        self,
        response: httpx.Response,
        body: bytes,
        sent_at: datetime,
        about: dict[str, Any],
        *,
        writing: bool,
    ) -> Answer:
        status = response.status_code
        request_id = (response.headers.get(self._request_id_header) or "")[:100] or None
        about = {**about, "request_id": request_id}
        what = about["operation"]
        if 200 <= status < 300:
            keys = keys_in(response.request.headers)
            return Answer(status, response.headers, body, sent_at, request_id, about, writing, keys)
        code, said = self._error_text(status, body)
        keys = keys_in(response.request.headers)
        said = f": {safe_text(without_keys(said, keys))}" if said else ""
        code = without_keys(code, keys) if code else None
        if status in (401, 403):
            kind = "the key is missing, wrong or expired" if status == 401 else "the key may not do this"
            raise Unauthorized(
                f"{what}: {self.shop} answered {status}, {kind}{said}",
                code=code or f"http_{status}",
                next_step=f"correct the key of shop {self.shop}, then run: ordersync check",
                **about,
            )
        if status == 429:
            pause = retry_after_s(response.headers)
            if pause:
                self._rate.push_back(min(pause, MAX_WAIT_S))
            raise Transient(
                f"{what}: {self.shop} asks to slow down (429)",
                code="rate_limited",
                retry_after_s=pause,
                next_step="wait, then run the same command again",
                **about,
            )
        if status >= 500 or status in self._doubtful or status < 400:
            if writing and status < 400:
                # 307 and 308 promise that nothing was done here, 303 that it was, and proxies mix them up.
                raise OutcomeUnknown(
                    f"{what}: {self.shop} redirects ({status}) instead of answering; not followed, a key must not "
                    "travel, and whether it acted is not known",
                    code="redirected",
                    next_step=f"{LOOK_FIRST}; if it goes on, correct base_url of shop {self.shop}",
                    **about,
                )
            if writing:
                raise no_answer(f"HTTP {status}{said}", about, writing=True)
            if status < 400:
                raise BrokenAnswer(
                    f"{what}: {self.shop} redirects ({status}); not followed, a key must not travel",
                    code="redirected",
                    next_step=f"correct base_url of shop {self.shop}",
                    **about,
                )
            raise Transient(
                f"{what}: {self.shop} answered {status}{said}",
                code=code or f"http_{status}",
                retry_after_s=retry_after_s(response.headers),
                next_step="run the same command again later",
                **about,
            )
        if status == 404 and not writing:
            raise NotFound(f"{what}: {self.shop} has no such record{said}", code=code, **about)
        raise Refused(
            f"{what}: {self.shop} refused with {status}{said}",
            code=code or f"http_{status}",
            http_status=status,
            **about,
        )


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """One for all clients: reading the certificates takes longer than a request."""
    return httpx.create_ssl_context(trust_env=False)


def decode_json(body: bytes) -> Any:
    """JSON with exact numbers: integers stay int, everything else Decimal. BrokenAnswer when it is not JSON."""
    try:
        return _DECODER.decode(body)
    except NOT_JSON as broken:
        raise BrokenAnswer(describe_broken(body), code="broken_json") from broken


def _wait_before_retry(error: Exception) -> bool | float:
    if not isinstance(error, Transient) or error.code in _SAME_AGAIN:
        return False
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= MAX_WAIT_S else False
    return True


class _Unread(Exception):
    """The body was not read to its end."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


_DOUBTFUL_STATUSES = frozenset({408})
"""Below 500, but says nothing about what was done: Request Timeout."""
_SAME_AGAIN = frozenset({"another_host", "answer_too_large", "bad_certificate", "redirected"})
"""Reads that would be answered the same way again at once."""
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
