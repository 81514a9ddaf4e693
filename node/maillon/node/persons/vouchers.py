"""Issue books of paper cheques, pay each once, block what was lost (spec/08-persons, "Cheques")."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from maillon.ledger.orders import PayAction
from maillon.ledger.state import GROUP, Account
from maillon.node import cursors
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.ledger_shapes import Placed
from maillon.node.api.persons_service import VoucherOptions
from maillon.node.i18n import _, speaking
from maillon.node.ledger.asking import Place
from maillon.node.ledger.index import TransferRow
from maillon.node.persons import bounds, sheets
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import (
    NotFound,
    NotPossible,
    PaidOtherwise,
    VoucherBlocked,
    VoucherExpired,
    VoucherRefused,
    VoucherUnknown,
    VoucherUsed,
)
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.once import Payments, Wanted
from maillon.node.persons.ruled import status_of
from maillon.node.persons.statuses import require_payable, rules_with
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import DAY_S
from maillon.protocol.view import person_author
from maillon.protocol.vouchers import (
    BOOK_BYTES,
    SECRET_BYTES,
    Voucher,
    secret_hash,
    voucher_ref,
)

OPEN: Final = "open"
PRESENTED: Final = "presented"
PAID: Final = "paid"
BLOCKED: Final = "blocked"
EXPIRED: Final = "expired"

_JOINED: Final = (
    "SELECT v.*, b.unit, b.max, b.expires, b.mandate, b.revoked FROM voucher v "
    "JOIN book b ON b.id = v.book "
)


@dataclass(frozen=True, slots=True)
class Presented:
    """What was written on a cheque: to whom, how much of which unit, on which day."""

    to: Place
    unit: int
    amount: int
    written: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cheque of this coop."""

    id: bytes
    ref: bytes
    number: int
    placed: Placed
    repeated: bool = False


class Vouchers:
    """The cheques of a coop's accounts."""

    def __init__(
        self, host: PersonsHost, disk: PersonsDisk, accounts: Accounts, payments: Payments
    ) -> None:
        self._host = host
        self._disk = disk
        self._accounts = accounts
        self._payments = payments

    # --- books ----------------------------------------------------------------------------------

    def issue(self, caller: Caller, request: shapes.BookRequest) -> shapes.Book:
        """Make a book; its secrets are returned and kept as hashes alone.

        Raises: NoSuchAccount, KeyElsewhere, MandateUnknown in words, NotPossible.
        """
        asking = self._accounts.asking
        account = asking.account(request.account)
        holder = person_author(self._host.coop, account.id)
        caller.require_author(holder)
        unit = asking.unit(request.unit)
        most = None if request.max is None else asking.amount(unit, request.max)
        mandate = b"" if request.mandate is None else bytes.fromhex(request.mandate)
        self._require_ready(account, unit, mandate)
        delegate = account.mandates.get(mandate)
        if delegate is None or not self._is_key_of(caller, delegate.key):
            # A mandate for other things is no leave to write cheques on somebody's account.
            caller.require_self(holder)
        now = self._host.time()
        book = self._host.random(BOOK_BYTES)
        first = 1 + self._disk.count(
            "SELECT max(first + count - 1) FROM book WHERE account = ?", account.id
        )
        made: list[Voucher] = []
        with self._disk.batch():
            self._disk.add(
                "book",
                id=book,
                account=account.id,
                unit=unit,
                first=first,
                count=request.count,
                max=most,
                issued=now,
                expires=now + request.days * DAY_S,
                mandate=mandate,
                revoked=None,
                reason="",
            )
            for number in range(first, first + request.count):
                secret = self._host.random(SECRET_BYTES)
                voucher = Voucher(
                    self._host.founding.fed, self._host.coop, account.id, book, number, secret
                )
                made.append(voucher)
                self._disk.add(
                    "voucher",
                    id=voucher.id,
                    book=book,
                    account=account.id,
                    number=number,
                    secret=secret_hash(secret),
                    status=OPEN,
                    amount=None,
                    payee_coop=None,
                    payee=None,
                    written="",
                    at=now,
                    reason="",
                )
        told = self._book(self._book_row(book))
        told.vouchers = [
            shapes.VoucherSecret(each.number, each.code(), each.text()) for each in made
        ]
        with speaking(request.lang):
            printed = [self._printed(each, told) for each in made]
            if request.sheets == "html":
                told.html = sheets.cheques_html(printed)
            elif request.sheets == "svg":
                told.svg = sheets.cheques_svg(printed)
        return told

    def _is_key_of(self, caller: Caller, key: bytes) -> bool:
        info = self._host.view.membership(self._host.coop, key)
        return info is not None and info.author == caller.author

    def _require_ready(self, account: Account, unit: int, mandate: bytes) -> None:
        if not account.open:
            raise NotPossible(_("The account is closed."))
        if account.kind == GROUP:
            raise NotPossible(_("A group pays with the signatures of its members, not by cheque."))
        books = self._disk.count(
            "SELECT count(*) FROM book b WHERE account = ? AND revoked IS NULL AND expires >= ? "
            "AND EXISTS (SELECT 1 FROM voucher v WHERE v.book = b.id AND v.status = 'open')",
            account.id,
            self._host.time(),
        )
        if books >= bounds.BOOKS_OPEN_MAX:
            raise NotPossible(
                _("The account has {n} books in use already.").format(n=books),
                hint=_("Revoke one that is not used."),
            )
        self._key(account, mandate, unit)

    def _key(self, account: Account, mandate: bytes, unit: int) -> SigningKey:
        """Return the key that signs for the paper. Raises: KeyElsewhere, RegisterError."""
        asking = self._accounts.asking
        if not mandate:
            return asking.key_for(account)
        known = account.mandates.get(mandate)
        if known is None:
            raise NotPossible(_("There is no such mandate on the account."), mandate=mandate)
        if unit not in dict(known.allowed):
            raise NotPossible(_("The mandate does not cover this unit."), mandate=mandate)
        return asking.held(known.key)

    def _printed(self, voucher: Voucher, book: shapes.Book) -> sheets.Cheque:
        return sheets.Cheque(
            coop=self._host.coop_name(self._host.coop),
            name=book.name or book.account[:8],
            number=voucher.number,
            code=voucher.code(),
            qr=voucher.text(),
            unit=self._accounts.asking.units.unit(book.unit).label or book.code,
            most=book.max_text,
            expires=book.expires,
        )

    def _book_row(self, id: bytes) -> Row:
        row = self._disk.row("SELECT * FROM book WHERE id = ?", id)
        if row is None:
            raise NotFound(_("There is no such book of cheques."))
        return row

    def _book(self, row: Row) -> shapes.Book:
        showing = self._accounts.showing
        counts = {
            found["status"]: int(found["n"])
            for found in self._disk.rows(
                "SELECT status, count(*) n FROM voucher WHERE book = ? GROUP BY status", row["id"]
            )
        }
        return shapes.Book(
            book=row["id"].hex(),
            account=row["account"].hex(),
            name=self._host.register.name_of(row["account"]),
            unit=row["unit"],
            code=showing.code(row["unit"]),
            first=row["first"],
            count=row["count"],
            max=row["max"],
            max_text="" if row["max"] is None else showing.text(row["unit"], row["max"]),
            issued=row["issued"],
            expires=row["expires"],
            revoked=row["revoked"],
            reason=row["reason"],
            open=counts.get(OPEN, 0) if row["expires"] >= self._host.time() else 0,
            paid=counts.get(PAID, 0) + counts.get(PRESENTED, 0),
            blocked=counts.get(BLOCKED, 0),
        )

    def books(self, caller: Caller, account: str) -> shapes.Books:
        """List books, the newest first: of one account, or of all that the caller may see."""
        rows = self._disk.rows("SELECT * FROM book ORDER BY issued DESC, id")
        wanted = self._accounts.asking.own(account) if account else None
        return shapes.Books(
            [
                self._book(row)
                for row in rows
                if wanted in (None, row["account"])
                and caller.may_act_for(person_author(self._host.coop, row["account"]))
            ]
        )

    def revoke(self, caller: Caller, book: str, reason: str) -> shapes.Book:
        """Block every cheque of a book that is open."""
        row = self._book_row(_hex(book))
        caller.require_author(person_author(self._host.coop, row["account"]))
        with self._disk.batch():
            self._disk.run(
                "UPDATE book SET revoked = ?, reason = ? WHERE id = ? AND revoked IS NULL",
                self._host.time(),
                reason,
                row["id"],
            )
            self._disk.run(
                "UPDATE voucher SET status = 'blocked', reason = ? "
                "WHERE book = ? AND status = 'open'",
                reason,
                row["id"],
            )
        return self._book(self._book_row(row["id"]))

    def block(self, caller: Caller, request: shapes.BlockRequest) -> shapes.Vouchers:
        """Block cheques by their numbers, all of them or none.

        Raises: VoucherUnknown; VoucherUsed for one that was paid or is being paid.
        """
        account = self._accounts.asking.own(request.account)
        caller.require_author(person_author(self._host.coop, account))
        rows: list[Row] = []
        for number in dict.fromkeys(request.numbers):
            row = self._disk.row(_JOINED + "WHERE v.account = ? AND v.number = ?", account, number)
            if row is None:
                raise VoucherUnknown(
                    _("There is no cheque number {n} of this account.").format(n=number)
                )
            if row["status"] in (PRESENTED, PAID):
                raise self._used(row)
            rows.append(row)
        with self._disk.batch():
            for row in rows:
                self._disk.run(
                    "UPDATE voucher SET status = 'blocked', reason = ? WHERE id = ?",
                    request.reason,
                    row["id"],
                )
        changed = [self._disk.row(_JOINED + "WHERE v.id = ?", row["id"]) for row in rows]
        return shapes.Vouchers([self._voucher(row) for row in changed if row is not None])

    def listed(self, caller: Caller, options: VoucherOptions) -> shapes.Vouchers:
        """List cheques by account and number."""
        where, values = ["1"], list[object]()
        if options.account:
            where.append("v.account = ?")
            values.append(self._accounts.asking.own(options.account))
        if options.book:
            where.append("v.book = ?")
            values.append(_hex(options.book))
        if options.status == EXPIRED:
            where.append("v.status = 'open' AND b.expires < ?")
            values.append(self._host.time())
        elif options.status:
            where.append("v.status = ?")
            values.append(options.status)
            if options.status == OPEN:
                where.append("b.expires >= ?")
                values.append(self._host.time())
        if options.after:
            where.append("(v.account, v.number) > (?, ?)")
            values += cursors.read("vouchers", options.after, bytes, int)
        if not caller.may_act_for(b""):
            where.append("v.account = ?")
            values.append(b"" if caller.author is None else caller.author[33:])
        rows = self._disk.rows(
            _JOINED + f"WHERE {' AND '.join(where)} ORDER BY v.account, v.number LIMIT ?",
            *values,
            options.limit + 1,
        )
        found = rows[: options.limit]
        following = None
        if len(rows) > options.limit:
            last = found[-1]
            following = cursors.written("vouchers", last["account"], last["number"])
        return shapes.Vouchers([self._voucher(row) for row in found], following)

    def _voucher(self, row: Row) -> shapes.Voucher:
        showing = self._accounts.showing
        status = row["status"]
        if status == OPEN and row["expires"] < self._host.time():
            status = EXPIRED
        amount = row["amount"]
        payee = row["payee"] or b""
        payment = self._payments.row(voucher_ref(row["id"])) if amount is not None else None
        return shapes.Voucher(
            number=row["number"],
            book=row["book"].hex(),
            account=row["account"].hex(),
            name=self._host.register.name_of(row["account"]),
            status=status,
            expires=row["expires"],
            amount=amount,
            text="" if amount is None else showing.text(row["unit"], amount),
            unit=row["unit"],
            code=showing.code(row["unit"]),
            payee="" if not payee else f"{row['payee_coop'].hex()}:{payee.hex()}",
            payee_name="" if not payee else showing.name(row["payee_coop"], payee),
            written=row["written"],
            at=row["at"],
            transfer="" if payment is None else payment["id"].hex(),
            reason=row["reason"],
        )

    # --- depositing -----------------------------------------------------------------------------

    def find(self, number: int, secret: bytes, whole: Voucher | None = None) -> Row:
        """Return the cheque that has a number and a secret. Raises: VoucherUnknown."""
        row = self._disk.row(_JOINED + "WHERE v.secret = ?", secret_hash(secret))
        if row is None or row["number"] != number or (whole and whole.id != row["id"]):
            raise VoucherUnknown(
                _("No cheque of {coop} has this number and code.").format(
                    coop=self._host.coop_name(self._host.coop)
                ),
                hint=_("Look whether every character is as printed, and which coop issued it."),
            )
        return row

    async def present(self, row: Row, wanted: Presented, wait_s: float) -> Outcome:
        """Pay what is written on a cheque, once; the very same asked again tells what became of it.

        Raises: VoucherUsed, VoucherBlocked, VoucherExpired, VoucherRefused, StatusRefused; what the
        ledger refuses at once. Nothing is changed then.
        """
        id: bytes = row["id"]
        ref = voucher_ref(id)
        if row["status"] in (PRESENTED, PAID):
            return await self._again(row, wanted, wait_s)
        paid = self._payments.on_chain(ref, row["account"])
        if paid is not None:
            return await self._paid_before(row, paid, wanted, wait_s)
        self._require_payable(row, wanted)
        account = self._accounts.asking.account(row["account"].hex())
        action = PayAction(wanted.to.coop, wanted.to.account, wanted.unit, wanted.amount, ref, "")
        key = self._key(account, row["mandate"], wanted.unit)
        payment = Wanted("voucher", account.id, action, key, row["mandate"])
        with self._disk.batch():
            # One commit: whoever comes second finds it presented, after a power cut as well.
            self._present(id, wanted)
            self._payments.prepare(ref, payment)
        try:
            placed = await self._payments.pay(ref, payment, wait_s)
        except PaidOtherwise:
            paid = self._payments.on_chain(ref, row["account"])
            assert paid is not None  # that is what it says
            return await self._paid_before(row, paid, wanted, wait_s)
        self._note(id, placed)
        return Outcome(id, ref, row["number"], placed)

    def _present(self, id: bytes, wanted: Presented) -> None:
        self._disk.run(
            "UPDATE voucher SET status = 'presented', amount = ?, payee_coop = ?, payee = ?, "
            "written = ?, at = ?, reason = '' WHERE id = ?",
            wanted.amount,
            wanted.to.coop,
            wanted.to.account,
            wanted.written,
            self._host.time(),
            id,
        )

    def _require_payable(self, row: Row, wanted: Presented) -> None:
        showing = self._accounts.showing
        if row["status"] == BLOCKED or row["revoked"] is not None:
            raise VoucherBlocked(
                _("The cheque number {n} is blocked: {reason}").format(
                    n=row["number"], reason=row["reason"] or "–"
                ),
                number=row["number"],
            )
        if row["expires"] < self._host.time():
            raise VoucherExpired(
                _("The cheque number {n} could be deposited until {day}.").format(
                    n=row["number"], day=sheets.day(row["expires"])
                ),
                number=row["number"],
                expires=row["expires"],
            )
        if row["unit"] != wanted.unit:
            raise VoucherRefused(
                _("The cheque is written in {code}.").format(code=showing.code(row["unit"])),
                unit=row["unit"],
            )
        if row["max"] is not None and wanted.amount > row["max"]:
            raise VoucherRefused(
                _("The cheque can be written for {amount} at most.").format(
                    amount=showing.text(row["unit"], row["max"])
                ),
                max=row["max"],
                amount=wanted.amount,
            )
        if wanted.amount < 1:
            raise VoucherRefused(_("Nothing is written on the cheque."), amount=wanted.amount)
        if (wanted.to.coop, wanted.to.account) == (self._host.coop, row["account"]):
            raise VoucherRefused(_("Nobody deposits a cheque on the account that it pays from."))
        status = self.provider_status(wanted.to.coop, wanted.to.account)
        kind = self._accounts.unit_kind(wanted.unit)
        require_payable(status, kind, rules_with(self._host.persons_settings.forbidden))

    def provider_status(self, coop: bytes, person: bytes) -> str:
        """Return the status that a coop vouches for, of a person of any coop; empty for none."""
        return status_of(self._host.view, self._host.store, coop, person)

    async def _again(self, row: Row, wanted: Presented, wait_s: float) -> Outcome:
        same = (row["payee_coop"], row["payee"], row["unit"], row["amount"]) == (
            wanted.to.coop, wanted.to.account, wanted.unit, wanted.amount,
        )  # fmt: skip
        ref = voucher_ref(row["id"])
        if not same:
            raise self._used(row)
        placed = await self._payments.again(ref, wait_s)
        if placed is None:
            paid = self._payments.on_chain(ref, row["account"])
            if paid is None:
                raise self._used(row)
            return await self._paid_before(row, paid, wanted, wait_s)
        self._note(row["id"], placed)
        return Outcome(row["id"], ref, row["number"], placed, True)

    async def _paid_before(
        self, row: Row, transfer: bytes, wanted: Presented, wait_s: float
    ) -> Outcome:
        """Learn from the chain that a cheque was paid: this file is older than the payment."""
        known, to = self._learn(row, transfer)
        changed = self._disk.row(_JOINED + "WHERE v.id = ?", row["id"])
        assert changed is not None
        if (to, known.unit, known.amount) != (wanted.to, wanted.unit, wanted.amount):
            raise self._used(changed)
        block = self._accounts.showing.block(known.place)
        placed = Placed(transfer.hex(), "certified", row["account"].hex(), block)
        return Outcome(row["id"], voucher_ref(row["id"]), row["number"], placed, True)

    def _learn(self, row: Row, transfer: bytes) -> tuple[TransferRow, Place]:
        """Note what the chain shows of a cheque; return it, and to whom it was paid."""
        known = self._accounts.transfer(transfer)
        assert known is not None
        to = Place(known.to_coop, known.to_account)
        with self._disk.batch():
            self._present(row["id"], Presented(to, known.unit, known.amount))
            self._disk.run("UPDATE voucher SET status = 'paid' WHERE id = ?", row["id"])
        return known, to

    def _used(self, row: Row) -> VoucherUsed:
        return VoucherUsed(
            _("The cheque number {n} was deposited on {day} already.").format(
                n=row["number"], day=sheets.day(row["at"])
            ),
            number=row["number"],
            at=row["at"],
            status=row["status"],
        )

    def _note(self, id: bytes, placed: Placed) -> None:
        if placed.status == "certified":
            self._disk.run("UPDATE voucher SET status = 'paid' WHERE id = ?", id)
        elif placed.status == "refused":
            # It can be deposited again, for another amount too: the payment's number counts once.
            self._disk.run(
                "UPDATE voucher SET status = 'open', reason = ? WHERE id = ?", placed.reason, id
            )

    async def settle(self) -> None:
        """Go on with what was presented when the node stopped, and note what became of it."""
        for row in self._disk.rows(_JOINED + "WHERE v.status = 'presented'"):
            ref = voucher_ref(row["id"])
            fault = self._payments.refused(ref)
            paid = None if fault is None else self._payments.on_chain(ref, row["account"])
            if paid is not None:
                self._learn(row, paid)
                continue
            if fault is not None:
                # Asked again by itself it would wait and be refused for ever.
                reason = str(fault.facts.get("reason", ""))
                account = row["account"].hex()
                self._note(row["id"], Placed("", "refused", account, reason=reason))
                continue
            placed = await self._payments.again(ref, 0)
            if placed is not None:
                self._note(row["id"], placed)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise NotFound(_("There is nothing with the id {id}.").format(id=text[:40])) from None


def deposit_key(coop: bytes, number: int, secret: bytes) -> bytes:
    """Return by what a cheque of another coop is known where it was deposited."""
    body = coop + number.to_bytes(8, "big") + secret
    return hashlib.sha256(b"maillon/1/voucher-deposit\0" + body).digest()
