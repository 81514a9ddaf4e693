"""Claims about maillon.protocol.keys that single vectors cannot make."""

from __future__ import annotations

import copy
import logging
import pickle
import random
import traceback

import pytest
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from maillon.protocol import keys
from maillon.protocol.errors import BadKey, BadSecret, BadSignature, MaillonError
from support import ed25519_ref as curve

SEED = bytes(range(32))
RANDOM_SEED = 20_240_607


def libsodium(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public).verify(message, signature)
    except (CryptoError, ValueError):
        return False
    return True


def test_the_small_order_encodings_are_all_those_of_the_eight_torsion_points() -> None:
    points = curve.torsion()
    # Every 32 bytes that a lenient reader takes for one of them: y mod p fits, and y < 2^255.
    ys = {int.from_bytes(curve.encode(point), "little") & ~(1 << 255) for point in points}
    assert len(ys) == 5
    written = {y + extra for y in ys for extra in (0, curve.P) if y + extra < 1 << 255}
    expected = {(y | sign << 255).to_bytes(32, "little") for y in written for sign in (0, 1)}
    assert expected == keys.SMALL_ORDER_ENCODINGS
    for encoded in expected:
        point = curve.decode(encoded)
        assert point is not None
        assert curve.same(curve.multiply(8, point), curve.IDENTITY)


def test_a_signature_counts_for_its_purpose_body_and_key_only() -> None:
    key, other = keys.SigningKey.from_seed(SEED), keys.SigningKey.from_seed(SEED[::-1])
    signature = key.sign("record", b"body")
    keys.verify(key.public, "record", b"body", signature)
    for public, purpose, body in (
        (other.public, "record", b"body"),
        (key.public, "founding", b"body"),
        (key.public, "record", b"bodY"),
        (key.public, "recor", b"d\0body"),
    ):
        with pytest.raises(BadSignature):
            keys.verify(public, purpose, body, signature)


def test_no_two_pairs_of_purpose_and_body_are_signed_as_the_same_bytes() -> None:
    pairs = [("a", b""), ("a", b"\0"), ("a", b"b"), ("ab", b""), ("a/b", b""), ("a", b"/b")]
    assert len({keys.signing_bytes(*pair) for pair in pairs}) == len(pairs)
    assert keys.signing_bytes("record", b"x") == b"maillon/1/record\0x"


@pytest.mark.parametrize("purpose", ["", "a\0b", "Record", "é", "re cord", "a" * 33])
def test_a_purpose_that_could_be_mistaken_is_refused(purpose: str) -> None:
    with pytest.raises(ValueError, match="purpose"):
        keys.signing_bytes(purpose, b"")


def test_the_backend_is_never_asked_about_bytes_that_break_the_rule() -> None:
    asked: list[bytes] = []

    def credulous(public: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(public)
        return True

    key = keys.SigningKey.from_seed(SEED)
    signature = key.sign("record", b"")
    with pytest.raises(BadKey):
        keys.verify(bytes(32), "record", b"", signature, backend=credulous)
    with pytest.raises(BadSignature):
        keys.verify(key.public, "record", b"", signature[:32] + b"\xff" * 32, backend=credulous)
    assert asked == []
    keys.verify(key.public, "record", b"", signature, backend=credulous)
    assert asked == [key.public]


def test_both_libraries_and_plain_arithmetic_agree_on_hostile_signatures() -> None:
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    torsion = curve.torsion()
    edges = sorted(keys.SMALL_ORDER_ENCODINGS) + [
        (curve.P + offset).to_bytes(32, "little") for offset in range(-3, 19)
    ]
    counted = 0
    for _ in range(120):
        secret = rng.randrange(curve.L)
        key_torsion, r_torsion = (rng.choice((torsion[0], rng.choice(torsion))) for _ in range(2))
        public = curve.encode(curve.add(curve.multiply(secret, curve.BASE), key_torsion))
        nonce = rng.choice((0, 1, rng.randrange(curve.L), rng.randrange(curve.L)))
        r = curve.encode(curve.add(curve.multiply(nonce, curve.BASE), r_torsion))
        if rng.random() < 0.1:
            r = rng.choice(edges)
        if rng.random() < 0.1:
            public = rng.choice(edges)
        message = rng.randbytes(rng.randrange(40))
        s = (nonce + curve.challenge(r, public, message) * secret) % curve.L
        s += rng.choice((0, 0, 0, curve.L))
        signature = r + s.to_bytes(32, "little")
        answers = {
            keys.signature_ok(public, message, signature, backend)
            for backend in (keys.cryptography_backend, libsodium, curve.cofactorless)
        }
        assert len(answers) == 1, (public.hex(), message.hex(), signature.hex())
        counted += answers.pop()
    # Both answers occur, or the agreement would say nothing.
    assert 10 < counted < 110


def test_both_libraries_agree_on_honest_signatures_and_on_one_changed_bit() -> None:
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    for _ in range(100):
        key = keys.SigningKey.from_seed(rng.randbytes(32))
        message = rng.randbytes(rng.randrange(200))
        signature = key.sign("record", message)
        signed = keys.signing_bytes("record", message)
        bit = rng.randrange(512)
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        for backend in (keys.cryptography_backend, libsodium):
            assert keys.signature_ok(key.public, signed, signature, backend)
            assert not keys.signature_ok(key.public, signed, bytes(changed), backend)


@pytest.mark.parametrize("kind", [keys.SigningKey, keys.SealingKey])
def test_nothing_that_prints_or_copies_a_key_shows_its_secret(
    kind: type[keys.SigningKey] | type[keys.SealingKey], caplog: pytest.LogCaptureFixture
) -> None:
    key = kind.from_seed(SEED)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r", key, {"key": key})
    try:
        raise MaillonError("failed", key=key)
    except MaillonError as error:
        shown = [repr(error), str(error), "".join(traceback.format_exception(error))]
    shown += [repr(key), str(key), f"{key}", f"{key!r}", f"{[key]}", caplog.text, repr(key.public)]
    for text in shown:
        assert SEED.hex() not in text.lower()
        assert repr(SEED)[2:-1] not in text
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret") as caught:
            copying(key)
        assert SEED.hex() not in str(caught.value)
    assert not hasattr(key, "__dict__")
    # On purpose, and only so:
    assert key.secret_bytes() == SEED


@pytest.mark.parametrize("kind", [keys.SigningKey, keys.SealingKey])
@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_seed_of_another_length_is_refused_without_being_shown(
    kind: type[keys.SigningKey] | type[keys.SealingKey], length: int
) -> None:
    with pytest.raises(BadSecret) as caught:
        kind.from_seed(b"\xab" * length)
    assert "abab" not in repr(caught.value) + str(caught.value)


def test_keys_are_equal_when_their_public_halves_are_and_never_across_kinds() -> None:
    assert keys.SigningKey.from_seed(SEED) == keys.SigningKey.from_seed(SEED)
    assert len({keys.SealingKey.from_seed(SEED), keys.SealingKey.from_seed(SEED)}) == 1
    assert keys.SigningKey.from_seed(SEED) != keys.SigningKey.from_seed(SEED[::-1])
    assert keys.SigningKey.from_seed(SEED) != keys.SealingKey.from_seed(SEED)


def test_two_sealing_keys_agree_and_a_small_order_one_is_refused() -> None:
    one, two = keys.SealingKey.from_seed(SEED), keys.SealingKey.from_seed(SEED[::-1])
    assert one.exchange(two.public) == two.exchange(one.public)
    for public in (bytes(32), b"\x01" + bytes(31), b"", b"\x09" * 31):
        with pytest.raises(BadKey):
            one.exchange(public)
