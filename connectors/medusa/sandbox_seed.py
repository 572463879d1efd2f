"""Orders for a Medusa sandbox: sales told by a `SaleSpec`, and a realistic mix of its own in four currencies."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ordersync_connectors.medusa.sandbox_amounts import order_total
from ordersync_connectors.medusa.sandbox_records import ZERO, Item, Order, Shipping
from ordersync_connectors.medusa.sandbox_state import OTHER_KEY, REASONS, MedusaState

from ordersync.model import iso_exponent
from ordersync.testing.sales import SaleSpec

SYSTEM_PROVIDER = "pp_system_default"
NO_TAX_REGION = "reg_01SANDBOXNOTAX00000000000"


@dataclass(frozen=True, slots=True)
class Region:
    currency: str
    digits: int
    rate_percent: Decimal
    shipping: Decimal
    country: str
    city: str
    province: str | None
    postal_code: str
    tax_inclusive: bool = False

    @property
    def id(self) -> str:
        return f"reg_01SANDBOX{self.currency.upper()}00000000000000"


REGIONS = (
    Region("usd", 2, Decimal("8.25"), Decimal("9.99"), "us", "San Francisco", "ca", "94105"),
    Region("eur", 2, Decimal(19), Decimal("8.5"), "de", "Berlin", None, "10115", tax_inclusive=True),
    Region("krw", 0, Decimal(10), Decimal(3000), "kr", "서울", None, "06130", tax_inclusive=True),
    Region("jpy", 0, Decimal(10), Decimal(800), "jp", "東京", None, "100-0001"),
)
_GOODS = (
    ("TEE-S", "T-Shirt", "S", {"usd": "19.99", "eur": "17.95", "krw": "25000", "jpy": "2480"}),
    ("TEE-M", "T-Shirt", "M", {"usd": "19.99", "eur": "17.95", "krw": "25000", "jpy": "2480"}),
    ("HOOD-L", "Hoodie", "L", {"usd": "54.5", "eur": "49.99", "krw": "69000", "jpy": "7473"}),
    ("STK-1", "Sticker", "1", {"usd": "0.333", "eur": "0.30", "krw": "450", "jpy": "51"}),
)
LIVES = (
    "placed",
    "captured",
    "part_captured",
    "part_refunded",
    "refunded",
    "packed",
    "shipped",
    "delivered",
    "completed",
    "cancelled_authorised",
    "cancelled_captured",
    "archived",
    "mirrored",
    "returned",
)
"""What a seeded order went through, in turn."""


def provider_id(provider: str) -> str:
    """ "manual" is Medusa's system provider, whose refunds only mark; any other name is a gateway module."""
    if provider == "manual":
        return SYSTEM_PROVIDER
    return provider if provider.startswith("pp_") else f"pp_{provider}_{provider}"


def add_sale(state: MedusaState, spec: SaleSpec) -> Order:
    """The sale as an order of a region without automatic taxes: its total is the sale's own, to the cent.

    Paid: captured a second later. Unpaid: authorised only.
    """
    currency = spec.currency.lower()
    digits = iso_exponent(spec.currency)
    state.at = spec.placed_at
    try:
        items = [
            Item(
                id=state.new_id("ordli"),
                title=line.title,
                sku=line.sku,
                unit_price=Decimal(line.unit_price_minor).scaleb(-digits),
                quantity=line.quantity,
                child_ids={"detail": state.new_id("orditem")},
            )
            for line in spec.lines
        ]
        order = _order(
            state,
            currency,
            digits,
            NO_TAX_REGION,
            items,
            _shipping(state, Decimal(spec.shipping_minor).scaleb(-digits), ZERO, inclusive=False),
            person={
                "first_name": spec.first_name,
                "last_name": spec.last_name,
                "email": spec.email,
                "phone": spec.phone,
            },
            place={
                "address_1": spec.line1,
                "city": spec.city,
                "province": spec.province,
                "postal_code": spec.postal_code,
                "country_code": spec.country_code.lower(),
            },
            metadata=dict(spec.references) or None,
        )
        payment = state.authorise(order, provider_id(spec.provider))
        if spec.paid:
            state.at = spec.placed_at + timedelta(seconds=1)
            state.capture(payment.id, None, OTHER_KEY)
    finally:
        state.at = None
    return order


def add_mixed(state: MedusaState, dice: random.Random, number: int, placed_at: datetime) -> Order:
    """Order `number` of a realistic mix: region and life go round, goods and quantities are drawn."""
    region = REGIONS[number % len(REGIONS)]
    life = LIVES[number % len(LIVES)]
    state.at = placed_at
    try:
        off = ("TENOFF", Decimal(10)) if number % 5 == 2 and life != "mirrored" else None
        drawn = sorted(dice.sample(range(len(_GOODS)), dice.choice((1, 1, 2, 3))))
        order = _place(
            state,
            region,
            [(_GOODS[index][0], dice.choice((1, 1, 2, 3))) for index in drawn],
            off,
            email=f"buyer{number}@example.com",
            street=f"{number} Sample Street",
            metadata={"source": "shopline", "external_id": f"SL-{number}"} if life == "mirrored" else None,
        )
        _live(state, order, life)
    finally:
        state.at = None
    return order


def place(state: MedusaState, currency: str, goods: Mapping[str, int], *, promotion: bool = False) -> Order:
    """A buyer's order of these SKUs through the storefront, with an authorised payment."""
    region = next(one for one in REGIONS if one.currency == currency)
    off = ("TENOFF", Decimal(10)) if promotion else None
    order = _place(
        state, region, list(goods.items()), off, email="buyer@example.com", street="1 Sample Street", metadata={}
    )
    state.authorise(order, SYSTEM_PROVIDER)
    return order


def _place(
    state: MedusaState,
    region: Region,
    goods: Sequence[tuple[str, int]],
    promotion: tuple[str, Decimal] | None,
    *,
    email: str,
    street: str,
    metadata: dict[str, str] | None,
) -> Order:
    return _order(
        state,
        region.currency,
        region.digits,
        region.id,
        [_catalogue_item(state, region, sku, count, promotion) for sku, count in goods],
        _shipping(state, region.shipping, region.rate_percent, inclusive=region.tax_inclusive),
        person={"first_name": "Ada", "last_name": "Example", "email": email, "phone": "+10000000"},
        place={
            "address_1": street,
            "city": region.city,
            "province": region.province,
            "postal_code": region.postal_code,
            "country_code": region.country,
        },
        metadata=metadata,
    )


def _live(state: MedusaState, order: Order, life: str) -> None:
    if life == "mirrored":
        return
    payment = state.authorise(order, SYSTEM_PROVIDER)
    if life in ("placed", "cancelled_authorised"):
        _later(state)
        if life == "cancelled_authorised":
            state.cancel(order.id, OTHER_KEY)
        return
    _later(state)
    half = Decimal(int(payment.amount / 2)) or payment.amount
    state.capture(payment.id, half if life == "part_captured" else None, OTHER_KEY)
    _later(state)
    damaged = next(iter(REASONS))
    if life == "part_refunded":
        state.refund(payment.id, half, "scratched", damaged, OTHER_KEY)
    elif life == "refunded":
        state.refund(payment.id, None, None, damaged, OTHER_KEY)
    elif life == "cancelled_captured":
        state.cancel(order.id, OTHER_KEY)
    elif life == "archived":
        state.complete(order.id)
        _later(state)
        state.archive(order.id)
    elif life in ("packed", "shipped", "delivered", "completed", "returned"):
        _send(state, order, life)


def _send(state: MedusaState, order: Order, life: str) -> None:
    lines = [(item.id, item.quantity) for item in order.items]
    parcel = state.fulfil(order.id, lines[:1] if life == "packed" else lines, OTHER_KEY)
    if life == "packed":
        return
    _later(state)
    number = order.id[-6:]
    label = {
        "tracking_number": f"TRK-{number}",
        "tracking_url": f"https://track.example/{number}",
        "label_url": "#",
    }
    state.ship(order.id, parcel.id, [label], OTHER_KEY)
    if life == "shipped":
        return
    _later(state)
    state.deliver(order.id, parcel.id)
    _later(state)
    if life == "completed":
        state.complete(order.id)
    elif life == "returned":
        state.receive_return(order.id, order.items[0].id, 1, OTHER_KEY)


def _later(state: MedusaState) -> None:
    assert state.at is not None
    state.at += timedelta(milliseconds=237)


def _catalogue_item(
    state: MedusaState, region: Region, sku: str, quantity: int, promotion: tuple[str, Decimal] | None
) -> Item:
    _, title, variant, prices = next(row for row in _GOODS if row[0] == sku)
    return Item(
        id=state.new_id("ordli"),
        title=title,
        sku=sku,
        unit_price=Decimal(prices[region.currency]),
        quantity=quantity,
        rate_percent=region.rate_percent,
        tax_inclusive=region.tax_inclusive,
        variant_id=f"variant_01SANDBOX{sku.replace('-', '')}000000000000",
        product_id=f"prod_01SANDBOX{title.upper().replace('-', '')}00000000000",
        variant_title=variant,
        promotion=promotion,
        child_ids={
            "tax_line": state.new_id("ordlitxl"),
            "adjustment": state.new_id("ordliadj"),
            "detail": state.new_id("orditem"),
        },
    )


def _shipping(state: MedusaState, amount: Decimal, rate: Decimal, *, inclusive: bool) -> Shipping:
    children = {"tax_line": state.new_id("ordsmtxl"), "detail": state.new_id("ordspmv")}
    return Shipping(state.new_id("ordsm"), "Standard", amount, rate, inclusive, children)


def _order(
    state: MedusaState,
    currency: str,
    digits: int,
    region_id: str,
    items: list[Item],
    shipping: Shipping,
    *,
    person: dict[str, str | None],
    place: dict[str, str | None],
    metadata: dict[str, str] | None,
) -> Order:
    now = state.now()
    order = Order(
        id=state.new_id("order"),
        display_id=state.next_number(),
        currency=currency,
        digits=digits,
        created_at=now,
        updated_at=now,
        email=person["email"] or "",
        region_id=region_id,
        customer={
            "id": state.new_id("cus"),
            "company_name": None,
            **person,
            "has_account": False,
            "metadata": None,
            "created_by": None,
        },
        address={
            "customer_id": None,
            "company": None,
            "address_2": None,
            "first_name": person["first_name"],
            "last_name": person["last_name"],
            "phone": person["phone"],
            "metadata": None,
            **place,
        },
        address_ids=(state.new_id("ordaddr"), state.new_id("ordaddr")),
        items=items,
        shipping=[shipping],
        metadata=None if metadata is None else dict(metadata),
    )
    order.first_total = order_total(order)
    state.orders[order.id] = order
    return order
