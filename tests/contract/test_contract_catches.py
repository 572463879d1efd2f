"""The conformance suite turns red on connectors that each break one promise, and only there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.contract.careless import CAUGHT_BY

from ordersync.testing import ConnectorContract

ROOT = Path(__file__).resolve().parents[2]
CARELESS = "tests/contract/careless.py"


def red(*cases: str) -> tuple[set[str], int]:
    """The cases that failed, also at their end, and how many passed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--show-capture=no",
        "--tb=no",
        *cases,
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    failed = set(re.findall(r"^(?:FAILED|ERROR) (\S+::\S+)", run.stdout, re.MULTILINE))
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed or failed, run.stdout + run.stderr
    return failed, int(passed.group(1)) if passed else 0


def test_each_broken_promise_is_caught_by_the_case_that_is_about_it() -> None:
    cases = {f"{CARELESS}::Test{careless.__name__}::{case}" for careless, case in CAUGHT_BY.items()}
    failed, _ = red(*sorted(cases))
    assert failed == cases


def test_the_same_cases_pass_on_a_connector_that_breaks_none() -> None:
    cases = {f"{CARELESS}::TestHonest::{case}" for case in CAUGHT_BY.values() if "archive" not in case}
    assert red(*sorted(cases)) == (set(), len(cases) - 1)  # one is skipped: this one takes lines


def test_cases_the_platform_never_sees_are_left_out_where_only_it_shall_answer() -> None:
    class Everything(ConnectorContract):
        pass

    class OnTheServer(ConnectorContract):
        platform_answers_only = True

    def cases(suite: type[ConnectorContract]) -> set[str]:
        return {name for name in dir(suite) if name.startswith("test_") and getattr(suite, name) is not None}

    left_out = cases(Everything) - cases(OnTheServer)
    assert "test_a_redirect_of_a_write_is_never_followed" in left_out
    assert "test_no_clear_answer_is_doubt_and_what_happened_happened_once" not in left_out
    assert cases(OnTheServer) < cases(Everything)
