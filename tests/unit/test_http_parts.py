"""The parts of the HTTP client that need no connection: rates, Retry-After, ids in paths, what may be quoted."""

from __future__ import annotations

import base64
import time

import httpx
import pytest

from ordersync.errors import ConfigError, UsageError
from ordersync.http import RateLimit, ShopClient, parse_rate, path_segment, retry_after_s, safe_text
from ordersync.wire import keys_in, without_keys


@pytest.mark.parametrize(
    "text, seconds",
    [("2", 2.0), ("0.5", 0.5), ("-3", 0.0), ("nan", None), ("inf", None), ("soon", None), ("", None)],
)
def test_retry_after_in_seconds(text: str, seconds: float | None) -> None:
    assert retry_after_s(httpx.Headers({"Retry-After": text})) == seconds


def test_retry_after_as_a_date() -> None:
    import email.utils

    later = email.utils.formatdate(time.time() + 30, usegmt=True)
    wait = retry_after_s(httpx.Headers({"Retry-After": later}))
    assert wait is not None
    assert 27 < wait <= 31
    assert retry_after_s(httpx.Headers({"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"})) == 0.0


@pytest.mark.parametrize("text, per_s", [("3.5/s", 3.5), ("200/min", 200 / 60), ("", 7.0), (" 2 / s ", 2.0)])
def test_rates_as_a_person_writes_them(text: str, per_s: float) -> None:
    assert parse_rate(text, 7.0) == pytest.approx(per_s)


@pytest.mark.parametrize("text", ["fast", "3", "0/s", "-1/s", "3/h", "nan/s"])
def test_a_rate_that_is_none_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_rate(text, 1.0)


def test_the_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    rate = RateLimit(50.0, burst=5)
    began = time.monotonic()
    for _ in range(15):
        rate.wait()
    assert 0.18 <= time.monotonic() - began < 1.5


@pytest.mark.parametrize("text", ["", ".", "..", "  ", "x" * 300])
def test_an_id_that_would_ask_for_something_else_is_not_an_id(text: str) -> None:
    with pytest.raises(UsageError):
        path_segment(text)


def test_an_id_is_one_segment_whatever_it_holds() -> None:
    assert path_segment("a/b?c#d é") == "a%2Fb%3Fc%23d%20%C3%A9"


@pytest.mark.parametrize("url", ["ftp://x", "no url", "http://shop.example.com/v1", "https://", "http://[bad"])
def test_a_base_url_that_is_unfit_or_would_send_the_key_in_clear_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError):
        ShopClient("web", url, auth=None, rate=RateLimit(1.0), error_text=lambda _s, _b: (None, None))


def test_a_long_error_is_quoted_in_part() -> None:
    assert len(safe_text("word " * 1000)) < 320


def test_a_key_that_looks_like_none_is_not_quoted() -> None:
    """A platform may quote the key back: it is known from the request, whatever it looks like."""
    basic = base64.b64encode(b"opaque-word-1:").decode()
    keys = keys_in(
        httpx.Headers({"Authorization": f"Basic {basic}", "X-Api-Key": "opaque-word-2", "Accept": "text/json"})
    )
    said = without_keys(f"opaque-word-1, opaque-word-2 and {basic} are unknown; text/json", keys)
    assert said == "<key>, <key> and <key> are unknown; text/json"
