"""Hold the vector files against their generators."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from support.vectors import FOLDER


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_vector_files_are_what_the_generators_make(generate: ModuleType) -> None:
    assert generate.differences() == []


def test_a_changed_missing_or_stray_file_is_told(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "HERE", tmp_path)
    monkeypatch.setattr(generate, "IMPORT_FROM", (tmp_path,))
    (tmp_path / "gen_probe_a.py").write_text(
        "def vectors(rng): return {'a.json': {'n': rng.random()}, 'b.json': [b'\\x01']}"
    )
    assert sorted(generate.differences()) == ["a.json is missing", "b.json is missing"]
    assert generate.main([]) == 0
    assert (tmp_path / "b.json").read_text() == '[\n "01"\n]\n'
    assert generate.differences() == []
    (tmp_path / "a.json").write_text("{}\n")
    (tmp_path / "c.json").write_text("{}\n")
    assert generate.differences() == [
        "a.json differs from what the generator makes",
        "c.json is made by no generator",
    ]
    assert generate.main(["--check"]) == 1
