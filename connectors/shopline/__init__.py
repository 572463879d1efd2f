"""SHOPLINE Admin REST (openapi)."""

from .connector import ShoplineConnector
from .settings import ShoplineSettings

__all__ = ["ShoplineConnector", "ShoplineSettings"]
