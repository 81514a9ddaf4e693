"""Keep where the audit of a chain left off, so that the next one costs the difference (spec/07).

A snapshot is the auditor's own: it is trusted as far as the folder it lies in. It names how much of
the chain's file it stands for, and the hash of those bytes; when they have changed, the chain is
replayed from its beginning and its blocks are compared with the hashes that the snapshot holds.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.ledger.audit.chain import ChainAudit, Incoming, Outgoing
from maillon.ledger.audit.statistics import Statistics
from maillon.ledger.block import DeltaRow, decode_header
from maillon.ledger.charter import CharterChain
from maillon.ledger.check import Head
from maillon.ledger.merkle import Frontier
from maillon.ledger.signing import Check, Verify
from maillon.ledger.state import ChainState
from maillon.protocol.errors import MaillonError

VERSION: Final = 3
_DIGEST_BYTES: Final = 32

# A snapshot is as large as the state it stands for: no bound of the wire format fits it.
_pack = cast("Any", msgpack.packb)  # pyright: ignore[reportUnknownMemberType]
_unpack = cast("Any", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an audit knew of a chain after `length` bytes of its file, whose hash is `digest`."""

    length: int
    digest: bytes
    height: int
    head: bytes
    hashes: bytes
    charters: tuple[bytes, ...]
    fields: Mapping[str, Any]

    @property
    def time(self) -> int:
        """Return the time of the last block, 0 when there was none. Raises: what decoding does."""
        header = self.fields["header"]
        return decode_header(header).time if header else 0


def encode_snapshot(audit: ChainAudit, length: int, digest: bytes) -> bytes:
    """Return the bytes of a finished audit without errors; the last 32 are their own hash."""
    head = audit.head
    fields: dict[str, Any] = {
        "v": VERSION,
        "fed": audit.fed,
        "chain": audit.chain,
        "length": length,
        "digest": digest,
        "header": head.header.encoded if head.header is not None else b"",
        # The charters the replay rested on: with others it would have gone another way.
        "charters": list(audit.charters.hashes()),
        "peaks": list(head.history.peaks),
        "rows": [row.array() for row in audit.state.rows()],
        "hashes": bytes(audit.hashes),
        "epochs": [list(pair) for pair in audit.epochs],
        "erased": audit.erased,
        "outgoing": {
            coop: [
                bytes(out.refs),
                bytes(out.units),
                bytes(out.returns),
                out.amounts.tobytes(),
                out.heights.tobytes(),
            ]
            for coop, out in audit.outgoing.items()
        },
        "incoming": {
            coop: [
                bytes(incoming.refs),
                bytes(incoming.credited),
                incoming.heights.tobytes(),
            ]
            for coop, incoming in audit.incoming.items()
        },
        "statistics": _statistics(audit.statistics),
    }
    data: bytes = _pack(fields, use_bin_type=True)
    return data + hashlib.sha256(data).digest()


def _statistics(s: Statistics) -> list[Any]:
    return [
        [s.blocks, s.entries, s.signatures, s.transfers, s.holds, s.voids],
        [[*key, *tally] for key, tally in s.months.items()],
        [[*key, *tally] for key, tally in s.categories.items()],
        [[hold, *what] for hold, what in s.reserved.items()],
    ]


def decode_snapshot(data: bytes, fed: bytes, chain: bytes) -> Snapshot | None:
    """Read a snapshot; None when it is damaged, of another version, or of another chain."""
    body, seal = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if len(data) <= _DIGEST_BYTES or hashlib.sha256(body).digest() != seal:
        return None
    try:
        fields: Any = _unpack(body, strict_map_key=False)
        if (fields["v"], fields["fed"], fields["chain"]) != (VERSION, fed, chain):
            return None
        hashes = fields["hashes"]
        return Snapshot(
            fields["length"],
            fields["digest"],
            len(hashes) // 32 - 1,
            hashes[-32:],
            hashes,
            tuple(fields["charters"]),
            fields,
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def resume(
    snapshot: Snapshot,
    chain: bytes,
    charters: CharterChain,
    verify: Verify,
    good: set[Check] | None = None,
    quick: bool = False,
) -> ChainAudit | None:
    """Return an audit that goes on where the snapshot ends; None when it rests on other charters.

    `good` are witnesses' signatures found good before, `quick` as of a `ChainAudit`. The rows are
    proven by the state root of the snapshot's header, the history by its hashes.
    """
    known = charters.hashes()
    if tuple(known[: len(snapshot.charters)]) != snapshot.charters:
        return None
    audit = ChainAudit(chain, charters, verify, good, quick)
    fields = snapshot.fields
    try:
        if fields["header"]:
            header = decode_header(fields["header"])
            state = ChainState.from_rows(chain, [_row(item) for item in fields["rows"]])
            if state.root() != header.state_root or header.hash != snapshot.head:
                return None
            audit.state = state
            history = Frontier(header.h + 1, fields["peaks"])
            audit.head = Head(header.h, header.hash, header.time, header.c2, history, header)
        audit.hashes = bytearray(snapshot.hashes)
        audit.epochs = [(h, c) for h, c in fields["epochs"]]
        audit.erased = fields["erased"]
        for coop, (refs, units, returns, amounts, heights) in fields["outgoing"].items():
            audit.outgoing[coop] = Outgoing(
                bytearray(refs),
                bytearray(units),
                bytearray(returns),
                array("q", amounts),
                array("q", heights),
            )
        for coop, (refs, credited, heights) in fields["incoming"].items():
            audit.incoming[coop] = Incoming(
                bytearray(refs), bytearray(credited), array("q", heights)
            )
        audit.statistics = _statistics_of(fields["statistics"])
    except (ValueError, KeyError, TypeError, IndexError, MaillonError):
        return None
    # A charter may since have retired or refounded what was fine then.
    for index, (low, c) in enumerate(audit.epochs):
        high = audit.epochs[index + 1][0] - 1 if index + 1 < len(audit.epochs) else audit.head.h
        if charters.void(chain, c, high) or not charters.latest.may_count(
            chain, c, high, audit.hash_at(high)
        ):
            return None
        del low
    return audit


def _row(item: Any) -> DeltaRow:
    return DeltaRow(item[0], item[1], item[2] if len(item) > 2 else b"")


def _statistics_of(value: Any) -> Statistics:
    counts, months, categories, reserved = value
    made = Statistics(*counts)
    made.months = {(a, b): (n, total) for a, b, n, total in months}
    made.categories = {(a, b): (n, total) for a, b, n, total in categories}
    made.reserved = {hold: (unit, amount, category) for hold, unit, amount, category in reserved}
    return made
