"""Stories of one witness and one height: votes, locks, promises, confirmations."""

from __future__ import annotations

from dataclasses import replace

from maillon.ledger import messages as wire
from maillon.ledger.build import EntryWish, OrderWish
from maillon.ledger.charter_entries import (
    CharterEntry,
    Clear,
    SetKey,
    SetLimit,
)
from maillon.ledger.entries import (
    Void,
    confirmation_hash,
    sign_confirmation,
)
from maillon.ledger.fraud import fraud_hash, two_proposals
from maillon.ledger.orders import HoldAction, order_id, sign_order
from maillon.ledger.quorum import Term
from maillon.protocol.errors import MaillonError
from simulation.ledger.disk import VOTES
from simulation.ledger.keys import MacKey
from simulation.ledger.lab import NOW, Lab
from simulation.ledger.model import Broken, need
from simulation.ledger.telling import NO_REF, account, opened, opening, taken


def a_lock_keeps_its_block() -> None:
    """What a witness has locked it can show after a power cut, with the block."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    x, y = lab.block(chain, opening(0)), lab.block(chain, opening(1))
    everybody = [0, 1, 2, 3]
    committee = lab.committee(0)

    def starts(counter: int, places: list[int]) -> Term:
        term = lab.term(0, counter)
        shown = lab.promises(chain, 0, term, places)
        for place in places:
            lab.ask(place, wire.Opening(chain, term, shown))
        return term

    # Term 1: all vote for X, nobody learns of the quorum. Term 2: witness 0 votes for Y.
    lab.votes(0, starts(1, everybody), x, everybody)
    lab.votes(0, starts(2, everybody), y, [0])
    # Term 3: the others vote for X again; witness 0 is shown their quorum only.
    votes = lab.votes(0, starts(3, [1, 2, 3]), x, [1, 2, 3])
    lab.commits(lab.quorum(committee, votes), everybody)
    lab.restart(0)
    message = lab.prepare(chain, 0, lab.term(0, 4))
    try:
        promise = lab.answer(0, message, wire.Promise)
    except AssertionError as gone:
        raise Broken(f"a lock follows the storing of its block: {gone}") from gone
    row = lab.witnesses[0].row(chain)
    if row.lock is not None:
        need(
            promise is not None and promise.lock_block,
            "a witness that has locked a block can show it",
        )


def who_has_lost_blocks_promises_nothing() -> None:
    """W1: a witness whose ledger is behind its votes asks for blocks; it would hide what it signed.

    The power may go between the two files, and somebody may restore one of them.
    """
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    before = lab.disks[0].copy(votes=False).rows
    first = lab.block(chain, opening(0))
    done = lab.certify(first, 0, 1)
    second = lab.block(chain, opening(1))
    committee = lab.committee(0)
    votes = lab.votes(0, opened(lab, chain, 0, 2, [0, 1, 2, 3]), second, [0, 1, 2])
    lab.commits(lab.quorum(committee, votes), [0, 1, 2])
    for space in set(lab.disks[0].rows) - VOTES:
        lab.disks[0].rows[space] = dict(before.get(space, {}))
    lab.restart(0)
    message = lab.prepare(chain, 0, lab.term(0, 3))
    answers = lab.ask(0, message)
    need(
        not any(isinstance(answer, wire.Promise) for answer in answers)
        and any(isinstance(answer, wire.Need) for answer in answers),
        "who has lost blocks asks for them, and promises nothing",
    )
    lab.disks[0].commit(lab.books[0].apply(first, done.encode()))
    promise = lab.answer(0, message, wire.Promise)
    need(promise is not None and promise.lock is not None, "with them it shows its lock again")


def stripped_locks_are_no_promises() -> None:
    """A lying writer leaves out the votes under a lock: the promise does not count then."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    x, y = lab.block(chain, opening(0)), lab.block(chain, opening(1))
    committee = lab.committee(0)
    first = lab.term(0, 1)
    shown = lab.promises(chain, 0, first, [0, 1, 2, 3])
    for place in range(4):
        lab.ask(place, wire.Opening(chain, first, shown))
    votes = lab.votes(0, first, x, [0, 1, 2])
    commits = lab.commits(lab.quorum(committee, votes), [0, 1, 2])
    need(lab.certificate(committee, commits) is not None, "X is certified, and nobody is told")
    second = lab.term(0, 2)
    promises = lab.promises(chain, 0, second, [0, 1, 3])
    stripped = tuple(replace(promise, lock_qc=b"", lock_block=b"") for promise in promises)
    for place in (0, 1, 3):
        lab.ask(place, wire.Opening(chain, second, stripped))
    given = lab.votes(0, second, y, [0, 1, 3])
    need(len(given) < 3, "nobody votes beside a lock whose votes were left out", votes=len(given))


def a_false_lock_does_not_bind() -> None:
    """A lying witness claims a lock for which nobody voted: it neither binds nor frees."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    x, y = lab.block(chain, opening(0)), lab.block(chain, opening(1))
    committee = lab.committee(0)
    first = lab.term(0, 1)
    shown = lab.promises(chain, 0, first, [0, 1, 2, 3])
    for place in range(4):
        lab.ask(place, wire.Opening(chain, first, shown))
    votes = lab.votes(0, first, x, [0, 1, 2])
    lab.commits(lab.quorum(committee, votes), [0, 1, 2])
    # Term 3 with honest witnesses 1 and 2 and the liar 3, who claims that Y was locked in term 2.
    third = lab.term(0, 3)
    promises = list(lab.promises(chain, 0, third, [1, 2]))
    lie = wire.LockAt(1, lab.term(0, 2), y.hash)
    start = lab.books[0].head(chain).hash
    promises.append(
        wire.Promise.sign(
            lab.keys[3], lab.fed, chain, third, 0, start, lie,
            lock_qc=replace(
                lab.quorum(committee, votes), term=lab.term(0, 2), block=y.hash
            ).encode(),
        )  # fmt: skip
    )
    for place in (0, 1, 2):
        lab.ask(place, wire.Opening(chain, third, tuple(promises)))
    given = lab.votes(0, third, y, [0, 1, 2])
    need(len(given) < 2, "a lock that nobody voted for does not count", votes=len(given))


def a_rolled_back_witness_stops() -> None:
    """W8: a witness whose votes were rolled back stops when a writer shows it one of them."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[1]
    kept = lab.disks[0].copy_votes()
    term = lab.term(1, 1)
    shown = lab.promises(chain, 1, term, [0, 1, 2, 3])
    for place in range(4):
        lab.ask(place, wire.Opening(chain, term, shown))
    block = lab.block(chain, opening(0), place=1)
    vote = lab.votes(1, term, block, [0])[lab.keys[0].public]
    lab.disks[0].restore_votes(kept)
    lab.restart(0)
    again = replace(lab.prepare(chain, 1, lab.term(1, 2)), echo=vote.echo())
    lab.ask(0, again)
    need(lab.witnesses[0].stopped, "a witness that forgot a vote stops")
    lab.restart(0)
    need(lab.witnesses[0].stopped, "and stays stopped")
    fresh = lab.prepare(chain, 1, lab.term(1, 3))
    need(lab.answer(0, fresh, wire.Promise) is None, "it promises nothing any more")


def a_confirmed_hold_is_not_voided() -> None:
    """Once a quorum has acknowledged a confirmation, a void of that hold finds none."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    lab.certify(lab.block(chain, opening(0), opening(1)), 0, 1)
    payer = MacKey("member 0")
    payee = MacKey("member 1").public
    action = HoldAction(chain, account(1), 0, 50, NO_REF, "", NOW + 10, payee, b"", b"")
    order = sign_order(payer, lab.fed, account(0), 1, chain, NOW + 10_000, action)
    lab.certify(lab.block(chain, OrderWish(order)), 0, 2)
    hold = order_id(lab.fed, order.body)
    confirmation = sign_confirmation(payer, lab.fed, chain, hold)
    digest = confirmation_hash(confirmation)
    acks = [
        lab.answer(place, wire.Confirm(chain, hold, confirmation), wire.Ack)
        for place in (0, 1, 2)
    ]
    named = [ack.confirmation_hash for ack in acks if ack is not None]
    need(named == [digest] * 3, "three of four acknowledge the confirmation")
    lab.restart(1)
    voiding = lab.block(
        chain, EntryWish(Void(account(0), hold, None)), time=NOW + 20
    )
    term = lab.term(0, 3)
    shown = lab.promises(chain, 0, term, [0, 1, 2, 3])
    for place in range(4):
        lab.ask(place, wire.Opening(chain, term, shown))
    given = lab.votes(0, term, voiding, [0, 1, 2, 3], NOW + 20)
    need(len(given) < 3, "a confirmed hold finds no quorum to void it", votes=len(given))
    # And the other way round: who has voted for the void acknowledges nothing.
    for key in given:
        place = next(p for p, own in enumerate(lab.keys) if own.public == key)
        ack = lab.answer(place, wire.Confirm(chain, hold, confirmation), wire.Ack)
        need(ack is None, "who voted to void a hold acknowledges no confirmation of it")


def every_refusal_can_be_read() -> None:
    """Also a witness that has promised nothing on a chain answers a CONFIRM in bytes that count."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    confirmation = sign_confirmation(MacKey("member 0"), lab.fed, chain, bytes(32))
    answers = lab.ask(0, wire.Confirm(chain, bytes(32), confirmation))
    need(answers, "a confirmation of nothing is answered")
    for answer in answers:
        try:
            same = wire.decode_message(wire.encode_message(answer)) == answer
        except MaillonError as error:
            raise Broken(f"an answer that nobody can read: {error}") from error
        need(same, "what is answered is what is read")


def the_highest_lock_binds() -> None:
    """W2: of two locks the one of the higher term is proposed again: its quorum saw the lower."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    x, y = lab.block(chain, opening(0)), lab.block(chain, opening(1))
    committee = lab.committee(0)
    # Term 1: X gets its votes, and witness 0 alone is shown them. 3 is the liar.
    votes = lab.votes(0, opened(lab, chain, 0, 1, [0, 1, 2, 3]), x, [0, 1, 2])
    lab.commits(lab.quorum(committee, votes), [0])
    # Term 2, with the others: Y is certified by 1, 2 and the liar.
    votes = lab.votes(0, opened(lab, chain, 0, 2, [1, 2, 3]), y, [1, 2, 3])
    commits = lab.commits(lab.quorum(committee, votes), [1, 2, 3])
    need(lab.certificate(committee, commits) is not None, "Y is certified")
    # Term 3, with 0, 1 and the liar, who hides its lock.
    third = lab.term(0, 3)
    promises = lab.promises(chain, 0, third, [0, 1])
    lie = wire.Promise.sign(lab.keys[3], lab.fed, chain, third, 0, lab.books[0].head(chain).hash)
    for place in (0, 1, 2):
        lab.ask(place, wire.Opening(chain, third, (*promises, lie)))
    given = lab.votes(0, third, x, [0, 1, 2])
    need(not given, "nobody votes for the lower of two locks", votes=len(given))


def nobody_votes_below_a_promise() -> None:
    """W3: a witness that has promised a higher term votes in no lower one, opened or not."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    low = opened(lab, chain, 0, 1, [0, 1, 2, 3])
    lab.promises(chain, 0, lab.term(0, 2), [0, 1, 2, 3])
    given = lab.votes(0, low, lab.block(chain, opening(0)), [0, 1, 2, 3])
    need(not given, "nobody votes in a term below the one it has promised", votes=len(given))


def nobody_is_counted_twice() -> None:
    """A quorum is of different witnesses: of promises, of votes and of commits."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    term = lab.term(0, 1)
    shown = lab.promises(chain, 0, term, [0, 1])
    block = lab.block(chain, opening(0))
    lab.promises(chain, 0, term, [2, 3])
    for place in range(4):
        lab.ask(place, wire.Opening(chain, term, (*shown, shown[0])))
    given = lab.votes(0, term, block, [0, 1, 2, 3])
    need(not given, "one promise shown twice is one promise", votes=len(given))
    term = opened(lab, chain, 0, 2, [0, 1, 2, 3])
    votes = lab.votes(0, term, block, [0, 1, 2, 3])
    committee = lab.committee(0)
    full = lab.quorum(committee, votes)
    one = replace(
        full, bitmap=b"\x01", signatures=full.signatures[:1] * 3, counters=full.counters[:1] * 3
    )
    need(not lab.commits(one, [0, 1, 2, 3]), "one vote shown three times is one vote")
    commits = lab.commits(full, [0, 1, 2, 3])
    certificate = lab.certificate(committee, commits)
    assert certificate is not None
    thin = replace(certificate, bitmap=b"\x01", signatures=certificate.signatures[:1] * 3)
    need(
        not taken(lab.books[0], block, thin.encode()),
        "one commit shown three times is no certificate",
    )


def only_witnesses_of_the_epoch_commit() -> None:
    """W4: a key that the charter has taken out of service commits to nothing after that."""
    lab = Lab(5, 4, 3)
    chain = lab.ids[0]
    changes: list[CharterEntry] = [
        SetKey(lab.ids[3], "witness", b""),
        SetKey(lab.ids[4], "witness", lab.keys[4].public),
    ]
    lab.certify(lab.charter_block(changes), 0, 1)
    lab.certify(lab.block(chain, adopt=1), 0, 1)
    places = [0, 1, 2, 4]
    term = opened(lab, chain, 0, 2, places)
    block = lab.block(chain, opening(0), adopt=1)
    lab.ask(3, wire.Propose.sign(lab.writers[0], lab.fed, term, block))
    votes = lab.quorum(lab.committee(1), lab.votes(0, term, block, places))
    # It is shown the block as well, so that nothing but its office is missing.
    lab.disks[3].commit(
        lab.witnesses[3]._store_body(chain, block, lab.witnesses[3].row(chain))  # pyright: ignore[reportPrivateUsage]
    )
    need(not lab.commits(votes, [3]), "who is no witness of the epoch commits to nothing")


def _convicted(lab: Lab, chain: bytes) -> None:
    """Let the writer propose two blocks in one term, and all witnesses learn of it."""
    term = opened(lab, chain, 0, 50, [0, 1, 2, 3])
    a, b = lab.block(chain, opening(8)), lab.block(chain, opening(9))
    for place in range(4):
        for block in (a, b):
            lab.ask(place, wire.Propose.sign(lab.writers[0], lab.fed, term, block))
    need(
        all(witness.frauds.frozen(chain) is not None for witness in lab.witnesses),
        "two proposals in one term are found out",
    )


def a_frozen_chain_takes_nothing_fresh() -> None:
    """W3 and W6: after a fraud nobody votes for a fresh block, until the charter has cleared it."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    _convicted(lab, chain)
    proof = lab.witnesses[1].frauds.frozen(chain)
    assert proof is not None
    term = opened(lab, chain, 0, 60, [0, 1, 2, 3])
    fresh = lab.block(chain, opening(0))
    need(
        not lab.votes(0, term, fresh, [0, 1, 2, 3]), "nobody votes for a fresh block of a liar's"
    )
    key = MacKey("another writer")
    changes: list[CharterEntry] = [
        SetKey(lab.ids[0], "writer", key.public), Clear(lab.ids[0], fraud_hash(proof))
    ]  # fmt: skip
    lab.certify(lab.charter_block(changes, approvers=(1,)), 1, 1)
    lab.writers[0] = key
    term = opened(lab, chain, 0, 70, [0, 1, 2, 3])
    votes = lab.votes(0, term, fresh, [0, 1, 2, 3])
    need(len(votes) >= 3, "once cleared the chain goes on", votes=len(votes))


def what_is_locked_is_voted_for_in_a_frozen_chain() -> None:
    """W6: a witness's own reasons hold against fresh blocks, never against what was locked."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    x = lab.block(chain, opening(0))
    committee = lab.committee(0)
    votes = lab.votes(0, opened(lab, chain, 0, 1, [0, 1, 2, 3]), x, [0, 1, 2])
    lab.commits(lab.quorum(committee, votes), [0, 1])
    a = wire.Propose.sign(lab.writers[0], lab.fed, lab.term(0, 9), x)
    b = wire.Propose.sign(
        lab.writers[0], lab.fed, lab.term(0, 9), lab.block(chain, opening(1))
    )
    proof = two_proposals(a, b).encode()
    for place in range(4):
        lab.ask(place, wire.FraudReport(proof))
    need(lab.witnesses[2].frauds.frozen(chain) is not None, "the chain is frozen")
    again = lab.votes(0, opened(lab, chain, 0, 10, [0, 1, 2, 3]), x, [0, 1, 2, 3])
    need(len(again) >= 3, "what is locked is voted for, whatever a witness thinks of it")


def a_charter_needs_its_approvals() -> None:
    """E1: a block of the charter carries the approvals of enough coops, each once, each signed."""
    lab = Lab(4, 4, 3, approvals=3)
    change = [SetLimit(lab.ids[0], 0, 1)]
    good = lab.charter_block(change, approvers=(0, 1, 2))
    charter = lab.books[0].charter
    for name, approvals in (
        ("too few", good.body.approvals[:2]),
        ("one of them unsigned", (
            *good.body.approvals[:2], replace(good.body.approvals[2], signature=bytes(64))
        )),
    ):  # fmt: skip
        data = [getattr(placed, "data") for placed in good.body.entries]  # noqa: B009
        block = charter.build(data, approvals, time=NOW)
        term = lab.term(0, 1)
        shown = lab.promises(lab.fed, 0, term, [0, 1, 2, 3])
        for place in range(4):
            lab.ask(place, wire.Opening(lab.fed, term, shown))
        given = lab.votes(0, term, block, [0])
        need(not given, f"nobody votes for a charter whose approvals are {name}")
    lab.certify(good, 0, 2)
