"""Refunds that look otherwise later: pending and then failed, gone, of another amount, or of an amount that is none.

Given a refund that was carried and read back. Then the shop that pays shows it differently, and nobody knows why.
ordersync holds; it never pays again, and never takes back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stamina
from tests.scenarios.spoilt import Spoil, due, is_held, is_settled, spoilt_shop
from tests.scenarios.stage import PAIRS, Sale, Stage

from ordersync.testing.sandbox import Reply, Request

_PLACE = "@@"
SAID_TWICE = "said twice"
WITH_STATUS = (("office", "web"), ("web", "asia"))
"""Medusa's refunds have no status."""
AMOUNTS = {
    "smaller": "15.00",
    "none": "0.00",
    "negative": "-20.00",
    "without end": "1e400",
    "huge": "9" * 400,
    "said twice": SAID_TWICE,
    "larger": "25.00",
}
"""The last one is money that left twice, which pauses the shop."""


@pytest.fixture(autouse=True)
def _reads_are_tried_at_once() -> Iterator[None]:
    """Only so that nobody waits; the patience of reads has tests of its own."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


def made(stage: Stage, sale: Sale, shop: str) -> str:
    return str(
        [row[1] for row in stage.admins[shop].box.own_refunds() if row[0] == sale.orders[shop].order_id][-1]
    )


def showing(refund_id: str, change: Callable[[dict[str, Any]], None], raw: str = "") -> Spoil:
    """Every answer, with this refund changed; `raw` comes where the change left its place."""

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("id") == refund_id:
                change(node)
            for child in node.values():
                walk(child)
        for child in node if isinstance(node, list) else ():
            walk(child)

    def spoil(_request: Request, reply: Reply) -> Reply:
        if not reply.body:
            return reply
        body = json.loads(reply.body)
        walk(body)
        return Reply(reply.status, json.dumps(body).replace(f'"{_PLACE}"', raw), reply.headers)

    return spoil


def with_status(word: str) -> Callable[[dict[str, Any]], None]:
    def change(refund: dict[str, Any]) -> None:
        for record in refund.get("transactions", [refund]):
            record["status"] = word

    return change


def place_amount(refund: dict[str, Any]) -> None:
    """Wherever this platform keeps it."""
    for record in refund.get("transactions", [refund]):
        inside = record["amount"] if isinstance(record["amount"], dict) else record
        inside["amount"] = _PLACE


def place_currency(refund: dict[str, Any]) -> None:
    for record in refund.get("transactions", [refund]):
        inside = record["amount"] if isinstance(record["amount"], dict) else record
        inside["currency"] = "KRW"
        inside["currency_code"] = "krw"


def as_sent(shop: str, amount: str) -> str:
    """In the units and quotes of this platform."""
    if amount == SAID_TWICE:
        return {"asia": '"20.00", "amount": "19.00"', "office": '20, "amount": 19', "web": '2000, "amount": 1900'}[
            shop
        ]
    if shop == "asia":
        return f'"{amount}"'
    return str(int(amount.replace(".", ""))) if shop == "web" and "." in amount else amount


@pytest.mark.parametrize("here, there", WITH_STATUS)
def test_a_refund_that_is_pending_when_read_back_and_fails_later_is_held(
    stage: Stage, here: str, there: str
) -> None:
    pending, failed = {"asia": ("pending", "failure"), "web": ("pending", "failed")}[there]
    sale = due(stage, "refund", here, there)
    with spoilt_shop(stage, there) as spoilt:
        spoilt.spoil(
            "after", lambda request, reply: showing(made(stage, sale, there), with_status(pending))(request, reply)
        )
        (result,) = spoilt.apply().results
        assert "confirmed by reading back" in result.said
        stage.wait(hours=1)
        stage.pull()
        assert spoilt.apply().results == []
        assert stage.waits(sale) == [f"{there} refund_pending"]
        spoilt.clear()
        spoilt.spoil("reads", showing(made(stage, sale, there), with_status(failed)))
        for _ in range(2):
            stage.wait(hours=5)
            stage.sweep()
            assert spoilt.apply().results == []
            assert stage.codes() == ["refund_went_back"]
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_refund_that_vanishes_after_it_was_seen_is_held(stage: Stage, here: str, there: str) -> None:
    sale = due(stage, "refund", here, there)
    before = stage.photo(there)
    assert len(stage.apply().results) == 1
    stage.show_only(there, before)
    for _ in range(2):
        stage.wait(hours=5)
        stage.sweep()
        assert stage.apply().results == []
        assert stage.codes() == ["refund_went_back"]
    stage.show_all(there)
    stage.sweep()
    assert stage.apply().results == []
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}


@pytest.mark.parametrize("here, there", PAIRS)
@pytest.mark.parametrize("when", ["when it is read back", "a day later"])
def test_a_refund_whose_amount_is_another_or_none_is_held_and_never_paid_again(
    stage: Stage, here: str, there: str, when: str
) -> None:
    with spoilt_shop(stage, there) as spoilt:
        for name, amount in AMOUNTS.items():
            sale = due(stage, "refund", here, there)

            def spoil(request: Request, reply: Reply, sale: Sale = sale, amount: str = amount) -> Reply:
                return showing(made(stage, sale, there), place_amount, as_sent(there, amount))(request, reply)

            if when == "a day later":
                assert spoilt.apply().results, name
                stage.wait(hours=24)
                spoilt.spoil("reads", spoil)
            else:
                spoilt.spoil("after", spoil)
                assert spoilt.apply().results, name
            stage.wait(hours=2)
            stage.sweep()
            report = spoilt.apply()
            assert report.results == [], name
            assert report.left or is_held(stage, sale), f"{name}: {stage.codes()}"
            spoilt.clear()
            stage.sweep()
            assert spoilt.apply().results == [], name
            assert is_settled(stage, sale) or is_held(stage, sale), name
            assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}, name


@pytest.mark.parametrize("here, there", WITH_STATUS)
def test_a_refund_shown_in_another_currency_is_held(stage: Stage, here: str, there: str) -> None:
    sale = due(stage, "refund", here, there)
    with spoilt_shop(stage, there) as spoilt:
        assert len(spoilt.apply().results) == 1
        spoilt.spoil("reads", showing(made(stage, sale, there), place_currency))
        stage.wait(hours=2)
        stage.sweep()
        assert spoilt.apply().results == []
        assert is_held(stage, sale)
        spoilt.clear()
        stage.sweep()
        assert spoilt.apply().results == []
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00"]}
