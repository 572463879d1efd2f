"""Writes a person types: the same journal and limits, checked against the order as it is now, and the person kept."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.scenarios.fake_shop import FakeConnector, fake_shop

from ordersync.engine.byhand import Wish, perform, prepare
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shop
from ordersync.errors import Held, Refused, UsageError
from ordersync.model import ActionKind, ActionState, Order, OrderRef, PaymentState, Purse
from ordersync.reconcile import Limits, LimitSet
from ordersync.store import Store
from ordersync.testing.orders import R, build_order, usd

REF = OrderRef("a", "1")
FIVE = Wish(kind=ActionKind.REFUND, amount=usd(500), reason="goodwill")
WIDE = Limits(run=LimitSet(refund_value=(usd(10_000),)), day=LimitSet(refund_value=(usd(10_000),)))


class Desk:
    """One shop with one order, and a person at the command line."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(f"sqlite:///{folder / 'test.db'}")
        self.log = SentLog(folder / "sent.log")
        self.shop: Shop
        self.fake: FakeConnector

    def open_with(self, order: Order) -> Desk:
        self.shop, self.fake = fake_shop("a", order)
        return self

    def type(self, wish: Wish, limits: Limits = WIDE) -> ActionState:
        shops = {"a": self.shop}
        return perform(self.store, shops, prepare(self.store, shops, REF, wish), self.log, limits).state


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def test_a_typed_refund_is_made_once_and_the_person_is_recorded(desk: Desk) -> None:
    desk.open_with(build_order("a"))
    assert desk.type(FIVE) is ActionState.SEEN
    assert desk.fake.calls == ["refund"]
    record = desk.store.actions(target=REF)[0]
    assert record.action.by == getpass.getuser()
    assert record.platform_ref == "a-refund-1"


def test_refunding_twice_needs_a_person_to_type_it_twice_and_says_so(desk: Desk) -> None:
    desk.open_with(build_order("a"))
    desk.type(FIVE)
    again = prepare(desk.store, {"a": desk.shop}, REF, FIVE)
    assert any("already shows a refund of exactly 5.00 USD" in warning for warning in again.warnings)
    assert desk.type(FIVE) is ActionState.SEEN
    assert desk.fake.calls == ["refund", "refund"]


def test_what_pays_the_buyer_is_said_before_it_is_done(desk: Desk) -> None:
    desk.open_with(build_order("a", purse=Purse.GATEWAY))
    prepared = prepare(desk.store, {"a": desk.shop}, REF, FIVE)
    assert any(warning.startswith("TO BUYER") for warning in prepared.warnings)
    cancel = prepare(desk.store, {"a": desk.shop}, REF, Wish(kind=ActionKind.CANCEL))
    assert any("refunds what is left, 100.00 USD" in warning for warning in cancel.warnings)
    assert desk.fake.calls == []


@pytest.mark.parametrize(
    ("wish", "error", "said"),
    [
        (replace(FIVE, amount=usd(10_001)), Refused, "100.00 USD left to refund"),
        (replace(FIVE, amount=usd(0)), UsageError, "needs an amount"),
        (replace(FIVE, amount=None), UsageError, "needs an amount"),
        (replace(FIVE, payment_id="nobody"), UsageError, "no paid payment nobody"),
        (replace(FIVE, to_books=False), UsageError, "the payment decides"),
        (Wish(kind=ActionKind.COMPLETE), UsageError, "cannot complete"),
        (Wish(kind=ActionKind.CAPTURE), Refused, "captured in full already"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_before_anything_is_sent(
    desk: Desk, wish: Wish, error: type[Exception], said: str
) -> None:
    desk.open_with(build_order("a"))
    with pytest.raises(error, match=said):
        desk.type(wish)
    assert desk.fake.calls == []
    assert desk.store.actions(target=REF) == []


def test_an_amount_in_another_currency_is_refused(desk: Desk) -> None:
    desk.open_with(build_order("a", currency="EUR"))
    with pytest.raises(UsageError, match="is in EUR, not USD"):
        desk.type(FIVE)


def test_several_payments_must_be_named(desk: Desk) -> None:
    desk.open_with(build_order("a", captured=[6000, 4000]))
    with pytest.raises(UsageError, match="has 2 payments") as refused:
        desk.type(FIVE)
    assert "pay-a-1" in (refused.value.next_step or "")
    assert desk.type(replace(FIVE, payment_id="pay-a-2")) is ActionState.SEEN


def test_pending_refunds_count_against_what_is_left(desk: Desk) -> None:
    from ordersync.model import RefundState

    desk.open_with(build_order("a", refunds=[R("r", 9_800, RefundState.PENDING)]))
    with pytest.raises(Refused, match=r"2\.00 USD left"):
        desk.type(FIVE)


def test_nothing_is_typed_over_a_write_of_unknown_outcome(desk: Desk) -> None:
    desk.open_with(build_order("a"))
    desk.fake.answers = ["unknown_not_done"]
    assert desk.type(FIVE) is ActionState.DOUBT
    with pytest.raises(Held, match="not settled"):
        desk.type(FIVE)
    assert desk.fake.calls == ["refund"]


def test_limits_hold_typed_writes_too(desk: Desk) -> None:
    desk.open_with(build_order("a"))
    assert desk.type(FIVE, Limits()) is ActionState.EXPIRED
    assert desk.fake.calls == []
    assert [stored.hold.code for stored in desk.store.holds()] == ["limit_reached"]


def test_a_typed_cancel_is_confirmed_by_the_order_itself(desk: Desk) -> None:
    desk.open_with(build_order("a", captured=0))
    assert desk.type(Wish(kind=ActionKind.CANCEL, reason="test")) is ActionState.SEEN
    stored = desk.store.order(REF)
    assert stored is not None
    assert stored.order.is_cancelled
    assert stored.sent_at > datetime.now(UTC) - timedelta(minutes=1)


def _partly_captured() -> Order:
    made = build_order("a")
    assert made.payments is not None
    payment = made.payments[0].model_copy(update={"captured": usd(4_000), "status": PaymentState.AUTHORIZED})
    return made.model_copy(update={"payments": (payment,)})


def test_a_capture_without_an_amount_takes_what_is_left(desk: Desk) -> None:
    desk.open_with(_partly_captured())
    prepared = prepare(desk.store, {"a": desk.shop}, REF, Wish(kind=ActionKind.CAPTURE))
    assert prepared.action.amount == usd(6_000)
    assert desk.type(Wish(kind=ActionKind.CAPTURE)) is ActionState.SEEN
    with pytest.raises(Refused, match="captured in full"):
        desk.type(Wish(kind=ActionKind.CAPTURE))


def test_more_than_is_left_is_not_captured(desk: Desk) -> None:
    desk.open_with(_partly_captured())
    with pytest.raises(Refused, match="left to capture"):
        desk.type(Wish(kind=ActionKind.CAPTURE, amount=usd(6_001)))


def test_an_earlier_capture_does_not_prove_this_one(desk: Desk) -> None:
    desk.open_with(_partly_captured())
    desk.fake.answers = ["unknown_not_done"]
    assert desk.type(Wish(kind=ActionKind.CAPTURE, amount=usd(1))) is ActionState.DOUBT


def test_where_an_order_shows_no_status_the_answer_counts_and_the_next_write_may_go(desk: Desk) -> None:
    desk.open_with(build_order("a", progress=None))
    silent = desk.shop.semantics.model_copy(update={"records_progress": False, "records_cancel": False})
    desk.shop = replace(desk.shop, capabilities=desk.shop.capabilities | {"complete", "archive"}, semantics=silent)
    desk.fake.shows_status = False
    assert desk.type(Wish(kind=ActionKind.COMPLETE)) is ActionState.SEEN
    assert desk.type(Wish(kind=ActionKind.ARCHIVE)) is ActionState.SEEN
    assert desk.type(Wish(kind=ActionKind.CANCEL)) is ActionState.SEEN
    assert desk.fake.calls == ["complete", "archive", "cancel"]


def test_an_unclear_answer_stays_in_doubt_where_an_order_shows_no_status(desk: Desk) -> None:
    desk.open_with(build_order("a", progress=None))
    silent = desk.shop.semantics.model_copy(update={"records_progress": False})
    desk.shop = replace(desk.shop, capabilities=desk.shop.capabilities | {"complete"}, semantics=silent)
    desk.fake.answers = ["unknown_done"]
    desk.fake.shows_status = False
    assert desk.type(Wish(kind=ActionKind.COMPLETE)) is ActionState.DOUBT
