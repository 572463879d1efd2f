"""Logs: structlog on stderr, readable on a terminal and JSON lines elsewhere, without secrets and buyer data."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

HIDDEN = "***"
_EMAIL = re.compile(r"[^\s@<>\"'(),;:=&?]{1,64}@[^\s@<>\"'(),;:=&?]{1,253}\.[A-Za-z]{2,24}")
"""Bounded as RFC 5321 bounds addresses: a long text without one costs no more than its length."""
_SECRET_KEY = re.compile(
    r"authorization|api_?key|secret|token$|password|cookie|publishable_key|^(buyer|email|phone|customer|address)",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 4
"""Shorter values would hide ordinary words."""


class Redactor:
    """A structlog processor: hides known secret values, fields that sound secret, and e-mail addresses."""

    def __init__(self, secrets: frozenset[str] = frozenset()) -> None:
        self._secrets = sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = HIDDEN if _SECRET_KEY.search(key) else self.clean(value)
        return event

    def clean(self, value: Any) -> Any:
        """The same value with secrets and e-mail addresses inside its texts hidden."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {k: HIDDEN if _SECRET_KEY.search(str(k)) else self.clean(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def text(self, value: str) -> str:
        for secret in self._secrets:
            value = value.replace(secret, HIDDEN)
        return hide_emails(value)


def hide_emails(text: str) -> str:
    return _EMAIL.sub(HIDDEN, text) if "@" in text else text


def configure_logs(
    *, debug: bool = False, secrets: frozenset[str] = frozenset(), stream: TextIO | None = None
) -> None:
    """Set up structlog for this process.

    On a terminal only warnings show (progress is printed), elsewhere one JSON line per event; `debug` shows all.
    """
    import structlog  # here, because it brings rich and pygments, and a command that logs nothing needs none of it

    out = stream or sys.stderr
    on_terminal = out.isatty()
    level = logging.DEBUG if debug else logging.WARNING if on_terminal else logging.INFO
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        if on_terminal
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if not on_terminal else _pass,
            Redactor(secrets),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def _pass(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The terminal renderer formats tracebacks itself."""
    return event
