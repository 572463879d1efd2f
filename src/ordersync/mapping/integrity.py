"""Where a platform's own words and sums disagree with the facts in its payload: notes, never repairs."""

from __future__ import annotations

from typing import Any, NamedTuple

from ordersync.mapping.converters import Bad, Context, shown_word
from ordersync.mapping.fields import FieldFn, Scope, compile_field, unknown_word
from ordersync.mapping.paths import Node
from ordersync.mapping.schema import At, Table, section
from ordersync.mapping.targets import Target
from ordersync.model import (
    FulfillmentStatus,
    IntegrityNote,
    Money,
    Order,
    OrderStatus,
    PaymentStatus,
)

_AXES: dict[str, frozenset[str]] = {
    "status": frozenset(OrderStatus),
    "payment": frozenset(PaymentStatus),
    "fulfillment": frozenset(FulfillmentStatus),
}
_UNKNOWN = "unknown"


class Vocabulary(NamedTuple):
    """One of the platform's words and what each of its values means on our axis."""

    axis: str
    path: str
    word: FieldFn
    table: Table

    def check(self, payload: Node, ctx: Context) -> None:
        """Bad for a word that decides and is unknown, a note for one that describes."""
        word = self.word(payload, ctx)
        if word is None or word in self.table.words:
            return
        try:
            unknown_word(self.table, word, ctx)
        except Bad as bad:
            raise bad.under(self.path) from None


def compile_vocabularies(
    specs: dict[str, Any], tables: dict[str, Table], at: At, scope: Scope
) -> list[Vocabulary]:
    """The platform words that have a table; each table speaks of one axis."""
    found = []
    for axis, spec in specs.items():
        if not isinstance(spec, dict) or "table" not in spec:
            continue
        section(spec, at / axis, allowed=("path", "as", "table"))
        if axis not in _AXES:
            (at / axis).fail(f"only these words can be compared with ours: {', '.join(_AXES)}")
        table = tables.get(spec["table"]) if isinstance(spec["table"], str) else None
        if table is None:
            (at / axis / "table").fail("there is no such table", spec["table"])
        for word, meanings in table.words.items():
            for meaning in meanings:
                if meaning is not None and meaning not in _AXES[axis]:
                    (at / axis / "table").fail(f"{table.name}: {word!r} means no {axis} of ours", meaning)
        scope.used_tables.add(table.name)
        plain = {key: value for key, value in spec.items() if key != "table"}
        word_of = compile_field(plain, Target("text"), at / axis, scope)
        found.append(Vocabulary(axis, spec["path"], word_of, table))
    return found


def disagreements(order: Order, vocabularies: list[Vocabulary], *, totals_add_up: bool) -> list[IntegrityNote]:
    """Notes on every axis where the platform's word is not what its records say, and on sums that do not fit."""
    notes = [note for vocabulary in vocabularies if (note := _word(order, vocabulary))]
    stated, listed = order.totals.refunded, order.refunded
    if stated is not None and listed is not None and not _close(stated, listed):
        notes.append(
            IntegrityNote(code="refunded_differs", detail=f"the platform says {stated}, its records {listed}")
        )
    captured = order.captured
    if captured is not None and listed is not None and captured < listed:
        notes.append(
            IntegrityNote(code="refunded_above_captured", detail=f"captured {captured}, refunded {listed}")
        )
    named = order.platform_words.get("currency")
    if named is not None and named != order.currency:
        detail = f"the order says {shown_word(named) or 'something else'}, its amounts are in {order.currency}"
        notes.append(IntegrityNote(code="currency_differs", detail=detail))
    if totals_add_up and not _adds_up(order):
        detail = f"the parts do not add up to the total of {order.totals.total}"
        notes.append(IntegrityNote(code="total_differs", detail=detail))
    if order.line_items is not None and len({line.id for line in order.line_items}) < len(order.line_items):
        notes.append(IntegrityNote(code="line_id_twice", detail="two line items carry one id"))
    return notes


def _word(order: Order, vocabulary: Vocabulary) -> IntegrityNote | None:
    axis = vocabulary.axis
    word = order.platform_words.get(axis)
    meanings = vocabulary.table.words.get(word) if word is not None else None
    if meanings is None or None in meanings:
        return None
    ours = _ours(order, axis)
    if ours == _UNKNOWN and axis != "status":
        return None
    if ours in meanings:
        return None
    return IntegrityNote(code=f"{axis}_differs", detail=f"the platform says {word}, its records say {ours}")


def _ours(order: Order, axis: str) -> str:
    if axis == "status":
        return order.order_status.value
    return (order.payment_status if axis == "payment" else order.fulfillment_status).value


def _close(left: Money, right: Money) -> bool:
    """Within one minor unit: platforms round sums, we round records."""
    return left.currency == right.currency and abs(left.amount_minor - right.amount_minor) <= 1


def _adds_up(order: Order) -> bool:
    """total = subtotal - discount + shipping, plus tax where prices do not hold it."""
    totals = order.totals
    parts = (totals.total, totals.subtotal, totals.discount, totals.shipping, totals.tax)
    if any(part is None for part in parts):
        return True
    total, subtotal, discount, shipping, tax = (part.amount_minor for part in parts if part is not None)
    before_tax = subtotal - discount + shipping
    return total in (before_tax, before_tax + tax)
