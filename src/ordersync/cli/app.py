"""The command tree. Command modules hang themselves on these; `ordersync.cli.main` imports them all."""

from __future__ import annotations

from typing import Annotated

import typer

from ordersync import __version__


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"ordersync {__version__}")
        raise typer.Exit(0)


def _group(name: str, help_text: str) -> typer.Typer:
    group = typer.Typer(name=name, no_args_is_help=True, rich_markup_mode=None, help=help_text)
    app.add_typer(group)
    return group


app = typer.Typer(
    name="ordersync",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Brings one sale into agreement across the shops it exists in: cancellations and refunds, once, "
    "never twice, never silently.",
    epilog="Exit codes: 0 done, 1 try again, 2 usage or configuration, 3 a person must look.",
)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and end.")
    ] = False,
) -> None:
    """The options before any command."""


orders = _group("orders", "Look at orders, and act on one by hand.")
payments = _group("payments", "Payments as the platform lists them.")
links = _group("links", "Which orders are the same sale.")
holds = _group("holds", "What waits for a person.")
connectors = _group("connectors", "The platforms that can be connected.")
