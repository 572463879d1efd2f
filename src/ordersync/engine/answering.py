"""Storing what a platform answered to a write: it is known nowhere else, so a database in trouble is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from ordersync.errors import StoreError
from ordersync.model import Action, ActionState, hold_key
from ordersync.store import Store

ANSWER_STORED_WITHIN_S = 60.0
STORE_TRIED_EVERY_S = 0.2

pause_s = time.sleep


def store_answer(
    store: Store,
    action: Action,
    to: ActionState,
    answer: str,
    clock: Callable[[], datetime],
    platform_ref: str | None = None,
) -> None:
    """Store the answer to an action that is being sent, however often it takes, for ANSWER_STORED_WITHIN_S.

    Errors: the StoreError of the last try. The action stays `sending` then: the next look takes it for a doubt and
    settles it by its mark. Ctrl-C ends it the same way.
    """
    give_up_at = time.monotonic() + ANSWER_STORED_WITHIN_S
    while True:
        try:
            return store_answer_once(store, action, to, answer, clock(), platform_ref)
        except StoreError as failed:
            if time.monotonic() >= give_up_at:
                raise StoreError(
                    f"{action.target} answered the {action.kind} ({answer}), and that could not be stored: "
                    f"{failed.message}",
                    code=failed.code,
                    next_step=f"{failed.next_step}; the next apply looks for it there and does not send it again",
                ) from failed
        pause_s(STORE_TRIED_EVERY_S)


def store_answer_once(
    store: Store, action: Action, to: ActionState, answer: str, at: datetime, platform_ref: str | None = None
) -> None:
    """Another process may have taken a slow call for dead and stored a doubt: who made the call knows better."""
    for state in (ActionState.SENDING, ActionState.DOUBT):
        if store.advance(action.key, state, to, answered_at=at, answer=answer, platform_ref=platform_ref):
            if state is ActionState.DOUBT and to is not ActionState.DOUBT:
                store.close_hold(hold_key("in_doubt", f"action:{action.key}"), at, "its answer came after all")
            return
