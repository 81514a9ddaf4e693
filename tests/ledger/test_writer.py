"""How a writer has blocks certified (spec/06-ledger.md, P1 to P6)."""

from __future__ import annotations

import dataclasses

import pytest

from maillon.ledger.bounds import REBUILD_S, REBUILD_S_MAX
from maillon.ledger.build import OrderWish
from maillon.ledger.errors import OverLimit, StaleSequence
from maillon.ledger.messages import Blocks, Message, Need
from maillon.ledger.rounds import (
    Commit,
    Done,
    Final,
    Lock,
    Opening,
    Prepare,
    Promise,
    Vote,
)
from maillon.ledger.sources import CoopSource, QueueFull
from maillon.ledger.steps import (
    AnotherInstance,
    Certified,
    OrderPlaced,
    OrderRefused,
    Step,
)
from support.rounds import Pen, Rounds, phase, settle, stream


@pytest.fixture
def rounds() -> Rounds:
    return Rounds(4)


def kinds(rounds: Rounds, since: int = 0) -> list[str]:
    """Return the kinds of messages that arrived, each once when it came several times in a row."""
    names = [type(message).__name__ for _, _, message in rounds.log[since:]]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


# --- P1 to P3 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 10])
def test_orders_are_certified_by_any_number_of_witnesses(n: int) -> None:
    rounds = Rounds(n)
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"), rounds.opening("b"))
    (order,) = rounds.submit(pen, rounds.payment(0, "a", "b", 5))
    assert rounds.heads(rounds.chain(0)) == [3] * n
    assert (rounds.balance(0, "a"), rounds.balance(0, "b")) == (-5, 5)
    assert OrderPlaced(order, 3, 0) in pen.notices


def test_a_term_is_opened_before_there_is_anything_to_propose(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    assert kinds(rounds) == ["Prepare", "Promise", "Opening"]
    since = len(rounds.log)
    rounds.submit(pen, rounds.opening("a"))
    assert kinds(rounds, since) == ["Propose", "Vote", "Lock", "Commit", "Final", "Done"]


def test_later_heights_reuse_the_opening(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    for name in "abc":
        rounds.submit(pen, rounds.opening(name))
    assert len({m.term for m in rounds.sent(Prepare)}) == 1
    assert len(list(rounds.sent(Opening))) == 4
    assert rounds.heads(rounds.chain(0)) == [3] * 4


def test_what_waits_while_a_block_is_under_way_goes_into_the_next_one(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    steps: list[Step] = []
    for name in "abcdef":
        wish = rounds.wish(rounds.opening(name))
        steps.append(pen.writer.submit(wish, rounds.now))
    assert [bool(step.sends) for step in steps] == [True] + [False] * 5
    for step in steps:
        rounds.take(pen, step)
    rounds.run()
    blocks = list(rounds.places[0].book.blocks(rounds.chain(0), 1, 9))
    assert [block.header.count for block in blocks] == [1, 5]


def test_nothing_leaves_the_writer_as_certified_before_its_block_is_written(
    rounds: Rounds,
) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    placed: list[Step] = []
    take = rounds.take

    def watched(pen: Pen, step: Step) -> None:
        if any(isinstance(notice, OrderPlaced) for notice in step.notices):
            placed.append(step)
        take(pen, step)

    rounds.take = watched  # type: ignore[method-assign]
    rounds.submit(pen, rounds.opening("a"))
    (step,) = placed
    assert {"block", "head", "row"} <= {write.space for write in step.writes}
    assert any(isinstance(send.message, Final) for send in step.sends)


def test_a_wish_that_cannot_be_is_refused_with_what_is_possible(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a", 10), rounds.opening("b"))
    (name,) = rounds.submit(pen, rounds.payment(0, "a", "b", 11))
    (refused,) = [n for n in pen.notices if isinstance(n, OrderRefused)]
    assert refused.id == name and isinstance(refused.error, OverLimit)
    assert rounds.heads(rounds.chain(0)) == [2] * 4


def test_a_wish_is_queued_once(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"), rounds.opening("b"))
    wish = OrderWish(rounds.payment(0, "a", "b", 5))
    for _ in range(3):
        rounds.take(pen, pen.writer.submit(wish, rounds.now))
    rounds.run()
    assert rounds.balance(0, "b") == 5
    # One that stands already is refused by its number, and paid once.
    rounds.take(pen, pen.writer.submit(wish, rounds.now))
    rounds.run()
    (refused,) = [n for n in pen.notices if isinstance(n, OrderRefused)]
    assert isinstance(refused.error, StaleSequence)
    assert rounds.balance(0, "b") == 5


def test_a_full_queue_says_so_and_keeps_what_it_has(rounds: Rounds) -> None:
    source = CoopSource(rounds.places[0].book, rounds.chain(0), stream("s"), wishes_max=2)
    pen = rounds.pen(0, source=source)
    for name in "ab":
        pen.writer.submit(rounds.wish(rounds.opening(name)), rounds.now)
    with pytest.raises(QueueFull):
        pen.writer.submit(rounds.wish(rounds.opening("c")), rounds.now)
    assert len(source) == 2


def test_payments_to_another_coop_arrive_without_being_asked_for(rounds: Rounds) -> None:
    pens = [rounds.pen(at) for at in (0, 1)]
    for pen in pens:
        rounds.start(pen)
    rounds.submit(pens[0], rounds.opening("a"))
    rounds.submit(pens[1], rounds.opening("b"))
    rounds.submit(pens[0], rounds.payment(0, "a", "b", 5, to_coop=1))
    rounds.tick(pens[1])
    assert (rounds.balance(0, "a"), rounds.balance(1, "b")) == (-5, 5)


# --- P2: who is behind, who is ahead ------------------------------------------------------------


def test_a_payment_that_arrives_while_a_writer_waits_to_try_again_is_taken(
    rounds: Rounds,
) -> None:
    pens = [rounds.pen(at) for at in (0, 1)]
    for pen in pens:
        rounds.start(pen)
    rounds.submit(pens[0], rounds.opening("a"))
    rounds.submit(pens[1], rounds.opening("b"))
    # Nothing can be built of it: the second writer waits for a while, with nothing in its queue.
    rounds.submit(pens[1], rounds.payment(1, "b", "b2", 500))
    rounds.submit(pens[0], rounds.payment(0, "a", "b", 5, to_coop=1))
    rounds.tick(pens[1])
    assert rounds.balance(1, "b") == 0
    assert pens[1].writer.source.wake(rounds.now) == rounds.now + REBUILD_S
    rounds.tick(pens[1], REBUILD_S)
    assert rounds.balance(1, "b") == 5
    # And it sleeps again: nothing is left to do.
    rounds.tick(pens[1], 1)
    assert pens[1].writer.source.wake(rounds.now) is None


def test_what_nobody_waits_for_is_tried_ever_more_rarely(rounds: Rounds) -> None:
    source = CoopSource(rounds.places[0].book, rounds.chain(0), stream("s"))
    waits: list[int] = []
    for _ in range(14):
        assert source.build(rounds.now)[0] is None
        wake = source.wake(rounds.now)
        assert wake is not None
        waits.append(wake - rounds.now)
    assert waits[:3] == [REBUILD_S, 2 * REBUILD_S, 4 * REBUILD_S]
    assert waits == sorted(waits) and waits[-1] == REBUILD_S_MAX


def test_a_witness_that_was_away_is_brought_up_to_date(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.places[3].up = False
    rounds.start(pen)
    for name in "abc":
        rounds.submit(pen, rounds.opening(name))
    assert rounds.heads(rounds.chain(0)) == [3, 3, 3, 0]
    rounds.places[3].up = True
    rounds.places[2].up = False
    rounds.submit(pen, rounds.opening("d"))
    settle(rounds, pen)
    assert rounds.heads(rounds.chain(0)) == [4, 4, 3, 4]


def test_who_reconnects_is_asked_at_once(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.places[2].up = rounds.places[3].up = False
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    assert rounds.heads(rounds.chain(0)) == [0] * 4
    rounds.places[3].up = True
    rounds.take(pen, pen.writer.reconnected(rounds.places[3].key, rounds.now))
    rounds.run()
    assert rounds.heads(rounds.chain(0)) == [1, 1, 0, 1]


def test_a_writer_restored_from_a_backup_learns_what_it_forgot(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"), rounds.opening("b"))
    rounds.submit(pen, rounds.payment(0, "a", "b", 5))
    from support.charters import MemoryDisk

    old = rounds.places[0]
    rounds.places[0] = rounds.started(old.coop, MemoryDisk())
    # Its witness is gone as well, and with it a key that nobody else has.
    rounds.places[0].up = False
    again = rounds.pen(0, b"m" * 16)
    rounds.start(again)
    settle(rounds, again)
    assert rounds.places[0].book.head(rounds.chain(0)).h == 3
    assert any(isinstance(n, AnotherInstance) for n in again.notices)
    rounds.submit(again, rounds.payment(0, "a", "b", 7))
    settle(rounds, again)
    assert rounds.balance(0, "b") == 12
    assert all(place.witness.frauds.proofs() == [] for place in rounds.places)


def lost_after(rounds: Rounds, kind: type[Message]) -> None:
    """Lose every message of a kind, whoever sends it."""
    rounds.lost = lambda a, b, m: isinstance(m, kind)


@pytest.mark.parametrize("kind", [Vote, Lock, Commit, Final])
def test_what_was_under_way_when_the_writer_died_is_finished_or_made_anew(
    rounds: Rounds, kind: type[Message]
) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"), rounds.opening("b"))
    lost_after(rounds, kind)
    order = rounds.payment(0, "a", "b", 5)
    rounds.submit(pen, order)
    rounds.lost = lambda a, b, m: False
    rounds.restart(0)
    again = rounds.pen(0, b"m" * 16)
    rounds.start(again)
    rounds.submit(again, order)
    settle(rounds, again)
    # Paid once, whatever the first process brought about.
    assert (rounds.balance(0, "a"), rounds.balance(0, "b")) == (-5, 5)
    assert len(set(rounds.heads(rounds.chain(0)))) == 1


def test_a_block_that_was_kept_settles_the_wish_that_waits(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"), rounds.opening("b"))
    lost_after(rounds, Commit)
    order = rounds.payment(0, "a", "b", 5)
    rounds.submit(pen, order)
    rounds.lost = lambda a, b, m: False
    again = rounds.pen(0, b"o" * 16)
    rounds.take(again, again.writer.submit(OrderWish(order), rounds.now))
    rounds.start(again)
    settle(rounds, again)
    assert OrderPlaced(order.id(rounds.fed), 3, 0) in again.notices
    assert not any(isinstance(n, OrderRefused) for n in again.notices)


def test_promises_that_lie_are_passed_over(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    step = pen.writer.start(rounds.now)
    term = pen.writer.status.term
    assert term is not None
    liar = rounds.federation.coops[3].witness
    lies = Promise.sign(liar, rounds.fed, rounds.chain(0), term, 0, b"x" * 32)
    rounds.take(pen, pen.writer.handle(liar.public, lies, rounds.now))
    honest = rounds.promises(term, 1, 2)
    for promise in honest:
        rounds.take(pen, pen.writer.handle(promise.witness, promise, rounds.now))
    assert phase(pen) == "preparing"
    # Neither does one count that somebody else hands in.
    (third,) = rounds.promises(term, 0)
    rounds.take(pen, pen.writer.handle(liar.public, third, rounds.now))
    assert phase(pen) == "preparing"
    rounds.take(pen, pen.writer.handle(third.witness, third, rounds.now))
    assert phase(pen) == "ready"
    assert step.sends


def test_a_forged_vote_or_commit_does_not_spoil_the_others(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    liar = rounds.places[1].key
    take = pen.writer.handle

    def spoiled(witness: bytes, message: Message, now: int) -> Step:
        if witness == liar and isinstance(message, Vote | Commit):
            message = dataclasses.replace(message, signature=bytes(64))
        return take(witness, message, now)

    pen.writer.handle = spoiled  # type: ignore[method-assign]
    rounds.submit(pen, rounds.opening("a"))
    assert rounds.heads(rounds.chain(0)) == [1] * 4
    for place in rounds.places:
        certificate = place.book.head(rounds.chain(0)).certificate
        assert certificate is not None
        assert liar not in certificate.signers(place.book.charter.latest.committee())


# --- Asking and answering -----------------------------------------------------------------------


def test_a_witness_that_asks_without_end_is_answered_a_bounded_number_of_times(
    rounds: Rounds,
) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    for name in "abc":
        rounds.submit(pen, rounds.opening(name))
    sent = 0
    for count in range(500):
        need = Need(rounds.chain(0), 1 + count % 3)
        step = pen.writer.handle(rounds.places[3].key, need, rounds.now)
        sent += sum(isinstance(send.message, Blocks) for send in step.sends)
    assert 0 < sent <= 32
    step = pen.writer.handle(b"x" * 32, Need(rounds.chain(0), 1), rounds.now)
    assert step.sends == ()


def test_a_certificate_that_nobody_answered_is_repeated_a_bounded_number_of_times(
    rounds: Rounds,
) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.lost = lambda a, b, m: isinstance(m, Final | Done) and rounds.places[3].key in (a, b)
    rounds.submit(pen, rounds.opening("a"))
    assert rounds.heads(rounds.chain(0)) == [1, 1, 1, 0]
    rounds.lost = lambda a, b, m: False
    settle(rounds, pen, seconds=10)
    assert rounds.heads(rounds.chain(0)) == [1] * 4
    assert pen.writer.next_wake(rounds.now) is None


def test_the_votes_to_echo_outlive_the_process_but_for_those_of_the_own_witness(
    rounds: Rounds,
) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.submit(pen, rounds.opening("a"))
    rounds.restart(0)
    rounds.log.clear()
    again = rounds.pen(0, b"m" * 16)
    rounds.start(again)
    echoes = {to: m.echo for _, to, m in rounds.log if isinstance(m, Prepare)}
    assert echoes[rounds.places[0].key] is None
    for place in rounds.places[1:]:
        echo = echoes[place.key]
        assert echo is not None and echo.counter == 1
    term = again.writer.status.term
    assert term is not None and term.counter == 2


def test_certified_blocks_are_told_once_each(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    for name in "abc":
        rounds.submit(pen, rounds.opening(name))
    settle(rounds, pen, seconds=20)
    assert [n.h for n in pen.notices if isinstance(n, Certified)] == [1, 2, 3]
