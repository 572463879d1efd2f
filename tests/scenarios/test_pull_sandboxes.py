"""Pulling every platform's sandbox over HTTP with its real connector and mapping, also when answers are broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stamina

from ordersync.bootstrap import build_shop
from ordersync.cli.sandbox import RunningShop, running_shops, write_configuration
from ordersync.config import load_config
from ordersync.engine.export import export_orders
from ordersync.engine.pull import FeedReport, PullReport, pull
from ordersync.engine.shops import Shop
from ordersync.errors import Transient
from ordersync.store import Store
from ordersync.testing.sandbox import Fault, FaultKind, Sandbox

SHOPS = ("asia", "office", "web", "depot")
ORDERS = 16
BREAKS: tuple[FaultKind, ...] = ("502_html", "torn_body", "empty_200", "cut_before", "500_before")


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, RunningShop]]:
    with running_shops(seed=3, orders=ORDERS) as shops:
        yield {shop.name: shop for shop in shops}


@pytest.fixture(scope="module")
def shops(running: dict[str, RunningShop], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    path = tmp_path_factory.mktemp("configuration") / "ordersync.yaml"
    for sandboxed in running.values():
        sandboxed.settings.update(page_limit=3, rate="500/s")
    write_configuration(path, list(running.values()), writes=False)
    config = load_config(path)
    built = {name: build_shop(config, name) for name in SHOPS}
    yield built
    for shop in built.values():
        shop.connector.close()


@pytest.fixture(autouse=True)
def _reads_are_tried_once() -> Iterator[None]:
    """So that a broken answer reaches the pull at once; the retries have tests of their own."""
    stamina.set_testing(True)
    yield
    stamina.set_testing(False)


def run(store: Store, shop: Shop) -> PullReport:
    return pull(store, shop, read_from=None, now=datetime.now(UTC))


@pytest.mark.parametrize("name", SHOPS)
def test_every_order_is_read_once_and_a_second_pull_changes_nothing(shops: dict[str, Shop], name: str) -> None:
    with Store.open("sqlite://") as store:
        first = run(store, shops[name])
        assert (first.new, first.parked, first.vanished) == (ORDERS, 0, 0)
        assert all(feed.finished for feed in first.feeds)
        assert store.to_look_at(name, 10) == []
        assert {done.feed for done in store.passes(name)} == {feed.name for feed in shops[name].connector.feeds}
        before = list(export_orders(store))
        second = run(store, shops[name])
        assert (second.new, second.changed, second.parked, second.vanished) == (0, 0, 0, 0)
        assert list(export_orders(store)) == before
        assert store.holds() == []


class EveryThird:
    """Given as `on_page`: breaks the answer to every third request after it was made."""

    def __init__(self, sandbox: Sandbox, kind: FaultKind) -> None:
        self._sandbox = sandbox
        self._kind = kind
        self._since = len(sandbox.log)

    def __call__(self, _report: FeedReport) -> None:
        if len(self._sandbox.log) - self._since >= 3:
            self._since = len(self._sandbox.log)
            self._sandbox.add_fault(Fault(kind=self._kind, method="GET"))


@pytest.mark.parametrize("kind", BREAKS)
@pytest.mark.parametrize("name", SHOPS)
def test_a_broken_answer_in_the_middle_loses_nothing_and_is_never_the_end(
    running: dict[str, RunningShop], shops: dict[str, Shop], name: str, kind: FaultKind
) -> None:
    """Pulled again after each broken answer until it ends, the store is that of a pull without any."""
    sandbox = running[name].server.sandbox
    errors = 0
    with Store.open("sqlite://") as whole, Store.open("sqlite://") as store:
        run(whole, shops[name])
        for _ in range(40):
            try:
                pull(store, shops[name], read_from=None, now=datetime.now(UTC), on_page=EveryThird(sandbox, kind))
                break
            except Transient:
                errors += 1
        sandbox.clear_faults()
        run(store, shops[name])
        assert errors > 0, "the faults struck"
        assert list(export_orders(store, buyer=True)) == list(export_orders(whole, buyer=True))
