"""Bad input to plan, apply and holds: a named error each, and nothing written to any shop."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cli_process import Cli
from tests.scenarios.people import A, answer, needs_approval, open_world
from tests.scenarios.test_apply_protocol import World

from ordersync.engine.linkfile import import_links, read_link_file
from ordersync.engine.planfile import FORMAT, load_plan, save_plan
from ordersync.errors import Held, UsageError
from ordersync.model import OrderRef, Verb, stable_hash
from ordersync.reconcile import Limits, LimitSet
from ordersync.store import Store
from ordersync.testing.orders import build_order, usd

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = open_world(tmp_path)
    yield made
    made.store.close()


def nothing_written(world: World) -> bool:
    return world.store.actions() == [] and all(
        not set(fake.calls) & {"refund", "cancel", "capture", "complete", "archive"}
        for fake in world.fakes.values()
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a,b,c\n2,2,\n,2,2\n2,,2\n", "bad_links_file"),
        ("a,b\n2,2\n2,3\n", "ref_in_two_links"),
        ("a,b\n2,9\n", "currencies_differ"),
        ("a,b\n1,3\n", "already_linked"),
    ],
    ids=["a circle", "an order in two links", "two currencies", "an order that is linked already"],
)
def test_a_links_file_that_cannot_be_links_nothing_and_no_refund_follows_it(
    world: World, text: str, code: str
) -> None:
    world.open_shop("c", build_order("c", order_id="2"))
    for shop in ("a", "b"):
        for order_id in ("2", "3"):
            world.fakes[shop].orders[order_id] = build_order(shop, order_id=order_id)
    world.fakes["b"].orders["9"] = build_order("b", order_id="9", currency="EUR")
    world.refund_by_hand("a", 500, "2")
    world.read()
    before = world.store.links()
    with pytest.raises(UsageError) as refused:
        import_links(world.store, read_link_file(world.store, text, ["a", "b", "c"]), world.clock())
    assert (refused.value.code, refused.value.exit_code) == (code, 2)
    assert world.store.links() == before
    world.apply()
    assert nothing_written(world)


def test_a_policy_that_names_an_unknown_shop_ends_before_anything_is_opened(tmp_path: Path) -> None:
    config = tmp_path / "ordersync.yaml"
    config.write_text(
        "shops:\n  web: {connector: headless, api_key: sk_test_1, base_url: 'http://127.0.0.1:9/v1'}\n"
        "writes: true\npolicy: {refund: {from: [nowhere]}}\n"
    )
    cli = Cli(config, tmp_path, frozenset({"sk_test_1"}))
    for command in ("plan", "apply"):
        cli(command).failed(2, "policy.refund.from: there is no shop 'nowhere'; shops are web")
    assert not (tmp_path / "ordersync.db").exists()


def resealed(path: Path, **changes: Any) -> None:
    """Edit the first action of a saved plan as somebody would who knows how plans are sealed."""
    body = json.loads(path.read_text())
    body.pop("seal")
    body["actions"][0] |= changes
    body["seal"] = stable_hash(FORMAT, json.dumps(body, sort_keys=True))
    path.write_text(json.dumps(body))


def test_a_plan_edited_by_hand_or_of_another_store_is_refused_and_nothing_is_written(
    world: World, tmp_path: Path
) -> None:
    world.refund_by_hand("a", 1250)
    path = tmp_path / "plan"
    save_plan(path, world.plan(), world.store.birth_at, world.clock())
    whole = path.read_text()
    for text, code in (
        (whole.replace("1250", "9250"), "changed after it was saved"),
        (whole.replace('"b"', '"a"'), "changed after it was saved"),
        (whole[: len(whole) // 2], "not JSON"),
        ("[]", "not a plan"),
        (whole.replace('"seal"', '"sealed"'), "changed after it was saved"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=code):
            load_plan(path, world.store.birth_at)
    path.write_text(whole)
    with (
        Store.open(f"sqlite:///{tmp_path / 'other.db'}") as other,
        pytest.raises(UsageError, match="another store"),
    ):
        load_plan(path, other.birth_at)
    assert nothing_written(world)


@pytest.mark.parametrize(
    "change",
    [{"amount": {"amount_minor": 9250, "currency": "USD"}}, {"target": ["a", "1"]}, {"reason": "forged"}],
    ids=["a larger amount", "another order", "another reason"],
)
def test_a_plan_whose_seal_was_forged_too_writes_only_what_is_decided(
    world: World, tmp_path: Path, change: dict[str, Any]
) -> None:
    """The file only names writes; what is sent is what the decision asks for on a fresh look."""
    world.refund_by_hand("a", 1250)
    path = tmp_path / "plan"
    save_plan(path, world.plan(), world.store.birth_at, world.clock())
    resealed(path, **change)
    world.apply(load_plan(path, world.store.birth_at))
    assert world.refunded("b") == [1250]
    assert world.refunded("a") == [1250]
    assert "forged" not in str(world.fakes["b"].orders["1"].refunds)


def test_a_forged_digest_writes_nothing(world: World, tmp_path: Path) -> None:
    world.refund_by_hand("a", 1250)
    path = tmp_path / "plan"
    save_plan(path, world.plan(), world.store.birth_at, world.clock())
    resealed(path, digest="0" * 32)
    report = world.apply(load_plan(path, world.store.birth_at))
    assert len(report.stale) == 1
    assert nothing_written(world)


def test_an_approval_of_a_batch_cannot_be_replayed(world: World) -> None:
    for shop in ("a", "b"):
        world.fakes[shop].orders["2"] = build_order(shop, order_id="2")
    world.read()
    world.link(OrderRef("a", "2"), OrderRef("b", "2"))
    world.clock.forward(minutes=5)
    world.limits = Limits(run=LimitSet(refund=1, refund_value=(usd(9_999),)), day=world.limits.day)
    for number in ("1", "2"):
        world.refund_by_hand("a", 1000, number)
    world.apply()
    answer(world, Verb.APPROVE, code="limit_reached")
    world.apply()
    assert (world.refunded("b"), world.refunded("b", "2")) == ([1000], [1000])
    for record in world.store.actions():
        assert record.action.approvals
        again = record.action.model_copy(update={"key": f"again {record.action.key}"})
        at = world.clock()
        with pytest.raises(Held) as replayed:
            world.store.intend(again, at, at + timedelta(seconds=20), lambda _spent: None)
        assert replayed.value.code == "approval_used"
        elsewhere = again.model_copy(update={"target": A, "key": "elsewhere"})
        with pytest.raises(Held) as other:
            world.store.intend(elsewhere, at, at + timedelta(seconds=20), lambda _spent: None)
        assert other.value.code == "approval_stale"
    assert len(world.store.actions()) == 2


ANSWERING = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from tests.scenarios.fake_shop import FakeConnector, fake_shop
    from ordersync.engine.resolving import Reply, Resolver
    from ordersync.engine.sentlog import SentLog
    from ordersync.errors import Held
    from ordersync.model import OrderRef, Verb
    from ordersync.reconcile import KindPolicy, Limits, Policy
    from ordersync.store import Store
    from ordersync.testing.orders import usd
    from datetime import timedelta

    folder, who, verb = Path(sys.argv[1]), sys.argv[2], Verb(sys.argv[3])
    carried = KindPolicy(sources="any", carry_after=timedelta(0))
    policy = Policy(cancel=carried, refund=carried.model_copy(update={"approve_over": (usd(1000),)}))
    store = Store.open(f"sqlite:///{folder / 'test.db'}")
    shops = {}
    for name in ("a", "b"):
        shops[name], _ = fake_shop(name, store.order(OrderRef(name, "1")).order)
    resolver = Resolver(store, shops, policy, Limits(), SentLog(folder / "sent.log"))
    (folder / f"ready.{who}").touch()
    for _ in range(3000):
        if (folder / "go").exists():
            break
        time.sleep(0.01)
    try:
        print("done", resolver.resolve("H-1", Reply(verb, who, why="agreed")).answered)
    except Held as held:
        print("refused", held.code)
    """
)


@pytest.mark.parametrize(
    "verbs", [("approve", "approve"), ("approve", "leave")], ids=["both approve", "they differ"]
)
def test_of_two_processes_that_answer_one_hold_at_once_one_wins(world: World, verbs: tuple[str, str]) -> None:
    needs_approval(world)
    folder = world.folder
    people = dict(zip(("kim", "lee"), verbs, strict=True))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ANSWERING, str(folder), who, verb],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for who, verb in people.items()
    ]
    for _ in range(6000):
        if all((folder / f"ready.{who}").exists() for who in people):
            break
        time.sleep(0.01)
    (folder / "go").touch()
    ended = [process.communicate(timeout=60) for process in running]
    assert [errors for _, errors in ended] == ["", ""]
    said = sorted(out.strip() for out, _ in ended)
    assert said[0] == "done True"
    assert said[1] in ("refused hold_closed", "refused claimed")
    given = world.store.resolutions()
    assert len(given) == 1
    assert people[given[0].who] == given[0].verb
    assert nothing_written(world), "an answer writes nothing by itself"
    world.apply()
    assert world.refunded("b") == ([1250] if given[0].verb is Verb.APPROVE else [])
