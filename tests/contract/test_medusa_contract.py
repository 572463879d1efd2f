"""The Medusa connector keeps every promise on its sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.benches import MedusaBench

from ordersync.testing import Bench, ConnectorContract


class TestMedusa(ConnectorContract):
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = MedusaBench()
        yield bench
        bench.close()
