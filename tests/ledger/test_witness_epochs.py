"""Epochs: which charter's witnesses count, and who has to promise anew (spec/06-ledger.md, E)."""

from __future__ import annotations

from maillon.ledger.charter_entries import CharterEntry, Clear, SetKey, SetQuorum
from maillon.ledger.fraud import fraud_hash
from maillon.ledger.messages import Blocks, Failure, Need
from maillon.ledger.opener import CharterSource
from maillon.ledger.rounds import Final, Propose, Refuse, Vote
from maillon.ledger.sources import AdoptionSource
from maillon.ledger.steps import Adopted, Certified
from maillon.ledger.writer import WriterSettings
from support.rounds import Pen, Rounds, stream


def grow(rounds: Rounds, *entries: CharterEntry, at: tuple[int, ...] | None = None) -> None:
    """Let the charter grow, and tell nodes (all of them unless `at`)."""
    block = rounds.federation.grow(*entries)
    for place in at if at is not None else range(len(rounds.places)):
        rounds.ask(place, Blocks(rounds.fed, (block,)))
        assert rounds.places[place].book.charter.height == rounds.federation.chain.height


def settle(rounds: Rounds, *pens: Pen, seconds: int = 120) -> None:
    """Let time go by."""
    for _ in range(seconds // 2):
        for pen in pens:
            rounds.tick(pen, 2)


def governed(rounds: Rounds, at: int = 0) -> int:
    return rounds.places[at].book.governing(rounds.chain(0))


def test_the_charter_that_governs_counts_the_votes_not_the_latest() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2)
    grow(rounds, SetQuorum(4))
    block = rounds.block(rounds.opening("a"), adopt=1)
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    final = rounds.commits(lock, 0, 1, 2)
    rounds.ask(0, final)
    assert rounds.places[0].book.head(rounds.chain(0)).h == 1
    # Now the charter of four votes governs, and three are too few.
    assert governed(rounds) == 1
    promises = rounds.open  # the opening itself needs four promises
    try:
        promises(rounds.term(2), 0, 1, 2)
    except AssertionError:
        return
    raise AssertionError("three of four opened a term where four are needed")


def test_nothing_is_voted_for_in_a_new_epoch_without_a_new_opening() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2)
    grow(rounds, SetQuorum(4))
    block = rounds.block(rounds.opening("a"), adopt=1)
    final = rounds.commits(rounds.votes(rounds.term(), block, 0, 1, 2), 0, 1, 2)
    rounds.ask(0, final)
    before = rounds.places[0].witness.row(rounds.chain(0))
    second = rounds.block(rounds.opening("b"))
    assert second.header.c == 1
    assert rounds.reason(0, rounds.propose(rounds.term(), second)) == "not_opened"
    assert rounds.places[0].witness.row(rounds.chain(0)) == before


def test_a_charter_that_is_not_known_yet_is_asked_for() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2)
    grow(rounds, SetQuorum(4), at=(0, 1))
    block = rounds.block(rounds.opening("a"), adopt=1)
    assert rounds.ask(2, rounds.propose(rounds.term(), block)) == [Need(rounds.fed, 1)]
    assert rounds.places[2].witness.row(rounds.chain(0)).vote is None


def test_a_block_two_charters_behind_is_refused() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2)
    grow(rounds, SetQuorum(4))
    block = rounds.block(rounds.opening("a"))
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(), block))
    assert isinstance(vote, Vote)
    grow(rounds, SetQuorum(3))
    assert rounds.reason(1, rounds.propose(rounds.term(), block)) == "charter_old"
    assert rounds.places[1].witness.row(rounds.chain(0)).vote is None


def test_a_writers_key_that_the_newest_charter_replaced_opens_nothing() -> None:
    rounds = Rounds(4)
    fresh = rounds.federation.key("fresh writer")
    grow(rounds, SetKey(rounds.chain(0), "writer", fresh.public))
    assert rounds.reason(0, rounds.prepare(rounds.term())) == "unauthorised"
    pen = rounds.pen(0, key=fresh)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    assert min(rounds.heads(rounds.chain(0))) >= 1


# --- Writers and epochs -------------------------------------------------------------------------


def test_a_writer_adopts_a_new_charter_by_itself_and_opens_again() -> None:
    rounds = Rounds(4)
    pen = rounds.pen(0)
    rounds.start(pen)
    grow(rounds, SetQuorum(4))
    rounds.tick(pen)
    assert governed(rounds) == 1
    assert Adopted(rounds.chain(0), 1) in pen.notices
    assert pen.writer.status.phase == "ready"
    assert pen.writer.status.term is not None and pen.writer.status.term.counter == 2
    rounds.submit(pen, rounds.opening("a"))
    assert rounds.heads(rounds.chain(0)) == [2, 2, 2, 2]


def test_a_witness_that_missed_the_charter_is_brought_up_to_date_by_the_writer() -> None:
    rounds = Rounds(4)
    pen = rounds.pen(0)
    rounds.start(pen)
    grow(rounds, SetQuorum(4), at=(0, 1))
    rounds.tick(pen)
    rounds.submit(pen, rounds.opening("a"))
    assert rounds.heads(rounds.fed) == [1, 1, 1, 1]
    assert rounds.heads(rounds.chain(0)) == [2, 2, 2, 2]


def test_a_witness_that_is_new_in_the_charter_takes_part_after_the_adoption() -> None:
    rounds = Rounds(4)
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    newcomer = rounds.federation.make_coop("newcomer")
    from support.charters import MemoryDisk

    rounds.places.append(rounds.started(newcomer, MemoryDisk()))
    block = rounds.federation.grow(rounds.federation.admit(newcomer))
    rounds.ask(0, Blocks(rounds.fed, (block,)))
    rounds.tick(pen)
    rounds.submit(pen, rounds.opening("b"))
    assert rounds.heads(rounds.chain(0)) == [3, 3, 3, 3, 3]
    assert rounds.places[4].witness.row(rounds.chain(0)).counter >= 1


def test_a_trustee_finishes_what_was_under_way_and_adopts_for_an_absent_coop() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2)
    under_way = rounds.block(rounds.opening("a"))
    rounds.ask(1, rounds.votes(rounds.term(), under_way, 0, 1, 2))
    from maillon.ledger.charter_entries import SetTrustee

    grow(rounds, SetTrustee(rounds.chain(0), rounds.chain(1)))
    pen = rounds.pen(
        1,
        chain=rounds.chain(0),
        source=AdoptionSource(rounds.places[1].book, rounds.chain(0), stream("trustee")),
        settings=WriterSettings(eager=False),
    )
    rounds.places[0].up = False
    rounds.start(pen)
    settle(rounds, pen)
    assert rounds.heads(rounds.chain(0))[1:] == [2, 2, 2]
    book = rounds.places[1].book
    assert book.hash_at(rounds.chain(0), 1) == under_way.hash
    assert book.head(rounds.chain(0)).header.count == 0  # type: ignore[union-attr]
    assert governed(rounds, 1) == 1
    # It wants nothing more, so it opens nothing more.
    log = len(rounds.log)
    settle(rounds, pen)
    assert len(rounds.log) == log


# --- The charter's chain ------------------------------------------------------------------------


def opener(rounds: Rounds, at: int, nonce: bytes = b"n" * 16) -> Pen:
    place = rounds.places[at]
    return rounds.pen(
        at,
        nonce,
        chain=rounds.fed,
        source=CharterSource(place.book, place.coop.id),
        settings=WriterSettings(eager=False),
    )


def propose(rounds: Rounds, *entries: CharterEntry, at: tuple[int, ...]) -> None:
    """Let every node of `at` know a proposal that two coops have approved."""
    from maillon.ledger.charter import approve
    from maillon.ledger.charter_proposals import make_proposal

    proposal = make_proposal(rounds.federation.chain.height, entries)
    given = [
        approve(rounds.fed, proposal.hash, coop.id, coop.writer)
        for coop in rounds.federation.coops[:2]
    ]
    for place in at:
        disk, book = rounds.places[place].disk, rounds.places[place].book
        disk.commit(book.charter.keep(proposal, given))


def test_a_coop_has_the_charters_next_block_certified() -> None:
    rounds = Rounds(4)
    pen = opener(rounds, 2)
    rounds.start(pen)
    assert rounds.log == []
    propose(rounds, SetQuorum(4), at=(2,))
    rounds.tick(pen, 60)
    rounds.tick(pen, 60)
    assert rounds.heads(rounds.fed) == [1, 1, 1, 1]
    assert rounds.places[3].book.charter.latest.quorum == 4
    assert [n.h for n in pen.notices if isinstance(n, Certified)] == [1]


def test_two_openers_do_not_outbid_each_other() -> None:
    rounds = Rounds(4)
    pens = [opener(rounds, 1, b"b" * 16), opener(rounds, 2, b"c" * 16)]
    propose(rounds, SetQuorum(4), at=(1, 2))
    for pen in pens:
        rounds.take(pen, pen.writer.tick(rounds.now))
    rounds.now += 60
    for pen in pens:
        rounds.take(pen, pen.writer.tick(rounds.now))
    rounds.run()
    for _ in range(60):
        if min(rounds.heads(rounds.fed)) == 1:
            break
        for pen in pens:
            rounds.tick(pen, 2)
    assert rounds.heads(rounds.fed) == [1, 1, 1, 1]
    prepares = {m.term for m in rounds.sent(Propose)}
    assert len(prepares) <= 3


def test_a_charter_block_without_enough_approvals_gets_no_vote() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2, chain=rounds.fed)
    block = rounds.federation.block(SetQuorum(4), by=rounds.federation.coops[:2])
    import dataclasses

    bare = dataclasses.replace(
        block, body=dataclasses.replace(block.body, approvals=block.body.approvals[:1])
    )
    (answer,) = rounds.ask(0, rounds.propose(rounds.term(), bare))
    assert isinstance(answer, Refuse) and answer.reason == "invalid"
    assert rounds.places[0].witness.row(rounds.fed).vote is None
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(), block))
    assert isinstance(vote, Vote)


def test_a_frozen_chain_goes_on_once_the_charter_has_cleared_it() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2)
    for name in ("a", "b"):
        rounds.ask(0, rounds.propose(rounds.term(), rounds.block(rounds.opening(name))))
    (proof,) = rounds.places[0].witness.frauds.proofs()
    fresh = rounds.federation.key("fresh writer")
    grow(
        rounds,
        SetKey(rounds.chain(0), "writer", fresh.public),
        Clear(rounds.chain(0), fraud_hash(proof)),
    )
    pen = rounds.pen(0, b"m" * 16, key=fresh)
    rounds.places[3].up = False
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("c"))
    settle(rounds, pen)
    assert rounds.heads(rounds.chain(0))[:3] == [1, 1, 1]


def test_a_lying_opener_is_barred_and_the_charters_chain_goes_on() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 0, 1, 2, chain=rounds.fed)
    for quorum in (4, 3):
        block = rounds.federation.block(SetQuorum(quorum))
        rounds.ask(0, rounds.propose(rounds.term(), block))
    assert rounds.reason(0, rounds.prepare(rounds.term(2), rounds.fed)) == "unauthorised"
    rounds.now += 200
    other = rounds.term(3, at=1)
    assert rounds.promises(other, 0, chain=rounds.fed)


def test_an_answer_of_a_charter_block_that_is_not_the_next_changes_nothing() -> None:
    rounds = Rounds(4)
    block = rounds.federation.grow(SetQuorum(4))
    (answer,) = rounds.ask(0, Final(block.certified_by()))
    assert answer == Need(rounds.fed, 1)
    broken = block.with_certificate(b"")
    (answer,) = rounds.ask(0, Blocks(rounds.fed, (broken,)))
    assert isinstance(answer, Failure)
    assert rounds.heads(rounds.fed)[0] == 0


def test_leases_prefer_one_opener_everywhere_and_let_nobody_keep_the_chain() -> None:
    from hashlib import sha256

    from maillon.ledger.lease import Leases

    head = b"h" * 32
    first, second, third = sorted([b"a", b"b", b"c"], key=lambda key: sha256(head + key).digest())
    leases = Leases(60)
    assert leases.take(head, second, 0)
    assert not leases.take(head, third, 1)
    # Of higher rank: at once, wherever two openers share the witnesses between them.
    assert leases.take(head, first, 2)
    assert not leases.take(head, second, 3)
    assert leases.take(head, first, 61)
    # Its time is over, and it comes last from now on.
    assert leases.take(head, third, 62)
    assert not leases.take(head, first, 63)
    assert leases.take(head, second, 64)
    # A new head, a new draw; a clock set back holds nobody up.
    assert leases.take(b"i" * 32, third, 65)
    assert leases.take(b"i" * 32, first, 10)


def test_a_block_that_adopts_a_charter_unknown_to_the_writer_is_finished_once_it_has_it() -> None:
    rounds = Rounds(4)
    rounds.open(rounds.term(), 1, 2, 3)
    grow(rounds, SetQuorum(4), at=(1, 2, 3))
    under_way = rounds.block(rounds.opening("a"), book=1, adopt=1)
    lock = rounds.votes(rounds.term(), under_way, 1, 2, 3)
    for at in (1, 2, 3):
        rounds.ask(at, lock)
    # The writer starts anew on a node that has not heard of the charter; its witness is away.
    rounds.places[0].up = False
    pen = rounds.pen(0, b"o" * 16)
    rounds.start(pen)
    settle(rounds, pen)
    assert rounds.places[0].book.hash_at(rounds.chain(0), 1) == under_way.hash
    assert rounds.places[0].book.charter.height == 1
