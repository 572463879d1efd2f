"""What a connector is: the door to one platform. It moves bytes and knows the platform's quirks.

A connector returns raw JSON; it never builds an `Order`, decides, sleeps or retries a write. Having a method is
having the capability: the engine asks `capabilities(connector)`, never for a platform's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from ordersync.errors import ConfigError
from ordersync.model import Frozen, Money
from ordersync.model.semantics import Semantics as Semantics

ENTRY_POINT_GROUP = "ordersync.connectors"
MAX_ORDER_BYTES = 2 * 1024 * 1024
"""A larger order is not stored: a page names it in `unreadable`, `fetch` raises MappingError("order_too_large")."""
WRITE_CALLS = (
    *("cancel", "refund", "pack", "ship", "deliver"),
    *("confirm", "process", "complete", "archive", "capture"),
)


class ShopSettings(BaseModel):
    """What every shop's settings hold; a connector subclasses it. Secrets are `SecretStr`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connector: str
    rate: str = ""
    """Requests a second, as "3.5/s"; empty means the connector's default."""
    books_only: tuple[str, ...] = ()
    """Payment providers whose refunds only mark and never pay the buyer."""
    allow: tuple[str, ...] | None = None
    """Writes allowed on this shop; None: all the connector has."""
    exponents: dict[str, int] = {}
    """Currency digits that differ from ISO 4217 on this shop."""


class Feed(Frozen):
    """One way a platform lets us list changes."""

    name: str
    catches: str
    """What it finds, for the connector's README and `connectors list`."""
    complete: bool = False
    """A finished pass lists everything in its window."""
    by_watermark: bool = True
    """The engine narrows `Window.since` to the last finished pass; otherwise every pass starts afresh."""
    lists_open: bool = False
    """A finished pass is the whole set of open orders: one of ours that is absent has left the set."""
    look_back: timedelta | None = None
    """Each pass starts this long before now instead of at the watermark."""


class Window(Frozen):
    """What a pull covers: `since` inclusive, `until` exclusive or inclusive as the platform has it."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class RawOrder(Frozen):
    """One order as the platform sent it: JSON bytes of the order object itself, without an envelope."""

    order_id: str
    payload: bytes
    sent_at: AwareDatetime
    """When the request that brought it was sent: observations are ordered by this."""
    partial: bool = False
    """A list row without its details: only marks the order for a fetch, never overwrites a full one."""


class Page(Frozen):
    """One answer of a feed. An empty page with a next cursor is not the end; `next_cursor=None` is."""

    orders: tuple[RawOrder, ...] = ()
    next_cursor: str | None = None
    """Opaque text; a pull resumes from it after a kill."""
    seen_ids: tuple[str, ...] = ()
    """Orders this page says to look at again without bringing them (payments feed)."""
    total: int | None = None
    """The platform's own count for the window, where it gives one."""
    unreadable: tuple[str, ...] = ()
    """Rows that could not be split or had no id: one sentence each, no buyer data. They become holds."""
    covered_until: AwareDatetime | None = None
    """Last page only: how far the window was really read, where that is less than `Window.until` (lag, clocks).
    The next pass starts there."""


class CancelRequest(Frozen):
    reason: str | None = None
    amount: Money | None = None
    restock: bool = False
    notify_buyer: bool = False
    processed_at: AwareDatetime | None = None
    token: str | None = None
    """Our short fact id; the connector writes it where the platform gives it back."""


class LineQuantity(Frozen):
    """So many units of one line of the order, by the platform's own line id."""

    line_item_id: Annotated[str, Field(min_length=1)]
    quantity: Annotated[int, Field(gt=0)]


def _each_line_once(lines: tuple[LineQuantity, ...]) -> tuple[LineQuantity, ...]:
    if len({line.line_item_id for line in lines}) < len(lines):
        raise ValueError("a line item is named twice")
    return lines


Lines = Annotated[tuple[LineQuantity, ...], AfterValidator(_each_line_once)]
"""Each line item at most once."""
Contents = Annotated[Lines, Field(min_length=1)]
"""What is in a parcel: something."""


class RefundRequest(Frozen):
    amount: Money
    """All the money to be moved, what `lines` and `shipping` stand for included."""
    lines: Lines = ()
    """What the money is for; `Semantics.refund_by` says whether the platform can be told."""
    shipping: Money | None = None
    """The part of `amount` that is for shipping."""
    payment_id: str | None = None
    to: Literal["original", "books"] = "original"
    reason: str | None = None
    restock: bool = False
    notify_buyer: bool = False
    processed_at: AwareDatetime | None = None
    token: str | None = None


class PackRequest(Frozen):
    """One parcel is made; it has not left."""

    lines: Contents
    carrier: str | None = None
    """Only describes: left out where the platform has no place for it."""
    tracking_number: str | None = None
    tracking_url: str | None = None
    """Only where `Semantics.tracking_at_pack`; elsewhere the shipment carries it."""
    notify_buyer: bool = False
    token: str | None = None


class ShipRequest(Frozen):
    """One parcel leaves. With `fulfillment_id` a packed one, of which `lines` is all that is inside; without it
    (`Semantics.ship_needs_pack` is false) a parcel of `lines` that is made and shipped at once."""

    fulfillment_id: str | None = None
    lines: Contents
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    notify_buyer: bool = False
    token: str | None = None


class DeliverRequest(Frozen):
    fulfillment_id: Annotated[str, Field(min_length=1)]


class CaptureRequest(Frozen):
    payment_id: str | None = None
    amount: Money | None = None


class Receipt(Frozen):
    """What the platform answered to a write that it says it did."""

    platform_ref: str | None = None
    """Id of the record made or moved (refund, payment, fulfillment), where the answer has one."""
    already_done: bool = False
    status: str | None = None
    request_id: str | None = None


class ShopFacts(Frozen):
    """What `check` found out with the cheapest authenticated reads."""

    name: str | None = None
    currency: str | None = None
    orders: int | None = None
    clock_skew_s: float | None = None
    warnings: tuple[str, ...] = ()
    """Each with its fix, for a person."""


@runtime_checkable
class Connector(Protocol):
    """Required of every connector; see STYLE for the promises. Optional methods, looked up by name:

    fetch_many(order_ids) -> Sequence[RawOrder]     absent ids are simply not returned
    lookup(number, email) -> RawOrder               guest look-up; NotFound
    blockers(order_id) -> Sequence[str]             open order changes that make money writes unsafe
    payments(...), payment_providers(...), payment(...)  raw listings, where the platform has them
    cancel(order_id, CancelRequest, key) -> Receipt
    refund(order_id, RefundRequest, key) -> Receipt
    capture(order_id, CaptureRequest, key) -> Receipt
    pack(order_id, PackRequest, key) -> Receipt      platform_ref is the fulfillment's id
    ship(order_id, ShipRequest, key) -> Receipt      likewise
    deliver(order_id, DeliverRequest, key) -> Receipt
    confirm(order_id, key) -> Receipt                progress: pending -> confirmed
    process(order_id, key) -> Receipt                confirmed -> processing
    complete(order_id, key) -> Receipt               -> completed
    archive(order_id, key) -> Receipt

    Writes are one call each and raise Transient (proven not sent), Refused (proven not done) or OutcomeUnknown.
    """

    platform: ClassVar[str]
    version: ClassVar[str]
    Settings: ClassVar[type[ShopSettings]]
    feeds: ClassVar[tuple[Feed, ...]]
    semantics: ClassVar[Semantics]
    mapping: ClassVar[str]
    """File name of the mapping in `ordersync_mappings`, without its ending."""

    def __init__(self, shop: str, settings: Any) -> None: ...

    def check(self) -> ShopFacts: ...

    def fetch(self, order_id: str) -> RawOrder: ...

    def pull(self, feed: str, window: Window, cursor: str | None) -> Page: ...

    def close(self) -> None: ...


@runtime_checkable
class CanFetchMany(Protocol):
    def fetch_many(self, order_ids: Sequence[str]) -> Sequence[RawOrder]: ...


@runtime_checkable
class CanLookup(Protocol):
    def lookup(self, number: str, email: str) -> RawOrder: ...


@runtime_checkable
class CanListBlockers(Protocol):
    def blockers(self, order_id: str) -> Sequence[str]: ...


@runtime_checkable
class CanCancel(Protocol):
    def cancel(self, order_id: str, request: CancelRequest, key: str) -> Receipt: ...


@runtime_checkable
class CanRefund(Protocol):
    def refund(self, order_id: str, request: RefundRequest, key: str) -> Receipt: ...


@runtime_checkable
class CanCapture(Protocol):
    def capture(self, order_id: str, request: CaptureRequest, key: str) -> Receipt: ...


@runtime_checkable
class CanPack(Protocol):
    def pack(self, order_id: str, request: PackRequest, key: str) -> Receipt: ...


@runtime_checkable
class CanShip(Protocol):
    def ship(self, order_id: str, request: ShipRequest, key: str) -> Receipt: ...


@runtime_checkable
class CanDeliver(Protocol):
    def deliver(self, order_id: str, request: DeliverRequest, key: str) -> Receipt: ...


@runtime_checkable
class CanConfirm(Protocol):
    def confirm(self, order_id: str, key: str) -> Receipt: ...


@runtime_checkable
class CanProcess(Protocol):
    def process(self, order_id: str, key: str) -> Receipt: ...


@runtime_checkable
class CanComplete(Protocol):
    def complete(self, order_id: str, key: str) -> Receipt: ...


@runtime_checkable
class CanArchive(Protocol):
    def archive(self, order_id: str, key: str) -> Receipt: ...


def capabilities(connector: type[Connector] | Connector) -> frozenset[str]:
    """Names of the optional calls this connector has. Of one shop's connector, what its dialect has: `isinstance`
    with the protocols above answers for the class, so ask here first."""
    optional = (*WRITE_CALLS, "fetch_many", "lookup", "blockers", "payments", "payment_providers", "payment")
    return frozenset(name for name in optional if callable(getattr(connector, name, None)))


def installed() -> dict[str, EntryPoint]:
    """Connectors by name, built-in and foreign alike, without importing them."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in found and found[point.name].value != point.value:
            raise ConfigError(
                f"two installed packages bring a connector named {point.name!r}",
                next_step="uninstall one of them",
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def load(name: str) -> type[Connector]:
    """Import one connector; ConfigError names the ones there are."""
    points = installed()
    if name not in points:
        raise ConfigError(
            f"no connector named {name!r} is installed",
            next_step=f"installed are: {', '.join(points) or 'none'} (see: ordersync connectors list)",
        )
    try:
        loaded: type[Connector] = points[name].load()
    except (ImportError, AttributeError) as broken:
        raise ConfigError(
            f"the connector {name!r} is installed but cannot be loaded ({type(broken).__name__})",
            code="broken_connector",
            next_step="install it again, or remove the package that brings it",
        ) from broken
    return loaded


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with a `Z`, to the second or millisecond, as query parameters want it."""
    from datetime import UTC

    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
