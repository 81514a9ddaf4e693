"""What must hold of cheques, groups and people who move, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from maillon.node.engine.exchange.ports import Query
from maillon.node.ledger.index import CERTIFIED as PAID
from maillon.node.ledger.index import POSTED, TransferRow
from maillon.protocol.encoding import decode
from maillon.protocol.envelope import decode_record
from maillon.protocol.exchange import Exchange
from maillon.protocol.moving import present
from maillon.protocol.refs import split_ref
from maillon.protocol.view import person_author
from simulation.exchange.checkers import Checkers, need
from simulation.exchange.plan import DAY_S

if TYPE_CHECKING:
    from simulation.persons.node import PersonsNode
    from simulation.persons.people import Leaving, Paper, People
    from simulation.persons.world import PersonsNet

OVER = frozenset({"opened", "quoted", "declined", "expired", "cancelled", "evaluated"})
"""Phases in which nobody has to do anything in an exchange any more, or not yet."""


class PersonsCheckers(Checkers):
    """Looks at the affairs of persons as well."""

    people: People
    _net: PersonsNet

    def __init__(self, net: PersonsNet, members: Any) -> None:
        super().__init__(net, members)
        self._orders: dict[bytes, bytes] = {}
        """By ref: the order of a group that it pays."""
        self._rules: dict[bytes, dict[bytes, Mapping[str, Any]]] = {}
        """By organisation: all revisions ever seen, by record."""
        self.left: dict[bytes, int] = {}
        """By old author: when their move was found to be at its end."""

    # --- while it runs --------------------------------------------------------------------------

    def moved(self) -> None:
        """Look at the chains after they moved."""
        for unit in (0, 1):
            total = self._net.bank.units_sum(unit)
            need(total == 0, "the sum of all balances is 0", unit=unit, total=total)

    def worked(self, place: int) -> None:
        """Look at what a desk has, after it went on with everything."""
        node = self._net.at(place)
        self._learn(node)
        for row in node.host.disk.rows("SELECT person, status FROM move"):
            author = person_author(node.coop.id, row["person"])
            if row["status"] != "closed" or author in self.left:
                continue
            self.left[author] = self._net.clock.now_ms // 1_000
            self._count("moves at their end")
            for exchange in node.store.find(Query(limit=1_000)):
                state = node.state(exchange.id)
                said_all = state.phase == "paid" and state.evaluate_until is None
                bound = author in (state.requester, state.provider) and (
                    (state.phase not in OVER and not said_all) or state.due.amount > 0
                )
                need(not bound, "nobody disappears from what they agreed to",
                     exchange=state.id, phase=state.phase)  # fmt: skip

    def _learn(self, node: PersonsNode) -> None:
        for row in node.host.disk.rows("SELECT id, body FROM team_order"):
            parts = cast("list[Any]", decode(row["body"], bytes_max=1_024))
            self._orders[parts[5][5]] = row["id"]
        for valid in node.rig.store.by_kinds(("organisation",)):
            payload = cast("Mapping[str, Any]", valid.signed.payload)
            self._rules.setdefault(valid.thing, {})[valid.signed.id] = payload

    # --- in the end -----------------------------------------------------------------------------

    def at_the_end(self, now: int) -> None:
        """Compare what desks said, and what they have, with the chains."""
        for place in range(len(self._net.nodes)):
            self.worked(place)
        self.moved()
        super().at_the_end(now)
        paid: dict[bytes, list[TransferRow]] = {}
        for row in self._transfers():
            paid.setdefault(row.ref, []).append(row)
        self._cheques(paid)
        for team in self.people.teams:
            self._group(self._net.at(team.place), team.id, team.organisation, paid)
        for leaving in self.people.leaving:
            self._move(leaving)

    def _transfers(self) -> Iterator[TransferRow]:
        bank = self._net.bank
        for id, _ in bank.disk.scan("transfer"):
            row = bank.index.transfer(id)
            assert row is not None
            yield row

    def _alike(self, exchange: bytes) -> Exchange | None:
        """Compare what both parties have; who has left is told nothing more, and lost nothing."""
        nodes = [node for node in self._net.nodes if node.store.row(exchange) is not None]
        first = nodes[0].state(exchange) if nodes else None
        gone = [
            author
            for author in (first.requester, first.provider) if author in self.left
        ] if first is not None else []  # fmt: skip
        if first is None or not gone:
            return super()._alike(exchange)
        ended = min(self.left[author] for author in gone)
        places = {self._place(author) for author in (first.requester, first.provider)}
        known = [
            {
                row.id: decode_record(row.record).header.at
                for row in self._net.nodes[place].store.transcript(exchange)
            }
            for place in places
        ]
        # A node that was put back is told again by whoever is still there.
        for mine in () if places & self._forgetful else known:
            for theirs in known:
                lost = sum(id not in theirs and at < ended - DAY_S for id, at in mine.items())
                need(not lost, "no step of who has moved is lost", exchange=exchange, lost=lost)
        self._count("exchanges of people who moved")
        return first

    def _accounts_fit(self, refs: dict[bytes, Exchange]) -> None:
        spent: dict[bytes, int] = {}
        for row in self._transfers():
            state = refs.get(row.ref)
            if state is None or row.status not in (PAID, POSTED):
                continue
            payer = person_author(row.coop, row.account)
            forth = payer != state.provider and payer != state.first_provider
            spent[row.ref] = spent.get(row.ref, 0) + (row.amount if forth else -row.amount)
            self._count("payments certified")
        for ref, amount in spent.items():
            state = refs[ref]
            most = max(self._owed.get(state.id, 0), state.owed)
            need(amount <= most, "paid once, and no more",
                 exchange=state.id, paid=amount, owed=most)  # fmt: skip

    # --- cheques --------------------------------------------------------------------------------

    def _cheques(self, paid: Mapping[bytes, list[TransferRow]]) -> None:
        papers = {paper.ref: paper for paper in self.people.papers}
        for ref, paper in papers.items():
            rows = paid.get(ref, [])
            need(len(rows) <= 1, "a cheque is paid once", cheque=ref, times=len(rows))
            for row in rows:
                payees = [who.author for who in paper.payees]
                to = person_author(row.to_coop, row.to_account)
                need(to in payees, "a cheque is paid to somebody who brought it", cheque=ref)
                need(paper.amount <= row.amount <= paper.amount + 1,
                     "a cheque is paid for what is written on it", cheque=ref)  # fmt: skip
                self._count("cheques paid")
                self._count("cheques paid to another coop", row.coop != row.to_coop)
            self._kept(paper, rows)
        for ref, told in self.people.told:
            if told.status == "certified":
                rows = paid.get(ref, [])
                fits = [
                    row
                    for row in rows
                    if (f"{row.to_coop.hex()}:{row.to_account.hex()}", row.amount)
                    == (told.payee, told.amount)
                ]
                need(fits, "who was told that a cheque is paid was paid", cheque=ref)
        for node in map(self._net.at, range(len(self._net.nodes))):
            for kept in node.host.disk.rows("SELECT * FROM deposit"):
                ended = kept["status"] in ("certified", "refused")
                need(ended, "a deposited cheque comes to its end", status=kept["status"],
                     tries=kept["tries"])  # fmt: skip
                self._count(f"deposits elsewhere: {kept['status']}")

    def _kept(self, paper: Paper, rows: list[TransferRow]) -> None:
        """Compare what the issuing coop knows of a cheque with the chain."""
        known = self._net.at(paper.place).host.disk.row(
            "SELECT status FROM voucher WHERE id = ?", paper.voucher.id
        )
        if known is None:
            need(paper.place in self._forgetful, "a cheque is known where it was issued")
            return
        status = known["status"]
        need(status != "presented", "a cheque that was brought is paid or refused",
             cheque=paper.ref)  # fmt: skip
        if rows:
            forgot = paper.place in self._forgetful
            need(status == "paid" or forgot, "a paid cheque is known to be paid", status=status)
        else:
            need(status != "paid", "what is said to be paid is paid", cheque=paper.ref)
            self._count("cheques never paid")

    # --- groups ---------------------------------------------------------------------------------

    def _group(
        self, node: PersonsNode, team: bytes, organisation: bytes,
        paid: Mapping[bytes, list[TransferRow]],
    ) -> None:  # fmt: skip
        rules = list(self._rules.get(organisation, {}).values())
        members = {each["author"] for rule in rules for each in rule["members"]}
        parts: dict[bytes, tuple[bytes, bytes]] = {}
        lines = list(self._net.bank.index.lines(node.coop.id, team))
        for line in lines:
            if line.amount > 0 and line.kind != "return":
                parts |= {split_ref(line.id, who): (line.id, who) for who in members}
        amounts: dict[bytes, dict[bytes, int]] = {}
        for line in lines:
            if line.amount >= 0:
                continue
            rows = paid.get(line.ref, [])
            need(len(rows) == 1, "a group pays each thing once", ref=line.ref, times=len(rows))
            if line.ref in parts:
                came, who = parts[line.ref]
                amounts.setdefault(came, {})[who] = -line.amount
                continue
            order = self._orders.get(line.ref)
            need(order is not None, "a group pays what was proposed in it", ref=line.ref)
            said = self.people.approved.get(order or b"", set())
            enough = any(
                len(said & {each["author"] for each in rule["members"]})
                >= rule["rule"]["signatures"]
                for rule in rules
            )
            need(enough, "a group pays what enough of its members approved", approvals=len(said))
            self._count("group orders paid")
        for line in lines:
            if line.id in amounts:
                self._split(line.amount, amounts[line.id], rules)

    def _split(
        self, amount: int, given: Mapping[bytes, int], rules: list[Mapping[str, Any]]
    ) -> None:
        need(sum(given.values()) <= amount, "no more is split than came in",
             amount=amount, given=sum(given.values()))  # fmt: skip
        for rule in rules:
            equal = rule["split"] == "equal"
            shares = {each["author"]: 1 if equal else each["share"] for each in rule["members"]}
            total = sum(shares.values())
            fair = all(
                who in shares and 0 <= part - amount * shares[who] // total <= 1
                for who, part in given.items()
            )
            if fair:
                wanted = {who for who, share in shares.items() if amount * share >= total}
                if wanted <= given.keys():
                    whole = sum(given.values())
                    need(whole == amount or len(given) < len(shares),
                         "what came in is split whole", amount=amount, given=whole)  # fmt: skip
                    self._count("splits paid whole", whole == amount)
                return
        need(False, "a payment is split by the shares", amount=amount, parts=len(given))

    # --- moving ---------------------------------------------------------------------------------

    def _move(self, leaving: Leaving) -> None:
        old = leaving.who.author
        place = self._place(old)
        here, there = self._net.at(place), self._net.at(leaving.there)
        row = here.host.disk.row("SELECT * FROM move WHERE person = ?", leaving.who.person)
        if row is None:
            need(place in self._forgetful, "a move is known where it began")
            declared = {valid.author for valid in here.rig.store.by_kinds(("move",))}
            need(old not in declared, "a declared move is taken up again")
            return
        self._count(f"moves: {row['status']} {row['detail']}".strip())
        if not leaving.person:
            return
        new = person_author(there.coop.id, leaving.person)
        keys = [r.person for r in self._people_with(there, leaving.who.key.public)]
        # Whoever has left a coop too that was put back since may be unknown there.
        unknown = not keys and new in self.left and leaving.there in self._forgetful
        need(keys == [leaving.person] or unknown, "who moved is one person at the new coop",
             n=len(keys))  # fmt: skip
        if row["status"] != "closed":
            waits = row["detail"] in ("exchanges", "owes")
            forgot = {place, leaving.there} & self._forgetful
            need(waits or forgot, "a move goes on to its end",
                 status=row["status"], detail=row["detail"])  # fmt: skip
            return
        for node in map(self._net.at, range(len(self._net.nodes))):
            view = node.rig.engine.view
            before = view.membership(here.coop.id, leaving.who.key.public)
            after = view.membership(there.coop.id, leaving.who.key.public)
            need(before is not None and before.status == "revoked",
                 "the old identity has ended everywhere")  # fmt: skip
            # Who has moved on since is somebody else again.
            status = "revoked" if new in self.left else "active"
            need(after is not None and (after.status, after.author) == (status, new),
                 "the new identity counts everywhere")  # fmt: skip
            moves = list(node.rig.store.by_kinds(("move",)))
            need(present(old, moves) == present(new, moves), "who somebody was is who they are")
            # Who has asked to move on may be on the way: declared, and waiting for what is owed.
            asked = any(each.who.author == new for each in self.people.leaving)
            need(asked or present(new, moves) == new, "nobody moves by themselves")
            self._silent(node, old)
        account = self._net.bank.book.state(here.coop.id).account(leaving.who.person)
        need(account is not None and not account.open, "the old account is closed")
        assert account is not None
        left = [p.balance for p in account.positions.values() if p.balance]
        need(not left, "the balance came along", left=left)

    def _people_with(self, node: PersonsNode, key: bytes) -> list[Any]:
        register = node.host.register
        return [
            row
            for person in register.people()
            for row in register.keys_of(person.id)
            if row.public == key
        ]

    def _silent(self, node: PersonsNode, old: bytes) -> None:
        """An old identity signs nothing after its end that anybody takes in."""
        for row in node.store.find(Query(limit=1_000)):
            for step in node.store.transcript(row.id):
                at = decode_record(step.record).header.at
                need(step.author != old or at <= self.left[old],
                     "an old identity signs no step", exchange=row.id)  # fmt: skip
