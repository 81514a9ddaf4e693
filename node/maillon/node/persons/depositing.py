"""Take in cheques: of this coop at once, of another by its node, whenever that can be reached.

What is asked is durable before it leaves, and asked again until there is an answer that will not
change. The issuing coop's node answers the same each time, so a lost answer costs nothing.
"""

from __future__ import annotations

from typing import Any, Final, cast

import trio

from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.i18n import _
from maillon.node.ledger.asking import Place
from maillon.node.ledger.queue import storable
from maillon.node.persons import bounds
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotPossible, VoucherUnknown, VoucherUsed
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.node.persons.vouchers import Outcome, Presented, Vouchers, deposit_key
from maillon.node.ports import FrameStream
from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Signed, decode_record, draft, sign
from maillon.protocol.errors import LocalError, MaillonError, NotAllowed
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import DAY_S, build
from maillon.protocol.validation import check_stateless, check_step, longest_until
from maillon.protocol.view import person_author
from maillon.protocol.voucherframes import (
    PROTOCOL,
    Answer,
    decode_answer,
    decode_ask,
    encode_ask,
)
from maillon.protocol.vouchers import (
    Voucher,
    secret_from_code,
    voucher_from_text,
)

SENT: Final = "sent"
UNANSWERED: Final = "unanswered"
_GOES_ON: Final = (SENT, "waiting", "placed")


class Depositing:
    """Deposit cheques, and answer other coops that do."""

    def __init__(
        self, host: PersonsHost, disk: PersonsDisk, accounts: Accounts, cheques: Vouchers
    ) -> None:
        self._host = host
        self._disk = disk
        self._accounts = accounts
        self._cheques = cheques
        self._wrong: dict[bytes, tuple[int, int]] = {}
        self._serving: dict[bytes, int] = {}

    # --- at this desk ---------------------------------------------------------------------------

    async def deposit(self, caller: Caller, request: shapes.DepositRequest) -> shapes.Deposit:
        """Deposit a cheque. Raises: TextDamaged, and what refuses it at once."""
        coop, number, secret, whole = self._read(request)
        asking = self._accounts.asking
        unit = asking.unit(request.unit)
        amount = asking.amount(unit, request.amount)
        to = asking.anywhere(request.payee)
        payee = person_author(to.coop, to.account)
        caller.require_author(payee)
        signed = None if request.signed is None else bytes.fromhex(request.signed)
        if coop == self._host.coop:
            row = self._cheques.find(number, secret, whole)
            wanted = Presented(to, unit, amount, request.date)
            outcome = await self._cheques.present(row, wanted, request.wait_s)
            told = self._told(outcome, wanted)
            if outcome.repeated and row["at"]:
                told.at = row["at"]
            return told
        if to.coop != self._host.coop:
            raise NotPossible(
                _("A cheque of another coop is deposited on an account of your own."),
            )
        code = self._accounts.showing.code(unit)
        record = self._record(coop, number, secret, payee, code, amount, request.date, signed)
        key = deposit_key(coop, number, secret)
        before = self._disk.row("SELECT status FROM deposit WHERE key = ?", key)
        self._keep(key, coop, number, record, code, amount, to.account, request.date)
        with trio.move_on_after(max(request.wait_s, 0.001)):
            await self._ask(key)
        told = self._shown(self._row(key))
        told.repeated = before is not None and before["status"] != "refused"
        return told

    def _read(self, request: shapes.DepositRequest) -> tuple[bytes, int, bytes, Voucher | None]:
        if (request.voucher is None) == (request.code is None):
            raise NotPossible(_("Give what the cheque's code says, or its number and code."))
        if request.voucher is not None:
            whole = voucher_from_text(request.voucher)
            if whole.fed != self._host.founding.fed:
                raise VoucherUnknown(_("The cheque is of another federation."))
            return whole.coop, whole.number, whole.secret, whole
        if request.number is None or request.code is None:
            raise NotPossible(_("The number of the cheque is missing."))
        secret = secret_from_code(request.number, request.code)
        coop = self._host.coop if request.coop is None else self._coop(request.coop)
        return coop, request.number, secret, None

    def _coop(self, prefix: str) -> bytes:
        chains = self._accounts.machine.book.chains()
        fits = [coop for coop in chains if coop.hex().startswith(prefix)]
        if len(fits) != 1:
            raise NotPossible(
                _("No coop of the accounts begins with {id}.").format(id=prefix[:16]),
                hint=_("See them with: maillon charter show"),
            )
        return fits[0]

    def _told(self, outcome: Outcome, wanted: Presented) -> shapes.Deposit:
        showing, placed = self._accounts.showing, outcome.placed
        return shapes.Deposit(
            voucher=outcome.id.hex(),
            ref=outcome.ref.hex(),
            number=outcome.number,
            coop=self._host.coop.hex(),
            coop_name=self._host.coop_name(self._host.coop),
            status=placed.status,
            amount=wanted.amount,
            unit=wanted.unit,
            code=showing.code(wanted.unit),
            text=showing.text(wanted.unit, wanted.amount),
            payee=f"{wanted.to.coop.hex()}:{wanted.to.account.hex()}",
            payee_name=showing.name(wanted.to.coop, wanted.to.account),
            date=wanted.written,
            at=self._host.time(),
            transfer=placed.id,
            reason=placed.reason,
            detail=placed.detail,
            facts=placed.facts,
            repeated=outcome.repeated,
        )

    # --- at another coop's node -----------------------------------------------------------------

    def _record(
        self, coop: bytes, number: int, secret: bytes, payee: bytes, unit: str, amount: int,
        date: str, signed: bytes | None,
    ) -> bytes:  # fmt: skip
        voucher: dict[str, Value] = {"coop": coop, "number": number, "secret": secret}
        said: dict[str, Value] = {
            "voucher": voucher, "payee": payee, "unit": unit, "amount": amount,
        }  # fmt: skip
        if signed is not None:
            payload = decode_record(signed).payload or {}
            if any(payload.get(name) != value for name, value in said.items()):
                raise NotPossible(_("What was signed is not what is to be deposited."))
            return signed
        key = self._signer(payee)
        now, kind = self._host.time(), "voucher_deposit"
        longest = longest_until(kind, self._host.view, coop=self._host.coop, by=key.public, at=now)
        made = draft(
            kind,
            build(kind, salt=self._host.random(16), **said, **({"date": date} if date else {})),
            fed=self._host.founding.fed,
            coop=self._host.coop,
            by=key.public,
            at=now,
            until=min(longest, now + bounds.DEPOSIT_DAYS_MAX * DAY_S),
            series=self._host.random(16),
        )
        return sign(made, key).encode()

    def _signer(self, payee: bytes) -> SigningKey:
        """Return the payee's key when it is held here, else the coop's: it vouches for them."""
        for row in self._host.register.keys_of(payee[33:]):
            info = self._host.view.membership(self._host.coop, row.public)
            if row.held and info is not None and info.status == "active":
                return self._host.register.held_key(row.public)
        return self._host.node_key

    def _row(self, key: bytes) -> Row:
        row = self._disk.row("SELECT * FROM deposit WHERE key = ?", key)
        assert row is not None
        return row

    def _keep(
        self, key: bytes, coop: bytes, number: int, record: bytes, unit: str, amount: int,
        payee: bytes, date: str,
    ) -> None:  # fmt: skip
        known = self._disk.row("SELECT * FROM deposit WHERE key = ?", key)
        if known is not None and known["status"] != "refused":
            if (known["payee"], known["unit"], known["amount"]) != (payee, unit, amount):
                raise VoucherUsed(
                    _("The cheque number {n} was deposited here already.").format(n=number),
                    number=number,
                    at=known["at"],
                    status=known["status"],
                )
            return
        waiting = self._disk.count("SELECT count(*) FROM deposit WHERE status = 'sent'")
        if known is None and waiting >= bounds.DEPOSITS_WAITING_MAX:
            raise NotPossible(_("{n} cheques wait for other coops already.").format(n=waiting))
        now = self._host.time()
        with self._disk.batch():
            self._disk.run("DELETE FROM deposit WHERE key = ?", key)
            self._disk.add(
                "deposit", key=key, coop=coop, number=number, record=record, unit=unit,
                amount=amount, payee=payee, written=date, at=now, status=SENT, answer=b"",
                tries=0, due=now,
            )  # fmt: skip

    async def _ask(self, key: bytes) -> None:
        """Ask the issuing coop's node once, and note what it answers."""
        row = self._row(key)
        if row["status"] not in _GOES_ON:
            return
        tries = int(row["tries"]) + 1
        pause = bounds.DEPOSIT_RETRY_S[min(tries, len(bounds.DEPOSIT_RETRY_S)) - 1]
        now = self._host.time()
        self._disk.run(
            "UPDATE deposit SET tries = ?, due = ? WHERE key = ?", tries, now + pause, key
        )
        answer = await self._question(row["coop"], row["record"])
        if answer is None:
            if now > row["at"] + bounds.DEPOSIT_DAYS_MAX * DAY_S:
                self._disk.run(
                    "UPDATE deposit SET status = ?, record = x'' WHERE key = ?", UNANSWERED, key
                )
            return
        self._disk.run(
            "UPDATE deposit SET status = ?, answer = ? WHERE key = ?",
            answer.status,
            answer.encode(),
            key,
        )
        if answer.status not in _GOES_ON:
            # The paper's secret has served.
            self._disk.run("UPDATE deposit SET record = x'' WHERE key = ?", key)

    async def _question(self, coop: bytes, record: bytes) -> Answer | None:
        peer = self._host.node_of(coop)
        if peer is None:
            return None
        try:
            with trio.fail_after(bounds.DEPOSIT_ANSWER_S):
                stream = await self._host.open_stream(peer, PROTOCOL)
                await stream.send(encode_ask(record))
                frame = await stream.receive()
                await stream.close()
            return None if frame is None else decode_answer(frame)
        except (MaillonError, trio.TooSlowError):
            return None

    async def retry(self) -> None:
        """Ask again for what was deposited and has no last answer yet."""
        due = self._disk.rows(
            "SELECT key FROM deposit WHERE status IN ('sent', 'waiting', 'placed') AND due <= ?",
            self._host.time(),
        )
        for row in due:
            await self._ask(row["key"])

    def _shown(self, row: Row) -> shapes.Deposit:
        showing = self._accounts.showing
        answer = decode_answer(row["answer"]) if row["answer"] else Answer(SENT)
        unit = self._accounts.asking.units.index(row["unit"])
        down = "network_down" if row["tries"] and not row["answer"] else ""
        return shapes.Deposit(
            voucher=row["key"].hex(),
            ref=answer.ref.hex(),
            number=row["number"],
            coop=row["coop"].hex(),
            coop_name=self._host.coop_name(row["coop"]),
            status=row["status"],
            amount=row["amount"],
            unit=unit,
            code=row["unit"],
            text=showing.text(unit, row["amount"]),
            payee=f"{self._host.coop.hex()}:{row['payee'].hex()}",
            payee_name=self._host.register.name_of(row["payee"]),
            date=row["written"],
            at=row["at"],
            transfer=answer.transfer.hex(),
            reason=answer.code or down,
            detail=answer.sentence,
            facts=showing.facts(dict(answer.facts or {})),
        )

    def listed(self, caller: Caller) -> shapes.Deposits:
        """List deposits at other coops, the newest first."""
        return shapes.Deposits(
            [
                self._shown(row)
                for row in self._disk.rows("SELECT * FROM deposit ORDER BY at DESC, key")
                if caller.may_act_for(person_author(self._host.coop, row["payee"]))
            ]
        )

    # --- answering other coops ------------------------------------------------------------------

    async def serve(self, stream: FrameStream) -> None:
        """Answer one deposit of another coop. Raises: RemoteError for broken messages."""
        peer = stream.peer
        if self._serving.get(peer, 0) >= bounds.DEPOSITS_PER_PEER_MAX:
            await stream.reset()
            return
        self._serving[peer] = self._serving.get(peer, 0) + 1
        try:
            with trio.move_on_after(2 * bounds.DEPOSIT_ANSWER_S):
                frame = await stream.receive()
                if frame is not None:
                    answer = await self._judge(peer, decode_ask(frame))
                    await stream.send(answer.encode())
                await stream.close()
        except LocalError:
            await stream.reset()
        finally:
            self._serving[peer] -= 1
            if not self._serving[peer]:
                del self._serving[peer]

    async def _judge(self, peer: bytes, record: bytes) -> Answer:
        try:
            signed = decode_record(record)
            payload = self._permitted(peer, signed)
            voucher = payload["voucher"]
            if voucher["coop"] != self._host.coop:
                raise VoucherUnknown(_("The cheque is of another coop."))
            self._bounded(peer)
            try:
                row = self._cheques.find(voucher["number"], voucher["secret"])
            except VoucherUnknown:
                self._noted_wrong(peer)
                raise
            payee: bytes = payload["payee"]
            wanted = Presented(
                Place(payee[1:33], payee[33:]),
                self._accounts.asking.units.index(payload["unit"]),
                payload["amount"],
                str(payload.get("date", "")),
            )
            wait_s = bounds.DEPOSIT_ANSWER_S / 2
            outcome = await self._cheques.present(row, wanted, wait_s)
        except MaillonError as fault:
            return Answer("refused", fault.code, str(fault), _facts(fault.facts))
        placed = outcome.placed
        return Answer(
            placed.status,
            placed.reason,
            placed.detail,
            _facts(placed.facts),
            outcome.ref,
            bytes.fromhex(placed.id) if placed.status == "certified" else b"",
        )

    def _permitted(self, peer: bytes, signed: Signed) -> dict[str, Any]:
        """Return the payload of a deposit that a coop's node may hand in.

        Raises: RemoteErrors; NotAllowed when another coop's node brings it, or it is signed by
        somebody else than the payee and their coop.
        """
        checked = check_stateless(
            signed, fed=self._host.founding.fed, now=self._host.time(), private=True
        )
        standing = check_step(checked, self._host.view)
        coop = self._host.view.coop(signed.header.coop)
        if signed.header.kind != "voucher_deposit" or coop is None or coop.node_key != peer:
            raise NotAllowed(kind=signed.header.kind, by=signed.header.by)
        payload = cast("dict[str, Any]", signed.payload)
        payee: bytes = payload["payee"]
        own = payee[:1] == b"p" and payee[1:33] == signed.header.coop
        if not own or standing.author not in (payee, b"c" + signed.header.coop):
            raise NotAllowed(kind=signed.header.kind, by=signed.header.by)
        return payload

    def _bounded(self, peer: bytes) -> None:
        today = self._host.time() // DAY_S
        day, wrong = self._wrong.get(peer, (today, 0))
        if day == today and wrong >= bounds.WRONG_SECRETS_PER_PEER_MAX:
            raise NotPossible(_("Too many wrong codes came from this coop today."))

    def _noted_wrong(self, peer: bytes) -> None:
        today = self._host.time() // DAY_S
        day, wrong = self._wrong.get(peer, (today, 0))
        self._wrong[peer] = (today, wrong + 1 if day == today else 1)


def _facts(facts: dict[str, Any]) -> dict[str, Value]:
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in storable(facts).items()
    }
