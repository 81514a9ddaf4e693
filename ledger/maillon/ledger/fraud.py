"""Prove that a writer or a witness said two things where it may say one (spec/06, "Fraud").

    [1, chain, t, h, H_a, sig_a, H_b, sig_b]     a writer proposed two blocks in one term
    [2, w, frame_a, frame_b]                     a witness voted, or committed, twice in one term

H_a < H_b, so that one pair has one proof. Nobody honest is convicted: a term has a nonce fresh at
each start of a writer, so one that forgot, or was started twice, has another term; a witness keeps
its vote before it sends it, and its key cannot be copied. A vote for one block and a commit for
another in one term is no fraud: whoever voted for X commits to Y when shown a quorum for Y.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

from maillon.ledger import _read as read
from maillon.ledger import signing
from maillon.ledger.errors import NotEvidence
from maillon.ledger.limits import FRAUD_BYTES_MAX, HASH_BYTES, HEIGHT_MAX
from maillon.ledger.quorum import Term, term_from
from maillon.ledger.rounds import Commit, Propose, Vote, propose_body
from maillon.ledger.rounds_reading import read_commit, read_vote
from maillon.ledger.signing import Check, Verify
from maillon.protocol import encoding
from maillon.protocol.ids import SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class TwoProposals:
    """Two blocks proposed by the writer `term.key` for one height in one term."""

    KIND: ClassVar[int] = 1
    chain: bytes
    term: Term
    h: int
    block_a: bytes
    signature_a: bytes
    block_b: bytes
    signature_b: bytes

    @property
    def accused(self) -> bytes:
        """Return the key of who signed both."""
        return self.term.key

    def encode(self) -> bytes:
        """Return the proof's bytes."""
        return encoding.encode(
            [
                self.KIND,
                self.chain,
                self.term.array(),
                self.h,
                self.block_a,
                self.signature_a,
                self.block_b,
                self.signature_b,
            ],
            bytes_max=FRAUD_BYTES_MAX,
        )

    def checks(self, fed: bytes) -> list[Check]:
        """Return the two signatures that have to be valid."""
        return [
            (
                self.term.key,
                signing.signed_bytes(
                    signing.PROPOSE, fed, propose_body(self.chain, self.term, self.h, block)
                ),
                signature,
            )
            for block, signature in (
                (self.block_a, self.signature_a),
                (self.block_b, self.signature_b),
            )
        ]


@dataclass(frozen=True, slots=True)
class TwoVotes:
    """Two votes, or two commits, of one witness for different blocks at one height in one term."""

    KIND: ClassVar[int] = 2
    first: Vote | Commit
    second: Vote | Commit

    @property
    def accused(self) -> bytes:
        """Return the key of who signed both."""
        return self.first.witness

    @property
    def chain(self) -> bytes:
        """Return the chain it happened on."""
        return self.first.chain

    @property
    def term(self) -> Term:
        """Return the term it happened in."""
        return self.first.term

    @property
    def h(self) -> int:
        """Return the height it happened at."""
        return self.first.h

    def encode(self) -> bytes:
        """Return the proof's bytes."""
        return encoding.encode(
            [self.KIND, self.accused, self.first.encode(), self.second.encode()],
            bytes_max=FRAUD_BYTES_MAX,
        )

    def checks(self, fed: bytes) -> list[Check]:
        """Return the two signatures that have to be valid."""
        return [self.first.check(fed), self.second.check(fed)]


FraudProof = TwoProposals | TwoVotes


def two_proposals(a: Propose, b: Propose) -> TwoProposals:
    """Make the proof out of two proposals. Raises: NotEvidence when they prove nothing."""
    if (a.chain, a.term, a.h) != (b.chain, b.term, b.h):
        raise NotEvidence(rule="not_same_place")
    if a.block.hash == b.block.hash:
        raise NotEvidence(rule="same_block")
    if a.block.hash > b.block.hash:
        a, b = b, a
    return TwoProposals(a.chain, a.term, a.h, a.block.hash, a.signature, b.block.hash, b.signature)


def two_votes(a: Vote | Commit, b: Vote | Commit) -> TwoVotes:
    """Make the proof out of two votes or two commits. Raises: NotEvidence."""
    _same_place(a, b)
    if a.block == b.block:
        raise NotEvidence(rule="same_block")
    return TwoVotes(a, b) if a.block < b.block else TwoVotes(b, a)


def _same_place(a: Vote | Commit, b: Vote | Commit) -> None:
    if a.TYPE != b.TYPE:
        raise NotEvidence(rule="not_same_kind")
    if (a.witness, a.chain, a.term, a.h) != (b.witness, b.chain, b.term, b.h):
        raise NotEvidence(rule="not_same_place")


def decode_fraud(data: bytes) -> FraudProof:
    """Read a proof; its signatures are not verified.

    Raises: Malformed and its kinds, BadKey, NotEvidence when it proves nothing, whoever signed.
    """
    parts = read.array(data, FRAUD_BYTES_MAX, "fraud")
    kind = parts[0] if parts and type(parts[0]) is int else 0
    if kind == TwoProposals.KIND and len(parts) == 8:
        _, chain, term, h, block_a, signature_a, block_b, signature_b = parts
        proposals = TwoProposals(
            read.fixed(chain, HASH_BYTES, "fraud_chain"),
            term_from(term),
            read.number(h, "fraud_height", 1, HEIGHT_MAX),
            read.fixed(block_a, HASH_BYTES, "fraud_block"),
            read.fixed(signature_a, SIGNATURE_BYTES, "fraud_signature"),
            read.fixed(block_b, HASH_BYTES, "fraud_block"),
            read.fixed(signature_b, SIGNATURE_BYTES, "fraud_signature"),
        )
        _ordered(proposals.block_a, proposals.block_b)
        return proposals
    if kind == TwoVotes.KIND and len(parts) == 4:
        votes = TwoVotes(_frame(parts[2]), _frame(parts[3]))
        _same_place(votes.first, votes.second)
        _ordered(votes.first.block, votes.second.block)
        if parts[1] != votes.accused:
            raise NotEvidence(rule="not_same_place")
        return votes
    read.refuse("fraud")


def _ordered(a: bytes, b: bytes) -> None:
    if a == b:
        raise NotEvidence(rule="same_block")
    if a > b:
        read.refuse("fraud_order")


def _frame(value: Any) -> Vote | Commit:
    data = read.bounded(value, FRAUD_BYTES_MAX, "fraud_frame")
    parts = read.array(data, FRAUD_BYTES_MAX, "fraud_frame")
    type_ = parts[0] if parts and type(parts[0]) is int else 0
    if type_ == Vote.TYPE:
        return read_vote(parts)
    if type_ == Commit.TYPE:
        return read_commit(parts)
    read.refuse("fraud_frame")


def verify_fraud(proof: FraudProof, fed: bytes, verify: Verify) -> None:
    """Return when both signatures are valid, so that the accused is convicted.

    That the key is a writer's of that chain, or a witness's, is for the caller to look up. Raises:
    NotEvidence (rule `signature`).
    """
    if not all(verify(proof.checks(fed))):
        raise NotEvidence(rule="signature")


def fraud_hash(proof: FraudProof) -> bytes:
    """Return SHA-256("maillon/1/fraud" 0x00 proof bytes), by which a charter clears a chain."""
    return hashlib.sha256(b"maillon/1/fraud\0" + proof.encode()).digest()
