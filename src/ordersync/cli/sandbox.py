"""`ordersync sandbox`: loopback shops of every platform, seeded and left running until stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from ordersync.cli.app import app
from ordersync.cli.printing import count, say, say_table
from ordersync.cli.run import command
from ordersync.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

    from ordersync.testing.sales import SaleSpec
    from ordersync.testing.sandbox import SandboxServer

FIRST_SALE = 2001
"""Number of the first sale all shops share; the shops' own orders begin lower."""
OWN_SHARE = 4
"""One order in so many is a shop's own, in a state of its own; the others are sales that exist on every shop."""


@dataclass(frozen=True, slots=True)
class ShopSpec:
    name: str
    connector: str
    provider: str
    """Payment provider of the shared sales."""
    options: dict[str, Any]
    books_only: tuple[str, ...] = ()


SHOPS = (
    ShopSpec("asia", "shopline", "SLpayments", {}),
    ShopSpec("office", "medusa", "pp_system_default", {}, ("pp_system_default",)),
    ShopSpec("web", "headless", "manual", {}, ("manual", "bank_transfer")),
    ShopSpec("depot", "medusa", "pp_system_default", {"dialect": "style"}, ("pp_system_default",)),
)
"""One shop of each platform, and the Medusa-style dialect: asia takes the buyer's money, the others only book it."""


class ShopSandbox(Protocol):
    """What every connector's sandbox offers beside its routes."""

    platform: str

    def settings_for(self, server: SandboxServer) -> dict[str, Any]: ...

    def add_sale(self, spec: SaleSpec) -> Any: ...

    def seed_orders(self, n: int) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class RunningShop:
    name: str
    sandbox: ShopSandbox
    server: SandboxServer
    settings: dict[str, Any]

    @property
    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "platform": self.sandbox.platform,
            "base_url": self.server.base_url,
            "settings": self.settings,
        }


@command(app, "sandbox")
def sandbox(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line once the shops are up.")] = False,
    config_out: Annotated[
        Path | None, typer.Option("--config-out", metavar="F", help="Write a configuration for these shops.")
    ] = None,
    writes: Annotated[bool, typer.Option("--writes", help="With --config-out: writes: true.")] = False,
    force: Annotated[bool, typer.Option("--force", help="With --config-out: overwrite the file.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same N gives the same orders.")] = 1,
    orders: Annotated[int, typer.Option("--orders", min=0, metavar="N", help="Orders per shop.")] = 40,
) -> None:
    """Run sandbox shops of every platform until stopped.

    They live on this machine: no account is needed and nothing leaves it.

    --json: one line {"shops": [{"name", "platform", "base_url", "settings": {the keys of a shop's configuration}}]}.
    """
    if config_out is not None and config_out.exists() and not force:
        raise UsageError(
            f"{config_out} exists already", code="would_overwrite", next_step="choose another, or --force"
        )
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, ask_to_stop)
    with running_shops(seed=seed, orders=orders) as shops:
        if config_out is not None:
            write_configuration(config_out, shops, writes=writes)
        if json:
            import json as json_text

            print(json_text.dumps({"shops": [shop.as_json for shop in shops]}), flush=True)
        else:
            _say_shops(shops, orders, config_out)
        stop.wait()


@contextmanager
def running_shops(*, seed: int, orders: int, specs: tuple[ShopSpec, ...] = SHOPS) -> Iterator[list[RunningShop]]:
    """Seeded shops on free loopback ports; stopped when the context ends."""
    from ordersync.testing.sandbox import SandboxServer

    shops: list[RunningShop] = []
    try:
        for place, spec in enumerate(specs):
            made = make_sandbox(spec, seed=seed + place)
            seed_shop(made, spec, seed=seed, orders=orders)
            server = SandboxServer(made).start()
            settings = {**made.settings_for(server)}
            if spec.books_only:
                settings["books_only"] = list(spec.books_only)
            shops.append(RunningShop(spec.name, made, server, settings))
        yield shops
    finally:
        for shop in shops:
            shop.server.stop()


def make_sandbox(spec: ShopSpec, *, seed: int, now: Callable[[], datetime] | None = None) -> Any:
    """The sandbox class that lives beside a connector. `now`: the shop's own time, where it is not this machine's."""
    from ordersync.bootstrap import sandbox_of

    return sandbox_of(spec.connector)(seed=seed, now=now, **spec.options)


def seed_shop(made: ShopSandbox, spec: ShopSpec, *, seed: int, orders: int) -> None:
    """`orders` orders: the sales every shop has, and some of the shop's own in all kinds of states."""
    from ordersync.testing.sales import sales

    own = orders // OWN_SHARE
    made.seed_orders(own)
    shared = orders - own
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=shared + 2)
    for place, sale in enumerate(sales(seed, shared, first_number=FIRST_SALE)):
        made.add_sale(
            replace(
                sale,
                provider=spec.provider,
                placed_at=start + timedelta(hours=place),
                references={"external_id": f"SL-{sale.number}"},
            )
        )


def write_configuration(path: Path, shops: list[RunningShop], *, writes: bool) -> None:
    """A configuration for running sandboxes, mode 0600, its database beside it."""
    import yaml

    first, *others = shops
    body = {
        "store": f"sqlite:///{path.stem}.db",
        "writes": writes,
        "shops": {shop.name: _plain_settings(shop.settings) for shop in shops},
        "links": [
            {"from": shop.name, "field": "metadata.external_id", "strip": "SL-", "to": f"{first.name}.number"}
            for shop in others
        ],
        "policy": {"cancel": {"from": "any"}, "refund": {"from": "any"}},
        "limits": {
            "run": {"cancel": 10, "refund": 20, "refund_value": ["500 USD"]},
            "day": {"cancel": 30, "refund": 60, "refund_value": ["2000 USD"]},
        },
    }
    text = "# Sandboxes of `ordersync sandbox`: they live on this machine, only while it runs.\n"
    text += yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as lost:
        raise UsageError(
            f"{path} cannot be written ({lost.strerror})", next_step="choose another --config-out"
        ) from lost


def _key(settings: dict[str, Any]) -> str:
    return str(settings.get("api_key") or settings.get("token") or "")


def _plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Values as the configuration file takes them: a `$` in a key is not a variable."""
    return {key: value.replace("$", "$$") if isinstance(value, str) else value for key, value in settings.items()}


def _say_shops(shops: list[RunningShop], orders: int, config_out: Path | None) -> None:
    say(f"{count(len(shops), 'sandbox shop')} on loopback, {orders} orders each. No account, nothing leaves here.")
    say_table(
        ("SHOP", "PLATFORM", "BASE URL", "KEY"),
        [
            (
                shop.name,
                shop.sandbox.platform,
                shop.server.base_url,
                shop.settings.get("api_key") or shop.settings["token"],
            )
            for shop in shops
        ],
        empty="",
    )
    if config_out is not None:
        say(f"Try it elsewhere: ordersync --help; ordersync pull --config {config_out}")
    else:
        say("With --config-out F it also writes a configuration for them.")
    print("Ctrl-C stops them.", flush=True)
