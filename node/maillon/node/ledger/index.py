"""Know where everything stands on the chains: transfers by id, lines by account.

What is written here follows from certified blocks alone, and is written in the same commit as the
block. Rows of spaces of ledger.db; numbers in keys are big-endian, so that keys sort by them:

    line      coop account h i k        what moved one balance of an account
    transfer  id                        a transfer, a hold, or a settlement
    arrival   id                        where its destination took it, or sent it back and why
    back      id                        where the payer's coop credited what was sent back
    recent    coop h i                  the id of a transfer that this coop's chain sent or took
    reserved  coop id                   a hold towards this coop on another's chain, while open
    balance   coop account unit         the balance after the last line
    closed    coop account              at which height an account was closed
    settled   coop ref                  the id of a settlement
    indexed   chain                     height and hash of the last block that was read
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from maillon.ledger.block import Placed
from maillon.ledger.entries import (
    ChannelMessage,
    Close,
    Entry,
    Hold,
    In,
    Intra,
    Out,
    Post,
    Return,
    Settle,
    Void,
    decode_entry,
)
from maillon.ledger.orders import COMMONS, NO_REF, HoldAction, PayAction, read_body
from maillon.ledger.state import Account
from maillon.ledger.steps import Write
from maillon.node.ledger.arrivals import Arrival, decode_arrival, why_returned
from maillon.node.ledger.payrows import Payments
from maillon.node.ledger.staging import LedgerDisk
from maillon.protocol.encoding import Value, decode, encode

ROW_BYTES_MAX: Final = 2_048

ReadEntry = tuple[int, Placed, Entry, bytes]
"""An entry's place in its block, its bytes, and its id, b"" of what another coop began."""

# What became of a transfer.
CERTIFIED: Final = 0
HELD: Final = 1
POSTED: Final = 2
VOID: Final = 3
RETURNED: Final = 4
STATUS_NAMES: Final = ("certified", "held", "certified", "void", "returned")


def number(value: int, size: int = 8) -> bytes:
    """Return a number as it stands in a key."""
    return value.to_bytes(size, "big")


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of a certified block."""

    chain: bytes
    h: int
    index: int
    time: int

    def parts(self) -> tuple[bytes, int, int, int]:
        return self.chain, self.h, self.index, self.time

    def array(self) -> list[Value]:
        return list(self.parts())


@dataclass(frozen=True, slots=True)
class TransferRow:
    """A transfer as the chains tell it; `place` is where the payer's coop wrote it."""

    id: bytes
    place: Place
    kind: int
    account: bytes
    to_coop: bytes
    to_account: bytes
    unit: int
    amount: int
    ref: bytes
    category: str
    status: int
    ended: Place | None = None
    """Where a hold was posted or voided."""
    arrived: Place | None = None
    """Where the destination took it, or sent it back."""
    expiry: int = 0
    payee_key: bytes = b""
    arbiter: bytes = b""
    hashlock: bytes = b""
    why: str = ""
    """Code of why the destination sent it back."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    back: Place | None = None
    """Where the payer's coop credited what was sent back."""

    @property
    def coop(self) -> bytes:
        """Return the payer's coop."""
        return self.place.chain

    def encode(self) -> bytes:
        return encode(
            [
                self.place.array(),
                self.kind,
                self.account,
                self.to_coop,
                self.to_account,
                self.unit,
                self.amount,
                self.ref,
                self.category,
                self.status,
                [] if self.ended is None else self.ended.array(),
                self.expiry,
                self.payee_key,
                self.arbiter,
                self.hashlock,
            ]
        )


def _place(value: Any) -> Place | None:
    return Place(*value) if value else None


def decode_transfer(id: bytes, data: bytes) -> TransferRow:
    """Read a row that this module wrote."""
    parts = cast("list[Any]", decode(data, bytes_max=ROW_BYTES_MAX))
    place, kind, account, to_coop, to_account, unit, amount, ref, category, status = parts[:10]
    ended, expiry, payee_key, arbiter, hashlock = parts[10:]
    return TransferRow(
        id,
        Place(*place),
        kind,
        account,
        to_coop,
        to_account,
        unit,
        amount,
        ref,
        category,
        status,
        _place(ended),
        None,
        expiry,
        payee_key,
        arbiter,
        hashlock,
    )


@dataclass(frozen=True, slots=True)
class Line:
    """What moved one balance of one account; `amount` is negative when it left the account.

    A hold and its end move no balance: `amount` is 0 and `reserved` what they reserved or freed.
    """

    place: Place
    kind: str
    counterpart_coop: bytes
    counterpart: bytes
    unit: int
    amount: int
    reserved: int
    balance: int
    id: bytes
    ref: bytes
    category: str
    key: bytes = b""

    def encode(self) -> bytes:
        return encode(
            [
                self.place.array(),
                self.kind,
                self.counterpart_coop,
                self.counterpart,
                self.unit,
                self.amount,
                self.reserved,
                self.balance,
                self.id,
                self.ref,
                self.category,
            ]
        )


def decode_line(key: bytes, data: bytes) -> Line:
    """Read a row that this module wrote."""
    parts = cast("list[Any]", decode(data, bytes_max=ROW_BYTES_MAX))
    return replace(Line(Place(*parts[0]), *parts[1:]), key=key)


def _said(data: bytes) -> tuple[bytes, str]:
    """Return ref and category of the entry that a channel's message stands in."""
    entry = decode_entry(data)
    match entry:
        case Out(order=order):
            assert isinstance(order.action, PayAction)
            return order.action.ref, order.action.category
        case Post():
            action = read_body(entry.order_body)[4]
            assert isinstance(action, HoldAction)
            return action.ref, action.category
        case Settle():
            return entry.ref, ""
        case Return():
            return _said(entry.data)
        case _:
            return NO_REF, ""


def _row(id: bytes, place: Place, entry: Hold) -> TransferRow:
    """Return the row of a hold that was just certified."""
    action = entry.order.action
    assert isinstance(action, HoldAction)
    return TransferRow(
        id,
        place,
        entry.KIND,
        entry.order.account,
        action.to_coop,
        action.to_account,
        action.unit,
        action.amount,
        action.ref,
        action.category,
        HELD,
        expiry=action.expiry,
        payee_key=action.payee_key,
        arbiter=action.arbiter,
        hashlock=action.hashlock,
    )


def _place_of(data: bytes) -> Place:
    return Place(*cast("list[Any]", decode(data, bytes_max=ROW_BYTES_MAX)))


def _arrived_at(data: bytes) -> Place:
    return Place(*decode_arrival(data).place)


class Index:
    """Read certified blocks, in order, and answer where things stand."""

    def __init__(self, fed: bytes, disk: LedgerDisk) -> None:
        self._fed = fed
        self._disk = disk
        self._indexed: dict[bytes, tuple[int, bytes]] = {}

    # --- writing --------------------------------------------------------------------------------

    def indexed(self, chain: bytes) -> tuple[int, bytes]:
        """Return height and hash of the last block of a chain that was read; 0 before any."""
        known = self._indexed.get(chain)
        if known is None:
            found = self._disk.get("indexed", chain)
            known = (0, b"") if found is None else (int.from_bytes(found[:8], "big"), found[8:])
            self._indexed[chain] = known
        return known

    def read_block(
        self,
        chain: bytes,
        h: int,
        block: bytes,
        time: int,
        entries: Iterable[ReadEntry],
        account: Callable[[bytes], Account | None],
    ) -> list[bytes]:
        """Take in a block's entries, erased ones left out.

        `account` gives the chain's accounts as they stand now. Return the ids of the transfers that
        became certain with it.
        """
        certain: list[bytes] = []
        payments = Payments(chain, h, time, self.balance, CERTIFIED)
        for index, placed, entry, id in entries:
            if isinstance(entry, Intra | Out):
                payments.add(index, entry, id)
                certain.append(id)
                continue
            # What comes now may read what the payments before it wrote.
            self._disk.commit(payments.taken())
            place = Place(chain, h, index, time)
            if isinstance(entry, Return):
                self._returned(place, entry.carried(self._fed), account)
            else:
                certain += self._entry(place, placed, entry, id)
        self._disk.commit(payments.taken())
        self._put("indexed", chain, number(h) + block)
        self._indexed[chain] = (h, block)
        return certain

    def forget(self, chain: bytes) -> None:
        """Drop all that was read of a chain: its blocks were replaced, and are read again."""
        for _, id in self._disk.scan("recent", chain):
            row = self._disk.get("transfer", id)
            if row is not None and decode_transfer(id, row).coop == chain:
                self._disk.commit((Write("transfer", id, None),))
        for space in ("line", "recent", "balance", "closed", "settled", "settled as", "indexed"):
            gone = [Write(space, key, None) for key, _ in self._disk.scan(space, chain)]
            self._disk.commit(gone)
        # What it took of other chains is kept under the message's id.
        for space, place in (("arrival", _arrived_at), ("back", _place_of)):
            taken = [id for id, data in self._disk.scan(space) if place(data).chain == chain]
            self._disk.commit([Write(space, id, None) for id in taken])
        self._indexed.pop(chain, None)

    def _put(self, space: str, key: bytes, value: bytes) -> None:
        self._disk.commit((Write(space, key, value),))

    def _entry(self, place: Place, placed: Placed, entry: Entry, id: bytes) -> list[bytes]:
        match entry:
            case Hold():
                row = _row(id, place, entry)
                self._transfer(row)
                if row.to_coop != place.chain:
                    self._put("reserved", row.to_coop + row.id, b"\1")
                self._line(place, 0, row, place.chain, row.account, "hold", 0, row.amount)
            case Settle():
                leaf = placed.leaf()
                row = TransferRow(
                    leaf,
                    place,
                    entry.KIND,
                    entry.account,
                    entry.to_coop,
                    entry.to_account,
                    entry.unit,
                    entry.amount,
                    entry.ref,
                    "",
                    CERTIFIED,
                )
                self._transfer(row)
                wished = hashlib.sha256(replace(entry, n=1).encode()).digest()
                self._put("settled as", place.chain + wished, leaf)
                if entry.ref != NO_REF:
                    self._put("settled", place.chain + entry.ref, leaf)
                self._paid(row, place, "settle")
                return [row.id]
            case Post():
                return self._posted(place, entry)
            case Void():
                known = self.transfer(entry.hold)
                if known is not None:
                    self._transfer(replace(known, status=VOID, ended=place))
                    self._no_longer_reserved(known)
                    self._line(
                        place, 0, known, place.chain, known.account, "void", 0, -known.amount
                    )
            case In():
                self._arrived(place, entry, entry.carried(self._fed))
            case Close():
                self._put("closed", place.chain + entry.account, number(place.h))
            case _:
                pass
        return []

    def _returned(
        self, place: Place, message: ChannelMessage, account: Callable[[bytes], Account | None]
    ) -> None:
        to = message.to_account
        why, facts = why_returned(
            message,
            account(to),
            closed=self._disk.get("closed", place.chain + to) is not None,
            balance=self.balance(place.chain, to, message.unit),
        )
        arrival = Arrival(place.parts(), True, why, facts)
        self._put("arrival", message.id, arrival.encode())

    def _no_longer_reserved(self, row: TransferRow) -> None:
        self._disk.commit((Write("reserved", row.to_coop + row.id, None),))

    def reserved(self, coop: bytes) -> Iterator[TransferRow]:
        """Yield the open holds of other chains that are towards a coop."""
        for key, _ in self._disk.scan("reserved", coop):
            row = self.transfer(key[len(coop) :])
            if row is not None and row.status == HELD:
                yield row

    def _posted(self, place: Place, entry: Post) -> list[bytes]:
        known = self.transfer(entry.hold)
        if known is None:  # the hold was erased
            return []
        self._transfer(replace(known, status=POSTED, ended=place))
        self._no_longer_reserved(known)
        self._line(
            place, 0, known, place.chain, known.account, "post", -known.amount, -known.amount
        )
        if known.to_coop == place.chain:
            self._line(place, 1, known, place.chain, known.to_account, "post", known.amount, 0)
        return [known.id]

    def _paid(self, row: TransferRow, place: Place, kind: str) -> None:
        self._line(place, 0, row, place.chain, row.account, kind, -row.amount, 0)
        if row.to_coop == place.chain:
            self._line(place, 1, row, place.chain, row.to_account, kind, row.amount, 0)

    def _arrived(self, place: Place, entry: In, message: ChannelMessage) -> None:
        account = message.to_account
        kind = "pay"
        payer, coop = message.from_account, entry.source
        if message.returned:
            # A closed payer's money goes to the coop (spec/06, "Returns").
            if self._disk.get("closed", place.chain + account) is not None:
                account = COMMONS
            kind = "return"
            self._put("back", message.id, encode(place.array()))
        else:
            self._put("arrival", message.id, Arrival(place.parts(), False).encode())
        ref, category = _said(entry.data)
        # The source's own block may not have been read here yet: the message says enough.
        row = TransferRow(
            message.id,
            Place(coop, 0, 0, place.time),
            entry.KIND,
            payer,
            place.chain,
            account,
            message.unit,
            message.amount,
            ref,
            category,
            CERTIFIED,
        )
        self._put("recent", place.chain + number(place.h) + number(place.index, 2), message.id)
        self._line(place, 1, row, place.chain, account, kind, message.amount, 0)

    def _transfer(self, row: TransferRow) -> None:
        self._put("transfer", row.id, row.encode())
        place = row.place
        self._put("recent", place.chain + number(place.h) + number(place.index, 2), row.id)

    def _line(
        self,
        place: Place,
        k: int,
        row: TransferRow,
        coop: bytes,
        account: bytes,
        kind: str,
        amount: int,
        reserved: int,
    ) -> None:
        where = coop + account
        balance = self.balance(coop, account, row.unit) + amount
        if amount:
            self._put("balance", where + number(row.unit, 1), encode(balance))
        # k is 0 on the payer's side and 1 on the payee's: each line names the other.
        other = (row.coop, row.account) if k else (row.to_coop, row.to_account)
        line = Line(
            place,
            kind,
            other[0],
            other[1],
            row.unit,
            amount,
            reserved,
            balance,
            row.id,
            row.ref,
            row.category,
        )
        key = where + number(place.h) + number(place.index, 2) + number(k, 1)
        self._put("line", key, line.encode())

    # --- reading --------------------------------------------------------------------------------

    def balance(self, coop: bytes, account: bytes, unit: int) -> int:
        """Return the balance after the last line; 0 before the first."""
        found = self._disk.get("balance", coop + account + number(unit, 1))
        return 0 if found is None else cast("int", decode(found, bytes_max=16))

    def has(self, id: bytes) -> bool:
        """Tell whether a transfer stands on a certified block."""
        return self._disk.get("transfer", id) is not None

    def transfer(self, id: bytes) -> TransferRow | None:
        """Return a transfer that stands on a certified block."""
        found = self._disk.get("transfer", id)
        if found is None:
            return None
        row = decode_transfer(id, found)
        arrival = self._disk.get("arrival", id)
        if arrival is None:
            return row
        known = decode_arrival(arrival)
        place = Place(*known.place)
        if not known.returned:
            return replace(row, arrived=place)
        back = self._disk.get("back", id)
        return replace(
            row,
            arrived=place,
            status=RETURNED,
            why=known.why,
            facts=known.facts,
            back=None if back is None else _place(decode(back, bytes_max=ROW_BYTES_MAX)),
        )

    def transfers_beginning(self, prefix: bytes, limit: int) -> list[bytes]:
        """Return the ids of transfers that begin so."""
        found: list[bytes] = []
        for id, _ in self._disk.scan("transfer", prefix):
            found.append(id)
            if len(found) >= limit:
                break
        return found

    def settled_as(self, chain: bytes, wish: bytes) -> bytes | None:
        """Return the id of the settlement that was asked for under this id."""
        return self._disk.get("settled as", chain + wish)

    def settled(self, chain: bytes, ref: bytes) -> bytes | None:
        """Return the id of the settlement with this ref, once it is certified."""
        return self._disk.get("settled", chain + ref)

    def lines(
        self, coop: bytes, account: bytes, *, after: bytes = b"", reverse: bool = False
    ) -> Iterator[Line]:
        """Yield the lines of an account in order, from after a line's key on."""
        where = coop + account
        low = where if not after else after + b"\0"
        high = _end(where)
        for key, data in self._disk.scan_between("line", low, high, reverse=reverse):
            yield decode_line(key, data)

    def recent(self, coop: bytes, before: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, id) of the transfers that a coop's chain wrote, the newest first."""
        high = before or _end(coop)
        yield from self._disk.scan_between("recent", coop, high, reverse=True)


def _end(prefix: bytes) -> bytes:
    # Ids are hashes or random: all bytes 0xff is not one of them.
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")
