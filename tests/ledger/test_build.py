"""Claims about making blocks of wishes, and about the lines that blocks are told in."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from maillon.ledger import merkle
from maillon.ledger.build import EntryWish, OrderWish, arrivals, build_block
from maillon.ledger.check import Checked
from maillon.ledger.entries import Limit, Post, Settle, sign_confirmation
from maillon.ledger.errors import ChainUnknown, CharterUnknown, CoopUnknown
from maillon.ledger.history import ARRIVED, BACK, BOUNCED, HOLD, PAY, POST, History, Line
from maillon.ledger.limits import BALANCE_MAX, BODY_BYTES_MAX, ENTRIES_MAX
from maillon.ledger.orders import COMMONS, NO_REF, Order, PayAction
from maillon.ledger.rowtree import RowTree
from support.accounts import COUNT, HOURS, Accounts


@pytest.fixture
def world() -> Accounts:
    world = Accounts()
    world.place(0, world.opening("ana", limit=1_000), world.opening("bob"))
    world.opened("cleo", 1, most=60)
    return world


# --- Building -----------------------------------------------------------------------------------


def test_what_is_valid_is_placed_and_each_bad_wish_refused_with_its_facts(world: Accounts) -> None:
    good = [world.pay("ana", "bob", n) for n in (1, 2)]
    greedy = world.pay("bob", "ana", 5_000)
    late = world.sign("bob", world.payment("ana", 1), until=world.time - 1)
    built = world.build(0, good[0], greedy, late, good[1])
    assert built.placed == (OrderWish(good[0]), OrderWish(good[1]))
    (one, over), (two, expired) = built.refused
    assert (one, two) == (OrderWish(greedy), OrderWish(late))
    assert over.facts["available"] == 101 and expired.code == "order_expired"
    assert built.block is not None and built.checked is not None
    assert world.book.check(built.block).block == built.block


def test_a_payment_to_a_coop_of_a_charter_that_is_yet_to_be_adopted_waits_for_it(
    world: Accounts,
) -> None:
    newcomer = world.federation.make_coop("newcomer")
    action = PayAction(newcomer.id, b"n" * 16, HOURS, 5, NO_REF, "")
    early = world.sign("ana", action)
    (refused,) = world.build(0, early).refused
    assert isinstance(refused[1], CoopUnknown)
    block = world.federation.grow(world.federation.admit(newcomer))
    world.disk.commit(world.book.apply(block, block.certificate))
    built = world.build(0, early, adopt=1)
    assert built.left == (OrderWish(early),) and not built.refused
    assert built.block is not None and built.block.header.c2 == 1
    world.certify(built.block)
    assert world.build(0, early, adopt=1).placed == (OrderWish(early),)


def test_the_same_wishes_time_and_salts_make_the_same_block(world: Accounts) -> None:
    wishes = [OrderWish(world.pay("ana", "bob", n)) for n in (1, 2, 3)]
    made = [
        build_block(
            world.book,
            world.coop(0),
            wishes,
            time=world.time,
            adopt=0,
            salt=random.Random(7).randbytes,
        ).block
        for _ in range(2)
    ]
    assert made[0] is not None and made[0] == made[1]
    assert made[1] is not None and made[0].body.encode() == made[1].body.encode()


def test_a_block_takes_so_many_entries_and_leaves_the_others_in_their_order(
    world: Accounts,
) -> None:
    orders = [world.pay("ana", "bob", 1) for _ in range(ENTRIES_MAX + 5)]
    built = world.build(0, *orders)
    assert built.block is not None and built.block.header.count == ENTRIES_MAX
    assert built.left == tuple(OrderWish(order) for order in orders[-5:])
    world.certify(built.block)
    world.place(0, *built.left)
    assert world.balance("bob") == ENTRIES_MAX + 5


def test_a_body_never_grows_beyond_its_bytes(world: Accounts) -> None:
    for _ in range(3):
        for _ in range(3):
            world.place(0, *[world.pay("ana", "cleo", 1) for _ in range(20)])
        wishes = list(arrivals(world.book, world.coop(1)))
        for limit in (2_000, 6_000, 20_000):
            built = build_block(
                world.book,
                world.coop(1),
                wishes,
                time=world.time,
                adopt=0,
                salt=world.rng.randbytes,
                body_bytes_max=limit,
            )
            assert built.block is not None and built.left
            assert len(built.block.body.encode()) <= limit
            assert (*built.placed, *built.left) == tuple(wishes)
        world.arrive(1)
        world.arrive(0)
    block = world.book.block(world.coop(1), 2)
    assert len(block.body.encode()) <= BODY_BYTES_MAX


def test_channel_numbers_and_a_holds_order_are_filled_in(world: Accounts) -> None:
    ana, cleo = world.people["ana"], world.people["cleo"]
    order = world.sign("ana", world.reservation("cleo", 4))
    sure = sign_confirmation(ana.key, world.fed, ana.coop, order.id(world.fed))
    post = Post(ana.account, order.id(world.fed), sure, 0)
    world.place(0, Limit(COMMONS, HOURS, 10, BALANCE_MAX), order, post)
    settle = Settle(COMMONS, HOURS, 3, cleo.coop, cleo.account, NO_REF, 99)
    later = world.sign("ana", world.reservation("cleo", 5))
    world.place(0, settle, later)
    sure = sign_confirmation(ana.key, world.fed, ana.coop, later.id(world.fed))
    world.place(0, Post(ana.account, later.id(world.fed), sure, 0), world.pay("ana", "cleo", 6))
    assert world.book.state(world.coop(0)).channel(world.coop(1)).sent == 4
    world.arrive(1)
    assert world.balance("cleo") == 18


def test_the_time_of_a_block_is_not_before_the_last_one(world: Accounts) -> None:
    world.time += 100
    world.place(0, world.pay("ana", "bob", 1))
    world.time -= 50
    built = world.build(0, world.sign("ana", world.payment("bob", 1), until=world.time + 50))
    assert built.block is not None and built.block.header.time == world.time + 50


def test_a_charter_or_a_chain_that_is_not_known_makes_no_block(world: Accounts) -> None:
    with pytest.raises(CharterUnknown):
        world.build(0, world.pay("ana", "bob", 1), adopt=3)
    with pytest.raises(ChainUnknown):
        build_block(world.book, bytes(32), [], time=0, adopt=0, salt=world.rng.randbytes)


def test_a_forged_order_among_good_ones_is_refused_alone(world: Accounts) -> None:
    good, bad = world.pay("ana", "bob", 1), world.pay("bob", "ana", 1)
    forged = Order(bad.body, bad.key, b"", bytes(32) + bad.signature[32:])
    built = world.build(0, forged, good)
    assert built.placed == (OrderWish(good),)
    [(wish, error)] = built.refused
    assert wish == OrderWish(forged) and error.code == "bad_signature"


def test_a_wish_names_itself_the_same_before_and_after_it_is_placed(world: Accounts) -> None:
    order = world.pay("ana", "bob", 1)
    assert OrderWish(order).id(world.fed) == order.id(world.fed)
    one = Settle(COMMONS, HOURS, 3, world.coop(0), world.people["bob"].account, NO_REF, 0)
    assert EntryWish(one).id(world.fed) != EntryWish(replace(one, amount=4)).id(world.fed)
    world.place(0, world.pay("ana", "cleo", 1), world.pay("ana", "cleo", 1))
    first, second = arrivals(world.book, world.coop(1))
    assert first.id(world.fed) != second.id(world.fed)


# --- History ------------------------------------------------------------------------------------


def told(world: Accounts, place: int) -> list[Line]:
    coop = world.coop(place)
    history = History(world.fed, coop, {COUNT})
    replayed = world.book.replay(coop, world.book.head(coop).h)
    return [line for _, checked in replayed for line in history.block(checked)]


def lively(world: Accounts) -> None:
    paid = world.pay("ana", "bob", 7)
    held = world.sign("ana", world.reservation("cleo", 4))
    world.place(0, paid, held, world.pay("ana", "bob", 1, unit=COUNT))
    ana = world.people["ana"]
    sure = sign_confirmation(ana.key, world.fed, ana.coop, held.id(world.fed))
    world.place(0, Post(ana.account, held.id(world.fed), sure, 0), world.pay("ana", "cleo", 59))
    world.arrive(1)
    world.arrive(0)


def test_a_transfer_has_one_id_on_both_chains_and_for_hold_and_post(world: Accounts) -> None:
    lively(world)
    here, there = told(world, 0), told(world, 1)
    assert [line.kind for line in here] == [PAY, HOLD, PAY, POST, PAY, BACK]
    assert [line.kind for line in there] == [ARRIVED, BOUNCED]
    held, posted, paid, back = here[1], here[3], here[4], here[5]
    assert held.id == posted.id == there[0].id
    assert paid.id == there[1].id == back.id
    ends = {(line.from_account, line.to_account) for line in (paid, there[1], back)}
    assert ends == {(world.people["ana"].account, world.people["cleo"].account)}


def test_every_line_sums_to_zero_and_channels_hold_what_is_under_way(world: Accounts) -> None:
    lively(world)
    channels: dict[tuple[bytes, bytes], int] = {}
    for place in (0, 1):
        for line in told(world, place):
            assert sum(posting.amount for posting in line.postings) == 0
            for posting in line.postings:
                if not posting.account:
                    key = (posting.source, posting.destination)
                    channels[key] = channels.get(key, 0) + posting.amount
    assert set(channels.values()) == {0}
    world.place(0, world.pay("ana", "cleo", 9))
    last = told(world, 0)[-1]
    assert last.postings[1].amount == 9
    assert last.change(world.people["ana"].account) == -9


def test_lines_are_the_same_from_the_beginning_and_from_a_state_in_the_middle(
    world: Accounts,
) -> None:
    lively(world)
    coop = world.coop(0)
    whole = told(world, 0)
    for start in range(1, world.book.head(coop).h + 1):
        found: list[Line] = []
        history: History | None = None
        for before, checked in world.book.replay(coop, world.book.head(coop).h):
            if checked.block.h == start:
                history = History(world.fed, coop, {COUNT}, before)
            if history is not None:
                assert isinstance(checked, Checked)
                found += history.block(checked)
        assert found == [line for line in whole if line.h >= start]


# --- The tree of rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_tree_of_rows_is_that_of_rfc_6962_whatever_changes(seed: int) -> None:
    rng = random.Random(f"rows {seed}")
    leaves = [rng.randbytes(32) for _ in range(rng.randint(0, 40))]
    tree = RowTree(leaves)
    for _ in range(60):
        changed = {place: rng.randbytes(32) for place in range(len(leaves)) if rng.random() < 0.2}
        for _ in range(rng.randint(0, 4)):
            changed[len(leaves) + sum(place >= len(leaves) for place in changed)] = rng.randbytes(
                32
            )
        leaves = [changed.get(place, leaf) for place, leaf in enumerate(leaves)]
        leaves += [changed[place] for place in sorted(changed) if place >= len(leaves)]
        before = tree.root()
        root, nodes = tree.preview(changed)
        assert root == merkle.root(leaves) and tree.root() == before
        if rng.random() < 0.5:
            tree.adopt(nodes)
        else:
            tree.update(changed)
        assert tree.root() == root and len(tree) == len(leaves)
        for place in range(len(leaves)):
            assert list(tree.path(place)) == merkle.inclusion_path(leaves, place)
            assert tree.leaf(place) == leaves[place]
