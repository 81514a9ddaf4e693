"""Proposals wait for approvals, within bounds, and are about one charter (06, "Approvals")."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from maillon.ledger.block import Approval
from maillon.ledger.charter import approve
from maillon.ledger.charter_entries import SetLimit, SetQuorum, SetRule, encode_charter_entry
from maillon.ledger.charter_proposals import (
    ENDED_MAX,
    KEPT_BYTES_MAX,
    PROPOSALS_MAX,
    PROPOSALS_PER_COOP_MAX,
    Proposal,
    decode_proposal,
    make_proposal,
    proposal_hash,
)
from maillon.ledger.errors import CharterRefused, CharterUnknown, NotApproved
from maillon.ledger.limits import PROPOSAL_BYTES_MAX, TITLE_BYTES_MAX
from maillon.protocol.encoding import encode
from maillon.protocol.errors import BadSignature, Malformed, SchemaError, TooLarge
from support.charters import LedgerCoop, LedgerFederation


@pytest.fixture
def f() -> LedgerFederation:
    return LedgerFederation(seed="proposals")


def propose(f: LedgerFederation, limit: int = 7, title: str = "") -> Proposal:
    return f.chain.propose([SetLimit(f.coops[0].id, 0, limit)], title)


def approval(f: LedgerFederation, proposal: Proposal, coop: LedgerCoop) -> Approval:
    return approve(f.fed, proposal.hash, coop.id, coop.writer)


def keep(f: LedgerFederation, proposal: Proposal, *coops: LedgerCoop) -> bool:
    """Keep a proposal with the approvals of coops; tell whether something was new."""
    writes = f.chain.keep(proposal, [approval(f, proposal, coop) for coop in coops])
    f.disk.commit(writes)
    return bool(writes)


def test_a_proposal_reads_back_and_its_hash_leaves_the_title_out(f: LedgerFederation) -> None:
    proposal = propose(f, 7, "Une limite plus basse")
    assert decode_proposal(proposal.encode()) == proposal
    data = encode([0, list(proposal.entries)])
    assert proposal.hash == hashlib.sha256(b"maillon/1/proposal\0" + data).digest()
    assert proposal.hash == propose(f, 7, "Autre titre").hash != propose(f, 8).hash
    assert proposal_hash(1, proposal.entries) != proposal.hash
    assert proposal.read() == [SetLimit(f.coops[0].id, 0, 7)]


ENTRY = b"\x92\x06\x03"
BENT: list[tuple[Any, type[Exception]]] = [
    ({"a": 1}, Malformed),
    ([0, []], Malformed),
    ([0, [], "t"], Malformed),
    ([0, [ENTRY]], Malformed),
    ([0, [ENTRY], "t", 0], Malformed),
    ([-1, [ENTRY], "t"], Malformed),
    ([0, [b""], "t"], Malformed),
    ([0, ["\x06"], "t"], Malformed),
    ([0, [ENTRY], b"t"], Malformed),
    ([0, [ENTRY], "t\n"], Malformed),
    ([0, [ENTRY], "t" * (TITLE_BYTES_MAX + 1)], TooLarge),
    ([0, [ENTRY] * 257, "t"], TooLarge),
    ([0, [b"\x92\x06\x00"], "t"], SchemaError),
]


@pytest.mark.parametrize(("value", "error"), BENT)
def test_a_proposal_of_another_form_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_proposal(encode(value))


def test_what_could_not_become_a_block_cannot_be_proposed(f: LedgerFederation) -> None:
    with pytest.raises(CharterRefused) as caught:
        f.chain.propose([SetQuorum(2)])
    assert caught.value.reason == "quorum_unsafe"


def test_approvals_are_gathered_from_several_until_they_suffice(f: LedgerFederation) -> None:
    a, b, c, _ = f.coops
    proposal = propose(f)
    assert keep(f, proposal, c)
    gathered = f.chain.proposal(proposal.hash)
    assert gathered is not None and not gathered.ready and f.chain.ready() == []
    with pytest.raises(NotApproved):
        f.chain.build_proposal(proposal.hash, time=0)
    assert keep(f, proposal, a)
    assert not keep(f, proposal, a, c)
    (ready,) = f.chain.ready()
    assert [one.coop for one in ready.approvals] == sorted([a.id, c.id])
    assert keep(f, proposal, b)
    block = f.chain.build_proposal(proposal.hash, time=5)
    assert len(block.body.approvals) == 3
    f.chain.apply(block, f.certify(block))
    assert f.chain.latest.coop_limit(a.id, 0) == 7


def test_open_proposals_survive_a_restart_and_go_when_the_next_charter_stands(
    f: LedgerFederation,
) -> None:
    one, other = propose(f, 1), propose(f, 2)
    keep(f, one, f.coops[0])
    keep(f, other, f.coops[1], f.coops[2])
    assert f.fresh(f.disk).proposals() == f.chain.proposals()
    block = f.chain.build_proposal(other.hash, time=5)
    f.disk.commit(f.chain.apply(block, f.certify(block)))
    assert f.chain.proposals() == [] == f.fresh(f.disk).proposals()
    assert f.disk.spaces["proposal"] == {}
    with pytest.raises(CharterRefused) as caught:
        f.chain.build_proposal(one.hash, time=6)
    assert caught.value.reason == "proposal_unknown"


def test_how_proposals_ended_is_remembered_over_a_restart(f: LedgerFederation) -> None:
    one, other = propose(f, 1, "overtaken"), propose(f, 2)
    keep(f, one, f.coops[0])
    keep(f, other, f.coops[1], f.coops[2])
    assert f.chain.ended() == []
    block = f.chain.build_proposal(other.hash, time=5)
    f.disk.commit(f.chain.apply(block, f.certify(block)))
    made, overtaken = f.chain.ended()
    assert made.made and made.gathered.proposal == other and made.h == 1
    assert not overtaken.made and overtaken.gathered.proposal.title == "overtaken"
    assert (overtaken.h, overtaken.by) == (1, other.hash)
    assert [a.coop for a in overtaken.gathered.approvals] == [f.coops[0].id]
    assert f.fresh(f.disk).ended() == f.chain.ended()


def test_only_the_newest_that_ended_are_remembered() -> None:
    f = LedgerFederation(6, seed="ended")
    for h in range(1, 4):
        for at in range(2 * PROPOSALS_PER_COOP_MAX):
            keep(f, propose(f, 100 * h + at), f.coops[at // PROPOSALS_PER_COOP_MAX])
        chosen = propose(f, 50 * h)
        keep(f, chosen, *f.coops[2:5])
        block = f.chain.build_proposal(chosen.hash, time=h)
        f.disk.commit(f.chain.apply(block, f.certify(block)))
    found = f.chain.ended()
    assert len(found) == ENDED_MAX == len(f.disk.spaces["proposal ended"])
    assert [e.h for e in found] == sorted((e.h for e in found), reverse=True)
    assert [e.h for e in found if e.made] == [3, 2]
    assert f.fresh(f.disk).ended() == found


def test_a_proposal_is_about_the_charter_it_names(f: LedgerFederation) -> None:
    late = make_proposal(1, [SetRule("recovery_s", 5)])
    with pytest.raises(CharterUnknown) as ahead:
        keep(f, late, f.coops[0])
    assert ahead.value.needed == 1
    early = propose(f)
    f.grow(SetRule("recovery_s", 6))
    with pytest.raises(CharterRefused) as stale:
        keep(f, early, f.coops[0])
    assert stale.value.reason == "stale"
    assert f.chain.proposals() == []


def test_nothing_is_kept_for_nobody_or_with_a_signature_that_does_not_count(
    f: LedgerFederation,
) -> None:
    proposal = propose(f)
    a, b, *_ = f.coops
    with pytest.raises(CharterRefused) as caught:
        keep(f, proposal)
    assert caught.value.reason == "approval_missing"
    forged = approve(f.fed, proposal.hash, a.id, b.writer)
    with pytest.raises(BadSignature):
        f.chain.keep(proposal, [approval(f, proposal, b), forged])
    stranger = f.make_coop("stranger")
    with pytest.raises(CharterRefused):
        keep(f, proposal, stranger)
    assert f.chain.proposals() == []
    # The good approval of a bundle that was refused counts when it comes again.
    assert keep(f, proposal, b)


def test_a_forged_approval_does_not_replace_or_harm_what_was_gathered(f: LedgerFederation) -> None:
    proposal = propose(f)
    a, b, *_ = f.coops
    keep(f, proposal, a)
    before = f.chain.proposals()
    with pytest.raises(BadSignature):
        f.chain.keep(proposal, [approve(f.fed, proposal.hash, b.id, a.writer)])
    # One that is there already is not even looked at.
    assert f.chain.keep(proposal, [approve(f.fed, proposal.hash, a.id, b.writer)]) == ()
    assert f.chain.proposals() == before


def test_no_coop_fills_the_place_of_others(f: LedgerFederation) -> None:
    a, b, *_ = f.coops
    for limit in range(PROPOSALS_PER_COOP_MAX):
        assert keep(f, propose(f, limit), a)
    with pytest.raises(CharterRefused) as caught:
        keep(f, propose(f, 99), a)
    assert caught.value.reason == "proposals_full"
    with pytest.raises(CharterRefused):
        keep(f, propose(f, 99), b, a)
    assert keep(f, propose(f, 99), b)
    assert len(f.chain.proposals()) == PROPOSALS_PER_COOP_MAX + 1
    # More approvals of what is open are always welcome.
    assert keep(f, propose(f, 0), b)


def test_there_is_a_bound_on_all_open_proposals() -> None:
    f = LedgerFederation(PROPOSALS_MAX // PROPOSALS_PER_COOP_MAX + 1, seed="full")
    for at in range(PROPOSALS_MAX):
        keep(f, propose(f, at), f.coops[at // PROPOSALS_PER_COOP_MAX])
    with pytest.raises(CharterRefused) as caught:
        keep(f, propose(f, 999), f.coops[-1])
    assert caught.value.reason == "proposals_full"
    assert len(f.chain.proposals()) == PROPOSALS_MAX


def test_the_largest_proposal_is_kept_with_an_approval_of_each_coop() -> None:
    f = LedgerFederation(2, seed="large")
    entry = encode_charter_entry(SetLimit(f.coops[0].id, 0, 1))
    count = 256
    proposal = Proposal(0, (entry,) * count, "é" * (TITLE_BYTES_MAX // 2))
    assert len(proposal.encode()) < PROPOSAL_BYTES_MAX
    assert keep(f, decode_proposal(proposal.encode()), *f.coops)
    assert f.fresh(f.disk).proposals() == f.chain.proposals()
    assert KEPT_BYTES_MAX > PROPOSAL_BYTES_MAX + 300 * (32 + 64 + 5)
