"""Show what the steps of an exchange say: words, proposals that wait, what a cancellation costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from maillon.node.api import exchange_shapes as shapes
from maillon.node.engine.exchange.core import ExchangeCore
from maillon.node.engine.exchange.transcripts import said
from maillon.node.exchange.ports import Host
from maillon.protocol.envelope import Signed
from maillon.protocol.exchange import Exchange
from maillon.protocol.exchange.clock import NEVER_BY_SILENCE

SAID_MAX: Final = 50
"""Words shown with an exchange, the latest; the transcript has all of them."""

_WORDED: Final = frozenset(
    {
        "message", "quote_withdrawal", "decline", "consent", "acceptance", "complaint", "mediation",
        "cancellation", "handover",
    }
)  # fmt: skip
_AMOUNTS: Final = ("proposes", "amount", "fee")


class Shower(Protocol):
    """What shows who and how much."""

    def party(self, author: bytes) -> shapes.Party: ...

    def money(self, amount: int, unit: str) -> shapes.Money: ...


class Saying:
    """Turn what steps say into shapes. `party` and `money` show who and how much."""

    def __init__(self, host: Host, core: ExchangeCore, showing: Shower) -> None:
        self._host = host
        self._core = core
        self._showing = showing

    def signer(self, signed: Signed) -> shapes.Party | None:
        """Return whose hand signed a step under a mandate, None for one's own."""
        header = signed.header
        if not header.as_:
            return None
        info = self._host.directory.membership(header.coop, header.by)
        if info is None:
            return self._showing.party(b"c" + header.coop)
        return self._showing.party(b"p" + header.coop + info.person)

    def said(self, state: Exchange) -> list[shapes.WordsOut]:
        """Return the words of both sides, in the order in which they count."""
        void = {entry.id for entry in state.void}
        found: list[shapes.WordsOut] = []
        for row, signed in self._records(state):
            payload = said(signed)
            kind = signed.header.kind
            if kind not in _WORDED:
                continue
            text = payload.get("text") or payload.get("reason") or ""
            late = payload.get("late_minutes", 0)
            if not text and not late and kind not in ("complaint", "mediation"):
                continue
            found.append(
                shapes.WordsOut(
                    step=signed.id.hex(),
                    kind=kind,
                    at=signed.header.at,
                    by=self._showing.party(row),
                    text=text,
                    signer=self.signer(signed),
                    late_minutes=late,
                    slot=payload.get("slot", b"").hex(),
                    to=payload.get("to", b"").hex() if kind == "consent" else "",
                    yes=payload.get("yes"),
                    amount=self._amount(state, payload),
                    counts=signed.id not in void,
                )
            )
        return found[-SAID_MAX:]

    def _records(self, state: Exchange) -> Iterator[tuple[bytes, Signed]]:
        records = self._core.transcripts.records(state.id)
        known = {row.id: (row.author, signed) for row, signed in records}
        for id in state.order:
            if id in known:
                yield known[id]

    def _amount(self, state: Exchange, payload: Mapping[str, Any]) -> shapes.Money | None:
        for name in _AMOUNTS:
            if isinstance(payload.get(name), int):
                return self._showing.money(payload[name], state.due.unit)
        return None

    def proposals(self, state: Exchange) -> list[shapes.WaitingOut]:
        """Return what waits for an answer, the oldest first."""
        terms = state.terms
        if terms is None:
            return []
        records = {row.id: signed for row, signed in self._core.transcripts.records(state.id)}
        within, silence = int(terms["consent_within_s"]), str(terms["silence"]["consent"])
        found = [
            self._proposal(
                state, change.id, change.kind, change.by, change.at, said(records.get(change.id)),
                change.at + within,
                "refused" if change.kind in NEVER_BY_SILENCE else silence,
            )
            for change in state.changes
        ]  # fmt: skip
        until = next((entry.at for entry in state.deadlines if entry.what == "handover"), None)
        for handover in state.handovers:
            if handover.status == "consented":
                signed = records.get(handover.id)
                at = state.opened_at if signed is None else signed.header.at
                shown = self._proposal(
                    state, handover.id, "handover", handover.by, at, said(signed), until, "refused"
                )
                shown.wants = "handover_acceptance"
                found.append(shown)
        return sorted(found, key=lambda entry: (entry.at, entry.step))

    def _proposal(
        self, state: Exchange, id: bytes, kind: str, by: bytes, at: int, payload: Mapping[str, Any],
        until: int | None, outcome: str,
    ) -> shapes.WaitingOut:  # fmt: skip
        adds: Mapping[str, Any] = payload.get("adds", {})
        slots: list[Mapping[str, Any]] = list(payload.get("slots", ())) + list(adds.get("when", ()))
        task = payload.get("task")
        to = payload.get("to")
        return shapes.WaitingOut(
            step=id.hex(),
            kind=kind,
            at=at,
            by=self._showing.party(by),
            until=until,
            outcome=outcome,
            text=adds.get("text") or payload.get("text") or payload.get("reason") or "",
            slots=[
                shapes.SlotOut(
                    slot["slot"].hex(),
                    slot["start"],
                    slot["end"],
                    slot.get("place", ""),
                    "proposed",
                )
                for slot in slots
            ],
            moves=[
                slot.slot.hex()
                for slot in state.slots
                if slot.status == "agreed" and slot.slot in {each["slot"] for each in slots}
            ],
            cancels=[slot.hex() for slot in payload.get("cancels", ())],
            amount=self._amount(state, adds or payload),
            minutes=adds.get("minutes"),
            to=self._showing.party(to) if isinstance(to, bytes) else None,
            task="" if task is None else task.hex(),
            wants="consent",
        )

    def fee(self, state: Exchange) -> shapes.Money | None:
        """Return what whoever cancels now owes by the terms, None for nothing (spec/08)."""
        terms = state.terms
        planned = [slot.start for slot in state.slots if slot.status == "agreed"]
        if terms is None or not planned or not terms.get("cancel_fee"):
            return None
        if state.phase not in ("agreed", "scheduled"):
            return None
        if state.now <= min(planned) - int(terms["cancel_free_before_s"]):
            return None
        return self._showing.money(int(terms["cancel_fee"]), state.due.unit)
