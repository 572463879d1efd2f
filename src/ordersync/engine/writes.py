"""One write to a platform, from intent to read-back (DESIGN 9). Every write takes this road, by-hand ones too.

The order of steps is the safety: what might have been sent is on disk before it is sent; what was answered is on disk
before anything else is decided; and nothing counts as done before it was read back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ordersync.connector import (
    CanArchive,
    CanCancel,
    CanCapture,
    CancelRequest,
    CanComplete,
    CanConfirm,
    CanListBlockers,
    CanPack,
    CanProcess,
    CanRefund,
    CanShip,
    CaptureRequest,
    LineQuantity,
    PackRequest,
    Receipt,
    RefundRequest,
    ShipRequest,
)
from ordersync.engine.answering import store_answer, store_answer_once
from ordersync.engine.effects import effect_of, never_shows
from ordersync.engine.observe import observe
from ordersync.engine.pausing import paused
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shop
from ordersync.errors import (
    BrokenAnswer,
    Held,
    MappingError,
    OrdersyncError,
    OutcomeUnknown,
    Refused,
    StoreError,
    Transient,
    Unauthorized,
)
from ordersync.http import send_within
from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    Hold,
    LineUnits,
    Parcel,
    Purse,
    fact_of,
    stable_hash,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import Limits
from ordersync.reconcile.doubts import doubt_evidence, doubt_message, doubt_steps
from ordersync.reconcile.limits import LIMIT_REACHED, Approvals, action_hold_key, check_limits
from ordersync.reconcile.looks import lets_goods_pass, next_look_at
from ordersync.store import IntentHeld, Spent, Store, new_owner

SEND_WITHIN = timedelta(seconds=20)
"""An intent older than this is never sent: the process that made it slept or died."""
BEGIN_WITHIN_S = 30.0
"""A request that is not on its way by then is not sent: well before others may take it for lost."""
ANSWER_WITHIN = timedelta(seconds=60)
"""Longer than any request may take; a `sending` action older than this is in doubt."""
LONGEST_ID = 255
"""Characters. What a platform names beyond that is no record of an order; the mark has to do."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class WriteResult:
    action: Action
    state: ActionState
    said: str
    """One line for a person: what was answered, and what reading back showed."""
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """Sends actions of one run. `limits=None` for commands given by hand by a person who was asked."""

    store: Store
    sent_log: SentLog
    limits: Limits | None
    run_started_at: datetime
    clock: Clock = utc_now
    batches: bool = False
    """The caller opens one hold over everything a limit stops; else each stopped write is its own hold."""

    def write(self, shop: Shop, action: Action) -> WriteResult:
        """Intent, one call, receipt, read-back. The result says what the platform did.

        Errors: Unauthorized (certainly not done; the shop must pause).
        """
        stop = self._before(shop, action)
        if stop is not None:
            return WriteResult(action, ActionState.EXPIRED, f"held: {stop.message}", stop)
        pause = paused(self.store, action.target.shop)
        if pause is not None:
            return WriteResult(action, ActionState.EXPIRED, f"not sent: {pause.sentence}")
        now = self.clock()
        over_limit = Approvals(self.store.unused_approvals(LIMIT_REACHED, now), now).of(action)
        if over_limit is not None:
            action = action.model_copy(update={"approvals": (*action.approvals, over_limit.number)})
        try:
            self.store.intend(
                action,
                now,
                now + SEND_WITHIN,
                self._limit_check(action, approved=over_limit is not None),
                by=new_owner(),
            )
        except IntentHeld as held:
            if not self.batches:
                self.store.open_hold(held.hold, now)
            return WriteResult(action, ActionState.EXPIRED, f"held: {held.hold.message}", held.hold)
        except Held as held:
            return WriteResult(action, ActionState.EXPIRED, f"not sent: {held.message}")
        self.store.close_hold(action_hold_key("order_change_open", action), now, "it no longer stops the write")
        pause = paused(self.store, action.target.shop)
        if pause is not None:  # set while the intent was stored: it is in time until the send is logged
            said = f"not sent: {pause.sentence}"
            self.store.advance(action.key, ActionState.INTENDED, ActionState.EXPIRED, answer=said)
            return WriteResult(action, ActionState.EXPIRED, said)
        with send_within(BEGIN_WITHIN_S):
            return self._announce_and_send(shop, action, now)

    def _announce_and_send(self, shop: Shop, action: Action, intended_at: datetime) -> WriteResult:
        """Tell the log and the journal, then make the call."""
        self._log_send(action)
        sending_at = self.clock()
        if sending_at >= intended_at + SEND_WITHIN or not self.store.advance(
            action.key, ActionState.INTENDED, ActionState.SENDING, sent_at=sending_at
        ):
            self.store.advance(
                action.key, ActionState.INTENDED, ActionState.EXPIRED, answer="never sent: too late"
            )
            return WriteResult(action, ActionState.EXPIRED, "not sent: it took too long to begin")
        return self._send(shop, action)

    def _before(self, shop: Shop, action: Action) -> Hold | None:
        """What forbids the write before anything is stored."""
        sends = self.sent_log.sends(action.key, action.target, action.token)
        if any(self.store.action(key) is None for key in sends):
            return self._open(
                action,
                "in_doubt",
                f"this {action.kind} was sent to {action.target} by an earlier life of this database; whether it "
                "happened is not known",
                doubt_steps(action),
            )
        money = action.kind in (ActionKind.REFUND, ActionKind.CANCEL)
        if money and "blockers" in shop.capabilities and isinstance(shop.connector, CanListBlockers):
            open_changes = shop.connector.blockers(action.target.order_id)
            if open_changes:
                return self._open(
                    action,
                    "order_change_open",
                    f"{action.target} has an open order change ({'; '.join(open_changes)}); a refund or cancel there "
                    "can act and still answer with an error",
                    ("finish or drop the open edit or return in the shop's admin", "then run: ordersync apply"),
                )
        return None

    def _open(self, action: Action, code: str, message: str, next_steps: tuple[str, ...]) -> Hold:
        hold = Hold(
            key=action_hold_key(code, action),
            code=code,
            subject=f"action:{action.key}",
            message=message,
            evidence=(action.because,),
            next_steps=next_steps,
            money=action.amount,
            sticky=True,
            link_id=action.link_id,
            target=action.target,
            facts=fact_of(action),
        )
        self.store.open_hold(hold, self.clock())
        return hold

    def _log_send(self, action: Action) -> None:
        """The line outside the database comes before `sending`: a disk that is full then leaves no doubt behind."""
        try:
            self.sent_log.append(action.key, action.target, action.token)
        except StoreError as failed:
            self.store.advance(
                action.key, ActionState.INTENDED, ActionState.EXPIRED, answer=f"never sent: {failed.message}"
            )
            raise

    def _send(self, shop: Shop, action: Action) -> WriteResult:
        try:
            receipt = call(shop, action)
        except (OutcomeUnknown, BrokenAnswer, MappingError) as unknown:
            self._store_answer(action, ActionState.DOUBT, unknown.message)
            found = settle(self.store, shop, self._record(action.key), self.clock)
            if found.state is ActionState.SEEN:
                return WriteResult(
                    action,
                    ActionState.SEEN,
                    f"{unknown.message}; looked again: it is there ({found.platform_ref})",
                )
            return WriteResult(
                action,
                found.state,
                f"{unknown.message}; looked again: not there yet, in doubt{_looked_later(found, shop)}",
                self._doubt(found, shop.semantics),
            )
        except Unauthorized as refused_key:
            self._store_answer(action, ActionState.EXPIRED, refused_key.message)
            raise
        except Transient as not_done:
            self._store_answer(action, ActionState.EXPIRED, not_done.message)
            return WriteResult(action, ActionState.EXPIRED, f"not done: {not_done.message}")
        except OrdersyncError as refused:
            self._store_answer(action, ActionState.REFUSED, refused.message)
            return WriteResult(action, ActionState.REFUSED, refused.message)
        except BaseException:
            # A bug or Ctrl-C between sending and the answer: nobody knows, and that is what is stored.
            with contextlib.suppress(StoreError):  # what is `sending` becomes a doubt by itself
                store_answer_once(
                    self.store, action, ActionState.DOUBT, "interrupted before the answer", self.clock()
                )
            raise
        ref = receipt.platform_ref if len(receipt.platform_ref or "") <= LONGEST_ID else None
        answer = "already done" if receipt.already_done else f"accepted {ref or ''}".rstrip()
        self._store_answer(action, ActionState.RECEIPTED, answer, ref)
        found = settle(self.store, shop, self._record(action.key), self.clock)
        said = "confirmed by reading back" if found.state is ActionState.SEEN else "accepted, not visible yet"
        return WriteResult(action, found.state, f"{answer}; {said}")

    def _doubt(self, record: ActionRecord, semantics: Semantics) -> Hold | None:
        """An order without a link has no decision that would hold its doubt, so it is held here."""
        if self.store.link_of(record.action.target) is not None or next_look_at(record, semantics) is not None:
            return None
        hold = doubt_hold(record)
        self.store.open_hold(hold, self.clock())
        return hold

    def _store_answer(self, action: Action, to: ActionState, answer: str, platform_ref: str | None = None) -> None:
        store_answer(self.store, action, to, answer, self.clock, platform_ref)

    def _record(self, key: str) -> ActionRecord:
        record = self.store.action(key)
        if record is None:
            raise AssertionError("an intended action is in the journal")
        return record

    def _limit_check(self, action: Action, *, approved: bool) -> Callable[[Spent], Hold | None]:
        """The limit check of one action, run inside the transaction that commits its intent. A person may have
        approved exactly this one beyond the limit."""
        limits = self.limits
        if limits is None or approved:
            return lambda _spent: None
        link = self.store.link_of(action.target)
        members = link.members if link else (action.target,)
        return lambda spent: check_limits(action, spent.since(self.run_started_at), spent, limits, members)


def _looked_later(record: ActionRecord, shop: Shop) -> str:
    at = next_look_at(record, shop.semantics)
    return f"; an apply after {at:%H:%M:%S} UTC looks again" if at is not None else ""


def doubt_hold(record: ActionRecord) -> Hold:
    """The hold of a doubtful write on an order that is in no link; it closes when the write is seen."""
    action = record.action
    return Hold(
        key=action_hold_key("in_doubt", action),
        code="in_doubt",
        subject=f"action:{action.key}",
        message=doubt_message(action),
        evidence=doubt_evidence(record),
        next_steps=doubt_steps(action),
        money=action.amount,
        sticky=True,
        target=action.target,
        digest=stable_hash(action.key)[:32],  # each look adds to its evidence
    )


def call(shop: Shop, action: Action) -> Receipt:
    """The one HTTP call of an action. Refused when the connector has no such call."""
    connector, order_id, key = shop.connector, action.target.order_id, action.key
    missing = Refused(f"{shop.name} has no {action.kind}", code="no_such_call", shop=shop.name, order=order_id)
    if action.kind.value not in shop.capabilities:
        raise missing
    if action.kind is ActionKind.CANCEL and isinstance(connector, CanCancel):
        cancel = CancelRequest(
            reason=action.reason,
            amount=action.amount,
            restock=action.restock,
            notify_buyer=action.notify_buyer,
            processed_at=action.processed_at,
            # A cancel is read back by the order itself; what a person typed goes out as typed.
            token=action.token if action.fact_id else None,
        )
        return connector.cancel(order_id, cancel, key)
    if action.kind is ActionKind.REFUND and isinstance(connector, CanRefund) and action.amount is not None:
        refund = RefundRequest(
            amount=action.amount,
            payment_id=action.payment_id,
            to="books" if action.purse is Purse.BOOKS else "original",
            reason=action.reason,
            lines=_request_lines(action.refund_lines),
            shipping=action.shipping,
            restock=action.restock,
            notify_buyer=action.notify_buyer,
            processed_at=action.processed_at,
            token=action.token,
        )
        return connector.refund(order_id, refund, key)
    if action.kind in (ActionKind.PACK, ActionKind.SHIP) and action.parcel is not None:
        return _send_parcel(shop, action, action.parcel, missing)
    if action.kind is ActionKind.CONFIRM and isinstance(connector, CanConfirm):
        return connector.confirm(order_id, key)
    if action.kind is ActionKind.PROCESS and isinstance(connector, CanProcess):
        return connector.process(order_id, key)
    if action.kind is ActionKind.CAPTURE and isinstance(connector, CanCapture):
        return connector.capture(order_id, CaptureRequest(payment_id=action.payment_id, amount=action.amount), key)
    if action.kind is ActionKind.COMPLETE and isinstance(connector, CanComplete):
        return connector.complete(order_id, key)
    if action.kind is ActionKind.ARCHIVE and isinstance(connector, CanArchive):
        return connector.archive(order_id, key)
    raise missing


def _send_parcel(shop: Shop, action: Action, parcel: Parcel, missing: Refused) -> Receipt:
    """Tracking goes with the call that has a place for it."""
    connector, order_id = shop.connector, action.target.order_id
    about: dict[str, Any] = {
        "lines": _request_lines(parcel.lines),
        "notify_buyer": action.notify_buyer,
        "token": action.token,
    }
    tracking = {
        "carrier": parcel.carrier,
        "tracking_number": parcel.tracking_number,
        "tracking_url": parcel.tracking_url,
    }
    if action.kind is ActionKind.PACK and isinstance(connector, CanPack):
        told = tracking if shop.semantics.tracking_at_pack else {}
        return connector.pack(order_id, PackRequest(**about, **told), action.key)
    if action.kind is ActionKind.SHIP and isinstance(connector, CanShip):
        told = tracking if shop.semantics.tracking and not shop.semantics.tracking_at_pack else {}
        request = ShipRequest(fulfillment_id=parcel.fulfillment_id, **about, **told)
        return connector.ship(order_id, request, action.key)
    raise missing


def _request_lines(lines: Sequence[LineUnits]) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_item_id=line.line_item_id, quantity=line.quantity) for line in lines)


def settle(store: Store, shop: Shop, record: ActionRecord, clock: Clock) -> ActionRecord:
    """Look for the effect of an open action and store what was found; returns the record as it then is.

    A receipt counts as done until its record is seen; a doubt is settled only by our own mark (refund) or by the
    state itself (cancel, complete, archive, capture).
    """
    now = clock()
    action, state = record.action, record.state
    if state is ActionState.INTENDED:
        if record.send_by is not None and now > record.send_by:
            store.advance(action.key, state, ActionState.EXPIRED, answer="never sent: its process ended first")
        return store.action(action.key) or record
    if state is ActionState.SENDING:
        if now < (record.sent_at or record.intended_at) + ANSWER_WITHIN:
            return record
        store.advance(
            action.key, state, ActionState.DOUBT, answer="its process ended, or stands still, before the answer"
        )
        state = ActionState.DOUBT
    if state not in (ActionState.RECEIPTED, ActionState.DOUBT):
        return record
    try:
        order = observe(store, shop, action.target.order_id)
    except OrdersyncError:
        return store.action(action.key) or record
    effect = effect_of(action, record, order)
    if effect is None and state is ActionState.RECEIPTED and never_shows(action, shop, order):
        effect = record.platform_ref or action.kind.value
    if effect is not None:
        store.advance(action.key, state, ActionState.SEEN, platform_ref=effect)
        store.close_hold(action_hold_key("in_doubt", action), now, "it was found")
    elif state is ActionState.DOUBT:
        looked = record.model_copy(update={"state": state, "looked_at": (*record.looked_at, now)})
        free = lets_goods_pass(looked, shop.semantics)
        store.advance(action.key, state, ActionState.DOUBT, looked_at=now, frees_order=free)
    return store.action(action.key) or record
