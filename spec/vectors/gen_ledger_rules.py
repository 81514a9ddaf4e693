"""Make the vectors of spec/06-ledger: messages to one witness, and what it answers to each."""

from __future__ import annotations

import dataclasses
import hashlib
import random

from maillon.ledger.bounds import TERM_JUMP_MAX
from maillon.ledger.charter_entries import SetQuorum
from maillon.ledger.entries import Void, sign_confirmation, sign_release
from maillon.ledger.fraud import two_proposals
from maillon.ledger.messages import (
    AskHeads,
    Blocks,
    Confirm,
    FraudReport,
    Get,
    Need,
)
from maillon.ledger.orders import NO_REF, HoldAction, sign_order
from maillon.ledger.quorum import VoteQC
from maillon.ledger.rounds import Done, Final, Lock, Opening, Promise, Propose, Vote
from rules_stage import SCRIPTS, SEED, Script, bare, script
from support.rounds import Pen, Rounds


def vectors(rng: random.Random) -> dict[str, object]:
    """Return ledger-rules.json; all randomness comes from the federation's own seed."""
    del rng
    rounds = Rounds(4, seed=SEED)
    coops = rounds.federation.coops
    return {
        "ledger-rules.json": {
            "spec": "06-ledger",
            "about": "Each script begins with a witness that has promised nothing yet: the first "
            "of four, whose keys' seeds are given; it knows the founding document. A step hands it "
            "a message at a time (Unix seconds). Its answers are listed with their bytes; of "
            "REFUSE `invalid` only the reason and the error's code count, of ERROR only the code. "
            "A step with `restart` comes after the process was ended and started again from its "
            "disk.",
            "founding": rounds.federation.founding.document,
            "fed": rounds.fed,
            "witness_seeds": [coop.witness.secret_bytes() for coop in coops],
            "writer_seeds": [coop.writer.secret_bytes() for coop in coops],
            "chains": [coop.id for coop in coops],
            "scripts": [script.vector() for script in (make() for make in SCRIPTS)],
        }
    }


# --- A block from beginning to end --------------------------------------------------------------


@script("a block is certified", "W1 to W5")
def _(s: Script) -> None:
    s.open()
    final = s.certify(s.propose())
    s.ask(final)
    s.ask(Get(s.chain, 1, 9))
    s.ask(AskHeads(()))


@script("each message is repeated, and after a restart once more", "idempotence")
def _(s: Script) -> None:
    term = s.r.term()
    promises = s.promise(1, 1, 2)
    s.ask(s.r.prepare(term))
    opening = Opening(s.chain, term, bare(promises))
    s.ask(opening)
    s.ask(opening)
    for at in (1, 2):
        s.r.ask(at, opening)
    propose = s.propose()
    lock = s.vote(1, propose)
    s.ask(propose)
    s.restart()
    s.ask(propose)
    s.ask(lock)
    s.restart()
    s.ask(lock)
    s.ask(propose)
    final = s.r.commits(lock, 0, 1, 2)
    s.ask(final)
    s.restart()
    s.ask(final)
    s.ask(lock)


# --- W1 -----------------------------------------------------------------------------------------


@script("a lower term, and the same counter with a lower nonce", "W1 term")
def _(s: Script) -> None:
    s.promise(3)
    s.ask(s.r.prepare(s.r.term(2, b"z" * 16)))
    s.ask(s.r.prepare(s.r.term(3, b"m" * 16)))
    s.restart()
    s.ask(s.r.prepare(s.r.term(2, b"z" * 16)))
    s.ask(s.r.prepare(s.r.term(3, b"o" * 16)))


@script("a prepare that its writer did not sign", "W1 signature")
def _(s: Script) -> None:
    good = s.r.prepare(s.r.term(1))
    s.ask(dataclasses.replace(good, signature=s.r.prepare(s.r.term(2)).signature))
    s.ask(good)


@script("the writer of another coop, and a chain that is not", "W1 unauthorised")
def _(s: Script) -> None:
    s.ask(s.r.prepare(s.r.term(at=1)))
    s.ask(s.r.prepare(s.r.term(), b"x" * 32))


@script("a counter that leaps", "W1 quota")
def _(s: Script) -> None:
    s.ask(s.r.prepare(s.r.term(TERM_JUMP_MAX + 1)))
    s.ask(s.r.prepare(s.r.term(TERM_JUMP_MAX)))


@script("openers of the charter's chain take turns", "W1 lease", charter=True)
def _(s: Script) -> None:
    head = s.r.places[0].book.head(s.r.fed).hash

    def rank(at: int) -> bytes:
        return hashlib.sha256(head + s.r.term(at=at).key).digest()

    first, second, third, last = sorted(range(4), key=rank)
    s.ask(s.r.prepare(s.r.term(1, at=second), s.r.fed))
    s.ask(s.r.prepare(s.r.term(2, at=last), s.r.fed))
    s.ask(s.r.prepare(s.r.term(2, at=first), s.r.fed))
    s.ask(s.r.prepare(s.r.term(3, at=second), s.r.fed))
    s.r.now += 59
    s.ask(s.r.prepare(s.r.term(3, at=first), s.r.fed))
    s.ask(s.r.prepare(s.r.term(4, at=third), s.r.fed))
    s.r.now += 1
    s.ask(s.r.prepare(s.r.term(4, at=last), s.r.fed))
    s.ask(s.r.prepare(s.r.term(5, at=first), s.r.fed))
    s.ask(s.r.prepare(s.r.term(5, at=third), s.r.fed))


# --- W2 -----------------------------------------------------------------------------------------


@script("promises fewer than a quorum, one twice, one forged, one of another term", "W2 not_opened")
def _(s: Script) -> None:
    old = s.r.promises(s.r.term(1), 2)
    term = s.r.term(2)
    promises = s.promise(2, 1)
    (third,) = s.r.promises(term, 2)
    forged = dataclasses.replace(third, signature=promises[0].signature)
    for listed in ((), (promises[1],), (forged,), tuple(old)):
        s.ask(Opening(s.chain, term, (*promises, *listed)))
    s.ask(s.propose(counter=2))
    s.ask(Opening(s.chain, term, (*promises, third)))
    s.ask(s.propose(counter=2))


def locked_by_one(s: Script) -> Propose:
    """Let witness 1 alone lock a block in term 1; return its proposal."""
    s.open()
    propose = s.propose()
    s.r.ask(1, s.vote(1, propose))
    return propose


@script("the block of a lock is kept, and no other one", "W2, W3 locked")
def _(s: Script) -> None:
    propose = locked_by_one(s)
    s.open(2)
    s.ask(s.propose("b", 2))
    s.ask(s.r.propose(s.r.term(2), propose.block))


@script("a lock cannot be hidden by leaving out its votes, or by others", "W2 lock's votes")
def _(s: Script) -> None:
    locked_by_one(s)
    promises = s.promise(2, 1, 2)
    votes = promises[1].lock_votes()
    few = dataclasses.replace(votes, signatures=votes.signatures[::-1])
    for given in (b"", few.encode()):
        bare = dataclasses.replace(promises[1], lock_qc=given, lock_block=b"")
        s.ask(Opening(s.chain, s.r.term(2), (promises[0], bare, promises[2])))
    s.ask(s.propose("b", 2))


@script("of two locks that of the higher term is kept", "W2 highest lock")
def _(s: Script) -> None:
    locked_by_one(s)
    first = s.r.promises(s.r.term(2), 2, 3)
    own = s.promise(2)
    opening = Opening(s.chain, s.r.term(2), (*own, *first))
    s.ask(opening)
    for at in (2, 3):
        s.r.ask(at, opening)
    other = s.propose("b", 2)
    (vote,) = s.ask(other)
    assert isinstance(vote, Vote)
    votes = {vote.witness: (vote.counter, vote.signature)}
    for at in (2, 3):
        (given,) = s.r.ask(at, other)
        assert isinstance(given, Vote)
        votes[given.witness] = (given.counter, given.signature)
    s.r.ask(2, Lock(s.r.gathered(other.term, other.block, votes)))
    s.promise(3)
    promises = s.r.promises(s.r.term(3), 0, 1, 2)
    s.ask(Opening(s.chain, s.r.term(3), bare(promises)))
    s.ask(s.propose("a", 3))
    s.ask(s.r.propose(s.r.term(3), other.block))


@script("a promise with a head that is not certified", "W2 heads")
def _(s: Script) -> None:
    term = s.r.term()
    promises = s.promise(1, 1)
    key = s.r.federation.coops[2].witness
    for h in (0, 5):
        lying = Promise.sign(key, s.r.fed, s.chain, term, h, b"x" * 32)
        s.ask(Opening(s.chain, term, (*promises, lying)))


# --- W3 -----------------------------------------------------------------------------------------


@script("a proposal in a term that was not opened", "W3 not_opened")
def _(s: Script) -> None:
    s.promise(1)
    s.ask(s.propose())


@script("a second block in one term convicts the writer", "W3 voted, M1")
def _(s: Script) -> None:
    s.open()
    s.ask(s.propose("a"))
    s.restart()
    s.ask(s.propose("b"))
    s.open(2)
    s.ask(s.propose("b", 2))


@script("after the promise of a higher term nothing of the lower one is signed", "W3, W4 term")
def _(s: Script) -> None:
    s.open()
    propose = s.propose()
    votes: dict[bytes, tuple[int, bytes]] = {}
    for at in (1, 2):
        (vote,) = s.r.ask(at, propose)
        assert isinstance(vote, Vote)
        votes[vote.witness] = (vote.counter, vote.signature)
    (late,) = s.r.promises(s.r.term(), 3)
    s.r.ask(3, Opening(s.chain, s.r.term(), (late, *s.r.promises(s.r.term(), 1, 2))))
    (vote,) = s.r.ask(3, propose)
    assert isinstance(vote, Vote)
    votes[vote.witness] = (vote.counter, vote.signature)
    s.promise(2)
    s.ask(propose)
    s.ask(Lock(s.r.gathered(propose.term, propose.block, votes)))


@script("what was signed before is sent again after the promise of a higher term", "idempotence")
def _(s: Script) -> None:
    s.open()
    propose = s.propose()
    lock = s.vote(1, propose)
    s.ask(lock)
    s.promise(2)
    s.ask(propose)
    s.ask(lock)


@script("a block that is not valid", "W3 invalid")
def _(s: Script) -> None:
    s.open()
    good = s.propose().block
    bad = dataclasses.replace(good, header=dataclasses.replace(good.header, state_root=b"x" * 32))
    s.ask(s.r.propose(s.r.term(), bad))
    s.ask(s.r.propose(s.r.term(), good))


@script("a proposal over a gap asks for what is missing", "W7 need")
def _(s: Script) -> None:
    pen: Pen = s.r.pen(1, chain=s.chain, key=s.r.federation.coops[0].writer)
    s.r.places[0].up = False
    s.r.start(pen)
    s.r.submit(pen, s.r.opening("a"))
    block = s.r.block(s.r.opening("b"), book=1)
    s.ask(s.r.propose(s.r.term(), block))
    (blocks,) = s.r.ask(1, Get(s.chain, 1, 1))
    s.ask(blocks)
    s.ask(blocks)
    s.open(2)
    s.ask(s.r.propose(s.r.term(2), block))


# --- W4, W5 -------------------------------------------------------------------------------------


@script("votes that are too few, forged, or about a block that is not held", "W4")
def _(s: Script) -> None:
    s.open()
    propose = s.propose()
    (one,) = s.r.ask(1, propose)
    (two,) = s.r.ask(2, propose)
    assert isinstance(one, Vote) and isinstance(two, Vote)
    given = {vote.witness: (vote.counter, vote.signature) for vote in (one, two)}
    own = Vote.sign(
        s.r.federation.coops[0].witness, s.r.fed, 0, s.chain, 1, s.r.term(), one.block, 1
    )
    full = s.r.gathered(propose.term, propose.block, {own.witness: (1, own.signature), **given})
    s.ask(Lock(full))
    s.ask(propose)
    few = VoteQC(
        full.c, full.chain, full.h, full.term, full.block, b"\x03",
        full.signatures[:2], full.counters[:2],
    )  # fmt: skip
    s.ask(Lock(few))
    s.ask(Lock(dataclasses.replace(full, signatures=full.signatures[::-1])))
    s.ask(Lock(full))


@script("votes are no commits", "W5 one phase")
def _(s: Script) -> None:
    s.open()
    lock = s.vote(1, s.propose())
    s.ask(lock)
    final = s.r.commits(lock, 0, 1, 2)
    posed = dataclasses.replace(final.certificate, signatures=lock.votes.signatures)
    s.ask(Final(posed))
    s.ask(final)


@script("a certificate comes without the block, and needs no term", "W5")
def _(s: Script) -> None:
    s.r.open(s.r.term(), 1, 2, 3)
    block = s.r.block(s.r.opening("a"))
    lock = s.r.votes(s.r.term(), block, 1, 2, 3)
    final = s.r.commits(lock, 1, 2, 3)
    s.promise(9)
    s.ask(final)
    s.r.ask(1, final)
    (blocks,) = s.r.ask(1, Get(s.chain, 1, 1))
    s.ask(blocks)
    s.ask(final)
    s.ask(lock)


@script("a lock outlives the certificate, in case the head is lost", "what a witness keeps")
def _(s: Script) -> None:
    s.open()
    s.certify(s.propose())
    s.promise(2)


# --- W6 -----------------------------------------------------------------------------------------


@script("a block from the future is refused when fresh, and taken when kept", "W6 time")
def _(s: Script) -> None:
    s.r.now += 300
    late = s.r.block(s.r.opening("a"), time=s.r.now)
    s.r.now -= 301
    s.open()
    s.ask(s.r.propose(s.r.term(), late))
    s.r.now += 1
    s.r.ask(1, s.vote(1, s.r.propose(s.r.term(), late)))
    s.r.now -= 86_400
    s.open(2)
    s.ask(s.r.propose(s.r.term(2), late))


@script("a frozen chain takes nothing fresh", "W6 frozen, M1")
def _(s: Script) -> None:
    s.open()
    first, second = s.propose("a"), s.propose("b")
    s.ask(FraudReport(two_proposals(first, second).encode()))
    s.ask(first)


@script("the newest charter is two ahead of what a block adopts", "W6 charter_old")
def _(s: Script) -> None:
    s.open()
    propose = s.propose()
    for quorum in (4, 3):
        s.ask(Blocks(s.r.fed, (s.r.federation.grow(SetQuorum(quorum)),)))
    s.ask(propose)
    s.ask(s.propose("b", adopt=1))


# --- W8 -----------------------------------------------------------------------------------------


@script("a later vote of its own is shown to a witness, which stops for good", "W8 counter")
def _(s: Script) -> None:
    s.open()
    (vote,) = s.ask(s.propose())
    assert isinstance(vote, Vote)
    key = s.r.federation.coops[0].witness
    later = Vote.sign(key, s.r.fed, 0, s.chain, 2, s.r.term(), b"x" * 32, 2)
    other = Vote.sign(key, s.r.fed, 0, s.r.chain(1), 2, s.r.term(), b"x" * 32, 2)
    forged = dataclasses.replace(later, counter=3)
    term = s.r.term(2)
    for given in (vote, other, forged, later):
        s.ask(s.r.prepare(term, echo=given.echo()))
    s.restart()
    s.ask(s.r.prepare(s.r.term(3)))
    s.ask(s.propose("b"))
    s.ask(Done(s.chain, 1, b"x" * 32))


# --- Epochs -------------------------------------------------------------------------------------


@script("after the adoption of a charter the term is not open any more", "P6, E2")
def _(s: Script) -> None:
    s.open()
    grown = s.r.federation.grow(SetQuorum(4))
    adopting = Blocks(s.r.fed, (grown,))
    for at in (1, 2):
        s.r.ask(at, adopting)
    propose = s.propose("a", book=1, adopt=1)
    s.ask(propose)
    s.ask(adopting)
    s.certify(propose)
    s.ask(s.propose("b"))


# --- Confirmations ------------------------------------------------------------------------------


def held(s: Script) -> tuple[bytes, Confirm]:
    """Let a hold of an hour stand; return its id and a confirmation."""
    s.open()
    block = s.r.block(s.r.opening("a"), s.r.opening("b"))
    s.certify(s.r.propose(s.r.term(), block))
    key, payer = s.r.person("a")
    payee_key, payee = s.r.person("b")
    lock = hashlib.sha256(b"secret").digest()
    until = s.r.now + 3_600
    action = HoldAction(s.chain, payee, 0, 5, NO_REF, "", until, payee_key.public, b"", lock)
    order = sign_order(key, s.r.fed, payer, 1, s.chain, s.r.now + 60, action)
    s.certify(s.r.propose(s.r.term(), s.r.block(order)))
    hold = order.id(s.r.fed)
    return hold, Confirm(s.chain, hold, sign_confirmation(key, s.r.fed, s.chain, hold))


@script("a hold that was confirmed is not voided because it expired", "C1, W6 confirmed_hold")
def _(s: Script) -> None:
    hold, confirm = held(s)
    payer = s.r.person("a")[1]
    bad = sign_confirmation(s.r.person("b")[0], s.r.fed, s.chain, hold)
    s.ask(Confirm(s.chain, hold, bad))
    s.ask(Confirm(s.chain, b"x" * 32, confirm.confirmation))
    s.ask(confirm)
    s.ask(confirm)
    s.restart()
    s.r.now += 7_200
    s.ask(s.r.propose(s.r.term(), s.r.block(Void(payer, hold, None))))
    release = sign_release(s.r.person("b")[0], s.r.fed, s.chain, hold)
    s.ask(s.r.propose(s.r.term(), s.r.block(Void(payer, hold, release))))


@script("who voted for a void acknowledges nothing at that height", "C1 voted")
def _(s: Script) -> None:
    hold, confirm = held(s)
    s.r.now += 7_200
    payer = s.r.person("a")[1]
    s.ask(s.r.propose(s.r.term(), s.r.block(Void(payer, hold, None))))
    s.ask(confirm)
    s.open(2)
    s.ask(s.r.propose(s.r.term(2), s.r.block(s.r.opening("c"))))
    s.restart()
    s.ask(confirm)


@script("messages that are no witness's business", "unexpected_message")
def _(s: Script) -> None:
    s.ask(Need(s.chain, 1))
    s.ask(Done(s.chain, 1, b"x" * 32))
