"""Tests against the server that `make live` started; without it they are not collected."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.back_office import BackOffice
from tests.live.state import VARIABLE, Live

RUNNING = VARIABLE in os.environ
_WITHOUT = "needs a real Medusa: make live"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Only `make live` has a server; a test without one would pass or fail for the wrong reason."""
    return None if RUNNING else True


def pytest_report_header() -> str | None:
    return None if RUNNING else f"tests/live: {_WITHOUT}"


@pytest.fixture(scope="session")
def live() -> Live:
    if not RUNNING:
        pytest.skip(_WITHOUT)  # a file named on the command line is collected all the same
    return Live.load()


@pytest.fixture(scope="session")
def office(live: Live) -> Iterator[BackOffice]:
    """The shop, as its buyers and its staff use it."""
    opened = BackOffice(live.server, live.opened)
    yield opened
    opened.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much of the conformance suite the real server saw."""
    suite = "test_live_contract.py"
    counts = {
        word: sum(suite in report.nodeid for report in terminalreporter.stats.get(word, []))
        for word in ("passed", "failed", "skipped")
    }
    if any(counts.values()):
        told = ", ".join(f"{count} {word}" for word, count in counts.items())
        terminalreporter.write_line(f"conformance suite on the real Medusa: {told}")
