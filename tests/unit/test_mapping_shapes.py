"""What the two shape functions decide: which money moved, and in which state a record is."""

from __future__ import annotations

import copy
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from ordersync_connectors.medusa.shape import derive_states
from tests.payloads.corpus import HERE, PROFILE, mapping, orders_in, read

from ordersync.errors import MappingError
from ordersync.model import Money, Order, PaymentState, Refund, RefundState


def shopline(**fields: Any) -> Order:
    [order] = orders_in(HERE / "shopline" / "own_refund_of_mixed_transactions.json", "shopline")
    order = {**copy.deepcopy(order), **fields}
    return mapping("shopline").normalise(order, PROFILE)


def refunds_of(order: Order) -> tuple[Refund, ...]:
    assert order.refunds is not None
    return order.refunds


def move(status: str, amount: str, at: str = "2025-06-10T08:00:00+08:00", **fields: Any) -> dict[str, Any]:
    return {"kind": "refund", "status": status, "amount": amount, "currency": "USD", "created_at": at, **fields}


def refund(*moves: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "R", "created_at": "2025-06-10T08:00:00+08:00", "transactions": list(moves), **fields}


def test_each_refund_transaction_is_one_record_with_its_own_state() -> None:
    found = refunds_of(read(HERE / "shopline" / "own_refund_of_mixed_transactions.json"))
    assert [(one.id[-2:], one.status, str(one.amount)) for one in found] == [
        ("05", RefundState.FAILED, "12.00 USD"),
        (":2", RefundState.COMPLETED, "12.00 USD"),
        (":3", RefundState.PENDING, "7.50 USD"),
    ]
    assert [len(one.lines) for one in found] == [1, 0, 0]


def test_record_ids_do_not_depend_on_the_order_transactions_are_listed_in() -> None:
    moves = [move("failure", "1", "2025-06-10T08:00:01+08:00"), move("success", "2", "2025-06-10T08:00:02+08:00")]
    moves.append(move("pending", "3", "2025-06-10T08:00:03+08:00"))
    seen = {
        tuple((one.id, one.amount.amount_minor) for one in refunds_of(shopline(refunds=[refund(*listed)])))
        for listed in permutations(moves)
    }
    assert seen == {(("R", 100), ("R:2", 200), ("R:3", 300))}


def test_a_record_keeps_its_id_when_its_transaction_completes() -> None:
    first, second = (
        move("pending", "1", "2025-06-10T08:00:01+08:00"),
        move("pending", "2", "2025-06-10T08:00:02+08:00"),
    )
    before = refunds_of(shopline(refunds=[refund(first, second)]))
    after = refunds_of(shopline(refunds=[refund(first, {**second, "status": "success"})]))
    assert [one.id for one in before] == [one.id for one in after] == ["R", "R:2"]
    assert [one.status for one in after] == [RefundState.PENDING, RefundState.COMPLETED]


def test_a_refund_without_transactions_moved_nothing_whatever_its_lines_say() -> None:
    [one] = refunds_of(read(HERE / "shopline" / "own_cancelled_unpaid_zero_refund.json"))
    assert one.amount == Money.parse("0 USD")
    assert one.status is RefundState.COMPLETED
    assert one.lines[0].amount == Money.parse("50.00 USD")


def test_only_transactions_of_kind_refund_are_refunds() -> None:
    found = refunds_of(shopline(refunds=[refund(move("success", "9", kind="void"), move("success", "4"))]))
    assert [str(one.amount) for one in found] == ["4.00 USD"]


def test_newer_transactions_count_when_the_old_list_is_empty() -> None:
    found = refunds_of(shopline(refunds=[refund(transactions_v2=[move("fail", "9"), move("created", "4")])]))
    assert [one.status for one in found] == [RefundState.FAILED, RefundState.PENDING]


def test_a_refund_whose_transactions_were_not_loaded_parks_the_order() -> None:
    with pytest.raises(MappingError) as caught:
        shopline(refunds=[{"id": "R", "created_at": "2025-06-10T08:00:00+08:00"}])
    assert caught.value.path == "refunds[0].transactions"


@pytest.mark.parametrize(
    ("kinds", "restocked"),
    [([], None), (["no_restock"], False), (["no_restock", "return"], True), (["cancel"], True), ([None], None)],
)
def test_restock_is_what_the_lines_say(kinds: list[str | None], restocked: bool | None) -> None:
    lines = [{"line_item_id": "1", "quantity": 1, "restock_type": kind} for kind in kinds]
    [one] = refunds_of(shopline(refunds=[refund(move("success", "1"), refund_line_items=lines)]))
    assert one.restock is restocked


# --- Medusa -------------------------------------------------------------------------------------------------------


def medusa(
    payment: dict[str, Any], collection: dict[str, Any] | None = None, platform: str = "medusa_style"
) -> Order:
    """A placed order whose only payment has these fields instead."""
    [order] = orders_in(HERE / "medusa_style" / "order_captured_usd.json", "medusa_style")
    order = copy.deepcopy(order)
    box = order["payment_collections"][0]
    plain = {"id": "p", "amount": 100, "currency_code": "usd", "provider_id": "pp_system_default"}
    box.update({"captured_amount": None, "refunded_amount": None, **(collection or {})})
    box["payments"] = [{**plain, **payment}]
    return mapping(platform).normalise(order, PROFILE)


def captures(*amounts: Any) -> list[dict[str, Any]]:
    return [{"id": f"c{n}", "amount": amount} for n, amount in enumerate(amounts)]


def refunds(*amounts: Any) -> list[dict[str, Any]]:
    return [{"id": f"r{n}", "amount": amount} for n, amount in enumerate(amounts)]


@pytest.mark.parametrize(
    ("payment", "state", "captured", "refunded"),
    [
        ({"captures": [], "refunds": []}, PaymentState.AUTHORIZED, "0", "0"),
        ({"captures": [], "refunds": [], "canceled_at": {"dateTime": "2025-01-01T00:00:00"}}, None, "0", "0"),
        ({"captures": captures(40), "refunds": []}, PaymentState.AUTHORIZED, "40", "0"),
        ({"captures": captures(40, 60), "refunds": []}, PaymentState.COMPLETED, "100", "0"),
        ({"captures": captures(40, 60), "refunds": refunds(99.5)}, PaymentState.COMPLETED, "100", "99.5"),
        ({"captures": captures(100), "refunds": refunds(40, 60)}, PaymentState.REFUNDED, "100", "100"),
        ({"captures": captures(20), "refunds": refunds(5)}, PaymentState.AUTHORIZED, "20", "5"),
        ({"captured_amount": 100, "captures": [], "refunds": []}, PaymentState.COMPLETED, "100", "0"),
        ({"captured_amount": 100, "refunds": []}, PaymentState.COMPLETED, "100", "0"),
        ({"captured_amount": 100, "captures": [], "refunds": [], "refunded_amount": 30}, None, "100", "30"),
    ],
)
def test_a_payments_state_and_amounts_follow_from_its_records(
    payment: dict[str, Any], state: PaymentState | None, captured: str, refunded: str
) -> None:
    payment = {
        key: [{**one, "amount": Decimal(str(one["amount"]))} for one in value]
        if isinstance(value, list)
        else value
        for key, value in payment.items()
    }
    if "canceled_at" in payment:
        payment["canceled_at"]["offset"] = {"totalSeconds": 0}
        state = PaymentState.VOIDED
    order = medusa(payment)
    assert order.payments is not None
    assert order.payments[0].status is (state or PaymentState.COMPLETED)
    assert order.captured == Money.parse(f"{captured} USD")
    assert order.refunded == Money.parse(f"{refunded} USD")


def test_refunded_money_without_a_record_counts_and_is_noted() -> None:
    order = medusa({"captures": captures(100), "refunds": refunds(10), "refunded_amount": Decimal("25.5")})
    assert [(one.id, str(one.amount)) for one in order.refunds or ()] == [
        ("r0", "10.00 USD"),
        ("p:unlisted", "15.50 USD"),
    ]
    assert "refund_without_record" in {note.code for note in order.integrity}


def test_amounts_of_an_only_payment_may_be_told_by_its_collection() -> None:
    order = medusa({"refunds": []}, {"captured_amount": 100, "refunded_amount": 20})
    assert str(order.captured) == "100.00 USD"
    assert str(order.refunded) == "20.00 USD"


def test_amounts_of_a_collection_are_not_spread_over_several_payments() -> None:
    [order] = orders_in(HERE / "medusa_style" / "order_collection_amounts_eur.json", "medusa_style")
    order = copy.deepcopy(order)
    box = order["payment_collections"][0]
    box["payments"].append({**box["payments"][0], "id": "second"})
    found = mapping("medusa_style").normalise(order, PROFILE)
    assert found.payments is None, "nobody can say which payment the money is in"
    assert found.captured is None


@pytest.mark.parametrize("gone", ["provider_id", "currency_code", "amount", "captures"])
def test_payments_without_what_tells_their_purse_or_money_are_not_loaded(gone: str) -> None:
    [order] = orders_in(HERE / "medusa" / "order_eur_partial_refund.json", "medusa")
    order = copy.deepcopy(order)
    box = order["payment_collections"][0]
    del box["payments"][0][gone]
    if gone == "captures":
        del box["captured_amount"]
    found = mapping("medusa").normalise(order, PROFILE)
    assert found.payments is None
    assert found.payment_status == "unknown"
    assert str(found.refunded) == "10.50 EUR", "refund records are still there"


def test_an_amount_that_disagrees_with_its_captures_is_noted() -> None:
    order = medusa({"captures": captures(100), "captured_amount": 90, "refunds": []})
    assert str(order.captured) == "100.00 USD"
    assert "captured_differs" in {note.code for note in order.integrity}


def test_what_was_first_charged_survives_refunds_and_returns() -> None:
    assert derive_states({"version": 6, "total": 5, "payment_collections": [{"amount": 9}]})["_first_charged"] == 9
    assert derive_states({"version": 1, "total": 5, "payment_collections": []})["_first_charged"] == 5
    several = {"version": 2, "total": 5, "payment_collections": [{"amount": 9}, {"amount": 1}]}
    assert "_first_charged" not in derive_states(several)


def test_of_an_order_paid_in_several_collections_refunds_are_added_back_and_returns_leave_it_unknown() -> None:
    twice: dict[str, object] = {"version": 3, "total": 40, "credit_line_total": 60, "returns": []}
    twice["payment_collections"] = [{"amount": 60}, {"amount": 40}]
    assert derive_states(twice)["_first_charged"] == 100
    assert "_first_charged" not in derive_states({**twice, "returns": [{"id": "return_1"}]})
    assert "_first_charged" not in derive_states({**twice, "returns": None})
    assert "_first_charged" not in derive_states({**twice, "credit_line_total": None})


@pytest.mark.parametrize(
    ("marks", "state"),
    [
        (("packed_at",), "packed"),
        ((), "packed"),
        (("packed_at", "shipped_at"), "shipped"),
        (("packed_at", "shipped_at", "delivered_at"), "delivered"),
        (("packed_at", "canceled_at"), "cancelled"),
    ],
)
@pytest.mark.parametrize("instant", ["2026-01-01T00:00:00Z", {"dateTime": "2026-01-01T00:00:00", "offset": {}}])
def test_a_parcels_state_follows_from_its_instants(marks: tuple[str, ...], state: str, instant: Any) -> None:
    parcel = {
        **dict.fromkeys(("packed_at", "shipped_at", "delivered_at", "canceled_at")),
        **dict.fromkeys(marks, instant),
    }
    assert derive_states({"fulfillments": [parcel]})["fulfillments"][0]["_state"] == state


def test_an_archived_cancelled_order_with_a_completed_word_stays_cancelled() -> None:
    [order] = orders_in(HERE / "medusa" / "order_usd_canceled_captured.json", "medusa")
    order = {**copy.deepcopy(order), "status": "completed"}
    found = mapping("medusa").normalise(order, PROFILE)
    assert found.is_cancelled
    assert found.order_status == "cancelled"
    assert "status_differs" in {note.code for note in found.integrity}


def test_the_platforms_refunded_word_after_a_part_capture_is_only_a_note() -> None:
    """Medusa says `refunded` when part was captured and any part of it refunded."""
    [order] = orders_in(HERE / "medusa" / "order_eur_partial_capture.json", "medusa")
    order = copy.deepcopy(order)
    order["payment_status"] = "refunded"
    order["payment_collections"][0]["payments"][0]["refunds"] = refunds(5)
    found = mapping("medusa").normalise(order, PROFILE)
    assert found.payment_status == "partially_refunded"
    assert {note.code for note in found.integrity} >= {"payment_differs"}
