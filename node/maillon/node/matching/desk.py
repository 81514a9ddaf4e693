"""Answer what people ask about matching through the interface."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

from maillon.node.api import matching_shapes as shapes
from maillon.node.api import shapes as common
from maillon.node.api.caller import Caller, Forbidden, NotSignedIn
from maillon.node.api.matching_service import CountOptions, MatchOptions, RelayOptions
from maillon.node.api.service import SearchOptions
from maillon.node.i18n import _
from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.matching.marks import Marks
from maillon.node.matching.noticing import Noticing
from maillon.node.matching.openings import Keeping, read_hash
from maillon.node.matching.proposing import Proposing
from maillon.node.matching.relays import Relaying
from maillon.node.matching.saving import Kept, Saving, options_of
from maillon.node.matching.showing import Showing
from maillon.node.matching.storage import (
    ASKED,
    MISSED,
    OUT,
    REFUSED,
    TAKEN,
    MatchingDisk,
    RelayRow,
    SearchRow,
)
from maillon.node.search.candidates import URGENCIES, Candidates
from maillon.node.search.documents import SEARCHED_KINDS, code_word
from maillon.node.search.expression import any_of
from maillon.node.search.matching import Candidate, Wish
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import LocalError
from maillon.protocol.view import coop_author, person_author

YEAR_S = 365 * 86_400
STATUSES_MAX = 64
"""Offers of a provider that are read for what they say the provider is."""
COOP = "coop"
"""As a person: the coop itself, for its desk."""


class NotMatched(LocalError):
    """What was named is nothing that fits anything."""

    code = "usage"


class Desk:
    """Implements api.matching_service.MatchingService."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.disk = MatchingDisk(host.home)
        try:
            self.records = Candidates(host.records)
        except BaseException:
            self.disk.close()
            raise
        self.marks = Marks(host, self.records)
        self.proposing = Proposing(host, self.records, self.marks)
        self.relaying = Relaying(host, self.disk)
        self.saving = Saving(host, self.disk, self.records)
        self.opening = Keeping(host, self.disk)
        self.noticing = Noticing(
            host, self.disk, self.records, self.proposing, self.saving, self.relaying
        )
        self.showing = Showing(host, self.marks, self.relaying)

    def close(self) -> None:
        """Close the databases."""
        self.records.close()
        self.disk.close()

    def now(self) -> int:
        """Return the time in Unix seconds."""
        return self._host.time()

    def kept_of(self, author: bytes) -> dict[str, Any]:
        """Return all that is kept of somebody, as JSON can carry it."""
        return {
            "searches": [msgspec.to_builtins(self._shown(row)) for row in self.saving.of(author)],
            "notices": [
                {"record": row.record.hex(), "source": row.source.hex(), "at": row.at}
                for row in self.disk.notices(author, limit=bounds.NOTICES_PER_PERSON_MAX)
            ],
            # What opens them is no secret from whoever made them, and from nobody else a secret
            # once they have it.
            "sealed_bids": [
                msgspec.to_builtins(self.opening.shown(row)) for row in self.opening.of(author)
            ],
        }

    # --- who ------------------------------------------------------------------------------------

    def _whose(self, person: str, caller: Caller) -> bytes:
        """Return the author whose affairs are meant. Raises: NotFound, Forbidden, NotSignedIn."""
        if person == COOP:
            caller.require("desk")
            return coop_author(self._host.coop)
        if person and caller.may("desk"):
            found = self._host.register.find_person(person)
            return person_author(self._host.coop, found.id)
        if person:
            # Whether there is somebody else of this name is the desk's affair.
            for author in (caller.author, *sorted(caller.mandated())):
                if author is not None and author[33:].hex().startswith(person):
                    return author
            raise NotSignedIn(_("Sign in first.")) if caller.kind == "public" else Forbidden(
                _("You act for somebody who has not let you.")
            )
        if caller.author is None:
            raise NotMatched(
                _("Say for whom."), hint=_("With person: the beginning of somebody's id.")
            )
        return caller.author

    def _viewer(self, author: bytes | None, caller: Caller) -> bytes:
        """Return through whose eyes one looks: dealings are nobody else's affair."""
        if author is not None and author[:1] == b"p" and caller.may_act_for(author):
            return author
        return b""

    def _author(self, text: str) -> bytes:
        try:
            author = bytes.fromhex(text)
        except ValueError:
            author = b""
        if (author[:1], len(author)) not in ((b"p", 49), (b"c", 33)):
            raise NotMatched(
                _("That is no person or coop of the federation."),
                hint=_("As records name authors: p, coop, person, or c, coop, in hexadecimal."),
            )
        return author

    # --- proposals ------------------------------------------------------------------------------

    def _live(self, id: str) -> tuple[Signed, bytes]:
        signed = self._host.find_record(id)
        author = self._host.author_of(signed)
        if (
            signed.header.kind not in SEARCHED_KINDS
            or signed.payload is None
            or author is None
            or not self._host.store.live(signed.id)
        ):
            raise NotMatched(_("Only offers and demands that still stand are matched."))
        return signed, author

    def _wish(self, signed: Signed, author: bytes) -> Wish:
        payload: Any = signed.payload
        return self.proposing.wish(signed.header.kind, payload, author, signed.header.until)

    def matches(self, id: str, options: MatchOptions, caller: Caller) -> shapes.Matches:
        signed, author = self._live(id)
        self._host.index()
        return self.showing.matches(
            self.proposing.propose(
                self._wish(signed, author),
                limit=options.limit,
                viewer=self._viewer(author, caller),
                close=options.close,
                urgency=options.urgency,
            )
        )

    def why_not(self, id: str, other: str, caller: Caller) -> shapes.Match:
        signed, author = self._live(id)
        against, whose = self._live(other)
        header, payload = against.header, against.payload
        assert payload is not None, "what is live has its payload"
        candidate = Candidate(
            0, against.id, header.kind, whose, against.header.encode() + bytes(64), header.at,
            header.until, payload,
        )  # fmt: skip
        wish = self._wish(signed, author)
        viewer = self._viewer(author, caller)
        return self.showing.match(self.proposing.compare(wish, candidate, viewer))

    def draft_matches(self, request: shapes.DraftRequest, caller: Caller) -> shapes.DraftMatches:
        payload = self._host.fields_of(request.kind, request.payload)
        author = b""
        if request.person is not None or caller.author is not None:
            author = self._whose(request.person or "", caller)
        now = self._host.time()
        self._host.index()
        wish = self.proposing.wish(request.kind, payload, author, now + YEAR_S)
        viewer = self._viewer(author, caller) if author else b""
        return shapes.DraftMatches(
            matches=self.showing.matches(
                self.proposing.propose(wish, limit=request.limit, viewer=viewer)
            ),
            close=self.showing.matches(
                self.proposing.propose(wish, limit=request.limit, viewer=viewer, close=True)
            ),
        )

    # --- saved searches -------------------------------------------------------------------------

    def searches(self, person: str, caller: Caller) -> shapes.SavedSearches:
        author = self._whose(person, caller)
        return shapes.SavedSearches([self._shown(row) for row in self.saving.of(author)])

    def save(self, request: shapes.SearchRequest, caller: Caller) -> shapes.SavedSearch:
        author = self._whose(request.person or "", caller)
        return self._shown(self.saving.save(author, request.name, request.query))

    def _shown(self, row: SearchRow, kept: Kept | None = None) -> shapes.SavedSearch:
        found = kept or self.saving.open(row)
        return shapes.SavedSearch(
            id=row.id.hex(),
            name=found.name,
            query=found.query,
            made_at=row.made_at,
            seen_at=row.seen_at,
            new=self.disk.count_notices(row.author, row.id),
        )

    def _found(self, id: str, caller: Caller) -> SearchRow:
        row = self.saving.find(id)
        caller.require_author(row.author)
        return row

    def look(self, id: str, limit: int, caller: Caller) -> shapes.Looked:
        row = self._found(id, caller)
        kept = self.saving.open(row)
        hits = self._host.search(options_of(kept.query, limit=limit)).hits
        unseen = {
            notice.record.hex()
            for notice in self.disk.notices(row.author, unseen=True, limit=1_000)
            if notice.source == row.id
        }
        shown = self._shown(row, kept)
        self.disk.looked(row.id, self._host.time())
        self.disk.seen(row.author, row.id)
        return shapes.Looked(shown, [_found_hit(hit, hit.id in unseen) for hit in hits])

    def forget_search(self, id: str, caller: Caller) -> shapes.SavedSearches:
        row = self._found(id, caller)
        self.saving.drop(row)
        return shapes.SavedSearches([self._shown(left) for left in self.saving.of(row.author)])

    # --- notices --------------------------------------------------------------------------------

    def notices(self, person: str, unseen: bool, limit: int, caller: Caller) -> shapes.Notices:
        author = self._whose(person, caller)
        rows = self.disk.notices(author, unseen=unseen, limit=limit)
        shown = [notice for row in rows if (notice := self.showing.notice(row)) is not None]
        return shapes.Notices(
            notices=shown,
            unseen=sum(not notice.seen for notice in shown),
            urgency={
                name: sum(notice.urgency == name for notice in shown) for name in URGENCIES
            },
        )

    def seen(self, request: shapes.SeenRequest, caller: Caller) -> shapes.Seen:
        author = self._whose(request.person or "", caller)
        return shapes.Seen(self.disk.seen(author, bytes.fromhex(request.source)))

    # --- what is said of somebody ---------------------------------------------------------------

    def reputation(self, author: str, caller: Caller) -> shapes.ReputationOut:
        who = self._author(author)
        private = caller.kind != "public" and caller.may_act_for(who)
        guarantees = self._host.guarantees(who) if private else None
        return self.showing.reputation(who, self._statuses(self.marks.present(who)), guarantees)

    def _statuses(self, author: bytes) -> list[shapes.StatusOut]:
        """Return what a provider is, as its coop says in the membership and as offers say."""
        said: list[tuple[str, str, bytes]] = []
        for info in self._host.view.keys_of(author) if author[:1] == b"p" else ():
            if info.provider_status is not None and info.status == "active":
                by = info.verified_by or b""
                said.append((info.provider_status, "approved" if by else "self_declared", by))
        for offer in self.records.of_author(author, "offer", STATUSES_MAX):
            fields: Any = offer.payload
            verified = fields.get("verified", {"kind": "none", "by": b""})
            if "provider_status" in fields:
                said.append((fields["provider_status"], verified["kind"], verified["by"]))
        return [
            shapes.StatusOut(
                status=status,
                verified=kind,
                verified_by=by.hex(),
                verified_by_name=self._host.coop_name(by) if by else "",
            )
            for status, kind, by in dict.fromkeys(said)
        ]

    # --- what opens sealed bids and lots --------------------------------------------------------

    def openings(self, person: str, hashes: Sequence[str], caller: Caller) -> shapes.Openings:
        if hashes:
            rows = [row for text in hashes if (row := self.opening.find(bytes.fromhex(text)))]
        else:
            rows = self.opening.of(self._whose(person, caller))
        mine = [row for row in rows if caller.may_act_for(row.author)]
        return shapes.Openings([self.opening.shown(row) for row in mine])

    def keep_opening(self, request: shapes.OpeningRequest, caller: Caller) -> shapes.Opening:
        author = self._whose(request.person or "", caller)
        return self.opening.shown(self.opening.keep(author, request))

    def forget_opening(self, hash: str, caller: Caller) -> shapes.Forgotten:
        row = self.opening.find(read_hash(hash))
        if row is None:
            return shapes.Forgotten(0)
        caller.require_author(row.author)
        return shapes.Forgotten(self.disk.drop_opening(row.hash))

    # --- counts ---------------------------------------------------------------------------------

    def counts(self, options: CountOptions) -> shapes.DemandCounts:
        self._host.index()
        vocabulary, _number = self._host.vocabulary()
        clauses = [any_of(["k:demand"])]
        if options.categories:
            codes = vocabulary.below(options.categories)
            clauses.append(any_of(code_word("c", code) for code in codes))
        if options.coops:
            query = self._host.query(SearchOptions(coops=tuple(options.coops)))
            clauses.append(any_of("g:" + coop[:6].hex() for coop in query.coops))
        counted = {
            urgency: self.records.count([*clauses, any_of([code_word("u", urgency)])])
            for urgency in URGENCIES
        }
        asked = self.disk.count_by_status(OUT)
        relayed = {status: asked.get(status, 0) for status in (ASKED, TAKEN, REFUSED, MISSED)}
        return shapes.DemandCounts(**counted, relayed=relayed)

    # --- relays ---------------------------------------------------------------------------------

    def relays(self, options: RelayOptions) -> shapes.Relays:
        rows = self.disk.relays(way=options.way, status=options.status, limit=options.limit)
        return shapes.Relays([self.showing.relay(row) for row in rows])

    def relay(self, request: shapes.RelayRequest) -> shapes.Relay:
        signed, author = self._live(request.demand)
        if signed.header.kind != "demand" or signed.header.coop != self._host.coop:
            raise NotMatched(_("Only demands of the own coop are handed to its relay."))
        return self.showing.relay(self.relaying.ask(signed, author, request.text))

    def answer_relay(self, id: str, request: shapes.RelayAnswer) -> shapes.Relay:
        row = self.relaying.find(id)
        done = self.relaying.answer(row, taken=request.taken, text=request.text)
        return self.showing.relay(done)

    def relay_report(self, start: int, end: int) -> shapes.RelayReport:
        rows: dict[tuple[str, bytes], list[RelayRow]] = {}
        for row in self.disk.relays(since=start, until=end, limit=bounds.RELAYS_MAX):
            rows.setdefault((row.way, row.coop), []).append(row)
        figures = [self._figures(way, coop, found) for (way, coop), found in sorted(rows.items())]
        return shapes.RelayReport(start, end, figures)

    def _figures(self, way: str, coop: bytes, rows: list[RelayRow]) -> shapes.RelayFigures:
        times = [row.answered_at - row.asked_at for row in rows if row.answered_at is not None]
        settled = [row for row in rows if row.status != ASKED]
        kept = sum(row.status in (TAKEN, REFUSED) and not row.late for row in settled)
        return shapes.RelayFigures(
            coop=coop.hex(),
            coop_name=self._host.coop_name(coop),
            way=way,
            asked=len(rows),
            taken=sum(row.status == TAKEN for row in rows),
            refused=sum(row.status == REFUSED for row in rows),
            missed=sum(row.status == MISSED for row in rows),
            late=sum(row.late and row.status != MISSED for row in rows),
            waiting=len(rows) - len(settled),
            in_time_percent=round(100 * kept / len(settled), 1) if settled else None,
            median_s=int(median(times)) if times else None,
            longest_s=max(times, default=None),
        )


def _found_hit(hit: common.Hit, new: bool) -> shapes.Found:
    return shapes.Found(
        id=hit.id,
        kind=hit.kind,
        coop=hit.coop,
        coop_name=hit.coop_name,
        at=hit.at,
        until=hit.until,
        new=new,
        reasons=hit.reasons,
        payload=hit.payload,
    )
