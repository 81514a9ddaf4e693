"""Make the vectors of fraud proofs (spec/06-blocks.md)."""

from __future__ import annotations

import random
from typing import Any

from ledger_parts import Cases, World, raw
from maillon.ledger import block, fraud, quorum, rounds
from maillon.ledger.signing import inline_verify
from maillon.protocol import encoding


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the file."""
    world = World(rng)

    def read(data: bytes) -> dict[str, object]:
        proof = fraud.decode_fraud(data)
        assert proof.encode() == data
        fraud.verify_fraud(proof, world.fed, inline_verify)
        return {
            "accused": proof.accused,
            "chain": proof.chain,
            "h": proof.h,
            "hash": fraud.fraud_hash(proof),
        }

    cases = Cases(read)
    _proposals(world, cases)
    _votes(world, cases)
    return {
        "ledger-fraud.json": {
            "spec": "06-blocks",
            "about": "Reading `bytes` as a fraud proof and verifying both signatures in federation "
            "`fed` convicts `accused`, or it is refused.",
            "fed": world.fed,
            "vectors": cases.listed,
        }
    }


def _array(data: bytes) -> list[Any]:
    return encoding.decode(data, bytes_max=2_000)  # type: ignore[return-value]  # an array


def _proposals(world: World, cases: Cases) -> None:
    blocks = [block.Block(world.header(block.Body(), h=4), block.Body()) for _ in range(2)]
    said = [rounds.Propose.sign(world.writer, world.fed, world.term, each) for each in blocks]
    proof = fraud.two_proposals(*said)
    assert fraud.two_proposals(said[1], said[0]) == proof
    cases.good("two proposals in one term", proof.encode())
    parts = _array(proof.encode())
    cases.cut(proof.encode())
    kind, chain, term, h, a, sign_a, b, sign_b = parts
    bad = cases.bad
    bad("in another order", "fraud_order", raw(kind, chain, term, h, b, sign_b, a, sign_a))
    bad("one proposal twice", "same_block", raw(kind, chain, term, h, a, sign_a, a, sign_a))
    bad("signatures swapped", "signature", raw(kind, chain, term, h, a, sign_b, b, sign_a))
    bad("at another height", "signature", raw(kind, chain, term, 5, a, sign_a, b, sign_b))
    bad("on another chain", "signature", raw(kind, world.other, term, h, a, sign_a, b, sign_b))
    # A writer that was started twice signs in two terms: each start draws a nonce.
    fresh = quorum.Term(world.term.counter, world.rng.randbytes(16), world.writer.public)
    again = rounds.Propose.sign(world.writer, world.fed, fresh, blocks[1])
    first_hash, second_hash = sorted([blocks[0].hash, blocks[1].hash])
    signatures = {blocks[0].hash: said[0].signature, blocks[1].hash: again.signature}
    bad(
        "by two starts of one writer",
        "signature",
        raw(
            kind, chain, term, h,
            first_hash, signatures[first_hash], second_hash, signatures[second_hash],
        ),
    )  # fmt: skip
    foreign = World(world.rng)
    strange = [
        rounds.Propose.sign(world.writer, foreign.fed, world.term, each).signature
        for each in sorted(blocks, key=lambda each: each.hash)
    ]
    bad(
        "in another federation",
        "signature",
        raw(kind, chain, term, h, a, strange[0], b, strange[1]),
    )
    bad("at height 0", "fraud_height", raw(kind, chain, term, 0, a, sign_a, b, sign_b))
    bad("a chain of 31 bytes", "fraud_chain", raw(kind, bytes(31), *parts[2:]))
    bad("a hash of 31 bytes", "fraud_block", raw(*parts[:4], bytes(31), *parts[5:]))
    bad("a signature of 63 bytes", "fraud_signature", raw(*parts[:7], bytes(63)))
    bad("seven parts", "fraud", raw(*parts[:7]))
    bad("kind 3", "fraud", raw(3, *parts[1:]))
    bad("kind true", "fraud", raw(True, *parts[1:]))
    bad("no array", "fraud", encoding.encode(1))


def _votes(world: World, cases: Cases) -> None:
    fed, chain, term = world.fed, world.chain, world.term
    key, other = world.witnesses[0], world.witnesses[1]
    a, b = sorted([world.rng.randbytes(32), world.rng.randbytes(32)])
    vote_a = rounds.Vote.sign(key, fed, 0, chain, 4, term, a, 7)
    vote_b = rounds.Vote.sign(key, fed, 0, chain, 4, term, b, 8)
    later_charter = rounds.Vote.sign(key, fed, 1, chain, 4, term, b, 8)
    commit_a = rounds.Commit.sign(key, fed, 0, chain, 4, term, a)
    commit_b = rounds.Commit.sign(key, fed, 0, chain, 4, term, b)
    fresh = quorum.Term(term.counter + 1, term.nonce, term.key)
    proof = fraud.two_votes(vote_b, vote_a)
    cases.good("two votes in one term", proof.encode())
    cases.good("two votes under two charters", fraud.two_votes(vote_a, later_charter).encode())
    cases.good("two commits in one term", fraud.two_votes(commit_a, commit_b).encode())

    def bad(name: str, rule: str, first: rounds.Frame, second: rounds.Frame) -> None:
        cases.bad(name, rule, raw(2, key.public, first.encode(), second.encode()))

    bad("votes in another order", "fraud_order", vote_b, vote_a)
    bad("one vote twice", "same_block", vote_a, vote_a)
    again = rounds.Vote.sign(key, fed, 0, chain, 4, term, a, 9)
    bad("two votes for one block", "same_block", vote_a, again)
    # Whoever voted for one block commits to another when it is shown a quorum for that one.
    bad("a vote and a commit", "not_same_kind", vote_a, commit_b)
    place = "not_same_place"
    bad("votes of two terms", place, vote_a, rounds.Vote.sign(key, fed, 0, chain, 4, fresh, b, 8))
    bad("votes at two heights", place, vote_a, rounds.Vote.sign(key, fed, 0, chain, 5, term, b, 8))
    bad(
        "votes on two chains",
        place,
        vote_a,
        rounds.Vote.sign(key, fed, 0, world.other, 4, term, b, 8),
    )
    bad(
        "votes of two witnesses",
        place,
        vote_a,
        rounds.Vote.sign(other, fed, 0, chain, 4, term, b, 8),
    )
    forged = rounds.Vote(0, chain, 4, term, b, 8, key.public, vote_a.signature)
    bad("a vote that was not signed", "signature", vote_a, forged)
    frames = (vote_a.encode(), vote_b.encode())
    cases.bad("of another witness than the votes", place, raw(2, other.public, *frames))
    cases.bad("votes that are none", "fraud_frame", raw(2, key.public, raw(9, b""), frames[1]))
    cases.bad(
        "a vote with a byte behind",
        "trailing_bytes",
        raw(2, key.public, frames[0] + b"\0", frames[1]),
    )
    cases.bad("three votes", "fraud", raw(2, key.public, *frames, frames[1]))
