"""Two processes at once, one that stands still, a store that is locked or full: real processes, real signals."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.crashing.cases import Case, carried
from tools.crashing.judge import again, outcome, prepare, recover
from tools.crashing.worker import Ended, Job, Worker
from tools.crashing.world import World

from ordersync.store import StoredHold

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CASES = {case.title: case for case in carried()}
TO_BUYER = CASES["refund, to the buyer -> asia"]
BOOKED = CASES["refund, booked -> office"]


@pytest.fixture(params=[TO_BUYER, BOOKED], ids=lambda case: case.target)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def world(case: Case, tmp_path: Path) -> Iterator[World]:
    """A refund is due at the case's target."""
    with World(tmp_path, members=case.members, pays=case.pays) as made:
        prepare(made, case)
        yield made


def the_hold(world: World) -> StoredHold:
    store = world.open_store()
    (held,) = store.holds()
    store.close()
    return held


def look_twice(world: World) -> None:
    """What nobody knows the outcome of is looked for; then a person is asked."""
    for minutes in (7, 5):
        world.later(minutes=minutes)
        world.command("apply")


def the_link(world: World) -> str:
    store = world.open_store()
    (link,) = store.links()
    store.close()
    return link.link_id


def refunds(world: World, case: Case) -> tuple[int, ...]:
    return world.effects()[case.target].refunds


def frozen_at(world: World, case: Case, label: str) -> Worker:
    """An apply that stops itself (SIGSTOP) at the first point of that label; which one it is, a first run tells."""
    number = world.command("apply").points.index(label) + 1
    again(world, case)
    worker = Worker(
        Job(world.folder, ("apply",), world.now, strike_at=number, strike=signal.SIGSTOP, name="frozen")
    )
    worker.stopped()
    return worker


def sending(case: Case) -> str:
    """The point just before the request leaves."""
    calls = {
        "asia": "before POST /admin/openapi/v20250601/order/refund.json",
        "office": "before POST /admin/payments/ID/refund",
    }
    return calls[case.target]


def wake(world: World, worker: Worker) -> Ended:
    with world.passing():
        return worker.wake(world.now)


def test_two_applies_at_once_make_one_refund(world: World, case: Case) -> None:
    at = world.now
    with world.passing():
        both = [Worker(Job(world.folder, ("apply",), at, name=f"apply{number}")) for number in (1, 2)]
        ended = [worker.wait() for worker in both]
    assert all(one.code in (0, 1) for one in ended), [one.err for one in ended]
    recover(world)
    assert refunds(world, case) == (1250,)
    assert outcome(world).holds == ()


@pytest.mark.parametrize("label", ["after commit of intend", "after line in sent.log"])
def test_a_worker_that_wakes_before_it_announced_the_send_never_sends(
    world: World, case: Case, label: str
) -> None:
    worker = frozen_at(world, case, label)
    world.later(minutes=7)
    world.command("apply")
    done = refunds(world, case)
    ended = wake(world, worker)
    assert ended.code in (0, 1, 3), ended.err
    assert refunds(world, case) == done, "what woke up late sent nothing"
    recover(world)
    assert refunds(world, case) == (1250,) or len(outcome(world).holds) == 1
    assert len(refunds(world, case)) <= 1


def test_a_worker_that_wakes_after_it_announced_the_send_finds_it_too_late(world: World, case: Case) -> None:
    worker = frozen_at(world, case, "after commit of advance")
    look_twice(world)
    assert the_hold(world).hold.code == "in_doubt"
    assert wake(world, worker).code in (0, 1, 3)
    assert refunds(world, case) == ()
    assert outcome(world).unsettled == (), "it knows that nothing was sent"
    recover(world)
    assert refunds(world, case) == (1250,)
    assert outcome(world).holds == ()


@pytest.mark.parametrize("verb", [("resend", "--amount", "12.50 USD", "--yes"), ("done", "--record", "ref_1")])
def test_while_the_sender_stands_still_nobody_can_settle_its_doubt(
    world: World, case: Case, verb: tuple[str, ...]
) -> None:
    worker = frozen_at(world, case, sending(case))
    look_twice(world)
    held = the_hold(world)
    assert held.hold.code == "in_doubt"
    refused = world.run("holds", "resolve", held.number, *verb)
    assert refused.code == 3, refused.err
    assert "(sender_alive)" in refused.err
    assert f"kill -9 {worker.pid}" in " ".join(refused.err.split())
    assert refunds(world, case) == ()
    wake(world, worker)
    recover(world)
    assert refunds(world, case) == (1250,), "it sent at last, and is known by its mark"
    assert outcome(world).holds == ()


def test_after_the_standing_worker_was_ended_a_person_sends_it_once(world: World, case: Case) -> None:
    worker = frozen_at(world, case, "after commit of advance")
    look_twice(world)
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait().code == -signal.SIGKILL
    held = the_hold(world)
    world.later(minutes=1)
    sent = world.run("holds", "resolve", held.number, "resend", "--amount", "12.50 USD", "--yes")
    assert sent.code == 0, sent.err
    recover(world)
    assert refunds(world, case) == (1250,)
    assert outcome(world).holds == ()


def test_a_link_taken_apart_during_an_apply_is_refused_or_stops_it_and_nothing_is_made_twice(
    world: World, case: Case
) -> None:
    worker = frozen_at(world, case, "after commit of advance")
    removed = world.run("links", "remove", the_link(world))
    assert removed.code == 3, removed.out
    assert "(write_open)" in removed.err
    wake(world, worker)
    recover(world)
    assert refunds(world, case) == (1250,)
    taken = world.run("links", "remove", the_link(world))
    assert taken.code == 0, taken.err
    recover(world)
    assert refunds(world, case) == (1250,)


def test_a_reader_that_holds_the_store_open_delays_nobody(world: World, case: Case) -> None:
    reader = sqlite3.connect(world.folder / "ordersync.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM orders").fetchone()
    try:
        assert world.command("apply").code == 0
    finally:
        reader.close()
    assert refunds(world, case) == (1250,)


def test_a_writer_that_holds_the_store_is_waited_for_and_then_named_and_nothing_was_sent(
    world: World, case: Case
) -> None:
    writer = sqlite3.connect(world.folder / "ordersync.db", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    try:
        ended = world.run("apply")
    finally:
        writer.close()
    assert ended.code in (1, 2), ended.out
    assert "(store_locked)" in ended.err
    assert refunds(world, case) == ()
    assert world.command("apply").code == 0
    assert refunds(world, case) == (1250,)


def test_a_store_that_fills_up_in_the_middle_sends_nothing_it_could_not_note(world: World, case: Case) -> None:
    """No file may grow past a bound (RLIMIT_FSIZE), as on a full disk; at each bound something else is cut off."""
    size = (world.folder / "ordersync.db").stat().st_size
    for room in (0, 4096, 16384, 65536):
        ended = world.run("apply", largest_file=size + room)
        assert ended.code in (0, 1, 2, 3), ended.err
        assert "Traceback" not in ended.err
        assert len(refunds(world, case)) <= 1
    recover(world)
    assert refunds(world, case) == (1250,) or len(outcome(world).holds) == 1
