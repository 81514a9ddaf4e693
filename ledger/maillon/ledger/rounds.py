"""The messages of which a certified block is made (spec/06-blocks.md, "Messages", 1 to 10).

Each is an array that begins with its number. What is signed is a part of it, the body; what a
message carries beside (certificates, blocks) proves itself. Signatures are verified by whoever
handles a message: `check(fed)` says what to verify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from typing import Final as Constant

from maillon.ledger import _read as read
from maillon.ledger import signing
from maillon.ledger.block import Block, block_from
from maillon.ledger.limits import (
    BLOCK_BYTES_MAX,
)
from maillon.ledger.quorum import (
    Certificate,
    Term,
    VoteQC,
    commit_body,
    decode_certificate,
    decode_vote_qc,
    vote_body,
)
from maillon.ledger.signing import Check, Signer
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.limits import FRAME_BYTES_MAX

REASONS: Constant = (
    "term",
    "lease",
    "frozen",
    "unauthorised",
    "not_witness",
    "not_opened",
    "height",
    "locked",
    "voted",
    "invalid",
    "time",
    "charter_old",
    "confirmed_hold",
    "quota",
    "unknown_chain",
    "counter",
)
"""Why a witness refuses; what each means is in spec/06-ledger.md."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A message: `TYPE` is its number."""

    TYPE: ClassVar[int] = 0

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        raise NotImplementedError

    def encode(self) -> bytes:
        """Return the message's bytes. Raises: EncodingError beyond a frame."""
        return encoding.encode(self.array(), bytes_max=FRAME_BYTES_MAX)


def prepare_body(chain: bytes, term: Term) -> bytes:
    """Return what a PREPARE signs: [chain, t]."""
    return encoding.encode([chain, term.array()])


def propose_body(chain: bytes, term: Term, h: int, block: bytes) -> bytes:
    """Return what a PROPOSE signs: [chain, t, h, H]."""
    return encoding.encode([chain, term.array(), h, block])


@dataclass(frozen=True, slots=True)
class Echo:
    """The last vote that a writer holds from the witness it speaks to (W8)."""

    c: int
    chain: bytes
    h: int
    term: Term
    block: bytes
    counter: int
    signature: bytes

    def array(self) -> list[Encodable]:
        """Return the echo as it is encoded."""
        return [
            self.c,
            self.chain,
            self.h,
            self.term.array(),
            self.block,
            self.counter,
            self.signature,
        ]

    def check(self, fed: bytes, witness: bytes) -> Check:
        """Return what has to be verified: a vote of this witness's."""
        body = vote_body(self.c, self.chain, self.h, self.term, self.block, self.counter)
        return witness, signing.signed_bytes(signing.VOTE, fed, body), self.signature


def _echo_array(echo: Echo | None) -> list[Encodable]:
    return [] if echo is None else echo.array()


@dataclass(frozen=True, slots=True)
class Prepare(Frame):
    """P1: a writer asks for promises for its term."""

    TYPE: ClassVar[int] = 1
    chain: bytes
    term: Term
    signature: bytes
    echo: Echo | None = None

    @classmethod
    def sign(
        cls, key: Signer, fed: bytes, chain: bytes, term: Term, echo: Echo | None = None
    ) -> Prepare:
        """Make one; `key` is the term's."""
        signature = signing.sign(key, signing.PREPARE, fed, prepare_body(chain, term))
        return cls(chain, term, signature, echo)

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [
            self.TYPE,
            self.chain,
            self.term.array(),
            self.signature,
            _echo_array(self.echo),
        ]

    def check(self, fed: bytes) -> Check:
        """Return what has to be verified: the writer's signature."""
        body = prepare_body(self.chain, self.term)
        return self.term.key, signing.signed_bytes(signing.PREPARE, fed, body), self.signature


@dataclass(frozen=True, slots=True)
class LockAt:
    """What a promise says is locked: height, term and hash."""

    h: int
    term: Term
    block: bytes

    def array(self) -> list[Encodable]:
        """Return the lock as it is encoded."""
        return [self.h, self.term.array(), self.block]


def promise_body(chain: bytes, term: Term, head_h: int, head: bytes, lock: LockAt | None) -> bytes:
    """Return what a PROMISE signs: [chain, t, [h, H], lock]; no lock is []."""
    locked: list[Encodable] = [] if lock is None else lock.array()
    return encoding.encode([chain, term.array(), [head_h, head], locked])


@dataclass(frozen=True, slots=True)
class Promise(Frame):
    """W1: a witness promises to follow no lower term, and says where it stands.

    `head_h`, `head` are its head, `certificate` that one's (b"" at the genesis, and in an OPEN
    where an earlier promise carries the same); `lock` what it has locked at head + 1, `lock_qc` the
    votes for it and `lock_block` [header, body] encoded (b"" in an OPEN).
    """

    TYPE: ClassVar[int] = 2
    chain: bytes
    term: Term
    head_h: int
    head: bytes
    lock: LockAt | None
    witness: bytes
    signature: bytes
    certificate: bytes = b""
    lock_qc: bytes = b""
    lock_block: bytes = b""

    @classmethod
    def sign(
        cls,
        key: Signer,
        fed: bytes,
        chain: bytes,
        term: Term,
        head_h: int,
        head: bytes,
        lock: LockAt | None = None,
        *,
        certificate: bytes = b"",
        lock_qc: bytes = b"",
        lock_block: bytes = b"",
    ) -> Promise:
        """Make one."""
        body = promise_body(chain, term, head_h, head, lock)
        signature = signing.sign(key, signing.PROMISE, fed, body)
        return cls(
            chain,
            term,
            head_h,
            head,
            lock,
            key.public,
            signature,
            certificate,
            lock_qc,
            lock_block,
        )

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [
            self.TYPE,
            self.chain,
            self.term.array(),
            [self.head_h, self.head],
            [] if self.lock is None else self.lock.array(),
            self.witness,
            self.signature,
            self.certificate,
            self.lock_qc,
            self.lock_block,
        ]

    def check(self, fed: bytes) -> Check:
        """Return what has to be verified: the witness's signature."""
        body = promise_body(self.chain, self.term, self.head_h, self.head, self.lock)
        return self.witness, signing.signed_bytes(signing.PROMISE, fed, body), self.signature

    def head_certificate(self) -> Certificate:
        """Read the head's certificate. Raises: Malformed."""
        return decode_certificate(self.certificate)

    def lock_votes(self) -> VoteQC:
        """Read the votes for the lock. Raises: Malformed."""
        return decode_vote_qc(self.lock_qc)

    def locked_block(self) -> Block:
        """Read the locked block. Raises: Malformed."""
        return decode_proposed(self.lock_block)


def encode_proposed(block: Block) -> bytes:
    """Return [header bytes, body bytes] encoded, as `Promise.lock_block` carries a block."""
    return encoding.encode(block.proposal(), bytes_max=BLOCK_BYTES_MAX)


def decode_proposed(data: bytes) -> Block:
    """Read a block without certificate. Raises: Malformed and its kinds."""
    parts = read.array(data, BLOCK_BYTES_MAX, "block")
    if len(parts) != 2:
        read.refuse("block")
    return block_from(parts)


def refuse_body(chain: bytes, term: Term, h: int, reason: str, evidence_hash: bytes) -> bytes:
    """Return what a REFUSE signs: [chain, t, h, reason, evidence hash]."""
    return encoding.encode([chain, term.array(), h, reason, evidence_hash])


def evidence_hash(evidence: bytes) -> bytes:
    """Return SHA-256 of what a refusal encloses; b"" of nothing."""
    return hashlib.sha256(evidence).digest() if evidence else b""


@dataclass(frozen=True, slots=True)
class Refuse(Frame):
    """A witness refuses what was asked in `term`; `h` is its head's height.

    `evidence` is the signed PREPARE of the higher term when `reason` is "term", and words and facts
    when it is "invalid".
    """

    TYPE: ClassVar[int] = 3
    chain: bytes
    term: Term
    h: int
    reason: str
    witness: bytes
    signature: bytes
    evidence: bytes = b""

    @classmethod
    def sign(
        cls,
        key: Signer,
        fed: bytes,
        chain: bytes,
        term: Term,
        h: int,
        reason: str,
        evidence: bytes = b"",
    ) -> Refuse:
        """Make one."""
        body = refuse_body(chain, term, h, reason, evidence_hash(evidence))
        signature = signing.sign(key, signing.REFUSE, fed, body)
        return cls(chain, term, h, reason, key.public, signature, evidence)

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [
            self.TYPE,
            self.chain,
            self.term.array(),
            self.h,
            self.reason,
            evidence_hash(self.evidence),
            self.witness,
            self.signature,
            self.evidence,
        ]

    def check(self, fed: bytes) -> Check:
        """Return what has to be verified: the witness's signature."""
        named = evidence_hash(self.evidence)
        body = refuse_body(self.chain, self.term, self.h, self.reason, named)
        return self.witness, signing.signed_bytes(signing.REFUSE, fed, body), self.signature


@dataclass(frozen=True, slots=True)
class Opening(Frame):
    """OPEN: W2: a writer shows the promises, at least a quorum, that its term stands on."""

    TYPE: ClassVar[int] = 4
    chain: bytes
    term: Term
    promises: tuple[Promise, ...]

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        promises: list[Encodable] = [promise.encode() for promise in self.promises]
        return [self.TYPE, self.chain, self.term.array(), promises]


@dataclass(frozen=True, slots=True)
class Propose(Frame):
    """W3: a writer proposes a block for the next height."""

    TYPE: ClassVar[int] = 5
    chain: bytes
    term: Term
    h: int
    block: Block
    signature: bytes
    echo: Echo | None = None

    @classmethod
    def sign(
        cls, key: Signer, fed: bytes, term: Term, block: Block, echo: Echo | None = None
    ) -> Propose:
        """Make one; `key` is the term's."""
        body = propose_body(block.chain, term, block.h, block.hash)
        signature = signing.sign(key, signing.PROPOSE, fed, body)
        return cls(block.chain, term, block.h, block, signature, echo)

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [
            self.TYPE,
            self.chain,
            self.term.array(),
            self.h,
            self.block.proposal(),
            self.signature,
            _echo_array(self.echo),
        ]

    def check(self, fed: bytes) -> Check:
        """Return what has to be verified: the writer's signature."""
        body = propose_body(self.chain, self.term, self.h, self.block.hash)
        return self.term.key, signing.signed_bytes(signing.PROPOSE, fed, body), self.signature


@dataclass(frozen=True, slots=True)
class Vote(Frame):
    """A witness votes for a block in a term; `counter` numbers its votes on this chain."""

    TYPE: ClassVar[int] = 6
    c: int
    chain: bytes
    h: int
    term: Term
    block: bytes
    counter: int
    witness: bytes
    signature: bytes

    @classmethod
    def sign(
        cls,
        key: Signer,
        fed: bytes,
        c: int,
        chain: bytes,
        h: int,
        term: Term,
        block: bytes,
        counter: int,
    ) -> Vote:
        """Make one."""
        body = vote_body(c, chain, h, term, block, counter)
        signature = signing.sign(key, signing.VOTE, fed, body)
        return cls(c, chain, h, term, block, counter, key.public, signature)

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [
            self.TYPE,
            self.c,
            self.chain,
            self.h,
            self.term.array(),
            self.block,
            self.counter,
            self.witness,
            self.signature,
        ]

    def check(self, fed: bytes) -> Check:
        """Return what has to be verified: the witness's signature."""
        body = vote_body(self.c, self.chain, self.h, self.term, self.block, self.counter)
        return self.witness, signing.signed_bytes(signing.VOTE, fed, body), self.signature

    def echo(self) -> Echo:
        """Return this vote as the writer echoes it to its witness."""
        return Echo(self.c, self.chain, self.h, self.term, self.block, self.counter, self.signature)


@dataclass(frozen=True, slots=True)
class Lock(Frame):
    """W4: a writer shows a quorum of votes."""

    TYPE: ClassVar[int] = 7
    votes: VoteQC

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.votes.encode()]


@dataclass(frozen=True, slots=True)
class Commit(Frame):
    """A witness has locked a block: a quorum of these is its certificate."""

    TYPE: ClassVar[int] = 8
    c: int
    chain: bytes
    h: int
    term: Term
    block: bytes
    witness: bytes
    signature: bytes

    @classmethod
    def sign(
        cls, key: Signer, fed: bytes, c: int, chain: bytes, h: int, term: Term, block: bytes
    ) -> Commit:
        """Make one."""
        body = commit_body(c, chain, h, term, block)
        signature = signing.sign(key, signing.COMMIT, fed, body)
        return cls(c, chain, h, term, block, key.public, signature)

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [
            self.TYPE,
            self.c,
            self.chain,
            self.h,
            self.term.array(),
            self.block,
            self.witness,
            self.signature,
        ]

    def check(self, fed: bytes) -> Check:
        """Return what has to be verified: the witness's signature."""
        body = commit_body(self.c, self.chain, self.h, self.term, self.block)
        return self.witness, signing.signed_bytes(signing.COMMIT, fed, body), self.signature


@dataclass(frozen=True, slots=True)
class Final(Frame):
    """W5: a block's certificate."""

    TYPE: ClassVar[int] = 9
    certificate: Certificate

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.certificate.encode()]


@dataclass(frozen=True, slots=True)
class Done(Frame):
    """The answer to FINAL: the block is applied, or was."""

    TYPE: ClassVar[int] = 10
    chain: bytes
    h: int
    block: bytes

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.chain, self.h, self.block]


ROUNDS: Constant[Sequence[type[Frame]]] = (
    Prepare,
    Promise,
    Refuse,
    Opening,
    Propose,
    Vote,
    Lock,
    Commit,
    Final,
    Done,
)
"""The messages above in the order of their numbers."""
