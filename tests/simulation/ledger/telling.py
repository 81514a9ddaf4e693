"""What several scripts need: accounts, orders, a term that is opened."""

from __future__ import annotations

from maillon.ledger import messages as wire
from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish
from maillon.ledger.entries import (
    Open,
)
from maillon.ledger.orders import Order, PayAction, sign_order
from maillon.ledger.quorum import Term
from maillon.protocol.errors import MaillonError
from simulation.ledger.keys import MacKey
from simulation.ledger.lab import NOW, Lab
from simulation.ledger.model import NO_MAX

NO_REF = bytes(32)


def account(number: int) -> bytes:
    """Return the id of the account of this number."""
    return bytes([number + 1]) * 16


def opening(number: int, limit: int = 100) -> EntryWish:
    """Wish for an account to be opened."""
    key = MacKey(f"member {number}")
    return EntryWish(Open(account(number), 0, key.public, ((0, limit, NO_MAX),)))


def pay(lab: Lab, chain: int, payer: int, seq: int, to: int, payee: int, amount: int) -> Order:
    """Sign a payment of hours."""
    action = PayAction(lab.ids[to], account(payee), 0, amount, NO_REF, "")
    key = MacKey(f"member {payer}")
    return sign_order(
        key, lab.fed, account(payer), seq, lab.ids[chain], NOW + 10_000, action
    )


def opened(lab: Lab, chain: bytes, writer: int, counter: int, places: list[int]) -> Term:
    """Prepare and open a term with some witnesses."""
    term = lab.term(writer, counter)
    shown = lab.promises(chain, writer, term, places)
    for place in places:
        lab.ask(place, wire.Opening(chain, term, shown))
    return term


def taken(book: Book, block: Block, certificate: bytes) -> bool:
    """Say whether a book takes a block for certified."""
    try:
        book.apply(block, certificate)
    except MaillonError:
        return False
    return book.head(block.chain).hash == block.hash
