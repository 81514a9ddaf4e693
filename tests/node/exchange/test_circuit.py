"""From a need to a service given, accepted and paid, between people of two coops."""

from __future__ import annotations

import pytest

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.ports import Wanted
from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.envelope import decode_record
from maillon.protocol.records import DAY_S
from support.exchangenet import CoopNode, ModelLedger, Net
from support.world import Member


def phases(net: Net, exchange: bytes, *places: int) -> list[str]:
    return [net.nodes[place].state(exchange).phase for place in places]


def two(net: Net) -> tuple[Member, Member]:
    return net.member(0, "asks"), net.member(1, "gives")


def kinds_of(net: Net, exchange: bytes) -> list[str]:
    """Return the kinds of the steps that the provider's node has."""
    steps = net.nodes[1].store.transcript(exchange)
    return [decode_record(step.record).header.kind for step in steps]


def nothing_failed(net: Net) -> bool:
    return not any(node.faults for node in net.nodes)


@pytest.mark.capability("ASA-4")
def test_an_agreement_reserves_and_an_acceptance_pays_what_was_reserved() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.agreed(asks, gives)
    assert phases(net, exchange, 0, 1) == ["scheduled"] * 2
    (hold,) = net.chains.transfers.values()
    state = net.nodes[1].state(exchange)
    assert (hold.status, hold.amount, hold.ref) == ("held", 60, state.payment_ref)
    assert state.hold is not None and state.hold.order == hold.id

    slot = state.slots[0]
    net.wait(slot.start - net.now)
    net.nodes[1].act(gives, "check_in", exchange, slot=slot.slot, time=net.now)
    net.wait(3_600)
    net.nodes[1].act(gives, "check_out", exchange, slot=slot.slot, time=net.now)
    net.run()
    assert phases(net, exchange, 0, 1) == ["done"] * 2
    net.nodes[0].act(asks, "acceptance", exchange)
    net.run()
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    assert net.chains.paid(asks.author, gives.author) == 60
    assert len(net.chains.transfers) == 1 and nothing_failed(net)


def test_silence_after_the_check_out_is_acceptance_and_pays_by_itself() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.done(asks, gives)
    net.wait(7 * DAY_S - 60)
    assert phases(net, exchange, 0, 1) == ["done"] * 2
    net.wait(120)
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    assert net.chains.paid(asks.author, gives.author) == 60


def test_terms_without_a_reservation_are_paid_by_a_transfer_after_the_acceptance() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.accepted(asks, gives, settle="after")
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    (transfer,) = net.chains.transfers.values()
    assert (transfer.status, transfer.expiry) == ("certified", 0)


def test_what_is_called_off_is_given_back_at_once() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.agreed(asks, gives)
    net.nodes[1].act(gives, "cancellation", exchange, reason="ill")
    net.run()
    assert phases(net, exchange, 0, 1) == ["cancelled"] * 2
    assert [t.status for t in net.chains.transfers.values()] == ["void"]
    assert net.nodes[0].store.row(exchange).finished  # type: ignore[union-attr]


def test_a_complaint_brings_the_mediator_in_and_its_word_is_paid() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.done(asks, gives, mediator=net.nodes[2].coop.author)
    assert net.nodes[2].store.row(exchange) is None
    net.nodes[0].act(asks, "complaint", exchange, text="Half of it.", lang="en")
    net.run()
    # The mediator has the whole transcript, and computes the same state.
    assert phases(net, exchange, 0, 1, 2) == ["disputed"] * 3
    net.nodes[2].act(None, "mediation", exchange, amount=30, text="Half.", lang="en", closes=True)
    net.run()
    assert phases(net, exchange, 0, 1, 2) == ["paid"] * 3
    assert net.chains.paid(asks.author, gives.author) == 30
    assert sorted(t.status for t in net.chains.transfers.values()) == ["certified", "void"]


def test_a_mediator_confirms_a_reservation_that_the_payer_does_not() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.done(asks, gives, mediator=net.nodes[2].coop.author)
    net.nodes[1].act(gives, "complaint", exchange, text="No answer.", lang="en")
    net.run()
    # From here on the requester's node is away.
    net.cut.add(net.nodes[0].coop.id)
    net.nodes[2].act(None, "mediation", exchange, amount=60, text="All.", lang="en", closes=True)
    net.run()
    assert net.chains.paid(asks.author, gives.author) == 60
    net.cut.clear()
    net.run()
    assert phases(net, exchange, 0, 1, 2) == ["paid"] * 3
    assert net.chains.paid(asks.author, gives.author) == 60


@pytest.mark.capability("SOSS-2")
def test_a_handover_needs_the_consent_of_who_asked_and_of_who_takes_over() -> None:
    net = Net()
    asks, gives = two(net)
    other = net.member(2, "takes over")
    exchange = net.agreed(asks, gives)
    handover = net.nodes[1].act(gives, "handover", exchange, to=other.author, text="ill", lang="en")
    net.run()
    # Nobody passes a transcript on before the one it is about has said yes.
    assert net.nodes[2].store.row(exchange) is None
    net.nodes[0].act(asks, "consent", exchange, to=handover, yes=True)
    net.run()
    assert phases(net, exchange, 0, 1, 2) == ["handed_over"] * 3
    net.nodes[2].act(other, "handover_acceptance", exchange, handover=handover)
    net.run()
    states = [node.state(exchange) for node in net.nodes]
    assert {state.provider for state in states} == {other.author}
    assert {state.first_provider for state in states} == {gives.author}
    # What was reserved for the first is given back, and reserved for the second.
    found = {(t.payee, t.status) for t in net.chains.transfers.values()}
    assert found == {(gives.author, "void"), (other.author, "held")}

    slot = states[2].slots[0]
    net.wait(slot.start - net.now)
    net.nodes[2].act(other, "check_in", exchange, slot=slot.slot, time=net.now)
    net.wait(3_600)
    net.nodes[2].act(other, "check_out", exchange, slot=slot.slot, time=net.now)
    net.run()
    net.nodes[0].act(asks, "acceptance", exchange)
    net.run()
    assert phases(net, exchange, 0, 1, 2) == ["paid"] * 3
    assert net.chains.paid(asks.author, other.author) == 60
    assert net.chains.paid(asks.author, gives.author) == 0


@pytest.mark.capability("ASA-6")
def test_a_payment_is_split_between_the_members_of_a_group_to_the_last_unit() -> None:
    net = Net()
    asks, gives = two(net)
    other = net.member(2, "colleague")
    split = [{"author": gives.author, "share": 2}, {"author": other.author, "share": 1}]
    exchange = net.accepted(asks, gives, settle="after", amount=100, split=split)
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    assert net.chains.paid(asks.author, gives.author) == 67
    assert net.chains.paid(asks.author, other.author) == 33


def funded(net: Net, node: CoopNode, payer: Member) -> None:
    """Let the payer say yes to the one request it has."""
    (kept,) = node.store.notes(notes.FUNDING)
    signer = Signer(payer.key.public, payer.coop.id)
    node.do(node.core.fund(kept.key, signer, payer.key, net.now))
    net.run()


@pytest.mark.capability("DOM-3")
def test_a_third_party_pays_and_reads_nothing_of_what_for() -> None:
    net = Net()
    asks, gives = two(net)
    payer = net.member(2, "pays")
    exchange = net.agreed(asks, gives, opening={"payer": payer.author})
    assert not net.chains.transfers
    funded(net, net.nodes[2], payer)
    (hold,) = net.chains.transfers.values()
    assert (hold.payer, hold.payee, hold.status) == (payer.author, gives.author, "held")
    assert net.nodes[2].store.row(exchange) is None
    assert not net.nodes[2].store.transcript(exchange)
    (kept,) = net.nodes[2].store.notes(notes.FUNDING)
    assert b"Jardinage" not in kept.value and asks.author in kept.value

    slot = net.nodes[1].state(exchange).slots[0]
    net.wait(slot.start - net.now)
    net.nodes[1].act(gives, "check_in", exchange, slot=slot.slot, time=net.now)
    net.wait(3_600)
    net.nodes[1].act(gives, "check_out", exchange, slot=slot.slot, time=net.now)
    net.run()
    net.nodes[0].act(asks, "acceptance", exchange)
    net.run()
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    assert net.chains.paid(payer.author, gives.author) == 60
    assert net.chains.paid(asks.author, gives.author) == 0 and nothing_failed(net)


def test_what_a_third_party_reserves_after_the_acceptance_pays_and_no_step_names_it() -> None:
    net = Net()
    asks, gives = two(net)
    payer = net.member(2, "pays")
    exchange = net.accepted(asks, gives, opening={"payer": payer.author}, settle="after")
    assert phases(net, exchange, 0, 1) == ["accepted"] * 2
    funded(net, net.nodes[2], payer)
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    assert net.chains.paid(payer.author, gives.author) == 60 and nothing_failed(net)
    assert "hold" not in kinds_of(net, exchange)


def test_what_a_third_party_reserves_while_the_work_goes_on_is_told_in_a_step() -> None:
    net = Net()
    asks, gives = two(net)
    payer = net.member(2, "pays")
    exchange = net.done(asks, gives, opening={"payer": payer.author})
    funded(net, net.nodes[2], payer)
    assert kinds_of(net, exchange).count("hold") == 1 and nothing_failed(net)
    hold = net.nodes[1].state(exchange).hold
    assert hold is not None and hold.status == "held"


@pytest.mark.parametrize("kind", ["gift", "free"])
def test_a_gift_moves_nothing_and_is_not_evaluated(kind: str) -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.accepted(asks, gives, kind=kind, unit=None, amount=None)
    state = net.nodes[1].state(exchange)
    assert state.phase == "paid" and not net.chains.transfers
    assert state.evaluate_until is None and not state.evaluators


def test_what_is_only_counted_is_certified_all_the_same() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.accepted(asks, gives, kind="count_only", unit="savoir", amount=None)
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    (transfer,) = net.chains.transfers.values()
    assert (transfer.unit, transfer.amount, transfer.status) == ("savoir", 1, "certified")
    assert net.nodes[0].state(exchange).evaluators == (asks.author, gives.author)


def test_a_refused_payment_is_shown_and_not_repeated_without_end() -> None:
    net = Net()
    asks, gives = two(net)
    net.chains.refuse.add(asks.author)
    exchange = net.accepted(asks, gives, settle="after")
    assert phases(net, exchange, 0, 1) == ["accepted"] * 2
    (order,) = notes.orders_of(net.nodes[0].store, exchange)
    assert order.status == "refused"
    # The next step of anybody does not order it again at once …
    net.nodes[0].act(asks, "message", exchange, text="Wait.", lang="en")
    net.run()
    assert len(notes.orders_of(net.nodes[0].store, exchange)) == 1
    # … and later it goes through once there is room.
    net.chains.refuse.clear()
    net.wait(3_700)
    net.nodes[0].act(asks, "message", exchange, text="Now.", lang="en")
    net.run()
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    assert net.chains.paid(asks.author, gives.author) == 60


def test_a_task_handed_over_becomes_an_exchange_of_its_own_that_keeps_where_it_comes_from() -> None:
    net = Net()
    asks, gives = two(net)
    other = net.member(2, "takes the task")
    exchange = net.agreed(asks, gives)
    slot = net.nodes[1].state(exchange).slots[0]
    net.wait(slot.start - net.now)
    net.nodes[1].act(gives, "check_in", exchange, slot=slot.slot, time=net.now)
    task = net.nodes[1].act(
        gives, "amendment", exchange, adds={"text": "A tap to mend.", "lang": "en", "amount": 30}
    )
    net.run()
    net.nodes[0].act(asks, "consent", exchange, to=task, yes=True)
    net.run()
    assert net.nodes[1].state(exchange).expected == 90
    handover = net.nodes[1].act(gives, "handover", exchange, to=other.author, task=task)
    net.run()
    net.nodes[0].act(asks, "consent", exchange, to=handover, yes=True)
    net.run()
    origin = {"exchange": exchange, "step": handover}
    successor = net.opened(asks, other, by=other, origin=origin)
    assert net.nodes[0].state(successor).origin == (exchange, handover)
    (note,) = net.nodes[0].store.notes(notes.SUCCESSOR, exchange=exchange)
    assert note.key == successor
    assert net.nodes[0].state(exchange).provider == gives.author


def test_a_payment_that_a_helper_made_elsewhere_is_not_made_again() -> None:
    net = Net()
    asks, gives = two(net)
    exchange = net.done(asks, gives, settle="after")
    state = net.nodes[0].state(exchange)
    assert state.payment_ref is not None
    # Somebody with a spending mandate has paid, and the letter that tells it is not here yet.
    wanted = Wanted("pay", asks.author, gives.author, "heure", 60, state.payment_ref)
    net.chains.place(ModelLedger(net.chains, asks.coop.id).sign(wanted).data)
    net.chains.settle()
    net.nodes[0].act(asks, "acceptance", exchange)
    net.run()
    assert phases(net, exchange, 0, 1) == ["paid"] * 2
    assert net.chains.paid(asks.author, gives.author) == 60
    assert not notes.orders_of(net.nodes[0].store, exchange)
