"""Ask for the next page while the last one is worked on; one question at a time, in one other thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ordersync.connector import Page


class Ahead:
    """`ask`, then `answer`, in turns. What the call raised, `answer` raises."""

    def __init__(self, call: Callable[[str | None], Page]) -> None:
        self._call = call
        self._thread: threading.Thread | None = None
        self._page: Page | None = None
        self._error: BaseException | None = None

    def ask(self, cursor: str | None) -> None:
        # A daemon thread: Ctrl-C must not wait for a slow platform.
        self._thread = threading.Thread(target=self._run, args=(cursor,), name="next-page", daemon=True)
        self._thread.start()

    def answer(self) -> Page:
        if self._thread is None:
            raise RuntimeError("answer() needs an ask() before it")
        self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        page, self._page = self._page, None
        if error is not None:
            raise error
        assert page is not None
        return page

    def _run(self, cursor: str | None) -> None:
        try:
            self._page = self._call(cursor)
        except BaseException as error:  # noqa: BLE001  # handed to the thread that asked, which raises it
            self._error = error
