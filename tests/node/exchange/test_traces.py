"""What is kept of a person in exchanges is handed out whole, and erased to the last byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maillon.node.engine.exchange.ports import ExchangeStore
from maillon.node.exchange.traces import Traces
from maillon.node.store.exchangedisk import ExchangeDisk
from maillon.protocol.encoding import encode
from support.exchangenet import Net
from support.world import Member

SECRET = "behind the blue door, ring twice"


class OnDisk:
    """Two coops of which the first keeps its exchanges in a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.disk = ExchangeDisk(directory / "exchange.db")
        self.net = Net(stores=self._store)
        self.asks, self.gives = self.net.member(0, "asks"), self.net.member(1, "gives")
        self.traces = Traces(self.net.nodes[0].core, self.disk.scrub)

    def _store(self, place: int) -> ExchangeStore | None:
        return self.disk if place == 0 else None

    def revealed(self, gives: Member) -> bytes:
        """Return an exchange in which the requester said where they live."""
        exchange = self.net.agreed(self.asks, gives)
        self.net.nodes[0].act(self.asks, "contact", exchange, contact={"note": SECRET})
        self.net.run()
        return exchange

    def erase(self, member: Member) -> int:
        keys, sealing = [member.key.public], [member.sealing.public]
        gone = self.traces.erase_person(member.author, keys, sealing)
        assert self.traces.scrub()
        return gone

    def somewhere(self, text: str) -> bool:
        return any(text.encode() in file.read_bytes() for file in self.directory.iterdir())


@pytest.fixture
def kept(tmp_path: Path) -> OnDisk:
    return OnDisk(tmp_path)


def test_an_export_holds_every_step_of_every_exchange_of_somebody(kept: OnDisk) -> None:
    exchange = kept.revealed(kept.gives)
    other = kept.net.member(0, "other")
    kept.net.agreed(other, kept.gives)
    told: Any = kept.traces.export_person(kept.asks.author, [], [])
    (entry,) = told["exchanges"]
    assert entry["id"] == exchange.hex() and entry["roles"] == ["requester"]
    kinds = [step["kind"] for step in entry["steps"]]
    assert kinds[:3] == ["opening", "quote", "agreement"] and "contact" in kinds
    assert SECRET in str(entry["steps"])


def test_an_erased_person_leaves_no_byte_in_any_file(kept: OnDisk) -> None:
    exchange = kept.revealed(kept.gives)
    assert kept.somewhere(SECRET) and kept.somewhere("Jardinage")
    assert kept.erase(kept.asks) >= 4
    assert not kept.somewhere(SECRET) and not kept.somewhere("Jardinage")
    assert kept.disk.row(exchange) is None
    # The other side keeps what it was told.
    assert kept.net.nodes[1].state(exchange).phase == "scheduled"


def test_what_somebody_else_here_still_needs_keeps_its_state_and_loses_the_words(
    kept: OnDisk,
) -> None:
    neighbour = kept.net.member(0, "neighbour")
    exchange = kept.revealed(neighbour)
    before = kept.net.nodes[0].state(exchange)
    assert kept.erase(kept.asks) == 1
    assert not kept.somewhere(SECRET)
    after = kept.net.nodes[0].state(exchange)
    assert (after.phase, after.due, after.hold) == (before.phase, before.due, before.hold)
    assert not after.contacts


def test_finished_exchanges_go_when_their_time_is_over_and_open_claims_stay(kept: OnDisk) -> None:
    net = kept.net
    done = net.agreed(kept.asks, kept.gives)
    net.nodes[0].act(kept.asks, "cancellation", done)
    net.run()
    claimed = net.accepted(kept.asks, kept.gives, guarantee_days=30)
    net.nodes[0].act(kept.asks, "guarantee_claim", claimed, text="It leaks.", lang="en")
    net.run()
    net.wait(100 * 86_400)
    assert kept.traces.forget_before(net.now) == 1
    assert kept.disk.row(done) is None and kept.disk.row(claimed) is not None


@pytest.mark.capability("MSA-3")
def test_acts_under_a_mandate_are_told_to_whom_they_were_done_for(kept: OnDisk) -> None:
    helper = kept.net.member(0, "helper")
    mandate = kept.net.mandate(kept.asks, helper, "message")
    exchange = kept.net.agreed(kept.asks, kept.gives)
    kept.net.nodes[0].act(
        helper, "message", exchange, as_=mandate, text="I write for her.", lang="en"
    )
    (act,) = kept.traces.acts_of(kept.asks.author)
    assert (act["what"], act["mandate"], act["key"]) == ("message", mandate, helper.key.public)
    assert kept.traces.acts_of(helper.author) == []
    assert encode([act["id"]])
