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
    from maillon.protocol.envelope import Draft, Header, Signed

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
    named = _named(document)
    for name, value in payload.items():
        if name in ("salt", "exchange"):
            continue
        if isinstance(value, bytes) and value in named:
            told.append(f"  {name}: {value.hex()[:16]}")
            told += [f"    {line}" for line in _content(document, named, named[value])]
        else:
            told.append(f"  {name}: {_shown(value, name, document)}")
            if name in _NAMING:
                told.append(
                    "    "
                    + _("What this names is not in the file: nobody can see here what it says.")
                )
    if header.as_:
        told.append("  " + _("under the mandate {id}").format(id=header.as_.hex()[:16]))
    return "\n".join(told)


_NAMING = frozenset({"quote", "to", "handover"})
"""Fields that name a step to which the one that is signed agrees."""


class _FileNames:
    """Who is who and which units there are, as the file says."""

    own_coop = ""

    def __init__(self, document: Json) -> None:
        self._document = document

    def charter(self) -> Json:
        return {"units": self._document.get("units", [])}

    def members(self) -> list[Json]:
        return []

    def coop_name(self, coop: str) -> str:
        return _name(self._document, b"c" + bytes.fromhex(coop))


def _named(document: Json) -> dict[bytes, Signed]:
    """Return the steps that the file has, by their ids: those follow from the bytes themselves."""
    from maillon.protocol.envelope import decode_record

    rows = [*document.get("named", ())]
    rows += [step["record"] for step in document.get("transcript", {}).get("steps", ())]
    rows += [record(item) for item in document["items"] if "signature" in item and "header" in item]
    try:
        found = [decode_record(bytes.fromhex(row)) for row in rows]
    except (MaillonError, ValueError, TypeError):
        raise _damaged() from None
    return {signed.id: signed for signed in found}


def _name(document: Json, author: bytes) -> str:
    """Return what the file calls an author, with the beginning of the id that cannot lie."""
    names: Json = document.get("names", {})
    short = (author[33:] or author[1:33]).hex()[:8]
    name = names.get(author.hex())
    return f"{name} ({short})" if name and short not in str(name) else str(name or short)


def _content(document: Json, named: Mapping[bytes, Signed], signed: Signed) -> list[str]:
    """Return what a step says that the one to be signed agrees to, a line for each."""
    from maillon.node.api.plain import to_json
    from maillon.node.cli import exchange_terms

    payload: dict[str, Any] = dict(signed.payload or {})
    if signed.header.kind != "quote":
        return [
            f"{name}: {_shown(value, name, document)}"
            for name, value in payload.items()
            if name not in ("salt", "exchange")
        ]
    opening = next((s.payload for s in named.values() if s.header.kind == "opening"), None)
    sides: Json = {
        role: {"coop": cast(bytes, (opening or {})[role])[1:33].hex()}
        for role in ("requester", "provider")
        if opening is not None
    }
    terms: Json = to_json(payload["terms"])
    mediator = payload["terms"].get("mediator")
    shown: Json | None = None
    if mediator is not None:
        name = _name(document, mediator)
        shown = {"coop": mediator[1:33].hex(), "coop_name": name, "person": "", "name": name}
    rows = exchange_terms.rows(_FileNames(document), sides, terms, shown)
    rows[1:1] = exchange_terms.slots_of(terms)
    rows.append((_("stands until"), base.when(payload["valid_until"])))
    return [f"{label}: {value}" if label else f"  {value}" for label, value in rows]


TIMES = frozenset({"time", "start", "end", "valid_until", "dtstart"})


def _shown(value: Any, name: str = "", document: Json | None = None) -> str:
    if name in TIMES and isinstance(value, int):
        return base.when(value)
    if isinstance(value, bytes):
        if document is not None and len(value) in (33, 49) and value[:1] in (b"c", b"p"):
            return _name(document, value)
        return value.hex()
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return ", ".join(
            f"{name}={_shown(inner, name, document)}" for name, inner in fields.items()
        )
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return "; ".join(_shown(inner, "", document) for inner in items)
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
