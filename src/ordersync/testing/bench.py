"""What the conformance suite needs of a platform: the few things only the author of its connector knows.

One class is written per platform. Against a loopback sandbox `SandboxBench` has nearly all of it; a bench of a real
server does the same with plain HTTP or SQL. The suite puts its own proxy between connector and platform, so a bench
needs no faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from ordersync.connector import Connector, ShopSettings
from ordersync.testing.sales import SaleSpec, sales
from ordersync.testing.sandbox import SandboxServer


class CannotArrange(Exception):
    """This bench cannot bring about what a case needs. The case fails unless it is exempted by name."""


class Truth(NamedTuple):
    """What the platform itself says of one order, read without the connector."""

    refunds: tuple[int, ...]
    """Minor units of every refund record that is not failed, in any order."""
    cancelled: bool
    parcels: tuple[tuple[str, int], ...]
    """(packed|shipped|delivered, units) of every parcel that is not cancelled, in any order."""
    more: str = ""
    """Whatever else a write of this platform changes, as text: its own words for progress, archive, captures."""


class Bench:
    """A shop of the platform under test. Every case starts with orders of its own: the shop may be shared."""

    origin: str
    """Scheme, host and port where the platform listens: `http://127.0.0.1:9000`."""
    secrets: tuple[str, ...] = ()
    """Credentials that must never be seen in an error or a log line."""
    page_size: int = 3
    """Rows a page holds at `connect`'s settings: as few as the platform allows."""
    deciding_word: tuple[bytes, bytes] | None = None
    """Bytes of a word in a fetched order that decides, and the same with a word nobody knows:
    `(b'"status":"open"', b'"status":"frozen"')`."""

    @property
    def now(self) -> datetime:
        """The platform's clock."""
        return datetime.now(UTC)

    def settings(self, origin: str) -> ShopSettings:
        """The shop's settings with the platform at `origin` (the proxy's address); small pages, a high rate, and
        timeouts of a few seconds where they can be set."""
        self.cannot("say its settings")

    def connect(self, settings: ShopSettings) -> Connector:
        """A new connector. The suite closes it."""
        self.cannot("connect")

    def place(self, sale: SaleSpec) -> str:
        """A buyer orders this, paid in full unless `sale.paid` is false; returns the platform's order id."""
        self.cannot("place an order")

    def ready_for(self, call: str) -> str:
        """An order on which this write is possible: `confirm`, `complete`, `capture`… Parcels are packed and shipped
        by the suite, through the connector."""
        return self.place(self.sale())

    def truth(self, order_id: str) -> Truth:
        """Read without the connector."""
        self.cannot("read the platform's own lists")

    def tie(self, order_ids: Iterable[str]) -> None:
        """Give all these orders one and the same `updated_at` (or what the feeds page by)."""
        self.cannot("give orders one timestamp")

    def move(self, order_id: str) -> None:
        """A person edits the order, so that it changes its place in the feeds."""
        self.cannot("edit an order as a person")

    def close(self) -> None:
        """The end of one case."""

    def cannot(self, what: str) -> NoReturn:
        raise CannotArrange(f"{type(self).__name__} does not {what}")

    def sale(self, *, paid: bool = True, **changes: Any) -> SaleSpec:
        """A sale of three kinds of goods an hour before the platform's now; each has a number of its own."""
        self._sold = getattr(self, "_sold", 0) + 1
        [made] = sales(7, 1, first_number=4000 + self._sold, paid=paid)
        placed_at = self.now.replace(microsecond=0) - timedelta(hours=1) + timedelta(seconds=self._sold)
        return made.__class__(**{**_fields(made), "placed_at": placed_at, **changes})


class SandboxBench(Bench):
    """A bench on a loopback sandbox that has `settings_for`, `add_sale`, `own_refunds`, `own_cancels` and
    `own_parcels`. `settings` are keys of the shop's configuration that differ from the sandbox's own."""

    def __init__(self, connector: type[Connector], sandbox: Any, **settings: Any) -> None:
        self._connector = connector
        self.sandbox = sandbox
        self._server = SandboxServer(sandbox).start()
        self._settings = settings
        self.origin = self._server.origin
        self.secrets = tuple(
            value for key, value in sandbox.settings_for(self._server).items() if key in ("token", "api_key")
        )

    @property
    def now(self) -> datetime:
        moment: datetime = self.sandbox.now()
        return moment

    def settings(self, origin: str) -> ShopSettings:
        config = {**self.sandbox.settings_for(self._server), "rate": "9000/s", **self._settings}
        config["base_url"] = str(config["base_url"]).replace(self.origin, origin)
        return self._connector.Settings.model_validate(config)

    def connect(self, settings: ShopSettings) -> Connector:
        return self._connector("bench", settings)

    def place(self, sale: SaleSpec) -> str:
        placed = self.sandbox.add_sale(sale)
        return placed if isinstance(placed, str) else str(placed.id)

    def truth(self, order_id: str) -> Truth:
        refunds = [row[2] for row in self.sandbox.own_refunds() if row[0] == order_id and row[4] != "failed"]
        parcels = [row for row in self.sandbox.own_parcels() if row[0] == order_id and row[2] != "cancelled"]
        return Truth(
            refunds=tuple(sorted(refunds)),
            cancelled=any(row[0] == order_id for row in self.sandbox.own_cancels()),
            parcels=tuple(sorted((row[2], sum(row[3].values())) for row in parcels)),
            more=self.words(order_id),
        )

    def words(self, order_id: str) -> str:
        """`Truth.more` of one order."""
        return ""

    def close(self) -> None:
        self._server.stop()


def _fields(sale: SaleSpec) -> Mapping[str, Any]:
    return {name: getattr(sale, name) for name in sale.__slots__}
