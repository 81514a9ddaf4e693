"""A group whose payments go to whoever did the work: somebody has to say who that was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.node.api import groups_shapes as shapes
from maillon.node.persons.errors import NotFound, NotPossible
from support.ledgernet import LedgerNet, agreed, until
from support.persons import OPERATOR, PersonsTestNode, persons_net

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


async def two(
    a: PersonsTestNode, *, signatures: int, split: str = "performer"
) -> tuple[str, str, shapes.Group]:
    """Return two people and their group, which counts."""
    ana, bo = await a.holder("Ana"), await a.holder("Bo")
    members = [shapes.GroupMember(a.author_of(one).hex(), 1) for one in (ana, bo)]
    made = await a.persons.found_group(
        OPERATOR,
        shapes.GroupRequest(
            "Équipe", ana.partition(":")[2], members, signatures=signatures, split=split,
            wait_s=60,
        ),
    )  # fmt: skip
    told = a.persons.consent(OPERATOR, made.group, shapes.ConsentRequest(a.author_of(bo).hex()))
    assert told.counts
    return ana, bo, told


def said(a: PersonsTestNode, transfer: str, who: str) -> shapes.PerformedRequest:
    return shapes.PerformedRequest(transfer, a.author_of(who).hex())


@pytest.mark.capability("ASA-6")
async def test_what_came_in_goes_whole_to_whoever_is_said_to_have_done_the_work(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_) = net
    ana, bo, group = await two(a, signatures=1)
    pat = await a.holder("Pat")
    await agreed([a])
    paid = await a.pay(pat, group.account, 90)
    await a.persons.work()
    assert (a.balance(group.account), a.persons.splits(OPERATOR, group.group).splits) == (90, [])
    # Somebody else is not even told that there is a group.
    with pytest.raises(NotFound):
        await a.persons.performed(a.caller(pat), group.group, said(a, paid.id, pat))
    with pytest.raises(NotPossible):
        await a.persons.performed(OPERATOR, group.group, said(a, paid.id, pat))
    with pytest.raises(NotFound):
        await a.persons.performed(OPERATOR, group.group, said(a, "ab" * 32, bo))
    assert a.balance(group.account) == 90
    told = await a.persons.performed(a.caller(ana), group.group, said(a, paid.id, bo))
    assert await a.persons.performed(OPERATOR, group.group, said(a, paid.id, bo))
    await until(lambda: a.balance(bo) == 90, "it is paid on")
    (split,) = told.splits
    assert [(part.author, part.amount) for part in split.parts] == [(a.author_of(bo).hex(), 90)]
    # Said once; nobody takes it back by naming another.
    with pytest.raises(NotPossible):
        await a.persons.performed(OPERATOR, group.group, said(a, paid.id, ana))
    await a.persons.work()
    assert (a.balance(ana), a.balance(bo), a.balance(group.account)) == (0, 90, 0)


async def test_where_several_sign_the_desk_says_who_did_the_work(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_) = net
    ana, bo, group = await two(a, signatures=2)
    paid = await a.pay(await a.holder("Pat"), group.account, 60)
    with pytest.raises(NotPossible):
        await a.persons.performed(a.caller(bo), group.group, said(a, paid.id, bo))
    assert a.balance(group.account) == 60
    await a.persons.performed(OPERATOR, group.group, said(a, paid.id, bo))
    await until(lambda: (a.balance(ana), a.balance(bo)) == (0, 60), "it is paid on")


async def test_a_group_that_splits_by_shares_is_told_of_no_performer(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_) = net
    _ana, bo, group = await two(a, signatures=1, split="shares")
    paid = await a.pay(await a.holder("Pat"), group.account, 60)
    with pytest.raises(NotPossible):
        await a.persons.performed(OPERATOR, group.group, said(a, paid.id, bo))
    assert not a.persons.splits(OPERATOR, group.group).splits
