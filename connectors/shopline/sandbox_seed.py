"""Orders for the SHOPLINE sandbox: a mix of everything the samples show, made from made-up sales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from ordersync.testing.sales import SaleSpec

from .sandbox_orders import Prices, Sale
from .sandbox_state import ShoplineState

_DISPLAY = {"USD": ("EUR", Decimal("0.92")), "TWD": ("USD", Decimal("0.0312"))}
_DAY = timedelta(days=1)


def place_mixed(state: ShoplineState, specs: list[SaleSpec]) -> list[str]:
    """Place the sales, each as the next of twelve kinds; returns the order ids."""
    return [_KINDS[place % len(_KINDS)](state, spec) for place, spec in enumerate(specs)]


def _paid(state: ShoplineState, spec: SaleSpec) -> str:
    sale = state.sale(spec)
    return state.place(_charge(state, sale, "SLpayments"))


def _discounted(state: ShoplineState, spec: SaleSpec) -> str:
    """A code, tax, tags, notes, and a payment by PayPal."""
    sale = state.sale(spec)
    first, *others = sale.lines
    lines = (first._replace(discount_minor=100, tax_minor=80), *others)
    sale = replace(sale, lines=lines, tags=("vip", "sync"), note="Leave at door", discount_code="WELCOME")
    return state.place(_charge(state, sale, "Paypal"))


def _cash_on_delivery(state: ShoplineState, spec: SaleSpec) -> str:
    sale = state.sale(spec)
    slip = state.slip(sale, "COD", paid=False)
    return state.place(replace(sale, financial_status="unpaid", slips=(slip,)))


def _shipped(state: ShoplineState, spec: SaleSpec) -> str:
    order_id = _paid(state, spec)
    state.ship(order_id, tracking=("SF International", f"SF10{spec.number}", ""), at=spec.placed_at + _DAY)
    return order_id


def _partly_refunded(state: ShoplineState, spec: SaleSpec) -> str:
    order_id = _shipped(state, spec)
    state.refund(order_id, spec.lines[0].unit_price_minor, note="damaged", status="success", at=_later(spec, 3))
    return order_id


def _cancelled_refunded(state: ShoplineState, spec: SaleSpec) -> str:
    order_id = _paid(state, spec)
    state.refund(order_id, spec.total_minor, note="order cancelled", status="success", at=_later(spec, 1))
    state.cancel(order_id, reason="I don't want it", at=_later(spec, 1))
    return order_id


def _cancelled_unpaid(state: ShoplineState, spec: SaleSpec) -> str:
    """Leaves a refund record that moved nothing."""
    order_id = _cash_on_delivery(state, spec)
    state.cancel(order_id, at=_later(spec, 1))
    return order_id


def _made_by_api(state: ShoplineState, spec: SaleSpec) -> str:
    """Says `paid`, has no payment slip and no buyer."""
    return state.place(replace(state.sale(spec), slips=(), buyer=None, references={}))


def _archived(state: ShoplineState, spec: SaleSpec) -> str:
    order_id = _shipped(state, spec)
    state.archive(order_id, at=_later(spec, 5))
    return order_id


def _shown_elsewhere(state: ShoplineState, spec: SaleSpec) -> str:
    """The buyer saw another currency than the store's."""
    sale = state.sale(spec)
    if spec.currency in _DISPLAY:
        display, rate = _DISPLAY[spec.currency]
        sale = replace(sale, prices=Prices(spec.currency, state.unknowns.jpy_two_decimals, display, rate))
    return state.place(_charge(state, sale, "SLpayments"))


def _shipped_again(state: ShoplineState, spec: SaleSpec) -> str:
    """One line sent, cancelled, and sent again."""
    order_id = _paid(state, spec)
    line = state.row(order_id).payload["line_items"][0]
    some = {line["id"]: 1}
    first = state.ship(order_id, some, at=_later(spec, 1))
    state.unship(order_id, first["id"], at=_later(spec, 1))
    state.ship(order_id, some, tracking=("7-ELEVEN", f"F{spec.number:011d}", ""), at=_later(spec, 2))
    return order_id


def _refund_pending(state: ShoplineState, spec: SaleSpec) -> str:
    order_id = _paid(state, spec)
    state.refund(order_id, spec.lines[0].unit_price_minor, note="goodwill", status="pending", at=_later(spec, 2))
    return order_id


_KINDS: tuple[Callable[[ShoplineState, SaleSpec], str], ...] = (
    _paid,
    _discounted,
    _cash_on_delivery,
    _shipped,
    _partly_refunded,
    _cancelled_refunded,
    _cancelled_unpaid,
    _made_by_api,
    _archived,
    _shown_elsewhere,
    _shipped_again,
    _refund_pending,
)


def _charge(state: ShoplineState, sale: Sale, gateway: str) -> Sale:
    return replace(sale, slips=(state.slip(sale, gateway, paid=True),))


def _later(spec: SaleSpec, days: int) -> datetime:
    return spec.placed_at + days * _DAY
