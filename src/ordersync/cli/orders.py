"""`ordersync orders`: list, show, look up and export what is known of orders."""

from __future__ import annotations

import json as json_text
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ordersync.cli.app import orders
from ordersync.cli.printing import age, count, say, say_json, say_table, stdout_for_json, warn
from ordersync.cli.run import BuyerOption, JsonOption, Run, command
from ordersync.errors import UsageError

if TYPE_CHECKING:
    from ordersync.model import Order, OrderRef
    from ordersync.store import StoredOrder

ShopOption = Annotated[str | None, typer.Option("--shop", metavar="S", help="Only this shop.")]
RefArgument = Annotated[str, typer.Argument(metavar="REF", help="shop:number or shop:id.")]


@command(orders, "list")
def list_orders(
    run: Run,
    shop: ShopOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most N orders.")] = 50,
    json: JsonOption = False,
    buyer: BuyerOption = False,
) -> None:
    """Stored orders, sorted by shop and id.

    --json: {"orders": [the canonical order and what derives from it], "more": true when there are more}.
    """
    from ordersync.cli.order_view import order_json

    found: list[StoredOrder] = []
    more = False
    for stored in _stored(run, shop):
        if len(found) == limit:
            more = True
            break
        found.append(stored)
    if json:
        say_json({"orders": [order_json(one.order, buyer=buyer) for one in found], "more": more}, buyer=buyer)
        return
    linked = run.store.link_numbers([one.order.ref for one in found])
    head = ["ORDER", "STATUS", "PAYMENT", "FULFILLMENT", "TOTAL", "REFUNDED", "LINK"]
    rows = [[*_cells(one.order), f"L{linked[one.order.ref]}" if one.order.ref in linked else ""] for one in found]
    if buyer:
        head.append("BUYER")
        rows = [
            [*row, (one.order.buyer and one.order.buyer.email) or ""] for row, one in zip(rows, found, strict=True)
        ]
    say_table(head, rows, empty="no orders are stored; read them: ordersync pull")
    if more:
        say("and more; raise --limit, or: ordersync orders export")


@command(orders, "show")
def show(
    run: Run,
    ref: RefArgument,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read it from the platform now, and store it.")] = False,
    json: JsonOption = False,
    buyer: BuyerOption = False,
) -> None:
    """One order as stored, or read now with --fresh. --json: the canonical order and what derives from it."""
    from ordersync.cli.order_view import order_json, say_order

    order = _fresh(run, ref) if fresh else _known(run, ref)
    if json:
        say_json({"order": order_json(order, buyer=buyer)}, buyer=buyer)
        return
    say_order(order, buyer=buyer)
    link = run.store.link_of(order.ref)
    if link is not None:
        say(f"link      {link.link_id}: {' = '.join(run.names.of(member) for member in link.members)}")
    stored = run.store.order(order.ref)
    if stored is not None:
        say(f"read {age(stored.sent_at, run.now)}, last change seen {age(stored.changed_at, run.now)}")


@command(orders, "lookup")
def lookup(
    run: Run,
    shop: Annotated[str, typer.Option("--shop", metavar="S", help="A shop whose platform has a guest look-up.")],
    number: Annotated[str, typer.Option("--number", metavar="N", help="The order's number.")],
    email: Annotated[str, typer.Option("--email", metavar="E", help="The e-mail address given at checkout.")],
    json: JsonOption = False,
    buyer: BuyerOption = False,
) -> None:
    """Ask the platform as a guest would: by number and e-mail address. Nothing is stored."""
    from ordersync.cli.order_view import order_json, say_order
    from ordersync.connector import CanLookup

    asked = run.shop(shop)
    if "lookup" not in asked.capabilities:
        raise UsageError(
            f"{shop} has no guest look-up",
            code="no_such_call",
            next_step="ordersync connectors list   shows which platforms have one",
        )
    raw = cast(CanLookup, asked.connector).lookup(number.strip().removeprefix("#"), email.strip())
    order = asked.normalise(raw).order
    if json:
        say_json({"order": order_json(order, buyer=buyer)}, buyer=buyer)
        return
    say_order(order, buyer=buyer)


@command(orders, "export")
def export(
    run: Run,
    shop: ShopOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="F", help="Write to this file (mode 0600).")] = None,
    buyer: BuyerOption = False,
) -> None:
    """Every stored order as JSON, one a line, sorted by shop and id.

    The same store gives the same bytes.
    """
    lines = (_line(one.order, buyer=buyer) for one in _stored(run, shop))
    if out is None:
        stdout = stdout_for_json()
        for line in lines:
            stdout.write(line)
        return
    written = 0
    # A device or a pipe is written to, a file is replaced as a whole.
    device = out.exists() and not out.is_file()
    unfinished = out if device else out.with_name(f".{out.name}.part")
    try:
        with os.fdopen(
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            for line in lines:
                file.write(line)
                written += 1
        if not device:
            unfinished.replace(out)
    except OSError as lost:
        if not device:
            with suppress(OSError):
                unfinished.unlink()
        raise UsageError(f"{out} cannot be written ({lost.strerror})", next_step="choose another --out") from lost
    warn(f"{count(written, 'order')} written to {out}")


def _line(order: Order, *, buyer: bool) -> str:
    from ordersync.cli.order_view import order_json

    return json_text.dumps(order_json(order, buyer=buyer), ensure_ascii=False, sort_keys=True) + "\n"


def _stored(run: Run, shop: str | None) -> Iterator[StoredOrder]:
    if shop is not None:
        run.known_shop(shop)
    return run.store.orders(shop)


def _cells(order: Order) -> list[object]:
    return [
        f"{order.shop}:{order.number or order.order_id}",
        order.order_status.value,
        order.payment_status.value,
        order.fulfillment_status.value,
        order.totals.total or "",
        order.refunded if order.refunded else "",
    ]


def _known(run: Run, text: str) -> Order:
    ref = run.ref(text)
    stored = run.store.order(ref)
    parked = run.store.parked(ref)
    if parked and (stored is None or parked[0].sent_at >= stored.sent_at):
        from ordersync.errors import MappingError

        raise MappingError(
            f"its newest answer could not be understood: {parked[0].message}",
            code=parked[0].code,
            path=parked[0].path,
            shop=ref.shop,
            order=ref.order_id,
            next_step=f"see its hold: ordersync holds list; read it again: ordersync orders show {ref} --fresh",
        )
    if stored is None:
        raise UsageError(f"{ref} was never read", next_step=f"ordersync orders show {ref} --fresh")
    return stored.order


def _fresh(run: Run, text: str) -> Order:
    """Read one order from its platform. A text the store does not know is taken for the platform's id."""
    from ordersync.engine.observe import observe

    ref = fresh_ref(run, text)
    return observe(run.store, run.shop(ref.shop), ref.order_id)


def fresh_ref(run: Run, text: str) -> OrderRef:
    """The order named by shop:number or shop:id; one that was never read is named by its platform id."""
    from ordersync.model import OrderRef

    shop, wanted = run.split_ref(text)
    return run.ref(text) if run.store.find(shop, wanted) else OrderRef(shop, wanted)
