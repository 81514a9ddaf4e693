"""Make the vectors of paper cheques, claims, devices and tickets (spec/08-persons)."""

from __future__ import annotations

import base64
import random
from typing import Any

from maillon.protocol.claims import (
    CLAIM_PURPOSE,
    DEVICE_PURPOSE,
    TICKET_PURPOSE,
    ClaimCode,
    Ticket,
    claim_body,
    device_body,
    ticket_text,
)
from maillon.protocol.encoding import encode
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.refs import debt_ref, split_ref
from maillon.protocol.vouchers import TEXT_SCHEME, Voucher, secret_code

FED, COOP, OTHER = b"\x31" * 32, b"\x32" * 32, b"\x52" * 32
ACCOUNT, BOOK, PERSON = b"\x33" * 16, b"\x34" * 16, b"\x35" * 16
SECRET = bytes(range(16))
AT = 1_800_000_000
KEY = SigningKey.from_seed(b"\x61" * 32)
NEW = SigningKey.from_seed(b"\x62" * 32)
SEALING = SealingKey.from_seed(b"\x63" * 32).public
EXAMPLE = Voucher(FED, COOP, ACCOUNT, BOOK, 17, SECRET)


def _voucher(one: Voucher) -> dict[str, Any]:
    return {
        "name": f"number {one.number}",
        "fed": one.fed, "coop": one.coop, "account": one.account, "book": one.book,
        "number": one.number, "secret": one.secret, "bytes": one.encode(), "id": one.id,
        "ref": one.ref, "text": one.text(), "code": one.code(),
    }  # fmt: skip


def _with_checksum(data: bytes) -> str:
    import hashlib

    checked = data + hashlib.sha256(TEXT_SCHEME.encode() + data).digest()[:4]
    return TEXT_SCHEME + base64.b32encode(checked).rstrip(b"=").decode()


def _texts() -> list[dict[str, Any]]:
    good = EXAMPLE.text()
    parts: list[Any] = [1, FED, COOP, ACCOUNT, BOOK, 17, SECRET]

    def changed(place: int, value: Any) -> str:
        return _with_checksum(encode([*parts[:place], value, *parts[place + 1 :]]))

    cases = [
        ("as printed", good, "ok"),
        ("in lower case, broken over lines", good.lower()[:90] + "\n " + good.lower()[90:], "ok"),
        ("another scheme", good.replace("V1", "V2"), "text_damaged"),
        ("a character changed", good[:40] + ("A" if good[40] != "A" else "B") + good[41:],
         "text_damaged"),
        ("a character missing", good[:-1], "text_damaged"),
        ("a character that is none of the alphabet", good[:-1] + "1", "text_damaged"),
        ("nothing", TEXT_SCHEME, "text_damaged"),
        ("version 2", changed(0, 2), "version_unsupported"),
        ("a short federation", changed(1, FED[:-1]), "malformed"),
        ("an account of 32 bytes", changed(3, COOP), "malformed"),
        ("number 0", changed(5, 0), "malformed"),
        ("number 2^31", changed(5, 1 << 31), "malformed"),
        ("a text as number", changed(5, "17"), "malformed"),
        ("a short secret", changed(6, SECRET[:-1]), "malformed"),
        ("one part too few", _with_checksum(encode(parts[:-1])), "malformed"),
        ("one part more", _with_checksum(encode([*parts, 1])), "malformed"),
        ("a map", _with_checksum(encode({"v": 1})), "malformed"),
    ]  # fmt: skip
    return [{"name": what, "text": text, "expect": expect} for what, text, expect in cases]


def _codes() -> list[dict[str, Any]]:
    good = secret_code(17, SECRET)
    cases = [
        ("as printed", 17, good, "ok"),
        ("lower case with spaces", 17, good.lower().replace("-", " "), "ok"),
        ("O for 0, I for 1", 17, good.replace("0", "O").replace("1", "I"), "ok"),
        ("another number", 71, good, "text_damaged"),
        ("number 0", 0, good, "text_damaged"),
        ("two characters swapped", 17, good[1] + good[0] + good[2:], "ok" if good[0] == good[1]
         else "text_damaged"),
        ("the last character changed", 17, good[:-1] + ("0" if good[-1] != "0" else "1"),
         "text_damaged"),
        ("a character missing", 17, good[:-1], "text_damaged"),
        ("a character more", 17, good + "0", "text_damaged"),
        ("a character of no alphabet", 17, good[:-1] + "!", "text_damaged"),
    ]  # fmt: skip
    return [
        {"name": what, "number": number, "code": code, "expect": expect}
        | ({"secret": SECRET} if expect == "ok" else {})
        for what, number, code, expect in cases
    ]


def _claims(rng: random.Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, secret in (
        (b"\0\0\0", bytes(8)),
        (b"\xff" * 3, b"\xff" * 8),
        (rng.randbytes(3), rng.randbytes(8)),
    ):
        code = ClaimCode(name, secret)
        body = claim_body(FED, COOP, code.hash, NEW.public, SEALING)
        found.append(
            {
                "name": f"claim {len(found)}", "code_name": name, "secret": secret,
                "code": code.text(), "hash": code.hash,
                "fed": FED, "coop": COOP, "key": NEW.public, "sealing": SEALING,
                "body": body, "signature": NEW.sign(CLAIM_PURPOSE, body),
            }
        )  # fmt: skip
    return found


def _tickets() -> list[dict[str, Any]]:
    author = b"p" + COOP + PERSON
    bare = Ticket(FED, author, OTHER, KEY.public, SEALING, AT, AT + 86_400)
    signed = Ticket(
        bare.fed, bare.author, bare.to_coop, bare.key, bare.sealing, bare.at, bare.until,
        KEY.sign(TICKET_PURPOSE, bare.body()),
    )  # fmt: skip
    forged = Ticket(
        bare.fed, bare.author, bare.to_coop, bare.key, bare.sealing, bare.at, bare.until,
        NEW.sign(TICKET_PURPOSE, bare.body()),
    )  # fmt: skip
    body = [1, FED, author, OTHER, KEY.public, SEALING, AT, AT + 86_400]

    def broken(place: int, value: Any) -> bytes:
        parts = [*body[:place], value, *body[place + 1 :]]
        return encode([encode(parts), signed.signature])

    cases = [
        ("by the key that moves", signed.encode(), "ok"),
        ("by another key", forged.encode(), "bad_signature"),
        ("version 2", broken(0, 2), "version_unsupported"),
        ("an author of 33 bytes", broken(2, author[:33]), "malformed"),
        ("a time before 1970", broken(6, -1), "malformed"),
        ("a short key", broken(4, KEY.public[:-1]), "malformed"),
        ("without signature", encode([bare.body(), b""]), "malformed"),
        ("one part", encode([bare.body()]), "malformed"),
    ]
    return [
        {"name": what, "ticket": data, "text": ticket_text(data, b""), "expect": expect}
        for what, data, expect in cases
    ]


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the content of persons.json."""
    many = [EXAMPLE] + [
        Voucher(
            rng.randbytes(32), rng.randbytes(32), rng.randbytes(16), rng.randbytes(16), number,
            rng.randbytes(16),
        )
        for number in (1, 127, 128, 65_536, (1 << 31) - 1)
    ]  # fmt: skip
    until = AT + 3_600
    device = device_body(FED, COOP, PERSON, NEW.public, SEALING, until)
    member, transfer = b"p" + OTHER + PERSON, b"\x77" * 32
    old, new = b"p" + COOP + PERSON, member
    answers: list[tuple[str, list[Any], str]] = [
        ("certified", [2, "certified", "", "", {}, EXAMPLE.ref, transfer], "ok"),
        ("refused", [2, "refused", "voucher_used", "Used.", {"number": 17}, b"", b""], "ok"),
        ("another status", [2, "paid", "", "", {}, b"", b""], "malformed"),
        ("a ref of 16 bytes", [2, "waiting", "", "", {}, SECRET, b""], "malformed"),
        ("one part too few", [2, "waiting", "", "", {}, b""], "malformed"),
        ("facts that are a list", [2, "waiting", "", "", [], b"", b""], "malformed"),
        ("another type", [1, "waiting", "", "", {}, b"", b""], "malformed"),
    ]
    asks: list[tuple[str, Any, str]] = [
        ("a record", [1, b"a record"], "ok"),
        ("an empty record", [1, b""], "ok"),
        ("another type", [2, b"a record"], "malformed"),
        ("a type that is true", [True, b"a record"], "malformed"),
        ("a record in text", [1, "a record"], "malformed"),
        ("one part", [1], "malformed"),
        ("three parts", [1, b"a record", 0], "malformed"),
        ("a map", {"record": b"a record"}, "malformed"),
    ]
    return {
        "persons.json": {
            "vouchers": [_voucher(one) for one in many],
            "texts": _texts(),
            "codes": _codes(),
            "claims": _claims(rng),
            "devices": [
                {
                    "name": "approved by an older key",
                    "fed": FED, "coop": COOP, "person": PERSON, "key": NEW.public,
                    "sealing": SEALING, "until": until, "by": KEY.public, "body": device,
                    "signature": KEY.sign(DEVICE_PURPOSE, device),
                }
            ],
            "tickets": _tickets(),
            "asks": [
                {"name": what, "frame": encode(parts), "expect": expect}
                | ({"record": parts[1]} if expect == "ok" else {"rule": "voucher_ask"})
                for what, parts, expect in asks
            ],
            "answers": [
                {"name": what, "frame": encode(parts), "expect": expect}
                for what, parts, expect in answers
            ],
            "refs": {
                "split": {
                    "transfer": transfer, "member": member, "ref": split_ref(transfer, member)
                },
                "debt": {"old": old, "new": new, "unit": 1, "ref": debt_ref(old, new, 1)},
            },
        }
    }  # fmt: skip
