"""What is read out of certified blocks, and read again when others take their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.ledger.orders import PayAction, sign_order
from maillon.node.api import ledger_shapes as shapes
from maillon.node.ledger.index import Place, decode_transfer
from maillon.node.ledger.machine import Machine
from maillon.protocol.keys import SigningKey
from support.ledgernet import LedgerNet, agreed, ledger_net, until

SPACES = (
    "transfer", "line", "recent", "balance", "closed", "settled", "settled as", "indexed",
    "arrival", "back", "reserved",
)  # fmt: skip
DEVICE = SigningKey.from_seed(b"device".ljust(32))


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 2) as net:
        yield net


def rows(machine: Machine) -> dict[str, dict[bytes, bytes]]:
    return {space: dict(machine.disk.scan(space)) for space in SPACES}


def places(machine: Machine, id: bytes) -> list[Place | None]:
    row = machine.index.transfer(id)
    return [] if row is None else [row.place, row.ended, row.arrived, row.back]


async def test_a_chain_that_is_read_anew_leaves_nothing_behind_and_gives_the_same(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    opened = await a.desk.open_account(
        shapes.AccountRequest(
            kind="organisation",
            name="a device",
            key=DEVICE.public.hex(),
            positions=[shapes.PositionRequest("heure", 100)],
            wait_s=60,
        )
    )
    await agreed(pair.nodes)
    await a.pay(ana, bo, 10)
    await b.pay(bo, ana, 3)
    await a.pay(ana, bo, 2, hold=shapes.HoldTerms(expiry=a.time() + 86_400))
    # To an account that is not there: it comes back.
    nowhere = PayAction(b.coop, b"\xcd" * 16, 0, 1, bytes(32), "")
    account, fed = bytes.fromhex(opened.account), a.runner.machine.fed
    order = sign_order(DEVICE, fed, account, 1, a.coop, a.time() + 3_600, nowhere)
    id, _ = await a.runner.ask(order, 60)
    machine = b.runner.machine

    def is_back() -> bool:
        found = places(machine, id)
        return bool(found) and None not in found[2:]

    await until(is_back, "it went and came back")
    await agreed(pair.nodes)
    machine.run(b.time())
    before = rows(machine)
    assert {space for space, kept in before.items() if not kept} == {
        "closed", "settled", "settled as",
    }  # fmt: skip
    for chain in (a.coop, b.coop):
        machine.index.forget(chain)
        left = rows(machine)
        for space in ("line", "recent", "balance", "indexed"):
            assert not any(key.startswith(chain) for key in left[space])
        assert not any(decode_transfer(k, v).coop == chain for k, v in left["transfer"].items())
        for known in left["transfer"]:
            assert all(at is None or at.chain != chain for at in places(machine, known))
        machine.disk.moved = True
        machine.run(b.time())
        assert rows(machine) == before
