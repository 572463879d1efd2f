"""Runs: when a command worked on the store, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert, select, update

from ordersync.store.part import Part
from ordersync.store.records import Run
from ordersync.store.tables import RUNS


class Runs(Part):
    def run_started(self, kind: str, now: datetime) -> int:
        """The run's id, for `run_finished`."""
        with self.db.write() as connection:
            made = connection.execute(insert(RUNS).values(kind=kind, started_at=now))
        assert made.inserted_primary_key is not None
        return int(made.inserted_primary_key[0])

    def run_finished(
        self, run_id: int, now: datetime, outcome: str, figures: Mapping[str, str | int] | None = None
    ) -> None:
        text = json.dumps(dict(figures or {}), sort_keys=True, ensure_ascii=False)
        with self.db.write() as connection:
            connection.execute(
                update(RUNS).where(RUNS.c.id == run_id).values(finished_at=now, outcome=outcome, figures=text)
            )

    def last_run(self, kind: str, finished: bool = True) -> Run | None:
        query = select(RUNS).where(RUNS.c.kind == kind).order_by(RUNS.c.id.desc()).limit(1)
        if finished:
            query = query.where(RUNS.c.finished_at.is_not(None))
        with self.db.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return Run(row.id, row.kind, row.started_at, row.finished_at, row.outcome, json.loads(row.figures or "{}"))
