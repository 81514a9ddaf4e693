"""Pay from the account of a group what enough of its members approve (spec/08-persons).

A payment is what a member proposes, or what an exchange asks of the group as third-party payer:
that one is ordered as spec/08-exchange wants it, under the `ref` of the exchange, so that it counts
there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.ledger.errors import LedgerError
from maillon.ledger.orders import COMMONS, PayAction
from maillon.node.api import groups_shapes as group_shapes
from maillon.node.api.caller import Caller
from maillon.node.engine.exchange.notes import FundingNote
from maillon.node.i18n import _
from maillon.node.persons import bounds
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotFound, NotPossible
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.once import Payments, Wanted
from maillon.node.persons.records import Writer
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.node.persons.teams import OPEN, Teams, fields_of, members_of
from maillon.node.persons.vouchers import Vouchers
from maillon.protocol.bundles import approved
from maillon.protocol.encoding import decode, encode
from maillon.protocol.envelope import decode_record, sign
from maillon.protocol.errors import MaillonError
from maillon.protocol.validation import check_stateless, check_step
from maillon.protocol.view import person_author

VERSION: Final = 1
VERSION_EXCHANGE: Final = 2
"""Of what is approved for an exchange: it names the request that it answers."""
UNSIGNED_BYTES_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class Standing:
    """Who signs for a group: how many of which members, who has, and what, if anything."""

    needed: int
    members: tuple[bytes, ...]
    approvals: tuple[bytes, ...]
    order: bytes


class JointOrders(Teams):
    """The payments of groups."""

    def __init__(
        self,
        host: PersonsHost,
        disk: PersonsDisk,
        accounts: Accounts,
        payments: Payments,
        cheques: Vouchers,
        writer: Writer,
    ) -> None:
        super().__init__(host, disk, accounts, payments, cheques, writer)
        # Why an approved payment was not made, in words; the next try says it anew.
        self._why: dict[bytes, str] = {}

    async def propose(
        self, caller: Caller, group: str, request: group_shapes.GroupOrderRequest
    ) -> group_shapes.GroupOrder:
        """Propose a payment out of the group's account. Raises: NotFound, NotPossible."""
        team = self._find(group)
        whole = self._counting(team)
        if whole is None:
            raise NotPossible(
                _("The group does not count yet: not every member has consented to it.")
            )
        if not caller.may_act_for(b"") and caller.author not in members_of(whole):
            raise NotPossible(_("Only its members order for a group."))
        waiting = self._disk.count(
            "SELECT count(*) FROM team_order WHERE team = ? AND status = 'open'", team["id"]
        )
        if waiting >= bounds.GROUP_ORDERS_OPEN_MAX:
            raise NotPossible(_("{n} payments wait for approvals already.").format(n=waiting))
        until = self._host.time() + bounds.GROUP_ORDER_S
        asked = None
        if request.exchange is not None:
            asked = self._asked(team, request)
            until = min(until, asked.until)
            action = self._action_for(asked)
        else:
            action = self._action_of(request)
        # What the chain would refuse is told before anybody is asked to approve it.
        self._payable(action)
        body = encode(
            [
                VERSION if asked is None else VERSION_EXCHANGE,
                self._host.founding.fed, self._host.coop, team["id"], until,
                action.array(), self._host.random(16),
                *([] if asked is None else [asked.id]),
            ],
            bytes_max=UNSIGNED_BYTES_MAX,
        )  # fmt: skip
        hash = hashlib.sha256(body).digest()
        self._disk.add(
            "team_order", id=hash, team=team["id"], body=body, memo=request.memo,
            at=self._host.time(), until=until, status=OPEN, reason="",
        )  # fmt: skip
        if request.by is not None:
            approval = group_shapes.ApproveRequest(request.by, None, request.wait_s)
            return await self.approve(caller, group, hash.hex(), approval)
        return self._order(self._order_row(hash))

    def _action_of(self, request: group_shapes.GroupOrderRequest) -> PayAction:
        """Return the payment that somebody proposes in so many words."""
        if request.to is None or request.amount is None:
            raise NotPossible(
                _("Say to whom and how much, or for which exchange it is."),
                hint=_("Give `to` and `amount`, or `exchange`."),
            )
        asking = self._accounts.asking
        unit = asking.unit(request.unit)
        amount = asking.amount(unit, request.amount)
        to = asking.anywhere(request.to)
        return PayAction(to.coop, to.account, unit, amount, asking.memo(request.memo, always=True))

    # --- what exchanges ask of a group ----------------------------------------------------------

    def _asked(self, team: Row, request: group_shapes.GroupOrderRequest) -> FundingNote:
        """Return what an exchange asks of a group now, of which nothing is proposed yet."""
        if request.to is not None or request.amount is not None or request.unit is not None:
            raise NotPossible(
                _("The exchange says to whom and how much."), hint=_("Give `exchange` alone.")
            )
        text = (request.exchange or "").lower()
        found = [
            note
            for note in self._open_requests(team)
            if note.exchange.hex().startswith(text) or note.id.hex().startswith(text)
        ]
        if not found:
            raise NotFound(
                _("No exchange {id} asks this group for anything now.").format(id=text[:16])
            )
        if len(found) > 1:
            raise NotPossible(
                _("This exchange asks for several payments: name the request."),
                hint=_("See them with: maillon group payments"),
            )
        waits = self._order_for(team, found[0].id)
        if waits is not None:
            raise NotPossible(
                _("A payment for this exchange waits for approvals already."),
                hint=_("Approve it: {order}").format(order=waits["id"].hex()[:8]),
                order=waits["id"],
            )
        return found[0]

    def _open_requests(self, team: Row) -> list[FundingNote]:
        fundings, now = self._host.fundings, self._host.time()
        if fundings is None:
            return []
        author = person_author(self._host.coop, team["id"])
        return [n for n in fundings.asked(author) if n.status == "open" and n.until >= now]

    def _order_for(self, team: Row, request: bytes) -> Row | None:
        """Return what was proposed for a request and may be carried out yet, or was."""
        for row in self._disk.rows("SELECT * FROM team_order WHERE team = ?", team["id"]):
            over = row["status"] == OPEN and row["until"] < self._host.time()
            if request_of(row["body"]) == request and row["status"] != "refused" and not over:
                return row
        return None

    def _action_for(self, note: FundingNote) -> PayAction:
        """Return to whom, how much and under which `ref`: what is ordered reserves that first."""
        asking = self._accounts.asking
        return PayAction(
            note.payee[1:33], note.payee[33:] or COMMONS, asking.unit(note.unit), note.amount,
            note.ref, note.category,
        )  # fmt: skip

    async def _fund(self, team: Row, row: Row, request: bytes, wait_s: float) -> None:
        """Order what an exchange asks for, once, as the node of a payer does by consent."""
        fundings = self._host.fundings
        note = None if fundings is None else fundings.request(request)
        if fundings is None or note is None:
            return
        if note.status == "open" and note.until >= self._host.time():
            try:
                await fundings.fund(request, self._key(team), wait_s)
            except MaillonError as fault:
                self._why[row["id"]] = str(fault)
                self._note(row["id"], OPEN, fault.code)
                return
            note = fundings.request(request) or note
        if note.status == "ordered":
            self._note(row["id"], "placed", "")
        elif note.status == "funded":
            self._note(row["id"], "certified", "")
        elif note.status == "open" and note.until >= self._host.time():
            reason, detail = fundings.refusal(note)
            self._why[row["id"]] = detail
            self._note(row["id"], OPEN, reason)
        else:
            self._why[row["id"]] = _("The exchange does not ask for this any more.")
            self._note(row["id"], "refused", "replaced")

    def standing(self, account: bytes, request: bytes) -> Standing | None:
        """Return who signs for an account here, and how far it is; None when it is no group's."""
        team = self._disk.row("SELECT * FROM team WHERE id = ?", account)
        if team is None:
            return None
        whole = self.organisation(team)
        row = self._order_for(team, request)
        fields: Mapping[str, Any] = {} if whole is None else fields_of(whole)
        return Standing(
            fields["rule"]["signatures"] if fields else 0,
            tuple(member["author"] for member in fields.get("members", ())),
            () if row is None else tuple(self._approvals(row["id"])),
            b"" if row is None else row["id"],
        )

    # --- approving ------------------------------------------------------------------------------

    def _order_row(self, id: bytes) -> Row:
        row = self._disk.row("SELECT * FROM team_order WHERE id = ?", id)
        if row is None:
            raise NotFound(_("There is no such payment of the group."))
        return row

    async def approve(
        self, caller: Caller, group: str, order: str, request: group_shapes.ApproveRequest
    ) -> group_shapes.GroupOrder:
        """Take in a member's approval; with the last one that is needed, the node signs.

        Raises: NotFound, NotPossible; what refuses the record.
        """
        team = self._find(group)
        rows = self._disk.rows("SELECT * FROM team_order WHERE team = ?", team["id"])
        fits = [row for row in rows if row["id"].hex().startswith(order)]
        if len(fits) != 1 or len(order) < 8:
            raise NotFound(_("There is no such payment of the group."))
        row, member = fits[0], bytes.fromhex(request.member)
        whole = self._counting(team)
        if whole is None or member not in members_of(whole):
            raise NotPossible(_("Only a member of the group approves its payments."))
        if row["status"] != OPEN or row["until"] < self._host.time():
            raise NotPossible(_("This payment waits for no approval any more."))
        if request.signed is None:
            fields = {"group": team["id"], "order": row["id"], "yes": True}
            made, key = self._by(caller, member, "group_approval", fields, ())
            record = sign(made, key).encode()
        else:
            record = bytes.fromhex(request.signed)
        self._take(team, row, member, record)
        await self._carry_out(team, self._order_row(row["id"]), request.wait_s)
        return self._order(self._order_row(row["id"]))

    def _take(self, team: Row, row: Row, member: bytes, record: bytes) -> None:
        signed = decode_record(record)
        checked = check_stateless(
            signed, fed=self._host.founding.fed, now=self._host.time(), private=True
        )
        standing = check_step(checked, self._host.view)
        payload = cast("Mapping[str, Any]", signed.payload)
        fits = signed.header.kind == "group_approval" and standing.author == member
        if not fits or (payload["group"], payload["order"]) != (team["id"], row["id"]):
            raise NotPossible(_("This is no approval of this payment by this member."))
        if payload["yes"]:
            self._disk.run(
                "INSERT OR REPLACE INTO approval VALUES (?, ?, ?)", row["id"], member, record
            )
        else:
            self._disk.run(
                "DELETE FROM approval WHERE team_order = ? AND member = ?", row["id"], member
            )

    def _approvals(self, order: bytes) -> list[bytes]:
        rows = self._disk.rows(
            "SELECT member FROM approval WHERE team_order = ? ORDER BY member", order
        )
        return [row["member"] for row in rows]

    async def _carry_out(self, team: Row, row: Row, wait_s: float) -> None:
        """Sign and ask a payment that enough members of today approve, once."""
        whole = self._counting(team)
        if whole is None or not approved(whole, self._approvals(row["id"])):
            return
        request = request_of(row["body"])
        if request:
            await self._fund(team, row, request, wait_s)
            return
        action = _action(row["body"])
        wanted = Wanted("group", team["id"], action, self._key(team))
        try:
            placed = await self._payments.pay(action.ref, wanted, wait_s)
        except LedgerError as fault:
            self._why[row["id"]] = str(fault)
            self._note(row["id"], OPEN, fault.code)
            return
        if placed.status == "refused":
            # Still approved: it is tried again until its time is over.
            self._why[row["id"]] = placed.detail
            self._note(row["id"], OPEN, placed.reason)
        else:
            self._note(row["id"], placed.status, "")

    def _note(self, order: bytes, status: str, reason: str) -> None:
        self._disk.run(
            "UPDATE team_order SET status = ?, reason = ? WHERE id = ?", status, reason, order
        )

    def _order(self, row: Row) -> group_shapes.GroupOrder:
        action, showing = _action(row["body"]), self._accounts.showing
        team = self._team(row["team"])
        whole = self.organisation(team)
        request = request_of(row["body"])
        asked = self._request(request)
        payment = None if request else self._payments.row(action.ref)
        transfer = b"" if asked is None else asked.order
        status = row["status"]
        if status == OPEN and row["until"] < self._host.time():
            status = "expired"
        return group_shapes.GroupOrder(
            order=row["id"].hex(),
            group=row["team"].hex(),
            hash=row["id"].hex(),
            to_coop=action.to_coop.hex(),
            to_account=action.to_account.hex(),
            to_name=showing.name(action.to_coop, action.to_account),
            unit=action.unit,
            code=showing.code(action.unit),
            amount=action.amount,
            text=showing.text(action.unit, action.amount),
            memo=row["memo"],
            at=row["at"],
            until=row["until"],
            needed=0 if whole is None else fields_of(whole)["rule"]["signatures"],
            approvals=[member.hex() for member in self._approvals(row["id"])],
            status=status,
            transfer=(transfer if payment is None else payment["id"]).hex(),
            reason=row["reason"],
            detail=self._why.get(row["id"], "") if row["reason"] else "",
            exchange="" if asked is None else asked.exchange.hex(),
            request=request.hex(),
        )

    def _request(self, id: bytes) -> FundingNote | None:
        fundings = self._host.fundings
        return fundings.request(id) if id and fundings is not None else None

    def orders(self, caller: Caller, group: str) -> group_shapes.GroupOrders:
        """List the payments proposed in a group, the newest first."""
        team = self._find(group)
        if not self._may_see(caller, team):
            raise NotFound(_("There is no such group here."))
        rows = self._disk.rows(
            "SELECT * FROM team_order WHERE team = ? ORDER BY at DESC, id", team["id"]
        )
        wanted = [self._wanted(team, note) for note in self._open_requests(team)]
        return group_shapes.GroupOrders([self._order(row) for row in rows], wanted)

    def _wanted(self, team: Row, note: FundingNote) -> group_shapes.GroupWanted:
        action, showing = self._action_for(note), self._accounts.showing
        proposed = self._order_for(team, note.id)
        return group_shapes.GroupWanted(
            exchange=note.exchange.hex(),
            request=note.id.hex(),
            to_coop=action.to_coop.hex(),
            to_account=action.to_account.hex(),
            to_name=showing.name(action.to_coop, action.to_account),
            unit=action.unit,
            code=showing.code(action.unit),
            amount=action.amount,
            text=showing.text(action.unit, action.amount),
            at=note.at,
            until=note.until,
            order="" if proposed is None else proposed["id"].hex(),
        )

    async def _go_on(self) -> None:
        """Go on with what was approved and is not certain yet."""
        now = self._host.time()
        for row in self._disk.rows("SELECT * FROM team_order WHERE status != 'certified'"):
            ended = row["status"] == "refused" and request_of(row["body"])
            if (row["status"] != OPEN or row["until"] >= now) and not ended:
                await self._carry_out(self._team(row["team"]), row, 0)


def _parts(body: bytes) -> list[Any]:
    return cast("list[Any]", decode(body, bytes_max=UNSIGNED_BYTES_MAX))


def _action(body: bytes) -> PayAction:
    return PayAction(*_parts(body)[5][1:])


def request_of(body: bytes) -> bytes:
    """Return the request of an exchange that an order of a group answers, or b""."""
    parts = _parts(body)
    return cast("bytes", parts[7]) if parts[0] == VERSION_EXCHANGE else b""
