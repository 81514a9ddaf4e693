"""Give out what proves one transfer to somebody who has no node (spec/07, "Proofs")."""

from __future__ import annotations

from maillon.ledger.block import Placed
from maillon.ledger.book import Book
from maillon.ledger.proofs import EntryProof
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger.asking import AskingError
from maillon.node.ledger.index import TransferRow
from maillon.node.ledger.showing import Showing


def entry_proof(book: Book, showing: Showing, row: TransferRow) -> shapes.EntryProof:
    """Return the proof of a certified transfer. Raises: AskingError when its entry was erased."""
    block = book.block(row.coop, row.place.h)
    index = row.place.index
    placed = block.body.entries[index]
    if not isinstance(placed, Placed):
        raise AskingError(_("The entry was erased; what is left of it proves nothing."))
    proof = EntryProof(
        block.header,
        index,
        placed.salt,
        placed.data,
        tuple(block.body.path(index)),
        certificate=block.certificate,
    )
    committee = book.charter_state(block.header.c).committee()
    # What is handed out as a proof was verified as its reader will verify it.
    proof.verify_certified(committee, book.verify)
    return shapes.EntryProof(
        id=row.id.hex(),
        coop=row.coop.hex(),
        coop_name=showing.coop_name(row.coop),
        block=showing.block(row.place),
        index=index,
        header=block.header.encoded.hex(),
        salt=placed.salt.hex(),
        entry=placed.data.hex(),
        path=[node.hex() for node in proof.path],
        certificate=block.certificate.hex(),
        charter=block.header.c,
        witnesses=[key.hex() for key in committee.keys],
        quorum=committee.quorum,
        proof=proof.encode().hex(),
    )
