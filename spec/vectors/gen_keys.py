"""Make the vectors of spec/02: keys, signatures at every edge, coop ids, words and key files."""

from __future__ import annotations

import hashlib
import random

from maillon.protocol import encoding, keyfile, keys, words
from support import ed25519_ref as curve


def _seed(rng: random.Random) -> bytes:
    return rng.randbytes(32)


# --- Signing ------------------------------------------------------------------------------------


def _signing(rng: random.Random) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []
    for purpose, body in (
        ("record", rng.randbytes(180)),
        ("founding", rng.randbytes(400)),
        ("card", b""),
    ):
        seed = _seed(rng)
        key = keys.SigningKey.from_seed(seed)
        listed.append(
            {
                "name": f"signed for the purpose {purpose}",
                "seed": seed,
                "public": key.public,
                "purpose": purpose,
                "body": body,
                "message": keys.signing_bytes(purpose, body),
                "signature": key.sign(purpose, body),
            }
        )
    return listed


# --- The verification rule ----------------------------------------------------------------------


def _le(number: int) -> bytes:
    return number.to_bytes(32, "little")


def _verification(rng: random.Random) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []
    refused = "bad_signature"

    def case(
        name: str, rule: str, public: bytes, message: bytes, signature: bytes, expect: str
    ) -> None:
        listed.append(
            {
                "name": name,
                "rule": rule,
                "public": public,
                "message": message,
                "signature": signature,
                "expect": expect,
                # What a verifier without the byte rules would say, with and without the cofactor.
                "equation": {
                    "cofactorless": curve.cofactorless(public, message, signature),
                    "cofactored": curve.cofactored(public, message, signature),
                },
            }
        )

    message = keys.signing_bytes("record", rng.randbytes(100))
    seed = _seed(rng)
    honest = keys.SigningKey.from_seed(seed)
    public, signature = bytes(honest.public), honest.sign("record", message[17:])
    scalar, _ = curve.expand(seed)
    point = curve.multiply(scalar, curve.BASE)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")

    torsion = curve.torsion()

    def mixed_key(index: int) -> bytes:
        return curve.encode(curve.add(point, torsion[index]))

    case("an honest signature", "valid", public, message, signature, "ok")
    other = keys.signing_bytes("founding", message[17:])
    changed = message[:-1] + bytes([message[-1] ^ 1])
    case("one bit of the message is changed", "equation", public, changed, signature, refused)
    case("the same body for another purpose", "equation", public, other, signature, refused)
    case("the body without its prefix", "equation", public, message[17:], signature, refused)
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    case("one bit of R is changed", "equation", public, message, flipped, refused)
    flipped = signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]
    case("one bit of S is changed", "equation", public, message, flipped, refused)
    stranger = keys.SigningKey.from_seed(_seed(rng)).public
    case("another key", "equation", stranger, message, signature, refused)
    minus = curve.encode(curve.negate(point))
    case("the sign bit of A is changed", "equation", minus, message, signature, refused)

    for name, key_bytes, signature_bytes, expect in (
        ("a signature of 63 bytes", public, signature[:63], refused),
        ("a signature of 65 bytes", public, signature + b"\0", refused),
        ("no signature", public, b"", refused),
        ("a key of 31 bytes", public[:31], signature, "bad_key"),
        ("a key of 33 bytes", public + b"\0", signature, "bad_key"),
        ("no key", b"", signature, "bad_key"),
    ):
        listed.append(
            {
                "name": name,
                "rule": "length",
                "public": key_bytes,
                "message": message,
                "signature": signature_bytes,
                "expect": expect,
            }
        )

    # S is written modulo L in one way only.
    for name, scalar_s in (
        ("S + L", s + curve.L),
        ("S + 8 L", s + 8 * curve.L),
        ("S + 15 L", s + 15 * curve.L),
    ):
        if scalar_s < 2**256:
            bad = r + _le(scalar_s)
            case(f"{name} in place of S", "s_range", public, message, bad, refused)
    case("S = L", "s_range", public, message, r + _le(curve.L), refused)
    case("S = L - 1", "equation", public, message, r + _le(curve.L - 1), refused)
    case("S = 2^256 - 1", "s_range", public, message, r + b"\xff" * 32, refused)
    case("S = 0", "equation", public, message, r + bytes(32), refused)

    # A of small order: R = [S]B - [k]A holds for messages nobody signed. A message is sought whose
    # challenge is a multiple of 8, so that even verifiers without the cofactor are fooled.
    free_s = rng.randrange(curve.L)
    free_r = curve.encode(curve.multiply(free_s, curve.BASE))
    for encoded in sorted(keys.SMALL_ORDER_ENCODINGS):
        number = 0
        while True:
            chosen = keys.signing_bytes("record", b"forged %d" % number)
            if curve.challenge(free_r, encoded, chosen) % 8 == 0:
                break
            number += 1
        forged = free_r + _le(free_s)
        name = f"a forgery under the small-order key {encoded.hex()}"
        case(name, "small_order_a", encoded, chosen, forged, "bad_key")

    # R of small order, made with the secret key and r = 0, so that S = k a. The equation holds when
    # A carries a torsion of which -k times is R: sought among keys and messages.
    for encoded in sorted(keys.SMALL_ORDER_ENCODINGS):
        small = curve.decode(encoded)
        assert small is not None
        chosen, key_bytes, k = next(
            (chosen, key_bytes, k)
            for index in range(8)
            for number in range(64)
            for chosen in [keys.signing_bytes("record", b"small R %d" % number)]
            for key_bytes in [mixed_key(index)]
            for k in [curve.challenge(encoded, key_bytes, chosen)]
            if curve.same(curve.negate(curve.multiply(k, torsion[index])), small)
        )
        made = encoded + _le(k * scalar % curve.L)
        name = f"R is the small-order point {encoded.hex()}"
        case(name, "small_order_r", key_bytes, chosen, made, refused)

    # A second writing of y, on points that are not of small order.
    for offset in range(2, 19):
        encoded = _le(curve.P + offset)
        if curve.decode(encoded) is not None:
            name = f"A written with y = p + {offset}"
            case(name, "canonical_a", encoded, message, signature, "bad_key")
            name = f"R written with y = p + {offset}"
            bad = encoded + signature[32:]
            case(name, "canonical_r", public, message, bad, refused)
    case("A is all ones", "canonical_a", b"\xff" * 32, message, signature, "bad_key")
    no_point = _le(next(y for y in range(2, 50) if curve.decode(_le(y)) is None))
    case("A is no point of the curve", "equation", no_point, message, signature, refused)
    bad = no_point + signature[32:]
    case("R is no point of the curve", "equation", public, message, bad, refused)

    # Points of mixed order are allowed: the equation decides, without the cofactor. One message is
    # sought for which the torsions of R and of k A cancel, and one for which they do not.
    for index in (1, 2, 4):
        mixed_public = mixed_key(index)
        nonce = rng.randrange(curve.L)
        for in_r in (0, index):
            r_point = curve.add(curve.multiply(nonce, curve.BASE), torsion[in_r])
            encoded = curve.encode(r_point)
            for holds in (True, False):
                chosen, k = next(
                    (chosen, k)
                    for number in range(256)
                    for chosen in [keys.signing_bytes("record", b"mixed %d" % number)]
                    for k in [curve.challenge(encoded, mixed_public, chosen)]
                    if ((in_r + k * index) % 8 == 0) is holds
                )
                name = f"A of order {8 // index} L, R of order {8 // index if in_r else 1} L, " + (
                    "the cofactorless equation holds" if holds else "only the cofactored one holds"
                )
                made = encoded + _le((nonce + k * scalar) % curve.L)
                rule, expect = ("mixed_order", "ok") if holds else ("cofactor", refused)
                case(name, rule, mixed_public, chosen, made, expect)
    # R of mixed order under an honest key: only with the cofactor does it hold.
    mixed_r = curve.encode(curve.add(curve.multiply(free_s, curve.BASE), torsion[1]))
    k = curve.challenge(mixed_r, public, message)
    made = mixed_r + _le((free_s + k * scalar) % curve.L)
    name = "honest A, R of mixed order, only the cofactored equation holds"
    case(name, "cofactor", public, message, made, refused)
    return listed


# --- Coop ids, words, key files -----------------------------------------------------------------


def _coops(rng: random.Random) -> list[dict[str, object]]:
    root = keys.SigningKey.from_seed(_seed(rng)).public
    return [{"name": "the id of a coop", "root": root, "coop": keys.coop_id(root)}]


def _words(rng: random.Random) -> list[dict[str, object]]:
    entropies = [bytes(16), b"\xff" * 16, bytes(32), b"\xff" * 32, rng.randbytes(16)]
    entropies.append(rng.randbytes(32))
    listed: list[dict[str, object]] = []
    for entropy in entropies:
        signing, sealing = words.derive(entropy)
        listed.append(
            {
                "name": f"{len(entropy) * 3 // 4} words, entropy {entropy[:4].hex()}…",
                "entropy": entropy,
                "fr": " ".join(words.to_words(entropy, "fr")),
                "en": " ".join(words.to_words(entropy, "en")),
                "signing_seed": signing.secret_bytes(),
                "signing_public": signing.public,
                "sealing_secret": sealing.secret_bytes(),
                "sealing_public": sealing.public,
            }
        )
    return listed


def _typed_words(rng: random.Random) -> list[dict[str, object]]:
    entropy = rng.randbytes(16)
    french, english = words.to_words(entropy, "fr"), words.to_words(entropy, "en")
    plain = " ".join(french)
    numbered = "\n".join(f"{i}. {word.upper()}" for i, word in enumerate(french, 1))
    swapped = [french[1], french[0], *french[2:]]
    assert french[0] != french[1]

    def mixed(words_of: list[str], other: list[str]) -> str:
        # The first word is of the other language: read in that one, the second is missing.
        return " ".join([other[0], *words_of[1:]])

    evenly = [french[0], english[1]] * 6

    def read(name: str, text: str, lang: str | None = None) -> dict[str, object]:
        return {"name": name, "text": text, "lang": lang, "expect": "ok", "entropy": entropy}

    def refused(
        name: str, text: str, position: int | None, lang: str | None = None
    ) -> dict[str, object]:
        return {
            "name": name,
            "text": text,
            "lang": lang,
            "expect": "recovery_words",
            "position": position,
        }

    unaccented = plain.translate(str.maketrans("éèê", "eee"))
    decomposed = plain.replace("é", "e\u0301").replace("è", "e\u0300")
    return [
        read("as written", plain),
        read("as written, the language given", plain, "fr"),
        read("in English", " ".join(english)),
        read("without accents", unaccented),
        read("accents as marks of their own", decomposed),
        read("in capitals, numbered, one to a line", numbered),
        read("four letters each", " ".join(word[:4] for word in french)),
        read("with commas and hyphens", ", ".join(french[:6]) + " - " + "-".join(french[6:])),
        read("with no-break spaces", "\u00a0".join(french)),
        refused("eleven words", " ".join(french[:11]), None),
        refused("no words", "  ", None),
        refused("the third word is none", " ".join([*french[:2], "wagonnet", *french[3:]]), 3),
        refused("three letters of the last word", " ".join([*french[:11], french[11][:3]]), 12),
        refused("two words changed places", " ".join(swapped), None),
        refused("the other language", plain, 1, "en"),
        refused("the language of which fewer words are missing", mixed(english, french), 1),
        refused("the same in French", mixed(french, english), 1),
        refused("as many missing in both", " ".join(evenly), 1 + evenly.index(english[1])),
        refused("far more than 24 words", plain + " " * 4_096, None),
    ]


def _key_files(rng: random.Random) -> list[dict[str, object]]:
    secret, salt, nonce = rng.randbytes(32), rng.randbytes(16), rng.randbytes(12)
    cheap = keyfile.Cost(memory_kib=19 * 1024, passes=2, lanes=1)
    password = "clé de l'Épicerie"
    listed: list[dict[str, object]] = []

    def case(name: str, data: bytes, expect: str, typed: str = password, rule: str = "") -> None:
        entry: dict[str, object] = {"name": name, "password": typed, "bytes": data}
        entry["expect"] = expect
        if rule:
            entry["rule"] = rule
        listed.append(entry)

    sealed = keyfile.seal_key(
        secret, keyfile.password_bytes(password), salt=salt, nonce=nonce, cost=cheap
    )
    case("a key file", sealed, "ok")
    listed[-1]["secret"] = secret
    decomposed = password.replace("é", "e\u0301").replace(" ", "\u00a0")
    case("the password typed in another way", sealed, "ok", decomposed)
    listed[-1]["secret"] = secret
    default = keyfile.seal_key(secret, b"-", salt=salt, nonce=nonce)
    case("a key file at the usual cost", default, "ok", "-")
    listed[-1]["secret"] = secret
    case("no password", sealed, "local", "")
    case("a password of 1,025 bytes", sealed, "local", "p" * 1_025)
    case("a password of 513 characters, 1,026 bytes", sealed, "local", "\u00e9" * 513)
    case("a password of 1,024 bytes, another one", sealed, "wrong_password", "p" * 1_024)
    case("a password too long for a damaged file", b"", "local", "p" * 1_025)
    case("another password", sealed, "wrong_password", "cle de l'Epicerie")

    contents = encoding.decode(sealed, bytes_max=1024)
    assert isinstance(contents, dict)

    def changed(**fields: encoding.Value) -> bytes:
        altered = {**contents, **fields}
        del altered["check"]
        check = hashlib.sha256(encoding.encode(altered)).digest()[:8]
        return encoding.encode({**altered, "check": check})

    damaged = bytearray(sealed)
    damaged[-10] ^= 1
    case("one bit is damaged", bytes(damaged), "damaged_key_file", rule="check")
    case("it ends too early", sealed[:-1], "damaged_key_file", rule="truncated")
    case("it is empty", b"", "damaged_key_file", rule="empty")
    case("something follows", sealed + b"\0", "damaged_key_file", rule="trailing_bytes")
    case("another kind of file", encoding.encode({"v": 1}), "damaged_key_file", rule="kind")
    case("version 2", changed(v=2), "damaged_key_file", rule="version")
    case("a field too many", changed(more=1), "damaged_key_file", rule="fields")
    for name, fields in (
        ("1 TiB of memory", {"memory_kib": 2**30}),
        ("8 MiB of memory", {"memory_kib": 8192}),
        ("no passes", {"passes": 0}),
        ("a billion passes", {"passes": 10**9}),
        ("no lanes", {"lanes": 0}),
        ("a thousand lanes", {"lanes": 1000}),
        ("memory that is true", {"memory_kib": True}),
    ):
        case(name, changed(**fields), "damaged_key_file", rule="cost")
    case("a salt of 8 bytes", changed(salt=bytes(8)), "damaged_key_file", rule="salt")
    case("a nonce of 24 bytes", changed(nonce=bytes(24)), "damaged_key_file", rule="nonce")
    case("nothing sealed", changed(sealed=bytes(16)), "damaged_key_file", rule="sealed")
    case("the cost lowered by a stranger", changed(passes=1), "wrong_password")
    case("another salt", changed(salt=bytes(16)), "wrong_password")
    return listed


def vectors(rng: random.Random) -> dict[str, object]:
    return {
        "keys.json": {
            "spec": "02-identity",
            "about": "`signing`: the seed's key signs `message`, which is the purpose's prefix and"
            " `body`. `coops`: the id of a root key.",
            "signing": _signing(rng),
            "coops": _coops(rng),
        },
        "verification.json": {
            "spec": "02-identity",
            "about": "Whether `signature` by `public` counts over `message`, which carries its"
            " prefix already. `equation` tells what the two common equations say by themselves,"
            " without the rules on bytes; it explains the case and is no requirement.",
            "vectors": _verification(rng),
        },
        "words.json": {
            "spec": "02-identity",
            "about": "`derivation`: the same entropy in both languages, and its keys. `typed`:"
            " what a person may type (`lang` null: not said), and the position of the first word"
            " that cannot be read.",
            "derivation": _words(rng),
            "typed": _typed_words(rng),
        },
        "keyfile.json": {
            "spec": "02-identity",
            "about": "Opening `bytes` with `password` (as typed) gives `secret`, or the error that"
            " `expect` names.",
            "vectors": _key_files(rng),
        },
    }
