"""docs/audit.md says what the program does."""

from __future__ import annotations

import re
import shlex

from maillon.ledger.tool.books import FORMATS
from maillon.ledger.tool.cli import parser
from maillon.ledger.tool.sqlite import VIEWS
from support.tree import TOP

TEXT = (TOP / "docs" / "audit.md").read_text("utf-8")


def test_every_command_of_the_page_is_understood() -> None:
    commands = re.findall(r"^    python -m maillon\.ledger (.*?)(?:  +#.*)?$", TEXT, re.M)
    assert len(commands) >= 6
    for command in commands:
        parser().parse_args(shlex.split(command))


def test_every_format_option_and_view_is_on_the_page() -> None:
    for form in FORMATS:
        assert f"--format {form}" in TEXT
    for view in VIEWS:
        assert f"`{view}`" in TEXT
    for option in ("--cache", "--json", "--pdf", "--jobs", "--quiet", "--lang", "--names"):
        assert option in TEXT
