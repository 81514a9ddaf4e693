"""Hold the rules of accounts against spec/06: what is refused, with which facts, and what changes.

What random orders meet by themselves is compared with a model in test_accounts_model; here stand
the cases that need a stage, and what a refusal says to the person who reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from maillon.ledger.charter_entries import Remove, SetTrustee
from maillon.ledger.entries import (
    Close,
    Entry,
    Limit,
    Member,
    Post,
    PreimageConfirmation,
    Recover,
    Settle,
    Void,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.errors import LedgerError
from maillon.ledger.limits import (
    AMOUNT_MAX,
    BALANCE_MAX,
    HOLDS_MAX,
    KEYS_MAX,
    MANDATES_MAX,
    SEQ_GAP_MAX,
    SEQ_MAX,
)
from maillon.ledger.orders import COMMONS, NO_REF, KeysAction, MandateAction, Order, PayAction
from maillon.ledger.rows import Account as AccountRow
from maillon.ledger.rows import Position, row_from
from maillon.ledger.rules_debit import CREDIT_MAX, receivable, welcome
from maillon.protocol.errors import BadSignature, MaillonError
from support.accounts import COUNT, CREDIT, HOURS, Accounts
from support.charters import RECOVERY_S


@pytest.fixture
def world() -> Iterator[Accounts]:
    """Ana and Bob at coop 0, Cleo at coop 1, each with a credit limit of 100 minutes."""
    world = Accounts()
    world.place(0, world.opening("ana"), world.opening("bob"))
    world.opened("cleo", 1)
    yield world
    assert world.units_sum(HOURS) == world.units_sum(CREDIT) == 0


def refused(world: Accounts, wish: Order | Entry, place: int = 0) -> MaillonError:
    """Return why a wish is refused, having seen that nothing changed."""
    before = world.snapshot()
    built = world.build(place, wish)
    assert built.block is None and not built.placed
    assert world.snapshot() == before
    [(_, error)] = built.refused
    return error


def facts(error: MaillonError, *names: str) -> tuple[object, ...]:
    return tuple(error.facts[name] for name in names)


# --- Payments -----------------------------------------------------------------------------------


def test_a_payment_lowers_one_account_and_raises_the_other(world: Accounts) -> None:
    world.place(0, world.pay("ana", "bob", 90))
    assert (world.balance("ana"), world.balance("bob")) == (-90, 90)


def test_a_payment_beyond_the_limit_says_what_can_be_spent(world: Accounts) -> None:
    world.place(0, world.sign("ana", world.reservation("bob", 30)))
    error = refused(world, world.pay("ana", "bob", 71))
    assert error.code == "over_limit"
    assert facts(error, "amount", "balance", "held", "limit", "available") == (71, 0, 30, 100, 70)
    world.place(0, world.pay("ana", "bob", 70))


def test_a_receiver_at_its_maximum_is_said_to_have_no_more_room(world: Accounts) -> None:
    world.opened("dan", most=50)
    world.place(0, world.sign("ana", world.reservation("dan", 20)))
    error = refused(world, world.pay("bob", "dan", 31))
    assert error.code == "over_maximum"
    assert facts(error, "balance", "expected", "max", "room") == (0, 20, 50, 30)
    world.place(0, world.pay("bob", "dan", 30))


def test_credits_leave_room_below_the_greatest_integer_for_what_comes_back() -> None:
    account = AccountRow(2, bytes(15) + b"\1", 0, ())
    account.positions[HOURS] = Position(HOURS, CREDIT_MAX - 5, 0, BALANCE_MAX)
    assert receivable(account, HOURS, 5).balance == CREDIT_MAX - 5
    with pytest.raises(LedgerError) as caught:
        receivable(account, HOURS, 6)
    assert facts(caught.value, "max", "room") == (CREDIT_MAX, 5)
    welcome(account, HOURS, AMOUNT_MAX)
    assert row_from(2, account.row()).row() == account.row()


def test_a_lowered_limit_stops_new_debits_and_touches_no_balance(world: Accounts) -> None:
    world.place(0, world.pay("ana", "bob", 90))
    ana = world.people["ana"].account
    world.place(0, Limit(ana, HOURS, 10, 1_000))
    assert world.balance("ana") == -90
    error = refused(world, world.pay("ana", "bob", 1))
    assert facts(error, "balance", "limit", "available") == (-90, 10, 0)


def test_the_same_order_is_never_carried_out_twice(world: Accounts) -> None:
    order = world.pay("ana", "bob", 5)
    world.place(0, order)
    error = refused(world, order)
    assert error.code == "stale_sequence" and facts(error, "seq", "last") == (1, 1)
    assert world.balance("bob") == 5


def test_numbers_may_leave_gaps_but_do_not_go_back(world: Accounts) -> None:
    world.place(0, world.sign("ana", world.payment("bob", 1), seq=10))
    assert refused(world, world.sign("ana", world.payment("bob", 1), seq=9)).last == 10


def test_no_order_takes_an_account_out_of_reach_of_its_next_one(world: Accounts) -> None:
    before = world.book.state(world.people["ana"].coop).root()
    error = refused(world, world.sign("ana", world.payment("bob", 1), seq=SEQ_GAP_MAX + 1))
    assert error.code == "sequence_gap"
    assert facts(error, "seq", "last", "most") == (SEQ_GAP_MAX + 1, 0, SEQ_GAP_MAX)
    assert refused(world, world.sign("ana", world.payment("bob", 1), seq=SEQ_MAX)).last == 0
    # So it is for what is read the long way, too.
    action = KeysAction()
    assert refused(world, Member(world.sign("ana", action, seq=SEQ_MAX))).code == "sequence_gap"
    assert world.book.state(world.people["ana"].coop).root() == before
    world.place(0, world.sign("ana", world.payment("bob", 1), seq=SEQ_GAP_MAX))
    world.place(0, world.sign("ana", world.payment("bob", 1), seq=2 * SEQ_GAP_MAX))
    assert world.balance("ana") == -2


def test_an_order_counts_up_to_and_including_its_last_second(world: Accounts) -> None:
    world.place(0, world.sign("ana", world.payment("bob", 1), until=world.time))
    world.time += 1
    order = world.sign("ana", world.payment("bob", 1), until=world.time - 1)
    assert refused(world, order).code == "order_expired"


def test_an_order_for_another_coops_chain_is_refused(world: Accounts) -> None:
    world.people["ana"].coop = world.coop(1)
    order = world.pay("ana", "bob", 1)
    assert refused(world, order).code == "wrong_account"


def test_a_forged_signature_is_refused_before_anything_is_looked_at(world: Accounts) -> None:
    order = world.pay("ana", "bob", 1)
    forged = Order(order.body, order.key, b"", bytes(32) + order.signature[32:])
    assert isinstance(refused(world, forged), BadSignature)


def test_somebody_elses_key_pays_nothing(world: Accounts) -> None:
    bob = world.people["bob"].key
    error = refused(world, world.sign("ana", world.payment("bob", 1), key=bob))
    assert error.code == "not_authorised"


@pytest.mark.parametrize("amount", [AMOUNT_MAX + 1, 0, -5])
def test_an_absurd_amount_is_no_order_at_all(world: Accounts, amount: int) -> None:
    with pytest.raises(LedgerError) as caught:
        world.pay("ana", "bob", amount)
    assert caught.value.code == "amount"


def test_nobody_pays_themselves(world: Accounts) -> None:
    assert refused(world, world.pay("ana", "ana", 1)).code == "wrong_account"


def test_an_account_is_not_paid_in_a_unit_it_does_not_keep(world: Accounts) -> None:
    error = refused(world, world.pay("ana", "bob", 1, unit=CREDIT))
    assert error.code == "wrong_unit"
    assert refused(world, world.pay("ana", "bob", 1, unit=9)).code == "unit_unknown"


def test_a_count_only_unit_records_one_exchange_and_moves_nothing(world: Accounts) -> None:
    error = refused(world, world.pay("ana", "bob", 2, unit=COUNT))
    assert error.code == "amount" and error.highest == 1
    world.place(0, world.pay("ana", "bob", 1, unit=COUNT))
    world.place(0, world.pay("ana", "cleo", 1, unit=COUNT))
    assert world.book.state(world.coop(0)).channel(world.coop(1)).sent == 1
    world.arrive(1)
    assert world.book.state(world.coop(1)).channel(world.coop(0)).received == 1
    assert world.book.state(world.coop(0)).totals.trade.get(COUNT, 0) == 0
    assert not world.account("ana").positions.keys() & {COUNT}
    held = world.sign("ana", world.reservation("bob", 1, unit=COUNT))
    assert refused(world, held).code == "wrong_unit"
    limit = Limit(world.people["ana"].account, COUNT, 5, 5)
    assert refused(world, limit).code == "wrong_unit"


# --- Between coops ------------------------------------------------------------------------------


def test_a_coop_owes_the_others_no_more_than_its_limit(world: Accounts) -> None:
    world.opened("eve", limit=10_000)
    world.place(0, world.sign("eve", world.reservation("cleo", 1_000)))
    world.place(0, world.pay("eve", "cleo", 4_500))
    error = refused(world, world.pay("eve", "cleo", 501))
    assert error.code == "coop_limit"
    assert facts(error, "balance", "held", "limit", "available") == (-4_500, 1_000, 6_000, 500)
    # Inside the coop the same account pays on.
    world.place(0, world.pay("eve", "bob", 501))


def test_a_payment_that_cannot_be_credited_comes_back(world: Accounts) -> None:
    world.opened("full", 1, most=10)
    world.place(0, world.pay("ana", "full", 11))
    assert world.balance("ana") == -11
    world.arrive(1)
    assert world.balance("full") == 0
    world.arrive(0)
    assert world.balance("ana") == 0
    assert world.book.state(world.coop(0)).totals.trade == {HOURS: 0}


def test_what_comes_back_to_a_closed_account_goes_to_the_commons(world: Accounts) -> None:
    world.place(0, world.pay("bob", "ana", 7))
    nobody = PayAction(world.coop(1), bytes(15) + b"\1", HOURS, 7, NO_REF, "")
    world.place(0, world.sign("ana", nobody))
    world.place(0, Close(world.people["ana"].account))
    world.arrive(1)
    world.arrive(0)
    commons = world.book.state(world.coop(0)).account(COMMONS)
    assert commons is not None and commons.positions[HOURS].balance == 7


def test_what_comes_back_is_credited_beyond_the_maximum(world: Accounts) -> None:
    world.opened("dan", most=10)
    nobody = PayAction(world.coop(1), bytes(15) + b"\1", HOURS, 9, NO_REF, "")
    world.place(0, world.sign("dan", nobody))
    world.place(0, world.pay("ana", "dan", 19))
    world.arrive(1)
    world.arrive(0)
    assert world.balance("dan") == 19


def test_a_coop_that_has_left_is_paid_by_nobody_and_opens_no_accounts(world: Accounts) -> None:
    federation = world.federation
    three, two = federation.coops[3], federation.coops[2]
    world.opened("fay", 3)
    federation.chain = world.book.charter
    federation.disk = world.disk
    federation.grow(SetTrustee(three.id, two.id))
    federation.grow(Remove(three.id, two.id))
    world.place(0, world.pay("ana", "bob", 1), adopt=2)
    error = refused(world, world.pay("ana", "fay", 1))
    assert error.code == "ledger_coop_unknown" and error.removed
    world.place(3, world.sign("fay", KeysAction(world.federation.key("new").public)), adopt=2)
    assert refused(world, world.opening("gus", 3), 3).code == "accounts_full"
    assert refused(world, world.pay("fay", "ana", 1), 3).code == "coop_limit"


def test_the_commons_pays_by_the_coops_block_alone_and_within_its_limit(world: Accounts) -> None:
    bob = world.people["bob"].account
    wish = Settle(COMMONS, HOURS, 40, world.coop(0), bob, NO_REF, 0)
    assert refused(world, wish).code == "wrong_unit"
    world.place(0, Limit(COMMONS, HOURS, 50, 1_000))
    world.place(0, wish)
    assert world.balance("bob") == 40
    error = refused(world, wish)
    assert error.code == "over_limit" and error.available == 10
    cleo = world.people["cleo"]
    world.place(0, Settle(COMMONS, HOURS, 10, cleo.coop, cleo.account, NO_REF, 1))
    world.arrive(1)
    assert world.balance("cleo") == 10


# --- Holds --------------------------------------------------------------------------------------


def test_a_hold_is_posted_once_by_its_payer(world: Accounts) -> None:
    order = world.sign("ana", world.reservation("bob", 30))
    world.place(0, order)
    ana, name = world.people["ana"], order.id(world.fed)
    assert world.account("ana").available(HOURS) == 70
    assert world.account("bob").expected == {HOURS: 30}
    bad = sign_confirmation(world.people["bob"].key, world.fed, ana.coop, name)
    assert refused(world, Post(ana.account, name, bad, 0)).code == "confirmation"
    good = sign_confirmation(ana.key, world.fed, ana.coop, name)
    world.place(0, Post(ana.account, name, good, 0))
    assert (world.balance("ana"), world.balance("bob")) == (-30, 30)
    assert world.account("bob").expected == {}
    assert refused(world, Post(ana.account, name, good, 0)).code == "hold_unknown"
    assert refused(world, Void(ana.account, name, None)).code == "hold_unknown"


def test_an_arbiter_and_the_secret_of_a_lock_post_as_well(world: Accounts) -> None:
    arbiter = world.federation.key("arbiter")
    secret = b"\7" * 32
    ana = world.people["ana"]
    for lock in (b"", hashlib.sha256(secret).digest()):
        action = world.reservation("bob", 10, arbiter=arbiter.public, hashlock=lock)
        order = world.sign("ana", action)
        world.place(0, order)
        name = order.id(world.fed)
        wrong = Post(ana.account, name, PreimageConfirmation(bytes(32)), 0)
        assert refused(world, wrong).code == "confirmation"
        if lock:
            world.place(0, Post(ana.account, name, PreimageConfirmation(secret), 0))
        else:
            sure = sign_confirmation(arbiter, world.fed, ana.coop, name)
            world.place(0, Post(ana.account, name, sure, 0))
    assert world.balance("bob") == 20


def test_a_hold_is_given_back_when_it_expires_or_the_payee_releases_it(world: Accounts) -> None:
    ana = world.people["ana"]
    first = world.sign("ana", world.reservation("bob", 60, expiry=world.time + 60))
    second = world.sign("ana", world.reservation("cleo", 40))
    world.place(0, first, second)
    assert world.book.state(ana.coop).totals.held_out == {HOURS: 40}
    error = refused(world, Void(ana.account, first.id(world.fed), None))
    assert error.code == "hold_open"
    assert facts(error, "expiry", "time") == (world.time + 60, world.time)
    mine = sign_release(ana.key, world.fed, ana.coop, second.id(world.fed))
    assert refused(world, Void(ana.account, second.id(world.fed), mine)).code == "confirmation"
    cleo = sign_release(world.people["cleo"].key, world.fed, ana.coop, second.id(world.fed))
    world.place(0, Void(ana.account, second.id(world.fed), cleo))
    world.time += 60
    world.place(0, Void(ana.account, first.id(world.fed), None))
    assert world.account("ana").available(HOURS) == 100
    assert world.book.state(ana.coop).totals.held_out == {}


def test_a_hold_past_its_expiry_is_still_posted_as_long_as_it_is_open(world: Accounts) -> None:
    ana = world.people["ana"]
    order = world.sign("ana", world.reservation("bob", 10, expiry=world.time + 1))
    world.place(0, order)
    world.time += 1_000
    sure = sign_confirmation(ana.key, world.fed, ana.coop, order.id(world.fed))
    world.place(0, Post(ana.account, order.id(world.fed), sure, 0))
    assert world.balance("bob") == 10


def test_the_key_that_reserved_confirms_even_after_it_was_dropped(world: Accounts) -> None:
    ana = world.people["ana"]
    order = world.sign("ana", world.reservation("bob", 10))
    world.place(0, order)
    sure = sign_confirmation(ana.key, world.fed, ana.coop, order.id(world.fed))
    fresh = world.federation.key("fresh")
    world.place(0, world.sign("ana", KeysAction(fresh.public, ana.key.public)))
    assert world.account("ana").keys == (fresh.public,)
    world.place(0, Post(ana.account, order.id(world.fed), sure, 0))
    assert world.balance("bob") == 10


def test_a_hold_that_crosses_leaves_only_when_it_is_posted(world: Accounts) -> None:
    ana = world.people["ana"]
    order = world.sign("ana", world.reservation("cleo", 25))
    world.place(0, order)
    assert world.arrive(1) is None
    sure = sign_confirmation(ana.key, world.fed, ana.coop, order.id(world.fed))
    block = world.place(0, Post(ana.account, order.id(world.fed), sure, 1, order.body))
    assert world.book.sent_at(world.coop(0), world.coop(1), 1) == (block.h, 0)
    world.arrive(1)
    assert world.balance("cleo") == 25


def test_an_account_has_so_many_holds_open_and_no_more(world: Accounts) -> None:
    orders = [world.sign("ana", world.reservation("bob", 1)) for _ in range(HOLDS_MAX)]
    world.place(0, *orders)
    error = refused(world, world.sign("ana", world.reservation("bob", 1)))
    assert error.code == "too_many" and facts(error, "what", "limit") == ("holds", HOLDS_MAX)


def test_a_hold_that_would_expire_at_once_is_refused(world: Accounts) -> None:
    order = world.sign("ana", world.reservation("bob", 1, expiry=world.time))
    assert refused(world, order).code == "order_expired"


# --- Mandates, keys, recovery -------------------------------------------------------------------


def given(world: Accounts, name: bytes = b"m" * 16, **change: int) -> MandateAction:
    key = world.federation.key("delegate")
    terms = {"period_s": 3_600, "start": world.time, "end": world.time + 9_000} | change
    return MandateAction(name, key.public, ((HOURS, 30),), **terms)


def test_a_delegate_pays_within_unit_period_and_time(world: Accounts) -> None:
    world.place(0, world.sign("ana", given(world)))
    key, name = world.federation.key("delegate"), b"m" * 16

    def order(amount: int, unit: int = HOURS) -> Order:
        return world.sign("ana", world.payment("bob", amount, unit=unit), key=key, mandate=name)

    world.place(0, order(20))
    error = refused(world, order(11))
    assert error.code == "mandate_exhausted"
    assert facts(error, "allowed", "used", "available") == (30, 20, 10)
    assert error.next == world.time + 3_600
    assert refused(world, order(1, COUNT)).code == "order_mandate_scope"
    world.time += 3_600
    world.place(0, order(30))
    world.time += 5_400
    assert refused(world, order(1)).code == "order_mandate_expired"
    assert world.balance("bob") == 50


def test_a_delegates_key_does_nothing_without_its_mandate(world: Accounts) -> None:
    world.place(0, world.sign("ana", given(world)))
    key = world.federation.key("delegate")
    bare = world.sign("ana", world.payment("bob", 1), key=key)
    assert refused(world, bare).code == "not_authorised"
    other = world.sign("ana", world.payment("bob", 1), mandate=b"m" * 16)
    assert refused(world, other).code == "not_authorised"
    none = world.sign("ana", world.payment("bob", 1), key=key, mandate=b"x" * 16)
    assert refused(world, none).code == "mandate_unknown"


def test_mandates_that_have_ended_make_room_for_new_ones(world: Accounts) -> None:
    names = [bytes([n]) * 16 for n in range(MANDATES_MAX + 1)]
    world.place(0, *[world.sign("ana", given(world, name)) for name in names[:-1]])
    error = refused(world, world.sign("ana", given(world, names[-1])))
    assert error.code == "too_many" and error.what == "mandates"
    again = refused(world, world.sign("ana", given(world, names[0])))
    assert again.code == "key_change" and again.reason == "mandate_known"
    world.time += 9_000
    world.place(0, world.sign("ana", given(world, names[-1])))
    assert list(world.account("ana").mandates) == [names[-1]]


def test_an_account_keeps_one_to_eight_different_keys(world: Accounts) -> None:
    ana = world.people["ana"]
    last = refused(world, world.sign("ana", KeysAction(b"", ana.key.public)))
    assert last.code == "key_change" and last.reason == "last"
    twice = refused(world, world.sign("ana", KeysAction(ana.key.public)))
    assert twice.reason == "known"
    stranger = world.federation.key("stranger").public
    assert refused(world, world.sign("ana", KeysAction(b"", stranger))).reason == "unknown"
    keys = [world.federation.key(f"key {n}").public for n in range(KEYS_MAX)]
    world.place(0, *[world.sign("ana", KeysAction(key)) for key in keys[:-1]])
    error = refused(world, world.sign("ana", KeysAction(keys[-1])))
    assert error.code == "too_many" and error.what == "keys"


def test_a_recovered_key_counts_after_the_wait_and_not_before(world: Accounts) -> None:
    ana, key = world.people["ana"], world.federation.key("recovered")
    world.place(0, Recover(ana.account, key.public))
    early = world.sign("ana", world.payment("bob", 1), key=key)
    assert refused(world, early).code == "not_authorised"
    world.time += RECOVERY_S
    world.place(0, world.sign("ana", world.payment("bob", 1), key=key))
    assert world.account("ana").keys == (ana.key.public, key.public)
    assert world.account("ana").pending == ()


def test_the_member_cancels_a_recovery_that_is_not_theirs(world: Accounts) -> None:
    ana, key = world.people["ana"], world.federation.key("thief")
    none = refused(world, world.sign("ana", KeysAction()))
    assert none.code == "key_change" and none.reason == "nothing_pending"
    world.place(0, Recover(ana.account, key.public))
    world.place(0, world.sign("ana", KeysAction()))
    world.time += RECOVERY_S
    order = world.sign("ana", world.payment("bob", 1), key=key)
    assert refused(world, order).code == "not_authorised"


def test_a_later_recovery_takes_the_place_of_an_open_one_and_waits_anew(world: Accounts) -> None:
    ana = world.people["ana"]
    wrong, right = world.federation.key("mistyped"), world.federation.key("right")
    world.place(0, Recover(ana.account, wrong.public))
    world.time += RECOVERY_S - 1
    world.place(0, Recover(ana.account, right.public))
    world.time += 1
    order = world.sign("ana", world.payment("bob", 1), key=wrong)
    assert refused(world, order).code == "not_authorised"
    world.time += RECOVERY_S - 1
    world.place(0, world.sign("ana", world.payment("bob", 1), key=right))


def test_a_recovered_key_takes_the_place_of_the_oldest_of_eight(world: Accounts) -> None:
    ana, key = world.people["ana"], world.federation.key("recovered")
    keys = [world.federation.key(f"key {n}").public for n in range(KEYS_MAX - 1)]
    world.place(0, *[world.sign("ana", KeysAction(k)) for k in keys])
    world.place(0, Recover(ana.account, key.public))
    world.time += RECOVERY_S
    world.place(0, world.sign("ana", world.payment("bob", 1), key=key))
    assert world.account("ana").keys == (*keys, key.public)


# --- Opening and closing ------------------------------------------------------------------------


def test_an_account_is_closed_only_at_rest_and_never_opened_again(world: Accounts) -> None:
    ana, bob = world.people["ana"], world.people["bob"]
    order = world.sign("ana", world.reservation("bob", 5))
    world.place(0, order)
    assert refused(world, Close(ana.account)).holds == 1
    assert refused(world, Close(bob.account)).expected == {HOURS: 5}
    sure = sign_confirmation(ana.key, world.fed, ana.coop, order.id(world.fed))
    world.place(0, Post(ana.account, order.id(world.fed), sure, 0))
    error = refused(world, Close(ana.account))
    assert error.code == "account_in_use" and error.balances == {HOURS: -5}
    world.place(0, world.pay("bob", "ana", 5))
    world.place(0, Recover(ana.account, world.federation.key("late").public))
    assert refused(world, Close(ana.account)).recovery == 1
    world.time += RECOVERY_S
    world.place(0, Close(ana.account))
    assert refused(world, world.pay("bob", "ana", 1)).code == "account_closed"
    assert refused(world, Close(ana.account)).code == "account_closed"
    again = world.opening("again")
    again = type(again)(ana.account, again.kind, again.key, again.positions)
    error = refused(world, again)
    assert error.code == "account_exists" and error.open is False


def test_the_commons_is_neither_closed_nor_recovered_nor_opened(world: Accounts) -> None:
    key = world.federation.key("any").public
    assert refused(world, Close(COMMONS)).code == "wrong_account"
    assert refused(world, Recover(COMMONS, key)).code == "wrong_account"
    opening = world.opening("commons")
    taken = type(opening)(COMMONS, 0, key, ())
    assert refused(world, taken).code == "account_exists"


def test_a_coop_opens_no_more_accounts_than_the_charter_allows() -> None:
    world = Accounts(seed="full")
    cap = world.book.charter.latest.accounts_cap(world.coop(0))
    for start in range(0, cap, 250):
        names = [f"p{n}" for n in range(start, min(start + 250, cap))]
        world.place(0, *[world.opening(name) for name in names])
    error = refused(world, world.opening("one more"))
    assert error.code == "accounts_full" and error.limit == cap
    world.place(0, Close(world.people["p0"].account))
    world.place(0, world.opening("another"))
