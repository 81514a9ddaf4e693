"""Tell people of what is published and fits: their saved searches, and their own records.

Records are looked at in the order of arrival, and how far that went is kept: what arrives while the
node is busy, or before it was killed, is told all the same, and once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.matching.proposing import Proposing, urgency_of
from maillon.node.matching.relays import Relaying
from maillon.node.matching.saving import Saving
from maillon.node.matching.storage import MatchingDisk, NoticeRow
from maillon.node.search.candidates import BEFORE_ALL, Candidates, thing_of
from maillon.node.search.matching import PROPOSED_FROM, Candidate

LOOKED: Final = "looked"
COOP_AUTHOR: Final = b"c"


class Noticing:
    """Look at new records, and keep notices for those whom they concern."""

    def __init__(
        self,
        host: Host,
        disk: MatchingDisk,
        records: Candidates,
        proposing: Proposing,
        saving: Saving,
        relaying: Relaying,
    ) -> None:
        self._host = host
        self._disk = disk
        self._records = records
        self._proposing = proposing
        self._saving = saving
        self._relaying = relaying
        self._told = False
        self._at: int | None = None

    def begin(self) -> None:
        """Begin with what arrives from now on, where nothing was looked at yet."""
        top, looked = self._records.top(), self._disk.fact(LOOKED)
        if looked is None or looked > top:
            self._disk.set_fact(LOOKED, top)
        self._at = None

    def _looked(self) -> int:
        looked = self._disk.fact(LOOKED)
        return BEFORE_ALL if looked is None else looked

    def _keep(self, place: int, written: int) -> int:
        """Write down how far one is, where looking again would cost much or tell anew."""
        if not self._told and place - written < bounds.KEEP_PLACE:
            return written
        self._disk.set_fact(LOOKED, place)
        self._told = False
        return place

    def look(self) -> Iterator[bool]:
        """Look at the records that arrived; yield after each piece of work, True while it goes on.

        After many at once it waits until all are indexed: nothing would be found for the others.
        """
        self._host.index()
        written = self._looked()
        place = written if self._at is None else self._at
        while not self._host.unindexed():
            found, following = self._records.arrived(place, bounds.ARRIVALS_BATCH)
            if following == place:
                break
            for candidate in found:
                now = self._host.time()
                if candidate.until > now and now - candidate.at < bounds.NEWS_S:
                    yield from self._look_at(candidate)
            self._at = place = following
            written = self._keep(place, written)
            yield True
        yield False

    def _look_at(self, candidate: Candidate) -> Iterator[bool]:
        for fits in self._saving.fitting(candidate):
            if fits is None:
                yield True
                continue
            self._tell(fits.author, fits.id, candidate, 0.0, "found")
        own = candidate.author[1:33] == self._host.coop
        if own and candidate.kind == "demand":
            self._relaying.published(candidate)
        if "source" not in candidate.payload:
            # Open data arrives by the thousand, of people who will read no notice; it is proposed
            # like everything else to whoever looks, and to those who wait for it here.
            self._propose(candidate, own=own)
        yield True

    def _propose(self, candidate: Candidate, *, own: bool) -> None:
        """Tell those here whose records a new one fits, and its author what fits it."""
        wanted = "offer" if candidate.kind == "demand" else "demand"
        if not own and not self._records.any_of_coop(self._host.coop, wanted):
            return
        wish = self._proposing.wish(
            candidate.kind, candidate.payload, candidate.author, candidate.until
        )
        waiting = self._proposing.propose(
            wish, limit=bounds.PROPOSED_MAX, coop=self._host.coop
        ).matches
        for match in waiting:
            if match.subject >= PROPOSED_FROM:
                source = thing_of(match.candidate)
                self._tell(match.candidate.author, source, candidate, match.score, "proposed")
        if not own:
            return
        found = self._proposing.propose(
            wish, limit=bounds.PROPOSED_MAX, viewer=candidate.author
        ).matches
        for match in found:
            if match.subject >= PROPOSED_FROM:
                source = thing_of(candidate)
                self._tell(candidate.author, source, match.candidate, match.score, "proposed")

    def _tell(
        self, author: bytes, source: bytes, candidate: Candidate, score: float, kind: str
    ) -> None:
        now = self._host.time()
        row = NoticeRow(
            author,
            source,
            thing_of(candidate),
            candidate.id,
            now,
            candidate.until,
            score,
            False,
        )
        if not self._disk.add_notice(row):
            return
        self._told = True
        facts = {
            "record": candidate.id,
            "thing": row.thing,
            "kind": candidate.kind,
            "search" if kind == "found" else "for": source,
        }
        if candidate.kind == "demand":
            facts["urgency"] = urgency_of(candidate)
        # What concerns the coop itself is for its desk.
        self._host.happened(None if author[:1] == COOP_AUTHOR else author, kind, facts)
