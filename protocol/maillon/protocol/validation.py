"""Decide whether a record counts: alone first, then against what is known (spec/03, "Validation").

Two questions are kept apart because they are asked at different times. What a record says of
itself (`check_structure`, the signature) is asked once. Whether it counts (`check_context`) depends
on profiles, admissions, memberships and mandates, which change: `still_counts` asks it again, and
gives the answer that it would give to a newcomer that receives the record today.
"""

# Every rule is a function of the record and of the CURRENT revisions of what it rests on, never
# of what was current when it arrived. That makes the live set independent of the order of arrival:
# two nodes that know the same records agree, whichever came first. And nothing outlives what
# vouches for it (`until` below), so the end of a membership needs no bookkeeping.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.protocol.envelope import PURPOSE, Checked, Header, Signed, Valid, signed_message
from maillon.protocol.errors import (
    BodyMismatch,
    Expired,
    FromFuture,
    LifetimeTooLong,
    MandateExpired,
    MandateMissing,
    MandateRevoked,
    MandateScope,
    MembershipExpired,
    MembershipRevoked,
    NotAllowed,
    NotMember,
    RefInvalid,
    RefMissing,
    UnknownCoop,
    WrongFederation,
)
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import Backend, coop_id, cryptography_backend, verify
from maillon.protocol.limits import SKEW_S_MAX
from maillon.protocol.records import (
    KINDS,
    MEMBER,
    NODE,
    PRIVATE_KINDS,
    ROOT,
    TAGS,
    UNKNOWN_LIFETIME_S_MAX,
    WITHDRAWAL,
    check_payload,
    derived_series,
    tag,
    thing_id,
)
from maillon.protocol.records.kind import SALT, TAG_BYTES, schema_error
from maillon.protocol.records.schema import Broken, Struct, compile_type
from maillon.protocol.resting import BASES, RESTS, check_move, check_named, check_resting
from maillon.protocol.view import (
    AttestationInfo,
    CoopInfo,
    KeyEnd,
    MandateInfo,
    MembershipInfo,
    TransferInfo,
    View,
    coop_author,
    person_author,
)

__all__ = [
    "Affected",
    "AttestationInfo",
    "CoopInfo",
    "KeyEnd",
    "MandateInfo",
    "MembershipInfo",
    "SignatureItem",
    "Standing",
    "TransferInfo",
    "View",
    "affected_by",
    "author",
    "check_context",
    "check_signature",
    "check_stateless",
    "check_step",
    "check_structure",
    "coop_author",
    "longest_until",
    "mark_checked",
    "person_author",
    "signature_item",
    "standing",
    "still_counts",
]

SignatureItem = tuple[bytes, bytes, bytes]

# A kind of a later version may be signed by whoever may sign anything at all today.
_UNKNOWN_SIGNERS: Final = frozenset({NODE, MEMBER})
_check_unknown: Final = compile_type(Struct((SALT,)))


# --- The record alone ---------------------------------------------------------------------------


def check_structure(signed: Signed, *, fed: bytes, now: int, private: bool = False) -> None:
    """Check what costs little and needs nothing else: federation, time, and the kind's form.

    `private` says that the record came out of a letter (spec/08): it must be of a private kind
    then, and must not be otherwise.

    Raises: WrongFederation, FromFuture, Expired, LifetimeTooLong, SchemaError, NotAllowed (a
    profile that is not by its coop's root, a kind closed to mandates, a private kind in public),
    BodyMismatch (header-only).
    """
    header, payload = signed.header, signed.payload
    if header.fed != fed:
        raise WrongFederation(expected=fed, got=header.fed)
    _right_way(header, private)
    if header.at > now + SKEW_S_MAX:
        raise FromFuture(at=header.at, now=now, skew_s_max=SKEW_S_MAX)
    if header.until < now:
        raise Expired(until=header.until, now=now)
    kind = KINDS.get(header.kind)
    lifetime_s_max = UNKNOWN_LIFETIME_S_MAX if kind is None else kind.lifetime_s_max
    if not header.at < header.until <= header.at + lifetime_s_max:
        raise LifetimeTooLong(at=header.at, until=header.until, lifetime_s_max=lifetime_s_max)
    if payload is None:
        raise BodyMismatch("The record comes without its payload.", what="absent")
    fields = cast("Mapping[str, Any]", payload)
    if kind is None:
        # A name whose tag equals a known kind's is easily found; it opens no door to that kind.
        if header.series[:TAG_BYTES] != tag(header.kind) or header.series[:TAG_BYTES] in TAGS:
            raise schema_error(header.kind, "series", "series_kind")
        _salted(header.kind, fields)
        return
    check_payload(kind, fields)
    if kind.header_rule is not None:
        kind.header_rule(header, fields)
    if kind.subject is not None:
        if header.series != derived_series(kind.name, kind.subject(header, fields)):
            raise schema_error(kind.name, "series", "series_derived")
    elif kind.name != WITHDRAWAL and header.series[:TAG_BYTES] != tag(kind.name):
        raise schema_error(kind.name, "series", "series_kind")
    if not kind.revisable and header.rev != 0:
        raise schema_error(kind.name, "rev", "rev")
    if header.as_ and not kind.under_mandate:
        raise NotAllowed(f"A {kind.name} is never made under a mandate.", kind=kind.name)
    if header.as_ and kind.name == WITHDRAWAL:
        ended = TAGS.get(header.series[:TAG_BYTES])
        if ended is not None and not ended.under_mandate:
            raise NotAllowed(
                f"A {ended.name} is never withdrawn under a mandate.", kind=ended.name
            )


def _right_way(header: Header, private: bool) -> None:
    """Keep what is between two people out of what everybody reads, and the other way round."""
    if (header.kind in PRIVATE_KINDS) != private:
        raise NotAllowed(
            f"A {header.kind} travels in letters only."
            if not private
            else f"A {header.kind} is no step of an exchange.",
            kind=header.kind,
            rule="public" if private else "private",
        )
    # A withdrawal of a step would say in public that there was one.
    if header.kind == WITHDRAWAL:
        ended = TAGS.get(header.series[:TAG_BYTES])
        if ended is not None and ended.private:
            raise NotAllowed("A step is not withdrawn.", kind=ended.name, rule="private")


def _salted(kind: str, payload: Mapping[str, Any]) -> None:
    try:
        _check_unknown(payload)
    except Broken as broken:
        raise schema_error(kind, broken.field, broken.rule, broken.limit) from None


def signature_item(signed: Signed) -> SignatureItem:
    """Return (public key, message, signature) for a pool that verifies many at once.

    The pool applies `keys.signature_ok`, whole: the byte rules and the equation.
    """
    return signed.header.by, signed_message(signed), signed.signature


def check_signature(signed: Signed, *, backend: Backend = cryptography_backend) -> None:
    """Verify one signature. Raises: BadKey, BadSignature."""
    verify(signed.header.by, PURPOSE, signed.header_bytes, signed.signature, backend=backend)


def mark_checked(signed: Signed) -> Checked:
    """Say that `check_structure` passed and the signature was verified, by a pool.

    The one place besides `check_stateless` where a Checked is made: call it with nothing else.
    """
    return Checked(signed)


def check_stateless(
    signed: Signed,
    *,
    fed: bytes,
    now: int,
    private: bool = False,
    backend: Backend = cryptography_backend,
) -> Checked:
    """Check everything that needs no other record, the signature last because it costs most.

    Raises: what `check_structure` and `check_signature` raise.
    """
    check_structure(signed, fed=fed, now=now, private=private)
    check_signature(signed, backend=backend)
    return mark_checked(signed)


# --- The record among others --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """Who a signing key is: "root", "node" or "member", and until when it can vouch at most."""

    author: bytes
    role: str
    until: int


def _signer_role(header: Header, id: bytes, view: View) -> Standing:
    """Say who signed, at the record's own time. Raises when that key could not sign then."""
    coop = view.coop(header.coop)
    if coop is None or not coop.admitted:
        raise UnknownCoop(coop=header.coop)
    if header.series[:TAG_BYTES] == _PROFILE_TAG:
        # The profile names the keys that speak for the coop, so it stands on the root alone: a
        # stolen node key can neither replace nor withdraw it.
        if header.coop != coop_id(header.by):
            raise NotAllowed(kind=header.kind, by=header.by, rule="root_only")
        return Standing(coop_author(header.coop), ROOT, header.until)
    if coop.node_key is None:
        raise UnknownCoop("The coop's profile is not known.", coop=header.coop)
    if header.by == coop.root:
        return _vouched(Standing(coop_author(header.coop), ROOT, coop.until), header)
    if header.by == coop.node_key:
        return _vouched(Standing(coop_author(header.coop), NODE, coop.until), header)
    replaced = (coop.previous or {}).get(header.by)
    if replaced is not None:
        if not replaced.counts(id, header.at):
            raise MembershipRevoked(
                "The coop replaced this node key, and this record does not count any more.",
                coop=header.coop,
                by=header.by,
                until_at=replaced.until_at,
            )
        return _vouched(Standing(coop_author(header.coop), NODE, coop.until), header)
    return _member(header, id, view)


def _vouched(standing: Standing, header: Header) -> Standing:
    if header.until > standing.until:
        raise MembershipExpired(
            "The record would outlive what vouches for its key.",
            until=header.until,
            until_max=standing.until,
        )
    return standing


def _member(header: Header, id: bytes, view: View) -> Standing:
    member = view.membership(header.coop, header.by)
    if member is None:
        raise NotMember(coop=header.coop, by=header.by)
    _member_may(member, header, id)
    return _vouched(Standing(member.author, MEMBER, member.until), header)


def _member_may(member: MembershipInfo, header: Header, id: bytes) -> None:
    if header.kind == "contest":
        # A coop that revokes a key and vouches for another must hear the first one: `resting`.
        return
    if member.end is not None and not member.end.counts(id, header.at):
        raise MembershipRevoked(
            coop=member.coop, by=member.key, until_at=member.end.until_at, at=header.at
        )
    # What was said before the suspension stands, and taking back is always allowed.
    if member.status == "suspended" and header.at >= member.since and header.kind != WITHDRAWAL:
        raise MembershipRevoked(
            "The membership is suspended.", coop=member.coop, by=member.key, since=member.since
        )


def _under_mandate(header: Header, id: bytes, signer: Standing, view: View) -> Standing:
    mandate = view.mandate(header.as_)
    if mandate is None:
        raise MandateMissing(mandate=header.as_)
    if header.by != mandate.delegate_key or header.coop != mandate.delegate_coop:
        raise MandateScope(
            "The mandate is given to another key.",
            rule="delegate",
            mandate=header.as_,
            by=header.by,
        )
    _in_scope(header, mandate)
    if not mandate.start <= header.at <= mandate.end:
        raise MandateExpired(
            mandate=header.as_, at=header.at, start=mandate.start, end=mandate.end
        )
    if mandate.ended is not None and not mandate.ended.counts(id, header.at):
        raise MandateRevoked(
            mandate=header.as_, at=header.at, until_at=mandate.ended.until_at
        )
    if header.until > mandate.until:
        raise MandateExpired(
            "The record would outlive the mandate it is made under.",
            mandate=header.as_,
            until=header.until,
            until_max=mandate.until,
        )
    _principal_still(header, mandate, view)
    return Standing(mandate.author, signer.role, min(signer.until, mandate.until))


def _in_scope(header: Header, mandate: MandateInfo) -> None:
    if header.kind == WITHDRAWAL:
        # Judged by the tag, so that a withdrawal can be judged again without its payload.
        series_tag = header.series[:TAG_BYTES]
        allowed = any(tag(kind) == series_tag for kind in mandate.kinds)
        # A forbidden act may have any name; that of no kind forbids by chance once in 65,536.
        forbidden = any(tag(name) == series_tag for name in mandate.forbidden)
        forbidden = forbidden or WITHDRAWAL in mandate.forbidden
    else:
        allowed = header.kind in mandate.kinds
        forbidden = header.kind in mandate.forbidden
    if forbidden or not allowed:
        raise MandateScope(
            mandate=header.as_,
            kind=header.kind,
            rule="forbidden" if forbidden else "kinds",
            kinds=tuple(sorted(mandate.kinds)),
        )


def _principal_still(header: Header, mandate: MandateInfo, view: View) -> None:
    # A mandate that counts has its coop and its membership; a view that is just being put together
    # may not have dropped it yet.
    coop = view.coop(mandate.principal_coop)
    if coop is None or not coop.admitted:
        raise UnknownCoop(coop=mandate.principal_coop)
    if mandate.author == coop_author(mandate.principal_coop):
        end = (coop.previous or {}).get(mandate.principal_key)
        if end is not None and header.at > end.until_at:
            raise MandateRevoked("The key that gave the mandate was replaced.", at=header.at)
        return
    member = view.membership(mandate.principal_coop, mandate.principal_key)
    if member is None:
        raise NotMember(coop=mandate.principal_coop, by=mandate.principal_key)
    # `keep` names records of the principal's own key, so for the delegate's only the time counts.
    if member.end is not None and header.at > member.end.until_at:
        raise MandateRevoked("The principal's key was revoked.", at=header.at)
    if member.status == "suspended" and header.at >= member.since and header.kind != WITHDRAWAL:
        raise MandateRevoked("The principal's membership is suspended.", at=header.at)


_PROFILE_TAG: Final = tag("coop_profile")


def _signers(header: Header) -> frozenset[str]:
    kind = KINDS.get(header.kind)
    if header.kind == WITHDRAWAL:
        # Whoever may make a thing may end it.
        kind = TAGS.get(header.series[:TAG_BYTES])
    return _UNKNOWN_SIGNERS if kind is None else kind.signers


def standing(header: Header, id: bytes, view: View) -> Standing:
    """Say in whose name a record speaks, if it may: the part of validation that needs no payload.

    Raises: UnknownCoop, NotMember, MembershipExpired, MembershipRevoked, NotAllowed,
    MandateMissing, MandateScope, MandateExpired, MandateRevoked.
    """
    signer = _signer_role(header, id, view)
    result = _under_mandate(header, id, signer, view) if header.as_ else signer
    allowed = _signers(header)
    # Under a mandate the author is the principal: what a member may not sign, a delegate may not
    # sign for one.
    role = signer.role if not header.as_ else (MEMBER if result.author[:1] == b"p" else NODE)
    if role not in allowed:
        raise NotAllowed(
            f"A {header.kind} is not signed by a {role} key.",
            kind=header.kind,
            role=role,
            allowed=tuple(sorted(allowed)),
        )
    return result


def author(header: Header, id: bytes, view: View) -> bytes:
    """Return the entity whose series the record belongs to. Raises: what `standing` raises."""
    return standing(header, id, view).author


def still_counts(
    header: Header, id: bytes, payload: Mapping[str, Any] | None, view: View
) -> Standing:
    """Judge a stored record again against a view that changed; return whose it is.

    A pure function of the record and the current revisions it rests on. When the author differs
    from the one it is stored under, the record counts no more where it is. Without its payload a
    record is judged as far as its header goes: enough to tell which revision is current.

    Raises: what `check_context` raises.
    """
    result = standing(header, id, view)
    match header.kind:
        case "admission":
            if view.founding.founder(header.coop) is None:
                raise NotAllowed("Only a founding coop admits others.", kind="admission")
        case "membership" if payload is not None:
            # One key is one person's: of two memberships that say otherwise the one with the lesser
            # person id counts, on every node. None stands for the one being judged.
            known = view.membership(header.coop, payload["key"])
            if known is not None and known.person < payload["person"]:
                raise RefInvalid(
                    "This key belongs to another person of the coop.",
                    rule="key_taken",
                    person=known.person,
                )
        case "attestation":
            _party(header, result.author, payload, view)
        case "reply":
            attestation = view.attestation(header.refs[0])
            if attestation is None:
                raise RefMissing(ref=header.refs[0])
            if attestation.subject != result.author:
                raise RefInvalid("Only whom an attestation speaks of replies.", rule="subject")
        case "bundle" | "organisation" if payload is not None:
            check_named(header, result.author, payload)
        case "move" if payload is not None:
            check_move(header, result.author, payload, view)
        case kind if kind in RESTS:
            check_resting(header, result.author, payload, view)
        case _:
            pass
    return result


def _party(header: Header, author: bytes, payload: Mapping[str, Any] | None, view: View) -> None:
    transfer = view.transfer(header.refs[0])
    if transfer is None:
        raise RefMissing(ref=header.refs[0])
    if author == transfer.payer:
        other = transfer.payee
    elif author == transfer.payee:
        other = transfer.payer
    else:
        raise RefInvalid("Only the two parties of a transfer speak of it.", rule="party")
    if payload is not None and payload["subject"] != other:
        raise RefInvalid("An attestation speaks of the other party.", rule="subject")


def check_context(checked: Checked, view: View, now: int) -> Valid:
    """Check a record against what is known; only what comes out of here can be stored.

    None of these errors proves bad faith: an honest peer may know less than we do, or more.

    Raises: Expired, UnknownCoop, NotMember, MembershipExpired, MembershipRevoked, NotAllowed,
    MandateMissing, MandateScope, MandateExpired, MandateRevoked, RefMissing, RefInvalid.
    """
    signed = checked.signed
    _right_way(signed.header, private=False)
    if signed.header.until < now:
        # It waited for another record, and its time ran out meanwhile.
        raise Expired(until=signed.header.until, now=now)
    result = still_counts(signed.header, signed.id, signed.payload, view)
    return Valid(
        signed, result.author, thing_id(result.author, signed.header.series), result.role
    )


def check_step(checked: Checked, view: View) -> Standing:
    """Say in whose name a step of an exchange speaks, if its key may sign it (spec/08).

    The step passed `check_stateless` with `private=True`. Whether it fits its exchange is not asked
    here. Nothing is stored: a step never becomes Valid.

    Raises: NotAllowed for a public kind, and what `standing` raises.
    """
    signed = checked.signed
    _right_way(signed.header, private=True)
    return standing(signed.header, signed.id, view)


def longest_until(
    kind: str, view: View, *, coop: bytes, by: bytes, at: int, as_: bytes = b""
) -> int:
    """Return the latest `until` that a record of these parts may have, for writers.

    Raises: UnknownCoop, NotMember, MandateMissing when there is nobody to vouch for it.
    """
    known = KINDS.get(kind)
    latest = at + (UNKNOWN_LIFETIME_S_MAX if known is None else known.lifetime_s_max)
    if known is not None and known.signers == frozenset({ROOT}):
        return latest
    info = view.coop(coop)
    if info is None or not info.admitted or info.node_key is None:
        raise UnknownCoop(coop=coop)
    if by in (info.root, info.node_key):
        latest = min(latest, info.until)
    else:
        member = view.membership(coop, by)
        if member is None:
            raise NotMember(coop=coop, by=by)
        latest = min(latest, member.until)
    if as_:
        mandate = view.mandate(as_)
        if mandate is None:
            raise MandateMissing(mandate=as_)
        latest = min(latest, mandate.until)
    return latest


# --- What a change touches ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Affected:
    """Which stored and waiting records a change of the view may concern; judge them again.

    `coop`: all that name this coop. `key`: those signed by this key of `coop`, and moves signed by
    it in whatever coop. `mandates_of`: those under mandates that this (coop, key) gave. `mandate`:
    those under this thing id. `refs`: those whose first reference is this id. None: not concerned.
    """

    coop: CoopId | None = None
    key: tuple[CoopId, bytes] | None = None
    mandates_of: tuple[CoopId, bytes] | None = None
    mandate: bytes | None = None
    refs: bytes | None = None


def affected_by(valid: Valid) -> Affected:
    """Say what a record that became, or stopped being, current may change.

    A withdrawn identity record is asked about with the record that was current before, too.
    """
    header, payload = valid.signed.header, valid.signed.payload
    fields = cast("Mapping[str, Any]", payload or {})
    match header.kind:
        case "coop_profile":
            return Affected(coop=header.coop)
        case "admission":
            return Affected(coop=coop_id(fields["root"]))
        case "membership":
            pair = (header.coop, fields["key"])
            return Affected(key=pair, mandates_of=pair)
        case "mandate":
            return Affected(mandate=valid.thing)
        case "attestation":
            return Affected(refs=valid.signed.id)
        case kind if kind in BASES:
            return Affected(refs=valid.signed.id)
        case "withdrawal":
            ended = TAGS.get(header.series[:TAG_BYTES])
            if ended is not None and ended.name == "coop_profile":
                return Affected(coop=header.coop)
            return Affected(mandate=valid.thing)
        case _:
            return Affected()
