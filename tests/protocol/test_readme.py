"""Run the program in protocol/README.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from support.tree import TOP
from support.world import World

README = (TOP / "protocol" / "README.md").read_text("utf-8")


def program(name: str = "program") -> str:
    found = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", README, re.DOTALL)
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


def test_the_program_takes_ten_lines() -> None:
    assert len(program().splitlines()) == 10


def run_checker(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program("checker")],
        input=line,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_checker_accepts_an_exported_record_and_no_changed_one() -> None:
    world = World(coops_count=1, seed="readme", now=int(time.time()))
    signed = world.offer(world.make_member(0, "m"))
    ended = run_checker(json.dumps({"raw": signed.encode().hex()}))
    assert (ended.stdout, ended.stderr) == (f"{signed.id.hex()} offer\n", "")
    data = bytearray(signed.encode())
    # The signature's 64 bytes stand between header and payload.
    place = data.index(signed.signature)
    data[place] ^= 1
    changed = run_checker(json.dumps({"raw": data.hex()}))
    assert changed.returncode != 0 and "BadSignature" in changed.stderr
    assert changed.stdout == ""


def test_every_module_is_in_the_table() -> None:
    folder = TOP / "protocol" / "maillon" / "protocol"
    names = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    public = {name for name in names if not name.startswith("_")}
    assert {name for name in public if f"`{name}`" not in README} == set()
