"""The orders of the SHOPLINE sandbox and what may happen to them; no HTTP in here.

An order is kept as the JSON that a list shows. Every change replaces it by a changed copy, so an earlier state is
a shallow copy of `rows`. What nobody could find out is a switch of `Unknowns`.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from ordersync.testing.sales import SaleSpec
from ordersync.testing.sandbox import encode_body

from .sandbox_orders import JsonObject, Line, Prices, Sale, Slip, build_order, time_text
from .sandbox_records import (
    RefundedLine,
    adjustment,
    minor_of,
    paid_minor,
    parcel_of,
    prices_of,
    refund_line,
    refund_record,
    refunded_minor,
    refunded_units,
    sent_units,
    settle_words,
)


@dataclass(slots=True)
class Unknowns:
    """Facts nobody could find out (fact sheet, section 13). Defaults follow the vendor's examples where there
    are any, else the harsher guess; tests run both ways."""

    cancel_refunds_paid: bool = True
    """Cancelling a paid order without an amount gives back what is left."""
    cancel_amount_refunds: bool = True
    """The cancel call's `amount` is an amount to refund."""
    cancel_fulfilled_allowed: bool = True
    refund_starts_pending: bool = False
    refund_moves_updated_at: bool = True
    refund_status_moves_updated_at: bool = False
    refund_lowers_fulfillable: bool = True
    """Units refunded as Unshipped can no longer be sent."""
    archive_moves_updated_at: bool = False
    jpy_two_decimals: bool = True
    """Amounts in currencies without decimals are written with two."""
    ids_show_archived: bool = False
    """`ids` also finds archived orders when `hidden_order` is not given."""
    paging: Literal["offset", "keyset"] = "offset"
    """Whether rows that leave a list shift the ones behind them across a page edge."""
    filters_by_millisecond: bool = False
    """`updated_at_max` compares with what is stored, not with the whole seconds that are shown."""


class Problem(Exception):
    """The platform says no: HTTP status and the text of `errors`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class OwnRefund(NamedTuple):
    order_id: str
    refund_id: str
    amount_minor: int
    currency: str
    status: str
    note: str | None


class OwnCancel(NamedTuple):
    order_id: str
    cancelled_at: str
    reason: str | None


@dataclass(slots=True)
class Row:
    payload: JsonObject
    updated: datetime
    """Finer than the second that is shown."""
    encoded: bytes | None = field(default=None, repr=False)

    def bytes(self) -> bytes:
        if self.encoded is None:
            self.encoded = encode_body(self.payload)
        return self.encoded


class ShoplineState:
    def __init__(
        self, *, now: Callable[[], datetime], dice: random.Random, unknowns: Unknowns, currency: str, handle: str
    ) -> None:
        self.now = now
        self.unknowns = unknowns
        self.currency = currency
        self.handle = handle
        self.store_id = "1644828244663"
        self.rows: dict[str, Row] = {}
        self._returned: dict[tuple[str, str], int] = {}
        """(order id, line id) to the units refunded after they had left; no read shows them apart."""
        self._dice = dice
        self._serial = 0
        self._index: list[tuple[float, str]] | None = None

    # Finding.

    def row(self, order_id: str) -> Row:
        if order_id not in self.rows:
            raise Problem(404, "The order does not exist.")
        return self.rows[order_id]

    def between(self, first: float | None, last: float | None) -> list[str]:
        """Ids of the orders updated in [first, last], in Unix seconds, in no useful order."""
        if first is None and last is None:
            return list(self.rows)
        if self._index is None:
            whole = not self.unknowns.filters_by_millisecond
            self._index = sorted(
                (float(int(row.updated.timestamp())) if whole else row.updated.timestamp(), order_id)
                for order_id, row in self.rows.items()
            )
        low = 0 if first is None else bisect_left(self._index, (first, ""))
        high = len(self._index) if last is None else bisect_right(self._index, (last, "~"))
        return [order_id for _, order_id in self._index[low:high]]

    def show(self, rows: dict[str, Row]) -> dict[str, Row]:
        shown, self.rows, self._index = self.rows, rows, None
        return shown

    # Placing orders.

    def sale(self, spec: SaleSpec) -> Sale:
        """The sale as this store writes it, not placed yet; paid sales have one paid slip."""
        sale = Sale(
            order_id=self._new_id("21", 26),
            name=str(spec.number),
            at=spec.placed_at,
            prices=Prices(spec.currency, self.unknowns.jpy_two_decimals),
            lines=tuple(
                Line(
                    str(self._next() % 90_000 + 10_000), line.sku, line.title, line.quantity, line.unit_price_minor
                )
                for line in spec.lines
            ),
            shipping_minor=spec.shipping_minor,
            financial_status="paid" if spec.paid else "unpaid",
            buyer=spec,
            references=spec.references,
        )
        return replace(sale, slips=(self.slip(sale, spec.provider, paid=spec.paid),))

    def slip(self, sale: Sale, gateway: str, *, paid: bool) -> Slip:
        """A payment slip over the whole sale."""
        return Slip(self._new_id("23", 26), gateway, "paid" if paid else "unpaid", sale.total_minor, sale.at)

    def place(self, sale: Sale) -> str:
        """Returns the order id."""
        self.rows[sale.order_id] = Row(build_order(sale, handle=self.handle, store_id=self.store_id), sale.at)
        self._index = None
        return sale.order_id

    # What happens to orders. Every `at` defaults to now.

    def cancel(
        self,
        order_id: str,
        *,
        reason: str | None = None,
        restock: bool = False,
        amount_minor: int | None = None,
        at: datetime | None = None,
    ) -> JsonObject:
        """Cancel; returns the refund record, which is made even where no money moved. Totals stay as they are."""
        order = self.row(order_id).payload
        if order["cancelled_at"]:
            raise Problem(422, "The order has been cancelled")
        shipped = any(parcel["status"] == "success" for parcel in order["fulfillments"])
        if shipped and not self.unknowns.cancel_fulfilled_allowed:
            raise Problem(422, "The order has been fulfilled and cannot be cancelled")
        left = max(0, paid_minor(order) - refunded_minor(order))
        if amount_minor is None:
            moved = left if self.unknowns.cancel_refunds_paid else 0
        else:
            if amount_minor > left and self.unknowns.cancel_amount_refunds:
                raise Problem(422, "The refund amount exceeds the refundable amount")
            moved = amount_minor if self.unknowns.cancel_amount_refunds else 0
        when = at or self.now()
        with self.edit(order_id, at=when) as order:
            prices = self.prices(order)
            number = self._new_id("", 19)
            order |= {"status": "cancelled", "cancelled_at": time_text(when), "cancel_reason": reason}
            total = minor_of(order["current_total_price"], prices.currency)
            record = refund_record(
                order,
                moved,
                when,
                reason or "Seller cancels order",
                refund_id=self._new_id("26", 22),
                prices=prices,
            )
            stock = "cancel" if restock else "no_restock"
            record["refund_line_items"] = [
                refund_line(line, prices, number, stock=stock, quantity=left_of_line)
                for line in order["line_items"]
                if (left_of_line := line["quantity"] - refunded_units(order, line["id"])) > 0
            ]
            if not moved:
                record["order_adjustments"] = [adjustment(order_id, total, prices, number)]
                record["transactions"] = []
                record["processed_at"] = None
            for line in order["line_items"]:
                line["fulfillable_quantity"] = 0
            order["refunds"].append(record)
            settle_words(order)
        return record

    def refund(
        self,
        order_id: str,
        amount_minor: int,
        *,
        note: str | None = None,
        status: str | None = None,
        payment_id: str | None = None,
        lines: Sequence[RefundedLine] = (),
        shipping_minor: int = 0,
        at: datetime | None = None,
    ) -> JsonObject:
        """Refund an amount, as the admin or the call does; returns the record. `status`: pending or success.
        What the amount has more or less than lines and shipping are worth becomes a `refund_discrepancy`."""
        order = self.row(order_id).payload
        slips = [slip for slip in order["payment_details"] if payment_id in (None, slip["pay_seq"])]
        if not slips:
            raise Problem(422, "The payment does not exist.")
        if slips[0]["pay_status"] != "paid":
            raise Problem(422, "The payment has not been paid")
        if amount_minor <= 0:
            raise Problem(422, "The refund amount must be greater than 0")
        if amount_minor > paid_minor(order) - refunded_minor(order):
            raise Problem(422, "The refund amount exceeds the refundable amount")
        when = at or self.now()
        word = status or ("pending" if self.unknowns.refund_starts_pending else "success")
        with self.edit(order_id, at=when, moves=self.unknowns.refund_moves_updated_at) as order:
            prices = self.prices(order)
            refund_id = self._new_id("26", 22)
            record = refund_record(
                order, amount_minor, when, note, refund_id=refund_id, prices=prices, status=word
            )
            rows = [self._take_back(order, line, prices) for line in lines]
            record["refund_line_items"] = rows
            worth = sum(minor_of(row["subtotal"], prices.currency) for row in rows)
            apart = (
                ("shipping_refund", shipping_minor),
                ("refund_discrepancy", amount_minor - worth - shipping_minor),
            )
            record["order_adjustments"] = [
                adjustment(order_id, minor, prices, self._new_id("", 19), kind) for kind, minor in apart if minor
            ]
            order["refunds"].append(record)
            settle_words(order)
        for line in lines:
            if line.kind == "Returned":
                place = (order_id, line.line_id)
                self._returned[place] = self._returned.get(place, 0) + line.quantity
        return record

    def _take_back(self, order: JsonObject, asked: RefundedLine, prices: Prices) -> JsonObject:
        """Refund some units of a line, which have left or not."""
        line = _line_of(order, asked.line_id)
        returned = self._returned.get((order["id"], asked.line_id), 0)
        is_return = asked.kind == "Returned"
        most = line["quantity"] - refunded_units(order, asked.line_id)
        if is_return:
            most = min(most, sent_units(order, asked.line_id) - returned)
        else:
            most = min(most, line["fulfillable_quantity"])
        if not 0 < asked.quantity <= most:
            raise Problem(422, "The refund quantity exceeds the refundable quantity")
        if not is_return and self.unknowns.refund_lowers_fulfillable:
            line["fulfillable_quantity"] -= asked.quantity
        return refund_line(line, prices, self._new_id("", 19), stock=asked.stock, quantity=asked.quantity)

    def settle_refund(
        self, order_id: str, refund_id: str, status: str = "success", *, at: datetime | None = None
    ) -> None:
        """The gateway decided about a pending refund: success, failure or error."""
        with self.edit(order_id, at=at, moves=self.unknowns.refund_status_moves_updated_at) as order:
            for record in order["refunds"]:
                for moved in record["transactions"]:
                    if record["id"] == refund_id:
                        moved["status"] = status
            settle_words(order)

    def ship(
        self,
        order_id: str,
        quantities: dict[str, int] | None = None,
        *,
        tracking: tuple[str, str, str] = ("", "", ""),
        at: datetime | None = None,
    ) -> JsonObject:
        """Ship these quantities by line id, or all that is left; returns the fulfillment. `tracking`: company,
        number, URL; empty texts, not nulls, when untracked."""
        when = at or self.now()
        with self.edit(order_id, at=when) as order:
            lines = []
            for line_id in quantities or ():
                _line_of(order, line_id)
            for line in order["line_items"]:
                quantity = line["fulfillable_quantity"] if quantities is None else quantities.get(line["id"], 0)
                if quantity > line["fulfillable_quantity"]:
                    raise Problem(422, "The fulfillment quantity exceeds the fulfillable quantity")
                if quantity:
                    line["fulfillable_quantity"] -= quantity
                    lines.append({**_copied(line), "fulfillment_quantity": quantity})
            if not lines:
                raise Problem(422, "There is nothing to fulfill")
            parcel = parcel_of(order, lines, when, tracking, fulfillment_id=self._new_id("22", 26))
            order["fulfillments"].append(parcel)
            settle_words(order)
        return parcel

    def unship(self, order_id: str, fulfillment_id: str, *, at: datetime | None = None) -> JsonObject:
        """Cancel a fulfillment: it stays in the list."""
        when = at or self.now()
        with self.edit(order_id, at=when) as order:
            found = [parcel for parcel in order["fulfillments"] if parcel["id"] == fulfillment_id]
            if not found:
                raise Problem(404, "The fulfillment does not exist.")
            parcel: JsonObject = found[0]
            if parcel["status"] == "cancelled":
                raise Problem(422, "The fulfillment has been cancelled")
            parcel |= {"status": "cancelled", "updated_at": time_text(when)}
            for sent in parcel["line_items"]:
                line = next(line for line in order["line_items"] if line["id"] == sent["id"])
                line["fulfillable_quantity"] += sent["fulfillment_quantity"]
            settle_words(order)
        return parcel

    def pay(self, order_id: str, *, at: datetime | None = None) -> None:
        with self.edit(order_id, at=at) as order:
            order["payment_details"] = [{**slip, "pay_status": "paid"} for slip in order["payment_details"]]
            settle_words(order)

    def archive(self, order_id: str, *, hidden: bool = True, at: datetime | None = None) -> None:
        if self.row(order_id).payload["hidden_order"] == hidden:
            raise Problem(200, f"The order is {'already' if hidden else 'not'} archived")
        with self.edit(order_id, at=at, moves=self.unknowns.archive_moves_updated_at) as order:
            order["hidden_order"] = hidden

    def update(self, order_id: str, fields: dict[str, Any], *, at: datetime | None = None) -> None:
        """What the update call accepts. `tags` overwrites and reads back as a JSON list in a string."""
        with self.edit(order_id, at=at) as order:
            for name, value in fields.items():
                if name == "tags":
                    tags = [tag.strip() for tag in str(value).split(",") if tag.strip()]
                    order["tags"] = encode_body(tags).decode() if tags else None
                elif name == "note_attributes":
                    order[name] = [{"create_time": time_text(self.now()), **pair} for pair in value]
                elif name == "shipping_address":
                    order[name] = {**order[name], **value}
                    known = order["customer"]["addresses"]
                    order["customer"]["addresses"] = {**known, **{k: v for k, v in value.items() if k in known}}
                elif name in ("email", "phone"):
                    order[name] = value

    def delete(self, order_id: str) -> None:
        self.row(order_id)
        self.rows = {known: row for known, row in self.rows.items() if known != order_id}
        self._index = None

    @contextmanager
    def edit(self, order_id: str, *, at: datetime | None = None, moves: bool = True) -> Iterator[JsonObject]:
        """A copy to change, kept when the block ends without an error. `moves`: also `updated_at`."""
        row = self.row(order_id)
        changed: JsonObject = _copied(row.payload)
        yield changed
        updated = row.updated
        if moves:
            updated = max(at or self.now(), row.updated)
            changed["updated_at"] = time_text(updated)
        self.rows[order_id] = Row(changed, updated)
        self._index = None

    # Sums and words.

    def prices(self, order: JsonObject) -> Prices:
        return prices_of(order, two_decimals=self.unknowns.jpy_two_decimals)

    def own_refunds(self) -> list[OwnRefund]:
        """Every refund record that moved or will move money, as the platform keeps it."""
        return [
            OwnRefund(
                order_id,
                record["id"],
                minor_of(moved["amount"], moved["currency"]),
                moved["currency"],
                moved["status"],
                record["note"],
            )
            for order_id, row in self.rows.items()
            for record in row.payload["refunds"]
            for moved in record["transactions"]
            if Decimal(moved["amount"])
        ]

    def own_cancels(self) -> list[OwnCancel]:
        return [
            OwnCancel(order_id, row.payload["cancelled_at"], row.payload["cancel_reason"])
            for order_id, row in self.rows.items()
            if row.payload["cancelled_at"]
        ]

    def _next(self) -> int:
        self._serial += self._dice.randint(1, 7)
        return self._serial

    def _new_id(self, prefix: str, digits: int) -> str:
        """Ids rise with time and say what they are by their first two digits."""
        return prefix + f"{5_000_000_000_000 + self._next():0>{digits - len(prefix)}}"


def _line_of(order: JsonObject, line_id: str) -> JsonObject:
    for line in order["line_items"]:
        if line["id"] == line_id:
            found: JsonObject = line
            return found
    raise Problem(422, "The line item does not exist.")


def _copied(value: Any) -> Any:
    """A deep copy of JSON; several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_copied(inner) for inner in value]
    return value
