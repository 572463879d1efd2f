"""`ordersync orders cancel|refund|complete|archive|capture`: one write a person types, through the journal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ordersync.cli.app import orders
from ordersync.cli.orders import RefArgument, fresh_ref
from ordersync.cli.printing import plain, say, say_json, wrapped
from ordersync.cli.run import JsonOption, Run, YesOption, command, not_interactive
from ordersync.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.engine.byhand import Prepared, Wish
    from ordersync.engine.writes import WriteResult
    from ordersync.model import Money

STATES = {
    "seen": "done",
    "receipted": "accepted, not read back yet",
    "expired": "not done",
    "doubt": "in doubt",
}
"""The journal's words, as a person would say them."""
AmountOption = Annotated[str | None, typer.Option("--amount", metavar="M", help='Money, as "5.00 USD".')]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Given to the platform.")]
RestockOption = Annotated[bool, typer.Option("--restock", help="Put the goods back on stock.")]
MailOption = Annotated[bool, typer.Option("--notify-buyer", "--email", help="The platform mails the buyer.")]
AtOption = Annotated[
    str | None, typer.Option("--processed-at", metavar="T", help='When it happened: "2026-11-20T10:00:00+08:00".')
]
PaymentOption = Annotated[str | None, typer.Option("--payment", metavar="ID", help="The payment it is about.")]


@command(orders, "cancel")
def cancel(
    run: Run,
    ref: RefArgument,
    reason: ReasonOption = None,
    amount: AmountOption = None,
    restock: RestockOption = False,
    notify_buyer: MailOption = False,
    processed_at: AtOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> int:
    """Cancel one order. On some platforms that refunds the buyer: it says so and asks first."""
    from ordersync.engine.byhand import Wish
    from ordersync.model import ActionKind

    wish = Wish(
        ActionKind.CANCEL,
        amount=_money(amount),
        reason=reason,
        restock=restock,
        notify_buyer=notify_buyer,
        processed_at=_moment(processed_at),
    )
    return _do(run, ref, wish, yes=yes, json=json)


@command(orders, "refund")
def refund(
    run: Run,
    ref: RefArgument,
    amount: Annotated[str, typer.Option("--amount", metavar="M", help='Money, as "5.00 USD".')],
    reason: ReasonOption = None,
    payment: PaymentOption = None,
    to: Annotated[
        Literal["original", "books"] | None,
        typer.Option(
            "--to", help="Pay the buyer back, or only mark it [default: as the payment's provider says]."
        ),
    ] = None,
    restock: RestockOption = False,
    notify_buyer: MailOption = False,
    processed_at: AtOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> int:
    """Refund part or all of what was captured; asks before money moves."""
    from ordersync.engine.byhand import Wish
    from ordersync.model import ActionKind

    wish = Wish(
        ActionKind.REFUND,
        amount=_money(amount),
        reason=reason,
        payment_id=payment,
        to_books=None if to is None else to == "books",
        restock=restock,
        notify_buyer=notify_buyer,
        processed_at=_moment(processed_at),
    )
    return _do(run, ref, wish, yes=yes, json=json)


@command(orders, "complete")
def complete(run: Run, ref: RefArgument, yes: YesOption = False, json: JsonOption = False) -> int:
    """Mark one order as completed. No money moves."""
    from ordersync.engine.byhand import Wish
    from ordersync.model import ActionKind

    return _do(run, ref, Wish(ActionKind.COMPLETE), yes=yes, json=json)


@command(orders, "archive")
def archive(run: Run, ref: RefArgument, yes: YesOption = False, json: JsonOption = False) -> int:
    """Archive one order. No money moves."""
    from ordersync.engine.byhand import Wish
    from ordersync.model import ActionKind

    return _do(run, ref, Wish(ActionKind.ARCHIVE), yes=yes, json=json)


@command(orders, "capture")
def capture(
    run: Run,
    ref: RefArgument,
    payment: PaymentOption = None,
    amount: AmountOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> int:
    """Take the money of an authorised payment; asks first."""
    from ordersync.engine.byhand import Wish
    from ordersync.model import ActionKind

    return _do(run, ref, Wish(ActionKind.CAPTURE, amount=_money(amount), payment_id=payment), yes=yes, json=json)


def _do(run: Run, text: str, wish: Wish, *, yes: bool, json: bool) -> int:
    from ordersync.engine.apply import require_writes
    from ordersync.engine.byhand import perform, prepare
    from ordersync.engine.sentlog import SentLog

    require_writes(run.config.settings.writes)
    ref = fresh_ref(run, text)
    shops = run.shops([ref.shop])
    prepared = prepare(run.store, shops, ref, wish)
    if not json:
        for line in _announced(run, prepared):
            say(line)
    if wish.kind.moves_money and not yes and not _confirmed():
        say("Nothing was written.")
        return 2
    result = perform(run.store, shops, prepared, SentLog.beside(run.config.store_url))
    if json:
        say_json({"write": result_json(result)})
    else:
        for line in wrapped(run.names.within(result.said), f"{STATES.get(result.state.value, result.state)}: "):
            say(line)
        for line in _next_steps(run, result):
            for part in wrapped(line, "  next: "):
                say(part)
    return exit_code(result)


def _next_steps(run: Run, result: WriteResult) -> list[str]:
    """What to type after a write that did not simply happen."""
    if result.state.value == "doubt":
        return [
            "do not type it again before looking",
            f"ordersync orders show {run.names.of(result.action.target)} --fresh",
            "ordersync apply   looks again, and settles it once it is seen",
        ]
    code = exit_code(result)
    if code == 1:
        return ["wait a little, then run the same command again"]
    return ["ordersync holds list   shows what waits for you"] if result.hold is not None else []


def _announced(run: Run, prepared: Prepared) -> list[str]:
    action = prepared.action
    what = f"{action.kind} {run.names.of(action.target)}" + (f"  {action.amount}" if action.amount else "")
    if action.payment_id:
        what += f"  payment {plain(action.payment_id)}"
    said = [line for warning in prepared.warnings for line in wrapped(run.names.within(warning), "  ")]
    return [*wrapped(what), *said]


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        not_interactive("this moves money and needs a yes", "--yes")
    return typer.confirm("Do it?", default=False)


def exit_code(result: WriteResult) -> int:
    """0 done or accepted; 3 refused, held or in doubt; 1 proven not done and worth another try."""
    from ordersync.model import ActionState

    if result.state in (ActionState.SEEN, ActionState.RECEIPTED):
        return 0
    if result.state is ActionState.EXPIRED:
        return 3 if result.hold is not None else 1
    return 3


def result_json(result: WriteResult) -> dict[str, object]:
    action = result.action
    return {
        "state": result.state.value,
        "said": result.said,
        "kind": action.kind.value,
        "target": {"shop": action.target.shop, "order_id": action.target.order_id},
        "amount": action.amount.model_dump() if action.amount else None,
        "pays_buyer": action.pays_buyer,
        "token": action.token,
        "hold": result.hold.code if result.hold else None,
    }


def _money(text: str | None) -> Money | None:
    from ordersync.model import Money

    if text is None:
        return None
    try:
        return Money.parse(text)
    except ValueError as wrong:
        raise UsageError(f"--amount: {wrong}", code="bad_amount", next_step='write it as "5.00 USD"') from None


def _moment(text: str | None) -> datetime | None:
    from ordersync.settings import parse_moment

    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError as wrong:
        raise UsageError(
            f"--processed-at: {wrong}", code="bad_time", next_step="give a time with its offset"
        ) from None
