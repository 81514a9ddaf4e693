"""Open the writers of a node: its coop's, the charter's, and those of chains it looks after."""

from __future__ import annotations

from maillon.ledger.book import Book
from maillon.ledger.opener import CharterSource
from maillon.ledger.signing import Signer
from maillon.ledger.sources import AdoptionSource, Source
from maillon.ledger.writer import Writer, WriterSettings
from maillon.node.ledger.happenings import Setup
from maillon.node.ledger.staging import StagedDisk


def writer_for(
    chain: bytes, key: Signer, nonce: bytes, setup: Setup, book: Book, disk: StagedDisk
) -> Writer:
    """Return a writer of a chain that has not begun."""
    source: Source | None = None
    if chain == book.fed:
        source = CharterSource(book, setup.coop)
    elif chain != setup.coop:
        source = AdoptionSource(book, chain, setup.random)
    return Writer(
        book,
        chain,
        key,
        nonce,
        verify=setup.verify,
        salt=setup.random,
        seed=setup.random(8),
        own=setup.witness.public,
        disk=disk,
        source=source,
        settings=WriterSettings(eager=source is None),
    )
