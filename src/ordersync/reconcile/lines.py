"""Which line of one order is which line of another: by sku, else variant, else title and unit price.

Lines of one order that share a key (the same sku twice) are one key with several lines: units are spread over
them in the order's own sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ordersync.model import LineItem, LineUnits, Order

Key = tuple[str, str]
Units = Mapping[Key, int]


@dataclass(frozen=True, slots=True)
class LineTable:
    """The lines of one order under keys that other members of its link understand."""

    lines: tuple[tuple[Key, LineItem], ...]

    @property
    def ordered(self) -> dict[Key, int]:
        return _sum((key, line.quantity) for key, line in self.lines)

    def key_of(self, line_item_id: str) -> Key | None:
        return next((key for key, line in self.lines if line.id == line_item_id), None)

    def units(self, counted: Sequence[tuple[str, int]]) -> dict[Key, int] | None:
        """(line id, units) pairs by key; None when a line is not of this order."""
        found: list[tuple[Key, int]] = []
        for line_item_id, quantity in counted:
            key = self.key_of(line_item_id)
            if key is None:
                return None
            found.append((key, quantity))
        return _sum(found)

    def spread(self, wanted: Units, taken: Mapping[str, int]) -> tuple[LineUnits, ...] | None:
        """`wanted` units in this order's own lines, beside `taken` units a line; None when they do not fit."""
        result: list[LineUnits] = []
        for key in sorted(wanted):
            left = wanted[key]
            for own, line in self.lines:
                free = line.quantity - taken.get(line.id, 0)
                if own == key and left > 0 and free > 0:
                    result.append(LineUnits(line_item_id=line.id, quantity=min(free, left)))
                    left -= min(free, left)
            if left > 0:
                return None
        return tuple(result)


def line_tables(orders: Sequence[Order]) -> list[LineTable] | None:
    """One table an order, under the finest kind of key that fits all of them; None when no kind does.

    A kind fits when every line of every order has it and all orders have the same keys with the same units.
    """
    if any(order.line_items is None for order in orders):
        return None
    for kind in ("sku", "variant", "title"):
        tables = [table_of(order, kind) for order in orders]
        whole = [table for table in tables if table is not None]
        if len(whole) == len(orders) and len({tuple(sorted(t.ordered.items())) for t in whole}) == 1:
            return whole
    return None


def table_of(order: Order, kind: str) -> LineTable | None:
    """The lines under one kind of key: `sku`, `variant` or `title`; None when a line has none."""
    rows: list[tuple[Key, LineItem]] = []
    for line in order.line_items or ():
        key = _key(line, kind)
        if key is None:
            return None
        rows.append((key, line))
    return LineTable(tuple(rows))


def _key(line: LineItem, kind: str) -> Key | None:
    if kind == "sku":
        return ("sku", line.sku) if line.sku else None
    if kind == "variant":
        return ("variant", line.variant_id) if line.variant_id else None
    if line.title and line.unit_price is not None:
        return ("title", f"{line.title} at {line.unit_price}")
    return None


def _sum(pairs: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    result: dict[Key, int] = {}
    for key, quantity in pairs:
        result[key] = result.get(key, 0) + quantity
    return result
