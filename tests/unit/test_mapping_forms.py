"""Converters and the five forms, each on the smallest payload that shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersync.errors import MappingError
from ordersync.mapping import Profile, decode, encode, load_mapping
from ordersync.mapping.converters import CONVERTERS, Bad, Context, rfc3339
from ordersync.model import NO_CURRENCY, Money, Order, Purse

HEAD = """
platform: toy
api_version: "1"
source: invented for this test
recognise: {has: [id]}
unwrap: ["."]
"""
CTX = Context({}, {}, frozenset())


def order_of(fields: str, payload: dict[str, Any], lists: str = "", profile: Profile | None = None) -> Order:
    """Normalise `payload` (id and currency added) with a file of these extra order fields and lists."""
    text = f"{HEAD}order:\n  order_id: id\n  currency: {{path: currency, as: currency}}\n{fields}\n{lists}"
    whole = {"id": "1", "currency": "USD", **payload}
    return load_mapping(text, "toy.yaml", None).normalise(whole, profile or Profile("s"))


def refused(fields: str, payload: dict[str, Any], lists: str = "") -> MappingError:
    with pytest.raises(MappingError) as caught:
        order_of(fields, payload, lists)
    return caught.value


# --- forms ---------------------------------------------------------------------------------------------------------


def test_first_of_takes_the_first_that_is_there() -> None:
    fields = "  number: {first_of: [name, {path: no, as: text_or_integer}]}"
    assert order_of(fields, {"name": "A-1", "no": 7}).number == "A-1"
    assert order_of(fields, {"name": "", "no": 7}).number == "7"
    assert order_of(fields, {"name": None}).number is None


def test_where_picks_records_that_are_equal() -> None:
    lists = """
refunds:
  each: "moves[]"
  where: {kind: refund, real: true}
  id: id
  status: {path: kind, table: kinds}
  amount: {path: amount, as: money_major, currency: $.currency}
tables:
  kinds: {decides: true, words: {refund: completed}}
"""
    moves = [
        {"id": "a", "kind": "sale", "real": True, "amount": "9"},
        {"id": "b", "kind": "refund", "real": True, "amount": "2.50"},
        {"id": "c", "kind": "refund", "real": False, "amount": "4"},
    ]
    refunds = order_of("", {"moves": moves}, lists).refunds
    assert refunds is not None
    assert [(one.id, one.amount) for one in refunds] == [("b", Money.parse("2.50 USD"))]


@pytest.mark.parametrize("sort, picked", [(5, True), ("5", True), (6, False), (True, False), (None, False)])
def test_where_takes_a_number_as_it_is_written(sort: Any, picked: bool) -> None:
    lists = """
refunds:
  each: "moves[]"
  where: {sort: 5}
  id: id
  status: {path: kind, table: kinds}
  amount: {path: amount, as: money_major, currency: $.currency}
tables:
  kinds: {decides: true, words: {refund: completed}}
"""
    refunds = order_of("", {"moves": [{"id": "a", "sort": sort, "kind": "refund", "amount": "9"}]}, lists).refunds
    assert bool(refunds) is picked


@pytest.mark.parametrize("real, picked", [(True, True), (False, False), ("true", False), (1, False)])
def test_where_tells_true_from_what_looks_like_it(real: Any, picked: bool) -> None:
    lists = """
refunds:
  each: "moves[]"
  where: {real: true}
  id: id
  status: {path: kind, table: kinds}
  amount: {path: amount, as: money_major, currency: $.currency}
tables:
  kinds: {decides: true, words: {refund: completed}}
"""
    refunds = order_of("", {"moves": [{"id": "a", "real": real, "kind": "refund", "amount": "9"}]}, lists).refunds
    assert bool(refunds) is picked


LINES = """
line_items:
  each: "items[]"
  id: id
  quantity: quantity
  unit_price: {path: price, as: money_major, currency: $.currency}
"""


def test_sum_rounds_every_record_on_its_own() -> None:
    lists = LINES + '  discount: {sum: "cuts[].amount", as: money_major, currency: $.currency}\n'
    item = {"id": "1", "quantity": 1, "price": "5", "cuts": [{"amount": "0.005"}, {"amount": "0.005"}]}
    [line] = order_of("", {"items": [item]}, lists).line_items or ()
    assert line.discount == Money.parse("0.02 USD")


def test_sum_by_id_adds_what_belongs_to_this_record() -> None:
    lists = (
        LINES + '  refunded_quantity: {sum: "$.back[].quantity", where: {ok: true}, by: {line: id}, as: integer}\n'
    )
    payload = {
        "items": [{"id": "1", "quantity": 3, "price": "5"}, {"id": "2", "quantity": 1, "price": "5"}],
        "back": [
            {"line": 1, "quantity": 1, "ok": True},
            {"line": "1", "quantity": 1, "ok": True},
            {"line": "1", "quantity": 1, "ok": False},
            {"line": "3", "quantity": 9, "ok": True},
        ],
    }
    lines = order_of("", payload, lists).line_items or ()
    assert [line.refunded_quantity for line in lines] == [2, 0]


def test_join_by_id_takes_a_field_of_the_other_record() -> None:
    lists = LINES + '  sku: {join: "$.variants[]", by: {id: variant}, path: sku}\n'
    payload = {
        "items": [
            {"id": "1", "quantity": 1, "price": "5", "variant": "v2"},
            {"id": "2", "quantity": 1, "price": "5"},
        ],
        "variants": [{"id": "v1", "sku": "A"}, {"id": "v2", "sku": "B"}],
    }
    lines = order_of("", payload, lists).line_items or ()
    assert [line.sku for line in lines] == ["B", None]


def test_pairs_become_words_and_a_name_given_twice_is_noted() -> None:
    fields = '  references: {pairs: "attributes[]", name: name, value: value}'
    order = order_of(fields, {"attributes": [{"name": "a", "value": 1}, {"name": "b", "value": "x"}]})
    assert order.references == {"a": "1", "b": "x"}
    twice = order_of(fields, {"attributes": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]})
    assert twice.references == {"a": "2"}
    assert [note.code for note in twice.integrity] == ["name_twice"]


def test_an_amount_keeps_the_currency_of_its_sibling_not_the_orders() -> None:
    fields = "  totals:\n    object: '.'\n    total: {path: sum, as: money_major, currency: sum_currency}"
    order = order_of(fields, {"sum": "12.5", "sum_currency": "krw"})
    assert order.totals.total == Money(amount_minor=13, currency="KRW")
    assert order.currency == "USD"


def test_an_amount_without_currency_is_refused() -> None:
    fields = "  totals:\n    object: '.'\n    total: {path: sum, as: money_major, currency: sum_currency}"
    assert refused(fields, {"sum": "12.5"}).code == "no_currency"


def test_an_enclosing_record_is_reached_with_a_caret() -> None:
    lists = """
refunds:
  each: "payments[].refunds[]"
  id: id
  status: {path: state, table: states}
  amount: {path: amount, as: money_major, currency: ^.currency}
  payment_id: ^.id
tables:
  states: {decides: true, words: {done: completed}}
"""
    payments = [
        {"id": "p", "currency": "JPY", "refunds": [{"id": "r", "state": "done", "amount": Decimal("9.5")}]}
    ]
    [refund] = order_of("", {"payments": payments}, lists).refunds or ()
    assert (refund.payment_id, refund.amount) == ("p", Money(amount_minor=10, currency="JPY"))
    assert order_of("", {"payments": [{"id": "p", "currency": "JPY"}]}, lists).refunds is None
    assert order_of("", {"payments": []}, lists).refunds == ()
    assert order_of("", {}, lists).refunds is None


def test_an_optional_field_may_be_required_by_the_file() -> None:
    fields = "  number: {path: name, required: true}"
    assert order_of(fields, {"name": "A-1"}).number == "A-1"
    assert refused(fields, {}).path == "name"


# --- presentment, purses, not loaded ------------------------------------------------------------------------------

PAYMENTS = """
payments:
  each: "payments[]"
  id: id
  provider: provider
  status: {path: state, table: states}
  amount: {path: amount, as: money_major_object}
  presentment_captured: {path: shown, as: money_major_object}
tables:
  states: {decides: true, words: {done: completed, given_back: refunded, wait: pending}}
"""


def paid(**fields: Any) -> dict[str, Any]:
    return {"id": "p", "provider": "COD", "state": "done", "amount": {"amount": "5", "currency": "USD"}, **fields}


def test_captured_counts_completed_and_since_refunded_payments_only() -> None:
    payments = [paid(), paid(id="q", state="given_back"), paid(id="r", state="wait")]
    order = order_of("", {"payments": payments}, PAYMENTS)
    assert order.captured == Money.parse("10 USD")


def test_the_purse_is_books_only_for_named_providers_whatever_their_case() -> None:
    profile = Profile("s", books_only=frozenset({"cod"}))
    payload = {"payments": [paid(), paid(id="q", provider="Paypal"), paid(id="r", provider=None)]}
    payments = order_of("", payload, PAYMENTS, profile).payments or ()
    assert [one.purse for one in payments] == [Purse.BOOKS, Purse.GATEWAY, Purse.GATEWAY]


def test_presentment_money_is_kept_only_where_its_currency_differs() -> None:
    same, other = {"amount": "5", "currency": "USD"}, {"amount": "600", "currency": "JPY"}
    payments = order_of("", {"payments": [paid(shown=same), paid(id="q", shown=other)]}, PAYMENTS).payments or ()
    assert [one.presentment_captured for one in payments] == [None, Money.parse("600 JPY")]


def test_payments_and_refunds_in_two_currencies_park_the_order() -> None:
    payments = [paid(), paid(id="q", amount={"amount": "5", "currency": "EUR"})]
    error = refused("", {"payments": payments}, PAYMENTS)
    assert error.code == "mixed_currencies"
    assert error.path == "payments[1].captured"


def test_currency_digits_of_a_shop_may_differ_from_the_standard() -> None:
    fields = "  totals:\n    object: '.'\n    total: {path: sum, as: money_major, currency: currency}"
    order = order_of(fields, {"sum": "12.5", "currency": "TWD"}, profile=Profile("s", exponents={"TWD": 0}))
    assert order.totals.total == Money(amount_minor=13, currency="TWD")


def test_a_partial_row_without_currency_carries_no_amounts_and_says_so() -> None:
    text = f"""{HEAD}
order:
  order_id: id
  currency: {{path: currency, as: currency, required: false}}
  totals: {{object: ".", total: {{path: sum, as: money_major, currency: currency}}}}
"""
    order = load_mapping(text, "toy.yaml", None).normalise({"id": "1", "sum": "3"}, Profile("s"))
    assert order.currency == NO_CURRENCY
    assert order.totals.total is None
    assert [note.code for note in order.integrity] == ["currency_not_loaded"]


def test_a_cancel_needs_its_marker_and_the_word_alone_is_only_a_note() -> None:
    fields = """
  progress: {path: state, table: progress}
  cancellation: {object: ".", marker: cancelled_at, cancelled_at: cancelled_at}
  platform_words: {status: {path: state, table: state}}
tables:
  progress: {decides: true, words: {open: pending, cancelled: null}}
  state: {decides: true, words: {open: open, cancelled: cancelled}}
"""
    word = order_of(fields, {"state": "cancelled"})
    assert not word.is_cancelled
    assert [note.code for note in word.integrity] == ["status_differs"]
    marker = order_of(fields, {"state": "open", "cancelled_at": "2026-01-01T00:00:00Z"})
    assert marker.is_cancelled
    assert [note.code for note in marker.integrity] == ["status_differs"]
    assert order_of(fields, {"state": "cancelled", "cancelled_at": "2026-01-01T00:00:00Z"}).integrity == ()


def test_an_unknown_deciding_word_parks_and_an_unknown_describing_word_stays_raw() -> None:
    fields = """
  progress: {path: state, table: progress}
discounts:
  each: "cuts[]"
  kind: {path: kind, table: kinds}
tables:
  progress: {decides: true, words: {open: pending}}
  kinds: {decides: false, words: {pct: percentage}}
"""
    error = refused(fields, {"state": "on_hold"})
    assert (error.code, error.path, error.value) == ("unknown_word", "state", "on_hold")
    order = order_of(fields, {"state": "open", "cuts": [{"kind": "pct"}, {"kind": "gift"}]})
    assert [one.kind for one in order.discounts or ()] == ["percentage", "gift"]
    assert [note.code for note in order.integrity] == ["unknown_word"]


# --- converters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("text", "", None),
        ("text_or_integer", 12345678901234567890123456, "12345678901234567890123456"),
        ("integer", Decimal("3.0"), 3),
        ("texts", ["a", "", None, "b"], ("a", "b")),
        ("texts", "a", ("a",)),
        ("tags", '["a","b c"]', ("a", "b c")),
        ("tags", "a, b,", ("a", "b")),
        ("tags", "[]", None),
        ("flat_text", {"a": 1, "b": None, "c": True, "d": {"e": [Decimal("1.50")]}}, None),
        ("full_name", {"first_name": "Ada", "last_name": None}, "Ada"),
        ("full_name", {"first_name": "", "last_name": None}, None),
        ("rate_percent", Decimal("8.250"), "8.25"),
        ("rate_fraction", Decimal("0.08"), "8"),
        ("rate_fraction", 0, "0"),
        ("currency", "krw", "KRW"),
    ],
)
def test_a_converter_gives(name: str, value: Any, result: Any) -> None:
    if name == "flat_text":
        result = {"a": "1", "c": "true", "d": '{"e": ["1.50"]}'}
    assert CONVERTERS[name].convert(value, CTX) == result


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 5),
        ("text", True),
        ("text", ["a"]),
        ("text_or_integer", True),
        ("text_or_integer", Decimal("1.5")),
        ("integer", "3"),
        ("integer", True),
        ("integer", Decimal("1.5")),
        ("integer", Decimal("1E+400")),
        ("flag", "yes, please"),
        ("flag", 1),
        ("texts", [1]),
        ("tags", "[not json"),
        ("tags", 5),
        ("flat_text", []),
        ("full_name", "Ada"),
        ("full_name", {"first_name": 5}),
        ("rate_percent", "8,25"),
        ("rate_percent", Decimal("1E+400")),
        ("currency", "XYZW"),
        ("currency", "us$"),
        ("currency", 840),
        ("rfc3339", 1767225600),
        ("rfc3339", "1767225600"),
        ("rfc3339", "2026-01-01"),
        ("rfc3339", "2026-01-01T00:00:00"),
        ("rfc3339", "2026-02-30T00:00:00Z"),
        ("rfc3339", "0001-01-01T00:00:00+23:59"),
        ("rfc3339", {"dateTime": "2026-01-01T00:00:00"}),
        ("rfc3339", {"dateTime": "2026-01-01T00:00:00", "offset": {"totalSeconds": True}}),
        ("rfc3339", {"dateTime": "2026-01-01T00:00:00", "offset": {"totalSeconds": 999999}}),
        ("rfc3339", {"dateTime": "2026-01-01T00:00:00+09:00", "offset": {"totalSeconds": 0}}),
        ("rfc3339", {"dateTime": 5, "offset": {"totalSeconds": 0}}),
        ("money_major_object", "5.00"),
        ("money_major_object", {"amount": "5.00"}),
        ("money_major_object", {"amount": "5.00", "currency": ""}),
        ("money_major_object", {"amount": True, "currency": "USD"}),
        ("money_major_object", {"amount": "NaN", "currency": "USD"}),
        ("money_major_object", {"amount": "1e3", "currency": "USD"}),
        ("money_major_object", {"amount": "１２", "currency": "USD"}),
        ("money_major_object", {"amount": "99999999999999999999", "currency": "USD"}),
        ("money_minor_object", {"amount": Decimal("1.5"), "currency": "USD"}),
        ("money_minor_object", {"amount": "150", "currency": "USD"}),
    ],
)
def test_a_converter_refuses_what_is_not_promised_and_never_shows_it(name: str, value: Any) -> None:
    with pytest.raises(Bad) as caught:
        CONVERTERS[name].convert(value, CTX)
    if isinstance(value, str) and len(value) > 3:
        assert value not in caught.value.reason


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - the offset is drawn apart
    st.integers(-18 * 60, 18 * 60),
)
def test_an_instant_is_the_same_as_text_and_as_a_java_object(local: datetime, minutes: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = rfc3339(moment.isoformat(), CTX)
    java = rfc3339({"dateTime": local.isoformat(), "offset": {"totalSeconds": minutes * 60}}, CTX)
    assert text == java == moment
    assert text is not None
    assert text.tzinfo is UTC


@given(st.decimals(min_value="-99999999", max_value="99999999", places=4, allow_nan=False))
def test_a_number_survives_decoding_and_encoding_exactly(number: Decimal) -> None:
    again = decode(encode({"a": number}))["a"]
    assert Decimal(again) == number
    assert not isinstance(again, float)


@pytest.mark.parametrize("payload", [b"", b"{", b"<html>", b'{"a": NaN}', b"\xff", b"[" * 100_000, b'{"a":1}x'])
def test_what_is_not_json_is_a_named_error(payload: bytes) -> None:
    with pytest.raises(MappingError) as caught:
        decode(payload)
    assert caught.value.code == "not_json"
