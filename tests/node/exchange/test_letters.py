"""Steps reach everybody concerned, and nobody else; in whatever order they arrive."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.ports import ExchangeStore, Query
from maillon.node.store.exchangememory import MemoryExchangeStore
from maillon.protocol.encoding import encode
from maillon.protocol.ids import PersonId
from maillon.protocol.letters import ITEM_APP, ITEM_STEP, ITEM_VOUCHER, Item, open_letter
from maillon.protocol.records import DAY_S
from support.exchangenet import Net

ALL = ("opening", "quote", "agreement", "acceptance", "message", "payment", "hold", "consent")


def test_two_people_of_one_coop_need_no_letters() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(0, "gives")
    exchange = net.accepted(asks, gives)
    assert net.nodes[0].state(exchange).phase == "paid"
    assert not net.nodes[0].store.notes(notes.LETTER)
    assert not net.nodes[1].store.counts()


def test_a_device_gets_every_step_sealed_and_its_node_reads_none() -> None:
    net = Net()
    asks, gives = net.member(0, "asks", held=False), net.member(1, "gives")
    exchange = net.opened(gives, asks, by=gives)
    assert net.nodes[0].store.row(exchange) is None
    (letter,) = net.devices[asks.sealing.public]
    items = open_letter(letter, asks.sealing)
    assert [item.kind for item in items] == [ITEM_VOUCHER, ITEM_STEP]
    assert b"Jardinage" in items[1].data and b"Jardinage" not in letter.encode()


def test_who_is_about_to_move_is_told_at_the_coop_they_agreed_in() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    # The coop of who asks vouches for the same key, and holds it: they are moving there.
    moved = replace(gives, coop=net.world.coops[0], person=PersonId(net.world.derive("moved", 16)))
    net.nodes[0].keys.add(moved)
    net.publish(net.world.membership(moved, custody="node"))
    exchange = net.opened(asks, gives)
    assert net.nodes[1].state(exchange).phase == "opened"
    # And who signs with that key still takes nobody's place but their own.
    net.nodes[1].act(gives, "quote", exchange, terms=net.terms(), valid_until=net.now + DAY_S)
    net.run()
    assert net.nodes[0].state(exchange).quotes[0].by == gives.author


@pytest.mark.capability("MSA-2")
def test_a_helper_of_another_coop_reads_and_acts_for_somebody_without_a_device() -> None:
    net = Net()
    asks, gives = net.member(0, "asks", held=False), net.member(1, "gives")
    helper = net.member(2, "helps")
    mandate = net.mandate(asks, helper, *ALL)
    node = net.nodes[2]
    exchange = node.act(
        helper, "opening", as_=mandate, requester=asks.author, provider=gives.author,
        title="Courses", lang="fr",
    )  # fmt: skip
    net.run()
    net.nodes[1].act(gives, "quote", exchange, terms=net.terms(), valid_until=net.now + DAY_S)
    net.run()
    state = node.state(exchange)
    assert state.phase == "quoted"
    node.act(helper, "agreement", exchange, as_=mandate, quote=state.quotes[0].id)
    net.run()
    assert net.nodes[1].state(exchange).phase == "scheduled"
    # Each step was told to the person as well, sealed to their own key.
    assert len(net.devices[asks.sealing.public]) == 3


def test_a_helper_whose_mandate_covers_no_steps_reads_nothing() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    helper = net.member(2, "helps")
    net.mandate(asks, helper, "offer")
    exchange = net.agreed(asks, gives)
    assert net.nodes[2].store.row(exchange) is None


def test_a_new_device_gets_the_whole_transcript_with_the_next_step() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.agreed(asks, gives)
    device = net.world.make_member(1, "gives' phone", person="gives")
    net.publish(net.world.membership(device))
    net.nodes[0].act(asks, "message", exchange, text="See you.", lang="en")
    net.run()
    (letter,) = net.devices[device.sealing.public]
    steps = [item for item in open_letter(letter, device.sealing) if item.kind == ITEM_STEP]
    assert len(steps) == net.nodes[0].store.count_steps(exchange)
    net.nodes[0].act(asks, "message", exchange, text="At nine.", lang="en")
    net.run()
    letter = net.devices[device.sealing.public][1]
    assert [i.kind for i in open_letter(letter, device.sealing)].count(ITEM_STEP) == 1


@pytest.mark.parametrize("seed", range(8))
def test_letters_in_any_order_and_twice_give_the_same_state(seed: int) -> None:
    net = Net(seed=f"order {seed}")
    rng = random.Random(seed)
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    held_back: list[object] = []
    deliver = net.deliver

    def later(letter: object) -> None:
        if letter.to_coop == net.nodes[1].coop.id and rng.random() < 0.6:  # type: ignore[attr-defined]
            held_back.append(letter)
        else:
            deliver(letter)  # type: ignore[arg-type]

    net.deliver = later  # type: ignore[method-assign]
    exchange = net.nodes[0].act(
        asks, "opening", requester=asks.author, provider=gives.author, title="T", lang="en"
    )
    for n in range(5):
        net.nodes[0].act(asks, "message", exchange, text=f"Word {n}.", lang="en")
        net.run()
    rng.shuffle(held_back)
    for letter in [*held_back, *held_back[:2]]:
        deliver(letter)  # type: ignore[arg-type]
    net.deliver = deliver  # type: ignore[method-assign]
    net.run()
    here, there = (node.state(exchange) for node in net.nodes[:2])
    assert here.order == there.order and len(here.order) == 6, seed
    assert not there.waiting and not net.nodes[1].store.notes(notes.WAITING)


def test_what_vouches_for_a_key_comes_with_the_letter() -> None:
    net = Net()
    gives = net.member(1, "gives")
    asks = net.world.make_member(0, "asks")
    net.nodes[0].keys.add(asks)
    # Only the own coop knows the new member: gossip has not come by yet.
    net.nodes[0].rig.submit(net.world.membership(asks, custody="node"))
    assert net.nodes[1].rig.engine.view.membership(asks.coop.id, asks.key.public) is None
    exchange = net.opened(asks, gives)
    assert net.nodes[1].state(exchange).phase == "opened"


def test_a_step_waits_until_its_signer_is_known() -> None:
    net = Net()
    gives = net.member(1, "gives")
    asks = net.world.make_member(0, "asks")
    net.nodes[0].keys.add(asks)
    membership = net.world.membership(asks, custody="node")
    net.nodes[0].rig.submit(membership)
    exchange = net.nodes[0].act(
        asks, "opening", requester=asks.author, provider=gives.author, title="T", lang="en"
    )
    (letter,) = net.letters
    net.letters.clear()
    items = [i for i in open_letter(letter.data, gives.sealing) if i.kind == ITEM_STEP]
    node = net.nodes[1]
    node.core.receive(items, asks.coop.id, gives.author, net.now)
    assert node.store.row(exchange) is None and len(node.store.notes(notes.WAITING)) == 1
    node.rig.submit(membership)
    node.do(node.core.identity_changed(net.now))
    assert node.state(exchange).phase == "opened" and not node.store.notes(notes.WAITING)


def test_an_exchange_between_others_is_forgotten_again() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.agreed(asks, gives)
    node = net.nodes[2]
    records = [step.record for step in net.nodes[0].store.transcript(exchange)]
    node.core.receive([Item(ITEM_STEP, record) for record in records], asks.coop.id, b"", net.now)
    assert not [part for part in node.store.row(exchange).parts if part.author == node.coop.author]  # type: ignore[union-attr]
    net.now += 2 * DAY_S
    node.do(node.core.tick(net.now))
    assert node.store.row(exchange) is None and not node.store.transcript(exchange)


def test_a_letter_that_never_arrived_makes_the_next_one_bring_everything() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.agreed(asks, gives)
    node = net.nodes[0]
    node.act(asks, "message", exchange, text="Lost.", lang="en")
    net.letters.clear()
    (ticket,) = [note.key for note in node.store.notes(notes.LETTER, exchange=exchange)][-1:]
    node.do(node.core.letter_ended(ticket, "expired", net.now))
    assert len(node.store.notes(notes.LOST, exchange=exchange)) == 1
    node.act(asks, "message", exchange, text="Here.", lang="en")
    net.run()
    here, there = (node.state(exchange) for node in net.nodes[:2])
    assert here.order == there.order and not there.waiting


def test_a_revoked_key_counts_no_more_from_the_time_it_was_stolen() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange, quote = net.quoted(asks, gives)
    stolen_at = net.now
    net.now += 3_600
    net.nodes[0].act(asks, "agreement", exchange, quote=quote)
    net.run()
    assert net.nodes[1].state(exchange).phase == "scheduled"
    record = net.world.membership(
        asks, rev=1, at=net.now, status="revoked", custody="node",
        revoked={"reason": "stolen", "until_at": stolen_at},
    )  # fmt: skip
    net.publish(record)
    assert [net.nodes[place].state(exchange).phase for place in (0, 1)] == ["quoted"] * 2


def test_a_step_that_was_lost_on_the_way_is_asked_for_and_comes() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.agreed(asks, gives)
    here, there = net.nodes[:2]
    here.act(asks, "message", exchange, text="Lost without a trace.", lang="en")
    net.letters.clear()
    here.act(asks, "message", exchange, text="As I said.", lang="en")
    net.run()
    assert len(there.state(exchange).waiting) == 1
    net.wait(59)
    assert there.state(exchange).waiting
    net.wait(2)
    assert not there.state(exchange).waiting
    assert here.state(exchange).order == there.state(exchange).order
    assert not there.store.notes(notes.MISSING)


def test_a_node_brought_back_from_a_copy_gets_its_own_steps_back() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange, quote = net.quoted(asks, gives)
    here, there = net.nodes[:2]
    copy = copy_of(here.store)
    here.act(asks, "agreement", exchange, quote=quote)
    net.run()
    here.store = copy
    here.restarted()
    assert here.state(exchange).phase == "quoted"
    there.act(gives, "message", exchange, text="See you tomorrow.", lang="en")
    net.run()
    net.wait(120)
    assert here.state(exchange).phase == "scheduled"
    assert here.state(exchange).order == there.state(exchange).order
    # What was reserved before is found in the ledger, and not reserved again.
    assert [t.status for t in net.chains.transfers.values()] == ["held"]


def copy_of(store: ExchangeStore) -> MemoryExchangeStore:
    """Return a store as it is now."""
    made = MemoryExchangeStore()
    for row in store.find(Query(limit=1_000)):
        made.put_row(row)
        for step in store.transcript(row.id):
            made.add_step(step)
        for space in (notes.SENT, notes.ORDER, notes.REFERS):
            for note in store.notes(space, exchange=row.id):
                made.put_note(note)
    return made


def test_who_reads_no_exchange_is_sent_nothing_of_it() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.agreed(asks, gives)
    node = net.nodes[0]
    asking = Item(ITEM_APP, encode(["missing", exchange, []]))
    _refused, effects = node.core.receive([asking], net.nodes[2].coop.id, asks.author, net.now)
    node.do(effects)
    assert not net.letters
    _refused, effects = node.core.receive([asking], gives.coop.id, asks.author, net.now)
    node.do(effects)
    assert len(net.letters) == 1
    # Asking again at once costs nothing.
    net.letters.clear()
    _refused, effects = node.core.receive([asking] * 5, gives.coop.id, asks.author, net.now)
    node.do(effects)
    assert not net.letters
    for data in (b"\x00", b"", encode(["other"]), encode(["missing", 1, 2]), b"\xff" * 50):
        node.core.receive([Item(ITEM_APP, data or b"\x01")], gives.coop.id, asks.author, net.now)
    assert not net.letters


def test_whoever_is_not_known_yet_is_told_as_soon_as_they_are() -> None:
    net = Net(2)
    asks = net.member(0, "asks")
    gives = net.world.make_member(1, "gives")
    net.nodes[1].keys.add(gives)
    membership = net.world.membership(gives, custody="node")
    net.nodes[1].rig.submit(membership)
    # The word on their key has not come to the first node yet.
    exchange = net.opened(asks, gives)
    assert net.nodes[1].store.row(exchange) is None
    net.publish(membership)
    net.run()
    assert net.nodes[1].state(exchange).phase == "opened"
    net.publish(membership)
    assert not net.letters
