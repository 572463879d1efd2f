"""Money as integer minor units with its currency. Floats never come near it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

from iso4217 import Currency as IsoCurrency
from pydantic import BaseModel, ConfigDict

LARGEST_MINOR = 10**15
"""Beyond this an amount is taken for a broken payload; it also keeps sums inside 64-bit integers."""


@lru_cache(maxsize=512)
def iso_exponent(currency: str) -> int:
    """Digits after the point of `currency` (ISO 4217, upper case); ValueError for an unknown code."""
    try:
        return int(IsoCurrency(currency).exponent or 0)
    except ValueError:
        raise ValueError(f"unknown currency {currency!r}") from None


class Money(BaseModel):
    """An amount in minor units (cents, won, yen) of one ISO 4217 currency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount_minor: int
    currency: str

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(amount_minor=0, currency=currency)

    @classmethod
    def from_major(cls, amount: Decimal, currency: str, exponents: Mapping[str, int] | None = None) -> Money:
        """Quantise a major-unit Decimal, half away from zero, to the currency's digits."""
        return cls(amount_minor=minor_units(amount, currency, exponents), currency=currency)

    @classmethod
    def parse(cls, text: str) -> Money:
        """Read what a person types: "45.00 USD". ValueError says what is wrong, nothing is rounded."""
        parts = text.split()
        if len(parts) != 2:
            raise ValueError(f'{text!r} is not an amount; write it as "45.00 USD"')
        currency = parts[1].upper()
        exponent = iso_exponent(currency)
        try:
            scaled = Decimal(parts[0]).scaleb(exponent)
        except InvalidOperation:
            raise ValueError(f'{parts[0]!r} is not a number; write an amount as "45.00 USD"') from None
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            raise ValueError(f"{text!r} has more digits than {currency} has ({exponent})")
        if abs(scaled) > LARGEST_MINOR:
            raise ValueError(f"{text!r} is too large")
        return cls(amount_minor=int(scaled), currency=currency)

    def major(self, exponents: Mapping[str, int] | None = None) -> Decimal:
        """The amount in major units, with exactly the currency's digits."""
        digits = _exponent(self.currency, exponents)
        return Decimal(self.amount_minor).scaleb(-digits)

    def __str__(self) -> str:
        try:
            return f"{self.major():f} {self.currency}"
        except ValueError:
            return f"{self.amount_minor} minor units of {self.currency}"

    def __add__(self, other: Money) -> Money:
        return Money(amount_minor=self.amount_minor + self._same(other), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(amount_minor=self.amount_minor - self._same(other), currency=self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount_minor <= self._same(other)

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}")
        return other.amount_minor


def total(amounts: Iterable[Money], currency: str) -> Money:
    """Sum; ValueError when one of them is in another currency than `currency`."""
    minor = 0
    for amount in amounts:
        if amount.currency != currency:
            raise ValueError(f"cannot combine {currency} with {amount.currency}")
        minor += amount.amount_minor
    return Money(amount_minor=minor, currency=currency)


def minor_units(amount: Decimal, currency: str, exponents: Mapping[str, int] | None = None) -> int:
    """Major-unit Decimal to minor units, half away from zero. ValueError when not finite or absurd."""
    if not amount.is_finite():
        raise ValueError("amount is not a finite number")
    if abs(amount.adjusted()) > 30:
        if amount == 0 or amount.adjusted() < 0:
            return 0
        raise ValueError("amount is too large")
    scaled = amount.scaleb(_exponent(currency, exponents)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    if abs(scaled) > LARGEST_MINOR:
        raise ValueError("amount is too large")
    return int(scaled)


def _exponent(currency: str, exponents: Mapping[str, int] | None) -> int:
    if exponents and currency in exponents:
        return exponents[currency]
    return iso_exponent(currency)
