"""Hold the state of one coop's chain and the root over it (spec/06-accounts.md, "State").

The state is a pure function of the chain. It is a list of rows, one a slot: slot 0 the commons
account, slot 1 the totals, then accounts and channels in the order in which they were first
needed. `state root` is the Merkle root over the rows' bytes.

A block is tried on a fork: it copies a row when it first changes, and is absorbed once the block
is certified, or dropped. Neither costs more than the rows that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.ledger.block import DeltaRow
from maillon.ledger.entries import COMMONS_KIND, GROUP, ORGANISATION, PERSON
from maillon.ledger.limits import BALANCE_MAX, KEYS_MAX, ROW_BYTES_MAX
from maillon.ledger.merkle import leaf_hash
from maillon.ledger.orders import COMMONS
from maillon.ledger.rowtree import RowTree
from maillon.protocol.encoding import decode
from maillon.protocol.errors import Malformed

__all__ = [
    "BALANCE_MAX",
    "COMMONS",
    "COMMONS_KIND",
    "COMMONS_SLOT",
    "GROUP",
    "ORGANISATION",
    "PERSON",
    "TOTALS_SLOT",
    "Account",
    "ChainState",
    "Channel",
    "Hold",
    "Mandate",
    "Position",
    "Totals",
    "joined",
    "plus",
]

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
        holds: tuple[Hold, ...] = ()
        if self.holds:
            holds = tuple(self.holds[key] for key in sorted(self.holds))
        mandates: tuple[Mandate, ...] = ()
        if self.mandates:
            mandates = tuple(self.mandates[key] for key in sorted(self.mandates))
        return _pack(
            (
                0,
                self.id,
                self.kind,
                self.open,
                self.keys,
                self.seq,
                tuple(self.positions.values()),
                holds,
                self.pending,
                mandates,
            )
        )


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


_Row = Account | Channel | Totals


class ChainState:
    """The state of one chain, or a fork of it.

    Read with `account`, `channel`, `totals`; change only what `edit`, `edit_channel` and
    `edit_totals` return. A fork sees its base; the base must not change while the fork lives,
    except by absorbing it.
    """

    __slots__ = (
        "_accounts",
        "_base",
        "_channels",
        "_gone",
        "_holders",
        "_nodes",
        "_opaque",
        "_root",
        "_rows",
        "_size",
        "_totals",
        "_touched",
        "_tree",
        "chain",
    )

    def __init__(self, chain: bytes) -> None:
        """Make the state of a chain's genesis: an empty commons account and empty totals."""
        self.chain = chain
        self._base: ChainState | None = None
        commons = Account(COMMONS_SLOT, COMMONS, COMMONS_KIND, ())
        self._accounts: dict[bytes, Account] = {COMMONS: commons}
        self._channels: dict[bytes, Channel] = {}
        self._totals: Totals | None = Totals()
        # The object at each slot; None where only the row's leaf is known, after an erasure.
        self._rows: list[_Row | None] = [commons, self._totals]
        # Leaves of rows that are not known any more; `_gone` those of them since the last root.
        self._opaque: dict[int, bytes] = {}
        self._gone: dict[int, bytes] = {}
        self._touched: dict[int, _Row] = {}
        # Which account an open hold is on; empty in a fork for one that is open no more.
        self._holders: dict[bytes, bytes] = {}
        self._size = 2
        self._tree = RowTree([leaf_hash(commons.row()), leaf_hash(self._totals.row())])
        self._nodes: list[dict[int, bytes]] = []
        self._root: bytes | None = self._tree.root()

    # --- Reading ----------------------------------------------------------------------------

    def account(self, account: bytes) -> Account | None:
        """Return an account, open or closed, or None. Do not change it."""
        found = self._accounts.get(account)
        if found is None and self._base is not None:
            return self._base.account(account)
        return found

    def hold(self, hold: bytes) -> tuple[Account, Hold] | None:
        """Return an open hold by its id, with the account that it is on, or None."""
        holder = self._holders.get(hold)
        if holder is None and self._base is not None:
            return self._base.hold(hold)
        account = self.account(holder) if holder else None
        if account is None or hold not in account.holds:
            return None
        return account, account.holds[hold]

    def channel(self, coop: bytes) -> Channel:
        """Return the channel with a coop; of one never used, all counts are 0."""
        found = self._channels.get(coop)
        if found is None:
            if self._base is not None:
                return self._base.channel(coop)
            return Channel(-1, coop)
        return found

    @property
    def totals(self) -> Totals:
        """Return the totals. Do not change them."""
        if self._totals is None:
            assert self._base is not None
            return self._base.totals
        return self._totals

    @property
    def size(self) -> int:
        """Return the number of slots."""
        return self._size

    def accounts(self) -> Iterator[Account]:
        """Iterate over all accounts whose rows are known, by slot."""
        for row in self._objects():
            if type(row) is Account:
                yield row

    def channels(self) -> Iterator[Channel]:
        """Iterate over all channels, by slot."""
        for row in self._objects():
            if type(row) is Channel:
                yield row

    def _objects(self) -> Iterator[_Row | None]:
        if self._base is None:
            yield from self._rows
            return
        touched = self._touched
        for slot, row in enumerate(self._base._objects()):
            yield touched.get(slot, row)
        for slot in range(self._base._size, self._size):
            yield touched.get(slot)

    def rows(self) -> Iterator[DeltaRow]:
        """Iterate over all rows by slot; of one that was erased only the leaf is left."""
        for slot, row in enumerate(self._objects()):
            if row is None:
                yield DeltaRow(slot, b"", self._opaque_at(slot))
            else:
                yield DeltaRow(slot, row.row())

    def _opaque_at(self, slot: int) -> bytes:
        found = self._opaque.get(slot)
        if found is None:
            assert self._base is not None
            return self._base._opaque_at(slot)
        return found

    # --- Changing ---------------------------------------------------------------------------

    def edit(self, account: bytes) -> Account:
        """Return an account that may be changed. Raises: KeyError when there is none."""
        self._root = None
        found = self._accounts.get(account)
        if found is None:
            if self._base is None:
                raise KeyError(account)
            known = self._base.account(account)
            if known is None:
                raise KeyError(account)
            found = known.copy()
            self._accounts[account] = found
        self._touched[found.slot] = found
        return found

    def edit_channel(self, coop: bytes) -> Channel:
        """Return a channel that may be changed, a new one at its first use."""
        self._root = None
        found = self._channels.get(coop)
        if found is None:
            known = self.channel(coop)
            if known.slot < 0:
                found = Channel(self._new_slot(), coop)
                self._placed(found)
            else:
                found = known.copy()
            self._channels[coop] = found
        self._touched[found.slot] = found
        return found

    def edit_totals(self) -> Totals:
        """Return the totals, to be changed."""
        self._root = None
        if self._totals is None:
            self._totals = self.totals.copy()
        self._touched[TOTALS_SLOT] = self._totals
        return self._totals

    def add(self, account: bytes, kind: int, keys: tuple[bytes, ...]) -> Account:
        """Put a new account in the next slot and return it, to be changed."""
        assert self.account(account) is None, "the account exists"
        self._root = None
        made = Account(self._new_slot(), account, kind, keys)
        self._accounts[account] = made
        self._touched[made.slot] = made
        self._placed(made)
        return made

    def _new_slot(self) -> int:
        self._size += 1
        return self._size - 1

    def _placed(self, row: _Row | None) -> None:
        if self._base is None:
            self._rows.append(row)

    def note_hold(self, hold: bytes, account: bytes) -> None:
        """Remember that a hold is open on an account, or (empty) open no more."""
        if account or self._base is not None:
            self._holders[hold] = account
        else:
            self._holders.pop(hold, None)

    # --- Forks and the root -----------------------------------------------------------------

    def fork(self) -> ChainState:
        """Return a fork: it costs nothing until it changes something."""
        self.root()
        made = ChainState.__new__(ChainState)
        made.chain = self.chain
        made._base = self
        made._accounts = {}
        made._channels = {}
        made._totals = None
        made._rows = []
        made._opaque = {}
        made._gone = {}
        made._touched = {}
        made._holders = {}
        made._size = self._size
        made._tree = self._tree
        made._nodes = []
        made._root = None
        return made

    def root(self) -> bytes:
        """Return the state root; the first call after a change costs the changed rows."""
        if self._root is None:
            leaves = {slot: leaf_hash(row.row()) for slot, row in self._touched.items()}
            leaves |= self._gone
            if self._base is None:
                self._tree.update(leaves)
                self._touched.clear()
                self._gone.clear()
                self._root = self._tree.root()
            else:
                assert self._base._base is None, "a fork of a fork has no tree of its own"
                self._root, self._nodes = self._tree.preview(leaves)
        return self._root

    def changed(self) -> tuple[DeltaRow, ...]:
        """Return the rows that a fork changed, by slot; of an erased one the leaf.

        A row that was written back as it was is not among them.
        """
        assert self._base is not None, "only a fork knows what it changed"
        self.root()
        known = len(self._tree)
        leaves = self._nodes[0] if self._nodes else {}
        return tuple(
            DeltaRow(slot, self._touched[slot].row())
            if slot in self._touched
            else DeltaRow(slot, b"", leaf)
            for slot, leaf in sorted(leaves.items())
            if slot >= known or self._tree.leaf(slot) != leaf
        )

    def begot(self, fork: ChainState) -> bool:
        """Say whether this is the state that a fork was made of."""
        return fork._base is self

    def absorb(self, fork: ChainState) -> None:
        """Take over a fork of this state. The fork must not be used after that."""
        assert fork._base is self and self._base is None, "not a fork of this state"
        root = fork.root()
        self._accounts.update(fork._accounts)
        self._channels.update(fork._channels)
        for hold, holder in fork._holders.items():
            self.note_hold(hold, holder)
        if fork._totals is not None:
            self._totals = fork._totals
        rows = self._rows
        for slot in range(self._size, fork._size):
            rows.append(fork._touched.get(slot))
        for slot, row in fork._touched.items():
            rows[slot] = row
            self._opaque.pop(slot, None)
        for slot, leaf in fork._opaque.items():
            gone = rows[slot]
            if type(gone) is Account and self._accounts.get(gone.id) is gone:
                del self._accounts[gone.id]
            rows[slot] = None
            self._opaque[slot] = leaf
        self._size = fork._size
        self._tree.adopt(fork._nodes)
        self._root = root

    # --- Certified rows ---------------------------------------------------------------------

    def overwrite(self, rows: Iterable[DeltaRow]) -> None:
        """Take rows from a certified state, where entries that led to them were erased.

        The caller compares the root with the certified one. `expected` is worked out anew.
        Raises: Malformed when a row is none, or slots leave a gap or do not ascend.
        """
        self._root = None
        last = -1
        reserved: dict[tuple[bytes, int], int] = {}
        for given in rows:
            slot = given.slot
            if not last < slot <= self._size:
                raise Malformed(rule="delta_slot", slot=slot)
            last = slot
            if slot == self._size:
                self._new_slot()
                self._placed(None)
            if not given.row:
                if slot <= TOTALS_SLOT:
                    raise Malformed(rule="delta_slot", slot=slot)
                self._forget(slot)
                self._opaque[slot] = self._gone[slot] = given.hash
                continue
            row = _from_row(slot, given.row)
            if type(row) is Account:
                known = self.account(row.id)
                if known is not None:
                    row.expected = known.expected
                    self._reserved(reserved, known, -1)
                self._reserved(reserved, row, 1)
                for hold in row.holds:
                    self.note_hold(hold, row.id)
            self._opaque.pop(slot, None)
            self._gone.pop(slot, None)
            self._put(row)
            self._touched[slot] = row
        for (account, unit), amount in reserved.items():
            if amount and self.account(account) is not None:
                payee = self.edit(account)
                payee.expected = plus(payee.expected, unit, amount)

    def _reserved(
        self, reserved: dict[tuple[bytes, int], int], account: Account, sign: int
    ) -> None:
        for hold in account.holds.values():
            if hold.to_coop == self.chain:
                key = (hold.to_account, hold.unit)
                reserved[key] = reserved.get(key, 0) + sign * hold.amount

    def _put(self, row: _Row) -> None:
        if type(row) is Account:
            self._accounts[row.id] = row
        elif type(row) is Channel:
            self._channels[row.coop] = row
        elif type(row) is Totals:
            self._totals = row
        if self._base is None:
            self._rows[row.slot] = row

    def _forget(self, slot: int) -> None:
        self._touched.pop(slot, None)
        if self._base is None:
            gone = self._rows[slot]
            if type(gone) is Account:
                self._accounts.pop(gone.id, None)
            self._rows[slot] = None

    def forget(self, account: bytes) -> DeltaRow | None:
        """Keep of a closed account's row only the leaf, and return it; None when it is not known.

        The root stays as it is. Raises: ValueError when the account is open, or this is a fork.
        """
        self.root()
        found = self.account(account)
        if found is None:
            return None
        if found.open or self._base is not None:
            raise ValueError("only a closed account of a chain's own state is forgotten")
        slot = found.slot
        leaf = self._tree.leaf(slot)
        self._forget(slot)
        self._opaque[slot] = leaf
        return DeltaRow(slot, b"", leaf)

    @classmethod
    def from_rows(cls, chain: bytes, rows: Iterable[DeltaRow]) -> ChainState:
        """Make a state of rows as `rows` gives them. Raises: Malformed when they are none."""
        made = cls(chain)
        made.overwrite(rows)
        made.root()
        return made


def _from_row(slot: int, data: bytes) -> _Row:
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
