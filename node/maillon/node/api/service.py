"""What the node must be able to do for the local interface to serve it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from maillon.node.api import shapes
from maillon.node.api.access_service import AccessService
from maillon.node.api.exchange_service import ExchangeService
from maillon.node.api.ledger_service import LedgerService
from maillon.node.api.matching_service import MatchingService
from maillon.node.api.persons_service import PersonsService


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What `GET /v1/search` asks for."""

    words: str = ""
    kinds: Sequence[str] = ()
    categories: Sequence[str] = ()
    modes: Sequence[str] = ()
    coops: Sequence[str] = ()
    all_categories: bool = False
    audience: Sequence[str] = ()
    languages: Sequence[str] = ()
    languages_only: bool = False
    access: Sequence[str] = ()
    provider_statuses: Sequence[str] = ()
    verified: str = ""
    urgency: Sequence[str] = ()
    point: tuple[float, float] | None = None
    radius_km: float | None = None
    remote_too: bool = True
    start: int | None = None
    end: int | None = None
    order: str = "best"
    limit: int = 20
    offset: int = 0
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What `GET /v1/records` and `GET /v1/export` ask for."""

    kinds: Sequence[str] = ()
    mine: bool = False
    raw: bool = False
    limit: int = 100
    after: str = ""
    coops: Sequence[str] = field(default=())


class Service(Protocol):
    """A running node. Every method raises MaillonErrors, which become problem documents."""

    @property
    def door(self) -> AccessService:
        """Return the way in: sessions, tokens, events, what devices sign."""
        ...

    @property
    def ledger(self) -> LedgerService:
        """Return the accounts of the node."""
        ...

    @property
    def persons(self) -> PersonsService:
        """Return the affairs of persons: cheques, keys, groups, moving, privacy."""
        ...

    @property
    def exchange(self) -> ExchangeService:
        """Return the exchanges of people here."""
        ...

    @property
    def matching(self) -> MatchingService:
        """Return what brings offers and demands together."""
        ...

    def status(self) -> shapes.Status: ...

    def peers(self) -> shapes.Peers: ...

    def metrics(self) -> str: ...

    def arrivals(self, since: int, limit: int) -> shapes.Arrivals: ...

    async def backup(self, request: shapes.BackupRequest) -> shapes.Backup: ...

    def search(self, options: SearchOptions) -> shapes.Hits: ...

    def records(self, options: ListOptions) -> shapes.Records: ...

    def record(self, id: str, raw: bool) -> shapes.RecordOut: ...

    def export(self, options: ListOptions) -> AsyncIterator[shapes.RecordOut]: ...

    async def publish(self, request: shapes.PublishRequest) -> shapes.Published: ...

    async def withdraw(self, id: str, request: shapes.WithdrawRequest) -> shapes.Published: ...

    def import_file(
        self, data: bytes, options: shapes.ImportOptions
    ) -> AsyncIterator[dict[str, Any]]: ...

    def members(self) -> shapes.Members: ...

    async def add_member(self, request: shapes.MemberRequest) -> shapes.Member: ...

    async def revoke_member(self, person: str, request: shapes.RevokeRequest) -> shapes.Revoked: ...

    def mandates(self) -> shapes.Mandates: ...

    async def give_mandate(self, request: shapes.MandateRequest) -> shapes.Mandate: ...

    async def revoke_mandate(self, id: str) -> shapes.Mandate: ...

    def federation(self) -> shapes.Federation: ...

    def invite(self, request: shapes.InvitationRequest) -> shapes.InvitationOut: ...

    async def admit(self, request: shapes.AdmissionRequest) -> shapes.AdmissionOut: ...
