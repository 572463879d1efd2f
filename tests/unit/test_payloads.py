"""Every payload becomes exactly its reviewed canonical order, and no field of any sample goes unnoticed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from tests.payloads.corpus import (
    HERE,
    PLATFORMS,
    PROFILE,
    RECORDED,
    SAMPLES,
    SHARED,
    canonical_of,
    expected_file,
    mapping,
    orders_in,
    payload_files,
    sample_orders,
)

from ordersync.errors import MappingError
from ordersync.mapping import decode, encode

PAYLOADS = payload_files()
needs_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason="the shared samples are not beside this repository"
)


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", PAYLOADS, ids=named)
def test_a_payload_becomes_its_reviewed_canonical_order(path: Path) -> None:
    expected = json.loads(expected_file(path).read_text(encoding="utf-8"))
    assert canonical_of(path) == expected
    assert expected, "a payload file without an order proves nothing"


@pytest.mark.parametrize("path", PAYLOADS, ids=named)
def test_a_payload_is_recognised_as_its_own_platform_and_no_other(path: Path) -> None:
    payload = decode(path.read_bytes())
    assert [platform for platform in PLATFORMS if mapping(platform).recognises(payload)] == [path.parent.name]


@pytest.mark.parametrize("path", PAYLOADS, ids=named)
def test_no_field_of_a_payload_is_neither_mapped_ignored_nor_secret(path: Path) -> None:
    platform = path.parent.name
    for order in orders_in(path, platform):
        assert mapping(platform).unmapped(order) == []


@pytest.mark.parametrize("path", PAYLOADS, ids=named)
def test_normalising_and_scrubbing_leave_the_payload_alone(path: Path) -> None:
    platform = path.parent.name
    for order in orders_in(path, platform):
        before = copy.deepcopy(order)
        mapping(platform).normalise(order, PROFILE)
        mapping(platform).scrub(order)
        assert order == before


@pytest.mark.parametrize("path", PAYLOADS, ids=named)
def test_what_went_to_disk_becomes_the_same_order_again(path: Path) -> None:
    platform = path.parent.name
    for order in orders_in(path, platform):
        stored = decode(encode(mapping(platform).scrub(order)))
        assert mapping(platform).normalise(stored, PROFILE) == mapping(platform).normalise(order, PROFILE)


def test_every_expected_file_has_its_payload() -> None:
    wanted = {expected_file(path) for path in PAYLOADS}
    assert set(HERE.glob("*/*.expected.json")) == wanted


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_bare_list_of_orders_is_taken_apart_and_a_mixed_one_is_not(platform: str) -> None:
    path = next(path for path in PAYLOADS if path.parent.name == platform)
    orders = orders_in(path, platform)
    assert mapping(platform).unwrap(orders) == orders
    assert mapping(platform).unwrap([*orders, {"id": "1"}]) == []
    assert mapping(platform).unwrap([*orders, 5]) == []
    assert mapping(platform).unwrap([]) == []


def test_an_unknown_field_is_reported_by_its_path() -> None:
    path = HERE / "headless" / "order_usd_partially_refunded.json"
    [order] = orders_in(path, "headless")
    order["loyalty"] = {"points": 3}
    order["lines"][1]["colour"] = "blue"
    order["refunds"][0]["amount"]["rounding"] = 1
    assert mapping("headless").unmapped(order) == ["lines[].colour", "loyalty.points", "refunds[].amount.rounding"]


@needs_samples
def test_no_field_of_any_shared_sample_is_neither_mapped_ignored_nor_secret() -> None:
    unmapped = {
        (name, path) for name, platform, order in sample_orders() for path in mapping(platform).unmapped(order)
    }
    assert unmapped == set()


def test_no_field_of_the_dialects_own_example_is_neither_mapped_ignored_nor_secret() -> None:
    """The vendor page of the Medusa-style API holds one order with every field and no values."""
    pages = sorted((SHARED / "seeds").glob("004_*.txt"))
    if not pages:
        pytest.skip("the vendor pages are not beside this repository")
    text = pages[0].read_text(encoding="utf-8")
    example, _ = json.JSONDecoder().raw_decode(text[text.index("{\n") :])
    style = mapping("medusa_style")
    assert style.recognises(example)
    assert "payment_collections" in example
    assert style.unmapped(example) == []
    with pytest.raises(MappingError, match="id: this is required and is missing"):
        style.normalise(example, PROFILE)


@needs_samples
def test_every_order_of_the_shared_samples_is_here_as_a_payload_except_the_licensed_recordings() -> None:
    here = {encode(order) for path in PAYLOADS for order in orders_in(path, path.parent.name)}
    missing = {
        name
        for name, _, order in sample_orders()
        if not name.startswith("shopline/recorded/") and encode(order) not in here
    }
    assert missing == set()


@needs_samples
def test_every_shared_sample_order_is_recognised_by_exactly_one_platform() -> None:
    seen: dict[tuple[str, bytes], list[str]] = {}
    for name, platform, order in sample_orders():
        seen.setdefault((name, encode(order)), []).append(platform)
    assert [names for names in seen.values() if len(names) != 1] == []
    platforms = {names[0] for names in seen.values()}
    assert platforms == {"headless", "shopline", "medusa"}
    for (name, _), [platform] in seen.items():
        assert name.startswith(f"{platform}/")


@needs_samples
def test_what_is_not_an_order_is_recognised_by_nobody() -> None:
    for name in (
        "headless/list_orders_admin_empty.json",
        "headless/list_returns_admin.json",
        "headless/errors/404_order_not_found.json",
        "headless/webhooks/payment_refunded.body.json",
        "headless/webhooks/order_cancelled.body.json",
        "medusa/payments_list.json",
        "medusa/order_changes_eur_returned.json",
        "shopline/constructed/webhooks/refunds_create.body.json",
    ):
        payload = decode((SAMPLES / name).read_bytes())
        assert [platform for platform in PLATFORMS if mapping(platform).recognises(payload)] == [], name


def test_the_recordings_are_not_copied_into_the_repository() -> None:
    if not RECORDED.exists():
        pytest.skip("the recordings are not beside this repository")
    ids = {order["id"].encode() for name, _, order in sample_orders() if name.startswith("shopline/recorded/")}
    assert ids
    for path in HERE.rglob("*.json"):
        text = path.read_bytes()
        assert not [one for one in ids if one in text], path.name


def test_secret_fields_do_not_reach_the_disk() -> None:
    [order] = orders_in(HERE / "shopline" / "order_paid_unfulfilled.json", "shopline")
    clean = mapping("shopline").scrub(order)
    dropped = {"order_status_url", "cart_token", "checkout_token", "client_details", "browser_ip"}
    assert set(order) - set(clean) == dropped
    [style] = orders_in(HERE / "medusa_style" / "order_partially_refunded_jpy.json", "medusa_style")
    assert b"not-for-disk" in encode(style)
    assert b"not-for-disk" not in encode(mapping("medusa_style").scrub(style))
    [real] = orders_in(HERE / "medusa" / "order_eur_partial_refund.json", "medusa")
    real["payment_collections"][0]["payments"][0]["data"] = {"client_secret": "not-for-disk"}
    assert b"not-for-disk" not in encode(mapping("medusa").scrub(real))
