"""`ordersync init`: ask or take flags, test the keys, write the configuration and the `.env` beside it."""

from __future__ import annotations

import json as json_text
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import app
from ordersync.cli.printing import count, plain, say
from ordersync.cli.run import Run, command, not_interactive, show_error
from ordersync.errors import ConfigError, OrdersyncError, UsageError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ordersync.config import Config
    from ordersync.connector import ShopFacts

READ_BACK = timedelta(days=30)
_REFERENCE = re.compile(r"^(\$\{\w+\}|file:.+)$")


@dataclass(slots=True)
class Answers:
    """What will be written: each shop's keys as YAML values, and the secrets that go into `.env`."""

    shops: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    refund_from: str = "none"
    facts: dict[str, ShopFacts] = field(default_factory=dict)
    """What each shop's key was found to see."""


@command(app, "init")
def init(
    run: Run,
    shop: Annotated[
        list[str] | None, typer.Option("--shop", metavar="NAME=CONNECTOR", help="A shop to add; may be repeated.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SHOP.KEY=VALUE", help="A key of a shop; lists are comma separated."),
    ] = None,
    refund_from: Annotated[
        str | None, typer.Option("--refund-from", metavar="S,S", help="Shops whose refunds are carried [none].")
    ] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Ask each shop whether its key works.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a configuration, after testing the keys.

    Asks for shops and keys, or takes --shop and --set.

    Keys go into .env (mode 0600) beside the file; a value ${NAME} or file:PATH is kept as it is. Writes stay off.

    \b
        ordersync init --shop asia=shopline --set asia.handle=teaandco \\
                       --set 'asia.token=${ASIA_TOKEN}'
    """
    from ordersync.config import config_path

    path = config_path(run.config_file)
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already; nothing was changed", code="would_overwrite", next_step="edit it, or: --force"
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(
            f"{path.parent} is not a folder this user may write in", next_step="choose another --config"
        )
    flags = values or []
    answers = _from_flags(shop, flags, refund_from) if shop else _asked(run, path, refund_from, test=test)
    text = _yaml(answers, run)
    config = _loaded(path, text, answers.secrets)
    if shop and test:
        for name in config.settings.shops:
            _test(config, name, answers)
        text = _yaml(answers, run)
    _write_env(path.parent / ".env", answers.secrets, force=force)
    _write(path, text, 0o644)
    say(f"{path} is written, with {count(len(answers.shops), 'shop')}; writes are OFF.")
    if answers.secrets:
        say(f"{path.parent / '.env'} holds the keys (mode 0600). Keep it out of version control.")
    say("Next: ordersync check, then ordersync pull")


def _from_flags(shops: list[str], values: list[str], refund_from: str | None) -> Answers:
    from ordersync.connector import load

    answers = Answers(refund_from=refund_from or "none")
    for text in shops:
        name, equals, connector = text.partition("=")
        if not equals or not connector:
            raise UsageError(f"--shop {plain(text)!r}", code="bad_flag", next_step="write it as NAME=CONNECTOR")
        load(connector)
        answers.shops[name] = {"connector": connector}
    for text in values:
        target, equals, value = text.partition("=")
        name, dot, key = target.partition(".")
        if not equals or not dot or name not in answers.shops:
            raise UsageError(
                f"--set {plain(target)!r} names no shop given with --shop",
                code="bad_flag",
                next_step="write it as SHOP.KEY=VALUE",
            )
        _put(answers, name, key, value)
    return answers


def _put(answers: Answers, shop: str, key: str, value: str) -> None:
    """Sort a value into the file or, when it is a secret, into `.env`."""
    from ordersync.connector import load

    fields = load(answers.shops[shop]["connector"]).Settings.model_fields
    info = fields.get(key)
    if info is None:
        raise UsageError(
            f"{shop} has no key {plain(key)!r}", code="bad_flag", next_step=f"its keys are {', '.join(fields)}"
        )
    if _is_secret(info) and not _REFERENCE.match(value):
        variable = re.sub(r"\W", "_", f"{shop}_{key}").upper()
        answers.secrets[variable] = value
        answers.shops[shop][key] = "${" + variable + "}"
    elif "tuple" in str(info.annotation):
        answers.shops[shop][key] = [part.strip() for part in value.split(",") if part.strip()]
    elif value in ("true", "false"):
        answers.shops[shop][key] = value == "true"
    else:
        answers.shops[shop][key] = value if _REFERENCE.match(value) else value.replace("$", "$$")


def _asked(run: Run, path: Path, refund_from: str | None, *, test: bool) -> Answers:
    from ordersync.connector import installed, load

    if not sys.stdin.isatty():
        not_interactive("init asks questions", "--shop NAME=CONNECTOR and --set SHOP.KEY=VALUE (see: init --help)")
    answers = Answers()
    names = list(installed())
    say(f"Platforms: {', '.join(names)}. An empty shop name ends the questions.")
    while True:
        name = typer.prompt("Shop name (yours to choose, like asia)", default="", show_default=False).strip()
        if not name:
            if answers.shops:
                break
            continue
        connector = typer.prompt(f"  platform of {name}", default=names[0]).strip()
        try:
            fields = load(connector).Settings.model_fields
        except ConfigError as unknown:
            show_error(unknown)
            continue
        answers.shops[name] = {"connector": connector}
        for key, info in fields.items():
            if key == "connector" or not (info.is_required() or key == "books_only"):
                continue
            hint = " (payment providers that only mark, comma separated)" if key == "books_only" else ""
            value = typer.prompt(
                f"  {key}{hint}", hide_input=_is_secret(info), default=None if info.is_required() else ""
            )
            if value:
                _put(answers, name, key, str(value))
        if test and not _answers_work(run, path, answers, name):
            del answers.shops[name]
    known = ", ".join(answers.shops)
    answers.refund_from = refund_from or typer.prompt(
        f"Whose refunds are carried to the other shops? ({known}; any; none)", default="none"
    )
    return answers


def _answers_work(run: Run, path: Path, answers: Answers, name: str) -> bool:
    """Try one shop's answers; on a failure the person may keep them all the same."""
    try:
        alone = Answers({name: answers.shops[name]}, answers.secrets)
        _test(_loaded(path, _yaml(alone, run), answers.secrets), name, answers)
    except OrdersyncError as failed:
        show_error(failed)
        return typer.confirm(f"  keep {name} all the same?", default=False)
    return True


def _test(config: Config, name: str, answers: Answers) -> None:
    """Ask a shop for what its key may see; raises as the connector does."""
    from ordersync.connector import load

    settings = config.settings.shops[name]
    connector = load(settings.connector)(name, settings)
    try:
        facts = answers.facts[name] = connector.check()
    finally:
        connector.close()
    known = [facts.name, facts.currency, count(facts.orders, "order") if facts.orders is not None else None]
    say(f"{name}: the key works ({', '.join(plain(part) for part in known if part) or 'no details'})")
    for warning in facts.warnings:
        say(f"  warning: {plain(warning)}")


def _loaded(path: Path, text: str, secrets: dict[str, str]) -> Config:
    """The answers as a checked configuration, exactly as the written file would load."""
    from ordersync.config import check_tree
    from ordersync.secrets_text import Substitution
    from ordersync.yaml_text import parse_yaml

    source = parse_yaml(text, str(path))
    fill = Substitution(source, path.parent, {**os.environ, **secrets})
    return check_tree(path, source, fill.fill(), frozenset(fill.seen))


def _is_secret(info: FieldInfo) -> bool:
    return "SecretStr" in str(info.annotation)


def _shops_yaml(answers: Answers) -> str:
    lines = ["shops:"]
    for name, values in answers.shops.items():
        lines.append(f"  {json_text.dumps(name) if not re.match(r'^[a-z][a-z0-9_-]*$', name) else name}:")
        for key, value in values.items():
            lines.append(f"    {key}: {json_text.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _yaml(answers: Answers, run: Run) -> str:
    from ordersync.model import iso_exponent

    currencies = sorted({facts.currency for facts in answers.facts.values() if facts.currency})
    run_values = [f"{500 if iso_exponent(code) else 500000} {code}" for code in currencies]
    day_values = [f"{2000 if iso_exponent(code) else 2000000} {code}" for code in currencies]
    refund_from = answers.refund_from.strip()
    shops = [part.strip() for part in refund_from.split(",") if part.strip()]
    sources = refund_from if refund_from in ("any", "none") else json_text.dumps(shops)
    return (
        "# Written by `ordersync init`. config.example.yaml explains every key.\n"
        "store: sqlite:///ordersync.db\n"
        "writes: false  # true lets ordersync write to the shops; look at `ordersync plan` first\n"
        f"read_from: {(run.now - READ_BACK).date().isoformat()}  # the first pull starts here\n"
        f"{_shops_yaml(answers)}"
        "# links:  # when an order of one shop names the order of another:\n"
        '#   - {from: office, field: metadata.external_id, strip: "SL-", to: asia.number}\n'
        "policy:\n"
        "  cancel: {from: any}\n"
        f"  refund: {{from: {sources}}}  # shops whose refunds are carried to the others; none: each is only shown\n"
        "limits:  # beyond these a person decides; a currency that is not listed is 0\n"
        f"  run: {{cancel: 10, refund: 20, refund_value: {json_text.dumps(run_values)}}}\n"
        f"  day: {{cancel: 30, refund: 60, refund_value: {json_text.dumps(day_values)}}}\n"
    )


def _write_env(path: Path, secrets: dict[str, str], *, force: bool) -> None:
    """Add our variables to `.env`; other lines stay. A variable that is there with another value needs --force."""
    from ordersync.secrets_text import read_dotenv

    if not secrets:
        return
    there = read_dotenv(path)
    for name, value in secrets.items():
        if "\n" in value or "\r" in value:
            raise UsageError(f"the value for {name} has several lines", next_step="use file:PATH for it")
        if there.get(name, value) != value and not force:
            raise UsageError(f"{path} holds another {name} already", code="would_overwrite", next_step="--force")
    kept = [
        line
        for line in (path.read_text(encoding="utf-8").splitlines() if there else [])
        if line.split("=", 1)[0].removeprefix("export ").strip() not in secrets
    ]
    quoted = [f"{name}='{_escaped(value)}'" for name, value in secrets.items()]
    _write(path, "\n".join([*kept, *quoted]) + "\n", 0o600)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _write(path: Path, text: str, mode: int) -> None:
    """Replace a file as a whole, so that a full disk never leaves half of one."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.replace(path)
    except OSError as lost:
        with suppress(OSError):
            unfinished.unlink()
        raise UsageError(
            f"{path} cannot be written ({lost.strerror})", next_step="choose another folder"
        ) from lost
