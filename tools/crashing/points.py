"""The points at which a process can die, counted as they are passed, and the one at which it does.

A point lies before and after every commit that changed the store, every line of the log of sends, and every HTTP
request that is sent; around a request that only reads, only where asked for (`reads`): it changes nothing, so dying
there is dying between the two points around it. The process kills (or stops) itself there with a real signal, so
that nothing of it runs on: no `finally`, no `atexit`, no flush.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.engine.default import DefaultDialect

from ordersync.engine.sentlog import SentLog
from ordersync.model import OrderRef

_ID = re.compile(r"/(?:[0-9]{6,}|[a-z]+_[0-9A-Za-z]+)(?=/|$)")
"""A platform's id in a path: labels must not differ from run to run."""
_LINE_BYTES = 4096


class Points:
    """Counts points into a file, and strikes at the wanted one."""

    def __init__(self, log: Path, strike_at: int | None, strike: signal.Signals, *, reads: bool) -> None:
        self.reads = reads
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._strike_at = strike_at
        self._strike = strike
        self._passed = 0
        self._lock = threading.Lock()

    def reach(self, label: str) -> None:
        with self._lock:
            self._passed += 1
            os.write(self._log, f"{label}\n".encode()[:_LINE_BYTES])
            if self._passed == self._strike_at:
                os.kill(os.getpid(), self._strike)

    def around(self, label: str, act: Callable[[], Any]) -> Any:
        self.reach(f"before {label}")
        result = act()
        self.reach(f"after {label}")
        return result


def install(points: Points) -> None:
    """Put the points into this process; it lives for one command only."""
    _around_commits(points)
    _around_requests(points)
    _around_the_log(points)


def _around_commits(points: Points) -> None:
    commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit
    changes: dict[int, int] = {}

    def do_commit(self: DefaultDialect, connection: Any) -> None:
        """A transaction that only read leaves nothing to be torn."""
        driver = connection.driver_connection
        changed = driver.total_changes
        if changes.get(id(driver), 0) == changed:
            commit(self, connection)
            return
        changes[id(driver)] = changed
        points.around(f"commit of {_storing()}", lambda: commit(self, connection))

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # the one door of every commit


def _around_requests(points: Points) -> None:
    send = httpx.HTTPTransport.handle_request

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and not points.reads:
            return send(self, request)
        label = f"{request.method} {_ID.sub('/ID', request.url.path)}"
        response: httpx.Response = points.around(label, lambda: send(self, request))
        return response

    httpx.HTTPTransport.handle_request = handle_request  # type: ignore[method-assign]  # the one door of every send


def _around_the_log(points: Points) -> None:
    append = SentLog.append

    def logged(self: SentLog, key: str, target: OrderRef, token: str = "") -> None:
        points.around("line in sent.log", lambda: append(self, key, target, token))

    SentLog.append = logged  # type: ignore[method-assign]  # what is sent is known outside the store too


def _storing() -> str:
    """Which of the store's methods commits."""
    frame = sys._getframe(2)
    name = "?"
    while frame is not None and frame.f_back is not None:
        file = frame.f_code.co_filename
        if "/ordersync/store/" in file and not file.endswith("database.py"):
            name = frame.f_code.co_name
        elif name != "?":
            break
        frame = frame.f_back
    return name
