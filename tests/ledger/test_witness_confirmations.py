"""How a confirmation becomes binding (spec/06-ledger.md, "Confirmations")."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from maillon.ledger import voterow
from maillon.ledger.block import Block
from maillon.ledger.entries import (
    KeyConfirmation,
    PreimageConfirmation,
    Void,
    confirmation_hash,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.errors import HoldOpen
from maillon.ledger.messages import Ack, Confirm
from maillon.ledger.orders import NO_REF, HoldAction, Order, sign_order
from maillon.ledger.rounds import Refuse, Vote
from maillon.ledger.steps import OrderPlaced, OrderRefused
from maillon.ledger.told import read_told
from support.rounds import Pen, Rounds

SECRET = b"s" * 32


class Scene:
    """A federation in which a holds 5 for b, until an hour from now."""

    def __init__(self, n: int = 4) -> None:
        self.rounds = Rounds(n)
        self.pen: Pen = self.rounds.pen(0)
        self.rounds.start(self.pen)
        self.order = self.hold_order()
        self.hold = self.order.id(self.rounds.fed)
        self.rounds.submit(self.pen, self.rounds.opening("a"), self.rounds.opening("b"))
        self.rounds.submit(self.pen, self.order)
        self.chain = self.rounds.chain(0)
        self.payer = self.rounds.person("a")[1]

    def hold_order(self) -> Order:
        key, account = self.rounds.person("a")
        payee_key, payee = self.rounds.person("b")
        action = HoldAction(
            self.rounds.chain(0),
            payee,
            0,
            5,
            NO_REF,
            "",
            self.rounds.now + 3_600,
            payee_key.public,
            b"",
            hashlib.sha256(SECRET).digest(),
        )
        return sign_order(
            key, self.rounds.fed, account, 1, self.rounds.chain(0), self.rounds.now + 60, action
        )

    def confirm(self) -> Confirm:
        key = self.rounds.person("a")[0]
        word = sign_confirmation(key, self.rounds.fed, self.chain, self.hold)
        return Confirm(self.chain, self.hold, word)

    def void(self, *, released: bool = False) -> Void:
        release = None
        if released:
            key = self.rounds.person("b")[0]
            release = sign_release(key, self.rounds.fed, self.chain, self.hold)
        return Void(self.payer, self.hold, release)

    def expired(self) -> Block:
        """Let the hold expire and return a block that voids it, in a term that is open."""
        self.rounds.now += 7_200
        self.rounds.open(self.rounds.term(5, b"v" * 16), 0, 1, 2)
        return self.rounds.block(self.void())

    @property
    def term(self) -> object:
        return self.rounds.term(5, b"v" * 16)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_witness_acknowledges_a_confirmation_after_keeping_it(scene: Scene) -> None:
    rounds = scene.rounds
    step = rounds.places[0].witness.handle(b"", scene.confirm(), rounds.now)
    assert [write.space for write in step.writes] == ["confirm"]
    (ack,) = [send.message for send in step.sends]
    assert isinstance(ack, Ack)
    named = confirmation_hash(scene.confirm().confirmation)
    assert (ack.hold, ack.confirmation_hash, ack.c) == (scene.hold, named, 0)
    assert rounds.verify([ack.check(rounds.fed)]) == [True]
    rounds.places[0].disk.commit(step.writes)
    assert rounds.ask(0, scene.confirm()) == [ack]


def test_a_hold_that_was_acknowledged_is_not_voided_because_it_expired(scene: Scene) -> None:
    rounds = scene.rounds
    rounds.ask(0, scene.confirm())
    rounds.restart(0)
    block = scene.expired()
    before = rounds.places[0].witness.row(scene.chain)
    assert rounds.reason(0, rounds.propose(rounds.term(5, b"v" * 16), block)) == "confirmed_hold"
    assert rounds.places[0].witness.row(scene.chain) == before
    # One that holds no confirmation has no reason to refuse.
    (vote,) = rounds.ask(1, rounds.propose(rounds.term(5, b"v" * 16), block))
    assert isinstance(vote, Vote)


def test_the_payees_release_voids_a_hold_whatever_was_confirmed(scene: Scene) -> None:
    rounds = scene.rounds
    rounds.ask(0, scene.confirm())
    rounds.open(rounds.term(5, b"v" * 16), 0, 1, 2)
    block = rounds.block(scene.void(released=True))
    (vote,) = rounds.ask(0, rounds.propose(rounds.term(5, b"v" * 16), block))
    assert isinstance(vote, Vote)


def test_who_voted_for_a_void_acknowledges_nothing_until_the_height_is_decided(
    scene: Scene,
) -> None:
    rounds = scene.rounds
    block = scene.expired()
    rounds.ask(0, rounds.propose(rounds.term(5, b"v" * 16), block))
    rounds.restart(0)
    assert rounds.reason(0, scene.confirm()) == "voted"
    assert "confirm" not in rounds.places[0].disk.spaces
    # Also after a vote for another block in a higher term: the void may come back as K.
    rounds.open(rounds.term(6), 0, 1, 2)
    other = rounds.block(rounds.opening("c"))
    rounds.ask(0, rounds.propose(rounds.term(6), other))
    assert rounds.reason(0, scene.confirm()) == "voted"
    final = rounds.commits(rounds.votes(rounds.term(6), other, 0, 1, 2), 0, 1, 2)
    rounds.ask(0, final)
    (ack,) = rounds.ask(0, scene.confirm())
    assert isinstance(ack, Ack)


def test_a_witness_that_cannot_remember_all_it_would_void_acknowledges_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = scene.rounds
    monkeypatch.setattr("maillon.ledger.witness.VOIDS_MAX", 0)
    assert voterow.VOIDS_MAX > 0
    block = scene.expired()
    rounds.ask(0, rounds.propose(rounds.term(5, b"v" * 16), block))
    row = rounds.places[0].witness.row(scene.chain)
    assert row.voids is None and voterow.decode_row(row.encode()) == row
    assert rounds.reason(0, scene.confirm()) == "voted"


def test_a_void_that_is_kept_is_voted_for_in_spite_of_a_confirmation(scene: Scene) -> None:
    rounds = scene.rounds
    block = scene.expired()
    rounds.ask(1, rounds.votes(rounds.term(5, b"v" * 16), block, 0, 1, 2))
    # Witness 3 never voted for it and acknowledges; the block may be certified all the same.
    (ack,) = rounds.ask(3, scene.confirm())
    assert isinstance(ack, Ack)
    rounds.open(rounds.term(6), 1, 2, 3)
    (vote,) = rounds.ask(3, rounds.propose(rounds.term(6), block))
    assert isinstance(vote, Vote)


def test_a_secret_confirms_as_a_key_does(scene: Scene) -> None:
    confirm = Confirm(scene.chain, scene.hold, PreimageConfirmation(SECRET))
    (ack,) = scene.rounds.ask(0, confirm)
    assert isinstance(ack, Ack)


@pytest.mark.parametrize("what", ["secret", "key", "signature", "hold"])
def test_what_confirms_nothing_is_refused_and_not_kept(scene: Scene, what: str) -> None:
    rounds = scene.rounds
    good = scene.confirm()
    word = good.confirmation
    assert isinstance(word, KeyConfirmation)
    other = rounds.person("b")[0]
    bad = {
        "secret": dataclasses.replace(good, confirmation=PreimageConfirmation(b"x" * 32)),
        "key": dataclasses.replace(
            good, confirmation=sign_confirmation(other, rounds.fed, scene.chain, scene.hold)
        ),
        "signature": dataclasses.replace(
            good, confirmation=dataclasses.replace(word, signature=bytes(64))
        ),
        "hold": dataclasses.replace(good, hold=b"x" * 32),
    }[what]
    (refusal,) = rounds.ask(0, bad)
    assert isinstance(refusal, Refuse) and refusal.reason == "invalid"
    code, _ = read_told(refusal.evidence)
    assert code == ("hold_unknown" if what == "hold" else "confirmation")
    assert "confirm" not in rounds.places[0].disk.spaces


def test_a_confirmation_is_forgotten_with_its_hold(scene: Scene) -> None:
    rounds = scene.rounds
    rounds.ask(0, scene.confirm())
    rounds.submit(scene.pen, scene.void(released=True))
    assert rounds.heads(scene.chain)[0] == 3 or rounds.heads(scene.chain)[0] == 4
    rounds.ask(0, scene.confirm())
    assert rounds.places[0].disk.spaces["confirm"] == {}


def test_a_writer_gives_up_voiding_what_a_quorum_has_acknowledged(scene: Scene) -> None:
    rounds = scene.rounds
    for at in (0, 1, 2):
        rounds.ask(at, scene.confirm())
    rounds.now += 7_200
    (name,) = rounds.submit(scene.pen, scene.void())
    (placed,) = rounds.submit(scene.pen, rounds.opening("c"))
    for _ in range(20):
        rounds.tick(scene.pen, 2)
    refused = [n for n in scene.pen.notices if isinstance(n, OrderRefused)]
    assert [(n.id, type(n.error)) for n in refused] == [(name, HoldOpen)]
    assert any(isinstance(n, OrderPlaced) and n.id == placed for n in scene.pen.notices)
    assert rounds.places[0].book.state(scene.chain).hold(scene.hold) is not None
