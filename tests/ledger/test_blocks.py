"""Claims about blocks, bodies and evidence that the vectors do not say (spec/06-blocks.md)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from maillon.ledger import merkle
from maillon.ledger.block import (
    Block,
    Body,
    Erased,
    Header,
    Placed,
    decode_block,
    decode_body,
    entries_size,
    genesis_hash,
    history_leaf,
)
from maillon.ledger.errors import BadBlock
from maillon.ledger.limits import BLOCK_BYTES_MAX, BODY_BYTES_MAX, ENTRIES_MAX, PROOF_BYTES_MAX
from maillon.protocol import encoding
from maillon.protocol.errors import EncodingError

RNG = random.Random(11)
FED, CHAIN = RNG.randbytes(32), RNG.randbytes(32)


def body_of(*lengths: int) -> Body:
    return Body(tuple(Placed(RNG.randbytes(32), RNG.randbytes(length)) for length in lengths))


def header_of(body: Body, **changes: Any) -> Header:
    genesis = genesis_hash(FED, CHAIN)
    history = merkle.root([history_leaf(genesis)])
    header = Header(
        FED, CHAIN, 1, genesis, 0, 0, 1_767_225_600, body.root(), len(body.entries),
        bytes(32), history, body.size(),
    )  # fmt: skip
    return replace(header, **changes)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 256])
def test_the_size_is_that_of_the_encoded_entries(count: int) -> None:
    rng = random.Random(count)
    body = body_of(*(rng.choice((1, 255, 256, 400)) for _ in range(count)))
    entries = [[entry.salt, entry.data] for entry in body.entries if isinstance(entry, Placed)]
    assert body.size() == len(encoding.encode(entries))
    assert entries_size([70_000]) == len(encoding.encode([[bytes(32), bytes(70_000)]]))


def test_a_body_that_was_read_is_written_with_its_own_bytes_and_a_changed_one_is_not() -> None:
    data = body_of(10, 20).encode()
    body = decode_body(data, charter=False)
    assert body.encode() is data
    first, second = body.entries
    erased = replace(body, entries=(first, Erased(second.leaf())))
    assert erased.encode() != data
    assert decode_body(erased.encode(), charter=False) == erased


def test_erasing_entries_changes_neither_root_nor_hash_and_only_the_size_is_taken_on_trust() -> (
    None
):
    body = body_of(30, 300, 40)
    block = Block(header_of(body), body)
    block.check_form()
    entries = list(body.entries)
    for place in range(3):
        entries[place] = Erased(entries[place].leaf())
        erased = Block(block.header, Body(tuple(entries)))
        erased.check_form()
        assert erased.body.erased == place + 1
        assert decode_block(erased.encode()).hash == block.hash
        assert len(erased.encode()) < len(block.encode())


def test_a_body_that_the_header_does_not_commit_to_is_refused_by_what_differs() -> None:
    body = body_of(30, 300)
    for reason, header in (
        ("count", header_of(body, count=3)),
        ("size", header_of(body, size=body.size() + 1)),
        ("entries_root", header_of(body_of(30, 300))),
    ):
        with pytest.raises(BadBlock) as caught:
            Block(header, body).check_form()
        assert caught.value.reason == reason


def test_every_field_of_a_header_is_in_its_hash() -> None:
    header = header_of(body_of(5))
    changed = [
        _changed(header, name)
        for name in Header.__dataclass_fields__
        if name not in ("encoded", "hash")
    ]
    hashes = {each.hash for each in changed}
    assert len(hashes) == len(changed) == 12
    assert header.hash not in hashes


def _changed(header: Header, name: str) -> Header:
    value: Any = getattr(header, name)
    other: Any = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
    return replace(header, **{name: other})


def test_each_federation_and_each_chain_has_a_genesis_of_its_own() -> None:
    other = RNG.randbytes(32)
    made = {genesis_hash(a, b) for a in (FED, other) for b in (CHAIN, other, FED)}
    assert len(made) == 6


def test_the_largest_block_fits_a_frame_and_a_larger_one_is_not_written() -> None:
    body = body_of(*[450] * ENTRIES_MAX)
    assert BODY_BYTES_MAX - len(body.encode()) < 10_000
    full = Block(header_of(body), body, bytes(PROOF_BYTES_MAX))
    assert len(full.encode()) <= BLOCK_BYTES_MAX
    with pytest.raises(EncodingError):
        body_of(*[512] * ENTRIES_MAX).encode()


def test_a_path_in_a_block_leads_to_the_root_that_its_header_names() -> None:
    body = body_of(*range(1, 12))
    header = header_of(body)
    for index, entry in enumerate(body.entries):
        path = body.path(index)
        merkle.verify_inclusion(entry.leaf(), index, header.count, path, header.entries_root)
