"""A links file is one transaction: all of it or nothing, whoever else links in between, every mistake by its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ordersync.engine.linkfile import import_links, read_link_file, refuse_currencies
from ordersync.errors import UsageError
from ordersync.model import LinkOrigin, OrderRef
from ordersync.store import LinksRefused, NewLink, Observation, Store
from ordersync.testing.orders import NOON, build_order

SHOPS = ("asia", "office", "web")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'links.db'}") as opened:
        for shop in SHOPS:
            for number in range(1, 6):
                order = build_order(shop, f"{shop[0]}{number}", number=str(number))
                opened.save_observation(Observation(order=order, raw=b"{}", sent_at=NOON))
        euros = build_order("office", "o9", number="9", currency="EUR")
        opened.save_observation(Observation(order=euros, raw=b"{}", sent_at=NOON))
        yield opened


def test_a_whole_file_is_linked(store: Store) -> None:
    rows = read_link_file(store, "asia,office,web\n1,1,1\n2,,2\n", SHOPS)
    made = import_links(store, rows, NOON)
    assert [link.link_id for link in made] == ["L1", "L2"]
    assert store.links() == made
    assert {link.origin for link in made} == {LinkOrigin.CSV}


@pytest.mark.parametrize(
    "text, code, lines",
    [
        ("asia,office\n1,1\n1,2\n", "ref_in_two_links", ["line 3: asia:a1 stands on line 2 already"]),
        ("asia,office,web\n1,1,\n,1,1\n1,,1\n", "bad_links_file", ["line 4: closes a circle with lines 2, 3"]),
        ("asia,office\n1,9\n", "currencies_differ", ["line 2: asia:a1 is in USD, office:o9 in EUR"]),
        ("asia,office\n1,9\n2,77\n", "bad_links_file", ["line 2: asia:a1", "line 3: no order of office called '77'"]),
    ],
    ids=["a ref in two links", "a circle", "two currencies", "two kinds of mistakes"],
)  # fmt: skip
def test_a_mistake_is_named_by_its_line_and_nothing_is_linked(
    store: Store, text: str, code: str, lines: list[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        read_link_file(store, text, SHOPS)
    assert refused.value.code == code
    for line in lines:
        assert line in refused.value.message
    assert store.links() == []


def test_a_circle_of_four_shops_is_a_circle() -> None:
    shops = ("a", "b", "c", "d")
    with Store.open("sqlite://") as store:
        for shop in shops:
            store.save_observation(Observation(order=build_order(shop), raw=b"{}", sent_at=NOON))
        with pytest.raises(UsageError) as refused:
            read_link_file(store, "a,b,c,d\n1,1,,\n,,1,1\n,1,1,\n1,,,1\n", shops)
        assert "line 4: b:1 stands on line 2 already" in refused.value.message
        assert "line 5: closes a circle with lines 2, 3: a:1, d:1" in refused.value.message


def test_another_process_that_links_in_between_makes_it_nothing_by_line(store: Store, tmp_path: Path) -> None:
    rows = read_link_file(store, "asia,office\n1,1\n2,2\n3,3\n", SHOPS)
    with Store.open(f"sqlite:///{tmp_path / 'links.db'}") as other:
        theirs = other.add_link([OrderRef("asia", "a2"), OrderRef("web", "w2")], LinkOrigin.HAND, None, NOON)
    with pytest.raises(UsageError) as refused:
        import_links(store, rows, NOON)
    assert (refused.value.code, refused.value.exit_code) == ("already_linked", 2)
    assert "line 3: asia:a2 belongs to link L1 already" in refused.value.message
    assert store.links() == [theirs]


def test_orders_of_two_currencies_are_not_joined_by_hand(store: Store) -> None:
    with pytest.raises(UsageError) as refused:
        refuse_currencies(store, [OrderRef("asia", "a1"), OrderRef("office", "o9")])
    assert refused.value.code == "currencies_differ"
    refuse_currencies(store, [OrderRef("asia", "a1"), OrderRef("office", "unknown")])


def test_many_links_are_refused_place_by_place(store: Store) -> None:
    a1, o1, o2, w1 = (
        OrderRef("asia", "a1"),
        OrderRef("office", "o1"),
        OrderRef("office", "o2"),
        OrderRef("web", "w1"),
    )
    kept = store.add_link([a1, o1], LinkOrigin.HAND, None, NOON)
    free = (OrderRef("asia", "a4"), OrderRef("office", "o4"))
    with pytest.raises(LinksRefused) as refused:
        store.add_links(
            [
                NewLink((o1, a1), LinkOrigin.CSV),
                NewLink((a1, w1), LinkOrigin.CSV),
                NewLink((a1, o2), LinkOrigin.RULE, joins=True),
                NewLink(free, LinkOrigin.CSV),
                NewLink((free[0], w1), LinkOrigin.CSV),
                NewLink((w1,), LinkOrigin.CSV),
            ],
            NOON,
        )
    assert {place: why.code for place, why in refused.value.reasons.items()} == {
        0: "link_exists",
        1: "already_linked",
        2: "same_shop_twice",
        4: "ref_in_two_links",
        5: "too_few_members",
    }
    assert store.links() == [kept]
    grown, new = store.add_links(
        [NewLink((a1, w1), LinkOrigin.RULE, joins=True), NewLink(free, LinkOrigin.SUGGESTION, "score 90")], NOON
    )
    assert grown.members == (a1, o1, w1)
    assert [store.link_of(ref) for ref in (w1, free[0])] == [grown, new]
    assert {one.link.link_id for one in store.dirty_links()} == {"L1", "L2"}
