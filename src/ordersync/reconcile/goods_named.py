"""Whether two refund records speak of different goods, and how equal amounts pair off when some do. Pure.

A record contradicts another when both name line items, the lines of their orders match (see `lines`), and the units
are not the same. A record that names none, or whose lines match none of the other order, neither contradicts nor
confirms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ordersync.model import OrderRef
from ordersync.reconcile.lines import Key, LineTable, line_tables
from ordersync.reconcile.members import Member, RefundRecord, record_order

Records = Sequence[RefundRecord]
Pairs = list[tuple[int, RefundRecord]]
"""Place of a row, and the record that belongs to it."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows and records of about one amount that hang together."""

    records: list[RefundRecord]
    of_rows: bool
    """False: these records contradict every row."""
    pairs: Pairs | None
    """None: they do not pair off, or in more than one way."""


@dataclass(slots=True)
class Goods:
    """The line items of a link's orders, two by two; looked up only where two records both name some."""

    members: Sequence[Member]
    tables: dict[frozenset[OrderRef], Mapping[OrderRef, LineTable]] = field(default_factory=dict)

    def same(self, ones: Records, others: Records) -> bool | None:
        """All of `ones`, of one order, against all of `others`, of another: the same units? None: nobody can say."""
        if not ones or not others or not all(r.lines for r in (*ones, *others)):
            return None
        tables = self._tables(ones[0].member, others[0].member)
        mine, theirs = _units(tables, ones), _units(tables, others)
        return None if not mine or not theirs else mine == theirs

    def contradict(self, ones: Records, others: Records) -> bool:
        """Some order's records among these name other goods than those of another order."""
        return any(self.same(one, other) is False for one, other in _across(ones, others))

    def pair_off(self, rows: Sequence[Records], records: Records) -> list[Matched]:
        """One record of `records`, which are one member's, for each of `rows`.

        Where all of them name goods only equal goods pair; else all hang together, and each row needs its record.
        """
        result: list[Matched] = []
        for places, mine in self._apart(rows, records):
            pairs = self._pairs(rows, places, mine) if len(places) == len(mine) else None
            result.append(Matched(mine, bool(places), pairs))
        return result

    def _apart(self, rows: Sequence[Records], records: Records) -> list[tuple[list[int], list[RefundRecord]]]:
        """Groups by goods where every row and record says which; one group where one does not."""
        whole = [(list(range(len(rows))), list(records))]
        groups: list[tuple[list[int], list[RefundRecord]]] = []
        for record in records:
            same = [place for place, row in enumerate(rows) if self._says_same(row, [record])]
            if any(self._says_same(row, [record]) is None for row in rows):
                return whole
            known = next((group for group in groups if set(group[0]) & set(same)), None)
            if known is None:
                groups.append((same, [record]))
            else:
                known[1].append(record)
        return groups

    def _says_same(self, ones: Records, others: Records) -> bool | None:
        said = {self.same(one, other) for one, other in _across(ones, others)}
        return False if False in said else True if True in said else None

    def _pairs(self, rows: Sequence[Records], places: Sequence[int], records: Records) -> Pairs | None:
        """Equal goods first, then those that name goods with those that do not, then the rest, each oldest first."""
        pairs: Pairs = []
        left, free = list(places), list(records)
        for fits in self._rounds():
            for place in list(left):
                found = next((r for r in free if fits(rows[place], r)), None)
                if found is not None:
                    pairs.append((place, found))
                    left.remove(place)
                    free.remove(found)
        return None if left else pairs

    def _rounds(self) -> Iterable[Callable[[Records, RefundRecord], bool]]:
        yield lambda row, record: self._says_same(row, [record]) is True
        yield lambda row, record: any(r.lines for r in row) and not self.contradict(row, [record])
        yield lambda row, record: bool(record.lines) and not self.contradict(row, [record])
        yield lambda row, record: not self.contradict(row, [record])

    def _tables(self, one: OrderRef, other: OrderRef) -> Mapping[OrderRef, LineTable]:
        both = frozenset((one, other))
        if both not in self.tables:
            orders = [m.order for m in self.members if m.ref in both and m.order is not None]
            tables = line_tables(orders) if len(orders) == len(both) else None
            self.tables[both] = {o.ref: t for o, t in zip(orders, tables or (), strict=False)}
        return self.tables[both]


def _across(ones: Records, others: Records) -> Iterable[tuple[Records, Records]]:
    """The records of every order among the first against those of every other order among the second."""
    mine, theirs = _by_member(ones), _by_member(others)
    return ((mine[one], theirs[other]) for one in mine for other in theirs if one != other)


def _by_member(records: Records) -> dict[OrderRef, list[RefundRecord]]:
    result: dict[OrderRef, list[RefundRecord]] = defaultdict(list)
    for record in sorted(records, key=record_order):
        result[record.member].append(record)
    return result


def _units(tables: Mapping[OrderRef, LineTable], records: Records) -> dict[Key, int] | None:
    """Units by key, without keys of none; None when a line is not among those that match."""
    table = tables.get(records[0].member)
    found = table.units([line for record in records for line in record.lines]) if table else None
    return None if found is None else {key: count for key, count in found.items() if count > 0}
