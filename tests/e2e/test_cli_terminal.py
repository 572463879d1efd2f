"""Commands on terminals that are not UTF-8, into pipes and devices, without stdout, and ended by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.e2e.cli_process import EXECUTABLE, Cli, Shops


@pytest.fixture(scope="module")
def cli(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = shops.cli(tmp_path_factory.mktemp("own"))
    cli.ok("pull")
    return cli


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_is_not_utf8_shows_every_command(cli: Cli, encoding: str) -> None:
    narrow = Cli(cli.config, cli.folder, cli.secrets, {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    for arguments in (["plan", "--help"], ["links", "add", "--help"], ["connectors", "list"], ["orders", "list"]):
        narrow.typed(*arguments)
    # A wide name from a platform, cut with an ellipsis: unknown characters are replaced, nothing ends.
    narrow.typed("orders", "list", "--buyer")
    assert narrow.real("orders", "show", "web:nowhere").code == 2


def test_json_is_utf8_on_every_terminal(cli: Cli) -> None:
    for arguments in (["orders", "list", "--json", "--buyer"], ["orders", "export", "--buyer"]):
        outputs = []
        for encoding in ("ascii", "utf-8"):
            done = subprocess.run(
                [str(EXECUTABLE), *arguments, "--config", str(cli.config)],
                capture_output=True,
                env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
                timeout=60,
                check=True,
            )
            outputs.append(done.stdout)
        assert outputs[0] == outputs[1]
        json.loads(outputs[0].splitlines()[0] if arguments[1] == "export" else outputs[0])


def test_a_closed_stdout_is_no_fault(cli: Cli) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{EXECUTABLE}" status --config "{cli.config}" >&-'],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_export_into_a_pipe_or_device_leaves_it_in_place(cli: Cli, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    came: list[bytes] = []
    reader = threading.Thread(target=lambda: came.append(fifo.read_bytes()), daemon=True)
    reader.start()
    cli.typed("orders", "export", "--out", str(fifo))
    reader.join(timeout=10)
    assert fifo.is_fifo()
    assert len(came[0].splitlines()) == 80


def test_an_export_that_cannot_be_written_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cli("orders", "export", "--out", str(tmp_path / "file" / "x")).failed(2, "cannot be written", "another --out")


def test_sigterm_in_a_write_marks_it_in_doubt_and_the_next_apply_finds_it(cli: Cli, shops: Shops) -> None:
    cli.ok("orders", "refund", "asia:2004", "--amount", "2.50 USD", "--yes")
    shops.fault("office", kind="latency", method="POST", path="refund", seconds=6.0)
    process = subprocess.Popen(
        [str(EXECUTABLE), "apply", "--config", str(cli.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    sent = _until(lambda: _refunds_sent(shops), 30)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert sent == 1
    assert process.returncode == 143
    assert "stopped; what was finished is stored" in said
    assert "in doubt" in cli("status").out
    time.sleep(6)  # the shop acts although nobody waits for its answer
    assert cli("apply").code in (0, 3)
    assert cli("apply").code == 0
    assert _refunds_sent(shops) == 1
    assert cli.ok("holds", "list", "--json").json["holds"] == []


def _refunds_sent(shops: Shops) -> int:
    return sum(1 for r in shops.log("office") if r["method"] == "POST" and r["path"].endswith("/refund"))


def _until(count: object, seconds: float) -> int:
    assert callable(count)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := int(count()):
            return found
        time.sleep(0.05)
    return 0


def test_a_plan_that_was_applied_already_says_so(cli: Cli, tmp_path: Path) -> None:
    cli.ok("orders", "refund", "asia:2006", "--amount", "1.50 USD", "--yes")
    saved = str(tmp_path / "p")
    cli.ok("plan", "--out", saved)
    assert "confirmed by reading back" in cli.ok("apply", saved).out
    again = " ".join(cli.ok("apply", saved).out.split())
    assert "written already, by an earlier apply; not written again" in again
    assert "Nothing was written: nothing is due." in again
