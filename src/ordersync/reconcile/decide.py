"""The decision: from a link's ledger, its member orders and the journal to a new ledger, writes and holds.

Pure and total. It knows no platform's name, no network, no database and no clock; `plan` prints what it returns and
`apply` does what it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    Cell,
    CellState,
    Decision,
    Fact,
    FactKind,
    Hold,
    Ledger,
    LedgerRow,
    Link,
    Money,
    OrderRef,
    Resolution,
    Verb,
    Wait,
    hold_key,
    stable_hash,
    token_of,
    verbs_of,
)
from ordersync.reconcile.answers import Answers
from ordersync.reconcile.doubts import doubt_evidence, doubt_message, doubt_steps
from ordersync.reconcile.looks import lets_goods_pass, next_look_at
from ordersync.reconcile.members import Member, in_flight_minor, money_digest
from ordersync.reconcile.pairing import Pairing, pair_refunds
from ordersync.reconcile.policy import Policy

BELIEVED_AHEAD = timedelta(hours=24)
"""A platform's clock may be off by its time zone; a fact dated later than that would wait unseen."""

LIVE_BEFORE_LINK = timedelta(hours=48)
"""Facts older than this when their link was made, or when a member joined it, are not carried without a person."""

WHOLE_MONEY = frozenset({"different_currencies", "different_totals", "two_purses"})
"""Holds about all money of a link: leaving one accepts what is there now, and the next refund asks again."""


@dataclass(slots=True)
class Case:
    """One link being decided: what was given, and what has been decided so far."""

    link: Link
    members: tuple[Member, ...]
    journal: tuple[ActionRecord, ...]
    policy: Policy
    now: datetime
    live_from: datetime
    """Facts dated before this are never carried without a person: they are older than the link or the store."""
    previous: Ledger
    answers: Answers
    pairing: Pairing = field(default_factory=Pairing)
    rows: list[LedgerRow] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    with_cancel: dict[OrderRef, list[Fact]] = field(default_factory=dict)
    """Refunds made with a cancel that is too late for this order: they wait with it."""
    used: dict[tuple[OrderRef, str], list[int]] = field(default_factory=dict)
    """Approvals that let a write pass a check, per target and fact."""
    money_blocked: bool = False
    """A money hold stands on this link: no money moves, other kinds may go on."""

    def member(self, ref: OrderRef) -> Member:
        return next(m for m in self.members if m.ref == ref)

    def others(self, ref: OrderRef) -> list[Member]:
        return [m for m in self.members if m.ref != ref]

    def open_actions(self, target: OrderRef) -> list[ActionRecord]:
        return [a for a in self.journal if a.action.target == target and a.state.is_open]

    def keeps_goods_waiting(self, target: OrderRef) -> bool:
        """A write to this order is planned, or open in a way that parcels and steps wait for too."""
        semantics = self.member(target).semantics
        return any(a.target == target for a in self.actions) or any(
            not lets_goods_pass(a, semantics) for a in self.open_actions(target)
        )

    def attempts(self, target: OrderRef, fact_id: str) -> list[ActionRecord]:
        return [a for a in self.journal if a.action.target == target and a.action.fact_id == fact_id]

    def planned_minor(self, target: OrderRef) -> int:
        return sum(a.amount.amount_minor for a in self.actions if a.target == target and a.amount)

    def spoken_for_minor(self, member: Member) -> int:
        """Completed, pending, sent but unseen, in doubt and planned refunds of one member."""
        flying = in_flight_minor(member.ref, self.journal, member.records)
        return member.refunded_minor + member.pending_minor + flying + self.planned_minor(member.ref)

    def hold(
        self,
        code: str,
        message: str,
        *discriminators: str,
        evidence: Sequence[str] = (),
        next_steps: Sequence[str] = (),
        money: Money | None = None,
        sticky: bool = False,
        target: OrderRef | None = None,
    ) -> bool:
        """One hold per code and subject matter; a second one with the same key adds nothing.

        False when a person left exactly this as it is: then nothing is held.
        """
        subject = f"link:{self.link.link_id}"
        about = hold_key(code, subject, str(target or ""), *discriminators)
        if any(h.key == about for h in self.holds):
            return True
        facts = self._facts_in(discriminators)
        digest = self._digest(code, facts, target, money, (message, *evidence))
        left = self.answers.left_hold(about, digest)
        if left is not None:
            self.skipped.append(f"{code}: left as it is by {left.who}: {left.why}")
            return False
        self.holds.append(
            Hold(
                key=about,
                code=code,
                subject=subject,
                message=message,
                evidence=tuple(evidence),
                next_steps=tuple(next_steps) or self.look_steps(),
                money=money,
                sticky=sticky,
                link_id=self.link.link_id,
                target=target,
                facts=facts,
                digest=digest,
            )
        )
        return True

    def _facts_in(self, discriminators: Sequence[str]) -> tuple[str, ...]:
        """The facts a hold is told apart by, directly or through the write it is about."""
        tried = {a.action.key: a.action.fact_id for a in self.journal}
        named = (tried.get(word) or (word if _is_fact_id(word) else None) for word in discriminators)
        return tuple(dict.fromkeys(fact_id for fact_id in named if fact_id))

    def _digest(
        self, code: str, facts: Sequence[str], target: OrderRef | None, money: Money | None, said: Sequence[str]
    ) -> str:
        if Verb.APPROVE in verbs_of(code) and target is not None and len(facts) == 1:
            return self.write_digest(facts[0], target, money)
        if code in WHOLE_MONEY:
            return money_digest(self.members, code)
        if code == "in_doubt":
            said = said[:1]  # each look adds to its evidence
        # Who left a hold about the whole link did not speak of an order that joins later.
        later = () if target is not None else tuple(f"{shop} {at.isoformat()}" for shop, at in self.link.joined)
        return stable_hash(*said, str(money), *later)[:32]

    def write_digest(self, fact_id: str, target: OrderRef, amount: Money | None) -> str:
        """Binds one write, an amount for a refund and None for a cancel, to the money that was seen."""
        if amount is None:
            return money_digest(self.members, fact_id, str(target), "cancel", cancels=False)
        return money_digest(self.members, fact_id, str(target), str(amount), copies=token_of(fact_id))

    def approved(self, code: str, fact_id: str, target: OrderRef, amount: Money | None) -> bool:
        """A person lets exactly this write pass this check; the write then carries (and uses up) the approval."""
        found = self.answers.approval(code, fact_id, target, self.write_digest(fact_id, target, amount))
        if found is None:
            return False
        self.used.setdefault((target, fact_id), []).append(found.number)
        return True

    def approvals(self, target: OrderRef, fact_id: str) -> tuple[int, ...]:
        return tuple(sorted(set(self.used.get((target, fact_id), ()))))

    def waived(self, fact_id: str, target: OrderRef, before: Cell | None) -> Cell | None:
        """The cell of a fact that a person left as it is at this order; it stays so at every look."""
        if before is not None and before.state is CellState.WAIVED:
            return before
        return self.answers.left(fact_id, target)

    def ill_dated(self, fact: Fact, target: OrderRef) -> tuple[str, str] | None:
        """Code and reason of the hold for a fact from before both orders were live in the link, seen long after, or
        yet to come."""
        happened_at = fact.happened_at
        later = [at for ref in (fact.origin, target) if (at := self.link.joined_later(ref)) is not None]
        live_from = max([self.live_from, *(at - LIVE_BEFORE_LINK for at in later)])
        if happened_at is None or happened_at <= live_from:
            return "differs_at_link", "old differences are not carried without you"
        if self.now - happened_at > self.policy.old_after:
            return "old_fact", "old differences are not carried without you"
        if happened_at - self.now > BELIEVED_AHEAD:
            return "dated_ahead", "a date so far ahead is not waited for"
        return None

    def hold_tried(self, action: Action) -> None:
        """Owed still, and tried before without proof that it did not happen: never again without a person."""
        amount = f" of {action.amount}" if action.amount else ""
        steps = {
            ActionKind.REFUND: self.refund_steps(action.target, action.amount, "if it is still owed"),
            ActionKind.CANCEL: self.cancel_steps(action.target),
        }
        self.hold(
            "tried_before",
            f"a {action.kind}{amount} at {action.target} was tried and may have happened; it is not tried again",
            action.key,
            action.fact_id or "",
            money=action.amount,
            target=action.target,
            next_steps=steps.get(action.kind, ()),
        )

    def look_steps(self) -> tuple[str, ...]:
        shown = tuple(f"ordersync orders show {ref} --fresh" for ref in self.link.members)
        return (*shown, f"ordersync links remove {self.link.link_id}   if these are not the same sale")

    def refund_steps(self, target: OrderRef, amount: Money | None, why: str) -> tuple[str, ...]:
        return (f'ordersync orders refund {target} --amount "{amount}"   {why}', *self.look_steps())

    def cancel_steps(self, target: OrderRef) -> tuple[str, ...]:
        return (f"ordersync orders cancel {target}   if it is still wanted", *self.look_steps())

    def wait(self, code: str, message: str, target: OrderRef, fact_id: str, until: datetime | None = None) -> None:
        self.waits.append(
            Wait(
                code=code,
                link_id=self.link.link_id,
                target=target,
                fact_id=fact_id,
                message=message,
                until=until,
            )
        )

    def result(self) -> Decision:
        return Decision(
            link_id=self.link.link_id,
            ledger=Ledger(rows=tuple(self.rows)),
            actions=tuple(self.actions),
            holds=tuple(self.holds),
            waits=tuple(self.waits),
            skipped=tuple(self.skipped),
        )


def reconcile(
    link: Link,
    ledger: Ledger,
    members: Sequence[Member],
    journal: Sequence[ActionRecord],
    policy: Policy,
    now: datetime,
    live_from: datetime,
    approvals: Sequence[Resolution] = (),
) -> Decision:
    """Decide one link.

    `members` is every member of the link, in any order; the result does not depend on it. `journal` holds the
    actions ever taken on these orders, `approvals` what people answered to this link's holds. At most one write per
    order is planned; the rest waits for the next look.
    """
    from ordersync.reconcile.cancels import decide_cancel
    from ordersync.reconcile.foreign import hold_foreign_parcels
    from ordersync.reconcile.late_cancels import hold_money_alone
    from ordersync.reconcile.partial import hold_partial_cancels
    from ordersync.reconcile.progress import decide_progress
    from ordersync.reconcile.refunds import decide_refunds
    from ordersync.reconcile.shipments import decide_shipments

    case = Case(
        link=link,
        members=tuple(sorted(members, key=lambda m: m.ref)),
        journal=tuple(journal),
        policy=policy,
        now=now,
        live_from=live_from,
        previous=ledger,
        answers=Answers(approvals, now, link),
    )
    _hold_doubts(case)
    blocked = [m for m in case.members if m.problem or m.order is None]
    if blocked:
        for member in blocked:
            case.hold(
                "member_unreadable",
                f"{member.ref} cannot be decided about: {member.problem or 'it was never read'}",
                target=member.ref,
                next_steps=(
                    f"ordersync orders show {member.ref} --fresh",
                    f"ordersync pull --shop {member.ref.shop}",
                    f"ordersync links remove {link.link_id}   if these are not the same sale",
                ),
            )
        case.rows = list(ledger.rows)
        return case.result()
    refund_rows = [row for row in ledger.rows if row.fact.kind is FactKind.REFUND]
    case.pairing = pair_refunds(case.members, refund_rows, case.journal)
    decide_refunds(case)
    decide_cancel(case)
    hold_money_alone(case)
    hold_partial_cancels(case)
    decide_shipments(case)
    hold_foreign_parcels(case)
    decide_progress(case)
    _hold_used_keys(case)
    return case.result()


def _hold_used_keys(case: Case) -> None:
    """A key is used once for ever: what would be tried under a used one may have happened then."""
    used = {record.action.key for record in case.journal}
    for action in [action for action in case.actions if action.key in used]:
        case.actions.remove(action)
        case.hold_tried(action)


def _hold_doubts(case: Case) -> None:
    """A write nobody knows the outcome of stops all money on its link, looked for or held."""
    for record in case.journal:
        action = record.action
        if record.state is ActionState.DOUBT:
            case.money_blocked = case.money_blocked or action.kind.moves_money
            look_at = next_look_at(record, case.member(action.target).semantics)
            if look_at is not None:
                said = (
                    f"a {action.kind} was sent to {action.target} without a clear answer; it is looked for again"
                )
                case.wait("looked_for", said, action.target, action.fact_id or "", look_at)
                continue
            case.hold(
                "in_doubt",
                doubt_message(action),
                action.key,
                evidence=doubt_evidence(record),
                next_steps=doubt_steps(action),
                money=action.amount,
                sticky=False,
                target=action.target,
            )


def _is_fact_id(word: str) -> bool:
    return len(word) == 64 and all(char in "0123456789abcdef" for char in word)
