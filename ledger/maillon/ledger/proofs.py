"""Prove one entry to somebody who has neither its chain nor a node (spec/07, "Proofs").

    proof = [1, header bytes, index, salt, entry bytes, [hash, ...],     the entry in its block
             certificate bytes | b"", note bytes | b"", [hash, ...]]     the block in its chain

The block is proven by its own certificate, or by a checkpoint whose tree it stands in: one of the
two is there. Whose signatures count is for the reader to know: the charter of the header's epoch,
or the keys it trusts for checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from maillon.ledger import _read as read
from maillon.ledger.block import Header, certifies, decode_header, history_leaf
from maillon.ledger.checkpoint import NOTE_BYTES_MAX, Checkpoint
from maillon.ledger.entries import entry_leaf
from maillon.ledger.errors import BadCertificate, BadEvidence
from maillon.ledger.limits import (
    CERTIFICATE_BYTES_MAX,
    ENTRIES_MAX,
    ENTRY_BYTES_MAX,
    ENTRY_PATH_MAX,
    ENTRY_SALT_BYTES,
    HEADER_BYTES_MAX,
    HISTORY_PATH_MAX,
)
from maillon.ledger.merkle import verify_consistency, verify_inclusion
from maillon.ledger.quorum import Certificate, Committee, decode_certificate
from maillon.ledger.signing import Verify
from maillon.protocol.encoding import encode

VERSION: Final = 1

PROOF_BYTES_MAX: Final = NOTE_BYTES_MAX + CERTIFICATE_BYTES_MAX + 8_192
"""A note or a certificate, an entry, a header and 61 hashes."""


@dataclass(frozen=True, slots=True)
class EntryProof:
    """An entry, its block's header, and what proves that the block is final.

    Exactly one of `certificate` and `note` is not empty; `history` is the path of the block in the
    note's tree.
    """

    header: Header
    index: int
    salt: bytes
    entry: bytes
    path: tuple[bytes, ...]
    certificate: bytes = b""
    note: bytes = b""
    history: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return the proof's bytes."""
        return encode(
            [
                VERSION,
                self.header.encoded,
                self.index,
                self.salt,
                self.entry,
                list(self.path),
                self.certificate,
                self.note,
                list(self.history),
            ],
            bytes_max=PROOF_BYTES_MAX,
        )

    def check_entry(self) -> None:
        """Return when the entry stands in the block. Raises: BadEvidence."""
        leaf = entry_leaf(self.salt, self.entry)
        header = self.header
        verify_inclusion(leaf, self.index, header.count, self.path, header.entries_root)

    def verify_certified(self, committee: Committee, verify: Verify) -> None:
        """Return when the entry stands in a block that `committee`, of charter `header.c`,
        certified. Raises: BadEvidence, BadCertificate, NoQuorum, Malformed."""
        self.check_entry()
        certificate: Certificate = decode_certificate(self.certificate)
        if not certifies(certificate, self.header):
            raise BadCertificate(rule="block", h=self.header.h)
        certificate.verify(committee, self.header.fed, verify)

    def verify_in(self, checkpoint: Checkpoint) -> None:
        """Return when the entry stands in the history of a checkpoint that the reader trusts.

        Raises: BadEvidence; `open_checkpoint` is what makes a note a checkpoint to trust.
        """
        self.check_entry()
        header = self.header
        expected = Checkpoint.of(header.fed, header.chain, checkpoint.size, checkpoint.root)
        if expected != checkpoint:
            raise BadEvidence(rule="origin")
        leaf = history_leaf(header.hash)
        verify_inclusion(leaf, header.h, checkpoint.size, self.history, checkpoint.root)


def decode_proof(data: bytes) -> EntryProof:
    """Read a proof; nothing is verified. Raises: Malformed and its kinds, WrongVersion."""
    parts = read.array(data, PROOF_BYTES_MAX, "proof")
    if len(parts) != 9 or type(parts[0]) is not int or parts[0] != VERSION:
        read.refuse("proof")
    _, header, index, salt, entry, path, certificate, note, history = parts
    proof = EntryProof(
        decode_header(read.bounded(header, HEADER_BYTES_MAX, "proof")),
        read.number(index, "proof", 0, ENTRIES_MAX - 1),
        read.fixed(salt, ENTRY_SALT_BYTES, "proof"),
        read.bounded(entry, ENTRY_BYTES_MAX, "proof", 1),
        read.hashes(path, ENTRY_PATH_MAX, "proof"),
        read.bounded(certificate, CERTIFICATE_BYTES_MAX, "proof"),
        read.bounded(note, NOTE_BYTES_MAX, "proof"),
        read.hashes(history, HISTORY_PATH_MAX, "proof"),
    )
    if (proof.certificate == b"") == (proof.note == b"") or (proof.history and not proof.note):
        read.refuse("proof")
    return proof


def check_grown(old: Checkpoint, new: Checkpoint, path: tuple[bytes, ...]) -> None:
    """Return when the history of `old` is the beginning of that of `new` (RFC 9162, 2.1.4.2).

    Raises: BadEvidence, whose `rule` is origin, path_index, path_length or path_root.
    """
    if old.origin != new.origin:
        raise BadEvidence(rule="origin")
    verify_consistency(old.size, new.size, path, old.root, new.root)
