"""Make the vectors of spec/02 (memberships, mandates) and spec/03 (records).

records.json          a record alone: bytes in, "ok" or the code of the error out
records-schema.json   a payload of a kind: "ok", or the field and the rule it breaks
records-context.json  a record among others, and live sets
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterator
from typing import Any

from maillon.protocol.encoding import Value, encode
from maillon.protocol.envelope import Draft, Header, Signed, sign
from maillon.protocol.ids import Key, SeriesId
from maillon.protocol.keys import SigningKey, signing_bytes
from maillon.protocol.records import DAY_S, KINDS, PRIVATE_KINDS, build, tag
from records_context import context
from records_steps import (
    OPEN,
    PRICED,
    SEALED,
    broken_payloads,
    of_kind,
    public,
    steps,
)
from support.schema_cases import breakages, explained, good_payloads, sample
from support.world import World

Vector = dict[str, object]


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the content of the three files; all randomness comes from the world's own seed."""
    del rng
    return {
        "records.json": alone(),
        "records-schema.json": {
            "about": "spec/03: decode the payload, then check it against its kind.",
            "vectors": list(schema()),
        },
        "records-context.json": context(),
    }


# --- A record alone ------------------------------------------------------------------------------


def alone() -> dict[str, object]:
    w = World(seed="vectors")
    member = w.make_member(0, "alice")
    good = w.offer(member)
    found: list[Vector] = [_shown("an offer", good)]

    def add(name: str, data: bytes, expect: str, rule: str = "", step: bool = False) -> None:
        vector: Vector = {"name": name, "record": data, "expect": expect}
        if rule:
            vector["rule"] = rule
        if step:
            vector["step"] = True
        found.append(vector)

    for kind in KINDS:
        for what, payload in good_payloads(kind, KINDS[kind].schema).items():
            found.append(_shown(what, _of_kind(w, kind, dict(payload))))
        if KINDS[kind].private:
            step = _of_kind(w, kind, dict(sample(KINDS[kind].schema)))
            add(f"{kind}, in public", step.encode(), "not_allowed", "private")
    for name, step, expect, rule in steps(w):
        add(name, step.encode(), expect, rule, step=True)
    found += [
        _shown("a kind of a later minor version", _of_kind(w, "poem", {"salt": bytes(16)})),
        _shown(
            "a field of a later minor version",
            _of_kind(w, "offer", {**sample(KINDS["offer"].schema), "later": {"deep": [1, b"2"]}}),
        ),
    ]
    for change, name, expect, rule in _changed_headers(w):
        add(name, _with(good, change, member.key), expect, rule)
    for name, data, rule, expect in _bent_bytes(good):
        add(name, data, expect, rule)
    for name, signature in _bad_signatures(w, good, member.key):
        add(name, _framed(good.header_bytes, signature, good.payload_bytes), "bad_signature")
    small = b"\x01" + bytes(31)
    weak = dataclasses.replace(good.header, by=Key(small))
    add(
        "a key of small order",
        _framed(weak.encode(), small + bytes(32), good.payload_bytes),
        "bad_key",
    )
    add("header only", good.without_payload().encode(), "body_mismatch", "absent")
    for name, signed, expect, rule in (*_broken_between(w), *_at_the_edge(w), *public(w)):
        add(name, signed.encode(), expect, rule)
    return {
        "about": "spec/03: read the record, check it alone against `fed` and `now`, then its "
        "signature; as what came in a letter (spec/08) where `step` is true. `rule` is there where "
        "the code alone does not say which.",
        "fed": w.founding.fed,
        "now": w.now,
        "vectors": found,
    }


def _shown(name: str, signed: Signed) -> Vector:
    h = signed.header
    vector: Vector = {
        "name": name,
        "record": signed.encode(),
        "expect": "ok",
        "id": signed.id,
        "header": {
            "kind": h.kind, "coop": h.coop, "by": h.by, "at": h.at, "until": h.until,
            "series": h.series, "rev": h.rev, "body": h.body, "size": h.size, "as": h.as_,
            "refs": list(h.refs),
        },
    }  # fmt: skip
    if h.kind in PRIVATE_KINDS:
        vector["step"] = True
    return vector


def _of_kind(w: World, kind: str, payload: dict[str, Any], **header: Any) -> Signed:
    """Sign a payload with whoever may sign its kind, and a header that suits it."""
    return of_kind(w, kind, payload, **header)


def _with(signed: Signed, change: dict[str, Any], key: SigningKey) -> bytes:
    """Return the record with other header fields, rightly signed."""
    header = dataclasses.replace(signed.header, **change)
    assert signed.payload is not None
    return sign(Draft(header, signed.payload), key).encode()


def _changed_headers(w: World) -> Iterator[tuple[dict[str, Any], str, str, str]]:
    now, day = w.now, DAY_S
    yield {"fed": w.derive("other", 32)}, "another federation", "wrong_federation", ""
    yield {"at": now + 300, "until": now + day}, "300 seconds ahead", "ok", ""
    yield {"at": now + 301, "until": now + day}, "301 seconds ahead", "from_future", ""
    yield {"at": now - day, "until": now}, "in its last second", "ok", ""
    yield {"at": now - day, "until": now - 1}, "expired a second ago", "expired", ""
    yield {"until": now + 400 * day}, "an offer for 400 days", "ok", ""
    yield {"until": now + 400 * day + 1}, "an offer for longer than 400 days", "lifetime", ""
    yield {"until": now}, "until equal to at", "lifetime", ""
    series = w.derive("series", 16)
    yield {"series": series}, "a series without the tag of its kind", "schema", "series_kind"
    yield {"kind": "poem"}, "a later kind with the tag of another", "schema", "series_kind"
    yield {"rev": 2**31 - 1}, "the greatest revision", "ok", ""
    yield {"as_": w.derive("mandate", 32)}, "under a mandate, alone", "ok", ""
    refs = tuple(w.derive(f"ref {at}", 32) for at in range(16))
    yield {"refs": refs}, "sixteen references", "ok", ""


def _bin(data: bytes) -> bytes:
    size = len(data)
    return (b"\xc4" + bytes([size]) if size < 256 else b"\xc5" + size.to_bytes(2, "big")) + data


def _framed(header: bytes, signature: bytes, payload: bytes | None) -> bytes:
    parts = [header, signature] + ([] if payload is None else [payload])
    return bytes([0x90 + len(parts)]) + b"".join(_bin(part) for part in parts)


def _header_bytes(header: Header, **change: Value) -> bytes:
    """Encode a header that the code would not make, by the names of the parts."""
    parts: dict[str, Value] = {
        field.name: getattr(header, field.name) for field in dataclasses.fields(header)
    }
    parts["refs"] = list(header.refs)
    return encode(list({**parts, **change}.values()))


def _bent_bytes(good: Signed) -> Iterator[tuple[str, bytes, str, str]]:
    h, header, signature, payload = (
        good.header, good.header_bytes, good.signature, good.payload_bytes,
    )  # fmt: skip
    assert payload is not None

    def bent(**change: Value) -> bytes:
        return _framed(_header_bytes(h, **change), signature, payload)

    whole = good.encode()
    yield "nothing at all", b"", "record_parts", "malformed"
    yield "four parts", b"\x94" + whole[1:] + b"\x00", "record_parts", "malformed"
    yield "a byte too many", whole + b"\x00", "trailing_bytes", "malformed"
    yield "a byte too few", whole[:-1], "truncated", "malformed"
    yield "header as text", b"\x93\xd9" + whole[2:], "record_parts", "malformed"
    long_form = b"\x93\xc5" + len(header).to_bytes(2, "big") + whole[3:]
    yield "header's length in two bytes", long_form, "bin_shortest", "not_canonical"
    yield "a record of 18,433 bytes", whole + bytes(18_433 - len(whole)), "record_length", "too_large"  # noqa: E501
    yield "a signature of 63 bytes", _framed(header, signature[:-1], payload), "signature_length", "malformed"  # noqa: E501
    yield "a header of 1,025 bytes", _framed(bytes(1_025), signature, payload), "header_length", "too_large"  # noqa: E501
    yield "a payload of 16,385 bytes", _framed(header, signature, bytes(16_385)), "payload_length", "too_large"  # noqa: E501
    yield "version 2", bent(v=2), "", "version_unsupported"
    shorter = encode([2, "a header of another shape"])
    yield "version 2 in an integer of two bytes", _framed(
        header.replace(b"\x9d\x01", b"\x9d\xcc\x02", 1), signature, payload
    ), "int_form", "not_canonical"  # fmt: skip
    yield "version 2 with nil behind it", _framed(b"\x92\x02\xc0", signature, payload), "nil", "malformed"  # noqa: E501
    yield "version 1 in an integer of two bytes", _framed(
        header.replace(b"\x9d\x01", b"\x9d\xcc\x01", 1), signature, payload
    ), "int_form", "not_canonical"  # fmt: skip
    yield "version true", bent(v=True), "", "malformed"
    yield "version 2 of another shape", _framed(shorter, signature, payload), "", "version_unsupported"  # noqa: E501
    twelve = b"\x9c" + header[1:-1]
    yield "twelve parts", _framed(twelve, signature, payload), "header_parts", "malformed"
    yield "a map for a header", _framed(encode({"v": 1}), signature, payload), "header_parts", "malformed"  # noqa: E501
    yield "a kind in capitals", bent(kind="Offer"), "header_kind", "malformed"
    yield "a coop of 31 bytes", bent(coop=h.coop[1:]), "header_bytes_form", "malformed"
    yield "a series of 15 bytes", bent(series=h.series[1:]), "header_bytes_form", "malformed"
    yield "as of 16 bytes", bent(as_=bytes(16)), "header_bytes_form", "malformed"
    yield "a negative time", bent(at=-1), "header_int_range", "malformed"
    yield "a revision of 2^31", bent(rev=2**31), "header_int_range", "malformed"
    yield "true for an integer", bent(rev=True), "header_int_range", "malformed"
    yield "a size of 16,385", bent(size=16_385), "header_int_range", "malformed"
    yield "a reference of 31 bytes", bent(refs=[bytes(31)]), "header_refs", "malformed"
    seventeen: list[Value] = [bytes([at]) * 32 for at in range(17)]
    yield "seventeen references", bent(refs=seventeen), "header_refs", "too_large"
    yield "references that are bytes", bent(refs=bytes(32)), "header_refs", "malformed"
    yield "references that are a map", bent(refs={}), "header_refs", "malformed"
    yield "a reference twice", bent(refs=[bytes(32), bytes(32)]), "header_refs_twice", "malformed"
    at = encode(h.at)
    long_int = header.replace(at, b"\xcf" + h.at.to_bytes(8, "big"))
    yield "a time in eight bytes", _framed(long_int, signature, payload), "int_form", "not_canonical"  # noqa: E501
    other = encode({**(good.payload or {}), "title": "Autre"})
    yield "another payload", _framed(header, signature, other), "size", "body_mismatch"
    same = payload[:-1] + bytes([payload[-1] ^ 1])
    yield "a payload with one bit changed", _framed(header, signature, same), "hash", "body_mismatch"  # noqa: E501
    yield "size that is not the payload's", bent(size=h.size + 1), "size", "body_mismatch"
    listed = encode([b"\x07" * 16])
    yield "a payload that is no map", _framed(
        _header_bytes(h, body=hashlib.sha256(listed).digest(), size=len(listed)), signature, listed
    ), "payload_map", "malformed"  # fmt: skip
    unsorted = b"\x82\xa1b\x01\xa1a\x01"
    yield "a payload with keys out of order", _framed(
        _header_bytes(h, body=hashlib.sha256(unsorted).digest(), size=len(unsorted)),
        signature, unsorted,
    ), "key_order", "not_canonical"  # fmt: skip


def _bad_signatures(w: World, good: Signed, key: SigningKey) -> Iterator[tuple[str, bytes]]:
    yield "one bit of the signature changed", bytes([good.signature[0] ^ 1]) + good.signature[1:]
    yield "signed for the purpose founding", key.sign("founding", good.header_bytes)
    yield "signed without a purpose", key._private.sign(good.header_bytes)  # pyright: ignore[reportPrivateUsage]
    yield "the id signed instead of the header", key.sign("record", good.id)
    yield "signed by another key", w.key("somebody").sign("record", good.header_bytes)
    yield "purpose without its end", key._private.sign(  # pyright: ignore[reportPrivateUsage]
        signing_bytes("record", b"")[:-1] + good.header_bytes
    )


def _broken_between(w: World) -> Iterator[tuple[str, Signed, str, str]]:
    """Yield records that break one rule between header and payload, or one of their kind's own."""
    member = w.make_member(0, "alice")
    coop = member.coop
    profile = dict(sample(KINDS["coop_profile"].schema))
    yield (
        "a profile by the node key",
        w.record("coop_profile", profile, coop=coop, by=coop.node),
        "not_allowed", "",
    )  # fmt: skip
    own = {**profile, "node_key": coop.root.public}
    yield "a node key that is the root", _of_kind(w, "coop_profile", own), "schema", "key_twice"
    old = {"key": w.derive("old", 32), "until_at": w.now}
    twice = {**profile, "previous": [old, {**old, "until_at": w.now - 1}]}
    yield "a replaced key twice", _of_kind(w, "coop_profile", twice), "schema", "key_twice"
    later = {**profile, "previous": [{**old, "until_at": w.now + 1}]}
    yield "a key replaced in the future", _of_kind(w, "coop_profile", later), "schema", "until_at"
    card = dict(sample(KINDS["membership"].schema))
    revoked = {**card, "status": "revoked", "revoked": {"reason": "lost", "until_at": w.now + 1}}
    yield "a membership revoked in the future", _of_kind(w, "membership", revoked), "schema", "until_at"  # noqa: E501
    since = {**card, "status": "suspended", "status_since": w.now + 1}
    yield "a suspension in the future", _of_kind(w, "membership", since), "schema", "since_at"
    node = {**card, "key": coop.node.public}
    yield "a membership of the signing key", _of_kind(w, "membership", node), "schema", "key_twice"
    given = dict(sample(KINDS["mandate"].schema))
    beyond = {**given, "end": w.now + 31 * DAY_S}
    yield "a mandate that ends after its record", _of_kind(w, "mandate", beyond), "schema", "end_until"  # noqa: E501
    oneself = {**given, "delegate_key": member.key.public}
    yield "a mandate for oneself", _of_kind(w, "mandate", oneself), "schema", "key_twice"
    under = w.derive("mandate", 32)
    yield "a mandate under a mandate", _of_kind(w, "mandate", given, as_=under), "not_allowed", ""
    gone = build("withdrawal", salt=bytes(16), kind_="membership")
    yield "a membership withdrawn under a mandate", _of_kind(w, "withdrawal", gone, as_=under), "not_allowed", ""  # noqa: E501
    first = build("withdrawal", salt=bytes(16), kind_="offer")
    yield "a withdrawal of revision 0", _of_kind(w, "withdrawal", first, rev=0), "schema", "rev"
    mark = dict(sample(KINDS["attestation"].schema))
    yield "an attestation without its reference", _of_kind(w, "attestation", mark, refs=()), "schema", "first_ref"  # noqa: E501
    yield "an attestation revised", _of_kind(w, "attestation", mark, rev=1), "schema", "rev"
    reply = dict(sample(KINDS["reply"].schema))
    yield "a reply to nothing", _of_kind(w, "reply", reply, refs=()), "schema", "first_ref"
    yield "a later kind without salt", _of_kind(w, "poem", {"lines": 3}), "schema", "required"
    yield "a later kind for longer than 400 days", _of_kind(
        w, "poem", {"salt": bytes(16)}, days=401
    ), "lifetime", ""  # fmt: skip
    double = later_name("membership")
    yield "a later kind whose tag is a membership's", _of_kind(w, double, {"salt": bytes(16)}), "schema", "series_kind"  # noqa: E501
    for kind in (name for name, known in KINDS.items() if known.subject is not None):
        signed = _of_kind(w, kind, dict(sample(KINDS[kind].schema)))
        header = dataclasses.replace(
            signed.header, series=SeriesId(signed.header.series[:2] + w.derive("elsewhere", 14))
        )
        key = coop.root if kind == "coop_profile" else coop.node
        key = member.key if signed.header.by == member.key.public else key
        assert signed.payload is not None
        moved = sign(Draft(header, signed.payload), key)
        yield f"{kind} in a series of its own choice", moved, "schema", "series_derived"


def later_name(kind: str) -> str:
    """Return the name of a kind that does not exist, and whose tag is that of one that does."""
    return next(name for at in range(2**20) if tag(name := f"x{at}") == tag(kind))


def _at_the_edge(w: World) -> Iterator[tuple[str, Signed, str, str]]:
    """Yield records in which one field is just what it may be, or one too far."""
    member = w.make_member(0, "alice")
    profile = dict(sample(KINDS["coop_profile"].schema))
    old = {"key": w.derive("old", 32), "until_at": w.now}
    yield "a key replaced this very second", _of_kind(w, "coop_profile", {**profile, "previous": [old]}), "ok", ""  # noqa: E501
    card = dict(sample(KINDS["membership"].schema))
    revoked = {**card, "status": "revoked", "revoked": {"reason": "lost", "until_at": w.now}}
    yield "a membership revoked this very second", _of_kind(w, "membership", revoked), "ok", ""
    since = {**card, "status": "suspended", "status_since": w.now}
    yield "a suspension from this very second", _of_kind(w, "membership", since), "ok", ""
    given = dict(sample(KINDS["mandate"].schema))
    end = {**given, "end": w.now + 30 * DAY_S}
    yield "a mandate that ends with its record", _of_kind(w, "mandate", end), "ok", ""
    ended = {**given, "revoked": True, "until_at": w.now}
    yield "a mandate revoked this very second", _of_kind(w, "mandate", ended), "ok", ""
    future = {**ended, "until_at": w.now + 1}
    yield "a mandate revoked in the future", _of_kind(w, "mandate", future), "schema", "until_at"
    for what, salt, rule in (
        ("salt that is text", "s" * 16, "type"),
        ("salt of 15 bytes", bytes(15), "size"),
        ("salt of 17 bytes", bytes(17), "size"),
    ):
        yield f"a later kind with {what}", _of_kind(w, "poem", {"salt": salt}), "schema", rule
    gone = _of_kind(w, "withdrawal", build("withdrawal", salt=bytes(16), kind_="offer"))
    assert gone.payload is not None
    series = SeriesId(tag("demand") + gone.header.series[2:])
    moved = sign(Draft(dataclasses.replace(gone.header, series=series), gone.payload), member.key)
    yield "a withdrawal of an offer in the series of a demand", moved, "schema", "series_kind"
    named = build("withdrawal", salt=bytes(16), kind_=later_name("membership"))
    under = w.derive("mandate", 32)
    yield "a withdrawal that names a later kind with a membership's tag", _of_kind(w, "withdrawal", named), "ok", ""  # noqa: E501
    yield "the same under a mandate", _of_kind(w, "withdrawal", named, as_=under), "not_allowed", ""


# --- Payloads ------------------------------------------------------------------------------------


def schema() -> Iterator[Vector]:
    for name, kind in KINDS.items():
        for what, payload in good_payloads(name, kind.schema).items():
            yield {"name": what, "kind": name, "payload": encode(payload), "expect": "ok"}
    extra: list[tuple[str, str, dict[str, Any]]] = [
        ("offer", "a public place", {"place": {"lat": -1, "lon": 0, "public": True}}),
        ("offer", "a gift", {"reciprocity": {"kind": "gift"}}),
        ("offer", "an auction without a limit", {"reciprocity": {"kind": "auction"}}),
        ("offer", "access as number, text and boolean",
         {"access": {"cost": 0, "digital": False, "language": "signes"}}),
        ("demand", "an emergency", {"urgency": "emergency"}),
        ("demand", "an open auction", {"reciprocity": PRICED, "auction": OPEN}),
        ("demand", "a sealed auction with a limit",
         {"reciprocity": {**PRICED, "amount": 900}, "auction": SEALED}),
        ("offer", "a count of a unit", {"reciprocity": {"kind": "count_only", "unit": "heure"}}),
        ("offer", "an auction of a unit without a limit", {"reciprocity": PRICED}),
        ("offer", "two tariffs", {"tariffs": [
            {"audience": "members", "reciprocity": {"kind": "gift"}},
            {"audience": "outsiders", "reciprocity": {**PRICED, "kind": "amount", "amount": 5}},
        ]}),
        ("bid", "sealed", {"amount": None, "commit": bytes(32)}),
        ("acceptance", "in part", {"part": True, "reason": "La moitié.", "minutes": 30}),
        ("payment", "by a transfer",
         {"how": None, "transfer": bytes(32), "amount": 60, "unit": "heure"}),
        ("organisation", "all must sign", {"rule": {"signatures": 2}}),
        ("freebusy", "free all the time", {"busy": []}),
        ("freebusy", "a second between two", {"busy": [[1, 5], [6, 9]]}),
        ("bundle_decision", "given up before all agreed", {"outcome": "abort", "agreements": []}),
        ("offer", "thirty-two later fields", {f"later_{at}": at for at in range(32)}),
    ]  # fmt: skip
    for name, what, change in extra:
        whole = {**sample(KINDS[name].schema), **change}
        payload = {field: value for field, value in whole.items() if value is not None}
        assert explained(KINDS[name].schema, payload) is None, (name, what)
        yield {"name": f"{name}: {what}", "kind": name, "payload": encode(payload), "expect": "ok"}
    for name, what, change in broken_payloads():
        whole = {**sample(KINDS[name].schema), **change}
        payload = {field: value for field, value in whole.items() if value is not None}
        answer = explained(KINDS[name].schema, payload)
        assert answer is not None, (name, what)
        yield {"name": f"{name}: {what}", "kind": name, "payload": encode(payload),
               "expect": "schema", "field": answer[0], "rule": answer[1]}  # fmt: skip
    for what, cell in (
        ("a cell with a digit 7 inside", "871f97759ffffff"),
        ("a cell with a digit below its resolution", "861f93759ffffff"),
        ("a cell of another mode", "971f93759ffffff"),
    ):
        payload = {**sample(KINDS["offer"].schema), "place": {"cell": cell}}
        answer = explained(KINDS["offer"].schema, payload)
        assert answer is not None and answer[0].startswith("place")
        yield {"name": f"offer: {what}", "kind": "offer", "payload": encode(payload),
               "expect": "schema", "field": answer[0], "rule": answer[1]}  # fmt: skip
    seen: set[tuple[str, str, str]] = set()
    shared = {part.name for part in KINDS["offer"].schema.fields}
    for name, kind in KINDS.items():
        for field, rule, payload in breakages(kind.schema):
            if (name, field, rule) in seen:
                continue
            # A demand's and a bundle's fields that an offer has too are of the same types.
            known = name in ("demand", "bundle") and field.partition(".")[0] in shared
            if known and rule != "required":
                continue
            seen.add((name, field, rule))
            yield {
                "name": f"{name}: {field or 'payload'} {rule} {len(seen)}",
                "kind": name,
                "payload": encode(payload),
                "expect": "schema",
                "field": field,
                "rule": rule,
            }
