"""Broken payloads: a named error with the path, never another exception, never a buyer's data."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.payloads.corpus import HERE, PROFILE, mapping, orders_in

from ordersync.errors import MappingError
from ordersync.model import Order

CANARY = "Zebra Street 99"
ODD: tuple[Any, ...] = (
    *(None, "", CANARY, 5, -1, True, [], {}, [5], [CANARY], {"a": CANARY}, [[]], [None], [{}]),
    *(
        Decimal("0.001"),
        Decimal("1E+400"),
        Decimal("-1E-400"),
        10**40,
        "9" * 300,
        "2026-13-45T99:99:99Z",
        "\ud800",
    ),
)
SUBJECTS = {
    "headless": HERE / "headless" / "order_usd_partially_refunded.json",
    "shopline": HERE / "shopline" / "order_partially_refunded.json",
    "medusa": HERE / "medusa" / "order_eur_partial_refund.json",
    "medusa_style": HERE / "medusa_style" / "order_partially_refunded_jpy.json",
}


def order_of(platform: str) -> dict[str, Any]:
    [order] = orders_in(SUBJECTS[platform], platform)
    return copy.deepcopy(order)


def normalise(platform: str, payload: Any) -> Order:
    return mapping(platform).normalise(payload, PROFILE)


def attempt(platform: str, payload: Any) -> MappingError | None:
    try:
        normalise(platform, payload)
    except MappingError as error:
        return error
    return None


def refused(platform: str, payload: Any) -> MappingError:
    with pytest.raises(MappingError) as caught:
        normalise(platform, payload)
    return caught.value


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a payload."""
    if isinstance(node, dict | list):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places(node[key])


@pytest.mark.parametrize("platform", SUBJECTS)
def test_any_field_may_be_anything_and_nothing_but_a_mapping_error_comes_out(platform: str) -> None:
    """Every value of an order in turn becomes a third of the odd values; neighbours get the other thirds.
    Refusals name a path and show no text of ours."""
    order = order_of(platform)
    refusals = 0
    for turn, (container, key) in enumerate(list(places(order))):
        kept = container[key]
        for odd in ODD[turn % 3 :: 3]:
            container[key] = odd
            error = attempt(platform, order)
            if error is not None:
                refusals += 1
                assert error.path, str(error)
                assert CANARY not in " ".join(error.fields().values()), str(error)
                assert "9" * 100 not in str(error)
        container[key] = kept
    assert refusals > 100, "most fields are checked, or the walk went nowhere"


@pytest.mark.parametrize("platform", SUBJECTS)
def test_any_field_may_be_missing_and_nothing_but_a_mapping_error_comes_out(platform: str) -> None:
    order = order_of(platform)
    for container, key in list(places(order)):
        if isinstance(container, dict):
            kept = dict(container)
            del container[key]
            error = attempt(platform, order)
            assert error is None or error.path
            container.clear()
            container.update(kept)


@pytest.mark.parametrize("platform", SUBJECTS)
def test_scrub_and_unmapped_take_any_payload(platform: str) -> None:
    order = order_of(platform)
    for container, key in list(places(order))[::11]:
        kept = container[key]
        for odd in (None, CANARY, [CANARY], {"a": 1}):
            container[key] = odd
            mapping(platform).scrub(order)
            mapping(platform).unmapped(order)
        container[key] = kept


@pytest.mark.parametrize("platform", SUBJECTS)
@pytest.mark.parametrize("gone", [None, "", "absent"])
def test_a_missing_order_id_is_named(platform: str, gone: str | None) -> None:
    order = order_of(platform)
    if gone == "absent":
        del order["id"]
    else:
        order["id"] = gone
    error = refused(platform, order)
    assert (error.code, error.path) == ("missing", "id")


@pytest.mark.parametrize("platform", SUBJECTS)
def test_a_number_where_a_text_is_promised_is_named_by_its_path(platform: str) -> None:
    order = order_of(platform)
    order["id"] = 26
    error = refused(platform, order)
    assert error.path == "id"
    assert "a text is promised here, but a number came" in error.message
    assert error.exit_code == 3
    assert error.next_step


@pytest.mark.parametrize(
    ("platform", "path", "value", "where"),
    [
        ("headless", ("shipping_address",), [], "shipping_address"),
        ("headless", ("lines",), {}, "lines"),
        ("headless", ("lines", 0), "x", "lines[0]"),
        ("headless", ("refunds", 1, "amount"), 5, "refunds[1].amount"),
        ("headless", ("refunds", 1, "amount", "currency"), None, "refunds[1].amount"),
        ("shopline", ("current_total_price_set",), [], "current_total_price_set"),
        ("shopline", ("line_items", 0, "price_set", "shop_money"), "x", "line_items[0].price_set.shop_money"),
        ("shopline", ("refunds", 0, "transactions"), None, "refunds[0].transactions"),
        ("shopline", ("customer",), [], "customer"),
        ("medusa", ("payment_collections", 0, "payments", 0, "refunds", 0), [], None),
        ("medusa", ("items", 1, "detail"), [], "items[1].detail"),
        ("medusa_style", ("created_at", "offset"), None, "created_at"),
    ],
)
def test_a_value_of_another_shape_is_named_by_its_path(
    platform: str, path: tuple[Any, ...], value: Any, where: str | None
) -> None:
    order = order_of(platform)
    node: Any = order
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    error = refused(platform, order)
    assert error.path == (where or "payment_collections[0].payments[0].refunds[0]")


@pytest.mark.parametrize(
    ("platform", "path"),
    [
        ("headless", ("status",)),
        ("headless", ("payment_status",)),
        ("headless", ("payments", 0, "status")),
        ("headless", ("refunds", 0, "status")),
        ("headless", ("fulfillments", 0, "status")),
        ("shopline", ("status",)),
        ("shopline", ("financial_status",)),
        ("shopline", ("payment_details", 0, "pay_status")),
        ("shopline", ("refunds", 0, "transactions", 0, "status")),
        ("shopline", ("fulfillments", 0, "status")),
        ("medusa", ("status",)),
        ("medusa", ("payment_status",)),
        ("medusa_style", ("payment_status",)),
    ],
)
def test_an_unknown_status_refund_or_payment_word_parks_the_order(platform: str, path: tuple[Any, ...]) -> None:
    order = order_of(platform)
    node: Any = order
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = "half_frozen"
    error = refused(platform, order)
    assert (error.code, error.value) == ("unknown_word", "half_frozen")
    assert error.order == order["id"]
    assert error.shop == "shop"


@pytest.mark.parametrize(
    ("platform", "key"), [("headless", "fulfillment_status"), ("shopline", "fulfillment_status")]
)
def test_an_unknown_fulfillment_word_is_only_described(platform: str, key: str) -> None:
    order = order_of(platform)
    order[key] = "half_frozen"
    found = normalise(platform, order)
    assert found.platform_words["fulfillment"] == "half_frozen"
    assert "unknown_word" in {note.code for note in found.integrity}


def test_an_order_that_is_no_object_is_refused() -> None:
    odds: tuple[Any, ...] = ([], None, "order", 5)
    for odd in odds:
        assert refused("headless", odd).path is None


def test_a_payload_of_five_megabytes_is_read(tmp_path: Path) -> None:
    order = order_of("headless")
    order["metadata"] = {"blob": "x" * 5_000_000}
    assert len(normalise("headless", order).references["blob"]) == 5_000_000
