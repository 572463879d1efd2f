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


def keep_no_payload(_raw: RawOrder) -> bytes | None:
    """For a shop that does not say which fields are secret: nothing unscrubbed goes to disk."""
    return None


@dataclass(frozen=True, slots=True)
class Shop:
    name: str
    connector: Connector
    capabilities: frozenset[str]
    """Calls the connector has and the configuration allows."""
    semantics: Semantics
    normalise: Callable[[RawOrder], Normalised]
    """MappingError when the payload cannot be normalised: the order is parked, others go on."""
    scrub: Callable[[RawOrder], bytes | None] = keep_no_payload
    """The payload of a parked order without its secret fields; None when it cannot be read at all."""
    mapping_version: str = ""
    """Differs whenever `normalise` could give another order for the same payload (mapping file, shape, profile).
    Empty: unknown, so every payload is normalised each time it comes."""


Shops = Mapping[str, Shop]
