"""docs/decisions.md shows every reason the decision can give; test_docs_match.py compares it with a fresh run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.unit.test_holds_doc import codes_in_source, codes_of
from tools import decisions

RECONCILE = Path(__file__).resolve().parents[2] / "src" / "ordersync" / "reconcile"
BESIDE = {"limits.py", "suggest.py", "choose.py", "rules.py", "references.py", "prefixes.py"}
"""Files that find links or count writes; what they give is no part of a decision."""
PAGE = decisions.DOCUMENT.read_text(encoding="utf-8")
ROWS = [line for line in PAGE.split("## Holds that arise elsewhere")[0].splitlines() if line.startswith("| ")]


def decision_sources() -> Iterator[str]:
    for path in sorted(RECONCILE.glob("*.py")):
        if path.name not in BESIDE:
            yield path.read_text(encoding="utf-8")


def first_texts(call_name: str) -> set[str]:
    """The literal first argument of every call of that name."""
    found: set[str] = set()
    for source in decision_sources():
        for node in ast.walk(ast.parse(source)):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr
            if named == call_name and isinstance(node, ast.Call):
                assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
                found.add(str(node.args[0].value))
    return found


def cannot_reasons() -> set[str]:
    """Reasons beside a CANNOT in the source, and what `_cannot` returns."""
    found: set[str] = set()
    for source in decision_sources():
        found |= set(re.findall(r'CellState\.CANNOT, (?:reason=)?"([a-z_]+)"', source))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name == "_cannot":
                returned = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
                found |= {str(v.value) for v in returned if isinstance(v, ast.Constant) and v.value}
    return found


def shown() -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", "\n".join(row.rsplit(" | ", 1)[1] for row in ROWS)))


def test_every_hold_of_a_decision_stands_in_a_line() -> None:
    codes = {code for source in decision_sources() for code in codes_of(source)}
    assert len(codes) > 25
    assert codes - shown() == set()


def test_every_hold_that_arises_elsewhere_is_named_with_when() -> None:
    codes = {code for source in decision_sources() for code in codes_of(source)}
    assert set(decisions.ELSEWHERE) == codes_in_source() - codes


def test_every_wait_of_a_decision_stands_in_a_line() -> None:
    waits = first_texts("wait")
    assert len(waits) > 7
    assert waits - shown() == set()
    assert waits == set(decisions.WAITING)


def test_every_reason_for_which_a_shop_cannot_take_something_stands_in_a_line() -> None:
    reasons = cannot_reasons()
    assert {"no_refund_call", "no_cancel_call", "cannot_express"} <= reasons
    assert reasons - set(decisions.NOT_REACHED) <= shown()
    assert reasons == set(decisions.UNABLE) | set(decisions.NOT_REACHED)


def test_every_line_differs_and_says_what_happens() -> None:
    situations = [
        (row.split(" | ")[0], row.split(" | ")[1])
        for row in ROWS
        if not row.startswith(("| ---", "| what changed"))
    ]
    assert len(situations) > 150
    assert len(set(situations)) == len(situations)
    assert all(row.rsplit(" | ", 1)[1].strip(" |") for row in ROWS)
