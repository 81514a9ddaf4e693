"""Keep all chains of a federation as one node knows them: heads, states, charter.

The book decides nothing that `check_block` and `CharterChain` do not decide; it knows what the next
block of each chain has to follow, what is on disk, and how to load it. Its memory changes at once
when a block is applied: the caller commits the writes it is given before anything that rests on
them leaves, and ends the process when that fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from maillon.ledger.block import (
    Block,
    DeltaRow,
    Evidence,
    Header,
    Placed,
    decode_block,
    decode_header,
    genesis_hash,
    history_leaf,
    verify_certificate,
)
from maillon.ledger.bounds import READ_KEPT_MAX
from maillon.ledger.charter import CharterChain, CheckedCharter
from maillon.ledger.charter_state import CharterState
from maillon.ledger.check import Checked, Head, check_block, governing
from maillon.ledger.entries import (
    Entry,
    Hold,
    Out,
    Post,
    Return,
    Settle,
    Void,
    decode_entry,
    message_of,
)
from maillon.ledger.errors import BadBlock, ChainUnknown, NeedBlocks
from maillon.ledger.fastpay import read_entry
from maillon.ledger.limits import BLOCK_BYTES_MAX
from maillon.ledger.merkle import Frontier, inclusion_path
from maillon.ledger.orders import HoldAction
from maillon.ledger.quorum import Certificate, decode_certificate
from maillon.ledger.signing import Check, Verify
from maillon.ledger.state import ChainState
from maillon.ledger.steps import Disk, Write
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import Malformed
from maillon.protocol.founding import Founding
from maillon.protocol.ids import CoopId

HEADS: Final = "head"
BLOCKS: Final = "block"
HASHES: Final = "hash"
ROWS: Final = "row"
SENT: Final = "sent"
"""chain + destination + n (8 bytes) → height (8) + index (2): where a channel's message stands."""
HOLDS: Final = "hold"
"""chain + hold id → height (8) + index (2), while the hold is open and crosses to another coop."""


def _at(h: int) -> bytes:
    return h.to_bytes(8, "big")


def _row_key(chain: bytes, slot: int) -> bytes:
    return chain + slot.to_bytes(4, "big")


def _row_value(row: DeltaRow) -> bytes:
    # No row begins with a zero byte: every one is an array of at least three.
    return row.row or b"\0" + row.hash


def _row_read(slot: int, value: bytes) -> DeltaRow:
    return DeltaRow(slot, b"", value[1:]) if value[:1] == b"\0" else DeltaRow(slot, value)


class Book:
    """All chains of a federation. `verify` checks the signatures of a block in one call."""

    def __init__(self, founding: Founding, disk: Disk, verify: Verify) -> None:
        """Take over what is on disk. Raises: NoLedger when the federation has no accounts."""
        self.founding = founding
        self.fed: bytes = founding.fed
        self.charter = CharterChain(founding, disk, verify)
        self._disk = disk
        self.verify = verify
        self._heads: dict[bytes, Head] = {}
        self._states: dict[bytes, ChainState] = {}
        # The last block of each chain: it may be asked for before its writes are committed.
        self._last: dict[bytes, Block] = {}
        # The entries of blocks that were just taken over, by the block's hash, until they are read.
        self._read: dict[bytes, tuple[Entry | None, ...]] = {}
        for chain, value in disk.scan(HEADS):
            self._heads[chain] = self._read_head(chain, value)

    # --- What is known ----------------------------------------------------------------------

    def chains(self) -> list[bytes]:
        """Return the coops of the latest charter, those that left included, in charter order."""
        return list(self.charter.latest.coops)

    def head(self, chain: bytes) -> Head:
        """Return the last block of a chain, the charter's included. Raises: ChainUnknown."""
        if chain == self.fed:
            return self.charter.head
        found = self._heads.get(chain)
        if found is None:
            found = self._heads[chain] = self._genesis(chain)
        return found

    def state(self, chain: bytes) -> ChainState:
        """Return the state at a chain's head; change nothing in it. Raises: ChainUnknown."""
        found = self._states.get(chain)
        if found is None:
            head = self.head(chain)
            if chain == self.fed:
                raise ChainUnknown(chain=chain)
            found = ChainState(chain)
            if head.h:
                rows = self._disk.scan(ROWS, chain)
                found = ChainState.from_rows(
                    chain, [_row_read(int.from_bytes(key[-4:], "big"), row) for key, row in rows]
                )
            self._states[chain] = found
        return found

    def charter_state(self, c: int) -> CharterState:
        """Return the charter of a height. Raises: CharterUnknown."""
        return self.charter.state(c)

    def governing(self, chain: bytes) -> int:
        """Return the height of the charter that governs the next block of a chain."""
        head = self.head(chain)
        if chain == self.fed:
            return head.h
        return governing(self.charter_state, self.charter.height, chain, head)

    def hash_at(self, chain: bytes, h: int) -> bytes:
        """Return H at a height, 0 for genesis. Raises: NeedBlocks when it is not known."""
        if chain == self.fed:
            return self.charter.hash_at(h)
        head = self.head(chain)
        if h == head.h:
            return head.hash
        if h == 0:
            return genesis_hash(self.fed, chain)
        found = self._disk.get(HASHES, chain + _at(h)) if 0 < h < head.h else None
        if found is None:
            raise NeedBlocks(chain=chain, from_h=head.h + 1)
        return found

    def block(self, chain: bytes, h: int) -> Block:
        """Return a block with its certificate. Raises: NeedBlocks when it is not known."""
        if chain == self.fed:
            return self.charter.block(h)
        last = self._last.get(chain)
        if last is not None and last.h == h:
            return last
        return decode_block(self._block_bytes(chain, h))

    def blocks(self, chain: bytes, low: int, high: int) -> Iterator[Block]:
        """Yield the known blocks of heights `low` to `high`, both included."""
        for h in range(max(low, 1), min(high, self.head(chain).h) + 1):
            yield self.block(chain, h)

    def entries(self, block: Block) -> Iterator[tuple[int, Placed, Entry]]:
        """Yield a certified block's entries with their places, those left out that were erased.

        What was just taken over is not decoded again: the first time it is asked for.
        """
        known = self._read.pop(block.hash, None) or (None,) * len(block.body.entries)
        for index, (placed, entry) in enumerate(zip(block.body.entries, known, strict=True)):
            if isinstance(placed, Placed):
                yield index, placed, read_entry(placed.data) if entry is None else entry

    def header_at(self, chain: bytes, h: int) -> Header:
        """Return a block's header. Raises: NeedBlocks when it is not known."""
        if chain == self.fed:
            return self.charter.header(h)
        head = self.head(chain)
        if h == head.h and head.header is not None:
            return head.header
        value = decode(self._block_bytes(chain, h), bytes_max=BLOCK_BYTES_MAX)
        if type(value) is not list or type(value[0]) is not bytes:
            raise Malformed(rule="block")
        return decode_header(value[0])

    def _block_bytes(self, chain: bytes, h: int) -> bytes:
        head = self.head(chain)
        found = self._disk.get(BLOCKS, chain + _at(h)) if 0 < h <= head.h else None
        if found is None:
            raise NeedBlocks(chain=chain, from_h=head.h + 1)
        return found

    # --- Evidence ---------------------------------------------------------------------------

    def history_path(self, chain: bytes, h: int, size: int) -> list[bytes]:
        """Return the path of block `h` in the history of the block of height `size`.

        Raises: NeedBlocks when that block is not known; IndexError unless 0 <= h < size.
        """
        return inclusion_path([history_leaf(self.hash_at(chain, at)) for at in range(size)], h)

    def evidence(self, chain: bytes, h: int, c: int | None = None) -> Evidence:
        """Prove a block to the reader of a block that charter `c` governs (the latest for None).

        A certificate of an epoch that this charter retired proves nothing by itself (E4): then
        the pinned head, or the chain's last block, carries it. Raises: NeedBlocks.
        """
        charter = self.charter.latest if c is None else self.charter_state(c)
        block = self.block(chain, h)
        header = block.header
        if charter.counts(chain, header.c, h, header.hash):
            return Evidence(header, header, block.certified_by())
        head = self.head(chain)
        carrier_h, _ = charter.retired_heads.get(CoopId(chain), (head.h, b""))
        if h >= carrier_h:
            carrier_h = head.h
        carrier = self.block(chain, carrier_h)
        path = tuple(self.history_path(chain, h, carrier_h))
        return Evidence(header, carrier.header, carrier.certified_by(), path)

    def sent_at(self, source: bytes, to_coop: bytes, n: int) -> tuple[int, int] | None:
        """Return height and index of a channel's message on its source's chain, or None."""
        found = self._disk.get(SENT, source + to_coop + _at(n))
        if found is None:
            return None
        return int.from_bytes(found[:8], "big"), int.from_bytes(found[8:], "big")

    def hold_body(self, chain: bytes, hold: bytes) -> bytes | None:
        """Return the order body of an open hold towards another coop, or None.

        A post that crosses carries it: the destination reads amount and payee from it.
        """
        found = self._disk.get(HOLDS, chain + hold)
        if found is None:
            return None
        placed = self.block(chain, int.from_bytes(found[:8], "big")).body.entries
        entry = placed[int.from_bytes(found[8:], "big")]
        data = getattr(entry, "data", None)
        if data is None:
            return None
        read = decode_entry(data)
        return read.order.body if isinstance(read, Hold) else None

    # --- Changing ---------------------------------------------------------------------------

    def check(self, block: Block) -> Checked | CheckedCharter:
        """Return what a block leads to as the next one of its chain; nothing is changed.

        Raises: BadBlock with its facts; NeedBlocks, CharterUnknown when something before it is
        missing here; ChainUnknown; for the charter's chain what `CharterChain.check` raises.
        """
        if block.chain == self.fed:
            return self.charter.check(block, self._held)
        return self._check(block, certified=False)

    def _check(self, block: Block, *, certified: bool) -> Checked:
        chain = block.chain
        head = self.head(chain)
        return check_block(
            block,
            head,
            self.state(chain),
            self.charter_state,
            self.verify,
            fed=self.fed,
            c=self.governing(chain),
            certified=certified,
        )

    def _held(self, chain: bytes, h: int) -> tuple[bytes, int]:
        """Return hash and adopted charter of a block held here, for a witness's retirement."""
        if h == self.head(chain).h:
            return self.head(chain).hash, self.head(chain).adopted
        if h == 0:
            return genesis_hash(self.fed, chain), self.charter.latest.coops[CoopId(chain)].entered
        header = self.header_at(chain, h)
        return header.hash, header.c2

    def apply(
        self, block: Block | Checked | CheckedCharter, certificate: bytes | Certificate
    ) -> tuple[Write, ...]:
        """Take over a certified next block and return what is to be committed.

        What was checked is not checked again; the certificate always is. A block that stands
        already changes nothing. Nothing changes either when it is refused. Raises: as `check`;
        NotCertified, BadCertificate, NoQuorum; BadBlock `retired` when only a retired epoch
        vouches for it, `fork` when another block stands at its height, `forked` when the charter
        pinned this block and it does not follow what stands here.
        """
        data = certificate if isinstance(certificate, bytes) else certificate.encode()
        made = block if isinstance(block, Block) else block.block
        if made.h <= self.head(made.chain).h and made.h > 0:
            if self.hash_at(made.chain, made.h) == made.hash:
                return ()
            raise BadBlock(reason="fork", chain=made.chain, h=made.h)
        if made.chain == self.fed:
            given = block if isinstance(block, CheckedCharter) else self.charter.check(made)
            before = self.charter.latest.retired_heads
            writes = self.charter.apply(given, data)
            if self.charter.latest.retired_heads != before:
                writes += self._pinned()
            return writes
        head = self.head(made.chain)
        header = made.header
        read = decode_certificate(data)
        self._competent(header)
        verify_certificate(header, read, self.charter_state(header.c).committee(), self.verify)
        state = self.state(made.chain)
        if not (isinstance(block, Checked) and block.head.h == head.h + 1):
            block = self._check(made, certified=True)
        elif header.prev != head.hash or not state.begot(block.state):
            block = self._check(made, certified=True)
        return self._take(block, read, data)

    def _competent(self, header: Header) -> None:
        head = self.head(header.chain)
        if header.h > head.h + 1:
            raise NeedBlocks(chain=header.chain, from_h=head.h + 1)
        if header.c != self.governing(header.chain):
            raise BadBlock(reason="charter", named=header.c, governing=self.governing(header.chain))
        if not self.charter.may_count(header.chain, header.c, header.h, header.hash):
            raise BadBlock(reason="retired", chain=header.chain, h=header.h)
        pinned = self.charter.latest.retired_heads.get(CoopId(header.chain))
        if pinned == (header.h, header.hash) and header.prev != head.hash:
            # All coops vouch for this block: what stands below it here was certified with stolen
            # keys of an epoch that is retired by now. `rewind` to 0 and take the chain anew.
            raise BadBlock(reason="forked", chain=header.chain, h=header.h)

    def _take(self, checked: Checked, certificate: Certificate, data: bytes) -> tuple[Write, ...]:
        block = checked.block.with_certificate(data)
        chain, key = block.chain, _at(block.h)
        state = self.state(chain)
        changed = checked.state.changed()
        state.absorb(checked.state)
        head = self.head(chain).after(block.header, certificate)
        self._heads[chain] = head
        self._last[chain] = block
        if len(self._read) >= READ_KEPT_MAX:
            self._read.pop(next(iter(self._read)))
        self._read[block.hash] = checked.entries
        return (
            Write(BLOCKS, chain + key, block.encode()),
            Write(HASHES, chain + key, block.hash),
            Write(HEADS, chain, _head_value(head, data)),
            *(Write(ROWS, _row_key(chain, row.slot), _row_value(row)) for row in changed),
            *self._indexed(checked),
        )

    def _indexed(self, checked: Checked) -> Iterator[Write]:
        chain, h = checked.block.chain, checked.block.h
        for index, entry in enumerate(checked.entries):
            place = _at(h) + index.to_bytes(2, "big")
            if isinstance(entry, Out | Post | Settle | Return):
                leaf = checked.block.body.entries[index].leaf()
                message = message_of(entry, leaf, self.fed)
                if message is not None:
                    yield Write(SENT, chain + message.to_coop + _at(message.n), place)
            if isinstance(entry, Hold):
                action = entry.order.action
                if isinstance(action, HoldAction) and action.to_coop != chain:
                    yield Write(HOLDS, chain + entry.order.id(self.fed), place)
            elif isinstance(entry, Post | Void):
                yield Write(HOLDS, chain + entry.hold, None)

    def replace(self, block: Block) -> tuple[Write, ...]:
        """Take over a block from which entries were erased, and return what is to be committed.

        Its header is the one that stands. Raises: ValueError for another block.
        """
        if self.hash_at(block.chain, block.h) != block.hash:
            raise ValueError("a block is replaced only by itself, with less in it")
        if block.h == self.head(block.chain).h:
            self._last[block.chain] = block
        return (Write(BLOCKS, block.chain + _at(block.h), block.encode()),)

    def forget(self, chain: bytes, account: bytes) -> tuple[Write, ...]:
        """Keep of a closed account's row only its leaf, and return what is to be committed."""
        row = self.state(chain).forget(account)
        if row is None:
            return ()
        return (Write(ROWS, _row_key(chain, row.slot), _row_value(row)),)

    # --- Going back -------------------------------------------------------------------------

    def _pinned(self) -> tuple[Write, ...]:
        """Go back where a retirement or a re-founding pinned another block than stands here."""
        writes: tuple[Write, ...] = ()
        for chain, (h, block_hash) in self.charter.latest.retired_heads.items():
            head = self.head(chain)
            if head.h < h:
                continue
            if self.hash_at(chain, h) != block_hash:
                # What stands here was certified with stolen keys: nothing of it can be trusted.
                writes += self.rewind(chain, 0)
            elif head.h > h and self.charter.void(chain, self.header_at(chain, h + 1).c, h + 1):
                writes += self.rewind(chain, h)
        return writes

    def replay(self, chain: bytes, high: int) -> Iterator[tuple[ChainState, Checked]]:
        """Go through a coop's chain from its beginning to height `high`, once more by the rules.

        Yields a state of its own, and what the next block leads to; the block is absorbed into
        that state when the next pair is asked for, and after the last. Signatures are not verified
        again: they were before the blocks were written down.
        """
        head = self._genesis(chain)
        state = ChainState(chain)
        for block in self.blocks(chain, 1, high):
            checked = check_block(
                block,
                head,
                state,
                self.charter_state,
                _trust,
                fed=self.fed,
                c=block.header.c,
                certified=True,
            )
            yield state, checked
            state.absorb(checked.state)
            head = checked.head

    def _genesis(self, chain: bytes) -> Head:
        coop = self.charter.latest.coops.get(CoopId(chain))
        if coop is None:
            raise ChainUnknown(chain=chain)
        return Head.genesis(self.fed, chain, coop.entered)

    def rewind(self, chain: bytes, h: int) -> tuple[Write, ...]:
        """Drop the blocks above height `h` and return what is to be committed.

        Only after a re-founding or a retirement that pinned another block; a certified block is
        final otherwise. The state is made anew from the blocks that stay.
        """
        top = self.head(chain)
        slots = self.state(chain).size
        head = self._genesis(chain)
        state = ChainState(chain)
        last: Block | None = None
        for made, checked in self.replay(chain, h):
            state = made
            last = checked.block
            head = checked.head
        if last is not None:
            head = replace(head, certificate=last.certified_by())
        self._heads[chain] = head
        self._states[chain] = state
        self._last.pop(chain, None)
        value = _head_value(head, last.certificate) if last is not None else None
        writes = [Write(HEADS, chain, value)]
        for gone in range(h + 1, top.h + 1):
            writes.append(Write(BLOCKS, chain + _at(gone), None))
            writes.append(Write(HASHES, chain + _at(gone), None))
        for row in state.rows():
            writes.append(Write(ROWS, _row_key(chain, row.slot), _row_value(row)))
        for slot in range(state.size, slots):
            writes.append(Write(ROWS, _row_key(chain, slot), None))
        for key, place in list(self._disk.scan(SENT, chain)):
            if int.from_bytes(place[:8], "big") > h:
                writes.append(Write(SENT, key, None))
        for key, place in list(self._disk.scan(HOLDS, chain)):
            if int.from_bytes(place[:8], "big") > h:
                writes.append(Write(HOLDS, key, None))
        return tuple(writes)

    def _read_head(self, chain: bytes, value: bytes) -> Head:
        parts = decode(value, bytes_max=BLOCK_BYTES_MAX)
        if type(parts) is not list or len(parts) != 3:
            raise Malformed(rule="head")
        header_bytes, certificate, peaks = parts
        assert type(header_bytes) is bytes and type(certificate) is bytes and type(peaks) is list
        header = decode_header(header_bytes)
        frontier = Frontier(header.h + 1, [peak for peak in peaks if type(peak) is bytes])
        return Head(
            header.h,
            header.hash,
            header.time,
            header.c2,
            frontier,
            header,
            decode_certificate(certificate),
        )


def _trust(checks: Sequence[Check]) -> list[bool]:
    # Signatures on disk were verified before they were written.
    return [True] * len(checks)


def _head_value(head: Head, certificate: bytes) -> bytes:
    assert head.header is not None
    return encode([head.header.encoded, certificate, list(head.history.peaks)])
