"""What the scenarios share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.stage import Stage, open_stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Three sandbox shops and an empty store; see `stage.py`."""
    with open_stage(tmp_path) as made:
        yield made
