"""A cheque is paid at most once, whatever happens in whatever order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from maillon.ledger.orders import NO_REF
from maillon.node.api import persons_shapes as shapes
from maillon.protocol.errors import MaillonError
from maillon.protocol.vouchers import voucher_from_text
from support.ledgernet import LedgerNet, agreed, until
from support.persons import OPERATOR, PersonsTestNode, persons_net, restart

SEEDS = range(6)
STEPS = 25
CHEQUES = 4


def paid(node: PersonsTestNode) -> dict[bytes, int]:
    """Count the payments on this coop's chain by ref, from the blocks themselves."""
    from maillon.ledger.block import Placed
    from maillon.ledger.entries import Intra, Out, decode_entry
    from maillon.ledger.orders import PayAction

    found: dict[bytes, int] = {}
    book = node.runner.machine.book
    for block in book.blocks(node.coop, 1, book.head(node.coop).h):
        for placed in block.body.entries:
            assert isinstance(placed, Placed)
            entry = decode_entry(placed.data)
            if isinstance(entry, Intra | Out) and isinstance(entry.order.action, PayAction):
                ref = entry.order.action.ref
                if ref != NO_REF:
                    found[ref] = found.get(ref, 0) + 1
    return found


class Chaos:
    """People who deposit what they hold while nodes come and go."""

    def __init__(self, net: LedgerNet, nodes: list[PersonsTestNode], rng: random.Random) -> None:
        self.net = net
        self.a, self.b, self.c = nodes
        self.rng = rng
        self.older: bytes = b""

    async def prepare(self) -> None:
        a, b = self.a, self.b
        self.ana = await a.holder("Ana", limit=60)
        self.payees = [(a, await a.holder("Bo")), (b, await b.holder("Eve"))]
        self.friend = await a.holder("Fay")
        request = shapes.BookRequest(account=self.ana, unit="heure", count=CHEQUES)
        self.cheques = (await a.persons.issue_book(OPERATOR, request)).vouchers
        await agreed([a, b])

    async def deposit(self) -> None:
        node, payee = self.rng.choice(self.payees)
        if not node.running:
            return
        voucher = self.rng.choice(self.cheques)
        request = shapes.DepositRequest(
            amount=self.rng.choice([10, 25, 40]), payee=payee, voucher=voucher.qr, unit="heure",
            wait_s=self.rng.choice([0, 1, 30]),
        )  # fmt: skip
        try:
            await node.persons.deposit(OPERATOR, request)
        except MaillonError:
            return

    async def spend(self) -> None:
        """Take away what covers a cheque, or bring it back: orders between the cheques' own."""
        payer, payee = self.rng.choice([(self.ana, self.friend), (self.friend, self.ana)])
        if self.a.running:
            try:
                await self.a.pay(payer, payee, self.rng.choice([5, 20]), wait_s=0)
            except MaillonError:
                return

    async def cut(self) -> None:
        self.net.cut(*self.rng.sample([self.a, self.b, self.c], 1))

    async def heal(self) -> None:
        self.net.heal()

    async def crash(self) -> None:
        node = self.rng.choice([self.a, self.a, self.b])
        node.stop()
        await restart(self.net, node)

    async def keep_copy(self) -> None:
        self.a.persons.disk.scrub()
        self.older = (self.a.home / "persons.db").read_bytes()

    async def bring_back(self) -> None:
        """Restore persons.db from an older copy, as after a broken disk."""
        if not self.older:
            return
        # Whoever restores brings the chain along first: it is fetched from the others.
        self.net.heal()
        await until(lambda: not len(self.a.runner.machine.queue), "nothing waits")
        self.a.stop()
        await self.a.ended()
        self.a.shut()
        for path in self.a.home.glob("persons.db*"):
            path.unlink()
        (self.a.home / "persons.db").write_bytes(self.older)
        await self.net.restart(self.a)

    async def step(self) -> None:
        doing = self.rng.choices(
            [self.deposit, self.spend, self.cut, self.heal, self.crash, self.keep_copy,
             self.bring_back],
            [12, 4, 2, 3, 2, 1, 1],
        )[0]  # fmt: skip
        await doing()
        await trio.sleep(self.rng.choice([0, 0, 1, 7]))


@pytest.mark.capability("CAH-2")
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_order_of_events_pays_a_cheque_twice(
    tmp_path: Path, seed: int, autojump_clock: object
) -> None:
    async with persons_net(tmp_path, seed=f"chaos {seed}") as (net, nodes):
        chaos = Chaos(net, nodes, random.Random(f"once {seed}"))
        await chaos.prepare()
        for _ in range(STEPS):
            await chaos.step()
        net.heal()
        a, b, _c = nodes
        await until(lambda: not len(a.runner.machine.queue), "everything is decided")
        await a.persons.work()
        await b.persons.work()
        refs = {voucher_from_text(voucher.qr).ref for voucher in chaos.cheques}
        counts = {ref: n for ref, n in paid(a).items() if ref in refs}
        assert all(n == 1 for n in counts.values()), f"seed {seed}"
        # What the register says is what the chain says.
        from maillon.node.api.persons_service import VoucherOptions

        listed = a.persons.vouchers(OPERATOR, VoucherOptions()).vouchers
        by_ref = {
            voucher_from_text(voucher.qr).ref: row.status
            for voucher, row in zip(chaos.cheques, listed, strict=True)
        }
        assert {ref for ref, status in by_ref.items() if status == "paid"} <= set(counts)
        assert not {ref for ref, status in by_ref.items() if status == "presented"}
