"""Headless parcels: packed by one call, shipped by the next, delivered by a third.

Source: the vendor's SDK 0.2.0 and MCP server 0.1.4 (the docs pages of fulfillments could not be read); fact sheet,
sections 2 and 3.
"""

from __future__ import annotations

from typing import Any, Literal

from ordersync_connectors.headless.writes import (
    HeadlessWrites,
    answer_differs,
    lines_body,
    lines_differ,
    object_of,
    record_of,
    text_or_none,
)

from ordersync.connector import DeliverRequest, LineQuantity, PackRequest, Receipt, ShipRequest
from ordersync.errors import Refused
from ordersync.http import Answer, path_segment

_REACHED = {"ship": ("shipped", "delivered"), "deliver": ("delivered",)}


class HeadlessParcels(HeadlessWrites):
    """`pack`, `ship`, `deliver`. A parcel cannot be cancelled by any call that is known."""

    def pack(self, order_id: str, request: PackRequest, key: str) -> Receipt:
        """Make a parcel of some units. It has not left: `ship` says that.

        Shape:   POST body {lines: [{order_line_id, quantity}], carrier?, tracking_number?, tracking_url?, metadata?};
                 the answer's `id` becomes Receipt.platform_ref. Our token goes into `metadata.ordersync`, which is
                 not documented to come back.
        Errors:  Refused on 400 (more than is left) and 409 (not confirmed yet, cancelled); OutcomeUnknown
                 ("answer_differs") when the answer is another parcel: a used key replays its first answer.
        """
        self._no_mail("pack", order_id, request.notify_buyer)
        body: dict[str, Any] = {"lines": lines_body(request.lines)}
        for name in ("carrier", "tracking_number", "tracking_url"):
            if value := getattr(request, name):
                body[name] = value
        if request.token:
            body["metadata"] = {"ordersync": request.token}
        answer = self._post(f"/admin/orders/{path_segment(order_id)}/fulfillments", body, "pack", order_id, key)
        return self._moved(answer, "pack", order_id, object_of(answer), request.lines)

    def ship(self, order_id: str, request: ShipRequest, key: str) -> Receipt:
        """Ship a packed parcel, whole.

        Shape:   POST /admin/fulfillments/{id}/ship without a body; the answer is the parcel.
        Errors:  Refused before sending without `fulfillment_id`, and for carrier or tracking: they are told when
                 packing. On 409 the order is read; a parcel found shipped is `already_done`. OutcomeUnknown
                 ("answer_differs") when what was shipped is not `lines` or belongs to another order.
        """
        self._no_mail("ship", order_id, request.notify_buyer)
        if request.fulfillment_id is None:
            raise self._unsayable("ship", order_id, "fulfillment_id", "it ships a parcel that was packed before")
        if request.carrier or request.tracking_number or request.tracking_url:
            raise self._unsayable("ship", order_id, "tracking", "carrier and tracking are told when packing")
        return self._send(order_id, request.fulfillment_id, "ship", request.lines, key)

    def deliver(self, order_id: str, request: DeliverRequest, key: str) -> Receipt:
        """Mark a shipped parcel as delivered. Shape and errors as `ship`."""
        return self._send(order_id, request.fulfillment_id, "deliver", (), key)

    def _send(
        self,
        order_id: str,
        fulfillment_id: str,
        action: Literal["ship", "deliver"],
        lines: tuple[LineQuantity, ...],
        key: str,
    ) -> Receipt:
        path = f"/admin/fulfillments/{path_segment(fulfillment_id)}/{action}"
        try:
            answer = self._post(path, None, action, order_id, key)
        except Refused as refused:
            order = self._order_after_conflict(refused, order_id)
            for parcel in (order or {}).get("fulfillments") or []:
                if isinstance(parcel, dict) and parcel.get("id") == fulfillment_id:
                    if parcel.get("status") not in _REACHED[action] or lines_differ(parcel.get("lines"), lines):
                        break
                    return Receipt(
                        platform_ref=fulfillment_id,
                        already_done=True,
                        status=text_or_none(parcel.get("status")),
                        request_id=refused.request_id,
                    )
            raise
        parcel = record_of(answer, fulfillment_id, "parcel")
        return self._moved(answer, action, order_id, {"id": fulfillment_id, **parcel}, lines)

    def _moved(
        self, answer: Answer, action: str, order_id: str, parcel: dict[str, Any], lines: tuple[LineQuantity, ...]
    ) -> Receipt:
        parcel_id = text_or_none(parcel.get("id"))
        if parcel_id is None:
            raise answer.broken("the answer names no parcel", code="no_record")
        if parcel.get("order_id", order_id) != order_id or lines_differ(parcel.get("lines"), lines):
            raise answer_differs(answer, action)
        return Receipt(
            platform_ref=parcel_id, status=text_or_none(parcel.get("status")), request_id=answer.request_id
        )

    def _no_mail(self, action: str, order_id: str, notify_buyer: bool) -> None:
        if notify_buyer:
            raise self._unsayable(action, order_id, "notify", "it has no switch for mails to the buyer")
