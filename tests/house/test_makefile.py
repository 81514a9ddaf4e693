"""The targets that people are told to type exist, are explained, and call what exists."""

import re
import shutil
import subprocess

import pytest

from support.tree import TOP

PROMISED = {
    "bench",
    "check",
    "clean",
    "demo",
    "dist",
    "fuzz",
    "interop",
    "lint",
    "lock",
    "simulate",
    "test",
    "types",
    "vectors",
    "vectors-check",
}
_MAKEFILE = (TOP / "Makefile").read_text()


def _explained() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", _MAKEFILE, re.M))


def test_every_promised_target_is_explained() -> None:
    assert _explained() >= PROMISED


def test_every_explained_target_is_declared_to_be_no_file() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", _MAKEFILE, re.M)
    assert phony is not None
    assert set(phony[1].split()) == _explained()


def test_help_is_what_make_alone_shows() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=TOP, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in shown.splitlines()} == _explained()


def test_every_script_that_a_target_runs_is_there() -> None:
    run = r"(?:\$\(PY\) |^\t@?)((?:[a-z]+/)+[a-z_]+(?:\.py)?)\b"
    scripts = set(re.findall(run, _MAKEFILE, re.M))
    assert {"spec/vectors/generate.py", "tests/fuzz/run.py", "benchmarks/run.py"} <= scripts
    scripts.add("tests/simulation/run.py")
    assert [name for name in sorted(scripts) if not (TOP / name).is_file()] == []
