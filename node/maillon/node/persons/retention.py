"""Remove what has been kept long enough, by the settings, once a day (docs/operator.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maillon.node.api import persons_shapes as shapes
from maillon.node.persons import bounds
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.storage import PersonsDisk
from maillon.protocol.records import DAY_S

DONE: Final = "retention"

# What is removed of persons.db before a time, and what is counted as due: (table, condition).
_TABLES: Final = {
    "deposits": ("deposit", "status NOT IN ('sent', 'waiting', 'placed') AND at < ?"),
    "claims": ("claim", "expires < ?"),
    "recoveries": ("recovery", "status != 'open' AND contest_until < ?"),
    "moves": ("move", "status IN ('closed', 'cancelled') AND at < ?"),
}
# Only what can never be paid any more: the cheque is expired, and was not being paid.
_VOUCHERS: Final = "book IN (SELECT id FROM book WHERE expires < ?) AND status != 'presented'"
# What other files keep: the name of the file that was handed in. The post office ends letters by
# itself, by the same settings: it believes no clock that leapt.
_HELD: Final = {
    "exchanges": "exchanges",
    "notices": "matching",
    "relays": "matching",
    "auctions": "matching",
}


class Keeping:
    """Applies the retention periods."""

    def __init__(self, host: PersonsHost, disk: PersonsDisk) -> None:
        self._host = host
        self._disk = disk

    def _periods(self) -> dict[str, int]:
        settings = self._host.retention_settings
        return {name: getattr(settings, name) for name in settings.__struct_fields__}

    def show(self) -> shapes.Retention:
        """Show every rule, how much of it is due, and when it was applied last."""
        now, last = self._host.time(), self._disk.done_at(DONE)
        rules = [
            shapes.RetentionRule(
                name, days, self._due(name, now - days * DAY_S) if days else 0, last
            )
            for name, days in self._periods().items()
        ]
        return shapes.Retention(rules, last)

    def _due(self, name: str, before: int) -> int:
        if name == "vouchers":
            return self._disk.count(f"SELECT count(*) FROM voucher WHERE {_VOUCHERS}", before)
        if name in _TABLES:
            table, where = _TABLES[name]
            return self._disk.count(f"SELECT count(*) FROM {table} WHERE {where}", before)
        return 0

    def run(self) -> shapes.Retained:
        """Remove what is due, everywhere; return how many rows of each."""
        now = self._host.time()
        removed: dict[str, int] = {}
        for name, days in self._periods().items():
            if days:
                removed[name] = self._remove(name, now - days * DAY_S)
        self._disk.note_done(DONE, now)
        if any(removed.values()):
            self._disk.scrub()
            self._host.register.scrub()
        for file in {_HELD[name] for name, rows in removed.items() if rows and name in _HELD}:
            self._host.holdings[file].scrub()
        return shapes.Retained(removed)

    def _remove(self, name: str, before: int) -> int:
        register = self._host.register
        others: dict[str, Callable[[int], int]] = {
            "memos": register.forget_memos_before,
            "invitations": register.forget_invitations_before,
        }
        if name in others:
            return others[name](before)
        if name in _HELD:
            holding = self._host.holdings.get(_HELD[name])
            return 0 if holding is None else holding.forget_before(before, name)
        if name == "vouchers":
            with self._disk.batch():
                gone = self._disk.run(f"DELETE FROM voucher WHERE {_VOUCHERS}", before)
                self._disk.run(
                    "DELETE FROM book WHERE expires < ? AND id NOT IN (SELECT book FROM voucher)",
                    before,
                )
                self._disk.run(
                    "DELETE FROM payment WHERE what = 'voucher' AND status = 'certified' "
                    "AND at < ?",
                    before,
                )
            return gone
        if name in _TABLES:
            table, where = _TABLES[name]
            return self._disk.run(f"DELETE FROM {table} WHERE {where}", before)
        return 0

    async def work(self) -> None:
        """Apply the rules when a day has passed since the last time."""
        if self._host.time() - self._disk.done_at(DONE) >= bounds.RETENTION_PAUSE_S:
            self.run()
