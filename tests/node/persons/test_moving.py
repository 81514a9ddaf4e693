"""Moving: another coop, the same key, history and balance along, from wherever it broke off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.node.api import ledger_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.persons.errors import NotPossible
from maillon.protocol.cards import TextDamaged
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.moving import past, present
from maillon.protocol.records import DAY_S
from support.ledgernet import LedgerNet, agreed, until
from support.persons import OPERATOR, PersonsTestNode, persons_net, restart

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


def person_of(account: str) -> str:
    return account.partition(":")[2]


def ticket(a: PersonsTestNode, b: PersonsTestNode, account: str) -> shapes.Move:
    return a.persons.prepare_move(
        OPERATOR, person_of(account), shapes.MoveRequest(to_coop=b.coop.hex())
    )


async def arrive(
    b: PersonsTestNode, made: shapes.Move, limit: int = 0, name: str = "Ana Nouvelle"
) -> shapes.Arrived:
    return await b.persons.arrive(
        OPERATOR,
        shapes.ArrivalRequest(
            ticket=made.ticket, name=name, code=made.code, limit=limit, wait_s=60
        ),
    )


def status(a: PersonsTestNode) -> str:
    return a.persons.moves(OPERATOR).moves[0].status


async def test_a_person_moves_with_key_balance_and_history(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, _c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.pay(pat, ana, 75)
    await agreed([a, b])
    made = ticket(a, b, ana)
    assert (made.status, bool(made.ticket), made.code in made.html) == ("prepared", True, False)
    there = await arrive(b, made)
    assert there.status == "certified" and there.from_author == a.author_of(ana).hex()
    await until(lambda: status(a) == "closed", "everything is done")
    await until(lambda: b.balance(there.account) == 75, "the balance is there")
    old, new = a.author_of(ana), bytes.fromhex(there.author)
    moves = list(b.store.by_kinds(("move",)))
    # What was said of the person before counts for who they are now.
    assert present(old, moves) == new and past(new, moves) == (old,)
    closed = a.persons.accounts.account(bytes.fromhex(person_of(ana)))
    assert closed is not None and not closed.open
    key = bytes.fromhex(there.keys[0])
    ended, valid = a.view.membership(a.coop, key), b.view.membership(b.coop, key)
    assert ended is not None and ended.status == "revoked"
    assert valid is not None and valid.status == "active"
    # The key is held at the new coop, and at the old one no more.
    assert b.register.held_key(key).public == key
    with pytest.raises(MaillonError):
        a.register.held_key(key)
    shown = b.persons.person(OPERATOR, there.person)
    assert shown.moved_from == [old.hex()]
    assert a.persons.person(OPERATOR, person_of(ana)).moved_to == new.hex()
    # She pays with the same key from the new account.
    back = await b.pay(there.account, pat, 5)
    assert back.status == "certified" and world


async def test_what_is_owed_comes_along(net: Net, autojump_clock: object) -> None:
    _, (a, b, _c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.pay(ana, pat, 50)
    await agreed([a, b])
    there = await arrive(b, ticket(a, b, ana), limit=100)
    await until(lambda: status(a) == "closed", "settled from the new account")
    assert b.balance(there.account) == -50 and a.balance(pat) == 50
    assert a.balance(ana) == 0


@pytest.mark.parametrize("when", ["prepared", "arrived", "declared", "balanced"])
async def test_a_move_goes_on_from_wherever_it_was_interrupted(
    net: Net, when: str, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.pay(pat, ana, 30)
    await agreed([a, b])
    made = ticket(a, b, ana)
    if when != "prepared":
        world.cut(b) if when == "arrived" else None
        there = await arrive(b, made) if when != "arrived" else await _alone(b, made)
        if when in ("declared", "balanced"):
            # Without the others no order of the balance, or no closing, gets certified.
            world.cut(b, c)
            await a.persons.work()
    a.stop()
    b.stop()
    await restart(world, a)
    await restart(world, b)
    world.heal()
    for node in (a, b):
        node.catch_up()
    there = await arrive(b, made)
    await until(lambda: status(a) == "closed", f"done after {when}")
    await until(lambda: b.balance(there.account) == 30, "once")
    assert len([p for p in b.register.people() if p.name == "Ana Nouvelle"]) == 1
    assert len(list(a.store.by_kinds(("move",)))) == 1


async def _alone(b: PersonsTestNode, made: shapes.Move) -> shapes.Arrived:
    return await b.persons.arrive(
        OPERATOR,
        shapes.ArrivalRequest(ticket=made.ticket, name="Ana Nouvelle", code=made.code, wait_s=0),
    )


async def test_a_ticket_opens_one_coops_door_and_only_whole(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana = await a.holder("Ana")
    made = ticket(a, b, ana)
    people = len(b.register.people())
    with pytest.raises(NotPossible):
        await arrive(c, made)
    text = made.ticket
    with pytest.raises(TextDamaged):
        await b.persons.arrive(
            OPERATOR,
            shapes.ArrivalRequest(ticket=text[:-1] + ("A" if text[-1] != "A" else "B"), name="X"),
        )
    with pytest.raises(NotPossible):
        await b.persons.arrive(OPERATOR, shapes.ArrivalRequest(ticket=text, name="X"))
    wrong = ticket(a, b, ana).code
    with pytest.raises(MaillonError):
        await b.persons.arrive(
            OPERATOR, shapes.ArrivalRequest(ticket=text, name="X", code=wrong)
        )
    with pytest.raises(NotPossible):
        ticket(a, a, ana)
    assert len(b.register.people()) == people
    a.persons.cancel_move(OPERATOR, person_of(ana))
    assert status(a) == "cancelled"
    world.skew += 91 * DAY_S
    with pytest.raises(NotPossible):
        await arrive(b, made)
    open_one = a.persons.accounts.account(bytes.fromhex(person_of(ana)))
    assert open_one is not None and open_one.open


async def test_a_device_signs_its_own_move(net: Net, autojump_clock: object) -> None:
    """Nothing of the key passes through a node; what is to be signed is asked for."""
    from maillon.ledger import signing
    from maillon.ledger.orders import Order
    from maillon.protocol.claims import TICKET_PURPOSE, Ticket, ticket_text
    from maillon.protocol.envelope import Signed, decode_record

    _, (a, b, _c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.pay(pat, ana, 20)
    person = bytes.fromhex(person_of(ana))
    key = a.register.held_key(a.register.keys_of(person)[0].public)
    a.register.drop_secret(key.public)
    await agreed([a, b])
    made = a.persons.prepare_move(
        a.caller(ana), person_of(ana), shapes.MoveRequest(to_coop=b.coop.hex())
    )
    assert made.ticket == ""
    info = a.view.membership(a.coop, key.public)
    assert info is not None
    bare = Ticket(
        a.founding.fed, a.author_of(ana), b.coop, key.public, info.sealing, a.time(), a.time() + 60
    )
    own = Ticket(
        bare.fed, bare.author, bare.to_coop, bare.key, bare.sealing, bare.at, bare.until,
        key.sign(TICKET_PURPOSE, bare.body()),
    )  # fmt: skip
    there = await b.persons.arrive(
        OPERATOR,
        shapes.ArrivalRequest(ticket=ticket_text(own.encode(), b""), name="Ana", wait_s=60),
    )
    await until(lambda: status(a) == "arrived", "the record is missing")
    (wanted,) = a.persons.moves(a.caller(ana)).moves[0].to_sign
    header = bytes.fromhex(wanted.body)
    signature = key.sign("record", header)
    frame = b"\x93" + b"".join(
        _bin(part) for part in (header, signature, bytes.fromhex(wanted.payload))
    )
    assert isinstance(decode_record(frame), Signed)
    a.submit(frame)
    await until(lambda: status(a) == "declared", "now the balance")
    (order,) = a.persons.moves(a.caller(ana)).moves[0].to_sign
    body = bytes.fromhex(order.body)
    signed = Order(body, key.public, b"", signing.sign(key, signing.ORDER, a.founding.fed, body))
    placed = await a.desk.signed(
        ledger_shapes.SignedRequest(order=signed.encode().hex(), wait_s=60)
    )
    assert placed.status == "certified"
    await until(lambda: status(a) == "closed", "done")
    await until(lambda: b.balance(there.account) == 20, "and there")


async def test_nobody_leaves_before_what_they_agreed_to_is_over(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.pay(pat, ana, 30)
    await agreed([a, b])
    a.binding[a.author_of(ana)] = 1
    there = await arrive(b, ticket(a, b, ana))
    await until(lambda: a.persons.moves(OPERATOR).moves[0].detail == "exchanges", "it waits")
    # Until then she has her balance where she needs it, and pays as before.
    assert (status(a), a.balance(ana)) == ("declared", 30)
    assert (await a.pay(ana, pat, 10)).status == "certified"
    a.binding.clear()
    await until(lambda: status(a) == "closed", "now she goes")
    await until(lambda: b.balance(there.account) == 20, "with what is left")


async def test_what_comes_in_after_the_balance_went_is_paid_on(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await agreed([a, b])
    a.binding[a.author_of(ana)] = 1
    there = await arrive(b, ticket(a, b, ana))
    await until(lambda: status(a) == "declared", "it stands")
    # The account was empty, and had to be closed next.
    a.persons.disk.run("UPDATE move SET status = 'balanced'")
    await a.pay(pat, ana, 30)
    a.binding.clear()
    await until(lambda: status(a) == "closed", "closed all the same")
    await until(lambda: b.balance(there.account) == 30, "and nothing is left behind")


async def test_a_coop_that_forgot_an_arrival_takes_the_same_ticket_for_the_same_person(
    net: Net, autojump_clock: object
) -> None:
    _, (a, b, _c) = net
    ana = await a.holder("Ana")
    await agreed([a, b])
    made = ticket(a, b, ana)
    there = await arrive(b, made)
    await until(lambda: status(a) == "closed", "moved")
    # As after a copy was put back that is older than the arrival.
    b.register.forget_person(bytes.fromhex(there.person))
    b.persons.disk.run("DELETE FROM arrival")
    again = await arrive(b, made)
    assert (again.person, again.account) == (there.person, there.account)
    assert b.register.held_key(bytes.fromhex(there.keys[0])).public.hex() == there.keys[0]
    assert [person.id for person in b.register.people() if person.name == "Ana Nouvelle"] == [
        bytes.fromhex(there.person)
    ]


@pytest.mark.parametrize("copy", ["knew nothing", "knew of another", "had her cancelled"])
async def test_a_copy_that_has_forgotten_a_declared_move_brings_it_to_its_end(
    net: Net, copy: str, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    ana, pat = await a.holder("Ana"), await a.holder("Pat")
    await a.pay(pat, ana, 30)
    await agreed([a, b])
    a.binding[a.author_of(ana)] = 1
    there = await arrive(b, ticket(a, b, ana))
    await until(lambda: a.persons.moves(OPERATOR).moves[0].detail == "exchanges", "declared")
    # As after a copy was put back that is older than the ticket.
    if copy == "knew nothing":
        a.persons.disk.run("DELETE FROM move")
    else:
        before = "prepared" if copy == "knew of another" else "cancelled"
        a.persons.disk.run(
            "UPDATE move SET status = ?, to_coop = ?, to_author = ?", before, c.coop, b""
        )
    a.stop()
    await restart(world, a)
    a.catch_up()
    await until(
        lambda: [move.status for move in a.persons.moves(OPERATOR).moves] == ["declared"],
        "the record is public",
    )
    assert a.balance(ana) == 30
    a.binding.clear()
    await until(lambda: status(a) == "closed", "she goes")
    await until(lambda: b.balance(there.account) == 30, "with what she has")
    key = a.view.membership(a.coop, bytes.fromhex(there.keys[0]))
    assert key is not None and key.status == "revoked"
    assert len(list(a.store.by_kinds(("move",)))) == 1


async def test_a_key_that_a_copy_brings_back_of_who_has_left_is_forgotten_again(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, _c) = net
    ana = await a.holder("Ana")
    person = bytes.fromhex(person_of(ana))
    await agreed([a, b])
    (key,) = a.register.keys_of(person)
    secrets = a.register.held_secrets(key.public)
    await arrive(b, ticket(a, b, ana))
    await until(lambda: status(a) == "closed", "moved")
    a.persons.disk.run("DELETE FROM move")
    a.register.forget_person(person)
    a.register.add_person(person, "Ana", "", a.time())
    seeds = SigningKey.from_seed(secrets[:32]), SealingKey.from_seed(secrets[32:])
    a.register.add_key(person, key.public, key.sealing, "node", a.time(), seeds)
    a.stop()
    await restart(world, a)
    await until(lambda: bool(a.persons.moves(OPERATOR).moves), "found")
    await until(lambda: status(a) == "closed", "and done")
    assert not a.register.keys_of(person)[0].held


async def test_a_finished_move_is_not_taken_up_again_and_nobody_else_moves(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, _c) = net
    ana = await a.holder("Ana")
    await agreed([a, b])
    there = await arrive(b, ticket(a, b, ana))
    await until(lambda: status(a) == "closed", "moved")
    a.persons.disk.run("DELETE FROM move")
    for node in (a, b):
        node.stop()
        await restart(world, node)
        await node.persons.work()
        assert node.persons.moves(OPERATOR).moves == []
    info = b.view.membership(b.coop, bytes.fromhex(there.keys[0]))
    assert info is not None and info.status == "active"


def _bin(data: bytes) -> bytes:
    if len(data) < 256:
        return b"\xc4" + bytes([len(data)]) + data
    return b"\xc5" + len(data).to_bytes(2, "big") + data
