"""Bad input: a named error with its exit code and a next step, other orders go on, nothing stored is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.aged import dated_back
from tests.e2e.cli_process import Cli, Shops

HEADLESS_ORDER = {
    "id": "ord_1",
    "number": 1,
    "status": "confirmed",
    "payment_status": "paid",
    "fulfillment_status": "unfulfilled",
    "email": "kim@example.com",
    "subtotal": {"amount": 1000, "currency": "USD"},
    "discount_total": {"amount": 0, "currency": "USD"},
    "shipping_total": {"amount": 0, "currency": "USD"},
    "tax_total": {"amount": 0, "currency": "USD"},
    "total": {"amount": 1000, "currency": "USD"},
    "refunded_total": {"amount": 0, "currency": "USD"},
    "lines": [],
    "payments": [],
    "fulfillments": [],
    "refunds": [],
    "metadata": {},
    "created_at": "2026-11-01T10:00:00Z",
}


@pytest.fixture(scope="module")
def cli(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = shops.cli(tmp_path_factory.mktemp("own"))
    cli.ok("pull")
    return cli


def mapped(tmp_path: Path, content: bytes) -> tuple[Cli, str]:
    file = tmp_path / "answer.json"
    file.write_bytes(content)
    return Cli(folder=tmp_path), str(file)


def changed(**fields: object) -> bytes:
    return json.dumps({**HEADLESS_ORDER, **fields}).encode()


def test_map_shows_the_order_and_what_stayed_unmapped(tmp_path: Path) -> None:
    cli, file = mapped(tmp_path, changed(new_thing={"inner": 1}))
    found = cli.ok("map", file, "--json").json
    assert found["order"]["order_status"] == "open"
    assert found["order"]["totals"]["total"] == {"amount_minor": 1000, "currency": "USD"}
    assert found["unmapped"] == ["new_thing.inner"]
    assert "kim@example.com" not in cli.ok("map", file).out
    assert "kim@example.com" in cli.ok("map", file, "--buyer").out


@pytest.mark.parametrize(
    "content, words",
    [
        (changed()[:200], ["not readable as JSON"]),
        (b"", ["is empty"]),
        (b"<html><body>502 Bad Gateway</body></html>", ["not readable as JSON"]),
        (b"\xff\xfe\x00", ["not readable as JSON"]),
        (b"[" * 100_000, ["not readable as JSON"]),
        (b'{"hello": 1}', ["no order of a known platform"]),
        (b"null", ["no order of a known platform"]),
        (b"[1, 2]", ["no order of a known platform"]),
        (changed(status="teleported"), ["status", "teleported"]),
        (changed(created_at=17), ["created_at"]),
        (changed(total={"amount": "ten", "currency": "USD"}), ["total"]),
        (changed(total={"amount": 1000, "currency": "XXQ"}), ["total"]),
    ],
)
def test_a_payload_that_cannot_be_understood_is_named(tmp_path: Path, content: bytes, words: list[str]) -> None:
    cli, file = mapped(tmp_path, content)
    ended = cli("map", file).failed(3, *words)
    assert "kim@example.com" not in ended.err


@pytest.mark.parametrize("page", [b"[]", b'{"orders": [], "count": 0}', b'{"data": [], "has_more": false}'])
def test_an_empty_page_holds_no_orders_and_is_no_error(tmp_path: Path, page: bytes) -> None:
    cli, file = mapped(tmp_path, page)
    assert cli.ok("map", file, "--json").json == []


def test_an_order_without_an_id_is_named(tmp_path: Path) -> None:
    content = json.dumps({key: value for key, value in HEADLESS_ORDER.items() if key != "id"}).encode()
    cli, file = mapped(tmp_path, content)
    cli("map", file).failed(3)
    cli("map", file, "--connector", "headless").failed(3, "id")


def test_in_a_page_the_other_orders_go_on(tmp_path: Path) -> None:
    page = {"data": [HEADLESS_ORDER, {**HEADLESS_ORDER, "id": "ord_2", "status": "teleported"}], "has_more": False}
    cli, file = mapped(tmp_path, json.dumps(page).encode())
    ended = cli("map", file, "--json")
    assert ended.code == 3
    good, bad = ended.json
    assert good["order"]["order_id"] == "ord_1"
    assert bad["error"]["order"] == "ord_2"


def test_an_order_of_five_megabytes_is_read(tmp_path: Path) -> None:
    metadata = {f"key{number}": "x" * 500 for number in range(10_000)}
    cli, file = mapped(tmp_path, changed(metadata=metadata))
    assert cli.ok("map", file, "--json").json["order"]["references"]


def test_a_missing_file_or_unknown_connector_is_named(tmp_path: Path) -> None:
    cli, file = mapped(tmp_path, changed())
    cli("map", str(tmp_path / "none.json")).failed(2, "cannot be read")
    cli("map", str(tmp_path)).failed(2, "cannot be read")
    cli("map", file, "--connector", "shopware").failed(2, "no connector named 'shopware'", "headless")


@pytest.mark.parametrize("kind", ["502_html", "empty_200", "torn_body"])
def test_a_broken_answer_stops_one_shop_and_loses_nothing(shops: Shops, tmp_path: Path, kind: str) -> None:
    cli = shops.cli(tmp_path, only=["asia", "web"])
    cli.ok("pull", "--shop", "web")
    before = cli.ok("orders", "export").out
    shops.fault("web", kind=kind, path="/admin/orders", times=1000)
    try:
        ended = cli("pull").failed(1)
    finally:
        shops.clear_faults("web")
    assert "asia" in ended.out
    after = cli.ok("orders", "export", "--shop", "web").out
    assert after == before
    assert len(cli.ok("orders", "export", "--shop", "asia").out.splitlines()) == 20
    assert "0 changed" in cli.ok("pull", "--shop", "web").out


def test_a_publishable_key_is_refused_for_admin_calls(shops: Shops, tmp_path: Path) -> None:
    public = shops.by_name["web"]["settings"]["publishable_key"]
    cli = shops.cli(tmp_path, only=["web"], shops={"web": {"api_key": public}})
    cli("pull").failed(2, "publishable key", "shops.web.api_key")
    assert cli("check").code == 2


def test_a_wrong_key_is_named_by_shop(shops: Shops, tmp_path: Path) -> None:
    cli = shops.cli(tmp_path, only=["office", "web"], shops={"office": {"token": "sk_wrong0000"}})
    cli.secrets |= {"sk_wrong0000"}
    ended = cli("pull").failed(2, "office answered 401")
    assert "20 new" in ended.out
    held = cli.ok("holds", "list", "--json").json["holds"]
    assert [(one["code"], one["subject"]) for one in held] == [("unauthorized", "shop:office")]
    assert cli("status").code == 3
    failed = [p for p in cli("check", "--json").json["parts"] if p["state"] == "FAIL"]
    assert [p["part"] for p in failed] == ["office"]
    assert failed[0]["fix"]


def test_the_hold_of_a_refused_key_closes_when_the_key_works(shops: Shops, tmp_path: Path) -> None:
    wrong = shops.cli(tmp_path, only=["office"], shops={"office": {"token": "sk_wrong0000"}})
    wrong("pull").failed(2, "office answered 401")
    right = shops.cli(tmp_path, only=["office"])
    right.ok("pull")
    assert right.ok("holds", "list", "--json").json["holds"] == []
    assert right.ok("status").code == 0


def test_a_typed_write_without_a_clear_answer_says_what_to_do(cli: Cli, shops: Shops) -> None:
    shops.fault("asia", kind="cut_before", method="POST", path="refund")
    ended = cli("orders", "refund", "asia:1002", "--amount", "1.00 USD", "--yes")
    assert ended.code == 3
    assert "in doubt: " in ended.out
    assert "next: ordersync orders show asia:1002 --fresh" in ended.out
    assert max(len(line) for line in ended.out.splitlines()) <= 80
    dated_back(cli.database)
    cli("apply")
    assert cli.ok("holds", "list", "--json").json["holds"][-1]["code"] == "in_doubt"
    assert "refund asia:1002: in doubt, not sent again" in cli("status").out
    shops.fault("asia", kind="429", method="POST", path="refund")
    ended = cli("orders", "refund", "asia:1001", "--amount", "1.00 USD", "--yes")
    assert ended.code == 1
    assert "not done: " in ended.out
    assert "next: wait a little, then run the same command again" in ended.out


def test_configuration_mistakes_are_named_by_file_line_and_key(shops: Shops, tmp_path: Path) -> None:
    cli = shops.cli(tmp_path, only=["web"])
    assert cli.config is not None
    good = cli.config.read_text()
    for text, words in (
        (good + "polcy: {}\n", ["polcy: unknown key", "did you mean policy"]),
        (good + "writes: true\n", ["writes is written twice"]),
        (good.replace("writes: true", "writes: yes"), ["writes: only true and false"]),
        (good.replace("rate: 500/s", "rate: fast"), ["rate"]),
        (good.replace("base_url", "base_uri"), ["unknown key", "base_url"]),
        (good + "read_from: '${NOT_THERE}'\n", ["NOT_THERE is not set"]),
        (good + "store2\n", ["not valid YAML"]),
        ("shops: {}\n", ["name at least one shop"]),
    ):
        cli.config.write_text(text)
        cli("status").failed(2, *words)
    cli.config.unlink()
    cli("pull").failed(2, "there is no configuration file", "ordersync init")


def test_an_unset_variable_names_the_variable_and_the_shop(shops: Shops, tmp_path: Path) -> None:
    cli = shops.cli(tmp_path, only=["web"], shops={"web": {"api_key": "${WEB_KEY}"}})
    cli("pull").failed(2, "shops.web.api_key", "WEB_KEY is not set")
    (tmp_path / ".env").write_text(f"WEB_KEY={shops.by_name['web']['settings']['api_key']}\n")
    (tmp_path / ".env").chmod(0o644)
    cli("pull").failed(2, "others on this machine may read it", "chmod 600")
    (tmp_path / ".env").chmod(0o600)
    cli.ok("pull")


def test_a_store_that_cannot_be_made_is_named(shops: Shops, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cli = shops.cli(tmp_path, only=["web"], store="sqlite:///file/own.db")
    cli("pull").failed(2)
    cli("check")
    cli = shops.cli(tmp_path, only=["web"], store="sqlite:////proc/own.db")
    cli("pull").failed(2)
    (tmp_path / "own.db").write_bytes(b"this is no database" * 100)
    cli = shops.cli(tmp_path, only=["web"])
    cli("pull").failed(2)
    assert (tmp_path / "own.db").read_bytes().startswith(b"this is no database")


def test_a_link_file_is_taken_whole_or_not_at_all(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    for link in cli.ok("links", "list", "--json").json["links"]:
        cli.ok("links", "remove", link["link"])
    for text, words in (
        ("asia,office\n2001,6\nnope,7\n", ["line 3", "no order of asia called 'nope'"]),
        ("asia,office\n2001,6\n2001,7\n", ["line 3", "stands on line 2 already"]),
        ("asia,asia\n2001,2002\n", ["line 1"]),
        ("asia,shopify\n2001,1\n", ["line 1", "unknown: shopify"]),
        ("asia;office\n2001;6\n", ["line 1"]),
        ("asia,office\n2001\n", ["line 2", "1 columns where the header has 2"]),
        ("asia,office\n2001,\n", ["line 2", "two shops"]),
        ("", ["is empty"]),
    ):
        file.write_text(text)
        cli("links", "import", str(file)).failed(2, *words)
        assert cli.ok("links", "list", "--json").json["links"] == []
    file.write_bytes(b"asia,office\n2001,\xff\n")
    cli("links", "import", str(file)).failed(2, "is not UTF-8")
    cli("links", "import", str(tmp_path / "none.csv")).failed(2, "cannot be read")
    file.write_bytes(b"\xef\xbb\xbfasia,office,web\r\n2001,6,2001\r\n2002,7,\r\n\r\n")
    assert len(cli.ok("links", "import", str(file), "--json").json["links"]) == 2


@pytest.mark.parametrize("mark, name", [(";", "semicolons"), ("\t", "tabs")])
def test_a_link_file_with_other_separators_is_named(cli: Cli, tmp_path: Path, mark: str, name: str) -> None:
    file = tmp_path / "links.csv"
    file.write_text(f"\ufeffasia{mark}office\n1{mark}2\n")
    cli("links", "import", str(file)).failed(2, f"separated by {name}", "commas")


def test_an_unknown_shop_is_named_by_every_list(cli: Cli) -> None:
    for arguments in (["links", "list"], ["orders", "list"], ["orders", "export"], ["pull"], ["payments", "list"]):
        cli(*arguments, "--shop", "mars").failed(2, "there is no shop 'mars'", "shops are asia", "(unknown_shop)")


def test_orders_are_named_strictly(cli: Cli) -> None:
    cli("orders", "show", "asia").failed(2, "does not name an order")
    cli("orders", "show", "asia:").failed(2, "does not name an order")
    cli("orders", "show", "nowhere:1").failed(2, "there is no shop 'nowhere'", "asia, office, web, depot")
    cli("orders", "show", "asia:987654").failed(2, "no order asia:987654 is in the store")
    cli("orders", "show", "asia:987654", "--fresh").failed(2)
    cli("holds", "show", "H-99").failed(2, "there is no hold")
    cli("pull", "--shop", "nowhere").failed(2, "there is no shop")


def test_money_and_times_are_read_strictly(cli: Cli) -> None:
    for amount, words in (
        ("5", "is not an amount"),
        ("5.001 USD", "more digits"),
        ("5 QQQ", "unknown currency"),
        ("-5 USD", "needs an amount"),
        ("999999 USD", "left to refund"),
        ("5 EUR", "is in USD"),
    ):
        ended = cli("orders", "refund", "web:2001", "--amount", amount, "--yes")
        assert ended.code in (2, 3)
        ended.failed(ended.code, words)
    cli("orders", "cancel", "asia:2001", "--processed-at", "yesterday", "--yes").failed(2, "--processed-at")


def test_money_moves_only_after_a_yes_and_only_with_writes_on(cli: Cli, shops: Shops, tmp_path: Path) -> None:
    posts = [r for r in shops.log("web") if r["method"] == "POST"]
    cli("orders", "refund", "web:2002", "--amount", "1.00 USD").failed(2, "needs a yes", "--yes")
    off = shops.cli(tmp_path, writes=False)
    off("orders", "refund", "web:2002", "--amount", "1.00 USD", "--yes").failed(2, "writes are off")
    off("orders", "complete", "web:2002", "--yes").failed(2, "writes are off")
    off("apply").failed(2, "writes are off")
    assert [r for r in shops.log("web") if r["method"] == "POST"] == posts


def test_a_call_the_platform_lacks_or_allow_forbids_is_refused(shops: Shops, cli: Cli, tmp_path: Path) -> None:
    cli("orders", "archive", "web:2001").failed(2, "web cannot archive")
    cli("payments", "list", "--shop", "web").failed(2, "no payment lists")
    cli("orders", "lookup", "--shop", "asia", "--number", "1", "--email", "a@b.example").failed(
        2, "no guest look-up"
    )
    tied = shops.cli(tmp_path, only=["web"], shops={"web": {"allow": ["cancel"]}})
    tied.ok("pull")
    tied("orders", "complete", "web:2002", "--yes").failed(2, "cannot complete")


def test_a_saved_plan_is_checked_before_it_is_applied(cli: Cli, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    cli.ok("plan", "--out", str(saved))
    assert saved.stat().st_mode & 0o777 == 0o600
    saved.write_text(saved.read_text().replace("made_at", "made_it"))
    cli("apply", str(saved)).failed(2, "was changed after it was saved")
    saved.write_text("{}")
    cli("apply", str(saved)).failed(2, "is not a plan")
    cli("apply", str(tmp_path / "none")).failed(2, "cannot be read")


def test_an_unknown_command_or_option_ends_with_two(cli: Cli) -> None:
    assert cli("daemon").code == 2
    assert cli("pull", "--fast").code == 2
    assert cli("orders").code == 2
