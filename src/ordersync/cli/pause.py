"""`ordersync pause` and `ordersync resume`: stop every write at once, and let them go on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import app
from ordersync.cli.printing import count, say, say_json, wrapped
from ordersync.cli.run import JsonOption, Run, command
from ordersync.errors import StoreError

if TYPE_CHECKING:
    from ordersync.engine.pausing import Pause
    from ordersync.model import ActionRecord

ShopOption = Annotated[str | None, typer.Option("--shop", metavar="S", help="Only this shop [all of them].")]
LOCKED_FOR = timedelta(seconds=2)
"""How long a locked database is waited for: the pause itself does not need it."""


@command(app, "pause")
def pause(
    run: Run,
    shop: ShopOption = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Shown while it lasts.")] = None,
    json: JsonOption = False,
) -> int:
    """Stop all writes at once, to every shop or to one, and list what is in flight.

    Works while the database is locked: it is a file beside the store, looked at right before each write. Reading
    goes on. What was sent already cannot be called back.

    --json: {"paused": [{shop, why, until}], "new", "in_flight": [{target, kind, state}] or null when it cannot be
    read now}.
    """
    from ordersync.engine.byhand import who_types
    from ordersync.engine.pausing import PauseFlags

    if shop is not None:
        run.known_shop(shop)
    flags = PauseFlags.beside(run.config.store_url)
    is_new = flags.set(shop, who_types(), reason, run.now)
    standing = flags.of(shop)
    flying, unreadable = _in_flight(run, shop)
    if json:
        say_json(
            {
                "paused": [_json(standing)] if standing else [],
                "new": is_new,
                "in_flight": None if flying is None else [_flying(one) for one in flying],
            }
        )
        return 0
    if standing is not None:
        say_pause(standing, "" if is_new else "already ")
    if flying is None:
        for line in wrapped(f"What is in flight cannot be read now: {unreadable}", ""):
            say(line)
        say("Look again: ordersync status")
    elif not flying:
        say("Nothing is in flight.")
    else:
        say(f"In flight, and not called back: {count(len(flying), 'write')}")
        for one in flying:
            say(f"  {one.action.kind} {one.action.target}  {one.state}")
    return 0


@command(app, "resume")
def resume(run: Run, shop: ShopOption = None, json: JsonOption = False) -> int:
    """Let writes go on that `pause` stopped; what else stops them is named.

    --json: {"resumed", "paused": [{shop, why, until}]}.
    """
    from ordersync.engine.pausing import PauseFlags

    if shop is not None:
        run.known_shop(shop)
    flags = PauseFlags.beside(run.config.store_url)
    lifted = flags.lift(shop)
    try:
        rest = standing_pauses(run)
    except StoreError:  # locked, or not there: the files alone say what a person paused
        named = [None, *run.config.settings.shops]
        rest = [one for name in named if (one := flags.of(name)) is not None]
    if json:
        say_json({"resumed": lifted, "paused": [_json(one) for one in rest]})
        return 0
    whose = f"shop {shop}" if shop else "every shop"
    say(f"Writes to {whose} may go on." if lifted else f"There was no pause of {whose}.")
    for one in rest:
        say_pause(one, "still ")
    return 0


def standing_pauses(run: Run) -> list[Pause]:
    """Every pause there is, those that only the store knows included."""
    from ordersync.engine.pausing import pauses

    return pauses(run.store, list(run.config.settings.shops))


def say_pause(one: Pause, prefix: str = "") -> None:
    whose = f"shop {one.shop} is" if one.shop else "all shops are"
    for line in wrapped(f"{whose} {prefix}paused: {one.why}", "PAUSED  "):
        say(line)
    say(f"        to go on: {one.until}")


def _in_flight(run: Run, shop: str | None) -> tuple[list[ActionRecord] | None, str]:
    from ordersync.bootstrap import open_store

    try:
        with open_store(run.config, create=False, busy_timeout_s=LOCKED_FOR.total_seconds()) as store:
            found = store.actions(open_only=True)
    except StoreError as failed:
        return ([], "") if failed.code == "store_missing" else (None, failed.message)
    return [one for one in found if shop in (None, one.action.target.shop)], ""


def _json(one: Pause) -> dict[str, Any]:
    return {"shop": one.shop, "why": one.why, "until": one.until}


def _flying(one: ActionRecord) -> dict[str, str]:
    return {"target": str(one.action.target), "kind": one.action.kind.value, "state": one.state.value}
