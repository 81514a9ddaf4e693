"""Read the messages of which a certified block is made (spec/06-blocks.md, "Messages").

Each function takes the decoded array, whose first item is the message's number, and refuses every
shape that is not exactly that message's.
"""

from __future__ import annotations

from typing import Any

from maillon.ledger import _read as read
from maillon.ledger.block import block_from
from maillon.ledger.limits import (
    BLOCK_BYTES_MAX,
    CERTIFICATE_BYTES_MAX,
    COUNTER_MAX,
    HASH_BYTES,
    HEIGHT_MAX,
    REASON_FACTS_BYTES_MAX,
    VOTE_QC_BYTES_MAX,
)
from maillon.ledger.orders import good_key
from maillon.ledger.quorum import decode_certificate, decode_vote_qc, term_from
from maillon.ledger.rounds import (
    REASONS,
    Commit,
    Done,
    Echo,
    Final,
    Lock,
    LockAt,
    Opening,
    Prepare,
    Promise,
    Propose,
    Refuse,
    Vote,
    evidence_hash,
)
from maillon.protocol.ids import SIGNATURE_BYTES
from maillon.protocol.limits import FRAME_BYTES_MAX, WITNESSES_MAX


def _hash(value: Any) -> bytes:
    return read.fixed(value, HASH_BYTES, "block_hash")


def _signature(value: Any) -> bytes:
    return read.fixed(value, SIGNATURE_BYTES, "signature")


def read_prepare(parts: list[Any]) -> Prepare:
    """Read message 1."""
    _, chain, term, signature, echo = read.exactly(parts, 5)
    return Prepare(read.chain(chain), term_from(term), _signature(signature), _echo(echo))


def read_promise(parts: list[Any]) -> Promise:
    """Read message 2."""
    _, chain, term, head, lock, witness, signature, certificate, qc, block = read.exactly(parts, 10)
    head_h, head_hash = read.items(head, "head", 2, 2)
    locked = read.items(lock, "lock", 0, 3)
    if len(locked) not in (0, 3):
        read.refuse("lock")
    promise = Promise(
        read.chain(chain),
        term_from(term),
        read.height(head_h, 0),
        _hash(head_hash),
        LockAt(read.height(locked[0]), term_from(locked[1]), _hash(locked[2])) if locked else None,
        good_key(witness, "witness"),
        _signature(signature),
        read.bounded(certificate, CERTIFICATE_BYTES_MAX, "certificate"),
        read.bounded(qc, VOTE_QC_BYTES_MAX, "vote_qc"),
        read.bounded(block, BLOCK_BYTES_MAX, "block"),
    )
    if promise.lock is None and (promise.lock_qc or promise.lock_block):
        read.refuse("lock")
    if promise.head_h == 0 and promise.certificate:
        read.refuse("certificate")
    return promise


def read_refuse(parts: list[Any]) -> Refuse:
    """Read message 3."""
    _, chain, term, h, reason, named, witness, signature, evidence = read.exactly(parts, 9)
    if type(reason) is not str or reason not in REASONS:
        read.refuse("reason")
    refuse = Refuse(
        read.chain(chain),
        term_from(term),
        read.height(h, 0),
        reason,
        good_key(witness, "witness"),
        _signature(signature),
        read.bounded(evidence, REASON_FACTS_BYTES_MAX, "evidence"),
    )
    if named != evidence_hash(refuse.evidence):
        read.refuse("evidence_hash")
    return refuse


def read_opening(parts: list[Any]) -> Opening:
    """Read message 4."""
    _, chain, term, promises = read.exactly(parts, 4)
    return Opening(
        read.chain(chain),
        term_from(term),
        tuple(
            read_promise(_typed(item, Promise.TYPE))
            for item in read.items(promises, "promises", 1, WITNESSES_MAX)
        ),
    )


def _typed(value: Any, type_: int) -> list[Any]:
    parts = read.array(read.bounded(value, FRAME_BYTES_MAX, "message"), FRAME_BYTES_MAX, "message")
    if not parts or type(parts[0]) is not int or parts[0] != type_:
        read.refuse("message_type")
    return parts


def read_propose(parts: list[Any]) -> Propose:
    """Read message 5."""
    _, chain, term, h, block, signature, echo = read.exactly(parts, 7)
    proposed = block_from(read.items(block, "block", 2, 2))
    propose = Propose(
        read.chain(chain),
        term_from(term),
        read.height(h),
        proposed,
        _signature(signature),
        _echo(echo),
    )
    if proposed.chain != propose.chain or proposed.h != propose.h:
        read.refuse("block")
    return propose


def read_vote(parts: list[Any]) -> Vote:
    """Read message 6."""
    _, c, chain, h, term, block, counter, witness, signature = read.exactly(parts, 9)
    return Vote(
        read.number(c, "charter"),
        read.chain(chain),
        read.height(h),
        term_from(term),
        _hash(block),
        read.number(counter, "counter", 1, COUNTER_MAX),
        good_key(witness, "witness"),
        _signature(signature),
    )


def read_lock(parts: list[Any]) -> Lock:
    """Read message 7."""
    return Lock(
        decode_vote_qc(read.bounded(read.exactly(parts, 2)[1], VOTE_QC_BYTES_MAX, "vote_qc"))
    )


def read_commit(parts: list[Any]) -> Commit:
    """Read message 8."""
    _, c, chain, h, term, block, witness, signature = read.exactly(parts, 8)
    return Commit(
        read.number(c, "charter"),
        read.chain(chain),
        read.height(h),
        term_from(term),
        _hash(block),
        good_key(witness, "witness"),
        _signature(signature),
    )


def read_final(parts: list[Any]) -> Final:
    """Read message 9."""
    data = read.bounded(read.exactly(parts, 2)[1], CERTIFICATE_BYTES_MAX, "certificate")
    return Final(decode_certificate(data))


def read_done(parts: list[Any]) -> Done:
    """Read message 10."""
    _, chain, h, block = read.exactly(parts, 4)
    return Done(read.chain(chain), read.height(h), _hash(block))


def _echo(value: Any) -> Echo | None:
    parts = read.items(value, "echo", 0, 7)
    if not parts:
        return None
    if len(parts) != 7:
        read.refuse("echo")
    c, chain, h, term, block, counter, signature = parts
    return Echo(
        read.number(c, "echo"),
        read.fixed(chain, HASH_BYTES, "echo"),
        read.number(h, "echo", 1, HEIGHT_MAX),
        term_from(term),
        read.fixed(block, HASH_BYTES, "echo"),
        read.number(counter, "echo", 1, COUNTER_MAX),
        read.fixed(signature, SIGNATURE_BYTES, "echo"),
    )
