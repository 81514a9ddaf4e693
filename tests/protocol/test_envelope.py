"""Records in and out of bytes (spec/03, "A record")."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.envelope import (
    Draft,
    Signed,
    decode_record,
    draft,
    record_id,
    sign,
    signed_message,
)
from maillon.protocol.errors import (
    BodyMismatch,
    EncodingError,
    LocalError,
    Malformed,
    RemoteError,
    WrongVersion,
)
from maillon.protocol.limits import HEADER_BYTES_MAX, RECORD_BYTES_MAX, REFS_MAX
from maillon.protocol.records import tag
from support.strategies import records_strategy
from support.world import World

W = World(seed="envelope")
ALICE = W.make_member(0, "alice")
OFFER = W.offer(ALICE)


@settings(max_examples=50)
@given(records_strategy())
def test_a_record_reads_back_as_it_was_written(signed: Signed) -> None:
    data = signed.encode()
    assert decode_record(data) == signed
    assert decode_record(data).encode() == data
    assert record_id(data) == signed.id == hashlib.sha256(signed.header_bytes).digest()


@settings(max_examples=50)
@given(records_strategy())
def test_the_frame_and_the_header_are_ordinary_canonical_arrays(signed: Signed) -> None:
    parts: list[Value] = [signed.header_bytes, signed.signature, signed.payload_bytes or b""]
    assert signed.encode() == encode(parts)
    header = decode(signed.header_bytes, bytes_max=HEADER_BYTES_MAX)
    assert isinstance(header, list) and len(header) == 13
    assert header[1] == signed.header.kind and header[7] == signed.header.series


@settings(max_examples=200)
@given(st.integers(0, len(OFFER.encode()) - 1), st.integers(1, 255))
def test_any_other_byte_makes_another_record_or_none(at: int, change: int) -> None:
    data = bytearray(OFFER.encode())
    data[at] ^= change
    try:
        other = decode_record(bytes(data))
    except RemoteError:
        return
    # Only the header and the signature can change on their own, and each shows.
    assert other != OFFER
    assert other.encode() == bytes(data)


@pytest.mark.parametrize("size", range(0, len(OFFER.encode())))
def test_every_beginning_of_a_record_is_refused(size: int) -> None:
    with pytest.raises(Malformed):
        decode_record(OFFER.encode()[:size])


def test_a_record_without_its_payload_keeps_its_id_and_signature() -> None:
    erased = decode_record(OFFER.without_payload().encode())
    assert (erased.id, erased.signature, erased.header) == (OFFER.id, OFFER.signature, OFFER.header)
    assert erased.payload is None and erased.payload_bytes is None
    assert signed_message(erased) == signed_message(OFFER)


def test_the_longest_record_fits_the_bound() -> None:
    payload: dict[str, Value] = {"salt": bytes(16), "filler": [b"x" * 8_000, b"x" * 8_300]}
    refs = [W.derive(f"ref {at}", 32) for at in range(REFS_MAX)]
    signed = W.record("poem", payload, coop=ALICE.coop, by=ALICE.key, refs=refs, as_=bytes(32))
    assert len(signed.encode()) <= RECORD_BYTES_MAX
    assert decode_record(signed.encode()) == signed


def test_another_version_is_named_whatever_follows() -> None:
    frame = encode([encode([2, {"all": "different"}]), bytes(64), b"\x80"])
    with pytest.raises(WrongVersion) as caught:
        decode_record(frame)
    assert caught.value.got == 2


def test_a_payload_of_another_record_is_refused_with_what_was_expected() -> None:
    other = W.offer(ALICE, "Another one")
    mixed = dataclasses.replace(OFFER, payload_bytes=other.payload_bytes)
    with pytest.raises(BodyMismatch):
        decode_record(mixed.encode())


def test_signing_with_another_key_than_the_header_names_is_our_own_mistake() -> None:
    wanted = W.draft("offer", dict(OFFER.payload or {}), coop=ALICE.coop, by=ALICE.key)
    with pytest.raises(LocalError):
        sign(wanted, W.key("somebody else"))


def test_a_payload_changed_after_drafting_is_our_own_mistake() -> None:
    wanted = W.draft("offer", dict(OFFER.payload or {}), coop=ALICE.coop, by=ALICE.key)
    with pytest.raises(LocalError):
        sign(Draft(wanted.header, {**wanted.payload, "title": "Another"}), ALICE.key)


def test_a_payload_that_has_no_encoding_is_refused_before_anything_is_signed() -> None:
    for bad in (None, 1.5, "e\u0301"):
        with pytest.raises(EncodingError):
            W.draft("offer", {"salt": bad}, coop=ALICE.coop, by=ALICE.key)  # type: ignore[dict-item]


def test_drafting_stamps_the_series_with_the_tag_of_the_kind() -> None:
    series = bytes(range(16))
    made = W.draft("offer", {"salt": bytes(16)}, coop=ALICE.coop, by=ALICE.key, series=series)
    assert made.header.series == tag("offer") + series[2:]
    again = W.draft(
        "offer", {"salt": bytes(16)}, coop=ALICE.coop, by=ALICE.key, series=made.header.series
    )
    assert again.header.series == made.header.series
    end = W.withdrawal(OFFER, ALICE.key, ALICE.coop)
    assert end.header.series == OFFER.header.series


def test_a_payload_without_what_its_series_derives_from_is_drafted_to_be_refused_later() -> None:
    for bad in ({"salt": bytes(16)}, {"salt": bytes(16), "person": 7, "key": "x"}):
        made = draft(
            "membership", bad, fed=W.founding.fed, coop=ALICE.coop.id,  # type: ignore[arg-type]
            by=ALICE.coop.node.public, at=0, until=1,
        )  # fmt: skip
        assert made.header.series[:2] == tag("membership")
