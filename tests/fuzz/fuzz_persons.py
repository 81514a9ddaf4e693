"""Fuzz what reads cheques, codes, tickets and messages about them (spec/08-persons)."""

from __future__ import annotations

from collections.abc import Callable

from maillon.protocol.cards import TextDamaged
from maillon.protocol.claims import claim_code, decode_ticket, ticket_from_text, ticket_text
from maillon.protocol.errors import MaillonError, RemoteError
from maillon.protocol.voucherframes import decode_answer, decode_ask, encode_ask
from maillon.protocol.vouchers import (
    decode_voucher,
    secret_code,
    secret_from_code,
    voucher_from_text,
)
from support.vectors import load

VECTORS = load("persons.json")


def voucher(data: bytes) -> None:
    """Bytes are refused, or are the one encoding of a cheque."""
    try:
        read = decode_voucher(data)
    except RemoteError:
        return
    assert read.encode() == data and voucher_from_text(read.text()) == read


def text(data: bytes) -> None:
    """Whatever is typed or scanned is refused in words, or gives back what it came from."""
    words = data.decode("latin-1")
    try:
        assert voucher_from_text(words).text() == "".join(words.split()).upper()
    except MaillonError:
        pass
    number = int.from_bytes(data[:4], "big")
    try:
        code = secret_code(number, secret_from_code(number, words))
        assert len(code) == 35
    except TextDamaged:
        pass
    try:
        assert claim_code(words).text()
    except TextDamaged:
        pass


def ticket(data: bytes) -> None:
    """A ticket is refused, or is the one encoding of what was read."""
    try:
        read = decode_ticket(data)
    except RemoteError:
        return
    assert read.encode() == data
    assert ticket_from_text(ticket_text(data, b"")) == (data, b"")


def frames(data: bytes) -> None:
    """A message is refused, or has the parts of its form."""
    try:
        assert encode_ask(decode_ask(data)) == data
    except RemoteError:
        pass
    try:
        read = decode_answer(data)
        assert len(read.sentence) > 400 or read.encode() == data
    except RemoteError:
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    "voucher": voucher,
    "voucher_text": text,
    "ticket": ticket,
    "voucher_frames": frames,
}
SEEDS: dict[str, list[bytes]] = {
    "voucher": [bytes.fromhex(vector["bytes"]) for vector in VECTORS["vouchers"]],
    "voucher_text": [vector["text"].encode() for vector in VECTORS["texts"]]
    + [vector["code"].encode() for vector in VECTORS["codes"] + VECTORS["claims"]],
    "ticket": [bytes.fromhex(vector["ticket"]) for vector in VECTORS["tickets"]],
    "voucher_frames": [bytes.fromhex(vector["frame"]) for vector in VECTORS["answers"]]
    + [b"\x92\x01\xc4\x02\x93\xc4"],
}
