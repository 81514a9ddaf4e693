"""What people in simulated exchanges do: mostly what is possible, sometimes what is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.envelope import sign
from maillon.protocol.exchange import Exchange
from maillon.protocol.records import STEP_KINDS, build
from simulation.exchange.plan import DAY_S
from support.exchangenet import CoopNode, Net
from support.world import Member

# Left to chance alone most exchanges would be called off, talked about or quoted for ever.
SHARES = {
    "message": 0.1,
    "decline": 0.1,
    "cancellation": 0.05,
    "quote": 0.5,
    "quote_withdrawal": 0.1,
    "appointment": 0.2,
    "handover": 0.1,
    "amendment": 0.2,
    "complaint": 0.15,
    "contact": 0.3,
    "hold": 0.0,
    "guarantee_claim": 0.2,
}
WORDS = {"text": "Des mots.", "lang": "fr"}


@dataclass(frozen=True)
class Doing:
    """A step that somebody wants to take."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


def wish(rng: Random, net: Net, state: Exchange, who: Member, *, wrong: bool) -> Doing | None:
    """Return what somebody wants to do now in one of their exchanges, None for nothing."""
    if wrong:
        kinds = sorted(STEP_KINDS - {"opening", "bundle_decision", "funding", "evaluation"})
    else:
        possible = state.next(who.author, net.now).kinds
        kinds = [kind for kind in possible if rng.random() < SHARES.get(kind, 1.0)]
    kinds = [kind for kind in kinds if kind not in ("bundle_decision", "funding")]
    if not kinds:
        return None
    kind = rng.choice(kinds)
    fields = _fields(rng, net, state, who, kind)
    return None if fields is None else Doing(kind, fields)


def _fields(
    rng: Random, net: Net, state: Exchange, who: Member, kind: str
) -> dict[str, Any] | None:
    now = net.now
    open_quotes = [quote.id for quote in state.quotes if quote.status == "open"]
    match kind:
        case "quote":
            return _quote(rng, net, state)
        case "quote_withdrawal" | "agreement":
            return {"quote": rng.choice(open_quotes)} if open_quotes else None
        case "decline":
            return {"quote": rng.choice(open_quotes)} if open_quotes else {}
        case "contact":
            return {"contact": {"name": "Quelqu'un", "phone": "+33 4 75 00 00 01"}}
        case "appointment":
            start = now + rng.randrange(3_600, 4 * DAY_S)
            return {"slots": [{"slot": rng.randbytes(16), "start": start, "end": start + 3_600}]}
        case "consent":
            waiting = [change.id for change in state.changes if change.by != who.author]
            if not waiting:
                return None
            return {"to": rng.choice(waiting), "yes": rng.random() < 0.8}
        case "check_in":
            planned = [s for s in state.slots if s.status in ("agreed", "proposed") and s.slot]
            if not planned:
                return {"time": now}
            return {"slot": rng.choice(planned).slot, "time": now}
        case "check_out":
            under_way = [s for s in state.slots if s.status == "under_way"]
            if not under_way:
                return None
            named = {"slot": under_way[0].slot} if under_way[0].slot else {}
            return {**named, "time": now, "minutes": rng.choice((55, 60, 65))}
        case "acceptance":
            if state.expected > 1 and rng.random() < 0.2:
                return {"amount": state.expected // 2, "part": True, "reason": "À moitié fait."}
            return {}
        case "complaint":
            return {**WORDS, **({"proposes": 10} if rng.random() < 0.3 else {})}
        case "mediation":
            return {**WORDS, "amount": rng.randint(0, 60), "closes": True}
        case "payment":
            how = "gift" if state.terms and state.terms["kind"] == "gift" else "outside"
            return {"how": how}
        case "cancellation":
            return {"reason": "Autre chose."}
        case "handover":
            others = [node.coop.author for node in net.nodes if node.coop.author != state.requester]
            return {"to": rng.choice(others)} if others else None
        case "handover_acceptance":
            consented = [h.id for h in state.handovers if h.status == "consented"]
            return {"handover": rng.choice(consented)} if consented else None
        case "amendment":
            return {"adds": {"text": "Encore ceci.", "lang": "fr", "amount": rng.randint(1, 20)}}
        case "hold":
            return {"order": rng.randbytes(32), "amount": 60, "unit": "heure"}
        case "guarantee_closed":
            claims = [claim.claim for claim in state.guarantees if claim.closed is None]
            return {"claim": rng.choice(claims)} if claims else None
        case _:
            return dict(WORDS)


def _quote(rng: Random, net: Net, state: Exchange) -> dict[str, Any]:
    start = net.now + rng.randrange(3_600, 3 * DAY_S)
    slot = {"slot": rng.randbytes(16), "start": start, "end": start + 3_600}
    change: dict[str, Any] = rng.choice(
        (
            {},
            {"settle": "hold"},
            {"amount": 90, "per_hour": 60},
            {"cancel_fee": 20},
            {"kind": "gift", "unit": None, "amount": None},
            {"guarantee_days": 3},
        )
    )
    if "silence" not in change and rng.random() < 0.3:
        change = {**change, "accept_within_s": 6 * 3_600}
    made: dict[str, Any] = {
        "terms": net.terms(when=[slot], **change),
        "valid_until": net.now + rng.choice((DAY_S // 2, 5 * DAY_S)),
    }
    if state.bundle is not None:
        made["reserved"] = True
    return made


def evaluated(net: Net, node: CoopNode, who: Member, state: Exchange) -> None:
    """Evaluate the other side, as a desk does: the attestation is kept back."""
    paid = [p.transfer for p in state.payments if p.transfer is not None]
    if not paid:
        return
    other = state.provider if who.author == state.requester else state.requester
    payload = build(
        "attestation", salt=net.world.fresh(), transfer=paid[0], subject=other,
        criteria={"politeness": 4}, text="Un mot à ne pas lire trop tôt.", lang="fr",
    )  # fmt: skip
    attestation = net.world.record(
        "attestation", payload, coop=who.coop, by=who.key, refs=(paid[0],), at=net.now, days=300
    )
    signer = Signer(who.key.public, who.coop.id)
    made, _ = node.core.draft(
        "evaluation", {"attestation": attestation.id}, signer, state.id, net.now
    )
    _, effects = node.core.take(sign(made, who.key), net.now, attestation=attestation)
    node.do(effects)
