"""Headless Commerce (headlesscommerce.io): orders read, and every write the platform has.

Quirks that shape this file (README, "Evidence"): an order has no `updated_at`, so changes are found by three
feeds; amounts in requests carry no currency; only 2xx answers are kept under an Idempotency-Key.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import httpx
from ordersync_connectors.headless.paging import CHILDREN, ListPage, Loops, Position, Row, split
from ordersync_connectors.headless.parcels import HeadlessParcels
from ordersync_connectors.headless.settings import HeadlessSettings
from ordersync_connectors.headless.writes import error_text

from ordersync.connector import (
    MAX_ORDER_BYTES,
    Feed,
    Page,
    RawOrder,
    Semantics,
    ShopFacts,
    ShopSettings,
    Window,
    utc_text,
)
from ordersync.errors import (
    BrokenAnswer,
    ConfigError,
    MappingError,
    NotFound,
    Unauthorized,
    UsageError,
)
from ordersync.http import Answer, RateLimit, ShopClient, parse_rate, path_segment

_DEFAULT_RATE_PER_S = 3.0
_CLOSED = frozenset({"completed", "cancelled"})
_SKEW_WARNED_S = 60.0
_log = logging.getLogger("ordersync.headless")


class Bearer(httpx.Auth):
    """`Authorization: Bearer <key>`; the key is not in its repr."""

    def __init__(self, key: str) -> None:
        self._header = f"Bearer {key}"

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = self._header
        yield request


class HeadlessConnector(HeadlessParcels):
    platform: ClassVar[str] = "headless"
    version: ClassVar[str] = "v1"
    Settings: ClassVar[type[ShopSettings]] = HeadlessSettings
    mapping: ClassVar[str] = "headless"
    feeds: ClassVar[tuple[Feed, ...]] = (
        Feed(name="new", catches="orders created since the last pass, with overlap", complete=True),
        Feed(
            name="open",
            catches="every change of an open order, also the silent ones (processing, tracking, note, address)",
            by_watermark=False,
            lists_open=True,
        ),
        Feed(
            name="closed",
            catches="late changes of orders created in the last days, in any status: refunds, returns",
            by_watermark=False,
            look_back=timedelta(days=60),
        ),
    )
    semantics: ClassVar[Semantics] = Semantics(
        cancel_refunds="unknown",
        cancel_restocks="unknown",
        idempotency_key_life=timedelta(hours=24),
        refund_by=frozenset({"amount", "lines"}),
        refund_restocks="on_request",
        ship_needs_pack=True,
        tracking=True,
        tracking_at_pack=True,
        deliver=True,
        refund_token_field="note",  # noqa: S106  # a field name: refunds[].reason becomes Refund.note
        cancel_token_field=None,  # an order's cancel reason is not documented to come back
        mutes_buyer_mail=False,  # no call has a switch for it, and no page says what is mailed
    )

    def __init__(self, shop: str, settings: HeadlessSettings) -> None:
        self.shop = shop
        self._settings = settings
        self._books_only = settings.books_only
        self._amount_with_lines = settings.refund_send_amount_with_lines
        self._rate = RateLimit(parse_rate(settings.rate, _DEFAULT_RATE_PER_S), burst=2)
        secret = settings.api_key.get_secret_value()
        public = settings.publishable_key.get_secret_value() if settings.publishable_key else secret
        self._key_kind = secret.split("_")[0] if secret.startswith(("sk_", "pk_")) else ""
        self._admin_client = self._client(secret)
        self._storefront = self._client(public)
        self._loops = Loops()
        self._said: set[str] = set()
        if settings.closed_window_days != 60:
            days = timedelta(days=settings.closed_window_days)
            # The class tells what every shop has; this shop's own window is told by the instance.
            self.__dict__["feeds"] = tuple(
                feed.model_copy(update={"look_back": days}) if feed.look_back else feed for feed in self.feeds
            )

    def _client(self, key: str) -> ShopClient:
        return ShopClient(
            self.shop,
            self._settings.base_url,
            auth=Bearer(key),
            rate=self._rate,
            error_text=error_text,
            timeout_s=self.semantics.answer_within_s,
        )

    def close(self) -> None:
        self._admin_client.close()
        self._storefront.close()

    @property
    def _admin(self) -> ShopClient:
        """The client for `/admin/...`. Unauthorized, before any request, when the key is a publishable one."""
        if self._key_kind == "pk":
            raise Unauthorized(
                f"the api_key of shop {self.shop} is a publishable key (pk_): it may look orders up, "
                "but not list, read or change them; nothing was sent",
                code="publishable_key",
                shop=self.shop,
                next_step=f"put the secret key (sk_) into shops.{self.shop}.api_key",
            )
        return self._admin_client

    # Reading

    def check(self) -> ShopFacts:
        """The store and its number of orders, in two requests."""
        answer = self._admin.read("/admin/store", operation="check")
        store = _object(answer)
        orders = split(self._admin.read("/admin/orders", {"limit": 1}, operation="check"))
        named = store.get("name") or store.get("id")
        currency = store.get("currency")
        return ShopFacts(
            name=named if isinstance(named, str) else None,
            currency=currency if isinstance(currency, str) else None,
            orders=orders.total,
            clock_skew_s=answer.clock_skew_s,
            warnings=tuple(self._warnings(answer.clock_skew_s)),
        )

    def _warnings(self, skew_s: float | None) -> list[str]:
        found: list[str] = []
        where = f"shops.{self.shop}"
        mode, meant = _key_mode(self._settings.api_key.get_secret_value()), self._settings.environment
        public = self._settings.publishable_key
        if not self._key_kind:
            found.append(f"the key starts with neither sk_ nor pk_: check {where}.api_key")
        if meant and mode and mode != meant:
            found.append(f"the key is a {mode} key, the shop is meant to be {meant}: fix {where}")
        elif mode == "test":
            found.append("a test key: it reads and changes test orders only")
        if public and mode and _key_mode(public.get_secret_value()) not in (None, mode):
            found.append(f"api_key and publishable_key are of different modes: fix {where}")
        if skew_s is not None and abs(skew_s) > _SKEW_WARNED_S:
            found.append(
                f"the platform's clock and this one are {abs(skew_s):.0f} s apart: set this machine's clock"
            )
        return found

    def fetch(self, order_id: str) -> RawOrder:
        """The whole order, expanded. NotFound is the platform's 404; a known order is nowhere else to be found."""
        answer = self._admin.read(
            f"/admin/orders/{path_segment(order_id)}",
            {self._settings.expand_param: self._settings.expand_value},
            operation="fetch",
            order=order_id,
        )
        found = _object(answer).get("id")
        if found != order_id:
            raise answer.broken("the answer is another order than the one asked for", code="another_order")
        return self._raw(order_id, answer)

    def fetch_many(self, order_ids: Sequence[str]) -> Sequence[RawOrder]:
        """One request each: the platform has no list by ids.

        Left out are absent orders and those that cannot be read now or ever: asked for alone, `fetch` says why.
        An outage or a refused key is no such thing and is raised.
        """
        found = []
        for order_id in order_ids:
            try:
                found.append(self.fetch(order_id))
            except (NotFound, MappingError, BrokenAnswer):
                continue
        return found

    def lookup(self, number: str, email: str) -> RawOrder:
        """Guest look-up by order number and the e-mail given at checkout; both must match.

        Errors: UsageError when the number is not all digits, NotFound when the two do not name an order.
        """
        digits = number.replace("#", "").replace(" ", "")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            raise UsageError(
                "an order number of this platform is all digits; nothing was sent",
                code="bad_number",
                shop=self.shop,
                operation="lookup",
                next_step="give the number as on the buyer's confirmation, with or without #",
            )
        typed = email.strip()
        lowered = typed.lower()
        try:
            answer = self._ask_lookup(digits, typed)
        except NotFound:
            # Whether the platform compares case is not documented.
            if lowered == typed:
                raise
            answer = self._ask_lookup(digits, lowered)
        order = _object(answer)
        if str(order.get("number")) != digits or not isinstance(order.get("id"), str):
            raise answer.broken("the answer is another order than the one asked for", code="another_order")
        return self._raw(order["id"], answer, partial=any(order.get(child) is None for child in CHILDREN))

    def _ask_lookup(self, digits: str, email: str) -> Answer:
        names = self._settings
        try:
            return self._storefront.read(
                "/storefront/orders/lookup",
                {names.lookup_number_param: digits, names.lookup_email_param: email},
                operation="lookup",
            )
        except NotFound as missing:
            raise NotFound(
                "lookup: no order has this number together with this e-mail address",
                code=missing.code,
                shop=self.shop,
                operation="lookup",
                request_id=missing.request_id,
                next_step="check both; the platform does not say which one is wrong",
            ) from missing

    def _raw(self, order_id: str, answer: Answer, *, partial: bool = False) -> RawOrder:
        if len(answer.body) > MAX_ORDER_BYTES:
            raise MappingError(
                f"order has {len(answer.body)} bytes, more than the {MAX_ORDER_BYTES} that are read",
                code="order_too_large",
                shop=self.shop,
                order=order_id,
                operation="fetch",
                next_step="look at the order on the platform; it is left alone until then",
            )
        return RawOrder(order_id=order_id, payload=answer.body, sent_at=answer.sent_at, partial=partial)

    # Feeds

    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        """One page. The cursor holds where the feed is; the window must stay the same during a pass."""
        position = Position.of(cursor, feed)
        if feed == "new":
            overlap = timedelta(minutes=self._settings.overlap_minutes)
            return self._created(feed, window.since - overlap if window.since else None, window, position)
        if feed == "closed":
            return self._created(feed, window.since, window, position)
        if feed == "open":
            return self._open(position)
        raise ConfigError(
            f"the headless connector has no feed {feed!r}",
            shop=self.shop,
            next_step=f"its feeds are {', '.join(known.name for known in self.feeds)}",
        )

    def _created(self, feed: str, since: datetime | None, window: Window, position: Position) -> Page:
        """Orders by time of creation, in any status."""
        filters: dict[str, str | int] = {}
        if since:
            filters[self._settings.created_after_param] = utc_text(since.replace(microsecond=0))
        if window.until:
            filters[self._settings.created_before_param] = utc_text(_ceil_second(window.until))
        chain = (feed, *(str(value) for value in filters.values()))
        listed, answer = self._list(filters, position.after, chain)
        kept = [row for row in listed.rows if self._inside(row, since, window.until)]
        after = listed.next_after
        covered = position.covered if position.after else answer.dated_at
        return Page(
            orders=self._orders(kept, answer),
            next_cursor=Position(after=after, covered=covered).text() if after else None,
            total=listed.total,
            unreadable=listed.unreadable,
            covered_until=covered if covered and not after and window.until and covered < window.until else None,
        )

    def _open(self, position: Position) -> Page:
        """One chain of pages per open status, each to its end; the platform takes one status a request."""
        statuses: tuple[str, ...] = self._settings.open_statuses
        if position.status not in statuses:
            position = Position()  # a new pass, or the setting changed under a kept cursor: list everything
        status = position.status or statuses[0]
        listed, answer = self._list({"status": status}, position.after, ("open", status))
        kept = []
        for row in listed.rows:
            if row.status in _CLOSED:
                self._say_ignored("status")
                continue
            kept.append(row)
        counted = position.counted + (listed.total or 0)
        place = statuses.index(status) + 1
        following: Position | None = None
        if listed.next_after:
            following = Position(after=listed.next_after, status=status, counted=position.counted)
        elif place < len(statuses):
            following = Position(status=statuses[place], counted=counted)
        return Page(
            orders=self._orders(kept, answer),
            next_cursor=following.text() if following else None,
            total=counted if listed.total is not None else None,
            unreadable=listed.unreadable,
        )

    def _list(
        self, filters: dict[str, str | int], after: str | None, chain: tuple[str, ...]
    ) -> tuple[ListPage, Answer]:
        params: dict[str, str | int] = {"limit": self._settings.page_limit, **filters}
        if after:
            params["starting_after"] = after
        answer = self._admin.read("/admin/orders", params, operation=f"list {chain[0]}")
        listed = split(answer, cursor_from_last_id=self._settings.cursor_from_last_id)
        if listed.next_after is None:
            self._loops.forget(chain)
        elif self._loops.repeats(chain, after, listed.next_after):
            raise answer.broken("the list runs in circles: a cursor came twice", code="repeated_cursor")
        return listed, answer

    def _inside(self, row: Row, since: datetime | None, until: datetime | None) -> bool:
        """The filter again, on our side. A row outside says that the platform ignores it; it ends nothing."""
        if row.created_at is None:
            return True
        if since and row.created_at < since.replace(microsecond=0):
            self._say_ignored(self._settings.created_after_param)
            return False
        if until and row.created_at > _ceil_second(until):
            self._say_ignored(self._settings.created_before_param)
            return False
        return True

    def _say_ignored(self, parameter: str) -> None:
        if parameter not in self._said:
            self._said.add(parameter)
            _log.warning("filter_ignored shop=%s parameter=%s", self.shop, parameter)

    def _orders(self, rows: Sequence[Row], answer: Answer) -> tuple[RawOrder, ...]:
        detail = self._settings.detail
        if detail == "never" and not all(row.whole for row in rows):
            raise ConfigError(
                f"list rows of shop {self.shop} lack lines, payments, fulfillments or refunds: "
                "detail: never does not fit this shop",
                shop=self.shop,
                next_step=f"set shops.{self.shop}.detail: auto",
            )
        return tuple(
            RawOrder(
                order_id=row.order_id,
                payload=row.payload,
                sent_at=answer.sent_at,
                partial=detail == "always" or not row.whole,
            )
            for row in rows
        )


def _object(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise answer.broken("the answer is not a JSON object")
    return body


def _key_mode(key: str) -> str | None:
    parts = key.split("_")
    return parts[1] if len(parts) > 2 and parts[1] in ("live", "test") else None


def _ceil_second(moment: datetime) -> datetime:
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)
