"""Bring a node's chains up to date from certified blocks (spec/06-ledger.md, W7).

A certified block proves itself, so blocks are taken from anybody, and asked of anybody. Nothing
here depends on being a witness: a node without one follows the chains in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from maillon.ledger.block import Block, Header
from maillon.ledger.book import Book
from maillon.ledger.bounds import ANSWER_BYTES
from maillon.ledger.errors import ChainUnknown, CharterUnknown, NeedBlocks
from maillon.ledger.limits import BLOCKS_MAX, HEADS_MAX
from maillon.ledger.messages import AskHeads, Blocks, Get, Heads
from maillon.ledger.quorum import Certificate
from maillon.ledger.steps import Adopted, Certified, NeedsBlocks, Notice, Step, Write
from maillon.protocol.errors import MaillonError


class Catchup:
    """Answer what others ask about chains, and take over what they answer."""

    def __init__(self, book: Book) -> None:
        self._book = book

    # --- answering ---

    def blocks(self, ask: Get) -> Blocks:
        """Return the first of the blocks asked for: about 64 KiB, at least one if there is one."""
        return self.above(ask.chain, ask.from_h, ask.to_h)

    def above(self, chain: bytes, from_h: int, to_h: int | None = None) -> Blocks:
        """Return the known blocks from a height on, as `blocks` does; none of an unknown chain."""
        listed: list[Block] = []
        size = 0
        try:
            top = self._book.head(chain).h
        except ChainUnknown:
            return Blocks(chain, ())
        if to_h is not None:
            top = min(top, to_h)
        try:
            for block in self._book.blocks(chain, from_h, min(top, from_h + BLOCKS_MAX - 1)):
                size += len(block.encode())
                if listed and size > ANSWER_BYTES:
                    break
                listed.append(block)
        except NeedBlocks:
            # Taken over in this very step, and not written yet: what comes before is an answer.
            pass
        return Blocks(chain, tuple(listed))

    def heads(self, ask: AskHeads) -> Heads:
        """Return the own heads above those named; of chains that are not named, every one."""
        told = dict(ask.heads)
        found: list[tuple[Header, bytes]] = []
        for chain in sorted([self._book.fed, *self._book.chains()]):
            head = self._book.head(chain)
            if head.h > told.get(chain, 0) and head.header is not None:
                found.append((head.header, self._certificate(chain, head.h)))
        return Heads(tuple(found[:HEADS_MAX]))

    def ask(self) -> AskHeads:
        """Return the question that tells where this node stands on every chain."""
        chains = sorted([self._book.fed, *self._book.chains()])
        return AskHeads(tuple((chain, self._book.head(chain).h) for chain in chains))

    def _certificate(self, chain: bytes, h: int) -> bytes:
        return self._book.block(chain, h).certificate

    # --- taking over ---

    def take_heads(self, heads: Heads, from_whom: bytes = b"") -> Step:
        """Name the chains on which another node is ahead, the charter's first."""
        notices: list[Notice] = []
        for header, certificate in heads.heads:
            need = self.hint(header, certificate, from_whom)
            if need is not None:
                notices.append(need)
        notices.sort(key=lambda n: isinstance(n, NeedsBlocks) and n.chain != self._book.fed)
        return Step(notices=tuple(notices))

    def hint(
        self, header: Header, certificate: bytes, from_whom: bytes = b""
    ) -> NeedsBlocks | None:
        """Return what to ask for after hearing of a head, or None; the signatures are not checked.

        A forged hint costs one question. Blocks are checked when they come.
        """
        chain = header.chain
        if header.fed != self._book.fed or not certificate:
            return None
        try:
            head = self._book.head(chain)
        except ChainUnknown:
            # A coop that came with a charter block not seen here yet; that chain is asked about.
            return None
        if header.h <= head.h:
            return None
        return NeedsBlocks(chain, head.h + 1, from_whom)

    def take(self, blocks: Sequence[Block], from_whom: bytes = b"") -> Step:
        """Take over certified blocks in order; those known already are passed over.

        Stops at the first that does not count; where something before it is missing, says what.
        Raises: what `Book.apply` raises, when nothing was taken before a block that does not count.
        """
        writes: list[Write] = []
        notices: list[Notice] = []
        for block in blocks:
            try:
                before = self._book.head(block.chain).adopted
                found = self._book.apply(block, block.certificate)
            except NeedBlocks as need:
                notices.append(NeedsBlocks(need.facts["chain"], need.facts["from_h"], from_whom))
                break
            except CharterUnknown:
                known = self._book.charter.height + 1
                notices.append(NeedsBlocks(self._book.fed, known, from_whom))
                break
            except MaillonError:
                if not writes:
                    raise
                break
            if found:
                writes += found
                notices += certified(block, block.certificate, before)
        return Step(tuple(writes), (), tuple(notices))


def certified(block: Block, certificate: bytes | Certificate, adopted: int) -> list[Notice]:
    """Return what to tell of a block that was taken over, `adopted` being its chain's before."""
    notices: list[Notice] = [Certified(block.chain, block.h, block.hash, certificate)]
    if block.header.c2 != adopted:
        notices.append(Adopted(block.chain, block.header.c2))
    return notices
