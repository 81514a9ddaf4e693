"""What the ledger of a node must be able to do for the local interface to serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from maillon.node.api import charter_shapes
from maillon.node.api import ledger_shapes as shapes


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """What `GET /v1/accounts` asks for: with `all`, closed accounts too; `coop` of any chain."""

    coop: str = ""
    unit: str = ""
    all: bool = False


@dataclass(frozen=True, slots=True)
class StatementOptions:
    """What `GET /v1/accounts/{account}/statement` asks for; times are Unix seconds."""

    start: int = 0
    end: int = 1 << 40
    limit: int = 100
    after: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """What `GET /v1/transfers` asks for."""

    status: str = ""
    limit: int = 100
    after: str = ""


class LedgerService(Protocol):
    """The accounts behind the interface. Every method raises MaillonErrors.

    A node of a federation without accounts answers `status` and `charter` with enabled=False, and
    everything else with the error `no_ledger`.
    """

    # accounts

    def accounts(self, options: AccountOptions) -> shapes.Accounts: ...

    def account(self, account: str) -> shapes.Account: ...

    async def open_account(self, request: shapes.AccountRequest) -> shapes.Placed: ...

    async def limit(self, account: str, request: shapes.LimitRequest) -> shapes.Placed: ...

    async def close(self, account: str, request: shapes.CloseRequest) -> shapes.Placed: ...

    async def recover(self, account: str, request: shapes.RecoverRequest) -> shapes.Placed: ...

    async def keys(self, account: str, request: shapes.KeysRequest) -> shapes.Placed: ...

    async def give_mandate(
        self, account: str, request: shapes.SpendingMandateRequest
    ) -> shapes.Placed: ...

    async def revoke_mandate(self, account: str, mandate: str) -> shapes.Placed: ...

    def statement(self, account: str, options: StatementOptions) -> shapes.Statement: ...

    # transfers

    async def transfer(self, request: shapes.TransferRequest) -> shapes.Placed: ...

    async def signed(self, request: shapes.SignedRequest) -> shapes.Placed: ...

    async def signed_many(self, request: shapes.SignedRequest) -> shapes.PlacedMany: ...

    def transfers(self, options: TransferOptions) -> shapes.Transfers: ...

    def show_transfer(self, id: str) -> shapes.TransferProof: ...

    def prove_transfer(self, id: str) -> shapes.EntryProof: ...

    async def confirm(self, id: str, request: shapes.ConfirmRequest) -> shapes.Placed: ...

    async def release(self, id: str, request: shapes.ReleaseRequest) -> shapes.Placed: ...

    async def reverse(self, id: str, request: shapes.ReverseRequest) -> shapes.Placed: ...

    # the ledger

    def status(self) -> shapes.LedgerStatus: ...

    def heads(self) -> shapes.Heads: ...

    async def verify(self) -> shapes.VerifyReport: ...

    def fork_proofs(self) -> shapes.ForkProofs: ...

    async def export(self, request: shapes.ExportRequest) -> shapes.LedgerExport: ...

    # the charter

    def charter(self) -> charter_shapes.CharterOut: ...

    def proposals(self) -> charter_shapes.Proposals: ...

    async def propose(
        self, request: charter_shapes.ProposalRequest
    ) -> charter_shapes.ProposalOut: ...

    async def approve(self, hash: str) -> charter_shapes.ProposalOut: ...
