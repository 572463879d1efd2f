"""Opening the database, its transactions, and turning its errors into `StoreError`s a person can act on.

Writers take the write lock when they begin (BEGIN IMMEDIATE): two processes never discover in the middle that they
both want to write. Every commit reaches the disk before it returns (synchronous=FULL), because an intent that is
forgotten after a crash could pay a buyer twice.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import StaticPool

from ordersync.errors import StoreError
from ordersync.store.migrations import CURRENT
from ordersync.store.tables import META, METADATA, instant_text

BUSY_TIMEOUT_S = 10.0
_WRITING = "ordersync_writing"


class Database:
    """One SQLite file (or `sqlite://` in memory). Threads may share it; each transaction is its own connection."""

    def __init__(self, url: str, *, create: bool, now: datetime, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        parsed = _parsed(url)
        self.path = None if parsed.database in (None, "", ":memory:") else Path(parsed.database or "")
        self.name = str(self.path or "the store in memory")
        # A memory database is one connection, so readers wait too; for a file this only spares writers of one
        # process the polling of SQLite's busy timeout.
        self._writing = threading.RLock()
        if self.path is not None:
            _prepare_file(self.path, create=create)
        self.engine = _engine(parsed, busy_timeout_s, in_memory=self.path is None)
        try:
            self._bring_up(create=create, now=now)
        except BaseException:
            self.engine.dispose()
            raise

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database. StoreError when it cannot be read."""
        with self._memory_turn(), self._translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first statement; all of it is stored, or nothing."""
        with self._writing, self._translated(), self.engine.connect() as plain:
            connection = plain.execution_options(**{_WRITING: True})
            with connection.begin():
                yield connection

    @contextmanager
    def _memory_turn(self) -> Iterator[None]:
        if self.path is not None:
            yield
            return
        with self._writing:
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _store_error(self.name, str(error.orig)) from error

    def _bring_up(self, *, create: bool, now: datetime) -> None:
        """Make or migrate the schema where needed; a store that is current costs one small read."""
        with self.read() as connection:
            version = _version(connection, self.name)
        if version == CURRENT:
            return
        if version is None and not create:
            raise StoreError(f"{self.name} is empty", code="store_missing", next_step="run: ordersync pull")
        with self.write() as connection:
            version = _version(connection, self.name)
            if version is None:
                METADATA.create_all(connection)
                connection.execute(
                    text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
                )
                connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": CURRENT})
                connection.execute(insert(META).values(key="birth_at", value=instant_text(now)))
            elif version != CURRENT:
                # Imported here: alembic takes a tenth of a second, and almost every start needs none of it.
                from ordersync.store.migrations.upgrade import upgrade

                upgrade(connection, CURRENT)

    def birth_at(self) -> datetime:
        with self.read() as connection:
            value = connection.execute(select(META.c.value).where(META.c.key == "birth_at")).scalar_one()
        return datetime.fromisoformat(value)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            "the store's URL cannot be read", code="store_url", next_step="write store: sqlite:///ordersync.db"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(
            f"a store of kind {parsed.get_backend_name()!r} is not supported",
            code="store_url",
            next_step="write store: sqlite:///ordersync.db",
        )
    return parsed


def _prepare_file(path: Path, *, create: bool) -> None:
    """Create the file for its owner only; -wal and -shm take their mode from it."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder", code="store_unusable", next_step="name a file in store:")
    if not path.exists():
        if not path.parent.is_dir():
            raise StoreError(
                f"the folder {path.parent} of the store does not exist",
                code="store_unusable",
                next_step=f"make it: mkdir -p {path.parent}",
            )
        if not create:
            raise StoreError(
                f"there is no store at {path} yet", code="store_missing", next_step="run: ordersync pull"
            )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            if file.exists() and file.stat().st_mode & 0o077:
                file.chmod(0o600)
    except OSError as error:
        raise _store_error(str(path), f"readonly: {error.strerror}") from error


def _use_wal(cursor: sqlite3.Cursor, patience_s: float) -> None:
    """Switching a new file to WAL needs it alone, and SQLite answers "locked" there without its busy timeout."""
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up_at:
                raise
        time.sleep(0.01)


def _engine(url: URL, busy_timeout_s: float, *, in_memory: bool) -> Engine:
    """An engine whose transactions SQLAlchemy begins itself (its documented recipe for pysqlite)."""
    pool: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {}
    engine = create_engine(
        url,
        connect_args={"timeout": busy_timeout_s, "check_same_thread": False},
        hide_parameters=True,  # an error's text must not carry an order's data
        **pool,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        if not in_memory:
            _use_wal(cursor, busy_timeout_s)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(_WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _version(connection: Connection, name: str) -> str | None:
    """The schema's number; None for an empty database. StoreError for a foreign or a newer one."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    version = None
    if "alembic_version" in tables and META.name in tables:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if version is None:
        raise StoreError(
            f"{name} is a database of something else",
            code="store_foreign",
            next_step="name another file in store: (nothing was changed in this one)",
        )
    if not version.isdigit() or int(version) > int(CURRENT):
        raise StoreError(
            f"{name} was written by a newer ordersync (schema {version}, this one knows {CURRENT})",
            code="store_newer",
            next_step="use the newer ordersync again, or name another file in store:",
        )
    return str(version)


_MEANINGS: tuple[tuple[str, str, str, str], ...] = (
    (
        "locked",
        "store_locked",
        "is being written by another process",
        "wait for it to end, then run the command again",
    ),
    (
        "busy",
        "store_locked",
        "is being written by another process",
        "wait for it to end, then run the command again",
    ),
    (
        "readonly",
        "store_readonly",
        "cannot be written",
        "let this user write the file and its folder, or name another file in store:",
    ),
    (
        "unable to open",
        "store_readonly",
        "cannot be opened",
        "let this user write the file and its folder, or name another file in store:",
    ),
    (
        "not a database",
        "store_foreign",
        "is not a database",
        "name another file in store: (this one was not changed)",
    ),
    ("malformed", "store_damaged", "is damaged", "restore a backup; the platforms are asked again from there"),
    ("disk is full", "store_full", "has no space left on its disk", "free some space, then run the command again"),
    ("no space", "store_full", "has no space left on its disk", "free some space, then run the command again"),
)


def _store_error(name: str, said: str) -> StoreError:
    lower = said.lower().replace("read-only", "readonly")
    for word, code, meaning, step in _MEANINGS:
        if word in lower:
            return StoreError(f"{name} {meaning}", code=code, next_step=step)
    return StoreError(
        f"{name}: {said}", code="store_failed", next_step="check the disk, then run the command again"
    )
