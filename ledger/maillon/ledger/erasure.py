"""Erase what certified blocks say of a closed account (spec/06-accounts.md, "Erasure").

An entry's leaf stays where the entry stood, so every root, path and certificate remains valid. What
the block did to the state cannot be worked out any more; it is kept as a delta: the rows that the
block changed, as its quorum certified them. Of the account's own rows only the leaves are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from maillon.ledger.block import Block, Body, DeltaRow, Erased, Placed
from maillon.ledger.book import Book
from maillon.ledger.check import Checked
from maillon.ledger.entries import (
    Close,
    Entry,
    Hold,
    In,
    Limit,
    Open,
    Post,
    Recover,
    Return,
    Settle,
    Void,
    message_of,
)
from maillon.ledger.merkle import leaf_hash
from maillon.ledger.orders import COMMONS, HoldAction, Order, PayAction
from maillon.ledger.state import ChainState
from maillon.ledger.steps import Write
from maillon.protocol.errors import LocalError

Party = tuple[bytes, bytes]
"""A coop's id and an account's."""

HoldLookup = Callable[[bytes], tuple[Party, ...] | None]


class NotErasable(LocalError):
    """The account's entries are still needed. Facts: coop, account, and what stands against it."""

    code = "not_erasable"
    sentence = "What the ledger says of an account can be erased once it is closed and at rest."


def parties(entry: Entry, chain: bytes, fed: bytes, holds: HoldLookup) -> tuple[Party, ...]:
    """Return the accounts that an entry of a chain is about.

    `holds` finds payer and payee of the holds that `post` and `void` name.
    """
    if isinstance(entry, Open | Close | Limit | Recover):
        return ((chain, entry.account),)
    if isinstance(entry, Post | Void):
        return holds(entry.hold) or ((chain, entry.account),)
    if isinstance(entry, Settle):
        return ((chain, entry.account), (entry.to_coop, entry.to_account))
    if isinstance(entry, In | Return):
        message = entry.carried(fed)
        return ((entry.source, message.from_account), (chain, message.to_account))
    return _ordered(entry.order)


def _ordered(order: Order) -> tuple[Party, ...]:
    payer = (order.chain, order.account)
    action = order.action
    if isinstance(action, PayAction | HoldAction):
        return (payer, (action.to_coop, action.to_account))
    return (payer,)


def _holds(state: ChainState, checked: Checked, fed: bytes) -> HoldLookup:
    """Find the holds that a block's entries may name: those of the state before, and its own."""
    own = {
        entry.order.id(fed): _ordered(entry.order)
        for entry in checked.entries
        if isinstance(entry, Hold)
    }

    def lookup(hold: bytes) -> tuple[Party, ...] | None:
        found = state.hold(hold)
        if found is None:
            return own.get(hold)
        account, held = found
        return ((state.chain, account.id), (held.to_coop, held.to_account))

    return lookup


def erased(block: Block, state: ChainState, checked: Checked, party: Party, fed: bytes) -> Block:
    """Return a block without what it says of a party, or the block itself when it says nothing.

    `state` is the state before the block, `checked` what it leads to.
    """
    holds = _holds(state, checked, fed)
    gone = [
        entry is not None and party in parties(entry, block.chain, fed, holds)
        for entry in checked.entries
    ]
    rows = [
        _without(row, party) if block.chain == party[0] else row for row in checked.state.changed()
    ]
    if not any(gone) and (not block.delta or tuple(rows) == block.delta):
        return block
    entries = tuple(
        Erased(placed.leaf()) if drop and isinstance(placed, Placed) else placed
        for placed, drop in zip(block.body.entries, gone, strict=True)
    )
    body = Body(entries, block.body.evidence, block.body.approvals)
    return replace(block, body=body, delta=tuple(rows))


def _without(row: DeltaRow, party: Party) -> DeltaRow:
    # An account's row begins [0, account, ...]: array of ten, 0, binary of sixteen.
    if row.row.startswith(b"\x9a\x00\xc4\x10" + party[1]):
        return DeltaRow(row.slot, b"", leaf_hash(row.row))
    return row


def erase(book: Book, coop: bytes, account: bytes) -> tuple[Write, ...]:
    """Erase what all chains known here say of a closed account; return what is to be committed.

    Other nodes keep their copies until they do the same. Raises: NotErasable while the account is
    open, is the commons, something is reserved for it, or a message of it or to it was not consumed
    yet; ChainUnknown.
    """
    found = book.state(coop).account(account)
    if account == COMMONS or (found is not None and found.open):
        raise NotErasable(coop=coop, account=account, reason="open")
    party = (coop, account)
    _unreserved(book, party)
    changed: list[Block] = []
    for chain in book.chains():
        for state, checked in book.replay(chain, book.head(chain).h):
            block = checked.block
            made = erased(block, state, checked, party, book.fed)
            if made is not block:
                _consumed(book, checked, made)
                changed.append(made)
    writes: tuple[Write, ...] = ()
    for block in changed:
        writes += book.replace(block)
    return writes + book.forget(coop, account)


def _unreserved(book: Book, party: Party) -> None:
    """Return when no open hold is in favour of a party: its post needs the order that made it."""
    for chain in book.chains():
        for payer in book.state(chain).accounts():
            for hold in payer.holds.values():
                if (hold.to_coop, hold.to_account) == party:
                    raise NotErasable(
                        "An amount is still reserved for this account.",
                        chain=chain,
                        hold=hold.id,
                        expiry=hold.expiry,
                    )


def _consumed(book: Book, checked: Checked, made: Block) -> None:
    """Return when nothing is erased that another chain has still to consume."""
    chain = made.chain
    for entry, before, after in zip(
        checked.entries, checked.block.body.entries, made.body.entries, strict=True
    ):
        if entry is None or before is after:
            continue
        message = message_of(entry, before.leaf(), book.fed)
        if message is None:
            continue
        if book.state(message.to_coop).channel(chain).received < message.n:
            raise NotErasable(
                "A payment from or to this account is still on its way.",
                chain=chain,
                to_coop=message.to_coop,
                n=message.n,
            )
