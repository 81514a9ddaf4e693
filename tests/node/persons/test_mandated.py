"""Who may act for somebody signs with their own key: a mandate opens nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from maillon.node.api import groups_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller, Forbidden
from support.ledgernet import LedgerNet
from support.persons import OPERATOR, PersonsTestNode, persons_net

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


def helper_of(node: PersonsTestNode, helper: str, *principals: str) -> Caller:
    """Return somebody signed in whom others have let act for them, in whatever."""
    authors = frozenset(node.author_of(account) for account in principals)
    return replace(node.caller(helper), mandated=lambda: authors)


async def test_a_helper_signs_nothing_with_the_key_of_who_let_them(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, hel = await a.holder("Ana"), await a.holder("Hel")
    caller = helper_of(a, hel, ana)
    person = ana.partition(":")[2]
    with pytest.raises(Forbidden):
        await a.persons.issue_book(
            caller, shapes.BookRequest(account=ana, unit="heure", count=1)
        )
    assert a.persons.books(OPERATOR, "").books == []
    with pytest.raises(Forbidden):
        await a.persons.found_group(
            caller,
            groups_shapes.GroupRequest(
                founder=person, name="Us", signatures=1, split="shares",
                members=[
                    groups_shapes.GroupMember(a.author_of(ana).hex(), 1),
                    groups_shapes.GroupMember(a.author_of(hel).hex(), 1),
                ],
            ),
        )  # fmt: skip
    assert a.persons.groups(OPERATOR).groups == []
    with pytest.raises(Forbidden):
        a.persons.prepare_move(
            caller, person, shapes.MoveRequest(to_coop=_rest[0].coop.hex(), with_key=True)
        )
    assert a.persons.moves(OPERATOR).moves == []
    with pytest.raises(Forbidden):
        await a.persons.export_person(caller, person)
    key = a.persons.person(OPERATOR, person).devices[0].key
    with pytest.raises(Forbidden):
        await a.persons.remove_device(
            caller, person, key, shapes.RemoveDeviceRequest(reason="lost")
        )
    assert [d.status for d in a.persons.person(OPERATOR, person).devices] == ["active"]
    # The very same is hers to do.
    made = await a.persons.issue_book(
        a.caller(ana), shapes.BookRequest(account=ana, unit="heure", count=1)
    )
    assert made.count == 1
