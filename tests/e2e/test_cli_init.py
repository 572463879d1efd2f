"""`ordersync init`: asks or takes flags, tests the keys, writes a configuration that works, overwrites nothing."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest
from tests.e2e.cli_process import EXECUTABLE, Cli, Shops

from ordersync.config import load_config


@pytest.fixture
def cli(shops: Shops, tmp_path: Path) -> Cli:
    return Cli(folder=tmp_path, secrets=shops.secrets)


def flags(shops: Shops, *names: str) -> list[str]:
    """--shop and --set for running sandboxes."""
    found: list[str] = []
    for name in names:
        settings = dict(shops.by_name[name]["settings"])
        found += ["--shop", f"{name}={settings.pop('connector')}"]
        for key, value in settings.items():
            found += ["--set", f"{name}.{key}={','.join(value) if isinstance(value, list) else value}"]
    return found


def test_flags_write_a_configuration_that_pulls(cli: Cli, shops: Shops, tmp_path: Path) -> None:
    said = cli.ok("init", *flags(shops, "asia", "office", "web"), "--refund-from", "asia").out
    assert "asia: the key works (Tea Sandbox, USD" in said
    config = tmp_path / "ordersync.yaml"
    text = config.read_text()
    assert not any(secret in text for secret in shops.secrets)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    loaded = load_config(config)
    assert loaded.settings.writes is False
    assert loaded.settings.to_policy().refund.sources == ("asia",)
    assert loaded.settings.to_limits().run.value_limit("USD") == 50000
    cli.ok("check")
    assert "20 new" in cli.ok("pull").out
    cli("apply").failed(2, "writes are off")


def test_nothing_is_overwritten_without_force(cli: Cli, shops: Shops, tmp_path: Path) -> None:
    (tmp_path / "ordersync.yaml").write_text("mine\n")
    (tmp_path / ".env").write_text("OTHER=kept\nWEB_API_KEY=old\n")
    (tmp_path / ".env").chmod(0o600)
    cli("init", *flags(shops, "web")).failed(2, "exists already", "--force")
    assert (tmp_path / "ordersync.yaml").read_text() == "mine\n"
    (tmp_path / "ordersync.yaml").unlink()
    cli("init", *flags(shops, "web")).failed(2, "holds another WEB_API_KEY already")
    assert not (tmp_path / "ordersync.yaml").exists()
    cli.ok("init", *flags(shops, "web"), "--force")
    written = (tmp_path / ".env").read_text()
    assert written.startswith("OTHER=kept\n")
    assert "old" not in written
    cli.ok("check")


def test_a_key_that_does_not_work_writes_nothing(cli: Cli, shops: Shops, tmp_path: Path) -> None:
    wrong = [
        "--set" if one == "--set" else re.sub(r"(web\.api_key)=.*", r"\1=sk_test_wrong", one)
        for one in flags(shops, "web")
    ]
    cli("init", *wrong).failed(2, "web answered 401")
    assert list(tmp_path.iterdir()) == []
    cli.ok("init", *wrong, "--no-test")
    assert cli("check").code == 2


def test_a_variable_of_the_environment_is_kept_as_one(cli: Cli, shops: Shops, tmp_path: Path) -> None:
    key = shops.by_name["web"]["settings"]["api_key"]
    cli.environ["MY_WEB_KEY"] = key
    base = shops.by_name["web"]["base_url"]
    cli.ok("init", "--shop", "web=headless", "--set", f"web.base_url={base}", "--set", "web.api_key=${MY_WEB_KEY}")
    assert 'api_key: "${MY_WEB_KEY}"' in (tmp_path / "ordersync.yaml").read_text()
    assert not (tmp_path / ".env").exists()
    cli.ok("check")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--shop", "web"], "NAME=CONNECTOR"),
        (["--shop", "web=shopware"], "no connector named 'shopware'"),
        (["--shop", "Web=headless", "--set", "Web.api_key=sk_1"], "a shop's name is"),
        (["--shop", "web=headless", "--set", "asia.token=x"], "names no shop"),
        (["--shop", "web=headless", "--set", "web.apikey=x"], "has no key 'apikey'"),
        (["--shop", "web=headless"], "api_key: is required"),
        (
            ["--shop", "web=headless", "--set", "web.api_key=sk_1", "--refund-from", "asia"],
            "there is no shop 'asia'",
        ),
        ([], "no terminal to ask on"),
    ],
)
def test_wrong_flags_are_named(cli: Cli, tmp_path: Path, arguments: list[str], words: str) -> None:
    cli("init", *arguments).failed(2, words)
    assert list(tmp_path.iterdir()) == []


def test_questions_are_asked_on_a_terminal(cli: Cli, shops: Shops, tmp_path: Path) -> None:
    depot = shops.by_name["depot"]
    token = depot["settings"]["token"]
    answers = [
        ("Shop name", "depot"),
        ("platform of depot", "medusa"),
        ("books_only", "pp_system_default"),
        ("base_url", depot["base_url"]),
        ("token", token),
        ("Shop name", ""),
        ("Whose refunds", "none"),
    ]
    code, screen = _typed(tmp_path, "init", answers)
    assert code == 0, screen
    assert "the key works" in screen
    assert token not in screen
    loaded = load_config(tmp_path / "ordersync.yaml")
    assert loaded.settings.to_policy().refund.sources == "none"
    assert loaded.settings.shops["depot"].books_only == ("pp_system_default",)


def _typed(folder: Path, command: str, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a command on a terminal of its own; each answer is typed when its question is on the screen."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(EXECUTABLE), command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        try:
            screen = "".join(_until(ours, question, answer) for question, answer in answers)
            return process.wait(timeout=60), screen + _until(ours, None, None)
        finally:
            process.kill()
            os.close(ours)


def _until(terminal: int, question: str | None, answer: str | None) -> str:
    """What the screen shows until `question`, which is then answered; None: until the program ends."""
    seen = ""
    while question is None or question not in seen:
        if not select.select([terminal], [], [], 60)[0]:
            raise AssertionError(f"{question!r} was not asked: {seen}")
        try:
            seen += os.read(terminal, 4096).decode()
        except OSError:  # the other end of the terminal is closed
            return seen
    time.sleep(0.2)  # a hidden question throws away what was typed before it
    os.write(terminal, f"{answer}\n".encode())
    return seen
