"""When a writer gives up: refusals, silence, another instance (spec/06-ledger.md, P4 and P5)."""

from __future__ import annotations

import dataclasses

import pytest

from maillon.ledger import bounds
from maillon.ledger.entries import Open
from maillon.ledger.errors import BadBlock
from maillon.ledger.messages import Message
from maillon.ledger.rounds import (
    Opening,
    Propose,
    Refuse,
)
from maillon.ledger.sources import Blame, CoopSource
from maillon.ledger.steps import (
    AnotherInstance,
    Notice,
    OrderPlaced,
    OrderRefused,
    Stuck,
)
from maillon.ledger.told import told
from maillon.ledger.writer import WriterSettings
from support.rounds import Pen, Rounds, phase, settle, stream


@pytest.fixture
def rounds() -> Rounds:
    return Rounds(4)


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


def test_a_witness_that_could_not_be_helped_at_once_is_asked_again_while_a_term_waits(
    rounds: Rounds,
) -> None:
    pen = rounds.pen(0)
    key = [coop.witness.public for coop in rounds.federation.coops]
    # The fourth is gone for good, and nothing that is meant for the third arrives.
    rounds.lost = lambda a, b, m: bool({a, b} & {key[2], key[3]})
    rounds.start(pen)
    term = pen.writer.status.term
    for _ in range(bounds.REMEDIES_MAX + 1):
        refused = refusal(rounds, pen, 2, "unauthorised")
        rounds.take(pen, pen.writer.handle(*_by(rounds, 2, refused)))
    assert phase(pen) == "preparing" and dict(pen.writer.status.refusals)[key[2]] == "unauthorised"
    rounds.lost = lambda a, b, m: key[3] in (a, b)
    settle(rounds, pen)
    assert phase(pen) == "ready" and pen.writer.status.term == term


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
