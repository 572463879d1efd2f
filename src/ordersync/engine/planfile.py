"""A saved plan: exactly which writes a person looked at, to be applied as they were or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from ordersync.errors import UsageError
from ordersync.model import Action, stable_hash

FORMAT = "ordersync-plan-1"


def save_plan(path: Path, actions: Sequence[Action], store_born_at: datetime, made_at: datetime) -> None:
    """Write the plan, readable by its owner only; UsageError when the file cannot be written."""
    body: dict[str, object] = {
        "format": FORMAT,
        "made_at": made_at.isoformat(),
        "store_born_at": store_born_at.isoformat(),
        "actions": [json.loads(action.model_dump_json()) for action in actions],
    }
    body["seal"] = _seal(body)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(body, file, indent=1, sort_keys=True)
            file.write("\n")
    except OSError as failed:
        raise UsageError(
            f"{path} cannot be written: {failed.strerror}", next_step="choose another file for --out"
        ) from failed


def load_plan(path: Path, store_born_at: datetime) -> list[Action]:
    """The saved actions. UsageError when it is no plan, was edited, or belongs to another store."""
    again = "make a new one: ordersync plan --out FILE"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as failed:
        raise UsageError(f"{path} cannot be read: {failed.strerror}", next_step=again) from failed
    except ValueError as broken:
        raise UsageError(f"{path} is not a plan: it is not JSON", next_step=again) from broken
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise UsageError(f"{path} is not a plan of this version", next_step=again)
    seal = body.pop("seal", None)
    if seal != _seal(body):
        raise UsageError(f"{path} was changed after it was saved; nothing is applied", next_step=again)
    if body.get("store_born_at") != store_born_at.isoformat():
        raise UsageError(f"{path} was made from another store; nothing is applied", next_step=again)
    try:
        return [Action.model_validate(action) for action in body["actions"]]
    except (KeyError, TypeError, ValidationError) as broken:
        raise UsageError(f"{path} is not a whole plan; nothing is applied", next_step=again) from broken


def _seal(body: dict[str, object]) -> str:
    """Detects an edit by hand; it is no signature."""
    return stable_hash(FORMAT, json.dumps(body, sort_keys=True))
