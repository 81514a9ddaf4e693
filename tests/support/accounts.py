"""Keep the accounts of a whole federation in one process: orders in, certified blocks out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.build import Built, EntryWish, OrderWish, Wish, arrivals, build_block
from maillon.ledger.check import Checked
from maillon.ledger.entries import Entry, Open, carried, entry_leaf
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.orders import NO_REF, Action, HoldAction, Order, PayAction, sign_order
from maillon.ledger.signing import Verify, inline_verify
from maillon.ledger.state import Account
from maillon.protocol.keys import SigningKey
from support.charters import LedgerFederation, MemoryDisk
from support.world import NOW

HOURS, CREDIT, COUNT = 0, 1, 2
"""The units of `LedgerFederation`."""


@dataclass
class Person:
    """An account with the key and the last number of its holder."""

    coop: bytes
    account: bytes
    key: SigningKey
    seq: int = 0


@dataclass
class Accounts:
    """A federation whose coops place entries at once; witnesses sign what `Book.check` lets by."""

    seed: str = "accounts"
    n: int = 4
    verify: Verify = inline_verify
    federation: LedgerFederation = field(init=False)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    book: Book = field(init=False)
    time: int = NOW
    rng: random.Random = field(init=False)
    people: dict[str, Person] = field(default_factory=dict[str, Person])

    def __post_init__(self) -> None:
        self.federation = LedgerFederation(self.n, seed=self.seed)
        self.book = self.restarted()
        self.rng = random.Random(self.seed)

    def restarted(self) -> Book:
        """Return the book that a node finds on the disk."""
        return Book(self.federation.founding, self.disk, self.verify)

    @property
    def fed(self) -> bytes:
        return self.federation.fed

    def coop(self, place: int) -> bytes:
        return self.federation.coops[place].id

    # --- Wishes ---

    def opening(
        self,
        name: str,
        place: int = 0,
        *,
        limit: int = 100,
        most: int = BALANCE_MAX,
        units: Sequence[int] = (HOURS,),
        kind: int = 0,
    ) -> Open:
        """Return the entry that opens an account of a new person, whom `people` then names."""
        key = self.federation.key(f"person {name}")
        person = Person(self.coop(place), self.rng.randbytes(16), key)
        self.people[name] = person
        positions = tuple((unit, limit, most) for unit in units)
        return Open(person.account, kind, key.public, positions)

    def opened(self, name: str, place: int = 0, **terms: int | Sequence[int]) -> Person:
        """Open an account in a block of its own."""
        self.place(place, self.opening(name, place, **terms))  # type: ignore[arg-type]
        return self.people[name]

    def sign(
        self,
        name: str,
        action: Action,
        *,
        seq: int | None = None,
        until: int | None = None,
        key: SigningKey | None = None,
        mandate: bytes = b"",
    ) -> Order:
        """Sign an order of a person, with the next number unless another is given."""
        person = self.people[name]
        if seq is None:
            person.seq += 1
            seq = person.seq
        return sign_order(
            key or person.key,
            self.fed,
            person.account,
            seq,
            person.coop,
            self.time + 600 if until is None else until,
            action,
            mandate=mandate,
        )

    def payment(self, to: str, amount: int, *, unit: int = HOURS, category: str = "") -> PayAction:
        payee = self.people[to]
        return PayAction(payee.coop, payee.account, unit, amount, NO_REF, category)

    def pay(self, name: str, to: str, amount: int, *, unit: int = HOURS) -> Order:
        """Sign a payment."""
        return self.sign(name, self.payment(to, amount, unit=unit))

    def reservation(
        self,
        to: str,
        amount: int,
        *,
        unit: int = HOURS,
        expiry: int | None = None,
        arbiter: bytes = b"",
        hashlock: bytes = b"",
    ) -> HoldAction:
        payee = self.people[to]
        return HoldAction(
            payee.coop,
            payee.account,
            unit,
            amount,
            NO_REF,
            "",
            self.time + 3_600 if expiry is None else expiry,
            payee.key.public,
            arbiter,
            hashlock,
        )

    # --- Blocks ---

    def build(self, place: int, *wishes: Order | Entry | Wish, adopt: int = 0) -> Built:
        """Make the next block of a coop; nothing is changed."""
        made: list[Wish] = []
        for wish in wishes:
            if isinstance(wish, Order):
                made.append(OrderWish(wish))
            elif isinstance(wish, Wish):
                made.append(wish)
            else:
                made.append(EntryWish(wish))
        return build_block(
            self.book,
            self.coop(place),
            made,
            time=self.time,
            adopt=adopt,
            salt=self.rng.randbytes,
        )

    def place(self, place: int, *wishes: Order | Entry | Wish, adopt: int = 0) -> Block:
        """Let the next block of a coop be certified; every wish has to be placed."""
        built = self.build(place, *wishes, adopt=adopt)
        for _wish, error in built.refused:
            raise error
        assert built.block is not None and not built.left
        return self.certify(built.block)

    def certify(self, block: Block) -> Block:
        """Check, certify, apply and commit a block."""
        checked = self.book.check(block)
        assert isinstance(checked, Checked)
        certificate = self.federation.certify(block)
        self.disk.commit(self.book.apply(checked, certificate))
        return block.with_certificate(certificate)

    def arrive(self, place: int) -> Block | None:
        """Consume what other coops have sent to a coop; None when there is nothing."""
        wishes = list(arrivals(self.book, self.coop(place)))
        return self.place(place, *wishes) if wishes else None

    # --- What stands ---

    def account(self, name: str) -> Account:
        person = self.people[name]
        found = self.book.state(person.coop).account(person.account)
        assert found is not None
        return found

    def balance(self, name: str, unit: int = HOURS) -> int:
        return self.account(name).positions[unit].balance

    def snapshot(self) -> list[tuple[bytes, int, bytes]]:
        """Return what a refusal must not change: heads and state roots of all chains."""
        return [
            (chain, self.book.head(chain).h, self.book.state(chain).root())
            for chain in self.book.chains()
        ]

    def units_sum(self, unit: int) -> int:
        """Return the sum of all balances and of what is under way; it is 0."""
        total = 0
        for chain in self.book.chains():
            state = self.book.state(chain)
            for account in state.accounts():
                position = account.positions.get(unit)
                total += position.balance if position else 0
            for wish in arrivals(self.book, chain):
                message = carried(wish.entry, entry_leaf(wish.salt, wish.entry), 8, self.fed)
                total += message.amount if message.unit == unit else 0
        return total
