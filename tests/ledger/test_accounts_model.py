"""Let the ledger and a naive model take the same random orders, and compare what they say and hold.

The model (support.account_model) is made of dictionaries; it knows no blocks, trees, forks or
erasure. Every refusal is compared by its code, every state by all its numbers.
"""

from __future__ import annotations

import hashlib
import os
import random

import pytest

from maillon.ledger.build import InWish, Wish, arrivals
from maillon.ledger.entries import (
    Close,
    Confirmation,
    Entry,
    Limit,
    Post,
    PreimageConfirmation,
    Recover,
    Settle,
    Void,
    carried,
    entry_leaf,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.erasure import NotErasable, erase
from maillon.ledger.history import History, residue
from maillon.ledger.limits import BALANCE_MAX, SEQ_GAP_MAX
from maillon.ledger.orders import (
    COMMONS,
    NO_REF,
    Action,
    HoldAction,
    KeysAction,
    MandateAction,
    Order,
    PayAction,
    RevokeAction,
)
from maillon.protocol.keys import SigningKey
from support.account_model import Model, ModelAccount, ModelHold, ModelMandate
from support.accounts import COUNT, CREDIT, HOURS, Accounts, Person
from support.charters import RECOVERY_S

UNITS = (HOURS, CREDIT)
BLOCKS = int(os.environ.get("MAILLON_MODEL_BLOCKS", "120"))
GAPS = (*[1] * 36, 2, 2, 5, 5, 0, 0, SEQ_GAP_MAX, SEQ_GAP_MAX + 1)
"""How far the number of an order is above its account's last one."""

Attempt = tuple[Order | Entry, str]
"""What is wished, and the code with which the model refuses it."""


class Play:
    """Random wishes for a federation of three coops, put to the book and to the model."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"model {seed}")
        self.world = Accounts(seed=f"model {seed}", n=3)
        coops = [self.world.coop(place) for place in range(3)]
        limits = dict(self.world.federation.limits)
        self.model = Model(coops, limits, {COUNT}, RECOVERY_S)
        self.coops = coops
        # Every key that was ever made, so that dropped and foreign ones are tried as well.
        self.keys: dict[bytes, SigningKey] = {}
        self.secrets = [bytes([n]) * 32 for n in range(4)]
        self.mandates = [bytes([n]) * 16 for n in range(1, 4)]
        self.refusals: set[str] = set()
        self.lines: dict[bytes, History] = {
            coop: History(self.world.fed, coop, {COUNT}) for coop in coops
        }

    # --- Choosing ---

    def now(self) -> int:
        return self.world.time

    def key(self, *likely: bytes) -> SigningKey:
        known = [key for key in likely if key in self.keys]
        if known and self.rng.random() < 0.97:
            return self.keys[self.rng.choice(known)]
        if self.keys and self.rng.random() < 0.7:
            return self.keys[self.rng.choice(sorted(self.keys))]
        made = self.world.federation.key(f"key {len(self.keys)}")
        self.keys[made.public] = made
        return made

    def people(self, coop: bytes | None = None) -> list[Person]:
        return [p for p in self.world.people.values() if coop in (None, p.coop)]

    def target(self, coop: bytes) -> tuple[bytes, bytes]:
        """Choose who is paid: mostly a known account, now and then nobody."""
        chance = self.rng.random()
        known = self.people(coop) if chance < 0.5 else self.people()
        alive = [person for person in known if self.account(person).open]
        known = alive if self.rng.random() < 0.9 else known
        if not known or chance > 0.95:
            to = coop if chance > 0.97 else self.rng.choice(self.coops)
            return to, COMMONS if self.rng.random() < 0.7 else bytes([9]) * 16
        person = self.rng.choice(known)
        return person.coop, person.account

    def amount(self) -> int:
        return self.rng.choice((1, 1, 2, 5, 20, 25, 60, 200, 2_500, 7_000))

    def account(self, person: Person) -> ModelAccount:
        return self.model.coops[person.coop].accounts[person.account]

    # --- Wishing ---

    def wish(self, coop: bytes) -> Attempt | None:
        people = self.people(coop)
        if sum(self.account(person).open for person in people) < 5 or self.rng.random() < 0.03:
            return self.open(coop)
        alive = [person for person in people if self.account(person).open]
        person = self.rng.choice(alive if alive and self.rng.random() < 0.9 else people)
        choices = (
            *[self.pay] * 10, *[self.hold] * 4, *[self.post] * 3, self.void, self.limit, self.limit,
            self.close, self.recover, self.change, self.give, self.give, self.revoke, self.settle,
        )  # fmt: skip
        return self.rng.choice(choices)(person)

    def open(self, coop: bytes) -> Attempt:
        name = f"person {len(self.world.people)}"
        place = self.coops.index(coop)
        units = self.rng.choice((*[(HOURS,)] * 6, *[UNITS] * 6, (HOURS, COUNT), ()))
        limit, most = self.rng.choice(
            ((0, 300), (100, BALANCE_MAX), (1_000, 150), (20_000, BALANCE_MAX))
        )
        entry = self.world.opening(name, place, limit=limit, most=most, units=units)
        person = self.world.people[name]
        self.keys[person.key.public] = person.key
        terms = dict.fromkeys(units, (limit, most))
        code = self.model.open(coop, person.account, person.key.public, terms)
        if code:
            del self.world.people[name]
        return entry, code

    def signed(self, person: Person, action: Action) -> tuple[Order, tuple[int, int, bytes, bytes]]:
        account = self.account(person)
        mandate = b""
        paying = isinstance(action, PayAction | HoldAction)
        if paying and account.mandates and self.rng.random() < 0.4:
            mandate = self.rng.choice((*account.mandates, *account.mandates, self.mandates[0]))
        given = account.mandates.get(mandate)
        key = self.key(given.key) if given else self.key(*self.model.keys(account, self.now()))
        seq = account.seq + self.rng.choice(GAPS)
        until = self.now() + self.rng.choice((0, *[600] * 12, -1))
        name = next(n for n, p in self.world.people.items() if p is person)
        order = self.world.sign(
            name, action, seq=max(seq, 1), until=until, key=key, mandate=mandate
        )
        return order, (order.seq, until, key.public, mandate)

    def pay(self, person: Person) -> Attempt:
        coop, account = self.target(person.coop)
        if account == person.account and self.rng.random() < 0.9:
            coop, account = self.target(person.coop)
        unit = self.rng.choice((HOURS, HOURS, HOURS, CREDIT, COUNT))
        amount = 1 if unit == COUNT and self.rng.random() < 0.9 else self.amount()
        order, by = self.signed(person, PayAction(coop, account, unit, amount))
        code = self.model.pay(
            person.coop, person.account, by, unit, amount, (coop, account), self.now()
        )
        return order, code

    def hold(self, person: Person) -> Attempt:
        coop, account = self.target(person.coop)
        unit = self.rng.choice((HOURS, HOURS, HOURS, CREDIT, COUNT))
        secret = self.rng.choice((b"", *self.secrets))
        arbiter = self.key().public if self.rng.random() < 0.3 else b""
        payee = self.key().public
        expiry = self.now() + self.rng.choice((0, 50, 500, 5_000))
        amount = self.rng.choice((1, 5, 20, 60))
        lock = hashlib.sha256(secret).digest() if secret else b""
        action = HoldAction(coop, account, unit, amount, NO_REF, "", expiry, payee, arbiter, lock)
        order, by = self.signed(person, action)
        made = ModelHold(
            person.account, unit, amount, (coop, account), payee, arbiter, secret, expiry, by[2]
        )
        code = self.model.hold(person.coop, by, order.id(self.world.fed), made, self.now())
        return order, code

    def open_hold(self, person: Person) -> tuple[bytes, ModelHold] | None:
        holds = self.model.coops[person.coop].holds
        if not holds:
            return None
        name = self.rng.choice(sorted(holds))
        return name, holds[name]

    def post(self, person: Person) -> Attempt | None:
        found = self.open_hold(person)
        if found is None:
            return None
        name, hold = found
        payer = person.account if self.rng.random() < 0.1 else hold.payer
        confirmation: Confirmation
        if hold.secret and self.rng.random() < 0.5:
            proof = self.rng.choice((hold.secret, *self.secrets))
            confirmation = PreimageConfirmation(proof)
        else:
            held = self.model.coops[person.coop].accounts[payer]
            key = self.key(hold.signer, *held.keys, *([hold.arbiter] if hold.arbiter else []))
            confirmation = sign_confirmation(key, self.world.fed, person.coop, name)
            proof = key.public
        code = self.model.post(person.coop, payer, name, proof, self.now())
        return Post(payer, name, confirmation, 0), code

    def void(self, person: Person) -> Attempt | None:
        found = self.open_hold(person)
        if found is None:
            return None
        name, hold = found
        release = None
        if self.rng.random() < 0.5:
            key = self.key(hold.payee_key)
            release = sign_release(key, self.world.fed, person.coop, name)
        by = release.key if release else b""
        code = self.model.void(person.coop, hold.payer, name, by, self.now())
        return Void(hold.payer, name, release), code

    def limit(self, person: Person) -> Attempt:
        account = COMMONS if self.rng.random() < 0.3 else person.account
        unit = self.rng.choice((HOURS, CREDIT, COUNT))
        low, high = self.rng.choice(((0, 50), (200, 1_000), (20_000, BALANCE_MAX)))
        code = self.model.limit(person.coop, account, unit, low, high)
        return Limit(account, unit, low, high), code

    def close(self, person: Person) -> Attempt:
        # An account at rest is seldom met by chance: mostly one is looked for.
        at_rest = [
            p for p in self.people(person.coop)
            if self.account(p).open and self.model.at_rest(p.coop, p.account, self.now())
        ]  # fmt: skip
        if at_rest and self.rng.random() < 0.5:
            person = self.rng.choice(at_rest)
        account = COMMONS if self.rng.random() < 0.05 else person.account
        return Close(account), self.model.close(person.coop, account, self.now())

    def recover(self, person: Person) -> Attempt:
        key = self.key()
        code = self.model.recover(person.coop, person.account, key.public, self.now())
        return Recover(person.account, key.public), code

    def change(self, person: Person) -> Attempt | None:
        keys = self.model.keys(self.account(person), self.now())
        add = self.key().public if self.rng.random() < 0.6 else b""
        drop = self.key(*keys).public if self.rng.random() < 0.4 else b""
        if add and add == drop:
            return None
        order, by = self.signed(person, KeysAction(add, drop))
        code = self.model.change(person.coop, person.account, by[:3], add, drop, self.now())
        return order, code

    def give(self, person: Person) -> Attempt:
        start = self.now() + self.rng.choice((-5_000, 0, 100))
        end = start + self.rng.choice((100, 50_000, 50_000))
        allowed = self.rng.choice((((HOURS, 30),), ((HOURS, 100), (COUNT, 2)), ((CREDIT, 5),)))
        name = self.rng.choice(self.mandates)
        key = self.key()
        order, by = self.signed(person, MandateAction(name, key.public, allowed, 3_600, start, end))
        made = ModelMandate(key.public, dict(allowed), 3_600, start, end)
        code = self.model.give(person.coop, person.account, by[:3], name, made, self.now())
        return order, code

    def revoke(self, person: Person) -> Attempt:
        name = self.rng.choice(self.mandates)
        order, by = self.signed(person, RevokeAction(name))
        code = self.model.revoke(person.coop, person.account, by[:3], name, self.now())
        return order, code

    def settle(self, person: Person) -> Attempt:
        to = self.target(person.coop)
        unit = self.rng.choice((HOURS, CREDIT, COUNT))
        amount = 1 if unit == COUNT else self.amount()
        code = self.model.settle(person.coop, unit, amount, to)
        return Settle(COMMONS, unit, amount, *to, NO_REF, 0), code

    # --- A block ---

    def block(self) -> None:
        coop = self.rng.choice(self.coops)
        place = self.coops.index(coop)
        self.world.time += self.rng.choice((0, 0, 1, 1, 30, 30, 700, 4_000, RECOVERY_S // 2))
        wishes: list[Order | Entry | Wish] = []
        codes: list[str] = []
        for arrival in list(arrivals(self.world.book, coop, self.rng.randint(0, 6))):
            self.model.arrive(arrival.evidence.header.chain, coop)
            wishes.append(arrival)
            codes.append("")
        for _ in range(self.rng.randint(1, 8)):
            attempt = self.wish(coop)
            if attempt is not None:
                wishes.append(attempt[0])
                codes.append(attempt[1])
        built = self.world.build(place, *wishes)
        self.refusals.update(code for code in codes if code)
        assert not built.left
        assert [error.code for _, error in built.refused] == [code for code in codes if code]
        assert len(built.placed) == codes.count("")
        if built.block is not None:
            before = self.world.book.state(coop).fork()
            self.world.certify(built.block)
            assert before.size <= self.world.book.state(coop).size
        self.compare(coop)

    # --- Comparing ---

    def compare(self, coop: bytes) -> None:
        state = self.world.book.state(coop)
        model = self.model.coops[coop]
        assert {account.id for account in state.accounts()} == set(model.accounts)
        for account in state.accounts():
            expected = model.accounts[account.id]
            assert bool(account.open) == expected.open
            assert account.seq == expected.seq
            assert list(account.keys) == expected.keys
            assert account.pending == ((expected.waiting,) if expected.waiting else ())
            assert {u: p.balance for u, p in account.positions.items()} == expected.balances
            assert {u: (p.limit, p.max) for u, p in account.positions.items()} == expected.limits
            assert list(account.positions) == sorted(account.positions)
            assert set(account.mandates) == set(expected.mandates)
            for unit in (*UNITS, COUNT):
                assert account.held(unit) == self.model.held(coop, account.id, unit)
                promised = self.model.expected(coop, account.id, unit)
                assert account.expected.get(unit, 0) == promised
        for unit in (*UNITS, COUNT):
            assert state.totals.trade.get(unit, 0) == self.model.trade(coop, unit)
            assert state.totals.held_out.get(unit, 0) == self.model.held_out(coop, unit)
            total = sum(self.model.trade(each, unit) for each in self.coops)
            assert total + self.model.under_way(unit) == 0
        opened = [a for a in state.accounts() if a.open and a.id != COMMONS]
        assert state.totals.accounts == len(opened)
        for other in self.coops:
            if other != coop:
                channel = state.channel(other)
                assert channel.sent == len(self.model.sent[coop, other])
                assert channel.received == self.model.taken[other, coop]


@pytest.mark.parametrize("seed", range(6))
def test_the_ledger_says_and_holds_what_a_naive_model_does(seed: int) -> None:
    print(f"seed {seed}")
    play = Play(seed)
    for _ in range(BLOCKS):
        play.block()
    for unit in UNITS:
        assert play.world.units_sum(unit) == 0
    book, again = play.world.book, play.world.restarted()
    for coop in play.coops:
        assert again.head(coop) == book.head(coop)
        assert again.state(coop).root() == book.state(coop).root()
        assert list(again.state(coop).rows()) == list(book.state(coop).rows())


def test_the_random_orders_meet_nearly_every_refusal() -> None:
    met: set[str] = set()
    for seed in range(20, 26):
        play = Play(seed)
        for _ in range(BLOCKS):
            play.block()
        met |= play.refusals
    assert met >= {
        "account_closed", "account_in_use", "account_unknown", "amount", "confirmation",
        "coop_limit", "hold_open", "key_change", "mandate_exhausted", "mandate_unknown",
        "not_authorised", "order_expired", "order_mandate_expired", "order_mandate_scope",
        "over_limit", "over_maximum", "sequence_gap", "stale_sequence", "wrong_account",
        "wrong_unit",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(40, 44))
def test_erased_blocks_replay_to_the_same_state_and_lines_still_sum_to_zero(seed: int) -> None:
    print(f"seed {seed}")
    play = Play(seed)
    for _ in range(BLOCKS):
        play.block()
    world = play.world
    roots = {coop: world.book.state(coop).root() for coop in play.coops}
    erased = 0
    for person in play.people():
        snapshot = world.snapshot()
        try:
            world.disk.commit(erase(world.book, person.coop, person.account))
        except NotErasable:
            assert world.snapshot() == snapshot
            continue
        erased += 1
        assert world.book.state(person.coop).account(person.account) is None
    assert erased
    again = world.restarted()
    entries = 0
    for coop in play.coops:
        assert again.state(coop).root() == roots[coop] == world.book.state(coop).root()
        history = History(world.fed, coop, {COUNT})
        for before, checked in again.replay(coop, again.head(coop).h):
            assert checked.state.root() == checked.block.header.state_root
            lines = history.block(checked)
            if checked.block.body.erased:
                entries += checked.block.body.erased
                lines += residue(before, checked, lines)
            assert all(sum(p.amount for p in line.postings) == 0 for line in lines)
            for account in checked.state.accounts():
                known = before.account(account.id)
                for unit, position in account.positions.items():
                    old = known.positions.get(unit) if known else None
                    moved = sum(line.change(account.id) for line in lines if line.unit == unit)
                    assert position.balance == (old.balance if old else 0) + moved
    assert entries


def test_an_arrival_is_offered_in_the_order_of_its_channel() -> None:
    play = Play(99)
    for _ in range(30):
        play.block()
    for coop in play.coops:
        found = list(arrivals(play.world.book, coop))
        assert all(isinstance(wish, InWish) for wish in found)
        numbers: dict[bytes, list[int]] = {}
        for wish in found:
            message = carried(wish.entry, entry_leaf(wish.salt, wish.entry), 8, play.world.fed)
            numbers.setdefault(wish.evidence.header.chain, []).append(message.n)
        for source, got in numbers.items():
            first = play.model.taken[source, coop] + 1
            assert got == list(range(first, first + len(got)))
