"""Stories told step by step, for what random schedules do not find.

Each returns when the rule it is about holds, and raises Broken when it does not. `mutants` runs them
against machines that were broken on purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from maillon.ledger import messages as wire
from maillon.ledger import signing
from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish, InWish, OrderWish
from maillon.ledger.charter import refounding_body
from maillon.ledger.charter_entries import (
    CharterEntry,
    Refound,
    Retire,
    SetKey,
    SetLimit,
    SetRule,
)
from maillon.ledger.charter_rules import heads_root
from maillon.ledger.entries import Close, Open, Void, confirmation_hash, sign_confirmation
from maillon.ledger.erasure import erase
from maillon.ledger.orders import HoldAction, Order, PayAction, order_id, sign_order
from maillon.ledger.quorum import Certificate, Term, encode_refounding
from maillon.protocol.errors import MaillonError
from simulation.ledger.disk import SimDisk
from simulation.ledger.keys import MacKey, verify_mac
from simulation.ledger.lab import NOW, Lab
from simulation.ledger.model import NO_MAX, Broken, need

NO_REF = bytes(32)


def _account(number: int) -> bytes:
    return bytes([number + 1]) * 16


def _opening(number: int, limit: int = 100) -> EntryWish:
    key = MacKey(f"member {number}")
    return EntryWish(Open(_account(number), 0, key.public, ((0, limit, NO_MAX),)))


def _pay(lab: Lab, chain: int, payer: int, seq: int, to: int, payee: int, amount: int) -> Order:
    action = PayAction(lab.ids[to], _account(payee), 0, amount, NO_REF, "")
    key = MacKey(f"member {payer}")
    return sign_order(
        key, lab.fed, _account(payer), seq, lab.ids[chain], NOW + 10_000, action  # type: ignore[arg-type]  # the stand-in
    )


# --- Epochs --------------------------------------------------------------------------------------


def epoch_change_needs_another_opening() -> None:
    """P6 and W3: what a term was opened with under one charter says nothing under the next.

    The charter replaces three of four witnesses, and the chain adopts it. A second instance of the
    writer opens a lower term with the new witnesses, who have promised nothing, and has a block
    certified. Then the first instance goes on in its higher term without opening it again.
    """
    lab = Lab(7, 4, 3)
    chain = lab.ids[0]
    changes: list[CharterEntry] = [SetKey(lab.ids[i], "witness", b"") for i in (1, 2, 3)]
    changes += [SetKey(lab.ids[i], "witness", lab.keys[i].public) for i in (4, 5, 6)]
    lab.certify(lab.charter_block(changes), 0, 1)
    old, new = [0, 1, 2, 3], [0, 4, 5, 6]
    # The first instance, term 5, opened under charter 0; its block adopts charter 1.
    term = lab.term(0, 5)
    shown = lab.promises(chain, 0, term, old)
    block = lab.block(chain, _opening(0), adopt=1)
    for place in old:
        lab.ask(place, wire.Opening(chain, term, shown))
    committee = lab.committee(0)
    votes = lab.quorum(committee, lab.votes(0, term, block, old))
    first = lab.certificate(committee, lab.commits(votes, old))
    assert first is not None
    lab.apply(block, first.encode())
    # The second instance: a lower term, opened with witnesses who never heard of term 5.
    low = lab.term(0, 3)
    fresh = [4, 5, 6]
    promises = lab.promises(chain, 0, low, fresh)
    for place in fresh:
        lab.ask(place, wire.Opening(chain, low, promises))
    one = lab.block(chain, _opening(1), adopt=1)
    committee = lab.committee(1)
    given = lab.votes(0, low, one, fresh)
    need(len(given) == 3, "the new witnesses vote in a term that they opened")
    done = lab.certificate(committee, lab.commits(lab.quorum(committee, given), fresh))
    need(done is not None, "and commit")
    # The first instance again, which does not open term 5 anew.
    other = lab.block(chain, _opening(2), adopt=1)
    for place in new:
        lab.ask(place, wire.Opening(chain, term, shown))
    given = lab.votes(0, term, other, new)
    if len(given) >= 3:
        commits = lab.commits(lab.quorum(committee, given), new)
        need(
            lab.certificate(committee, commits) is None,
            "a term opened under one charter certifies nothing under the next",
        )


def retired_certificates_prove_nothing() -> None:
    """E4: whoever stole all keys of a retired epoch can make no payment out of nothing."""
    lab = Lab(4, 4, 3)
    here, there = lab.ids[0], lab.ids[1]
    lab.certify(lab.block(here, _opening(0)), 0, 1)
    lab.certify(lab.block(there, _opening(1)), 1, 1)
    # What the thieves will forge: the payer's block that stands beside the one that is certified.
    forged = lab.block(here, OrderWish(_pay(lab, 0, 0, 1, 1, 1, 60)))
    lab.certify(lab.charter_block([SetLimit(lab.ids[0], 0, 500)]), 0, 1)
    for place in range(4):
        lab.certify(lab.block(lab.ids[place], adopt=1, place=place), place, 2)
    lab.certify(lab.charter_block([_retirement(lab, 1)]), 0, 2)
    lab.certify(lab.block(there, adopt=2, place=1), 1, 3)
    certificate = _forge(lab, forged)
    placed = forged.body.entries[0]
    evidence = lab.books[0].evidence(here, 1)
    evidence = replace(
        evidence, header=forged.header, carrier=forged.header, certificate=certificate, path=()
    )
    wish = InWish(
        evidence, 0, getattr(placed, "salt"), getattr(placed, "data"), tuple(forged.body.path(0))  # noqa: B009
    )
    need(
        not _placed(lab, there, wish),
        "certificates of a retired epoch prove only what lies below the retired heads",
    )
    need(
        not _taken(lab.books[3], forged, certificate.encode()),
        "nor do they make a head of another block",
    )
    late = Book(lab.founding, SimDisk(), verify_mac)
    for block in lab.books[0].blocks(lab.fed, 1, 2):
        late.apply(block, block.certificate)
    first = lab.books[0].block(here, 1)
    late.apply(first, first.certificate)
    need(
        not _taken(late, forged, certificate.encode()),
        "nor does who comes later follow them",
    )


def _retirement(lab: Lab, below: int) -> Retire:
    heads = tuple(
        (id, lab.books[0].head(id).h, lab.books[0].head(id).hash) for id in sorted(lab.ids)
    )
    return Retire(below, heads_root(heads), heads)


def _forge(lab: Lab, block: Block) -> Certificate:
    """Certify a block with stolen keys, whatever the witnesses have promised."""
    committee = lab.committee(block.header.c)
    term = Term(99, bytes(16), lab.writers[0].public)
    commits = {
        key.public: wire.Commit.sign(
            key, lab.fed, block.header.c, block.chain, block.h, term, block.hash
        ).signature
        for key in lab.keys
        if key.public in committee
    }
    return Certificate.gather(
        committee, block.header.c, block.chain, block.h, term, block.hash, commits
    )


def _placed(lab: Lab, chain: bytes, wish: InWish) -> bool:
    """Say whether a witness votes for a block that consumes this."""
    try:
        lab.block(chain, wish, place=1, adopt=2)
    except (AssertionError, MaillonError):
        return False
    return True


def _taken(book: Book, block: Block, certificate: bytes) -> bool:
    try:
        book.apply(block, certificate)
    except MaillonError:
        return False
    return book.head(block.chain).hash == block.hash


def refounding_ends_what_was_above_its_heads() -> None:
    """E5: blocks above the heads that a re-founding pinned do not count, whoever certified them."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    lab.certify(lab.block(chain, _opening(0)), 0, 1)
    above = lab.block(chain, _opening(1))
    heads = tuple(
        (id, lab.books[0].head(id).h, lab.books[0].head(id).hash) for id in sorted(lab.ids)
    )
    fresh = [MacKey(f"fresh witness {i}") for i in range(4)]
    coops = tuple(
        sorted((lab.ids[i], lab.writers[i].public, fresh[i].public) for i in range(4))
    )
    # A machine that stayed behind, and holds a block that the lost witnesses certified.
    stale = lab.books[3]
    stale.apply(above, _forge(lab, above))
    charter = lab.books[0].charter
    proposal = charter.propose([Refound(heads, coops, 3)])
    block = charter.build(proposal.entries, (), time=NOW)
    body = refounding_body(block)
    few = {lab.ids[i]: signing.sign(lab.roots[i], signing.REFOUND, lab.fed, body) for i in (0, 1)}
    need(
        not _taken(lab.books[1], block, encode_refounding(few)),
        "a re-founding takes two thirds of the coops",
    )
    signatures = dict(few)
    signatures[lab.ids[2]] = signing.sign(lab.roots[2], signing.REFOUND, lab.fed, body)
    for book in lab.books:
        book.apply(block, encode_refounding(signatures))
    need(
        stale.head(chain).h == 1,
        "who holds a block above the pinned head goes back to it",
        h=stale.head(chain).h,
    )
    need(
        not _taken(lab.books[1], above, _forge(lab, above).encode()),
        "and nobody takes it any more",
    )
    need(
        lab.books[1].governing(chain) == 1,
        "the re-founding governs what follows the pinned head",
        governing=lab.books[1].governing(chain),
    )
    lab.keys = fresh
    for place in range(4):
        lab.witnesses[place] = lab._witness(place)  # pyright: ignore[reportPrivateUsage]
    lab.certify(lab.block(chain, _opening(2), adopt=1), 0, 9)
    lab.certify(lab.charter_block([SetRule("recovery_s", 7)]), 0, 9)
    need(stale.charter.height == 2, "and the charter goes on as well")


# --- Leases --------------------------------------------------------------------------------------


def one_opener_at_a_time() -> None:
    """E1: while a witness leases the charter to one opener, another is refused; later not."""
    lab = Lab(4, 4, 3)
    first = lab.prepare(lab.fed, 0, lab.term(0, 1))
    need(lab.answer(0, first, wire.Promise), "the first opener is promised")
    second = lab.prepare(lab.fed, 1, lab.term(1, 2))
    refusals = [lab.answer(0, second, wire.Refuse, NOW + wait) for wait in (1, 20, 50)]
    third = lab.prepare(lab.fed, 2, lab.term(2, 3))
    refusals += [lab.answer(0, third, wire.Refuse, NOW + 55)]
    need(
        any(refusal is not None and refusal.reason == "lease" for refusal in refusals),
        "another opener waits for the lease to end",
    )
    later = [
        lab.answer(0, lab.prepare(lab.fed, w, lab.term(w, 4 + w)), wire.Promise, NOW + 400 + w)
        for w in (1, 2)
    ]
    need(any(later), "a lease ends")


# --- Erasure -------------------------------------------------------------------------------------


def an_erased_block_is_taken_from_its_certified_state() -> None:
    """What stands for erased entries is checked against the state root that was certified."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    lab.certify(lab.block(chain, _opening(0), _opening(1)), 0, 1)
    lab.certify(lab.block(chain, EntryWish(Close(_account(1)))), 0, 2)
    lab.disks[0].commit(erase(lab.books[0], chain, _account(1)))
    erased = lab.books[0].block(chain, 1)
    need(erased.body.erased and erased.delta, "the first block has erased entries")
    fresh = Book(lab.founding, SimDisk(), verify_mac)
    need(_taken(fresh, erased, erased.certificate), "who comes later takes it")
    # A neighbour that hands it on gives the other account a fortune.
    rows = list(erased.delta)
    for index, row in enumerate(rows):
        if row.row and _account(0) in row.row:
            limit = b"\x64"  # 100 of credit, as it is encoded
            at = row.row.rindex(limit)
            rows[index] = replace(row, row=row.row[:at] + b"\x7f" + row.row[at + 1 :])
    spoilt = replace(erased, delta=tuple(rows))
    need(spoilt != erased, "the script spoils a row")
    other = Book(lab.founding, SimDisk(), verify_mac)
    need(
        not _taken(other, spoilt, erased.certificate),
        "the rows that stand for erased entries have the certified root",
    )


# --- Witnesses -----------------------------------------------------------------------------------


def a_lock_keeps_its_block() -> None:
    """What a witness has locked it can show after a power cut, with the block."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    x, y = lab.block(chain, _opening(0)), lab.block(chain, _opening(1))
    everybody = [0, 1, 2, 3]
    committee = lab.committee(0)

    def opened(counter: int, places: list[int]) -> Term:
        term = lab.term(0, counter)
        shown = lab.promises(chain, 0, term, places)
        for place in places:
            lab.ask(place, wire.Opening(chain, term, shown))
        return term

    # Term 1: all vote for X, nobody learns of the quorum. Term 2: witness 0 votes for Y.
    lab.votes(0, opened(1, everybody), x, everybody)
    lab.votes(0, opened(2, everybody), y, [0])
    # Term 3: the others vote for X again; witness 0 is shown their quorum only.
    votes = lab.votes(0, opened(3, [1, 2, 3]), x, [1, 2, 3])
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


def stripped_locks_are_no_promises() -> None:
    """A lying writer leaves out the votes under a lock: the promise does not count then."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    x, y = lab.block(chain, _opening(0)), lab.block(chain, _opening(1))
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
    x, y = lab.block(chain, _opening(0)), lab.block(chain, _opening(1))
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
            lock_qc=replace(lab.quorum(committee, votes), term=lab.term(0, 2), block=y.hash).encode(),
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
    block = lab.block(chain, _opening(0), place=1)
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
    lab.certify(lab.block(chain, _opening(0), _opening(1)), 0, 1)
    payer = MacKey("member 0")
    payee = MacKey("member 1").public
    action = HoldAction(chain, _account(1), 0, 50, NO_REF, "", NOW + 10, payee, b"", b"")
    order = sign_order(payer, lab.fed, _account(0), 1, chain, NOW + 10_000, action)  # type: ignore[arg-type]  # the stand-in
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
        chain, EntryWish(Void(_account(0), hold, None)), time=NOW + 20
    )
    term = lab.term(0, 3)
    shown = lab.promises(chain, 0, term, [0, 1, 2, 3])
    for place in range(4):
        lab.ask(place, wire.Opening(chain, term, shown))
    given = lab.votes(0, term, voiding, [0, 1, 2, 3], NOW + 20)
    need(len(given) < 3, "a confirmed hold finds no quorum to void it", votes=len(given))
    # And the other way round: who has voted for the void acknowledges nothing.
    for key in given:
        place = [k.public for k in lab.keys].index(key)
        ack = lab.answer(place, wire.Confirm(chain, hold, confirmation), wire.Ack)
        need(ack is None, "who voted to void a hold acknowledges no confirmation of it")


SCRIPTS: tuple[Callable[[], None], ...] = (
    epoch_change_needs_another_opening,
    retired_certificates_prove_nothing,
    refounding_ends_what_was_above_its_heads,
    one_opener_at_a_time,
    an_erased_block_is_taken_from_its_certified_state,
    a_lock_keeps_its_block,
    stripped_locks_are_no_promises,
    a_false_lock_does_not_bind,
    a_rolled_back_witness_stops,
    a_confirmed_hold_is_not_voided,
)
