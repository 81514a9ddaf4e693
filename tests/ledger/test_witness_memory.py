"""What outlives a witness's process, what it asks for, and what makes it stop (W7, W8)."""

from __future__ import annotations

import dataclasses

import pytest

from maillon.ledger.messages import AskHeads, Blocks, Failure, Get, Heads, Need
from maillon.ledger.rounds import Done, Echo, Promise, Refuse, Vote
from maillon.ledger.steps import NeedsBlocks, Stopped
from maillon.ledger.voterow import VoteRow, decode_row
from maillon.protocol.errors import Malformed
from support.charters import MemoryDisk
from support.rounds import Rounds


@pytest.fixture
def rounds() -> Rounds:
    """Four witnesses, of whom three have opened term 1."""
    made = Rounds(4)
    made.open(made.term(), 0, 1, 2)
    return made


def row(rounds: Rounds, at: int = 0) -> VoteRow:
    return rounds.places[at].witness.row(rounds.chain(0))


def lose_the_book(rounds: Rounds, at: int) -> None:
    """Give a node back what a backup holds: the votes of now, and no block."""
    disk = rounds.places[at].disk
    kept = MemoryDisk()
    for space in ("vote", "body", "self", "confirm"):
        if space in disk.spaces:
            kept.spaces[space] = disk.spaces[space]
    rounds.places[at] = rounds.started(rounds.places[at].coop, kept)


# --- The disk -----------------------------------------------------------------------------------


def test_a_row_is_read_as_it_was_written(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    rounds.ask(0, rounds.votes(rounds.term(), block, 0, 1, 2))
    full = dataclasses.replace(row(rounds), voids_h=3, voids=frozenset({b"x" * 32, b"y" * 32}))
    for given in (VoteRow(), row(rounds), full, dataclasses.replace(full, voids=None)):
        assert decode_row(given.encode()) == given


def test_a_row_that_the_disk_has_changed_keeps_the_witness_from_starting(rounds: Rounds) -> None:
    disk = rounds.places[0].disk
    disk.spaces["vote"][rounds.chain(0)] = row(rounds).encode()[:-1]
    with pytest.raises(Malformed):
        rounds.restart(0)


def test_a_certificate_does_not_make_a_witness_forget_its_lock(rounds: Rounds) -> None:
    # The head's file may be restored from a backup; the lock has to be there still.
    block = rounds.block(rounds.opening("a"))
    lock = rounds.votes(rounds.term(), block, 0, 1, 2)
    rounds.ask(0, rounds.commits(lock, 0, 1, 2))
    lose_the_book(rounds, 0)
    (promise,) = rounds.promises(rounds.term(2), 0)
    assert promise.head_h == 0
    assert promise.lock is not None and promise.lock.block == block.hash


def test_a_witness_that_lost_blocks_it_voted_above_asks_for_them_and_signs_nothing() -> None:
    rounds = Rounds(4)
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    rounds.submit(pen, rounds.opening("b"))
    lose_the_book(rounds, 1)
    assert rounds.heads(rounds.chain(0)) == [2, 0, 2, 2]
    before = row(rounds, 1)
    high = rounds.term(9, b"z" * 16)
    asked = rounds.ask(1, rounds.prepare(high))
    assert asked == [Need(rounds.chain(0), 1)]
    assert row(rounds, 1) == before
    blocks = rounds.ask(0, Get(rounds.chain(0), 1, 9))
    assert rounds.ask(1, *blocks) == []
    (promise,) = rounds.ask(1, rounds.prepare(high))
    assert isinstance(promise, Promise) and promise.head_h == 2


# --- W7 -----------------------------------------------------------------------------------------


def grown() -> Rounds:
    """Return a federation in which witness 3 has missed two blocks."""
    rounds = Rounds(4)
    pen = rounds.pen(0)
    rounds.places[3].up = False
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    rounds.submit(pen, rounds.opening("b"))
    assert rounds.heads(rounds.chain(0)) == [2, 2, 2, 0]
    return rounds


def test_blocks_are_taken_in_order_from_anybody_and_again_without_harm() -> None:
    rounds = grown()
    (blocks,) = rounds.ask(0, Get(rounds.chain(0), 1, 2))
    assert isinstance(blocks, Blocks) and len(blocks.blocks) == 2
    assert rounds.ask(3, Blocks(rounds.chain(0), blocks.blocks[1:])) == [Need(rounds.chain(0), 1)]
    assert rounds.heads(rounds.chain(0))[3] == 0
    for _ in range(2):
        assert rounds.ask(3, blocks) == []
        assert rounds.heads(rounds.chain(0)) == [2, 2, 2, 2]


def test_a_block_without_a_certificate_that_counts_is_not_taken() -> None:
    rounds = grown()
    (blocks,) = rounds.ask(0, Get(rounds.chain(0), 1, 1))
    assert isinstance(blocks, Blocks)
    certificate = blocks.blocks[0].certified_by()
    few = dataclasses.replace(certificate, bitmap=b"\x03", signatures=certificate.signatures[:2])
    bad = blocks.blocks[0].with_certificate(few.encode())
    (answer,) = rounds.ask(3, Blocks(rounds.chain(0), (bad,)))
    assert isinstance(answer, Failure) and answer.code == "no_quorum"
    assert rounds.heads(rounds.chain(0))[3] == 0


def test_heads_tell_what_to_ask_for() -> None:
    rounds = grown()
    (heads,) = rounds.ask(0, AskHeads(((rounds.chain(0), 1),)))
    assert isinstance(heads, Heads)
    assert [header.h for header, _ in heads.heads] == [2]
    assert rounds.ask(0, AskHeads(((rounds.chain(0), 2),))) == [Heads(())]
    step = rounds.places[3].witness.handle(b"", heads, rounds.now)
    assert step.notices == (NeedsBlocks(rounds.chain(0), 1, b""),)
    assert step.writes == ()


def test_a_chain_that_nobody_knows_has_no_blocks() -> None:
    rounds = grown()
    assert rounds.ask(0, Get(b"x" * 32, 1, 2)) == [Blocks(b"x" * 32, ())]


# --- W8 -----------------------------------------------------------------------------------------


def later(vote: Vote) -> Echo:
    return vote.echo()


def test_a_witness_that_forgot_a_vote_stops_for_good(rounds: Rounds) -> None:
    # A copy of the whole disk, votes and key, from before the second vote.
    block = rounds.block(rounds.opening("a"))
    rounds.votes(rounds.term(), block, 0, 1, 2)
    copy = MemoryDisk()
    copy.spaces = {name: dict(rows) for name, rows in rounds.places[0].disk.spaces.items()}
    rounds.open(rounds.term(2), 0, 1, 2)
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(2), rounds.block(rounds.opening("b"))))
    assert isinstance(vote, Vote) and vote.counter == 2
    rounds.places[0] = rounds.started(rounds.places[0].coop, copy)
    before = row(rounds)
    prepare = rounds.prepare(rounds.term(3), echo=vote.echo())
    step = rounds.places[0].witness.handle(b"", prepare, rounds.now)
    copy.commit(step.writes)
    assert isinstance(step.notices[0], Stopped)
    assert [m.message.reason for m in step.sends if isinstance(m.message, Refuse)] == ["counter"]
    assert row(rounds) == before
    rounds.restart(0)
    assert rounds.places[0].witness.stopped
    # Whatever comes now, and whoever asks, it signs no vote and no promise, on no chain.
    assert rounds.reason(0, rounds.prepare(rounds.term(4))) == "counter"
    assert rounds.reason(0, rounds.prepare(rounds.term(at=1), rounds.chain(1))) == "counter"
    (answer,) = rounds.ask(0, rounds.propose(rounds.term(2), block))
    assert isinstance(answer, Failure) and answer.code == "witness_stopped"
    assert row(rounds) == before


def test_a_proposal_carries_the_echo_as_well(rounds: Rounds) -> None:
    block = rounds.block(rounds.opening("a"))
    copy = MemoryDisk()
    copy.spaces = {name: dict(rows) for name, rows in rounds.places[0].disk.spaces.items()}
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(), block))
    assert isinstance(vote, Vote)
    rounds.places[0] = rounds.started(rounds.places[0].coop, copy)
    rounds.ask(0, rounds.propose(rounds.term(), block, vote.echo()))
    assert rounds.places[0].witness.stopped
    assert row(rounds).vote is None


@pytest.mark.parametrize("change", ["counter", "signature", "chain", "not later"])
def test_an_echo_that_proves_nothing_stops_nobody(rounds: Rounds, change: str) -> None:
    (vote,) = rounds.ask(1, rounds.propose(rounds.term(), rounds.block(rounds.opening("a"))))
    (own,) = rounds.ask(0, rounds.propose(rounds.term(), rounds.block(rounds.opening("a"))))
    assert isinstance(vote, Vote) and isinstance(own, Vote)
    echo = {
        "counter": dataclasses.replace(own.echo(), counter=9),
        "signature": dataclasses.replace(vote.echo(), counter=9),
        "chain": dataclasses.replace(own.echo(), chain=rounds.chain(1), counter=9),
        "not later": own.echo(),
    }[change]
    (answer,) = rounds.ask(0, rounds.prepare(rounds.term(2), echo=echo))
    assert isinstance(answer, Promise)
    assert rounds.places[0].witness.stopped is None


def test_a_witness_answers_nothing_that_is_not_its_business(rounds: Rounds) -> None:
    before = row(rounds)
    (answer,) = rounds.ask(0, Done(rounds.chain(0), 1, b"x" * 32))
    assert isinstance(answer, Failure) and answer.code == "unexpected_message"
    assert row(rounds) == before
