"""Who holds a lease: a process of this machine, named so that another one can tell whether it still lives.

A killed process cannot give back its leases. Whoever comes next on the same machine sees that it is gone and need not
wait for the lease to end. Where that cannot be seen (another machine or container, no /proc) the end is waited for.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
"""Numbers of processes mean something only within one namespace of one boot."""
_STARTED = 19
"""Place of the start time in /proc/PID/stat, counted after the name (proc(5): field 22)."""


def new_owner() -> str:
    """A name of this process, another one at each call."""
    pid = os.getpid()
    return f"{_room()}//{pid}/{_started(pid) or '?'}/{secrets.token_hex(8)}"


def lives(owner: str) -> bool | None:
    """Whether the process of that name is still there; None when that cannot be known from here."""
    room, _, about = owner.rpartition("//")
    pid, _, rest = about.partition("/")
    started = rest.partition("/")[0]
    if not room or room != _room() or not pid.isdecimal() or not started.isdecimal():
        return None
    return _started(int(pid)) == started


def process_number(owner: str) -> str:
    """The PID in a name, for a person who has to end that process."""
    return owner.rpartition("//")[2].partition("/")[0]


def _room() -> str:
    """Boot and namespace; empty where the system does not tell."""
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()}/{_NAMESPACE.readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When the process began, in ticks since the boot; None when it is not there or only its end is still noted."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(") ")[2].split()
    return None if state in ("Z", "X") else fields[_STARTED - 1]
