"""The Headless connector keeps every promise on its sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.benches import HeadlessBench

from ordersync.testing import Bench, ConnectorContract


class TestHeadless(ConnectorContract):
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = HeadlessBench()
        yield bench
        bench.close()
