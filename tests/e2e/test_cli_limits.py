"""What a person reads of a batch that limits stop: in plan, holds, explain, and at a paused shop."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.e2e.cli_process import Cli

from ordersync.model import LinkOrigin, OrderRef
from ordersync.store import Observation, Store
from ordersync.testing.orders import R, build_order


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    config = tmp_path / "ordersync.yaml"
    shops = "".join(
        f"  {name}: {{connector: headless, api_key: sk_test_{name}, base_url: 'http://127.0.0.1:9/v1'}}\n"
        for name in ("asia", "web")
    )
    config.write_text(
        f"shops:\n{shops}writes: true\npolicy: {{refund: {{from: [asia], carry_after: 0s}}}}\n"
        "limits: {run: {refund: 1, refund_value: ['500 USD']}, day: {refund_value: ['2000 USD']}}\n"
    )
    with Store.open(f"sqlite:///{tmp_path / 'ordersync.db'}") as store:
        for number in ("1", "2"):
            link = [OrderRef("asia", number), OrderRef("web", number)]
            refunded = build_order("asia", order_id=number, refunds=[R(f"r{number}", 1000)])
            record = (refunded.refunds or ())[0].model_copy(update={"created_at": datetime.now(UTC)})
            for order in (refunded.model_copy(update={"refunds": (record,)}), build_order("web", order_id=number)):
                store.save_observation(Observation(order=order, raw=b"{}", sent_at=datetime.now(UTC)))
            store.add_link(link, LinkOrigin.HAND, None, datetime.now(UTC))
    return Cli(config, tmp_path, frozenset({"sk_test_asia", "sk_test_web"}))


def test_plan_shows_the_batch_its_limit_and_nothing_to_write(cli: Cli, tmp_path: Path) -> None:
    first = cli("plan")
    assert first.code == 3, "a new hold"
    flat = " ".join(first.out.split())
    assert "held H-1: limit_reached: 2 refunds, 20.00 USD: none is written" in flat
    assert "crosses limits.run.refund: 0 in this run and 2 due, of 1" in flat
    assert "L1 refund web:1 10.00 USD" in flat
    assert "L2 refund web:2 10.00 USD" in flat
    assert "what is due waits for you" in flat
    told = cli("plan", "--json").json
    assert told["writes"] == []
    assert [len(hold["batch"]) for hold in told["holds"]] == [2]
    assert told["new_holds"] == []
    assert "Nothing was written: what is due waits for you." in " ".join(cli("apply").out.split())
    saved = tmp_path / "p"
    cli.ok("plan", "--out", str(saved))
    assert '"actions": []' in saved.read_text()


def test_the_hold_and_the_order_say_what_stops_the_write(cli: Cli) -> None:
    cli("plan")
    shown = " ".join(cli.ok("holds", "show", "H-1").out.split())
    assert "H-1 limit_reached run:refund 20.00 USD" in shown
    assert "ordersync holds resolve H-1 approve let exactly these go" in shown
    why = " ".join(cli.ok("orders", "explain", "web:1").out.split())
    assert "held H-1 stops refund web:1" in why
    assert "ordersync apply makes it" not in why


def test_what_waits_at_a_paused_shop_is_named_with_how_it_goes_on(cli: Cli) -> None:
    cli.ok("pause", "--shop", "web", "--reason", "stock take")
    flat = " ".join(cli.ok("plan").out.split())
    assert "paused 2 writes to web not made: shop web is paused" in flat
    assert "stock take" in flat
    assert "to go on: ordersync resume --shop web" in flat
    assert "2 links: 0 agree" in flat
    assert "limit_reached" not in flat, "what is not to be written crosses no limit"
