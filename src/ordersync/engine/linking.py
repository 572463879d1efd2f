"""Make links by rule. A doubtful reference becomes a hold, never a link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice

from ordersync.model import Hold, Link, LinkOrigin, OrderRef
from ordersync.reconcile.references import BY_RULE, HOLD_CODES, Claim, Named, Verdict, judge
from ordersync.reconcile.rules import LinkRule
from ordersync.store import LinksRefused, Naming, NewLink, Reference, Store

_CHUNK = 500
"""Texts followed at a time: their links are one transaction."""


@dataclass(slots=True)
class LinkReport:
    made: list[str] = field(default_factory=list)
    """Ids of links made or grown, once for each reference that was followed."""
    new_holds: list[str] = field(default_factory=list)
    agreed: int = 0
    """References that name a link that is there already."""
    unmatched: int = 0
    """References that name no known order (yet)."""


def link_by_rules(store: Store, rules: Sequence[LinkRule], now: datetime) -> LinkReport:
    """Follow every reference that is not a link yet; makes links and holds, writes to no platform.

    Every stored order is considered each time, so none is missed; those already linked with the order they name are
    set aside by the database and cost microseconds.
    """
    report = LinkReport()
    held: dict[str, Hold] = {}
    parted = store.unlinked_pairs() if rules else set()
    for rule in rules:
        followed = store.followed(
            Reference(rule.source, rule.field, rule.strip, rule.where, rule.to_shop, rule.to_field)
        )
        report.agreed += followed.agreed
        report.unmatched += followed.unmatched
        for chunk in _chunks(followed.pending):
            wanted: list[NewLink] = []
            for target, verdict in _judged(store, rule, chunk, parted):
                held.update({hold.key: hold for hold in verdict.holds})
                if verdict.linked is not None:
                    wanted.append(NewLink((verdict.linked, target), LinkOrigin.RULE, rule.name, joins=True))
            report.made += [link.link_id for link in _add(store, wanted, now)]
    report.new_holds = store.derive_holds(
        list(held.values()), HOLD_CODES, BY_RULE, now, "no longer so at the last look"
    )
    return report


def _chunks(pending: Sequence[Naming]) -> Iterator[list[list[Naming]]]:
    """Orders that say the same text stay together."""
    groups = (list(group) for _, group in groupby(pending, key=lambda one: one.text))
    while chunk := list(islice(groups, _CHUNK)):
        yield chunk


def _judged(
    store: Store, rule: LinkRule, chunk: Sequence[Sequence[Naming]], parted: set[frozenset[OrderRef]]
) -> Iterator[tuple[OrderRef, Verdict]]:
    """The order that is named (the first where the text fits several) and what is to be done."""
    rows = [one for group in chunk for one in group]
    siblings = store.linked_in(rule.source, [one.named_link for one in rows if one.named_link is not None])
    refs = {OrderRef(rule.source, one.order_id) for one in rows}
    refs |= {OrderRef(rule.to_shop, one.named_id) for one in rows if one.named_id is not None}
    traits = store.traits([*refs, *siblings.values()])
    for group in chunk:
        claims = {one.order_id: Claim(OrderRef(rule.source, one.order_id), one.link) for one in group}
        named = {
            one.named_id: Named(
                OrderRef(rule.to_shop, one.named_id),
                one.named_link,
                None if one.named_link is None else siblings.get(one.named_link),
            )
            for one in group
            if one.named_id is not None
        }
        targets = list(named.values())
        yield targets[0].ref, judge(rule, list(claims.values()), targets, traits, parted)


def _add(store: Store, wanted: Sequence[NewLink], now: datetime) -> list[Link]:
    """Make these links in one transaction; one that another process made impossible meanwhile waits for the next."""
    while wanted:
        try:
            return store.add_links(wanted, now)
        except LinksRefused as refused:
            wanted = [one for place, one in enumerate(wanted) if place not in refused.reasons]
    return []
