"""A compiled mapping: payload in, canonical Order out, pure. Also what may go to disk and what stayed unmapped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import ValidationError

from ordersync.errors import MappingError
from ordersync.mapping.converters import Bad, Context
from ordersync.mapping.fields import Scope
from ordersync.mapping.integrity import Vocabulary, compile_vocabularies, disagreements
from ordersync.mapping.objects import compile_fields
from ordersync.mapping.paths import Known, leaves, prefixes
from ordersync.mapping.schema import At, Document, read, section
from ordersync.mapping.scrub import Scrubber
from ordersync.model import NO_CURRENCY, Order

ShapeFn = Callable[[dict[str, Any]], dict[str, Any]]
"""One connector's pure payload -> payload; it may add keys that begin with `_` and a list `_notes`."""

_ID = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a shop's settings say about its payloads."""

    shop: str
    books_only: frozenset[str] = frozenset()
    """Payment providers whose refunds only mark; compared without case."""
    exponents: AnyMapping[str, int] = field(default_factory=dict)
    """Currency digits that differ from ISO 4217 on this shop."""


def decode(payload: bytes) -> Any:
    """JSON with exact numbers: one with a point is a Decimal. MappingError when it is not JSON."""
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
        raise MappingError(
            "the payload is not readable as JSON",
            code="not_json",
            next_step="look at what the platform sent; it may be cut off or an error page",
        ) from None


def encode(payload: Any) -> bytes:
    """The inverse of decode: compact JSON, numbers as exact as they came."""
    return _ENCODER.encode(payload)


def load_mapping(text: str, name: str, shapes: Callable[[str], ShapeFn] | None = None) -> Mapping:
    """Compile a mapping file. `name` is its file name for messages; `shapes` finds a shape function by its name
    (LookupError or AttributeError when there is none). ConfigError on a bad file."""
    return Mapping(read(text, name), shapes)


class Mapping:
    """One mapping file, compiled."""

    def __init__(self, document: Document, shapes: Callable[[str], ShapeFn] | None) -> None:
        self.platform = document.platform
        self.api_version = document.api_version
        self.source = document.source
        self.file = document.at.file
        self._unwrap = document.unwrap
        self._has, self._lacks = document.has, document.lacks
        self._totals_add_up = document.totals_add_up
        self._shape = _shape(document, shapes)
        known: set[str] = set(document.shape_reads)
        scope = Scope(document.tables, known, currency_optional=_currency_optional(document))
        self._vocabularies: list[Vocabulary] = compile_vocabularies(
            section(document.order.get("platform_words", {}), document.at / "order.platform_words"),
            document.tables,
            document.at / "order.platform_words",
            scope,
        )
        self._build = compile_fields(
            Order,
            {**document.order, **document.lists},
            document.at / "order",
            scope,
            apart={name: document.at / name for name in document.lists},
        )
        unused = sorted(set(document.tables) - scope.used_tables)
        if unused:
            (document.at / "tables").fail("no field uses this table", unused[0])
        _no_overlap(document, known)
        self._known = Known(known | set(document.ignored) | set(document.secret))
        self._scrubber = Scrubber(document.secret)

    def normalise(self, payload: dict[str, Any], profile: Profile) -> Order:
        """The canonical order. MappingError names the path in the payload; it never shows buyer data."""
        if type(payload) is not dict:
            raise self._error(Bad("an order is promised, but this is not an object"), profile, None)
        books_only = frozenset(provider.casefold() for provider in profile.books_only)
        ctx = Context(payload, profile.exponents, books_only)
        try:
            if self._shape is not None:
                payload = ctx.root = ctx.parent = self._shape(payload)
                ctx.notes.extend(payload.get("_notes", ()))
            built = self._build(payload, ctx)
            for vocabulary in self._vocabularies:
                vocabulary.check(payload, ctx)
            if "currency" not in built:
                built["currency"] = NO_CURRENCY
            _one_currency(built)
        except Bad as bad:
            raise self._error(bad, profile, payload) from None
        except MappingError as error:
            raise self._placed(error, profile, payload) from None
        built["shop"] = profile.shop
        if ctx.notes:
            built["integrity"] = ctx.notes
        try:
            order = Order.model_validate(built)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise self._error(Bad(first["msg"], path=path), profile, payload) from None
        notes = disagreements(order, self._vocabularies, totals_add_up=self._totals_add_up)
        return order.model_copy(update={"integrity": (*order.integrity, *notes)}) if notes else order

    def scrub(self, payload: dict[str, Any]) -> dict[str, Any]:
        """A copy without the secret fields: what may go to disk."""
        return self._scrubber.scrub(payload)

    def unmapped(self, payload: dict[str, Any]) -> list[str]:
        """Field paths that are neither mapped, ignored nor secret, sorted; lists as `items[]`."""
        known = self._known
        return sorted(
            {
                path
                for path, holds_value in set(leaves(payload))
                if path and not known.covers(path) and (holds_value or not known.leads_to(path))
            }
        )

    def recognises(self, payload: Any) -> bool:
        """True when the payload, taken out of its envelope, has the shape of this platform's orders."""
        return bool(self.unwrap(payload))

    def unwrap(self, payload: Any) -> list[dict[str, Any]]:
        """The orders inside an answer, a page, or a bare order; empty when none has this platform's shape."""
        for envelope in self._unwrap:
            found = list(_inside(payload, envelope))
            if found and all(self._is_order(item) for item in found):
                return found
        return []

    def _is_order(self, item: Any) -> bool:
        if type(item) is not dict:
            return False
        return all(_reaches(item, path) for path in self._has) and not any(_reaches(item, p) for p in self._lacks)

    def _error(self, bad: Bad, profile: Profile, payload: dict[str, Any] | None) -> MappingError:
        shown = f" ({bad.value!r})" if bad.value is not None else ""
        where = f"{bad.path}: " if bad.path else ""
        return MappingError(
            f"{where}{bad.reason}{shown}",
            path=bad.path or None,
            value=bad.value,
            code=bad.code,
            shop=profile.shop,
            order=_id_of(payload),
            operation="normalise",
            next_step=f"see what came with `ordersync map`; if the platform changed, correct {self.file}",
        )

    def _placed(self, error: MappingError, profile: Profile, payload: dict[str, Any]) -> MappingError:
        """A shape's error with the shop and order it is about."""
        bad = Bad(error.message, path=error.path or "", value=error.value, code=error.code)
        return self._error(bad, profile, payload)


def _shape(document: Document, shapes: Callable[[str], ShapeFn] | None) -> ShapeFn | None:
    if document.shape is None:
        return None
    at = document.at / "shape.name"
    if shapes is None:
        at.fail("this mapping needs a shape, and no connector brings one", document.shape)
    try:
        return shapes(document.shape)
    except (LookupError, AttributeError):
        at.fail("the connector has no shape of this name", document.shape)


def _currency_optional(document: Document) -> bool:
    spec = document.order.get("currency")
    return isinstance(spec, dict) and spec.get("required") is False


def _no_overlap(document: Document, known: set[str]) -> None:
    """A field is mapped, ignored or secret: one of the three. Only globs may ignore around mapped fields."""
    for path in document.ignored:
        if path in document.secret:
            (document.at / "ignored").fail("this field is also listed as secret", path)
        _not_mapped(path, known, document.at / "ignored")
    for path in document.secret:
        covered = Known([path])
        taken = next((mapped for mapped in sorted(known) if covered.covers(mapped)), None)
        if taken is not None:
            (document.at / "secret").fail(f"{taken} is mapped; what is secret cannot be", path)


def _not_mapped(path: str, known: set[str], at: At) -> None:
    if "*" in path:
        return
    taken = next((mapped for mapped in sorted(known) if mapped == path or path in prefixes(mapped)), None)
    if taken is not None:
        at.fail(f"{taken} is mapped; it cannot be ignored too", path)


def _one_currency(built: dict[str, Any]) -> None:
    """Payments and refunds of one order are in one currency, or nobody can add them up."""
    seen: str | None = None
    for name, key in (("payments", "captured"), ("refunds", "amount")):
        for index, record in enumerate(built.get(name) or ()):
            currency = record[key]["currency"]
            if seen not in (None, currency):
                raise Bad(
                    f"the order's payments and refunds are in {seen} and {currency}",
                    path=f"{name}[{index}].{key}",
                    code="mixed_currencies",
                )
            seen = currency


def _inside(payload: Any, envelope: str) -> Iterable[Any]:
    """What an envelope leads to: `.`, `order`, `orders[]`, `body.orders[]`, a bare list `[]`, or `[].order`."""
    if envelope == "[]":
        return payload if type(payload) is list else []
    if envelope.startswith("[]."):
        items = payload if type(payload) is list else []
        return [found for item in items for found in _inside(item, envelope[3:])]
    if envelope == ".":
        return [payload] if type(payload) is dict else []
    node = payload
    for name in envelope.removesuffix("[]").split("."):
        node = node.get(name) if type(node) is dict else None
    if envelope.endswith("[]"):
        return node if type(node) is list else []
    return [] if node is None else [node]


def _reaches(node: Any, path: str) -> bool:
    """True when the keys of `path` are there, whatever they hold."""
    for name in path.split("."):
        if type(node) is not dict or name not in node:
            return False
        node = node[name]
    return True


def _id_of(payload: dict[str, Any] | None) -> str | None:
    found = payload.get("id") if payload else None
    return found if isinstance(found, str) and _ID.fullmatch(found) else None
