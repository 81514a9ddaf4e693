"""What people do besides their exchanges: cheques, groups, moving to another coop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from maillon.node.api import groups_shapes, ledger_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import THE_OPERATOR, Caller
from maillon.protocol.envelope import draft
from maillon.protocol.errors import MaillonError
from maillon.protocol.records import build
from maillon.protocol.vouchers import Voucher, voucher_from_text, voucher_ref
from support.world import Member

if TYPE_CHECKING:
    from simulation.persons.node import SimHost
    from simulation.persons.world import PersonsWorld

AGAIN_MS = 3_600_000
TRIES = 8


@dataclass
class Paper:
    """A cheque that somebody wrote: by whom, to whom, how much."""

    place: int
    voucher: Voucher
    text: str
    amount: int
    payees: list[Member] = field(default_factory=list[Member])

    @property
    def ref(self) -> bytes:
        return voucher_ref(self.voucher.id)


@dataclass
class Team:
    """A group: where its account is, and who founded it."""

    place: int
    id: bytes
    organisation: bytes
    founder: Member


@dataclass
class Leaving:
    """Somebody who moves."""

    who: Member
    there: int
    ticket: str = ""
    code: str = ""
    person: bytes = b""
    tries: int = 0


class People:
    """They act when the plan says so; who gets no answer tries again."""

    def __init__(self, world: PersonsWorld) -> None:
        self._world = world
        self._rng = world.rng
        self.papers: list[Paper] = []
        self.teams: list[Team] = []
        self.leaving: list[Leaving] = []
        self.told: list[tuple[bytes, shapes.Deposit]] = []
        """What desks said of deposits: the cheque's ref, and the answer."""
        self.approved: dict[bytes, set[bytes]] = {}
        """By order of a group: the members who approved, whatever the desk made of it."""

    # --- the plan -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Schedule what the plan says."""
        plan = self._world.plan
        for count, act in (
            (plan.books, self._issues),
            (plan.deposits, self._deposits),
            (plan.payments, self._pays),
            (plan.groups, self._founds),
            (plan.proposals, self._proposes),
            (plan.leavers, self._leaves),
            (plan.moves, self._prepares),
        ):
            for _ in range(count):
                early = act in (self._issues, self._founds)
                most = plan.active_s * 1_000 // (8 if early else 1)
                self._world.clock.after(self._rng.randrange(most), act)

    def heal(self) -> None:
        """Go on with what was given up while the world was bad."""
        for leaving in self.leaving:
            back = leaving.there in self._world.restored
            if back:
                # The register may have forgotten them: they show their ticket again.
                self._world.clock.after(120_000, self._shows_again, leaving)
            if leaving.ticket and not leaving.person:
                leaving.tries = 0
                self._world.clock.after(60_000, self._arrives, leaving)

    def backed_up(self, place: int) -> None:
        """Bring cheques before and after the node is put back: it must know both times."""
        for _ in range(3):
            self._world.clock.after(self._rng.randrange(86_400_000), self._deposits)

    # --- helpers --------------------------------------------------------------------------------

    def _host(self, place: int) -> SimHost:
        return self._world.net.at(place).host

    def _place(self, who: Member) -> int:
        return self._world._place(who)  # pyright: ignore[reportPrivateUsage]

    def _at_home(self) -> list[Member]:
        """Return who can do something at their coop now: its node runs and holds their key."""
        found: list[Member] = []
        for who in self._world.members:
            place = self._place(who)
            if place not in self._world.down and self._host(place).persons.writer.held_signer(
                who.person
            ):
                found.append(who)
        return found

    def _account(self, who: Member) -> str:
        return f"{who.coop.id.hex()}:{who.person.hex()}"

    def _caller(self, who: Member) -> Caller:
        return Caller("member", who.author, None, frozenset(("read", "exchange", "pay", "publish")))

    def _do(self, place: int, what: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        self._world.spawn(place, self._tried, place, what, *arguments)

    async def _tried(
        self, place: int, what: Callable[..., Awaitable[object]], *arguments: Any
    ) -> None:
        name = what.__name__.strip("_")
        try:
            await what(*arguments)
        except MaillonError as fault:
            self._world.count(f"refused: {name}: {fault.code}")
            self._world.clock.note("refused", place, name, fault.code)
        else:
            self._world.count(f"done: {name}")

    # --- cheques --------------------------------------------------------------------------------

    def _issues(self) -> None:
        able = self._at_home()
        if able:
            who = self._rng.choice(able)
            self._do(self._place(who), self._issue, who)

    async def _issue(self, who: Member) -> None:
        place = self._place(who)
        request = shapes.BookRequest(
            account=self._account(who), unit="heure", count=3, sheets="",
            max=self._rng.choice((None, 200)), days=self._rng.choice((2, 365)),
        )  # fmt: skip
        book = self._host(place).persons.cheques.issue(THE_OPERATOR, request)
        for each in book.vouchers:
            voucher = voucher_from_text(each.qr)
            amount = self._rng.choice((30, 60, 90, 300))
            self.papers.append(Paper(place, voucher, each.qr, amount))
        await trio.lowlevel.checkpoint()

    def _deposits(self) -> None:
        """Bring a cheque to one desk, or to several at about the same time."""
        people = [who for who in self._world.members if self._place(who) not in self._world.down]
        if not self.papers or not people:
            return
        paper = self._rng.choice(self.papers)
        how = self._rng.choice(("one", "one", "two coops", "payee and helper", "again"))
        payee = self._rng.choice(paper.payees if paper.payees and how == "again" else people)
        brought = [(payee, self._caller(payee))]
        match how:
            case "two coops":
                brought += [(who, THE_OPERATOR) for who in self._rng.sample(people, 1)]
            case "payee and helper":
                brought.append((payee, THE_OPERATOR))
            case _:
                pass
        if len(brought) > 1:
            self._world.count("cheques brought twice at once")
        for who, caller in brought:
            amount = paper.amount if self._rng.random() < 0.9 else paper.amount + 1
            late = self._rng.choice((0, 0, 10, 3_000))
            self._world.clock.after(late, self._brings, paper, who, caller, amount, 0)

    def _brings(self, paper: Paper, who: Member, caller: Caller, amount: int, tries: int) -> None:
        place = self._place(who)
        if place in self._world.down:
            if tries < TRIES:
                later = tries + 1
                self._world.clock.after(AGAIN_MS, self._brings, paper, who, caller, amount, later)
            return
        if who not in paper.payees:
            paper.payees.append(who)
        self._do(place, self._deposit, paper, who, caller, amount)

    async def _deposit(self, paper: Paper, who: Member, caller: Caller, amount: int) -> None:
        request = shapes.DepositRequest(
            amount=amount, payee=self._account(who), voucher=paper.text, unit="heure",
            wait_s=self._rng.choice((0, 5, 90)),
        )  # fmt: skip
        told = await self._host(self._place(who)).persons.deposit(caller, request)
        self.told.append((paper.ref, told))
        self._world.clock.note("deposited", paper.ref, told.status, told.reason)
        self._world.count(f"cheques: {told.status}")

    # --- payments and groups --------------------------------------------------------------------

    def _pays(self) -> None:
        able = self._at_home()
        others = [self._account(who) for who in self._world.members]
        for team in self.teams:
            others += 3 * [f"{self._host(team.place).coop.hex()}:{team.id.hex()}"]
        if able:
            who = self._rng.choice(able)
            self._do(self._place(who), self._pay, who, self._rng.choice(others))

    async def _pay(self, who: Member, to: str) -> None:
        accounts = self._host(self._place(who)).persons.accounts
        request = ledger_shapes.TransferRequest(
            to=to, amount=self._rng.choice((1, 7, 100, 101)), unit="heure",
            from_=self._account(who), memo="merci",
        )  # fmt: skip
        order = accounts.asking.payment(request)
        await accounts.runner.ask(order, 0)

    def _founds(self) -> None:
        able = self._at_home()
        if len(able) > 1:
            founder, *others = self._rng.sample(able, min(len(able), self._rng.choice((2, 3))))
            self._do(self._place(founder), self._found, founder, others)

    async def _found(self, founder: Member, others: list[Member]) -> None:
        place = self._place(founder)
        members = [
            groups_shapes.GroupMember(who.author.hex(), self._rng.choice((1, 2, 3)))
            for who in (founder, *others)
        ]
        made = await self._host(place).persons.teams.found(
            THE_OPERATOR,
            groups_shapes.GroupRequest(
                name=f"Groupe {len(self.teams)}", founder=founder.person.hex(), members=members,
                signatures=self._rng.randint(1, len(members)),
                split=self._rng.choice(("shares", "shares", "equal", "performer")), wait_s=0,
            ),
        )  # fmt: skip
        team = Team(place, bytes.fromhex(made.group), bytes.fromhex(made.organisation), founder)
        self.teams.append(team)
        for who in others:
            self._consents(team, who, 0)

    def _consents(self, team: Team, who: Member, tries: int) -> None:
        """Let a member consent after a while, in whatever order they come."""
        self._world.clock.after(
            self._rng.randrange(4 * AGAIN_MS), self._says_yes, team, who, tries
        )

    def _says_yes(self, team: Team, who: Member, tries: int) -> None:
        place = self._place(who)
        host = self._host(place)
        ready = place not in self._world.down and any(
            valid.thing == team.organisation for valid in host.store.by_kinds(("organisation",))
        )
        if ready:
            self._do(place, self._consent, team, who)
        elif tries < TRIES:
            self._consents(team, who, tries + 1)

    async def _consent(self, team: Team, who: Member) -> None:
        host = self._host(self._place(who))
        whole = next(
            valid
            for valid in host.store.by_kinds(("organisation",))
            if valid.thing == team.organisation
        )
        key = host.persons.writer.held_signer(who.person)
        if key is not None:
            made = host.persons.writer.draft(
                "organisation_part", {"organisation": team.organisation}, key.public, who.author,
                refs=(whole.signed.id,),
            )  # fmt: skip
            host.author(made, key)
        await trio.lowlevel.checkpoint()

    def _proposes(self) -> None:
        if not self.teams:
            return
        team = self._rng.choice(self.teams)
        if team.place in self._world.down:
            return
        desk = self._host(team.place).persons
        who = self._rng.choice(self._world.members)
        rows = desk.disk.rows(
            "SELECT id FROM team_order WHERE team = ? AND status = 'open' ORDER BY id", team.id
        )
        if rows and self._rng.random() < 0.7:
            self._do(team.place, self._approve, team, who, self._rng.choice(rows)["id"])
        else:
            self._do(team.place, self._propose, team, who)

    async def _propose(self, team: Team, who: Member) -> None:
        to = self._rng.choice(self._world.members)
        own = self._place(who) == team.place
        made = await self._host(team.place).persons.teams.propose(
            self._caller(who), team.id.hex(),
            groups_shapes.GroupOrderRequest(
                to=self._account(to), amount=self._rng.choice((5, 50)), unit="heure",
                wait_s=self._rng.choice((0, 90)),
            ),
        )  # fmt: skip
        if own:
            await self._approve(team, who, bytes.fromhex(made.order))

    async def _approve(self, team: Team, who: Member, order: bytes) -> None:
        """Approve with the member's own signature, as a device does."""
        self.approved.setdefault(order, set()).add(who.author)
        now = self._world.clock.now_ms // 1_000
        made = self._world.net.world.record(
            "group_approval",
            build(
                "group_approval", salt=self._world.net.world.fresh(), group=team.id, order=order,
                yes=True,
            ),
            coop=who.coop, by=who.key, at=now, days=20,
        )  # fmt: skip
        await self._host(team.place).persons.teams.approve(
            THE_OPERATOR, team.id.hex(), order.hex(),
            groups_shapes.ApproveRequest(who.author.hex(), made.encode().hex(), 0),
        )  # fmt: skip

    def _leaves(self) -> None:
        if self.teams:
            team = self._rng.choice(self.teams)
            if team.place not in self._world.down:
                self._do(team.place, self._leave, team)

    async def _leave(self, team: Team) -> None:
        """Let somebody take their consent back; the founder goes on with those who are left."""
        await trio.lowlevel.checkpoint()
        host = self._host(team.place)
        parts = [
            valid
            for valid in host.store.by_kinds(("organisation_part",))
            if (valid.signed.payload or {}).get("organisation") == team.organisation
        ]
        whole = next(
            v for v in host.store.by_kinds(("organisation",)) if v.thing == team.organisation
        )
        if not parts:
            return
        part = self._rng.choice(parts)
        who = next(each for each in self._world.members if each.author == part.author)
        header, place = part.signed.header, self._place(who)
        if place in self._world.down:
            return
        gone = draft(
            "withdrawal",
            build(
                "withdrawal", salt=self._world.net.world.fresh(), kind_="organisation_part"
            ),
            fed=header.fed, coop=header.coop, by=header.by, until=header.until,
            at=max(self._world.clock.now_ms // 1_000, header.at), series=header.series,
            rev=header.rev + 1,
        )  # fmt: skip
        self._host(place).author(gone, who.key)
        fields: dict[str, Any] = dict(whole.signed.payload or {})
        left = [each for each in fields["members"] if each["author"] != part.author]
        fields.pop("salt", None)
        if len(left) < 2:
            fields["status"] = "closed"
        else:
            fields["members"] = left
            fields["rule"] = {"signatures": min(fields["rule"]["signatures"], len(left))}
        key = host.persons.writer.held_signer(team.founder.person)
        if key is None:
            return
        made = host.persons.writer.draft(
            "organisation", fields, key.public, team.founder.author,
            series=whole.signed.header.series,
        )  # fmt: skip
        host.author(made, key)
        for each in left:
            other = next(m for m in self._world.members if m.author == each["author"])
            if other != team.founder:
                self._consents(team, other, 0)

    # --- moving ---------------------------------------------------------------------------------

    def _prepares(self) -> None:
        # Whoever has not left yet does not leave again.
        begun = {
            each.who.key.public
            for each in self.leaving
            if each.who.author not in self._world.checkers.left
        }
        gone = {each.who.author for each in self.leaving}
        able = [
            who
            for who in self._at_home()
            if who.author not in gone and who.key.public not in begun
        ]
        if not able:
            return
        who = self._rng.choice(able)
        here = self._place(who)
        there = self._rng.choice([n for n in range(self._world.plan.coops) if n != here])
        self._do(here, self._prepare, Leaving(who, there))

    async def _prepare(self, leaving: Leaving) -> None:
        await trio.lowlevel.checkpoint()
        made = self._host(self._place(leaving.who)).persons.moving.prepare(
            THE_OPERATOR, leaving.who.person.hex(),
            shapes.MoveRequest(to_coop=self._host(leaving.there).coop.hex()),
        )  # fmt: skip
        leaving.ticket, leaving.code = made.ticket, made.code
        self.leaving.append(leaving)
        self._world.clock.after(self._rng.randrange(4 * AGAIN_MS), self._arrives, leaving)

    def _arrives(self, leaving: Leaving) -> None:
        """Show the ticket, and again when there was no answer."""
        if leaving.person or leaving.tries >= TRIES:
            return
        leaving.tries += 1
        self._world.clock.after(AGAIN_MS, self._arrives, leaving)
        if leaving.there not in self._world.down:
            self._do(leaving.there, self._arrive, leaving)

    def _shows_again(self, leaving: Leaving) -> None:
        if leaving.there in self._world.down:
            self._world.clock.after(AGAIN_MS, self._shows_again, leaving)
        elif leaving.person:
            self._do(leaving.there, self._arrive, leaving)

    async def _arrive(self, leaving: Leaving) -> None:
        there = await self._host(leaving.there).persons.arrive(
            THE_OPERATOR,
            shapes.ArrivalRequest(
                ticket=leaving.ticket, name=f"{leaving.who.name} moved", code=leaving.code,
                limit=600, wait_s=self._rng.choice((0, 30)),
            ),
        )  # fmt: skip
        if not leaving.person:
            leaving.person = bytes.fromhex(there.person)
            self._world.arrived(leaving.who, leaving.there, leaving.person)
