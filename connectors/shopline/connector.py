"""The door to one SHOPLINE store: Admin REST (openapi), dated versions, Bearer token.

Moves bytes and knows the platform's quirks; what the orders mean is the mapping's. Facts and their evidence:
README.md beside this file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from ordersync.connector import (
    CancelRequest,
    Feed,
    Page,
    RawOrder,
    Receipt,
    RefundRequest,
    Semantics,
    ShipRequest,
    ShopFacts,
    ShopSettings,
    Window,
)
from ordersync.errors import (
    ConfigError,
    MappingError,
    NotFound,
    OrdersyncError,
    Refused,
    Transient,
    Unauthorized,
)
from ordersync.http import Answer, RateLimit, ShopClient, decode_json, parse_rate

from .asking import Asking, read_list, word
from .bodies import cancel_body, error_text, refund_body, refund_lines, ship_body, user_errors
from .rows import Listing, Marks, marks, split
from .scan import ChangedScan, Limits
from .settings import BearerAuth, ShoplineSettings, token_end

RATE_PER_S = 3.5
"""The bucket drains 4 a second; staying below it keeps requests out of the platform's queue."""
IDS_PER_CALL = 100
_ORDER_ID = re.compile(r"[0-9A-Za-z]{1,64}")
_STORE_STATES = {
    1: "is not activated yet",
    3: "is closed",
    4: "is frozen",
    5: "is deactivated",
}
_LOOK_AT_MOST_S = 20.0
"""A look before a write that took longer is too old to act on: the engine expects the write to be on its way."""
_SHUT_OUT = frozenset({402, 423, 433, 434, 435, 436})
"""The store is frozen, locked, or its security layer blocks us."""
_TOKEN_ENDS_SOON = timedelta(days=60)
_CLOCK_TOLERANCE_S = 60.0


class ShoplineConnector:
    platform: ClassVar[str] = "shopline"
    version: ClassVar[str] = "v20250601"
    Settings: ClassVar[type[ShopSettings]] = ShoplineSettings
    mapping: ClassVar[str] = "shopline"
    feeds: ClassVar[tuple[Feed, ...]] = (
        Feed(
            name="changed",
            catches="orders whose updated_at lies in the window, archived or not; cancels, shipments and edits "
            "move it, refund status changes may not: pending refunds are read again by id",
            complete=True,
        ),
    )
    semantics: ClassVar[Semantics] = Semantics(
        cancel_refunds="unknown",
        cancel_restocks="on_request",
        idempotency_key_life=None,
        refund_names_payment=True,
        refund_can_only_mark=True,
        refund_by=frozenset({"amount", "lines", "shipping"}),
        refund_restocks="with_lines",
        tracking=True,
        refund_token_field="note",  # noqa: S106  # the name of a field
        cancel_token_field="cancel_reason",  # noqa: S106  # the name of a field
        records_cancel=True,
        records_progress=False,
        mutes_buyer_mail=True,
        answer_within_s=40.0,  # up to 10 s in the platform's queue of 40, then 30 s for the answer itself
        queue_s=10.0,  # a queue of 40, worked off at 4 a second, goes on when the caller hangs up
    )

    def __init__(self, shop: str, settings: ShoplineSettings) -> None:
        self.shop = shop
        self.settings = settings
        token = settings.token.get_secret_value()
        if not token.isascii() or not token.strip() or any(char.isspace() for char in token):
            raise ConfigError(
                f"the token of shop {shop} is empty or holds characters no token has",
                code="bad_token",
                shop=shop,
                next_step="copy it again from Admin > Apps > Develop apps, without spaces",
            )
        self._client = ShopClient(
            shop,
            settings.origin,
            auth=BearerAuth(settings.token),
            rate=RateLimit(parse_rate(settings.rate, RATE_PER_S)),
            error_text=error_text,
            timeout_s=self.semantics.answer_within_s,
            request_id_header="traceid",
            headers={"Content-Type": "application/json; charset=utf-8"},  # the page requires it on every call
        )
        limits = Limits(
            page_limit=settings.page_limit,
            lag=timedelta(seconds=settings.lag_seconds),
            overlap=timedelta(minutes=settings.overlap_minutes),
        )
        self._scan = ChangedScan(Asking(self._client, settings.page_limit), limits, shop=shop)

    def close(self) -> None:
        self._client.close()

    # Reading.

    def check(self) -> ShopFacts:
        """Who this is, from merchants/shop.json, one order and the order count."""
        warnings: list[str] = []
        store: dict[str, Any] = {}
        try:
            stated = read_list(self._client, "merchants/shop.json", operation="read the store").json()
            store = stated["data"] if isinstance(stated, dict) and isinstance(stated.get("data"), dict) else {}
        except Unauthorized as refused:
            if refused.code != "http_403":
                raise
            warnings.append(
                "scope read_store_information is missing: the store's name and state stay unknown; "
                "add it in Admin > Apps > Develop apps > scopes"
            )
        answer = self._list({"limit": 1, "status": "any"}, operation="list orders")
        split(answer)
        count = Asking(self._client, self.settings.page_limit).count_all()
        state = _STORE_STATES.get(store.get("biz_store_status", 0))
        if state:
            warnings.append(f"the store {state}: orders may not change and writes may be refused; see its admin")
        skew = answer.clock_skew_s
        if skew is not None and abs(skew) > _CLOCK_TOLERANCE_S:
            warnings.append(f"this machine's clock is {abs(skew):.0f} s off the platform's; set it by NTP")
        ends_at = token_end(self.settings.token.get_secret_value())
        if ends_at is not None and ends_at - datetime.now(UTC) < _TOKEN_ENDS_SOON:
            warnings.append(f"the token ends {ends_at:%Y-%m-%d}; make a new one in Admin > Apps > Develop apps")
        return ShopFacts(
            name=_text_or_none(store.get("name")),
            currency=_text_or_none(store.get("currency")),
            orders=count,
            clock_skew_s=skew,
            warnings=tuple(warnings),
        )

    def fetch(self, order_id: str) -> RawOrder:
        """The order, archived or not. There is no single-order GET: it is listed by its id.

        Errors: NotFound after asking among visible, archived, and once more visible orders (it may have been
        taken out of the archive between the first two); MappingError when it is too large to keep.
        """
        if not _ORDER_ID.fullmatch(order_id):
            raise NotFound(
                "this is not an order id of SHOPLINE",
                code="bad_id",
                shop=self.shop,
                operation="fetch order",
                next_step="give the order's id (26 digits) or its number",
            )
        for hidden in (False, True, False):
            found = self._by_ids([order_id], hidden=hidden, order=order_id)
            for order in found.orders:
                return order
            if found.unreadable:
                raise MappingError(
                    f"the order cannot be kept: {found.unreadable[0].sentence}",
                    code=found.unreadable[0].code,
                    path="id",
                    shop=self.shop,
                    order=order_id,
                    operation="fetch order",
                    next_step="look at this order in the shop's admin; the others go on",
                )
        raise NotFound(
            "no such order, neither visible nor archived", shop=self.shop, order=order_id, operation="fetch order"
        )

    def fetch_many(self, order_ids: Sequence[str]) -> Sequence[RawOrder]:
        """100 a call, archived ones included. Absent and unreadable orders are not returned: `fetch` says why."""
        found: dict[str, RawOrder] = {}
        wanted = [order_id for order_id in dict.fromkeys(order_ids) if _ORDER_ID.fullmatch(order_id)]
        for hidden in (False, True):
            missing = [order_id for order_id in wanted if order_id not in found]
            for start in range(0, len(missing), IDS_PER_CALL):
                listing = self._by_ids(missing[start : start + IDS_PER_CALL], hidden=hidden, order=None)
                found.update((order.order_id, order) for order in listing.orders)
        return [found[order_id] for order_id in wanted if order_id in found]

    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        """One page of `changed`; see scan.py. Errors: ConfigError for another feed or a cursor that is not ours."""
        if feed != "changed":
            raise ConfigError(
                f"SHOPLINE has no feed {feed!r}", code="no_such_feed", shop=self.shop, next_step="use changed"
            )
        return self._scan.step(window, cursor)

    def _by_ids(self, order_ids: Sequence[str], *, hidden: bool, order: str | None) -> Listing:
        operation = "fetch order" if order else "fetch orders"
        params: dict[str, str | int] = {
            "ids": ",".join(order_ids),
            "status": "any",
            "hidden_order": word(hidden),
            "limit": IDS_PER_CALL,
        }
        answer = self._list(params, operation=operation, order=order)
        found = split(answer)
        if any(row.order_id not in order_ids for row in found.orders):
            raise answer.broken("asked for orders by id and was given others", code="other_orders")
        if found.next_url is not None:
            raise answer.broken("asked for at most 100 orders by id and was given a next page", code="broken_page")
        return found

    def _list(self, params: dict[str, str | int], *, operation: str, order: str | None = None) -> Answer:
        return read_list(self._client, "orders.json", params, operation=operation, order=order)

    # Writing: one call each, no idempotency key exists.

    def cancel(self, order_id: str, request: CancelRequest, key: str) -> Receipt:
        """Cancel the order. A refusal is followed by one look: an order that is cancelled by now is success.

        Shape:   POST orders/{id}/cancel.json, flat body; the answer `{"order": …}` has no `status`.
        Units:   `amount` in major units, a number; what it does is unconfirmed, so it is only sent when given.
        Errors:  Refused on 4xx; OutcomeUnknown when no clear answer came.
        Source:  Cancel order, v20250601.
        """
        body = cancel_body(request, self.settings.exponents)
        try:
            answer = self._write("POST", f"orders/{self._path_id(order_id)}/cancel.json", body, "cancel", order_id)
        except Refused as refused:
            return self._already(order_id, refused, lambda found: bool(found.cancelled_at), "cancelled")
        order = self._order_of(answer, order_id)
        return Receipt(status="cancelled" if order.get("cancelled_at") else None, request_id=answer.request_id)

    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        """Refund an amount from one payment slip, on its own or for lines and shipping.

        Shape:   POST order/refund.json; the answer `{"data": {id, transactions[]}}` may say `pending`. Each line must
                 be told as Unshipped or Returned, so a refund that names lines reads the order first.
        Units:   two-decimal text in the payment's settlement currency.
        Errors:  Refused on 4xx or when the request cannot be said exactly; Transient when the order could not be read
                 (nothing was sent); OutcomeUnknown when no clear answer came.
        Source:  Refund order, v20250601.
        """
        self._path_id(order_id)
        try:
            body = refund_body(order_id, request, self.settings.exponents)
            if request.lines:
                body["refund_line_items"] = refund_lines(request, self._look_first(order_id))
        except Refused as not_sent:
            not_sent.shop, not_sent.order = self.shop, order_id
            raise
        answer = self._write("POST", "order/refund.json", body, "refund", order_id)
        record = self._record_of(answer, "data", order_id)
        moved = record.get("transactions")
        first = moved[0] if isinstance(moved, list) and moved and isinstance(moved[0], dict) else {}
        return Receipt(
            platform_ref=record["id"], status=_text_or_none(first.get("status")), request_id=answer.request_id
        )

    def ship(self, order_id: str, request: ShipRequest, key: str) -> Receipt:
        """Make a shipped parcel: there is no packed one. Twice the same is two parcels, while units are left.

        Shape:   POST orders/{id}/fulfillments.json; the answer `{"fulfillment": {id, line_items[], …}}` has line
                 ids as numbers.
        Errors:  Refused on 4xx, and before sending with `fulfillment_id`; OutcomeUnknown when no clear answer
                 came or the parcel made is another.
        Source:  Create fulfillment; recorded from a v20260601 store.
        """
        self._path_id(order_id)
        if request.fulfillment_id is not None:
            raise Refused(
                "ship: this platform has no packed parcels to ship; nothing was sent",
                code="no_packed_parcels",
                shop=self.shop,
                order=order_id,
                operation="ship",
            )
        path = f"orders/{order_id}/fulfillments.json"
        answer = self._write("POST", path, ship_body(request), "ship", order_id)
        parcel = self._record_of(answer, "fulfillment", order_id)
        rows = parcel.get("line_items")
        inside = [
            (str(row.get("id")), row.get("fulfillment_quantity")) for row in rows or () if isinstance(row, dict)
        ]
        if rows is not None and sorted(inside, key=repr) != sorted(
            ((line.line_item_id, line.quantity) for line in request.lines), key=repr
        ):
            raise answer.broken("the parcel made holds something else than asked for", code="not_as_asked")
        return Receipt(platform_ref=parcel["id"], status="shipped", request_id=answer.request_id)

    def archive(self, order_id: str, key: str) -> Receipt:
        """Archive ("close") the order. Errors as `cancel`; a 200 may carry `user_errors`, which is a refusal.

        Shape:   PUT orders/{id}/hide_mark.json without a body; the answer `{"order": …, "user_errors": […]}`.
        Source:  Archive order, v20250601.
        """
        try:
            answer = self._write(
                "PUT", f"orders/{self._path_id(order_id)}/hide_mark.json", None, "archive", order_id
            )
        except Refused as refused:
            return self._already(order_id, refused, lambda found: found.hidden_order is True, "archived")
        self._order_of(answer, order_id)
        return Receipt(status="archived", request_id=answer.request_id)

    def _write(self, method: str, path: str, body: Any, operation: str, order_id: str) -> Answer:
        answer = self._client.write(method, path, body, operation=operation, order=order_id)
        said = user_errors(answer.json())
        if said is not None:
            raise Refused(
                f"{operation}: {self.shop} answered {answer.status} but refused: {answer.quote(said)}",
                code="user_errors",
                http_status=answer.status,
                shop=self.shop,
                order=order_id,
                operation=operation,
                request_id=answer.request_id,
            )
        return answer

    def _already(self, order_id: str, refused: Refused, is_so: Callable[[Marks], bool], status: str) -> Receipt:
        """The texts of refusals are not documented, so the order itself is asked whether it is as wanted; not
        where the platform shuts us out: there it must not be asked more (fact sheet, section 8)."""
        if refused.http_status in _SHUT_OUT:
            raise refused
        try:
            found = marks(self.fetch(order_id).payload)
        except OrdersyncError:
            raise refused from None
        if not is_so(found):
            raise refused
        return Receipt(already_done=True, status=status, request_id=refused.request_id)

    def _look_first(self, order_id: str) -> Any:
        """The order as it is now, for a write that depends on it. Nothing was sent when this fails.

        Errors: Transient, also when the look took so long that it is no longer `now`; Refused for no such order.
        """
        began = time.monotonic()
        try:
            order = decode_json(self.fetch(order_id).payload)
        except NotFound as missing:
            raise Refused(
                f"{missing.message}; nothing was sent",
                code="no_such_record",
                shop=self.shop,
                order=order_id,
                operation="refund",
            ) from missing
        if time.monotonic() - began > _LOOK_AT_MOST_S:
            raise Transient(
                f"refund: {self.shop} took too long to show the order; nothing was sent",
                code="look_too_slow",
                shop=self.shop,
                order=order_id,
                operation="refund",
                next_step="run the same command again later",
            )
        return order

    def _record_of(self, answer: Answer, name: str, order_id: str) -> dict[str, Any]:
        """The record a write made, from under `name`."""
        stated = answer.json()
        record = stated.get(name) if isinstance(stated, dict) else None
        if not isinstance(record, dict) or not isinstance(record.get("id"), str) or not record["id"]:
            raise answer.broken("the answer holds no record", code="no_record")
        if record.get("order_id") not in (None, order_id):
            raise answer.broken("the answer is about another order", code="other_order")
        return record

    def _order_of(self, answer: Answer, order_id: str) -> dict[str, Any]:
        stated = answer.json()
        order = stated.get("order") if isinstance(stated, dict) else None
        if not isinstance(order, dict):
            raise answer.broken("the answer holds no order", code="no_record")
        if order.get("id") not in (None, order_id):
            raise answer.broken("the answer is about another order", code="other_order")
        return order

    def _path_id(self, order_id: str) -> str:
        if not _ORDER_ID.fullmatch(order_id):
            raise Refused("this is not an order id of SHOPLINE; nothing was sent", code="bad_id", shop=self.shop)
        return order_id


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
