"""What a canonical field wants, read from the model itself, so that files and model cannot drift apart."""

from __future__ import annotations

import types
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from ordersync.model import Frozen, Money, Order, Payment

SUPPLIED: dict[type[BaseModel], frozenset[str]] = {
    Order: frozenset({"shop", "integrity"}),
    Payment: frozenset({"purse"}),
}
"""Fields that come from the profile or the checks, never from a mapping file."""

DERIVED: dict[type[BaseModel], frozenset[str]] = {Payment: frozenset({"captured"})}
"""Required fields a file may leave out: a payment's captured amount follows from its status then."""


class Target(NamedTuple):
    kind: str
    """text, integer, flag, instant, texts, words, money, object or list."""
    model: type[Frozen] | None = None
    """Of an object or a list's elements."""
    enum: type[Enum] | None = None
    """Of a text that is one of a closed vocabulary."""
    required: bool = False


def targets(model: type[Frozen]) -> dict[str, Target]:
    """The fields of `model` a mapping file may fill."""
    supplied = SUPPLIED.get(model, frozenset())
    derived = DERIVED.get(model, frozenset())
    return {
        name: _target(info.annotation, required=info.is_required() and name not in derived)
        for name, info in model.model_fields.items()
        if name not in supplied
    }


def _target(annotation: Any, *, required: bool) -> Target:
    plain = _without_none(annotation)
    if get_origin(plain) is tuple:
        item = get_args(plain)[0]
        return Target("texts" if item is str else "list", None if item is str else item, None, required)
    if get_origin(plain) is dict:
        return Target("words", required=required)
    if plain is AwareDatetime or datetime in get_args(plain):
        return Target("instant", required=required)
    if plain is Money:
        return Target("money", required=required)
    if issubclass(plain, Enum):
        return Target("text", None, plain, required)
    if issubclass(plain, Frozen):
        return Target("object", plain, None, required)
    kinds = {bool: "flag", int: "integer", str: "text"}
    return Target(kinds[plain], required=required)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation
