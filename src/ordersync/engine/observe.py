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
from ordersync.errors import BrokenAnswer, MappingError, NotFound, OrdersyncError, Refused, Transient
from ordersync.model import Hold, Order, OrderRef, hold_key
from ordersync.store import Observation, Outcome, Parked, Store

FETCH_MANY = 100
"""Orders asked for in one call where the platform allows several."""
_LOOKS = 3
"""A look that another process overtook is made again: what is decided next rests on what is stored, and that must be
no older than the caller's question."""
FAILURES_IN_A_ROW = 3
"""Fetches that may fail one after another before the platform counts as unreachable."""


@dataclass(slots=True)
class Looked:
    """What looking at some orders found, by order id."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    failed: dict[str, OrdersyncError] = field(default_factory=dict)
    """Orders that could not be fetched now; their hints stay."""


def observe(store: Store, shop: Shop, order_id: str) -> Order:
    """Fetch one order now and store it; returns the order as it is.

    Errors: MappingError (it is parked), NotFound (a known order is the hold `order_vanished`), Transient,
    Unauthorized.
    """
    for _ in range(_LOOKS):
        seen = _look(store, shop, order_id)
        if store.save_observation(seen) != "stale":
            return seen.order
    raise Transient(
        f"{shop.name}:{order_id} was looked at from elsewhere meanwhile, or this machine's clock was put back",
        code="look_overtaken",
        shop=shop.name,
        order=order_id,
        operation="fetch",
        next_step="run the same command again",
    )


def _look(store: Store, shop: Shop, order_id: str) -> Observation:
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
    return seen


def observe_many(store: Store, shop: Shop, order_ids: Sequence[str]) -> Looked:
    """Fetch these orders and store them, in batches where the platform allows it.

    An order that a batch does not bring is asked for by itself before it counts as vanished. An order that cannot be
    fetched is in `failed` and the others go on; after several failures in a row the last one is raised, as is
    Unauthorized. What was fetched until then is stored.
    """
    looked = Looked()
    for start in range(0, len(order_ids), FETCH_MANY):
        batch = order_ids[start : start + FETCH_MANY]
        missing = list(batch)
        if "fetch_many" in shop.capabilities:
            try:
                raws = cast(CanFetchMany, shop.connector).fetch_many(batch)
            except BrokenAnswer:
                raws = ()  # one order may spoil the answer for all: they are asked for one by one
            came = {raw.order_id for raw in raws}
            _save(store, shop, raws, looked)
            missing = [order_id for order_id in batch if order_id not in came]
        _observe_each(store, shop, missing, looked)
    return looked


def _observe_each(store: Store, shop: Shop, order_ids: Sequence[str], looked: Looked) -> None:
    in_a_row = 0
    for order_id in order_ids:
        try:
            raw = shop.connector.fetch(order_id)
        except NotFound:
            _vanished(store, OrderRef(shop.name, order_id))
            looked.vanished.append(order_id)
        except MappingError as unclear:
            # The connector itself cannot take it (too large to keep): held without its payload.
            store.park(_parked(shop, order_id, unclear, raw=None, sent_at=datetime.now(UTC)))
            looked.parked.append(order_id)
        except (Transient, Refused) as failed:
            looked.failed[order_id] = failed
            in_a_row += 1
            if in_a_row >= FAILURES_IN_A_ROW:
                raise
            continue
        else:
            _save(store, shop, [raw], looked)
        in_a_row = 0


def read_payload(shop: Shop, raw: RawOrder) -> Observation | Parked:
    """Normalise one payload; what cannot be understood comes back as `Parked`, with its payload scrubbed."""
    try:
        normalised = shop.normalise(raw)
    except MappingError as unclear:
        return _parked(shop, raw.order_id, unclear, raw=shop.scrub(raw), sent_at=raw.sent_at)
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


def _parked(shop: Shop, order_id: str, why: MappingError, *, raw: bytes | None, sent_at: datetime) -> Parked:
    return Parked(
        shop=shop.name,
        order_id=order_id,
        code=why.code,
        message=why.message,
        path=why.path,
        raw=raw,
        sent_at=sent_at,
    )


def vanished_hold(ref: OrderRef) -> Hold:
    return Hold(
        key=hold_key("order_vanished", f"order:{ref}"),
        code="order_vanished",
        subject=f"order:{ref}",
        message=f"{ref.shop} says that order {ref.order_id} does not exist (any more); what is known of it is kept",
        next_steps=(
            "look for it in the shop's admin; the hold closes by itself when the shop has the order again",
            f"see what is known: ordersync orders show {ref}",
        ),
        sticky=True,
        target=ref,
    )


def _vanished(store: Store, ref: OrderRef) -> None:
    store.vanished(ref, vanished_hold(ref), datetime.now(UTC))


def _save(store: Store, shop: Shop, raws: Sequence[RawOrder], looked: Looked) -> None:
    seen = [read_payload(shop, raw) for raw in raws]
    observations = [one for one in seen if isinstance(one, Observation)]
    parked = [one for one in seen if isinstance(one, Parked)]
    outcomes = store.save_observations(observations, parked)
    looked.outcomes.update(zip((one.order.order_id for one in observations), outcomes, strict=True))
    looked.parked += [one.order_id for one in parked]
