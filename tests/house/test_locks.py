"""What is installed is what was looked at: the locks agree with pyproject.toml and each other."""

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from support.tree import TOP

LOCKS = ("build", "base", "node", "dev")
_ENTRY = re.compile(r"^(?P<name>[a-z0-9.-]+)==(?P<version>[^ ;\\]+)", re.M)


def _text(lock: str) -> str:
    return (TOP / "requirements" / f"{lock}.txt").read_text()


def _versions(lock: str) -> dict[str, str]:
    return {m["name"]: m["version"] for m in _ENTRY.finditer(_text(lock))}


def _normal(requirement: str) -> str:
    """Return the normalised name of what `requirement` asks for (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def _project() -> tuple[list[str], list[str], list[str], list[str]]:
    document = tomllib.loads((TOP / "pyproject.toml").read_text())
    groups = document["dependency-groups"]
    project = document["project"]
    return (
        project["dependencies"],
        project["optional-dependencies"]["node"],
        groups["build"],
        groups["dev"],
    )


def test_every_requirement_of_the_project_is_locked_where_it_is_needed() -> None:
    base, node, build, dev = _project()
    needed = {
        "build": build,
        "base": base,
        "node": base + node + build,
        "dev": base + node + build + dev,
    }
    missing = [
        f"{requirement} in {lock}.txt (make lock)"
        for lock, requirements in needed.items()
        for requirement in requirements
        if _normal(requirement) not in {_normal(name) for name in _versions(lock)}
    ]
    assert missing == []


def test_every_locked_package_carries_hashes_and_no_address() -> None:
    for lock in LOCKS:
        entries = re.split(r"\n(?=[a-z0-9])", _text(lock).partition("\n")[2])
        assert len(entries) == len(_versions(lock))
        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
        assert "://" not in _text(lock)


def test_a_package_has_one_version_in_all_locks() -> None:
    everything = _versions("dev")
    for lock in ("base", "node"):
        assert {name: everything[name] for name in _versions(lock)} == _versions(lock)
    shared = _versions("build").keys() & everything.keys()
    assert {name: everything[name] for name in shared} == _versions("build")


def test_the_base_install_is_cryptography_msgpack_and_their_own_needs() -> None:
    assert set(_versions("base")) <= {
        "cffi",
        "cryptography",
        "msgpack",
        "pycparser",
        "typing-extensions",
    }


def test_libp2p_is_the_only_exact_pin_of_the_project() -> None:
    base, node, build, dev = _project()
    exact = [r for r in base + node + build + dev if "==" in r.partition(";")[0]]
    assert exact == ["libp2p==0.8.1"]


@pytest.mark.parametrize("where", ["interop", "web"])
def test_npm_packages_are_exact_and_locked_by_content(where: str) -> None:
    folder = TOP / "tests" / where
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    installed = {path: entry for path, entry in packages.items() if path}
    assert [path for path, entry in installed.items() if "integrity" not in entry] == []
    assert [path for path, entry in installed.items() if "resolved" in entry] == []


def _imported(path: Path) -> set[str]:
    """Return the top-level names of what the Python file at `path` imports by absolute names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_whatever_the_node_imports_is_locked() -> None:
    """What was installed by hand on one machine is missing on the next."""
    locked = {_normal(name) for name in _versions("node")}
    here = packages_distributions()
    known = sys.stdlib_module_names | {"maillon"}
    missing = {
        f"{name} in {path.relative_to(TOP)}"
        for path in (TOP / "node").rglob("*.py")
        for name in _imported(path) - known
        if not locked & {_normal(distribution) for distribution in here.get(name, [])}
    }
    assert missing == set()
