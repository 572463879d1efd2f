"""The database file: made, migrated, refused, its modes, and every way of not being usable."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, text

from ordersync.errors import StoreError
from ordersync.model import LinkOrigin, OrderRef
from ordersync.store import Store
from ordersync.store.migrations import CURRENT
from ordersync.store.migrations.upgrade import script, upgrade
from ordersync.store.tables import LINKS, METADATA

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def schema_of(path: Path) -> dict[str, list[tuple[object, ...]] | str]:
    """Every table's columns, and every index and trigger as written, without the version table."""
    found: dict[str, list[tuple[object, ...]] | str] = {}
    with sqlite3.connect(path) as connection:
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name"):
            if name.startswith(("sqlite_", "alembic_")):
                continue
            if kind != "table":
                found[f"{kind} {name}"] = sql
                continue
            found[f"table {name}"] = connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
            keys = connection.execute(f"PRAGMA index_list({name})").fetchall()
            found[f"keys {name}"] = sorted(key[1:] for key in keys)
            found[f"clauses {name}"] = " ".join(w for w in ("AUTOINCREMENT", "WITHOUT ROWID") if w in sql)
    connection.close()
    return found


def test_all_migrations_give_the_schema_a_fresh_store_has(tmp_path: Path) -> None:
    Store.open(url(tmp_path / "fresh.db")).close()
    engine = create_engine(url(tmp_path / "migrated.db"))
    with engine.begin() as connection:
        upgrade(connection, CURRENT)
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == CURRENT
    engine.dispose()
    fresh = schema_of(tmp_path / "fresh.db")
    assert fresh == schema_of(tmp_path / "migrated.db")
    assert {name.removeprefix("table ") for name in fresh if name.startswith("table ")} == set(METADATA.tables)


def test_the_newest_migration_is_the_current_schema_and_none_goes_back() -> None:
    scripts = script()
    assert scripts.get_heads() == [CURRENT]
    for revision in scripts.walk_revisions():
        assert revision.revision.isdigit()
        assert not hasattr(revision.module, "downgrade")


def test_an_older_store_is_migrated_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of schema 0000 stands for any older one: opening it runs the missing migrations, in one transaction."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('0000')")
        connection.execute("CREATE TABLE meta (key VARCHAR NOT NULL PRIMARY KEY, value VARCHAR NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('birth_at', '2026-01-01T00:00:00.000000Z')")
    connection.close()
    asked: list[str] = []
    monkeypatch.setattr(
        "ordersync.store.migrations.upgrade.upgrade", lambda connection, target: asked.append(target)
    )
    Store.open(url(path)).close()
    assert asked == [CURRENT]


def test_reading_a_current_store_does_not_import_alembic(tmp_path: Path) -> None:
    Store.open(url(tmp_path / "s.db")).close()
    code = (
        "import sys; from ordersync.store import Store; "
        f"Store.open({url(tmp_path / 's.db')!r}, create=False).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_a_store_of_a_newer_version_says_so_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(url(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError) as newer:
        Store.open(url(path))
    assert newer.value.code == "store_newer"
    assert "newer ordersync" in newer.value.message
    assert newer.value.next_step
    assert path.read_bytes() == before


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(url(path)) as store:
        store.add_link([OrderRef("a", "1"), OrderRef("b", "2")], LinkOrigin.HAND, None, NOW)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"s.db": 0o600, "s.db-wal": 0o600, "s.db-shm": 0o600}


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(url(path)).close()
    path.chmod(0o644)
    Store.open(url(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_writes_reach_the_disk_before_they_return_and_readers_do_not_wait(tmp_path: Path) -> None:
    with Store.open(url(tmp_path / "s.db")) as store, store.db.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 10_000


def test_the_birth_of_a_store_is_kept(tmp_path: Path) -> None:
    with Store.open(url(tmp_path / "s.db"), now=NOW) as store:
        assert store.birth_at == NOW
    with Store.open(url(tmp_path / "s.db")) as again:
        assert again.birth_at == NOW


@pytest.mark.parametrize(
    "make, code",
    [
        (lambda folder: f"sqlite:///{folder}/missing/s.db", "store_unusable"),
        (lambda folder: f"sqlite:///{folder}", "store_unusable"),
        (lambda folder: "postgresql://localhost/orders", "store_url"),
        (lambda folder: "ordersync.db", "store_url"),
    ],
    ids=["missing folder", "a folder", "another database", "no URL"],
)
def test_a_place_that_cannot_hold_a_store_is_named_with_a_next_step(
    tmp_path: Path, make: type[str], code: str
) -> None:
    with pytest.raises(StoreError) as refused:
        Store.open(make(tmp_path))
    assert refused.value.code == code
    assert refused.value.next_step


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 500)
    with pytest.raises(StoreError, match="is not a database") as refused:
        Store.open(url(path))
    assert refused.value.next_step
    assert path.read_text() == "Dear diary, " * 500


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    connection.close()
    with pytest.raises(StoreError) as refused:
        Store.open(url(path))
    assert refused.value.code == "store_foreign"


def test_without_create_a_missing_store_is_an_error_and_stays_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as missing:
        Store.open(url(tmp_path / "s.db"), create=False)
    assert missing.value.code == "store_missing"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_store_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(url(path)) as store:
        store.add_link([OrderRef("a", "1"), OrderRef("b", "2")], LinkOrigin.HAND, None, NOW)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError) as damaged, Store.open(url(path)) as store:
        store.links()
    assert damaged.value.code == "store_damaged"


_AS_NOBODY = """
import os, sys
from ordersync.errors import StoreError
from ordersync.store import Store
os.setgid(65534); os.setuid(65534)
try:
    Store.open(sys.argv[1])
except StoreError as refused:
    print(refused.code, "|", refused.next_step)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="as root, to become a user without rights in the child process")
@pytest.mark.parametrize("existing", [False, True], ids=["new store", "existing store"])
def test_a_read_only_folder_is_a_named_error_as_root(tmp_path: Path, existing: bool) -> None:
    _check_read_only(tmp_path, existing=existing, program=_AS_NOBODY)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; the other test covers it")
@pytest.mark.parametrize("existing", [False, True], ids=["new store", "existing store"])
def test_a_read_only_folder_is_a_named_error(tmp_path: Path, existing: bool) -> None:
    program = _AS_NOBODY.replace("os.setgid(65534); os.setuid(65534)", "")
    _check_read_only(tmp_path, existing=existing, program=program)


def _check_read_only(tmp_path: Path, *, existing: bool, program: str) -> None:
    folder = tmp_path / "readonly"
    folder.mkdir()
    if existing:
        Store.open(url(folder / "s.db")).close()
        (folder / "s.db").chmod(0o444)
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", program, url(folder / "s.db")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    folder.chmod(0o755)
    assert done.stdout.startswith("store_readonly | let this user write the file and its folder")


def test_a_store_locked_by_another_process_is_a_named_error_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    members = [OrderRef("a", "1"), OrderRef("b", "2")]
    with Store.open(url(path), busy_timeout_s=0.1) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as locked:
            store.add_link(members, LinkOrigin.HAND, None, NOW)
        assert locked.value.code == "store_locked"
        assert store.links() == []
        other.execute("COMMIT")
        other.close()
        assert store.add_link(members, LinkOrigin.HAND, None, NOW).link_id == "L1"


def test_a_writer_waits_for_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(url(path)) as store:
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
        began = time.monotonic()
        store.add_link([OrderRef("a", "1"), OrderRef("b", "2")], LinkOrigin.HAND, None, NOW)
        assert time.monotonic() - began > 0.2
        other.close()


def test_several_may_make_the_same_store_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(6)
    births: list[datetime] = []

    def make(number: int) -> None:
        together.wait(timeout=10)
        with Store.open(url(tmp_path / "s.db")) as store:
            store.add_link([OrderRef("a", str(number)), OrderRef("b", str(number))], LinkOrigin.HAND, None, NOW)
            births.append(store.birth_at)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(births) == 6
    assert len(set(births)) == 1
    with Store.open(url(tmp_path / "s.db")) as store:
        assert len(store.links()) == 6


def test_a_transaction_that_fails_halfway_stores_nothing(tmp_path: Path) -> None:
    with Store.open(url(tmp_path / "s.db")) as store:
        row = {"members": "[]", "origin": "hand", "made_at": NOW, "version": 1, "clean_version": 0}
        with pytest.raises(ZeroDivisionError), store.db.write() as connection:
            assert connection.execute(insert(LINKS), [row]).rowcount / 0
        assert store.links() == []


def test_an_error_of_the_database_never_shows_the_values(tmp_path: Path) -> None:
    row = {"members": "Ada Lovelace", "origin": "hand", "made_at": NOW, "version": 1, "clean_version": 0}
    with Store.open(url(tmp_path / "s.db")) as store:
        with pytest.raises(StoreError) as failed, store.db.write() as connection:
            connection.execute(insert(LINKS), [{**row, "number": 1}, {**row, "number": 1}])
        shown = f"{failed.value} {failed.value.fields()} {failed.value.__cause__}"
        assert "Lovelace" not in shown
