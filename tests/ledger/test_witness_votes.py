"""When a witness votes and commits (spec/06-ledger.md, W3 to W6)."""

from __future__ import annotations

import dataclasses

import pytest

from maillon.ledger.errors import OverLimit
from maillon.ledger.messages import Failure, Need
from maillon.ledger.quorum import VoteQC, vote_body
from maillon.ledger.rounds import Commit, Done, Final, Lock, Refuse, Vote
from maillon.ledger.signing import VOTE, sign
from maillon.ledger.told import read_told
from maillon.ledger.voterow import VoteRow
from maillon.ledger.witness import WitnessSettings
from support.rounds import Rounds


@pytest.fixture
def rounds() -> Rounds:
    """Four witnesses, of whom three have opened term 1."""
    made = Rounds(4)
    made.open(made.term(), 0, 1, 2)
    return made


def row(rounds: Rounds, at: int = 0) -> VoteRow:
    return rounds.places[at].witness.row(rounds.chain(0))


def test_a_vote_is_on_the_disk_with_its_body_before_it_is_answered(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    place = rounds.places[0]
    step = place.witness.handle(b"", rounds.propose(rounds.term(), block), rounds.now)
    assert {write.space for write in step.writes} == {"vote", "body"}
    place.disk.commit(step.writes)
    before = row(rounds)
    rounds.restart(0)
    assert row(rounds) == before
    # The witness remembers after the restart: another block in the same term is refused.
    other = rounds.block(rounds.opening("b"))
    assert rounds.reason(0, rounds.propose(rounds.term(), other)) == "voted"
    vote = row(rounds).vote
    assert vote is not None and vote.block == block.hash


def test_a_repeated_proposal_gets_the_same_vote_with_the_same_counter(rounds: Rounds) -> None:
    propose = rounds.propose(rounds.term(), rounds.block(rounds.opening("a")))
    first = rounds.ask(0, propose)
    before = row(rounds)
    assert rounds.ask(0, propose) == first
    assert row(rounds) == before
    assert isinstance(first[0], Vote) and first[0].counter == before.counter == 1


def test_nothing_is_voted_for_without_an_opening_of_that_term(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    assert rounds.reason(3, rounds.propose(rounds.term(), block)) == "not_opened"
    rounds.promises(rounds.term(2), 0, 1, 2)
    assert rounds.reason(0, rounds.propose(rounds.term(2), block)) == "not_opened"
    assert row(rounds).vote is None and row(rounds, 3).vote is None


def test_nothing_is_voted_for_after_a_higher_term_was_promised(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    rounds.promises(rounds.term(2), 0)
    before = row(rounds)
    assert rounds.reason(0, rounds.propose(rounds.term(1), block)) == "term"
    assert row(rounds) == before


def test_a_second_block_in_a_term_is_refused_and_convicts_its_writer(rounds: Rounds) -> None:
    first, second = rounds.block(rounds.opening("a")), rounds.block(rounds.opening("b"))
    rounds.ask(0, rounds.propose(rounds.term(), first))
    before = row(rounds)
    assert rounds.reason(0, rounds.propose(rounds.term(), second)) == "voted"
    assert row(rounds) == before
    (proof,) = rounds.places[0].witness.frauds.proofs()
    assert proof.accused == rounds.term().key
    assert {proof.block_a, proof.block_b} == {first.hash, second.hash}  # type: ignore[union-attr]


def test_the_block_that_was_kept_is_the_only_one_at_its_height(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    rounds.ask(0, rounds.votes(rounds.term(), block, 0, 1, 2))
    rounds.open(rounds.term(2), 0, 1, 2)
    other = rounds.block(rounds.opening("b"))
    before = row(rounds, 1)
    assert rounds.reason(1, rounds.propose(rounds.term(2), other)) == "locked"
    assert row(rounds, 1) == before
    (vote,) = rounds.ask(1, rounds.propose(rounds.term(2), block))
    assert isinstance(vote, Vote)


def test_a_witness_votes_anew_in_a_higher_term_that_opened_freely(rounds: Rounds) -> None:
    rounds.ask(0, rounds.propose(rounds.term(), rounds.block(rounds.opening("a"))))
    rounds.open(rounds.term(2), 0, 1, 2)
    other = rounds.block(rounds.opening("b"))
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(2), other))
    assert isinstance(vote, Vote) and vote.counter == 2
    # The body of the block that nobody needs any more is gone, the other one is there.
    assert list(rounds.places[0].disk.spaces["body"]) == [rounds.chain(0) + other.hash]


def test_a_block_that_breaks_a_rule_is_refused_with_the_reason() -> None:
    rounds = Rounds(4)
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a", 10), rounds.opening("b"))
    rounds.open(rounds.term(2), 0, 1, 2)
    block = rounds.block(rounds.payment(0, "a", "b", 7))
    entry = dataclasses.replace(block.body.entries[0])
    twice = dataclasses.replace(
        block,
        header=dataclasses.replace(block.header, state_root=b"x" * 32),
        body=dataclasses.replace(block.body, entries=(entry,)),
    )
    before = row(rounds)
    (refusal,) = rounds.ask(0, rounds.propose(rounds.term(2), twice))
    assert isinstance(refusal, Refuse) and refusal.reason == "invalid"
    code, facts = read_told(refusal.evidence)
    assert (code, facts["reason"]) == ("bad_block", "state_root")
    assert row(rounds) == before
    with pytest.raises(OverLimit):
        rounds.block(rounds.payment(0, "a", "b", 11))


def test_a_proposal_above_the_next_height_asks_for_what_is_missing(rounds: Rounds) -> None:
    pen = rounds.pen(0, b"o" * 16)
    rounds.places[3].up = False
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    block = rounds.block(rounds.opening("b"))
    assert block.h == 2
    before = row(rounds, 3)
    assert rounds.ask(3, rounds.propose(rounds.term(1, b"o" * 16), block)) == [
        Need(rounds.chain(0), 1)
    ]
    assert row(rounds, 3) == before


def test_who_is_not_in_the_committee_does_not_vote(rounds: Rounds) -> None:
    stranger = rounds.federation.make_coop("stranger")
    place = rounds.started(stranger, rounds.places[0].disk.__class__())
    rounds.places.append(place)
    rounds.promises(rounds.term(), 4)
    block = rounds.block(rounds.opening("a"))
    assert rounds.reason(4, rounds.propose(rounds.term(), block)) == "not_witness"
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    assert rounds.reason(4, lock) == "not_witness"


# --- W4 -----------------------------------------------------------------------------------------


def test_a_lock_is_on_the_disk_before_the_commit_is_answered(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    (commit,) = rounds.ask(0, lock)
    assert isinstance(commit, Commit) and commit.block == block.hash
    rounds.restart(0)
    assert row(rounds).lock == lock.votes
    assert rounds.ask(0, lock) == [commit]


def test_votes_fewer_than_a_quorum_lock_nothing(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    votes = rounds.votes(rounds.term(), block, 0, 1, 2).votes
    few = VoteQC(
        votes.c,
        votes.chain,
        votes.h,
        votes.term,
        votes.block,
        b"\x03",
        votes.signatures[:2],
        votes.counters[:2],
    )
    forged = dataclasses.replace(votes, signatures=(*votes.signatures[:2], votes.signatures[0]))
    before = row(rounds)
    for bad, code in ((few, "no_quorum"), (forged, "certificate")):
        (answer,) = rounds.ask(0, Lock(bad))
        assert isinstance(answer, Failure) and answer.code == code
        assert row(rounds) == before


def test_nothing_is_locked_whose_block_is_not_held(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    before = row(rounds, 3)
    assert rounds.ask(3, lock) == [Need(rounds.chain(0), 1)]
    assert row(rounds, 3) == before


def test_nothing_is_locked_after_a_higher_term_was_promised(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    rounds.promises(rounds.term(2), 0)
    before = row(rounds)
    assert rounds.reason(0, lock) == "term"
    assert row(rounds) == before


def test_a_second_quorum_of_votes_in_a_term_locks_nothing_and_convicts_the_voters(
    rounds: Rounds,
) -> None:
    first, second = rounds.block(rounds.opening("a")), rounds.block(rounds.opening("b"))
    lock = rounds.votes(rounds.term(), first, 0, 1, 2)
    rounds.ask(0, lock)
    # Witnesses 1 to 3 all lie, one more than are borne: otherwise there is no second quorum.
    votes: dict[bytes, tuple[int, bytes]] = {}
    for coop in rounds.federation.coops[1:]:
        body = vote_body(0, rounds.chain(0), 1, rounds.term(), second.hash, 9)
        votes[coop.witness.public] = (9, sign(coop.witness, VOTE, rounds.fed, body))
    # The body is held, because of a vote in an earlier term.
    rounds.places[0].witness._remember(second)  # pyright: ignore[reportPrivateUsage]
    before = row(rounds)
    answers = rounds.ask(0, Lock(rounds.gathered(rounds.term(), second, votes)))
    assert [a.reason for a in answers if isinstance(a, Refuse)] == ["voted"]
    assert row(rounds) == before
    accused = {proof.accused for proof in rounds.places[0].witness.frauds.proofs()}
    assert accused == {rounds.places[1].key, rounds.places[2].key}


def test_a_lock_is_replaced_by_that_of_a_higher_term(rounds: Rounds) -> None:
    first = rounds.block(rounds.opening("a"))
    rounds.ask(0, rounds.votes(rounds.term(), first, 0, 1, 2))
    rounds.open(rounds.term(2), 1, 2, 3)
    second = rounds.block(rounds.opening("b"))
    lock = rounds.votes(rounds.term(2), second, 1, 2, 3)
    assert rounds.ask(0, lock) == [Need(rounds.chain(0), 1)]
    rounds.ask(1, lock)
    held = row(rounds, 1).lock
    assert held is not None and held.block == second.hash


def test_what_is_locked_is_on_the_disk_whatever_was_voted_for_in_between(rounds: Rounds) -> None:
    first, second = rounds.block(rounds.opening("a")), rounds.block(rounds.opening("b"))
    rounds.ask(0, rounds.propose(rounds.term(), first))
    rounds.open(rounds.term(2), 0, 1, 2)
    rounds.ask(0, rounds.propose(rounds.term(2), second))
    rounds.open(rounds.term(3), 1, 2, 3)
    lock = rounds.votes(rounds.term(3), first, 1, 2, 3)
    # The body went with the first vote: without it nothing is locked.
    assert rounds.ask(0, lock) == [Need(rounds.chain(0), 1)]
    assert row(rounds).lock is None
    held = {key[32:] for key in rounds.places[0].disk.spaces["body"]}
    assert held == {second.hash}


# --- W5 -----------------------------------------------------------------------------------------


def test_a_certificate_makes_the_block_the_head_and_is_answered_again(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    final = rounds.commits(rounds.votes(rounds.term(), block, 0, 1, 2), 0, 1, 2)
    done = Done(rounds.chain(0), 1, block.hash)
    assert rounds.ask(0, final) == [done]
    assert rounds.ask(0, final) == [done]
    assert rounds.places[0].book.head(rounds.chain(0)).hash == block.hash
    assert rounds.restart(0).book.head(rounds.chain(0)).hash == block.hash


def test_a_certificate_needs_no_term(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    final = rounds.commits(rounds.votes(rounds.term(), block, 0, 1, 2), 0, 1, 2)
    rounds.promises(rounds.term(9), 0)
    assert rounds.ask(0, final) == [Done(rounds.chain(0), 1, block.hash)]


def test_a_certificate_of_a_body_that_is_not_held_asks_for_it(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    final = rounds.commits(rounds.votes(rounds.term(), block, 0, 1, 2), 0, 1, 2)
    assert rounds.ask(3, final) == [Need(rounds.chain(0), 1)]
    assert rounds.places[3].book.head(rounds.chain(0)).h == 0


def test_fewer_commits_than_a_quorum_make_nothing_final(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    final = rounds.commits(rounds.votes(rounds.term(), block, 0, 1, 2), 0, 1, 2)
    few = dataclasses.replace(
        final.certificate, bitmap=b"\x03", signatures=final.certificate.signatures[:2]
    )
    (answer,) = rounds.ask(0, Final(few))
    assert isinstance(answer, Failure) and answer.code == "no_quorum"
    assert rounds.places[0].book.head(rounds.chain(0)).h == 0


def test_votes_are_no_commits(rounds: Rounds) -> None:
    # One phase: a block that a quorum voted for, and nobody locked, is not final.
    block = rounds.block(rounds.opening("a"))
    votes = rounds.votes(rounds.term(), block, 0, 1, 2).votes
    final = rounds.commits(Lock(votes), 0, 1, 2)
    posed = dataclasses.replace(final.certificate, signatures=votes.signatures)
    (answer,) = rounds.ask(0, Final(posed))
    assert isinstance(answer, Failure) and answer.code == "certificate"
    assert rounds.places[0].book.head(rounds.chain(0)).h == 0


def test_what_comes_after_the_certificate_is_answered_with_it(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    final = rounds.commits(lock, 0, 1, 2)
    rounds.ask(0, final)
    assert rounds.ask(0, lock) == [final]
    assert rounds.ask(0, rounds.propose(rounds.term(), block)) == [final]


# --- W6 -----------------------------------------------------------------------------------------


def test_a_block_dated_ahead_of_the_clock_is_refused_and_taken_later(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"), time=rounds.now + 301)
    assert rounds.reason(0, rounds.propose(rounds.term(), block)) == "time"
    assert row(rounds).vote is None
    rounds.now += 1
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(), block))
    assert isinstance(vote, Vote)


def test_a_block_over_the_rate_of_its_coop_is_refused() -> None:
    settings = WitnessSettings(tokens_per_s=1, tokens_burst=203)
    rounds = Rounds(4, settings=settings)
    rounds.open(rounds.term(), 0, 1, 2)
    block = rounds.block(rounds.opening("a"), rounds.opening("b"), rounds.opening("c"))
    assert rounds.reason(0, rounds.propose(rounds.term(), block)) == "quota"
    assert row(rounds).vote is None
    rounds.now += 1
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(), block))
    assert isinstance(vote, Vote)


def test_a_frozen_chain_takes_no_fresh_block(rounds: Rounds) -> None:
    first, second = rounds.block(rounds.opening("a")), rounds.block(rounds.opening("b"))
    for block in (first, second):
        rounds.ask(0, rounds.propose(rounds.term(), block))
    rounds.open(rounds.term(2), 0, 1, 2)
    before = row(rounds)
    assert rounds.reason(0, rounds.propose(rounds.term(2), second)) == "frozen"
    assert row(rounds) == before


def test_nothing_that_a_witness_alone_thinks_stops_a_block_that_is_kept() -> None:
    # Its clock, its rate and the freezing of the chain all speak against the block.
    rounds = Rounds(4, settings=WitnessSettings(tokens_per_s=0, tokens_burst=800))
    rounds.open(rounds.term(), 1, 2, 3)
    block = rounds.block(rounds.opening("a"), time=rounds.now + 300)
    rounds.ask(1, rounds.votes(rounds.term(), block, 1, 2, 3))
    rounds.now -= 86_400
    other = rounds.block(rounds.opening("b"))
    rounds.ask(2, rounds.propose(rounds.term(), other))
    assert rounds.places[2].witness.frauds.frozen(rounds.chain(0)) is not None
    rounds.open(rounds.term(2), 0, 1, 2)
    rounds.places[2].witness._bucket(rounds.chain(0)).level = 0  # pyright: ignore[reportPrivateUsage]
    for at in (0, 2):
        (vote,) = rounds.ask(at, rounds.propose(rounds.term(2), block))
        assert isinstance(vote, Vote)
