"""The registry of the specification says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from maillon.protocol.records import KINDS

SPEC = Path(__file__).resolve().parents[2] / "spec"


def _registry() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_registry", SPEC / "make_registry.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_registry_is_what_the_code_says() -> None:
    written = (SPEC / "registry.md").read_text("utf-8")
    assert written == _registry().text(), "run spec/make_registry.py"


def test_every_kind_and_every_field_is_in_the_registry() -> None:
    written = (SPEC / "registry.md").read_text("utf-8")
    for kind in KINDS.values():
        section = written.split(f"\n### {kind.name}\n")[1].split("\n### ")[0]
        for part in kind.schema.fields:
            assert f"| `{part.name}` |" in section
