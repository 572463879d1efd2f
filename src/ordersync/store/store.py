"""The store: everything ordersync remembers, behind one object of plain values.

Every method is one transaction. Errors of the database come out as `StoreError`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType

from ordersync.store.database import BUSY_TIMEOUT_S, Database
from ordersync.store.deciding import Deciding
from ordersync.store.feeds import Feeds
from ordersync.store.holds import Holds
from ordersync.store.journal import Journal
from ordersync.store.links import Links
from ordersync.store.manylinks import ManyLinks
from ordersync.store.orders import Orders
from ordersync.store.resolutions import Resolutions
from ordersync.store.runs import Runs
from ordersync.store.traits import TraitRows


class Store(Orders, TraitRows, Feeds, Links, ManyLinks, Deciding, Journal, Holds, Resolutions, Runs):
    """Open with `Store.open(url)`; close it, or use it as a context. Threads may share one."""

    def __init__(self, db: Database) -> None:
        self.db = db

    @classmethod
    def open(
        cls, url: str, *, create: bool = True, now: datetime | None = None, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> Store:
        """Open `sqlite:///path` (or `sqlite://`, in memory), making or migrating it as needed.

        `now` becomes the birth of a new store. Errors: StoreError with the next step: no such folder or file
        (`create=False`), not writable, not a database, somebody else's database, a newer ordersync's, locked.
        """
        return cls(Database(url, create=create, now=now or datetime.now(UTC), busy_timeout_s=busy_timeout_s))

    @property
    def path(self) -> Path | None:
        """The file; None for a store in memory."""
        return self.db.path

    @cached_property
    def birth_at(self) -> datetime:
        """When this store was made: differences older than it are not news."""
        return self.db.birth_at()

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
