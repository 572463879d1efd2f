"""The Headless connector keeps every promise on its sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest
from tests.contract.benches import HeadlessBench

from ordersync.testing import Bench, ConnectorContract


class TestHeadless(ConnectorContract):
    exempt: ClassVar[Mapping[str, str]] = {
        "test_a_page_of_another_window_is_not_the_end": "whether the date filters work is not documented: rows "
        "outside are dropped, and a page of nothing else may rightly be the last"
    }

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = HeadlessBench()
        yield bench
        bench.close()
