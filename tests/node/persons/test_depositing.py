"""Cheques deposited at another coop: paid once, later when the issuing node is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from maillon.ledger.errors import WrongAccount
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.persons_service import VoucherOptions
from maillon.node.persons import bounds
from maillon.node.persons.errors import NotPossible, VoucherUsed
from maillon.protocol.encoding import decode, encode
from maillon.protocol.envelope import decode_record
from maillon.protocol.voucherframes import PROTOCOL
from maillon.protocol.vouchers import secret_code, voucher_from_text
from support.ledgernet import LedgerNet, agreed, until
from support.persons import OPERATOR, PersonsTestNode, persons_net, restart

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


async def cheques(node: PersonsTestNode, account: str, n: int = 3) -> list[shapes.VoucherSecret]:
    request = shapes.BookRequest(account=account, unit="heure", count=n)
    return (await node.persons.issue_book(OPERATOR, request)).vouchers


async def give(
    node: PersonsTestNode, voucher: shapes.VoucherSecret, payee: str, amount: int,
    wait_s: float = 60,
) -> shapes.Deposit:  # fmt: skip
    request = shapes.DepositRequest(
        amount=amount, payee=payee, voucher=voucher.qr, unit="heure", wait_s=wait_s
    )
    return await node.persons.deposit(OPERATOR, request)


def statuses(node: PersonsTestNode) -> list[str]:
    listed = node.persons.vouchers(OPERATOR, VoucherOptions())
    return [voucher.status for voucher in listed.vouchers]


async def test_a_cheque_is_deposited_at_another_coop(net: Net, autojump_clock: object) -> None:
    _, (a, b, _c) = net
    ana, bo = await a.holder("Ana"), await b.holder("Bo")
    await agreed([a, b])
    (first, second, _) = await cheques(a, ana)
    done = await give(b, first, bo, 45)
    assert (done.status, done.reason) == ("certified", "") and done.coop == a.coop.hex()
    await until(lambda: b.balance(bo) == 45, "it arrives")
    # Typed by hand, with the name of the coop on it.
    typed = await b.persons.deposit(
        OPERATOR,
        shapes.DepositRequest(
            amount=15, payee=bo, number=2, code=second.code, coop=a.coop.hex()[:8], unit="heure",
            wait_s=60,
        ),
    )  # fmt: skip
    assert typed.status == "certified"
    await until(lambda: b.balance(bo) == 60, "both arrive")
    assert a.balance(ana) == -60 and statuses(a) == ["paid", "paid", "open"]
    # The paper's secret is nowhere any more where it was deposited.
    assert all(not row["record"] for row in b.persons.disk.rows("SELECT record FROM deposit"))
    again = await give(b, first, bo, 45)
    assert again.status == "certified" and b.balance(bo) == 60


async def test_it_works_later_when_the_issuing_node_is_away(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, _c) = net
    ana, bo = await a.holder("Ana"), await b.holder("Bo")
    await agreed([a, b])
    (voucher, *_rest) = await cheques(a, ana)
    world.cut(a)
    left = await give(b, voucher, bo, 20, wait_s=2)
    assert (left.status, left.reason) == ("sent", "network_down")
    with pytest.raises(VoucherUsed):
        await give(b, voucher, bo, 21)
    b.stop()
    await restart(world, b)
    world.heal()
    await until(
        lambda: b.persons.deposits(OPERATOR).deposits[0].status == "certified", "it went through"
    )
    await until(lambda: b.balance(bo) == 20, "it arrives")
    assert a.balance(ana) == -20 and statuses(a)[0] == "paid"


async def test_two_coops_at_once_cash_one_cheque_once(net: Net, autojump_clock: object) -> None:
    _, (a, b, c) = net
    ana, bo, eve = await a.holder("Ana"), await b.holder("Bo"), await c.holder("Eve")
    await agreed([a, b, c])
    (voucher, *_rest) = await cheques(a, ana)
    ended: dict[str, shapes.Deposit] = {}

    async def at(node: PersonsTestNode, payee: str) -> None:
        ended[payee] = await give(node, voucher, payee, 30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(at, b, bo)
        nursery.start_soon(at, c, eve)
    assert sorted(done.status for done in ended.values()) == ["certified", "refused"]
    (lost,) = [done for done in ended.values() if done.status == "refused"]
    assert lost.reason == "voucher_used"
    await until(lambda: b.balance(bo) + c.balance(eve) == 30, "one of them has it")
    assert a.balance(ana) == -30


async def test_a_lost_answer_costs_nothing(net: Net, autojump_clock: object) -> None:
    world, (a, b, _c) = net
    ana, bo = await a.holder("Ana"), await b.holder("Bo")
    await agreed([a, b])
    (voucher, *_rest) = await cheques(a, ana)
    row = a.persons.cheques.find(voucher.number, voucher_from_text(voucher.qr).secret)
    assert row["status"] == "open"
    # The line breaks when the payment is certain and before the answer is back.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, b, voucher, bo, 20)
        await until(lambda: a.balance(ana) == -20, "it is paid")
        world.cut(b)
    world.heal()
    await until(
        lambda: b.persons.deposits(OPERATOR).deposits[0].status == "certified", "the same answer"
    )
    await until(lambda: b.balance(bo) == 20, "once")
    assert a.balance(ana) == -20


async def test_only_the_payee_or_their_coop_deposit_and_only_from_its_own_node(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, c) = net
    ana, bo, eve = await a.holder("Ana"), await b.holder("Bo"), await c.holder("Eve")
    await agreed([a, b, c])
    (voucher, *_rest) = await cheques(a, ana)
    secret = voucher_from_text(voucher.qr).secret
    heads = a.heads()

    async def asked(by: PersonsTestNode, record: bytes) -> list[object]:
        stream = await by.open_stream(a.keys.node.public, PROTOCOL)
        await stream.send(encode([1, record]))
        answer = await stream.receive()
        assert answer is not None
        told = decode(answer, bytes_max=8_192)
        assert isinstance(told, list)
        return list(told)

    def record(by: PersonsTestNode, payee: bytes) -> bytes:
        return by.persons.depositing._record(  # pyright: ignore[reportPrivateUsage]
            a.coop, 1, secret, payee, "heure", 10, "", None
        )

    # Another coop's node brings it; another person's name stands in it; it was tampered with.
    good = record(b, b.author_of(bo))
    assert (await asked(c, good))[1:3] == ["refused", "not_allowed"]
    assert (await asked(b, record(b, c.author_of(eve))))[1:3] == ["refused", "not_allowed"]
    broken = bytearray(good)
    broken[-1] ^= 1
    assert (await asked(b, bytes(broken)))[1] == "refused"
    assert decode_record(good).header.kind == "voucher_deposit"
    assert a.heads() == heads and statuses(a) == ["open"] * 3
    assert (await asked(b, good))[1] == "certified"


async def test_wrong_codes_from_a_coop_are_counted(net: Net, autojump_clock: object) -> None:
    _, (a, b, _c) = net
    ana, bo = await a.holder("Ana"), await b.holder("Bo")
    await agreed([a, b])
    (voucher, *_rest) = await cheques(a, ana)

    async def wrong(n: int) -> shapes.Deposit:
        return await b.persons.deposit(
            OPERATOR,
            shapes.DepositRequest(
                amount=1, payee=bo, number=1, code=secret_code(1, n.to_bytes(16, "big")),
                coop=a.coop.hex(), unit="heure", wait_s=60,
            ),
        )  # fmt: skip

    assert (await wrong(0)).reason == "voucher_unknown"
    a.persons.depositing._wrong[b.keys.node.public] = (  # pyright: ignore[reportPrivateUsage]
        a.time() // 86_400, bounds.WRONG_SECRETS_PER_PEER_MAX,
    )  # fmt: skip
    assert (await wrong(1)).reason == "not_possible"
    assert (await give(b, voucher, bo, 10)).reason == "not_possible"
    with pytest.raises(NotPossible):
        await give(b, voucher, ana, 10)
    assert a.balance(ana) == 0


async def test_a_cheque_that_the_ledger_refuses_later_is_open_again(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await agreed([a, b, c])
    (voucher, *_rest) = await cheques(a, ana)
    world.cut(b, c)
    waits = await give(a, voucher, pat, 40, wait_s=0)
    assert (waits.status, statuses(a)[0]) == ("waiting", "presented")
    # Its order turns out to be impossible; asked again by itself it would wait for ever.
    queue = a.runner.machine.queue
    (order,) = queue.waiting()
    queue.refused(order.id, WrongAccount(account=order.account), a.time())
    await until(lambda: statuses(a)[0] == "open", "it can be brought again")
    assert queue.waiting() == [] and a.balance(pat) == 0


async def test_an_order_that_was_refused_and_is_carried_out_after_all_pays_its_cheque(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await agreed([a, b, c])
    (voucher, *_rest) = await cheques(a, ana)
    world.cut(b, c)
    await give(a, voucher, pat, 40, wait_s=0)
    queue = a.runner.machine.queue
    (order,) = queue.waiting()
    # The writer still has it, as somebody else might who saw it.
    queue.refused(order.id, WrongAccount(account=order.account), a.time())
    await until(lambda: statuses(a)[0] == "open", "it can be brought again")
    world.heal()
    with pytest.raises(VoucherUsed):
        await give(a, voucher, pat, 50)
    await until(lambda: statuses(a)[0] == "paid", "it is known what was paid")
    assert (a.balance(ana), a.balance(pat)) == (-40, 40)
