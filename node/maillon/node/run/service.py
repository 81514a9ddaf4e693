"""A running node behind the local interface: every request ends in one of these methods."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from maillon.node import clock
from maillon.node.api import shapes
from maillon.node.api.access_service import AccessService
from maillon.node.api.exchange_service import ExchangeService
from maillon.node.api.ledger_service import LedgerService
from maillon.node.api.matching_service import MatchingService
from maillon.node.api.persons_service import PersonsService
from maillon.node.api.service import ListOptions, SearchOptions
from maillon.node.i18n import _
from maillon.node.run.admission import admission_draft, missing_founders
from maillon.node.run.backup import write_backup
from maillon.node.run.importing import Import
from maillon.node.run.telling import federation, metrics, peers, status
from maillon.protocol.cards import TOKEN_BYTES, Invitation, card_from_text
from maillon.protocol.errors import LocalError
from maillon.protocol.records import DAY_S

if TYPE_CHECKING:
    from maillon.node.run.node import Node


class NodeService:
    """Implements api.service.Service."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def door(self) -> AccessService:
        return self._node.interface

    @property
    def ledger(self) -> LedgerService:
        return self._node.ledger.desk

    @property
    def persons(self) -> PersonsService:
        return self._node.persons.desk

    @property
    def exchange(self) -> ExchangeService:
        return self._node.exchanges.desk

    @property
    def matching(self) -> MatchingService:
        return self._node.matching.desk

    # --- the node -------------------------------------------------------------------------------

    def status(self) -> shapes.Status:
        return status(self._node)

    def peers(self) -> shapes.Peers:
        return peers(self._node)

    def metrics(self) -> str:
        return metrics(self._node)

    def arrivals(self, since: int, limit: int) -> shapes.Arrivals:
        found, following, missed = self._node.arrivals.since(since, limit)
        return shapes.Arrivals(
            [shapes.Arrival(id.hex(), at) for id, at in found], following, missed
        )

    async def backup(self, request: shapes.BackupRequest) -> shapes.Backup:
        node = self._node
        done = await trio.to_thread.run_sync(
            lambda: write_backup(node.home, Path(request.directory), records=request.records)
        )
        return shapes.Backup(**done)

    # --- records --------------------------------------------------------------------------------

    def search(self, options: SearchOptions) -> shapes.Hits:
        return self._node.searching.search(options)

    def records(self, options: ListOptions) -> shapes.Records:
        return self._node.catalogue.records(options)

    def record(self, id: str, raw: bool) -> shapes.RecordOut:
        return self._node.catalogue.one(id, raw=raw)

    def export(self, options: ListOptions) -> AsyncIterator[shapes.RecordOut]:
        return self._node.catalogue.export(options)

    async def publish(self, request: shapes.PublishRequest) -> shapes.Published:
        return self._node.authoring.publish(request)

    async def withdraw(self, id: str, request: shapes.WithdrawRequest) -> shapes.Published:
        return self._node.authoring.withdraw(id, request)

    async def import_file(
        self, data: bytes, options: shapes.ImportOptions
    ) -> AsyncIterator[dict[str, Any]]:
        async for event in Import(self._node, options).run(data):
            yield event

    # --- people ---------------------------------------------------------------------------------

    def members(self) -> shapes.Members:
        return self._node.people.members()

    async def add_member(self, request: shapes.MemberRequest) -> shapes.Member:
        return self._node.people.add(request)

    async def revoke_member(self, person: str, request: shapes.RevokeRequest) -> shapes.Revoked:
        return self._node.people.revoke(person, request)

    def mandates(self) -> shapes.Mandates:
        return self._node.people.mandates()

    async def give_mandate(self, request: shapes.MandateRequest) -> shapes.Mandate:
        return self._node.people.give(request)

    async def revoke_mandate(self, id: str) -> shapes.Mandate:
        return self._node.people.revoke_mandate(id)

    # --- the federation -------------------------------------------------------------------------

    def federation(self) -> shapes.Federation:
        return federation(self._node)

    def invite(self, request: shapes.InvitationRequest) -> shapes.InvitationOut:
        node = self._node
        now = clock.now()
        addresses = [address.partition("/p2p/")[0] for address in node.network.addresses()]
        if not addresses:
            raise LocalError(
                _("This node has no address that others could call."),
                hint=_("Set [network] listen or announce in config.toml."),
            )
        token = os.urandom(TOKEN_BYTES)
        expires = now + request.days * DAY_S
        node.register.add_invitation(token, expires, request.note, now)
        invitation = Invitation(
            node.founding.fed, node.node_key.public, tuple(addresses), token, expires
        )
        return shapes.InvitationOut(invitation.to_text(), expires)

    async def admit(self, request: shapes.AdmissionRequest) -> shapes.AdmissionOut:
        node = self._node
        card = card_from_text(request.card)
        if node.founding.founder(node.coop) is None:
            raise LocalError(
                _("Only founding coops admit others; yours joined later."),
                hint=_("Pass the card on to one of the founders: maillon federation show"),
            )
        draft = admission_draft(node, card)
        if draft is not None:
            node.author(draft, node.node_key)
        missing, _names = missing_founders(node, card.id)
        return shapes.AdmissionOut(card.name, card.id.hex(), missing)
