"""Keep the account of a group: split what comes in, sign what enough members approve.

The node holds the key of a group's account sealed, apart from the keys of people: nothing but what
is here signs with it. What comes in is split by the shares that all members consented to, to the
minor unit, each part once. What goes out needs the approvals of as many members as the rule says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from maillon.ledger.orders import PayAction
from maillon.ledger.state import GROUP
from maillon.node.api import groups_shapes as group_shapes
from maillon.node.api.caller import Caller
from maillon.node.i18n import _
from maillon.node.ledger.index import Line
from maillon.node.persons import bounds
from maillon.node.persons.errors import NotFound, NotPossible
from maillon.node.persons.joint import JointOrders
from maillon.node.persons.once import Wanted
from maillon.node.persons.storage import Row
from maillon.node.persons.teams import OPEN, fields_of, members_of
from maillon.protocol.envelope import Valid, decode_record
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import DAY_S, thing_id
from maillon.protocol.refs import split_ref
from maillon.protocol.splitting import group_shares
from maillon.protocol.view import person_author

RETRY_S: Final = 3_600


class Groups(JointOrders):
    """The groups whose accounts are on this node."""

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

    def _shown(self, team: Row) -> group_shapes.Group:
        whole = self.organisation(team)
        account = self._accounts.account(team["id"])
        fields: Mapping[str, Any] = fields_of(whole) if whole is not None else {}
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

    # --- coming in: splitting -------------------------------------------------------------------

    def split_new(self) -> None:
        """Note the parts of what came in, once: the cursor moves in the same commit."""
        for team in self._disk.rows("SELECT * FROM team"):
            whole = self._counting(team)
            if whole is None or fields_of(whole)["split"] == "performer":
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
        fields = fields_of(whole)
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
        if not caller.may_act_for(b"") and whole and fields_of(whole)["rule"]["signatures"] > 1:
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
        if whole is None or performer not in members_of(whole):
            raise NotPossible(_("Who did the work is no member of the group."))
        if fields_of(whole)["split"] != "performer":
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
        await self._go_on()

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
