"""Cases about writes that go well: each declared ability does what it says, once, and can be read back."""

from __future__ import annotations

import pytest

from ordersync.connector import (
    WRITE_CALLS,
    CancelRequest,
    LineQuantity,
    RefundRequest,
)
from ordersync.errors import OrdersyncError, Refused
from ordersync.model import FulfillmentState, Progress, RefundState
from ordersync.testing.contract_rig import KEY, REFUND_MINOR, TOKEN, TRACKING, Rig, one_unit

OVER = 100
"""Minor units: some platforms let a refund exceed by one."""
EVERY_CALL = pytest.mark.parametrize("call", WRITE_CALLS)
STEPS = {"confirm": Progress.CONFIRMED, "process": Progress.PROCESSING, "complete": Progress.COMPLETED}


class Writes:
    """Part of ConnectorContract."""

    @EVERY_CALL
    def test_a_write_acts_once_with_one_request(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        before = rig.truth(order_id)
        receipt = send(rig.connector)
        assert not receipt.already_done
        assert rig.truth(order_id) != before, "nothing changed at the platform"
        assert len(rig.proxy.writes) == 1

    def test_a_refund_is_read_back_with_its_amount_and_our_mark(self, rig: Rig) -> None:
        rig.needs("refund")
        order_id, send = rig.prepare("refund")
        receipt = send(rig.connector)
        order = rig.until(order_id, lambda order: bool(order.refunds))
        [refund] = order.refunds or ()
        assert rig.truth(order_id).refunds == (REFUND_MINOR,)
        assert refund.amount.amount_minor == REFUND_MINOR
        assert refund.status is not RefundState.FAILED
        assert receipt.platform_ref in (None, refund.id)
        if rig.connector.semantics.refund_token_field == "note":  # noqa: S105  # a field's name
            assert TOKEN in (refund.note or "")

    def test_two_refunds_are_two_records(self, rig: Rig) -> None:
        rig.needs("refund")
        order_id, send = rig.prepare("refund")
        send(rig.connector)
        again = rig.refund(rig.order(order_id), 300, token="os-7k2m9qac")  # noqa: S106  # a mark
        rig.connector.refund(order_id, again, "k-contract-2")  # type: ignore[attr-defined]  # asked for above
        assert rig.truth(order_id).refunds == (300, REFUND_MINOR)
        assert len({refund.id for refund in rig.order(order_id).refunds or ()}) == 2

    def test_a_refund_of_lines_says_which(self, rig: Rig) -> None:
        rig.needs("refund")
        if "lines" not in rig.connector.semantics.refund_by:
            pytest.skip("refunds are not told by line; that they refuse is another case")
        order_id = rig.bench.ready_for("refund")
        order = rig.order(order_id)
        [line, *_] = order.line_items or ()
        assert line.unit_price is not None
        request = rig.refund(order, line.unit_price.amount_minor, lines=one_unit(order))
        rig.connector.refund(order_id, request, KEY)  # type: ignore[attr-defined]  # asked for above
        [refund] = rig.order(order_id).refunds or ()
        assert rig.truth(order_id).refunds == (line.unit_price.amount_minor,)
        assert [(x.line_item_id, x.quantity) for x in refund.lines] == [(line.id, 1)]

    def test_a_cancel_is_read_back(self, rig: Rig) -> None:
        rig.needs("cancel")
        order_id, send = rig.prepare("cancel")
        send(rig.connector)
        assert rig.truth(order_id).cancelled
        assert rig.order(order_id).is_cancelled == rig.connector.semantics.records_cancel

    def test_cancelling_what_is_cancelled_is_success(self, rig: Rig) -> None:
        rig.needs("cancel")
        order_id, send = rig.prepare("cancel")
        send(rig.direct)
        before = rig.truth(order_id)
        receipt = rig.connector.cancel(order_id, CancelRequest(token=TOKEN), "k-contract-2")  # type: ignore[attr-defined]  # asked for above
        assert receipt.already_done
        assert rig.truth(order_id) == before

    def test_a_cancel_of_a_paid_order_moves_the_money_it_says(self, rig: Rig) -> None:
        rig.needs("cancel")
        says = rig.connector.semantics.cancel_refunds
        if says == "unknown":
            pytest.skip("cancel_refunds is unknown: nothing is promised")
        sale = rig.bench.sale()
        order_id = rig.bench.place(sale)
        rig.connector.cancel(order_id, CancelRequest(token=TOKEN), KEY)  # type: ignore[attr-defined]  # asked for above
        assert sum(rig.truth(order_id).refunds) == (sale.total_minor if says == "all" else 0)

    def test_a_parcel_is_packed_and_read_back(self, rig: Rig) -> None:
        rig.needs("pack")
        order_id, send = rig.prepare("pack")
        receipt = send(rig.connector)
        [parcel] = rig.order(order_id).fulfillments or ()
        assert (parcel.status, parcel.id) == (FulfillmentState.PACKED, receipt.platform_ref)
        assert [line.quantity for line in parcel.lines or ()] == [1]
        if rig.connector.semantics.tracking_at_pack:
            assert parcel.tracking_numbers == (TRACKING,)
        if rig.connector.semantics.parcel_token_field == "note":  # noqa: S105  # a field's name
            assert TOKEN in (parcel.note or "")

    def test_a_parcel_leaves_and_is_read_back(self, rig: Rig) -> None:
        rig.needs("ship")
        order_id, send = rig.prepare("ship")
        receipt = send(rig.connector)
        [parcel] = rig.order(order_id).fulfillments or ()
        assert (parcel.status, parcel.id) == (FulfillmentState.SHIPPED, receipt.platform_ref)
        assert [line.quantity for line in parcel.lines or ()] == [1]
        if rig.connector.semantics.tracking:
            assert parcel.tracking_numbers == (TRACKING,)

    def test_a_delivery_is_read_back(self, rig: Rig) -> None:
        rig.needs("deliver")
        order_id, send = rig.prepare("deliver")
        send(rig.connector)
        [parcel] = rig.order(order_id).fulfillments or ()
        assert parcel.status is FulfillmentState.DELIVERED

    @pytest.mark.parametrize("call", list(STEPS))
    def test_a_step_of_progress_is_read_back(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        send(rig.connector)
        step = rig.order(order_id).progress
        assert step is (STEPS[call] if rig.connector.semantics.records_progress else step)

    def test_an_archived_order_is_found_and_says_so(self, rig: Rig) -> None:
        rig.needs("archive")
        order_id, send = rig.prepare("archive")
        send(rig.connector)
        assert rig.order(order_id).archived

    def test_a_capture_is_read_back(self, rig: Rig) -> None:
        rig.needs("capture")
        order_id, send = rig.prepare("capture")
        send(rig.connector)
        captured = rig.order(order_id).captured
        assert captured is not None
        assert captured.amount_minor > 0

    @EVERY_CALL
    def test_a_repeated_key_acts_once_where_keys_live(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        if rig.connector.semantics.idempotency_key_life is None:
            pytest.skip("this platform keeps no keys, and the connector says so")
        order_id, send = rig.prepare(call)
        first = send(rig.connector)
        after = rig.truth(order_id)
        second = send(rig.connector)
        assert rig.truth(order_id) == after
        assert second.platform_ref in (first.platform_ref, None)

    def test_a_key_never_brings_the_answer_of_another_request(self, rig: Rig) -> None:
        """A key used again for another amount must not look like that other refund was made."""
        rig.needs("refund")
        order_id, send = rig.prepare("refund")
        send(rig.connector)
        other = rig.refund(rig.order(order_id), 300)
        made = True
        try:
            rig.connector.refund(order_id, other, KEY)  # type: ignore[attr-defined]  # asked for above
        except OrdersyncError:
            made = False
        assert rig.truth(order_id).refunds == ((300, REFUND_MINOR) if made else (REFUND_MINOR,))


class Refusals:
    """Part of ConnectorContract: what is not declared is refused before anything is sent."""

    @EVERY_CALL
    def test_an_ability_is_there_whole_or_not_at_all(self, rig: Rig, call: str) -> None:
        assert callable(getattr(rig.connector, call, None)) == (call in rig.writes)
        assert (call in rig.can) == (call in rig.writes)

    def test_a_refund_of_lines_is_refused_where_it_cannot_be_told(self, rig: Rig) -> None:
        if "lines" in rig.connector.semantics.refund_by:
            pytest.skip("refunds can be told by line")
        self._refused(rig, lines=True)

    def test_a_refund_of_shipping_is_refused_where_it_cannot_be_told(self, rig: Rig) -> None:
        if "shipping" in rig.connector.semantics.refund_by:
            pytest.skip("a refund can name its shipping part")
        self._refused(rig, shipping=True)

    def test_stock_is_not_promised_where_it_cannot_be_returned(self, rig: Rig) -> None:
        """Neither at all, nor for a refund that names no lines where it takes lines."""
        if rig.connector.semantics.refund_restocks not in ("never", "with_lines"):
            pytest.skip("stock can be returned with any refund, or nobody knows")
        self._refused(rig, restock=True)

    def test_a_refund_without_its_payment_is_refused_where_it_must_be_named(self, rig: Rig) -> None:
        if not rig.connector.semantics.refund_names_payment:
            pytest.skip("a refund need not name its payment")
        self._refused(rig, payment=False)

    def test_more_than_was_paid_is_not_refunded(self, rig: Rig) -> None:
        rig.needs("refund")
        order_id = rig.bench.ready_for("refund")
        order = rig.order(order_id)
        assert order.captured is not None
        request = rig.refund(order, order.captured.amount_minor + OVER)
        rig.error(lambda: rig.connector.refund(order_id, request, KEY))  # type: ignore[attr-defined]  # asked for above
        assert rig.truth(order_id).refunds == ()

    def test_a_line_of_no_order_is_not_packed_or_shipped(self, rig: Rig) -> None:
        if "pack" not in rig.can and "ship" not in rig.can:
            pytest.skip("no parcels")
        call = "pack" if "pack" in rig.can else "ship"
        order_id = rig.bench.ready_for(call)
        before = rig.truth(order_id)
        [request] = rig.request(call, rig.order(order_id))
        stray = request.model_copy(update={"lines": (LineQuantity(line_item_id="no-such-line", quantity=1),)})
        rig.error(lambda: getattr(rig.connector, call)(order_id, stray, KEY))
        assert rig.truth(order_id) == before

    def _refused(
        self, rig: Rig, *, lines: bool = False, shipping: bool = False, restock: bool = False, payment: bool = True
    ) -> None:
        rig.needs("refund")
        order_id = rig.bench.ready_for("refund")
        order = rig.order(order_id)
        request: RefundRequest = rig.refund(order, restock=restock)
        changes = {
            **({"lines": one_unit(order)} if lines else {}),
            **({"shipping": request.amount} if shipping else {}),
            **({} if payment else {"payment_id": None}),
        }
        asked = request.model_copy(update=changes)
        rig.proxy.clear()
        error = rig.error(lambda: rig.connector.refund(order_id, asked, KEY))  # type: ignore[attr-defined]  # asked for above
        assert isinstance(error, Refused)
        assert rig.proxy.writes == []
        assert rig.truth(order_id).refunds == ()
