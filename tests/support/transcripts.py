"""Play an exchange step by step: what a desk does, without keys, letters and records.

Ids are hashes of what a step says, so a script gives the same transcript every time.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from maillon.protocol.exchange import (
    Exchange,
    KnownTransfers,
    Step,
    StepRefused,
    TransferFact,
    check_next,
    fold,
)
from maillon.protocol.records.terms import complete

START = 1_800_000_000
HOUR = 3_600
DAY = 86_400


def person(coop: int, number: int) -> bytes:
    return b"p" + bytes([coop]) * 32 + bytes([number]) * 16


REQUESTER = person(1, 0x11)
PROVIDER = person(2, 0x22)
OTHER = person(3, 0x33)
THIRD = person(3, 0x44)
PAYER = person(4, 0x55)
STRANGER = person(5, 0x66)
MEDIATOR = b"c" + bytes([6]) * 32
COORDINATOR = b"c" + bytes([1]) * 32
FALLBACK = {"name": "Desk", "phone": "+33 4 75 00 00 00"}
SLOT = b"\x51" * 16
COUNTED = ("savoir", "service")
"""The units of the federation that only count."""
LATER_SLOT = b"\x52" * 16


def key_of(author: bytes, device: int = 0) -> bytes:
    return hashlib.sha256(author + bytes([device])).digest()


def slot(id: bytes = SLOT, day: int = 3, hours: int = 1) -> dict[str, Any]:
    start = START + day * DAY
    return {"slot": id, "start": start, "end": start + hours * HOUR}


def terms(**given: Any) -> dict[str, Any]:
    """Return terms by the hour with one slot in three days and a mediator."""
    fields: dict[str, Any] = {
        "kind": "amount",
        "unit": "heure",
        "per_hour": 60,
        "minutes": 60,
        "fallback": FALLBACK,
        "mediator": MEDIATOR,
        "when": [slot()],
        **given,
    }
    return complete({name: value for name, value in fields.items() if value is not None})


class Play:
    """A transcript in the making; `at` is the clock of whoever acts."""

    def __init__(self, **opening: Any) -> None:
        self.steps: list[Step] = []
        self.transfers: dict[bytes, TransferFact] = {}
        self.at = START
        fields: dict[str, Any] = {
            "requester": REQUESTER,
            "provider": PROVIDER,
            "title": "Errands",
            "lang": "en",
        }
        by = opening.pop("by", REQUESTER)
        self.opening = self.add("opening", by, refs=(), **{**fields, **opening})

    @property
    def facts(self) -> KnownTransfers:
        return KnownTransfers(self.transfers, COUNTED)

    def state(self, now: int | None = None, steps: Iterable[Step] | None = None) -> Exchange:
        return fold(self.steps if steps is None else steps, self.facts, now or self.at)

    def wait(self, seconds: int) -> None:
        self.at += seconds

    def until(self, at: int) -> None:
        self.at = at

    def add(
        self,
        kind: str,
        author: bytes,
        *,
        refs: Sequence[Step] | None = None,
        device: int = 0,
        at: int | None = None,
        role: str | None = None,
        exchange: bytes | None = None,
        **payload: Any,
    ) -> Step:
        """Add a step without asking whether it is possible. `refs` default to the heads."""
        self.at += 1
        when = self.at if at is None else at
        fields = dict(payload)
        if kind not in ("opening", "bundle_decision"):
            fields["exchange"] = self.opening.id if exchange is None else exchange
        heads: tuple[bytes, ...] = ()
        if refs is not None:
            heads = tuple(step.id for step in refs)
        elif self.steps:
            heads = self.state().heads[-8:]
        salt = hashlib.sha256(repr((kind, author, device, when, heads, len(self.steps))).encode())
        fields["salt"] = salt.digest()[:16]
        by_role = role or ("node" if author[:1] == b"c" else "member")
        step = self.made(kind, author, device, by_role, when, heads, fields)
        self.steps.append(step)
        return step

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
        """Return a step whose id is a hash of what it says."""
        said = repr((kind, author, device, at, refs, payload)).encode()
        id = hashlib.sha256(said).digest()
        return Step(id, kind, key_of(author, device), author, role, at, refs, payload)

    def do(self, kind: str, author: bytes, **payload: Any) -> Step:
        """Add a step as a desk does: refused when it is not possible."""
        check_next(
            self.state(),
            kind,
            {name: value for name, value in payload.items() if name not in ("device", "role")},
            author,
            self.at + 1,
            signer_role=payload.get("role") or ("node" if author[:1] == b"c" else "member"),
        )
        step = self.add(kind, author, **payload)
        counted = {entry.id for entry in self.state().void}
        assert step.id not in counted, f"{kind} was possible and is void"
        return step

    # --- what many scripts begin with -------------------------------------------------------------

    def quoted(self, **given: Any) -> Step:
        options = {name: given.pop(name) for name in ("reserved",) if name in given}
        valid_until = given.pop("valid_until", START + 2 * DAY)
        return self.do("quote", PROVIDER, terms=terms(**given), valid_until=valid_until, **options)

    def agreed(self, **given: Any) -> Step:
        quote = self.quoted(**given)
        return self.do("agreement", REQUESTER, quote=quote.id)

    def worked(self, minutes: int = 60, slot: bytes = SLOT, provider: bytes = PROVIDER) -> Step:
        when = next(entry for entry in self.state().slots if entry.slot == slot)
        self.until(max(self.at, when.start))
        self.do("check_in", provider, slot=slot, time=self.at)
        self.wait(minutes * 60)
        return self.do("check_out", provider, slot=slot, time=self.at, minutes=minutes)

    def paid(self, amount: int | None = None, payer: bytes = REQUESTER, **fact: Any) -> Step:
        state = self.state()
        order = hashlib.sha256(b"order" + bytes([len(self.transfers)])).digest()
        due = state.due.amount if amount is None else amount
        known = TransferFact(
            payer, state.due.payee, state.due.unit, due, "certified", state.payment_ref or b""
        )
        self.transfers[order] = replace(known, **fact)
        author = payer if payer in (REQUESTER, state.payer, state.provider) else REQUESTER
        return self.do("payment", author, transfer=order, amount=due, unit=state.due.unit)

    def acknowledged(self, amount: int = 1, unit: str = "savoir", **fact: Any) -> Step:
        """Let the requester name a transfer of 1 in a unit that counts."""
        order = self.thanked(amount, unit, **fact)
        return self.do("payment", REQUESTER, transfer=order, amount=amount, unit=unit)

    def thanked(self, amount: int = 1, unit: str = "savoir", **fact: Any) -> bytes:
        """Let the ledger certify such a transfer; return its order."""
        state = self.state()
        order = hashlib.sha256(b"thanks" + bytes([len(self.transfers)])).digest()
        known = TransferFact(
            REQUESTER, state.provider, unit, amount, "certified", state.payment_ref or b""
        )
        self.transfers[order] = replace(known, **fact)
        return order


def why(play: Play, step: Step) -> str | None:
    """Return why a step does not count, or None when it does."""
    return {entry.id: entry.reason for entry in play.state().void}.get(step.id)


def refused(play: Play, kind: str, author: bytes, **payload: object) -> str:
    """Return why a desk refuses a step; the transcript stays as it is."""
    # Vectors are made with this module too, where there need be no pytest.
    import pytest

    before, steps = play.state(play.at + 1), list(play.steps)
    with pytest.raises(StepRefused) as error:
        play.do(kind, author, **payload)
    assert play.steps == steps and play.state(before.now) == before
    assert (error.value.phase, error.value.kind) == (before.phase, kind)
    assert error.value.possible == before.next(author, before.now).kinds
    assert kind in str(error.value) and before.phase in str(error.value)
    reason: str = error.value.reason
    return reason


def shuffled(steps: Sequence[Step], seed: int) -> list[Step]:
    """Return the steps in another order, some of them twice."""
    rng = random.Random(seed)
    twice = [*steps, *rng.sample(steps, k=min(len(steps), 5))]
    rng.shuffle(twice)
    return twice
