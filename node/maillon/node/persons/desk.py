"""Answer what people ask about persons through the interface, and go on with what takes long."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import trio

from maillon.node.api import groups_shapes as group_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.persons_service import ActOptions, VoucherOptions
from maillon.node.persons import bounds
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.acts import Acts
from maillon.node.persons.depositing import Depositing
from maillon.node.persons.erasing import Privacy
from maillon.node.persons.groups import Groups
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.keychanges import KeyChanges
from maillon.node.persons.keys import Keys
from maillon.node.persons.moving import Moving
from maillon.node.persons.once import Payments
from maillon.node.persons.records import Writer
from maillon.node.persons.recovering import Recovering
from maillon.node.persons.retention import Keeping
from maillon.node.persons.storage import PersonsDisk
from maillon.node.persons.vouchers import Vouchers
from maillon.node.ports import FrameStream

log = logging.getLogger("maillon.persons")

Job = Callable[[], Awaitable[None]]


class PersonsDesk:
    """Implements api.persons_service.PersonsService."""

    def __init__(self, host: PersonsHost, disk: PersonsDisk | None = None) -> None:
        """Open persons.db of the node's home, unless it is open already."""
        self._host = host
        self.disk = PersonsDisk(host.directory) if disk is None else disk
        self.accounts = Accounts(host)
        self.payments = Payments(host, self.disk, self.accounts)
        self.cheques = Vouchers(host, self.disk, self.accounts, self.payments)
        self.depositing = Depositing(host, self.disk, self.accounts, self.cheques)
        self.writer = Writer(host)
        self.changes = KeyChanges(host, self.disk, self.accounts, self.payments, self.writer)
        self.keys = Keys(host, self.disk, self.accounts, self.changes, self.writer)
        self.acting = Acts(host, self.accounts)
        self.teams = Groups(
            host, self.disk, self.accounts, self.payments, self.cheques, self.writer
        )
        self.moving = Moving(host, self.disk, self.accounts, self.payments, self.writer)
        self.privacy = Privacy(host, self.disk, self.accounts, self.payments, self.writer)
        self.keeping = Keeping(host, self.disk)
        self.recovering = Recovering(host, self.disk, self.accounts, self.changes, self.writer)

    def close(self) -> None:
        """Close persons.db."""
        self.disk.close()

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on with what takes long, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._loop, self.own_jobs())
            # Apart: other coops' nodes may take their time to answer.
            nursery.start_soon(self._loop, self.far_jobs())

    async def _loop(self, jobs: Sequence[Job]) -> None:
        while True:
            await self._do(jobs)
            await trio.sleep(bounds.JOBS_PAUSE_S)

    def own_jobs(self) -> list[Job]:
        """Return what goes on by itself with what this node has."""
        jobs: list[Job] = [
            self.recovering.work,
            self.moving.work,
            self.privacy.work,
            self.keeping.work,
        ]
        if self.accounts.kept:
            jobs += [self.cheques.settle, self.changes.work, self.teams.work, self.moving.bring]
        return jobs

    def far_jobs(self) -> list[Job]:
        """Return what other coops' nodes have to answer."""
        return [self.depositing.retry] if self.accounts.kept else []

    async def work(self) -> None:
        """Look once at everything that goes on by itself."""
        await self._do([*self.own_jobs(), *self.far_jobs()])

    async def _do(self, jobs: Sequence[Job]) -> None:
        """Do jobs one after the other; one fault stops nothing else."""
        for job in jobs:
            try:
                await job()
            except Exception:
                log.error("a job about persons failed", exc_info=True)

    async def serve(self, stream: FrameStream) -> None:
        """Answer a stream of voucherframes.PROTOCOL."""
        await self.depositing.serve(stream)

    # --- paper cheques --------------------------------------------------------------------------

    async def issue_book(self, caller: Caller, request: shapes.BookRequest) -> shapes.Book:
        return self.cheques.issue(caller, request)

    def books(self, caller: Caller, account: str) -> shapes.Books:
        return self.cheques.books(caller, account)

    def revoke_book(
        self, caller: Caller, book: str, request: shapes.RevokeBookRequest
    ) -> shapes.Book:
        return self.cheques.revoke(caller, book, request.reason)

    def block(self, caller: Caller, request: shapes.BlockRequest) -> shapes.Vouchers:
        return self.cheques.block(caller, request)

    def vouchers(self, caller: Caller, options: VoucherOptions) -> shapes.Vouchers:
        return self.cheques.listed(caller, options)

    async def deposit(self, caller: Caller, request: shapes.DepositRequest) -> shapes.Deposit:
        return await self.depositing.deposit(caller, request)

    def deposits(self, caller: Caller) -> shapes.Deposits:
        return self.depositing.listed(caller)

    # --- a person and their keys ----------------------------------------------------------------

    def person(self, caller: Caller, person: str) -> shapes.Person:
        return self.keys.show(caller, person)

    def claim_code(
        self, caller: Caller, person: str, request: shapes.ClaimCodeRequest
    ) -> shapes.ClaimCode:
        return self.keys.claim_code(caller, person, request)

    async def claim(self, caller: Caller, request: shapes.ClaimRequest) -> shapes.Claimed:
        return await self.keys.claim(request)

    async def add_device(
        self, caller: Caller, person: str, request: shapes.DeviceRequest
    ) -> shapes.DeviceChange:
        return await self.keys.add_device(caller, person, request)

    async def remove_device(
        self, caller: Caller, person: str, key: str, request: shapes.RemoveDeviceRequest
    ) -> shapes.DeviceChange:
        return await self.keys.remove_device(caller, person, key, request)

    def recover(
        self, caller: Caller, person: str, request: shapes.RecoveryRequest
    ) -> shapes.Recovery:
        return self.recovering.begin(caller, person, request)

    def recoveries(self, caller: Caller) -> shapes.Recoveries:
        return self.recovering.listed(caller)

    def contest(
        self, caller: Caller, recovery: str, request: shapes.ContestRequest
    ) -> shapes.Recovery:
        return self.recovering.contest(caller, recovery, request)

    def mandates_of(self, caller: Caller, person: str) -> shapes.PersonMandates:
        return self.acting.mandates(caller, person)

    def acts(self, caller: Caller, person: str, options: ActOptions) -> shapes.Acts:
        return self.acting.listed(caller, person, options)

    def acts_receipt(self, caller: Caller, person: str, options: ActOptions) -> shapes.Receipt:
        return self.acting.receipt(caller, person, options)

    # --- groups ---------------------------------------------------------------------------------

    async def found_group(
        self, caller: Caller, request: group_shapes.GroupRequest
    ) -> group_shapes.Group:
        return await self.teams.found(caller, request)

    def groups(self, caller: Caller) -> group_shapes.Groups:
        return self.teams.listed(caller)

    def group(self, caller: Caller, group: str) -> group_shapes.Group:
        return self.teams.show(caller, group)

    def consent(
        self, caller: Caller, group: str, request: group_shapes.ConsentRequest
    ) -> group_shapes.Group:
        return self.teams.consent(caller, group, request)

    async def propose_order(
        self, caller: Caller, group: str, request: group_shapes.GroupOrderRequest
    ) -> group_shapes.GroupOrder:
        return await self.teams.propose(caller, group, request)

    async def approve_order(
        self, caller: Caller, group: str, order: str, request: group_shapes.ApproveRequest
    ) -> group_shapes.GroupOrder:
        return await self.teams.approve(caller, group, order, request)

    def group_orders(self, caller: Caller, group: str) -> group_shapes.GroupOrders:
        return self.teams.orders(caller, group)

    def splits(self, caller: Caller, group: str) -> group_shapes.Splits:
        return self.teams.splits(caller, group)

    async def performed(
        self, caller: Caller, group: str, request: group_shapes.PerformedRequest
    ) -> group_shapes.Splits:
        return await self.teams.told(caller, group, request)

    # --- moving ---------------------------------------------------------------------------------

    def prepare_move(self, caller: Caller, person: str, request: shapes.MoveRequest) -> shapes.Move:
        return self.moving.prepare(caller, person, request)

    def moves(self, caller: Caller) -> shapes.Moves:
        return self.moving.listed(caller)

    def cancel_move(self, caller: Caller, person: str) -> shapes.Move:
        return self.moving.cancel(caller, person)

    async def arrive(self, caller: Caller, request: shapes.ArrivalRequest) -> shapes.Arrived:
        return await self.moving.arrive(caller, request)

    # --- privacy --------------------------------------------------------------------------------

    async def export_person(self, caller: Caller, person: str) -> bytes:
        return self.privacy.export(caller, person)

    async def erase_person(
        self, caller: Caller, person: str, request: shapes.EraseRequest
    ) -> shapes.Erased:
        return await self.privacy.erase(caller, person, request)

    def retention(self, caller: Caller) -> shapes.Retention:
        return self.keeping.show()

    async def run_retention(self, caller: Caller) -> shapes.Retained:
        return self.keeping.run()
