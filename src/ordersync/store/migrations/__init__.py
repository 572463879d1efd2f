"""Numbered, forward-only migrations. `CURRENT` is the newest; a test proves that it is alembic's head."""

CURRENT = "0005"
