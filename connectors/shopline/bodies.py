"""Bodies of the write calls, and what the platform's error answers say. Pure: no network.

Source: Cancel order, v20250601 (developer.shopline.com/zh-hans-cn); Refund order (…/G11MNGS1); HTTP status codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from ordersync.connector import CancelRequest, RefundRequest, ShipRequest
from ordersync.errors import Refused
from ordersync.http import NOT_JSON
from ordersync.model import Money

_CENT = Decimal("0.01")
_LONGEST_TEXT = 200
"""No length is documented for reasons and notes; our token comes last, so the text before it is what is cut."""
_CODES = {
    402: "store_frozen",
    404: "no_such_record",
    423: "store_locked",
    433: "blocked",
    434: "blocked",
    435: "blocked",
    436: "blocked",
}


def cancel_body(request: CancelRequest, exponents: Mapping[str, int]) -> dict[str, Any]:
    """The flat body of the cancel call.

    `email` and `restock` are always sent: what is left out is up to the platform. `amount` is a JSON number written
    from the exact decimal, never a float.
    """
    body: dict[str, Any] = {}
    if request.amount is not None:
        body["amount"] = msgspec.Raw(f"{request.amount.major(exponents):f}".encode())
        body["currency"] = request.amount.currency
    reason = with_token(request.reason, request.token)
    if reason:
        body["cancel_reason"] = reason
    body["email"] = request.notify_buyer
    if request.processed_at is not None:
        body["processed_at"] = moment_text(request.processed_at)
    body["restock"] = request.restock
    return body


def refund_body(order_id: str, request: RefundRequest, exponents: Mapping[str, int]) -> dict[str, Any]:
    """A refund of an amount from one payment, with its part for shipping; `refund_lines` says what it is for.

    Errors: Refused, with nothing sent, for what this call cannot say exactly: no payment named, no positive amount,
    more than two decimals, stock to be returned without naming lines, a shipping part that is not a part.
    """
    if request.payment_id is None:
        raise _not_sent("a refund must name the payment it is taken from", "payment_needed")
    if request.amount.amount_minor <= 0:
        raise _not_sent(f"{request.amount} is not an amount to refund", "amount_not_positive")
    if request.restock and not request.lines:
        raise _not_sent("a refund by amount cannot return stock", "cannot_restock")
    body: dict[str, Any] = {
        "order_id": order_id,
        "transactions": [
            {
                "id": request.payment_id,
                "amount": two_decimals(request.amount, exponents),
                "kind": "refund",
                "type": request.to == "original",
                "currency": request.amount.currency,
            }
        ],
        "currency": request.amount.currency,
        "notify": request.notify_buyer,
    }
    if request.shipping is not None:
        body["shipping"] = {"full_refund": False, "amount": _part(request.shipping, request.amount, exponents)}
    note = with_token(request.reason, request.token)
    if note:
        body["note"] = note
    if request.processed_at is not None:
        body["processed_at"] = moment_text(request.processed_at)
    return body


def ship_body(request: ShipRequest) -> dict[str, Any]:
    """The body of the call that makes a shipped parcel. `notify_customer` is always sent; of tracking that is
    given, all three fields are, empty where unknown, as the recording has it."""
    parcel: dict[str, Any] = {
        "line_items": [{"id": line.line_item_id, "quantity": line.quantity} for line in request.lines],
        "notify_customer": request.notify_buyer,
    }
    if request.carrier or request.tracking_number or request.tracking_url:
        parcel["tracking_info_list"] = [
            {
                "tracking_company": request.carrier or "",
                "tracking_number": request.tracking_number or "",
                "tracking_url": request.tracking_url or "",
            }
        ]
    return {"fulfillment": parcel}


def refund_lines(request: RefundRequest, order: Any) -> list[dict[str, Any]]:
    """What the refund is for. Each unit must be told as Unshipped or Returned (it had left), which the order as it is
    now decides; whether stock comes back is always said.

    Errors: Refused, with nothing sent: no such line, more than is left, or a line of which only some units have left
    while only some are refunded, because then nobody can say which ones are meant.
    """
    lines = {str(line.get("id")): line for line in _objects(order, "line_items")}
    given_back: dict[str, int] = {}
    for record in _objects(order, "refunds"):
        for row in _objects(record, "refund_line_items"):
            line_id = str(row.get("line_item_id"))
            given_back[line_id] = given_back.get(line_id, 0) + _units(row.get("quantity"))
    rows = []
    for asked in request.lines:
        line_id = asked.line_item_id
        if line_id not in lines or not line_id.isascii() or not line_id.isdecimal():
            raise _not_sent(f"the order has no line {line_id}", "no_such_line")
        left = _units(lines[line_id].get("quantity")) - given_back.get(line_id, 0)
        waiting = min(_units(lines[line_id].get("fulfillable_quantity")), left)
        if asked.quantity > left:
            raise _not_sent(f"line {line_id} has fewer units left to refund", "too_many_units")
        if 0 < waiting < left and asked.quantity < left:
            said = f"only some units of line {line_id} have left, and the call must say which are meant"
            raise _not_sent(said, "line_partly_shipped")
        unshipped = min(waiting, asked.quantity)
        for quantity, kind, stock in (
            (unshipped, "Unshipped", "cancel"),
            (asked.quantity - unshipped, "Returned", "return"),
        ):
            if quantity:
                row = {
                    "line_item_id": int(line_id),
                    "quantity": quantity,
                    "type": kind,
                }  # a long here, text elsewhere
                rows.append({**row, "restock_type": stock if request.restock else "no_restock"})
    return rows


def _objects(node: Any, name: str) -> list[dict[str, Any]]:
    rows = node.get(name) if isinstance(node, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _part(shipping: Money, amount: Money, exponents: Mapping[str, int]) -> str:
    if shipping.currency != amount.currency or not 0 < shipping.amount_minor <= amount.amount_minor:
        raise _not_sent(f"{shipping} for shipping is not a part of {amount}", "shipping_not_a_part")
    return two_decimals(shipping, exponents)


def _units(value: Any) -> int:
    """A count of units. Refused where the order does not say it: it decides what the refund is told."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _not_sent("the order does not say how many units have left", "units_not_told")
    return value


def two_decimals(amount: Money, exponents: Mapping[str, int]) -> str:
    """ "12.50", and "9100.00" for yen: the page promises two decimals for every currency."""
    major = amount.major(exponents)
    rounded = major.quantize(_CENT)
    if rounded != major:
        raise _not_sent(f"{amount} has more than the two decimals this platform takes", "amount_not_expressible")
    return f"{rounded:f}"


def with_token(text: str | None, token: str | None) -> str | None:
    """ "damaged os-abcdefgh": the token is how our own record is known when it is read back."""
    said = " ".join((text or "").split())[:_LONGEST_TEXT].rstrip()
    if token and token in said.split():
        return said
    return " ".join(part for part in (said, token) if part) or None


def moment_text(moment: datetime) -> str:
    """ISO 8601 to the second with its offset, as the page's example has it."""
    return moment.isoformat(timespec="seconds")


def error_text(status: int, body: bytes) -> tuple[str | None, str | None]:
    """Code by status, and the free English text: `errors` is a string, a list or a map; or there is none at all."""
    code = _CODES.get(status)
    try:
        said = msgspec.json.decode(body)
    except NOT_JSON:
        return code, None
    if not isinstance(said, dict):
        return code, None
    parts = list(_sentences(said.get("errors")))
    message = said.get("message")
    if not parts and isinstance(message, str):
        parts = [message]
    return code, "; ".join(parts)[:1000] or None


def user_errors(answer: Any) -> str | None:
    """What a 200 that did nothing says in `user_errors`; None when it did what was asked."""
    found = answer.get("user_errors") if isinstance(answer, dict) else None
    if not found:
        return None
    rows = found if isinstance(found, list) else [found]
    said = [
        str(row.get("message") or row.get("code") or "no reason given") if isinstance(row, dict) else str(row)
        for row in rows
    ]
    return "; ".join(said)


def _sentences(errors: Any) -> list[str]:
    if isinstance(errors, str):
        return [errors] if errors else []
    if isinstance(errors, list):
        return [sentence for item in errors for sentence in _sentences(item)]
    if isinstance(errors, dict):
        return [f"{field} {sentence}" for field, value in errors.items() for sentence in _sentences(value)]
    return []


def _not_sent(message: str, code: str) -> Refused:
    return Refused(
        message,
        code=code,
        operation="refund",
        next_step="nothing was sent; make this refund in the shop's admin",
    )
