"""One entry is proven to somebody who has nothing but the proof and the keys that count."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from maillon.ledger.block import Block, Placed, decode_block, history_leaf
from maillon.ledger.charter import CharterChain
from maillon.ledger.checkpoint import Checkpoint, decode_note, open_checkpoint, origin
from maillon.ledger.errors import BadCertificate, BadEvidence, NoQuorum
from maillon.ledger.export.container import chain_path
from maillon.ledger.merkle import consistency_path, inclusion_path, root
from maillon.ledger.proofs import EntryProof, check_grown, decode_proof
from maillon.ledger.signing import inline_verify
from maillon.ledger.tool.files import ExportReader
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import open_founding
from support.ledger_corpus import Plan, make_corpus

PLAN = Plan(60, coops=3, members=6, per_block=6, seed=8)
AT = 5


class World:
    """One chain of a small federation, and who may sign."""

    def __init__(self, folder: Path) -> None:
        make_corpus(folder, PLAN)
        reader = ExportReader(folder)
        founding = open_founding(reader.founding())
        self.fed = reader.fed
        self.charters = CharterChain(founding, None, inline_verify)
        self.committee = self.charters.latest.committee()
        self.chain = reader.manifest.chains[0]
        self.writer = next(c.writer for c in founding.coops if c.id == self.chain)
        self.blocks: list[Block] = [
            decode_block(data) for _, data in reader.frames(chain_path(self.chain))
        ]
        genesis = bytes(self.blocks[0].header.prev)
        self.hashes = [genesis, *(block.hash for block in self.blocks)]
        self.leaves = [history_leaf(one) for one in self.hashes]
        self.note = reader.checkpoint(self.chain)

    def proof(self, certified: bool) -> EntryProof:
        block = self.blocks[AT - 1]
        placed = block.body.entries[2]
        assert isinstance(placed, Placed)
        made = EntryProof(block.header, 2, placed.salt, placed.data, tuple(block.body.path(2)))
        if certified:
            return replace(made, certificate=block.certificate)
        return replace(made, note=self.note, history=tuple(inclusion_path(self.leaves, AT)))

    def checkpoint(self, note: bytes) -> Checkpoint:
        """Return what a note says, when those who count have signed it."""
        return open_checkpoint(
            decode_note(note),
            origin(self.fed, self.chain),
            logs=[self.writer],
            witnesses=self.committee.keys,
            quorum=self.committee.quorum,
        ).checkpoint


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("proofs") / "export")


def test_a_certificate_proves_an_entry(world: World) -> None:
    proof = decode_proof(world.proof(True).encode())
    proof.verify_certified(world.committee, inline_verify)
    assert proof == world.proof(True)


def test_a_checkpoint_proves_an_entry_without_any_certificate(world: World) -> None:
    proof = decode_proof(world.proof(False).encode())
    proof.verify_in(world.checkpoint(proof.note))
    assert proof == world.proof(False)


@pytest.mark.parametrize("part", ["salt", "entry", "path", "index"])
def test_another_entry_is_not_proven(world: World, part: str) -> None:
    good = world.proof(True)
    changed: dict[str, object] = {
        "salt": bytes(32),
        "entry": good.entry[:-1] + bytes([good.entry[-1] ^ 1]),
        "path": (bytes(32), *good.path[1:]),
        "index": 1,
    }
    bad = replace(good, **{part: changed[part]})  # type: ignore[arg-type]  # by name
    with pytest.raises(BadEvidence):
        bad.verify_certified(world.committee, inline_verify)


def test_another_blocks_certificate_proves_nothing(world: World) -> None:
    bad = replace(world.proof(True), certificate=world.blocks[AT].certificate)
    with pytest.raises(BadCertificate):
        bad.verify_certified(world.committee, inline_verify)


def test_too_few_signatures_prove_nothing(world: World) -> None:
    all_of_them = type(world.committee)(world.committee.keys, world.committee.n)
    with pytest.raises(NoQuorum):
        world.proof(True).verify_certified(all_of_them, inline_verify)


def test_a_checkpoint_of_another_chain_or_history_proves_nothing(world: World) -> None:
    proof = world.proof(False)
    good = world.checkpoint(proof.note)
    for bad in (
        replace(good, origin=origin(world.fed, bytes(32))),
        replace(good, root=bytes(32)),
        replace(good, size=good.size - 1),
    ):
        with pytest.raises(BadEvidence):
            proof.verify_in(bad)


def test_a_later_checkpoint_continues_an_earlier_one_or_is_refused(world: World) -> None:
    new = world.checkpoint(world.note)
    old = Checkpoint.of(world.fed, world.chain, 7, root(world.leaves[:7]))
    path = tuple(consistency_path(world.leaves, 7))
    check_grown(old, new, path)
    for bad in (replace(old, root=bytes(32)), replace(old, origin="other"), replace(old, size=8)):
        with pytest.raises(BadEvidence):
            check_grown(bad, new, path)


def test_a_proof_has_one_of_certificate_and_note(world: World) -> None:
    good = world.proof(True)
    for bad in (
        replace(good, certificate=b""),
        replace(good, note=world.note),
        replace(good, history=(bytes(32),)),
    ):
        with pytest.raises(MaillonError):
            decode_proof(bad.encode())


def test_a_damaged_proof_is_refused_or_proves_the_same(world: World) -> None:
    rng = random.Random(5)
    good = world.proof(False).encode()
    for _ in range(400):
        data = bytearray(good)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            proof = decode_proof(bytes(data))
            proof.verify_in(world.checkpoint(proof.note))
        except MaillonError:
            continue
        # One witness's line was made unreadable: the others still are a quorum for the same.
        assert replace(proof, note=world.note) == world.proof(False)
    parts = decode(good, bytes_max=len(good))
    assert isinstance(parts, list)
    with pytest.raises(MaillonError):
        decode_proof(encode(parts[:-1]))
