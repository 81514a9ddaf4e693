"""Hold the state of one coop's chain and the root over it (spec/06-accounts.md, "State").

The state is a pure function of the chain. It is a list of rows, one a slot: slot 0 the commons
account, slot 1 the totals, then accounts and channels in the order in which they were first
needed. `state root` is the Merkle root over the rows' bytes.

A block is tried on a fork: it copies a row when it first changes, and is absorbed once the block
is certified, or dropped. Neither costs more than the rows that changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from maillon.ledger.block import DeltaRow
from maillon.ledger.entries import COMMONS_KIND, GROUP, ORGANISATION, PERSON
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.merkle import leaf_hash
from maillon.ledger.orders import COMMONS
from maillon.ledger.rows import (
    COMMONS_SLOT,
    TOTALS_SLOT,
    Account,
    Channel,
    Hold,
    Mandate,
    Position,
    Row,
    Totals,
    joined,
    plus,
    row_from,
)
from maillon.ledger.rowtree import RowTree
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
        "_written",
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
        self._rows: list[Row | None] = [commons, self._totals]
        # Leaves of rows that are not known any more; `_gone` those of them since the last root.
        self._opaque: dict[int, bytes] = {}
        self._gone: dict[int, bytes] = {}
        self._touched: dict[int, Row] = {}
        # Which account an open hold is on; empty in a fork for one that is open no more.
        self._holders: dict[bytes, bytes] = {}
        self._size = 2
        self._tree = RowTree([leaf_hash(commons.row()), leaf_hash(self._totals.row())])
        # Of a fork, what its root was made of: the changed rows' bytes and the nodes above them.
        self._written: dict[int, bytes] = {}
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

    def _objects(self) -> Iterator[Row | None]:
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
        known = self._accounts.get(account)
        if known is None:
            known = None if self._base is None else self._base.account(account)
            if known is None:
                raise KeyError(account)
        return self.own(known)

    def own(self, known: Account) -> Account:
        """Return, to be changed, an account that `account` returned: itself or a copy."""
        self._root = None
        if self._base is not None:
            found = self._accounts.get(known.id)
            if found is not None:
                # Copied before, and noted then.
                return found
            known = known.copy()
            self._accounts[known.id] = known
        self._touched[known.slot] = known
        return known

    def opened(self) -> tuple[dict[bytes, Account], dict[int, Row]]:
        """Return the accounts by id and the changed rows by slot, until the next root is asked for.

        For who changes the chain's own state, not a fork: an account that is changed has to be put
        among the changed rows, as `own` does.
        """
        assert self._base is None, "a fork has no accounts of its own"
        self._root = None
        return self._accounts, self._touched

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

    def _placed(self, row: Row | None) -> None:
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
        made._written = {}
        made._nodes = []
        made._root = None
        return made

    def root(self) -> bytes:
        """Return the state root; the first call after a change costs the changed rows."""
        if self._root is None:
            if self._base is None:
                leaves = {slot: leaf_hash(row.row()) for slot, row in self._touched.items()}
                leaves |= self._gone
                self._tree.update(leaves)
                self._touched.clear()
                self._gone.clear()
                self._root = self._tree.root()
            else:
                written = {slot: row.row() for slot, row in self._touched.items()}
                leaves = {slot: leaf_hash(row) for slot, row in written.items()}
                leaves |= self._gone
                assert self._base._base is None, "a fork of a fork has no tree of its own"
                self._root, self._nodes = self._tree.preview(leaves)
                self._written = written
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
            DeltaRow(slot, self._written[slot])
            if slot in self._written
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
            row = row_from(slot, given.row)
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

    def _put(self, row: Row) -> None:
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
