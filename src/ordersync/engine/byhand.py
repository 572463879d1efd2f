"""Writes a person types: the same journal, the same checks against paying twice, and the person is recorded."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from datetime import datetime

from ordersync.engine.apply import CLAIM_FOR
from ordersync.engine.look import member_of
from ordersync.engine.observe import observe
from ordersync.engine.pausing import require_not_paused
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shops
from ordersync.engine.writes import Writer, WriteResult, settle, utc_now
from ordersync.errors import Held, Refused, UsageError
from ordersync.model import (
    Action,
    ActionKind,
    Money,
    OrderRef,
    Purse,
    stable_hash,
    token_of,
)
from ordersync.reconcile import Limits, Member
from ordersync.reconcile.members import in_flight_minor, money_digest
from ordersync.store import Store, new_owner


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    kind: ActionKind
    amount: Money | None = None
    reason: str | None = None
    payment_id: str | None = None
    to_books: bool | None = None
    """Refund only in the books; None: as the payment's purse says."""
    restock: bool = False
    notify_buyer: bool = False
    processed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    action: Action
    wish: Wish
    warnings: tuple[str, ...]
    """What the person should know before saying yes."""


def prepare(store: Store, shops: Shops, ref: OrderRef, wish: Wish) -> Prepared:
    """Read the order fresh and check the wish against it. Nothing is written.

    Errors: UsageError (no such call, wrong currency or payment), Refused (more than is left), Held (its shop is
    paused, or an earlier write to this order is not settled).
    """
    shop = shops.get(ref.shop)
    if shop is None:
        raise UsageError(f"no shop named {ref.shop} in the configuration", next_step="ordersync check")
    if wish.kind.value not in shop.capabilities:
        raise UsageError(
            f"{ref.shop} cannot {wish.kind}",
            code="no_such_call",
            shop=ref.shop,
            next_step="ordersync connectors list   shows what each platform can; `allow:` may forbid it",
        )
    require_not_paused(store, ref.shop)
    observe(store, shop, ref.order_id)
    for record in store.actions(target=ref, open_only=True):
        after = settle(store, shop, record, utc_now)
        if after.state.is_open:
            raise Held(
                f"an earlier {record.action.kind} to {ref} is not settled ({after.state})",
                code="write_in_flight",
                shop=ref.shop,
                order=ref.order_id,
                next_step="ordersync holds list",
            )
    member = member_of(store, shops, ref)
    if member.order is None or member.problem:
        raise Refused(f"{ref} cannot be written to: {member.problem}", code="unreadable")
    payment_id, purse = _purse(member, wish)
    amount, captured_after = _capture(member, wish, payment_id)
    if wish.kind is ActionKind.REFUND:
        _check_refund(store, member, wish)
    warnings = tuple(_warnings(store, member, wish, purse))
    there = member.refunded_minor + member.pending_minor
    who = who_types()
    already = f"{there}/{member.captured_minor}/{member.order.is_cancelled}/{member.order.archived}"
    tries = sum(1 for a in store.actions(target=ref) if a.action.fact_id is None and not a.state.is_open)
    key = stable_hash("by hand", str(ref), wish.kind.value, str(wish.amount), already, str(tries))[:40]
    action = Action(
        key=key,
        kind=wish.kind,
        target=ref,
        token=token_of(stable_hash("by hand", key)),
        amount=amount,
        payment_id=payment_id,
        purse=purse,
        reason=wish.reason,
        restock=wish.restock,
        notify_buyer=wish.notify_buyer,
        processed_at=wish.processed_at,
        captured_after=captured_after,
        because=f"typed by {who}",
        digest=money_digest([member], wish.kind.value, str(wish.amount)),
        by=who,
        implied=_implied(member, wish),
    )
    return Prepared(action, wish, warnings)


def perform(
    store: Store, shops: Shops, prepared: Prepared, sent_log: SentLog, limits: Limits | None = None
) -> WriteResult:
    """Claim the order, look once more, and send it: intent, one call, receipt, read-back.

    Errors: Held when another process works on the order, or when its money changed since it was prepared (apply may
    have made the same refund while a person read the question).
    """
    ref = prepared.action.target
    link = store.link_of(ref)
    owner = new_owner()
    if not store.claim(link.members if link else (ref,), owner, utc_now(), CLAIM_FOR):
        raise Held(
            f"another ordersync process is working on {ref}; nothing was sent",
            code="claimed",
            shop=ref.shop,
            order=ref.order_id,
            next_step="run the same command again in a minute",
        )
    try:
        now_seen = prepare(store, shops, ref, prepared.wish).action
        if (now_seen.key, now_seen.digest) != (prepared.action.key, prepared.action.digest):
            raise Held(
                f"{ref} changed since you were asked; nothing was sent",
                code="changed_since",
                shop=ref.shop,
                order=ref.order_id,
                next_step=f"look: ordersync orders show {ref}; then type the command again if it is still wanted",
            )
        writer = Writer(store, sent_log, limits, utc_now())
        return writer.write(shops[ref.shop], prepared.action)
    finally:
        store.release(owner)


def _capture(member: Member, wish: Wish, payment_id: str | None) -> tuple[Money | None, Money | None]:
    """The amount to send and what the payment must show afterwards. Without an amount typed: all that is left.

    Errors: Refused when nothing is left to capture, or more is typed than is left.
    """
    if wish.kind is not ActionKind.CAPTURE:
        return wish.amount, None
    payment = next(p for p in (member.order.payments if member.order else None) or () if p.id == payment_id)
    left = payment.amount - payment.captured
    if left.amount_minor <= 0:
        raise Refused(f"payment {payment.id} of {member.ref} is captured in full already", code="already_captured")
    if wish.amount is not None and wish.amount.currency != left.currency:
        raise UsageError(f"{member.ref} is in {left.currency}, not {wish.amount.currency}", code="wrong_currency")
    if wish.amount is not None and left < wish.amount:
        raise Refused(
            f"payment {payment.id} of {member.ref} has {left} left to capture",
            code="exceeds_authorized",
            next_step=f'--amount "{left}" captures the rest',
        )
    # Some platforms capture only the whole; they are asked for an amount only where part is captured already.
    sent = wish.amount or (left if payment.captured else None)
    return sent, payment.captured + (wish.amount or left)


def who_types() -> str:
    """The person at the keyboard, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # a container may run under an id that has no name
        return f"uid {os.getuid()}"


def _purse(member: Member, wish: Wish) -> tuple[str | None, Purse | None]:
    """The payment a refund or capture is about, and whether a refund there pays the buyer."""
    payments = (member.order.payments if member.order else None) or ()
    if wish.kind not in (ActionKind.REFUND, ActionKind.CAPTURE):
        if wish.kind is ActionKind.CANCEL and member.holds_gateway_money:
            return None, Purse.GATEWAY
        return None, None
    paid = member.paid_payments if wish.kind is ActionKind.REFUND else payments
    chosen = [p for p in paid if wish.payment_id in (None, p.id)]
    if wish.payment_id is None and len(chosen) > 1:
        raise UsageError(
            f"{member.ref} has {len(chosen)} payments",
            code="several_payments",
            next_step="name one with --payment: " + ", ".join(f"{p.id} ({p.provider} {p.amount})" for p in chosen),
        )
    if not chosen:
        raise UsageError(
            f"{member.ref} has no {'paid ' if wish.kind is ActionKind.REFUND else ''}payment"
            + (f" {wish.payment_id}" if wish.payment_id else ""),
            code="no_payment",
        )
    purse = chosen[0].purse
    wanted = {None: purse, True: Purse.BOOKS, False: Purse.GATEWAY}[wish.to_books]
    if wanted is not purse and not member.semantics.refund_can_only_mark:
        raise UsageError(
            f"on {member.ref.shop} the payment decides whether a refund pays the buyer, and this one is {purse}",
            code="purse_cannot_be_chosen",
            next_step="leave out --to, or correct books_only: of the shop if the payment is not what it seems",
        )
    return chosen[0].id, wanted


def _check_refund(store: Store, member: Member, wish: Wish) -> None:
    order, amount = member.order, wish.amount
    if amount is None or amount.amount_minor <= 0 or order is None:
        raise UsageError("a refund needs an amount", next_step='--amount "5.00 USD"')
    if amount.currency != order.money_currency:
        raise UsageError(
            f"{member.ref} is in {order.money_currency}, not {amount.currency}", code="wrong_currency"
        )
    flying = in_flight_minor(member.ref, store.actions(target=member.ref), member.records)
    left = member.captured_minor - member.refunded_minor - member.pending_minor - flying
    if amount.amount_minor > left:
        rest = Money(amount_minor=max(left, 0), currency=amount.currency)
        raise Refused(
            f"{member.ref} has {rest} left to refund, {amount} would exceed it",
            code="exceeds_captured",
            next_step=f'--amount "{rest}" refunds the rest' if left > 0 else None,
        )


def _implied(member: Member, wish: Wish) -> Money | None:
    """What a cancel there gives back by itself, at most; limits count it like a refund."""
    left = member.captured_minor - member.refunded_minor
    if wish.kind is not ActionKind.CANCEL or member.order is None or left <= 0:
        return None
    if member.semantics.cancel_refunds == "none":
        return None
    return wish.amount or Money(amount_minor=left, currency=member.order.money_currency)


def _warnings(store: Store, member: Member, wish: Wish, purse: Purse | None) -> list[str]:
    said: list[str] = []
    left = member.captured_minor - member.refunded_minor
    currency = member.order.money_currency if member.order else ""
    if wish.kind is ActionKind.REFUND:
        said.append("TO BUYER: this sends money" if purse is Purse.GATEWAY else "books: this only marks it")
        if any(r.amount == wish.amount for r in member.records):
            said.append(f"{member.ref} already shows a refund of exactly {wish.amount}")
    if wish.kind is ActionKind.CANCEL and left > 0 and member.semantics.cancel_refunds != "none":
        rest = Money(amount_minor=left, currency=currency)
        sure = "refunds" if member.semantics.cancel_refunds == "all" else "may refund"
        where = "TO BUYER" if member.holds_gateway_money else "books"
        said.append(f"{where}: cancelling here {sure} what is left, {rest}")
    link = store.link_of(member.ref)
    if link is not None and wish.kind in (ActionKind.REFUND, ActionKind.CANCEL):
        others = ", ".join(str(ref) for ref in link.members if ref != member.ref)
        said.append(f"linked ({link.link_id}): your policy may carry it to {others}")
    return said
