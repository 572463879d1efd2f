"""One shop of the stage behind a proxy that spoils its answers, and what may be true whatever they were.

`spoilt_shop` puts the proxy before the shop; a `Spoiling` says which answers are changed, and how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr
from tests.scenarios.fault_proxy import FaultProxy, Turn
from tests.scenarios.stage import Sale, Stage

from ordersync.connector import load
from ordersync.engine.apply import ApplyReport
from ordersync.model import OrderRef
from ordersync.testing.sandbox import Reply, Request, SandboxServer

Moment = Literal["before", "write", "after", "reads"]
"""Reads before the first write, writes, reads after a write, or all reads."""
Spoil = Callable[[Request, Reply], Reply]
KINDS = ("refund", "cancel", "ship")
BUYER = ("kim@example.com",)


@dataclass(slots=True)
class Spoiling:
    """Changes the answers of one moment, from now until the proxy is cleared."""

    moment: Moment
    spoil: Spoil
    written: int = 0
    struck: int = 0

    def __call__(self, request: Request, reply: Reply) -> Reply:
        writes = request.method != "GET"
        self.written += writes
        meant = {
            "before": not writes and not self.written,
            "write": writes,
            "after": not writes and self.written,
            "reads": not writes,
        }
        if not meant[self.moment]:
            return reply
        self.struck += 1
        return self.spoil(request, reply)


@dataclass(slots=True)
class Spoilt:
    stage: Stage
    shop: str
    proxy: FaultProxy
    spoilings: list[Spoiling] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Everything ordersync told since the shop was put behind the proxy."""

    def spoil(self, moment: Moment, spoil: Spoil) -> Spoiling:
        made = Spoiling(moment, spoil)
        self.spoilings.append(made)
        if len(self.spoilings) == 1:
            self.proxy.add_turn(Turn(after=self._through_all))
        return made

    def _through_all(self, request: Request, reply: Reply) -> Reply:
        for spoiling in self.spoilings:
            reply = spoiling(request, reply)
        return reply

    def answer(self, spoil: Callable[[Request], Reply], method: str = ".*") -> None:
        """Answer so without asking the shop."""
        self.proxy.add_turn(Turn(before=spoil, method=method))

    def clear(self) -> None:
        self.proxy.clear()
        self.spoilings.clear()

    def apply(self) -> ApplyReport:
        """One run. What it says must name no buyer and no key."""
        report = self.stage.apply()
        self.said += [result.said for result in report.results] + [why for _, why in report.left]
        for stored in self.stage.store.holds():
            hold = stored.hold
            self.said += [hold.message, *hold.evidence, *hold.next_steps]
        for secret in (*BUYER, *self._keys()):
            assert not [line for line in self.said if secret in line], "what is said names no buyer and no key"
        assert all(len(line) < 1000 for line in self.said), "what a platform answers is not quoted without end"
        return report

    def _keys(self) -> list[str]:
        settings = self.stage.config.settings.shops[self.shop]
        values = [getattr(settings, name) for name in type(settings).model_fields]
        return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


@contextmanager
def spoilt_shop(stage: Stage, name: str) -> Iterator[Spoilt]:
    """From now on ordersync meets this shop through a proxy."""
    settings = stage.config.settings.shops[name]
    there = urlsplit(str(getattr(settings, "base_url")))  # noqa: B009  # each connector's settings have it
    proxy = FaultProxy(f"{there.scheme}://{there.netloc}")
    direct = stage.shops[name]
    with SandboxServer(proxy) as server:
        through = settings.model_copy(update={"base_url": server.origin + there.path})
        connector = load(settings.connector)(name, through)
        stage.shops[name] = replace(direct, connector=connector)
        try:
            yield Spoilt(stage, name, proxy)
        finally:
            stage.shops[name] = direct
            connector.close()
            proxy.close()


def due(stage: Stage, kind: str, here: str, there: str) -> Sale:
    """A sale in which something of this kind happened here and is due there, where the money is."""
    unpaid = (here, there) if kind == "cancel" else ()
    sale = stage.sale(here, there, pays=there, unpaid=unpaid)
    if kind == "refund":
        stage.refund(here, sale, "20.00")
    elif kind == "cancel":
        stage.cancel(here, sale)
    else:
        stage.ship(here, sale, tracking="SF1234")
    stage.wait(minutes=15)
    stage.pull()
    return sale


def effects(stage: Stage, kind: str, sale: Sale, there: str) -> int:
    """How often it happened there, by the shop's own lists."""
    if kind == "refund":
        assert set(stage.refunds(sale)[there]) <= {"20.00"}
        return len(stage.refunds(sale)[there])
    if kind == "cancel":
        return stage.cancelled(sale).count(there)
    box = stage.admins[there].box
    parcels = [row for row in box.own_parcels() if row[0] == sale.orders[there].order_id and row[2] != "cancelled"]
    assert len(parcels) <= 1
    return 1 if stage.shipped(sale)[there] else 0


def is_held(stage: Stage, sale: Sale) -> bool:
    """A hold names the sale's link or one of its orders."""
    refs = tuple(sale.orders.values())
    link = stage.store.link_of(refs[0])
    return any(
        stored.hold.target in refs or (link is not None and stored.hold.link_id == link.link_id)
        for stored in stage.store.holds()
    )


def is_settled(stage: Stage, sale: Sale) -> bool:
    """Every write to its orders was seen, and nothing more is due."""
    refs: tuple[OrderRef, ...] = tuple(sale.orders.values())
    no_doubt = not any(stage.store.actions(target=ref, open_only=True) for ref in refs)
    return no_doubt and not stage.decision(sale).actions and not is_held(stage, sale)
