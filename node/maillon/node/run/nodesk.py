"""Answer for a federation that keeps no accounts: plainly, and with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from maillon.ledger.errors import NoLedger
from maillon.node.api import charter_shapes
from maillon.node.api import ledger_shapes as shapes
from maillon.node.api.ledger_service import AccountOptions, StatementOptions, TransferOptions
from maillon.node.i18n import _

if TYPE_CHECKING:
    from maillon.node.run.node import Node


class NoDesk:
    """Implements api.ledger_service.LedgerService where there is no ledger."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def _refuse(self) -> NoReturn:
        raise NoLedger(
            _("This federation was founded without accounts."),
            hint=_(
                "Accounts are agreed on by all founders: found a new federation with them, or "
                "ask who founded this one."
            ),
        )

    def accounts(self, options: AccountOptions) -> shapes.Accounts:
        self._refuse()

    def account(self, account: str) -> shapes.Account:
        self._refuse()

    async def open_account(self, request: shapes.AccountRequest) -> shapes.Placed:
        self._refuse()

    async def limit(self, account: str, request: shapes.LimitRequest) -> shapes.Placed:
        self._refuse()

    async def close(self, account: str, request: shapes.CloseRequest) -> shapes.Placed:
        self._refuse()

    async def recover(self, account: str, request: shapes.RecoverRequest) -> shapes.Placed:
        self._refuse()

    async def keys(self, account: str, request: shapes.KeysRequest) -> shapes.Placed:
        self._refuse()

    async def give_mandate(
        self, account: str, request: shapes.SpendingMandateRequest
    ) -> shapes.Placed:
        self._refuse()

    async def revoke_mandate(self, account: str, mandate: str) -> shapes.Placed:
        self._refuse()

    def statement(self, account: str, options: StatementOptions) -> shapes.Statement:
        self._refuse()

    async def transfer(self, request: shapes.TransferRequest) -> shapes.Placed:
        self._refuse()

    async def signed(self, request: shapes.SignedRequest) -> shapes.Placed:
        self._refuse()

    async def signed_many(self, request: shapes.SignedRequest) -> shapes.PlacedMany:
        self._refuse()

    def transfers(self, options: TransferOptions) -> shapes.Transfers:
        self._refuse()

    def show_transfer(self, id: str) -> shapes.TransferProof:
        self._refuse()

    def prove_transfer(self, id: str) -> shapes.EntryProof:
        self._refuse()

    async def confirm(self, id: str, request: shapes.ConfirmRequest) -> shapes.Placed:
        self._refuse()

    async def release(self, id: str, request: shapes.ReleaseRequest) -> shapes.Placed:
        self._refuse()

    async def reverse(self, id: str, request: shapes.ReverseRequest) -> shapes.Placed:
        self._refuse()

    def status(self) -> shapes.LedgerStatus:
        return shapes.LedgerStatus(
            enabled=False,
            fed=self._node.founding.fed.hex(),
            coop=self._node.coop.hex(),
            quorum=0,
            witnesses_needed="",
            charter=0,
            writer_key="",
            witness_key="",
            writer=shapes.WriterState("none", 0, 0, 0, ""),
            witness="none",
            orders={},
            chains=[],
            witnesses=[],
            trade=[],
            latency_ms={},
            notices=[],
        )

    def heads(self) -> shapes.Heads:
        self._refuse()

    async def verify(self) -> shapes.VerifyReport:
        self._refuse()

    def fork_proofs(self) -> shapes.ForkProofs:
        self._refuse()

    async def export(self, request: shapes.ExportRequest) -> shapes.LedgerExport:
        self._refuse()

    def charter(self) -> charter_shapes.CharterOut:
        return charter_shapes.CharterOut(
            enabled=False,
            height=0,
            hash="",
            time=0,
            quorum=0,
            approvals=0,
            recovery_s=0,
            accounts_max=0,
            units=[],
            coops=[],
            retired_below=0,
            sentences=[],
        )

    def proposals(self) -> charter_shapes.Proposals:
        self._refuse()

    async def propose(self, request: charter_shapes.ProposalRequest) -> charter_shapes.ProposalOut:
        self._refuse()

    async def approve(self, hash: str) -> charter_shapes.ProposalOut:
        self._refuse()
