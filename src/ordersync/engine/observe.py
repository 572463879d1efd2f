"""Looking at orders: fetch, normalise, store. Every road to the store's orders leads through here.

A payload that cannot be normalised is parked with its hold and the others go on; an order that a platform no longer
has is a hold, and what is known of it stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from ordersync.connector import CanFetchMany, RawOrder
from ordersync.engine.shops import Shop
from ordersync.errors import MappingError, NotFound
from ordersync.model import Hold, Order, OrderRef, hold_key
from ordersync.store import Observation, Outcome, Parked, Store

FETCH_MANY = 100
"""Orders asked for in one call where the platform allows several."""


@dataclass(slots=True)
class Looked:
    """What looking at some orders found, as order ids."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)


def observe(store: Store, shop: Shop, order_id: str) -> Order:
    """Fetch one order now and store it; returns the order as it is.

    Errors: MappingError (it is parked), NotFound (a known order is the hold `order_vanished`), Transient,
    Unauthorized.
    """
    try:
        raw = shop.connector.fetch(order_id)
    except NotFound:
        _vanished(store, OrderRef(shop.name, order_id))
        raise
    seen = read_payload(shop, raw)
    if isinstance(seen, Parked):
        store.park(seen)
        raise MappingError(
            seen.message,
            code=seen.code,
            path=seen.path,
            shop=shop.name,
            order=order_id,
            next_step=f"it is parked; see: ordersync orders show {seen.ref}",
        )
    _save(store, seen)
    return seen.order


def observe_many(store: Store, shop: Shop, order_ids: Sequence[str]) -> Looked:
    """Fetch these orders and store them, in batches where the platform allows it.

    An order that a batch does not bring is asked for by itself before it counts as vanished. Errors: Transient and
    Unauthorized end it; what was fetched until then is stored.
    """
    looked = Looked()
    for start in range(0, len(order_ids), FETCH_MANY):
        batch = order_ids[start : start + FETCH_MANY]
        missing = list(batch)
        if "fetch_many" in shop.capabilities:
            for raw in cast(CanFetchMany, shop.connector).fetch_many(batch):
                _look(store, shop, raw, looked)
                if raw.order_id in missing:
                    missing.remove(raw.order_id)
        for order_id in missing:
            try:
                raw = shop.connector.fetch(order_id)
            except NotFound:
                _vanished(store, OrderRef(shop.name, order_id))
                looked.vanished.append(order_id)
                continue
            _look(store, shop, raw, looked)
    return looked


def read_payload(shop: Shop, raw: RawOrder) -> Observation | Parked:
    """Normalise one payload; what cannot be understood comes back as `Parked`, with its payload scrubbed."""
    try:
        normalised = shop.normalise(raw)
    except MappingError as unclear:
        return Parked(
            shop=shop.name,
            order_id=raw.order_id,
            code=unclear.code,
            message=unclear.message,
            path=unclear.path,
            raw=shop.scrub(raw),
            sent_at=raw.sent_at,
        )
    if normalised.order.ref != (shop.name, raw.order_id):
        return Parked(
            shop=shop.name,
            order_id=raw.order_id,
            code="another_id",
            message="the payload names another order than the one it came for",
            path=None,
            raw=normalised.raw,
            sent_at=raw.sent_at,
        )
    return Observation(
        order=normalised.order,
        raw=normalised.raw,
        sent_at=raw.sent_at,
        partial=raw.partial,
        raw_digest=hashlib.sha256(raw.payload).digest(),
        mapping_version=shop.mapping_version,
    )


def vanished_hold(ref: OrderRef) -> Hold:
    return Hold(
        key=_vanished_key(ref),
        code="order_vanished",
        subject=f"order:{ref}",
        message=f"{ref.shop} says that order {ref.order_id} does not exist (any more); what is known of it is kept",
        next_steps=(
            f"look for it in the shop's admin; if it is there again: ordersync orders show {ref} --fresh",
            f"see what is known: ordersync orders show {ref}",
        ),
        sticky=True,
        target=ref,
    )


def _vanished_key(ref: OrderRef) -> str:
    return hold_key("order_vanished", f"order:{ref}")


def _look(store: Store, shop: Shop, raw: RawOrder, looked: Looked) -> None:
    seen = read_payload(shop, raw)
    if isinstance(seen, Parked):
        store.park(seen)
        looked.parked.append(raw.order_id)
    else:
        looked.outcomes[raw.order_id] = _save(store, seen)


def _save(store: Store, seen: Observation) -> Outcome:
    outcome = store.save_observation(seen)
    store.close_hold(_vanished_key(seen.order.ref), datetime.now(UTC), "the platform has the order again")
    return outcome


def _vanished(store: Store, ref: OrderRef) -> None:
    """Only a known order can vanish; one that was never read is simply not there."""
    if store.order(ref) is not None or store.parked(ref):
        store.open_hold(vanished_hold(ref), datetime.now(UTC))
    store.forget_hint(ref)
