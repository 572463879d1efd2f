"""The one httpx client: timeouts, read retries, rate limit, size limit, and errors named by what happens next.

Reads are retried (bounded, with backoff, honouring Retry-After). Writes are sent once: what follows says whether
they certainly did not happen (`Transient`, `Refused`) or whether nobody knows (`OutcomeUnknown`). Redirects are
never followed: credentials must not travel to another host.
"""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
)

READ_ATTEMPTS = 4
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_WAIT_S = 60.0
Params = Mapping[str, str | int] | Sequence[tuple[str, str | int]]
ErrorText = Callable[[int, bytes], tuple[str | None, str | None]]
"""(status, body) -> (the platform's code, its message), either None when the body does not say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer."""

    status: int
    headers: httpx.Headers
    body: bytes
    sent_at: datetime
    request_id: str | None

    def json(self) -> Any:
        """Decode exactly (numbers with a point become Decimal). BrokenAnswer when it is not JSON."""
        return decode_json(self.body)

    @property
    def clock_skew_s(self) -> float | None:
        """The platform's clock minus ours, from its Date header, in seconds."""
        stated = self.headers.get("date")
        if not stated:
            return None
        try:
            return (email.utils.parsedate_to_datetime(stated) - self.sent_at).total_seconds()
        except (TypeError, ValueError):
            return None


class RateLimit:
    """Token bucket for one shop, shared by all threads: at most `per_s` requests a second after `burst`."""

    def __init__(self, per_s: float, burst: int = 1) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Take one token, sleeping as long as needed; returns the seconds slept."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
            self._at = now
            self._tokens -= 1
            pause = max(0.0, -self._tokens / self._per_s)
        if pause:
            time.sleep(pause)
        return pause

    def push_back(self, seconds: float) -> None:
        """The platform asked for a pause: nobody of this shop sends before it is over."""
        with self._lock:
            self._tokens = min(self._tokens, -seconds * self._per_s)


def parse_rate(text: str, default_per_s: float) -> float:
    """ "3.5/s" or "200/min" to requests a second; empty gives the default."""
    if not text:
        return default_per_s
    number, _, unit = text.replace(" ", "").partition("/")
    seconds = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0}.get(unit)
    try:
        per_s = float(number) / seconds if seconds else 0.0
    except ValueError:
        per_s = 0.0
    if not 0 < per_s < 1e6:
        raise ConfigError(f"rate {text!r} is not a rate", next_step='write it as "3.5/s" or "200/min"')
    return per_s


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
    ) -> None:
        self.shop = shop
        self._rate = rate
        self._error_text = error_text
        self._request_id_header = request_id_header
        self._extra_transient = extra_transient
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
        self._client = httpx.Client(
            base_url=url,
            auth=auth,
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "ordersync", "Accept": "application/json", **(headers or {})},
        )

    def close(self) -> None:
        self._client.close()

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
    ) -> Answer:
        """A request that changes something, sent at most once.

        Errors: Transient when it was certainly not acted on (no connection, 429), Refused on 4xx,
        OutcomeUnknown when no whole answer came or the platform failed after receiving it.
        """
        return self._once(method, path, None, json, headers, operation, order, writing=True)

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
        self._rate.wait()
        query: Any = None
        if params is not None:
            query = list(params.items()) if isinstance(params, Mapping) else list(params)
        content = None if json is None else msgspec.json.encode(json)
        sent_headers = dict(headers or {})
        if content is not None:
            sent_headers.setdefault("Content-Type", "application/json; charset=utf-8")
        request = self._client.build_request(method, path, params=query, content=content, headers=sent_headers)
        if request.url.host != self._client.base_url.host or request.url.port != self._client.base_url.port:
            raise BrokenAnswer("the platform pointed to another host; not followed", **about)
        sent_at = datetime.now(UTC)
        try:
            response = self._client.send(request, stream=True)
            try:
                body = _bounded_body(response, about)
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as lost:
            raise Transient(
                f"{operation}: no connection to {self.shop}",
                code="no_connection",
                next_step="check the network and base_url, then run the same command again",
                **about,
            ) from lost
        except httpx.HTTPError as lost:
            raise _no_answer(type(lost).__name__, about, writing=writing) from lost
        return self._judge(response, body, sent_at, about, writing=writing)

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
        request_id = response.headers.get(self._request_id_header)
        about = {**about, "request_id": request_id}
        what = about["operation"]
        if 200 <= status < 300:
            return Answer(status, response.headers, body, sent_at, request_id)
        code, said = self._error_text(status, body)
        said = f": {said}" if said else ""
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
        if status >= 500 or status in self._extra_transient or 300 <= status < 400:
            if writing:
                raise _no_answer(f"HTTP {status}{said}", about, writing=True)
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


def decode_json(body: bytes) -> Any:
    """JSON with exact numbers: integers stay int, everything else Decimal. BrokenAnswer when it is not JSON."""
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as broken:
        raise BrokenAnswer(describe_broken(body), code="broken_json") from broken


def describe_broken(body: bytes) -> str:
    """One sentence about an answer that is not JSON, without quoting it: it may hold buyer data."""
    text = body[:64].lstrip().lower()
    if not text:
        return "the answer is empty where JSON is promised"
    if text.startswith((b"<!doctype", b"<html", b"<")):
        return f"the answer is a web page of {len(body)} bytes where JSON is promised"
    return f"the answer of {len(body)} bytes is cut or not JSON"


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds from a Retry-After header, given as seconds or as a date."""
    stated = headers.get("retry-after")
    if not stated:
        return None
    try:
        return max(0.0, float(stated))
    except ValueError:
        pass
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _wait_before_retry(error: Exception) -> bool | float:
    if not isinstance(error, Transient):
        return False
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= MAX_WAIT_S else False
    return True


def _bounded_body(response: httpx.Response, about: dict[str, Any]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise BrokenAnswer(
                f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MB; not read further",
                code="answer_too_large",
                **about,
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _no_answer(why: str, about: dict[str, Any], *, writing: bool) -> OrdersyncError:
    if writing:
        return OutcomeUnknown(
            f"{about['operation']}: sent, but no clear answer came ({why})",
            next_step="do not send it again by hand; ordersync looks at the order again first",
            **about,
        )
    return Transient(
        f"{about['operation']}: the answer did not arrive whole ({why})",
        code="no_answer",
        next_step="run the same command again",
        **about,
    )


def _number(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


_DECODER = msgspec.json.Decoder(float_hook=_number)
