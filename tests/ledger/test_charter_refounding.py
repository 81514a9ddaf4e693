"""A federation that lost its quorum for good goes on from its last certified blocks (06, E5)."""

from __future__ import annotations

from maillon.ledger.block import Block
from maillon.ledger.charter import approve
from maillon.ledger.charter_entries import Refound, SetRule, encode_charter_entry
from maillon.ledger.charter_proposals import make_proposal
from maillon.ledger.messages import Blocks
from maillon.ledger.opener import CharterSource
from maillon.ledger.rounds import Commit
from maillon.ledger.writer import WriterSettings
from support.rounds import Pen, Rounds

SURVIVORS = (0, 1)


def refounded(rounds: Rounds) -> Block:
    """Let three coops of four found again with two witnesses, at the heads that node 0 knows."""
    federation, book = rounds.federation, rounds.places[0].book
    heads = tuple(
        (chain, book.head(chain).h, book.head(chain).hash) for chain in sorted(book.chains())
    )
    named = sorted(
        (coop.id, coop.writer.public, coop.witness.public)
        for coop in (federation.coops[at] for at in SURVIVORS)
    )
    entry = encode_charter_entry(Refound(heads, tuple(named), 2))
    block = federation.chain.build([entry], (), time=rounds.now)
    whole = block.with_certificate(federation.refound(block, federation.coops[:3]))
    federation.chain.apply(whole, whole.certificate)
    return whole


def lost() -> Rounds:
    """Return a federation with a block, and one more locked, when two nodes of four burn down."""
    rounds = Rounds(4, seed="refounding")
    rounds.open(rounds.term(), 0, 1, 2)
    first = rounds.block(rounds.opening("a"), rounds.opening("b"))
    final = rounds.commits(rounds.votes(rounds.term(), first, 0, 1, 2), 0, 1, 2)
    for at in range(4):
        rounds.ask(at, Blocks(first.chain, (first.with_certificate(final.certificate.encode()),)))
    # The next one has its votes, and both survivors commit to it; nobody will hear of it again.
    second = rounds.block(rounds.payment(0, "a", "b", 5))
    lock = rounds.votes(rounds.term(), second, 0, 1, 2)
    for at in SURVIVORS:
        (commit,) = rounds.ask(at, lock)
        assert isinstance(commit, Commit)
    for place in rounds.places[2:]:
        place.up = False
    return rounds


def write(rounds: Rounds) -> Pen:
    """Let coop 0 start a new writer, which has a payment to place, and a minute go by."""
    pen = rounds.pen(0, b"2" * 16)
    rounds.start(pen)
    rounds.submit(pen, rounds.payment(0, "a", "b", 7))
    for _ in range(30):
        rounds.tick(pen, 2)
    return pen


def test_without_it_nothing_is_certified_any_more() -> None:
    rounds = lost()
    write(rounds)
    assert rounds.heads(rounds.chain(0)) == [1, 1, 1, 1]


def test_the_survivors_go_on_though_they_had_locked_a_block_that_is_void_now() -> None:
    rounds = lost()
    block = refounded(rounds)
    for at in SURVIVORS:
        rounds.ask(at, Blocks(rounds.fed, (block,)))
        assert rounds.places[at].book.charter.latest.refounded == 1
    write(rounds)
    heads = rounds.heads(rounds.chain(0))
    assert heads[:2] == [2, 2]
    assert rounds.places[1].book.header_at(rounds.chain(0), 2).c == 1
    assert [rounds.balance(0, name) for name in ("a", "b")] == [-7, 7]


def test_what_the_survivors_wrote_down_is_enough_to_start_again() -> None:
    rounds = lost()
    block = refounded(rounds)
    for at in SURVIVORS:
        rounds.ask(at, Blocks(rounds.fed, (block,)))
        rounds.restart(at)
    write(rounds)
    assert rounds.heads(rounds.chain(0))[:2] == [2, 2]
    for at in SURVIVORS:
        before = rounds.places[at].book.head(rounds.chain(0))
        assert rounds.restart(at).book.head(rounds.chain(0)) == before


def test_the_charter_goes_on_too_from_a_block_that_no_witness_certified() -> None:
    rounds = lost()
    block = refounded(rounds)
    proposal = make_proposal(1, [SetRule("recovery_s", 60)])
    given = [
        approve(rounds.fed, proposal.hash, coop.id, coop.writer)
        for coop in rounds.federation.coops[:2]
    ]
    for at in SURVIVORS:
        place = rounds.places[at]
        rounds.ask(at, Blocks(rounds.fed, (block,)))
        place.disk.commit(place.book.charter.keep(proposal, given))
    place = rounds.places[1]
    pen = rounds.pen(
        1,
        chain=rounds.fed,
        source=CharterSource(place.book, place.coop.id),
        settings=WriterSettings(eager=False),
    )
    rounds.start(pen)
    for _ in range(30):
        rounds.tick(pen, 2)
    assert rounds.heads(rounds.fed)[:2] == [2, 2]
    assert rounds.places[0].book.charter.latest.recovery_s == 60


def test_a_node_that_comes_back_drops_what_it_held_above_the_pinned_heads() -> None:
    rounds = lost()
    block = refounded(rounds)
    # Node 3 had the locked block certified: its disk was found in the ashes after all.
    late = rounds.places[3]
    second = rounds.block(rounds.payment(0, "a", "b", 9))
    final = rounds.federation.certify(second)
    late.disk.commit(late.book.apply(second, final))
    assert late.book.head(rounds.chain(0)).h == 2
    late.up = True
    rounds.ask(3, Blocks(rounds.fed, (block,)))
    assert late.book.head(rounds.chain(0)).h == 1
    assert rounds.restart(3).book.head(rounds.chain(0)).h == 1
    assert rounds.balance(0, "a") == 0
