"""Pauses: what a person, or surplus money at a shop, stops from being written. Reading goes on.

A person's pause is a file beside the store, because it must work while the database is locked. That the file is
there is the pause; what it says is only for people. A shop at which an open `overshoot` hold stands is paused as
well, until a person has answered it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ordersync.errors import Held, StoreError, UsageError
from ordersync.model import Action, Decision
from ordersync.store import Store

OVERSHOOT = "overshoot"


@dataclass(frozen=True, slots=True)
class Pause:
    shop: str | None
    """None: every shop."""
    why: str
    """As a sentence for a person, without the shop."""
    until: str
    """The command that ends it."""
    hold: str | None = None

    @property
    def sentence(self) -> str:
        return f"{f'shop {self.shop} is' if self.shop else 'all shops are'} paused: {self.why}"


@dataclass(frozen=True, slots=True)
class PauseFlags:
    """The files of one store. `path=None`: a store in memory, which has none."""

    path: Path | None

    @classmethod
    def beside(cls, url: str) -> PauseFlags:
        name = url.removeprefix("sqlite:///")
        if name == url or not name or ":memory:" in name:
            return cls(None)
        return cls(Path(name))

    def set(self, shop: str | None, who: str, why: str | None, now: datetime) -> bool:
        """Pause one shop, or all; False when it was paused already.

        Errors: UsageError for a store in memory; StoreError when the file cannot be made: then nothing is paused.
        """
        file = self._file(shop)
        text = json.dumps({"who": who, "why": why, "at": now.isoformat()}, ensure_ascii=False)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        except OSError as failed:
            raise StoreError(
                f"{file} cannot be made: {failed.strerror}; nothing is paused",
                code="pause_unwritable",
                next_step="make the folder of the store writable, or set writes: false in the configuration",
            ) from failed
        # It pauses from here on, whatever becomes of the words in it.
        with os.fdopen(descriptor, "w", encoding="utf-8") as said:
            said.write(text + "\n")
        return True

    def lift(self, shop: str | None) -> bool:
        """End that pause; False when there was none. StoreError when the file cannot be removed: it still pauses."""
        file = self._file(shop)
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        except OSError as failed:
            raise StoreError(
                f"{file} cannot be removed: {failed.strerror}; it is still paused",
                code="pause_unwritable",
                next_step=f"remove the file {file} yourself",
            ) from failed
        return True

    def of(self, shop: str | None) -> Pause | None:
        """This very pause, if it is set. What cannot be looked at counts as set."""
        if self.path is None:
            return None
        file = self._file(shop)
        try:
            os.lstat(file)
        except FileNotFoundError:
            return None
        except OSError:
            pass
        command = "ordersync resume" + (f" --shop {shop}" if shop else "")
        return Pause(shop, _said(file), command)

    def _file(self, shop: str | None) -> Path:
        if self.path is None:
            raise UsageError(
                "a store in memory cannot be paused",
                code="no_store_file",
                next_step="name a file in store: of the configuration",
            )
        return self.path.with_name(f"{self.path.name}.pause" + (f".{shop}" if shop else ""))


def _said(file: Path) -> str:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        at = datetime.fromisoformat(told["at"])
        why = f": {told['why']}" if told.get("why") else ""
        return f"by {told['who']} since {at:%Y-%m-%d %H:%M} UTC{why}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"the file {file.name} is there"


def pauses(store: Store, shops: Iterable[str]) -> list[Pause]:
    """Everything that stops writes to these shops, the pause of all first."""
    flags = PauseFlags(store.path)
    found = [flags.of(None), *(flags.of(shop) for shop in shops)]
    named = set(shops)
    surplus = {
        held.hold.target.shop: Pause(
            held.hold.target.shop,
            f"surplus money or goods, {held.number}: {held.hold.message}",
            f"ordersync holds show {held.number}",
            held.number,
        )
        for held in reversed(store.holds(code=OVERSHOOT))
        if held.hold.target is not None and held.hold.target.shop in named
    }
    return [pause for pause in (*found, *surplus.values()) if pause is not None]


def paused(store: Store, shop: str) -> Pause | None:
    """Why nothing is written to this shop now; None when writes may go."""
    return next(iter(pauses(store, [shop])), None)


def closed_shops(store: Store, shops: Iterable[str]) -> frozenset[str]:
    """Those of these shops to which nothing is written now."""
    names = list(shops)
    found = pauses(store, names)
    return frozenset(names) if any(p.shop is None for p in found) else frozenset(str(p.shop) for p in found)


def require_not_paused(store: Store, shop: str) -> None:
    """Held `paused` while writes to this shop are stopped."""
    pause = paused(store, shop)
    if pause is not None:
        raise Held(
            f"{pause.sentence}; nothing was sent", code="paused", shop=shop, next_step=f"to go on: {pause.until}"
        )


def only_open(decision: Decision, closed: Iterable[str]) -> Decision:
    """The decision without its writes to paused shops."""
    stopped = set(closed)
    kept = tuple(action for action in decision.actions if action.target.shop not in stopped)
    return decision if len(kept) == len(decision.actions) else decision.model_copy(update={"actions": kept})


def waiting_writes(decisions: Iterable[Decision], store: Store) -> list[tuple[Pause, list[Action]]]:
    """Per paused shop the writes that wait for its pause to end."""
    by_shop: dict[str, list[Action]] = {}
    for decision in decisions:
        for action in decision.actions:
            by_shop.setdefault(action.target.shop, []).append(action)
    found = [(paused(store, shop), actions) for shop, actions in sorted(by_shop.items())]
    return [(pause, actions) for pause, actions in found if pause is not None]
