"""Medusa 2.x admin API, and the "Medusa-style admin" dialect of it."""

from ordersync_connectors.medusa.connector import MedusaConnector

__all__ = ["MedusaConnector"]
