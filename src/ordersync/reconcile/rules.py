"""Links by reference: a field of one shop's orders names an order of another. Pure.

A reference alone proves nothing, because buyers can write metadata: a rule links only where currency, total and
skus agree, unless the merchant declares the key `trusted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from ordersync.model import Frozen, Money
from ordersync.model.traits import ITEMS_MODULUS, Traits

SPLIT_SALE = "split_sale"
"""One order of one shop is two or more of another: no link can hold it, a link has one order per shop."""
DUPLICATE_MIRROR = "duplicate_mirror"
"""Two orders of one shop are the same order of another: one too many, and only a person knows which."""
REFERENCE_UNCONFIRMED = "reference_unconfirmed"


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
    where: Mapping[str, str] = Field(default_factory=dict)
    """Only orders for which each of these fields equals its value."""
    trusted: bool = False
    tolerance_minor: int = 1

    @property
    def name(self) -> str:
        only = " where " + ", ".join(f"{k} is {v}" for k, v in sorted(self.where.items())) if self.where else ""
        return f"{self.source}.{self.field}{only} names {self.to_shop}.{self.to_field}"


def disagreements(one: Traits, other: Traits, tolerance_minor: int) -> list[str]:
    """Why two orders that name each other may not be the same sale; empty when they agree."""
    found: list[str] = []
    if one.draft or other.draft:
        found.append("one of them is a draft")
    if one.currency != other.currency:
        found.append(f"currency {one.currency} and {other.currency}")
    if one.charged is None or other.charged is None:
        found.append("a total is not known")
    elif one.charged_currency != other.charged_currency or abs(one.charged - other.charged) > tolerance_minor:
        found.append(f"total {charged_text(one)} and {charged_text(other)}")
    if one.items is None or other.items is None:
        found.append("line items are not known")
    elif one.items != other.items:
        found.append("skus and quantities differ")
    return found


def adds_up(whole: Traits, parts: Sequence[Traits], tolerance_minor: int = 1) -> bool:
    """Two or more orders whose totals and items together are those of `whole`: a sale that was split."""
    if len(parts) < 2 or whole.charged is None or whole.items is None or whole.draft:
        return False
    money = (whole.currency, whole.charged_currency)
    charged = items = 0
    for part in parts:
        if part.draft or part.charged is None or part.items is None or part.charged <= 0:
            return False
        if (part.currency, part.charged_currency) != money:
            return False
        charged += part.charged
        items += part.items
    return abs(charged - whole.charged) <= tolerance_minor and items % ITEMS_MODULUS == whole.items


def charged_text(traits: Traits) -> str:
    """ "45.00 USD"; "unknown" where the total is not known."""
    if traits.charged is None or traits.charged_currency is None:
        return "unknown"
    return str(Money(amount_minor=traits.charged, currency=traits.charged_currency))


def several_code(whole: Traits | None, parts: Iterable[Traits | None]) -> str:
    """Why one order cannot be linked to several of another shop: `split_sale` when they add up to it."""
    known = [part for part in parts if part is not None]
    return SPLIT_SALE if whole is not None and adds_up(whole, known) else DUPLICATE_MIRROR
