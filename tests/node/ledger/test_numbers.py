"""Numbers of the orders of one account: each is given once, whichever part of a node signs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import copy
from pathlib import Path
from shutil import copytree

import pytest

from maillon.ledger.limits import SEQ_GAP_MAX
from maillon.ledger.orders import PayAction
from maillon.ledger.state import Account
from maillon.node.ledger import bounds
from support.ledgernet import LedgerNet, LedgerTestNode, agreed, ledger_net


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 3) as made:
        yield made


def account_of(node: LedgerTestNode, account: str) -> Account:
    found = node.runner.machine.book.state(node.coop).account(
        bytes.fromhex(account.partition(":")[2])
    )
    assert found is not None
    return found


async def test_a_payment_at_the_desk_leaves_room_for_what_is_signed_and_not_placed(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    before = account_of(a, ana)
    queue = a.runner.machine.queue
    # An exchange signs two orders, and its node is slow to place them.
    queue.signed(before.id, before.seq + 1)
    queue.signed(before.id, before.seq + 2)
    assert queue.next_seq(before) == before.seq + 3
    assert queue.next_seq(before, after=before.seq + 7) == before.seq + 8
    key = a.register.held_key(before.keys[0])
    action = PayAction(a.coop, bytes.fromhex(bo.partition(":")[2]), 0, 5)
    assert a.desk.asking.sign(before, action, key).seq == before.seq + 3
    assert (await a.pay(ana, bo, 5)).status == "certified"
    assert account_of(a, ana).seq == before.seq + 3
    # What was signed first is overtaken now: numbers go on above it.
    assert queue.next_seq(account_of(a, ana)) == before.seq + 4


async def test_a_number_that_led_nowhere_takes_no_room(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana = account_of(a, await a.member("Ana"))
    queue = a.runner.machine.queue
    queue.signed(ana.id, ana.seq + SEQ_GAP_MAX)
    assert queue.next_seq(ana) == ana.seq + 1
    for n in range(bounds.SIGNED_NUMBERS_MAX):
        queue.signed(n.to_bytes(16, "big"), 1)
    # The account that nobody signed for the longest is forgotten, and nothing else.
    queue.signed(ana.id, ana.seq + 1)
    assert queue.next_seq(ana) == ana.seq + 2
    others = [copy(ana) for _n in range(2)]
    for n, other in enumerate(others):
        other.id, other.seq = n.to_bytes(16, "big"), 0
    assert [queue.next_seq(other) for other in others] == [1, 2]


async def test_a_copy_that_was_put_back_signs_anew_what_its_account_ordered_since(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with ledger_net(tmp_path, 4, quorum=3) as net:
        a, b, *_ = net.nodes
        ana, bo = await a.member("Ana"), await b.member("Bo")
        await agreed(net.nodes)
        b.stop()
        # As a backup does: all but the votes, which an older copy would give twice.
        copytree(b.home, tmp_path / "copy", ignore=lambda _folder, names: {
            name for name in names if name.startswith("votes")
        })  # fmt: skip
        await net.restart(b)
        for amount in (5, 6):
            assert (await b.pay(bo, ana, amount)).status == "certified"
        b.stop()
        copied = LedgerTestNode(net, net.federation.coops[1], tmp_path / "copy", clone="copy")
        net.nodes.append(copied)
        net.by_node[b.wire.own] = copied
        await net.start(copied)
        # Before anything of its own chain was read on: the number that it gives is taken.
        assert account_of(copied, bo).seq < account_of(b, bo).seq
        paid = await copied.pay(bo, ana, 7, key="6b" * 32)
        assert paid.status == "certified", paid
        assert account_of(copied, bo).seq == account_of(b, bo).seq + 1
        assert copied.balance(bo) == -18
        # Under its key it is the same one, and nobody pays twice.
        again = await copied.pay(bo, ana, 7, key="6b" * 32)
        assert (again.id, again.status) == (paid.id, "certified") and copied.balance(bo) == -18
