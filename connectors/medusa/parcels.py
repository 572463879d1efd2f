"""Medusa's parcels: a fulfillment is packed, shipped by a second call with its labels, delivered by a third.

Source: fact sheet 3 and 7, measured on 2.21.2; `no_notification` of a shipment is read from the server's source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ordersync.connector import DeliverRequest, LineQuantity, PackRequest, RawOrder, Receipt, ShipRequest
from ordersync.errors import OrdersyncError, Refused
from ordersync.http import Answer, ShopClient, decode_json, path_segment

TOKEN_KEY = "ordersync"  # noqa: S105  # the key of a fulfillment's metadata that holds our fact id
_FIELDS = {"fields": "*fulfillments,*fulfillments.items,*fulfillments.labels"}
"""What the answer must bring besides the defaults: which parcel was made, and what is in it."""
_SHIPPED = "Shipment has already been created"
_DELIVERED = "already been marked delivered"


class MedusaParcels(ABC):
    """`pack`, `ship`, `deliver` of the real dialect; the bare one has no such calls."""

    shop: str
    _client: ShopClient

    @abstractmethod
    def fetch(self, order_id: str) -> RawOrder:
        """The order as it is now."""

    @abstractmethod
    def _order_answered(self, answer: Answer, order_id: str) -> dict[str, Any]:
        """The order of an answer; OutcomeUnknown when it is another."""

    @abstractmethod
    def _refuse(self, operation: str, order_id: str, code: str, why: str) -> Refused:
        """For what cannot be said; nothing was sent."""

    def pack(self, order_id: str, request: PackRequest, key: str) -> Receipt:
        """Make a parcel of some units; stock is taken now. Twice the same is two parcels, while units are left.

        Shape:  POST {items, no_notification, metadata}; the answer is the whole order, and the parcel in it is
                found by our token in its metadata, without one by being the newest with these contents.
        Errors: Refused, also for an open order change (measured: nothing happened) and before sending for
                tracking, which is told when shipping; OutcomeUnknown.
        """
        if request.tracking_number or request.tracking_url:
            raise self._refuse("pack", order_id, "tracking_not_possible", "Medusa takes tracking when shipping")
        body: dict[str, Any] = {"items": _items(request.lines), "no_notification": not request.notify_buyer}
        if request.token:
            body["metadata"] = {TOKEN_KEY: request.token}
        path = f"/admin/orders/{path_segment(order_id)}/fulfillments"
        answer = self._client.write("POST", path, body, operation="pack", order=order_id, params=_FIELDS)
        parcels = _parcels(self._order_answered(answer, order_id))
        made = [
            parcel["id"]
            for parcel in parcels
            if not parcel.get("canceled_at")
            and (_token(parcel) == request.token if request.token else _holds(parcel, request.lines))
        ]
        if not made:
            raise answer.broken("the answer does not show the parcel", code="not_as_asked")
        return Receipt(platform_ref=max(made), status="packed", request_id=answer.request_id)

    def ship(self, order_id: str, request: ShipRequest, key: str) -> Receipt:
        """Ship a packed parcel, whole, with one label when tracking is given.

        Shape:  POST {items, labels?, no_notification}; a label needs all three of its keys, empty ones included.
                There is no place for a carrier: it is left out, as it only describes.
        Errors: Refused before sending without `fulfillment_id`, and for an open order change (measured: the parcel
                stays as it was, here and for `deliver`). A parcel shipped before is `already_done` when it
                holds these lines and this tracking. OutcomeUnknown, also when what was shipped holds something
                else.
        """
        if request.fulfillment_id is None:
            raise self._refuse(
                "ship", order_id, "parcel_required", "a Medusa parcel is packed before it is shipped"
            )
        body: dict[str, Any] = {"items": _items(request.lines), "no_notification": not request.notify_buyer}
        if request.tracking_number or request.tracking_url:
            number, url = request.tracking_number or "", request.tracking_url or ""
            body["labels"] = [{"tracking_number": number, "tracking_url": url, "label_url": ""}]
        return self._move(order_id, request.fulfillment_id, "ship", "shipments", body, request)

    def deliver(self, order_id: str, request: DeliverRequest, key: str) -> Receipt:
        """Mark a parcel as delivered; the call has no switch for mails. Errors as `ship`."""
        return self._move(order_id, request.fulfillment_id, "deliver", "mark-as-delivered", {}, None)

    def _move(
        self,
        order_id: str,
        parcel_id: str,
        action: str,
        call: str,
        body: dict[str, Any],
        asked: ShipRequest | None,
    ) -> Receipt:
        path = f"/admin/orders/{path_segment(order_id)}/fulfillments/{path_segment(parcel_id)}/{call}"
        try:
            answer = self._client.write("POST", path, body, operation=action, order=order_id, params=_FIELDS)
        except Refused as refused:
            if (_SHIPPED if asked else _DELIVERED) not in refused.message:
                raise
            parcel = self._parcel_now(order_id, parcel_id)
            if parcel is None or not _is_done(parcel, asked):
                raise
            return Receipt(
                platform_ref=parcel_id,
                already_done=True,
                status="shipped" if asked else "delivered",
                request_id=refused.request_id,
            )
        order = self._order_answered(answer, order_id)
        parcel = next((one for one in _parcels(order) if one["id"] == parcel_id), None)
        if parcel is None or not _is_done(parcel, asked):
            raise answer.broken("the answer does not show the parcel as asked for", code="not_as_asked")
        status = "shipped" if asked else "delivered"
        return Receipt(platform_ref=parcel_id, status=status, request_id=answer.request_id)

    def _parcel_now(self, order_id: str, parcel_id: str) -> dict[str, Any] | None:
        try:
            order = decode_json(self.fetch(order_id).payload)
        except OrdersyncError:
            return None  # the write was refused all the same: that is what the caller tells
        return next((one for one in _parcels(order) if one["id"] == parcel_id), None)


def _items(lines: Sequence[LineQuantity]) -> list[dict[str, Any]]:
    return [{"id": line.line_item_id, "quantity": line.quantity} for line in lines]


def _parcels(order: Any) -> list[dict[str, Any]]:
    rows = order.get("fulfillments") if isinstance(order, dict) else None
    return [row for row in rows or () if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _token(parcel: dict[str, Any]) -> Any:
    metadata = parcel.get("metadata")
    return metadata.get(TOKEN_KEY) if isinstance(metadata, dict) else None


def _is_done(parcel: dict[str, Any], asked: ShipRequest | None) -> bool:
    """Delivered; or shipped, and as asked: these lines, and this tracking among its labels. An answer that brings no
    `items` or `labels` at all has not loaded them and contradicts nothing."""
    if asked is None:
        return bool(parcel.get("delivered_at"))
    labels = [label for label in parcel.get("labels") or () if isinstance(label, dict)]
    tracked = any(
        asked.tracking_number in (None, label.get("tracking_number"))
        and asked.tracking_url in (None, label.get("tracking_url"))
        for label in labels
    )
    untold = "labels" not in parcel or not (asked.tracking_number or asked.tracking_url)
    holds = "items" not in parcel or _holds(parcel, asked.lines)
    return bool(parcel.get("shipped_at")) and holds and (tracked or untold)


def _holds(parcel: dict[str, Any], lines: Sequence[LineQuantity]) -> bool:
    """Exactly these lines, counted as the order shows them: a line that is a kit has a row per inventory item."""
    inside: dict[Any, Decimal] = {}
    for row in parcel.get("items") or ():
        if isinstance(row, dict) and isinstance(row.get("quantity"), int | Decimal):
            inside[row.get("line_item_id")] = inside.get(row.get("line_item_id"), Decimal(0)) + row["quantity"]
    return inside == {line.line_item_id: Decimal(line.quantity) for line in lines}
