"""Orders in every state that real flows lead to, in four currencies."""

from __future__ import annotations

from tests.live.back_office import BackOffice


def seed_orders(shop: BackOffice) -> dict[str, str]:
    """Order ids by what happened to each."""
    made = {
        "placed": shop.place("jpy", {"TEE-S": 1, "STK-1": 3}),
        "captured": shop.place("usd", {"TEE-S": 1, "HOOD-L": 1, "STK-1": 1}, promotion=True),
        "part_captured": shop.place("eur"),
        "part_refunded": shop.place("eur", {"HOOD-L": 1}),
        "refunded": shop.place("krw"),
        "packed": shop.place("usd", {"TEE-S": 1, "HOOD-L": 1}),
        "shipped": shop.place("eur", {"TEE-S": 1}),
        "delivered": shop.place("krw", {"HOOD-L": 1}),
        "returned": shop.place("usd", {"TEE-S": 2}),
        "open_return": shop.place("usd", {"TEE-S": 1}),
        "open_edit": shop.place("jpy", {"HOOD-L": 1}),
        "cancelled_authorised": shop.place("usd"),
        "cancelled_captured": shop.place("jpy"),
        "archived": shop.place("krw", {"STK-1": 2}),
    }
    mug = [{"title": "Mug", "variant_sku": "MUG-01", "quantity": 1, "unit_price": 12500}]
    made["mirrored"] = shop.mirror("krw", mug, "SL-7")
    for name, order_id in made.items():
        if name == "part_captured":
            shop.capture(order_id, 20)
        elif name not in ("placed", "cancelled_authorised", "mirrored"):
            shop.capture(order_id)
    shop.refund(made["part_refunded"], 5, "scratched")
    shop.refund(made["refunded"], shop.order(made["refunded"], "+total")["total"])
    shop.pack(made["packed"], shop.lines(made["packed"])[:1])
    for name in ("shipped", "delivered", "returned", "open_return"):
        parcel = shop.pack(made[name])
        shop.ship(made[name], parcel, f"TRK-{name}")
        if name != "shipped":
            shop.deliver(made[name], parcel)
    shop.receive_return(made["returned"], shop.lines(made["returned"])[0]["id"])
    shop.begin_return(made["open_return"], shop.lines(made["open_return"])[0]["id"])
    shop.begin_edit(made["open_edit"])
    for name in ("cancelled_authorised", "cancelled_captured"):
        shop.cancel(made[name])
    for verb in ("complete", "archive"):
        shop.step(made["archived"], verb)
    return made
