"""The table of capabilities names what has a test, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_every_line_of_the_table_has_a_test_and_every_test_a_line() -> None:
    table = (TOP / "docs/capabilities.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([A-Z]+-\d+) \|", table, re.MULTILINE)
    tests = (TOP / "tests/capabilities/test_capabilities.py").read_text(encoding="utf-8")
    shown = re.findall(r'^@pytest\.mark\.capability\("([A-Z]+-\d+)"\)$', tests, re.MULTILINE)
    assert lines and sorted(lines) == sorted(shown)
