"""Vouch for a new key in the place of a lost one, in the open, with time to object.

The coop publishes a `vouching`; whoever still has a key of the person publishes a `contest` and it
stops for good. When the time has passed, the new key becomes the person's, the account gets it by
the ledger's own recovery, which waits and can be cancelled once more, and the old key ends.
"""

from __future__ import annotations

from typing import Final

from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.i18n import _, language
from maillon.node.persons import bounds
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotFound, NotPossible
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.keychanges import DROP, RECOVER, KeyChanges
from maillon.node.persons.records import Writer
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.protocol.envelope import Valid, decode_record
from maillon.protocol.keys import SealingKey, SigningKey, key_ok
from maillon.protocol.moving import vouching_stands
from maillon.protocol.records import DAY_S
from maillon.protocol.view import person_author

OPEN: Final = "open"
CONTESTED: Final = "contested"
DONE: Final = "done"
CANCELLED: Final = "cancelled"


class Recovering:
    """The recoveries that a coop vouches for."""

    def __init__(
        self,
        host: PersonsHost,
        disk: PersonsDisk,
        accounts: Accounts,
        changes: KeyChanges,
        writer: Writer,
    ) -> None:
        self._host = host
        self._disk = disk
        self._accounts = accounts
        self._changes = changes
        self._writer = writer

    def begin(
        self, caller: Caller, person: str, request: shapes.RecoveryRequest
    ) -> shapes.Recovery:
        """Publish that the coop vouches for a new key. Raises: NotFound, NotPossible."""
        host = self._host
        found = host.register.find_person(person)
        caller.require_author(person_author(host.coop, found.id))
        old = bytes.fromhex(request.old_key)
        info = host.view.membership(host.coop, old)
        if info is None or info.person != found.id:
            raise NotFound(_("{name} has no such key.").format(name=found.name))
        if (request.key is None) != (request.sealing is None):
            raise NotPossible(_("A key and its sealing key come together."))
        open_now = self._disk.count("SELECT count(*) FROM recovery WHERE status = 'open'")
        if open_now >= bounds.RECOVERIES_OPEN_MAX:
            raise NotPossible(_("{n} recoveries can be contested now.").format(n=open_now))
        if self._disk.row(
            "SELECT 1 FROM recovery WHERE person = ? AND old_key = ? AND status = 'open'",
            found.id,
            old,
        ):
            raise NotPossible(_("A recovery of this key is under way already."))
        days = request.days or host.persons_settings.contest_days
        now = host.time()
        with host.register.batch():
            custody, key, sealing = self._new_key(found.id, request)
            fields = {
                "person": found.id,
                "old_key": old,
                "new_key": key,
                "procedure": request.procedure,
                "lang": language(),
                "contest_until": now + days * DAY_S,
            }
            made = self._writer.draft("vouching", fields, host.node_key.public, b"c" + host.coop)
            signed = host.author(made, host.node_key)
        self._disk.add(
            "recovery", id=signed.id, person=found.id, old_key=old, new_key=key, sealing=sealing,
            procedure=request.procedure, at=now, contest_until=now + days * DAY_S, status=OPEN,
            contested_by=b"", custody=custody,
        )  # fmt: skip
        return self._shown(self._row(signed.id))

    def _new_key(self, person: bytes, request: shapes.RecoveryRequest) -> tuple[str, bytes, bytes]:
        host = self._host
        if request.key is not None and request.sealing is not None:
            key, sealing = bytes.fromhex(request.key), bytes.fromhex(request.sealing)
            if not key_ok(key) or host.view.membership(host.coop, key) is not None:
                raise NotPossible(_("This key cannot be used: it is none, or somebody's already."))
            host.register.add_key(person, key, sealing, "device", host.time())
            return "device", key, sealing
        secrets = (
            SigningKey.from_seed(host.random(32)),
            SealingKey.from_seed(host.random(32)),
        )
        key, sealing = secrets[0].public, secrets[1].public
        host.register.add_key(person, key, sealing, "node", host.time(), secrets)
        return "node", key, sealing

    def _row(self, id: bytes) -> Row:
        row = self._disk.row("SELECT * FROM recovery WHERE id = ?", id)
        if row is None:
            raise NotFound(_("There is no such recovery."))
        return row

    def find(self, text: str) -> Row:
        """Return a recovery by its id or the beginning of it. Raises: NotFound."""
        rows = self._disk.rows("SELECT * FROM recovery")
        fits = [row for row in rows if row["id"].hex().startswith(text.lower())]
        if len(fits) != 1 or len(text) < 8:
            raise NotFound(_("There is no such recovery."))
        return fits[0]

    def _shown(self, row: Row) -> shapes.Recovery:
        standing, start = "", 0
        if self._accounts.kept:
            standing, start = self._changes.standing(row["person"], row["new_key"])
        return shapes.Recovery(
            recovery=row["id"].hex(),
            person=row["person"].hex(),
            name=self._host.register.name_of(row["person"]),
            old_key=row["old_key"].hex(),
            new_key=row["new_key"].hex(),
            procedure=row["procedure"],
            at=row["at"],
            contest_until=row["contest_until"],
            status=row["status"],
            contested_by=row["contested_by"].hex(),
            account=standing,
            pending_from=start,
        )

    def listed(self, caller: Caller) -> shapes.Recoveries:
        """List recoveries: those that can be contested first, then the newest."""
        self._look()
        rows = self._disk.rows("SELECT * FROM recovery ORDER BY status != 'open', at DESC")
        return shapes.Recoveries(
            [
                self._shown(row)
                for row in rows
                if caller.may_act_for(person_author(self._host.coop, row["person"]))
            ]
        )

    def contest(
        self, caller: Caller, recovery: str, request: shapes.ContestRequest
    ) -> shapes.Recovery:
        """Publish a contest, signed elsewhere or with an old key that is held here.

        Raises: NotPossible; what refuses the record.
        """
        host, row = self._host, self.find(recovery)
        if request.signed is not None:
            data = bytes.fromhex(request.signed)
            if decode_record(data).header.kind != "contest":
                raise NotPossible(_("This is no contest of a recovery."))
            host.submit(data)
        else:
            author = person_author(host.coop, row["person"])
            caller.require_self(author)
            key = next(
                (
                    host.register.held_key(each.public)
                    for each in host.register.keys_of(row["person"])
                    if each.held and each.public != row["new_key"]
                ),
                None,
            )
            if key is None:
                raise NotPossible(_("No old key of this person is held here."))
            made = self._writer.draft(
                "contest", {"vouching": row["id"]}, key.public, author, refs=(row["id"],)
            )
            host.author(made, key)
        self._look()
        return self._shown(self._row(row["id"]))

    def _vouchings(self) -> dict[bytes, Valid]:
        return {
            valid.signed.id: valid
            for valid in self._writer.live("vouching")
            if valid.signed.header.coop == self._host.coop
        }

    def _look(self) -> None:
        """Note what contests, and the passing of time, have made of open recoveries."""
        rows = self._disk.rows("SELECT * FROM recovery WHERE status = 'open'")
        if not rows:
            return
        vouchings, contests = self._vouchings(), list(self._writer.live("contest"))
        for row in rows:
            vouching = vouchings.get(row["id"])
            if vouching is None:
                self._end(row, CANCELLED)
                continue
            stands = vouching_stands(vouching, contests, self._host.time())
            if stands is False:
                by = next(
                    each.signed.header.by
                    for each in contests
                    if each.signed.header.refs == (row["id"],)
                )
                self._end(row, CONTESTED, by)
            elif stands:
                self._accept(row)

    def _end(self, row: Row, status: str, by: bytes = b"") -> None:
        self._disk.run(
            "UPDATE recovery SET status = ?, contested_by = ? WHERE id = ?", status, by, row["id"]
        )
        self._host.register.drop_secret(row["new_key"])

    def _accept(self, row: Row) -> None:
        host, person, key = self._host, row["person"], row["new_key"]
        # Each step is one that can be repeated; the last says that all are done.
        if host.view.membership(host.coop, key) is None:
            self._writer.vouch(person, key, row["sealing"], row["custody"])
        if self._accounts.account(person) is not None:
            self._changes.note(person, key, RECOVER)
            self._changes.note(person, row["old_key"], DROP, "lost")
        self._writer.end(person, row["old_key"], "lost")
        host.sign_out(person_author(host.coop, person))
        self._disk.run("UPDATE recovery SET status = 'done' WHERE id = ?", row["id"])

    async def work(self) -> None:
        """Look at what became of the recoveries."""
        self._look()
