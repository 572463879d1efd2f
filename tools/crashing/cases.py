"""What is being written when the process dies: every kind of write on every platform, carried and by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as changed
from decimal import Decimal

from tools.crashing.world import World

from ordersync.testing.sandbox import FaultKind

Act = Callable[[World], None]


@dataclass(frozen=True, slots=True)
class Case:
    target: str
    """The shop that is written to."""
    name: str
    act: Act
    """What a person does elsewhere before; the command then carries it."""
    command: tuple[str, ...] = ("apply",)
    """`REF` stands for the target's order."""
    members: tuple[str, ...] = ()
    pays: str = "asia"
    paid: bool = True
    by_hand: bool = False
    """A command a person types: what was not done and is not held is typed again."""
    late: Act | None = None
    """What a person does after everything was read, just before the command."""
    fault: FaultKind | None = None
    """What goes wrong with the first write at the target."""
    after: Act | None = None
    """What a person does between the command and what comes later."""
    must_hold: bool = False
    """That nobody can know what happened must not be settled by a guess."""

    @property
    def title(self) -> str:
        fault = f", {self.fault}" if self.fault else ""
        return f"{self.name}{fault} -> {self.target}"


ORIGIN = {"asia": "office", "office": "asia", "web": "asia"}
"""Where the person acts, for each shop that is written to."""


def refund(origin: str) -> Act:
    return lambda world: world.admins[origin].refund(
        world.refs[origin].order_id, Decimal("12.50"), "one mug chipped", {}
    )


def cancel(origin: str) -> Act:
    return lambda world: world.admins[origin].cancel(world.refs[origin].order_id, "changed mind")


def refund_and_cancel(origin: str) -> Act:
    """Some platforms refund by themselves when a paid order is cancelled; here a person does it first."""

    def act(world: World) -> None:
        order_id = world.refs[origin].order_id
        world.admins[origin].refund(order_id, Decimal("47.95"), "out of stock", {})
        world.later(seconds=5)
        world.admins[origin].cancel(order_id, "out of stock")

    return act


def ship(origin: str) -> Act:
    def act(world: World) -> None:
        world.admins[origin].ship(world.refs[origin].order_id, {}, "SF1234567")

    return act


def complete_office(world: World) -> None:
    world.admins["office"].complete(world.refs["office"].order_id)  # type: ignore[attr-defined]  # only Medusa's has it


def complete_web(world: World) -> None:
    for step in ("processing", "completed"):
        world.admins["web"].move(world.refs["web"].order_id, step)  # type: ignore[attr-defined]  # only headless' has it


def nothing(_world: World) -> None:
    """The person only types the command."""


def carried() -> list[Case]:
    cases = []
    for target, origin in ORIGIN.items():
        both = (origin, target)
        # Booked where the other side paid, and paid where the other side only booked.
        cases += [
            Case(target, "refund, booked", refund(origin), members=both, pays=origin),
            Case(target, "refund, to the buyer", refund(origin), members=both, pays=target),
            Case(target, "cancel, unpaid", cancel(origin), members=both, paid=False),
            Case(target, "refund, then cancel", refund_and_cancel(origin), members=both, pays=origin),
            Case(target, "pack and ship", ship(origin), members=both, pays=origin),
        ]
    cases += [
        Case("office", "complete", complete_web, members=("web", "office"), pays="office"),
        Case("web", "confirm, process, complete", complete_office, members=("office", "web"), pays="office"),
    ]
    return cases


def typed() -> list[Case]:
    """By hand, on an order that is in no link."""
    cases = [
        _typed(target, "refund", "--amount", "12.50 USD", "--reason", "goodwill", paid=True) for target in ORIGIN
    ]
    cases += [_typed(target, "cancel", paid=False) for target in ORIGIN]
    cases += [_typed(target, "capture", paid=False) for target in ("office", "web")]
    return [*cases, _typed("office", "complete", paid=True), _typed("office", "archive", paid=True)]


def _typed(target: str, verb: str, *options: str, paid: bool) -> Case:
    command = ("orders", verb, "REF", *options, "--yes")
    return Case(target, f"typed {verb}", nothing, command, (target,), pays=target, paid=paid, by_hand=True)


FAULTS: tuple[FaultKind, ...] = (
    "429",
    "500_before",
    "500_after",
    "502_html",
    "cut_before",
    "cut_after",
    "torn_body",
    "empty_200",
)


def troubled() -> list[Case]:
    """Every carried write, its answer spoiled in every way; nobody is killed."""
    return [changed(case, fault=fault) for case in carried() for fault in FAULTS]


def meddled() -> list[Case]:
    """People are in the shop at the same time."""
    cases = []
    for target, origin in ORIGIN.items():
        both = (origin, target)
        for payer in both:
            same = Case(
                target,
                f"refund, made by hand there just before, {payer} pays",
                refund(origin),
                members=both,
                pays=payer,
                late=refund(target),
            )
            other = Case(
                target,
                f"refund in doubt, then an equal one by hand, {payer} pays",
                refund(origin),
                members=both,
                pays=payer,
                fault="cut_before",
                after=refund(target),
                must_hold=True,
            )
            cases += [same, other]
    return cases
