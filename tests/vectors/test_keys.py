"""Run the vectors of spec/02 against the code, with every verifier at hand."""

from __future__ import annotations

import hmac
from typing import Any, cast, get_args

import pytest
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_decrypt
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey as NaClPrivateKey
from nacl.pwhash import argon2id
from nacl.signing import SigningKey as NaClSigningKey
from nacl.signing import VerifyKey

from maillon.protocol import encoding, keyfile, keys, words
from maillon.protocol.errors import BadKey, LocalError, WordsError
from support import ed25519_ref
from support.vectors import cases, load


def libsodium(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public).verify(message, signature)
    except (CryptoError, ValueError):
        return False
    return True


BACKENDS = {
    "openssl": keys.cryptography_backend,
    "libsodium": libsodium,
    "plain": ed25519_ref.cofactorless,
}


@pytest.mark.parametrize("vector", cases("keys.json", "signing"))
def test_signing_gives_the_bytes_of_the_vector(vector: dict[str, str]) -> None:
    key = keys.SigningKey.from_seed(bytes.fromhex(vector["seed"]))
    body = bytes.fromhex(vector["body"])
    assert key.public.hex() == vector["public"]
    assert keys.signing_bytes(vector["purpose"], body).hex() == vector["message"]
    assert key.sign(vector["purpose"], body).hex() == vector["signature"]
    keys.verify(key.public, vector["purpose"], body, bytes.fromhex(vector["signature"]))


@pytest.mark.parametrize("vector", cases("keys.json", "signing"))
def test_libsodium_makes_the_same_signature_of_the_same_seed(vector: dict[str, str]) -> None:
    signed = NaClSigningKey(bytes.fromhex(vector["seed"])).sign(bytes.fromhex(vector["message"]))
    assert signed.signature.hex() == vector["signature"]


@pytest.mark.parametrize("vector", cases("keys.json", "coops"))
def test_the_id_of_a_coop_follows_from_its_root(vector: dict[str, str]) -> None:
    assert keys.coop_id(bytes.fromhex(vector["root"])).hex() == vector["coop"]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
@pytest.mark.parametrize("vector", cases("verification.json"))
def test_every_verifier_under_the_rule_answers_what_the_vector_expects(
    vector: dict[str, str], backend: keys.Backend
) -> None:
    public, message, signature = (
        bytes.fromhex(vector[part]) for part in ("public", "message", "signature")
    )
    counts = keys.signature_ok(public, message, signature, backend)
    assert counts is (vector["expect"] == "ok")
    assert keys.key_ok(public) is (vector["expect"] != "bad_key")


@pytest.mark.parametrize("vector", cases("verification.json"))
def test_the_rules_on_bytes_say_no_to_what_breaks_them_and_to_nothing_else(
    vector: dict[str, str],
) -> None:
    public, signature = (bytes.fromhex(vector[part]) for part in ("public", "signature"))
    on_bytes = {"length", "small_order_a", "canonical_a", "small_order_r", "canonical_r", "s_range"}
    assert keys.strict_encodings_ok(public, signature) is (vector["rule"] not in on_bytes)


def test_without_the_rules_on_bytes_verifiers_would_differ() -> None:
    # What makes the rule necessary. Should this fail, a library has changed its mind: look again.
    differing: set[str] = set()
    for vector in load("verification.json")["vectors"]:
        parts = [bytes.fromhex(vector[part]) for part in ("public", "message", "signature")]
        if keys.cryptography_backend(*parts) != libsodium(*parts):
            differing.add(vector["rule"])
    assert differing == {"small_order_a", "small_order_r"}


def test_each_rule_of_verification_has_a_vector_that_the_equation_alone_would_let_through() -> None:
    fooled: set[str] = set()
    rules: set[str] = set()
    for vector in load("verification.json")["vectors"]:
        rules.add(vector["rule"])
        if vector["expect"] != "ok" and vector.get("equation", {}).get("cofactored"):
            fooled.add(vector["rule"])
    assert rules == {
        *("valid", "equation", "length", "s_range", "small_order_a", "small_order_r"),
        *("canonical_a", "canonical_r", "mixed_order", "cofactor"),
    }
    # No signature can be made for a second writing of a point that is not of small order: nobody
    # knows the logarithm of such a point.
    assert fooled == {"s_range", "small_order_a", "small_order_r", "cofactor"}


@pytest.mark.parametrize("vector", cases("words.json", "derivation"))
def test_words_and_keys_follow_from_the_entropy(vector: dict[str, str]) -> None:
    entropy = bytes.fromhex(vector["entropy"])
    for lang in get_args(words.Language):
        assert " ".join(words.to_words(entropy, lang)) == vector[lang]
        assert words.from_words(vector[lang]) == entropy
        assert words.from_words(vector[lang], lang) == entropy
    signing, sealing = words.derive(entropy)
    assert signing.secret_bytes().hex() == vector["signing_seed"]
    assert signing.public.hex() == vector["signing_public"]
    assert sealing.secret_bytes().hex() == vector["sealing_secret"]
    assert sealing.public.hex() == vector["sealing_public"]


@pytest.mark.parametrize("vector", cases("words.json", "derivation"))
def test_the_keys_follow_by_plain_hmac_and_libsodium_as_well(vector: dict[str, str]) -> None:
    # RFC 5869: extract with a salt of zeros, expand by one block.
    extracted = hmac.digest(bytes(32), bytes.fromhex(vector["entropy"]), "sha256")
    seed = hmac.digest(extracted, b"maillon/1/sign\x01", "sha256")
    secret = hmac.digest(extracted, b"maillon/1/seal\x01", "sha256")
    assert (seed.hex(), secret.hex()) == (vector["signing_seed"], vector["sealing_secret"])
    assert NaClSigningKey(seed).verify_key.encode().hex() == vector["signing_public"]
    assert NaClPrivateKey(secret).public_key.encode().hex() == vector["sealing_public"]


@pytest.mark.parametrize("vector", cases("words.json", "typed"))
def test_typed_words_are_read_or_their_position_is_told(vector: dict[str, Any]) -> None:
    if vector["expect"] == "ok":
        assert words.from_words(vector["text"], vector["lang"]).hex() == vector["entropy"]
    else:
        with pytest.raises(WordsError) as caught:
            words.from_words(vector["text"], vector["lang"])
        assert (caught.value.code, caught.value.position) == (vector["expect"], vector["position"])


@pytest.mark.parametrize("vector", cases("keyfile.json"))
def test_opening_a_key_file_answers_what_the_vector_expects(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] == "ok":
        password = keyfile.password_bytes(vector["password"])
        assert keyfile.open_key(data, password).hex() == vector["secret"]
        return
    with pytest.raises(LocalError) as caught:
        keyfile.open_key(data, keyfile.password_bytes(vector["password"]))
    assert caught.value.code == vector["expect"]
    if "rule" in vector:
        assert caught.value.rule == vector["rule"]


def test_libsodium_opens_the_key_file_of_the_vectors() -> None:
    # libsodium's Argon2id has one lane, as has this file.
    vector = load("keyfile.json")["vectors"][0]
    contents = encoding.decode(bytes.fromhex(vector["bytes"]), bytes_max=1_024)
    assert isinstance(contents, dict) and contents["lanes"] == 1
    parts = {name: cast(Any, value) for name, value in contents.items()}
    key = argon2id.kdf(
        32,
        vector["password"].encode(),
        parts["salt"],
        opslimit=parts["passes"],
        memlimit=parts["memory_kib"] * 1_024,
    )
    public = {name: contents[name] for name in contents if name not in ("check", "sealed")}
    secret = crypto_aead_chacha20poly1305_ietf_decrypt(
        parts["sealed"], encoding.encode(public), parts["nonce"], key
    )
    assert secret.hex() == vector["secret"]


def test_a_key_of_small_order_is_named_as_such_when_it_decides_something() -> None:
    for encoded in keys.SMALL_ORDER_ENCODINGS:
        with pytest.raises(BadKey):
            keys.verify(encoded, "record", b"", bytes(64))
