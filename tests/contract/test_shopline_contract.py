"""The Shopline connector keeps every promise on its sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.benches import ShoplineBench

from ordersync.testing import Bench, ConnectorContract


class TestShopline(ConnectorContract):
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = ShoplineBench()
        yield bench
        bench.close()
