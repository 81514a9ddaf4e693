"""What a witness promises and what an opening says (spec/06-ledger.md, W1 and W2)."""

from __future__ import annotations

import dataclasses

import pytest

from maillon.ledger import bounds
from maillon.ledger.messages import Failure, Need, decode_message
from maillon.ledger.openings import without_copies
from maillon.ledger.quorum import Term
from maillon.ledger.rounds import Opening, Prepare, Promise, Refuse
from maillon.ledger.voterow import VoteRow, decode_row
from maillon.ledger.witness import WitnessSettings
from support.rounds import Rounds


@pytest.fixture
def rounds() -> Rounds:
    return Rounds(4)


def row(rounds: Rounds, at: int = 0) -> VoteRow:
    return rounds.places[at].witness.row(rounds.chain(0))


# --- W1 -----------------------------------------------------------------------------------------


def test_a_promise_shows_the_head_and_raises_the_promised_term(rounds: Rounds) -> None:
    (promise,) = rounds.promises(rounds.term(3), 1)
    head = rounds.places[1].book.head(rounds.chain(0))
    assert (promise.head_h, promise.head, promise.lock) == (0, head.hash, None)
    assert row(rounds, 1).promised == rounds.term(3)


def test_a_promise_is_on_the_disk_before_it_is_answered(rounds: Rounds) -> None:
    place = rounds.places[0]
    step = place.witness.handle(b"", rounds.prepare(rounds.term(3)), rounds.now)
    (write,) = step.writes
    assert write.value is not None
    assert decode_row(write.value) == row(rounds)
    assert decode_row(write.value).promised == rounds.term(3)


def test_a_lower_term_is_refused_with_the_prepare_of_the_promised_one(rounds: Rounds) -> None:
    rounds.promises(rounds.term(3), 0)
    before = row(rounds)
    (refusal,) = rounds.ask(0, rounds.prepare(rounds.term(2, b"z" * 16)))
    assert isinstance(refusal, Refuse)
    assert refusal.reason == "term"
    assert decode_message(refusal.evidence) == rounds.prepare(rounds.term(3))
    assert row(rounds) == before


def test_terms_of_one_counter_are_ordered_by_nonce(rounds: Rounds) -> None:
    rounds.promises(rounds.term(1, b"b" * 16), 0)
    assert rounds.reason(0, rounds.prepare(rounds.term(1, b"a" * 16))) == "term"
    rounds.promises(rounds.term(1, b"c" * 16), 0)


def test_a_repeated_prepare_gets_the_same_promise_and_changes_nothing(rounds: Rounds) -> None:
    first = rounds.promises(rounds.term(), 0)
    before = row(rounds)
    assert rounds.promises(rounds.term(), 0) == first
    assert row(rounds) == before


def test_a_prepare_signed_by_another_key_is_an_error_and_changes_nothing(rounds: Rounds) -> None:
    forged = dataclasses.replace(
        rounds.prepare(rounds.term(2)), signature=rounds.prepare(rounds.term(1)).signature
    )
    (answer,) = rounds.ask(0, forged)
    assert isinstance(answer, Failure) and answer.code == "bad_signature"
    assert row(rounds) == VoteRow()


def test_only_the_writers_of_a_chain_may_open_it(rounds: Rounds) -> None:
    other = rounds.term(at=1)
    assert rounds.reason(0, rounds.prepare(other)) == "unauthorised"
    assert row(rounds) == VoteRow()
    # On the charter's chain any coop may.
    assert rounds.promises(other, 0, chain=rounds.fed)


def test_a_chain_that_the_charter_does_not_name_is_unknown(rounds: Rounds) -> None:
    assert rounds.reason(0, rounds.prepare(rounds.term(), b"x" * 32)) == "unknown_chain"


def test_no_prepare_uses_up_the_counters_of_a_chain(rounds: Rounds) -> None:
    far = rounds.term(bounds.TERM_JUMP_MAX + 1)
    assert rounds.reason(0, rounds.prepare(far)) == "quota"
    assert row(rounds) == VoteRow()
    rounds.promises(rounds.term(bounds.TERM_JUMP_MAX), 0)


def test_prepares_count_against_the_rate_of_their_coop_alone() -> None:
    rounds = Rounds(4, settings=WitnessSettings(tokens_per_s=100, tokens_burst=200))
    rounds.promises(rounds.term(1), 0)
    rounds.promises(rounds.term(2), 0)
    before = row(rounds)
    assert rounds.reason(0, rounds.prepare(rounds.term(3))) == "quota"
    assert row(rounds) == before
    rounds.promises(rounds.term(at=1), 0, chain=rounds.chain(1))
    rounds.now += 1
    rounds.promises(rounds.term(3), 0)


def test_a_promise_shows_the_lock_with_its_votes_and_its_block(rounds: Rounds) -> None:
    rounds.open(rounds.term(), 0, 1, 2)
    block = rounds.block(rounds.opening("a"))
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    rounds.ask(0, lock)
    (promise,) = rounds.promises(rounds.term(2), 0)
    assert promise.lock is not None and promise.lock.block == block.hash
    assert promise.lock_votes() == lock.votes
    assert promise.locked_block() == block


# --- W2 -----------------------------------------------------------------------------------------


def locked(rounds: Rounds) -> tuple[Term, bytes]:
    """Let witness 0 alone lock a block; return a higher term and the block's hash."""
    rounds.open(rounds.term(1), 0, 1, 2)
    block = rounds.block(rounds.opening("a"))
    rounds.ask(0, rounds.votes(rounds.term(1), block, 0, 1, 2))
    return rounds.term(2), block.hash


def test_an_opening_with_fewer_than_q_promises_is_refused(rounds: Rounds) -> None:
    term = rounds.term()
    promises = rounds.promises(term, 0, 1)
    assert rounds.reason(0, Opening(promises[0].chain, term, tuple(promises))) == "not_opened"
    assert row(rounds).opened is None


def test_the_promises_of_one_witness_count_once(rounds: Rounds) -> None:
    term = rounds.term()
    first, second = rounds.promises(term, 0, 1)
    opening = Opening(first.chain, term, (first, second, second))
    assert rounds.reason(0, opening) == "not_opened"
    assert row(rounds).opened is None


def test_promises_of_another_term_or_with_a_forged_signature_do_not_count(rounds: Rounds) -> None:
    old = rounds.promises(rounds.term(1), 2)
    term = rounds.term(2)
    good = rounds.promises(term, 0, 1)
    assert rounds.reason(0, Opening(good[0].chain, term, (*good, *old))) == "not_opened"
    (third,) = rounds.promises(term, 2)
    forged = dataclasses.replace(third, signature=good[0].signature)
    assert rounds.reason(0, Opening(third.chain, term, (*good, forged))) == "not_opened"
    assert row(rounds).opened is None
    assert rounds.ask(0, Opening(third.chain, term, (*good, third))) == []
    assert row(rounds).opened is not None


def test_an_opening_of_a_free_height_keeps_nothing(rounds: Rounds) -> None:
    rounds.open(rounds.term(), 0, 1, 2)
    opened = row(rounds).opened
    assert opened is not None
    assert (opened.c, opened.start, opened.keep) == (0, 1, b"")


def test_an_opening_keeps_the_block_that_one_promise_has_locked(rounds: Rounds) -> None:
    term, block = locked(rounds)
    rounds.open(term, 3, 2, 0)
    opened = row(rounds).opened
    assert opened is not None and opened.keep == block


def test_of_two_locks_the_one_of_the_highest_term_is_kept(rounds: Rounds) -> None:
    _, first = locked(rounds)
    # The others know nothing of that lock and lock another block in a higher term.
    rounds.open(rounds.term(2), 1, 2, 3)
    other = rounds.block(rounds.opening("b"))
    rounds.ask(1, rounds.votes(rounds.term(2), other, 1, 2, 3))
    assert other.hash != first
    for at in ((0, 1, 2), (1, 0, 2)):
        rounds.open(rounds.term(3 + at[0]), *at)
        opened = row(rounds).opened
        assert opened is not None and opened.keep == other.hash


def test_a_lock_cannot_be_hidden_by_leaving_out_its_votes(rounds: Rounds) -> None:
    # The votes are no part of what a promise signs: a lying writer may drop or change them.
    term, block = locked(rounds)
    promises = rounds.promises(term, 0, 1, 2)
    other = promises[0].lock_votes()
    few = dataclasses.replace(other, signatures=other.signatures[::-1])
    for votes in (b"", few.encode()):
        bare = dataclasses.replace(promises[0], lock_qc=votes, lock_block=b"")
        opening = Opening(bare.chain, term, (bare, *promises[1:]))
        assert rounds.reason(1, opening) == "not_opened"
        held = row(rounds, 1).opened
        assert held is None or held.term != term
    assert rounds.ask(1, Opening(bare.chain, term, tuple(promises))) == []
    opened = row(rounds, 1).opened
    assert opened is not None and opened.keep == block


def test_a_lock_that_a_liar_made_up_does_not_count(rounds: Rounds) -> None:
    term, _ = locked(rounds)
    lying = rounds.promises(term, 0)[0]
    assert lying.lock is not None
    votes = lying.lock_votes()
    # One vote short of a quorum.
    votes = dataclasses.replace(votes, bitmap=b"\x03", signatures=votes.signatures[:2])
    votes = dataclasses.replace(votes, counters=votes.counters[:2])
    lying = Promise.sign(
        rounds.federation.coops[0].witness,
        rounds.fed,
        lying.chain,
        term,
        lying.head_h,
        lying.head,
        lying.lock,
        lock_qc=votes.encode(),
    )
    honest = rounds.promises(term, 1, 2, 3)
    assert rounds.reason(1, Opening(lying.chain, term, (lying, *honest[:2]))) == "not_opened"
    assert rounds.ask(1, Opening(lying.chain, term, (lying, *honest))) == []
    opened = row(rounds, 1).opened
    assert opened is not None and opened.keep == b""


def test_an_opening_above_the_own_head_is_answered_with_what_is_missing(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.places[3].up = False
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    promises = rounds.promises(rounds.term(2, b"o" * 16), 0, 1, 2)
    opening = Opening(rounds.chain(0), promises[0].term, without_copies(promises))
    assert rounds.ask(3, opening) == [Need(rounds.chain(0), 1)]
    assert row(rounds, 3).opened is None


def test_promises_whose_head_is_another_block_do_not_count(rounds: Rounds) -> None:
    term = rounds.term()
    promises = rounds.promises(term, 0, 1)
    lying = Promise.sign(
        rounds.federation.coops[2].witness, rounds.fed, rounds.chain(0), term, 0, b"x" * 32
    )
    opening = Opening(rounds.chain(0), term, (*promises, lying))
    assert rounds.reason(0, opening) == "not_opened"


def test_an_opening_below_the_promised_term_is_refused(rounds: Rounds) -> None:
    promises = rounds.promises(rounds.term(1), 0, 1, 2)
    rounds.promises(rounds.term(2), 0)
    before = row(rounds)
    opening = Opening(rounds.chain(0), rounds.term(1), tuple(promises))
    assert rounds.reason(0, opening) == "term"
    assert row(rounds) == before


def test_an_opening_raises_the_promised_term_of_who_was_not_asked(rounds: Rounds) -> None:
    promises = rounds.promises(rounds.term(5), 0, 1, 2)
    assert rounds.ask(3, Opening(rounds.chain(0), rounds.term(5), tuple(promises))) == []
    assert row(rounds, 3).promised == rounds.term(5)
    assert rounds.reason(3, rounds.prepare(rounds.term(4))) == "term"


def test_a_prepare_keeps_no_more_than_one_row_a_chain_on_the_disk(rounds: Rounds) -> None:
    for counter in range(1, 20):
        rounds.promises(rounds.term(counter), 0)
    assert len(rounds.places[0].disk.spaces["vote"]) == 1
    assert all(isinstance(m, Prepare) for m in [rounds.prepare(rounds.term())])
