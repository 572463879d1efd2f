"""The referee of a day: what the persons did against what the shops' own lists show.

It knows nothing of how ordersync decides. Each thing a person did must show exactly once in every shop of its sale,
or a hold must say why not; and nothing else may have happened. Anything else is a surprise, in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ordersync.testing.day.book import PAYING, DaySale, Deal
from ordersync.testing.day.lists import Lists, Shown

MARK = "os-"
"""How every note of a write by ordersync begins or contains its mark."""

MONEY, GOODS, CANCEL = "money", "goods", "cancel"
_WORDS = {MONEY: ("refund",), GOODS: ("parcel", "a pack ", "a ship "), CANCEL: ("cancel",)}
"""What a hold about a write says the write was: the fact when it was refused, the call when it is in doubt."""
_ABOUT: Mapping[str, str] = {
    "cancel_after_shipping": CANCEL,
    "cancel_with_parcels": CANCEL,
    "cancel_completed": CANCEL,
    "cancel_archived": CANCEL,
    "cancellation_vanished": CANCEL,
    "money_not_back": CANCEL,
    "shipped_but_cancelled": GOODS,
    "packed_differently": GOODS,
    "lines_do_not_fit": GOODS,
    "lines_do_not_match": GOODS,
    "shipment_went_back": GOODS,
    "parcels_differ": GOODS,
}
"""What a hold keeps from being carried, where its code says so; every other code is taken for money."""

_WHOLE = frozenset({"parcels_differ"})
"""Codes that put the whole sale in question although they name one shop."""


@dataclass(frozen=True, slots=True)
class HeldSale:
    """An open hold on a sale, as the inbox shows it."""

    number: str
    code: str
    text: str
    """Message and evidence."""
    shop: str | None
    """The shop it keeps something from; None: all of the sale."""

    def keeps(self, what: str) -> bool:
        """Whether it may keep this kind of thing from being carried.

        A cancel that is held keeps parcels back too, and the money that was given back with it, which it names.
        """
        if self.code in ("refused", "in_doubt", "not_visible"):
            return any(word in self.text for word in _WORDS[what])
        about = _ABOUT.get(self.code, MONEY)
        return about == what or (about == CANCEL and what in (GOODS, MONEY))


@dataclass(slots=True)
class Verdict:
    surprises: list[str] = field(default_factory=list)
    refunds: int = 0
    copies: int = 0
    """Refund records no person made."""
    cancels: int = 0
    parcels: int = 0
    paid_minor: int = 0
    """What the buyers got back, by the paying shop's own list."""
    least_minor: int = 0
    most_minor: int = 0
    """What they may have got back: by persons' own hands, and with everything carried."""
    held: int = 0
    """Sales with an open hold."""


def judge(sales: Sequence[DaySale], lists: Lists, holds: Mapping[int, Sequence[HeldSale]]) -> Verdict:
    """Compare the whole day; `holds` are the open holds by the number of their sale."""
    verdict = Verdict()
    known = {(shop, order_id) for sale in sales for shop, order_id in sale.ids.items()}
    for shop, orders in lists.items():
        verdict.surprises += [f"{shop}:{one} was placed by nobody" for one in orders if (shop, one) not in known]
    for sale in sales:
        held = holds.get(sale.spec.number, ())
        verdict.held += bool(held)
        if sale.calm:
            said = [f"{one.number} {one.code} is held without need: {one.text}" for one in held]
            verdict.surprises += [f"{_name(sale)}: {text}" for text in said]
        for shop, order_id in sale.ids.items():
            shown = lists[shop].get(order_id)
            if shown is None:
                verdict.surprises.append(f"{_name(sale)}: {shop} lists no order {order_id}")
                continue
            found = [
                *_money(sale, shop, shown, held, verdict),
                *_cancel(sale, shop, shown, held),
                *_goods(sale, shop, shown, held),
                *_step(sale, shop, shown, held),
            ]
            verdict.cancels += shown.cancelled
            verdict.parcels += sum(p.state in ("shipped", "delivered") for p in shown.parcels.values())
            verdict.surprises += [f"{_name(sale)} at {shop}: {text}" for text in found]
    if not verdict.least_minor <= verdict.paid_minor <= verdict.most_minor:
        verdict.surprises.append(
            f"buyers got {verdict.paid_minor}, not between {verdict.least_minor} and {verdict.most_minor}"
        )
    return verdict


def _name(sale: DaySale) -> str:
    return f"sale {sale.spec.number} ({sale.fate})"


def _held(held: Sequence[HeldSale], about: str, shop: str, word: str = "") -> bool:
    """A hold says why this is not there: it names the shop or the whole sale, and the amount where there is one."""
    return any(
        one.keeps(about) and (one.shop in (None, shop) or one.code in _WHOLE) and word in one.text for one in held
    )


def _money(sale: DaySale, shop: str, shown: Shown, held: Sequence[HeldSale], verdict: Verdict) -> Iterator[str]:
    by_hand = {record: deal for deal in sale.refunds for record in deal.records.get(shop, ())}
    verdict.refunds += len(shown.refunds)
    for record, deal in by_hand.items():
        there = shown.refunds.get(record)
        if there is None or there.minor != deal.minor:
            yield f"the refund {record} a person made is gone or changed"
    missing = [deal for deal in sale.refunds if deal.counts and not deal.records.get(shop)]
    wanted = Counter(deal.minor for deal in missing)
    for record, there in shown.refunds.items():
        if record in by_hand:
            continue
        verdict.copies += 1
        if MARK not in there.note:
            yield f"nobody made the refund {record} of {there.minor}"
        elif there.state != "completed":
            yield f"the copy {record} is {there.state}"
        elif not wanted[there.minor]:
            yield f"refund {record} of {there.minor} is one too many"
        wanted[there.minor] -= 1
    for deal in missing:
        if wanted[deal.minor] > 0 and not _held(held, MONEY, shop, _text(deal)):
            yield f"a refund of {deal.minor} is missing and nothing says why"
    if sale.calm and any(count > 0 for count in wanted.values()):
        yield f"refunds of {sorted(wanted.elements())} are missing"
    if shop == PAYING:
        own = sum(deal.minor for deal in by_hand.values() if deal.counts)
        everything = sum(deal.minor for deal in sale.refunds if deal.counts)
        verdict.paid_minor += shown.refunded_minor()
        verdict.least_minor += everything if sale.calm else own
        verdict.most_minor += everything
    if shown.refunded_minor() > shown.captured_minor:
        yield f"{shown.refunded_minor()} are refunded of {shown.captured_minor}"


def _text(deal: Deal) -> str:
    return f"{deal.minor // 100}.{deal.minor % 100:02d}"


def _cancel(sale: DaySale, shop: str, shown: Shown, held: Sequence[HeldSale]) -> Iterator[str]:
    if shown.cancelled and not sale.cancelled:
        yield "nobody cancelled it"
    if sale.cancelled and not shown.cancelled and not _held(held, CANCEL, shop):
        yield "its cancel is missing and nothing says why"
    if sale.calm and bool(sale.cancelled) != shown.cancelled:
        yield "its cancel is not as it should be"


def _goods(sale: DaySale, shop: str, shown: Shown, held: Sequence[HeldSale]) -> Iterator[str]:
    by_hand = {record: deal for deal in sale.parcels for record in deal.records.get(shop, ())}
    numbers = {deal.tracking for deal in sale.parcels}
    for record, parcel in shown.parcels.items():
        if record not in by_hand and parcel.tracking and parcel.tracking not in numbers:
            yield f"parcel {record} has the tracking number {parcel.tracking} of nobody"
        if record not in by_hand and not parcel.tracking and parcel.state in ("shipped", "delivered"):
            yield f"parcel {record} left without its tracking number"
    wanted, there = sale.sent(), shown.sent
    if there - wanted and not _held(held, GOODS, shop):
        yield f"{dict(there - wanted)} left, which nobody sent"
    if wanted - there and not _held(held, GOODS, shop):
        yield f"{dict(wanted - there)} should have left and nothing says why not"
    if sale.calm and wanted != there:
        yield f"{dict(there)} left, not {dict(wanted)}"


def _step(sale: DaySale, shop: str, shown: Shown, held: Sequence[HeldSale]) -> Iterator[str]:
    """A shop without such a step never shows it."""
    if shop == PAYING:
        return
    if shown.completed and not sale.completed:
        yield "nobody completed it"
    if sale.completed and not shown.completed and not held:
        yield "it should be completed and nothing says why not"
