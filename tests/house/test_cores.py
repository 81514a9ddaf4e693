"""The one rule: what decides takes time, chance and keys as arguments, and does no I/O.

import-linter refuses whole modules (``test_checks.py``). These tests refuse what hides inside
modules that are otherwise harmless: ``os.urandom``, ``open``, and the ``generate`` of the key
classes of ``cryptography``. Of ``random`` a core may know the class, in order to be handed one.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.tree import CORES, EDGES, SOURCES, TOP, modules

MAY_IMPORT = {
    "maillon.protocol": {"maillon.protocol", "cryptography", "msgpack"},
    "maillon.ledger": {"maillon.ledger", "maillon.protocol", "cryptography", "msgpack"},
}
# What the auditor's tool uses when it is there, and does without when it is not.
MAY_USE = {"nacl", "pyarrow", "rich", "typst"}
# Names that open files, ask the machine, speak to it, or draw from its entropy.
FORBIDDEN_CALLS = {"open", "print", "input", "breakpoint", "eval"}
FORBIDDEN_ATTRIBUTES = {
    "environ",
    "generate",
    "generate_key",
    "getenv",
    "getrandom",
    "now",
    "today",
    "urandom",
    "utcnow",
    "uuid1",
    "uuid4",
}


def _offences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
                yield node.lineno, name
            case ast.Call(func=ast.Name(id="Random") | ast.Attribute(attr="Random"), args=[]):
                yield node.lineno, "Random()"  # seeded by the machine
            case ast.Attribute(value=ast.Name(id="random"), attr=name) if name != "Random":
                yield node.lineno, f"random.{name}"
            case ast.ImportFrom(module="random", names=aliases):
                for alias in aliases:
                    if alias.name != "Random":
                        yield node.lineno, f"random.{alias.name}"
            case ast.Attribute(attr=name) if name in FORBIDDEN_ATTRIBUTES:
                yield node.lineno, name
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    if alias.name in FORBIDDEN_ATTRIBUTES:
                        yield node.lineno, alias.name
            case _:
                pass


def _imported_late(tree: ast.Module) -> set[tuple[int, str]]:
    """Return the imports inside functions: a module that has them loads without what they name."""
    return {
        found
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for found in _imported(node)
    }


def _imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from ((node.lineno, alias.name) for alias in aliases)
            case ast.ImportFrom(level=0, module=str(name)):
                yield node.lineno, name
            case _:
                pass


def test_the_cores_call_nothing_that_reads_the_world() -> None:
    found = [
        f"{path}:{line}: {name}"
        for path, tree in modules(*CORES, without=EDGES)
        for line, name in _offences(tree)
    ]
    assert found == []


def test_every_offence_is_recognised() -> None:
    offences = {
        "from os import urandom": ["urandom"],
        "open('x')": ["open"],
        "os.urandom(1)": ["urandom"],
        "X25519PrivateKey.generate()": ["generate"],
        "random.shuffle(peers)": ["random.shuffle"],
        "from random import choice": ["random.choice"],
        "rng = random.Random()": ["Random()"],
        "from random import Random": [],
        "def pick(rng: random.Random): return rng.choice(peers)": [],
    }
    for source, names in offences.items():
        assert [name for _, name in _offences(ast.parse(source))] == names, source


def test_protocol_and_ledger_import_only_what_the_base_install_brings() -> None:
    found: list[str] = []
    for package, allowed in MAY_IMPORT.items():
        for path, tree in modules(SOURCES[package]):
            edge = any((TOP / path).is_relative_to(one) for one in EDGES)
            late = _imported_late(tree) if edge else set[tuple[int, str]]()
            for line, name in _imported(tree):
                if (line, name) in late and name.partition(".")[0] in MAY_USE:
                    continue
                known = any(name == one or name.startswith(one + ".") for one in allowed)
                if not known and name.partition(".")[0] not in sys.stdlib_module_names:
                    found.append(f"{path}:{line}: {name}")
    assert found == []


def test_protocol_and_ledger_load_in_a_process_where_the_node_cannot() -> None:
    """Import every module of both while the node's libraries are made impossible to import."""
    blocked = ["click", "httpx", "libp2p", "litestar", "msgspec", "nacl", "sqlite_utils", "trio"]
    blocked += ["pyarrow", "rich", "typst"]
    probe = f"""
import importlib, pkgutil, sys
for name in {blocked!r}:
    sys.modules[name] = None
try:
    import trio
except ImportError:
    pass
else:
    raise SystemExit("the block does not block")
for root in ("maillon.protocol", "maillon.ledger"):
    package = importlib.import_module(root)
    for module in pkgutil.walk_packages(package.__path__, root + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", probe],
        capture_output=True,
        text=True,
        cwd=Path(sys.prefix),
    )
    assert ran.returncode == 0, ran.stderr
