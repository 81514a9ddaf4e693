"""Claims about maillon.protocol.gossip."""

from __future__ import annotations

import random

import pytest

from maillon.protocol import gossip
from maillon.protocol.errors import EncodingError, TooLarge
from maillon.protocol.limits import ARRAY_ITEMS_MAX, BATCH_BYTES_MAX, RECORD_BYTES_MAX

RANDOM_SEED = 20_240_609


def test_records_come_out_as_they_went_in_whatever_their_sizes() -> None:
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    for _ in range(40):
        records = [
            rng.randbytes(rng.choice((1, 255, 256, 600, RECORD_BYTES_MAX, rng.randint(1, 2_000))))
            for _ in range(rng.randrange(200))
        ]
        messages = gossip.encode_batches(records)
        assert all(len(message) <= BATCH_BYTES_MAX for message in messages)
        taken_apart = [gossip.decode_batch(message) for message in messages]
        assert [record for batch in taken_apart for record in batch] == records


def test_a_message_is_filled_to_the_last_byte_and_no_further() -> None:
    # 3 records with headers of 3 bytes, one of 60 bytes with a header of 2, and 5 bytes of framing.
    sizes = [RECORD_BYTES_MAX] * 3
    sizes.append(BATCH_BYTES_MAX - 5 - sum(size + 3 for size in sizes) - 3)
    assert 256 <= sizes[-1] <= RECORD_BYTES_MAX
    [message] = gossip.encode_batches([bytes(size) for size in sizes])
    # The list of four takes a short header, for which three bytes had been counted.
    assert len(message) == BATCH_BYTES_MAX - 2
    assert len(gossip.encode_batches([*(bytes(size) for size in sizes), b"\0"])) == 2


def test_many_small_records_stay_within_the_items_of_an_array() -> None:
    messages = gossip.encode_batches([b"\x01"] * (2 * ARRAY_ITEMS_MAX + 1))
    assert [len(gossip.decode_batch(message)) for message in messages] == [
        ARRAY_ITEMS_MAX,
        ARRAY_ITEMS_MAX,
        1,
    ]


def test_no_records_make_no_message() -> None:
    assert gossip.encode_batches([]) == []


@pytest.mark.parametrize("length", [0, RECORD_BYTES_MAX + 1])
def test_a_record_that_no_reader_accepts_is_not_sent(length: int) -> None:
    with pytest.raises(EncodingError):
        gossip.encode_batches([b"good", bytes(length)])


def test_a_message_longer_than_its_bound_is_refused_unread() -> None:
    with pytest.raises(TooLarge) as caught:
        gossip.decode_batch(b"\xc1" * (BATCH_BYTES_MAX + 1))
    assert caught.value.rule == "total_length"


def test_two_federations_have_two_topics() -> None:
    assert gossip.topic(bytes(32)) != gossip.topic(b"\x01" + bytes(31))
    assert gossip.topic(bytes(32)) == "maillon/1/" + "0" * 32 + "/records"
