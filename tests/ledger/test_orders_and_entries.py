"""Claims about orders, entries and what they carry that the vectors do not say."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from maillon.ledger import entries, orders, signing
from maillon.ledger.errors import BadEvidence
from maillon.ledger.limits import ENTRY_BYTES_MAX, ORDER_BODY_BYTES_MAX, ORDER_BYTES_MAX
from maillon.protocol.errors import Malformed
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import INT_MAX

RNG = random.Random(17)
FED, HERE, THERE = (RNG.randbytes(32) for _ in range(3))
PAYER, PAYEE = RNG.randbytes(16), RNG.randbytes(16)
KEY = SigningKey.from_seed(RNG.randbytes(32))
TIME = 1_767_225_600


def pay(amount: int = 60, seq: int = 1) -> orders.Order:
    action = orders.PayAction(THERE, PAYEE, 0, amount)
    return orders.sign_order(KEY, FED, PAYER, seq, HERE, TIME, action)


def carried_by(entry: entries.Entry, source: bytes = HERE) -> entries.In:
    return entries.In(source, RNG.randbytes(32), 0, RNG.randbytes(32), entry.encode(), ())


def test_what_an_order_says_cannot_differ_from_what_was_signed() -> None:
    order = pay()
    other = pay(seq=2)
    changed = replace(order, body=other.body)
    assert changed.seq == 2
    assert signing.inline_verify([order.check(FED), changed.check(FED)]) == [True, False]


def test_an_order_has_another_id_in_another_federation_and_the_same_whoever_signs() -> None:
    order = pay()
    stranger = SigningKey.from_seed(bytes(32))
    again = orders.sign_order(stranger, FED, PAYER, 1, HERE, TIME, order.action, mandate=bytes(16))
    assert again.id(FED) == order.id(FED)
    assert order.id(THERE) != order.id(FED)


def test_the_longest_orders_and_entries_fit_their_bounds() -> None:
    ff, key = b"\xff" * 32, KEY.public
    hold = orders.HoldAction(ff, ff[:16], 15, 10**12, ff, "a" * 64, INT_MAX, key, key, ff)
    limits = tuple((unit, 10**12) for unit in range(16))
    grant = orders.MandateAction(ff[:16], key, limits, 366 * 86_400, 0, INT_MAX)
    bodies = [orders.order_body(ff[:16], INT_MAX, ff, INT_MAX, action) for action in (hold, grant)]
    assert max(map(len, bodies)) <= ORDER_BODY_BYTES_MAX
    assert len(orders.Order(bodies[0], key, ff[:16], ff + ff).encode()) <= ORDER_BYTES_MAX
    said = entries.KeyConfirmation(key, ff + ff)
    post = entries.Post(ff[:16], ff, said, INT_MAX, bodies[0])
    returned = entries.Return(ff, ff, 255, ff, post.encode(), (ff,) * 8, INT_MAX)
    taken = entries.In(ff, ff, 255, ff, returned.encode(), (ff,) * 8)
    assert len(taken.encode()) <= ENTRY_BYTES_MAX
    assert entries.decode_entry(taken.encode()) == taken


def test_a_return_goes_back_to_the_payer_under_the_id_of_what_it_returns() -> None:
    order = pay(75)
    out = entries.Out(order, 4)
    sent = entries.message_of(out, bytes(32), FED)
    assert sent == entries.ChannelMessage(THERE, 4, PAYER, PAYEE, 0, 75, order.id(FED))
    taken = carried_by(out)
    assert taken.carried(FED) == sent
    back = entries.Return(
        taken.source, taken.block, taken.index, taken.salt, taken.data, taken.path, 9
    )
    returned = entries.message_of(back, bytes(32), FED)
    assert returned == entries.ChannelMessage(
        HERE, 9, PAYEE, PAYER, 0, 75, order.id(FED), returned=True
    )
    home = carried_by(back, THERE)
    assert home.carried(FED) == returned


def test_a_return_is_never_returned() -> None:
    taken = carried_by(entries.Out(pay(), 1))
    back = entries.Return(
        taken.source, taken.block, taken.index, taken.salt, taken.data, taken.path, 1
    )
    again = entries.Return(THERE, bytes(32), 0, bytes(32), back.encode(), (), 2)
    with pytest.raises(Malformed, match="carried"):
        entries.decode_entry(again.encode())
    with pytest.raises(BadEvidence):
        again.carried(FED)


def test_a_settlement_is_known_by_its_leaf_so_that_two_alike_are_two() -> None:
    settle = entries.Settle(orders.COMMONS, 0, 60, THERE, PAYEE, orders.NO_REF, 1)
    taken = [carried_by(settle), carried_by(settle)]
    ids = [each.carried(FED).id for each in taken]
    assert ids == [entries.entry_leaf(each.salt, each.data) for each in taken]
    assert ids[0] != ids[1]


def test_entries_that_stay_inside_a_coop_send_nothing() -> None:
    local = orders.sign_order(KEY, FED, PAYER, 1, HERE, TIME, orders.PayAction(HERE, PAYEE, 0, 1))
    said = entries.sign_confirmation(KEY, FED, HERE, bytes(32))
    for entry in (
        entries.Intra(local),
        entries.Close(PAYER),
        entries.Post(PAYER, bytes(32), said, 0),
        entries.Settle(orders.COMMONS, 0, 1, HERE, PAYEE, orders.NO_REF, 0),
        carried_by(entries.Out(pay(), 1)),
    ):
        assert entries.message_of(entry, bytes(32), FED) is None


def test_confirmations_and_releases_count_for_their_hold_chain_and_purpose_alone() -> None:
    hold, other = RNG.randbytes(32), RNG.randbytes(32)
    confirmation = entries.sign_confirmation(KEY, FED, HERE, hold)
    release = entries.sign_release(KEY, FED, HERE, hold)
    assert signing.inline_verify(
        [confirmation.check(FED, HERE, hold), release.check(FED, HERE, hold)]
    ) == [True, True]
    crossed = entries.Release(confirmation.key, confirmation.signature)
    refused = [
        confirmation.check(FED, HERE, other),
        confirmation.check(FED, THERE, hold),
        confirmation.check(THERE, HERE, hold),
        release.check(FED, HERE, other),
        crossed.check(FED, HERE, hold),
    ]
    assert not any(signing.inline_verify(refused))


def test_a_secret_opens_its_own_lock_and_no_empty_one() -> None:
    import hashlib

    secret = entries.PreimageConfirmation(RNG.randbytes(32))
    assert secret.opens(hashlib.sha256(secret.preimage).digest())
    assert not secret.opens(RNG.randbytes(32))
    assert not secret.opens(b"")


def test_salts_hide_what_an_entry_was() -> None:
    data = entries.Close(PAYER).encode()
    assert len({entries.entry_leaf(RNG.randbytes(32), data) for _ in range(4)}) == 4
