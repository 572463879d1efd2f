"""`ordersync map FILE`: what a platform's payload becomes, and what of it stays unmapped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import app
from ordersync.cli.printing import count, plain, say, say_json, wrapped
from ordersync.cli.run import BuyerOption, JsonOption, Run, command, error_json, show_error
from ordersync.errors import MappingError, UsageError

if TYPE_CHECKING:
    from ordersync.mapping import Mapping, Profile
    from ordersync.model import Order


@command(app, "map")
def map_file(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON answer: one order, a list or a page.")],
    connector: Annotated[
        str | None,
        typer.Option("--connector", metavar="C", help="Read it as this platform's [default: by shape]."),
    ] = None,
    shop: Annotated[
        str | None,
        typer.Option("--shop", metavar="S", help="Use this configured shop's books_only and exponents."),
    ] = None,
    json: JsonOption = False,
    buyer: BuyerOption = False,
) -> int:
    """Show the order a payload becomes, and what stayed unmapped.

    Stores nothing.

    --json: {"order": {the canonical order, captured, refunded, order_status, payment_status, fulfillment_status},
    "unmapped": [paths]}; for a list or a page, a list of those. Without --buyer the buyer, addresses and note are
    left out. An order that cannot be understood is {"error": {…}} and the exit code is 3.
    """
    from ordersync.cli.order_view import order_json, say_order

    payload = _payload(file)
    if _is_empty_page(payload):
        if json:
            say_json([])
        else:
            say("no orders in it")
        return 0
    if shop is not None:
        run.shop(shop)
        connector = run.config.settings.shops[shop].connector
    mapping, found = _mapping_for(payload, connector, _override(run, shop))
    profile = _profile(run, shop, mapping)
    results = [_mapped(mapping, one, profile) for one in found]
    if json:
        shown = [
            {"error": error_json(result)}
            if isinstance(result, MappingError)
            else {"order": order_json(result[0], buyer=buyer), "unmapped": result[1]}
            for result in results
        ]
        say_json(shown if _is_list(payload, found) else shown[0], buyer=buyer)
    else:
        say(f"read as {mapping.platform} {mapping.api_version} ({mapping.file}): {count(len(results), 'order')}")
        for result in results:
            say()
            if isinstance(result, MappingError):
                show_error(result)
                continue
            say_order(result[0], buyer=buyer)
            for line in wrapped(plain(", ".join(result[1])) or "nothing", "unmapped  "):
                say(line)
    return 3 if any(isinstance(result, MappingError) for result in results) else 0


def _mapped(mapping: Mapping, payload: dict[str, Any], profile: Profile) -> tuple[Order, list[str]] | MappingError:
    try:
        return mapping.normalise(payload, profile), mapping.unmapped(payload)
    except MappingError as unclear:
        return unclear


def _payload(file: Path) -> Any:
    """The decoded file; a saved exchange {status, headers, body} counts as its body."""
    from ordersync.mapping import decode

    try:
        content = file.read_bytes()
    except OSError as lost:
        raise UsageError(f"{file} cannot be read ({lost.strerror})", next_step="name a JSON file") from None
    if not content.strip():
        raise MappingError(f"{file} is empty", code="not_json", next_step="save the whole answer and try again")
    try:
        payload = decode(content.removeprefix(b"\xef\xbb\xbf"))
    except MappingError as broken:
        raise MappingError(
            f"{file}: {broken.message}", code=broken.code, next_step="save the whole answer and try again"
        ) from None
    if isinstance(payload, dict) and "body" in payload and payload.keys() & {"status", "http_status", "_request"}:
        return payload["body"]
    return payload


def _mapping_for(
    payload: Any, connector: str | None, override: Path | None
) -> tuple[Mapping, list[dict[str, Any]]]:
    """The mapping whose shape the payload has, and the orders in it."""
    from ordersync.bootstrap import mappings_of
    from ordersync.connector import installed

    names = [connector] if connector else list(installed())
    candidates = [mapping for name in names for mapping in mappings_of(name, override)]
    fitting = [(mapping, found) for mapping in candidates if (found := mapping.unwrap(payload))]
    if len(fitting) == 1 or (fitting and connector):
        return fitting[0]
    if fitting:
        platforms = ", ".join(mapping.platform for mapping, _ in fitting)
        raise UsageError(
            f"this could be {platforms}", code="ambiguous_platform", next_step="name it: --connector C"
        )
    if connector and isinstance(payload, dict):
        # Named by a person: read it as it is, so that the error says what is missing.
        return candidates[0], [payload]
    tried = ", ".join(sorted({mapping.platform for mapping in candidates}))
    raise MappingError(
        f"this is no order of a known platform (tried {tried})",
        code="unknown_shape",
        next_step="name the platform to see what is missing: --connector C (ordersync connectors list)",
    )


def _override(run: Run, shop: str | None) -> Path | None:
    """The configured mapping folder; a payload can be looked at without any configuration."""
    from ordersync.bootstrap import mapping_folder
    from ordersync.config import config_path

    if shop is None and run.config_file is None and not config_path(None).exists():
        return None
    return mapping_folder(run.config)


def _profile(run: Run, shop: str | None, mapping: Mapping) -> Profile:
    from ordersync.bootstrap import profile_of
    from ordersync.mapping import Profile

    return profile_of(shop, run.config.settings.shops[shop]) if shop else Profile(shop=mapping.platform)


def _is_empty_page(payload: Any) -> bool:
    rows = payload if not isinstance(payload, dict) else payload.get("orders", payload.get("data"))
    return rows == []


def _is_list(payload: Any, found: list[dict[str, Any]]) -> bool:
    """True unless the payload is one order, bare or directly under one key."""
    if not isinstance(payload, dict) or len(found) != 1:
        return True
    return found[0] is not payload and not any(value is found[0] for value in payload.values())
