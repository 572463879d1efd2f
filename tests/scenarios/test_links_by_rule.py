"""Rules against a real store: what is linked, what is held, and that nothing is missed however often they run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from ordersync.engine.linking import LinkReport, link_by_rules
from ordersync.model import LinkOrigin, Order, OrderRef
from ordersync.reconcile.rules import LinkRule
from ordersync.store import Observation, Parked, Store
from ordersync.store.migrations.upgrade import upgrade
from ordersync.testing.orders import NOON, build_order

RULE = LinkRule(source="office", field="metadata.external_id", to_shop="asia", strip="SL-")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'links.db'}") as opened:
        yield opened


class _Time:
    at = NOON


def see(store: Store, *orders: Order) -> None:
    """Each look is later than the one before."""
    _Time.at += timedelta(seconds=1)
    for order in orders:
        store.save_observation(Observation(order=order, raw=b"{}", sent_at=_Time.at))


def mirror(order_id: str, names: str, **changes: object) -> Order:
    references = {"external_id": names, **(changes.pop("also", {}))}  # type: ignore[dict-item]  # a small test builder
    return build_order("office", order_id, references=references, **changes)  # type: ignore[arg-type]  # the same


def follow(store: Store, *rules: LinkRule) -> LinkReport:
    return link_by_rules(store, rules or (RULE,), NOON)


def linked(store: Store) -> list[list[str]]:
    return [[str(ref) for ref in link.members] for link in store.links()]


def held(store: Store) -> list[tuple[str, str]]:
    return [(one.hold.code, one.hold.subject) for one in store.holds()]


def test_an_order_that_names_another_and_agrees_is_linked_once(store: Store) -> None:
    see(store, build_order("asia", "a1", number="1043"), mirror("o1", "SL-1043"))
    first = follow(store)
    assert first.made == [link.link_id for link in store.links()]
    assert [(link.origin, link.rule) for link in store.links()] == [(LinkOrigin.RULE, RULE.name)]
    again = follow(store)
    assert (again.made, again.agreed, again.new_holds) == ([], 1, [])
    assert linked(store) == [["asia:a1", "office:o1"]]


def test_an_order_that_comes_later_or_changes_later_is_never_missed(store: Store) -> None:
    see(store, mirror("o1", "SL-1043"), mirror("o2", ""))
    assert follow(store).unmatched == 1
    see(store, build_order("asia", "a1", number="1043"), build_order("asia", "a2", number="1044"))
    assert len(follow(store).made) == 1
    see(store, mirror("o2", "SL-1044", charged=9_000))
    assert held(store) == []
    assert len(follow(store).new_holds) == 1
    see(store, mirror("o2", "SL-1044"))
    assert len(follow(store).made) == 1
    assert held(store) == [], "a hold that is no longer so closes itself"
    assert linked(store) == [["asia:a1", "office:o1"], ["asia:a2", "office:o2"]]


def test_following_rules_parses_no_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    see(store, *(build_order("asia", str(number)) for number in range(20)))
    see(store, *(mirror(f"o{number}", f"SL-{number}") for number in range(20)))
    monkeypatch.setattr(Order, "model_validate_json", lambda *_: pytest.fail("an order was parsed"))
    assert len(follow(store).made) == 20
    assert follow(store).agreed == 20


@pytest.mark.parametrize(
    "order, said",
    [
        (mirror("o1", "SL-1043", charged=10_100), "total 101.00 USD and 100.00 USD"),
        (mirror("o1", "SL-1043", currency="EUR"), "currency EUR and USD"),
        (mirror("o1", "SL-1043", sku="MUG"), "skus and quantities differ"),
    ],
)
def test_a_reference_that_does_not_agree_is_held_unless_the_key_is_trusted(
    store: Store, order: Order, said: str
) -> None:
    see(store, build_order("asia", "a1", number="1043"), order)
    assert len(follow(store).new_holds) == 1
    assert held(store) == [("reference_unconfirmed", "order:office:o1")]
    assert said in store.holds()[0].hold.message
    assert follow(store).new_holds == []
    assert len(follow(store, RULE.model_copy(update={"trusted": True})).made) == 1
    assert held(store) == []


def test_where_leaves_out_orders_of_another_source(store: Store) -> None:
    rule = RULE.model_copy(update={"where": {"metadata.source": "shopline", "metadata.live": "true"}})
    see(store, *(build_order("asia", f"a{n}", number=str(n)) for n in (1, 2, 3, 4)))
    see(
        store,
        mirror("o1", "SL-1", also={"source": "shopline", "live": "true"}),
        mirror("o2", "SL-2", also={"source": "web", "live": "true"}),
        mirror("o3", "SL-3", also={"source": "shopline"}),
        mirror("o4", "SL-4"),
    )
    follow(store, rule)
    assert linked(store) == [["asia:a1", "office:o1"]]
    assert "where metadata.live is true, metadata.source is shopline" in rule.name


def test_number_note_and_id_can_be_followed(store: Store) -> None:
    see(store, build_order("asia", "a1", number="1"), build_order("web", "w1", number="1"))
    by_number = LinkRule(source="web", field="number", to_shop="asia")
    assert len(follow(store, by_number).made) == 1
    see(store, build_order("office", "o1").model_copy(update={"note": " a1 "}))
    by_note = LinkRule(source="office", field="note", to_shop="asia", to_field="id")
    assert len(follow(store, by_note).made) == 1
    assert linked(store) == [["asia:a1", "office:o1", "web:w1"]], "the second rule grows the link"


def test_two_mirrors_of_one_order_are_held_and_neither_is_linked(store: Store) -> None:
    see(store, build_order("asia", "a1", number="1043"), mirror("o1", "SL-1043"), mirror("o2", "SL-1043"))
    assert follow(store).made == []
    assert held(store) == [("duplicate_mirror", "order:asia:a1")]
    assert "office:o1, office:o2" in store.holds()[0].hold.message


def test_a_second_mirror_of_a_linked_order_is_held_and_the_link_stays(store: Store) -> None:
    see(store, build_order("asia", "a1", number="1043"), mirror("o1", "SL-1043"))
    follow(store)
    see(store, mirror("o2", "SL-1043"), mirror("o3", "SL-1043", charged=5))
    follow(store)
    assert linked(store) == [["asia:a1", "office:o1"]]
    assert sorted(held(store)) == [
        ("duplicate_mirror", "order:asia:a1"),
        ("reference_unconfirmed", "order:office:o3"),
    ]


def test_where_two_orders_name_one_and_only_one_agrees_a_person_decides(store: Store) -> None:
    """The one that agrees may be a buyer's, and the true mirror the one with another total."""
    see(store, build_order("asia", "a1", number="1043"), mirror("o1", "SL-1043"))
    see(store, mirror("o2", "SL-1043", charged=500))
    follow(store)
    assert linked(store) == []
    assert held(store) == [
        ("reference_unconfirmed", "order:office:o1"),
        ("reference_unconfirmed", "order:office:o2"),
    ]
    assert all("2 orders of office name it" in one.hold.message for one in store.holds())


def test_a_sale_that_was_split_is_held_as_such(store: Store) -> None:
    whole = build_order("asia", "a1", number="1043", charged=10_000)
    lines = whole.line_items or ()
    one_unit = (lines[0].model_copy(update={"quantity": 1}),)
    parts = [
        mirror(name, "SL-1043", charged=charged).model_copy(update={"line_items": one_unit})
        for name, charged in (("o1", 4_000), ("o2", 6_000))
    ]
    see(store, whole, *parts)
    assert follow(store).made == []
    assert held(store) == [("split_sale", "order:asia:a1")]
    trusted = RULE.model_copy(update={"trusted": True})
    assert follow(store, trusted).made == []
    assert held(store) == [("split_sale", "order:asia:a1")]


def test_a_link_a_person_removed_and_an_edited_reference_are_not_linked_again(store: Store) -> None:
    see(store, build_order("asia", "a1", number="1"), build_order("asia", "a2", number="2"), mirror("o1", "SL-1"))
    made = follow(store).made[0]
    see(store, mirror("o1", "SL-2"))
    follow(store)
    assert "an edited reference never re-links" in store.holds()[0].hold.message
    store.remove_link(made)
    see(store, mirror("o1", "SL-1"))
    assert follow(store).made == []
    assert "a person removed this link" in store.holds()[0].hold.message


def test_a_number_of_two_orders_and_an_order_never_read_are_held(store: Store) -> None:
    see(store, build_order("asia", "a1", number="1"), build_order("asia", "a2", number="1"), mirror("o1", "SL-1"))
    store.park(Parked("asia", "p1", "unknown_word", "odd", None, b"{}", NOON))
    see(store, mirror("o2", "p1"))
    by_id = RULE.model_copy(update={"to_field": "id"})
    assert follow(store, RULE, by_id).made == []
    messages = [one.hold.message for one in store.holds() if one.hold.code == "reference_unconfirmed"]
    assert any("2 orders of asia have that number" in message for message in messages)
    assert any("asia:p1 could not be read" in message for message in messages)


def test_an_older_store_gets_the_same_traits_as_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    orders = [build_order("asia", str(n), number=f"#{n}", references={"k": f" v{n} ", "e": ""}) for n in range(3)]
    with Store.open(f"sqlite:///{path}") as store:
        see(store, *orders)

    def rows(file: Path) -> list[list[tuple[object, ...]]]:
        connection = sqlite3.connect(file)
        found = [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608  # fixed names
            for table in ("order_traits", "order_references")
        ]
        connection.close()
        return found

    new = rows(path)
    assert [len(one) for one in new] == [3, 3]
    old = tmp_path / "of-the-first-version.db"
    engine = create_engine(f"sqlite:///{old}")
    with engine.begin() as first:
        upgrade(first, "0001")
    engine.dispose()
    connection = sqlite3.connect(old)
    connection.execute("ATTACH ? AS newer", (str(path),))
    for table in ("meta", "orders", "order_documents"):
        connection.execute(f"INSERT INTO {table} SELECT * FROM newer.{table}")  # noqa: S608  # fixed names
    connection.commit()
    connection.close()
    Store.open(f"sqlite:///{old}").close()
    assert rows(old) == new


def test_a_changed_order_keeps_no_old_reference(store: Store) -> None:
    see(store, mirror("o1", "SL-1", also={"channel": "web"}))
    assert store.reference_counts("office") == {"r:external_id": 1, "r:channel": 1}
    see(store, mirror("o1", "SL-2"))
    assert store.reference_counts("office") == {"r:external_id": 1}
    assert store.sample_texts("office", "metadata.external_id", 1) == ["SL-2"]
    assert store.traits([OrderRef("office", "o1"), OrderRef("office", "nobody")]).keys() == {
        OrderRef("office", "o1")
    }
