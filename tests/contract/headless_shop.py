"""A headless sandbox on loopback with a connector on it, for the contract tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import stamina
from ordersync_connectors.headless import HeadlessConnector
from ordersync_connectors.headless.sandbox import HeadlessSandbox
from ordersync_connectors.headless.settings import HeadlessSettings

from ordersync.testing.sandbox import Request, SandboxServer

NOW = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)


@dataclass
class HeadlessShop:
    sandbox: HeadlessSandbox
    server: SandboxServer
    connector: HeadlessConnector
    connect: Callable[..., HeadlessConnector]
    """Another connector on the same sandbox, with other settings."""

    @property
    def secrets(self) -> tuple[str, str]:
        return (self.sandbox.secret_key, self.sandbox.publishable_key)

    def one(self, method: str, path: str = ".*") -> Request:
        """The only such request the shop got."""
        [request] = self.sandbox.requests(method, path)
        return request


@contextmanager
def headless_shop(**unknowns: Any) -> Iterator[HeadlessShop]:
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        sandbox = HeadlessSandbox(**{"now": lambda: NOW, **unknowns})
        server = stack.enter_context(SandboxServer(sandbox))

        def connect(**settings: Any) -> HeadlessConnector:
            config = {**sandbox.settings_for(server), **settings}
            connector = HeadlessConnector("web", HeadlessSettings.model_validate(config))
            stack.callback(connector.close)
            return connector

        yield HeadlessShop(sandbox, server, connect(), connect)
