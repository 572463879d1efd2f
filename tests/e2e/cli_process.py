"""The `ordersync` command line, and a sandbox in a process of its own that it can talk to. Everything is bounded.

`Cli.real` starts the installed executable, about a second each; `Cli(...)` runs the same command in this process,
so that hundreds of them stay affordable.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
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

    @property
    def database(self) -> Path:
        """The store of `Shops.cli`."""
        assert self.folder is not None
        return self.folder / "own.db"

    secrets: frozenset[str] = frozenset()
    environ: dict[str, str] = field(default_factory=dict)

    def real(self, *arguments: str, timeout_s: float = 90) -> Ended:
        """The installed executable as a process."""
        done = subprocess.run(
            [str(EXECUTABLE), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environ(),
            timeout=timeout_s,
            check=False,
        )
        return self._checked(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str) -> Ended:
        """The same command in this process."""
        from ordersync.cli import main  # noqa: F401  # hangs every command on the tree
        from ordersync.cli.app import app

        out, err = io.StringIO(), io.StringIO()
        here, stdin, environ = Path.cwd(), sys.stdin, dict(os.environ)
        os.environ.clear()
        os.environ.update(self._environ())
        os.chdir(self.folder or here)
        try:
            with open(os.devnull) as nothing, redirect_stdout(out), redirect_stderr(err):  # noqa: PTH123  # a device
                sys.stdin = nothing
                try:
                    app(list(arguments), prog_name="ordersync")
                    code: object = 0
                except SystemExit as ended:
                    code = ended.code
        finally:
            sys.stdin = stdin
            os.chdir(here)
            os.environ.clear()
            os.environ.update(environ)
        return self._checked(code, out.getvalue(), err.getvalue())

    def _environ(self) -> dict[str, str]:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ORDERSYNC_")}
        if self.config is not None:
            environ["ORDERSYNC_CONFIG"] = str(self.config)
        return {**environ, "COLUMNS": "80", **self.environ}

    def _checked(self, code: object, out: str, err: str) -> Ended:
        for stream in (out, err):
            assert "Traceback" not in stream, stream
            for secret in self.secrets:
                assert secret not in stream, "a secret was printed"
        assert code in (0, 1, 2, 3), f"exit {code}: {err}"
        assert isinstance(code, int)
        assert "fault in ordersync" not in err, err
        return Ended(code, out, err)

    def ok(self, *arguments: str) -> Ended:
        return _good(self(*arguments))

    def typed(self, *arguments: str) -> Ended:
        """By the installed executable, and it must end well."""
        return _good(self.real(*arguments))


def _good(ended: Ended) -> Ended:
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
