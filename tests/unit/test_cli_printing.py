"""How results look on a screen, and what never reaches one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from ordersync.cli.printing import age, cells, count, fit, plain, table
from ordersync.log import HIDDEN, Redactor, configure_logs, hide_emails

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_platforms_text_cannot_move_the_cursor() -> None:
    assert plain("a\x1b[2Jb\nc\u202ed\x07") == "a?[2Jb c?d?"


def test_wide_characters_take_two_columns() -> None:
    assert cells("핸드") == 4
    assert fit("핸드메이드 머그", 8) == "핸드메…"
    assert cells(fit("핸드메이드 머그", 8)) <= 8
    assert fit("short", 8) == "short"


def test_a_table_fits_and_names_stay_whole() -> None:
    rows = [("pay_01M83GZTA8DN388FSVSN2CN9GW", "a provider with a long name", "100000.00 USD", "x" * 90)]
    lines = table(("PAYMENT", "PROVIDER", "AMOUNT", "WHAT"), rows)
    assert all(cells(line) <= 80 for line in lines)
    assert lines[1].startswith("pay_01M83GZTA8DN388FSVSN2CN9GW  ")
    assert table(("A",), []) == []


def test_a_table_of_wide_text_fits_too() -> None:
    lines = table(("LINK", "WHAT"), [("L1", "한국어 " * 40), ("L2", "short")])
    assert [cells(line) <= 80 for line in lines] == [True] * 3


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "seconds, words",
    [(5, "5 s ago"), (61, "1 min ago"), (3 * 3600, "3 h ago"), (5 * 86400, "5 d ago"), (-30, "0 s ago")],
)
def test_ages_are_said_in_words(seconds: int, words: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == words
    assert age(None, NOW) == "never"


def test_counts_are_said_in_words() -> None:
    assert (count(1, "order"), count(1200, "order"), count(2, "copy", "copies")) == (
        "1 order",
        "1,200 orders",
        "2 copies",
    )


def test_logs_hold_no_secret_and_no_address() -> None:
    out = io.StringIO()
    configure_logs(secrets=frozenset({"sk_live_12345", "x"}), stream=out)
    log = structlog.get_logger()
    log.warning(
        "request_failed",
        url="https://shop.example/lookup?email=kim@example.com",
        nested={"authorization": "Bearer abc", "note": ["sk_live_12345"]},
        api_key="whatever",
        error=ValueError("key sk_live_12345 of kim@example.com"),
        buyer={"name": "Kim"},
        pages=3,
    )
    text = out.getvalue()
    for hidden in ("kim@example.com", "sk_live_12345", "Bearer abc", "whatever", "Kim"):
        assert hidden not in text
    assert '"pages": 3' in text
    assert '"level": "warning"' in text


def test_a_traceback_in_a_log_is_cleaned_too() -> None:
    out = io.StringIO()
    configure_logs(debug=True, secrets=frozenset({"sk_live_12345"}), stream=out)
    try:
        raise ValueError("sk_live_12345")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "sk_live_12345" not in out.getvalue()
    assert "ValueError" in out.getvalue()


def test_short_secrets_do_not_hide_ordinary_words() -> None:
    assert Redactor(frozenset({"a", ""})).text("a cat") == "a cat"


def test_hiding_addresses_costs_no_more_than_the_text_is_long() -> None:
    assert hide_emails("x" * 200_000) == "x" * 200_000
    assert hide_emails("x" * 50_000 + "@" + "y" * 50_000)
    assert hide_emails("write to kim.lee+tag@mail.example.co.kr, or call") == f"write to {HIDDEN}, or call"
