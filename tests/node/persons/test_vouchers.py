"""Paper cheques: paid once whatever breaks, refused with a reason, blocked when lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from maillon.ledger.errors import OverLimit
from maillon.ledger.orders import PayAction
from maillon.node.api import ledger_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Forbidden
from maillon.node.api.persons_service import VoucherOptions
from maillon.node.persons.errors import (
    StatusRefused,
    VoucherBlocked,
    VoucherExpired,
    VoucherRefused,
    VoucherUnknown,
    VoucherUsed,
)
from maillon.protocol.cards import TextDamaged
from maillon.protocol.records import DAY_S
from maillon.protocol.vouchers import secret_code
from support.ledgernet import LedgerNet, until
from support.persons import OPERATOR, PersonsTestNode, persons_net, restart

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


async def book(node: PersonsTestNode, account: str, **more: object) -> shapes.Book:
    request = shapes.BookRequest(account=account, unit="heure", count=4, **more)  # type: ignore[arg-type]
    return await node.persons.issue_book(OPERATOR, request)


async def give(
    node: PersonsTestNode, voucher: shapes.VoucherSecret, payee: str, amount: int, **more: object
) -> shapes.Deposit:
    request = shapes.DepositRequest(
        amount=amount, payee=payee, voucher=voucher.qr, unit="heure", wait_s=60, **more  # type: ignore[arg-type]
    )
    return await node.persons.deposit(OPERATOR, request)


def statuses(node: PersonsTestNode) -> list[str]:
    listed = node.persons.vouchers(OPERATOR, VoucherOptions())
    return [voucher.status for voucher in listed.vouchers]


async def test_a_cheque_is_paid_by_its_qr_or_by_what_is_typed(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, bo = await a.holder("Ana"), await a.holder("Bo")
    made = await book(a, ana)
    assert [v.number for v in made.vouchers] == [1, 2, 3, 4] and made.html.count("<svg") == 4
    first, second, *_ = made.vouchers
    done = await give(a, first, bo, 90, date="2026-03-14")
    assert (done.status, a.balance(ana), a.balance(bo)) == ("certified", -90, 90)
    typed = await a.persons.deposit(
        OPERATOR,
        shapes.DepositRequest(
            amount="1h", payee=bo, number=2, code=second.code.lower(), unit="heure", wait_s=60
        ),
    )
    assert (typed.status, a.balance(bo)) == ("certified", 150)
    assert statuses(a) == ["paid", "paid", "open", "open"]
    # On the chain stands nothing but the ref.
    row = a.persons.accounts.transfer(bytes.fromhex(done.transfer))
    assert row is not None and row.ref.hex() == done.ref and row.category == ""
    paid = a.persons.vouchers(OPERATOR, VoucherOptions(status="paid", limit=1))
    assert paid.vouchers[0].written == "2026-03-14" and paid.vouchers[0].transfer == done.transfer
    assert paid.next is not None
    rest = a.persons.vouchers(OPERATOR, VoucherOptions(status="paid", after=paid.next))
    assert [v.number for v in rest.vouchers] == [2] and rest.next is None


async def test_the_same_cheque_again_changes_nothing_and_another_payee_is_refused(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, bo, eve = await a.holder("Ana"), await a.holder("Bo"), await a.holder("Eve")
    voucher = (await book(a, ana)).vouchers[0]
    first = await give(a, voucher, bo, 30)
    again = await give(a, voucher, bo, 30)
    assert again.repeated and again.transfer == first.transfer
    heads = a.heads()
    for payee, amount in ((eve, 30), (bo, 31)):
        with pytest.raises(VoucherUsed) as used:
            await give(a, voucher, payee, amount)
        assert used.value.facts["number"] == 1
    assert (a.heads(), a.balance(bo), a.balance(eve)) == (heads, 30, 0)


async def test_two_desks_at_once_pay_one_cheque_once(net: Net, autojump_clock: object) -> None:
    _, (a, *_rest) = net
    ana, bo, eve = await a.holder("Ana"), await a.holder("Bo"), await a.holder("Eve")
    voucher = (await book(a, ana)).vouchers[0]
    ended: list[str] = []

    async def desk(payee: str) -> None:
        try:
            ended.append((await give(a, voucher, payee, 40)).status)
        except VoucherUsed:
            ended.append("used")

    async with trio.open_nursery() as nursery:
        for payee in (bo, eve, bo):
            nursery.start_soon(desk, payee)
    # Whoever was first is paid; the same wish beside it is told so, the other one refused.
    assert sorted(ended) in (["certified", "certified", "used"], ["certified", "used", "used"])
    assert sorted((a.balance(bo), a.balance(eve))) == [0, 40]
    assert a.balance(ana) == -40


@pytest.mark.parametrize("asked", [False, True])
async def test_a_node_that_dies_in_the_middle_pays_once(
    net: Net, asked: bool, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana, bo = await a.holder("Ana"), await a.holder("Bo")
    voucher = (await book(a, ana)).vouchers[0]
    if asked:
        # No quorum: it waits in the queue, and the node stops.
        world.cut(b, c)
        done = await give(a, voucher, bo, 25, date="")
        assert done.status in ("waiting", "placed")
    else:
        # The order is durable and was never asked: killed between the two.
        row = a.persons.cheques.find(voucher.number, _secret(voucher))
        _prepare_only(a, row["id"], bo, 25)
    a.stop()
    await restart(world, a)
    world.heal()
    await until(lambda: a.balance(bo) == 25, "the cheque is paid after all")
    await until(lambda: statuses(a)[0] == "paid", "it is marked")
    again = await give(a, voucher, bo, 25)
    assert again.repeated and (a.balance(ana), a.balance(bo)) == (-25, 25)


def _secret(voucher: shapes.VoucherSecret) -> bytes:
    from maillon.protocol.vouchers import voucher_from_text

    return voucher_from_text(voucher.qr).secret


def _prepare_only(node: PersonsTestNode, id: bytes, payee: str, amount: int) -> None:
    """Do what `present` commits before it asks the ledger, and no more."""
    from maillon.node.ledger.asking import Place
    from maillon.node.persons.once import Wanted
    from maillon.node.persons.vouchers import Presented
    from maillon.protocol.vouchers import voucher_ref

    coop, _, account = payee.partition(":")
    to = Place(bytes.fromhex(coop), bytes.fromhex(account))
    cheques = node.persons.cheques
    row = node.persons.disk.row("SELECT account FROM voucher WHERE id = ?", id)
    assert row is not None
    key = node.register.held_key(node.register.keys_of(row["account"])[0].public)
    action = PayAction(to.coop, to.account, 0, amount, voucher_ref(id), "")
    with node.persons.disk.batch():
        cheques._present(id, Presented(to, 0, amount))  # pyright: ignore[reportPrivateUsage]
        node.persons.payments.prepare(
            voucher_ref(id), Wanted("voucher", row["account"], action, key)
        )


async def test_a_register_from_an_older_copy_does_not_pay_again(
    net: Net, tmp_path: Path, autojump_clock: object
) -> None:
    world, (a, *_rest) = net
    ana, bo, eve = await a.holder("Ana"), await a.holder("Bo"), await a.holder("Eve")
    voucher = (await book(a, ana)).vouchers[0]
    a.persons.disk.scrub()
    older = (a.home / "persons.db").read_bytes()
    assert (await give(a, voucher, bo, 30)).status == "certified"
    a.stop()
    await a.ended()
    a.shut()
    for path in a.home.glob("persons.db*"):
        path.unlink()
    (a.home / "persons.db").write_bytes(older)
    await world.restart(a)
    assert statuses(a)[0] == "open"
    with pytest.raises(VoucherUsed):
        await give(a, voucher, eve, 30)
    assert (await give(a, voucher, bo, 30)).repeated
    assert (a.balance(ana), a.balance(bo), a.balance(eve)) == (-30, 30, 0)
    assert statuses(a)[0] == "paid"


async def test_what_stands_against_it_is_told_before_anything_happens(
    net: Net, autojump_clock: object
) -> None:
    world, (a, *_rest) = net
    ana, bo = await a.holder("Ana", limit=100), await a.holder("Bo")
    val = await a.holder("Val", provider_status="volunteer", verification="self_declared")
    made = await book(a, ana, max=200, days=30)
    voucher = made.vouchers[0]
    heads = a.heads()
    with pytest.raises(VoucherRefused) as most:
        await give(a, voucher, bo, 201)
    assert most.value.facts["max"] == 200
    with pytest.raises(OverLimit) as over:
        await give(a, voucher, bo, 101)
    assert over.value.facts["available"] == 100
    with pytest.raises(VoucherRefused):
        await give(a, voucher, ana, 10)
    with pytest.raises(VoucherRefused):
        await a.persons.deposit(
            OPERATOR,
            shapes.DepositRequest(amount=5, payee=bo, voucher=voucher.qr, unit="sel"),
        )
    with pytest.raises(VoucherUnknown):
        wrong = secret_code(1, bytes(16))
        await a.persons.deposit(
            OPERATOR, shapes.DepositRequest(amount=5, payee=bo, number=1, code=wrong)
        )
    with pytest.raises(TextDamaged):
        await a.persons.deposit(
            OPERATOR, shapes.DepositRequest(amount=5, payee=bo, number=2, code=voucher.code)
        )
    world.skew = 31 * DAY_S
    with pytest.raises(VoucherExpired):
        await give(a, voucher, bo, 10)
    assert statuses(a) == ["expired"] * 4
    world.skew = 0
    credit = await a.persons.issue_book(OPERATOR, shapes.BookRequest(account=ana, unit="sel"))
    with pytest.raises(StatusRefused):
        await a.persons.deposit(
            OPERATOR,
            shapes.DepositRequest(
                amount=50, payee=val, voucher=credit.vouchers[0].qr, unit="sel"
            ),
        )
    assert a.heads() == heads and a.balance(ana) == 0
    assert set(statuses(a)) == {"open"}
    # Hours are no money: the volunteer may be given them.
    assert (await give(a, voucher, val, 60)).status == "certified"


async def test_a_cheque_that_could_not_be_paid_can_be_deposited_again(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana, bo, eve = await a.holder("Ana", limit=50), await a.holder("Bo"), await a.holder("Eve")
    voucher = (await book(a, ana)).vouchers[0]
    world.cut(b, c)
    other = await a.pay(ana, eve, 40, wait_s=0)
    assert other.status in ("waiting", "placed")
    late = await give(a, voucher, bo, 30)
    assert late.status in ("waiting", "placed")
    world.heal()
    await until(lambda: statuses(a)[0] == "open", "the cheque was not covered any more")
    assert (a.balance(ana), a.balance(bo)) == (-40, 0)
    done = await give(a, voucher, bo, 10)
    assert (done.status, a.balance(bo), a.balance(ana)) == ("certified", 10, -50)
    with pytest.raises(VoucherUsed):
        await give(a, voucher, bo, 30)


@pytest.mark.parametrize("first", ["replayed", "deposited"])
async def test_of_a_refused_order_that_somebody_kept_and_its_successor_one_is_paid(
    net: Net, first: str, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana, bo, eve = await a.holder("Ana", limit=50), await a.holder("Bo"), await a.holder("Eve")
    voucher = (await book(a, ana)).vouchers[0]
    world.cut(b, c)
    await a.pay(ana, eve, 40, wait_s=0)
    assert (await give(a, voucher, bo, 30)).status in ("waiting", "placed")
    kept = a.persons.disk.rows("SELECT bytes FROM payment")[0]["bytes"]
    world.heal()
    await until(lambda: statuses(a)[0] == "open", "it was not covered")
    await a.pay(eve, ana, 40)
    if first == "replayed":
        # Somebody hands in the first order, which is signed and has not expired.
        replayed = await a.desk.signed(
            ledger_shapes.SignedRequest(order=kept.hex(), wait_s=60)
        )
        assert replayed.status == "certified" and a.balance(bo) == 30
        with pytest.raises(VoucherUsed):
            await give(a, voucher, bo, 10)
        assert a.balance(bo) == 30
    else:
        assert (await give(a, voucher, bo, 10)).status == "certified"
        replayed = await a.desk.signed(
            ledger_shapes.SignedRequest(order=kept.hex(), wait_s=60)
        )
        assert (replayed.status, replayed.reason) == ("refused", "stale_sequence")
        assert a.balance(bo) == 10
    assert statuses(a)[0] == "paid"


async def test_lost_cheques_and_revoked_books_pay_nothing(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, bo = await a.holder("Ana"), await a.holder("Bo")
    made = await book(a, ana)
    assert (await give(a, made.vouchers[0], bo, 5)).status == "certified"
    lost = shapes.BlockRequest(account=ana, numbers=[2], reason="lost on the market")
    assert a.persons.block(OPERATOR, lost).vouchers[0].status == "blocked"
    with pytest.raises(VoucherBlocked):
        await give(a, made.vouchers[1], bo, 5)
    with pytest.raises(VoucherUsed):
        a.persons.block(OPERATOR, shapes.BlockRequest(account=ana, numbers=[3, 1]))
    assert statuses(a) == ["paid", "blocked", "open", "open"]
    told = a.persons.revoke_book(OPERATOR, made.book, shapes.RevokeBookRequest("moved away"))
    assert (told.open, told.paid, told.blocked) == (0, 1, 3)
    with pytest.raises(VoucherBlocked):
        await give(a, made.vouchers[2], bo, 5)
    assert a.balance(bo) == 5


async def test_nobody_sees_or_blocks_the_cheques_of_others(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, bo = await a.holder("Ana"), await a.holder("Bo")
    made = await book(a, ana)
    as_bo = a.caller(bo)
    assert a.persons.vouchers(as_bo, VoucherOptions()).vouchers == []
    assert a.persons.books(as_bo, "").books == []
    with pytest.raises(Forbidden):
        a.persons.block(as_bo, shapes.BlockRequest(account=ana, numbers=[1]))
    with pytest.raises(Forbidden):
        a.persons.revoke_book(as_bo, made.book, shapes.RevokeBookRequest())
    with pytest.raises(Forbidden):
        await a.persons.deposit(
            as_bo, shapes.DepositRequest(amount=5, payee=ana, voucher=made.vouchers[0].qr)
        )
    assert statuses(a) == ["open"] * 4
    assert len(a.persons.vouchers(a.caller(ana), VoucherOptions()).vouchers) == 4


async def test_a_mandate_on_the_account_signs_for_somebody_with_a_key_of_their_own(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, bo = await a.holder("Ana"), await a.holder("Bo")
    desk = await a.holder("Desk")
    mandate = await a.desk.give_mandate(
        ana,
        ledger_shapes.SpendingMandateRequest(
            allowances=[ledger_shapes.Allowance(60, "heure")],
            delegate=desk.partition(":")[2],
            wait_s=60,
        ),
    )
    made = await book(a, ana, mandate=mandate.mandate)
    assert (await give(a, made.vouchers[0], bo, 60)).status == "certified"
    from maillon.ledger.errors import MandateExhausted

    with pytest.raises(MandateExhausted):
        await give(a, made.vouchers[1], bo, 1)
    assert statuses(a)[1] == "open" and a.balance(bo) == 60
