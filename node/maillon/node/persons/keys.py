"""Keys of a person: claiming an account with an own key, several devices, ending one."""

from __future__ import annotations

import hmac
from typing import Any

from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.i18n import _, speaking
from maillon.node.persons import bounds, sheets
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import ClaimRefused, NotFound, NotPossible
from maillon.node.persons.host import PersonRow, PersonsHost
from maillon.node.persons.keychanges import ADD, DROP, RECOVER, KeyChanges
from maillon.node.persons.records import Writer
from maillon.node.persons.statuses import payable_kinds, rules_with
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.protocol.claims import (
    CLAIM_PURPOSE,
    DEVICE_PURPOSE,
    NAME_BYTES,
    SECRET_BYTES,
    ClaimCode,
    claim_body,
    claim_code,
    device_body,
)
from maillon.protocol.keys import key_ok, verify
from maillon.protocol.moving import past, present
from maillon.protocol.records import DAY_S
from maillon.protocol.view import person_author

STANDING_MAX = 1_000
KEPT_CUSTODY = ("node", "paper")


class Keys:
    """The keys that a coop vouches for, and how they change."""

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
        self._wrong: tuple[int, int] = (0, 0)

    # --- showing --------------------------------------------------------------------------------

    def known(self, caller: Caller, person: str) -> PersonRow:
        """Return a person of this coop whom the caller may look after. Raises: NotFound."""
        found = self._host.register.find_person(person)
        caller.require_author(person_author(self._host.coop, found.id))
        return found

    def show(self, caller: Caller, person: str) -> shapes.Person:
        """Show a person with their keys, status and who verified it."""
        found = self.known(caller, person)
        author = person_author(self._host.coop, found.id)
        said: dict[str, Any] = {}
        for _info, payload in self._writer.keys(found.id):
            said = dict(payload)
            if payload["status"] == "active":
                break
        verified_by: bytes = said.get("verified_by", b"")
        status = str(said.get("provider_status", ""))
        moves = list(self._writer.live("move"))
        now_is = present(author, moves)
        kinds = payable_kinds(status, rules_with(self._host.persons_settings.forbidden))
        units = list(self._accounts.asking.units) if self._accounts.kept else []
        return shapes.Person(
            person=found.id.hex(),
            author=author.hex(),
            name=found.name,
            note=found.note,
            roles=list(said.get("roles", ())),
            provider_status=status,
            verification=str(said.get("verification", "")),
            verified_by=verified_by.hex(),
            verified_by_name=self._host.coop_name(verified_by) if verified_by else "",
            payable=[unit.code for unit in units if unit.kind in kinds],
            devices=self.devices(found.id),
            moved_from=[who.hex() for who in past(author, moves)],
            moved_to="" if now_is == author else now_is.hex(),
        )

    def devices(self, person: bytes) -> list[shapes.Device]:
        """Return every key of a person that the coop vouches for or the register knows."""
        held = {row.public: row for row in self._host.register.keys_of(person)}
        found: list[shapes.Device] = []
        for info, payload in self._writer.keys(person):
            row = held.pop(info.key, None)
            standing, start = self._standing(person, info.key)
            found.append(
                shapes.Device(
                    key=info.key.hex(),
                    sealing=info.sealing.hex(),
                    custody=str(payload["custody"]),
                    status=info.status,
                    at=info.since,
                    until=info.until,
                    held=row is not None and row.held,
                    account=standing,
                    pending_from=start,
                )
            )
        for row in held.values():
            standing, start = self._standing(person, row.public)
            found.append(
                shapes.Device(
                    row.public.hex(), row.sealing.hex(), row.custody, "", 0, 0, row.held,
                    standing, start,
                )
            )  # fmt: skip
        return found

    def _standing(self, person: bytes, key: bytes) -> tuple[str, int]:
        return self._changes.standing(person, key) if self._accounts.kept else ("no", 0)

    def _device(self, person: bytes, key: bytes) -> shapes.Device:
        return next(each for each in self.devices(person) if each.key == key.hex())

    # --- claiming -------------------------------------------------------------------------------

    def claim_code(
        self, caller: Caller, person: str, request: shapes.ClaimCodeRequest
    ) -> shapes.ClaimCode:
        """Make a code; an older one of the person that was not used opens nothing any more."""
        found = self.known(caller, person)
        now = self._host.time()
        waiting = self._disk.count(
            "SELECT count(*) FROM claim WHERE used_at IS NULL AND expires >= ?", now
        )
        if waiting >= bounds.CLAIMS_OPEN_MAX:
            raise NotPossible(_("{n} codes wait to be used already.").format(n=waiting))
        code = ClaimCode(self._host.random(NAME_BYTES), self._host.random(SECRET_BYTES))
        while self._disk.row("SELECT 1 FROM claim WHERE id = ?", code.name) is not None:
            code = ClaimCode(self._host.random(NAME_BYTES), code.secret)
        expires = now + request.days * DAY_S
        with self._disk.batch():
            self._disk.run("DELETE FROM claim WHERE person = ? AND used_at IS NULL", found.id)
            self._disk.add(
                "claim", id=code.name, person=found.id, secret=code.hash, expires=expires,
                tries=0, used_at=None, key=None,
            )  # fmt: skip
        with speaking(request.lang):
            page = sheets.code_html(
                _("Your own key for {coop}").format(coop=self._host.coop_name(self._host.coop)),
                found.name,
                (
                    _("With this code you bring a key of your own device to your account."),
                    _("It works once, until {day}. Tell it to nobody else.").format(
                        day=sheets.day(expires)
                    ),
                ),
                code.text(),
                "MAILLON:C1:" + code.text().replace("-", ""),
            )
        return shapes.ClaimCode(found.id.hex(), code.text(), expires, page)

    def _opened(self, code: ClaimCode, key: bytes) -> Row:
        """Return the claim that a code opens for a key. Raises: ClaimRefused, always alike."""
        refused = ClaimRefused(
            _("This code opens nothing: it is wrong, was used, or has expired."),
            hint=_("Ask your coop for a new one."),
        )
        now = self._host.time()
        hour, wrong = self._wrong
        if hour == now // 3_600 and wrong >= bounds.CLAIMS_WRONG_PER_HOUR_MAX:
            raise refused
        row = self._disk.row("SELECT * FROM claim WHERE id = ?", code.name)
        if row is None:
            self._wrong = (now // 3_600, wrong + 1 if hour == now // 3_600 else 1)
            raise refused
        if row["tries"] >= bounds.CLAIM_TRIES_MAX:
            raise refused
        if not hmac.compare_digest(row["secret"], code.hash):
            self._disk.run("UPDATE claim SET tries = tries + 1 WHERE id = ?", code.name)
            raise refused
        if row["used_at"] is not None and row["key"] != key:
            raise refused
        if row["used_at"] is None and row["expires"] < now:
            raise refused
        return row

    async def claim(self, request: shapes.ClaimRequest) -> shapes.Claimed:
        """Give a person a key of their own. Asked again with the same key it goes on.

        Raises: TextDamaged, ClaimRefused, BadSignature, RegisterError.
        """
        code = claim_code(request.code)
        key, sealing = bytes.fromhex(request.key), bytes.fromhex(request.sealing)
        fed, coop = self._host.founding.fed, self._host.coop
        body = claim_body(fed, coop, code.hash, key, sealing)
        if not key_ok(key):
            raise NotPossible(_("This is not a public key that can be used."))
        row = self._opened(code, key)
        verify(key, CLAIM_PURPOSE, body, bytes.fromhex(request.signature))
        person: bytes = row["person"]
        self._require_free(person, key)
        # First of all: from here on the code is this key's, and whatever breaks can be repeated.
        self._disk.run(
            "UPDATE claim SET used_at = ?, key = ? WHERE id = ? AND used_at IS NULL",
            self._host.time(),
            key,
            code.name,
        )
        self._let_in(person, key, sealing, "device")
        old = [
            each
            for each in self._host.register.keys_of(person)
            if each.public != key and (each.held or each.custody in KEPT_CUSTODY)
        ]
        if self._accounts.account(person) is not None:
            what = ADD if self._changes.possible(person) else RECOVER
            self._changes.note(person, key, what)
        dropped: list[str] = []
        if request.drop:
            for each in old:
                info = self._host.view.membership(coop, each.public)
                if info is not None and info.status != "revoked":
                    self._changes.note(person, each.public, DROP, "rotated")
                    dropped.append(each.public.hex())
        await self._work(request.wait_s)
        standing, start = self._standing(person, key)
        status = {"yes": "certified", "pending": "pending", "no": "waiting"}[standing]
        if self._accounts.account(person) is None:
            status = "none"
        info = self._host.view.membership(coop, key)
        return shapes.Claimed(
            person=person.hex(),
            author=person_author(coop, person).hex(),
            coop=coop.hex(),
            key=key.hex(),
            membership=b"".join(self._host.store.encoded([info.record])).hex() if info else "",
            dropped=dropped,
            account=status,
            pending_from=start,
        )

    def _require_free(self, person: bytes, key: bytes) -> None:
        """Return when a key is nobody's, or this person's."""
        info = self._host.view.membership(self._host.coop, key)
        if info is not None and info.person != person:
            raise NotPossible(_("This key belongs to another person of the coop."))
        if info is not None and info.status == "revoked":
            raise NotPossible(_("This key has ended; make a new one."))

    def _let_in(self, person: bytes, key: bytes, sealing: bytes, custody: str) -> None:
        """Note a key in the register and vouch for it, once."""
        register = self._host.register
        if key not in [row.public for row in register.keys_of(person)]:
            register.add_key(person, key, sealing, custody, self._host.time())
        if self._host.view.membership(self._host.coop, key) is None:
            self._writer.vouch(person, key, sealing, custody)

    async def _work(self, wait_s: float) -> None:
        if self._accounts.kept:
            await self._changes.work(wait_s)

    # --- devices --------------------------------------------------------------------------------

    async def add_device(
        self, caller: Caller, person: str, request: shapes.DeviceRequest
    ) -> shapes.DeviceChange:
        """Vouch for another key of a person, by the desk's word or an older key's signature.

        Raises: BadSignature, NotPossible, RegisterError.
        """
        found = self.known(caller, person)
        key, sealing = bytes.fromhex(request.key), bytes.fromhex(request.sealing)
        if not key_ok(key):
            raise NotPossible(_("This is not a public key that can be used."))
        approver = b""
        if request.approved_by is not None or not caller.may("desk"):
            approver = self._approved(found.id, request, key, sealing)
        self._require_free(found.id, key)
        self._let_in(found.id, key, sealing, request.custody)
        missing: list[shapes.ToSign] = []
        if self._accounts.account(found.id) is not None:
            self._changes.note(found.id, key, ADD)
            if not self._changes.possible(found.id):
                signers = [approver] if approver else self._elsewhere(found.id, key)
                for signer in signers[:1]:
                    order = self._changes.to_sign(found.id, signer, key, b"")
                    missing += [] if order is None else [order]
        await self._work(request.wait_s)
        device = self._device(found.id, key)
        return shapes.DeviceChange(device, device.account, missing)

    def _approved(
        self, person: bytes, request: shapes.DeviceRequest, key: bytes, sealing: bytes
    ) -> bytes:
        if request.approved_by is None or request.approval is None:
            raise NotPossible(
                _("Another key of yours has to approve this one."),
                hint=_("Or let the desk of your coop add it."),
            )
        approver = bytes.fromhex(request.approved_by)
        info = self._host.view.membership(self._host.coop, approver)
        if info is None or info.person != person or info.status != "active":
            raise NotPossible(_("The key that approves is no valid key of this person."))
        if request.until < self._host.time():
            raise NotPossible(_("The approval has expired."))
        body = device_body(
            self._host.founding.fed, self._host.coop, person, key, sealing, request.until
        )
        verify(approver, DEVICE_PURPOSE, body, bytes.fromhex(request.approval))
        return approver

    def _elsewhere(self, person: bytes, but: bytes) -> list[bytes]:
        """Return keys of a person that may sign for the account and are not here."""
        account = self._accounts.account(person)
        keys = () if account is None else account.keys_at(self._host.time())
        return [key for key in keys if key != but]

    async def remove_device(
        self, caller: Caller, person: str, key: str, request: shapes.RemoveDeviceRequest
    ) -> shapes.DeviceChange:
        """End a key: what it signed counts until `until_at`, or when it stands in `keep`.

        Raises: NotFound, NotPossible.
        """
        found = self.known(caller, person)
        caller.require_self(person_author(self._host.coop, found.id))
        fits = [each for each in self.devices(found.id) if each.key.startswith(key)]
        if len(fits) != 1 or not fits[0].status:
            raise NotFound(_("{name} has no such key.").format(name=found.name))
        public = bytes.fromhex(fits[0].key)
        keep = None if request.keep is None else [bytes.fromhex(id) for id in request.keep]
        self._writer.end(found.id, public, request.reason, request.until_at, keep)
        if request.reason in ("lost", "stolen"):
            # Whoever has the device may be signed in with it.
            self._host.sign_out(person_author(self._host.coop, found.id))
        missing: list[shapes.ToSign] = []
        if fits[0].account == "yes":
            self._changes.note(found.id, public, DROP, request.reason)
            if not self._changes.possible(found.id):
                for signer in self._elsewhere(found.id, public)[:1]:
                    order = self._changes.to_sign(found.id, signer, b"", public)
                    missing += [] if order is None else [order]
        else:
            self._changes.forget(found.id, public, ADD)
        await self._work(request.wait_s)
        if fits[0].account != "yes":
            self._host.register.drop_secret(public)
        device = self._device(found.id, public)
        standing = [
            id.hex() for id, header in self._host.store.signed_by(public) if header.rev >= 0
        ]
        return shapes.DeviceChange(device, device.account, missing, standing[:STANDING_MAX])
