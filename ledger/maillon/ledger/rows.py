"""Hold what a row of the state says: account, channel, totals (spec/06-accounts.md, "State").

Rules read these objects, and change copies of them that a `ChainState` gave them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.ledger.limits import KEYS_MAX, ROW_BYTES_MAX
from maillon.protocol.encoding import decode
from maillon.protocol.errors import Malformed

COMMONS_SLOT: Final = 0
TOTALS_SLOT: Final = 1

# Rows are written from tuples, which the packer of maillon.protocol.encoding does not take, and
# from values that were bounded when they came in: no second look at each of them is needed here.
_pack = cast(
    "Callable[[Any], bytes]",
    msgpack.Packer(use_bin_type=True).pack,  # pyright: ignore[reportUnknownMemberType]
)


class Position(NamedTuple):
    """What an account has in one unit, in minor units."""

    unit: int
    balance: int
    limit: int
    """How far the balance may go below zero."""
    max: int
    """How high credits may raise it; `BALANCE_MAX` for no bound."""


class Hold(NamedTuple):
    """An amount reserved on the payer's account until it is posted or voided."""

    id: bytes
    unit: int
    amount: int
    to_coop: bytes
    to_account: bytes
    payee_key: bytes
    arbiter: bytes
    """Empty when the agreement names none."""
    hashlock: bytes
    """SHA-256 of the preimage that posts the hold as well, or empty."""
    expiry: int
    ref: bytes
    category: str
    signer: bytes
    """The key that signed the order. It confirms even when the payer drops it meanwhile, or a
    payer could give a confirmation and take it back."""


class Mandate(NamedTuple):
    """What a delegate's key may debit, a unit and period."""

    id: bytes
    key: bytes
    allowed: tuple[tuple[int, int], ...]
    period_s: int
    start: int
    end: int
    period: int
    """Index of the period that `used` counts."""
    used: tuple[tuple[int, int], ...]


_NO_HOLDS: Final[Mapping[bytes, Hold]] = MappingProxyType({})
_NO_MANDATES: Final[Mapping[bytes, Mandate]] = MappingProxyType({})


class Account:
    """An account. Rules change a copy that `ChainState.edit` gave them, never another.

    All but `positions` are replaced as wholes, so a copy shares them.
    """

    __slots__ = (
        "_head",
        "_packed",
        "_tail",
        "expected",
        "holds",
        "id",
        "keys",
        "kind",
        "mandates",
        "open",
        "pending",
        "positions",
        "seq",
        "slot",
    )

    def __init__(self, slot: int, account: bytes, kind: int, keys: tuple[bytes, ...]) -> None:
        self.slot = slot
        self.id = account
        self.kind = kind
        self.open = 1
        self.keys = keys
        self.seq = 0
        self.positions: dict[int, Position] = {}
        self.holds: Mapping[bytes, Hold] = _NO_HOLDS
        self.pending: tuple[tuple[bytes, int], ...] = ()
        self.mandates: Mapping[bytes, Mandate] = _NO_MANDATES
        # What holds of other accounts here reserve for this one. It follows from their rows, so
        # it is no part of this one's.
        self.expected: Mapping[int, int] = {}
        # Most rows change in number and balances only: the bytes before and after those, and what
        # they were made of.
        self._packed: tuple[Any, ...] = ()
        self._head = self._tail = b""

    def copy(self) -> Account:
        """Return a copy to change."""
        made = Account.__new__(Account)
        made.slot = self.slot
        made.id = self.id
        made.kind = self.kind
        made.open = self.open
        made.keys = self.keys
        made.seq = self.seq
        made.positions = self.positions.copy()
        made.holds = self.holds
        made.pending = self.pending
        made.mandates = self.mandates
        made.expected = self.expected
        made._packed = self._packed
        made._head = self._head
        made._tail = self._tail
        return made

    def held(self, unit: int) -> int:
        """Return what the account's own holds reserve in a unit."""
        if not self.holds:
            return 0
        return sum(hold.amount for hold in self.holds.values() if hold.unit == unit)

    def available(self, unit: int) -> int:
        """Return what may still be debited in a unit: balance - held + limit, at least 0."""
        position = self.positions.get(unit)
        if position is None:
            return 0
        return max(0, position.balance - self.held(unit) + position.limit)

    def keys_at(self, time: int) -> tuple[bytes, ...]:
        """Return the keys that count at a block's time, a recovery that has waited among them."""
        keys = self.keys
        for key, start in self.pending:
            if start <= time:
                keys = joined(keys, key)
        return keys

    def row(self) -> bytes:
        """Return the row's bytes (spec/06-accounts.md, "State")."""
        packed = self._packed
        # All of these are replaced as wholes, so one that is the same object says the same.
        if (
            not packed
            or packed[0] is not self.keys
            or packed[1] is not self.holds
            or packed[2] is not self.pending
            or packed[3] is not self.mandates
            or packed[4] != self.open
        ):
            self._pack()
        middle = _pack((self.seq, tuple(self.positions.values())))
        # Its first byte is the header of the two.
        return self._head + middle[1:] + self._tail

    def _pack(self) -> None:
        holds = tuple(self.holds[key] for key in sorted(self.holds))
        mandates = tuple(self.mandates[key] for key in sorted(self.mandates))
        whole = _pack(
            (0, self.id, self.kind, self.open, self.keys, 0, (), holds, self.pending, mandates)
        )
        start = _pack((0, self.id, self.kind, self.open, self.keys))
        self._head = whole[:1] + start[1:]
        self._tail = whole[len(start) + 2 :]
        self._packed = (self.keys, self.holds, self.pending, self.mandates, self.open)


def plus(amounts: Mapping[int, int], unit: int, amount: int) -> dict[int, int]:
    """Return amounts by unit with one of them changed; a unit that comes to nothing is left out."""
    changed = {**amounts, unit: amounts.get(unit, 0) + amount}
    if not changed[unit]:
        del changed[unit]
    return changed


def joined(keys: tuple[bytes, ...], key: bytes) -> tuple[bytes, ...]:
    """Add a recovered key. A full list loses its oldest: who lost eight keys still comes back."""
    if key in keys:
        return keys
    return (*keys, key)[-KEYS_MAX:]


class Channel:
    """How many messages went to another coop, and how many of its messages were consumed."""

    __slots__ = ("coop", "received", "sent", "slot")

    def __init__(self, slot: int, coop: bytes, sent: int = 0, received: int = 0) -> None:
        self.slot = slot
        self.coop = coop
        self.sent = sent
        self.received = received

    def copy(self) -> Channel:
        """Return a copy to change."""
        return Channel(self.slot, self.coop, self.sent, self.received)

    def row(self) -> bytes:
        """Return the row's bytes."""
        return _pack((1, self.coop, self.sent, self.received))


class Totals:
    """Per unit the coop's trade balance and what its outgoing holds reserve; its open accounts.

    The trade balance is the sum of the balances of all accounts of the coop: what the others owe
    it, below zero what it owes them.
    """

    __slots__ = ("accounts", "held_out", "trade")

    slot: Final = TOTALS_SLOT

    def __init__(self) -> None:
        self.trade: dict[int, int] = {}
        self.held_out: dict[int, int] = {}
        self.accounts = 0

    def copy(self) -> Totals:
        """Return a copy to change."""
        made = Totals()
        made.trade = self.trade.copy()
        made.held_out = self.held_out.copy()
        made.accounts = self.accounts
        return made

    def row(self) -> bytes:
        """Return the row's bytes: only units with something in them are listed."""
        trade, held = self.trade, self.held_out
        units = sorted({u for u in trade if trade[u]} | {u for u in held if held[u]})
        return _pack((2, tuple((u, trade.get(u, 0), held.get(u, 0)) for u in units), self.accounts))


Row = Account | Channel | Totals


def row_from(slot: int, data: bytes) -> Row:
    """Read a row's bytes. Raises: Malformed when they are none."""
    value: Any = decode(data, bytes_max=ROW_BYTES_MAX)
    try:
        kind = value[0]
        if (slot == TOTALS_SLOT) != (kind == 2):
            raise Malformed(rule="row_kind")
        if kind == 0:
            return _account(slot, value)
        if kind == 1:
            _, coop, sent, received = value
            return Channel(slot, coop, sent, received)
        if kind != 2:
            raise Malformed(rule="row_kind")
        totals = Totals()
        _, units, totals.accounts = value
        for unit, trade, held in units:
            totals.trade[unit] = trade
            totals.held_out[unit] = held
        return totals
    except (TypeError, ValueError, IndexError, KeyError):
        raise Malformed(rule="row") from None


def _account(slot: int, value: Any) -> Account:
    _, account, kind, is_open, keys, seq, positions, holds, pending, mandates = value
    made = Account(slot, account, kind, tuple(keys))
    made.open = is_open
    made.seq = seq
    made.positions = {position[0]: Position(*position) for position in positions}
    if holds:
        made.holds = {hold[0]: Hold(*hold) for hold in holds}
    made.pending = tuple((key, start) for key, start in pending)
    if mandates:
        made.mandates = {
            item[0]: Mandate(
                item[0],
                item[1],
                tuple((unit, amount) for unit, amount in item[2]),
                item[3],
                item[4],
                item[5],
                item[6],
                tuple((unit, amount) for unit, amount in item[7]),
            )
            for item in mandates
        }
    return made
