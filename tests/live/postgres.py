"""A private PostgreSQL on loopback for as long as a `with` block runs. Its data is thrown away.

with postgres(log) as server:
    url = server.create("orders")    # postgresql://postgres@127.0.0.1:PORT/orders
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.live.leash import Leash

SUPERUSER = "postgres"
_NEEDED = ("initdb", "postgres", "createdb")
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Nothing here has to survive a power cut."""
_START_WITHIN_S = 30
_TRIES = 3


class NotStarted(Exception):
    """A server did not come up; the message ends with what it printed last."""


@dataclass(frozen=True, slots=True)
class Postgres:
    port: int
    data: Path
    """Its folder; gone with it."""
    programs: Path
    log: Path

    def url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database; its URL."""
        command = [self.programs / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, database]
        made = Leash(command, log=self.log)
        if made.finish(30):
            raise NotStarted(f"database {database} could not be made:\n{made.last_words()}")
        return self.url(database)


def programs() -> Path | None:
    """The folder of the newest PostgreSQL server on this machine."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    whole = (folder for folder in folders if all((folder / name).exists() for name in _NEEDED))
    return next(whole, None)


def missing() -> str | None:
    """Why no PostgreSQL can be started here; None when one can."""
    if programs() is None:
        return "PostgreSQL's server programs (initdb, postgres, createdb) are not installed"
    if os.getuid() == 0 and not any(user.pw_name == SUPERUSER for user in pwd.getpwall()):
        return f"PostgreSQL refuses to run as root, and there is no user {SUPERUSER}"
    return None


@contextmanager
def postgres(log: Path) -> Iterator[Postgres]:
    """Errors: NotStarted."""
    where = programs()
    reason = missing()
    if where is None or reason:
        raise NotStarted(reason)
    for _ in range(_TRIES):
        leash, folder, port = _start(where, log)
        with leash:
            if port is not None:
                yield Postgres(port, folder, where, log)
                return
    raise NotStarted(f"PostgreSQL did not start:\n{leash.last_words()}")


def _start(where: Path, log: Path) -> tuple[Leash, Path, int | None]:
    """A server, its new folder, and its port; None when it did not come up (another took the port meanwhile)."""
    owner = SUPERUSER if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="ordersync-pg-", dir=_reachable() if owner else None))
    try:
        if owner:
            shutil.chown(folder, owner)
        initdb = [where / "initdb", "-A", "trust", "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = Leash([*initdb, "-D", folder / "data"], log=log, cwd=folder, user=owner)
        if made.finish(60):
            raise NotStarted(f"initdb failed:\n{made.last_words()}")
        port = free_port()
        command = [where / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder]
        settings = [part for setting in _FAST for part in ("-c", setting)]
        # SIGINT is its "fast" stop: sessions are ended, not waited for.
        stop = signal.SIGINT
        leash = Leash([*command, *settings], log=log, cwd=folder, user=owner, stop_signal=stop, remove=[folder])
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    deadline = time.monotonic() + _START_WITHIN_S
    while leash.running and time.monotonic() < deadline:
        if _ready(folder / "data" / "postmaster.pid", port):
            return leash, folder, port
        time.sleep(0.05)
    return leash, folder, None


def _reachable() -> Path | None:
    """A temporary folder that another user can reach; None leaves the choice to the system."""
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108  # mkdtemp makes its own in it
        way = (folder, *folder.parents)
        if all(part.is_dir() and part.stat().st_mode & 0o001 for part in way):
            return folder
    return None


def _ready(pid_file: Path, port: int) -> bool:
    """The eighth line of the server's own pid file says when it takes connections."""
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[3].strip() == str(port) and lines[7].strip() == "ready"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0
