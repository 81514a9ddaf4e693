"""Claims about maillon.protocol.keyfile that single vectors cannot make."""

from __future__ import annotations

import tracemalloc

import pytest

from maillon.protocol import encoding, keyfile
from maillon.protocol.errors import BadSecret, DamagedKeyFile, LocalError, WrongPassword

CHEAP = keyfile.Cost(memory_kib=19 * 1024, passes=1, lanes=1)
SECRET = b"\x42" * 32
SALT, NONCE = bytes(16), bytes(12)


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return keyfile.seal_key(SECRET, b"password", salt=SALT, nonce=NONCE, cost=CHEAP)


def test_the_secret_comes_back_and_is_not_in_the_file(sealed: bytes) -> None:
    assert keyfile.open_key(sealed, b"password") == SECRET
    assert SECRET[:8] not in sealed
    assert b"password" not in sealed


def test_every_changed_byte_is_noticed_before_anything_is_spent(sealed: bytes) -> None:
    for place in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[place] ^= 0x01
        with pytest.raises(DamagedKeyFile):
            keyfile.open_key(bytes(damaged), b"password")


def test_every_beginning_of_a_key_file_is_a_damaged_one(sealed: bytes) -> None:
    for end in range(len(sealed)):
        with pytest.raises(DamagedKeyFile):
            keyfile.open_key(sealed[:end], b"password")


def test_a_wrong_password_tells_nothing_of_the_secret(sealed: bytes) -> None:
    with pytest.raises(WrongPassword) as caught:
        keyfile.open_key(sealed, b"Password")
    assert "42" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_another_salt_or_nonce_seals_to_other_bytes(sealed: bytes) -> None:
    again = keyfile.seal_key(SECRET, b"password", salt=SALT, nonce=b"\x01" * 12, cost=CHEAP)
    other = keyfile.seal_key(SECRET, b"password", salt=b"\x01" * 16, nonce=NONCE, cost=CHEAP)
    seals: set[str] = set()
    for data in (sealed, again, other):
        contents = encoding.decode(data, bytes_max=1024)
        assert isinstance(contents, dict)
        seals.add(repr(contents["sealed"]))
    assert len(seals) == 3


def test_the_usual_cost_is_64_mib_3_passes_4_lanes_as_rfc_9106_recommends() -> None:
    assert keyfile.DEFAULT_COST == keyfile.Cost(memory_kib=64 * 1024, passes=3, lanes=4)
    assert keyfile.DEFAULT_COST.within_bounds()


def test_a_hostile_file_is_refused_without_its_memory_being_taken() -> None:
    hostile = encoding.encode({"kind": "maillon_key", "v": 1, "memory_kib": 2**40})
    tracemalloc.start()
    try:
        with pytest.raises(DamagedKeyFile):
            keyfile.open_key(hostile, b"password")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    "cost",
    [
        keyfile.Cost(memory_kib=1024),
        keyfile.Cost(memory_kib=2**31),
        keyfile.Cost(passes=0),
        keyfile.Cost(passes=17),
        keyfile.Cost(lanes=0),
        keyfile.Cost(lanes=17),
    ],
)
def test_nothing_is_sealed_at_a_cost_that_no_reader_pays(cost: keyfile.Cost) -> None:
    with pytest.raises(LocalError):
        keyfile.seal_key(SECRET, b"password", salt=SALT, nonce=NONCE, cost=cost)


@pytest.mark.parametrize("secret", [b"", b"\x42" * 257])
def test_a_secret_of_impossible_length_is_refused_without_being_shown(secret: bytes) -> None:
    with pytest.raises(BadSecret) as caught:
        keyfile.seal_key(secret, b"password", salt=SALT, nonce=NONCE, cost=CHEAP)
    assert "4242" not in repr(caught.value)


def test_salt_and_nonce_of_other_lengths_are_refused() -> None:
    for salt, nonce in ((bytes(8), NONCE), (SALT, bytes(24))):
        with pytest.raises(LocalError):
            keyfile.seal_key(SECRET, b"password", salt=salt, nonce=nonce, cost=CHEAP)


def test_a_password_is_the_same_from_every_keyboard() -> None:
    assert keyfile.password_bytes("clé à part") == "clé à part".encode()
    assert keyfile.password_bytes("cle\u0301 a\u0300\u00a0part") == "clé à part".encode()
    # Not folded further: capitals and accents are part of a password.
    assert keyfile.password_bytes("Cle a part") != keyfile.password_bytes("clé à part")


@pytest.mark.parametrize("password", ["", "x" * 1025, "\ud800"])
def test_an_impossible_password_is_refused_without_being_shown(password: str) -> None:
    with pytest.raises(LocalError) as caught:
        keyfile.password_bytes(password)
    assert "xx" not in repr(caught.value)


def test_an_empty_password_seals_and_opens_nothing(sealed: bytes) -> None:
    with pytest.raises(LocalError):
        keyfile.seal_key(SECRET, b"", salt=SALT, nonce=NONCE, cost=CHEAP)
    with pytest.raises(LocalError):
        keyfile.open_key(sealed, b"")
