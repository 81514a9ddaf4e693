"""What cannot be finished is not begun: nobody is half arrived, and nobody half erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.api import ledger_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.ledger.asking import KeyElsewhere
from maillon.node.persons.errors import NotPossible
from maillon.protocol.errors import MaillonError
from support.ledgernet import LedgerNet, agreed
from support.persons import OPERATOR, PersonsTestNode, persons_net

Net = tuple[LedgerNet, list[PersonsTestNode]]
COMMONS = "0" * 32


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


def person_of(account: str) -> str:
    return account.partition(":")[2]


@pytest.mark.parametrize(
    "more",
    # The federation keeps hours and a credit: of the second, two hours are no amount.
    [{"limit": "2h"}, {"limits": {"sel": "2h"}}, {"limits": {"nothing": "2"}}],
    ids=["every unit", "one unit", "no unit"],
)
async def test_a_limit_that_cannot_be_read_lets_nobody_arrive_half_way(
    net: Net, more: dict[str, Any], autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    ana = await a.holder("Ana")
    await agreed([a, b])
    made = a.persons.prepare_move(
        OPERATOR, person_of(ana), shapes.MoveRequest(to_coop=b.coop.hex())
    )
    asked: dict[str, Any] = {
        "ticket": made.ticket,
        "name": "Ana Nouvelle",
        "code": made.code,
        "wait_s": 60,
    }
    people, records, heads = len(b.register.people()), b.store.count_live(), b.heads()
    with pytest.raises(MaillonError):
        await b.persons.arrive(OPERATOR, shapes.ArrivalRequest(**asked, **more))
    assert (len(b.register.people()), b.store.count_live()) == (people, records)
    assert b.heads() == heads
    await a.persons.work()
    assert a.persons.moves(OPERATOR).moves[0].status == "prepared"
    # Said rightly, the same ticket completes it, once.
    limits: dict[str, int | str] = {"heure": "2h", "sel": "3"}
    request = shapes.ArrivalRequest(**asked, limits=limits)
    there = await b.persons.arrive(OPERATOR, request)
    again = await b.persons.arrive(OPERATOR, request)
    assert there.status == again.status == "certified" and there.person == again.person
    assert len(b.register.people()) == people + 1
    account = b.persons.accounts.account(bytes.fromhex(there.person))
    assert account is not None
    units = b.persons.accounts.asking.units
    given = {units.unit(u).code: p.limit for u, p in account.positions.items() if p.limit}
    assert given == {"heure": 120, "sel": units.parse(1, "3")}


async def test_nothing_is_settled_for_somebody_whose_account_cannot_close(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.desk.limit(COMMONS, ledger_shapes.LimitRequest(limit=1_000, unit="heure", wait_s=60))
    await a.pay(ana, pat, 30)
    request = shapes.EraseRequest(confirm=person_of(ana), settle_to_commons=True, wait_s=60)

    async def refused(word: str) -> None:
        heads = a.heads()
        with pytest.raises(NotPossible) as why:
            await a.persons.erase_person(OPERATOR, person_of(ana), request)
        assert word in str(why.value)
        assert a.heads() == heads and a.balance(ana) == -30
        assert a.register.name_of(bytes.fromhex(person_of(ana))) == "Ana"

    # Something is reserved on it.
    held = await a.desk.transfer(
        ledger_shapes.TransferRequest(
            to=pat, amount=5, unit="heure", from_=person_of(ana), wait_s=60,
            hold=ledger_shapes.HoldTerms(expiry=a.time() + 600),
        )
    )  # fmt: skip
    assert held.status == "held", held
    await refused("reserved on")
    await a.desk.release(held.id, ledger_shapes.ReleaseRequest(wait_s=60))
    # A new key of a device waits for its day.
    new = b.keys.node.public
    await a.desk.recover(person_of(ana), ledger_shapes.RecoverRequest(key=new.hex(), wait_s=60))
    await refused("new key")
    await a.desk.keys(person_of(ana), ledger_shapes.KeysRequest(cancel=True, wait_s=60))
    assert (await a.persons.erase_person(OPERATOR, person_of(ana), request)).done


async def test_nothing_is_settled_in_one_unit_when_a_device_has_to_sign_for_another(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.desk.limit(COMMONS, ledger_shapes.LimitRequest(limit=1_000, unit="heure", wait_s=60))
    await a.pay(ana, pat, 30)
    await a.desk.transfer(
        ledger_shapes.TransferRequest(to=ana, amount=5, unit="sel", from_=person_of(pat), wait_s=60)
    )
    for row in a.register.keys_of(bytes.fromhex(person_of(ana))):
        a.register.drop_secret(row.public)
    heads = a.heads()
    request = shapes.EraseRequest(confirm=person_of(ana), settle_to_commons=True, wait_s=60)
    with pytest.raises(KeyElsewhere):
        await a.persons.erase_person(OPERATOR, person_of(ana), request)
    assert a.heads() == heads and a.balance(ana) == -30
