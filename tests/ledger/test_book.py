"""Hold what a block has to be, and what a node keeps of it, against spec/06."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from maillon.ledger.block import Block, Body, DeltaRow, Erased, Evidence, Header, Placed
from maillon.ledger.book import Book
from maillon.ledger.build import arrivals
from maillon.ledger.charter_entries import Refound, Retire, SetRule, encode_charter_entry
from maillon.ledger.charter_rules import heads_root
from maillon.ledger.check import Checked
from maillon.ledger.entries import (
    Close,
    In,
    Intra,
    Post,
    Void,
    decode_entry,
    sign_confirmation,
)
from maillon.ledger.erasure import NotErasable, erase
from maillon.ledger.errors import (
    BadBlock,
    BadCertificate,
    ChainUnknown,
    CharterUnknown,
    NeedBlocks,
    NoQuorum,
)
from maillon.ledger.orders import COMMONS, Order
from maillon.protocol.errors import MaillonError
from support.accounts import HOURS, Accounts
from support.world import NOW


@pytest.fixture
def world() -> Iterator[Accounts]:
    """Ana and Bob at coop 0, Cleo at coop 1; one block at each."""
    world = Accounts()
    world.place(0, world.opening("ana"), world.opening("bob"))
    world.opened("cleo", 1)
    yield world
    assert world.units_sum(HOURS) == 0


def proposed(world: Accounts, place: int = 0, *wishes: Order) -> Block:
    """Return a valid next block that nobody has certified."""
    block = world.build(place, *(wishes or (world.pay("ana", "bob", 5),))).block
    assert block is not None
    return block


def refused(world: Accounts, block: Block) -> MaillonError:
    """Return why the book refuses a block, having seen that nothing changed."""
    before = world.snapshot()
    with pytest.raises(MaillonError) as caught:
        world.book.check(block)
    assert world.snapshot() == before
    return caught.value


def changed(block: Block, **header: Any) -> Block:
    return replace(block, header=replace(block.header, **header))


def with_entries(block: Block, *entries: Placed | Erased, **header: Any) -> Block:
    """Return the block with other entries, and a header that commits to them."""
    body = Body(tuple(entries), block.body.evidence)
    named = {"entries_root": body.root(), "count": len(entries), "size": body.size()} | header
    return replace(changed(block, **named), body=body)


# --- Headers ------------------------------------------------------------------------------------

HEADERS: list[tuple[str, str, Callable[[Header], dict[str, Any]]]] = [
    ("federation", "chain", lambda _: {"fed": bytes(32)}),
    ("previous block", "prev", lambda _: {"prev": bytes(32)}),
    ("time before the last block", "time", lambda _: {"time": NOW - 1}),
    ("history", "history_root", lambda _: {"history_root": bytes(32)}),
    ("state", "state_root", lambda _: {"state_root": bytes(32)}),
    ("number of entries", "count", lambda header: {"count": header.count + 1}),
    ("size", "size", lambda header: {"size": header.size + 1}),
    ("entries", "entries_root", lambda _: {"entries_root": bytes(32)}),
    ("height of the head", "height", lambda _: {"h": 1}),
]


@pytest.mark.parametrize(("what", "reason", "change"), HEADERS, ids=[row[0] for row in HEADERS])
def test_a_header_that_names_another(
    world: Accounts, what: str, reason: str, change: Callable[[Header], dict[str, Any]]
) -> None:
    block = proposed(world)
    error = refused(world, changed(block, **change(block.header)))
    assert isinstance(error, BadBlock) and error.reason == reason


def test_a_block_above_the_next_one_asks_for_those_between(world: Accounts) -> None:
    error = refused(world, changed(proposed(world), h=5))
    assert isinstance(error, NeedBlocks) and error.pending
    assert (error.chain, error.from_h) == (world.coop(0), 2)


def test_a_charter_nobody_here_knows_is_waited_for(world: Accounts) -> None:
    error = refused(world, changed(proposed(world), c2=1))
    assert isinstance(error, CharterUnknown) and error.needed == 1


def test_a_block_is_governed_by_what_the_last_one_adopted(world: Accounts) -> None:
    grow(world)
    block = proposed(world)
    assert (block.header.c, block.header.c2) == (0, 0)
    error = refused(world, changed(block, c=1, c2=1))
    assert isinstance(error, BadBlock) and error.reason == "charter"
    world.place(0, world.pay("ana", "bob", 1), adopt=1)
    assert world.book.governing(world.coop(0)) == 1
    assert proposed(world).header.c == 1


def test_an_empty_block_adopts_a_charter_and_without_one_is_not_made(world: Accounts) -> None:
    assert world.build(0).block is None
    grow(world)
    block = world.place(0, adopt=1)
    assert (block.header.count, block.header.c2) == (0, 1)


def test_a_chain_outside_the_charter_is_unknown(world: Accounts) -> None:
    error = refused(world, changed(proposed(world), chain=bytes(32)))
    assert isinstance(error, ChainUnknown)


# --- Entries ------------------------------------------------------------------------------------


def test_one_bad_entry_refuses_the_block_and_is_named_with_its_facts(world: Accounts) -> None:
    block = proposed(world, 0, world.pay("ana", "bob", 50), world.pay("ana", "bob", 50))
    greedy = Placed(bytes(32), Intra(world.pay("ana", "bob", 1)).encode())
    error = refused(world, with_entries(block, *block.body.entries, greedy))
    assert isinstance(error, BadBlock) and error.reason == "entry"
    assert (error.index, error.entry_code) == (2, "over_limit")
    assert error.entry_facts["available"] == 0 and error.entry_facts["balance"] == -100


def test_an_entry_that_is_none_is_named_too(world: Accounts) -> None:
    block = proposed(world)
    error = refused(world, with_entries(block, *block.body.entries, Placed(bytes(32), b"\x90")))
    assert (error.reason, error.index, error.entry_code) == ("entry", 1, "malformed")


def test_a_forged_signature_refuses_the_block(world: Accounts) -> None:
    block = proposed(world, 0, world.pay("ana", "bob", 1), world.pay("bob", "ana", 1))
    entry = decode_entry(_data(block, 1))
    assert isinstance(entry, Intra)
    order = entry.order
    forged = Intra(Order(order.body, order.key, b"", bytes(32) + order.signature[32:])).encode()
    bad = with_entries(block, block.body.entries[0], Placed(bytes(32), forged))
    error = refused(world, bad)
    assert (error.reason, error.index, error.entry_code) == ("entry", 1, "bad_signature")


def _data(block: Block, index: int) -> bytes:
    placed = block.body.entries[index]
    assert isinstance(placed, Placed)
    return placed.data


def test_all_signatures_of_a_block_are_verified_in_one_call() -> None:
    calls: list[int] = []
    world = Accounts(seed="batch")
    plain = world.book.verify

    def counting(checks: Any) -> list[bool]:
        calls.append(len(checks))
        return plain(checks)

    world.place(0, world.opening("ana"), world.opening("bob"))
    world.opened("cleo", 1)
    world.place(1, world.pay("cleo", "ana", 1))
    arriving = list(arrivals(world.book, world.coop(0)))
    block = world.build(0, *[world.pay("ana", "bob", 1) for _ in range(5)], *arriving).block
    assert block is not None
    world.book.verify = counting
    world.book.check(block)
    # Five orders, and the commits that prove the other coop's block.
    commits = block.body.evidence[0].certificate.signatures
    assert calls == [5 + len(commits)]


# --- Evidence -----------------------------------------------------------------------------------


def crossing(world: Accounts) -> Block:
    """Return the next block of coop 1, which takes a payment of coop 0."""
    world.place(0, world.pay("ana", "cleo", 5))
    block = world.build(1, *arrivals(world.book, world.coop(1))).block
    assert block is not None
    return block


def with_evidence(block: Block, *evidence: Evidence) -> Block:
    return replace(block, body=Body(block.body.entries, evidence))


def test_evidence_with_a_forged_commit_is_refused(world: Accounts) -> None:
    block = crossing(world)
    [proof] = block.body.evidence
    first, *rest = proof.certificate.signatures
    forged = replace(proof.certificate, signatures=(bytes(32) + first[32:], *rest))
    error = refused(world, with_evidence(block, replace(proof, certificate=forged)))
    assert (error.reason, error.entry_code) == ("evidence", "bad_signature")
    world.certify(block)


def test_too_few_commits_prove_nothing(world: Accounts) -> None:
    block = crossing(world)
    [proof] = block.body.evidence
    few = replace(proof.certificate, bitmap=b"\x03", signatures=proof.certificate.signatures[:2])
    error = refused(world, with_evidence(block, replace(proof, certificate=few)))
    assert (error.reason, error.entry_code) == ("evidence", "no_quorum")
    world.certify(block)


def test_missing_unneeded_and_doubled_evidence_is_refused(world: Accounts) -> None:
    block = crossing(world)
    [proof] = block.body.evidence
    error = refused(world, with_evidence(block))
    assert (error.reason, error.entry_code) == ("entry", "evidence")
    other = world.book.evidence(world.coop(0), 1)
    assert refused(world, with_evidence(block, proof, other)).reason == "evidence_unused"
    assert refused(world, with_evidence(block, proof, proof)).reason == "evidence"
    world.certify(block)


def test_an_entry_under_a_wrong_path_is_refused(world: Accounts) -> None:
    block = crossing(world)
    entry = decode_entry(_data(block, 0))
    assert isinstance(entry, In)
    moved = replace(entry, index=0, path=(bytes(32),))
    error = refused(world, with_entries(block, Placed(bytes(32), moved.encode())))
    assert (error.reason, error.entry_code) == ("entry", "evidence")
    world.certify(block)


def test_a_message_is_consumed_once_and_in_order(world: Accounts) -> None:
    world.place(0, world.pay("ana", "cleo", 5), world.pay("ana", "cleo", 6))
    first, second = arrivals(world.book, world.coop(1))
    built = world.build(1, second)
    assert built.block is None and built.left == (second,)
    world.place(1, first, second)
    before = world.snapshot()
    built = world.build(1, first)
    [(_, error)] = built.refused
    assert error.code == "already_consumed" and error.benign
    assert world.snapshot() == before and world.balance("cleo") == 11


def test_a_later_block_carries_an_earlier_one(world: Accounts) -> None:
    world.place(0, world.pay("ana", "cleo", 5))
    for _ in range(3):
        world.place(0, world.pay("ana", "bob", 1))
    [wish] = arrivals(world.book, world.coop(1))
    head = world.book.block(world.coop(0), 5)
    path = world.book.history_path(world.coop(0), 2, 5)
    carried = replace(
        wish,
        evidence=Evidence(wish.evidence.header, head.header, head.certified_by(), tuple(path)),
    )
    world.place(1, carried)
    assert world.balance("cleo") == 5


# --- Epochs -------------------------------------------------------------------------------------


def grow(world: Accounts, *entries: Any) -> None:
    federation = world.federation
    federation.chain, federation.disk = world.book.charter, world.disk
    block = federation.block(*(entries or (SetRule("recovery_s", 86_400 + grown(world)),)))
    world.disk.commit(world.book.apply(block, federation.certify(block)))


def grown(world: Accounts) -> int:
    return world.book.charter.height


def heads(world: Accounts) -> tuple[Any, ...]:
    found = [(chain, world.book.head(chain)) for chain in world.book.chains()]
    return tuple(sorted((chain, head.h, head.hash) for chain, head in found))


def test_certificates_of_a_retired_epoch_prove_the_pinned_head_alone(world: Accounts) -> None:
    world.place(0, world.pay("ana", "cleo", 5))
    world.place(0, world.pay("ana", "bob", 1))
    grow(world)
    for place in range(4):
        world.place(place, adopt=1)
    pinned = heads(world)
    grow(world, Retire(1, heads_root(pinned), pinned))
    for place in range(4):
        world.place(place, adopt=2)
    chain = world.coop(0)
    old = world.book.evidence(chain, 2, 0)
    assert not old.path
    [wish] = arrivals(world.book, world.coop(1))
    assert wish.evidence.path and wish.evidence.carrier.h == 4
    built = world.build(1, replace(wish, evidence=old))
    [(_, error)] = built.refused
    assert (error.code, error.rule) == ("evidence", "retired")
    block = world.build(1, wish).block
    assert block is not None
    bad = refused(world, with_evidence(block, old))
    assert (bad.reason, bad.entry_code) == ("evidence", "evidence")
    assert bad.entry_facts["rule"] == "retired"
    world.certify(block)
    assert world.balance("cleo") == 5


def test_a_chain_that_was_forged_with_retired_keys_is_found_out_at_the_pinned_head() -> None:
    honest, fooled = Accounts(seed="pinned"), Accounts(seed="pinned")
    for world in (honest, fooled):
        world.place(0, world.opening("ana"), world.opening("bob"))
    # Whoever has the old witnesses' keys certifies another second block, and a third.
    fooled.place(0, fooled.pay("ana", "bob", 99))
    honest.place(0, honest.pay("ana", "bob", 1))
    grow(honest)
    for place in range(4):
        honest.place(place, adopt=1)
    pinned = heads(honest)
    grow(honest, Retire(1, heads_root(pinned), pinned))
    for block in honest.book.blocks(honest.fed, 1, 9):
        fooled.disk.commit(fooled.book.apply(block, block.certificate))
    chain = honest.coop(0)
    head = honest.book.block(chain, 3)
    with pytest.raises(BadBlock) as caught:
        fooled.book.apply(head, head.certificate)
    assert caught.value.reason == "forked"
    forged = fooled.build(0, fooled.pay("ana", "bob", 1), adopt=1).block
    assert forged is not None
    with pytest.raises(BadBlock) as caught:
        fooled.book.apply(forged, fooled.federation.certify(forged))
    assert caught.value.reason == "retired"
    fooled.disk.commit(fooled.book.rewind(chain, 0))
    for block in honest.book.blocks(chain, 1, 9):
        fooled.disk.commit(fooled.book.apply(block, block.certificate))
    assert fooled.book.state(chain).root() == honest.book.state(chain).root()


def test_a_refounding_drops_what_was_certified_above_the_pinned_heads(world: Accounts) -> None:
    federation = world.federation
    kept = heads(world)
    world.place(0, world.pay("ana", "bob", 50))
    world.place(0, world.pay("ana", "cleo", 5))
    assert world.book.head(world.coop(0)).h == 3
    federation.chain, federation.disk = world.book.charter, world.disk
    keys = tuple((coop.id, coop.writer.public, coop.witness.public) for coop in federation.coops)
    block = world.book.charter.build(
        [encode_charter_entry(Refound(kept, tuple(sorted(keys)), 3))], (), time=world.time
    )
    signatures = federation.refound(block, federation.coops)
    world.disk.commit(world.book.apply(block, signatures))
    assert heads(world) == kept
    assert world.balance("ana") == 0
    assert world.book.sent_at(world.coop(0), world.coop(1), 1) is None
    assert world.book.governing(world.coop(0)) == 1
    again = world.restarted()
    assert again.state(world.coop(0)).root() == world.book.state(world.coop(0)).root()
    assert again.head(world.coop(0)) == world.book.head(world.coop(0))
    world.place(0, world.pay("ana", "bob", 7), adopt=1)
    assert world.balance("bob") == 7


# --- Taking over --------------------------------------------------------------------------------


def test_a_block_without_a_quorum_of_commits_changes_nothing(world: Accounts) -> None:
    block = proposed(world)
    before = world.snapshot()
    witnesses = [coop.witness for coop in world.federation.coops]
    few = world.federation.certify(block, witnesses[:2])
    other = world.federation.certify(proposed(world, 1, world.pay("cleo", "ana", 1)))
    for certificate, kind in ((few, NoQuorum), (other, BadCertificate)):
        with pytest.raises(kind):
            world.book.apply(block, certificate)
        assert world.snapshot() == before


def test_a_block_that_stands_is_taken_again_without_effect_and_no_other_beside_it(
    world: Accounts,
) -> None:
    first, second = proposed(world), proposed(world)
    done = world.certify(first)
    before = world.snapshot()
    assert world.book.apply(done, done.certificate) == ()
    with pytest.raises(BadBlock) as caught:
        world.book.apply(second, world.federation.certify(second))
    assert caught.value.reason == "fork"
    assert world.snapshot() == before


def test_what_was_checked_before_another_block_came_is_checked_again(world: Accounts) -> None:
    late, early = proposed(world), proposed(world)
    checked = world.book.check(late)
    assert isinstance(checked, Checked)
    world.certify(early)
    with pytest.raises(BadBlock):
        world.book.apply(checked, world.federation.certify(late))


def test_what_was_checked_before_the_state_was_made_anew_is_checked_again(world: Accounts) -> None:
    block = proposed(world)
    checked = world.book.check(block)
    assert isinstance(checked, Checked)
    world.disk.commit(world.book.rewind(world.coop(0), 1))
    world.disk.commit(world.book.apply(checked, world.federation.certify(block)))
    assert world.balance("bob") == 5
    assert world.restarted().state(world.coop(0)).root() == block.header.state_root


def test_another_node_comes_to_the_same_state_from_the_blocks_alone(world: Accounts) -> None:
    world.place(0, world.pay("ana", "cleo", 5))
    world.arrive(1)
    other = Accounts()
    for chain in world.book.chains():
        for block in world.book.blocks(chain, 1, 99):
            other.disk.commit(other.book.apply(block, block.certificate))
    assert other.snapshot() == world.snapshot()
    assert {s: dict(r) for s, r in other.disk.spaces.items()} == world.disk.spaces


def test_a_book_without_history_answers_only_for_genesis() -> None:
    book: Book = Accounts(seed="empty").book
    chain = book.chains()[0]
    assert book.head(chain).h == 0 and list(book.blocks(chain, 1, 9)) == []
    with pytest.raises(NeedBlocks):
        book.block(chain, 1)
    with pytest.raises(ChainUnknown):
        book.state(bytes(32))


# --- Erasure ------------------------------------------------------------------------------------


def left(world: Accounts) -> None:
    """Let Ana pay, be paid, and leave."""
    world.place(0, world.pay("ana", "bob", 5), world.pay("bob", "ana", 2))
    world.place(0, world.pay("ana", "cleo", 4))
    world.arrive(1)
    world.place(1, world.pay("cleo", "ana", 7))
    world.arrive(0)
    world.place(0, world.pay("bob", "cleo", 1))
    world.place(0, _closing(world))


def _closing(world: Accounts) -> Close:
    return Close(world.people["ana"].account)


def test_an_open_account_and_one_with_payments_under_way_are_not_erased(world: Accounts) -> None:
    ana = world.people["ana"]
    for account in (ana.account, COMMONS):
        with pytest.raises(NotErasable):
            erase(world.book, ana.coop, account)
    world.place(1, world.pay("cleo", "ana", 4))
    world.arrive(0)
    world.place(0, world.pay("ana", "cleo", 4))
    world.place(0, _closing(world))
    held = world.sign("cleo", world.reservation("ana", 1, expiry=world.time + 1))
    world.place(1, held)
    with pytest.raises(NotErasable) as caught:
        erase(world.book, ana.coop, ana.account)
    assert caught.value.hold == held.id(world.fed)
    world.time += 1
    world.place(1, Void(world.people["cleo"].account, held.id(world.fed), None))
    before = world.snapshot()
    with pytest.raises(NotErasable) as caught:
        erase(world.book, ana.coop, ana.account)
    assert caught.value.n == 1 and world.snapshot() == before
    world.arrive(1)
    world.disk.commit(erase(world.book, ana.coop, ana.account))


def test_nothing_of_an_erased_account_stays_in_blocks_and_rows(world: Accounts) -> None:
    left(world)
    ana = world.people["ana"]
    written = _bytes(world)
    assert ana.account in written and bytes(ana.key.public) in written
    roots = world.snapshot()
    world.disk.commit(erase(world.book, ana.coop, ana.account))
    assert world.snapshot() == roots
    assert ana.account not in _bytes(world) and bytes(ana.key.public) not in _bytes(world)
    # What Bob and Cleo did with each other is still there.
    assert world.people["bob"].account in _bytes(world)
    again = world.restarted()
    for chain in again.chains():
        for block in again.blocks(chain, 1, 99):
            assert world.book.hash_at(chain, block.h) == block.hash
    assert erase(again, ana.coop, ana.account) == ()


def _bytes(world: Accounts) -> bytes:
    spaces = world.disk.spaces
    return b"".join(value for space in ("block", "row") for value in spaces[space].values())


def test_what_was_reserved_for_an_erased_account_is_erased_with_its_end(world: Accounts) -> None:
    ana, bob, cleo = (world.people[name] for name in ("ana", "bob", "cleo"))
    paid = world.sign("bob", world.reservation("ana", 5))
    freed = world.sign("bob", world.reservation("ana", 6, expiry=world.time + 1))
    across = world.sign("cleo", world.reservation("ana", 7))
    world.place(0, paid, freed)
    world.place(1, across)
    for person, place, order in ((bob, 0, paid), (cleo, 1, across)):
        name = order.id(world.fed)
        sure = sign_confirmation(person.key, world.fed, person.coop, name)
        world.place(place, Post(person.account, name, sure, place, order.body if place else b""))
    world.time += 1
    world.place(0, Void(bob.account, freed.id(world.fed), None))
    world.arrive(0)
    world.place(0, world.pay("ana", "bob", 12))
    world.place(0, _closing(world))
    roots = world.snapshot()
    world.disk.commit(erase(world.book, ana.coop, ana.account))
    # Rows of the time when the hold was open still name the payee: nothing else does.
    blocks = [block for chain in world.book.chains() for block in world.book.blocks(chain, 1, 99)]
    assert all(ana.account not in block.body.encode() for block in blocks)
    assert all(paid.id(world.fed) not in block.body.encode() for block in blocks)
    for chain in world.book.chains():
        list(world.book.replay(chain, world.book.head(chain).h))
    assert world.restarted().state(ana.coop).root() == world.book.state(ana.coop).root()
    assert world.snapshot() == roots


def test_erased_blocks_are_taken_over_with_their_certificate_and_not_without(
    world: Accounts,
) -> None:
    left(world)
    ana = world.people["ana"]
    world.disk.commit(erase(world.book, ana.coop, ana.account))
    other = Accounts()
    for chain in world.book.chains():
        for block in world.book.blocks(chain, 1, 99):
            if block.body.erased:
                with pytest.raises(BadBlock):
                    other.book.check(block)
                wrong = replace(block, delta=block.delta[:-1])
                with pytest.raises(BadBlock):
                    other.book.apply(wrong, block.certificate)
            other.disk.commit(other.book.apply(block, block.certificate))
    assert other.snapshot() == world.snapshot()
    # It goes on from there.
    world.place(0, world.pay("bob", "cleo", 1))


def test_a_delta_that_is_not_the_certified_one_is_refused(world: Accounts) -> None:
    left(world)
    ana = world.people["ana"]
    world.disk.commit(erase(world.book, ana.coop, ana.account))
    block = world.book.block(ana.coop, 1)
    assert block.body.erased
    row = block.delta[-1]
    other = Accounts()
    for delta in (
        (*block.delta[:-1], DeltaRow(row.slot, b"", bytes(32))),
        (*block.delta[:-1], DeltaRow(row.slot + 1, row.row, row.hash)),
        (DeltaRow(0, b"", bytes(32)), *block.delta),
        (DeltaRow(0, b"\x90"), *block.delta[1:]),
    ):
        with pytest.raises(BadBlock):
            other.book.apply(replace(block, delta=delta), block.certificate)
        assert other.book.head(ana.coop).h == 0
