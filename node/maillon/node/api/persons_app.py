"""The routes about persons: cheques, keys, mandates, groups, moving, privacy (spec/08-persons)."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation

from maillon.node import bounds
from maillon.node.api import groups_shapes as group_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import PUBLIC, Who, needs
from maillon.node.api.persons_service import ActOptions, VoucherOptions
from maillon.node.api.service import Service
from maillon.node.cursors import CURSOR_CHARACTERS_MAX

Node = NamedDependency[SkipValidation[Service]]
Text = Annotated[str, QueryParameter(max_length=200)]
After = Annotated[str, QueryParameter(max_length=CURSOR_CHARACTERS_MAX)]
Rows = Annotated[int, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)]
Lang = FromQuery[Literal["fr", "en"]]
VoucherStatus = FromQuery[Literal["", "open", "presented", "paid", "blocked", "expired"]]

READ = needs("read")
PAY = needs("pay")
PUBLISH = needs("publish")
DESK = needs("desk")
ADMIN = needs("admin")
UNDER_WAY = ("sent", "waiting", "placed", "presented")


# --- paper cheques ------------------------------------------------------------------------------


@post("/v1/voucher-books", status_code=201, opt=DESK)
async def issue_book(service: Node, caller: Who, data: JSONBody[shapes.BookRequest]) -> shapes.Book:
    """Make a book of paper cheques; their codes are in this answer and never shown again."""
    return await service.persons.issue_book(caller, data)


@get("/v1/voucher-books", opt=READ, sync_to_thread=False)
def list_books(service: Node, caller: Who, account: Text = "") -> shapes.Books:
    """List books of cheques, with how many of each are open, paid and blocked."""
    return service.persons.books(caller, account)


@post("/v1/voucher-books/{book:str}/revoke", status_code=200, opt=PAY, sync_to_thread=False)
def revoke_book(
    service: Node, caller: Who, book: FromPath[str], data: JSONBody[shapes.RevokeBookRequest]
) -> shapes.Book:
    """Block every open cheque of a book."""
    return service.persons.revoke_book(caller, book, data)


@get("/v1/vouchers", opt=READ, sync_to_thread=False)
def list_vouchers(
    service: Node,
    caller: Who,
    account: Text = "",
    book: Text = "",
    status: VoucherStatus = "",
    limit: Rows = 100,
    after: After = "",
) -> shapes.Vouchers:
    """List cheques: which are open, paid, blocked."""
    return service.persons.vouchers(caller, VoucherOptions(account, book, status, limit, after))


@post("/v1/vouchers/block", status_code=200, opt=PAY, sync_to_thread=False)
def block_vouchers(
    service: Node, caller: Who, data: JSONBody[shapes.BlockRequest]
) -> shapes.Vouchers:
    """Block cheques that were lost."""
    return service.persons.block(caller, data)


@post("/v1/vouchers/deposits", status_code=201, opt=PAY)
async def deposit(
    service: Node, caller: Who, data: JSONBody[shapes.DepositRequest]
) -> Response[shapes.Deposit]:
    """Deposit a cheque of any coop; asked again it tells what became of it."""
    done = await service.persons.deposit(caller, data)
    return Response(done, status_code=202 if done.status in UNDER_WAY else 201)


@get("/v1/vouchers/deposits", opt=READ, sync_to_thread=False)
def list_deposits(service: Node, caller: Who) -> shapes.Deposits:
    """List cheques of other coops that were deposited here, and what became of them."""
    return service.persons.deposits(caller)


# --- a person and their keys --------------------------------------------------------------------


@get("/v1/persons/{person:str}", opt=READ, sync_to_thread=False)
def show_person(service: Node, caller: Who, person: FromPath[str]) -> shapes.Person:
    """Show what the coop knows of a person and vouches for: keys, status, who verified it."""
    return service.persons.person(caller, person)


@post("/v1/persons/{person:str}/claim-codes", status_code=201, opt=DESK, sync_to_thread=False)
def make_claim_code(
    service: Node, caller: Who, person: FromPath[str], data: JSONBody[shapes.ClaimCodeRequest]
) -> shapes.ClaimCode:
    """Make a code with which a person brings a key of their own; shown this once."""
    return service.persons.claim_code(caller, person, data)


@post("/v1/claims", status_code=201, opt=needs(PUBLIC))
async def claim(service: Node, caller: Who, data: JSONBody[shapes.ClaimRequest]) -> shapes.Claimed:
    """Bring an own key with a code."""
    return await service.persons.claim(caller, data)


@post("/v1/persons/{person:str}/devices", status_code=201, opt=PUBLISH)
async def add_device(
    service: Node, caller: Who, person: FromPath[str], data: JSONBody[shapes.DeviceRequest]
) -> shapes.DeviceChange:
    """Add a device's key: by the desk, or approved by a key of the person."""
    return await service.persons.add_device(caller, person, data)


@post("/v1/persons/{person:str}/devices/{key:str}/remove", status_code=200, opt=PUBLISH)
async def remove_device(
    service: Node,
    caller: Who,
    person: FromPath[str],
    key: FromPath[str],
    data: JSONBody[shapes.RemoveDeviceRequest],
) -> shapes.DeviceChange:
    """End a device's key: in the coop's word, and on the account."""
    return await service.persons.remove_device(caller, person, key, data)


@post("/v1/persons/{person:str}/recoveries", status_code=201, opt=DESK, sync_to_thread=False)
def recover(
    service: Node, caller: Who, person: FromPath[str], data: JSONBody[shapes.RecoveryRequest]
) -> shapes.Recovery:
    """Vouch for a new key in the place of a lost one; it can be contested for a while."""
    return service.persons.recover(caller, person, data)


@get("/v1/recoveries", opt=READ, sync_to_thread=False)
def list_recoveries(service: Node, caller: Who) -> shapes.Recoveries:
    """List recoveries, those that can still be contested first."""
    return service.persons.recoveries(caller)


@post("/v1/recoveries/{recovery:str}/contest", status_code=200, opt=PUBLISH, sync_to_thread=False)
def contest(
    service: Node, caller: Who, recovery: FromPath[str], data: JSONBody[shapes.ContestRequest]
) -> shapes.Recovery:
    """Stop a recovery with an old key of the person."""
    return service.persons.contest(caller, recovery, data)


@get("/v1/persons/{person:str}/mandates", opt=READ, sync_to_thread=False)
def list_mandates_of(service: Node, caller: Who, person: FromPath[str]) -> shapes.PersonMandates:
    """List who may act for a person, and for whom the person may act."""
    return service.persons.mandates_of(caller, person)


@get("/v1/persons/{person:str}/acts", opt=READ, sync_to_thread=False)
def list_acts(
    service: Node,
    caller: Who,
    person: FromPath[str],
    mandate: Text = "",
    since: Annotated[int, QueryParameter(ge=0, le=1 << 40)] = 0,
    before: Annotated[int, QueryParameter(ge=0, le=1 << 40)] = 1 << 40,
    limit: Rows = 100,
    after: After = "",
) -> shapes.Acts:
    """List every act that delegates did for a person, the newest first."""
    options = ActOptions(mandate, since, before, limit, after)
    return service.persons.acts(caller, person, options)


@get("/v1/persons/{person:str}/acts/receipt", opt=READ, sync_to_thread=False)
def acts_receipt(
    service: Node,
    caller: Who,
    person: FromPath[str],
    mandate: Text = "",
    since: Annotated[int, QueryParameter(ge=0, le=1 << 40)] = 0,
    before: Annotated[int, QueryParameter(ge=0, le=1 << 40)] = 1 << 40,
    lang: Lang = "fr",
) -> shapes.Receipt:
    """Give the same list as a sheet to print."""
    options = ActOptions(mandate, since, before, bounds.API_ROWS_MAX, "", lang)
    return service.persons.acts_receipt(caller, person, options)


# --- groups -------------------------------------------------------------------------------------


@post("/v1/groups", status_code=201, opt=PUBLISH)
async def found_group(
    service: Node, caller: Who, data: JSONBody[group_shapes.GroupRequest]
) -> group_shapes.Group:
    """Found a micro-organisation with members, shares and a rule for signing."""
    return await service.persons.found_group(caller, data)


@get("/v1/groups", opt=READ, sync_to_thread=False)
def list_groups(service: Node, caller: Who) -> group_shapes.Groups:
    """List the groups whose accounts are here."""
    return service.persons.groups(caller)


@get("/v1/groups/{group:str}", opt=READ, sync_to_thread=False)
def show_group(service: Node, caller: Who, group: FromPath[str]) -> group_shapes.Group:
    """Show a group: who has consented, and by which shares it splits."""
    return service.persons.group(caller, group)


@post("/v1/groups/{group:str}/consents", status_code=201, opt=PUBLISH, sync_to_thread=False)
def consent(
    service: Node, caller: Who, group: FromPath[str], data: JSONBody[group_shapes.ConsentRequest]
) -> group_shapes.Group:
    """Consent as a member."""
    return service.persons.consent(caller, group, data)


@post("/v1/groups/{group:str}/orders", status_code=201, opt=PAY)
async def propose_order(
    service: Node, caller: Who, group: FromPath[str], data: JSONBody[group_shapes.GroupOrderRequest]
) -> group_shapes.GroupOrder:
    """Propose a payment from the group's account; it is made with enough approvals."""
    return await service.persons.propose_order(caller, group, data)


@post("/v1/groups/{group:str}/orders/{order:str}/approvals", status_code=201, opt=PAY)
async def approve_order(
    service: Node,
    caller: Who,
    group: FromPath[str],
    order: FromPath[str],
    data: JSONBody[group_shapes.ApproveRequest],
) -> group_shapes.GroupOrder:
    """Approve a payment of the group."""
    return await service.persons.approve_order(caller, group, order, data)


@get("/v1/groups/{group:str}/orders", opt=READ, sync_to_thread=False)
def group_orders(service: Node, caller: Who, group: FromPath[str]) -> group_shapes.GroupOrders:
    """List the payments proposed in a group."""
    return service.persons.group_orders(caller, group)


@get("/v1/groups/{group:str}/splits", opt=READ, sync_to_thread=False)
def group_splits(service: Node, caller: Who, group: FromPath[str]) -> group_shapes.Splits:
    """List what came in and how it was split."""
    return service.persons.splits(caller, group)


@post("/v1/groups/{group:str}/splits", status_code=201, opt=PAY)
async def performed(
    service: Node, caller: Who, group: FromPath[str], data: JSONBody[group_shapes.PerformedRequest]
) -> group_shapes.Splits:
    """Say who did the work of a payment, in a group that splits by performer; once."""
    return await service.persons.performed(caller, group, data)


# --- moving -------------------------------------------------------------------------------------


@post("/v1/persons/{person:str}/moves", status_code=201, opt=PUBLISH, sync_to_thread=False)
def prepare_move(
    service: Node, caller: Who, person: FromPath[str], data: JSONBody[shapes.MoveRequest]
) -> shapes.Move:
    """Prepare to leave for another coop; the ticket is shown this once."""
    return service.persons.prepare_move(caller, person, data)


@post("/v1/persons/{person:str}/moves/cancel", status_code=200, opt=PUBLISH, sync_to_thread=False)
def cancel_move(service: Node, caller: Who, person: FromPath[str]) -> shapes.Move:
    """Stay after all, as long as the move is not declared."""
    return service.persons.cancel_move(caller, person)


@get("/v1/moves", opt=READ, sync_to_thread=False)
def list_moves(service: Node, caller: Who) -> shapes.Moves:
    """List who moves away, and how far it has come."""
    return service.persons.moves(caller)


@post("/v1/arrivals/persons", status_code=201, opt=DESK)
async def arrive(
    service: Node, caller: Who, data: JSONBody[shapes.ArrivalRequest]
) -> shapes.Arrived:
    """Take in a person who moves here."""
    return await service.persons.arrive(caller, data)


# --- privacy ------------------------------------------------------------------------------------


@get("/v1/persons/{person:str}/export", media_type="application/zip", opt=READ)
async def export_person(service: Node, caller: Who, person: FromPath[str]) -> Response[bytes]:
    """Give everything that this node holds about a person, as a zip file."""
    data = await service.persons.export_person(caller, person)
    return Response(
        data,
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="maillon-person.zip"'},
    )


@post("/v1/persons/{person:str}/erase", status_code=200, opt=ADMIN)
async def erase_person(
    service: Node, caller: Who, person: FromPath[str], data: JSONBody[shapes.EraseRequest]
) -> shapes.Erased:
    """Erase a person from every file of this node."""
    return await service.persons.erase_person(caller, person, data)


@get("/v1/retention", opt=DESK, sync_to_thread=False)
def show_retention(service: Node, caller: Who) -> shapes.Retention:
    """Show how long what is kept, and what is due."""
    return service.persons.retention(caller)


@post("/v1/retention/run", status_code=200, opt=ADMIN)
async def run_retention(service: Node, caller: Who) -> shapes.Retained:
    """Remove what has been kept long enough; this happens daily by itself."""
    return await service.persons.run_retention(caller)


PERSONS_ROUTES = (
    issue_book,
    list_books,
    revoke_book,
    list_vouchers,
    block_vouchers,
    deposit,
    list_deposits,
    show_person,
    make_claim_code,
    claim,
    add_device,
    remove_device,
    recover,
    list_recoveries,
    contest,
    list_mandates_of,
    list_acts,
    acts_receipt,
    found_group,
    list_groups,
    show_group,
    consent,
    propose_order,
    approve_order,
    group_orders,
    group_splits,
    performed,
    prepare_move,
    cancel_move,
    list_moves,
    arrive,
    export_person,
    erase_person,
    show_retention,
    run_retention,
)
