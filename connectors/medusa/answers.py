"""What Medusa says: error bodies, and which refusals prove that a write did nothing."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ordersync.errors import BrokenAnswer, NotFound, OrdersyncError, OutcomeUnknown, Refused
from ordersync.http import decode_json

_PROVEN_CLEAN = tuple(
    re.compile(text)
    for text in (
        r"Invalid request: ",
        r"You are not allowed to refund more than the captured amount",
        r"You cannot refund more than what is captured on the payment",
        r"Order with id \S+ has been canceled",
        r"Cannot cancel a completed order",
        r"All fulfillments must be canceled before canceling an order",
        r"(RefundReason|Payment|Order) id not found: ",
    )
)
"""Measured to come before anything is written. Any other refusal of a refund or cancel may follow the refund:
"already has an existing active order change" does (2.21.2)."""
ALREADY_CANCELLED = re.compile(r"Order with id \S+ has been canceled")


_NO_SUCH_ROUTE = "no_such_route"


def error_text(status: int, body: bytes) -> tuple[str | None, str | None]:
    """(code, message) of `{"type","message"}`; `code` of the body wins where there is one.

    An unknown route is a web page with 404, an unknown record is JSON with 404.
    """
    try:
        said = decode_json(body)
    except BrokenAnswer:
        said = None
    if not isinstance(said, dict):
        return (_NO_SUCH_ROUTE if status == 404 else None), None
    code = next((said[name] for name in ("code", "type") if isinstance(said.get(name), str)), None)
    message = said.get("message")
    return code, message if isinstance(message, str) else None


def doubt_unless_clean(refused: Refused) -> OrdersyncError:
    """A refused refund or cancel: the same error where it is proven that nothing happened, else OutcomeUnknown."""
    if any(pattern.search(refused.message) for pattern in _PROVEN_CLEAN) or refused.http_status in (404, 413):
        return refused
    return OutcomeUnknown(
        f"{refused.message} (Medusa is known to give such answers after it has paid back)",
        code="refused_after_acting",
        shop=refused.shop,
        order=refused.order,
        operation=refused.operation,
        request_id=refused.request_id,
        next_step="do not send it again by hand; ordersync looks at the order again first",
    )


def not_the_api(missing: NotFound, base_url: str) -> OrdersyncError:
    """A 404: a record that does not exist says so in JSON; a page is another server, or a wrong base_url."""
    if missing.code != _NO_SUCH_ROUTE:
        return missing
    return BrokenAnswer(
        f"{missing.operation}: there is no Medusa admin API at base_url",
        code="not_the_admin_api",
        shop=missing.shop,
        order=missing.order,
        operation=missing.operation,
        next_step=f"base_url is the server's root, without /admin; it is {base_url}",
    )


def number(text: str) -> msgspec.Raw:
    """An exact JSON number: amounts must not go through a double."""
    return msgspec.Raw(text.encode())


def refund_made(payment: Any, note: str | None) -> str | None:
    """Id of the refund an answer brought: the newest with our note (ids are ULIDs: later sorts later)."""
    refunds = payment.get("refunds") if isinstance(payment, dict) else None
    rows = [row for row in refunds or () if isinstance(row, dict) and isinstance(row.get("id"), str)]
    ours = [row["id"] for row in rows if note is None or row.get("note") == note]
    return max(ours, default=None)
