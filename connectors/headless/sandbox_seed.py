"""Realistic mixed orders for the headless sandbox: every status, two currencies, guests only (look-up works)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from ordersync_connectors.headless.sandbox_state import HeadlessState

from ordersync.testing.sales import SaleSpec, sales

Story = Callable[[HeadlessState, str, datetime], None]


def seed_orders(state: HeadlessState, n: int, *, seed: int, first_number: int, end: datetime) -> list[str]:
    """Place `n` orders, the last of them before `end`; returns their ids, oldest first."""
    dollars = list(sales(seed, n, first_number=first_number, provider="stripe"))
    won = list(sales(seed + 1, n, first_number=first_number, currency="KRW", provider="tosspayments"))
    latest = max((spec.placed_at for spec in (*dollars, *won)), default=end)
    shift = end - latest - timedelta(days=6)
    made = []
    for place in range(n):
        spec = won[place] if place % 3 == 2 else dollars[place]
        spec = replace(spec, placed_at=spec.placed_at + shift)
        how, story = _STORIES[place % len(_STORIES)]
        order_id = state.add_sale(how(spec), draft=story is _draft)
        story(state, order_id, spec.placed_at)
        made.append(order_id)
    return made


def _as_is(spec: SaleSpec) -> SaleSpec:
    return spec


def _by_transfer(spec: SaleSpec) -> SaleSpec:
    """Waits for the buyer's bank transfer."""
    return replace(spec, paid=False, provider="bank_transfer")


def _in_cash(spec: SaleSpec) -> SaleSpec:
    return replace(spec, provider="manual")


def _nothing_more(_state: HeadlessState, _order_id: str, _at: datetime) -> None:
    """The order stays as it was placed."""


def _draft(state: HeadlessState, order_id: str, _at: datetime) -> None:
    state.order(order_id)["note"] = "Phone order, awaiting address"


def _processing(state: HeadlessState, order_id: str, at: datetime) -> None:
    state.move(order_id, "processing", at=at + timedelta(hours=1))


def _packed_in_part(state: HeadlessState, order_id: str, at: datetime) -> None:
    _processing(state, order_id, at)
    line = state.order(order_id)["lines"][0]
    state.fulfill(order_id, [(line["id"], 1)], at=at + timedelta(hours=20))


def _completed(state: HeadlessState, order_id: str, at: datetime) -> None:
    _processing(state, order_id, at)
    number = state.order(order_id)["number"]
    parcel = state.fulfill(
        order_id,
        [(line["id"], line["quantity"]) for line in state.order(order_id)["lines"]],
        carrier="UPS",
        tracking_number=f"1ZSANDBOX{number}",
        tracking_url=f"https://trace.example.com/ups/1ZSANDBOX{number}",
        at=at + timedelta(hours=20),
    )
    state.send(parcel["id"], "shipped", at=at + timedelta(hours=24))
    state.send(parcel["id"], "delivered", at=at + timedelta(days=3))
    state.move(order_id, "completed", at=at + timedelta(days=4))


def _refunded_by_line(state: HeadlessState, order_id: str, at: datetime) -> None:
    _completed(state, order_id, at)
    line = state.order(order_id)["lines"][0]
    after = at + timedelta(days=5)
    state.refund(order_id, None, "One unit arrived damaged", restock=False, lines=[(line["id"], 1)], at=after)


def _refunded_by_amount(state: HeadlessState, order_id: str, at: datetime) -> None:
    _completed(state, order_id, at)
    amount = max(1, state.captured(state.order(order_id)) // 10)
    state.refund(order_id, amount, "Goodwill credit", restock=False, at=at + timedelta(days=5))


def _returned(state: HeadlessState, order_id: str, at: datetime) -> None:
    _completed(state, order_id, at)
    order = state.order(order_id)
    lines = [(line["id"], line["quantity"]) for line in order["lines"]]
    state.refund(order_id, state.captured(order), "Returned", restock=True, lines=lines, at=at + timedelta(days=5))
    order["fulfillment_status"] = "returned"


def _cancelled(state: HeadlessState, order_id: str, at: datetime) -> None:
    state.cancel(order_id, "Changed mind", at=at + timedelta(hours=2))


_STORIES: tuple[tuple[Callable[[SaleSpec], SaleSpec], Story], ...] = (
    (_as_is, _nothing_more),
    (_as_is, _processing),
    (_by_transfer, _nothing_more),
    (_as_is, _completed),
    (_as_is, _draft),
    (_in_cash, _packed_in_part),
    (_as_is, _refunded_by_line),
    (_as_is, _cancelled),
    (_as_is, _refunded_by_amount),
    (_by_transfer, _cancelled),
    (_as_is, _returned),
)
