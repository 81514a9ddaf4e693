"""Stories told step by step, for what random schedules do not find.

Each returns when the rule it is about holds, and raises Broken when it does not. `mutants` runs
them against machines that were broken on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from maillon.ledger import messages as wire
from maillon.ledger import signing
from maillon.ledger.block import Block, Body, Placed, entries_size
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
from maillon.ledger.entries import (
    Close,
    Intra,
)
from maillon.ledger.erasure import erase
from maillon.ledger.quorum import Certificate, Term, encode_refounding
from maillon.protocol.errors import MaillonError
from simulation.ledger.disk import SimDisk
from simulation.ledger.keys import MacKey, verify_mac
from simulation.ledger.lab import NOW, Lab
from simulation.ledger.model import need
from simulation.ledger.scripts_votes import (
    a_charter_needs_its_approvals,
    a_confirmed_hold_is_not_voided,
    a_false_lock_does_not_bind,
    a_frozen_chain_takes_nothing_fresh,
    a_lock_keeps_its_block,
    a_rolled_back_witness_stops,
    every_refusal_can_be_read,
    nobody_is_counted_twice,
    nobody_votes_below_a_promise,
    only_witnesses_of_the_epoch_commit,
    stripped_locks_are_no_promises,
    the_highest_lock_binds,
    what_is_locked_is_voted_for_in_a_frozen_chain,
    who_has_lost_blocks_promises_nothing,
)
from simulation.ledger.telling import account, opened, opening, pay, taken

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
    block = lab.block(chain, opening(0), adopt=1)
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
    one = lab.block(chain, opening(1), adopt=1)
    committee = lab.committee(1)
    given = lab.votes(0, low, one, fresh)
    need(len(given) == 3, "the new witnesses vote in a term that they opened")
    done = lab.certificate(committee, lab.commits(lab.quorum(committee, given), fresh))
    need(done is not None, "and commit")
    # The first instance again, which does not open term 5 anew.
    other = lab.block(chain, opening(2), adopt=1)
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
    lab.certify(lab.block(here, opening(0)), 0, 1)
    lab.certify(lab.block(there, opening(1)), 1, 1)
    # What the thieves will forge: the payer's block that stands beside the one that is certified.
    forged = lab.block(here, OrderWish(pay(lab, 0, 0, 1, 1, 1, 60)))
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
        not taken(lab.books[3], forged, certificate.encode()),
        "nor do they make a head of another block",
    )
    late = Book(lab.founding, SimDisk(), verify_mac)
    for block in lab.books[0].blocks(lab.fed, 1, 2):
        late.apply(block, block.certificate)
    first = lab.books[0].block(here, 1)
    late.apply(first, first.certificate)
    need(
        not taken(late, forged, certificate.encode()),
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
    commits: dict[bytes, bytes] = {
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


def refounding_ends_what_was_above_its_heads() -> None:
    """E5: blocks above the heads that a re-founding pinned do not count, whoever certified them."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    lab.certify(lab.block(chain, opening(0)), 0, 1)
    above = lab.block(chain, opening(1))
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
    few: dict[bytes, bytes] = {
        lab.ids[i]: signing.sign(lab.roots[i], signing.REFOUND, lab.fed, body) for i in (0, 1)
    }
    need(
        not taken(lab.books[1], block, encode_refounding(few)),
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
        not taken(lab.books[1], above, _forge(lab, above).encode()),
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
    lab.certify(lab.block(chain, opening(2), adopt=1), 0, 9)
    lab.certify(lab.charter_block([SetRule("recovery_s", 7)]), 0, 9)
    need(stale.charter.height == 2, "and the charter goes on as well")


# --- Leases --------------------------------------------------------------------------------------


def one_opener_at_a_time() -> None:
    """E1: while a witness leases the charter to one opener, another is refused; later not."""
    lab = Lab(4, 4, 3)

    def asks(writer: int, counter: int, now: int) -> bool:
        message = lab.prepare(lab.fed, writer, lab.term(writer, counter))
        answer = lab.ask(0, message, now)[0]
        if isinstance(answer, wire.Refuse):
            need(answer.reason == "lease", "it is refused for the lease", reason=answer.reason)
        return isinstance(answer, wire.Promise)

    # Two rounds: whoever has it after the first, the others are refused in the second.
    first = [asks(writer, 1 + writer, NOW) for writer in range(4)]
    need(first[0], "the first opener is promised")
    second = [asks(writer, 11 + writer, NOW + 20) for writer in range(4)]
    need(sum(second) == 1, "one opener has the chain at a time", promised=sum(second))
    holder = second.index(True)
    later = [asks(writer, 21 + writer, NOW + 400) for writer in range(4) if writer != holder]
    need(any(later), "a lease ends")


# --- Erasure -------------------------------------------------------------------------------------


def an_erased_block_is_taken_from_its_certified_state() -> None:
    """What stands for erased entries is checked against the state root that was certified."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    lab.certify(lab.block(chain, opening(0), opening(1)), 0, 1)
    lab.certify(lab.block(chain, EntryWish(Close(account(1)))), 0, 2)
    lab.disks[0].commit(erase(lab.books[0], chain, account(1)))
    erased = lab.books[0].block(chain, 1)
    need(erased.body.erased and erased.delta, "the first block has erased entries")
    fresh = Book(lab.founding, SimDisk(), verify_mac)
    need(taken(fresh, erased, erased.certificate), "who comes later takes it")
    # A neighbour that hands it on gives the other account a fortune.
    rows = list(erased.delta)
    for index, row in enumerate(rows):
        if row.row and account(0) in row.row:
            limit = b"\x64"  # 100 of credit, as it is encoded
            at = row.row.rindex(limit)
            rows[index] = replace(row, row=row.row[:at] + b"\x7f" + row.row[at + 1 :])
    spoilt = replace(erased, delta=tuple(rows))
    need(spoilt != erased, "the script spoils a row")
    other = Book(lab.founding, SimDisk(), verify_mac)
    need(
        not taken(other, spoilt, erased.certificate),
        "the rows that stand for erased entries have the certified root",
    )


# --- Accounts ------------------------------------------------------------------------------------


def an_order_is_signed() -> None:
    """A writer cannot spend what a member has not signed."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    lab.certify(lab.block(chain, opening(0), opening(1)), 0, 1)
    order = pay(lab, 0, 0, 1, 0, 1, 10)
    good = lab.block(chain, OrderWish(order))
    forged = Intra(replace(order, signature=bytes(64))).encode()
    placed = good.body.entries[0]
    assert isinstance(placed, Placed)
    body = Body((Placed(placed.salt, forged),))
    header = replace(
        good.header, entries_root=body.root(), size=entries_size([len(forged)])
    )
    term = opened(lab, chain, 0, 2, [0, 1, 2, 3])
    given = lab.votes(0, term, Block(header, body), [0, 1, 2, 3])
    need(not given, "nobody votes for an order that nobody signed", votes=len(given))
    lab.certify(good, 0, 3)


def the_governing_charter_limits_a_coop() -> None:
    """A block is held against the charter that governs it, not against the one that it adopts."""
    lab = Lab(4, 4, 3)
    chain = lab.ids[0]
    lab.certify(lab.block(chain, opening(0, 1_000)), 0, 1)
    raised = [SetLimit(lab.ids[0], 0, 10_000)]
    lab.certify(lab.charter_block(raised), 0, 1)
    order = pay(lab, 0, 0, 1, 1, 1, 900)
    try:
        block = lab.block(chain, OrderWish(order), adopt=1)
    except AssertionError:
        # The builder refuses it already. A lying writer does not ask: the block as it would be
        # under the charter it adopts.
        block = None
    need(block is None, "the builder holds a payment against the governing charter")
    lab.certify(lab.block(chain, adopt=1), 0, 2)
    liar = lab.block(chain, OrderWish(order), adopt=1)
    lowered = Lab(4, 4, 3)
    lowered.certify(lowered.block(chain, opening(0, 1_000)), 0, 1)
    lowered.certify(lowered.charter_block(raised), 0, 1)
    header = replace(
        liar.header, h=2, c=0, c2=1, prev=lowered.books[0].head(chain).hash,
        history_root=lowered.books[0].head(chain).history.root(),
    )  # fmt: skip
    body = replace(liar.body)
    term = opened(lowered, chain, 0, 2, [0, 1, 2, 3])
    given = lowered.votes(0, term, Block(header, body), [0, 1, 2, 3])
    need(not given, "nobody votes for what the governing charter forbids", votes=len(given))


SCRIPTS: tuple[Callable[[], None], ...] = (
    epoch_change_needs_another_opening,
    retired_certificates_prove_nothing,
    refounding_ends_what_was_above_its_heads,
    one_opener_at_a_time,
    an_erased_block_is_taken_from_its_certified_state,
    a_lock_keeps_its_block,
    who_has_lost_blocks_promises_nothing,
    stripped_locks_are_no_promises,
    a_false_lock_does_not_bind,
    a_rolled_back_witness_stops,
    a_confirmed_hold_is_not_voided,
    every_refusal_can_be_read,
    the_highest_lock_binds,
    nobody_votes_below_a_promise,
    nobody_is_counted_twice,
    only_witnesses_of_the_epoch_commit,
    a_frozen_chain_takes_nothing_fresh,
    what_is_locked_is_voted_for_in_a_frozen_chain,
    a_charter_needs_its_approvals,
    an_order_is_signed,
    the_governing_charter_limits_a_coop,
)
