"""Gossip leaves soon and in company; every peer has its turn to reconcile."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from maillon.node import bounds
from maillon.node.engine.outbox import Outbox
from maillon.node.engine.peers import Peers
from maillon.protocol.gossip import decode_batch
from maillon.protocol.limits import BATCH_BYTES_MAX

PEERS = [bytes([n]) * 32 for n in range(1, 9)]


def test_one_record_leaves_at_once_when_the_line_is_idle() -> None:
    outbox = Outbox()
    outbox.push(b"", b"one")
    assert outbox.due(5.0) == 5.0
    assert [decode_batch(m) for m in outbox.flush(5.0)] == [[b"one"]]
    assert outbox.due(5.0) is None


def test_while_the_line_is_busy_records_leave_together() -> None:
    outbox = Outbox(coalesce_s=0.04)
    outbox.push(b"", b"one")
    outbox.flush(5.0)
    for record in (b"two", b"three"):
        outbox.push(b"", record)
    assert outbox.flush(5.03) == [] and outbox.due(5.03) == 5.04
    assert [decode_batch(m) for m in outbox.flush(5.04)] == [[b"two", b"three"]]


def test_a_full_message_does_not_wait() -> None:
    outbox = Outbox()
    outbox.push(b"", b"one")
    outbox.flush(5.0)
    for place in range(5):
        outbox.push(b"", bytes([place]) * 16_000)
    messages = outbox.flush(5.001)
    assert len(messages) == 2 and all(len(m) <= BATCH_BYTES_MAX for m in messages)
    assert len(outbox) == 0 and outbox.bytes_held == 0


def test_sources_take_turns_record_by_record() -> None:
    outbox = Outbox()
    for place in range(50):
        outbox.push(b"flood", bytes([1, place]))
    outbox.push(b"", b"ours")
    assert decode_batch(outbox.flush(1.0)[0])[:3] == [bytes([1, 0]), b"ours", bytes([1, 1])]


def test_a_source_has_its_room_and_no_more() -> None:
    outbox = Outbox(source_bytes_max=100, sources_max=2)
    assert [outbox.push(b"a", bytes(40)) for _ in range(3)] == [True, True, False]
    assert outbox.push(b"b", bytes(40)) and not outbox.push(b"c", b"x")
    assert outbox.dropped == 2 and outbox.bytes_held == 120


def test_a_clock_set_back_holds_nothing_up() -> None:
    outbox = Outbox()
    outbox.push(b"", b"one")
    outbox.flush(1_000.0)
    outbox.push(b"", b"two")
    assert outbox.due(10.0) == 10.0 and len(outbox.flush(10.0)) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 18_000)), max_size=60))
def test_what_goes_in_comes_out_once_in_the_order_of_its_source(
    pushes: list[tuple[int, int]],
) -> None:
    outbox = Outbox()
    sent: dict[int, list[bytes]] = {}
    for place, (source, size) in enumerate(pushes):
        record = bytes([source, place]) + bytes(size - 1)
        if outbox.push(bytes([source]), record):
            sent.setdefault(source, []).append(record)
    came: dict[int, list[bytes]] = {}
    now = 0.0
    while (due := outbox.due(now)) is not None:
        now = due
        messages = outbox.flush(now)
        assert 0 < len(messages) <= bounds.OUTBOX_BATCHES_PER_FLUSH_MAX + 1
        for message in messages:
            for record in decode_batch(message):
                came.setdefault(record[0], []).append(record)
    assert came == sent


def turns(own: bytes, **settings: float) -> Peers:
    return Peers(own, Random("turns"), **settings)  # type: ignore[arg-type]


def run(peers: Peers, seconds: int, *, ok: bool = True) -> list[tuple[float, bytes]]:
    """Let sessions happen, each at once; return when and with whom."""
    happened: list[tuple[float, bytes]] = []
    now = 0.0
    while now < seconds:
        for peer in peers.due(now):
            peers.started(peer, now, outgoing=True)
            peers.ended(peer, now, outgoing=True, ok=ok, more=False, received=0, sent=0)
            happened.append((now, peer))
        now = max(now + 0.5, peers.next_at(now) or 0.0)
    return happened


def test_the_lower_key_starts_at_once_and_the_other_only_if_nothing_came() -> None:
    low, high = turns(PEERS[0]), turns(PEERS[7])
    low.connected(PEERS[4], 0.0)
    high.connected(PEERS[4], 0.0)
    assert low.due(0.0) == [PEERS[4]] and high.due(0.0) == []
    assert high.due(bounds.SYNC_SECOND_S * 1.3) == [PEERS[4]]
    served = turns(PEERS[7])
    served.connected(PEERS[4], 0.0)
    served.started(PEERS[4], 1.0, outgoing=False)
    served.ended(PEERS[4], 2.0, outgoing=False, ok=True, more=False, received=0, sent=0)
    assert served.due(bounds.SYNC_SECOND_S * 1.3) == []


def test_every_peer_has_its_turn() -> None:
    peers = turns(PEERS[0], interval_s=30.0)
    for peer in PEERS[1:]:
        peers.connected(peer, 0.0)
    happened = run(peers, 600)
    first = [peer for at, peer in happened if at < 20]
    later = [peer for at, peer in happened if at >= 20]
    assert sorted(first) == PEERS[1:]
    assert set(later[:7]) == set(PEERS[1:]) and 14 <= len(later) <= 27


def test_failures_back_off_and_do_not_take_the_turns_of_others() -> None:
    peers = turns(PEERS[0], interval_s=30.0)
    peers.connected(PEERS[1], 0.0)
    tries = [at for at, _ in run(peers, 3_000, ok=False)]
    assert 7 <= len(tries) <= 20
    assert tries[-1] - tries[-2] > 5 * (tries[1] - tries[0])


def test_no_more_sessions_than_allowed_run_at_once() -> None:
    peers = turns(PEERS[0])
    for peer in PEERS[1:]:
        peers.connected(peer, 0.0)
    started = peers.due(0.0)
    assert len(started) == bounds.SYNC_OUTGOING_MAX
    for peer in started:
        assert peers.may_start(peer)
        peers.started(peer, 0.0, outgoing=True)
    assert peers.due(0.1) == [] and not peers.may_start(PEERS[7])


def test_a_session_cut_at_a_bound_goes_on_at_once() -> None:
    peers = turns(PEERS[0])
    peers.connected(PEERS[1], 0.0)
    peers.started(PEERS[1], 0.0, outgoing=True)
    peers.ended(PEERS[1], 5.0, outgoing=True, ok=True, more=True, received=9, sent=0)
    assert peers.due(5.0) == [PEERS[1]]


def test_a_sign_of_loss_asks_soon_but_not_of_a_peer_that_fails() -> None:
    peers = turns(PEERS[0])
    for peer in PEERS[1:3]:
        peers.connected(peer, 0.0)
        peers.started(peer, 0.0, outgoing=True)
    peers.ended(PEERS[1], 0.0, outgoing=True, ok=True, more=False, received=0, sent=0)
    peers.ended(PEERS[2], 0.0, outgoing=True, ok=False, more=False, received=0, sent=0)
    for peer in PEERS[1:3]:
        peers.soon(peer, 1.0)
    assert peers.due(1.0 + bounds.SYNC_SOON_S * 1.3) == [PEERS[1]]


def test_a_clock_set_back_by_years_stops_nothing() -> None:
    peers = turns(PEERS[0])
    peers.connected(PEERS[1], 1e9)
    peers.due(1e9)
    peers.due(1.0)
    assert (peers.next_at(1.0) or 0.0) < 3_600
    assert peers.due(2_000.0) == [PEERS[1]]
