"""Real processes do not wait for minutes: what a store says of a doubt is dated back instead."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path


def dated_back(database: Path) -> None:
    """Every doubt was sent ten minutes ago and looked for once since; the next look is the second that counts."""
    now = datetime.now(UTC)
    sent, looked = (now - timedelta(minutes=ago) for ago in (10, 5))
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        found = connection.execute(
            "UPDATE actions SET sent_at = ?, looked_at = ? WHERE state = 'doubt'",
            (_text(sent), json.dumps([_text(looked)])),
        )
        assert found.rowcount > 0, "nothing is in doubt"


def _text(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
