"""Apply: do what the decision says, link by link, on a fresh look at every member."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ordersync.engine.limiting import Gate
from ordersync.engine.look import make_plan
from ordersync.engine.observe import observe
from ordersync.engine.pausing import Pause, closed_shops, only_open, paused, waiting_writes
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shops
from ordersync.engine.writes import Clock, Writer, WriteResult, doubt_hold, settle, utc_now
from ordersync.errors import (
    ConfigError,
    MappingError,
    NotFound,
    OrdersyncError,
    Refused,
    Transient,
    Unauthorized,
)
from ordersync.model import Action, ActionState, Decision, Hold, Link, hold_key
from ordersync.reconcile import Limits, Policy
from ordersync.reconcile.limits import LIMIT_REACHED
from ordersync.reconcile.looks import next_look_at
from ordersync.store import Store, new_owner

CLAIM_FOR = timedelta(minutes=5)
ROUNDS = 8
"""Writes to one order follow one another, each on a new look; more than this in one run is left to the next."""


@dataclass(slots=True)
class ApplyReport:
    """What a run did. `results` are writes; `left` are links not looked at, with the reason."""

    results: list[WriteResult] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    """Of the links that did not agree when the run began, as they were decided last."""
    new_holds: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    stale: list[Action] = field(default_factory=list)
    """Actions of a saved plan that were no longer due as saved; nothing was written for them."""
    paused: dict[str, str] = field(default_factory=dict)
    """Shops that refused the credentials: their links are left."""
    waiting: list[tuple[Pause, list[Action]]] = field(default_factory=list)
    """Writes that are due at paused shops."""
    silent: dict[str, str] = field(default_factory=dict)
    """Shops that do not answer at all: their links are left."""
    read: set[str] = field(default_factory=set)
    """Shops that answered a fresh look."""

    @property
    def done(self) -> list[WriteResult]:
        return [r for r in self.results if r.state is ActionState.SEEN]


@dataclass(slots=True)
class _Course:
    """What the links of one run share."""

    writer: Writer
    gate: Gate
    wanted: dict[str, Action] | None
    """The writes of a saved plan by key; None: whatever is due."""
    met: set[str]
    """Keys of the saved plan that were still due as saved."""
    report: ApplyReport


@dataclass(slots=True)
class Applier:
    store: Store
    shops: Shops
    policy: Policy
    limits: Limits
    sent_log: SentLog
    clock: Clock = utc_now
    on_result: Callable[[WriteResult], None] | None = None
    owner: str = field(default_factory=new_owner)

    def run(self, saved: Collection[Action] | None = None) -> ApplyReport:
        """Apply what is due now, or only the still valid part of a saved plan.

        Every link that has something to do is claimed, read fresh, decided again, and written to one order at a time.
        """
        report = ApplyReport()
        started_at = self.clock()
        writer = Writer(self.store, self.sent_log, self.limits, started_at, self.clock, batches=True)
        self._settle_unlinked(report)
        plan = make_plan(self.store, self.shops, self.policy, started_at)
        report.new_holds += plan.new_holds
        wanted = None if saved is None else {action.key: action for action in saved}
        gate = Gate(self.store, self.limits, started_at)
        closed = closed_shops(self.store, self.shops)
        planned = [only_open(_only_saved(decision, wanted), closed) for decision in plan.decisions]
        report.new_holds += gate.weigh(planned, self.clock(), whole=saved is None)
        met: set[str] = set()
        for decision in plan.decisions:
            link = self.store.link(decision.link_id)
            if link is None:
                continue
            unsettled = any(
                record.state.is_open for ref in link.members for record in self.store.actions(target=ref)
            )
            stopped = all(
                action.target.shop in closed or gate.stops(action, self.clock()) for action in decision.actions
            )
            if stopped and not unsettled:
                met.update(a.key for a in decision.actions if wanted and _as_saved(a, wanted))
                report.decisions.append(decision)
                continue
            self._link(link, _Course(writer, gate, wanted, met, report))
        if gate.refused or gate.incomplete:
            self._hold_refused(gate, report)
        for shop in report.read - set(report.paused):
            # One that may read but not write is paused anew, under the same hold, at its next write.
            self.store.close_hold(hold_key("unauthorized", f"shop:{shop}"), self.clock(), "the shop takes the key")
        report.waiting = waiting_writes(report.decisions, self.store)
        if wanted is not None:
            left = {link_id for link_id, _ in report.left}
            report.stale = [
                action for key, action in sorted(wanted.items()) if key not in met and action.link_id not in left
            ]
        return report

    def _hold_refused(self, gate: Gate, report: ApplyReport) -> None:
        """A limit was crossed during the run: what is left of that kind becomes one hold, as it stands now."""
        plan = make_plan(self.store, self.shops, self.policy, self.clock())
        closed = closed_shops(self.store, self.shops)
        left = [only_open(decision, closed) for decision in plan.decisions]
        report.new_holds += [*plan.new_holds, *gate.weigh(left, self.clock())]

    def _settle_unlinked(self, report: ApplyReport) -> None:
        """Typed writes on orders without a link: nobody else looks whether they happened."""
        for record in self.store.actions(open_only=True):
            target = record.action.target
            shop = self.shops.get(target.shop)
            if shop is None or self.store.link_of(target) is not None:
                continue
            now_known = settle(self.store, shop, record, self.clock)
            if now_known.state is ActionState.DOUBT and next_look_at(now_known, shop.semantics) is None:
                number, is_new = self.store.open_hold(doubt_hold(now_known), self.clock())
                report.new_holds += [number] if is_new else []

    def _link(self, link: Link, course: _Course) -> None:
        report = course.report
        absent = next((ref.shop for ref in link.members if ref.shop in report.paused), None)
        if absent is not None:
            report.left.append((link.link_id, f"shop {absent} is paused: {report.paused[absent]}"))
            return
        mute = next((ref.shop for ref in link.members if ref.shop in report.silent), None)
        if mute is not None:
            report.left.append((link.link_id, f"shop {mute} does not answer: {report.silent[mute]}"))
            return
        if not self.store.claim(link.members, self.owner, self.clock(), CLAIM_FOR):
            report.left.append((link.link_id, "another ordersync process is working on it"))
            return
        try:
            self._rounds(link, course)
        except Unauthorized as refused:
            report.paused[refused.shop or "?"] = refused.message
            report.left.append((link.link_id, refused.message))
            report.new_holds += self._hold_shop(refused)
        except (Transient, NotFound, Refused, MappingError) as failed:
            report.left.append((link.link_id, str(failed)))
            if isinstance(failed, Transient):
                self._note_silence(failed, report)
        finally:
            self.store.release(self.owner)

    def _note_silence(self, failed: Transient, report: ApplyReport) -> None:
        """One order that cannot be read is one link's trouble; a shop that answers nothing would cost each of its
        links a minute of waiting, and the links of other shops stand behind them."""
        shop = self.shops.get(failed.shop or "")
        if shop is None:
            return
        try:
            shop.connector.check()
        except Transient:
            report.silent[shop.name] = failed.message
        except OrdersyncError:
            return  # it answers; what is wrong is said by whoever asks next

    def _rounds(self, link: Link, course: _Course) -> None:
        report = course.report
        tried: set[str] = set()
        decision: Decision | None = None
        for _ in range(ROUNDS):
            if not self.store.claim(link.members, self.owner, self.clock(), CLAIM_FOR):
                report.left.append((link.link_id, "another ordersync process took it over"))
                return
            decision = self._fresh_decision(link, report)
            due = [
                action for action in decision.actions if action.key not in tried and self._allowed(action, course)
            ]
            if not due:
                break
            action = due[0]
            tried.add(action.key)
            result = course.writer.write(self.shops[action.target.shop], action)
            report.results.append(result)
            if self.on_result is not None:
                self.on_result(result)
            if result.hold is not None and result.hold.code == LIMIT_REACHED:
                course.gate.refused.add(action.kind)
            if result.state is ActionState.EXPIRED and result.hold is None:
                # Proven not done: the next run may try under a new key, this one leaves the link alone.
                report.left.append((link.link_id, result.said))
                break
        else:
            decision = self._fresh_decision(link, report)
        if decision is not None:
            report.decisions.append(decision)

    def _fresh_decision(self, link: Link, report: ApplyReport) -> Decision:
        """Read every member anew, settle what is open there, decide again."""
        for ref in link.members:
            shop = self.shops.get(ref.shop)
            if shop is None:
                continue
            try:
                observe(self.store, shop, ref.order_id)
                report.read.add(ref.shop)
            except MappingError:
                # Parked, it blocks its link; what could not even be parked must not be decided on an old copy.
                if not self.store.parked(ref):
                    raise
            for record in self.store.actions(target=ref, open_only=True):
                settle(self.store, shop, record, self.clock)
        plan = make_plan(self.store, self.shops, self.policy, self.clock(), only=[link.link_id])
        report.new_holds += plan.new_holds
        if plan.decisions:
            return plan.decisions[0]
        return Decision(link_id=link.link_id, ledger=self.store.ledger(link.link_id))

    def _allowed(self, action: Action, course: _Course) -> bool:
        """Within the limits; in a saved plan also the very action, on the very money facts it was planned on."""
        if course.wanted is not None:
            if not _as_saved(action, course.wanted):
                return False
            course.met.add(action.key)
        return paused(self.store, action.target.shop) is None and not course.gate.stops(action, self.clock())

    def _hold_shop(self, refused: OrdersyncError) -> list[str]:
        shop = refused.shop or "?"
        number, is_new = self.store.open_hold(
            Hold(
                key=hold_key("unauthorized", f"shop:{shop}"),
                code="unauthorized",
                subject=f"shop:{shop}",
                message=refused.message,
                next_steps=("ordersync check", f"correct the key of shop {shop}"),
            ),
            self.clock(),
        )
        return [number] if is_new else []


def _as_saved(action: Action, wanted: dict[str, Action]) -> bool:
    planned = wanted.get(action.key)
    return planned is not None and planned.digest == action.digest


def _only_saved(decision: Decision, wanted: dict[str, Action] | None) -> Decision:
    """The part of a decision that a saved plan lets be written."""
    if wanted is None:
        return decision
    kept = tuple(action for action in decision.actions if action.key in wanted)
    return decision.model_copy(update={"actions": kept})


def require_writes(writes_on: bool) -> None:
    """`writes: false` stops every write, by-hand commands too."""
    if not writes_on:
        raise ConfigError(
            "writes are off, so nothing is written to any shop",
            code="writes_off",
            next_step="look at: ordersync plan. To let ordersync write, set writes: true in the configuration",
        )


def age(moment: datetime, now: datetime) -> str:
    """How long ago, for a person: "4 min", "2 h 10 min", "3 d"."""
    minutes = int((now - moment).total_seconds() // 60)
    if minutes < 60:
        return f"{max(minutes, 0)} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{hours // 24} d"
