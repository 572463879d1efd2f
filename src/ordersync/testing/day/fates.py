"""What can happen to a sale in a day. A fate is a generator: it acts through the book and yields rounds to wait.

`calm` fates are what shops do every day: all of it must be carried and nothing held. The others are what a person
must look at: what is not carried there must be held by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from ordersync.testing.day.book import ASIA, OFFICE, PAYING, WEB, Book, DaySale, Deal, Steps

Fate = Callable[[Book, DaySale], Steps]


class Chance(NamedTuple):
    weight: int
    fate: Fate
    calm: bool = True
    paid: bool = True
    late: bool = False
    """The mirror on web appears rounds later than the rest."""


def _part(book: Book, sale: DaySale, low: int = 10, high: int = 40) -> int:
    """Some of what is left, in minor units, and no amount this sale refunded before."""
    used = {deal.minor for deal in sale.refunds}
    while True:
        minor = max(100, sale.left_minor() * book.dice.randint(low, high) // 100)
        minor -= book.dice.randint(0, 40)
        if minor not in used:
            return minor


def _any(book: Book, sale: DaySale) -> str:
    return book.dice.choice(list(sale.ids))


def _some_units(book: Book, sale: DaySale) -> Counter[str]:
    """A part of what is left to send; all of it when only one unit is left."""
    left = sale.left_to_send()
    skus = sorted(left.elements())
    return Counter(book.dice.sample(skus, max(1, len(skus) // 2)))


def quiet(_book: Book, _sale: DaySale) -> Steps:
    yield 1


def edited(book: Book, sale: DaySale) -> Steps:
    """Notes, references, the archive: nothing of it is for the other shops."""
    yield 1
    book.edit(sale, _any(book, sale))
    book.edit_reference(sale, _any(book, sale))
    if ASIA in sale.ids:
        book.archive(sale, ASIA, hidden=True)
        yield 2
        book.archive(sale, ASIA, hidden=False)


def part_refunded(book: Book, sale: DaySale) -> Steps:
    yield 1
    book.refund(sale, _any(book, sale), _part(book, sale))


def goods_refunded(book: Book, sale: DaySale) -> Steps:
    """By line, where the admin takes lines; shipping with it, where it takes that."""
    yield 1
    shop = book.one_of(sale, "lines") or _any(book, sale)
    line = book.dice.choice(sale.spec.lines)
    shipping = sale.spec.shipping_minor if book.can(shop, "shipping") and book.dice.random() < 0.5 else 0
    units = {line.sku: 1} if book.can(shop, "lines") else None
    book.refund(sale, shop, line.unit_price_minor + shipping, units=units, shipping_minor=shipping)


def all_refunded(book: Book, sale: DaySale) -> Steps:
    yield 1
    book.refund(sale, _any(book, sale), sale.spec.total_minor)


def refunded_twice(book: Book, sale: DaySale) -> Steps:
    """Two different refunds in the same hour, then a third in another shop."""
    yield 1
    shop = _any(book, sale)
    book.refund(sale, shop, _part(book, sale))
    book.refund(sale, shop, _part(book, sale))
    yield 2
    book.refund(sale, _any(book, sale), _part(book, sale))


def pending_refund(book: Book, sale: DaySale) -> Steps:
    yield 1
    shop = book.one_of(sale, "pending")
    if shop is None:
        return
    deal = book.refund(sale, shop, _part(book, sale), pending=True)
    yield book.dice.randint(1, 3)
    book.settle(sale, deal, well=True)


def failed_refund(book: Book, sale: DaySale) -> Steps:
    """It fails, and is made again later."""
    yield 1
    shop = book.one_of(sale, "pending")
    if shop is None:
        return
    minor = _part(book, sale)
    deal = book.refund(sale, shop, minor, pending=True)
    yield book.dice.randint(1, 2)
    book.settle(sale, deal, well=False)
    yield 1
    book.refund(sale, shop, minor)


def cancelled(book: Book, sale: DaySale) -> Steps:
    """Paid or not: the platform gives back by itself what was paid."""
    yield 1
    book.cancel(sale, _any(book, sale))


def refunded_then_cancelled(book: Book, sale: DaySale) -> Steps:
    yield 1
    shop = _any(book, sale)
    if book.dice.random() < 0.5:
        book.refund(sale, shop, _part(book, sale))
        yield 1
    else:
        book.refund(sale, shop, sale.left_minor())
        yield book.dice.randint(0, 1)
    book.cancel(sale, shop)


def typed_on_both_sides(book: Book, sale: DaySale) -> Steps:
    """One refund, and a while later another, each typed in two or all shops within the hour."""
    for _ in range(2):
        yield 1
        first, *others = book.dice.sample(list(sale.ids), book.dice.randint(2, len(sale.ids)))
        deal = book.refund(sale, first, _part(book, sale))
        for other in others:
            book.refund(sale, other, deal.minor, same_as=deal)


def sent(book: Book, sale: DaySale) -> Steps:
    yield 1
    deal = book.send(sale, _any(book, sale))
    yield 2
    book.deliver(sale, deal)


def sent_in_parts(book: Book, sale: DaySale) -> Steps:
    """Each part from any shop, then the whole sale is done."""
    yield 1
    deals = []
    while sale.left_to_send():
        deals.append(book.send(sale, _any(book, sale), _some_units(book, sale)))
        yield book.dice.randint(1, 2)
    yield 1
    for deal in deals:
        book.deliver(sale, deal)


def sent_and_completed(book: Book, sale: DaySale) -> Steps:
    yield 1
    book.send(sale, _any(book, sale))
    yield book.dice.randint(1, 2)
    shop = book.one_of(sale, "complete")
    if shop is not None:
        book.complete(sale, shop)


def sent_on_both_sides(book: Book, sale: DaySale) -> Steps:
    yield 1
    first, second = book.dice.sample(list(sale.ids), 2)
    units = _some_units(book, sale)
    deal = book.send(sale, first, units)
    book.send(sale, second, units, same_as=deal)


def packed_anew(book: Book, sale: DaySale) -> Steps:
    """A packed parcel is cancelled, another packed, and that one leaves."""
    yield 1
    shop = book.one_of(sale, "pack")
    if shop is None:
        return
    first = book.pack(sale, shop, _some_units(book, sale))
    yield book.dice.randint(0, 2)
    book.take_back(sale, first)
    second = book.pack(sale, shop, sale.left_to_send())
    yield 1
    book.send(sale, shop, packed=second)


def packed_here_sent_there(book: Book, sale: DaySale) -> Steps:
    """The same goods: what stands packed is what leaves."""
    yield 1
    shop = book.one_of(sale, "pack")
    if shop is None:
        return
    deal = book.pack(sale, shop, sale.left_to_send())
    yield book.dice.randint(0, 1)
    other = book.dice.choice([name for name in sale.ids if name != shop])
    book.send(sale, other, deal.units, same_as=deal)


def sent_then_refunded(book: Book, sale: DaySale) -> Steps:
    yield 1
    book.send(sale, _any(book, sale))
    yield 1
    yield from goods_refunded(book, sale)


def refunded_then_sent(book: Book, sale: DaySale) -> Steps:
    """Goodwill before the parcel leaves."""
    yield from part_refunded(book, sale)
    yield book.dice.randint(0, 2)
    book.send(sale, _any(book, sale))


def paid_late(book: Book, sale: DaySale) -> Steps:
    yield 2
    book.pay(sale)
    yield book.dice.randint(0, 2)
    book.refund(sale, _any(book, sale), _part(book, sale))
    yield 1
    book.send(sale, _any(book, sale))


def mirrored_late(book: Book, sale: DaySale) -> Steps:
    """Refunded, and perhaps sent, before the mirror on web appears."""
    yield 1
    book.refund(sale, _any(book, sale), _part(book, sale))
    if book.dice.random() < 0.5:
        book.send(sale, _any(book, sale))
    yield book.dice.randint(0, 3)
    book.place(sale, WEB)
    yield 1
    book.refund(sale, _any(book, sale), _part(book, sale))


# What a person must look at.


def double_click(book: Book, sale: DaySale) -> Steps:
    yield 1
    shop, minor = _any(book, sale), _part(book, sale)
    book.refund(sale, shop, minor)
    book.refund(sale, shop, minor)


def crossing_refunds(book: Book, sale: DaySale) -> Steps:
    """Two refunds of different amounts in two shops within the hour: one, typed differently, or two?"""
    yield 1
    first, second = book.dice.sample(list(sale.ids), 2)
    book.refund(sale, first, _part(book, sale))
    book.refund(sale, second, _part(book, sale))


def late_twin(book: Book, sale: DaySale) -> Steps:
    """The same amount once more, in another shop, after the first was carried there."""
    yield 1
    first, second = book.dice.sample(list(sale.ids), 2)
    deal = book.refund(sale, first, _part(book, sale))
    yield 2
    book.refund(sale, second, deal.minor)


def cancelled_after_sending(book: Book, sale: DaySale) -> Steps:
    """One shop sends and another cancels within the hour."""
    yield 1
    if ASIA not in sale.ids or len(sale.ids) < 2:
        return
    book.send(sale, ASIA)
    book.cancel(sale, book.dice.choice([shop for shop in sale.ids if shop != ASIA]))


def taken_back_after_sending(book: Book, sale: DaySale) -> Steps:
    """A parcel that was carried is cancelled, and a new one leaves."""
    yield 1
    shop = book.one_of(sale, "take_back_sent")
    if shop is None:
        return
    deal = book.send(sale, shop)
    yield 2
    book.take_back(sale, deal)
    yield book.dice.randint(0, 1)
    book.send(sale, shop, deal.units)


def refunded_before_mirror_paid(book: Book, sale: DaySale) -> Steps:
    """Paid in one shop and refunded there; the others learn of the payment later."""
    yield 1
    first, *others = book.dice.sample(list(sale.ids), len(sale.ids))
    book.pay(sale, first)
    book.refund(sale, first, _part(book, sale))
    yield 2
    book.pay(sale, *others)


def completed_meanwhile(book: Book, sale: DaySale) -> Steps:
    """One shop sends, and within the hour another completes its order, which may then take no parcel any more."""
    yield 1
    book.send(sale, _any(book, sale))
    shop = book.one_of(sale, "complete")
    if shop is not None:
        book.complete(sale, shop)


def alike_from_two_shops(book: Book, sale: DaySale) -> Steps:
    """Two shops each send a part within the hour, perhaps the same goods: one parcel, typed differently, or two?"""
    yield 1
    for shop in book.dice.sample(list(sale.ids), 2):
        if sale.left_to_send():
            book.send(sale, shop, _some_units(book, sale))


def packed_differently(book: Book, sale: DaySale) -> Steps:
    yield 1
    shop = book.one_of(sale, "pack")
    units = _some_units(book, sale)
    if shop is None or units == sale.left_to_send():
        return
    book.pack(sale, shop, units)
    book.send(sale, book.dice.choice([name for name in sale.ids if name != shop]))


def pending_beside_another(book: Book, sale: DaySale) -> Steps:
    """A refund waits at the gateway of the paying shop; another is made in the back office meanwhile."""
    yield 1
    if PAYING not in sale.ids or OFFICE not in sale.ids:
        return
    deal: Deal = book.refund(sale, PAYING, _part(book, sale), pending=True)
    yield 1
    book.refund(sale, OFFICE, _part(book, sale))
    yield 2
    book.settle(sale, deal, well=True)


CHANCES = (
    Chance(60, quiet),
    Chance(20, edited),
    Chance(26, part_refunded),
    Chance(16, goods_refunded),
    Chance(12, all_refunded),
    Chance(10, refunded_twice),
    Chance(8, pending_refund),
    Chance(6, failed_refund),
    Chance(10, cancelled, paid=False),
    Chance(12, cancelled),
    Chance(10, refunded_then_cancelled),
    Chance(10, typed_on_both_sides),
    Chance(20, sent),
    Chance(12, sent_in_parts),
    Chance(12, sent_and_completed),
    Chance(6, sent_on_both_sides),
    Chance(6, packed_anew),
    Chance(6, packed_here_sent_there),
    Chance(10, sent_then_refunded),
    Chance(8, refunded_then_sent),
    Chance(6, paid_late, paid=False),
    Chance(8, mirrored_late, late=True),
    Chance(3, double_click, calm=False),
    Chance(3, crossing_refunds, calm=False),
    Chance(3, late_twin, calm=False),
    Chance(3, cancelled_after_sending, calm=False),
    Chance(3, taken_back_after_sending, calm=False),
    Chance(3, refunded_before_mirror_paid, calm=False, paid=False),
    Chance(3, packed_differently, calm=False),
    Chance(3, completed_meanwhile, calm=False),
    Chance(3, alike_from_two_shops, calm=False),
    Chance(3, pending_beside_another, calm=False),
)
