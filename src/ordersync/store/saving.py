"""Writing observations: many orders in one go, inside the caller's transaction.

Every statement is one `executemany` over the whole page. Which rows to write is decided in memory from one look at
what is stored, which holds because the caller has the write lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from ordersync.model import Hold, OrderRef, hold_key
from ordersync.model.traits import reference_texts, traits_of
from ordersync.store import document, holds
from ordersync.store.links import mark_members_dirty
from ordersync.store.records import FieldChange, Observation, Outcome, Parked, Same
from ordersync.store.tables import CHANGES, DOCUMENTS, LOOK_AGAIN, ORDERS, PARKED, REFERENCES, TRAITS

_UPSERT_ORDER = upsert(ORDERS)
_UPSERT_ORDER = _UPSERT_ORDER.on_conflict_do_update(
    index_elements=["shop", "order_id"],
    set_={
        c.name: _UPSERT_ORDER.excluded[c.name]
        for c in ORDERS.c
        if c.name not in ("shop", "order_id", "first_seen_at")
    },
)
_UPSERT_DOCUMENT = upsert(DOCUMENTS)
_UPSERT_DOCUMENT = _UPSERT_DOCUMENT.on_conflict_do_update(
    index_elements=["shop", "order_id"],
    set_={name: _UPSERT_DOCUMENT.excluded[name] for name in ("canonical", "raw")},
)
_UPSERT_TRAITS = upsert(TRAITS)
_UPSERT_TRAITS = _UPSERT_TRAITS.on_conflict_do_update(
    index_elements=["shop", "order_id"],
    set_={c.name: _UPSERT_TRAITS.excluded[c.name] for c in TRAITS.c if c.name not in ("shop", "order_id")},
)
_UPSERT_MARK = upsert(LOOK_AGAIN)
_UPSERT_MARK = _UPSERT_MARK.on_conflict_do_update(
    index_elements=["shop", "order_id"],
    set_={"hinted_at": _UPSERT_MARK.excluded.hinted_at},
    where=LOOK_AGAIN.c.hinted_at < _UPSERT_MARK.excluded.hinted_at,
)
_UPSERT_PARKED = upsert(PARKED)
_UPSERT_PARKED = _UPSERT_PARKED.on_conflict_do_update(
    index_elements=["shop", "order_id"],
    set_={c.name: _UPSERT_PARKED.excluded[c.name] for c in PARKED.c if c.name not in ("shop", "order_id")},
)
_SEEN_AGAIN = (
    update(ORDERS)
    .where(ORDERS.c.shop == bindparam("b_shop"), ORDERS.c.order_id == bindparam("b_order_id"))
    .values(
        sent_at=bindparam("b_sent_at"),
        raw_digest=bindparam("b_raw_digest"),
        mapping_version=bindparam("b_mapping_version"),
    )
)
_SAME_AGAIN = (
    update(ORDERS)
    .where(
        ORDERS.c.shop == bindparam("b_shop"),
        ORDERS.c.order_id == bindparam("b_order_id"),
        ORDERS.c.sent_at < bindparam("b_sent_at"),
    )
    .values(sent_at=bindparam("b_sent_at"))
)


VANISHED = "order_vanished"
"""Code of the hold about an order the platform no longer has; it closes when the order is seen again."""


class _Known(NamedTuple):
    fingerprint: str
    raw_digest: bytes
    mapping_version: str
    sent_at: datetime


def save_all(connection: Connection, observations: Sequence[Observation], now: datetime) -> list[Outcome]:
    """Store what is newer than what is known; one outcome per observation, in their order.

    `now` is taken under the write lock: what is known from later than that was dated by a clock since put back.
    """
    outcomes: list[Outcome] = ["stale"] * len(observations)
    for shop in {observation.order.shop for observation in observations}:
        places = [place for place, seen in enumerate(observations) if seen.order.shop == shop]
        mark(connection, shop, {o.order.order_id: o.sent_at for p in places if (o := observations[p]).partial})
        newest = _newest(observations, places)
        known = _known(connection, shop, list(newest))
        for order_id, place in newest.items():
            before = known.get(order_id)
            if before is None or not _is_later(before.sent_at, observations[place].sent_at, now):
                outcomes[place] = "new" if before is None else "changed"
        accepted = [place for place in newest.values() if outcomes[place] != "stale"]
        _write(connection, shop, observations, accepted, known, outcomes)
        seen_at = {observations[place].order.order_id: observations[place].sent_at for place in accepted}
        _clear_marks(connection, shop, seen_at)
        _unpark(connection, shop, seen_at, now)
        _there_again(connection, shop, seen_at, now)
        changed = [observations[p].order.order_id for p in accepted if outcomes[p] in ("new", "changed")]
        mark_members_dirty(connection, shop, changed)
    return outcomes


def save_same(connection: Connection, same: Sequence[Same], now: datetime) -> list[Outcome]:
    """Move the time of orders whose payload did not change; one that changed meanwhile is marked to be looked at."""
    outcomes: list[Outcome] = []
    moved: list[dict[str, Any]] = []
    for shop in {seen.shop for seen in same}:
        known = _known(connection, shop, [seen.order_id for seen in same if seen.shop == shop])
        for seen in (seen for seen in same if seen.shop == shop):
            before = known.get(seen.order_id)
            if before is None or before.raw_digest != seen.raw_digest:
                mark(connection, shop, {seen.order_id: seen.sent_at})
                continue
            if before.sent_at <= seen.sent_at:
                moved.append({"b_shop": shop, "b_order_id": seen.order_id, "b_sent_at": seen.sent_at})
        seen_at = {row["b_order_id"]: row["b_sent_at"] for row in moved if row["b_shop"] == shop}
        _clear_marks(connection, shop, seen_at)
        _there_again(connection, shop, seen_at, now)
    accepted = {(row["b_shop"], row["b_order_id"]) for row in moved}
    if moved:
        connection.execute(_SAME_AGAIN, moved)
    for seen in same:
        outcomes.append("unchanged" if (seen.shop, seen.order_id) in accepted else "stale")
    return outcomes


def mark(connection: Connection, shop: str, hinted: Mapping[str, datetime]) -> None:
    """Have these orders looked at by a request sent after their instant."""
    if hinted:
        rows = [{"shop": shop, "order_id": order_id, "hinted_at": at} for order_id, at in hinted.items()]
        connection.execute(_UPSERT_MARK, rows)


def park(connection: Connection, parked: Parked, now: datetime) -> str | None:
    """Keep the payload and open the hold, unless something newer is known; the hold's number when it is new."""
    known = _known(connection, parked.shop, [parked.order_id]).get(parked.order_id)
    earlier = connection.execute(
        select(PARKED.c.sent_at).where(PARKED.c.shop == parked.shop, PARKED.c.order_id == parked.order_id)
    ).scalar_one_or_none()
    if any(at and _is_later(at, parked.sent_at, now) for at in (known and known.sent_at, earlier)):
        return None
    connection.execute(
        _UPSERT_PARKED,
        {
            "shop": parked.shop,
            "order_id": parked.order_id,
            "code": parked.code,
            "message": parked.message,
            "path": parked.path,
            "raw": None if parked.raw is None else document.compress(parked.raw),
            "sent_at": parked.sent_at,
        },
    )
    _clear_marks(connection, parked.shop, {parked.order_id: parked.sent_at})
    mark_members_dirty(connection, parked.shop, [parked.order_id])
    number, is_new = holds.open_in(connection, parked_hold(parked), now)
    return number if is_new else None


def parked_hold(parked: Parked) -> Hold:
    evidence = [f"at {parked.path}"] if parked.path else []
    return Hold(
        key=_parked_key(parked.ref),
        code="parked",
        subject=f"order:{parked.ref}",
        message=f"{parked.ref} could not be read: {parked.message}",
        evidence=(*evidence, f"reason code {parked.code}"),
        next_steps=(
            f"see it: ordersync orders show {parked.ref}",
            "correct the mapping file (or have the shop correct the order), then run: ordersync pull",
        ),
        target=parked.ref,
    )


def _is_later(known_at: datetime, seen_at: datetime, now: datetime) -> bool:
    """Whether what is known stands against what was seen. Nothing is from later than now: a look dated so was made
    while this machine's clock was ahead, and an order must not keep that face until the time is reached again."""
    return seen_at < known_at <= now


def _parked_key(ref: OrderRef) -> str:
    return hold_key("parked", f"order:{ref}")


def _newest(observations: Sequence[Observation], places: Iterable[int]) -> dict[str, int]:
    """Per order id the place of its newest full observation; of equal instants the later one."""
    newest: dict[str, int] = {}
    for place in places:
        seen = observations[place]
        held = newest.get(seen.order.order_id)
        if not seen.partial and (held is None or observations[held].sent_at <= seen.sent_at):
            newest[seen.order.order_id] = place
    return newest


def _known(connection: Connection, shop: str, order_ids: Sequence[str]) -> dict[str, _Known]:
    if not order_ids:
        return {}
    rows = connection.execute(
        select(
            ORDERS.c.order_id,
            ORDERS.c.fingerprint,
            ORDERS.c.raw_digest,
            ORDERS.c.mapping_version,
            ORDERS.c.sent_at,
        ).where(ORDERS.c.shop == shop, ORDERS.c.order_id.in_(order_ids))
    )
    return {row[0]: _Known(*row[1:]) for row in rows}


def _write(
    connection: Connection,
    shop: str,
    observations: Sequence[Observation],
    accepted: Sequence[int],
    known: Mapping[str, _Known],
    outcomes: list[Outcome],
) -> None:
    """Write accepted observations; corrects `outcomes` where nothing really changed."""
    orders: list[dict[str, Any]] = []
    documents: list[dict[str, Any]] = []
    traits: list[dict[str, Any]] = []
    references: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    for place in accepted:
        seen = observations[place]
        order = seen.order
        before = known.get(order.order_id)
        canonical = document.canonical_json(order)
        print_now = document.fingerprint(canonical)
        raw_digest = seen.raw_digest or document.digest(seen.raw)
        if before is not None and before.fingerprint == print_now:
            outcomes[place] = "unchanged"
            again.append(
                {
                    "b_shop": shop,
                    "b_order_id": order.order_id,
                    "b_sent_at": seen.sent_at,
                    "b_raw_digest": raw_digest,
                    "b_mapping_version": seen.mapping_version,
                }
            )
            continue
        if before is not None:
            fields = _difference(connection, shop, order.order_id, canonical)
            if fields:
                remapped = before.raw_digest == raw_digest and before.mapping_version != seen.mapping_version
                cause = "mapping_changed" if remapped else "observed"
                text = json.dumps(fields, ensure_ascii=False)
                history.append(
                    {
                        "shop": shop,
                        "order_id": order.order_id,
                        "sent_at": seen.sent_at,
                        "cause": cause,
                        "fields": text,
                    }
                )
            else:
                outcomes[place] = "unchanged"
        orders.append(
            {
                "shop": shop,
                "order_id": order.order_id,
                "number": order.number,
                "is_open": document.is_open(order),
                "refund_pending": document.refund_pending(order),
                "fingerprint": print_now,
                "raw_digest": raw_digest,
                "mapping_version": seen.mapping_version,
                "sent_at": seen.sent_at,
                "first_seen_at": seen.sent_at,
                "changed_at": seen.sent_at,
            }
        )
        documents.append(
            {"shop": shop, "order_id": order.order_id, "canonical": canonical, "raw": document.compress(seen.raw)}
        )
        traits.append({"shop": shop, "order_id": order.order_id, **traits_of(order)._asdict()})
        references += [
            {"shop": shop, "order_id": order.order_id, "field": field, "value": value}
            for field, value in reference_texts(order).items()
        ]
    rewritten = [row["order_id"] for row in orders if row["order_id"] in known]
    if rewritten:
        connection.execute(
            delete(REFERENCES).where(REFERENCES.c.shop == shop, REFERENCES.c.order_id.in_(rewritten))
        )
    for statement, rows in (
        (_UPSERT_ORDER, orders),
        (_UPSERT_DOCUMENT, documents),
        (_UPSERT_TRAITS, traits),
        (insert(REFERENCES), references),
        (_SEEN_AGAIN, again),
        (insert(CHANGES), history),
    ):
        if rows:
            connection.execute(statement, rows)


def _difference(connection: Connection, shop: str, order_id: str, canonical: str) -> tuple[FieldChange, ...]:
    old = connection.execute(
        select(DOCUMENTS.c.canonical).where(DOCUMENTS.c.shop == shop, DOCUMENTS.c.order_id == order_id)
    ).scalar_one()
    return document.changes(old, canonical)


def _clear_marks(connection: Connection, shop: str, seen_at: Mapping[str, datetime]) -> None:
    """Forget hints older than the request that answered them."""
    marked = _of_these(connection, LOOK_AGAIN.c.order_id, LOOK_AGAIN.c.shop, shop, seen_at)
    for order_id in marked:
        connection.execute(
            delete(LOOK_AGAIN).where(
                LOOK_AGAIN.c.shop == shop,
                LOOK_AGAIN.c.order_id == order_id,
                LOOK_AGAIN.c.hinted_at <= seen_at[order_id],
            )
        )


def _there_again(connection: Connection, shop: str, seen: Iterable[str], now: datetime) -> None:
    about = {f"order:{OrderRef(shop, order_id)}" for order_id in seen}
    holds.close_about(connection, VANISHED, about, now, "the platform has the order again")


def _unpark(connection: Connection, shop: str, seen_at: Mapping[str, datetime], now: datetime) -> None:
    for order_id in _of_these(connection, PARKED.c.order_id, PARKED.c.shop, shop, seen_at):
        gone = connection.execute(
            delete(PARKED).where(
                PARKED.c.shop == shop,
                PARKED.c.order_id == order_id,
                (PARKED.c.sent_at <= seen_at[order_id]) | (PARKED.c.sent_at > now),
            )
        )
        if gone.rowcount:
            key = _parked_key(OrderRef(shop, order_id))
            holds.close_in(connection, key, now, "the order can be read again")
            mark_members_dirty(connection, shop, [order_id])


def _of_these(
    connection: Connection, order_id: Any, shop_column: Any, shop: str, wanted: Mapping[str, datetime]
) -> list[str]:
    if not wanted:
        return []
    return list(connection.scalars(select(order_id).where(shop_column == shop, order_id.in_(list(wanted)))))
