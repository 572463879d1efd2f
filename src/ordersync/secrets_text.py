"""Where secrets come from: `${VAR}` from the environment or the `.env` beside the configuration, and `file:`.

Substitution happens after the YAML was parsed, inside single values, so a secret can never add a key. What was
substituted is remembered, so that it can be kept out of every message.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from ordersync.errors import ConfigError
from ordersync.yaml_text import KeyPath, YamlText

MAX_SECRET_BYTES = 64 * 1024
_VARIABLE = re.compile(r"\$\$|\$\{([^}]*)\}")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


@dataclass(slots=True)
class Substitution:
    """Fills one parsed file. `folder` is the file's own; relative `file:` paths start there."""

    source: YamlText
    folder: Path
    environ: Mapping[str, str]
    seen: set[str] = field(default_factory=set)
    """Every substituted value: never to be printed."""

    def fill(self) -> Any:
        return self._fill(self.source.tree, ())

    def _fill(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        if value.startswith("file:"):
            return self._file(value.removeprefix("file:"), path)
        return _VARIABLE.sub(lambda match: self._variable(match, path), value)

    def _variable(self, match: re.Match[str], path: KeyPath) -> str:
        if match.group(0) == "$$":
            return "$"
        name = match.group(1)
        if not _NAME.match(name):
            raise self._error(path, "${…} does not hold a variable name", "write it as ${NAME}; a plain $ is $$")
        found = self.environ.get(name)
        if not found:
            state = "is not set" if found is None else "is empty"
            raise self._error(
                path,
                f"the environment variable {name} {state}",
                f"export {name}=…, or add {name}=… to {self.folder / '.env'} (mode 0600)",
                code="unset_variable",
            )
        self.seen.add(found)
        return found

    def _file(self, where: str, path: KeyPath) -> str:
        target = self.folder / where
        try:
            with target.open("rb") as opened:
                content = opened.read(MAX_SECRET_BYTES + 1)
            if len(content) > MAX_SECRET_BYTES:
                raise self._error(path, f"{target} is larger than a secret can be", "name the right file")
            text = content.decode("utf-8").strip()
        except OSError as lost:
            raise self._error(
                path, f"{target} cannot be read ({lost.strerror})", "correct the path or its permissions"
            ) from None  # the errno says it all
        except UnicodeDecodeError:
            raise self._error(path, f"{target} is not UTF-8 text", "name the right file") from None
        if not text:
            raise self._error(path, f"{target} is empty", "write the secret into it")
        self.seen.add(text)
        return text

    def _error(self, path: KeyPath, what: str, fix: str, *, code: str = "bad_secret") -> ConfigError:
        shop = str(path[1]) if len(path) > 1 and path[0] == "shops" else None
        key = ".".join(str(part) for part in path)
        return ConfigError(
            f"{self.source.name}:{self.source.line_of(path)}: {key}: {what}", code=code, shop=shop, next_step=fix
        )


def read_dotenv(path: Path) -> dict[str, str]:
    """Variables of a `.env` file, values literal (no `$` inside them is expanded); {} when there is none.

    Errors: ConfigError when others may read it, or a line is not NAME=value.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    except OSError as lost:
        raise ConfigError(
            f"{path} cannot be read ({lost.strerror})", next_step="correct its permissions"
        ) from lost
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"{path} holds keys and others on this machine may read it (mode {stat.S_IMODE(mode):04o})",
            code="open_env_file",
            next_step=f"chmod 600 {path}",
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as lost:
        raise ConfigError(
            f"{path} cannot be read ({lost.strerror})", next_step="correct its permissions"
        ) from lost
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", next_step="save it as UTF-8") from None
    found: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key and binding.value is None):
            raise ConfigError(
                f"{path}:{binding.original.line}: not a NAME=value line",
                code="broken_env_file",
                next_step="write NAME=value, or start the line with #",
            )
        if binding.key and binding.value is not None:
            found[binding.key] = binding.value
    return found
