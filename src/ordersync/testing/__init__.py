"""Shipped test kit: sandbox servers with state, quotas and faults; the conformance suite for connectors.

`ConnectorContract` and `ReadContract` need pytest, which ordersync itself does not: they are only imported when asked
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordersync.testing.bench import Bench, SandboxBench, Truth

if TYPE_CHECKING:
    from ordersync.testing.contract import ConnectorContract, ReadContract

__all__ = ["Bench", "ConnectorContract", "ReadContract", "SandboxBench", "Truth"]


def __getattr__(name: str) -> Any:
    if name not in ("ConnectorContract", "ReadContract"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    parts = ("contract", "contract_doubt", "contract_feeds", "contract_reads", "contract_rig", "contract_writes")
    pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in parts))
    from ordersync.testing import contract

    return getattr(contract, name)
