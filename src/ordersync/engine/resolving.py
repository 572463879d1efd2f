"""Answering a hold: look first, then do what the person said, once, with their name on it.

Whoever answers claims the orders concerned; the answer itself is one compare-and-set in the store. Of two people at
one hold, one wins and the other is told who did.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from ordersync.connector import CanListBlockers
from ordersync.engine.apply import CLAIM_FOR
from ordersync.engine.doubtful import (
    Doubtful,
    check_amount,
    check_sender_gone,
    check_unanswered,
    find_doubtful,
    matching_record,
)
from ordersync.engine.limiting import weigh_plan
from ordersync.engine.look import make_plan, member_of
from ordersync.engine.observe import observe
from ordersync.engine.pausing import require_not_paused
from ordersync.engine.resending import send_again
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shops
from ordersync.engine.writes import Clock, WriteResult, settle, utc_now
from ordersync.errors import Held, MappingError, NotFound, UsageError
from ordersync.model import (
    APPROVED_FOR,
    ActionState,
    CellState,
    Decision,
    Hold,
    Money,
    OrderRef,
    Verb,
    seen_digest,
    verbs_of,
)
from ordersync.reconcile import Limits, Policy
from ordersync.reconcile.decide import WHOLE_MONEY
from ordersync.reconcile.members import totals_digest
from ordersync.store import Answer, Store, StoredHold, new_owner
from ordersync.store.resolutions import hold_closed

BATCH_READ_WITHIN = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Reply:
    """What was typed."""

    verb: Verb
    who: str
    why: str | None = None
    record: str | None = None
    """Id of the platform's refund that is the doubtful one (`done`)."""
    amount: Money | None = None
    """Typed again, for `resend`."""


@dataclass(frozen=True, slots=True)
class Resolved:
    number: str
    said: str
    """One line for a person."""
    closed: bool = True
    answered: bool = True
    """False: nothing was answered, because the look already closed it, or only a look was asked for."""
    result: WriteResult | None = None


@dataclass(frozen=True, slots=True)
class Resolver:
    store: Store
    shops: Shops
    policy: Policy
    limits: Limits
    sent_log: SentLog
    clock: Clock = utc_now
    reread_after: timedelta = timedelta(0)
    """Orders read more recently are not fetched again: many answers at once would ask a shop for hours."""

    def resolve(self, number: str, reply: Reply) -> Resolved:
        """Answer one hold.

        Errors: UsageError `unknown_hold`, `verb_not_offered`, `reason_missing`, `record_missing`, `no_such_record`;
        Held `hold_closed`, `claimed`, `changed_since`, `record_taken`, `amount_differs`, `may_have_happened`,
        `sender_alive`; Transient when a shop does not answer. Nothing was done then.
        """
        stored = self._open(number)
        check_reply(stored, reply)
        with self._claimed(stored) as owner:
            stored = self._open(number)
            decision = self._look(stored, reply.who)
            now_open = self.store.hold(stored.number)
            if now_open is None or now_open.closed_at is not None:
                because = now_open.closed_because if now_open else None
                return Resolved(stored.number, f"closed: {because or 'no longer so'}", answered=False)
            if reply.verb is Verb.LOOK:
                return Resolved(stored.number, "looked again: it is still so", closed=False, answered=False)
            if seen_digest(now_open.hold) != seen_digest(stored.hold):
                raise Held(
                    f"what {stored.number} is about changed since it was shown; nothing was done",
                    code="changed_since",
                    next_step=f"look at it again: ordersync holds show {stored.number}",
                )
            return self._act(now_open, reply, decision, owner)

    def _act(self, stored: StoredHold, reply: Reply, decision: Decision | None, owner: str) -> Resolved:
        number, hold = stored.number, stored.hold
        if reply.verb is Verb.APPROVE:
            self._answer(stored, reply, hold.facts)
            what = f"these {len(hold.batch)} writes" if hold.batch else "this write"
            return Resolved(number, f"approved: apply makes exactly {what} once it is due, within three days")
        if hold.batch:
            return self._leave_batch(stored, reply)
        if reply.verb is Verb.COMPARE:
            members = [member_of(self.store, self.shops, ref) for ref in self._members(hold)]
            self._answer(stored, reply, (), digest=totals_digest(members))
            self._redecide(hold)
            return Resolved(number, "amounts are taken as they are on this link until one of its totals changes")
        doubtful = find_doubtful(self.store, self.sent_log, hold, decision)
        if reply.verb is Verb.LEAVE:
            self._answer(stored, reply, self._left_facts(hold))
            if doubtful is not None:
                doubtful.end(self.store, ActionState.LEFT, f"left by {reply.who}: {reply.why}", self.clock())
            self._redecide(hold)
            return Resolved(number, "left as it is; it is not carried and not asked about again")
        if doubtful is None:
            raise Held(
                f"the write {number} is about is not known here",
                code="write_unknown",
                next_step=f"ordersync holds resolve {number} leave --reason TEXT",
            )
        check_sender_gone(self.store, doubtful, number)
        if reply.verb is Verb.DONE:
            return self._done(stored, reply, doubtful)
        return self._resend(stored, reply, doubtful, owner)

    def _leave_batch(self, stored: StoredHold, reply: Reply) -> Resolved:
        self._answer(stored, reply, ())
        for link_id in {one.link_id for one in stored.hold.batch if one.link_id is not None}:
            self._redecide_link(link_id)
        return Resolved(stored.number, f"left: none of these {len(stored.hold.batch)} is written or asked again")

    def _done(self, stored: StoredHold, reply: Reply, doubtful: Doubtful) -> Resolved:
        record_id, alone = matching_record(self.store, doubtful.action, reply.record or "")
        self._answer(stored, reply, stored.hold.facts, forget=alone)
        said = f"{reply.who} says it is {record_id}"
        doubtful.end(self.store, ActionState.SEEN, said, self.clock(), platform_ref=record_id)
        self._redecide(stored.hold)
        return Resolved(stored.number, f"matched with {record_id}; the write counts as done")

    def _resend(self, stored: StoredHold, reply: Reply, doubtful: Doubtful, owner: str) -> Resolved:
        action = doubtful.action
        require_not_paused(self.store, action.target.shop)
        check_amount(action, reply.amount, stored.number)
        check_unanswered(self.store, doubtful, stored.number)
        self._answer(stored, reply, stored.hold.facts, digest=action.digest)
        said = f"{reply.who} says it did not happen and sends it again"
        if not doubtful.end(self.store, ActionState.EXPIRED, said, self.clock()):
            return Resolved(stored.number, "it was settled meanwhile; nothing was sent")
        self.store.release(owner)
        result = send_again(self.store, self.shops, self.policy, self.limits, self.sent_log, action, self.clock)
        if result is None:
            self._redecide(stored.hold)
            return Resolved(stored.number, "not sent now: something else holds it back; see: ordersync plan --all")
        self._redecide(stored.hold)
        return Resolved(stored.number, f"sent again: {result.said}", result=result)

    def _answer(
        self,
        stored: StoredHold,
        reply: Reply,
        facts: tuple[str, ...],
        *,
        forget: tuple[str, ...] = (),
        digest: str | None = None,
    ) -> None:
        now = self.clock()
        self.store.resolve(
            stored.number,
            Answer(
                verb=reply.verb,
                who=reply.who,
                why=reply.why,
                facts=facts,
                digest=digest or seen_digest(stored.hold),
                expires_at=now + APPROVED_FOR if reply.verb in (Verb.APPROVE, Verb.RESEND) else None,
                forget=forget,
            ),
            now,
        )

    def _left_facts(self, hold: Hold) -> tuple[str, ...]:
        """A hold on all money of a link leaves whatever it kept from being carried there."""
        if hold.code not in WHOLE_MONEY or hold.link_id is None:
            return hold.facts
        rows = self.store.ledger(hold.link_id).rows
        owed = [row.fact.fact_id for row in rows if any(c.state is CellState.OWED for c in row.cells)]
        return tuple(dict.fromkeys((*hold.facts, *owed)))

    def _open(self, number: str) -> StoredHold:
        stored = self.store.hold(number)
        if stored is None:
            raise UsageError(
                f"there is no hold {number}", code="unknown_hold", next_step="see them: ordersync holds list --all"
            )
        if stored.closed_at is not None:
            raise hold_closed(stored.number, stored.closed_because)
        return stored

    @contextlib.contextmanager
    def _claimed(self, stored: StoredHold) -> Iterator[str]:
        owner = new_owner()
        refs = self._members(stored.hold)
        if refs and not self.store.claim(refs, owner, self.clock(), CLAIM_FOR):
            raise Held(
                f"another ordersync process is working on what {stored.number} is about; nothing was done",
                code="claimed",
                next_step="run the same command again in a minute",
            )
        try:
            yield owner
        finally:
            self.store.release(owner)

    def _members(self, hold: Hold) -> tuple[OrderRef, ...]:
        link = self.store.link(hold.link_id) if hold.link_id else None
        if link is None and hold.target is not None:
            link = self.store.link_of(hold.target)
        if link is not None:
            return link.members
        return (hold.target,) if hold.target else ()

    def _look(self, stored: StoredHold, who: str) -> Decision | None:
        """Read everything the hold is about anew; what is no longer so closes. Returns the link's decision."""
        hold = stored.hold
        if hold.batch:
            self._look_at_batch(hold)
            return None
        if hold.code == "unauthorized":
            shop = self.shops.get(hold.subject.removeprefix("shop:"))
            if shop is not None:
                shop.connector.check()
            why = "the shop takes the key" if shop else "the shop is not in the configuration any more"
            self.store.close_hold(hold.key, self.clock(), f"{who} looked: {why}")
            return None
        for ref in self._members(hold):
            self._read(ref)
        decision = self._redecide(hold)
        gone = hold.link_id is not None and self.store.link(hold.link_id) is None
        derived = decision is not None and any(h.key == hold.key for h in decision.holds)
        if gone or (hold.subject.startswith("link:") and not derived):
            self.store.close_hold(hold.key, self.clock(), f"{who} looked: no longer so")
        if hold.code == "order_change_open" and hold.target is not None:
            self._look_at_blockers(hold, hold.target, who)
        return decision

    def _look_at_batch(self, hold: Hold) -> None:
        """Whether the whole plan still crosses the limit with exactly this batch: else the hold closes.

        Orders read lately are not fetched again: each is read, and its approval compared, before it is written.
        """
        patient = replace(self, reread_after=max(self.reread_after, BATCH_READ_WITHIN))
        for link_id in sorted({one.link_id for one in hold.batch if one.link_id is not None}):
            link = self.store.link(link_id)
            for ref in link.members if link else ():
                patient._read(ref)
        plan = make_plan(self.store, self.shops, self.policy, self.clock())
        weigh_plan(self.store, plan.decisions, self.limits, self.clock())

    def _look_at_blockers(self, hold: Hold, target: OrderRef, who: str) -> None:
        shop = self.shops.get(target.shop)
        if shop is None or not isinstance(shop.connector, CanListBlockers):
            return
        if not shop.connector.blockers(target.order_id):
            self.store.close_hold(hold.key, self.clock(), f"{who} looked: no order change is open")

    def _read(self, ref: OrderRef) -> None:
        shop = self.shops.get(ref.shop)
        stored = self.store.order(ref)
        if shop is None:
            return
        # Read "in the future" is no recent read: a clock that was set back must not turn a look into none.
        if stored is not None and timedelta(0) <= self.clock() - stored.sent_at < self.reread_after:
            return
        # A vanished or unreadable order is a hold of its own; what is known of it is decided on.
        with contextlib.suppress(NotFound, MappingError):
            observe(self.store, shop, ref.order_id)
        for record in self.store.actions(target=ref, open_only=True):
            settle(self.store, shop, record, self.clock)

    def _redecide(self, hold: Hold) -> Decision | None:
        return self._redecide_link(hold.link_id) if hold.link_id else None

    def _redecide_link(self, link_id: str) -> Decision | None:
        link = self.store.link(link_id)
        if link is None:
            return None
        self.store.mark_dirty(link.link_id)
        plan = make_plan(self.store, self.shops, self.policy, self.clock(), only=[link.link_id])
        return plan.decisions[0] if plan.decisions else None


def check_reply(stored: StoredHold, reply: Reply) -> None:
    """What was typed makes sense for this hold. UsageError otherwise."""
    offered = verbs_of(stored.hold.code)
    if reply.verb not in offered:
        raise UsageError(
            f"{stored.number} ({stored.hold.code}) cannot be answered with {reply.verb}",
            code="verb_not_offered",
            next_step=f"one of: {', '.join(offered)}",
        )
    if reply.verb is Verb.LEAVE and not (reply.why or "").strip():
        raise UsageError(
            "accepting a difference needs a reason",
            code="reason_missing",
            next_step=f'ordersync holds resolve {stored.number} leave --reason "why"',
        )
    if reply.verb is Verb.DONE and not reply.record:
        raise UsageError(
            "which of the shop's records is it?",
            code="record_missing",
            next_step=f"ordersync holds resolve {stored.number} done --record ID",
        )
