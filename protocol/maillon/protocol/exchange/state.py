"""Hold the state of an exchange while its steps are judged, and count what is due (spec/08)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from maillon.protocol.exchange.order import ALL, Arranged
from maillon.protocol.exchange.steps import Facts, TransferFact, payment_ref

HOUR_MINUTES: Final = 60
WALK_IN: Final = b""
"""The id of the work that belongs to no appointment."""


@dataclass(slots=True)
class QuoteState:
    """A quote, and what became of it."""

    id: bytes
    at: int
    by: bytes
    terms: Mapping[str, Any]
    valid_until: int
    reserved: bool
    status: str = "open"


@dataclass(slots=True)
class SlotState:
    """An appointment. `ins` and `outs` are (place, time, minutes) of its check-ins and outs."""

    id: bytes
    start: int
    end: int
    text: str
    status: str = "planned"
    ins: tuple[tuple[int, int], ...] = ()
    outs: tuple[tuple[int, int, int | None], ...] = ()
    out_at: int = 0

    def began(self, known: int = ALL) -> int | None:
        """Return when work began, the latest check-in that a mask has seen."""
        times = [time for place, time in self.ins if place < 0 or known >> place & 1]
        return max(times, default=None)

    def minutes(self, known: int = ALL) -> int | None:
        """Return the measured minutes: the least of what was said, of what a mask has seen."""
        found: list[int] = []
        for place, time, minutes in self.outs:
            if place >= 0 and not known >> place & 1:
                continue
            if minutes is None:
                began = self.began(known)
                minutes = 0 if began is None else max(0, time - began) // 60
            found.append(minutes)
        return min(found, default=None)


@dataclass(slots=True)
class ChangeState:
    """A proposal that waits for consent; `payload` is its step's."""

    id: bytes
    kind: str
    by: bytes
    at: int
    payload: Mapping[str, Any]


@dataclass(slots=True)
class TaskState:
    """A task added with consent."""

    id: bytes
    text: str
    amount: int
    minutes: int
    to: bytes | None = None
    fixed: bool = False


@dataclass(slots=True)
class Fixed:
    """An amount that became due. `how` is accepted, silence, mediated, settled or fee.

    `full` is the most that it could have been. `step` is None for silence; `accept_until` the
    deadline that silence would have met; `whole` says that it covers tasks agreed in ignorance of
    it, `part` that its author accepted less than `full`.
    """

    amount: int
    full: int
    at: int
    how: str
    step: bytes | None
    accept_until: int
    payer: bytes
    whole: bool = False
    part: bool = False


@dataclass(slots=True)
class Dispute:
    """What the parties do not agree on, since when; `step` is None when silence opened it."""

    step: bytes | None
    at: int
    by: bytes | None
    kind: str
    fixed: int | None


@dataclass(slots=True)
class PayState:
    """A payment step as it was said; what it is worth the ledger says.

    `moved` says that nobody asked for it, and that it counts because the ledger moved the money.
    """

    step: bytes
    at: int
    order: bytes | None
    how: str
    amount: int
    author: bytes
    moved: bool = False


@dataclass(slots=True)
class Acknowledged:
    """An acknowledgement: the transfer `order` of 1 in a unit that counts, to `provider`."""

    step: bytes
    at: int
    order: bytes
    unit: str
    provider: bytes


@dataclass(slots=True)
class HandoverState:
    """A handover; `status` is proposed, consented, done or gone."""

    id: bytes
    by: bytes
    to: bytes
    task: bytes | None
    at: int
    status: str = "proposed"
    consent: bytes | None = None
    consented_at: int = 0


@dataclass(slots=True)
class State:
    """The state in the making. Rules decide first and change it last."""

    arranged: Arranged
    facts: Facts
    requester: bytes
    provider: bytes
    first_provider: bytes
    time: int = 0
    quotes: dict[bytes, QuoteState] = field(default_factory=dict[bytes, QuoteState])
    agreement: bytes | None = None
    agreement_payload: Mapping[str, Any] | None = None
    agreed_at: int = 0
    waits_for_bundle: bool = False
    bundle_decided: str = ""
    terms: Mapping[str, Any] | None = None
    refs: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    asked: dict[bytes, TransferFact | None] = field(
        default_factory=dict[bytes, TransferFact | None]
    )
    slots: dict[bytes, SlotState] = field(default_factory=dict[bytes, SlotState])
    changes: dict[bytes, ChangeState] = field(default_factory=dict[bytes, ChangeState])
    tasks: dict[bytes, TaskState] = field(default_factory=dict[bytes, TaskState])
    fixed: list[Fixed] = field(default_factory=list[Fixed])
    first_fixed_at: int | None = None
    dispute: Dispute | None = None
    dissent: bytes | None = None
    payments: list[PayState] = field(default_factory=list[PayState])
    acknowledged: list[Acknowledged] = field(default_factory=list[Acknowledged])
    hold: tuple[bytes, int, str] | None = None
    handovers: dict[bytes, HandoverState] = field(default_factory=dict[bytes, HandoverState])
    evaluations: dict[bytes, tuple[bytes, bytes, int]] = field(
        default_factory=dict[bytes, tuple[bytes, bytes, int]]
    )
    claims: dict[bytes, tuple[int, bytes | None]] = field(
        default_factory=dict[bytes, tuple[int, bytes | None]]
    )
    contacts: dict[bytes, Mapping[str, Any]] = field(
        default_factory=dict[bytes, Mapping[str, Any]]
    )
    fundings: list[tuple[bytes, bytes, Mapping[str, Any]]] = field(
        default_factory=list[tuple[bytes, bytes, Mapping[str, Any]]]
    )
    ended: str = ""
    ended_by: bytes | None = None
    void: list[tuple[bytes, str, str]] = field(default_factory=list[tuple[bytes, str, str]])

    def copy(self) -> State:
        """Return a copy whose changes this one does not see."""
        return replace(
            self,
            quotes={key: replace(value) for key, value in self.quotes.items()},
            refs=dict(self.refs),
            slots={key: replace(value) for key, value in self.slots.items()},
            changes=dict(self.changes),
            tasks={key: replace(value) for key, value in self.tasks.items()},
            fixed=[replace(value) for value in self.fixed],
            dispute=None if self.dispute is None else replace(self.dispute),
            payments=list(self.payments),
            acknowledged=list(self.acknowledged),
            handovers={key: replace(value) for key, value in self.handovers.items()},
            evaluations=dict(self.evaluations),
            claims=dict(self.claims),
            contacts=dict(self.contacts),
            fundings=list(self.fundings),
            void=list(self.void),
        )

    # --- who --------------------------------------------------------------------------------------

    @property
    def opening(self) -> Mapping[str, Any]:
        """Return the opening's payload."""
        payload = self.arranged.opening.payload
        assert payload is not None  # `arrange` refuses an opening without it
        return payload

    @property
    def payer(self) -> bytes:
        """Return who pays: the third party the opening names, or the requester."""
        named: bytes = self.opening.get("payer", self.requester)
        return named

    @property
    def third_party(self) -> bool:
        """Tell whether somebody pays who is neither of the two."""
        return self.payer not in (self.requester, self.first_provider, self.provider)

    @property
    def mediator(self) -> bytes | None:
        """Return the coop that mediates, when the agreed terms name one."""
        return None if self.terms is None else self.terms.get("mediator")

    @property
    def recurring(self) -> bool:
        """Tell whether each session is accepted and paid for itself."""
        return self.terms is not None and "recurrence" in self.terms

    @property
    def by_time(self) -> bool:
        """Tell whether the price goes by the measured time."""
        return self.terms is not None and "per_hour" in self.terms

    def other(self, author: bytes) -> bytes:
        """Return the other one of requester and provider."""
        return self.provider if author == self.requester else self.requester

    # --- how much ---------------------------------------------------------------------------------

    def open_slots(self) -> Iterator[SlotState]:
        """Yield the appointments that are done and not accepted."""
        return (slot for slot in self.slots.values() if slot.status == "out")

    def base(self, minutes: int | None, sessions: int) -> int:
        """Return the agreed price of `sessions` sessions that took so many minutes, tasks apart."""
        terms = self.terms or {}
        match terms.get("kind"):
            case "count_only":
                return sessions if "unit" in terms else 0
            case "amount" if "per_hour" in terms:
                if minutes is None:
                    minutes = sessions * int(terms.get("minutes", 0))
                price = (minutes * int(terms["per_hour"]) + HOUR_MINUTES // 2) // HOUR_MINUTES
                most = terms.get("amount")
                return price if most is None else min(price, sessions * int(most))
            case "amount":
                return sessions * int(terms["amount"])
            case _:
                return 0

    def expected(self, known: int = ALL, minutes: int | None = None) -> int:
        """Return what an acceptance of everything would make due, by what a mask has seen.

        `minutes` stands for the measured time when the requester states it.
        """
        if self.terms is None or self.ended or (self.fixed and not self.recurring):
            return 0
        measured = [slot.minutes(known) for slot in self.open_slots()]
        seen = [each for each in measured if each is not None]
        if self.recurring and not seen:
            return 0
        if minutes is None and seen:
            minutes = sum(seen)
        tasks = [task for task in self.tasks.values() if task.to is None and not task.fixed]
        return self.base(minutes, len(seen) if self.recurring else 1) + sum(
            task.amount for task in tasks
        )

    @property
    def owed(self) -> int:
        """Return what the requester's side owes by all that is fixed; a provider's fee is less."""
        return sum(
            -entry.amount if entry.payer == self.provider else entry.amount for entry in self.fixed
        )

    def fact(self, payment: PayState) -> TransferFact | None:
        """Return what the ledger says of a payment."""
        return None if payment.order is None else self.transfer(payment.order)

    def transfer(self, order: bytes) -> TransferFact | None:
        """Return what the ledger says of an order; it is asked once."""
        try:
            return self.asked[order]
        except KeyError:
            found = self.asked[order] = self.facts.transfer(order)
            return found

    def flows(self) -> tuple[int, int]:
        """Return what was paid and what is announced, to the provider's side."""
        paid = announced = 0
        for payment in self.payments:
            if payment.order is None:
                # Money outside of the accounts is not counted here.
                continue
            fact = self.fact(payment)
            sign = -1 if self._back(payment) else 1
            if fact is not None and fact.status == "certified":
                paid += sign * fact.amount
            elif fact is None or fact.status != "void":
                announced += sign * (payment.amount if fact is None else fact.amount)
        return paid, announced

    def settled_outside(self) -> bool:
        """Tell whether a payment outside of the accounts was declared."""
        return any(payment.order is None for payment in self.payments)

    def covered(self) -> bool:
        """Tell whether nothing is left to be paid, what the ledger has begun counted as paid."""
        if self.terms is not None and self.terms["kind"] == "outside":
            return self.settled_outside()
        begun = 0
        for payment in self.payments:
            if payment.moved and self._back(payment):
                # Or else a provider could send something back to bring about a dispute.
                continue
            fact = self.fact(payment)
            if fact is not None and fact.status != "void":
                begun += -fact.amount if self._back(payment) else fact.amount
        return begun >= self.owed

    def _back(self, payment: PayState) -> bool:
        return payment.author in self.arranged.providers

    def may_acknowledge(self) -> bool:
        """Tell whether the requester can acknowledge to the provider what a third party pays."""
        return (
            self.third_party
            and not self.ended
            and bool(self.fixed)
            and "unit" in (self.terms or {})
            and not any(
                entry.provider == self.provider and not self._is_void(entry.order)
                for entry in self.acknowledged
            )
        )

    def _is_void(self, order: bytes) -> bool:
        fact = self.transfer(order)
        return fact is not None and fact.status == "void"

    def first_paid_at(self) -> int | None:
        """Return when the first certified transfer between requester and provider counted.

        One that moved before anything was due counts from when something was; one that moved to
        the requester's side unasked does not. An acknowledgement counts once a third party paid.
        """
        pair = {self.requester, self.provider}
        found: list[int] = []
        funded: list[int] = []
        for payment in self.payments:
            fact = self.fact(payment)
            if fact is None or fact.status != "certified" or fact.amount <= 0:
                continue
            at = payment.at
            if payment.moved:
                if self.first_fixed_at is None or self._back(payment):
                    continue
                at = max(at, self.first_fixed_at)
            if {fact.payer, fact.payee} == pair:
                found.append(at)
            elif fact.payer == self.payer and not self._back(payment):
                funded.append(at)
        if funded:
            for entry in self.acknowledged:
                fact = self.transfer(entry.order)
                certified = fact is not None and fact.status == "certified"
                if certified and entry.provider == self.provider:
                    found.append(max(entry.at, min(funded)))
        return min(found, default=None)

    def evaluate_until(self) -> int | None:
        """Return the last second of the evaluation, or None while there is nothing to evaluate."""
        if self.terms is None or self.ended:
            return None
        first = self.first_paid_at()
        return None if first is None else first + int(self.terms["evaluate_within_s"])

    def guaranteed_until(self) -> int | None:
        """Return the last second in which the guarantee can be claimed, or None without one."""
        days = (self.terms or {}).get("guarantee_days", 0)
        accepted = [entry.at for entry in self.fixed if entry.how != "fee"]
        return max(accepted) + days * 86_400 if days and accepted else None

    def refs_known(self) -> frozenset[bytes]:
        """Return the payment refs of all agreements of this exchange."""
        if not self.refs:
            for step in self.arranged.steps:
                if step.kind == "agreement" and step.payload is not None:
                    self.refs[step.id] = payment_ref(step.payload["salt"], step.id)
        return frozenset(self.refs.values())

    # --- which phase ------------------------------------------------------------------------------

    def phase(self) -> str:
        """Return the phase the exchange is in (spec/08, "Phases")."""
        if self.agreement is None or self.waits_for_bundle:
            return self._phase_before()
        if self.dispute is not None:
            return "disputed"
        if self.ended:
            return self.ended
        statuses = [slot.status for slot in self.slots.values() if slot.status != "cancelled"]
        if "in" in statuses:
            return "under_way"
        if self.consented() is not None:
            return "handed_over"
        planned = "planned" in statuses
        if "out" in statuses:
            return "under_way" if planned and not self.recurring else "done"
        if self.fixed and not (planned and self.recurring):
            return self._phase_after()
        return "scheduled" if planned else "agreed"

    def consented(self) -> HandoverState | None:
        """Return the handover of everything that waits for the new provider."""
        for handover in self.handovers.values():
            if handover.status == "consented" and handover.task is None:
                return handover
        return None

    def _phase_before(self) -> str:
        if self.ended:
            return self.ended
        statuses = [quote.status for quote in self.quotes.values()]
        if self.waits_for_bundle or "open" in statuses:
            return "quoted"
        if "expired" in statuses:
            return "expired"
        return "declined" if "declined" in statuses else "opened"

    def _phase_after(self) -> str:
        entry = self.fixed[-1]
        done = (
            self.settled_outside()
            if self.terms is not None and self.terms["kind"] == "outside"
            else self.flows()[0] == self.owed
        )
        if not done:
            return "settled" if entry.how in ("mediated", "settled", "fee_settled") else "accepted"
        if self.released():
            return "evaluated"
        return "paid"

    def released(self) -> bool:
        """Tell whether the evaluations may be read: both are in, or their time is over."""
        until = self.evaluate_until()
        if until is None:
            return False
        both = {self.requester, self.provider} <= self.evaluations.keys()
        return both or self.time > until
