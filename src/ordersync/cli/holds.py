"""`ordersync holds`: the one inbox of what waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import holds
from ordersync.cli.printing import age, count, plain, say, say_json, say_table, wrapped
from ordersync.cli.run import JsonOption, Run, command
from ordersync.errors import UsageError

if TYPE_CHECKING:
    from ordersync.model import Hold
    from ordersync.store import StoredHold


@command(holds, "list")
def list_holds(
    run: Run,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    json: JsonOption = False,
) -> None:
    """What waits for a person, oldest first.

    --json: {"holds": [{hold, code, subject, message, evidence, next_steps, verbs, money, batch, link, target,
    opened_at, closed_at, closed_because}]}; batch: [{key, kind, target, link_id, fact_id, amount, pays_buyer,
    digest}].
    """
    found = run.store.holds(open_only=not everything)
    if json:
        say_json({"holds": [as_json(one) for one in found]})
        return
    run.names.learn_from(text for one in found for text in (one.hold.message, str(one.hold.target or "")))
    rows = [
        (
            one.number,
            one.hold.code,
            _about(run, one.hold),
            one.hold.money or "",
            "closed" if one.closed_at else age(one.opened_at, run.now),
            run.names.within(one.hold.message),
        )
        for one in found
    ]
    say_table(("HOLD", "REASON", "ABOUT", "MONEY", "OPENED", "WHAT"), rows, empty="nothing waits for a person")
    if found:
        say(f"{count(len(found), 'hold')}. Look at one: ordersync holds show {found[0].number}")


@command(holds, "show")
def show(
    run: Run,
    number: Annotated[str, typer.Argument(metavar="HOLD", help="As listed: H-31.")],
    json: JsonOption = False,
) -> None:
    """One hold: what happened, the evidence, and the commands that go on.

    --json: the keys of `holds list` and "answers": [{verb, who, why, at, expires_at, used_at, …}].
    """
    found = run.store.hold(number)
    if found is None:
        raise UsageError(
            f"there is no hold {plain(number)}",
            code="unknown_hold",
            next_step="see them: ordersync holds list --all",
        )
    if json:
        answers = run.store.resolutions(hold=found.number)
        say_json({**as_json(found), "answers": [answer.model_dump(mode="json") for answer in answers]})
        return
    hold = found.hold
    money = f"  {hold.money}" if hold.money else ""
    state = f"closed: {found.closed_because}" if found.closed_at else f"opened {age(found.opened_at, run.now)}"
    where = f" at {run.names.of(hold.target)}" if hold.target and hold.link_id else ""
    say(f"{found.number}  {hold.code}  {hold.subject}{where}{money}  {state}")
    for line in wrapped(run.names.within(hold.message)):
        say(line)
    for fact in hold.evidence:
        for line in wrapped(run.names.within(fact), "seen    "):
            say(line)
    for step in hold.next_steps:
        for line in wrapped(run.names.within(step), "next    "):
            say(line)
    for line in batch_lines(run, hold):
        say(line)
    for said in _answers(run, found):
        for line in wrapped(said, "answer  "):
            say(line)
    if found.closed_at is None:
        for line, meaning in verb_lines(found):
            typed = line
            if len(typed) > 50:
                say(f"  {typed}")
                typed = ""
            say(f"  {typed:<50}  {meaning}")


def _about(run: Run, hold: Hold) -> str:
    """The link and, where it keeps something from one order of it, that order; else what there is."""
    order = run.names.of(hold.target) if hold.target else None
    return " ".join(filter(None, (hold.link_id, order))) or hold.subject


def _answers(run: Run, found: StoredHold) -> list[str]:
    """One line for each answer; the many rows of an answered batch are one."""
    given = run.store.resolutions(hold=found.number)
    lines: list[str] = []
    if given and found.hold.batch:
        used = sum(1 for answer in given if answer.used_at)
        counted = f"; {used} of {len(given)} used" if given[0].expires_at else ""
    else:
        counted = ""
    for answer in given[:1] if found.hold.batch else given:
        why = f": {answer.why}" if answer.why else ""
        spent = f"; used {age(answer.used_at, run.now)}" if answer.used_at and not counted else counted
        lines.append(f"{answer.verb} by {answer.who} {age(answer.at, run.now)}{why}{spent}")
    return lines


def batch_lines(run: Run, hold: Hold) -> list[str]:
    """Every write of a hold over a batch."""
    lines: list[str] = []
    run.names.learn(one.target for one in hold.batch)
    for one in hold.batch:
        money = f" {one.amount}" + (" TO BUYER" if one.pays_buyer else "") if one.amount else ""
        lines += wrapped(f"{one.link_id or '':<6}  {one.kind} {run.names.of(one.target)}{money}", "        ")
    return lines


def verb_lines(found: StoredHold) -> list[tuple[str, str]]:
    """What can be answered to an open hold: the command, and what it does."""
    from ordersync.model import Verb, verbs_of

    amount = f' --amount "{found.hold.money}"' if found.hold.money else ""
    told = {
        Verb.LOOK: ("", "read it again, always safe"),
        Verb.APPROVE: ("", "let exactly these go" if found.hold.batch else "let exactly this write go"),
        Verb.COMPARE: ("", "take amounts as they are"),
        Verb.DONE: (" --record ID", "it was made: match it"),
        Verb.RESEND: (amount, "look, then send once"),
        Verb.LEAVE: (" --reason TEXT", "accept it as it is"),
    }
    return [
        (f"ordersync holds resolve {found.number} {verb}{told[verb][0]}", told[verb][1])
        for verb in verbs_of(found.hold.code)
    ]


def as_json(one: StoredHold) -> dict[str, Any]:
    from ordersync.model import verbs_of

    hold = one.hold
    return {
        "hold": one.number,
        "code": hold.code,
        "subject": hold.subject,
        "message": hold.message,
        "evidence": list(hold.evidence),
        "next_steps": list(hold.next_steps),
        "verbs": [verb.value for verb in verbs_of(hold.code)] if one.closed_at is None else [],
        "money": hold.money.model_dump() if hold.money else None,
        "batch": [item.model_dump(mode="json") for item in hold.batch],
        "link": hold.link_id,
        "target": {"shop": hold.target.shop, "order_id": hold.target.order_id} if hold.target else None,
        "opened_at": one.opened_at.isoformat(),
        "closed_at": one.closed_at.isoformat() if one.closed_at else None,
        "closed_because": one.closed_because,
    }
