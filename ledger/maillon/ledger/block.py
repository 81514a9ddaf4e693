"""Headers, bodies, evidence and blocks (spec/06-blocks.md, "Blocks").

    block = [header bytes, body bytes, certificate bytes | b"", delta]

The header's hash H is the block: who proposed it, in which term, and who certified it stand
outside, so that a block that is proposed again stays the same block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from maillon.ledger import _read as read
from maillon.ledger import merkle
from maillon.ledger.entries import entry_leaf
from maillon.ledger.errors import BadBlock, BadCertificate, BadEvidence
from maillon.ledger.limits import (
    APPROVALS_MAX,
    BLOCK_BYTES_MAX,
    BODY_BYTES_MAX,
    CERTIFICATE_BYTES_MAX,
    DELTA_MAX,
    ENTRIES_MAX,
    ENTRY_SALT_BYTES,
    EVIDENCE_MAX,
    HASH_BYTES,
    HEADER_BYTES_MAX,
    HEIGHT_MAX,
    HISTORY_PATH_MAX,
    PROOF_BYTES_MAX,
    ROW_BYTES_MAX,
    SLOTS_MAX,
)
from maillon.ledger.quorum import Certificate, Committee, decode_certificate
from maillon.ledger.signing import Check, Verify
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.errors import WrongVersion
from maillon.protocol.ids import SIGNATURE_BYTES

VERSION: Final = 1


def genesis_hash(fed: bytes, chain: bytes) -> bytes:
    """Return H of height 0, which has no block: SHA-256("maillon/1/genesis" 0x00 F chain)."""
    return hashlib.sha256(b"maillon/1/genesis\0" + fed + chain).digest()


def history_leaf(block: bytes) -> bytes:
    """Return the leaf of a past block in a chain's history: SHA-256(0x00 || H)."""
    return merkle.leaf_hash(block)


@dataclass(frozen=True, slots=True)
class Header:
    """What is certified of a block. `hash` is H, `encoded` the bytes it is the hash of.

    `c` governs the block, `c2` is adopted by it; `time` in Unix seconds; `count` entries of `size`
    bytes encoded; `history_root` is over the hashes of all earlier blocks, genesis included, so its
    tree has `h` leaves. A chain that is the federation's id itself is the charter's.
    """

    fed: bytes
    chain: bytes
    h: int
    prev: bytes
    c: int
    c2: int
    time: int
    entries_root: bytes
    count: int
    state_root: bytes
    history_root: bytes
    size: int
    encoded: bytes = field(init=False, compare=False, repr=False)
    hash: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        encoded = encoding.encode(
            [
                VERSION,
                self.fed,
                self.chain,
                self.h,
                self.prev,
                self.c,
                self.c2,
                self.time,
                self.entries_root,
                self.count,
                self.state_root,
                self.history_root,
                self.size,
            ],
            bytes_max=HEADER_BYTES_MAX,
        )
        object.__setattr__(self, "encoded", encoded)
        object.__setattr__(self, "hash", hashlib.sha256(b"maillon/1/block\0" + encoded).digest())

    @property
    def of_charter(self) -> bool:
        """Tell whether this is a block of the charter's chain."""
        return self.chain == self.fed

    def encode(self) -> bytes:
        """Return the header's bytes."""
        return self.encoded


def decode_header(data: bytes) -> Header:
    """Read a header. Raises: WrongVersion, Malformed and its kinds."""
    parts = read.array(data, HEADER_BYTES_MAX, "header")
    if not parts or type(parts[0]) is not int:
        read.refuse("header")
    if parts[0] != VERSION:
        raise WrongVersion(got=parts[0], supported=VERSION)
    if len(parts) != 13:
        read.refuse("header")
    _, fed, chain, h, prev, c, c2, time, entries, count, state, history, size = parts
    header = Header(
        read.fixed(fed, HASH_BYTES, "header_fed"),
        read.fixed(chain, HASH_BYTES, "header_chain"),
        read.number(h, "header_height", 1, HEIGHT_MAX),
        read.fixed(prev, HASH_BYTES, "header_prev"),
        read.number(c, "header_charter"),
        read.number(c2, "header_charter"),
        read.number(time, "header_time"),
        read.fixed(entries, HASH_BYTES, "header_entries"),
        read.number(count, "header_count", 0, ENTRIES_MAX),
        read.fixed(state, HASH_BYTES, "header_state"),
        read.fixed(history, HASH_BYTES, "header_history"),
        read.number(size, "header_size", 1, BODY_BYTES_MAX),
    )
    if header.c2 < header.c:
        read.refuse("header_charter")
    return header


# --- Evidence ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evidence:
    """Proof that a block of another chain is certified: by its own certificate, or by a later one.

    `certificate` is that of `carrier`. Without a `path` the two headers are the same; with one it
    leads from the header's hash, leaf number `header.h`, to the carrier's history root.
    """

    header: Header
    carrier: Header
    certificate: Certificate
    path: tuple[bytes, ...] = ()

    def array(self) -> list[Encodable]:
        """Return the evidence as it stands in a body."""
        return [self.header.encoded, self.carrier.encoded, self.certificate.encode(), self.path]

    def encode(self) -> bytes:
        """Return the evidence's bytes."""
        return encoding.encode(self.array())

    def check(self, fed: bytes) -> None:
        """Return when header, carrier and certificate belong together; no signature is verified.

        Raises: BadEvidence, whose `rule` is federation, carrier, certificate or a path's.
        """
        header, carrier = self.header, self.carrier
        if header.fed != fed or carrier.fed != fed:
            raise BadEvidence(rule="federation")
        if self.path:
            # A later block's history has `carrier.h` leaves: the blocks 0 to carrier.h - 1.
            if carrier.chain != header.chain or header.h >= carrier.h:
                raise BadEvidence(rule="carrier")
            merkle.verify_inclusion(
                history_leaf(header.hash),
                header.h,
                carrier.h,
                self.path,
                carrier.history_root,
            )
        elif header.encoded != carrier.encoded:
            raise BadEvidence(rule="carrier")
        if not certifies(self.certificate, carrier):
            raise BadEvidence(rule="certificate")

    def items(self, committee: Committee, fed: bytes) -> list[Check]:
        """Return the signatures to verify; `committee` is that of charter `carrier.c`.

        Raises: BadEvidence as `check`, BadCertificate, NoQuorum.
        """
        self.check(fed)
        return self.certificate.items(committee, fed)

    def verify(self, committee: Committee, fed: bytes, verify: Verify) -> None:
        """Return when it proves the block. Raises: as `items`, and BadCertificate."""
        self.check(fed)
        self.certificate.verify(committee, fed, verify)


def certifies(certificate: Certificate, header: Header) -> bool:
    """Tell whether a certificate is about this very block; its signatures are not looked at."""
    return (
        certificate.block == header.hash
        and certificate.h == header.h
        and certificate.chain == header.chain
        and certificate.c == header.c
    )


def verify_certificate(
    header: Header, certificate: Certificate, committee: Committee, verify: Verify
) -> None:
    """Return when the block is certified by its committee, that of charter `header.c`.

    Raises: BadCertificate, NoQuorum.
    """
    if not certifies(certificate, header):
        raise BadCertificate(rule="block", h=header.h)
    certificate.verify(committee, header.fed, verify)


def evidence_from(value: Any) -> Evidence:
    """Read evidence out of a decoded array. Raises: Malformed and its kinds, WrongVersion."""
    parts = read.items(value, "evidence", 4, 4)
    header = decode_header(read.bounded(parts[0], HEADER_BYTES_MAX, "evidence"))
    same = parts[1] == parts[0]
    return Evidence(
        header,
        header if same else decode_header(read.bounded(parts[1], HEADER_BYTES_MAX, "evidence")),
        decode_certificate(read.bounded(parts[2], CERTIFICATE_BYTES_MAX, "evidence")),
        read.hashes(parts[3], HISTORY_PATH_MAX, "evidence_path"),
    )


def decode_evidence(data: bytes) -> Evidence:
    """Read evidence. Raises: Malformed and its kinds, WrongVersion."""
    return evidence_from(read.array(data, BODY_BYTES_MAX, "evidence"))


# --- Bodies --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry's bytes in a block, under its salt (32)."""

    salt: bytes
    data: bytes

    def leaf(self) -> bytes:
        """Return SHA-256(0x00 || salt || data)."""
        return entry_leaf(self.salt, self.data)


# A frozen record fills its slots by name; straight is twice as fast, and a block has 256 of them.
_new = object.__new__
_salt = vars(Placed)["salt"].__set__
_data = vars(Placed)["data"].__set__


@dataclass(frozen=True, slots=True)
class Erased:
    """What stands for an entry whose bytes and salt were erased."""

    hash: bytes

    def leaf(self) -> bytes:
        """Return the leaf, which is all that is left."""
        return self.hash


@dataclass(frozen=True, slots=True)
class Approval:
    """A coop's signature over a proposal, on the charter's chain."""

    coop: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """Entries, and what proves them: evidence of other chains' blocks, on a coop's chain; on the
    charter's the approvals of coops."""

    entries: tuple[Placed | Erased, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    approvals: tuple[Approval, ...] = ()
    # 128 KiB are encoded once. Not a parameter: `replace` makes a body without it.
    _encoded: bytes = field(init=False, compare=False, repr=False, default=b"")

    def encode(self) -> bytes:
        """Return the body's bytes. Raises: EncodingError beyond 128 KiB."""
        if self._encoded:
            return self._encoded
        entries: list[Encodable] = [
            [entry.salt, entry.data] if isinstance(entry, Placed) else entry.hash
            for entry in self.entries
        ]
        proofs: list[Encodable] = [proof.array() for proof in self.evidence]
        proofs += [[approval.coop, approval.signature] for approval in self.approvals]
        encoded = encoding.encode([entries, proofs], bytes_max=BODY_BYTES_MAX)
        object.__setattr__(self, "_encoded", encoded)
        return encoded

    def leaves(self) -> list[bytes]:
        """Return the leaves of the entries, in order."""
        sha256 = hashlib.sha256
        return [
            # As `entry_leaf` says, without two calls for each of 256.
            sha256(b"\0" + entry.salt + entry.data).digest()
            if type(entry) is Placed
            else entry.leaf()
            for entry in self.entries
        ]

    def root(self) -> bytes:
        """Return the root of the entries' tree."""
        return merkle.root(self.leaves())

    def path(self, index: int) -> list[bytes]:
        """Return the path of an entry in its block, for an `in` or `return` elsewhere."""
        return merkle.inclusion_path(self.leaves(), index)

    @property
    def erased(self) -> int:
        """Return how many entries are erased."""
        return len([True for entry in self.entries if type(entry) is Erased])

    def size(self) -> int:
        """Return the length of encode([[salt, entry bytes], ...]), if nothing is erased."""
        return entries_size(
            [len(entry.data) for entry in self.entries if isinstance(entry, Placed)]
        )


def entries_size(lengths: Sequence[int]) -> int:
    """Return the length of the encoded list of entries that have these lengths.

    The list's header, and for each entry an array header, the salt's 2 + 32, and the bytes with
    their own header.
    """
    count = len(lengths)
    total = 1 if count < 16 else 3
    for length in lengths:
        total += 35 + (2 if length < 0x100 else 3 if length < 0x10000 else 5) + length
    return total


def decode_body(data: bytes, *, charter: bool) -> Body:
    """Read the body of a coop's block, or of a charter block. Raises: Malformed and its kinds."""
    parts = read.array(data, BODY_BYTES_MAX, "body")
    if len(parts) != 2:
        read.refuse("body")
    entries: list[Placed | Erased] = []
    for item in read.items(parts[0], "body_entries", 0, ENTRIES_MAX):
        if type(item) is bytes:
            entries.append(Erased(read.fixed(item, HASH_BYTES, "body_entry")))
            continue
        salt, entry = read.items(item, "body_entry", 2, 2)
        if type(salt) is not bytes or len(salt) != ENTRY_SALT_BYTES:
            read.refuse("body_salt")
        # No entry is longer than the body that it was read from.
        if type(entry) is not bytes or not entry:
            read.refuse("body_entry")
        placed = _new(Placed)
        _salt(placed, salt)
        _data(placed, entry)
        entries.append(placed)
    if charter:
        proofs = read.items(parts[1], "body_approvals", 0, APPROVALS_MAX)
        body = Body(tuple(entries), (), approvals_from(proofs, "body_approvals"))
    else:
        proofs = read.items(parts[1], "body_evidence", 0, EVIDENCE_MAX)
        body = Body(tuple(entries), tuple(evidence_from(proof) for proof in proofs))
    # What was read is canonical: it would be written again with these bytes.
    object.__setattr__(body, "_encoded", data)
    return body


def approvals_from(value: Sequence[Any], rule: str) -> tuple[Approval, ...]:
    """Read [[coop, signature], ...]: coops ascending, none twice."""
    found: list[Approval] = []
    for item in value:
        coop, signature = read.items(item, rule, 2, 2)
        coop = read.fixed(coop, HASH_BYTES, rule)
        if found and coop <= found[-1].coop:
            read.refuse(rule)
        found.append(Approval(coop, read.fixed(signature, SIGNATURE_BYTES, rule)))
    return tuple(found)


# --- Blocks --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeltaRow:
    """A row as it was after the block: its bytes, or (`row` empty) its leaf alone."""

    slot: int
    row: bytes = b""
    hash: bytes = b""

    def array(self) -> list[Encodable]:
        """Return the row as it is encoded: [slot, row] or [slot, b"", leaf]."""
        return [self.slot, self.row] if self.row else [self.slot, b"", self.hash]

    def leaf(self) -> bytes:
        """Return the slot's leaf in the state's tree."""
        return merkle.leaf_hash(self.row) if self.row else self.hash


@dataclass(frozen=True, slots=True)
class Block:
    """A block with what goes with it: `certificate` b"" as long as it has none, `delta` only when
    entries were erased: all rows that it changed, by slot."""

    header: Header
    body: Body
    certificate: bytes = b""
    delta: tuple[DeltaRow, ...] = ()

    @property
    def hash(self) -> bytes:
        """Return H."""
        return self.header.hash

    @property
    def chain(self) -> bytes:
        """Return the id of its chain."""
        return self.header.chain

    @property
    def h(self) -> int:
        """Return its height."""
        return self.header.h

    def with_certificate(self, certificate: bytes) -> Block:
        """Return the same block with a certificate's bytes."""
        return replace(self, certificate=certificate)

    def certified_by(self) -> Certificate:
        """Read its certificate. Raises: Malformed when it has none, or one of another form."""
        return decode_certificate(self.certificate)

    def array(self) -> list[Encodable]:
        """Return the block as it stands in a message or a file."""
        delta: list[Encodable] = [row.array() for row in self.delta]
        return [self.header.encoded, self.body.encode(), self.certificate, delta]

    def encode(self) -> bytes:
        """Return the block's bytes. Raises: EncodingError beyond `BLOCK_BYTES_MAX`."""
        return encoding.encode(self.array(), bytes_max=BLOCK_BYTES_MAX)

    def proposal(self) -> list[Encodable]:
        """Return [header bytes, body bytes], as a proposal carries it."""
        return [self.header.encoded, self.body.encode()]

    def check_form(self) -> None:
        """Return when the body is the one that the header commits to.

        Raises: BadBlock, whose `reason` is count, size or entries_root. The size of a body with
        erased entries is taken from the header.
        """
        header, body = self.header, self.body
        if len(body.entries) != header.count:
            raise BadBlock(reason="count", got=len(body.entries), named=header.count)
        if not body.erased and body.size() != header.size:
            raise BadBlock(reason="size", got=body.size(), named=header.size)
        if body.root() != header.entries_root:
            raise BadBlock(reason="entries_root")


def decode_block(data: bytes) -> Block:
    """Read a block; nothing is verified. Raises: Malformed and its kinds, WrongVersion."""
    return block_from(read.array(data, BLOCK_BYTES_MAX, "block"))


def block_from(value: Any) -> Block:
    """Read a block out of a decoded array of four, or of the two of a proposal."""
    parts = read.items(value, "block", 2, 4)
    if len(parts) == 3:
        read.refuse("block")
    header = decode_header(read.bounded(parts[0], HEADER_BYTES_MAX, "block"))
    body = decode_body(read.bounded(parts[1], BODY_BYTES_MAX, "block"), charter=header.of_charter)
    if len(parts) == 2:
        return Block(header, body)
    certificate = read.bounded(parts[2], PROOF_BYTES_MAX, "block")
    rows: list[DeltaRow] = []
    for item in read.items(parts[3], "delta", 0, DELTA_MAX):
        row = _delta_row(item)
        if rows and row.slot <= rows[-1].slot:
            read.refuse("delta")
        rows.append(row)
    return Block(header, body, certificate, tuple(rows))


def _delta_row(value: Any) -> DeltaRow:
    parts = read.items(value, "delta", 2, 3)
    slot = read.number(parts[0], "delta", 0, SLOTS_MAX - 1)
    row = read.bounded(parts[1], ROW_BYTES_MAX, "delta")
    if (len(parts) == 2) != (row != b""):
        read.refuse("delta")
    return DeltaRow(slot, row, b"" if row else read.fixed(parts[2], HASH_BYTES, "delta"))


__all__ = [
    "VERSION",
    "Approval",
    "Block",
    "Body",
    "DeltaRow",
    "Erased",
    "Evidence",
    "Header",
    "Placed",
    "approvals_from",
    "block_from",
    "certifies",
    "decode_block",
    "decode_body",
    "decode_evidence",
    "decode_header",
    "entries_size",
    "evidence_from",
    "genesis_hash",
    "history_leaf",
    "verify_certificate",
]
