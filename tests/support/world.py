"""Make whole federations out of a label: keys, founding, members and signed records.

Everything is derived from the world's seed and the names given, so two runs make the same bytes and
no test needs randomness of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Draft, Signed, draft, sign
from maillon.protocol.founding import (
    Criterion,
    Founding,
    FoundingCoop,
    FoundingFile,
    Unit,
)
from maillon.protocol.ids import CoopId, PersonId
from maillon.protocol.keys import SealingKey, SigningKey, coop_id
from maillon.protocol.records import DAY_S, build, thing_id
from maillon.protocol.view import coop_author, person_author

NOW = 1_700_000_000
"""The worlds' clock unless told otherwise: 14 November 2023, 22:13:20 UTC."""

PLACE: Mapping[str, Any] = {"cell": "871f93759ffffff", "city": "Die", "insee": "26113"}


@dataclass(frozen=True)
class Coop:
    """A coop with its keys."""

    name: str
    root: SigningKey
    node: SigningKey
    founder: bool

    @property
    def id(self) -> CoopId:
        return coop_id(self.root.public)

    @property
    def author(self) -> bytes:
        return coop_author(self.id)


@dataclass(frozen=True)
class Member:
    """One key of one person of a coop."""

    coop: Coop
    name: str
    person: PersonId
    key: SigningKey
    sealing: SealingKey

    @property
    def author(self) -> bytes:
        return person_author(self.coop.id, self.person)


@dataclass
class World:
    """A federation of `coops` founding coops, at the time `now`.

    `salt(label)` and friends are derived from `seed`; `count` makes successive records differ.
    """

    coops_count: int = 3
    seed: str = "world"
    now: int = NOW
    quorum: int = 2
    count: int = 0
    coops: list[Coop] = field(default_factory=list[Coop])
    founding: Founding = field(init=False)
    file: FoundingFile = field(init=False)

    def __post_init__(self) -> None:
        for place in range(self.coops_count):
            self.coops.append(self.make_coop(f"coop {place}", founder=True))
        self.founding = Founding(
            f"Federation of {self.seed}",
            self.derive("federation", 16),
            self.now - 30 * DAY_S,
            tuple(
                FoundingCoop(
                    c.root.public,
                    c.node.public,
                    c.name,
                    (f"/ip4/192.0.2.{place + 1}/tcp/4001",),
                )
                for place, c in enumerate(self.coops)
            ),
            min(self.quorum, self.coops_count),
            (Unit("heure", "hours", 0, "heure"), Unit("graine", "credit", 2, "graine")),
            (Criterion("politeness", {"en": "Kindness", "fr": "Amabilité"}),),
            ("fr", "en"),
        )
        self.file = FoundingFile.unsigned(self.founding)
        for coop in self.coops:
            self.file = self.file.sign(coop.root)

    # --- bytes and keys ---

    def derive(self, label: str, size: int) -> bytes:
        """Return bytes that depend on the seed and the label only."""
        return hashlib.shake_256(f"{self.seed}\0{label}".encode()).digest(size)

    def fresh(self, size: int = 16) -> bytes:
        """Return bytes that differ at each call, and are the same in each run."""
        self.count += 1
        return self.derive(f"fresh {self.count}", size)

    def key(self, label: str) -> SigningKey:
        return SigningKey.from_seed(self.derive(f"key {label}", 32))

    def make_coop(self, name: str, *, founder: bool = False) -> Coop:
        """Make keys for a coop; a stranger to the federation unless it is admitted."""
        return Coop(name, self.key(f"{name} root"), self.key(f"{name} node"), founder)

    def make_member(
        self, coop: int | Coop, name: str, *, person: str | None = None, key: str | None = None
    ) -> Member:
        """Make keys for a person. Same `person`, other `name`: another device of that person."""
        where = self.coops[coop] if isinstance(coop, int) else coop
        label = f"{where.name}/{name}"
        return Member(
            where,
            name,
            PersonId(self.derive(f"person {where.name}/{person or name}", 16)),
            self.key(key or label),
            SealingKey.from_seed(self.derive(f"sealing {label}", 32)),
        )

    # --- records ---

    def draft(
        self,
        kind: str,
        payload: dict[str, Value],
        *,
        coop: Coop,
        by: SigningKey,
        at: int | None = None,
        until: int | None = None,
        series: bytes | None = None,
        rev: int = 0,
        as_: bytes = b"",
        refs: Iterable[bytes] = (),
        days: int = 30,
        fed: bytes | None = None,
    ) -> Draft:
        """Draft any record; `payload` is taken as it is."""
        when = self.now if at is None else at
        return draft(
            kind,
            payload,
            fed=self.founding.fed if fed is None else fed,
            coop=coop.id,
            by=by.public,
            at=when,
            until=when + days * DAY_S if until is None else until,
            series=self.fresh() if series is None else series,
            rev=rev,
            as_=as_,
            refs=refs,
        )

    def record(
        self, kind: str, payload: dict[str, Value], *, coop: Coop, by: SigningKey, **header: Any
    ) -> Signed:
        """Sign any record; `payload` is taken as it is."""
        return sign(self.draft(kind, payload, coop=coop, by=by, **header), by)

    def profile(
        self, coop: int | Coop, *, node: SigningKey | None = None, rev: int = 0,
        days: int = 1_000, at: int | None = None, until: int | None = None, **fields: Any
    ) -> Signed:  # fmt: skip
        """Make a coop's profile; `node` is its new node key, with `previous` among `fields`."""
        where = self.coops[coop] if isinstance(coop, int) else coop
        given = {
            "name": where.name,
            "node_key": (node or where.node).public,
            "addresses": ["/ip4/192.0.2.1/tcp/4001"],
            "languages": ["fr"],
            "lang": "fr",
            **fields,
        }
        when = self.now - 20 * DAY_S if at is None else at
        return self.record(
            "coop_profile", build("coop_profile", salt=self.fresh(), **given),
            coop=where, by=where.root, at=when, rev=rev, days=days, until=until,
        )  # fmt: skip

    def admission(
        self, by: int | Coop, admitted: Coop, *, rev: int = 0, days: int = 1_000,
        at: int | None = None, until: int | None = None
    ) -> Signed:  # fmt: skip
        """Make a founding coop's admission of another coop."""
        where = self.coops[by] if isinstance(by, int) else by
        payload = build(
            "admission",
            salt=self.fresh(),
            root=admitted.root.public,
            name=admitted.name,
            node_key=admitted.node.public,
        )
        when = self.now - 19 * DAY_S if at is None else at
        latest = self.now - 20 * DAY_S + 1_000 * DAY_S  # that of `profile`
        end = min(when + days * DAY_S, latest) if until is None else until
        return self.record(
            "admission", payload, coop=where, by=where.node, at=when, rev=rev, until=end
        )

    def membership(
        self, member: Member, *, by: SigningKey | None = None, rev: int = 0, days: int = 700,
        at: int | None = None, until: int | None = None, **fields: Any
    ) -> Signed:  # fmt: skip
        """Make the coop's membership record for a member's key."""
        given = {
            "person": member.person,
            "key": member.key.public,
            "sealing": member.sealing.public,
            "roles": ["member"],
            "status": "active",
            "custody": "device",
            **fields,
        }
        return self.record(
            "membership", build("membership", salt=self.fresh(), **given),
            coop=member.coop, by=by or member.coop.node,
            at=self.now - 10 * DAY_S if at is None else at, rev=rev, days=days, until=until,
        )  # fmt: skip

    def mandate(
        self, principal: Member | Coop, delegate: Member, *, kinds: Sequence[str] = ("offer",),
        start: int | None = None, end: int | None = None, rev: int = 0, days: int = 400,
        at: int | None = None, series: bytes | None = None, **fields: Any
    ) -> Signed:  # fmt: skip
        """Make a mandate of a member, or of a coop's node, for a delegate's key."""
        coop, key = (
            (principal.coop, principal.key)
            if isinstance(principal, Member)
            else (principal, principal.node)
        )
        when = self.now - 5 * DAY_S if at is None else at
        payload = build(
            "mandate",
            salt=self.fresh(),
            delegate_key=delegate.key.public,
            delegate_coop=delegate.coop.id,
            kinds=list(kinds),
            start=when if start is None else start,
            end=when + 100 * DAY_S if end is None else end,
            **fields,
        )
        return self.record(
            "mandate", payload, coop=coop, by=key, at=when, rev=rev, days=days, series=series
        )

    def mandate_thing(self, principal: Member | Coop, mandate: Signed) -> bytes:
        """Return what `as` names the mandate by."""
        return thing_id(principal.author, mandate.header.series)

    def offer(
        self, member: Member, title: str = "Jardinage", *, kind: str = "offer",
        at: int | None = None, until: int | None = None, rev: int = 0, days: int = 30,
        series: bytes | None = None, as_: bytes = b"", coop: Coop | None = None,
        by: SigningKey | None = None, **fields: Any
    ) -> Signed:  # fmt: skip
        """Make an offer (or a demand) of a member, with all usual fields."""
        given = {
            "title": title,
            "text": f"{title} : une heure contre une heure.",
            "lang": "fr",
            "categories": ["jardin"],
            "mode": ["at_home"],
            "place": dict(PLACE),
            "reciprocity": {"kind": "amount", "unit": "heure", "amount": 60},
            **fields,
        }
        return self.record(
            kind, build(kind, salt=self.fresh(), **given), coop=coop or member.coop,
            by=by or member.key, at=at, until=until, rev=rev, days=days, series=series, as_=as_,
        )  # fmt: skip

    def demand(self, member: Member, title: str = "Courses", **fields: Any) -> Signed:
        """Make a demand of a member."""
        return self.offer(member, title, kind="demand", **fields)

    def category(
        self, coop: int | Coop, code: str = "jardin", *, rev: int = 0, days: int = 700,
        at: int | None = None, **fields: Any
    ) -> Signed:  # fmt: skip
        """Make a coop's category."""
        where = self.coops[coop] if isinstance(coop, int) else coop
        given = {"labels": {"fr": code.capitalize()}, **fields}
        payload = build("category", salt=self.fresh(), code=code, **given)
        return self.record(
            "category", payload, coop=where, by=where.node, rev=rev, days=days, at=at
        )

    def withdrawal(
        self, of: Signed, by: SigningKey, coop: Coop, *, rev: int | None = None,
        at: int | None = None, until: int | None = None, as_: bytes = b"",
        reason: str | None = None
    ) -> Signed:  # fmt: skip
        """End a thing; it lasts no less long than what it ends."""
        payload = build("withdrawal", salt=self.fresh(), kind_=of.header.kind, reason=reason)
        when = self.now if at is None else at
        return self.record(
            "withdrawal", payload, coop=coop, by=by, at=when,
            until=max(of.header.until, when + DAY_S) if until is None else until,
            series=of.header.series, rev=of.header.rev + 1 if rev is None else rev, as_=as_,
        )  # fmt: skip

    def attestation(
        self, member: Member, transfer: bytes, subject: bytes, *, at: int | None = None,
        as_: bytes = b"", **fields: Any
    ) -> Signed:  # fmt: skip
        """Make an attestation on the other party of a transfer."""
        given = {"criteria": {"politeness": 5}, "lang": "fr", **fields}
        payload = build(
            "attestation", salt=self.fresh(), transfer=transfer, subject=subject, **given
        )
        return self.record(
            "attestation", payload, coop=member.coop, by=member.key, at=at, refs=(transfer,),
            days=300, as_=as_,
        )  # fmt: skip

    def reply(
        self, member: Member, attestation: bytes, text: str = "Merci.", *, at: int | None = None
    ) -> Signed:
        """Make a reply to an attestation."""
        payload = build("reply", salt=self.fresh(), text=text, lang="fr")
        return self.record(
            "reply", payload, coop=member.coop, by=member.key, at=at, refs=(attestation,), days=300
        )

    def profiles(self) -> list[Signed]:
        """Make the founding coops' profiles."""
        return [self.profile(coop) for coop in self.coops if coop.founder]
