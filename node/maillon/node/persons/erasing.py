"""Give a person all that the node holds about them, and erase it so that no file has it left."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from maillon.ledger.entries import Settle
from maillon.ledger.orders import COMMONS, PayAction
from maillon.ledger.state import Account
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.i18n import _
from maillon.node.persons import bounds, sheets, traces
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotPossible
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.once import Payments, Wanted
from maillon.node.persons.records import Writer
from maillon.node.persons.storage import PersonsDisk
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import MaillonError
from maillon.protocol.view import person_author

# Which columns of which tables of persons.db say whose a row is.
WHOSE: Final[Mapping[str, tuple[str, ...]]] = {
    "book": ("account",),
    "voucher": ("account",),
    "payment": ("account",),
    "deposit": ("payee",),
    "claim": ("person",),
    "keychange": ("account",),
    "recovery": ("person",),
    "move": ("person",),
    "arrival": ("person",),
    "erasure": ("person",),
}
# Columns that are nobody's but a thief's.
SECRET: Final = frozenset({"secret", "record", "bytes"})


class Privacy:
    """Exports and erasures of persons."""

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

    # --- what there is --------------------------------------------------------------------------

    def _keys(self, person: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return a person's keys and sealing keys, of the register and of the coop's word."""
        found: dict[bytes, bytes] = {
            row.public: row.sealing for row in self._host.register.keys_of(person)
        }
        for info in self._host.view.keys_of(person_author(self._host.coop, person)):
            found.setdefault(info.key, info.sealing)
        return list(found), list(found.values())

    def _records(self, person: bytes, keys: list[bytes]) -> list[Signed]:
        """Return the live records that a person signed, that others signed for them, and the
        coop's word on their keys."""
        store, view = self._host.store, self._host.view
        author = person_author(self._host.coop, person)
        ids: dict[bytes, None] = {}
        for info in view.keys_of(author):
            ids[info.record] = None
            for mandate in view.mandates_of(info.coop, info.key):
                ids.update(dict.fromkeys(id for id, _header in store.under_mandate(mandate.thing)))
        for key in keys:
            for id, header in store.signed_by(key):
                if header.coop == self._host.coop:
                    ids[id] = None
        for valid in self._writer.live("vouching"):
            payload: Any = valid.signed.payload
            if valid.signed.header.coop == self._host.coop and payload["person"] == person:
                ids[valid.signed.id] = None
        return [signed for id in ids if (signed := store.get(id)) is not None]

    def _rows(self, person: bytes) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        tables = self._disk.tables()
        for table, columns in WHOSE.items():
            named = [*columns, *(["payee"] if table == "voucher" else [])]
            where = " OR ".join(f"{column} = ?" for column in named)
            rows = self._disk.rows(f"SELECT * FROM {table} WHERE {where}", *[person] * len(named))
            if rows:
                found[table] = [
                    {name: _plain(row[name]) for name in tables[table] if name not in SECRET}
                    for row in rows
                ]
        author = person_author(self._host.coop, person)
        for table in ("split", "approval"):
            rows = self._disk.rows(f"SELECT * FROM {table} WHERE member = ?", author)
            if rows:
                found[table] = [
                    {name: _plain(value) for name, value in row.items() if name not in SECRET}
                    for row in rows
                ]
        return found

    # --- exporting ------------------------------------------------------------------------------

    def export(self, caller: Caller, person: str) -> bytes:
        """Return a zip file with everything about a person, and a README that says what is what.

        Raises: NotFound, NotPossible when it is larger than EXPORT_BYTES_MAX.
        """
        host = self._host
        found = host.register.find_person(person)
        author = person_author(host.coop, found.id)
        caller.require_self(author)
        keys, sealing = self._keys(found.id)
        files: dict[str, bytes] = {
            "person.json": _json(
                {
                    "person": found.id.hex(),
                    "author": author.hex(),
                    "name": found.name,
                    "note": found.note,
                    "registered": found.created,
                    "coop": host.coop.hex(),
                    "coop_name": host.coop_name(host.coop),
                    "keys": [
                        {
                            "key": row.public.hex(),
                            "sealing": row.sealing.hex(),
                            "custody": row.custody,
                            "held_here": row.held,
                        }
                        for row in host.register.keys_of(found.id)
                    ],
                }
            ),
            "affairs.json": _json(self._rows(found.id)),
        }
        said: list[dict[str, Any]] = []
        for signed in self._records(found.id, keys):
            header = signed.header
            said.append(
                {
                    "id": signed.id.hex(),
                    "kind": header.kind,
                    "at": header.at,
                    "until": header.until,
                    "by": header.by.hex(),
                    "mandate": header.as_.hex(),
                    "payload": _plain(signed.payload),
                }
            )
            files[f"records/{signed.id.hex()}.bin"] = signed.encode()
        files["records.json"] = _json(said)
        if self._accounts.kept and self._accounts.account(found.id) is not None:
            files["account.json"] = _json(self._statement(found.id))
        for name, holding in host.holdings.items():
            files[f"{name}.json"] = _json(holding.export_person(author, keys, sealing))
        if sum(map(len, files.values())) > bounds.EXPORT_BYTES_MAX:
            raise NotPossible(_("There is more than fits one file; ask the operator for a copy."))
        return _zip({"README.txt": self._readme(found.name).encode(), **files})

    def _statement(self, account: bytes) -> dict[str, Any]:
        showing, machine = self._accounts.showing, self._accounts.machine
        found = self._accounts.account(account)
        assert found is not None
        lines = machine.index.lines(self._host.coop, account)
        return {
            "account": msgspec.to_builtins(showing.account(self._host.coop, found)),
            "lines": [msgspec.to_builtins(showing.line(self._host.coop, line)) for line in lines],
        }

    def _readme(self, name: str) -> str:
        lines = (
            _("What {coop} holds about {name}, on {day}.").format(
                coop=self._host.coop_name(self._host.coop),
                name=name,
                day=sheets.day(self._host.time()),
            ),
            "",
            _("person.json: name, note and keys, as the coop's desk keeps them."),
            _("records.json: what you published, and what was published for you; records/ has"),
            _("the signed records themselves, byte for byte."),
            _("account.json: balances and every line of your account, with what they were for."),
            _("affairs.json: paper cheques, codes, recoveries, groups and moves."),
            _("exchanges.json: the exchanges you take part in, step by step."),
            _("letters.json: from where and when letters came; their content is sealed."),
            _("access.json: where you are signed in."),
            _("matching.json: searches kept for you, what you were told of, and demands of yours"),
            _("that were handed to another coop."),
            _("What a helper did for you stands among these, with the mandate it was done under."),
            "",
            _("Times are seconds since 1970 (UTC); ids and keys are hexadecimal."),
            _("Secret keys are not in it."),
        )
        return "\n".join(lines) + "\n"

    # --- erasing --------------------------------------------------------------------------------

    async def erase(
        self, caller: Caller, person: str, request: shapes.EraseRequest
    ) -> shapes.Erased:
        """Erase a person from every file; what was begun goes on after an interruption.

        Raises: NotFound, NotPossible (the account is not at rest, or they are moving); nothing is
        changed then but what `settle_to_commons` paid.
        """
        host = self._host
        found = host.register.find_person(person)
        caller.require("admin")
        if request.confirm != found.id.hex():
            raise NotPossible(_("Repeat the whole id of the person to confirm."))
        busy = self._disk.row(
            "SELECT 1 FROM voucher WHERE account = ? AND status = 'presented'", found.id
        ) or self._disk.row(
            "SELECT 1 FROM move WHERE person = ? AND status NOT IN ('closed', 'cancelled')",
            found.id,
        )
        if busy:
            raise NotPossible(_("A cheque or a move of this person is still under way."))
        if self._accounts.kept:
            await self._close(found.id, request)
        self._disk.run("INSERT OR REPLACE INTO erasure VALUES (?, ?)", found.id, host.time())
        erased = await self._go_on(found.id)
        return shapes.Erased(found.id.hex(), True, erased, self._left())

    def _left(self) -> list[str]:
        return [
            _("The leaves of erased entries stay in the chains: hashes that tell nothing."),
            _(
                "The person's random number stays in headers of records until they expire, and in "
                "this witness's last vote until the next one."
            ),
            _("Steps and letters that others received are theirs, at their own nodes."),
            _("Other coops erase their copies of the chains when they do the same."),
            _("Backups made before still hold it: delete them when their time has come."),
        ]

    async def _close(self, person: bytes, request: shapes.EraseRequest) -> None:
        account = self._accounts.account(person)
        if account is None or not account.open:
            return
        balances = {unit: p.balance for unit, p in account.positions.items() if p.balance}
        if balances and not request.settle_to_commons:
            raise NotPossible(
                _("The account is not at rest: something is on it, or owed."),
                hint=_("Settle it first, or say that the coop's own account takes it."),
            )
        self._require_free(account)
        if any(balance > 0 for balance in balances.values()):
            # Raises KeyElsewhere before anything is paid, of the other units either.
            self._accounts.asking.key_for(account)
        for unit, balance in sorted(balances.items()):
            await self._settle(person, unit, balance, request.wait_s)
        self._disk.run(
            "UPDATE voucher SET status = 'blocked' WHERE account = ? AND status = 'open'", person
        )
        placed = await self._accounts.close(person, request.wait_s)
        found = self._accounts.account(person)
        if found is not None and found.open:
            raise NotPossible(
                placed.detail or _("The account could not be closed yet: try again."),
                reason=placed.reason,
            )

    def _require_free(self, account: Account) -> None:
        """Return when nothing but balances keeps an account open. Raises: NotPossible."""
        now = self._host.time()
        if account.holds:
            raise NotPossible(
                _("Something is reserved on the account: it has to be paid or released first.")
            )
        if any(account.expected.values()):
            raise NotPossible(
                _("Something is reserved for the account: it has to be paid or released first.")
            )
        waiting = [start for _key, start in account.pending if start > now]
        if waiting:
            said = _("A new key of the account counts from {when} on; until then it stays open.")
            raise NotPossible(
                said.format(when=sheets.moment(max(waiting))),
                hint=_("Wait, or stop the new key: maillon account keys NAME --stop-recovery"),
            )

    async def _settle(self, person: bytes, unit: int, balance: int, wait_s: float) -> None:
        host = self._host
        if balance < 0:
            entry = Settle(COMMONS, unit, -balance, host.coop, person, host.random(32), 1)
            await self._accounts.entry(entry, COMMONS, wait_s)
            return
        account = self._accounts.asking.account(person.hex())
        action = PayAction(host.coop, COMMONS, unit, balance, host.random(32))
        key = self._accounts.asking.key_for(account)
        await self._payments.pay(action.ref, Wanted("rest", person, action, key), wait_s)

    async def _go_on(self, person: bytes) -> dict[str, int]:
        """Erase everywhere; every step can be repeated, the register goes last but one."""
        host = self._host
        author = person_author(host.coop, person)
        keys, sealing = self._keys(person)
        erased: dict[str, int] = {}
        for name, holding in host.holdings.items():
            erased[name] = holding.erase_person(author, keys, sealing)
        erased["records"] = self._withdraw(person, keys)
        if self._accounts.kept:
            erased["ledger"] = await self._erase_account(person)
        erased["affairs"] = self._forget_rows(person, author)
        erased["register"] = host.register.forget_person(person)
        self._disk.run("DELETE FROM erasure WHERE person = ?", person)
        self.scrub()
        return erased

    def _withdraw(self, person: bytes, keys: list[bytes]) -> int:
        """Take the coop's word on every key back: all that rests on it goes with it."""
        host = self._host
        count = len(self._records(person, keys))
        for valid in list(self._writer.live("vouching")):
            payload: Any = valid.signed.payload
            if valid.signed.header.coop == host.coop and payload["person"] == person:
                self._writer.withdraw(valid.signed)
        for info in host.view.keys_of(person_author(host.coop, person)):
            self._writer.withdraw_membership(info)
        return count

    async def _erase_account(self, person: bytes) -> int:
        host, accounts = self._host, self._accounts
        found = traces.find(accounts, host.coop, person)
        host.register.forget_memos(found.refs)
        changed = traces.erase_account(accounts, host.coop, person, found)
        await accounts.runner.stored()
        return changed

    def _forget_rows(self, person: bytes, author: bytes) -> int:
        count = 0
        with self._disk.batch():
            count += self._disk.run(
                "UPDATE voucher SET payee = NULL, payee_coop = NULL, written = '' WHERE payee = ?",
                person,
            )
            count += self._disk.run("DELETE FROM approval WHERE member = ?", author)
            count += self._disk.run("DELETE FROM split WHERE member = ?", author)
            for table, columns in reversed(list(WHOSE.items())):
                if table == "erasure":
                    continue
                for column in columns:
                    count += self._disk.run(f"DELETE FROM {table} WHERE {column} = ?", person)
        return count

    def scrub(self) -> None:
        """Rewrite every file that anything was erased from, and cut its log."""
        host = self._host
        for holding in host.holdings.values():
            holding.scrub()
        host.scrub_store()
        host.register.scrub()
        self._disk.scrub()
        if self._accounts.kept:
            host.scrub_ledger()

    async def work(self) -> None:
        """Go on with erasures that were interrupted."""
        for row in self._disk.rows("SELECT person FROM erasure"):
            with contextlib.suppress(MaillonError):
                await self._go_on(row["person"])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {str(name): _plain(item) for name, item in fields.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in cast("frozenset[Any]", value))
    return value


def _json(value: object) -> bytes:
    return json.dumps(_plain(value), ensure_ascii=False, indent=1, sort_keys=True).encode()


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # The same content gives the same bytes: no clock of the machine in it.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()
