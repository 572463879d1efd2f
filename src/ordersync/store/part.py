"""What every part of the store shares: the database."""

from __future__ import annotations

from ordersync.store.database import Database


class Part:
    db: Database
