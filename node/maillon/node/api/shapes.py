"""What goes over the local interface: the bodies of requests and answers.

Ids and keys are hexadecimal text, times Unix seconds. Fields are only ever added.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Hex32 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Id = Annotated[str, Meta(pattern="^[0-9a-f]{8,64}$")]
"""A record's or person's id, or its beginning where that is enough to tell it apart."""
Days = Annotated[int, Meta(ge=1, le=1_100)]
Directory = Annotated[str, Meta(max_length=4_096, pattern=r"^/[^\x00]+$")]
"""The whole path of a directory: in which one the node runs is nothing that a client knows."""


class Request(Struct, forbid_unknown_fields=True):
    """A body that a client sends; a misspelt field is refused, not ignored."""


# --- node ---------------------------------------------------------------------------------------


class PeerCounts(Struct):
    known: int
    connected: int


class SignatureCounts(Struct):
    checked: int
    bad: int


class SyncCounts(Struct):
    running: int
    sessions: int
    failed: int
    last_at: int


class LetterCounts(Struct, frozen=True):
    sending: int = 0
    sending_oldest_s: int = 0
    waiting: int = 0
    waiting_oldest_s: int = 0
    bytes: int = 0


class Status(Struct):
    name: str
    coop: str
    node_key: str
    federation: str
    fed: str
    version: str
    started_at: int
    uptime_s: int
    addresses: list[str]
    records: dict[str, int]
    live: int
    fingerprint: str
    peers: PeerCounts
    sync: SyncCounts
    pending: int
    backlog: int
    refused: dict[str, int]
    signatures: SignatureCounts
    bytes_in: int
    bytes_out: int
    database_bytes: int
    root_key_here: bool
    profile_until: int
    clock_skew_s: int | None
    notices: list[str]
    letters: LetterCounts = LetterCounts()


class Peer(Struct):
    key: str
    coop: str
    name: str
    addresses: list[str]
    connected: bool
    score: float
    bytes_in: int
    bytes_out: int
    since: int
    last_error: str


class Peers(Struct):
    peers: list[Peer]


class Arrival(Struct):
    id: str
    at_ms: int


class Arrivals(Struct):
    """When records were first seen here, oldest first; go on with `next` as `since`."""

    arrivals: list[Arrival]
    next: int
    missed: int


class BackupRequest(Request):
    directory: Directory
    records: bool = True


class Backup(Struct):
    directory: str
    files: list[str]
    bytes: int


# --- records ------------------------------------------------------------------------------------


class RecordOut(Struct, omit_defaults=True):
    """A record as a program reads it; `payload` is null when it was erased."""

    id: str
    kind: str
    coop: str
    coop_name: str
    by: str
    at: int
    until: int
    series: str
    thing: str
    rev: int
    mandate: str
    refs: list[str]
    payload: dict[str, Any] | None
    raw: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    """Of a single record: live, withdrawn, replaced, or ended (it does not count any more)."""
    replaced_by: str | UnsetType = UNSET


class Records(Struct):
    records: list[RecordOut]
    next: str | None


class PublishRequest(Request):
    kind: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    payload: dict[str, Any]
    days: Days | None = None
    as_member: Id | None = None
    mandate: Id | None = None
    replaces: Id | None = None
    refs: Annotated[list[Hex32], Meta(max_length=8)] = []
    """What the record refers to; of an attestation its transfer, when left out."""


class Published(Struct):
    id: str
    series: str
    thing: str
    rev: int
    until: int
    notices: list[str] = []


class WithdrawRequest(Request):
    kind: Annotated[str, Meta(max_length=32)] = ""
    """What the record must be; a withdrawal cannot be undone. Empty for any kind."""
    reason: Annotated[str, Meta(max_length=200)] = ""


class Hit(Struct):
    id: str
    kind: str
    coop: str
    coop_name: str
    at: int
    until: int
    score: float
    distance_m: int | None
    approximate: bool
    reasons: list[str]
    payload: dict[str, Any]


class Hits(Struct):
    """One page of results. `count` is exact unless `count_more`; `cursor` is empty on the last.

    `corrected` maps words that nothing has to those searched instead; `loosened` says that not
    every result has every word.
    """

    hits: list[Hit]
    count: int
    count_more: bool
    cursor: str
    corrected: dict[str, str]
    loosened: bool


# --- people -------------------------------------------------------------------------------------


class MemberRequest(Request):
    name: Annotated[str, Meta(max_length=200)] | None = None
    person: Id | None = None
    roles: Annotated[list[str], Meta(min_length=1, max_length=5)] = msgspec.field(
        default_factory=lambda: ["member"]
    )
    provider_status: str | None = None
    verification: str | None = None
    key: Hex32 | None = None
    sealing: Hex32 | None = None
    custody: Annotated[str, Meta(pattern="^(device|paper|node)$")] = "node"
    days: Days = 730
    note: Annotated[str, Meta(max_length=1_000)] = ""


class Member(Struct):
    """One key of one person. `name` comes from the private register and leaves the node nowhere."""

    name: str
    person: str
    key: str
    roles: list[str]
    status: str
    custody: str
    provider_status: str
    at: int
    until: int


class Members(Struct):
    members: list[Member]
    next: str | None = None


class RevokeRequest(Request):
    reason: Annotated[str, Meta(pattern="^(lost|stolen|left|excluded|rotated)$")]
    key: Hex32 | None = None
    since: int | None = None
    withdraw: bool = False
    """Withdraw their offers and demands first, with the keys that the node holds."""


class Revoked(Struct):
    """`standing` are their offers and demands that still count, `withdrawn` those ended now."""

    person: str
    name: str
    keys: list[str]
    standing: list[str] = []
    withdrawn: list[str] = []


class MandateRequest(Request):
    kinds: Annotated[list[str], Meta(min_length=1, max_length=32)]
    principal: Id | None = None
    delegate: Id | None = None
    delegate_key: Hex32 | None = None
    delegate_coop: Hex32 | None = None
    forbidden: Annotated[list[str], Meta(max_length=32)] = []
    days: Days = 90
    note: Annotated[str, Meta(max_length=400)] = ""


class Mandate(Struct):
    mandate: str
    id: str
    principal: str
    principal_name: str
    delegate_key: str
    delegate_coop: str
    delegate_name: str
    kinds: list[str]
    forbidden: list[str]
    start: int
    end: int
    revoked: bool
    note: str


class Mandates(Struct):
    mandates: list[Mandate]
    next: str | None = None


# --- federation ---------------------------------------------------------------------------------


class Coop(Struct):
    name: str
    coop: str
    node_key: str
    addresses: list[str]
    founder: bool
    admitted: bool
    admissions: int
    """Founders that admit it; it counts from `quorum` of them on. Founders need none."""
    profile: bool
    territory: list[str]


class Criterion(Struct):
    """What an evaluation may mark, from 0 to 5; `labels` is the question, by language."""

    code: str
    labels: dict[str, str]


class Federation(Struct):
    name: str
    fed: str
    created: int
    quorum: int
    languages: list[str]
    criteria: list[Criterion]
    units: list[dict[str, Any]]
    coops: list[Coop]


class InvitationRequest(Request):
    days: Annotated[int, Meta(ge=1, le=90)] = 7
    note: Annotated[str, Meta(max_length=200)] = ""


class InvitationOut(Struct):
    code: str
    expires: int


class AdmissionRequest(Request):
    card: Annotated[str, Meta(min_length=8, max_length=16_384)]


class AdmissionOut(Struct):
    name: str
    coop: str
    missing: int


# --- import -------------------------------------------------------------------------------------


class ImportOptions(Struct):
    """The options of `POST /v1/import`; the body is the file."""

    format: str
    where: list[str] = []
    source: str = ""
    date: str = ""
    licence: str = ""
    url: str = ""
    days: int = 365
    as_member: str | None = None
    sync: bool = False
    dry_run: bool = False
