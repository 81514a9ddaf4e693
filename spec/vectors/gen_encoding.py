"""Make the vectors of spec/01: each rule of the encoding kept at its edge, and broken once."""

from __future__ import annotations

import random

from maillon.protocol import encoding
from maillon.protocol._unicode14 import UNASSIGNED
from maillon.protocol.limits import (
    ARRAY_ITEMS_MAX,
    BIN_BYTES_MAX,
    DEPTH_MAX,
    INT_MAX,
    MAP_ITEMS_MAX,
    STRING_BYTES_MAX,
)

BYTES_MAX = 16_384

# What a reader answers to each broken rule (spec/01, table "Rules").
CODES = {
    "empty": "malformed",
    "truncated": "malformed",
    "trailing_bytes": "malformed",
    "reserved_byte": "malformed",
    "nil": "malformed",
    "float": "malformed",
    "ext": "malformed",
    "int_range": "malformed",
    "utf8": "malformed",
    "key_type": "malformed",
    "key_form": "malformed",
    "key_duplicate": "malformed",
    "int_form": "not_canonical",
    "string_form": "not_canonical",
    "bin_form": "not_canonical",
    "array_form": "not_canonical",
    "map_form": "not_canonical",
    "nfc": "not_canonical",
    "key_order": "not_canonical",
    "depth": "too_large",
    "string_length": "too_large",
    "bin_length": "too_large",
    "array_length": "too_large",
    "map_length": "too_large",
    "total_length": "too_large",
}


def shown(value: encoding.Value) -> object:
    """Return a value as JSON has it; binary becomes {"$bin": hex}, which no map key can be."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return value


def _accepted() -> list[tuple[str, encoding.Value]]:
    cases: list[tuple[str, encoding.Value]] = [
        ("true", True),
        ("false", False),
        ("empty string", ""),
        ("empty bin", b""),
        ("empty array", []),
        ("empty map", {}),
        ("text beyond ASCII", "Où ? À l'Épicerie, près du marché — 12 €"),
        ("text beyond the basic plane", "🧶 tricot"),
        ("text with a zero and a newline", "a\0b\nc"),
        ("a composed letter outside NFC's exclusions", "\u1e69"),
        ("a noncharacter", "\uffff"),
        ("U+FEFF at the beginning of a text", "\ufeffa"),
        ("U+FEFF alone", "\ufeff"),
        ("map keys in order", {"a": 1, "a0": 2, "a_": 3, "aa": 4, "b": 5}),
        ("longest map key", {"k" * 32: True}),
        ("an array of every type", [True, -1, "a", b"\xff", [], {}]),
    ]
    for number in (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, INT_MAX):
        cases.append((f"integer {number}", number))
    for number in (-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -INT_MAX):
        cases.append((f"integer {number}", number))
    for length in (31, 32, 255, 256, STRING_BYTES_MAX):
        cases.append((f"string of {length} bytes", "s" * length))
    for length in (1, 255, 256):
        cases.append((f"bin of {length} bytes", b"\x5a" * length))
    for length in (15, 16, ARRAY_ITEMS_MAX):
        zeros: list[encoding.Value] = [0] * length
        cases.append((f"array of {length} items", zeros))
    for length in (15, 16, MAP_ITEMS_MAX):
        cases.append((f"map of {length} fields", {f"k{i:02}": i for i in range(length)}))
    deep: encoding.Value = 0
    for _ in range(DEPTH_MAX):
        deep = [deep]
    cases.append((f"arrays {DEPTH_MAX} deep", deep))
    deep = 0
    for _ in range(DEPTH_MAX):
        deep = {"d": deep}
    cases.append((f"maps {DEPTH_MAX} deep", deep))
    return cases


def _refused() -> list[tuple[str, str, str]]:
    long_text = (b"s" * (STRING_BYTES_MAX + 1)).hex()
    many_keys = "".join(encoding.encode(f"k{i:02}").hex() + "00" for i in range(MAP_ITEMS_MAX + 1))
    key = {length: "a" * length for length in (0, 33)}
    return [
        ("no bytes", "empty", ""),
        ("two values", "trailing_bytes", "0101"),
        ("a byte after a map", "trailing_bytes", "80c0"),
        ("the reserved byte", "reserved_byte", "c1"),
        ("the reserved byte in an array", "reserved_byte", "91c1"),
        ("nil", "nil", "c0"),
        ("nil in a map", "nil", "81a161c0"),
        ("float 32", "float", "ca3f800000"),
        ("float 64", "float", "cb3ff0000000000000"),
        ("float 64 that is a whole number in an array", "float", "91cb4000000000000000"),
        ("float 64 not a number", "float", "cb7ff8000000000000"),
        ("float 64 infinity", "float", "cb7ff0000000000000"),
        ("float 64 minus zero", "float", "cb8000000000000000"),
        ("fixext 1", "ext", "d40500"),
        ("fixext 2", "ext", "d5050000"),
        ("fixext 4", "ext", "d60500000000"),
        ("fixext 8", "ext", "d7050000000000000000"),
        ("fixext 16", "ext", "d805" + "00" * 16),
        ("ext 8", "ext", "c7010500"),
        ("ext 8 of no bytes", "ext", "c70005"),
        ("ext 16", "ext", "c800010500"),
        ("ext 32", "ext", "c9000000010500"),
        ("timestamp 32", "ext", "d6ff65000000"),
        ("timestamp 64", "ext", "d7ff0000000065000000"),
        ("timestamp 96", "ext", "c70cff000000000000000065000000"),
        ("timestamp 96 with impossible nanoseconds", "ext", "c70cff" + "ff" * 12),
        # Integers in a longer form than they need.
        ("127 as uint 8", "int_form", "cc7f"),
        ("0 as uint 8", "int_form", "cc00"),
        ("255 as uint 16", "int_form", "cd00ff"),
        ("65535 as uint 32", "int_form", "ce0000ffff"),
        ("4294967295 as uint 64", "int_form", "cf00000000ffffffff"),
        ("0 as uint 64", "int_form", "cf0000000000000000"),
        ("1 as int 8", "int_form", "d001"),
        ("127 as int 8", "int_form", "d07f"),
        ("128 as int 16", "int_form", "d10080"),
        ("65536 as int 32", "int_form", "d200010000"),
        ("4294967296 as int 64", "int_form", "d30000000100000000"),
        ("-1 as int 8", "int_form", "d0ff"),
        ("-32 as int 8", "int_form", "d0e0"),
        ("-33 as int 16", "int_form", "d1ffdf"),
        ("-128 as int 16", "int_form", "d1ff80"),
        ("-32768 as int 32", "int_form", "d2ffff8000"),
        ("-2147483648 as int 64", "int_form", "d3ffffffff80000000"),
        ("-1 as int 64", "int_form", "d3ffffffffffffffff"),
        ("2^53", "int_range", "cf0020000000000000"),
        ("2^63", "int_range", "cf8000000000000000"),
        ("2^64 - 1", "int_range", "cfffffffffffffffff"),
        ("-2^53", "int_range", "d3ffe0000000000000"),
        ("-2^63", "int_range", "d38000000000000000"),
        # Lengths in a longer form than they need.
        ("empty string as str 8", "string_form", "d900"),
        ("31 bytes as str 8", "string_form", "d91f" + "73" * 31),
        ("255 bytes as str 16", "string_form", "da00ff" + "73" * 255),
        ("256 bytes as str 32", "string_form", "db00000100" + "73" * 256),
        ("1 byte as bin 16", "bin_form", "c5000100"),
        ("1 byte as bin 32", "bin_form", "c60000000100"),
        ("256 bytes as bin 32", "bin_form", "c600000100" + "00" * 256),
        ("1 item as array 16", "array_form", "dc000100"),
        ("15 items as array 16", "array_form", "dc000f" + "00" * 15),
        ("1 item as array 32", "array_form", "dd0000000100"),
        ("16 items as array 32", "array_form", "dd00000010" + "00" * 16),
        ("1 field as map 16", "map_form", "de0001a16100"),
        ("1 field as map 32", "map_form", "df00000001a16100"),
        ("a long form inside a map", "int_form", "81a161cc01"),
        ("a key in a longer form", "string_form", "81d9016100"),
        # Keys.
        ("a key that is an integer", "key_type", "810100"),
        ("a key that is a bin", "key_type", "81c4016100"),
        ("a key that is a bool", "key_type", "81c200"),
        ("a key that is nil", "key_type", "81c000"),
        ("a key that is an array", "key_type", "819000"),
        ("a key that is a map", "key_type", "818000"),
        ("an empty key", "key_form", "81a000"),
        ("a key of 33 bytes", "key_form", "81d921" + key[33].encode().hex() + "00"),
        ("a key with a capital", "key_form", "81a14100"),
        ("a key that begins with a digit", "key_form", "81a13000"),
        ("a key that begins with an underscore", "key_form", "81a15f00"),
        ("a key with a hyphen", "key_form", "81a3612d6200"),
        ("a key with a newline at its end", "key_form", "81a2610a00"),
        ("two keys in one, with a newline between", "key_form", "81a3610a6200"),
        ("a key beyond ASCII", "key_form", "81a2c3a900"),
        ("two keys out of order", "key_order", "82a16200a16100"),
        ("a longer key before its beginning", "key_order", "82a2616100a16100"),
        ("keys ordered by length first", "key_order", "82a16200a2616100"),
        ("a key twice", "key_duplicate", "82a16100a16101"),
        ("a key twice with the same value", "key_duplicate", "82a16100a16100"),
        ("keys out of order inside an array", "key_order", "9182a16200a16100"),
        # Text.
        ("a lone continuation byte", "utf8", "a180"),
        ("a text cut in a character", "utf8", "a1c3"),
        ("an overlong slash", "utf8", "a2c0af"),
        ("half a surrogate pair", "utf8", "a3eda080"),
        ("a surrogate pair", "utf8", "a6eda0bdedb8a0"),
        ("beyond the last code point", "utf8", "a4f4908080"),
        ("e and a combining acute accent", "nfc", "a365cc81"),
        ("the angstrom sign", "nfc", "a3e284ab"),
        ("marks in the wrong order", "nfc", "a561cc81cca3"),
        ("a letter that NFC always takes apart", "nfc", "a3e0a598"),
        ("Hangul in parts", "nfc", "a6e18480e185a1"),
        ("text not in NFC inside a map", "nfc", "81a161a365cc81"),
        # Limits.
        (f"{STRING_BYTES_MAX + 1} bytes of text", "string_length", "da2001" + long_text),
        ("a text that claims 4 GiB", "string_length", "dbffffffff"),
        ("a bin that claims 4 GiB", "bin_length", "c6ffffffff"),
        ("a bin that claims a byte too many", "bin_length", f"c6{BIN_BYTES_MAX + 1:08x}"),
        (f"{ARRAY_ITEMS_MAX + 1} items", "array_length", "dc0401" + "00" * (ARRAY_ITEMS_MAX + 1)),
        ("an array that claims 4 Gi items", "array_length", "ddffffffff"),
        (f"{MAP_ITEMS_MAX + 1} fields", "map_length", "de0041" + many_keys),
        ("a map that claims 4 Gi fields", "map_length", "dfffffffff"),
        (f"arrays {DEPTH_MAX + 1} deep", "depth", "91" * (DEPTH_MAX + 1) + "00"),
        (f"empty arrays {DEPTH_MAX + 1} deep", "depth", "91" * DEPTH_MAX + "90"),
        (f"maps {DEPTH_MAX + 1} deep", "depth", "81a164" * (DEPTH_MAX + 1) + "00"),
        ("arrays 4000 deep", "depth", "91" * 4000 + "00"),
        ("more bytes than the reader allows", "total_length", "c5" + "00" * BYTES_MAX),
    ]


def _truncated(whole: bytes) -> list[tuple[str, str, str]]:
    return [
        (f"cut after {end} of {len(whole)} bytes", "truncated", whole[:end].hex())
        for end in range(1, len(whole))
    ]


def _bare_headers() -> list[tuple[str, str, str]]:
    """Every first byte that announces more, with nothing behind it."""
    announcing = [0x81, 0x91, 0xA1, *range(0xC4, 0xC7), *range(0xCC, 0xD4), *range(0xD9, 0xE0)]
    return [(f"byte {byte:02x} and no more", "truncated", f"{byte:02x}") for byte in announcing]


def vectors(rng: random.Random) -> dict[str, object]:
    del rng  # every case is chosen
    listed: list[dict[str, object]] = [
        {
            "name": name,
            "bytes": encoding.encode(value),
            "expect": "ok",
            "value": shown(value),
        }
        for name, value in _accepted()
    ]
    whole = encoding.encode({"a": [1, -200, 70_000], "b": b"\x01\x02", "c": "é" * 20})
    for name, rule, bytes_hex in [*_refused(), *_bare_headers(), *_truncated(whole)]:
        listed.append({"name": name, "bytes": bytes_hex, "expect": CODES[rule], "rule": rule})
    return {
        "encoding.json": {
            "spec": "01-encoding",
            "about": "Read `bytes` as one value of at most `bytes_max` bytes. When `expect` is ok,"
            " writing `value` gives the same bytes; otherwise `rule` is the rule that is broken.",
            "bytes_max": BYTES_MAX,
            "vectors": listed,
        },
        "unicode14-unassigned.json": {
            "spec": "01-encoding",
            "about": "Code points that Unicode 14.0 leaves unassigned, as [first, last] pairs:"
            " cut a text at them before normalising with the tables of a later version.",
            "ranges": [[first, last] for first, last in UNASSIGNED],
            "nfc": _unicode_cases(),
        },
    }


def _unicode_cases() -> list[dict[str, object]]:
    """Texts on which the tables of Unicode 14.0 and of later versions disagree."""
    return [
        {
            "name": "a mark of 15.0 (U+1E08F, class 230) before one of class 220",
            "bytes": encoding.encode("a\U0001e08f\u0316"),
            "expect": "ok",
        },
        {
            "name": "a letter of 16.0 that composes there (U+105D2 U+0307)",
            "bytes": encoding.encode("\U000105d2\u0307"),
            "expect": "ok",
        },
        {
            "name": "marks in the wrong order after a code point unassigned in 14.0",
            "bytes": (b"\xa9" + "\U0001e08fa\u0301\u0323".encode()).hex(),
            "expect": "not_canonical",
            "rule": "nfc",
        },
    ]
