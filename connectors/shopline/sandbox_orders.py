"""Builds the orders of the SHOPLINE sandbox: JSON exactly as the platform lists them, with its odd types.

Shape and field names follow samples/shopline; every value is made up. No HTTP and no state in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from ordersync.model import Money, iso_exponent
from ordersync.testing.sales import SaleSpec

JsonObject = dict[str, Any]
STORE_ZONE = timezone(timedelta(hours=8))
"""Recordings of a store in America show +08:00 as well."""
LOCATION_ID = "5327026538935748524"


def time_text(moment: datetime) -> str:
    """One second is the finest the platform shows."""
    return moment.astimezone(STORE_ZONE).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Prices:
    """How one order writes its amounts. `display` and `rate`: what the buyer sees, where it differs."""

    currency: str
    two_decimals: bool = True
    display: str | None = None
    rate: Decimal = Decimal(1)

    def text(self, minor: int) -> str:
        return self._text(Money(amount_minor=minor, currency=self.currency).major(), self.currency)

    def number(self, minor: int) -> Decimal:
        return Decimal(self.text(minor))

    def pair(self, minor: int, *, numbers: bool = False) -> JsonObject:
        """A `*_set`. `numbers`: order adjustments hold JSON numbers where everything else holds text."""
        shop: Any = self.text(minor)
        seen: Any = shop
        if self.display and self.display != self.currency:
            seen = self._text(Decimal(shop) * self.rate, self.display)
        if numbers:
            shop, seen = Decimal(shop), Decimal(seen)
        return {
            "presentment_money": {"amount": seen, "currency_code": self.display or self.currency},
            "shop_money": {"amount": shop, "currency_code": self.currency},
        }

    def both(self, name: str, minor: int) -> JsonObject:
        return {name: self.text(minor), f"{name}_set": self.pair(minor)}

    def _text(self, major: Decimal, currency: str) -> str:
        digits = 2 if self.two_decimals else iso_exponent(currency)
        return f"{major.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP):f}"


class Line(NamedTuple):
    line_id: str
    sku: str
    title: str
    quantity: int
    unit_minor: int
    discount_minor: int = 0
    tax_minor: int = 0


class Slip(NamedTuple):
    """A payment slip. `settle_currency`: what the payment was made in."""

    pay_seq: str
    gateway: str
    status: str
    amount_minor: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Sale:
    """An order before it is written down."""

    order_id: str
    name: str
    at: datetime
    prices: Prices
    lines: tuple[Line, ...]
    shipping_minor: int
    financial_status: str
    slips: tuple[Slip, ...] = ()
    buyer: SaleSpec | None = None
    """None: a guest order made through the API, with nulls for the buyer."""
    references: Mapping[str, str] | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    discount_code: str | None = None

    @property
    def goods_minor(self) -> int:
        return sum(line.quantity * line.unit_minor for line in self.lines)

    @property
    def discount_minor(self) -> int:
        return sum(line.discount_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        return sum(line.tax_minor for line in self.lines)

    @property
    def total_minor(self) -> int:
        return self.goods_minor - self.discount_minor + self.tax_minor + self.shipping_minor


def build_order(sale: Sale, *, handle: str, store_id: str) -> JsonObject:
    """The order as `orders.json` lists it right after it was placed: unshipped, not cancelled, not archived."""
    placed, prices = time_text(sale.at), sale.prices
    paid = sum(slip.amount_minor for slip in sale.slips if slip.status == "paid")
    order: JsonObject = {
        "id": sale.order_id,
        "name": sale.name,
        "status": "open",
        "financial_status": sale.financial_status,
        "fulfillment_status": "null",
        "fulfillment_status_v2": "unshipped",
        "hidden_order": False,
        "cancelled_at": None,
        "cancel_reason": None,
        "created_at": placed,
        "updated_at": placed,
        "order_at": placed,
        "processed_at": placed,
        "currency": prices.currency,
        "presentment_currency": prices.display or prices.currency,
        "total_outstanding": prices.text(sale.total_minor - paid),
        "line_items": [_line_item(line, prices) for line in sale.lines],
        "payment_details": [_slip(slip, prices) for slip in sale.slips],
        "payment_gateway_names": list(dict.fromkeys(slip.gateway for slip in sale.slips)),
        "refunds": [],
        "fulfillments": [],
        "shipping_lines": [_shipping_line(sale, prices)],
        "tags": None if not sale.tags else "[" + ",".join(f'"{tag}"' for tag in sale.tags) + "]",
        "note": sale.note,
        "note_attributes": [
            {"create_time": placed, "name": name, "value": value}
            for name, value in (sale.references or {}).items()
        ],
        "order_status_url": f"https://{handle}.myshopline.com/{store_id}/orders/{sale.order_id}/authenticate"
        "?key=SANDBOX&orderMark=SANDBOX",
        "store_id": store_id,
        **_totals(sale),
        **_discounts(sale),
        **_buyer(sale, placed),
        **_unused(),
    }
    return order


def _line_item(line: Line, prices: Prices) -> JsonObject:
    discounted = {**prices.both("amount", line.discount_minor), "discount_application_index": 0}
    return {
        "attribute": "Size - M",
        "bundle_parent_item": None,
        "bundle_parent_variant_id": None,
        "country_code_of_origin": None,
        "customized_attributes": [],
        "discount_allocations": [discounted] if line.discount_minor else [],
        "duties": [],
        "fulfillable_quantity": line.quantity,
        "fulfillment_service": None,
        "fulfillment_status": "null",
        "gift_card": False,
        "grams": 200,
        "harmonized_system_code": None,
        "id": line.line_id,
        "image_url": f"https://img.example.com/{line.line_id}.png",
        "is_bundle": None,
        "is_bundle_component": None,
        "location_id": LOCATION_ID,
        "name": line.title,
        **prices.both("price", line.unit_minor),
        "product_id": f"160578502648452507912{line.line_id:0>5}",
        "properties": [],
        "quantity": line.quantity,
        "requires_shipping": True,
        "sku": line.sku,
        "tags": "",
        "tax_lines": [{**_tax_line(line.tax_minor, prices), "type": "product_tax"}] if line.tax_minor else [],
        "taxable": bool(line.tax_minor),
        "title": line.title,
        "variant_id": f"180578502648452507912{line.line_id:0>5}",
        "variant_title": "M",
        "vendor": None,
    }


def _tax_line(minor: int, prices: Prices) -> JsonObject:
    return {**prices.both("price", minor), "rate": Decimal("0.08"), "title": "Sales tax"}


def _slip(slip: Slip, prices: Prices) -> JsonObject:
    """Amounts are JSON numbers here."""
    settled = slip.at + timedelta(seconds=25)
    return {
        "create_time": time_text(slip.at),
        "gateway": slip.gateway,
        "giftcard_presentment_money": None,
        "pay_amount": prices.number(slip.amount_minor),
        "pay_channel": slip.gateway,
        "pay_channel_deal_id": f"pi_3SANDBOX{slip.pay_seq[-6:]}",
        "pay_merchant_email": "",
        "pay_merchant_id": "4201057379",
        "pay_merchant_order_id": slip.pay_seq[-12:],
        "pay_seq": slip.pay_seq,
        "pay_status": slip.status,
        "payment_method": "CreditCard",
        "processed_at": time_text(settled) if slip.status == "paid" else None,
        "settle_currency": prices.currency,
        "settle_pay_amount": prices.number(slip.amount_minor),
        "status_code": "",
        "status_msg": "",
    }


def _shipping_line(sale: Sale, prices: Prices) -> JsonObject:
    """One line even without shipping."""
    return {
        "code": None,
        "discount_allocations": [],
        "discounted_price": None,
        "discounted_price_set": None,
        **prices.both("price", sale.shipping_minor),
        "requested_fulfillment_service_id": None,
        **prices.both("shipping_price", sale.shipping_minor),
        "source": None,
        "tax_lines": [{**prices.both("price", 0), "rate": 0, "title": "express_tax"}],
        "title": None,
        "phone": "",
        "shipping_strategy_name": None,
    }


def _totals(sale: Sale) -> JsonObject:
    prices = sale.prices
    return {
        **prices.both("adjust_price", 0),
        **prices.both("current_subtotal_price", sale.goods_minor),
        **prices.both("current_total_discounts", sale.discount_minor),
        "current_total_duties_set": None,
        **prices.both("current_total_price", sale.total_minor),
        **prices.both("current_total_tax", sale.tax_minor),
        **prices.both("deduct_member_point_amount", 0),
        **prices.both("subtotal_price", sale.goods_minor - sale.discount_minor),
        "tax_lines": [_tax_line(sale.tax_minor, prices)] if sale.tax_minor else [],
        "taxes_included": False,
        **prices.both("total_discounts", sale.discount_minor),
        **prices.both("total_line_items_price", sale.goods_minor),
        "total_shipping_price_set": prices.pair(sale.shipping_minor),
        **prices.both("total_tax", sale.tax_minor),
        **prices.both("total_tip_received", 0),
        "total_weight": 200 * sum(line.quantity for line in sale.lines),
    }


def _discounts(sale: Sale) -> JsonObject:
    """The kind of a code is a Chinese word on every store."""
    if not sale.discount_minor:
        return {"discount_applications": [], "discount_codes": []}
    code = sale.discount_code or "WELCOME"
    applied = {
        "activity_type": 3,
        "allocation_method": "across",
        "benefit_type": 1,
        "code": code,
        "description": "",
        "target_selection": "all",
        "target_type": "line_item",
        "title": "",
        "type": "discount_code",
        "value": sale.prices.text(sale.discount_minor),
        "value_type": "fix_amount",
    }
    return {
        "discount_applications": [applied],
        "discount_codes": [{**sale.prices.both("amount", sale.discount_minor), "code": code, "type": "减金额"}],
    }


_ADDRESS: Sequence[str] = (
    *("address1", "address2", "city", "country", "country_code", "first_name", "last_name", "name", "phone"),
    *("province", "province_code", "zip"),
)
_SHIPPING_ONLY: Sequence[str] = (
    *("company", "delivery_store_code", "delivery_store_name", "district", "district_code", "latitude"),
    *("longitude", "neighborhood", "standard_province_code"),
)


def _buyer(sale: Sale, placed: str) -> JsonObject:
    """A guest has an object of nulls with an empty name, never null."""
    buyer, currency = sale.buyer, sale.prices.currency
    address: JsonObject = {**dict.fromkeys(_ADDRESS), "name": ""}
    customer: JsonObject = {
        **dict.fromkeys(
            ("area_code", "created_at", "email", "first_name", "id", "last_name", "phone", "updated_at")
        ),
        "addresses": address,
        "currency": currency,
    }
    shipping = {**dict.fromkeys(_SHIPPING_ONLY), **address}
    if buyer is None:
        return {
            **dict.fromkeys(("billing_address", "email", "phone", "processed_user_id", "user_id")),
            "customer": customer,
            "customer_locale": "",
            "shipping_address": shipping,
        }
    address = {
        "address1": buyer.line1,
        "address2": "",
        "city": buyer.city,
        "country": buyer.country_code,
        "country_code": buyer.country_code,
        "first_name": buyer.first_name,
        "last_name": buyer.last_name,
        "name": buyer.name,
        "phone": buyer.phone,
        "province": buyer.province,
        "province_code": "4200033",
        "zip": buyer.postal_code,
    }
    user_id = f"42{buyer.number:08d}"
    customer = {
        "addresses": address,
        "area_code": "+1",
        "created_at": placed,
        "currency": currency,
        "email": buyer.email,
        "first_name": buyer.first_name,
        "id": user_id,
        "last_name": buyer.last_name,
        "phone": buyer.phone,
        "updated_at": placed,
    }
    own = {"company": "", "standard_province_code": buyer.province}
    return {
        "billing_address": {**address, **own},
        "email": buyer.email,
        "phone": buyer.phone,
        "processed_user_id": user_id,
        "user_id": user_id,
        "customer": customer,
        "customer_locale": "enUS",
        "shipping_address": {**shipping, **address, **own},
    }


def _unused() -> JsonObject:
    """Fields that are there and say nothing in this sandbox."""
    nulls = (
        *("browser_ip", "buyer_note", "cart_token", "checkout_id", "checkout_token", "client_details", "company"),
        *("contract_seq", "credit_limit", "landing_site", "order_source", "payment_terms", "pos_location_id"),
        *("referring_site", "service", "source_identifier", "source_name", "source_url", "tax_description"),
        *("tax_number", "tax_type", "utm_parameters"),
    )
    location = {
        **dict.fromkeys(("address_add", "district", "neighborhood", "phone", "town")),
        "address": "1 Example Road",
        "city": "Taipei",
        "country": "Taiwan",
        "country_code": "TW",
        "location_id": LOCATION_ID,
        "name": "Main warehouse",
        "province": "Taipei City",
        "type": "productLocation",
        "zip": "100",
    }
    return {
        **dict.fromkeys(nulls),
        "checkout_language": "en",
        "locations": [location],
        "po_number": "",
        "return_info": {"return_status": "NO_RETURN"},
    }
