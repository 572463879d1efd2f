"""The real `ordersync` executable in a process of its own, and a sandbox it can talk to. Everything is bounded."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXECUTABLE = Path(sys.executable).with_name("ordersync")
SECRET_KEYS = ("token", "api_key", "publishable_key")


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def failed(self, code: int, *words: str) -> Ended:
        """A named error: this exit code, every word in it, a next step, nothing of it a traceback."""
        assert self.code == code, f"exit {self.code}, not {code}\n{self.out}\n{self.err}"
        # Lines are wrapped at 80 columns; words are looked for in the unwrapped text.
        said = " ".join(self.err.split())
        for word in words:
            assert word in said, f"{word!r} is not in: {said}"
        assert "next: " in said
        return self


@dataclass(slots=True)
class Cli:
    """Runs commands with one configuration; no output may ever hold a traceback or one of `secrets`."""

    config: Path | None = None
    folder: Path | None = None
    secrets: frozenset[str] = frozenset()
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, timeout_s: float = 60) -> Ended:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ORDERSYNC_")}
        if self.config is not None:
            environ["ORDERSYNC_CONFIG"] = str(self.config)
        done = subprocess.run(
            [str(EXECUTABLE), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env={**environ, "COLUMNS": "80", **self.environ},
            timeout=timeout_s,
            check=False,
        )
        for stream in (done.stdout, done.stderr):
            assert "Traceback" not in stream, stream
            for secret in self.secrets:
                assert secret not in stream, "a secret was printed"
        assert done.returncode in (0, 1, 2, 3), f"exit {done.returncode}: {done.stderr}"
        return Ended(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> Ended:
        ended = self(*arguments)
        assert ended.code == 0, f"exit {ended.code}\n{ended.out}\n{ended.err}"
        return ended


@dataclass(frozen=True, slots=True)
class Shops:
    """A running `ordersync sandbox`."""

    by_name: dict[str, dict[str, Any]]
    config: Path

    @property
    def secrets(self) -> frozenset[str]:
        settings = [shop["settings"] for shop in self.by_name.values()]
        return frozenset(one[key] for one in settings for key in SECRET_KEYS if key in one)

    def cli(self, folder: Path, **changes: Any) -> Cli:
        """A command line with a configuration and a store of its own for these shops.

        `changes` replace top-level keys of the configuration; `shops` there changes keys of named shops.
        """
        import yaml

        body = yaml.safe_load(self.config.read_text())
        for shop, keys in changes.pop("shops", {}).items():
            body["shops"][shop] |= keys
        only = changes.pop("only", None)
        body |= {"store": "sqlite:///own.db", **changes}
        if only is not None:
            body["shops"] = {name: body["shops"][name] for name in only}
            body["links"] = []
        path = folder / "ordersync.yaml"
        path.write_text(yaml.safe_dump(body, sort_keys=False))
        return Cli(path, folder, self.secrets)

    def origin(self, name: str) -> str:
        url: str = self.by_name[name]["base_url"]
        return "/".join(url.split("/")[:3])

    def log(self, name: str) -> list[dict[str, Any]]:
        """Every request the shop has received."""
        found: list[dict[str, Any]] = _http(f"{self.origin(name)}/_sandbox/log")["requests"]
        return found

    def fault(self, name: str, **fault: Any) -> None:
        _http(f"{self.origin(name)}/_sandbox/faults", fault)

    def clear_faults(self, name: str) -> None:
        _http(f"{self.origin(name)}/_sandbox/faults", method="DELETE")


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Shops]:
    """Start `ordersync sandbox`, wait for its one line, and end it with SIGTERM; it must end well."""
    config = folder / "sandbox.yaml"
    process = subprocess.Popen(
        [str(EXECUTABLE), "sandbox", "--json", "--config-out", str(config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline() if ready else ""
        assert line, (
            f"the sandbox did not start: {process.stderr.read() if process.poll() and process.stderr else ''}"
        )
        yield Shops({shop["name"]: shop for shop in json.loads(line)["shops"]}, config)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=20)
        assert (process.returncode, rest, errors) == (0, "", "")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=20)


def _http(url: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method or ("POST" if data else "GET"))
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())
