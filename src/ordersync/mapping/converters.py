"""The closed list of converters: one platform value in, one canonical value out.

A converter never sees an absent value (null and, for text, "" are absent), never guesses and never shows what a
buyer typed: a value that is not what the platform promises raises `Bad`, whose path grows on the way up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from ordersync.model import iso_exponent, minor_units
from ordersync.model.money import LARGEST_MINOR

_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
_WORD = re.compile(r"\w[\w.-]{0,39}")
_WIDEST_OFFSET_S = 18 * 3600


class Bad(Exception):
    """A value that cannot be taken; becomes a MappingError that names the path."""

    def __init__(
        self, reason: str, *, path: str = "", value: str | None = None, code: str = "unexpected_value"
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.value = value
        self.code = code

    def under(self, prefix: str) -> Bad:
        """The same trouble, seen from one level up."""
        self.path = f"{prefix}.{self.path}" if self.path else prefix
        return self


class Context:
    """What a conversion may look at besides its own node; one per order."""

    __slots__ = ("books_only", "exponents", "notes", "parent", "root")

    def __init__(self, root: dict[str, Any], exponents: Mapping[str, int], books_only: frozenset[str]) -> None:
        self.root = root
        self.parent = root
        self.exponents = exponents
        self.books_only = books_only
        self.notes: list[dict[str, str]] = []

    def note(self, code: str, detail: str) -> None:
        found = {"code": code, "detail": detail}
        if found not in self.notes:
            self.notes.append(found)


def kind_of(value: object) -> str:
    """A word for a value's JSON type, for messages that must not show the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | Decimal | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"


def shown_word(text: str) -> str | None:
    """`text` where it can only be a platform's word or id: no spaces, no e-mail, no phone number."""
    return text if _WORD.fullmatch(text) and not text.isdigit() else None


def wanted(what: str, value: object) -> Bad:
    return Bad(f"{what} is promised here, but {kind_of(value)} came")


def text(value: Any, _ctx: Context) -> str | None:
    if type(value) is not str:
        raise wanted("a text", value)
    return value or None


def text_or_integer(value: Any, _ctx: Context) -> str | None:
    """For fields a platform sends both ways (headless `number`, SHOPLINE line ids)."""
    if type(value) is str:
        return value or None
    if type(value) is int:
        return str(value)
    raise wanted("a text or a whole number", value)


def integer(value: Any, _ctx: Context) -> int:
    if type(value) is int:
        return value
    if type(value) is Decimal:
        if value.is_finite() and abs(value.adjusted()) < 18 and value == int(value):
            return int(value)
        raise Bad("a whole number is promised here, but a fraction came")
    raise wanted("a whole number", value)


def flag(value: Any, _ctx: Context) -> bool:
    if type(value) is not bool:
        raise wanted("true or false", value)
    return value


def rfc3339(value: Any, _ctx: Context) -> datetime | None:
    """An instant in UTC: RFC 3339 text with an offset, or Java's {"dateTime", "offset": {"totalSeconds"}}."""
    if type(value) is str:
        return _instant(value) if value else None
    if type(value) is dict:
        return _java_instant(value)
    raise wanted("a date and time", value)


@lru_cache(maxsize=1024)
def _instant(value: str) -> datetime:
    moment = _parsed(value)
    if moment.tzinfo is None:
        raise Bad("a date and time must carry its offset from UTC")
    return _utc(moment)


def _java_instant(value: dict[str, Any]) -> datetime | None:
    local = value.get("dateTime")
    if local is None or local == "":
        return None
    if type(local) is not str:
        raise wanted("a text", local).under("dateTime")
    moment = _parsed(local)
    offset = value.get("offset")
    seconds = offset.get("totalSeconds") if type(offset) is dict else None
    if type(seconds) is not int or abs(seconds) > _WIDEST_OFFSET_S:
        raise Bad("a date object must carry offset.totalSeconds as a whole number of seconds within 18 hours")
    if moment.tzinfo is None:
        return _utc(moment.replace(tzinfo=timezone(timedelta(seconds=seconds))))
    if moment.utcoffset() != timedelta(seconds=seconds):
        raise Bad("a date object names two different offsets")
    return _utc(moment)


def _parsed(value: str) -> datetime:
    if not _DATE_TIME.fullmatch(value):
        raise Bad("this is not a date and time (RFC 3339)")
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise Bad("this date and time does not exist") from None


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Bad("this date and time does not exist") from None


def texts(value: Any, ctx: Context) -> tuple[str, ...] | None:
    """One text or a list of them; empty ones are left out."""
    if type(value) is not list:
        single = text(value, ctx)
        return (single,) if single else None
    found = (text(item, ctx) for item in value if item is not None)
    return tuple(item for item in found if item) or None


def tags(value: Any, ctx: Context) -> tuple[str, ...] | None:
    """A list, a comma list, or SHOPLINE's JSON list inside a text ("[\\"a\\",\\"b\\"]")."""
    if type(value) is str and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise Bad("tags look like a JSON list but cannot be read as one") from None
    elif type(value) is str:
        value = [part.strip() for part in value.split(",")]
    if type(value) is not list:
        raise wanted("a list of tags", value)
    return texts(value, ctx)


def flat_text(value: Any, _ctx: Context) -> dict[str, str]:
    """A free-form object as text by top-level key; nested values stay JSON, nulls are left out."""
    if type(value) is not dict:
        raise wanted("an object", value)
    return {key: written(item) for key, item in value.items() if item is not None}


def written(value: Any) -> str:
    """Any JSON value as text, exactly."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def full_name(value: Any, ctx: Context) -> str | None:
    """`first_name` and `last_name` of an object, in that order, with one space."""
    if type(value) is not dict:
        raise wanted("an object", value)
    parts = (value.get("first_name"), value.get("last_name"))
    return " ".join(part for part in (text(p, ctx) for p in parts if p is not None) if part) or None


def rate_percent(value: Any, _ctx: Context) -> str:
    """A rate already in percent (Medusa: 8.25) as text."""
    return _plain(_decimal(value))


def rate_fraction(value: Any, _ctx: Context) -> str:
    """A rate as a fraction of one (SHOPLINE: 0.0825) as text in percent."""
    return _plain(_decimal(value) * 100)


def _plain(value: Decimal) -> str:
    if abs(value.adjusted()) > 30:
        raise Bad("this rate is out of any range")
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def currency(value: Any, ctx: Context) -> str | None:
    """An ISO 4217 code in upper case; a code nobody knows is refused, its digits would be a guess."""
    known: str | None = _SEEN.get(value) if type(value) is str else None
    if known is not None:
        return known
    if type(value) is not str:
        raise wanted("a currency code", value)
    if not value:
        return None
    code = value.upper()
    if code not in ctx.exponents and not _is_currency(code):
        shown = code if len(code) == 3 and code.isascii() else None
        raise Bad("this is not a currency of ISO 4217", value=shown, code="unknown_currency")
    if code not in ctx.exponents and len(_SEEN) < _SEEN_MOST:
        _SEEN[value] = code
    return code


_SEEN: dict[str, str] = {}
"""Spellings of ISO currencies met so far: an order names its currency some thirty times."""
_SEEN_MOST = 1000


@lru_cache(maxsize=512)
def _is_currency(code: str) -> bool:
    try:
        iso_exponent(code)
    except ValueError:
        return False
    return True


def _decimal(value: Any) -> Decimal:
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    if type(value) is str:
        if not _NUMBER.fullmatch(value):
            raise Bad("an amount is promised here, but the text is not a plain decimal number")
        return Decimal(value)
    raise wanted("an amount", value)


def minor_from_major(value: Any, code: str, ctx: Context) -> int:
    """Major units (text or number) to minor units of `code`, half away from zero."""
    if type(value) is str and not ctx.exponents:
        return _minor_of_text(value, code)
    try:
        return minor_units(_decimal(value), code, ctx.exponents)
    except ValueError as error:
        raise Bad(str(error)) from None


@lru_cache(maxsize=4096)
def _minor_of_text(value: str, code: str) -> int:
    """Order payloads repeat few amounts many times ("0.00" in twenty places)."""
    try:
        return minor_units(_decimal(value), code)
    except ValueError as error:
        raise Bad(str(error)) from None


def minor_from_minor(value: Any, _code: str, ctx: Context) -> int:
    """Minor units are whole: a fraction of a cent is not an amount."""
    minor = integer(value, ctx)
    if abs(minor) > LARGEST_MINOR:
        raise Bad("amount is too large")
    return minor


Amount = Callable[[Any, str, Context], int]


def money_object(value: Any, amount: Amount, ctx: Context) -> dict[str, Any] | None:
    """{"amount", "currency" or "currency_code"} as a Money's fields; an amount always keeps its own currency."""
    if type(value) is not dict:
        raise wanted("an object with amount and currency", value)
    figure = value.get("amount")
    if figure is None or figure == "":
        return None
    named = value.get("currency_code") or value.get("currency")
    code = None if named is None else currency(named, ctx)
    if code is None:
        raise Bad("this amount has no currency", code="no_currency")
    try:
        return {"amount_minor": amount(figure, code, ctx), "currency": code}
    except Bad as bad:
        raise bad.under("amount") from None


def money_minor_object(value: Any, ctx: Context) -> dict[str, Any] | None:
    return money_object(value, minor_from_minor, ctx)


def money_major_object(value: Any, ctx: Context) -> dict[str, Any] | None:
    return money_object(value, minor_from_major, ctx)


class Converter(NamedTuple):
    convert: Callable[[Any, Context], Any]
    gives: str
    """Kind of canonical value: text, integer, flag, instant, texts, words or money."""


CONVERTERS: dict[str, Converter] = {
    "text": Converter(text, "text"),
    "text_or_integer": Converter(text_or_integer, "text"),
    "full_name": Converter(full_name, "text"),
    "currency": Converter(currency, "text"),
    "rate_percent": Converter(rate_percent, "text"),
    "rate_fraction": Converter(rate_fraction, "text"),
    "integer": Converter(integer, "integer"),
    "flag": Converter(flag, "flag"),
    "rfc3339": Converter(rfc3339, "instant"),
    "texts": Converter(texts, "texts"),
    "tags": Converter(tags, "texts"),
    "flat_text": Converter(flat_text, "words"),
    "money_minor_object": Converter(money_minor_object, "money"),
    "money_major_object": Converter(money_major_object, "money"),
}
"""Converters of one value."""

AMOUNTS: dict[str, Amount] = {"money_minor": minor_from_minor, "money_major": minor_from_major}
"""Converters of an amount whose currency is in a sibling (`currency:` in the mapping file)."""

DEFAULTS = {
    "text": "text",
    "integer": "integer",
    "flag": "flag",
    "instant": "rfc3339",
    "texts": "texts",
    "words": "flat_text",
}
"""What a field is converted with when the file names no converter; money always names one."""

MEMBERS = {
    "money_minor_object": ("amount", "currency", "currency_code"),
    "money_major_object": ("amount", "currency", "currency_code"),
    "full_name": ("first_name", "last_name"),
}
"""What a converter takes from an object; anything else in it is not mapped by it."""
