"""Claims about messages and fraud proofs that the vectors do not say (spec/06-blocks.md)."""

from __future__ import annotations

import random

import pytest

from maillon.ledger import fraud, messages, rounds, signing
from maillon.ledger.block import Block, Body, Header, Placed, genesis_hash, history_leaf
from maillon.ledger.errors import NotEvidence
from maillon.ledger.limits import CERTIFICATE_BYTES_MAX, ENTRIES_MAX, FRAUD_BYTES_MAX
from maillon.ledger.merkle import root
from maillon.ledger.quorum import Certificate, Term, VoteQC, default_quorum
from maillon.ledger.steps import NeedsBlocks, Send, Step, Write
from maillon.protocol import gossip
from maillon.protocol.errors import Malformed, WrongVersion
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import FRAME_BYTES_MAX, INT_MAX, WITNESSES_MAX

RNG = random.Random(23)
FED, CHAIN = RNG.randbytes(32), RNG.randbytes(32)
WRITER, WITNESS = (SigningKey.from_seed(RNG.randbytes(32)) for _ in range(2))
TERM = Term(2, RNG.randbytes(16), WRITER.public)
GREATEST = Term(INT_MAX, b"\xff" * 16, WRITER.public)


def block_of(body: Body, h: int = 1) -> Block:
    genesis = genesis_hash(FED, CHAIN)
    history = root([history_leaf(genesis)])
    header = Header(
        FED, CHAIN, h, genesis, 0, 0, 1_767_225_600, body.root(), len(body.entries),
        RNG.randbytes(32), history, body.size(),
    )  # fmt: skip
    return Block(header, body)


def largest_certificate(signers: int) -> Certificate:
    ones = b"\xff" * 32
    return Certificate(
        INT_MAX, CHAIN, INT_MAX, GREATEST, ones, b"\xff" * 8, (b"\xff" * 64,) * signers
    )


def test_the_messages_are_numbered_as_the_specification_numbers_them() -> None:
    types = [kind.TYPE for kind in messages.Message.__args__]
    assert types == list(range(1, 25))
    assert [kind.TYPE for kind in rounds.ROUNDS] == list(range(1, 11))


def test_a_promise_with_the_largest_block_locked_fits_a_frame() -> None:
    body = Body(tuple(Placed(RNG.randbytes(32), RNG.randbytes(450)) for _ in range(ENTRIES_MAX)))
    block = block_of(body)
    certificate = largest_certificate(WITNESSES_MAX)
    votes = VoteQC(
        INT_MAX, CHAIN, INT_MAX, GREATEST, bytes(32), b"\xff" * 8,
        (b"\xff" * 64,) * WITNESSES_MAX, (INT_MAX,) * WITNESSES_MAX,
    )  # fmt: skip
    promise = rounds.Promise.sign(
        WITNESS, FED, CHAIN, GREATEST, INT_MAX, bytes(32),
        rounds.LockAt(INT_MAX, GREATEST, block.hash),
        certificate=certificate.encode(), lock_qc=votes.encode(),
        lock_block=rounds.encode_proposed(block),
    )  # fmt: skip
    data = messages.encode_message(promise)
    assert len(data) <= FRAME_BYTES_MAX
    assert messages.decode_message(data) == promise
    assert promise.locked_block().hash == block.hash
    assert promise.lock_votes() == votes
    assert promise.head_certificate() == certificate


def test_an_opening_by_the_largest_committee_with_heads_all_different_fits_a_frame() -> None:
    q = default_quorum(WITNESSES_MAX)
    certificate = largest_certificate(q).encode()
    assert len(certificate) <= CERTIFICATE_BYTES_MAX
    promise = rounds.Promise.sign(
        WITNESS, FED, CHAIN, GREATEST, INT_MAX, bytes(32),
        rounds.LockAt(INT_MAX, GREATEST, bytes(32)), certificate=certificate,
    )  # fmt: skip
    opening = rounds.Opening(CHAIN, GREATEST, (promise,) * q)
    data = messages.encode_message(opening)
    assert len(data) <= FRAME_BYTES_MAX
    assert messages.decode_message(data) == opening


def test_a_refusal_signs_what_it_encloses() -> None:
    refuse = rounds.Refuse.sign(WITNESS, FED, CHAIN, TERM, 3, "invalid", b"bad_block count")
    other = rounds.Refuse(
        refuse.chain, refuse.term, refuse.h, refuse.reason, refuse.witness, refuse.signature,
        b"bad_block size",
    )  # fmt: skip
    assert signing.inline_verify([refuse.check(FED), other.check(FED)]) == [True, False]


def test_an_echo_is_the_vote_of_the_witness_it_is_sent_to() -> None:
    vote = rounds.Vote.sign(WITNESS, FED, 0, CHAIN, 1, TERM, bytes(32), 5)
    echo = vote.echo()
    checks = [echo.check(FED, WITNESS.public), echo.check(FED, WRITER.public)]
    assert signing.inline_verify(checks) == [True, False]


def test_hints_and_records_are_told_apart_by_their_first_bytes() -> None:
    hints = messages.encode_hints([messages.FraudHint(b"\x90")])
    [records] = gossip.encode_batches([b"\x90"])
    assert messages.is_hints(hints) and not messages.is_hints(records)
    with pytest.raises(WrongVersion):
        gossip.decode_batch(hints)
    with pytest.raises(WrongVersion):
        messages.decode_hints(records)


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(Malformed) as caught:
        messages.decode_message(bytes(FRAME_BYTES_MAX + 1))
    assert caught.value.rule == "total_length"


# --- Fraud ---------------------------------------------------------------------------------------


def proposals() -> tuple[rounds.Propose, rounds.Propose]:
    blocks = (block_of(Body()), block_of(Body()))
    first, second = (rounds.Propose.sign(WRITER, FED, TERM, block) for block in blocks)
    return first, second


def vote(block: bytes, *, h: int = 1, term: Term = TERM, counter: int = 1) -> rounds.Vote:
    return rounds.Vote.sign(WITNESS, FED, 0, CHAIN, h, term, block, counter)


def test_two_proposals_convict_the_writer_whichever_came_first() -> None:
    first, second = proposals()
    proof = fraud.two_proposals(first, second)
    assert fraud.two_proposals(second, first) == proof
    fraud.verify_fraud(proof, FED, signing.inline_verify)
    assert proof.accused == WRITER.public
    assert fraud.decode_fraud(proof.encode()) == proof


def test_a_writer_started_twice_or_restored_from_a_backup_is_not_convicted() -> None:
    first, second = proposals()
    # Each start draws a nonce, so the same counter and key make another term.
    other = Term(TERM.counter, RNG.randbytes(16), TERM.key)
    again = rounds.Propose.sign(WRITER, FED, other, second.block)
    with pytest.raises(NotEvidence):
        fraud.two_proposals(first, again)


def test_a_proposal_repeated_is_no_fraud() -> None:
    first, _ = proposals()
    again = rounds.Propose.sign(WRITER, FED, TERM, first.block, vote(bytes(32)).echo())
    with pytest.raises(NotEvidence):
        fraud.two_proposals(first, again)


def test_what_an_honest_witness_signs_never_convicts_it() -> None:
    a, b = RNG.randbytes(32), RNG.randbytes(32)
    later = Term(TERM.counter + 1, TERM.nonce, TERM.key)
    commit_b = rounds.Commit.sign(WITNESS, FED, 0, CHAIN, 1, TERM, b)
    said: list[rounds.Vote | rounds.Commit] = [
        vote(a),
        vote(a, counter=2),  # the same vote once more
        vote(b, h=2, counter=3),
        vote(b, term=later, counter=4),
        commit_b,  # shown a quorum for b in the term in which it voted for a
        rounds.Commit.sign(WITNESS, FED, 0, CHAIN, 1, later, a),
    ]
    for first in said:
        for second in said:
            with pytest.raises(NotEvidence):
                fraud.two_votes(first, second)


def test_nobody_is_convicted_by_signatures_of_others() -> None:
    first, second = proposals()
    stranger = SigningKey.from_seed(bytes(32))
    forged = rounds.Propose.sign(stranger, FED, TERM, second.block)
    with pytest.raises(NotEvidence) as caught:
        fraud.verify_fraud(fraud.two_proposals(first, forged), FED, signing.inline_verify)
    assert caught.value.rule == "signature"
    elsewhere = rounds.Propose.sign(WRITER, CHAIN, TERM, second.block)
    with pytest.raises(NotEvidence):
        fraud.verify_fraud(fraud.two_proposals(first, elsewhere), FED, signing.inline_verify)


def test_one_fraud_has_one_proof_and_one_hash() -> None:
    a, b = sorted([RNG.randbytes(32), RNG.randbytes(32)])
    proof = fraud.two_votes(vote(b), vote(a))
    assert fraud.two_votes(vote(a), vote(b)) == proof
    assert len({fraud.fraud_hash(each) for each in (proof, fraud.two_proposals(*proposals()))}) == 2
    assert len(proof.encode()) <= FRAUD_BYTES_MAX


# --- Steps ---------------------------------------------------------------------------------------


def test_steps_are_joined_in_order_for_one_commit() -> None:
    first = Step(writes=(Write("vote", CHAIN, b"1"),), sends=(Send(b"", messages.Ok()),))
    second = Step(writes=(Write("vote", CHAIN, None),), notices=(NeedsBlocks(CHAIN, 1),))
    joined = first + second
    assert [write.value for write in joined.writes] == [b"1", None]
    assert joined.sends == first.sends and joined.notices == second.notices
    assert joined and not Step()
