"""Receipts and notes that do not come back as they should: the proof of a refund is a record, and whose it is.

Given a refund that is carried to the shop that pays the buyer. The shop makes it, and then its answer names another
record, or none, or its orders show our mark cut, changed, swallowed or twice. Then the buyer is paid once, and what
cannot be known is held.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator

import pytest
import stamina
from tests.scenarios.spoilt import Spoil, Spoilt, due, effects, is_held, is_settled, spoilt_shop
from tests.scenarios.stage import PAIRS, Sale, Stage

from ordersync.model import ActionState
from ordersync.testing.sandbox import Reply, Request

TEN_MB = 10_000_000
_WITH_MARK = re.compile(r'"((?:[^"\\]|\\.)*\bos-[a-z2-7]{8}(?:[^"\\]|\\.)*)"')
NOTES: dict[str, Callable[[str], str]] = {
    "cut to 20 characters": lambda note: note[:20],
    "upper-cased": str.upper,
    "swallowed": lambda _note: "",
    "escaped": lambda note: html.escape(f"<p>{note} & more</p>"),
    "our mark twice": lambda note: f"{note} {note[-11:]}",
}


@pytest.fixture(autouse=True)
def _reads_are_tried_at_once() -> Iterator[None]:
    """Only so that nobody waits; the patience of reads has tests of its own."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


def made(stage: Stage, sale: Sale, shop: str) -> str:
    """Id of the newest refund of a sale, by the shop's own list."""
    return str(
        [row[1] for row in stage.admins[shop].box.own_refunds() if row[0] == sale.orders[shop].order_id][-1]
    )


def naming(stage: Stage, sale: Sale, shop: str, instead: object) -> Spoil:
    """The answer to the refund, with something else in place of its id."""

    def spoil(_request: Request, reply: Reply) -> Reply:
        true = json.dumps(made(stage, sale, shop)).encode()
        assert true in reply.body
        return Reply(reply.status, reply.body.replace(true, json.dumps(instead).encode()))

    return spoil


def noted(change: Callable[[str], str]) -> Spoil:
    """Answers in which every text that holds our mark is changed."""

    def spoil(_request: Request, reply: Reply) -> Reply:
        text = reply.body.decode()
        return Reply(reply.status, _WITH_MARK.sub(lambda found: json.dumps(change(found[1])), text))

    return spoil


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_refund_whose_receipt_names_something_else_is_known_by_its_mark(
    stage: Stage, here: str, there: str
) -> None:
    elsewhere = due(stage, "refund", here, there)
    assert stage.apply().results
    lies = ("no-such-record", made(stage, elsewhere, there), "", None, 7, True, {"id": "x"}, "x" * TEN_MB)
    with spoilt_shop(stage, there) as spoilt:
        for lie in lies:
            sale = due(stage, "refund", here, there)
            spoilt.spoil("write", naming(stage, sale, there, lie))
            (result,) = spoilt.apply().results
            told = str(lie)[:40]
            assert result.state is ActionState.SEEN, told
            assert effects(stage, "refund", sale, there) == 1, told
            record = stage.store.action(result.action.key)
            assert record is not None
            assert record.platform_ref == made(stage, sale, there), f"{told}: the record itself is what is kept"
            spoilt.clear()
            stage.pull()
            assert spoilt.apply().results == [], told
            assert is_settled(stage, sale), told
    assert stage.codes() == []


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_receipt_that_names_an_older_refund_of_another_amount_proves_nothing(
    stage: Stage, here: str, there: str
) -> None:
    """The shop says yes and does nothing; what it names is a refund both sides have had for long."""
    sale = stage.sale(here, there, pays=there)
    stage.refund(here, sale, "5.00", why="early")
    stage.refund(there, sale, "5.00", why="early")
    stage.wait(hours=30)
    stage.sync()
    older = made(stage, sale, there)
    stage.refund(here, sale, "20.00")
    stage.wait(minutes=15)
    stage.pull()
    with spoilt_shop(stage, there) as spoilt:
        spoilt.answer(lambda request: _says_done(spoilt, sale, older, request), method="POST")
        (result,) = spoilt.apply().results
        assert result.state is not ActionState.SEEN, "the record it names is not what was asked for"
        spoilt.clear()
        stage.wait(hours=2)
        stage.pull()
        spoilt.apply()
    assert stage.refunds(sale)[there] == ["5.00"]
    assert is_held(stage, sale)
    assert set(stage.codes()) <= {"not_visible", "in_doubt"}


def _says_done(spoilt: Spoilt, sale: Sale, older: str, request: Request) -> Reply:
    """As each platform says that a refund was made, naming a record that was there before."""
    shop, order_id = spoilt.stage.shops[spoilt.shop], sale.orders[spoilt.shop].order_id
    asked = json.loads(request.body)
    if shop.connector.platform == "shopline":
        return Reply(200, {"data": {"id": older, "order_id": order_id, "transactions": []}})
    if shop.connector.platform == "medusa":
        refund = {"id": older, "amount": asked["amount"], "note": asked["note"]}
        return Reply(200, {"payment": {"id": request.path.split("/")[-2], "refunds": [refund]}})
    return Reply(201, {"id": older, "order_id": order_id, "amount": asked["amount"], "status": "completed"})


@pytest.mark.parametrize("here, there", PAIRS)
@pytest.mark.parametrize("answered", [True, False])
def test_a_note_that_does_not_come_back_whole_never_pays_twice(
    stage: Stage, here: str, there: str, answered: bool
) -> None:
    """With an answer the record it names is proof; without one only our mark is, and a mark that was lost is held."""
    with spoilt_shop(stage, there) as spoilt:
        for name, change in NOTES.items():
            sale = due(stage, "refund", here, there)
            spoilt.spoil("write", lambda _request, reply: reply if answered else Reply(502))
            spoilt.spoil("after", noted(change))
            spoilt.apply()
            stage.wait(hours=2)
            stage.pull()
            spoilt.apply()
            assert effects(stage, "refund", sale, there) == 1, name
            readable = name in ("escaped", "our mark twice")
            assert is_settled(stage, sale) or is_held(stage, sale), name
            if answered or readable:
                assert is_settled(stage, sale), f"{name}: {stage.codes()}"
            spoilt.clear()
            stage.pull()
            spoilt.apply()
            assert effects(stage, "refund", sale, there) == 1, name
            assert stage.refunds(sale)[here] == ["20.00"], name
            assert is_settled(stage, sale) or is_held(stage, sale), name


@pytest.mark.parametrize("here, there", PAIRS)
def test_two_refunds_with_one_mark_of_ours_are_an_overshoot(stage: Stage, here: str, there: str) -> None:
    sale = due(stage, "refund", here, there)
    (result,) = stage.apply().results
    stage.refund(there, sale, "20.00", why=f"again {result.action.token}")
    stage.wait(minutes=15)
    stage.pull()
    assert stage.apply().results == []
    assert stage.codes() == ["overshoot"]
    assert stage.refunds(sale) == {here: ["20.00"], there: ["20.00", "20.00"]}
