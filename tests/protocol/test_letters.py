"""Claims about letters that the vectors do not make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.protocol.errors import BadKey, CannotOpen, EncodingError, LifetimeTooLong
from maillon.protocol.keys import SEALING_BYTES, SealingKey, seal_to
from maillon.protocol.letters import (
    ITEM_APP,
    ITEM_ATTESTATION,
    ITEM_STEP,
    Item,
    Letter,
    decode_letter,
    open_letter,
    plaintext,
    seal,
)
from maillon.protocol.limits import (
    LETTER_BYTES_MAX,
    LETTER_HEADER_BYTES_MAX,
    LETTER_ITEMS_MAX,
    LETTER_LIFETIME_S_MAX,
    LETTER_PADDING_BYTES,
    RECORD_BYTES_MAX,
)
from support import hpke_reference

KEY, OTHER = SealingKey.from_seed(b"k" * 32), SealingKey.from_seed(b"o" * 32)
AT = 1_800_000_000


def letter(*items: Item, until: int = AT + 60, to_key: bytes = KEY.public) -> Letter:
    return seal(
        fed=b"f" * 32, from_coop=b"a" * 32, to_coop=b"b" * 32, to_key=to_key, thread=b"t" * 16,
        n=0, at=AT, until=until, items=items or (Item(ITEM_STEP, b"a step"),),
    )  # fmt: skip


# --- HPKE ---------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.binary(max_size=300))
def test_the_library_and_the_reference_open_what_the_other_sealed(
    ephemeral: bytes, info: bytes, plain: bytes
) -> None:
    theirs = hpke_reference.seal(KEY.public, info, plain, ephemeral=ephemeral)
    assert len(theirs) == len(plain) + SEALING_BYTES
    assert KEY.open(theirs, info) == plain
    assert hpke_reference.open_sealed(seal_to(KEY.public, info, plain), info, KEY) == plain


@given(st.data())
def test_what_was_changed_anywhere_or_is_for_somebody_else_does_not_open(
    data: st.DataObject,
) -> None:
    sealed = seal_to(KEY.public, b"info", b"a secret")
    place = data.draw(st.integers(0, len(sealed) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(sealed)
    changed[place] ^= 1 << bit
    # X25519 ignores the highest bit of a public key (RFC 7748); HPKE binds its bytes all the same.
    for wrong, info, key in (
        (bytes(changed), b"info", KEY),
        (sealed, b"other info", KEY),
        (sealed, b"info", OTHER),
        (sealed[:-1], b"info", KEY),
        (sealed[:47], b"info", KEY),
        (bytes(32) + sealed[32:], b"info", KEY),
        (b"", b"info", KEY),
    ):
        with pytest.raises(CannotOpen) as caught:
            key.open(wrong, info)
        assert b"secret" not in repr(caught.value).encode()


def test_nothing_is_sealed_to_what_is_no_key() -> None:
    for public in (bytes(32), b"k" * 31, (1).to_bytes(32, "little")):
        with pytest.raises(BadKey):
            seal_to(public, b"", b"")


# --- letters ------------------------------------------------------------------------------------


@given(
    st.lists(
        st.one_of(
            st.builds(Item, st.sampled_from([1, 2, 4]), st.binary(min_size=1, max_size=900)),
            st.builds(
                Item, st.just(ITEM_ATTESTATION), st.binary(min_size=1, max_size=900),
                st.integers(0, 2**53 - 1),
            ),
        ),
        min_size=1,
        max_size=LETTER_ITEMS_MAX,
    )
)
def test_a_letter_holds_what_was_put_into_it_and_shows_only_steps_of_512_bytes(
    items: list[Item],
) -> None:
    made = letter(*items)
    data = made.encode()
    assert decode_letter(data) == made and len(data) <= LETTER_BYTES_MAX
    assert len(made.header_bytes) <= LETTER_HEADER_BYTES_MAX
    assert open_letter(made, KEY) == tuple(items)
    assert (len(made.sealed) - SEALING_BYTES) % LETTER_PADDING_BYTES == 0


@given(st.integers(1, 3_000))
def test_padding_takes_as_little_as_it_can(length: int) -> None:
    plain = plaintext((Item(ITEM_APP, bytes(length)),))
    assert len(plain) % LETTER_PADDING_BYTES == 0
    # At most 11 bytes say what there is; only where 256 are missing another step is taken.
    least = -(-(length + 9 + (length > 255)) // LETTER_PADDING_BYTES) * LETTER_PADDING_BYTES
    assert len(plain) - least in (0, LETTER_PADDING_BYTES)
    assert (len(plain) > least) == (least - length - 9 - (length > 255) == 256)


def test_two_letters_of_the_same_items_look_different() -> None:
    one, other = letter(), letter()
    assert one.header == other.header and one.sealed != other.sealed and one.id != other.id


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ((Item(ITEM_STEP, b""),), "item"),
        ((Item(0, b"x"),), "item"),
        ((Item(ITEM_STEP, b"x", 5),), "item"),
        ((Item(ITEM_ATTESTATION, b"x", -1),), "item"),
        ((Item(ITEM_STEP, bytes(RECORD_BYTES_MAX + 1)),), "item"),
        ((Item(ITEM_APP, b"x"),) * (LETTER_ITEMS_MAX + 1), "items"),
        ((Item(ITEM_STEP, bytes(RECORD_BYTES_MAX)),) * 4, "letter_length"),
        ((Item(ITEM_APP, bytes(300_000)),), "letter_length"),
    ],
)
def test_what_does_not_fit_into_a_letter_is_not_sealed(items: tuple[Item, ...], rule: str) -> None:
    with pytest.raises(EncodingError) as caught:
        letter(*items)
    assert caught.value.rule == rule


def test_a_letter_of_no_items_is_not_sealed() -> None:
    with pytest.raises(EncodingError):
        plaintext(())


@pytest.mark.parametrize("until", [AT, AT - 1, AT + LETTER_LIFETIME_S_MAX + 1])
def test_a_letter_has_a_life_within_the_bounds(until: int) -> None:
    with pytest.raises(LifetimeTooLong):
        letter(until=until)


def test_only_the_addressee_opens_a_letter() -> None:
    with pytest.raises(CannotOpen):
        open_letter(letter(), OTHER)
