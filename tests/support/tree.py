"""Walk the repository's own files, for the tests of the house rules."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SOURCES = {
    "maillon.protocol": TOP / "protocol/maillon/protocol",
    "maillon.ledger": TOP / "ledger/maillon/ledger",
    "maillon.node": TOP / "node/maillon/node",
}
# The packages that decide things, and that therefore take time, chance and keys as arguments.
CORES = (
    SOURCES["maillon.protocol"],
    SOURCES["maillon.ledger"],
    SOURCES["maillon.node"] / "engine",
)
# The one part of the ledger that reads files and starts processes: what an auditor runs.
EDGES = (SOURCES["maillon.ledger"] / "tool", SOURCES["maillon.ledger"] / "__main__.py")
_UNPACKED_SKIP = {".venv", ".ci-venv", "node_modules", "__pycache__", "dist"}


@cache
def files() -> tuple[Path, ...]:
    """Return every file that is, or would be, in the repository (ignored ones are not)."""
    if (TOP / ".git").exists():
        # A clone that belongs to somebody else (a mounted one) is read all the same.
        command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
        command += ["--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=TOP, check=True, capture_output=True).stdout.decode()
        paths = [TOP / name for name in listed.split("\0") if name]
    else:  # unpacked from a source archive
        paths = [p for p in TOP.rglob("*") if not _UNPACKED_SKIP & set(p.relative_to(TOP).parts)]
    return tuple(sorted(p for p in paths if p.is_file()))


def texts() -> Iterator[tuple[Path, str]]:
    """Yield each text file, named from the top, with its contents; skip what is not UTF-8."""
    for path in files():
        try:
            yield path.relative_to(TOP), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def modules(*folders: Path, without: tuple[Path, ...] = ()) -> Iterator[tuple[Path, ast.Module]]:
    """Yield each Python file below `folders`, named from the top, with its syntax tree."""
    for path in files():
        if any(path.is_relative_to(folder) for folder in without):
            continue
        if path.suffix == ".py" and any(path.is_relative_to(folder) for folder in folders):
            yield path.relative_to(TOP), ast.parse(path.read_text(encoding="utf-8"))
