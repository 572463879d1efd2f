"""Connectors that each break one promise. `test_contract_catches.py` runs the conformance suite on them: it is no
test file itself, so that nothing collects it by its name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
import pytest
from ordersync_connectors.headless import HeadlessConnector
from tests.contract.benches import HeadlessBench

from ordersync.connector import CancelRequest, Page, RawOrder, Receipt, RefundRequest, Semantics, ShopFacts, Window
from ordersync.errors import OutcomeUnknown, Refused, Transient
from ordersync.http import decode_json
from ordersync.testing import Bench, ConnectorContract


class SendsAgain(HeadlessConnector):
    def cancel(self, order_id: str, request: CancelRequest, key: str) -> Receipt:
        try:
            return super().cancel(order_id, request, key)
        except OutcomeUnknown:
            return super().cancel(order_id, request, key)


class TakesRefusalForSuccess(HeadlessConnector):
    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        try:
            return super().refund(order_id, request, key)
        except Refused:
            return Receipt()


class TakesSilenceForNo(HeadlessConnector):
    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        try:
            return super().refund(order_id, request, key)
        except OutcomeUnknown as lost:
            raise Transient("try again") from lost


class ActsOnlyInWords(HeadlessConnector):
    def archive(self, order_id: str, key: str) -> Receipt:
        return Receipt(status="archived")


class PromisesNoLines(HeadlessConnector):
    semantics: ClassVar[Semantics] = HeadlessConnector.semantics.model_copy(
        update={"refund_by": frozenset({"amount"})}
    )


class ForgetsTheMark(HeadlessConnector):
    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        return super().refund(order_id, request.model_copy(update={"token": None}), key)


class IgnoresKeys(HeadlessConnector):
    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        self._times = getattr(self, "_times", 0) + 1
        return super().refund(order_id, request, f"{key}-{self._times}")


class EndsEarly(HeadlessConnector):
    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        page = super().pull(feed, window, cursor)
        return page if cursor is None else page.model_copy(update={"next_cursor": None})


class TakesFailureForTheEnd(HeadlessConnector):
    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        try:
            return super().pull(feed, window, cursor)
        except Transient:
            return Page()


class RemembersInsteadOfReadingItsCursor(HeadlessConnector):
    def pull(self, feed: str, window: Window, cursor: str | None) -> Page:
        kept: dict[str, str] = self.__dict__.setdefault("_kept", {})
        page = super().pull(feed, window, kept.get(f"{feed} {cursor}"))
        if page.next_cursor is None:
            return page
        kept[f"{feed} {len(kept)}"] = page.next_cursor
        return page.model_copy(update={"next_cursor": str(len(kept) - 1)})


class TakesAnyOrder(HeadlessConnector):
    def fetch(self, order_id: str) -> RawOrder:
        answer = self._admin_client.read(f"/admin/orders/{order_id}", operation="fetch", order=order_id)
        return RawOrder(order_id=order_id, payload=answer.body, sent_at=answer.sent_at)


class Guesses(HeadlessConnector):
    """Puts a word it knows where it meets one it does not."""

    def fetch(self, order_id: str) -> RawOrder:
        raw = super().fetch(order_id)
        order: dict[str, Any] = decode_json(raw.payload)
        order["status"] = "confirmed"
        return raw.model_copy(update={"payload": msgspec.json.encode(order)})


class TellsItsKey(HeadlessConnector):
    def check(self) -> ShopFacts:
        logging.getLogger("careless").debug("asking with %s", self._settings.api_key.get_secret_value())
        return super().check()


class FollowsRedirects(HeadlessConnector):
    def __init__(self, shop: str, settings: Any) -> None:
        super().__init__(shop, settings)
        for client in (self._admin_client._client, self._admin_client._writer):
            client.follow_redirects = True


class _Suite(ConnectorContract):
    kind: ClassVar[type[HeadlessConnector]]

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = HeadlessBench(self.kind)
        yield bench
        bench.close()


def suite_of(careless: type[HeadlessConnector]) -> type[_Suite]:
    return type(f"Test{careless.__name__}", (_Suite,), {"kind": careless})


CAUGHT_BY: dict[type[HeadlessConnector], str] = {
    SendsAgain: "test_no_clear_answer_is_doubt_though_nothing_happened[500_before-cancel]",
    TakesRefusalForSuccess: "test_a_refusal_is_a_refusal_or_a_doubt_and_never_success[409-refund]",
    TakesSilenceForNo: "test_no_clear_answer_is_doubt_and_what_happened_happened_once[cut_after-refund]",
    ActsOnlyInWords: "test_a_write_acts_once_with_one_request[archive]",
    PromisesNoLines: "test_a_refund_of_lines_is_refused_where_it_cannot_be_told",
    ForgetsTheMark: "test_a_refund_is_read_back_with_its_amount_and_our_mark",
    IgnoresKeys: "test_a_repeated_key_acts_once_where_keys_live[refund]",
    EndsEarly: "test_a_pass_lists_every_order_and_writes_nothing",
    TakesFailureForTheEnd: "test_a_page_that_fails_is_not_the_end[500_before]",
    RemembersInsteadOfReadingItsCursor: "test_a_pass_goes_on_from_every_cursor_in_a_new_process",
    TakesAnyOrder: "test_the_body_of_another_order_is_not_taken",
    Guesses: "test_an_unknown_word_parks_the_order_and_keeps_its_payload",
    TellsItsKey: "test_check_reads_with_the_key_and_writes_nothing",
    FollowsRedirects: "test_a_redirect_of_a_write_is_never_followed[307-refund]",
}
globals().update({f"Test{careless.__name__}": suite_of(careless) for careless in CAUGHT_BY})
TestHonest = suite_of(HeadlessConnector)
