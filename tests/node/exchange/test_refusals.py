"""Steps that do not fit are refused with the state and what is possible; nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from maillon.node.engine.exchange.core import NotConcerned
from maillon.node.engine.exchange.ports import Query
from maillon.node.engine.exchange.transcripts import NoSuchExchange
from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.envelope import Signed, sign
from maillon.protocol.errors import (
    BadSignature,
    MaillonError,
    MandateExpired,
    MandateScope,
    NotAllowed,
    StepRefused,
    WrongFederation,
)
from maillon.protocol.letters import ITEM_STEP, Item
from maillon.protocol.records import DAY_S, build
from support.exchangenet import CoopNode, Net
from support.world import Member


def refused(
    node: CoopNode, error: type[MaillonError], action: Callable[[], object]
) -> MaillonError:
    """Do something that is refused; assert that nothing changed, and that no letter was written."""
    before, letters = node.snapshot(), list(node.net.letters)
    with pytest.raises(error) as caught:
        action()
    assert node.snapshot() == before and node.net.letters == letters
    return caught.value


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def asks(net: Net) -> Member:
    return net.member(0, "asks")


@pytest.fixture
def gives(net: Net) -> Member:
    return net.member(1, "gives")


def test_a_step_out_of_order_is_refused_with_the_phase_and_what_is_possible(
    net: Net, asks: Member, gives: Member
) -> None:
    exchange, _quote = net.quoted(asks, gives)
    node = net.nodes[0]
    fault = refused(node, StepRefused, lambda: node.act(asks, "acceptance", exchange))
    assert fault.code == "step" and fault.facts["phase"] == "quoted"
    assert "agreement" in fault.facts["possible"] and "acceptance" not in fault.facts["possible"]


def test_a_step_by_the_wrong_side_is_refused(net: Net, asks: Member, gives: Member) -> None:
    exchange, quote = net.quoted(asks, gives)
    node = net.nodes[1]
    fault = refused(node, StepRefused, lambda: node.act(gives, "agreement", exchange, quote=quote))
    assert fault.facts["reason"] == "role"


def test_a_stranger_cannot_write_into_an_exchange(net: Net, asks: Member, gives: Member) -> None:
    exchange = net.agreed(asks, gives)
    eve = net.member(2, "eve")
    node = net.nodes[0]
    record = step_of(net, eve, "message", exchange, text="Hello.", lang="en")
    before = node.snapshot()
    faults, effects = node.core.receive(
        [Item(ITEM_STEP, record.encode())], eve.coop.id, asks.author, net.now
    )
    assert [type(fault) for fault in faults] == [NotConcerned] and not effects
    assert node.snapshot() == before


def step_of(
    net: Net, who: Member, kind: str, exchange: bytes, *, fed: bytes | None = None, **fields: object
) -> Signed:
    """Sign a step as somebody else's program would."""
    state = net.nodes[0].state(exchange)
    payload = build(kind, salt=net.world.fresh(), exchange=exchange, **fields)
    return net.world.record(
        kind, payload, coop=who.coop, by=who.key, at=net.now, refs=state.heads, fed=fed
    )


def test_a_step_for_another_federation_is_refused(net: Net, asks: Member, gives: Member) -> None:
    exchange = net.agreed(asks, gives)
    node = net.nodes[0]
    record = step_of(net, gives, "message", exchange, fed=b"f" * 32, text="Hello.", lang="en")
    refused(node, WrongFederation, lambda: node.core.take(record, net.now))


def test_a_forged_step_is_refused(net: Net, asks: Member, gives: Member) -> None:
    exchange = net.agreed(asks, gives)
    node = net.nodes[0]
    good = step_of(net, asks, "message", exchange, text="Hello.", lang="en")
    other = step_of(net, asks, "message", exchange, text="Good bye.", lang="en")
    forged = Signed(
        good.header, good.header_bytes, good.id, other.signature, good.payload_bytes, good.payload
    )
    refused(node, BadSignature, lambda: node.core.take(forged, net.now))


def test_a_replayed_step_is_known_and_changes_nothing(
    net: Net, asks: Member, gives: Member
) -> None:
    exchange = net.agreed(asks, gives)
    node = net.nodes[0]
    record = step_of(net, asks, "message", exchange, text="Hello.", lang="en")
    node.core.take(record, net.now)
    net.run()
    before = node.snapshot()
    taken, _effects = node.core.take(record, net.now)
    assert taken.outcome == "known" and node.snapshot() == before
    faults, _ = node.core.receive(
        [Item(ITEM_STEP, record.encode())] * 3, gives.coop.id, asks.author, net.now
    )
    assert not faults and node.snapshot() == before


def test_a_second_agreement_contradicts_the_first_and_is_refused(
    net: Net, asks: Member, gives: Member
) -> None:
    exchange, quote = net.quoted(asks, gives)
    node = net.nodes[0]
    node.act(asks, "agreement", exchange, quote=quote)
    refused(node, StepRefused, lambda: node.act(asks, "agreement", exchange, quote=quote))


def test_a_step_under_an_expired_mandate_is_refused(net: Net, asks: Member, gives: Member) -> None:
    helper = net.member(0, "helper")
    exchange, quote = net.quoted(asks, gives, valid_s=200 * DAY_S)
    mandate = net.mandate(asks, helper, "agreement", "message")
    node = net.nodes[0]
    net.now += 150 * DAY_S
    refused(
        node,
        MandateExpired,
        lambda: node.act(helper, "agreement", exchange, as_=mandate, quote=quote),
    )


def test_a_mandate_covers_the_acts_it_names_and_no_others(
    net: Net, asks: Member, gives: Member
) -> None:
    helper = net.member(0, "helper")
    exchange, quote = net.quoted(asks, gives)
    mandate = net.mandate(asks, helper, "message")
    node = net.nodes[0]
    refused(
        node,
        MandateScope,
        lambda: node.act(helper, "agreement", exchange, as_=mandate, quote=quote),
    )
    node.act(helper, "message", exchange, as_=mandate, text="I help her.", lang="en")
    net.run()
    assert len(net.nodes[1].store.transcript(exchange)) == 3


def test_an_exchange_is_opened_by_one_of_the_two(net: Net, asks: Member, gives: Member) -> None:
    eve = net.member(0, "eve")
    node = net.nodes[0]
    refused(
        node,
        NotAllowed,
        lambda: node.act(
            eve, "opening", requester=asks.author, provider=gives.author, title="T", lang="en"
        ),
    )


def test_the_provider_is_not_named_as_the_payer(net: Net, asks: Member, gives: Member) -> None:
    for place, who in ((0, asks), (1, gives)):
        node = net.nodes[place]
        refused(
            node,
            NotAllowed,
            lambda node=node, who=who: node.act(  # type: ignore[misc]
                who, "opening", requester=asks.author, provider=gives.author,
                payer=gives.author, title="T", lang="en",
            ),
        )  # fmt: skip
        assert not node.store.find(Query(limit=10))


def test_a_step_of_an_exchange_that_is_not_here_is_refused(
    net: Net, asks: Member, gives: Member
) -> None:
    node = net.nodes[0]
    refused(
        node,
        NoSuchExchange,
        lambda: node.act(asks, "message", b"x" * 32, text="Hello.", lang="en"),
    )


def test_a_public_record_is_no_step(net: Net, asks: Member, gives: Member) -> None:
    node = net.nodes[0]
    offer = net.world.offer(asks, at=net.now)
    refused(node, NotAllowed, lambda: node.core.take(offer, net.now))


def test_a_quote_of_somebody_else_is_void_on_both_sides_and_changes_no_state(
    net: Net, asks: Member, gives: Member
) -> None:
    exchange = net.opened(asks, gives)
    record = step_of(net, asks, "quote", exchange, terms=net.terms(), valid_until=net.now + DAY_S)
    node = net.nodes[1]
    faults, effects = node.core.receive(
        [Item(ITEM_STEP, record.encode())], asks.coop.id, gives.author, net.now
    )
    # It is theirs, and signed: it is kept as evidence, and counts for nothing.
    node.do(effects)
    state = node.state(exchange)
    assert not faults and state.phase == "opened"
    assert [(void.id, void.reason) for void in state.void] == [(record.id, "role")]


def test_a_draft_is_refused_where_the_step_would_be(net: Net, asks: Member, gives: Member) -> None:
    exchange, quote = net.quoted(asks, gives)
    node = net.nodes[0]
    signer = Signer(asks.key.public, asks.coop.id)
    refused(node, StepRefused, lambda: node.core.draft("acceptance", {}, signer, exchange, net.now))
    made, standing = node.core.draft("agreement", {"quote": quote}, signer, exchange, net.now)
    assert standing.author == asks.author
    # What a device signs of it is taken in as it is.
    taken, effects = node.core.take(sign(made, asks.key), net.now)
    node.do(effects)
    net.run()
    assert taken.outcome == "new"
    assert net.nodes[1].state(exchange).phase == "scheduled"
