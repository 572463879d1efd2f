"""States Medusa does not spell out, derived from its records. Pure: payload in, payload out.

Medusa's payments and fulfillments carry no status word, only instants; captured and refunded money is in records on a
real server and may be in plain amounts in the Medusa-style dialect (platforms/medusa.md 4, 6 and 9).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from ordersync.errors import MappingError

Node = dict[str, Any]

_TOLERANCE = Decimal("0.01")
"""Below this an amount and the sum of its records say the same: nothing here is rounded to its currency."""


def derive_states(payload: Node) -> Node:
    """A copy with `_state` on payments, refunds and fulfillments, capture and refund records for amounts that are
    only stated, and on the order `_currency` (of its money) and `_first_charged`."""
    shaped = dict(payload)
    notes: list[dict[str, str]] = []
    collections = _objects(payload, "payment_collections", "payment_collections")
    if collections is not None:
        shaped["payment_collections"] = [
            _collection(one, f"payment_collections[{n}]", notes) for n, one in enumerate(collections)
        ]
        currencies = {code for one in collections if isinstance(code := one.get("currency_code"), str) and code}
        if len(currencies) == 1:
            shaped["_currency"] = currencies.pop()
        first = _first_charged(payload, collections)
        if first is not None:
            shaped["_first_charged"] = first
    fulfillments = _objects(payload, "fulfillments", "fulfillments")
    if fulfillments is not None:
        shaped["fulfillments"] = [{**one, "_state": _parcel(one)} for one in fulfillments]
    shaped["_notes"] = notes
    return shaped


def _first_charged(payload: Node, collections: list[Node]) -> Any:
    """What the buyer was first asked: the only collection's amount, or the total of an untouched order.

    `total` and `original_total` fall with refunds or returned items (6). What refunds took from it is in
    `credit_line_total`; what returns took is nowhere, and then it is unknown.
    """
    if len(collections) == 1:
        return collections[0].get("amount")
    total, credited = payload.get("total"), payload.get("credit_line_total")
    if payload.get("version") == 1:
        return total
    if (
        payload.get("returns") != []
        or not isinstance(total, int | Decimal)
        or not isinstance(credited, int | Decimal)
    ):
        return None
    return total + credited


def _collection(collection: Node, path: str, notes: list[dict[str, str]]) -> Node:
    payments = _objects(collection, "payments", f"{path}.payments")
    if payments is None:
        return collection
    alone = len(payments) == 1
    shaped = []
    for index, payment in enumerate(payments):
        here = f"{path}.payments[{index}]"
        captured = _amount_of(payment, "captures", "captured_amount", collection if alone else None, here)
        refunded = _amount_of(payment, "refunds", "refunded_amount", collection if alone else None, here)
        shaped.append(_payment(payment, captured, refunded, notes, here))
    return {**collection, "payments": shaped}


def _payment(
    payment: Node,
    captured: tuple[Decimal | None, Decimal | None],
    refunded: tuple[Decimal | None, Decimal | None],
    notes: list[dict[str, str]],
    path: str,
) -> Node:
    """One payment with its state; (sum of records, stated amount) for captured and refunded."""
    one = dict(payment)
    captures = _objects(payment, "captures", f"{path}.captures")
    if captures is not None or captured[1] is not None:
        one["captures"] = _captures(captures, captured, payment, notes)
    refunds = _objects(payment, "refunds", f"{path}.refunds")
    if refunds is not None:
        one["refunds"] = _refunds(refunds, refunded, payment, notes)
    one["_state"] = _payment_state(payment, _larger(captured), _larger(refunded))
    return one


def _captures(
    captures: list[Node] | None,
    captured: tuple[Decimal | None, Decimal | None],
    payment: Node,
    notes: list[dict[str, str]],
) -> list[Node]:
    """The capture records; an amount stated above them (the dialect may list none) counts as one more."""
    listed, stated = captured
    missing = (stated or Decimal(0)) - (listed or Decimal(0))
    if captures and abs(missing) >= _TOLERANCE and stated is not None:
        notes.append(
            _note("captured_differs", f"payment {_id(payment)}: captured_amount is not the sum of captures")
        )
    return [*(captures or ()), {"amount": missing}] if missing >= _TOLERANCE else list(captures or ())


def _refunds(
    refunds: list[Node],
    refunded: tuple[Decimal | None, Decimal | None],
    payment: Node,
    notes: list[dict[str, str]],
) -> list[Node]:
    """A refund record exists once it is done. Money stated as refunded without a record counts as refunded too:
    forgetting it could pay the buyer a second time."""
    found = [{**refund, "_state": "completed"} for refund in refunds]
    listed, stated = refunded
    missing = (stated or Decimal(0)) - (listed or Decimal(0))
    if missing >= _TOLERANCE:
        notes.append(
            _note("refund_without_record", f"payment {_id(payment)}: refunded_amount is above its refunds")
        )
        found.append({"id": f"{payment.get('id')}:unlisted", "amount": missing, "_state": "completed"})
    elif -missing >= _TOLERANCE and stated is not None:
        notes.append(_note("refunded_differs", f"payment {_id(payment)}: refunded_amount is below its refunds"))
    return found


def _payment_state(payment: Node, captured: Decimal | None, refunded: Decimal | None) -> str:
    if captured is not None and captured > 0:
        if refunded is not None and refunded > captured - _TOLERANCE:
            return "refunded"
        whole = (
            _is_set(payment.get("captured_at")) or captured > (_number(payment.get("amount")) or 0) - _TOLERANCE
        )
        return "completed" if whole else "authorized"
    return "voided" if _is_set(payment.get("canceled_at")) else "authorized"


def _amount_of(
    payment: Node, records: str, stated: str, collection: Node | None, path: str
) -> tuple[Decimal | None, Decimal | None]:
    """(sum of the records, amount stated by the payment or, for an only payment, by its collection)."""
    listed = _objects(payment, records, f"{path}.{records}")
    total = None if listed is None else sum((_record(one, f"{path}.{records}") for one in listed), Decimal(0))
    said = payment.get(stated)
    if said is None and collection is not None:
        said = collection.get(stated)
    return total, _number(said)


def _record(record: Node, path: str) -> Decimal:
    amount = _number(record.get("amount"))
    if amount is None:
        raise MappingError("an amount is promised here", path=f"{path}[].amount", code="missing")
    return amount


def _larger(pair: tuple[Decimal | None, Decimal | None]) -> Decimal | None:
    known = [amount for amount in pair if amount is not None]
    return max(known) if known else None


def _parcel(fulfillment: Node) -> str:
    """packed < shipped < delivered, or cancelled; a record exists from packing on."""
    for state, marker in (("cancelled", "canceled_at"), ("delivered", "delivered_at"), ("shipped", "shipped_at")):
        if _is_set(fulfillment.get(marker)):
            return state
    return "packed"


def _is_set(instant: Any) -> bool:
    """Dates are texts on a real server and objects in the dialect."""
    return bool(instant.get("dateTime")) if isinstance(instant, dict) else bool(instant)


def _number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool | dict | list):
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def _objects(node: Node, key: str, path: str) -> list[Node] | None:
    """The list at `key`; None when it was not loaded."""
    found = node.get(key)
    if found is None:
        return None
    if not isinstance(found, list):
        raise MappingError("a list is promised here", path=path, code="unexpected_value")
    for index, item in enumerate(found):
        if not isinstance(item, dict):
            raise MappingError("an object is promised here", path=f"{path}[{index}]", code="unexpected_value")
    return found


def _note(code: str, detail: str) -> dict[str, str]:
    return {"code": code, "detail": detail}


def _id(payment: Node) -> str:
    return str(payment.get("id"))[:60]
