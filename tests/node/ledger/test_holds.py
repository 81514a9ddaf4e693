"""Reservations, mandates, keys and the coop's own account, through the desk of a running node."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from maillon.ledger.entries import Release, sign_release
from maillon.ledger.messages import GiveBack, Receipt
from maillon.node import cursors
from maillon.node.api import ledger_shapes as shapes
from maillon.node.api.ledger_service import AccountOptions, StatementOptions, TransferOptions
from maillon.node.ledger.asking import AskingError, NoSuchAccount
from maillon.node.naming import NoSuchCoop
from maillon.protocol.errors import BadKey, LocalError
from support.ledgernet import LedgerNet, agreed, ledger_net, until


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 4) as made:
        yield made


def terms(net: LedgerNet, seconds: int = 3_600, **more: str) -> shapes.HoldTerms:
    return shapes.HoldTerms(expiry=net.time() + seconds, **more)


async def test_a_hold_is_paid_when_the_payer_confirms(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    held = await a.pay(ana, bo, 60, hold=terms(net))
    assert held.status == "held" and a.balance(ana) == 0
    (row,) = [r for r in a.desk.accounts(AccountOptions()).accounts if r.name == "Ana"]
    assert (row.positions[0].held, row.positions[0].available) == (60, 540)
    placed = await a.desk.confirm(held.id, shapes.ConfirmRequest(wait_s=30))
    assert (placed.id, placed.status) == (held.id, "certified")
    await until(lambda: b.balance(bo) == 60, "it has arrived")
    shown = a.desk.show_transfer(held.id).transfer
    assert shown.status == "certified" and shown.hold is not None and shown.hold["ended"]
    with pytest.raises(AskingError):
        await a.desk.confirm(held.id, shapes.ConfirmRequest())


async def test_a_hold_that_expires_is_given_back_by_itself(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    held = await a.pay(ana, bo, 60, hold=terms(net, 100))
    await trio.sleep(300)
    await until(lambda: a.desk.show_transfer(held.id).transfer.status == "void", "it is void")
    assert a.balance(ana) == 0 and a.balance(bo) == 0
    account = a.runner.machine.book.state(a.coop).account(bytes.fromhex(ana.partition(":")[2]))
    assert account is not None and account.available(0) == 600


async def test_a_payee_releases_and_a_secret_confirms(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    first = await a.pay(ana, bo, 10, hold=terms(net))
    released = await a.desk.release(first.id, shapes.ReleaseRequest(wait_s=30))
    assert released.status == "certified" and a.balance(bo) == 0
    secret = b"s" * 32
    lock = hashlib.sha256(secret).hexdigest()
    second = await a.pay(ana, bo, 11, hold=terms(net, hashlock=lock))
    with pytest.raises(AskingError):
        await a.desk.confirm(second.id, shapes.ConfirmRequest(preimage="00" * 32))
    done = await a.desk.confirm(second.id, shapes.ConfirmRequest(preimage=secret.hex(), wait_s=30))
    assert done.status == "certified" and a.balance(bo) == 11


async def test_a_payee_of_another_coop_sees_the_reservation_and_gives_it_back(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, _d = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    held = await a.pay(ana, bo, 20, hold=terms(net))
    await agreed(net.nodes)
    for status in ("", "held"):
        listed = b.desk.transfers(TransferOptions(status=status)).transfers
        assert [(row.id, row.status) for row in listed] == [(held.id, "held")]
    assert c.desk.transfers(TransferOptions()).transfers == []
    with pytest.raises(AskingError):  # it is nothing of c's
        await c.desk.release(held.id, shapes.ReleaseRequest(wait_s=30))
    # Who gives it back is its payee: another's key, or another's signature, changes nothing.
    row = a.runner.machine.index.transfer(bytes.fromhex(held.id))
    assert row is not None
    thief, key = c.keys.writer, b.register.held_key(row.payee_key)
    true = sign_release(key, a.runner.machine.fed, row.coop, row.id)
    for release, code in (
        (sign_release(thief, a.runner.machine.fed, row.coop, row.id), "confirmation"),
        (Release(true.key, bytes(64)), "bad_signature"),
    ):
        answer = await c.runner.ask_peer(a.wire.own, GiveBack(row.coop, row.id, release))
        assert isinstance(answer, Receipt)
        assert (answer.status, answer.facts) == ("refused", {"code": code})
    assert a.desk.show_transfer(held.id).transfer.status == "held"
    given = await b.desk.release(held.id, shapes.ReleaseRequest(wait_s=30))
    assert (given.id, given.status) == (held.id, "certified")
    assert a.desk.show_transfer(held.id).transfer.status == "void"
    payer = a.runner.machine.book.state(a.coop).account(bytes.fromhex(ana.partition(":")[2]))
    assert payer is not None and payer.available(0) == 600
    assert b.desk.transfers(TransferOptions()).transfers == []
    again = await c.runner.ask_peer(a.wire.own, GiveBack(row.coop, row.id, true))
    assert isinstance(again, Receipt) and again.status == "certified"


async def test_transfers_stand_newest_first_whatever_became_of_them(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    ids: list[str] = []
    for amount in (10, 100_000, 20, 100_001, 30):  # the large ones are refused
        ids.append((await a.pay(ana, bo, amount)).id)
        await trio.sleep(2)
    ids.reverse()
    whole = a.desk.transfers(TransferOptions()).transfers
    assert [row.id for row in whole] == ids
    assert [row.status for row in whole] == [
        "certified", "refused", "certified", "refused", "certified"]  # fmt: skip
    pages: list[str] = []
    after: str | None = ""
    while after is not None:
        page = a.desk.transfers(TransferOptions(limit=1, after=after))
        pages += [row.id for row in page.transfers]
        after = page.next
    assert pages == ids
    refused = a.desk.transfers(TransferOptions(status="refused")).transfers
    assert [row.id for row in refused] == [ids[1], ids[3]]


async def test_an_arbiter_of_another_coop_confirms_and_the_payers_coop_pays(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, _d = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await c.member("Judge")
    await agreed(net.nodes)
    (judge,) = [r for r in c.desk.accounts(AccountOptions()).accounts if r.name == "Judge"]
    held = await a.pay(ana, bo, 20, hold=terms(net, arbiter=judge.keys[0]))
    await agreed(net.nodes)
    told = await c.desk.confirm(held.id, shapes.ConfirmRequest(wait_s=30))
    assert told.reason == "confirmed" and told.facts["acknowledged"] >= 3
    await until(lambda: b.balance(bo) == 20, "the payer's coop has posted it")


async def test_a_delegate_pays_within_the_mandate_and_no_further(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    given = await a.desk.give_mandate(
        ana,
        shapes.SpendingMandateRequest(
            allowances=[shapes.Allowance("50 min", "heure")], delegate=bo.partition(":")[2],
            wait_s=30,
        ),
    )  # fmt: skip
    assert given.status == "certified" and given.mandate
    paid = await a.pay(ana, bo, 30, mandate=given.mandate)
    assert paid.status == "certified" and a.balance(bo) == 30
    more = await a.pay(ana, bo, 30, mandate=given.mandate)
    assert (more.status, more.reason) == ("refused", "mandate_exhausted")
    assert more.facts["available"] == 20
    ended = await a.desk.revoke_mandate(ana, given.mandate[:12])
    assert ended.status == "certified"
    with pytest.raises(AskingError):
        await a.pay(ana, bo, 1, mandate=given.mandate)
    assert a.balance(bo) == 30


async def test_what_was_paid_is_sent_back_and_the_statement_tells_both(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    paid = await a.pay(ana, bo, 45, memo="Cours de tricot", category="textile")
    await until(lambda: b.balance(bo) == 45, "it has arrived")
    await agreed(net.nodes)
    back = await b.desk.reverse(paid.id, shapes.ReverseRequest(wait_s=30))
    assert back.status == "certified"
    await until(lambda: a.balance(ana) == 0, "it is back")
    page = a.desk.statement(ana, StatementOptions())
    assert [(line.amount, line.balance, line.direction) for line in page.lines] == [
        (-45, -45, "out"), (45, 0, "in")]  # fmt: skip
    assert (page.lines[0].memo, page.lines[0].category) == ("Cours de tricot", "textile")
    assert [row.balance for row in page.opening if row.code == "heure"] == [0]
    one = a.desk.statement(ana, StatementOptions(limit=1))
    assert one.next is not None and len(one.lines) == 1
    two = a.desk.statement(ana, StatementOptions(limit=1, after=one.next))
    assert [line.id for line in one.lines + two.lines] == [line.id for line in page.lines]
    # A place is one of the account's own: no cursor leads to another's lines.
    other = await a.member("Cléo")
    for place in (b"", b"\0" * 64, b"\0" * 10, bytes.fromhex(ana.replace(":", ""))):
        after = cursors.written("statement", place)
        assert not a.desk.statement(other, StatementOptions(after=after)).lines
    listed = a.desk.transfers(TransferOptions()).transfers
    assert {row.id for row in listed} == {paid.id, back.id}


async def test_a_unit_that_only_counts_has_no_balance_in_a_statement(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    assert (await a.pay(ana, bo, 30)).status == "certified"
    done = await a.desk.transfer(
        shapes.TransferRequest(from_=ana, to=bo, amount=1, unit="visite", wait_s=30)
    )
    assert done.status == "certified"
    page = a.desk.statement(ana, StatementOptions())
    assert [(line.code, line.balance, line.balance_text) for line in page.lines] == [
        ("heure", -30, "-30 min"), ("visite", None, "")]  # fmt: skip
    assert "visite" not in {entry.code for entry in (*page.opening, *page.closing)}


async def test_what_no_reader_accepts_is_refused_in_words_that_say_why(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    before = a.heads()
    with pytest.raises(AskingError, match="public code"):
        await a.pay(ana, bo, 5, category="two words")
    with pytest.raises(AskingError, match="end before it begins"):
        await a.desk.give_mandate(
            ana,
            shapes.SpendingMandateRequest(
                allowances=[shapes.Allowance(5, "heure")], delegate=bo.partition(":")[2],
                end=net.time() - 1, wait_s=30,
            ),
        )  # fmt: skip
    assert a.heads() == before and not list(a.runner.machine.queue)


async def test_a_key_that_is_none_never_reaches_the_chain(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    before = a.heads()
    for ask in (
        a.desk.recover(ana, shapes.RecoverRequest(key="00" * 32)),
        a.desk.keys(ana, shapes.KeysRequest(add="00" * 32)),
        a.desk.open_account(shapes.AccountRequest(kind="group", name="G", key="00" * 32)),
        a.pay(ana, bo, 1, hold=terms(net, arbiter="00" * 32)),
    ):
        with pytest.raises(BadKey):
            await ask
    assert a.heads() == before and len(a.runner.machine.queue) == 0
    assert (await a.pay(ana, bo, 1)).status == "certified"


async def test_keys_are_added_and_a_lost_one_recovered(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana = await a.member("Ana")
    placed = await a.desk.recover(ana, shapes.RecoverRequest(wait_s=30))
    assert placed.status == "certified"
    (row,) = [r for r in a.desk.accounts(AccountOptions()).accounts if r.name == "Ana"]
    assert len(row.pending_keys) == 1 and len(row.keys) == 1
    cancelled = await a.desk.keys(ana, shapes.KeysRequest(cancel=True, wait_s=30))
    assert cancelled.status == "certified"
    (row,) = [r for r in a.desk.accounts(AccountOptions()).accounts if r.name == "Ana"]
    assert row.pending_keys == []


async def test_nobody_is_paid_from_an_account_that_is_not_there(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana = await a.member("Ana")
    with pytest.raises(NoSuchAccount):
        await a.pay("Zoe", ana, 1)
    with pytest.raises(NoSuchCoop):
        await a.pay(ana, f"{'ab' * 32}:{'cd' * 16}", 1)
    assert len(a.runner.machine.queue) == 0


async def test_an_export_is_carried_on_and_an_auditor_finds_it_good(
    net: LedgerNet, autojump_clock: object, tmp_path: Path
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    await a.pay(ana, bo, 45)
    folder = tmp_path / "export"
    first = await a.desk.export(shapes.ExportRequest(directory=str(folder)))
    assert first.blocks >= 4
    await a.pay(ana, bo, 5)
    await until(lambda: b.balance(bo) == 50, "it has arrived")
    await agreed(net.nodes)
    second = await a.desk.export(shapes.ExportRequest(directory=str(folder)))
    assert 0 < second.blocks < 5, "only what is new"
    assert sum(name.startswith("heads/") for name in second.files) == 4
    assert sum("checkpoint" in name for name in second.files) == 1
    assert (await a.desk.verify()).good
    with pytest.raises(LocalError):
        await a.desk.export(shapes.ExportRequest(directory="/proc/nowhere"))
