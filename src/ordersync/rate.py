"""How many requests a shop may be sent: a token bucket, and how a rate is written in the configuration."""

from __future__ import annotations

import threading
import time

from ordersync.errors import ConfigError


class RateLimit:
    """Token bucket for one shop, shared by all threads: at most `per_s` requests a second after `burst`."""

    def __init__(self, per_s: float, burst: int = 1) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, at_most_s: float | None = None) -> float | None:
        """Take one token, sleeping as long as needed; returns the seconds slept.

        None, without taking a token or sleeping, when that would be longer than `at_most_s`.
        """
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
            self._at = now
            pause = max(0.0, (1 - self._tokens) / self._per_s)
            if at_most_s is not None and pause > at_most_s:
                return None
            self._tokens -= 1
        if pause:
            time.sleep(pause)
        return pause

    def push_back(self, seconds: float) -> None:
        """The platform asked for a pause: nobody of this shop sends before it is over."""
        with self._lock:
            self._tokens = min(self._tokens, -seconds * self._per_s)
            self._at = time.monotonic()


def parse_rate(text: str, default_per_s: float) -> float:
    """ "3.5/s" or "200/min" to requests a second; empty gives the default."""
    if not text:
        return default_per_s
    number, _, unit = text.replace(" ", "").partition("/")
    seconds = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0}.get(unit)
    try:
        per_s = float(number) / seconds if seconds else 0.0
    except ValueError:
        per_s = 0.0
    if not 0 < per_s < 1e6:
        raise ConfigError(f"rate {text!r} is not a rate", next_step='write it as "3.5/s" or "200/min"')
    return per_s
