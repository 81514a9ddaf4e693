"""Propose what fits an offer or a demand, and say why the rest does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.matching.marks import Marks
from maillon.node.search.candidates import URGENCIES, Candidates
from maillon.node.search.matching import (
    Candidate,
    Known,
    Match,
    Wish,
    complete,
    order,
    weigh,
)
from maillon.node.search.timefit import Busy
from maillon.protocol.envelope import Signed
from maillon.protocol.records.kind import derived_series


@dataclass(slots=True)
class Proposals:
    """What fits, best first. `looked_at` were compared, `left_out` counts why others cannot be."""

    matches: list[Match] = field(default_factory=list[Match])
    looked_at: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    urgency: Counter[str] = field(default_factory=Counter[str])


class Proposing:
    """Find and weigh counterparts."""

    def __init__(self, host: Host, records: Candidates, marks: Marks) -> None:
        self._host = host
        self._records = records
        self._marks = marks

    def wish(
        self, kind: str, payload: Mapping[str, Any], author: bytes, until: int, *, at: int = 0
    ) -> Wish:
        """Read an offer or demand as something that counterparts are looked for."""
        vocabulary, _number = self._host.vocabulary()
        return Wish(
            kind,
            payload,
            vocabulary,
            now=at or self._host.time(),
            until=until,
            author=author,
            language=self._host.language,
            busy=self.busy(author) if kind == "offer" and author else None,
        )

    def propose(
        self,
        wish: Wish,
        *,
        limit: int,
        viewer: bytes = b"",
        close: bool = False,
        coop: bytes = b"",
        urgency: Sequence[str] = (),
    ) -> Proposals:
        """Return what fits a wish, seen by a person here (`viewer`), at most `limit`.

        `close` compares with records of the wish's own kind; `coop` looks at one coop's only.
        """
        made = Proposals()
        able: list[Match] = []
        kind = wish.kind if close else wish.wanted
        for candidate in self._records.for_wish(wish, kind=kind, coop=coop):
            if urgency and urgency_of(candidate) not in urgency:
                continue
            made.looked_at += 1
            match = weigh(wish, candidate, same_kind=close, explain=False)
            if self._same(wish.author, candidate.author):
                made.left_out["own"] += 1
            elif match.refused:
                made.left_out[match.refused[0][0].value] += 1
            else:
                able.append(match)
        able.sort(key=order)
        dealings: Mapping[bytes, int] = self._marks.dealings(viewer) if viewer else {}
        kept: list[Match] = []
        for rough in able[: bounds.JUDGED_MAX]:
            match = weigh(wish, rough.candidate, same_kind=close)
            complete(wish, match, self.known(wish, match.candidate, dealings), same_kind=close)
            if match.refused:
                made.left_out[match.refused[0][0].value] += 1
            else:
                kept.append(match)
        if kind == "demand":
            rest = able[bounds.JUDGED_MAX :]
            made.urgency.update(urgency_of(match.candidate) for match in (*kept, *rest))
        made.matches = sorted(kept, key=order)[:limit]
        return made

    def compare(self, wish: Wish, candidate: Candidate, viewer: bytes = b"") -> Match:
        """Weigh one pair, with all that speaks against it."""
        close = candidate.kind == wish.kind
        match = weigh(wish, candidate, same_kind=close)
        dealings: Mapping[bytes, int] = self._marks.dealings(viewer) if viewer else {}
        return complete(wish, match, self.known(wish, candidate, dealings), same_kind=close)

    def _same(self, one: bytes, other: bytes) -> bool:
        return bool(one) and self._marks.present(one) == self._marks.present(other)

    def known(self, wish: Wish, candidate: Candidate, dealings: Mapping[bytes, int]) -> Known:
        """Return what is known of whoever published a candidate."""
        author = candidate.author
        return Known(
            reputation=self._marks.of(author, wish.now),
            dealings=dealings.get(self._marks.present(author), 0),
            busy=self.busy(author) if candidate.kind == "offer" else None,
        )

    def busy(self, author: bytes) -> Busy | None:
        """Return when an author says to be taken."""
        record = self.one_of("freebusy", author)
        if record is None or record.payload is None:
            return None
        fields: Any = record.payload
        spans = tuple((start, end) for start, end in fields["busy"])
        return Busy(spans, int(fields["until"]))

    def one_of(self, kind: str, author: bytes) -> Signed | None:
        """Return the live record of a kind of which each author has one."""
        head = self._host.store.head(author, derived_series(kind, b""))
        if head is None or head.kind != kind or head.until < self._host.time():
            return None
        return self._host.store.get(head.id) if self._host.store.live(head.id) else None


def urgency_of(candidate: Candidate) -> str:
    """Return the urgency of a demand, "" for an offer."""
    if candidate.kind != "demand":
        return ""
    urgency = str(candidate.payload.get("urgency", "planned"))
    return urgency if urgency in URGENCIES else "planned"
