"""The headless write calls: one request each, sent once, with an Idempotency-Key.

What cannot be said to this platform is refused before anything is sent. Source: vendor pages for cancel, complete,
refund and payment completion (fact sheet, sections 2, 8 and 10).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from ordersync.connector import CancelRequest, CaptureRequest, LineQuantity, RawOrder, Receipt, RefundRequest
from ordersync.errors import OrdersyncError, OutcomeUnknown, Refused
from ordersync.http import NOT_JSON, Answer, ShopClient, path_segment
from ordersync.model import Money

_DEFAULT_REASON = "refund"
"""The refund page requires a reason."""


class HeadlessWrites(ABC):
    """`cancel`, `refund`, `capture` and the steps of progress; there is no archive on this platform."""

    shop: str
    _books_only: tuple[str, ...]
    _amount_with_lines: bool

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

    def confirm(self, order_id: str, key: str) -> Receipt:
        """Confirm a pending order. Source: /api-reference/admin--orders/주문-확인-pending-→-confirmed"""
        return self._move(order_id, "confirm", "confirmed", None, key)

    def process(self, order_id: str, key: str) -> Receipt:
        """Take a confirmed order into work. Source: …/주문-처리-confirmed-→-processing"""
        return self._move(order_id, "process", "processing", None, key)

    def complete(self, order_id: str, key: str) -> Receipt:
        """Complete a processing order. Source: /api-reference/admin--orders/주문-완료-processing-→-completed"""
        return self._move(order_id, "complete", "completed", None, key)

    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        """Refund an amount of the order, on its own or for lines of it.

        Shape:   POST body {amount, reason, restock, lines?}; the answer's `id` becomes Receipt.platform_ref, its
                 status (pending, completed, failed) Receipt.status. The sources disagree whether lines need an
                 amount: both are sent, unless the setting `refund_send_amount_with_lines` says otherwise.
        Units:   `amount` is an integer in the currency's smallest unit, and carries no currency: the caller has
                 compared currencies.
        Errors:  OutcomeUnknown("answer_differs") when the answer is about another amount or other lines: a used
                 key replays its first answer whatever the body says. Refused before sending for a shipping part.
                 `payment_id` cannot be said, the platform takes the order's payment; so `to="books"` is a promise
                 of the caller about that payment, and refused before sending where no provider of the shop only
                 books.
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
        if request.shipping is not None:
            raise self._unsayable("refund", order_id, "shipping", "it has no place for a shipping part")
        body: dict[str, Any] = {
            "amount": request.amount.amount_minor,
            "reason": _reason(request.reason, request.token) or _DEFAULT_REASON,
            "restock": request.restock,
        }
        if request.lines:
            body["lines"] = lines_body(request.lines)
            if not self._amount_with_lines:
                del body["amount"]
        answer = self._post(f"/admin/orders/{path_segment(order_id)}/refunds", body, "refund", order_id, key)
        made = object_of(answer)
        if text_or_none(made.get("id")) is None:
            raise answer.broken("the answer holds no refund", code="no_record")
        other = made.get("order_id", order_id) != order_id or lines_differ(made.get("lines"), request.lines)
        if other or _differs(made.get("amount"), request.amount):
            raise answer_differs(answer, "refund")
        return Receipt(
            platform_ref=text_or_none(made.get("id")),
            status=text_or_none(made.get("status")),
            request_id=answer.request_id,
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
        payment = record_of(answer, payment_id, "payment")
        return Receipt(
            platform_ref=payment_id, status=text_or_none(payment.get("status")), request_id=answer.request_id
        )

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
        order = record_of(answer, order_id, "order")
        return Receipt(status=text_or_none(order.get("status")), request_id=answer.request_id)

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
    except (*NOT_JSON, AttributeError):
        return None, None
    wrong = []
    for detail in details if isinstance(details, list) else [details]:
        if isinstance(detail, dict) and isinstance(detail.get("field"), str):
            wrong.append(f"{detail['field']}: {detail.get('message', 'not accepted')}")
    parts = [said] if isinstance(said, str) else []
    if wrong:
        parts.append(f"({'; '.join(wrong)})")
    return (code if isinstance(code, str) else None), " ".join(parts) or None


def lines_body(lines: Sequence[LineQuantity]) -> list[dict[str, Any]]:
    return [{"order_line_id": line.line_item_id, "quantity": line.quantity} for line in lines]


def lines_differ(stated: Any, asked: Sequence[LineQuantity]) -> bool:
    """The answer names other lines or quantities; one that names none at all differs in nothing."""
    if not isinstance(stated, list) or not asked:
        return False
    rows = [(row.get("order_line_id"), row.get("quantity")) if isinstance(row, dict) else row for row in stated]
    return sorted(rows, key=repr) != sorted(((line.line_item_id, line.quantity) for line in asked), key=repr)


def answer_differs(answer: Answer, action: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{action}: the answer is about something else than what was asked for",
        code="answer_differs",
        next_step=f"look at the order on the platform; this {action} is not sent again",
        **answer.about,
    )


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


def object_of(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise answer.broken("the answer is not a JSON object")
    return body


def record_of(answer: Answer, record_id: str, what: str) -> dict[str, Any]:
    """The answered record; empty for a 204, the only answer that may come without one."""
    if answer.status == 204:
        return {}
    record = object_of(answer)
    if record.get("id") != record_id:
        raise answer.broken(f"the answer is not the {what} it was sent to", code=f"another_{what}")
    return record


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
