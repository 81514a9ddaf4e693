"""What should be live, computed without the engine and without the protocol's validation.

It takes any collection of signed records (their form and signatures proven elsewhere) and finds
those that count and are current. It follows spec/02, spec/03 and spec/08-community level by level,
by brute force: profiles of founders, admissions, other profiles, memberships, mandates, all else,
what rests on one of those, and what rests on that. At each level the greatest (rev, at, id) of each
(author, series) wins among the records that count.

It is written a second time on purpose: where it and the engine differ, one of them is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from maillon.protocol.encoding import encode
from maillon.protocol.envelope import Signed
from maillon.protocol.founding import Founding

_ANSWERS = ("attestation", "reply")  # nothing of these counts as long as there is no ledger


def _tag(kind: str) -> bytes:
    return hashlib.sha256(b"maillon/1/series\0" + kind.encode()).digest()[:2]


def _coop_of(root: bytes) -> bytes:
    return hashlib.sha256(b"maillon/1/coop\0" + root).digest()


def _thing(author: bytes, series: bytes) -> bytes:
    return hashlib.sha256(b"maillon/1/thing\0" + author + series).digest()


_TAGS = {
    _tag(kind): kind
    for kind in (
        "coop_profile", "admission", "membership", "mandate", "category", "offer", "demand",
        "attestation", "reply", "bundle", "bid", "cosignature", "bundle_part", "auction_close",
        "bid_reveal",
    )
}  # fmt: skip
# What each rests on; reveals of bids come one level later.
_ON = {
    "cosignature": "demand", "bid": "demand", "auction_close": "demand", "bundle_part": "bundle",
    "bid_reveal": "bid",
}  # fmt: skip
_NODE_ONLY = {"admission", "membership", "category"}


def _fields(signed: Signed) -> Mapping[str, Any]:
    assert signed.payload is not None
    return signed.payload


def _about(signed: Signed) -> str:
    """Return the kind of thing a record is about: for a withdrawal, what it ends."""
    return _TAGS.get(signed.header.series[:2], signed.header.kind)


def _order(signed: Signed) -> tuple[int, int, bytes]:
    return (signed.header.rev, signed.header.at, signed.id)


class Oracle:
    """Judge a collection of records as a whole, for one federation."""

    def __init__(self, founding: Founding, records: Iterable[Signed], now: int) -> None:
        self._founders = {_coop_of(coop.root) for coop in founding.coops}
        self._quorum = founding.admission_quorum
        self._now = now
        self._profiles: dict[bytes, Signed] = {}
        self._admitted: set[bytes] = set(self._founders)
        self._members: dict[tuple[bytes, bytes], Signed] = {}
        self._mandates: dict[bytes, tuple[Signed, bytes]] = {}
        self._heads: dict[tuple[bytes, bytes], Signed] = {}
        self._owners: dict[bytes, tuple[bytes, Signed]] = {}
        self._build([signed for signed in records if signed.header.until >= now])

    @property
    def live(self) -> dict[bytes, Signed]:
        """Return the current records that count, by id."""
        return {signed.id: signed for signed in self._heads.values()}

    def counts(self, signed: Signed) -> bytes | None:
        """Return the author of a record that counts beside the others, or None."""
        if signed.header.until < self._now:
            return None
        return self._author(signed)

    def current(self, author: bytes, series: bytes) -> Signed | None:
        """Return the current record of a series."""
        return self._heads.get((author, series))

    # --- Level by level -------------------------------------------------------------------------

    def _build(self, records: list[Signed]) -> None:
        levels: dict[str, list[Signed]] = {}
        for signed in records:
            about = _about(signed)
            levels.setdefault(about, []).append(signed)
        # Founders' profiles stand on nothing; others' on admissions, which stand on founders'.
        profiles = levels.pop("coop_profile", [])
        self._take(s for s in profiles if s.header.coop in self._founders)
        self._note_profiles()
        self._take(levels.pop("admission", []))
        self._note_admissions()
        self._take(s for s in profiles if s.header.coop not in self._founders)
        self._note_profiles()
        self._take_memberships(levels.pop("membership", []))
        self._take(levels.pop("mandate", []))
        for (author, series), signed in self._heads.items():
            if signed.header.kind == "mandate":
                self._mandates[_thing(author, series)] = (signed, author)
        for late in (set[str](), _ON.keys() - {"bid_reveal"}, {"bid_reveal"}):
            for about in sorted(late or levels.keys() - _ON.keys()):
                self._take(levels.get(about, []))
            self._owners = {s.id: (author, s) for (author, _), s in self._heads.items()}

    def _take(self, records: Iterable[Signed]) -> None:
        for signed in records:
            author = self._author(signed)
            if author is not None:
                self._seat(author, signed)

    def _seat(self, author: bytes, signed: Signed) -> None:
        key = (author, signed.header.series)
        before = self._heads.get(key)
        if before is None or _order(before) < _order(signed):
            self._heads[key] = signed

    def _note_profiles(self) -> None:
        for signed in self._heads.values():
            if signed.header.kind == "coop_profile":
                self._profiles[signed.header.coop] = signed

    def _note_admissions(self) -> None:
        by: dict[bytes, set[bytes]] = {}
        for signed in self._heads.values():
            if signed.header.kind == "admission":
                by.setdefault(_coop_of(_fields(signed)["root"]), set()).add(signed.header.coop)
        self._admitted |= {
            coop for coop, who in by.items() if len(who & self._founders) >= self._quorum
        }

    def _take_memberships(self, records: list[Signed]) -> None:
        self._take(records)
        # A key is one person's: the lesser person keeps it, memberships that say otherwise go.
        for key, signed in sorted(self._heads.items(), key=_by_person):
            if signed.header.kind != "membership":
                continue
            pair = (signed.header.coop, _fields(signed)["key"])
            held = self._members.setdefault(pair, signed)
            if held is not signed:
                del self._heads[key]

    # --- One record -----------------------------------------------------------------------------

    def _author(self, signed: Signed) -> bytes | None:
        """Return whose series the record is in when it counts, else None."""
        header = signed.header
        about = _about(signed)
        if header.coop not in self._admitted or header.kind in _ANSWERS or about in _ANSWERS:
            return None
        if about == "coop_profile":
            return b"c" + header.coop if _coop_of(header.by) == header.coop else None
        profile = self._profiles.get(header.coop)
        if profile is None:
            return None
        signer = self._signer(signed, profile)
        if signer is None:
            return None
        role, author, until = signer
        if header.as_:
            if about in (*_NODE_ONLY, "mandate"):
                return None
            principal = self._principal(signed)
            if principal is None:
                return None
            author = principal
            role = "member" if author[:1] == b"p" else "node"
        if header.until > until or not self._role_may(role, about, header.coop):
            return None
        if header.kind == "bundle":
            named = [part["provider"] for part in _fields(signed)["parts"]]
            return author if author in named else None
        if header.kind in _ON and not self._rests(signed, author):
            return None
        return author

    def _rests(self, signed: Signed, author: bytes) -> bool:
        """Say whether a record is rightly about the revision it names, if that is current."""
        header, fields = signed.header, _fields(signed)
        owner, base = self._owners.get(header.refs[0], (b"", None))
        if base is None or base.header.kind != _ON[header.kind]:
            return False
        below = _fields(base)
        if header.kind == "bundle_part":
            return (
                fields["bundle"] == _thing(owner, base.header.series)
                and author in [part["provider"] for part in below["parts"]]
            )
        if header.kind == "bid_reveal":
            _, demand = self._owners.get(base.header.refs[0], (b"", None))
            if demand is None or author != owner or "commit" not in below:
                return False
            price = encode([below["demand"], fields["amount"]])
            seal = b"maillon/1/bid\0" + fields["nonce"] + price
            terms = _fields(demand)["auction"]
            in_time: bool = terms["closes"] < header.at <= terms["reveal_until"]
            opens = hashlib.sha256(seal).digest() == below["commit"]
            return opens and in_time and fields["amount"] <= _limit(demand)
        if fields["demand"] != _thing(owner, base.header.series):
            return False
        if header.kind == "cosignature":
            return author != owner
        terms = below.get("auction")
        if terms is None:
            return False
        if header.kind == "auction_close":
            return author == owner and header.at > terms["closes"]
        return (
            author != owner
            and header.at <= terms["closes"]
            and ("commit" in fields) == (terms["form"] == "sealed")
            and fields.get("amount", 0) <= _limit(base)
        )

    def _role_may(self, role: str, about: str, coop: bytes) -> bool:
        if about in _NODE_ONLY:
            return role == "node" and (about != "admission" or coop in self._founders)
        if about == "mandate":
            return True
        return role in ("node", "member")

    def _signer(self, signed: Signed, profile: Signed) -> tuple[str, bytes, int] | None:
        header = signed.header
        fields = _fields(profile)
        coop_says = b"c" + header.coop
        if _coop_of(header.by) == header.coop:
            return ("root", coop_says, profile.header.until)
        if header.by == fields["node_key"]:
            return ("node", coop_says, profile.header.until)
        for entry in fields.get("previous", ()):
            if entry["key"] == header.by:
                if _ended_before(entry, signed):
                    return None
                return ("node", coop_says, profile.header.until)
        member = self._members.get((header.coop, header.by))
        if member is None:
            return None
        said = _fields(member)
        if "revoked" in said and _ended_before(said["revoked"], signed):
            return None
        if _suspended(member, header.at) and header.kind != "withdrawal":
            return None
        return ("member", b"p" + header.coop + said["person"], member.header.until)

    def _principal(self, signed: Signed) -> bytes | None:
        header = signed.header
        found = self._mandates.get(header.as_)
        if found is None:
            return None
        mandate, author = found
        fields = _fields(mandate)
        about = _about(signed)
        forbidden = fields.get("forbidden", ())
        fits = (
            header.by == fields["delegate_key"]
            and header.coop == fields["delegate_coop"]
            and about in fields["kinds"]
            and about not in forbidden
            and header.kind not in forbidden
            and fields["start"] <= header.at <= fields["end"]
            and header.until <= mandate.header.until
        )
        if not fits:
            return None
        if fields.get("revoked") and _ended_before(
            {"until_at": mandate.header.at, **fields}, signed
        ):
            return None
        coop = mandate.header.coop
        if coop not in self._admitted:
            return None
        if author[:1] == b"c":
            # A coop gave it: by a key that it may have replaced since.
            replaced = [
                entry
                for entry in _fields(self._profiles[coop]).get("previous", ())
                if entry["key"] == mandate.header.by
            ]
            return None if any(header.at > entry["until_at"] for entry in replaced) else author
        member = self._members.get((coop, mandate.header.by))
        if member is None:
            return None
        said = _fields(member)
        if "revoked" in said and header.at > said["revoked"]["until_at"]:
            return None
        if _suspended(member, header.at) and header.kind != "withdrawal":
            return None
        return author


def _limit(demand: Signed) -> float:
    limit: float = _fields(demand)["reciprocity"].get("amount", float("inf"))
    return limit


def _ended_before(entry: Mapping[str, Any], signed: Signed) -> bool:
    if "keep" in entry:
        return signed.id not in entry["keep"]
    until_at: int = entry["until_at"]
    return signed.header.at > until_at


def _suspended(member: Signed, at: int) -> bool:
    said = _fields(member)
    since: int = said.get("status_since", member.header.at)
    return said["status"] == "suspended" and at >= since


def _by_person(item: tuple[tuple[bytes, bytes], Signed]) -> tuple[bytes, bytes]:
    _, signed = item
    person = _fields(signed)["person"] if signed.header.kind == "membership" else b""
    return (person, signed.id)
