"""The payload files, the mappings that read them, and what a canonical order looks like as JSON.

`python -m tests.payloads.corpus` writes the expected file of every payload that has none. It is then read against
the payload by a person before it is committed; existing ones are never overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import ordersync_mappings

from ordersync.mapping import Mapping, Profile, ShapeFn, decode, load_mapping
from ordersync.model import Money, Order

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared"
SAMPLES = SHARED / "samples"
RECORDED = SAMPLES / "shopline" / "recorded"
PLATFORMS = ordersync_mappings.NAMES
_CONNECTOR_OF = {"medusa_style": "medusa"}

PROFILE = Profile(shop="shop", books_only=frozenset({"manual", "bank_transfer", "COD", "pp_system_default"}))


def shapes_of(platform: str) -> Callable[[str], ShapeFn]:
    """Shape functions of the connector that serves this platform."""
    connector = _CONNECTOR_OF.get(platform, platform)

    def find(name: str) -> ShapeFn:
        shape: ShapeFn = getattr(import_module(f"ordersync_connectors.{connector}.shape"), name)
        return shape

    return find


@cache
def mapping(platform: str) -> Mapping:
    return load_mapping(ordersync_mappings.read(platform), f"{platform}.yaml", shapes_of(platform))


def payload_files() -> list[Path]:
    """Every committed payload, without the expected files."""
    found = (path for platform in PLATFORMS for path in sorted((HERE / platform).glob("*.json")))
    return [path for path in found if not path.name.endswith(".expected.json")]


def expected_file(payload: Path) -> Path:
    return payload.with_suffix(".expected.json")


def orders_in(path: Path, platform: str) -> list[dict[str, Any]]:
    return mapping(platform).unwrap(decode(path.read_bytes()))


def read(path: Path, platform: str | None = None) -> Order:
    """The one order in a file."""
    platform = platform or path.parent.name
    [payload] = orders_in(path, platform)
    return mapping(platform).normalise(payload, PROFILE)


def sample(path: str, platform: str) -> Order:
    """The one order in a file of the shared samples."""
    return read(SAMPLES / path, platform)


def canonical(order: Order) -> dict[str, Any]:
    """The order and what is derived from it; a list that is absent was not loaded."""
    derived = {
        "order_status": order.order_status.value,
        "payment_status": order.payment_status.value,
        "fulfillment_status": order.fulfillment_status.value,
        "captured": _shown(order.captured),
        "refunded": _shown(order.refunded),
        "refund_pending": _shown(order.refund_pending),
        "first_charged": _shown(order.first_charged),
    }
    return {"derived": derived, "order": order.model_dump(mode="json", exclude_none=True)}


def _shown(money: Money | None) -> str | None:
    return None if money is None else str(money)


def canonical_of(path: Path) -> list[dict[str, Any]]:
    platform = path.parent.name
    return [canonical(mapping(platform).normalise(payload, PROFILE)) for payload in orders_in(path, platform)]


def sample_orders() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(file, platform, payload) of every order in the shared samples, recordings included, each read in place."""
    for path in sorted(SAMPLES.rglob("*.json")):
        payload = decode(path.read_bytes())
        for platform in PLATFORMS:
            for order in mapping(platform).unwrap(payload):
                yield str(path.relative_to(SAMPLES)), platform, order


def write_missing() -> None:
    for path in payload_files():
        target = expected_file(path)
        if not target.exists():
            target.write_text(
                json.dumps(canonical_of(path), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    write_missing()
