"""A loopback proxy between a connector and its platform: the faults that a real server cannot be asked for.

It forwards every request to one origin and its answer back, keeps a log, and strikes where it is told to: the fault
kinds of every sandbox, an answer of its own before the platform is asked, or the platform's answer changed on the way
back. Addresses of the origin inside answers are rewritten, so that links lead back here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

import httpx

from ordersync.testing.sandbox import Reply, Request, Sandbox

_NOT_PASSED_ON = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "transfer-encoding",
        "host",
        "accept-encoding",
    }
)
Before = Callable[[Request], Reply]
After = Callable[[Request, Reply], Reply]


@dataclass(slots=True)
class Turn:
    """What happens to the next `times` requests whose method and path match: `before` answers instead of the
    platform, `after` changes what it answered."""

    before: Before | None = None
    after: After | None = None
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    skip: int = 0
    """So many matching requests pass first."""


class FaultProxy(Sandbox):
    """Serve it with `SandboxServer`. `origin` is scheme, host and port of the platform, without a path."""

    platform: ClassVar[str] = "proxy"

    def __init__(self, origin: str, *, timeout_s: float = 60.0) -> None:
        super().__init__()
        self.origin = origin.rstrip("/")
        self._turns: list[Turn] = []
        self._upstream = httpx.Client(base_url=self.origin, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        self._upstream.close()

    def add_turn(self, turn: Turn) -> None:
        with self.lock:
            self._turns.append(turn)

    def answer_with(
        self,
        status: int,
        body: object = None,
        *,
        method: str = ".*",
        path: str = ".*",
        times: int = 1,
        **headers: str,
    ) -> None:
        """Answer so instead of asking the platform. `headers` with underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.add_turn(Turn(lambda _: Reply(status, body, dict(named)), None, method, path, times))

    def clear(self) -> None:
        """No fault, no turn and no log is left."""
        with self.lock:
            self.faults.clear()
            self._turns.clear()
            self.log.clear()

    @property
    def writes(self) -> list[Request]:
        """Requests that may change something, since the last `clear`."""
        return self.requests(r"(?!GET|HEAD).*")

    def _dispatch(self, request: Request) -> Reply:
        turn = self._take_turn(request)
        if turn is not None and turn.before is not None:
            return turn.before(request)
        reply = self._forward(request)
        return turn.after(request, reply) if turn is not None and turn.after is not None else reply

    def _take_turn(self, request: Request) -> Turn | None:
        for turn in self._turns:
            if re.fullmatch(turn.method, request.method) and re.search(turn.path, request.path):
                if turn.skip > 0:
                    turn.skip -= 1
                    return None
                turn.times -= 1
                if turn.times <= 0:
                    self._turns.remove(turn)
                return turn
        return None

    def _forward(self, request: Request) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON}
        query = f"?{urlencode(request.query)}" if request.query else ""
        try:
            answer = self._upstream.request(
                request.method, request.path + query, content=request.body or None, headers=headers
            )
        except httpx.HTTPError as lost:
            return Reply(502, {"message": f"the platform behind the proxy did not answer: {type(lost).__name__}"})
        here = f"http://{request.headers.get('host', '')}"
        passed = {
            name.title(): value.replace(self.origin, here)
            for name, value in answer.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        }
        content_type = passed.pop("Content-Type", "application/json; charset=utf-8")
        body = answer.content.replace(self.origin.encode(), here.encode())
        return Reply(answer.status_code, body, passed, content_type)
