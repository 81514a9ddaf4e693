"""What everything about groups starts from: which group, whose consents, its key, its account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from maillon.ledger.orders import PayAction
from maillon.node.api.caller import Caller
from maillon.node.i18n import _
from maillon.node.ledger.asking import Place
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotFound, NotPossible
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.once import Payments
from maillon.node.persons.records import Writer
from maillon.node.persons.statuses import require_payable, rules_with
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.node.persons.vouchers import Vouchers
from maillon.protocol.bundles import complete, waiting_for
from maillon.protocol.envelope import Draft, Valid
from maillon.protocol.keys import SigningKey

OPEN: Final = "open"


class Teams:
    """The groups of a node, as the parts about them share them."""

    def __init__(
        self,
        host: PersonsHost,
        disk: PersonsDisk,
        accounts: Accounts,
        payments: Payments,
        cheques: Vouchers,
        writer: Writer,
    ) -> None:
        self._host = host
        self._disk = disk
        self._accounts = accounts
        self._payments = payments
        self._cheques = cheques
        self._writer = writer

    def _team(self, id: bytes) -> Row:
        row = self._disk.row("SELECT * FROM team WHERE id = ?", id)
        if row is None:
            raise NotFound(_("There is no such group here."))
        return row

    def _find(self, text: str) -> Row:
        fits = [row for row in self._disk.rows("SELECT * FROM team") if _begins(row, text)]
        if len(fits) != 1:
            raise NotFound(_("There is no such group here."))
        return fits[0]

    def organisation(self, team: Row) -> Valid | None:
        """Return the current record of a group, or None when it was withdrawn or has ended."""
        for valid in self._writer.live("organisation"):
            if valid.thing == team["organisation"]:
                return valid
        return None

    def _may_see(self, caller: Caller, team: Row) -> bool:
        if caller.may_act_for(b""):
            return True
        whole = self.organisation(team)
        return whole is not None and caller.author in members_of(whole)

    def _missing(self, whole: Valid | None) -> tuple[bytes, ...]:
        if whole is None:
            return ()
        return waiting_for(whole, self._writer.live("organisation_part"))

    def _counting(self, team: Row) -> Valid | None:
        """Return the record of a group that all members stand behind now, or None."""
        whole = self.organisation(team)
        if whole is None or fields_of(whole)["status"] != "active":
            return None
        return whole if complete(whole, self._writer.live("organisation_part")) else None

    def _by(
        self, caller: Caller, author: bytes, kind: str, fields: Mapping[str, Any],
        refs: tuple[bytes, ...],
    ) -> tuple[Draft, SigningKey]:  # fmt: skip
        """Draft what a member says with a key that is held here."""
        caller.require_self(author)
        key = self._writer.held_signer(author[33:]) if author[1:33] == self._host.coop else None
        if key is None:
            raise NotPossible(
                _("No key of this member is held here."),
                hint=_("They sign on their own device: give the signed record."),
            )
        return self._writer.draft(kind, fields, key.public, author, refs=refs), key

    def _payable(self, action: PayAction) -> None:
        status = self._cheques.provider_status(action.to_coop, action.to_account)
        kind = self._accounts.unit_kind(action.unit)
        require_payable(status, kind, rules_with(self._host.persons_settings.forbidden))
        to = Place(action.to_coop, action.to_account)
        self._accounts.asking.require_welcome(to, action.unit, action.amount)

    def _key(self, team: Row) -> SigningKey:
        seed = self._host.register.unseal(team["secret"], b"group" + team["id"])
        return SigningKey.from_seed(seed)


def _begins(row: Row, text: str) -> bool:
    return bool(text) and (row["id"].hex().startswith(text.lower()) or row["name"] == text)


def fields_of(valid: Valid) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", valid.signed.payload)


def members_of(whole: Valid) -> set[bytes]:
    return {member["author"] for member in fields_of(whole)["members"]}
