"""The quota of a shop: reads wait for it, writes do not wait long."""

from __future__ import annotations

import time

import pytest

from ordersync.errors import Transient
from ordersync.http import RateLimit, ShopClient
from ordersync.testing.sandbox import Sandbox, SandboxServer


def test_a_write_does_not_wait_long_for_the_quota_but_says_that_nothing_was_sent() -> None:
    """The intent is on disk before the call: a call that sleeps a minute would be taken for lost by others."""
    sandbox = Sandbox()
    with SandboxServer(sandbox) as server:
        rate = RateLimit(1000.0)
        client = ShopClient(
            "shop", server.base_url, auth=None, rate=rate, error_text=lambda _status, _body: (None, None)
        )
        rate.push_back(30)
        started = time.monotonic()
        with pytest.raises(Transient, match="nothing was sent") as waited:
            client.write("POST", "/refunds", {"amount": 1}, operation="refund")
        assert waited.value.code == "quota_wait"
        assert time.monotonic() - started < 5
        assert sandbox.log == []
        client.close()


def test_a_wait_that_is_refused_takes_no_token() -> None:
    rate = RateLimit(2.0)
    assert rate.wait() == 0.0
    assert rate.wait(at_most_s=0.1) is None
    assert rate.wait(at_most_s=0.1) is None
    waited = rate.wait(at_most_s=5.0)
    assert waited is not None
    assert 0.2 < waited <= 0.5
