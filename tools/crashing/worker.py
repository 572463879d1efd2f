"""One `ordersync` command in a process of its own that may be killed at a point.

The processes are forked from one that has imported everything already, so that hundreds of them stay affordable;
each is a real process with its own memory, files and connections, and dies by a real signal.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path

import time_machine
from tools.crashing.points import Points, install

from ordersync.cli.app import app

for _name in (
    "ordersync.cli.main",  # hangs every command on the tree
    "ordersync.bootstrap",
    "ordersync.engine.apply",
    "ordersync.engine.byhand",
    "ordersync.engine.pull",
    "ordersync_connectors.headless.connector",
    "ordersync_connectors.medusa.connector",
    "ordersync_connectors.shopline.connector",
):
    import_module(_name)  # before anything is forked
LIMIT_S = 60.0
"""A command that takes longer hangs, and that is a finding."""
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tools.crashing.worker"])


@dataclass(frozen=True, slots=True)
class Job:
    folder: Path
    """Where the configuration, the store and the log of sends are; the process works there."""
    arguments: tuple[str, ...]
    at: datetime
    """What the clock says when the process begins; it goes on from there."""
    strike_at: int | None = None
    strike: signal.Signals = signal.SIGKILL
    reads: bool = False
    """Whether requests that only read are points too."""
    largest_file: int | None = None
    """No file may grow beyond so many bytes, as on a full disk."""
    name: str = "run"


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    """The exit code; -9 for a process that was killed."""
    out: str
    err: str
    points: tuple[str, ...]


class Worker:
    """A started command."""

    def __init__(self, job: Job) -> None:
        self._job = job
        for file in (_out(job), _err(job), _points(job)):
            file.unlink(missing_ok=True)
        self.process = _FORKS.Process(target=_work, args=(job,))
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def stopped(self, within_s: float = LIMIT_S) -> None:
        """Wait until it stands still. TimeoutError when it does not."""
        deadline = time.monotonic() + within_s
        while (state := Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2][0]) != "T":
            if state == "Z" or time.monotonic() > deadline:
                raise TimeoutError(f"it did not reach the point: {_text(_err(self._job))}")
            time.sleep(0.01)

    def wake(self, at: datetime) -> Ended:
        """Let it go on, at this time of the clock."""
        _waking(self._job).write_text(at.isoformat())
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    def wait(self, within_s: float = LIMIT_S) -> Ended:
        self.process.join(within_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(10)
            raise TimeoutError(f"ordersync {' '.join(self._job.arguments)} did not end within {within_s:.0f} s")
        code = self.process.exitcode
        assert code is not None
        self.process.close()
        job = self._job
        return Ended(code, _text(_out(job)), _text(_err(job)), tuple(_text(_points(job)).splitlines()))


def run(job: Job) -> Ended:
    return Worker(job).wait()


def _work(job: Job) -> None:
    """In the child: streams into files, the clock set, the points in place; then the command as it is typed."""
    for stream, file in ((1, _out(job)), (2, _err(job))):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    os.chdir(job.folder)
    if job.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest_file, job.largest_file))
    install(Points(_points(job), job.strike_at, job.strike, reads=job.reads))
    with time_machine.travel(job.at, tick=True) as clock:
        # A process that was stopped wakes up to the time it is then, not to the one it fell asleep at.
        signal.signal(signal.SIGCONT, lambda *_: clock.move_to(datetime.fromisoformat(_text(_waking(job)))))
        try:
            app(list(job.arguments), prog_name="ordersync")
        except SystemExit as ended:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code if isinstance(ended.code, int) else 1)


def _waking(job: Job) -> Path:
    return job.folder / f"{job.name}.waking"


def _out(job: Job) -> Path:
    return job.folder / f"{job.name}.out"


def _err(job: Job) -> Path:
    return job.folder / f"{job.name}.err"


def _points(job: Job) -> Path:
    return job.folder / f"{job.name}.points"


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
