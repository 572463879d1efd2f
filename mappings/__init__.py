"""Mapping files shipped with ordersync: data, one YAML file per payload shape."""

from __future__ import annotations

from importlib.resources import files

NAMES = ("headless", "shopline", "medusa", "medusa_style")


def read(name: str) -> str:
    """The text of a shipped mapping file; FileNotFoundError when there is none of that name."""
    return files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
