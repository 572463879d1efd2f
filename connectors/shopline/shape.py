"""SHOPLINE's refund records as money-moving records. Pure: payload in, payload out."""

from __future__ import annotations

from typing import Any

from ordersync.errors import MappingError

_RESTOCKED = ("cancel", "return")


def split_refunds(payload: dict[str, Any]) -> dict[str, Any]:
    """One refund record per refund transaction; a refund without transactions moved no money.

    Only transactions of kind `refund` count, never `refund_line_items`: cancelling an unpaid order leaves a
    record with the full price in its lines and no transaction (platforms/shopline.md 0.8, seen in recordings).
    Ids stay stable while a transaction changes its status: the first in time keeps the refund's id, the next
    are `<id>:2`, `<id>:3`. Lines, shipping part and restock belong to the first.
    """
    refunds = payload.get("refunds")
    if not refunds:
        return payload
    if not isinstance(refunds, list):
        raise MappingError("a list is promised here", path="refunds", code="unexpected_value")
    currency = _shop_currency(payload)
    records: list[dict[str, Any]] = []
    for index, refund in enumerate(refunds):
        records.extend(_records(refund, currency, f"refunds[{index}]"))
    return {**payload, "refunds": records}


def _records(refund: Any, currency: str | None, path: str) -> list[dict[str, Any]]:
    if not isinstance(refund, dict):
        raise MappingError("an object is promised here", path=path, code="unexpected_value")
    moves = _transactions(refund, path)
    whole = {**refund, "_restock": _restock(refund)}
    if not moves:
        return [{**whole, "_status": "success", "_amount": 0, "_currency": currency}]
    rest = {key: refund.get(key) for key in ("note", "created_at")}
    records = []
    for number, move in enumerate(moves, start=1):
        record = dict(whole) if number == 1 else {"id": f"{refund.get('id')}:{number}", **rest}
        record["_status"] = move.get("status")
        record["_amount"], record["_currency"] = move.get("amount"), move.get("currency")
        record["_settle_amount"] = move.get("settle_amount")
        record["_settle_currency"] = move.get("settle_currency")
        records.append(record)
    return records


def _transactions(refund: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """The refund's own transactions in time order; newer versions may fill only `transactions_v2`."""
    first = refund.get("transactions")
    if not isinstance(first, list):
        raise MappingError(
            "a refund came without its transactions, so nobody can say what money moved",
            path=f"{path}.transactions",
            code="missing",
        )
    found = first or refund.get("transactions_v2") or []
    if not isinstance(found, list) or not all(isinstance(move, dict) for move in found):
        raise MappingError(
            "a list of objects is promised here", path=f"{path}.transactions", code="unexpected_value"
        )
    moves = [move for move in found if move.get("kind") == "refund"]
    return sorted(moves, key=lambda move: (str(move.get("created_at")), str(move.get("channel_refund_id"))))


def _restock(refund: dict[str, Any]) -> bool | None:
    """True when any line went back to stock; None when no line says."""
    lines = refund.get("refund_line_items")
    if not isinstance(lines, list):
        return None
    kinds = [line.get("restock_type") for line in lines if isinstance(line, dict)]
    said = [kind for kind in kinds if kind]
    return any(kind in _RESTOCKED for kind in said) if said else None


def _shop_currency(payload: dict[str, Any]) -> str | None:
    """The store's currency, for records that move nothing and so name none."""
    node: Any = payload
    for name in ("current_total_price_set", "shop_money", "currency_code"):
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, str) else payload.get("currency")
