"""Let the keys of an account follow the keys of its person, whatever waits in between.

A change is a row of persons.db until the chain shows it: `add` a key, `drop` one, or `recover` when
no key that could sign for it is here. When an old key is off the account, the coop's word on it
ends and its secret is forgotten, in that order: nobody is left without a key.
"""

from __future__ import annotations

import hashlib
from typing import Final

from maillon.ledger.errors import LedgerError
from maillon.ledger.orders import KeysAction, order_body
from maillon.ledger.state import Account
from maillon.node.api import persons_shapes as shapes
from maillon.node.ledger import bounds as ledger_bounds
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.once import Payments, Wanted
from maillon.node.persons.records import Writer
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.protocol.errors import MaillonError

ADD: Final = "add"
DROP: Final = "drop"
RECOVER: Final = "recover"
OPEN: Final = "open"
DONE: Final = "done"


class KeyChanges:
    """The changes of accounts' keys that are under way."""

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

    def note(self, account: bytes, key: bytes, what: str, detail: str = "") -> None:
        """Note a change, durable: it goes on until the chain shows it."""
        self._disk.run(
            "INSERT OR REPLACE INTO keychange VALUES (?, ?, ?, ?, ?, ?)",
            account,
            key,
            what,
            self._host.time(),
            OPEN,
            detail,
        )

    def possible(self, account: bytes) -> bool:
        """Tell whether a key of an account that could sign a change is held here."""
        found = self._accounts.account(account)
        return (
            found is not None and bool(found.open) and (self._accounts.held_key(found) is not None)
        )

    def to_sign(self, account: bytes, key: bytes, add: bytes, drop: bytes) -> shapes.ToSign | None:
        """Return the order that a key elsewhere can sign in our place, or None without account."""
        found = self._accounts.account(account)
        if found is None or not found.open or key not in found.keys_at(self._host.time()):
            return None
        body = order_body(
            found.id,
            self._accounts.next_seq(found),
            self._host.coop,
            self._host.time() + ledger_bounds.ORDER_LIFETIME_S,
            KeysAction(add, drop),
        )
        return shapes.ToSign("order", key.hex(), body.hex())

    def standing(self, account: bytes, key: bytes) -> tuple[str, int]:
        """Return `yes`, `no` or `pending` of a key on an account, and since or from when."""
        found = self._accounts.account(account)
        if found is None or not found.open:
            return "no", 0
        if key in found.keys_at(self._host.time()):
            return "yes", 0
        for pending, start in found.pending:
            if pending == key:
                return "pending", start
        return "no", 0

    async def work(self, wait_s: float = 0) -> None:
        """Go on with every change: first those that add, then those that drop."""
        rows = self._disk.rows(
            "SELECT * FROM keychange WHERE status = 'open' ORDER BY what != 'add', at"
        )
        for row in rows:
            try:
                await self._go_on(row, wait_s)
            except MaillonError as fault:
                self._disk.run(
                    "UPDATE keychange SET detail = ? "
                    "WHERE account = ? AND key = ? AND what = ? AND detail = ''",
                    fault.code if row["what"] != DROP else row["detail"],
                    row["account"],
                    row["key"],
                    row["what"],
                )

    async def _go_on(self, row: Row, wait_s: float) -> None:
        account = self._accounts.account(row["account"])
        key, what = row["key"], row["what"]
        if account is None or not account.open:
            self._ended(row)
            return
        keys = account.keys_at(self._host.time())
        if what == ADD and key not in keys:
            await self._order(row, account, KeysAction(key, b""), wait_s)
        elif what == DROP and key in keys:
            others = self._disk.count(
                "SELECT count(*) FROM keychange WHERE account = ? AND status = 'open' "
                "AND what IN ('add', 'recover')",
                account.id,
            )
            if others or len(keys) < 2:
                return  # the key that follows it is not there yet
            await self._order(row, account, KeysAction(b"", key), wait_s)
        elif what == RECOVER and key not in keys:
            if all(pending != key for pending, _start in account.pending):
                await self._accounts.recover(account.id, key, wait_s)
        account = self._accounts.account(row["account"])
        if account is not None and (key in account.keys_at(self._host.time())) == (what != DROP):
            self._ended(row)

    async def _order(self, row: Row, account: Account, action: KeysAction, wait_s: float) -> None:
        key = self._accounts.held_key(account)
        if key is None:
            return  # it waits for a device to sign
        when: int = row["at"]
        name = account.id + row["key"] + row["what"].encode() + when.to_bytes(8, "big")
        ref = hashlib.sha256(b"maillon/1/key-change\0" + name).digest()
        if self._payments.row(ref) is None and self._accounts.machine.reading.behind(
            self._host.coop
        ):
            return
        try:
            await self._payments.pay(ref, Wanted("keys", account.id, action, key), wait_s)
        except LedgerError as fault:
            if fault.code != "key_change":
                raise

    def _ended(self, row: Row) -> None:
        """Note that a change is done; of a key that went, the coop's word and the secret end."""
        if row["what"] == DROP:
            person = row["account"]
            self._writer.end(person, row["key"], row["detail"] or "rotated")
            self._host.register.drop_secret(row["key"])
        self._disk.run(
            "UPDATE keychange SET status = 'done' WHERE account = ? AND key = ? AND what = ?",
            row["account"],
            row["key"],
            row["what"],
        )

    def forget(self, account: bytes, key: bytes, what: str) -> None:
        """Let go of a change that is not wanted any more."""
        self._disk.run(
            "DELETE FROM keychange WHERE account = ? AND key = ? AND what = ? AND status = 'open'",
            account,
            key,
            what,
        )
