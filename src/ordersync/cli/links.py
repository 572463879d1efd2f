"""`ordersync links`: which orders are the same sale, said by hand or by a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordersync.cli.app import links
from ordersync.cli.printing import count, say, say_json, say_table
from ordersync.cli.run import JsonOption, Run, command
from ordersync.errors import UsageError

if TYPE_CHECKING:
    from ordersync.model import Link


@command(links, "add")
def add(
    run: Run,
    refs: Annotated[list[str], typer.Argument(metavar="REF REF…", help="Orders of different shops: shop:number.")],
    json: JsonOption = False,
) -> None:
    """Say that two or more orders, one per shop, are the same sale."""
    from ordersync.engine.linkfile import refuse_currencies
    from ordersync.model import LinkOrigin

    members = [run.ref(text) for text in refs]
    refuse_currencies(run.store, members)
    made = run.store.add_link(members, LinkOrigin.HAND, None, run.now)
    if json:
        say_json({"links": [_as_json(made)]})
        return
    say(f"{made.link_id}  {' = '.join(run.names.of(ref) for ref in made.members)}")
    say("See what follows from it: ordersync plan")


@command(links, "list")
def list_links(
    run: Run,
    shop: Annotated[
        str | None, typer.Option("--shop", metavar="S", help="Only links with an order of this shop.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most N links.")] = 50,
    json: JsonOption = False,
) -> None:
    """Links, oldest first. --json: {"links": [{link, origin, rule, made_at, settled, members}], "more"}."""
    if shop is not None:
        run.known_shop(shop)
    listed = run.store.links(limit=limit + 1, shop=shop)
    found, more = listed[:limit], len(listed) > limit
    ids = [link.link_id for link in found]
    dirty = {one.link.link_id for one in run.store.dirty_links(only=ids)}
    if json:
        shown = [{**_as_json(link), "settled": link.link_id not in dirty} for link in found]
        say_json({"links": shown, "more": more})
        return
    held = run.store.held_links(ids)
    run.names.learn(ref for link in found for ref in link.members)
    rows = [
        (
            link.link_id,
            "held" if link.link_id in held else "unsettled" if link.link_id in dirty else "settled",
            link.origin.value,
            " = ".join(run.names.of(ref) for ref in link.members),
        )
        for link in found
    ]
    say_table(
        ("LINK", "STATE", "MADE BY", "ORDERS"), rows, empty="no links; make one: ordersync links add REF REF"
    )
    if more:
        say(f"and more ({run.store.link_count():,} links in all); raise --limit")


@command(links, "remove")
def remove(run: Run, link: Annotated[str, typer.Argument(metavar="LINK", help="As listed: L12.")]) -> None:
    """Take a link apart. Refused while a write to one of its orders is not settled."""
    run.store.remove_link(link, run.now)
    say(f"{link} is removed; its orders are free. What was written before stays written.")


@command(links, "import")
def import_csv(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, comma separated, UTF-8 (a BOM is fine).")],
    json: JsonOption = False,
) -> None:
    """Make links from a CSV file: all of them, or none.

    The first row names shops, one column each; every other row is one sale, its cells the orders' numbers or ids.
    A cell may be empty where the sale has no order in that shop:

    \b
        asia,office,web
        1043,4711,2190
        1044,4712,
    """
    from ordersync.engine.linkfile import import_links, read_link_file

    text = _text_of(file)
    rows = read_link_file(run.store, text, list(run.config.settings.shops))
    if not rows:
        raise UsageError(
            f"{file} holds no orders", code="empty_csv", next_step="see: ordersync links import --help"
        )
    made = import_links(run.store, rows, run.now)
    if json:
        say_json({"links": [_as_json(link) for link in made]})
        return
    say(f"{count(len(made), 'link')} made from {file.name}. See what follows: ordersync plan")


def _text_of(file: Path) -> str:
    """The file's text without its BOM; UsageError when it cannot be read as UTF-8."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as lost:
        raise UsageError(f"{file} cannot be read ({lost.strerror})", next_step="name a CSV file") from None
    except UnicodeDecodeError:
        raise UsageError(
            f"{file} is not UTF-8 text", code="broken_csv", next_step="save it as CSV UTF-8"
        ) from None
    if not text.strip():
        raise UsageError(f"{file} is empty", code="empty_csv", next_step="see: ordersync links import --help")
    header = text.lstrip().splitlines()[0]
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in header and "," not in header:
            raise UsageError(
                f"{file}: line 1: its columns are separated by {name}",
                code="not_commas",
                next_step="save it as CSV with commas (or replace them in a text editor)",
            )
    return text


def _as_json(link: Link) -> dict[str, Any]:
    return {
        "link": link.link_id,
        "origin": link.origin.value,
        "rule": link.rule,
        "made_at": link.made_at.isoformat(),
        "members": [{"shop": ref.shop, "order_id": ref.order_id} for ref in link.members],
    }
