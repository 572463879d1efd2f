"""The example configuration, the help texts and the README say what the code does."""

from __future__ import annotations

import re
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel
from tools import decisions

from ordersync.cli import main as _commands  # noqa: F401  # hangs every command on the tree
from ordersync.cli.app import app
from ordersync.config import ALLOW_GROUPS, Config, load_config
from ordersync.connector import WRITE_CALLS, ShopSettings, capabilities, installed, load
from ordersync.settings import KindSettings, Settings
from ordersync.yaml_text import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config.example.yaml"
LATER = {"sync", "daemon", "backfill", "verify", "serve"}
"""Commands of the design that this version does not have; documents may name them only as such."""


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Config:
    secret = tmp_path / "office"
    secret.write_text("sk_office\n")
    copy = tmp_path / "ordersync.yaml"
    copy.write_text(EXAMPLE.read_text().replace("file:/run/secrets/office", f"file:{secret}"))
    return load_config(copy, {"ASIA_TOKEN": "asia-token", "WEB_KEY": "sk_test_web"})


def keys(model: type[BaseModel]) -> set[str]:
    return {info.alias or name for name, info in model.model_fields.items()}


def test_the_example_loads(example: Config) -> None:
    assert set(example.settings.shops) == {"asia", "office", "web"}
    assert example.settings.writes is False


def test_the_example_holds_every_key_of_every_section(example: Config) -> None:
    tree = parse_yaml(EXAMPLE.read_text(), "example").tree
    assert set(tree) == keys(Settings)
    for section in ("policy", "limits", "privacy", "schedule", "alerts"):
        model = _model(Settings.model_fields[section].annotation)
        assert set(tree[section]) == keys(model), section
    assert set(tree["links"][0]) == keys(_model(Settings.model_fields["links"].annotation))
    assert set(tree["policy"]["refund"]) == keys(KindSettings)
    for name, shop in tree["shops"].items():
        own = keys(load(shop["connector"]).Settings) - keys(ShopSettings)
        assert own <= set(shop), f"{name} lacks {own - set(shop)}"
    assert keys(ShopSettings) <= set(tree["shops"]["asia"])


def test_the_example_states_the_real_defaults(example: Config) -> None:
    """Whatever is not marked as an example is the default."""
    text = EXAMPLE.read_text()
    assert example.settings.store == Settings.model_fields["store"].default
    for shop in example.settings.shops.values():
        for name, info in type(shop).model_fields.items():
            written = re.search(rf"^    {name}: .*$", _block(text, shop.connector), re.MULTILINE)
            if written is None or "example" in written.group(0) or info.is_required():
                continue
            assert getattr(shop, name) == info.default, name
    assert example.settings.links[0].tolerance_minor == 1
    assert example.settings.privacy == Settings().privacy
    default = Settings().to_limits()
    limits = example.settings.to_limits()
    assert (limits.run.cancel, limits.run.refund) == (default.run.cancel, default.run.refund)
    assert (limits.day.cancel, limits.day.refund) == (default.day.cancel, default.day.refund)
    policy = Settings().to_policy()
    assert (policy.cancel.sources, policy.fulfill.sources, policy.progress.sources) == ("any", "none", "none")


def test_what_the_example_calls_not_acted_on_is_what_check_says(example: Config) -> None:
    assert example.not_acted_on == ["schedule", "alerts", "privacy.raw_payloads"]
    assert EXAMPLE.read_text().count("not acted on yet") == len(example.not_acted_on)


def test_the_table_of_decisions_is_what_the_code_does_now() -> None:
    page = decisions.DOCUMENT.read_text(encoding="utf-8")
    fresh = decisions.render()
    if fresh != page:
        now, then = fresh.splitlines(), page.splitlines()
        gone, new = [x for x in then if x not in now], [x for x in now if x not in then]
        pytest.fail(
            "`make decisions` writes it anew:\n" + "\n".join([*("- " + x for x in gone), *("+ " + x for x in new)])
        )


def test_every_command_has_a_help_text_that_fits() -> None:
    found = dict(_commands_of(app))
    assert {"pull", "plan", "apply", "orders list", "links import", "holds show", "map"} <= set(found)
    for name, one in found.items():
        text = one.help or (one.callback.__doc__ if one.callback else None)
        assert text, name
        assert one.short_help, name
        assert len(one.short_help) <= 80, f"{name}: {one.short_help}"
        assert not LATER & set(name.split()), name


@pytest.mark.parametrize("document", ["README.md", "docs/operating.md", "docs/holds.md", "config.example.yaml"])
def test_every_command_a_document_names_exists(document: str) -> None:
    path = ROOT / document
    known = set(dict(_commands_of(app)))
    groups = {name.split()[0] for name in known if " " in name}
    named = list(_named_commands(path.read_text()))
    if document != "config.example.yaml":
        assert named
    for words in named:
        if not words or words[0].startswith("-"):
            continue
        command = " ".join(words[:2]) if words[0] in groups and len(words) > 1 else words[0]
        assert command in known or command in groups, f"{document} names `ordersync {' '.join(words)}`"


def test_the_readme_names_every_write_of_every_connector() -> None:
    for name in installed():
        [row] = re.findall(rf"(?m)^\| `{name}` \|.*\| ([^|]+) \|$", (ROOT / "README.md").read_text())
        assert row.split(", ") == [call for call in WRITE_CALLS if call in capabilities(load(name))], name


def test_every_group_of_writes_a_shop_may_be_allowed_names_known_calls() -> None:
    assert {call for calls in ALLOW_GROUPS.values() for call in calls} <= set(WRITE_CALLS)
    assert ALLOW_GROUPS["fulfill"] == ("pack", "ship", "deliver")
    assert ALLOW_GROUPS["progress"] == ("confirm", "process", "complete")


def test_no_message_sends_a_person_to_a_command_that_is_not_there_yet() -> None:
    later = re.compile(rf"\bordersync ({'|'.join(sorted(LATER))})\b")
    sources = [path for folder in ("src", "connectors") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 50
    assert [path.name for path in sources if later.search(path.read_text(encoding="utf-8"))] == []


def _named_commands(text: str) -> Iterator[list[str]]:
    """The words after `ordersync` where it is typed: at the start of a code line or in backquotes."""
    for match in re.finditer(r"(?:^|`|\$ |&& )ordersync ((?:-{0,2}[a-z][\w-]*[ |]?)+)", text, re.MULTILINE):
        words = shlex.split(match.group(1).replace("|", " "))
        yield [word for word in words if re.fullmatch(r"-{0,2}[a-z][a-z-]*", word)]


def _commands_of(group: typer.Typer, prefix: str = "") -> Iterator[tuple[str, typer.models.CommandInfo]]:
    for one in group.registered_commands:
        yield f"{prefix}{one.name}", one
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from _commands_of(inner.typer_instance, f"{inner.typer_instance.info.name} ")


def _block(text: str, connector: str) -> str:
    """The lines of the shop that uses this connector."""
    blocks = re.split(r"(?m)^  (?=\w+:)", text.split("shops:\n", 1)[1].split("\nlinks:", 1)[0])
    return next(block for block in blocks if f"connector: {connector}" in block)


def _model(annotation: object) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in typing.get_args(annotation):
        found = _model(part)
        if found is not BaseModel:
            return found
    return BaseModel
