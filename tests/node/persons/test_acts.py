"""What helpers do is shown to the person: records and orders, of delegates of any coop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.node.api import ledger_shapes
from maillon.node.api.caller import Forbidden
from maillon.node.api.persons_service import ActOptions
from maillon.protocol.envelope import draft
from maillon.protocol.errors import MaillonError
from maillon.protocol.records import DAY_S, build, thing_id
from support.ledgernet import LedgerNet, agreed
from support.persons import OPERATOR, PersonsTestNode, persons_net

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


def person_of(account: str) -> bytes:
    return bytes.fromhex(account.partition(":")[2])


def mandate(
    a: PersonsTestNode, account: str, b: PersonsTestNode, helper: str, kinds: list[str]
) -> bytes:
    """Let somebody of another coop act for a member; return what `as` names it by."""
    key = a.persons.writer.held_signer(person_of(account))
    acting = b.persons.writer.held_signer(person_of(helper))
    assert key is not None and acting is not None
    made = a.persons.writer.draft(
        "mandate",
        {
            "delegate_key": acting.public,
            "delegate_coop": b.coop,
            "kinds": kinds,
            "start": a.time(),
            "end": a.time() + 30 * DAY_S,
        },
        key.public,
        a.author_of(account),
    )
    a.author(made, key)
    return thing_id(a.author_of(account), made.header.series)


def demand(b: PersonsTestNode, helper: str, as_: bytes, title: str, kind: str = "demand") -> bytes:
    """Publish something under the mandate; return the record's id."""
    key = b.persons.writer.held_signer(person_of(helper))
    assert key is not None
    payload = build(
        kind,
        salt=b.random(16),
        title=title,
        lang="fr",
        categories=["courses"],
        mode=["at_home"],
        reciprocity={"kind": "gift"},
    )
    made = draft(
        kind, payload, fed=b.founding.fed, coop=b.coop, by=key.public, at=b.time(),
        until=b.time() + DAY_S, series=b.random(16), as_=as_,
    )  # fmt: skip
    return b.author(made, key).id


async def test_every_act_of_a_helper_of_another_coop_is_listed(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, _c) = net
    ana, hal = await a.holder("Ana"), await b.holder("Hal")
    bo = await a.holder("Bo")
    await agreed([a, b])
    as_ = mandate(a, ana, b, hal, ["demand"])
    first = demand(b, hal, as_, "Courses du mardi")
    world.skew += 60
    acting = b.persons.writer.held_signer(person_of(hal))
    assert acting is not None
    spending = await a.desk.give_mandate(
        ana,
        ledger_shapes.SpendingMandateRequest(
            allowances=[ledger_shapes.Allowance(100, "heure")], key=acting.public.hex(), wait_s=60
        ),
    )
    world.skew += 60
    # The helper's own node signs the order and hands it over.
    from maillon.ledger.orders import PayAction, sign_order

    account = a.persons.accounts.account(person_of(ana))
    assert account is not None
    action = PayAction(a.coop, person_of(bo), 0, 40)
    order = sign_order(
        acting, a.founding.fed, account.id, account.seq + 1, a.coop, b.time() + DAY_S, action,
        mandate=bytes.fromhex(spending.mandate),
    )  # fmt: skip
    placed = await a.desk.signed(
        ledger_shapes.SignedRequest(order=order.encode().hex(), wait_s=60)
    )
    assert placed.status == "certified"
    await a.pay(ana, bo, 5)  # her own: not an act of a helper
    listed = a.persons.acts(a.caller(ana), person_of(ana).hex(), ActOptions())
    assert [(act.what, act.title, act.amount) for act in listed.acts] == [
        ("pay", "", 40),
        ("demand", "Courses du mardi", None),
    ]
    paid, said = listed.acts
    assert (said.id, said.mandate, said.delegate_coop) == (
        first.hex(), as_.hex(), b.coop.hex(),
    )  # fmt: skip
    assert paid.mandate == spending.mandate and paid.delegate_key == acting.public.hex()
    page = a.persons.acts(OPERATOR, person_of(ana).hex(), ActOptions(limit=1))
    assert page.next is not None and page.acts[0].id == paid.id
    rest = a.persons.acts(OPERATOR, person_of(ana).hex(), ActOptions(limit=1, after=page.next))
    assert [act.id for act in rest.acts] == [said.id] and rest.next is None
    only = a.persons.acts(
        OPERATOR, person_of(ana).hex(), ActOptions(mandate=spending.mandate[:8])
    )
    assert [act.what for act in only.acts] == ["pay"]
    receipt = a.persons.acts_receipt(OPERATOR, person_of(ana).hex(), ActOptions(lang="fr"))
    assert "Courses du mardi" in receipt.html and "Courses du mardi" in receipt.text
    # Who may act, how often they did, and for whom.
    told = a.persons.mandates_of(a.caller(ana), person_of(ana).hex())
    assert [(m.mandate, m.kinds, m.acts) for m in told.given] == [
        (as_.hex(), ["demand"], 1),
        (spending.mandate, ["pay", "hold"], 1),
    ]
    assert told.given[1].allowances[0]["used"] == 40 and told.received == []
    (held,) = b.persons.mandates_of(OPERATOR, person_of(hal).hex()).received
    assert (held.mandate, held.principal) == (as_.hex(), a.author_of(ana).hex())
    with pytest.raises(Forbidden):
        a.persons.mandates_of(a.caller(bo), person_of(ana).hex())
    with pytest.raises(Forbidden):
        a.persons.acts(a.caller(bo), person_of(ana).hex(), ActOptions())


async def test_what_is_outside_the_mandate_or_after_its_end_is_refused_and_not_listed(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, _c) = net
    ana, hal = await a.holder("Ana"), await b.holder("Hal")
    as_ = mandate(a, ana, b, hal, ["demand"])
    with pytest.raises(MaillonError) as scope:
        demand(b, hal, as_, "Une offre", kind="offer")
    assert scope.value.code == "mandate_scope"
    demand(b, hal, as_, "Courses")
    # Revoked at once: what came before stays, nothing comes after.
    world.skew += 60
    key = a.persons.writer.held_signer(person_of(ana))
    assert key is not None
    known = a.view.mandate(as_)
    assert known is not None
    old = a.store.get(known.record)
    assert old is not None and old.payload is not None
    fields = {name: value for name, value in old.payload.items() if name != "salt"}
    made = a.persons.writer.draft(
        "mandate", {**fields, "revoked": True}, key.public, a.author_of(ana),
        series=old.header.series,
    )  # fmt: skip
    a.author(made, key)
    world.skew += 60
    with pytest.raises(MaillonError) as ended:
        demand(b, hal, as_, "Encore")
    assert ended.value.code == "mandate_revoked"
    listed = a.persons.acts(OPERATOR, person_of(ana).hex(), ActOptions())
    assert [act.title for act in listed.acts] == ["Courses"]
