"""Groups: payments split to the minor unit once, orders only with enough approvals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.node.api import groups_shapes as group_shapes
from maillon.node.api import ledger_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Forbidden
from maillon.node.ledger.asking import KeyElsewhere
from maillon.node.persons.errors import NotFound, NotPossible
from maillon.protocol.envelope import sign
from support.ledgernet import LedgerNet, agreed, until
from support.persons import OPERATOR, PersonsTestNode, persons_net, restart

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


async def founded(
    a: PersonsTestNode, members: list[tuple[PersonsTestNode, str]], signatures: int = 2,
    split: str = "shares",
) -> group_shapes.Group:  # fmt: skip
    shares = (3, 2, 1)
    return await a.persons.found_group(
        OPERATOR,
        group_shapes.GroupRequest(
            name="Jardins à trois",
            founder=members[0][1].partition(":")[2],
            members=[
                group_shapes.GroupMember(node.author_of(who).hex(), share)
                for (node, who), share in zip(members, shares, strict=False)
            ],
            signatures=signatures,
            split=split,
            wait_s=60,
        ),
    )


async def three(
    net: Net, split: str = "shares"
) -> tuple[PersonsTestNode, PersonsTestNode, list[str], group_shapes.Group]:
    """Return a group of two people of one coop and one of another, that counts."""
    _, (a, b, _c) = net
    ana, bo, eve = await a.holder("Ana"), await a.holder("Bo"), await b.holder("Eve")
    await agreed([a, b])
    made = await founded(a, [(a, ana), (a, bo), (b, eve)], split=split)
    assert not made.counts
    consent = group_shapes.ConsentRequest(a.author_of(bo).hex())
    told = a.persons.consent(OPERATOR, made.group, consent)
    assert [part.consents for part in told.members] == [True, True, False]
    # The third consents at her own coop; her record comes by gossip.
    organisation = next(
        valid for valid in b.store.by_kinds(("organisation",))
    )
    person = bytes.fromhex(eve.partition(":")[2])
    key = b.persons.writer.held_signer(person)
    assert key is not None
    part = b.persons.writer.draft(
        "organisation_part", {"organisation": organisation.thing}, key.public,
        b.author_of(eve), refs=(organisation.signed.id,),
    )  # fmt: skip
    b.author(part, key)
    whole = a.persons.group(OPERATOR, made.group)
    assert whole.counts
    return a, b, [ana, bo, eve], whole


async def test_what_comes_in_is_split_to_the_minor_unit(net: Net, autojump_clock: object) -> None:
    world, _ = net
    a, b, (ana, bo, eve), group = await three(net)
    pat = await a.holder("Pat")
    await a.pay(pat, group.account, 100)
    await until(lambda: a.balance(group.account) == 0, "all of it is given on")
    await until(lambda: b.balance(eve) == 17, "to another coop as well")
    assert (a.balance(ana), a.balance(bo)) == (50, 33)
    (split,) = a.persons.splits(OPERATOR, group.group).splits
    assert sum(part.amount for part in split.parts) == split.amount == 100
    # Nothing is split twice, whatever is started again.
    a.stop()
    await restart(world, a)
    await a.pay(pat, group.account, 1)
    await until(lambda: a.balance(ana) == 51, "the last unit goes to the largest remainder")
    assert (a.balance(bo), a.balance(group.account)) == (33, 0)
    assert len(a.persons.splits(OPERATOR, group.group).splits) == 2


async def test_a_node_that_dies_between_noting_and_paying_splits_once(
    net: Net, autojump_clock: object
) -> None:
    world, (_a, _b, c) = net
    a, b, (ana, bo, eve), group = await three(net)
    pat = await a.holder("Pat")
    world.cut(b, c)
    waits = await a.pay(pat, group.account, 60, wait_s=0)
    assert waits.status in ("waiting", "placed")
    world.heal()
    await until(lambda: a.balance(group.account) == 60 or a.balance(ana) > 0, "it came in")
    a.persons.teams.split_new()
    a.stop()
    await restart(world, a)
    await until(lambda: a.balance(group.account) == 0, "split after all")
    assert (a.balance(ana), a.balance(bo)) == (30, 20)
    await until(lambda: b.balance(eve) == 10, "and sent")


async def test_nothing_is_split_before_everybody_consents(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    ana, bo, pat = await a.holder("Ana"), await a.holder("Bo"), await a.holder("Pat")
    made = await founded(a, [(a, ana), (a, bo)])
    await a.pay(pat, made.account, 40)
    await a.persons.work()
    assert a.balance(made.account) == 40 and a.persons.splits(OPERATOR, made.group).splits == []
    with pytest.raises(NotPossible):
        await a.persons.propose_order(
            OPERATOR, made.group, group_shapes.GroupOrderRequest(to=pat, amount=5, unit="heure")
        )
    a.persons.consent(OPERATOR, made.group, group_shapes.ConsentRequest(a.author_of(bo).hex()))
    await until(lambda: a.balance(made.account) == 0, "now it is")
    assert (a.balance(ana), a.balance(bo)) == (24, 16) and b


async def test_an_order_of_the_group_needs_as_many_members_as_its_rule_says(
    net: Net, autojump_clock: object
) -> None:
    a, b, (ana, bo, eve), group = await three(net, split="performer")
    pat, zoe = await a.holder("Pat"), await a.holder("Zoe")
    await a.pay(pat, group.account, 90)
    await a.persons.work()
    assert a.balance(group.account) == 90
    # Nobody pays from it on another way: its key is with no one's keys.
    with pytest.raises(KeyElsewhere):
        await a.pay(group.account, zoe, 10)
    wish = group_shapes.GroupOrderRequest(
        to=zoe, amount=30, unit="heure", memo="une bêche", by=a.author_of(ana).hex(), wait_s=60
    )
    order = await a.persons.propose_order(a.caller(ana), group.group, wish)
    assert (order.status, order.approvals) == ("open", [a.author_of(ana).hex()])
    # The same member twice is one; strangers are none.
    twice = group_shapes.ApproveRequest(a.author_of(ana).hex(), wait_s=60)
    again = await a.persons.approve_order(a.caller(ana), group.group, order.order, twice)
    assert again.status == "open" and len(again.approvals) == 1
    with pytest.raises(NotPossible):
        await a.persons.approve_order(
            OPERATOR, group.group, order.order, group_shapes.ApproveRequest(a.author_of(pat).hex())
        )
    with pytest.raises(Forbidden):
        await a.persons.approve_order(
            a.caller(pat),
            group.group,
            order.order,
            group_shapes.ApproveRequest(a.author_of(bo).hex()),
        )
    with pytest.raises(NotFound):
        a.persons.group(a.caller(pat), group.group)
    assert a.balance(zoe) == 0
    # The second signs on her own device, at another coop.
    person = bytes.fromhex(eve.partition(":")[2])
    key = b.persons.writer.held_signer(person)
    assert key is not None
    made = b.persons.writer.draft(
        "group_approval",
        {"group": bytes.fromhex(group.group), "order": bytes.fromhex(order.order), "yes": True},
        key.public,
        b.author_of(eve),
    )
    record = sign(made, key).encode().hex()
    done = await a.persons.approve_order(
        OPERATOR, group.group, order.order,
        group_shapes.ApproveRequest(b.author_of(eve).hex(), record, 60),
    )  # fmt: skip
    assert (done.status, a.balance(zoe), a.balance(group.account)) == ("certified", 30, 60)
    # An approval of one order approves no other.
    other = await a.persons.propose_order(OPERATOR, group.group, wish)
    with pytest.raises(NotPossible):
        await a.persons.approve_order(
            OPERATOR, group.group, other.order,
            group_shapes.ApproveRequest(b.author_of(eve).hex(), record, 60),
        )  # fmt: skip
    await a.persons.work()
    assert a.balance(zoe) == 30 and bo


async def test_what_one_member_did_is_theirs_once(net: Net, autojump_clock: object) -> None:
    a, _b, (_ana, bo, _eve), group = await three(net, split="performer")
    pat = await a.holder("Pat")
    paid = await a.pay(pat, group.account, 90)
    for _ in range(2):
        await a.persons.teams.performed(
            group.group, bytes.fromhex(paid.id), a.author_of(bo)
        )
    await until(lambda: a.balance(bo) == 90, "it is paid on")
    with pytest.raises(NotPossible):
        await a.persons.teams.performed(group.group, bytes.fromhex(paid.id), a.author_of(pat))
    await a.persons.work()
    assert (a.balance(bo), a.balance(group.account)) == (90, 0)


async def test_a_node_put_back_to_before_a_split_does_not_pay_it_again(
    net: Net, autojump_clock: object
) -> None:
    a, b, (ana, bo, eve), group = await three(net)
    pat = await a.holder("Pat")
    await a.pay(pat, group.account, 100)
    await until(lambda: b.balance(eve) == 17, "split")
    # As in a copy from before: what was noted and paid is forgotten; the chain is not.
    for statement in ("DELETE FROM payment", "DELETE FROM split", "UPDATE team SET read = ''"):
        a.persons.disk.run(statement)
    await a.pay(pat, group.account, 60)
    await until(lambda: b.balance(eve) == 27, "the second one is split as well")
    assert (a.balance(ana), a.balance(bo), a.balance(group.account)) == (80, 53, 0)


async def test_the_part_of_a_member_who_has_moved_goes_where_they_are(
    net: Net, autojump_clock: object
) -> None:
    a, b, (ana, bo, _eve), group = await three(net)
    pat = await a.holder("Pat")
    made = a.persons.prepare_move(
        OPERATOR, bo.partition(":")[2], shapes.MoveRequest(to_coop=b.coop.hex())
    )
    there = await b.persons.arrive(
        OPERATOR,
        shapes.ArrivalRequest(ticket=made.ticket, name="Bo", code=made.code, wait_s=60),
    )
    await until(lambda: a.persons.moves(OPERATOR).moves[0].status == "closed", "he moved")
    await a.pay(pat, group.account, 60)
    await until(lambda: b.balance(there.account) == 20, "his part follows him")
    assert a.balance(ana) == 30


async def test_a_payment_that_all_approve_and_nothing_covers_says_why_and_is_made_later(
    net: Net, autojump_clock: object
) -> None:
    # All that comes in is split: nothing is left that the group could give.
    a, b, (ana, _bo, eve), group = await three(net)
    pat, zoe = await a.holder("Pat"), await a.holder("Zoe")
    wish = group_shapes.GroupOrderRequest(
        to=zoe, amount=20, unit="heure", by=a.author_of(ana).hex(), wait_s=60
    )
    order = await a.persons.propose_order(a.caller(ana), group.group, wish)
    assert (order.status, order.reason, order.detail) == ("open", "", "")
    person = bytes.fromhex(eve.partition(":")[2])
    key = b.persons.writer.held_signer(person)
    assert key is not None
    fields = {
        "group": bytes.fromhex(order.group), "order": bytes.fromhex(order.order), "yes": True
    }  # fmt: skip
    made = b.persons.writer.draft("group_approval", fields, key.public, b.author_of(eve))
    record = sign(made, key).encode().hex()
    last = await a.persons.approve_order(
        OPERATOR, group.group, order.order,
        group_shapes.ApproveRequest(b.author_of(eve).hex(), record, 60),
    )  # fmt: skip
    assert (last.status, len(last.approvals), last.needed) == ("open", 2, 2)
    assert last.reason == "over_limit" and "more than the account can spend" in last.detail
    assert a.balance(zoe) == 0 and a.balance(group.account) == 0
    listed = a.persons.group_orders(OPERATOR, group.group).orders[0]
    assert (listed.reason, listed.detail) == (last.reason, last.detail)
    # The group gets a limit: what was approved is paid, and no reason stays.
    await a.desk.limit(
        group.account.partition(":")[2],
        ledger_shapes.LimitRequest(limit=60, unit="heure", wait_s=60),
    )
    await a.persons.work()
    await until(lambda: a.balance(zoe) == 20, "it is paid after all")
    await a.persons.work()
    paid = a.persons.group_orders(OPERATOR, group.group).orders[0]
    assert (paid.status, paid.reason, paid.detail) == ("certified", "", "") and pat
