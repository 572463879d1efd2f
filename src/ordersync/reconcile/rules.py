"""Links by reference: a field of one shop's orders names an order of another. Pure.

A reference alone proves nothing, because buyers can write metadata: a rule links only where currency, total and
skus agree, unless the merchant declares the key `trusted`.
"""

from __future__ import annotations

from ordersync.model import Frozen, Order


class LinkRule(Frozen):
    source: str
    """Shop whose orders carry the reference."""
    field: str
    """`metadata.external_id`, `note_attributes.order`, `number` or `note`."""
    to_shop: str
    to_field: str = "number"
    """`number` or `id` of the other shop's order."""
    strip: str = ""
    """Prefix taken off the reference before it is looked up."""
    trusted: bool = False
    tolerance_minor: int = 1

    @property
    def name(self) -> str:
        return f"{self.source}.{self.field} names {self.to_shop}.{self.to_field}"

    def reference(self, order: Order) -> str | None:
        """The other order's number or id as this order states it; None when it states none."""
        if self.field == "number":
            value = order.number
        elif self.field == "note":
            value = order.note
        else:
            value = order.references.get(self.field) or order.references.get(self.field.partition(".")[2])
        text = (value or "").strip()
        if self.strip and text.startswith(self.strip):
            text = text[len(self.strip) :]
        return text or None


def disagreements(one: Order, other: Order, tolerance_minor: int) -> list[str]:
    """Why two orders that name each other may not be the same sale; empty when they agree."""
    found: list[str] = []
    if one.draft or other.draft:
        found.append("one of them is a draft")
    if one.currency != other.currency:
        found.append(f"currency {one.currency} and {other.currency}")
    mine, theirs = one.first_charged, other.first_charged
    if mine is None or theirs is None:
        found.append("a total is not known")
    elif mine.currency != theirs.currency or abs(mine.amount_minor - theirs.amount_minor) > tolerance_minor:
        found.append(f"total {mine} and {theirs}")
    if one.line_items is None or other.line_items is None:
        found.append("line items are not known")
    elif _units(one) != _units(other):
        found.append("skus and quantities differ")
    return found


def _units(order: Order) -> dict[str, int]:
    units: dict[str, int] = {}
    for line in order.line_items or ():
        name = line.sku or line.title or line.id
        units[name] = units.get(name, 0) + line.quantity
    return units
