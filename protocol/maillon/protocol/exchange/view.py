"""What an exchange looks like after its transcript was folded (spec/08, "The state")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from maillon.protocol.exchange.state import State

PHASES: Final = (
    "opened",
    "quoted",
    "agreed",
    "scheduled",
    "under_way",
    "done",
    "accepted",
    "disputed",
    "settled",
    "paid",
    "evaluated",
    "cancelled",
    "declined",
    "expired",
    "handed_over",
)
"""Every phase an exchange can be in."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Terms that were quoted; `status` is open, agreed, withdrawn, declined or expired."""

    id: bytes
    at: int
    by: bytes
    terms: Mapping[str, Any]
    valid_until: int
    reserved: bool
    status: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement that counts; `hold` is the order id it names, or None."""

    id: bytes
    quote: bytes
    at: int
    hold: bytes | None


@dataclass(frozen=True, slots=True)
class Slot:
    """An appointment; times in Unix seconds, `minutes` what counts so far.

    `status` is proposed, agreed, under_way, done, accepted or cancelled. Work without appointment
    has the empty id.
    """

    slot: bytes
    start: int
    end: int
    place: str
    status: str
    check_in: int | None
    check_out: int | None
    minutes: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """A proposal that waits for the other party's consent."""

    id: bytes
    kind: str
    by: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Task:
    """A task added with consent; `status` is agreed or handed_over, `to` the one who took it."""

    id: bytes
    text: str
    amount: int
    minutes: int
    status: str
    to: bytes | None


@dataclass(frozen=True, slots=True)
class Due:
    """What is still to be paid, in minor units of `unit`, by `payer` to `payee`."""

    amount: int
    unit: str
    payer: bytes
    payee: bytes


@dataclass(frozen=True, slots=True)
class Hold:
    """An amount reserved; `status` is the ledger's, or "announced" while it says nothing."""

    order: bytes
    amount: int
    unit: str
    status: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment; `transfer` is None when `how` says why there is none.

    `status` is announced, certified or void; only certified amounts are paid.
    """

    id: bytes
    transfer: bytes | None
    how: str
    amount: int
    payer: bytes
    payee: bytes
    status: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the requester acknowledges with: a transfer of 1 of `unit`, which only counts.

    `status` is announced, certified or void.
    """

    id: bytes
    transfer: bytes
    unit: str
    payer: bytes
    payee: bytes
    status: str


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when `what` is waited for (last second, Unix), and what silence means then."""

    what: str
    at: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A party's blind evaluation: the id of the attestation it committed to."""

    author: bytes
    step: bytes
    attestation: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Guarantee:
    """A claim under the guarantee; `closed` is the step that closed it, or None while open."""

    claim: bytes
    at: int
    closed: bytes | None


@dataclass(frozen=True, slots=True)
class Handover:
    """The service or one task (`task`, an amendment) passed on: proposed, consented or done."""

    id: bytes
    by: bytes
    to: bytes
    task: bytes | None
    status: str


@dataclass(frozen=True, slots=True)
class Funding:
    """A third party's word that it pays up to `amount`."""

    id: bytes
    author: bytes
    amount: int
    unit: str
    order: bytes | None


@dataclass(frozen=True, slots=True)
class Void:
    """A step that does not count, and why: a code of spec/08, "Why a step is void"."""

    id: bytes
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Possible:
    """The kinds of step somebody may take now, and for the others why not."""

    kinds: tuple[str, ...]
    why_not: Mapping[str, str]


@dataclass(frozen=True)
class Exchange:
    """The state of an exchange at a time: a pure function of transcript, ledger and clock.

    Amounts are minor units. `expected` is what an acceptance of everything would make due, `owed`
    what is fixed so far, `paid` what certified transfers gave, `announced` what is on the way.
    `acknowledgements` pay nothing: the two evaluate each other on them where a third party pays.
    `folded` is what `at` and `next` go on from, of use to nobody else.
    """

    id: bytes
    now: int
    phase: str
    title: str
    lang: str
    requester: bytes
    provider: bytes
    first_provider: bytes
    payer: bytes
    mediator: bytes | None
    participants: tuple[bytes, ...]
    origin: tuple[bytes, bytes] | None
    about: bytes | None
    bundle: bytes | None
    opened_at: int
    quotes: tuple[Quote, ...]
    agreement: Agreement | None
    reserved: bool
    payment_ref: bytes | None
    terms: Mapping[str, Any] | None
    slots: tuple[Slot, ...]
    changes: tuple[Change, ...]
    tasks: tuple[Task, ...]
    expected: int
    owed: int
    paid: int
    announced: int
    due: Due
    hold: Hold | None
    payments: tuple[Payment, ...]
    acknowledgements: tuple[Acknowledgement, ...]
    may_acknowledge: bool
    deadlines: tuple[Deadline, ...]
    complaint: bytes | None
    mediated: bool
    handover: Handover | None
    handovers: tuple[Handover, ...]
    evaluations: tuple[Evaluation, ...]
    released: bool
    evaluate_until: int | None
    evaluators: tuple[bytes, ...]
    guarantees: tuple[Guarantee, ...]
    guaranteed_until: int | None
    contacts: Mapping[bytes, Mapping[str, Any]]
    fundings: tuple[Funding, ...]
    ended_by: bytes | None
    void: tuple[Void, ...]
    waiting: tuple[bytes, ...]
    heads: tuple[bytes, ...]
    order: tuple[bytes, ...]
    folded: State = field(repr=False, compare=False)

    def at(self, now: int) -> Exchange:
        """Return the same transcript's state at another time."""
        from maillon.protocol.exchange.fold import exchange_at

        return exchange_at(self.folded, now)

    def next(self, author: bytes, now: int) -> Possible:
        """Return what an author may do at a time, and for the other kinds why not."""
        from maillon.protocol.exchange.fold import possible

        return possible(self.folded, author, now)
