"""Make links: by rule, by hand, by file. A doubtful reference becomes a hold, never a link."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ordersync.errors import OrdersyncError, UsageError
from ordersync.model import Hold, Link, LinkOrigin, Order, OrderRef, hold_key
from ordersync.reconcile.rules import LinkRule, disagreements
from ordersync.store import Store


@dataclass(slots=True)
class LinkReport:
    made: list[Link] = field(default_factory=list)
    new_holds: list[str] = field(default_factory=list)
    agreed: int = 0
    """References that name a link that is there already."""
    unmatched: int = 0
    """References that name no known order (yet)."""


def link_by_rules(store: Store, rules: Sequence[LinkRule], now: datetime) -> LinkReport:
    """Try every rule on every stored order; makes links and holds, writes to no platform."""
    report = LinkReport()
    held: set[str] = set()
    for rule in rules:
        stated = [
            (stored.order.ref, reference)
            for stored in store.orders(rule.source)
            if not stored.order.draft and (reference := rule.reference(stored.order)) is not None
        ]
        # A reference that several orders state proves nothing about any of them.
        stated_by = Counter(reference for _, reference in stated)
        for ref, reference in stated:
            _try(store, rule, ref, reference, stated_by[reference], now, report, held)
    for hold in store.holds():
        if hold.hold.code == "reference_unconfirmed" and hold.hold.key not in held:
            store.close_hold(hold.hold.key, now, "no longer so at the last look")
    return report


def _named(store: Store, rule: LinkRule, reference: str, found: Sequence[OrderRef]) -> list[OrderRef]:
    """Those found that have the reference in the field the rule compares; an id that looks like a number is none."""
    if rule.to_field == "id":
        return [ref for ref in found if ref.order_id == reference]
    stored = [store.order(ref) for ref in found]
    return [one.order.ref for one in stored if one is not None and one.order.number == reference]


def _try(
    store: Store,
    rule: LinkRule,
    ref: OrderRef,
    reference: str,
    stated_by: int,
    now: datetime,
    report: LinkReport,
    held: set[str],
) -> None:
    found = store.find(rule.to_shop, reference)
    mine = store.link_of(ref)
    if len(found) == 1 and mine is not None and found[0] in mine.members:
        report.agreed += 1
        return
    named = _named(store, rule, reference, found)
    stored = store.order(ref)
    if not named or stored is None:
        report.unmatched += 1
        return
    order = stored.order
    why: list[str] = []
    members = [order.ref, named[0]]
    if len(named) > 1:
        why.append(f"{len(named)} orders of {rule.to_shop} have that number")
    else:
        if stated_by > 1:
            why.append(f"{stated_by} orders of {order.shop} name it")
        other = store.order(named[0])
        theirs = store.link_of(named[0])
        if mine is not None:
            why.append(f"{order.ref} is in link {mine.link_id} already; an edited reference never re-links")
        elif store.was_linked(order.ref, named[0]):
            why.append("a person removed this link; a rule does not make it again")
        elif theirs is not None and any(ref.shop == order.shop for ref in theirs.members):
            why.append(f"{named[0]} is in link {theirs.link_id}, which has an order of {order.shop} already")
        if other is None:
            why.append(f"{named[0]} could not be read")
        elif not rule.trusted:
            why += disagreements(order, other.order, rule.tolerance_minor)
        if not why and theirs is not None:
            members = [order.ref, *theirs.members]
    if why:
        hold = _unconfirmed(rule, order, named, why)
        held.add(hold.key)
        number, is_new = store.open_hold(hold, now)
        if is_new:
            report.new_holds.append(number)
        return
    if len(members) > 2:
        report.made.append(store.extend_link(named[0], order.ref))
    else:
        report.made.append(store.add_link(members, LinkOrigin.RULE, rule.name, now))


def _unconfirmed(rule: LinkRule, order: Order, named: Sequence[OrderRef], why: Sequence[str]) -> Hold:
    others = " ".join(str(ref) for ref in named)
    return Hold(
        key=hold_key("reference_unconfirmed", f"order:{order.ref}", *(str(ref) for ref in named)),
        code="reference_unconfirmed",
        subject=f"order:{order.ref}",
        message=f"{order.ref} names {others} but they are not linked: {'; '.join(why)}",
        evidence=(f"rule: {rule.name}",),
        next_steps=(
            f"ordersync links add {order.ref} {others}   if they are the same sale",
            "buyers can write metadata: look at both orders first",
        ),
        target=order.ref,
    )


@dataclass(frozen=True, slots=True)
class ImportedRow:
    line: int
    members: tuple[OrderRef, ...]


def read_link_file(store: Store, text: str, shops: Sequence[str]) -> list[ImportedRow]:
    """Rows of a links file: the header names shops, each row names one order per column (number or id).

    All or nothing: UsageError lists every bad row with its line number.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        header = [cell.strip() for cell in next(rows, [])]
    except csv.Error as broken:
        raise UsageError(f"line 1: not CSV ({broken})") from broken
    unknown = [name for name in header if name not in shops]
    if len(header) < 2 or unknown or len(set(header)) != len(header):
        wrong = f"unknown: {', '.join(unknown)}" if unknown else "two or more different shops are needed"
        raise UsageError(
            f"line 1: the header must name shops ({wrong})",
            code="bad_header",
            next_step=f"shops are: {', '.join(shops)}. Example header: {','.join(shops[:2])}",
        )
    found: list[ImportedRow] = []
    bad: list[str] = []
    seen: dict[OrderRef, int] = {}
    try:
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            row = _import_row(store, header, cells, rows.line_num, bad)
            for ref in row.members if row else ():
                if ref in seen:
                    bad.append(f"line {rows.line_num}: {ref} stands on line {seen[ref]} already")
                seen.setdefault(ref, rows.line_num)
            if row is not None:
                found.append(row)
    except csv.Error as broken:
        bad.append(f"line {rows.line_num}: not CSV ({broken})")
    if bad:
        shown = "\n  ".join(bad[:20]) + (f"\n  and {len(bad) - 20} more" if len(bad) > 20 else "")
        raise UsageError(
            f"{len(bad)} rows cannot be linked; nothing was linked\n  {shown}",
            code="bad_links_file",
            next_step="correct these rows and run the same command again",
        )
    return found


def _import_row(
    store: Store, header: Sequence[str], cells: Sequence[str], line: int, bad: list[str]
) -> ImportedRow | None:
    if len(cells) != len(header):
        bad.append(f"line {line}: {len(cells)} columns where the header has {len(header)}")
        return None
    members: list[OrderRef] = []
    for shop, cell in zip(header, cells, strict=True):
        name = cell.strip()
        if not name:
            continue
        refs = store.find(shop, name)
        if len(refs) != 1:
            what = "no order" if not refs else f"{len(refs)} orders"
            bad.append(f"line {line}: {what} of {shop} called {name[:40]!r}")
            return None
        linked = store.link_of(refs[0])
        if linked is not None:
            bad.append(f"line {line}: {refs[0]} is in link {linked.link_id} already")
            return None
        members.append(refs[0])
    if len(members) < 2:
        bad.append(f"line {line}: a link needs orders of two shops")
        return None
    return ImportedRow(line, tuple(members))


def import_links(store: Store, rows: Sequence[ImportedRow], now: datetime) -> list[Link]:
    """Make the links of a checked file. On an error those made before it stay and are named."""
    made: list[Link] = []
    for row in rows:
        try:
            made.append(store.add_link(row.members, LinkOrigin.CSV, None, now))
        except OrdersyncError as failed:
            raise UsageError(
                f"line {row.line}: {failed.message}; {len(made)} rows before it were linked",
                next_step="remove those rows from the file and import the rest",
            ) from failed
    return made
