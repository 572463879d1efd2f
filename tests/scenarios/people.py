"""People who answer holds, for the scenarios about it: a world of two linked shops, and what is typed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.scenarios.test_apply_protocol import World

from ordersync.engine.resolving import Reply, Resolved, Resolver
from ordersync.engine.sentlog import SentLog
from ordersync.model import CellState, OrderRef, Verb
from ordersync.reconcile import KindPolicy, Policy
from ordersync.store import Store
from ordersync.testing.orders import build_order, usd

ANY = KindPolicy(sources="any", carry_after=timedelta(0))
A, B = OrderRef("a", "1"), OrderRef("b", "1")


def open_world(folder: Path) -> World:
    """Two shops with one linked order each; close its store."""
    made = World(folder, Store.open(f"sqlite:///{folder / 'test.db'}"))
    made.open_shop("a", build_order("a"))
    made.open_shop("b", build_order("b"))
    made.read()
    made.link(A, B)
    made.clock.forward(minutes=5)
    return made


def resolver(world: World) -> Resolver:
    log = SentLog(world.folder / "sent.log")
    return Resolver(world.store, world.shops, world.policy, world.limits, log, world.clock)


def answer(world: World, verb: Verb, *, code: str | None = None, **given: object) -> Resolved:
    found = [h for h in world.store.holds() if code in (None, h.hold.code)]
    assert len(found) == 1, world.hold_codes()
    reply = Reply(verb, "kim", **{"why": "agreed with the shop", **given})  # type: ignore[arg-type]  # test's words
    return resolver(world).resolve(found[0].number, reply)


def cell_state(world: World, ref: OrderRef, row: int = 0) -> CellState:
    cell = world.store.ledger("L1").rows[row].cell(ref)
    assert cell is not None
    return cell.state


def needs_approval(world: World) -> None:
    world.policy = Policy(
        cancel=ANY, refund=KindPolicy(sources="any", carry_after=timedelta(0), approve_over=(usd(1000),))
    )
    world.refund_by_hand("a", 1250)
    world.apply()
    assert world.hold_codes() == {"needs_approval"}


def doubt(world: World, *, happened: bool = False) -> None:
    world.refund_by_hand("a", 1250)
    fake = world.fakes["b"]
    fake.answers = ["unknown_done" if happened else "unknown_not_done"]
    if happened:
        fake.hidden.append(fake.orders["1"])
    world.apply()
    world.look_twice()
    assert world.hold_codes() == {"in_doubt"}
