"""Links, facts, the ledger, actions and holds: what is decided about, and the decision as data."""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum

from pydantic import AwareDatetime

from ordersync.model.money import Money
from ordersync.model.order import Frozen, OrderRef, Purse


class LinkOrigin(StrEnum):
    HAND = "hand"
    CSV = "csv"
    RULE = "rule"
    SUGGESTION = "suggestion"


class Link(Frozen):
    """Two or more orders that are the same sale, at most one per shop; members are sorted."""

    link_id: str
    members: tuple[OrderRef, ...]
    origin: LinkOrigin
    rule: str | None = None
    made_at: AwareDatetime
    joined: tuple[tuple[str, AwareDatetime], ...] = ()
    """Shops whose order came to the link later, and when; the others were in it when it was made."""

    def joined_later(self, ref: OrderRef) -> AwareDatetime | None:
        """When this member joined; None for one that was there from the beginning."""
        return next((at for shop, at in self.joined if shop == ref.shop), None)


class FactKind(StrEnum):
    CANCELLATION = "cancellation"
    REFUND = "refund"
    SHIPMENT = "shipment"
    PROGRESS = "progress"


class Fact(Frozen):
    """Something that happened to one order and matters to the others."""

    fact_id: str
    kind: FactKind
    origin: OrderRef
    record_id: str
    amount: Money | None = None
    happened_at: AwareDatetime | None = None
    reason: str | None = None

    @property
    def token(self) -> str:
        return token_of(self.fact_id)


def fact_id_of(origin: OrderRef, kind: FactKind, record_id: str) -> str:
    """The same for every target and on every machine: it needs no database."""
    return stable_hash(origin.shop, origin.order_id, kind.value, record_id)


def token_of(fact_id: str) -> str:
    """The short form written to platforms: `os-` and 8 base32 characters."""
    return "os-" + base64.b32encode(bytes.fromhex(fact_id)[:5]).decode().lower()


def stable_hash(*parts: str) -> str:
    """SHA-256 over length-prefixed parts, as hex: no two part lists share an encoding."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


class CellState(StrEnum):
    PRESENT = "present"
    OWED = "owed"
    SENT = "sent"
    CANNOT = "cannot"
    FAILED = "failed"
    WAIVED = "waived"
    LOCAL = "local"


class Cell(Frozen):
    """One fact at one member."""

    member: OrderRef
    state: CellState
    record_ids: tuple[str, ...] = ()
    amount: Money | None = None
    reason: str | None = None


class LedgerRow(Frozen):
    fact: Fact
    cells: tuple[Cell, ...]

    def cell(self, member: OrderRef) -> Cell | None:
        return next((cell for cell in self.cells if cell.member == member), None)


class Ledger(Frozen):
    rows: tuple[LedgerRow, ...] = ()


class ActionKind(StrEnum):
    CANCEL = "cancel"
    REFUND = "refund"
    PACK = "pack"
    SHIP = "ship"
    DELIVER = "deliver"
    CONFIRM = "confirm"
    PROCESS = "process"
    COMPLETE = "complete"
    ARCHIVE = "archive"
    CAPTURE = "capture"

    @property
    def moves_money(self) -> bool:
        return self in (ActionKind.CANCEL, ActionKind.REFUND, ActionKind.CAPTURE)


class LineUnits(Frozen):
    """Units of one line item of the order that is written to."""

    line_item_id: str
    quantity: int


class Parcel(Frozen):
    """What a `pack` or `ship` is about."""

    lines: tuple[LineUnits, ...]
    shipped_after: tuple[LineUnits, ...]
    """Units of each of these lines that have left once it is done: this is how it is read back."""
    fulfillment_id: str | None = None
    """The packed parcel that is shipped; None where one call makes and ships it."""
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None


class Action(Frozen):
    """One write, one HTTP call.

    `key` is its identity: the same fact, target, step, payment, amount already there and generation give the
    same key on every machine. `digest` binds an approval or a saved plan to what was seen.
    """

    key: str
    kind: ActionKind
    target: OrderRef
    link_id: str | None = None
    """None for a command given by hand."""
    fact_id: str | None = None
    token: str
    amount: Money | None = None
    payment_id: str | None = None
    purse: Purse | None = None
    reason: str | None = None
    restock: bool = False
    notify_buyer: bool = False
    processed_at: AwareDatetime | None = None
    refund_lines: tuple[LineUnits, ...] = ()
    """What a refund is for, in the target's own lines, where its platform can be told."""
    shipping: Money | None = None
    """The part of a refund that is for shipping."""
    parcel: Parcel | None = None
    captured_after: Money | None = None
    """What the payment must show as captured once a capture is done: earlier captures do not prove this one."""
    because: str
    """One sentence for a person: which fact, where, when."""
    digest: str
    by: str | None = None
    """Who asked, for a command given by hand."""
    implied: Money | None = None
    """What a cancel gives back to the buyer by itself."""
    approvals: tuple[int, ...] = ()
    """Answers of a person this write needs: all are used up when its intent is stored, or it is not stored."""

    @property
    def value(self) -> Money | None:
        """Money this write refunds, named or implied; None where it refunds nothing."""
        return {ActionKind.REFUND: self.amount, ActionKind.CANCEL: self.implied}.get(self.kind)

    @property
    def pays_buyer(self) -> bool:
        return self.purse is Purse.GATEWAY and self.kind in (ActionKind.REFUND, ActionKind.CANCEL)


class ActionState(StrEnum):
    """intended -> sending -> receipted -> seen; or expired (never sent), refused (proven not done),
    doubt (sent, nobody knows; a person may say that it did not happen: expired), left (a person gave up a doubt:
    it may have happened and counts in every bound)."""

    INTENDED = "intended"
    SENDING = "sending"
    RECEIPTED = "receipted"
    SEEN = "seen"
    EXPIRED = "expired"
    REFUSED = "refused"
    DOUBT = "doubt"
    LEFT = "left"

    @property
    def is_open(self) -> bool:
        """Counts as possibly done but not yet read back."""
        return self in (
            ActionState.INTENDED,
            ActionState.SENDING,
            ActionState.RECEIPTED,
            ActionState.DOUBT,
        )


class ActionRecord(Frozen):
    """An action's row in the journal."""

    action: Action
    state: ActionState
    intended_at: AwareDatetime
    send_by: AwareDatetime | None = None
    sent_at: AwareDatetime | None = None
    answered_at: AwareDatetime | None = None
    platform_ref: str | None = None
    """The platform's id of what was made, from its answer or from reading back."""
    looked_at: tuple[AwareDatetime, ...] = ()
    """When a doubtful action was looked for."""
    answer: str | None = None
    """One line: what the platform answered."""


class Batched(Frozen):
    """One write of a batch that waits for one answer. The digest binds it to the money that was seen."""

    key: str
    kind: ActionKind
    target: OrderRef
    link_id: str | None = None
    fact_id: str | None = None
    amount: Money | None = None
    pays_buyer: bool = False
    digest: str


class Hold(Frozen):
    """Anything that waits for a person. `key` names it across runs, so that it opens once."""

    key: str
    code: str
    subject: str
    """`link:L12`, `order:asia:1043`, `action:<key>`, `run:…` or `shop:asia`."""
    message: str
    evidence: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    money: Money | None = None
    sticky: bool = False
    """Does not close itself when the next look no longer derives it."""
    link_id: str | None = None
    target: OrderRef | None = None
    facts: tuple[str, ...] = ()
    """Facts it is about: leaving it accepts that they differ."""
    digest: str | None = None
    """The money facts an answer is bound to; None: what the hold says."""
    batch: tuple[Batched, ...] = ()
    """The writes it stops, where one answer is for all of them: another batch is another hold."""


class Wait(Frozen):
    """Something owed that is not yet time for; no person is needed."""

    code: str
    link_id: str
    target: OrderRef
    fact_id: str
    message: str
    until: AwareDatetime | None = None


class Decision(Frozen):
    """What reconcile returned: `plan` prints it, `apply` does it, `explain` tells why."""

    link_id: str
    ledger: Ledger
    actions: tuple[Action, ...] = ()
    holds: tuple[Hold, ...] = ()
    waits: tuple[Wait, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        return not (self.actions or self.holds or self.waits)


def hold_key(code: str, subject: str, *discriminators: str) -> str:
    return stable_hash(code, subject, *discriminators)[:32]
