"""Who is in a synthetic federation: keys, founding document, certificates, all from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nacl import bindings

from maillon.ledger.block import (
    Header,
)
from maillon.ledger.charter import CharterChain
from maillon.ledger.charter_entries import CharterEntry, encode_charter_entry
from maillon.ledger.charter_proposals import approve, proposal_hash
from maillon.ledger.quorum import Certificate, Committee, Term, commit_body
from maillon.ledger.signing import COMMIT, sign
from maillon.protocol.founding import Founding, FoundingCoop, FoundingFile, LedgerTerms, Unit
from maillon.protocol.ids import Key
from maillon.protocol.keys import SigningKey, signing_bytes

START: Final = 1_767_225_600  # 1 January 2026
MEMBERS_LIMIT: Final = 600_000  # ten thousand hours: a random walk stays above it
COOP_LIMIT: Final = 60_000_000
NAMES: Final = ("Coop du Bugey", "Coop de la Dombes", "Coop du Revermont", "Coop du Valromey")
UNITS: Final = (
    Unit("h", "hours", 0, "Heures"),
    Unit("grain", "credit", 2, "Grains"),
    Unit("fois", "count", 0, "Échanges"),
)
CATEGORIES: Final = ("jardin", "bricolage", "garde", "informatique", "")


class FastKey:
    """Sign as a SigningKey does, with libsodium: a million orders are signed in seconds."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.public = Key(public)

    def raw(self, message: bytes) -> bytes:
        """Return the signature (64) of bytes as they are."""
        return bindings.crypto_sign(message, self._secret)[:64]

    def sign(self, purpose: str, body: bytes) -> bytes:
        """Return the signature (64) over a body for a purpose."""
        return self.raw(signing_bytes(purpose, body))


def key_of(*label: object) -> FastKey:
    """Return the key of a label."""
    return FastKey(hashlib.sha256(repr(label).encode()).digest())


@dataclass(frozen=True)
class Plan:
    """What a corpus is to be: how many payments, coops, members of each, entries a block.

    `cross` of the payments go to another coop, and `mistyped` of these name no account there.
    `variety` of the entries are others: holds, their ends, mandates, limits, settlements, exchanges
    that only count. `pace`: how many times slower than a block an hour. `epochs`: half way a
    witness key is replaced by the charter, and then the old epoch is retired.
    """

    transfers: int
    coops: int = 3
    members: int = 20
    per_block: int = 100
    cross: float = 0.15
    variety: float = 0.1
    seed: int = 1
    epochs: bool = False
    pace: int = 1
    mistyped: float = 0.02


def account_of(plan: Plan, place: int, number: int) -> bytes:
    """Return the account of a member of the coop at a place."""
    return hashlib.sha256(f"{plan.seed} {place} {number}".encode()).digest()[:16]


def witness_keys(plan: Plan, epoch: int = 0) -> list[FastKey]:
    """Return the witnesses' keys, in charter order; from epoch 1 on the first is another."""
    return [
        key_of(plan.seed, "witness", i, 1 if epoch and i == 0 else 0) for i in range(plan.coops)
    ]


def make_founding(plan: Plan) -> FoundingFile:
    """Return the founding file, signed by all founders."""
    coops = tuple(
        FoundingCoop(
            key_of(plan.seed, "root", i).public,
            key_of(plan.seed, "node", i).public,
            NAMES[i] if i < len(NAMES) else f"Coop n° {i + 1}",
            (),
            key_of(plan.seed, "writer", i).public,
            witness_keys(plan)[i].public,
        )
        for i in range(plan.coops)
    )
    quorum = Committee.of([coop.witness for coop in coops]).quorum
    founding = Founding(
        "Services de l'Ain",
        hashlib.sha256(f"salt {plan.seed}".encode()).digest()[:16],
        START,
        coops,
        min(2, plan.coops),
        UNITS,
        languages=("fr",),
        ledger=LedgerTerms(
            quorum, min(2, plan.coops), 86_400, 1_000, ((0, COOP_LIMIT), (1, COOP_LIMIT))
        ),
    )
    file = FoundingFile.unsigned(founding)
    for i in range(plan.coops):
        file = file.sign(SigningKey.from_seed(key_of(plan.seed, "root", i).seed))
    return file


def certify(
    plan: Plan, header: Header, committee: Committee, epoch: int, count: int = 0
) -> Certificate:
    """Return a certificate of the first `count` witnesses (0: as many as the quorum asks for)."""
    writer = key_of(plan.seed, "term", header.chain, header.c)
    term = Term(1 + header.c, hashlib.sha256(header.chain).digest()[:16], writer.public)
    body = commit_body(header.c, header.chain, header.h, term, header.hash)
    commits: dict[bytes, bytes] = {
        key.public: sign(key, COMMIT, header.fed, body)
        for key in witness_keys(plan, epoch)[: count or committee.quorum]
    }
    if count:
        committee = Committee(committee.keys, max(count, len(committee.keys) // 2 + 1))
        if count < committee.quorum:
            committee = committee_below(committee, count)
    return Certificate.gather(
        committee, header.c, header.chain, header.h, term, header.hash, commits
    )


def committee_below(committee: Committee, quorum: int) -> Committee:
    """Return a committee that takes too few for enough, to forge certificates with."""
    made = object.__new__(Committee)
    for name in ("keys", "_places"):
        object.__setattr__(made, name, getattr(committee, name))
    object.__setattr__(made, "quorum", quorum)
    return made


def charter_block(
    plan: Plan, charter: CharterChain, entries: Sequence[CharterEntry], time: int
) -> bytes:
    """Certify the charter's next block and return its bytes."""
    data = [encode_charter_entry(entry) for entry in entries]
    proposal = proposal_hash(charter.height, data)
    approvals = [
        approve(
            charter.fed,
            proposal,
            coop.id,
            SigningKey.from_seed(key_of(plan.seed, "writer", i).seed),
        )
        for i, coop in enumerate(charter.latest.members())
    ]
    block = charter.build(data, approvals, time=time)
    certificate = certify(plan, block.header, charter.latest.committee(), charter.height)
    charter.apply(block, certificate.encode())
    return charter.block(charter.height).encode()
