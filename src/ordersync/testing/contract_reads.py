"""Cases about check, fetch, fetch_many and lookup: what is read is whole, current and of the order asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ordersync.connector import Connector, Feed, ShopFacts
from ordersync.errors import MappingError, NotFound, Transient, Unauthorized
from ordersync.testing.contract_rig import (
    Elsewhere,
    Rig,
    names_of,
    no_such,
    of_another,
    proxy_answers,
    status_reply,
)
from ordersync.testing.proxy import Turn
from ordersync.testing.sandbox import Fault, FaultKind, Reply, Request, SandboxServer

PASSING: tuple[FaultKind, ...] = ("429", "500_before", "502_html", "cut_before", "cut_after", "torn_body")
NO_ORDER: tuple[tuple[str, bytes], ...] = (
    ("nothing", b""),
    ("html", b"<html><body>Sign in</body></html>"),
    ("null", b"null"),
    ("text", b'"ok"'),
    ("cut", b'{"order": {"id": "1"'),
)


class Reads:
    """Part of ConnectorContract."""

    def test_the_connector_says_what_it_is_without_a_network_call(self, rig: Rig) -> None:
        connector = rig.connector
        assert isinstance(connector, Connector)
        assert connector.platform
        assert connector.version
        assert connector.mapping
        assert all(isinstance(feed, Feed) and feed.catches for feed in connector.feeds)
        assert len({feed.name for feed in connector.feeds}) == len(connector.feeds) > 0
        assert rig.proxy.log == []

    def test_settings_and_connector_show_no_secret(self, rig: Rig) -> None:
        told = f"{rig.settings!r} {rig.settings} {rig.settings.model_dump_json()} {rig.connector!r}"
        assert rig.bench.secrets
        assert not [secret for secret in rig.bench.secrets if secret in told]

    def test_check_reads_with_the_key_and_writes_nothing(self, rig: Rig) -> None:
        rig.bench.place(rig.bench.sale())
        assert isinstance(rig.connector.check(), ShopFacts)
        assert rig.proxy.log
        assert rig.proxy.writes == []

    @proxy_answers
    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_stops_check_and_fetch(self, rig: Rig, status: int) -> None:
        order_id = rig.bench.place(rig.bench.sale())
        for call in (rig.connector.check, lambda: rig.connector.fetch(order_id)):
            rig.proxy.clear()
            rig.proxy.add_turn(Turn(before=lambda _: status_reply(status, "no"), times=99))
            assert isinstance(rig.error(call), Unauthorized)
            asked = [(request.method, request.path, request.query) for request in rig.proxy.log]
            assert len(asked) == len(set(asked)), "a refused key is not tried again"
            rig.proxy.clear()

    def test_fetch_brings_the_order_as_it_is_now(self, rig: Rig) -> None:
        sale = rig.bench.sale()
        before = datetime.now(UTC)
        raw = rig.connector.fetch(rig.bench.place(sale))
        order = rig.normalise(raw)
        assert before <= raw.sent_at <= datetime.now(UTC)
        assert (raw.order_id, raw.partial) == (order.order_id, False)
        assert isinstance(json.loads(raw.payload), dict)
        assert order.currency == sale.currency
        assert sum(line.quantity for line in order.line_items or ()) == sum(line.quantity for line in sale.lines)
        charged = order.first_charged
        assert charged is not None
        assert charged.amount_minor == sale.total_minor
        assert order.payments is not None
        assert order.refunds == ()
        assert order.fulfillments == ()
        assert not order.is_cancelled

    def test_an_order_that_does_not_exist_is_not_found(self, rig: Rig) -> None:
        missing = no_such(rig.bench.place(rig.bench.sale()))
        assert isinstance(rig.error(lambda: rig.connector.fetch(missing)), NotFound)

    @proxy_answers
    @pytest.mark.parametrize("fault", PASSING)
    def test_a_read_that_fails_once_is_made_again(self, rig: Rig, fault: FaultKind) -> None:
        order_id = rig.bench.place(rig.bench.sale())
        rig.proxy.add_fault(Fault(fault))
        assert rig.connector.fetch(order_id).order_id == order_id

    @proxy_answers
    @pytest.mark.parametrize("fault", PASSING)
    def test_a_read_that_keeps_failing_ends_in_try_later(self, rig: Rig, fault: FaultKind) -> None:
        order_id = rig.bench.place(rig.bench.sale())
        rig.proxy.add_fault(Fault(fault, times=999))
        error = rig.error(lambda: rig.connector.fetch(order_id))
        assert isinstance(error, Transient)
        assert 1 < len(rig.proxy.log) < 40

    @proxy_answers
    @pytest.mark.parametrize("said, body", NO_ORDER)
    def test_an_answer_that_is_no_order_is_never_one_nor_none(self, rig: Rig, said: str, body: bytes) -> None:
        order_id = rig.bench.place(rig.bench.sale())
        rig.proxy.answer_with(200, body, times=999)
        error = rig.error(lambda: rig.connector.fetch(order_id))
        assert isinstance(error, Transient), f"{said}: {type(error).__name__}"

    def test_the_body_of_another_order_is_not_taken(self, rig: Rig) -> None:
        order_id = rig.bench.place(rig.bench.sale())
        changed = of_another(names_of(rig.order(order_id)))
        rig.proxy.add_turn(Turn(after=changed, times=999))
        assert isinstance(rig.error(lambda: rig.connector.fetch(order_id)), Transient)

    @proxy_answers
    def test_a_redirect_to_another_host_is_not_followed(self, rig: Rig) -> None:
        order_id = rig.bench.place(rig.bench.sale())
        with SandboxServer(Elsewhere()) as elsewhere:
            there = elsewhere.origin.replace("127.0.0.1", "localhost")
            rig.proxy.answer_with(302, None, times=999, Location=f"{there}/taken")
            assert isinstance(rig.error(lambda: rig.connector.fetch(order_id)), Transient)
            assert elsewhere.sandbox.log == []

    def test_an_unknown_word_parks_the_order_and_keeps_its_payload(self, rig: Rig) -> None:
        if rig.bench.deciding_word is None:
            rig.bench.cannot("name a deciding word")
        known, unknown = rig.bench.deciding_word
        order_id = rig.bench.place(rig.bench.sale())

        def garbled(_: Request, reply: Reply) -> Reply:
            assert known in reply.body, "the bench's deciding_word is not in the answer"
            reply.body = reply.body.replace(known, unknown)
            return reply

        rig.proxy.add_turn(Turn(after=garbled, times=99))
        raw = rig.connector.fetch(order_id)
        assert unknown in raw.payload
        assert isinstance(rig.error(lambda: rig.normalise(raw)), MappingError)

    def test_many_are_fetched_at_once_and_absent_ones_left_out(self, rig: Rig) -> None:
        rig.needs("fetch_many")
        placed = [rig.bench.place(rig.bench.sale()) for _ in range(3)]
        found = rig.connector.fetch_many([*placed, no_such(placed[0])])  # type: ignore[attr-defined]  # asked for above
        assert sorted(raw.order_id for raw in found) == sorted(placed)
        assert all(not raw.partial for raw in found)

    def test_a_buyer_finds_an_order_by_number_and_address_only(self, rig: Rig) -> None:
        rig.needs("lookup")
        sale = rig.bench.sale()
        order_id = rig.bench.place(sale)
        number = rig.order(order_id).number
        found = rig.connector.lookup(number, sale.email)  # type: ignore[attr-defined]  # asked for above
        assert found.order_id == order_id
        wrong = lambda: rig.connector.lookup(number, "nobody@example.com")  # type: ignore[attr-defined]  # noqa: E731  # as above; one line
        error = rig.error(wrong)
        assert isinstance(error, NotFound)
        assert sale.email not in f"{error} {error.fields()}"
