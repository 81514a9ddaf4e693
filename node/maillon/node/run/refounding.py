"""Found a federation again when so many witnesses are lost that nothing can be certified (06, E5).

People do this by hand, with their coops' root keys and their nodes stopped: one writes a proposal,
two thirds of the coops sign it, and each that is left installs it. The file is the charter block
itself, with the roots' signatures gathered so far where its certificate will stand.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maillon.ledger import signing
from maillon.ledger.block import Block, decode_block
from maillon.ledger.book import Book
from maillon.ledger.charter import refounding_body
from maillon.ledger.charter_entries import Refound, decode_charter_entry, encode_charter_entry
from maillon.ledger.charter_state import CharterCoop, CharterState
from maillon.ledger.limits import BLOCK_BYTES_MAX
from maillon.ledger.quorum import decode_refounding, default_quorum, encode_refounding
from maillon.ledger.signing import inline_verify
from maillon.ledger.steps import Disk
from maillon.node.home import Home, hold_lock
from maillon.node.i18n import _
from maillon.node.quorumwords import quorum_data
from maillon.node.run.founding import FoundingError, load_founding
from maillon.protocol.cards import CoopCard
from maillon.protocol.keys import SigningKey, coop_id, signature_ok


@dataclass(frozen=True, slots=True)
class Opened:
    """A stopped node's ledger."""

    book: Book
    disk: Disk


@contextmanager
def opened(home: Home) -> Generator[Opened]:
    """Open the ledger of a node that does not run. Raises: AlreadyRunning, StoreError, NoLedger."""
    from maillon.node.store.ledgerdisk import SqliteDisk

    founding = load_founding(home)
    with hold_lock(home):
        disk = SqliteDisk(home.path)
        try:
            yield Opened(Book(founding, disk, inline_verify), disk)
        finally:
            disk.close()


def find_coop(state: CharterState, text: str) -> CharterCoop:
    """Return the coop of an id, the beginning of one, or a name. Raises: FoundingError."""
    members = state.members()
    named = [coop for coop in members if coop.name.casefold() == text.casefold()]
    if not named and len(text) >= 4:
        named = [coop for coop in members if coop.id.hex().startswith(text.lower())]
    if len(named) != 1:
        raise FoundingError(
            _("{text!r} is not one coop of the charter.").format(text=text[:80]),
            hint=_("The coops are: {names}.").format(
                names=", ".join(f"{coop.name} ({coop.id.hex()[:8]})" for coop in members)
            ),
        )
    return named[0]


def propose(
    book: Book,
    root: SigningKey,
    *,
    keep: Sequence[str],
    cards: Sequence[CoopCard],
    quorum: int | None,
    now: int,
) -> Block:
    """Make a re-founding at the heads that this node knows, signed by its own root.

    `keep` are coops that witness with the keys they have, `cards` those of coops that have new
    ones. Raises: FoundingError, CharterRefused.
    """
    state = book.charter.latest
    named: dict[bytes, tuple[bytes, bytes]] = {}
    for text in keep:
        coop = find_coop(state, text)
        if not coop.witness:
            raise FoundingError(_("{name} has no witness.").format(name=coop.name))
        named[coop.id] = (coop.writer, coop.witness)
    for card in cards:
        if card.id not in state.coops:
            raise FoundingError(
                _("{name} is not in the charter.").format(name=card.name),
                hint=_("It can be admitted once the federation works again."),
            )
        named[card.id] = (card.writer, card.witness)
    witnesses = sum(bool(witness) for _writer, witness in named.values())
    if not witnesses:
        raise FoundingError(
            _("Somebody has to witness from now on."),
            hint=_("Name the coops whose nodes are left with --keep, or give their new cards."),
        )
    heads = tuple(
        (chain, book.head(chain).h, book.head(chain).hash) for chain in sorted(book.chains())
    )
    coops = tuple((coop, *named[coop]) for coop in sorted(named))
    entry = Refound(heads, coops, quorum or default_quorum(witnesses))
    block = book.charter.build([encode_charter_entry(entry)], (), time=now)
    return sign(book, block, root)


def read(path: Path) -> Block:
    """Read a re-founding from a file. Raises: Malformed and its kinds."""
    with path.open("rb") as file:
        return decode_block(file.read(BLOCK_BYTES_MAX + 1))


def signers(block: Block) -> dict[bytes, bytes]:
    """Return the signatures gathered so far, by coop."""
    return decode_refounding(block.certificate) if block.certificate else {}


def entry_of(book: Book, block: Block) -> Refound:
    """Return what a file proposes, when it could be the next charter block of this federation.

    Raises: FoundingError for another sort of block; what `CharterChain.check` raises.
    """
    book.charter.check(block)
    entry = decode_charter_entry(getattr(block.body.entries[0], "data", b""))
    if not isinstance(entry, Refound):
        raise FoundingError(_("This file founds nothing again: it is another block."))
    return entry


def sign(book: Book, block: Block, root: SigningKey) -> Block:
    """Add a root's signature. Raises: FoundingError when it is no coop's of the charter."""
    entry_of(book, block)
    coop = coop_id(root.public)
    if coop not in {member.id for member in book.charter.latest.members()}:
        raise FoundingError(_("Your coop is not in the charter, so it cannot sign."))
    body = refounding_body(block)
    given = signers(block) | {coop: signing.sign(root, signing.REFOUND, book.fed, body)}
    return block.with_certificate(encode_refounding(given))


def merge(blocks: Sequence[Block]) -> Block:
    """Join copies of one proposal that were signed apart. Raises: FoundingError."""
    given: dict[bytes, bytes] = {}
    for block in blocks:
        if block.hash != blocks[0].hash:
            raise FoundingError(
                _("The files are different proposals, not copies of one."),
                hint=_("Sign only the one that all of you agreed on."),
            )
        given |= signers(block)
    return blocks[0].with_certificate(encode_refounding(given))


def install(ledger: Opened, block: Block) -> None:
    """Make a proposal that enough have signed this node's charter, on the disk when this returns.

    Raises: NotApproved, BadCertificate, and what `Book.apply` raises.
    """
    entry_of(ledger.book, block)
    ledger.disk.commit(ledger.book.apply(block, block.certificate))


def describe(book: Book, block: Block) -> dict[str, Any]:
    """Return a proposal in plain values, for people and for JSON."""
    entry = entry_of(book, block)
    state = book.charter.latest
    members = state.members()
    message = signing.signed_bytes(signing.REFOUND, book.fed, refounding_body(block))
    given = signers(block)
    witness = {coop: key for coop, _writer, key in entry.coops}
    return {
        "fed": book.fed.hex(),
        "height": block.h,
        "block": block.hash.hex(),
        "needed": -(-2 * len(members) // 3),
        "coops": [
            {
                "coop": coop.id.hex(),
                "name": coop.name,
                "witness": witness.get(coop.id, b"").hex(),
                "signed": coop.id in given and signature_ok(coop.root, message, given[coop.id]),
            }
            for coop in members
        ],
        "heads": [
            {
                "chain": chain.hex(),
                "name": state.coops[chain].name,
                "height": h,
                "known": book.head(chain).h,
                # Whoever knows more, or something else, says so before it signs.
                "other": book.head(chain).h >= h and book.hash_at(chain, h) != block_hash,
            }
            for chain, h, block_hash in entry.heads
        ],
        "quorum": quorum_data(sum(bool(key) for key in witness.values()), entry.quorum),
    }
