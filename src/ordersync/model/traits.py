"""What is compared when two orders may be the same sale: a handful of numbers instead of the whole order.

The store keeps them beside each order, so that following a rule or looking for pairs never parses a document. A
buyer appears only as a hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ordersync.model.order import Order

ITEMS_MODULUS = 2**62
REFERENCE_LENGTH_MAX = 200
"""A longer text is no order's number or id; it is not looked up."""
NOTE_FIELD = "note"
_REFERENCE_PREFIX = "r:"
_PHONE_DIGITS = 9
"""Compared from the end: one shop writes the country code, another leaves it out."""


class Traits(NamedTuple):
    currency: str
    charged: int | None
    """First charged, minor units of `charged_currency`."""
    charged_currency: str | None
    items: int | None
    """Sum of hash(sku) times quantity, modulo ITEMS_MODULUS: orders that add up have hashes that add up."""
    placed: int | None
    """Seconds since 1970 UTC."""
    buyer: int | None
    """Hash of the normalised e-mail address."""
    phone: int | None
    """Hash of the last nine digits."""
    draft: bool


def traits_of(order: Order) -> Traits:
    charged = order.first_charged
    buyer = order.buyer
    return Traits(
        currency=order.currency,
        charged=charged.amount_minor if charged else None,
        charged_currency=charged.currency if charged else None,
        items=_items(order),
        placed=int(order.placed_at.timestamp()) if order.placed_at else None,
        buyer=_email(buyer.email if buyer else None),
        phone=_phone(buyer.phone if buyer else None),
        draft=order.draft,
    )


def reference_texts(order: Order) -> dict[str, str]:
    """Texts of an order that may name another order, trimmed: its references (`r:KEY`) and its `note`."""
    found = {f"{_REFERENCE_PREFIX}{key}": value for key, value in order.references.items()}
    if order.note is not None:
        found[NOTE_FIELD] = order.note
    trimmed = {field: value.strip() for field, value in found.items()}
    return {field: value for field, value in trimmed.items() if 0 < len(value) <= REFERENCE_LENGTH_MAX}


def reference_fields(field: str) -> tuple[str, ...]:
    """Where a rule's `field` is looked for in `reference_texts`, best first.

    `metadata.external_id` is the reference of that name, else `external_id`. `number` is no reference: empty.
    """
    if field == "number":
        return ()
    if field == NOTE_FIELD:
        return (NOTE_FIELD,)
    bare = field.partition(".")[2]
    return tuple(f"{_REFERENCE_PREFIX}{key}" for key in (field, bare) if key)


def rule_field(stored: str) -> str:
    """How a rule writes a field of `reference_texts`: `metadata.KEY` finds the reference KEY."""
    key = stored.removeprefix(_REFERENCE_PREFIX) if stored != NOTE_FIELD else NOTE_FIELD
    return key if stored == NOTE_FIELD else f"metadata.{key}"


def units(order: Order) -> Mapping[str, int]:
    """Quantities by sku, else by title."""
    found: dict[str, int] = {}
    for line in order.line_items or ():
        name = line.sku or line.title or line.id
        found[name] = found.get(name, 0) + line.quantity
    return found


def _items(order: Order) -> int | None:
    if order.line_items is None:
        return None
    return sum(_goods_hash(name) * quantity for name, quantity in units(order).items()) % ITEMS_MODULUS


def _email(email: str | None) -> int | None:
    text = (email or "").strip().casefold()
    return _hash(text) if "@" in text else None


def _phone(phone: str | None) -> int | None:
    digits = "".join(char for char in phone or "" if char.isascii() and char.isdigit())
    return _hash(digits[-_PHONE_DIGITS:]) if len(digits) >= _PHONE_DIGITS - 2 else None


@lru_cache(maxsize=4096)
def _goods_hash(name: str) -> int:
    """A shop sells the same goods again and again; a buyer's address is never kept like this."""
    return _hash(name)


def _hash(text: str) -> int:
    """62 bits, so that it and its sums are the database's integers."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8], "big") % ITEMS_MODULUS
