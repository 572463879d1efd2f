"""A shop as the engine sees it: its connector, what it can do, and how its payloads become orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ordersync.connector import Connector, RawOrder, Semantics
from ordersync.model import Order


class Normalised(NamedTuple):
    order: Order
    raw: bytes
    """The payload as JSON without its secret fields: what may go to disk."""


@dataclass(frozen=True, slots=True)
class Shop:
    name: str
    connector: Connector
    capabilities: frozenset[str]
    """Calls the connector has and the configuration allows."""
    semantics: Semantics
    normalise: Callable[[RawOrder], Normalised]
    """MappingError when the payload cannot be normalised: the order is parked, others go on."""


Shops = Mapping[str, Shop]
