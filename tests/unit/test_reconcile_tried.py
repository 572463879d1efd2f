"""What was tried and may have happened is not tried again, whatever became of the answer a person gave about it."""

from __future__ import annotations

import pytest
from tests.unit.test_reconcile import QUIET, codes, decide, only, sent

from ordersync.model import ActionKind, ActionState, Cancellation, Verb, verbs_of
from ordersync.testing.orders import NOON, R, build_order, usd


def test_a_refund_left_in_doubt_is_not_owed_anew_when_the_answer_is_gone() -> None:
    """The link was taken apart and made again: the old answer no longer speaks for it, the journal does."""
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b")
    first = only(decide(a, b))
    decision = decide(a, b, journal=[sent(first, ActionState.LEFT)])
    assert not decision.actions
    assert codes(decision) == {"tried_before"}
    (hold,) = decision.holds
    assert hold.money == usd(500)
    assert hold.facts == (first.fact_id,), "leaving it accepts the difference"
    assert verbs_of(hold.code) == (Verb.LOOK, Verb.LEAVE)


def test_a_refund_left_in_doubt_stays_untried_when_more_was_refunded_elsewhere() -> None:
    """The bound alone would let it pass: another 20.00 was refunded there since."""
    a = build_order("a", refunds=[R("r1", 500)])
    first = only(decide(a, build_order("b")))
    more = build_order("a", refunds=[R("r1", 500), R("r2", 2000)])
    decision = decide(more, build_order("b"), journal=[sent(first, ActionState.LEFT)])
    assert [action.amount for action in decision.actions] == [usd(2000)]
    assert "tried_before" in codes(decision)


def test_a_cancel_left_in_doubt_is_not_sent_anew() -> None:
    a = build_order("a").model_copy(update={"cancellation": Cancellation(cancelled_at=NOON)})
    b = build_order("b")
    first = only(decide(a, b, semantics=QUIET))
    assert first.kind is ActionKind.CANCEL
    decision = decide(a, b, semantics=QUIET, journal=[sent(first, ActionState.LEFT)])
    assert not decision.actions
    assert codes(decision) == {"tried_before"}


@pytest.mark.parametrize("state", [ActionState.SEEN, ActionState.EXPIRED, ActionState.LEFT, ActionState.REFUSED])
def test_no_write_is_planned_under_a_key_that_was_used(state: ActionState) -> None:
    """Though the journal tells of another fact there: a key is used once for ever."""
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b")
    first = only(decide(a, b))
    other = first.model_copy(update={"fact_id": "f" * 64, "amount": None, "kind": ActionKind.COMPLETE})
    decision = decide(a, b, journal=[sent(other, state)])
    assert not decision.actions
    assert codes(decision) == {"tried_before"}
