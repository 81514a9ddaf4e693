"""Hear of new blocks, fraud, confirmations and proposals by gossip, and tell of them (spec/06).

A hint says that something exists; nothing is decided by one. It is relayed when it is proven by
itself and not old news of ours: else a stranger could have the federation carry anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from maillon.ledger.block import verify_certificate
from maillon.ledger.errors import ChainUnknown
from maillon.ledger.fraud import decode_fraud
from maillon.ledger.messages import (
    Confirm,
    ConfirmHint,
    FraudHint,
    FraudReport,
    HeadHint,
    Hint,
    ProposalHint,
    decode_hints,
    encode_hints,
)
from maillon.ledger.quorum import decode_certificate
from maillon.ledger.steps import NeedsBlocks
from maillon.node import bounds as node_bounds
from maillon.node.ledger import bounds
from maillon.node.ledger.machine import Machine
from maillon.protocol.errors import MaillonError


class HintsIn:
    """Judge hints that others gossip."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._levels: dict[bytes, tuple[float, float]] = {}
        self.taken = 0
        self.refused = 0

    def judge(
        self, peer: bytes, data: bytes, at: float, now: int
    ) -> tuple[bool, list[NeedsBlocks], str]:
        """Return whether to relay a message, what to fetch, and the code of an offence or "".

        `at` counts seconds for the rate, `now` is Unix seconds.
        """
        try:
            hints = decode_hints(data)
        except MaillonError as fault:
            self.refused += 1
            return False, [], "" if fault.excusable else fault.code
        if not self._room(peer, len(hints), at):
            return False, [], ""
        needs: list[NeedsBlocks] = []
        relay = True
        for hint in hints:
            try:
                relay &= self._judge(hint, peer, needs, now)
            except MaillonError as fault:
                relay = False
                self.refused += 1
                if not (fault.excusable or fault.pending or fault.benign):
                    return False, needs, fault.code
            else:
                self.taken += 1
        return relay, needs, ""

    def _room(self, peer: bytes, count: int, at: float) -> bool:
        level, before = self._levels.get(peer, (0.0, at))
        level = max(0.0, level - max(0.0, at - before) * bounds.HINTS_RATE) + count
        if level > bounds.HINTS_BURST:
            return False
        if len(self._levels) > node_bounds.STANDINGS_MAX:
            self._levels.clear()
        self._levels[peer] = (level, at)
        return True

    def _judge(self, hint: Hint, peer: bytes, needs: list[NeedsBlocks], now: int) -> bool:
        machine = self._machine
        match hint:
            case HeadHint():
                return self._head(hint, peer, needs)
            case FraudHint(proof):
                decode_fraud(proof)
                return machine.told(FraudReport(proof), peer, now)
            case ConfirmHint(chain, hold, confirmation):
                return machine.told(Confirm(chain, hold, confirmation), peer, now)
            case ProposalHint():
                return machine.told(hint, peer, now)

    def _head(self, hint: HeadHint, peer: bytes, needs: list[NeedsBlocks]) -> bool:
        book, header = self._machine.book, hint.header
        if header.fed != book.fed:
            raise ChainUnknown(chain=header.chain)
        head = book.head(header.chain)
        if header.h < head.h or header.hash == head.hash:
            # Old news is not carried further; what is held already was proven, byte for byte.
            known_block = book.block(header.chain, head.h)
            return header.h == head.h and hint.certificate == known_block.certificate
        refounded = header.chain == book.fed and header.c == head.h
        known = book.charter.height
        if header.c > known:
            needs.append(NeedsBlocks(book.fed, known + 1, peer))
            return False
        if not refounded and not book.charter.may_count(
            header.chain, header.c, header.h, header.hash
        ):
            return False
        committee = book.charter_state(header.c).committee()
        verify_certificate(header, decode_certificate(hint.certificate), committee, book.verify)
        needs.append(NeedsBlocks(header.chain, head.h + 1, peer))
        return True


class HintsOut:
    """Gather hints for a moment, so that one message carries many."""

    def __init__(self) -> None:
        self._hints: dict[tuple[int, bytes], Hint] = {}
        self._event = trio.Event()

    def add(self, hints: Sequence[Hint]) -> None:
        """Take hints to tell; of a chain only the newest head."""
        for hint in hints:
            self._hints[_place(hint)] = hint
            while len(self._hints) > bounds.HINTS_PENDING_MAX:
                del self._hints[next(iter(self._hints))]
        if self._hints:
            self._event.set()

    async def wait(self) -> None:
        """Wait until there is something to tell."""
        await self._event.wait()

    def take(self) -> list[bytes]:
        """Return the messages that carry all hints, each under 64 KiB."""
        self._event = trio.Event()
        hints, self._hints = list(self._hints.values()), {}
        messages: list[bytes] = []
        part: list[Hint] = []
        size = 0
        for hint in hints:
            length = len(encode_hints([hint]))
            full = size + length > bounds.HINTS_BYTES_MAX
            if part and (full or len(part) >= bounds.HINTS_MAX):
                messages.append(encode_hints(part))
                part, size = [], 0
            part.append(hint)
            size += length
        if part:
            messages.append(encode_hints(part))
        return messages


def _place(hint: Hint) -> tuple[int, bytes]:
    match hint:
        case HeadHint(header):
            return hint.KIND, header.chain
        case FraudHint(proof):
            return hint.KIND, proof
        case ConfirmHint(chain, hold):
            return hint.KIND, chain + hold
        case ProposalHint(proposal):
            return hint.KIND, proposal
