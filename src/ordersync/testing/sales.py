"""One sale, said without any platform's words: what the sandboxes build their own orders from.

The same `SaleSpec` given to two sandboxes is the same sale on two shops. People, streets and addresses are made
up; every e-mail address ends in example.com (RFC 2606).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple


class SaleLine(NamedTuple):
    sku: str
    title: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class SaleSpec:
    """A sale as the buyer made it: amounts in minor units of `currency`, no tax and no discount on top."""

    number: int
    email: str
    currency: str
    lines: tuple[SaleLine, ...]
    shipping_minor: int
    placed_at: datetime
    """Aware, UTC, whole seconds."""
    paid: bool = True
    provider: str = "manual"
    references: dict[str, str] = field(default_factory=dict)
    """Free-form keys that name the same sale elsewhere, as a merchant's metadata would."""
    first_name: str = "Alex"
    last_name: str = "Example"
    line1: str = "1 Sample Street"
    city: str = "Springfield"
    province: str = "IL"
    postal_code: str = "62701"
    country_code: str = "US"
    phone: str | None = None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def subtotal_minor(self) -> int:
        return sum(line.quantity * line.unit_price_minor for line in self.lines)

    @property
    def total_minor(self) -> int:
        return self.subtotal_minor + self.shipping_minor


_FIRST_NAMES = ("Alex", "Bea", "Chris", "Dana", "Eun", "Farid", "Grace", "Hana", "Ines", "Jun", "Kim", "Lena")
_LAST_NAMES = ("Archer", "Baker", "Choi", "Dorn", "Ellis", "Fontana", "Gruber", "Hong", "Ito", "Jensen", "Kovac")
_CITIES = (
    ("Springfield", "IL", "62701", "US"),
    ("Portland", "OR", "97201", "US"),
    ("Dayton", "OH", "45402", "US"),
    ("Madison", "WI", "53703", "US"),
)
_GOODS = (
    ("TEE-M", "T-Shirt, medium", 1795),
    ("TEE-L", "T-Shirt, large", 1795),
    ("MUG-01", "Mug", 1250),
    ("LAMP-01", "Desk Lamp", 4900),
    ("BAG-02", "Canvas Bag", 2400),
    ("TEA-GRN", "Green Tea, 100 g", 899),
    ("POT-01", "Tea Pot", 3350),
    ("CASE-01", "Travel Case", 2500),
)
_SHIPPING = (0, 499, 799)
_KRW_PER_CENT = 14
"""Only so that made-up won prices look like won prices."""


def sales(
    seed: int,
    n: int,
    *,
    currency: str = "USD",
    provider: str = "manual",
    first_number: int = 1001,
    start: datetime = datetime(2026, 9, 1, 9, 0, tzinfo=UTC),
    paid: bool = True,
) -> Iterator[SaleSpec]:
    """`n` sales in the order they were placed; the same arguments give the same sales."""
    dice = random.Random(seed)  # noqa: S311  # reproducible test data, not a secret
    placed_at = start
    for number in range(first_number, first_number + n):
        first_name, last_name = dice.choice(_FIRST_NAMES), dice.choice(_LAST_NAMES)
        city, province, postal_code, country_code = dice.choice(_CITIES)
        placed_at += timedelta(seconds=dice.randint(90, 5400))
        goods = dice.sample(_GOODS, dice.choice((1, 1, 2, 3)))
        lines = tuple(
            SaleLine(sku, title, dice.choice((1, 1, 1, 2, 3)), _price(cents, currency))
            for sku, title, cents in goods
        )
        yield SaleSpec(
            number=number,
            email=f"{first_name}.{last_name}.{number}@example.com".lower(),
            currency=currency,
            lines=lines,
            shipping_minor=_price(dice.choice(_SHIPPING), currency),
            placed_at=placed_at,
            paid=paid,
            provider=provider,
            first_name=first_name,
            last_name=last_name,
            line1=f"{dice.randint(1, 980)} Sample Street",
            city=city,
            province=province,
            postal_code=postal_code,
            country_code=country_code,
        )


def _price(cents: int, currency: str) -> int:
    """Won and yen have no minor unit: hundreds of them instead of cents."""
    if currency in ("KRW", "JPY"):
        return cents * _KRW_PER_CENT // 100 * 100
    return cents
