"""Compiles one field of a mapping file into a function of a payload node.

The forms: a path, `first_of`, `sum` (with `where` and `by`), `join` by id, `pairs`, and an amount whose currency is
in a sibling. There are no expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ordersync.mapping.converters import (
    AMOUNTS,
    CONVERTERS,
    DEFAULTS,
    MEMBERS,
    Bad,
    Context,
    kind_of,
    shown_word,
    text,
    wanted,
    written,
)
from ordersync.mapping.paths import Getter, Node, absolute, getter, is_path, promised_list, promised_object
from ordersync.mapping.schema import At, Table, section
from ordersync.mapping.targets import Target

FieldFn = Callable[[Node, Context], Any]

_FORMS = {
    "path": ("path", "as", "table", "currency", "required"),
    "first_of": ("first_of", "required"),
    "sum": ("sum", "where", "by", "as", "currency"),
    "join": ("join", "by", "path", "as", "table"),
    "pairs": ("pairs", "name", "value"),
}


class Scope:
    """Where in the payload a field's node is, and what the file defines; collects every path that is read."""

    def __init__(
        self,
        tables: dict[str, Table],
        known: set[str],
        base: str = "",
        parent: str = "",
        *,
        currency_optional: bool = False,
    ) -> None:
        self.tables = tables
        self.known = known
        self.base = base
        self.parent = parent
        self.currency_optional = currency_optional
        self.used_tables: set[str] = set()

    def at(self, base: str, parent: str) -> Scope:
        inner = Scope(self.tables, self.known, base, parent, currency_optional=self.currency_optional)
        inner.used_tables = self.used_tables
        return inner

    def reads(self, path: str, members: Iterable[str] = ()) -> Getter:
        """The getter of a path; `members` are the keys the converter takes from the object there."""
        found = absolute(path, self.base, self.parent)
        self.known.update([f"{found}.{member}" for member in members] or [found])
        return getter(path)


def compile_field(spec: Any, target: Target, at: At, scope: Scope) -> FieldFn:
    """The function for one field; ConfigError when the specification is wrong."""
    if isinstance(spec, str):
        spec = {"path": spec}
    spec = section(spec, at)
    form = next((name for name in ("join", "path", "first_of", "sum", "pairs") if name in spec), None)
    if form is None:
        at.fail(f"one of these is wanted: {', '.join(_FORMS)}", list(spec))
    section(spec, at, allowed=_FORMS[form])
    if form == "first_of":
        return _first_of(spec["first_of"], target, at, scope)
    if form == "sum":
        return _sum(spec, target, at, scope)
    if form == "join":
        return _join(spec, target, at, scope)
    if form == "pairs":
        return _pairs(spec, target, at, scope)
    return _path(spec, target, at, scope)


def _path(spec: dict[str, Any], target: Target, at: At, scope: Scope) -> FieldFn:
    path = _checked(spec["path"], at / "path")
    if target.kind == "money" and spec.get("as") in AMOUNTS:
        return _amount(path, spec, at, scope)
    if "currency" in spec:
        (at / "currency").fail(f"only {' and '.join(AMOUNTS)} take a currency", spec["currency"])
    convert = _converter(spec, target, at)
    get = scope.reads(path, MEMBERS.get(spec.get("as", ""), ()))
    look_up = _table(spec, target, at, scope)
    if convert is text and look_up is None and path.isidentifier():
        return _plain_text(path)

    def field(node: Node, ctx: Context) -> Any:
        value = get(node, ctx)
        if value is None:
            return None
        try:
            value = convert(value, ctx)
            return value if look_up is None or value is None else look_up(value, ctx)
        except Bad as bad:
            raise bad.under(path) from None

    return field


def _plain_text(name: str) -> FieldFn:
    """The commonest field, kept short: most of an order is texts one step away."""

    def field(node: Node, _ctx: Context) -> str | None:
        value = node.get(name)
        if type(value) is str:
            return value or None
        if value is None:
            return None
        raise wanted("a text", value).under(name)

    return field


def _amount(path: str, spec: dict[str, Any], at: At, scope: Scope) -> FieldFn:
    """An amount with its currency from a sibling."""
    if "table" in spec:
        (at / "table").fail("an amount is not a word", spec["table"])
    get = scope.reads(path)
    amount = AMOUNTS[spec["as"]]
    currency = _currency(spec, at, scope)

    def field(node: Node, ctx: Context) -> dict[str, Any] | None:
        value = get(node, ctx)
        if value is None or value == "":
            return None
        code = currency(node, ctx)
        if code is None:
            return None
        try:
            return {"amount_minor": amount(value, code, ctx), "currency": code}
        except Bad as bad:
            raise bad.under(path) from None

    return field


def _currency(spec: dict[str, Any], at: At, scope: Scope) -> Callable[[Node, Context], str | None]:
    """The currency of an amount. Absent: an error, or in partial rows (`required: false`) a note and no amount."""
    if "currency" not in spec:
        at.fail(f"{spec.get('as')} needs `currency`: the path of the amount's currency")
    find = compile_field(_as_currency(spec["currency"]), Target("text"), at / "currency", scope)
    optional = scope.currency_optional

    def currency(node: Node, ctx: Context) -> str | None:
        code: str | None = find(node, ctx)
        if code is None:
            if not optional:
                raise Bad("this amount has no currency", code="no_currency")
            ctx.note("currency_not_loaded", "the payload does not tell the currency; its amounts were left out")
        return code

    return currency


def _as_currency(spec: Any) -> Any:
    if isinstance(spec, str):
        return {"path": spec, "as": "currency"}
    if isinstance(spec, dict) and isinstance(spec.get("first_of"), list):
        return {"first_of": [_as_currency(item) for item in spec["first_of"]]}
    return spec


def _first_of(choices: Any, target: Target, at: At, scope: Scope) -> FieldFn:
    if not isinstance(choices, list) or len(choices) < 2:
        (at / "first_of").fail("a list of two or more fields is wanted", choices)
    fields = [compile_field(choice, target, at / f"first_of[{n}]", scope) for n, choice in enumerate(choices)]

    def field(node: Node, ctx: Context) -> Any:
        for choice in fields:
            value = choice(node, ctx)
            if value is not None:
                return value
        return None

    return field


def _sum(spec: dict[str, Any], target: Target, at: At, scope: Scope) -> FieldFn:
    """Sum over the elements of a list; every element is rounded on its own, as the platform books it."""
    if target.kind not in ("money", "integer"):
        at.fail(f"a sum is money or a whole number, this field is {target.kind}")
    listed, inner_path = _list_and_rest(spec["sum"], at / "sum")
    elements = scope.reads(listed)
    items_at = absolute(listed, scope.base, scope.parent) + "[]"
    inner_scope = scope.at(items_at, scope.base)
    inner_spec: dict[str, Any] = {"path": inner_path, "as": spec.get("as")}
    own_currency: Callable[[Node, Context], str | None] | None = None
    if "currency" in spec:
        inner_spec["currency"] = _outwards(spec["currency"])
        own_currency = _currency(spec, at, scope)
    one = compile_field({k: v for k, v in inner_spec.items() if v is not None}, target, at, inner_scope)
    picks = conditions(spec.get("where", {}), at / "where", inner_scope)
    same_id = _same_id(spec.get("by", {}), at / "by", scope, inner_scope)
    money = target.kind == "money"

    def field(node: Node, ctx: Context) -> Any:
        found = elements(node, ctx)
        if found is None:
            return None
        total, code = 0, own_currency(node, ctx) if own_currency else None
        for index, item in enumerate(promised_list(found, listed)):
            try:
                inner = promised_object(item)
                if not (picks(inner, ctx) and same_id(node, inner, ctx)):
                    continue
                with_parent, ctx.parent = ctx.parent, node
                value = one(inner, ctx)
                ctx.parent = with_parent
            except Bad as bad:
                raise bad.under(f"{listed}[{index}]") from None
            if value is None:
                continue
            if not money:
                total += value
                continue
            if code not in (None, value["currency"]):
                raise Bad("amounts of different currencies cannot be summed", path=listed, code="mixed_currencies")
            code = value["currency"]
            total += value["amount_minor"]
        if not money:
            return total
        return None if code is None else {"amount_minor": total, "currency": code}

    return field


def _outwards(spec: Any) -> Any:
    """A sibling's path as seen from inside the summed list."""
    if isinstance(spec, str):
        return spec if spec.startswith(("$.", "^.")) else f"^.{spec}"
    if isinstance(spec, dict) and isinstance(spec.get("first_of"), list):
        return {"first_of": [_outwards(item) for item in spec["first_of"]]}
    return spec


def _join(spec: dict[str, Any], target: Target, at: At, scope: Scope) -> FieldFn:
    """A field of the one element of another list that carries our id; None where none does."""
    listed = _checked(spec["join"], at / "join").removesuffix("[]")
    elements = scope.reads(listed)
    inner_scope = scope.at(absolute(listed, scope.base, scope.parent) + "[]", scope.base)
    if "path" not in spec:
        at.fail("a join needs `path`: what to take from the element found")
    taken = compile_field({k: v for k, v in spec.items() if k in ("path", "as", "table")}, target, at, inner_scope)
    if not spec.get("by"):
        at.fail("a join needs `by`: {their field: our field}")
    same_id = _same_id(spec["by"], at / "by", scope, inner_scope)

    def field(node: Node, ctx: Context) -> Any:
        for index, item in enumerate(promised_list(elements(node, ctx) or [], listed)):
            try:
                inner = promised_object(item)
                if same_id(node, inner, ctx):
                    return taken(inner, ctx)
            except Bad as bad:
                raise bad.under(f"{listed}[{index}]") from None
        return None

    return field


def _pairs(spec: dict[str, Any], target: Target, at: At, scope: Scope) -> FieldFn:
    """A list of {name, value} as words; a name given twice keeps the last value, and says so."""
    if target.kind != "words":
        at.fail(f"pairs are words by name, this field is {target.kind}")
    listed = _checked(spec["pairs"], at / "pairs").removesuffix("[]")
    elements = scope.reads(listed)
    inner_scope = scope.at(absolute(listed, scope.base, scope.parent) + "[]", scope.base)
    name_path, value_path = (_checked(spec.get(key), at / key) for key in ("name", "value"))
    name_of, value_of = inner_scope.reads(name_path), inner_scope.reads(value_path)

    def field(node: Node, ctx: Context) -> dict[str, str] | None:
        found = elements(node, ctx)
        if found is None:
            return None
        words: dict[str, str] = {}
        for index, item in enumerate(promised_list(found, listed)):
            try:
                inner = promised_object(item)
                name, value = name_of(inner, ctx), value_of(inner, ctx)
                if not isinstance(name, str) or not name:
                    raise Bad(f"a name is promised here, but {kind_of(name)} came", path=name_path)
            except Bad as bad:
                raise bad.under(f"{listed}[{index}]") from None
            if value is None:
                continue
            if name in words and words[name] != written(value):
                ctx.note("name_twice", f"{listed} has one name twice; the last value counts")
            words[name] = written(value)
        return words or None

    return field


def conditions(spec: Any, at: At, scope: Scope) -> Callable[[Node, Context], bool]:
    """`where`: all of these fields equal these texts, whole numbers or booleans."""
    wanted = []
    for path, value in section(spec, at).items():
        if not isinstance(value, str | bool):
            (at / path).fail("write the word, number, true or false that the field equals", value)
        wanted.append((scope.reads(_checked(path, at)), value))
    if not wanted:
        return lambda node, ctx: True
    return lambda node, ctx: all(_equals(get(node, ctx), value) for get, value in wanted)


def _equals(found: Any, value: str | bool) -> bool:
    """A number in the file is a text: it equals the number as it is written."""
    return str(found) == value if type(found) is int else type(found) is type(value) and bool(found == value)


def _same_id(spec: Any, at: At, ours: Scope, theirs: Scope) -> Callable[[Node, Node, Context], bool]:
    pairs = [
        (theirs.reads(_checked(their, at)), ours.reads(_checked(our, at / their)))
        for their, our in section(spec, at).items()
    ]

    def same(node: Node, item: Node, ctx: Context) -> bool:
        for their, our in pairs:
            left, right = their(item, ctx), our(node, ctx)
            if left is None or right is None or str(left) != str(right):
                return False
        return True

    return same


def _converter(spec: dict[str, Any], target: Target, at: At) -> Callable[[Any, Context], Any]:
    name = spec.get("as") or DEFAULTS.get("text" if "table" in spec else target.kind)
    if name is None:
        at.fail("money names its converter in `as`, because platforms differ")
    if name in AMOUNTS and target.kind == "money":
        at.fail(f"{name} needs `path` and `currency`")
    if name not in CONVERTERS:
        (at / "as").fail(f"there is no such converter; there are: {', '.join((*CONVERTERS, *AMOUNTS))}", name)
    converter = CONVERTERS[name]
    gives_words = "table" in spec and converter.gives == "text" and target.kind == "flag"
    if converter.gives != target.kind and not gives_words:
        (at / "as").fail(f"this field is {target.kind}, but the converter gives {converter.gives}", name)
    return converter.convert


def _table(spec: dict[str, Any], target: Target, at: At, scope: Scope) -> Callable[[Any, Context], Any] | None:
    """Looks a word up. Unknown: stops the order where the table decides, else stays raw with a note."""
    if "table" not in spec:
        if target.enum is not None:
            at.fail("this field is one of a closed vocabulary and needs a `table`")
        return None
    table = scope.tables.get(spec["table"]) if isinstance(spec["table"], str) else None
    if table is None:
        (at / "table").fail("there is no such table", spec["table"])
    scope.used_tables.add(table.name)
    allowed = None if target.enum is None else {member.value for member in target.enum}
    meanings = {}
    for word, several in table.words.items():
        if len(several) != 1:
            (at / "table").fail(f"{table.name}: only platform words may mean several", word)
        meaning = several[0]
        fits = isinstance(meaning, bool) if target.kind == "flag" else isinstance(meaning, str)
        if meaning is not None and (not fits or (allowed is not None and meaning not in allowed)):
            (at / "table").fail(f"{table.name}: {word!r} does not mean anything this field can be", meaning)
        meanings[word] = meaning
    stays_raw = target.kind == "text" and target.enum is None

    def look_up(word: str, ctx: Context) -> Any:
        try:
            return meanings[word]
        except KeyError:
            unknown_word(table, word, ctx)
            return word if stays_raw else None

    return look_up


def unknown_word(table: Table, word: str, ctx: Context) -> None:
    """Bad for a deciding table, a note for a describing one."""
    shown = shown_word(word)
    if table.decides:
        raise Bad(f"the table {table.name!r} does not know this word", value=shown, code="unknown_word")
    ctx.note("unknown_word", f"{table.name}: {shown or 'a word'} is not in the table")


def _list_and_rest(path: Any, at: At) -> tuple[str, str]:
    checked = _checked(path, at)
    if checked.count("[]") != 1:
        at.fail("a sum goes over exactly one list, as in items[].amount", path)
    listed, _, rest = checked.partition("[]")
    return listed, rest.removeprefix(".") or "."


def _checked(path: Any, at: At) -> str:
    if not is_path(path):
        at.fail("this is not a path", path)
    return str(path)
