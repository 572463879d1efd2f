"""`ordersync apply`, as a process, on a real Medusa: a refund or cancel happens once, or a person is asked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from tests.e2e.cli_process import EXECUTABLE
from tests.live.back_office import BackOffice
from tests.live.street import PRICE_MINOR, Street, street


@pytest.fixture(scope="module")
def shops(office: BackOffice, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(office, tmp_path_factory.mktemp("street")) as made:
        yield made


def test_a_refund_is_carried_once_and_then_there_is_nothing_to_do(shops: Street) -> None:
    pair = shops.refunded(500)
    assert shops.writes(shops.apply(), pair) == [("refund", "seen")]
    assert shops.amounts(pair) == [500]
    [record] = shops.office.refunds(pair.office)
    assert record["created_by"] == shops.office.opened.key_id
    assert shops.writes(shops.apply_again(), pair) == []
    assert shops.planned(pair) == []
    assert shops.money_calls() == [200]


def test_an_open_order_edit_makes_a_refund_wait(shops: Street) -> None:
    pair = shops.refunded(510)
    shops.office.begin_edit(pair.office)
    ended = shops.apply()
    assert shops.writes(ended, pair) == [("refund", "expired")]
    assert "order_change_open" in shops.holds(pair)
    assert (shops.amounts(pair), shops.money_calls()) == ([], [])
    shops.office.drop_edit(pair.office)
    assert shops.writes(shops.apply(), pair) == [("refund", "seen")]
    assert (shops.amounts(pair), shops.money_calls()) == ([510], [200])
    assert shops.holds(pair) == set()


def test_an_edit_that_opens_as_the_refund_is_sent_leaves_one_refund(shops: Street) -> None:
    """The server answers 400 and has stored the refund."""
    pair = shops.refunded(520)
    shops.door.watch("POST", "/refund$", lambda: shops.office.begin_edit(pair.office))
    ended = shops.apply()
    assert shops.money_calls() == [400]
    assert shops.writes(ended, pair) == [("refund", "seen")]
    assert shops.amounts(pair) == [520]
    assert (shops.notes(pair)[0] or "").endswith(ended.json["writes"][0]["token"])
    for _ in range(2):
        assert shops.writes(shops.apply_again(), pair) == []
    shops.office.drop_edit(pair.office)
    shops.cli.ok("pull", "--sweep")
    assert shops.writes(shops.apply_again(), pair) == []
    assert (shops.amounts(pair), shops.money_calls()) == ([520], [400])
    assert shops.holds(pair) == set()


def test_an_edit_that_opens_as_the_cancel_is_sent_moves_no_money_twice(shops: Street) -> None:
    """SHOPLINE cancels and pays back; at Medusa the refund goes first, and the cancel after it has nothing left."""
    pair = shops.sale()
    shops.asia.cancel(pair.asia)
    shops.read()
    shops.door.watch("POST", "/cancel$", lambda: shops.office.begin_edit(pair.office))
    shops.apply()
    assert shops.money_calls() == [200, 400]
    assert shops.amounts(pair) == [PRICE_MINOR]
    assert shops.office.order(pair.office)["status"] == "pending"
    shops.apply_again()
    shops.office.drop_edit(pair.office)
    shops.date_doubts_back()
    for _ in range(2):
        shops.apply_again()
    assert shops.amounts(pair) == [PRICE_MINOR]
    cancelled = shops.office.order(pair.office)["status"] == "canceled"
    assert cancelled or shops.holds(pair) & {"in_doubt", "tried_before"}


def test_a_cancel_waits_for_an_open_order_edit(shops: Street) -> None:
    pair = shops.sale()
    shops.office.begin_edit(pair.office)
    shops.asia.cancel(pair.asia)
    shops.read()
    shops.apply()
    assert (shops.money_calls(), shops.amounts(pair)) == ([], [])
    assert "order_change_open" in shops.holds(pair)
    shops.office.drop_edit(pair.office)
    shops.apply()
    assert shops.amounts(pair) == [PRICE_MINOR]
    assert shops.office.order(pair.office)["status"] == "canceled"


def test_a_cancel_by_hand_that_answers_400_has_paid_back_once(shops: Street) -> None:
    """Medusa refunds all, then refuses the cancel: a person is told, and nobody sends it again."""
    pair = shops.sale()
    shops.door.watch("POST", "/cancel$", lambda: shops.office.begin_edit(pair.office))
    ended = shops.cli.real("orders", "cancel", f"office:{pair.office}", "--yes", "--json")
    assert (ended.json["write"]["state"], shops.money_calls()) == ("doubt", [400])
    assert shops.amounts(pair) == [PRICE_MINOR]
    shops.date_doubts_back()
    for _ in range(2):
        shops.apply_again()
    assert "in_doubt" in shops.holds(pair)
    assert (shops.amounts(pair), shops.money_calls()) == ([PRICE_MINOR], [400])
    shops.office.drop_edit(pair.office)


def test_two_processes_with_the_same_plan_make_one_refund(shops: Street) -> None:
    pair = shops.refunded(530)
    file = shops.plan_file()
    command = [str(EXECUTABLE), "apply", file, "--json", "--config", str(shops.cli.config)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=shops.folder)
        for _ in range(2)
    ]
    said = [one.communicate(timeout=90) for one in both]
    assert all(one.returncode in (0, 1, 3) for one in both), said
    assert (shops.amounts(pair), shops.money_calls()) == ([530], [200])
    states = [write["state"] for out, _ in said for write in json.loads(out)["writes"]]
    assert states.count("seen") == 1
    assert shops.writes(shops.apply(file), pair) == []
    assert shops.amounts(pair) == [530]


def test_a_line_cut_after_sending_leaves_one_refund(shops: Street) -> None:
    pair = shops.refunded(540)
    shops.door.watch("POST", "/refund$", cut="after")
    assert shops.writes(shops.apply(), pair) == [("refund", "seen")]
    assert shops.writes(shops.apply_again(), pair) == []
    assert (shops.amounts(pair), shops.money_calls()) == ([540], [200])


def test_a_line_cut_before_the_server_is_a_doubt_that_nobody_repeats(shops: Street) -> None:
    pair = shops.refunded(550)
    shops.door.watch("POST", "/refund$", cut="before")
    assert shops.writes(shops.apply(), pair) == [("refund", "doubt")]
    shops.date_doubts_back()
    for _ in range(2):
        assert shops.writes(shops.apply_again(), pair) == []
    assert (shops.amounts(pair), shops.money_calls()) == ([], [None])
    assert "in_doubt" in shops.holds(pair)


def test_a_refund_by_hand_between_plan_and_apply_is_not_repeated(shops: Street) -> None:
    pair = shops.refunded(560)
    file = shops.plan_file()
    assert shops.office.refund(pair.office, 5.6).status == 200
    ended = shops.apply(file)
    assert shops.writes(ended, pair) == []
    assert [one["amount"]["amount_minor"] for one in ended.json["stale"]] == [560]
    shops.read()
    assert shops.writes(shops.apply_again(), pair) == []
    assert shops.planned(pair) == []
    assert (shops.amounts(pair), shops.money_calls()) == ([560], [])
