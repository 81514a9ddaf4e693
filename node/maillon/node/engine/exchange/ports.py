"""Name what the exchanges of a node need of the world: a store, the ledger, keys, who is who.

The core decides and never does I/O of its own: time and random bytes are arguments, and all that
lasts goes through `ExchangeStore`, synchronously. So a decision and what it changes are one step,
and a whole federation with its exchanges replays from a seed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from maillon.protocol.envelope import Signed
from maillon.protocol.keys import SigningKey
from maillon.protocol.validation import View
from maillon.protocol.view import CoopInfo, MandateInfo, MembershipInfo

# --- what is kept -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of one transcript, with what was found out about who signed it when it came.

    `author` (33 or 49 bytes) and `role` ("node" or "member") as validation gave them; `taken_at`
    Unix seconds. A step of several transcripts (a bundle's decision) has a row in each.
    """

    exchange: bytes
    id: bytes
    author: bytes
    role: str
    taken_at: int
    record: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """The part that somebody has in an exchange.

    `waiting`: everybody waits for them now; `evaluate_until`: they can still evaluate, 0 for no.
    """

    author: bytes
    role: str
    waiting: bool = False
    evaluate_until: int = 0


@dataclass(frozen=True, slots=True)
class SlotRow:
    """An appointment of an exchange, for agendas; times in Unix seconds."""

    slot: bytes
    start: int
    end: int
    status: str


@dataclass(frozen=True, slots=True)
class ExchangeRow:
    """What lists need to know of an exchange without folding its transcript.

    `wake` is when something happens by itself next, None for never; `finished` when its last
    deadline passed or will pass, 0 while it is open; `summary` is small facts for showing it.
    """

    id: bytes
    title: str
    phase: str
    requester: bytes
    provider: bytes
    about: bytes
    bundle: bytes
    opened_at: int
    changed_at: int
    wake: int | None
    finished: int
    guarantees: int
    summary: bytes
    parts: tuple[Part, ...] = ()
    slots: tuple[SlotRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A row of a small table: `space` names the table, `key` the row, `at` orders it.

    `exchange` is what it belongs to (b"" for nothing yet), `value` canonical bytes.
    """

    space: str
    key: bytes
    exchange: bytes
    at: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """Which exchanges a list wants: those of `authors` (all of them when None), by part, phase…

    `here` leaves parts of the members of one coop, and of the coop itself.

    Sorted by (changed_at, id), the latest first; `before` continues after a row of that place.
    """

    authors: tuple[bytes, ...] | None = None
    here: bytes = b""
    role: str = ""
    phases: tuple[str, ...] = ()
    about: bytes = b""
    bundle: bytes = b""
    waiting: bool = False
    evaluating_after: int = 0
    guarantees: bool = False
    finished: bool | None = None
    before: tuple[int, bytes] | None = None
    limit: int = 100


class ExchangeStore(Protocol):
    """The exchanges of one node. Every method is synchronous; writes are grouped by `batch`."""

    def batch(self) -> AbstractContextManager[None]:
        """Open a transaction: leaving it commits durably, an exception undoes all. Nests as one."""
        ...

    # steps

    def has_step(self, id: bytes) -> bool: ...

    def exchanges_of(self, step: bytes) -> list[bytes]:
        """Return the exchanges whose transcript has a step."""
        ...

    def transcript(self, exchange: bytes) -> list[StepRow]:
        """Return the steps of an exchange in the order in which they were taken in."""
        ...

    def count_steps(self, exchange: bytes) -> int: ...

    def add_step(self, row: StepRow) -> None: ...

    def set_record(self, exchange: bytes, id: bytes, record: bytes) -> None:
        """Put another form of a step in its place: without its payload, once that is erased."""
        ...

    # exchanges

    def row(self, exchange: bytes) -> ExchangeRow | None: ...

    def put_row(self, row: ExchangeRow) -> None: ...

    def find(self, query: Query) -> list[ExchangeRow]: ...

    def beginning(self, prefix: str, limit: int) -> list[bytes]:
        """Return ids of exchanges whose hexadecimal text begins so."""
        ...

    def due(self, now: int, limit: int) -> list[bytes]:
        """Return exchanges in which something happens by itself by now, the earliest first."""
        ...

    def next_wake(self) -> int | None: ...

    def agenda(
        self,
        authors: Collection[bytes] | None,
        start: int,
        end: int,
        after: tuple[int, bytes] | None,
        limit: int,
    ) -> list[tuple[bytes, SlotRow]]:
        """Return (exchange, slot) that overlap a time, by (start, slot), after one of a place."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many exchanges there are by phase."""
        ...

    def finished_before(self, at: int, limit: int) -> list[bytes]:
        """Return exchanges that were finished before a time, the earliest first."""
        ...

    def forget(self, exchange: bytes) -> None:
        """Delete an exchange with everything of it, so that no byte of it stays."""
        ...

    # notes

    def note(self, space: str, key: bytes) -> Note | None: ...

    def notes(self, space: str, *, exchange: bytes | None = None, limit: int = 1_000) -> list[Note]:
        """Return the notes of a space, of one exchange when it is given, by (at, key)."""
        ...

    def count_notes(self, space: str) -> int: ...

    def put_note(self, note: Note) -> None: ...

    def drop_note(self, space: str, key: bytes) -> None: ...


# --- the ledger ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer or reservation as the chains tell it, or as it waits for them.

    `status` is one of waiting, certified, held, posted, void, returned, refused and dead (it will
    never be carried out); `expiry` is 0 for what is no reservation; `payer` and `payee` are
    authors; `unit` is the unit's code.
    """

    id: bytes
    status: str
    payer: bytes
    payee: bytes
    unit: str
    amount: int
    ref: bytes
    expiry: int = 0
    reason: str = ""
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    final: bool = True
    """Nothing else will become of it; a payment to another coop may still be sent back."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be ordered: `what` is hold, pay, confirm or release.

    `order` names the reservation that is confirmed or released; `expiry` and `arbiter` (a key or
    b"") are of a hold; `category` a public code or "".
    """

    what: str
    payer: bytes
    payee: bytes
    unit: str
    amount: int
    ref: bytes
    order: bytes = b""
    expiry: int = 0
    arbiter: bytes = b""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A signed order, confirmation or release: `id` names the transfer, `data` is carried out.

    `number` is the order's among those of its account, which are carried out in rising order; 0 for
    what has none.
    """

    id: bytes
    data: bytes
    number: int = 0


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An order that a device is to sign: Ed25519 over `message`."""

    id: bytes
    body: bytes
    message: bytes


class Ledger(Protocol):
    """The accounts of this node, as far as exchanges need them; nothing here waits."""

    @property
    def enabled(self) -> bool:
        """Tell whether the federation keeps accounts at all."""
        ...

    def transfer(self, id: bytes) -> Transfer | None:
        """Return what is known of an order: from the chains, or as it waits here."""
        ...

    def under(self, payer: bytes, ref: bytes) -> list[Transfer]:
        """Return what goes, went or is reserved from somebody's account under a `ref`, lately."""
        ...

    def unit_kind(self, code: str) -> str | None:
        """Return hours, credit or count; None for a unit that the charter does not have."""
        ...

    def counting(self) -> tuple[str, ...]:
        """Return the codes of the charter's units that only count, in its order."""
        ...

    def lapsed(self, data: bytes) -> bool:
        """Tell whether an order that did not become certain can never do so any more.

        It is too late for it, or its number was taken by another; False while the chain was not
        read to where that would show.
        """
        ...

    def may_sign(self, wanted: Wanted) -> bool:
        """Tell whether a key held here could sign it now, as the account's own or its coop's."""
        ...

    def sign(self, wanted: Wanted, *, delegate: bytes | None = None, after: int = 0) -> Ordered:
        """Sign with a key held here: the account's, or `delegate`'s under a spending mandate.

        `after` is the highest number of this account that was signed and is not placed yet.
        Raises: LocalError (`key_elsewhere`, `not_found`), LedgerError.
        """
        ...

    def unsigned(self, wanted: Wanted, key: bytes, *, after: int = 0) -> Unsigned:
        """Return what a device is to sign; `after` as in `sign`. Raises: as `sign`."""
        ...

    def signed(self, wanted: Wanted, key: bytes, body: bytes, signature: bytes) -> Ordered:
        """Put together what a device signed. Raises: BadSignature, Malformed, LocalError."""
        ...


# --- who is who ---------------------------------------------------------------------------------


class Directory(View, Protocol):
    """The identity view of a node: validation's questions, and whose keys are whose."""

    def keys_of(self, author: bytes) -> list[MembershipInfo]: ...

    def mandates_of(self, coop: bytes, key: bytes) -> list[MandateInfo]: ...

    def mandates_to(self, key: bytes) -> list[MandateInfo]: ...

    def coops(self) -> list[CoopInfo]: ...

    def profile(self, coop: bytes) -> Any: ...


class Keys(Protocol):
    """The keys that this node holds: its own and those of members."""

    @property
    def node(self) -> SigningKey: ...

    def held(self, public: bytes) -> SigningKey | None:
        """Return the secret of a key held here, or None."""
        ...

    def holds(self, public: bytes) -> bool: ...


class Records(Protocol):
    """The public records of the node."""

    def record(self, id: bytes) -> Signed | None:
        """Return a live record."""
        ...

    def parts(self, bundle: bytes) -> list[bytes] | None:
        """Return the providers of a bundle that all of them have signed, None for no such one."""
        ...

    def publish(self, record: bytes) -> None:
        """Take in and gossip a record signed by somebody here. Raises: MaillonError.

        One that is known already is taken in silently.
        """
        ...


# --- effects ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Have an order carried out: it is kept in the note `order` of this key."""

    order: bytes


@dataclass(frozen=True, slots=True)
class Post:
    """There are letters in the outbox."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened in an exchange, for those who listen; `authors` are whom it concerns."""

    exchange: bytes
    what: str
    kind: str
    phase: str
    authors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Publish an attestation: it is kept in the note `kept` of this key."""

    attestation: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of an exchange could not be done; told to people, and tried again later."""

    exchange: bytes
    what: str


Effect = Ask | Post | Happened | Release | Fault
Effects = Sequence[Effect]
