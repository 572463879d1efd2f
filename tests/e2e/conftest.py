"""One running sandbox for the command-line tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.cli_process import Shops, running


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    with running(tmp_path_factory.mktemp("shops"), "--orders", "20", "--writes") as started:
        yield started
