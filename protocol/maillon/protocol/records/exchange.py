"""Describe the steps of an exchange between two people: records that travel in letters (spec/08).

A step is a record like the others, of a private kind: gossip, reconciliation and import refuse it
(`not_allowed`, rule `private`), it is never live, and it is read with `private=True` where a letter
is opened. Its `refs` are the ids of the steps its author had seen last; only the opening has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from maillon.protocol.limits import INT_MAX, STEP_REFS_MAX
from maillon.protocol.records.fields import CELL, CODE, DATE, ID, LANG, TIME, UNIT
from maillon.protocol.records.kind import DAY_S, MEMBER, NODE, SALT, Kind, schema_error
from maillon.protocol.records.schema import (
    Always,
    Bool,
    Bytes,
    Field,
    Int,
    ListOf,
    OneOf,
    Rule,
    Struct,
    Text,
)
from maillon.protocol.records.terms import (
    ADDED_TERMS,
    AMOUNT,
    AUTHOR,
    MINUTES,
    PARTY_CONTACT,
    PERSON_AUTHOR,
    RECURRENCE,
    SLOT,
    SLOT_ID,
    TERMS,
)

if TYPE_CHECKING:
    # Only for the type checker: `envelope` imports this package.
    from maillon.protocol.envelope import Header

STEP_DAYS: Final = 400
PARTIES_MAX: Final = 64
BUNDLE_PARTS_MAX: Final = 8

LINES: Final = Text(2_000, lines=True)
REASON: Final = Text(400, lines=True)

EXCHANGE: Final = Field("exchange", ID, True, "the id of the opening")


def _no_refs(header: Header, payload: Mapping[str, Any]) -> None:
    if header.refs:
        raise schema_error(header.kind, "refs", "step_refs")


def _follows(header: Header, payload: Mapping[str, Any]) -> None:
    if not 1 <= len(header.refs) <= STEP_REFS_MAX:
        raise schema_error(header.kind, "refs", "step_refs", STEP_REFS_MAX)


def _few_refs(header: Header, payload: Mapping[str, Any]) -> None:
    if len(header.refs) > STEP_REFS_MAX:
        raise schema_error(header.kind, "refs", "step_refs", STEP_REFS_MAX)


def _valid_until_later(header: Header, payload: Mapping[str, Any]) -> None:
    _follows(header, payload)
    if not header.at < payload["valid_until"] <= header.until:
        raise schema_error(header.kind, "valid_until", "valid_until")


def _step(
    name: str,
    summary: str,
    *fields: Field,
    signers: frozenset[str] = frozenset({MEMBER}),
    under_mandate: bool = True,
    rules: tuple[Rule, ...] = (),
    header_rule: Any = _follows,
    header_rule_text: str = "",
    first: tuple[Field, ...] = (SALT, EXCHANGE),
) -> Kind:
    text = header_rule_text or f"`refs` has 1 to {STEP_REFS_MAX} ids"
    return Kind(
        name,
        summary,
        STEP_DAYS * DAY_S,
        signers,
        under_mandate,
        Struct((*first, *fields), rules),
        revisable=False,
        header_rule=header_rule,
        header_rule_text=text,
        private=True,
    )


PARTY: Final = frozenset({MEMBER, NODE})
"""A coop can be a party too: what its desk offers or asks for, its node signs."""


def _parties_differ(payload: dict[str, Any]) -> bool:
    requester: bytes = payload["requester"]
    provider: bytes = payload["provider"]
    return requester != provider


OPENING: Final = _step(
    "opening",
    "The first step of an exchange: who asks whom for what.",
    Field("requester", AUTHOR, True, "who receives the service"),
    Field("provider", AUTHOR, True, "who gives it"),
    Field("about", ID, False, "thing id of the offer or demand it comes from"),
    Field("title", Text(200), True),
    Field("text", Text(4_000, lines=True)),
    Field("lang", LANG, True),
    Field(
        "origin",
        Struct((
            Field("exchange", ID, True, "the exchange it was handed over or spawned from"),
            Field("step", ID, True, "the handover or amendment there"),
        )),
        False,
        "where the client comes from",
    ),
    Field("payer", AUTHOR, False, "a third party that pays"),
    Field("bundle", ID, False, "thing id of the bundle it is a part of"),
    Field("participants", ListOf(PERSON_AUTHOR, PARTIES_MAX), False, "those a demand speaks for"),
    Field("recurrence", RECURRENCE),
    signers=PARTY,
    rules=(
        Rule(
            "parties",
            "`requester` and `provider` differ",
            _parties_differ,
            {"requester": b"\x07" * 49, "provider": b"\x07" * 49},
        ),
    ),
    header_rule=_no_refs,
    header_rule_text="`refs` is empty",
    first=(SALT,),
)  # fmt: skip

MESSAGE: Final = _step(
    "message",
    "Words from one party to the other, that change nothing.",
    Field("text", LINES, True),
    Field("lang", LANG, True),
    Field("late_minutes", Int(1, 1_440), False, "who comes will be so late"),
    Field("slot", SLOT_ID, False, "the appointment it is about"),
    signers=PARTY,
)

QUOTE: Final = _step(
    "quote",
    "The terms on which a provider would do it.",
    Field("terms", TERMS, True),
    Field("valid_until", TIME, True, "last `at` of an agreement to it"),
    Field("reserved", Always(True), False, "not withdrawn before `valid_until` (a bundle's part)"),
    signers=PARTY,
    header_rule=_valid_until_later,
    header_rule_text=(
        f"`refs` has 1 to {STEP_REFS_MAX} ids; `valid_until` is after the record's `at` and not "
        "after its `until`"
    ),
)

QUOTE_WITHDRAWAL: Final = _step(
    "quote_withdrawal",
    "The provider takes a quote back.",
    Field("quote", ID, True),
    Field("reason", REASON),
    signers=PARTY,
)

DECLINE: Final = _step(
    "decline",
    "The requester refuses a quote, or ends the search.",
    Field("quote", ID, False, "the one refused; without it the whole exchange"),
    Field("reason", REASON),
    signers=PARTY,
)

AGREEMENT: Final = _step(
    "agreement",
    "The requester agrees to a quote: from here on both are bound.",
    Field("quote", ID, True),
    Field("hold", ID, False, "id of the order that reserves the amount"),
    Field("contact", PARTY_CONTACT, False, "revealed with the agreement"),
    signers=PARTY,
)

CONTACT_STEP: Final = _step(
    "contact",
    "How to find one another, after the agreement only.",
    Field("contact", PARTY_CONTACT, True),
    signers=PARTY,
)

APPOINTMENT: Final = _step(
    "appointment",
    "Slots proposed, moved or cancelled.",
    Field("slots", ListOf(SLOT, 64), False, "added, or moved when the slot is known"),
    Field("cancels", ListOf(SLOT_ID, 64), False, "slots that fall away"),
    signers=PARTY,
    rules=(
        Rule(
            "appointment_whole",
            "`slots`, `cancels` or both are there, and no slot stands twice",
            lambda payload: _slots_once(payload),
            {"slots": None, "cancels": None},
        ),
    ),
)


def _slots_once(payload: dict[str, Any]) -> bool:
    named = [slot["slot"] for slot in payload.get("slots", ())] + payload.get("cancels", [])
    return bool(named) and len(set(named)) == len(named)


CONSENT: Final = _step(
    "consent",
    "The other party's answer to a change.",
    Field("to", ID, True, "the appointment, amendment, handover, cancellation or complaint"),
    Field("yes", Bool(), True),
    Field("text", LINES),
    Field("lang", LANG),
    signers=PARTY,
)

CHECK_IN: Final = _step(
    "check_in",
    "Work begins.",
    Field("slot", SLOT_ID, False, "the appointment it belongs to"),
    Field("time", TIME, True, "when it began"),
    Field("cell", CELL, False, "roughly where"),
    signers=PARTY,
)

CHECK_OUT: Final = _step(
    "check_out",
    "Work ends.",
    Field("slot", SLOT_ID, False, "the appointment it belongs to"),
    Field("time", TIME, True, "when it ended"),
    Field("minutes", MINUTES, False, "measured; without it from check-in to check-out"),
    Field("last", Always(True), False, "nothing more is to be done"),
    Field("cell", CELL, False, "roughly where"),
    signers=PARTY,
)

ACCEPTANCE: Final = _step(
    "acceptance",
    "The requester accepts what was done, or a part of it.",
    Field("amount", AMOUNT, False, "minor units; without it all that is due"),
    Field("minutes", MINUTES, False, "the time the requester agrees to"),
    Field("part", Always(True), False, "accepted in part only"),
    Field("reason", REASON, False, "with `part`"),
    Field("lang", LANG),
    signers=PARTY,
    rules=(
        Rule(
            "part_reason",
            "`reason` and `amount` or `minutes` come with `part`, and `reason` with nothing else",
            lambda payload: ("part" in payload) == ("reason" in payload)
            and ("part" not in payload or bool(payload.keys() & {"amount", "minutes"})),
            {"part": True, "reason": None},
        ),
    ),
)

COMPLAINT: Final = _step(
    "complaint",
    "One party is not content.",
    Field("text", LINES, True),
    Field("lang", LANG, True),
    Field("proposes", AMOUNT, False, "minor units that would settle it"),
    signers=PARTY,
)

MEDIATION: Final = _step(
    "mediation",
    "The mediator's word: what is due.",
    Field("amount", AMOUNT, True, "minor units, from 0 to what is due"),
    Field("text", LINES, True),
    Field("lang", LANG, True),
    Field("closes", Always(True), True),
    signers=PARTY,
)

PAYMENT: Final = _step(
    "payment",
    "What is due was given.",
    Field("transfer", ID, False, "id of the order in the ledger"),
    Field("how", OneOf(("gift", "count_only", "outside")), False, "without a transfer"),
    Field("amount", AMOUNT, False, "minor units"),
    Field("unit", UNIT),
    Field("part", Always(True), False, "one of several"),
    signers=PARTY,
    rules=(
        Rule(
            "payment_whole",
            "`transfer` with `amount` and `unit`, or `how` without `transfer`",
            lambda payload: (
                payload.keys() >= {"transfer", "amount", "unit"} and "how" not in payload
            )
            if "transfer" in payload
            else "how" in payload,
            {"transfer": None, "how": None},
        ),
    ),
)

HOLD: Final = _step(
    "hold",
    "The payer has reserved an amount.",
    Field("order", ID, True, "id of the order in the ledger"),
    Field("amount", AMOUNT, True, "minor units"),
    Field("unit", UNIT, True),
    Field("replaces", ID, False, "the order it stands for"),
    signers=PARTY,
)

CANCELLATION: Final = _step(
    "cancellation",
    "One party takes the agreement back.",
    Field("reason", REASON),
    Field("lang", LANG),
    Field("fee", AMOUNT, False, "minor units the one who cancels offers"),
    signers=PARTY,
)

HANDOVER: Final = _step(
    "handover",
    "The provider proposes that another one does it.",
    Field("to", AUTHOR, True, "the other provider"),
    Field("task", ID, False, "only the task of this amendment"),
    Field("text", LINES),
    Field("lang", LANG),
    signers=PARTY,
)

HANDOVER_ACCEPTANCE: Final = _step(
    "handover_acceptance",
    "The other provider takes it, on the terms that were agreed.",
    Field("handover", ID, True),
    signers=PARTY,
)

AMENDMENT: Final = _step(
    "amendment",
    "A task added on the spot; it counts with the other party's consent.",
    Field("adds", ADDED_TERMS, True),
    signers=PARTY,
)

EVALUATION: Final = _step(
    "evaluation",
    "A party has written its attestation: the id commits to it, unread.",
    Field("attestation", ID, True, "record id; released when both are in, or at the deadline"),
)

GUARANTEE_CLAIM: Final = _step(
    "guarantee_claim",
    "The requester asks for the guarantee.",
    Field("text", LINES, True),
    Field("lang", LANG, True),
    signers=PARTY,
)

GUARANTEE_CLOSED: Final = _step(
    "guarantee_closed",
    "A claim under guarantee is settled.",
    Field("claim", ID, True),
    Field("text", LINES),
    Field("lang", LANG),
    signers=PARTY,
)

FUNDING_REQUEST: Final = _step(
    "funding_request",
    "Asks a third party to pay, without saying what for.",
    Field("amount", AMOUNT, True, "minor units"),
    Field("unit", UNIT, True),
    Field("payee", AUTHOR, False, "who would be paid"),
    Field("ref", ID, False, "the `ref` the order is to carry"),
    Field("category", CODE, False, "of the payer's own programme"),
    Field("beneficiary", CODE, False, "the payer's own code for whom it funds"),
    signers=PARTY,
    header_rule=_no_refs,
    header_rule_text="`refs` is empty: the payer has seen no step",
)

FUNDING: Final = _step(
    "funding",
    "A third party's answer: it pays up to this amount.",
    Field("amount", AMOUNT, True, "minor units; 0: it does not"),
    Field("unit", UNIT, True),
    Field("order", ID, False, "id of the order that reserves it"),
    Field("request", ID, False, "id of the funding request"),
    signers=PARTY,
    # The payer may know no step but the request, so `refs` may be empty: `at` places it.
    header_rule=_few_refs,
    header_rule_text=f"`refs` has at most {STEP_REFS_MAX} ids",
)


def _decision_whole(payload: dict[str, Any]) -> bool:
    return payload["outcome"] == "abort" or (
        len(payload.get("agreements", ())) == len(payload["exchanges"])
    )


BUNDLE_DECISION: Final = _step(
    "bundle_decision",
    "The requester's coop decides once for all parts of a bundle.",
    Field("bundle", ID, True, "thing id of the bundle"),
    Field(
        "exchanges", ListOf(ID, BUNDLE_PARTS_MAX, low=2), True, "ids of the openings of all parts"
    ),
    Field("agreements", ListOf(ID, BUNDLE_PARTS_MAX, low=0), False, "in the order of `exchanges`"),
    Field("outcome", OneOf(("commit", "abort")), True),
    signers=frozenset({NODE}),
    under_mandate=False,
    rules=(
        Rule(
            "decision_whole",
            "`commit` names as many `agreements` as `exchanges`",
            _decision_whole,
            {"outcome": "commit", "agreements": None},
        ),
    ),
    header_rule=_few_refs,
    header_rule_text=f"`refs` has at most {STEP_REFS_MAX} ids: the agreements, where there are any",
    first=(SALT,),
)

GROUP_APPROVAL: Final = _step(
    "group_approval",
    "A member of a group agrees that the group's account signs an order.",
    Field("group", Bytes((16,)), True, "the group's account"),
    Field("order", ID, True, "SHA-256 of the unsigned order"),
    Field("yes", Bool(), True),
    header_rule=_no_refs,
    header_rule_text="`refs` is empty",
    first=(SALT,),
)

VOUCHER_DEPOSIT: Final = _step(
    "voucher_deposit",
    "A paper voucher, deposited at another coop than the one that issued it.",
    Field(
        "voucher",
        Struct((
            Field("coop", ID, True, "the coop that issued it"),
            Field("number", Int(0, INT_MAX), True),
            Field("secret", Bytes((16,)), True, "printed in its code"),
        )),
        True,
        "as printed",
    ),
    Field("payee", AUTHOR, True),
    Field("amount", AMOUNT, True, "minor units, as written on it"),
    Field("unit", UNIT, True),
    Field("date", DATE, False, "as written on it"),
    Field("note", Text(200)),
    signers=PARTY,
    header_rule=_no_refs,
    header_rule_text="`refs` is empty",
    first=(SALT,),
)

RELAY_REQUEST: Final = _step(
    "relay_request",
    "Asks a relay to see to a demand outside of opening hours.",
    Field("demand", ID, True, "record id of the demand"),
    Field("deadline", TIME, True, "last second for the answer"),
    Field("text", LINES),
    Field("lang", LANG),
    signers=frozenset({NODE}),
    under_mandate=False,
    header_rule=_no_refs,
    header_rule_text="`refs` is empty",
    first=(SALT,),
)

RELAY_ACK: Final = _step(
    "relay_ack",
    "The relay's answer to a request.",
    Field("request", ID, True, "id of the request"),
    Field("demand", ID, True, "record id of the demand"),
    Field("taken", Bool(), True),
    Field("text", LINES),
    Field("lang", LANG),
    signers=frozenset({NODE}),
    under_mandate=False,
    header_rule=_no_refs,
    header_rule_text="`refs` is empty",
    first=(SALT,),
)

PRIVATE: Final = (
    OPENING,
    MESSAGE,
    QUOTE,
    QUOTE_WITHDRAWAL,
    DECLINE,
    AGREEMENT,
    CONTACT_STEP,
    APPOINTMENT,
    CONSENT,
    CHECK_IN,
    CHECK_OUT,
    ACCEPTANCE,
    COMPLAINT,
    MEDIATION,
    PAYMENT,
    HOLD,
    CANCELLATION,
    HANDOVER,
    HANDOVER_ACCEPTANCE,
    AMENDMENT,
    EVALUATION,
    GUARANTEE_CLAIM,
    GUARANTEE_CLOSED,
    FUNDING_REQUEST,
    FUNDING,
    BUNDLE_DECISION,
    GROUP_APPROVAL,
    VOUCHER_DEPOSIT,
    RELAY_REQUEST,
    RELAY_ACK,
)
"""All private kinds, in the order in which an exchange usually meets them."""

OUTSIDE_TRANSCRIPT: Final = frozenset(
    {"funding_request", "group_approval", "voucher_deposit", "relay_request", "relay_ack"}
)
"""Private kinds that are no step of an exchange's transcript."""

STEP_KINDS: Final = frozenset(kind.name for kind in PRIVATE) - OUTSIDE_TRANSCRIPT
"""The kinds that stand in a transcript."""


def exchanges_of(kind: str, id: bytes, payload: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the exchanges whose transcript a step belongs to: one, a bundle's, or none at all.

    `id` is the step's own; that of an opening names the exchange.
    """
    if kind == "opening":
        return (id,)
    if kind == "bundle_decision":
        return tuple(payload["exchanges"])
    return (payload["exchange"],) if kind in STEP_KINDS else ()
