"""`ordersync status`: one screen from the store alone; no platform is asked."""

from __future__ import annotations

from typing import Any

from ordersync.cli.app import app
from ordersync.cli.plan import last_read
from ordersync.cli.printing import age, count, say, say_json, say_table
from ordersync.cli.run import JsonOption, Run, command

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

    --json: {"writes_on", "shops": [{shop, orders, parked, read_at}], "links", "unsettled_links",
    "open_writes": [{target, kind, state}], "holds": {open, by_code}}.
    """
    facts = _facts(run)
    if json:
        say_json(facts)
        return 3 if facts["holds"]["open"] else 0
    say(f"{run.config.path}: writes {'ON' if facts['writes_on'] else 'OFF'}")
    say_table(
        ("SHOP", "ORDERS", "NOT UNDERSTOOD", "LAST READ"),
        [
            (s["shop"], f"{s['orders']:,}", s["parked"] or "", age(last_read(run, s["shop"]), run.now))
            for s in facts["shops"]
        ],
        empty="no shops",
    )
    say(f"{count(facts['links'], 'link')}, {facts['unsettled_links']} of them not settled (ordersync plan)")
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


def _facts(run: Run) -> dict[str, Any]:
    store = run.store
    held: dict[str, int] = {}
    for one in store.holds():
        held[one.hold.code] = held.get(one.hold.code, 0) + 1
    return {
        "writes_on": run.config.settings.writes,
        "shops": [
            {
                "shop": name,
                "orders": store.order_count(name),
                "parked": len(store.parked(shop=name)),
                "read_at": moment.isoformat() if (moment := last_read(run, name)) else None,
            }
            for name in run.config.settings.shops
        ],
        "links": len(store.links()),
        "unsettled_links": len(store.dirty_links()),
        "open_writes": [
            {"target": str(a.action.target), "kind": a.action.kind.value, "state": a.state.value}
            for a in store.actions(open_only=True)
        ],
        "holds": {"open": sum(held.values()), "by_code": dict(sorted(held.items()))},
    }
