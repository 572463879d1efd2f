"""Settings of one Medusa shop, and how its key is sent."""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import timedelta
from typing import Annotated, Literal

import httpx
from pydantic import Field, SecretStr

from ordersync.connector import ShopSettings
from ordersync.errors import ConfigError

_JWT = re.compile(r"^eyJ[\w-]*\.[\w-]+\.[\w-]*$")


class MedusaSettings(ShopSettings):
    base_url: str
    """The server's root, without /admin."""
    token: SecretStr
    """A secret API key (`sk_…`) for `auth: basic`, an admin JWT for `auth: bearer`."""
    auth: Literal["basic", "bearer"] = "basic"
    dialect: Literal["medusa", "style"] = "medusa"
    overlap: timedelta = timedelta(minutes=2)
    """How far back of the watermark each pass starts: `updated_at` is taken before the commit."""
    page_limit: Annotated[int, Field(ge=1, le=500)] = 50
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 30.0


class BearerAuth(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def check_key(shop: str, token: str, settings: MedusaSettings) -> None:
    """Say what is wrong with a key before it is sent anywhere."""
    wrong = fix = None
    if not token:
        wrong, fix = "has an empty token", "set token to a secret API key (sk_…)"
    elif token.startswith("pk_"):
        wrong = "has a publishable key (pk_…), which only opens the storefront API"
        fix = "make a secret API key in Settings > Secret API Keys and use that (sk_…)"
    elif settings.dialect == "medusa" and settings.auth == "bearer" and token.startswith("sk_"):
        wrong, fix = "sends a secret key as Bearer, which Medusa refuses", "set auth: basic"
    elif settings.auth == "basic" and _JWT.match(token):
        wrong, fix = "sends a JWT as Basic", "set auth: bearer, or use a secret API key (sk_…)"
    if wrong:
        raise ConfigError(f"shop {shop} {wrong}", code="wrong_key", shop=shop, next_step=fix)
