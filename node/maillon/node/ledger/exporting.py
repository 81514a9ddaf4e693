"""Write everything an auditor needs into a directory (spec/07, "The export")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import trio

from maillon.ledger.book import Book
from maillon.ledger.tool.files import ExportWriter
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger.runner import LedgerRunner
from maillon.protocol.errors import LocalError


class ExportFailed(LocalError):
    """The directory cannot be written."""

    code = "export"


async def export(runner: LedgerRunner, folder: Path, founding: bytes) -> shapes.LedgerExport:
    """Write an export, or carry one on that is in the directory.

    Heights are fixed first, so that every block that another rests on is in it. Raises: LocalError
    when the directory holds something else; what writing can raise.
    """
    try:
        return await _export(runner, folder, founding)
    except OSError as fault:
        raise ExportFailed(
            _("The export cannot be written to {path}: {fault}.").format(
                path=folder, fault=fault.strerror or fault
            ),
            hint=_("Name a directory that the node may write, on a disk with room."),
        ) from None


async def _export(runner: LedgerRunner, folder: Path, founding: bytes) -> shapes.LedgerExport:
    machine = runner.machine
    book = machine.book
    tops = {chain: book.head(chain).h for chain in [book.fed, *book.chains()]}
    writer = ExportWriter(folder, book.fed)
    writer.founding(founding)
    blocks = 0
    for chain, top in tops.items():
        name = None if chain == book.fed else chain
        at = writer.height(name)
        while True:
            high = min(top, at + runner.export_slice)
            blocks += writer.append(name, _encoded(book, chain, at + 1, high))
            at = high
            # The ledger goes on between two slices.
            await trio.lowlevel.checkpoint()
            if at >= top:
                break
    heads: list[tuple[bytes, bytes]] = []
    for chain, top in tops.items():
        if top:
            block = book.block(chain, top)
            heads.append((block.header.encoded, block.certificate))
    writer.heads(runner.own_node, heads)
    writer.evidence(proof.encode() for proof in machine.witness.frauds.proofs())
    manifest = writer.commit(runner.time(), runner.own_node)
    return shapes.LedgerExport(
        directory=str(folder),
        files=sorted(manifest.files),
        bytes=sum(entry.size for entry in manifest.files.values()),
        chains=len(tops),
        blocks=blocks,
    )


def _encoded(book: Book, chain: bytes, low: int, high: int) -> Iterator[bytes]:
    for block in book.blocks(chain, low, high):
        yield block.encode()
