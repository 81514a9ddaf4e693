"""Show the appointments of people: their day, and as calendars (RFC 5545)."""

from __future__ import annotations

from maillon.node import cursors
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.exchange_service import PersonOptions
from maillon.node.engine.exchange.ports import SlotRow
from maillon.node.exchange.calendars import Entry, calendar
from maillon.node.exchange.part import Part
from maillon.protocol.exchange import Exchange

CALENDAR_ROWS_MAX = 1_000
"""Appointments in one calendar file: three a day for a year."""
PAST_S = 30 * 86_400
"""How far back a calendar of somebody goes when no time is given."""


class Agendas(Part):
    """The appointments of the desk."""

    def _slots(
        self, options: PersonOptions, caller: Caller, start: int, limit: int
    ) -> tuple[list[tuple[Exchange, SlotRow, bytes]], str | None]:
        authors = self.asking.readers(options.person, caller)
        if authors == ():
            return [], None
        now = self._host.time()
        after: tuple[int, bytes] | None = None
        if options.after:
            at, id = cursors.read("agenda", options.after, int, bytes)
            after = at, id
        rows = self.core.store.agenda(authors, start, options.end, after, limit + 1)
        found: list[tuple[Exchange, SlotRow, bytes]] = []
        for exchange, slot in rows[:limit]:
            state = self.core.state(exchange, now)
            parties = (state.provider, state.requester)
            mine = [
                author
                for author in parties
                if (self.core.addressing.is_here(author) if authors is None else author in authors)
            ]
            found += [(state, slot, author) for author in mine[:1]]
        following = None
        if len(rows) > limit:
            last = rows[limit - 1][1]
            following = cursors.written("agenda", last.start, last.slot)
        return found, following

    def agenda(self, options: PersonOptions, caller: Caller) -> shapes.Agenda:
        """List appointments, the earliest first; without a start, from now on."""
        start = self._host.time() if options.start < 0 else options.start
        found, following = self._slots(options, caller, start, options.limit)
        showing = self.showing
        return shapes.Agenda(
            [showing.agenda_entry(state, slot, author, caller) for state, slot, author in found],
            following,
        )

    def agenda_calendar(self, options: PersonOptions, caller: Caller) -> bytes:
        """Give appointments as a calendar."""
        start = self._host.time() - PAST_S if options.start < 0 else options.start
        found, _following = self._slots(options, caller, start, CALENDAR_ROWS_MAX)
        showing = self.showing
        entries = [
            self._entry(state, showing.agenda_entry(state, slot, author, caller))
            for state, slot, author in found
        ]
        return calendar(entries)

    def calendar(self, id: str, caller: Caller) -> bytes:
        """Give the appointments of an exchange as a calendar."""
        exchange = self.asking.exchange(id, caller)
        state = self.core.state(exchange, self._host.time())
        row = self.core.store.row(exchange)
        assert row is not None  # every transcript has its row
        mine = [a for a in (state.provider, state.requester) if caller.may_act_for(a)]
        here = [a for a in mine if self.core.addressing.is_here(a)] or [state.requester]
        showing = self.showing
        entries = [
            self._entry(state, showing.agenda_entry(state, slot, here[0], caller))
            for slot in row.slots
        ]
        return calendar(entries, name=state.title)

    def _entry(self, state: Exchange, shown: shapes.AgendaEntry) -> Entry:
        contact = shown.contact or {}
        reach = [contact[name] for name in ("name", "phone", "email", "note") if name in contact]
        fallback = (state.terms or {}).get("fallback", {})
        reach += [fallback[name] for name in ("name", "phone", "place") if name in fallback]
        place = shown.slot.place or contact.get("address", "")
        row = self.core.store.row(state.id)
        changed = state.opened_at if row is None else row.changed_at
        return Entry(
            f"{state.id.hex()[:32]}-{shown.slot.slot}@maillon",
            shown.slot.start,
            shown.slot.end,
            state.title,
            place,
            "\n".join(reach),
            shown.slot.status,
            changed,
            # Grows with every step: calendars take the latest they were given (RFC 5545, 3.8.7.4).
            self.core.store.count_steps(state.id),
        )
