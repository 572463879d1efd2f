"""The alphabets `make laws` walks: small states of one member, and which of them are put together.

One member's state is money (refund records and purse), cancel, parcels and progress together. The whole product of
all letters has some 10^8 pairs, so it is cut into alphabets, each walked in full. Why that leaves nothing out:

* Members have no order, so a pair is walked once and the decision about its mirror image is compared (law 2).
* A letter is left out only where nothing reads it: what a cancel refunds is read when exactly one side is cancelled,
  what refunds and parcels can be told when there are lines or parcels, stock when a record returned some.
* Money reads parcels only to refuse a cancel, and goods read money only through "one write per order": `WHOLE` walks
  all kinds together over few letters of each, `MONEY` and `GOODS` many letters of one kind.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import NamedTuple

from ordersync.model import (
    FactKind,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Order,
    OrderRef,
    Progress,
    Purse,
    RefundState,
    fact_id_of,
    token_of,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Policy
from ordersync.testing.orders import NOON, R, build_order, usd

PENDING, FAILED = RefundState.PENDING, RefundState.FAILED
NOBODYS = "os-aaaaaaaa"
LINE = (("line-1", 1),)

RECORDS: dict[str, tuple[R, ...]] = {
    "none": (),
    "500": (R("1", 500),),
    "501": (R("1", 501),),
    "500 pending": (R("1", 500, PENDING),),
    "500 failed": (R("1", 500, FAILED),),
    "500 twice": (R("1", 500), R("2", 500, minutes_ago=20)),
    "500 again after a day": (R("0", 500, minutes_ago=1_530), R("1", 500)),
    "700": (R("3", 700, minutes_ago=25),),
    "500 and 700": (R("1", 500), R("3", 700, minutes_ago=25)),
    "600 and 600": (R("1", 600), R("2", 600, minutes_ago=25)),
    "1200": (R("5", 1_200, minutes_ago=24),),
    "500 pending and 700": (R("1", 500, PENDING), R("3", 700, minutes_ago=25)),
    "300 and 200": (R("1", 300), R("2", 200, minutes_ago=29)),
    "all": (R("4", 10_000),),
    "all in two": (R("4", 6_000), R("5", 4_000)),
    "dust": (R("9", 0),),
    "500 and dust": (R("1", 500), R("9", 0, minutes_ago=29)),
    "a line": (R("6", 5_000, lines=LINE),),
    "two lines": (R("6", 5_000, lines=LINE), R("7", 5_000, minutes_ago=25, lines=LINE)),
    "a line and shipping": (R("6", 5_500, lines=LINE),),
    "a line, restocked": (R("6", 5_000, lines=LINE),),
    "ours": (R("8", 500, minutes_ago=10),),
    "nobody's": (R("8", 500, minutes_ago=10, note=f"refund {NOBODYS}"),),
    "500 vanished": (),
    "500 failed since": (R("1", 500, FAILED),),
}
BEFORE = {"500 vanished": "500", "500 failed since": "500"}
"""What the member showed at an earlier look, where that is another record than now."""

PURSES: dict[str, tuple[Purse, list[int]]] = {
    "gateway": (Purse.GATEWAY, [10_000]),
    "books": (Purse.BOOKS, [10_000]),
    "two payments": (Purse.GATEWAY, [6_000, 4_000]),
    "two in the books": (Purse.BOOKS, [6_000, 4_000]),
    "part paid": (Purse.BOOKS, [600]),
    "unpaid": (Purse.BOOKS, [0]),
}
GONE, PACKED, DROPPED = FulfillmentState.SHIPPED, FulfillmentState.PACKED, FulfillmentState.CANCELLED
PARCELS: dict[str, tuple[tuple[int, FulfillmentState], ...]] = {
    "none": (),
    "one": ((1, GONE),),
    "two": ((2, GONE),),
    "one and one": ((1, GONE), (1, GONE)),
    "packed": ((2, PACKED),),
    "one, one packed": ((1, GONE), (1, PACKED)),
    "dropped": ((2, DROPPED),),
    "delivered": ((2, FulfillmentState.DELIVERED),),
}

SEMANTICS = {
    "all": Semantics(
        cancel_refunds="all",
        cancel_restocks="always",
        refund_restocks="never",
        ship_needs_pack=True,
        refund_token_field="note",
    ),
    "none": Semantics(
        cancel_refunds="none",
        cancel_restocks="on_request",
        refund_by=frozenset({"amount", "lines", "shipping"}),
        refund_restocks="with_lines",
        refund_token_field="note",
    ),
    "unknown": Semantics(
        cancel_refunds="unknown",
        cancel_restocks="unknown",
        refund_by=frozenset({"amount", "lines"}),
        refund_restocks="on_request",
        ship_needs_pack=True,
        refund_token_field="note",
    ),
}


class Side(NamedTuple):
    """The state of one member."""

    records: str = "none"
    purse: str = "books"
    cancelled: bool = False
    parcels: str = "none"
    step: Progress = Progress.PENDING


class Rules(NamedTuple):
    """The policy: whose word counts, and what else it asks."""

    sources: str = "any"
    approve_over: int | None = None
    carry_after_minutes: int | None = 0
    restock: bool = False

    def policy(self) -> Policy:
        return _policy(self)

    def counts(self, shop: str) -> bool:
        return self.sources == "any" or self.sources == shop


@cache
def _policy(rules: Rules) -> Policy:
    minutes = rules.carry_after_minutes
    kind = KindPolicy(
        sources=rules.sources if rules.sources in ("any", "none") else (rules.sources,),
        approve_over=() if rules.approve_over is None else (usd(rules.approve_over),),
        carry_after=None if minutes is None else timedelta(minutes=minutes),
        restock="as_origin" if rules.restock else "never",
    )
    return Policy(cancel=kind, refund=kind, fulfill=kind, progress=kind)


@dataclass(frozen=True, slots=True)
class World:
    """A link: its members' states in the order a, b, c, the policy, and what its platforms do by themselves."""

    sides: tuple[Side, ...]
    rules: Rules
    platform: str = "all"
    matched: bool = True
    """Line items match across members."""
    moved: bool = False
    """An earlier look saw every order at its first step: a step counts from the look that first shows it."""

    def __str__(self) -> str:
        sides = " | ".join(
            f"{s.records}, {s.purse}{', cancelled' if s.cancelled else ''}, parcels {s.parcels}, {s.step}"
            for s in self.sides
        )
        told = f"cancel refunds {self.platform}, lines match {self.matched}, moved {self.moved}"
        return f"{sides} | {self.rules} | {told}"

    @property
    def has_past(self) -> bool:
        return any(s.records in BEFORE for s in self.sides)

    def orders(self, *, earlier: bool = False) -> dict[str, Order]:
        """The members' orders by shop, as they are now or as an earlier look saw them."""
        seen = [
            s._replace(records=BEFORE.get(s.records, s.records), cancelled=False, step=Progress.PENDING)
            if earlier
            else s
            for s in self.sides
        ]
        shops = "abc"[: len(seen)]
        return {
            shop: _order(shop, side, shops[index - 1], _sku(index, matched=self.matched))
            for index, (shop, side) in enumerate(zip(shops, seen, strict=True))
        }

    @property
    def mirror(self) -> dict[str, str]:
        """Which shop stands where in the mirror image."""
        shops = "abc"[: len(self.sides)]
        return dict(zip(shops, reversed(shops), strict=True))

    def mirrored(self) -> World:
        """The same members under each other's names."""
        rules = self.rules._replace(sources=self.mirror.get(self.rules.sources, self.rules.sources))
        return World(tuple(reversed(self.sides)), rules, self.platform, self.matched, self.moved)


def _sku(index: int, *, matched: bool) -> str:
    return "TEE-M" if matched or index == 0 else f"OTHER-{index}"


@cache
def _order(shop: str, side: Side, copied_from: str, sku: str) -> Order:
    purse, parts = PURSES[side.purse]
    mark = token_of(fact_id_of(OrderRef(copied_from, "1"), FactKind.REFUND, "1"))
    records = [
        r._replace(
            payment_id=_paid_from(shop, r, len(parts), index),
            note=f"copy {mark}" if side.records == "ours" else r.note,
        )
        for index, r in enumerate(RECORDS[side.records])
    ]
    order = build_order(
        shop,
        captured=parts,
        purse=purse,
        refunds=records if parts != [0] else (),
        cancelled_minutes_ago=90 if side.cancelled else None,
        progress=side.step,
        sku=sku,
    )
    refunds = tuple(
        r.model_copy(
            update={
                "shipping": usd(500) if "shipping" in side.records else None,
                "restock": "restocked" in side.records,
            }
        )
        for r in order.refunds or ()
    )
    parcels = tuple(
        Fulfillment(
            id=f"{shop}-{index}",
            status=state,
            lines=(FulfillmentLine(line_item_id="line-1", quantity=units),),
            created_at=NOON - timedelta(minutes=40 - index),
            shipped_at=None if state in (PACKED, DROPPED) else NOON - timedelta(minutes=30 - index),
        )
        for index, (units, state) in enumerate(PARCELS[side.parcels])
    )
    return order.model_copy(update={"refunds": refunds, "fulfillments": parcels})


def _paid_from(shop: str, record: R, payments: int, index: int) -> str:
    """The payment a record was taken from: the first that can have given it."""
    return f"pay-{shop}-{2 if payments == 2 and record.amount == 4_000 and index else 1}"


def _money_sides(records: tuple[str, ...], purses: tuple[str, ...]) -> list[Side]:
    return [
        Side(what, purse, cancelled)
        for what, purse, cancelled in itertools.product(records, purses, (False, True))
        if what in CAN_GIVE.get(purse, records)
    ]


def _pairs(sides: list[Side]) -> Iterator[tuple[Side, Side]]:
    return itertools.combinations_with_replacement(sides, 2)


def _platforms(sides: tuple[Side, ...]) -> tuple[str, ...]:
    """Where nothing reads what a platform does by itself, one platform stands for all."""
    cancels = {s.cancelled for s in sides} == {False, True}
    lines = any("line" in s.records for s in sides) or any(s.parcels != "none" for s in sides)
    return ("all", "none", "unknown") if lines else ("all", "none") if cancels else ("all",)


def _matches(sides: tuple[Side, ...]) -> tuple[bool, ...]:
    lines = any("line" in s.records for s in sides) or any(s.parcels != "none" for s in sides)
    return (True, False) if lines else (True,)


def _worlds(sides: tuple[Side, ...], every_rule: tuple[Rules, ...]) -> Iterator[World]:
    """Both ways round where one shop's word counts: then the names matter."""
    for rules, platform, matched in itertools.product(every_rule, _platforms(sides), _matches(sides)):
        if rules.restock and not any("restocked" in s.records for s in sides):
            continue
        if rules.sources == "none" and (platform, matched) != ("all", True):
            continue  # nothing is carried, whatever could be
        yield World(sides, rules, platform, matched)
        if rules.sources == "a" and len(set(sides)) > 1:
            yield World(tuple(reversed(sides)), rules, platform, matched)


WORD = (Rules("any"), Rules("a"), Rules("none"))
EVERY_RULE = tuple(
    Rules(sources, over, minutes, restock)
    for sources, over, minutes, restock in itertools.product(
        ("any", "a", "none"), (None, 600), (0, 60), (False, True)
    )
)
TWO_GIVE = ("none", "500", "500 pending", "500 and 700", "all in two")
CAN_GIVE = {
    "two payments": TWO_GIVE,
    "two in the books": TWO_GIVE,
    "part paid": ("none", "500", "500 pending"),
    "unpaid": ("none",),
}
"""Which records a purse can have given. Which of two payments gave one is read only when the next is to be taken."""
FEW_RECORDS = ("none", "500", "500 pending", "500 twice", "700", "a line, restocked", "all")


def money() -> Iterator[World]:
    """Every refund record against every other, in every purse, cancelled or not."""
    for pair in _pairs(_money_sides(tuple(RECORDS), tuple(PURSES))):
        yield from _worlds(pair, WORD)


def policies() -> Iterator[World]:
    """Every policy, over the records it can make a difference for."""
    for pair in _pairs(_money_sides(FEW_RECORDS, ("gateway", "books", "unpaid"))):
        yield from _worlds(pair, EVERY_RULE)


def whole() -> Iterator[World]:
    """Money and cancel and parcels and progress of one member, all together."""
    sides = [
        side._replace(parcels=parcels, step=step)
        for side, parcels, step in itertools.product(
            _money_sides(("none", "500", "500 pending", "all"), ("gateway", "books", "unpaid")),
            ("none", "packed", "two"),
            (Progress.PENDING, Progress.COMPLETED),
        )
    ]
    for pair in _pairs(sides):
        for platform in _platforms(pair)[:2]:
            steps = {s.step for s in pair} != {Progress.PENDING}
            yield World(pair, Rules("any"), platform, moved=steps)


def goods() -> Iterator[World]:
    """Every way parcels and steps can stand, beside a refund or a cancel or neither."""
    sides = [
        Side(records, "books", cancelled, parcels, step)
        for (records, cancelled), parcels, step in itertools.product(
            (("none", False), ("500", False), ("none", True)),
            PARCELS,
            (Progress.PENDING, Progress.CONFIRMED, Progress.COMPLETED),
        )
    ]
    for pair in _pairs(sides):
        for world in _worlds(pair, WORD[:2]):
            plain = world.matched or (world.rules.sources, world.platform) == ("any", "all")
            if plain and world.platform != "unknown":  # a cancel or a parcel there goes as on "all"
                moved = {s.step for s in world.sides} != {Progress.PENDING}
                if moved and world.matched:
                    yield replace(world, moved=True)
                if not moved or (world.rules.sources, world.platform) == ("any", "all"):
                    yield world  # what differs at the first look is held, whatever it is


def three() -> Iterator[World]:
    """Three members: fewer letters, still money, cancel and parcels together."""
    sides = [
        side._replace(parcels=parcels)
        for side, parcels in itertools.product(
            _money_sides(("none", "500", "500 pending", "500 twice", "all"), ("gateway", "books", "unpaid")),
            ("none", "two"),
        )
        if parcels == "none" or side.records in ("none", "500")
    ]
    for trio in itertools.combinations_with_replacement(sides, 3):
        if sum(s.purse == "gateway" for s in trio) < 2:
            yield World(trio, Rules("any"), "all")
        if {s.records for s in trio} != {"none"} and all(s.parcels == "none" for s in trio):
            yield World(trio, Rules("a"), "none")


ALPHABETS = {
    "money, two members": money,
    "every policy": policies,
    "money, cancel, parcels, progress": whole,
    "parcels and progress": goods,
    "three members": three,
}
