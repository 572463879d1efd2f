"""The headless write calls: one request each, sent once, with an Idempotency-Key.

What cannot be said to this platform is refused before anything is sent. Source: vendor pages for cancel, complete,
refund and payment completion (fact sheet, sections 2, 8 and 10).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from ordersync.connector import CancelRequest, CaptureRequest, RawOrder, Receipt, RefundRequest
from ordersync.errors import OrdersyncError, OutcomeUnknown, Refused
from ordersync.http import Answer, ShopClient, path_segment
from ordersync.model import Money

_DEFAULT_REASON = "refund"
"""The refund page requires a reason."""


class HeadlessWrites(ABC):
    """`cancel`, `refund`, `complete`, `capture`; there is no archive on this platform."""

    shop: str
    _books_only: tuple[str, ...]

    @property
    @abstractmethod
    def _admin(self) -> ShopClient:
        """The client for `/admin/...`; Unauthorized, before any request, without a secret key."""

    @abstractmethod
    def fetch(self, order_id: str) -> RawOrder:
        """The order as it is now."""

    def cancel(self, order_id: str, request: CancelRequest, key: str) -> Receipt:
        """Cancel the whole order.

        Shape:   POST body {reason}; the answer is the order. Whether money or stock move is not documented.
        Errors:  Refused on 409 unless the order is found cancelled (then `already_done`); Refused before sending
                 for an amount, restock or notify_buyer: the call has no such parameter.
        Source:  /api-reference/admin--orders/주문-취소
        """
        if request.amount:
            raise self._unsayable("cancel", order_id, "amount", "it cancels the whole order, without an amount")
        if request.restock:
            raise self._unsayable("cancel", order_id, "restock", "it has no switch for stock")
        if request.notify_buyer:
            raise self._unsayable("cancel", order_id, "notify", "it has no switch for mails to the buyer")
        reason = _reason(request.reason, request.token)
        body = {"reason": reason} if reason else {}
        return self._move(order_id, "cancel", "cancelled", body, key)

    def complete(self, order_id: str, key: str) -> Receipt:
        """Complete a processing order. Source: /api-reference/admin--orders/주문-완료-processing-→-completed"""
        return self._move(order_id, "complete", "completed", None, key)

    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        """Refund an amount of the order, without lines.

        Shape:   POST body {amount, reason, restock}; the answer's `id` becomes Receipt.platform_ref, its status
                 (pending, completed, failed) Receipt.status.
        Units:   `amount` is an integer in the currency's smallest unit, and carries no currency: the caller has
                 compared currencies.
        Errors:  OutcomeUnknown("answer_differs") when the answer is about another amount: a used key replays its
                 first answer whatever the body says. `payment_id` cannot be said, the platform takes the order's
                 payment; so `to="books"` is a promise of the caller about that payment, and refused before sending
                 where no provider of the shop only books.
        Source:  /api-reference/admin--orders/환불-생성
        """
        if request.amount.amount_minor <= 0:
            raise self._unsayable("refund", order_id, "amount", "it takes amounts above zero")
        if request.notify_buyer:
            raise self._unsayable("refund", order_id, "notify", "it has no switch for mails to the buyer")
        if request.to == "books" and not self._books_only:
            raise self._unsayable(
                "refund", order_id, "to_books", "the order's payment provider decides whether the buyer is paid"
            )
        body = {
            "amount": request.amount.amount_minor,
            "reason": _reason(request.reason, request.token) or _DEFAULT_REASON,
            "restock": request.restock,
        }
        answer = self._post(f"/admin/orders/{path_segment(order_id)}/refunds", body, "refund", order_id, key)
        made = _object(answer)
        if _text(made.get("id")) is None:
            raise answer.broken("the answer holds no refund", code="no_record")
        if _differs(made.get("amount"), request.amount) or made.get("order_id", order_id) != order_id:
            raise OutcomeUnknown(
                "refund: the answer is about another refund than the one asked for",
                code="answer_differs",
                next_step="look at the order's refunds on the platform; this one is not sent again",
                **answer.about,
            )
        return Receipt(
            platform_ref=_text(made.get("id")), status=_text(made.get("status")), request_id=answer.request_id
        )

    def capture(self, order_id: str, request: CaptureRequest, key: str) -> Receipt:
        """Complete one pending payment, whole.

        Shape:   POST /admin/payments/{id}/complete without a body; the answer is the payment.
        Errors:  Refused before sending without `payment_id` or with an amount: the call takes none. On 409 the
                 order is read; a payment found completed is `already_done`.
        Source:  /api-reference/admin--payments/결제-수동-확인-pending-→-completed
        """
        if request.payment_id is None:
            raise self._unsayable("capture", order_id, "payment_id", "it needs the id of the payment")
        if request.amount is not None:
            raise self._unsayable("capture", order_id, "amount", "it completes the payment whole")
        payment_id = request.payment_id
        try:
            answer = self._post(
                f"/admin/payments/{path_segment(payment_id)}/complete", None, "capture", order_id, key
            )
        except Refused as refused:
            order = self._order_after_conflict(refused, order_id)
            payments = order.get("payments") or [] if order else []
            done = any(
                isinstance(payment, dict)
                and payment.get("id") == payment_id
                and payment.get("status") in ("completed", "refunded")
                for payment in payments
            )
            if not done:
                raise
            return Receipt(
                platform_ref=payment_id, already_done=True, status="completed", request_id=refused.request_id
            )
        payment = _record(answer, payment_id, "payment")
        return Receipt(platform_ref=payment_id, status=_text(payment.get("status")), request_id=answer.request_id)

    def _move(self, order_id: str, action: str, target: str, body: dict[str, str] | None, key: str) -> Receipt:
        """One step of the order's status; a 409 on an order that is already there is success."""
        path = f"/admin/orders/{path_segment(order_id)}/{action}"
        try:
            answer = self._post(path, body, action, order_id, key)
        except Refused as refused:
            order = self._order_after_conflict(refused, order_id)
            if order is None or not _is(order, target):
                raise
            return Receipt(already_done=True, status=target, request_id=refused.request_id)
        order = _record(answer, order_id, "order")
        return Receipt(status=_text(order.get("status")), request_id=answer.request_id)

    def _order_after_conflict(self, refused: Refused, order_id: str) -> dict[str, Any] | None:
        """The order as it is now, after a 409; None when it was another refusal or cannot be read."""
        if refused.http_status != 409:
            return None
        try:
            order = msgspec.json.decode(self.fetch(order_id).payload)
        except OrdersyncError:
            return None  # the write was refused all the same: that is what the caller tells
        return order if isinstance(order, dict) else None

    def _post(self, path: str, body: Any, action: str, order_id: str, key: str) -> Answer:
        headers = {"Idempotency-Key": key}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._admin.write("POST", path, body, operation=action, order=order_id, headers=headers)

    def _unsayable(self, action: str, order_id: str, what: str, because: str) -> Refused:
        return Refused(
            f"{action}: this platform's call cannot carry that: {because}; nothing was sent",
            code=f"{action}_{what}_unsupported",
            shop=self.shop,
            order=order_id,
            operation=action,
        )


def error_text(_status: int, body: bytes) -> tuple[str | None, str | None]:
    """The platform's code and message, from `{"error": {code, message, details}}` (details an object or a list).

    A body that is not that gives (None, None). The status decides what happens; these two only tell.
    """
    try:
        error = msgspec.json.decode(body).get("error")
        code, said = error.get("code"), error.get("message")
        details = error.get("details")
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return None, None
    wrong = []
    for detail in details if isinstance(details, list) else [details]:
        if isinstance(detail, dict) and isinstance(detail.get("field"), str):
            wrong.append(f"{detail['field']}: {detail.get('message', 'not accepted')}")
    parts = [said] if isinstance(said, str) else []
    if wrong:
        parts.append(f"({'; '.join(wrong)})")
    return (code if isinstance(code, str) else None), " ".join(parts) or None


def _reason(reason: str | None, token: str | None) -> str:
    """What the platform shows, ending in our token: the way we know our own records again."""
    words = (reason or "").strip()
    return words if not token or token in words else f"{words} {token}".strip()


def _differs(stated: Any, asked: Money) -> bool:
    """The answer names another amount or currency; one that names none differs in nothing."""
    if isinstance(stated, dict):
        amount, currency = stated.get("amount", asked.amount_minor), stated.get("currency", asked.currency)
        return bool(amount != asked.amount_minor or currency != asked.currency)
    return isinstance(stated, int) and stated != asked.amount_minor


def _is(order: dict[str, Any], target: str) -> bool:
    return order.get("status") == target or (target == "cancelled" and bool(order.get("cancelled_at")))


def _object(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise answer.broken("the answer is not a JSON object")
    return body


def _record(answer: Answer, record_id: str, what: str) -> dict[str, Any]:
    """The answered record; empty for a 204, the only answer that may come without one."""
    if answer.status == 204:
        return {}
    record = _object(answer)
    if record.get("id") != record_id:
        raise answer.broken(f"the answer is not the {what} it was sent to", code=f"another_{what}")
    return record


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
