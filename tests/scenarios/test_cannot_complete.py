"""A shop that cannot express completion: the sale is completed in one shop, and another has no such step.

That is shown and looked at again, and is nobody's fault: no hold. Once it becomes possible, because the merchant lets
ordersync do it or the platform learns it, a person is asked: what stayed behind for months must not be replayed.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import POLICY, Sale, Stage

from ordersync.model import CellState, FactKind, OrderRef, Progress, Verb
from ordersync.reconcile import KindPolicy

MONEY_ONLY = ("cancel", "refund")
WAYS = [("web", "office"), ("office", "web")]


def complete(stage: Stage, shop: str, sale: Sale) -> None:
    """A person completes the order in that shop's admin."""
    order_id = sale.orders[shop].order_id
    if shop == "office":
        stage.admins[shop].complete(order_id)  # type: ignore[attr-defined]  # a button only Medusa has
    else:
        for step in ("processing", "completed"):
            stage.admins[shop].move(order_id, step)  # type: ignore[attr-defined]  # buttons of the headless one
    stage.wait(minutes=11)


def cell(stage: Stage, sale: Sale, ref: OrderRef) -> tuple[CellState, str | None]:
    rows = [row for row in stage.decision(sale).ledger.rows if row.fact.kind is FactKind.PROGRESS]
    found = rows[0].cell(ref)
    assert found is not None
    return found.state, found.reason


def progress(stage: Stage, shop: str, sale: Sale) -> Progress | None:
    found = stage.store.order(sale.orders[shop])
    assert found is not None
    return found.order.progress


@pytest.mark.parametrize("here", ["web", "office"])
def test_shopline_has_no_such_step_and_that_is_shown_without_a_hold(stage: Stage, here: str) -> None:
    stage.policy = POLICY.model_copy(update={"progress": KindPolicy(sources=(here,))})
    sale = stage.sale(here, "asia")
    complete(stage, here, sale)
    for _ in range(2):
        assert stage.sync() == []
        assert stage.codes() == []
        assert cell(stage, sale, sale.orders["asia"]) == (CellState.CANNOT, "cannot_express")
        assert "skipped: asia cannot express completed" in stage.explain(sale)
        stage.wait(days=20)
    assert stage.sent() == []


@pytest.mark.parametrize("here, there", WAYS)
def test_when_it_becomes_possible_a_person_is_asked_and_the_step_is_made_once(
    stage: Stage, here: str, there: str
) -> None:
    stage.policy = POLICY.model_copy(update={"progress": KindPolicy(sources=(here,))})
    stage.allow(there, *MONEY_ONLY)
    sale = stage.sale(here, there)
    complete(stage, here, sale)
    assert stage.sync() == []
    assert stage.codes() == []
    assert cell(stage, sale, sale.orders[there]) == (CellState.CANNOT, "cannot_express")
    assert f"skipped: {there} cannot express completed" in stage.explain(sale)

    stage.allow(there)
    for _ in range(2):
        assert stage.sync() == [], "what could not be done is not done by itself once it can"
        assert stage.codes() == ["now_possible"]
    assert stage.hold("now_possible").message == f"{there} could not express completed before and now could"
    assert cell(stage, sale, sale.orders[there]) == (CellState.CANNOT, "now_possible")
    assert stage.sent() == []

    stage.answer("now_possible", Verb.APPROVE)
    assert stage.sync()[-1] == f"complete {there}"
    assert progress(stage, there, sale) is Progress.COMPLETED
    assert stage.codes() == []
    assert stage.sync() == []
    assert len([sent for sent in stage.sent() if sent.endswith("/complete")]) == 1


@pytest.mark.parametrize("here, there", WAYS)
def test_a_person_may_leave_it_and_is_not_asked_again(stage: Stage, here: str, there: str) -> None:
    stage.policy = POLICY.model_copy(update={"progress": KindPolicy(sources=(here,))})
    stage.allow(there, *MONEY_ONLY)
    sale = stage.sale(here, there)
    complete(stage, here, sale)
    assert stage.sync() == []
    stage.allow(there)
    assert stage.sync() == []
    stage.answer("now_possible", Verb.LEAVE, why="closed by hand")
    for _ in range(2):
        assert stage.sync() == []
        assert stage.codes() == []
        stage.wait(days=2)
    assert cell(stage, sale, sale.orders[there])[0] is CellState.WAIVED
    assert stage.sent() == []
