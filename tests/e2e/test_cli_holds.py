"""Holds answered at the command line, the story of an order, and one screen of status, on running sandboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.aged import dated_back
from tests.e2e.cli_process import Cli, Ended, Shops

POLICY = {"cancel": {"from": "any"}, "refund": {"from": ["asia"], "approve_over": ["1 USD"], "carry_after": "0s"}}
LIMITS = {
    "run": {"cancel": 10, "refund": 20, "refund_value": ["500 USD"]},
    "day": {"cancel": 30, "refund": 60, "refund_value": ["2000 USD"]},
}


@pytest.fixture(scope="module")
def cli(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    made = shops.cli(tmp_path_factory.mktemp("own"), policy=POLICY, limits=LIMITS, writes=True)
    made.ok("pull")
    return made


def refunded(cli: Cli, number: int, amount: str) -> list[dict[str, Any]]:
    """Refund a paid asia order by hand; the open holds on its link afterwards."""
    cli.ok("orders", "refund", f"asia:{number}", "--amount", amount, "--yes")
    cli.ok("pull")
    cli("plan")
    link = cli.ok("orders", "explain", f"asia:{number}", "--json").json["link"]["link"]
    return [h for h in cli.ok("holds", "list", "--json").json["holds"] if h["link"] == link]


@pytest.fixture(scope="module")
def paid(cli: Cli) -> list[int]:
    """Numbers of paid asia orders of a link that agrees, unshipped and not cancelled."""
    linked = {
        member["order_id"]
        for link in cli.ok("links", "list", "--json").json["links"]
        for member in link["members"]
        if member["shop"] == "asia"
    }
    orders = cli.ok("orders", "list", "--shop", "asia", "--json").json["orders"]
    found = [
        int(o["number"])
        for o in orders
        if o["payment_status"] == "paid" and o["order_status"] == "open" and o["order_id"] in linked
    ]
    assert len(found) >= 3
    return sorted(found)


def narrow(ended: Ended) -> Ended:
    assert [line for line in ended.out.splitlines() if len(line) > 80] == []
    return ended


def test_a_large_refund_waits_for_approval_and_is_then_carried_once(cli: Cli, paid: list[int]) -> None:
    number = paid[0]
    held = refunded(cli, number, "5.00 USD")
    assert {h["code"] for h in held} == {"needs_approval"}
    assert held[0]["verbs"] == ["look", "approve", "leave"]
    shown = narrow(cli.ok("holds", "show", held[0]["hold"])).out
    assert f"ordersync holds resolve {held[0]['hold']} approve" in shown
    for text in (shown, narrow(cli.ok("holds", "list")).out, narrow(cli("plan")).out):
        kept_from = next(line for line in text.splitlines() if held[0]["hold"] in line)
        assert f"{held[0]['target']['shop']}:" in kept_from, (
            "equal holds are told apart by the order they are about"
        )
    first, *others = held
    cli.ok("holds", "resolve", first["hold"], "approve")
    cli("holds", "resolve", first["hold"], "leave", "--reason", "no").failed(
        3, "closed already: approve by", "hold_closed"
    )
    applied = cli("apply", "--json").json
    assert [w["state"] for w in applied["writes"]] == ["seen"]
    if others:
        preview = narrow(
            cli.ok("holds", "resolve", "--code", "needs_approval", "leave", "--reason", "settled in cash")
        )
        assert "Nothing was done" in preview.out
        done = cli.ok(
            "holds", "resolve", "--code", "needs_approval", "leave", "--reason", "settled in cash", "--yes"
        )
        assert f"{len(others)} answered" in done.out
    assert cli.ok("apply", "--json").json["writes"] == []
    told = narrow(cli.ok("orders", "explain", f"asia:{number}"))
    for words in ("agrees", "by feed", "intended, because", "read back as", "needs_approval opened", "approve by"):
        assert words in " ".join(told.out.split()), words
    assert "answer  approve by" in cli.ok("holds", "show", first["hold"]).out


def test_why_nothing_was_written_is_said(cli: Cli, paid: list[int]) -> None:
    number = paid[1]
    held = refunded(cli, number, "6.00 USD")
    story = cli.ok("orders", "explain", f"asia:{number}", "--json").json
    assert {h["hold"] for h in story["held"]} == {h["hold"] for h in held}
    assert story["agrees"] is False
    assert [row["kind"] for row in story["ledger"]] == ["refund"]
    assert any("refund" in e["what"] and e["where"] == "asia" for e in story["events"])
    times = [event["at"] for event in story["events"]]
    assert times == sorted(times)
    said = narrow(cli.ok("orders", "explain", f"asia:{number}")).out
    assert f"held     {held[0]['hold']} needs_approval" in said
    done = cli.ok(
        "holds", "resolve", "--code", "needs_approval", "leave", "--reason", "in cash", "--yes", "--json"
    )
    assert [(r["verb"], r["closed"], r["answered"]) for r in done.json["resolved"]] == [
        ("leave", True, True)
    ] * len(held)
    assert "waived" in cli.ok("orders", "explain", f"asia:{number}").out
    assert cli("plan", "--json").json["writes"] == []


def test_a_doubt_is_sent_again_only_with_its_amount(shops: Shops, cli: Cli, paid: list[int]) -> None:
    number = paid[2]
    held = refunded(cli, number, "7.00 USD")
    target = next(h["target"]["shop"] for h in held)
    cli.ok("holds", "resolve", "--code", "needs_approval", "approve", "--yes")
    shops.fault(target, kind="cut_before", method="POST", path="refund")
    assert cli("apply").code in (1, 3)
    shops.clear_faults(target)
    dated_back(cli.database)
    cli("apply")
    found = [h for h in cli.ok("holds", "list", "--json").json["holds"] if h["code"] == "in_doubt"]
    assert len(found) == 1
    hold = found[0]["hold"]
    status = cli("status")
    assert status.code == 3
    assert "1 in doubt" in status.out
    cli("holds", "resolve", hold, "resend").failed(2, "needs its amount typed", "amount_missing")
    cli("holds", "resolve", hold, "resend", "--amount", "7.01 USD").failed(2, "amount_differs")
    cli("holds", "resolve", hold, "done", "--record", "none").failed(2, "no_such_record")
    sent = cli("holds", "resolve", hold, "resend", "--amount", "7.00 USD")
    assert "sent again" in sent.out
    cli("apply")
    refunds = [
        r
        for r in _refunds(cli, f"{target}:{found[0]['target']['order_id']}")
        if r["amount"]["amount_minor"] == 700
    ]
    assert len(refunds) == 1


def _refunds(cli: Cli, ref: str) -> list[dict[str, Any]]:
    order: dict[str, Any] = cli.ok("orders", "show", ref, "--fresh", "--json").json["order"]
    refunds: list[dict[str, Any]] = order["refunds"]
    return refunds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("H-99999", "look"), ["there is no hold", "unknown_hold"]),
        (("H-1",), ["one hold and one verb", "bad_reply"]),
        (("H-1", "shrug"), ["is no verb", "unknown_verb"]),
        (("--code", "limit_reached", "H-1", "approve"), ["bad_reply"]),
        (("--code", "in_doubt", "resend"), ["one hold at a time", "not_in_bulk"]),
        (("--code", "parked", "approve"), ["cannot be answered with approve", "verb_not_offered"]),
        (("--code", "overshoot", "leave", "--reason", "x"), ["no open hold has the reason overshoot"]),
        (("H-1", "resend", "--amount", "lots"), ["bad_amount"]),
    ],
)
def test_an_answer_that_makes_no_sense_is_named(cli: Cli, arguments: tuple[str, ...], words: list[str]) -> None:
    cli("holds", "resolve", *arguments).failed(2, *words)


def test_resending_needs_writes(shops: Shops, tmp_path: Path) -> None:
    off = shops.cli(tmp_path, writes=False)
    off("holds", "resolve", "H-1", "resend", "--amount", "1 USD").failed(2, "writes are off", "writes_off")


def test_an_order_without_a_link_has_a_story_too(shops: Shops, tmp_path: Path) -> None:
    alone = shops.cli(tmp_path, only=["web"])
    alone.ok("pull")
    number = alone.ok("orders", "list", "--json").json["orders"][0]["number"]
    assert "is in no link" in narrow(alone.ok("orders", "explain", f"web:{number}")).out
    alone("orders", "explain", "web:nothing").failed(2, "unknown_order")


def test_status_tells_the_oldest_reading_of_linked_orders(cli: Cli) -> None:
    facts = cli("status", "--json").json
    assert {"waits", "in_doubt"} <= set(facts)
    assert all(shop["oldest_linked_read_at"] for shop in facts["shops"] if shop["shop"] != "depot")
    narrow(cli("status"))
