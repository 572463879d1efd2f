"""The member sweep: read every linked order again by id, because some changes move nothing a feed can see.

A partial capture or the refund of a received return on Medusa, for example, moves neither the order's nor the
payment's `updated_at`; a tracking number corrected on the headless API moves nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable

from ordersync.engine.observe import Looked, observe_many
from ordersync.engine.shops import Shop
from ordersync.store import Store

BATCH = 50
"""Orders between two calls of `on_batch`: a few seconds even where they are fetched one by one."""


def sweep(store: Store, shop: Shop, on_batch: Callable[[int, int], None] | None = None) -> Looked:
    """Fetch every linked and every parked order of this shop now and store what it says.

    `on_batch` is called with how many were asked for and how many there are; what it raises ends the sweep.

    Errors: Transient and Unauthorized end it; what was fetched until then is stored.
    """
    linked = {ref.order_id for link in store.links() for ref in link.members if ref.shop == shop.name}
    wanted = sorted(linked | {parked.order_id for parked in store.parked(shop=shop.name)})
    found = Looked()
    for start in range(0, len(wanted), BATCH):
        looked = observe_many(store, shop, wanted[start : start + BATCH])
        found.outcomes |= looked.outcomes
        found.parked += looked.parked
        found.vanished += looked.vanished
        found.failed |= looked.failed
        if on_batch is not None:
            on_batch(min(start + BATCH, len(wanted)), len(wanted))
    return found
