"""The routes of the local interface about accounts (docs/cli.md, "The local interface")."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation

from maillon.node import bounds
from maillon.node.api import charter_shapes, own
from maillon.node.api import ledger_shapes as shapes
from maillon.node.api.caller import OPERATOR, Who, needs
from maillon.node.api.ledger_service import (
    AccountOptions,
    StatementOptions,
    TransferOptions,
)
from maillon.node.api.paging import page
from maillon.node.api.problems import OrderRefused
from maillon.node.api.service import Service
from maillon.node.cursors import CURSOR_CHARACTERS_MAX

Node = NamedDependency[SkipValidation[Service]]
Text = Annotated[str, QueryParameter(max_length=200)]
After = Annotated[str, QueryParameter(max_length=CURSOR_CHARACTERS_MAX)]
Rows = Annotated[int, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)]
Time = Annotated[int | None, QueryParameter(ge=0, le=1 << 40)]
WAITING = ("waiting", "placed")
Answer = Response[shapes.Placed]


def _answer(placed: shapes.Placed, done: int) -> Answer:
    """Answer `done` for what is certain, 202 for what waits. Raises: OrderRefused."""
    if placed.status == "refused":
        raise OrderRefused(placed)
    return Response(placed, status_code=202 if placed.status in WAITING else done)


@get("/v1/accounts", opt=needs("desk"), sync_to_thread=False)
def accounts(
    service: Node,
    caller: Who,
    coop: Text = "",
    unit: Text = "",
    all: FromQuery[bool] = False,
    limit: Annotated[int | None, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)] = None,
    after: After = "",
) -> shapes.Accounts:
    """List accounts, this coop's when no other is named."""
    found = service.ledger.accounts(AccountOptions(coop=coop, unit=unit, all=all))
    if limit is None and not after and caller.kind == "operator":
        return shapes.Accounts(found.accounts, found.at, None)
    rows, following = page(
        "accounts", found.accounts, lambda row: (row.coop, row.account), limit=limit, after=after
    )
    return shapes.Accounts(rows, found.at, following)


@get("/v1/accounts/{account:str}", opt=needs("read"), sync_to_thread=False)
def show_account(service: Node, caller: Who, account: FromPath[str]) -> shapes.Account:
    """Show one account, of this coop by id or name, of another as `coop:account`.

    People see their own.
    """
    own.require_account(service, caller, account)
    return service.ledger.account(account)


@post("/v1/accounts", opt=needs("desk"), status_code=201)
async def open_account(service: Node, data: JSONBody[shapes.AccountRequest]) -> Answer:
    """Open an account."""
    return _answer(await service.ledger.open_account(data), 201)


@post("/v1/accounts/{account:str}/limit", opt=needs("desk"), status_code=200)
async def limit(
    service: Node, account: FromPath[str], data: JSONBody[shapes.LimitRequest]
) -> Answer:
    """Set the credit limit and maximum of an account in one unit."""
    return _answer(await service.ledger.limit(account, data), 200)


@post("/v1/accounts/{account:str}/close", opt=needs("desk"), status_code=200)
async def close(
    service: Node, account: FromPath[str], data: JSONBody[shapes.CloseRequest]
) -> Answer:
    """Close an account that is at zero."""
    return _answer(await service.ledger.close(account, data), 200)


@post("/v1/accounts/{account:str}/recover", opt=needs("desk"), status_code=200)
async def recover(
    service: Node, account: FromPath[str], data: JSONBody[shapes.RecoverRequest]
) -> Answer:
    """Vouch for a new key of an account whose keys are lost."""
    return _answer(await service.ledger.recover(account, data), 200)


@post("/v1/accounts/{account:str}/keys", opt=needs("pay"), status_code=200)
async def keys(
    service: Node, caller: Who, account: FromPath[str], data: JSONBody[shapes.KeysRequest]
) -> Answer:
    """Add or drop a key of an account."""
    own.require_account(service, caller, account)
    return _answer(await service.ledger.keys(account, data), 200)


@post("/v1/accounts/{account:str}/mandates", opt=needs("pay"), status_code=201)
async def give_mandate(
    service: Node,
    caller: Who,
    account: FromPath[str],
    data: JSONBody[shapes.SpendingMandateRequest],
) -> Answer:
    """Let another key pay from an account within bounds."""
    own.require_account(service, caller, account)
    return _answer(await service.ledger.give_mandate(account, data), 201)


@post("/v1/accounts/{account:str}/mandates/{mandate:str}/revoke", opt=needs("pay"), status_code=200)
async def revoke_mandate(
    service: Node, caller: Who, account: FromPath[str], mandate: FromPath[str]
) -> Answer:
    """End such a mandate."""
    own.require_account(service, caller, account)
    return _answer(await service.ledger.revoke_mandate(account, mandate), 200)


@get(
    "/v1/accounts/{account:str}/statement",
    sync_to_thread=False,
    # `from` is no name for a parameter in Python.
    opt=needs("read") | {"query_names": {"start": "from", "end": "to"}},
)
def statement(
    service: Node,
    caller: Who,
    account: FromPath[str],
    start: Annotated[int | None, QueryParameter(name="from", ge=0, le=1 << 40)] = None,
    end: Annotated[int | None, QueryParameter(name="to", ge=0, le=1 << 40)] = None,
    limit: Rows = 100,
    after: After = "",
    unit: Text = "",
) -> shapes.Statement:
    """List what moved an account's balance, the oldest first."""
    own.require_account(service, caller, account)
    return service.ledger.statement(
        account,
        StatementOptions(
            start=start or 0,
            end=1 << 40 if end is None else end,
            limit=limit,
            after=after,
            unit=unit,
        ),
    )


@post("/v1/transfers", opt=needs("pay"), status_code=201)
async def transfer(service: Node, caller: Who, data: JSONBody[shapes.TransferRequest]) -> Answer:
    """Pay from an account here; the answer says whether it is certain yet."""
    return _answer(await service.ledger.transfer(own.paying(service, caller, data)), 201)


@post("/v1/transfers/signed", opt=needs("pay"), status_code=201)
async def signed(
    service: Node, data: JSONBody[shapes.SignedRequest]
) -> Response[shapes.Placed | shapes.PlacedMany]:
    """Take in an order that was signed on a device, or `orders` that were."""
    if data.orders:
        return Response(await service.ledger.signed_many(data), status_code=201)
    answer = _answer(await service.ledger.signed(data), 201)
    return Response(answer.content, status_code=answer.status_code)


@get("/v1/transfers", opt=needs("desk"), sync_to_thread=False)
def transfers(
    service: Node, status: Text = "", limit: Rows = 100, after: Text = ""
) -> shapes.Transfers:
    """List transfers of this coop's accounts, the newest first."""
    return service.ledger.transfers(TransferOptions(status=status, limit=limit, after=after))


@get("/v1/transfers/{id:str}", opt=needs("read"), sync_to_thread=False)
def show_transfer(service: Node, caller: Who, id: FromPath[str]) -> shapes.TransferProof:
    """Show one transfer and everything that makes it certain."""
    own.require_transfer(service, caller, id)
    return service.ledger.show_transfer(id)


@get("/v1/transfers/{id:str}/proof", opt=needs("read"), sync_to_thread=False)
def prove_transfer(service: Node, caller: Who, id: FromPath[str]) -> shapes.EntryProof:
    """Give out what proves a certified transfer to somebody who has no node."""
    own.require_transfer(service, caller, id)
    return service.ledger.prove_transfer(id)


@post("/v1/transfers/{id:str}/confirm", opt=needs("pay"), status_code=200)
async def confirm(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[shapes.ConfirmRequest]
) -> Answer:
    """Confirm that what a hold is for was done, so that it is paid."""
    own.require_transfer(service, caller, id, side="payer")
    return _answer(await service.ledger.confirm(id, data), 200)


@post("/v1/transfers/{id:str}/release", opt=needs("pay"), status_code=200)
async def release(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[shapes.ReleaseRequest]
) -> Answer:
    """Give a hold back to who made it."""
    own.require_transfer(service, caller, id, side="payee")
    return _answer(await service.ledger.release(id, data), 200)


@post("/v1/transfers/{id:str}/reverse", opt=needs("pay"), status_code=201)
async def reverse(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[shapes.ReverseRequest]
) -> Answer:
    """Send a transfer back with a new one."""
    own.require_transfer(service, caller, id, side="payee")
    return _answer(await service.ledger.reverse(id, data), 201)


@get("/v1/ledger", opt=needs("read"), sync_to_thread=False)
def status(service: Node) -> shapes.LedgerStatus:
    """Tell how the ledger is."""
    return service.ledger.status()


@get("/v1/ledger/heads", opt=needs("read"), sync_to_thread=False)
def heads(service: Node) -> shapes.Heads:
    """List the last certified block of every chain."""
    return service.ledger.heads()


@post("/v1/ledger/verify", opt=needs("admin"), status_code=200)
async def verify(service: Node) -> shapes.VerifyReport:
    """Replay every chain kept here and add everything up."""
    return await service.ledger.verify()


@get("/v1/ledger/fork-proofs", opt=needs("read"), sync_to_thread=False)
def fork_proofs(service: Node) -> shapes.ForkProofs:
    """List the proofs that somebody signed two things at one place."""
    return service.ledger.fork_proofs()


@post("/v1/ledger/export", opt=needs(OPERATOR), status_code=200)
async def export(service: Node, data: JSONBody[shapes.ExportRequest]) -> shapes.LedgerExport:
    """Write everything an auditor needs into a directory."""
    return await service.ledger.export(data)


@get("/v1/charter", opt=needs("read"), sync_to_thread=False)
def charter(service: Node) -> charter_shapes.CharterOut:
    """Show the charter: who keeps the accounts, and by which rules."""
    return service.ledger.charter()


@get("/v1/charter/proposals", opt=needs("read"), sync_to_thread=False)
def proposals(service: Node) -> charter_shapes.Proposals:
    """List the changes of the charter that are proposed."""
    return service.ledger.proposals()


@post("/v1/charter/proposals", opt=needs("admin"), status_code=201)
async def propose(
    service: Node, data: JSONBody[charter_shapes.ProposalRequest]
) -> charter_shapes.ProposalOut:
    """Propose a change of the charter and approve it for this coop."""
    return await service.ledger.propose(data)


@post("/v1/charter/proposals/{hash:str}/approve", opt=needs("admin"), status_code=200)
async def approve(service: Node, hash: FromPath[str]) -> charter_shapes.ProposalOut:
    """Approve a proposed change for this coop."""
    return await service.ledger.approve(hash)


LEDGER_ROUTES = (
    accounts,
    show_account,
    open_account,
    limit,
    close,
    recover,
    keys,
    give_mandate,
    revoke_mandate,
    statement,
    transfer,
    signed,
    transfers,
    show_transfer,
    prove_transfer,
    confirm,
    release,
    reverse,
    status,
    heads,
    verify,
    fork_proofs,
    export,
    charter,
    proposals,
    propose,
    approve,
)
