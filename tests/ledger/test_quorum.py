"""Claims about terms, committees and certificates (spec/06-blocks.md)."""

from __future__ import annotations

import itertools
import random

import pytest

from maillon.ledger import rounds, signing
from maillon.ledger.errors import BadCertificate, BadCommittee, NoQuorum
from maillon.ledger.limits import CERTIFICATE_BYTES_MAX, VOTE_QC_BYTES_MAX
from maillon.ledger.quorum import (
    ZERO_TERM,
    Certificate,
    Committee,
    Term,
    VoteQC,
    bitmap_places,
    decode_certificate,
    decode_refounding,
    decode_vote_qc,
    default_quorum,
    encode_refounding,
    faults,
    make_bitmap,
)
from maillon.protocol.errors import Malformed
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import INT_MAX, WITNESSES_MAX

RNG = random.Random(5)
KEYS = [SigningKey.from_seed(RNG.randbytes(32)) for _ in range(7)]
FED, CHAIN, BLOCK = RNG.randbytes(32), RNG.randbytes(32), RNG.randbytes(32)
TERM = Term(4, RNG.randbytes(16), KEYS[0].public)
COMMITTEE = Committee.of([key.public for key in KEYS])
AT = (2, CHAIN, 9, TERM, BLOCK)


def commits(*places: int) -> dict[bytes, bytes]:
    return {
        KEYS[place].public: rounds.Commit.sign(KEYS[place], FED, *AT).signature for place in places
    }


def votes(*places: int) -> dict[bytes, tuple[int, bytes]]:
    return {
        KEYS[place].public: (
            place + 1,
            rounds.Vote.sign(KEYS[place], FED, *AT, place + 1).signature,
        )
        for place in places
    }


@pytest.mark.parametrize("n", range(1, WITNESSES_MAX + 1))
def test_two_usual_quorums_share_an_honest_witness_and_the_silent_liars_stop_nothing(
    n: int,
) -> None:
    q, f = default_quorum(n), faults(n)
    # Of two sets of q among n at least 2q - n stand in both; f of these may lie.
    assert 2 * q - n >= f + 1
    assert q <= n - f
    # And no smaller quorum would do.
    assert 2 * (q - 1) - n < f + 1
    committee = Committee.of([bytes([i]) * 32 for i in range(n)])
    assert committee.quorum == q
    assert committee.liars_max >= f and committee.silent_max >= f
    assert committee.refusals + committee.quorum == n + 1


@pytest.mark.parametrize("n", range(1, 8))
def test_two_quorums_of_any_committee_meet(n: int) -> None:
    for q in range(n // 2 + 1, n + 1):
        committee = Committee(tuple(bytes([i]) * 32 for i in range(n)), q)
        sets = [set(each) for each in itertools.combinations(range(n), q)]
        shared = min(len(a & b) for a in sets for b in sets)
        assert shared == committee.liars_max + 1


def test_a_committee_without_common_members_too_large_or_with_a_key_twice_is_refused() -> None:
    keys = tuple(bytes([i]) * 32 for i in range(WITNESSES_MAX + 1))
    for members, q in (
        ((), 0),
        ((), 1),
        (keys[:4], 2),
        (keys[:4], 5),
        (keys[:2], 1),
        ((keys[0], keys[0], keys[1]), 2),
        (keys, 44),
    ):
        with pytest.raises(BadCommittee):
            Committee(members, q)


def test_terms_are_ordered_by_counter_then_nonce_then_key() -> None:
    a, b = bytes(32), b"\1" + bytes(31)
    low, high = bytes(16), b"\xff" * 16
    terms = [
        Term(counter, nonce, key) for counter in (1, 2) for nonce in (low, high) for key in (a, b)
    ]
    assert terms == sorted(terms)
    assert ZERO_TERM < terms[0]


def test_a_bitmap_names_the_places_it_was_made_of() -> None:
    rng = random.Random(8)
    for size in (1, 7, 8, 9, 64):
        for _ in range(20):
            places = sorted(rng.sample(range(size), rng.randrange(size + 1)))
            bitmap = make_bitmap(places, size)
            assert len(bitmap) == (size + 7) // 8
            assert bitmap_places(bitmap) == places
    # The first witness is the lowest bit of the first byte.
    assert make_bitmap([0, 9], 10) == b"\x01\x02"
    for place in (-1, 10):
        with pytest.raises(IndexError):
            make_bitmap([place], 10)


def test_a_certificate_is_made_of_the_first_quorum_whatever_the_order_of_arrival() -> None:
    gathered = commits(6, 5, 4, 3, 2, 0)
    shuffled = dict(reversed(gathered.items()))
    stranger = SigningKey.from_seed(bytes(32))
    shuffled[stranger.public] = rounds.Commit.sign(stranger, FED, *AT).signature
    certificate = Certificate.gather(COMMITTEE, *AT, gathered)
    assert Certificate.gather(COMMITTEE, *AT, shuffled) == certificate
    assert bitmap_places(certificate.bitmap) == [0, 2, 3, 4, 5]
    certificate.verify(COMMITTEE, FED, signing.inline_verify)
    assert decode_certificate(certificate.encode()) == certificate
    assert certificate.signers(COMMITTEE) == [KEYS[place].public for place in (0, 2, 3, 4, 5)]


def test_votes_carry_each_witness_its_own_counter() -> None:
    found = VoteQC.gather(COMMITTEE, *AT, votes(1, 2, 3, 4, 6))
    assert found.counters == (2, 3, 4, 5, 7)
    found.verify(COMMITTEE, FED, signing.inline_verify)
    assert decode_vote_qc(found.encode()) == found


def test_fewer_than_a_quorum_make_no_certificate() -> None:
    with pytest.raises(NoQuorum) as caught:
        Certificate.gather(COMMITTEE, *AT, commits(0, 1, 2, 3))
    assert (caught.value.got, caught.value.needed) == (4, 5)
    with pytest.raises(NoQuorum):
        VoteQC.gather(COMMITTEE, *AT, votes(0, 1, 2, 3))


def test_the_witness_whose_signature_fails_is_named() -> None:
    gathered = commits(0, 1, 2, 3, 4)
    gathered[KEYS[3].public] = bytes(64)
    with pytest.raises(BadCertificate) as caught:
        Certificate.gather(COMMITTEE, *AT, gathered).verify(COMMITTEE, FED, signing.inline_verify)
    assert caught.value.witness == KEYS[3].public


def test_a_certificate_of_one_committee_is_none_of_another() -> None:
    certificate = Certificate.gather(COMMITTEE, *AT, commits(0, 1, 2, 3, 4))
    reordered = Committee.of([key.public for key in reversed(KEYS)])
    with pytest.raises(BadCertificate):
        certificate.verify(reordered, FED, signing.inline_verify)
    for other in ([key.public for key in KEYS[:6]], [key.public for key in KEYS[:4]]):
        with pytest.raises((BadCertificate, NoQuorum)):
            certificate.verify(Committee(tuple(other), len(other)), FED, signing.inline_verify)


def test_all_signatures_are_verified_in_one_batch() -> None:
    sizes: list[int] = []

    def verify(checks: object) -> list[bool]:
        assert isinstance(checks, list)
        sizes.append(len(checks))  # pyright: ignore[reportUnknownArgumentType]  # of any type
        return [True] * sizes[-1]

    Certificate.gather(COMMITTEE, *AT, commits(0, 1, 2, 3, 4)).verify(COMMITTEE, FED, verify)
    assert sizes == [5]


def test_the_largest_committee_fits_the_bounds() -> None:
    term = Term(INT_MAX, b"\xff" * 16, b"\xff" * 32)
    everyone = (b"\xff" * 64,) * WITNESSES_MAX
    at = (INT_MAX, CHAIN, INT_MAX, term, BLOCK, b"\xff" * 8, everyone)
    assert len(Certificate(*at).encode()) <= CERTIFICATE_BYTES_MAX
    assert len(VoteQC(*at, (INT_MAX,) * WITNESSES_MAX).encode()) <= VOTE_QC_BYTES_MAX


def test_the_signatures_of_a_refounding_are_kept_by_coop_and_none_twice() -> None:
    signatures = {bytes([i]) * 32: bytes([i]) * 64 for i in (3, 1, 2)}
    data = encode_refounding(signatures)
    assert decode_refounding(data) == signatures
    assert list(decode_refounding(data)) == sorted(signatures)
    pair = data[1:].split(b"\x92")[1]
    for spoilt in (b"\x90", b"\x92" + 2 * (b"\x92" + pair), data[:-1]):
        with pytest.raises(Malformed):
            decode_refounding(spoilt)
