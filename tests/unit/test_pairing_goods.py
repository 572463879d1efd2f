"""Refunds of one amount for different goods are two refunds, however close together they were made."""

from __future__ import annotations

import pytest
from tests.unit.test_reconcile import codes, decide, only

from ordersync.model import (
    CellState,
    Decision,
    FactKind,
    LineItem,
    Order,
    OrderRef,
    RefundState,
    fact_id_of,
    token_of,
)
from ordersync.testing.orders import R, build_order, usd

TEE, LAMP, MUG = "TEE-M", "LAMP-01", "MUG-02"


def order(
    shop: str, *refunds: R, prefix: str = "", skus: tuple[str, ...] = (TEE, LAMP, MUG), captured: int = 10_000
) -> Order:
    """Two of each sku at 15.00; line ids are the shop's own, `prefix` makes skus that match no other shop's."""
    lines = tuple(
        LineItem(id=line_of(shop, sku), sku=prefix + sku, title=prefix + sku, quantity=2, unit_price=usd(1500))
        for sku in skus
    )
    return build_order(shop, refunds=refunds, captured=captured).model_copy(update={"line_items": lines})


def line_of(shop: str, sku: str) -> str:
    return f"{shop}/{sku}"


def of(record_id: str, amount: int, shop: str, minutes_ago: int = 30, **units: int) -> R:
    lines = [(line_of(shop, {"tee": TEE, "lamp": LAMP, "mug": MUG}[name]), count) for name, count in units.items()]
    return R(record_id, amount, minutes_ago=minutes_ago, lines=lines)


def present(decision: Decision) -> list[list[str]]:
    """Shops that show each fact."""
    return [
        [cell.member.shop for cell in row.cells if cell.state is CellState.PRESENT] for row in decision.ledger.rows
    ]


def records(decision: Decision) -> list[dict[str, str]]:
    """Of each fact the record that is it, by shop."""
    rows = [
        {cell.member.shop: " ".join(cell.record_ids) for cell in row.cells if cell.record_ids}
        for row in decision.ledger.rows
    ]
    return sorted(rows, key=lambda row: row.get("a", ""))


def test_one_amount_for_other_goods_by_hand_in_each_shop_is_not_one_refund() -> None:
    decision = decide(order("a", of("r1", 1500, "a", tee=1)), order("b", of("x", 1500, "b", lamp=1)))
    assert codes(decision) == {"ambiguous_refund"}
    assert not decision.actions
    assert present(decision) == [["a"], ["b"]]


@pytest.mark.parametrize(
    "here, there",
    [({"tee": 1}, {"tee": 2}), ({"tee": 1}, {"tee": 1, "lamp": 1}), ({"tee": 1, "mug": 1}, {"lamp": 1, "mug": 1})],
    ids=["another count", "one more thing", "one thing in common"],
)
def test_goods_that_differ_in_part_are_no_pair_either(here: dict[str, int], there: dict[str, int]) -> None:
    decision = decide(order("a", of("r1", 3000, "a", **here)), order("b", of("x", 3000, "b", **there)))
    assert codes(decision) == {"ambiguous_refund"}
    assert not decision.actions


def test_the_same_goods_and_amount_on_both_sides_are_one_refund() -> None:
    decision = decide(
        order("a", of("r1", 4500, "a", tee=1, lamp=2)), order("b", of("x", 4500, "b", lamp=2, tee=1))
    )
    assert decision.agrees
    assert present(decision) == [["a", "b"]]


@pytest.mark.parametrize("named", ["a", "b"])
def test_an_amount_alone_contradicts_nothing(named: str) -> None:
    orders = [order(shop, of("r", 1500, shop, tee=1) if shop == named else R("r", 1500)) for shop in ("a", "b")]
    assert decide(*orders).agrees


def test_lines_that_match_none_of_the_other_order_contradict_nothing() -> None:
    decision = decide(
        order("a", of("r1", 1500, "a", tee=1)), order("b", of("x", 1500, "b", lamp=1), prefix="other ")
    )
    assert decision.agrees


def test_two_equal_refunds_pair_by_their_goods_whichever_was_made_first() -> None:
    decision = decide(
        order("a", of("r1", 1500, "a", 40, tee=1), of("r2", 1500, "a", 30, lamp=1)),
        order("b", of("x", 1500, "b", 40, lamp=1), of("y", 1500, "b", 30, tee=1)),
    )
    assert decision.agrees
    assert records(decision) == [{"a": "r1", "b": "y"}, {"a": "r2", "b": "x"}]


def test_of_two_equal_refunds_the_one_for_goods_the_other_shop_shows_is_settled_and_the_other_carried() -> None:
    action = only(
        decide(
            order("a", of("r1", 1500, "a", 40, tee=1), of("r2", 1500, "a", 30, lamp=1)),
            order("b", of("x", 1500, "b", 20, lamp=1)),
        )
    )
    assert (action.target, action.amount) == (OrderRef("b", "1"), usd(1500))
    assert action.fact_id == fact_id_of(OrderRef("a", "1"), FactKind.REFUND, "r1")


def test_where_one_of_several_names_no_goods_there_is_more_than_one_way() -> None:
    decision = decide(
        order("a", of("r1", 1500, "a", 40, tee=1), R("r2", 1500)), order("b", of("x", 1500, "b", 20, lamp=1))
    )
    assert codes(decision) == {"ambiguous_refund"}
    assert not decision.actions


def test_one_that_names_no_goods_pairs_with_what_is_left_for_it() -> None:
    decision = decide(
        order("a", R("r1", 1500, minutes_ago=40), of("r2", 1500, "a", 30, tee=1)),
        order("b", of("x", 1500, "b", 40, tee=1), of("y", 1500, "b", 30, lamp=1)),
    )
    assert decision.agrees
    assert records(decision) == [{"a": "r1", "b": "y"}, {"a": "r2", "b": "x"}]


def test_a_refund_by_hand_for_other_goods_does_not_settle_what_was_owed() -> None:
    first = order("a", of("r1", 1500, "a", tee=1))
    owed = decide(first, order("b"))
    assert [action.target.shop for action in owed.actions] == ["b"]
    after = decide(first, order("b", of("x", 1500, "b", 5, lamp=1)), ledger=owed.ledger)
    assert codes(after) == {"ambiguous_refund"}
    assert not after.actions
    settled = decide(
        order("a", of("r1", 1500, "a", tee=1), of("r2", 1500, "a", 1, lamp=1)),
        order("b", of("x", 1500, "b", 5, lamp=1), of("y", 1500, "b", 1, tee=1)),
        ledger=after.ledger,
    )
    assert settled.agrees, "each shop was given the other's by hand"


def test_a_refund_by_hand_for_the_same_goods_settles_what_was_owed() -> None:
    first = order("a", of("r1", 1500, "a", tee=1), of("r2", 1500, "a", 29, lamp=1))
    owed = decide(first, order("b"))
    after = decide(first, order("b", of("x", 1500, "b", 5, lamp=1)), ledger=owed.ledger)
    cells = {row.fact.record_id: row.cells[1] for row in after.ledger.rows}
    assert cells["r2"].record_ids == ("x",)
    assert only(after).fact_id == fact_id_of(OrderRef("a", "1"), FactKind.REFUND, "r1")


def test_a_sum_for_other_goods_is_not_the_same_sum() -> None:
    whole = order("a", of("r1", 6000, "a", tee=2, lamp=2))
    same = order("b", of("x", 3000, "b", tee=2), of("y", 3000, "b", 29, lamp=2))
    other = order("b", of("x", 3000, "b", tee=2), of("y", 3000, "b", 29, mug=2))
    assert decide(whole, same).agrees
    decision = decide(whole, other)
    assert "ambiguous_refund" in codes(decision)
    assert not decision.actions


def test_parts_for_other_goods_are_not_the_parts_of_what_was_owed() -> None:
    whole = order("a", of("r1", 6000, "a", tee=2, lamp=2))
    owed = decide(whole, order("b", captured=0))
    parts = order("b", of("x", 3000, "b", tee=2), of("y", 3000, "b", 29, mug=2))
    decision = decide(whole, parts, ledger=owed.ledger)
    assert "ambiguous_refund" in codes(decision)
    assert sorted(present(decision)) == [["a"], ["b"], ["b"]]


def test_a_third_order_is_not_paid_for_either_of_two_that_differ() -> None:
    decision = decide(order("a", of("r1", 1500, "a", tee=1)), order("b", of("x", 1500, "b", lamp=1)), order("c"))
    assert codes(decision) == {"ambiguous_refund"}
    assert not decision.actions


@pytest.mark.parametrize("silent", ["a", "b", "c"])
def test_a_third_that_names_no_goods_could_be_either(silent: str) -> None:
    goods = iter(({"tee": 1}, {"lamp": 1}))
    orders = [
        order(shop, R("r", 1500) if shop == silent else of("r", 1500, shop, **next(goods)))
        for shop in ("a", "b", "c")
    ]
    decision = decide(*orders)
    assert codes(decision) == {"ambiguous_refund"}
    assert not decision.actions


def test_a_pending_refund_for_other_goods_waits_for_a_person_before_anything_is_written() -> None:
    pending = of("x", 1500, "b", lamp=1)._replace(state=RefundState.PENDING)
    decision = decide(order("a", of("r1", 1500, "a", tee=1)), order("b", pending))
    assert not decision.actions
    assert "ambiguous_refund" in codes(decision)


def test_our_mark_says_more_than_the_goods() -> None:
    token = token_of(fact_id_of(OrderRef("a", "1"), FactKind.REFUND, "r1"))
    copy = of("x", 1500, "b", lamp=1)._replace(note=token)
    assert decide(order("a", of("r1", 1500, "a", tee=1)), order("b", copy)).agrees
