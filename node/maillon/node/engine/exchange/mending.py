"""Ask others for steps that are missing here, and send them what they miss (spec/08).

A letter may be lost with the disk of a post office, and a node brought back from a copy has lost
what came and what was signed since. Whoever refers to a step has it: so the hole is seen, and
closed: who asks says up to where it has everything, and gets the rest. In doubt about a bundle,
everything is asked for: some party has the decision.

    [4, encode(["missing", exchange, [head, ...]])]      no heads: all that there is
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.addressing import Addressing, concerned
from maillon.node.engine.exchange.outbox import Outbox
from maillon.node.engine.exchange.ports import Note
from maillon.node.engine.exchange.transcripts import Transcripts
from maillon.protocol.exchange import Exchange
from maillon.protocol.exchange.bundles import in_doubt
from maillon.protocol.exchange.missing import lacking, question, read_question
from maillon.protocol.letters import ITEM_APP, Item

if TYPE_CHECKING:
    from maillon.node.engine.exchange.intake import Setup


class Mending:
    """The holes in transcripts, here and elsewhere."""

    def __init__(
        self, setup: Setup, addressing: Addressing, transcripts: Transcripts, outbox: Outbox
    ) -> None:
        self._store = setup.store
        self._setup = setup
        self._addressing = addressing
        self._transcripts = transcripts
        self._outbox = outbox

    def looked_at(self, state: Exchange, now: int) -> None:
        """Note that steps of an exchange are missing, or that they are not any more."""
        known = self._store.note(notes.MISSING, state.id)
        if state.waiting or (in_doubt(state) and self._late(state, now)):
            if known is None:
                self._store.put_note(Note(notes.MISSING, state.id, state.id, now, b"\0"))
        elif known is not None:
            self._store.drop_note(notes.MISSING, state.id)

    @staticmethod
    def _late(state: Exchange, now: int) -> bool:
        return all(quote.valid_until < now for quote in state.quotes if quote.status == "agreed")

    def due(self, now: int) -> list[bytes]:
        """Return the exchanges for whose missing steps others are to be asked now."""
        return [
            note.key
            for note in self._store.notes(notes.MISSING, limit=bounds.DUE_SLICE)
            if note.at + (bounds.MISSING_S << note.value[0]) <= now
        ]

    def ask(self, state: Exchange, now: int) -> None:
        """Write letters that ask for what is missing."""
        known = self._store.note(notes.MISSING, state.id)
        if known is None:
            return
        tries = known.value[0] + 1
        if tries > bounds.MISSING_TRIES_MAX:
            self._store.drop_note(notes.MISSING, state.id)
            return
        self._store.put_note(Note(notes.MISSING, state.id, state.id, known.at, bytes((tries,))))
        heads = [] if in_doubt(state) else list(state.heads)
        item = Item(ITEM_APP, question(state.id, heads))
        here = [a for a in concerned(state) if self._addressing.reads_here(a, now)]
        if here:
            self._outbox.send_items(concerned(state), state.id, (item,), here[0], now)

    def asked(self, data: bytes, from_coop: bytes, now: int) -> None:
        """Send a coop the steps it misses, if somebody of it reads the exchange."""
        asked = read_question(data)
        exchange = b"" if asked is None else asked.exchange
        if asked is None or self._store.count_steps(exchange) == 0:
            return
        place = exchange + from_coop
        before = self._store.note(notes.ANSWERED, place)
        if before is not None and before.at + bounds.ANSWER_S > now:
            return
        state = self._transcripts.fold(exchange, now)
        readers = [
            one for one in self._addressing.all(concerned(state), now) if one.coop == from_coop
        ]
        steps = {row.id: signed for row, signed in self._transcripts.records(exchange)}
        refs = {id: signed.header.refs for id, signed in steps.items()}
        records = [steps[id] for id in lacking(asked.heads, refs)]
        here = [a for a in concerned(state) if self._addressing.reads_here(a, now)]
        if readers and records and here:
            self._store.put_note(Note(notes.ANSWERED, place, exchange, now, b""))
            self._outbox.send_records(readers, exchange, records, here[0], now)
