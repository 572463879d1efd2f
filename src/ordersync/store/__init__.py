"""The store: orders, links, ledger, journal, holds and feed positions in one SQLite file."""

from ordersync.store.manylinks import LinksRefused, NewLink
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
from ordersync.store.traits import Accuracy, Followed, Naming, Pooled, Reference

__all__ = [
    "Accuracy",
    "ActionStep",
    "Answer",
    "DirtyLink",
    "FeedPass",
    "FeedPosition",
    "FieldChange",
    "Followed",
    "IntentHeld",
    "LinksRefused",
    "Naming",
    "NewLink",
    "Observation",
    "OrderChange",
    "Outcome",
    "PageResult",
    "Parked",
    "Pooled",
    "Reference",
    "Run",
    "Same",
    "Spent",
    "Store",
    "StoredHold",
    "StoredOrder",
]
