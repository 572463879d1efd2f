"""Leases and the processes that hold them: one that was killed holds nobody up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ordersync.model import OrderRef
from ordersync.store import Store, lives, new_owner, process_number

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
REF = OrderRef("asia", "1")
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


@pytest.fixture
def other() -> subprocess.Popen[str]:
    """A process that names itself as an owner and then waits."""
    program = "from ordersync.store import new_owner; print(new_owner(), flush=True); input()"
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def name_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=20)


def test_this_process_lives_and_each_name_is_another() -> None:
    name = new_owner()
    assert lives(name) is True
    assert process_number(name) == str(os.getpid())
    assert new_owner() != name


def test_a_killed_process_is_known_to_be_gone(other: subprocess.Popen[str]) -> None:
    name = name_of(other)
    try:
        assert lives(name) is True
        other.send_signal(signal.SIGSTOP)
        assert lives(name) is True, "one that stands still may go on"
    finally:
        end(other)
    assert lives(name) is False


def test_a_process_that_ended_but_was_not_waited_for_is_gone(other: subprocess.Popen[str]) -> None:
    name = name_of(other)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert lives(name) is False
    end(other)


def test_a_new_process_under_an_old_number_is_not_the_old_one() -> None:
    room, _, about = new_owner().rpartition("//")
    pid, started, rest = about.split("/")
    assert lives(f"{room}//{pid}/{int(started) + 1}/{rest}") is False


@pytest.mark.parametrize("name", ["", "a1b2c3", "other-boot/pid:[1]//1/1/aa", "//1/1/aa", "x//y/z/aa"])
def test_nothing_is_said_of_a_process_elsewhere(name: str) -> None:
    assert lives(name) is None


def test_the_lease_of_a_killed_process_holds_nobody_up(other: subprocess.Popen[str]) -> None:
    with_store = Store.open("sqlite://", now=NOW)
    name = name_of(other)
    try:
        assert with_store.claim([REF], name, NOW, HOUR)
        assert not with_store.claim([REF], new_owner(), NOW, HOUR)
    finally:
        end(other)
    assert with_store.claim([REF], new_owner(), NOW, HOUR)
    with_store.close()


def test_the_lease_of_an_owner_nobody_can_judge_is_waited_for() -> None:
    with_store = Store.open("sqlite://", now=NOW)
    assert with_store.claim([REF], "another machine", NOW, HOUR)
    assert not with_store.claim([REF], new_owner(), NOW, HOUR)
    assert with_store.claim([REF], new_owner(), NOW + HOUR, HOUR)
    with_store.close()
