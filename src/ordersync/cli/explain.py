"""`ordersync orders explain`: one sale in one timeline, and why nothing more was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordersync.cli.app import orders
from ordersync.cli.orders import RefArgument
from ordersync.cli.printing import plain, say, say_json, say_table, wrapped
from ordersync.cli.run import JsonOption, Run, command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordersync.engine.explain import Explanation
    from ordersync.model import Order, OrderRef


@command(orders, "explain")
def explain(run: Run, ref: RefArgument, json: JsonOption = False) -> int:
    """Why an order is as it is: every member of its sale in one timeline.

    From the store alone: what was seen and by which feed, facts, writes with their answers, holds; then why nothing
    more was written, from a decision made now. Times are UTC.

    --json: {"order", "link": {link, origin, rule, made_at, members} or null, "agrees", "members": [{shop, order_id,
    status, captured, refunded, fulfillment}], "ledger": [{fact, kind, origin, amount, cells}], "events": [{at, where,
    what}], "due", "held", "waits", "skipped"}.
    """
    from ordersync.engine.explain import explain as explained

    found = explained(run.store, run.shops(offline=True), run.config.settings.to_policy(), run.ref(ref), run.now)
    if json:
        say_json(_json(found))
        return 0
    _say_head(run, found)
    _say_members(run, found)
    _say_ledger(run, found)
    day = None
    for event in found.events:
        if event.at.date() != day:
            day = event.at.date()
            say(f"-- {day}")
        label = f"{event.at:%H:%M:%S} {plain(event.where):<8}"
        for line in wrapped(run.names.within(event.what), f"{label} "):
            say(line)
    for label, text in dict.fromkeys(_why_not(found)):
        for line in wrapped(run.names.within(text), f"{label:<8} "):
            say(line)
    return 0


def _say_head(run: Run, found: Explanation) -> None:
    if found.link is None:
        say(f"{run.names.of(found.ref)} is in no link: nothing is carried to it or from it.")
        return
    link = found.link
    agrees = found.decision is not None and found.decision.agrees
    how = f"by rule {link.rule}" if link.rule else f"by {link.origin}"
    for line in wrapped(
        f"Link {link.link_id}, {'agrees' if agrees else 'does not agree yet'}. Linked {plain(how)}, "
        f"{link.made_at:%Y-%m-%d}."
    ):
        say(line)


def _say_members(run: Run, found: Explanation) -> None:
    members = list(found.orders.items())
    head = ("", *(run.names.of(ref) for ref, _ in members))
    shown = [_member(ref, order) for ref, order in members]
    rows = [(name, *(one[name] or "unknown" for one in shown)) for name in ("status", "captured", "refunded")]
    rows.append(("shipped", *(one["fulfillment"] or "unknown" for one in shown)))
    say_table(head, rows, empty="")


def _say_ledger(run: Run, found: Explanation) -> None:
    decision = found.decision
    if decision is None or not decision.ledger.rows:
        return
    refs = list(found.orders)
    rows = []
    for row in decision.ledger.rows:
        fact = f"{row.fact.kind} {row.fact.amount or ''}".rstrip()
        cells = [row.cell(ref) for ref in refs]
        rows.append((fact, *((c.state + (f": {c.reason}" if c.reason else "")) if c else "" for c in cells)))
    say_table(("LEDGER", *(run.names.of(ref) for ref in refs)), rows, empty="")


def _why_not(found: Explanation) -> Iterator[tuple[str, str]]:
    """(label, sentence) for everything that is due, held, waits or is skipped."""
    numbers = {held.hold.key: held.number for held in found.open_holds}
    shown: set[str] = set()
    batched = {one.key: held.number for held in found.open_holds for one in held.hold.batch}
    if found.decision is not None:
        for action in found.decision.actions:
            if action.key in batched:
                yield "held", f"{batched[action.key]} stops {action.kind} {action.target} ({action.because})"
                continue
            money = f" {action.amount}" if action.amount else ""
            yield "due", f"{action.kind} {action.target}{money}: ordersync apply makes it ({action.because})"
        for hold in found.decision.holds:
            shown.add(hold.key)
            yield "held", f"{numbers.get(hold.key, 'new')} {hold.code}: {hold.message}"
    for held in found.open_holds:
        if held.hold.key not in shown:
            yield "held", f"{held.number} {held.hold.code}: {held.hold.message}"
    if found.decision is None:
        return
    for wait in found.decision.waits:
        until = f" (until {wait.until:%Y-%m-%d %H:%M})" if wait.until else ""
        about = "" if str(wait.target) in wait.message else f"{wait.target}: "
        yield "waits", f"{about}{wait.message}{until}"
    for why in found.decision.skipped:
        yield "skipped", why


def _member(ref: OrderRef, order: Order | None) -> dict[str, Any]:
    about = {"shop": ref.shop, "order_id": ref.order_id}
    if order is None:
        return {**about, "status": None, "captured": None, "refunded": None, "fulfillment": None}
    return {
        **about,
        "status": order.order_status.value,
        "captured": str(order.captured) if order.captured is not None else None,
        "refunded": str(order.refunded) if order.refunded is not None else None,
        "fulfillment": order.fulfillment_status.value,
    }


def _json(found: Explanation) -> dict[str, Any]:
    decision, link = found.decision, found.link
    return {
        "order": {"shop": found.ref.shop, "order_id": found.ref.order_id},
        "link": None
        if link is None
        else {
            "link": link.link_id,
            "origin": link.origin.value,
            "rule": link.rule,
            "made_at": link.made_at.isoformat(),
            "members": [{"shop": ref.shop, "order_id": ref.order_id} for ref in link.members],
        },
        "agrees": decision.agrees if decision is not None else None,
        "members": [_member(ref, order) for ref, order in found.orders.items()],
        "ledger": [_row(row) for row in (decision.ledger.rows if decision else ())],
        "events": [{"at": e.at.isoformat(), "where": e.where, "what": e.what} for e in found.events],
        "due": [
            a.model_dump(mode="json", include={"key", "kind", "target", "amount", "because"})
            for a in decision.actions
        ]
        if decision
        else [],
        "held": [{"hold": h.number, "code": h.hold.code, "message": h.hold.message} for h in found.open_holds],
        "waits": [w.model_dump(mode="json") for w in decision.waits] if decision else [],
        "skipped": list(decision.skipped) if decision else [],
    }


def _row(row: Any) -> dict[str, Any]:
    shown: dict[str, Any] = row.model_dump(mode="json", exclude={"fact": {"reason"}})
    fact = shown["fact"]
    return {
        "fact": fact["fact_id"],
        "kind": fact["kind"],
        "origin": fact["origin"],
        "amount": fact["amount"],
        "cells": shown["cells"],
    }
