"""Money: whole minor units of one currency, exact, never across currencies."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ordersync.model import Money, iso_exponent, minor_units, total

CURRENCIES = ("USD", "EUR", "KRW", "JPY", "TWD", "KWD", "BHD")
currencies = st.sampled_from(CURRENCIES)
minors = st.integers(-(10**12), 10**12)
monies = st.builds(lambda minor, code: Money(amount_minor=minor, currency=code), minors, currencies)
decimals = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False, places=20)


def of(minor: int, code: str = "USD") -> Money:
    return Money(amount_minor=minor, currency=code)


@given(monies)
def test_major_units_and_back_is_the_same_money(money: Money) -> None:
    assert Money.from_major(money.major(), money.currency) == money


@given(monies)
def test_what_is_shown_can_be_typed_again(money: Money) -> None:
    assert Money.parse(str(money)) == money


@given(decimals, currencies)
def test_quantising_moves_an_amount_by_half_a_minor_unit_at_most(amount: Decimal, code: str) -> None:
    unit = Decimal(1).scaleb(-iso_exponent(code))
    rounded = Money.from_major(amount, code).major()
    assert abs(rounded - amount) <= unit / 2
    assert rounded == amount.quantize(unit, rounding=ROUND_HALF_UP)


@given(decimals, currencies)
def test_quantising_keeps_the_order_and_the_sign(amount: Decimal, code: str) -> None:
    assert minor_units(amount, code) == -minor_units(-amount, code)
    assert minor_units(amount, code) <= minor_units(amount + 1, code)


@given(st.lists(minors), currencies, st.randoms(use_true_random=False))
def test_a_sum_does_not_depend_on_the_order_of_its_parts(parts: list[int], code: str, random: object) -> None:
    amounts = [of(part, code) for part in parts]
    assert total(amounts, code) == total(list(reversed(amounts)), code) == of(sum(parts), code)


@given(monies, monies)
def test_money_of_two_currencies_never_meets(left: Money, right: Money) -> None:
    if left.currency == right.currency:
        assert (left + right) - right == left
        assert (left < right) == (left.amount_minor < right.amount_minor)
        assert (left <= right) == (left.amount_minor <= right.amount_minor)
        return
    for meet in (lambda: left + right, lambda: left - right, lambda: left < right, lambda: left <= right):
        with pytest.raises(ValueError, match="cannot combine"):
            meet()
    with pytest.raises(ValueError, match="cannot combine"):
        total([right], left.currency)


@pytest.mark.parametrize(
    ("amount", "code", "minor"),
    [
        ("32.45335", "USD", 3245),
        ("9100.3", "JPY", 9100),
        ("22499.9999999999997", "KRW", 22500),
        ("2.99999989e-13", "EUR", 0),
        ("0.005", "USD", 1),
        ("-0.005", "USD", -1),
        ("1.0005", "KWD", 1001),
        ("15.084033613445378151", "EUR", 1508),
    ],
)
def test_amounts_seen_on_real_servers_are_quantised(amount: str, code: str, minor: int) -> None:
    assert minor_units(Decimal(amount), code) == minor


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN", "1E+400", "99999999999999999999"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"finite|large"):
        minor_units(Decimal(amount), "USD")


def test_a_shop_may_use_other_digits() -> None:
    assert minor_units(Decimal("12.5"), "TWD", {"TWD": 0}) == 13
    assert of(13, "TWD").major({"TWD": 0}) == Decimal(13)


@pytest.mark.parametrize(
    "text", ["", "5", "5 USD EUR", "five USD", "5.001 USD", "5.5 KRW", "NaN USD", "5 XYZW", "1e30 USD"]
)
def test_a_typed_amount_is_never_rounded_or_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Money.parse(text)


def test_money_cannot_be_changed_or_carry_more() -> None:
    money: Any = of(5)
    with pytest.raises(ValidationError):
        money.amount_minor = 6
    with pytest.raises(ValidationError):
        Money.model_validate({"amount_minor": 5, "currency": "USD", "note": "x"})
    with pytest.raises(ValidationError):
        Money.model_validate({"amount_minor": 5.5, "currency": "USD"})


def test_only_nothing_is_falsy() -> None:
    assert not Money.zero("USD")
    assert of(-1)
