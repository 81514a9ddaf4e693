"""Keep what marks are worth up to date with the records (docs/reputation.md).

Marks are read from the store in the order of arrival: all of them once when the node starts, in
slices, then what came since. So nothing has to be told twice, and nothing is missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maillon.node.engine.reputation import Opinion, Reputation, Reputations
from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.search.candidates import BEFORE_ALL, Candidates
from maillon.node.search.matching import Candidate
from maillon.protocol.envelope import Valid
from maillon.protocol.moving import past, present

CACHE_S = 3_600


class Marks:
    """All live attestations, and what they are worth from this coop."""

    def __init__(self, host: Host, records: Candidates) -> None:
        self._host = host
        self._records = records
        self._moves: list[Valid] | None = None
        self._present: dict[bytes, bytes] = {}
        self._at = BEFORE_ALL
        self._cache: dict[bytes, tuple[int, Reputation]] = {}
        self._texts: dict[bytes, set[bytes]] = {}
        # With whom members of the own coop dealt: transfers by the two, each pair both ways.
        self._met: dict[bytes, dict[bytes, set[bytes]]] = {}
        self._of: dict[bytes, tuple[bytes, bytes, bytes]] = {}
        self._said: set[tuple[bytes, bytes, bytes]] = set()
        self.complete = False
        self.reputations = Reputations(host.coop, self.present)

    def __len__(self) -> int:
        return len(self.reputations)

    # --- feeding --------------------------------------------------------------------------------

    def catch_up(self) -> bool:
        """Read the next slice of what arrived; tell whether there may be more."""
        top = self._records.top()
        if top < self._at:
            # The database was begun anew; what was known is still live, or is told to be gone.
            self._at = BEFORE_ALL
        step = bounds.MARKS_SLICE if self.complete else bounds.MARKS_SLICE_FIRST
        before = min(top, self._at + step)
        for found in self._records.of_kind("attestation", self._at, before):
            self.add(found)
        self._at = before
        self.complete |= before == top
        return before < top

    def add(self, found: Candidate) -> None:
        """Take up a live attestation."""
        payload = found.payload
        if found.id in self._of:
            return
        subject: bytes = payload["subject"]
        marks = dict(payload["criteria"])
        for name in self._host.founding.unasked(marks):
            # Nobody asked for it, so nothing says what it means (spec/03).
            del marks[name]
        self.reputations.add(Opinion(found.id, found.author, subject, marks, found.at))
        self._texts.setdefault(subject, set()).add(found.id)
        transfer: bytes = payload["transfer"]
        self._of[found.id] = (found.author, subject, transfer)
        self._said.add((found.author, subject, transfer))
        for one, other in ((found.author, subject), (subject, found.author)):
            if one[1:33] == self._host.coop:
                self._met.setdefault(one, {}).setdefault(other, set()).add(transfer)
        self._cache.clear()

    def noticed(self, kinds: Iterable[str]) -> None:
        """Be told the kinds of records that came."""
        if "move" in kinds:
            self._moved()

    def gone(self, ids: Iterable[bytes]) -> None:
        """Be told of records that are no longer live."""
        for id in ids:
            known = self._of.pop(id, None)
            if known is None:
                continue
            author, subject, transfer = known
            self._said.discard(known)
            self.reputations.remove(id)
            said = self._texts.get(subject, set())
            said.discard(id)
            if not said:
                self._texts.pop(subject, None)
            self._unmeet(author, subject, transfer)
            self._cache.clear()
        if self._moves and not {move.signed.id for move in self._moves}.isdisjoint(set(ids)):
            self._moved()

    def _unmeet(self, author: bytes, subject: bytes, transfer: bytes) -> None:
        # The other one may have marked the same exchange; then they still met in it.
        if (subject, author, transfer) in self._said:
            return
        for one, other in ((author, subject), (subject, author)):
            transfers = self._met.get(one, {}).get(other)
            if transfers is not None:
                transfers.discard(transfer)

    # --- who is who -----------------------------------------------------------------------------

    def _moved(self) -> None:
        self._moves = None
        self._present.clear()
        self._cache.clear()

    @property
    def moves(self) -> list[Valid]:
        """Return the live moves."""
        if self._moves is None:
            self._moves = list(self._host.store.by_kinds(("move",)))
        return self._moves

    def present(self, author: bytes) -> bytes:
        """Return who an author is today."""
        if not self.moves:
            return author
        known = self._present.get(author)
        if known is None:
            known = self._present[author] = present(author, self.moves)
        return known

    def former(self, author: bytes) -> tuple[bytes, ...]:
        """Return who an author was before."""
        return past(author, self.moves) if self.moves else ()

    # --- asking ---------------------------------------------------------------------------------

    def of(self, author: bytes, now: int) -> Reputation:
        """Return what the marks on somebody come to."""
        known = self._cache.get(author)
        if known is not None and 0 <= now - known[0] < CACHE_S:
            return known[1]
        who = self.present(author)
        found = self.reputations.of(who, now, self.former(who))
        if len(self._cache) >= 10_000:
            self._cache.clear()
        self._cache[author] = (now, found)
        return found

    def about(self, author: bytes) -> list[bytes]:
        """Return the ids of the live attestations on somebody, under all their names."""
        who = self.present(author)
        names = dict.fromkeys((author, who, *self.former(who)))
        return [id for name in names for id in self._texts.get(name, ())]

    def dealings(self, author: bytes) -> Mapping[bytes, int]:
        """Return with whom somebody of this coop had certified exchanges, and how many."""
        who = self.present(author)
        met: dict[bytes, set[bytes]] = {}
        for name in dict.fromkeys((author, who, *self.former(who))):
            for other, transfers in self._met.get(name, {}).items():
                met.setdefault(self.present(other), set()).update(transfers)
        found = {other: len(transfers) for other, transfers in met.items() if transfers}
        for other, count in self._host.dealings(author).items():
            whom = self.present(other)
            found[whom] = max(found.get(whom, 0), count)
        return found

