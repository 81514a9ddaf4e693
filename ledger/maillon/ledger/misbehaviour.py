"""Keep proofs that a writer or a witness lied, and what follows from them (spec/06-ledger.md, M).

A writer that proposed two blocks in one term freezes its chain: witnesses vote for nothing fresh
there until the charter has cleared the proof. On the charter's chain, where any coop may write,
freezing would let one liar stop everybody, so there the liar's key is barred instead.

A witness that voted twice freezes nothing: up to f of them are borne. It is reported, so that the
charter can replace it before there are more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from maillon.ledger.book import Book
from maillon.ledger.bounds import FRAUDS_MAX
from maillon.ledger.errors import NotEvidence
from maillon.ledger.fraud import (
    FraudProof,
    TwoProposals,
    TwoVotes,
    decode_fraud,
    fraud_hash,
    two_votes,
    verify_fraud,
)
from maillon.ledger.quorum import Certificate, VoteQC
from maillon.ledger.rounds import Commit, Vote
from maillon.ledger.signing import Verify
from maillon.ledger.steps import Disk, Fraud, Step, Write

SPACE: Final = "fraud"

_Convicted = tuple[int, bytes, bytes]
"""Kind of proof, chain, accused: one proof of each is kept."""


class Misbehaviour:
    """The proofs that one node knows. Shared by its witness, its writers and its network."""

    def __init__(self, book: Book, disk: Disk, verify: Verify) -> None:
        """Take over what is on disk."""
        self._book = book
        self._verify = verify
        self._proofs: dict[_Convicted, FraudProof] = {}
        for _, value in disk.scan(SPACE):
            proof = decode_fraud(value)
            self._proofs[_place(proof)] = proof

    def proofs(self) -> list[FraudProof]:
        """Return every proof known: those of before this start by hash, then as they came."""
        return list(self._proofs.values())

    def standing(self) -> list[FraudProof]:
        """Return the proofs that still ask for something: not cleared, the accused in office."""
        latest = self._book.charter.latest
        return [
            proof
            for proof in self._proofs.values()
            if (proof.chain, fraud_hash(proof)) not in latest.cleared and self._in_office(proof)
        ]

    def take(self, proof: FraudProof) -> Step:
        """Keep a proof that is new here: what to write, and what to tell. Nothing when it is known.

        Raises: NotEvidence, when a signature is not valid or the accused has no office here: anyone
        can make keys that lie.
        """
        place = _place(proof)
        if place in self._proofs:
            return Step()
        if not self._in_office(proof):
            raise NotEvidence(rule="no_office", accused=proof.accused)
        verify_fraud(proof, self._book.fed, self._verify)
        if len(self._proofs) >= FRAUDS_MAX:
            return Step()
        self._proofs[place] = proof
        return Step((Write(SPACE, fraud_hash(proof), proof.encode()),), (), (Fraud(proof),))

    def frozen(self, chain: bytes) -> TwoProposals | None:
        """Return the proof that freezes a chain, or None; the charter's chain is never frozen."""
        if chain == self._book.fed:
            return None
        return next(self._uncleared(chain), None)

    def barred(self, chain: bytes, key: bytes) -> TwoProposals | None:
        """Return the proof that bars an opener of the charter's chain, or None."""
        if chain != self._book.fed:
            return None
        return next((proof for proof in self._uncleared(chain) if proof.accused == key), None)

    def _uncleared(self, chain: bytes) -> Iterator[TwoProposals]:
        if not self._proofs:
            return
        cleared = {named for at, named in self._book.charter.latest.cleared if at == chain}
        for proof in self._proofs.values():
            if isinstance(proof, TwoProposals) and proof.chain == chain:
                if fraud_hash(proof) not in cleared:
                    yield proof

    def _in_office(self, proof: FraudProof) -> bool:
        # The charters that an honest node may still act under: the newest, and the one that
        # governs the chain.
        latest = self._book.charter.latest
        charters = [latest]
        if proof.chain == self._book.fed or proof.chain in latest.coops:
            charters.append(self._book.charter_state(self._book.governing(proof.chain)))
        if isinstance(proof, TwoVotes):
            return any(proof.accused in charter.committee() for charter in charters)
        return any(proof.accused in charter.writers(proof.chain) for charter in charters)


def _place(proof: FraudProof) -> _Convicted:
    return proof.KIND, proof.chain, proof.accused


def double_votes(a: VoteQC | Certificate, b: VoteQC | Certificate, *, fed: bytes, book: Book) -> (
    list[TwoVotes]
):  # fmt: skip
    """Return proofs against every witness that is in two quorums for different blocks of one term.

    Both must be of one kind, and verified. Two quorums of different terms convict nobody: it is
    only certain that more witnesses lied than are borne.
    """
    if type(a) is not type(b) or a.block == b.block:
        return []
    if (a.chain, a.h, a.term) != (b.chain, b.h, b.term):
        return []
    first, second = _frames(a, fed, book), _frames(b, fed, book)
    return [two_votes(first[key], second[key]) for key in first if key in second]


def _frames(quorum: VoteQC | Certificate, fed: bytes, book: Book) -> dict[bytes, Vote | Commit]:
    signers = quorum.signers(book.charter_state(quorum.c).committee())
    c, chain, h, term, block = quorum.c, quorum.chain, quorum.h, quorum.term, quorum.block
    if isinstance(quorum, VoteQC):
        return {
            key: Vote(c, chain, h, term, block, counter, key, signature)
            for key, counter, signature in zip(
                signers, quorum.counters, quorum.signatures, strict=True
            )
        }
    return {
        key: Commit(c, chain, h, term, block, key, signature)
        for key, signature in zip(signers, quorum.signatures, strict=True)
    }
