"""What devices that hold their own keys need of the node: drafts, the gate for what they signed,
and the letters that wait for them (spec/09, "Signing on a device")."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final, cast

from maillon.node import clock, cursors
from maillon.node.api import access_shapes as shapes
from maillon.node.api import shapes as record_shapes
from maillon.node.api.caller import Caller, Forbidden
from maillon.node.api.plain import payload_from_json, payload_to_json
from maillon.node.i18n import _
from maillon.node.run.authoring import (
    USUAL_DAYS,
    NotOurs,
    check_marks,
    check_unit,
    require_kind,
)
from maillon.node.run.returns import require_allowed_offer
from maillon.protocol.encoding import encode
from maillon.protocol.envelope import PURPOSE, Draft, Signed, decode_record, draft
from maillon.protocol.errors import LocalError
from maillon.protocol.records import (
    DAY_S,
    KINDS,
    WITHDRAWAL,
    build,
    check_payload,
    thing_id,
)
from maillon.protocol.validation import longest_until

if TYPE_CHECKING:
    from maillon.node.run.node import Node

COOPS_OWN: Final = frozenset({"coop_profile", "admission", "membership"})
"""The coop says these with its own keys; no device of a member signs one."""


class BadParts(LocalError):
    """What was sent is no record in one or in three parts."""

    code = "request"


class Devices:
    """Draft records for devices, take in what they signed, hand over their letters."""

    def __init__(self, node: Node) -> None:
        self._node = node

    # --- drafts ---------------------------------------------------------------------------------

    def draft(self, request: shapes.DraftRequest, caller: Caller) -> shapes.DraftOut:
        """Draft a record that the caller's key is to sign.

        Raises: Forbidden for a key that is not the caller's; FieldError and its like.
        """
        node = self._node
        kind = request.kind
        if kind not in KINDS or KINDS[kind].private:
            raise LocalError(_("There is no kind {kind} that is published.").format(kind=kind))
        if kind in COOPS_OWN:
            raise NotOurs(_("Records of the kind {kind} are the coop's own.").format(kind=kind))
        key = bytes.fromhex(request.key)
        self._require_key(caller, key)
        as_ = b"" if request.mandate is None else bytes.fromhex(request.mandate)
        fields = payload_from_json(kind, request.payload)
        fields.pop("salt", None)
        check_unit(node.founding, fields)
        check_marks(node.founding, request.kind, fields)
        if "kind" in fields:
            # `build` takes the kind as its first parameter.
            fields["kind_"] = fields.pop("kind")
        old = None if request.replaces is None else self._old(request.replaces, kind)
        payload = build(kind, salt=os.urandom(16), **fields)
        now = clock.now()
        refs = [bytes.fromhex(ref) for ref in request.refs]
        if not refs and isinstance(fields.get("transfer"), bytes):
            # An attestation refers to the transfer it speaks of (spec/03).
            refs = [fields["transfer"]]
        made = self._made(kind, payload, key, as_, now, request.days, old, refs)
        require_allowed_offer(node, kind, payload, node.authoring.author(made))
        if old is None:
            # A thing of which there is only one goes on from where it is.
            head = node.store.head(node.authoring.author(made), made.header.series)
            if head is not None:
                found = node.catalogue.get(head.id)
                made = self._made(kind, payload, key, as_, now, request.days, found, refs)
        header = made.header.encode()
        return shapes.DraftOut(
            id=_id(header),
            kind=kind,
            purpose=PURPOSE,
            header=header.hex(),
            payload=encode(made.payload).hex(),
            until=made.header.until,
            says=cast("dict[str, Any]", payload_to_json(made.payload)),
        )

    def _made(
        self,
        kind: str,
        payload: dict[str, Any],
        key: bytes,
        as_: bytes,
        now: int,
        days: int | None,
        old: Signed | None,
        refs: list[bytes],
    ) -> Draft:
        node = self._node
        at = now if old is None else max(now, old.header.at)
        longest = longest_until(kind, node.engine.view, coop=node.coop, by=key, at=at, as_=as_)
        until = min(longest, at + (USUAL_DAYS.get(kind, 365) if days is None else days) * DAY_S)
        return draft(
            kind,
            payload,
            fed=node.founding.fed,
            coop=node.coop,
            by=key,
            at=at,
            until=until if old is None else max(until, old.header.until),
            series=os.urandom(16) if old is None else old.header.series,
            rev=0 if old is None else old.header.rev + 1,
            as_=as_,
            refs=refs if old is None else refs or old.header.refs,
        )

    def _old(self, id: str, kind: str) -> Signed:
        node = self._node
        old = node.catalogue.get(node.catalogue.find(id))
        require_kind(id, old, "" if kind == WITHDRAWAL else kind, "publish --replaces …")
        if not node.store.live(old.id) or old.header.kind == WITHDRAWAL:
            raise NotOurs(_("This record is gone already."))
        return old

    def _require_key(self, caller: Caller, key: bytes) -> None:
        """Return when the caller may speak with a key. Raises: Forbidden."""
        person = self._node.interface.access.directory.by_key(key)
        if person is None:
            raise Forbidden(_("This key is of nobody whose membership counts here."))
        if caller.author != person.author:
            caller.require("desk")

    # --- what was signed ------------------------------------------------------------------------

    def submit(
        self, request: shapes.SignedRecordRequest, caller: Caller
    ) -> record_shapes.Published:
        """Publish a record that a device signed. Raises: Refused, Malformed, Forbidden."""
        node = self._node
        signed = decode_record(_record(request))
        header = signed.header
        if header.kind in COOPS_OWN:
            raise NotOurs(
                _("Records of the kind {kind} are the coop's own.").format(kind=header.kind)
            )
        if header.coop != node.coop:
            raise NotOurs(_("Bring it to the node of the coop that it names."))
        self._require_key(caller, header.by)
        author = node.engine.view.author_of(header, signed.id)
        if author is not None and header.kind == "offer" and signed.payload is not None:
            check_payload(KINDS[header.kind], signed.payload)
            require_allowed_offer(node, header.kind, signed.payload, author)
        node.submit(signed.encode())
        author = node.engine.view.author_of(header, signed.id)
        thing = b"" if author is None else thing_id(author, header.series)
        return record_shapes.Published(
            id=signed.id.hex(),
            series=header.series.hex(),
            thing=thing.hex(),
            rev=header.rev,
            until=header.until,
            notices=[notice] if (notice := node.timekeeping.notice()) else [],
        )

    def owner(self, record: str) -> bytes | None:
        """Return the author of a record that they signed themselves; None of any other."""
        node = self._node
        old = node.catalogue.get(node.catalogue.find(record))
        if old.header.coop != node.coop or old.header.as_:
            return None
        return node.engine.view.author_of(old.header, old.id)

    # --- letters --------------------------------------------------------------------------------

    def _require_sealing(self, caller: Caller, sealing: bytes) -> None:
        """Return when a sealing key is the caller's. Raises: Forbidden."""
        if caller.kind == "operator":
            return
        view = self._node.engine.view
        if caller.author is not None and any(
            info.sealing == sealing for info in view.keys_of(caller.author)
        ):
            return
        raise Forbidden(_("Letters are given to the person they are sealed to."))

    def letters(self, sealing: bytes, after: int, limit: int, caller: Caller) -> shapes.Letters:
        """Return letters that wait for a sealing key of the caller's. Raises: Forbidden."""
        self._require_sealing(caller, sealing)
        found = self._node.post.inbox(sealing, after, limit + 1)
        rows = [
            shapes.LetterOut(
                id=letter.id.hex(),
                thread=letter.thread.hex(),
                n=letter.n,
                from_coop=letter.from_coop.hex(),
                until=letter.until,
                received_at=letter.received_at,
                letter=letter.letter.hex(),
            )
            for letter in found[:limit]
        ]
        more = len(found) > limit
        following = cursors.written("letters", found[limit - 1].serial) if more else None
        return shapes.Letters(rows, following)

    def taken(self, request: shapes.TakenRequest, caller: Caller) -> shapes.Taken:
        """Forget letters that a device has opened and kept. Raises: Forbidden."""
        sealing = bytes.fromhex(request.sealing)
        self._require_sealing(caller, sealing)
        ids = [bytes.fromhex(id) for id in request.ids]
        return shapes.Taken(self._node.post.taken(sealing, ids))


def _record(request: shapes.SignedRecordRequest) -> bytes:
    """Return the bytes of a record. Raises: BadParts."""
    parts = [request.header, request.signature, request.payload]
    if request.record:
        if any(parts):
            raise BadParts(_("Give the record in one, or its header, signature and payload."))
        return bytes.fromhex(request.record)
    if not all(parts):
        raise BadParts(_("Give the record in one, or its header, signature and payload."))
    return encode([bytes.fromhex(part) for part in parts])


def _id(header: bytes) -> str:
    return hashlib.sha256(header).hexdigest()
