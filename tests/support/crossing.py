"""Make transcripts of people who act without having heard of one another yet.

Each actor is one key with its own copy of the transcript, always closed under references. Some sign
what their desk would allow; liars also sign what it would not, with any references and any date.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from maillon.protocol.exchange import Exchange, Step, StepRefused, TransferFact, check_next, fold
from maillon.protocol.exchange.gates import GATES
from support.transcripts import (
    DAY,
    LATER_SLOT,
    MEDIATOR,
    OTHER,
    PROVIDER,
    REQUESTER,
    SLOT,
    START,
    STRANGER,
    Play,
    slot,
    terms,
)


@dataclass
class Actor:
    """A key, what it has seen, and whether it keeps to the rules."""

    author: bytes
    device: int
    honest: bool
    known: dict[bytes, Step] = field(default_factory=dict[bytes, Step])

    @property
    def name(self) -> tuple[bytes, int]:
        return self.author, self.device


class Crossing(Play):
    """A transcript by several actors whose letters cross."""

    def __init__(self, rng: random.Random, liars: Sequence[tuple[bytes, int]] = ()) -> None:
        super().__init__()
        self.rng = rng
        names = [
            (REQUESTER, 0), (REQUESTER, 1), (PROVIDER, 0), (PROVIDER, 1), (OTHER, 0), (MEDIATOR, 0),
        ]  # fmt: skip
        if liars:
            names.append((STRANGER, 0))
        self.actors = [Actor(*name, name not in liars and name[0] != STRANGER) for name in names]
        for actor in self.actors:
            actor.known[self.opening.id] = self.opening

    def run(self, turns: int) -> None:
        for _ in range(turns):
            actor = self.rng.choice(self.actors)
            for _ in range(self.rng.choice((0, 1, 1, 4))):
                self.hear(actor, self.rng.choice(self.actors))
            self.wait(self.rng.choice((1, 60, 3_600, 3_600, DAY // 4)))
            self.act(actor)

    def hear(self, actor: Actor, other: Actor) -> None:
        actor.known.update(other.known)

    def act(self, actor: Actor) -> None:
        seen = list(actor.known.values())
        state = fold(seen, self.facts, self.at)
        kinds = list(state.next(actor.author, self.at).kinds)
        lies = not actor.honest and self.rng.random() < 0.6
        if lies:
            kinds = list(GATES)
        # Left to chance alone every exchange would be called off before anything happened.
        rare = {"message": 0.1, "decline": 0.1, "cancellation": 0.05, "quote_withdrawal": 0.2}
        kinds = [kind for kind in kinds if self.rng.random() < rare.get(kind, 1)]
        if not kinds:
            return
        kind = self.rng.choice(kinds)
        payload = self.payload(kind, state, seen)
        if payload is None or kind == "bundle_decision":
            return
        try:
            check_next(state, kind, payload, actor.author, self.at)
        except StepRefused:
            if not lies:
                return
        refs: list[Step] = [actor.known[id] for id in state.heads[-8:]]
        at = self.at
        if lies:
            refs = self.rng.sample(seen, k=min(len(seen), self.rng.randint(1, 2)))
            at -= self.rng.choice((0, 0, DAY, 5 * DAY))
        step = self.add(kind, actor.author, device=actor.device, refs=refs, at=at, **payload)
        actor.known[step.id] = step

    def payload(self, kind: str, state: Exchange, seen: list[Step]) -> dict[str, Any] | None:
        """Return something to say that the rules may or may not allow."""
        rng = self.rng
        words = {"text": "Words.", "lang": "en"}

        def some(*kinds: str) -> bytes | None:
            found = [step.id for step in seen if step.kind in kinds]
            return rng.choice(found) if found else None

        match kind:
            case "quote":
                given: dict[str, Any] = rng.choice(
                    ({}, {"per_hour": None, "amount": 90}, {"cancel_fee": 20}, {"mediator": None})
                )
                valid = self.at + rng.choice((DAY, 10 * DAY))
                return {"terms": terms(**given), "valid_until": valid}
            case "quote_withdrawal" | "agreement":
                quote = some("quote")
                return None if quote is None else {"quote": quote}
            case "decline":
                quote = some("quote")
                return {"quote": quote} if quote is not None and rng.random() < 0.9 else {}
            case "contact":
                return {"contact": {"name": "N"}}
            case "appointment":
                id = rng.choice((SLOT, LATER_SLOT))
                if rng.random() < 0.3:
                    return {"cancels": [id]}
                return {"slots": [slot(id, day=rng.randint(1, 9))]}
            case "consent":
                to = some("appointment", "amendment", "handover", "cancellation", "complaint")
                return None if to is None else {"to": to, "yes": rng.random() < 0.8}
            case "check_in":
                return {"slot": rng.choice((SLOT, LATER_SLOT)), "time": self.at}
            case "check_out":
                return {"time": self.at, "minutes": rng.randint(1, 200)}
            case "acceptance":
                if rng.random() < 0.3:
                    return {"amount": rng.randint(0, 60), "part": True, "reason": "R"}
                return {}
            case "complaint":
                return words | ({"proposes": 10} if rng.random() < 0.3 else {})
            case "mediation":
                return {**words, "amount": rng.randint(0, 60), "closes": True}
            case "payment":
                return self._payment(state)
            case "hold":
                return {"order": rng.randbytes(32), "amount": 60, "unit": "heure"}
            case "handover":
                task = some("amendment") if rng.random() < 0.3 else None
                return {"to": OTHER} | ({} if task is None else {"task": task})
            case "handover_acceptance":
                handover = some("handover")
                return None if handover is None else {"handover": handover}
            case "amendment":
                return {"adds": {"text": "More", "amount": rng.randint(1, 20)}}
            case "evaluation":
                return {"attestation": rng.randbytes(32)}
            case "guarantee_closed":
                claim = some("guarantee_claim")
                return None if claim is None else {"claim": claim}
            case "funding":
                return {"amount": 60, "unit": "heure"}
            case _:
                return dict(words) if kind != "cancellation" else {}

    def _payment(self, state: Exchange) -> dict[str, Any]:
        rng = self.rng
        if self.transfers and rng.random() < 0.3:
            order = rng.choice(sorted(self.transfers))
            return {"transfer": order, "amount": self.transfers[order].amount, "unit": "heure"}
        order = rng.randbytes(32)
        amount = rng.choice((state.due.amount, rng.randint(0, 90)))
        if rng.random() < 0.8:
            self.transfers[order] = TransferFact(
                state.due.payer,
                state.due.payee,
                "heure",
                amount,
                rng.choice(("certified", "certified", "posted", "void")),
                state.payment_ref or bytes(32),
            )
        return {"transfer": order, "amount": amount, "unit": "heure"}


def closed(steps: Sequence[Step], rng: random.Random) -> list[Step]:
    """Return some of the steps, with all that they refer to."""
    by_id = {step.id: step for step in steps}
    wanted = [step.id for step in rng.sample(steps, k=rng.randint(1, len(steps)))]
    found: dict[bytes, Step] = {}
    opening = next(step for step in steps if step.kind == "opening")
    wanted.append(opening.id)
    while wanted:
        id = wanted.pop()
        if id in by_id and id not in found:
            found[id] = by_id[id]
            wanted.extend(by_id[id].refs)
    return [step for step in steps if step.id in found]


__all__ = ["START", "Actor", "Crossing", "closed"]
