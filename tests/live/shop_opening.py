"""Opens a Medusa shop for four currencies: keys, regions, taxes, goods, stock and shipping."""

from __future__ import annotations

from tests.live.back_office import COUNTRIES, PROVIDER, Admin, Opened

_RATES = {"usd": 8.25, "eur": 19, "krw": 10, "jpy": 10}
_SHIPPING = {"usd": 9.99, "eur": 8.5, "krw": 3000, "jpy": 800}
_GOODS = {
    "TEE-S": ("T-Shirt", {"usd": 19.99, "eur": 17.95, "krw": 25000, "jpy": 2480}),
    "HOOD-L": ("Hoodie", {"usd": 54.5, "eur": 49.99, "krw": 69000, "jpy": 7473}),
    "STK-1": ("Sticker", {"usd": 0.333, "eur": 0.3, "krw": 450, "jpy": 51}),
}
_TAX_INSIDE = ("eur", "krw")
_STOCK = 100_000


def open_shop(staff: Admin) -> Opened:
    """The order of the steps is the one the server asks for. Errors: NotStarted."""
    channel = staff.post("/admin/sales-channels", {"name": "Web shop"})["sales_channel"]["id"]
    publishable = staff.post("/admin/api-keys", {"title": "store", "type": "publishable"})["api_key"]
    staff.post(f"/admin/api-keys/{publishable['id']}/sales-channels", {"add": [channel]})
    secret = staff.post("/admin/api-keys", {"title": "ordersync", "type": "secret"})["api_key"]
    regions, untaxed = _regions(staff)
    location, zone = _warehouse(staff, channel)
    profile = staff.post("/admin/shipping-profiles", {"name": "Goods", "type": "default"})["shipping_profile"][
        "id"
    ]
    option = _shipping(staff, zone, profile)
    variants = {sku: _product(staff, sku, profile, channel) for sku in _GOODS}
    for row in staff.get("/admin/inventory-items", limit=100)["inventory_items"]:
        level = {"location_id": location, "stocked_quantity": _STOCK}
        staff.post(f"/admin/inventory-items/{row['id']}/location-levels", level)
    # A share of odd prices leaves long fractions, as real shops have them.
    share = {"type": "percentage", "target_type": "items", "allocation": "across", "value": 10}
    promotion = {"code": "TENOFF", "type": "standard", "status": "active", "application_method": share}
    staff.post("/admin/promotions", promotion)
    return Opened(
        key=secret["token"],
        key_id=secret["id"],
        publishable=publishable["token"],
        channel=channel,
        location=location,
        option=option,
        regions=regions,
        untaxed=untaxed,
        variants=variants,
    )


def _regions(staff: Admin) -> tuple[dict[str, str], dict[str, str]]:
    """Region ids by currency: with automatic taxes, and without, where a copied sale keeps its own total."""
    store = staff.get("/admin/stores")["stores"][0]["id"]
    currencies = [
        {"currency_code": code, "is_default": code == "usd", "is_tax_inclusive": code in _TAX_INSIDE}
        for code in COUNTRIES
    ]
    staff.post(f"/admin/stores/{store}", {"supported_currencies": currencies})
    taxed, untaxed = {}, {}
    for code, country in COUNTRIES.items():
        shared = {"currency_code": code, "payment_providers": [PROVIDER]}
        region = {**shared, "name": code.upper(), "countries": [country], "automatic_taxes": True}
        taxed[code] = staff.post("/admin/regions", region)["region"]["id"]
        rate = {"name": f"Standard {_RATES[code]}%", "code": f"{code.upper()}-STD", "rate": _RATES[code]}
        tax = {"country_code": country, "provider_id": "tp_system", "default_tax_rate": rate}
        staff.post("/admin/tax-regions", tax)
        copies = {**shared, "name": f"{code.upper()} copies", "automatic_taxes": False}
        untaxed[code] = staff.post("/admin/regions", copies)["region"]["id"]
    return taxed, untaxed


def _warehouse(staff: Admin, channel: str) -> tuple[str, str]:
    """(stock location, service zone)"""
    location = staff.post("/admin/stock-locations", {"name": "Warehouse"})["stock_location"]["id"]
    base = f"/admin/stock-locations/{location}"
    staff.post(f"{base}/fulfillment-providers", {"add": ["manual_manual"]})
    staff.post(f"{base}/sales-channels", {"add": [channel]})
    staff.post(f"{base}/fulfillment-sets", {"name": "Parcels", "type": "shipping"})
    [parcels] = staff.get(base, fields="*fulfillment_sets")["stock_location"]["fulfillment_sets"]
    zones = [{"type": "country", "country_code": country} for country in COUNTRIES.values()]
    path = f"/admin/fulfillment-sets/{parcels['id']}/service-zones"
    made = staff.post(path, {"name": "World", "geo_zones": zones})["fulfillment_set"]
    return location, made["service_zones"][0]["id"]


def _shipping(staff: Admin, zone: str, profile: str) -> str:
    option = {
        "name": "Standard",
        "service_zone_id": zone,
        "shipping_profile_id": profile,
        "provider_id": "manual_manual",
        "price_type": "flat",
        "type": {"label": "Standard", "description": "Standard", "code": "standard"},
        "prices": [{"currency_code": code, "amount": amount} for code, amount in _SHIPPING.items()],
        "rules": [],
    }
    made: str = staff.post("/admin/shipping-options", option)["shipping_option"]["id"]
    return made


def _product(staff: Admin, sku: str, profile: str, channel: str) -> str:
    title, prices = _GOODS[sku]
    size = sku.rpartition("-")[2]
    variant = {
        "title": size,
        "sku": sku,
        "options": {"Size": size},
        "manage_inventory": sku != "STK-1",
        "prices": [{"currency_code": code, "amount": price} for code, price in prices.items()],
    }
    product = {
        "title": title,
        "status": "published",
        "shipping_profile_id": profile,
        "options": [{"title": "Size", "values": [size]}],
        "sales_channels": [{"id": channel}],
        "variants": [variant],
    }
    made: str = staff.post("/admin/products", product)["product"]["variants"][0]["id"]
    return made
