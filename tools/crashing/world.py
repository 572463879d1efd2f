"""Three sandbox shops with one sale on each, put back to the same moment for every point.

The sandboxes are made anew from the same seed and live through the same acts, at the same times of a clock of their
own; so their ids and records are the same each time, and a copy of the store that read them fits.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from tests.scenarios.shop_admins import Admin, Placing, admin_of
from tools.crashing.worker import Ended, Job, run

from ordersync.bootstrap import build_shop, sandbox_of
from ordersync.cli.sandbox import SHOPS
from ordersync.config import Config, load_config
from ordersync.engine.shops import Shop
from ordersync.model import Order, OrderRef
from ordersync.store import Store
from ordersync.testing.sales import SaleLine, SaleSpec
from ordersync.testing.sandbox import SandboxServer

NAMES = ("asia", "office", "web")
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SALE = SaleSpec(
    number=9001,
    email="kim@example.com",
    currency="USD",
    lines=(SaleLine("MUG-01", "Mug", 2, 1250), SaleLine("TEE-M", "Tee", 1, 1795)),
    shipping_minor=500,
    placed_at=START - timedelta(days=1),
)
_WIDE = {"cancel": 10, "refund": 20, "refund_value": ["1000 USD"]}
_WENT_WRONG = ("failed", "failure", "error")
_FROM_ANY = {"from": "any", "carry_after": "0s"}


@dataclass(frozen=True, slots=True)
class Effects:
    """What one shop itself shows of the sale, without ids and times."""

    refunds: tuple[int, ...]
    """Minor units of every refund that moved or will move money, ascending."""
    cancelled: int
    units_gone: int
    parcels: int
    captured: int
    progress: str
    archived: bool


@dataclass(slots=True)
class World:
    folder: Path
    members: tuple[str, ...] = NAMES
    """Shops that have the sale; linked when there is more than one."""
    pays: str = "asia"
    """The shop that holds the buyer's money; in the others a refund only marks."""
    paid: bool = True
    page_limit: int | None = None
    extra_orders: int = 0
    """Orders of each shop that are nobody else's."""
    admins: dict[str, Admin] = field(default_factory=dict)
    servers: dict[str, SandboxServer] = field(default_factory=dict)
    refs: dict[str, OrderRef] = field(default_factory=dict)
    _readers: dict[str, Shop] = field(default_factory=dict)
    _at: datetime = START
    _since: float | None = None
    """While a command runs, the clock runs too; else it stands, so that people's acts fall on the same instants."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> World:
        self.fresh_shops()
        self.servers = {
            name: self._stack.enter_context(SandboxServer(admin.box)) for name, admin in self.admins.items()
        }
        config = self._write_config()
        self._readers = {name: build_shop(config, name) for name in NAMES}
        for shop in self._readers.values():
            self._stack.callback(shop.connector.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # Time

    @property
    def now(self) -> datetime:
        if self._since is not None:
            return self._at + timedelta(seconds=time.monotonic() - self._since)
        self._at += timedelta(milliseconds=1)
        return self._at

    def set_time(self, at: datetime) -> None:
        self._at = at

    def later(self, **by: float) -> None:
        self._at += timedelta(**by)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """The clock runs meanwhile."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._at, self._since = self.now, None

    # Shops and store

    def fresh_shops(self) -> None:
        """The shops as they were at the start; the servers and their addresses stay."""
        self.set_time(START)
        self.admins = {
            spec.name: admin_of(sandbox_of(spec.connector)(seed=1, now=lambda: self.now, **spec.options))
            for spec in SHOPS
            if spec.name in NAMES
        }
        for name, admin in self.admins.items():
            if self.extra_orders:
                admin.box.seed_orders(self.extra_orders)
            if name in self.members:
                provider = admin.own_payment if name == self.pays else admin.books
                placed = admin.place(Placing(replace(SALE, provider=provider, paid=self.paid)))
                self.refs[name] = OrderRef(name, placed)
            if name in self.servers:
                self.servers[name].serve(admin.box)

    def keep_store(self, name: str) -> None:
        """Copy the closed store and its log aside; `use_store` brings them back."""
        _copy_store(self.folder, self.folder / name)

    def use_store(self, name: str) -> None:
        self.lose_store()
        _copy_store(self.folder / name, self.folder)

    def lose_store(self) -> None:
        for file in _store_files(self.folder):
            file.unlink()

    def open_store(self) -> Store:
        return Store.open(f"sqlite:///{self.folder / 'ordersync.db'}", create=False)

    # Commands

    def run(self, *arguments: str, **more: Any) -> Ended:
        """A command as a process; `more` as in `Job`."""
        job = Job(self.folder, arguments, self.now, **more)
        with self.passing():
            return run(job)

    def command(self, *arguments: str) -> Ended:
        """A command nobody disturbs. AssertionError when it ends as no command may."""
        return sound(self.run(*arguments))

    def link(self) -> None:
        self.command("links", "add", *(str(ref) for ref in self.refs.values()))

    # What the shops show

    def order(self, name: str) -> Order:
        """The sale as the shop shows it now."""
        shop = self._readers[name]
        return shop.normalise(shop.connector.fetch(self.refs[name].order_id)).order

    def effects(self) -> dict[str, Effects]:
        return {name: self._effects(name) for name in self.members}

    def _effects(self, name: str) -> Effects:
        box, order = self.admins[name].box, self.order(name)
        own = [row for row in box.own_refunds() if row[0] == order.order_id]
        parcels = [row for row in box.own_parcels() if row[0] == order.order_id and row[2] != "cancelled"]
        return Effects(
            refunds=tuple(sorted(row[2] for row in own if row[2] > 0 and row[4] not in _WENT_WRONG)),
            cancelled=sum(1 for row in box.own_cancels() if row[0] == order.order_id),
            units_gone=sum(sum(row[3].values()) for row in parcels if row[2] in ("shipped", "delivered")),
            parcels=len(parcels),
            captured=sum(payment.captured.amount_minor for payment in order.payments or ()),
            progress=order.progress.value if order.progress else "",
            archived=order.archived,
        )

    def _write_config(self) -> Config:
        shops: dict[str, dict[str, Any]] = {}
        for name, server in self.servers.items():
            admin = self.admins[name]
            shops[name] = {**admin.box.settings_for(server), "rate": "500/s", "books_only": [admin.books]}
            if self.page_limit is not None:
                shops[name]["page_limit"] = self.page_limit
        body = {
            "store": "sqlite:///ordersync.db",
            "writes": True,
            "read_from": "2026-01-01",
            "shops": shops,
            "policy": dict.fromkeys(("cancel", "refund", "fulfill", "progress"), _FROM_ANY),
            "limits": {"run": _WIDE, "day": _WIDE},
        }
        file = self.folder / "ordersync.yaml"
        file.write_text(yaml.safe_dump(body, sort_keys=False))
        return load_config(file)


def sound(ended: Ended) -> Ended:
    assert "Traceback" not in ended.out + ended.err, ended.err
    assert "fault in ordersync" not in ended.err, ended.err
    assert ended.code in (0, 1, 3), f"exit {ended.code}: {ended.err}{ended.out}"
    return ended


def _store_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("ordersync.db*")) + sorted(folder.glob("ordersync.sent.log"))


def _copy_store(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for file in _store_files(source):
        shutil.copy2(file, target / file.name)
