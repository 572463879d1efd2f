"""`ordersync links suggest` and `links adopt`: links and rules proposed from what is stored."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import links
from ordersync.cli.printing import WIDTH, cells, count, say, say_json, say_table, wrapped
from ordersync.cli.run import JsonOption, Run, YesOption, command
from ordersync.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordersync.engine.propose import RuleProposal
    from ordersync.engine.suggest import Suggestion, Suggestions
    from ordersync.model import OrderRef

NAMED_MAX = 12
"""Orders of one ambiguous group that are named; --json has them all."""
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Show at most N of each kind.")]


@command(links, "suggest")
def suggest_links(
    run: Run,
    shop: Annotated[
        list[str] | None, typer.Option("--shop", metavar="S", help="Only these shops; repeat.")
    ] = None,
    min_score: Annotated[int, typer.Option("--min-score", metavar="N", help="Only pairs of this score.")] = 50,
    limit: LimitOption = 20,
    json: JsonOption = False,
) -> int:
    """Propose links and link rules from the orders in the store.

    Links nothing and writes to no shop. Orders of two shops are scored by total and currency, buyer, items and time,
    0 to 100; where two candidates are about as good, neither is suggested. One order that is several of another shop
    becomes a hold: split_sale, duplicate_mirror.

    --json: {"suggestions": [{suggestion, score, members, evidence, joins}], "more", "ambiguous": [{score, members}],
    "holds", "new_holds", "orders", "crowded", "rules": [{from, field, strip, to, orders, named, zero, twice,
    disagree, configured, needed}]}.
    """
    from ordersync.engine.propose import propose
    from ordersync.engine.suggest import chosen, hold_them, suggest

    shops = _shops(run, shop)
    found = suggest(run.store, shops)
    pairs = chosen(found, (), min_score)
    rules = propose(run.store, shops, run.config.settings.to_rules())
    new_holds = hold_them(run.store, found, run.now) if not shop else []
    if json:
        say_json(
            {
                "suggestions": [_as_json(one) for one in pairs[:limit]],
                "more": len(pairs) > limit,
                "ambiguous": [
                    {"score": one.points, "members": _members(one.members)} for one in found.ambiguous[:limit]
                ],
                "holds": [
                    {"code": one.code, "subject": one.subject, "message": one.message} for one in found.holds
                ],
                "new_holds": new_holds,
                "orders": found.orders,
                "crowded": found.crowded,
                "rules": [_rule_as_json(one) for one in rules],
            }
        )
        return 3 if new_holds else 0
    _say_rules(rules)
    _say_pairs(run, found, pairs, limit)
    if new_holds:
        say(f"New holds: {', '.join(new_holds[:8])}{' …' if len(new_holds) > 8 else ''}. ordersync holds list")
    return 3 if new_holds else 0


@command(links, "adopt")
def adopt_links(
    run: Run,
    suggestions: Annotated[
        list[str] | None, typer.Argument(metavar="SUGGESTION…", help="As listed: s-k4t2qa7b.")
    ] = None,
    min_score: Annotated[
        int | None, typer.Option("--min-score", metavar="N", help="Every suggestion of at least this score.")
    ] = None,
    shop: Annotated[
        list[str] | None, typer.Option("--shop", metavar="S", help="Only these shops; repeat.")
    ] = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Make suggested links: shows how many, and makes them with --yes.

    What is suggested is worked out again from the store as it is now. All of them are made, or none.

    --json: {"adopted", "by_score", "by_shops", "links": [{link, members}]}; "links" is empty without --yes.
    """
    from ordersync.engine.suggest import adopt, chosen, suggest

    if bool(suggestions) == (min_score is not None):
        raise UsageError(
            "say which: numbers of suggestions, or --min-score",
            code="nothing_chosen",
            next_step="see them: ordersync links suggest",
        )
    found = suggest(run.store, _shops(run, shop))
    accepted = chosen(found, suggestions or (), min_score)
    made = adopt(run.store, accepted, run.now) if yes and accepted else []
    by_score = Counter(one.points for one in accepted)
    by_shops = Counter(" = ".join(ref.shop for ref in one.members) for one in accepted)
    if json:
        say_json(
            {
                "adopted": bool(made),
                "by_score": {str(points): by_score[points] for points in sorted(by_score, reverse=True)},
                "by_shops": dict(sorted(by_shops.items())),
                "links": [{"link": link.link_id, "members": _members(link.members)} for link in made],
            }
        )
        return
    if not accepted:
        say("nothing is suggested with that score; see what is: ordersync links suggest")
        return
    say_table(("SHOPS", "LINKS"), sorted(by_shops.items()), empty="")
    say_table(("SCORE", "LINKS"), sorted(by_score.items(), reverse=True), empty="")
    if made:
        say(f"{count(len(made), 'link')} made. See what follows: ordersync plan")
    else:
        say(f"{count(len(accepted), 'link')} would be made; nothing was. Make them: the same command with --yes")


def _shops(run: Run, only: list[str] | None) -> list[str]:
    known = list(run.config.settings.shops)
    for name in only or ():
        if name not in known:
            raise UsageError(f"there is no shop {name!r}", next_step=f"shops are {', '.join(known)}")
    wanted = [name for name in known if not only or name in only]
    if len(wanted) < 2:
        raise UsageError(
            "links join orders of two shops", code="one_shop", next_step=f"name two; shops are {', '.join(known)}"
        )
    return wanted


def _say_rules(rules: Iterable[RuleProposal]) -> None:
    new = [one for one in rules if one.needed and not one.configured]
    for one in rules:
        if one.configured:
            named = f"{one.source}.{one.field} names {one.to_shop}.{one.to_field}: {one.counts}"
            for line in wrapped(named, "rule in use: "):
                say(line)
    if new:
        say("Rules that would link by themselves; paste into the configuration what is true:")
        say("links:")
        for one in new:
            say(one.as_yaml())
        say()


def _say_pairs(run: Run, found: Suggestions, pairs: list[Suggestion], limit: int) -> None:
    say("SUGGESTION  SCORE  ORDERS" if pairs else "no pair of orders is suggested")
    for one in pairs[:limit]:
        line, why = _names(run, one.members, " = "), ", ".join(one.evidence)
        line = f"{one.number:<10}  {one.points:>5}  {line}"
        if cells(line) + len(why) + 3 <= WIDTH:
            say(f"{line}   {why}")
        else:
            say(line)
            say(f"{'':<19}{why}")
    if len(pairs) > limit:
        say(f"and {len(pairs) - limit:,} more (--limit)")
    if found.ambiguous:
        say(f"{count(len(found.ambiguous), 'group')} of orders ambiguous, for you to decide:")
        for group in found.ambiguous[:limit]:
            for line in wrapped(_names(run, group.members, ", "), f"  {group.points:>3}  "):
                say(line)
        if len(found.ambiguous) > limit:
            say(f"  and {len(found.ambiguous) - limit:,} more (--limit)")
    codes = Counter(one.code for one in found.holds)
    if codes:
        said = ", ".join(f"{code} {number:,}" for code, number in sorted(codes.items()))
        say(f"Never linked, held: {said}")
    if found.crowded:
        say(f"{count(found.crowded, 'order')} with too many equal ones to compare them all")
    if pairs:
        say(f"Same total each. Make one: ordersync links adopt {pairs[0].number}")
        say("Make many, counted first: ordersync links adopt --min-score 90")


def _names(run: Run, refs: Iterable[OrderRef], joined: str) -> str:
    known = list(refs)
    more = [f"and {len(known) - NAMED_MAX} more"] if len(known) > NAMED_MAX else []
    return joined.join([*(run.names.of(ref) for ref in known[:NAMED_MAX]), *more])


def _as_json(one: Suggestion) -> dict[str, Any]:
    return {
        "suggestion": one.number,
        "score": one.points,
        "members": _members(one.members),
        "evidence": list(one.evidence),
        "joins": None if one.joins is None else f"L{one.joins}",
    }


def _members(refs: Iterable[OrderRef]) -> list[dict[str, str]]:
    return [{"shop": ref.shop, "order_id": ref.order_id} for ref in refs]


def _rule_as_json(one: RuleProposal) -> dict[str, Any]:
    found = one.accuracy
    return {
        "from": one.source,
        "field": one.field,
        "strip": one.strip,
        "to": f"{one.to_shop}.{one.to_field}",
        "orders": found.orders,
        "named": found.named,
        "zero": found.zero,
        "twice": found.twice,
        "disagree": found.disagree,
        "configured": one.configured,
        "needed": one.needed,
    }
