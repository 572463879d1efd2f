"""docs/holds.md names every reason code the source can give, with just the answers that are offered for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from ordersync.cli import main as _commands  # noqa: F401  # hangs every command on the tree
from ordersync.cli.app import app
from ordersync.model import VERBS, Verb, verbs_of
from ordersync.store.links import RULES_DIGEST

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "ordersync"
DOCUMENT = ROOT / "docs" / "holds.md"
PLACES = {"hold": 0, "Problem": 0, "_open": 1}
"""Calls that name a reason code, and which argument it is. `Hold(code=…)` names it by keyword."""


def words_of(node: ast.expr, scope: ast.AST, module: ast.Module) -> set[str]:
    """Every text an expression can be: a literal, either branch, or what its name was assigned in `scope`.

    A name taken from a call stands for the first texts that function returns.
    """
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return words_of(node.body, scope, module) | words_of(node.orelse, scope, module)
    if isinstance(node, ast.Name):
        return {word for value in assigned(node.id, scope) for word in words_of(value, scope, module)}
    return set()


def assigned(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(scope):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield node.value
            elif (
                isinstance(target, ast.Tuple)
                and isinstance(target.elts[0], ast.Name)
                and target.elts[0].id == name
            ):
                yield node.value.elts[0] if isinstance(node.value, ast.Tuple) else node.value


def returned_first(function: ast.AST) -> set[str]:
    """The first text of every tuple a function returns."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            first = node.value.elts[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found


def constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Texts that have a name of their own: `REFERENCE_UNCONFIRMED = "reference_unconfirmed"`."""
    for node in module.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield from ((t.id, node.value.value) for t in node.targets if isinstance(t, ast.Name))


def codes_of(text: str) -> set[str]:
    """Every reason code one source file can give."""
    module = ast.parse(text)
    found = {value for name, value in constants(module) if name.lower() == value}
    functions = [n for n in ast.walk(module) if isinstance(n, ast.FunctionDef)]
    for function in functions:
        for call in (n for n in ast.walk(function) if isinstance(n, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            place = PLACES.get(name)
            named = [k.value for k in call.keywords if k.arg == "code"] if name == "Hold" else []
            if place is not None and len(call.args) > place:
                named.append(call.args[place])
            for node in named:
                found |= words_of(node, function, module)
        if function.name in ("ill_dated", "too_late"):
            found |= returned_first(function)
    return {word for word in found if re.fullmatch(r"[a-z]+(_[a-z]+)*", word)}


def codes_in_source() -> set[str]:
    files = [path for part in ("reconcile", "engine", "store", "cli") for path in (SOURCE / part).rglob("*.py")]
    found = {code for path in files for code in codes_of(path.read_text(encoding="utf-8"))}
    return found - {RULES_DIGEST}


def documented() -> dict[str, set[str]]:
    """Code -> verbs, from the rows of the document's tables."""
    rows = re.findall(r"^\| `([a-z_]+)` \|.*\| ([a-z, ]+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len({code for code, _ in rows}), "a code stands there twice"
    return {code: set(verbs.split(", ")) for code, verbs in rows}


def test_the_reader_of_codes_sees_every_form() -> None:
    text = (
        "NAMED_ABOVE = 'named_above'\nOTHER = 'text'\n"
        "def ill_dated(self):\n    return 'old', 'said'\n"
        "def one(case):\n    case.hold('plain', 'm')\n    case.hold('yes' if case else 'no', 'm')\n"
        "    code = 'named'\n    code, said = 'paired', 'x'\n    case.hold(code, said)\n"
        "    Hold(code='made')\n    Problem('problem', 'm')\n    self._open(action, 'opened', 'm')\n"
    )
    assert codes_of(text) == {
        "old",
        "plain",
        "yes",
        "no",
        "named",
        "paired",
        "made",
        "problem",
        "opened",
        "named_above",
    }


def test_every_reason_code_is_documented_and_no_other() -> None:
    found = codes_in_source()
    assert len(found) > 25
    assert found == set(documented())


def test_the_document_offers_the_answers_the_command_takes() -> None:
    assert documented() == {code: {str(verb) for verb in verbs_of(code)} for code in documented()}


def test_no_verb_is_offered_for_a_code_that_does_not_exist() -> None:
    assert set(VERBS) <= codes_in_source()


def test_the_document_explains_every_verb() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for verb in Verb:
        assert f"holds resolve H-31 {verb}" in text, verb


def commands(group: typer.Typer, prefix: str = "") -> Iterator[str]:
    yield from (f"{prefix}{one.name}" for one in group.registered_commands)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from commands(inner.typer_instance, f"{inner.typer_instance.info.name} ")


def named_commands(text: str) -> set[str]:
    """`orders show` of "ordersync orders show asia:1"; the text may hold placeholders."""
    known = set(commands(app))
    groups = {name.split()[0] for name in known if " " in name}
    found = set()
    for first, second in re.findall(r"(?:^|: |\n)ordersync ([a-z]+)(?: ([a-z]+))?", text):
        found.add(f"{first} {second}" if first in groups else first)
    return found


def texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in inner.values)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


STEPS = ("next_steps", "next_step")


def steps_of(path: Path) -> Iterator[str]:
    """Every text a hold or an error may name as the next step, those of the functions that build them too."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(module):
        if isinstance(node, ast.keyword) and node.arg in STEPS:
            yield from texts(node.value)
        if isinstance(node, ast.FunctionDef) and node.name.endswith("_steps"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return | ast.Assign) and inner.value is not None:
                    yield from texts(inner.value)


@pytest.mark.parametrize("part", ["reconcile", "engine", "store", "cli"])
def test_every_next_step_names_a_command_that_exists(part: str) -> None:
    known = set(commands(app))
    named = {
        (path.name, command)
        for path in (SOURCE / part).glob("*.py")
        for step in steps_of(path)
        for command in named_commands(step)
    }
    assert named
    assert {one for one in named if one[1] not in known} == set()
