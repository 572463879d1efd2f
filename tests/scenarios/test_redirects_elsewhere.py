"""Redirects: a shop, or a box before it, points ordersync to another port, another host, or out of TLS.

A redirect is never followed, because the key would travel with the request. One that answers a read is a broken
answer. One that answers a write says nothing certain about it: 307 and 308 promise that nothing was done, 303 that it
was, and proxies mix them up. So the write is in doubt, and what reading back shows decides.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
import stamina
from tests.scenarios.spoilt import KINDS, due, effects, is_held, is_settled, spoilt_shop
from tests.scenarios.stage import PAIRS, Stage

from ordersync.model import ActionState
from ordersync.testing.sandbox import Reply, Request

STATUSES = (301, 302, 303, 307, 308)


@pytest.fixture(autouse=True)
def _reads_are_tried_at_once() -> Iterator[None]:
    """Only so that nobody waits; the patience of reads has tests of its own."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
def elsewhere() -> Iterator[list[str]]:
    """Origins of another port of this host and of another host. Nobody may even have knocked there."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((host, 0))) for host in ("127.0.0.1", "127.0.0.2")]
        yield [f"http://{one.getsockname()[0]}:{one.getsockname()[1]}" for one in listeners]
        for one in listeners:
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.accept()


def redirecting(status: int, origin: str) -> Callable[[Request, Reply], Reply]:
    """To the same path elsewhere."""

    def spoil(request: Request, _reply: Reply) -> Reply:
        return Reply(status, None, {"Location": origin + request.path})

    return spoil


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_redirected_look_writes_nothing_and_says_what_to_correct(
    stage: Stage, elsewhere: list[str], here: str, there: str
) -> None:
    sale = due(stage, "refund", here, there)
    with spoilt_shop(stage, there) as spoilt:
        for place, status in enumerate(STATUSES):
            spoiling = spoilt.spoil("before", redirecting(status, elsewhere[place % 2]))
            report = spoilt.apply()
            assert spoiling.struck
            assert spoiling.written == 0
            ((_, why),) = report.left
            assert f"redirects ({status})" in why
            spoilt.clear()
        spoilt.apply()
    assert effects(stage, "refund", sale, there) == 1
    assert is_settled(stage, sale)


@pytest.mark.parametrize("here, there", PAIRS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_redirected_write_that_happened_is_found_and_not_repeated(
    stage: Stage, elsewhere: list[str], here: str, there: str, kind: str
) -> None:
    with spoilt_shop(stage, there) as spoilt:
        for place, status in enumerate((302, 303, 307)):
            sale = due(stage, kind, here, there)
            spoilt.spoil("write", redirecting(status, elsewhere[place % 2]))
            report = spoilt.apply()
            assert f"redirects ({status})" in report.results[0].said
            assert effects(stage, kind, sale, there) == 1
            spoilt.clear()
            stage.pull()
            assert spoilt.apply().results == []
            assert is_settled(stage, sale)


@pytest.mark.parametrize("here, there", PAIRS)
@pytest.mark.parametrize("kind", ["refund", "ship"])
def test_a_redirected_write_that_did_not_happen_is_held_and_never_sent_again(
    stage: Stage, elsewhere: list[str], here: str, there: str, kind: str
) -> None:
    sale = due(stage, kind, here, there)
    with spoilt_shop(stage, there) as spoilt:
        location = {"Location": f"{elsewhere[1]}/admin"}
        spoilt.answer(lambda _request: Reply(308, None, dict(location)), method="POST")
        (result,) = spoilt.apply().results
        assert result.state is ActionState.DOUBT
        assert "not followed" in result.said
        sent = len(spoilt.proxy.requests("POST"))
        assert sent == 1
        for hours in (1, 3):
            stage.wait(hours=hours)
            stage.pull()
            spoilt.apply()
        still = spoilt.proxy.requests("POST")
        assert effects(stage, kind, sale, there) == 0
        assert is_held(stage, sale)
        keys = {request.headers.get("idempotency-key") for request in still}
        assert len(still) == 1 or (len(keys) == 1 and None not in keys), "again only under the key that is kept"
