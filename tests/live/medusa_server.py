"""A private Medusa on loopback: its own database, its own secrets, its own folder, all gone at the end."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.live.leash import Leash
from tests.live.postgres import NotStarted, Postgres, free_port

CONFIG = Path(__file__).with_name("medusa")
_MIGRATE_WITHIN_S = 180
_START_WITHIN_S = 90


@dataclass(frozen=True, slots=True)
class MedusaServer:
    origin: str
    email: str
    password: str = field(repr=False)

    def login(self) -> str:
        """A JWT of the one admin. Only the server that this run started knows its password."""
        body = {"email": self.email, "password": self.password}
        with httpx.Client(base_url=self.origin, trust_env=False, timeout=30) as client:
            answer = client.post("/auth/user/emailpass", json=body)
        if answer.status_code != 200:
            raise NotStarted(f"another server answers at {self.origin}, or the login is broken")
        token: str = answer.json()["token"]
        return token


@contextmanager
def medusa(installed: Path, database: Postgres, folder: Path) -> Iterator[MedusaServer]:
    """A migrated, running server whose database was empty. `folder`: where it and its log live; it goes with it.

    Errors: NotStarted.
    """
    project = folder / "medusa"
    shutil.copytree(CONFIG, project)
    (project / "node_modules").symlink_to(installed / "node_modules")
    _no_telemetry(folder)
    command = ["node", project / "node_modules" / "@medusajs" / "cli" / "cli.js"]
    log = folder / "medusa.log"
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "NODE_ENV": "development",
        "MEDUSA_DISABLE_TELEMETRY": "true",
        "DATABASE_URL": database.create("medusa"),
        "JWT_SECRET": secrets.token_hex(16),
        "COOKIE_SECRET": secrets.token_hex(16),
    }
    admin = ("admin@example.com", secrets.token_hex(16))
    _run(Leash([*command, "db:migrate"], log=log, cwd=project, env=environ), "db:migrate")
    _run(Leash([*command, "user", "-e", admin[0], "-p", admin[1]], log=log, cwd=project, env=environ), "user")
    port = free_port()
    start = [*command, "start", "-H", "127.0.0.1", "-p", str(port)]
    with Leash(start, log=log, cwd=project, env=environ, remove=[folder]) as leash:
        server = MedusaServer(f"http://127.0.0.1:{port}", *admin)
        _wait(leash, server)
        server.login()
        yield server


def _no_telemetry(home: Path) -> None:
    """The variable alone stops the sending; a process of its own is still left behind at the end to do it."""
    config = home / ".config" / "medusa"
    config.mkdir(parents=True)
    (config / "config.json").write_text(json.dumps({"telemetry": {"enabled": False}}))


def _run(leash: Leash, what: str) -> None:
    if leash.finish(_MIGRATE_WITHIN_S):
        raise NotStarted(f"medusa {what} failed:\n{leash.last_words()}")


def _wait(leash: Leash, server: MedusaServer) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    with httpx.Client(base_url=server.origin, trust_env=False, timeout=2) as client:
        while leash.running and time.monotonic() < deadline:
            try:
                if client.get("/health").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise NotStarted(f"Medusa did not start:\n{leash.last_words(30)}")
