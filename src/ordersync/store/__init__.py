"""The store: orders, links, ledger, journal, holds and feed positions in one SQLite file."""

from ordersync.store.deciding import Decided, LinkState, ParkedAnswer
from ordersync.store.manylinks import LinksRefused, NewLink
from ordersync.store.owner import lives, new_owner, process_number
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
    "Decided",
    "DirtyLink",
    "FeedPass",
    "FeedPosition",
    "FieldChange",
    "Followed",
    "IntentHeld",
    "LinkState",
    "LinksRefused",
    "Naming",
    "NewLink",
    "Observation",
    "OrderChange",
    "Outcome",
    "PageResult",
    "Parked",
    "ParkedAnswer",
    "Pooled",
    "Reference",
    "Run",
    "Same",
    "Spent",
    "Store",
    "StoredHold",
    "StoredOrder",
    "lives",
    "new_owner",
    "process_number",
]
