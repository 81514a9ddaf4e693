"""The charter's chain: approved by coops, certified by the witnesses before it (06, E1 to E5)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from maillon.ledger.block import Approval, Block, Erased, Evidence, Header, genesis_hash
from maillon.ledger.charter import CharterChain, CheckedCharter, approve, refounding_body
from maillon.ledger.charter_entries import (
    Refound,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    encode_charter_entry,
)
from maillon.ledger.charter_proposals import make_proposal
from maillon.ledger.charter_rules import heads_root
from maillon.ledger.errors import (
    BadBlock,
    BadCertificate,
    CharterRefused,
    CharterUnknown,
    NeedBlocks,
    NoQuorum,
    NotApproved,
    NotCertified,
)
from maillon.ledger.merkle import root as tree_root
from maillon.ledger.quorum import decode_certificate, encode_refounding
from maillon.ledger.signing import inline_verify
from maillon.protocol.errors import BadSignature, MaillonError
from support.charters import LedgerFederation, MemoryDisk
from support.world import NOW


@pytest.fixture
def f() -> LedgerFederation:
    return LedgerFederation(seed="charter chain")


def entry(f: LedgerFederation, limit: int = 7) -> SetLimit:
    return SetLimit(f.coops[0].id, 0, limit)


def untouched(f: LedgerFederation, before: tuple[Any, ...]) -> bool:
    return before == (f.chain.height, f.chain.head, f.chain.latest, f.chain.hashes())


def standing(f: LedgerFederation) -> tuple[Any, ...]:
    return f.chain.height, f.chain.head, f.chain.latest, f.chain.hashes()


# --- Growing ------------------------------------------------------------------------------------


def test_a_chain_begins_at_genesis_with_charter_0(f: LedgerFederation) -> None:
    assert (f.chain.height, f.chain.known) == (0, 0)
    assert f.chain.head.hash == genesis_hash(f.fed, f.fed) == f.chain.hash_at(0)
    with pytest.raises(CharterUnknown) as caught:
        f.chain.state(1)
    assert caught.value.needed == 1
    for asked in (f.chain.block, f.chain.header, f.chain.hash_at):
        with pytest.raises(NeedBlocks) as missing:
            asked(1)
        assert (missing.value.chain, missing.value.from_h) == (f.fed, 1)
    with pytest.raises(NeedBlocks):
        f.chain.hash_at(-1)


def test_each_block_names_what_stands_below_it(f: LedgerFederation) -> None:
    first, second = f.grow(entry(f, 1)), f.grow(entry(f, 2))
    assert (first.header.c, first.header.c2) == (0, 1)
    assert (second.header.c, second.header.c2) == (1, 2)
    assert second.header.prev == first.hash
    leaves = [hashlib.sha256(b"\0" + f.chain.hash_at(h)).digest() for h in range(2)]
    assert second.header.history_root == tree_root(leaves)
    assert second.header.state_root == f.chain.latest.root()
    assert f.chain.state(1).coop_limit(f.coops[0].id, 0) == 1
    assert f.chain.latest.coop_limit(f.coops[0].id, 0) == 2
    assert [block.h for block in f.chain.blocks(1, 9)] == [1, 2]
    assert list(f.chain.blocks(2, 2)) == [second] and list(f.chain.blocks(3, 9)) == []


def test_what_is_read_from_disk_is_what_stood_in_memory(f: LedgerFederation) -> None:
    for limit in range(3):
        f.grow(entry(f, limit))
    again = f.fresh(f.disk)
    assert (again.head, again.latest, again.hashes()) == (
        f.chain.head, f.chain.latest, f.chain.hashes(),
    )  # fmt: skip
    assert [block.encode() for block in again.blocks(1, 3)] == [
        block.encode() for block in f.chain.blocks(1, 3)
    ]


def test_the_writes_of_a_block_alone_bring_a_new_disk_to_the_same_chain(
    f: LedgerFederation,
) -> None:
    disk, chain = MemoryDisk(), f.fresh()
    block = f.grow(entry(f))
    disk.commit(chain.apply(block, block.certificate))
    assert f.fresh(disk).head == f.chain.head


def test_every_opener_makes_the_same_body_of_a_proposal(f: LedgerFederation) -> None:
    one, other = f.block(entry(f), time=NOW), f.block(entry(f), time=NOW)
    assert one == other
    later = f.block(entry(f), time=NOW + 1)
    assert later.body == one.body and later.hash != one.hash


def test_time_never_runs_backwards(f: LedgerFederation) -> None:
    f.grow(entry(f, 1))
    assert f.block(entry(f, 2), time=NOW - 100).header.time == NOW


def test_a_new_witness_certifies_from_the_block_behind_its_admission_on(
    f: LedgerFederation,
) -> None:
    new = f.make_coop("new")
    block = f.block(f.admit(new), SetQuorum(4))
    # The admission itself is certified by those before it (E1).
    founders = [coop.witness for coop in f.coops]
    with pytest.raises(NoQuorum):
        f.chain.apply(block, f.certify(block, [new.witness, *founders[:2]]))
    f.chain.apply(block, f.certify(block, [new.witness, *founders[:3]]))
    f.coops.append(new)
    following = f.block(entry(f))
    certificate = decode_certificate(f.certify(following))
    assert f.chain.latest.committee().n == 5
    assert new.witness.public in f.chain.latest.committee()
    f.chain.apply(following, certificate.encode())


# --- Blocks that do not count -------------------------------------------------------------------


def header(block: Block, **change: Any) -> Block:
    return dataclasses.replace(block, header=dataclasses.replace(block.header, **change))


def body(block: Block, **change: Any) -> Block:
    return dataclasses.replace(block, body=dataclasses.replace(block.body, **change))


def swapped(block: Block) -> Block:
    first = block.body.entries[0]
    return body(block, entries=(Erased(first.leaf()),))


BENT: list[tuple[str, str, Callable[[Block], Block]]] = [
    ("another federation", "chain", lambda b: header(b, fed=b"F" * 32)),
    ("another chain", "chain", lambda b: header(b, chain=b"X" * 32)),
    ("another predecessor", "prev", lambda b: header(b, prev=b"P" * 32)),
    ("a charter too early", "charter", lambda b: header(b, c=0)),
    ("a charter too late", "charter", lambda b: header(b, c2=b.header.c2 + 1)),
    ("a time before the last", "time", lambda b: header(b, time=NOW - 1)),
    ("another history", "history_root", lambda b: header(b, history_root=b"R" * 32)),
    ("another state", "state_root", lambda b: header(b, state_root=b"S" * 32)),
    ("another count", "count", lambda b: header(b, count=2)),
    ("another size", "size", lambda b: header(b, size=b.header.size + 1)),
    ("other entries", "entries_root", lambda b: header(b, entries_root=b"E" * 32)),
    ("a height that is taken", "height", lambda b: header(b, h=1)),
    ("an erased entry", "erased", swapped),
]


@pytest.mark.parametrize(("reason", "bend"), [pytest.param(*c[1:], id=c[0]) for c in BENT])
def test_a_block_that_does_not_fit_is_refused_and_nothing_changes(
    f: LedgerFederation, reason: str, bend: Callable[[Block], Block]
) -> None:
    f.grow(entry(f, 1))
    block = bend(f.block(entry(f, 2)))
    before = standing(f)
    with pytest.raises(BadBlock) as caught:
        f.chain.check(block)
    assert caught.value.reason == reason
    assert untouched(f, before)


def test_a_block_over_a_gap_is_asked_for_from_the_gap_on(f: LedgerFederation) -> None:
    ahead = f.grow(entry(f, 1)), f.grow(entry(f, 2))
    behind = f.fresh()
    with pytest.raises(NeedBlocks) as caught:
        behind.check(ahead[1])
    assert (caught.value.chain, caught.value.from_h) == (f.fed, 1)
    assert behind.height == 0


def test_evidence_of_other_chains_has_no_place_in_a_charter_block(f: LedgerFederation) -> None:
    block = f.grow(entry(f, 1))
    proof = Evidence(block.header, block.header, block.certified_by())
    with pytest.raises(BadBlock) as caught:
        f.chain.check(body(f.block(entry(f, 2)), evidence=(proof,)))
    assert caught.value.reason == "evidence"


# --- Approvals ----------------------------------------------------------------------------------


def test_fewer_approvals_than_the_charter_asks_for_do_not_suffice(f: LedgerFederation) -> None:
    block = f.block(entry(f), by=f.coops[:1])
    before = standing(f)
    with pytest.raises(NotApproved) as caught:
        f.chain.apply(block, f.certify(block))
    assert (caught.value.got, caught.value.needed) == (1, 2)
    assert untouched(f, before)


def test_a_coop_approves_with_its_writer_or_its_root_and_no_other_key(f: LedgerFederation) -> None:
    proposal = make_proposal(0, [entry(f)])
    a, b, *_ = f.coops

    def block(*approvals: Approval) -> Block:
        return f.chain.build(proposal.entries, approvals, time=NOW)

    by_writer = approve(f.fed, proposal.hash, a.id, a.writer)
    assert f.chain.check(block(by_writer, approve(f.fed, proposal.hash, b.id, b.root)))
    for key in (b.node, b.witness, a.writer, a.root):
        with pytest.raises(BadSignature) as caught:
            f.chain.check(block(by_writer, approve(f.fed, proposal.hash, b.id, key)))
        assert caught.value.coop == b.id


def test_an_approval_is_for_these_entries_of_this_charter_of_this_federation(
    f: LedgerFederation,
) -> None:
    a, b, *_ = f.coops
    good = make_proposal(0, [entry(f, 1)])
    first = approve(f.fed, good.hash, a.id, a.writer)
    elsewhere = [
        approve(f.fed, make_proposal(0, [entry(f, 2)]).hash, b.id, b.writer),
        approve(f.fed, make_proposal(1, [entry(f, 1)]).hash, b.id, b.writer),
        approve(b"F" * 32, good.hash, b.id, b.writer),
    ]
    for other in elsewhere:
        with pytest.raises(BadSignature):
            f.chain.check(f.chain.build(good.entries, [first, other], time=NOW))


def test_the_approval_of_a_stranger_or_of_who_left_spoils_the_block(f: LedgerFederation) -> None:
    stranger = f.make_coop("stranger")
    block = f.block(entry(f), by=[*f.coops[:2], stranger])
    with pytest.raises(CharterRefused) as caught:
        f.chain.check(block)
    assert (caught.value.reason, caught.value.coop) == ("coop_unknown", stranger.id)


def test_more_approvals_than_needed_do_no_harm(f: LedgerFederation) -> None:
    block = f.block(entry(f), by=f.coops)
    assert [approval.coop for approval in block.body.approvals] == sorted(c.id for c in f.coops)
    f.chain.apply(block, f.certify(block))
    assert f.chain.height == 1


# --- Certificates -------------------------------------------------------------------------------


def test_a_certificate_of_too_few_or_of_strangers_does_not_count(f: LedgerFederation) -> None:
    block = f.block(entry(f))
    before = standing(f)
    few = f.certify(block, [coop.witness for coop in f.coops[:2]])
    with pytest.raises(NoQuorum):
        f.chain.apply(block, few)
    bad = dataclasses.replace(
        decode_certificate(f.certify(block)), signatures=(bytes(64),) * 3
    ).encode()
    with pytest.raises(BadCertificate):
        f.chain.apply(block, bad)
    with pytest.raises(NotCertified):
        f.chain.apply(block, b"")
    other = f.block(entry(f, 99))
    with pytest.raises(BadCertificate):
        f.chain.apply(block, f.certify(other))
    assert untouched(f, before)


def test_a_witness_that_was_replaced_certifies_nothing_later(f: LedgerFederation) -> None:
    a = f.coops[0]
    fresh = f.key("fresh witness")
    f.grow(SetKey(a.id, "witness", fresh.public))
    block = f.block(entry(f))
    old = decode_certificate(f.certify(block, [fresh, *(c.witness for c in f.coops[1:3])]))
    forged = dataclasses.replace(
        old, signatures=(decode_certificate(f.certify(block)).signatures[0], *old.signatures[1:])
    )
    with pytest.raises((BadCertificate, NoQuorum)):
        f.chain.apply(block, forged.encode())
    f.chain.apply(block, old.encode())
    assert f.chain.height == 2


def test_a_checked_block_is_not_applied_twice_nor_onto_another_head(f: LedgerFederation) -> None:
    one, other = f.block(entry(f, 1)), f.block(entry(f, 2))
    checked = f.chain.check(other)
    assert isinstance(checked, CheckedCharter)
    f.chain.apply(one, f.certify(one))
    before = standing(f)
    for stale in (checked, f.fresh().check(one)):
        with pytest.raises(BadBlock):
            f.chain.apply(stale, f.certify(stale.block))
    assert untouched(f, before)


# --- Retiring (E4) ------------------------------------------------------------------------------


def retirement(f: LedgerFederation, below: int, **changed: tuple[int, bytes]) -> Retire:
    heads = tuple((coop, *changed.get(coop.hex(), (3, b"H" * 32))) for coop in sorted(ids(f)))
    return Retire(below, heads_root(heads), heads)


def ids(f: LedgerFederation) -> list[bytes]:
    return [coop.id for coop in f.coops]


def test_a_witness_votes_for_a_retirement_of_heads_it_holds_and_that_have_adopted(
    f: LedgerFederation,
) -> None:
    f.grow(entry(f, 1))
    block = f.block(retirement(f, 1))
    held = dict.fromkeys(ids(f), (b"H" * 32, 1))
    assert f.chain.check(block, lambda chain, h: held[chain])
    late = ids(f)[2]
    for facts, reason in (((b"H" * 32, 0), "not_adopted"), ((b"X" * 32, 1), "heads")):
        other = held | {late: facts}
        with pytest.raises(CharterRefused) as caught:
            f.chain.check(block, lambda chain, h, other=other: other[chain])  # type: ignore[misc]
        assert (caught.value.reason, caught.value.chain) == (reason, late)

    def missing(chain: bytes, h: int) -> tuple[bytes, int]:
        raise NeedBlocks(chain=chain, from_h=1)

    with pytest.raises(NeedBlocks):
        f.chain.check(block, missing)


def test_once_certified_a_retirement_is_taken_by_whoever_lacks_the_chains(
    f: LedgerFederation,
) -> None:
    f.grow(entry(f, 1))
    f.grow(retirement(f, 1))
    assert f.chain.latest.retired_below == 1
    # Below the pinned head of a chain the retired epoch still counts, above it no more.
    assert f.chain.may_count(ids(f)[0], 0, 2, b"x" * 32)
    assert not f.chain.may_count(ids(f)[0], 0, 4, b"x" * 32)
    assert f.chain.may_count(ids(f)[0], 1, 4, b"x" * 32)


# --- Re-founding (E5) ---------------------------------------------------------------------------


def refounding(f: LedgerFederation, survivors: int = 2) -> Block:
    heads = tuple((coop, 3, b"H" * 32) for coop in sorted(ids(f)))
    named = sorted((c.id, c.writer.public, c.witness.public) for c in f.coops[:survivors])
    entry = Refound(heads, tuple(named), 2)
    return f.chain.build([encode_charter_entry(entry)], (), time=NOW)


def test_two_thirds_of_the_roots_re_found_and_fewer_do_not(f: LedgerFederation) -> None:
    block = refounding(f)
    before = standing(f)
    with pytest.raises(NotApproved) as caught:
        f.chain.apply(block, f.refound(block, f.coops[:2]))
    assert (caught.value.got, caught.value.needed) == (2, 3)
    assert untouched(f, before)
    f.disk.commit(f.chain.apply(block, f.refound(block, f.coops[:3])))
    assert f.chain.latest.refounded == 1
    assert f.chain.latest.committee().keys == tuple(c.witness.public for c in f.coops[:2])
    assert f.fresh(f.disk).latest == f.chain.latest
    assert f.fresh(f.disk).void(ids(f)[0], 0, 4)


def test_a_quorum_of_witnesses_cannot_re_found_in_place_of_the_roots(f: LedgerFederation) -> None:
    block = refounding(f)
    before = standing(f)
    with pytest.raises(MaillonError):
        f.chain.apply(block, f.certify(block))
    assert untouched(f, before)


def test_roots_sign_a_re_founding_and_nothing_else(f: LedgerFederation) -> None:
    before = standing(f)
    plain = f.block(entry(f))
    with pytest.raises(MaillonError):
        f.chain.apply(plain, f.refound(plain, f.coops))
    block = refounding(f)
    for purpose, key in (("refound", "writer"), ("approve", "root")):
        signed = {
            coop.id: getattr(coop, key).sign(purpose, f.fed + refounding_body(block))
            for coop in f.coops
        }
        with pytest.raises(BadCertificate):
            f.chain.apply(block, encode_refounding(signed))
    stranger = f.make_coop("stranger")
    with pytest.raises(BadCertificate):
        f.chain.apply(block, f.refound(block, [*f.coops, stranger]))
    assert untouched(f, before)


def test_what_stood_above_the_pinned_heads_is_void_and_what_stood_below_is_not(
    f: LedgerFederation,
) -> None:
    block = refounding(f)
    f.chain.apply(block, f.refound(block, f.coops))
    chain = ids(f)[0]
    assert not f.chain.void(chain, 0, 3)
    assert f.chain.void(chain, 0, 4)
    assert not f.chain.void(chain, 1, 4)
    assert not f.chain.may_count(chain, 0, 4, b"x" * 32)


def test_what_a_re_founding_made_void_stays_so_when_later_heads_are_pinned(
    f: LedgerFederation,
) -> None:
    block = refounding(f)
    f.chain.apply(block, f.refound(block, f.coops))
    f.grow(entry(f, 1))
    higher = dict.fromkeys((coop.hex() for coop in ids(f)), (9, b"N" * 32))
    f.grow(retirement(f, 2, **higher))
    assert f.chain.latest.may_count(ids(f)[0], 0, 5, b"x" * 32)
    assert not f.chain.may_count(ids(f)[0], 0, 5, b"x" * 32)
    assert f.chain.may_count(ids(f)[0], 0, 3, b"H" * 32)


def test_a_re_founding_needs_no_approvals_and_takes_none(f: LedgerFederation) -> None:
    block = refounding(f)
    proposal = make_proposal(0, [SetRule("recovery_s", 5)])
    approval = approve(f.fed, proposal.hash, f.coops[0].id, f.coops[0].writer)
    with pytest.raises(BadBlock) as caught:
        f.chain.check(body(block, approvals=(approval,)))
    assert caught.value.reason == "approvals"


def test_a_chain_without_a_disk_knows_the_same(f: LedgerFederation) -> None:
    chain = CharterChain(f.founding, None, inline_verify)
    for limit in range(2):
        block = f.grow(entry(f, limit))
        chain.apply(block, block.certificate)
    assert chain.head == f.chain.head
    assert isinstance(chain.header(2), Header)
