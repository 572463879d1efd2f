"""Which refund records of different members are the same logical refund.

In this order (DESIGN 7): the row a record is already in; our token in its note; the id a receipt gave; equal sums
on every side; equal amount, lines not contradicting, by multiplicity, only where there is one way. What fits nowhere
is left unpaired and named; conservation counts every record all the same: a wrong pairing can hold but not overpay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ordersync.model import (
    ActionKind,
    ActionRecord,
    ActionState,
    CellState,
    Fact,
    FactKind,
    LedgerRow,
    Money,
    OrderRef,
    RefundState,
    fact_id_of,
    token_of,
)
from ordersync.reconcile.goods_named import Goods
from ordersync.reconcile.members import Member, RefundRecord, record_order

TOLERANCE_MINOR = 1
Slot = tuple[OrderRef, str]


@dataclass(slots=True)
class Row:
    """One logical refund and the records that are it, per member."""

    fact: Fact
    records: dict[OrderRef, list[RefundRecord]] = field(default_factory=dict)
    previous: LedgerRow | None = None

    def add(self, record: RefundRecord) -> None:
        self.records.setdefault(record.member, []).append(record)

    def sum_minor(self, member: OrderRef, *states: RefundState) -> int:
        return sum(r.amount.amount_minor for r in self.records.get(member, ()) if r.state in states)

    @property
    def all_records(self) -> list[RefundRecord]:
        return sorted((r for rows in self.records.values() for r in rows), key=record_order)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something pairing cannot settle; the decision turns it into a hold."""

    code: str
    message: str
    records: tuple[RefundRecord, ...] = ()
    fact: Fact | None = None
    money: Money | None = None


@dataclass(slots=True)
class Pairing:
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def pair_refunds(
    members: Sequence[Member], previous: Sequence[LedgerRow], journal: Sequence[ActionRecord]
) -> Pairing:
    """Pair every refund record of the link's members; `previous` are the ledger's refund rows."""
    result = Pairing()
    goods = Goods(members)
    records = _unmark_typed([r for m in members for r in m.records], journal)
    known = _keep_known(records, previous, journal, result)
    fresh = [r for slot, r in records.items() if slot not in known and r.state is not RefundState.FAILED]
    fresh.sort(key=record_order)
    fresh = _by_token(fresh, result)
    fresh = _by_receipt(fresh, journal, result)
    fresh = _into_open_rows(fresh, members, journal, goods, result)
    fresh = _by_equal_sums(fresh, members, goods, result)
    _by_amount(fresh, goods, result)
    _join_parts(members, journal, goods, result)
    result.rows.sort(
        key=lambda row: record_order(row.all_records[0]) if row.records else (0.0, 0, row.fact.origin, "")
    )
    return result


def _unmark_typed(found: Sequence[RefundRecord], journal: Sequence[ActionRecord]) -> dict[Slot, RefundRecord]:
    """What a person typed through ordersync bears a mark, but is a fact of its own, as if made in the shop's admin.

    The journal knows which; after its loss, a copy that bears the mark of the record itself proves it too.
    """
    typed = {(a.action.target, a.action.token) for a in journal if a.action.fact_id is None}
    marks = {r.token for r in found}
    return {
        r.slot: replace(r, token=None) if (r.member, r.token) in typed or token_of(_fact_id(r)) in marks else r
        for r in found
    }


def _keep_known(
    records: Mapping[Slot, RefundRecord],
    previous: Sequence[LedgerRow],
    journal: Sequence[ActionRecord],
    result: Pairing,
) -> set[Slot]:
    """Records stay in the row they entered. One that failed or vanished after it counted is a problem."""
    known: set[Slot] = set()
    for ledger_row in previous:
        row = Row(ledger_row.fact, previous=ledger_row)
        gone: list[str] = []
        for cell in ledger_row.cells:
            for record_id in cell.record_ids:
                record = records.get((cell.member, record_id))
                if record is not None:
                    known.add(record.slot)
                if record is None or record.state is RefundState.FAILED:
                    gone.append(f"{cell.member} {record_id}")
                else:
                    row.add(record)
        carried = len(row.records) > 0 or any(
            a.action.fact_id == ledger_row.fact.fact_id and a.state is not ActionState.EXPIRED for a in journal
        )
        if gone and carried:
            result.problems.append(
                Problem(
                    "refund_went_back",
                    f"a refund that was counted failed or vanished: {', '.join(gone)}",
                    tuple(row.all_records),
                    ledger_row.fact,
                    ledger_row.fact.amount,
                )
            )
        if row.records or carried:
            result.rows.append(row)
    return known


def _by_token(fresh: list[RefundRecord], result: Pairing) -> list[RefundRecord]:
    """A record with our token is a copy of the fact whose id gives that token."""
    by_token = {row.fact.token: row for row in result.rows}
    origins = {token_of(_fact_id(r)): r for r in fresh if r.token is None}
    left: list[RefundRecord] = []
    orphans: list[RefundRecord] = []
    for record in fresh:
        if record.token is None:
            left.append(record)
        elif record.token in by_token:
            by_token[record.token].add(record)
        elif record.token in origins:
            origin = origins[record.token]
            row = _new_row(origin)
            by_token[record.token] = row
            row.add(record)
            result.rows.append(row)
        else:
            orphans.append(record)
    if orphans:
        result.problems.append(
            Problem(
                "another_installation",
                "a refund carries an ordersync mark that this database did not write: "
                + ", ".join(f"{r.member} {r.record_id} {r.token}" for r in orphans),
                tuple(orphans),
                money=orphans[0].amount,
            )
        )
    placed = {r.slot for row in result.rows for r in row.all_records}
    return [r for r in left if r.slot not in placed]


def _by_receipt(fresh: list[RefundRecord], journal: Sequence[ActionRecord], result: Pairing) -> list[RefundRecord]:
    """A record whose id a platform answered to our write belongs to that write's fact."""
    by_fact = {row.fact.fact_id: row for row in result.rows}
    receipts = {
        (a.action.target, a.platform_ref): by_fact[a.action.fact_id]
        for a in journal
        if a.platform_ref and a.action.kind is ActionKind.REFUND and a.action.fact_id in by_fact
    }
    left: list[RefundRecord] = []
    for record in fresh:
        row = receipts.get(record.slot)
        if row is None:
            left.append(record)
        else:
            row.add(record)
    return left


def _into_open_rows(
    fresh: list[RefundRecord],
    members: Sequence[Member],
    journal: Sequence[ActionRecord],
    goods: Goods,
    result: Pairing,
) -> list[RefundRecord]:
    """A refund made by hand where one of that amount was owed settles it, where there is only one way.

    Never where a write of ours to that order is open or in doubt: amount alone settles no doubt.
    """
    unsure = {a.action.target for a in journal if a.state.is_open}
    left: list[RefundRecord] = []
    for member in members:
        mine = [r for r in fresh if r.member == member.ref]
        if member.ref in unsure:
            left += mine
            continue
        lacking = [row for row in result.rows if member.ref not in row.records and row.fact.amount]
        for _bucket, group in _buckets(mine):
            fitting = [row for row in lacking if row.fact.amount and _close(group[0].amount, row.fact.amount)]
            for matched in goods.pair_off([row.all_records for row in fitting], group):
                if matched.pairs is None:
                    left += matched.records
                for place, record in matched.pairs or ():
                    fitting[place].add(record)
    return sorted(left, key=record_order)


def _by_equal_sums(
    fresh: list[RefundRecord], members: Sequence[Member], goods: Goods, result: Pairing
) -> list[RefundRecord]:
    """Every member shows new refunds and they add up to the same: one refund, however many records it took.

    Only when the records do not pair off one by one anyway (100 against 60 and 40).
    """
    by_member = {m.ref: [r for r in fresh if r.member == m.ref] for m in members}
    if len(by_member) < 2 or not all(by_member.values()) or not _one_currency(fresh):
        return fresh
    if _pair_off(list(by_member.values())):
        return fresh
    sums = [sum(r.amount.amount_minor for r in rows) for rows in by_member.values()]
    if max(sums) - min(sums) > TOLERANCE_MINOR:
        return fresh
    if any(r.state is not RefundState.COMPLETED for r in fresh) or goods.contradict(fresh, fresh):
        return fresh
    origin = min(by_member, key=lambda ref: (len(by_member[ref]), record_order(by_member[ref][0])))
    records = by_member[origin]
    joined = "+".join(sorted(r.record_id for r in records))
    row = Row(
        Fact(
            fact_id=fact_id_of(origin, FactKind.REFUND, joined),
            kind=FactKind.REFUND,
            origin=origin,
            record_id=joined,
            amount=Money(
                amount_minor=sum(r.amount.amount_minor for r in records), currency=records[0].amount.currency
            ),
            happened_at=records[0].created_at,
            reason=records[0].reason,
        )
    )
    for record in fresh:
        row.add(record)
    result.rows.append(row)
    return []


def _pair_off(by_member: Sequence[Sequence[RefundRecord]]) -> bool:
    """As many records at each member, and each of one amount at all of them."""
    if len({len(records) for records in by_member}) > 1:
        return False
    ordered = [sorted(records, key=lambda r: r.amount.amount_minor) for records in by_member]
    return all(_close(same[0].amount, one.amount) for same in zip(*ordered, strict=True) for one in same)


def _by_amount(fresh: list[RefundRecord], goods: Goods, result: Pairing) -> None:
    """Equal amounts pair off when every member that has them has as many; otherwise there is more than one way.

    Refunds for different goods are no pair, however equal: each is a fact of its own.
    """
    for _bucket, group in _buckets(fresh):
        rows = _rows_of(group, goods)
        if rows is None:
            result.problems.append(
                Problem(
                    "ambiguous_refund",
                    "equal refunds that pair off in more than one way: "
                    + ", ".join(f"{r.member} {r.record_id} {r.amount}" for r in group),
                    tuple(group),
                    money=group[0].amount,
                )
            )
            continue
        for same in rows:
            row = _new_row(min(same, key=record_order))
            for record in same:
                if record.slot != row.all_records[0].slot:
                    row.add(record)
            result.rows.append(row)


def _rows_of(group: Sequence[RefundRecord], goods: Goods) -> list[list[RefundRecord]] | None:
    """Records of about one amount as logical refunds, one record of a member in each; None: more than one way.

    Members whose records say the least come last, so that the order of names decides nothing.
    """
    by_member: dict[OrderRef, list[RefundRecord]] = defaultdict(list)
    for record in group:
        by_member[record.member].append(record)
    rows: list[list[RefundRecord]] = []
    for ref in sorted(by_member, key=lambda ref: (sum(not r.lines for r in by_member[ref]), ref)):
        if not rows:
            rows = [[record] for record in by_member[ref]]
            continue
        alone: list[list[RefundRecord]] = []
        for matched in goods.pair_off(rows, by_member[ref]):
            if matched.pairs is None and matched.of_rows:
                return None
            alone += [[record] for record in matched.records] if matched.pairs is None else []
            for place, record in matched.pairs or ():
                rows[place].append(record)
        rows += alone
    return rows


def _join_parts(members: Sequence[Member], journal: Sequence[ActionRecord], goods: Goods, result: Pairing) -> None:
    """A member has several refunds that nobody else has, and lacks just one worth as much: they are its parts.

    So a refund that no single payment could take is settled when a person has made the parts, however many looks
    saw only some of them. Never where a write of ours for one of them may have happened.
    """
    tried = {
        (a.action.fact_id, a.action.target)
        for a in journal
        if a.state not in (ActionState.EXPIRED, ActionState.REFUSED)
    }
    carried = {fact_id for fact_id, _target in tried}
    for member in members:
        lacking = [r for r in result.rows if member.ref not in r.records and r.fact.amount and not _left(r)]
        parts = [r for r in result.rows if set(r.records) == {member.ref} and not _left(r)]
        if len(lacking) != 1 or len(parts) < 2:
            continue
        whole, records = lacking[0], [record for row in parts for record in row.all_records]
        if (whole.fact.fact_id, member.ref) in tried or any(row.fact.fact_id in carried for row in parts):
            continue
        if not _one_currency([*whole.all_records, *records]) or any(
            r.state is not RefundState.COMPLETED or r.token for r in records
        ):
            continue
        if goods.contradict(whole.all_records, records):
            continue
        worth = sum(r.amount.amount_minor for r in records)
        if whole.fact.amount and abs(worth - whole.fact.amount.amount_minor) <= TOLERANCE_MINOR:
            for record in records:
                whole.add(record)
            result.rows = [row for row in result.rows if all(row is not part for part in parts)]


def _left(row: Row) -> bool:
    """A person accepted that it differs."""
    cells = row.previous.cells if row.previous else ()
    return any(cell.state is CellState.WAIVED for cell in cells)


def _new_row(origin: RefundRecord) -> Row:
    row = Row(
        Fact(
            fact_id=_fact_id(origin),
            kind=FactKind.REFUND,
            origin=origin.member,
            record_id=origin.record_id,
            amount=origin.amount,
            happened_at=origin.created_at,
            reason=origin.reason,
        )
    )
    row.add(origin)
    return row


def _fact_id(record: RefundRecord) -> str:
    return fact_id_of(record.member, FactKind.REFUND, record.record_id)


def _buckets(records: Iterable[RefundRecord]) -> list[tuple[tuple[str, int], list[RefundRecord]]]:
    """Records of one currency whose amounts are within one minor unit of their neighbour, oldest first."""
    ordered = sorted(records, key=lambda r: (r.amount.currency, r.amount.amount_minor, record_order(r)))
    grouped: list[tuple[tuple[str, int], list[RefundRecord]]] = []
    last: Money | None = None
    for record in ordered:
        if last is None or not _close(last, record.amount):
            grouped.append(((record.amount.currency, record.amount.amount_minor), []))
        grouped[-1][1].append(record)
        last = record.amount
    for _bucket, group in grouped:
        group.sort(key=record_order)
    return grouped


def _close(one: Money, other: Money) -> bool:
    return one.currency == other.currency and abs(one.amount_minor - other.amount_minor) <= TOLERANCE_MINOR


def _one_currency(records: Sequence[RefundRecord]) -> bool:
    return len({r.amount.currency for r in records}) <= 1
