"""Every error ordersync raises, named by what happens next.

Each error carries the shop, order and operation it is about, the platform's request id, one sentence for a
person (`message`), what to do next (`next_step`), and never a secret or a buyer's data.
"""

from __future__ import annotations

from typing import ClassVar


class OrdersyncError(Exception):
    """Base of the tree. `exit_code` is what a command returns when this error ends it."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        shop: str | None = None,
        order: str | None = None,
        operation: str | None = None,
        request_id: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or _snake(type(self).__name__)
        self.shop = shop
        self.order = order
        self.operation = operation
        self.request_id = request_id
        self.next_step = next_step

    def __str__(self) -> str:
        where = ":".join(part for part in (self.shop, self.order) if part)
        return f"{where}: {self.message}" if where else self.message

    def fields(self) -> dict[str, str]:
        """The non-empty fields as plain words, for a log line or `--json`."""
        named = {
            "error": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "shop": self.shop,
            "order": self.order,
            "operation": self.operation,
            "request_id": self.request_id,
            "next_step": self.next_step,
        }
        return {key: value for key, value in named.items() if value}


class ConfigError(OrdersyncError):
    """Settings, mapping file, policy or store cannot be used as they are. Nothing was done."""

    exit_code = 2


class UsageError(OrdersyncError):
    """The command line asks for something that does not exist or is ambiguous. Nothing was done."""

    exit_code = 2


class Unauthorized(OrdersyncError):
    """The platform refused the credentials or the permission (401, 403). The shop pauses."""

    exit_code = 2


class Transient(OrdersyncError):
    """It did not happen and may work later: 429, no connection, 5xx or a broken answer to a read."""

    exit_code = 1

    def __init__(self, message: str, *, retry_after_s: float | None = None, **about: str | None) -> None:
        super().__init__(message, **about)
        self.retry_after_s = retry_after_s


class BrokenAnswer(Transient):
    """A read was answered with something that is not what the platform promises: cut JSON, HTML, an empty
    body, a repeated cursor, a page without its cursor. It is never taken for "the end"."""


class NotFound(OrdersyncError):
    """The platform says the order does not exist, after every way of asking."""

    exit_code = 2


class Refused(OrdersyncError):
    """The platform said no to a request, and nothing happened (already shipped, nothing left to refund)."""

    exit_code = 3

    def __init__(self, message: str, *, http_status: int | None = None, **about: str | None) -> None:
        super().__init__(message, **about)
        self.http_status = http_status


class MappingError(OrdersyncError):
    """A payload cannot be normalised: an unknown deciding word, a missing id, a number where text is promised.

    `path` is where in the payload; `value` is shown only when it cannot be buyer data.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, path: str | None = None, value: str | None = None, **about: str | None
    ) -> None:
        super().__init__(message, **about)
        self.path = path
        self.value = value


class OutcomeUnknown(OrdersyncError):
    """A write was sent and nobody knows whether it happened: timeout, 5xx, a broken answer, or an error
    answer the platform is known to give after acting. No more writes there before it was looked at again."""

    exit_code = 3


class StoreError(OrdersyncError):
    """The database cannot be opened, read or written. Nothing that was stored is lost."""

    exit_code = 2


class Held(OrdersyncError):
    """A by-hand command met a hold, a limit or `writes: false`; a person must decide."""

    exit_code = 3


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
