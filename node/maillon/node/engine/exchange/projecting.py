"""Keep what lists need to know of an exchange, so that a list folds no transcript."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, cast

from maillon.node.engine.exchange.paying import funding_wanted
from maillon.node.engine.exchange.ports import ExchangeRow, ExchangeStore, Part, Query, SlotRow
from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.exchange import Exchange

SUMMARY_BYTES_MAX: Final = 4_096

ENDED: Final = frozenset({"cancelled", "declined", "expired"})

UNBOUND: Final = frozenset({"opened", "quoted", "declined", "expired"})
BINDING_MAX: Final = 1_000
"""Exchanges that are looked through for those that bind somebody: whether there is one matters."""


def project(store: ExchangeStore, state: Exchange, now: int) -> None:
    """Write the row of an exchange anew."""
    before = store.row(state.id)
    finished = finished_at(state)
    row = ExchangeRow(
        state.id,
        state.title,
        state.phase,
        state.requester,
        state.provider,
        state.about or b"",
        state.bundle or b"",
        state.opened_at,
        now,
        wake_at(state, now),
        finished,
        sum(claim.closed is None for claim in state.guarantees),
        encode(_summary(state, now), bytes_max=SUMMARY_BYTES_MAX),
        tuple(_parts(state)),
        tuple(
            {
                slot.slot or state.id[:16]: SlotRow(
                    slot.slot or state.id[:16], slot.start, slot.end, slot.status
                )
                for slot in state.slots
                if slot.end > 0
            }.values()
        ),
    )
    if before is not None and before.summary == row.summary and before.parts == row.parts:
        # Only time went by: it keeps its place in the lists.
        same = ("phase", "requester", "provider", "guarantees", "slots")
        if all(getattr(before, name) == getattr(row, name) for name in same):
            row = replace(row, changed_at=before.changed_at)
    store.put_row(row)


def wake_at(state: Exchange, now: int) -> int | None:
    """Return when the next deadline is over; those that stay as a reminder do not wake anybody."""
    return min((entry.at + 1 for entry in state.deadlines if entry.at >= now), default=None)


def finished_at(state: Exchange) -> int:
    """Return when an exchange has ended for good, or will have; 0 while something is to be done."""
    if state.due.amount > 0 or state.complaint is not None or state.phase == "disputed":
        return 0
    done = state.phase in ENDED or state.phase == "evaluated"
    if not done and not (state.phase == "paid" and state.evaluate_until is None):
        return 0
    times = [entry.at for entry in state.deadlines]
    times += [state.guaranteed_until or 0, state.evaluate_until or 0, state.opened_at]
    times += [claim.at for claim in state.guarantees]
    return max(times)


def binding(store: ExchangeStore, author: bytes) -> int:
    """Return how many exchanges somebody has agreed to that are not over, as far as anybody counts.

    One that is only talked about binds nobody; of one that is done, paid and evaluated a guarantee
    may be left, for which the coop answers.
    """
    rows = store.find(Query(authors=(author,), finished=False, limit=BINDING_MAX))
    return sum(row.phase not in UNBOUND for row in rows)


def waiting_for(state: Exchange) -> list[str]:
    """Return the roles that everybody waits for now."""
    found: dict[str, None] = {}
    for change in state.changes:
        found["provider" if change.by == state.requester else "requester"] = None
    match state.phase:
        case "opened":
            found["provider"] = None
        case "quoted":
            if not state.reserved:
                found["requester"] = None
        case "agreed" | "under_way":
            found["provider"] = None
        case "done":
            found["requester"] = None
        case "disputed":
            found.update(
                {"mediator": None}
                if state.mediator is not None
                else {"requester": None, "provider": None}
            )
        case "handed_over":
            found["successor"] = None
        case "paid":
            for author in state.evaluators:
                found["requester" if author == state.requester else "provider"] = None
        case _:
            pass
    if state.due.amount > 0 or (state.phase == "accepted" and not state.paid):
        found[_payer_role(state)] = None
    if funding_wanted(state):
        found["payer"] = None
    if any(claim.closed is None for claim in state.guarantees):
        found["provider"] = None
    return list(found)


def _payer_role(state: Exchange) -> str:
    if state.due.payer == state.provider:
        return "provider"
    return "requester" if state.due.payer == state.requester else "payer"


def _parts(state: Exchange) -> Iterator[Part]:
    waiting = waiting_for(state)
    until = state.evaluate_until or 0
    roles: list[tuple[bytes | None, str]] = [
        (state.requester, "requester"),
        (state.provider, "provider"),
        (state.mediator if state.complaint or state.mediated else None, "mediator"),
    ]
    if state.phase == "disputed":
        roles[2] = (state.mediator, "mediator")
    if state.payer != state.requester:
        roles.append((state.payer, "payer"))
    if state.first_provider != state.provider:
        roles.append((state.first_provider, "predecessor"))
    if state.handover is not None and state.handover.status == "consented":
        roles.append((state.handover.to, "successor"))
    roles += [(author, "participant") for author in state.participants]
    for author, role in roles:
        if author is not None:
            evaluates = until if author in state.evaluators and role in waiting else 0
            yield Part(author, role, role in waiting, evaluates)


def _summary(state: Exchange, now: int) -> dict[str, Value]:
    summary: dict[str, Value] = {"waiting": list(waiting_for(state))}
    if state.due.amount:
        summary["due"] = [state.due.amount, state.due.unit]
    if state.deadlines:
        entry = next((d for d in state.deadlines if d.at >= now), state.deadlines[0])
        summary["deadline"] = [entry.what, entry.at, entry.outcome]
    coming = [slot for slot in state.slots if slot.status in ("agreed", "under_way", "proposed")]
    if coming:
        slot = min(coming, key=lambda found: (found.start, found.slot))
        summary["slot"] = [slot.slot, slot.start, slot.end, slot.place[:200], slot.status]
    return summary


def summary_of(row: ExchangeRow) -> dict[str, Any]:
    """Read the summary of a row."""
    return cast("dict[str, Any]", decode(row.summary, bytes_max=SUMMARY_BYTES_MAX))
