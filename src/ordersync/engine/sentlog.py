"""The log of writes outside the database: what was sent survives a lost or restored database.

One line per send, `key TAB time TAB order TAB mark`, appended and flushed to disk before the request leaves. A key
found here but not in the database means: sent by an earlier life of this store, outcome unknown. Neither it nor
another write of the same fact to the same order (they share the mark) is sent again.
"""

from __future__ import annotations

import errno
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
        self._by_mark: dict[tuple[str, str], set[str]] = {}

    @classmethod
    def beside(cls, url: str) -> SentLog:
        """The log of a SQLite store lies beside its file."""
        name = url.removeprefix("sqlite:///")
        if name == url or not name or ":memory:" in name:
            return cls(None)
        return cls(Path(name).with_suffix(".sent.log"))

    def __contains__(self, key: str) -> bool:
        return key in self._known()

    def sends(self, key: str, target: OrderRef, token: str) -> set[str]:
        """Keys of the sends that may have been this very write: the key itself, and those with its mark there."""
        known = self._known()
        return self._by_mark.get((str(target), token), set()) | ({key} & known)

    def append(self, key: str, target: OrderRef, token: str = "") -> None:
        """On disk when this returns; StoreError when it cannot be, and then nothing may be sent."""
        if self._path is None:
            return
        line = f"{key}\t{datetime.now(UTC).isoformat(timespec='milliseconds')}\t{target}\t{token}\n".encode()
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                end = os.lseek(descriptor, 0, os.SEEK_END)
                if end and os.pread(descriptor, 1, end - 1) != b"\n":
                    line = b"\n" + line  # a line cut short by a full disk must not swallow this one
                if os.write(descriptor, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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
            self._remember(key, str(target), token)

    def _known(self) -> set[str]:
        if self._keys is None:
            self._keys = set()
            try:
                self._read()
            except OSError as failed:
                self._keys = None
                raise StoreError(
                    f"{self._path and self._path.name} cannot be read: {failed.strerror}",
                    code="sent_log_unreadable",
                    next_step="make the log of what was sent readable; nothing is sent without it",
                ) from failed
        return self._keys

    def _read(self) -> None:
        if self._path is None or not self._path.exists():
            return
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _at, target, token, *_ = [*line.rstrip("\n").split("\t"), "", "", ""]
                if key:
                    self._remember(key, target, token)

    def _remember(self, key: str, target: str, token: str) -> None:
        if self._keys is not None:
            self._keys.add(key)
        if token:
            self._by_mark.setdefault((target, token), set()).add(key)
