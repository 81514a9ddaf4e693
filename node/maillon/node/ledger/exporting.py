"""Write everything an auditor needs into a directory (spec/07, "The export")."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import trio

from maillon.ledger.book import Book
from maillon.ledger.checkpoint import Checkpoint, cosign, raw_signer, sign_checkpoint
from maillon.ledger.export.container import CHARTER, chain_path, frame
from maillon.ledger.messages import AskHeads, Heads
from maillon.ledger.tool.files import ExportWriter
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger import bounds
from maillon.node.ledger.runner import LedgerRunner
from maillon.protocol.errors import LocalError
from maillon.protocol.keys import SigningKey


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
    # Asked before the heights are fixed: an auditor is warned of a head beyond the export's end.
    others = await _heads_of_others(runner)
    tops = {chain: book.head(chain).h for chain in [book.fed, *book.chains()]}
    writer = ExportWriter(folder, book.fed)
    writer.founding(founding)
    blocks = 0
    for chain, top in tops.items():
        name = None if chain == book.fed else chain
        at = writer.height(name)
        if at and not await _same(book, chain, folder, at, runner.export_slice):
            # Entries were erased since, or a pinned block took another's place.
            writer.rewrite(name, ())
            at = 0
        while True:
            high = min(top, at + runner.export_slice)
            blocks += writer.append(name, _encoded(book, chain, at + 1, high))
            at = high
            # The ledger goes on between two slices.
            await trio.lowlevel.checkpoint()
            if at >= top:
                break
    writer.heads(runner.own_node, _heads(book, tops))
    for node, heads in others.items():
        writer.heads(node, heads)
    writer.evidence(proof.encode() for proof in machine.witness.frauds.proofs())
    note = _checkpoint(runner)
    if note is not None:
        writer.checkpoint(machine.setup.coop, note)
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


async def _same(book: Book, chain: bytes, folder: Path, at: int, slice_blocks: int) -> bool:
    """Tell whether the blocks of an export that is carried on are still the ones kept here.

    The ledger goes on between two slices of so many blocks.
    """
    if at > book.head(chain).h:
        return False
    path = folder / (CHARTER if chain == book.fed else chain_path(chain))
    ours, size = hashlib.sha256(), 0
    for low in range(1, at + 1, slice_blocks):
        for data in _encoded(book, chain, low, min(at, low + slice_blocks - 1)):
            framed = frame(data)
            ours.update(framed)
            size += len(framed)
        await trio.lowlevel.checkpoint()
    theirs = hashlib.sha256()
    with path.open("rb") as file:
        left = size
        while left and (part := file.read(min(left, 1 << 20))):
            theirs.update(part)
            left -= len(part)
            await trio.lowlevel.checkpoint()
    return ours.digest() == theirs.digest()


def _heads(book: Book, tops: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for chain, top in tops.items():
        if top:
            block = book.block(chain, top)
            found.append((block.header.encoded, block.certificate))
    return found


async def _heads_of_others(runner: LedgerRunner) -> dict[bytes, list[tuple[bytes, bytes]]]:
    """Ask the connected nodes for their heads: an auditor compares what they say."""
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}

    async def ask(peer: bytes) -> None:
        answer = await runner.ask_peer(peer, AskHeads(()))
        if isinstance(answer, Heads):
            found[peer] = [(header.encoded, proof) for header, proof in answer.heads]

    async with trio.open_nursery() as nursery:
        for peer in runner.connected_keys()[: bounds.EXPORT_PEERS_MAX]:
            nursery.start_soon(ask, peer)
    return found


def _checkpoint(runner: LedgerRunner) -> bytes | None:
    """Return the signed note about this coop's chain, with the word of this node's witness."""
    setup, book = runner.machine.setup, runner.machine.book
    if setup.coop not in book.chains() or not isinstance(setup.writer, SigningKey):
        return None
    head = book.head(setup.coop)
    checkpoint = Checkpoint.of(book.fed, setup.coop, head.h + 1, head.history.root())
    note = sign_checkpoint(checkpoint, setup.writer.public, raw_signer(setup.writer))
    if isinstance(setup.witness, SigningKey) and runner.machine.witness.stopped is None:
        note = cosign(note, setup.witness.public, raw_signer(setup.witness), runner.time())
    return note.encode()
