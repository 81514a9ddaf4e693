"""Make the vectors of spec/08-exchange: whole transcripts, and the state after each step.

The scripts play what two parties, a second provider, a third-party payer, a mediator and a stranger
do; every step is a real record, signed with a key made from its author's name and device.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from exchange_crossings import CROSSINGS
from exchange_endings import ENDINGS, Script
from exchange_funded import FUNDED
from maillon.protocol import encoding
from maillon.protocol.envelope import Signed, decode_record, draft, sign
from maillon.protocol.exchange import Exchange, Step, fold
from maillon.protocol.exchange.missing import lacking, question, read_question
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import MISSING_BYTES_MAX, SKEW_S_MAX
from maillon.protocol.validation import check_stateless
from support.transcripts import (
    COORDINATOR,
    COUNTED,
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


def _questions(rng: random.Random) -> Iterator[dict[str, object]]:
    """Yield what an item of type 4 may hold."""
    exchange, *heads = (rng.randbytes(32) for _ in range(9))
    encode = encoding.encode
    most = (MISSING_BYTES_MAX - 50) // 34
    for name, data in (
        ("one head", question(exchange, heads[:1])),
        ("eight heads", question(exchange, heads)),
        ("no heads: everything", question(exchange, ())),
        ("as many heads as there is room for",
         question(exchange, (rng.randbytes(32) for _ in range(most)))),
        ("more bytes than a question has",
         encode(["missing", exchange, heads * 15], bytes_max=5_000)),
        ("another word", encode(["missed", exchange, heads])),
        ("a word in binary", encode([b"missing", exchange, heads])),
        ("a part less", encode(["missing", exchange])),
        ("a part more", encode(["missing", exchange, heads, 0])),
        ("a map", encode({"missing": exchange})),
        ("an exchange of 31 bytes", encode(["missing", exchange[:31], heads])),
        ("an exchange in text", encode(["missing", exchange.hex()[:32], heads])),
        ("heads that are no array", encode(["missing", exchange, heads[0]])),
        ("a head of 33 bytes", encode(["missing", exchange, [heads[0], heads[1] + b"\0"]])),
        ("a head that is a number", encode(["missing", exchange, [1]])),
        ("nothing", b""),
        ("a byte behind it", question(exchange, heads) + b"\0"),
        ("a length that is not in its shortest form",
         b"\x93\xd9\x07missing" + encode([exchange, heads])[1:]),
    ):  # fmt: skip
        asked = read_question(data)
        told = None if asked is None else {"exchange": asked.exchange, "heads": list(asked.heads)}
        yield {"name": name, "bytes": data, "expect": "ok", "question": told}


def _missing(
    cases: Sequence[dict[str, Any]], rng: random.Random
) -> Iterator[dict[str, object]]:
    """Yield what somebody with some heads is sent, of transcripts with steps that crossed."""
    for chosen in cases[:: max(1, len(cases) // 12)]:
        records = [decode_record(step["record"]) for step in chosen["steps"]]
        refs: dict[bytes, Sequence[bytes]] = {r.id: r.header.refs for r in records}
        ids = list(refs)
        sets: list[tuple[str, list[bytes]]] = [
            ("nothing", []),
            ("the opening", ids[:1]),
            ("all", list(chosen["after"][-1]["heads"])),
            ("a step from the middle", [ids[len(ids) // 2]]),
            ("two steps", rng.sample(ids, min(2, len(ids)))),
            ("a step from elsewhere", [rng.randbytes(32)]),
            ("a step from elsewhere and the opening", [rng.randbytes(32), ids[0]]),
        ]
        for name, heads in sets:
            yield {
                "name": f"{chosen['name']}: {name}",
                "case": chosen["name"],
                "heads": heads,
                "expect": "ok",
                "sends": lacking(heads, refs),
            }


def vectors(rng: random.Random) -> dict[str, object]:
    cases = [case(name, script, rng) for name, script in (ENDINGS | FUNDED | CROSSINGS).items()]
    return {
        "exchange.json": {
            "spec": "08-exchange",
            "about": "Folding the first `count` of `steps` at the time `now` gives each of `after`;"
            " folding all of them in the order `arrival` gives the last.",
            "fed": FED,
            "people": PEOPLE,
            "counted": list(COUNTED),
            "cases": cases,
            "questions": list(_questions(rng)),
            "missing": list(_missing(cases, rng)),
        }
    }
