"""The conformance suite for connectors: subclass it, give it a bench, run pytest.

```python
from ordersync.testing import ConnectorContract

class TestMine(ConnectorContract):
    exempt = {"test_orders_of_one_timestamp_are_all_listed": "its timestamps are unique"}

    @pytest.fixture
    def bench(self):
        bench = MyBench()
        yield bench
        bench.close()
```

An ability is tested to work when the connector declares it, and to be absent or refused when it does not. What a
platform cannot do is exempted by case name with a reason; a name that is no case, or a reason that is empty, fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from ordersync.testing.bench import Bench, CannotArrange
from ordersync.testing.contract_doubt import Doubt
from ordersync.testing.contract_feeds import Feeds
from ordersync.testing.contract_reads import Reads
from ordersync.testing.contract_rig import PROXY_ANSWERS, Rig, rig_on
from ordersync.testing.contract_writes import Refusals, Writes


class ReadContract(Reads):
    """The promises about check, fetch and look-ups alone: for recorded answers, which nobody can write to."""

    exempt: ClassVar[Mapping[str, str]] = {}
    """Case name, without parameters or with them in brackets -> why the platform cannot do it."""
    platform_answers_only: ClassVar[bool] = False
    """True leaves out the cases in which the suite's proxy answers and the platform sees nothing: for a real server
    whose sandbox passes the whole suite."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.platform_answers_only:
            for name in dir(cls):
                if hasattr(getattr(cls, name), PROXY_ANSWERS):
                    setattr(cls, name, None)  # pytest collects nothing by this name then

    @pytest.fixture
    def bench(self) -> Bench | Iterator[Bench]:
        raise NotImplementedError("a connector's test class overrides the fixture `bench`")

    @pytest.fixture
    def rig(self, request: pytest.FixtureRequest, bench: Bench, caplog: pytest.LogCaptureFixture) -> Iterator[Rig]:
        """The stage of one case; at its end no secret may have been logged."""
        name, plain = request.node.name, request.node.originalname
        reason = self.exempt.get(name) or self.exempt.get(plain)
        if reason is not None:
            pytest.skip(f"exempt: {reason}")
        caplog.set_level(logging.DEBUG)
        with rig_on(bench) as rig:
            yield rig
        # The text of `caplog` begins anew at a case's end; its records do not.
        logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
        assert not [secret for secret in bench.secrets if secret in logged], "a log line tells a secret"

    def test_every_exemption_names_a_case_and_has_a_reason(self) -> None:
        cases = {name for name in dir(self) if name.startswith("test_")}
        assert not [name for name in self.exempt if name.partition("[")[0] not in cases]
        assert all(reason.strip() for reason in self.exempt.values())


class ConnectorContract(ReadContract, Feeds, Writes, Refusals, Doubt):
    """Every promise a connector makes, as cases. See docs/connectors.md."""


__all__ = ["Bench", "CannotArrange", "ConnectorContract", "ReadContract"]
