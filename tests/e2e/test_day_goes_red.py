"""A full day is only worth its word if it says no: the engine broken on purpose, and a short day over it.

Each case lets a handful of sales of one kind pass with one thing broken; with nothing broken the same day is calm.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ordersync.cli.day import play_day
from ordersync.cli.run import Run
from ordersync.connector import Receipt
from ordersync.engine import look, writes
from ordersync.engine.shops import Shop
from ordersync.errors import Refused
from ordersync.model import Action, ActionKind, Decision, OrderRef
from ordersync.reconcile import reconcile
from ordersync.testing.day import story
from ordersync.testing.day.fates import CHANCES

SALES, SEED = 5, 6
Break = Callable[[pytest.MonkeyPatch], None]
send = writes.call


def calls(patch: pytest.MonkeyPatch, broken: Callable[[Shop, Action], Receipt]) -> None:
    patch.setattr(writes, "call", broken)


def a_refund_is_sent_twice(patch: pytest.MonkeyPatch) -> None:
    def broken(shop: Shop, action: Action) -> Receipt:
        receipt = send(shop, action)
        if action.kind is ActionKind.REFUND:
            again = action.model_copy(update={"key": action.key[::-1], "token": "os-zzzzzzzz"})
            try:
                send(shop, again)
            except Refused:
                return receipt  # nothing is left to refund there: no second one is made
        return receipt

    calls(patch, broken)


def a_refund_is_a_cent_too_large(patch: pytest.MonkeyPatch) -> None:
    def broken(shop: Shop, action: Action) -> Receipt:
        if action.amount is not None and action.kind is ActionKind.REFUND:
            more = action.amount.model_copy(update={"amount_minor": action.amount.amount_minor + 1})
            action = action.model_copy(update={"amount": more})
        return send(shop, action)

    calls(patch, broken)


def another_order_is_cancelled(patch: pytest.MonkeyPatch) -> None:
    written: dict[str, list[OrderRef]] = {}

    def broken(shop: Shop, action: Action) -> Receipt:
        going_on = written.setdefault(shop.name, [])
        if action.kind is not ActionKind.CANCEL:
            going_on.append(action.target)
            return send(shop, action)
        going_on[:] = [ref for ref in going_on if ref != action.target]
        return send(shop, action.model_copy(update={"target": (going_on or [action.target])[0]}))

    calls(patch, broken)


def a_unit_of_each_parcel_stays_behind(patch: pytest.MonkeyPatch) -> None:
    def broken(shop: Shop, action: Action) -> Receipt:
        if action.parcel is not None and action.parcel.fulfillment_id is None:
            first, *rest = action.parcel.lines
            fewer = [first.model_copy(update={"quantity": first.quantity - 1})] if first.quantity > 1 else []
            kept = (*fewer, *rest) or (first,)
            action = action.model_copy(update={"parcel": action.parcel.model_copy(update={"lines": kept})})
        return send(shop, action)

    calls(patch, broken)


def forgets(kind: ActionKind, shop: str) -> Break:
    """The decision never plans this kind of write at one shop."""

    def broken(patch: pytest.MonkeyPatch) -> None:
        def decide(*given: object, **named: object) -> Decision:
            decision: Decision = reconcile(*given, **named)  # type: ignore[arg-type]  # passed on as they came
            kept = tuple(a for a in decision.actions if not (a.kind is kind and a.target.shop == shop))
            return decision.model_copy(update={"actions": kept})

        patch.setattr(look, "reconcile", decide)

    return broken


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fates", "break_it", "said"),
    [
        ({"part_refunded"}, a_refund_is_sent_twice, "is one too many"),
        ({"part_refunded"}, a_refund_is_a_cent_too_large, "is one too many"),
        ({"part_refunded"}, forgets(ActionKind.REFUND, "web"), "is missing and nothing says why"),
        ({"part_refunded", "refunded_then_cancelled"}, another_order_is_cancelled, "nobody cancelled it"),
        ({"cancelled"}, forgets(ActionKind.CANCEL, "office"), "its cancel is missing and nothing says why"),
        ({"sent"}, a_unit_of_each_parcel_stays_behind, "left, not {"),
        ({"sent"}, forgets(ActionKind.SHIP, "asia"), "should have left and nothing says why not"),
    ],
)
def test_a_day_with_a_broken_engine_ends_with_surprises(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fates: set[str],
    break_it: Break,
    said: str,
) -> None:
    monkeypatch.setattr(story, "CHANCES", [one for one in CHANCES if one.fate.__name__ in fates])
    monkeypatch.setattr("ordersync.cli.day.SURPRISES_SHOWN", 1000)
    break_it(monkeypatch)
    ended = play_day(Run(tmp_path / "ordersync.yaml", debug=False), SEED, SALES, tmp_path)
    shown = " ".join(capsys.readouterr().out.split())
    assert ended == 1, shown
    assert said in shown


def test_the_same_short_day_with_the_engine_as_it_is_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fates = {"part_refunded", "refunded_then_cancelled", "cancelled", "sent"}
    monkeypatch.setattr(story, "CHANCES", [one for one in CHANCES if one.fate.__name__ in fates])
    ended = play_day(Run(tmp_path / "ordersync.yaml", debug=False), SEED, SALES, tmp_path)
    assert ended == 0, capsys.readouterr().out
