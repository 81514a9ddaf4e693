"""Make the vectors of spec/08's kinds alone: steps in letters, and what several do together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S, KINDS, PRIVATE_KINDS, build
from maillon.protocol.records.terms import complete
from maillon.protocol.resting import RESTS
from support.schema_cases import sample
from support.world import NOW, World

Case = tuple[str, Signed, str, str]

PRICED: dict[str, Value] = {"kind": "auction", "unit": "heure"}
_LOT = hashlib.sha256(b"secret").digest()
OPEN: dict[str, Value] = {"form": "open", "closes": NOW + DAY_S, "lot": _LOT}
SEALED: dict[str, Value] = {**OPEN, "form": "sealed", "reveal_until": NOW + 2 * DAY_S}

KIND_REF = {"bid_reveal": "bid", "contest": "vouching"}
_BY_NODE = {"admission", "membership", "category", "vouching", "bundle_decision", "relay_request",
            "relay_ack"}  # fmt: skip


def of_kind(w: World, kind: str, payload: dict[str, Any], **header: Any) -> Signed:
    """Sign a payload with whoever may sign its kind, and a header that suits it.

    Times in the payload that the header rules bind are brought near the world's own.
    """
    member = w.make_member(0, "alice")
    key = member.coop.node if kind in _BY_NODE else member.key
    key = member.coop.root if kind == "coop_profile" else key
    given: dict[str, Any] = {"coop": member.coop, "by": key, "days": 30, **header}
    changed: dict[str, Any] = {}
    match kind:
        case "withdrawal":
            given.setdefault("rev", 1)
        case "attestation":
            given.setdefault("refs", (payload["transfer"],))
        case "reply":
            given.setdefault("refs", (w.derive("attestation", 32),))
        case "bid_reveal":
            given.setdefault("refs", (payload["bid"],))
        case "contest":
            given.setdefault("refs", (payload["vouching"],))
        case "quote":
            changed = {"valid_until": w.now + 5 * DAY_S}
            given.setdefault("refs", (payload["exchange"],))
        case "freebusy":
            changed = {"until": w.now + 20 * DAY_S}
        case "vouching":
            changed = {"contest_until": w.now + 7 * DAY_S}
        case "move":
            there = w.make_member(1, "alice there")
            changed = {"from": member.author, "to": there.author}
        case "funding" | "funding_request":
            pass
        case kind if kind in RESTS:
            given.setdefault("refs", (w.derive("revision", 32),))
        case kind if kind in PRIVATE_KINDS and "exchange" in payload:
            given.setdefault("refs", (payload["exchange"],))
        case _:
            pass
    # What a caller chose stands; what the sample chose was for no world in particular.
    for name, value in changed.items():
        if payload[name] == sample(KINDS[kind].schema)[name]:
            payload = {**payload, name: value}
    return w.record(kind, payload, **given)


def _sample(kind: str, **change: Any) -> dict[str, Any]:
    whole = {**sample(KINDS[kind].schema), **change}
    return {name: value for name, value in whole.items() if value is not None}


def steps(w: World) -> Iterator[Case]:
    """Yield records that came in a letter, and how each is answered."""
    ids = [w.derive(f"step {at}", 32) for at in range(9)]
    message = _sample("message")
    yield "a message after eight steps", of_kind(w, "message", message, refs=ids[:8]), "ok", ""
    yield "a message after nine steps", of_kind(w, "message", message, refs=ids), "schema", "step_refs"  # noqa: E501
    yield "a message after nothing", of_kind(w, "message", message, refs=()), "schema", "step_refs"
    opening = _sample("opening")
    yield "an opening after a step", of_kind(w, "opening", opening, refs=ids[:1]), "schema", "step_refs"  # noqa: E501
    yield "a revised message", of_kind(w, "message", message, rev=1), "schema", "rev"
    for name, until, expect, rule in (
        ("a quote that ends when it is made", w.now, "schema", "valid_until"),
        ("a quote for one second", w.now + 1, "ok", ""),
        ("a quote as long as its record", w.now + 30 * DAY_S, "ok", ""),
        ("a quote for longer than its record", w.now + 30 * DAY_S + 1, "schema", "valid_until"),
    ):
        yield name, of_kind(w, "quote", _sample("quote", valid_until=until)), expect, rule
    quote = _sample("quote", valid_until=w.now + 1)
    yield "a quote after nothing", of_kind(w, "quote", quote, refs=()), "schema", "step_refs"
    yield "a quote after nine steps", of_kind(w, "quote", quote, refs=ids), "schema", "step_refs"
    asked = _sample("funding_request")
    yield "a request for funds after a step", of_kind(w, "funding_request", asked, refs=ids[:1]), "schema", "step_refs"  # noqa: E501
    yield "funds after eight steps", of_kind(w, "funding", _sample("funding"), refs=ids[:8]), "ok", ""  # noqa: E501
    yield "funds after nine steps", of_kind(w, "funding", _sample("funding"), refs=ids), "schema", "step_refs"  # noqa: E501
    days = {"days": 400}
    yield "a step for 400 days", of_kind(w, "message", message, **days), "ok", ""
    yield "a step for 401 days", of_kind(w, "message", message, days=401), "lifetime", ""
    under = w.derive("mandate", 32)
    yield "an agreement under a mandate, alone", of_kind(w, "agreement", _sample("agreement"), as_=under), "ok", ""  # noqa: E501
    decision = _sample("bundle_decision", outcome="abort")
    yield "a bundle decided under a mandate", of_kind(w, "bundle_decision", decision, as_=under), "not_allowed", ""  # noqa: E501
    yield "an offer in a letter as if it were a step", of_kind(w, "offer", _sample("offer")), "not_allowed", "public"  # noqa: E501
    yield "a later kind in a letter as if it were a step", of_kind(w, "poem", {"salt": bytes(16)}), "not_allowed", "public"  # noqa: E501


def public(w: World) -> Iterator[Case]:
    """Yield public records of spec/08 alone that break one rule, or just keep it."""
    ids = [w.derive(f"revision {at}", 32) for at in range(2)]
    for kind in sorted(RESTS.keys() - {"bid_reveal", "contest"}):
        payload = _sample(kind)
        yield f"{kind} that rests on nothing", of_kind(w, kind, payload, refs=()), "schema", "first_ref"  # noqa: E501
        yield f"{kind} that rests on two", of_kind(w, kind, payload, refs=ids), "schema", "first_ref"  # noqa: E501
    for kind in ("bid_reveal", "contest"):
        payload = _sample(kind)
        refs = [payload[KIND_REF[kind]], ids[0]]
        yield f"{kind} that rests on it and more", of_kind(w, kind, payload, refs=refs), "schema", "first_ref"  # noqa: E501
        yield f"{kind} that rests on something else", of_kind(w, kind, payload, refs=ids[:1]), "schema", "first_ref"  # noqa: E501
    for kind in ("bid", "bid_reveal", "auction_close", "award", "contest", "vouching"):
        yield f"{kind} revised", of_kind(w, kind, _sample(kind), rev=1), "schema", "rev"
    step = build("withdrawal", salt=bytes(16), kind_="message")
    yield "a step withdrawn", of_kind(w, "withdrawal", step), "not_allowed", "private"
    alice, there = w.make_member(0, "alice"), w.make_member(1, "alice there")
    home = w.make_member(0, "another")
    for name, before, after, rule in (
        ("a move from another coop", there.author, there.author, "from_coop"),
        ("a move within a coop", alice.author, home.author, "to_coop"),
    ):
        moved = _sample("move", **{"from": before, "to": after})
        yield name, of_kind(w, "move", moved), "schema", rule
    under = w.derive("mandate", 32)
    yield "a move under a mandate", of_kind(w, "move", _sample("move"), as_=under), "not_allowed", ""  # noqa: E501
    for name, until, expect, rule in (
        ("contestable for a week", w.now + 7 * DAY_S, "ok", ""),
        ("contestable for a second less", w.now + 7 * DAY_S - 1, "schema", "contest_until"),
        ("contestable to its last second but one", w.now + 30 * DAY_S - 1, "ok", ""),
        ("contestable to its last second", w.now + 30 * DAY_S, "schema", "contest_until"),
    ):
        yield name, of_kind(w, "vouching", _sample("vouching", contest_until=until)), expect, rule
    for name, until, expect, rule in (
        ("free times until now", w.now, "schema", "busy_until"),
        ("free times for a second", w.now + 1, "ok", ""),
        ("free times as long as their record", w.now + 30 * DAY_S, "ok", ""),
        ("free times for longer than their record", w.now + 30 * DAY_S + 1, "schema", "busy_until"),
    ):
        yield name, of_kind(w, "freebusy", _sample("freebusy", until=until)), expect, rule
    end = w.now + 30 * DAY_S
    for name, auction, expect in (
        ("an auction that closes when it is asked for", {**OPEN, "closes": w.now}, "schema"),
        ("an auction of a second", {**OPEN, "closes": w.now + 1}, "ok"),
        ("an auction to the last second but one", {**OPEN, "closes": end - 1}, "ok"),
        ("an auction to the last second", {**OPEN, "closes": end}, "schema"),
        ("a sealed auction", SEALED, "ok"),
        ("reveals to the last second", {**SEALED, "reveal_until": end}, "schema"),
    ):
        asked = _sample("demand", reciprocity=PRICED, auction=auction)
        rule = "auction_times" if expect == "schema" else ""
        yield name, of_kind(w, "demand", asked), expect, rule


def broken_payloads() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (kind, what, change) that break a rule between fields in more ways than one."""
    yield "demand", "an auction without its unit", {"reciprocity": {"kind": "auction"}, "auction": OPEN}  # noqa: E501
    yield "demand", "an auction and a price", {"auction": OPEN}
    yield "demand", "reveals in an open auction", {
        "reciprocity": PRICED, "auction": {**OPEN, "reveal_until": NOW + 2 * DAY_S},
    }  # fmt: skip
    yield "demand", "reveals until the close", {
        "reciprocity": PRICED, "auction": {**SEALED, "reveal_until": NOW + DAY_S},
    }  # fmt: skip
    yield "offer", "a limit without its unit", {"reciprocity": {"kind": "auction", "amount": 60}}
    yield "offer", "an amount without its unit", {"reciprocity": {"kind": "amount", "amount": 60}}
    gift: dict[str, Any] = {"kind": "gift"}
    yield "offer", "two tariffs for one audience", {
        "tariffs": [{"audience": "members", "reciprocity": gift},
                    {"audience": "members", "reciprocity": {"kind": "free"}}],
    }  # fmt: skip
    yield "bid", "neither open nor sealed", {"amount": None}
    yield "freebusy", "out of order", {"busy": [[6, 9], [1, 4]]}
    yield "freebusy", "no second between two", {"busy": [[1, 5], [5, 9]]}
    members = [{"author": bytes([at]) * 49, "share": 0} for at in (1, 2)]
    yield "organisation", "shares of nothing", {"members": members, "split": "shares"}
    yield "organisation", "more signatures than members", {"rule": {"signatures": 3}}
    slot = {"slot": bytes(16), "start": 1, "end": 2}
    yield "appointment", "a slot added and cancelled", {"slots": [slot], "cancels": [bytes(16)]}
    yield "appointment", "a slot moved twice", {
        "cancels": None, "slots": [slot, {**slot, "end": 3}],
    }  # fmt: skip
    yield "acceptance", "a reason without a part", {"reason": "Bien."}
    yield "acceptance", "a part of nothing that is said", {"part": True, "reason": "Bien."}
    yield "payment", "a transfer and a gift", {
        "how": "gift", "transfer": bytes(32), "amount": 60, "unit": "heure",
    }  # fmt: skip
    yield "payment", "a transfer without its unit", {
        "how": None, "transfer": bytes(32), "amount": 60,
    }  # fmt: skip
    yield "bundle_decision", "fewer agreements than exchanges", {
        "outcome": "commit", "agreements": [bytes(32)],
    }  # fmt: skip
    fallback: dict[str, Any] = {"name": "Accueil", "place": "Mairie"}
    for what, change in (
        ("an amount without a unit", {"kind": "amount", "amount": 60}),
        ("neither amount nor price of an hour", {"kind": "amount", "unit": "heure"}),
        ("a price for what is only counted", {"kind": "count_only", "unit": "heure", "amount": 1}),
        ("a unit for a gift", {"kind": "gift", "unit": "heure"}),
        ("a unit for money outside", {"kind": "outside", "unit": "heure"}),
        ("an hour's price for what is free", {"kind": "free", "per_hour": 60}),
        ("money outside for a gift", {"kind": "gift", "outside": "20 euros"}),
        ("an hour's price held", {
            "kind": "amount", "unit": "heure", "per_hour": 60, "settle": "hold"}),
        ("a gift held", {"kind": "gift", "settle": "hold"}),
        ("a fee for a gift", {"kind": "gift", "cancel_fee": 10}),
        ("nobody to mediate what silence leads to", {
            "kind": "gift", "silence": {"pay": "mediated"}}),
        ("one author twice in a split", {
            "kind": "gift", "split": [{"author": bytes(49), "share": at} for at in (1, 2)]}),
        ("a split into nothing", {"kind": "gift", "split": [{"author": bytes(49), "share": 0}]}),
        ("nobody to turn to", {"kind": "gift", "fallback": {"name": "Accueil"}}),
    ):  # fmt: skip
        yield "quote", what, {"terms": complete({"fallback": fallback, **change})}
