"""Make the vectors of hash trees (spec/06-blocks.md, "Trees")."""

from __future__ import annotations

import random

from maillon.ledger import merkle
from maillon.ledger.errors import BadEvidence

# The leaves that Certificate Transparency's implementations test with, and the roots of their
# first 0 to 8, as published with them; tests/ledger/test_merkle.py holds them against our code.
PUBLISHED = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
             "606162636465666768696a6b6c6d6e6f")  # fmt: skip
PUBLISHED_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
SIZES = (1, 2, 3, 5, 7, 8, 9, 13)


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the file."""
    roots = [
        {"name": f"the first {size} of the published leaves", "leaves": list(PUBLISHED[:size]),
         "root": PUBLISHED_ROOTS[size]}
        for size in range(9)
    ]  # fmt: skip
    leaves = [merkle.leaf_hash(rng.randbytes(8)) for _ in range(max(SIZES))]
    return {
        "ledger-merkle.json": {
            "spec": "06-blocks",
            "about": "`roots`: each of `leaves` is hashed as 0x00 and its bytes. `inclusion` and "
            "`consistency`: hashes are given; the path leads to the root, or it is refused.",
            "roots": roots,
            "inclusion": _inclusion(leaves),
            "consistency": _consistency(leaves),
        }
    }


def _inclusion(leaves: list[bytes]) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []

    def add(
        name: str, rule: str, leaf: bytes, index: int, size: int, path: list[bytes], root: bytes
    ) -> None:
        _tried(rule, lambda: merkle.verify_inclusion(leaf, index, size, path, root))
        case: dict[str, object] = {
            "name": name,
            "leaf": leaf,
            "index": index,
            "size": size,
            "path": path,
            "root": root,
            "expect": "evidence" if rule else "ok",
        }
        listed.append({**case, "rule": rule} if rule else case)

    for size in SIZES:
        root = merkle.root(leaves[:size])
        for index in sorted({0, size // 2, size - 1}):
            path = merkle.inclusion_path(leaves[:size], index)
            add(f"leaf {index} of {size}", "", leaves[index], index, size, path, root)
    size, index = 7, 5
    root, path = merkle.root(leaves[:size]), merkle.inclusion_path(leaves[:size], index)
    leaf = leaves[index]
    add("another leaf", "path_root", leaves[4], index, size, path, root)
    add("another root", "path_root", leaf, index, size, path, leaves[0])
    add("another place", "path_root", leaf, 4, size, path, root)
    add("the place after the last", "path_index", leaf, size, size, path, root)
    add("a place before the first", "path_index", leaf, -1, size, path, root)
    add("of a tree without leaves", "path_index", leaf, 0, 0, [], merkle.EMPTY)
    add("a hash missing", "path_length", leaf, index, size, path[:-1], root)
    add("a hash more", "path_length", leaf, index, size, [*path, root], root)
    add("two hashes swapped", "path_root", leaf, index, size, [path[1], path[0], path[2]], root)
    add("a path of 54", "path_length", leaf, 0, 2**53, [leaf] * 54, root)
    # Without the prefixes 0x00 and 0x01 an inner node would pass for a leaf of a smaller tree.
    inner = merkle.node_hash(leaves[0], leaves[1])
    add("a node as a leaf", "path_root", inner, 0, 2, [leaves[1]], merkle.root(leaves[:3]))
    return listed


def _consistency(leaves: list[bytes]) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []

    def add(
        name: str, rule: str, old: int, size: int, path: list[bytes], before: bytes, root: bytes
    ) -> None:
        _tried(rule, lambda: merkle.verify_consistency(old, size, path, before, root))
        case: dict[str, object] = {
            "name": name,
            "old_size": old,
            "size": size,
            "path": path,
            "old_root": before,
            "root": root,
            "expect": "evidence" if rule else "ok",
        }
        listed.append({**case, "rule": rule} if rule else case)

    for old, size in (
        (0, 5),
        (5, 5),
        (1, 2),
        (1, 8),
        (2, 5),
        (3, 7),
        (4, 8),
        (6, 8),
        (7, 13),
        (8, 9),
    ):
        path = merkle.consistency_path(leaves[:size], old)
        before, root = merkle.root(leaves[:old]), merkle.root(leaves[:size])
        add(f"from {old} to {size}", "", old, size, path, before, root)
    old, size = 3, 7
    path = merkle.consistency_path(leaves[:size], old)
    before, root = merkle.root(leaves[:old]), merkle.root(leaves[:size])
    add("another old root", "path_root", old, size, path, leaves[0], root)
    add("another new root", "path_root", old, size, path, before, leaves[0])
    of_two = merkle.consistency_path(leaves[:size], 2)
    add("another old size", "path_root", 2, size, of_two, before, root)
    add("backwards", "path_index", size, old, path, root, before)
    add("a hash missing, consistency", "path_length", old, size, path[:-1], before, root)
    add("a hash more, consistency", "path_length", old, size, [*path, root], before, root)
    add("nothing where something is needed", "path_length", old, size, [], before, root)
    add("something where nothing is needed", "path_length", size, size, [root], root, root)
    add("two trees of one size", "path_root", size, size, [], before, root)
    add("from an empty tree that is none", "path_root", 0, size, [], leaves[0], root)
    return listed


def _tried(rule: str, step: object) -> None:
    assert callable(step)
    try:
        step()
    except BadEvidence as error:
        assert error.rule == rule, (error.rule, rule)
    else:
        assert rule == ""
