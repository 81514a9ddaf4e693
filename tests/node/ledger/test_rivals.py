"""Another process with the coop's key is told from this node's own terms of before a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.ledger.quorum import Term
from maillon.ledger.rounds import Prepare
from maillon.node.ledger import bounds
from maillon.node.ledger.rivals import Rivals
from maillon.node.ledger.staging import StagedDisk
from maillon.node.store.ledgerdisk import SqliteDisk
from support.ledgernet import LedgerNet, LedgerTestNode, agreed, ledger_net


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 2) as made:
        yield made


def prepare(node: LedgerTestNode, nonce: bytes) -> bytes:
    """Return the signed prepare of a term with the node's own writer key."""
    key = node.keys.writer
    return Prepare.sign(key, node.founding.fed, node.coop, Term(99, nonce, key.public)).encode()


async def test_what_this_node_began_before_a_restart_is_no_other_process(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    await a.member("Ana")
    await agreed(pair.nodes)
    nonce = b.runner.machine.witness.row(a.coop).promised.nonce
    again = Rivals(StagedDisk(a.disk))
    assert not again.met(a.coop, prepare(a, nonce), 1_000)
    assert not again.active(a.coop, 1_000)
    assert again.met(a.coop, prepare(a, b"\1" * 16), 1_000)
    assert again.active(a.coop, 1_000)
    assert not again.active(b.coop, 1_000)


async def test_a_notice_of_another_process_ends_after_a_quiet_hour(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, _b = pair.nodes
    await a.member("Ana")

    def told() -> bool:
        return any("Another process" in notice for notice in a.desk.status().notices)

    assert not told()
    now = a.time()
    assert a.runner.machine.rivals.met(a.coop, prepare(a, b"\2" * 16), now)
    assert told()
    gone = now - bounds.RIVAL_QUIET_S
    assert a.runner.machine.rivals.met(a.coop, prepare(a, b"\2" * 16), gone)
    assert not told()


def test_what_is_no_signed_prepare_says_nothing_and_old_terms_are_forgotten_in_turn(
    tmp_path: Path,
) -> None:
    disk = SqliteDisk(tmp_path)
    rivals = Rivals(StagedDisk(disk))
    for evidence in (b"", b"\x91\x13", b"\xc1"):
        assert not rivals.met(b"c" * 32, evidence, 5)
    assert not rivals.active(b"c" * 32, 5)
    for place in range(bounds.OWN_TERMS_MAX * 3):
        rivals.started(b"c" * 32, place.to_bytes(16, "big"))
    assert len(rivals.own(b"c" * 32)) == bounds.OWN_TERMS_MAX
    disk.close()
