"""`ordersync demo --sales N`: a full simulated day in three sandbox shops, hour by hour, and a referee at its end."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ordersync.cli.printing import count, plain, say, wrapped
from ordersync.cli.run import Run

if TYPE_CHECKING:
    from ordersync.engine.look import Plan
    from ordersync.engine.shops import Shop
    from ordersync.store import Store, StoredHold
    from ordersync.testing.day.lists import Lists
    from ordersync.testing.day.persons import DayClock
    from ordersync.testing.day.referee import HeldSale, Verdict
    from ordersync.testing.day.story import DayStory
    from ordersync.testing.sandbox import FaultKind

LABEL = 9
BEFORE_NOW = timedelta(hours=40)
"""The day lies in the past, so that the store it leaves holds no dates ahead of the clock."""
REST = timedelta(minutes=30)
"""Between what persons do and the look at it: most of it is then old enough to be carried."""
QUIET_HOURS = 3
"""Hours without persons at the end: what was not carried for its age or a visibility lag is carried now."""
SURPRISES_SHOWN = 20
BAD_ANSWERS: tuple[FaultKind, ...] = ("500_after", "cut_after", "torn_body")
"""The write is made all the same. One that is not made, or later, meets what persons do meanwhile and is rightly
held: no referee could say beforehand which."""


@dataclass(slots=True)
class FullDay:
    run: Run
    story: DayStory
    sandboxes: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    """Of each sandbox, as it states them: to read its lists without a connector."""
    clock: DayClock
    writes: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unclear: int = 0
    """Writes whose answer said nothing or an error although they were made."""
    surprises: list[str] = field(default_factory=list)

    def play(self, folder: Path) -> int:
        """0 when the day ended as the referee says, else 1."""
        started = time.monotonic()
        story = self.story
        _step(
            "day",
            f"{count(len(story.sales), 'sale')}, each in 2 or 3 shops, from {story.start:%Y-%m-%d %H:%M} UTC",
        )
        while not story.ended:
            self._hour(story.play())
        for _ in range(QUIET_HOURS):
            self.clock.move_to(self.clock.at + timedelta(hours=1))
            self._hour(0)
        _step("", f"the day took {time.monotonic() - started:.0f} s; {story.book.deeds} things done by persons")
        holds = self._last_look()
        verdict = self._judge(holds)
        self._lost_database(folder)
        return self._conclude(verdict, holds, folder)

    @property
    def shops(self) -> dict[str, Shop]:
        return self.run.shops()

    def _read(self, store: Store) -> int:
        """Pull every shop and follow the link rules; orders that are new or changed."""
        from ordersync.engine.linking import link_by_rules
        from ordersync.engine.pull import pull

        settings = self.run.config.settings
        changed = 0
        for shop in self.shops.values():
            report = pull(store, shop, read_from=settings.read_from, now=self.clock())
            changed += report.new + report.changed
        link_by_rules(store, settings.to_rules(), self.clock())
        return changed

    def _plan(self, store: Store) -> Plan:
        from ordersync.engine.look import make_plan

        return make_plan(store, self.shops, self.run.config.settings.to_policy(), self.clock())

    def _hour(self, deeds: int) -> None:
        """Read, link, plan, apply, as cron would once an hour."""
        from ordersync.engine.apply import Applier
        from ordersync.engine.sentlog import SentLog
        from ordersync.model import ActionState

        self.clock.move_to(self.clock.at + REST)
        if deeds:
            self._bad_moment()
        settings, store = self.run.config.settings, self.run.store
        changed = self._read(store)
        due = sum(len(decision.actions) for decision in self._plan(store).decisions)
        log = SentLog.beside(self.run.config.store_url)
        applier = Applier(store, self.shops, settings.to_policy(), settings.to_limits(), log, clock=self.clock)
        report = applier.run()
        self.writes.update(result.action.kind.value for result in report.done)
        # What was refused is held: the referee says at the end whether it should be.
        self.refused += sum(result.state is ActionState.REFUSED for result in report.results)
        self.unclear += sum("looked again" in result.said for result in report.results)
        self.surprises += [
            f"{result.action.kind} {result.action.target} was not made: {result.said}"
            for result in report.results
            if result.state is ActionState.EXPIRED
        ]
        if deeds or due or report.results:
            _step(
                f"{self.clock.at:%H:%M}",
                f"{deeds:>3} by persons, {changed:>3} orders changed, {due:>3} writes planned, "
                f"{len(report.done):>3} applied",
            )

    def _bad_moment(self) -> None:
        """Once an hour a shop answers one write badly: it acts, and says an error, half an answer or nothing."""
        from ordersync.testing.sandbox import Fault

        kind = BAD_ANSWERS[self.story.hour % len(BAD_ANSWERS)]
        shops = sorted(self.sandboxes)
        box = self.sandboxes[shops[self.story.hour // len(BAD_ANSWERS) % len(shops)]]
        box.clear_faults()
        box.add_fault(Fault(kind, method="POST", path=r"refund|cancel|fulfillments|ship"))

    def _last_look(self) -> list[StoredHold]:
        """`plan` after `apply` is empty, no wait is left, and every hold is explained."""
        store = self.run.store
        changed = self._read(store)
        plan = self._plan(store)
        due = [action for decision in plan.decisions for action in decision.actions]
        waits = [wait for decision in plan.decisions if not decision.holds for wait in decision.waits]
        self.surprises += [f"after the last apply a {a.kind} of {a.target} is still planned" for a in due]
        self.surprises += [f"at the end still waits: {wait.code} {wait.message}" for wait in waits]
        _step("plan", f"after apply: {changed} orders changed, {len(due)} writes, {len(waits)} waits")
        holds = store.holds()
        self.surprises += [
            f"{held.number} {held.hold.code}: {why}" for held in holds if (why := self._unclear(held))
        ]
        return holds

    def _unclear(self, held: StoredHold) -> str | None:
        """What `orders explain` leaves open about a hold; None when it says why and what to type."""
        from ordersync.engine.explain import explain

        store = self.run.store
        link = store.link(held.hold.link_id) if held.hold.link_id else None
        if link is None:
            return "it is about no sale"
        policy = self.run.config.settings.to_policy()
        for ref in link.members:
            found = explain(store, self.shops, policy, ref, self.clock.at)
            shown = [one for one in found.open_holds if one.number == held.number]
            if not shown:
                return f"explain {ref} does not name it"
            if not shown[0].hold.message or not any("ordersync" in step for step in shown[0].hold.next_steps):
                return "it does not say why, or no command to type"
        return None

    def _judge(self, holds: list[StoredHold]) -> Verdict:
        from ordersync.testing.day.lists import read_list
        from ordersync.testing.day.referee import HeldSale, judge

        number_of = {
            (shop, order_id): sale.spec.number for sale in self.story.sales for shop, order_id in sale.ids.items()
        }
        lists = {name: read_list(box.platform, self.settings[name]) for name, box in self.sandboxes.items()}
        held: dict[int, list[HeldSale]] = {}
        for stored in holds:
            hold = stored.hold
            link = self.run.store.link(hold.link_id) if hold.link_id else None
            ref = hold.target or (link.members[0] if link else None)
            number = number_of.get((ref.shop, ref.order_id)) if ref else None
            text = " ".join((hold.message, *hold.evidence))
            shop = hold.target.shop if hold.target else None
            if number is None:
                self.surprises.append(f"{stored.number} {hold.code} is about no sale of the day: {text}")
            else:
                held.setdefault(number, []).append(HeldSale(stored.number, hold.code, text, shop))
        verdict = judge(self.story.sales, lists, held)
        self.surprises += verdict.surprises
        self._compare_ledger(lists)
        self._compare_calls(verdict)
        return verdict

    def _compare_ledger(self, lists: Lists) -> None:
        """Every refund and parcel the ledger counts is in its shop's list, each once; on a sale without a hold the
        ledger counts every refund there is."""
        store = self.run.store
        held = {stored.hold.link_id for stored in store.holds()}
        for sale in self.story.sales:
            link = self._link_of(sale.ids)
            if link is None:
                self.surprises.append(f"sale {sale.spec.number} ({sale.fate}): its orders are not one link")
                continue
            rows = store.ledger(link).rows
            for shop, order_id in sale.ids.items():
                shown = lists[shop][order_id]
                cells = [(row, cell) for row in rows for cell in row.cells if cell.member == (shop, order_id)]
                counted = Counter(
                    record for row, cell in cells if row.fact.kind == "refund" for record in cell.record_ids
                )
                there = {record for record, refund in shown.refunds.items() if refund.state != "failed"}
                wrong = {record for record, times in counted.items() if times > 1 or record not in there}
                if link not in held:
                    wrong |= there - counted.keys()
                if wrong:
                    self.surprises.append(
                        f"sale {sale.spec.number} ({sale.fate}): ledger and {shop} differ: {wrong}"
                    )

    def _link_of(self, ids: dict[str, str]) -> str | None:
        from ordersync.model import OrderRef

        links = {
            link.link_id if (link := self.run.store.link_of(OrderRef(shop, order_id))) else None
            for shop, order_id in ids.items()
        }
        return links.pop() if len(links) == 1 else None

    def _compare_calls(self, verdict: Verdict) -> None:
        """The shops' own logs: no refund without a call for it, and as many as calls were accepted or ended badly."""
        boxes = self.sandboxes.values()
        asked = sum(len(box.requests("POST", "refund")) for box in boxes)
        accepted = sum(
            method == "POST" and "refund" in path and status < 300
            for box in boxes
            for method, path, status in box.log_answers
        )
        if not accepted <= verdict.copies <= asked:
            self.surprises.append(
                f"{verdict.copies} refunds are copies; {asked} calls for one came, {accepted} were accepted"
            )

    def _lost_database(self, folder: Path) -> None:
        """A new, empty database reads everything again: it must want to write nothing."""
        from ordersync.store import Store

        with Store.open(f"sqlite:///{folder / 'ordersync.lost.db'}", now=self.clock()) as empty:
            orders = self._read(empty)
            plan = self._plan(empty)
            due = [action for decision in plan.decisions for action in decision.actions]
            _step(
                "lost",
                f"the database deleted and {orders} orders read again: {count(len(due), 'write')} planned, "
                f"{count(len(empty.holds()), 'hold')}",
            )
        self.surprises += [f"without its database it would {a.kind} {a.target}" for a in due]

    def _conclude(self, verdict: Verdict, holds: list[StoredHold], folder: Path) -> int:
        done = ", ".join(f"{number} {kind}" for kind, number in sorted(self.writes.items()))
        _step("apply", f"{sum(self.writes.values())} writes in all: {done}")
        _step(
            "",
            f"{self.unclear} of them after doubt, {self.refused} refused by a shop",
        )
        sales = len(self.story.sales)
        _step(
            "held",
            f"{count(verdict.held, 'sale')} of {sales} ({100 * verdict.held / sales:.1f} %), each explained:",
        )
        for code, number in sorted(Counter(stored.hold.code for stored in holds).items()):
            _step("", f"  {number:>3} {code}")
        _step("buyers", f"got back {verdict.paid_minor / 100:,.2f} USD at asia, as persons meant it")
        _step(
            "proof",
            f"the shops' own lists: {verdict.refunds} refunds ({verdict.copies} carried), {verdict.cancels} "
            f"cancelled orders, {verdict.parcels} parcels that left",
        )
        if self.surprises:
            _step("", f"NOT as it should be: {count(len(self.surprises), 'surprise')}")
            for surprise in self.surprises[:SURPRISES_SHOWN]:
                _step("", f"  {plain(surprise)}")
            if len(self.surprises) > SURPRISES_SHOWN:
                _step("", f"  and {len(self.surprises) - SURPRISES_SHOWN} more")
            return 1
        _step("", "0 surprises: lists, ledger and referee agree; nothing was done twice or missed")
        say(f"Look inside:  cd {folder}; then holds list, orders explain REF, status")
        return 0


def play_day(run: Run, seed: int, sales: int, folder: Path) -> int:
    """Start the shops with a clock of their own, and let a day pass."""
    from ordersync.cli.demo import make_demo_sandboxes, write_demo_config
    from ordersync.store import Store
    from ordersync.testing.day.persons import DayClock
    from ordersync.testing.day.story import make_day
    from ordersync.testing.sandbox import SandboxServer

    clock = DayClock(datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - BEFORE_NOW)
    with ExitStack() as stack:
        sandboxes = make_demo_sandboxes(seed, clock)
        servers = {name: stack.enter_context(SandboxServer(made)) for name, made in sandboxes.items()}
        day_run = Run(write_demo_config(folder, sandboxes, servers, _acting()), debug=run.debug)
        stack.callback(day_run.close)
        Store.open(day_run.config.store_url, now=clock()).close()
        clock.move_to(clock.at + timedelta(minutes=1))
        story = make_day(seed, sales, sandboxes, clock)
        settings = {name: made.settings_for(servers[name]) for name, made in sandboxes.items()}
        return FullDay(day_run, story, sandboxes, settings, clock).play(folder)


def _acting() -> dict[str, Any]:
    """Every shop's word counts, and limits are far away: the day is about what is carried, not about limits."""
    from ordersync.testing.day.story import RULES

    wide = {"cancel": 100_000, "refund": 100_000, "refund_value": ["100000000.00 USD"]}
    return {
        "links": [dict(rule) for rule in RULES],
        "policy": {kind: {"from": "any"} for kind in ("cancel", "refund", "fulfill", "progress")},
        "limits": {"run": wide, "day": wide},
    }


def _step(label: str, text: str) -> None:
    for line in wrapped(text, f"{label:<{LABEL}}"):
        say(line)
