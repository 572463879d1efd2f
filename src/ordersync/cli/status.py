"""`ordersync status`: one screen from the store alone; no platform is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordersync.cli.app import app
from ordersync.cli.pause import say_pause, standing_pauses
from ordersync.cli.plan import last_read
from ordersync.cli.printing import age, count, say, say_json, say_table
from ordersync.cli.run import JsonOption, Run, command

if TYPE_CHECKING:
    from datetime import datetime

OPEN_STATES = {
    "intended": "about to be sent",
    "sending": "being sent; if its command was ended, ordersync apply looks whether it happened",
    "doubt": "in doubt, not sent again",
    "receipted": "accepted, not read back yet",
}
"""The journal's words, as a person would say them."""


@command(app, "status")
def status(run: Run, json: JsonOption = False) -> int:
    """Where everything stands, from the store alone.

    Exit 3 while anything waits for a person.

    --json: {"writes_on", "shops": [{shop, orders, parked, read_at, oldest_linked_read_at}], "links",
    "unsettled_links", "waits", "in_doubt", "open_writes": [{target, kind, state}], "holds": {open, by_code},
    "paused": [{shop, why, until}]}.
    """
    oldest = run.store.oldest_unread(run.config.settings.shops)
    facts = _facts(run, oldest)
    if json:
        say_json(facts)
        return 3 if facts["holds"]["open"] else 0
    say(f"{run.config.path}: writes {'ON' if facts['writes_on'] else 'OFF'}")
    for pause in standing_pauses(run):
        say_pause(pause)
    say_table(
        ("SHOP", "ORDERS", "NOT UNDERSTOOD", "LAST READ", "OLDEST LINKED"),
        [
            (
                s["shop"],
                f"{s['orders']:,}",
                s["parked"] or "",
                age(last_read(run, s["shop"]), run.now),
                age(oldest[s["shop"]], run.now) if s["shop"] in oldest else "",
            )
            for s in facts["shops"]
        ],
        empty="no shops",
    )
    say(f"{count(facts['links'], 'link')}, {facts['unsettled_links']} of them not settled (ordersync plan)")
    if facts["waits"] or facts["in_doubt"]:
        say(f"{count(facts['waits'], 'write')} not yet due (plan --all), {facts['in_doubt']} in doubt")
    for write in facts["open_writes"]:
        say(
            f"{write['kind']} {run.names.within(write['target'])}: {OPEN_STATES.get(write['state'], write['state'])}"
        )
    opened = facts["holds"]["open"]
    if opened:
        reasons = ", ".join(f"{code} {number}" for code, number in facts["holds"]["by_code"].items())
        say(f"{count(opened, 'hold')} for you: {reasons}")
        say("Look: ordersync holds list")
        return 3
    say("Nothing waits for a person.")
    return 0


def _facts(run: Run, oldest: dict[str, datetime]) -> dict[str, Any]:
    store = run.store
    held = store.hold_count()
    open_writes = store.actions(open_only=True)
    return {
        "writes_on": run.config.settings.writes,
        "paused": [{"shop": p.shop, "why": p.why, "until": p.until} for p in standing_pauses(run)],
        "shops": [
            {
                "shop": name,
                "orders": store.order_count(name),
                "parked": len(store.parked(shop=name)),
                "read_at": moment.isoformat() if (moment := last_read(run, name)) else None,
                "oldest_linked_read_at": oldest[name].isoformat() if name in oldest else None,
            }
            for name in run.config.settings.shops
        ],
        "links": store.link_count(),
        "unsettled_links": store.dirty_count(),
        "waits": store.waiting(),
        "in_doubt": sum(1 for a in open_writes if a.state.value == "doubt"),
        "open_writes": [
            {"target": str(a.action.target), "kind": a.action.kind.value, "state": a.state.value}
            for a in open_writes
        ],
        "holds": {"open": sum(held.values()), "by_code": held},
    }
