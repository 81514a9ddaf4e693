"""What a node must be able to do about persons for the interface to serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from maillon.node.api import groups_shapes as group_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller


@dataclass(frozen=True, slots=True)
class VoucherOptions:
    """What `GET /v1/vouchers` asks for."""

    account: str = ""
    book: str = ""
    status: str = ""
    limit: int = 100
    after: str = ""


@dataclass(frozen=True, slots=True)
class ActOptions:
    """What `GET /v1/persons/{person}/acts` asks for; times are Unix seconds, the newest first."""

    mandate: str = ""
    start: int = 0
    end: int = 1 << 40
    limit: int = 100
    after: str = ""
    lang: str = "fr"


class PersonsService(Protocol):
    """Cheques, keys, mandates, groups, moving and privacy. Every method raises MaillonErrors.

    `caller` is who asks: a person may ask for themselves and for whom they act, the desk and the
    operator for everybody of the coop.
    """

    # paper cheques

    async def issue_book(self, caller: Caller, request: shapes.BookRequest) -> shapes.Book: ...

    def books(self, caller: Caller, account: str) -> shapes.Books: ...

    def revoke_book(
        self, caller: Caller, book: str, request: shapes.RevokeBookRequest
    ) -> shapes.Book: ...

    def block(self, caller: Caller, request: shapes.BlockRequest) -> shapes.Vouchers: ...

    def vouchers(self, caller: Caller, options: VoucherOptions) -> shapes.Vouchers: ...

    async def deposit(self, caller: Caller, request: shapes.DepositRequest) -> shapes.Deposit: ...

    def deposits(self, caller: Caller) -> shapes.Deposits: ...

    # a person and their keys

    def person(self, caller: Caller, person: str) -> shapes.Person: ...

    def claim_code(
        self, caller: Caller, person: str, request: shapes.ClaimCodeRequest
    ) -> shapes.ClaimCode: ...

    async def claim(self, caller: Caller, request: shapes.ClaimRequest) -> shapes.Claimed: ...

    async def add_device(
        self, caller: Caller, person: str, request: shapes.DeviceRequest
    ) -> shapes.DeviceChange: ...

    async def remove_device(
        self, caller: Caller, person: str, key: str, request: shapes.RemoveDeviceRequest
    ) -> shapes.DeviceChange: ...

    def recover(
        self, caller: Caller, person: str, request: shapes.RecoveryRequest
    ) -> shapes.Recovery: ...

    def recoveries(self, caller: Caller) -> shapes.Recoveries: ...

    def contest(
        self, caller: Caller, recovery: str, request: shapes.ContestRequest
    ) -> shapes.Recovery: ...

    def mandates_of(self, caller: Caller, person: str) -> shapes.PersonMandates: ...

    def acts(self, caller: Caller, person: str, options: ActOptions) -> shapes.Acts: ...

    def acts_receipt(self, caller: Caller, person: str, options: ActOptions) -> shapes.Receipt: ...

    # groups

    async def found_group(
        self, caller: Caller, request: group_shapes.GroupRequest
    ) -> group_shapes.Group: ...

    def groups(self, caller: Caller) -> group_shapes.Groups: ...

    def group(self, caller: Caller, group: str) -> group_shapes.Group: ...

    def consent(
        self, caller: Caller, group: str, request: group_shapes.ConsentRequest
    ) -> group_shapes.Group: ...

    async def propose_order(
        self, caller: Caller, group: str, request: group_shapes.GroupOrderRequest
    ) -> group_shapes.GroupOrder: ...

    async def approve_order(
        self, caller: Caller, group: str, order: str, request: group_shapes.ApproveRequest
    ) -> group_shapes.GroupOrder: ...

    def group_orders(self, caller: Caller, group: str) -> group_shapes.GroupOrders: ...

    def splits(self, caller: Caller, group: str) -> group_shapes.Splits: ...

    async def performed(
        self, caller: Caller, group: str, request: group_shapes.PerformedRequest
    ) -> group_shapes.Splits: ...

    # moving

    def prepare_move(
        self, caller: Caller, person: str, request: shapes.MoveRequest
    ) -> shapes.Move: ...

    def moves(self, caller: Caller) -> shapes.Moves: ...

    def cancel_move(self, caller: Caller, person: str) -> shapes.Move: ...

    async def arrive(self, caller: Caller, request: shapes.ArrivalRequest) -> shapes.Arrived: ...

    # privacy

    async def export_person(self, caller: Caller, person: str) -> bytes: ...

    async def erase_person(
        self, caller: Caller, person: str, request: shapes.EraseRequest
    ) -> shapes.Erased: ...

    def retention(self, caller: Caller) -> shapes.Retention: ...

    async def run_retention(self, caller: Caller) -> shapes.Retained: ...
