"""Run the program in protocol/README.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.tree import TOP

README = (TOP / "protocol" / "README.md").read_text("utf-8")


def program() -> str:
    found = re.search(r"<!-- program -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def test_the_program_signs_reads_and_checks_an_offer(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"[0-9a-f]{64} Réparer un vélo\n", ended.stdout)


def test_the_program_takes_ten_statements() -> None:
    import ast

    assert len(ast.parse(program()).body) <= 12  # two imports of time and chance, and ten lines


def test_every_module_is_in_the_table() -> None:
    folder = TOP / "protocol" / "maillon" / "protocol"
    names = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    public = {name for name in names if not name.startswith("_")}
    assert {name for name in public if f"`{name}`" not in README} == set()
