"""Show matches, notices, marks and relays as the interface tells them."""

from __future__ import annotations

from typing import Any

from maillon.node.api import matching_shapes as shapes
from maillon.node.api.plain import payload_to_json
from maillon.node.engine.reputation import Relation
from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.matching.marks import Marks
from maillon.node.matching.proposing import Proposals
from maillon.node.matching.relays import Relaying
from maillon.node.matching.storage import OUT, NoticeRow, RelayRow
from maillon.node.search.candidates import URGENCIES, thing_of
from maillon.node.search.matching import Match
from maillon.protocol.envelope import Signed, decode_record
from maillon.protocol.errors import MaillonError


class Showing:
    """Make answers of what was found."""

    def __init__(self, host: Host, marks: Marks, relaying: Relaying) -> None:
        self._host = host
        self._marks = marks
        self._relaying = relaying

    # --- proposals ------------------------------------------------------------------------------

    def match(self, match: Match) -> shapes.Match:
        """Show one pair."""
        found = match.candidate
        coop = found.author[1:33]
        return shapes.Match(
            id=found.id.hex(),
            thing=thing_of(found).hex(),
            kind=found.kind,
            author=found.author.hex(),
            coop=coop.hex(),
            coop_name=self._host.coop_name(coop),
            at=found.at,
            until=found.until,
            score=round(match.score, 4),
            parts={name: round(worth, 4) for name, worth in match.parts.items()},
            reasons=list(match.reasons),
            distance_m=None if match.distance is None else round(match.distance * 1000),
            approximate=match.approximate,
            times=[shapes.Span(start, end) for start, end in match.spans[:8]],
            refused=[shapes.RefusedBecause(code.value, words) for code, words in match.refused],
            payload=payload_to_json(found.payload) or {},
        )

    def matches(self, found: Proposals) -> shapes.Matches:
        """Show what fits."""
        return shapes.Matches(
            matches=[self.match(match) for match in found.matches],
            looked_at=found.looked_at,
            left_out=dict(sorted(found.left_out.items())),
            urgency={name: found.urgency[name] for name in URGENCIES if found.urgency},
        )

    # --- notices --------------------------------------------------------------------------------

    def notice(self, row: NoticeRow) -> shapes.Notice | None:
        """Show what somebody was told of; None when it is gone meanwhile."""
        store = self._host.store
        signed = store.get(row.record) if store.live(row.record) else None
        if signed is None or signed.payload is None:
            return None
        fields: Any = signed.payload
        header = signed.header
        demand = header.kind == "demand"
        return shapes.Notice(
            source="record" if len(row.source) == 32 else "search",
            source_id=row.source.hex(),
            record=row.record.hex(),
            thing=row.thing.hex(),
            kind=header.kind,
            title=fields["title"],
            coop=header.coop.hex(),
            coop_name=self._host.coop_name(header.coop),
            urgency=fields.get("urgency", "planned") if demand else "",
            at=row.at,
            until=row.until,
            score=round(row.score, 4),
            seen=row.seen,
        )

    # --- what is said of somebody ---------------------------------------------------------------

    def reputation(
        self, author: bytes, statuses: list[shapes.StatusOut], guarantees: int | None
    ) -> shapes.ReputationOut:
        """Show what is said of somebody: criteria, who said it, and the newest texts."""
        now = self._host.time()
        who = self._marks.present(author)
        found = self._marks.of(who, now)
        return shapes.ReputationOut(
            author=who.hex(),
            coop=who[1:33].hex(),
            coop_name=self._host.coop_name(who[1:33]),
            former=[name.hex() for name in self._marks.former(who)],
            given=found.given,
            weight=round(found.weight, 4),
            score=None if found.newcomer else round(found.score, 4),
            by_relation={
                relation.value: found.by_relation.get(relation, 0) for relation in Relation
            },
            cut=found.cut,
            criteria={
                name: shapes.MarkOut(
                    mean=round(mark.mean, 2),
                    cautious=round(mark.cautious, 2),
                    weight=round(mark.weight, 4),
                    count=mark.count,
                )
                for name, mark in found.criteria.items()
            },
            said=self._said(who),
            statuses=statuses,
            guarantees_open=guarantees,
            complete=self._marks.complete,
        )

    def _said(self, author: bytes) -> list[shapes.SaidOut]:
        store = self._host.store
        live = [store.get(id) for id in self._marks.about(author) if store.live(id)]
        said = sorted(
            (signed for signed in live if signed is not None and signed.payload is not None),
            key=lambda signed: (-signed.header.at, signed.id),
        )
        speakers: set[bytes] = set()
        shown: list[shapes.SaidOut] = []
        for signed in said[: bounds.TEXTS_MAX]:
            by = self._host.author_of(signed)
            if by is None:
                continue
            speaker = self._marks.present(by)
            fields: Any = signed.payload
            unasked = self._host.founding.unasked(fields["criteria"])
            coop = speaker[1:33]
            shown.append(
                shapes.SaidOut(
                    id=signed.id.hex(),
                    author=by.hex(),
                    coop=coop.hex(),
                    coop_name=self._host.coop_name(coop),
                    relation=self._marks.reputations.relation(coop).value,
                    criteria={n: m for n, m in fields["criteria"].items() if n not in unasked},
                    unasked=unasked,
                    text=fields.get("text", ""),
                    lang=fields["lang"],
                    at=signed.header.at,
                    counts=speaker not in speakers and speaker != author,
                    replies=self._replies(signed),
                )
            )
            speakers.add(speaker)
        return shown

    def _replies(self, attestation: Signed) -> list[shapes.ReplyOut]:
        shown: list[shapes.ReplyOut] = []
        for id, header in self._host.store.referring(attestation.id):
            reply = self._host.store.get(id) if header.kind == "reply" else None
            if reply is None or reply.payload is None or not self._host.store.live(id):
                continue
            fields: Any = reply.payload
            shown.append(shapes.ReplyOut(fields["text"], fields["lang"], header.at))
        return shown

    # --- relays ---------------------------------------------------------------------------------

    def relay(self, row: RelayRow) -> shapes.Relay:
        """Show a request to a relay."""
        demand = self._host.store.get(row.demand)
        fields: Any = {} if demand is None else demand.payload or {}
        return shapes.Relay(
            id=row.id.hex(),
            way=row.way,
            coop=row.coop.hex(),
            coop_name=self._host.coop_name(row.coop),
            demand=row.demand.hex(),
            title=fields.get("title", ""),
            urgency=fields.get("urgency", "planned") if fields else "",
            asked_at=row.asked_at,
            deadline=row.deadline,
            status=row.status,
            answered_at=row.answered_at,
            late=row.late,
            agreed=row.way == OUT or self._relaying.agreed(row.coop),
            text=_text(row.request),
            answer=_text(row.answer),
        )




def _text(record: bytes) -> str:
    """Return what is said in a request or an answer."""
    if not record:
        return ""
    try:
        fields: Any = decode_record(record).payload
    except MaillonError:
        return ""
    return str(fields.get("text", "")) if fields else ""


