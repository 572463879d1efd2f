"""`make decisions`: docs/decisions.md, a table of situations and what the decision makes of each.

Every cell of the last column is what `reconcile` returned for a small link built beside it; nothing is written by
hand. A test compares the committed file with a fresh run, and fails while a reason code stands in no line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import decision_cancels as cancels
from tools import decision_goods as goods
from tools import decision_refunds as refunds
from tools.decision_looks import Situation

from ordersync.model import Action, ActionKind, Cell, CellState, Decision, FactKind, Purse

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "decisions.md"
HOLDS = ROOT / "docs" / "holds.md"

WAITING = {
    "carry_after": "{at} waits until it is old enough",
    "refund_pending": "{at} waits until the refund is completed",
    "cancel_first": "{at} is to be cancelled, nothing is shipped there",
    "refunds_first": "{at} is cancelled after its refunds",
    "one_at_a_time": "{at} gets the next write after this one is seen",
    "money_held": "{at} waits for the hold on the link's money",
    "money_not_back": "{at} waits an hour for its money to be refunded",
    "in_flight": "{at} waits: the write is under way",
    "looked_for": "{at} waits to be looked at twice",
    "not_yet_visible": "{at} waits to be shown it, up to an hour",
}
UNABLE = {
    "no_refund_call": "no call for it",
    "nothing_captured": "nothing was captured there",
    "cannot_be_read_back": "what is written could not be told apart later",
    "no_cancel_call": "no cancel that could be read back",
    "no_ship_call": "no call for it",
    "cannot_express": "no way there",
    "cancelled_since": "both are cancelled",
}
ELSEWHERE = {
    "limit_reached": "before the first write of a kind, and once more as each is stored: counts and values of a run "
    "and of 24 hours",
    "order_change_open": "when a write is about to be sent: the shop has an open edit or return on that order",
    "order_vanished": "when an order is fetched: the shop says it does not exist",
    "parked": "when an order is read: it could not be understood",
    "unreadable_row": "when a feed is read",
    "unauthorized": "when a shop refuses its key",
    "reference_unconfirmed": "when a link rule is followed",
    "duplicate_mirror": "when a link rule is followed, or links are suggested",
    "split_sale": "when a link rule is followed, or links are suggested",
}
"""Reason codes no decision returns, and when they arise instead."""
NOT_REACHED = {
    "money_not_loaded": "an order without its money is held as unreadable before anything is decided about it",
    "now_possible": "a code of a hold",
}
"""Reasons of a cell that no line can show."""

HEAD = """# What happens when

Each line is a small sale that was built and decided by the code itself; `make decisions` writes this page, and a test
fails when it no longer says what the code does. A, B and C are shops with one order each of the same sale.

Unless a line says otherwise: 100.00 USD for two units, paid in full at every shop; every shop's word counts for every
kind; payments only mark (`books_only`), so a refund there pays nobody; what changed is half an hour old, the link
older; a cancel moves no money; every shop can take every write; nothing was written before.

*Settled* means that nothing is written and nobody is asked. What is *held* waits for you, its name leads to what it
means and how to answer. What *waits* goes on by itself. *Local* is shown and never carried. Limits come after all
this, when the write is stored.
"""


def sections() -> list[tuple[str, str, list[Situation]]]:
    """Heading, what to know first, and the lines below it."""
    return [
        ("Refunds: one side changed", "", refunds.one_side()),
        ("Refunds: both sides show one", "", refunds.both_sides()),
        (
            "Captures",
            "A capture is carried nowhere. It bounds what may be refunded at that order.",
            refunds.bounds(),
        ),
        ("Refunds: what the other shop can be told", "", refunds.abilities()),
        ("Refunds: after a write, and after an answer", "", refunds.attempts()),
        ("Refunds: three orders", "", refunds.three()),
        ("Cancels and money", "", cancels.money()),
        ("Cancels and the state of the other order", "", cancels.states()),
        ("Cancels: after a write, and after an answer", "", cancels.attempts()),
        ("Cancels: three orders", "", cancels.three()),
        ("Shipments", "", goods.shipments()),
        (
            "Progress",
            "The steps are pending, confirmed, processing, completed; one step a write.",
            goods.progress(),
        ),
    ]


def render() -> str:
    """The whole page."""
    where = _holds_sections()
    parts = [HEAD]
    for heading, note, situations in sections():
        parts.append(f"## {heading}\n")
        if note:
            parts.append(f"{note}\n")
        rows = [f"| {s.changed} | {s.where} | {outcome(s.decision, where)} |" for s in situations]
        parts.append("\n".join(["| what changed | where | what happens |", "| --- | --- | --- |", *rows]) + "\n")
    parts.append("## Holds that arise elsewhere\n")
    rows = [f"| {_linked(code, where)} | {said} |" for code, said in ELSEWHERE.items()]
    parts.append("\n".join(["| hold | when |", "| --- | --- |", *rows]) + "\n")
    return "\n".join(parts)


def outcome(decision: Decision, where: dict[str, str]) -> str:
    """What came out, in words: writes first, then what waits, what is held, and what is not carried."""
    said = [_write(action) for action in decision.actions]
    said += [f"{WAITING[w.code].format(at=w.target.shop)}: `{w.code}`" for w in decision.waits]
    said += [f"held{f' at {h.target.shop}' if h.target else ''}: {_linked(h.code, where)}" for h in decision.holds]
    cells = [(row.fact.kind, cell) for row in decision.ledger.rows for cell in row.cells]
    said += [text for kind, cell in cells if (text := _kept(kind, cell))]
    if not said:
        said = [_plain(text) for text in decision.skipped] or ["settled"]
    return "; ".join(dict.fromkeys(said))


def _write(action: Action) -> str:
    shop = action.target.shop
    if action.kind is ActionKind.REFUND:
        does = (
            f"**refunds {action.amount} at {shop}, which pays the buyer**"
            if action.purse is Purse.GATEWAY
            else f"**marks {action.amount} as refunded at {shop}**"
        )
        lines = sum(line.quantity for line in action.refund_lines)
        return does + (f", for {_units(lines)}" if lines else "") + (", stock returns" if action.restock else "")
    if action.parcel is not None:
        units = sum(line.quantity for line in action.parcel.lines)
        tracking = f", tracking {action.parcel.tracking_number}" if action.parcel.tracking_number else ""
        packed = " as they stand packed" if action.parcel.fulfillment_id else ""
        return f"**{action.kind}s {_units(units)} at {shop}{packed}**{tracking}"
    return (
        f"**{action.kind}s {shop}**"
        if action.kind is not ActionKind.PROCESS
        else f"**moves {shop} to processing**"
    )


def _units(count: int) -> str:
    return f"{count} unit{'' if count == 1 else 's'}"


def _kept(kind: FactKind, cell: Cell) -> str | None:
    """What the ledger says of a member that gets nothing."""
    shop = cell.member.shop
    if cell.state is CellState.LOCAL:
        return f"{shop} is not {'cancelled' if kind is FactKind.CANCELLATION else 'refunded'}: local"
    if cell.state is CellState.WAIVED:
        return f"{shop} stays as it is: `waived`"
    if cell.state is CellState.CANNOT and cell.reason in UNABLE:
        return f"{shop} cannot take it, {UNABLE[cell.reason]}: `{cell.reason}`"
    return None


def _plain(text: str) -> str:
    """A reason the decision gives, with shops for orders."""
    return re.sub(r"\b([ABC]):1\b", r"\1", text)


def _linked(code: str, where: dict[str, str]) -> str:
    return f"[`{code}`](holds.md#{where[code]})"


def _holds_sections() -> dict[str, str]:
    """Reason code -> the anchor of its section of docs/holds.md."""
    found: dict[str, str] = {}
    anchor = ""
    for line in HOLDS.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            anchor = re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-")
        elif row := re.match(r"\| `([a-z_]+)` \|", line):
            found[row.group(1)] = anchor
    return found


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--print"]:
        print(render(), end="")
        return 0
    DOCUMENT.write_text(render(), encoding="utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)}: {sum(len(rows) for _, _, rows in sections())} situations")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
