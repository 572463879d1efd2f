"""`ordersync holds resolve`: answer one hold, or every hold of one reason after a preview."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import holds
from ordersync.cli.byhand import exit_code, parse_money, result_json
from ordersync.cli.printing import count, plain, say, say_json, warn, wrapped
from ordersync.cli.run import JsonOption, Run, command
from ordersync.errors import OrdersyncError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.engine.resolving import Reply, Resolved, Resolver
    from ordersync.model import Verb
    from ordersync.store import StoredHold

READ_LATELY = timedelta(minutes=15)
TOLD_EVERY = 200


@command(holds, "resolve")
def resolve(
    run: Run,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[HOLD] VERB", help="H-31 and one of look, leave, approve, compare, done, resend."),
    ],
    code: Annotated[
        str | None, typer.Option("--code", metavar="C", help="Every open hold of this reason, instead of HOLD.")
    ] = None,
    link: Annotated[
        str | None, typer.Option("--link", metavar="L", help="With --code: only of this link.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; `leave` needs it, and it is kept.")
    ] = None,
    record: Annotated[
        str | None, typer.Option("--record", metavar="ID", help="done: the shop's refund that it is.")
    ] = None,
    amount: Annotated[
        str | None, typer.Option("--amount", metavar="M", help='resend: the money once more, as "45.00 USD".')
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --code: do it, not only show what would be done.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Answer a hold; it is looked at anew before anything is done.

    look: read again. leave: accept the difference. approve: let exactly this write go, once. compare: totals differ,
    take amounts as they are. done: a doubtful refund happened, --record says which. resend: it did not happen, send
    it once more (needs `writes: true`).

    --json: {"resolved": [{hold, verb, closed, answered, said, write}], "failed": [{hold, code, message}]}; a preview
    is {"would_resolve": [{hold, link, money}], "verb"}.
    """
    from ordersync.engine.apply import require_writes
    from ordersync.engine.byhand import who_types
    from ordersync.engine.resolving import Reply, Resolver
    from ordersync.engine.sentlog import SentLog
    from ordersync.model import Verb

    number, verb = _parsed(words, code)
    settings = run.config.settings
    if verb is Verb.RESEND:
        require_writes(settings.writes)
    reply = Reply(verb, who_types(), why=reason, record=record, amount=parse_money(amount))
    resolver = Resolver(
        run.store,
        run.shops(),
        settings.to_policy(),
        settings.to_limits(),
        SentLog.beside(run.config.store_url),
    )
    if number is None:
        return _bulk(run, resolver, reply, str(code), link, yes=yes, json=json)
    resolved = resolver.resolve(number, reply)
    if json:
        say_json({"resolved": [_json(resolved, verb)], "failed": []})
    else:
        for line in wrapped(run.names.within(resolved.said), f"{resolved.number}: "):
            say(line)
    if resolved.result is not None:
        return exit_code(resolved.result)
    return 0 if resolved.closed else 3


def _parsed(words: Sequence[str], code: str | None) -> tuple[str | None, Verb]:
    """(hold or None for --code, verb)."""
    from ordersync.model import VERBS, Verb, verbs_of

    shape = "ordersync holds resolve H-31 VERB, or: ordersync holds resolve --code C VERB"
    if len(words) != (2 if code is None else 1):
        raise UsageError("name one hold and one verb, or one verb with --code", code="bad_reply", next_step=shape)
    try:
        verb = Verb(words[-1].lower())
    except ValueError:
        raise UsageError(
            f"{plain(words[-1])!r} is no verb", code="unknown_verb", next_step=f"one of: {', '.join(Verb)}"
        ) from None
    if code is None:
        return words[0], verb
    if verb in (Verb.DONE, Verb.RESEND):
        raise UsageError(
            f"{verb} is answered one hold at a time",
            code="not_in_bulk",
            next_step="ordersync holds resolve H-31 done …",
        )
    if verb not in verbs_of(code):
        known = "" if code in VERBS else "; is the reason spelled right? See: ordersync holds list"
        raise UsageError(
            f"{plain(code)} cannot be answered with {verb}{known}",
            code="verb_not_offered",
            next_step=f"one of: {', '.join(verbs_of(code))}",
        )
    return None, verb


def _bulk(
    run: Run, resolver: Resolver, reply: Reply, code: str, link: str | None, *, yes: bool, json: bool
) -> int:
    found = [h for h in run.store.holds() if h.hold.code == code and link in (None, h.hold.link_id)]
    if not found:
        raise UsageError(
            f"no open hold has the reason {plain(code)}" + (f" on link {plain(link)}" if link else ""),
            code="no_such_holds",
            next_step="see them: ordersync holds list",
        )
    if reply.verb == "leave" and not (reply.why or "").strip():
        raise UsageError("accepting differences needs a reason", code="reason_missing", next_step='--reason "why"')
    if not yes:
        return _preview(run, found, reply, json=json)
    resolved: list[Resolved] = []
    failed: list[dict[str, str]] = []
    # Neither moves money now: what is approved is decided on a fresh reading again before it is written.
    quick = (
        replace(resolver, reread_after=READ_LATELY) if reply.verb in ("leave", "approve", "compare") else resolver
    )
    for done, one in enumerate(found, 1):
        try:
            resolved.append(quick.resolve(one.number, reply))
        except OrdersyncError as error:
            failed.append({"hold": one.number, "code": error.code, "message": str(error)})
        if done % TOLD_EVERY == 0:
            warn(f"{done:,} of {count(len(found), 'hold')}")
    if json:
        say_json({"resolved": [_json(r, reply.verb) for r in resolved], "failed": failed})
    else:
        answered = sum(1 for r in resolved if r.answered)
        closed = sum(1 for r in resolved if r.closed and not r.answered)
        still = len(resolved) - answered - closed
        say(f"{count(len(found), 'hold')}: {answered} answered, {closed} closed by looking, {still} still so")
        for lost in failed:
            for line in wrapped(run.names.within(f"{lost['message']} ({lost['code']})"), f"{lost['hold']}: "):
                say(line)
    return 3 if failed or any(not r.closed for r in resolved) else 0


def _preview(run: Run, found: Sequence[StoredHold], reply: Reply, *, json: bool) -> int:
    if json:
        rows = [
            {
                "hold": h.number,
                "link": h.hold.link_id,
                "money": h.hold.money.model_dump() if h.hold.money else None,
            }
            for h in found
        ]
        say_json({"would_resolve": rows, "verb": reply.verb.value})
        return 0
    sums: dict[str, int] = {}
    for one in found:
        if one.hold.money is not None:
            money = one.hold.money
            sums[money.currency] = sums.get(money.currency, 0) + money.amount_minor
    from ordersync.model import Money

    money_text = ", ".join(str(Money(amount_minor=m, currency=c)) for c, m in sorted(sums.items()))
    links = len({h.hold.link_id for h in found if h.hold.link_id})
    about = f" on {count(links, 'link')}" if links else ""
    say(
        f"{reply.verb}: {count(len(found), 'hold')} {found[0].hold.code}{about}"
        + (f", {money_text}" if sums else "")
    )
    for one in found[:10]:
        for line in wrapped(run.names.within(one.hold.message), f"  {one.number}  "):
            say(line)
    if len(found) > 10:
        say(f"  and {len(found) - 10} more: ordersync holds list")
    say("Nothing was done. Each is looked at again first. To do it add --yes")
    return 0


def _json(resolved: Resolved, verb: Verb) -> dict[str, Any]:
    return {
        "hold": resolved.number,
        "verb": verb.value,
        "closed": resolved.closed,
        "answered": resolved.answered,
        "said": resolved.said,
        "write": None if resolved.result is None else result_json(resolved.result),
    }
