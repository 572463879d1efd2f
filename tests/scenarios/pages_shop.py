"""A shop whose pages are written down by the test: for scenarios about pulling, not about any platform."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from ordersync.connector import Feed, Page, RawOrder, ShopFacts, ShopSettings, Window
from ordersync.engine.pull import PullReport, pull
from ordersync.engine.shops import Normalised, Shop
from ordersync.errors import BrokenAnswer, MappingError, NotFound, OrdersyncError
from ordersync.model import Money, Order, Payment, PaymentState, Progress, Purse, Refund, RefundState
from ordersync.model.semantics import Semantics
from ordersync.store import Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
READ_FROM = datetime(2026, 10, 1, tzinfo=UTC)
CHANGED = Feed(name="changed", catches="changes", complete=True)
OPEN = Feed(name="open", catches="open orders", by_watermark=False, lists_open=True)
RECENT = Feed(name="recent", catches="the last days", by_watermark=False, look_back=timedelta(days=3))


class PagesConnector:
    """Serves `pages[feed][cursor]`, and `orders` by id; keeps what it was asked."""

    platform: ClassVar[str] = "pages"
    version: ClassVar[str] = "1"
    Settings: ClassVar[type[ShopSettings]] = ShopSettings
    feeds: ClassVar[tuple[Feed, ...]] = (CHANGED,)
    semantics: ClassVar[Semantics] = Semantics(cancel_refunds="none", cancel_restocks="never")
    mapping: ClassVar[str] = "pages"

    def __init__(self, shop: str, settings: Any = None) -> None:
        self.shop = shop
        self.orders: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, dict[str | None, Page | OrdersyncError]] = {}
        self.asked: list[tuple[str, Window, str | None]] = []
        self.fetched: list[str] = []
        self.failures: dict[str, OrdersyncError] = {}

    def check(self) -> ShopFacts:
        return ShopFacts(name=self.shop)

    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        self.asked.append((feed, window, cursor))
        page = self.pages.get(feed, {}).get(cursor, Page())
        if isinstance(page, OrdersyncError):
            raise page
        sent_at = datetime.now(UTC)
        return page.model_copy(
            update={"orders": tuple(raw.model_copy(update={"sent_at": sent_at}) for raw in page.orders)}
        )

    def fetch(self, order_id: str) -> RawOrder:
        self.fetched.append(order_id)
        if order_id in self.failures:
            raise self.failures[order_id]
        if order_id not in self.orders:
            raise NotFound("no such order", shop=self.shop, order=order_id)
        return row(order_id, **self.orders[order_id])

    def close(self) -> None:
        return None


class BatchConnector(PagesConnector):
    def fetch_many(self, order_ids: Sequence[str]) -> Sequence[RawOrder]:
        self.fetched.append("+".join(order_ids))
        if "spoilt" in order_ids:
            raise BrokenAnswer("cut JSON", shop=self.shop)
        return [row(order_id, **self.orders[order_id]) for order_id in order_ids if order_id in self.orders]


def row(order_id: str, *, partial: bool = False, **fields: Any) -> RawOrder:
    payload = json.dumps({"id": order_id, **fields}).encode()
    return RawOrder(order_id=order_id, payload=payload, sent_at=datetime.now(UTC), partial=partial)


def normalise(raw: RawOrder) -> Normalised:
    """Payloads of this test: id, number, state (open | done | cancelled-word), pending (minor units)."""
    payload = json.loads(raw.payload)
    state = payload.get("state", "open")
    if state not in ("open", "done"):
        raise MappingError(f"unknown word {state!r}", code="unknown_word", path="state")
    pending = payload.get("pending", 0)
    usd = Money(amount_minor=5000, currency="USD")
    refund = Refund(id="r1", status=RefundState.PENDING, amount=Money(amount_minor=pending, currency="USD"))
    order = Order(
        shop="asia",
        order_id=payload["id"],
        number=payload.get("number"),
        currency="USD",
        payments=(Payment(id="p", purse=Purse.BOOKS, status=PaymentState.COMPLETED, amount=usd, captured=usd),),
        refunds=(refund,) if pending else (),
        progress=Progress.COMPLETED if state == "done" else Progress.PENDING,
    )
    return Normalised(order, raw.payload)


def shop_of(
    connector: PagesConnector, *, version: str = "", normalising: Callable[[RawOrder], Normalised] = normalise
) -> Shop:
    return Shop(
        name="asia",
        connector=connector,
        capabilities=frozenset({"fetch_many"} if isinstance(connector, BatchConnector) else ()),
        semantics=connector.semantics,
        normalise=normalising,
        scrub=lambda raw: raw.payload,
        mapping_version=version,
    )


def run(store: Store, shop: Shop, now: datetime = NOW, **options: Any) -> PullReport:
    return pull(store, shop, read_from=READ_FROM, now=now, **options)


def ids(store: Store) -> list[str]:
    return [stored.order.order_id for stored in store.orders("asia")]


def hold_codes(store: Store) -> list[str]:
    return [held.hold.code for held in store.holds()]


def chain(*pages: Sequence[RawOrder]) -> dict[str | None, Page | OrdersyncError]:
    """Pages one after another: None -> c1 -> c2 … -> end."""
    last = len(pages) - 1
    return {
        f"c{place}" if place else None: Page(
            orders=tuple(rows), next_cursor=f"c{place + 1}" if place < last else None, total=None
        )
        for place, rows in enumerate(pages)
    }
