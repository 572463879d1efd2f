"""`ordersync demo`: three sandbox shops, a hundred linked sales, a day of trouble, and how it is brought to agree."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import app
from ordersync.cli.printing import WIDTH, cells, count, plain, say, wrapped
from ordersync.cli.run import Run, command
from ordersync.errors import UsageError

if TYPE_CHECKING:
    from ordersync.engine.look import Plan
    from ordersync.engine.shops import Shop
    from ordersync.engine.writes import WriteResult
    from ordersync.model import Order, OrderRef
    from ordersync.testing.story import Story

FOLDER = "ordersync-demo"
LABEL = 9
"""Width of the step names in front of each line."""


@command(app, "demo")
def demo(
    run: Run,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same N gives the same day.")] = 7,
    sales: Annotated[
        int | None,
        typer.Option("--sales", min=1, max=5000, metavar="N", help="A full day instead: N sales, hour by hour."),
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", metavar="D", help="Where to leave the demo's files.")] = Path(
        FOLDER
    ),
) -> int:
    """Show the whole job on sandbox shops: read, link, plan, apply, agree. Needs no account, takes seconds.

    It leaves a folder with the configuration and the store, to look inside with the other commands.

    With --sales a whole simulated day passes: people pay, refund, cancel, ship and edit in every shop, ordersync
    works once an hour, and a referee who only knows what the people did compares the shops' own lists with it. 300
    sales take a minute or two. Exit 1 when anything is not as it should be.
    """
    from ordersync.testing.sandbox import SandboxServer
    from ordersync.testing.story import make_story, place_sales

    _prepare(folder)
    if sales is not None:
        from ordersync.cli.day import play_day

        _say_shops()
        return play_day(run, seed, sales, folder)
    try:
        story = make_story(seed)
    except ValueError as unlucky:
        raise UsageError(f"--seed {seed}: {unlucky}") from unlucky
    with ExitStack() as stack:
        sandboxes = make_demo_sandboxes(seed)
        placed = place_sales(story, sandboxes)
        servers = {name: stack.enter_context(SandboxServer(made)) for name, made in sandboxes.items()}
        config_file = write_demo_config(folder, sandboxes, servers)
        _say_shops()
        day = Day(Run(config_file, debug=run.debug), story, sandboxes, placed)
        stack.callback(day.run.close)
        return day.play(folder)


@dataclass(slots=True)
class Day:
    run: Run
    story: Story
    sandboxes: dict[str, Any]
    placed: int
    names: dict[OrderRef, str] = field(default_factory=dict)
    """How each shop calls its orders."""
    sales: dict[tuple[str, str], int] = field(default_factory=dict)
    """(shop, order id) to the number of the sale it is."""

    def play(self, folder: Path) -> int:
        self._read_and_link()
        self._happen()
        self._plan()
        self._apply()
        return self._agree(folder)

    @property
    def shops(self) -> dict[str, Shop]:
        return self.run.shops()

    def name(self, ref: OrderRef) -> str:
        return self.names.get(ref, str(ref))

    def _pull(self) -> dict[str, int]:
        from ordersync.engine.pull import pull

        settings = self.run.config.settings
        return {
            name: (report := pull(self.run.store, shop, read_from=settings.read_from, now=self.run.now)).new
            + report.changed
            for name, shop in self.shops.items()
        }

    def _read_and_link(self) -> None:
        from ordersync.engine.linking import link_by_rules

        started = time.monotonic()
        found = self._pull()
        seconds = time.monotonic() - started
        each = ", ".join(f"{name} {new}" for name, new in found.items())
        _step("read", f"{each:<44}{sum(found.values()):>6} orders  {seconds:5.1f} s")
        again = sum(self._pull().values())
        _step("", f"and once more, to be sure: {again} changed")
        store = self.run.store
        linked = link_by_rules(store, self.run.config.settings.to_rules(), self.run.now)
        self._learn_names()
        alone = sum(1 for stored in store.orders() if store.link_of(stored.order.ref) is None)
        _step("link", f"{count(store.link_count(), 'sale')} by reference, agreeing in total, currency and skus")
        held = f", {count(len(linked.new_holds), 'reference')} held" if linked.new_holds else ""
        _step("", f"{count(alone, 'order')} alone{held}")
        plan = self._look()
        writes = sum(len(d.actions) for d in plan.decisions)
        _step("", f"all compared: {count(writes, 'write')} due, {count(len(plan.new_holds), 'hold')}")

    def _learn_names(self) -> None:
        """The sale's number is asia's own; each shop has its own number for it besides."""
        store = self.run.store
        for stored in store.orders():
            self.names[stored.order.ref] = f"{stored.order.shop}:{stored.order.number}"
        for link in store.links():
            asia = next(ref for ref in link.members if ref.shop == "asia")
            number = int("".join(filter(str.isdigit, self.names[asia])))
            self.sales.update({(ref.shop, ref.order_id): number for ref in link.members})

    def _happen(self) -> None:
        from ordersync.bootstrap import build_shop
        from ordersync.testing.story import Admin, let_things_happen

        _wait_past(self.run.store.birth_at)
        admin_connections = {name: build_shop(self.run.config, name).connector for name in self.shops}
        try:
            said = let_things_happen(self.story, Admin(admin_connections, self._order), self.sandboxes)
        finally:
            for connector in admin_connections.values():
                connector.close()
        for number, line in enumerate(said):
            _step("happens" if number == 0 else "", line)

    def _order(self, shop: str, number: int) -> Order:
        from ordersync.model import OrderRef

        order_id = next(order for (where, order), sale in self.sales.items() if (where, sale) == (shop, number))
        stored = self.run.store.order(OrderRef(shop, order_id))
        if stored is None:
            raise UsageError(f"{shop}:{number} was not read")
        return stored.order

    def _look(self) -> Plan:
        from ordersync.engine.look import make_plan

        return make_plan(self.run.store, self.shops, self.run.config.settings.to_policy(), self.run.now)

    def _plan(self) -> None:
        changed = sum(self._pull().values())
        plan = self._look()
        actions = [action for decision in plan.decisions for action in decision.actions]
        links = len({action.link_id for action in actions})
        waits = sum(len(decision.waits) for decision in plan.decisions)
        _step("read", f"{count(changed, 'order')} changed")
        _step(
            "plan",
            f"{count(len(actions), 'write')} on {count(links, 'link')}, {waits} more after them, "
            f"{count(len(plan.new_holds), 'hold')}; nothing written yet",
        )
        for action in actions:
            money = f" {action.amount}" if action.amount else ""
            purse = " TO BUYER" if action.pays_buyer else ", books" if action.amount else ""
            origin = action.because.partition(" ")[0]
            _step(
                "", f"  {action.kind} {self.name(action.target)}{money}{purse}  because of {self._origin(origin)}"
            )

    def _origin(self, text: str) -> str:
        return next((name for ref, name in self.names.items() if str(ref) == text), text)

    def _apply(self) -> None:
        from ordersync.engine.apply import Applier
        from ordersync.engine.sentlog import SentLog
        from ordersync.model import ActionState

        settings = self.run.config.settings
        _step("apply", "each link is read fresh, decided again, written to once, read back")
        applier = Applier(
            self.run.store,
            self.shops,
            settings.to_policy(),
            settings.to_limits(),
            SentLog.beside(self.run.config.store_url),
            on_result=self._say_result,
        )
        report = applier.run()
        doubted = sum(1 for r in report.results if r.state is ActionState.SEEN and "looked again" in r.said)
        _step(
            "",
            f"{count(len(report.done), 'write')} confirmed by reading back, {doubted} of them after doubt",
        )

    def _say_result(self, result: WriteResult) -> None:
        action = result.action
        money = f" {action.amount}" if action.amount else ""
        _step("", f"  {action.kind} {self.name(action.target)}{money}")
        if "looked again" in result.said:
            for line in wrapped(plain(result.said), " " * (LABEL + 4)):
                say(line)
            _step("", f"    our mark {action.token} is on it: done, not sent again")

    def _agree(self, folder: Path) -> int:
        from ordersync.testing.story import compare_with_the_shops

        self._pull()
        self._look()
        store = self.run.store
        dirty = {one.link.link_id for one in store.dirty_links()}
        links = store.link_count()
        holds = store.holds()
        _step(
            "agree", f"{links - len(dirty)} of {links} links agree, {count(len(holds), 'hold')} left for a person:"
        )
        for stored in holds:
            for line in wrapped(
                f"{stored.number} {stored.hold.code}: {self._named(stored.hold.message)}", " " * LABEL
            ):
                say(line)
        verdict = compare_with_the_shops(
            self.story, self.sandboxes, lambda shop, order: self.sales.get((shop, order))
        )
        _step(
            "proof",
            f"the shops' own lists: {verdict.refunds} refunds, {verdict.cancels} cancels, "
            f"{verdict.parcels} parcels, each",
        )
        if verdict.wrong:
            _step("", "NOT as it should be:")
            for wrong in verdict.wrong:
                _step("", f"  {wrong}")
            return 1
        _step("", "exactly once where it belongs: nothing was done twice, nothing is missing")
        first = holds[0].number if holds else ""
        inside = f"Look inside:  cd {folder} && {_executable(folder)} holds show {first}"
        if cells(inside) > WIDTH:
            say(f"Look inside:  cd {folder}")
            inside = f"              {_executable(folder)} holds show {first}"
        say(inside)
        say("              and: status, orders list, links list, plan --all")
        say(f"Your shops:   {_executable(Path())} init")
        return 0

    def _named(self, text: str) -> str:
        for ref, name in self.names.items():
            text = text.replace(str(ref), name)
        return plain(text)


def _executable(folder: Path) -> str:
    """How the command is typed in `folder`: its name where the PATH has it, else the way to it."""
    if shutil.which("ordersync"):
        return "ordersync"
    return os.path.relpath(sys.argv[0], folder)


def _wait_past(moment: datetime) -> None:
    """Shops date things to the second, and what is not later than the store's birth is never carried by itself."""
    whole_second = moment.replace(microsecond=0) + timedelta(seconds=1)
    while (left := (whole_second - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(left)


def _step(label: str, text: str) -> None:
    for line in wrapped(text, f"{label:<{LABEL}}"):
        say(line)


def _say_shops() -> None:
    say("Three sandbox shops on loopback: asia (SHOPLINE), office (Medusa), web")
    say("(headless). No account needed; nothing leaves this machine.")


def make_demo_sandboxes(seed: int, now: Callable[[], datetime] | None = None) -> dict[str, Any]:
    """`now`: the shops' own time, where it is not this machine's."""
    from ordersync.cli.sandbox import SHOPS, make_sandbox

    return {
        spec.name: make_sandbox(spec, seed=seed, now=now)
        for spec in SHOPS
        if spec.name in ("asia", "office", "web")
    }


def _prepare(folder: Path) -> None:
    """An empty folder, or one an earlier demo left; nothing else is ever touched."""
    mark = folder / "README.txt"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise UsageError(
            f"{folder} is not empty and not from an earlier demo",
            next_step="choose another with --folder, or remove it",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for left in (*folder.glob("ordersync.*"), *folder.glob(".env")):
        left.unlink()
    mark.write_text(
        "Left by `ordersync demo`. The shops are gone with it; the store is here to look inside:\n"
        "  ordersync status, orders list, links list, holds list, holds show H-1, plan --all\n",
        encoding="utf-8",
    )


def write_demo_config(
    folder: Path,
    sandboxes: dict[str, Any],
    servers: dict[str, Any],
    acting: dict[str, Any] | None = None,
) -> Path:
    """`acting`: links, policy and limits, where they are not those of the short demo."""
    import yaml

    from ordersync.testing.story import BOOKS_ONLY

    shops = {}
    for name, made in sandboxes.items():
        shops[name] = {**made.settings_for(servers[name]), "rate": "500/s"}
        if BOOKS_ONLY[name]:
            shops[name]["books_only"] = BOOKS_ONLY[name]
    about = "# Written by `ordersync demo` for its sandbox shops; the keys open nothing else.\n"
    if acting is None:
        about += "# carry_after is 0 so that the demo need not wait; leave it out for real shops (10 minutes).\n"
    common = {"store": "sqlite:///ordersync.db", "writes": True, "read_from": "2026-01-01", "shops": shops}
    path = folder / "ordersync.yaml"
    path.write_text(about + yaml.safe_dump(common | (acting or _short_demo()), sort_keys=False), encoding="utf-8")
    path.chmod(0o600)
    return path


def _short_demo() -> dict[str, Any]:
    wide = {"cancel": 10, "refund": 20, "refund_value": ["2000.00 USD"]}
    return {
        "links": [
            {"from": name, "field": "metadata.external_id", "strip": "SL-", "to": "asia.number"}
            for name in ("office", "web")
        ],
        "policy": {
            "cancel": {"from": "any"},
            "refund": {"from": ["asia", "office"], "carry_after": "0s"},
            "fulfill": {"from": ["office"]},
        },
        "limits": {"run": wide, "day": wide},
    }
