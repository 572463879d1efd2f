"""`ordersync plan` and `ordersync apply`: see every write before it happens, then let exactly it happen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import app
from ordersync.cli.holds import batch_lines
from ordersync.cli.printing import age, count, plain, say, say_json, wrapped
from ordersync.cli.run import JsonOption, Run, command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from ordersync.engine.apply import ApplyReport
    from ordersync.engine.look import Plan
    from ordersync.engine.pausing import Pause
    from ordersync.engine.writes import WriteResult
    from ordersync.model import Action, Money

SHOWN = 40
"""Writes and holds a plan lists without --all."""


@command(app, "plan")
def plan(
    run: Run,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="F", help="Save exactly this plan for apply.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List everything; also what waits and what is skipped, and why.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Show every write that would be made now, and why.

    Reads the store only; writes to no platform.

    --json: {"writes_on", "made_at", "links", "looked", "writes": [{link, kind, target, amount, purse, pays_buyer,
    because, token, key}], "holds": [{link, code, message, money, batch}], "waits": [{code, link_id, target, fact_id,
    message, until}], "skipped": [{link, why}], "new_holds": [numbers], "paused": [{shop, why, writes}]}. What a limit
    stops is in the batch of its hold, not among the writes; so is what waits at a paused shop.
    """
    from ordersync.engine.limiting import stopped_in, weigh_plan
    from ordersync.engine.look import make_plan
    from ordersync.engine.pausing import closed_shops, only_open, waiting_writes
    from ordersync.engine.planfile import save_plan

    settings = run.config.settings
    made = make_plan(run.store, run.shops(offline=True), settings.to_policy(), run.now)
    waiting = waiting_writes(made.decisions, run.store)
    closed = closed_shops(run.store, settings.shops)
    may_go = [only_open(decision, closed) for decision in made.decisions]
    weighed, new = weigh_plan(run.store, may_go, settings.to_limits(), made.made_at)
    made.new_holds += new
    made.limit_holds += weighed.holds
    stopped = stopped_in(run.store, weighed, may_go, made.made_at)
    actions = [action for decision in may_go for action in decision.actions if action.key not in stopped]
    if out is not None:
        save_plan(out, actions, run.store.birth_at, made.made_at)
    if json:
        say_json({**_plan_json(made, actions, writes_on=settings.writes), "paused": _paused_json(waiting)})
        return 3 if made.new_holds else 0
    switch = "Writes are ON." if settings.writes else "Writes are OFF."
    for line in wrapped(f"Read: {_freshness(run)}. {switch}"):
        say(line)
    shown = len(actions) if everything else SHOWN
    _say_actions(run, actions[:shown])
    _say_more("write", [action.kind.value for action in actions[shown:]])
    _say_waiting(run, waiting)
    _say_rest(run, made, everything=everything)
    _say_limits(run, actions)
    if out is not None:
        say(f"Nothing was written. Apply exactly this: ordersync apply {out}")
    elif actions:
        say("Nothing was written. Apply exactly this: ordersync plan --out F, then apply F")
    elif waiting or stopped:
        say("Nothing was written: what is due waits for you.")
    else:
        say("Nothing was written: there is nothing to write.")
    return 3 if made.new_holds else 0


@command(app, "apply")
def apply(
    run: Run,
    file: Annotated[Path | None, typer.Argument(metavar="F", help="A saved plan; only its valid parts.")] = None,
    json: JsonOption = False,
) -> int:
    """Make the writes that are due, each once, and read them back.

    Every link is read anew and decided again before anything is written there.

    Needs `writes: true`. With a saved plan only what is still exactly as planned is written, and the rest is named.

    --json: {"writes": [{state, said, kind, target, amount, pays_buyer, token, hold}], "left": [{link, why}],
    "stale": [as planned], "paused": [{shop, why, writes}], "new_holds": [numbers], "agree": [links it worked on that
    agree now]}.
    """
    from ordersync.engine.apply import Applier, require_writes
    from ordersync.engine.planfile import load_plan
    from ordersync.engine.sentlog import SentLog

    settings = run.config.settings
    require_writes(settings.writes)
    saved = None if file is None else load_plan(file, run.store.birth_at)
    run_id = run.store.run_started("apply", run.now)
    applier = Applier(
        run.store,
        run.shops(),
        settings.to_policy(),
        settings.to_limits(),
        SentLog.beside(run.config.store_url),
        on_result=None if json else lambda result: _say_result(run, result),
    )
    report = applier.run(saved)
    code = _apply_code(report)
    run.store.run_finished(run_id, run.now, "done" if code == 0 else "left", {"writes": len(report.results)})
    if json:
        say_json(_apply_json(report))
        return code
    for link_id, why in report.left:
        say(f"left      {link_id}: {run.names.within(why)}")
    for action in report.stale:
        for line in wrapped(_why_stale(run, action), f"stale     {action.kind} {run.names.of(action.target)}: "):
            say(line)
    _say_waiting(run, report.waiting)
    _say_limited(run)
    _say_outcome(run, report)
    if report.new_holds:
        say(f"New holds: {', '.join(report.new_holds)}. Look: ordersync holds show {report.new_holds[0]}")
    return code


def _say_waiting(run: Run, waiting: list[tuple[Pause, list[Action]]]) -> None:
    for pause, actions in waiting:
        shop = actions[0].target.shop
        for line in wrapped(
            run.names.within(f"{count(len(actions), 'write')} to {shop} not made: {pause.sentence}"), "paused  "
        ):
            say(line)
        say(f"        to go on: {pause.until}")


def _paused_json(waiting: list[tuple[Pause, list[Action]]]) -> list[dict[str, Any]]:
    return [
        {"shop": actions[0].target.shop, "why": pause.sentence, "writes": [_action_json(a) for a in actions]}
        for pause, actions in waiting
    ]


def _say_limited(run: Run) -> None:
    """What the limits stopped, and the one answer that lets it go."""
    for held in (one for one in run.store.holds() if one.hold.batch):
        for line in wrapped(run.names.within(held.hold.message), f"held {held.number}: "):
            say(line)
        say(f"  ordersync holds resolve {held.number} approve   lets exactly these go")


def _why_stale(run: Run, action: Action) -> str:
    from ordersync.model import ActionState

    record = run.store.action(action.key)
    if record is not None and record.state in (ActionState.SEEN, ActionState.RECEIPTED):
        return "written already, by an earlier apply; not written again"
    return "no longer as it was planned; not written"


def _why_nothing(report: ApplyReport) -> str:
    if any(decision.actions for decision in report.decisions):
        return "what is due is not as it was planned" if report.stale else "what is due waits for you"
    return f"{'nothing else' if report.left else 'nothing'} is due"


def _say_outcome(run: Run, report: ApplyReport) -> None:
    links = run.store.link_count()
    away = {decision.link_id for decision in report.decisions if not decision.agrees}
    away |= {link_id for link_id, _ in report.left}
    agree = f"{links - len(away)} of {count(links, 'link')} agree"
    if not report.results:
        say(f"Nothing was written: {_why_nothing(report)}. {agree}.")
        return
    unsure = len(report.results) - len(report.done)
    not_done = f", {unsure} not" if unsure else ""
    say(f"{count(len(report.done), 'write')} confirmed by reading back{not_done}; {agree}.")


def _apply_code(report: ApplyReport) -> int:
    from ordersync.model import ActionState

    if report.new_holds or report.paused or any(r.hold or r.state is ActionState.REFUSED for r in report.results):
        return 3
    # In doubt, it is looked for by the next runs; a person is asked once that was in vain.
    again = (ActionState.EXPIRED, ActionState.DOUBT)
    return 1 if report.left or any(r.state in again for r in report.results) else 0


def _say_result(run: Run, result: WriteResult) -> None:
    action = result.action
    amount = f" {action.amount}" if action.amount else ""
    for line in wrapped(plain(result.said), f"{action.kind} {run.names.of(action.target)}{amount}: "):
        say(line)


def _say_actions(run: Run, actions: Sequence[Action]) -> None:
    run.names.learn(action.target for action in actions)
    run.names.learn_from(action.because for action in actions)
    for number, action in enumerate(actions, 1):
        _say_action(run, number, action)


def _say_more(what: str, kinds: Iterable[str]) -> None:
    """What a long plan does not list: a thousand lines are read by nobody."""
    left = Counter(kinds)
    if left:
        parts = ", ".join(f"{kind} {number}" for kind, number in sorted(left.items()))
        for line in wrapped(f"... and {count(left.total(), f'more {what}')}: {parts} (--all lists them)"):
            say(line)


def _say_action(run: Run, number: int, action: Action) -> None:
    money = ""
    if action.amount is not None:
        money = f" {action.amount}" + (" TO BUYER" if action.pays_buyer else ", books" if action.purse else "")
    say(f"{number:>3}  {action.link_id or '':<6}  {action.kind} {run.names.of(action.target)}{money}")
    for line in wrapped(f"because {run.names.within(action.because)}", "             "):
        say(line)


def _say_rest(run: Run, made: Plan, *, everything: bool) -> None:
    holds = [*made.limit_holds, *(hold for decision in made.decisions for hold in decision.holds)]
    waits = _wait_lines(run, made)
    listed = holds if everything else holds[:SHOWN]
    numbers = run.store.hold_numbers([hold.key for hold in listed])
    run.names.learn_from(text for hold in listed for text in (hold.message, str(hold.target or "")))
    for hold in listed:
        where = run.names.of(hold.target) if hold.target and hold.link_id else None
        label = " ".join(filter(None, ("held", numbers.get(hold.key), hold.link_id, where))) + ": "
        for line in wrapped(f"{hold.code}: {run.names.within(hold.message)}", label):
            say(line)
        lines = batch_lines(run, hold)
        for line in lines if everything else lines[:SHOWN]:
            say(line)
        if len(lines) > SHOWN and not everything:
            say(f"     ... and more: ordersync holds show {numbers.get(hold.key, '')}")
    _say_more("hold", [hold.code for hold in holds[len(listed) :]])
    if everything:
        for link_id, why in waits:
            for line in wrapped(why, f"waits {link_id}: "):
                say(line)
        skipped = list(_all_skipped(run, made))
        for link_id, why in skipped:
            for line in wrapped(run.names.within(why), f"skipped {link_id}: "):
                say(line)
    else:
        skipped = made.skipped
    more = "" if everything or not (waits or skipped) else " (--all)"
    settled = made.links - made.looked
    looked = f"{count(made.links, 'link')}: {made.agree + settled} agree"
    if settled and made.looked:
        looked += f" ({settled} of them unchanged since they did)"
    for line in wrapped(f"{looked}. Held {len(holds)}, waiting {len(waits)}, skipped {len(skipped)}{more}"):
        say(line)


def _all_skipped(run: Run, made: Plan) -> Iterator[tuple[str, str]]:
    """What stays local: on the links the plan looked at, then on those that agree and did not change."""
    from ordersync.engine.look import skipped_where_settled

    yield from made.skipped
    looked = {link_id for link_id, _ in made.skipped}
    settled = skipped_where_settled(
        run.store, run.shops(offline=True), run.config.settings.to_policy(), made.made_at
    )
    yield from (one for one in settled if one[0] not in looked)


def _wait_lines(run: Run, made: Plan) -> list[tuple[str, str]]:
    """(link, why) of every wait, each once: several writes may wait for the same thing."""
    lines: dict[tuple[str, str], None] = {}
    for wait in (wait for decision in made.decisions for wait in decision.waits):
        until = f" (until {wait.until:%Y-%m-%d %H:%M} UTC)" if wait.until else ""
        lines[wait.link_id, run.names.within(wait.message) + until] = None
    return list(lines)


def _say_limits(run: Run, actions: list[Action]) -> None:
    from ordersync.model import ActionKind

    if not actions:
        return
    limits = run.config.settings.to_limits().run
    refunds = [a for a in actions if a.kind is ActionKind.REFUND]
    cancels = sum(1 for a in actions if a.kind is ActionKind.CANCEL)
    parts = [f"refunds {len(refunds)} of {limits.refund} a run", f"cancels {cancels} of {limits.cancel}"]
    for currency, minor in sorted(_sums(a.amount for a in refunds if a.amount).items()):
        from ordersync.model import Money

        planned = Money(amount_minor=minor, currency=currency)
        bound = Money(amount_minor=limits.value_limit(currency), currency=currency)
        parts.append(f"{planned} of {bound} refunded")
    for line in wrapped("Limits: " + "; ".join(parts) + "."):
        say(line)


def _sums(amounts: Iterable[Money]) -> dict[str, int]:
    result: dict[str, int] = {}
    for amount in amounts:
        result[amount.currency] = result.get(amount.currency, 0) + amount.amount_minor
    return result


def last_read(run: Run, shop: str) -> datetime | None:
    """When the shop was last read whole, by the feed that is furthest behind: what is older was seen.

    None until every feed was read to its end once. A pass that did not reach its end does not count.
    """
    oldest: datetime | None = None
    for feed in run.shop(shop, offline=True).connector.feeds:
        position = run.store.position(shop, feed.name)
        if position is None:
            return None
        seen = position.started_at if position.cursor is None else position.watermark
        if seen is None:
            return None
        oldest = seen if oldest is None else min(oldest, seen)
    return oldest


def _freshness(run: Run) -> str:
    now = run.now
    return ", ".join(f"{shop} {age(last_read(run, shop), now)}" for shop in run.config.settings.shops)


def _plan_json(made: Plan, actions: list[Action], *, writes_on: bool) -> dict[str, Any]:
    return {
        "writes_on": writes_on,
        "made_at": made.made_at.isoformat(),
        "links": made.links,
        "looked": made.looked,
        "writes": [_action_json(action) for action in actions],
        "holds": [
            {
                "link": hold.link_id,
                "code": hold.code,
                "message": hold.message,
                "money": hold.money.model_dump() if hold.money else None,
                "batch": [one.model_dump(mode="json") for one in hold.batch],
            }
            for hold in [*made.limit_holds, *(hold for d in made.decisions for hold in d.holds)]
        ],
        "waits": [wait.model_dump(mode="json") for d in made.decisions for wait in d.waits],
        "skipped": [{"link": link_id, "why": why} for link_id, why in made.skipped],
        "new_holds": made.new_holds,
    }


def _action_json(action: Action) -> dict[str, Any]:
    return {
        "link": action.link_id,
        "kind": action.kind.value,
        "target": {"shop": action.target.shop, "order_id": action.target.order_id},
        "amount": action.amount.model_dump() if action.amount else None,
        "parcel": action.parcel.model_dump() if action.parcel else None,
        "purse": action.purse.value if action.purse else None,
        "pays_buyer": action.pays_buyer,
        "because": action.because,
        "token": action.token,
        "key": action.key,
    }


def _apply_json(report: ApplyReport) -> dict[str, Any]:
    from ordersync.cli.byhand import result_json

    return {
        "writes": [result_json(result) for result in report.results],
        "left": [{"link": link_id, "why": why} for link_id, why in report.left],
        "stale": [_action_json(action) for action in report.stale],
        "paused": _paused_json(report.waiting),
        "new_holds": report.new_holds,
        "agree": [d.link_id for d in report.decisions if d.agrees],
    }
