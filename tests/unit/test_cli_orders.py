"""Orders on the command line from a store alone: names, parked orders, holds, status, what the plan and links say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.e2e.cli_process import Cli

from ordersync.cli.plan import SHOWN
from ordersync.engine.linking import LinkReport
from ordersync.engine.look import Plan
from ordersync.errors import UsageError
from ordersync.model import (
    Action,
    ActionKind,
    Buyer,
    Decision,
    Hold,
    Ledger,
    LineItem,
    LinkOrigin,
    Money,
    Order,
    OrderRef,
    Payment,
    PaymentState,
    Purse,
    Refund,
    Totals,
    Wait,
)
from ordersync.model import RefundState as State
from ordersync.store import FeedPosition, Observation, Parked, Store

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def order(shop: str, order_id: str, number: str, *, refunded: int = 0) -> Order:
    return Order(
        shop=shop,
        order_id=order_id,
        number=number,
        placed_at=NOW,
        currency="USD",
        buyer=Buyer(name="Kim Lee", email="kim@example.com"),
        line_items=(LineItem(id="1", sku="MUG", quantity=1, unit_price=usd(2000)),),
        totals=Totals(total=usd(2000), first_charged=usd(2000)),
        payments=(
            Payment(
                id="p1", purse=Purse.BOOKS, status=PaymentState.COMPLETED, amount=usd(2000), captured=usd(2000)
            ),
        ),
        refunds=(
            (Refund(id="r1", status=State.COMPLETED, amount=usd(refunded), note="call kim@example.com"),)
            if refunded
            else ()
        ),
        fulfillments=(),
        note="ring the bell, Kim",
        references={"external_id": "kim@example.com"},
    )


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    config = tmp_path / "ordersync.yaml"
    config.write_text(
        "shops:\n"
        "  web: {connector: headless, api_key: sk_test_1, base_url: 'http://127.0.0.1:9/v1'}\n"
        "  shop2: {connector: headless, api_key: sk_test_2, base_url: 'http://127.0.0.1:9/v1'}\n"
    )
    with Store.open(f"sqlite:///{tmp_path / 'ordersync.db'}") as store:
        for one in (order("web", "a", "7"), order("web", "b", "7"), order("web", "c", "8", refunded=500)):
            store.save_observation(Observation(order=one, raw=b"{}", sent_at=NOW))
        store.save_observation(Observation(order=order("shop2", "x", "8"), raw=b"{}", sent_at=NOW))
        store.park(Parked("web", "p", "unknown_word", "status: unknown word 'odd'", "status", b"{}", NOW))
        store.open_hold(
            Hold(
                key="k1",
                code="in_doubt",
                subject="link:L1",
                message="a refund was sent to web:c and no answer came back",
                evidence=("web:c 5.00 USD",),
                next_steps=("ordersync orders show web:c --fresh",),
                money=usd(500),
                target=OrderRef("web", "c"),
            ),
            NOW,
        )
    return Cli(config, tmp_path, frozenset({"sk_test_1", "sk_test_2"}))


def test_a_number_that_fits_several_orders_lists_them_and_does_nothing(cli: Cli) -> None:
    said = cli("orders", "show", "web:7").failed(2, "web:7 fits 2 orders", "name one of them by its id").err
    assert "  web:a\n" in said
    assert "  web:b\n" in said
    assert cli.ok("orders", "show", "web:a").out.startswith("web:7   id a")
    cli("links", "add", "web:7", "shop2:8").failed(2, "fits 2 orders")


def test_an_order_that_was_not_understood_is_named_with_its_reason(cli: Cli) -> None:
    cli("orders", "show", "web:p").failed(
        3, "could not be understood: status: unknown word 'odd'", "web:p --fresh"
    )


def test_free_text_shows_no_buyer_without_asking(cli: Cli) -> None:
    for arguments in (
        ("orders", "show", "web:c"),
        ("orders", "show", "web:c", "--json"),
        ("orders", "list"),
        ("orders", "list", "--json"),
        ("orders", "export"),
    ):
        out = cli.ok(*arguments).out
        for hidden in ("kim@example.com", "Kim Lee", "ring the bell"):
            assert hidden not in out, (arguments, hidden)
    shown = cli.ok("orders", "show", "web:c", "--json", "--buyer").json["order"]
    assert shown["buyer"]["name"] == "Kim Lee"
    assert shown["note"] == "ring the bell, Kim"


def test_the_json_of_an_order_holds_what_derives_from_it(cli: Cli) -> None:
    shown = cli.ok("orders", "show", "web:c", "--json").json["order"]
    assert shown["captured"] == {"amount_minor": 2000, "currency": "USD"}
    assert shown["refunded"] == {"amount_minor": 500, "currency": "USD"}
    assert (shown["order_status"], shown["payment_status"]) == ("unknown", "partially_refunded")
    assert shown["fulfillment_status"] == "unfulfilled"
    assert "buyer" not in shown


def test_holds_are_listed_and_shown_with_what_to_do(cli: Cli) -> None:
    listed = cli.ok("holds", "list", "--json").json["holds"]
    assert [one["code"] for one in listed] == ["parked", "in_doubt"]
    shown = cli.ok("holds", "show", listed[1]["hold"].lower()).out
    assert "a refund was sent to web:8 and no answer came back" in shown
    assert "next    ordersync orders show web:8 --fresh" in shown
    assert "5.00 USD" in cli.ok("holds", "list").out


def test_no_hold_shows_an_address_that_a_platform_put_into_its_answer(cli: Cli) -> None:
    with Store.open(f"sqlite:///{cli.folder}/ordersync.db") as store:
        told = "answer: 500 no such buyer kim@example.com"
        store.open_hold(Hold(key="k2", code="in_doubt", subject="action:x", message=told, evidence=(told,)), NOW)
    for arguments in (
        ["holds", "list"],
        ["holds", "list", "--json"],
        ["holds", "show", "H-3"],
        ["holds", "show", "3", "--json"],
    ):
        assert "kim@example.com" not in cli.ok(*arguments).out
    assert "500 no such buyer ***" in cli.ok("holds", "show", "H-3").out


def test_last_read_is_that_of_the_feed_furthest_behind(cli: Cli) -> None:
    def read_at() -> object:
        return next(s for s in cli("status", "--json").json["shops"] if s["shop"] == "web")["read_at"]

    def place(store: Store, feed: str, cursor: str | None, started_at: datetime) -> None:
        store.save_page(
            FeedPosition("web", feed, cursor, None, started_at, NOW - timedelta(hours=5), started_at), [], [], []
        )

    assert read_at() is None
    with Store.open(f"sqlite:///{cli.folder}/ordersync.db") as store:
        place(store, "new", None, NOW)
        place(store, "open", None, NOW - timedelta(hours=1))
    assert read_at() is None, "a feed that was never read is not hidden by the others"
    with Store.open(f"sqlite:///{cli.folder}/ordersync.db") as store:
        place(store, "closed", None, NOW)
    assert read_at() == (NOW - timedelta(hours=1)).isoformat()
    with Store.open(f"sqlite:///{cli.folder}/ordersync.db") as store:
        place(store, "closed", "page-2", NOW)
    assert read_at() == (NOW - timedelta(hours=5)).isoformat(), "a pass under way is no whole pass"


def test_a_wait_of_several_writes_is_said_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("links", "add", "web:c", "shop2:x")
    wait = Wait(
        code="pending",
        link_id="L1",
        target=OrderRef("web", "c"),
        fact_id="f1",
        message="web:c has a refund pending",
    )
    other = wait.model_copy(update={"fact_id": "f2", "target": OrderRef("shop2", "x")})
    later = wait.model_copy(update={"message": "web:c has another"})

    def with_waits(*arguments: object, **named: object) -> Plan:
        decision = Decision(link_id="L1", ledger=Ledger(), waits=(wait, other, later))
        return Plan(made_at=NOW, links=1, looked=1, decisions=[decision])

    monkeypatch.setattr("ordersync.engine.look.make_plan", with_waits)
    shown = cli.ok("plan", "--all").out
    assert shown.count("waits L1: web:8 has a refund pending") == 1
    assert "waiting 2" in shown
    assert len(cli.ok("plan", "--json").json["waits"]) == 3, "for a program each has its own fact"


def test_what_is_skipped_on_settled_links_is_shown_again(cli: Cli) -> None:
    cli.ok("links", "add", "web:c", "shop2:x")
    first = cli.ok("plan").out
    assert "1 link: 1 agree" in first
    assert "skipped 1 (--all)" in first
    again = cli.ok("plan", "--all").out
    assert "skipped L1: " in again
    assert "1 link: 1 agree" in again


def test_a_link_made_by_another_command_meanwhile_is_no_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def raced(*_: object) -> LinkReport:
        calls.append(1)
        if len(calls) < 3:
            raise UsageError("web:c belongs to link L1 already", code="already_linked")
        return LinkReport()

    monkeypatch.setattr("ordersync.engine.linking.link_by_rules", raced)
    ended = cli("pull")
    assert "already" not in ended.err
    assert len(calls) == 3


def test_status_says_three_while_anything_waits(cli: Cli) -> None:
    ended = cli("status")
    assert ended.code == 3
    assert "2 holds for you: in_doubt 1, parked 1" in ended.out
    facts = cli("status", "--json").json
    assert [(s["shop"], s["orders"], s["parked"]) for s in facts["shops"]] == [("web", 3, 1), ("shop2", 1, 0)]


def test_a_difference_that_is_not_carried_is_said_in_the_plan(cli: Cli) -> None:
    cli.ok("links", "add", "web:8", "shop2:8")
    ended = cli("plan", "--all")
    assert "refund 5.00 USD: local" in " ".join(ended.out.split())
    assert "policy.refund.from" in " ".join(ended.out.split())
    assert "Nothing was written" in ended.out


def test_orders_list_says_when_there_are_more(cli: Cli) -> None:
    assert "and more" in cli.ok("orders", "list", "--limit", "2").out
    found = cli.ok("orders", "list", "--limit", "2", "--json").json
    assert (len(found["orders"]), found["more"]) == (2, True)
    assert cli.ok("orders", "list", "--json").json["more"] is False


def test_an_export_is_sorted_and_holds_every_order(cli: Cli) -> None:
    lines = cli.ok("orders", "export").out.splitlines()
    found = [json.loads(line) for line in lines]
    assert [(o["shop"], o["order_id"]) for o in found] == [
        ("shop2", "x"),
        ("web", "a"),
        ("web", "b"),
        ("web", "c"),
    ]


def test_a_shop_without_a_connection_is_try_again(cli: Cli) -> None:
    cli("orders", "show", "web:8", "--fresh").failed(1, "no connection to web")


def test_a_long_plan_says_how_much_more_there_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand writes are counted by kind; --all, --json and --out have every one of them."""
    action = Action(
        key="k",
        kind=ActionKind.PACK,
        target=OrderRef("web", "c"),
        link_id="L1",
        token="os-aaaaaaaa",
        because="shop2:x shipped",
        digest="d",
    )
    many = tuple(action.model_copy(update={"key": f"k{number}"}) for number in range(SHOWN + 3))
    hold = Hold(key="h", code="old_fact", subject="link:L1", message="web:c is old", link_id="L1")
    holds = tuple(hold.model_copy(update={"key": f"h{number}"}) for number in range(SHOWN + 2))

    def with_many(*arguments: object, **named: object) -> Plan:
        decision = Decision(link_id="L1", ledger=Ledger(), actions=many, holds=holds)
        return Plan(made_at=NOW, links=1, looked=1, decisions=[decision])

    monkeypatch.setattr("ordersync.engine.look.make_plan", with_many)
    shown = cli.ok("plan").out
    assert shown.count("pack web:8") == SHOWN
    assert "... and 3 more writes: pack 3 (--all lists them)" in shown
    assert "... and 2 more holds: old_fact 2 (--all lists them)" in shown
    assert f"Held {SHOWN + 2}" in shown
    everything = cli.ok("plan", "--all").out
    assert everything.count("pack web:8") == SHOWN + 3
    assert "more" not in everything
    assert len(cli.ok("plan", "--json").json["writes"]) == SHOWN + 3


def test_links_are_listed_a_page_at_a_time(cli: Cli) -> None:
    cli.ok("links", "add", "web:c", "shop2:x")
    whole = cli.ok("links", "list").out
    assert "L1" in whole
    assert "more" not in whole
    with Store.open(f"sqlite:///{cli.folder}/ordersync.db") as store:
        store.add_link([OrderRef("web", "d"), OrderRef("shop2", "y")], LinkOrigin.HAND, None, NOW)
    assert "and more (2 links in all); raise --limit" in cli.ok("links", "list", "--limit", "1").out
    listed = cli.ok("links", "list", "--limit", "1", "--json").json
    assert ([one["link"] for one in listed["links"]], listed["more"]) == (["L1"], True)
    assert cli.ok("links", "list", "--shop", "shop2", "--json").json["more"] is False
