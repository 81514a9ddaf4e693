"""How a writer has blocks certified (spec/06-ledger.md, P1 to P6)."""

from __future__ import annotations

import dataclasses

import pytest

from maillon.ledger import bounds
from maillon.ledger.build import OrderWish
from maillon.ledger.entries import Open
from maillon.ledger.errors import BadBlock, OverLimit, StaleSequence
from maillon.ledger.messages import Blocks, Message, Need
from maillon.ledger.rounds import (
    Commit,
    Done,
    Final,
    Lock,
    Opening,
    Prepare,
    Promise,
    Propose,
    Refuse,
    Vote,
)
from maillon.ledger.sources import Blame, CoopSource, QueueFull
from maillon.ledger.steps import (
    AnotherInstance,
    Certified,
    Notice,
    OrderPlaced,
    OrderRefused,
    Step,
    Stuck,
)
from maillon.ledger.told import told
from maillon.ledger.writer import WriterSettings
from support.rounds import Pen, Rounds, stream


@pytest.fixture
def rounds() -> Rounds:
    return Rounds(4)


def settle(rounds: Rounds, *pens: Pen, seconds: int = 120) -> None:
    for _ in range(seconds // 2):
        for pen in pens:
            rounds.tick(pen, 2)
            # Whoever sleeps until the next wake never goes round without sleeping.
            wake = pen.writer.next_wake(rounds.now)
            assert wake is None or wake > rounds.now


def phase(pen: Pen) -> str:
    return pen.writer.status.phase


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


# --- P4: giving up ------------------------------------------------------------------------------


def refusal(rounds: Rounds, pen: Pen, at: int, reason: str, evidence: bytes = b"") -> Refuse:
    term = pen.writer.status.term
    assert term is not None
    key = rounds.federation.coops[at].witness
    return Refuse.sign(key, rounds.fed, rounds.chain(0), term, 0, reason, evidence)


def test_a_candidate_is_dropped_after_so_many_refusals_that_no_quorum_can_come(
    rounds: Rounds,
) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.lost = lambda a, b, m: isinstance(m, Propose)
    rounds.submit(pen, rounds.opening("a"))
    assert phase(pen) == "voting"
    rounds.take(pen, pen.writer.handle(*_by(rounds, 1, refusal(rounds, pen, 1, "time"))))
    # n - q + 1 = 2: one refusal may be a liar's.
    assert phase(pen) == "voting"
    rounds.take(pen, pen.writer.handle(*_by(rounds, 1, refusal(rounds, pen, 1, "invalid"))))
    assert phase(pen) == "voting"
    rounds.take(pen, pen.writer.handle(*_by(rounds, 2, refusal(rounds, pen, 2, "time"))))
    assert phase(pen) == "waiting"
    assert any(isinstance(n, Stuck) for n in pen.notices)
    first = pen.writer.status.term
    rounds.lost = lambda a, b, m: False
    settle(rounds, pen)
    second = pen.writer.status.term
    assert first is not None and second is not None and second > first
    assert rounds.heads(rounds.chain(0)) == [1] * 4


def bad_opening(rounds: Rounds, name: str) -> Open:
    """Return an entry that no reader takes, though it can be written: its key is none."""
    return dataclasses.replace(rounds.opening(name), key=bytes(32))


@pytest.mark.parametrize("around", [0, 1, 6])
def test_an_entry_that_no_witness_accepts_is_refused_and_stops_nobody(
    rounds: Rounds, around: int
) -> None:
    pen = rounds.pen(0)
    wishes = [rounds.opening(f"before {k}") for k in range(around)]
    wishes += [bad_opening(rounds, "bad")]
    wishes += [rounds.opening(f"after {k}") for k in range(around)]
    for wish in wishes:
        pen.writer.submit(rounds.wish(wish), rounds.now)
    rounds.start(pen)
    settle(rounds, pen)
    refused = [n for n in pen.notices if isinstance(n, OrderRefused)]
    assert [n.id for n in refused] == [rounds.wish(bad_opening(rounds, "bad")).id(rounds.fed)]
    assert len([n for n in pen.notices if isinstance(n, OrderPlaced)]) == 2 * around
    rounds.submit(pen, rounds.opening("later"))
    assert rounds.places[1].book.state(rounds.chain(0)).account(rounds.person("later")[1])


def test_the_entry_that_so_many_blame_is_refused_and_the_others_are_placed(
    rounds: Rounds,
) -> None:
    source = CoopSource(rounds.places[0].book, rounds.chain(0), stream("s"))
    pen = rounds.pen(0, source=source)
    names = [source.add(rounds.wish(rounds.opening(name))) for name in ("a", "b", "c")]
    rounds.lost = lambda a, b, m: isinstance(m, Propose)
    rounds.start(pen)
    evidence = told(BadBlock(reason="entry", index=1, entry_code="bad_key", entry_facts={}))
    for at in (1, 2):
        blaming = refusal(rounds, pen, at, "invalid", evidence)
        rounds.take(pen, pen.writer.handle(*_by(rounds, at, blaming)))
    (refused,) = [n for n in pen.notices if isinstance(n, OrderRefused)]
    assert refused.id == names[1] and refused.error.facts["entry_code"] == "bad_key"
    rounds.lost = lambda a, b, m: False
    settle(rounds, pen)
    assert {n.id for n in pen.notices if isinstance(n, OrderPlaced)} == {names[0], names[2]}


def test_a_block_that_is_invalid_for_no_entry_is_made_smaller_until_one_is_found(
    rounds: Rounds,
) -> None:
    source = CoopSource(rounds.places[0].book, rounds.chain(0), stream("s"))
    for name in "abcdefgh":
        source.add(rounds.wish(rounds.opening(name)))
    counts: list[int] = []
    notices: list[Notice] = []
    for _ in range(5):
        candidate, _ = source.build(rounds.now)
        assert candidate is not None
        counts.append(candidate.block.header.count)
        notices = source.refused(candidate.block, ["invalid"] * 2, [Blame(None)] * 2)
    assert counts == [8, 4, 2, 1, 1]
    assert [type(n) for n in notices] == [OrderRefused]
    assert len(source) == 6


def test_what_a_few_blame_is_not_dropped(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.lost = lambda a, b, m: isinstance(m, Propose)
    rounds.submit(pen, rounds.opening("a"))
    for at, reason in ((1, "invalid"), (2, "time")):
        rounds.take(pen, pen.writer.handle(*_by(rounds, at, refusal(rounds, pen, at, reason))))
    assert not any(isinstance(n, OrderRefused) for n in pen.notices)
    rounds.lost = lambda a, b, m: False
    settle(rounds, pen)
    assert rounds.heads(rounds.chain(0)) == [1] * 4


def _by(rounds: Rounds, at: int, message: Message) -> tuple[bytes, Message, int]:
    return rounds.places[at].key, message, rounds.now


def test_a_refusal_that_its_witness_did_not_sign_does_not_count(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.lost = lambda a, b, m: isinstance(m, Propose)
    rounds.submit(pen, rounds.opening("a"))
    for at in (1, 2, 3):
        bad = dataclasses.replace(refusal(rounds, pen, at, "time"), signature=bytes(64))
        rounds.take(pen, pen.writer.handle(*_by(rounds, at, bad)))
    assert phase(pen) == "voting"
    assert pen.writer.status.refusals == ()


def test_silence_is_no_refusal_and_what_was_sent_is_sent_again(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.lost = lambda a, b, m: isinstance(m, Propose)
    rounds.submit(pen, rounds.opening("a"))
    settle(rounds, pen, seconds=60)
    assert phase(pen) == "voting"
    assert any(isinstance(n, Stuck) for n in pen.notices)
    rounds.lost = lambda a, b, m: False
    settle(rounds, pen, seconds=64)
    assert rounds.heads(rounds.chain(0)) == [1] * 4
    assert pen.writer.status.term == rounds.term()


# --- P5: another instance -----------------------------------------------------------------------


def test_another_instance_is_told_and_given_way_to_at_random(rounds: Rounds) -> None:
    first, second = rounds.pen(0, b"a" * 16), rounds.pen(0, b"b" * 16)
    rounds.start(first)
    rounds.start(second)
    rounds.submit(first, rounds.opening("a"))
    (alert,) = [n for n in first.notices if isinstance(n, AnotherInstance)]
    assert alert.evidence == rounds.prepare(rounds.term(1, b"b" * 16)).encode()
    assert phase(first) == "waiting"
    settle(rounds, first, second)
    state = rounds.places[0].book.state(rounds.chain(0))
    assert state.account(rounds.person("a")[1]) is not None


def test_a_writer_can_be_told_to_stop_for_another_instance(rounds: Rounds) -> None:
    first = rounds.pen(0, b"a" * 16, settings=WriterSettings(stop_for_rival=True))
    second = rounds.pen(0, b"b" * 16)
    rounds.start(first)
    rounds.start(second)
    rounds.submit(first, rounds.opening("a"))
    assert phase(first) == "stopped"
    settle(rounds, first)
    assert rounds.heads(rounds.chain(0)) == [0] * 4


def test_a_refusal_by_a_term_without_its_signed_prepare_is_not_believed(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.lost = lambda a, b, m: isinstance(m, Propose)
    rounds.submit(pen, rounds.opening("a"))
    rounds.take(pen, pen.writer.handle(*_by(rounds, 3, refusal(rounds, pen, 3, "term"))))
    assert phase(pen) == "voting"
    assert not any(isinstance(n, AnotherInstance) for n in pen.notices)


def test_a_term_that_nobody_can_prove_is_passed_by_when_others_are_silent() -> None:
    rounds = Rounds(3)
    # Witness 2 learned of term 40 by an OPEN: it has no signed prepare to show.
    promises = rounds.promises(rounds.term(40, b"z" * 16), 0, 1)
    rounds.ask(2, Opening(rounds.chain(0), promises[0].term, tuple(promises)))
    lose = rounds.places[0]
    lose.disk.spaces["vote"].clear()
    rounds.restart(0)
    rounds.places[1].up = False
    pen = rounds.pen(0)
    rounds.start(pen)
    pen.writer.submit(rounds.wish(rounds.opening("a")), rounds.now)
    settle(rounds, pen, seconds=900)
    assert rounds.heads(rounds.chain(0)) == [1, 0, 1]


def test_a_block_that_some_refuse_and_others_never_answer_is_built_anew(rounds: Rounds) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.places[3].up = False
    rounds.lost = lambda a, b, m: isinstance(m, Propose) and b == rounds.places[2].key
    rounds.submit(pen, rounds.opening("a"))
    said = refusal(rounds, pen, 2, "charter_old")
    rounds.take(pen, pen.writer.handle(*_by(rounds, 2, said)))
    assert phase(pen) == "voting"
    rounds.lost = lambda a, b, m: False
    settle(rounds, pen)
    assert rounds.heads(rounds.chain(0)) == [1, 1, 1, 0]


def test_a_liar_drives_a_writers_counter_only_so_far_that_the_others_follow(
    rounds: Rounds,
) -> None:
    pen = rounds.pen(0)
    rounds.start(pen)
    rounds.lost = lambda a, b, m: isinstance(m, Propose)
    rounds.submit(pen, rounds.opening("a"))
    far = rounds.prepare(rounds.term(2**40)).encode()
    rounds.take(pen, pen.writer.handle(*_by(rounds, 3, refusal(rounds, pen, 3, "term", far))))
    rounds.lost = lambda a, b, m: False
    settle(rounds, pen)
    term = pen.writer.status.term
    assert term is not None and term.counter <= bounds.CLAIM_MAX + 2 < bounds.TERM_JUMP_MAX
    assert rounds.heads(rounds.chain(0)) == [1] * 4


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
