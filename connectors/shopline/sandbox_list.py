"""How the SHOPLINE sandbox lists orders: filters, sorting and the opaque `page_info`, as documented and as seen.

What a list ignores is ignored here too: an unknown sort field, `fields`, and every filter beside a `page_info`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ordersync.testing.sandbox import Request

from .sandbox_orders import JsonObject
from .sandbox_state import Problem, ShoplineState

SEEN_DEFAULT_LIMIT = 20
"""The page says 50; a live call without `limit` gave 20."""
MOST = 100
_FILTERS = (
    *("ids", "since_id", "created_at_min", "created_at_max", "updated_at_min", "updated_at_max", "status"),
    *("financial_status", "fulfillment_status", "hidden_order", "name", "email", "buyer_id", "sort_condition"),
)
_FULFILLMENT = {"unshipped": "null", "partial": "partial", "shipped": "fulfilled"}
"""The filter's words are not the answer's words."""
_FINANCIAL = frozenset(
    ("unpaid", "authorized", "pending", "partially_paid", "paid", "partially_refunded", "refunded")
)
_CURSOR_CHARACTERS = 900


def list_page(state: ShoplineState, request: Request) -> tuple[list[str], str | None, str | None]:
    """Ids on the asked page, and the `page_info` of the next and of the previous page."""
    limit = _limit(request)
    page_info = request.arg("page_info")
    if page_info:
        filters, start = _read_page_info(page_info)
    else:
        filters = {name: value for name in _FILTERS if (value := request.arg(name))}
        start = ""
    ids = _matching(state, filters)
    offset = _offset(state, ids, start)
    shown = ids[offset : offset + limit]
    following = previous = None
    if len(ids) > offset + limit:
        following = _page_info(filters, _start(state, ids, offset + limit))
    if offset > 0:
        previous = _page_info(filters, _start(state, ids, max(0, offset - limit)))
    return shown, following, previous


def count(state: ShoplineState, request: Request) -> int:
    """Here `open` and `cancelled` mean not archived, `hidden` archived, `any` all: not what the list means."""
    status = request.arg("status") or "any"
    filters = {name: value for name in _FILTERS if (value := request.arg(name))}
    filters.pop("status", None)
    filters.pop("hidden_order", None)
    if status not in ("open", "cancelled", "hidden", "any"):
        raise Problem(400, "status is invalid")
    return len(_matching(state, {**filters, "count": status}))


def _matching(state: ShoplineState, filters: Mapping[str, str]) -> list[str]:
    first, last = _instant(filters, "updated_at_min"), _instant(filters, "updated_at_max")
    found = state.between(first, last)
    if "ids" in filters:
        wanted = [part.strip() for part in filters["ids"].split(",")]
        if len(wanted) > MOST:
            raise Problem(400, "ids must not exceed 100")
        found = [order_id for order_id in found if order_id in set(wanted)]
    check = _Check(state, filters)
    kept = [order_id for order_id in found if check.passes(state.rows[order_id].payload)]
    kept.sort()
    sort = filters.get("sort_condition", "")
    for part in reversed(sort.split(",")):
        name, _, direction = part.partition(":")
        if name.strip() == "id":
            kept.sort(reverse=direction == "desc")
        elif name.strip() == "order_at":
            kept.sort(
                key=lambda order_id: datetime.fromisoformat(state.rows[order_id].payload["order_at"]),
                reverse=direction == "desc",
            )
    return kept


class _Check:
    """The filters of one request, read once."""

    def __init__(self, state: ShoplineState, filters: Mapping[str, str]) -> None:
        self._filters = filters
        self._equal = {name: filters[name] for name in ("name", "email") if name in filters}
        self._created = (_instant(filters, "created_at_min"), _instant(filters, "created_at_max"))
        self._since_id = filters.get("since_id")
        self._count = filters.get("count")
        self._status = filters.get("status", "any")
        if self._status not in ("open", "cancelled", "any"):
            raise Problem(400, "status is invalid")
        self._financial = filters.get("financial_status")
        if self._financial is not None and self._financial not in _FINANCIAL:
            raise Problem(400, "financial_status is invalid")
        shipped = filters.get("fulfillment_status")
        if shipped is not None and shipped not in _FULFILLMENT:
            raise Problem(400, "fulfillment status value is illegal")
        self._shipped = None if shipped is None else _FULFILLMENT[shipped]
        # The documented default fulfillment_status=unshipped is not what live calls do: unfiltered means all.
        self._hidden: bool | None = filters.get("hidden_order", "false") == "true"
        ids_show_all = state.unknowns.ids_show_archived and "ids" in filters and "hidden_order" not in filters
        if self._count or ids_show_all:
            self._hidden = None

    def passes(self, order: JsonObject) -> bool:
        if self._hidden is not None and order["hidden_order"] != self._hidden:
            return False
        if self._count and not _counted(order, self._count):
            return False
        if self._status != "any" and order["status"] != self._status:
            return False
        if self._financial is not None and order["financial_status"] != self._financial:
            return False
        if self._shipped is not None and order["fulfillment_status"] != self._shipped:
            return False
        if self._since_id is not None and order["id"] <= self._since_id:
            return False
        first, last = self._created
        if first is not None or last is not None:
            created = datetime.fromisoformat(order["created_at"]).timestamp()
            if (first is not None and created < first) or (last is not None and created > last):
                return False
        return all(order[name] == value for name, value in self._equal.items()) and (
            "buyer_id" not in self._filters or order["customer"]["id"] == self._filters["buyer_id"]
        )


def _counted(order: JsonObject, status: str) -> bool:
    if status == "any":
        return True
    if status == "hidden":
        return bool(order["hidden_order"])
    return order["status"] == status and not order["hidden_order"]


def _limit(request: Request) -> int:
    stated = request.arg("limit")
    if not stated:
        return SEEN_DEFAULT_LIMIT
    if not stated.isdecimal() or int(stated) < 1:
        raise Problem(400, "limit must be a positive integer")
    return min(int(stated), MOST)


def _instant(filters: Mapping[str, str], name: str) -> float | None:
    """Unix seconds. A `+` that was not escaped arrives as a space and is no date."""
    if name not in filters:
        return None
    try:
        moment = datetime.fromisoformat(filters[name])
    except ValueError:
        raise Problem(400, f"{name} is invalid") from None
    if moment.tzinfo is None:
        raise Problem(400, f"{name} has no time zone")
    return moment.timestamp()


def _start(state: ShoplineState, ids: list[str], offset: int) -> str:
    """Where a page starts: its offset, or the id before it."""
    if state.unknowns.paging == "offset":
        return str(offset)
    return ids[offset - 1] if offset else ""


def _offset(state: ShoplineState, ids: list[str], start: str) -> int:
    if not start:
        return 0
    if state.unknowns.paging == "offset":
        return int(start)
    return sum(1 for order_id in ids if order_id <= start)


def _page_info(filters: Mapping[str, str], start: str) -> str:
    body = json.dumps({"filters": filters, "start": start}, sort_keys=True).encode()
    sealed = f"{zlib.crc32(body):08X}{len(body):04X}" + body.hex().upper()
    return sealed.ljust(_CURSOR_CHARACTERS, "0")


def _read_page_info(text: str) -> tuple[dict[str, str], str]:
    try:
        body = bytes.fromhex(text[12 : 12 + 2 * int(text[8:12], 16)])
        if f"{zlib.crc32(body):08X}" != text[:8]:
            raise ValueError("not one of ours")
        said: dict[str, Any] = json.loads(body)
    except ValueError:
        raise Problem(400, "page_info is invalid") from None
    return said["filters"], said["start"]
