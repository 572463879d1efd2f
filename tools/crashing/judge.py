"""Kill one command at one of its points, let ordersync recover, and judge by what the shops themselves show."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tools.crashing.cases import Case
from tools.crashing.world import START, Effects, World

from ordersync.model import ActionKind, ActionState, Cell
from ordersync.testing.sandbox import Fault

ONCE, HELD = "once", "held"
"""How a point may end: as if nothing had happened; or one hold that says what nobody knows."""
_WAITS = ({"seconds": 1}, {"minutes": 7}, {"minutes": 90})
"""The commands after the kill, at once and later: by then claims have ended, and an hour without trace has passed."""
_KILLED = -9
_BELIEVED = (ActionState.RECEIPTED, ActionState.SEEN)
_WRITES = "POST|PUT|DELETE"
_READS_BY_POST = r"^(?!.*query\.json$).*$"


@dataclass(slots=True)
class Findings:
    case: str
    points: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, where: str, end: str) -> None:
        self.points += 1
        if end in (ONCE, HELD):
            self.ends[end] += 1
        else:
            self.wrong.append(f"{self.case}{where}: {end}")


@dataclass(frozen=True, slots=True)
class Outcome:
    effects: dict[str, Effects]
    ledger: tuple[str, ...]
    unsettled: tuple[str, ...]
    """Writes of the journal whose outcome is open."""
    holds: tuple[str, ...]


def judge_kills(case: Case, every: int = 1) -> Findings:
    """Every `every`-th point of one case, in a room of its own.

    Errors: AssertionError when even the undisturbed command does not do its work, or a recovery breaks.
    """
    findings = Findings(case.title)
    with tempfile.TemporaryDirectory() as room, _world(case, room) as world:
        prepare(world, case)
        points = world.command(*_command(world, case)).points
        recover(world)
        wanted = outcome(world)
        assert not wanted.unsettled, f"{case.title}: {wanted}"
        assert not wanted.holds, f"{case.title}: {wanted}"
        for number in range(1, len(points) + 1, every):
            where = f", killed {points[number - 1]} ({number} of {len(points)})"
            findings.add(where, judge_kill(world, case, number, wanted))
    return findings


def judge_kill(world: World, case: Case, number: int, wanted: Outcome) -> str:
    again(world, case)
    killed = world.run(*_command(world, case), strike_at=number)
    if killed.code != _KILLED:
        return f"it was not killed, it ended with {killed.code}: {killed.err}"
    rash = believed_in_vain(world, case)
    if rash:
        return rash
    recover(world)
    found = outcome(world)
    if case.by_hand and not found.holds and found.effects != wanted.effects:
        world.command(*_command(world, case))
        found = outcome(world)
    return verdict(found, wanted)


def judge_trouble(case: Case) -> Findings:
    """The command once, undisturbed by kills, against a shop that answers badly or people who meddle."""
    findings = Findings(case.title)
    with tempfile.TemporaryDirectory() as room, _world(case, room) as world:
        prepare(world, case)
        world.command(*_command(world, case))
        recover(world)
        wanted = outcome(world)
        again(world, case)
        if case.late is not None:
            case.late(world)
        if case.fault is not None:
            fault = Fault(case.fault, method=_WRITES, path=_READS_BY_POST)
            world.admins[case.target].box.add_fault(fault)
        world.command(*_command(world, case))
        rash = believed_in_vain(world, case)
        if case.after is not None:
            world.later(seconds=30)
            case.after(world)
        recover(world)
        findings.add("", rash or (doubted if case.must_hold else verdict)(outcome(world), wanted))
    return findings


def believed_in_vain(world: World, case: Case) -> str:
    """What the journal takes for accepted although the shop shows nothing of it; empty when all is well."""
    effects = world.effects()[case.target]
    store = world.open_store()
    try:
        kinds = [record.action.kind for record in store.actions() if record.state in _BELIEVED]
    finally:
        store.close()
    if kinds.count(ActionKind.REFUND) > len(effects.refunds) or kinds.count(ActionKind.CANCEL) > effects.cancelled:
        return "the journal says it was accepted, and the shop has never seen it"
    return ""


def verdict(found: Outcome, wanted: Outcome) -> str:
    """`once`, `held`, or what is wrong, in words."""
    more = [
        f"{shop} shows {now} instead of {then}"
        for shop, then in wanted.effects.items()
        if not _within(now := found.effects[shop], then)
    ]
    if more:
        return "; ".join(more)
    if found.holds:
        return HELD if len(found.holds) == 1 else f"{len(found.holds)} holds: {', '.join(found.holds)}"
    if found.effects != wanted.effects:
        return f"something is missing and nothing is held: {found.effects}"
    if found.unsettled:
        return f"left unsettled: {', '.join(found.unsettled)}"
    if found.ledger != wanted.ledger:
        return f"the ledger says {found.ledger} instead of {wanted.ledger}"
    return ONCE


def doubted(found: Outcome, wanted: Outcome) -> str:
    """`held` where nobody can know what happened and a person is asked; other holds may stand beside that one."""
    if "in_doubt" not in found.holds:
        return "settled by a guess: nobody can know whose record that is"
    alone = Outcome(found.effects, found.ledger, found.unsettled, ("in_doubt",))
    return verdict(alone, wanted)


def _within(now: Effects, then: Effects) -> bool:
    """Nothing more than an undisturbed run leaves: no second refund, no second parcel."""
    return (
        not Counter(now.refunds) - Counter(then.refunds)
        and now.cancelled <= then.cancelled
        and now.units_gone <= then.units_gone
        and now.parcels <= then.parcels
        and now.captured <= then.captured
    )


def prepare(world: World, case: Case) -> None:
    """Read and link the sale, let the person act, read again; keep the store as it then is."""
    world.command("pull")
    if len(case.members) > 1:
        world.link()
        world.command("apply")
    _act(world, case)
    world.command("pull")
    world.keep_store("prepared")


def again(world: World, case: Case) -> None:
    """The same moment as after `prepare`, without reading everything once more."""
    world.fresh_shops()
    _act(world, case)
    world.later(minutes=5)
    world.use_store("prepared")


def _act(world: World, case: Case) -> None:
    """At the same time of the shops' clocks whenever it is done again: their ids are made of it."""
    world.set_time(START + timedelta(minutes=10))
    case.act(world)
    world.set_time(START + timedelta(minutes=11))


def recover(world: World) -> None:
    """What cron would do: read and apply, at once and later, until nothing is left to do."""
    for wait in _WAITS:
        world.later(**wait)
        if "minutes" in wait:
            world.command("pull")
        world.command("apply")


def outcome(world: World) -> Outcome:
    store = world.open_store()
    try:
        rows = [row for link in store.links() for row in store.ledger(link.link_id).rows]
        return Outcome(
            effects=world.effects(),
            ledger=tuple(sorted(f"{row.fact.kind}: {_cells(row.cells)}" for row in rows)),
            unsettled=tuple(f"{one.action.kind} {one.state}" for one in store.actions(open_only=True)),
            holds=tuple(stored.hold.code for stored in store.holds()),
        )
    finally:
        store.close()


def _cells(cells: Iterable[Cell]) -> str:
    return ", ".join(f"{cell.member.shop} {cell.state}" for cell in cells)


def _world(case: Case, room: str) -> World:
    return World(Path(room), members=case.members, pays=case.pays, paid=case.paid)


def _command(world: World, case: Case) -> tuple[str, ...]:
    return tuple(str(world.refs[case.target]) if word == "REF" else word for word in case.command)


# A pull writes to nobody; what matters is that the store ends as if nothing had happened.


def judge_pull(shop: str, every: int = 1) -> Findings:
    """Kill `ordersync pull` of one shop before and after each page and each commit; run it again; compare exports."""
    findings = Findings(f"pull {shop}")
    with tempfile.TemporaryDirectory() as room, World(Path(room), page_limit=3, extra_orders=12) as world:
        points = _pull(world, shop)
        wanted = world.command("orders", "export", "--buyer").out
        assert wanted.count("\n") > 1
        for number in range(1, len(points) + 1, every):
            _pull(world, shop, strike_at=number)
            world.later(minutes=7)
            world.command("pull", "--shop", shop)
            same = world.command("orders", "export", "--buyer").out == wanted
            where = f", killed {points[number - 1]} ({number} of {len(points)})"
            findings.add(where, ONCE if same else "the store differs from one never killed")
    return findings


def _pull(world: World, shop: str, strike_at: int | None = None) -> tuple[str, ...]:
    world.fresh_shops()
    world.lose_store()
    ended = world.run("pull", "--shop", shop, strike_at=strike_at, reads=True)
    assert ended.code == (0 if strike_at is None else _KILLED), f"exit {ended.code}: {ended.err}"
    return ended.points
