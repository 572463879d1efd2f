"""The Shopline connector reads what a real store answered: recorded orders, served again on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest
from tests.contract.recorded_shop import RECORDED, RecordedBench

from ordersync.testing import Bench, ReadContract
from ordersync.testing.contract_rig import Rig

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recordings are third-party data and not beside the repository"
)


class TestRecordedShopline(ReadContract):
    exempt: ClassVar[Mapping[str, str]] = {
        "test_check_reads_with_the_key_and_writes_nothing": "what the store says of itself was not recorded",
    }

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = RecordedBench()
        yield bench
        bench.close()

    def test_a_pass_lists_every_recorded_order_and_each_can_be_understood(self, rig: Rig) -> None:
        bench = rig.bench
        assert isinstance(bench, RecordedBench)
        orders = [raw for page in rig.pages("changed") for raw in page.orders]
        assert {raw.order_id for raw in orders} == {order["id"] for order in bench.replay.orders}
        assert len({raw.order_id for raw in orders}) == 3
        numbers = {rig.normalise(raw).number for raw in orders}
        assert numbers == {order["name"] for order in bench.replay.orders}
        assert rig.proxy.writes == []
