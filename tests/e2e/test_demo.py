"""The README's first command, as a person would run it: a real process, real loopback shops."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ORDERSYNC = Path(sys.executable).with_name("ordersync")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With the command on the PATH, as the README puts it there: what is shown must not depend on where it lives."""
    path = f"{ORDERSYNC.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [ORDERSYNC, *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize("seed", ["7", "11"])
def test_the_demo_brings_three_shops_into_agreement_and_proves_it(tmp_path: Path, seed: str) -> None:
    shown = run(tmp_path, "demo", "--seed", seed)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    lines = shown.stdout.splitlines()
    # The way to the executable is as long as its folders are.
    assert max(len(line) for line in lines if not line.startswith(("Look inside:", "Your shops:"))) <= 80
    steps = [line.split()[0] for line in lines if re.match(r"[a-z]+ ", line)]
    assert steps == ["read", "link", "happens", "read", "plan", "apply", "agree", "proof"]
    orders = re.search(r"(\d+) orders", shown.stdout)
    assert orders is not None
    assert int(orders.group(1)) >= 100
    text = " ".join(shown.stdout.split())
    assert "once more, to be sure: 0 changed" in text
    assert "done, not sent again" in text
    assert "1 hold left for a person" in text
    assert "nothing was done twice, nothing is missing" in text


def test_the_demo_leaves_a_folder_to_explore(tmp_path: Path) -> None:
    run(tmp_path, "demo")
    folder = tmp_path / "ordersync-demo"
    held = run(folder, "holds", "show", "H-1")
    assert held.returncode == 0, held.stderr
    assert "ambiguous_refund" in held.stdout
    listed = run(folder, "links", "list", "--json")
    assert len(json.loads(listed.stdout)["links"] if "{" in listed.stdout[:1] else json.loads(listed.stdout)) == 36
    again = run(tmp_path, "demo")
    assert again.returncode == 0, "the folder of an earlier demo is used again"


def test_the_way_to_look_inside_can_be_typed_where_the_command_is_not_on_the_path(tmp_path: Path) -> None:
    bare = {**os.environ, "PATH": os.defpath}
    shown = subprocess.run(
        [ORDERSYNC, "demo"], cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=90, check=False
    )
    assert shown.returncode == 0, shown.stderr
    [(into, look)] = re.findall(r"^Look inside: +(cd \S+)(?: && |\n +)(.+)$", shown.stdout, re.MULTILINE)
    held = subprocess.run(
        ["sh", "-c", f"{into} && {look}"],
        cwd=tmp_path,
        env=bare,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert held.returncode == 0, held.stderr
    assert "ambiguous_refund" in held.stdout


def test_the_demo_touches_no_folder_of_somebody_else(tmp_path: Path) -> None:
    kept = tmp_path / "ordersync-demo" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    refused = run(tmp_path, "demo")
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    assert kept.read_text() == "mine"
    assert list(kept.parent.iterdir()) == [kept]
