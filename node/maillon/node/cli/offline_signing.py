"""Read, write and sign steps with nothing but a file and a key: no node, no network, no clock
but the machine's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from maillon.node.cli import base, exchange_words
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError, MaillonError

if TYPE_CHECKING:
    from maillon.node.cli.device_keys import DeviceKeys
    from maillon.protocol.envelope import Draft, Header

Json = dict[str, Any]


def _damaged() -> Exception:
    return base.problem(
        "damaged_file",
        _("The file was damaged or changed: what it shows is not what would be signed."),
        _("Have it made anew: maillon exchange draft"),
    )


def _bytes(item: Json, name: str) -> bytes:
    try:
        return bytes.fromhex(item[name])
    except (KeyError, TypeError, ValueError):
        raise _damaged() from None


# --- reading ------------------------------------------------------------------------------------


def read(document: Json, item: Json) -> str:
    """Return what an item says, out of the bytes that would be signed. Raises: LocalError."""
    if item["type"] == "order":
        return _read_order(document, item)
    header, payload = parts(item)
    if header.fed.hex() != document["fed"] or header.by.hex() != item["key"]:
        raise _damaged()
    told = [f"{exchange_words.COMMANDS.get(header.kind, header.kind)}  {document['title']}"]
    told += [
        f"  {name}: {_shown(value, name)}"
        for name, value in payload.items()
        if name not in ("salt", "exchange")
    ]
    if header.as_:
        told.append("  " + _("under the mandate {id}").format(id=header.as_.hex()[:16]))
    return "\n".join(told)


TIMES = frozenset({"time", "start", "end", "valid_until", "dtstart"})


def _shown(value: Any, name: str = "") -> str:
    if name in TIMES and isinstance(value, int):
        return base.when(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return ", ".join(f"{name}={_shown(inner, name)}" for name, inner in fields.items())
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return "; ".join(_shown(inner) for inner in items)
    return str(value)


def parts(item: Json) -> tuple[Header, Json]:
    """Return header and payload of an unsigned record, which belong together. Raises: LocalError.

    They are read as a whole record with an empty signature: the same strict reader as always.
    """
    from maillon.protocol.envelope import decode_record

    try:
        signed = decode_record(_framed(item, bytes(64)))
    except MaillonError:
        raise _damaged() from None
    return signed.header, dict(signed.payload or {})


def _framed(item: Json, signature: bytes) -> bytes:
    from maillon.protocol.encoding import encode

    return encode([_bytes(item, "header"), signature, _bytes(item, "payload")])


def _read_order(document: Json, item: Json) -> str:
    from maillon.ledger.orders import HoldAction, PayAction, order_id, read_body

    nouns = {
        "hold": _("Reserve {amount} for {payee}"),
        "pay": _("Give {amount} to {payee}"),
        "confirm": _("Give {amount}, which was reserved, to {payee}"),
        "release": _("Give {amount}, which was reserved for you, back"),
    }
    body = _bytes(item, "body")
    fed = bytes.fromhex(document["fed"])
    if item["what"] in ("hold", "pay"):
        try:
            _account, _seq, _chain, _until, action = read_body(body)
        except MaillonError:
            raise _damaged() from None
        wanted = PayAction if item["what"] == "pay" else HoldAction
        payee = _bytes(item, "payee")
        if (
            not isinstance(action, wanted)
            or order_id(fed, body).hex() != item["order"]
            or action.amount != item["amount"]["amount"]
            or action.to_coop != payee[1:33]
            or action.to_account != (payee[33:] or bytes(16))
        ):
            raise _damaged()
    return nouns[item["what"]].format(amount=item["amount"]["text"], payee=item["payee"][66:74])


# --- signing ------------------------------------------------------------------------------------


def sign(document: Json, item: Json, keys: DeviceKeys) -> str:
    """Return the signature of an item, in hexadecimal. Raises: LocalError."""
    if item["type"] == "order":
        from maillon.ledger import signing

        purposes = {"confirm": signing.CONFIRM, "release": signing.RELEASE}
        purpose = purposes.get(item["what"], signing.ORDER)
        fed, body = bytes.fromhex(document["fed"]), _bytes(item, "body")
        return signing.sign(keys.signing, purpose, fed, body).hex()
    from maillon.protocol.envelope import PURPOSE

    parts(item)
    return keys.signing.sign(PURPOSE, _bytes(item, "header")).hex()


def record(item: Json) -> str:
    """Return the record that a signed item makes, in hexadecimal."""
    return _framed(item, _bytes(item, "signature")).hex()


# --- following an exchange without a node -------------------------------------------------------


def follow(document: Json, keys: DeviceKeys, kind: str, fields: Json) -> Json:
    """Return the draft of a step that follows what the file holds. Raises: LocalError `step`.

    The state is computed from the signed steps in the file, those signed in the field with them.
    """
    from maillon.node.api.plain import payload_from_json
    from maillon.protocol.encoding import encode
    from maillon.protocol.envelope import draft
    from maillon.protocol.errors import StepRefused
    from maillon.protocol.exchange import NO_FACTS, check_next, fold
    from maillon.protocol.records import build

    steps = _steps(document)
    now = max(int(time.time()), *(step.at for step in steps))
    state = fold(steps, NO_FACTS, now)
    author, role, until = _who(document, keys)
    given = payload_from_json(kind, _filled(kind, fields, state, now))
    payload = build(kind, salt=os.urandom(16), exchange=state.id, **given)
    try:
        check_next(state, kind, payload, author, now, signer_role=role, by=keys.signing.public)
    except StepRefused as fault:
        facts: Json = dict(fault.facts)
        facts["possible"] = list(facts.get("possible", ()))
        told = base.problem("step", str(fault), problem=facts)
        raise exchange_words.refused(told, state.id.hex()[:8]) from None
    made: Draft = draft(
        kind,
        payload,
        fed=bytes.fromhex(document["fed"]),
        coop=author[1:33],
        by=keys.signing.public,
        at=now,
        until=until,
        series=os.urandom(16),
        refs=state.heads,
    )
    return {
        "type": "step",
        "kind": kind,
        "exchange": state.id.hex(),
        "key": keys.signing.public.hex(),
        "header": made.header.encode().hex(),
        "payload": encode(made.payload).hex(),
        "author": author.hex(),
        "role": role,
    }


def _steps(document: Json) -> list[Any]:
    from maillon.protocol.envelope import decode_record
    from maillon.protocol.exchange import Step

    rows = [(step["record"], step) for step in document["transcript"]["steps"]]
    rows += [
        (record(item), item)
        for item in document["items"]
        if item["type"] == "step" and "signature" in item
    ]
    found: list[Any] = []
    for data, told in rows:
        try:
            signed = decode_record(bytes.fromhex(data))
            author = bytes.fromhex(told["author"])
        except (MaillonError, ValueError, KeyError):
            raise _damaged() from None
        header = signed.header
        found.append(
            Step(
                signed.id, header.kind, header.by, author, told["role"], header.at,
                tuple(header.refs), signed.payload,
            )
        )  # fmt: skip
    return found


def _who(document: Json, keys: DeviceKeys) -> tuple[bytes, str, int]:
    """Return author, role and longest end of what a key signs, by the memberships in the file."""
    from maillon.protocol.envelope import decode_record
    from maillon.protocol.records import DAY_S
    from maillon.protocol.records.exchange import STEP_DAYS
    from maillon.protocol.view import person_author

    for data in [*document["transcript"]["records"], *document.get("memberships", ())]:
        vouched = decode_record(bytes.fromhex(data))
        said = vouched.payload or {}
        if vouched.header.kind != "membership" or said.get("key") != keys.signing.public:
            continue
        if said.get("status") != "active":
            continue
        person = cast(bytes, said["person"])
        author = person_author(vouched.header.coop, person)
        until = min(vouched.header.until, int(time.time()) + STEP_DAYS * DAY_S)
        return author, "member", until
    raise LocalError(
        _("The file does not say whose key this is."),
        hint=_(
            "Have it made anew by a node that knows this key: maillon exchange draft --take-along"
        ),
    )


def _filled(kind: str, fields: Json, state: Any, now: int) -> Json:
    """Write what a step names, where only one thing can be meant: as the node does."""
    given = dict(fields)
    only: dict[str, tuple[str, list[bytes]]] = {
        "agreement": ("quote", [q.id for q in state.quotes if q.status == "open"]),
        "check_in": ("slot", [s.slot for s in state.slots if s.status == "agreed" and s.slot]),
        "check_out": ("slot", [s.slot for s in state.slots if s.status == "under_way" and s.slot]),
        "consent": ("to", [change.id for change in state.changes]),
    }
    if kind in ("check_in", "check_out"):
        given.setdefault("time", now)
    if kind == "consent":
        given.setdefault("yes", True)
    if kind in ("message", "complaint", "guarantee_claim"):
        given.setdefault("lang", state.lang)
    if kind in only:
        name, found = only[kind]
        if name not in given and len(found) == 1:
            given[name] = found[0].hex()
    return given
