"""The Medusa connector keeps on the real server, too, every promise in which the server has a say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest
from tests.live.back_office import BackOffice
from tests.live.real_bench import RealMedusaBench

from ordersync.testing import Bench, ConnectorContract


class TestRealMedusa(ConnectorContract):
    platform_answers_only = True
    exempt: ClassVar[Mapping[str, str]] = {
        "test_orders_of_one_timestamp_are_all_listed": "no request sets a timestamp; shown on the sandbox",
    }

    @pytest.fixture
    def bench(self, office: BackOffice) -> Iterator[Bench]:
        bench = RealMedusaBench(office)
        yield bench
        bench.close()
