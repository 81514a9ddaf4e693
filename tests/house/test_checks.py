"""The checks that have programs of their own run with the tests, so that nobody forgets them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.tree import TOP

# The programs beside this interpreter, whatever environment it belongs to.
PROGRAMS = Path(sys.executable).parent


def _run(*command: str, top: Path = TOP, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "100", "PYTHONPATH": path}
    return subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True)


def test_ruff_finds_nothing() -> None:
    ran = _run(str(PROGRAMS / "ruff"), "check", "--output-format", "concise", ".")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_imports_point_downwards_and_cores_do_no_io() -> None:
    ran = _run(str(PROGRAMS / "lint-imports"), "--no-cache")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("protocol/maillon/protocol/ids.py", "import socket", "the cores do no I/O"),
        ("protocol/maillon/protocol/ids.py", "import maillon.ledger", "never upwards"),
        ("node/maillon/node/engine/__init__.py", "import maillon.node.run", "inside node"),
        ("node/maillon/node/events.py", "import libp2p", "only the driver knows libp2p"),
    ],
)
def test_an_import_that_points_the_wrong_way_would_be_refused(
    tmp_path: Path, file: str, line: str, contract: str
) -> None:
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    roots = [tmp_path / name for name in ("protocol", "ledger", "node")]
    for root in roots:
        shutil.copytree(TOP / root.name, root, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / file).open("a") as planted:
        planted.write(f"\n{line}\n")
    path = os.pathsep.join(map(str, roots))
    ran = _run(str(PROGRAMS / "lint-imports"), "--no-cache", top=tmp_path, path=path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    # A contract with exemptions says after the word how many imports it ignored.
    broken = [text for text in ran.stdout.splitlines() if " BROKEN" in text]
    assert any(contract in text for text in broken), ran.stdout


def test_ruff_would_refuse_a_clock_in_a_core(tmp_path: Path) -> None:
    """The rule holds for a file where the rule is meant, judged by our own configuration."""
    planted = tmp_path / "planted.py"
    planted.write_text("import time\n\nSTARTED = time.time()\n")
    ran = _run(str(PROGRAMS / "ruff"), "check", "--config", "pyproject.toml", str(planted))
    assert ran.returncode == 1
    assert "TID251" in ran.stdout
