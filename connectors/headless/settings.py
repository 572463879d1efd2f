"""Settings of a headless shop (fact sheet, section 14). The README lists them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from ordersync.connector import ShopSettings

OpenStatus = Literal["draft", "pending", "confirmed", "processing"]
_SENDABLE = re.compile(r"[\x21-\x7e]+")


class HeadlessSettings(ShopSettings):
    base_url: str = "https://api.headlesscommerce.io/v1"
    api_key: SecretStr
    """`sk_...`. A `pk_...` key can only look orders up."""
    publishable_key: SecretStr | None = None
    """`pk_...`: used for look-ups instead of the secret key."""
    environment: Literal["live", "test"] | None = None
    """What the key is meant for; `check` warns when its prefix says otherwise."""

    page_limit: Annotated[int, Field(ge=1, le=100)] = 100
    overlap_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 10
    """How far the feed `new` reads back before its watermark: inclusiveness of `created_after` is not documented."""
    closed_window_days: Annotated[int, Field(ge=1, le=3650)] = 60
    open_statuses: Annotated[tuple[OpenStatus, ...], Field(min_length=1)] = (
        "pending",
        "confirmed",
        "processing",
        "draft",
    )
    detail: Literal["auto", "always", "never"] = "auto"
    """Which list rows are read again one by one: those lacking arrays, all, or none (then lacking is an error)."""
    cursor_from_last_id: bool = False
    """Go on after the last row's id when a page says there is more but not where; otherwise that is an error."""
    refund_send_amount_with_lines: bool = True
    """A refund by lines also names its sum: one source requires it, another calls it an alternative."""

    expand_param: str = "expand"
    expand_value: str = "lines,customer,payments,fulfillments,refunds"
    lookup_number_param: str = "number"
    lookup_email_param: str = "email"
    created_after_param: str = "created_after"
    created_before_param: str = "created_before"

    @field_validator("api_key", "publishable_key")
    @classmethod
    def _fit_for_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not _SENDABLE.fullmatch(key.get_secret_value()):
            raise ValueError("the key is empty or holds blanks or characters no key has")
        return key

    @field_validator("open_statuses")
    @classmethod
    def _each_once(cls, statuses: tuple[OpenStatus, ...]) -> tuple[OpenStatus, ...]:
        if len(set(statuses)) != len(statuses):
            raise ValueError("a status is named twice")
        return statuses

    @model_validator(mode="after")
    def _keys_in_their_places(self) -> HeadlessSettings:
        if self.publishable_key and self.publishable_key.get_secret_value().startswith("sk_"):
            raise ValueError("publishable_key holds a secret key (sk_); it belongs in api_key")
        return self
