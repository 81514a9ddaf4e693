"""Read certified blocks once, in order: for the index, and for whoever waits for an entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish
from maillon.ledger.entries import Entry, In, Return, decode_entry
from maillon.ledger.messages import Failure
from maillon.ledger.orders import Order
from maillon.ledger.sources import as_wished
from maillon.node.ledger import bounds
from maillon.node.ledger.index import Index, ReadEntry
from maillon.protocol.errors import MaillonError


def wish_id(wish: Order | Entry, fed: bytes) -> bytes:
    """Return by which id something asked is known: an order's own, else the entry's hash."""
    if isinstance(wish, Order):
        return wish.id(fed)
    order = getattr(wish, "order", None)
    if order is not None:
        return cast("Order", order).id(fed)
    return EntryWish(as_wished(wish)).id(fed)


def require_readable(entry: Entry) -> None:
    """Return when a reader accepts an entry's form. Raises: Malformed, BadKey, BadAmount."""
    decode_entry(as_wished(entry).encode())


def failure(fault: MaillonError) -> Failure:
    """Return the message that tells a fault."""
    return Failure(fault.code[:64], str(fault)[:200])


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """What a block says. `ids` are of what was asked of its coop, with their places."""

    h: int
    ids: Sequence[tuple[bytes, int]]
    certain: Sequence[bytes]


class Reading:
    """Take every chain's certified blocks into the index."""

    def __init__(self, book: Book, index: Index) -> None:
        self._book = book
        self._index = index

    def may_order(self, order: Order, now: int) -> bool:
        """Tell whether a key may give orders for an account, as its chain stands now."""
        account = self._book.state(order.chain).account(order.account)
        if account is None or not account.open:
            return False
        if order.mandate:
            mandate = account.mandates.get(order.mandate)
            return mandate is not None and mandate.key == order.key
        return order.key in account.keys_at(now)

    def behind(self, chain: bytes) -> bool:
        """Tell whether a chain has blocks that were not read, or was replaced."""
        head = self._book.head(chain)
        h, block = self._index.indexed(chain)
        # A chain without blocks has none to be read, whatever stands for them.
        return h != head.h or (h > 0 and block != head.hash)

    def new_blocks(self, chain: bytes) -> Iterator[ReadBlock]:
        """Read on, at most READ_BLOCKS_MAX blocks."""
        if not self.behind(chain):
            return
        h, known = self._index.indexed(chain)
        head = self._book.head(chain)
        if h and (h > head.h or self._book.hash_at(chain, h) != known):
            # A retirement or a re-founding put other blocks in the place of these.
            self._index.forget(chain)
            h = 0
        top = min(head.h, h + bounds.READ_BLOCKS_MAX)
        state = self._book.state(chain)
        for block in self._book.blocks(chain, h + 1, top):
            found: list[ReadEntry] = []
            ids: list[tuple[bytes, int]] = []
            for place, placed, entry in self._book.entries(block):
                id = b""
                if not isinstance(entry, In | Return):
                    id = wish_id(entry, self._book.fed)
                    ids.append((id, place))
                found.append((place, placed, entry, id))
            certain = self._index.read_block(
                chain, block.h, block.hash, block.header.time, found, state.account
            )
            yield ReadBlock(block.h, ids, certain)
