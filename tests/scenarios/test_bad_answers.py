"""Answers that cannot be true: another order's, none at all, a web page, half of one, JSON of the wrong form.

Given a sale in two shops where something happened in one and is due in the other, when the other's answers are spoilt
before the write, to the write, or at the look after it. Then the other shop shows the effect at most once, what is
said names no buyer and no key, and once the answers are true again one apply ends with the sale settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import stamina
from tests.scenarios.spoilt import (
    KINDS,
    Moment,
    Spoil,
    Spoilt,
    due,
    effects,
    is_held,
    is_settled,
    spoilt_shop,
)
from tests.scenarios.stage import PAIRS, Sale, Stage

from ordersync.testing.sandbox import Reply, Request


@pytest.fixture(autouse=True)
def _reads_are_tried_at_once() -> Iterator[None]:
    """Only so that nobody waits; the patience of reads has tests of its own."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@dataclass(frozen=True)
class Lie:
    name: str
    make: Callable[[Spoilt, Sale, Sale], Spoil]
    """Given the shop, the sale, and another sale there."""


def _body(body: bytes | str, content_type: str = "application/json; charset=utf-8") -> Spoil:
    return lambda _request, reply: Reply(reply.status, body, content_type=content_type)


def another_order(spoilt: Spoilt, sale: Sale, other: Sale) -> Spoil:
    """To a read the true answer about another order; to a write the true answer, with the other's names in it."""
    mine, others = (one.orders[spoilt.shop] for one in (sale, other))
    names = dict(
        zip(_names(spoilt.stage, sale, spoilt.shop), _names(spoilt.stage, other, spoilt.shop), strict=True)
    )

    def spoil(request: Request, reply: Reply) -> Reply:
        if request.method == "GET":
            query = tuple((key, value.replace(mine.order_id, others.order_id)) for key, value in request.query)
            asked = Request(
                request.method,
                request.path.replace(mine.order_id, others.order_id),
                query,
                request.headers,
                request.body,
                request.at,
            )
            return spoilt.proxy.ask_shop(asked)
        body = reply.body
        for name, instead in names.items():
            body = body.replace(name.encode(), instead.encode())
        return Reply(reply.status, body)

    return spoil


def _names(stage: Stage, sale: Sale, shop: str) -> list[str]:
    """Order, payments and lines of a sale in this shop, by their ids."""
    stored = stage.store.order(sale.orders[shop])
    assert stored is not None
    order = stored.order
    return [
        order.order_id,
        *(payment.id for payment in order.payments or ()),
        *(line.id for line in order.line_items or ()),
    ]


LIES = (
    Lie("another order", another_order),
    Lie("empty", lambda *_: _body(b"")),
    Lie("a web page", lambda *_: _body("<html>Checking your browser</html>", "text/html")),
    Lie("half", lambda *_: lambda _request, reply: Reply(reply.status, reply.body[: len(reply.body) // 2])),
    Lie("a number", lambda *_: _body(b"7")),
    Lie("a list", lambda *_: _body(b"[]")),
    Lie("an empty object", lambda *_: _body(b"{}")),
    Lie("NaN", lambda *_: _body(b'{"id": NaN, "order": NaN, "orders": NaN}')),
    Lie("too deep", lambda *_: _body(b'{"order":' + b"[" * 200_000)),
    Lie("not UTF-8", lambda *_: _body(b'{"id": "\xff\xfe"}')),
)


MOMENTS: tuple[Moment, ...] = ("before", "write", "after")


def told(kind: str, moment: Moment) -> tuple[Lie, ...]:
    """Another order's answer always, and two of the rest, so that each of them is told to every platform twice."""
    first, *rest = LIES
    place = 2 * (len(MOMENTS) * KINDS.index(kind) + MOMENTS.index(moment))
    return (first, *(rest[(place + step) % len(rest)] for step in range(2)))


@pytest.mark.parametrize("here, there", PAIRS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_cannot_be_true_decides_nothing_and_repeats_nothing(
    stage: Stage, here: str, there: str, kind: str, moment: Moment
) -> None:
    other = stage.sale(here, there, pays=there, unpaid=(here, there) if kind == "cancel" else ())
    with spoilt_shop(stage, there) as spoilt:
        for lie in told(kind, moment):
            sale = due(stage, kind, here, there)
            spoiling = spoilt.spoil(moment, lie.make(spoilt, sale, other))
            report = spoilt.apply()

            assert spoiling.struck, lie.name
            assert effects(stage, kind, sale, there) == (0 if moment == "before" else 1) or kind == "ship", (
                lie.name
            )
            if moment == "before":
                assert spoiling.written == 0, f"{lie.name}: nothing is written on a look that failed"
                assert len(report.left) == 1 or is_held(stage, sale), f"{lie.name}: and it is said"

            spoilt.clear()
            stage.pull()
            spoilt.apply()
            assert effects(stage, kind, sale, there) == 1, lie.name
            assert is_settled(stage, sale), f"{lie.name}: {stage.codes()}"
        assert stage.codes() == []
