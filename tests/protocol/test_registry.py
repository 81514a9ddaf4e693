"""The registry of the specification says what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from maillon.protocol.records import KINDS

TOP = Path(__file__).resolve().parents[2]
SPEC = TOP / "spec"


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


def _sources() -> str:
    roots = (TOP / part for part in ("protocol", "ledger", "node"))
    return "\n".join(path.read_text("utf-8") for root in roots for path in root.rglob("*.py"))


def test_the_protocols_of_the_registry_are_those_the_nodes_speak_and_the_chapters_describe() -> (
    None
):
    named = {(name, spec) for name, _, spec in _registry().PROTOCOLS}
    spoken = set(re.findall(r'"(/maillon/\d+/[a-z]+)"', _sources()))
    assert spoken == {name for name, _ in named}
    table = (SPEC / "04-gossip.md").read_text("utf-8").partition("## Streams and frames")[2]
    rows = re.findall(r"^\| `(/maillon/\S+)` \|.*\| ([^|]+) \|$", table, re.MULTILINE)
    assert {(name, place if place.isdigit() else "04") for name, place in rows} == named


def test_the_network_codes_of_the_registry_are_those_of_the_chapters_and_of_the_node() -> None:
    codes = {(code, spec) for code, _, spec in _registry().NETWORK_CODES}
    gossip = (SPEC / "04-gossip.md").read_text("utf-8").partition("### The batch")[0]
    joining = (SPEC / "10-joining.md").read_text("utf-8")
    refusals = joining.partition("| refusal | means |")[2].partition("\n\n")[0]
    registry = (SPEC / "registry.md").read_text("utf-8").partition("What a node counts")[0]
    elsewhere = set(re.findall(r"^\| `([a-z_]+)` \|", registry, re.MULTILINE))
    in_04 = set(re.findall(r"\| `([a-z_]+)` \|$", gossip, re.MULTILINE))
    in_10 = set(re.findall(r"^\| `([a-z_]+)` \|", refusals, re.MULTILINE))
    assert codes == {(c, "04") for c in in_04} | {(c, "10") for c in in_10 - elsewhere}
    sources = _sources()
    assert {code for code, _ in codes if f'"{code}"' not in sources} == set()
