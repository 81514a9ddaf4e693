"""Hold the fuzzing runner to what it says, and every target to its own examples."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzzing_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUN = load(HERE / "run.py")

PROBE = """
def holds(data):
    pass

def breaks(data):
    if b"\\xc0" in data:
        raise ZeroDivisionError("found it")

TARGETS = {"holds": holds, "breaks": breaks}
SEEDS = {"breaks": [b"\\x01\\x02\\x03\\x04"]}
"""


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    (tmp_path / "fuzz_probe.py").write_text(PROBE)
    return tmp_path


def test_a_finding_is_told_with_the_input_that_repeats_it(
    probe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--folder", str(probe), "--plain", "--seconds", "1", "--seed", "7"]
    assert RUN.main(arguments) == 1
    output = capsys.readouterr().out
    assert "seed 7" in output
    assert "probe.holds: " in output and "executions, held" in output
    assert "ZeroDivisionError: found it" in output
    assert "1 findings: probe.breaks" in output
    [line] = [line for line in output.splitlines() if line.startswith("replay with:")]
    name, hexadecimal = line.split()[-2:]
    assert RUN.main(["--folder", str(probe), "--replay", name, hexadecimal]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert RUN.main(["--folder", str(probe), "--replay", name, "00"]) == 0
    assert RUN.main(["--folder", str(probe), "--replay", "probe.absent", "00"]) == 2


def test_the_same_seed_makes_the_same_inputs(probe: Path) -> None:
    import random

    seeds = [b"abcdef", b"0123456789"]
    runs = [[RUN.mutated(random.Random(3), seeds) for _ in range(1)] for _ in range(2)]
    assert runs[0] == runs[1]
    rng = random.Random(3)
    assert len({RUN.mutated(rng, seeds) for _ in range(200)}) > 100


def test_a_folder_without_targets_is_no_success(tmp_path: Path) -> None:
    assert RUN.main(["--folder", str(tmp_path), "--seconds", "1"]) == 1


@pytest.mark.parametrize("path", RUN.modules(HERE).values(), ids=RUN.modules(HERE).keys())
def test_every_target_holds_for_its_examples_and_for_no_bytes(path: Path) -> None:
    module = load(path)
    targets: dict[str, Callable[[bytes], None]] = module.TARGETS
    examples = {name: RUN.seeds_of(module, name) for name in targets}
    assert any(examples.values())
    for name, target in targets.items():
        for data in [b"", *examples[name]]:
            target(data)


def test_a_target_that_takes_its_process_down_is_a_finding_and_the_next_one_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fuzz_probe.py").write_text(
        "import os\n"
        "TARGETS = {'dies': lambda data: os._exit(3), 'holds': lambda data: None}\n"
        "SEEDS = [b'x']\n"
    )
    assert RUN.main(["--folder", str(tmp_path), "--plain", "--seconds", "1"]) == 1
    output = capsys.readouterr().out
    assert "probe.dies: 0 executions, FINDING" in output
    assert "executions, held" in output.partition("probe.holds: ")[2]
