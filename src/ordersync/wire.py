"""What HTTP needs without a connection: ids in paths, headers, and answers told without anything private."""

from __future__ import annotations

import base64
import email.utils
import math
import re
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from ordersync.errors import OrdersyncError, OutcomeUnknown, Transient, UsageError

LOOK_FIRST = "do not send it again by hand; ordersync looks at the order again first"


def safe_text(text: str) -> str:
    """What a platform said, fit for a message: one short line without e-mail addresses, phones and keys."""
    line = " ".join(text.split())
    for pattern, instead in _PRIVATE:
        line = pattern.sub(instead, line)
    return line if len(line) <= _LONGEST_QUOTE else line[:_LONGEST_QUOTE] + "..."


def keys_in(headers: httpx.Headers) -> tuple[str, ...]:
    """The secrets a request was sent with, longest first: what stands in headers that authorise, decoded too."""
    found: set[str] = set()
    for name, value in headers.items():
        if any(word in name.lower() for word in _KEY_HEADERS):
            found |= {value, *value.split()}
    for word in list(found):
        try:
            found |= set(base64.b64decode(word, validate=True).decode().split(":"))
        except (ValueError, UnicodeDecodeError):
            continue
    return tuple(sorted((word for word in found if len(word) >= _SHORTEST_KEY), key=len, reverse=True))


def without_keys(text: str, keys: Iterable[str]) -> str:
    """What a platform said, without the key it was asked with: some quote it back, whatever it looks like."""
    for key in keys:
        text = text.replace(key, "<key>")
    return text


def path_segment(text: str) -> str:
    """An id as one segment of a path. UsageError when it cannot be one: `..` would ask for another resource."""
    if text.strip(" .") == "" or len(text) > _LONGEST_ID:
        raise UsageError(
            "this is not an id of the platform", code="bad_id", next_step="give the order's id or number"
        )
    return quote(text, safe="")


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
        seconds = float(stated)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def no_connection(lost: Exception, about: dict[str, Any]) -> Transient:
    """Nothing was sent. TLS is agreed on before the request, so a refused certificate has seen neither it nor the
    key; asked again at once it would be refused again."""
    what, shop = about["operation"], about["shop"]
    cause: BaseException | None = lost
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Transient(
            f"{what}: the certificate of {shop} is not to be trusted ({cause.verify_message}); nothing was sent",
            code="bad_certificate",
            next_step="check base_url and this machine's clock; another may be answering in the shop's name",
            **about,
        )
    if cause is not None:
        return Transient(
            f"{what}: no encrypted connection to {shop} ({cause.reason or 'TLS failed'}); nothing was sent",
            code="no_tls",
            next_step="check base_url, then run the same command again",
            **about,
        )
    return Transient(
        f"{what}: no connection to {shop}",
        code="no_connection",
        next_step="check the network and base_url, then run the same command again",
        **about,
    )


def no_answer(why: str, about: dict[str, Any], *, writing: bool) -> OrdersyncError:
    if writing:
        return OutcomeUnknown(
            f"{about['operation']}: sent, but no clear answer came ({why})",
            next_step=LOOK_FIRST,
            **about,
        )
    return Transient(
        f"{about['operation']}: the answer did not arrive whole ({why})",
        code="no_answer",
        next_step="run the same command again",
        **about,
    )


_LONGEST_QUOTE = 300
_SHORTEST_KEY = 8
_KEY_HEADERS = ("authorization", "key", "token", "secret")
_LONGEST_ID = 255
_PRIVATE = (
    (re.compile(r"[^\s@<>\"'=:,;()]+(?:@|%40)[^\s@<>\"',;()&]+", re.IGNORECASE), "<e-mail>"),
    (re.compile(r"\beyJ[\w-]+\.[\w.-]+"), "<key>"),
    (re.compile(r"\b(?:sk|pk|whsec|shpat)_[A-Za-z0-9_]+"), "<key>"),
    (re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE), r"\1 <key>"),
    (re.compile(r"\+\d[\d\s().-]{6,}\d"), "<phone>"),
)
