"""Checks every connector's contract tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ordersync.connector import Connector, Page, RawOrder, Window
from ordersync.errors import OrdersyncError

MOST_PAGES = 500


@dataclass
class Pass:
    """What one whole pass of a feed brought."""

    orders: list[RawOrder] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [order.order_id for order in self.orders]

    @property
    def unreadable(self) -> list[str]:
        return [said for page in self.pages for said in page.unreadable]


def pull_all(connector: Connector, feed: str, window: Window | None = None, cursor: str | None = None) -> Pass:
    """Every page of a feed, to the one without a next cursor."""
    done = Pass()
    for _ in range(MOST_PAGES):
        page = connector.pull(feed, window or Window(), cursor)
        done.pages.append(page)
        done.orders.extend(page.orders)
        cursor = page.next_cursor
        if cursor is None:
            return done
    raise AssertionError(f"{feed} did not end within {MOST_PAGES} pages")


def error_of(call: Callable[[], object], *secrets: str) -> OrdersyncError:
    """The OrdersyncError of `call`; none of `secrets` may be in anything it says."""
    with pytest.raises(OrdersyncError) as caught:
        call()
    told = f"{caught.value!r} {caught.value} {caught.value.fields()}"
    for secret in secrets:
        assert secret not in told
    return caught.value
