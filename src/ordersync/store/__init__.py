"""The store: orders, links, ledger, journal, holds and feed positions in one SQLite file."""

from ordersync.store.records import (
    ActionStep,
    Answer,
    DirtyLink,
    FeedPass,
    FeedPosition,
    FieldChange,
    IntentHeld,
    Observation,
    OrderChange,
    Outcome,
    PageResult,
    Parked,
    Run,
    Same,
    Spent,
    StoredHold,
    StoredOrder,
)
from ordersync.store.store import Store

__all__ = [
    "ActionStep",
    "Answer",
    "DirtyLink",
    "FeedPass",
    "FeedPosition",
    "FieldChange",
    "IntentHeld",
    "Observation",
    "OrderChange",
    "Outcome",
    "PageResult",
    "Parked",
    "Run",
    "Same",
    "Spent",
    "Store",
    "StoredHold",
    "StoredOrder",
]
