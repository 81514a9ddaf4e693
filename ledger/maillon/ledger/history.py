"""Tell what blocks did to accounts, in double entry (spec/06-accounts.md, "The audit equation").

Every line is double entry: what leaves an account enters another, or the channel to another coop,
which it leaves again when that coop takes it. So the postings of a line sum to 0 in its unit, and
the balance of a channel is what is under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from maillon.ledger.check import Checked
from maillon.ledger.entries import (
    Close,
    Entry,
    Hold,
    In,
    Intra,
    Open,
    Out,
    Post,
    Return,
    Settle,
    Void,
    decode_entry,
)
from maillon.ledger.orders import COMMONS, NO_REF, HoldAction, PayAction, read_body
from maillon.ledger.state import Account, ChainState

PAY: Final = "pay"
"""Paid by order, inside the coop or to another."""
HOLD: Final = "hold"
"""Reserved: moves nothing."""
POST: Final = "post"
"""A reserved amount was paid."""
VOID: Final = "void"
"""A reserved amount was given back: moves nothing."""
SETTLE: Final = "settle"
"""Paid from the commons, as the coop decided."""
ARRIVED: Final = "arrived"
"""Taken from another coop and credited."""
BOUNCED: Final = "bounced"
"""Taken from another coop and sent back."""
BACK: Final = "back"
"""Came back from another coop and was credited again."""
ERASED: Final = "erased"
"""What erased entries moved together, as the certified states before and after show it."""


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount added to an account of the chain's coop, or (`account` b"") to a channel.

    A channel is named by its two coops. Of an erased line the other side is neither.
    """

    account: bytes
    source: bytes
    destination: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Line:
    """What one entry did. `id` is the transfer's, the same on both chains and for hold and post.

    `amount` counts exchanges in a count-only unit, and such a line has no postings.
    """

    chain: bytes
    h: int
    index: int
    time: int
    kind: str
    id: bytes
    unit: int
    amount: int
    from_coop: bytes
    from_account: bytes
    to_coop: bytes
    to_account: bytes
    ref: bytes = NO_REF
    category: str = ""
    postings: tuple[Posting, ...] = ()

    def change(self, account: bytes) -> int:
        """Return what the line added to an account's balance."""
        return sum(p.amount for p in self.postings if p.account == account)


class History:
    """Read a chain's blocks in order and tell their lines.

    Begin at genesis, or anywhere with the state before the first block that is read.
    """

    def __init__(
        self, fed: bytes, chain: bytes, counted: Iterable[int] = (), state: ChainState | None = None
    ) -> None:
        """`counted` are the indexes of count-only units: nothing is posted in them."""
        self._fed = fed
        self._chain = chain
        self._counted = frozenset(counted)
        self._holds: dict[bytes, Line] = {}
        self._open: set[bytes] = {COMMONS}
        if state is not None:
            self._load(state)

    def _load(self, state: ChainState) -> None:
        self._holds = {}
        self._open = set()
        for account in state.accounts():
            if account.open:
                self._open.add(account.id)
            for held in account.holds.values():
                self._holds[held.id] = Line(
                    self._chain,
                    0,
                    0,
                    0,
                    HOLD,
                    held.id,
                    held.unit,
                    held.amount,
                    self._chain,
                    account.id,
                    held.to_coop,
                    held.to_account,
                    held.ref,
                    held.category,
                )

    def block(self, checked: Checked) -> list[Line]:
        """Return the lines of the next block, in the order of its entries.

        Of erased entries nothing is told here; `residue` tells what they moved together.
        """
        header = checked.block.header
        lines: list[Line] = []
        for index, entry in enumerate(checked.entries):
            if entry is None:
                continue
            line = self._entry(entry, checked.block.body.entries[index].leaf())
            if line is not None:
                line = replace(line, h=header.h, index=index, time=header.time)
                if line.unit in self._counted:
                    line = replace(line, postings=())
                if line.kind == HOLD:
                    self._holds[line.id] = line
                lines.append(line)
        if None in checked.entries:
            self._load(checked.state)
        return lines

    def _entry(self, entry: Entry, leaf: bytes) -> Line | None:
        if isinstance(entry, Open):
            self._open.add(entry.account)
        elif isinstance(entry, Close):
            self._open.discard(entry.account)
        elif isinstance(entry, Intra | Out | Hold):
            body = entry.order.body
            kind = HOLD if isinstance(entry, Hold) else PAY
            line = self._of_order(kind, entry.order.id(self._fed), body)
            return line if kind == HOLD else self._moved(line)
        elif isinstance(entry, Post):
            return self._posted(entry)
        elif isinstance(entry, Void):
            held = self._holds.pop(entry.hold, None)
            return None if held is None else replace(held, kind=VOID)
        elif isinstance(entry, Settle):
            return self._moved(
                Line(
                    self._chain,
                    0,
                    0,
                    0,
                    SETTLE,
                    leaf,
                    entry.unit,
                    entry.amount,
                    self._chain,
                    entry.account,
                    entry.to_coop,
                    entry.to_account,
                    entry.ref,
                )
            )
        elif isinstance(entry, In | Return):
            return self._taken(entry)
        return None

    def _of_order(self, kind: str, name: bytes, body: bytes) -> Line:
        account, _, chain, _, action = read_body(body)
        assert isinstance(action, PayAction | HoldAction)
        return Line(
            chain,
            0,
            0,
            0,
            kind,
            name,
            action.unit,
            action.amount,
            chain,
            account,
            action.to_coop,
            action.to_account,
            action.ref,
            action.category,
        )

    def _posted(self, entry: Post) -> Line | None:
        held = self._holds.pop(entry.hold, None)
        if held is None and entry.order_body:
            held = self._of_order(POST, entry.hold, entry.order_body)
        return None if held is None else self._moved(replace(held, kind=POST))

    def _moved(self, line: Line) -> Line:
        """Give a payment its postings."""
        if line.to_coop == self._chain:
            gets = Posting(line.to_account, b"", b"", line.amount)
        else:
            gets = Posting(b"", self._chain, line.to_coop, line.amount)
        pays = Posting(line.from_account, b"", b"", -line.amount)
        return replace(line, postings=(pays, gets))

    def _taken(self, entry: In | Return) -> Line:
        message = entry.carried(self._fed)
        ref, category = _details(decode_entry(entry.data))
        source, here, amount = entry.source, self._chain, message.amount
        gives = Posting(b"", source, here, -amount)
        line = Line(
            here,
            0,
            0,
            0,
            ARRIVED,
            message.id,
            message.unit,
            amount,
            source,
            message.from_account,
            here,
            message.to_account,
            ref,
            category,
            (gives, Posting(message.to_account, b"", b"", amount)),
        )
        if message.returned:
            # The message comes from the account that could not be credited; the transfer it ends
            # went from ours to that one.
            payer = message.to_account if message.to_account in self._open else COMMONS
            return replace(
                line,
                kind=BACK,
                from_coop=here,
                from_account=message.to_account,
                to_coop=source,
                to_account=message.from_account,
                postings=(gives, Posting(payer, b"", b"", amount)),
            )
        if isinstance(entry, Return):
            back = Posting(b"", here, source, amount)
            return replace(line, kind=BOUNCED, postings=(gives, back))
        return line


def _details(entry: Entry) -> tuple[bytes, str]:
    """Return ref and category of the payment that an entry of another chain carries."""
    if isinstance(entry, Out | Post):
        body = entry.order.body if isinstance(entry, Out) else entry.order_body
        action = read_body(body)[4]
        assert isinstance(action, PayAction | HoldAction)
        return action.ref, action.category
    if isinstance(entry, Settle):
        return entry.ref, ""
    if isinstance(entry, Return):
        return _details(decode_entry(entry.data))
    return NO_REF, ""


def residue(before: ChainState, checked: Checked, lines: Iterable[Line]) -> Iterator[Line]:
    """Tell what the erased entries of a block moved, a line for each account and unit.

    `before` is the state before the block, `lines` are what `History.block` told of it. Accounts
    whose rows were erased as well are the other side, which has no name.
    """
    header = checked.block.header
    told: dict[tuple[bytes, int], int] = {}
    for line in lines:
        for posting in line.postings:
            if posting.account:
                key = (posting.account, line.unit)
                told[key] = told.get(key, 0) + posting.amount
    for account in _changed(checked):
        known = before.account(account.id)
        for unit, position in account.positions.items():
            old = known.positions.get(unit) if known is not None else None
            moved = position.balance - (old.balance if old is not None else 0)
            moved -= told.get((account.id, unit), 0)
            if moved:
                ends = (Posting(account.id, b"", b"", moved), Posting(b"", b"", b"", -moved))
                yield Line(
                    header.chain,
                    header.h,
                    header.count,
                    header.time,
                    ERASED,
                    b"",
                    unit,
                    abs(moved),
                    b"",
                    b"",
                    header.chain,
                    account.id,
                    postings=ends,
                )


def _changed(checked: Checked) -> list[Account]:
    slots = {row.slot for row in checked.state.changed()}
    return [account for account in checked.state.accounts() if account.slot in slots]
