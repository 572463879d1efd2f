"""The Medusa sandbox's order update: what it takes, what it moves, and what it refuses, as measured on 2.21.2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from ordersync_connectors.medusa.sandbox import SECRET_KEY
from tests.contract.medusa_shop import MedusaShop, medusa_shop


@pytest.fixture
def office() -> Iterator[MedusaShop]:
    with medusa_shop() as shop:
        yield shop


def ask(shop: MedusaShop, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
    """Any request with the secret key, past the connector."""
    with httpx.Client(base_url=shop.server.origin, auth=(SECRET_KEY, ""), trust_env=False) as client:
        return client.request(method, path, json=body, params=query or None)


def test_a_body_over_the_platforms_limit_is_refused_and_changes_nothing(office: MedusaShop) -> None:
    order = office.sandbox.seed_orders(1)[0]
    body = {"metadata": {"long": "x" * 100 * 1024}}
    answer = ask(office, "POST", f"/admin/orders/{order}", body)
    assert answer.status_code == 413
    assert answer.json() == {"message": "request entity too large", "type": "unknown_error"}
    assert "long" not in (office.sandbox.state.order(order).metadata or {})


def test_an_update_moves_the_order_once_and_leaves_its_change(office: MedusaShop) -> None:
    order_id = office.sandbox.seed_orders(1)[0]
    order = office.sandbox.state.order(order_id)
    for body, path in (
        ({"email": "new@example.com"}, "email"),
        ({"shipping_address": {"city": "Lyon"}}, "shipping_address.city"),
        ({"billing_address": {"city": "Nice"}}, "billing_address.city"),
        ({"metadata": {"note": "x"}}, "metadata.note"),
    ):
        before, version, changes = order.updated_at, order.version, len(order.changes)
        assert ask(office, "POST", f"/admin/orders/{order_id}", body).status_code == 200
        shown = ask(office, "GET", f"/admin/orders/{order_id}", fields="+email").json()["order"]
        [(name, value)] = body.items()
        for part in path.split("."):
            shown = shown[part]
        assert shown == (next(iter(value.values())) if isinstance(value, dict) else value), name
        assert (order.updated_at > before, order.version - version) == (True, 0)
        assert [change.change_type for change in order.changes[changes:]] == ["update_order"]
        moved = order.updated_at
        assert ask(office, "POST", f"/admin/orders/{order_id}", body).status_code == 200
        assert order.updated_at == moved, "the same again moves nothing"
    refused = ask(office, "POST", f"/admin/orders/{order_id}", {"shipping_address": {"town": "Lyon"}})
    assert refused.status_code == 400
    assert "town" in refused.json()["message"]
