"""`links suggest` and `links adopt` as typed: what is shown, what the preview counts, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.e2e.cli_process import Cli

from ordersync.config import load_config
from ordersync.model import Buyer, LineItem, Money, Order, Totals
from ordersync.store import Observation, Store

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
EMAIL = "kim{}@example.com"


def order(
    shop: str, order_id: str, number: str, buyer: int, *, minutes: int = 0, names: str | None = None
) -> Order:
    total = Money(amount_minor=2_000 + buyer, currency="USD")
    return Order(
        shop=shop,
        order_id=order_id,
        number=number,
        placed_at=NOW + timedelta(minutes=minutes),
        currency="USD",
        buyer=Buyer(email=EMAIL.format(buyer)),
        line_items=(LineItem(id="1", sku=f"SKU-{buyer}", quantity=1),),
        totals=Totals(total=total),
        references={} if names is None else {"sl.order": names},
    )


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    config = tmp_path / "ordersync.yaml"
    config.write_text(
        "shops:\n"
        "  asia: {connector: headless, api_key: sk_test_1, base_url: 'http://127.0.0.1:9/v1'}\n"
        "  web: {connector: headless, api_key: sk_test_2, base_url: 'http://127.0.0.1:9/v1'}\n"
    )
    with Store.open(f"sqlite:///{tmp_path / 'ordersync.db'}") as store:
        for n in range(30):
            seen = (
                order("asia", f"a{n}", str(1000 + n), n),
                order("web", f"w{n}", str(n), n, minutes=3 if n < 20 else 90, names=f"SL-{1000 + n}"),
            )
            store.save_observations([Observation(order=one, raw=b"{}", sent_at=NOW) for one in seen])
    return Cli(config, tmp_path, frozenset({"sk_test_1", "sk_test_2", "@example.com"}))


def links(cli: Cli) -> int:
    return len(cli.ok("links", "list", "--json").json["links"])


def test_suggestions_are_listed_best_first_and_nothing_is_linked(cli: Cli) -> None:
    out = cli.ok("links", "suggest", "--limit", "3").out
    assert "asia:1000 = web:0" in out
    assert "and 27 more (--limit)" in out
    assert "same e-mail, same items, 3 min apart" in out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("  - {")), out
    assert links(cli) == 0


def test_the_json_holds_what_the_help_promises(cli: Cli) -> None:
    said = cli.ok("links", "suggest", "--json", "--limit", "2", "--min-score", "100").json
    assert list(said) == [
        *("suggestions", "more", "ambiguous", "holds", "new_holds", "orders", "crowded", "rules"),
    ]
    assert (len(said["suggestions"]), said["more"], said["orders"]) == (2, True, 60)
    assert said["suggestions"][0]["score"] == 100
    assert said["suggestions"][0]["members"] == [
        {"shop": "asia", "order_id": "a0"},
        {"shop": "web", "order_id": "w0"},
    ]
    assert said["rules"] == [
        {
            "from": "web",
            "field": "metadata.sl.order",
            "strip": "SL-",
            "to": "asia.number",
            "orders": 30,
            "named": 30,
            "zero": 0,
            "twice": 0,
            "disagree": 0,
            "configured": False,
            "needed": True,
        }
    ]


def test_the_proposed_rules_can_be_pasted_and_then_link(cli: Cli) -> None:
    lines = cli.ok("links", "suggest").out.splitlines()
    begin = lines.index("links:")
    pasted = [lines[begin], *(line for line in lines[begin + 1 :] if line.startswith("  "))]
    assert "  # names 30 of 30, 0 none, 0 twice, 0 disagree" in pasted
    assert cli.config is not None
    cli.config.write_text(cli.config.read_text() + "\n".join(pasted[:3]) + "\n")
    rule = load_config(cli.config, {}).settings.to_rules()[0]
    assert (rule.source, rule.field, rule.strip, rule.to_shop, rule.to_field) == (
        *("web", "metadata.sl.order", "SL-", "asia", "number"),
    )
    assert "rule in use: web.metadata.sl.order names asia.number: names 30 of 30" in cli.ok("links", "suggest").out
    cli("pull")  # the shops do not answer, the rules are followed all the same
    assert links(cli) == 30
    assert "no pair of orders is suggested" in cli.ok("links", "suggest").out


def test_adoption_shows_counts_first_and_links_only_with_yes(cli: Cli) -> None:
    out = cli.ok("links", "adopt", "--min-score", "98").out
    assert "asia = web  20" in out
    assert "20 links would be made; nothing was" in out
    assert links(cli) == 0
    assert "20 links made" in cli.ok("links", "adopt", "--min-score", "98", "--yes").out
    assert links(cli) == 20
    left = cli.ok("links", "adopt", "--min-score", "50", "--json").json
    assert left == {"adopted": False, "by_score": {"90": 10}, "by_shops": {"asia = web": 10}, "links": []}
    made = cli.ok("links", "list", "--json").json["links"][0]
    assert (made["origin"], made["rule"]) == ("suggestion", "score 100")
    assert "nothing is suggested with that score" in cli.ok("links", "adopt", "--min-score", "99").out


def test_one_suggestion_is_adopted_by_its_number(cli: Cli) -> None:
    first = cli.ok("links", "suggest", "--json").json["suggestions"][0]
    made = cli.ok("links", "adopt", first["suggestion"], "--yes", "--json").json
    assert made["adopted"] is True
    assert [link["members"] for link in made["links"]] == [first["members"]]
    cli("links", "adopt", first["suggestion"], "--yes").failed(2, "not suggested (any more)", "unknown_suggestion")
    assert links(cli) == 1


def test_mistakes_are_named_and_link_nothing(cli: Cli) -> None:
    cli("links", "adopt", "--yes").failed(2, "nothing_chosen")
    cli("links", "adopt", "s-abcdefgh", "--min-score", "90", "--yes").failed(2, "nothing_chosen")
    cli("links", "adopt", "--min-score", "10", "--yes").failed(2, "a score is 50 to 100")
    cli("links", "adopt", "s-abcdefgh", "--yes").failed(2, "nothing was linked")
    cli("links", "suggest", "--shop", "nowhere").failed(2, "there is no shop 'nowhere'")
    cli("links", "suggest", "--shop", "web").failed(2, "orders of two shops")
    assert links(cli) == 0


def test_a_duplicate_is_a_new_hold_once(cli: Cli, tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'ordersync.db'}") as store:
        again = order("web", "w0b", "0b", 0, minutes=4)
        store.save_observation(Observation(order=again, raw=b"{}", sent_at=NOW))
    ended = cli("links", "suggest")
    assert ended.code == 3
    assert "held: duplicate_mirror 1" in ended.out
    assert "New holds: H-1" in ended.out
    cli.ok("links", "suggest")
    shown = cli.ok("holds", "show", "H-1").out
    assert "duplicate_mirror" in shown
    assert "asia:1000" in shown
