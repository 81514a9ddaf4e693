"""Make the vectors of spec/08-exchange: whole transcripts, and the state after each step.

The scripts play what two parties, a second provider, a third-party payer, a mediator and a stranger
do; every step is a real record, signed with a key made from its author's name and device.
"""

from __future__ import annotations

import random
from typing import Any

from exchange_crossings import CROSSINGS
from exchange_endings import ENDINGS, Script
from maillon.protocol.envelope import Signed, draft, sign
from maillon.protocol.exchange import Exchange, Step, fold
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import SKEW_S_MAX
from maillon.protocol.validation import check_stateless
from support.transcripts import (
    COORDINATOR,
    DAY,
    MEDIATOR,
    OTHER,
    PAYER,
    PROVIDER,
    REQUESTER,
    STRANGER,
    THIRD,
    Play,
    key_of,
    shuffled,
)

FED = bytes(range(32))
PEOPLE = {
    "requester": REQUESTER,
    "provider": PROVIDER,
    "other": OTHER,
    "third": THIRD,
    "payer": PAYER,
    "mediator": MEDIATOR,
    "coordinator": COORDINATOR,
    "stranger": STRANGER,
}
NEXT = ("requester", "provider", "other", "mediator", "payer", "stranger")
NAMES = {author: name for name, author in PEOPLE.items()}
LATER = (3 * DAY, 10 * DAY, 40 * DAY, 100 * DAY)


class SignedPlay(Play):
    """A script whose steps are records."""

    def __init__(self, **opening: Any) -> None:
        self.records: dict[bytes, Signed] = {}
        super().__init__(**opening)

    def made(
        self,
        kind: str,
        author: bytes,
        device: int,
        role: str,
        at: int,
        refs: tuple[bytes, ...],
        payload: dict[str, Any],
    ) -> Step:
        """Sign a record, and return the step it is."""
        key = SigningKey.from_seed(key_of(author, device))
        signed = sign(
            draft(
                kind,
                payload,
                fed=FED,
                coop=author[1:33],
                by=key.public,
                at=at,
                until=at + 300 * DAY,
                series=payload["salt"],
                refs=refs,
            ),
            key,
        )
        check_stateless(signed, fed=FED, now=at + SKEW_S_MAX, private=True)
        self.records[signed.id] = signed
        return Step(signed.id, kind, key.public, author, role, at, refs, payload)


def _state(exchange: Exchange, count: int) -> dict[str, object]:
    due = exchange.due
    return {
        "count": count,
        "now": exchange.now,
        "phase": exchange.phase,
        "provider": NAMES[exchange.provider],
        "due": [due.amount, due.unit, NAMES[due.payer], NAMES[due.payee]],
        "owed": exchange.owed,
        "paid": exchange.paid,
        "expected": exchange.expected,
        "void": [[entry.id, entry.reason] for entry in exchange.void],
        "waiting": list(exchange.waiting),
        "heads": list(exchange.heads),
        "deadlines": [[entry.what, entry.at, entry.outcome] for entry in exchange.deadlines],
        "next": {
            name: list(exchange.next(PEOPLE[name], exchange.now).kinds) for name in NEXT
        },
        "released": exchange.released,
    }


def _record(play: SignedPlay, step: Step) -> bytes:
    record = play.records[step.id]
    return (record if step.payload is not None else record.without_payload()).encode()


def case(name: str, script: Script, rng: random.Random) -> dict[str, object]:
    play = script(SignedPlay)
    assert isinstance(play, SignedPlay)
    after: list[dict[str, object]] = []
    now = 0
    for count in range(1, len(play.steps) + 1):
        now = max(now, play.steps[count - 1].at)
        after.append(_state(fold(play.steps[:count], play.facts, now), count))
    now = max(now, play.at)
    whole = fold(play.steps, play.facts, now)
    for later in LATER:
        state = whole.at(now + later)
        shown = _state(state, len(play.steps))
        if {**shown, "now": 0} != {**after[-1], "now": 0}:
            after.append(shown)
    places = {step.id: place for place, step in enumerate(play.steps)}
    arrival = [places[step.id] for step in shuffled(play.steps, rng.randrange(2**32))]
    return {
        "name": name,
        "steps": [
            {
                "record": _record(play, step),
                "author": NAMES[step.author],
                "role": step.signer_role,
            }
            for step in play.steps
        ],
        "transfers": [
            {
                "order": order,
                "payer": NAMES[fact.payer],
                "payee": NAMES[fact.payee],
                "unit": fact.unit,
                "amount": fact.amount,
                "status": fact.status,
                "ref": fact.ref,
            }
            for order, fact in play.transfers.items()
        ],
        "after": after,
        "arrival": arrival,
    }


def vectors(rng: random.Random) -> dict[str, object]:
    return {
        "exchange.json": {
            "spec": "08-exchange",
            "about": "Folding the first `count` of `steps` at the time `now` gives each of `after`;"
            " folding all of them in the order `arrival` gives the last.",
            "fed": FED,
            "people": PEOPLE,
            "cases": [case(name, script, rng) for name, script in (ENDINGS | CROSSINGS).items()],
        }
    }
