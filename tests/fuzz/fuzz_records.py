"""Fuzz the readers of records, founding files, cards and invitations (spec/02, spec/03)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from maillon.protocol.encoding import decode
from maillon.protocol.envelope import Checked, Signed, decode_header, decode_record, record_id
from maillon.protocol.errors import LocalError, Malformed, RemoteError
from maillon.protocol.founding import (
    card_from_text,
    decode_founding,
    decode_founding_file,
    decode_invitation,
    invitation_from_text,
)
from maillon.protocol.ids import RecordId
from maillon.protocol.limits import PAYLOAD_BYTES_MAX
from maillon.protocol.records import KINDS
from maillon.protocol.records._fast import compile_fits
from maillon.protocol.records.schema import Broken, compile_type
from maillon.protocol.validation import check_context, check_step, check_structure
from support.model_view import ModelView, live_set
from support.vectors import load

ALONE = load("records.json")
CONTEXT = load("records-context.json")
FOUNDING = load("founding.json")
DOCUMENT = decode_founding(bytes.fromhex(CONTEXT["founding"]))
RECORDS = [decode_record(bytes.fromhex(data)) for data in CONTEXT["records"].values()]
NOW: int = CONTEXT["now"]
VIEW = ModelView(DOCUMENT)
for _valid in live_set(RECORDS, DOCUMENT, NOW).values():
    VIEW.add(_valid)
CHECKS = [
    (compile_fits(kind.schema), compile_type(kind.schema)) for kind in KINDS.values()
]


def record(data: bytes) -> None:
    """A record is refused by name, or its bytes are the ones it would be written with."""
    try:
        signed = decode_record(data)
    except RemoteError:
        return
    assert signed.encode() == data
    assert signed.header.encode() == signed.header_bytes
    assert record_id(data) == signed.id


def header(data: bytes) -> None:
    """A header is refused by name, or is the one encoding of its parts."""
    try:
        read = decode_header(data)
    except RemoteError:
        return
    assert read.encode() == data


def payload(data: bytes) -> None:
    """The check that says yes quickly and the one that explains agree on every kind."""
    try:
        value: Any = decode(data, bytes_max=PAYLOAD_BYTES_MAX)
    except Malformed:
        return
    for fits, explain in CHECKS:
        try:
            explain(value)
        except Broken:
            assert not fits(value)
        else:
            assert fits(value)


def judged(data: bytes) -> None:
    """A record of this federation is judged without anything but the errors of the registry.

    The signature is left out: a fuzzer cannot sign.
    """
    try:
        signed = decode_record(data)
    except RemoteError:
        return
    _judge(signed)


def _judge(signed: Signed) -> None:
    for private in (False, True):
        try:
            check_structure(signed, fed=signed.header.fed, now=NOW, private=private)
        except RemoteError:
            continue
        try:
            if private:
                check_step(Checked(signed), VIEW)
            else:
                check_context(Checked(signed), VIEW, NOW)
        except RemoteError:
            pass


def retold(data: bytes) -> None:
    """A known header with whatever payload is judged without anything but those errors.

    The first two bytes choose the header, the rest is the payload: a fuzzer finds no hash either.
    """
    if len(data) < 3:
        return
    template = RECORDS[int.from_bytes(data[:2], "big") % len(RECORDS)]
    payload_bytes = data[2:]
    try:
        value = decode(payload_bytes, bytes_max=PAYLOAD_BYTES_MAX)
    except Malformed:
        return
    if type(value) is not dict:
        return
    body = hashlib.sha256(payload_bytes).digest()
    header = replace(template.header, body=body, size=len(payload_bytes))
    header_bytes = header.encode()
    id = RecordId(hashlib.sha256(header_bytes).digest())
    _judge(Signed(header, header_bytes, id, template.signature, payload_bytes, value))


def founding(data: bytes) -> None:
    """A founding file is refused by name, or written again as it was read."""
    try:
        file = decode_founding_file(data, backend=lambda public, message, signature: True)
    except RemoteError:
        return
    assert file.encode() == data


def text(data: bytes) -> None:
    """A pasted text is refused in words, or read."""
    shown = data.decode("utf-8", "replace")
    try:
        card_from_text(shown)
    except LocalError:
        pass
    try:
        invitation_from_text(shown, now=0)
    except LocalError:
        pass


def invitation(data: bytes) -> None:
    """An invitation is refused by name, or written again as it was read."""
    try:
        read = decode_invitation(data)
    except RemoteError:
        return
    assert read.encode() == data


TARGETS: dict[str, Callable[[bytes], None]] = {
    "record": record,
    "header": header,
    "payload": payload,
    "judged": judged,
    "retold": retold,
    "founding": founding,
    "text": text,
    "invitation": invitation,
}
_RECORDS = [bytes.fromhex(v["record"]) for v in ALONE["vectors"] if len(v["record"]) <= 4_000]
SEEDS: dict[str, list[bytes]] = {
    "record": _RECORDS,
    "header": [signed.header_bytes for signed in RECORDS],
    "payload": [
        bytes.fromhex(v["payload"])
        for v in load("records-schema.json")["vectors"]
        if len(v["payload"]) <= 2_000
    ],
    "judged": [signed.encode() for signed in RECORDS],
    "retold": [
        place.to_bytes(2, "big") + signed.payload_bytes
        for place, signed in enumerate(RECORDS)
        if signed.payload_bytes is not None and len(signed.payload_bytes) <= 2_000
    ],
    "founding": [bytes.fromhex(v["file"]) for v in FOUNDING["files"]],
    "text": [v["text"].encode() for v in FOUNDING["texts"]],
    "invitation": [],
}
