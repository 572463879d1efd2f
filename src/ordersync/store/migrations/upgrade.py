"""Runs alembic on an open connection: forward only, inside the caller's transaction."""

from __future__ import annotations

from importlib.resources import files

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from ordersync.store.tables import METADATA


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(files("ordersync.store") / "migrations"))
    return ScriptDirectory.from_config(config)


def upgrade(connection: Connection, target: str) -> None:
    """Run every migration after the stored version up to `target`."""
    scripts = script()

    def steps(revision: object, _context: object) -> object:
        return scripts._upgrade_revs(target, revision)  # type: ignore[arg-type]  # alembic's own command does this

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=connection,
            target_metadata=METADATA,
            render_as_batch=True,
            transactional_ddl=False,
        )
        environment.run_migrations()
