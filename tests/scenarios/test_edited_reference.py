"""An edited reference: the metadata of a linked order is changed and now names another sale.

A link is made once. Editing a text in one shop's admin must not move refunds from one buyer's order to another's, so
nothing is linked anew; the two that name each other are held, and the old link goes on until a person removes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.scenarios.stage import PAIRS, Sale, Stage

from ordersync.reconcile.rules import LinkRule

BOTH_WAYS = [*PAIRS, *((other, one) for one, other in PAIRS)]
KEY = "external_id"


def naming(stage: Stage, shop: str, sale: Sale) -> dict[str, str]:
    found = stage.store.order(sale.orders[shop])
    assert found is not None
    return {KEY: found.order.number or ""}


def _edit_shopline(box: Any, order_id: str, metadata: dict[str, str]) -> None:
    with box.lock:
        attributes = [{"name": name, "value": text} for name, text in metadata.items()]
        box.state.update(order_id, {"note_attributes": attributes})


def _edit_medusa(box: Any, order_id: str, metadata: dict[str, str]) -> None:
    with box.lock:
        box.state.update(order_id, {"metadata": metadata})


def _edit_headless(box: Any, order_id: str, metadata: dict[str, str]) -> None:
    with box.lock:
        box.state.order(order_id)["metadata"] = dict(metadata)


EDIT: dict[str, Callable[[Any, str, dict[str, str]], None]] = {
    "asia": _edit_shopline,
    "office": _edit_medusa,
    "web": _edit_headless,
}


@pytest.mark.parametrize("here, there", BOTH_WAYS)
def test_an_edited_reference_moves_no_link_and_no_money(stage: Stage, here: str, there: str) -> None:
    rule = LinkRule(source=here, field=f"metadata.{KEY}", to_shop=there)
    mine = stage.sale(there, linked=False)
    yours = stage.sale(there, linked=False)
    mirror = stage.sale(here, pays=here, references={here: naming(stage, there, mine)}, linked=False)
    both = " ".join(sorted((here, there)))
    assert stage.follow(rule) == [both]

    EDIT[here](stage.admins[here].box, mirror.orders[here].order_id, naming(stage, there, yours))
    assert stage.follow(rule) == [both]
    assert stage.codes() == ["reference_unconfirmed"]
    assert stage.hold("reference_unconfirmed").message == (
        f"{here} names {there}#2 but they are not linked: {here} is in link L1 already; "
        "an edited reference never re-links"
    )
    assert "an edited reference never re-links" in stage.explain(mirror)
    stage.refund(there, yours, "30.00")
    stage.wait(minutes=11)
    assert stage.sync() == [], "the sale it names now is none of its business"
    stage.refund(there, mine, "20.00")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {here} 20.00 USD TO BUYER"], "the link there is goes on"
    assert stage.refunds(mirror) == {here: ["20.00"]}
    assert stage.to_buyer(mirror) == "20.00"

    EDIT[here](stage.admins[here].box, mirror.orders[here].order_id, naming(stage, there, mine))
    assert stage.follow(rule) == [both]
    assert stage.codes() == [], "edited back, the hold closes"
    assert stage.sync() == []


@pytest.mark.parametrize("here, there", PAIRS)
def test_a_person_who_agrees_with_the_edit_moves_the_link_and_nothing_is_paid_twice(
    stage: Stage, here: str, there: str
) -> None:
    """Unlinked by hand, linked by hand with the sale it names now: our refund of the wrong sale is seen as such."""
    rule = LinkRule(source=here, field=f"metadata.{KEY}", to_shop=there)
    mine = stage.sale(there, linked=False)
    yours = stage.sale(there, linked=False)
    mirror = stage.sale(here, pays=here, references={here: naming(stage, there, mine)}, linked=False)
    stage.follow(rule)
    stage.refund(there, mine, "20.00")
    stage.wait(minutes=11)
    assert stage.sync() == [f"refund {here} 20.00 USD TO BUYER"]

    EDIT[here](stage.admins[here].box, mirror.orders[here].order_id, naming(stage, there, yours))
    stage.unlink(mirror)
    assert stage.follow(rule) == [f"{there}#2 {here}" if there < here else f"{here} {there}#2"], (
        "free again, it is linked with what it names"
    )
    stage.refund(there, yours, "20.00")
    stage.wait(minutes=11)
    assert stage.sync() == []
    assert stage.codes() == ["another_installation"], "it shows our refund of a sale it is no mirror of"
    assert stage.to_buyer(mirror) == "20.00", "twenty were paid for the wrong sale; a person decides what follows"
