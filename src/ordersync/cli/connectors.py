"""`ordersync connectors list`: which platforms can be connected, and what each can read and write."""

from __future__ import annotations

from typing import Any

from ordersync.cli.app import connectors
from ordersync.cli.printing import say, say_json, say_table, wrapped
from ordersync.cli.run import JsonOption, command

READ_CALLS = ("fetch_many", "lookup", "payments", "payment_providers", "payment")


@command(connectors, "list")
def list_connectors(*, json: JsonOption = False) -> None:
    """Installed connectors: platform, version, what each can read and write.

    --json: {"connectors": [{name, platform, version, reads, writes, feeds: [{name, catches, complete}]}]}.
    """
    from ordersync.connector import installed

    found = [_described(name) for name in installed()]
    if json:
        say_json({"connectors": found})
        return
    say_table(
        ("CONNECTOR", "PLATFORM", "VERSION"),
        [(c["name"], c["platform"], c["version"]) for c in found],
        empty="no connector is installed",
    )
    for one in found:
        say()
        for calls in ("reads", "writes"):
            for line in wrapped(", ".join(one[calls]) or "nothing", f"{one['name']} {calls}: "):
                say(line)
        say("  its lists of changes bring:")
        for feed in one["feeds"]:
            for line in wrapped(feed["catches"], f"  {feed['name']:<10}"):
                say(line)


def _described(name: str) -> dict[str, Any]:
    from ordersync.connector import WRITE_CALLS, capabilities, load

    kind = load(name)
    can = capabilities(kind)
    return {
        "name": name,
        "platform": kind.platform,
        "version": kind.version,
        "reads": ["fetch", "pull", *(call for call in READ_CALLS if call in can)],
        "writes": [call for call in WRITE_CALLS if call in can],
        "feeds": [{"name": f.name, "catches": f.catches, "complete": f.complete} for f in kind.feeds],
    }
