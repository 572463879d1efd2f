"""Medusa from npm, once per version: into a folder of its own below `.live/`, which is not part of the repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.leash import Leash

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".live"
MANIFEST = Path(__file__).with_name("medusa") / "package.json"
OLDEST_NODE = (20, 19)
_DONE = ".installed"
_ASK_WITHIN_S = 60
_INSTALL_WITHIN_S = 600
_UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_SOCKET_TIMEOUT|"
    r"FETCH_ERROR|ENOTCACHED|E403|E50[0-9])\b"
)


class NoRegistry(Exception):
    """The npm registry cannot be reached from here."""


class InstallFailed(Exception):
    """The registry answers, and yet Medusa could not be installed."""


def missing() -> str | None:
    """Why no Medusa can run here; None when it can."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return "node or npm is not installed"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if version < OLDEST_NODE:
        return f"node is {said.strip() or 'broken'}; Medusa needs {'.'.join(map(str, OLDEST_NODE))} or later"
    return None


def installed() -> Path | None:
    """The folder with `node_modules`, when this version was installed before."""
    folder = _folder()
    return folder if (folder / _DONE).is_file() else None


def install(log: Path) -> Path:
    """Install unless it is done already; the folder with `node_modules`.

    Errors: NoRegistry, InstallFailed, TimeoutError. What was begun and not ended is begun anew.
    """
    with _alone(CACHE / "install.lock"):
        folder = _folder()
        if (folder / _DONE).is_file():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(MANIFEST, folder)
        _ask(log, folder)
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
        environ = {**os.environ, "MEDUSA_DISABLE_TELEMETRY": "true"}
        leash = Leash(["npm", "install", *quiet], log=log, cwd=folder, env=environ)
        if leash.finish(_INSTALL_WITHIN_S):
            raise InstallFailed(f"npm install failed:\n{leash.last_words()}")
        (folder / _DONE).touch()
        return folder


def _ask(log: Path, folder: Path) -> None:
    """Whether the registry answers at all: the one failure that is not ours."""
    leash = Leash(["npm", "view", "@medusajs/medusa@2.21.2", "version", "--fetch-retries=1"], log=log, cwd=folder)
    try:
        failed = leash.finish(_ASK_WITHIN_S)
    except TimeoutError as slow:
        raise NoRegistry(f"the npm registry did not answer within {_ASK_WITHIN_S} s") from slow
    if failed and _UNREACHABLE.search(leash.last_words(40)):
        raise NoRegistry("the npm registry cannot be reached")
    if failed:
        raise InstallFailed(f"npm cannot say which versions there are:\n{leash.last_words()}")


def _folder() -> Path:
    return CACHE / f"medusa-{hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:12]}"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One installation at a time; a second one waits for the first and then finds it done."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
