"""Keep saved searches, and compare what is published with them.

A saved search is on this node only: sealed in matching.db, never gossiped, never logged. In memory
it is a few sets of index words, so that a new record is compared with thousands of them without a
search being made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from maillon.node.api import matching_shapes as shapes
from maillon.node.api.service import SearchOptions
from maillon.node.i18n import _
from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.matching.storage import MatchingDisk, SearchRow
from maillon.node.search.candidates import Candidates, header_of
from maillon.node.search.documents import tokens_of
from maillon.node.search.matching import Candidate
from maillon.node.search.watching import Watch
from maillon.protocol.errors import LocalError, MaillonError

ID_BYTES = 16


class TooMany(LocalError):
    """There is no room for another saved search."""

    code = "quota"


class NoSuchSearch(LocalError):
    """Nobody saved a search of this id."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a saved search is sealed as."""

    name: str
    query: shapes.SavedQuery


@dataclass(frozen=True, slots=True)
class Fits:
    """A saved search that a record fits."""

    id: bytes
    author: bytes


class Saving:
    """The saved searches of people here."""

    def __init__(self, host: Host, disk: MatchingDisk, records: Candidates) -> None:
        self._host = host
        self._disk = disk
        self._records = records
        self._watches: dict[bytes, tuple[bytes, Watch]] | None = None
        self._number = -1

    # --- keeping --------------------------------------------------------------------------------

    def save(self, author: bytes, name: str, query: shapes.SavedQuery) -> SearchRow:
        """Keep a search. Raises: TooMany, SearchError, NoSuchCoop."""
        # What cannot be searched is refused now, not when nothing is ever found.
        read = self._host.query(options_of(query))
        read.check()
        if len(self._disk.searches(author)) >= bounds.SEARCHES_PER_PERSON_MAX:
            raise TooMany(
                _("Somebody keeps at most {n} searches.").format(n=bounds.SEARCHES_PER_PERSON_MAX),
                hint=_("Delete one of them first."),
            )
        if self._disk.count_searches() >= bounds.SEARCHES_MAX:
            raise TooMany(_("This node keeps as many searches as it can."))
        id = self._host.random(ID_BYTES)
        plain = msgspec.json.encode(Kept(name, query))
        if len(plain) > bounds.SEARCH_BYTES_MAX:
            raise TooMany(_("This search is too long to be kept."))
        now = self._host.time()
        row = SearchRow(id, author, self._host.register.seal(plain, id), now, now)
        self._disk.add_search(row)
        self._watch(row)
        return row

    def of(self, author: bytes) -> list[SearchRow]:
        """Return somebody's saved searches."""
        return self._disk.searches(author)

    def find(self, id: str) -> SearchRow:
        """Return the saved search of an id. Raises: NoSuchSearch."""
        for row in self._disk.searches():
            if row.id.hex() == id:
                return row
        raise NoSuchSearch(_("Nobody saved a search {id}.").format(id=id[:32]))

    def open(self, row: SearchRow) -> Kept:
        """Read a saved search."""
        return msgspec.json.decode(self._host.register.unseal(row.sealed, row.id), type=Kept)

    def drop(self, row: SearchRow) -> None:
        """Erase a saved search."""
        self._disk.drop_search(row.id)
        if self._watches is not None:
            self._watches.pop(row.id, None)

    def forgotten(self) -> None:
        """Be told that searches were erased."""
        self._watches = None

    # --- watching -------------------------------------------------------------------------------

    def _watch(self, row: SearchRow) -> None:
        vocabulary, number = self._host.vocabulary()
        if self._watches is None or number != self._number:
            return
        try:
            query = self._host.query(options_of(self.open(row).query))
            self._watches[row.id] = row.author, Watch(query, vocabulary, self._host.language)
        except MaillonError as fault:
            # A coop of that name may be gone; the search itself stays, and says so when looked at.
            self._host.fault("saved search", fault.code)

    def fitting(self, candidate: Candidate) -> Iterator[Fits | None]:
        """Yield the saved searches that a new record fits; None now and then, for a pause."""
        _vocabulary, number = self._host.vocabulary()
        if self._watches is None or number != self._number:
            self._watches, self._number = {}, number
            for place, row in enumerate(self._disk.searches(), start=1):
                self._watch(row)
                if place % bounds.WATCH_SLICE == 0:
                    yield None
        if not self._watches:
            return
        tokens = frozenset(tokens_of(header_of(candidate), candidate.payload).split())
        now = self._host.time()
        for place, (id, (author, watch)) in enumerate(list(self._watches.items()), start=1):
            if candidate.author != author and watch.meets(
                tokens, candidate.payload, candidate.at, now
            ):
                yield Fits(id, author)
            if place % bounds.WATCH_SLICE == 0:
                yield None


def options_of(query: shapes.SavedQuery, *, limit: int = 20) -> SearchOptions:
    """Return what a saved search asks of the index, the newest first."""
    point = None if query.lat is None or query.lon is None else (query.lat, query.lon)
    return SearchOptions(
        words=query.q,
        kinds=query.kind,
        categories=query.category,
        modes=query.mode,
        coops=query.coop,
        all_categories=query.all_categories,
        audience=query.audience,
        languages=query.language,
        languages_only=query.language_only,
        access=query.access,
        provider_statuses=query.provider_status,
        verified=query.verified,
        urgency=query.urgency,
        point=point,
        radius_km=query.km,
        remote_too=query.remote,
        start=query.start,
        end=query.end,
        order="newest",
        limit=limit,
    )
