"""Keep the small tables of the exchanges: letters to be sent, orders, attestations kept back.

Each is a space of notes (`ports.Note`) whose value is a canonical map:

    out           ticket         a letter to be handed to the post office
    letter        ticket         one that the post office has; value: the key it is to
    lost          ticket         one that never arrived; value: why
    sent          exchange key   somebody's key that has the transcript
    order         order          an order, confirmation or release that is to be carried out
    order open    order          one of which something may still become
    refers        order          an order that a step names
    refers open   order          one of which something may still become; value: its last status
    look          exchange       one to be looked at again: something became of its orders
    kept          attestation    an attestation kept back until the evaluations are released
    released      attestation    one that is to be published
    waiting       step           a step whose opening, or what vouches for its key, is not known yet
    missing       exchange       steps of it are referred to and not here; value: times asked
    answered      exchange coop  when somebody was last sent what they miss
    stranger      exchange       one that concerns nobody here yet; value: the coop it came from
    decided       exchange       the decision about the bundle that it is a part of
    funding       request        what a payer here is asked to fund
    funding open  request        one that an order was signed for
    successor     exchange       one that a handover or an added task of another one opened
    asked         digest         a request to a third-party payer; the key is of its content
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, cast

from maillon.node.engine.exchange.ports import ExchangeStore, Note
from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.letters import Item
from maillon.protocol.limits import LETTER_PLAIN_BYTES_MAX

OUT: Final = "out"
LETTER: Final = "letter"
LOST: Final = "lost"
SENT: Final = "sent"
ORDER: Final = "order"
ORDER_OPEN: Final = "order open"
REFERS: Final = "refers"
REFERS_OPEN: Final = "refers open"
LOOK: Final = "look"
KEPT: Final = "kept"
RELEASED: Final = "released"
WAITING: Final = "waiting"
MISSING: Final = "missing"
ANSWERED: Final = "answered"
STRANGER: Final = "stranger"
DECIDED: Final = "decided"
FUNDING: Final = "funding"
FUNDING_OPEN: Final = "funding open"
SUCCESSOR: Final = "successor"
ASKED: Final = "asked"
UNREACHED: Final = "unreached"

VALUE_BYTES_MAX: Final = LETTER_PLAIN_BYTES_MAX + 4_096

Map = dict[str, Value]


def _map(note: Note) -> dict[str, Any]:
    return cast("dict[str, Any]", decode(note.value, bytes_max=VALUE_BYTES_MAX))


def _value(fields: Map) -> bytes:
    return encode(fields, bytes_max=VALUE_BYTES_MAX)


# --- letters ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutLetter:
    """A letter that is to be handed to the post office; the same ticket is the same letter."""

    ticket: bytes
    exchange: bytes
    at: int
    to_coop: bytes
    to_key: bytes
    owner: bytes
    until: int
    items: tuple[Item, ...]

    def note(self) -> Note:
        """Return the note that keeps it."""
        items: list[Value] = [[item.kind, item.data, item.release] for item in self.items]
        fields: Map = {
            "coop": self.to_coop,
            "key": self.to_key,
            "owner": self.owner,
            "until": self.until,
            "items": items,
        }
        return Note(OUT, self.ticket, self.exchange, self.at, _value(fields))


def out_letter(note: Note) -> OutLetter:
    """Read a letter that is to be sent."""
    fields = _map(note)
    items = tuple(Item(kind, data, release) for kind, data, release in fields["items"])
    return OutLetter(
        note.key, note.exchange, note.at, fields["coop"], fields["key"], fields["owner"],
        fields["until"], items,
    )  # fmt: skip


def ticket_of(key: bytes, items: Sequence[Item]) -> bytes:
    """Return the name of a letter: of what is in it, and to which key."""
    digest = hashlib.sha256(b"maillon/node/ticket\0" + key)
    for item in items:
        digest.update(hashlib.sha256(item.data).digest())
    return digest.digest()


# --- orders -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderNote:
    """An order of an exchange: `what` is hold, pay, confirm or release.

    `id` is the order's; that of a confirmation or release is derived from the reservation
    `order` it is about. `data` is what is handed to the ledger. `status` is ordered, waiting, held,
    certified, void, returned, refused or dead (it can never be carried out any more); `step` the
    step that told it; `number` its place among the orders of the account, 0 for none.
    """

    id: bytes
    exchange: bytes
    at: int
    what: str
    payer: bytes
    payee: bytes
    unit: str
    amount: int
    ref: bytes
    order: bytes
    data: bytes
    expiry: int = 0
    status: str = "ordered"
    reason: str = ""
    detail: str = ""
    step: bytes = b""
    number: int = 0

    @property
    def transfer(self) -> bytes:
        """Return the transfer or reservation it is about."""
        return self.order or self.id

    def note(self) -> Note:
        """Return the note that keeps it."""
        fields = asdict(self)
        for name in ("id", "exchange", "at"):
            del fields[name]
        return Note(ORDER, self.id, self.exchange, self.at, _value(fields))

    def became(self, status: str, reason: str = "", detail: str = "") -> OrderNote:
        """Return it with what became of it."""
        return replace(self, status=status, reason=reason[:64], detail=detail[:400])


def order_note(note: Note) -> OrderNote:
    """Read an order."""
    return OrderNote(note.key, note.exchange, note.at, **_map(note))


def orders_of(store: ExchangeStore, exchange: bytes) -> list[OrderNote]:
    """Return the orders of an exchange, the earliest first."""
    return [order_note(note) for note in store.notes(ORDER, exchange=exchange)]


def name_order(store: ExchangeStore, order: bytes, exchange: bytes, now: int) -> None:
    """Note that a step names an order, which the ledger is asked about from now on."""
    if store.note(REFERS, order) is None:
        store.put_note(Note(REFERS, order, exchange, now, b""))
        store.put_note(Note(REFERS_OPEN, order, exchange, now, b""))


def about_hold(what: str, order: bytes) -> bytes:
    """Return the name of a confirmation or release of a reservation."""
    return hashlib.sha256(b"maillon/node/" + what.encode() + b"\0" + order).digest()


# --- attestations -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeptAttestation:
    """An attestation that is kept back; `status` is kept, released or published."""

    id: bytes
    exchange: bytes
    at: int
    author: bytes
    record: bytes
    status: str = "kept"

    def note(self) -> Note:
        """Return the note that keeps it."""
        fields: Map = {"author": self.author, "record": self.record, "status": self.status}
        return Note(KEPT, self.id, self.exchange, self.at, _value(fields))


def kept_attestation(note: Note) -> KeptAttestation:
    """Read an attestation that is kept back."""
    fields = _map(note)
    return KeptAttestation(
        note.key, note.exchange, note.at, fields["author"], fields["record"], fields["status"]
    )


# --- steps that wait ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WaitingStep:
    """A step that waits; `sent_by` is the coop whose letter brought it, `own` that it is ours."""

    id: bytes
    exchange: bytes
    at: int
    sent_by: bytes
    own: bool
    record: bytes

    def note(self) -> Note:
        """Return the note that keeps it."""
        fields: Map = {"coop": self.sent_by, "own": self.own, "record": self.record}
        return Note(WAITING, self.id, self.exchange, self.at, _value(fields))


def waiting_step(note: Note) -> WaitingStep:
    """Read a step that waits."""
    fields = _map(note)
    return WaitingStep(
        note.key, note.exchange, note.at, fields["coop"], fields["own"], fields["record"]
    )


# --- third-party payers -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FundingNote:
    """What a payer here is asked to fund; `status` is open, ordered, funded, declined or replaced.

    `consent` is the signed `funding` of who may act for the payer, which names the `order`; `step`
    is its id once it was told.
    """

    id: bytes
    exchange: bytes
    at: int
    payer: bytes
    asker: bytes
    payee: bytes
    ref: bytes
    unit: str
    amount: int
    category: str
    beneficiary: str
    until: int
    status: str = "open"
    order: bytes = b""
    step: bytes = b""
    consent: bytes = b""

    def note(self) -> Note:
        """Return the note that keeps it: not under the exchange, in which the payer has no part.

        The payer keeps it for its own books when the transcript is gone.
        """
        fields = asdict(self)
        for name in ("id", "at"):
            del fields[name]
        return Note(FUNDING, self.id, b"", self.at, _value(fields))


def funding_note(note: Note) -> FundingNote:
    """Read what a payer is asked."""
    return FundingNote(id=note.key, at=note.at, **_map(note))
