"""Headless Commerce: connector, sandbox and what is known about the platform (README.md)."""

from ordersync_connectors.headless.connector import HeadlessConnector

__all__ = ["HeadlessConnector"]
