"""Model what nodes know, twice: as a function of a set of records, and as a node that learns.

`live_set` is the definition of spec/03, "Convergence", stratum by stratum. `ModelNode` takes
records one by one, judges what it holds again from wherever it stands, and erases what is
superseded. The tests ask that both agree; other parts may compare their nodes with `live_set`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from maillon.protocol.envelope import Checked, Signed, Valid
from maillon.protocol.errors import RemoteError
from maillon.protocol.founding import Founding
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import coop_id
from maillon.protocol.records import KINDS, TAGS, WITHDRAWAL
from maillon.protocol.resting import RESTS
from maillon.protocol.revisions import order_key
from maillon.protocol.validation import check_context
from maillon.protocol.view import (
    AttestationInfo,
    CoopInfo,
    MandateInfo,
    MembershipInfo,
    TransferInfo,
)


@dataclass
class ModelView:
    """Answer from a set of live records; the simplest thing that implements `View`."""

    founding: Founding
    transfers: Mapping[bytes, TransferInfo] = field(default_factory=dict[bytes, TransferInfo])
    profiles: dict[bytes, Signed] = field(default_factory=dict[bytes, Signed])
    admitters: dict[bytes, set[bytes]] = field(default_factory=dict[bytes, set[bytes]])
    members: dict[tuple[bytes, bytes], MembershipInfo] = field(
        default_factory=dict[tuple[bytes, bytes], MembershipInfo]
    )
    mandates: dict[bytes, MandateInfo] = field(default_factory=dict[bytes, MandateInfo])
    attestations: dict[bytes, AttestationInfo] = field(
        default_factory=dict[bytes, AttestationInfo]
    )
    records: dict[bytes, Valid] = field(default_factory=dict[bytes, Valid])

    def coop(self, coop: bytes, /) -> CoopInfo | None:
        admitted = self.founding.admits(coop, frozenset(self.admitters.get(coop, ())))
        profile = self.profiles.get(coop)
        if profile is None:
            return CoopInfo(CoopId(coop), True) if admitted else None
        assert profile.payload is not None
        return CoopInfo.of(profile.header, profile.payload, admitted=admitted)

    def membership(self, coop: bytes, key: bytes, /) -> MembershipInfo | None:
        return self.members.get((coop, key))

    def mandate(self, thing: bytes, /) -> MandateInfo | None:
        return self.mandates.get(thing)

    def attestation(self, id: bytes, /) -> AttestationInfo | None:
        return self.attestations.get(id)

    def transfer(self, id: bytes, /) -> TransferInfo | None:
        return self.transfers.get(id)

    def live(self, id: bytes, /) -> Valid | None:
        return self.records.get(id)

    def add(self, valid: Valid) -> None:
        """Take a live record into account."""
        signed, header = valid.signed, valid.signed.header
        payload = signed.payload
        assert payload is not None
        self.records[signed.id] = valid
        match header.kind:
            case "coop_profile":
                self.profiles[header.coop] = signed
            case "admission":
                root = payload["root"]
                assert isinstance(root, bytes)
                self.admitters.setdefault(coop_id(root), set()).add(header.coop)
            case "membership":
                info = MembershipInfo.of(header, signed.id, payload)
                known = self.members.get((header.coop, info.key))
                if known is None or info.person <= known.person:
                    self.members[header.coop, info.key] = info
            case "mandate":
                self.mandates[valid.thing] = MandateInfo.of(valid)
            case "attestation":
                subject = payload["subject"]
                assert isinstance(subject, bytes)
                self.attestations[signed.id] = AttestationInfo(subject)
            case _:
                pass


def stratum(signed: Signed, founding: Founding) -> int:
    """Return the place of a record in the order in which records rest on one another."""
    header = signed.header
    kind = header.kind
    if kind == WITHDRAWAL:
        ended = TAGS.get(header.series[:2])
        kind = "" if ended is None else ended.name
    match kind:
        case "coop_profile":
            return 0 if founding.founder(header.coop) is not None else 2
        case "admission":
            return 1
        case "membership":
            return 3
        case "mandate":
            return 4
        case "reply":
            return 6
        case "bid_reveal":
            return 7
        case _:
            return 6 if kind in RESTS else 5


def judged(signed: Signed, view: ModelView, now: int) -> Valid | None:
    """Return what a full record is worth against a view."""
    try:
        return check_context(Checked(signed), view, now)
    except RemoteError:
        return None


def currents(valids: Iterable[Valid]) -> list[Valid]:
    """Return the greatest record of each (author, series)."""
    best: dict[tuple[bytes, bytes], Valid] = {}
    for valid in valids:
        place = (valid.author, valid.signed.header.series)
        other = best.get(place)
        if other is None or _key(valid) > _key(other):
            best[place] = valid
    return list(best.values())


def _key(valid: Valid) -> tuple[int, int, bytes]:
    return order_key(valid.signed.header, valid.signed.id)


def live_set(
    records: Iterable[Signed],
    founding: Founding,
    now: int,
    transfers: Mapping[bytes, TransferInfo] | None = None,
) -> dict[bytes, Valid]:
    """Return the live set of a set of checked records, as spec/03 defines it."""
    view = ModelView(founding, transfers or {})
    live: dict[bytes, Valid] = {}
    waiting = [signed for signed in records if signed.header.until >= now]
    for level in range(8):
        here = [signed for signed in waiting if stratum(signed, founding) == level]
        found = [valid for signed in here if (valid := judged(signed, view, now)) is not None]
        kept = currents(found)
        for valid in kept:
            view.add(valid)
        # A key that two living memberships claim is the lesser person's.
        for valid in kept:
            if judged(valid.signed, view, now) is not None:
                live[valid.signed.id] = valid
    return live


@dataclass
class ModelNode:
    """Hold records and judge them again whenever one comes, from wherever the node stands.

    `full` are the records held with their payload. With `erases` the losers lose theirs, as in a
    real node: only what is held in full competes. Records that do not count are put aside and
    judged again (a real node is offered them again by the next reconciliation).
    """

    founding: Founding
    now: int
    transfers: Mapping[bytes, TransferInfo] = field(default_factory=dict[bytes, TransferInfo])
    erases: bool = False
    full: dict[bytes, Signed] = field(default_factory=dict[bytes, Signed])
    live: dict[bytes, Valid] = field(default_factory=dict[bytes, Valid])

    def receive(self, signed: Signed) -> None:
        """Take in one checked record."""
        self.full[signed.id] = signed
        self._settle()

    def _settle(self) -> None:
        # Chaotic iteration: begin with the view of before and judge until nothing changes. Were
        # there a circle in what rests on what, the outcome would depend on where we began.
        found: list[Valid] = []
        for _ in range(2 * len(KINDS)):
            view = ModelView(self.founding, self.transfers)
            for known in self.live.values():
                view.add(known)
            found = [
                valid
                for signed in self.full.values()
                if signed.header.until >= self.now
                and (valid := judged(signed, view, self.now)) is not None
            ]
            live: dict[bytes, Valid] = {valid.signed.id: valid for valid in currents(found)}
            if live == self.live:
                break
            self.live = live
        else:
            raise AssertionError("judging again does not come to rest")
        if self.erases:
            places = {(v.author, v.signed.header.series): v for v in self.live.values()}
            for loser in found:
                winner = places[loser.author, loser.signed.header.series]
                if winner.signed.id != loser.signed.id:
                    del self.full[loser.signed.id]


def reconcile(nodes: list[ModelNode]) -> None:
    """Let every node offer its live records to every other until nothing changes."""
    for _ in range(20):
        before = [set(node.live) for node in nodes]
        for node in nodes:
            for other in nodes:
                for id, valid in list(other.live.items()):
                    if id not in node.live:
                        node.receive(valid.signed)
        if before == [set(node.live) for node in nodes]:
            return
    raise AssertionError("reconciliation does not come to rest")
