"""Servers that tests start end with whoever started them, however that ends; no process and no folder is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.live import postgres
from tests.live.leash import Leash

ROOT = Path(__file__).resolve().parents[2]
STUBBORN = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""
STARTER = f"""
import sys, time
from pathlib import Path
from tests.live.leash import Leash
folder = Path(sys.argv[1])
Leash([sys.executable, "-c", {STUBBORN!r}], cwd=folder, grace_s=1, remove=[folder / "data"])
time.sleep(60)
"""


def until(true: Callable[[], object], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def pid_in(folder: Path) -> int:
    until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    return int((folder / "pid").read_text())


def alive(pid: int) -> bool:
    """A process that has ended and was not yet waited for by init is gone, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stubborn_child_ends_with_its_starter(tmp_path: Path, end: signal.Signals) -> None:
    (tmp_path / "data").mkdir()
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    starter = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        child = pid_in(tmp_path)
        assert alive(child)
        starter.send_signal(end)
        starter.wait(20)
        until(lambda: not alive(child))
        until(lambda: not (tmp_path / "data").exists())
    finally:
        starter.kill()
        starter.wait(20)


def test_a_command_that_ends_by_itself_says_how(tmp_path: Path) -> None:
    log = tmp_path / "log"
    leash = Leash([sys.executable, "-c", "print('last'); raise SystemExit(3)"], log=log)
    assert leash.finish(30) == 3
    assert leash.last_words() == "last"
    assert not leash.running


def test_a_command_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    leash = Leash([sys.executable, "-c", STUBBORN], cwd=tmp_path, grace_s=0.2)
    child = pid_in(tmp_path)
    with pytest.raises(TimeoutError, match="did not end within"):
        leash.finish(0.1)
    assert not alive(child)


@pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))
def test_a_private_postgresql_takes_connections_and_leaves_nothing(tmp_path: Path) -> None:
    with postgres.postgres(tmp_path / "log") as first, postgres.postgres(tmp_path / "log2") as second:
        assert first.port != second.port
        assert first.create("orders") == f"postgresql://postgres@127.0.0.1:{first.port}/orders"
        with pytest.raises(postgres.NotStarted, match="already exists"):
            first.create("orders")
        data = first.data
        assert data.is_dir()
    assert not data.exists()
    with pytest.raises(postgres.NotStarted, match="could not be made"):
        first.create("late")
