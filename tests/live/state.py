"""How the runner tells the tests which server it started: a file only its owner can read, named by a variable."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.live.back_office import Opened
from tests.live.medusa_server import MedusaServer

VARIABLE = "ORDERSYNC_LIVE_STATE"
RECORD = "ORDERSYNC_LIVE_RECORD"
"""Set by `make live LIVE=--record` alone."""


@dataclass(frozen=True, slots=True)
class Live:
    server: MedusaServer
    opened: Opened
    seeded: dict[str, str]
    """Order ids by what happened to each; tests only read these."""

    def save(self, path: Path) -> None:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls) -> Live:
        saved = json.loads(Path(os.environ[VARIABLE]).read_text())
        return cls(MedusaServer(**saved["server"]), Opened(**saved["opened"]), saved["seeded"])
