"""Claims about peer ids, multiaddresses, the address book and what others say about addresses."""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node import bounds
from maillon.node.net.addressbook import AddressBook
from maillon.node.net.asking import read_answer
from maillon.node.net.errors import BadAddress, BadPeerId
from maillon.node.net.identity import key_of, key_of_bytes, parse_address, peer_id, peer_id_bytes
from maillon.node.net.interfaces import expand
from maillon.node.net.mdns import announced, announcement
from maillon.protocol import encoding
from maillon.protocol.errors import Malformed

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


@given(st.binary(min_size=32, max_size=32))
def test_a_key_survives_its_peer_id_and_libp2p_agrees(key: bytes) -> None:
    from libp2p.peer.id import ID

    assert key_of(peer_id(key)) == key
    assert key_of_bytes(peer_id_bytes(key)) == key
    assert ID(peer_id_bytes(key)).to_base58() == peer_id(key)
    assert peer_id(key).startswith("12D3KooW")


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "0OIl", "z" * 65,
        "é", "12D3KooW" + "z" * 44,
    ],
)
def test_what_is_no_ed25519_peer_id_is_refused(text: str) -> None:
    with pytest.raises(BadPeerId):
        key_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.1/tcp/4001",
        "/ip6/2001:db8::1/tcp/1",
        "/dns4/node.example.org/tcp/65535",
        "/dns/node.example.org/tcp/4001",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{peer_id(KEY)}",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{peer_id(KEY)}/p2p-circuit/p2p/{peer_id(OTHER)}",
    ],
)
def test_an_address_is_read_and_written_back(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "192.0.2.1:4001", "/ip4/192.0.2.1", "/ip4/192.0.2.256/tcp/1", "/ip4/::1/tcp/1",
        "/ip4/192.0.2.1/udp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/-1",
        "/ip4/192.0.2.1/tcp/65536", "/ip4/192.0.2.1/tcp/4001/ws", "/ip4/192.0.2.1/tcp/4001/p2p/x",
        "/ip4/192.0.2.1/tcp/4001/ipfs/x", "/unix/etc/passwd", "/dns4//tcp/1",
        "/ip4/192.0.2.1/tcp/٣",
        "/ip4/192.0.2.1/tcp/4001/p2p-circuit/p2p/x", "/ip4/1.2.3.4/tcp/1" + "/" * 600,
    ],
)
def test_what_is_no_dialable_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_addresses(text: str) -> None:
    for address in (text, "/ip4/" + text, "/ip4/192.0.2.1/tcp/" + text):
        try:
            parse_address(address)
        except BadAddress:
            continue


def test_every_interface_becomes_real_addresses() -> None:
    listening = [parse_address("/ip4/0.0.0.0/tcp/4001"), parse_address("/ip4/127.0.0.1/tcp/4002")]
    found = expand(listening)
    assert found and not any(address.is_unspecified for address in found)
    assert listening[1] in found


def book() -> AddressBook:
    """Return a book whose jitter is the same each time."""
    return AddressBook(random.Random(7))


def test_failed_dials_are_tried_again_after_growing_pauses_with_jitter() -> None:
    kept = book()
    kept.keep(KEY, ["/ip4/192.0.2.1/tcp/1"], 0.0)
    now, pauses = 0.0, list[float]()
    for _ in range(12):
        [entry] = kept.due(now, set(), 8)
        kept.failed(KEY, "no", now)
        assert kept.due(now, set(), 8) == []
        pauses.append(entry.next_try - now)
        now = entry.next_try
    for number, pause in enumerate(pauses):
        expected = min(bounds.REDIAL_S_MAX, bounds.REDIAL_S_MIN * 2.0**number)
        assert 0.75 * expected <= pause <= 1.25 * expected
    assert len(set(pauses[-3:])) == 3


def test_a_new_announcement_is_tried_at_once_and_the_same_one_is_not() -> None:
    kept = book()
    kept.keep(KEY, ["/ip4/192.0.2.1/tcp/1"], 0.0)
    kept.failed(KEY, "no", 0.0)
    kept.keep(KEY, ["/ip4/192.0.2.1/tcp/1"], 0.1)
    assert kept.due(0.2, set(), 8) == []
    kept.keep(KEY, ["/ip4/192.0.2.2/tcp/1"], 0.3)
    [entry] = kept.due(0.3, set(), 8)
    assert [str(a) for a in entry.candidates()] == ["/ip4/192.0.2.2/tcp/1"]


def test_hints_add_to_announced_addresses_and_never_displace_them() -> None:
    kept = book()
    mine = [f"/ip4/192.0.2.{n}/tcp/1" for n in range(8)]
    kept.keep(KEY, mine, 0.0)
    assert kept.hint(KEY, [f"/ip4/198.51.100.{n}/tcp/1" for n in range(200)], 0.0)
    candidates = [str(a) for a in kept.entries[KEY].candidates()]
    assert set(mine) <= set(candidates)
    assert len(candidates) <= bounds.ADDRESSES_PER_PEER_MAX
    assert not kept.hint(OTHER, ["/ip4/192.0.2.1/tcp/1"], 0.0)
    assert OTHER not in kept.entries


def test_addresses_of_another_node_or_of_nowhere_are_not_kept() -> None:
    kept = book()
    bad = [
        f"/ip4/192.0.2.1/tcp/1/p2p/{peer_id(OTHER)}", "/ip4/0.0.0.0/tcp/1", "/ip4/192.0.2.1/tcp/0",
        "nonsense",
    ]
    assert kept.keep(KEY, bad, 0.0) == bad
    assert kept.due(0.0, set(), 8) == []


def test_connected_nodes_and_those_being_dialled_are_not_due() -> None:
    kept = book()
    kept.keep(KEY, ["/ip4/192.0.2.1/tcp/1"], 0.0)
    kept.keep(OTHER, ["/ip4/192.0.2.2/tcp/1"], 0.0)
    assert {entry.key for entry in kept.due(0.0, {KEY}, 8)} == {OTHER}
    kept.entries[OTHER].dialling = True
    assert kept.due(0.0, {KEY}, 8) == []
    assert kept.due(0.0, set(), 0) == []


def test_the_book_is_bounded() -> None:
    kept = book()
    for number in range(bounds.PEERS_KEPT_MAX + 5):
        kept.keep(number.to_bytes(32, "big"), ["/ip4/192.0.2.1/tcp/1"], 0.0)
    assert len(kept.entries) == bounds.PEERS_KEPT_MAX


def test_an_answer_about_addresses_is_read_and_its_odd_entries_skipped() -> None:
    frame = encoding.encode(
        [1, [[KEY, ["/ip4/192.0.2.1/tcp/1", 7]], [KEY[:5], []], "odd", [OTHER, [], "more"]], "more"]
    )
    assert read_answer(frame) == [(KEY, ["/ip4/192.0.2.1/tcp/1"]), (OTHER, [])]
    assert read_answer(encoding.encode([1])) == []
    assert read_answer(encoding.encode({"a": 1})) == []
    with pytest.raises(Malformed):
        read_answer(b"\xff\xff")


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading_of_a_local_announcement(text: bytes) -> None:
    assert len(announced(text)) <= bounds.ADDRESSES_PER_PEER_MAX


def test_a_local_announcement_is_read_back() -> None:
    hosts = ("/ip4/192.0.2.1", "/ip6/2001:db8::1")
    addresses = [f"{host}/tcp/4001/p2p/{peer_id(KEY)}" for host in hosts]
    assert announced(announcement(addresses)) == [(KEY, text) for text in addresses]
    assert announced(b"\x07dnsaddr" + b"\x05a=b/c") == []
