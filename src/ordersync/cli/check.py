"""`ordersync check`: test every part and say how to mend what is wrong; writes to no platform."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ordersync.cli.app import app
from ordersync.cli.printing import WIDTH, cells, count, plain, say, say_json, wrapped
from ordersync.cli.run import JsonOption, Run, command
from ordersync.errors import OrdersyncError

if TYPE_CHECKING:
    from ordersync.engine.shops import Shop

State = Literal["ok", "warn", "FAIL"]
SKEW_WARNED_S = 60.0
SPACE_WARNED_BYTES = 500 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    state: State
    text: str
    fix: str | None = None


@command(app, "check")
def check(run: Run, json: JsonOption = False) -> int:
    """Test the configuration, the store and every shop's key.

    One line per part, with a fix where one is needed.

    --json: {"parts": [{part, state: ok|warn|FAIL, text, fix}]}. Exit 2 when something must be mended.
    """
    findings: list[Finding] = []
    for found in _look_at_everything(run):
        findings.append(found)
        if not json:
            _say(found)
    failed = sum(1 for found in findings if found.state == "FAIL")
    warned = sum(1 for found in findings if found.state == "warn")
    if json:
        say_json({"parts": [{"part": f.part, "state": f.state, "text": f.text, "fix": f.fix} for f in findings]})
    else:
        say(f"{failed} to fix, {count(warned, 'warning')}. Nothing was written to any shop.")
    return 2 if failed else 0


def _look_at_everything(run: Run) -> Iterator[Finding]:
    config = run.config
    settings = config.settings
    writes = "writes ON" if settings.writes else "writes OFF"
    rules = count(len(settings.links), "link rule")
    yield Finding("config", "ok", f"{config.path.name}: {count(len(settings.shops), 'shop')}, {rules}, {writes}")
    if config.not_acted_on:
        yield Finding("config", "warn", f"not acted on yet: {', '.join(config.not_acted_on)}")
    yield from _store(run)
    for name in settings.shops:
        yield from _shop(run, name)
    yield from _policy(run)
    yield from _purses(run)
    yield from _pauses(run)


def _pauses(run: Run) -> Iterator[Finding]:
    """Only of a store that is there: check makes none."""
    from ordersync.cli.pause import standing_pauses

    path = run.config.store_url.removeprefix("sqlite:///")
    if not Path(path).exists():
        return
    try:
        standing = standing_pauses(run)
    except OrdersyncError:
        return  # what is wrong with the store was said above
    for pause in standing:
        yield Finding(pause.shop or "writes", "warn", f"paused: {plain(pause.why)}", pause.until)


def _store(run: Run) -> Iterator[Finding]:
    url = run.config.store_url
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    if path is not None and not path.exists():
        if not path.parent.is_dir():
            yield Finding("store", "FAIL", f"{path.parent} is not a folder", "name a file in a folder in store:")
        elif not os.access(path.parent, os.W_OK):
            yield Finding("store", "FAIL", f"{path} cannot be made", f"let this user write into {path.parent}")
        else:
            yield Finding("store", "ok", f"{path.name} will be made by the first pull")
        return
    try:
        store = run.store
        links, held = store.link_count(), sum(store.hold_count().values())
    except OrdersyncError as broken:
        yield Finding("store", "FAIL", broken.message, broken.next_step)
        return
    text = f"{count(links, 'link')}, {count(held, 'hold')} open"
    if path is None:
        yield Finding("store", "ok", text)
        return
    free = shutil.disk_usage(path.parent).free
    mode = stat.S_IMODE(path.stat().st_mode)
    yield Finding("store", "ok", f"{path.name}: {text}, mode {mode:04o}, {free / 1e9:,.0f} GB free")
    if os.name == "posix" and mode & 0o077:
        yield Finding("store", "warn", "others on this machine may read the orders in it", f"chmod 600 {path}")
    if free < SPACE_WARNED_BYTES:
        yield Finding("store", "warn", "the disk is nearly full", "make room, or move the store")


def _shop(run: Run, name: str) -> Iterator[Finding]:
    try:
        shop = run.shop(name)
        facts = shop.connector.check()
    except OrdersyncError as failed:
        yield Finding(name, "FAIL", failed.message, failed.next_step)
        return
    known = [shop.connector.platform, facts.name, facts.currency]
    if facts.orders is not None:
        known.append(count(facts.orders, "order"))
    if facts.clock_skew_s is not None:
        known.append(f"clock {abs(facts.clock_skew_s):.0f} s off")
    yield Finding(name, "ok", ", ".join(plain(part) for part in known if part))
    yield Finding(name, "ok", f"can {_can(shop)}")
    for warning in facts.warnings:
        yield Finding(name, "warn", plain(warning))
    if facts.clock_skew_s is not None and abs(facts.clock_skew_s) > SKEW_WARNED_S:
        yield Finding(name, "warn", "its clock and this machine's differ", "set this machine's clock (NTP)")


def _can(shop: Shop) -> str:
    from ordersync.connector import WRITE_CALLS

    writes = [call for call in WRITE_CALLS if call in shop.capabilities]
    return "read and " + ", ".join(writes) if writes else "read only"


def _policy(run: Run) -> Iterator[Finding]:
    settings = run.config.settings
    policy = settings.to_policy()
    if len(settings.shops) < 2:
        yield Finding("links", "warn", "one shop alone has nothing to agree with", "add a second shop")
    elif not settings.links:
        yield Finding("links", "ok", "no link rules: links are made by hand or from a CSV file")
    if policy.refund.sources == "none":
        yield Finding(
            "policy",
            "warn",
            "refunds are local: each is shown, none is carried to another shop",
            "name the shops whose refunds count: policy: {refund: {from: [SHOP]}}",
        )
        return
    limits = settings.to_limits()
    if not limits.run.refund_value or not limits.day.refund_value:
        yield Finding(
            "limits",
            "warn",
            "no refund_value is set, so every refund to be carried becomes a hold",
            'limits: {run: {refund_value: ["500 USD"]}, day: {refund_value: ["2000 USD"]}}',
        )


def _purses(run: Run) -> Iterator[Finding]:
    """Where money really is: read from `books_only`, so that a merchant sees what a refund would do."""
    shops = run.config.settings.shops
    paying = [name for name, settings in shops.items() if not settings.books_only]
    mixed = [name for name, settings in shops.items() if settings.books_only]
    parts = []
    if paying:
        parts.append(f"every refund in {', '.join(paying)} pays the buyer")
    if mixed:
        parts.append("; ".join(f"{name} only marks for {', '.join(shops[name].books_only)}" for name in mixed))
    yield Finding("purse", "ok", "; ".join(parts))
    if len(paying) > 1:
        yield Finding(
            "purse",
            "warn",
            f"{', '.join(paying)} all pay buyers: a sale captured twice becomes the hold two_purses",
            "name payment providers that only mark in books_only of those shops",
        )


def _say(found: Finding) -> None:
    label = f"{found.part:<8}"
    lines = wrapped(found.text, label, WIDTH - 6)
    last = lines[-1]
    lines[-1] = last + " " * (WIDTH - 5 - cells(last)) + found.state
    for line in lines:
        say(line)
    if found.fix:
        for line in wrapped(plain(found.fix), "          fix: "):
            say(line)
