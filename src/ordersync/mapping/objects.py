"""Compiles the objects and lists of a mapping file: a node in, a dict for the canonical model out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ordersync.mapping.converters import Bad, Context
from ordersync.mapping.fields import FieldFn, Scope, compile_field, conditions
from ordersync.mapping.paths import Node, absolute, getter, is_path, promised_list, promised_object
from ordersync.mapping.schema import At, section
from ordersync.mapping.targets import Target, targets
from ordersync.model import Frozen, Fulfillment, LineItem, Order, Payment, PaymentState, Purse, ShippingLine
from ordersync.model import Refund as RefundModel

Built = dict[str, Any]
Finish = Callable[[Built, Context], None]

_OBJECT_KEYS = ("object", "marker")
_LIST_KEYS = ("each", "where", "loaded")
_BOTH_CURRENCIES: dict[type[Frozen], tuple[str, str]] = {
    LineItem: ("presentment_unit_price", "unit_price"),
    ShippingLine: ("presentment_price", "price"),
    Payment: ("presentment_captured", "captured"),
    RefundModel: ("presentment_amount", "amount"),
}
_COUNTS_AS_CAPTURED = (PaymentState.COMPLETED.value, PaymentState.REFUNDED.value)


def compile_fields(
    model: type[Frozen],
    specs: dict[str, Any],
    at: At,
    scope: Scope,
    keys: tuple[str, ...] = (),
    apart: dict[str, At] | None = None,
) -> Callable[[Node, Context], Built]:
    """The function that builds one `model` from a node; `keys` are the section's own words, `apart` the places of
    fields that the file keeps in sections of their own."""
    wanted = targets(model)
    fields: list[tuple[str, FieldFn]] = []
    for name, spec in specs.items():
        if name in keys:
            continue
        if name not in wanted:
            at.fail(f"{model.__name__} has no field {name!r} a mapping can fill; it has: {', '.join(wanted)}")
        place = apart[name] if apart and name in apart else at / name
        fields.append((name, _member(name, spec, wanted[name], place, scope)))
    missing = [name for name, target in wanted.items() if target.required and name not in specs]
    if missing:
        at.fail(f"required and not given: {', '.join(missing)}")
    finish = _finish(model)

    def build(node: Node, ctx: Context) -> Built:
        built: Built = {}
        for name, field in fields:
            value = field(node, ctx)
            if value is not None:
                built[name] = value
        if finish is not None:
            finish(built, ctx)
        return built

    return build


def _member(name: str, spec: Any, target: Target, at: At, scope: Scope) -> FieldFn:
    if target.kind == "object":
        return _object(target, spec, at, scope)
    if target.kind == "list":
        return compile_list(target, spec, at, scope)
    if name == "platform_words":
        return _raw_words(section(spec, at), at, scope)
    field = compile_field(spec, target, at, scope)
    says = isinstance(spec, dict) and "required" in spec
    return _required(field, spec, at, name) if target.required or says else field


def _required(field: FieldFn, spec: Any, at: At, name: str) -> FieldFn:
    if isinstance(spec, dict) and "required" in spec:
        if not isinstance(spec["required"], bool):
            (at / "required").fail("write true or false", spec["required"])
        if spec["required"] is False:
            if name != "currency":
                (at / "required").fail(
                    "only the order's currency may be absent, in partial rows", spec["required"]
                )
            return field
    path = _named_path(spec)

    def required(node: Node, ctx: Context) -> Any:
        value = field(node, ctx)
        if value is None:
            raise Bad("this is required and is missing", path=path, code="missing")
        return value

    return required


def _named_path(spec: Any) -> str:
    """The path to name when a required value is missing."""
    if isinstance(spec, str):
        return spec
    if "first_of" in spec:
        return _named_path(spec["first_of"][0])
    found = spec.get("path") or spec.get("sum") or spec.get("join")
    return str(found)


def _raw_words(specs: dict[str, Any], at: At, scope: Scope) -> FieldFn:
    """The platform's own words as sent; what they mean is compared elsewhere."""
    fields = []
    for word, spec in specs.items():
        plain = {key: value for key, value in spec.items() if key != "table"} if isinstance(spec, dict) else spec
        fields.append((word, compile_field(plain, Target("text"), at / word, scope)))

    def words(node: Node, ctx: Context) -> dict[str, str] | None:
        found = ((name, field(node, ctx)) for name, field in fields)
        return {name: word for name, word in found if word is not None} or None

    return words


def _object(target: Target, spec: Any, at: At, scope: Scope) -> FieldFn:
    """A nested object: None when its node or its marker is absent, or nothing in it is known."""
    spec = section(spec, at)
    path = spec.get("object")
    if not is_path(path):
        (at / "object").fail("the path of the object's node is wanted ('.' for this one)", path)
    get = getter(path)
    inner_scope = scope.at(absolute(path, scope.base, scope.parent), scope.parent)
    assert target.model is not None
    build = compile_fields(target.model, spec, at, inner_scope, _OBJECT_KEYS)
    if "marker" in spec and not is_path(spec["marker"]):
        (at / "marker").fail("this is not a path", spec["marker"])
    marker = inner_scope.reads(spec["marker"]) if "marker" in spec else None

    def field(node: Node, ctx: Context) -> Built | None:
        inner = get(node, ctx)
        if inner is None:
            return None
        try:
            inner = promised_object(inner)
            if marker is None:
                return build(inner, ctx) or None
            return build(inner, ctx) if _is_set(marker(inner, ctx)) else None
        except Bad as bad:
            raise (bad if path == "." else bad.under(path)) from None

    return field


def _is_set(value: Any) -> bool:
    """A marker is set by any value but null, "" and an empty date object."""
    return bool(value.get("dateTime")) if type(value) is dict else value not in (None, "", False)


def compile_list(target: Target, spec: Any, at: At, scope: Scope) -> FieldFn:
    """A list of objects: None ("not loaded") when any list on the way, or a `loaded` key, is absent or null."""
    spec = section(spec, at)
    each = spec.get("each")
    if not is_path(each) or not each.endswith("[]"):
        (at / "each").fail("the path of a list is wanted, as in items[]", each)
    levels = [level.removeprefix(".") for level in each.split("[]")[:-1]]
    whole = absolute(each, scope.base, scope.parent)
    above = whole.removesuffix("[]").rpartition("[]")
    inner_scope = scope.at(whole, above[0] + above[1] if len(levels) > 1 else scope.base)
    assert target.model is not None
    build = compile_fields(target.model, spec, at, inner_scope, _LIST_KEYS)
    picks = conditions(spec.get("where", {}), at / "where", inner_scope)
    loaded = spec.get("loaded", [])
    if not isinstance(loaded, list) or not all(is_path(path) for path in loaded):
        (at / "loaded").fail("a list of paths is wanted", loaded)
    needed = [inner_scope.reads(path) for path in loaded]

    def one(item: Any, ctx: Context, parent: Node, found: list[Built]) -> bool:
        inner = promised_object(item)
        for need in needed:
            if need(inner, ctx) is None:
                return False
        outer, ctx.parent = ctx.parent, parent
        if picks(inner, ctx):
            found.append(build(inner, ctx))
        ctx.parent = outer
        return True

    return _walk(levels, one)


def _walk(levels: list[str], one: Callable[[Any, Context, Node, list[Built]], bool]) -> FieldFn:
    getters = [getter(level) for level in levels]
    last = len(levels) - 1

    def descend(node: Node, ctx: Context, level: int, found: list[Built]) -> bool:
        """False when something on the way was not loaded."""
        items = getters[level](node, ctx)
        if items is None:
            return False
        for index, item in enumerate(promised_list(items, levels[level])):
            try:
                if level == last:
                    whole = one(item, ctx, node, found)
                else:
                    whole = descend(promised_object(item), ctx, level + 1, found)
            except Bad as bad:
                raise bad.under(f"{levels[level]}[{index}]") from None
            if not whole:
                return False
        return True

    def field(node: Node, ctx: Context) -> list[Built] | None:
        found: list[Built] = []
        return found if descend(node, ctx, 0, found) else None

    return field


def _finish(model: type[Frozen]) -> Finish | None:
    """What the model itself means, once its fields are there."""
    if model is Payment:
        return _finish_payment
    if model is Order:
        return _finish_order
    if model is Fulfillment:
        return _finish_fulfillment
    both = _BOTH_CURRENCIES.get(model)
    if both is None:
        return None
    theirs, ours = both

    def finish(built: Built, _ctx: Context) -> None:
        _drop_same(built, theirs, ours)

    return finish


def _drop_same(built: Built, theirs: str, ours: str) -> None:
    """Presentment money is kept where it differs from shop money."""
    shown, own = built.get(theirs), built.get(ours)
    if shown is not None and own is not None and shown["currency"] == own["currency"]:
        del built[theirs]


def _finish_payment(built: Built, ctx: Context) -> None:
    """The purse, and what was captured: payments completed or since refunded, where the file does not say."""
    provider = built.get("provider")
    books = provider is not None and provider.casefold() in ctx.books_only
    built["purse"] = Purse.BOOKS if books else Purse.GATEWAY
    if "captured" not in built:
        counts = built["status"] in _COUNTS_AS_CAPTURED
        amount = built["amount"]
        built["captured"] = amount if counts else {"amount_minor": 0, "currency": amount["currency"]}
        if not counts:
            built.pop("presentment_captured", None)
    _drop_same(built, "presentment_captured", "captured")


def _finish_fulfillment(built: Built, _ctx: Context) -> None:
    """Contents that were not told are unknown, not none."""
    built.setdefault("lines", None)


def _finish_order(built: Built, _ctx: Context) -> None:
    shown, own = built.get("presentment_totals"), built.get("totals")
    if shown is not None and own is not None:
        for name in [name for name in shown if name in own and own[name]["currency"] == shown[name]["currency"]]:
            del shown[name]
        if not shown:
            del built["presentment_totals"]
