"""Name what validation asks of the history it knows (spec/03, "What a record rests on").

A view answers from CURRENT revisions that count themselves, never from what was current when a
record arrived. The classes read what they need out of a record's payload once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from maillon.protocol.envelope import Header, Valid
from maillon.protocol.founding import Founding
from maillon.protocol.ids import CoopId, RecordId


def person_author(coop: bytes, person: bytes) -> bytes:
    """Return the author of a person's records: b"p", coop, person (49 bytes)."""
    return b"p" + coop + person


def coop_author(coop: bytes) -> bytes:
    """Return the author of a coop's own records: b"c", coop (33 bytes)."""
    return b"c" + coop


@dataclass(frozen=True, slots=True)
class KeyEnd:
    """A key that ended: what it signed counts up to `until_at`, or when it stands in `keep`."""

    until_at: int
    keep: frozenset[bytes] | None = None

    def counts(self, id: bytes, at: int) -> bool:
        """Tell whether a record of this id and time still counts."""
        return id in self.keep if self.keep is not None else at <= self.until_at


@dataclass(frozen=True, slots=True)
class CoopInfo:
    """What the view knows of a coop: whether it belongs, and its current profile.

    `admitted`: founder, or admitted by a quorum (see `Founding.admits`). `node_key` is None and
    `until` 0 without a current profile; nobody but the root can speak for the coop then.
    """

    coop: CoopId
    admitted: bool
    root: bytes | None = None
    node_key: bytes | None = None
    until: int = 0
    previous: Mapping[bytes, KeyEnd] | None = None

    @classmethod
    def of(cls, header: Header, payload: Mapping[str, Any], *, admitted: bool) -> CoopInfo:
        """Read a coop's current profile."""
        return cls(
            header.coop,
            admitted,
            header.by,
            payload["node_key"],
            header.until,
            {entry["key"]: _key_end(entry) for entry in payload.get("previous", ())},
        )


@dataclass(frozen=True, slots=True)
class MembershipInfo:
    """What the view knows of a member's key: the current membership of (coop, key).

    `verified_by` is the coop that approved the provider's status; None: it is self-declared.
    """

    coop: CoopId
    key: bytes
    person: bytes
    sealing: bytes
    roles: frozenset[str]
    status: str
    since: int
    until: int
    end: KeyEnd | None
    record: RecordId
    provider_status: str | None = None
    verified_by: bytes | None = None

    @classmethod
    def of(cls, header: Header, id: bytes, payload: Mapping[str, Any]) -> MembershipInfo:
        """Read a membership record."""
        revoked = payload.get("revoked")
        return cls(
            header.coop,
            payload["key"],
            payload["person"],
            payload["sealing"],
            frozenset(payload["roles"]),
            payload["status"],
            payload.get("status_since", header.at),
            header.until,
            None if revoked is None else _key_end(revoked),
            RecordId(id),
            payload.get("provider_status"),
            # Approved is what a coop has verified; the rest is people's own word.
            payload.get("verified_by", header.coop)
            if payload.get("verification") == "approved"
            else None,
        )

    @property
    def author(self) -> bytes:
        """Return the entity whose series this member's records belong to."""
        return person_author(self.coop, self.person)


@dataclass(frozen=True, slots=True)
class MandateInfo:
    """What the view knows of a mandate: its current revision, and who gave it.

    `author` is the principal, `principal_coop` and `principal_key` who signed it.
    """

    thing: bytes
    author: bytes
    principal_coop: CoopId
    principal_key: bytes
    delegate_key: bytes
    delegate_coop: bytes
    kinds: frozenset[str]
    forbidden: frozenset[str]
    start: int
    end: int
    until: int
    ended: KeyEnd | None
    record: RecordId

    @classmethod
    def of(cls, valid: Valid) -> MandateInfo:
        """Read a valid mandate record. Its payload must be there."""
        header, payload = valid.signed.header, valid.signed.payload
        assert payload is not None  # only records with their payload become Valid
        fields = cast("Mapping[str, Any]", payload)
        ended = None
        if "revoked" in fields:
            ended = _key_end({"until_at": header.at, **fields})
        return cls(
            valid.thing,
            valid.author,
            header.coop,
            header.by,
            fields["delegate_key"],
            fields["delegate_coop"],
            frozenset(fields["kinds"]),
            frozenset(fields.get("forbidden", ())),
            fields["start"],
            fields["end"],
            header.until,
            ended,
            valid.signed.id,
        )


@dataclass(frozen=True, slots=True)
class AttestationInfo:
    """A live attestation: whom it speaks of."""

    subject: bytes


@dataclass(frozen=True, slots=True)
class TransferInfo:
    """A certified transfer of the ledger: its two parties, as authors."""

    payer: bytes
    payee: bytes


def _key_end(entry: Mapping[str, Any]) -> KeyEnd:
    keep = entry.get("keep")
    return KeyEnd(entry["until_at"], None if keep is None else frozenset(keep))


class View(Protocol):
    """What is known now, always from current revisions that count themselves.

    `membership` answers for two persons with one key with the lesser person id (spec/02), and None
    when the membership is withdrawn; `mandate` takes the thing id that `as` names.
    """

    @property
    def founding(self) -> Founding:
        """Return the founding document of the federation."""
        ...

    def coop(self, coop: bytes, /) -> CoopInfo | None:
        """Return what is known of a coop (32-byte id), or None when nothing is."""
        ...

    def membership(self, coop: bytes, key: bytes, /) -> MembershipInfo | None:
        """Return the current membership of a key in a coop, or None."""
        ...

    def mandate(self, thing: bytes, /) -> MandateInfo | None:
        """Return the current revision of the mandate of this 32-byte thing id, or None."""
        ...

    def attestation(self, id: bytes, /) -> AttestationInfo | None:
        """Return a live attestation by its record id, or None."""
        ...

    def transfer(self, id: bytes, /) -> TransferInfo | None:
        """Return a certified transfer of the ledger, or None; without a ledger always None."""
        ...

    def live(self, id: bytes, /) -> Valid | None:
        """Return a live record, of whatever kind, by its record id, or None."""
        ...
