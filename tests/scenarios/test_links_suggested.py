"""Suggestions from a real store: found, shown, adopted in bulk, checked again at adoption; the rest is held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ordersync.engine.propose import RuleProposal, propose
from ordersync.engine.suggest import Suggestions, adopt, chosen, hold_them, suggest
from ordersync.errors import UsageError
from ordersync.model import Buyer, LinkOrigin, Order, OrderRef
from ordersync.reconcile.rules import LinkRule
from ordersync.store import LinksRefused, Observation, Store
from ordersync.testing.orders import NOON, build_order

SHOPS = ("asia", "office", "web")
KIM = "Kim@Example.com"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'suggest.db'}") as opened:
        yield opened


def sale(
    shop: str,
    order_id: str,
    *,
    email: str | None = KIM,
    minutes: int = 0,
    charged: int = 10_000,
    sku: str = "TEE-M",
    currency: str = "USD",
    number: str | None = None,
    references: dict[str, str] | None = None,
) -> Order:
    order = build_order(
        shop, order_id, charged=charged, sku=sku, currency=currency, number=number, references=references
    )
    return order.model_copy(
        update={
            "placed_at": NOON + timedelta(minutes=minutes),
            "buyer": None if email is None else Buyer(email=email, phone=None),
        }
    )


def see(store: Store, *orders: Order) -> None:
    store.save_observations([Observation(order=order, raw=b"{}", sent_at=NOON) for order in orders])


def pairs(found: Suggestions) -> list[tuple[list[str], int]]:
    return [([str(ref) for ref in one.members], one.points) for one in found.pairs]


def test_a_pair_is_suggested_with_its_evidence(store: Store) -> None:
    see(
        store,
        sale("asia", "a1"),
        sale("office", "o1", email=" kim@example.COM ", minutes=3),
        sale("web", "w1", email="x@y.z"),
    )
    found = suggest(store, SHOPS)
    assert pairs(found) == [(["asia:a1", "office:o1"], 100)]
    assert found.pairs[0].evidence == ("same e-mail", "same items", "3 min apart")
    assert found.orders == 3
    assert store.links() == [], "suggesting links nothing"


def test_three_shops_become_one_suggestion_of_the_weakest_score(store: Store) -> None:
    see(store, sale("asia", "a1"), sale("office", "o1", minutes=2), sale("web", "w1", minutes=40))
    assert pairs(suggest(store, SHOPS)) == [(["asia:a1", "office:o1", "web:w1"], 97)]


def test_an_order_joins_the_link_its_sale_is_in_already(store: Store) -> None:
    see(store, sale("asia", "a1"), sale("office", "o1"), sale("web", "w1"))
    store.add_link([OrderRef("asia", "a1"), OrderRef("office", "o1")], LinkOrigin.HAND, None, NOON)
    found = suggest(store, SHOPS)
    assert [one.joins for one in found.pairs] == [1]
    adopt(store, found.pairs, NOON)
    assert [str(ref) for link in store.links() for ref in link.members] == ["asia:a1", "office:o1", "web:w1"]
    assert suggest(store, SHOPS).pairs == []


def test_two_equal_sales_are_ambiguous_and_never_adopted(store: Store) -> None:
    see(
        store,
        sale("asia", "a1"),
        sale("asia", "a2", minutes=1),
        sale("office", "o1"),
        sale("office", "o2", minutes=1),
    )
    found = suggest(store, SHOPS)
    assert found.pairs == []
    assert [[str(ref) for ref in one.members] for one in found.ambiguous] == [
        ["asia:a1", "asia:a2", "office:o1", "office:o2"]
    ]
    assert chosen(found, (), 50) == []


def test_a_sale_whose_orders_disagree_in_a_third_shop_is_ambiguous(store: Store) -> None:
    """a1 is o1 and o1 is w1, but a person said that a1 is not w1: nothing joins the three."""
    see(store, sale("asia", "a1"), sale("office", "o1"), sale("web", "w1"))
    store.remove_link(
        store.add_link([OrderRef("asia", "a1"), OrderRef("web", "w1")], LinkOrigin.HAND, None, NOON).link_id
    )
    found = suggest(store, SHOPS)
    assert found.pairs == []
    assert len(found.ambiguous) == 1


def test_a_pair_a_person_took_apart_is_not_suggested_again(store: Store) -> None:
    see(store, sale("asia", "a1"), sale("office", "o1"))
    made = adopt(store, suggest(store, SHOPS).pairs, NOON)
    store.remove_link(made[0].link_id)
    found = suggest(store, SHOPS)
    assert (found.pairs, found.ambiguous) == ([], [])


def test_duplicates_and_splits_are_held_with_their_own_codes_and_close_themselves(store: Store) -> None:
    see(store, sale("asia", "a1"), sale("office", "o1"), sale("office", "o2", minutes=2))
    whole = sale("asia", "a5", email="lee@example.com", charged=10_000)
    lines = whole.line_items or ()
    half = (lines[0].model_copy(update={"quantity": 1}),)
    parts = [
        sale("office", name, email="lee@example.com", charged=charged).model_copy(update={"line_items": half})
        for name, charged in (("o5", 4_000), ("o6", 6_000))
    ]
    see(store, whole, *parts)
    found = suggest(store, SHOPS)
    assert found.pairs == []
    assert len(hold_them(store, found, NOON)) == 2
    assert sorted((one.hold.code, one.hold.subject) for one in store.holds()) == [
        ("duplicate_mirror", "order:asia:a1"),
        ("split_sale", "order:asia:a5"),
    ]
    assert hold_them(store, suggest(store, SHOPS), NOON) == [], "no new hold for what is known"
    store.add_link([OrderRef("asia", "a5"), OrderRef("office", "o5")], LinkOrigin.HAND, None, NOON)
    hold_them(store, suggest(store, SHOPS), NOON)
    assert [one.hold.code for one in store.holds()] == ["duplicate_mirror"]


def test_no_hold_or_suggestion_shows_the_buyer(store: Store) -> None:
    see(store, sale("asia", "a1"), sale("office", "o1"), sale("office", "o2", minutes=2))
    found = suggest(store, SHOPS)
    assert found.holds
    for hold in found.holds:
        assert "example" not in hold.model_dump_json().lower()


def test_suggestions_are_adopted_by_number_or_score(store: Store) -> None:
    see(store, sale("asia", "a1"), sale("office", "o1"))
    see(store, sale("asia", "a2", email=None, sku="MUG"), sale("office", "o2", email=None, sku="MUG"))
    found = suggest(store, SHOPS)
    assert [one.points for one in found.pairs] == [100, 55]
    assert chosen(found, (), 90) == found.pairs[:1]
    assert chosen(found, [found.pairs[1].number.upper()], None) == found.pairs[1:]
    assert [one.number for one in suggest(store, SHOPS).pairs] == [one.number for one in found.pairs]
    made = adopt(store, found.pairs, NOON)
    assert [(link.origin, link.rule) for link in made] == [
        (LinkOrigin.SUGGESTION, "score 100"),
        (LinkOrigin.SUGGESTION, "score 55"),
    ]
    with pytest.raises(UsageError) as gone:
        chosen(suggest(store, SHOPS), [found.pairs[0].number], None)
    assert gone.value.code == "unknown_suggestion"


@pytest.mark.parametrize("points", [0, 49, 101])
def test_a_score_that_means_nothing_is_refused(store: Store, points: int) -> None:
    with pytest.raises(UsageError, match="a score is 50 to 100"):
        chosen(Suggestions(), (), points)


def test_adoption_makes_all_links_or_none(store: Store) -> None:
    see(store, sale("asia", "a1"), sale("office", "o1"))
    see(store, sale("asia", "a2", email="lee@example.com"), sale("office", "o2", email="lee@example.com"))
    accepted = suggest(store, SHOPS).pairs
    assert len(accepted) == 2
    other = store.add_link([OrderRef("office", "o2"), OrderRef("web", "w9")], LinkOrigin.HAND, None, NOON)
    # o2 is in a link with an order of another shop now: what was looked at is no longer what would be made.
    with pytest.raises(LinksRefused) as refused:
        adopt(store, accepted, NOON)
    assert refused.value.code == "already_linked"
    assert store.links() == [other]


def referring(count: int, *, prefix: str = "SL-", wrong: int = 0, unknown: int = 0) -> Iterator[Order]:
    for n in range(count):
        yield sale("asia", f"a{n}", number=str(1000 + n), email=None, charged=1_000 + n)
        named = 999_000 + n if n < unknown else 1000 + n
        charged = 5 if unknown <= n < unknown + wrong else 1_000 + n
        references = {"external_id": f"{prefix}{named}", "loyalty": str(n % 7), "source": "shopline"}
        yield sale("office", f"o{n}", number=f"B{n}", email=None, charged=charged, references=references)


def proposed(store: Store, *rules: LinkRule) -> list[RuleProposal]:
    return propose(store, SHOPS, rules)


def test_a_rule_is_proposed_with_its_prefix_and_its_counts(store: Store) -> None:
    see(store, *referring(40, wrong=3, unknown=5))
    found = proposed(store)
    assert [(one.source, one.field, one.strip, one.to_shop, one.to_field) for one in found] == [
        ("office", "metadata.external_id", "SL-", "asia", "number")
    ]
    assert found[0].counts == "names 35 of 40, 5 none, 0 twice, 3 disagree"
    assert not found[0].configured
    assert found[0].as_yaml().splitlines() == [
        "  # names 35 of 40, 5 none, 0 twice, 3 disagree",
        '  - {from: office, field: "metadata.external_id", strip: "SL-", to: asia.number}',
    ]


@pytest.mark.parametrize("prefix", ["", "#", "SO", "gid://shop/Order/"])
def test_other_prefixes_are_seen_too(store: Store, prefix: str) -> None:
    see(store, *referring(12, prefix=prefix))
    assert [(one.strip, one.accuracy.named) for one in proposed(store)] == [(prefix, 12)]


def test_orders_named_twice_are_counted_as_such(store: Store) -> None:
    see(store, *referring(10))
    see(store, sale("office", "again", charged=1_003, email=None, references={"external_id": "SL-1003"}))
    assert proposed(store)[0].counts == "names 9 of 11, 0 none, 2 twice, 0 disagree"


def test_a_field_that_fits_by_chance_is_not_proposed(store: Store) -> None:
    see(store, *(sale("asia", f"a{n}", number=str(n), charged=1_000 + n) for n in range(20)))
    see(
        store,
        *(
            sale("office", f"o{n}", number=f"x{n}", charged=7_000 + n, references={"points": str(n)})
            for n in range(20)
        ),
    )
    assert proposed(store) == []


def test_equal_numbers_and_ids_are_references_too(store: Store) -> None:
    see(store, *(sale("asia", f"a{n}", number=f"T{n}", charged=1_000 + n) for n in range(5)))
    see(
        store,
        *(sale("web", f"w{n}", number=f"T{n}", charged=1_000 + n, references={"of": f"a{n}"}) for n in range(5)),
    )
    found = {(one.source, one.to_shop): (one.field, one.to_field) for one in proposed(store)}
    assert found[("asia", "web")] == ("number", "number")
    assert found[("web", "asia")] in {("number", "number"), ("metadata.of", "id")}


def test_a_rule_that_is_configured_is_said_to_be(store: Store) -> None:
    see(store, *referring(10))
    rule = LinkRule(source="office", field="metadata.external_id", to_shop="asia", strip="SL-")
    assert [one.configured for one in proposed(store, rule)] == [True]


def test_rules_that_others_make_needless_are_said_to_be(store: Store) -> None:
    see(store, *referring(10))
    see(store, *(sale("web", f"w{n}", number=f"SL-{1000 + n}", charged=1_000 + n, email=None) for n in range(10)))
    needed = {(one.source, one.to_shop): one.needed for one in proposed(store)}
    assert len(needed) > 2
    assert sorted(needed.values()).count(True) == 2, "two rules join three shops"
