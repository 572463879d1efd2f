"""How a command ends: every error becomes one clear message and an exit code."""

from __future__ import annotations

import pytest
import typer

from ordersync.cli.run import Run, command, error_json, show_error
from ordersync.errors import (
    BrokenAnswer,
    ConfigError,
    Held,
    MappingError,
    NotFound,
    OrdersyncError,
    OutcomeUnknown,
    Refused,
    StoreError,
    Transient,
    Unauthorized,
    UsageError,
)


def ended(error: BaseException | None, *arguments: str) -> int:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

    @command(app, "fail")
    def fail(run: Run) -> int:
        assert isinstance(run, Run)
        if error is not None:
            raise error
        return 3

    with pytest.raises(SystemExit) as caught:
        app(list(arguments), prog_name="ordersync")
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    "kind, code",
    [
        (ConfigError, 2),
        (UsageError, 2),
        (Unauthorized, 2),
        (NotFound, 2),
        (StoreError, 2),
        (Transient, 1),
        (BrokenAnswer, 1),
        (Refused, 3),
        (MappingError, 3),
        (OutcomeUnknown, 3),
        (Held, 3),
    ],
)
def test_every_error_of_the_tree_has_its_exit_code_and_a_next_step(
    kind: type[OrdersyncError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(kind("it went wrong", shop="asia", order="7", request_id="r-1")) == code
    said = capsys.readouterr().err
    assert "error: asia:7: it went wrong" in said
    assert "  next: " in said
    assert "request r-1" in said
    assert "Traceback" not in said


def test_a_next_step_of_its_own_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    ended(Refused("no", next_step="do this"))
    assert "next: do this" in capsys.readouterr().err


def test_a_shop_is_not_named_twice(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(UsageError("asia cannot archive", shop="asia"))
    assert capsys.readouterr().err.startswith("error: asia cannot archive\n")


def test_a_word_that_looks_like_a_shop_does_not_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(BrokenAnswer("list new: the answer is a web page", shop="web"))
    show_error(Refused("list orders: web refused with 400", shop="web"))
    said = capsys.readouterr().err
    assert "error: web: list new: the answer is a web page" in said
    assert "error: list orders: web refused with 400" in said
    assert "next: run the same command again later" in said


def test_lines_of_one_error_stay_under_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(ConfigError("2 mistakes\n  a.yaml:1: " + "word " * 20 + "\n  a.yaml:2: short"))
    assert [line[:5] for line in capsys.readouterr().err.splitlines()[1:4]] == ["    a", "    w", "    a"]


def test_an_error_as_json_holds_no_address_and_no_secret() -> None:
    fields = error_json(Transient("shop asia answered: no kim@example.com here", shop="asia"))
    assert fields["message"] == "shop asia answered: no *** here"
    assert fields["code"] == "transient"


def test_an_unplanned_exception_shows_its_place_but_not_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyError("kim@example.com")) == 1
    said = capsys.readouterr().err
    assert "unexpected KeyError at test_cli_errors.py:" in said
    assert "--debug" in said
    assert "kim@example.com" not in said
    assert "Traceback" not in said


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(Refused("no"), "--debug") == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_file_system_error_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(PermissionError(13, "Permission denied", "/srv/x")) == 2
    said = capsys.readouterr().err
    assert "error: /srv/x: Permission denied" in said
    assert "next: " in said


def test_ctrl_c_says_that_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt()) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_commands_result_is_its_exit_code() -> None:
    assert ended(None) == 3


def test_long_messages_wrap_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(UsageError("word " * 60, next_step="step " * 60))
    assert max(len(line) for line in capsys.readouterr().err.splitlines()) <= 80


def test_an_address_in_a_message_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(Refused("no order for kim@example.com"))
    assert "kim@example.com" not in capsys.readouterr().err
