"""Links from a CSV file: the whole file, or nothing and every reason with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ordersync.errors import UsageError
from ordersync.model import Link, LinkOrigin, OrderRef
from ordersync.model.traits import Traits
from ordersync.reconcile.choose import Chains
from ordersync.store import LinksRefused, NewLink, Store

BAD_FILE = "bad_links_file"
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ImportedRow:
    line: int
    members: tuple[OrderRef, ...]


@dataclass(slots=True)
class _Problems:
    """What is wrong with which line. One kind of mistake names the error, several are `bad_links_file`."""

    found: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, line: int, what: str, code: str = BAD_FILE) -> None:
        self.found.append((line, code, what))

    def error(self) -> UsageError:
        lines = [f"line {line}: {what}" for line, _, what in sorted(self.found)]
        codes = {code for _, code, _ in self.found}
        more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        shown = "\n  ".join(lines[:_SHOWN])
        return UsageError(
            f"{len(lines)} rows cannot be linked; nothing was linked\n  {shown}{more}",
            code=codes.pop() if len(codes) == 1 else BAD_FILE,
            next_step="correct these rows and run the same command again",
        )


def read_link_file(store: Store, text: str, shops: Sequence[str]) -> list[ImportedRow]:
    """Rows of a links file: the header names shops, each row names one order per column (number or id).

    All or nothing: UsageError lists every bad row with its line number. Its code is `ref_in_two_links`, `link_cycle`,
    `currencies_differ` or `already_linked` where that is all that is wrong, else `bad_links_file`.
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
    problems = _Problems()
    lines: list[tuple[int, list[str]]] = []
    try:
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == len(header):
                lines.append((rows.line_num, [cell.strip() for cell in cells]))
            else:
                problems.add(rows.line_num, f"{len(cells)} columns where the header has {len(header)}")
    except csv.Error as broken:
        problems.add(rows.line_num, f"not CSV ({broken})")
    found = _resolved(store, header, lines, problems)
    _check_refs(found, problems)
    _check_currencies(found, store.traits([ref for row in found for ref in row.members]), problems)
    if problems.found:
        raise problems.error()
    return found


def _resolved(
    store: Store, header: Sequence[str], lines: Sequence[tuple[int, list[str]]], problems: _Problems
) -> list[ImportedRow]:
    """The rows whose every name is exactly one order, all of them free."""
    orders = {
        shop: store.find_all(shop, {cells[column] for _, cells in lines if cells[column]})
        for column, shop in enumerate(header)
    }
    every = [refs[0] for named in orders.values() for refs in named.values() if len(refs) == 1]
    links = store.link_numbers(every)
    found: list[ImportedRow] = []
    for line, cells in lines:
        members: list[OrderRef] = []
        wrong: tuple[str, str] | None = None
        for shop, name in zip(header, cells, strict=True):
            refs = orders[shop].get(name, []) if name else []
            if len(refs) == 1 and refs[0] in links:
                wrong = (f"{refs[0]} is in link L{links[refs[0]]} already", "already_linked")
            elif len(refs) == 1:
                members.append(refs[0])
            elif name:
                what = f"{len(refs)} orders" if refs else "no order"
                wrong = (f"{what} of {shop} called {name[:40]!r}", BAD_FILE)
        if wrong is None and len(members) < 2:
            wrong = ("a link needs orders of two shops", BAD_FILE)
        if wrong is None:
            found.append(ImportedRow(line, tuple(members)))
        else:
            problems.add(line, *wrong)
    return found


def _check_refs(rows: Sequence[ImportedRow], problems: _Problems) -> None:
    """An order stands in one row only; rows that share orders and come back to where they began are a circle."""
    first: dict[OrderRef, int] = {}
    chains = Chains()
    for row in rows:
        shared = [ref for ref in row.members if ref in first]
        earlier = {first[ref] for ref in shared}
        if len({chains.head(line) for line in earlier}) < len(earlier):
            lines = ", ".join(str(line) for line in sorted(earlier))
            problems.add(row.line, f"closes a circle with lines {lines}: {_names(shared)}", "link_cycle")
        elif shared:
            ref = shared[0]
            problems.add(row.line, f"{ref} stands on line {first[ref]} already", "ref_in_two_links")
        for line in earlier:
            chains.join(line, row.line)
        for ref in row.members:
            first.setdefault(ref, row.line)


def _check_currencies(rows: Sequence[ImportedRow], traits: Mapping[OrderRef, Traits], problems: _Problems) -> None:
    for row in rows:
        what = currencies_differ(row.members, traits)
        if what is not None:
            problems.add(row.line, what, "currencies_differ")


def currencies_differ(members: Sequence[OrderRef], traits: Mapping[OrderRef, Traits]) -> str | None:
    """ "asia:1 is in USD, office:2 in EUR"; None when all that are known agree."""
    known = [(ref, traits[ref].currency) for ref in sorted(members) if ref in traits]
    for ref, currency in known[1:]:
        if currency != known[0][1]:
            return f"{known[0][0]} is in {known[0][1]}, {ref} in {currency}: a link needs one currency"
    return None


def refuse_currencies(store: Store, members: Sequence[OrderRef]) -> None:
    """UsageError `currencies_differ` for orders that cannot be one link."""
    what = currencies_differ(members, store.traits(members))
    if what is not None:
        raise UsageError(what, code="currencies_differ", next_step="name orders of one currency")


def import_links(store: Store, rows: Sequence[ImportedRow], now: datetime) -> list[Link]:
    """Make the links of a checked file in one transaction.

    UsageError with the lines when another process linked one of the orders since the check; nothing is linked then.
    """
    try:
        return store.add_links([NewLink(row.members, LinkOrigin.CSV) for row in rows], now)
    except LinksRefused as refused:
        problems = _Problems()
        for place, why in refused.reasons.items():
            problems.add(rows[place].line, why.message, why.code)
        raise problems.error() from refused


def _names(refs: Sequence[OrderRef]) -> str:
    return ", ".join(str(ref) for ref in refs)
