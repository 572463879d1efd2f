"""A loopback proxy before a shop of the stage: answers are changed on the way back, or given without asking it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

import httpx

from ordersync.testing.sandbox import Reply, Request, Sandbox

_NOT_PASSED_ON = frozenset(
    {"connection", "content-encoding", "content-length", "date", "host", "keep-alive", "accept-encoding"}
)


@dataclass(frozen=True, slots=True)
class Turn:
    """For every request whose method matches: `before` answers instead of the shop, `after` changes its answer."""

    before: Callable[[Request], Reply] | None = None
    after: Callable[[Request, Reply], Reply] | None = None
    method: str = ".*"


class FaultProxy(Sandbox):
    """Serve it with `SandboxServer`. `origin` is scheme, host and port of the shop, without a path."""

    platform: ClassVar[str] = "proxy"

    def __init__(self, origin: str) -> None:
        super().__init__()
        self.origin = origin
        self._turns: list[Turn] = []
        self._upstream = httpx.Client(base_url=origin, timeout=60.0, trust_env=False)

    def close(self) -> None:
        self._upstream.close()

    def add_turn(self, turn: Turn) -> None:
        with self.lock:
            self._turns.append(turn)

    def clear(self) -> None:
        with self.lock:
            self._turns.clear()

    def ask_shop(self, request: Request) -> Reply:
        """The shop's true answer."""
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON}
        query = f"?{urlencode(request.query)}" if request.query else ""
        answer = self._upstream.request(
            request.method, request.path + query, content=request.body or None, headers=headers
        )
        here = f"http://{request.headers.get('host', '')}"
        passed = {
            name.title(): value.replace(self.origin, here)
            for name, value in answer.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        }
        content_type = passed.pop("Content-Type", "application/json; charset=utf-8")
        return Reply(answer.status_code, answer.content, passed, content_type)

    def _dispatch(self, request: Request) -> Reply:
        turn = next((turn for turn in self._turns if re.fullmatch(turn.method, request.method)), None)
        if turn is not None and turn.before is not None:
            return turn.before(request)
        reply = self.ask_shop(request)
        return turn.after(request, reply) if turn is not None and turn.after is not None else reply
