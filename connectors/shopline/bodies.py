"""Bodies of the write calls, and what the platform's error answers say. Pure: no network.

Source: Cancel order, v20250601 (developer.shopline.com/zh-hans-cn); Refund order (…/G11MNGS1); HTTP status codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from ordersync.connector import CancelRequest, RefundRequest
from ordersync.errors import Refused
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
    """A refund by amount from one payment.

    Errors: Refused, with nothing sent, for what this call cannot say exactly: no payment named, no positive amount,
    more than two decimals, stock to be returned (only a refund by lines returns stock).
    """
    if request.payment_id is None:
        raise _not_sent("a refund must name the payment it is taken from", "payment_needed")
    if request.amount.amount_minor <= 0:
        raise _not_sent(f"{request.amount} is not an amount to refund", "amount_not_positive")
    if request.restock:
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
    note = with_token(request.reason, request.token)
    if note:
        body["note"] = note
    if request.processed_at is not None:
        body["processed_at"] = moment_text(request.processed_at)
    return body


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
    except (msgspec.DecodeError, RecursionError):
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
