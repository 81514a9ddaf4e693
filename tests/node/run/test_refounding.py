"""People found a federation again by passing a file around, and none of them does it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from maillon.ledger.block import Block, decode_block
from maillon.ledger.book import Book
from maillon.ledger.errors import BadBlock, CharterRefused, NotApproved
from maillon.ledger.signing import inline_verify
from maillon.node.run import refounding
from maillon.node.run.founding import FoundingError
from maillon.node.run.refounding import Opened
from maillon.protocol.cards import make_card
from maillon.protocol.errors import Malformed
from support.accounts import Accounts
from support.charters import MemoryDisk
from support.world import NOW


@pytest.fixture
def world() -> Accounts:
    world = Accounts()
    world.opened("a", 0)
    return world


def fresh(world: Accounts) -> Book:
    """Return the book of a node that knows nothing but the founding document."""
    return Book(world.book.founding, MemoryDisk(), inline_verify)


def proposed(world: Accounts, *keep: int, quorum: int | None = None) -> Block:
    coops = world.federation.coops
    return refounding.propose(
        world.book,
        coops[0].root,
        keep=[coops[at].name for at in keep],
        cards=[],
        quorum=quorum,
        now=NOW,
    )


def signed_by(world: Accounts, block: Block, *at: int) -> Block:
    for place in at:
        block = refounding.sign(world.book, block, world.federation.coops[place].root)
    return block


def test_two_thirds_of_the_coops_sign_and_the_chains_go_on_where_they_stood(
    world: Accounts,
) -> None:
    block = proposed(world, 0, 1)
    heads = {chain: world.book.head(chain).h for chain in world.book.chains()}
    ledger = Opened(world.book, world.disk)
    with pytest.raises(NotApproved):
        refounding.install(ledger, signed_by(world, block, 1))
    assert world.book.charter.height == 0
    refounding.install(ledger, signed_by(world, block, 1, 2))
    latest = world.book.charter.latest
    assert (latest.refounded, latest.quorum) == (1, 2)
    assert latest.committee().keys == tuple(
        coop.witness.public for coop in world.federation.coops[:2]
    )
    assert {chain: world.book.head(chain).h for chain in world.book.chains()} == heads
    again = Book(world.book.founding, world.disk, inline_verify)
    assert again.charter.latest == latest


def test_the_file_is_the_block_with_the_signatures_gathered(
    world: Accounts, tmp_path: Path
) -> None:
    block = proposed(world, 0, 1)
    path = tmp_path / "refounding.maillon"
    path.write_bytes(signed_by(world, block, 2).encode())
    found = refounding.read(path)
    assert found.hash == block.hash
    told = refounding.describe(world.book, found)
    assert [coop["signed"] for coop in told["coops"]] == [True, False, True, False]
    assert [bool(coop["witness"]) for coop in told["coops"]] == [True, True, False, False]
    assert (told["needed"], told["quorum"]["quorum"], told["quorum"]["silent"]) == (3, 2, 0)
    path.write_bytes(b"no block")
    with pytest.raises(Malformed):
        refounding.read(path)


def test_copies_that_were_signed_apart_are_joined_and_others_are_not(world: Accounts) -> None:
    block = proposed(world, 0, 1)
    joined = refounding.merge([signed_by(world, block, 1), signed_by(world, block, 3)])
    assert len(refounding.signers(joined)) == 3
    with pytest.raises(FoundingError):
        refounding.merge([block, proposed(world, 0, 2)])


def test_a_signature_that_does_not_count_is_not_shown_as_one(world: Accounts) -> None:
    block, other = proposed(world, 0, 1), proposed(world, 0, 2)
    stolen = block.with_certificate(signed_by(world, other, 1).certificate)
    told = refounding.describe(world.book, stolen)
    assert [coop["signed"] for coop in told["coops"]] == [False] * 4


def test_who_knows_more_than_the_proposal_is_told_before_it_signs(world: Accounts) -> None:
    behind = fresh(world)
    coops = world.federation.coops
    block = refounding.propose(
        behind,
        coops[1].root,
        keep=[coop.name for coop in coops[1:]],
        cards=[],
        quorum=None,
        now=NOW,
    )
    heads = {head["name"]: head for head in refounding.describe(world.book, block)["heads"]}
    first = heads[coops[0].name]
    assert first["known"] > first["height"] == 0 and not first["other"]
    # And who knows less is not told of anything.
    told = refounding.describe(behind, proposed(world, 0, 1))
    assert all(head["known"] <= head["height"] for head in told["heads"])


def test_a_coop_with_new_keys_brings_them_in_its_card(world: Accounts) -> None:
    coop = world.federation.coops[1]
    key = world.federation.key
    card = make_card(
        coop.root,
        coop.node.public,
        coop.name,
        writer=key("w").public,
        witness=key("v").public,
    )
    block = refounding.propose(
        world.book,
        world.federation.coops[0].root,
        keep=[world.federation.coops[0].id.hex()[:8]],
        cards=[card],
        quorum=None,
        now=NOW,
    )
    refounding.install(Opened(world.book, world.disk), signed_by(world, block, 1, 2))
    found = world.book.charter.latest.coops[coop.id]
    assert (found.writer, found.witness) == (key("w").public, key("v").public)


def test_what_cannot_be_is_refused_and_nothing_changes(world: Accounts) -> None:
    stranger = world.federation.make_coop("stranger")
    card = make_card(stranger.root, stranger.node.public, "stranger")
    before = world.book.charter.latest
    with pytest.raises(FoundingError, match="has to witness"):
        proposed(world)
    with pytest.raises(FoundingError):
        refounding.find_coop(before, "nobody")
    with pytest.raises(CharterRefused):
        proposed(world, 0, 1, 2, quorum=1)
    with pytest.raises(FoundingError):
        refounding.propose(
            world.book, world.federation.coops[0].root, keep=[], cards=[card], quorum=1, now=NOW
        )
    with pytest.raises(FoundingError):
        refounding.sign(world.book, proposed(world, 0, 1), stranger.root)
    assert world.book.charter.latest == before


def test_another_block_of_the_charter_is_not_taken_for_a_re_founding(world: Accounts) -> None:
    from maillon.ledger.charter_entries import SetRule

    plain = world.federation.block(SetRule("recovery_s", 60))
    for act in (refounding.entry_of, refounding.describe):
        with pytest.raises(FoundingError):
            act(world.book, plain)


def test_an_old_proposal_is_of_no_use_once_the_charter_went_on(world: Accounts) -> None:
    block = signed_by(world, proposed(world, 0, 1), 1, 2)
    ledger = Opened(world.book, world.disk)
    refounding.install(ledger, block)
    with pytest.raises(BadBlock):
        refounding.install(ledger, decode_block(block.encode()))
    assert world.book.charter.height == 1
