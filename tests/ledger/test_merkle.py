"""Claims about hash trees (spec/06-blocks.md, "Trees")."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from maillon.ledger import merkle
from maillon.ledger.errors import BadEvidence

# Hashes published with the test data of Certificate Transparency: the nodes of the perfect tree
# over its eight leaves, level by level from the bottom.
LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
          "606162636465666768696a6b6c6d6e6f")  # fmt: skip
NODES = (
    (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
    ),
    (
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    ),
    (
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    ("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",),
)
PUBLISHED = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]


def node(level: int, index: int) -> bytes:
    return bytes.fromhex(NODES[level][index])


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """Return MTH as RFC 6962, section 2.1, writes it."""
    if not leaves:
        return merkle.EMPTY
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return merkle.node_hash(by_definition(leaves[:split]), by_definition(leaves[split:]))


def drawn(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(32) for _ in range(count)]


def test_the_nodes_of_the_published_tree_come_out() -> None:
    for level, nodes in enumerate(NODES):
        for index, published in enumerate(nodes):
            under = PUBLISHED[index << level : (index + 1) << level]
            assert merkle.root(under).hex() == published


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []),
        (0, 8, [(0, 1), (1, 1), (2, 1)]),
        (5, 8, [(0, 4), (1, 3), (2, 0)]),
        (2, 3, [(1, 0)]),
        (1, 5, [(0, 0), (1, 1), (0, 4)]),
    ],
)
def test_the_published_paths_of_inclusion_come_out(
    index: int, size: int, path: list[tuple[int, int]]
) -> None:
    expected = [node(*place) for place in path]
    assert merkle.inclusion_path(PUBLISHED[:size], index) == expected
    assert merkle.SlotTree(PUBLISHED[:size]).inclusion_path(index) == expected


@pytest.mark.parametrize(
    ("old", "size", "path"),
    [
        (1, 1, []),
        (1, 8, [(0, 1), (1, 1), (2, 1)]),
        (6, 8, [(1, 2), (1, 3), (2, 0)]),
        (2, 5, [(1, 1), (0, 4)]),
    ],
)
def test_the_published_paths_of_consistency_come_out(
    old: int, size: int, path: list[tuple[int, int]]
) -> None:
    assert merkle.consistency_path(PUBLISHED[:size], old) == [node(*place) for place in path]


@pytest.mark.parametrize("size", range(40))
def test_every_way_to_a_root_gives_that_of_the_definition(size: int) -> None:
    leaves = drawn(size)
    root = by_definition(leaves)
    assert merkle.root(leaves) == root
    assert merkle.Frontier.of(leaves).root() == root
    assert merkle.SlotTree(leaves).root() == root
    grown = merkle.SlotTree()
    for place, leaf in enumerate(leaves):
        assert grown.append(leaf) == place
    assert grown.root() == root


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 20, 33])
def test_every_leaf_has_a_path_and_no_other_leaf_place_or_size_fits_it(size: int) -> None:
    leaves = drawn(size)
    root, tree = merkle.root(leaves), merkle.SlotTree(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle.inclusion_path(leaves, index)
        assert tree.inclusion_path(index) == path
        merkle.verify_inclusion(leaf, index, size, path, root)
        for other in range(size + 1):
            if other != index:
                with pytest.raises(BadEvidence):
                    merkle.verify_inclusion(leaf, other, size, path, root)
        with pytest.raises(BadEvidence):
            merkle.verify_inclusion(drawn(1, 99)[0], index, size, path, root)
        for place in range(len(path)):
            spoilt = [*path[:place], drawn(1, 98)[0], *path[place + 1 :]]
            with pytest.raises(BadEvidence):
                merkle.verify_inclusion(leaf, index, size, spoilt, root)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 20, 33])
def test_every_beginning_is_proven_and_no_other_list_passes_for_one(size: int) -> None:
    leaves = drawn(size)
    root = merkle.root(leaves)
    for old in range(size + 1):
        path = merkle.consistency_path(leaves, old)
        before = merkle.root(leaves[:old])
        merkle.verify_consistency(old, size, path, before, root)
        if old:
            rewritten = merkle.root([*leaves[: old - 1], drawn(1, 97)[0]])
            with pytest.raises(BadEvidence):
                merkle.verify_consistency(old, size, path, rewritten, root)
        for place in range(len(path)):
            spoilt = [*path[:place], drawn(1, 96)[0], *path[place + 1 :]]
            with pytest.raises(BadEvidence):
                merkle.verify_consistency(old, size, spoilt, before, root)


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    data = [b"a", b"b", b"c"]
    leaves = [merkle.leaf_hash(each) for each in data]
    # The bytes of a node, taken for a leaf's data, hash to something else: 0x00 against 0x01.
    inner = leaves[0] + leaves[1]
    assert merkle.leaf_hash(inner) != merkle.node_hash(leaves[0], leaves[1])


def test_paths_are_made_only_for_places_that_exist() -> None:
    leaves = drawn(3)
    for index in (-1, 3):
        with pytest.raises(IndexError):
            merkle.inclusion_path(leaves, index)
        with pytest.raises(IndexError):
            merkle.SlotTree(leaves).inclusion_path(index)
    for old in (-1, 4):
        with pytest.raises(IndexError):
            merkle.consistency_path(leaves, old)


@pytest.mark.parametrize("seed", range(20))
def test_a_slot_tree_and_its_forks_follow_a_plain_list(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    first = drawn(rng.randrange(20), seed)
    stack = [(merkle.SlotTree(first), list(first))]
    for _ in range(300):
        tree, plain = stack[-1]
        action = rng.random()
        if action < 0.7:
            slot = rng.randrange(len(plain) + 1)
            leaf = rng.randbytes(32)
            tree.set(slot, leaf)
            plain[slot : slot + 1] = [leaf]
        elif action < 0.8 and len(stack) < 5:
            stack.append((tree.fork(), list(plain)))
        elif action < 0.9 and len(stack) > 1:
            stack.pop()
            if rng.random() < 0.6:
                stack[-1][0].absorb(tree)
                stack[-1] = (stack[-1][0], plain)
        elif plain:
            slot = rng.randrange(len(plain))
            path = tree.inclusion_path(slot)
            merkle.verify_inclusion(plain[slot], slot, len(plain), path, merkle.root(plain))
        tree, plain = stack[-1]
        assert tree.size == len(plain)
        if rng.random() < 0.3:
            assert tree.root() == merkle.root(plain)
    for tree, plain in stack:
        assert tree.root() == merkle.root(plain)
        assert [tree.leaf(slot) for slot in range(tree.size)] == plain


def test_a_fork_changes_nothing_before_it_is_absorbed_and_only_its_own_tree_absorbs_it() -> None:
    leaves = drawn(6)
    tree = merkle.SlotTree(leaves)
    before = tree.root()
    fork = tree.fork()
    fork.set(2, leaves[5])
    fork.append(leaves[0])
    assert tree.root() == before and tree.size == 6
    with pytest.raises(ValueError):
        merkle.SlotTree(leaves).absorb(fork)
    tree.absorb(fork)
    assert tree.root() == merkle.root([*leaves[:2], leaves[5], *leaves[3:], leaves[0]])


def test_a_slot_tree_refuses_gaps_and_what_is_no_hash() -> None:
    tree = merkle.SlotTree(drawn(2))
    for slot in (-1, 3):
        with pytest.raises(IndexError):
            tree.set(slot, bytes(32))
    for read in (-1, 2):
        with pytest.raises(IndexError):
            tree.leaf(read)
    with pytest.raises(ValueError):
        tree.set(0, bytes(31))
    with pytest.raises(ValueError):
        merkle.SlotTree([bytes(31)])
    assert tree.root() == merkle.root(drawn(2))


def test_a_frontier_is_as_long_as_its_size_has_bits_and_starts_again_from_its_peaks() -> None:
    leaves = drawn(37)
    whole = merkle.Frontier.of(leaves)
    assert len(whole.peaks) == (37).bit_count()
    half = merkle.Frontier.of(leaves[:20])
    resumed = merkle.Frontier(half.size, half.peaks)
    assert resumed == half
    for leaf in leaves[20:]:
        resumed = resumed.append(leaf)
    assert resumed == whole and hash(resumed) == hash(whole)
    assert half.root() == merkle.root(leaves[:20])
    for size, peaks in ((3, [bytes(32)]), (-1, []), (1, [bytes(31)])):
        with pytest.raises(ValueError):
            merkle.Frontier(size, peaks)
