"""Decide once about all parts of a bundle (spec/08, "Bundles").

The node of the requester's coop decides: commit when every part is agreed to and still reserved,
abort when one cannot be, agreed to or not: whoever has reserved the others is free then, at once
and not only when their own time is over. The decision stands in all transcripts in the same
transaction that writes its letters; asked again it is the same, because it was written before
anybody heard of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.addressing import coop_of
from maillon.node.engine.exchange.ports import Note, Query
from maillon.node.engine.exchange.transcripts import Transcripts
from maillon.protocol.exchange import Exchange
from maillon.protocol.exchange.bundles import Decision, decide

if TYPE_CHECKING:
    from maillon.node.engine.exchange.intake import Setup

PARTS_LISTED_MAX: Final = 64
PARTS_MIN: Final = 2
FOREVER: Final = 1 << 40
"""The coordinator gives up when the first reservation ends, and not earlier."""


class Bundling:
    """The bundles whose requesters are of this coop."""

    def __init__(self, setup: Setup, transcripts: Transcripts) -> None:
        self._setup = setup
        self._store = setup.store
        self._transcripts = transcripts

    def undecided(self, state: Exchange, now: int) -> list[Exchange]:
        """Return the exchanges about the same bundle that nothing was decided of, by provider.

        Of several with one provider the one opened last is meant.
        """
        assert state.bundle is not None
        query = Query(
            authors=(state.requester,),
            role="requester",
            bundle=state.bundle,
            limit=PARTS_LISTED_MAX,
        )
        found: dict[bytes, Exchange] = {}
        for row in self._store.find(query):
            if self._store.note(notes.DECIDED, row.id) is not None:
                continue
            part = self._transcripts.fold(row.id, now)
            known = found.get(part.provider)
            if known is None or (part.opened_at, part.id) > (known.opened_at, known.id):
                found[part.provider] = part
        return [found[provider] for provider in sorted(found)]

    def decide(self, state: Exchange, now: int) -> Decision | None:
        """Return the decision that is to be written now, or None."""
        if state.bundle is None or coop_of(state.requester) != self._setup.coop:
            return None
        if self._store.note(notes.DECIDED, state.id) is not None:
            return None
        parts = self.undecided(state, now)
        if state.id not in [part.id for part in parts] or len(parts) < PARTS_MIN:
            return None
        waits = any(part.reserved for part in parts)
        if not waits and not (any(map(_over, parts)) and any(not _over(part) for part in parts)):
            return None
        # A bundle that is gone cannot be committed any more; what was reserved is given free.
        providers = self._setup.records.parts(state.bundle) or ()
        return decide(parts, providers, now, FOREVER)

    def decided(self, exchanges: Sequence[bytes], decision: bytes, now: int) -> None:
        """Note a decision for every exchange of it, so that none is made again."""
        for exchange in exchanges:
            self._store.put_note(Note(notes.DECIDED, exchange, exchange, now, decision))

    def decision(self, exchange: bytes) -> bytes | None:
        """Return the decision about the bundle that an exchange is a part of."""
        note = self._store.note(notes.DECIDED, exchange)
        return None if note is None else note.value


def _over(part: Exchange) -> bool:
    """Tell whether a part that was not agreed to can be reserved no more.

    A quote that the requester declined alone ends nothing: its provider may make another one.
    """
    if part.phase == "declined":
        return part.ended_by is not None
    return part.phase in ("cancelled", "expired")
