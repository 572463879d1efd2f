"""Equal goods that left two shops under different tracking numbers: one parcel typed twice, or two parcels? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ordersync.model import Fact, Fulfillment, OrderRef
from ordersync.reconcile.decide import Case
from ordersync.reconcile.lines import Key, LineTable


class Claimed(Protocol):
    """A shipment, its units, and what was taken for it at other orders although its tracking number is another."""

    @property
    def fact(self) -> Fact: ...

    @property
    def units(self) -> Mapping[Key, int]: ...

    @property
    def other_number(self) -> Mapping[OrderRef, Mapping[Key, int]]: ...


def other_number(one: Fulfillment, other: Fulfillment) -> bool:
    """Both have tracking numbers and share none."""
    return bool(one.tracking_numbers and other.tracking_numbers) and not (
        set(one.tracking_numbers) & set(other.tracking_numbers)
    )


def hold_parcels_that_differ(
    case: Case, shipments: Sequence[Claimed], tables: Mapping[OrderRef, LineTable]
) -> None:
    """Hold where the goods ordered leave room for both parcels; where they do not, it was one."""
    claimed: dict[Key, int] = {}
    for shipment in shipments:
        for key, count in shipment.units.items():
            claimed[key] = claimed.get(key, 0) + count
    for shipment in shipments:
        for target, units in shipment.other_number.items():
            ordered = tables[target].ordered
            if any(claimed.get(key, 0) + count <= ordered.get(key, 0) for key, count in units.items()):
                case.hold(
                    "parcels_differ",
                    f"{shipment.fact.origin} and {target} each shipped the same goods under another tracking number: "
                    f"one parcel or two? It counts as one ({shipment.fact.reason or shipment.fact.record_id})",
                    shipment.fact.fact_id,
                    target=target,
                    next_steps=(
                        "correct the tracking number in one shop's admin, if it was one parcel",
                        "ship the other one in each shop's admin, if there were two",
                        *case.look_steps(),
                    ),
                )
