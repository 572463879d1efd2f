"""A bad mapping file is a ConfigError that names the file, the place and the value; nothing is guessed."""

from __future__ import annotations

from typing import Any

import ordersync_mappings
import pytest
from tests.payloads.corpus import PLATFORMS, shapes_of

from ordersync.errors import ConfigError
from ordersync.mapping import Profile, load_mapping

GOOD = """
platform: toy
api_version: "1"
source: invented for this test
recognise: {has: [id, state]}
unwrap: ["."]
order:
  order_id: id
  currency: {path: currency, as: currency}
  progress: {path: state, table: progress}
payments:
  each: "payments[]"
  id: id
  status: {path: state, table: payment}
  amount: {path: amount, as: money_major, currency: $.currency}
tables:
  progress: {decides: true, words: {open: pending, done: completed}}
  payment: {decides: true, words: {ok: completed}}
ignored: [extra]
secret: [token]
"""


def refused(text: str, name: str = "toy.yaml") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_mapping(text, name, None)
    assert "Traceback" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert caught.value.next_step
    return caught.value


def test_the_toy_file_itself_is_good() -> None:
    mapping = load_mapping(GOOD, "toy.yaml", None)
    assert (mapping.platform, mapping.api_version, mapping.source) == ("toy", "1", "invented for this test")


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_shipped_file_loads(name: str) -> None:
    mapping = load_mapping(ordersync_mappings.read(name), f"{name}.yaml", shapes_of(name))
    assert mapping.platform == name


CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown top key": ("ignored: [extra]", "ignored: [extra]\nextras: []", ("toy.yaml", "'extras'")),
    "unknown field of ours": ("  order_id: id", "  order_id: id\n  colour: c", ("order", "'colour'")),
    "unknown key of a field": (
        "{path: currency, as: currency}",
        "{path: currency, as: currency, default: USD}",
        ("order.currency", "'default'"),
    ),
    "duplicate key": ("  order_id: id", "  order_id: id\n  order_id: uid", ("written twice", "order_id")),
    "duplicate word": ("{ok: completed}", "{ok: completed, ok: failed}", ("written twice", "'ok'")),
    "unknown converter": ("as: currency}", "as: coin}", ("order.currency.as", "'coin'")),
    "converter of another kind": ("as: currency}", "as: flag}", ("order.currency.as", "'flag'")),
    "amount without converter": ("as: money_major, ", "", ("payments.amount",)),
    "amount without currency": (", currency: $.currency", "", ("payments.amount", "`currency`")),
    "required field missing": ("  order_id: id", "  number: id", ("order", "order_id")),
    "required field of a list missing": ("  id: id\n  status", "  status", ("payments", "id")),
    "enum without table": ("{path: state, table: payment}", "{path: state}", ("payments.status", "`table`")),
    "unknown table": ("table: payment}", "table: payments}", ("payments.status.table", "'payments'")),
    "word that means nothing": ("{ok: completed}", "{ok: settled}", ("payment", "'ok'", "'settled'")),
    "table that nobody uses": (
        "payment: {decides: true, words: {ok: completed}}",
        "payment: {decides: true, words: {ok: completed}}\n  other: {decides: false, words: {a: b}}",
        ("tables", "'other'"),
    ),
    "table that does not say whether it decides": (
        "progress: {decides: true, words",
        "progress: {words",
        ("tables.progress.decides",),
    ),
    "yes is not a boolean": (
        "progress: {decides: true",
        "progress: {decides: yes",
        ("tables.progress.decides", "'yes'"),
    ),
    "path with a mistake": ("order_id: id", 'order_id: "id["', ("order.order_id.path", "'id['")),
    "list without brackets": ('each: "payments[]"', "each: payments", ("payments.each", "'payments'")),
    "condition that is more than equal": (
        'each: "payments[]"',
        'each: "payments[]"\n  where: {state: {above: 1}}',
        ("payments.where.state", "'above'"),
    ),
    "condition without a value": (
        'each: "payments[]"',
        'each: "payments[]"\n  where: {state: }',
        ("payments.where.state",),
    ),
    "ignored and mapped": ("ignored: [extra]", "ignored: [state]", ("ignored", "state is mapped")),
    "ignored above mapped": ("ignored: [extra]", "ignored: [payments]", ("ignored", "is mapped", "'payments'")),
    "secret and mapped": ("secret: [token]", 'secret: ["payments[].*"]', ("secret", "is mapped")),
    "ignored and secret": ("ignored: [extra]", "ignored: [token]", ("ignored", "secret")),
    "ignored twice": ("ignored: [extra]", "ignored: [extra, extra]", ("ignored", "twice", "'extra'")),
    "envelope with a mistake": ('unwrap: ["."]', 'unwrap: ["[]x"]', ("unwrap", "'[]x'")),
    "nothing to recognise": ("{has: [id, state]}", "{has: []}", ("recognise.has",)),
    "no order section": ("order:\n  order_id: id", "orders:\n  order_id: id", ("'orders'",)),
    "platform that is no text": ("platform: toy", "platform: [toy]", ("platform",)),
    "shape without a connector": ('unwrap: ["."]', 'unwrap: ["."]\nshape: {name: bend}', ("shape.name", "'bend'")),
    "expression": ("order_id: id", 'order_id: "id + 1"', ("order.order_id.path", "'id + 1'")),
    "required switched off": (
        "  order_id: id",
        "  order_id: {path: id, required: false}",
        ("order.order_id.required",),
    ),
    "required switched off elsewhere": (
        "  progress: {path: state, table: progress}",
        "  progress: {path: state, table: progress, required: false}",
        ("order.progress.required",),
    ),
    "list inside the order": (
        "  order_id: id",
        '  order_id: id\n  refunds: {each: "refunds[]"}',
        ("order", "refunds is a section of its own"),
    ),
    "payment words on the status axis": (
        "  progress: {path: state, table: progress}",
        "  progress: {path: state, table: progress}\n  platform_words: {status: {path: state, table: progress}}",
        ("platform_words.status.table", "'open'", "'pending'"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_refused_by_file_place_and_value(case: str) -> None:
    old, new, wanted = CASES[case]
    assert GOOD.count(old) >= 1
    error = refused(GOOD.replace(old, new, 1))
    assert str(error).startswith("mapping toy.yaml")
    for word in wanted:
        assert word in str(error), str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "a: [",
        "a: &x [*x]",
        "\x00",
        "? {a: b}\n: c",
        "platform: toy\n---\nplatform: toy",
        "!!python/none x",
    ],
)
def test_what_is_not_one_plain_yaml_map_is_refused(text: str) -> None:
    assert str(refused(text)).startswith("mapping toy.yaml")


def test_a_line_number_helps_where_the_yaml_is_broken() -> None:
    assert "line 3" in str(refused("platform: toy\nsource: x\nsource: y\n"))


def test_words_that_look_like_booleans_and_dates_stay_words() -> None:
    text = GOOD.replace("{open: pending, done: completed}", "{no: pending, 2026-01-01: completed, 1e3: pending}")
    mapping = load_mapping(text, "toy.yaml", None)
    base: dict[str, Any] = {"id": "1", "currency": "usd"}
    for word, progress in {"no": "pending", "2026-01-01": "completed", "1e3": "pending"}.items():
        assert mapping.normalise({**base, "state": word}, Profile("s")).progress == progress


def test_a_missing_shape_of_a_connector_is_named() -> None:
    text = GOOD.replace('unwrap: ["."]', 'unwrap: ["."]\nshape: {name: bend}')
    with pytest.raises(ConfigError, match="no shape of this name"):
        load_mapping(text, "toy.yaml", shapes_of("medusa"))
