"""What goes over the interface about exchanges: requests and answers (spec/09, "Exchanges").

Ids, keys and authors are hexadecimal text, times Unix seconds. An author is 70 (`p`), coop
and person of a person, or 63 (`c`) and coop of a coop. Amounts are integers in minor units; a
request may give text instead ("1h30", "12.50"), and answers carry both. Fields are only ever added.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

RENAMED = {"as_": "as", "with_": "with"}
"""Words of Python that are names of fields."""

ROLES = ("requester", "provider", "payer", "mediator", "participant")
"""Parts that somebody of this node can have in an exchange."""


# --- who, how much, when ------------------------------------------------------------------------


class Party(Struct):
    """Somebody of an exchange. `name` comes from the register here and leaves the node nowhere."""

    author: str
    coop: str
    coop_name: str
    person: str
    """Empty for a coop."""
    name: str
    here: bool
    """Somebody of this coop."""


class Money(Struct):
    """An amount; `unit` is the unit's code, empty when nothing is counted."""

    amount: int
    unit: str
    text: str


class SlotOut(Struct):
    """An appointment. `status` is proposed, agreed, cancelled, under_way or done."""

    slot: str
    start: int
    end: int
    place: str
    status: str
    check_in: int | None = None
    check_out: int | None = None
    minutes: int | None = None


class DeadlineOut(Struct):
    """What happens by itself at a time: `what` is waited for, `outcome` is what silence means."""

    what: str
    at: int
    outcome: str


class Possible(Struct):
    """A kind of step that one of the people here may take now."""

    kind: str
    by: str
    """The author who may."""
    role: str


class Impossible(Struct):
    """A kind of step that nobody here may take now; `why` is a code, `detail` a sentence."""

    kind: str
    by: str
    why: str
    detail: str = ""
    at: int | None = None
    """From when it is possible, where that is a matter of time alone."""


class QuoteOut(Struct):
    """What a provider proposed. `status` is open, agreed, withdrawn, declined or expired."""

    quote: str
    at: int
    valid_until: int
    reserved: bool
    status: str
    terms: dict[str, Any]
    mediator: Party | None = None
    """Whom the terms name to mediate."""


class PaymentOut(Struct):
    """A payment or reservation of an exchange, as this node and the ledger know it.

    `what` is hold, pay, confirm, release or acknowledge; `status` is wanted (nothing was signed
    yet), ordered, certified, held, void or refused, with `reason` and `detail`.
    """

    what: str
    order: str
    amount: Money
    status: str
    payer: str = ""
    payee: str = ""
    reason: str = ""
    detail: str = ""


class EvaluationOut(Struct):
    """One side's evaluation. `attestation` is empty until it is published."""

    by: str
    at: int
    published: bool
    attestation: str = ""


class GuaranteeOut(Struct):
    """What a requester claims under the guarantee; it stays visible until it is closed."""

    exchange: str
    title: str
    claim: str
    at: int
    text: str
    requester: Party
    provider: Party
    closed: int | None = None
    closed_text: str = ""


class WordsOut(Struct):
    """Words of a step: a message, a complaint, a reason; `amount`: what it proposes or decides."""

    step: str
    kind: str
    at: int
    by: Party
    text: str
    signer: Party | None = None
    """Whose hand signed, under a mandate; None for their own."""
    late_minutes: int = 0
    slot: str = ""
    to: str = ""
    """Of an answer: the step that it answers, and `yes`."""
    yes: bool | None = None
    amount: Money | None = None
    counts: bool = True


class WaitingOut(Struct):
    """What waits for an answer: `step` is the one that a consent names in `to`.

    `outcome` is what silence until `until` means: refused or consented. `slots` are appointments
    it proposes, of which `moves` stand already, `cancels` those it calls off, `to` who takes over.
    """

    step: str
    kind: str
    at: int
    by: Party
    until: int | None
    outcome: str
    text: str = ""
    slots: list[SlotOut] = []
    moves: list[str] = []
    cancels: list[str] = []
    amount: Money | None = None
    minutes: int | None = None
    to: Party | None = None
    task: str = ""
    wants: str = "consent"
    """consent, or handover_acceptance once the requester has consented."""


class StepOut(Struct):
    """One signed step. `void` says why it does not count, empty when it does."""

    id: str
    kind: str
    at: int
    author: str
    role: str
    by: str
    """The key that signed."""
    under: str
    """The mandate it was signed under, empty for none."""
    coop: str
    """The coop that vouches for the key."""
    refs: list[str]
    fields: dict[str, Any] | None
    """None when the content was erased."""
    void: str = ""
    record: str = ""
    """The record's bytes, when they were asked for."""
    signer: Party | None = None
    """Whose hand signed under the mandate `under`."""


# --- exchanges ----------------------------------------------------------------------------------


class ExchangeRow(Struct):
    """An exchange in a list. `waiting_for` are the roles that everybody waits for now."""

    id: str
    title: str
    phase: str
    roles: list[str]
    requester: Party
    provider: Party
    opened_at: int
    changed_at: int
    waiting_for: list[str]
    about: str = ""
    bundle: str = ""
    due: Money | None = None
    next_slot: SlotOut | None = None
    deadline: DeadlineOut | None = None
    guarantees_open: int = 0


class Exchanges(Struct):
    """Exchanges, the one changed last first; `next` continues a list as `after`."""

    exchanges: list[ExchangeRow]
    next: str | None


class Origin(Struct):
    exchange: str
    step: str


class Contacts(Struct):
    """How to reach each other; revealed by the agreement, the fallback stands in the terms."""

    requester: dict[str, Any] | None
    provider: dict[str, Any] | None
    fallback: dict[str, Any] | None


class Delivery(Struct):
    """Letters of this exchange that wait for other nodes."""

    waiting: int
    expired: int


class JointOut(Struct):
    """A payment of a group's account that is wanted: how much, for whom, until when, who signs.

    `needed` of `members` have to; `approvals` are those who have, under `order` of the group.
    `status` is open until it is ordered, then ordered.
    """

    request: str
    payer: Party
    payee: Party
    amount: Money
    until: int
    status: str
    needed: int
    members: list[Party]
    approvals: list[str]
    order: str = ""


class Exchange(Struct):
    """Everything of one exchange that those here may see."""

    id: str
    title: str
    phase: str
    roles: list[str]
    requester: Party
    provider: Party
    opened_at: int
    changed_at: int
    waiting_for: list[str]
    about: str
    bundle: str
    text: str
    lang: str
    quotes: list[QuoteOut]
    terms: dict[str, Any] | None
    slots: list[SlotOut]
    due: Money | None
    paid: Money | None
    hold: PaymentOut | None
    payments: list[PaymentOut]
    deadlines: list[DeadlineOut]
    possible: list[Possible]
    impossible: list[Impossible]
    evaluations: list[EvaluationOut]
    guarantees: list[GuaranteeOut]
    contact: Contacts
    delivery: Delivery
    steps: int
    void: int
    heads: list[str]
    payer: Party | None = None
    mediator: Party | None = None
    participants: list[Party] = []
    origin: Origin | None = None
    successors: list[str] = []
    """Exchanges that a handover of this one opened."""
    notices: list[str] = []
    proposals: list[WaitingOut] = []
    """What waits for an answer."""
    said: list[WordsOut] = []
    """The latest words of both sides; the transcript has all of them."""
    expected: Money | None = None
    """What an acceptance of everything would make due now."""
    fee: Money | None = None
    """What whoever cancels now owes by the terms."""
    joint: list[JointOut] = []
    """What members of a group of this coop have to sign together, so that it pays for this."""


class Transcript(Struct):
    """The signed steps in the order in which they count, with what proves who signed them.

    With `raw`, `records` are all records a mediator needs to compute the state anew: those that
    vouch for the keys first, then the steps.
    """

    exchange: str
    phase: str
    steps: list[StepOut]
    records: list[str] = []


class StepDone(Struct):
    """A step that was taken, the exchange as it is now, and payments that followed."""

    step: str
    exchange: Exchange
    payments: list[PaymentOut] = []


class DraftOut(Struct):
    """A step that wants a signature: Ed25519 over `sign`, by `key`.

    The record is the canonical encoding of [header, signature, payload]. `header` and `payload` are
    shown as they are, so that a device can encode what it signs itself.
    """

    kind: str
    exchange: str
    """Empty for an opening, whose id the record itself has."""
    id: str
    header: str
    payload: str
    sign: str
    fields: dict[str, Any]


class OrderDraftOut(Struct):
    """An order, confirmation or release that wants a signature: Ed25519 over `sign`, by `key`."""

    what: str
    order: str
    body: str
    sign: str
    amount: Money
    payee: str


class Taken(Struct):
    """What became of one record: `new`, `known` or `waits` (for what vouches for its key)."""

    id: str
    exchange: str
    outcome: str


class SignedDone(Struct):
    taken: list[Taken]
    exchanges: list[ExchangeRow]
    payments: list[PaymentOut] = []


# --- particular steps ---------------------------------------------------------------------------


class EvaluationDraftOut(Struct):
    """Two records to sign; the step names the attestation's id, which no signature changes."""

    attestation: DraftOut
    step: DraftOut


class PendingEvaluation(Struct):
    """Somebody here can still evaluate an exchange, until `deadline`."""

    exchange: str
    title: str
    by: Party
    of: Party
    transfer: str
    deadline: int


class PendingEvaluations(Struct):
    evaluations: list[PendingEvaluation]
    next: str | None


class Guarantees(Struct):
    guarantees: list[GuaranteeOut]
    next: str | None


class FundingOut(Struct):
    """Somebody asks a payer of this coop to fund a service; it does not say which.

    `status` is open, ordered, funded, declined, replaced (by a request for another amount) or
    expired. Nothing leaves the account of `payer` but by the answer to it.
    """

    id: str
    exchange: str
    amount: Money
    payer: Party
    payee: Party
    asker: Party
    category: str
    beneficiary: str
    at: int
    status: str
    order: str = ""
    ref: str = ""
    """What an order of the payer carries that a device signs itself."""


class Fundings(Struct):
    fundings: list[FundingOut]
    next: str | None


# --- the day ------------------------------------------------------------------------------------


class AgendaEntry(Struct, rename=RENAMED):
    """One appointment of somebody here."""

    exchange: str
    title: str
    phase: str
    role: str
    slot: SlotOut
    with_: Party
    contact: dict[str, Any] | None
    late_minutes: int = 0


class Agenda(Struct):
    entries: list[AgendaEntry]
    next: str | None


# --- bundles and collective demands -------------------------------------------------------------


class BundlePartOut(Struct):
    provider: Party
    title: str
    signed: bool
    offer: str = ""
    amount: Money | None = None
    exchange: str = ""
    """The exchange that a reservation here opened with this provider."""
    phase: str = ""
    reserved: bool = False
    agreed: bool = False
    terms: dict[str, Any] | None = None
    """What the reserved quote says, or the latest that is open."""
    mediator: Party | None = None


class ReservationOut(Struct):
    """What somebody here asked for of a bundle: its `exchanges`, and their `status`."""

    requester: Party
    status: str
    exchanges: list[str]
    until: int | None = None


class BundleOut(Struct):
    """A bundle; `complete` once every provider has signed.

    `status` of the reservation asked for: none, reserving, reserved, agreed, commit, abort, or
    broken once a part has ended, so that not all can be agreed any more. `parts` and `status` are
    of the requester's reservation; `others` are those of others whom the caller acts for.
    """

    bundle: str
    title: str
    text: str
    lang: str
    categories: list[str]
    complete: bool
    parts: list[BundlePartOut]
    status: str = "none"
    decision: str = ""
    requester: Party | None = None
    until: int | None = None
    others: list[ReservationOut] = []


class Bundles(Struct):
    bundles: list[BundleOut]
    next: str | None


class Cosigner(Struct):
    who: Party
    at: int
    id: str


class Cosigners(Struct):
    """Who stands behind a demand: its author is not counted among them."""

    demand: str
    title: str
    cosigners: list[Cosigner]
    next: str | None = None
