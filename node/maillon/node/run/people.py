"""Members and mandates: who belongs to this coop, and who acts for whom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from maillon.node import bounds, clock
from maillon.node.api import shapes
from maillon.node.i18n import _
from maillon.node.naming import why_not
from maillon.node.run.authoring import Signer
from maillon.node.run.register import Ambiguous, NotFound, RegisterError
from maillon.protocol.envelope import Draft, draft
from maillon.protocol.keys import SealingKey, SigningKey, key_ok
from maillon.protocol.records import DAY_S, KINDS, build, thing_id

if TYPE_CHECKING:
    from maillon.node.run.node import Node

PERSON_BYTES = 16
WITHDRAWN_KINDS = ("offer", "demand")
MANDATE_CHARACTERS_MIN = 8


class People:
    """Register people, vouch for their keys, and let others act for them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._unknown = 0

    # --- members --------------------------------------------------------------------------------

    def members(self) -> shapes.Members:
        """Return every key that the coop vouches for, with the names of the register.

        Raises: StoreDamaged rather than to show people without their names.
        """
        node = self._node
        node.register.check()
        rows = [
            self._member(valid.signed.header.at, valid.signed.header.until, valid.signed.payload)
            for valid in node.store.by_kinds(("membership",))
            if valid.signed.header.coop == node.coop
        ]
        return shapes.Members(sorted(rows, key=lambda row: (row.name.lower(), row.person, row.at)))

    def _member(self, at: int, until: int, payload: Any) -> shapes.Member:
        return shapes.Member(
            name=self._node.register.name_of(payload["person"]),
            person=payload["person"].hex(),
            key=payload["key"].hex(),
            roles=list(payload["roles"]),
            status=payload["status"],
            custody=payload["custody"],
            provider_status=payload.get("provider_status", ""),
            at=at,
            until=until,
        )

    def add(self, request: shapes.MemberRequest) -> shapes.Member:
        """Register a person or another key of theirs, and publish the membership.

        Both happen or neither: the register is written in the same step, and undone when the
        record is refused.
        """
        node = self._node
        now = clock.now()
        if (request.key is None) != (request.sealing is None):
            raise RegisterError(_("A key and its sealing key come together."))
        secrets: tuple[SigningKey, SealingKey] | None = None
        if request.key is not None and request.sealing is not None:
            if request.custody == "node":
                raise RegisterError(
                    _("A key that is brought along is held on a device or on paper.")
                )
            public, sealing = bytes.fromhex(request.key), bytes.fromhex(request.sealing)
            if not key_ok(public):
                raise RegisterError(_("This is not a public key that can be used."))
        else:
            secrets = (
                SigningKey.from_seed(os.urandom(32)),
                SealingKey.from_seed(os.urandom(32)),
            )
            public, sealing = secrets[0].public, secrets[1].public
        with node.register.batch():
            if request.person is not None:
                person = node.register.find_person(request.person)
                name, id = person.name, person.id
            elif request.name:
                name, id = request.name.strip(), os.urandom(PERSON_BYTES)
                if reason := why_not(name):
                    raise RegisterError(reason, field="name")
                node.register.add_person(id, name, request.note, now)
            else:
                raise RegisterError(_("A new member needs a name."))
            custody = "node" if secrets is not None else request.custody
            node.register.add_key(id, public, sealing, custody, now, secrets)
            fields: dict[str, Any] = {
                "person": id,
                "key": public,
                "sealing": sealing,
                "roles": request.roles,
                "status": "active",
                "custody": custody,
                "provider_status": request.provider_status,
                "verification": request.verification,
            }
            if request.verification == "approved":
                fields["verified_by"] = node.coop
            made = node.authoring.new_draft(
                "membership", fields, Signer(node.node_key), days=request.days
            )
            node.author(made, node.node_key)
        return self._member(made.header.at, made.header.until, made.payload)

    def revoke(self, prefix: str, request: shapes.RevokeRequest) -> shapes.Revoked:
        """End the membership of a person or of one of their keys.

        Once more with an earlier `since`, what was signed after it stops to count too. Raises:
        NotFound, RegisterError.
        """
        node = self._node
        person = node.register.find_person(prefix)
        if request.withdraw and request.since is not None:
            raise RegisterError(
                _("What is withdrawn now does not count after an earlier --since."),
                hint=_("Give one of the two: what was signed after --since vanishes by itself."),
            )
        wanted = None if request.key is None else bytes.fromhex(request.key)
        done: list[str] = []
        withdrawn: list[str] = []
        keys: list[bytes] = []
        for valid in list(node.store.by_kinds(("membership",))):
            header, payload = valid.signed.header, valid.signed.payload
            if payload is None or header.coop != node.coop or payload["person"] != person.id:
                continue
            key = cast("bytes", payload["key"])
            if wanted not in (None, key):
                continue
            keys.append(key)
            now = max(clock.now(), header.at)
            ended = cast("dict[str, Any] | None", payload.get("revoked"))
            if ended is not None and (request.since is None or request.since >= ended["until_at"]):
                continue
            if request.withdraw:
                for id, at in self._withdraw_all(person.id, key):
                    withdrawn.append(id)
                    # The withdrawals must count: they are signed with the key that ends here.
                    now = max(now, at)
            until_at = now if request.since is None else min(request.since, now)
            fields: dict[str, Any] = {
                name: value
                for name, value in payload.items()
                if name not in ("salt", "status", "status_since")
            }
            fields["status"] = "revoked"
            fields["revoked"] = {"reason": request.reason, "until_at": until_at}
            node.author(self._next(valid, fields, now), node.node_key)
            done.append(key.hex())
        if not done:
            raise NotFound(
                _("{name} has no such valid key.").format(name=person.name),
                hint=_(
                    "An ended membership can be ended earlier: "
                    "--since TIME, before what is not to count any more."
                )
                if keys
                else None,
            )
        standing = [id.hex() for key in keys for id in self._standing(key)]
        return shapes.Revoked(
            person.id.hex(), person.name, done, standing[: bounds.API_ROWS_MAX], withdrawn
        )

    def _standing(self, key: bytes) -> list[bytes]:
        """Return the live offers and demands that a key of our coop signed in its own name."""
        return [
            id
            for id, header in self._node.store.signed_by(key)
            if header.kind in WITHDRAWN_KINDS and header.coop == self._node.coop and not header.as_
        ]

    def _withdraw_all(self, person: bytes, key: bytes) -> Iterator[tuple[str, int]]:
        """Withdraw what a key that the node holds signed; yield ids and the withdrawals' times."""
        node = self._node
        ids = self._standing(key)
        held = [entry.public for entry in node.register.keys_of(person) if entry.held]
        if not ids or key not in held:
            return
        signer = Signer(node.register.held_key(key))
        for id in ids:
            old = node.store.get(id)
            if old is not None:
                signed = node.author(node.authoring.withdrawal(old, signer, ""), signer.key)
                yield id.hex(), signed.header.at

    def _next(self, valid: Any, fields: dict[str, Any], now: int) -> Draft:
        header = valid.signed.header
        return draft(
            header.kind,
            build(header.kind, salt=os.urandom(16), **fields),
            fed=header.fed,
            coop=header.coop,
            by=self._node.node_key.public,
            at=now,
            until=header.until,
            series=header.series,
            rev=header.rev + 1,
        )

    def look_for_unknown(self) -> None:
        """Count the people whom the coop vouches for and the register does not know."""
        node = self._node
        people = {
            cast("bytes", valid.signed.payload["person"])
            for valid in node.store.by_kinds(("membership",))
            if valid.signed.payload is not None and valid.signed.header.coop == node.coop
        }
        self._unknown = sum(node.register.person(person) is None for person in people)

    def notice(self) -> str | None:
        """Return a sentence when there were such people, None else."""
        if not self._unknown:
            return None
        return _(
            "private.db does not know {n} of the people whom your coop vouches for. "
            "Bring it back from a backup: it exists nowhere else."
        ).format(n=self._unknown)

    # --- mandates -------------------------------------------------------------------------------

    def mandates(self) -> shapes.Mandates:
        """Return the mandates given in this coop."""
        node = self._node
        return shapes.Mandates(
            [
                self._mandate(valid)
                for valid in node.store.by_kinds(("mandate",))
                if valid.signed.header.coop == node.coop
            ]
        )

    def _mandate(self, valid: Any) -> shapes.Mandate:
        node = self._node
        payload = valid.signed.payload
        person = valid.author[33:] if valid.author[:1] == b"p" else b""
        delegate = node.engine.view.membership(payload["delegate_coop"], payload["delegate_key"])
        ours = delegate is not None and payload["delegate_coop"] == node.coop
        return shapes.Mandate(
            mandate=valid.thing.hex(),
            id=valid.signed.id.hex(),
            principal=person.hex() or valid.author[1:].hex(),
            principal_name=node.register.name_of(person) if person else node.config.coop.name,
            delegate_key=payload["delegate_key"].hex(),
            delegate_coop=payload["delegate_coop"].hex(),
            delegate_name=node.register.name_of(delegate.person) if ours and delegate else "",
            kinds=list(payload["kinds"]),
            forbidden=list(payload.get("forbidden", ())),
            start=payload["start"],
            end=payload["end"],
            revoked="revoked" in payload,
            note=payload.get("note", ""),
        )

    def find_mandate(self, prefix: str) -> bytes:
        """Return the thing of the mandate whose `mandate` or `id` begins so, of any coop.

        Raises: NotFound, Ambiguous.
        """
        found = {
            valid.thing
            for valid in self._node.store.by_kinds(("mandate",))
            if valid.thing.hex().startswith(prefix) or valid.signed.id.hex().startswith(prefix)
        }
        if len(found) > 1:
            raise Ambiguous(
                _("Several mandates begin with {id}.").format(id=prefix[:16]),
                hint=_("Give more characters of it."),
            )
        if not found or len(prefix) < MANDATE_CHARACTERS_MIN:
            raise NotFound(
                _("There is no mandate {id} here.").format(id=prefix[:16]),
                hint=_("See them with: maillon mandate list"),
            )
        return found.pop()

    def _find_mandate(self, thing: bytes) -> Any:
        for valid in self._node.store.by_kinds(("mandate",)):
            if valid.signed.header.coop == self._node.coop and valid.thing == thing:
                return valid
        raise NotFound(
            _("There is no such mandate in your coop."),
            hint=_("See them with: maillon mandate list --json"),
        )

    def give(self, request: shapes.MandateRequest) -> shapes.Mandate:
        """Give a mandate for a member whose key the node holds, or for the coop."""
        node = self._node
        possible = sorted(name for name, kind in KINDS.items() if kind.under_mandate)
        for kind in request.kinds:
            if kind not in possible:
                raise RegisterError(
                    _("Nobody can be mandated for the kind {kind!r}.").format(kind=kind[:40]),
                    hint=_("The kinds are: {names}.").format(names=", ".join(possible)),
                )
        signer = node.authoring.signer(request.principal)
        if request.delegate is not None:
            delegate_key: bytes = node.authoring.signer(request.delegate).key.public
            delegate_coop = node.coop
        elif request.delegate_key is not None and request.delegate_coop is not None:
            delegate_key = bytes.fromhex(request.delegate_key)
            delegate_coop = bytes.fromhex(request.delegate_coop)
        else:
            raise RegisterError(_("Say who may act: a member, or a key with its coop."))
        now = clock.now()
        longest = node.authoring.longest("mandate", signer, now)
        end = min(longest, now + request.days * DAY_S)
        fields: dict[str, Any] = {
            "delegate_key": delegate_key,
            "delegate_coop": delegate_coop,
            "kinds": request.kinds,
            "forbidden": request.forbidden or None,
            "start": now,
            "end": end,
            "note": request.note or None,
        }
        made = draft(
            "mandate",
            build("mandate", salt=os.urandom(16), **fields),
            fed=node.founding.fed,
            coop=node.coop,
            by=signer.key.public,
            at=now,
            # The record outlives the mandate as long as it may: what is done under it needs it.
            until=longest,
            series=os.urandom(16),
        )
        node.author(made, signer.key)
        author = node.authoring.author(made)
        return self._mandate(self._find_mandate(thing_id(author, made.header.series)))

    def revoke_mandate(self, id: str) -> shapes.Mandate:
        """End a mandate at once; what was done under it before counts on."""
        node = self._node
        valid = self._find_mandate(self.find_mandate(id))
        signer = node.authoring.signer_of(valid.signed)
        header, payload = valid.signed.header, valid.signed.payload
        fields = {name: value for name, value in payload.items() if name != "salt"}
        fields["revoked"] = True
        made = draft(
            "mandate",
            build("mandate", salt=os.urandom(16), **fields),
            fed=header.fed,
            coop=header.coop,
            by=signer.key.public,
            at=max(clock.now(), header.at),
            until=header.until,
            series=header.series,
            rev=header.rev + 1,
        )
        node.author(made, signer.key)
        return self._mandate(self._find_mandate(valid.thing))
