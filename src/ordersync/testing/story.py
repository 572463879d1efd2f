"""A day in three shops, for the demo and the end-to-end tests: sales placed everywhere, then things happen to them.

What people do in the shops' admin pages is done through a second connection to each sandbox that leaves no
ordersync mark. The story also knows how the day must end, so that the shops' own lists can be compared with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ordersync.connector import (
    CanCancel,
    CancelRequest,
    CanPack,
    CanRefund,
    CanShip,
    Connector,
    LineQuantity,
    PackRequest,
    RefundRequest,
    ShipRequest,
)
from ordersync.model import Money, Order, Purse
from ordersync.testing.sales import SaleSpec, sales
from ordersync.testing.sandbox import Fault, SandboxServer

PROVIDERS = {"asia": "SLpayments", "office": "pp_system_default", "web": "manual"}
"""SHOPLINE holds the buyer's money; the other two keep books."""
BOOKS_ONLY = {"asia": ["COD", "CUSTOM"], "office": ["pp_system_default"], "web": ["manual", "bank_transfer"]}


class DemoSandbox(Protocol):
    def add_sale(self, spec: SaleSpec) -> Any: ...

    def own_refunds(self) -> list[tuple[str, str, int, str, str, str | None]]: ...

    def own_parcels(self) -> Any: ...

    def own_cancels(self) -> list[tuple[str, Any, str | None]]: ...

    def settings_for(self, server: SandboxServer) -> dict[str, Any]: ...

    def add_fault(self, fault: Fault) -> None: ...


@dataclass(slots=True)
class Story:
    """Roles of the day: which sale what happens to, by its number."""

    sales: list[SaleSpec]
    partly: int
    unpaid: int
    both_sides: int
    unequal: int
    from_office: int
    whole: int
    shipped: int
    expected_refunds: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    """(shop, number, minor units): how many refunds of that amount the shop must show in the end."""
    expected_cancels: Counter[tuple[str, int]] = field(default_factory=Counter)
    expected_units: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(shop, number): how many units must have left."""

    def sale(self, number: int) -> SaleSpec:
        return next(sale for sale in self.sales if sale.number == number)


def make_story(seed: int, count: int = 36) -> Story:
    """`count` sales in US dollars; the roles fall on sales large enough for them."""
    specs = list(sales(seed, count))
    large = [spec.number for spec in specs if spec.total_minor >= 4000]
    if len(large) < 7:
        raise ValueError("the seed gives too few large sales for the story; take another")
    step = len(large) // 7
    partly, unpaid, both_sides, unequal, from_office, whole, shipped = (large[step * role] for role in range(7))
    placed = [
        replace(spec, paid=spec.number != unpaid, references={"external_id": f"SL-{spec.number}"})
        for spec in specs
    ]
    return Story(placed, partly, unpaid, both_sides, unequal, from_office, whole, shipped)


def place_sales(story: Story, sandboxes: Mapping[str, DemoSandbox]) -> int:
    """Put every sale on every shop; one shop has two more that nobody else has. Returns the orders placed."""
    placed = 0
    for name, sandbox in sandboxes.items():
        for spec in story.sales:
            sandbox.add_sale(replace(spec, provider=PROVIDERS[name]))
            placed += 1
    alone = [replace(s, number=s.number + 900, references={}) for s in story.sales[:2]]
    for spec in alone:
        sandboxes["asia"].add_sale(replace(spec, provider=PROVIDERS["asia"]))
    return placed + len(alone)


@dataclass(slots=True)
class Admin:
    """A person in the shops' admin pages: acts by order number, leaves no ordersync mark."""

    connectors: Mapping[str, Connector]
    find: Callable[[str, int], Order]
    """(shop, number of the sale) to the order as it was last read."""

    def name(self, shop: str, number: int) -> str:
        """How the shop itself calls the sale's order."""
        return f"{shop}:{self.find(shop, number).number}"

    def refund(self, shop: str, number: int, amount_minor: int, why: str) -> None:
        order = self.find(shop, number)
        connector = self.connectors[shop]
        payment = (order.payments or ())[0]
        if not isinstance(connector, CanRefund):
            raise TypeError(f"{shop} cannot refund")
        request = RefundRequest(
            amount=Money(amount_minor=amount_minor, currency=order.money_currency),
            payment_id=payment.id,
            to="books" if payment.purse is Purse.BOOKS else "original",
            reason=why,
        )
        connector.refund(order.order_id, request, f"admin-{shop}-{number}-{amount_minor}")

    def ship(self, shop: str, number: int, carrier: str, tracking: str) -> int:
        """Everything in one parcel; returns the units that left."""
        order = self.find(shop, number)
        connector = self.connectors[shop]
        if not isinstance(connector, CanPack) or not isinstance(connector, CanShip):
            raise TypeError(f"{shop} cannot pack and ship")
        lines = tuple(LineQuantity(line_item_id=x.id, quantity=x.quantity) for x in order.line_items or ())
        key = f"admin-{shop}-{number}"
        packed = connector.pack(order.order_id, PackRequest(lines=lines), f"{key}-pack")
        request = ShipRequest(
            fulfillment_id=packed.platform_ref, lines=lines, carrier=carrier, tracking_number=tracking
        )
        connector.ship(order.order_id, request, f"{key}-ship")
        return sum(line.quantity for line in lines)

    def cancel(self, shop: str, number: int, why: str) -> None:
        connector = self.connectors[shop]
        if not isinstance(connector, CanCancel):
            raise TypeError(f"{shop} cannot cancel")
        order = self.find(shop, number)
        connector.cancel(order.order_id, CancelRequest(reason=why), f"admin-{shop}-{number}-cancel")


def let_things_happen(story: Story, admin: Admin, sandboxes: Mapping[str, DemoSandbox]) -> list[str]:
    """One line per thing that happened; fills in how the day must end."""
    said: list[str] = []
    name = admin.name
    everywhere = ("asia", "office", "web")

    admin.refund("asia", story.partly, 1250, "one mug chipped")
    said.append(f"{name('asia', story.partly)} refunded 12.50")
    _expect(story, everywhere, story.partly, 1250)

    admin.cancel("web", story.unpaid, "buyer never paid")
    said.append(f"{name('web', story.unpaid)} cancelled (unpaid)")
    story.expected_cancels.update((shop, story.unpaid) for shop in everywhere)

    for shop in ("asia", "office"):
        admin.refund(shop, story.both_sides, 800, "late delivery")
    both = " and ".join(name(shop, story.both_sides) for shop in ("asia", "office"))
    said.append(f"{both} refunded 8.00, by hand on both")
    _expect(story, everywhere, story.both_sides, 800)

    admin.refund("asia", story.unequal, 3000, "wrong size")
    admin.refund("office", story.unequal, 2000, "wrong size")
    said.append(
        f"{name('asia', story.unequal)} refunded 30.00, and by hand 20.00 on {name('office', story.unequal)}"
    )
    _expect(story, ("asia",), story.unequal, 3000)
    _expect(story, ("office",), story.unequal, 2000)

    admin.refund("office", story.from_office, 500, "goodwill")
    said.append(f"{name('office', story.from_office)} refunded 5.00; asia holds the buyer's money")
    _expect(story, everywhere, story.from_office, 500)

    total = story.sale(story.whole).total_minor
    admin.refund("asia", story.whole, total, "out of stock")
    admin.cancel("asia", story.whole, "out of stock")
    said.append(f"{name('asia', story.whole)} refunded {total // 100}.{total % 100:02d} in full, then cancelled")
    _expect(story, everywhere, story.whole, total)
    story.expected_cancels.update((shop, story.whole) for shop in everywhere)

    units = admin.ship("office", story.shipped, "SF", "SF1234567")
    said.append(f"{name('office', story.shipped)} shipped, {units} units, tracking SF1234567")
    story.expected_units.update({(shop, story.shipped): units for shop in everywhere})

    sandboxes["office"].add_fault(Fault("500_after", method="POST", path=r"/refund$"))
    said.append("office will answer its next refund with an error, although it makes it")
    return said


def _expect(story: Story, shops: tuple[str, ...], number: int, amount_minor: int) -> None:
    story.expected_refunds.update((shop, number, amount_minor) for shop in shops)


@dataclass(slots=True)
class Verdict:
    """The shops' own lists against the story."""

    refunds: int
    cancels: int
    parcels: int
    wrong: list[str]


def compare_with_the_shops(
    story: Story, sandboxes: Mapping[str, DemoSandbox], number_of: Callable[[str, str], int | None]
) -> Verdict:
    """Read the sandboxes' own refund and cancel lists, not ordersync's store. `number_of(shop, order_id)`."""
    refunds: Counter[tuple[str, int, int]] = Counter()
    cancels: Counter[tuple[str, int]] = Counter()
    units: Counter[tuple[str, int]] = Counter()
    parcels = 0
    for shop, sandbox in sandboxes.items():
        for order_id, _parcel_id, state, lines, _tracking in sandbox.own_parcels():
            if state in ("shipped", "delivered"):
                units[(shop, number_of(shop, order_id) or 0)] += sum(lines.values())
                parcels += 1
        for order_id, _refund_id, amount_minor, _currency, status, _note in sandbox.own_refunds():
            if amount_minor > 0 and status != "failed":
                refunds[(shop, number_of(shop, order_id) or 0, amount_minor)] += 1
        for order_id, _at, _reason in sandbox.own_cancels():
            cancels[(shop, number_of(shop, order_id) or 0)] += 1
    wrong = [
        f"{shop}:{number} shows {refunds[shop, number, minor]} refunds of {minor / 100:.2f}, not {count}"
        for shop, number, minor in sorted(refunds | story.expected_refunds)
        if refunds[shop, number, minor] != (count := story.expected_refunds[shop, number, minor])
    ]
    wrong += [
        f"{shop}:{number} is cancelled {cancels[shop, number]} times, not {story.expected_cancels[shop, number]}"
        for shop, number in sorted(cancels | story.expected_cancels)
        if cancels[shop, number] != story.expected_cancels[shop, number]
    ]
    wrong += [
        f"{shop}:{number} shipped {units[shop, number]} units, not {story.expected_units[shop, number]}"
        for shop, number in sorted(units | story.expected_units)
        if units[shop, number] != story.expected_units[shop, number]
    ]
    return Verdict(sum(refunds.values()), sum(cancels.values()), parcels, wrong)
