"""The log of writes outside the database: what was sent survives a lost or restored database.

One line per send, `key TAB time TAB order`, appended and flushed to disk before the request leaves. A key found
here but not in the database means: sent by an earlier life of this store, outcome unknown. It is never sent again.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from ordersync.errors import StoreError
from ordersync.model import OrderRef


class SentLog:
    """`path=None` keeps nothing on disk (an in-memory store)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys: set[str] | None = None

    @classmethod
    def beside(cls, url: str) -> SentLog:
        """The log of a SQLite store lies beside its file."""
        name = url.removeprefix("sqlite:///")
        if name == url or not name or ":memory:" in name:
            return cls(None)
        return cls(Path(name).with_suffix(".sent.log"))

    def __contains__(self, key: str) -> bool:
        if self._keys is None:
            self._keys = self._read()
        return key in self._keys

    def append(self, key: str, target: OrderRef) -> None:
        """On disk when this returns; StoreError when it cannot be, and then nothing may be sent."""
        if self._path is None:
            return
        line = f"{key}\t{datetime.now(UTC).isoformat(timespec='milliseconds')}\t{target}\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as failed:
            raise StoreError(
                f"{self._path.name} cannot be written: {failed.strerror}",
                code="sent_log_unwritable",
                next_step="make the folder of the store writable; nothing was sent",
            ) from failed
        if self._keys is not None:
            self._keys.add(key)

    def _read(self) -> set[str]:
        if self._path is None or not self._path.exists():
            return set()
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            return {line.split("\t", 1)[0] for line in lines if line.strip()}
