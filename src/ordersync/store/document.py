"""An order as the store keeps it: canonical JSON, its fingerprint, what changed, the payload compressed."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

from ordersync.model import Order, OrderStatus, RefundState
from ordersync.store.records import FieldChange

FINGERPRINT_VERSION = "1"
_COMPRESSION_LEVEL = 1
"""Measured on 9.6 KB orders (bench/README.md): higher levels save little and cost more than the rest of storing."""
_BUYER_FIELDS = frozenset({"buyer", "shipping_address", "billing_address", "note", "references"})
"""Fields whose values may be a buyer's: the history names them and keeps no values."""
_OVER = frozenset({OrderStatus.CANCELLED, OrderStatus.COMPLETED})


def canonical_json(order: Order) -> str:
    return order.model_dump_json()


def fingerprint(canonical: str) -> str:
    return f"{FINGERPRINT_VERSION}:{hashlib.sha256(canonical.encode()).hexdigest()}"


def digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()


def compress(payload: bytes) -> bytes:
    return zlib.compress(payload, _COMPRESSION_LEVEL)


def decompress(stored: bytes) -> bytes:
    return zlib.decompress(stored)


def is_open(order: Order) -> bool:
    """Neither cancelled, completed nor archived: more news is to be expected."""
    return not order.archived and order.order_status not in _OVER


def refund_pending(order: Order) -> bool:
    return any(refund.status is RefundState.PENDING for refund in order.refunds or ())


def changes(old: str, new: str) -> tuple[FieldChange, ...]:
    """Fields that differ between two canonical orders; empty when only the order of keys does."""
    return tuple(_changed("", json.loads(old), json.loads(new)))


def _changed(path: str, old: Any, new: Any) -> Iterator[FieldChange]:
    if old == new:
        return
    if path in _BUYER_FIELDS:
        yield FieldChange(path, None, None)
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _changed(f"{path}.{name}" if path else name, old.get(name), new.get(name))
        return
    if isinstance(old, list) and isinstance(new, list) and _named(old) and _named(new):
        before, after = _by_id(old), _by_id(new)
        for name in sorted(before.keys() | after.keys()):
            yield from _changed(f"{path}[{name}]", before.get(name), after.get(name))
        return
    yield FieldChange(path, _text(old), _text(new))


def _named(records: list[Any]) -> bool:
    """Records with ids of their own, each once: they can be compared one by one."""
    ids = [r.get("id") if isinstance(r, dict) else None for r in records]
    return all(isinstance(i, str) for i in ids) and len(set(ids)) == len(ids)


def _by_id(records: list[Any]) -> dict[str, Any]:
    return {record["id"]: record for record in records}


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
