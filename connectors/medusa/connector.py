"""Medusa 2.x admin API (measured on 2.21.2), and the "Medusa-style admin" dialect of it.

Moves bytes and knows the quirks: `updated_at` that captures do not move, filters that are ignored without a word,
refusals that have refunded. It never decides, and sends a write once.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal

import httpx
import msgspec
from ordersync_connectors.medusa.answers import (
    ALREADY_CANCELLED,
    doubt_unless_clean,
    error_text,
    not_the_api,
    number,
    refund_made,
)
from ordersync_connectors.medusa.feeds import OffsetWalk, UpdatedWalk
from ordersync_connectors.medusa.parcels import MedusaParcels
from ordersync_connectors.medusa.rows import (
    ORDER_FIELDS,
    PAYMENT_FIELDS,
    id_of,
    raw_orders,
    read_list,
    unwrap,
)
from ordersync_connectors.medusa.settings import BearerAuth, MedusaSettings, check_key

from ordersync.connector import (
    MAX_ORDER_BYTES,
    CancelRequest,
    CaptureRequest,
    Feed,
    Page,
    RawOrder,
    Receipt,
    RefundRequest,
    Semantics,
    ShopFacts,
    ShopSettings,
    Window,
)
from ordersync.errors import MappingError, NotFound, Refused, UsageError
from ordersync.http import Answer, Params, RateLimit, ShopClient, parse_rate, path_segment
from ordersync.model import Money

BATCH = 100
_LONGEST_REASON = 200


_SEMANTICS = Semantics(
    cancel_refunds="all",
    cancel_restocks="always",
    refund_names_payment=True,
    refund_restocks="never",
    ship_needs_pack=True,
    tracking=True,
    deliver=True,
    parcel_token_field="note",  # noqa: S106  # the name of a field, not a password
    refund_token_field="note",  # noqa: S106  # the name of a field, not a password
)
_NO_PARCELS = {"ship_needs_pack": False, "tracking": False, "deliver": False, "parcel_token_field": None}
_STYLE_SEMANTICS = _SEMANTICS.model_copy(
    update={"records_cancel": False, "records_progress": False, **_NO_PARCELS}
)
"""An order of the dialect has neither a status nor a cancel marker, and there are no calls for parcels."""
_STYLE_FEED = Feed(
    name="orders",
    catches="every listed order, each pass from the start: the description states no filter",
    complete=True,
    by_watermark=False,
)
_OPEN = ("pending", "requested")


class MedusaConnector(MedusaParcels):
    """One shop. `feeds`, `semantics` and `mapping` of an instance are those of its dialect."""

    platform: ClassVar[str] = "medusa"
    version: ClassVar[str] = "2.21"
    Settings: ClassVar[type[ShopSettings]] = MedusaSettings
    feeds: ClassVar[tuple[Feed, ...]] = (
        Feed(
            name="orders",
            catches="placed, converted, edited, refunded, fulfilled, returned, cancelled, completed, archived orders",
            complete=True,
        ),
        Feed(
            name="payments",
            catches="full captures, voids and marks as paid, which do not move an order's updated_at",
        ),
    )
    semantics: ClassVar[Semantics] = _SEMANTICS
    mapping: ClassVar[str] = "medusa"

    def __init__(self, shop: str, settings: MedusaSettings) -> None:
        self.shop = shop
        self._settings = settings
        token = settings.token.get_secret_value().strip()
        check_key(shop, token, settings)
        self._client = ShopClient(
            shop,
            settings.base_url,
            auth=httpx.BasicAuth(token, "") if settings.auth == "basic" else BearerAuth(token),
            rate=RateLimit(parse_rate(settings.rate, 10.0)),
            error_text=error_text,
            timeout_s=settings.timeout_s,
        )
        if self._is_style:
            self.mapping = "medusa_style"  # type: ignore[misc]  # the dialect is known only per shop
            self.feeds = (_STYLE_FEED,)  # type: ignore[misc]  # the dialect is known only per shop
            for call in ("pack", "ship", "deliver"):
                setattr(self, call, None)  # not having the method is not having the capability
            self.semantics = _STYLE_SEMANTICS  # type: ignore[misc]  # the dialect is known only per shop

    @property
    def _is_style(self) -> bool:
        return self._settings.dialect == "style"

    def close(self) -> None:
        self._client.close()

    # Reads.

    def check(self) -> ShopFacts:
        """One order and the payment providers: proves that the key reads orders and payments."""
        params: dict[str, str | int] = {"limit": 1}
        if not self._is_style:
            params["fields"] = "id"
        answer = self._read("/admin/orders", params, "check")
        listing = read_list(answer, "orders")
        answered = self.payment_providers()
        rows = answered.get("payment_providers") if isinstance(answered, dict) else answered
        known = {row.get("id") for row in rows or () if isinstance(row, dict)}
        warnings = [
            f"books_only names {name}, but this shop's payment providers are: {', '.join(sorted(map(str, known)))}"
            for name in self._settings.books_only
            if known and name not in known
        ]
        return ShopFacts(orders=listing.count, clock_skew_s=answer.clock_skew_s, warnings=tuple(warnings))

    def fetch(self, order_id: str) -> RawOrder:
        """The order with its money, parcels and returns; drafts too.

        Errors: NotFound; MappingError("order_too_large").
        """
        params = None if self._is_style else {"fields": ORDER_FIELDS}
        answer = self._read(f"/admin/orders/{path_segment(order_id)}", params, "fetch order", order_id)
        payload = unwrap(answer, "order")
        if len(payload) > MAX_ORDER_BYTES:
            raise MappingError(
                f"order {order_id} is {len(payload)} bytes, more than {MAX_ORDER_BYTES}",
                code="order_too_large",
                shop=self.shop,
                order=order_id,
                operation="fetch order",
            )
        if id_of(payload) != order_id:
            raise answer.broken("the answer is not the order that was asked for", code="another_order")
        return RawOrder(order_id=order_id, payload=payload, sent_at=answer.sent_at)

    def fetch_many(self, order_ids: Sequence[str]) -> Sequence[RawOrder]:
        """By id, 100 a call; absent ids (drafts among them) are not returned. The dialect is asked one by one."""
        if self._is_style:
            return [order for order_id in order_ids if (order := self._fetch_if_there(order_id))]
        found: list[RawOrder] = []
        for start in range(0, len(order_ids), BATCH):
            asked = list(order_ids[start : start + BATCH])
            params: list[tuple[str, str | int]] = [("id[]", order_id) for order_id in asked]
            params += [("limit", len(asked)), ("fields", ORDER_FIELDS)]
            answer = self._read("/admin/orders", params, "fetch orders")
            listing = read_list(answer, "orders")
            too_many = listing.count is not None and listing.count > len(asked)
            if too_many or any(row.row_id not in asked for row in listing.rows):
                raise answer.broken("the platform ignored the id filter", code="filter_ignored")
            if listing.count is not None and listing.count > len(listing.rows) + listing.broken:
                raise answer.broken("fewer orders came than the answer counts", code="short_page")
            orders, _ = raw_orders(listing.rows, answer.sent_at)
            found.extend(orders)
        return found

    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        if feed not in {known.name for known in self.feeds}:
            raise UsageError(f"shop {self.shop} has no feed named {feed!r}", code="unknown_feed", shop=self.shop)
        limit = self._settings.page_limit
        if self._is_style:
            ask = self._asker("/admin/orders", "list orders")
            return OffsetWalk(ask, limit, window).page(cursor)
        if window.since is not None:
            window = window.model_copy(update={"since": window.since - self._settings.overlap})
        if feed == "payments":
            ask = self._asker("/admin/payments", "list payments")
            return UpdatedWalk(ask, "payments", PAYMENT_FIELDS, limit, window).page(cursor)
        ask = self._asker("/admin/orders", "list orders")
        return UpdatedWalk(ask, "orders", ORDER_FIELDS, limit, window).page(cursor)

    def blockers(self, order_id: str) -> Sequence[str]:
        """Open order changes: a refund or cancel would act and then answer 400. The dialect has no such call."""
        if self._is_style:
            return ()
        path = f"/admin/orders/{path_segment(order_id)}/changes"
        params = [("status[]", "pending"), ("status[]", "requested")]
        answer = self._read(path, params, "list order changes", order_id)
        body = answer.json()
        rows = body.get("order_changes") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            raise answer.broken("the answer holds no order_changes", code="no_list")
        return [_open_change(row) for row in rows if not isinstance(row, dict) or row.get("status") in _OPEN]

    def payments(self, *, limit: int = 20, offset: int = 0) -> Any:
        """One page of the platform's payment list as it answers, decoded exactly."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        if not self._is_style:
            params["fields"] = PAYMENT_FIELDS
        return self._read("/admin/payments", params, "list payments").json()

    def payment_providers(self) -> Any:
        return self._read("/admin/payments/payment-providers", None, "list payment providers").json()

    def payment(self, payment_id: str) -> Any:
        """NotFound also for the 200 `{}` that an unknown id is answered with."""
        params = None if self._is_style else {"fields": PAYMENT_FIELDS}
        answered = self._read(f"/admin/payments/{path_segment(payment_id)}", params, "get payment").json()
        if not answered or answered.get("payment", answered) in (None, {}):
            raise NotFound(f"get payment: {self.shop} has no payment {payment_id}", shop=self.shop)
        return answered

    # Writes: one call each.

    def cancel(self, order_id: str, request: CancelRequest, key: str) -> Receipt:
        """Cancel; the platform pays back everything captured and still there, and takes no reason.

        Errors: Refused (nothing happened); OutcomeUnknown, also for refusals that may follow the refund.
        Source: fact sheet 7, measured.
        """
        if request.amount is not None:
            raise self._refuse(
                "cancel", order_id, "amount_not_possible", "a Medusa cancel always pays back all; name no amount"
            )
        path = f"/admin/orders/{path_segment(order_id)}/cancel"
        try:
            answer = self._client.write("POST", path, None, operation="cancel order", order=order_id)
        except Refused as refused:
            if ALREADY_CANCELLED.search(refused.message):
                return self._already_cancelled(order_id, refused)
            raise doubt_unless_clean(refused) from refused
        status = self._order_answered(answer, order_id).get("status")
        if status != "canceled" and not self._is_style:
            raise answer.broken("the answered order is not cancelled", code="not_as_asked")
        return Receipt(status=status if isinstance(status, str) else None, request_id=answer.request_id)

    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        """Refund part of one payment. Twice the same request is two refunds: the platform keeps no keys.

        Shape:  POST {amount, note}; `note` is the reason and our token, and comes back in `refunds[]`.
        Units:  the platform wants a JSON number in major units.
        Errors: Refused before sending without a payment; OutcomeUnknown for refusals that may follow the refund.
        Source: fact sheet 7, measured. Whether the buyer is paid depends on the payment's provider alone.
        """
        if request.payment_id is None:
            raise self._refuse("refund", order_id, "payment_required", "a Medusa refund must name its payment")
        if request.lines or request.shipping is not None:
            raise self._refuse("refund", order_id, "lines_not_possible", "a Medusa refund is an amount alone")
        if request.restock:
            raise self._refuse("refund", order_id, "restock_not_possible", "a Medusa refund cannot restock")
        note = " ".join(part for part in ((request.reason or "")[:_LONGEST_REASON], request.token) if part)
        body: dict[str, Any] = {"amount": self._amount(request.amount, "refund", order_id)}
        if note:
            body["note"] = note
        path = f"/admin/payments/{path_segment(request.payment_id)}/refund"
        try:
            answer = self._client.write("POST", path, body, operation="refund payment", order=order_id)
        except Refused as refused:
            raise doubt_unless_clean(refused) from refused
        refund_id = refund_made(self._payment_answered(answer, request.payment_id), note or None)
        if refund_id is None:
            raise answer.broken("the answer does not show the refund", code="not_as_asked")
        return Receipt(platform_ref=refund_id, request_id=answer.request_id)

    def capture(self, order_id: str, request: CaptureRequest, key: str) -> Receipt:
        """Capture an authorised payment; without an amount all of it, which fails after a partial capture.
        A fully captured one answers 200 and nothing happens."""
        if request.payment_id is None:
            raise self._refuse("capture", order_id, "payment_required", "a Medusa capture must name its payment")
        amount = request.amount
        body = {} if amount is None else {"amount": self._amount(amount, "capture", order_id)}
        path = f"/admin/payments/{path_segment(request.payment_id)}/capture"
        answer = self._client.write("POST", path, body, operation="capture payment", order=order_id)
        self._payment_answered(answer, request.payment_id)
        return Receipt(platform_ref=request.payment_id, request_id=answer.request_id)

    def complete(self, order_id: str, key: str) -> Receipt:
        return self._set_status(order_id, "complete")

    def archive(self, order_id: str, key: str) -> Receipt:
        """Only completed, cancelled and draft orders; the platform's refusal text says the opposite."""
        return self._set_status(order_id, "archive")

    # Inside.

    def _read(self, path: str, params: Params | None, operation: str, order_id: str | None = None) -> Answer:
        try:
            return self._client.read(path, params, operation=operation, order=order_id)
        except NotFound as missing:
            raise not_the_api(missing, str(self._client.base_url)) from missing

    def _asker(self, path: str, operation: str) -> Any:
        return lambda params: self._read(path, params, operation)

    def _fetch_if_there(self, order_id: str) -> RawOrder | None:
        try:
            return self.fetch(order_id)
        except NotFound:
            return None

    def _set_status(self, order_id: str, verb: Literal["complete", "archive"]) -> Receipt:
        path = f"/admin/orders/{path_segment(order_id)}/{verb}"
        answer = self._client.write("POST", path, None, operation=f"{verb} order", order=order_id)
        status = self._order_answered(answer, order_id).get("status")
        return Receipt(status=status if isinstance(status, str) else None, request_id=answer.request_id)

    def _already_cancelled(self, order_id: str, refused: Refused) -> Receipt:
        """Look before believing it. The dialect shows no marker, so there its word has to do."""
        order = msgspec.json.decode(self.fetch(order_id).payload)
        if not self._is_style and order.get("canceled_at") is None:
            raise doubt_unless_clean(refused) from refused
        return Receipt(already_done=True, status=order.get("status"), request_id=refused.request_id)

    def _order_answered(self, answer: Answer, order_id: str) -> dict[str, Any]:
        body = answer.json()
        order = body.get("order", body) if isinstance(body, dict) else None
        if not isinstance(order, dict) or order.get("id") != order_id:
            raise answer.broken("the answer is not the order it was sent to", code="another_order")
        return order

    def _payment_answered(self, answer: Answer, payment_id: str) -> dict[str, Any]:
        body = answer.json()
        payment = body.get("payment", body) if isinstance(body, dict) else None
        if not isinstance(payment, dict) or payment.get("id") != payment_id:
            raise answer.broken("the answer is not the payment it was sent to", code="another_payment")
        return payment

    def _amount(self, money: Money, what: str, order_id: str) -> msgspec.Raw:
        major: Decimal = money.major(self._settings.exponents)
        if major <= 0:
            raise self._refuse(what, order_id, "amount_not_positive", "the amount must be above zero")
        return number(format(major.normalize(), "f"))

    def _refuse(self, operation: str, order_id: str, code: str, why: str) -> Refused:
        return Refused(
            f"{operation}: {why}; nothing was sent",
            code=code,
            shop=self.shop,
            order=order_id,
            operation=operation,
        )


def _open_change(row: Any) -> str:
    """One sentence about an open order change."""
    if not isinstance(row, dict):
        return "an order change that cannot be read is open"
    kind = str(row.get("change_type") or "order change").replace("_", " ")
    return f"{kind} {row.get('id')}, begun {row.get('created_at')}, is still {row.get('status')}"
