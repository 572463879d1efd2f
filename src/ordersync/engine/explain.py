"""Why an order is as it is: everything known of one sale in one timeline, and why nothing more was written.

From the store alone; the reasons come from a decision made now and not stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ordersync.engine.look import decide_link
from ordersync.engine.shops import Shops
from ordersync.model import ActionRecord, ActionState, Decision, Link, LinkOrigin, Order, OrderRef
from ordersync.reconcile import Policy
from ordersync.store import ActionStep, Store, StoredHold

OTHER_FIELDS = 4
"""Changed fields named one by one; the rest is counted."""


@dataclass(frozen=True, slots=True, order=True)
class Event:
    at: datetime
    where: str
    """A shop, `apply`, `hold`, `link` or a person's answer (`answer`)."""
    what: str


@dataclass(slots=True)
class Explanation:
    ref: OrderRef
    link: Link | None
    orders: dict[OrderRef, Order | None]
    events: list[Event] = field(default_factory=list)
    open_holds: list[StoredHold] = field(default_factory=list)
    decision: Decision | None = None
    """What would be decided now; None for an order in no link."""


def explain(store: Store, shops: Shops, policy: Policy, ref: OrderRef, now: datetime) -> Explanation:
    """The whole story of the sale this order belongs to, oldest first."""
    link = store.link_of(ref)
    members = link.members if link is not None else (ref,)
    stored = {member: store.order(member) for member in members}
    orders = {member: one.order if one else None for member, one in stored.items()}
    found = Explanation(ref, link, orders)
    events: list[Event] = []
    if link is not None:
        events.append(Event(link.made_at, "link", f"{link.link_id} made {_origin(link)}"))
        found.decision = decide_link(store, shops, link, policy, now)
    subjects = {f"order:{member}" for member in members}
    for member in members:
        events += _sightings(store, member)
        one = orders[member]
        events += _facts(one) if one is not None else ()
        for record in store.actions(target=member):
            subjects.add(f"action:{record.action.key}")
            events += _steps(record, store.action_steps(record.action.key))
    for held in store.holds_about(link.link_id if link else None, subjects):
        events += _hold_events(held)
        if held.closed_at is None:
            found.open_holds.append(held)
    if link is not None:
        found.open_holds += [
            held for held in store.holds() if any(one.link_id == link.link_id for one in held.hold.batch)
        ]
    found.events = sorted(events)
    return found


def _origin(link: Link) -> str:
    return {
        LinkOrigin.RULE: f"by rule {link.rule}",
        LinkOrigin.HAND: "by hand",
        LinkOrigin.CSV: "from a file",
        LinkOrigin.SUGGESTION: "from a suggestion",
    }[link.origin]


def _sightings(store: Store, ref: OrderRef) -> Iterator[Event]:
    """When the order was read and how: the pass of a feed during which it was asked for, else by its id."""
    stored = store.order(ref)
    if stored is None:
        yield from (
            Event(parked.sent_at, ref.shop, f"{ref} read, not understood: {parked.message}")
            for parked in store.parked(ref)
        )
        return
    yield Event(
        stored.first_seen_at,
        ref.shop,
        f"{ref} read for the first time, {_how(store, ref.shop, stored.first_seen_at)}",
    )
    for change in store.history(ref):
        names = list(dict.fromkeys(one.path.split(".")[0].split("[")[0] for one in change.fields))
        more = f" and {len(names) - OTHER_FIELDS} more" if len(names) > OTHER_FIELDS else ""
        fields = ", ".join(names[:OTHER_FIELDS]) + more
        if change.cause == "observed":
            said = f"{ref} seen changed ({fields}), {_how(store, ref.shop, change.sent_at)}"
        else:
            said = f"{ref} read differently by a newer mapping ({fields})"
        yield Event(change.sent_at, ref.shop, said)


def _how(store: Store, shop: str, at: datetime) -> str:
    one = store.pass_during(shop, at)
    if one is None:
        return "by its id"
    window = f", window {one.since:%m-%d %H:%M} to {one.until:%m-%d %H:%M}" if one.since and one.until else ""
    return f"by feed {one.feed}{window}"


def _facts(order: Order) -> Iterator[Event]:
    """What the platform dates itself. Free text stays out: it may hold a buyer's data."""
    shop, ref = order.shop, order.ref
    if order.placed_at is not None:
        yield Event(order.placed_at, shop, f"{ref} placed, {order.first_charged or 'no total stated'}")
    for refund in order.refunds or ():
        if refund.created_at is not None and refund.amount.amount_minor > 0:
            units = sum(line.quantity for line in refund.lines or ())
            lines = f", {units} {'unit' if units == 1 else 'units'}" if units else ""
            yield Event(
                refund.created_at, shop, f"{ref} refund {refund.id} {refund.status}, {refund.amount}{lines}"
            )
    if order.cancellation is not None and order.cancellation.cancelled_at is not None:
        yield Event(order.cancellation.cancelled_at, shop, f"{ref} cancelled")
    for parcel in order.fulfillments or ():
        if parcel.shipped_at is not None:
            yield Event(parcel.shipped_at, shop, f"{ref} parcel {parcel.id} {parcel.status}")


def _steps(record: ActionRecord, steps: list[ActionStep]) -> Iterator[Event]:
    action = record.action
    what = f"{action.kind} {action.target}" + (f" {action.amount}" if action.amount else "")
    purse = " TO BUYER" if action.pays_buyer else ", books" if action.purse else ""
    by = f", typed by {action.by}" if action.by else f", because {action.because}"
    for step in steps:
        answer = step.fields.get("answer", "")
        if "looked_at" in step.fields:
            said = f"{what}: looked, not there"
        elif step.state is ActionState.INTENDED:
            said = f"{what}{purse} intended{by}"
        elif step.state is ActionState.SENDING:
            said = f"{what} sent, mark {action.token}"
        elif step.state is ActionState.RECEIPTED:
            said = f"{what}: {answer}"
        elif step.state is ActionState.SEEN:
            said = f"{what}: read back as {step.fields.get('platform_ref', '') or action.kind}. Done."
        elif step.state is ActionState.DOUBT:
            said = f"{what}: in doubt ({answer})"
        else:
            said = f"{what}: {step.state} ({answer})"
        yield Event(step.at, "apply", said)


def _hold_events(held: StoredHold) -> Iterator[Event]:
    yield Event(held.opened_at, "hold", f"{held.number} {held.hold.code} opened: {held.hold.message}")
    if held.closed_at is not None:
        yield Event(held.closed_at, "hold", f"{held.number} {held.hold.code} closed: {held.closed_because}")
