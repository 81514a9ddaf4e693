"""The checks that have programs of their own run with the tests, so that nobody forgets them."""

import os
import subprocess
import sys
from pathlib import Path

from support.tree import TOP

# The programs beside this interpreter, whatever environment it belongs to.
PROGRAMS = Path(sys.executable).parent


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)


def test_ruff_finds_nothing() -> None:
    ran = _run(str(PROGRAMS / "ruff"), "check", "--output-format", "concise", ".")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_imports_point_downwards_and_cores_do_no_io() -> None:
    ran = _run(str(PROGRAMS / "lint-imports"), "--no-cache")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_ruff_would_refuse_a_clock_in_a_core(tmp_path: Path) -> None:
    """The rule holds for a file where the rule is meant, judged by our own configuration."""
    planted = tmp_path / "planted.py"
    planted.write_text("import time\n\nSTARTED = time.time()\n")
    ran = _run(str(PROGRAMS / "ruff"), "check", "--config", "pyproject.toml", str(planted))
    assert ran.returncode == 1
    assert "TID251" in ran.stdout
