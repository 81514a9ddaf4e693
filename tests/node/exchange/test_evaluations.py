"""Evaluations stay unread until both sides have spoken, or until their time is over."""

from __future__ import annotations

import pytest

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.ports import Query
from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.envelope import sign
from maillon.protocol.errors import NotAllowed, StepRefused
from maillon.protocol.records import DAY_S
from support.exchangenet import CoopNode, Net

SECRET = "a word that only the writer knows"


def everywhere(net: Net) -> list[bytes]:
    """Return all bytes of letters, and of the public records of all nodes."""
    found = [letter.data.encode() for letter in net.letters]
    for node in net.nodes:
        for _at, id in node.rig.store.iterate_live():
            record = node.rig.store.get(id)
            assert record is not None
            found.append(record.encode())
    return found


def steps(node: CoopNode) -> list[bytes]:
    return [
        step.record
        for id in [row.id for row in node.store.find(_all())]
        for step in node.store.transcript(id)
    ]


def _all() -> Query:
    return Query(limit=100)


def test_the_first_evaluation_is_kept_back_and_leaks_nowhere() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.accepted(asks, gives)
    net.attest(net.nodes[0], asks, exchange, SECRET)
    assert not net.nodes[0].released
    assert all(SECRET.encode() not in data for data in everywhere(net))
    assert all(SECRET.encode() not in data for data in steps(net.nodes[1]))
    (kept,) = net.nodes[0].store.notes(notes.KEPT)
    assert SECRET.encode() in kept.value
    assert not net.nodes[1].store.notes(notes.KEPT)


@pytest.mark.capability("ASA-5")
def test_the_second_evaluation_publishes_both() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.accepted(asks, gives)
    first = net.attest(net.nodes[0], asks, exchange, SECRET)
    second = net.attest(net.nodes[1], gives, exchange, "likewise")
    assert net.nodes[0].released == [first] and net.nodes[1].released == [second]
    assert [net.nodes[place].state(exchange).phase for place in (0, 1)] == ["evaluated"] * 2


def test_an_evaluation_that_stays_alone_is_published_at_the_deadline() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.accepted(asks, gives)
    first = net.attest(net.nodes[0], asks, exchange, SECRET)
    until = net.nodes[0].state(exchange).evaluate_until
    assert until is not None
    net.wait(until - net.now)
    assert not net.nodes[0].released
    net.wait(2)
    assert net.nodes[0].released == [first]
    # Whoever has read it says nothing blind any more.
    before = net.nodes[1].snapshot()
    with pytest.raises(StepRefused) as caught:
        net.nodes[1].act(gives, "evaluation", exchange, attestation=b"a" * 32)
    assert caught.value.facts["reason"] in ("late", "phase")
    assert net.nodes[1].snapshot() == before


def test_nobody_evaluates_twice_or_before_there_is_a_certified_transfer() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.done(asks, gives)
    node = net.nodes[0]
    before = node.snapshot()
    with pytest.raises(StepRefused):
        node.act(asks, "evaluation", exchange, attestation=b"a" * 32)
    assert node.snapshot() == before
    node.act(asks, "acceptance", exchange)
    net.run()
    net.attest(node, asks, exchange, SECRET)
    before = node.snapshot()
    with pytest.raises(StepRefused):
        node.act(asks, "evaluation", exchange, attestation=b"b" * 32)
    assert node.snapshot() == before


def test_what_was_called_off_is_not_evaluated() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.agreed(asks, gives)
    net.nodes[0].act(asks, "cancellation", exchange)
    net.run()
    net.wait(60 * DAY_S)
    with pytest.raises(StepRefused):
        net.nodes[0].act(asks, "evaluation", exchange, attestation=b"a" * 32)


def test_an_attestation_other_than_the_one_committed_to_is_not_kept() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.accepted(asks, gives)
    node = net.nodes[0]
    transfer = next(p.transfer for p in node.state(exchange).payments if p.transfer)
    other = net.world.attestation(asks, transfer, gives.author, at=net.now)
    made, _ = node.core.draft(
        "evaluation", {"attestation": b"a" * 32}, Signer(asks.key.public, asks.coop.id),
        exchange, net.now,
    )  # fmt: skip
    before = node.snapshot()
    with pytest.raises(NotAllowed):
        node.core.take(sign(made, asks.key), net.now, attestation=other)
    assert node.snapshot() == before


def test_a_node_that_dies_before_publishing_publishes_when_it_is_back() -> None:
    net = Net()
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    exchange = net.accepted(asks, gives)
    first = net.attest(net.nodes[0], asks, exchange, SECRET)
    node = net.nodes[0]
    # What node 0 would do with the second evaluation is lost with its process.
    node.do, kept = (lambda effects: None), node.do  # type: ignore[method-assign]
    net.attest(net.nodes[1], gives, exchange, "likewise")
    node.do = kept  # type: ignore[method-assign]
    assert not node.released
    core = node.restarted()
    node.do(core.resume(net.now))
    assert node.released == [first]
    node.do(core.resume(net.now))
    assert node.released == [first]
