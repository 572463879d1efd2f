"""Cases about writes that go wrong: what certainly did not happen, what nobody knows, and never a second request."""

from __future__ import annotations

import pytest

from ordersync.errors import OutcomeUnknown, Refused, Transient, Unauthorized
from ordersync.testing.contract_rig import (
    Elsewhere,
    Rig,
    names_of,
    no_such,
    of_another,
    proxy_answers,
    status_reply,
)
from ordersync.testing.contract_writes import EVERY_CALL
from ordersync.testing.proxy import Turn
from ordersync.testing.sandbox import Fault, FaultKind, SandboxServer

WRITES = r"(?!GET|HEAD).*"
BEFORE: tuple[FaultKind, ...] = ("500_before", "502_html", "cut_before")
AFTER: tuple[FaultKind, ...] = ("500_after", "cut_after", "torn_body")
SAID = "the key {secret} of kim.archer@example.com, +1 503 555 0142, is not allowed here"


class Doubt:
    """Part of ConnectorContract."""

    @proxy_answers
    @EVERY_CALL
    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_did_nothing(self, rig: Rig, call: str, status: int) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        before = rig.truth(order_id)
        rig.proxy.add_turn(Turn(before=lambda _: status_reply(status, "no"), method=WRITES, times=99))
        assert isinstance(rig.error(lambda: send(rig.connector)), Unauthorized)
        assert len(rig.proxy.writes) == 1
        assert rig.truth(order_id) == before

    @proxy_answers
    @EVERY_CALL
    @pytest.mark.parametrize("status", [400, 404, 409, 422])
    def test_a_refusal_is_a_refusal_or_a_doubt_and_never_success(self, rig: Rig, call: str, status: int) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        rig.proxy.add_turn(
            Turn(before=lambda _: status_reply(status, "It cannot be done"), method=WRITES, times=99)
        )
        assert isinstance(rig.error(lambda: send(rig.connector)), Refused | OutcomeUnknown)
        assert len(rig.proxy.writes) == 1
        del order_id

    @proxy_answers
    @EVERY_CALL
    def test_too_many_requests_is_certainly_not_done_and_may_be_tried_later(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        before = rig.truth(order_id)
        rig.proxy.answer_with(429, {"message": "slow down"}, method=WRITES, times=99, Retry_After="7")
        error = rig.error(lambda: send(rig.connector))
        assert isinstance(error, Transient)
        assert error.retry_after_s == 7
        assert len(rig.proxy.writes) == 1
        assert rig.truth(order_id) == before

    @proxy_answers
    @EVERY_CALL
    @pytest.mark.parametrize("fault", BEFORE)
    def test_no_clear_answer_is_doubt_though_nothing_happened(self, rig: Rig, call: str, fault: FaultKind) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        before = rig.truth(order_id)
        rig.proxy.add_fault(Fault(fault, method=WRITES, times=99))
        assert isinstance(rig.error(lambda: send(rig.connector)), OutcomeUnknown)
        assert len(rig.proxy.writes) == 1
        assert rig.truth(order_id) == before

    @EVERY_CALL
    @pytest.mark.parametrize("fault", AFTER)
    def test_no_clear_answer_is_doubt_and_what_happened_happened_once(
        self, rig: Rig, call: str, fault: FaultKind
    ) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        before = rig.truth(order_id)
        rig.proxy.add_fault(Fault(fault, method=WRITES, times=99))
        assert isinstance(rig.error(lambda: send(rig.connector)), OutcomeUnknown)
        assert len(rig.proxy.writes) == 1
        after = rig.truth(order_id)
        assert after != before
        assert len(after.refunds) <= len(before.refunds) + 1
        assert len(after.parcels) <= len(before.parcels) + 1

    @proxy_answers
    @EVERY_CALL
    @pytest.mark.parametrize("body", [b"", b"{}", b"null", b"<html></html>"])
    def test_a_success_that_shows_nothing_is_doubt(self, rig: Rig, call: str, body: bytes) -> None:
        rig.needs(call)
        _, send = rig.prepare(call)
        rig.proxy.answer_with(200, body, method=WRITES, times=99)
        assert isinstance(rig.error(lambda: send(rig.connector)), OutcomeUnknown)
        assert len(rig.proxy.writes) == 1

    @EVERY_CALL
    def test_a_success_about_another_order_is_doubt(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        changed = of_another(names_of(rig.order(order_id)))
        rig.proxy.add_turn(Turn(after=changed, method=WRITES))
        assert isinstance(rig.error(lambda: send(rig.connector)), OutcomeUnknown)
        assert len(rig.proxy.writes) == 1

    @proxy_answers
    @EVERY_CALL
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_of_a_write_is_never_followed(self, rig: Rig, call: str, status: int) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        before = rig.truth(order_id)
        with SandboxServer(Elsewhere()) as elsewhere:
            there = elsewhere.origin.replace("127.0.0.1", "localhost")
            rig.proxy.answer_with(status, None, method=WRITES, times=99, Location=f"{there}/taken")
            assert isinstance(rig.error(lambda: send(rig.connector)), OutcomeUnknown)
            assert elsewhere.sandbox.log == []
        assert len(rig.proxy.writes) == 1
        assert rig.truth(order_id) == before

    @proxy_answers
    @EVERY_CALL
    def test_without_a_connection_nothing_happened(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        order_id, send = rig.prepare(call)
        before = rig.truth(order_id)
        with SandboxServer(Elsewhere()) as gone:
            origin = gone.origin
        nobody = rig.another(origin)
        error = rig.error(lambda: send(nobody))
        assert isinstance(error, Transient)
        assert rig.truth(order_id) == before

    @EVERY_CALL
    def test_an_order_that_does_not_exist_is_not_written_to(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        order_id, _ = rig.prepare(call)
        request = rig.request(call, rig.order(order_id))
        for asked in request[:1]:
            named = {name: getattr(asked, name, None) for name in ("payment_id", "fulfillment_id")}
            other = {name: no_such(value) for name, value in named.items() if value}
            request = (asked.model_copy(update=other),)
        error = rig.error(lambda: getattr(rig.connector, call)(no_such(order_id), *request, "k-contract-3"))
        assert isinstance(error, Refused | OutcomeUnknown)

    @proxy_answers
    @EVERY_CALL
    def test_what_a_refusal_quotes_holds_no_key_and_no_buyer(self, rig: Rig, call: str) -> None:
        rig.needs(call)
        _, send = rig.prepare(call)
        said = SAID.format(secret=rig.bench.secrets[0])
        rig.proxy.add_turn(Turn(before=lambda _: status_reply(422, said), method=WRITES, times=99))
        error = rig.error(lambda: send(rig.connector))
        told = f"{error} {error.fields()}"
        assert "kim.archer@example.com" not in told
        assert "555 0142" not in told
