"""Move from one coop to another with key, history and balance (spec/08-persons, "Moving").

    prepared   the person signed a ticket for the new coop
    arrived    the new coop vouches for the key
    declared   the move record stands, signed with the key that both coops know
    balanced   the old account is empty
    closed     the account is closed, the old membership has ended (`left`)

Each state is looked up in what is public (the new membership, the record, the chain), so whatever
breaks is gone on with from where it stands.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any, Final

from maillon.ledger.errors import LedgerError
from maillon.ledger.orders import PayAction, decode_order, order_body
from maillon.ledger.state import PERSON, Account
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.i18n import _
from maillon.node.ledger import bounds as ledger_bounds
from maillon.node.persons import bounds, sheets
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotFound, NotPossible
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.moved import unfinished
from maillon.node.persons.once import Payments, Wanted
from maillon.node.persons.records import Writer
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.protocol import keyfile
from maillon.protocol.cards import TextDamaged
from maillon.protocol.claims import (
    TICKET_PURPOSE,
    ClaimCode,
    Ticket,
    claim_code,
    decode_ticket,
    ticket_from_text,
    ticket_text,
)
from maillon.protocol.encoding import encode
from maillon.protocol.envelope import Draft
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.refs import debt_ref
from maillon.protocol.view import person_author

PREPARED: Final = "prepared"
ARRIVED: Final = "arrived"
DECLARED: Final = "declared"
BALANCED: Final = "balanced"
CLOSED: Final = "closed"
CANCELLED: Final = "cancelled"

PERSON_AUTHOR_BYTES: Final = 49

log = logging.getLogger("maillon.persons")


class Moving:
    """People who leave for another coop, and who come from one."""

    def __init__(
        self,
        host: PersonsHost,
        disk: PersonsDisk,
        accounts: Accounts,
        payments: Payments,
        writer: Writer,
    ) -> None:
        self._host = host
        self._disk = disk
        self._accounts = accounts
        self._payments = payments
        self._writer = writer
        self._looked: int | None = None
        """When the public records were compared with the moves of the files."""

    # --- leaving --------------------------------------------------------------------------------

    def prepare(self, caller: Caller, person: str, request: shapes.MoveRequest) -> shapes.Move:
        """Sign a ticket for the new coop with the person's key that is held here.

        Who has a device signs a ticket there and needs nothing of this node but that it goes on
        afterwards: the same call notes the move. Raises: NotPossible.
        """
        host = self._host
        found = host.register.find_person(person)
        author = person_author(host.coop, found.id)
        caller.require_self(author)
        to_coop = bytes.fromhex(request.to_coop)
        info = host.view.coop(to_coop)
        if to_coop == host.coop or info is None or not info.admitted:
            raise NotPossible(_("This is no other coop of the federation."))
        known = self._disk.row("SELECT * FROM move WHERE person = ?", found.id)
        if known is not None and known["status"] not in (PREPARED, CANCELLED):
            raise NotPossible(_("{name} is moving already.").format(name=found.name))
        open_now = self._disk.count(
            "SELECT count(*) FROM move WHERE status NOT IN ('closed', 'cancelled')"
        )
        if open_now >= bounds.MOVES_OPEN_MAX:
            raise NotPossible(_("{n} people are moving already.").format(n=open_now))
        key = self._writer.held_signer(found.id)
        public = key.public if key is not None else self._active_key(author)
        now = host.time()
        self._disk.run("DELETE FROM move WHERE person = ?", found.id)
        self._disk.add(
            "move", person=found.id, to_coop=to_coop, key=public, to_author=b"", status=PREPARED,
            at=now, detail="", record=b"",
        )  # fmt: skip
        made = self._shown(self._row(found.id))
        if key is not None:
            self._give_ticket(made, key, author, to_coop, with_key=request.with_key)
        return made

    def _active_key(self, author: bytes) -> bytes:
        for info in self._host.view.keys_of(author):
            if info.status == "active":
                return info.key
        raise NotPossible(_("No key of this person is valid now."))

    def _give_ticket(
        self, made: shapes.Move, key: SigningKey, author: bytes, to_coop: bytes, *, with_key: bool
    ) -> None:
        host = self._host
        now = host.time()
        info = host.view.membership(host.coop, key.public)
        assert info is not None  # `held_signer` found it there
        bare = Ticket(
            host.founding.fed, author, to_coop, key.public, info.sealing, now,
            now + bounds.TICKET_S,
        )  # fmt: skip
        signed = Ticket(
            bare.fed, bare.author, bare.to_coop, bare.key, bare.sealing, bare.at, bare.until,
            key.sign(TICKET_PURPOSE, bare.body()),
        )  # fmt: skip
        sealed = b""
        if with_key:
            code = ClaimCode(host.random(3), host.random(8))
            made.code = code.text()
            sealed = _seal(host.register.held_secrets(key.public), code, host.random)
        made.ticket = ticket_text(signed.encode(), sealed)
        made.html = sheets.code_html(
            _("Moving to {coop}").format(coop=host.coop_name(to_coop)),
            made.name,
            (
                _("Hand this sheet to {coop} before {day}.").format(
                    coop=host.coop_name(to_coop), day=sheets.day(signed.until)
                ),
                _("Tell the code that opens it separately."),
            ),
            made.ticket,
            made.ticket,
        )

    def _row(self, person: bytes) -> Row:
        row = self._disk.row("SELECT * FROM move WHERE person = ?", person)
        if row is None:
            raise NotFound(_("This person is not moving."))
        return row

    def cancel(self, caller: Caller, person: str) -> shapes.Move:
        """Stay after all. Raises: NotFound, NotPossible once the move is declared."""
        found = self._host.register.find_person(person)
        caller.require_author(person_author(self._host.coop, found.id))
        row = self._row(found.id)
        if row["status"] not in (PREPARED, ARRIVED, CANCELLED):
            raise NotPossible(_("The move is declared; it goes on to its end."))
        self._note(found.id, CANCELLED)
        return self._shown(self._row(found.id))

    def listed(self, caller: Caller) -> shapes.Moves:
        """List moves, the newest first."""
        rows = self._disk.rows("SELECT * FROM move ORDER BY at DESC, person")
        return shapes.Moves(
            [
                self._shown(row)
                for row in rows
                if caller.may_act_for(person_author(self._host.coop, row["person"]))
            ]
        )

    def _shown(self, row: Row) -> shapes.Move:
        return shapes.Move(
            person=row["person"].hex(),
            name=self._host.register.name_of(row["person"]),
            from_author=person_author(self._host.coop, row["person"]).hex(),
            to_author=row["to_author"].hex(),
            to_coop=row["to_coop"].hex(),
            to_coop_name=self._host.coop_name(row["to_coop"]),
            status=row["status"],
            at=row["at"],
            detail=row["detail"],
            to_sign=self._to_sign(row),
        )

    def _note(self, person: bytes, status: str, detail: str = "") -> None:
        self._disk.run(
            "UPDATE move SET status = ?, detail = ? WHERE person = ?", status, detail, person
        )

    # --- going on -------------------------------------------------------------------------------

    async def work(self) -> None:
        """Go on with every move as far as it can."""
        self._take_up()
        rows = self._disk.rows("SELECT * FROM move WHERE status NOT IN ('closed', 'cancelled')")
        for row in rows:
            try:
                await self._go_on(row)
            except MaillonError as fault:
                self._note(row["person"], self._row(row["person"])["status"], fault.code)

    def _take_up(self) -> None:
        """Go on with moves that are declared, and that a copy of the files knows nothing of.

        Soon after a start, and again later: other nodes send what the copy lacks.
        """
        now = self._host.time()
        if self._looked is not None and 0 <= now - self._looked < bounds.MOVES_LOOK_S:
            return
        self._looked = now
        for move in unfinished(self._host, self._writer):
            known = self._disk.row("SELECT status FROM move WHERE person = ?", move.person)
            if known is not None and known["status"] not in (PREPARED, ARRIVED, CANCELLED):
                continue  # under way; or closed, and here again since
            self._disk.run("DELETE FROM move WHERE person = ?", move.person)
            self._disk.add(
                "move", person=move.person, to_coop=move.to_author[1:33], key=move.key,
                to_author=move.to_author, status=DECLARED, at=move.at, detail="", record=b"",
            )  # fmt: skip

    async def _go_on(self, row: Row) -> None:
        host, person = self._host, row["person"]
        author = person_author(host.coop, person)
        if row["status"] == PREPARED:
            there = host.view.membership(row["to_coop"], row["key"])
            if there is None or there.status != "active":
                return
            self._disk.run(
                "UPDATE move SET to_author = ?, status = ?, detail = '' WHERE person = ?",
                there.author, ARRIVED, person,
            )  # fmt: skip
            row = self._row(person)
        if row["status"] == ARRIVED:
            if not self._declared(author, row["to_author"]):
                key = self._held(row)
                if key is None:
                    return  # the device signs: `to_sign` says what
                host.author(self._move_draft(row), key)
            self._note(person, DECLARED)
            row = self._row(person)
        if row["status"] in (DECLARED, BALANCED) and host.bound(author):
            # Nobody disappears from what they agreed to: it is done, paid and evaluated first,
            # by the old account, which needs what is on it for that.
            self._note(person, DECLARED, "exchanges")
            return
        if row["status"] == DECLARED:
            if self._accounts.account(person) is not None and not await self._emptied(row):
                return
            self._note(person, BALANCED)
            row = self._row(person)
        if row["status"] == BALANCED:
            account = self._accounts.account(person)
            if account is not None and account.open:
                if any(position.balance for position in account.positions.values()):
                    # Something came in after the rest was paid: that is paid on as well.
                    self._note(person, DECLARED)
                    return
                placed = await self._accounts.close(person, 0)
                now = self._accounts.account(person)
                if now is not None and now.open:
                    self._note(person, BALANCED, placed.reason)
                    return
            self._left(person)
            self._note(person, CLOSED)

    def _held(self, row: Row) -> SigningKey | None:
        for each in self._host.register.keys_of(row["person"]):
            if each.public == row["key"] and each.held:
                return self._host.register.held_key(each.public)
        return None

    def _move_draft(self, row: Row) -> Draft:
        author = person_author(self._host.coop, row["person"])
        there = self._host.view.membership(row["to_coop"], row["key"])
        until = None if there is None else there.until
        fields = {"from": author, "to": row["to_author"]}
        return self._writer.draft("move", fields, row["key"], author, until=until)

    def _declared(self, author: bytes, to: bytes) -> bool:
        for valid in self._writer.live("move"):
            payload: Any = valid.signed.payload
            if payload["from"] == author and payload["to"] == to:
                return True
        return False

    async def _emptied(self, row: Row) -> bool:
        """Pay what is on the old account to the new one; tell whether nothing is left."""
        account = self._accounts.account(row["person"])
        if account is None or not account.open:
            return True
        for unit, position in sorted(account.positions.items()):
            if position.balance > 0:
                key = self._accounts.held_key(account)
                if key is None:
                    return False
                action = self._rest(row, account, unit, position.balance)
                wanted = Wanted("move", account.id, action, key)
                placed = await self._payments.pay(action.ref, wanted, 0)
                self._note(row["person"], DECLARED, placed.reason)
            elif position.balance < 0:
                # What is owed is brought by the new account, before the old one can close.
                self._note(row["person"], DECLARED, "owes")
        account = self._accounts.account(row["person"])
        return account is None or all(not p.balance for p in account.positions.values())

    def _rest(self, row: Row, account: Account, unit: int, amount: int) -> PayAction:
        """Return the payment of a rest: the one under way, else one for all that is there."""
        for known in self._payments.waiting():
            if known["account"] == account.id and known["what"] == "move":
                action = decode_order(known["bytes"]).action
                under_way = self._payments.refused(known["ref"]) is None
                if isinstance(action, PayAction) and action.unit == unit and under_way:
                    return action
        to: bytes = row["to_author"]
        # What comes in, or back, afterwards is another line, and a payment of its own.
        last = self._accounts.lines(account.id, limit=1)[0]
        name = account.id + to + bytes([unit]) + last.key
        ref = hashlib.sha256(b"maillon/1/move-ref\0" + name).digest()
        return PayAction(to[1:33], to[33:], unit, amount, ref)

    def _to_sign(self, row: Row) -> list[shapes.ToSign]:
        """Return what the person's device signs: the move record, then orders of the rest."""
        if row["status"] not in (ARRIVED, DECLARED) or self._held(row) is not None:
            return []
        if row["status"] == ARRIVED:
            made = self._move_draft(row)
            payload = encode(made.payload)
            return [
                shapes.ToSign("record", row["key"].hex(), made.header.encode().hex(), payload.hex())
            ]
        account = self._accounts.account(row["person"])
        found: list[shapes.ToSign] = []
        for unit, position in sorted(account.positions.items() if account is not None else ()):
            if account is None or position.balance <= 0:
                continue
            to: bytes = row["to_author"]
            action = PayAction(to[1:33], to[33:], unit, position.balance)
            body = order_body(
                account.id, self._accounts.next_seq(account) + len(found), self._host.coop,
                self._host.time() + ledger_bounds.ORDER_LIFETIME_S, action,
            )  # fmt: skip
            found.append(shapes.ToSign("order", row["key"].hex(), body.hex()))
        return found

    def _left(self, person: bytes) -> None:
        for info, payload in self._writer.keys(person):
            if payload["status"] != "revoked":
                self._writer.end(person, info.key, "left")
            self._host.register.drop_secret(info.key)
        self._host.sign_out(person_author(self._host.coop, person))

    async def bring(self) -> None:
        """Settle what people who came here owe at their old coop, once a unit, after the move."""
        host = self._host
        for row in self._disk.rows("SELECT * FROM arrival"):
            old, new = row["from_author"], person_author(host.coop, row["person"])
            there = self._accounts.of(old[1:33], old[33:])
            here = self._accounts.account(row["person"])
            if there is None or not there.open or here is None or not here.open:
                continue
            key = self._accounts.held_key(here)
            owed = {unit: -p.balance for unit, p in there.positions.items() if p.balance < 0}
            if key is None or not owed or not self._declared(old, new):
                continue
            for unit, amount in sorted(owed.items()):
                ref = debt_ref(old, new, unit)
                known = self._payments.row(ref)
                action = PayAction(old[1:33], old[33:], unit, amount, ref)
                if known is None or known["status"] != "certified":
                    try:
                        await self._payments.pay(ref, Wanted("debt", here.id, action, key), 0)
                    except MaillonError as fault:
                        log.info("a debt cannot be brought yet: %s", fault.code)

    # --- arriving -------------------------------------------------------------------------------

    async def arrive(self, caller: Caller, request: shapes.ArrivalRequest) -> shapes.Arrived:
        """Take in somebody with their ticket; the same ticket again goes on.

        Raises: TextDamaged, BadSignature, NotPossible.
        """
        host = self._host
        data, sealed = ticket_from_text(request.ticket)
        ticket = decode_ticket(data)
        ticket.verify()
        now = host.time()
        if ticket.fed != host.founding.fed or ticket.to_coop != host.coop:
            raise NotPossible(_("This ticket is for another coop."))
        if not ticket.at - 300 <= now <= ticket.until:
            raise NotPossible(_("The ticket has expired."))
        before = host.view.membership(ticket.author[1:33], ticket.key)
        vouched = before is not None and (before.author, before.status) == (ticket.author, "active")
        if not vouched and self._lost(ticket.key) is None:
            raise NotPossible(
                _("The coop that it comes from does not vouch for this key now."),
                hint=_("Its records may not have come yet: try again later."),
            )
        secrets = None
        if sealed:
            if request.code is None:
                raise NotPossible(_("Give the code that opens the key in the ticket."))
            plain = keyfile.open_key(sealed, _password(claim_code(request.code)))
            secrets = SigningKey.from_seed(plain[:32]), SealingKey.from_seed(plain[32:])
            if secrets[0].public != ticket.key:
                raise TextDamaged()
        # All that can be wrong with the request is said before anything is done.
        limits = self._limits(request) if self._accounts.kept else {}
        person = self._known(ticket, data, request)
        custody = "node" if secrets is not None else "device"
        if ticket.key not in [row.public for row in host.register.keys_of(person)]:
            host.register.add_key(person, ticket.key, ticket.sealing, custody, now, secrets)
        if host.view.membership(host.coop, ticket.key) is None:
            self._writer.vouch(person, ticket.key, ticket.sealing, custody)
        status = "none"
        if self._accounts.kept:
            status = await self._opened(person, ticket.key, limits, request.wait_s)
        return shapes.Arrived(
            person.hex(),
            person_author(host.coop, person).hex(),
            ticket.author.hex(),
            [ticket.key.hex()],
            f"{host.coop.hex()}:{person.hex()}",
            status,
        )

    def _known(self, ticket: Ticket, data: bytes, request: shapes.ArrivalRequest) -> bytes:
        """Return the person of a ticket, registered once."""
        host, name = self._host, hashlib.sha256(data).digest()
        row = self._disk.row("SELECT person FROM arrival WHERE ticket = ?", name)
        if row is not None:
            person: bytes = row["person"]
        else:
            taken = host.view.membership(host.coop, ticket.key)
            lost = self._lost(ticket.key)
            if taken is not None and lost is None:
                raise NotPossible(_("This key belongs to somebody of your coop already."))
            person = host.random(16) if lost is None else lost
            self._disk.add(
                "arrival", ticket=name, person=person, from_author=ticket.author, at=host.time()
            )
        if host.register.person(person) is None:
            host.register.add_person(person, request.name.strip(), request.note, host.time())
        return person

    def _lost(self, key: bytes) -> bytes | None:
        """Return the person whom this coop vouches for with a key and whom its register has lost.

        The node was put back from a copy that is older than their arrival: they are who they were.
        """
        host = self._host
        info = host.view.membership(host.coop, key)
        if info is None or info.status != "active" or len(info.author) != PERSON_AUTHOR_BYTES:
            return None
        person = info.author[33:]
        return person if host.register.person(person) is None else None

    def _limits(self, request: shapes.ArrivalRequest) -> dict[int, int]:
        """Return the credit limits of the account to open. Raises: AmountText, UnitUnknown."""
        asking = self._accounts.asking
        found = {
            unit: asking.amount(unit, request.limit)
            for unit, kept in enumerate(asking.units)
            if kept.kind != "count" and request.limit
        }
        for code, amount in request.limits.items():
            unit = asking.unit(code)
            found[unit] = asking.amount(unit, amount)
        return found

    async def _opened(
        self, person: bytes, key: bytes, limits: dict[int, int], wait_s: float
    ) -> str:
        if self._accounts.account(person) is not None:
            return "certified"
        try:
            placed = await self._accounts.open(person, PERSON, key, limits, wait_s)
        except LedgerError as fault:
            return fault.code
        return placed.status


def _password(code: ClaimCode) -> bytes:
    digest = hashlib.sha256(b"maillon/1/move-code\0" + code.name + code.secret)
    return digest.hexdigest().encode()


def _seal(secrets: bytes, code: ClaimCode, random: Callable[[int], bytes]) -> bytes:
    return keyfile.seal_key(
        secrets,
        _password(code),
        salt=random(keyfile.SALT_BYTES),
        nonce=random(keyfile.NONCE_BYTES),
    )
