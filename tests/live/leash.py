"""A child process that ends when whoever started it ends: normally, by Ctrl-C, by a signal, or killed.

Between the two stands this file, run as a script: it holds one end of a pipe, and the pipe closes with its starter.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_LOOK_EVERY_S = 0.2


class Leash:
    """Starts `command`; its output goes to the end of `log`, or where ours goes when there is none.

    `command`: its parts as text. `user`: whom it runs as, for root only. `remove`: folders that go when it has ended.
    """

    def __init__(
        self,
        command: Sequence[object],
        *,
        log: Path | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10,
        remove: Sequence[Path] = (),
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._grace_s = grace_s
        orders = {
            "command": self.command,
            "log": None if log is None else str(log),
            "cwd": None if cwd is None else str(cwd),
            "user": user,
            "stop_signal": int(stop_signal),
            "grace_s": grace_s,
            "remove": [str(path) for path in remove],
        }
        self._between = subprocess.Popen(
            [sys.executable, "-I", __file__, json.dumps(orders)],
            stdin=subprocess.PIPE,
            env=None if env is None else dict(env),
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        return self._between.poll() is None

    def finish(self, timeout_s: float) -> int:
        """Wait for the command to end by itself; its exit code. After a TimeoutError it is ended, too."""
        try:
            return self._between.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{Path(self.command[0]).name} did not end within {timeout_s:g} s") from None
        finally:
            self.stop()

    def stop(self) -> None:
        """End it with its signal, after the grace period with SIGKILL. Harmless when repeated."""
        assert self._between.stdin is not None
        with contextlib.suppress(OSError):
            self._between.stdin.close()
        self._between.wait(self._grace_s + 15)

    def last_words(self, count: int = 15) -> str:
        """The end of its log, for an error."""
        if self.log is None or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()


def _hold(orders: dict[str, Any]) -> int:
    """Run the command until it ends or nobody holds the other end of stdin; its exit code."""
    told = {"stop": False}
    signal.signal(signal.SIGTERM, lambda *_: told.update(stop=True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    out = None if orders["log"] is None else open(orders["log"], "ab")  # noqa: PTH123, SIM115  # ends with us
    user = orders["user"]
    switch: dict[str, Any] = {} if user is None else {"user": user, "group": _group(user), "extra_groups": []}
    child = subprocess.Popen(
        orders["command"],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT if out else None,
        cwd=orders["cwd"],
        start_new_session=True,
        **switch,
    )
    while child.poll() is None and not told["stop"]:
        ready, _, _ = select.select([0], [], [], _LOOK_EVERY_S)
        if ready and not os.read(0, 1):
            break
    if child.poll() is None:
        child.send_signal(orders["stop_signal"])
        deadline = time.monotonic() + orders["grace_s"]
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    code = child.wait(10)
    for path in orders["remove"]:
        shutil.rmtree(path, ignore_errors=True)
    return code if code >= 0 else 128 - code


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


if __name__ == "__main__":
    sys.exit(_hold(json.loads(sys.argv[1])))
