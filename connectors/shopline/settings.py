"""What the configuration says about a SHOPLINE store, and how its token is used."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Annotated

import httpx
import msgspec
from pydantic import Field, SecretStr, StringConstraints, model_validator

from ordersync.connector import ShopSettings


class ShoplineSettings(ShopSettings):
    handle: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """First label of the store's myshopline domain."""
    api_version: Annotated[str, StringConstraints(pattern=r"^v\d{8}$")] = "v20250601"
    token: SecretStr
    base_url: str | None = None
    """Whole address up to and with the version; only for tests and sandboxes."""
    lag_seconds: Annotated[int, Field(ge=0, le=3600)] = 5
    """A window is closed this long before the platform's now: how late its index may be is not documented."""
    overlap_minutes: Annotated[int, Field(ge=1, le=1440)] = 10
    """Each window begins this long before the last one ended."""
    page_limit: Annotated[int, Field(ge=1, le=100)] = 100

    @model_validator(mode="after")
    def _overlap_covers_the_lag(self) -> ShoplineSettings:
        if self.overlap_minutes * 60 <= self.lag_seconds:
            raise ValueError("overlap_minutes must be longer than lag_seconds, or changes would be missed")
        return self

    @property
    def origin(self) -> str:
        return self.base_url or f"https://{self.handle}.myshopline.com/admin/openapi/{self.api_version}"


class BearerAuth(httpx.Auth):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


def token_end(token: str) -> datetime | None:
    """When a token says it ends (tokens are JWTs with `exp`); None when it does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (
        binascii.Error,
        msgspec.DecodeError,
        UnicodeError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        OSError,
    ):
        return None
