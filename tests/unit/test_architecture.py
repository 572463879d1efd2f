"""Who may import whom: the rule itself; STYLE only explains it. Read from the source with ast, nothing is run."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = frozenset(sys.stdlib_module_names)

MODEL = {"ordersync.model", "ordersync.errors"}
PURE_THIRD_PARTY = {"pydantic", "iso4217", "msgspec", "yaml"}
IMPURE = {
    *(
        "httpx",
        "sqlmodel",
        "sqlalchemy",
        "alembic",
        "structlog",
        "apscheduler",
        "stamina",
        "typer",
        "rich",
        "dotenv",
    ),
    *(
        "os",
        "random",
        "secrets",
        "time",
        "socket",
        "subprocess",
        "threading",
        "pathlib",
        "io",
        "tempfile",
        "shutil",
    ),
}
ENGINE = {
    *("ordersync.model", "ordersync.errors", "ordersync.mapping", "ordersync.reconcile", "ordersync.connector"),
    *("ordersync.http", "ordersync.store", "ordersync.engine"),
}

LAYERS: dict[str, set[str]] = {
    "src/ordersync/errors.py": set(),
    "src/ordersync/model": {"ordersync.model"},
    "src/ordersync/mapping": MODEL | {"ordersync.mapping"},
    "src/ordersync/reconcile": MODEL | {"ordersync.reconcile"},
    "src/ordersync/connector.py": MODEL,
    "src/ordersync/rate.py": MODEL,
    "src/ordersync/wire.py": MODEL,
    "src/ordersync/http.py": MODEL | {"ordersync.__version__", "ordersync.rate", "ordersync.wire"},
    "src/ordersync/store": MODEL | {"ordersync.store"},
    "src/ordersync/engine": ENGINE,
    "src/ordersync/testing": MODEL | {"ordersync.testing", "ordersync.connector", "ordersync.bootstrap"},
    "src/ordersync/cli": ENGINE - {"ordersync.http", "ordersync.reconcile"}
    | {
        "ordersync",
        "ordersync.bootstrap",
        "ordersync.cli",
        "ordersync.config",
        "ordersync.log",
        "ordersync.settings",
    }
    | {"ordersync.secrets_text", "ordersync.yaml_text", "ordersync.testing"},
    "mappings": set(),
}
"""What a part may import of our own packages, by path prefix."""

PURE = ("src/ordersync/model", "src/ordersync/mapping", "src/ordersync/reconcile")
CONNECTOR_OWN = {
    "ordersync.connector",
    "ordersync.http",
    "ordersync.model",
    "ordersync.errors",
    "ordersync_connectors",
}
CONNECTOR_THIRD_PARTY = {"httpx", "pydantic", "msgspec"}


def imports(source: str) -> set[str]:
    """Every module of another package that a source imports; `from a import b` counts as `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, "a relative import stays inside its own package"
            if node.level:
                continue
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def files_of(prefix: str) -> list[Path]:
    path = ROOT / prefix
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def within(module: str, allowed: set[str]) -> bool:
    """A name allows itself and everything below it."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def strangers(source: str, allowed: set[str], packages: tuple[str, ...]) -> set[str]:
    """Modules of `packages` that are imported and not allowed. `from x import y` counts as x when x is allowed."""
    ours = {module for module in imports(source) if module.split(".")[0] in packages}
    bad = {module for module in ours if not within(module, allowed)}
    # `from ordersync import model` also yields `ordersync`, which is not what was asked for.
    return {
        module
        for module in bad
        if not any(name.startswith(f"{module}.") for name in ours if within(name, allowed))
    }


def third_party(source: str) -> set[str]:
    tops = {module.split(".")[0] for module in imports(source)}
    return tops - STDLIB - {"ordersync", "ordersync_connectors", "ordersync_mappings", "__future__", ""}


def calls_now(source: str) -> set[str]:
    """Names of clock calls: datetime.now(), date.today(), time.time()."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            found.add("open")
        elif (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in ("now", "utcnow", "today")
            and isinstance(node.func.value, ast.Name)
        ):
            found.add(f"{node.func.value.id}.{node.func.attr}")
    return found


@pytest.mark.parametrize("prefix", sorted(LAYERS))
def test_a_part_imports_only_the_parts_below_it(prefix: str) -> None:
    files = files_of(prefix)
    assert files, f"{prefix} has no source"
    packages = ("ordersync", "ordersync_connectors", "ordersync_mappings")
    wrong = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in files
        for module in strangers(path.read_text(encoding="utf-8"), LAYERS[prefix], packages)
    }
    assert wrong == set()


@pytest.mark.parametrize("prefix", PURE)
def test_the_pure_parts_have_no_network_database_clock_or_randomness(prefix: str) -> None:
    for path in files_of(prefix):
        source = path.read_text(encoding="utf-8")
        tops = {module.split(".")[0] for module in imports(source)}
        assert tops & IMPURE == set(), path.name
        assert third_party(source) <= PURE_THIRD_PARTY, path.name
        assert calls_now(source) == set(), path.name


def test_a_connector_sees_only_its_contract_httpx_and_the_standard_library() -> None:
    files = [
        path for path in files_of("connectors") if path.name != "__init__.py" or path.parent.name != "connectors"
    ]
    assert files
    for path in files:
        source = path.read_text(encoding="utf-8")
        sandbox = path.name.startswith("sandbox")
        allowed = CONNECTOR_OWN | ({"ordersync.testing", "ordersync.testing.sandbox"} if sandbox else set())
        assert strangers(source, allowed, ("ordersync", "ordersync_mappings")) == set(), path.name
        assert third_party(source) <= CONNECTOR_THIRD_PARTY, path.name
        for module in imports(source):
            if module.startswith("ordersync_connectors."):
                assert module.split(".")[1] == path.parent.name, f"{path.name} looks into another connector"


def test_a_shape_is_pure() -> None:
    files = sorted((ROOT / "connectors").rglob("shape.py"))
    assert len(files) >= 2
    for path in files:
        source = path.read_text(encoding="utf-8")
        assert strangers(source, MODEL, ("ordersync", "ordersync_connectors", "ordersync_mappings")) == set()
        assert third_party(source) == set(), path.name
        assert {module.split(".")[0] for module in imports(source)} & IMPURE == set(), path.name
        assert calls_now(source) == set(), path.name


def test_only_the_demo_and_the_sandbox_command_reach_for_the_sandbox_kit() -> None:
    reaching = {
        path.name
        for path in files_of("src/ordersync/cli")
        if any(module.startswith("ordersync.testing") for module in imports(path.read_text(encoding="utf-8")))
    }
    assert reaching <= {"demo.py", "day.py", "sandbox.py"}


def test_only_bootstrap_joins_the_parts() -> None:
    """Nobody but bootstrap imports a connector or a mapping file's package by name."""
    for path in files_of("src/ordersync"):
        found = {module for module in imports(path.read_text(encoding="utf-8")) if "ordersync_" in module}
        assert found == set() or path.name == "bootstrap.py", path.name


def test_the_reader_of_imports_sees_what_it_must_see() -> None:
    source = (
        "import os\nfrom ordersync.store import Store\nfrom datetime import datetime\ndatetime.now()\nopen('x')\n"
    )
    assert "os" in imports(source)
    assert strangers(source, MODEL, ("ordersync",)) >= {"ordersync.store"}
    assert strangers("from ordersync.model import Order", MODEL, ("ordersync",)) == set()
    assert strangers("from ordersync import store", MODEL, ("ordersync",)) == {"ordersync", "ordersync.store"}
    assert calls_now(source) == {"datetime.now", "open"}
    assert third_party("import httpx\nimport json\nfrom ordersync import model") == {"httpx"}
