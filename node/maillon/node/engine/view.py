"""Index who may speak: coops, memberships, mandates, from the live records and nothing else.

The index answers what validation asks (`maillon.protocol.view.View`), always from current
revisions. What left the live set leaves the index in the same step, so that two nodes with the same
live identity records give the same answers, whatever each has seen before.

`replace` is the one way in and out. It compares the answers before and after, and says what may be
judged differently now: a profile with a new telephone number concerns no other record at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from maillon.node.engine.pending import coop_token, key_token, record_token, thing_token
from maillon.node.ports import Store
from maillon.protocol.envelope import Header, Valid
from maillon.protocol.errors import MaillonError, RemoteError
from maillon.protocol.founding import Founding
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import coop_id
from maillon.protocol.records import priority, thing_id
from maillon.protocol.resting import RESTS
from maillon.protocol.validation import (
    AttestationInfo,
    CoopInfo,
    KeyEnd,
    MandateInfo,
    MembershipInfo,
    TransferInfo,
    author,
    standing,
)

_ANSWERED: Final = frozenset(
    {"coop_profile", "admission", "membership", "mandate", "attestation"}
)
INDEXED_KINDS: Final = _ANSWERED | RESTS.keys()
"""The kinds that a view answers from, and those that rest on one other record (spec/03)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What may be judged differently: live records that rest on something, and what waits for it.

    `keys`: records of (coop, signing key). `things`: records under these mandates. `referred`:
    records that refer to these ids. `records`: these very records. `tokens`: see `pending`.
    """

    keys: tuple[tuple[bytes, bytes], ...] = ()
    things: tuple[bytes, ...] = ()
    referred: tuple[bytes, ...] = ()
    records: tuple[bytes, ...] = ()
    tokens: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One live identity record: enough to take it out again."""

    kind: str
    at: int
    coop: bytes
    subject: bytes  # the coop admitted, the member's key, the mandate's thing; by kind
    key: bytes  # who signed it
    id: bytes


def missing_token(fault: RemoteError, header: Header) -> bytes:
    """Name what a pending record waits for, from the facts of the error that refused it."""
    facts = fault.facts
    if "mandate" in facts:
        return thing_token(facts["mandate"])
    if "ref" in facts:
        return record_token(facts["ref"])
    if "by" in facts:
        return key_token(facts.get("coop", header.coop), facts["by"])
    return coop_token(facts.get("coop", header.coop))


def _no_transfer(_id: bytes) -> TransferInfo | None:
    return None


class IdentityView:
    """Answer `View` from the live records of one store."""

    def __init__(self, founding: Founding, store: Store) -> None:
        self._founding = founding
        self._store = store
        self.transfers: Callable[[bytes], TransferInfo | None] = _no_transfer
        """Answers for certified transfers; a node with accounts puts its ledger here."""
        self.clear()

    def clear(self) -> None:
        """Forget everything, before it is filled anew."""
        self._entries: dict[bytes, _Entry] = {}
        self._profiles: dict[bytes, Valid] = {}
        # The coop admitted -> the coop that admits it -> the record.
        self._admissions: dict[bytes, dict[bytes, Valid]] = {}
        # Mostly one membership a key; two persons with one key are a coop's mistake to be borne.
        self._members: dict[tuple[bytes, bytes], dict[bytes, MembershipInfo]] = {}
        self._member_keys: dict[bytes, dict[bytes, None]] = {}
        self._mandates: dict[bytes, MandateInfo] = {}
        self._given: dict[tuple[bytes, bytes], dict[bytes, None]] = {}
        self._received: dict[bytes, dict[bytes, None]] = {}
        # The person (coop, id) -> the keys that the coop has named for them.
        self._person_keys: dict[tuple[bytes, bytes], dict[bytes, None]] = {}
        self._coops: dict[bytes, CoopInfo | None] = {}
        # Which live records rest on which record, and the other way round.
        self._upon: dict[bytes, dict[bytes, None]] = {}
        self._base: dict[bytes, bytes] = {}
        self._sorted: list[tuple[int, bytes]] | None = None

    # --- View -----------------------------------------------------------------------------------

    @property
    def founding(self) -> Founding:
        """Return the federation's founding document."""
        return self._founding

    def coop(self, coop: bytes, /) -> CoopInfo | None:
        """Return what is known of a coop, or None when nothing is."""
        try:
            return self._coops[coop]
        except KeyError:
            info = self._coop(coop)
            if info is not None:
                # Unknown coops are whatever a stranger writes into a header: not remembered.
                self._coops[coop] = info
            return info

    def _coop(self, coop: bytes) -> CoopInfo | None:
        admitters = self._admissions.get(coop, {})
        admitted = self._founding.admits(coop, tuple(admitters))
        profile = self._profiles.get(coop)
        if profile is not None:
            payload = profile.signed.payload
            assert payload is not None, "a live record has its payload"
            return CoopInfo.of(profile.signed.header, payload, admitted=admitted)
        if not admitted and not admitters:
            return None
        return CoopInfo(CoopId(coop), admitted)

    def membership(self, coop: bytes, key: bytes, /) -> MembershipInfo | None:
        """Return the current membership of a key; of two persons' the one with the lesser id."""
        found = self._members.get((coop, key))
        if not found:
            return None
        if len(found) == 1:
            return next(iter(found.values()))
        return min(found.values(), key=_by_person)

    def mandate(self, thing: bytes, /) -> MandateInfo | None:
        """Return the current revision of a mandate."""
        return self._mandates.get(thing)

    def attestation(self, id: bytes, /) -> AttestationInfo | None:
        """Return a live attestation."""
        if id not in self._entries or self._entries[id].kind != "attestation":
            return None
        return AttestationInfo(self._entries[id].subject)

    def transfer(self, id: bytes, /) -> TransferInfo | None:
        """Return a certified transfer, as far as the ledger of this node knows it."""
        return self.transfers(id)

    def live(self, id: bytes, /) -> Valid | None:
        """Return a live record that still counts."""
        if not self._store.live(id):
            return None
        signed = self._store.get(id)
        if signed is None or signed.payload is None:
            return None
        try:
            who = standing(signed.header, signed.id, self)
        except MaillonError:
            return None  # what vouches for it is going: it is judged again in its turn
        thing = thing_id(who.author, signed.header.series)
        return Valid(signed, who.author, thing, who.role)

    def upon(self, id: bytes) -> tuple[bytes, ...]:
        """Return the ids of the live records that rest on a record, in no particular order."""
        return tuple(self._upon.get(id, ()))

    # --- For the engine -------------------------------------------------------------------------

    def author_of(self, header: Header, id: bytes) -> bytes | None:
        """Return whose series a record is in, or None when it does not count now."""
        try:
            return author(header, id, self)
        except MaillonError:
            return None

    def items(self) -> list[tuple[int, bytes]]:
        """Return (at, id) of the live identity records in the order of sending: by kind, at, id."""
        if self._sorted is None:
            entries = sorted(
                (priority(entry.kind), entry.at, id)
                for id, entry in self._entries.items()
                if entry.kind != "attestation"
            )
            self._sorted = [(at, id) for _, at, id in entries]
        return self._sorted

    def members(self, coop: bytes) -> list[MembershipInfo]:
        """Return the current memberships of a coop, by key."""
        keys = sorted(self._member_keys.get(coop, ()))
        return [info for key in keys if (info := self.membership(coop, key)) is not None]

    def keys_of(self, author: bytes) -> list[MembershipInfo]:
        """Return the current memberships of one person (an author of 49 bytes), by key."""
        coop, person = author[1:33], author[33:]
        keys = sorted(self._person_keys.get((coop, person), ()))
        found = (self.membership(coop, key) for key in keys)
        # A key that two persons claim is the one's with the lesser id.
        return [info for info in found if info is not None and info.person == person]

    def mandates_of(self, coop: bytes, key: bytes) -> list[MandateInfo]:
        """Return the current mandates that a key of a coop gave, by thing."""
        things = sorted(self._given.get((coop, key), ()))
        return [info for thing in things if (info := self.mandate(thing)) is not None]

    def mandates_to(self, key: bytes) -> list[MandateInfo]:
        """Return the current mandates that were given to a key, by thing."""
        found = (self.mandate(thing) for thing in sorted(self._received.get(key, ())))
        return [info for info in found if info is not None]

    def coops(self) -> list[CoopInfo]:
        """Return what is known of every coop: founders first, then by id."""
        ids = dict.fromkeys([coop.id for coop in self._founding.coops])
        ids.update(dict.fromkeys(sorted(CoopId(id) for id in (*self._profiles, *self._admissions))))
        return [info for id in ids if (info := self.coop(id)) is not None]

    def profile(self, coop: bytes) -> Valid | None:
        """Return a coop's current profile."""
        return self._profiles.get(coop)

    def introducing(self, coop: bytes) -> list[bytes]:
        """Return the ids of the records that say who a coop is: its profile, its admissions."""
        profile = self._profiles.get(coop)
        first: list[bytes] = [] if profile is None else [profile.signed.id]
        return first + [
            valid.signed.id for _, valid in sorted(self._admissions.get(coop, {}).items())
        ]

    def admitted_nodes(self) -> dict[bytes, tuple[str, ...]]:
        """Return node key -> announced addresses of every admitted coop.

        Without a profile the founding document or an admission tells where to dial; what such a key
        signs counts for nothing yet.
        """
        nodes: dict[bytes, tuple[str, ...]] = {}
        for coop in self._founding.coops:
            if coop.id not in self._profiles:
                nodes[coop.node_key] = coop.addresses
        for id, admissions in sorted(self._admissions.items()):
            if id not in self._profiles and self._founding.admits(id, tuple(admissions)):
                # Founders may name different keys while one is being replaced: all are dialled.
                for _, valid in sorted(admissions.items()):
                    fields = _payload(valid)
                    nodes.setdefault(fields["node_key"], tuple(fields.get("addresses", ())))
        for id, profile in sorted(self._profiles.items()):
            info = self.coop(id)
            if info is not None and info.admitted:
                fields = _payload(profile)
                nodes[fields["node_key"]] = tuple(fields.get("addresses", ()))
        return nodes

    def put(self, valid: Valid) -> list[Change]:
        """Add a live record; return what it changes."""
        return self.replace(None, valid)

    def replace(self, old: bytes | None, new: Valid | None) -> list[Change]:
        """Take out the record `old` and put in `new`, as one step; return what that changes."""
        rested = self._rest(old, new)
        entry = None if old is None else self._entries.get(old)
        added = None
        if new is not None and new.signed.header.kind in _ANSWERED:
            added = _entry_of(new)
        if entry is None and added is None:
            return rested
        subjects = list(dict.fromkeys(_subject(e) for e in (entry, added) if e is not None))
        before = [self._state(subject) for subject in subjects]
        others = [] if added is None else self._others(added)
        if entry is not None and old is not None:
            self._take_out(old, entry)
        if added is not None and new is not None:
            self._put_in(new, added)
        self._sorted = None
        changes: list[Change] = []
        for subject, was in zip(subjects, before, strict=True):
            now = self._state(subject)
            if was != now:
                changes.append(self._change(subject, was, now, others))
        return changes + rested

    # --- Inside ---------------------------------------------------------------------------------

    def _rest(self, old: bytes | None, new: Valid | None) -> list[Change]:
        """Keep who rests on whom; say what loses what it rested on."""
        if old is not None and (base := self._base.pop(old, None)) is not None:
            upon = self._upon[base]
            upon.pop(old, None)
            if not upon:
                del self._upon[base]
        if new is not None and new.signed.header.kind in RESTS:
            id, base = new.signed.id, new.signed.header.refs[0]
            self._base[id] = base
            self._upon.setdefault(base, {})[id] = None
        return [Change(referred=(old,))] if old is not None and old in self._upon else []

    def _take_out(self, id: bytes, entry: _Entry) -> None:
        del self._entries[id]
        match entry.kind:
            case "coop_profile":
                self._profiles.pop(entry.coop, None)
                self._coops.pop(entry.coop, None)
            case "admission":
                admissions = self._admissions[entry.subject]
                del admissions[entry.coop]
                if not admissions:
                    del self._admissions[entry.subject]
                self._coops.pop(entry.subject, None)
            case "membership":
                pair = (entry.coop, entry.subject)
                person = (entry.coop, self._members[pair].pop(id).person)
                self._person_keys[person].pop(entry.subject, None)
                if not self._person_keys[person]:
                    del self._person_keys[person]
                if not self._members[pair]:
                    del self._members[pair]
                    del self._member_keys[entry.coop][entry.subject]
            case "mandate":
                ended = self._mandates.pop(entry.subject, None)
                if ended is not None:
                    received = self._received[ended.delegate_key]
                    received.pop(entry.subject, None)
                    if not received:
                        del self._received[ended.delegate_key]
                given = self._given[(entry.coop, entry.key)]
                given.pop(entry.subject, None)
                if not given:
                    del self._given[(entry.coop, entry.key)]
            case _:
                pass

    def _put_in(self, valid: Valid, entry: _Entry) -> None:
        signed = valid.signed
        self._entries[signed.id] = entry
        match entry.kind:
            case "coop_profile":
                self._profiles[entry.coop] = valid
                self._coops.pop(entry.coop, None)
            case "admission":
                self._admissions.setdefault(entry.subject, {})[entry.coop] = valid
                self._coops.pop(entry.subject, None)
            case "membership":
                info = MembershipInfo.of(signed.header, signed.id, _payload(valid))
                pair = (entry.coop, entry.subject)
                self._members.setdefault(pair, {})[signed.id] = info
                self._member_keys.setdefault(entry.coop, {})[entry.subject] = None
                person = (entry.coop, info.person)
                self._person_keys.setdefault(person, {})[entry.subject] = None
            case "mandate":
                mandate = MandateInfo.of(valid)
                self._mandates[entry.subject] = mandate
                self._received.setdefault(mandate.delegate_key, {})[entry.subject] = None
                self._given.setdefault((entry.coop, entry.key), {})[entry.subject] = None
            case _:
                pass

    def _state(self, subject: tuple[str, bytes, bytes]) -> object:
        """Return the answer that validation would get about a subject."""
        what, coop, key = subject
        match what:
            case "coop":
                return self.coop(coop)
            case "member":
                return self.membership(coop, key)
            case "mandate":
                return self.mandate(key)
            case _:
                return key in self._entries

    def _others(self, added: _Entry) -> list[bytes]:
        """Return the memberships of other persons with the key of one that comes."""
        if added.kind != "membership":
            return []
        return list(self._members.get((added.coop, added.subject), ()))

    def _change(
        self, subject: tuple[str, bytes, bytes], was: object, now: object, others: list[bytes]
    ) -> Change:
        what, coop, key = subject
        match what:
            case "coop":
                assert isinstance(was, CoopInfo | None) and isinstance(now, CoopInfo | None)
                return self._coop_change(coop, was, now)
            case "member":
                assert isinstance(was, MembershipInfo | None)
                assert isinstance(now, MembershipInfo | None)
                pair = (coop, key)
                same = _may(was) == _may(now) and _until(now) >= _until(was)
                return Change(
                    # Another role or a later end takes nothing away from anybody.
                    keys=() if same else (pair,),
                    things=() if same else tuple(self._given.get(pair, ())),
                    records=tuple(others),
                    tokens=(key_token(coop, key),),
                )
            case "mandate":
                return Change(things=(key,), tokens=(thing_token(key),))
            case _:
                return Change(referred=(key,), tokens=(record_token(key),))

    def _coop_change(self, coop: bytes, was: CoopInfo | None, now: CoopInfo | None) -> Change:
        before, after = _ends(was), _ends(now)
        known = dict.fromkeys([*before, *after])
        keys = {key: None for key in known if before.get(key, _NONE) != after.get(key, _NONE)}
        if _standing(was) != _standing(now) or _until(now) < _until(was):
            # Everybody the coop vouches for is concerned, not only who speaks for itself.
            keys = {**known, **self._member_keys.get(coop, {})}
        pairs = tuple((coop, key) for key in keys)
        return Change(
            keys=pairs,
            things=_flat(self._given.get(pair, ()) for pair in pairs),
            tokens=(coop_token(coop), *(key_token(coop, key) for key in {**known, **keys})),
        )


_NONE: Final = KeyEnd(-1)
"""In place of a key that does not speak for the coop at all."""


def _ends(info: CoopInfo | None) -> dict[bytes, KeyEnd | None]:
    """Return the keys that speak for a coop, each with its end if it has one."""
    if info is None:
        return {}
    ends: dict[bytes, KeyEnd | None] = dict(info.previous or {})
    for key in (info.root, info.node_key):
        if key is not None:
            ends[key] = None
    return ends


def _standing(info: CoopInfo | None) -> tuple[bool, bool]:
    return (
        info is not None and info.admitted,
        info is not None and info.node_key is not None,
    )


def _until(info: CoopInfo | MembershipInfo | None) -> int:
    return 0 if info is None else info.until


def _may(info: MembershipInfo | None) -> tuple[object, ...]:
    """Return what decides whether a member's record counts, apart from the end."""
    if info is None:
        return ()
    since = info.since if info.status == "suspended" else 0
    return (info.person, info.status, since, info.end)


def _payload(valid: Valid) -> dict[str, Any]:
    payload = valid.signed.payload
    assert payload is not None, "a live record has its payload"
    return payload


def _by_person(info: MembershipInfo) -> tuple[bytes, bytes]:
    return (info.person, info.record)


def _flat(lists: Iterable[Iterable[bytes]]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(item for items in lists for item in items))


def _entry_of(valid: Valid) -> _Entry:
    header = valid.signed.header
    fields = _payload(valid)
    match header.kind:
        case "coop_profile":
            subject: bytes = header.coop
        case "admission":
            subject = coop_id(fields["root"])
        case "membership":
            subject = fields["key"]
        case "mandate":
            subject = valid.thing
        case _:
            subject = fields["subject"]
    return _Entry(header.kind, header.at, header.coop, subject, header.by, valid.signed.id)


def _subject(entry: _Entry) -> tuple[str, bytes, bytes]:
    match entry.kind:
        case "coop_profile":
            return ("coop", entry.coop, b"")
        case "admission":
            return ("coop", entry.subject, b"")
        case "membership":
            return ("member", entry.coop, entry.subject)
        case "mandate":
            return ("mandate", b"", entry.subject)
        case _:
            return ("record", b"", entry.id)
