"""Reads the configuration file, and names every mistake by file, line and key.

It opens no database and calls no platform. Connectors are imported only to check their shop's block.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ordersync.connector import WRITE_CALLS, ShopSettings, load
from ordersync.errors import ConfigError
from ordersync.http import parse_rate
from ordersync.model.traits import REFERENCE_LENGTH_MAX
from ordersync.secrets_text import Substitution, read_dotenv
from ordersync.settings import KindSettings, PolicySettings, Settings, parse_duration
from ordersync.yaml_text import KeyPath, YamlText, parse_yaml

DEFAULT_FILE = "ordersync.yaml"
CONFIG_VARIABLE = "ORDERSYNC_CONFIG"
ALLOW_GROUPS = {"fulfill": ("pack", "ship", "deliver"), "progress": ("confirm", "process", "complete")}
"""Words of `allow` that stand for several calls."""
_SHOP_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,31}$")
NOT_ACTED_ON = ("schedule", "alerts", "privacy.raw_payloads")
"""Accepted for later versions and named by `check`: leaving them out changes nothing in this one."""
_UNSAFE_TO_IGNORE = {
    "approve_over": "approval by amount is for refunds only; leave it out here",
    "restock": "only refunds take restock; leave it out here",
}
"""Keys of a policy kind that would promise what this version does not do."""


@dataclass(frozen=True, slots=True)
class Config:
    """A loaded configuration file."""

    path: Path
    settings: Settings
    written: frozenset[str]
    """Dotted names of the keys the file holds, to two levels."""
    secrets: frozenset[str] = field(default_factory=frozenset)
    """Values never to be printed or logged."""

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def not_acted_on(self) -> list[str]:
        return [name for name in NOT_ACTED_ON if name in self.written]

    @property
    def store_url(self) -> str:
        """The database URL; a relative SQLite path starts at the configuration's folder."""
        scheme, mark, rest = self.settings.store.partition(":///")
        if not scheme.startswith("sqlite") or not mark or rest.startswith("/") or rest in ("", ":memory:"):
            return self.settings.store
        return f"{scheme}:///{(self.folder / rest).resolve()}"


def config_path(named: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """`--config`, else ORDERSYNC_CONFIG, else ordersync.yaml here."""
    environ = os.environ if environ is None else environ
    return named or Path(environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)


def load_config(named: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check a configuration file. ConfigError names file, line, key and the way out."""
    environ = os.environ if environ is None else environ
    path = config_path(named, environ)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}",
            code="no_config",
            next_step="ordersync init writes one; --config F or ORDERSYNC_CONFIG names another",
        ) from None
    except OSError as lost:
        raise ConfigError(
            f"{path} cannot be read ({lost.strerror})",
            code="no_config",
            next_step="name a file that this user may read: --config F",
        ) from lost
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", next_step="save it as UTF-8") from None
    source = parse_yaml(text, str(path))
    if not isinstance(source.tree, dict) or not source.tree:
        raise ConfigError(f"{path} holds no settings", code="empty_config", next_step="ordersync init --force")
    fill = Substitution(source, path.parent, {**read_dotenv(path.parent / ".env"), **environ})
    tree = fill.fill()
    return check_tree(path, source, tree, frozenset(fill.seen))


def check_tree(path: Path, source: YamlText, tree: dict[str, Any], secrets: frozenset[str]) -> Config:
    """Turn filled values into settings; all mistakes of the file are named in one error."""
    problems = _Problems(source, secrets)
    shops = _shops(tree.get("shops"), problems)
    rest = {key: value for key, value in tree.items() if key != "shops"}
    try:
        settings = Settings.model_validate(rest).model_copy(update={"shops": shops})
    except ValidationError as wrong:
        problems.add_all(wrong, (), Settings)
        raise problems.error() from None  # pydantic's own text quotes the values
    block = tree.get("shops")
    _check_names(settings, list(block) if isinstance(block, dict) else [], problems)
    if problems.found:
        raise problems.error()
    written = {str(key) for key in tree}
    written |= {f"{key}.{inner}" for key, value in tree.items() if isinstance(value, dict) for inner in value}
    return Config(path, settings, frozenset(written), secrets)


def _shops(block: Any, problems: _Problems) -> dict[str, ShopSettings]:
    if not isinstance(block, dict) or not block:
        problems.add(("shops",), "name at least one shop", "see config.example.yaml, or run: ordersync init")
        return {}
    shops: dict[str, ShopSettings] = {}
    for name, values in block.items():
        path: KeyPath = ("shops", name)
        if not _SHOP_NAME.match(name) or name in ("any", "none"):
            problems.add(path, "a shop's name is lower-case letters, digits, - and _, at most 32, not any or none")
            continue
        if not isinstance(values, dict) or not isinstance(values.get("connector"), str):
            problems.add(path, "say which connector", "connector: NAME (see: ordersync connectors list)")
            continue
        problems.keep_secrets(values)
        try:
            kind = load(values["connector"]).Settings
        except ConfigError as unknown:
            problems.add((*path, "connector"), unknown.message, unknown.next_step)
            continue
        found_before = len(problems.found)
        for key, info in kind.model_fields.items():
            if _is_switch(info.annotation) and key in values and not isinstance(values[key], bool):
                problems.add((*path, key), "only true and false are booleans")
            if info.annotation is timedelta and isinstance(values.get(key), str):
                try:
                    values = {**values, key: parse_duration(values[key])}
                except ValueError as wrong_text:
                    problems.add((*path, key), str(wrong_text))
        if isinstance(values.get("rate"), str):
            try:
                parse_rate(values["rate"], 1.0)
            except ConfigError as no_rate:
                problems.add((*path, "rate"), no_rate.message, no_rate.next_step)
        for word in values.get("allow") or ():
            if word not in (*WRITE_CALLS, *ALLOW_GROUPS):
                known = ", ".join((*WRITE_CALLS, *ALLOW_GROUPS))
                problems.add((*path, "allow"), f"{word!r} is not a write; known are {known}")
        if len(problems.found) > found_before:
            continue
        try:
            shops[name] = kind.model_validate(values)
        except ValidationError as wrong:
            problems.add_all(wrong, path, kind)
        except ConfigError as wrong_value:
            problems.add(path, wrong_value.message, wrong_value.next_step)
    return shops


def _check_names(settings: Settings, written: Collection[str], problems: _Problems) -> None:
    """Shops named by links and policy must be written in the file; what is wrong inside a shop is another mistake."""
    known = ", ".join(written)
    for index, rule in enumerate(settings.links):
        for key, shop in (("from", rule.shop), ("to", rule.target_shop)):
            if written and shop not in written:
                problems.add(("links", index, key), f"there is no shop {shop!r}; shops are {known}")
        if rule.target_field not in ("number", "id"):
            problems.add(("links", index, "to"), "write it as shop.number or shop.id")
        if rule.shop == rule.target_shop:
            problems.add(("links", index, "to"), "a rule joins two different shops")
        if not _is_field(rule.field):
            problems.add(("links", index, "field"), _FIELD_FORM)
        for name, value in rule.where.items():
            if not _is_field(name):
                problems.add(("links", index, "where", name), _FIELD_FORM)
            if not 0 < len(value.strip()) == len(value) <= REFERENCE_LENGTH_MAX:
                problems.add(
                    ("links", index, "where", name),
                    f"a value is 1 to {REFERENCE_LENGTH_MAX} characters without spaces around it",
                )
    for kind in PolicySettings.model_fields:
        chosen: KindSettings | None = getattr(settings.policy, kind)
        if chosen is None:
            continue
        if chosen.notify_buyer:
            problems.add(("policy", kind, "notify_buyer"), "carried writes never mail the buyer; leave it out")
        for key, why in _UNSAFE_TO_IGNORE.items():
            if kind != "refund" and key in chosen.model_fields_set:
                problems.add(("policy", kind, key), why)
        if isinstance(chosen.sources, str):
            continue
        for shop in chosen.sources:
            if written and shop not in written:
                problems.add(("policy", kind, "from"), f"there is no shop {shop!r}; shops are {known}")


def _is_field(name: str) -> bool:
    return name in ("number", "note") or re.match(r"^[a-z_]+\.\S", name) is not None


def _is_switch(annotation: Any) -> bool:
    return annotation is bool or bool in get_args(annotation)


class _Problems:
    """Collects every mistake of a file, without ever quoting a secret."""

    def __init__(self, source: YamlText, secrets: frozenset[str]) -> None:
        self.source = source
        self.secrets = set(secrets)
        self.found: list[tuple[int, str, str | None, str | None]] = []

    def keep_secrets(self, shop: Mapping[str, Any]) -> None:
        """Values written directly under a key that sounds like a secret are kept out of messages too."""
        for key, value in shop.items():
            if isinstance(value, str) and len(value) >= 4 and re.search(r"token|key|secret|password", key):
                self.secrets.add(value)

    def add(self, path: KeyPath, what: str, fix: str | None = None) -> None:
        for secret in self.secrets:
            what = what.replace(secret, "***")
        line = self.source.line_of(path)
        shop = str(path[1]) if len(path) > 1 and path[0] == "shops" else None
        self.found.append((line, f"{'.'.join(str(part) for part in path)}: {what}", fix, shop))

    def add_all(self, wrong: ValidationError, base: KeyPath, model: type[BaseModel]) -> None:
        for one in wrong.errors(include_input=False, include_url=False):
            path = (*base, *_written_path(one["loc"], self.source, base))
            if one["type"] == "extra_forbidden":
                known = _known_keys(model, path[len(base) : -1])
                near = difflib.get_close_matches(str(path[-1]), known, 1)
                fix = f"did you mean {near[0]}?" if near else None
                self.add(path, f"unknown key; known are {', '.join(known)}", fix)
            elif one["type"] == "missing":
                self.add(path, "is required")
            else:
                self.add(path, _plain(one["msg"]))

    def error(self) -> ConfigError:
        found = sorted(set(self.found), key=lambda one: (one[0], one[1]))
        name = self.source.name
        if len(found) == 1:
            line, what, fix, shop = found[0]
            return ConfigError(f"{name}:{line}: {what}", code="bad_config", shop=shop, next_step=fix or _FIX)
        lines = [f"{name}:{line}: {what}" + (f" ({fix})" if fix else "") for line, what, fix, _ in found]
        return ConfigError("\n  ".join([f"{len(found)} mistakes", *lines]), code="bad_config", next_step=_FIX)


_FIELD_FORM = "write it as metadata.KEY, note_attributes.KEY, number or note"
_FIX = "correct it, then run: ordersync check (config.example.yaml explains every key)"


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ").strip()


def _written_path(loc: tuple[int | str, ...], source: YamlText, base: KeyPath) -> KeyPath:
    """pydantic adds the names of union branches to a location; only parts that the file holds are kept."""
    path: KeyPath = ()
    for place, part in enumerate(loc):
        if (*base, *path, part) in source.lines or place == 0 or (place == len(loc) - 1 and isinstance(part, str)):
            path = (*path, part)
    return path


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Keys accepted at `path` below `model`, as they are written."""
    current: type[BaseModel] = model
    for part in path:
        if isinstance(part, int):
            continue
        named = {info.alias or name: info for name, info in current.model_fields.items()}
        inner = _model_in(named[str(part)].annotation) if str(part) in named else None
        if inner is None:
            break
        current = inner
    return [info.alias or name for name, info in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None
