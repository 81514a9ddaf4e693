"""Keep the account of a group: split what comes in, sign what enough members approve.

The node holds the key of a group's account sealed, apart from the keys of people: nothing but what
is here signs with it. What comes in is split by the shares that all members consented to, to the
minor unit, each part once. What goes out needs the approvals of as many members as the rule says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast

from maillon.ledger.errors import LedgerError
from maillon.ledger.orders import PayAction
from maillon.ledger.state import GROUP
from maillon.node.api import groups_shapes as group_shapes
from maillon.node.api.caller import Caller
from maillon.node.i18n import _
from maillon.node.ledger.asking import Place
from maillon.node.ledger.index import Line
from maillon.node.persons import bounds
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotFound, NotPossible
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.once import Payments, Wanted
from maillon.node.persons.records import Writer
from maillon.node.persons.statuses import require_payable, rules_with
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.node.persons.vouchers import Vouchers
from maillon.protocol.bundles import approved, complete, waiting_for
from maillon.protocol.encoding import decode, encode
from maillon.protocol.envelope import Draft, Valid, decode_record, sign
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import DAY_S, thing_id
from maillon.protocol.refs import split_ref
from maillon.protocol.splitting import group_shares
from maillon.protocol.validation import check_stateless, check_step
from maillon.protocol.view import person_author

OPEN: Final = "open"
VERSION: Final = 1
UNSIGNED_BYTES_MAX: Final = 1_024
RETRY_S: Final = 3_600


class Groups:
    """The groups whose accounts are on this node."""

    def __init__(
        self,
        host: PersonsHost,
        disk: PersonsDisk,
        accounts: Accounts,
        payments: Payments,
        cheques: Vouchers,
        writer: Writer,
    ) -> None:
        self._host = host
        self._disk = disk
        self._accounts = accounts
        self._payments = payments
        self._cheques = cheques
        self._writer = writer
        # Why an approved payment was not made, in words; the next try says it anew.
        self._why: dict[bytes, str] = {}

    # --- founding -------------------------------------------------------------------------------

    async def found(self, caller: Caller, request: group_shapes.GroupRequest) -> group_shapes.Group:
        """Publish a micro-organisation and open its account. Raises: NotPossible."""
        host = self._host
        founder = self._accounts.asking.own(request.founder)
        author = person_author(host.coop, founder)
        caller.require_self(author)
        key = self._writer.held_signer(founder)
        if key is None:
            raise NotPossible(_("The founder's key is not held here; publish the record first."))
        members = [
            {"author": bytes.fromhex(each.author), "share": each.share} for each in request.members
        ]
        if self._disk.count("SELECT count(*) FROM team") >= bounds.GROUPS_MAX:
            raise NotPossible(_("There are {n} groups here already.").format(n=bounds.GROUPS_MAX))
        made = self._writer.draft(
            "organisation",
            {
                "name": request.name,
                "members": members,
                "rule": {"signatures": request.signatures},
                "split": request.split,
                "status": "active",
            },
            key.public,
            author,
            until=host.time() + request.days * DAY_S,
        )
        signed = host.author(made, key)
        id = host.random(16)
        own = SigningKey.from_seed(host.random(32))
        with self._disk.batch():
            self._disk.add(
                "team",
                id=id,
                organisation=thing_id(author, signed.header.series),
                key=own.public,
                secret=host.register.seal(own.secret_bytes(), b"group" + id),
                name=request.name,
                read="",
                at=host.time(),
            )
        host.register.add_person(id, request.name, "", host.time())
        await self._open(self._team(id), request.wait_s)
        return self.show(caller, id.hex())

    async def _open(self, team: Row, wait_s: float) -> None:
        if self._accounts.account(team["id"]) is None:
            await self._accounts.open(team["id"], GROUP, team["key"], {}, wait_s)

    def _team(self, id: bytes) -> Row:
        row = self._disk.row("SELECT * FROM team WHERE id = ?", id)
        if row is None:
            raise NotFound(_("There is no such group here."))
        return row

    def _find(self, text: str) -> Row:
        fits = [row for row in self._disk.rows("SELECT * FROM team") if _begins(row, text)]
        if len(fits) != 1:
            raise NotFound(_("There is no such group here."))
        return fits[0]

    def organisation(self, team: Row) -> Valid | None:
        """Return the current record of a group, or None when it was withdrawn or has ended."""
        for valid in self._writer.live("organisation"):
            if valid.thing == team["organisation"]:
                return valid
        return None

    # --- showing --------------------------------------------------------------------------------

    def listed(self, caller: Caller) -> group_shapes.Groups:
        """List the groups that the caller belongs to, or all for the desk."""
        rows = self._disk.rows("SELECT * FROM team ORDER BY name, id")
        return group_shapes.Groups([self._shown(row) for row in rows if self._may_see(caller, row)])

    def show(self, caller: Caller, group: str) -> group_shapes.Group:
        """Show a group. Raises: NotFound."""
        team = self._find(group)
        if not self._may_see(caller, team):
            raise NotFound(_("There is no such group here."))
        return self._shown(team)

    def _may_see(self, caller: Caller, team: Row) -> bool:
        if caller.may_act_for(b""):
            return True
        whole = self.organisation(team)
        return whole is not None and caller.author in _members(whole)

    def _shown(self, team: Row) -> group_shapes.Group:
        whole = self.organisation(team)
        account = self._accounts.account(team["id"])
        fields: Mapping[str, Any] = _fields(whole) if whole is not None else {}
        missing = self._missing(whole)
        return group_shapes.Group(
            group=team["id"].hex(),
            organisation=team["organisation"].hex(),
            name=str(fields.get("name", team["name"])),
            account="" if account is None else f"{self._host.coop.hex()}:{team['id'].hex()}",
            status=str(fields.get("status", "closed")),
            split=str(fields.get("split", "")),
            signatures=fields["rule"]["signatures"] if fields else 0,
            members=[
                group_shapes.GroupPart(
                    member["author"].hex(),
                    self._name(member["author"]),
                    member["share"],
                    member["author"] not in missing,
                )
                for member in fields.get("members", ())
            ],
            counts=bool(fields) and not missing and fields["status"] == "active",
        )

    def _name(self, author: bytes) -> str:
        coop, person = author[1:33], author[33:]
        return self._host.register.name_of(person) if coop == self._host.coop else ""

    def _missing(self, whole: Valid | None) -> tuple[bytes, ...]:
        if whole is None:
            return ()
        return waiting_for(whole, self._writer.live("organisation_part"))

    def _counting(self, team: Row) -> Valid | None:
        """Return the record of a group that all members stand behind now, or None."""
        whole = self.organisation(team)
        if whole is None or _fields(whole)["status"] != "active":
            return None
        return whole if complete(whole, self._writer.live("organisation_part")) else None

    # --- consent --------------------------------------------------------------------------------

    def consent(
        self, caller: Caller, group: str, request: group_shapes.ConsentRequest
    ) -> group_shapes.Group:
        """Publish a member's consent. Raises: NotFound, NotPossible; what refuses the record."""
        team = self._find(group)
        whole = self.organisation(team)
        if whole is None:
            raise NotFound(_("There is no such group here."))
        author = bytes.fromhex(request.member)
        if request.signed is not None:
            data = bytes.fromhex(request.signed)
            if decode_record(data).header.kind != "organisation_part":
                raise NotPossible(_("This is no consent to a group."))
            self._host.submit(data)
        else:
            made, key = self._by(
                caller,
                author,
                "organisation_part",
                {"organisation": whole.thing},
                (whole.signed.id,),
            )
            self._host.author(made, key)
        return self._shown(team)

    def _by(
        self, caller: Caller, author: bytes, kind: str, fields: Mapping[str, Any],
        refs: tuple[bytes, ...],
    ) -> tuple[Draft, SigningKey]:  # fmt: skip
        """Draft what a member says with a key that is held here."""
        caller.require_self(author)
        key = self._writer.held_signer(author[33:]) if author[1:33] == self._host.coop else None
        if key is None:
            raise NotPossible(
                _("No key of this member is held here."),
                hint=_("They sign on their own device: give the signed record."),
            )
        return self._writer.draft(kind, fields, key.public, author, refs=refs), key

    # --- going out: joint signature -------------------------------------------------------------

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
        if not caller.may_act_for(b"") and caller.author not in _members(whole):
            raise NotPossible(_("Only its members order for a group."))
        asking = self._accounts.asking
        unit = asking.unit(request.unit)
        amount = asking.amount(unit, request.amount)
        to = asking.anywhere(request.to)
        waiting = self._disk.count(
            "SELECT count(*) FROM team_order WHERE team = ? AND status = 'open'", team["id"]
        )
        if waiting >= bounds.GROUP_ORDERS_OPEN_MAX:
            raise NotPossible(_("{n} payments wait for approvals already.").format(n=waiting))
        ref = asking.memo(request.memo, always=True)
        action = PayAction(to.coop, to.account, unit, amount, ref)
        # What the chain would refuse is told before anybody is asked to approve it.
        self._payable(action)
        until = self._host.time() + bounds.GROUP_ORDER_S
        body = encode(
            [
                VERSION, self._host.founding.fed, self._host.coop, team["id"], until,
                action.array(), self._host.random(16),
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

    def _payable(self, action: PayAction) -> None:
        status = self._cheques.provider_status(action.to_coop, action.to_account)
        kind = self._accounts.unit_kind(action.unit)
        require_payable(status, kind, rules_with(self._host.persons_settings.forbidden))
        to = Place(action.to_coop, action.to_account)
        self._accounts.asking.require_welcome(to, action.unit, action.amount)

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
        if whole is None or member not in _members(whole):
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

    def _key(self, team: Row) -> SigningKey:
        seed = self._host.register.unseal(team["secret"], b"group" + team["id"])
        return SigningKey.from_seed(seed)

    def _order(self, row: Row) -> group_shapes.GroupOrder:
        action, showing = _action(row["body"]), self._accounts.showing
        team = self._team(row["team"])
        whole = self.organisation(team)
        payment = self._payments.row(action.ref)
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
            needed=0 if whole is None else _fields(whole)["rule"]["signatures"],
            approvals=[member.hex() for member in self._approvals(row["id"])],
            status=status,
            transfer="" if payment is None else payment["id"].hex(),
            reason=row["reason"],
            detail=self._why.get(row["id"], "") if row["reason"] else "",
        )

    def orders(self, caller: Caller, group: str) -> group_shapes.GroupOrders:
        """List the payments proposed in a group, the newest first."""
        team = self._find(group)
        if not self._may_see(caller, team):
            raise NotFound(_("There is no such group here."))
        rows = self._disk.rows(
            "SELECT * FROM team_order WHERE team = ? ORDER BY at DESC, id", team["id"]
        )
        return group_shapes.GroupOrders([self._order(row) for row in rows])

    # --- coming in: splitting -------------------------------------------------------------------

    def split_new(self) -> None:
        """Note the parts of what came in, once: the cursor moves in the same commit."""
        for team in self._disk.rows("SELECT * FROM team"):
            whole = self._counting(team)
            if whole is None or _fields(whole)["split"] == "performer":
                continue
            after = bytes.fromhex(team["read"])
            taken = 0
            for line in self._accounts.machine.index.lines(
                self._host.coop, team["id"], after=after
            ):
                taken += self._split(team, whole, line)
                if taken >= bounds.SPLITS_PER_RUN_MAX:
                    break

    def _split(self, team: Row, whole: Valid, line: Line) -> int:
        fields = _fields(whole)
        members = [(member["author"], member["share"]) for member in fields["members"]]
        incoming = line.amount > 0 and line.kind != "return"
        with self._disk.batch():
            if incoming:
                parts = group_shares(line.amount, members, fields["split"])
                self.note_split(team["id"], line, parts)
            self._disk.run("UPDATE team SET read = ? WHERE id = ?", line.key.hex(), team["id"])
        return incoming

    def note_split(self, team: bytes, line: Line, parts: list[tuple[bytes, int]]) -> None:
        """Note who gets how much of a line; a line that was noted stays as it is."""
        for place, (member, amount) in enumerate(parts):
            self._disk.run(
                "INSERT OR IGNORE INTO split VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', '')",
                line.key, team, place, line.id, line.unit, line.amount, member, amount,
                self._host.time(),
            )  # fmt: skip

    async def told(
        self, caller: Caller, group: str, request: group_shapes.PerformedRequest
    ) -> group_shapes.Splits:
        """Be told who did the work of a payment, by who may. Raises: NotFound, NotPossible."""
        team = self._find(group)
        if not self._may_see(caller, team):
            raise NotFound(_("There is no such group here."))
        whole = self._counting(team)
        if not caller.may_act_for(b"") and whole and _fields(whole)["rule"]["signatures"] > 1:
            # One member alone would give away what several have to sign for.
            raise NotPossible(
                _("Who did the work is said at the desk in this group."),
                hint=_("Its payments need the signatures of several members."),
            )
        transfer, performer = bytes.fromhex(request.transfer), bytes.fromhex(request.performer)
        await self.performed(group, transfer, performer)
        return self.splits(caller, group)

    async def performed(self, group: str, transfer: bytes, performer: bytes) -> None:
        """Give what came in with a transfer to the member who did the work, once.

        Raises: NotFound, NotPossible.
        """
        team = self._find(group)
        whole = self._counting(team)
        if whole is None or performer not in _members(whole):
            raise NotPossible(_("Who did the work is no member of the group."))
        if _fields(whole)["split"] != "performer":
            raise NotPossible(_("This group splits by shares, whoever did the work."))
        for row in self._disk.rows(
            "SELECT member FROM split WHERE team = ? AND transfer = ?", team["id"], transfer
        ):
            if row["member"] != performer:
                raise NotPossible(_("It was said already that another member did the work."))
        for line in self._accounts.lines(team["id"], limit=bounds.LINES_SEARCHED_MAX):
            if line.id == transfer and line.amount > 0 and line.kind != "return":
                self.note_split(team["id"], line, [(performer, line.amount)])
                await self.pay_parts()
                return
        raise NotFound(_("Nothing came in with this transfer."))

    async def pay_parts(self) -> None:
        """Pay the parts that are not paid yet; one that cannot be is tried again later."""
        now = self._host.time()
        rows = self._disk.rows(
            "SELECT * FROM split WHERE status = 'open' AND (reason = '' OR at <= ?) "
            "ORDER BY line, place LIMIT ?",
            now - RETRY_S,
            bounds.SPLITS_PER_RUN_MAX,
        )
        for row in rows:
            try:
                status, reason = await self._pay_part(row)
            except MaillonError as fault:
                status, reason = OPEN, fault.code
            self._disk.run(
                "UPDATE split SET status = ?, reason = ?, at = ? WHERE line = ? AND place = ?",
                status,
                reason,
                now if reason else row["at"],
                row["line"],
                row["place"],
            )

    async def _pay_part(self, row: Row) -> tuple[str, str]:
        team, member = self._team(row["team"]), row["member"]
        ref = split_ref(row["transfer"], member)
        # Who has moved since has their account where they are now.
        to = self._writer.today(member)
        action = PayAction(to[1:33], to[33:], row["unit"], row["amount"], ref)
        if self._payments.row(ref) is None:
            self._payable(action)
        wanted = Wanted("split", team["id"], action, self._key(team))
        placed = await self._payments.pay(ref, wanted, 0)
        if placed.status == "certified":
            return "certified", ""
        return OPEN, placed.reason if placed.status == "refused" else ""

    async def work(self) -> None:
        """Open accounts that are missing, split what came in, go on with what was approved."""
        for team in self._disk.rows("SELECT * FROM team"):
            await self._open(team, 0)
        self.split_new()
        await self.pay_parts()
        now = self._host.time()
        for row in self._disk.rows("SELECT * FROM team_order WHERE status != 'certified'"):
            if row["status"] != OPEN or row["until"] >= now:
                await self._carry_out(self._team(row["team"]), row, 0)

    def splits(self, caller: Caller, group: str) -> group_shapes.Splits:
        """List what came in and how it was split, the newest first."""
        team = self._find(group)
        if not self._may_see(caller, team):
            raise NotFound(_("There is no such group here."))
        showing = self._accounts.showing
        found: dict[bytes, group_shapes.Split] = {}
        for row in self._disk.rows(
            "SELECT * FROM split WHERE team = ? ORDER BY line DESC, place", team["id"]
        ):
            unit, ref = row["unit"], split_ref(row["transfer"], row["member"])
            whole = found.setdefault(
                row["line"],
                group_shapes.Split(
                    row["transfer"].hex(), unit, showing.code(unit), row["whole"],
                    showing.text(unit, row["whole"]), row["at"], [],
                ),
            )  # fmt: skip
            payment = self._payments.row(ref)
            whole.parts.append(
                group_shapes.SplitPart(
                    row["member"].hex(), row["amount"], showing.text(unit, row["amount"]),
                    row["status"], "" if payment is None else payment["id"].hex(), row["reason"],
                )
            )  # fmt: skip
        return group_shapes.Splits(list(found.values()))


def _begins(row: Row, text: str) -> bool:
    return bool(text) and (row["id"].hex().startswith(text.lower()) or row["name"] == text)


def _fields(valid: Valid) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", valid.signed.payload)


def _members(whole: Valid) -> set[bytes]:
    return {member["author"] for member in _fields(whole)["members"]}


def _action(body: bytes) -> PayAction:
    parts = cast("list[Any]", decode(body, bytes_max=UNSIGNED_BYTES_MAX))
    return PayAction(*parts[5][1:])
