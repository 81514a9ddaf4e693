"""Publish, revise and withdraw what this coop and the members whose keys it holds say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from maillon.node import clock
from maillon.node.api import shapes
from maillon.node.api.plain import payload_from_json
from maillon.node.exchange.evaluating import require_asked
from maillon.node.i18n import _
from maillon.node.run.admission import missing_founders
from maillon.node.run.register import RegisterError
from maillon.node.run.returns import require_allowed_offer
from maillon.protocol.envelope import Draft, Signed, draft
from maillon.protocol.errors import LocalError, UnknownCoop
from maillon.protocol.founding import Founding
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import DAY_S, KINDS, WITHDRAWAL, build, thing_id
from maillon.protocol.validation import longest_until

if TYPE_CHECKING:
    from maillon.node.run.node import Node

# How long things stand when nothing else is said.
USUAL_DAYS = {"offer": 365, "demand": 60, "category": 730}
# These say who may speak; they have commands of their own, with checks of their own.
OWN_COMMANDS = {
    "coop_profile": "config.toml",
    "admission": "maillon federation admit",
    "membership": "maillon member",
    "mandate": "maillon mandate",
    "withdrawal": "maillon offer withdraw",
}


class NotOurs(LocalError):
    """The record is of somebody whose key is not here."""

    code = "not_allowed"


class WrongKind(LocalError):
    """A record is of another kind than the command is for."""

    code = "usage"


class NotAdmitted(LocalError):
    """Too few founders have admitted this coop: nothing that it says counts yet."""

    code = "not_admitted"


class SaidAlready(LocalError):
    """What is said once only stands already."""

    code = "answered"


class UnknownUnit(LocalError):
    """A unit is none of the federation's."""

    code = "field"


def check_unit(founding: Founding, payload: Mapping[str, Any]) -> None:
    """Refuse an amount in a unit that the founding document does not name. Raises: UnknownUnit."""
    asked: Any = payload.get("reciprocity")
    unit: Any = cast("Mapping[str, Any]", asked).get("unit") if isinstance(asked, Mapping) else None
    known = [entry.code for entry in founding.units]
    if unit is None or unit in known:
        return
    raise UnknownUnit(
        _("The federation has no unit {unit!r}.").format(unit=unit),
        hint=_("It has: {names}.").format(names=", ".join(known) or "–"),
        field="reciprocity.unit",
    )


def check_marks(founding: Founding, kind: str, payload: Mapping[str, Any]) -> None:
    """Refuse an attestation of what the community does not ask. Raises: UnknownCriterion."""
    marks: Any = payload.get("criteria") if kind == "attestation" else None
    if isinstance(marks, Mapping):
        require_asked(founding, cast("Mapping[str, Any]", marks))


def require_kind(id: str, old: Signed, wanted: str, command: str) -> None:
    """Refuse a record of another kind than the one that was meant. Raises: WrongKind."""
    kind = old.header.kind
    if wanted and kind != wanted:
        raise WrongKind(
            _("{id} is of the kind {kind}, not {wanted}.").format(
                id=id[:16], kind=kind, wanted=wanted
            ),
            hint=_("Use: {command}").format(command=f"maillon {kind} {command}")
            if kind in ("offer", "demand")
            else None,
        )


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs a record, and under which mandate."""

    key: SigningKey
    as_: bytes = b""


class Authoring:
    """Make the records of this coop."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def signer(self, as_member: str | None, mandate: str | None = None) -> Signer:
        """Return the key to sign with: the node's, or one that it holds for a member.

        Raises: NotFound, RegisterError when no usable key of the member is here.
        """
        node = self._node
        as_ = node.people.find_mandate(mandate) if mandate else b""
        if as_member is None:
            return Signer(node.node_key, as_)
        person = node.register.find_person(as_member)
        ended = False
        for entry in node.register.keys_of(person.id):
            membership = node.engine.view.membership(node.coop, entry.public)
            ended |= membership is not None and membership.status == "revoked"
            if not entry.held:
                continue
            if membership is not None and membership.status == "active":
                return Signer(node.register.held_key(entry.public), as_)
        raise RegisterError(
            _("Your node holds no valid key of {name}.").format(name=person.name),
            hint=_(
                "Their membership is ended. What they signed after a time stops to count with: "
                "maillon member revoke {person} --reason left --since TIME"
            ).format(person=person.id.hex()[:8])
            if ended
            else _("They sign on their own device, or you act under a mandate."),
        )

    def longest(self, kind: str, signer: Signer, at: int) -> int:
        """Return the latest end that a record of ours may have. Raises: NotAdmitted."""
        node = self._node
        try:
            return longest_until(
                kind, node.engine.view, coop=node.coop, by=signer.key.public, at=at, as_=signer.as_
            )
        except UnknownCoop:
            missing, names = missing_founders(node, node.coop)
            if not missing:
                raise
            raise NotAdmitted(
                _("Your coop is not admitted yet: {n} of {quorum} founders have done so.").format(
                    n=node.founding.admission_quorum - missing,
                    quorum=node.founding.admission_quorum,
                ),
                hint=_("Ask {names} to run: maillon federation admit CARD").format(
                    names=", ".join(names)
                ),
            ) from None

    def until(self, kind: str, signer: Signer, at: int, days: int | None) -> int:
        """Return when a record ends: after `days`, and not after what vouches for it."""
        longest = self.longest(kind, signer, at)
        wanted = USUAL_DAYS.get(kind, 365) if days is None else days
        return min(longest, at + wanted * DAY_S)

    def new_draft(
        self,
        kind: str,
        fields: Mapping[str, Any],
        signer: Signer,
        *,
        days: int | None = None,
        series: bytes | None = None,
        refs: Sequence[bytes] = (),
    ) -> Draft:
        """Draft a new thing, or the next revision of a one-of-a-kind thing that exists.

        Raises: FieldError in words, UnknownCoop and its kind when nobody vouches for the signer.
        """
        now = clock.now()
        until = self.until(kind, signer, now, days)
        payload = build(kind, salt=os.urandom(16), **fields)
        new = self._draft(kind, payload, signer, now, until, series or os.urandom(16), 0, refs)
        author = self.author(new)
        head = self._node.store.head(author, new.header.series)
        if head is None:
            return new
        if not KINDS[kind].revisable:
            raise SaidAlready(
                _("This was said already, on {when}; it is said once and not changed.").format(
                    when=f"{datetime.fromtimestamp(head.at, UTC):%Y-%m-%d}"
                )
            )
        return self._draft(
            kind,
            payload,
            signer,
            max(now, head.at),
            max(until, head.until),
            new.header.series,
            head.rev + 1,
            refs,
        )

    def _draft(
        self,
        kind: str,
        payload: dict[str, Any],
        signer: Signer,
        at: int,
        until: int,
        series: bytes,
        rev: int,
        refs: Sequence[bytes] = (),
    ) -> Draft:
        return draft(
            kind,
            payload,
            fed=self._node.founding.fed,
            coop=self._node.coop,
            by=signer.key.public,
            at=at,
            until=until,
            series=series,
            rev=rev,
            as_=signer.as_,
            refs=refs,
        )

    def author(self, made: Draft) -> bytes:
        """Return whose series a record of ours is in."""
        view = self._node.engine.view
        if made.header.as_:
            mandate = view.mandate(made.header.as_)
            if mandate is not None:
                return mandate.author
        member = view.membership(made.header.coop, made.header.by)
        return b"c" + made.header.coop if member is None else member.author

    def publish(self, request: shapes.PublishRequest) -> shapes.Published:
        """Sign and publish what a request says. Raises: Refused, FieldError, NotFound, NotOurs."""
        if request.kind in OWN_COMMANDS:
            raise NotOurs(
                _("Records of the kind {kind} are not published this way.").format(
                    kind=request.kind
                ),
                hint=_("Use: {command}").format(command=OWN_COMMANDS[request.kind]),
            )
        if request.kind not in KINDS:
            raise LocalError(_("There is no kind {kind}.").format(kind=request.kind))
        fields = _renamed(payload_from_json(request.kind, request.payload))
        check_unit(self._node.founding, fields)
        check_marks(self._node.founding, request.kind, fields)
        signer = self.signer(request.as_member, request.mandate)
        if request.replaces is not None:
            return self._revise(request, fields, signer)
        refs = [bytes.fromhex(ref) for ref in request.refs]
        if not refs and isinstance(fields.get("transfer"), bytes):
            # An attestation refers to the transfer it speaks of (spec/03).
            refs = [fields["transfer"]]
        made = self.new_draft(request.kind, fields, signer, days=request.days, refs=refs)
        require_allowed_offer(self._node, request.kind, fields, self.author(made))
        return self._publish(made, signer)

    def _revise(
        self, request: shapes.PublishRequest, fields: dict[str, Any], signer: Signer
    ) -> shapes.Published:
        assert request.replaces is not None
        old = self._node.catalogue.get(self._node.catalogue.find(request.replaces))
        require_kind(request.replaces, old, request.kind, "publish --replaces …")
        self._require_live(old)
        if request.as_member is None and request.mandate is None:
            signer = self.signer_of(old)
        now = max(clock.now(), old.header.at)
        until = max(self.until(request.kind, signer, now, request.days), old.header.until)
        payload = build(request.kind, salt=os.urandom(16), **fields)
        made = self._draft(
            request.kind,
            payload,
            signer,
            now,
            until,
            old.header.series,
            old.header.rev + 1,
            old.header.refs,
        )
        require_allowed_offer(self._node, request.kind, fields, self.author(made))
        return self._publish(made, signer)

    def signer_of(self, old: Signed) -> Signer:
        """Return a key that may speak for the author of a record. Raises: NotOurs."""
        node = self._node
        header = old.header
        if header.coop != node.coop:
            raise NotOurs(
                _("This record is of {coop}.").format(coop=node.catalogue.coop_name(header.coop)),
                hint=_("Only that coop can change or withdraw it."),
            )
        if header.as_:
            return Signer(node.node_key, header.as_)
        author = node.engine.view.author_of(header, old.id)
        if author is None or author[:1] == b"c":
            return Signer(node.node_key)
        return self.signer(author[33:].hex())

    def _publish(self, made: Draft, signer: Signer) -> shapes.Published:
        signed = self._node.author(made, signer.key)
        header = signed.header
        return shapes.Published(
            id=signed.id.hex(),
            series=header.series.hex(),
            thing=thing_id(self.author(made), header.series).hex(),
            rev=header.rev,
            until=header.until,
            notices=[notice] if (notice := self._node.timekeeping.notice()) else [],
        )

    def _require_live(self, old: Signed) -> None:
        if not self._node.store.live(old.id) or old.header.kind == WITHDRAWAL:
            raise NotOurs(_("This record is gone already."))

    def withdrawal(self, old: Signed, signer: Signer, reason: str) -> Draft:
        """Draft the end of a thing."""
        fields: dict[str, Any] = {"kind_": old.header.kind}
        if reason:
            fields["reason"] = reason
        return self._draft(
            WITHDRAWAL,
            build(WITHDRAWAL, salt=os.urandom(16), **fields),
            signer,
            max(clock.now(), old.header.at),
            old.header.until,
            old.header.series,
            old.header.rev + 1,
        )

    def withdraw(self, id: str, request: shapes.WithdrawRequest) -> shapes.Published:
        """Withdraw a record of ours. Raises: NotFound, NotOurs, Refused."""
        found = self._node.catalogue.find(id)
        old = self._node.catalogue.get(found)
        self._require_live(old)
        require_kind(id, old, request.kind, "withdraw " + id[:16])
        signer = self.signer_of(old)
        return self._publish(self.withdrawal(old, signer, request.reason), signer)


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    # `build` takes the kind as its first parameter.
    if "kind" in fields:
        fields["kind_"] = fields.pop("kind")
    fields.pop("salt", None)  # ours to draw
    return fields
