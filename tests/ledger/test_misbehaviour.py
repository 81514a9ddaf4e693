"""Who is convicted of what, and what follows (spec/06-ledger.md, "Misbehaviour")."""

from __future__ import annotations

import pytest

from maillon.ledger.charter_entries import Clear, SetKey
from maillon.ledger.errors import NotEvidence
from maillon.ledger.fraud import TwoProposals, TwoVotes, fraud_hash, two_proposals, two_votes
from maillon.ledger.messages import Blocks, Failure, FraudReport, Ok
from maillon.ledger.misbehaviour import Misbehaviour
from maillon.ledger.rounds import Propose, Vote
from maillon.ledger.steps import Fraud
from support.rounds import Rounds


@pytest.fixture
def rounds() -> Rounds:
    made = Rounds(4)
    made.open(made.term(), 0, 1, 2)
    return made


def proof(rounds: Rounds) -> TwoProposals:
    blocks = [rounds.block(rounds.opening(name)) for name in ("a", "b")]
    return two_proposals(*[rounds.propose(rounds.term(), block) for block in blocks])


def test_a_proof_from_anybody_freezes_the_chain_and_is_told_once(rounds: Rounds) -> None:
    found = proof(rounds)
    step = rounds.places[3].witness.handle(b"", FraudReport(found.encode()), rounds.now)
    assert step.notices == (Fraud(found),)
    assert [send.message for send in step.sends] == [Ok()]
    rounds.places[3].disk.commit(step.writes)
    again = rounds.places[3].witness.handle(b"", FraudReport(found.encode()), rounds.now)
    assert (again.writes, again.notices) == ((), ())
    rounds.restart(3)
    assert rounds.places[3].witness.frauds.frozen(rounds.chain(0)) == found


def test_a_proof_stands_until_the_charter_clears_it(rounds: Rounds) -> None:
    found = proof(rounds)
    rounds.ask(3, FraudReport(found.encode()))
    rounds.restart(3)
    frauds = rounds.places[3].witness.frauds
    assert frauds.standing() == [found]
    coop = rounds.federation.coops[0]
    fresh = rounds.federation.key("another writer")
    block = rounds.federation.grow(
        SetKey(coop.id, "writer", fresh.public), Clear(coop.id, fraud_hash(found))
    )
    rounds.ask(3, Blocks(rounds.fed, (block,)))
    assert frauds.standing() == [] and frauds.proofs() == [found]


def test_a_forged_proof_convicts_nobody(rounds: Rounds) -> None:
    found = proof(rounds)
    forged = TwoProposals(
        found.chain,
        found.term,
        found.h,
        found.block_a,
        found.signature_b,
        found.block_b,
        found.signature_a,
    )
    (answer,) = rounds.ask(0, FraudReport(forged.encode()))
    assert isinstance(answer, Failure) and answer.code == "fraud_proof"
    assert rounds.places[0].witness.frauds.proofs() == []


def test_a_key_without_office_cannot_freeze_a_chain(rounds: Rounds) -> None:
    # Anybody can make a key and sign two proposals with it.
    key = rounds.federation.key("nobody")
    from maillon.ledger.quorum import Term

    term = Term(1, b"n" * 16, key.public)
    blocks = [rounds.block(rounds.opening(name)) for name in ("a", "b")]
    found = two_proposals(*[Propose.sign(key, rounds.fed, term, block) for block in blocks])
    (answer,) = rounds.ask(0, FraudReport(found.encode()))
    assert isinstance(answer, Failure) and answer.code == "fraud_proof"
    # Neither can the writer of another chain.
    other = Term(1, b"n" * 16, rounds.federation.coops[1].writer.public)
    signer = rounds.federation.coops[1].writer
    found = two_proposals(*[Propose.sign(signer, rounds.fed, other, block) for block in blocks])
    (answer,) = rounds.ask(0, FraudReport(found.encode()))
    assert isinstance(answer, Failure)
    assert rounds.places[0].witness.frauds.frozen(rounds.chain(0)) is None


def test_two_votes_of_a_witness_are_kept_and_freeze_nothing(rounds: Rounds) -> None:
    liar = rounds.federation.coops[3].witness
    votes = [
        Vote.sign(liar, rounds.fed, 0, rounds.chain(0), 1, rounds.term(), block, counter)
        for counter, block in ((1, b"x" * 32), (2, b"y" * 32))
    ]
    found = two_votes(*votes)
    assert rounds.ask(0, FraudReport(found.encode())) == [Ok()]
    (kept,) = rounds.places[0].witness.frauds.proofs()
    assert isinstance(kept, TwoVotes) and kept.accused == liar.public
    assert rounds.places[0].witness.frauds.frozen(rounds.chain(0)) is None


def test_votes_in_two_terms_convict_nobody(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    (first,) = rounds.ask(0, rounds.propose(rounds.term(), block))
    rounds.open(rounds.term(2), 0, 1, 2)
    (second,) = rounds.ask(0, rounds.propose(rounds.term(2), rounds.block(rounds.opening("b"))))
    assert isinstance(first, Vote) and isinstance(second, Vote)
    with pytest.raises(NotEvidence):
        two_votes(first, second)


def test_a_clone_of_a_writer_is_no_liar() -> None:
    # Two processes with one key have two nonces: what they say never stands in one term.
    rounds = Rounds(4)
    pens = [rounds.pen(0, b"a" * 16), rounds.pen(1, b"b" * 16, chain=rounds.chain(0))]
    pens[1].writer._key = pens[0].writer._key  # pyright: ignore[reportPrivateUsage]
    for pen in pens:
        rounds.take(pen, pen.writer.start(rounds.now))
    rounds.run()
    for name, pen in (("a", pens[0]), ("b", pens[1])):
        rounds.submit(pen, rounds.opening(name))
    for _ in range(60):
        for pen in pens:
            rounds.tick(pen, 2)
    assert all(place.witness.frauds.proofs() == [] for place in rounds.places)
    state = rounds.places[0].book.state(rounds.chain(0))
    assert all(state.account(rounds.person(name)[1]) for name in ("a", "b"))


def test_what_a_node_knows_of_misbehaviour_outlives_it(rounds: Rounds) -> None:
    place = rounds.places[0]
    found = proof(rounds)
    place.disk.commit(place.witness.frauds.take(found).writes)
    assert Misbehaviour(place.book, place.disk, rounds.verify).proofs() == [found]
