"""The configuration file: what is accepted, and how every mistake is named."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ordersync.config import Config, load_config
from ordersync.connector import ShopSettings
from ordersync.errors import ConfigError
from ordersync.model import Money
from ordersync.settings import parse_duration, parse_moment


class TeaSettings(ShopSettings):
    """Stands in for a connector's settings, so that these tests need no platform."""

    token: str
    base_url: str = "https://tea.example.com"
    strict: bool = True
    overlap: timedelta = timedelta(minutes=2)


class TeaConnector:
    Settings = TeaSettings


@pytest.fixture(autouse=True)
def _one_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> type[TeaConnector]:
        if name != "tea":
            raise ConfigError(f"no connector named {name!r} is installed", next_step="installed are: tea")
        return TeaConnector

    monkeypatch.setattr("ordersync.config.load", load)


SHOPS = """\
shops:
  asia: {connector: tea, token: "${ASIA_TOKEN}"}
  office: {connector: tea, token: t-office}
"""
ENVIRON = {"ASIA_TOKEN": "t-asia-secret"}


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path = folder / "ordersync.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, ENVIRON if environ is None else environ)


def refused(folder: Path, text: str, environ: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environ)
    assert caught.value.exit_code == 2
    assert caught.value.next_step
    return caught.value


def test_a_small_file_gets_safe_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, SHOPS)
    assert config.settings.writes is False
    assert config.store_url == f"sqlite:///{tmp_path / 'ordersync.db'}"
    policy = config.settings.to_policy()
    assert policy.refund.sources == "none"
    assert not policy.refund.counts("asia")
    limits = config.settings.to_limits()
    assert limits.run.value_limit("USD") == 0
    shop = config.settings.shops["asia"]
    assert isinstance(shop, TeaSettings)
    assert shop.token == "t-asia-secret"


def test_every_part_of_the_schema_becomes_typed(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "store: sqlite:////var/lib/ordersync/o.db\n"
        "writes: true\n"
        "read_from: 2026-10-01\n" + SHOPS + "links:\n"
        '  - {from: office, field: metadata.external_id, strip: "SL-", to: asia.number}\n'
        "policy:\n"
        "  cancel: {from: [asia, office], carry_after: 20m}\n"
        '  refund: {from: asia, approve_over: ["200 USD", "250000 KRW"], restock: as_origin}\n'
        "  progress: {from: none}\n"
        "limits:\n"
        '  run: {cancel: 1, refund: 2, refund_value: ["500 USD"]}\n',
    )
    assert config.store_url == "sqlite:////var/lib/ordersync/o.db"
    assert config.settings.writes is True
    assert config.settings.read_from == datetime(2026, 10, 1, tzinfo=UTC)
    rule = config.settings.to_rules()[0]
    assert (rule.source, rule.field, rule.to_shop, rule.to_field) == (
        "office",
        "metadata.external_id",
        "asia",
        "number",
    )
    policy = config.settings.to_policy()
    assert policy.cancel.sources == ("asia", "office")
    assert policy.cancel.carry_after == timedelta(minutes=20)
    assert policy.refund.sources == ("asia",)
    assert policy.refund.approve_over == (
        Money(amount_minor=20000, currency="USD"),
        Money(amount_minor=250000, currency="KRW"),
    )
    limits = config.settings.to_limits()
    assert (limits.run.cancel, limits.run.refund, limits.run.value_limit("USD")) == (1, 2, 50000)
    assert limits.day.cancel == 30


@pytest.mark.parametrize("word", ["no", "NO", "on", "yes", "True", "1", '"true"'])
def test_only_true_and_false_are_booleans(tmp_path: Path, word: str) -> None:
    error = refused(tmp_path, f"writes: {word}\n{SHOPS}")
    assert "ordersync.yaml:1: writes: only true and false are booleans" in error.message


def test_words_that_yaml_reads_as_false_stay_text(tmp_path: Path) -> None:
    config = loaded(tmp_path, "shops:\n  asia: {connector: tea, token: NO, books_only: [no, on, 1e3, 010]}\n")
    shop = config.settings.shops["asia"]
    assert isinstance(shop, TeaSettings)
    assert shop.token == "NO"
    assert shop.books_only == ("no", "on", "1e3", "010")


def test_a_connectors_switch_takes_only_true_and_false(tmp_path: Path) -> None:
    error = refused(tmp_path, "shops:\n  asia: {connector: tea, token: t, strict: no}\n")
    assert "shops.asia.strict: only true and false are booleans" in error.message


def test_a_connectors_span_is_written_like_every_other(tmp_path: Path) -> None:
    shop = loaded(tmp_path, "shops:\n  asia: {connector: tea, token: t, overlap: 5m}\n").settings.shops["asia"]
    assert shop.model_dump()["overlap"] == timedelta(minutes=5)
    error = refused(tmp_path, "shops:\n  asia: {connector: tea, token: t, overlap: often}\n")
    assert "shops.asia.overlap: 'often' is not a duration" in error.message


def test_a_rate_that_is_none_is_refused_before_anything_runs(tmp_path: Path) -> None:
    error = refused(tmp_path, "shops:\n  asia: {connector: tea, token: t, rate: fast}\n")
    assert "shops.asia.rate: rate 'fast' is not a rate" in error.message


@pytest.mark.parametrize(
    "policy, key",
    [
        ('cancel: {from: any, approve_over: ["1 USD"]}', "policy.cancel.approve_over"),
        ("cancel: {from: any, restock: as_origin}", "policy.cancel.restock"),
        ("refund: {from: any, notify_buyer: true}", "policy.refund.notify_buyer"),
    ],
)
def test_a_promise_this_version_cannot_keep_is_refused(tmp_path: Path, policy: str, key: str) -> None:
    assert f"{key}: " in refused(tmp_path, f"{SHOPS}policy:\n  {policy}\n").message


def test_a_restock_policy_is_acted_on(tmp_path: Path) -> None:
    config = loaded(tmp_path, SHOPS + "policy: {refund: {from: any, restock: as_origin}}\n")
    assert config.settings.to_policy().refund.restock == "as_origin"
    assert config.not_acted_on == []


def test_an_unknown_key_names_file_line_key_and_the_known_ones(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOPS + "polcy: {}\n")
    assert "ordersync.yaml:4: polcy: unknown key; known are store, writes" in error.message
    assert error.next_step == "did you mean policy?"


def test_an_unknown_key_inside_a_section_names_that_sections_keys(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOPS + "policy:\n  refund:\n    from: any\n    approve: 3\n")
    assert "ordersync.yaml:7: policy.refund.approve: unknown key; known are from, approve_over" in error.message


def test_an_unknown_key_of_a_shop_names_the_connectors_keys(tmp_path: Path) -> None:
    error = refused(tmp_path, "shops:\n  asia:\n    connector: tea\n    token: t\n    tokn: x\n")
    assert "ordersync.yaml:5: shops.asia.tokn: unknown key; known are connector, rate" in error.message
    assert error.shop == "asia"


def test_a_duplicate_key_names_both_lines(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOPS + "writes: false\nwrites: true\n")
    assert error.code == "duplicate_key"
    assert "ordersync.yaml:5: writes is written twice (first on line 4)" in error.message


def test_a_shop_written_twice_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOPS + "  asia: {connector: tea, token: z}\n")
    assert "shops.asia is written twice" in error.message


def test_an_unset_variable_names_variable_shop_and_line(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOPS, environ={})
    assert error.code == "unset_variable"
    assert error.shop == "asia"
    assert "ordersync.yaml:2: shops.asia.token: the environment variable ASIA_TOKEN is not set" in error.message
    assert ".env" in (error.next_step or "")


def test_an_empty_variable_is_as_wrong_as_an_unset_one(tmp_path: Path) -> None:
    assert "is empty" in refused(tmp_path, SHOPS, environ={"ASIA_TOKEN": ""}).message


def test_a_variable_cannot_add_keys(tmp_path: Path) -> None:
    config = loaded(tmp_path, SHOPS, environ={"ASIA_TOKEN": 'x"}\nwrites: true\n#'})
    assert config.settings.writes is False


def test_two_dollar_signs_are_one(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'shops:\n  asia: {connector: tea, token: "a$$b"}\n')
    assert config.settings.shops["asia"].model_dump()["token"] == "a$b"


def test_a_secret_file_is_read_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("from-a-file\n")
    config = loaded(tmp_path, 'shops:\n  asia: {connector: tea, token: "file:key.txt"}\n')
    assert config.settings.shops["asia"].model_dump()["token"] == "from-a-file"
    assert "from-a-file" in config.secrets


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path, 'shops:\n  asia: {connector: tea, token: "file:/nowhere/key"}\n')
    assert "/nowhere/key cannot be read" in error.message


def test_dotenv_fills_variables_and_the_environment_wins(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("ASIA_TOKEN='from $dotenv'\n")
    env.chmod(0o600)
    assert loaded(tmp_path, SHOPS, environ={}).settings.shops["asia"].model_dump()["token"] == "from $dotenv"
    assert loaded(tmp_path, SHOPS).settings.shops["asia"].model_dump()["token"] == "t-asia-secret"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_dotenv_others_may_read_is_refused(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("ASIA_TOKEN=x\n")
    env.chmod(0o644)
    error = refused(tmp_path, SHOPS, environ={})
    assert error.code == "open_env_file"
    assert error.next_step == f"chmod 600 {env}"


def test_a_broken_dotenv_line_is_named_without_its_text(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("# keys\nASIA_TOKEN\n")
    env.chmod(0o600)
    error = refused(tmp_path, SHOPS, environ={})
    assert f"{env}:2: not a NAME=value line" in error.message
    assert "ASIA_TOKEN" not in error.message


def test_broken_yaml_names_the_line_and_quotes_nothing(tmp_path: Path) -> None:
    error = refused(tmp_path, 'shops:\n  asia: {connector: tea, token: "sk_live_abc\n')
    assert error.code == "broken_yaml"
    assert "ordersync.yaml:" in error.message
    assert "sk_live_abc" not in error.message


def test_a_tag_is_not_executed(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOPS + "store: !!python/object/apply:os.getcwd []\n")
    assert error.code == "broken_yaml"


def test_an_anchor_that_contains_itself_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "shops: &a {asia: *a}\n").code == "broken_yaml"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        SHOPS + "writes: maybe\nlimits: {run: {refund_value: [500]}}\nlinks: [{from: x, field: y, to: z}]\n",
    )
    assert error.message.startswith("3 mistakes") or "mistakes" in error.message
    assert "writes: only true" in error.message
    assert "limits.run.refund_value.0" in error.message


def test_a_rule_or_policy_for_an_unknown_shop_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOPS + "policy: {refund: {from: [web]}}\n")
    assert "policy.refund.from: there is no shop 'web'; shops are asia, office" in error.message
    error = refused(tmp_path, SHOPS + "links: [{from: web, field: number, to: asia.number}]\n")
    assert "links.0.from: there is no shop 'web'" in error.message


def test_no_message_holds_a_secret(tmp_path: Path) -> None:
    for text in (
        "shops:\n  asia: {connector: tea, token: [t-very-secret]}\n",
        SHOPS + "read_from: '${ASIA_TOKEN}'\n",
    ):
        error = refused(tmp_path, text)
        for secret in ("t-very-secret", "t-asia-secret"):
            assert secret not in str(error)
            assert secret not in (error.next_step or "")


def test_what_is_not_acted_on_yet_is_listed(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        SHOPS + "schedule: {sync: every 5m}\nalerts: {command: [page-me]}\nprivacy: {raw_payloads: 30d}\n",
    )
    assert config.not_acted_on == ["schedule", "alerts", "privacy.raw_payloads"]
    assert loaded(tmp_path, SHOPS).not_acted_on == []


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "just text\n"])
def test_a_file_without_settings_is_refused(tmp_path: Path, text: str) -> None:
    assert "holds no settings" in refused(tmp_path, text).message


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration file") as caught:
        load_config(tmp_path / "none.yaml", {})
    assert "ordersync init" in (caught.value.next_step or "")


def test_the_configuration_is_found_by_environment(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.yaml"
    path.write_text(SHOPS)
    assert load_config(None, {**ENVIRON, "ORDERSYNC_CONFIG": str(path)}).path == path


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "ordersync.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SHOPS.encode())
    assert "asia" in load_config(path, ENVIRON).settings.shops


@pytest.mark.parametrize("name", ["Asia", "a:b", "any", "none", "", "-x"])
def test_a_shop_name_that_cannot_be_typed_as_a_ref_is_refused(tmp_path: Path, name: str) -> None:
    assert (
        "a shop's name is" in refused(tmp_path, f'shops:\n  "{name}": {{connector: tea, token: tttt}}\n').message
    )


def test_an_unknown_write_in_allow_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, "shops:\n  asia: {connector: tea, token: tttt, allow: [cancle]}\n")
    assert "shops.asia.allow: 'cancle' is not a write; known are cancel, refund" in error.message


@pytest.mark.parametrize(
    "text, expected",
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("48h", timedelta(hours=48)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["5", "m", "-5m", "5 minutes", "1.5h", ""])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_times_need_an_offset() -> None:
    assert parse_moment("2026-10-01T09:00:00+09:00") == datetime(2026, 10, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="has no offset"):
        parse_moment("2026-10-01T09:00:00")
    with pytest.raises(ValueError, match="is not a date"):
        parse_moment("soon")


def test_where_takes_texts_numbers_and_booleans_as_they_are_stored(tmp_path: Path) -> None:
    links = (
        "links:\n  - {from: office, field: number, to: asia.number, where: {metadata.live: true, metadata.v: 2}}\n"
    )
    rule = loaded(tmp_path, SHOPS + links).settings.to_rules()[0]
    assert rule.where == {"metadata.live": "true", "metadata.v": "2"}


@pytest.mark.parametrize(
    "where, said",
    [
        ("{source: x}", "links.0.where.source: write it as metadata.KEY"),
        ("{metadata.source: ''}", "links.0.where.metadata.source: a value is 1 to 200 characters"),
        ("{metadata.source: ' x'}", "without spaces around it"),
        ("{metadata.source: [x]}", "links.0.where.metadata.source"),
        ("[x]", "links.0.where"),
    ],
)
def test_a_where_that_could_never_hold_is_named(tmp_path: Path, where: str, said: str) -> None:
    links = f"links:\n  - {{from: office, field: number, to: asia.number, where: {where}}}\n"
    assert said in refused(tmp_path, SHOPS + links).message


def test_a_mistake_inside_a_shop_is_not_also_an_unknown_shop(tmp_path: Path) -> None:
    broken = SHOPS.replace("{connector: tea, token:", "{connector: tea, tokn: x, token:", 1)
    error = refused(tmp_path, broken + "policy: {refund: {from: [asia]}}\n")
    assert "tokn: unknown key" in error.message
    assert "there is no shop" not in error.message


def test_a_folder_is_no_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    assert "cannot be read" in caught.value.message
    assert "--config F" in str(caught.value.next_step)
