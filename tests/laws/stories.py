"""Ordinary stories: what happens to a sale on any day, told between every two platforms and every layout of purses.

The platforms are the shipped connectors as they declare themselves: what they can do, and what they do by themselves.
A story is looked at every five minutes from its beginning; a hold at any of these looks counts, also one that would
have closed itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from ordersync_connectors.medusa import MedusaConnector
from ordersync_connectors.medusa.settings import MedusaSettings
from pydantic import SecretStr
from tests.laws.platform import happen

from ordersync.connector import capabilities, load
from ordersync.model import (
    ActionRecord,
    ActionState,
    Cancellation,
    CellState,
    Decision,
    FactKind,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Ledger,
    Link,
    LinkOrigin,
    Order,
    Progress,
    Purse,
    Refund,
    RefundState,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, build_order, usd

LOOK_EVERY = timedelta(minutes=5)
LOOKED_FOR = timedelta(minutes=90)
"""After the last thing that happens: longer than any wait that ends in a hold."""
TOTAL = 10_000
COMPLETED, PENDING = RefundState.COMPLETED, RefundState.PENDING
Event = Callable[[Order, datetime], Order]
ANY = KindPolicy(sources="any")
POLICY = Policy(cancel=ANY, refund=ANY, fulfill=ANY, progress=ANY)
"""Every shop's word counts, everything else as it is where nothing is configured."""


class Platform(NamedTuple):
    name: str
    can: frozenset[str]
    semantics: Semantics


@lru_cache(maxsize=1)
def platforms() -> tuple[Platform, ...]:
    """The shipped connectors, and the dialect of one of them that knows neither cancels nor parcels."""
    found = []
    for name in ("headless", "medusa", "shopline"):
        connector = load(name)
        found.append(Platform(name, capabilities(connector), connector.semantics))
    settings = MedusaSettings(
        connector="medusa", base_url="http://127.0.0.1", token=SecretStr("sk_made_up"), dialect="style"
    )
    style = MedusaConnector("style", settings)
    try:
        found.append(Platform("medusa style", capabilities(style), style.semantics))
    finally:
        style.close()
    return tuple(found)


class Layout(NamedTuple):
    """Whose refunds pay the buyer: the order it happens to, and the other."""

    name: str
    here: Purse
    there: Purse

    @property
    def both_pay(self) -> bool:
        return self.here is self.there is Purse.GATEWAY


LAYOUTS = (
    Layout("the one it happens to pays", Purse.GATEWAY, Purse.BOOKS),
    Layout("the other pays", Purse.BOOKS, Purse.GATEWAY),
    Layout("neither pays", Purse.BOOKS, Purse.BOOKS),
    Layout("both pay", Purse.GATEWAY, Purse.GATEWAY),
)


def _refund(record_id: str, minor: int, state: RefundState = COMPLETED) -> Event:
    """A refund record appears, or changes its state."""

    def happens(order: Order, at: datetime) -> Order:
        old = next((r for r in order.refunds or () if r.id == record_id), None)
        made = Refund(
            id=record_id,
            status=state,
            amount=usd(minor),
            note="asked for by the buyer",
            payment_id=f"pay-{order.shop}-1",
            created_at=old.created_at if old else at,
        )
        return order.model_copy(update={"refunds": (*(r for r in order.refunds or () if r.id != record_id), made)})

    return happens


def _cancel(order: Order, at: datetime) -> Order:
    return order.model_copy(update={"cancellation": Cancellation(cancelled_at=at)})


def _ship(order: Order, at: datetime) -> Order:
    parcel = Fulfillment(
        id="parcel",
        status=FulfillmentState.SHIPPED,
        lines=(FulfillmentLine(line_item_id="line-1", quantity=2),),
        created_at=at,
        shipped_at=at,
    )
    return order.model_copy(update={"fulfillments": (parcel,)})


class Story(NamedTuple):
    """What happens to one order, and how many minutes after the link was made."""

    events: tuple[tuple[int, Event], ...]
    paid: bool = True
    needs: frozenset[str] = frozenset()
    """What the platform it happens on must know."""


CANCELS, SHIPS = frozenset({"cancels"}), frozenset({"parcels"})
STORIES = {
    "cancel unpaid": Story(((0, _cancel),), paid=False, needs=CANCELS),
    "cancel paid": Story(((0, _cancel), (5, _refund("1", TOTAL))), needs=CANCELS),
    "full refund": Story(((0, _refund("1", TOTAL)),)),
    "partial refund": Story(((0, _refund("1", 1_250)),)),
    "two refunds in a day": Story(((0, _refund("1", 1_250)), (180, _refund("2", 700)))),
    "refund then cancel": Story(
        ((0, _refund("1", 1_250)), (120, _cancel), (120, _refund("2", TOTAL - 1_250))), needs=CANCELS
    ),
    "ship then partial refund": Story(((0, _ship), (120, _refund("1", 1_250))), needs=SHIPS),
    "pending then completed refund": Story(((0, _refund("1", 1_250, PENDING)), (60, _refund("1", 1_250)))),
}


@dataclass(slots=True)
class Told:
    """How one story ended."""

    story: str
    here: str
    there: str
    layout: str
    holds: set[str] = field(default_factory=set)
    """Codes of the holds of any look."""
    cannot: set[str] = field(default_factory=set)
    """Why something was not carried, where a platform cannot express it."""
    owed: set[str] = field(default_factory=set)
    """What is still not there at the last look, and no hold says so."""
    writes: int = 0

    @property
    def clean(self) -> bool:
        return not self.holds and not self.owed


def tellable(story: Story, here: Platform) -> bool:
    """Whether this can happen on the platform, as far as it tells."""
    known = {"cancels"} if here.semantics.records_cancel else set()
    known |= {"parcels"} if "ship" in here.can else set()
    return story.needs <= known


def tell_all() -> Iterator[Told]:
    """Every story between every two platforms, both ways round, in every layout of purses."""
    for here, there, layout in itertools.product(platforms(), platforms(), LAYOUTS):
        for name, story in STORIES.items():
            if tellable(story, here):
                yield tell(name, here, there, layout)


def tell(name: str, here: Platform, there: Platform, layout: Layout) -> Told:
    story = STORIES[name]
    told = Told(name, here.name, there.name, layout.name)
    orders = {
        shop: build_order(
            shop,
            captured=None if story.paid else 0,
            purse=purse,
            progress=Progress.PENDING if platform.semantics.records_progress else None,
        )
        for shop, platform, purse in (("a", here, layout.here), ("b", there, layout.there))
    }
    does = {"a": here, "b": there}
    ledger, journal = Ledger(), list[ActionRecord]()
    events = list(story.events)
    now = NOON - LOOK_EVERY
    end = NOON + timedelta(minutes=events[-1][0]) + LOOKED_FOR
    while now < end:
        while events and NOON + timedelta(minutes=events[0][0]) <= now:
            orders["a"] = events.pop(0)[1](orders["a"], now - timedelta(minutes=1))
        last = _look(orders, does, ledger, journal, now)
        ledger = last.ledger
        told.holds |= {hold.code for hold in last.holds}
        if not last.actions:
            now += LOOK_EVERY
            continue
        action = last.actions[0]
        shop = action.target.shop
        orders[shop], made = happen(orders[shop], action, does[shop].semantics, now)
        journal.append(
            ActionRecord(
                action=action,
                state=ActionState.SEEN,
                intended_at=now,
                sent_at=now,
                answered_at=now,
                platform_ref=made,
            )
        )
        told.writes += 1
    cells = [(row.fact.kind, cell) for row in ledger.rows for cell in row.cells]
    told.cannot = {
        f"{kind}: {cell.reason}"
        for kind, cell in cells
        if cell.state is CellState.CANNOT and kind is not FactKind.PROGRESS  # no story moves an order on
    }
    told.owed = {
        f"{kind}: {cell.reason}" for kind, cell in cells if cell.state in (CellState.OWED, CellState.SENT)
    }
    return told


def _look(
    orders: dict[str, Order],
    does: dict[str, Platform],
    ledger: Ledger,
    journal: list[ActionRecord],
    now: datetime,
) -> Decision:
    made_at = NOON - timedelta(days=1)
    return reconcile(
        Link(link_id="L1", members=tuple(o.ref for o in orders.values()), origin=LinkOrigin.RULE, made_at=made_at),
        ledger,
        [Member(order.ref, order, does[shop].can, does[shop].semantics) for shop, order in orders.items()],
        journal,
        POLICY,
        now,
        made_at,
    )
