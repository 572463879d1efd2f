"""Filters, sorting, paging and `fields` of the Medusa admin API, its silent and its rude answers included.

Unknown filters on orders are ignored without a word; a bad date, status, sort field or a negative limit is a 500.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from ordersync_connectors.medusa.sandbox_amounts import order_total
from ordersync_connectors.medusa.sandbox_records import Order, Rule
from ordersync_connectors.medusa.sandbox_render import SALES_CHANNEL_ID

Query = Iterable[tuple[str, str]]
_Row = TypeVar("_Row")
_KEY = re.compile(r"^(?P<name>[\w.]+)(?:\[(?P<op>\$\w+)\])?(?P<list>\[\d*\])?$")
_STATUSES = ("pending", "completed", "draft", "archived", "canceled", "requires_action")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda have, want: have > want,
    "$gte": lambda have, want: have >= want,
    "$lt": lambda have, want: have < want,
    "$lte": lambda have, want: have <= want,
    "$eq": lambda have, want: have == want,
    "$ne": lambda have, want: have != want,
}
ALWAYS = ("id", "status", "version", "items", "payment_status", "fulfillment_status")
"""Come back whatever was asked."""
LIST_DEFAULTS = (
    "id,display_id,custom_display_id,status,version,summary,total,metadata,locale,created_at,updated_at,*items"
)
DETAIL_DEFAULTS = (
    f"{LIST_DEFAULTS},region_id,subtotal,tax_total,discount_total,discount_tax_total,original_total,"
    "original_subtotal,original_tax_total,item_total,item_subtotal,item_tax_total,original_item_total,"
    "original_item_subtotal,original_item_tax_total,shipping_total,shipping_subtotal,shipping_tax_total,"
    "original_shipping_tax_total,original_shipping_subtotal,original_shipping_total,credit_line_total,"
    "credit_line_subtotal,credit_line_tax_total,*items.variant,*items.variant.product,*credit_lines,"
    "*shipping_address,*billing_address,*shipping_methods,*payment_collections,*payment_collections.payments,"
    "*payment_collections.payments.refunds,*payment_collections.payments.captures,*fulfillments"
)
NOT_AFTER_A_MOVE = ("payment_status", "fulfillment_status", "fulfillments")
PAYMENT_DEFAULTS = (
    "id,currency_code,amount,captured_at,payment_collection_id,payment_session_id,captures.id,captures.amount,"
    "refunds.id,refunds.amount,refunds.note,refunds.payment_id,refunds.refund_reason_id,refunds.refund_reason"
)
_RELATIONS = frozenset(
    [
        "items",
        "items.variant",
        "items.variant.product",
        "credit_lines",
        "shipping_address",
        "billing_address",
        "shipping_methods",
        "transactions",
        "returns",
        "customer",
        "sales_channel",
        "payment_collections",
        "payment_collections.payments",
        "payment_collections.payments.refunds",
        "payment_collections.payments.captures",
        "fulfillments",
        "fulfillments.items",
        "fulfillments.labels",
        "captures",
        "refunds",
        "payment_collection",
        "payment_collection.order",
    ]
)
_SORTABLE = frozenset(
    ["id", "display_id", "status", "version", "created_at", "updated_at", "email", "currency_code", "canceled_at"]
)


class ServerError(Exception):
    """What the platform answers to a query it cannot digest: 500, unknown_error."""


@dataclass(slots=True)
class Wanted:
    """Which fields of a record to give: all scalars (`star`), named ones, and relations below it."""

    star: bool = False
    names: set[str] = field(default_factory=set)
    below: dict[str, Wanted] = field(default_factory=dict)

    def at(self, path: Sequence[str]) -> Wanted:
        node = self
        for part in path:
            node = node.below.setdefault(part, Wanted())
        return node


def wanted_fields(asked: str | None, defaults: str) -> Wanted:
    """`+x` adds, `-x` removes, `*relation` adds all of it; one plain name drops all the defaults."""
    terms = [term.strip() for term in (asked or "").split(",") if term.strip()]
    plain = any(term[0] not in "+-*" for term in terms) and not (asked or "").startswith(" ")
    removed = {term[1:] for term in terms if term[0] == "-"}
    root = Wanted(names=set(ALWAYS))
    for term in [*(() if plain else defaults.split(",")), *terms]:
        name = term.lstrip("+ ")
        if term[0] == "-" or name in removed:
            continue
        path = name.lstrip("*").split(".")
        if name.startswith("*"):
            root.at(path).star = True
        else:
            root.at(path[:-1]).names.add(path[-1])
    return root


def select(document: Mapping[str, Any], wanted: Wanted, path: str = "") -> dict[str, Any]:
    """The record cut down to what was asked for; unknown names are ignored."""
    result: dict[str, Any] = {}
    for name, value in document.items():
        here = f"{path}.{name}" if path else name
        if here in _RELATIONS:
            below = wanted.below.get(name)
            if below is not None:
                result[name] = _select_relation(value, below, here)
            elif name in wanted.names and name == "items":
                result[name] = [_uncomputed(row) for row in value]
        elif wanted.star or name in wanted.names or name == "id":
            result[name] = value
    return result


def _uncomputed(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item nobody asked for comes without its sums, taxes and adjustments."""
    computed = ("total", "subtotal", "total_per_unit")
    others = ("tax_lines", "adjustments", "variant")
    return {name: value for name, value in item.items() if not name.endswith(computed) and name not in others}


def _select_relation(value: Any, wanted: Wanted, path: str) -> Any:
    if value is None:
        return None
    computed = Wanted(wanted.star, set(wanted.names), wanted.below)
    if path == "payment_collections":
        # Read for `payment_status` anyway, so they come along.
        computed.names |= {"status", "amount", "captured_amount", "refunded_amount"}
    if isinstance(value, list):
        return [select(row, computed, path) for row in value]
    return select(value, computed, path)


def page_of(query: Query, default_limit: int) -> tuple[int, int]:
    """(limit, offset): no maximum; a word is a 400, a negative number a 500."""
    numbers = {"limit": default_limit, "offset": 0}
    for name, value in query:
        if name in numbers:
            try:
                numbers[name] = int(value)
            except ValueError:
                raise Rule(
                    400,
                    "invalid_data",
                    f"Invalid request: Expected type: 'number' for field '{name}', got: '{value}'",
                ) from None
    if min(numbers.values()) < 0:
        raise ServerError
    return numbers["limit"], numbers["offset"]


def sort_and_cut(
    rows: list[_Row],
    query: Query,
    default_limit: int,
    value: Callable[[_Row, str], Any],
    key: Callable[[_Row], str],
) -> tuple[list[_Row], int, int]:
    """(the page, limit, offset). Rows with equal sort values come in an order that differs from page to page."""
    limit, offset = page_of(query, default_limit)
    order = next((text for name, text in query if name == "order"), "")
    name = order.removeprefix("-")
    if order and name not in _SORTABLE and not re.fullmatch(r"(customer|sales_channel)\.\w+", name):
        raise ServerError

    def tie(row: _Row) -> int:
        return zlib.crc32(f"{key(row)}/{limit}/{offset}".encode())

    if not order or "." in name:
        rows = sorted(rows, key=key)
    else:
        rows = sorted(sorted(rows, key=tie), key=lambda row: value(row, name), reverse=order.startswith("-"))
    return rows[offset : offset + limit], limit, offset


def filter_orders(orders: Iterable[Order], query: Query) -> list[Order]:
    """Draft orders never appear; a filter this API does not know is ignored."""
    rows = [order for order in orders if not order.is_draft]
    groups: dict[tuple[str, str], list[str]] = {}
    for name, text in query:
        match = _KEY.match(name)
        if match is None:
            continue
        if match["name"] == "sales_channel_id" and not match["list"]:
            raise Rule(
                400,
                "invalid_data",
                f"Invalid request: Expected type: 'array' for field 'sales_channel_id', got: '{text}'",
            )
        groups.setdefault((match["name"], match["op"] or ""), []).append(text)
    for (name, operator), texts in groups.items():
        wants = _wants(name, texts)
        rows = [order for order in rows if _matches(order, name, operator, wants)]
    return rows


def _wants(name: str, texts: list[str]) -> list[Any]:
    """The values of a filter; ServerError for one the platform cannot read."""
    if name in ("created_at", "updated_at"):
        return [parse_date(text) for text in texts]
    if name == "total":
        try:
            return [Decimal(text) for text in texts]
        except InvalidOperation:
            raise ServerError from None
    if name == "status" and any(text not in _STATUSES for text in texts):
        raise ServerError
    return list(texts)


def _matches(order: Order, name: str, operator: str, wants: list[Any]) -> bool:
    if name in ("created_at", "updated_at"):
        return _compare(operator or "$eq", getattr(order, name), wants)
    if name == "total":
        return _compare(operator or "$eq", order_total(order), wants)
    if name in ("id", "status", "region_id"):
        return _compare(operator or "$in", getattr(order, name), wants)
    if name == "customer_id":
        return _compare(operator or "$in", order.customer["id"], wants)
    if name == "sales_channel_id":
        return SALES_CHANNEL_ID in wants
    if name == "q":
        people = " ".join(str(order.address[part]) for part in ("first_name", "last_name", "city"))
        return str(wants[0]).lower() in f"{order.email} {people}".lower()
    return True


def _compare(operator: str, have: Any, wants: list[Any]) -> bool:
    if operator == "$in":
        return have in wants
    if operator == "$nin":
        return have not in wants
    return _COMPARE[operator](have, wants[0]) if operator in _COMPARE else True


def parse_date(text: str) -> datetime:
    """ISO 8601 with `Z` or an offset; a raw `+` arrived as a space and is no date."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ServerError from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
