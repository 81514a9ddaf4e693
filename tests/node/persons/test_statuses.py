"""Rules by status: a volunteer is given hours and no money, on whatever way; who verified shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.ledger.orders import PayAction, sign_order
from maillon.node.api import ledger_shapes
from maillon.node.persons.errors import StatusRefused
from maillon.node.persons.settings import PersonsSettings
from maillon.node.persons.statuses import payable_kinds, require_payable, rules_with
from maillon.protocol.records import DAY_S
from support.ledgernet import LedgerNet, agreed
from support.persons import OPERATOR, PersonsTestNode, persons_net

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


def person_of(account: str) -> str:
    return account.partition(":")[2]


@pytest.mark.capability("ASA-9")
async def test_a_volunteer_is_paid_in_hours_and_in_no_credit(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    ana = await a.holder("Ana")
    val = await b.holder("Val", provider_status="volunteer", verification="self_declared")
    await agreed([a, b])
    before = a.heads()
    request = ledger_shapes.TransferRequest(
        to=val, amount=100, unit="sel", from_=person_of(ana), wait_s=60
    )
    with pytest.raises(StatusRefused) as refused:
        await a.desk.transfer(request)
    assert refused.value.facts["allowed"] == ["hours", "count"]
    # Nor by a reservation, nor by an order that was signed on a device.
    with pytest.raises(StatusRefused):
        request.hold = ledger_shapes.HoldTerms(expiry=a.time() + 600)
        await a.desk.transfer(request)
    account = a.persons.accounts.account(bytes.fromhex(person_of(ana)))
    assert account is not None
    key = a.register.held_key(account.keys[0])
    action = PayAction(b.coop, bytes.fromhex(person_of(val)), 1, 100)
    order = sign_order(
        key, a.founding.fed, account.id, account.seq + 1, a.coop, a.time() + DAY_S, action
    )
    encoded = order.encode().hex()
    with pytest.raises(StatusRefused):
        await a.desk.signed(ledger_shapes.SignedRequest(order=encoded))
    with pytest.raises(StatusRefused):
        await a.desk.signed_many(ledger_shapes.SignedRequest(orders=[encoded]))
    assert a.heads() == before and len(a.runner.machine.queue) == 0
    assert (await a.pay(ana, val, 60)).status == "certified"


@pytest.mark.capability("CAH-36")
async def test_approved_and_self_declared_are_shown_apart_with_who_verified(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    val = await a.holder("Val", provider_status="volunteer", verification="self_declared")
    pro = await a.holder(
        "Pro", provider_status="self_employed", verification="approved", verified_by=b.coop
    )
    bare = await a.holder("Bare")
    shown = {
        account: a.persons.person(OPERATOR, person_of(account)) for account in (val, pro, bare)
    }
    said = {
        account: (p.provider_status, p.verification, p.verified_by_name, p.payable)
        for account, p in shown.items()
    }
    every = ["heure", "sel", "visite"]
    assert said == {
        val: ("volunteer", "self_declared", "", ["heure", "visite"]),
        pro: ("self_employed", "approved", b.name, every),
        bare: ("", "", "", every),
    }


def test_a_coop_can_only_forbid_more_than_the_protocol() -> None:
    settings = PersonsSettings(forbidden={"volunteer": ["hours"], "employee": ["credit"]})
    rules = rules_with(settings.forbidden)
    assert payable_kinds("volunteer", rules) == ("count",)
    assert payable_kinds("employee", rules) == ("hours", "count")
    assert payable_kinds("", rules) == ("hours", "credit", "count")
    assert payable_kinds("volunteer", rules_with({"volunteer": []})) == ("hours", "count")
    with pytest.raises(StatusRefused):
        require_payable("employee", "credit", rules)
