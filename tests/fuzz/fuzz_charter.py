"""Fuzz the charter: no entry, proposal or block does anything but what the rules say (spec/06)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maillon.ledger.block import decode_block
from maillon.ledger.charter import CharterChain
from maillon.ledger.charter_entries import decode_charter_entry, encode_charter_entry
from maillon.ledger.charter_proposals import decode_proposal
from maillon.ledger.charter_rules import check_whole, next_state
from maillon.ledger.charter_state import CharterState, founding_state
from maillon.ledger.signing import Check
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import RemoteError
from maillon.protocol.founding import decode_founding
from support.vectors import load

ALL = load("charter.json")
FOUNDING = decode_founding(bytes.fromhex(ALL["founding"]))
STATE = founding_state(FOUNDING)
BEFORE = STATE.encode()


def _trusting(checks: Sequence[Check]) -> list[bool]:
    # Fuzzing finds no signature: what stands behind the signatures is what is looked for here.
    return [True] * len(checks)


def entry(data: bytes) -> None:
    """An entry is refused by name, or is the one writing of its parts."""
    try:
        found = decode_charter_entry(data)
    except RemoteError:
        return
    assert encode_charter_entry(found) == data


def proposal(data: bytes) -> None:
    """A proposal is refused by name, or is the one writing of its parts."""
    try:
        found = decode_proposal(data)
    except RemoteError:
        return
    assert found.encode() == data and len(found.hash) == 32


def change(data: bytes) -> None:
    """Blocks of entries, one after the other, make charters that could go on, or are refused."""
    state: CharterState = STATE
    try:
        blocks = decode(data, bytes_max=len(data))
    except RemoteError:
        return
    if not isinstance(blocks, list):
        return
    for block in blocks[:4]:
        if not isinstance(block, list):
            return
        try:
            entries = [decode_charter_entry(one) for one in block if isinstance(one, bytes)]
            made = next_state(state, entries)
        except RemoteError:
            continue
        check_whole(made)
        assert made.height == state.height + 1 and made.encode() != state.encode()
        assert made.committee().quorum == made.quorum
        keys = [k for c in made.coops.values() for k in (c.root, c.node_key, c.writer, c.witness)]
        held = [key for key in keys if key]
        assert len(set(held)) == len(held)
        assert all(made.writers(chain) for chain in made.coops)
        state = made
    assert STATE.encode() == BEFORE


def block(data: bytes) -> None:
    """A block is refused by name and changes nothing, or is one that follows."""
    chain = CharterChain(FOUNDING, None, _trusting)
    try:
        found = decode_block(data)
        chain.apply(found, found.certificate)
    except RemoteError:
        assert chain.height == 0 and chain.latest == STATE
        return
    assert chain.head.hash == found.hash and chain.block(1).encode() == data


TARGETS: dict[str, Callable[[bytes], None]] = {
    "entry": entry,
    "proposal": proposal,
    "change": change,
    "block": block,
}
SEEDS: dict[str, list[bytes]] = {
    "entry": [bytes.fromhex(v["entry"]) for v in ALL["entries"]],
    "proposal": [bytes.fromhex(ALL["proposal"]["bytes"])],
    "change": [
        encode([[bytes.fromhex(one) for one in part] for part in (*v["before"], v["entries"])])
        for v in ALL["changes"]
    ],
    "block": [bytes.fromhex(v["block"]) for v in ALL["blocks"]],
}
