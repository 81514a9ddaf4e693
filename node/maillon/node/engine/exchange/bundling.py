"""Decide once about all parts of a bundle (spec/08, "Bundles").

The node of the requester's coop decides: commit when every part is agreed to and still reserved,
abort when one cannot be. The decision stands in all transcripts in the same transaction that writes
its letters; asked again it is the same, because it was written before anybody heard of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.addressing import coop_of
from maillon.node.engine.exchange.ports import Note, Query
from maillon.node.engine.exchange.transcripts import Transcripts
from maillon.protocol.exchange import Exchange, Quote

if TYPE_CHECKING:
    from maillon.node.engine.exchange.core import Setup

ENDED: Final = frozenset({"cancelled", "declined", "expired"})
PARTS_LISTED_MAX: Final = 64


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

    def decide(self, state: Exchange, now: int) -> Mapping[str, Any] | None:
        """Return the decision that is to be written now, or None."""
        if state.bundle is None or coop_of(state.requester) != self._setup.coop:
            return None
        if self._store.note(notes.DECIDED, state.id) is not None:
            return None
        parts = self.undecided(state, now)
        if state.id not in [part.id for part in parts] or len(parts) < 2:
            return None
        if not any(part.reserved for part in parts):
            return None
        providers = self._setup.records.parts(state.bundle)
        whole = providers is not None and sorted(providers) == [part.provider for part in parts]
        quotes = [agreed_quote(part) for part in parts]
        if whole and all(
            part.reserved and quote is not None and quote.reserved and now <= quote.valid_until
            for part, quote in zip(parts, quotes, strict=True)
        ):
            agreements = [part.agreement.id for part in parts if part.agreement is not None]
            return self._decision(state, parts, "commit", agreements)
        late = any(
            part.reserved and quote is not None and now > quote.valid_until
            for part, quote in zip(parts, quotes, strict=True)
        )
        if late or any(part.phase in ENDED for part in parts):
            return self._decision(state, parts, "abort", [])
        return None

    @staticmethod
    def _decision(
        state: Exchange, parts: list[Exchange], outcome: str, agreements: list[bytes]
    ) -> Mapping[str, Any]:
        fields: dict[str, Any] = {
            "bundle": state.bundle,
            "exchanges": [part.id for part in parts],
            "outcome": outcome,
        }
        if agreements:
            fields["agreements"] = agreements
        return fields

    def decided(self, exchanges: list[bytes], decision: bytes, now: int) -> None:
        """Note a decision for every exchange of it, so that none is made again."""
        for exchange in exchanges:
            self._store.put_note(Note(notes.DECIDED, exchange, exchange, now, decision))

    def decision(self, exchange: bytes) -> bytes | None:
        """Return the decision about the bundle that an exchange is a part of."""
        note = self._store.note(notes.DECIDED, exchange)
        return None if note is None else note.value


def agreed_quote(state: Exchange) -> Quote | None:
    """Return the quote that was agreed to."""
    if state.agreement is None:
        return None
    return next((quote for quote in state.quotes if quote.id == state.agreement.quote), None)
