"""What every command shares: --config and --debug, the parts it opens, and how errors become exit codes."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ordersync.cli.names import Names
from ordersync.cli.printing import plain, wrapped
from ordersync.errors import (
    Held,
    MappingError,
    NotFound,
    OrdersyncError,
    OutcomeUnknown,
    Refused,
    Transient,
    UsageError,
)

if TYPE_CHECKING:
    from types import FrameType

    from ordersync.config import Config
    from ordersync.engine.shops import Shop
    from ordersync.model import OrderRef
    from ordersync.store import Store

STOPPED, TERMINATED, PIPE_CLOSED = 130, 143, 141
"""What a shell gives a program ended by Ctrl-C, by SIGTERM and by a closed pipe."""
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="F", help="Configuration file [default: ORDERSYNC_CONFIG or ordersync.yaml]."
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Log everything; show the traceback of an error.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]
BuyerOption = Annotated[bool, typer.Option("--buyer", help="Also show the buyer's data.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class _Sigterm:
    came = False


def stop_on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    """End like Ctrl-C does: what is claimed is released, and an unfinished write is marked in doubt at once."""
    _Sigterm.came = True
    raise KeyboardInterrupt


class Run:
    """One command's run: opens the configuration, the store and the shops when first asked, and closes them."""

    def __init__(self, config_file: Path | None, *, debug: bool) -> None:
        self.config_file = config_file
        self.debug = debug
        self._store: Store | None = None
        self._shops: dict[str, Shop] = {}
        self._logs_ready = False

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    @cached_property
    def config(self) -> Config:
        from ordersync.config import load_config

        return load_config(self.config_file)

    def prepare_logs(self) -> None:
        """Only what talks to a shop logs; loading the logs costs a tenth of a second, so it is done then."""
        if not self._logs_ready:
            from ordersync.log import configure_logs

            configure_logs(debug=self.debug, secrets=self.config.secrets)
            self._logs_ready = True

    @property
    def store(self) -> Store:
        if self._store is None:
            from ordersync.bootstrap import open_store

            self._store = open_store(self.config)
        return self._store

    def shop(self, name: str, *, offline: bool = False) -> Shop:
        """One shop by name; UsageError lists the names there are. `offline`: it will not be called."""
        if not offline:
            self.prepare_logs()
        if name not in self._shops:
            self.known_shop(name)
            from ordersync.bootstrap import build_shop

            self._shops[name] = build_shop(self.config, name, offline=offline)
        return self._shops[name]

    def known_shop(self, name: str) -> None:
        """UsageError when the configuration has no shop of that name; it lists those it has."""
        if name not in self.config.settings.shops:
            known = ", ".join(self.config.settings.shops)
            raise UsageError(
                f"there is no shop {plain(name)!r}", code="unknown_shop", next_step=f"shops are {known}"
            )

    def shops(self, only: Iterable[str] | None = None, *, offline: bool = False) -> dict[str, Shop]:
        """Every shop of the configuration, or those named. `offline`: none of them will be called."""
        return {name: self.shop(name, offline=offline) for name in (only or self.config.settings.shops)}

    def ref(self, text: str) -> OrderRef:
        """The order a person named as shop:number or shop:id, as the store knows it.

        UsageError when the shop or the order is unknown, or the number fits several orders.
        """
        shop, wanted = self.split_ref(text)
        found: list[OrderRef] = self.store.find(shop, wanted)
        if len(found) == 1:
            return found[0]
        if not found:
            raise UsageError(
                f"no order {shop}:{wanted} is in the store",
                code="unknown_order",
                next_step=f"ordersync pull --shop {shop}, or: ordersync orders show {shop}:ID --fresh",
            )
        several = "\n".join(f"  {ref}" for ref in found)
        raise UsageError(
            f"{shop}:{wanted} fits {len(found)} orders:\n{several}",
            code="ambiguous_order",
            next_step="name one of them by its id",
        )

    def split_ref(self, text: str) -> tuple[str, str]:
        """("asia", "1043") of "asia:1043"; the shop must exist."""
        shop, colon, wanted = text.partition(":")
        wanted = wanted.strip().removeprefix("#")
        if not colon or not wanted:
            raise UsageError(f"{text!r} does not name an order", next_step="write it as shop:number or shop:id")
        self.known_shop(shop)
        return shop, wanted

    @cached_property
    def names(self) -> Names:
        return Names(self)

    def close(self) -> None:
        for shop in self._shops.values():
            shop.connector.close()
        if self._store is not None:
            self._store.close()


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Register a function; its result is the exit code (None is 0). A parameter `run` receives the `Run`."""

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        signature = inspect.signature(function, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != "run"]
        wants_run = len(own) < len(signature.parameters)
        shared = [
            inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigOption),
            inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DebugOption),
        ]

        @functools.wraps(function)
        def wrapper(*, config: Path | None, debug: bool, **values: Any) -> None:
            run = Run(config, debug=debug)
            code = _guarded(lambda: function(run, **values) if wants_run else function(**values), run)
            raise typer.Exit(code)

        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]  # what inspect.signature reads
            parameters=[*_keyword_only(own), *shared]
        )
        wrapper.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
        sentence = " ".join((function.__doc__ or "").split()).split(". ")[0].removesuffix(".")
        app.command(name, short_help=sentence)(wrapper)
        return function

    return register


def _keyword_only(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]


def _guarded(body: Callable[[], int | None], run: Run) -> int:
    """Run a command; every way it can end becomes an exit code and, on stderr, one clear message."""
    try:
        try:
            code = body() or 0
        finally:
            run.close()
        sys.stdout.flush()
        return code
    except OrdersyncError as error:
        if run.debug:
            traceback.print_exc()
        show_error(error, run)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; what was finished is stored, the same command goes on", file=sys.stderr)
        return TERMINATED if _Sigterm.came else STOPPED
    except BrokenPipeError:
        # Python flushes stdout once more at exit; without a reader that would print a complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (typer.Exit, typer.Abort):
        raise
    except OSError as lost:
        if run.debug:
            traceback.print_exc()
        where = f"{lost.filename}: " if lost.filename else ""
        print(f"error: {where}{lost.strerror or type(lost).__name__}", file=sys.stderr)
        print("  next: correct the path, its permissions or the free space, then run it again", file=sys.stderr)
        print("  (file_error)", file=sys.stderr)
        return 2
    except Exception as bug:  # noqa: BLE001  # the last line of defence: no traceback reaches a person unasked
        if run.debug:
            traceback.print_exc()
        show_bug(bug)
        return 1


def show_error(error: OrdersyncError, run: Run | None = None) -> None:
    """What happened, and what to do, on stderr; secrets that were substituted are hidden."""
    from ordersync.log import Redactor

    loaded = run.__dict__.get("config") if run else None
    redact = Redactor(loaded.secrets if loaded else frozenset())
    about = ":".join(part for part in (error.shop, error.order) if part)
    said = error.message if _names(error.message, error.shop) else f"{about}: {error.message}"
    for number, line in enumerate(redact.text(said).splitlines() or [""]):
        indent = " " * (2 + len(line) - len(line.lstrip()))
        lines = wrapped(line.strip(), "error: " if number == 0 else indent)
        print("\n".join(lines), file=sys.stderr)
    step = error.next_step or _next_step(error)
    print("\n".join(wrapped(redact.text(step), "  next: ")), file=sys.stderr)
    request = f", request {error.request_id}" if error.request_id else ""
    print(f"  ({error.code}{request})", file=sys.stderr)


def _names(message: str, shop: str | None) -> bool:
    """Whether a message says which shop it is about: `asia refused`, `shop asia`; `a web page` is not about web."""
    return shop is None or re.search(rf"(^|: |\b(shop|of|from) ){re.escape(shop)}\b", message) is not None


def error_json(error: OrdersyncError, run: Run | None = None) -> dict[str, str]:
    """An error's fields for --json, with secrets and e-mail addresses hidden as on stderr."""
    from ordersync.log import Redactor

    loaded = run.__dict__.get("config") if run else None
    redact = Redactor(loaded.secrets if loaded else frozenset())
    return {key: redact.text(value) for key, value in error.fields().items()}


def _next_step(error: OrdersyncError) -> str:
    """The way on for an error that was raised without one of its own."""
    about = f"{error.shop}:{error.order}" if error.shop and error.order else None
    if isinstance(error, NotFound):
        return "check the number or id: ordersync orders list"
    if isinstance(error, Transient):
        return "wait a little, then run the same command again"
    if isinstance(error, Refused) and about is None:
        return "run the same command again later; if it stays, ordersync check tests the shop"
    if isinstance(error, Refused | OutcomeUnknown | MappingError | Held):
        look = f"look at the order: ordersync orders show {about} --fresh; " if about else ""
        return f"{look}what waits for you: ordersync holds list"
    if isinstance(error, UsageError):
        return "correct the command; --help behind it shows what it takes"
    return "ordersync check   tests the configuration, the store and every shop"


def show_bug(bug: Exception) -> None:
    """An exception nobody planned for: its place, but not its words, which may hold a buyer's data."""
    frames = traceback.extract_tb(bug.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    print(f"error: unexpected {type(bug).__name__}{place}; this is a fault in ordersync", file=sys.stderr)
    print("  next: run the same command with --debug and report the traceback", file=sys.stderr)


def not_interactive(what: str, flag: str) -> NoReturn:
    """A question that nobody is there to answer."""
    raise UsageError(f"{what}, and there is no terminal to ask on", next_step=f"add {flag}")
