"""The questions of the feed's scan, as calls of the platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ordersync.errors import NotFound, Refused
from ordersync.http import NOT_JSON, Answer, ShopClient

from .rows import Listing, split
from .scan import Counted


class _Count(msgspec.Struct):
    count: int


def read_list(
    client: ShopClient,
    path: str,
    params: dict[str, str | int] | None = None,
    *,
    operation: str,
    order: str | None = None,
) -> Answer:
    """A read of something every store has. A 404 here is about the address, never about an order: Refused."""
    try:
        return client.read(path, params, operation=operation, order=order)
    except NotFound as missing:
        raise Refused(
            missing.message,
            code="no_such_address",
            http_status=404,
            shop=missing.shop,
            order=order,
            operation=operation,
            request_id=missing.request_id,
            next_step=f"correct handle and api_version of shop {client.shop}, then run: ordersync check",
        ) from missing


class Asking:
    """The scan's questions, as calls."""

    def __init__(self, client: ShopClient, page_limit: int) -> None:
        self._client = client
        self._page_limit = page_limit

    def listing(self, first_s: int, last_s: int, *, hidden: bool) -> Listing:
        params: dict[str, str | int] = {
            "updated_at_min": _iso(first_s),
            "updated_at_max": _iso(last_s),
            "status": "any",
            "hidden_order": word(hidden),
            "sort_condition": "id:asc",
            "limit": self._page_limit,
        }
        return split(read_list(self._client, "orders.json", params, operation="list orders"))

    def follow(self, url: str) -> Listing:
        return split(read_list(self._client, url, operation="list orders"))

    def count(self, first_s: int, last_s: int, status: str) -> Counted:
        """A guide only: a platform that refuses to count is not asked to."""
        params = {"updated_at_min": _iso(first_s), "updated_at_max": _iso(last_s), "status": status}
        try:
            answer = self._client.read("orders/count.json", params, operation="count orders")
        except (NotFound, Refused):
            return Counted(None, None)
        skew = answer.clock_skew_s
        now = None if skew is None else answer.sent_at + timedelta(seconds=skew)
        return Counted(_counted(answer), now)

    def count_all(self) -> int | None:
        return _counted(read_list(self._client, "orders/count.json", {"status": "any"}, operation="count orders"))


def _counted(answer: Answer) -> int:
    try:
        return msgspec.json.decode(answer.body, type=_Count).count
    except NOT_JSON:
        raise answer.broken("the answer holds no count", code="broken_count") from None


def _iso(second: int) -> str:
    """With a `Z` rather than an offset: a `+` in a query is read as a space where it is not escaped."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def word(flag: bool) -> str:
    return "true" if flag else "false"
