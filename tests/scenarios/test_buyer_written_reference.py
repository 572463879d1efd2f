"""A buyer writes a reference: metadata of a cart reaches the admin order, and names somebody else's order.

Given a rule that links an order with the one its metadata names. A reference alone links nothing: totals and goods
must agree too, or refunds of one buyer's sale would be paid out on another buyer's order.
"""

from __future__ import annotations

import pytest
from tests.scenarios.stage import PAIRS, Sale, Stage

from ordersync.reconcile.rules import LinkRule
from ordersync.testing.sales import SaleLine

BOTH_WAYS = [*PAIRS, *((other, one) for one, other in PAIRS)]
CHEAP = (SaleLine("MUG-01", "Mug", 1, 1250),)
OTHER_GOODS = (SaleLine("GIFT-CARD", "Gift Card", 1, 10000),)
KEY = "external_id"


def rule(here: str, there: str, *, trusted: bool = False) -> LinkRule:
    return LinkRule(source=here, field=f"metadata.{KEY}", to_shop=there, strip="SL-", trusted=trusted)


def naming(stage: Stage, shop: str, sale: Sale) -> str:
    """What a reference to the sale's order at this shop looks like."""
    found = stage.store.order(sale.orders[shop])
    assert found is not None
    return f"SL-{found.order.number}"


@pytest.mark.parametrize("here, there", BOTH_WAYS)
@pytest.mark.parametrize(
    "lines, why",
    [
        (CHEAP, "total 12.50 USD and 100.00 USD; skus and quantities differ"),
        (OTHER_GOODS, "skus and quantities differ"),
    ],
    ids=["a mug that names a large order", "the same total, other goods"],
)
def test_an_order_that_only_claims_to_be_the_sale_is_not_linked_and_nothing_is_paid_on_it(
    stage: Stage, here: str, there: str, lines: tuple[SaleLine, ...], why: str
) -> None:
    victim = stage.sale(there, pays=there, linked=False)
    written = {here: {KEY: naming(stage, there, victim)}}
    claim = stage.sale(here, pays=here, lines=lines, references=written, linked=False)

    assert stage.follow(rule(here, there)) == []
    assert stage.codes() == ["reference_unconfirmed"]
    held = stage.hold("reference_unconfirmed")
    assert held.message == f"{here} names {there} but they are not linked: {why}"
    assert "buyers can write metadata: look at both orders first" in held.next_steps
    assert f"held reference_unconfirmed: {here} names {there}" in stage.explain(claim)

    stage.refund(there, victim, "12.50")
    stage.wait(minutes=11)
    assert stage.follow(rule(here, there)) == []
    assert stage.sync() == []
    assert stage.refunds(claim) == {here: []}
    assert stage.to_buyer(claim) == "0.00", "what one buyer gets back is not paid to another"
    assert stage.sent() == []


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_claim_on_a_sale_that_has_its_mirror_leaves_the_link_as_it_is(
    stage: Stage, here: str, there: str
) -> None:
    first = stage.sale(there, pays=there, linked=False)
    written = {here: {KEY: naming(stage, there, first)}}
    mirror = stage.sale(here, references=written, linked=False)
    assert stage.follow(rule(here, there)) == [" ".join(sorted((here, there)))]
    claim = stage.sale(here, pays=here, lines=CHEAP, references=written, linked=False)

    assert stage.follow(rule(here, there)) == [" ".join(sorted((here, there)))]
    assert stage.codes() == ["reference_unconfirmed"]
    assert stage.hold("reference_unconfirmed").message.startswith(
        f"{here}#2 names {there} but they are not linked: {there} is in link L1, which has an order of {here} already"
    )
    stage.refund(there, first, "12.50")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {here} 12.50 USD"]
    assert stage.refunds(mirror) == {here: ["12.50"]}
    assert stage.refunds(claim) == {here: []}
    assert stage.to_buyer(first) == "12.50"
    assert stage.to_buyer(claim) == "0.00"


@pytest.mark.parametrize("here, there", PAIRS)
def test_where_the_claim_came_first_a_person_says_which_is_the_mirror(stage: Stage, here: str, there: str) -> None:
    """Of two orders that name one, the one that agrees is not taken by itself: it may be the buyer's."""
    first = stage.sale(there, pays=there, linked=False)
    written = {here: {KEY: naming(stage, there, first)}}
    claim = stage.sale(here, pays=here, lines=CHEAP, references=written, linked=False)
    stage.follow(rule(here, there))
    mirror = stage.sale(here, references=written, linked=False)

    assert stage.follow(rule(here, there)) == []
    assert stage.codes() == ["reference_unconfirmed", "reference_unconfirmed"]
    stage.refund(there, first, "12.50")
    stage.wait(minutes=11)
    assert stage.sync() == [], "nothing is carried before a person links them"

    stage.link(first.orders[there], mirror.orders[here])
    stage.follow(rule(here, there))
    assert stage.codes() == ["reference_unconfirmed"], "the hold of the true mirror closes, the claim's stays"
    assert stage.sync() == [f"refund {here}#2 12.50 USD"]
    assert stage.refunds(mirror) == {here: ["12.50"]}
    assert stage.refunds(claim) == {here: []}
    assert stage.to_buyer(claim) == "0.00"
