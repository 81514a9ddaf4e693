"""The table of capabilities names what has a test, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_every_line_of_the_table_has_a_test_and_every_test_a_line() -> None:
    table = (TOP / "docs/capabilities.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([A-Z]+-\d+) \|", table, re.MULTILINE)
    files = (TOP / "tests").rglob("test_*.py")
    tests = "\n".join(path.read_text(encoding="utf-8") for path in files)
    shown = re.findall(r'^@pytest\.mark\.capability\("([A-Z]+-\d+)"\)$', tests, re.MULTILINE)
    assert lines and lines == list(dict.fromkeys(lines))
    assert set(lines) == set(shown)
