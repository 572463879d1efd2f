"""`ordersync payments`: the platform's own payment lists, where it has them (Medusa and its dialect)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from ordersync.cli.app import payments
from ordersync.cli.printing import say, say_table, stdout_for_json, without_addresses
from ordersync.cli.run import JsonOption, Run, command
from ordersync.errors import UsageError

ShopOption = Annotated[str, typer.Option("--shop", metavar="S", help="A shop whose platform lists payments.")]
HIDDEN_KEYS = frozenset(
    {
        "data",
        "context",
        "payment_session",
        "payment_sessions",
        "customer",
        "customer_id",
        "email",
        "shipping_address",
        "billing_address",
    }
)
"""What a payment provider keeps beside a payment may hold secrets; the others are the buyer's."""


@command(payments, "list")
def list_payments(
    run: Run,
    shop: ShopOption,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="Rows of one page.")] = 20,
    offset: Annotated[int, typer.Option("--offset", min=0, metavar="N", help="Rows to skip.")] = 0,
    json: JsonOption = False,
) -> None:
    """One page of the payments as the platform lists them. --json: its answer without the providers' own data."""
    answer = _call(run, shop, "payments")(limit=limit, offset=offset)
    if json:
        _say_exact(_shown(answer))
        return
    say_table(
        ("PAYMENT", "PROVIDER", "AMOUNT", "CAPTURED", "REFUNDED"),
        [_cells(row) for row in _rows(answer, "payments")],
        empty="no payments",
    )


@command(payments, "providers")
def providers(run: Run, shop: ShopOption, json: JsonOption = False) -> None:
    """The payment providers the platform names.

    Those whose refunds only mark belong into books_only.
    """
    answer = _call(run, shop, "payment_providers")()
    if json:
        _say_exact(answer)
        return
    books = run.config.settings.shops[shop].books_only
    say_table(
        ("PROVIDER", "ENABLED", "A REFUND"),
        [
            (
                row.get("id", ""),
                "no" if row.get("is_enabled", row.get("is_installed")) is False else "yes",
                "only marks" if row.get("id") in books else "pays the buyer",
            )
            for row in _rows(answer, "payment_providers")
        ],
        empty="no payment providers",
    )


@command(payments, "show")
def show(
    run: Run,
    payment: Annotated[str, typer.Argument(metavar="ID", help="The platform's payment id.")],
    shop: ShopOption,
    json: JsonOption = False,
) -> None:
    """One payment as the platform answers it, without its provider's own data."""
    answer = _call(run, shop, "payment")(payment)
    if json:
        _say_exact(_shown(answer))
        return
    found = answer.get("payment", answer)
    say_table(("PAYMENT", "PROVIDER", "AMOUNT", "CAPTURED", "REFUNDED"), [_cells(found)], empty="")
    for refund in found.get("refunds") or ():
        say(f"refund {refund.get('id', '')}  {refund.get('amount', '')}")


def _call(run: Run, shop: str, name: str) -> Any:
    asked = run.shop(shop)
    if name not in asked.capabilities:
        raise UsageError(
            f"{shop} has no payment lists",
            code="no_such_call",
            next_step="ordersync connectors list   shows which platforms have them",
        )
    return getattr(asked.connector, name)


def _rows(answer: Any, name: str) -> list[dict[str, Any]]:
    rows = answer.get(name) if isinstance(answer, dict) else answer
    return [row for row in rows or () if isinstance(row, dict)]


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    code = str(row.get("currency_code") or "").upper()
    return (
        row.get("id", ""),
        row.get("provider_id", ""),
        f"{row.get('amount', '')} {code}",
        _sum(row, "captures", "captured_amount"),
        _sum(row, "refunds", "refunded_amount"),
    )


def _sum(row: dict[str, Any], records: str, stated: str) -> object:
    listed = [one.get("amount") for one in row.get(records) or () if isinstance(one, dict)]
    amounts = [amount for amount in listed if isinstance(amount, int | Decimal)]
    return sum(amounts, Decimal()) if amounts else row.get(stated, "")


def _shown(value: Any) -> Any:
    """The answer without what payment providers keep and without who the buyer is."""
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items() if key not in HIDDEN_KEYS}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return value


def _say_exact(value: Any) -> None:
    """JSON with every number as exact as the platform wrote it."""
    import msgspec

    from ordersync.mapping import encode

    text: str = msgspec.json.format(encode(without_addresses(value)), indent=2).decode()
    print(text, file=stdout_for_json())
