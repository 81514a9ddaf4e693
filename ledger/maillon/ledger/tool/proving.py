"""Prove one payment to somebody who has no node: take a proof out of an export, and verify one.

spec/07, "Proofs". Whose signatures count is read out of the charter that the export holds, which is
verified first, from the founding document on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maillon.ledger.audit.report import amount_text
from maillon.ledger.audit.words import clean, when
from maillon.ledger.block import Block, Placed, decode_block
from maillon.ledger.charter import CharterChain
from maillon.ledger.entries import Entry, Settle, decode_entry, message_of
from maillon.ledger.export.container import chain_path
from maillon.ledger.orders import HoldAction, Order, PayAction
from maillon.ledger.proofs import PROOF_BYTES_MAX, EntryProof, decode_proof
from maillon.ledger.quorum import bitmap_places, decode_certificate
from maillon.ledger.tool.auditing import Unusable, verified_charters
from maillon.ledger.tool.files import ExportReader
from maillon.ledger.tool.verifying import best_verify
from maillon.ledger.units import UnitTable
from maillon.protocol.errors import BadSignature
from maillon.protocol.ids import CoopId


@dataclass(frozen=True, slots=True)
class Proven:
    """What a verified proof proves. `order` is None for what a coop decided for its commons."""

    proof: EntryProof
    entry: Entry
    order: Order | None
    charters: CharterChain
    signers: tuple[bytes, ...]

    def lines(self, language: str = "en") -> Iterator[str]:
        """Yield what is proven as lines for a terminal."""
        at = 1 if language == "fr" else 0
        header = self.proof.header
        names = {coop.id: clean(coop.name) for coop in self.charters.latest.coops.values()}

        def coop(id: bytes) -> str:
            return names.get(CoopId(id), id.hex()[:8])

        action = self.order.action if self.order is not None else self.entry
        if isinstance(action, PayAction | HoldAction | Settle):
            payer = self.order.account if self.order is not None else bytes(16)
            yield _WORDS["hold" if isinstance(action, HoldAction) else "pay"][at].format(
                payer=payer.hex(),
                coop=coop(header.chain),
                payee=action.to_account.hex(),
                other=coop(action.to_coop),
                amount=amount_text(
                    UnitTable(self.charters.latest.units), action.unit, action.amount, language
                ),
            )
        else:
            yield _WORDS["entry"][at].format(kind=self.entry.KIND)
        yield _WORDS["block"][at].format(
            coop=coop(header.chain),
            h=header.h,
            when=when(header.time, language),
            entry=self.proof.index + 1,
        )
        if self.order is not None:
            yield _WORDS["signed"][at].format(
                key=self.order.key.hex(), id=self.order.id(header.fed).hex()
            )
        charter = self.charters.state(header.c)
        witnesses = [charter.witness_coop(key) for key in self.signers]
        yield _WORDS["certified"][at].format(
            names=", ".join(clean(one.name) if one is not None else "?" for one in witnesses),
            n=len(self.signers),
            quorum=charter.committee().quorum,
        )


_WORDS: Final = {
    "pay": (
        "Account {payer} of {coop} gives {amount} to account {payee} of {other}.",
        "Le compte {payer} de {coop} donne {amount} au compte {payee} de {other}.",
    ),
    "hold": (
        "Account {payer} of {coop} reserves {amount} for account {payee} of {other}.",
        "Le compte {payer} de {coop} réserve {amount} pour le compte {payee} de {other}.",
    ),
    "entry": ("An entry of kind {kind} (spec/06).", "Une écriture de type {kind} (spec/06)."),
    "block": (
        "It stands in block {h} of {coop}, of {when}, as entry {entry}.",
        "C'est l'écriture {entry} du bloc {h} de {coop}, du {when}.",
    ),
    "signed": (
        "The order {id} is signed with the key {key}.",
        "L'ordre {id} est signé avec la clé {key}.",
    ),
    "certified": (
        "{n} witnesses certified the block ({quorum} are needed): {names}.",
        "{n} témoins ont certifié le bloc (il en faut {quorum}) : {names}.",
    ),
}


def prove(folder: Path, transfer: bytes) -> EntryProof:
    """Return the proof of the transfer of this id (32 bytes) out of an export.

    Raises: Unusable when the export is none, or holds no such transfer; what reading its blocks
    raises.
    """
    reader, charters = verified_charters(folder)
    for block in _blocks(reader):
        for index, placed in enumerate(block.body.entries):
            if isinstance(placed, Placed) and transfer in _ids(charters.fed, placed):
                return EntryProof(
                    block.header,
                    index,
                    placed.salt,
                    placed.data,
                    tuple(block.body.path(index)),
                    certificate=block.certificate,
                )
    raise Unusable("The export holds no such transfer; or its entry was erased.")


def _blocks(reader: ExportReader) -> Iterator[Block]:
    for chain in reader.manifest.chains:
        for _, data in reader.frames(chain_path(chain)):
            yield decode_block(data)


def _ids(fed: bytes, placed: Placed) -> tuple[bytes, ...]:
    """Return the id under which a transfer that begins with an entry is known."""
    entry = decode_entry(placed.data)
    order = _order(entry)
    if order is not None:
        return (order.id(fed),)
    message = message_of(entry, placed.leaf(), fed) if isinstance(entry, Settle) else None
    return () if message is None else (message.id,)


def _order(entry: Entry) -> Order | None:
    order = getattr(entry, "order", None)
    return order if isinstance(order, Order) else None


def verify_proof(data: bytes, folder: Path) -> Proven:
    """Return what a proof proves, by the charter that the export in `folder` holds.

    Raises: Unusable; Malformed, BadEvidence, BadCertificate, NoQuorum, BadSignature when it proves
    nothing.
    """
    _, charters = verified_charters(folder)
    if len(data) > PROOF_BYTES_MAX:
        raise Unusable("This is no proof: it is too long for one.")
    proof = decode_proof(data)
    header = proof.header
    if header.fed != charters.fed:
        raise Unusable("The proof is of another federation than the export.")
    if not proof.certificate:
        raise Unusable("The proof rests on a checkpoint; one with a certificate is needed here.")
    committee = charters.state(header.c).committee()
    verify = best_verify()[0]
    proof.verify_certified(committee, verify)
    entry = decode_entry(proof.entry)
    order = _order(entry)
    if order is not None and not verify([order.check(header.fed)])[0]:
        raise BadSignature(key=order.key)
    places = bitmap_places(decode_certificate(proof.certificate).bitmap)
    signers = tuple(committee.keys[place] for place in places)
    return Proven(proof, entry, order, charters, signers)
